"""The conditions of `select` on rows: split, recordings, entities, HED."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from bidsmill.access.describe import counted
from bidsmill.access.extras import require
from bidsmill.access.names import unknown
from bidsmill.access.search.build import ENTITIES
from bidsmill.errors import BidsmillError
from bidsmill.formats.certificate import SIDES

if TYPE_CHECKING:
    from bidsmill.access.columns import SelectedColumns
    from bidsmill.access.dataset import Dataset

# What `select` takes besides entities.
CONDITIONS = ("split", "where", "hed", "channels", "recordings", "excluded")


def in_split(dataset: Dataset, table: SelectedColumns, split: str | Sequence[str]) -> np.ndarray:
    """Return which rows are in one of these splits.

    Raises
    ------
    BidsmillError
        If there is no such split, or the dataset has no row in it.
    """
    wanted = [split] if isinstance(split, str) else list(split)
    everywhere = dataset.table["split"]
    for name in wanted:
        if name not in SIDES:
            raise unknown("there is no split of this name", name, SIDES)
        if not (everywhere == name).any():
            raise BidsmillError(
                f"no row of {dataset.id} is in the split {name!r}",
                found=counted(everywhere, SIDES),
                todo="choose another split; split.json says why it is so",
            )
    return table["split"].isin(wanted).to_numpy(bool)


def in_recordings(
    dataset: Dataset, table: SelectedColumns, recordings: str | Sequence[str]
) -> np.ndarray:
    """Return which rows are of one of these recordings.

    Raises
    ------
    BidsmillError
        If a recording is unknown or was not converted.
    """
    wanted = [recordings] if isinstance(recordings, str) else list(recordings)
    for name in wanted:
        if name not in dataset.matrices:
            raise unknown(
                "there is no converted recording of this name",
                name,
                dataset.matrices,
                todo="ds.recordings says what became of every recording",
            )
    return table["recording"].isin(wanted).to_numpy(bool)


def of_entities(dataset: Dataset, table: SelectedColumns, entities: dict[str, Any]) -> np.ndarray:
    """Return which rows have one of the wanted values of every entity.

    A number means what is written so with or without leading zeros: 1 is ``"1"`` and ``"01"``.

    Parameters
    ----------
    dataset : Dataset
        The dataset.
    table : SelectedColumns
        The rows.
    entities : dict
        Column of samples (see `ENTITIES`) -> a value or several.

    Raises
    ------
    BidsmillError
        If a column is no entity, or no row of the dataset has a value.
    """
    keep = np.ones(len(table), bool)
    for name, wanted in entities.items():
        if wanted is None:
            continue
        if name not in ENTITIES or name not in dataset.table:
            known = [entity for entity in ENTITIES if entity in dataset.table]
            raise unknown(
                "`select` has no condition of this name",
                name,
                [*CONDITIONS, *known],
                todo="other columns of samples are compared in where=\"column == 'value'\"",
            )
        several = not isinstance(wanted, str) and isinstance(wanted, Iterable)
        values = set()
        for value in wanted if several else [wanted]:
            values |= _written(dataset, name, value)
        keep &= table[name].isin(values).to_numpy(bool)
    return keep


def _written(dataset: Dataset, name: str, value: Any) -> set[str]:
    """Return the values of an entity that one wanted value means."""
    known = dataset.table.distinct(name)
    if isinstance(value, int | np.integer) and not isinstance(value, bool):
        found = {text for text in known if text.isdecimal() and int(text) == value}
    else:
        found = {value} & known
    if not found:
        raise unknown(f"no row of {dataset.id} has this {name}", value, sorted(known - {""}))
    return found


def tagged(dataset: Dataset, table: SelectedColumns, query: str) -> np.ndarray:
    """Return which rows have an assembled HED string that fulfils a query.

    Raises
    ------
    BidsmillError
        If hedtools is not installed, the query cannot be read, or the dataset has no HED.
    """
    require("hed", "hed", "hed=")
    from bidsmill.formats.hed_strings import search

    if not isinstance(query, str):
        raise BidsmillError("`hed` takes one query", found=repr(query), expected='text, as "Face"')
    if not dataset.table.distinct("HED") - {""}:
        raise BidsmillError(f"{dataset.id} has no HED annotation", found="no tag on any row")
    column = table["HED"]
    # Every distinct string is searched once.
    codes, places = np.unique(column.cat.codes.to_numpy(), return_inverse=True)
    strings = column.cat.categories[codes].tolist()
    found = search(strings, query, dataset.manifest.get("hed_version"))
    return np.asarray(found, bool)[places]
