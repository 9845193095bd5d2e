"""Which clip a described sample means: ``nmm_idx`` of DeepSIF, which is ambiguous.

The generator writes ``nmm_idx = (region + 1) * nper + k + 1`` with region ids from 0. Its first
version drew k from 0 to nper - 1, the later one from 1 to nper, without changing the formula; the
row of a bank sorted by region would be ``region * nper + k``. All of them name the k-th clip of
the centre region, so the number is taken out by the centre, and never used as a row.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bidsmill.errors import BidsmillError

# formula -> (what is added to the region, what is added to the row, first number of a clip)
FORMULAS = {
    "shipped": (1, 1, 1),
    "initial": (1, 1, 0),
    "row": (0, 0, 1),
    "row_from_0": (0, 0, 0),
}
# Clips of one region; and the share of sources to which a formula must fit to be believed.
MOST_CLIPS, LEAST_FITTING = 100_000, 0.9
WORDS = {
    "shipped": "nmm_idx = (region + 1) * nper + k + 1, k from 1",
    "initial": "nmm_idx = (region + 1) * nper + k + 1, k from 0",
    "row": "nmm_idx = region * nper + k, k from 1",
    "row_from_0": "nmm_idx = region * nper + k, k from 0",
    "clip": "nmm_idx is the number of the clip, from 1",
}


def clip_numbers(
    indices: np.ndarray,
    centres: np.ndarray,
    clips_per_region: int | None,
    numbering: str,
    path: Any,
) -> tuple[np.ndarray, str]:
    """Return the number of each clip, from 1.

    Parameters
    ----------
    indices : ndarray of float, shape (examples, sources)
        ``nmm_idx``.
    centres : ndarray of int, of the same shape
        Centre regions from 0; -1 where there is no source.
    clips_per_region : int, optional
        ``nper``; the number that fits to most sources if absent.
    numbering : str
        ``shipped``, ``initial``, ``row``, ``row_from_0``, ``clip`` (already such a number), or
        ``auto``: that of shipped, initial and row which fits to most sources. Those to which it
        does not fit mean no clip.
    path : path-like
        Named in messages.

    Returns
    -------
    numbers : ndarray of int
        0 where no clip of the centre region is meant.
    note : str
        The formula in words.

    Raises
    ------
    BidsmillError
        If no formula fits, or ``nper`` cannot be told from the indices.
    """
    if numbering not in (*WORDS, "auto"):
        raise BidsmillError(
            "an unknown numbering of clips", found=numbering, expected=", ".join(["auto", *WORDS])
        )
    whole = (centres >= 0) & np.isfinite(indices) & (indices == np.round(indices))
    if numbering == "clip":
        known = whole & (indices >= 1) & (indices <= MOST_CLIPS)
        return np.where(known, indices, 0).astype(np.int64), WORDS["clip"]
    own, regions = indices[whole], centres[whole]
    fits = {}
    for name in [numbering] if numbering != "auto" else ["shipped", "initial", "row"]:
        fits[name] = _fit(name, own, regions, clips_per_region)
    # Of formulas that fit equally well the first counts.
    best = max(fits, key=lambda name: fits[name][1])
    counts, fitting = fits[best]
    if fitting < LEAST_FITTING * len(own):
        raise BidsmillError(
            "nmm_idx fits to the centre regions by no known formula",
            file=path,
            found=f"{_shown(own)} for the regions {_shown(regions)}",
            expected="; ".join(WORDS[name] for name in FORMULAS),
            todo="set numbering and clips_per_region",
        )
    if len(counts) > 1:
        raise BidsmillError(
            "nmm_idx does not tell how many clips a region had when the file was made",
            file=path,
            found=f"{counts[0]} to {counts[-1]} fit",
            todo="set clips_per_region",
        )
    numbers = np.zeros(indices.shape, np.int64)
    numbers[whole] = _numbers(best, own, regions, counts[0])
    return numbers, f"{WORDS[best]}, nper = {counts[0]}"


def _shown(values: np.ndarray) -> str:
    return ", ".join(f"{value:g}" for value in values[:3])


def _fit(
    name: str, indices: np.ndarray, centres: np.ndarray, nper: int | None
) -> tuple[list[int], int]:
    """Return the numbers of clips per region that fit to most sources, and to how many.

    A source fits if ``first <= row - block * nper <= nper - 1 + first``: to an interval of nper.
    """
    if nper is not None or not len(indices):
        count = nper or 1
        return [count], int(np.count_nonzero(_numbers(name, indices, centres, count)))
    shift, added, first = FORMULAS[name]
    row, block = indices - added, centres + shift
    lowest = np.maximum(np.ceil((row - first + 1) / (block + 1)), 1)
    # Region 0 of a row is the first block: how long the blocks are does not matter to it.
    unbounded = np.where(row >= first, MOST_CLIPS, 0)
    highest = np.where(block > 0, np.floor((row - first) / np.maximum(block, 1)), unbounded)
    valid = (lowest <= highest) & (lowest <= MOST_CLIPS)
    steps = np.zeros(MOST_CLIPS + 2, np.int64)
    np.add.at(steps, lowest[valid].astype(np.int64), 1)
    np.add.at(steps, np.minimum(highest[valid], MOST_CLIPS).astype(np.int64) + 1, -1)
    fitting = np.cumsum(steps)[1 : MOST_CLIPS + 1]
    return (np.flatnonzero(fitting == fitting.max()) + 1).tolist(), int(fitting.max())


def _numbers(name: str, indices: np.ndarray, centres: np.ndarray, nper: int) -> np.ndarray:
    """Return numbers from 1; 0 where the index is of another region."""
    shift, added, first = FORMULAS[name]
    numbers = indices - added - (centres + shift) * nper - first + 1
    return np.where((numbers >= 1) & (numbers <= nper), numbers, 0).astype(np.int64)
