"""Windowed-sinc kernels of a change of sampling rate, as matrices from input to output samples.

Both kernels are low-passes below the lower of the two Nyquist frequencies with a Kaiser window
(Kaiser 1974; formulas in Oppenheim and Schafer, "Discrete-Time Signal Processing", 3rd ed.,
section 7.5.3). The weights of every output sample are scaled to sum to 1, so a constant stays
constant. Whole frames of output samples are one matrix product, which serves all channels and is
several times faster than a sum for each sample.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

# Output samples of a frame: few enough that most of its matrix is not zero, enough for the
# product to be fast (measured: 500 to 250 Hz with 64 channels is fastest at 24 of 16 to 96).
FRAME = 24
# Elements of a frame's matrix; frames get shorter where strong decimation would exceed it.
FRAME_ELEMENTS = 2**20
# Multiplications of a matrix product, and elements of a matrix-vector product, up to which
# OpenBLAS uses one thread whatever it is allowed (interface/gemm.c and gemv.c: 65536 * 4 and
# 2304 * 4). Larger ones are cut, since the bits of a sum depend on how threads share it.
PRODUCT, VECTOR_PRODUCT = 2**18, 9216
# Phases in the table of the continuous kernel, per sample of the lower rate. Linear
# interpolation between phases errs by at most pi**2 / 24 / PHASES**2 = 1e-7 of the peak weight.
PHASES = 2048


@dataclass(frozen=True)
class Frames:
    """Outputs as inputs times a matrix, once or repeated at equal steps.

    Outputs ``start + i * out_step`` to ``start + i * out_step + matrix.shape[1]`` are the inputs
    from ``first + i * in_step`` on times ``matrix``, for ``i`` below ``repeats``.
    """

    start: int
    first: int
    matrix: np.ndarray
    repeats: int = 1
    out_step: int = 0
    in_step: int = 0

    @property
    def last(self) -> int:
        """The input after the last one needed."""
        return self.first + (self.repeats - 1) * self.in_step + len(self.matrix)


class Kernel(Protocol):
    """A change of rate as a sequence of frames.

    Attributes
    ----------
    period : int
        Blocks of outputs have to start at multiples of it.
    width : int
        Samples of the input that an output depends on, at most.
    half_width : float
        The same to either side, in samples of the input.
    """

    period: int
    width: int
    half_width: float

    def frames(self, start: int, stop: int) -> Iterator[Frames]:
        """Yield the frames of outputs ``start`` (a multiple of the period) to ``stop``."""
        ...

    def support(self, outputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the first and the last input that each output depends on."""
        ...


def kaiser_beta(attenuation: float) -> float:
    """Return the shape of a Kaiser window for an attenuation in dB (above 50 dB)."""
    return 0.1102 * (attenuation - 8.7)


def kaiser_half_length(attenuation: float, transition: float) -> float:
    """Return half the length, in samples, of a Kaiser-windowed low-pass.

    Parameters
    ----------
    attenuation : float
        In dB.
    transition : float
        Width of the transition band as a share of the Nyquist frequency.
    """
    return (attenuation - 7.95) / (2.285 * np.pi * transition) / 2


def frame_length(n_taps: int, ratio: float) -> int:
    """Return how many outputs a frame may have, for ``ratio`` outputs per input."""
    length = FRAME
    while length > 1 and (n_taps + length / ratio) * length > FRAME_ELEMENTS:
        length //= 2
    return length


def multiply(inputs: np.ndarray, frames: Frames, out: np.ndarray) -> None:
    """Write the outputs of some frames, with the same bits for any number of threads.

    Parameters
    ----------
    inputs : numpy.ndarray, shape (n_rows, n_inputs), float64
        Starts at input ``frames.first``.
    frames : Frames
        The matrix and its repeats.
    out : numpy.ndarray, shape (n_rows, n_outputs), float64
        Starts at output ``frames.start``. Changed in place.
    """
    matrix, n_rows = frames.matrix, len(inputs)
    if n_rows == 0:
        return
    limit = VECTOR_PRODUCT if min(n_rows, matrix.shape[1]) == 1 else PRODUCT
    # Groups of four rows or more, so that no group of a single row is left over.
    depth = min(len(matrix), max(limit // (min(n_rows, 4) * matrix.shape[1]), 1))
    n_groups = -(-n_rows // max(limit // (depth * matrix.shape[1]), 1))
    for group in range(n_groups):
        rows = slice(group * n_rows // n_groups, (group + 1) * n_rows // n_groups)
        result = _repeated(out[rows], frames.repeats, frames.out_step, matrix.shape[1])
        source = _repeated(inputs[rows], frames.repeats, frames.in_step, len(matrix))
        np.matmul(source[..., :depth], matrix[:depth], out=result)
        for start in range(depth, len(matrix), depth):
            part = slice(start, start + depth)
            result += source[..., part] @ matrix[part]


def _repeated(rows: np.ndarray, repeats: int, step: int, length: int) -> np.ndarray:
    """View rows as (repeats, rows, length), ``step`` samples apart."""
    shape = (repeats, len(rows), length)
    strides = (step * rows.strides[1], *rows.strides)
    return np.lib.stride_tricks.as_strided(rows, shape, strides)


class PolyphaseKernel:
    """The kernel for rates in a ratio of small whole numbers: the phases repeat.

    Parameters
    ----------
    up, down : int
        Output rate over input rate, in lowest terms.
    pass_band : float
        Edge of the pass band as a share of the lower Nyquist frequency; the stop band starts at
        that Nyquist frequency.
    attenuation : float
        Of the stop band, in dB.

    Attributes
    ----------
    taps : numpy.ndarray, shape (2 * half + 1,), float64
        The kernel at ``up`` times the input rate; ``taps / up`` is the ``window`` with which
        ``scipy.signal.resample_poly`` computes the same.
    """

    def __init__(self, up: int, down: int, pass_band: float, attenuation: float):
        from scipy.signal import firwin

        self.up, self.down = up, down
        larger = max(up, down)
        self.half = int(np.ceil(kaiser_half_length(attenuation, 1 - pass_band) * larger))
        window = ("kaiser", kaiser_beta(attenuation))
        taps = firwin(2 * self.half + 1, (1 + pass_band) / 2 / larger, window=window)
        for phase in range(up):
            taps[phase::up] /= taps[phase::up].sum()
        self.taps = taps
        self.half_width = self.half / up
        self.width = 2 * self.half // up + 1
        frame = frame_length(self.width, up / down)
        repeats = max(frame // up, 1)
        self.period = repeats * up
        n_frames = -(-self.period // frame)
        self._cuts = [i * self.period // n_frames for i in range(n_frames + 1)]
        self._matrices = [
            self._matrix(a, b) for a, b in zip(self._cuts[:-1], self._cuts[1:], strict=True)
        ]

    def support(self, outputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the first and the last input that each output depends on."""
        centres = outputs * self.down
        return -((self.half - centres) // self.up), (centres + self.half) // self.up

    def frames(self, start: int, stop: int) -> Iterator[Frames]:
        """Yield the frames of outputs ``start`` (a multiple of the period) to ``stop``."""
        whole, rest = divmod(stop - start, self.period)
        shift = start // self.up * self.down
        in_step = self.period // self.up * self.down
        for cut, (first, matrix) in zip(self._cuts[:-1], self._matrices, strict=True):
            if whole:
                yield Frames(start + cut, first + shift, matrix, whole, self.period, in_step)
            if rest > cut:
                origin = start + whole * self.period + cut
                yield Frames(origin, first + shift + whole * in_step, matrix[:, : rest - cut])

    def _matrix(self, start: int, stop: int) -> tuple[int, np.ndarray]:
        outputs = np.arange(start, stop)
        firsts, lasts = self.support(outputs)
        matrix = np.zeros((lasts[-1] - firsts[0] + 1, len(outputs)))
        for column, (output, first, last) in enumerate(zip(outputs, firsts, lasts, strict=True)):
            places = output * self.down + self.half - np.arange(first, last + 1) * self.up
            matrix[first - firsts[0] : last + 1 - firsts[0], column] = self.taps[places]
        return int(firsts[0]), matrix


class ContinuousKernel:
    """The kernel for any two rates: each output has a phase of its own.

    Parameters
    ----------
    sfreq_in, sfreq_out : float
        Sampling rates in Hz.
    pass_band, attenuation : float
        As for :class:`PolyphaseKernel`.
    """

    def __init__(self, sfreq_in: float, sfreq_out: float, pass_band: float, attenuation: float):
        self.sfreq_in, self.sfreq_out = sfreq_in, sfreq_out
        stretch = max(1.0, sfreq_in / sfreq_out)
        half_width = kaiser_half_length(attenuation, 1 - pass_band) * stretch
        self._margin = int(np.ceil(half_width))
        self.width = 2 * self._margin + 1
        self.period = frame_length(self.width, sfreq_out / sfreq_in)
        self._n_phases = int(np.ceil(PHASES / stretch))
        # A weight is mixed from two phases, so it may be one phase farther out than the window.
        self.half_width = half_width + 1 / self._n_phases
        # Row p: the weights of the inputs around an output that lies p / n_phases after an input.
        phases = np.arange(self._n_phases + 1)[:, np.newaxis] / self._n_phases
        distances = phases + self._margin - np.arange(2 * self._margin + 2)
        inside = np.clip(1 - (distances / half_width) ** 2, 0, None)
        cutoff = (1 + pass_band) / 2 / stretch
        table = np.sinc(cutoff * distances) * np.i0(kaiser_beta(attenuation) * np.sqrt(inside))
        table[np.abs(distances) > half_width] = 0.0
        self._table = table / table.sum(axis=1, keepdims=True)
        self._step = np.diff(self._table, axis=0)

    def support(self, outputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the first and the last input that each output depends on."""
        before, row, share = self._places(outputs)
        used = self._table != 0
        firsts, lasts = used.argmax(axis=1), used.shape[1] - 1 - used[:, ::-1].argmax(axis=1)
        above = np.where(share > 0, row + 1, row)
        start = before - self._margin
        return start + np.minimum(firsts[row], firsts[above]), start + np.maximum(
            lasts[row], lasts[above]
        )

    def frames(self, start: int, stop: int) -> Iterator[Frames]:
        """Yield the frames of outputs ``start`` (a multiple of the period) to ``stop``."""
        for begin in range(start, stop, self.period):
            outputs = np.arange(begin, min(begin + self.period, stop))
            before, row, share = self._places(outputs)
            weights = self._table[row] + share[:, np.newaxis] * self._step[row]
            columns = before - before[0]
            matrix = np.zeros((columns[-1] + weights.shape[1], len(outputs)))
            places = columns[:, np.newaxis] + np.arange(weights.shape[1])
            matrix[places, np.arange(len(outputs))[:, np.newaxis]] = weights
            yield Frames(begin, int(before[0]) - self._margin, matrix)

    def _places(self, outputs: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the input at or before each output, its row of the table, and the share above."""
        times = outputs * self.sfreq_in / self.sfreq_out
        before = np.floor(times).astype(np.int64)
        phase = (times - before) * self._n_phases
        row = np.minimum(phase.astype(np.int64), self._n_phases - 1)
        return before, row, phase - row
