"""Nodes, and the identity that their content gives them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from bidsmill.errors import BidsmillError
from bidsmill.streams.operation import Operation

# What a graph starts from, and of which kind it is.
SOURCES = {"raw": "stream", "epocs": "epocs"}
IDENTITY_BYTES = 16
# Steps from a source to a node: chains are followed by calls in calls, whose number is limited.
LONGEST = 100


@dataclass(frozen=True, eq=False)
class Node:
    """A source, or an operation on parents.

    Two nodes are equal if operation, parameters, version and parents are: whatever they are
    called, and wherever they were defined.

    Attributes
    ----------
    word : str
        ``raw``, ``epocs``, or the name of the operation.
    operation : Operation or None
        None for a source.
    parents : tuple of Node
        Its inputs.
    """

    word: str
    operation: Operation | None = None
    parents: tuple[Node, ...] = ()

    @property
    def kind(self) -> str:
        """Return ``stream``, ``epocs`` or ``table``."""
        return SOURCES[self.word] if self.operation is None else self.operation.output

    @cached_property
    def depth(self) -> int:
        """Return the number of steps on the longest way from a source."""
        return 1 + max((parent.depth for parent in self.parents), default=-1)

    @cached_property
    def identity(self) -> str:
        """Return the BLAKE2b hash of the canonical JSON, 32 hexadecimal digits."""
        text = canonical_json(self.document())
        return hashlib.blake2b(text.encode(), digest_size=IDENTITY_BYTES).hexdigest()

    def document(self) -> dict[str, Any]:
        """Return all that makes the node what it is, ready for JSON."""
        if self.operation is None:
            return {"op": self.word, "parameters": {}, "version": 1, "parents": []}
        return {
            "op": self.word,
            "parameters": self.operation.parameters(),
            "version": self.operation.version,
            "parents": [parent.identity for parent in self.parents],
        }

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Node) and self.identity == other.identity

    def __hash__(self) -> int:
        return hash(self.identity)


def canonical_json(value: Any) -> str:
    """Return JSON with sorted keys and without spaces: equal values, equal text."""
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


def in_order(nodes: Iterable[Node]) -> list[Node]:
    """Return nodes and all their ancestors, parents before children, each once.

    The order depends on the graph and the order of ``nodes`` alone.
    """
    done: dict[str, Node] = {}

    def visit(node: Node) -> None:
        if node.identity not in done:
            for parent in node.parents:
                visit(parent)
            done[node.identity] = node

    for node in nodes:
        visit(node)
    return list(done.values())


def check_inputs(operation: Operation, parents: tuple[Node, ...]) -> None:
    """Refuse parents of the wrong number or kind, or at the end of too long a chain.

    Raises
    ------
    BidsmillError
        That says what the operation takes.
    """
    if any(parent.depth >= LONGEST for parent in parents):
        raise BidsmillError(
            "The chain is too long",
            found=f"more than {LONGEST} steps from its source",
            todo="write a node on the way to a file, and go on from that file",
        )
    kinds = tuple(parent.kind for parent in parents)
    if kinds != operation.inputs:
        raise BidsmillError(
            f"The operation {operation.name} cannot work on these inputs",
            found=", ".join(f"{p.word} ({p.kind})" for p in parents) or "none",
            expected=", ".join(operation.inputs),
        )
