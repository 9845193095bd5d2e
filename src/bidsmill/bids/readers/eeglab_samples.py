"""Samples of EEGLAB recordings, read where they lie: a .fdt file, an HDF5 file, an array.

EEGLAB stores column-major: all channels of the first sample, then all of the second
(EEGLAB's ``floatread``/``floatwrite``; so ``data(channel, time)`` of MATLAB is here
``block[time, channel]``). Epochs follow each other in the same way.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Protocol

import numpy as np

from bidsmill.bids.readers.matlab_values import LargeArray

# A .fdt file holds little-endian float32 (EEGLAB's ``floatwrite``, "ieee-le").
FDT_DTYPE = np.dtype("<f4")
# Bytes that are scaled at once: a block of this size stays in the processor's cache.
BLOCK_BYTES = 4 * 2**20


class Samples(Protocol):
    """The samples of a recording, in the unit of the file."""

    n_channels: int
    n_times: int

    def read(self, start: int, stop: int) -> np.ndarray:
        """Return samples ``start`` to ``stop`` (excluded), of shape (channels, stop - start)."""
        ...


class _Unchanged:
    """Samples are never changed, so that a copy of what holds them need not copy them."""

    def __deepcopy__(self, memo: dict):
        return self


class FileSamples(_Unchanged):
    """Samples of a .fdt file, or of a .set file that is not compressed.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    n_channels, n_times : int
        The shape; the file may be longer than that.
    offset : int
        Byte at which the first sample stands.
    dtype : numpy.dtype
        Of a value.
    """

    def __init__(
        self,
        path: Path,
        n_channels: int,
        n_times: int,
        offset: int = 0,
        dtype: np.dtype = FDT_DTYPE,
    ):
        self.path, self.n_channels, self.n_times = path, n_channels, n_times
        self.offset, self.dtype = offset, dtype

    def read(self, start: int, stop: int) -> np.ndarray:
        """Return samples ``start`` to ``stop``."""
        count = (stop - start) * self.n_channels
        offset = self.offset + start * self.n_channels * self.dtype.itemsize
        values = np.fromfile(self.path, self.dtype, count, offset=offset)
        if len(values) != count:
            raise ValueError(f"{self.path.name} ends before sample {stop}")
        return values.reshape(-1, self.n_channels).T


class ArraySamples(_Unchanged):
    """Samples of a variable that is held in memory once it is asked for.

    Parameters
    ----------
    array : numpy.ndarray or LargeArray
        Of shape (channels, times) or (channels, times, epochs).
    n_channels, n_times : int
        Its shape as one signal.
    """

    def __init__(self, array: np.ndarray | LargeArray, n_channels: int, n_times: int):
        self._array, self.n_channels, self.n_times = array, n_channels, n_times
        self._held: np.ndarray | None = None

    def read(self, start: int, stop: int) -> np.ndarray:
        """Return samples ``start`` to ``stop``."""
        if self._held is None:
            array = self._array.load() if isinstance(self._array, LargeArray) else self._array
            # Column-major: a view, not a copy, of what MATLAB wrote.
            self._held = array.reshape((self.n_channels, -1), order="F")
        return self._held[:, start:stop]


class Hdf5Samples(_Unchanged):
    """Samples of an HDF5 file (MATLAB 7.3), read block by block.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    dataset : str
        Where in the file; of shape ([epochs,] times, channels), as HDF5 counts.
    n_channels, n_times : int
        The shape as one signal.
    """

    def __init__(self, path: Path, dataset: str, n_channels: int, n_times: int):
        self.path, self.dataset = path, dataset
        self.n_channels, self.n_times = n_channels, n_times

    def read(self, start: int, stop: int) -> np.ndarray:
        """Return samples ``start`` to ``stop``."""
        import h5py

        with h5py.File(self.path, "r", rdcc_nbytes=BLOCK_BYTES) as file:
            item = file[self.dataset]
            if item.ndim == 2:
                return item[start:stop].T
            length = item.shape[1]
            first, last = start // length, -(-stop // length)
            epochs = item[first:last].reshape(-1, self.n_channels)
            return epochs[start - first * length : stop - first * length].T


class ChosenEpochs(_Unchanged):
    """Some of the epochs of a recording, one after the other.

    Parameters
    ----------
    source : Samples
        All of them.
    length : int
        Samples of one epoch.
    epochs : list of int
        Which ones, in order.
    """

    def __init__(self, source: Samples, length: int, epochs: list[int]):
        self.source, self.length, self.epochs = source, length, epochs
        self.n_channels, self.n_times = source.n_channels, length * len(epochs)

    def read(self, start: int, stop: int) -> np.ndarray:
        """Return samples ``start`` to ``stop``."""
        parts = []
        while start < stop:
            place, inside = divmod(start, self.length)
            end = min(stop, (place + 1) * self.length)
            begin = self.epochs[place] * self.length + inside
            parts.append(self.source.read(begin, begin + end - start))
            start = end
        return np.concatenate(parts, axis=1) if parts else self.source.read(0, 0)


@cache
def raw_class() -> type:
    """Return the class of MNE raw objects that read `Samples`; MNE is imported on demand."""
    import mne

    class RawEEGLAB(mne.io.BaseRaw):
        """A recording whose samples are read when they are asked for."""

        def __init__(self, info, samples: Samples, path: Path):
            super().__init__(
                info,
                preload=False,
                filenames=[path],
                last_samps=[samples.n_times - 1],
                orig_format="single",
                raw_extras=[{"samples": samples}],
            )

        def _read_segment_file(self, data, idx, fi, start, stop, cals, mult):
            samples = self._raw_extras[fi]["samples"]
            step = max(1, BLOCK_BYTES // FDT_DTYPE.itemsize // samples.n_channels)
            for begin in range(0, data.shape[1], step):
                part = data[:, begin : begin + step]
                block = samples.read(start + begin, start + begin + part.shape[1])
                if mult is not None:
                    part[:] = mult @ block[idx]
                else:
                    np.multiply(block[idx], cals, out=part, casting="unsafe")

    return RawEEGLAB
