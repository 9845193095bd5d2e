"""Start solutions that others would use: the folds of scikit-learn's StratifiedGroupKFold."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from fractions import Fraction
from itertools import combinations, islice

import numpy as np

# A try takes about 2 s per million rows, as scikit-learn visits them one by one.
MOST_ROWS = 500_000
# A share is made of whole folds: 0.2 of one in five, 0.4 of two in five, 0.35 of one in three.
MOST_FOLDS = 20
MOST_UNIONS = 100


def folds_of(share: float) -> tuple[int, int]:
    """Return how many folds of how many are nearest to a share: (2, 5) for 0.4."""
    nearest = Fraction(str(share)).limit_denominator(MOST_FOLDS)
    if nearest == 0:
        return 1, MOST_FOLDS
    if nearest == 1:
        return MOST_FOLDS - 1, MOST_FOLDS
    return nearest.numerator, nearest.denominator


def stratified_choices(counts: np.ndarray, rows: np.ndarray, share: float) -> Iterator[np.ndarray]:
    """Yield the choices of groups that the folds of StratifiedGroupKFold give.

    It balances one class per row. So each column of strata is tried alone, and all of them
    together, as if every row were there once per column; as many of these as half a million rows
    allow, and at least the first column.

    Parameters
    ----------
    counts, rows
        As for `bidsmill.split.optimiser.choose_groups`, in an order of the groups that depends
        on nothing but their ids.
    share : float
        The wished share of rows.

    Yields
    ------
    numpy.ndarray
        Shape (groups,), bool.
    """
    wanted, n_folds = folds_of(share)
    for fold in stratified_folds(counts, rows, n_folds):
        for union in islice(combinations(range(n_folds), wanted), MOST_UNIONS):
            yield np.isin(fold, union)


def stratified_folds(counts: np.ndarray, rows: np.ndarray, n_folds: int) -> Iterator[np.ndarray]:
    """Yield partitions into folds, as StratifiedGroupKFold makes them (see above).

    Parameters
    ----------
    counts, rows
        As for `stratified_choices`.
    n_folds : int
        How many folds.

    Yields
    ------
    numpy.ndarray
        Shape (groups,), int64: the fold of each group, from 0.
    """
    if n_folds > len(rows):
        return
    columns = columns_of(counts, rows)
    thinned = max(1, -(-int(rows.sum()) // MOST_ROWS))
    left = MOST_ROWS
    for column in [*columns, *([counts] if len(columns) > 1 else [])]:
        sizes = -(-column // thinned)
        if left < MOST_ROWS and sizes.sum() > left:
            return
        left -= int(sizes.sum())
        folds = _folds(sizes, n_folds)
        if folds is not None:
            yield folds


def columns_of(counts: np.ndarray, rows: np.ndarray) -> list[np.ndarray]:
    """Part strata into columns: in each, every row of every group stands once.

    Parameters
    ----------
    counts : numpy.ndarray
        Shape (groups, strata), int: the strata of a column stand together.
    rows : numpy.ndarray
        Shape (groups,), int.

    Returns
    -------
    list of numpy.ndarray
        Parts of `counts`; strata that make up no whole column are one part at the end. Without
        strata, the rows.
    """
    parts: list[np.ndarray] = []
    begin = 0
    for end in range(1, counts.shape[1] + 1):
        if (counts[:, begin:end].sum(axis=1) == rows).all():
            parts.append(counts[:, begin:end])
            begin = end
    rest = counts[:, begin:]
    if rest.any():
        parts.append(rest)
    return parts or [rows[:, np.newaxis]]


def _folds(sizes: np.ndarray, n_folds: int) -> np.ndarray | None:
    """Return the fold of each group, or None where scikit-learn refuses."""
    from sklearn.model_selection import StratifiedGroupKFold

    n_groups, n_strata = sizes.shape
    group = np.repeat(np.arange(n_groups), sizes.sum(axis=1))
    label = np.repeat(np.tile(np.arange(n_strata), n_groups), sizes.ravel())
    if len(np.unique(group)) < n_folds or (sizes.sum(axis=0) < n_folds).all():
        return None
    # A group without any of these strata is put on the first fold.
    folds = np.zeros(n_groups, dtype=np.int64)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The least populated class")
        for place, (_, test) in enumerate(StratifiedGroupKFold(n_folds).split(label, label, group)):
            folds[group[test]] = place
    return folds
