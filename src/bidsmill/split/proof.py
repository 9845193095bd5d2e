"""What the certificate states about a split: balance, proof, inputs, and the method in words."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np

from bidsmill.formats.certificate import SIDES, group_ids, rows_by_value, text_column
from bidsmill.split.folds import Fold
from bidsmill.split.groups import overlapping_windows
from bidsmill.split.optimiser import ABSOLUTE_GAP, Choice
from bidsmill.split.strata import Column, value_texts

if TYPE_CHECKING:
    import pandas as pd

# Certificates state shares to twelve digits: beyond that they depend on the order of additions.
DIGITS = 12
MEASURED = {
    "subject": "new people",
    "session": "new sessions of known people",
    "run": "new recordings of known people",
    "time": "other times of known recordings",
}


def side_counts(sides: np.ndarray) -> dict[str, int]:
    """Count each side in an array of sides."""
    return {name: int((sides == name).sum()) for name in SIDES}


def choice_record(choice: Choice | None) -> dict[str, Any]:
    """Return how good a choice is; all values None where there is no choice."""
    if choice is None:
        return dict.fromkeys(("objective", "bound", "gap", "nodes", "solver"))
    return {
        "objective": round(choice.objective, DIGITS),
        "bound": round(choice.bound, DIGITS),
        "gap": round(choice.gap, DIGITS),
        "nodes": choice.nodes,
        "solver": choice.solver,
    }


def fold_records(folds: tuple[Fold, ...], table: pd.DataFrame) -> list[dict[str, Any]] | None:
    """Return size and quality of every fold; None where there are none."""
    if not folds:
        return None
    rows_of = dict(zip(table["group"], table["rows"], strict=True))
    return [
        {
            "fold": str(number),
            "groups": len(fold.groups),
            "rows": int(sum(rows_of[name] for name in fold.groups)),
            "objective": round(fold.objective, DIGITS),
            "bound": round(fold.bound, DIGITS),
        }
        for number, fold in enumerate(folds, 1)
    ]


def balance(
    columns: list[Column],
    side: np.ndarray,
    counted: np.ndarray,
    impossible: np.ndarray | None,
    target: float,
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the rows of every stratum on every side, and the strata impossible to balance.

    Parameters
    ----------
    columns : list of Column
        The strata.
    side : numpy.ndarray
        Shape (rows,): side of each row of `samples`.
    counted : numpy.ndarray
        Shape (rows,), bool: rows that count for balance.
    impossible : numpy.ndarray or None
        Shape (strata,), bool: strata present in fewer than two groups; None if not known.
    target : float
        Wished share of test.

    Returns
    -------
    balance, impossible : list of dict
        `share` is test over the rows on any side, `deviation` is share minus target; None
        where no row of the stratum stands on a side.
    """
    records: list[dict[str, Any]] = []
    hopeless: list[dict[str, Any]] = []
    for column in columns:
        for code, value in enumerate(column.values):
            sides = side_counts(side[counted & (column.codes == code)])
            total, placed = sum(sides.values()), sum(sides.values()) - sides["none"]
            share = round(sides["test"] / placed, DIGITS) if placed else None
            is_impossible = impossible is not None and bool(impossible[len(records)])
            records.append(
                {
                    "column": column.name,
                    "value": value,
                    "total": total,
                    **sides,
                    "share": share,
                    "target": target,
                    "deviation": None if share is None else round(share - target, DIGITS),
                    "impossible": is_impossible,
                }
            )
            if is_impossible:
                hopeless.append({"column": column.name, "value": value, "rows": total})
    return records, hopeless


def proof_of(
    samples: pd.DataFrame,
    table: pd.DataFrame,
    side: np.ndarray,
    level: str,
    people: np.ndarray | None = None,
) -> dict[str, Any]:
    """Return what the sides have in common: subjects and overlapping windows.

    Parameters
    ----------
    samples : pandas.DataFrame
        One row per window.
    table : pandas.DataFrame
        Groups with their sides.
    side : numpy.ndarray
        Shape (rows,): side of each row.
    level : str
        Level of the groups.
    people : numpy.ndarray, optional
        Shape (rows,): the person of each row, where some have several names.
    """
    if people is None:
        people = group_ids(samples, "subject")
    shared = [
        name
        for name, rows in rows_by_value(people).items()
        if name and len(set(side[rows]) - {"none"}) > 1
    ]
    if not (side != "none").any():
        statement = "No row stands on a side."
    elif not shared:
        statement = "No subject stands on two sides: test measures generalisation to new people."
    else:
        noun = "subject stands" if len(shared) == 1 else "subjects stand"
        statement = (
            f"{len(shared)} {noun} on more than one side: test measures generalisation to "
            f"{MEASURED[level]}, not to new people."
        )
    return {
        "statement": statement,
        "shared_subjects": len(shared),
        "subjects_on_several_sides": shared,
        "overlapping_windows": overlapping_windows(samples, table),
    }


def input_digest(samples: pd.DataFrame, names: list[str]) -> dict[str, Any]:
    """Return the sha256 of all values of `samples` that decide the split, in canonical order.

    Parameters
    ----------
    samples : pandas.DataFrame
        One row per window; neither the order of its rows nor its storage types matter.
    names : list of str
        The columns to be balanced.
    """
    import pandas as pd

    texts = ("recording", "subject", "session", "excluded")
    numbers = ("row", "onset", "start", "stop")
    frame = pd.DataFrame(
        {
            **{name: text_column(samples, name) for name in texts},
            **{name: samples[name].to_numpy(dtype=float) for name in numbers},
        }
    )
    for name in names:
        frame[f"stratify {name}"] = value_texts(samples[name])
    frame = frame.sort_values(["recording", "row"], kind="stable")
    content = frame.to_csv(index=False, lineterminator="\n").encode("utf-8")
    return {"columns": list(frame.columns), "sha256": hashlib.sha256(content).hexdigest()}


def method_text(wish: Any, level: str) -> str:
    """Return how the split was made, in prose."""
    text = (
        f"Groups of the level '{level}' were put on sides as a whole. The groups of test were "
        f"chosen by mixed-integer programming to hold a share of {wish.test} of the rows of "
        "every stratum and of all rows: the objective is the weighted mean of the absolute "
        "deviations of these shares, where all rows together and each stratified column weigh "
        "the same, and the strata of a column share its weight. Excluded rows do not count. "
        "The bound is a proven lower limit of the objective for any choice of groups; the "
        f"solver stops at a gap of {ABSOLUTE_GAP} or at a limit of nodes, and programs too "
        "large for the solver are bounded by the fact that rows are whole (nodes: 0)."
    )
    if wish.validation > 0:
        text += (
            f" Validation was chosen in the same way among the other groups, for a share of "
            f"{wish.validation} of all rows."
        )
    if level == "time":
        text += (
            f" Windows within {wish.gap} s of a window of another side of the same recording "
            "are on no side: test keeps its rows, train gives way; the objective counts the "
            "rows before that."
        )
    return text
