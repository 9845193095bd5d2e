"""The table of epocs: its columns, their types, and how they are checked."""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from bidsmill.errors import BidsmillError
from bidsmill.formats.stream_core import StreamCore

if TYPE_CHECKING:
    import pandas as pd

# Columns of every table: name -> (type in pandas, unit). All but the first and the third may be
# empty.
COLUMNS = {
    "onset": ("float64", "s"),
    "duration": ("float64", "s"),
    "onset_sample": ("int64", "1"),
    "code": ("Int64", ""),
    "value": ("float64", ""),
    "label": ("object", ""),
    "HED": ("object", ""),
    "channel": ("object", ""),
}
TEXTS = ("label", "HED", "channel")
# An onset may lie this share of a sample outside of its stream: onsets are rounded for people.
ROUNDING = 0.5


def samples_at(onsets: np.ndarray, t0: float, sfreq: float) -> np.ndarray:
    """Return the samples nearest to times; one that lies between two takes the later.

    Parameters
    ----------
    onsets : ndarray of float64
        In s, on the clock.
    t0 : float
        Time of the first sample in s.
    sfreq : float
        Sampling rate in Hz.
    """
    # To 1e-6 of a sample, so that what was stored in decimals does not fall to the other side.
    exact = np.round((np.asarray(onsets, np.float64) - t0) * sfreq, 6)
    return np.floor(exact + 0.5).astype(np.int64)


def with_all_columns(table: pd.DataFrame, stream: StreamCore, name: str) -> pd.DataFrame:
    """Return a table with all columns of `COLUMNS` in their order, and further ones behind them.

    Parameters
    ----------
    table : DataFrame
        Has ``onset`` or ``onset_sample``.
    stream : StreamCore
        Whose samples are counted.
    name : str
        What messages name.

    Raises
    ------
    BidsmillError
        That names the column and the row.
    """
    import pandas as pd

    frame = table.reset_index(drop=True)
    if "onset" not in frame and "onset_sample" in frame:
        samples = frame["onset_sample"].to_numpy(np.float64)
        frame = frame.assign(onset=stream.t0 + samples / stream.sfreq)
    if "onset" not in frame:
        raise problem(name, "onset", "no such column", "a column of seconds on the clock")
    if "onset_sample" not in frame:
        onsets = _numbers(frame["onset"], name, "onset", needed=True)
        frame = frame.assign(onset_sample=samples_at(onsets, stream.t0, stream.sfreq))
    columns: dict[str, Any] = {}
    for column, (kind, _) in COLUMNS.items():
        if column in TEXTS:
            columns[column] = _text(frame.get(column, [None] * len(frame)))
            continue
        needed = column in ("onset", "onset_sample")
        values = _numbers(frame.get(column, [math.nan] * len(frame)), name, column, needed)
        if column == "duration":
            # dspAnt writes an infinite end where none was seen.
            values = np.where(np.isinf(values), np.nan, values)
            if (values < 0).any():
                raise problem(name, column, values[values < 0][0], "seconds of 0 or more")
        if kind.lower() == "int64" and (values[np.isfinite(values)] % 1).any():
            raise problem(name, column, values[values % 1 != 0][0], "whole numbers")
        columns[column] = pd.array(values, dtype=kind) if kind == "Int64" else values.astype(kind)
    further = {str(c): _plain(frame[c]) for c in frame.columns if c not in COLUMNS}
    for column, values in further.items():
        if values.dtype == object:
            further[column] = _text(values)
    every = {**columns, **further}
    kinds = {name: kept_type(values) for name, values in every.items()}
    return pd.DataFrame({n: pd.Series(v, dtype=kinds[n]) for n, v in every.items()})


def _plain(column: pd.Series) -> np.ndarray:
    """Return a further column as numbers or as objects."""
    return column.to_numpy() if column.dtype.kind in "biuf" else column.to_numpy(object)


def _numbers(values: Any, name: str, column: str, needed: bool) -> np.ndarray:
    import pandas as pd

    found = pd.Series(values)
    numbers = pd.to_numeric(found, errors="coerce").to_numpy(np.float64, na_value=np.nan)
    missing = found.isna().to_numpy()
    lost = ~np.isfinite(numbers) if needed else np.isnan(numbers) & ~missing
    if lost.any():
        row = int(np.flatnonzero(lost)[0])
        raise problem(name, column, f"{found.iloc[row]!r} in row {row}", "a finite number")
    return numbers


def _text(values: Any) -> np.ndarray:
    import pandas as pd

    found = np.empty(len(values), object)
    for row, value in enumerate(values):
        # NaN is not itself.
        missing = value is None or value is pd.NA or value == "" or value != value
        found[row] = None if missing else str(value)
    return found


def check_inside(frame: pd.DataFrame, stream: StreamCore, name: str, outside: str) -> None:
    """Compare onsets with their samples, and with the span of the stream (see `make_epocs`)."""
    times = (frame["onset"].to_numpy() - stream.t0) * stream.sfreq
    out = (times < -ROUNDING) | (times > stream.n_samples + ROUNDING)
    samples = samples_at(frame["onset"].to_numpy(), stream.t0, stream.sfreq)
    wrong = np.abs(samples - frame["onset_sample"].to_numpy()) > 1
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        found = f"{frame['onset_sample'].iloc[row]} in row {row}"
        raise problem(name, "onset_sample", found, f"{samples[row]}, the sample of the onset")
    if not out.any():
        return
    row = int(np.flatnonzero(out)[0])
    error = problem(
        name,
        "onset",
        f"{frame['onset'].iloc[row]:g} s in row {row} ({int(out.sum())} such events)",
        f"{stream.t0:g} to {stream.t0 + stream.duration:g} s, where the stream has samples",
    )
    if outside == "error":
        raise error
    warnings.warn(str(error), UserWarning, stacklevel=4)


def problem(name: object, column: str, found: object, expected: str) -> BidsmillError:
    """Return the error for a column."""
    return BidsmillError(
        f"the column {column} of epocs is not as it must be",
        file=name,
        found=found,
        expected=expected,
        todo="correct the events, or the stream that they belong to",
    )


def kept_type(values: Any) -> Any:
    """Return the type that a column keeps: pandas would guess one for text."""
    return object if values.dtype == object else values.dtype
