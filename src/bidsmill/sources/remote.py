"""Archives that are fetched from: how each is listed, and how its bytes are asked for."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from bidsmill.sources.listing import Listing


def _with_endpoint(settings: dict[str, Any]) -> dict[str, Any]:
    """Fill in the endpoint from the environment, where the config names none.

    ``BIDSMILL_OPENNEURO_ENDPOINT`` and ``BIDSMILL_NEMAR_ENDPOINT``; for S3 boto3 knows
    ``AWS_ENDPOINT_URL_S3``.
    """
    found = os.environ.get(f"BIDSMILL_{settings['source'].upper()}_ENDPOINT")
    return {"endpoint": found, **settings} if found else settings


def list_dataset(dataset: str, settings: dict[str, Any]) -> Listing:
    """Return all files of one version of a dataset, as its archive lists them.

    Parameters
    ----------
    dataset : str
        Dataset id.
    settings : dict
        ``source``, ``fetch``, and as the source needs ``id``, ``version``, ``url``,
        ``manifest``, ``endpoint``, ``profile``.

    Raises
    ------
    BidsmillError
        If the archive does not answer, or not with a whole listing.
    """
    from bidsmill.sources import https, nemar, openneuro, s3

    settings = _with_endpoint(settings)
    sources: dict[str, Callable[[str, dict[str, Any]], Listing]] = {
        "openneuro": openneuro.list_dataset,
        "nemar": nemar.list_dataset,
        "s3": s3.list_dataset,
        "https": https.list_dataset,
    }
    return sources[settings["source"]](dataset, settings)


def open_reader(dataset: str, settings: dict[str, Any], snapshot: str):
    """Return the reader of a dataset's bytes (see `download.Reader`), to be closed by the caller.

    Parameters
    ----------
    dataset, settings
        As for `list_dataset`.
    snapshot : str
        The version in the lock: where addresses end, new ones of this version are asked for.
    """
    settings = _with_endpoint(settings)
    if settings["source"] == "s3":
        from bidsmill.sources.s3_reader import S3Reader

        return S3Reader(settings)
    from bidsmill.sources import nemar, openneuro
    from bidsmill.sources.http_reader import HttpReader

    pinned = {**settings, "version": snapshot}
    renewals = {"nemar": nemar.addresses, "openneuro": openneuro.addresses}
    ask = renewals.get(settings["source"])
    return HttpReader(
        settings["fetch"],
        renew=(lambda: ask(dataset, pinned)) if ask else None,
        missing_403=settings["source"] == "nemar",
    )
