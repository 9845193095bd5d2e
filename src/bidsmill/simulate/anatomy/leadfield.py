"""What must hold of a lead field, and its reference."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from bidsmill.errors import BidsmillError
from bidsmill.formats.leadfield import LeadField

# Columns smaller than this share of the median column say nothing.
SILENT = 1e-9
# The mean of columns, as a share of the largest value, below which the reference is the average.
REFERENCED = 1e-6


def check_leadfield(leadfield: LeadField, path: str | os.PathLike | None = None) -> LeadField:
    """Check a lead field, and add to its provenance what was found.

    Parameters
    ----------
    leadfield : LeadField
        Any.
    path : path-like, optional
        Its file, for errors.

    Returns
    -------
    LeadField
        The same, with the reference state, and in the provenance ``rank``, ``column_norms`` (min,
        median, max of each type) and ``zero_rows``.

    Raises
    ------
    BidsmillError
        If values are not finite, or a region is seen by no sensor.
    """
    matrix = leadfield.matrix
    if not matrix.size:
        raise BidsmillError("the lead field is empty", file=path, found=f"shape {matrix.shape}")
    bad = ~np.isfinite(matrix)
    if bad.any():
        rows, columns = np.flatnonzero(bad.any(axis=1)), np.flatnonzero(bad.any(axis=0))
        raise BidsmillError(
            "the lead field has values that are not numbers",
            file=path,
            found=f"{int(bad.sum())} NaN or infinite, at sensors "
            f"{_some([leadfield.channels[row] for row in rows])}, regions {_some(columns)}",
            todo="compute the lead field again, or leave these sensors out",
        )
    norms = {
        kind: np.linalg.norm(matrix[leadfield.rows(kind)], axis=0) for kind in leadfield.kinds()
    }
    seen = np.zeros(matrix.shape[1], bool)
    for norm in norms.values():
        seen |= norm > SILENT * np.median(norm[norm > 0]) if (norm > 0).any() else False
    if not seen.all():
        raise BidsmillError(
            "regions of the lead field are seen by no sensor (their columns are zero)",
            file=path,
            found=f"{int((~seen).sum())} of {len(seen)}: regions {_some(np.flatnonzero(~seen))}",
            todo="check that mapping and lead field belong to the same surface",
        )
    facts = {
        "rank": _rank(leadfield),
        "column_norms": {
            kind: [float(f"{value:.6g}") for value in np.quantile(norm, [0, 0.5, 1])]
            for kind, norm in norms.items()
        },
        "zero_rows": [leadfield.channels[row] for row in np.flatnonzero(~matrix.any(axis=1))],
    }
    return replace(
        leadfield,
        reference=_reference(leadfield),
        provenance={**leadfield.provenance, **facts},
    )


def _some(items: Sequence[Any] | np.ndarray) -> str:
    """Return the first few of a list, for a message."""
    shown = ", ".join(str(item) for item in list(items)[:10])
    return shown + (f" and {len(items) - 10} more" if len(items) > 10 else "")


def _rank(leadfield: LeadField) -> int:
    """Return the rank; types of sensors are brought to one scale first."""
    scaled = leadfield.matrix.copy()
    for kind in leadfield.kinds():
        rows = leadfield.rows(kind)
        scaled[rows] /= np.linalg.norm(scaled[rows]) or 1.0
    return int(np.linalg.matrix_rank(scaled))


def _reference(leadfield: LeadField) -> str:
    rows = leadfield.rows("eeg")
    if len(rows) < 2:
        return "none"
    eeg = leadfield.matrix[rows]
    if np.abs(eeg.mean(axis=0)).max() <= REFERENCED * np.abs(eeg).max():
        return "average"
    silent = [leadfield.channels[row] for row in rows if not leadfield.matrix[row].any()]
    return f"channel {silent[0]}" if len(silent) == 1 else "none"


def average_reference(leadfield: LeadField) -> LeadField:
    """Return a lead field whose EEG rows are against their average; MEG rows are left alone.

    Subtracting the mean over the electrodes from each column is the same for every reference that
    the lead field had before.
    """
    rows = leadfield.rows("eeg")
    if len(rows) < 2 or leadfield.reference == "average":
        return leadfield
    matrix = leadfield.matrix.copy()
    matrix[rows] -= matrix[rows].mean(axis=0)
    return replace(leadfield, matrix=matrix, reference="average")
