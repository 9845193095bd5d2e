"""Named nodes of a recording's stream become files."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bidsmill.errors import BidsmillError
from bidsmill.formats import files
from bidsmill.formats.epocs import read_epocs
from bidsmill.formats.stream import StreamFile
from bidsmill.formats.stream_names import RAW, stream_file
from bidsmill.streams.graph import Graph, Node
from bidsmill.streams.graph.node import in_order
from bidsmill.streams.nodes import Nodes
from bidsmill.streams.plan import Placed, Plan
from bidsmill.streams.recording import files_of


@dataclass(frozen=True)
class NodeFacts:
    """What is known of a node before any recording is open.

    Attributes
    ----------
    identity : str
        See `bidsmill.streams.graph.Node`.
    kind : str
        ``stream``, ``epocs`` or ``table``.
    of_events : bool
        Whether events of the recording go into it.
    """

    identity: str
    kind: str
    of_events: bool


def facts_of(definitions: Mapping[str, str]) -> dict[str, NodeFacts]:
    """Return the facts of all nodes by name, ``raw`` among them.

    Raises
    ------
    BidsmillError
        That points at the place in a definition that cannot be understood.
    """
    nodes = {RAW: Node(RAW), **Graph(definitions).nodes}
    return {
        name: NodeFacts(
            node.identity, node.kind, any(step.word == "epocs" for step in in_order([node]))
        )
        for name, node in nodes.items()
    }


def write_nodes_of(
    stem: str, folder: Path, definitions: Mapping[str, str], names: Iterable[str]
) -> dict[str, dict[str, Any]]:
    """Write nodes of one recording in one pass over its stream.

    Parameters
    ----------
    stem : str
        The recording, whose stream and epocs lie in `folder`.
    folder : pathlib.Path
        ``results/{dataset}/streams``.
    definitions : mapping
        Name -> definition, of all nodes.
    names : iterable of str
        The nodes to write.

    Returns
    -------
    dict
        Name -> ``files`` (name -> size and sha256) and ``reach_seconds``: how far a sample looks
        to either side; of a node with statistics of the whole signal, the whole recording.

    Raises
    ------
    BidsmillError
        If a node cannot be computed on this stream; the message points at its place.
    """
    wanted = list(names)
    graph = Graph(definitions)
    # Only what is asked for must fit the recording.
    used = {name: definitions[name] for name in _used(graph, wanted)}
    stream = StreamFile(folder / stream_file(stem))
    events = any(fact.of_events for fact in facts_of(used).values())
    epocs = read_epocs(folder / stream_file(stem, kind="epocs")) if events else None
    nodes = Nodes(stream, used, epocs=epocs)
    paths = {name: folder / stream_file(stem, name, nodes.kind(name)) for name in wanted}
    for path in paths.values():
        files.remove_parts(path)
    written = nodes.write_all(paths)
    plan = Plan(nodes.graph, stream, None if epocs is None else epocs.table)
    return {
        name: {
            "files": files_of(paths[name], written[name]),
            "reach_seconds": reach_of(plan, plan[nodes.graph.find(name)]),
        }
        for name in wanted
    }


def _used(graph: Graph, names: list[str]) -> list[str]:
    """Return the names of those nodes, and of all that they are defined by."""
    steps = {node.identity for node in in_order(graph.nodes[name] for name in names)}
    return [name for name in graph.nodes if graph.nodes[name].identity in steps]


def reach_of(plan: Plan, placed: Placed) -> float:
    """Return how far a sample of a node looks to either side, in s."""
    node = placed.node
    if node.operation is None:
        return 0.0
    whole = plan.stream.core.duration
    if placed.operation.fits() or len(placed.streams) < len(placed.parents):
        return _rounded(whole)
    before = max((reach_of(plan, parent) for parent in placed.parents), default=0.0)
    parent = placed.streams[0].core
    # A sample in the middle, so that no edge cuts what it needs.
    middle = placed.core.n_samples // 2
    low, high = placed.operation.needs(middle, middle + 1, placed.parent_core)
    at = placed.core.t0 + middle / placed.core.sfreq
    early = at - (parent.t0 + low / parent.sfreq)
    late = parent.t0 + (high - 1) / parent.sfreq - at
    return _rounded(min(whole, before + max(early, late, 0.0)))


def _rounded(seconds: float) -> float:
    """Return seconds rounded up to a microsecond, so that every machine states the same."""
    return math.ceil(round(seconds * 1e6, 3)) / 1e6


def check_file(path: Path) -> None:
    """Read the metadata of a file of streams, and refuse one that is not what it says.

    Raises
    ------
    BidsmillError
        That names the file and the field.
    """
    if path.suffix != ".parquet":
        return
    if path.stem.endswith("_epocs"):
        read_epocs(path)
    elif path.stem.endswith("_stream"):
        StreamFile(path)
    elif not path.is_file():
        raise BidsmillError("a table is missing", file=path)
