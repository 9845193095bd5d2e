"""Which datasets belong into one graph, and what is made of each."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import Any


def units_of(config: dict[str, Any], asked: Collection[str]) -> list[list[str]]:
    """Return the datasets that are asked for, those that share a split in one list.

    Parameters
    ----------
    config : dict
        The resolved config.
    asked : collection of str
        Ids of datasets, simulated ones too.

    Returns
    -------
    list of list of str
        Sorted; simulated datasets after the others, whose rows they may take.
    """
    units: list[list[str]] = []
    waiting = [*sorted(config["datasets"]), *sorted(config["simulation"])]
    taken: set[str] = set()
    for name in waiting:
        if name in taken:
            continue
        members = _split_with(config, name)
        taken |= members
        if unit := [member for member in waiting if member in members and member in asked]:
            units.append(unit)
    return units


def _split_with(config: dict[str, Any], name: str) -> set[str]:
    """Return a dataset and all that are split together with it."""
    members = {name}
    for others in config["together"].values():
        if name in others:
            members |= set(others)
    return members


def groups_of(units: Iterable[list[str]], most: int) -> Iterator[list[list[str]]]:
    """Yield lists of units with at most so many datasets, in their order.

    A unit that is larger is a group of its own.
    """
    group: list[list[str]] = []
    for unit in units:
        if group and sum(map(len, group)) + len(unit) > most:
            yield group
            group = []
        group.append(unit)
    if group:
        yield group


def targets_of(config: dict[str, Any], names: Iterable[str]) -> list[str]:
    """Return the files that the rule `all` would make of these datasets."""
    targets = []
    for name in names:
        targets.append(f"results/{name}/published.json")
        simulated = config["simulation"].get(name)
        if simulated and simulated["mat"] and not simulated["background"]:
            targets.append(f"results/{name}/mat/extraction_metadata.mat")
    return targets
