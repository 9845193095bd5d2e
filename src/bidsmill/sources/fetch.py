"""Fetch the files of one batch, and say for each recording whether they are all there."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from bidsmill.formats import files
from bidsmill.sources import local
from bidsmill.sources.place import dataset_root

log = logging.getLogger(__name__)


def fetch_batch(
    plan_path: Path, manifest_path: Path, *, settings: dict[str, Any], results: Path
) -> None:
    """Check the files of a batch and write ``fetch/{batch}.json``.

    A local dataset is read in place: nothing is copied. A file that is no longer the one
    of the lock, is missing, empty or a pointer costs its recording, and no other.

    Parameters
    ----------
    plan_path, manifest_path : pathlib.Path
        Read and written.
    settings : dict
        Settings of the dataset (``source``, ``path``).
    results : pathlib.Path
        ``results/{dataset}``.
    """
    plan = files.read_json(plan_path)
    root = dataset_root(settings, results)
    wanted = [name for member in plan["members"] for name in member["files"]]
    if settings["source"] == "sample" and not all((root / name).is_file() for name in wanted):
        from bidsmill.sources.sample import write_sample

        write_sample(root)
    state = local.read_state(results)
    members = {}
    for member in plan["members"]:
        wanted_files = {**member["files"], **member["sidecar_files"]}
        problem = local.check_files(root, wanted_files, state)
        if problem:
            log.info("%s: %s", member["stem"], problem[1])
        members[member["stem"]] = (
            {"status": "present"}
            if problem is None
            else {"status": "missing", "reason": problem[0], "message": problem[1]}
        )
    log.info("%d recordings present", sum(m["status"] == "present" for m in members.values()))
    files.write_json(manifest_path, {"batch": plan["batch"], "members": members})
