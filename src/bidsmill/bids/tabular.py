"""BIDS tabular files as they are found in public data."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bidsmill.bids.entities import parse_name
from bidsmill.bids.repairs import Repairs, repair

if TYPE_CHECKING:
    import pandas as pd

# Columns that are read by name, of each kind of table (BIDS 1.10, "Events", modality pages,
# "Participants file").
READ_BY_NAME = {
    "events": ("onset", "duration"),
    "channels": ("name", "type", "status", "sampling_frequency"),
    "electrodes": ("name", "x", "y", "z"),
    "participants": ("participant_id",),
}
# Columns of one number per cell. `notch` may hold a list, `value` a code: both stay as they are.
NUMERIC = {
    "events": {"onset", "duration", "sample", "response_time"},
    "channels": {"sampling_frequency", "low_cutoff", "high_cutoff"},
    "electrodes": {"x", "y", "z", "impedance"},
    "participants": {"age", "height", "weight"},
}
WITH_COMMA = re.compile(r"[+-]?\d+,\d+(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
WITH_POINT = re.compile(r"[+-]?\d*\.\d*(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
# A comma that may as well part thousands: 4,988 is 4.988 or 4988.
MAYBE_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}", re.ASCII)


@dataclass
class TextFile:
    """The bytes of a sidecar (``kind="text"``); `text` is None while nothing can read them."""

    file: str
    raw: bytes
    text: str | None = None


@dataclass
class Table:
    """A tabular file taken apart (``kind="table"``).

    Attributes
    ----------
    file : str
        Its name.
    suffix : str
        ``events``, ``channels``, ``electrodes``, ``participants`` ...
    header : list of str
        Names of the columns, all different.
    rows : list of list of str
        Cells without space around them, as many per row as there are columns; ``''``: none.
    """

    file: str
    suffix: str
    header: list[str]
    rows: list[list[str]]


def read_tabular(path: Path, repairs: Repairs | None = None) -> tuple[pd.DataFrame, list[str]]:
    """Read a ``.tsv`` file of a dataset; never fails on its content.

    Cells become strings without space around them; ``n/a`` and nothing become ``''``. Blank
    lines are passed over. A line with too few cells is filled, one with too many is cut, and
    both are told.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    repairs : Repairs, optional
        Which rules may act, and where what they did is noted; those that lose nothing if absent.

    Returns
    -------
    frame : DataFrame of str
        Without rows, and without columns, if the file is empty or cannot be read.
    problems : list of str
        What is not as it should be.
    """
    import pandas as pd

    repairs = repairs or Repairs()
    try:
        raw = path.read_bytes()
    except OSError as error:
        return pd.DataFrame(), [f"{path.name} cannot be read ({error.strerror or error})"]
    text, problems = decoded(path.name, raw, repairs)
    if text is None:
        return pd.DataFrame(), problems
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
    table = Table(path.name, parse_name(path.name).suffix, header, body)
    problems += repairs.mend("table", table)
    return pd.DataFrame(table.rows, columns=table.header, dtype=object), problems


def decoded(name: str, raw: bytes, repairs: Repairs) -> tuple[str | None, list[str]]:
    """Return the text of a sidecar's bytes, None if nothing may read them, and what is wrong."""
    file = TextFile(name, raw)
    try:
        file.text = raw.decode("utf-8-sig")
        return file.text, []
    except UnicodeDecodeError:
        problems = repairs.mend("text", file)
    if file.text is None:
        problems.append(f"{name} is not UTF-8; it is not used")
    return file.text, problems


@repair(
    "utf_16",
    kind="text",
    risk="lossless",
    failure="A sidecar is UTF-16, as some spreadsheets write it.",
    effect="It is read as what its byte order mark says.",
    todo="save the file as UTF-8",
)
def utf_16(file: TextFile) -> str | None:
    """Read a file that begins with the byte order mark of UTF-16."""
    if file.text is not None or not file.raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        return None
    try:
        file.text = file.raw.decode("utf-16")
    except UnicodeDecodeError:
        return None
    return f"{file.file} is not UTF-8 but UTF-16; read as that"


@repair(
    "windows_1252",
    kind="text",
    risk="lossless",
    failure="A sidecar is Windows-1252 or Latin-1, mostly for a µ or an umlaut.",
    effect="It is read as Windows-1252.",
    todo="save the file as UTF-8",
    seen=("ds005692",),
)
def windows_1252(file: TextFile) -> str | None:
    """Read a file in the encoding of Western European Windows."""
    if file.text is not None:
        return None
    file.text = file.raw.decode("cp1252", errors="replace")
    at = _first_bad_byte(file.raw)
    return f"{file.file} is not UTF-8 (byte {at}, 0x{file.raw[at]:02x}); read as Windows-1252"


def _first_bad_byte(raw: bytes) -> int:
    try:
        raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # Python counts from after a byte order mark.
        return error.start + (len(raw) - len(error.object))
    return 0


@repair(
    "column_case",
    kind="table",
    risk="lossless",
    failure="A column that BIDS defines is spelt in another case (`Onset`, `X`).",
    effect="It is read under the name that BIDS gives it, if no other column can be meant.",
    todo="spell the column as BIDS does",
)
def column_case(table: Table) -> str | None:
    """Rename columns that differ from the name that is read in nothing but case."""
    renamed = []
    for wanted in READ_BY_NAME.get(table.suffix, ()):
        like = [i for i, name in enumerate(table.header) if name.casefold() == wanted]
        if len(like) == 1 and table.header[like[0]] != wanted:
            renamed.append(f"{table.header[like[0]]!r}")
            table.header[like[0]] = wanted
    if not renamed:
        return None
    return f"{table.file} has the column(s) {', '.join(renamed)}; read in lower case"


@repair(
    "decimal_comma",
    kind="table",
    risk="lossless",
    failure="Numbers are written with a decimal comma (`0,75`).",
    effect=(
        "In columns of numbers the comma is read as a decimal point, if no number of the table has"
        " a point and one of them can be nothing else. Codes such as `B2,4,8` are never touched."
    ),
    todo="write the numbers with a point",
    seen=("ds005342", "ds004771"),
)
def decimal_comma(table: Table) -> str | None:
    """Read commas as decimal points where the table shows that they are."""
    places = _commas(table)
    if all(MAYBE_THOUSANDS.fullmatch(table.rows[row][column]) for row, column in places):
        return None
    return _with_points(table, places)


@repair(
    "decimal_comma_assumed",
    kind="table",
    risk="guess",
    failure="All numbers with a comma have three digits behind it: `4,988` may be 4988.",
    effect="In columns of numbers the comma is read as a decimal point.",
    todo="write the numbers with a point",
)
def decimal_comma_assumed(table: Table) -> str | None:
    """Read commas as decimal points though they may part thousands."""
    return _with_points(table, _commas(table))


def _commas(table: Table) -> list[tuple[int, int]]:
    """Return row and column of the numbers with a comma, if the whole table is written so."""
    numeric = NUMERIC.get(table.suffix, set())
    places = []
    for column in (i for i, name in enumerate(table.header) if name in numeric):
        for row, cells in enumerate(table.rows):
            cell = cells[column]
            if WITH_POINT.fullmatch(cell):
                return []
            if "," in cell:
                if not WITH_COMMA.fullmatch(cell):
                    return []
                places.append((row, column))
    return places


def _with_points(table: Table, places: list[tuple[int, int]]) -> str | None:
    if not places:
        return None
    row, column = places[0]
    first = table.rows[row][column]
    for row, column in places:
        table.rows[row][column] = table.rows[row][column].replace(",", ".")
    columns = ", ".join(sorted({table.header[column] for _, column in places}))
    return (
        f"{table.file} has {len(places)} number(s) with a decimal comma, such as {first}, in"
        f" {columns}; read with a point"
    )


def agreed_rows(rows: list[dict[str, str]], key: str) -> tuple[list[dict[str, str]], str | None]:
    """Make one row of those with the same key: what they agree on, and ``''`` for the rest.

    Parameters
    ----------
    rows : list of dict
        Column -> cell.
    key : str
        The column that says what a row is about.

    Returns
    -------
    rows : list of dict
        One per key, in the order in which the keys come first.
    told : str or None
        Which keys came more than once, and in which columns their rows differ.
    """
    by_key: dict[str, list[dict[str, str]]] = {}
    for row in rows:
        by_key.setdefault(row[key], []).append(row)
    told, merged = [], []
    for name, same in by_key.items():
        unlike = [column for column in same[0] if len({row[column] for row in same}) > 1]
        merged.append({**same[0], **dict.fromkeys(unlike, "")})
        if len(same) > 1:
            left = f"they differ in {', '.join(unlike)}, n/a" if unlike else "all cells agree"
            told.append(f"{name} in {len(same)} rows ({left})")
    return merged, "; ".join(told) or None


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
