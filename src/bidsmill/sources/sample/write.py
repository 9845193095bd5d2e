"""Put the sample in place: written beside its folder, then moved file by file."""

from __future__ import annotations

import filecmp
import json
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any, NoReturn

from bidsmill.errors import BidsmillError
from bidsmill.sources.sample import design, sidecars
from bidsmill.sources.sample.recording import write_json, write_recording, write_table

DESCRIPTION = "dataset_description.json"
ABANDONED_AFTER = 3600.0  # s without a change; writing takes seconds


def write_sample(root: Path) -> None:
    """Write the embedded sample, a whole BIDS dataset of simulated EEG, into a folder.

    The dataset is written into a temporary folder beside ``root`` and moved from there, so a
    kill leaves no half-written file under a final name; calling again completes it. Files that
    are identical already keep their times, files of the dataset that differ are replaced, and
    files that are not part of the sample are left alone. The bytes are the same every time.

    Parameters
    ----------
    root : pathlib.Path
        The folder of the dataset; created, with its parents, where it is missing.

    Raises
    ------
    BidsmillError
        If ``root`` is a file or holds something else than an earlier sample.
    """
    root = Path(root).resolve()
    if root.exists() and not root.is_dir():
        raise BidsmillError(
            "The sample dataset needs a folder",
            file=root,
            found="a file",
            expected="a folder, or nothing",
            todo="choose another path for the sample",
        )
    if _name_in(root) not in (None, sidecars.DATASET_NAME):
        _refuse(root, f"dataset {_name_in(root)!r}")
    root.parent.mkdir(parents=True, exist_ok=True)
    prefix = f".{root.name}.partial-"
    _delete_abandoned(root.parent, prefix)
    partial = Path(tempfile.mkdtemp(prefix=prefix, dir=root.parent))
    try:
        _write_dataset(partial / "dataset")
        _move(partial / "dataset", root)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _delete_abandoned(parent: Path, prefix: str) -> None:
    """Delete temporary folders that killed processes left behind."""
    for folder in parent.glob(f"{prefix}*"):
        try:
            abandoned = time.time() - folder.stat().st_mtime > ABANDONED_AFTER
        except FileNotFoundError:  # another process has just finished
            continue
        if abandoned:
            shutil.rmtree(folder, ignore_errors=True)


def _write_dataset(folder: Path) -> None:
    """Write every file of the dataset into a new folder."""
    folder.mkdir()
    write_json(folder / DESCRIPTION, sidecars.dataset_description())
    (folder / "README.md").write_text(sidecars.readme(), encoding="utf-8", newline="\n")
    (folder / "CHANGES").write_text(sidecars.changes(), encoding="utf-8", newline="\n")
    write_table(folder / "participants.tsv", sidecars.participants())
    write_json(folder / "participants.json", sidecars.participants_json())
    write_json(folder / f"task-{design.TASK}_events.json", sidecars.events_json())
    for recording in design.recordings():
        write_recording(folder, recording)
    for path, rows in sidecars.scans().items():
        write_table(folder / path, rows)


def _move(dataset: Path, root: Path) -> None:
    """Move a whole dataset into place: at once where nothing stands there, else by files."""
    if not root.exists():
        os.rename(dataset, root)
        return
    paths = sorted(p.relative_to(dataset) for p in dataset.rglob("*") if p.is_file())
    _refuse_another_dataset(root, set(paths))
    # The description first: it makes a folder that is not complete yet known as the sample.
    for path in sorted(paths, key=lambda path: path != Path(DESCRIPTION)):
        target = root / path
        if target.is_file() and filecmp.cmp(dataset / path, target, shallow=False):
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(dataset / path, target)


def _refuse_another_dataset(root: Path, paths: set[Path]) -> None:
    """Refuse a folder with strange files, unless its description is that of the sample."""
    if _name_in(root) == sidecars.DATASET_NAME:
        return
    inside = (p.relative_to(root) for p in sorted(root.rglob("*")) if not p.is_dir())
    visible = (path for path in inside if not path.parts[0].startswith("."))
    strange = [path for path in visible if path not in paths]
    if strange:
        _refuse(root, f"{strange[0]}, among others")


def _name_in(root: Path) -> Any:
    """Return the name that the description in a folder states; None if it cannot be read."""
    try:
        return json.loads((root / DESCRIPTION).read_text(encoding="utf-8"))["Name"]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _refuse(root: Path, found: str) -> NoReturn:
    raise BidsmillError(
        "The folder for the sample holds something else",
        file=root,
        found=found,
        expected="an empty folder or an earlier sample",
        todo="choose another path for the sample; nothing was changed",
    )
