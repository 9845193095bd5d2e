"""Regions of a cortex: cut from its surface, and which of them touch."""

from __future__ import annotations

from typing import Any

import numpy as np

from bidsmill.errors import BidsmillError
from bidsmill.simulate.anatomy.distances import edge_graph

# Moving the seeds to the middle of their regions and cutting again makes the regions even; after
# a few times they hardly move.
ROUNDS = 3


def cut_regions(
    vertices: np.ndarray, triangles: np.ndarray, hemisphere: np.ndarray, n_regions: int
) -> np.ndarray:
    """Cut a cortex into regions of about equal size, each of one piece.

    In each hemisphere seeds are set as far from each other as the surface allows (each next one
    farthest from all before it), and every vertex goes to the seed that is nearest along the
    surface; then the seeds move to the middle of their regions, and the cut is made again.

    Parameters
    ----------
    vertices, triangles : numpy.ndarray
        The surface (m).
    hemisphere : numpy.ndarray of int, shape (n_vertices,)
        0 is left, 1 is right.
    n_regions : int
        Regions of both hemispheres together; the left one has the smaller half.

    Returns
    -------
    numpy.ndarray of int32, shape (n_vertices,)
        Region of each vertex: those of the left hemisphere come first.

    Raises
    ------
    BidsmillError
        If there are fewer vertices than regions.
    """
    found = np.full(len(vertices), -1, np.int32)
    graph = edge_graph(vertices, triangles)
    shares = (n_regions // 2, n_regions - n_regions // 2)
    first = 0
    for side, count in enumerate(shares):
        members = np.flatnonzero(hemisphere == side)
        if not 0 < count <= len(members):
            raise BidsmillError(
                "a cortex cannot be cut into the regions asked for",
                found=f"{len(members)} vertices in a hemisphere",
                expected=f"at least {count}, and at least 2 regions",
                todo="choose another number of regions (simulation.anatomy.regions)",
            )
        part = graph[members][:, members]
        found[members] = first + _cut_hemisphere(part, vertices[members], count)
        first += count
    return found


def _cut_hemisphere(graph: Any, vertices: np.ndarray, count: int) -> np.ndarray:
    from scipy.sparse.csgraph import dijkstra

    # Anything fixed would do as the first seed; the highest vertex can be found again by eye.
    seeds = [int(np.argmax(vertices[:, 2]))]
    away = dijkstra(graph, indices=seeds[0])
    while len(seeds) < count:
        seeds.append(int(np.argmax(away)))
        away = np.minimum(away, dijkstra(graph, indices=seeds[-1]))
    region = _nearest(graph, seeds)
    for _ in range(ROUNDS):
        region = _nearest(graph, _middles(vertices, region, count))
    return region


def _nearest(graph: Any, seeds: Any) -> np.ndarray:
    """Return for each vertex which seed is nearest along the surface."""
    from scipy.sparse.csgraph import dijkstra

    _, _, source = dijkstra(graph, indices=seeds, min_only=True, return_predecessors=True)
    of_seed = np.full(graph.shape[0], -1)
    of_seed[seeds] = np.arange(len(seeds))
    if (source < 0).any():
        raise BidsmillError(
            "a hemisphere of the cortex is not of one piece",
            found=f"{int((source < 0).sum())} vertices without a path to the others",
            todo="give a region mapping, or a surface without loose vertices",
        )
    return of_seed[source]


def _middles(vertices: np.ndarray, region: np.ndarray, count: int) -> np.ndarray:
    from bidsmill.simulate.anatomy.distances import medoids

    return medoids(vertices, region, count)


def touching_regions(
    triangles: np.ndarray, region_of_vertex: np.ndarray, n_regions: int
) -> tuple[np.ndarray, ...]:
    """Return for each region those that share an edge of the surface with it.

    Returns
    -------
    tuple of numpy.ndarray of int32
        Sorted; of two regions that touch, each is in the list of the other.
    """
    sides = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    pairs = region_of_vertex[sides].astype(np.int64)
    pairs = pairs[pairs[:, 0] != pairs[:, 1]]
    return symmetric_neighbours(pairs, n_regions)


def symmetric_neighbours(pairs: np.ndarray, n_regions: int) -> tuple[np.ndarray, ...]:
    """Return lists of neighbours from pairs of regions, each pair taken both ways.

    Parameters
    ----------
    pairs : numpy.ndarray of int, shape (n_pairs, 2)
        Regions that are neighbours, 0-based.
    n_regions : int
        Number of regions.

    Returns
    -------
    tuple of numpy.ndarray of int32
        Sorted neighbours of each region.
    """
    both = np.unique(np.concatenate([pairs, pairs[:, ::-1]]).reshape(-1, 2), axis=0)
    starts = np.searchsorted(both[:, 0], np.arange(n_regions + 1))
    return tuple(
        both[starts[region] : starts[region + 1], 1].astype(np.int32) for region in range(n_regions)
    )
