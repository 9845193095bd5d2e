"""Distances between regions: along the cortex, and straight through the head."""

from __future__ import annotations

from typing import Any

import numpy as np


def edge_graph(vertices: np.ndarray, triangles: np.ndarray) -> Any:
    """Return the edges of a surface with their lengths.

    Parameters
    ----------
    vertices : numpy.ndarray, shape (n_vertices, 3)
        Positions in m.
    triangles : numpy.ndarray of int, shape (n_triangles, 3)
        Vertices of each triangle.

    Returns
    -------
    scipy.sparse.csr_array, shape (n_vertices, n_vertices)
        Lengths of the edges (m), symmetric.
    """
    from scipy.sparse import csr_array

    sides = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    edges = np.unique(np.sort(sides.astype(np.int64)), axis=0)
    edges = edges[edges[:, 0] != edges[:, 1]]
    length = np.linalg.norm(vertices[edges[:, 0]] - vertices[edges[:, 1]], axis=1)
    # A stored zero would be no edge at all.
    length = np.maximum(length, np.finfo(np.float64).tiny)
    rows, columns = np.concatenate([edges, edges[:, ::-1]]).T
    return csr_array((np.tile(length, 2), (rows, columns)), shape=(len(vertices),) * 2)


def centroids(vertices: np.ndarray, region_of_vertex: np.ndarray, n_regions: int) -> np.ndarray:
    """Return the mean position of the vertices of each region, shape (n_regions, 3)."""
    count = np.bincount(region_of_vertex, minlength=n_regions)
    sums = [np.bincount(region_of_vertex, axis, minlength=n_regions) for axis in vertices.T]
    return np.stack(sums, axis=1) / np.maximum(count, 1)[:, None]


def medoids(vertices: np.ndarray, region_of_vertex: np.ndarray, n_regions: int) -> np.ndarray:
    """Return for each region its vertex that is nearest to its centroid."""
    away = np.linalg.norm(
        vertices - centroids(vertices, region_of_vertex, n_regions)[region_of_vertex], axis=1
    )
    order = np.lexsort((np.arange(len(vertices)), away, region_of_vertex))
    first = np.searchsorted(region_of_vertex[order], np.arange(n_regions))
    return order[first]


def geodesic_distances(
    vertices: np.ndarray, triangles: np.ndarray, region_of_vertex: np.ndarray, n_regions: int
) -> np.ndarray:
    """Return distances along the edges of the surface between the middles of regions.

    Shortest paths (Dijkstra) from the vertex of each region that is nearest to its centroid.
    Paths along edges are somewhat longer than the straightest ones on the surface.

    Returns
    -------
    numpy.ndarray of float32, shape (n_regions, n_regions)
        Distances in m; infinite where no path leads (to the other hemisphere).
    """
    from scipy.sparse.csgraph import dijkstra

    middle = medoids(vertices, region_of_vertex, n_regions)
    graph = edge_graph(vertices, triangles)
    found = np.empty((n_regions, n_regions), np.float32)
    # In blocks: all paths to all vertices at once need 160 MB for 994 regions.
    for start in range(0, n_regions, 128):
        block = slice(start, min(start + 128, n_regions))
        found[block] = dijkstra(graph, indices=middle[block])[:, middle]
    # Both ways are the same path, but its lengths may be added in another order.
    return np.minimum(found, found.T)


def euclidean_distances(positions: np.ndarray) -> np.ndarray:
    """Return straight distances between positions (m), as float32."""
    from scipy.spatial.distance import cdist

    return cdist(positions, positions).astype(np.float32)
