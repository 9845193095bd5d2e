"""Files of a cortex: its surface, its regions, and the folder of DeepSIF that holds both."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bidsmill.errors import BidsmillError
from bidsmill.simulate.anatomy.parcellation import symmetric_neighbours, touching_regions
from bidsmill.simulate.anatomy.surface import Surface, outward_triangles
from bidsmill.simulate.variables.matrix_files import numeric, read_variables, variables_text

# Names of vertices and triangles in the files of DeepSIF, Brainstorm and others.
VERTICES = ("pos", "Vertices", "vertices", "rr")
TRIANGLES = ("tri", "Faces", "faces", "triangles", "tris")
BRAINSTORM = {"Vertices", "Faces"}
MAPPINGS = ("rm", "region_of_vertex", "region_mapping")
NEIGHBOURS = ("nbs", "neighbours", "neighbors")
# The files of the folder `anatomy` of DeepSIF, by the setting that each stands for.
DEEPSIF = {
    "cortex": "fs_cortex_20k.mat",
    "inflated": "fs_cortex_20k_inflated.mat",
    "region_mapping": "fs_cortex_20k_region_mapping.mat",
    "leadfield": "leadfield_75_20k.mat",
    "montage": "electrode_75.mat",
}


def _first(variables: dict[str, Any], names: Sequence[str], what: str, path: Any) -> Any:
    for name in names:
        if name in variables:
            return variables[name]
    raise BidsmillError(
        f"a file has no {what}",
        file=path,
        found=f"the variables {variables_text(read_variables(path))}",
        expected=f"one of {', '.join(names)}",
    )


def _indices(value: Any, what: str, path: str | os.PathLike) -> np.ndarray:
    """Return whole numbers; MATLAB stores them as any type."""
    array = numeric(value, what, path)
    if not np.isfinite(array).all() or (array != np.rint(array)).any():
        raise BidsmillError(f"{what} are not whole numbers", file=path)
    return array.astype(np.int64)


def _in_metres(vertices: np.ndarray, path: str | os.PathLike) -> np.ndarray:
    """Return positions in m: a brain is between 0.1 and 0.3 m long, in whatever unit."""
    extent = float(np.ptp(vertices, axis=0).max())
    for unit in (1.0, 1e-2, 1e-3):
        if 0.08 <= extent * unit <= 0.4:
            return vertices * unit
    raise BidsmillError(
        "the size of the cortex is not that of a brain",
        file=path,
        found=f"{extent:.4g} from one end to the other",
        expected="between 0.08 and 0.4 m, in m, cm or mm",
    )


def read_cortex(path: str | os.PathLike | Sequence[str | os.PathLike]) -> Surface:
    """Read the surface of a cortex.

    Parameters
    ----------
    path : path-like or sequence of two path-like
        A matrix file with vertices and triangles (``pos`` and ``tri`` of DeepSIF, ``Vertices``
        and ``Faces`` of Brainstorm, ...), or two FreeSurfer surfaces (left, right). Lengths in m,
        cm or mm, x to the right, y to the front, z up (FreeSurfer's RAS); Brainstorm's are turned.

    Returns
    -------
    Surface
        In m, its triangles turned outward. The left hemisphere's vertices come first; where the
        two are not in separate pieces, vertices left of the middle belong to it.

    Raises
    ------
    BidsmillError
        If the file has no surface, or its triangles name vertices that do not exist.
    """
    if not isinstance(path, str | os.PathLike):
        return _freesurfer(path)
    # Not the others: they may be large, as the links between all pairs of vertices are.
    variables = read_variables(path, [*VERTICES, *TRIANGLES, "left_ind"])
    vertices = numeric(_first(variables, VERTICES, "vertices", path), "the vertices", path)
    triangles = _indices(_first(variables, TRIANGLES, "triangles", path), "triangles", path)
    if vertices.ndim != 2 or triangles.ndim != 2 or {vertices.shape[1], triangles.shape[1]} != {3}:
        raise BidsmillError(
            "vertices and triangles do not have three columns",
            file=path,
            found=f"{vertices.shape} and {triangles.shape}",
        )
    triangles = _from_zero(triangles, len(vertices), path)
    vertices = _turned(_in_metres(vertices, path), variables)
    triangles = outward_triangles(vertices, triangles)
    return Surface(vertices, triangles, _hemispheres(variables, vertices, triangles, path))


def _turned(vertices: np.ndarray, variables: dict[str, Any]) -> np.ndarray:
    """Return vertices with x to the right; Brainstorm's x points to the nose, y to the left."""
    if variables.keys() >= BRAINSTORM:
        return np.column_stack([-vertices[:, 1], vertices[:, 0], vertices[:, 2]])
    return vertices


def _from_zero(triangles: np.ndarray, count: int, path: str | os.PathLike) -> np.ndarray:
    """Return triangles whose vertices are counted from 0; MATLAB counts from 1."""
    lowest, highest = (triangles.min(), triangles.max()) if triangles.size else (-1, -1)
    if lowest == 0 and highest < count:
        return triangles
    if lowest >= 1 and highest == count:
        return triangles - 1
    raise BidsmillError(
        "triangles name vertices that do not exist, or it cannot be told from where they count",
        file=path,
        found=f"{lowest} to {highest}" if triangles.size else "no triangles",
        expected=f"0 to {count - 1}, or 1 to {count}",
    )


def _hemispheres(
    variables: dict[str, Any], vertices: np.ndarray, triangles: np.ndarray, path: Any
) -> np.ndarray:
    """Return 0 for vertices of the left hemisphere, 1 for the right."""
    if "left_ind" in variables:
        left = _indices(variables["left_ind"], "left_ind", path).ravel() - 1
        if left.size and not 0 <= left.min() <= left.max() < len(vertices):
            raise BidsmillError(
                "left_ind names vertices that do not exist",
                file=path,
                found=f"{left.min() + 1} to {left.max() + 1}",
                expected=f"1 to {len(vertices)}",
            )
        side = np.ones(len(vertices), np.int8)
        side[left] = 0
        return side
    from scipy.sparse.csgraph import connected_components

    from bidsmill.simulate.anatomy.distances import edge_graph

    count, piece = connected_components(edge_graph(vertices, triangles), directed=False)
    if count != 2:
        return (vertices[:, 0] > 0).astype(np.int8)
    middle = [vertices[piece == part, 0].mean() for part in (0, 1)]
    return (piece == int(np.argmax(middle))).astype(np.int8)


def _freesurfer(paths: Sequence[str | os.PathLike]) -> Surface:
    if len(paths) != 2:
        raise BidsmillError(
            "FreeSurfer surfaces come as two files", found=len(paths), expected="left and right"
        )
    sides = [_freesurfer_side(path) for path in paths]
    (left, left_triangles), (right, right_triangles) = sides
    vertices = _in_metres(np.concatenate([left, right]), paths[0])
    triangles = np.concatenate([left_triangles, right_triangles + len(left)]).astype(np.int64)
    side = np.repeat(np.array([0, 1], np.int8), [len(left), len(right)])
    return Surface(vertices, outward_triangles(vertices, triangles), side)


def _freesurfer_side(path: str | os.PathLike) -> tuple[np.ndarray, np.ndarray]:
    """Read vertices and triangles of a surface file of FreeSurfer ("triangle file").

    Three bytes that mark it, two lines of text, then big-endian: their numbers as int32, positions
    as float32 (mm), triangles as int32.
    """
    try:
        content = Path(path).read_bytes()
        if content[:3] != b"\xff\xff\xfe":
            raise ValueError("not a triangle file of FreeSurfer")
        start = content.index(b"\n\n") + 2
        vertices, triangles = (int(n) for n in np.frombuffer(content, ">i4", 2, start))
        start += 8
        if min(vertices, triangles) < 1:
            raise ValueError(f"{vertices} vertices, {triangles} triangles")
        points = np.frombuffer(content, ">f4", 3 * vertices, start)
        corners = np.frombuffer(content, ">i4", 3 * triangles, start + 12 * vertices)
        if not 0 <= corners.min() <= corners.max() < vertices:
            raise ValueError(f"a triangle of the vertices {corners.min()} to {corners.max()}")
    except (OSError, ValueError) as error:
        raise BidsmillError("a FreeSurfer surface cannot be read", file=path, found=error) from None
    return points.reshape(-1, 3).astype(np.float64), corners.reshape(-1, 3).astype(np.int64)


def read_regions(
    path: str | os.PathLike, surface: Surface
) -> tuple[np.ndarray, tuple[np.ndarray, ...], dict[str, Any]]:
    """Read the region of each vertex, and which regions are neighbours.

    Parameters
    ----------
    path : path-like
        A matrix file with ``rm`` (one region per vertex, from 0 or 1 on) and, if it has them,
        ``nbs`` (a cell with the neighbours of each region, from 1 on, as DeepSIF has it).
    surface : Surface
        The surface.

    Returns
    -------
    region_of_vertex : numpy.ndarray of int, shape (n_vertices,)
        0-based.
    neighbours : tuple of numpy.ndarray of int32
        Symmetric: a link that the file has in one direction only is taken both ways. Without
        lists in the file: the regions that touch on the surface.
    facts : dict
        Number of links, and of those that were one-way.

    Raises
    ------
    BidsmillError
        If mapping and surface do not fit, or neighbours name regions that do not exist.
    """
    variables = read_variables(path, [*MAPPINGS, *NEIGHBOURS])
    mapping = _indices(_first(variables, MAPPINGS, "region mapping", path), "regions", path).ravel()
    if len(mapping) != len(surface.vertices):
        raise BidsmillError(
            "region mapping and cortex differ in their vertices",
            file=path,
            found=f"{len(mapping)} vertices",
            expected=f"{len(surface.vertices)}, as in the cortex",
        )
    if mapping.min() not in (0, 1):
        raise BidsmillError(
            "regions are not counted from 0 or 1", file=path, found=f"from {mapping.min()} on"
        )
    first = int(mapping.min())
    mapping, n_regions = mapping - first, int(mapping.max()) - first + 1
    facts: dict[str, Any] = {"regions_counted_from": first}
    lists = next((variables[name] for name in NEIGHBOURS if name in variables), None)
    if not isinstance(lists, list):
        facts["neighbours_from"] = "edges of the surface"
        return mapping, touching_regions(surface.triangles, mapping, n_regions), facts
    pairs = _pairs(lists, n_regions, path)
    known = {tuple(pair) for pair in pairs.tolist()}
    facts |= {
        "neighbours_from": "lists of the file",
        "links": len(known),
        "one_way_links": sum((b, a) not in known for a, b in known),
    }
    return mapping, symmetric_neighbours(pairs, n_regions), facts


def _pairs(lists: list[Any], n_regions: int, path: str | os.PathLike) -> np.ndarray:
    """Return pairs of regions, 0-based, from the lists of a cell of MATLAB."""
    if len(lists) != n_regions:
        raise BidsmillError(
            "the lists of neighbours do not fit the regions",
            file=path,
            found=f"{len(lists)} lists",
            expected=f"{n_regions}",
        )
    near = [_indices(each, "neighbours", path).ravel() - 1 for each in lists]
    pairs = np.column_stack(
        [np.repeat(np.arange(n_regions), [len(each) for each in near]), np.concatenate(near)]
    )
    pairs = pairs[pairs[:, 0] != pairs[:, 1]]
    if len(pairs) and not 0 <= pairs[:, 1].min() <= pairs[:, 1].max() < n_regions:
        raise BidsmillError(
            "lists of neighbours name regions that do not exist",
            file=path,
            found=f"{pairs[:, 1].min() + 1} to {pairs[:, 1].max() + 1}",
            expected=f"1 to {n_regions}",
        )
    return pairs


def read_inflated(path: str | os.PathLike, surface: Surface) -> np.ndarray:
    """Read the vertices (m) of the inflated surface of the same cortex.

    Raises
    ------
    BidsmillError
        If it has other vertices than the cortex.
    """
    variables = read_variables(path, {*VERTICES, *BRAINSTORM})
    vertices = numeric(_first(variables, VERTICES, "vertices", path), "the vertices", path)
    if vertices.shape != surface.vertices.shape:
        raise BidsmillError(
            "the inflated surface has other vertices than the cortex",
            file=path,
            found=str(vertices.shape),
            expected=str(surface.vertices.shape),
        )
    return _turned(_in_metres(vertices, path), variables)


def deepsif_files(folder: str | os.PathLike) -> dict[str, str]:
    """Return the settings that the folder ``anatomy`` of DeepSIF stands for.

    Raises
    ------
    BidsmillError
        If cortex or region mapping are not in it. Of the others, those that are there.
    """
    target = Path(folder)
    there = {key: str(target / name) for key, name in DEEPSIF.items() if (target / name).is_file()}
    missing = [DEEPSIF[key] for key in ("cortex", "region_mapping") if key not in there]
    if missing:
        raise BidsmillError(
            "a folder does not hold the anatomy of DeepSIF",
            file=target,
            found=f"{', '.join(missing)} missing",
            expected=", ".join(DEEPSIF.values()),
            todo="set simulation.anatomy.folder, or name the files one by one",
        )
    return there
