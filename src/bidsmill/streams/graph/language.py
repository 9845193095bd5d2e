r"""The language of the graph: ``raw > notch(50) > bandpass(20, 450) > rectify``.

::

    chain    = step { ">" step }
    step     = name | name "(" [ argument { "," argument } ] ")"
    argument = [ name "=" ] value
    value    = number [ unit ] | text | name | "[" [ value { "," value } ] "]" | chain
    text     = "..." | '...'          (with \" , \' and \\)

The first step of a chain names a node, or is an operation that names its inputs itself
(``epochs(env, onsets)``); all others are operations. ``true``, ``false`` and ``null`` are values.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from bidsmill.errors import BidsmillError
from bidsmill.streams.parameters import Quantity, written

TOKEN = re.compile(
    r"""\s*(?:
        (?P<number>[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)
      | (?P<name>[^\W\d]\w*(?:\.\w+)*)
      | (?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
      | (?P<mark>[>(),=\[\]])
      | (?P<end>$)
    )""",
    re.VERBOSE | re.DOTALL,
)
CONSTANTS = {"true": True, "false": False, "null": None}
DEEPEST = 30
# Characters of a definition that a message shows on either side of a place.
SHOWN = 60


@dataclass(frozen=True)
class Word:
    """A bare word: a node, or a text without quotes."""

    text: str
    place: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Argument:
    """One argument of a step: its value, and its keyword if it has one."""

    value: Any
    keyword: str | None = None
    place: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Step:
    """A step of a chain; ``arguments`` is None for the name of a node."""

    name: str
    arguments: tuple[Argument, ...] | None = None
    place: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Chain:
    """Steps, from the first to the last."""

    steps: tuple[Step, ...]

    @property
    def place(self) -> int:
        """Return where it begins."""
        return self.steps[0].place

    def __str__(self) -> str:
        return " > ".join(_step_text(step) for step in self.steps)


@dataclass(frozen=True)
class Definition:
    """A name, and the text that defines it; makes the messages that point into it."""

    name: str
    text: str

    def problem(self, what: str, place: int, length: int = 1, **details: Any) -> BidsmillError:
        """Return an error that points at a place of the definition."""
        end = place + max(length, 1)
        before, marked, after = self.text[:place], self.text[place:end], self.text[end:]
        before = before if len(before) <= SHOWN else f"...{before[-SHOWN:]}"
        after = after if len(after) <= SHOWN else f"{after[:SHOWN]}..."
        shown = f"{before}»{marked[:SHOWN] or 'end'}«{after}"
        found = details.pop("found", None)
        where = f"character {place + 1} of {self.name}: {shown}"
        return BidsmillError(
            f"node {self.name}: {what}",
            found=f"{found}, at {where}" if found else where,
            **details,
        )


def parse(text: str, name: str = "node") -> Chain:
    """Return the chain that a text states.

    Parameters
    ----------
    text : str
        E.g. ``raw > bandpass(20, 450)``.
    name : str
        Of the node that it defines, for messages.

    Raises
    ------
    BidsmillError
        That points at the place where the text leaves the language.
    """
    parser = _Parser(Definition(name, text))
    chain = parser.chain(0)
    parser.expect("end", "", "> and an operation, or the end")
    return chain


class _Parser:
    def __init__(self, definition: Definition):
        self.definition = definition
        self.tokens = list(self._tokens())
        self.position = 0

    def _tokens(self):
        text, position = self.definition.text, 0
        while True:
            match = TOKEN.match(text, position)
            if match is None:
                place = position + len(text[position:]) - len(text[position:].lstrip())
                unclosed = text[place] in "\"'"
                raise self.definition.problem(
                    "the text is not closed" if unclosed else "this sign has no meaning",
                    place,
                    expected="the same quote again"
                    if unclosed
                    else "names, numbers, > ( ) , = [ ]",
                )
            kind = str(match.lastgroup)
            yield kind, match.group(kind), match.start(kind)
            if kind == "end":
                return
            position = match.end()

    def next_is(self, kind: str, value: str | None = None) -> bool:
        found = self.tokens[self.position]
        return found[0] == kind and value in (None, found[1])

    def take(self) -> tuple[str, str, int]:
        token = self.tokens[self.position]
        self.position += 1
        return token

    def expect(self, kind: str, value: str, expected: str) -> tuple[str, str, int]:
        if not self.next_is(kind, value or None):
            _, found, place = self.tokens[self.position]
            what = f"{found} cannot stand here" if found else "the definition ends too early"
            raise self.definition.problem(what, place, len(found), expected=expected)
        return self.take()

    def chain(self, depth: int) -> Chain:
        _, _, place = self.tokens[self.position]
        if depth > DEEPEST:
            raise self.definition.problem(
                "the brackets are nested too deeply", place, expected=f"at most {DEEPEST} levels"
            )
        steps = [self.step(depth, first=True)]
        while self.next_is("mark", ">"):
            self.take()
            steps.append(self.step(depth, first=False))
        return Chain(tuple(steps))

    def step(self, depth: int, first: bool) -> Step:
        expected = "the name of a node" if first else "the name of an operation"
        _, name, place = self.expect("name", "", expected)
        if not self.next_is("mark", "("):
            return Step(name, None if first else (), place)
        self.take()
        arguments = self.listed(")", lambda: self.argument(depth))
        return Step(name, tuple(arguments), place)

    def listed(self, closing: str, item) -> list[Any]:
        items: list[Any] = []
        while not self.next_is("mark", closing):
            if items:
                self.expect("mark", ",", f", or {closing}")
            items.append(item())
        self.take()
        return items

    def argument(self, depth: int) -> Argument:
        place = self.tokens[self.position][2]
        keyword = None
        if self.next_is("name") and self.tokens[self.position + 1][1] == "=":
            keyword = self.take()[1]
            self.take()
        return Argument(self.value(depth + 1), keyword, place)

    def value(self, depth: int) -> Any:
        if self.next_is("number"):
            number = _number(self.take()[1])
            if self.next_is("name"):
                return Quantity(number, self.take()[1])
            return number
        if self.next_is("text"):
            return re.sub(r"\\(.)", r"\1", self.take()[1][1:-1], flags=re.DOTALL)
        if self.next_is("mark", "["):
            if depth > DEEPEST:
                self.chain(depth)
            self.take()
            return tuple(self.listed("]", lambda: self.value(depth + 1)))
        if not self.next_is("name"):
            self.expect("name", "", "a number, a text, a name or [")
        chain = self.chain(depth)
        first = chain.steps[0]
        if len(chain.steps) > 1 or first.arguments is not None:
            return chain
        if first.name in CONSTANTS:
            return CONSTANTS[first.name]
        return Word(first.name, first.place)


def _number(text: str) -> int | float:
    return int(text) if re.fullmatch(r"[+-]?\d+", text) else float(text)


def _step_text(step: Step) -> str:
    if not step.arguments:
        return step.name if step.arguments is None else f"{step.name}()"
    return f"{step.name}({', '.join(_argument_text(a) for a in step.arguments)})"


def _argument_text(argument: Argument) -> str:
    keyword = f"{argument.keyword}=" if argument.keyword else ""
    return keyword + value_text(argument.value)


def value_text(value: Any) -> str:
    """Return a value of the language as text."""
    if isinstance(value, tuple):
        return f"[{', '.join(value_text(item) for item in value)}]"
    if isinstance(value, Word):
        return value.text
    if isinstance(value, Chain | Quantity):
        return str(value)
    return written(value)
