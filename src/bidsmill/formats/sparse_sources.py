"""The sources file: which regions of the cortex are active in each row of a matrix, and how.

It is a matrix file (see `bidsmill.formats.matrix`) of one column, ``source``: a row per sample and
active region. The document of its metadata says which rows these are: ``regions`` has the region
ids of each sample, ``scales`` what its values were divided by, ``group_samples`` how many samples
each row group holds. All other regions are zero, and so are samples without regions.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from bidsmill.errors import BidsmillError
from bidsmill.formats.matrix import MatrixFile, MatrixWriter

COLUMN = "source"
CHANNEL = {
    "name": COLUMN,
    "source_name": COLUMN,
    "type": "misc",
    "unit": "1",
    "status": "good",
    "position": None,
}


class SparseSourceWriter:
    """Write the sources of samples, some samples at a time.

    Parameters
    ----------
    path : path-like
        Where the file goes. Use an `atomic_path`: the writer itself does not rename.
    n_times : int
        Samples of a waveform.
    n_regions : int
        Regions of the cortex.
    """

    def __init__(self, path: str | os.PathLike, n_times: int, n_regions: int):
        self._writer = MatrixWriter(path, [COLUMN], n_times)
        self._n_regions = n_regions
        self._regions: list[list[int]] = []
        self._scales: list[float] = []
        self._groups: list[int] = []
        # Samples without a source, for which there is no row group of their own.
        self._waiting = 0

    def write_group(
        self, regions: Sequence[np.ndarray], values: np.ndarray, scales: Sequence[float]
    ) -> None:
        """Write one row group.

        Parameters
        ----------
        regions : sequence of ndarray of int
            Region ids of each sample.
        values : ndarray of float32, shape (sum of their lengths, n_times)
            Waveforms, sample after sample.
        scales : sequence of float
            What the values of each sample were divided by.
        """
        self._regions += [np.asarray(own, np.int64).tolist() for own in regions]
        self._scales += [float(scale) for scale in scales]
        self._waiting += len(regions)
        if len(values):
            self._writer.write_group(np.ascontiguousarray(values)[np.newaxis])
            self._groups.append(self._waiting)
            self._waiting = 0

    def close(self, metadata: dict[str, Any]) -> dict[str, Any]:
        """End the file; returns ``sha256``, ``size`` and ``shape`` of what is stored."""
        return self._writer.close(
            {
                "channels": [CHANNEL],
                "n_regions": self._n_regions,
                "regions": self._regions,
                "scales": self._scales,
                "group_samples": [*self._groups, *([self._waiting] if self._waiting else [])],
                **metadata,
            }
        )

    def __enter__(self) -> SparseSourceWriter:
        return self

    def __exit__(self, *exception: object) -> None:
        self._writer.__exit__(*exception)


class SparseSourceFile:
    """A sources file open for reading.

    Parameters
    ----------
    path : path-like
        The file.
    source : file-like, optional
        Where its bytes come from, if not from `path`, which then only names it in messages.

    Attributes
    ----------
    n_samples, n_regions, n_times : int
        Size of what is restored.
    scales : ndarray of float64, shape (n_samples,)
        What the values of each sample were divided by.

    Raises
    ------
    BidsmillError
        If the file is absent or is no sources file.
    """

    def __init__(self, path: str | os.PathLike, source: Any = None):
        self._file = MatrixFile(path, source)
        document = self._file.metadata
        try:
            self.regions = [np.asarray(own, np.int32) for own in document["regions"]]
            self.scales = np.asarray(document["scales"], np.float64)
            self.n_regions = int(document["n_regions"])
            self._group_of = np.repeat(
                np.arange(len(document["group_samples"])), document["group_samples"]
            )
        except (KeyError, TypeError, ValueError) as error:
            self._file.close()
            raise BidsmillError(
                "this matrix file is no sources file", file=path, found=repr(error)
            ) from None
        self.n_samples = len(self.regions)
        self.n_times = self._file.n_times

    def sparse(self, row: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the active regions of a sample and their waveforms.

        Returns
        -------
        regions : ndarray of int32, shape (k,)
        values : ndarray of float32, shape (k, n_times)
        """
        self._check(row)
        if not len(self.regions[row]):
            return self.regions[row], np.empty((0, self.n_times), np.float32)
        group = int(self._group_of[row])
        first = self._first_rows[row] - self._first_rows[self._group_of.searchsorted(group)]
        values = self._group(group)[first : first + len(self.regions[row])]
        return self.regions[row], values

    def dense(self, rows: Sequence[int] | np.ndarray, amplitudes: bool = False) -> np.ndarray:
        """Return samples with all of their regions.

        Parameters
        ----------
        rows : sequence of int
            Rows of the matrix of the same name.
        amplitudes : bool
            Multiply by the scale of each sample: the waveforms as they were simulated (mV).

        Returns
        -------
        ndarray of float32, shape (len(rows), n_times, n_regions)
        """
        result = np.zeros((len(rows), self.n_times, self.n_regions), np.float32)
        wanted = np.asarray(rows, np.intp)
        for place in np.argsort(wanted, kind="stable"):
            regions, values = self.sparse(int(wanted[place]))
            factor = self.scales[wanted[place]] if amplitudes else 1.0
            result[place][:, regions] = (values * factor).T
        return result

    def _check(self, row: int) -> None:
        if not 0 <= row < self.n_samples:
            raise BidsmillError(
                "a sources file has no such row",
                file=self._file.path,
                found=row,
                expected=f"0 to {self.n_samples - 1}",
            )

    @cached_property
    def _first_rows(self) -> np.ndarray:
        lengths = [len(own) for own in self.regions]
        return np.concatenate([[0], np.cumsum(lengths)]).astype(np.intp)

    def _group(self, group: int) -> np.ndarray:
        """Return the waveforms of a row group; the last one is kept."""
        if getattr(self, "_kept", (None, None))[0] != group:
            self._kept = (group, self._file.read_group(group)[:, 0])
        return self._kept[1]

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> SparseSourceFile:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
