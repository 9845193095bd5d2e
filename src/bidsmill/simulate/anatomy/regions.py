"""Regions of a cortex: the anatomy of a surface, with all distances computed."""

from __future__ import annotations

from typing import Any

import numpy as np

from bidsmill.errors import BidsmillError
from bidsmill.formats.anatomy import Anatomy
from bidsmill.simulate.anatomy.distances import (
    centroids,
    euclidean_distances,
    geodesic_distances,
)


def anatomy_of_surface(
    vertices: np.ndarray,
    triangles: np.ndarray,
    region_of_vertex: np.ndarray,
    hemisphere_of_vertex: np.ndarray,
    neighbours: tuple[np.ndarray, ...],
    inflated: np.ndarray | None = None,
    facts: dict[str, Any] | None = None,
) -> Anatomy:
    """Return the anatomy of a surface with regions, with all distances computed.

    Parameters
    ----------
    vertices : numpy.ndarray, shape (n_vertices, 3)
        In m.
    triangles : numpy.ndarray of int, shape (n_triangles, 3)
        0-based.
    region_of_vertex : numpy.ndarray of int, shape (n_vertices,)
        0-based; every region has a vertex.
    hemisphere_of_vertex : numpy.ndarray of int, shape (n_vertices,)
        0 is left, 1 is right.
    neighbours : tuple of numpy.ndarray of int
        Sorted neighbours of each region, symmetric.
    inflated : numpy.ndarray, optional
        The vertices of the inflated surface (m).
    facts : dict, optional
        Provenance, kept with the anatomy.

    Raises
    ------
    BidsmillError
        If a region has no vertex, or lies in both hemispheres.
    """
    n_regions = len(neighbours)
    count = np.bincount(region_of_vertex, minlength=n_regions)
    right = np.bincount(region_of_vertex, hemisphere_of_vertex, minlength=n_regions)
    if (count == 0).any() or len(count) > n_regions:
        raise BidsmillError(
            "the region mapping does not fit the number of regions",
            found=f"ids 0 to {len(count) - 1}, without a vertex: "
            f"{np.flatnonzero(count == 0)[:10].tolist()}",
            expected=f"every id from 0 to {n_regions - 1}",
        )
    if ((right > 0) & (right < count)).any():
        raise BidsmillError(
            "a region has vertices in both hemispheres",
            found=f"regions {np.flatnonzero((right > 0) & (right < count))[:10].tolist()}",
            expected="regions of one hemisphere each",
        )
    positions = centroids(vertices, region_of_vertex, n_regions)
    links = np.array([len(near) for near in neighbours])
    counted = {
        "regions": n_regions,
        "regions_left": int((right == 0).sum()),
        "vertices": len(vertices),
        "triangles": len(triangles),
        "vertices_per_region": _spread(count),
        "neighbours_per_region": _spread(links),
        "regions_without_neighbours": np.flatnonzero(links == 0).tolist(),
    }
    return Anatomy(
        positions=positions,
        neighbours=neighbours,
        hemisphere=(right > 0).astype(np.int8),
        distances={
            "geodesic": geodesic_distances(vertices, triangles, region_of_vertex, n_regions),
            "euclidean": euclidean_distances(positions),
        },
        vertices=vertices,
        triangles=triangles.astype(np.int32),
        region_of_vertex=region_of_vertex.astype(np.int32),
        inflated=inflated,
        facts={**(facts or {}), **counted},
    )


def _spread(counts: np.ndarray) -> dict[str, float]:
    return {
        "min": int(counts.min()),
        "median": float(np.median(counts)),
        "max": int(counts.max()),
    }
