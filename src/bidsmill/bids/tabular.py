"""BIDS tabular files as they are found in public data."""

from __future__ import annotations

import csv
import io
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


def read_tabular(path: Path) -> tuple[pd.DataFrame, list[str]]:
    """Read a ``.tsv`` file of a dataset; never fails on its content.

    Cells become strings without space around them; ``n/a`` and nothing become ``''``. Blank
    lines are passed over. A line with too few cells is filled, one with too many is cut, and
    both are told.

    Parameters
    ----------
    path : pathlib.Path
        The file.

    Returns
    -------
    frame : DataFrame of str
        Without rows, and without columns, if the file is empty or cannot be read.
    problems : list of str
        What is not as it should be.
    """
    import pandas as pd

    try:
        raw = path.read_bytes()
    except OSError as error:
        return pd.DataFrame(), [f"{path.name} cannot be read ({error.strerror or error})"]
    problems = []
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        text = raw.decode("cp1252", errors="replace")
        problems.append(
            f"{path.name} is not UTF-8 (byte {error.start}, 0x{raw[error.start]:02x}); "
            "read as Windows-1252"
        )
    text = text.replace("\0", "")
    rows = [row for row in _rows(text) if any(cell.strip() for cell in row)]
    if not rows:
        return pd.DataFrame(), [*problems, f"{path.name} is empty"]
    header, repeated = _distinct([cell.strip() for cell in rows[0]])
    problems.extend(f"{path.name} has the column {name!r} more than once" for name in repeated)
    ragged = sum(len(row) != len(header) for row in rows[1:])
    if ragged:
        problems.append(
            f"{path.name} has {ragged} line(s) with another number of cells than its header"
        )
    body = [[_cell(cell) for cell in row[: len(header)]] for row in rows[1:]]
    body = [row + [""] * (len(header) - len(row)) for row in body]
    return pd.DataFrame(body, columns=header, dtype=object), problems


def _rows(text: str) -> list[list[str]]:
    csv.field_size_limit(2**31 - 1)
    lines = io.StringIO(text, newline="")
    return list(csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))


def _cell(cell: str) -> str:
    cell = cell.strip()
    return "" if cell.casefold() in ("n/a", "nan") else cell


def _distinct(header: list[str]) -> tuple[list[str], list[str]]:
    """Make column names distinct: the first keeps its name."""
    stated, taken = set(header), set()
    counts: Counter[str] = Counter()
    names, repeated = [], []
    for index, name in enumerate(header):
        base = distinct = name or f"column-{index}"
        if name in taken:
            repeated.append(name)
        while distinct in taken or (distinct != name and distinct in stated):
            counts[base] += 1
            distinct = f"{base}.{counts[base]}"
        taken.add(distinct)
        names.append(distinct)
    return names, repeated
