"""Repairs of broken recordings: each a rule with a name, a risk and a function.

A rule looks at what was read of a recording (a header, never the raw file itself), mends it if it
is broken in the one way that the rule is about, and says what it did. The raw tree is never
edited. Rules of risk ``lossless`` are on; the others act only where the config names them.

- ``lossless``: every sample and every event keeps its value, place and channel.
- ``lossy``: what is there keeps its value, and something that is damaged is left out.
- ``guess``: something is assumed that the files do not say.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

RISKS = ("lossless", "lossy", "guess")


@dataclass(frozen=True)
class Rule:
    """A way in which files are broken, and how that is mended.

    Attributes
    ----------
    name : str
        As in ``recordings.tsv`` and in the config (snake_case).
    kind : str
        What it mends: ``brainvision``, ``eeglab``, ``edf``, ``fif``, ``ctf``, ``snirf``,
        ``table``, ``json``, ``channels``, ``events`` ...
    risk : str
        One of `RISKS`.
    failure : str
        What is wrong, as one sentence.
    effect : str
        What the rule does about it, as one sentence.
    todo : str
        How to correct it at the source.
    seen : tuple of str
        Public datasets in which it was seen.
    function : callable
        Takes the thing to mend, changes it in place, and returns a message that says what was
        found and done; None if there is nothing to mend.
    """

    name: str
    kind: str
    risk: str
    failure: str
    effect: str
    todo: str
    seen: tuple[str, ...]
    function: Callable[[Any], str | None]


# All rules, in the order in which they act.
RULES: dict[str, Rule] = {}


def repair(
    name: str,
    *,
    kind: str,
    risk: str,
    failure: str,
    effect: str,
    todo: str,
    seen: tuple[str, ...] = (),
):
    """Register the decorated function as the rule `name`; see `Rule` for the parameters."""
    if name in RULES or risk not in RISKS:
        raise ValueError(f"rule {name} ({risk}) cannot be registered")

    def register(function: Callable[[Any], str | None]) -> Callable[[Any], str | None]:
        RULES[name] = Rule(name, kind, risk, failure, effect, todo, seen, function)
        return function

    return register


class Repairs:
    """Which rules may act on a recording, and what they did.

    Parameters
    ----------
    allow : collection of str
        Rules of risk ``lossy`` or ``guess`` that may act.
    refuse : collection of str
        Rules of risk ``lossless`` that may not.

    Attributes
    ----------
    applied : list of dict
        ``rule``, ``risk`` and ``message`` of each repair.
    withheld : list of dict
        The same of repairs that would help, and are not allowed.
    """

    def __init__(self, allow: Collection[str] = (), refuse: Collection[str] = ()):
        self._allow, self._refuse = set(allow), set(refuse)
        self.applied: list[dict[str, str]] = []
        self.withheld: list[dict[str, str]] = []

    def may(self, rule: Rule) -> bool:
        """Return whether a rule may act."""
        if rule.risk == "lossless":
            return rule.name not in self._refuse
        return rule.name in self._allow

    def mend(self, kind: str, thing: Any) -> list[str]:
        """Let every rule of a kind look at a thing, and change it in place where it may.

        Returns
        -------
        list of str
            What was done, and what was not done because it is not allowed.
        """
        told = []
        for rule in [rule for rule in RULES.values() if rule.kind == kind]:
            may = self.may(rule)
            message = rule.function(thing if may else copy.deepcopy(thing))
            self._note(self.applied if may else self.withheld, rule, message)
            if message:
                refused = f"the repair {rule.name} ({rule.risk}) is not allowed"
                told.append(message if may else f"{refused}, so this was not done: {message}")
        return told

    @staticmethod
    def _note(notes: list[dict[str, str]], rule: Rule, message: str | None) -> None:
        if message:
            notes.append({"rule": rule.name, "risk": rule.risk, "message": message})

    def hint(self) -> str | None:
        """Return what a person can do where a repair was withheld."""
        names = [note["rule"] for note in self.withheld]
        return f"allow the repair: `repairs: {{allow: [{', '.join(names)}]}}`" if names else None

    def todo(self, plain: str, mark: str = ";") -> str:
        """Return what a person can do anyway, and behind a mark the repair that would help."""
        hint = self.hint()
        return f"{plain}{mark} or {hint}" if hint else plain
