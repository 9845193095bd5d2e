"""HED schemas and searches in assembled HED strings, by hedtools and without the network."""

from __future__ import annotations

import difflib
import functools
import re
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from bidsmill.errors import BidsmillError
from bidsmill.formats.hed_query import (
    Join,
    Leaf,
    Token,
    malformed,
    nested_too_deeply,
    parse_query,
    with_tags,
)

# Parsed strings that a process keeps for later queries.
PARSED_KEPT = 16_384
# [prefix:][library_]major.minor.patch, as in HEDVersion of dataset_description.json
# (HED specification, section 7.4.1).
VERSION = re.compile(r"(?:(?P<prefix>[A-Za-z]+):)?(?:[a-z]+_)?\d+\.\d+\.\d+")


def require_hedtools(purpose: str) -> None:
    """Import hedtools, or say how to get it.

    Raises
    ------
    BidsmillError
        If hedtools cannot be imported.
    """
    try:
        if "hed" not in sys.modules:
            _import_inflect()
        import hed  # noqa: F401
    except ImportError as error:
        raise BidsmillError(
            f"{purpose} needs hedtools: pip install bidsmill[hed]", found=error
        ) from None


def _import_inflect() -> None:
    """Import the module that gives hedtools the plurals of units, without type checks in it.

    While `inflect` is imported, typeguard parses and compiles the whole of it anew for each of its
    methods: 2.5 s, nearly all that importing hedtools takes, in every process of every run.
    typeguard leaves functions alone under ``python -O``; here it does so for this one module.
    """
    try:
        import typeguard
    except ImportError:  # an inflect that does without it is quick by itself
        return
    checked = typeguard.typechecked
    typeguard.typechecked = lambda function: function  # type: ignore[assignment]
    try:
        import inflect  # noqa: F401
    finally:
        typeguard.typechecked = checked


def load_schema(version: str | Sequence[str] | None) -> Any:
    """Return the HED schema of a version, from the files that hedtools ships.

    Only the folder inside the installed package is read: no network, no cache folder and hence
    no lock and no race between processes. A schema is parsed once per process.

    Parameters
    ----------
    version : str, sequence of str or None
        ``HEDVersion`` of dataset_description.json: ``"8.3.0"``, or a list with library schemas,
        ``["8.3.0", "sc:score_2.0.0"]``. None is the newest standard schema shipped: without
        ``HEDVersion``, BIDS validates with the latest version (BIDS specification, appendix
        "Hierarchical Event Descriptors").

    Returns
    -------
    hed.HedSchema or hed.HedSchemaGroup

    Raises
    ------
    BidsmillError
        If hedtools is not installed, or the version is malformed, contradictory or not shipped.
    """
    require_hedtools("reading HED")
    return _load(_version_parts(version))


def _version_parts(version: str | Sequence[str] | None) -> tuple[str, ...]:
    """Return the parts of a HED version, the newest standard schema for None."""
    if version is None:
        return (f"{shipped_versions()['standard'][0]}",)
    versions = [version] if isinstance(version, str) else version
    parts = []
    for part in versions if isinstance(versions, (list, tuple)) else [versions]:
        if not isinstance(part, str) or not VERSION.fullmatch(part.strip()):
            raise _unknown_version(version, "a HED version is malformed")
        parts.append(part.strip())
    if not parts:
        raise _unknown_version(version, "a HED version is empty")
    return tuple(parts)


def shipped_versions() -> dict[str, list[str]]:
    """Return the versions hedtools ships by library (``standard``: of none), newest first."""
    require_hedtools("reading HED")
    from hed.schema import hed_cache

    shipped = hed_cache.get_hed_versions(hed_cache.INSTALLED_CACHE_LOCATION, library_name="all")
    return {library or "standard": list(versions) for library, versions in shipped.items()}


@functools.lru_cache(maxsize=16)
def _load(parts: tuple[str, ...]) -> Any:
    from hed import HedFileError, load_schema_version
    from hed.schema import hed_cache

    known = {
        number if library == "standard" else f"{library}_{number}"
        for library, numbers in shipped_versions().items()
        for number in numbers
    }
    for part in parts:
        # Asked of hedtools, an unknown version would be looked for on the network.
        if part.rpartition(":")[2] not in known:
            raise _unknown_version(part, "a HED version is not among those hedtools ships")
    try:
        return load_schema_version(
            parts[0] if len(parts) == 1 else list(parts),
            xml_folder=hed_cache.INSTALLED_CACHE_LOCATION,
        )
    except HedFileError as error:
        message = str(error.message)
        raise _unknown_version(parts, f"HED versions cannot be combined ({message})") from None


def _unknown_version(version: Any, what: str) -> BidsmillError:
    shipped = [
        number if library == "standard" else f"{library}_{number}"
        for library, numbers in sorted(
            shipped_versions().items(), key=lambda item: (item[0] != "standard", item[0])
        )
        for number in numbers
    ]
    found = ", ".join(map(str, version)) if isinstance(version, tuple) else repr(version)
    return BidsmillError(
        what,
        found=found,
        expected=f"one of {', '.join(shipped)}, or a list with prefixes like 'sc:score_2.0.0'",
        todo="correct HEDVersion in dataset_description.json, or update hedtools",
    )


def search(
    strings: Sequence[str], query: str, version: str | Sequence[str] | None = None
) -> np.ndarray:
    """Tell which assembled HED strings match a query.

    The query is a hedtools query, or several joined by ``and``, ``or``, ``not`` (see
    `bidsmill.formats.hed_query`). A tag finds its descendants too: ``Event`` finds
    ``Sensory-event``; ``"Event"`` in quotation marks finds ``Event`` alone; ``Label/Face`` finds
    exactly this; ``Label/Fa*`` what begins so; ``Event/Sensory-event`` is ``Sensory-event``.
    Tags inside expanded definitions are found, and ``Def/Name`` finds ``Def-expand/Name``.

    Parameters
    ----------
    strings : sequence of str
        Assembled HED strings, as in the column ``HED`` of ``samples``. An empty one, ``n/a`` and
        one that hedtools cannot parse never match, not even ``not Face``.
    query : str
        For example ``"Image and not Face"``.
    version : str, sequence of str or None
        The HED version of the strings (see `load_schema`).

    Returns
    -------
    numpy.ndarray of bool, shape (len(strings),)
        Evaluated once for each distinct string.

    Raises
    ------
    BidsmillError
        If the query is malformed or names a tag that the schema lacks; if hedtools is missing;
        if the version is not shipped.
    """
    strings = list(strings)
    distinct = {s for s in strings if isinstance(s, str) and s.strip() not in ("", "n/a")}
    if not distinct and version is None:
        parse_query(query, _prefixes(version))
        return np.zeros(len(strings), dtype=bool)
    prepared = Search(query, version)
    found = {text for text in distinct if prepared.matches(text)}
    return np.fromiter(
        (isinstance(s, str) and s in found for s in strings), dtype=bool, count=len(strings)
    )


class Search:
    """A query made ready for the strings of one HED version (see `search`).

    Parameters
    ----------
    query : str
        The query.
    version : str, sequence of str or None
        The HED version of the strings.

    Attributes
    ----------
    reads_values : bool
        Whether the query asks for a value or an extension (``Label/Face``, ``Duration/*``).
        If not, strings that differ only in the numbers behind their tags match alike: hedtools
        compares a bare tag with the terms of the schema (`HedGroup.find_tags_with_term`), and a
        quoted one with the whole tag.

    Raises
    ------
    BidsmillError
        As for `search`.
    """

    def __init__(self, query: str, version: str | Sequence[str] | None = None):
        tree = parse_query(query, _prefixes(version))
        require_hedtools("HED search")
        self._parts = _version_parts(version)
        schema = _load(self._parts)
        self.reads_values = False

        def rewritten(token: Token) -> str:
            text = _known_tag(query, token, schema)
            self.reads_values |= "/" in text or "*" in text
            return text

        self._matches = _matcher(with_tags(tree, rewritten), query)

    def matches(self, text: str) -> bool:
        """Tell whether one string matches. A string is parsed once, and kept for later queries."""
        return self._matches(_parsed(text, self._parts))


def _prefixes(version: str | Sequence[str] | None) -> set[str]:
    parts = version if isinstance(version, (list, tuple)) else [version]
    return {p.partition(":")[0].strip() for p in parts if isinstance(p, str) and ":" in p}


@functools.lru_cache(maxsize=PARSED_KEPT)
def _parsed(text: str, parts: tuple[str, ...]) -> Any:
    from hed import HedString

    return HedString(text, _load(parts))


def _matcher(tree: Leaf | Join, query: str) -> Callable[[Any], bool]:
    """Return a function that tells whether a parsed HED string matches."""
    try:
        evaluate = _evaluator(tree, query)
    except RecursionError:
        raise nested_too_deeply(query) from None

    def matches(string: Any) -> bool:
        try:
            return bool(string.children) and evaluate(string)
        except RecursionError:
            raise nested_too_deeply(query) from None

    return matches


def _evaluator(tree: Leaf | Join, query: str) -> Callable[[Any], bool]:
    if isinstance(tree, Leaf):
        handler = _handler(tree, query)
        return lambda string: bool(handler.search(string))
    parts = [_evaluator(part, query) for part in tree.parts]
    if tree.word == "and":
        return lambda string: all(part(string) for part in parts)
    if tree.word == "or":
        return lambda string: any(part(string) for part in parts)
    return lambda string: not parts[0](string)


def _handler(leaf: Leaf, query: str) -> Any:
    from hed import HedQueryError
    from hed.models import QueryHandler

    try:
        return QueryHandler(leaf.text)
    except HedQueryError as error:
        raise malformed(query, leaf.start, " ".join(str(error).split())) from None


def _known_tag(query: str, token: Token, schema: Any) -> str:
    """Return the tag in the form hedtools searches; refuse one that the schema lacks.

    hedtools finds a bare word among the terms of the schema only, so a misspelt one would
    silently match nothing. A long form is shortened, as hedtools compares short forms.
    """
    mark = "@" if token.text.startswith("@") else ""
    bare = token.text.removeprefix("@").strip('"')
    quoted = '"' in token.text
    prefix, colon, name = bare.rpartition(":")
    stem = name.rstrip("*").rstrip("/")
    star = name[len(stem) :]
    if star and "/" not in name:
        known = _terms(schema)
        if any(term.startswith(stem.casefold()) for term in known):
            return token.text.replace(prefix + colon, "", 1) if colon else token.text
        raise _absent(query, token, stem, known)
    tag = _resolved(stem, f"{prefix}:" if colon else None, schema)
    if tag is None:
        raise _absent(query, token, stem.split("/")[0], _terms(schema))
    text = tag.short_tag.rpartition(":")[2] + star
    return f'{mark}"{text}"' if quoted else mark + text


def _resolved(text: str, prefix: str | None, schema: Any) -> Any:
    """Return `text` as a tag of the schema, or None if it is none."""
    from hed import HedTag

    for namespace in [prefix] if prefix is not None else schema.valid_prefixes:
        tag = HedTag(f"{namespace}{text}", schema)
        if tag.tag_terms:
            return tag
    return None


def _absent(query: str, token: Token, word: str, known: dict[str, str]) -> BidsmillError:
    near = difflib.get_close_matches(word.casefold(), list(known), n=3, cutoff=0.6)
    names = " or ".join(repr(known[name]) for name in near)
    return malformed(
        query,
        token.start,
        f"the HED schema has no tag {word!r}",
        f"did you mean {names}?" if near else "look the tag up in the HED schema",
    )


def _terms(schema: Any) -> dict[str, str]:
    """Return the short names of all tags of the schema, by their lowered form."""
    return {
        entry.short_tag_name.casefold(): entry.short_tag_name
        for prefix in schema.valid_prefixes
        for entry in schema.schema_for_namespace(prefix).tags.values()
        if not entry.name.endswith("/#")
    }
