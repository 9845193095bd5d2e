"""The sources behind rows of simulated spikes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bidsmill.errors import BidsmillError
from bidsmill.formats.sparse_sources import SparseSourceFile

if TYPE_CHECKING:
    from bidsmill.access.selection import Selection


def dense_sources(selection: Selection, amplitudes: bool) -> np.ndarray:
    """Return the sources of a selection; see `Selection.sources`."""
    if not len(selection):
        raise BidsmillError("no row is selected", todo="loosen the conditions of select")
    rows = selection.table["row"].to_numpy(np.intp)
    result: np.ndarray | None = None
    for number, recording in enumerate(selection.recordings):
        places = np.flatnonzero(selection.file_index == number)
        with SparseSourceFile(selection.dataset.sources_path(recording)) as stored:
            part = stored.dense(rows[places], amplitudes)
        if result is None:
            result = np.empty((len(rows), *part.shape[1:]), np.float32)
        result[places] = part
    assert result is not None
    return result
