"""Samples of EDF and BDF files, read block by block in bounded memory."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bidsmill.bids.readers.edf_header import VOLTS, EdfHeader
from bidsmill.bids.readers.edf_marks import Run
from bidsmill.bids.readers.edf_upsampling import Upsampled, held_indices

# Bytes of records that are read at once: large enough to make a call's cost vanish.
READ_BYTES = 8 * 2**20
# Bits of a trigger channel that are codes; those above are states of BioSemi's amplifier (as
# in MNE's reader).
TRIGGER_BITS = 2**17 - 1


def samples_per_record(header: EdfHeader) -> int:
    """Return the samples of the fastest channel; trigger channels count if there is no other."""
    counts = [channel.samples for channel in header.channels if not channel.is_trigger]
    return max(counts or [channel.samples for channel in header.channels])


class EdfSamples:
    """The samples of a file: integers in records, and what makes SI values of them.

    A sample is ``(stored * scale + offset) * factor``, in this order of operations, so that it
    is bit for bit what MNE's reader gives. Triggers are the lower 17 bits of that.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    header : EdfHeader
        Settled, see `edf_repairs.settle`.
    runs : list of Run
        Its continuous stretches; what lies between them is NaN.

    Attributes
    ----------
    path : pathlib.Path
        The file.
    begin : int
        Byte at which the first record begins.
    record_bytes, width : int
        Bytes of a record, and of a stored sample: little-endian signed integers of 2 (EDF) or
        3 bytes (BDF).
    places, counts : ndarray of int64, shape (n_channels,)
        Per channel, samples of a record before its own, and its own.
    per_record : int
        Samples of a record at the rate of the recording, which is that of the fastest channel
        that is no trigger.
    scale, offset, factor : ndarray of float64, shape (n_channels,)
        From stored integers to SI units.
    triggers : ndarray of bool, shape (n_channels,)
        Channels of codes.
    runs : list of Run
        Continuous stretches. One that begins at record 0 and sample 0 is a plain file: sample
        ``k`` of a channel with ``counts == per_record`` is sample ``k % per_record`` of record
        ``k // per_record``.
    """

    def __init__(self, path: Path, header: EdfHeader, runs: list[Run]):
        channels = header.channels
        self.path, self.runs = path, runs
        self.begin, self.record_bytes = int(header.length or 0), header.record
        self.width = header.width
        self.places = np.array([c.place for c in channels], np.int64)
        self.counts = np.array([c.samples for c in channels], np.int64)
        self.triggers = np.array([c.is_trigger for c in channels], bool)
        self.per_record = samples_per_record(header)
        self._rate = self.per_record / header.duration
        self._labels = [f"{c.label} ({c.samples / header.duration:g} Hz)" for c in channels]
        self._set_scale(header)
        self._upsampled: dict[tuple[int, int], Upsampled] = {}

    def _set_scale(self, header: EdfHeader) -> None:
        shape = len(self.counts)
        self.scale, self.offset, self.factor = np.ones(shape), np.zeros(shape), np.ones(shape)
        for index, channel in enumerate(header.channels):
            if not self.triggers[index] and channel.scaled:
                self.factor[index] = VOLTS.get(channel.dimension, 1.0)
            if not channel.scaled or (self.triggers[index] and header.kind == "BDF"):
                continue
            low, high = channel.physical
            digital_low, digital_high = channel.digital
            self.scale[index] = (high - low) / (digital_high - digital_low)
            self.offset[index] = low - digital_low * self.scale[index]

    @property
    def n_times(self) -> int:
        """Return the samples of the recording, those between the runs counted in."""
        return self.runs[-1].start + self.runs[-1].records * self.per_record

    def told_of(self, rows: Sequence[int]) -> list[str]:
        """Return what to tell of chosen channels: that some were upsampled, if they were."""
        slow = [self._labels[row] for row in rows if self.counts[row] != self.per_record]
        if not slow:
            return []
        more = f" and {len(slow) - 5} more" if len(slow) > 5 else ""
        return [
            "channels differ in sampling rate; the slower ones were upsampled to"
            f" {self._rate:g} Hz: {', '.join(slow[:5])}{more}"
        ]

    def read(self, rows: np.ndarray, start: int, stop: int) -> np.ndarray:
        """Return samples ``[start, stop)`` in SI units, float64 of shape (rows, times)."""
        result = np.full((len(rows), stop - start), np.nan)
        for run in self.runs:
            low = max(start, run.start)
            high = min(stop, run.start + run.records * self.per_record)
            if low < high:
                out = result[:, low - start : high - start]
                self._read_run(run, rows, low - run.start, high - run.start, out)
        return result

    def _read_run(self, run: Run, rows, start: int, stop: int, out: np.ndarray) -> None:
        """Fill `out` with samples ``[start, stop)`` of a run."""
        slow = (self.counts[rows] != self.per_record) & ~self.triggers[rows]
        for row in np.flatnonzero(slow):
            out[row] = self._upsample(run, int(rows[row])).read(start, stop)
        direct = np.flatnonzero(~slow)
        if len(direct) == 0:
            return
        first, last = start // self.per_record, -(-stop // self.per_record)
        step = max(1, READ_BYTES // self.record_bytes)
        for record in range(first, last, step):
            until = min(last, record + step)
            block = self.read_records(run.first + record, run.first + until)
            low = max(start, record * self.per_record)
            high = min(stop, until * self.per_record)
            inside = slice(low - record * self.per_record, high - record * self.per_record)
            for row in direct:
                values = self._direct(block, int(rows[row]))
                out[row, low - start : high - start] = values.reshape(-1)[inside]

    def _direct(self, block: np.ndarray, channel: int) -> np.ndarray:
        """Return a channel's values in a block of records at the rate of the recording."""
        values = self.stored(block, channel) * self.scale[channel]
        values += self.offset[channel]
        values *= self.factor[channel]
        if self.triggers[channel]:
            if self.counts[channel] != self.per_record:
                return values[:, held_indices(int(self.counts[channel]), self.per_record)]
            return np.bitwise_and(values.astype(np.int64), TRIGGER_BITS)
        return values

    def read_records(self, first: int, stop: int) -> np.ndarray:
        """Return the bytes of records ``[first, stop)``: uint8 of shape (records, bytes)."""
        size = (stop - first) * self.record_bytes
        # One byte more, so that the last sample of three bytes can be read as four.
        content = np.zeros(size + 1, np.uint8)
        with open(self.path, "rb", buffering=0) as file:
            file.seek(self.begin + first * self.record_bytes)
            view = content.data[:size]
            while len(view):
                count = file.readinto(view)
                if not count:
                    raise ValueError(f"the file ends before record {stop}, and did not before")
                view = view[count:]
        return content[:size].reshape(stop - first, self.record_bytes)

    def stored(self, block: np.ndarray, channel: int) -> np.ndarray:
        """Return a channel's stored integers in what `read_records` gave: (records, samples)."""
        begin = int(self.places[channel]) * self.width
        shape = (len(block), int(self.counts[channel]))
        kind = "<i2" if self.width == 2 else "<i4"
        packed: np.ndarray = np.ndarray(
            shape, kind, buffer=block.base, offset=begin, strides=(self.record_bytes, self.width)
        )
        # A fourth byte that belongs to the next sample is shifted out; the shift back brings
        # the sign.
        return packed if self.width == 2 else (packed << 8) >> 8

    def _upsample(self, run: Run, channel: int) -> Upsampled:
        key = (run.first, channel)
        if key not in self._upsampled:
            count = int(self.counts[channel])
            values = np.empty(run.records * count)
            step = max(1, READ_BYTES // self.record_bytes)
            for record in range(0, run.records, step):
                until = min(run.records, record + step)
                block = self.read_records(run.first + record, run.first + until)
                values[record * count : until * count] = self._direct(block, channel).reshape(-1)
            self._upsampled[key] = Upsampled(values, count, self.per_record)
        return self._upsampled[key]
