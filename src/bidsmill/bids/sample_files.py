"""Where samples lie in the files of a recording, and how they are read from there.

Files are read, not mapped: a map of a file that shrinks ends the process with a signal, and its
pages count as memory of the process.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

# Bytes that are read from a file at once: they stay in the processor's cache while they are
# transposed and scaled.
CHUNK_BYTES = 2**20
# Of a group of records that is longer than this, each channel is read for itself.
LARGEST_RECORD = 8 * 2**20
# Bytes before what is read of EDF and BDF: a value of 24 bits is taken with the byte before it,
# and values of 16 bits stand at even addresses.
LEAD = 4
# MNE keeps the 17 bits of an EDF or BDF trigger channel that hold trigger codes.
TRIGGER_BITS = 2**17 - 1


@dataclass(frozen=True)
class Stretch:
    """Samples that lie in one piece of a file, all channels of a sample side by side.

    Attributes
    ----------
    start, stop : int
        Samples of the recording.
    path : str
        The file; empty where the recording has a gap, which MNE fills with zeros.
    offset : int
        Byte of the file at which the first sample stands.
    dtype : numpy.dtype
        Of a value.
    """

    start: int
    stop: int
    path: str
    offset: int
    dtype: np.dtype


class Multiplexed:
    """Samples of a file in which those of all channels stand side by side.

    Parameters
    ----------
    stretches : list of Stretch
        Sorted and without holes.
    n_stored : int
        Channels in the file.
    columns : ndarray of int
        Wanted channels of the file, in output order.
    scales : ndarray of float64
        Factor of each wanted channel.
    """

    def __init__(
        self, stretches: list[Stretch], n_stored: int, columns: np.ndarray, scales: np.ndarray
    ):
        self._stretches = stretches
        self._stops = np.array([stretch.stop for stretch in stretches], np.int64)
        self._n_stored = n_stored
        self._columns = _as_slice(columns)
        self._scales = scales[:, np.newaxis]

    def read_into(self, start: int, stop: int, out: np.ndarray) -> None:
        """Write samples ``[start, stop)`` to `out`; see `Samples.read_into`."""
        index = int(np.searchsorted(self._stops, start, side="right"))
        path, file = "", None
        try:
            while start < stop:
                stretch = self._stretches[index]
                last = min(stop, stretch.stop)
                part, out = out[:, : last - start], out[:, last - start :]
                if not stretch.path:
                    part[...] = 0.0
                else:
                    if file is None or path != stretch.path:
                        if file is not None:
                            file.close()
                        path, file = stretch.path, open(stretch.path, "rb", buffering=0)  # noqa: SIM115
                    self._read_stretch(file, stretch, start, part)
                start, index = last, index + 1
        finally:
            if file is not None:
                file.close()

    def _read_stretch(self, file: BinaryIO, stretch: Stretch, start: int, out: np.ndarray) -> None:
        width = self._n_stored * stretch.dtype.itemsize
        step = max(1, CHUNK_BYTES // width)
        n_times = out.shape[1]
        buffer = np.empty((min(step, n_times), self._n_stored), stretch.dtype)
        place = stretch.offset + (start - stretch.start) * width
        for low in range(0, n_times, step):
            block = buffer[: min(step, n_times - low)]
            _fill(file, place + low * width, block)
            if not stretch.dtype.isnative:
                block = block.astype(stretch.dtype.newbyteorder("="))
            target = out[:, low : low + len(block)]
            # One pass: pick, transpose, scale in float64, round to the type of `out`.
            wanted = block[:, self._columns].T
            np.multiply(wanted, self._scales, out=target, dtype=np.float64, casting="unsafe")


@dataclass(frozen=True)
class RecordLayout:
    """How EDF and BDF files lie: records, in which one channel follows the other.

    Attributes
    ----------
    path : str
        The file.
    offset : int
        Bytes of the header.
    width : int
        Bytes of a value: 2 or 3.
    n_samples : int
        Samples of a wanted channel in a record.
    record_values : int
        Values of a record, of all its channels.
    """

    path: str
    offset: int
    width: int
    n_samples: int
    record_values: int


class Records:
    """Samples of an EDF or BDF file whose wanted channels share one rate.

    Parameters
    ----------
    layout : RecordLayout
        Where the values lie.
    places : ndarray of int
        Of each wanted channel, the first value in a record.
    scaling : list of tuple of float
        Of each wanted channel: factor, offset, gain and calibration, in the order in which MNE
        applies them.
    triggers : ndarray of bool
        Which of them hold trigger codes.
    """

    def __init__(
        self,
        layout: RecordLayout,
        places: np.ndarray,
        scaling: list[tuple[float, float, float, float]],
        triggers: np.ndarray,
    ):
        self.layout = layout
        self._places = places.tolist()
        self._scaling = scaling
        self._triggers = triggers.tolist()

    def read_into(self, start: int, stop: int, out: np.ndarray) -> None:
        """Write samples ``[start, stop)`` to `out`; see `Samples.read_into`."""
        layout = self.layout
        record_bytes = layout.record_values * layout.width
        with open(layout.path, "rb", buffering=0) as file:
            if record_bytes > LARGEST_RECORD:
                self._read_channels(file, start, stop, out)
                return
            step = max(1, CHUNK_BYTES // record_bytes)
            end = -(-stop // layout.n_samples)
            buffer = np.zeros(LEAD + step * record_bytes, np.uint8)
            for first in range(start // layout.n_samples, end, step):
                last = min(first + step, end)
                held = buffer[: LEAD + (last - first) * record_bytes]
                _fill(file, layout.offset + first * record_bytes, held[LEAD:])
                begin = first * layout.n_samples
                low, high = max(start, begin), min(stop, last * layout.n_samples)
                for index, place in enumerate(self._places):
                    values = self._values(held, place, last - first, layout.n_samples)
                    values = self._scaled(index, values)[low - begin : high - begin]
                    out[index, low - start : high - start] = values

    def _read_channels(self, file: BinaryIO, start: int, stop: int, out: np.ndarray) -> None:
        """Read a file of long records channel by channel."""
        layout = self.layout
        low = start
        while low < stop:
            record, inside = divmod(low, layout.n_samples)
            count = min(stop - low, layout.n_samples - inside, CHUNK_BYTES)
            held = np.zeros(LEAD + count * layout.width, np.uint8)
            for index, place in enumerate(self._places):
                value = record * layout.record_values + place + inside
                _fill(file, layout.offset + value * layout.width, held[LEAD:])
                values = self._scaled(index, self._values(held, 0, 1, count))
                out[index, low - start : low - start + count] = values
            low += count

    def _values(self, held: np.ndarray, place: int, n_records: int, count: int) -> np.ndarray:
        """Return the integers of a channel, as a view where they are of 16 bits."""
        width = self.layout.width
        distance = self.layout.record_values * width
        if width == 2:
            return np.ndarray((n_records, count), "<i2", held, LEAD + place * 2, (distance, 2))
        begin = LEAD - 1 + place * 3
        words = np.ndarray((n_records, count), "<i4", held, begin, (distance, 3))
        return np.right_shift(words, 8)

    def _scaled(self, index: int, values: np.ndarray) -> np.ndarray:
        """Return one channel in SI units, float64 of shape (n_samples,)."""
        factor, offset, gain, calibration = self._scaling[index]
        result = np.multiply(values, factor, dtype=np.float64).reshape(-1)
        result += offset
        result *= gain
        if self._triggers[index]:
            result = np.bitwise_and(result.astype(int), TRIGGER_BITS).astype(np.float64)
        if calibration != 1.0:
            result *= calibration
        return result


def _fill(file: BinaryIO, offset: int, target: np.ndarray) -> None:
    """Read as many bytes as `target` has, from one place of a file."""
    octets: Any = target.reshape(-1).view(np.uint8)
    view = memoryview(octets)
    done = 0
    while done < len(view):
        count = os.preadv(file.fileno(), [view[done:]], offset + done)
        if count == 0:
            raise RuntimeError(
                f"the file of samples ends too early: {offset + done} bytes where"
                f" {offset + len(view)} were expected"
            )
        done += count


def _as_slice(columns: np.ndarray) -> np.ndarray | slice:
    """Return neighbouring columns in rising order as a slice, which needs no copy."""
    if np.all(np.diff(columns) == 1):
        return slice(int(columns[0]), int(columns[-1]) + 1)
    return columns
