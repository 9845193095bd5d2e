"""A reader of exported samples as a source-imaging network has it: numpy, scipy and five keys."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.io import loadmat

KEYS = ("eeg_data", "source_data", "labels", "snr", "index")
PADDING = 15213


@dataclass(frozen=True)
class Example:
    """What a network is trained with.

    Attributes
    ----------
    index : int
        Number of the sample.
    eeg : ndarray, shape (times, sensors)
        Its input.
    patches : list of ndarray of int
        Regions of each source, its centre first.
    target : ndarray, shape (times, regions)
        Its output: activity of every region.
    active : ndarray, shape (times, regions of all patches)
        The columns of the target that the labels name.
    snr : float
        In dB.
    """

    index: int
    eeg: np.ndarray
    patches: list[np.ndarray]
    target: np.ndarray
    active: np.ndarray
    snr: float


def examples(folder: Path) -> list[Example]:
    """Return all samples of a folder, in the order of their names."""
    return [_example(path) for path in sorted(folder.glob("sample_*.mat"))]


def _example(path: Path) -> Example:
    content = loadmat(path)
    assert set(KEYS) == {key for key in content if not key.startswith("__")}
    labels = content["labels"]
    patches = [row[row != PADDING].astype(int) for row in labels if (row != PADDING).any()]
    columns = np.unique(np.concatenate(patches))
    return Example(
        int(content["index"].item()),
        content["eeg_data"],
        patches,
        content["source_data"],
        content["source_data"][:, columns],
        float(content["snr"].item()),
    )
