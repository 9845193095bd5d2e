"""hedtools' validation of the sidecars and tables of a dataset, without the network."""

from __future__ import annotations

import json
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bidsmill.errors import BidsmillError
from bidsmill.formats.hed_strings import load_schema, shipped_versions

# What carries HED in BIDS (BIDS specification, appendix "Hierarchical Event Descriptors").
SUFFIXES = ("events", "participants")
# Folders whose content is not raw data (BIDS specification, "Source vs. raw vs. derived data").
NOT_RAW = ("code", "derivatives", "sourcedata", "stimuli")
DESCRIPTION = "dataset_description.json"
Issue = dict[str, Any]
log = logging.getLogger(__name__)


def run_hed_validation(
    root: Path, version: str | Sequence[str] | None
) -> tuple[dict[str, Any], list[Issue]]:
    """Validate all HED of a dataset with hedtools.

    Parameters
    ----------
    root : pathlib.Path
        The folder of the dataset.
    version : str, sequence of str or None
        ``HEDVersion`` of dataset_description.json; None is the newest that hedtools ships.

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
    if not any(_has_hed(path, text) for path, text in files.items()):
        return {"ran": True, "version": None, "reason": "the dataset has no HED"}, issues
    try:
        schema = load_schema(version)
    except BidsmillError as error:
        issues.append(_issue("error", "HED_VERSION_INVALID", DESCRIPTION, error.message()))
        return {"ran": False, "version": None, "reason": error.what}, issues
    if version is None:
        version = shipped_versions()["standard"][0]
        message = f"there is HED but no HEDVersion: validated with {version}, the newest known"
        issues.append(_issue("warning", "HED_VERSION_MISSING", DESCRIPTION, message))
    named = version if isinstance(version, str) else list(version)
    try:
        return {"ran": True, "version": named}, issues + _validated(files, schema)
    except Exception as error:  # hedtools meets malformed sidecars with any exception
        log.exception("hedtools stopped")
        # Its message may name the folder of the copies, which is another in every run.
        reason = f"hedtools stopped with {type(error).__name__} (see the log)"
        issues.append(_issue("error", "HED_NOT_VALIDATED", DESCRIPTION, reason))
        return {"ran": False, "version": named, "reason": reason}, issues


def _issue(severity: str, code: str, file: str, message: str) -> Issue:
    text = " ".join(message.split())
    return {"source": "hed", "severity": severity, "code": code, "file": file, "message": text}


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
    issues.append(_issue("error", "FILE_UNREADABLE", path, f"not checked for HED: {problem}"))
    return None


def _has_hed(path: str, text: str) -> bool:
    if path.endswith(".tsv"):
        header = text.partition("\n")[0].rstrip("\r").split("\t")
        return "HED" in [name.strip() for name in header]
    return any(isinstance(v, dict) and "HED" in v for v in json.loads(text).values())


def _validated(files: Mapping[str, str], schema: Any) -> list[Issue]:
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
        return _from_hedtools(folder.resolve(), schema)
    finally:
        shutil.rmtree(folder)


def _from_hedtools(folder: Path, schema: Any) -> list[Issue]:
    from hed.tools.bids import BidsDataset

    dataset = BidsDataset(str(folder), schema=schema)
    issues: list[Issue] = []
    for group in dataset.file_groups.values():
        for path, problem in group.bad_files.items():
            name = str(getattr(path, "file_path", path))
            issues.append(_issue("warning", "FILE_UNREADABLE", name, str(problem)))
        if not group.has_hed:
            continue
        tables = dict(group.datafile_dict)
        names = {f"merged_{os.path.splitext(path)[0]}.json": path for path in tables}
        found = _each(group, "sidecar_dict", group.validate_sidecars, schema, issues)
        found += _each(group, "datafile_dict", group.validate_datafiles, schema, issues)
        issues += [_translated(error, names) for error in found]
    return [_relative(issue, folder) for issue in issues]


def _each(
    group: Any, files: str, validate: Callable[..., list], schema: Any, issues: list[Issue]
) -> list[Mapping[str, Any]]:
    """Validate all sidecars or tables of a group; if hedtools stops at one, each by itself."""
    from hed.errors import ErrorHandler

    try:
        return validate(schema, error_handler=ErrorHandler(check_for_warnings=True))
    except Exception:  # a malformed file raises HedFileError or whatever its content leads to
        found: list[Mapping[str, Any]] = []
        everything = getattr(group, files)
        for path, content in everything.items():
            setattr(group, files, {path: content})
            try:
                found += validate(schema, error_handler=ErrorHandler(check_for_warnings=True))
            except Exception as error:
                issues.append(_issue("error", "FILE_UNREADABLE", path, _words(error)))
        setattr(group, files, everything)
        return found


def _words(error: Exception) -> str:
    message = getattr(error, "message", None) or f"{type(error).__name__}: {error}"
    return f"not checked for HED, hedtools stops: {message}"


def _translated(error: Mapping[str, Any], names: Mapping[str, str]) -> Issue:
    from hed.errors.error_types import ErrorSeverity

    severity = "error" if error["severity"] == ErrorSeverity.ERROR else "warning"
    file = str(error.get("ec_filename", ""))
    # A sidecar merged by inheritance is named after its table.
    issue = _issue(severity, error["code"], names.get(file, file), error["message"])
    if error.get("ec_row") is not None:
        # hedtools counts lines from 1, the header is the first.
        issue["row"] = int(error["ec_row"]) - 2
    column = error.get("ec_column", error.get("ec_sidecarColumnName"))
    if column is not None:
        issue["column"] = str(column)
    return issue


def _relative(issue: Issue, folder: Path) -> Issue:
    """Return an issue without the path of the folder of the copies."""
    prefix = f"{folder}{os.sep}"
    file = Path(issue["file"].replace(prefix, "")).as_posix() if issue["file"] else ""
    return {**issue, "file": file, "message": issue["message"].replace(prefix, "")}
