"""The certificate: what the split is, how good it is, where it comes from, and what proves it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bidsmill.formats import certificate, files
from bidsmill.split import proof, strata
from bidsmill.split.attempt import Attempt
from bidsmill.split.given import Given
from bidsmill.split.merging import Links, people_of_rows, unit_ids, unknown_people
from bidsmill.split.placed import Held, Previous, moved_members, remembered
from bidsmill.split.settings import Settings

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Case:
    """What was asked, and all that was known.

    Attributes
    ----------
    dataset : str
        Its name.
    samples : pandas.DataFrame
        One row per window.
    columns : list of Column
        What was to be balanced.
    wish : Settings
        The settings.
    links : Links
        What is known to be the same.
    previous : Previous or None
        The split before.
    prior : numpy.ndarray
        Shape (rows,): side of each row before.
    given : Given or None
        A split that was used as it is.
    unknown : list of str
        Names in it that no row has.
    """

    dataset: str
    samples: pd.DataFrame
    columns: list[strata.Column]
    wish: Settings
    links: Links
    previous: Previous | None
    prior: np.ndarray
    given: Given | None
    unknown: list[str]


def certificate_of(
    case: Case, attempts: list[Attempt], done: Attempt, table: pd.DataFrame
) -> dict[str, Any]:
    """Return the certificate of a split.

    Parameters
    ----------
    case : Case
        What was asked, and all that was known.
    attempts : list of Attempt
        One per level that was tried.
    done : Attempt
        The split, or why there is none.
    table : pandas.DataFrame
        Its groups, with their rows counted.
    """
    samples, wish = case.samples, case.wish
    counted, kept = strata.counted_rows(samples), strata.kept_rows(samples)
    side = certificate.side_of_rows(samples, table)
    is_done = not done.reason
    refusals = [{"level": a.level, "reason": a.reason} for a in attempts if a.reason]
    balance, impossible = proof.balance(case.columns, side, counted, done.impossible, wish.test)
    people = people_of_rows(samples, case.links)
    shown = proof.proof_of(samples, table, side, done.level, people)
    return {
        "contract": certificate.CONTRACT,
        "dataset": case.dataset,
        "status": "done" if is_done else "refused",
        "reason": done.reason or "; ".join(r["reason"] for r in refusals),
        "level": done.level,
        "level_wished": wish.group,
        "refused_levels": refusals,
        "settings": {},
        "method": _method(case, done) if is_done else "",
        "seed": wish.seed,
        **proof.choice_record(done.test),
        "validation": proof.choice_record(done.validation) if done.validation else None,
        "folds": proof.fold_records(done.folds, table) if is_done else None,
        "groups": proof.side_counts(table["split"].to_numpy(dtype=object)),
        "rows": proof.side_counts(side[kept]),
        "rows_excluded": proof.side_counts(side[~kept]),
        "balance": balance,
        "impossible": impossible,
        "merged": done.merging.entries,
        "elsewhere": {
            "mirrors": list(case.links.mirrors),
            "subjects": {name: list(own) for name, own in case.links.elsewhere.items()},
        },
        "same_subject": _same_people(case),
        "previous": _previous(case, done, table, side),
        "remembered": remembered(samples, side, case.previous),
        "fixed": _fixed(case, table, side),
        "together": _together(case),
        "unknown": _unknown(case, done),
        "proof": shown,
        "inputs": {
            **proof.input_digest(samples, [column.name for column in case.columns]),
            "previous": case.previous.sha256 if case.previous else "",
            "fixed": "",
            "together": "",
            **({case.given.why(): case.given.sha256} if case.given else {}),
            "same": files.canonical_sha256([case.links.signals, case.links.people]),
        },
    }


def _previous(case: Case, done: Attempt, table: pd.DataFrame, side) -> dict[str, Any] | None:
    """Return what the split before was, who stayed, who moved and why, and what that cost."""
    if case.previous is None:
        return None
    units = unit_ids(case.samples, done.level)
    placed, had = side != "none", case.prior != "none"
    held = Held() if done.reason else done.held
    why = case.given.why() if case.given else ""
    moved = moved_members(case.samples, table, case.prior, held, why)
    movers = {name for entry in moved for name in entry["members"]}
    stayed = set(units[placed & had]) - movers
    cost = None
    if done.test is not None and done.unheld is not None and not done.reason:
        cost = {
            "objective": round(done.test.objective, proof.DIGITS),
            "objective_without": round(done.unheld.objective, proof.DIGITS),
            "bound_without": round(done.unheld.bound, proof.DIGITS),
            "cost": round(done.test.objective - done.unheld.objective, proof.DIGITS),
        }
    return {
        "source": case.previous.source,
        "version": case.previous.version,
        "sha256": case.previous.sha256,
        "level": case.previous.level(),
        "stayed": len(stayed - {""}),
        "new": len(set(units[placed]) - set(units[placed & had]) - {""}),
        "moved": moved,
        "cost": cost,
    }


def _fixed(case: Case, table: pd.DataFrame, side) -> dict[str, Any] | None:
    """Return where a given split comes from, and whom it does not know."""
    if case.given is None or case.given.together is not None:
        return None
    unlisted = table["split"] == "none"
    kept = strata.counted_rows(case.samples)
    return {
        "file": case.given.name,
        "sha256": case.given.sha256,
        "unlisted": {"groups": int(unlisted.sum()), "rows": int((side[kept] == "none").sum())},
        "unknown": case.unknown,
    }


def _together(case: Case) -> dict[str, Any] | None:
    """Return which datasets were split at once, and how good that split is."""
    if case.given is None or case.given.together is None:
        return None
    record = case.given.together
    keys = ("objective", "bound", "gap", "nodes", "solver", "validation", "people", "rows", "cost")
    others = [name for name in record["datasets"] if name != case.dataset]
    return {"name": record["together"], "with": others, **{key: record[key] for key in keys}}


def _unknown(case: Case, done: Attempt) -> list[str]:
    """Return names in the config that nobody has."""
    names = {*unknown_people(case.samples, case.links), *done.held.unknown}
    if case.given is not None and case.given.together is not None:
        names |= {*case.given.together["unknown"].get(case.dataset, [])}
    return sorted(names)


def _same_people(case: Case) -> list[list[str]]:
    """Return the names of each person who has several, in this dataset or in others."""
    here = [list(names) for names, _ in case.links.people]
    return here + [
        [f"{case.dataset}/{name}", *names] for name, names in sorted(case.links.elsewhere.items())
    ]


def _method(case: Case, done: Attempt) -> str:
    if case.given is not None and case.given.together is not None:
        return str(case.given.together["method"])
    if case.given is not None:
        return (
            f"The split was given ({case.given.name}) and nothing was optimised. Groups that it "
            "does not name are on no side."
        )
    text = proof.method_text(case.wish, done.level)
    if done.folds:
        text += (
            f" Test is the first of {len(done.folds)} folds; the others were made of the train "
            "groups by moving and exchanging groups until no such step helped."
        )
    if any(len(entry["members"]) > 1 for entry in done.merging.entries):
        text += (
            " Groups with several members hold people who are declared as one, or recordings that "
            "share signals (see `merged`)."
        )
    if done.held.sides:
        text += (
            " Groups that had a side in the split before stayed there, and the others were chosen "
            "around them; the bound is that of any choice that leaves them (see `previous`)."
        )
    return text
