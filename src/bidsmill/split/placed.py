"""Who stood where before: groups that were placed stay placed, unless they are named."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bidsmill.errors import BidsmillError
from bidsmill.formats import files
from bidsmill.formats.certificate import LEVELS, MEMBERS, SEPARATOR, group_ids, side_of_rows
from bidsmill.formats.placements import in_order, placement_frame
from bidsmill.split.groups import group_numbers
from bidsmill.split.merging import unit_ids
from bidsmill.split.settings import Settings

if TYPE_CHECKING:
    import pandas as pd

# Where members of one group stood on several sides: who was ever trained on is never tested on.
STRONGEST = ("train", "validation", "test")


@dataclass(frozen=True)
class Previous:
    """The split before this one.

    Attributes
    ----------
    source, version, sha256 : str
        Where it comes from (``config`` or ``store``), the version in the store, and what its
        placements are known by.
    placements : list of dict
        See `bidsmill.formats.placements`.
    """

    source: str
    version: str
    sha256: str
    placements: list[dict[str, Any]]

    def level(self) -> str:
        """Return the level of most of the placements; '' if there are none."""
        levels = [entry["level"] for entry in self.placements]
        return max(LEVELS, key=levels.count) if any(levels) else ""


@dataclass(frozen=True)
class Held:
    """Groups about which there is no choice.

    Attributes
    ----------
    sides : dict
        Group -> its side.
    before : dict
        Group -> sides of its rows before, if any.
    asked, released : set of str
        Groups that `move` and `release` name.
    unknown : list of str
        Names there that no row has.
    """

    sides: dict[str, str] = field(default_factory=dict)
    before: dict[str, set[str]] = field(default_factory=dict)
    asked: frozenset[str] = frozenset()
    released: frozenset[str] = frozenset()
    unknown: list[str] = field(default_factory=list)


def read_previous(path: Path) -> Previous | None:
    """Read ``split-previous.json``; None if there is no split before this one."""
    content = files.read_json(path)
    if not content["placements"]:
        return None
    return Previous(**content)


def with_levels(
    samples: pd.DataFrame, placements: list[dict[str, Any]]
) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the placements with a level each, and the names that no row has.

    Parameters
    ----------
    samples : pandas.DataFrame
        One row per window.
    placements : list of dict
        Where the level is '', the first level at which the name is known is taken.
    """
    known = {level: set(group_ids(samples, level)) for level in LEVELS[:3]}
    found, unknown = [], []
    for entry in placements:
        levels = [entry["level"]] if entry["level"] else list(known)
        name, at = (entry["recording"], ["run"]) if levels == ["time"] else (entry["group"], levels)
        level = next((level for level in at if name in known[level]), None)
        if level is None:
            unknown.append(name)
        else:
            found.append(entry if entry["level"] else {**entry, "level": level})
    return found, sorted(set(unknown))


def prior_sides(samples: pd.DataFrame, previous: Previous | None) -> np.ndarray:
    """Return the side of each row before, ``none`` where it had none; shape (rows,), object."""
    if previous is None:
        return np.full(len(samples), "none", dtype=object)
    found, _ = with_levels(samples, previous.placements)
    return side_of_rows(samples, placement_frame(found))


def hold(samples: pd.DataFrame, table: pd.DataFrame, prior: np.ndarray, wish: Settings) -> Held:
    """Return the groups that have a side already.

    A group whose members stood on several sides gets the first of train, validation, test. If
    there is no validation any more, those groups train.

    Parameters
    ----------
    samples : pandas.DataFrame
        One row per window.
    table : pandas.DataFrame
        The groups.
    prior : numpy.ndarray
        Shape (rows,): side of each row before.
    wish : Settings
        With `move` and `release`.

    Raises
    ------
    BidsmillError
        If `move` puts one group on two sides.
    """
    numbers = group_numbers(samples, table)
    names = table["group"].tolist()
    before: dict[str, set[str]] = {}
    placed = (prior != "none") & (numbers >= 0)
    for number, side in set(zip(numbers[placed].tolist(), prior[placed].tolist(), strict=True)):
        before.setdefault(names[number], set()).add(side)
    released, unknown = _named(samples, table, numbers, wish.release)
    sides = {}
    for group in sorted(set(before) - released.keys()):
        side = next(side for side in STRONGEST if side in before[group])
        sides[group] = "train" if side == "validation" and not wish.validation else side
    asked, strangers = _named(samples, table, numbers, wish.move)
    for group, own in sorted(asked.items()):
        wanted = sorted({wish.move[name] for name in own})
        if len(wanted) > 1:
            raise BidsmillError(
                f"split: move puts the group {group} on two sides",
                found=", ".join(f"{name}: {wish.move[name]}" for name in sorted(own)),
                expected="one side for all that are merged into a group",
            )
        sides[group] = wanted[0]
    every = sorted({*unknown, *strangers})
    return Held(sides, before, frozenset(asked), frozenset(released), every)


def _named(samples, table, numbers, names: Iterable[str]) -> tuple[dict[str, set[str]], list[str]]:
    """Return the groups that names mean, with the names of each, and names that mean nobody."""
    if not names:
        return {}, []
    groups = table["group"].to_numpy(dtype=object)
    found: dict[str, set[str]] = {}
    unknown = []
    ids = [group_ids(samples, level) for level in LEVELS[:3]]
    for name in names:
        rows = np.any([own == name for own in ids], axis=0) & (numbers >= 0)
        meant = set(groups[numbers[rows]]) | set(groups[groups == name])
        for group in meant:
            found.setdefault(group, set()).add(name)
        if not meant:
            unknown.append(name)
    return found, unknown


def choices_for(held: Held, side: str) -> dict[str, bool]:
    """Return, for the choice of one side, the groups about which there is no choice.

    Where there was no validation before, groups of train are free to become it.
    """
    is_new = side == "validation" and not any("validation" in own for own in held.before.values())
    return {
        group: own == side
        for group, own in held.sides.items()
        if not (is_new and own == "train" and group not in held.asked)
    }


def moved_members(
    samples: pd.DataFrame,
    table: pd.DataFrame,
    prior: np.ndarray,
    held: Held,
    given: str = "",
) -> list[dict[str, Any]]:
    """Return who stands on another side than before, and why.

    Returns
    -------
    list of dict
        ``group``, ``members``, ``from``, ``to`` and ``why``: ``asked`` (by `move`), ``released``,
        ``merged`` (with members that stood elsewhere), ``validation`` (this side is new or gone),
        ``level`` (groups are cut in another way than before), or `given`, the word for a split
        that was made elsewhere.
    """
    numbers = group_numbers(samples, table)
    units = unit_ids(samples, str(table["level"].iloc[0]) if len(table) else "run")
    sides = dict(zip(table["group"], table["split"], strict=True))
    names = table["group"].tolist()
    now = np.array([*table["split"], "none"], dtype=object)[numbers]
    found: dict[tuple[str, str], set[str]] = {}
    for place in np.flatnonzero((prior != "none") & (now != "none") & (prior != now)).tolist():
        found.setdefault((names[numbers[place]], prior[place]), set()).add(units[place])
    return [
        {
            "group": group,
            "members": sorted(members),
            "from": side,
            "to": sides[group],
            "why": given or _why(group, side, sides[group], held, table),
        }
        for (group, side), members in sorted(found.items())
    ]


def _why(group: str, side: str, new: str, held: Held, table: pd.DataFrame) -> str:
    if group in held.asked:
        return "asked"
    if group in held.released:
        return "released"
    if "validation" in (side, new) and "test" not in (side, new):
        return "validation"
    members = table.loc[table["group"] == group, MEMBERS].iloc[0]
    return "merged" if SEPARATOR in members else "level"


def remembered(
    samples: pd.DataFrame, side: np.ndarray, previous: Previous | None
) -> list[dict[str, Any]]:
    """Return the placements of those who stand on no side now: they left, or all is refused.

    Parameters
    ----------
    samples : pandas.DataFrame
        One row per window.
    side : numpy.ndarray
        Shape (rows,): side of each row now.
    previous : Previous or None
        The split before.
    """
    if previous is None:
        return []
    placed = samples[side != "none"]
    known = {level: set(group_ids(placed, level)) for level in LEVELS[:3]}
    everybody = {level: set(group_ids(samples, level)) for level in LEVELS[:3]}
    kept = []
    for entry in previous.placements:
        level, name = entry["level"], entry["group"]
        if level == "time":
            level, name = "run", entry["recording"]
        levels = [level] if level else [at for at in everybody if name in everybody[at]]
        if not any(name in known[at] for at in levels):
            kept.append(entry)
    return in_order(kept)
