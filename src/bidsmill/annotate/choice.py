"""Which events become rows, as the config says it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from bidsmill.bids.events import seconds
from bidsmill.errors import BidsmillError
from bidsmill.formats import hed_strings

if TYPE_CHECKING:
    import pandas as pd

Choice = str | dict[str, Any]


def check_choice(choice: Choice | None, hed_version: Any) -> None:
    """Check the parts of a choice that the schema of the config cannot check.

    Raises
    ------
    BidsmillError
        If its HED query is malformed or names a tag that the schema does not have.
    """
    if isinstance(choice, dict) and "hed" in choice:
        if not isinstance(choice["hed"], str):
            raise BidsmillError("`hed` takes one query", found=choice["hed"], expected="a text")
        hed_strings.search([], choice["hed"], hed_version)


def chosen_events(events: pd.DataFrame, choice: Choice | None, hed_version: Any) -> np.ndarray:
    """Return which events a choice names.

    Parameters
    ----------
    events : DataFrame of str
        With the column ``HED`` if `choice` asks for it.
    choice : "all", dict or None
        ``{"hed": query}`` and ``{column: value or list of values}``; all must hold. A column
        that the table has not matches nothing. None names no event.
    hed_version : str or list of str or None
        The dataset's HED version.

    Returns
    -------
    ndarray of bool, shape (n_events,)
    """
    if choice is None:
        return np.zeros(len(events), bool)
    mask = np.ones(len(events), bool)
    if choice == "all":
        return mask
    assert isinstance(choice, dict)
    for column, wanted in choice.items():
        if column == "hed":
            mask &= hed_strings.search(list(events["HED"]), wanted, hed_version)
        elif column not in events.columns:
            mask[:] = False
        else:
            mask &= matching(list(events[column]), wanted)
    return mask


def absent_columns(events: pd.DataFrame, choice: Choice | None) -> list[str]:
    """Return one text for each column that a choice names and a table with events has not."""
    if not isinstance(choice, dict) or len(events) == 0:
        return []
    missing = [name for name in choice if name != "hed" and name not in events.columns]
    return [
        f"`windows.events` names the column {name!r}, which the events do not have"
        f" (they have {', '.join(events.columns)})"
        for name in missing
    ]


def matching(values: list[str], wanted: Any) -> np.ndarray:
    """Return which cells are one of the wanted values.

    A cell is compared as text, and as a number where both are numbers (``1`` is ``1.0``);
    true and false in any case (``True``, ``TRUE``).

    Parameters
    ----------
    values : list of str
        Cells of a table.
    wanted : scalar or list of scalars
        As they stand in the config.

    Returns
    -------
    ndarray of bool, shape (n_values,)
    """
    items = wanted if isinstance(wanted, list) else [wanted]
    truths = {str(item).casefold() for item in items if isinstance(item, bool)}
    texts = {str(item) for item in items if not isinstance(item, bool)}
    numbers = {number for text in texts if not math.isnan(number := seconds(text))}
    return np.array(
        [
            value != ""
            and (value in texts or seconds(value) in numbers or value.casefold() in truths)
            for value in values
        ],
        bool,
    )
