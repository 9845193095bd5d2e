"""The graph: its language, its nodes and their identity."""

from bidsmill.streams.graph.graph import Graph, text_of
from bidsmill.streams.graph.node import Node, in_order

__all__ = ["Graph", "Node", "in_order", "text_of"]
