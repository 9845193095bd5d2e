"""Rows go into a matrix file, one row group at a time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from bidsmill.convert.chain import block_samples
from bidsmill.convert.rows import Rows
from bidsmill.formats.files import atomic_path, remove_parts
from bidsmill.formats.matrix import MatrixWriter, rows_per_group
from bidsmill.signal.source import Signal


def write_matrix(
    output: Path,
    signal: Signal,
    rows: Rows,
    names: list[str],
    windows: dict[str, Any],
    metadata: dict[str, Any],
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
    remove_parts(output)
    with atomic_path(output) as part, MatrixWriter(part, names, rows.length) as writer:
        for first in range(0, len(rows.starts), per_group):
            starts = rows.starts[first : first + per_group]
            block = read_windows(signal, starts, rows.length)
            if baseline is not None:
                block -= block[:, :, baseline].mean(axis=2, keepdims=True, dtype=np.float64)
            unusable = ~np.isfinite(block).all(axis=(0, 2))
            excluded.update({int(first + row): "not_finite" for row in np.flatnonzero(unusable)})
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


def read_windows(signal: Signal, starts: np.ndarray, length: int) -> np.ndarray:
    """Read windows of a signal; those that lie close to each other in one go.

    Parameters
    ----------
    signal : Signal
        What to read.
    starts : ndarray of int64, shape (n_windows,)
        Sorted first samples.
    length : int
        Samples per window.

    Returns
    -------
    ndarray of float32, shape (n_channels, n_windows, length)
    """
    block = np.empty((signal.n_channels, len(starts), length), np.float32)
    limit = max(block_samples(signal.n_channels), length)
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
    begin = int(starts[0])
    data = signal.read(begin, int(starts[-1]) + length)
    if len(starts) > 1 and np.all(np.diff(starts) == length):
        out[:] = data.reshape(out.shape)
        return
    for index, start in enumerate(starts - begin):
        out[:, index] = data[:, start : start + length]
