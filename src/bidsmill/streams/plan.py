"""A graph that has met its stream: the metadata, the chunks and the halos of every node."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from bidsmill.errors import BidsmillError
from bidsmill.formats.stream_core import StreamCore
from bidsmill.streams.graph import Graph, Node, in_order
from bidsmill.streams.operation import Operation, Span

# A chunk holds this many samples of each channel, if that is neither less nor more than so many
# bytes of float32: small chunks keep long graphs in little memory, and in short ones halos would
# cost more than the samples. Nothing but the stream decides, so that the bytes of a node do not
# depend on what else is asked for.
CHUNK_SAMPLES = 2**16
LEAST_BYTES, MOST_BYTES = 4 * 2**20, 16 * 2**20


@dataclass(frozen=True, eq=False)
class Placed:
    """A node on a stream.

    Attributes
    ----------
    node : Node
        The node.
    core : StreamCore
        What comes out; of epocs and tables: the stream whose clock they are on.
    borders : numpy.ndarray of int64
        Chunk ``i`` holds the samples ``borders[i]`` to ``borders[i + 1]``: of the output, or, for
        epocs and tables, of the stream they are made of.
    parents : tuple of Placed
        The inputs.
    token : str
        Tells this result from all others: graph, stream, and how it is cut.
    """

    node: Node
    core: StreamCore
    borders: np.ndarray
    parents: tuple[Placed, ...]
    token: str

    @property
    def n_chunks(self) -> int:
        """Return the number of chunks."""
        return len(self.borders) - 1

    @property
    def operation(self) -> Operation:
        """Return the operation of a node that is no source."""
        assert self.node.operation is not None
        return self.node.operation

    @property
    def streams(self) -> tuple[Placed, ...]:
        """Return those inputs that are streams."""
        return tuple(parent for parent in self.parents if parent.node.kind == "stream")

    @property
    def parent_core(self) -> Any:
        """Return the core that the methods of the operation get: one, or a tuple of several."""
        cores = tuple(parent.core for parent in self.parents)
        return cores[0] if len(cores) == 1 else cores

    @cached_property
    def spans(self) -> tuple[tuple[Span, int], ...]:
        """Return for each chunk what is wanted, and the end of what is read of the parent."""
        total = self.streams[0].core.n_samples if self.streams else self.core.n_samples
        found = []
        for start, stop in zip(self.borders[:-1].tolist(), self.borders[1:].tolist(), strict=True):
            first, last = self.operation.needs(start, stop, self.parent_core)
            # What lies wholly beyond an edge is answered from the sample at the edge.
            first = min(max(int(first), 0), total - 1)
            found.append((Span(start, stop, first, total), max(min(int(last), total), first + 1)))
        return tuple(found)


class Plan:
    """All nodes of a graph on one stream.

    Parameters
    ----------
    graph : Graph
        The definitions.
    stream : StreamFile, ArrayStream
        The stream: ``core``, ``identity`` and ``read``; ``group_rows`` and ``read_group`` of a
        file are used where they are there.
    epocs : pandas.DataFrame, optional
        The source ``epocs``.
    chunk : int, optional
        Samples of a chunk; by default whole row groups. Results do not depend on it.

    Raises
    ------
    BidsmillError
        If an operation cannot be used on the stream; the message points at its place.
    """

    def __init__(self, graph: Graph, stream: Any, epocs: Any = None, chunk: int | None = None):
        self.graph, self.stream, self.epocs = graph, stream, epocs
        self.borders = source_borders(stream, chunk)
        # Where the user cuts chunks, they follow no row groups.
        self._whole_groups = chunk is None
        marks = [stream.identity, str(self.borders.tolist()), _table_mark(epocs)]
        self._mark = "\n".join(marks)
        self._placed: dict[str, Placed] = {}
        self.place(graph.nodes.values())

    def place(self, nodes: Iterable[Node]) -> None:
        """Place nodes and their ancestors."""
        for node in in_order(nodes):
            if node.identity not in self._placed:
                self._placed[node.identity] = self._place(node)

    def group_around(self, start: int, stop: int) -> tuple[int, int]:
        """Return the row group whose part a chunk of the source is; the chunk itself if none."""
        groups = getattr(self.stream, "group_rows", None)
        if groups is None or not self._whole_groups:
            return start, stop
        ends = np.cumsum(groups)
        group = int(np.searchsorted(ends, start, "right"))
        begin, end = int(ends[group] - groups[group]), int(ends[group])
        return (begin, end) if begin <= start and stop <= end else (start, stop)

    def __getitem__(self, node: Node) -> Placed:
        self.place([node])
        return self._placed[node.identity]

    def _place(self, node: Node) -> Placed:
        parents = tuple(self._placed[parent.identity] for parent in node.parents)
        text = f"{node.identity}\n{self._mark}"
        token = hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
        if node.operation is None:
            if node.word == "epocs" and self.epocs is None:
                raise BidsmillError(
                    "The graph uses epocs, and there are none",
                    todo="give them: Nodes(stream, definitions, epocs=...)",
                )
            return Placed(node, self.stream.core, self.borders, (), token)
        streams = [parent for parent in parents if parent.node.kind == "stream"]
        cores = tuple(parent.core for parent in parents)
        try:
            _check_alike(node.operation, [parent.core for parent in streams])
            core = node.operation.core(cores[0] if len(cores) == 1 else cores)
            if node.kind == "stream" and core.n_samples < 1:
                raise BidsmillError(
                    f"The stream is too short for {node.word}",
                    found=f"{streams[0].core.n_samples} samples",
                )
        except BidsmillError as problem:
            raise self.graph.pointing(node, problem) from None
        if node.kind != "stream":
            borders = streams[0].borders if streams else np.array([0, core.n_samples])
        else:
            borders = _borders_of(core, streams[0]) if streams else self.borders
        return Placed(node, core, borders, parents, token)


def chunk_bytes(n_channels: int) -> int:
    """Return how large a chunk should be."""
    return min(max(CHUNK_SAMPLES * 4 * n_channels, LEAST_BYTES), MOST_BYTES)


def source_borders(stream: Any, chunk: int | None = None) -> np.ndarray:
    """Return the chunks of a stream: whole row groups, or equal parts of one.

    Raises
    ------
    BidsmillError
        If the stream is empty, or the chunk no number of samples.
    """
    core = stream.core
    if core.n_samples < 1 or core.n_channels < 1:
        raise BidsmillError(
            "The stream is empty",
            file=getattr(stream, "path", None),
            found=f"{core.n_channels} channels, {core.n_samples} samples",
        )
    if chunk is not None:
        if chunk < 1 or int(chunk) != chunk:
            raise BidsmillError(
                "The length of a chunk cannot be used", found=repr(chunk), expected="samples"
            )
        return np.append(np.arange(0, core.n_samples, int(chunk)), core.n_samples)
    row, size = 4 * core.n_channels, chunk_bytes(core.n_channels)
    groups = getattr(stream, "group_rows", None) or [core.n_samples]
    borders, last = [0], 0
    for end in np.cumsum(groups).tolist():
        if last > borders[-1] and (end - borders[-1]) * row > size:
            borders.append(last)
        n_parts = -(-(end - borders[-1]) * row // size)
        if n_parts > 1:
            begin = borders[-1]
            borders += [begin + (end - begin) * part // n_parts for part in range(1, n_parts + 1)]
        last = end
    return np.unique(np.array([*borders, core.n_samples], dtype=np.int64))


def _borders_of(core: StreamCore, parent: Placed) -> np.ndarray:
    """Return the chunks of a stream made of another: the same, in time."""
    if core.n_samples == parent.core.n_samples:
        borders = parent.borders
    else:
        share = core.n_samples / parent.core.n_samples
        borders = np.unique(np.round(parent.borders * share).astype(np.int64))
    row, parts = 4 * core.n_channels, [np.zeros(1, np.int64)]
    # Twice: a few more channels or a slightly higher rate are no reason for other chunks.
    size = 2 * chunk_bytes(core.n_channels)
    for start, stop in zip(borders[:-1].tolist(), borders[1:].tolist(), strict=True):
        n_parts = max(-(-(stop - start) * row // size), 1)
        parts.append(start + (stop - start) * np.arange(1, n_parts + 1) // n_parts)
    return np.unique(np.concatenate(parts))


def _check_alike(operation: Operation, cores: list[StreamCore]) -> None:
    if len({(core.sfreq, core.n_samples) for core in cores}) > 1:
        raise BidsmillError(
            f"The streams that {operation.name} puts together are not on one grid",
            found=", ".join(f"{core.n_samples} samples at {core.sfreq:g} Hz" for core in cores),
            expected="one sampling rate and one length",
            todo="resample one of them",
        )


def _table_mark(table: Any) -> str:
    if table is None:
        return ""
    return hashlib.sha256(table.to_csv(index=False).encode()).hexdigest()
