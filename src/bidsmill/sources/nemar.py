"""NEMAR: a version's files, as nemar-py reads them from the archive's manifest."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import TYPE_CHECKING, Any

from bidsmill.errors import BidsmillError
from bidsmill.sources.listing import CHECKSUM, Entry, Listing, is_signed
from bidsmill.sources.web import quiet

if TYPE_CHECKING:
    from nemar import NEMARClient
    from nemar._models import DatasetFile, DatasetIndex, DatasetVersion

log = logging.getLogger(__name__)

DATASET_ID = re.compile(r"(?:nm|on)\d{6}", re.ASCII)
DESCRIPTION = "dataset_description.json"


def list_dataset(dataset: str, settings: dict[str, Any]) -> Listing:
    """List the files of a version.

    Parameters
    ----------
    dataset : str
        Dataset id.
    settings : dict
        ``id`` (NEMAR's id, default: `dataset`), ``version`` (``1.0.0`` or ``v1.0.0``; None: the
        latest), ``endpoint`` (address of the data service, ``https://`` only; None: NEMAR's own)
        and ``fetch`` (``retries``, ``timeout`` in seconds).

    Returns
    -------
    Listing
        ``snapshot`` is the version as NEMAR names it.

    Raises
    ------
    BidsmillError
        If there is no such dataset or version, the service does not answer, or its manifest
        cannot be used.
    """
    identity = _id(dataset, settings)
    with _client(identity, settings) as client:
        index, version, manifest = _read(client, identity, settings)
        facts = _facts(client, index, version)
    paths = {file.path for file in manifest}
    place = f"{client.endpoint.url}{identity}/{version.version}/"
    if DESCRIPTION not in paths or not any(path.startswith("sub-") for path in paths):
        raise BidsmillError(
            "partial listing: NEMAR does not name all files",
            file=place,
            found=f"no {DESCRIPTION}" if DESCRIPTION not in paths else "no folder sub-...",
            todo="run again later, or choose another `version`",
        )
    entries = [_entry(file) for file in manifest]
    unknown = sum(entry["checksum"] is None for entry in entries)
    log.info("%s %s: %d files, %d without checksum", dataset, place, len(entries), unknown)
    return Listing(version.version, entries, {"kind": "nemar", "id": identity}, facts)


def addresses(dataset: str, settings: dict[str, Any]) -> dict[str, str]:
    """Return fresh addresses of a version's files, signed ones too; they must not be stored.

    Parameters
    ----------
    dataset, settings
        As for `list_dataset`, with ``version`` as it was locked.

    Returns
    -------
    dict of str to str
        Path -> address.
    """
    identity = _id(dataset, settings)
    with _client(identity, settings) as client:
        _, _, manifest = _read(client, identity, settings)
    return {file.path: _address(file) for file in manifest}


def _id(dataset: str, settings: dict[str, Any]) -> str:
    identity = str(settings.get("id") or dataset)
    if DATASET_ID.fullmatch(identity):
        return identity
    todo = "name the dataset's id at NEMAR with the key `id`"
    if re.fullmatch(r"ds\d{6}", identity, re.ASCII):
        todo = f"NEMAR's mirror of OpenNeuro's {identity} is called on{identity[2:]}"
    raise BidsmillError(
        "no id of a NEMAR dataset",
        found=identity,
        expected="nm or on and six digits, e.g. nm000132",
        todo=todo,
    )


@contextmanager
def _client(identity: str, settings: dict[str, Any]) -> Iterator[NEMARClient]:
    """Give a client; every error of nemar-py in the block becomes one for people."""
    import httpx
    from nemar import NEMARClient, NemarError

    quiet()
    fetch = settings["fetch"]
    options: dict[str, Any] = {
        "metadata_timeout": float(fetch["timeout"]),
        "max_retries": int(fetch["retries"]),
    }
    if settings.get("endpoint"):
        options["data_url"] = settings["endpoint"]
    place = settings.get("endpoint") or "https://data.nemar.org/"
    try:
        # nemar-py prints its attempts.
        with redirect_stdout(sys.stderr), NEMARClient(**options) as client:
            yield client
    except (NemarError, ValueError, RuntimeError, httpx.HTTPError, httpx.InvalidURL) as error:
        raise BidsmillError(
            f"{identity} cannot be read from NEMAR",
            file=place,
            found=" ".join(str(error).split())[:500],
            todo="correct `id`, `version` or `endpoint`, or run again later",
        ) from None


def _read(
    client: NEMARClient, identity: str, settings: dict[str, Any]
) -> tuple[DatasetIndex, DatasetVersion, list[DatasetFile]]:
    index = client.fetch_index(identity)
    version = index.resolve_version(_tag(settings.get("version")))
    return index, version, list(client.fetch_manifest(index, version))


def _tag(version: str | None) -> str | None:
    """Return a version as NEMAR writes it: ``v1.0.0`` for ``1.0.0``."""
    tag = (version or "").strip()
    return f"v{tag}" if tag[:1].isdigit() else tag or None


def _entry(file: DatasetFile) -> Entry:
    entry: Entry = {"path": file.path, "size": file.size, "checksum": _checksum(file)}
    url = _address(file)
    return {**entry, "signed": True} if is_signed(url) else {**entry, "url": url}


def _checksum(file: DatasetFile) -> str | None:
    for algorithm, value in (("sha256", file.sha256), ("md5", file.md5), ("git", file.git_sha1)):
        text = f"{algorithm}:{(value or '').lower()}"
        if CHECKSUM.fullmatch(text):
            return text
        # nemar-py files ETags under md5; those of multi-part uploads are none.
        etag = f"etag:{value}"
        if algorithm == "md5" and value and CHECKSUM.fullmatch(etag):
            return etag
    return None


def _address(file: DatasetFile) -> str:
    """Return where the bytes are: of two addresses, the one that does not end."""
    url = file.bytes_url if file.bytes_url and is_signed(file.url) else file.url
    if not url.startswith("https://"):
        raise BidsmillError(
            "NEMAR names an address without encryption", file=file.path, found=url.split("?")[0]
        )
    return url


def _facts(client: NEMARClient, index: DatasetIndex, version: DatasetVersion) -> dict[str, Any]:
    """Return licence, DOI and authors, as far as the archive states them."""
    from nemar import NemarError

    try:
        metadata = client.fetch_metadata(index) or {}
    except NemarError as error:
        # A busy service is no answer: the next look would give another one, and another lock.
        if str(error).startswith(("Network error", "Retryable error")):
            raise
        log.info("%s: no metadata: %s", index.dataset_id, error)
        metadata = {}
    # The document's shape is not fixed: the facts stand at its top or one level below.
    levels = [metadata, *(value for value in metadata.values() if isinstance(value, dict))]
    known = [{re.sub("[_ -]", "", str(k)).lower(): v for k, v in level.items()} for level in levels]

    def first(*names: str) -> Any:
        return next((level[n] for level in known for n in names if level.get(n)), None)

    authors = first("authors", "creators", "author")
    authors = authors if isinstance(authors, list) else [authors]
    facts = {
        "license": _text(first("license", "licence")),
        "doi": version.doi or _text(first("doi", "datasetdoi")),
        "authors": [name for name in map(_text, authors) if name],
    }
    return {key: value for key, value in facts.items() if value}


def _text(value: Any) -> str | None:
    """Return the name in a value: a text, or a record of it."""
    if isinstance(value, dict):
        for key in ("name", "id", "spdx_id", "identifier", "value"):
            if isinstance(value.get(key), str):
                value = value[key]
                break
        else:
            parts = (value.get(key) for key in ("given_name", "family_name"))
            value = " ".join(part for part in parts if isinstance(part, str))
    if isinstance(value, list) and value:
        return _text(value[0])
    return (value.strip() or None) if isinstance(value, str) else None
