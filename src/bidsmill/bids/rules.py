"""Every repair rule: importing the modules that define some registers them."""

from __future__ import annotations

from collections.abc import Collection

from bidsmill.bids import channels, electrodes, events, participants, reading, sidecars, tabular
from bidsmill.bids.repairs import RULES, Rule
from bidsmill.errors import BidsmillError

MODULES = (channels, electrodes, events, participants, reading, sidecars, tabular)


def all_rules() -> dict[str, Rule]:
    """Return the rules by name; those of one kind in the order in which they act."""
    return dict(RULES)


def check_names(names: Collection[str]) -> None:
    """Refuse names that are no rules.

    Raises
    ------
    BidsmillError
        That lists the rules there are.
    """
    unknown = sorted(set(map(str, names)) - set(RULES))
    if unknown:
        raise BidsmillError(
            "there is no such repair", found=", ".join(unknown), expected=", ".join(sorted(RULES))
        )
