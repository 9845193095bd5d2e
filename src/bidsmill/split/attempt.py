"""A split at one level: groups that are held, groups that are chosen, and reasons against it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from bidsmill.formats import certificate
from bidsmill.split import groups, strata
from bidsmill.split.folds import Fold, part_train
from bidsmill.split.merging import Links, Merging, merge_units
from bidsmill.split.optimiser import Choice, choose_groups
from bidsmill.split.placed import Held, choices_for, hold
from bidsmill.split.settings import Settings

if TYPE_CHECKING:
    import pandas as pd

# With two groups there is nothing to choose: one of them would be the whole test side.
FEWEST_GROUPS = 3
# A side whose share of all rows is further from the wish than this is no answer to the wish.
FURTHEST_SHARE = 0.15


@dataclass(frozen=True)
class Attempt:
    """A split at one level, or the reason why there is none.

    Attributes
    ----------
    level : str
        The level.
    table : pandas.DataFrame
        Groups with their sides.
    held : Held
        Groups about which there was no choice.
    merging : Merging
        Groups that are several subjects, sessions or recordings.
    reason : str
        Why it must not be used, or ''.
    test, validation : Choice or None
        The choices made.
    unheld : Choice or None
        What would have been chosen for test if nobody had been placed before.
    impossible : numpy.ndarray or None
        Shape (strata,), bool: strata in fewer than two groups.
    folds : tuple of Fold
        The folds, if any are asked for; the first one is test.
    """

    level: str
    table: pd.DataFrame
    held: Held
    merging: Merging
    reason: str = ""
    test: Choice | None = None
    validation: Choice | None = None
    unheld: Choice | None = None
    impossible: np.ndarray | None = None
    folds: tuple[Fold, ...] = ()

    def refused(self, reason: str) -> Attempt:
        """Return the same with a reason against it."""
        return replace(self, reason=reason)


def attempt(
    samples: pd.DataFrame,
    columns: list[strata.Column],
    wish: Settings,
    level: str,
    links: Links,
    prior: np.ndarray,
) -> Attempt:
    """Split at one level, or say why that cannot be done.

    Parameters
    ----------
    samples : pandas.DataFrame
        One row per window.
    columns : list of Column
        What is to be balanced.
    wish : Settings
        The settings.
    level : str
        The level.
    links : Links
        What is known to be the same.
    prior : numpy.ndarray
        Shape (rows,): side of each row before.
    """
    merging = merge_units(samples, level, links)
    table = groups.group_table(samples, level, share=wish.test, gap=wish.gap, joined=merging.first)
    held = hold(samples, table, prior, wish)
    made = Attempt(level, table, held, merging)
    counted = strata.counted_rows(samples)
    rows, counts = _counts(samples, columns, table, counted)
    fewest = FEWEST_GROUPS + (wish.validation > 0)
    usable = int((rows > 0).sum())
    if usable < fewest:
        noun = "group has" if usable == 1 else "groups have"
        return made.refused(f"level {level}: {usable} {noun} rows that count; {fewest} are needed")
    possible = (counts > 0).sum(axis=0) >= 2
    weights = strata.stratum_weights(columns, possible)
    names = np.array(table["group"].tolist(), dtype=object)
    places = choices_for(held, "test")
    if _is_stuck(names[rows > 0], places):
        return made.refused(_stuck_reason(level, "test", held))
    problem = (names.tolist(), counts, rows, weights, wish.test)
    test = choose_groups(*problem, seed=wish.seed, held=places)
    is_held = np.array([name in places for name in names]) & (rows > 0)
    unheld = choose_groups(*problem, seed=wish.seed) if is_held.any() else None
    # Groups of which all rows are excluded are no part of the choice, but have a side, too.
    silent = {name: held.sides[name] for name in names[rows == 0] if name in held.sides}
    table["split"] = table["group"].map(silent).fillna("none").astype(object)
    table.loc[table["group"].isin(test.groups), "split"] = "test"
    made = replace(made, test=test, unheld=unheld, impossible=~possible)
    if wish.validation > 0:
        made = _with_validation(samples, columns, wish, made)
        if made.reason:
            return made
    table = made.table
    covers = (level != "time") | table["onset_start"].notna()
    table.loc[(table["split"] == "none") & covers, "split"] = "train"
    made = replace(made, table=groups.apply_guard(samples, table, wish.gap))
    if wish.folds:
        made = _with_folds(made, counts, rows, weights, wish)
        if made.reason:
            return made
    return made.refused(_reason_against(samples, made, wish, counted, bool(is_held.any())))


def _with_validation(samples, columns, wish: Settings, made: Attempt) -> Attempt:
    """Choose validation among the groups that are not on test."""
    table = groups.apply_guard(samples, made.table, wish.gap)
    rows, counts = _counts(samples, columns, table, strata.counted_rows(samples))
    free = (table["split"] == "none").to_numpy() & (rows > 0)
    names = table["group"].to_numpy(dtype=object)[free]
    made = replace(made, table=table)
    if free.sum() < 2:
        return made.refused(
            f"level {made.level}: fewer than two groups are left beside test and its guard"
        )
    places = choices_for(made.held, "validation")
    if _is_stuck(names, places):
        return made.refused(_stuck_reason(made.level, "validation", made.held))
    validation = choose_groups(
        names.tolist(),
        counts[free],
        rows[free],
        strata.stratum_weights(columns, (counts[free] > 0).sum(axis=0) >= 2),
        wish.validation / (1 - wish.test),
        seed=wish.seed,
        held=places,
    )
    table.loc[table["group"].isin(validation.groups), "split"] = "validation"
    return replace(made, validation=validation)


def _with_folds(made: Attempt, counts, rows, weights, wish: Settings) -> Attempt:
    """Part the groups outside of test into the other folds."""
    assert wish.folds and made.test
    left = int((rows[(made.table["split"] == "train").to_numpy()] > 0).sum())
    if left < wish.folds - 1:
        return made.refused(f"level {made.level}: too few groups for {wish.folds} folds")
    bound = (made.unheld or made.test).bound
    folds = part_train(made.table, counts, rows, weights, wish.folds, wish.seed, bound)
    place = {name: str(i) for i, fold in enumerate(folds, 1) for name in fold.groups}
    column = [place.get(name, "") for name in made.table["group"]]
    return replace(made, folds=folds, table=made.table.assign(**{certificate.FOLD: column}))


def _is_stuck(names: np.ndarray, places: dict[str, bool]) -> bool:
    """Return whether all groups are held, and all on the same side of a choice."""
    return len({places.get(name) for name in names}) == 1 and places.get(names[0]) is not None


def _stuck_reason(level: str, side: str, held: Held) -> str:
    sides = " and ".join(sorted(set(held.sides.values())))
    return (
        f"level {level}: every group that is left was placed on {sides} before, so that a side "
        f"beside {side} or {side} itself stays empty; `release` or `move` groups by name"
    )


def _counts(samples, columns, table, counted) -> tuple[np.ndarray, np.ndarray]:
    """Count rows and strata of each group over the rows that count."""
    numbers = np.where(counted, groups.group_numbers(samples, table), -1)
    rows = np.bincount(numbers[numbers >= 0], minlength=len(table))
    return rows, strata.count_strata(columns, numbers, len(table))


def _reason_against(samples, made: Attempt, wish: Settings, counted, is_held: bool) -> str:
    """Return why a split at this level must not be used, or ''.

    Shares that come from groups that stay where they were are stated, and are no reason.
    """
    table, level = made.table, made.level
    side = certificate.side_of_rows(samples, table)[counted]
    on_a_side = max(1, int((side != "none").sum()))
    for name, share in (("test", wish.test), ("validation", wish.validation)):
        reached = int((side == name).sum()) / on_a_side
        if abs(reached - share) > FURTHEST_SHARE + 1e-9 and not is_held:
            return (
                f"level {level}: the nearest share of {name} is {reached:.3f}, "
                f"further than {FURTHEST_SHARE} from the wish of {share}"
            )
    if not (side == "train").any():
        return f"level {level}: the gap of {wish.gap} s leaves no row for train"
    overlapping = groups.overlapping_windows(samples, table)
    if overlapping:
        return f"level {level}: {overlapping} windows overlap windows of another side"
    return ""
