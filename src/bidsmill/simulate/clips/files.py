"""Clips of others used where they lie, without a bank: one file is read for each."""

from __future__ import annotations

import os
from collections import OrderedDict
from typing import Any

import numpy as np

from bidsmill.errors import BidsmillError
from bidsmill.simulate.clips.importing import (
    VARIABLE,
    absent_clip,
    clip_files,
    clip_root,
    read_clip,
)

# Of the 994 regions of DeepSIF, at 500 samples, a clip takes 2 MB.
MOST_KEPT = 32


class ClipFiles:
    """The folder ``nmm_spikes`` of DeepSIF as the projection wants it.

    Memory holds the clips used last. What is read is the same as from a bank of
    `bidsmill.simulate.clips.importing.import_clips`, to the last bit.

    Parameters
    ----------
    source : path-like
        Folder ``nmm_spikes``, or one that holds it, with ``a{region}/nmm_{number}.mat``.
    matrix : ndarray, shape (sensors, regions)
        The lead field; average-referenced for EEG.
    most_kept : int
        Clips in memory.

    Raises
    ------
    BidsmillError
        If there are no clips.
    """

    def __init__(self, source: str | os.PathLike, matrix: np.ndarray, most_kept: int = MOST_KEPT):
        self.root = clip_root(source)
        self._paths = clip_files(self.root)
        self._matrix = np.asarray(matrix, np.float64)
        self._most_kept = most_kept
        self._kept: OrderedDict[tuple[int, int], tuple[np.ndarray, np.ndarray]] = OrderedDict()

    def waveform(self, region: int, clip: int) -> np.ndarray:
        """Return the waveform of the centre as the file has it: (times,), mV."""
        return self._clip(region, clip)[0][region]

    def rows(self, region: int, clip: int, regions: Any) -> np.ndarray:
        """Return the activity of some regions in a clip: (regions, times), mV; a copy."""
        return self._clip(region, clip)[0][np.asarray(regions, np.intp)]

    def projected(self, region: int, clip: int) -> np.ndarray:
        """Return what the sensors see of a clip: (sensors, times)."""
        return self._clip(region, clip)[1]

    def _clip(self, region: int, clip: int) -> tuple[np.ndarray, np.ndarray]:
        key = int(region), int(clip)
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        path = self._paths.get(key)
        if path is None:
            raise absent_clip(self.root, *key, self._paths)
        activity = read_clip(path, self._matrix.shape[1])
        seen = (self._matrix @ activity.astype(np.float64)).astype(np.float32)
        if len(self._kept) >= self._most_kept:
            self._kept.popitem(last=False)
        self._kept[key] = activity, seen
        return activity, seen


def n_regions_of_clips(source: str | os.PathLike) -> int:
    """Return how many regions the clips of a folder have, by the first that can be read.

    Raises
    ------
    BidsmillError
        If there are no clips, or none can be read.
    """
    from bidsmill.simulate.variables.matrix_files import read_variables

    root = clip_root(source)
    if not root.is_dir():
        raise BidsmillError(
            "the folder of clips is missing",
            file=root,
            expected="files a{region}/nmm_{number}.mat, regions from 0, numbers from 1",
            todo="name the folder: --clips",
        )
    for path in clip_files(root).values():
        try:
            data = read_variables(path, [VARIABLE]).get(VARIABLE)
        except BidsmillError:
            # It is told of the samples that need it; here any clip will do.
            continue
        if isinstance(data, np.ndarray) and data.ndim == 2:
            return int(data.shape[1])
    raise BidsmillError(
        "no clip of this folder can be read", file=root, expected="a variable data in each"
    )
