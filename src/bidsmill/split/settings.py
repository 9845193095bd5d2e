"""What a configuration asks of a split."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import PurePath
from typing import Any

from bidsmill.errors import BidsmillError
from bidsmill.formats import certificate


@dataclass(frozen=True)
class Settings:
    """What a configuration asks of a split; the fields are the keys of `split:`."""

    test: float = 0.2
    validation: float = 0.0
    group: str = "subject"
    stratify: Any = "labels"
    fallback: str = "refuse"
    gap: float = 10.0
    seed: int = 0
    fixed: str | None = None
    move: Mapping[str, str] = field(default_factory=dict)
    release: Any = ()
    folds: int | None = None

    def levels(self) -> list[str]:
        """Return the levels that may be used, the wished one first."""
        order = certificate.LEVELS
        first = order.index(self.group)
        last = first if self.fallback == "refuse" else order.index(self.fallback)
        return list(order[first : max(first, last) + 1])

    def stated(self) -> dict[str, Any]:
        """Return the settings for the certificate: of a file its name alone, without its place."""
        name = None if self.fixed is None else PurePath(self.fixed).name
        return {
            **asdict(self),
            "fixed": name,
            "move": dict(self.move),
            "release": list(self.release),
        }


def read_settings(settings: dict[str, Any]) -> Settings:
    """Check the settings of a split.

    Raises
    ------
    BidsmillError
        If a key is unknown or a value is out of its range.
    """
    unknown = sorted(set(settings) - set(Settings.__dataclass_fields__))
    if unknown:
        expected = ", ".join(Settings.__dataclass_fields__)
        raise BidsmillError("split: unknown keys", found=", ".join(unknown), expected=expected)
    wish = Settings(**settings)
    levels = ", ".join(certificate.LEVELS)
    for name in ("test", "validation", "gap", "seed"):
        value = getattr(wish, name)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise BidsmillError(f"split: {name} is no number", found=repr(value))
    if not (0 < wish.test < 1 and wish.validation >= 0 and wish.test + wish.validation < 1):
        raise BidsmillError(
            "split: the shares leave nothing for a side",
            found=f"test {wish.test}, validation {wish.validation}",
            expected="test in (0, 1), validation 0 or more, together below 1",
        )
    if wish.group not in certificate.LEVELS:
        raise BidsmillError("split: unknown group", found=repr(wish.group), expected=levels)
    if wish.fallback not in ("refuse", *certificate.LEVELS):
        expected = f"refuse, {levels}"
        raise BidsmillError("split: unknown fallback", found=repr(wish.fallback), expected=expected)
    if not 0 <= wish.gap < float("inf") or wish.seed != int(wish.seed) or wish.seed < 0:
        raise BidsmillError(
            "split: gap or seed out of range",
            found=f"gap {wish.gap}, seed {wish.seed}",
            expected="gap of 0 s or more, seed a whole number of 0 or more",
        )
    _check_names(wish)
    wish = replace(wish, seed=int(wish.seed), release=tuple(wish.release))
    return wish if wish.folds is None else _with_folds(wish)


def _with_folds(wish: Settings) -> Settings:
    """Check the number of folds; the first fold is test, so the share of test is one of them."""
    folds = wish.folds
    if isinstance(folds, bool) or not isinstance(folds, int) or folds < 2:
        raise BidsmillError(
            "split: folds is no number of folds", found=repr(folds), expected="2 or more"
        )
    if wish.validation or wish.fixed is not None or "time" in wish.levels():
        raise BidsmillError(
            "split: folds go with neither validation, nor a fixed split, nor pieces of time",
            todo="take validation from the folds other than the one that is tested",
        )
    return replace(wish, test=1 / folds)


def _check_names(wish: Settings) -> None:
    """Check what concerns single groups: `fixed`, `move`, `release`."""
    if wish.fixed is not None and not isinstance(wish.fixed, str):
        raise BidsmillError("split: fixed is no path", found=repr(wish.fixed))
    if not isinstance(wish.release, list | tuple):
        raise BidsmillError("split: release is no list of names", found=repr(wish.release))
    sides = [side for side in certificate.SIDES[:3] if side != "validation" or wish.validation]
    wrong = wish.move if not isinstance(wish.move, Mapping) else set(wish.move.values()) - {*sides}
    if wrong:
        raise BidsmillError(
            "split: move puts groups on sides that there are not",
            found=repr(sorted(map(str, wrong))),
            expected=", ".join(sides),
        )


def plain(settings: dict[str, Any]) -> dict[str, Any]:
    """Keep what JSON can hold of settings that may be wrong; the rest as Python shows it."""

    def fits(value: Any) -> bool:
        if isinstance(value, float):
            return math.isfinite(value)
        return value is None or isinstance(value, str | int)

    def simple(value: Any) -> Any:
        if isinstance(value, list | tuple):
            return [simple(v) for v in value]
        if isinstance(value, Mapping):
            return {str(name): simple(v) for name, v in value.items()}
        return value if fits(value) else repr(value)

    return {str(name): simple(value) for name, value in settings.items()}
