"""Exact quantiles of a whole stream in bounded memory, by counting in two passes.

The bits of a float32, its sign turned round, sort as its value does. The first pass counts the
upper 16 bits of every sample, which tells in which of 65,536 cells a wanted rank lies; the second
counts the lower 16 bits of the samples in those cells alone, which tells the value. Selection in
p passes within memory of the p-th root of the length is Munro and Paterson (1980), "Selection and
sorting with limited storage", Theoretical Computer Science 12, 315-323; with cells of the digits
of the values it is a radix selection.

Memory: at most 65,536 counts of 8 bytes per channel in the first pass and, in the second, as many
per channel and wanted cell (two cells for a median whose neighbours lie in different ones), in
practice a few thousand, since only counts that are not zero are kept. Nothing is sampled, and
counts do not depend on how the stream is cut.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

# One channel's counts: codes in rising order, and how often each occurs.
Counts = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Cells:
    """What the first pass found: where the wanted ranks lie.

    Attributes
    ----------
    totals : numpy.ndarray of int64, shape (n_channels,)
        Finite samples of each channel.
    cells : tuple of numpy.ndarray of int64
        For each channel the upper halves of the codes of the wanted ranks, without repetition.
    below : tuple of numpy.ndarray of int64
        For each of these cells, the samples that lie below it.
    """

    totals: np.ndarray
    cells: tuple[np.ndarray, ...]
    below: tuple[np.ndarray, ...]


def sort_codes(values: np.ndarray) -> np.ndarray:
    """Return uint32 codes that sort as the finite float32 values do."""
    bits = np.ascontiguousarray(values, dtype=np.float32).view(np.uint32)
    return np.where(bits >> 31, ~bits, bits | np.uint32(0x80000000))


def values_of_codes(codes: np.ndarray) -> np.ndarray:
    """Return the float32 values of codes, as float64."""
    codes = np.asarray(codes, dtype=np.uint32)
    bits = np.where(codes >> 31, codes & np.uint32(0x7FFFFFFF), ~codes)
    return bits.astype(np.uint32).view(np.float32).astype(np.float64)


def count_upper(block: np.ndarray) -> list[Counts]:
    """First pass over a chunk, shape (n_channels, n): count the upper halves of the codes."""
    found = []
    for row in block:
        counts = np.bincount(sort_codes(row[np.isfinite(row)]) >> 16)
        codes = np.flatnonzero(counts)
        # A chunk has fewer than 2**32 samples; sums of chunks are counted in 64 bits.
        found.append((codes.astype(np.uint16), counts[codes].astype(np.uint32)))
    return found


def locate(parts: Iterable[list[Counts]], fractions: Sequence[float]) -> Cells:
    """Merge the counts of the first pass and find the cells of the quantiles.

    Parameters
    ----------
    parts : iterable
        The results of :func:`count_upper`; their order does not matter.
    fractions : sequence of float
        The wanted quantiles, each in [0, 1].
    """
    totals, cells, below = [], [], []
    for codes, small in merged_counts(parts):
        counts = small.astype(np.int64)
        total = int(counts.sum())
        ends = np.cumsum(counts)
        ranks = np.unique(np.concatenate([_ranks(total, f)[:2] for f in fractions]))
        places = np.unique(np.searchsorted(ends, ranks, side="right")) if total else ranks[:0]
        totals.append(total)
        cells.append(codes[places].astype(np.int64))
        below.append((ends - counts)[places])
    return Cells(np.array(totals, dtype=np.int64), tuple(cells), tuple(below))


def count_lower(block: np.ndarray, cells: Cells) -> list[Counts]:
    """Second pass over a chunk: count the codes of the samples in the wanted cells."""
    found = []
    for row, wanted in zip(block, cells.cells, strict=True):
        codes = sort_codes(row[np.isfinite(row)])
        codes, counts = np.unique(codes[np.isin(codes >> 16, wanted)], return_counts=True)
        found.append((codes, counts.astype(np.uint32)))
    return found


def quantiles(
    parts: Iterable[list[Counts]], cells: Cells, fractions: Sequence[float]
) -> np.ndarray:
    """Merge the counts of the second pass and return the quantiles.

    Between two samples the quantile is interpolated linearly, as ``numpy.quantile`` does: rank
    ``(n - 1) * fraction``.

    Returns
    -------
    numpy.ndarray, shape (len(fractions), n_channels), float64
        NaN for channels without a finite sample.
    """
    out = np.full((len(fractions), len(cells.totals)), np.nan)
    for channel, (codes, counts) in enumerate(merged_counts(parts)):
        total = int(cells.totals[channel])
        if not total:
            continue
        upper = codes.astype(np.int64) >> 16
        before = np.concatenate([[0], np.cumsum(counts)])
        # Ranks count from the start of the stream, and these counts from that of each cell.
        place = np.searchsorted(cells.cells[channel], upper)
        first_of_cell = before[np.searchsorted(upper, cells.cells[channel])]
        ends = cells.below[channel][place] + before[1:] - first_of_cell[place]
        for index, fraction in enumerate(fractions):
            low, high, share = _ranks(total, fraction)
            pair = codes[np.searchsorted(ends, [low, high], side="right")]
            value_low, value_high = values_of_codes(pair)
            out[index, channel] = value_low + (value_high - value_low) * share
    return out


def merged_counts(parts: Iterable[list[Counts]]) -> list[Counts]:
    """Add up the counts of chunks, channel by channel."""
    whole: list[Counts] | None = None
    for part in parts:
        if whole is None:
            whole = part
            continue
        whole = [_added(a, b) for a, b in zip(whole, part, strict=True)]
    return whole or []


def _added(a: Counts, b: Counts) -> Counts:
    codes, place = np.unique(np.concatenate([a[0], b[0]]), return_inverse=True)
    counts = np.zeros(len(codes), dtype=np.int64)
    np.add.at(counts, place, np.concatenate([a[1], b[1]]).astype(np.int64))
    return codes, counts


def _ranks(total: int, fraction: float) -> tuple[int, int, float]:
    """Return the two ranks around a quantile and the share of the way between them."""
    place = max(total - 1, 0) * fraction
    low = int(np.floor(place))
    return low, min(low + 1, max(total - 1, 0)), place - low
