"""Rows that share prints: where a copy may stand, found by sorting, in bounded memory."""

from __future__ import annotations

import numpy as np

# Prints that are held (12 bytes each, and twice that while they are sorted). Beyond, only those
# are that end in zero bits: two rows keep the same ones of those they share.
MOST_PRINTS = 2**25


class Collector:
    """Holds prints and the rows that they come from.

    Parameters
    ----------
    most : int
        Prints that are held at most.

    Attributes
    ----------
    thinning : int
        Of ``2 ** thinning`` prints one was kept.
    """

    def __init__(self, most: int = MOST_PRINTS):
        self.thinning = 0
        self._most = most
        self._values: list[np.ndarray] = []
        self._rows: list[np.ndarray] = []
        self._held = 0

    def add(self, rows: np.ndarray, values: np.ndarray) -> None:
        """Take in prints.

        Parameters
        ----------
        rows : ndarray of int
            Shape (n,): the number of the row of each print, over everything that is audited.
        values : ndarray of uint64
            Shape (n,).
        """
        kept = self._kept(values)
        self._values.append(values[kept])
        self._rows.append(rows[kept].astype(np.uint32))
        self._held += int(kept.sum())
        while self._held > self._most:
            self.thinning += 1
            values, rows = np.concatenate(self._values), np.concatenate(self._rows)
            kept = self._kept(values)
            self._values, self._rows = [values[kept]], [rows[kept]]
            self._held = int(kept.sum())

    def _kept(self, values: np.ndarray) -> np.ndarray:
        return (values & np.uint64((1 << self.thinning) - 1)) == 0

    def pairs(self, sides: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return pairs of rows that share prints.

        Of many rows that share one print, each is paired with the first, with the one before it
        and with the first on each side: so that every row with a copy is in some pair, and the
        pairs are no more than five for each print.

        Parameters
        ----------
        sides : ndarray of int
            Side of every row that is audited.

        Returns
        -------
        first, second : ndarray of int64
            Rows, ``first < second``; sorted, each pair once.
        votes : ndarray of int64
            In how many prints the pair was found.
        """
        values, rows = np.empty(0, np.uint64), np.empty(0, np.uint32)
        if self._held:
            values, rows = np.concatenate(self._values), np.concatenate(self._rows)
            values, rows = _shared(values, rows)
        if not len(values):
            nothing = np.empty(0, np.int64)
            return nothing, nothing, nothing
        begins = np.flatnonzero(np.concatenate([[True], values[1:] != values[:-1]]))
        bucket = np.repeat(np.arange(len(begins)), np.diff(np.append(begins, len(values))))
        numbers = np.arange(len(values))
        partners = [begins[bucket], np.maximum(numbers - 1, begins[bucket])]
        for side in np.unique(sides[rows]):
            on_side = np.where(sides[rows] == side, numbers, len(values))
            earliest = np.minimum.reduceat(on_side, begins)[bucket]
            partners.append(np.where(earliest < len(values), earliest, numbers))
        keys = np.concatenate([_keys(rows, rows[partner]) for partner in partners])
        owners = np.tile(bucket, len(partners))
        owners, keys = owners[keys != 0], keys[keys != 0]
        # A partner found by two rules is one vote.
        order = np.lexsort((keys, owners))
        owners, keys = owners[order], keys[order]
        fresh = np.ones(len(keys), bool)
        fresh[1:] = (owners[1:] != owners[:-1]) | (keys[1:] != keys[:-1])
        found, votes = np.unique(keys[fresh], return_counts=True)
        first, second = np.divmod(found, np.uint64(2**32))
        return first.astype(np.int64), second.astype(np.int64), votes.astype(np.int64)


def _shared(values: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the prints that more than one row has, sorted by print and row, each once."""
    order = np.argsort(values, kind="stable")
    values, rows = values[order], rows[order]
    equal = np.concatenate([[False], values[1:] == values[:-1], [False]])
    kept = equal[1:] | equal[:-1]
    values, rows = values[kept], rows[kept]
    order = np.lexsort((rows, values))
    values, rows = values[order], rows[order]
    fresh = np.ones(len(values), bool)
    fresh[1:] = (values[1:] != values[:-1]) | (rows[1:] != rows[:-1])
    return values[fresh], rows[fresh]


def _keys(rows: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return one number per pair, the smaller row first; 0 for a row with itself."""
    low, high = np.minimum(rows, others), np.maximum(rows, others)
    keys = low.astype(np.uint64) * np.uint64(2**32) + high.astype(np.uint64)
    return np.where(low == high, np.uint64(0), keys)
