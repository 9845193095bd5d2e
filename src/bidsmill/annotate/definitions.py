"""HED definitions that assembled strings refer to, recovered from the strings themselves."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from bidsmill.formats.hed_strings import load_schema

# What an expanded definition looks like in a string (HED specification, section 5.2).
EXPANDED = "def-expand/"


def definitions_of(strings: Iterable[str], hed_version: Any) -> list[str]:
    """Return the definitions behind the ``Def-expand`` groups of assembled HED strings.

    A table whose strings expand definitions is valid HED only together with them.

    Parameters
    ----------
    strings : iterable of str
        Assembled strings, in any order.
    hed_version : str, list of str or None
        See `bidsmill.formats.hed_strings.load_schema`.

    Returns
    -------
    list of str
        ``(Definition/Name, (...))``, with ``#`` where a value stood; sorted. Without those that
        recordings define differently, and those whose place for the value cannot be told.
    """
    expanded = sorted({text for text in strings if EXPANDED in text.casefold()})
    if not expanded:
        return []
    schema = load_schema(hed_version)  # which imports hedtools faster than a plain import
    from hed import HedString

    possible: dict[str, set[str]] = {}
    for text in expanded:
        for tag, group, _ in HedString(text, schema).find_def_tags(recursive=True):
            name, _, value = str(tag.extension).partition("/")
            contents = ", ".join(str(inner) for inner in group.groups()) if group else ""
            found = _definitions(name, value, contents)
            key = name.casefold() + ("/#" if value else "")
            possible[key] = possible.get(key, found) & found
    return sorted(next(iter(texts)) for texts in possible.values() if len(texts) == 1)


def _definitions(name: str, value: str, contents: str) -> set[str]:
    """Return the definitions that one expansion can come from."""
    tail = f", {contents})" if contents else ")"
    if not value:
        return {f"(Definition/{name}{tail}"}
    places = re.finditer(rf"/{re.escape(value)}(?=[\s,)])", tail)
    return {
        f"(Definition/{name}/#{tail[: place.start()]}/#{tail[place.end() :]}" for place in places
    }
