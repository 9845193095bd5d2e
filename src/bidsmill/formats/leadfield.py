"""The lead field file: what a current in each region gives at each sensor."""

from __future__ import annotations

import io
import json
import os
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bidsmill.errors import BidsmillError
from bidsmill.formats.files import read_arrays, write_bytes

FORMAT = "bidsmill-leadfield-1"
TYPES = ("eeg", "mag", "grad")


@dataclass(frozen=True, eq=False)
class LeadField:
    """A lead field with its sensors.

    Attributes
    ----------
    matrix : numpy.ndarray of float64, shape (n_sensors, n_regions)
        Column ``r``: what a unit of activity in region ``r`` gives at each sensor.
    channels : tuple of str
        Names of the sensors.
    types : tuple of str
        ``eeg``, ``mag`` or ``grad``.
    positions : numpy.ndarray, shape (n_sensors, 3)
        In m, x right, y front, z up; NaN where unknown.
    unit : str
        Of EEG, or of all: ``relative`` where it is unknown; several joined by ", ".
    reference : str
        Of the EEG rows: ``average``, ``channel NAME`` (whose row is zero), or ``none``.
    provenance : dict
        File, key, orientation, how vertices became regions; the facts of `check_leadfield`.
    """

    matrix: np.ndarray
    channels: tuple[str, ...]
    types: tuple[str, ...]
    positions: np.ndarray
    unit: str = "relative"
    reference: str = "none"
    provenance: dict[str, Any] = field(default_factory=dict)

    def rows(self, kind: str) -> np.ndarray:
        """Return the rows of the sensors of one type."""
        return np.flatnonzero(np.array(self.types) == kind)

    def kinds(self) -> tuple[str, ...]:
        """Return the types that there are: EEG first, then magnetometers and gradiometers."""
        return tuple(kind for kind in TYPES if kind in self.types)


def save_leadfield(leadfield: LeadField, path: str | os.PathLike) -> None:
    """Write a lead field as one ``.npz`` file; the same content gives the same bytes."""
    content = io.BytesIO()
    np.savez(
        content,
        format=np.array(FORMAT),
        matrix=leadfield.matrix,
        channels=np.array(leadfield.channels),
        types=np.array(leadfield.types),
        positions=leadfield.positions,
        facts=np.array(
            json.dumps(
                {
                    "unit": leadfield.unit,
                    "reference": leadfield.reference,
                    "provenance": leadfield.provenance,
                },
                sort_keys=True,
            )
        ),
    )
    write_bytes(path, content.getvalue())


def saved_leadfield(variables: dict[str, Any], path: str | os.PathLike) -> LeadField:
    """Return the lead field that `save_leadfield` wrote, from the variables of its file.

    Raises
    ------
    BidsmillError
        If a part of it is missing.
    """
    try:
        facts = json.loads(str(variables["facts"]))
        return LeadField(
            variables["matrix"],
            tuple(str(name) for name in variables["channels"]),
            tuple(str(kind) for kind in variables["types"]),
            variables["positions"],
            **facts,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise BidsmillError(
            "a lead field of bidsmill is not whole",
            file=path,
            found=repr(error),
            todo="make it again by the rule simulate_anatomy",
        ) from None


def read_leadfield(path: str | os.PathLike) -> LeadField:
    """Read a lead field that `save_leadfield` wrote.

    Raises
    ------
    BidsmillError
        If the file is absent, or is something else.
    """
    variables = read_arrays(path, "a lead field")
    if str(variables.get("format")) != FORMAT:
        raise BidsmillError(
            "a file is not a lead field of bidsmill",
            file=path,
            found=f"the variables {', '.join(list(variables)[:8])}",
            expected=f"format {FORMAT}",
        )
    return saved_leadfield(variables, path)
