"""What an output says of how it was made."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from bidsmill.formats.stream_core import StreamCore
from bidsmill.streams.graph import Node, in_order
from bidsmill.streams.plan import Plan


def core_of(plan: Plan, node: Node, name: str) -> StreamCore:
    """Return the core of a node: that of its samples, its name, and its history.

    Parameters
    ----------
    plan : Plan
        The nodes on their stream.
    node : Node
        The node.
    name : str
        What it is called; appended to the name of the stream as ``_desc-{name}``.

    Returns
    -------
    StreamCore
        ``history`` goes on after that of the stream; ``source`` is that of the stream.
    """
    source = plan.stream.core
    core = plan[node].core
    if node.operation is None:
        return core
    return replace(
        core,
        name=f"{source.name}_desc-{name.replace('.', '')}",
        dtype="float32",
        source=source.source,
        history=(*source.history, *history_of(node, source.source.get("sha256"))),
    )


def history_of(node: Node, sha256: str | None) -> list[dict[str, Any]]:
    """Return one entry per operation on the way to a node, parents before children.

    Each has the name of the operation (``node``), ``params``, ``version``, its identity (``id``),
    those of its inputs (``parents``), and the sha256 of the file that was recorded.
    """
    return [
        {
            "node": step.word,
            "params": _plain(step.operation.parameters()),
            "version": step.operation.version,
            "id": step.identity,
            "parents": [parent.identity for parent in step.parents],
            "input_sha256": sha256,
        }
        for step in in_order([node])
        if step.operation is not None
    ]


def _plain(value: Any) -> Any:
    """Return parameters as JSON reads them again: lists, no tuples."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return value
