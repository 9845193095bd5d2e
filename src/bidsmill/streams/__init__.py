"""Continuous signals: streams, epocs, and a lazy graph of operations on them."""

from bidsmill.formats.epocs import Epocs, read_epocs
from bidsmill.formats.stream import StreamFile
from bidsmill.streams.array_stream import ArrayStream
from bidsmill.streams.function_operation import operation
from bidsmill.streams.graph import Graph, Node
from bidsmill.streams.nodes import Nodes
from bidsmill.streams.operation import Operation, Span, parameter, register
from bidsmill.streams.operations.extraction import epoch_array, left_out
from bidsmill.streams.registry import operations

__all__ = [
    "ArrayStream",
    "Epocs",
    "Graph",
    "Node",
    "Nodes",
    "Operation",
    "Span",
    "StreamFile",
    "epoch_array",
    "left_out",
    "operation",
    "operations",
    "parameter",
    "read_epocs",
    "register",
]
