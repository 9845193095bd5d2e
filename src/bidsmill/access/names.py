"""Errors for names that are not there, with the nearest ones that are."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from bidsmill.errors import BidsmillError

SHOWN = 12


def nearest(name: str, known: Iterable[str], limit: int = 5) -> list[str]:
    """Return up to `limit` of the known names that look like `name`, the nearest first."""
    by_folded: dict[str, str] = {}
    for candidate in known:
        by_folded.setdefault(str(candidate).casefold(), str(candidate))
    found = difflib.get_close_matches(str(name).casefold(), list(by_folded), limit, cutoff=0.5)
    return [by_folded[folded] for folded in found]


def listed(names: Iterable[str], limit: int = SHOWN) -> str:
    """Return names as one text, cut after `limit` of them."""
    every = [str(name) for name in names]
    rest = len(every) - limit
    return ", ".join(every[:limit]) + (f" and {rest} more" if rest > 0 else "")


def unknown(what: str, name: object, known: Iterable[str], **details) -> BidsmillError:
    """Return the error for a name that is not among the known ones.

    Parameters
    ----------
    what : str
        What is wrong, such as ``no such dataset in this store``.
    name : object
        The name that was asked for.
    known : iterable of str
        The names that would have been right.
    **details
        Further parts of the `BidsmillError`.
    """
    every = [str(candidate) for candidate in known]
    close = nearest(str(name), every)
    expected: str | None = None
    if close:
        expected = f"perhaps {' or '.join(repr(candidate) for candidate in close)}"
    elif every:
        expected = f"one of: {listed(every)}"
    return BidsmillError(what, **{"found": repr(name), "expected": expected, **details})
