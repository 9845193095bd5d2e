"""The language of HED searches: hedtools' queries, joined by the plain words and, or, not.

Two layers. The words ``and``, ``or``, ``not`` (any case; round brackets group) ask about whole
strings: ``Image and not Face`` are the strings that match ``Image`` and do not match ``Face``.
What they join are hedtools queries, handed over as they are, in which ``&&``, ``,``, ``||`` and
``~`` ask about groups of tags: ``Image && ~Face`` are the strings with a group that holds an
image and no face, whatever the other groups hold. Inside ``[ ]`` and ``{ }``, which describe one
group, the words mean the same as the symbols.

Assembled strings carry their definitions expanded, so ``Def/Name`` in a query also finds
``Def-expand/Name``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

from bidsmill.errors import BidsmillError

EXAMPLE = "Image and not (Face or House)"
WORDS = ("and", "or", "not")
SYMBOL_OF = {"and": "&&", "or": "||", "not": "~"}
CLOSING = {"(": ")", "[": "]", "{": "}"}
TOKEN = re.compile(
    r"""(?P<symbol>&&|\|\||,|~)
      |(?P<open>[(\[{])
      |(?P<close>[)\]}])
      |(?P<optional>:)
      |(?P<any>\?{1,3})
      |(?P<tag>@?(?:"[A-Za-z0-9_\-/.^\#*]+"|(?:[A-Za-z]+:)?[A-Za-z0-9_\-/.^\#*]+))""",
    re.VERBOSE,
)
PREFIX = re.compile(r"(@?)([A-Za-z]+):(.+)")


@dataclass(frozen=True)
class Token:
    """One token of a query: its kind, its text, where it starts, whether in ``[ ]`` or ``{ }``."""

    kind: str
    text: str
    start: int
    in_group: bool = False
    in_braces: bool = False


@dataclass(frozen=True)
class Leaf:
    """A part of a query that hedtools evaluates: tokens, and where they start."""

    tokens: tuple[Token, ...]

    @property
    def text(self) -> str:
        """The query in hedtools' own syntax."""
        return " ".join(_hedtools_text(token) for token in self.tokens)

    @property
    def start(self) -> int:
        """The position of the first token in the query."""
        return self.tokens[0].start


@dataclass(frozen=True)
class Join:
    """``and``, ``or`` or ``not`` of whole queries."""

    word: str
    parts: tuple[Leaf | Join, ...]


def malformed(query: str, start: int, problem: str, todo: str = "") -> BidsmillError:
    """Return the error of a query that breaks at character `start` (from 0)."""
    marked = f"{query[:start]}>>>{query[start:]}"
    return BidsmillError(
        f"the HED query {query!r} cannot be understood: {problem}, at character {start + 1}",
        found=marked,
        expected=f"for example {EXAMPLE!r} or 'Sensory-event && Visual-presentation'",
        todo=todo or None,
    )


def nested_too_deeply(query: str) -> BidsmillError:
    """Return the error of a query that Python cannot follow into its brackets and negations."""
    return BidsmillError(
        "the HED query is nested too deeply, or joins too many parts", found=f"{query[:60]} ..."
    )


def parse_query(query: str, prefixes: Collection[str] = ()) -> Leaf | Join:
    """Return the tree of a query.

    Parameters
    ----------
    query : str
        See the description of this module; ``"and"``, ``"or"`` in quotation marks are tags.
    prefixes : collection of str
        Library prefixes of the schema without their colon: ``sc:Tag`` is then one tag.

    Raises
    ------
    BidsmillError
        If the query is malformed: the message shows it, where it breaks, and a right one.
    """
    tokens = _tokens(query, prefixes)
    if not tokens:
        raise malformed(query, 0, "it is empty")
    try:
        return _tree(query, _checked(query, tokens))
    except RecursionError:
        raise nested_too_deeply(query) from None


def with_tags(tree: Leaf | Join, rewrite: Callable[[Token], str]) -> Leaf | Join:
    """Return a tree in which `rewrite` has given the text of every tag."""
    if isinstance(tree, Join):
        return replace(tree, parts=tuple(with_tags(part, rewrite) for part in tree.parts))
    return Leaf(tuple(replace(t, text=rewrite(t)) if t.kind == "tag" else t for t in tree.tokens))


def _tokens(query: str, prefixes: Collection[str]) -> list[Token]:
    tokens = []
    position = 0
    while position < len(query):
        if query[position].isspace():
            position += 1
            continue
        match = TOKEN.match(query, position)
        if match is None:
            problem = f"{query[position]!r} has no meaning in a query"
            todo = "tags hold letters, digits, '-', '_', '/', '.'; '*' at the end stands for any"
            raise malformed(query, position, problem, todo)
        kind, text = str(match.lastgroup), match.group()
        if kind == "tag" and "*" in text.rstrip('"')[:-1]:
            raise malformed(query, position, f"in {text!r}, '*' is not at the end of the tag")
        prefixed = PREFIX.fullmatch(text) if kind == "tag" else None
        if prefixed and prefixed[2] not in prefixes:
            # Not a prefix of the schema: the colon of `{required:optional}`.
            text = prefixed[1] + prefixed[2]
        if kind == "tag" and text.casefold() in WORDS:
            kind = "word"
        tokens.append(Token(kind, text.casefold() if kind == "word" else text, position))
        position += len(text)
    return tokens


def _checked(query: str, tokens: Sequence[Token]) -> list[Token]:
    """Check that operands and operators alternate and brackets match; mark what is in a group."""
    checked: list[Token] = []
    open_brackets: list[Token] = []
    operand_due = True
    for token in tokens:
        groups = [opened.text for opened in open_brackets if opened.text != "("]
        token = replace(token, in_group=bool(groups), in_braces=groups[-1:] == ["{"])
        negation = token.text in ("~", "not") and token.kind in ("symbol", "word")
        if token.kind in ("tag", "any", "open") or negation:
            if not operand_due:
                raise malformed(
                    query, token.start, f"nothing joins {token.text!r} to what precedes"
                )
            _refuse_double_negation(query, checked, token, negation)
            operand_due = token.kind == "open" or negation
        elif token.kind == "close" and checked and checked[-1].text == ":" and open_brackets:
            operand_due = False
        elif operand_due:
            raise malformed(query, token.start, f"a tag is missing before {token.text!r}")
        else:
            operand_due = token.kind != "close"
        if token.kind == "open":
            open_brackets.append(token)
        elif token.kind == "close":
            if not open_brackets or CLOSING[open_brackets[-1].text] != token.text:
                raise malformed(query, token.start, f"{token.text!r} closes nothing")
            open_brackets.pop()
        elif token.kind == "optional" and (not open_brackets or open_brackets[-1].text != "{"):
            raise malformed(query, token.start, "':' stands only inside { }")
        checked.append(token)
    if open_brackets:
        opened = open_brackets[-1]
        raise malformed(query, opened.start, f"{opened.text!r} is never closed")
    if operand_due:
        raise malformed(query, len(query), "a tag is missing at the end")
    return checked


def _refuse_double_negation(query: str, before: Sequence[Token], token: Token, negation: bool):
    # hedtools reads the second '~' of '~ ~ A' as the name of a tag, without a complaint.
    symbol = token.text == "~" or token.in_group
    if negation and symbol and before and before[-1].text in ("~", "not"):
        raise malformed(query, token.start, "a negation is negated")


def _tree(query: str, tokens: Sequence[Token]) -> Leaf | Join:
    level = _levels(tokens)
    words = [t for t, depth in zip(tokens, level, strict=True) if t.kind == "word" and depth == 0]
    if words:
        for token, depth in zip(tokens, level, strict=True):
            if depth == 0 and token.kind == "symbol":
                raise _mixed(query, token)
        return _join(query, tokens, level)
    if tokens[0].text == "(" and level[-1] == 0 and level.count(0) == 2:
        return _tree(query, tokens[1:-1])
    for token in tokens:
        if token.kind == "word" and not token.in_group:
            raise _mixed(query, token)
    return Leaf(tuple(tokens))


def _levels(tokens: Sequence[Token]) -> list[int]:
    """Return how many brackets stand around each token (0 for the outermost brackets)."""
    levels = []
    depth = 0
    for token in tokens:
        depth -= token.kind == "close"
        levels.append(depth)
        depth += token.kind == "open"
    return levels


def _join(query: str, tokens: Sequence[Token], levels: Sequence[int]) -> Leaf | Join:
    for word in ("or", "and"):
        parts: list[list[Token]] = [[]]
        for token, depth in zip(tokens, levels, strict=True):
            if depth == 0 and token.kind == "word" and token.text == word:
                parts.append([])
            else:
                parts[-1].append(token)
        if len(parts) > 1:
            return Join(word, tuple(_tree(query, part) for part in parts))
    return Join("not", (_tree(query, tokens[1:]),))


def _mixed(query: str, token: Token) -> BidsmillError:
    return malformed(
        query,
        token.start,
        f"{token.text!r} mixes the words and, or, not (whole strings) with the symbols "
        "&&, ||, ~ (groups of tags)",
        "put one of them in brackets: '(A && B) and not C'",
    )


def _hedtools_text(token: Token) -> str:
    if token.kind == "word":
        return SYMBOL_OF[token.text]
    bare = token.text.lstrip("@").strip('"').casefold()
    if token.kind != "tag" or not (bare == "def" or bare.startswith("def/")):
        return token.text
    expanded = re.sub("def", "Def-expand", token.text, count=1, flags=re.IGNORECASE)
    if token.text.startswith("@"):
        return f"( {token.text} && {expanded} )"
    if token.in_braces:
        # A Def is a tag of the group in braces; its expansion is a group of its own in there.
        return f"( {token.text} || {{ {expanded} }} )"
    return f"( {token.text} || {expanded} )"
