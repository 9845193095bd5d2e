"""Prints of rows: short numbers that a copy shares with its original, whatever was done to it.

In each row and channel the steepest rise and the steepest fall are found, and the shape of the
signal around them is put into 64 bits: signs of sums with random signs over its steps (Charikar
2002, "Similarity estimation techniques from rounding algorithms", STOC). The places move with the
signal, so that rows cut elsewhere share them; signs depend neither on gain nor on offset nor on a
slow drift, and bits that all change together are the same print, so that neither does polarity
matter. Prints say where to look, and no more: `bidsmill.split.audit.compare` decides.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bidsmill.formats.mixed_bits import mixed_bits

# Seconds between two points of a shape, or one sample where that is more: 33 points span a quarter
# of a second, in which no two stretches of a brain's signal are alike.
SPACING = 0.008
# Steps to either side of a place.
REACH = 16
# Shapes with fewer steps other than zero are not told apart: triggers, square waves.
FEWEST_CHANGES = 8
# Steps of a shape are counted in this share of their standard deviation: whole numbers, whose
# sums are the same on every machine.
RESOLUTION = 64.0
BITS = 64
# Of each row so many stretches of channels give two prints each; which ones depends on how far
# rise and fall lie apart, and so on the signal and not on the order of channels.
STRETCHES = 8
# Samples of a row and channel that enter the hash of the whole row, at most.
POINTS = 32
# Bytes of samples that are worked on at once: they stay in the processor's cache.
CHUNK_BYTES = 2**19
# Multiplications up to which OpenBLAS uses one thread (interface/gemm.c): waking others for such
# small products takes longer than the products.
PRODUCT = 2**18
# Between two recordings of different rates: prints of block means at about the lower rate, of
# fewer bits on points farther apart, since neither grid meets the samples of the other.
CROSS_BITS, CROSS_SPACING = 28, 2


@dataclass(frozen=True)
class Grid:
    """How rows of one rate are printed.

    Attributes
    ----------
    step : float
        Samples between two points (after block means).
    block : int
        Samples that are averaged into one first.
    bits : int
        Bits of a print.
    kind : int
        Prints of different kinds are never equal.
    between : bool
        Whether places and points lie between samples (by interpolation).
    """

    step: float
    block: int = 1
    bits: int = BITS
    kind: int = 0
    between: bool = False


def own_grid(sfreq: float) -> Grid:
    """Return the grid on which rows of one rate are compared with each other."""
    step = max(1, round(SPACING * sfreq))
    return Grid(step=step, kind=round(step / sfreq * 1e6))


def cross_grid(sfreq: float, lower: float) -> Grid:
    """Return the grid on which rows of a rate are compared with those of a lower one.

    Parameters
    ----------
    sfreq : float
        Rate of the rows in Hz.
    lower : float
        The lower rate; equal to `sfreq` for the other ones.
    """
    block = max(1, int(sfreq / lower + 1e-9))
    seconds = max(CROSS_SPACING * SPACING, CROSS_SPACING / lower)
    kind = round(seconds * 1e6) + (round(lower * 1000) << 24)
    return Grid(seconds * sfreq / block, block, CROSS_BITS, kind, between=True)


class Printer:
    """Prints of rows on one grid.

    Parameters
    ----------
    grid : Grid
        How.
    """

    def __init__(self, grid: Grid):
        self.grid = grid
        chance = np.random.Generator(np.random.PCG64(20))
        signs = chance.integers(0, 2, (2 * REACH, BITS)) * 2 - 1
        # The steepest step stands in the middle of every shape: it would drown the others.
        signs[REACH - 1 : REACH + 2] = 0
        self._signs = signs[:, : grid.bits].astype(np.float32)
        self._order = chance.permutation(2**16)
        self._offsets = np.arange(-REACH, REACH + 1) * grid.step

    def prints(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return prints of some rows.

        Parameters
        ----------
        rows : ndarray of float32, shape (n_rows, n_channels, n_times)
            C order.

        Returns
        -------
        row, value : ndarray of int64 and of uint64
            The row of each print, and the print.
        """
        if self.grid.block > 1:
            rows = block_means(rows, self.grid.block)
        margin = int(np.ceil(REACH * self.grid.step)) + 1
        length = rows.shape[2] - 2 * margin
        if length < 2 or not rows.shape[1]:
            return np.empty(0, np.int64), np.empty(0, np.uint64)
        row, start, place = self._places(rows, margin, length)
        shapes = self._shapes(rows, start, place)
        telling, bits = self._bits(shapes)
        packed = np.packbits(bits, axis=1, bitorder="little")
        wide = np.zeros((len(packed), 8), np.uint8)
        wide[:, : packed.shape[1]] = packed
        values = wide.view("<u8").reshape(-1).astype(np.uint64)
        return row[telling], mixed_bits(values ^ mixed_bits(np.full(1, self.grid.kind, np.uint64)))

    def _places(self, rows, margin, length):
        """Return row, first sample (in `rows` laid flat) and place of each chosen anchor."""
        n_rows, n_channels, n_times = rows.shape
        step = max(1, round(self.grid.step))
        wanted = -(-STRETCHES // n_channels)
        pieces = max(1, min(wanted, length // (REACH * step)))
        size = length // pieces
        steep = np.empty((n_rows, n_channels, pieces * size), np.float32)
        stop = margin + pieces * size
        np.subtract(rows[..., margin + step : stop + step], rows[..., margin:stop], out=steep)
        steep = steep.reshape(n_rows, n_channels * pieces, size)
        rise, fall = steep.argmax(axis=2), steep.argmin(axis=2)
        if n_channels * pieces > STRETCHES:
            apart = np.abs(rise - fall) // (step if self.grid.between else 1)
            keys = self._order[apart % len(self._order)] * 2**16 + np.arange(n_channels * pieces)
            chosen = np.argpartition(keys, STRETCHES - 1, axis=1)[:, :STRETCHES]
        else:
            chosen = np.broadcast_to(np.arange(n_channels * pieces), rise.shape)
        found = np.stack([np.take_along_axis(x, chosen, axis=1) for x in (rise, fall)], axis=2)
        row = np.broadcast_to(np.arange(n_rows)[:, np.newaxis, np.newaxis], found.shape)
        channel, piece = np.divmod(chosen, pieces)
        start = (row * n_channels + channel[..., np.newaxis]) * n_times
        place = margin + piece[..., np.newaxis] * size + found
        fine = place.astype(np.float64)
        if self.grid.between:
            fine = fine + _summit(steep, row, chosen[..., np.newaxis], found)
        return row.reshape(-1), start.reshape(-1), fine.reshape(-1)

    def _shapes(self, rows, start, place):
        """Return the signal around each place, shape (n_places, 2 * REACH + 1)."""
        flat = rows.reshape(-1)
        if not self.grid.between:
            offsets = self._offsets.astype(np.int64)
            return flat[(start + place.astype(np.int64))[:, np.newaxis] + offsets]
        points = place[:, np.newaxis] + self._offsets
        low = np.floor(points).astype(np.int64)
        share = (points - low).astype(np.float32)
        index = start[:, np.newaxis] + low
        return flat[index] * (1 - share) + flat[index + 1] * share

    def _bits(self, shapes):
        """Return which shapes can be told apart, and the bits of these."""
        with np.errstate(invalid="ignore", over="ignore"):
            steps = np.diff(shapes, axis=1)
            steps -= steps.mean(axis=1, keepdims=True)
            spread = steps.std(axis=1)
        telling = np.isfinite(spread) & (spread > 0)
        telling &= np.count_nonzero(np.diff(shapes, axis=1), axis=1) >= FEWEST_CHANGES
        steps, spread = steps[telling], spread[telling]
        whole = np.rint(steps / spread[:, np.newaxis] * np.float32(RESOLUTION))
        bits = _products(whole, self._signs) > 0
        return telling, bits ^ bits[:, :1]


def _products(rows: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Return ``rows @ matrix`` in pieces that are multiplied by one thread each."""
    size = max(1, PRODUCT // matrix.size)
    padded = np.zeros((-(-len(rows) // size) * size, rows.shape[1]), np.float32)
    padded[: len(rows)] = rows
    return np.matmul(padded.reshape(-1, size, rows.shape[1]), matrix).reshape(
        len(padded), matrix.shape[1]
    )[: len(rows)]


def _summit(steep, row, stretch, found) -> np.ndarray:
    """Return how far beside a sample the extremum lies: that of a parabola through three."""
    size = steep.shape[2]
    low, high = np.maximum(found - 1, 0), np.minimum(found + 1, size - 1)
    left, middle, right = (steep[row, stretch, at] for at in (low, found, high))
    bend = left - 2 * middle + right
    with np.errstate(divide="ignore", invalid="ignore"):
        beside = 0.5 * (left - right) / bend
    inner = (found > 0) & (found < size - 1) & np.isfinite(beside)
    return np.where(inner, np.clip(beside, -0.5, 0.5), 0.0)


def block_means(rows: np.ndarray, block: int) -> np.ndarray:
    """Return the means of blocks of samples; what is left at the end of a row is dropped."""
    n_rows, n_channels, n_times = rows.shape
    length = n_times // block
    parts = rows[..., : length * block].reshape(n_rows, n_channels, length, block)
    return np.ascontiguousarray(parts.mean(axis=3, dtype=np.float32))


def row_hashes(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return a hash of each row, over some samples of all its channels in any order.

    Parameters
    ----------
    rows : ndarray of float32, shape (n_rows, n_channels, n_times)

    Returns
    -------
    telling : ndarray of bool, shape (n_rows,)
        Rows that change often enough to be told apart.
    hashes : ndarray of uint64
        Of these: the sum over channels of a mixed multilinear hash of the samples' bits.
    """
    stride = max(1, rows.shape[2] // POINTS)
    points = np.ascontiguousarray(rows[..., ::stride])
    chance = np.random.Generator(np.random.PCG64([rows.shape[2], 21]))
    factors = chance.integers(0, 2**63, points.shape[2], np.uint64) * np.uint64(2) + np.uint64(1)
    changes = np.count_nonzero(points[..., 1:] != points[..., :-1], axis=(1, 2))
    telling = changes >= FEWEST_CHANGES
    values = points[telling].view(np.uint32)
    single = mixed_bits(np.einsum("rct,t->rc", values, factors))
    return telling, mixed_bits(single.sum(axis=1, dtype=np.uint64))
