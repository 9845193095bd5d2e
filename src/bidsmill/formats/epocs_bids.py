"""Epocs from the table of BIDS's events.tsv, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bidsmill.formats.epocs import COLUMNS, Epocs, make_epocs
from bidsmill.formats.numbers import LARGEST_EXACT, finite_number
from bidsmill.formats.stream_core import StreamCore
from bidsmill.formats.tables import MISSING, cell_text

if TYPE_CHECKING:
    import pandas as pd

# Columns of events.tsv -> columns of epocs (BIDS 1.10, "Task events").
OF_BIDS = {
    "onset": "onset",
    "duration": "duration",
    "trial_type": "label",
    "value": "value",
    "HED": "HED",
    "channel": "channel",
}
# Before the name of a column that means another thing in epocs, or the text of one that is none.
PREFIX = "bids_"
# In `other`: the columns of events.tsv in their order.
ORDER = "bids_columns"
NUMBERS = ("onset", "duration", "value")


def epocs_from_bids(
    events: pd.DataFrame, stream: StreamCore, *, outside: str = "error", **core: Any
) -> Epocs:
    """Return the epocs of an events.tsv.

    Parameters
    ----------
    events : DataFrame of str
        Its table; ``''`` or ``n/a``: no value. Onsets are seconds from the first sample of the
        recording, which is the clock of its streams.
    stream : StreamCore
        The stream of the recording.
    outside : {"error", "warn"}
        As for `make_epocs`.
    **core
        ``name``, ``source``, ``history``, ``other``.

    Returns
    -------
    Epocs
        ``trial_type`` is `label`; numbers of ``value`` are `value`, whole ones `code` too; all
        further columns are kept as text.

    Raises
    ------
    BidsmillError
        If there is no column onset, an onset is no number, or lies outside of the stream.
    """
    import pandas as pd

    columns: dict[str, list[Any]] = {}
    bids: dict[str, str] = {}
    for name in map(str, events.columns):
        cells = [_cell(value) for value in events[name]]
        own = OF_BIDS.get(name)
        if own is None:
            own = f"{PREFIX}{name}" if name in COLUMNS or name.startswith(PREFIX) else name
        bids[own] = name
        if name not in NUMBERS:
            columns[own] = cells
            continue
        if name != "value":
            numbers = [finite_number(cell) for cell in cells]
            # What is no number is refused by its name.
            columns[own] = [c if n is None else n for c, n in zip(cells, numbers, strict=True)]
            continue
        numbers = [finite_number(cell) for cell in cells]
        columns[own], columns["code"] = numbers, [_whole(number) for number in numbers]
        # What is no number, or is written in another way than it would be here, keeps its text.
        same = [cell_text(number) == cell for cell, number in zip(cells, numbers, strict=True)]
        texts = [None if fits else cell for cell, fits in zip(cells, same, strict=True)]
        if any(text is not None for text in texts):
            columns[f"{PREFIX}value"] = texts
    other = {**core.pop("other", {}), ORDER: [str(name) for name in events.columns]}
    frame = pd.DataFrame({key: pd.Series(cells, dtype=object) for key, cells in columns.items()})
    return make_epocs(frame, stream, outside=outside, bids=bids, other=other, **core)


def _cell(value: Any) -> str | None:
    """Return a cell as text, or None."""
    text = cell_text(value)
    return None if text.strip() in ("", MISSING) else text


def _whole(number: float | None) -> int | None:
    exact = number is not None and number.is_integer() and abs(number) < LARGEST_EXACT
    return int(number) if exact else None  # type: ignore[arg-type]


def epocs_to_bids(epocs: Epocs) -> pd.DataFrame:
    """Return epocs as the table of an events.tsv.

    Returns
    -------
    DataFrame of str
        The columns that came from one, in their order and by their names; of others onset,
        duration, and those that hold anything. ``n/a``: no value. `bidsmill.formats.tables`
        writes it.
    """
    import pandas as pd

    stated = {column["bids"]: column["name"] for column in epocs.core.columns if "bids" in column}
    order = epocs.core.other.get(ORDER) if stated else None
    table = epocs.table
    if not stated:
        names = {own: bids for bids, own in OF_BIDS.items()}
        filled = [c for c in table.columns if c in ("onset", "duration") or table[c].notna().any()]
        stated = {names.get(c, c): c for c in filled if c not in ("onset_sample", "code")}
        if "value" not in stated and table["code"].notna().any():
            stated["value"] = "code"
    texts = table.get(f"{PREFIX}value")
    result: dict[str, list[str]] = {}
    for name in order or stated:
        own = stated[name]
        cells = [cell_text(None if value is pd.NA else value) for value in table[own]]
        if name == "value" and texts is not None and own == "value":
            cells = [c if t is None else t for c, t in zip(cells, texts, strict=True)]
        result[name] = cells
    return pd.DataFrame(result, dtype=object)
