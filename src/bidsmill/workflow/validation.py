"""The validation of a locked dataset, as the rule `validate` runs it."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from bidsmill.bids.crosschecks import cross_check
from bidsmill.bids.hed_sidecars import read_config_sidecar
from bidsmill.bids.participants import read_participants
from bidsmill.bids.validation import fatal_issues, validate_dataset
from bidsmill.errors import BidsmillError
from bidsmill.formats import files
from bidsmill.sources.listing import Entry, identity
from bidsmill.sources.place import REMOTE
from bidsmill.sources.presence import is_locked_file, look_at, read_state

log = logging.getLogger(__name__)


def validate_locked(
    dataset_path: Path,
    output: Path,
    *,
    fatal: list[str],
    hed_sidecar: Path | None = None,
    use_proposed: bool = False,
) -> None:
    """Validate the dataset of a lock and write ``validation.json``.

    Parameters
    ----------
    dataset_path : pathlib.Path
        ``plan/dataset.json``; ``lock.json`` lies in the folder above.
    output : pathlib.Path
        ``validation.json``.
    fatal : list of str
        Issue codes that stop the dataset.
    hed_sidecar : pathlib.Path, optional
        ``config/hed/{dataset}.json``, if there is one.
    use_proposed : bool
        Whether the proposals in it are used.

    Raises
    ------
    BidsmillError
        If an issue has a fatal code, or the HED sidecar of the config cannot be read. Nothing
        else stops a dataset here.
    """
    overview = files.read_json(dataset_path)
    lock = files.read_json(dataset_path.parents[1] / "lock.json")
    root = Path(overview["root"])
    participants, _ = read_participants(root)
    names = [f"sub-{subject}" for subject in participants]
    has_table = (root / "participants.tsv").is_file()
    checks = cross_check(lock["files"], names if has_table else None, root=root)
    checks += _not_as_locked(dataset_path.parents[1], root, lock["files"], overview["source"])
    result = validate_dataset(
        root,
        output=output,
        hed_version=overview["hed_version"],
        cross_checks=checks,
        hed_config=read_config_sidecar(hed_sidecar) if hed_sidecar else None,
        use_proposed=use_proposed,
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


def _not_as_locked(
    results: Path, root: Path, locked: list[Entry], source: str
) -> list[dict[str, Any]]:
    """Return an issue for each file that did not come or is not the one of the lock.

    Only files that moved since they were locked or fetched are read. Of an archive only a part
    may have been asked for: what was not is no issue.
    """
    state = read_state(results)
    missing = files.read_json(results / "fetch" / "dataset.json")["missing"]
    issues = [_issue(code, path, message) for path, (code, message) in missing.items()]
    for entry in locked:
        path, known = entry["path"], state.get(entry["path"])
        if known is None and source in REMOTE:
            continue
        look = look_at(root / path, known)
        if look is None and identity(entry) is None:
            continue  # it was a broken link when it was locked
        if look is None or not is_locked_file(root / path, look, identity(entry), known):
            issues.append(_issue("source_changed", path, "this is not the file that was locked"))
    return issues


def _issue(code: str, path: str, message: str) -> dict[str, Any]:
    return {"severity": "error", "code": code, "file": path, "message": message}
