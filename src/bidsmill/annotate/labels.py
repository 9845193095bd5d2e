"""Label definitions: from columns and HED searches to one label column of `samples` each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bidsmill.annotate.choice import matching
from bidsmill.bids.events import seconds
from bidsmill.errors import BidsmillError
from bidsmill.formats import hed_strings

if TYPE_CHECKING:
    import pandas as pd


def apply_labels(
    samples: pd.DataFrame,
    definitions: dict[str, dict[str, Any]],
    event_columns: pd.DataFrame,
    hed_version: Any,
) -> tuple[pd.DataFrame, dict[str, dict[str, Any]]]:
    """Return one column per label, and what each label can be.

    Parameters
    ----------
    samples : DataFrame
        Rows with entities, ``participant_*`` columns, ``trial_type``, ``value``, ``HED``.
    definitions : dict
        ``labels`` of the dataset.
    event_columns : DataFrame of str
        All columns of the row's event, row by row (``''`` for fixed windows).
    hed_version : str, list of str or None
        The dataset's HED version.

    Returns
    -------
    labels : DataFrame
        Text (``''``: unlabelled) for classes, float64 (NaN: unlabelled) for numbers.
    vocabulary : dict
        Label -> ``{"kind": "class", "classes": [...], "ambiguous": n}`` or ``{"kind":
        "number"}``. ``ambiguous`` counts rows that match several classes, which stay
        unlabelled. Classes are sorted; those that a definition names come in its order, also
        where no row has them.

    Raises
    ------
    BidsmillError
        If a definition names a column that neither rows nor events have.
    """
    import pandas as pd

    columns: dict[str, Any] = {}
    vocabulary: dict[str, dict[str, Any]] = {}
    for name, definition in definitions.items():
        if "hed" in definition:
            values, ambiguous = _by_hed(list(samples["HED"]), definition["hed"], hed_version)
            classes = list(definition["hed"])
        else:
            cells = _cells(name, definition["column"], samples, event_columns)
            if definition.get("numeric"):
                columns[name] = np.array([seconds(cell) for cell in cells], float)
                vocabulary[name] = {"kind": "number"}
                continue
            if "values" in definition:
                values, ambiguous = _by_values(cells, definition["values"])
                classes = list(definition["values"])
            else:
                values, ambiguous = cells, 0
                classes = sorted(set(cells) - {""})
        columns[name] = values
        vocabulary[name] = {"kind": "class", "classes": classes, "ambiguous": ambiguous}
    return pd.DataFrame(columns, index=samples.index), vocabulary


def _cells(
    label: str, column: str, samples: pd.DataFrame, event_columns: pd.DataFrame
) -> list[str]:
    for table in (samples, event_columns):
        if column in table.columns:
            return [str(cell) for cell in table[column]]
    known = sorted({*samples.columns, *event_columns.columns})
    raise BidsmillError(
        f"the label {label!r} names a column that the dataset does not have",
        found=column,
        expected=f"one of {', '.join(known)}",
        todo=f"correct `labels.{label}.column` in the config",
    )


def _by_hed(strings: list[str], queries: dict[str, str], hed_version: Any) -> tuple[list[str], int]:
    masks = {c: hed_strings.search(strings, query, hed_version) for c, query in queries.items()}
    return _one_class(masks, len(strings))


def _by_values(cells: list[str], classes: dict[str, Any]) -> tuple[list[str], int]:
    return _one_class(
        {name: matching(cells, wanted) for name, wanted in classes.items()}, len(cells)
    )


def _one_class(masks: dict[str, np.ndarray], n_rows: int) -> tuple[list[str], int]:
    """Return the class of each row that matches exactly one, and how many match several."""
    values = np.full(n_rows, "", dtype=object)
    hits = np.zeros(n_rows, int)
    for name, mask in masks.items():
        values[mask] = name
        hits += mask
    values[hits > 1] = ""
    return values.tolist(), int((hits > 1).sum())
