"""The lock: which version of a dataset is used, and the size and checksum of each file."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from bidsmill.bids.sidecars import read_json_sidecar
from bidsmill.errors import BidsmillError
from bidsmill.formats import files
from bidsmill.sources import local
from bidsmill.sources.place import dataset_root

log = logging.getLogger(__name__)

CONTRACT = "1"


def make_lock(dataset: str, settings: dict[str, Any], results: Path) -> dict[str, Any]:
    """Look at the source of a dataset and return its lock.

    Parameters
    ----------
    dataset : str
        Dataset id.
    settings : dict
        ``source``, and as it needs ``path`` and ``version``.
    results : pathlib.Path
        ``results/{dataset}``; keeps what the last look saw (``lock-state.json``), so that only
        files that moved are read again.

    Returns
    -------
    dict
        ``contract``, ``dataset``, ``source``, ``snapshot``, ``description`` (the content of
        dataset_description.json) and ``files`` (``path``, ``size``, ``sha256``).

    Raises
    ------
    BidsmillError
        If the dataset cannot be found or read.
    """
    root = dataset_root(settings, results)
    snapshot = settings.get("version")
    if settings["source"] == "sample":
        from bidsmill.sources.sample import SAMPLE_VERSION, write_sample

        write_sample(root)
        snapshot = snapshot or SAMPLE_VERSION
    state_path = results / "lock-state.json"
    listed, state = local.checksums(root, local.list_files(root), local.read_state(results))
    files.replace_if_different(state_path, files.json_bytes(state))
    description, problem = read_json_sidecar(root / "dataset_description.json")
    if problem:
        log.warning("dataset_description.json %s", problem)
    if not any(entry["path"].startswith("sub-") for entry in listed):
        raise BidsmillError(
            "the dataset holds no subject", file=root, expected="folders named sub-..."
        )
    log.info("%s: %d files locked", dataset, len(listed))
    return {
        "contract": CONTRACT,
        "dataset": dataset,
        "source": {"kind": settings["source"], "path": root.as_posix()},
        "snapshot": snapshot or "local",
        "description": description,
        "files": listed,
    }
