"""Columns of a lead field: which side holds the sensors, and from vertices to regions."""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np

from bidsmill.errors import BidsmillError

ROWS, COLUMNS = "sensors_in_rows", "sensors_in_columns"
AGGREGATES = ("sum", "area_mean")


@dataclass(frozen=True, eq=False)
class Sources:
    """What the columns of a lead field may stand for.

    Attributes
    ----------
    n_regions : int or None
        Number of regions of the anatomy, if known.
    region_of_vertex : numpy.ndarray or None
        Region of each vertex of its surface: a lead field may have one column per vertex.
    orientations : numpy.ndarray or None
        Outward unit normals of the vertices: it may have three columns per vertex.
    areas : numpy.ndarray or None
        Area (m²) of each vertex, for ``area_mean``.
    aggregate : str
        ``sum``: the region's field when each vertex has the same current (as DeepSIF has it).
        ``area_mean``: the mean over its vertices, weighted by their areas: the same dipole
        moment for each region, however large.
    """

    n_regions: int | None = None
    region_of_vertex: np.ndarray | None = None
    orientations: np.ndarray | None = None
    areas: np.ndarray | None = None
    aggregate: str = "sum"

    def counts(self) -> dict[int, str]:
        """Return the numbers of columns that can be understood, and what each means."""
        found: dict[int, str] = {}
        for vertices in (self.region_of_vertex, self.orientations):
            if vertices is not None:
                found[3 * len(vertices)] = "three per vertex"
                found[len(vertices)] = "vertices"
        if self.n_regions is not None:
            found[self.n_regions] = "regions"
        return found


def sensors_first(
    shape: tuple[int, ...],
    n_sensors: int | None,
    counts: dict[int, str],
    layout: str | None,
    path: str | os.PathLike,
) -> bool:
    """Decide whether the rows of a matrix are its sensors.

    Parameters
    ----------
    shape : tuple of int
        Shape of the matrix.
    n_sensors : int or None
        Number of sensors, if known.
    counts : dict
        Numbers of columns that can be understood (`Sources.counts`).
    layout : str or None
        ``sensors_in_rows`` or ``sensors_in_columns`` where a person has said so.
    path : path-like
        The file, for errors.

    Returns
    -------
    bool
        Whether it is (sensors, sources); otherwise it has to be transposed.

    Raises
    ------
    BidsmillError
        If neither way fits the sizes, or both do and nobody has said which.
    """
    if layout not in (None, ROWS, COLUMNS):
        raise BidsmillError(
            "the layout of the lead field is unknown",
            found=layout,
            expected=f"{ROWS} or {COLUMNS}",
            todo="set simulation.anatomy.leadfield_layout",
        )
    possible = {
        way: _fits(lengths, n_sensors, counts)
        for way, lengths in ((ROWS, shape), (COLUMNS, shape[::-1]))
        if layout in (None, way)
    }
    ways = [way for way, fits in possible.items() if fits]
    if len(ways) == 1:
        return ways[0] == ROWS
    columns = ", ".join(f"{count} ({what})" for count, what in sorted(counts.items())) or "unknown"
    known = f"{n_sensors if n_sensors is not None else 'unknown'} sensors; sources: {columns}"
    if ways:
        raise BidsmillError(
            "which side of the lead field holds the sensors cannot be decided by its sizes",
            file=path,
            found=f"shape {shape}",
            expected=known,
            todo=f"set simulation.anatomy.leadfield_layout (or --forward_layout) to {ROWS} or"
            f" {COLUMNS}",
        )
    raise BidsmillError(
        "the lead field does not fit the sensors and regions",
        file=path,
        found=f"shape {shape}",
        expected=known,
        todo="check electrodes, region mapping and leadfield_key of simulation.anatomy",
    )


def _fits(lengths: tuple[int, ...], n_sensors: int | None, counts: dict[int, str]) -> bool:
    if len(lengths) != 2 or (n_sensors is None and not counts):
        return False
    return (n_sensors is None or lengths[0] == n_sensors) and (not counts or lengths[1] in counts)


def fixed_orientation(matrix: np.ndarray, orientations: np.ndarray) -> np.ndarray:
    """Return the field of dipoles of given directions, from three columns per source.

    Parameters
    ----------
    matrix : numpy.ndarray, shape (n_sensors, 3 * n_sources)
        Columns of one source stand together: x, y, z.
    orientations : numpy.ndarray, shape (n_sources, 3)
        Unit directions, in the same frame.
    """
    free = matrix.reshape(len(matrix), -1, 3)
    return np.einsum("msk,sk->ms", free, orientations)


def region_columns(matrix: np.ndarray, sources: Sources, path: str | os.PathLike) -> np.ndarray:
    """Return one column per region, from one per vertex.

    Parameters
    ----------
    matrix : numpy.ndarray, shape (n_sensors, n_vertices)
        Field of each vertex.
    sources : Sources
        With the region of each vertex.
    path : path-like
        The file, for errors.

    Raises
    ------
    BidsmillError
        If vertices and mapping do not fit.
    """
    mapping = sources.region_of_vertex
    if mapping is None or matrix.shape[1] != len(mapping):
        raise BidsmillError(
            "the lead field has columns for vertices, and no region mapping fits them",
            file=path,
            found=f"{matrix.shape[1]} vertices",
            expected="no mapping" if mapping is None else f"{len(mapping)} vertices in the mapping",
            todo="set simulation.anatomy.region_mapping to the mapping of the same surface",
        )
    if sources.aggregate not in AGGREGATES:
        raise BidsmillError(
            "how vertices become regions is not known",
            found=sources.aggregate,
            expected=" or ".join(AGGREGATES),
            todo="set simulation.anatomy.aggregate",
        )
    count = sources.n_regions or int(mapping.max()) + 1
    weights = np.ones(len(mapping))
    if sources.aggregate == "area_mean":
        if sources.areas is None:
            raise BidsmillError("the mean by area needs the triangles of the surface", file=path)
        total = np.bincount(mapping, sources.areas, minlength=count)
        weights = sources.areas / total[mapping]
    # One pass over the columns per sensor, always in the same order.
    rows = [np.bincount(mapping, row * weights, minlength=count) for row in matrix]
    return np.stack(rows)
