"""Write the table of operations in docs/streams.md from the registry of operations."""

from __future__ import annotations

import dataclasses
import re
import types
import typing
from pathlib import Path
from typing import Any, Literal

from bidsmill.streams import Operation, operations
from bidsmill.streams.parameters import written

PAGE = Path(__file__).resolve().with_name("streams.md")
BEGIN, END = "<!-- operations: make docs -->\n", "<!-- end of operations -->\n"
# Parameters that all filters have; a row of the table each would hide what differs.
OF_FILTERS = ("method", "order", "phase", "low_transition", "high_transition")


def table() -> str:
    """Return the table, one row for each operation of the package."""
    rows = ["| operation | parameters, with defaults | gives | what it does |", "|---|---|---|---|"]
    for name, kind in operations().items():
        if kind.__module__.startswith("bidsmill."):
            way = f"{' and '.join(kind.inputs)} → {kind.output}"
            rows.append(f"| `{name}` | {_parameters(kind)} | {way} | {_what(kind)} |")
    return "\n".join(rows) + "\n"


def page(text: str) -> str:
    """Return the page with the table between its marks replaced."""
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    return before + BEGIN + table() + END + after


def _parameters(kind: type[Operation]) -> str:
    hints = typing.get_type_hints(kind)
    is_filter = {"method", "phase"} <= hints.keys()
    words = []
    for field in dataclasses.fields(kind):  # type: ignore[arg-type]
        if not (is_filter and field.name in OF_FILTERS):
            words.append(_parameter(field, hints[field.name]))
    return "; ".join(words + ["those of filters"] * is_filter)


def _parameter(field: dataclasses.Field, hint: Any) -> str:
    word = f"`{field.name}`"
    if field.metadata.get("unit"):
        word += f" ({field.metadata['unit']})"
    choices = _choices(hint)
    if field.default is dataclasses.MISSING:
        return word
    default = "" if field.default is None else _default(field.default)
    others = [choice for choice in choices if choice != field.default]
    if choices and not isinstance(field.default, tuple):
        return f"{word} `{default}`, or {', '.join(f'`{choice}`' for choice in others)}"
    return f"{word} `{default}`" if default else f"{word} `null`"


def _default(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else written(value).replace('"', "")


def _choices(hint: Any) -> list[Any]:
    if typing.get_origin(hint) is Literal:
        return list(typing.get_args(hint))
    if typing.get_origin(hint) in (typing.Union, types.UnionType, tuple):
        return [choice for part in typing.get_args(hint) for choice in _choices(part)]
    return []


def _what(kind: type[Operation]) -> str:
    first = " ".join((kind.__doc__ or "").strip().split("\n\n")[0].split())
    first = re.sub(r"; see :class:`\w+`", "", first)
    first = re.sub(r":\w+:`([\w.]+)`", r"`\1`", first).replace("``", "`")
    return first.replace("|", r"\|") + " *" * (kind.partial is not Operation.partial)


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
