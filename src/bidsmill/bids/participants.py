"""The participants of a dataset."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from bidsmill.bids.repairs import Repairs, repair
from bidsmill.bids.tabular import agreed_rows, read_tabular

EMPTYROOM = "emptyroom"
ID = "participant_id"


@dataclass
class ParticipantRows:
    """The rows of participants.tsv (``kind="participants"``): column -> cell, ``''``: none."""

    rows: list[dict[str, str]]


def read_participants(
    root: Path, repairs: Repairs | None = None
) -> tuple[dict[str, dict[str, str]], list[str]]:
    """Read ``participants.tsv``.

    Who a row is about is never guessed: subjects are compared exactly, but for the ``sub-`` that
    some tables leave out. A subject whose rows contradict each other keeps what they agree on.

    Parameters
    ----------
    root : pathlib.Path
        The dataset.
    repairs : Repairs, optional
        Which rules may act; those that lose nothing if absent.

    Returns
    -------
    participants : dict
        Subject label without ``sub-`` -> column -> value (``''`` if unknown). Empty if there is
        no such file.
    problems : list of str
        What is not as it should be.
    """
    repairs = repairs or Repairs()
    path = root / "participants.tsv"
    if not path.is_file():
        return {}, ["participants.tsv is missing"]
    frame, problems = read_tabular(path, repairs)
    if ID not in frame.columns:
        return {}, [*problems, f"participants.tsv has no column {ID}"]
    rows, told = _of_one_id(frame.to_dict("records"))
    table = ParticipantRows([row for row in rows if row[ID].removeprefix("sub-")])
    problems += [*told, *repairs.mend("participants", table)]
    participants: dict[str, dict[str, str]] = {}
    unused = []
    counts = Counter(row[ID] for row in table.rows)
    for row in table.rows:
        if row[ID].startswith("sub-") and counts[row[ID]] == 1:
            participants[row[ID].removeprefix("sub-")] = {k: v for k, v in row.items() if k != ID}
        else:
            unused.append(row[ID])
    if unused:
        problems.append(f"rows of participants.tsv that are not used: {', '.join(unused)}")
    return participants, problems


def _of_one_id(rows: list[dict[str, str]]) -> tuple[list[dict[str, str]], list[str]]:
    """Leave out rows in which several columns of ids name different people."""
    others = [name for name in (rows[0] if rows else {}) if name.startswith(f"{ID}.")]
    kept = [row for row in rows if all(row[name] == row[ID] for name in others)]
    rows_of_one = [{k: v for k, v in row.items() if k not in others} for row in kept]
    if len(kept) == len(rows):
        return rows_of_one, []
    return rows_of_one, [
        f"participants.tsv has {len(rows) - len(kept)} row(s) whose columns {ID} differ; whom they"
        " are about is not guessed, and they are not used"
    ]


@repair(
    "participant_prefix",
    kind="participants",
    risk="lossless",
    failure="participants.tsv lists labels without `sub-`.",
    effect="`sub-` is put before them. Nothing else of an id is changed or guessed.",
    todo="write `sub-` before each label",
)
def participant_prefix(table: ParticipantRows) -> str | None:
    """Put ``sub-`` before bare labels."""
    bare = [row for row in table.rows if not row[ID].startswith("sub-")]
    for row in bare:
        row[ID] = f"sub-{row[ID]}"
    return f"participants.tsv lists {len(bare)} label(s) without sub-" if bare else None


@repair(
    "repeated_participant_rows",
    kind="participants",
    risk="lossless",
    failure="participants.tsv lists a subject more than once.",
    effect="What the rows agree on is used, and n/a for the rest.",
    todo="keep one row per subject; what changes by session belongs into sessions.tsv",
    seen=("ds003522",),
)
def repeated_participant_rows(table: ParticipantRows) -> str | None:
    """Make one row of several about the same subject."""
    table.rows, told = agreed_rows(table.rows, ID)
    return f"participants.tsv lists {told}" if told else None
