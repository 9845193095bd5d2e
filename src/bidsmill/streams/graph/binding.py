"""From parsed steps to nodes: names looked up, inputs and parameters told apart and checked."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from bidsmill.errors import BidsmillError
from bidsmill.streams.graph.language import Argument, Chain, Definition, Step, Word, value_text
from bidsmill.streams.graph.node import Node, check_inputs
from bidsmill.streams.operation import Operation
from bidsmill.streams.parameters import ParameterProblem, signature
from bidsmill.streams.registry import nearest, operation_named

# Finds the node of a name that stands at a place of a definition.
Lookup = Callable[[str, Definition, int], Node]
# Is told every node, and where it is defined.
Tell = Callable[[Node, Definition, Step], None]


class Binder:
    """Make nodes of the steps of one definition.

    Parameters
    ----------
    definition : Definition
        For messages.
    lookup : callable
        Finds nodes by name.
    tell : callable
        Called for every node that is made.
    """

    def __init__(self, definition: Definition, lookup: Lookup, tell: Tell):
        self.definition, self.lookup, self.tell = definition, lookup, tell

    def chain(self, chain: Chain) -> Node:
        """Return the node at the end of a chain."""
        first = chain.steps[0]
        if first.arguments is None:
            node = self.lookup(first.name, self.definition, first.place)
        else:
            node = self._node(first, None)
        for step in chain.steps[1:]:
            node = self._node(step, node)
        return node

    def _node(self, step: Step, piped: Node | None) -> Node:
        try:
            kind = operation_named(step.name)
        except BidsmillError as problem:
            raise self._pointing(problem, step.place, step.name) from None
        arguments = list(step.arguments or ())
        parents = self._parents(kind, step, arguments, piped)
        given = self._parameters(kind, step, arguments)
        try:
            operation = kind(**given)
            check_inputs(operation, parents)
        except ParameterProblem as problem:
            place, text = self._place_of(problem.parameter, kind, step, arguments)
            raise self._pointing(problem, place, text) from None
        except BidsmillError as problem:
            raise self._pointing(problem, step.place, step.name) from None
        node = Node(step.name, operation, parents)
        self.tell(node, self.definition, step)
        return node

    def _parents(
        self, kind: type[Operation], step: Step, arguments: list[Argument], piped: Node | None
    ) -> tuple[Node, ...]:
        """Return the inputs, and take those that are arguments out of them."""
        parents = [] if piped is None else [piped]
        while len(parents) < len(kind.inputs):
            value = arguments[0].value if arguments and not arguments[0].keyword else None
            if not isinstance(value, Word | Chain):
                raise self.definition.problem(
                    f"{kind.name} lacks an input",
                    arguments[0].place if arguments else step.place,
                    len(value_text(arguments[0].value)) if arguments else len(step.name),
                    expected=f"{', '.join(kind.inputs)}, each a node",
                    todo=f"write e.g. {_example(kind)}",
                )
            arguments.pop(0)
            if isinstance(value, Word):
                parents.append(self.lookup(value.text, self.definition, value.place))
            else:
                parents.append(self.chain(value))
        return tuple(parents)

    def _parameters(
        self, kind: type[Operation], step: Step, arguments: list[Argument]
    ) -> dict[str, Any]:
        names = [field.name for field in dataclasses.fields(kind)]  # type: ignore[arg-type]
        given: dict[str, Any] = {}
        for number, argument in enumerate(arguments):
            name = argument.keyword
            if name is None:
                positional = all(a.keyword is None for a in arguments[:number])
                if number >= len(names) or not positional:
                    text = value_text(argument.value)
                    what = "a value without a name behind a named one"
                    what = f"{kind.name} has no parameter for this value" if positional else what
                    raise self._wrong(kind, what, argument, len(text))
                name = names[number]
            if name not in names:
                near = nearest(name, names)
                what = f"{kind.name} has no parameter {name}"
                raise self._wrong(kind, what, argument, len(name), todo=near or None)
            if name in given:
                what = f"the parameter {name} is given twice"
                raise self._wrong(kind, what, argument, len(name))
            given[name] = self._plain(argument.value, argument)
        for field in dataclasses.fields(kind):  # type: ignore[arg-type]
            if field.default is dataclasses.MISSING and field.name not in given:
                raise self.definition.problem(
                    f"the parameter {field.name} of {kind.name} is missing",
                    step.place,
                    len(step.name),
                    expected=signature(kind),
                )
        return given

    def _plain(self, value: Any, argument: Argument) -> Any:
        if isinstance(value, Chain):
            raise self.definition.problem(
                "a node stands where a value is expected", value.place, len(value.steps[0].name)
            )
        if isinstance(value, tuple):
            return tuple(self._plain(item, argument) for item in value)
        return value.text if isinstance(value, Word) else value

    def _wrong(
        self, kind: type[Operation], what: str, argument: Argument, length: int, **details: Any
    ) -> BidsmillError:
        return self.definition.problem(
            what, argument.place, length, expected=signature(kind), **details
        )

    def _place_of(
        self, parameter: str, kind: type[Operation], step: Step, arguments: list[Argument]
    ) -> tuple[int, str]:
        names = [field.name for field in dataclasses.fields(kind)]  # type: ignore[arg-type]
        for number, argument in enumerate(arguments):
            if parameter == (argument.keyword or names[number]):
                return argument.place, self.definition.text[argument.place :].split(",")[0][:40]
        return step.place, step.name

    def _pointing(self, problem: BidsmillError, place: int, text: str) -> BidsmillError:
        details = {"found": problem.found, "expected": problem.expected, "todo": problem.todo}
        return self.definition.problem(problem.what, place, len(text.rstrip(") ")), **details)


def _example(kind: type[Operation]) -> str:
    words = {"stream": "raw", "epocs": "epocs", "table": "table"}
    return f"{kind.name}({', '.join(words[kind] for kind in kind.inputs)})"
