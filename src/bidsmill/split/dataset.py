"""Split one dataset: read `samples.parquet`, write `split.tsv` and `split.json`."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bidsmill.errors import BidsmillError
from bidsmill.formats import certificate, tables
from bidsmill.split import groups, strata
from bidsmill.split.attempt import Attempt, attempt
from bidsmill.split.audit.finding import summary
from bidsmill.split.audit.run import audit_results
from bidsmill.split.given import Given, given_split, given_table
from bidsmill.split.merging import Links, merge_units, read_links
from bidsmill.split.placed import Held, Previous, prior_sides, read_previous
from bidsmill.split.settings import Settings, plain, read_settings
from bidsmill.split.statement import Case, certificate_of

if TYPE_CHECKING:
    import pandas as pd

NEEDED = ("recording", "row", "onset", "start", "stop", "subject", "session", "excluded")


def split_dataset(
    samples_path: str | os.PathLike,
    table_path: str | os.PathLike,
    certificate_path: str | os.PathLike,
    *,
    dataset: str,
    labels: list[str],
    settings: dict[str, Any],
    people: Mapping[str, Any] | None = None,
    duplicates_path: Path | None = None,
    previous_path: Path | None = None,
    fixed_paths: Sequence[Path] = (),
) -> dict[str, Any]:
    """Split one dataset and write the table of groups and the certificate.

    Who is one person, and recordings that share signals, are one group. Groups that were placed
    before stay where they are; the others are chosen around them. A level is refused if fewer
    than 3 groups (4 with validation) have rows that count, or if, with nobody placed before, the
    share of test (or of validation) in all rows ends further than 0.15 from the wish. Then
    the next level up to `fallback` is tried. A refused split, for this reason or for a wrong
    configuration, is written with every group ``none`` and the reason; it is no error.

    Parameters
    ----------
    samples_path : path-like
        `samples.parquet`, one row per window.
    table_path, certificate_path : path-like
        `split.tsv` and `split.json`, to be written.
    dataset : str
        Name of the dataset, for the certificate.
    labels : list of str
        The label columns of the dataset.
    settings : dict
        Keys `test`, `validation` (shares), `group` (level), `stratify` ("labels" or a list of
        columns), `fallback` ("refuse" or the last level to try), `gap` (s, level `time`),
        `seed`, `fixed`, `move` and `release`; defaults as in `Settings`.
    people : mapping, optional
        What the config says of people: `same`, `mirrors`, `elsewhere` (see `merging.read_links`).
    duplicates_path : pathlib.Path, optional
        `duplicates.tsv`: recordings that share signals.
    previous_path : pathlib.Path, optional
        `split-previous.json`: the split before this one.
    fixed_paths : sequence of pathlib.Path
        The table that `fixed` names; or table and record of a split over several datasets.

    Returns
    -------
    dict
        The certificate as written.

    Raises
    ------
    BidsmillError
        If `samples.parquet` cannot be read or lacks a column that every dataset has, or another
        file cannot be read.
    """
    samples = tables.read_parquet(samples_path)
    missing = [name for name in NEEDED if name not in samples]
    if missing:
        raise BidsmillError("samples lack columns", file=samples_path, found=", ".join(missing))
    table, content = split_samples(
        samples,
        dataset=dataset,
        labels=labels,
        settings=settings,
        links=read_links(duplicates_path, people),
        previous=None if previous_path is None else read_previous(previous_path),
        given=given_split(fixed_paths, dataset),
    )
    certificate.write_split(table_path, certificate_path, table, content)
    return content


def split_samples(
    samples: pd.DataFrame,
    *,
    dataset: str,
    labels: list[str],
    settings: dict[str, Any],
    links: Links | None = None,
    previous: Previous | None = None,
    given: Given | None = None,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Split the rows of one dataset; return the table of groups and the certificate.

    Parameters
    ----------
    samples : pandas.DataFrame
        One row per window.
    dataset, labels, settings
        As for `split_dataset`.
    links : Links, optional
        What is known to be the same.
    previous : Previous, optional
        The split before this one.
    given : Given, optional
        A split that is used as it is.
    """
    links = links or Links()
    wish, columns, attempts = Settings(), [], []
    unknown: list[str] = []
    prior = prior_sides(samples, previous)
    try:
        wish = read_settings(settings)
        columns = strata.strata_of(samples, strata.chosen_columns(samples, labels, wish.stratify))
        if given is None:
            attempts = _attempts(samples, columns, wish, links, previous)
        else:
            made, unknown = _given(samples, wish, links, given)
            attempts = [made]
        problem = ""
    except BidsmillError as error:
        problem = error.message()
    if problem or attempts[-1].reason:
        done = _unplaced(samples, wish, wish.group, links, problem or attempts[-1].reason)
    else:
        done = attempts[-1]
    table = groups.count_rows(samples, done.table, strata.kept_rows(samples))
    case = Case(dataset, samples, columns, wish, links, previous, prior, given, unknown)
    content = certificate_of(case, attempts, done, table)
    content["settings"] = plain({**wish.stated(), **settings}) if problem else wish.stated()
    content["audit"] = _audit_of_tables(samples, table, content, dataset, labels)
    return table, content


def _audit_of_tables(samples, table, content, dataset: str, labels: list[str]) -> dict[str, Any]:
    """Return what the audit says that needs no signals; copies of them are merged before."""
    kinds = {
        name: "number" if samples[name].dtype.kind == "f" else "class"
        for name in labels
        if name in samples
    }
    findings = audit_results(samples, table, content, dataset=dataset, labels=kinds)
    return {"of": "tables", **summary(findings)}


def _attempts(
    samples: pd.DataFrame,
    columns: list[strata.Column],
    wish: Settings,
    links: Links,
    previous: Previous | None,
) -> list[Attempt]:
    """Try one level after the other; the last attempt is the one that counts."""
    prior = prior_sides(samples, previous)
    before = previous.level() if previous else ""
    levels = wish.levels()
    attempts: list[Attempt] = []
    for level in levels:
        if before in levels and levels.index(level) < levels.index(before):
            reason = f"level {level}: the split before is by {before}, and groups stay as they were"
            made = _unplaced(samples, wish, level, links, reason)
        else:
            made = attempt(samples, columns, wish, level, links, prior)
        attempts.append(made)
        if not made.reason:
            break
    return attempts


def _unplaced(samples, wish: Settings, level: str, links: Links, reason: str) -> Attempt:
    """Return a split that puts nobody on a side, and why."""
    merging = merge_units(samples, level, links)
    table = groups.group_table(samples, level, share=wish.test, gap=wish.gap, joined=merging.first)
    return Attempt(level, table, Held(), merging, reason)


def _given(
    samples: pd.DataFrame, wish: Settings, links: Links, given: Given
) -> tuple[Attempt, list[str]]:
    """Take a given split as it is; it is refused only if nobody trains or nobody is tested.

    One of several datasets is refused only as a whole: a side that one of them lacks is in others.
    """
    table, unknown = given_table(samples, given)
    level = str(table["level"].iloc[0]) if len(table) else wish.group
    made = Attempt(level, table, Held(), merge_units(samples, level, links))
    if given.together is not None:
        return made.refused(given.together["reason"]), unknown
    missing = [side for side in ("train", "test") if not (table["split"] == side).any()]
    if missing:
        return made.refused(f"{given.name} puts nobody of the dataset on {missing[0]}"), unknown
    return made, unknown
