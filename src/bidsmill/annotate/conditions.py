"""Conditions on rows: by HED, by a column, and combinations of them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from bidsmill.annotate.choice import matching
from bidsmill.bids.events import seconds
from bidsmill.errors import BidsmillError
from bidsmill.formats import hed_strings

if TYPE_CHECKING:
    import pandas as pd

RANGE: dict[str, Callable[[np.ndarray, float], np.ndarray]] = {
    "above": np.greater,
    "at_least": np.greater_equal,
    "below": np.less,
    "at_most": np.less_equal,
}


@dataclass
class Truth:
    """What is known of a condition for each row.

    Neither holds nor fails where the row has no value to judge by, as with NULL in SQL: the
    negation of a condition does not hold there either.

    Attributes
    ----------
    holds, fails : ndarray of bool, shape (n_rows,)
    """

    holds: np.ndarray
    fails: np.ndarray


@dataclass
class Rows:
    """The rows of a dataset, as the conditions of one label see them.

    Attributes
    ----------
    label : str
        Its name, for errors.
    samples : DataFrame
        One row per row of the matrices.
    event_columns : DataFrame of str
        All columns of the row's event, row by row.
    hed_version : str, list of str or None
        The dataset's HED version.
    found, absent : set of str
        Columns (and ``hed``) that conditions asked for, as far as the dataset has them or not.
    """

    label: str
    samples: pd.DataFrame
    event_columns: pd.DataFrame
    hed_version: Any
    found: set[str] = field(default_factory=set)
    absent: set[str] = field(default_factory=set)

    def __len__(self) -> int:
        return len(self.samples)

    def cells(self, column: str) -> list[str] | None:
        """Return a column as text, row by row; None if neither rows nor events have it."""
        for table in (self.samples, self.event_columns):
            if column in table.columns:
                self.found.add(column)
                return [str(cell) for cell in table[column]]
        self.absent.add(column)
        return None

    def strings(self, context: bool) -> list[str]:
        """Return the HED of each row, if wanted together with the scopes it lies in."""
        self.found.add("hed")
        strings = list(self.samples["HED"])
        if not context or "HED_context" not in self.samples:
            return strings
        pairs = zip(strings, self.samples["HED_context"], strict=True)
        return [",".join(part for part in pair if part) for pair in pairs]

    def unknown(self) -> Truth:
        """Return that nothing is known of any row."""
        return Truth(np.zeros(len(self), bool), np.zeros(len(self), bool))

    def judged(self, cells: list[str], judge: Callable[[list[str]], np.ndarray]) -> Truth:
        """Judge each distinct cell once; nothing is known of empty ones.

        Distinct cells are few, and one that a regular expression takes long over costs only once.
        """
        distinct = sorted(set(cells) - {""})
        verdict = dict(zip(distinct, judge(distinct).tolist(), strict=True))
        holds = np.array([verdict.get(cell, False) for cell in cells], bool)
        return Truth(holds, np.array([cell != "" for cell in cells], bool) & ~holds)


def evaluate(condition: dict[str, Any], rows: Rows) -> Truth:
    """Return for which rows a condition holds.

    Parameters
    ----------
    condition : dict
        ``{hed: query}``, ``{column: c, values | matches | above, ...: ...}``, ``{all: [...]}``,
        ``{any: [...]}`` or ``{not: ...}``, as the schema of the config has it.
    rows : Rows
        The rows; keeps which columns were asked for.

    Returns
    -------
    Truth
        A column that the dataset has not is unknown for every row.

    Raises
    ------
    BidsmillError
        If a query or a regular expression is malformed; it names the label.
    """
    if "hed" in condition:
        return _by_hed(condition["hed"], bool(condition.get("context")), rows)
    if "not" in condition:
        inner = evaluate(condition["not"], rows)
        return Truth(inner.fails, inner.holds)
    for key, of_one, of_all in (("all", "fails", "holds"), ("any", "holds", "fails")):
        if key in condition:
            parts = [evaluate(part, rows) for part in condition[key]]
            some = np.logical_or.reduce([getattr(part, of_one) for part in parts])
            every = np.logical_and.reduce([getattr(part, of_all) for part in parts])
            return Truth(**{of_one: some, of_all: every})
    return _by_column(condition, rows)


def _by_hed(query: str, context: bool, rows: Rows) -> Truth:
    strings = rows.strings(context)
    try:
        holds = hed_strings.search(strings, query, rows.hed_version)
    except BidsmillError as error:
        raise BidsmillError(
            f"the label {rows.label!r}: {error.what}",
            found=error.found,
            expected=error.expected,
            todo=error.todo or f"correct `labels.{rows.label}` in the config",
        ) from None
    known = np.array([string not in ("", "n/a") for string in strings], bool)
    return Truth(holds, known & ~holds)


def _by_column(condition: dict[str, Any], rows: Rows) -> Truth:
    cells = rows.cells(condition["column"])
    if cells is None:
        return rows.unknown()
    if "values" in condition:
        return rows.judged(cells, lambda distinct: matching(distinct, condition["values"]))
    if "matches" in condition:
        pattern = compiled(condition["matches"], rows.label)
        return rows.judged(
            cells, lambda distinct: np.array([bool(pattern.search(c)) for c in distinct], bool)
        )
    numbers = np.array([seconds(cell) for cell in cells], float)
    holds = ~np.isnan(numbers)
    fails = np.zeros(len(numbers), bool)
    for key, compare in RANGE.items():
        if key in condition:
            inside = compare(numbers, float(condition[key]))
            fails |= ~inside & ~np.isnan(numbers)
            holds &= inside
    return Truth(holds, fails)


def compiled(pattern: str, label: str) -> re.Pattern[str]:
    """Return a compiled regular expression.

    Raises
    ------
    BidsmillError
        If it is malformed; it names the label.
    """
    try:
        return re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise BidsmillError(
            f"the label {label!r} has a malformed regular expression",
            found=f"{pattern!r} ({error})",
            expected="a regular expression as Python's module `re` has it",
            todo=f"correct `labels.{label}` in the config",
        ) from None
