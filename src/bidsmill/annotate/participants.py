"""The participants of a dataset, as the lock has them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bidsmill.bids.participants import read_participants
from bidsmill.bids.repairs import Repairs
from bidsmill.errors import BidsmillError
from bidsmill.sources.place import REMOTE
from bidsmill.sources.presence import State, is_locked_file, look_at


def locked_participants(
    overview: dict[str, Any], missing: dict[str, Any], state: State, repairs: Repairs
) -> tuple[dict[str, dict[str, str]], list[str]]:
    """Read participants.tsv, if it is the one of the lock; go without it if it did not come.

    Parameters
    ----------
    overview : dict
        Content of ``plan/dataset.json``.
    missing : dict
        Files of the dataset that were not fetched -> reason code and message.
    state : dict
        What was seen of the files when they were locked or fetched.
    repairs : Repairs
        Which rules may act.

    Returns
    -------
    participants : dict
        See `read_participants`.
    notes : list of str
        What a person should know.

    Raises
    ------
    BidsmillError
        If the file is not the one that was locked.
    """
    path = Path(overview["root"]) / "participants.tsv"
    if path.name in missing:
        _, message = missing[path.name]
        return {}, [f"participants.tsv was not fetched, its columns are missing: {message}"]
    known = state.get(path.name)
    look = look_at(path, known)
    locked = overview["participants"]
    there = look is not None and is_locked_file(path, look, locked, known)
    if there != (locked is not None):
        # A file that was fetched is fetched again; one on a disk is locked anew.
        rule = "fetch_dataset" if overview["source"] in REMOTE else "lock"
        raise BidsmillError(
            "participants.tsv is not the file that was locked",
            file=path,
            todo=f"snakemake --cores 2 --forcerun {rule} (with the --configfile of this run)",
        )
    return read_participants(path.parent, repairs)
