"""Split one dataset: read `samples.parquet`, write `split.tsv` and `split.json`."""

from __future__ import annotations

import math
import os
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from bidsmill.errors import BidsmillError
from bidsmill.formats import certificate, tables
from bidsmill.split import groups, proof, strata
from bidsmill.split.optimiser import Choice, choose_groups

if TYPE_CHECKING:
    import pandas as pd

# With two groups there is nothing to choose: one of them would be the whole test side.
FEWEST_GROUPS = 3
# A side whose share of all rows is further from the wish than this is no answer to the wish.
FURTHEST_SHARE = 0.15
NEEDED = ("recording", "row", "onset", "start", "stop", "subject", "session", "excluded")


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

    def levels(self) -> list[str]:
        """Return the levels that may be used, the wished one first."""
        order = certificate.LEVELS
        first = order.index(self.group)
        last = first if self.fallback == "refuse" else order.index(self.fallback)
        return list(order[first : max(first, last) + 1])


@dataclass(frozen=True)
class Attempt:
    """A split at one level, or the reason why there is none."""

    level: str
    table: pd.DataFrame
    reason: str = ""
    test: Choice | None = None
    validation: Choice | None = None
    impossible: np.ndarray | None = None


def split_dataset(
    samples_path: str | os.PathLike,
    table_path: str | os.PathLike,
    certificate_path: str | os.PathLike,
    *,
    dataset: str,
    labels: list[str],
    settings: dict[str, Any],
) -> dict[str, Any]:
    """Split one dataset and write the table of groups and the certificate.

    A level is refused if fewer than 3 groups (4 with validation) have rows that count, or if
    the share of test (or of validation) in all rows ends further than 0.15 from the wish. Then
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
        columns), `fallback` ("refuse" or the last level to try), `gap` (s, level `time`) and
        `seed`; defaults as in `Settings`.

    Returns
    -------
    dict
        The certificate as written.

    Raises
    ------
    BidsmillError
        If `samples.parquet` cannot be read or lacks a column that every dataset has.
    """
    samples = tables.read_parquet(samples_path)
    missing = [name for name in NEEDED if name not in samples]
    if missing:
        raise BidsmillError("samples lack columns", file=samples_path, found=", ".join(missing))
    table, content = split_samples(samples, dataset=dataset, labels=labels, settings=settings)
    certificate.write_split(table_path, certificate_path, table, content)
    return content


def split_samples(
    samples: pd.DataFrame, *, dataset: str, labels: list[str], settings: dict[str, Any]
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Split the rows of one dataset; return the table of groups and the certificate.

    Parameters
    ----------
    samples : pandas.DataFrame
        One row per window.
    dataset, labels, settings
        As for `split_dataset`.
    """
    wish, columns, attempts = Settings(), [], []
    try:
        wish = read_settings(settings)
        columns = strata.strata_of(samples, strata.chosen_columns(samples, labels, wish.stratify))
        problem = ""
    except BidsmillError as error:
        problem = error.message()
    for level in [] if problem else wish.levels():
        attempts.append(_attempt(samples, columns, wish, level))
        if not attempts[-1].reason:
            break
    if not attempts or attempts[-1].reason:
        table = groups.group_table(samples, wish.group, share=wish.test, gap=wish.gap)
        done = Attempt(wish.group, table, reason=problem or attempts[-1].reason)
    else:
        done = attempts[-1]
    table = groups.count_rows(samples, done.table, strata.kept_rows(samples))
    content = _certificate(dataset, samples, columns, wish, attempts, done, table)
    content["settings"] = _plain({**asdict(wish), **settings}) if problem else asdict(wish)
    return table, content


def _plain(settings: dict[str, Any]) -> dict[str, Any]:
    """Keep what JSON can hold of settings that may be wrong; the rest as Python shows it."""

    def fits(value: Any) -> bool:
        if isinstance(value, float):
            return math.isfinite(value)
        return value is None or isinstance(value, str | int)

    def plain(value: Any) -> Any:
        if isinstance(value, list | tuple):
            return [plain(v) for v in value]
        return value if fits(value) else repr(value)

    return {str(name): plain(value) for name, value in settings.items()}


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
    return replace(wish, seed=int(wish.seed))


def _attempt(samples, columns, wish: Settings, level: str) -> Attempt:
    """Split at one level, or say why that cannot be done."""
    counted = strata.counted_rows(samples)
    table = groups.group_table(samples, level, share=wish.test, gap=wish.gap)
    rows, counts = _counts(samples, columns, table, counted)
    fewest = FEWEST_GROUPS + (wish.validation > 0)
    usable = int((rows > 0).sum())
    if usable < fewest:
        noun = "group has" if usable == 1 else "groups have"
        reason = f"level {level}: {usable} {noun} rows that count; {fewest} are needed"
        return Attempt(level, table, reason=reason)
    possible = (counts > 0).sum(axis=0) >= 2
    weights = strata.stratum_weights(columns, possible)
    names = table["group"].tolist()
    test = choose_groups(names, counts, rows, weights, wish.test, seed=wish.seed)
    table.loc[table["group"].isin(test.groups), "split"] = "test"
    validation = None
    if wish.validation > 0:
        table = groups.apply_guard(samples, table, wish.gap)
        rows, counts = _counts(samples, columns, table, counted)
        free = (table["split"] == "none").to_numpy() & (rows > 0)
        if free.sum() < 2:
            reason = f"level {level}: fewer than two groups are left beside test and its guard"
            return Attempt(level, table, reason=reason)
        validation = choose_groups(
            [name for name, is_free in zip(names, free, strict=True) if is_free],
            counts[free],
            rows[free],
            strata.stratum_weights(columns, (counts[free] > 0).sum(axis=0) >= 2),
            wish.validation / (1 - wish.test),
            seed=wish.seed,
        )
        table.loc[table["group"].isin(validation.groups), "split"] = "validation"
    covers = (level != "time") | table["onset_start"].notna()
    table.loc[(table["split"] == "none") & covers, "split"] = "train"
    table = groups.apply_guard(samples, table, wish.gap)
    reason = _reason_against(samples, table, wish, level, counted)
    return Attempt(level, table, reason, test, validation, ~possible)


def _counts(samples, columns, table, counted) -> tuple[np.ndarray, np.ndarray]:
    """Count rows and strata of each group over the rows that count."""
    numbers = np.where(counted, groups.group_numbers(samples, table), -1)
    rows = np.bincount(numbers[numbers >= 0], minlength=len(table))
    return rows, strata.count_strata(columns, numbers, len(table))


def _reason_against(samples, table, wish: Settings, level: str, counted) -> str:
    """Return why a split at this level must not be used, or ''."""
    side = certificate.side_of_rows(samples, table)[counted]
    on_a_side = max(1, int((side != "none").sum()))
    for name, share in (("test", wish.test), ("validation", wish.validation)):
        reached = int((side == name).sum()) / on_a_side
        if abs(reached - share) > FURTHEST_SHARE + 1e-9:
            return (
                f"level {level}: the nearest share of {name} is {reached:.3f}, "
                f"further than {FURTHEST_SHARE} from the wish of {share}"
            )
    if not (side == "train").any():
        return f"level {level}: the gap of {wish.gap} s leaves no row for train"
    overlapping = groups.overlapping_windows(samples, table)
    if overlapping:
        return f"level {level}: {overlapping} windows overlap windows of another side"
    return ""


def _certificate(dataset, samples, columns, wish, attempts, done, table) -> dict[str, Any]:
    """Put together what the split is, how good it is, and what proves it."""
    counted = strata.counted_rows(samples)
    side = certificate.side_of_rows(samples, table)
    status = "refused" if done.reason else "done"
    refusals = [{"level": a.level, "reason": a.reason} for a in attempts if a.reason]
    kept = strata.kept_rows(samples)
    balance, impossible = proof.balance(columns, side, counted, done.impossible, wish.test)
    return {
        "contract": certificate.CONTRACT,
        "dataset": dataset,
        "status": status,
        "reason": done.reason or "; ".join(r["reason"] for r in refusals),
        "level": done.level,
        "level_wished": wish.group,
        "refused_levels": refusals,
        "settings": {},
        "method": proof.method_text(wish, done.level) if status == "done" else "",
        "seed": wish.seed,
        **proof.choice_record(done.test),
        "validation": proof.choice_record(done.validation) if done.validation else None,
        "groups": proof.side_counts(table["split"].to_numpy(dtype=object)),
        "rows": proof.side_counts(side[kept]),
        "rows_excluded": proof.side_counts(side[~kept]),
        "balance": balance,
        "impossible": impossible,
        "proof": proof.proof_of(samples, table, side, done.level),
        "inputs": proof.input_digest(samples, [column.name for column in columns]),
    }
