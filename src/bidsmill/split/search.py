"""A start solution for the optimiser: greedy choice, best exchanges, repeated from kicks.

This is iterated local search (Lourenço, Martin and Stützle, "Iterated Local Search", Handbook
of Metaheuristics, 2003). It counts its work instead of looking at the clock, so that the same
problem always gives the same answer.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import numpy as np

# Smaller differences of the objective (a mean deviation of shares) are rounding.
ROUNDING = 1e-12
# Two to six groups are exchanged by a kick: few keep what was gained, many leave a valley.
KICK_SIZES = (2, 3, 4, 5, 6)
KICKS_WITHOUT_GAIN = 300


@dataclass(frozen=True)
class Terms:
    """What is to be balanced, over classes of groups that have equal counts.

    Attributes
    ----------
    counts : numpy.ndarray
        Shape (terms, classes), int64: rows of one group of each class in each term.
    sizes : numpy.ndarray
        Shape (classes,), int64: how many groups each class has.
    totals : numpy.ndarray
        Shape (terms,), int64: rows of each term over all groups, at least 1.
    weights : numpy.ndarray
        Shape (terms,), float64, of sum 1.
    share : float
        The wished share of each total, in (0, 1).
    """

    counts: np.ndarray
    sizes: np.ndarray
    totals: np.ndarray
    weights: np.ndarray
    share: float
    steps: np.ndarray = field(init=False)

    def __post_init__(self):
        factors = self.weights / self.totals
        object.__setattr__(self, "steps", self.counts * factors[:, np.newaxis])

    def deviations(self, taken: np.ndarray) -> np.ndarray:
        """Return weight x (share reached - share wished) of each term.

        Parameters
        ----------
        taken : numpy.ndarray
            Shape (classes,), int64: how many groups of each class are chosen.

        Returns
        -------
        numpy.ndarray
            Shape (terms,), float64.
        """
        return self.weights * ((self.counts @ taken) / self.totals - self.share)

    def objective(self, taken: np.ndarray) -> float:
        """Return the weighted mean of the absolute deviations of shares."""
        return float(np.abs(self.deviations(taken)).cumsum()[-1])


def search(terms: Terms, seed: int, work: int) -> np.ndarray:
    """Look for a good choice of groups; at least one is taken and at least one is left.

    Parameters
    ----------
    terms : Terms
        What is to be balanced; two groups or more.
    seed : int
        Seed of the kicks.
    work : int
        How many cells (terms x classes) may be evaluated, about; the greedy choice always ends.

    Returns
    -------
    numpy.ndarray
        Shape (classes,), int64: how many groups of each class are taken.
    """
    sums = _Sums(terms, work)
    best = sums.descend(_greedy(terms, sums))
    value = terms.objective(best)
    chance = random.Random(seed)
    idle = 0
    while idle < KICKS_WITHOUT_GAIN and not sums.spent() and value > ROUNDING:
        other = sums.descend(_kick(terms, best, KICK_SIZES[idle % len(KICK_SIZES)], chance))
        reached = terms.objective(other)
        idle += 1
        if reached < value - ROUNDING:
            best, value, idle = other, reached, 0
    return best


def _greedy(terms: Terms, sums: _Sums) -> np.ndarray:
    """Take the group that helps most, again and again, until none helps."""
    taken = np.zeros(len(terms.sizes), dtype=np.int64)
    value = np.inf
    while taken.sum() < terms.sizes.sum() - 1:
        reached = sums.after(terms.deviations(taken), taken < terms.sizes)
        place = int(reached.argmin())
        if reached[place] >= value - ROUNDING:
            break
        taken[place] += 1
        value = reached[place]
    return taken


def _kick(terms: Terms, taken: np.ndarray, size: int, chance: random.Random) -> np.ndarray:
    """Exchange some groups at random, one for one."""
    kicked = taken.copy()
    inside = np.repeat(np.arange(len(taken)), taken).tolist()
    outside = np.repeat(np.arange(len(taken)), terms.sizes - taken).tolist()
    number = min(size, len(inside), len(outside))
    for leave, enter in zip(
        chance.sample(inside, number), chance.sample(outside, number), strict=True
    ):
        kicked[leave] -= 1
        kicked[enter] += 1
    return kicked


class _Sums:
    """Evaluates all single steps from a choice at once, in a fixed order of additions."""

    def __init__(self, terms: Terms, limit: int):
        self.terms = terms
        self.limit = limit
        self.work = 0
        self._cells = np.empty_like(terms.steps)

    def spent(self) -> bool:
        """Return whether the work allowed is done."""
        return self.work >= self.limit

    def after(self, deviations: np.ndarray, allowed: np.ndarray) -> np.ndarray:
        """Return the objective after taking one group of each class (inf if not allowed)."""
        np.add(self.terms.steps, deviations[:, np.newaxis], out=self._cells)
        np.abs(self._cells, out=self._cells)
        # Adding along the first axis goes term by term on every machine: same sum everywhere.
        reached = self._cells.sum(axis=0)
        reached[~allowed] = np.inf
        self.work += self._cells.size
        return reached

    def descend(self, taken: np.ndarray) -> np.ndarray:
        """Exchange, drop and add groups as long as that lowers the objective, and work is left."""
        taken = taken.copy()
        improved = True
        while improved:
            improved = self._add(taken)
            for place in np.flatnonzero(taken):
                if taken[place] and not self.spent():
                    improved |= self._exchange(taken, int(place))
        return taken

    def _add(self, taken: np.ndarray) -> bool:
        """Take one group more, if that helps and leaves one on the other side."""
        terms = self.terms
        if taken.sum() >= terms.sizes.sum() - 1:
            return False
        reached = self.after(terms.deviations(taken), taken < terms.sizes)
        place = int(reached.argmin())
        if reached[place] >= terms.objective(taken) - ROUNDING:
            return False
        taken[place] += 1
        return True

    def _exchange(self, taken: np.ndarray, place: int) -> bool:
        """Give up one group of a class, or exchange it for the best other one."""
        terms = self.terms
        value = terms.objective(taken)
        taken[place] -= 1
        reached = self.after(terms.deviations(taken), taken < terms.sizes)
        other = int(reached.argmin())
        alone = terms.objective(taken) if taken.any() else np.inf
        if min(alone, reached[other]) >= value - ROUNDING:
            taken[place] += 1
            return False
        if reached[other] < alone:
            taken[other] += 1
        return True
