"""Sparse matrices, which all formats give as full ones."""

from __future__ import annotations

import math

import numpy as np

# A matrix of a few entries can claim any size. Those of the links between 15,000 vertices are
# common in files of head models, and nobody wants them here.
MOST_BYTES = 2**30


def dense(
    rows: np.ndarray, columns: np.ndarray, values: np.ndarray, shape: tuple[int, ...]
) -> np.ndarray | None:
    """Return a sparse matrix as a full one; None where that would take more than 1 GB.

    Parameters
    ----------
    rows, columns : numpy.ndarray of int
        Place of each entry, from 0.
    values : numpy.ndarray
        The entries.
    shape : tuple of int
        Of the matrix.

    Raises
    ------
    ValueError
        If an entry is outside of the matrix.
    """
    for places, length in zip((rows, columns), shape, strict=True):
        if places.size and not 0 <= places.min() <= places.max() < length:
            raise ValueError("a sparse matrix has entries outside of itself")
    if math.prod(shape) * values.dtype.itemsize > MOST_BYTES:
        return None
    matrix = np.zeros(shape, values.dtype)
    matrix[rows, columns] = values
    return matrix


def columns_of(starts: np.ndarray, entries: int) -> np.ndarray:
    """Return the column of each entry, from where each column begins.

    Parameters
    ----------
    starts : numpy.ndarray of int, shape (columns + 1,)
        Number of the first entry of each column, and the number of all entries.
    entries : int
        How many there are.

    Raises
    ------
    ValueError
        If these are no such numbers.
    """
    starts = np.asarray(starts, np.int64)
    rising = len(starts) and starts[0] == 0 and (np.diff(starts) >= 0).all()
    if not rising or starts[-1] != entries:
        raise ValueError("the columns of a sparse matrix are damaged")
    return np.repeat(np.arange(len(starts) - 1), np.diff(starts))
