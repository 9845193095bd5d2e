"""Which rows of a matrix the report looks at, and how it reads them.

A matrix is read one row group at a time and only some of its rows are looked at, so memory and
time stay bounded whatever the size of the dataset.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from bidsmill.formats.matrix import MatrixFile

GOLDEN = (5**0.5 - 1) / 2
# Rows are worked on in pieces of this many values (32 MB as float64).
PIECE = 4_000_000


def spread(n: int, wanted: int) -> np.ndarray:
    """Choose `wanted` of `n` places: one of each of `wanted` stretches of (nearly) equal length.

    Within its stretch the place follows the multiples of the golden ratio, a sequence of low
    discrepancy (Niederreiter, 1992, section 3.1), so that a regular order of the rows, such as
    two alternating classes, is not met in step.

    Returns
    -------
    numpy.ndarray
        Shape (min(n, wanted),), int64, rising.
    """
    if wanted >= n:
        return np.arange(n)
    borders = np.arange(wanted + 1) * n // wanted
    within = (np.arange(wanted) * GOLDEN + 0.5) % 1.0
    return borders[:-1] + np.floor(within * np.diff(borders)).astype(np.int64)


def evenly(n: int, wanted: int) -> np.ndarray:
    """Choose `wanted` of `n` places at equal distances, with the first and the last.

    Returns
    -------
    numpy.ndarray
        Shape (min(n, wanted),), int64, rising.
    """
    return np.linspace(0, n - 1, min(n, wanted)).round().astype(np.int64)


def choose_rows(
    kept: np.ndarray, group_rows: list[int], most_rows: int, most_groups: int
) -> np.ndarray:
    """Choose rows of a matrix, spread over few of its row groups.

    Parameters
    ----------
    kept : numpy.ndarray
        Shape (n,), int: the rows that may be chosen, rising.
    group_rows : list of int
        Rows of each row group.
    most_rows, most_groups : int
        At most this many rows, of at most this many row groups.

    Returns
    -------
    numpy.ndarray
        Rising rows, int64.
    """
    kept = np.asarray(kept, np.int64)
    group = np.searchsorted(np.cumsum(group_rows), kept, side="right")
    present = np.unique(group)
    near = kept[np.isin(group, present[spread(len(present), most_groups)])]
    return near[spread(len(near), most_rows)]


def read_rows(matrix: MatrixFile, rows: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Read rows of a matrix in pieces.

    Parameters
    ----------
    matrix : MatrixFile
        The file.
    rows : numpy.ndarray
        Rising rows.

    Yields
    ------
    places : numpy.ndarray
        Where the rows of this piece stand in `rows`.
    block : numpy.ndarray
        float64, shape (len(places), channels, times), in the units of the file.
    """
    per_piece = max(1, PIECE // max(1, len(matrix.channels) * matrix.n_times))
    start = 0
    for group, size in enumerate(matrix.group_rows):
        low, high = np.searchsorted(rows, [start, start + size])
        if high > low:
            values = matrix.read_group(group)
            for first in range(low, high, per_piece):
                places = np.arange(first, min(first + per_piece, high))
                yield places, values[rows[places] - start].astype(np.float64)
        start += size
