"""The participants of a dataset."""

from __future__ import annotations

from pathlib import Path

from bidsmill.bids.tabular import read_tabular

EMPTYROOM = "emptyroom"


def read_participants(root: Path) -> tuple[dict[str, dict[str, str]], list[str]]:
    """Read ``participants.tsv``.

    Parameters
    ----------
    root : pathlib.Path
        The dataset.

    Returns
    -------
    participants : dict
        Subject label without ``sub-`` -> column -> value (``''`` if unknown). Of several rows
        with one id the first counts. Empty if there is no such file.
    problems : list of str
        What is not as it should be.
    """
    path = root / "participants.tsv"
    if not path.is_file():
        return {}, ["participants.tsv is missing"]
    frame, problems = read_tabular(path)
    if "participant_id" not in frame.columns:
        return {}, [*problems, "participants.tsv has no column participant_id"]
    participants: dict[str, dict[str, str]] = {}
    for row in frame.to_dict("records"):
        subject = row.pop("participant_id").removeprefix("sub-")
        if not subject:
            continue
        if subject in participants:
            problems.append(
                f"participants.tsv lists sub-{subject} more than once; the first counts"
            )
            continue
        participants[subject] = row
    return participants, problems
