"""The lock: which version of a dataset is used, and size, checksum, address of each file."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from bidsmill.bids.sidecars import read_json_sidecar
from bidsmill.errors import BidsmillError
from bidsmill.formats import files
from bidsmill.sources import local
from bidsmill.sources.listing import CHECKSUM, Entry, Listing
from bidsmill.sources.names import check_names
from bidsmill.sources.place import dataset_root, is_remote
from bidsmill.sources.presence import read_state
from bidsmill.sources.remote import list_dataset
from bidsmill.sources.remote_files import DATASET, DESCRIPTION, RemoteDataset, fetch_files
from bidsmill.sources.selection import OTHER_FOLDERS, TOOL_FOLDERS, is_raw, leads_elsewhere

log = logging.getLogger(__name__)

CONTRACT = "2"
SHAPE: dict[str, type] = {
    "dataset": str,
    "source": dict,
    "snapshot": str,
    "license": str,
    "doi": str,
    "authors": list,
    "description": dict,
    "files": list,
}


def make_lock(dataset: str, settings: dict[str, Any], results: Path) -> dict[str, Any]:
    """Ask the source of a dataset and return its lock.

    Parameters
    ----------
    dataset : str
        Dataset id.
    settings : dict
        ``source``, and as it needs ``path``, ``id``, ``url``, ``version``, ``endpoint``,
        ``profile``, ``manifest``, ``folders``, ``fetch``.
    results : pathlib.Path
        ``results/{dataset}``; of a local dataset it keeps what the last look saw
        (``lock-state.json``), so that only files that moved are read again; of another,
        dataset_description.json is fetched to ``bids/``.

    Returns
    -------
    dict
        ``contract``, ``dataset``, ``source``, ``snapshot``, ``license``, ``doi``, ``authors``,
        ``description`` (the content of dataset_description.json) and ``files`` (see
        `listing.Entry`), sorted by path.

    Raises
    ------
    BidsmillError
        If the dataset cannot be found or read, its listing is not whole, or a name in it
        cannot be trusted.
    """
    listing = _listing(dataset, settings, results)
    entries = sorted(
        (e for e in listing.files if is_raw(e["path"], settings["folders"])),
        key=lambda e: e["path"],
    )
    if not any(entry["path"].startswith("sub-") for entry in entries):
        raise BidsmillError(
            "the dataset holds no subject",
            file=address_of(listing.source),
            found=f"{len(entries)} files",
            expected="folders named sub-...",
        )
    description = _description(dataset, settings, results, listing, entries)
    log.info("%s %s: %d files locked", dataset, listing.snapshot, len(entries))
    return {
        "contract": CONTRACT,
        "dataset": dataset,
        "source": listing.source,
        "snapshot": listing.snapshot,
        "license": _text(description.get("License") or listing.facts.get("license")),
        "doi": _text(description.get("DatasetDOI") or listing.facts.get("doi")),
        "authors": _texts(description.get("Authors") or listing.facts.get("authors")),
        "description": description,
        "files": entries,
    }


def _listing(dataset: str, settings: dict[str, Any], results: Path) -> Listing:
    if is_remote(settings):
        listing = list_dataset(dataset, settings)
        check_names([e for e in listing.files if _is_kept(e, settings)], address_of(listing.source))
        # What was seen of a folder on a disk says nothing of files that are fetched.
        (results / "lock-state.json").unlink(missing_ok=True)
        return listing
    root = dataset_root(settings, results)
    snapshot = settings.get("version")
    if settings["source"] == "sample":
        from bidsmill.sources.sample import SAMPLE_VERSION, write_sample

        write_sample(root)
        snapshot = snapshot or SAMPLE_VERSION
    paths = local.list_files(root, settings["folders"])
    listed, state = local.checksums(root, paths, read_state(results))
    files.replace_if_different(results / "lock-state.json", files.json_bytes(state))
    source = {"kind": settings["source"]}
    if settings["source"] == "local":
        source["path"] = root.as_posix()
    return Listing(snapshot or "local", listed, source)


def _is_kept(entry: Entry, settings: dict[str, Any]) -> bool:
    """Return whether a file comes into the lock, or has a name that speaks against the listing.

    Names in folders that are left out may be such as no other disk could hold; names that lead
    out of the dataset are none that may be left out in silence.
    """
    path = entry["path"]
    if not isinstance(path, str) or leads_elsewhere(path):
        return True
    first = path.partition("/")[0]
    return first not in {*OTHER_FOLDERS, *TOOL_FOLDERS} - set(settings["folders"])


def _description(
    dataset: str, settings: dict[str, Any], results: Path, listing: Listing, entries: list[Entry]
) -> dict[str, Any]:
    """Return the content of dataset_description.json; {} if it is no JSON object."""
    root = dataset_root(settings, results)
    if is_remote(settings):
        locked = {entry["path"]: entry for entry in entries}
        if DESCRIPTION not in locked:
            raise BidsmillError(
                "this is no BIDS dataset",
                file=address_of(listing.source),
                expected=f"a file {DESCRIPTION} at the top",
            )
        source = RemoteDataset(dataset, settings, results, listing.snapshot, locked)
        problems = fetch_files(source, [DESCRIPTION], DATASET)
        for code, message in problems.values():
            raise BidsmillError(f"{DESCRIPTION} cannot be fetched ({code})", found=message)
    description, problem = read_json_sidecar(root / DESCRIPTION)
    if problem:
        log.warning("dataset_description.json %s", problem)
    return description


def address_of(source: dict[str, Any]) -> str:
    """Return where a dataset comes from, for people."""
    place = source.get("url") or source.get("path") or source.get("id", "")
    return f"{source['kind']} {place}".strip()


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _texts(value: Any) -> list[str]:
    """Return a list of texts; public files hold one text, too."""
    values = value if isinstance(value, list) else [value]
    return [text for text in values if isinstance(text, str) and text]


def read_lock(path: Path) -> dict[str, Any]:
    """Read a lock that was committed or written before, and check that it is whole.

    Raises
    ------
    BidsmillError
        If the file is absent, not a lock, of another contract, or holds names or checksums that
        cannot be.
    """
    return check_lock(files.read_json(path), path)


def check_lock(content: Any, path: Path) -> dict[str, Any]:
    """Return the content of a file as a lock; see `read_lock` for the errors."""
    if not isinstance(content, dict) or content.get("contract") != CONTRACT:
        found = content.get("contract") if isinstance(content, dict) else type(content).__name__
        raise BidsmillError(
            "the file is no lock that this version reads",
            file=path,
            found=f"contract {found}",
            expected=f"contract {CONTRACT}",
            todo="remove it, and write it again: bidsmill lock",
        )
    wrong = [key for key, kind in SHAPE.items() if not isinstance(content.get(key), kind)]
    if "split" in content and not _is_split(content["split"]):
        wrong.append("split")
    if not wrong and not isinstance(content["source"].get("kind"), str):
        wrong = ["source"]
    if not wrong:
        bad = [entry for entry in content["files"] if not _is_entry(entry)]
        wrong = [f"files: {str(entry)[:200]}" for entry in bad[:3]]
    if wrong:
        raise BidsmillError(
            "the lock is damaged",
            file=path,
            found=f"no sound value of {'; '.join(wrong)}",
            todo="restore it, or remove it and write it again: bidsmill lock",
        )
    check_names(content["files"], str(path))
    return content


def _is_split(split: Any) -> bool:
    """Return whether something is what a lock says of the previous split."""
    keys = ("source", "version", "sha256")
    return isinstance(split, dict) and all(isinstance(split.get(key), str) for key in keys)


def _is_entry(entry: Any) -> bool:
    """Return whether something has the shape of a file of a lock; names are checked elsewhere."""
    if not isinstance(entry, dict) or not entry.keys() >= {"path", "size", "checksum"}:
        return False
    size, checksum = entry.get("size"), entry.get("checksum")
    if not (size is None or (type(size) is int and size >= 0)):
        return False
    if not (checksum is None or (isinstance(checksum, str) and CHECKSUM.fullmatch(checksum))):
        return False
    return all(isinstance(entry.get(key, ""), str) for key in ("path", "url", "version"))
