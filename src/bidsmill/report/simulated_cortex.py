"""The cortex seen from six sides: which region each pixel shows, and how light it is.

Triangles are sorted from far to near and filled in this order ("painter's algorithm": Newell,
Newell and Sancha, 1972), all of them at once in arrays. What is filled is not a colour but the
region, so that any number of maps is coloured from one drawing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bidsmill.formats.anatomy import Anatomy, vertex_normals

# Pixels of the longest side of the brain in the page, and how many are averaged to one each way.
LENGTH = 330
FINER = 2
MARGIN = 4
# Gap between inflated hemispheres, seen from above and below, in m.
GAP = 0.006
# Pixels tested at once.
PIECE = 1_000_000
# A concave stretch of the surface (a sulcus) is drawn that much darker.
SULCUS = 0.22


@dataclass(frozen=True)
class View:
    """A side from which the cortex is seen: axes of the picture in head coordinates.

    `hemisphere` is 0 for left, 1 for right, None for both.
    """

    name: str
    title: str
    hemisphere: int | None
    right: tuple[int, int, int]
    up: tuple[int, int, int]


VIEWS = (
    View("left", "left, outside", 0, (0, -1, 0), (0, 0, 1)),
    View("top", "L · above · R", None, (1, 0, 0), (0, 1, 0)),
    View("right", "right, outside", 1, (0, 1, 0), (0, 0, 1)),
    View("leftinside", "left, inside", 0, (0, 1, 0), (0, 0, 1)),
    View("bottom", "R · below · L", None, (-1, 0, 0), (0, 1, 0)),
    View("rightinside", "right, inside", 1, (0, -1, 0), (0, 0, 1)),
)


@dataclass(frozen=True)
class Drawn:
    """The cortex from one side.

    Attributes
    ----------
    view : View
        The side.
    region : numpy.ndarray of int32, shape (height, width)
        Region that a pixel shows, -1 outside; `FINER` times as fine as the page.
    light : numpy.ndarray of float32, shape (height, width)
        From 0 (dark) to 1.
    """

    view: View
    region: np.ndarray
    light: np.ndarray


def draw_cortex(anatomy: Anatomy) -> list[Drawn]:
    """Draw the surface of an anatomy, inflated if it can be; its regions as dots without one.

    Parameters
    ----------
    anatomy : Anatomy
        With or without a surface.

    Returns
    -------
    list of Drawn
        One per side from which something is to be seen, at one scale.
    """
    if anatomy.vertices is None or anatomy.triangles is None or anatomy.region_of_vertex is None:
        points, region = anatomy.positions, np.arange(anatomy.n_regions)
        triangles = None
    else:
        points = anatomy.vertices if anatomy.inflated is None else anatomy.inflated
        triangles, region = np.asarray(anatomy.triangles, np.int64), anatomy.region_of_vertex
    points = np.asarray(points, np.float64)
    side = anatomy.hemisphere[region]
    scale = FINER * LENGTH / max(float(np.ptp(points, axis=0).max()), 1e-9)
    apart = _apart(points, side) if anatomy.inflated is not None else points
    tint = np.ones(len(points))
    if triangles is not None and anatomy.inflated is not None and anatomy.vertices is not None:
        tint = 1 - SULCUS * _concave(np.asarray(anatomy.vertices, np.float64), triangles)
    drawn = []
    for view in VIEWS:
        shown = np.ones(len(side), bool) if view.hemisphere is None else side == view.hemisphere
        if not shown.any():
            continue
        place = (apart if view.hemisphere is None else points) * scale
        if triangles is None:
            drawn.append(_dots(view, place, shown))
        else:
            normals = vertex_normals(place, triangles)
            own = triangles[shown[triangles].all(axis=1)]
            vertex, light = _fill(view, place, own, shown, tint, normals)
            drawn.append(Drawn(view, np.where(vertex < 0, -1, region[vertex]), light))
    return drawn


def _apart(points: np.ndarray, side: np.ndarray) -> np.ndarray:
    """Return the hemispheres moved so that they do not overlap: inflated ones do."""
    moved = points.copy()
    if (side == 0).any() and (side == 1).any():
        moved[side == 0, 0] -= points[side == 0, 0].max() + GAP / 2
        moved[side == 1, 0] -= points[side == 1, 0].min() - GAP / 2
    return moved


def _concave(points: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Return where the surface is hollow, from 0 to 1: sulci of the surface before inflation.

    The sign of the mean curvature, by the vector to the mean of the neighbours (the umbrella
    operator: Kobbelt et al., 1998), smoothed over neighbours.
    """
    ends = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    count = np.maximum(np.bincount(ends[:, 0], minlength=len(points)), 1)

    def mean(values: np.ndarray) -> np.ndarray:
        return np.bincount(ends[:, 0], values[ends[:, 1]], len(points)) / count

    towards = np.column_stack([mean(points[:, k]) for k in range(3)]) - points
    hollow = (towards * vertex_normals(points, triangles)).sum(axis=1)
    centre = points.mean(axis=0)
    outward = ((points - centre) * vertex_normals(points, triangles)).sum()
    hollow = hollow if outward >= 0 else -hollow
    for _ in range(2):
        hollow = (hollow + mean(hollow)) / 2
    spread = float(np.std(hollow)) or 1.0
    return np.clip(0.5 + 1.5 * hollow / spread, 0, 1)


def _axes(view: View) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    right, up = np.array(view.right, float), np.array(view.up, float)
    return right, up, np.cross(right, up)


def _canvas(
    view: View, points: np.ndarray, shown: np.ndarray, margin: float
) -> tuple[np.ndarray, np.ndarray, tuple[int, int]]:
    """Return column and row of each point, its depth (near is larger), and the picture's size."""
    right, up, towards = _axes(view)
    flat = np.column_stack([points @ right, -(points @ up)])
    flat -= flat[shown].min(axis=0) - margin
    width, height = np.ceil((flat[shown].max(axis=0) + margin) / FINER).astype(int) * FINER
    return flat, points @ towards, (int(height), int(width))


def _fill(
    view: View,
    points: np.ndarray,
    triangles: np.ndarray,
    shown: np.ndarray,
    tint: np.ndarray,
    normals: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Fill triangles from far to near.

    Returns
    -------
    vertex : numpy.ndarray of int64, shape (height, width)
        The nearest of the corners that a pixel lies between, -1 outside.
    light : numpy.ndarray of float32, shape (height, width)
        Between those of the corners.
    """
    flat, depth, shape = _canvas(view, points, shown, MARGIN * FINER)
    bright = tint * (0.45 + 0.55 * np.abs(normals @ _axes(view)[2]))
    order = triangles[np.argsort(depth[triangles].mean(axis=1), kind="stable")]
    vertex = np.full(shape, -1, np.int64)
    light = np.zeros(shape, np.float32)
    corners = flat[order]
    low = np.ceil(corners.min(axis=1)).astype(np.int64)
    span = np.maximum(np.floor(corners.max(axis=1)).astype(np.int64) - low + 1, 0)
    tested = np.cumsum(span.prod(axis=1))
    first = 0
    while first < len(order):
        done = tested[first - 1] if first else 0
        last = max(first + 1, int(np.searchsorted(tested, done + PIECE, side="right")))
        own = slice(first, last)
        which, column, row = _pixels(low[own], span[own])
        weights = _barycentric(corners[own][which], column, row)
        inside = (weights >= -1e-9).all(axis=1)
        which, column, row, weights = (v[inside] for v in (which, column, row, weights))
        corner = order[own][which]
        # Of several triangles on a pixel, the last and so the nearest stays.
        vertex[row, column] = corner[np.arange(len(corner)), weights.argmax(axis=1)]
        light[row, column] = (weights * bright[corner]).sum(axis=1)
        first = last
    return vertex, light


def _pixels(low: np.ndarray, span: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return, for each rectangle of pixels, all of them: rectangle, column, row."""
    sizes = span.prod(axis=1)
    which = np.repeat(np.arange(len(span)), sizes)
    within = np.arange(len(which)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    wide = np.maximum(span[which, 0], 1)
    return which, low[which, 0] + within % wide, low[which, 1] + within // wide


def _barycentric(corners: np.ndarray, column: np.ndarray, row: np.ndarray) -> np.ndarray:
    """Return the weights of three corners at a point; all are positive inside (Möbius 1827)."""
    (ax, ay), (bx, by), (cx, cy) = (corners[:, k].T for k in range(3))
    area = (by - cy) * (ax - cx) + (cx - bx) * (ay - cy)
    area = np.where(area == 0, np.nan, area)
    first = ((by - cy) * (column - cx) + (cx - bx) * (row - cy)) / area
    second = ((cy - ay) * (column - cx) + (ax - cx) * (row - cy)) / area
    return np.column_stack([first, second, 1 - first - second])


def _dots(view: View, points: np.ndarray, shown: np.ndarray) -> Drawn:
    """Draw each region as a ball at its position."""
    from scipy.spatial import cKDTree

    near = cKDTree(points).query(points, k=min(2, len(points)))[0].reshape(len(points), -1)[:, -1]
    radius = float(np.clip(0.6 * np.median(near), 3 * FINER, 12 * FINER))
    flat, depth, shape = _canvas(view, points, shown, MARGIN * FINER + radius)
    region = np.full(shape, -1, np.int32)
    light = np.zeros(shape, np.float32)
    line = np.arange(-int(radius), int(radius) + 1)
    away = np.hypot(*np.meshgrid(line, line)) / radius
    ball = np.argwhere(away <= 1) - int(radius)
    shade = (1 - 0.5 * away[away <= 1] ** 2).astype(np.float32)
    own = np.flatnonzero(shown)
    for number in own[np.argsort(depth[own], kind="stable")]:
        row, column = np.rint(flat[number, ::-1]).astype(int)[:, None] + ball.T
        region[row, column] = number
        light[row, column] = shade
    return Drawn(view, region, light)


def marker(drawn: list[Drawn], region: int) -> list[tuple[int, float, float]]:
    """Return where to point at a region: where enough of it is to be seen.

    Parameters
    ----------
    drawn : list of Drawn
        All sides.
    region : int
        The region.

    Returns
    -------
    list of (int, float, float)
        Place in `drawn`, and column and row in pixels of the page.
    """
    pixels = [np.argwhere(one.region == region) for one in drawn]
    most = max((len(found) for found in pixels), default=0)
    points = []
    for number, found in enumerate(pixels):
        if len(found) and len(found) >= 0.3 * most:
            middle = found[np.square(found - found.mean(axis=0)).sum(axis=1).argmin()]
            points.append((number, float(middle[1]) / FINER, float(middle[0]) / FINER))
    return points
