"""What commands print: aligned tables, JSON for machines."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from bidsmill.formats import tables

if TYPE_CHECKING:
    import pandas as pd

# As grep: 0 also without a match, 2 if there is no answer.
NO_ANSWER = 2
FAULT = 1
EMPTY = "-"


def add_command(
    commands: argparse._SubParsersAction, name: str, brief: str, description: str, example: str
) -> argparse.ArgumentParser:
    """Add a command that reads a store, with an example in its help.

    Parameters
    ----------
    commands : argparse action
        Those of `bidsmill`.
    name, brief, description : str
        Its name, what it does in half a line, and in some sentences.
    example : str
        Lines that can be typed.
    """
    lines = "\n".join(f"  {line}" for line in example.strip().splitlines())
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=brief,
        description=description,
        epilog=f"example:\n{lines}",
        formatter_class=_Help,
    )
    parser.set_defaults(error_code=NO_ANSWER)
    return parser


class _Help(argparse.RawDescriptionHelpFormatter):
    """Wrap the description, and keep the lines of the example."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        if text.startswith("example"):
            return super()._fill_text(text, width, indent)
        return argparse.HelpFormatter._fill_text(self, text, width, indent)


def json_text(content: Any) -> str:
    """Return a document as JSON, as all commands print it."""
    return json.dumps(content, ensure_ascii=False, indent=1)


def aligned(frame: pd.DataFrame) -> Iterator[str]:
    """Give the lines of a table with aligned columns; numbers stand to the right."""
    from pandas.api.types import is_numeric_dtype

    columns = []
    for name in frame.columns:
        cells = [tables.cell_text(value) for value in frame[name].astype(object)]
        cells = [name, *(EMPTY if cell == tables.MISSING else cell for cell in cells)]
        right = is_numeric_dtype(frame[name].dtype) or name == "bytes"
        columns.append(_padded(cells, right))
    for line in zip(*columns, strict=True):
        yield "  ".join(line).rstrip()


def _padded(cells: list[str], right: bool) -> list[str]:
    width = max(map(len, cells))
    return [cell.rjust(width) if right else cell.ljust(width) for cell in cells]


def pairs(rows: Iterable[tuple[str, str]], indent: str = "  ") -> Iterator[str]:
    """Give lines of names and values, the values below each other; empty values are left out."""
    filled = [(name, value) for name, value in rows if value]
    width = max((len(name) for name, _ in filled), default=0)
    for name, value in filled:
        yield f"{indent}{name.ljust(width)}  {value}"


def shortened(text: str, width: int = 28) -> str:
    """Return a text that fits a column of a table."""
    return text if len(text) <= width else f"{text[: width - 1]}…"
