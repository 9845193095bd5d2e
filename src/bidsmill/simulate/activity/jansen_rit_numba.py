"""The steps of :mod:`bidsmill.simulate.activity.jansen_rit`, compiled: the same numbers, sooner.

Every operation is done in the order of the NumPy path, and none is fused with another (numba
does so only when asked), so the results are equal. Inner loops run over the runs of the batch:
neighbours in memory, so that the compiler can make vector instructions of them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from bidsmill.simulate.activity.connectome import Tracts
from bidsmill.simulate.activity.exponential import constants as exponential_constants

NAMES = (
    *("dt", "half_dt", "v0", "coupling_midpoint", "r", "one", "maximum"),
    *("a1", "a2", "a3", "inhibition", "twice_a", "twice_b", "squared_a", "squared_b"),
)


def advance(
    now: tuple[np.ndarray, np.ndarray, int],
    tracts: Tracts,
    drives: tuple[np.ndarray, np.ndarray, np.ndarray],
    constants: dict[str, Any],
    noise: np.ndarray,
    out: np.ndarray,
) -> int:
    """Advance a network by the steps of `noise`; write y1 - y2 to `out`.

    Parameters
    ----------
    now : (numpy.ndarray, numpy.ndarray, int)
        State and history, which are changed in place, and the slot of the last step in the
        history: as in `bidsmill.simulate.activity.jansen_rit.Network`.
    tracts : Tracts
        Of the network.
    drives : (numpy.ndarray, numpy.ndarray, numpy.ndarray)
        Excitation of each node and run; mean input and gain of the noise of each run.
    constants : dict
        Of the neural mass: a number for each of ``NAMES``, in the precision of the state.
    noise, out : numpy.ndarray, shape (steps, nodes, runs)
        Standard normal numbers, and the result.

    Returns
    -------
    int
        The slot of the history that holds the last step.
    """
    c = exponential_constants(noise.dtype)
    return _advance(
        *now,
        (tracts.first, tracts.source, tracts.weight, tracts.delay),
        *drives,
        np.array([constants[name] for name in NAMES], dtype=noise.dtype),
        (
            np.array([c.lowest, c.highest, c.per_ln2, c.ln2_high, c.ln2_low, c.rounding]),
            c.coefficients,
            np.array([c.shift, c.bias]),
        ),
        noise,
        out,
    )


@njit(cache=True, inline="always")
def _exponential_in_place(x, scaled, numbers, coefficients, bits):
    """Replace x by exp(x); `scaled` is space for as many numbers."""
    lowest, highest, per_ln2 = numbers[0], numbers[1], numbers[2]
    ln2_high, ln2_low, rounding = numbers[3], numbers[4], numbers[5]
    for b in range(x.size):
        value = min(max(x[b], lowest), highest)
        raised = value * per_ln2 + rounding
        n = raised - rounding
        scaled[b] = raised
        x[b] = value - n * ln2_high - n * ln2_low
    power = scaled.view(bits.dtype)
    for b in range(x.size):
        power[b] = (power[b] + bits[1]) << bits[0]
    if coefficients.size == 8:
        c0, c1, c2, c3 = coefficients[0], coefficients[1], coefficients[2], coefficients[3]
        c4, c5, c6, c7 = coefficients[4], coefficients[5], coefficients[6], coefficients[7]
        for b in range(x.size):
            v = x[b]
            series = ((((((c0 * v + c1) * v + c2) * v + c3) * v + c4) * v + c5) * v + c6) * v + c7
            x[b] = series * scaled[b]
    else:
        for b in range(x.size):
            series = coefficients[0]
            for k in range(1, coefficients.size):
                series = series * x[b] + coefficients[k]
            x[b] = series * scaled[b]


@njit(cache=True, inline="always")
def _logistic(x, scaled, midpoint, c, numbers, coefficients, bits):
    """Replace x by maximum / (1 + exp(r (midpoint - x)))."""
    r, one, maximum = c[4], c[5], c[6]
    for b in range(x.size):
        x[b] = (midpoint - x[b]) * r
    _exponential_in_place(x, scaled, numbers, coefficients, bits)
    for b in range(x.size):
        x[b] = maximum / (x[b] + one)


@njit(cache=True, inline="always")
def _slope(y, drive, gain, s, slope, scaled, c, numbers, coefficients, bits):
    """Write the change of y4 to y6 of one node to `slope` (that of the others is y itself)."""
    a1, a2, a3, inhibition = c[7], c[8], c[9], c[10]
    twice_a, twice_b, squared_a, squared_b = c[11], c[12], c[13], c[14]
    n_runs = drive.size
    for b in range(n_runs):
        s[b] = y[1, b] - y[2, b]
        s[n_runs + b] = y[0, b] * a1
        s[2 * n_runs + b] = y[0, b] * a3
    _logistic(s, scaled, c[2], c, numbers, coefficients, bits)
    for b in range(n_runs):
        slope[0, b] = (s[b] * gain[b] - y[3, b] * twice_a) - y[0, b] * squared_a
        pulse = (s[n_runs + b] * a2 + drive[b]) * gain[b]
        slope[1, b] = (pulse - y[4, b] * twice_a) - y[1, b] * squared_a
        slope[2, b] = (s[2 * n_runs + b] * inhibition - y[5, b] * twice_b) - y[2, b] * squared_b


@njit(cache=True)
def _drive(node, history, head, tracts, drive):
    """Write the sum over the tracts into one node."""
    first, source, weight, delay = tracts
    n_slots = history.shape[0]
    drive[:] = 0
    for tract in range(first[node], first[node + 1]):
        past = history[(head - delay[tract]) % n_slots, source[tract]]
        factor = weight[tract]
        for b in range(drive.size):
            drive[b] += factor * past[b]


@njit(cache=True)
def _step(y, drive, shock, gain, space, c, numbers, coefficients, bits):
    """Advance one node by one step of Heun's method; y is changed in place."""
    middle, slope, second, s, scaled = space
    dt, half_dt, n_runs = c[0], c[1], drive.size
    _slope(y, drive, gain, s, slope, scaled, c, numbers, coefficients, bits)
    for row in range(3):
        for b in range(n_runs):
            middle[row, b] = y[row + 3, b] * dt + y[row, b]
            middle[row + 3, b] = slope[row, b] * dt + y[row + 3, b]
    for b in range(n_runs):
        middle[4, b] += shock[b]
    _slope(middle, drive, gain, s, second, scaled, c, numbers, coefficients, bits)
    for row in range(3):
        for b in range(n_runs):
            y[row, b] += (y[row + 3, b] + middle[row + 3, b]) * half_dt
            y[row + 3, b] += (slope[row, b] + second[row, b]) * half_dt
    for b in range(n_runs):
        y[4, b] += shock[b]


@njit(cache=True)
def _advance(
    state, history, head, tracts, excitation, mean_input, noise_gain, c, exponential, noise, out
):
    numbers, coefficients, bits = exponential
    n_slots, n_nodes, n_runs = history.shape
    drive, shock = np.empty(n_runs, state.dtype), np.empty(n_runs, state.dtype)
    y, middle = np.empty((6, n_runs), state.dtype), np.empty((6, n_runs), state.dtype)
    slope, second = np.empty((3, n_runs), state.dtype), np.empty((3, n_runs), state.dtype)
    s, scaled = np.empty(3 * n_runs, state.dtype), np.empty(3 * n_runs, state.dtype)
    space = (middle, slope, second, s, scaled)
    for step in range(noise.shape[0]):
        following = (head + 1) % n_slots
        for node in range(n_nodes):
            _drive(node, history, head, tracts, drive)
            for b in range(n_runs):
                drive[b] += mean_input[b]
                shock[b] = noise[step, node, b] * noise_gain[b]
            for row in range(6):
                y[row] = state[row, node]
            _step(y, drive, shock, excitation[node], space, c, numbers, coefficients, bits)
            for row in range(6):
                state[row, node] = y[row]
            result, new = out[step, node], history[following, node]
            for b in range(n_runs):
                result[b] = y[1, b] - y[2, b]
                new[b] = result[b]
            _logistic(new, scaled[:n_runs], c[3], c, numbers, coefficients, bits)
        head = following
    return head
