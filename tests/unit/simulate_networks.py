"""Networks for tests: by formula (so that other programs can build them too) and at random."""

from __future__ import annotations

import numpy as np

N_NODES, N_STEPS, DT = 76, 200, 0.5
MEAN_INPUT, ACTIVE = 0.087, 5
WATCHED = [0, 5, 17, 40, 75]


def formula_network() -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """Return weights, tract lengths (mm), a start (6, nodes) and the mean input (1/ms).

    A fifth of the pairs is connected, in one direction or both; some nodes drive themselves
    without a delay, as in the connectome of 76 nodes.
    """
    i, j = np.meshgrid(np.arange(N_NODES), np.arange(N_NODES), indexing="ij")
    weights = np.where((31 * i + 17 * j) % 5 == 0, ((7 * i + 11 * j) % 13 + 1) / 4.0, 0.0)
    tracts = 5.0 + (37 * i + 101 * j) % 150
    np.fill_diagonal(tracts, 0.0)
    node = np.arange(N_NODES)
    start = np.zeros((6, N_NODES))
    start[0] = 0.05 + 0.001 * node
    start[1] = 14.0 + 0.05 * node
    start[2] = 10.0 + 0.3 * (node % 7)
    start[3] = 0.001 * (node % 3)
    start[4] = 0.05 * (node % 5) - 0.1
    start[5] = 0.02 * (node % 4)
    return weights, tracts, start, MEAN_INPUT
