"""The HED tags of events as a tree with counts: what a dataset is about, at a glance."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from bidsmill.formats.hed_strings import load_schema

MOST_NODES = 30
MOST_LISTED = 100
# The tags inside an expanded definition are counted themselves.
NOT_COUNTED = "Def-expand"
Path = tuple[str, ...]


@dataclass(frozen=True)
class TagCounts:
    """In how many events each tag stands.

    Attributes
    ----------
    events : int
        Events with tags.
    of_path : dict
        Path in the schema -> events that have the tag or one below it, each counted once.
    strings : dict
        Paths of one event (with those above them) -> events that have just these.
    """

    events: int
    of_path: dict[Path, int]
    strings: dict[frozenset[Path], int]


@dataclass(frozen=True)
class TreeLine:
    """One line of the tree.

    Attributes
    ----------
    names : tuple of str
        The tag, after those above it that stand in the same events and nowhere else.
    depth : int
        Lines above it that it belongs to.
    events : int
        Events that have the tag or one below it.
    share : float
        The same as a part of the events with tags.
    """

    names: tuple[str, ...]
    depth: int
    events: int
    share: float


@dataclass
class _Node:
    path: Path
    names: tuple[str, ...]
    events: int
    children: list[_Node] = field(default_factory=list)


def count_tags(strings: Iterable[str], version: str | Sequence[str] | None) -> TagCounts:
    """Count the events of each tag.

    Parameters
    ----------
    strings : iterable of str
        HED strings of events; ``''``: none. Each distinct one is parsed once.
    version : str, sequence of str or None
        Their HED version (see `formats.hed_strings.load_schema`).

    Returns
    -------
    TagCounts
        A value such as that of ``Label/Face`` counts with its tag; a tag that the schema does
        not know stands by itself.

    Raises
    ------
    BidsmillError
        If there are strings, and hedtools is missing or does not ship the version.
    """
    distinct = Counter(text for text in strings if text)
    of_path: Counter[Path] = Counter()
    sets: Counter[frozenset[Path]] = Counter()
    schema = load_schema(version) if distinct else None
    for text, number in distinct.items():
        found = _paths(text, schema)
        sets[found] += number
        for path in found:
            of_path[path] += number
    return TagCounts(distinct.total(), dict(of_path), dict(sets))


def used_tags(counts: TagCounts, most: int = MOST_LISTED) -> list[str]:
    """Return the most special tags that occur, by their paths, those of most events first.

    Parameters
    ----------
    counts : TagCounts
        The counts.
    most : int
        So many at most.

    Returns
    -------
    list of str
        Such as ``Event/Sensory-event``; what is above them is in the path.
    """
    above = {path[:-1] for path in counts.of_path}
    last = [path for path in counts.of_path if path not in above]
    last.sort(key=lambda path: (-counts.of_path[path], path))
    return ["/".join(path) for path in last[:most]]


def _paths(text: str, schema: Any) -> frozenset[Path]:
    """Return the paths of the tags of a string, and those above them."""
    from hed import HedString

    found: set[Path] = set()
    for tag in HedString(text, schema).get_all_tags():
        parts = tag.base_tag.split("/")
        if parts[-1] == NOT_COUNTED:
            continue
        if tag.extension and tag.tag_terms and not tag.is_takes_value_tag():
            parts += tag.extension.split("/")
        found.update(tuple(parts[: depth + 1]) for depth in range(len(parts)))
    return frozenset(found)


def tree_lines(counts: TagCounts, most: int = MOST_NODES) -> tuple[list[TreeLine], int, int]:
    """Return the lines of the tree, the most frequent tags first within each branch.

    A tag that alone continues the one above it, in the same events, shares its line.

    Parameters
    ----------
    counts : TagCounts
        The counts.
    most : int
        Lines at most: those of the most frequent tags.

    Returns
    -------
    lines : list of TreeLine
        As they are read, from the root.
    rarer : int
        Tags that have no line.
    rarer_events : int
        Events that have one of them.
    """
    roots = _nodes((), counts.of_path)
    every = list(_flat(roots))
    order = sorted(every, key=lambda node: (-node.events, len(node.path), node.path))
    shown = {node.path for node in order[:most]}
    lines = list(_lines(roots, 0, shown, counts.events))
    hidden = {node.path for node in order[most:]}
    rarer = sum(len(node.names) for node in order[most:])
    touched = sum(n for paths, n in counts.strings.items() if hidden & paths)
    return lines, rarer, touched


def _nodes(above: Path, of_path: dict[Path, int]) -> list[_Node]:
    """Return the nodes below a path, with single chains drawn together."""
    below: dict[Path, list[Path]] = {}
    for path in of_path:
        below.setdefault(path[:-1], []).append(path)
    return _grown(above, of_path, below)


def _grown(above: Path, of_path: dict[Path, int], below: dict[Path, list[Path]]) -> list[_Node]:
    nodes = []
    for first in below.get(above, ()):
        path: Path = first
        names: Path = (first[-1],)
        while len(below.get(path, ())) == 1 and of_path[below[path][0]] == of_path[path]:
            path = below[path][0]
            names += (path[-1],)
        nodes.append(_Node(path, names, of_path[path], _grown(path, of_path, below)))
    return sorted(nodes, key=lambda node: (-node.events, node.names))


def _flat(nodes: list[_Node]) -> Iterable[_Node]:
    for node in nodes:
        yield node
        yield from _flat(node.children)


def _lines(nodes: list[_Node], depth: int, shown: set[Path], events: int) -> Iterable[TreeLine]:
    for node in nodes:
        if node.path in shown:
            yield TreeLine(node.names, depth, node.events, node.events / events)
            yield from _lines(node.children, depth + 1, shown, events)
