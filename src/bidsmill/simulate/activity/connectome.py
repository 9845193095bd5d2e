"""How regions are wired: weights and lengths of the tracts between the nodes of a network."""

from __future__ import annotations

import io
import os
import re
import zipfile
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from bidsmill.errors import BidsmillError
from bidsmill.simulate.random_numbers import generator

SPEED = 3.0
"""Conduction speed in mm/ms: the default of The Virtual Brain."""

# The connectome of 998 nodes and the mapping of 994 regions share their order, but for four
# regions that are the last four nodes (forward/process_raw_nmm.m of DeepSIF; confirmed by the
# positions: with it regions and nodes lie 3.5 mm apart in the median, without it these four are
# 22 to 78 mm away).
MOVED_NODES = {7: 994, 325: 997, 921: 996, 949: 995}
LARGEST_DISTANCE = 0.03
"""Metres that a region may be away from its node: the mesh is not the one of the nodes."""

LONGEST_TRACT = 1000.0
"""In mm. The longest of the connectome of 998 nodes has 190 mm."""

# Measured on the connectome of 998 nodes (its density, weights and lengths against distance):
# the share of connected pairs, 0.7 up to 20 mm, halved at 23 mm, 0.004 far away; weights from
# 0.65 to 0.38, spread by 13 %; tracts 1.28 times as long as the straight line; mean sum of the
# weights of a node 17.9.
NEAR, FAR, HALF_DISTANCE, STEEPNESS = 0.7, 0.004, 23.0, 5
WEIGHT_FAR, WEIGHT_NEAR, WEIGHT_LENGTH, WEIGHT_SPREAD = 0.38, 0.29, 20.0, 0.13
TORTUOSITY, MEAN_STRENGTH, NODES = 1.28, 17.9, 998


@dataclass(frozen=True)
class Connectome:
    """Nodes and the tracts between them.

    Attributes
    ----------
    weights : numpy.ndarray, shape (nodes, nodes), float64
        ``weights[i, j]``: how strongly node j acts on node i.
    tract_lengths : numpy.ndarray, shape (nodes, nodes), float64
        In mm, in the same order.
    node_of_region : numpy.ndarray, shape (regions,), int32
        The node that stands for each region. There may be more nodes than regions.
    speed : float
        Conduction speed in mm/ms.
    centres : numpy.ndarray, shape (nodes, 3), or None
        Positions in m.
    origin : str
        Where it comes from, in words.
    """

    weights: np.ndarray
    tract_lengths: np.ndarray
    node_of_region: np.ndarray
    speed: float = SPEED
    centres: np.ndarray | None = None
    origin: str = ""

    @property
    def n_nodes(self) -> int:
        """Number of nodes."""
        return len(self.weights)

    @property
    def n_regions(self) -> int:
        """Number of regions."""
        return len(self.node_of_region)

    def delay_steps(self, dt: float) -> np.ndarray:
        """Return the delay of each tract in steps of `dt` ms, rounded to the nearest."""
        return np.rint(self.tract_lengths / self.speed / dt).astype(np.int32)


@dataclass(frozen=True)
class Tracts:
    """The tracts that carry something, sorted by the node that they reach.

    Attributes
    ----------
    first : numpy.ndarray, shape (nodes + 1,), int32
        The tracts into node i are ``first[i]`` to ``first[i + 1]``.
    source : numpy.ndarray, int32
        The node where each starts.
    weight : numpy.ndarray
        In the precision of the run.
    delay : numpy.ndarray, int32
        In steps.
    """

    first: np.ndarray
    source: np.ndarray
    weight: np.ndarray
    delay: np.ndarray

    @classmethod
    def of(cls, connectome: Connectome, dt: float, dtype: Any, strength: float = 1.0) -> Tracts:
        """Return the tracts of a connectome."""
        target, source = np.nonzero(connectome.weights)
        first = np.searchsorted(target, np.arange(connectome.n_nodes + 1)).astype(np.int32)
        weight = (strength * connectome.weights[target, source]).astype(dtype)
        delay = connectome.delay_steps(dt)[target, source]
        return cls(first, source.astype(np.int32), weight, delay)


def load_connectome(
    path: str | os.PathLike,
    n_regions: int,
    region_positions: np.ndarray | None = None,
    speed: float = SPEED,
) -> Connectome:
    """Read a connectome in the form of The Virtual Brain: a zip of text tables.

    Parameters
    ----------
    path : path-like
        The zip, with ``weights.txt``, ``tract_lengths.txt`` and perhaps ``centres.txt``.
    n_regions : int
        Number of regions of the anatomy. Equal to the number of nodes, or 994 for 998 nodes.
    region_positions : numpy.ndarray, shape (n_regions, 3), optional
        In m: a check that regions and nodes are in the same order, for 998 nodes.
    speed : float
        Conduction speed in mm/ms.

    Returns
    -------
    Connectome

    Raises
    ------
    BidsmillError
        If a table is missing or cannot be used, or nodes and regions do not fit.
    """
    tables = _tables(path)
    weights, lengths = tables["weights"], tables["tract_lengths"]
    _check_matrix(path, "weights", weights, len(weights))
    _check_matrix(path, "tract_lengths", lengths, len(weights))
    if lengths.max() > LONGEST_TRACT:
        raise BidsmillError(
            "The tracts of the connectome are longer than a brain allows",
            file=os.fspath(path),
            found=f"{lengths.max():g} mm",
            expected=f"at most {LONGEST_TRACT:g} mm",
            todo="write tract_lengths.txt in mm",
        )
    if not 0 < speed < np.inf:
        raise BidsmillError("The conduction speed must be above 0 mm/ms", found=str(speed))
    centres = tables.get("centres")
    mapping = map_regions(len(weights), n_regions, path)
    if centres is not None:
        if centres.shape != (len(weights), 3):
            raise BidsmillError(
                "The connectome has no position for each node",
                file=os.fspath(path),
                found=f"centres of shape {centres.shape}",
                expected=f"({len(weights)}, 3)",
            )
        centres = centres / 1000
        if len(weights) != n_regions and region_positions is not None:
            _check_mapping(path, centres[mapping], np.asarray(region_positions))
    origin = f"connectome of {len(weights)} nodes from {os.path.basename(path)}"
    return Connectome(weights, lengths, mapping, float(speed), centres, origin)


def map_regions(n_nodes: int, n_regions: int, path: str | os.PathLike | None = None) -> np.ndarray:
    """Return the node of each region.

    Raises
    ------
    BidsmillError
        Unless there are as many nodes as regions, or 998 nodes and 994 regions.
    """
    mapping = np.arange(n_regions, dtype=np.int32)
    if n_nodes == n_regions:
        return mapping
    if (n_nodes, n_regions) != (998, 994):
        raise BidsmillError(
            "The connectome does not fit the regions of the anatomy",
            file=None if path is None else os.fspath(path),
            found=f"{n_nodes} nodes for {n_regions} regions",
            expected="as many nodes as regions, or 998 nodes for the 994 regions of DeepSIF",
            todo="take another connectome, or let one be generated for this anatomy",
        )
    for region, node in MOVED_NODES.items():
        mapping[region] = node
    return mapping


def generate_connectome(
    positions: np.ndarray,
    hemisphere: np.ndarray | None = None,
    seed: int = 0,
    speed: float = SPEED,
) -> Connectome:
    """Make a connectome for regions that have none, from their distances alone.

    Near regions are connected more often and more strongly, as in the measured connectome of
    998 nodes, whose numbers are kept: neighbours per node, strength, length of tracts.

    Parameters
    ----------
    positions : numpy.ndarray, shape (regions, 3)
        In m.
    hemisphere : numpy.ndarray, shape (regions,), optional
        Regions of different hemispheres are connected three times less often at the same
        distance (in the measured connectome 11.5 % of tracts cross the midline).
    seed : int
        Seed of the simulation.
    speed : float
        Conduction speed in mm/ms.

    Returns
    -------
    Connectome
        Symmetric, without a connection of a node to itself.
    """
    places = np.asarray(positions, dtype=float) * 1000
    n_regions = len(places)
    distance = np.sqrt(((places[:, None] - places[None]) ** 2).sum(axis=2))
    # Fewer regions lie farther apart; each keeps about as many neighbours.
    half = HALF_DISTANCE * np.sqrt(NODES / n_regions)
    chance = FAR + NEAR / (1 + (distance / half) ** STEEPNESS)
    if hemisphere is not None:
        sides = np.asarray(hemisphere)
        chance = np.where(sides[:, None] == sides[None], chance, chance / 3)
    random = generator(seed, "connectome")
    connected = np.triu(random.random((n_regions, n_regions)) < chance, 1)
    spread = np.exp(WEIGHT_SPREAD * random.standard_normal((n_regions, n_regions)))
    weights = connected * spread * (WEIGHT_FAR + WEIGHT_NEAR * np.exp(-distance / WEIGHT_LENGTH))
    weights = weights + weights.T
    total = weights.sum()
    if total > 0:
        weights *= MEAN_STRENGTH * n_regions / total
    lengths = np.where(weights > 0, TORTUOSITY * distance, 0.0)
    mapping = np.arange(n_regions, dtype=np.int32)
    origin = f"generated from the distances of {n_regions} regions, seed {seed}"
    return Connectome(weights, lengths, mapping, float(speed), places / 1000, origin)


def _tables(path: str | os.PathLike) -> dict[str, np.ndarray]:
    try:
        with zipfile.ZipFile(path) as archive:
            names = {os.path.basename(name): name for name in archive.namelist()}
            for needed in ("weights.txt", "tract_lengths.txt"):
                if needed not in names:
                    raise BidsmillError(
                        f"The connectome has no {needed}",
                        file=os.fspath(path),
                        found=", ".join(sorted(names)) or "an empty archive",
                    )
            texts = {
                name.removesuffix(".txt"): archive.read(names[name]).decode("utf-8")
                for name in ("weights.txt", "tract_lengths.txt", "centres.txt")
                if name in names
            }
    # Damage shows in any of these ways; a RuntimeError: it is encrypted.
    except (OSError, EOFError, RuntimeError, ValueError, zipfile.BadZipFile, zlib.error) as problem:
        raise BidsmillError(
            "The connectome cannot be read",
            file=os.fspath(path),
            found=str(problem),
            expected="a zip of text tables: weights.txt, tract_lengths.txt",
        ) from None
    if "centres" in texts:
        # Each line starts with the name of the node.
        texts["centres"] = re.sub(r"(?m)^\s*\S+", "", texts["centres"])
    return {name: _numbers(path, name, text) for name, text in texts.items()}


def _numbers(path: str | os.PathLike, name: str, text: str) -> np.ndarray:
    try:
        return np.loadtxt(io.StringIO(text), ndmin=2)
    except ValueError as problem:
        raise BidsmillError(
            f"{name}.txt of the connectome is not a table of numbers",
            file=os.fspath(path),
            found=str(problem),
        ) from None


def _check_matrix(path: str | os.PathLike, name: str, matrix: np.ndarray, n_nodes: int) -> None:
    good = matrix.shape == (n_nodes, n_nodes) and np.isfinite(matrix).all() and matrix.min() >= 0
    if not good:
        raise BidsmillError(
            f"{name}.txt of the connectome cannot be used",
            file=os.fspath(path),
            found=f"shape {matrix.shape}, {np.count_nonzero(matrix < 0)} negative and "
            f"{np.count_nonzero(~np.isfinite(matrix))} not finite numbers",
            expected=f"finite numbers of at least 0 in shape ({n_nodes}, {n_nodes})",
        )


def _check_mapping(path: str | os.PathLike, centres: np.ndarray, regions: np.ndarray) -> None:
    apart = np.linalg.norm(centres - regions, axis=1)
    if not apart.max() <= LARGEST_DISTANCE:
        worst = int(np.argmax(apart))
        raise BidsmillError(
            "The nodes of the connectome are not in the order of the regions",
            file=os.fspath(path),
            found=f"region {worst} lies {1000 * apart[worst]:.0f} mm from its node",
            expected=f"at most {1000 * LARGEST_DISTANCE:.0f} mm",
            todo="check that connectome and anatomy belong together",
        )
