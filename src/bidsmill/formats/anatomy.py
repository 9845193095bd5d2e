"""The anatomy file: regions of the cortex, where they are, and which are neighbours."""

from __future__ import annotations

import io
import json
import os
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bidsmill.errors import BidsmillError
from bidsmill.formats.files import read_arrays, write_bytes

FORMAT = "bidsmill-anatomy-1"
METRICS = ("geodesic", "euclidean")
# What every such file holds; the surface may be absent.
NEEDED = {
    *("facts", "positions", "hemisphere", "neighbour_starts", "neighbour_ids"),
    *(f"distances_{metric}" for metric in METRICS),
}


@dataclass(frozen=True, eq=False)
class Anatomy:
    """Regions of the cortex.

    Attributes
    ----------
    positions : numpy.ndarray, shape (n_regions, 3)
        Centroid of the vertices of each region (m; x right, y front, z up).
    neighbours : tuple of numpy.ndarray of int32
        Sorted ids of the neighbours of each region; symmetric.
    hemisphere : numpy.ndarray of int8, shape (n_regions,)
        0 is left, 1 is right.
    distances : dict of numpy.ndarray of float32, shape (n_regions, n_regions)
        In m: ``geodesic`` (along the surface, infinite to the other hemisphere) and
        ``euclidean`` (between `positions`).
    vertices, triangles : numpy.ndarray or None
        The surface: (n_vertices, 3) in m, and (n_triangles, 3) 0-based.
    region_of_vertex : numpy.ndarray of int32 or None
        Region of each vertex.
    inflated : numpy.ndarray or None
        The vertices (m) of the inflated surface, for pictures.
    facts : dict
        Where all of it comes from, and what was found and repaired in it.
    """

    positions: np.ndarray
    neighbours: tuple[np.ndarray, ...]
    hemisphere: np.ndarray
    distances: dict[str, np.ndarray]
    vertices: np.ndarray | None = None
    triangles: np.ndarray | None = None
    region_of_vertex: np.ndarray | None = None
    inflated: np.ndarray | None = None
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def n_regions(self) -> int:
        """Number of regions."""
        return len(self.positions)


def save_anatomy(anatomy: Anatomy, path: str | os.PathLike) -> None:
    """Write an anatomy as one ``.npz`` file; the same anatomy gives the same bytes."""
    starts = np.cumsum([0, *(len(near) for near in anatomy.neighbours)])
    arrays: dict[str, Any] = {
        "format": np.array(FORMAT),
        "facts": np.array(json.dumps(anatomy.facts, sort_keys=True)),
        "positions": anatomy.positions,
        "hemisphere": anatomy.hemisphere,
        "neighbour_starts": starts.astype(np.int32),
        "neighbour_ids": np.concatenate([np.empty(0, np.int32), *anatomy.neighbours]),
        **{f"distances_{metric}": table for metric, table in anatomy.distances.items()},
    }
    for name in ("vertices", "triangles", "region_of_vertex", "inflated"):
        if (value := getattr(anatomy, name)) is not None:
            arrays[name] = value
    content = io.BytesIO()
    np.savez(content, **arrays)
    write_bytes(path, content.getvalue())


def load_anatomy(path: str | os.PathLike) -> Anatomy:
    """Read an anatomy that `save_anatomy` wrote.

    Raises
    ------
    BidsmillError
        If the file is absent, or is something else.
    """
    found = read_arrays(path, "an anatomy")
    if str(found.get("format")) != FORMAT or not NEEDED.issubset(found):
        raise BidsmillError(
            "a file is not an anatomy of bidsmill",
            file=path,
            found=f"the variables {', '.join(list(found)[:8])}",
            expected=f"format {FORMAT}",
            todo="make it by the rule simulate_anatomy",
        )
    starts, ids = found["neighbour_starts"], found["neighbour_ids"]
    return Anatomy(
        positions=found["positions"],
        neighbours=tuple(np.split(ids, starts[1:-1])),
        hemisphere=found["hemisphere"],
        distances={metric: found[f"distances_{metric}"] for metric in METRICS},
        vertices=found.get("vertices"),
        triangles=found.get("triangles"),
        region_of_vertex=found.get("region_of_vertex"),
        inflated=found.get("inflated"),
        facts=json.loads(str(found["facts"])),
    )


def triangle_normals(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Return the normal of each triangle, as long as twice its area (m²)."""
    corner = vertices[triangles]
    return np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])


def vertex_normals(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Return unit normals at the vertices: the mean over their triangles, weighted by area.

    Parameters
    ----------
    vertices : numpy.ndarray, shape (n_vertices, 3)
        Positions in m.
    triangles : numpy.ndarray of int, shape (n_triangles, 3)
        Vertices of each triangle. All of one surface turn the same way.

    Returns
    -------
    numpy.ndarray, shape (n_vertices, 3)
        Outward if the triangles are counted counterclockwise seen from outside; zero for a
        vertex without a triangle.
    """
    of_triangle = triangle_normals(vertices, triangles)
    normals = np.zeros_like(vertices, dtype=np.float64)
    for corner in range(3):
        for axis in range(3):
            normals[:, axis] += np.bincount(
                triangles[:, corner], of_triangle[:, axis], minlength=len(vertices)
            )
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    return np.divide(normals, length, out=np.zeros_like(normals), where=length > 0)
