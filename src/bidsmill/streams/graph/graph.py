"""A graph: definitions by name, resolved into nodes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from bidsmill.errors import BidsmillError
from bidsmill.streams.graph.binding import Binder
from bidsmill.streams.graph.language import Chain, Definition, Step, parse
from bidsmill.streams.graph.node import SOURCES, Node, check_inputs, in_order
from bidsmill.streams.parameters import written
from bidsmill.streams.registry import RESERVED, nearest, operation_named, operations

# Nodes become files, whose names may have 255 bytes with that of the recording.
NODE_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")
FORMAT, FORMAT_VERSION = "bidsmill-graph", "1"


class Graph:
    """Named nodes over one stream and its epocs.

    Parameters
    ----------
    definitions : mapping of str to str, or str
        Name and definition of each node, e.g. ``{"env": "raw > rectify > lowpass(10)"}``; or the
        same as text, one ``name: definition`` per line. A definition may name any other.

    Attributes
    ----------
    nodes : dict of str to Node
        By name, in the order of the definitions.

    Raises
    ------
    BidsmillError
        That names the node and points at the place in its definition.
    """

    def __init__(self, definitions: Mapping[str, str] | str):
        texts = _lines(definitions) if isinstance(definitions, str) else dict(definitions)
        _check_names(texts)
        self._definitions = {name: Definition(name, text) for name, text in texts.items()}
        self._chains = {name: parse(text, name) for name, text in texts.items()}
        self._open: list[str] = []
        self._places: dict[str, tuple[Definition, Step]] = {}
        self.nodes: dict[str, Node] = {}
        for name in texts:
            self._resolve(name)
        self.nodes = {name: self.nodes[name] for name in texts}

    def find(self, name: str) -> Node:
        """Return a node by its name, or a step on the way to one.

        Parameters
        ----------
        name : str
            The name of a node; ``raw`` or ``epocs``; an operation that occurs once in the graph
            (``bandpass``); or node and operation (``env.bandpass``), with a number where it
            occurs more than once on the way (``env.rectify.2``, counted from the source).

        Raises
        ------
        BidsmillError
            If there is none, or more than one.
        """
        base, _, rest = name.partition(".")
        if base in self.nodes:
            return _step_of(name, self.nodes[base], rest) if rest else self.nodes[base]
        if name in SOURCES:
            return Node(name)
        ordered = in_order(self.nodes.values())
        steps = [node for node in ordered if node.word == name and node.operation]
        if len(steps) == 1:
            return steps[0]
        if steps:
            users = [own for own, node in self.nodes.items() if set(steps) & set(in_order([node]))]
            raise BidsmillError(
                f"Several steps of the graph are called {name}",
                expected=", ".join(f"{own}.{name}" for own in users),
                todo="say which, or give the one that is wanted a name of its own",
            )
        known = [*self.nodes, *SOURCES, *dict.fromkeys(node.word for node in ordered)]
        raise BidsmillError(
            "The graph has no such node",
            found=name,
            expected=f"one of {', '.join(dict.fromkeys(known))}",
            todo=nearest(name, known) or None,
        )

    def pointing(self, node: Node, problem: BidsmillError) -> BidsmillError:
        """Return an error of a node with the place where it is defined."""
        if node.identity not in self._places:
            return problem
        definition, step = self._places[node.identity]
        details = {"found": problem.found, "expected": problem.expected, "todo": problem.todo}
        return definition.problem(problem.what, step.place, len(step.name), **details)

    def document(self) -> dict[str, Any]:
        """Return the graph, ready for JSON; :meth:`from_document` reads it."""
        ordered = in_order(self.nodes.values())
        return {
            "format": FORMAT,
            "schema_version": FORMAT_VERSION,
            "names": {name: node.identity for name, node in self.nodes.items()},
            "nodes": [{"id": node.identity, **node.document()} for node in ordered],
        }

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Graph:
        """Return the graph of a document.

        Raises
        ------
        BidsmillError
            If the document is none of a graph, or if an operation has another version here.
        """
        if document.get("format") != FORMAT or document.get("schema_version") != FORMAT_VERSION:
            raise BidsmillError(
                "This is no graph, or one of another version",
                found=f"format {document.get('format')!r}, {document.get('schema_version')!r}",
                expected=f"{FORMAT!r}, {FORMAT_VERSION!r}",
            )
        nodes: dict[str, Node] = {}
        try:
            for entry in document["nodes"]:
                nodes[entry["id"]] = _read_node(entry, nodes)
            named = {name: nodes[identity] for name, identity in document["names"].items()}
        except (KeyError, TypeError, AttributeError) as problem:
            raise BidsmillError(
                "The document of the graph is incomplete",
                found=f"{type(problem).__name__}: {problem}",
                expected="names and nodes, parents before children, as Graph.document() returns",
            ) from None
        graph = cls({name: text_of(node) for name, node in named.items()})
        assert graph.nodes == named
        return graph

    def _resolve(self, name: str) -> Node:
        if name not in self.nodes:
            self._open.append(name)
            binder = Binder(self._definitions[name], self._lookup, self._tell)
            chain: Chain = self._chains[name]
            self.nodes[name] = binder.chain(chain)
            self._open.pop()
        return self.nodes[name]

    def _tell(self, node: Node, definition: Definition, step: Step) -> None:
        self._places.setdefault(node.identity, (definition, step))

    def _lookup(self, name: str, definition: Definition, place: int) -> Node:
        base, _, rest = name.partition(".")
        if base in self._open:
            circle = " > ".join([*self._open[self._open.index(base) :], base])
            raise definition.problem(
                f"{base} depends on itself", place, len(name), found=f"the circle {circle}"
            )
        if base in self._chains:
            node = self._resolve(base)
            try:
                return _step_of(name, node, rest) if rest else node
            except BidsmillError as problem:
                raise definition.problem(
                    problem.what, place, len(name), expected=problem.expected
                ) from None
        if name in SOURCES:
            return Node(name)
        known = [*SOURCES, *self._chains]
        hint = nearest(name, known)
        if not hint and name in operations():
            hint = f"{name} is an operation: write e.g. raw > {name}"
        raise definition.problem(
            f"there is no node {name}",
            place,
            len(name),
            expected=f"one of {', '.join(known)}",
            todo=hint or None,
        )


def text_of(node: Node) -> str:
    """Return a node in the language, with all its parameters; reading it gives an equal node."""
    if node.operation is None:
        return node.word
    values = node.operation.parameters()
    arguments = [f"{name}={written(value)}" for name, value in values.items()]
    if len(node.parents) == 1:
        step = f"{node.word}({', '.join(arguments)})" if arguments else node.word
        return f"{text_of(node.parents[0])} > {step}"
    inputs = [text_of(parent) for parent in node.parents]
    return f"{node.word}({', '.join(inputs + arguments)})"


def _step_of(name: str, node: Node, rest: str) -> Node:
    """Return the step ``operation`` or ``operation.number`` on the way to a node."""
    word, _, number = rest.partition(".")
    way = [step for step in in_order([node]) if step.operation]
    steps = [step for step in way if step.word == word]
    if number.isdigit() and 1 <= int(number) <= len(steps):
        return steps[int(number) - 1]
    if len(steps) == 1 and not number:
        return steps[0]
    base = name.partition(".")[0]
    if steps:
        words: Iterable[str] = (f"{base}.{word}.{i + 1}" for i in range(len(steps)))
    else:
        words = dict.fromkeys(f"{base}.{step.word}" for step in way)
    raise BidsmillError(
        f"{base} has no single step {rest}", found=name, expected=", ".join(words) or base
    )


def _read_node(entry: Mapping[str, Any], nodes: Mapping[str, Node]) -> Node:
    parents = tuple(nodes[identity] for identity in entry["parents"])
    if not parents and entry["op"] in SOURCES:
        return Node(entry["op"])
    operation = operation_named(entry["op"])(**entry["parameters"])
    check_inputs(operation, parents)
    node = Node(entry["op"], operation, parents)
    if node.identity != entry["id"]:
        raise BidsmillError(
            f"The operation {entry['op']} is not the one that the document names",
            found=f"version {operation.version}, id {node.identity}",
            expected=f"version {entry['version']}, id {entry['id']}",
            todo="use the version of bidsmill that wrote the document, or define the graph anew",
        )
    return node


def _lines(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        name, colon, definition = line.partition(":")
        if not colon or name.strip() in found:
            raise BidsmillError(
                "A line defines no node" if not colon else "A node is defined twice",
                found=line,
                expected="name: definition",
            )
        found[name.strip()] = definition.strip()
    return found


def _check_names(texts: Mapping[str, Any]) -> None:
    folded: dict[str, str] = {}
    for name, text in texts.items():
        if not isinstance(name, str) or not NODE_NAME.fullmatch(name) or name in RESERVED:
            raise BidsmillError(
                "A node cannot be called so",
                found=repr(name),
                expected="a letter, then letters, digits and _, at most 64; "
                f"none of the words {', '.join(RESERVED)}",
            )
        if not isinstance(text, str):
            raise BidsmillError(
                f"node {name}: the definition is no text",
                found=repr(text),
                expected="e.g. raw > bandpass(20, 450)",
            )
        # Nodes become files, and some file systems do not tell upper from lower case.
        if folded.setdefault(name.casefold(), name) != name:
            raise BidsmillError(
                "Two nodes differ in upper and lower case alone",
                found=f"{folded[name.casefold()]}, {name}",
                todo="rename one of them",
            )
