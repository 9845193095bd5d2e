"""One split over several datasets: people stay together, and every dataset is balanced."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bidsmill.errors import BidsmillError
from bidsmill.formats.certificate import group_ids
from bidsmill.split import proof, strata
from bidsmill.split.attempt import FEWEST_GROUPS
from bidsmill.split.merging import Union
from bidsmill.split.optimiser import Choice, choose_groups
from bidsmill.split.placed import STRONGEST, Held, choices_for
from bidsmill.split.settings import Settings, read_settings

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Together:
    """A split of several datasets.

    Attributes
    ----------
    tables : dict
        Dataset -> table of `group` (``sub-01``) and `split`, sorted: what ``split: {fixed: ...}``
        of that dataset takes.
    test, validation : Choice or None
        What was chosen; groups are people, called by the first of their names
        (``dataset/sub-01``).
    merged : list of list of str
        The names of every person who has several.
    balance : dict
        Dataset -> rows of every stratum on every side, as in a certificate; the first entry is
        the whole dataset.
    people : dict
        Person -> side.
    unheld : Choice or None
        What would have been chosen for test if nobody had been placed before.
    """

    tables: dict[str, pd.DataFrame]
    test: Choice
    validation: Choice | None
    merged: list[list[str]]
    balance: dict[str, list[dict[str, Any]]]
    people: dict[str, str]
    unheld: Choice | None


@dataclass(frozen=True)
class _Dataset:
    """One dataset as the common problem sees it: the group of each row, and its strata."""

    groups: np.ndarray
    counted: np.ndarray
    columns: list[strata.Column]


def split_together(
    samples_by_dataset: Mapping[str, pd.DataFrame],
    aliases: Iterable[Sequence[str]],
    settings: Mapping[str, Any],
    *,
    labels: Mapping[str, list[str]],
    stratify: Mapping[str, Any] | None = None,
    placed: Mapping[str, Held] | None = None,
) -> Together:
    """Split several datasets at once, by people.

    A person is on one side in all datasets. What is balanced are all rows together, the rows of
    each dataset, and the strata of each dataset; each of these weighs the same, as in the split
    of one dataset. The answer depends on the order of neither datasets nor rows. People who were
    placed before stay, and the others are chosen around them; who stood on several sides gets
    the first of train, validation, test.

    Parameters
    ----------
    samples_by_dataset : mapping
        Dataset -> its `samples`, one row per window.
    aliases : iterable of sequences of str
        Names (``dataset/sub-01``) that are one person; names without rows are passed over.
    settings : mapping
        As `bidsmill.split.settings.Settings`; the level is ``subject``.
    labels : mapping
        Dataset -> its label columns.
    stratify : mapping, optional
        Dataset -> what is balanced in it, where that is not what `settings` say.
    placed : mapping, optional
        Dataset -> its groups about which there is no choice (`bidsmill.split.placed.hold`).

    Raises
    ------
    BidsmillError
        If the settings are wrong or ask for another level, fewer than 3 people (4 with
        validation) have rows that count, all of them are held on one side, or one person is
        asked onto two sides.
    """
    wish = read_settings(dict(settings))
    if wish.group != "subject":
        raise BidsmillError(
            "a split over several datasets is by subject", found=wish.group, expected="subject"
        )
    union = Union()
    for names in aliases:
        union.join(names)
    datasets = {
        name: _dataset(
            name,
            samples_by_dataset[name],
            labels.get(name, []),
            (stratify or {}).get(name, wish.stratify),
            union,
        )
        for name in sorted(samples_by_dataset)
    }
    people = sorted({group for one in datasets.values() for group in one.groups} - {""})
    rows, counts = _counts(datasets, people)
    fewest = FEWEST_GROUPS + (wish.validation > 0)
    if (rows > 0).sum() < fewest:
        raise BidsmillError(
            "too few people for a split over several datasets",
            found=int((rows > 0).sum()),
            expected=f"{fewest} or more with rows that count",
        )
    held = _held(placed or {}, union)
    problem = (people, counts, rows, _weights(datasets, counts), wish.test)
    test = choose_groups(*problem, seed=wish.seed, held=choices_for(held, "test"))
    unheld = choose_groups(*problem, seed=wish.seed) if held.sides else None
    validation = None
    if wish.validation > 0:
        free = np.array([name not in set(test.groups) for name in people]) & (rows > 0)
        validation = choose_groups(
            [name for name, is_free in zip(people, free, strict=True) if is_free],
            counts[free],
            rows[free],
            _weights(datasets, counts[free]),
            wish.validation / (1 - wish.test),
            seed=wish.seed,
            held=choices_for(held, "validation"),
        )
    side_of = dict.fromkeys(people, "train")
    # People of whom no row counts are no part of the choice, but have a side, too.
    silent = [name for name, count in zip(people, rows, strict=True) if not count]
    side_of |= {name: held.sides[name] for name in silent if name in held.sides}
    side_of |= dict.fromkeys(test.groups, "test")
    side_of |= dict.fromkeys(validation.groups if validation else (), "validation")
    return Together(
        tables={name: _table(name, samples_by_dataset[name], union, side_of) for name in datasets},
        test=test,
        validation=validation,
        merged=_merged(samples_by_dataset, union),
        balance={name: _balance(one, side_of, wish) for name, one in datasets.items()},
        people=side_of,
        unheld=unheld,
    )


def _names(dataset: str, samples: pd.DataFrame) -> np.ndarray:
    """Return the name of each row's person in all datasets, '' for rows of nobody."""
    subjects = group_ids(samples, "subject")
    return np.array([f"{dataset}/{s}" if s else "" for s in subjects], dtype=object)


def _dataset(
    name: str, samples: pd.DataFrame, labels: list[str], stratify: Any, union: Union
) -> _Dataset:
    names = _names(name, samples)
    groups = np.array([union.first(n) if n else "" for n in names], dtype=object)
    counted = strata.counted_rows(samples)
    try:
        chosen = strata.chosen_columns(samples, labels, stratify)
    except BidsmillError as error:
        raise BidsmillError(
            f"{name}: {error.what}", found=error.found, expected=error.expected
        ) from None
    whole = strata.Column("", False, ("",), np.zeros(len(samples), dtype=np.int64))
    return _Dataset(groups, counted, [whole, *strata.strata_of(samples, chosen)])


def _held(placed: Mapping[str, Held], union: Union) -> Held:
    """Return the people about whom there is no choice, from the groups of each dataset."""
    before: dict[str, set[str]] = {}
    own: dict[str, set[str]] = {}
    asked: dict[str, set[str]] = {}
    released = set()
    for dataset, held in placed.items():
        for group, found in held.before.items():
            before.setdefault(union.first(f"{dataset}/{group}"), set()).update(found)
        for group, side in held.sides.items():
            own.setdefault(union.first(f"{dataset}/{group}"), set()).add(side)
        for group in held.asked:
            person = union.first(f"{dataset}/{group}")
            asked.setdefault(person, set()).add(held.sides[group])
        released |= {union.first(f"{dataset}/{group}") for group in held.released}
    for person, wanted in sorted(asked.items()):
        if len(wanted) > 1:
            raise BidsmillError(
                f"split: move puts {person} on two sides", found=", ".join(sorted(wanted))
            )
    sides = {
        person: next(side for side in STRONGEST if side in asked.get(person, found))
        for person, found in own.items()
        if person in asked or person not in released
    }
    return Held(sides, before, frozenset(asked), frozenset(released))


def _counts(datasets: Mapping[str, _Dataset], people: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return rows of every person, and in each stratum of each dataset."""
    place = {name: i for i, name in enumerate(people)}
    rows = np.zeros(len(people), dtype=np.int64)
    parts = []
    for one in datasets.values():
        numbers = np.array([place.get(group, -1) for group in one.groups], dtype=np.int64)
        numbers = np.where(one.counted, numbers, -1)
        rows += np.bincount(numbers[numbers >= 0], minlength=len(people))
        parts.append(strata.count_strata(one.columns, numbers, len(people)))
    return rows, np.concatenate(parts, axis=1)


def _weights(datasets: Mapping[str, _Dataset], counts: np.ndarray) -> np.ndarray:
    columns = [column for one in datasets.values() for column in one.columns]
    return strata.stratum_weights(columns, (counts > 0).sum(axis=0) >= 2)


def _table(
    name: str, samples: pd.DataFrame, union: Union, side_of: Mapping[str, str]
) -> pd.DataFrame:
    import pandas as pd

    subjects = sorted(set(group_ids(samples, "subject")) - {""})
    sides = [side_of[union.first(f"{name}/{subject}")] for subject in subjects]
    return pd.DataFrame({"group": subjects, "split": sides})


def _merged(samples_by_dataset: Mapping[str, pd.DataFrame], union: Union) -> list[list[str]]:
    found: dict[str, set[str]] = {}
    for dataset, samples in samples_by_dataset.items():
        for name in set(_names(dataset, samples)) - {""}:
            found.setdefault(union.first(name), set()).add(name)
    return sorted(sorted(names) for names in found.values() if len(names) > 1)


def _balance(one: _Dataset, side_of: Mapping[str, str], wish: Settings) -> list[dict[str, Any]]:
    side = np.array([side_of.get(group, "none") for group in one.groups], dtype=object)
    return proof.balance(one.columns, side, one.counted, None, wish.test)[0]
