"""hedtools' validation of the sidecars and tables of a dataset, without the network."""

from __future__ import annotations

import json
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bidsmill.bids.hed_checks import Issue, check_folder, has_hed, new_issue
from bidsmill.bids.hed_sidecars import ConfigTags
from bidsmill.errors import BidsmillError
from bidsmill.formats.hed_strings import load_schema, shipped_versions

# What carries HED in BIDS (BIDS specification, appendix "Hierarchical Event Descriptors").
SUFFIXES = ("events", "participants")
# Folders whose content is not raw data (BIDS specification, "Source vs. raw vs. derived data").
NOT_RAW = ("code", "derivatives", "sourcedata", "stimuli")
DESCRIPTION = "dataset_description.json"
NO_HED = {"ran": True, "version": None, "reason": "the dataset has no HED"}
log = logging.getLogger(__name__)


def run_hed_validation(
    root: Path,
    version: str | Sequence[str] | None,
    *,
    config: ConfigTags | None = None,
    use_proposed: bool = False,
) -> tuple[dict[str, Any], list[Issue]]:
    """Validate all HED of a dataset with hedtools.

    Parameters
    ----------
    root : pathlib.Path
        The folder of the dataset.
    version : str, sequence of str or None
        ``HEDVersion`` of dataset_description.json; None is the newest that hedtools ships.
    config : ConfigTags, optional
        Tags that the config adds to events.
    use_proposed : bool
        Whether rows are checked with the proposals of the config.

    Returns
    -------
    state : dict
        ``ran``; ``version`` of the HED schema, None if there is no HED (hedtools is then not
        imported); ``reason`` why it could not run, or that there is no HED.
    issues : list of dict
        ``source``, ``severity``, ``code``, ``file`` relative to `root`, ``message`` and, where
        known, ``row`` (position from 0) and ``column``.
    """
    issues: list[Issue] = []
    files = {path: text for path in _hed_files(root) if (text := _text(root, path, issues))}
    tagged = any(_has_hed(path, text) for path, text in files.items())
    tagged = tagged or (config is not None and bool(config.columns))
    if not tagged and version is None:
        return dict(NO_HED), issues
    try:
        schema = load_schema(version)
    except BidsmillError as error:
        if not tagged:
            issues.append(_unused_version(error))
            return dict(NO_HED), issues
        issues.append(new_issue("error", "HED_VERSION_INVALID", DESCRIPTION, error.message()))
        return {"ran": False, "version": None, "reason": error.what}, issues
    if not tagged:
        return dict(NO_HED), issues
    if version is None:
        version = shipped_versions()["standard"][0]
        message = f"there is HED but no HEDVersion: validated with {version}, the newest known"
        issues.append(new_issue("warning", "HED_VERSION_MISSING", DESCRIPTION, message))
    named = version if isinstance(version, str) else list(version)
    try:
        found = _validated(files, schema, config, use_proposed)
        return {"ran": True, "version": named}, issues + found
    except Exception as error:  # hedtools meets malformed sidecars with any exception
        log.exception("hedtools stopped")
        # Its message may name the folder of the copies, which is another in every run.
        reason = f"hedtools stopped with {type(error).__name__} (see the log)"
        issues.append(new_issue("error", "HED_NOT_VALIDATED", DESCRIPTION, reason))
        return {"ran": False, "version": named, "reason": reason}, issues


def _unused_version(error: BidsmillError) -> Issue:
    message = f"there is no HED, and none could be read: {error.message()}"
    return new_issue("warning", "HED_VERSION_INVALID", DESCRIPTION, message)


def _hed_files(root: Path) -> Iterator[str]:
    """Yield the raw tables and sidecars that may carry HED, relative to `root`, sorted."""
    for folder, names, files in os.walk(root):
        relative = Path(folder).relative_to(root)
        top = not relative.parts
        names[:] = sorted(
            name for name in names if not name.startswith(".") and not (top and name in NOT_RAW)
        )
        for name in sorted(files):
            stem, extension = os.path.splitext(name)
            if extension in (".tsv", ".json") and stem.rpartition("_")[2] in SUFFIXES:
                yield (relative / name).as_posix()


def _text(root: Path, path: str, issues: list[Issue]) -> str | None:
    """Return the text of a file; report one that hedtools would stop at, or pass over silently."""
    try:
        text = (root / path).read_bytes().decode("utf-8-sig")
        if path.endswith(".json") and not isinstance(json.loads(text), dict):
            raise ValueError("not a JSON object")
    except OSError as error:
        problem = str(error.strerror)
    except ValueError as error:
        problem = str(error)
    else:
        return text
    issues.append(new_issue("error", "FILE_UNREADABLE", path, f"not checked for HED: {problem}"))
    return None


def _has_hed(path: str, text: str) -> bool:
    if path.endswith(".tsv"):
        header = text.partition("\n")[0].rstrip("\r").split("\t")
        return "HED" in [name.strip() for name in header]
    return has_hed(json.loads(text))


def _validated(
    files: Mapping[str, str], schema: Any, config: ConfigTags | None, use_proposed: bool
) -> list[Issue]:
    """Run hedtools on copies of the files.

    hedtools resolves links (in a git-annex tree they lose their names) and walks all folders
    from the root; the copies hold the tables and sidecars alone, under their own names.
    """
    folder = Path(tempfile.mkdtemp(prefix="bidsmill-hed-"))
    try:
        for path, text in files.items():
            copy = folder / path
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_text(text, encoding="utf-8", newline="")
        return check_folder(folder.resolve(), schema, config, use_proposed=use_proposed)
    finally:
        shutil.rmtree(folder)
