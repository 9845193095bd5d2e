"""JSON sidecars of our tables: every column described, as BIDS has it for tabular files.

BIDS specification 1.10, "Tabular files": a JSON file of the same name, with ``Description``,
``Units`` and ``Levels`` for each column.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from bidsmill.formats.column_words import (
    CHANNELS,
    ENTITIES,
    EVENTS,
    PUBLISHED,
    RECORDINGS,
    SAMPLES,
)

COLUMNS: dict[str, dict[str, dict[str, Any]]] = {
    "events": EVENTS,
    "samples": {**ENTITIES, **SAMPLES, **PUBLISHED},
    "recordings": {**ENTITIES, **RECORDINGS},
    "channels": CHANNELS,
}
# HED reserves this key: a sidecar that uses it for a column is invalid (HED specification,
# appendix B, SIDECAR_INVALID). The column HED explains itself: BIDS defines it.
RESERVED = "HED"
PEAK = "quality_peak_to_peak_"
SOURCE_COLUMN = {"Description": "A column of the source's own events, as text."}
NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)


def data_dictionary(
    table: str,
    columns: Iterable[str],
    own: Mapping[str, dict[str, Any]] | None = None,
    definitions: Iterable[str] = (),
) -> dict[str, Any]:
    """Return the content of the sidecar of a table.

    Parameters
    ----------
    table : {"events", "samples", "recordings", "channels"}
        Which table.
    columns : iterable of str
        Its columns, in order.
    own : mapping, optional
        Entries for columns that are not the same in every dataset: labels, and the source's
        columns of events.
    definitions : iterable of str
        HED definitions, ``(Definition/Name, (...))``, that the table's strings refer to. They
        stand under ``definitions``, which is no column: so HED has it for definitions.

    Returns
    -------
    dict
        One entry per column but ``HED``. Nothing else: hedtools takes every key for a column.
    """
    content: dict[str, Any] = {}
    for column in columns:
        if column != RESERVED:
            content[column] = _clean((own or {}).get(column) or _entry(table, column))
    entries = {f"definition{n}": text for n, text in enumerate(definitions, 1)}
    if entries:
        content["definitions" if "definitions" not in content else "hed_definitions"] = {
            "Description": "Definitions of the names in the column HED.",
            "HED": entries,
        }
    return content


def _entry(table: str, column: str) -> dict[str, Any]:
    known = COLUMNS[table].get(column)
    if known is not None:
        return known
    if column.startswith("participant_"):
        name = column.removeprefix("participant_")
        return {"Description": f"The column {name} of participants.tsv, for the row's subject."}
    if column.startswith(PEAK):
        kind = column.removeprefix(PEAK)
        return {
            "Description": f"Largest peak-to-peak amplitude of the good channels of type {kind},"
            " in SI units (V, T, T/m)."
        }
    return SOURCE_COLUMN


def source_column(cells: Iterable[str]) -> dict[str, Any]:
    """Return the entry of a column that the source's events have, by its cells.

    A column of numbers says so: BIDS knows some names, such as ``response_time``, and wants
    numbers under them.
    """
    stated = {cell for cell in cells if cell}
    if stated and all(NUMBER.fullmatch(cell) for cell in stated):
        return {**SOURCE_COLUMN, "Format": "number"}
    return SOURCE_COLUMN


def _clean(entry: dict[str, Any]) -> dict[str, Any]:
    """Leave out levels that a sidecar cannot name without meaning something else by it."""
    if {RESERVED, "n/a"} & set(entry.get("Levels", {})):
        return {key: value for key, value in entry.items() if key != "Levels"}
    return entry
