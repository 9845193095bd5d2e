"""The split before this one: what `lock` reads, and `split` starts from.

It comes from the table that is kept with the config (``config/splits/{dataset}.tsv``), else from
the latest version in the store. Like the version of the source it is taken once and then kept,
until the lock or the settings of the dataset change: so the same run gives the same bytes again,
and a split never reads what it wrote itself.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bidsmill.errors import BidsmillError
from bidsmill.formats import files
from bidsmill.formats.placements import placements_of_version, read_placements, versions_of
from bidsmill.storage.contract import Storage

log = logging.getLogger(__name__)

NAME = "split-previous.json"
RECORD = ("source", "version", "sha256")


def write_previous(
    results: Path,
    *,
    dataset: str,
    question: str,
    store: Storage | None,
    adopted: Path | None = None,
    stated: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Write ``split-previous.json``, only if it changes, and return what the lock says of it.

    Parameters
    ----------
    results : pathlib.Path
        ``results/{dataset}``.
    dataset : str
        Dataset id.
    question : str
        sha256 of the files of the lock and of the settings of the dataset. As long as it stays,
        the previous split stays.
    store : Storage or None
        The store; None for none.
    adopted : pathlib.Path, optional
        ``config/splits/{dataset}.tsv``, if there is one.
    stated : dict, optional
        What a committed lock says of the previous split: this very one is used.

    Returns
    -------
    dict
        ``source`` (``config``, ``store`` or ``none``), ``version`` (in the store), ``sha256``
        of the placements.

    Raises
    ------
    BidsmillError
        If the table or the store cannot be read, or none holds the split that is stated.
    """
    path = results / NAME
    kept = _kept(results, path, question)
    if adopted is not None:
        content = _content("config", "", read_placements(adopted))
        if stated and stated["sha256"] != content["sha256"]:
            raise _not_found(dataset, stated, adopted)
    elif stated:
        content = _stated(store, dataset, stated)
    elif kept is not None and kept["source"] != "config":
        content = kept
    else:
        content = next(_in_store(store, dataset), _content("none", "", []))
    files.replace_if_different(path, files.json_bytes(content))
    record = {key: content[key] for key in RECORD}
    kept_path = results / "split-kept.json"
    files.replace_if_different(kept_path, files.json_bytes({"question": question, **record}))
    log.info("previous split: %s %s", record["source"], record["version"])
    return record


def _content(source: str, version: str, placements: list[dict[str, Any]]) -> dict[str, Any]:
    sha256 = files.canonical_sha256(placements) if source != "none" else ""
    return {"source": source, "version": version, "sha256": sha256, "placements": placements}


def _in_store(store: Storage | None, dataset: str) -> Iterator[dict[str, Any]]:
    """Yield the splits of all versions in the store, the latest first."""
    if store is None:
        return
    for version in versions_of(store, dataset):
        yield _content("store", version, placements_of_version(store, dataset, version))


def _kept(results: Path, path: Path, question: str) -> dict[str, Any] | None:
    """Return the previous split of the run before, if it answers the same question."""
    try:
        record = files.read_json(results / "split-kept.json")
        content = files.read_json(path)
        whole = _content(content["source"], content["version"], content["placements"])
    except (BidsmillError, KeyError, TypeError):
        return None
    expected = {"question": question, **{key: whole[key] for key in RECORD}}
    return content if whole == content and record == expected else None


def _stated(store: Storage | None, dataset: str, stated: dict[str, Any]) -> dict[str, Any]:
    if stated["source"] == "none":
        return _content("none", "", [])
    for content in _in_store(store, dataset):
        if content["sha256"] == stated["sha256"]:
            # Another version may hold the same split: the bytes shall be those of the lock.
            return {**content, "source": stated["source"], "version": stated["version"]}
    raise _not_found(dataset, stated, store)


def _not_found(dataset: str, stated: dict[str, Any], place: Path | Storage | None) -> BidsmillError:
    return BidsmillError(
        f"the split that the committed lock of {dataset} starts from is not here",
        file=place,
        expected=f"sha256 {stated['sha256'][:12]}… of {stated['version'] or stated['source']}",
        todo="restore the store or config/splits, or remove the key `split` from the lock",
    )
