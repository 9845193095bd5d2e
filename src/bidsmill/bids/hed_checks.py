"""What hedtools finds in sidecars and tables, with the file that holds what is wrong."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bidsmill.bids.hed_sidecars import ConfigTags, Merged, merge, only_defines
from bidsmill.bids.inheritance import SidecarIndex, labels_of

# The markers of a data file, which hold events where there is no table, have this column alone.
OF_MARKERS = "trial_type"
Issue = dict[str, Any]
Found = Mapping[str, Any]


def new_issue(severity: str, code: str, file: str, message: str) -> Issue:
    """Return an issue of validation.json, with its message on one line."""
    text = " ".join(message.split())
    return {"source": "hed", "severity": severity, "code": code, "file": file, "message": text}


def check_folder(
    folder: Path, schema: Any, config: ConfigTags | None = None, *, use_proposed: bool = False
) -> list[Issue]:
    """Check all HED of a BIDS folder with hedtools.

    Each sidecar is checked by itself, as hedtools does it. Then each table is checked with its
    sidecars merged by inheritance and with the tags of the config over them: as they are used.

    Parameters
    ----------
    folder : pathlib.Path
        The folder; every table and sidecar in it is readable text.
    schema : hed.HedSchema or hed.HedSchemaGroup
        The schema.
    config : ConfigTags, optional
        Tags of events that the config adds.
    use_proposed : bool
        Whether rows are checked with the proposals of the config. They are always checked by
        themselves.

    Returns
    -------
    list of dict
        No issue twice. ``file`` is relative to `folder`; of a merged sidecar it is the file that
        the HED string stands in.
    """
    from hed.tools.bids import BidsDataset

    dataset = BidsDataset(str(folder), schema=schema)
    checks = _Checks(folder, schema, config, use_proposed)
    for suffix, group in dataset.file_groups.items():
        for path, problem in group.bad_files.items():
            name = str(getattr(path, "file_path", path))
            checks.add(new_issue("warning", "FILE_UNREADABLE", name, str(problem)))
        checks.read_sidecars(suffix)
        for path in group.sidecar_dict:
            checks.check_sidecar(checks.relative(path))
        tables = [checks.relative(path) for path in group.datafile_dict]
        sidecars = SidecarIndex(checks.names, labels_of(tables))
        for path in tables:
            checks.check_table(path, sidecars.applicable(path, suffix, ".json"), suffix)
    checks.check_config()
    return list({json.dumps(issue): issue for issue in checks.issues}.values())


@dataclass
class _Checks:
    folder: Path
    schema: Any
    config: ConfigTags | None
    use_proposed: bool
    issues: list[Issue] = field(default_factory=list)
    contents: dict[str, dict[str, Any]] = field(default_factory=dict)
    names: list[str] = field(default_factory=list)
    found: dict[str, list[Found]] = field(default_factory=dict)
    config_was_used: bool = False
    columns: set[str] = field(default_factory=set)

    def relative(self, path: str) -> str:
        """Return a path as it is in the dataset."""
        return Path(path).relative_to(self.folder).as_posix()

    def add(self, issue: Issue) -> None:
        """Add an issue, without the name of the folder of the copies."""
        prefix = f"{self.folder}{os.sep}"
        file = Path(issue["file"].replace(prefix, "")).as_posix() if issue["file"] else ""
        self.issues.append({**issue, "file": file, "message": issue["message"].replace(prefix, "")})

    def read_sidecars(self, suffix: str) -> None:
        """Read all sidecars of a suffix; those without HED can take HED away from a column.

        Facts beside the columns (``"TaskName": "rest"``) hold no HED, and hedtools stops at them.
        """
        for path in sorted(self.folder.rglob(f"*{suffix}.json")):
            name = self.relative(str(path))
            self.names.append(name)
            content = json.loads(path.read_text(encoding="utf-8"))
            self.contents[name] = {
                column: entry
                for column, entry in content.items()
                if isinstance(entry, Mapping) or column == "HED"
            }

    def check_sidecar(self, path: str) -> None:
        """Check one sidecar by itself."""
        for error in self._of_sidecar(self.contents[path], path):
            self.add(translated(error, path))

    def check_table(self, path: str, chain: list[str], suffix: str) -> None:
        """Check a table with its sidecars, and these as they are when merged."""
        content: dict[str, Any] = {}
        holder: dict[str, str] = {}
        for name in chain:
            content.update(self.contents[name])
            holder.update(dict.fromkeys(self.contents[name], name))
        header = _header(self.folder / path)
        config = self.config if suffix == "events" else None
        if config is not None:
            self.columns.update(header)
        everything = merge(content, config, with_proposed=True)
        if config is not None:
            self._add_faults(config, everything)
        if len(chain) > 1 or config is not None:
            nearest = next((name for name in reversed(chain) if has_hed(self.contents[name])), path)
            self._merged(everything, holder, nearest)
        used = merge(content, config, with_proposed=self.use_proposed).content
        if has_hed(used) or "HED" in header:
            self._rows(path, used)

    def check_config(self) -> None:
        """Name what the config tags and no table has; without tables, check it by itself."""
        if self.config is None:
            return
        if not self.config_was_used:
            alone = merge({}, self.config, with_proposed=True)
            self._add_faults(self.config, alone)
            self._merged(alone, {}, self.config.name)
        for column, hed in self.config.columns.items() if self.columns else ():
            if column not in {*self.columns, OF_MARKERS} and not only_defines(hed):
                message = "no table of events has this column: its tags are not used"
                issue = new_issue("warning", "HED_COLUMN_MISSING", self.config.name, message)
                self.add({**issue, "column": column})

    def _add_faults(self, config: ConfigTags, merged: Merged) -> None:
        """Add what is wrong with the config's sidecar beyond its HED."""
        self.config_was_used = True
        for column, fault in [*config.faults, *merged.faults]:
            issue = new_issue("error", "SIDECAR_INVALID", config.name, fault)
            self.add({**issue, "column": column})

    def _merged(self, merged: Merged, holder: Mapping[str, str], nearest: str) -> None:
        """Check a merged sidecar, and find the file of each issue."""
        if not has_hed(merged.content):
            return
        for error in self._of_sidecar(merged.content, nearest):
            column, value = error.get("ec_sidecarColumnName"), error.get("ec_sidecarKeyName")
            file = nearest if column is None else holder.get(column, nearest)
            if self.config is not None and _is_of_config(merged, column, value):
                file = self.config.name
            self.add(translated(error, file))

    def _rows(self, path: str, sidecar: dict[str, Any]) -> None:
        from hed import TabularInput
        from hed.errors import ErrorHandler

        file = str(self.folder / path)
        for content in (sidecar, self._sound_parts(sidecar)):
            try:
                table = TabularInput(file, sidecar=_sidecar(content), name=file)
                handler = ErrorHandler(check_for_warnings=True)
                found = table.validate(
                    self.schema, name=file, error_handler=handler, validate_sidecar=False
                )
            except Exception as problem:  # hedtools meets odd tables and sidecars with anything
                message = _words(problem)
                continue
            for error in found:
                self.add(translated(error, path))
            return
        self.add(new_issue("error", "FILE_UNREADABLE", path, message))

    def _of_sidecar(self, content: dict[str, Any], path: str) -> list[Found]:
        """Return what hedtools says of a sidecar; one that many tables share is checked once."""
        key = json.dumps(content, sort_keys=True)
        if key not in self.found:
            try:
                self.found[key] = self._validated(content)
            except Exception as error:  # as above
                self.add(new_issue("error", "FILE_UNREADABLE", path, _words(error)))
                self.found[key] = []
        return self.found[key]

    def _validated(self, content: dict[str, Any]) -> list[Found]:
        """Validate a sidecar, and what is sound of it if hedtools stops at its structure."""
        from hed.errors import ErrorHandler

        sound = self._sound_parts(content)
        found: list[Found] = []
        for part in [content] if sound == content else [content, sound]:
            handler = ErrorHandler(check_for_warnings=True)
            found += _sidecar(part).validate(self.schema, name="", error_handler=handler)
        return found

    def _sound_parts(self, content: dict[str, Any]) -> dict[str, Any]:
        """Return a sidecar without the values and columns whose structure hedtools refuses."""
        sound = {}
        for column, entry in content.items():
            for part in (entry, _with_texts_only(entry)):
                if self._is_sound({column: part}):
                    sound[column] = part
                    break
        return sound

    def _is_sound(self, content: dict[str, Any]) -> bool:
        from hed.errors import ErrorHandler
        from hed.validator.sidecar_validator import SidecarValidator

        validator = SidecarValidator(self.schema)
        return not validator.validate_structure(
            _sidecar(content), ErrorHandler(check_for_warnings=False)
        )


def has_hed(sidecar: Mapping[str, Any]) -> bool:
    """Return whether a sidecar holds HED, or a column that may not be there for it."""
    entries = sidecar.values()
    return "HED" in sidecar or any(isinstance(v, Mapping) and "HED" in v for v in entries)


def is_error(found: Found) -> bool:
    """Return whether an issue of hedtools is an error, not a warning."""
    from hed.errors.error_types import ErrorSeverity

    return found["severity"] == ErrorSeverity.ERROR


def translated(error: Found, file: str) -> Issue:
    """Return an issue of hedtools as one of validation.json.

    Parameters
    ----------
    error : mapping
        As hedtools gives it.
    file : str
        The file it concerns.
    """
    message = error["message"]
    if error.get("ec_sidecarKeyName") is not None:
        message = f"value {error['ec_sidecarKeyName']!r}: {message}"
    if error.get("row_count", 1) > 1:
        message = f"{message} (the first of {error['row_count']} rows with this value)"
    issue = new_issue("error" if is_error(error) else "warning", error["code"], file, message)
    if error.get("ec_row") is not None:
        # hedtools counts lines from 1, the header is the first.
        issue["row"] = int(error["ec_row"]) - 2
    column = error.get("ec_column", error.get("ec_sidecarColumnName"))
    if column is not None:
        issue["column"] = str(column)
    return issue


def _is_of_config(merged: Merged, column: Any, value: Any) -> bool:
    """Return whether the config gave the text of a value; for no value, any of the column."""
    places: Iterable[tuple[str, str | None]] = merged.origins
    if value is None:
        return any(place[0] == column for place in places)
    return merged.origin(column, value) != "dataset"


def _header(path: Path) -> list[str]:
    first = path.read_text(encoding="utf-8").partition("\n")[0]
    return [name.strip() for name in first.rstrip("\r").split("\t")]


def _sidecar(content: Mapping[str, Any]) -> Any:
    from hed import Sidecar

    return Sidecar(io.StringIO(json.dumps(content)))


def _with_texts_only(entry: Any) -> Any:
    """Return the entry of a column with the HED of those values alone that may have a text."""
    hed = entry.get("HED") if isinstance(entry, Mapping) else None
    if not isinstance(hed, Mapping):
        return entry
    texts = {k: t for k, t in hed.items() if isinstance(t, str) and t.strip() and k != "n/a"}
    return {**entry, "HED": texts}


def _words(error: Exception) -> str:
    message = getattr(error, "message", None) or f"{type(error).__name__}: {error}"
    return f"not checked for HED, hedtools stops: {message}"
