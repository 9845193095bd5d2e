"""What one task of the graph does: read, gather, compute, add up, join."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bidsmill.streams.operation import Operation, Span, output_of

# Tasks are objects that are called with the results of other tasks alone. All else that they need
# they hold: dask takes tuples among the arguments of a task for tasks or keys.


@dataclass(frozen=True, eq=False)
class Read:
    """Read samples of the source: whole row groups, if that is what the chunk is."""

    stream: Any
    start: int
    stop: int

    def __call__(self, *after: Any) -> np.ndarray:
        """Return the samples; the arguments are results that have to be there before."""
        groups = getattr(self.stream, "group_rows", None)
        if groups is not None:
            # `read` keeps what it decodes, for whoever reads on: here nobody does.
            ends = np.cumsum(groups)
            first = int(np.searchsorted(ends, self.start, "right"))
            last = int(np.searchsorted(ends, self.stop, "left"))
            if ends[last] == self.stop and (ends[first] - groups[first]) == self.start:
                parts = [self.stream.read_group(group) for group in range(first, last + 1)]
                return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)
        return np.ascontiguousarray(self.stream.read(self.start, self.stop), np.float32)


@dataclass(frozen=True, eq=False)
class Given:
    """A value that is there."""

    value: Any

    def __call__(self) -> Any:
        """Return the value."""
        return self.value


@dataclass(frozen=True, eq=False)
class Cut:
    """A few samples of a chunk, copied, so that the chunk need not be kept for them."""

    low: int
    high: int

    def __call__(self, chunk: np.ndarray) -> np.ndarray:
        """Return the samples, counted from the start of the chunk."""
        return chunk[:, self.low : self.high].copy()


class Part(Cut):
    """A chunk that is a part of a row group."""

    def __call__(self, group: np.ndarray, *after: Any) -> np.ndarray:
        """Return the samples; further arguments have to be there before."""
        return super().__call__(group)


@dataclass(frozen=True, eq=False)
class Gather:
    """Samples ``[first, last)`` from chunks, the first of which begins at ``begin``."""

    begin: int
    first: int
    last: int

    def __call__(self, chunks: Sequence[np.ndarray]) -> np.ndarray:
        """Return the samples: a view where they lie in one chunk."""
        if len(chunks) == 1:
            return chunks[0][:, self.first - self.begin : self.last - self.begin]
        out = np.empty((len(chunks[0]), self.last - self.first), chunks[0].dtype)
        position = self.begin
        for chunk in chunks:
            low, high = max(self.first, position), min(self.last, position + chunk.shape[1])
            out[:, low - self.first : high - self.first] = chunk[
                :, low - position : high - position
            ]
            position += chunk.shape[1]
        return out


@dataclass(frozen=True, eq=False)
class Compute:
    """One chunk of the output of an operation."""

    operation: Operation
    span: Span
    core: Any
    # Of the output; 0 for epocs and tables.
    n_channels: int
    gathers: tuple[Gather | None, ...]

    def __call__(self, inputs: Sequence[Any], fitted: Any = None) -> Any:
        """Return the chunk.

        Parameters
        ----------
        inputs : sequence
            For each input a list of chunks, or a table.
        fitted : Any
            Global statistics.
        """
        blocks = _blocks(self.gathers, inputs)
        try:
            result = self.operation.compute(blocks, self.span, self.core, fitted)
        except Exception as problem:
            problem.add_note(f"in the operation {self.operation.name}, {self.span}")
            raise
        if not self.n_channels:
            return result
        return output_of(self.operation, result, self.span, self.n_channels)


@dataclass(frozen=True, eq=False)
class Partial:
    """What one chunk adds to the global statistics of an operation."""

    operation: Operation
    core: Any
    gathers: tuple[Gather | None, ...]

    def __call__(self, inputs: Sequence[Any], known: Any = None) -> Any:
        """Return the part; ``known`` is the result of the pass before."""
        extra = () if self.operation.passes == 1 else (known,)
        return self.operation.partial(_blocks(self.gathers, inputs), self.core, *extra)


@dataclass(frozen=True, eq=False)
class Combine:
    """The global statistics, from all parts in the order of time."""

    operation: Operation
    core: Any

    def __call__(self, parts: Sequence[Any], known: Any = None) -> Any:
        """Return the statistics; ``known`` is the result of the pass before."""
        extra = () if self.operation.passes == 1 else (known,)
        return self.operation.combine(list(parts), self.core, *extra)


@dataclass(frozen=True, eq=False)
class Join:
    """A whole table, from its parts in the order of time; of epocs with all their columns."""

    operation: Operation
    # Of the parent, and of the stream on whose clock the table is.
    core: Any
    clock: Any

    def __call__(self, parts: Sequence[Any]) -> Any:
        """Return the table."""
        table = self.operation.join(list(parts), self.core)
        if self.operation.output != "epocs":
            return table
        from bidsmill.formats.epocs import make_epocs

        return make_epocs(table, self.clock).table


@dataclass(frozen=True, eq=False)
class Pick:
    """One of several results."""

    key: Any

    def __call__(self, results: Any) -> Any:
        """Return the result of the key."""
        return results[self.key]


def transposed(block: np.ndarray) -> np.ndarray:
    """Return a view of shape (samples, channels)."""
    return block.T


def _blocks(gathers: tuple[Gather | None, ...], inputs: Sequence[Any]) -> Any:
    blocks = tuple(
        given if gather is None else gather(given)
        for gather, given in zip(gathers, inputs, strict=True)
    )
    return blocks[0] if len(blocks) == 1 else blocks
