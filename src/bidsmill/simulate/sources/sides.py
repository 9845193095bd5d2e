"""Which side of the split a waveform belongs to, decided before samples are drawn from it.

A clip serves many samples. Sides are therefore given to groups of clips (all clips of a centre
region, or those that share an instant of the simulated signal), and a sample takes all of its
clips from one side: so no waveform stands on two sides.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from bidsmill.errors import BidsmillError
from bidsmill.simulate.sources.table import Sample

if TYPE_CHECKING:
    import pandas as pd

GROUPS = ("region", "clip")
# So many groups, in the order of their names, are shared out at once.
BLOCK = 10
ClipKey = tuple[int, int]


def clip_groups(clips: pd.DataFrame, group: str, n_times: int) -> dict[ClipKey, str]:
    """Return the group of every clip: what may not be torn apart by the split.

    Parameters
    ----------
    clips : pandas.DataFrame
        One row per clip: ``region``, ``clip``; for groups of clips also ``run`` (what was
        simulated) and ``peak_sample`` (where in it the spike is).
    group : {"region", "clip"}
        All clips of a region, or clips of a run whose windows overlap.
    n_times : int
        Samples of a clip.

    Returns
    -------
    dict
        (region, clip) -> name of letters and digits, such as ``region0012`` or
        ``region0012clip0003``, the first clip of the group.

    Raises
    ------
    BidsmillError
        If clips shall be apart, and the table does not say where they come from.
    """
    if group == "region":
        keys = zip(clips["region"], clips["clip"], strict=True)
        return {(int(r), int(c)): f"region{int(r):04d}" for r, c in keys}
    if group != "clip":
        raise BidsmillError("an unknown group", found=group, expected=" or ".join(GROUPS))
    needed = clips.get(["run", "peak_sample"])
    if needed is None or needed.isna().any(axis=None):
        raise BidsmillError(
            "clips of one region may show the same stretch of a simulation, and nothing says"
            " where these come from",
            expected="the columns 'run' and 'peak_sample' of the clips",
            todo="set group: region",
        )
    ordered = clips.sort_values(["region", "run", "peak_sample", "clip"], kind="stable")
    groups: dict[ClipKey, str] = {}
    last = None
    name = ""
    columns = ("region", "clip", "run", "peak_sample")
    for region, clip, run, peak in zip(*(ordered[c] for c in columns), strict=True):
        if last is None or last[0] != (region, run) or peak - last[1] >= n_times:
            name = f"region{int(region):04d}clip{int(clip):04d}"
        last = ((region, run), peak)
        groups[int(region), int(clip)] = name
    return groups


def sides_of_groups(
    groups: Iterable[str], seed: int, test: float, validation: float = 0.0
) -> dict[str, str]:
    """Put groups on sides, by the order of a hash of seed and name.

    Of every 10 groups in the order of their names, and so of neighbouring regions, each side has
    its share: a part of a dataset is balanced, too.

    Parameters
    ----------
    groups : iterable of str
        Names; repeated ones count once.
    seed : int
        Of the simulation.
    test, validation : float
        Shares of the groups, rounded; where the share is above 0 and there are groups enough, at
        least one.

    Returns
    -------
    dict
        Group -> ``train``, ``validation`` or ``test``, sorted by group. A single group, which
        cannot be split, is ``none``.
    """

    def place(name: str) -> str:
        return hashlib.sha256(json.dumps([seed, "side", name]).encode("ascii")).hexdigest()

    names = sorted(set(groups))
    if len(names) < 2:
        return dict.fromkeys(names, "none")
    sides = dict.fromkeys(names, "train")
    for start in range(0, len(names), BLOCK):
        stop = min(start + BLOCK, len(names))
        ranked = sorted(names[start:stop], key=place)
        n_test = round(test * stop) - round(test * start)
        n_validation = round(validation * stop) - round(validation * start)
        sides.update(dict.fromkeys(ranked[:n_test], "test"))
        sides.update(dict.fromkeys(ranked[n_test : n_test + n_validation], "validation"))
    for side, share in (("test", test), ("validation", validation)):
        free = [name for name in sorted(names, key=place) if sides[name] == "train"]
        if share > 0 and side not in sides.values() and len(free) > 1:
            sides[free[0]] = side
    return sides


def place_samples(
    samples: Sequence[Sample], groups: dict[ClipKey, str], sides: dict[str, str]
) -> list[Sample]:
    """Give each sample of a described dataset its group and side.

    Parameters
    ----------
    samples : sequence of Sample
        As others described them.
    groups, sides
        Of `clip_groups` and `sides_of_groups`.

    Returns
    -------
    list of Sample
        Samples whose clips stand on different sides are on none: they would carry a waveform from
        one side to the other.
    """
    placed = []
    for sample in samples:
        names = [groups.get((source.centre, source.clip), "") for source in sample.sources]
        found = {sides.get(name, "none") for name in names}
        side = found.pop() if len(found) == 1 else "none"
        placed.append(replace(sample, group=names[0] if side != "none" else "", side=side))
    return placed
