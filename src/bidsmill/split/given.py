"""A split that was made elsewhere, used as it is and stated like ours.

It is one's own, from a paper or a challenge, or one over several datasets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bidsmill.errors import BidsmillError
from bidsmill.formats import files, tables
from bidsmill.formats.certificate import LEVELS, group_ids, side_of_rows
from bidsmill.formats.placements import placement_frame, placements_of, read_placements
from bidsmill.split.groups import group_numbers, group_table
from bidsmill.split.placed import with_levels

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Given:
    """A split that the config names, or that was made for several datasets.

    Attributes
    ----------
    name : str
        Name of the file.
    sha256 : str
        Of its placements.
    placements : list of dict
        See `bidsmill.formats.placements`.
    together : mapping or None
        What `bidsmill.split.datasets.split_datasets` wrote, if it made the split.
    """

    name: str
    sha256: str
    placements: list[dict[str, Any]]
    together: Mapping[str, Any] | None = None

    def why(self) -> str:
        """Return the word for what puts people on other sides than before."""
        return "fixed" if self.together is None else "together"


def read_given(path: Path) -> Given:
    """Read the table that ``split: {fixed: ...}`` names."""
    placements = read_placements(path)
    return Given(path.name, files.canonical_sha256(placements), placements)


def read_together(table_path: Path, record_path: Path, dataset: str) -> Given:
    """Read what a split over several datasets says of one of them."""
    table = tables.read_tsv(table_path)
    own = table[table["dataset"] == dataset].assign(level="subject")
    record = files.read_json(record_path)
    return Given(table_path.name, files.canonical_sha256(record), placements_of(own), record)


def given_split(paths: Sequence[Path], dataset: str) -> Given | None:
    """Return the split that is used as it is, if there is one.

    Parameters
    ----------
    paths : sequence of pathlib.Path
        None; the table that ``split: {fixed: ...}`` names; or table and record of a split over
        several datasets.
    dataset : str
        Name of the dataset.
    """
    if len(paths) == 2:
        return read_together(paths[0], paths[1], dataset)
    return read_given(paths[0]) if paths else None


def given_table(samples: pd.DataFrame, given: Given) -> tuple[pd.DataFrame, list[str]]:
    """Return the groups on the sides where a given split has them, and names that no row has.

    The level is the finest at which the split names anybody; who is not named stands on ``none``.

    Parameters
    ----------
    samples : pandas.DataFrame
        One row per window.
    given : Given
        The split.

    Raises
    ------
    BidsmillError
        If it is a split by time, or puts one row on two sides.
    """
    if any(entry["level"] == "time" for entry in given.placements):
        raise BidsmillError(
            "split: a fixed split has pieces of time",
            file=given.name,
            expected="subjects, sessions or recordings",
            todo="to keep a split by time, adopt it: bidsmill split --adopt DATASET",
        )
    placements, unknown = with_levels(samples, given.placements)
    levels = [level for level in LEVELS if any(e["level"] == level for e in placements)]
    sides = np.full(len(samples), "none", dtype=object)
    for level in levels:
        own = side_of_rows(samples, placement_frame([e for e in placements if e["level"] == level]))
        torn = (own != "none") & (sides != "none") & (own != sides)
        if torn.any():
            raise BidsmillError(
                "split: a fixed split puts one on two sides",
                file=given.name,
                found=group_ids(samples, level)[int(torn.argmax())],
            )
        sides = np.where(own == "none", sides, own)
    table = group_table(samples, levels[-1] if levels else "subject", share=0.5, gap=0)
    numbers = group_numbers(samples, table)
    of_group = {int(n): str(side) for n, side in zip(numbers, sides, strict=True) if n >= 0}
    return table.assign(split=[of_group.get(i, "none") for i in range(len(table))]), unknown
