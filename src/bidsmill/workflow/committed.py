"""Locks that were made before: committed with a config, or kept from the run before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bidsmill.errors import BidsmillError
from bidsmill.formats import files
from bidsmill.sources import local
from bidsmill.sources.lock import check_lock, read_lock
from bidsmill.sources.place import dataset_root, is_remote
from bidsmill.sources.presence import read_state


def kept_lock(results: Path, asked: dict[str, Any]) -> dict[str, Any] | None:
    """Return the lock of the run before, if it answers the same question.

    Snakemake removes ``lock.json`` before the rule runs. Without this copy, a change of the code,
    or a source that does not answer, would lose the version that is in use.

    Parameters
    ----------
    results : pathlib.Path
        ``results/{dataset}``.
    asked : dict
        The settings that the lock depends on.
    """
    path = results / "lock-kept.json"
    try:
        kept = files.read_json(path) if path.is_file() else {}
        if kept.get("asked") != asked:
            return None
        return check_lock(kept["lock"], path)
    except (BidsmillError, AttributeError, KeyError):
        return None


def keep_lock(results: Path, asked: dict[str, Any], lock: dict[str, Any]) -> None:
    """Keep a lock for `kept_lock`."""
    path = results / "lock-kept.json"
    files.replace_if_different(path, files.json_bytes({"asked": asked, "lock": lock}))


def look_at_folder(lock: dict[str, Any], settings: dict[str, Any], results: Path) -> None:
    """Remember what is seen of a local dataset whose lock was made elsewhere."""
    if not is_remote(settings):
        root = dataset_root(settings, results)
        paths = [entry["path"] for entry in lock["files"]]
        _, state = local.checksums(root, paths, read_state(results))
        files.replace_if_different(results / "lock-state.json", files.json_bytes(state))


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
