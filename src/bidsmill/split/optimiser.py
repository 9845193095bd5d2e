"""Choose the groups of one side by mixed-integer programming.

The program, over classes of groups with equal counts (x: how many groups of a class are taken):

    minimise    sum over terms of weight * |rows taken / rows in all - share|
    subject to  x integer, 0 <= x <= groups of the class, 1 <= sum of x <= groups - 1

Groups may be held inside or outside beforehand: their rows are then no part of the choice, and the
sum of x may be 0 (or all) if one is inside (or outside). A term is a stratum, or all rows together.
The weights sum to 1, so the objective is a weighted mean of deviations of shares: 0.01 is one
percentage point.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import floor

import numpy as np

from bidsmill.errors import BidsmillError
from bidsmill.split.search import Terms, search
from bidsmill.split.start import stratified_choices

# All stops are counts or gaps, never the clock. Measured on one core: 1.5 billion cells of the
# search per second; a node costs about a microsecond per nonzero of the program.
SEARCH_WORK = 10_000_000_000
NODE_WORK = 600_000
FEWEST_NODES, MOST_NODES = 50, 20_000
# Above this many nonzeros one round of cuts alone takes longer than the search needs to come
# closer to the optimum than the bound can show.
LARGEST_PROGRAM = 6_000
# A hundred-thousandth of a share: below it, a better optimum changes nothing for anybody.
ABSOLUTE_GAP = 1e-5
# HiGHS has absolute tolerances of 1e-6 and 1e-7; shares are given to it in thousandths.
SCALE = 1000.0


@dataclass(frozen=True)
class Choice:
    """The groups chosen for one side, and how good the choice is.

    Attributes
    ----------
    groups : tuple of str
        The chosen groups, sorted.
    objective, bound, gap : float
        Weighted mean absolute deviation of shares reached; a proven lower bound of it for any
        choice; their difference.
    nodes : int
        Nodes of the search tree that were solved.
    solver : str
        Name and version of the solver.
    """

    groups: tuple[str, ...]
    objective: float
    bound: float
    gap: float
    nodes: int
    solver: str


def choose_groups(
    groups: list[str],
    counts: np.ndarray,
    rows: np.ndarray,
    weights: np.ndarray,
    share: float,
    *,
    seed: int = 0,
    held: Mapping[str, bool] | None = None,
) -> Choice:
    """Choose the groups whose rows come nearest to a share of every stratum and of all rows.

    The answer depends neither on the order of the groups nor on the number of cores. Among
    groups with equal counts the first ones in the order of their ids are chosen; with a seed
    other than 0 ids are ordered by their SHA-256 with the seed, which gives other, equally
    good choices.

    Parameters
    ----------
    groups : list of str
        Ids, all different.
    counts : numpy.ndarray
        Shape (groups, strata), int: rows of each group in each stratum to be balanced.
    rows : numpy.ndarray
        Shape (groups,), int: rows of each group. Groups without rows are never chosen.
    weights : numpy.ndarray
        Shape (strata,), float: weight of each stratum; all rows together weigh 1.
    share : float
        The wished share of rows, in (0, 1).
    seed : int
        Seed of the search and of the solver.
    held : mapping, optional
        Group -> whether it is chosen, for groups about which there is no choice. The others are
        chosen around them, and the bound holds for any choice that leaves them.

    Returns
    -------
    Choice
        At least one group with rows is chosen, and at least one is not.

    Raises
    ------
    BidsmillError
        If fewer than two groups have rows, if all are held on one side, or the solver fails.
    """
    order = sorted(range(len(groups)), key=lambda i: order_key(groups[i], seed))
    order = [i for i in order if rows[i] > 0]
    if len(order) < 2:
        raise BidsmillError(
            "fewer than two groups have rows", found=len(order), expected="2 or more"
        )
    counts, rows = np.asarray(counts)[order], np.asarray(rows)[order]
    places = [(held or {}).get(groups[i]) for i in order]
    if None not in places and len(set(places)) == 1:
        raise BidsmillError(
            "every group with rows is held on one side", expected="a group on either side"
        )
    terms, members = terms_of(counts, rows, weights, share, places)
    bound = _bound_of_whole_rows(terms)

    def starts() -> Iterator[np.ndarray]:
        for chosen in stratified_choices(counts, rows, share):
            start = np.array([int(chosen[m].sum()) for m in members], dtype=np.int64)
            if terms.least <= start.sum() <= terms.most:
                yield start

    taken = search(terms, seed, SEARCH_WORK, bound + ABSOLUTE_GAP, starts)
    nodes, solver = 0, _solver_name()
    objective = terms.objective(taken)
    if objective - bound > ABSOLUTE_GAP and np.count_nonzero(terms.counts) <= LARGEST_PROGRAM:
        found, proven, nodes = _solve(terms, taken, seed)
        bound = max(bound, proven)
        if terms.objective(found) < objective:
            taken, objective = found, terms.objective(found)
    bound = min(bound, objective)
    chosen = [groups[i] for i, place in zip(order, places, strict=True) if place]
    chosen += [groups[order[i]] for c, m in enumerate(members) for i in m[: taken[c]]]
    return Choice(tuple(sorted(chosen)), objective, bound, objective - bound, nodes, solver)


def objective_of(
    counts: np.ndarray, rows: np.ndarray, weights: np.ndarray, share: float, chosen: np.ndarray
) -> float:
    """Return the objective of any choice, for comparison.

    Parameters
    ----------
    counts, rows, weights, share
        As for `choose_groups`.
    chosen : numpy.ndarray
        Shape (groups,), bool.

    Returns
    -------
    float
        Weighted mean absolute deviation of shares.
    """
    sums = np.column_stack([rows, counts]).astype(float)
    weight = np.concatenate([[1.0], weights])
    used = (weight > 0) & (sums.sum(axis=0) > 0)
    reached = sums[chosen][:, used].sum(axis=0) / sums[:, used].sum(axis=0)
    return float((weight[used] * np.abs(reached - share)).sum() / weight[used].sum())


def order_key(group: str, seed: int) -> str:
    """Return what groups are ordered by: their id, or with a seed its SHA-256 with the seed."""
    return group if seed == 0 else hashlib.sha256(f"{seed}:{group}".encode()).hexdigest()


def terms_of(counts, rows, weights, share, places) -> tuple[Terms, list[np.ndarray]]:
    """Merge terms that always deviate alike, and groups that count alike.

    Parameters
    ----------
    counts, rows, weights, share
        As for `choose_groups`.
    places : list of bool or None
        Whether each group is held inside (True), outside (False) or free (None).

    Returns
    -------
    terms : Terms
        What is to be balanced over the classes of free groups.
    members : list of numpy.ndarray
        Per class the places of its groups, in order.
    """
    columns = np.column_stack([rows, counts]).astype(np.int64)
    weight = np.concatenate([[1.0], np.asarray(weights, dtype=float)])
    merged: dict[tuple[int, ...], float] = {}
    for column, value in zip(columns.T, weight, strict=True):
        if value > 0 and column.any():
            key = tuple((column // np.gcd.reduce(column)).tolist())
            merged[key] = merged.get(key, 0.0) + float(value)
    matrix = np.array(list(merged), dtype=np.int64)
    classes: dict[tuple[int, ...], list[int]] = {}
    for i, vector in enumerate(matrix.T.tolist()):
        if places[i] is None:
            classes.setdefault(tuple(vector), []).append(i)
    members = [np.array(m) for m in classes.values()]
    values = np.array(list(merged.values()))
    inside = np.array([place is True for place in places])
    terms = Terms(
        counts=np.array(list(classes), dtype=np.int64).reshape(len(classes), len(matrix)).T.copy(),
        sizes=np.array([len(m) for m in members], dtype=np.int64),
        totals=matrix.sum(axis=1),
        weights=values / values.sum(),
        share=float(share),
        base=matrix[:, inside].sum(axis=1),
        least=0 if inside.any() else 1,
        most=places.count(None) - (False not in places),
    )
    return terms, members


def _least_deviations(terms: Terms) -> np.ndarray:
    """Return the least |rows taken / total - share| of each term; shape (terms,).

    Rows taken beside the base are a multiple of the greatest common divisor of the groups' rows,
    from none to all of them, so a wish between two multiples, or beyond, cannot be met exactly.
    """
    wish = Fraction(str(terms.share))
    least = []
    taken = terms.rows_of(np.zeros(len(terms.sizes), dtype=np.int64)).tolist()
    free = (terms.counts @ terms.sizes).tolist()
    for place, total in enumerate(terms.totals.tolist()):
        step = max(1, int(np.gcd.reduce(terms.counts[place], initial=0)))
        exact = (wish * total - taken[place]) / step
        nearest = min(max(floor(exact + Fraction(1, 2)), 0), free[place] // step)
        least.append(float(abs(exact - nearest) * step / total))
    return np.array(least)


def _bound_of_whole_rows(terms: Terms) -> float:
    """Return a bound without a search tree.

    The linear relaxation gives none: taking the wished share of every group costs 0.
    """
    return float((terms.weights * _least_deviations(terms)).cumsum()[-1]) * (1 - 1e-12)


def _solver_name() -> str:
    import highspy

    return f"HiGHS {highspy.Highs().version()}"


def _solve(terms: Terms, start: np.ndarray, seed: int) -> tuple[np.ndarray, float, int]:
    """Run HiGHS from a start solution; return classes taken, proven bound, nodes."""
    import highspy

    # HiGHS refuses to run with another number of threads than a run before it in this process.
    highspy.Highs.resetGlobalScheduler(True)
    highs = highspy.Highs()
    work = np.count_nonzero(terms.counts)
    options: dict[str, bool | int | float | str] = {
        "output_flag": False,
        "threads": 1,
        "parallel": "off",
        "random_seed": seed % 2**31,
        "mip_max_nodes": int(np.clip(NODE_WORK // work, FEWEST_NODES, MOST_NODES)),
        "mip_abs_gap": ABSOLUTE_GAP * SCALE,
        "mip_rel_gap": 0.0,
    }
    for name, value in options.items():
        if highs.setOptionValue(name, value) != highspy.HighsStatus.kOk:
            raise BidsmillError(f"this version of HiGHS has no option {name!r}")
    highs.passModel(_program(terms))
    solution = highspy.HighsSolution()
    off = terms.deviations(start) / terms.weights * SCALE
    solution.col_value = np.concatenate([start, np.maximum(off, 0), np.maximum(-off, 0)]).tolist()
    highs.setSolution(solution)
    highs.run()
    status = highs.getModelStatus()
    if status not in (highspy.HighsModelStatus.kOptimal, highspy.HighsModelStatus.kSolutionLimit):
        raise BidsmillError(
            "the solver did not solve the program of the split",
            found=highs.modelStatusToString(status),
            expected="Optimal, or a stop at the limit of nodes",
        )
    info = highs.getInfo()
    values = np.array(highs.getSolution().col_value[: len(terms.sizes)])
    taken = np.clip(np.rint(values).astype(np.int64), 0, terms.sizes)
    if not terms.least <= taken.sum() <= terms.most:
        taken = start
    bound = info.mip_dual_bound / SCALE
    return taken, bound if np.isfinite(bound) else 0.0, int(info.mip_node_count)


def _program(terms: Terms):
    """Return the program as HiGHS takes it: columns x, above, below; rows terms, least, sides."""
    import highspy

    n_terms, n_classes = terms.counts.shape
    shares = terms.counts / terms.totals[:, np.newaxis] * SCALE
    least = _least_deviations(terms) * SCALE
    eye = np.eye(n_terms)
    infinity = highspy.kHighsInf
    matrix = np.block(
        [
            [shares, -eye, eye],
            [np.zeros_like(shares), eye, eye],
            [np.ones((1, n_classes)), np.zeros((1, 2 * n_terms))],
        ]
    )
    nothing = np.zeros(n_classes, dtype=np.int64)
    wish = (terms.share - terms.rows_of(nothing) / terms.totals) * SCALE
    lp = highspy.HighsLp()
    lp.num_row_, lp.num_col_ = matrix.shape
    lp.col_cost_ = np.concatenate([np.zeros(n_classes), terms.weights, terms.weights])
    lp.col_lower_ = np.zeros(matrix.shape[1])
    lp.col_upper_ = np.concatenate([terms.sizes, np.full(2 * n_terms, infinity)])
    # The tolerance keeps rounding from cutting off a solution that meets the bound exactly.
    lp.row_lower_ = np.concatenate([wish, least - 1e-7, [float(terms.least)]])
    lp.row_upper_ = np.concatenate([wish, np.full(n_terms, infinity), [float(terms.most)]])
    kinds = highspy.HighsVarType
    lp.integrality_ = [kinds.kInteger] * n_classes + [kinds.kContinuous] * (2 * n_terms)
    row, column = np.nonzero(matrix)
    lp.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    lp.a_matrix_.start_ = np.searchsorted(row, np.arange(matrix.shape[0] + 1)).astype(np.int32)
    lp.a_matrix_.index_ = column.astype(np.int32)
    lp.a_matrix_.value_ = matrix[row, column]
    return lp
