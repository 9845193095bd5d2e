"""Fetch the files of a batch, or of the dataset as a whole, and say what is there."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from bidsmill.bids.limits import TOO_LARGE, files_too_large
from bidsmill.formats import files
from bidsmill.sources.place import dataset_root, is_remote
from bidsmill.sources.presence import check_files, read_state, sha256_of
from bidsmill.sources.remote_files import DATASET, Problems, fetch_files, locked_dataset

log = logging.getLogger(__name__)


def fetch_batch(
    plan_path: Path, manifest_path: Path, *, settings: dict[str, Any], results: Path
) -> None:
    """Fetch the files of a batch and write ``fetch/{batch}.json``; no recording over the limit.

    A local dataset is read in place: nothing is copied. A file that does not come, is no longer
    the one of the lock, is missing, empty or a pointer costs its recording, and no other.

    Parameters
    ----------
    plan_path, manifest_path : pathlib.Path
        Read and written.
    settings : dict
        Settings of the dataset that say where it comes from, and `limits`.
    results : pathlib.Path
        ``results/{dataset}``.

    Raises
    ------
    BidsmillError
        If the source cannot be reached at all, or the disk is full.
    """
    plan = files.read_json(plan_path)
    root, name = dataset_root(settings, results), plan["batch"]
    problems: Problems = {}
    limits = settings.get("limits")
    refused = {m["stem"]: files_too_large(m.get("size", 0), limits) for m in plan["members"]}
    if is_remote(settings):
        wished = [m for m in plan["members"] if not refused[m["stem"]]]
        paths = sorted({p for m in wished for p in (*m["files"], *m["sidecar_files"])})
        problems = fetch_files(locked_dataset(plan["dataset"], settings, results), paths, name)
    elif settings["source"] == "sample":
        _write_sample(root, plan)
    state = read_state(results, name)
    members = {}
    for member in plan["members"]:
        wanted = {**member["files"], **member["sidecar_files"]}
        problem = next((problems[path] for path in wanted if path in problems), None)
        too_large = refused[member["stem"]]
        problem = (TOO_LARGE, too_large) if too_large else problem
        problem = problem or check_files(root, wanted, state)
        if problem:
            log.info("%s: %s", member["stem"], problem[1])
        members[member["stem"]] = (
            {"status": "present", "files": sha256_of(root, member["files"], state)}
            if problem is None
            else {"status": "missing", "reason": problem[0], "message": problem[1]}
        )
    log.info("%d recordings present", sum(m["status"] == "present" for m in members.values()))
    files.write_json(manifest_path, {"batch": name, "members": members})


def _write_sample(root: Path, plan: dict[str, Any]) -> None:
    wanted = [name for member in plan["members"] for name in member["files"]]
    if not all((root / name).is_file() for name in wanted):
        from bidsmill.sources.sample import write_sample

        write_sample(root)


def fetch_dataset(
    overview_path: Path, manifest_path: Path, *, settings: dict[str, Any], results: Path
) -> None:
    """Fetch the files that belong to a dataset as a whole; remove those that left the lock.

    Parameters
    ----------
    overview_path, manifest_path : pathlib.Path
        ``plan/dataset.json``, read, and ``fetch/dataset.json``, written: ``missing`` maps what
        did not come to reason code and message.
    settings : dict
        Settings of the dataset that say where it comes from.
    results : pathlib.Path
        ``results/{dataset}``.

    Raises
    ------
    BidsmillError
        If the source cannot be reached at all, or the disk is full.
    """
    overview = files.read_json(overview_path)
    problems: Problems = {}
    if is_remote(settings):
        source = locked_dataset(overview["dataset"], settings, results)
        problems = fetch_files(source, overview["dataset_files"], DATASET)
    files.write_json(manifest_path, {"missing": dict(sorted(problems.items()))})
