"""Spherical splines: the potential at one place of the head from that at others.

After Perrin, Pernier, Bertrand and Echallier (1989), "Spherical splines for scalp potential and
current density mapping", Electroenceph. clin. Neurophysiol. 72:184-187, formulas (1) to (3), and
the corrigendum in 76:565.
"""

from __future__ import annotations

import numpy as np

# m = 4 as Perrin et al. recommend; the sum over Legendre polynomials converges as n**-8, so that
# terms behind the 50th are below 1e-13 of the first.
STIFFNESS = 4
TERMS = 50
# Added to the diagonal, as EEGLAB's and MNE's implementations do: it lets the spline pass by a
# noisy electrode, and keeps the system solvable where two electrodes share a place.
SMOOTHING = 1e-5
# Centre of a head that no sphere can be fitted to, in m in the head frame: MNE's default.
USUAL_ORIGIN = (0.0, 0.0, 0.04)
# Fewer points lie on many spheres.
FEWEST_POINTS = 5
# A fitted centre further away than this from the frame's origin (m) is no centre of a head.
FARTHEST = 0.1


def spline_weights(sources: np.ndarray, targets: np.ndarray, origin: np.ndarray) -> np.ndarray:
    """Return what each source contributes to each target.

    Parameters
    ----------
    sources, targets : ndarray of float, shape (n_sources, 3) and (n_targets, 3)
        Places in m; their directions from `origin` count.
    origin : ndarray of float, shape (3,)
        Centre of the sphere in m.

    Returns
    -------
    ndarray of float64, shape (n_targets, n_sources)
        Each row adds up to 1.
    """
    start, goal = _directions(sources, origin), _directions(targets, origin)
    count = len(start)
    system = np.zeros((count + 1, count + 1))
    system[:count, :count] = _g(start, start)
    system[np.arange(count), np.arange(count)] += SMOOTHING
    system[count, :count] = system[:count, count] = 1.0
    wanted = np.concatenate([_g(goal, start), np.ones((len(goal), 1))], axis=1)
    # The system is symmetric.
    return _solve(system, wanted.T)[:count].T


def fit_origin(places: np.ndarray) -> np.ndarray:
    """Return the centre of the sphere nearest to places on a head (least squares).

    Parameters
    ----------
    places : ndarray of float, shape (n_places, 3)
        In m.

    Returns
    -------
    ndarray of float64, shape (3,)
        In m, to the micrometre; `USUAL_ORIGIN` where the places fix no sphere.
    """
    usual = np.array(USUAL_ORIGIN)
    if len(places) < FEWEST_POINTS:
        return usual
    # |p - c|**2 = r**2 is linear in c and r**2 - |c|**2.
    design = np.concatenate([2 * places, np.ones((len(places), 1))], axis=1)
    normal = np.einsum("ij,ik->jk", design, design)
    if np.linalg.cond(normal) > 1e12:
        return usual
    squares = np.einsum("ij,ij->i", places, places)
    centre = _solve(normal, np.einsum("ij,i->j", design, squares)[:, np.newaxis])[:3, 0]
    if not np.all(np.isfinite(centre)) or np.linalg.norm(centre) > FARTHEST:
        return usual
    return np.round(centre, 6)


def _directions(places: np.ndarray, origin: np.ndarray) -> np.ndarray:
    shifted = np.asarray(places, float) - origin
    length = np.linalg.norm(shifted, axis=1, keepdims=True)
    return np.divide(shifted, length, out=np.zeros_like(shifted), where=length > 0)


def _g(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return Perrin's g of the angles between directions, shape (n_first, n_second)."""
    from numpy.polynomial.legendre import legval

    n = np.arange(1, TERMS + 1, dtype=float)
    factors = (2 * n + 1) / (n**STIFFNESS * (n + 1) ** STIFFNESS * 4 * np.pi)
    return legval(np.einsum("ij,kj->ik", first, second), np.concatenate([[0.0], factors]))


def _solve(system: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Solve a linear system by elimination with pivots.

    The bits of LAPACK's solution depend on its number of threads; those of this one do not.
    """
    size = len(system)
    work = np.concatenate([system, right], axis=1)
    for step in range(size):
        pivot = step + int(np.argmax(np.abs(work[step:, step])))
        if pivot != step:
            work[[step, pivot]] = work[[pivot, step]]
        factors = work[step + 1 :, step] / work[step, step]
        work[step + 1 :, step:] -= factors[:, np.newaxis] * work[step, step:]
    solution = work[:, size:]
    for step in range(size - 1, -1, -1):
        solution[step] /= work[step, step]
        solution[:step] -= work[:step, step, np.newaxis] * solution[step]
    return solution
