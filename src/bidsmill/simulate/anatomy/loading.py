"""Lead fields from files: which variable, which side holds the sensors, what columns stand for."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from bidsmill.errors import BidsmillError
from bidsmill.formats.files import sha256_file
from bidsmill.formats.leadfield import FORMAT, TYPES, LeadField, saved_leadfield
from bidsmill.simulate.anatomy.forward_files import is_forward, load_forward
from bidsmill.simulate.anatomy.leadfield import check_leadfield
from bidsmill.simulate.anatomy.sensors import Sensors
from bidsmill.simulate.anatomy.source_columns import (
    Sources,
    fixed_orientation,
    region_columns,
    sensors_first,
)
from bidsmill.simulate.variables.matrix_files import numeric, read_variables, variables_text

# Names that lead fields have in files, in the order in which they are looked for.
KEYS = ("fwd", "forward", "leadfield", "L", "Gain", "G", "lf", "arr_0")


def load_leadfield(
    path: str | os.PathLike,
    *,
    key: str | None = None,
    sensors: Sensors | None = None,
    sources: Sources | None = None,
    n_regions: int | None = None,
    layout: str | None = None,
    kind: str = "eeg",
    unit: str = "relative",
) -> LeadField:
    """Read a lead field from any file that can hold one.

    Parameters
    ----------
    path : path-like
        ``.mat`` (MATLAB 4 to 7.3, Octave), ``.npy``, ``.npz``, ``-fwd.fif`` or ``-fwd.h5`` of
        MNE-Python, a head model of Brainstorm, or a file of `save_leadfield`.
    key : str, optional
        Name of the variable; otherwise the first of ``fwd``, ``forward``, ``leadfield``, ``L``,
        ``Gain``, ``G``, ``lf`` that is there.
    sensors : Sensors, optional
        The sensors in the order of the matrix. For a file that names its sensors, those to take.
    sources : Sources, optional
        What columns may stand for.
    n_regions : int, optional
        Number of regions, in place of `sources`.
    layout : str, optional
        ``sensors_in_rows`` or ``sensors_in_columns``, where the sizes do not decide.
    kind : str
        Type of the sensors where neither `sensors` nor the file says it.
    unit : str
        Unit of the matrix where the file does not say it.

    Returns
    -------
    LeadField
        Checked by `check_leadfield`; EEG keeps the reference that it has in the file.

    Raises
    ------
    BidsmillError
        If there is no lead field in the file, its sides cannot be told apart, it does not fit
        sensors and regions, or has values that cannot be true.
    """
    sources = sources or Sources(n_regions=n_regions)
    if Path(path).name.endswith((".fif", ".fif.gz", ".h5")) and is_forward(path):
        return check_leadfield(load_forward(path, sources, sensors), path)
    variables = read_variables(path)
    if str(variables.get("format")) == FORMAT:
        return saved_leadfield(variables, path)
    name = find_key(variables, key, path)
    matrix = numeric(variables[name], name, path)
    if matrix.ndim != 2:
        raise BidsmillError(
            "the lead field is not a matrix", file=path, found=f"{name} {matrix.shape}"
        )
    grid = _grid_orientations(variables, path)
    if grid is not None or name == "Gain":
        # Directions in the frame of the file: those of a cortex may be in another one.
        sources = replace(sources, orientations=grid)
    n_sensors = None if sensors is None else len(sensors.names)
    first = sensors_first(matrix.shape, n_sensors, sources.counts(), layout, path)
    shape, matrix = matrix.shape, matrix if first else matrix.T
    matrix, meaning = _to_regions(matrix, sources, path)
    found = _with_sensors(matrix, sensors, kind)
    provenance = {
        "file": Path(path).name,
        "sha256": sha256_file(path),
        "variable": name,
        "shape_in_file": list(shape),
        "transposed": not first,
        "columns_in_file": meaning,
        **({} if meaning == "regions" else {"aggregate": sources.aggregate}),
    }
    found = replace(found, unit=unit, provenance={**found.provenance, **provenance})
    return check_leadfield(found, path)


def find_key(variables: dict[str, Any], key: str | None, path: str | os.PathLike) -> str:
    """Return the name of the variable that holds the lead field: `key`, or one of ``KEYS``.

    Raises
    ------
    BidsmillError
        If there is none; lists the variables with their shapes.
    """
    wanted = KEYS if key is None else (key,)
    for name in wanted:
        if name in variables:
            return name
    raise BidsmillError(
        "could not find the forward matrix in the file",
        file=path,
        found=f"the variables {variables_text(variables)}",
        expected=f"one of {', '.join(KEYS[:-1])}" if key is None else f"the variable {key}",
        todo="set simulation.anatomy.leadfield_key (or --forward_key) to the variable that holds "
        "the lead field",
    )


def _grid_orientations(variables: dict[str, Any], path: str | os.PathLike) -> np.ndarray | None:
    """Return the directions of the sources of a head model of Brainstorm, if it has them."""
    grid = variables.get("GridOrient")
    if not isinstance(grid, np.ndarray) or grid.size == 0:
        return None
    grid = numeric(grid, "GridOrient", path)
    if grid.ndim != 2 or 3 not in grid.shape:
        raise BidsmillError(
            "GridOrient is not one direction per source", file=path, found=str(grid.shape)
        )
    return grid if grid.shape[1] == 3 else grid.T


def _to_regions(
    matrix: np.ndarray, sources: Sources, path: str | os.PathLike
) -> tuple[np.ndarray, str]:
    """Return one column per region, and what the columns stood for."""
    meaning = sources.counts().get(matrix.shape[1], "regions")
    if meaning == "three per vertex":
        if sources.orientations is None:
            raise BidsmillError(
                "the lead field has three columns per source, and their directions are not known",
                file=path,
                found=f"shape {matrix.shape}",
                expected="GridOrient in the file, or a surface (simulation.anatomy.cortex)",
            )
        matrix = fixed_orientation(matrix, sources.orientations)
        if matrix.shape[1] == sources.n_regions:
            return matrix, meaning
    if meaning != "regions":
        matrix = region_columns(matrix, sources, path)
    return matrix, meaning


def _with_sensors(matrix: np.ndarray, sensors: Sensors | None, kind: str) -> LeadField:
    """Join a matrix and its sensors; rows that nobody computed are left out, and named."""
    if kind not in TYPES:
        raise BidsmillError("a type of sensors is unknown", found=kind, expected=", ".join(TYPES))
    count = len(matrix)
    if sensors is None:
        sensors = Sensors(
            tuple(f"{kind.upper()}{row + 1:03d}" for row in range(count)),
            (kind,) * count,
            np.full((count, 3), np.nan),
            "numbered",
        )
    # Brainstorm fills the rows of channels without a head model with NaN.
    computed = ~np.isnan(matrix).all(axis=1)
    left_out = [name for name, known in zip(sensors.names, computed, strict=True) if not known]
    keep = np.flatnonzero(computed)
    return LeadField(
        matrix[keep],
        tuple(sensors.names[row] for row in keep),
        tuple(sensors.types[row] for row in keep),
        sensors.positions[keep],
        provenance={"sensors": sensors.source, "sensors_without_model": left_out},
    )
