"""Passes over a stream, in the order of time and in bounded memory.

The tasks are dask's; what bounds the memory is an edge more: a chunk of the source is read only
when all that needed nothing but earlier chunks has been passed on. How far reading may be ahead is
one chunk for each thread more than one.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bidsmill.streams.building import (
    FIT,
    Builder,
    Whole,
    chunks_of,
    joined_key,
    levels_of,
)
from bidsmill.streams.graph import Node
from bidsmill.streams.plan import Placed, Plan
from bidsmill.streams.tasks import Combine, Given, Join, Part, Read


@dataclass(frozen=True, eq=False)
class Sink:
    """What is to be passed on, chunk by chunk.

    Attributes
    ----------
    placed : Placed
        The node.
    take : callable
        Is given every chunk (or part of the statistics), in the order of time.
    part : bool
        Whether it is parts of the statistics.
    known : Any
        Statistics of the pass before.
    """

    placed: Placed
    take: Callable[[Any], None]
    part: bool = False
    known: Any = None


@dataclass(frozen=True, eq=False)
class _Take:
    take: Callable[[Any], None]

    def __call__(self, value: Any, before: Any = None) -> None:
        self.take(value)


def run_pass(
    plan: Plan,
    sinks: list[Sink],
    known: Mapping[Whole, Any],
    threads: int = 1,
    bounded: bool = True,
) -> None:
    """Compute nodes chunk by chunk and pass the chunks on.

    Parameters
    ----------
    plan : Plan
        The nodes on their stream.
    sinks : list of Sink
        What is wanted. Their ``take`` are called one after the other.
    known : mapping
        Whole results: all that are needed, if memory is to be bounded.
    threads : int
        How many tasks may run at once. The results do not depend on it.
    bounded : bool
        If not, chunks may stay in memory, and whole results that are not known are computed
        beside them.
    """
    builder = Builder(plan, known)
    wanted: list[tuple[Any, ...]] = []
    seen: dict[tuple[str, int], int] = {}
    for order, sink in enumerate(sinks):
        grid = sink.placed.streams[0] if sink.part else sink.placed
        for number in range(grid.n_chunks):
            if sink.part:
                name: str | None = None
                if sink.known is not None:
                    name = f"known-{order}"
                    builder.tasks[name] = (Given(sink.known),)
                key = builder.partial(sink.placed, number, name)
            else:
                key = builder.chunk(sink.placed, number)
            wanted.append((_last_read(sink, number, seen), order, number, key, sink.take))
    wanted.sort(key=lambda item: item[:3])
    tasks = dict(builder.tasks)
    last: Any = None
    passed: list[tuple[int, Any]] = []
    for need, order, number, key, take in wanted:
        before = () if last is None else (last,)
        last = ("pass", order, number)
        tasks[last] = (_Take(take), key, *before)
        passed.append((need, last))
    if last is None:
        return
    if bounded:
        _gate(tasks, passed, ahead=max(threads - 1, 0))
    _compute(tasks, last, threads)


def _gate(tasks: dict[Any, Any], passed: list[tuple[int, Any]], ahead: int) -> None:
    """Let every read wait for the last of what needs only chunks before it."""
    needs = [need for need, _ in passed]
    reads = {key: task for key, task in tasks.items() if isinstance(task[0], Read | Part)}
    for (name, number), task in reads.items():
        before = bisect_left(needs, number - ahead)
        if before:
            tasks[name, number] = (*task, passed[before - 1][1])


def _compute(tasks: dict[Any, Any], last: Any, threads: int) -> None:
    from dask.local import get_sync
    from dask.threaded import get

    if threads == 1:
        get_sync(tasks, last)
        return
    get(tasks, last, num_workers=threads)


def _last_read(sink: Sink, number: int, seen: dict[tuple[str, int], int]) -> int:
    """Return the last chunk of the source that a chunk depends on; ``seen`` keeps answers."""

    def last(placed: Placed, number: int) -> int:
        if placed.node.operation is None:
            return number
        key = (placed.token, number)
        if key not in seen:
            span, stop = placed.spans[number]
            seen[key] = _parents(placed, span.first, stop)
        return seen[key]

    def _parents(placed: Placed, first: int, stop: int) -> int:
        found = -1
        for parent in placed.streams:
            low, high = chunks_of(parent, first, stop)
            # Not only the last: what a chunk needs may reach on unevenly.
            found = max([found, *(last(parent, i) for i in range(low, high + 1))])
        return found

    if sink.part:
        grid = sink.placed.streams[0]
        return _parents(sink.placed, int(grid.borders[number]), int(grid.borders[number + 1]))
    return last(sink.placed, number)


@dataclass(eq=False)
class Wholes:
    """Whole results of a plan: statistics and tables that others need; each computed once.

    Attributes
    ----------
    plan : Plan
        The nodes on their stream.
    known : dict
        What has been computed.
    """

    plan: Plan
    known: dict[Whole, Any] = field(default_factory=dict)
    _lock: Any = field(default_factory=threading.Lock)

    def of(self, nodes: Iterable[Node], threads: int = 1) -> dict[Whole, Any]:
        """Return all whole results that nodes need; each level is one pass (or several)."""
        with self._lock:
            for level in levels_of(self.plan, nodes):
                missing = [item for item in level if (item[0], item[1].token) not in self.known]
                if missing:
                    self._run(missing, threads)
            return self.known

    def _run(self, missing: list[tuple[str, Placed]], threads: int) -> None:
        """Compute whole results of one level, together."""
        turns = max(p.operation.passes if kind == FIT else 1 for kind, p in missing)
        before: dict[str, Any] = {}
        for turn in range(turns):
            parts: list[list[Any]] = []
            sinks, active = [], []
            for kind, placed in missing:
                if turn >= (placed.operation.passes if kind == FIT else 1):
                    continue
                parts.append([])
                known = before.get(placed.token)
                sinks.append(Sink(placed, parts[-1].append, kind == FIT, known))
                active.append((kind, placed))
            run_pass(self.plan, sinks, self.known, threads)
            for (kind, placed), found in zip(active, parts, strict=True):
                operation, core = placed.operation, placed.parent_core
                if kind != FIT:
                    self.known[kind, placed.token] = Join(operation, core, placed.core)(found)
                    continue
                before[placed.token] = Combine(operation, core)(found, before.get(placed.token))
                if turn == operation.passes - 1:
                    self.known[kind, placed.token] = before[placed.token]

    def __getstate__(self) -> dict[str, Any]:
        return {"plan": self.plan, "known": dict(self.known)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _lock=threading.Lock())


@dataclass(frozen=True, eq=False)
class Later:
    """The task that computes whole results when a lazy result is computed."""

    wholes: Wholes
    nodes: tuple[Node, ...]

    @property
    def key(self) -> str:
        """Return the key of this task."""
        plan = self.wholes.plan
        return f"wholes-{joined_key(plan[node].token for node in self.nodes)}"

    def __call__(self) -> dict[Whole, Any]:
        """Return the results."""
        return dict(self.wholes.of(self.nodes))
