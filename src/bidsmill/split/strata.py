"""Strata: what a split keeps in proportion. A stratum is one value of one column."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bidsmill.errors import BidsmillError
from bidsmill.formats.certificate import group_ids, text_column

if TYPE_CHECKING:
    import pandas as pd

MOST_CLASSES = 50
NUMERIC_ABOVE = 10
QUANTILE_BINS = 5


@dataclass(frozen=True)
class Column:
    """One column of `samples` as strata.

    Attributes
    ----------
    name : str
        The column.
    numeric : bool
        Whether the strata are quantile bins of numbers.
    values : tuple of str
        The strata: classes or bins in order, and '' (empty) first where it occurs.
    codes : numpy.ndarray
        Shape (rows,), int64: the place of each row's stratum in `values`; -1 for a row that
        does not count (excluded) and holds a value that no counted row holds.
    """

    name: str
    numeric: bool
    values: tuple[str, ...]
    codes: np.ndarray


def kept_rows(samples: pd.DataFrame) -> np.ndarray:
    """Return which rows are not excluded; shape (rows,), bool."""
    return text_column(samples, "excluded") == ""


def counted_rows(samples: pd.DataFrame) -> np.ndarray:
    """Return which rows count for balance: kept, and of a participant; shape (rows,), bool."""
    return kept_rows(samples) & (group_ids(samples, "subject") != "")


def chosen_columns(samples: pd.DataFrame, labels: list[str], stratify: Any) -> list[str]:
    """Return the columns that a configuration asks to balance, each once, in its order.

    Parameters
    ----------
    samples : pandas.DataFrame
        One row per window.
    labels : list of str
        The label columns of the dataset.
    stratify : "labels" or list of str
        Every label column, or names of label and `participant_*` columns.

    Raises
    ------
    BidsmillError
        If a name is not allowed, or a label is not a column of `samples`.
    """
    participant = sorted(str(c) for c in samples.columns if str(c).startswith("participant_"))
    allowed = list(dict.fromkeys([*labels, *participant]))
    if isinstance(stratify, list | tuple):
        wanted = [str(name) for name in stratify]
    elif stratify == "labels":
        wanted = list(labels)
    else:
        raise BidsmillError(
            "split: stratify is no list of columns",
            found=repr(stratify),
            expected="'labels' or a list of names",
        )
    for name in wanted:
        if name not in allowed or name not in samples:
            raise BidsmillError(
                f"split: stratify names a column that cannot be balanced: {name!r}",
                found=name,
                expected="one of " + (", ".join(allowed) or "(no label, no participant column)"),
            )
    return list(dict.fromkeys(wanted))


def strata_of(samples: pd.DataFrame, names: list[str]) -> list[Column]:
    """Turn columns of `samples` into strata.

    Every row stands in one stratum of each column, and empty is a stratum of its own. A column
    is numeric if every value of a row that counts parses as a finite float and there are more
    than 10 distinct ones; its strata are 5 quantile bins over those rows (fewer where quantiles
    coincide), closed on the right, whose borders are values of the column (the inverse of the
    empirical distribution, definition 1 of Hyndman and Fan, 1996). Any other column has one
    stratum per distinct value.

    Parameters
    ----------
    samples : pandas.DataFrame
        One row per window; only rows that count (`counted_rows`) decide classes and bins.
    names : list of str
        Columns of `samples`.

    Raises
    ------
    BidsmillError
        If a column that is not numeric has more than 50 classes, or a value of its own in
        each of three or more labelled rows. The message names the column.
    """
    counted = counted_rows(samples)
    return [_column(name, value_texts(samples[name]), counted) for name in names]


def value_texts(column: pd.Series) -> np.ndarray:
    """Return values as text, so that 1, 1.0 and '1' of any storage are one class."""
    plain = column.astype(object)
    return np.array([_text(v) for v in plain.where(plain.notna(), "")], dtype=object).reshape(
        len(column)
    )


def _text(value: Any) -> str:
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    if isinstance(value, bool | np.bool_):
        return str(bool(value)).lower()
    return repr(float(value)) if isinstance(value, float | np.floating) else str(value)


def _column(name: str, texts: np.ndarray, kept: np.ndarray) -> Column:
    counted = texts[kept]
    distinct = sorted(set(counted) - {""})
    numbers = {text: _number(text) for text in set(texts)}
    if len(distinct) > NUMERIC_ABOVE and all(numbers[t] is not None for t in distinct):
        return _numeric_column(name, texts, kept, numbers)
    labelled = int((counted != "").sum())
    if len(distinct) > MOST_CLASSES:
        _refuse(name, f"{len(distinct)} classes", f"at most {MOST_CLASSES} classes")
    if len(distinct) == labelled and labelled > 2:
        _refuse(name, f"{labelled} rows, each with a value of its own", "classes that repeat")
    values = ([""] if (counted == "").any() else []) + distinct
    place = {value: i for i, value in enumerate(values)}
    codes = np.array([place.get(t, -1) for t in texts], dtype=np.int64)
    return Column(name, False, tuple(values), codes)


def _refuse(name: str, found: str, expected: str) -> None:
    raise BidsmillError(
        f"split: the column {name!r} cannot be balanced",
        found=found,
        expected=expected,
        todo="name other columns in split: stratify",
    )


def _number(text: str) -> float | None:
    """Return the finite number that a text spells, or None."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) and "_" not in text else None


def _numeric_column(name, texts, kept, numbers) -> Column:
    value_of = {text: math.nan if n is None else n for text, n in numbers.items()}
    value = np.array([value_of[t] for t in texts], dtype=float)
    counted = value[kept & (texts != "")]
    ordered = np.sort(counted)
    # The smallest value that k/5 of the rows do not exceed, in whole numbers: free of rounding.
    places = [-(-k * len(ordered) // QUANTILE_BINS) - 1 for k in range(1, QUANTILE_BINS + 1)]
    upper = np.unique(ordered[places])
    lower = np.concatenate([ordered[:1], upper[:-1]])
    bins = [
        f"{'(' if i else '['}{_text(float(a))}, {_text(float(b))}]"
        for i, (a, b) in enumerate(zip(lower, upper, strict=True))
    ]
    has_empty = bool((texts[kept] == "").any())
    codes = np.searchsorted(upper, value, side="left").astype(np.int64) + int(has_empty)
    beyond = ~((value >= lower[0]) & (value <= upper[-1]))
    codes[beyond] = -1
    if has_empty:
        codes[texts == ""] = 0
    return Column(name, True, tuple(([""] if has_empty else []) + bins), codes)


def count_strata(columns: list[Column], groups: np.ndarray, n_groups: int) -> np.ndarray:
    """Count the rows of each group in each stratum.

    Parameters
    ----------
    columns : list of Column
        The strata.
    groups : numpy.ndarray
        Shape (rows,), int64: the number of each row's group, or -1 for a row not to count.
    n_groups : int
        How many groups there are.

    Returns
    -------
    numpy.ndarray
        Shape (n_groups, strata of all columns in order), int64.
    """
    parts = [np.zeros((n_groups, 0), dtype=np.int64)]
    for column in columns:
        size = len(column.values)
        counts = (groups >= 0) & (column.codes >= 0)
        place = groups[counts] * size + column.codes[counts]
        parts.append(np.bincount(place, minlength=n_groups * size).reshape(n_groups, size))
    return np.concatenate(parts, axis=1)


def stratum_weights(columns: list[Column], balanced: np.ndarray) -> np.ndarray:
    """Return the weight of each stratum in the objective.

    Each column weighs the same (1), and its strata share that weight equally, so that neither
    a column of many classes nor a class of many rows drowns the others.

    Parameters
    ----------
    columns : list of Column
        The strata.
    balanced : numpy.ndarray
        Shape (strata,), bool: False for strata that are impossible to balance (weight 0).

    Returns
    -------
    numpy.ndarray
        Shape (strata,), float64.
    """
    weights = np.zeros(len(balanced))
    start = 0
    for column in columns:
        part = slice(start, start + len(column.values))
        if balanced[part].any():
            weights[part] = balanced[part] / balanced[part].sum()
        start = part.stop
    return weights
