"""Locks that are committed with a config: with them a run can be repeated for ever."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bidsmill.errors import BidsmillError
from bidsmill.sources.lock import read_lock


def committed_lock(path: Path, dataset: str, settings: dict[str, Any]) -> dict[str, Any]:
    """Read a committed lock, and check that it is the one of the dataset in the config.

    Parameters
    ----------
    path : pathlib.Path
        ``config/locks/{dataset}.json``.
    dataset : str
        Dataset id.
    settings : dict
        Its settings.

    Raises
    ------
    BidsmillError
        If the lock cannot be read, or is one of another dataset, source or version than the
        config asks for.
    """
    lock = read_lock(path)
    source = lock["source"]
    expected: dict[str, Any] = {"dataset": dataset, "source": settings["source"]}
    found = {"dataset": lock["dataset"], "source": source["kind"]}
    for key, default in (("id", dataset), ("url", None)):
        if key in source:
            # A lock has the address of a folder with a slash at its end.
            expected[key] = str(settings.get(key, default)).rstrip("/")
            found[key] = source[key].rstrip("/")
    if settings.get("version"):
        # NEMAR calls version 1.0.0 v1.0.0.
        expected["version"] = settings["version"].removeprefix("v")
        found["version"] = lock["snapshot"].removeprefix("v")
    wrong = [key for key in expected if expected[key] != found[key]]
    if wrong:
        raise BidsmillError(
            f"the committed lock of {dataset} is not the one that the config asks for",
            file=path,
            found=", ".join(f"{key} {found[key]}" for key in wrong),
            expected=", ".join(f"{key} {expected[key]}" for key in wrong),
            todo=f"bidsmill lock --update --accept {dataset}, or correct the config",
        )
    return lock
