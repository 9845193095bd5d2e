"""The validation of a locked dataset, as the rule `validate` runs it."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from bidsmill.bids.crosschecks import cross_check
from bidsmill.bids.participants import read_participants
from bidsmill.bids.validation import fatal_issues, validate_dataset
from bidsmill.errors import BidsmillError
from bidsmill.formats import files
from bidsmill.sources.local import checksums, read_state

log = logging.getLogger(__name__)


def validate_locked(dataset_path: Path, output: Path, *, fatal: list[str]) -> None:
    """Validate the dataset of a lock and write ``validation.json``.

    Parameters
    ----------
    dataset_path : pathlib.Path
        ``plan/dataset.json``; ``lock.json`` lies in the folder above.
    output : pathlib.Path
        ``validation.json``.
    fatal : list of str
        Issue codes that stop the dataset.

    Raises
    ------
    BidsmillError
        If an issue has a fatal code. Nothing else stops a dataset here.
    """
    overview = files.read_json(dataset_path)
    lock = files.read_json(dataset_path.parents[1] / "lock.json")
    root = Path(overview["root"])
    participants, _ = read_participants(root)
    names = [f"sub-{subject}" for subject in participants]
    has_table = (root / "participants.tsv").is_file()
    checks = cross_check(lock["files"], names if has_table else None, root=root)
    checks += _changed_files(dataset_path.parents[1], root, lock["files"])
    result = validate_dataset(
        root, output=output, hed_version=overview["hed_version"], cross_checks=checks
    )
    found = fatal_issues(result, fatal)
    if found:
        first = found[0]
        raise BidsmillError(
            f"the dataset has {len(found)} issue(s) that the config calls fatal",
            file=first["file"],
            found=f"{first['code']}: {first['message']}",
            todo="correct the dataset, or take the code out of `validate.fatal`",
        )
    log.info("issues by severity and code: %s", result["counts"])


def _changed_files(results: Path, root: Path, locked: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return an issue for each file that is not the one of the lock; only moved files are read."""
    paths = [entry["path"] for entry in locked]
    found, _ = checksums(root, paths, read_state(results))
    return [
        {
            "severity": "error",
            "code": "source_changed",
            "file": now["path"],
            "message": "this is not the file that was locked",
        }
        for now, then in zip(found, locked, strict=True)
        if now["sha256"] != then["sha256"]
    ]
