"""Rows go into a matrix file, one row group at a time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from bidsmill.bids.recording_signal import block_samples
from bidsmill.convert.quality import QualityMeter
from bidsmill.convert.rows import Rows
from bidsmill.formats.files import atomic_path, remove_parts
from bidsmill.formats.matrix import MatrixWriter, rows_per_group
from bidsmill.signal.source import Signal

# A computed signal keeps blocks of its own, so that it may be read in small pieces: a fraction of
# what is read of a file at once, which stays in the processor's cache while it is cast.
COMPUTED_SHARE = 8


def write_matrix(
    output: Path,
    signal: Signal,
    rows: Rows,
    names: list[str],
    windows: dict[str, Any],
    metadata: dict[str, Any],
    meter: QualityMeter | None = None,
) -> tuple[dict[int, str], dict[str, Any]]:
    """Write the rows of a recording, one row group at a time.

    Parameters
    ----------
    output : pathlib.Path
        ``matrix/{recording}.parquet``.
    signal : Signal
        What the rows are cut from.
    rows : Rows
        Where they lie.
    names : list of str
        Column names, in the order of the signal's channels.
    windows : dict
        ``windows`` of the dataset.
    metadata : dict
        The document of the file.
    meter : QualityMeter, optional
        Measures the rows on their way, before the baseline is subtracted.

    Returns
    -------
    excluded : dict
        Row -> ``not_finite`` for rows that hold a NaN or an infinity.
    stated : dict
        As `MatrixWriter.close` returns it.
    """
    per_group = rows_per_group(len(names), rows.length)
    baseline = _baseline_samples(windows, signal.sfreq, rows.length)
    excluded: dict[int, str] = {}
    # One array for all row groups: new memory for each would have to be cleared by the system.
    space = np.empty((len(names), min(per_group, len(rows.starts)), rows.length), np.float32)
    remove_parts(output)
    with atomic_path(output) as part, MatrixWriter(part, names, rows.length) as writer:
        for first in range(0, len(rows.starts), per_group):
            starts = rows.starts[first : first + per_group]
            if len(starts) < space.shape[1]:
                space = np.empty((len(names), len(starts), rows.length), np.float32)
            block = read_windows(signal, starts, rows.length, space)
            if meter is not None:
                meter.add(first, block)
            if baseline is not None:
                block -= block[:, :, baseline].mean(axis=2, keepdims=True, dtype=np.float64)
            excluded.update({int(first + row): "not_finite" for row in rows_not_finite(block)})
            writer.write_group(block)
        stated = writer.close(metadata)
    return excluded, stated


def _baseline_samples(windows: dict[str, Any], sfreq: float, length: int) -> slice | None:
    span = windows.get("baseline")
    if not span:
        return None
    low = min(max(0, round((span[0] - windows["tmin"]) * sfreq)), length - 1)
    high = min(length, round((span[1] - windows["tmin"]) * sfreq))
    return slice(low, max(high, low + 1))


def rows_not_finite(block: np.ndarray) -> np.ndarray:
    """Return which windows of a block (channels, windows, times) hold a NaN or an infinity."""
    with np.errstate(invalid="ignore", over="ignore"):
        # A sum is finite only if every term is; the rest is seldom, and then looked at closely.
        if np.isfinite(block.sum()):
            return np.empty(0, np.intp)
    return np.flatnonzero(~np.isfinite(block).all(axis=(0, 2)))


def read_windows(
    signal: Signal, starts: np.ndarray, length: int, out: np.ndarray | None = None
) -> np.ndarray:
    """Read windows of a signal; those that lie close to each other in one go.

    Parameters
    ----------
    signal : Signal
        What to read.
    starts : ndarray of int64, shape (n_windows,)
        Sorted first samples.
    length : int
        Samples per window.
    out : ndarray of float32, shape (n_channels, n_windows, length), optional
        Where they go, in C order.

    Returns
    -------
    ndarray of float32, shape (n_channels, n_windows, length)
    """
    block = np.empty((signal.n_channels, len(starts), length), np.float32) if out is None else out
    limit = block_samples(signal.n_channels)
    if not hasattr(signal, "read_into"):
        limit //= COMPUTED_SHARE
    limit = max(limit, length)
    # What lies between two windows is read along when that costs less than another call.
    joined = max(length, round(getattr(signal, "reach_seconds", 0.0) * signal.sfreq))
    first = 0
    while first < len(starts):
        last = first
        while (
            last + 1 < len(starts)
            and starts[last + 1] - (starts[last] + length) <= joined
            and starts[last + 1] + length - starts[first] <= limit
        ):
            last += 1
        _read_run(signal, starts[first : last + 1], length, block[:, first : last + 1])
        first = last + 1
    return block


def _read_run(signal: Signal, starts: np.ndarray, length: int, out: np.ndarray) -> None:
    begin, end = int(starts[0]), int(starts[-1]) + length
    read_into = getattr(signal, "read_into", None)
    if np.all(np.diff(starts) == length):
        # Neighbours without overlap: their samples stand in `out` as they do in the signal.
        flat = out.reshape(len(out), -1)
        assert np.shares_memory(flat, out)
        if read_into is not None:
            read_into(begin, end, flat)
        else:
            flat[:] = signal.read(begin, end)
        return
    if read_into is not None:
        data = np.empty((len(out), end - begin), np.float32)
        read_into(begin, end, data)
    else:
        data = signal.read(begin, end)
    for index, start in enumerate(starts - begin):
        out[:, index] = data[:, start : start + length]
