"""Surfaces of the cortex: areas, volumes, and a generated one for those who have none."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bidsmill.formats.anatomy import triangle_normals

# Half axes (m) of a generated hemisphere: to the side, front to back, bottom to top. With the
# middle wall they give a brain of about 13 x 16 x 11 cm, as adult brains have.
HALF_AXES = (0.050, 0.080, 0.055)
# The wall between the hemispheres is the same shape, pressed flat to this share.
FLAT = 0.25
# Half of the gap between the hemispheres (m).
GAP = 0.002
# Waves of the folds: directions and wave numbers of plane waves through the unit sphere. They
# have no meaning but to be irregular; about ten folds go around a hemisphere.
WAVES = ((9.1, 3.7, -2.2), (-3.1, 8.3, 4.9), (2.7, -5.3, 8.9), (6.7, 6.1, 5.3))
# Folds go this deep, as a share of the distance from the centre of the hemisphere.
FOLD = 0.25


@dataclass(frozen=True, eq=False)
class Surface:
    """A surface of triangles.

    Attributes
    ----------
    vertices : numpy.ndarray, shape (n_vertices, 3)
        Positions in m.
    triangles : numpy.ndarray of int, shape (n_triangles, 3)
        Vertices of each triangle, 0-based.
    hemisphere : numpy.ndarray of int8, shape (n_vertices,)
        0 is left, 1 is right.
    """

    vertices: np.ndarray
    triangles: np.ndarray
    hemisphere: np.ndarray


def vertex_areas(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Return the area (m²) that belongs to each vertex: a third of each of its triangles."""
    areas = np.linalg.norm(triangle_normals(vertices, triangles), axis=1) / 2
    return np.bincount(triangles.ravel(), np.repeat(areas / 3, 3), minlength=len(vertices))


def enclosed_volume(vertices: np.ndarray, triangles: np.ndarray) -> float:
    """Return the volume (m³) of closed surfaces; negative if their triangles face inward.

    The sum of the tetrahedra of each triangle with the origin (divergence theorem).
    """
    corner = vertices[triangles]
    return float(np.einsum("ij,ij->", corner[:, 0], np.cross(corner[:, 1], corner[:, 2])) / 6)


def outward_triangles(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Return the triangles turned so that their normals point out of the closed surfaces."""
    return triangles if enclosed_volume(vertices, triangles) >= 0 else triangles[:, ::-1]


def icosphere(level: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a unit sphere of triangles: an icosahedron, each triangle cut in four, repeatedly.

    Parameters
    ----------
    level : int
        How often the triangles are cut: ``10 * 4**level + 2`` vertices.

    Returns
    -------
    vertices : numpy.ndarray, shape (n_vertices, 3)
    triangles : numpy.ndarray, shape (n_triangles, 3)
        Counterclockwise seen from outside.
    """
    golden = (1 + np.sqrt(5)) / 2
    corners = [(a, b * golden, 0.0) for a in (-1, 1) for b in (-1, 1)]
    vertices = np.array([np.roll(corner, turn) for turn in range(3) for corner in corners])
    # The triangles of an icosahedron are all triples of corners at the distance of an edge.
    near = np.isclose(np.linalg.norm(vertices[:, None] - vertices[None], axis=2), 2.0)
    found = [
        (i, j, k)
        for i in range(12)
        for j in range(i + 1, 12)
        for k in range(j + 1, 12)
        if near[i, j] and near[j, k] and near[i, k]
    ]
    triangles = np.array(found)
    inward = np.einsum("ij,ij->i", triangle_normals(vertices, triangles), vertices[triangles[:, 0]])
    triangles[inward < 0] = triangles[inward < 0][:, ::-1]
    vertices = vertices / np.linalg.norm(vertices, axis=1, keepdims=True)
    for _ in range(level):
        vertices, triangles = _cut(vertices, triangles)
    return vertices, triangles


def _cut(vertices: np.ndarray, triangles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cut each triangle in four, at the middles of its edges, which are moved to the sphere."""
    sides = np.sort(
        np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    )
    edges, place = np.unique(sides, axis=0, return_inverse=True)
    middle = vertices[edges].mean(axis=1)
    middle /= np.linalg.norm(middle, axis=1, keepdims=True)
    a, b, c = triangles.T
    ab, bc, ca = len(vertices) + place.reshape(3, -1)
    cut = np.stack([[a, ab, ca], [ab, b, bc], [ca, bc, c], [ab, bc, ca]])
    return np.concatenate([vertices, middle]), cut.transpose(0, 2, 1).reshape(-1, 3)


def generated_cortex(level: int, folded: bool = True) -> Surface:
    """Return two hemispheres in the shape of a brain, mirror images of each other.

    Parameters
    ----------
    level : int
        Each hemisphere has ``10 * 4**level + 2`` vertices.
    folded : bool
        Whether the surface has folds, so that sources point in all directions and not only
        towards the skull.

    Returns
    -------
    Surface
        In m, x to the right, y to the front, z up, about the origin. All left vertices come
        first; vertex ``i`` of the right hemisphere mirrors vertex ``i`` of the left one.
    """
    directions, triangles = icosphere(level)
    depth = np.ones(len(directions))
    if folded:
        waves = np.sin(directions @ np.array(WAVES).T).mean(axis=1)
        depth -= FOLD * (1 + waves) / 2
    right = directions * depth[:, None] * np.array(HALF_AXES)
    right[:, 0] *= np.where(right[:, 0] < 0, FLAT, 1.0)
    right[:, 0] += FLAT * HALF_AXES[0] + GAP
    left = right * np.array([-1.0, 1.0, 1.0])
    count = len(directions)
    return Surface(
        vertices=np.concatenate([left, right]),
        # A mirror image turns the triangles around.
        triangles=np.concatenate([triangles[:, ::-1], triangles + count]).astype(np.int32),
        hemisphere=np.repeat(np.array([0, 1], np.int8), count),
    )
