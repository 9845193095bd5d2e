"""The tasks of dask for the chunks, the statistics and the tables of nodes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from bidsmill.streams.graph import Node, in_order
from bidsmill.streams.plan import Placed, Plan
from bidsmill.streams.tasks import (
    Combine,
    Compute,
    Cut,
    Gather,
    Given,
    Join,
    Part,
    Partial,
    Pick,
    Read,
)

FIT, TABLE = "fit", "table"
# Up to this size of the source, statistics are taken from the same chunks that are used
# afterwards, which stay in memory; above, in a pass of their own.
INLINE_BYTES = 32 * 2**20

# Of a neighbour at most this share is copied for a halo; of more, the chunk itself is kept.
CUT_SHARE = 0.5

# What needs the whole signal: `fit` or `table`, and the token of the node.
Whole = tuple[str, str]


class Later(Protocol):
    """A task that returns whole results; see `bidsmill.streams.passes`."""

    def __call__(self) -> Mapping[Whole, Any]:
        """Return the results."""
        ...


@dataclass
class Builder:
    """Make the tasks of nodes; equal nodes of equal plans have equal keys.

    Attributes
    ----------
    plan : Plan
        The nodes on their stream.
    known : mapping
        Whole results that are there.
    later : callable, optional
        A task that computes those that are not; without it they become tasks beside the others.
    tasks : dict
        What was made.
    """

    plan: Plan
    known: Mapping[Whole, Any] = field(default_factory=dict)
    later: Later | None = None
    tasks: dict[Any, Any] = field(default_factory=dict)

    def chunk(self, placed: Placed, number: int) -> Any:
        """Return the key of one chunk of a node."""
        key = (f"{placed.node.word}-{placed.token}", number)
        if key in self.tasks:
            return key
        if placed.node.operation is None:
            self.tasks[key] = self._read(placed, number)
            return key
        span, last = placed.spans[number]
        gathers, inputs = self._inputs(placed, span.first, last)
        n_channels = placed.core.n_channels if placed.node.kind == "stream" else 0
        task = Compute(placed.operation, span, placed.parent_core, n_channels, gathers)
        fitted = [self.fitted(placed)] if placed.operation.fits() else []
        self.tasks[key] = (task, inputs, *fitted)
        return key

    def table(self, placed: Placed) -> Any:
        """Return the key of a whole table."""
        key = f"{placed.node.word}-table-{placed.token}"
        if key not in self.tasks:
            if placed.node.operation is None:
                self.tasks[key] = (Given(self.plan.epocs),)
            else:
                parts = [self.chunk(placed, number) for number in range(placed.n_chunks)]
                self.tasks[key] = (Join(placed.operation, placed.parent_core, placed.core), parts)
        return key

    def fitted(self, placed: Placed) -> Any:
        """Return the key of the global statistics of a node."""
        return self._whole(FIT, placed)

    def partial(self, placed: Placed, number: int, known: Any, turn: int = 0) -> Any:
        """Return the key of what one chunk adds to the statistics; ``known`` is a key or None."""
        key = (f"{placed.node.word}-part-{turn}-{placed.token}", number)
        borders = placed.streams[0].borders
        gathers, inputs = self._inputs(placed, *borders[number : number + 2].tolist())
        task = Partial(placed.operation, placed.parent_core, gathers)
        self.tasks[key] = (task, inputs) if known is None else (task, inputs, known)
        return key

    def _inputs(self, placed: Placed, first: int, last: int) -> tuple[tuple[Any, ...], list[Any]]:
        """Return how the samples ``[first, last)`` of all inputs are put together, and of what."""
        gathers: list[Gather | None] = []
        inputs: list[Any] = []
        for parent in placed.parents:
            if parent.node.kind != "stream":
                gathers.append(None)
                inputs.append(self._whole(TABLE, parent))
                continue
            low, high = chunks_of(parent, first, last)
            pieces = [self._piece(parent, i, first, last) for i in range(low, high + 1)]
            gathers.append(Gather(pieces[0][0], first, last))
            inputs.append([key for _, key in pieces])
        return tuple(gathers), inputs

    def _read(self, placed: Placed, number: int) -> tuple[Any, ...]:
        """Return the task of a chunk of the source; a row group of several is decoded once."""
        start, stop = placed.borders[number : number + 2].tolist()
        begin, end = self.plan.group_around(start, stop)
        if (begin, end) == (start, stop):
            return (Read(self.plan.stream, start, stop),)
        first = chunks_of(placed, begin, end)[0]
        group = (f"{placed.node.word}-group-{placed.token}", first)
        self.tasks[group] = (Read(self.plan.stream, begin, end),)
        return (Part(start - begin, stop - begin), group)

    def _piece(self, placed: Placed, number: int, first: int, last: int) -> tuple[int, Any]:
        """Return where the part of a chunk that lies in ``[first, last)`` begins, and its key."""
        start, stop = placed.borders[number : number + 2].tolist()
        low, high = max(first, start), min(last, stop)
        chunk = self.chunk(placed, number)
        if high - low > CUT_SHARE * (stop - start):
            return start, chunk
        key = (f"{placed.node.word}-cut-{placed.token}", low, high)
        self.tasks[key] = (Cut(low - start, high - start), chunk)
        return low, key

    def _whole(self, kind: str, placed: Placed) -> Any:
        if kind == TABLE and placed.node.operation is None:
            return self.table(placed)
        key = f"{placed.node.word}-{kind}-{placed.token}"
        whole = (kind, placed.token)
        if key in self.tasks:
            return key
        if whole in self.known:
            self.tasks[key] = (Given(self.known[whole]),)
        elif self.later is not None:
            name = f"wholes-{id(self.later):x}"
            name = getattr(self.later, "key", name)
            self.tasks.setdefault(name, (self.later,))
            self.tasks[key] = (Pick(whole), name)
        elif kind == TABLE:
            return self.table(placed)
        else:
            known = None
            for turn in range(placed.operation.passes):
                numbers = range(placed.streams[0].n_chunks)
                parts = [self.partial(placed, number, known, turn) for number in numbers]
                task = Combine(placed.operation, placed.parent_core)
                name = key if turn == placed.operation.passes - 1 else f"{key}-{turn}"
                self.tasks[name] = (task, parts) if known is None else (task, parts, known)
                known = name
        return key


def chunks_of(placed: Placed, first: int, last: int) -> tuple[int, int]:
    """Return the first and the last chunk that hold the samples ``[first, last)``."""
    low = int(np.searchsorted(placed.borders, first, "right")) - 1
    high = int(np.searchsorted(placed.borders, last, "left")) - 1
    return low, high


def levels_of(plan: Plan, nodes: Iterable[Node]) -> list[list[tuple[str, Placed]]]:
    """Return the whole results that nodes need, those of one level in one list.

    A level needs those before it, and nothing of its own.
    """
    depths: dict[str, int] = {}
    levels: dict[int, dict[Whole, tuple[str, Placed]]] = {}

    def need(kind: str, placed: Placed, level: int) -> None:
        levels.setdefault(level, {})[kind, placed.token] = (kind, placed)

    for node in in_order(nodes):
        placed, depth = plan[node], 0
        for parent in placed.parents:
            depth = max(depth, depths[parent.token])
            if parent.node.kind != "stream" and parent.node.operation is not None:
                need(TABLE, parent, depths[parent.token] + 1)
                depth = max(depth, depths[parent.token] + 1)
        if node.operation is not None and node.operation.fits():
            depth += 1
            need(FIT, placed, depth)
        depths[placed.token] = depth
    return [list(levels[level].values()) for level in sorted(levels)]


def fits_inline(plan: Plan) -> bool:
    """Return whether the source is so small that its chunks can all stay in memory."""
    core = plan.stream.core
    return 4 * core.n_samples * core.n_channels <= INLINE_BYTES


def joined_key(words: Iterable[str]) -> str:
    """Return a key made of several."""
    return hashlib.blake2b("\n".join(words).encode(), digest_size=16).hexdigest()
