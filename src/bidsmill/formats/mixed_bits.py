"""Numbers whose bits are mixed, so that those that differ little share none of their bits."""

from __future__ import annotations

import numpy as np


def mixed_bits(values: np.ndarray) -> np.ndarray:
    """Spread what tells numbers apart over all bits (the finaliser of SplitMix64, Steele 2014).

    Parameters
    ----------
    values : ndarray of uint64

    Returns
    -------
    ndarray of uint64
        Equal where `values` are equal, and different where they differ.
    """
    mixed = values.astype(np.uint64)
    mixed ^= mixed >> np.uint64(30)
    mixed *= np.uint64(0xBF58476D1CE4E5B9)
    mixed ^= mixed >> np.uint64(27)
    mixed *= np.uint64(0x94D049BB133111EB)
    mixed ^= mixed >> np.uint64(31)
    return mixed
