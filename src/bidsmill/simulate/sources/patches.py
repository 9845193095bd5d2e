"""Patches of cortex: which regions take part in a source, and how strongly.

A patch grows from its centre over layers of neighbours, further along one axis than across it, as
the sources of DeepSIF do (Sun et al. 2022, "Deep neural networks constrained by neural mass
models improve electrophysiological source imaging of spatiotemporal brain dynamics", PNAS
119:e2201128119). The rules here are our own: every patch is connected and holds its centre.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

# Layers over which a patch can grow.
MOST_LAYERS = 3
# With three layers the second is filled more and the third less than the axis alone would.
SECOND_OF_THREE, THIRD_OF_THREE = 0.1, -0.15

Neighbours = Sequence[Sequence[int] | np.ndarray]


def grow_patch(
    positions: np.ndarray,
    neighbours: Neighbours,
    centre: int,
    layers: int,
    generator: np.random.Generator,
) -> np.ndarray:
    """Grow a patch from a region.

    The layers inside the last one are whole (with three layers the second is nearly so); a region
    of the last layer joins with a probability that rises with how well its direction from the
    centre lies on an axis, which is the direction to a neighbour drawn at random. Holes are
    filled, what hangs on a single region is cut, and so is what is not connected to the centre.

    Parameters
    ----------
    positions : ndarray, shape (n_regions, 3)
        Where the regions are, in any unit.
    neighbours : sequence of ndarray
        The neighbours of each region; symmetric.
    centre : int
        The region to start from.
    layers : int
        1 to 3: over how many layers of neighbours the patch grows.
    generator : numpy.random.Generator
        Draws the axis and the regions.

    Returns
    -------
    ndarray of int32
        Region ids: the centre first, then the others, rising.

    Raises
    ------
    ValueError
        If `layers` is not 1 to 3.
    """
    if not 1 <= layers <= MOST_LAYERS:
        raise ValueError(f"{layers} layers: expected 1 to {MOST_LAYERS}")
    first = set(neighbours[centre]) - {centre}
    if not first:
        return np.array([centre], np.int32)
    ordered = sorted(first)
    axis = _directions(positions, centre, [ordered[int(generator.integers(len(ordered)))]])[0]

    def drawn(candidates: set[int], added: float) -> set[int]:
        regions = sorted(candidates)
        if not regions:
            return set()
        along = np.abs(_directions(positions, centre, regions) @ axis)
        wanted = _to_unit_range(along) + added
        kept = generator.random(len(regions)) < wanted
        return {region for region, is_kept in zip(regions, kept.tolist(), strict=True) if is_kept}

    inside = {centre}
    if layers == 1:
        inside |= drawn(first, 0.0)
    else:
        inside |= first
        kept = drawn(_around(neighbours, first) - inside, SECOND_OF_THREE if layers == 3 else 0.0)
        inside |= kept
        if layers == 3:
            inside |= drawn(_around(neighbours, kept) - inside, THIRD_OF_THREE)
    others = _connected(neighbours, _smooth(neighbours, inside, centre), centre) - {centre}
    return np.array([centre, *sorted(others)], np.int32)


def _directions(positions: np.ndarray, centre: int, regions: list[int]) -> np.ndarray:
    """Return unit vectors from the centre; zero for a region at its very place."""
    away = positions[regions] - positions[centre]
    lengths = np.sqrt(np.einsum("ij,ij->i", away, away))
    return away / np.maximum(lengths, 1e-12)[:, None]


def _to_unit_range(values: np.ndarray) -> np.ndarray:
    """Scale values to 0 to 1; equal ones are all 1."""
    low, high = float(values.min()), float(values.max())
    if high - low < 1e-12:
        return np.ones_like(values)
    return (values - low) / (high - low)


def _around(neighbours: Neighbours, regions: set[int]) -> set[int]:
    """Return all neighbours of some regions."""
    return set().union(*(neighbours[region] for region in regions))


def _smooth(neighbours: Neighbours, inside: set[int], centre: int) -> set[int]:
    """Fill holes, then cut what hangs on one region.

    A region outside is a hole if all of its neighbours but one at most are inside; once those are
    filled, only regions with all of their neighbours inside are. Each step looks at the patch as it
    was before, so that the order of regions does not matter.
    """

    def touching(region: int, patch: set[int]) -> int:
        return sum(other in patch for other in neighbours[region])

    filled, allowed, holes = inside, 1, inside
    while holes:
        holes = {
            region
            for region in _around(neighbours, filled) - filled
            if len(neighbours[region]) > 1
            and touching(region, filled) >= len(neighbours[region]) - allowed
        }
        filled, allowed = filled | holes, 0
    if len(filled) <= 2:
        return filled
    hanging = {region for region in filled - {centre} if touching(region, filled) <= 1}
    return filled - hanging


def _connected(neighbours: Neighbours, inside: set[int], centre: int) -> set[int]:
    """Return the part of a patch that is connected to its centre."""
    reached, front = {centre}, {centre}
    while front:
        front = (_around(neighbours, front) & inside) - reached
        reached |= front
    return reached


def decay_weights(distances: np.ndarray, half_distance: float) -> np.ndarray:
    """Return the magnitude of each region of a patch, relative to that of its centre.

    ``exp(-d**2 / (2 sigma**2))`` with ``sigma = half_distance / sqrt(2 ln 2)``: the magnitude is
    a half at `half_distance`.

    Parameters
    ----------
    distances : ndarray
        From the centre, in m; infinite on the other hemisphere, where the magnitude is 0.
    half_distance : float
        In m.

    Returns
    -------
    ndarray of float32
        1 at the centre.
    """
    sigma = half_distance / math.sqrt(2 * math.log(2))
    squared = np.square(np.asarray(distances, np.float64))
    return np.exp(-squared / (2 * sigma**2)).astype(np.float32)
