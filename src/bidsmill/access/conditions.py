"""The conditions of `select` on rows: split, recordings, HED."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from bidsmill.access.describe import SPLITS, counted
from bidsmill.access.extras import require
from bidsmill.access.names import unknown
from bidsmill.errors import BidsmillError

if TYPE_CHECKING:
    import pandas as pd

    from bidsmill.access.dataset import Dataset


def in_split(dataset: Dataset, frame: pd.DataFrame, split: str | Sequence[str]) -> np.ndarray:
    """Return which rows are in one of these splits.

    Raises
    ------
    BidsmillError
        If there is no such split, or the dataset has no row in it.
    """
    wanted = [split] if isinstance(split, str) else list(split)
    everywhere = dataset.samples["split"]
    for name in wanted:
        if name not in SPLITS:
            raise unknown("there is no split of this name", name, SPLITS)
        if not (everywhere == name).any():
            raise BidsmillError(
                f"no row of {dataset.id} is in the split {name!r}",
                found=counted(everywhere, SPLITS),
                todo="choose another split; split.json says why it is so",
            )
    return frame["split"].isin(wanted).to_numpy(bool)


def in_recordings(
    dataset: Dataset, frame: pd.DataFrame, recordings: str | Sequence[str]
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
    return frame["recording"].isin(wanted).to_numpy(bool)


def tagged(dataset: Dataset, frame: pd.DataFrame, query: str) -> np.ndarray:
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
    if (dataset.samples["HED"] == "").all():
        raise BidsmillError(f"{dataset.id} has no HED annotation", found="no tag on any row")
    strings = frame["HED"].tolist()
    return np.asarray(search(strings, query, dataset.manifest.get("hed_version")), bool)
