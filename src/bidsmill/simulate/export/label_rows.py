"""Labels as a matrix of fixed size, with padding."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bidsmill.simulate.spikes.projection import SourceProblem

# Of DeepSIF (NAN_NUMBER and MAX_SIZE of its generator).
PADDING, MAX_SIZE = 15213, 70


def label_rows(
    patches: Sequence[np.ndarray], most_sources: int, max_size: int, padding: int
) -> np.ndarray:
    """Return regions as a matrix of fixed size, as consumers of DeepSIF's format want it.

    Parameters
    ----------
    patches : sequence of ndarray of int
        Regions of each source.
    most_sources, max_size : int
        Size of the matrix.
    padding : int
        Fills the rest of each row.

    Returns
    -------
    ndarray of int64, shape (most_sources, max_size)

    Raises
    ------
    SourceProblem
        If a patch does not fit.
    """
    labels = np.full((most_sources, max_size), padding, np.int64)
    for row, patch in zip(labels, patches, strict=False):
        if len(patch) > max_size:
            raise SourceProblem(
                "patch_too_large",
                "a patch has more regions than the labels have places",
                found=len(patch),
                expected=f"{max_size} or fewer",
                todo="set --max_size",
            )
        row[: len(patch)] = patch
    return labels
