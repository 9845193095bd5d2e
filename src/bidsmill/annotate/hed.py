"""The HED string of every event: assembled by hedtools, checked, with definitions expanded."""

from __future__ import annotations

import functools
import io
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from bidsmill.formats.hed_strings import load_schema, shipped_versions

# How hedtools finds `{column}` in a sidecar string (hed.models.sidecar.Sidecar.get_column_refs).
COLUMN_REFERENCE = re.compile(r"\{([a-z_\-0-9]+)\}", re.IGNORECASE)
Issue = dict[str, Any]
Cell = tuple[str | None, str | None]


@dataclass
class Rows:
    """What was assembled for the rows of an events table (see `assemble`).

    Attributes
    ----------
    strings : list of str
        The string of each row.
    issues : list of dict
        What is wrong with them.
    used : list of list of (str, str)
        For each row the columns that gave tags, each with the row's cell.
    """

    strings: list[str]
    issues: list[Issue]
    used: list[list[tuple[str, str]]]


def assemble(
    events: pd.DataFrame,
    sidecar: Mapping[str, Any],
    schema_version: str | Sequence[str] | None,
) -> tuple[list[str], list[Issue]]:
    """Return the HED string of every row of an events table, and what is wrong with them.

    A string is what hedtools assembles (``TabularInput.series_a``): categorical and value
    columns of the sidecar, column references ``{column}`` and a column ``HED`` of the table.
    ``Def/Name`` is then replaced by its expansion ``(Def-expand/Name, (...))`` (as hedtools'
    ``expand_defs`` does), because the definitions stand in the sidecar, which readers of a store
    do not have: so a search finds the tags inside definitions. ``HedString.shrink_defs`` undoes
    it. A string with an error, or that uses a part of the sidecar with an error, becomes ``''``.
    How ``Onset`` and ``Offset`` follow each other over rows is left to the validation of the
    dataset: it concerns no single string.

    Parameters
    ----------
    events : pandas.DataFrame
        The events table, all strings, as read from the file.
    sidecar : mapping
        The JSON sidecar after inheritance.
    schema_version : str, sequence of str or None
        ``HEDVersion`` of dataset_description.json; None is the newest version that hedtools
        ships, with a warning among the issues.

    Returns
    -------
    strings : list of str, length ``len(events)``
        ``''`` where there is no annotation or no valid one. Without any HED all are ``''``, and
        hedtools is not imported.
    issues : list of dict
        Sorted by row. Keys ``row`` (position in `events` from 0; None: concerns no row),
        ``column`` (None: the row as a whole), ``code`` (of the HED specification, appendix B, or
        ``HED_VERSION_MISSING``), ``severity`` (``error``; ``warning`` costs no string) and
        ``message``. There is one for each row that lost its string, or more; but columns that
        refer to themselves, or to each other in a circle, are one for all their rows.

    Raises
    ------
    BidsmillError
        If there is HED and hedtools is missing or does not ship `schema_version`.
    """
    rows = assemble_rows(events, sidecar, schema_version)
    return rows.strings, rows.issues


def assemble_rows(
    events: pd.DataFrame,
    sidecar: Mapping[str, Any],
    schema_version: str | Sequence[str] | None,
) -> Rows:
    """Return what `assemble` does, and which columns each row has its tags from.

    Parameters
    ----------
    events, sidecar, schema_version
        As for `assemble`.

    Raises
    ------
    BidsmillError
        As `assemble`.
    """
    rows = Rows([""] * len(events), [], [[] for _ in range(len(events))])
    annotations, issues = _annotations(sidecar)
    columns = _used_columns(events, annotations)
    ambiguous = [c for c in columns if not c or c != c.strip() or columns.count(c) > 1]
    if ambiguous:
        message = f"the column name {ambiguous[0]!r} is empty, repeated or has space around it"
        issues.append(new_issue(None, ambiguous[0], "TABULAR_INVALID", message))
    if ambiguous or not columns:
        rows.issues = sorted(issues, key=issue_order)
        return rows
    table = events[columns].reset_index(drop=True).astype(object).fillna("n/a").astype(str)
    table = table.replace("", "n/a")  # as hedtools does when it reads a file
    if not (table == "n/a").all(axis=None):
        if schema_version is None:
            issues.append(_version_missing())
        # Rows are assembled one by one: equal rows give equal strings.
        kind = table.groupby(columns, sort=False, dropna=False).ngroup().to_numpy()
        assembled = _Assembly(table.drop_duplicates().reset_index(drop=True), annotations)
        assembled.run(tuple(schema_version) if isinstance(schema_version, list) else schema_version)
        issues += assembled.issues_of_rows(kind)
        rows.strings = [assembled.strings[k] for k in kind]
        rows.used = [assembled.used[k] for k in kind]
    rows.issues = sorted(issues, key=issue_order)
    return rows


def issue_order(issue: Issue) -> tuple:
    """Return what issues are sorted by; those that concern no row come first."""
    row = -1 if issue["row"] is None else issue["row"]
    return row, issue["column"] or "", issue["code"], issue["message"]


def new_issue(
    row: int | None, column: str | None, code: str, message: str, severity: str = "error"
) -> Issue:
    """Return an issue, with its message on one line (for the keys see `assemble`)."""
    text = " ".join(message.split())
    return {"row": row, "column": column, "code": code, "severity": severity, "message": text}


def _version_missing() -> Issue:
    newest = shipped_versions()["standard"][0]
    message = f"dataset_description.json names no HEDVersion: read as {newest}, the newest known"
    return new_issue(None, None, "HED_VERSION_MISSING", message, "warning")


def _annotations(sidecar: Mapping[str, Any]) -> tuple[dict[str, dict], list[Issue]]:
    """Return the columns of a sidecar that carry well-formed HED, and issues for the others.

    hedtools stops at the first fault of structure; without the faulty parts the others are read.
    """
    annotations: dict[str, dict] = {}
    issues = []
    for column, entry in sidecar.items() if isinstance(sidecar, Mapping) else ():
        if not isinstance(entry, Mapping) or "HED" not in entry:
            continue
        hed = entry["HED"]
        faults = []
        if column == "HED":
            faults = ["a column of the sidecar is named HED: its annotations are not used"]
        elif isinstance(hed, Mapping):
            good = {k: text for k, text in hed.items() if isinstance(text, str) and text.strip()}
            faults = [f"the HED of {key!r} is not a text" for key in hed if key not in good]
            if good.pop("n/a", None) is not None:
                faults.append("'n/a' has HED, but stands for no value")
            if good:
                annotations[column] = {"HED": good}
        elif isinstance(hed, str) and "#" in hed:
            annotations[column] = {"HED": hed}
        else:
            faults = ["HED is neither texts by category nor one text with '#'"]
        issues += [new_issue(None, str(column), "SIDECAR_INVALID", fault) for fault in faults]
    return annotations, issues


def _used_columns(events: pd.DataFrame, annotations: Iterable[str]) -> list[str]:
    wanted = {"HED", *annotations}
    return [name for name in events.columns if isinstance(name, str) and name.strip() in wanted]


@functools.lru_cache(maxsize=16)
def _sidecar_faults(sidecar: str, version: Any) -> dict[Cell, list[Issue]]:
    """Return the errors of a sidecar by column and category (None: all of them).

    hedtools tries every combination of the categories that a string refers to, and most
    recordings of a dataset share a sidecar: hence the cache.
    """
    from hed import Sidecar

    faults: dict[Cell, list[Issue]] = {}
    checked = Sidecar(io.StringIO(sidecar))
    for found in _errors(checked.validate(load_schema(version), name="")):
        issue = new_issue(None, found.get("ec_sidecarColumnName"), found["code"], found["message"])
        cell = issue["column"], found.get("ec_sidecarKeyName")
        faults[cell] = _distinct([*faults.get(cell, ()), issue])
    return faults


def _errors(issues: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    from hed.errors.error_types import ErrorSeverity

    return [issue for issue in issues if issue["severity"] == ErrorSeverity.ERROR]


@dataclass
class _Assembly:
    """The assembled strings of the distinct rows of a table, and the errors of each."""

    table: pd.DataFrame
    annotations: dict[str, dict]
    strings: list[str] = field(default_factory=list)
    errors: list[list[Issue]] = field(default_factory=list)
    used: list[list[tuple[str, str]]] = field(default_factory=list)
    unused: list[Issue] = field(default_factory=list)

    def run(self, version: str | Sequence[str] | None) -> None:
        """Assemble, check and expand every distinct row."""
        schema = load_schema(version)
        from hed import HedString, Sidecar, TabularInput
        from hed.validator import HedValidator

        text = json.dumps(self.annotations)
        faults = dict(_sidecar_faults(text, version))
        sidecar = Sidecar(io.StringIO(text))
        referenced = sorted(sidecar.get_column_refs())
        # hedtools takes references in the order of a set, which changes from run to run.
        sidecar.get_column_refs = lambda: referenced
        definitions = sidecar.get_def_dict(schema)
        self._add_value_faults(faults, schema, definitions)
        tabular = TabularInput(self.table, sidecar=sidecar)
        pieces = tabular.assemble(skip_curly_braces=True).to_dict("records")
        validator = HedValidator(schema, def_dicts=definitions)
        met: set[Cell] = set()
        for text, piece, cells in zip(
            tabular.series_a.astype(str), pieces, self.table.to_dict("records"), strict=True
        ):
            used = _used_pieces(piece, referenced)
            keys = _fault_keys(used, cells)
            met.update(keys)
            errors = [issue for key in keys for issue in faults.get(key, ())]
            if text and not errors:
                string = HedString(text, schema, definitions)
                found = _errors(validator.validate(string, allow_placeholders=False))
                errors = _distinct(new_issue(None, None, e["code"], e["message"]) for e in found)
                if not errors and "def/" in text.casefold():
                    text = str(string.expand_defs())
            self.strings.append("" if errors else text)
            self.errors.append(errors)
            self.used.append([(column, cells[column]) for column in used])
        self.unused = [i for key, found in faults.items() if key not in met for i in found]

    def _add_value_faults(self, faults: dict[Cell, list[Issue]], schema: Any, definitions: Any):
        """Add what is wrong with single cells of value columns and of the column ``HED``."""
        from hed.errors import ErrorHandler
        from hed.validator.spreadsheet_validator import SpreadsheetValidator

        validator = SpreadsheetValidator(schema, definitions)
        for column in self.table.columns:
            template = self.annotations.get(column, {}).get("HED")
            first_row = self.table.index[~self.table[column].duplicated()]
            cells = {self.table.at[row, column]: [row] for row in first_row}
            cells = {cell: rows for cell, rows in cells.items() if cell != "n/a"}
            found: list[Mapping[str, Any]] = []
            if column == "HED":
                found = validator.validate_hed_column(column, cells, ErrorHandler())
            elif isinstance(template, str):
                found = validator.validate_value_column(column, template, cells, ErrorHandler())
                found += validator.validate_padded_values(column, cells, ErrorHandler())
            for error in _errors(found):
                key = column, self.table.at[error["ec_row"], column]
                issue = new_issue(None, column, error["code"], error["message"])
                faults[key] = _distinct([*faults.get(key, ()), issue])

    def issues_of_rows(self, kind: np.ndarray) -> list[Issue]:
        """Return the issues of all rows, where ``kind[row]`` is the distinct row."""
        return self.unused + [
            {**issue, "row": row} for row, k in enumerate(kind.tolist()) for issue in self.errors[k]
        ]


def _used_pieces(pieces: Mapping[str, str], referenced: Sequence[str]) -> dict[str, str]:
    """Return what columns give to one row: those not referenced, and what they refer to."""
    given = {c: str(p) for c, p in pieces.items() if str(p) not in ("", "n/a")}
    used = {column: piece for column, piece in given.items() if column not in referenced}
    for piece in list(used.values()):
        for column in COLUMN_REFERENCE.findall(piece):
            if column in given:
                used[column] = given[column]
    return used


def _fault_keys(used: Mapping[str, str], cells: Mapping[str, str]) -> list[Cell]:
    """Return where faults of the sidecar that concern one row may stand."""
    keys: list[Cell] = []
    for column in used:
        keys += [(column, cells[column]), (column, None)]
    if any("{" in piece for piece in used.values()):
        # hedtools names no column for references that go round in circles.
        keys.append((None, None))
    return keys


def _distinct(issues: Iterable[Issue]) -> list[Issue]:
    listed: list[Issue] = []
    for issue in issues:
        if issue not in listed:
            listed.append(issue)
    return listed
