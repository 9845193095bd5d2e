"""Rows as arrays of NumPy, as tables of pandas, and as what scikit-learn takes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from bidsmill.access.columns import as_text
from bidsmill.access.names import unknown
from bidsmill.access.targets import target_names
from bidsmill.errors import BidsmillError

if TYPE_CHECKING:
    import pandas as pd

    from bidsmill.access.selection import Selection

# Rows of one piece where a selection is read piece by piece.
PIECE_BYTES = 2**26


def arrays(selection: Selection, target: str | Sequence[str] | None) -> Any:
    """Return X, or X and y; see `Readable.arrays`."""
    if target is None:
        return selection.rows().all()
    chosen, y = labels(selection, target)
    return chosen.rows().all(), y


def labels(selection: Selection, target: str | Sequence[str]) -> tuple[Selection, Any]:
    """Return the rows that have a value of every target, and these values.

    Classes of one target are an array of str, numbers one of float64; several targets are a
    DataFrame with a column for each.
    """
    names = target_names(target)
    chosen = selection.labelled(*names)
    if not isinstance(target, str):
        import pandas as pd

        columns = {name: as_text(chosen.table[name]) for name in names}
        return chosen, pd.DataFrame(columns, index=pd.RangeIndex(len(chosen)))
    found = selection.target(target)
    values = found.values(chosen.table)
    return chosen, values if found.classes is None else values.astype(str)


def long_table(
    selection: Selection, target: str | Sequence[str] | None, max_bytes: int | None
) -> Any:
    """Return one table of all rows, or that and the target; see `Readable.frames`."""
    import pandas as pd

    chosen, y = (selection, None) if target is None else labels(selection, target)
    view = chosen.view
    needed = 4 * len(chosen) * len(view.names) * view.n_times
    if max_bytes is not None and needed > max_bytes:
        raise BidsmillError(
            "the table of these rows is large",
            found=f"{needed / 1e9:.1f} GB in {len(chosen)} rows",
            expected=f"{max_bytes / 1e9:.1f} GB or less",
            todo="go through .each_frame(), select fewer rows or channels, or pass max_bytes=None",
        )
    index = pd.MultiIndex.from_product([range(len(chosen)), view.times], names=["row", "time"])
    values = np.empty((len(chosen), view.n_times, len(view.names)), np.float32)
    for start, piece in _pieces(chosen):
        values[start : start + len(piece)] = piece.transpose(0, 2, 1)
    flat = values.reshape(-1, len(view.names))
    frame = pd.DataFrame(flat, index=index, columns=_channel_index(view.names), copy=False)
    if y is None:
        return frame
    if isinstance(y, np.ndarray):
        y = pd.Series(y, name=target)
    return frame, y.rename_axis(index="row")


def each_frame(selection: Selection, target: str | Sequence[str] | None) -> Iterator[Any]:
    """Give a table for each row, or that and its target; see `Readable.each_frame`."""
    import pandas as pd

    chosen, y = (selection, None) if target is None else labels(selection, target)
    view = chosen.view
    times, names = pd.Index(view.times, name="time"), _channel_index(view.names)
    for start, piece in _pieces(chosen):
        for number, row in enumerate(piece, start):
            frame = pd.DataFrame(np.ascontiguousarray(row.T), times, names)
            if y is None:
                yield frame
            else:
                yield frame, y[number] if isinstance(y, np.ndarray) else y.iloc[number]


def for_sklearn(
    selection: Selection, target: str | Sequence[str], groups: str, flatten: bool
) -> tuple[np.ndarray, Any, np.ndarray]:
    """Return X, y and groups; see `Readable.sklearn`."""
    chosen, y = labels(selection, target)
    if groups not in chosen.table:
        raise unknown("samples have no column of this name", groups, chosen.table.columns)
    group = as_text(chosen.table[groups]).to_numpy()
    missing = np.flatnonzero((group == "") | (group != group))  # NaN differs from itself
    if len(missing):
        raise BidsmillError(
            f"rows have no {groups}, so that nobody knows which belong together",
            found=f"{len(missing)} of {len(group)} rows",
            todo="choose another column as groups",
        )
    X = chosen.rows().all()
    group = group.astype(str) if group.dtype == object else group
    return (X.reshape(len(X), -1) if flatten else X), y, group


def _pieces(selection: Selection) -> Iterator[tuple[int, np.ndarray]]:
    """Give the rows piece by piece: the number of the first, and X."""
    rows = selection.rows()
    step = max(1, PIECE_BYTES // (4 * rows.shape[0] * rows.shape[1]))
    for start in range(0, len(rows), step):
        yield start, rows.take(np.arange(start, min(start + step, len(rows))))


def _channel_index(names: Sequence[str]) -> pd.Index:
    import pandas as pd

    return pd.Index(list(names), name="channel")
