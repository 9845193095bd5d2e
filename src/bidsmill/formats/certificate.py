"""The split on disk: `split.tsv` (one row per group) and `split.json` (the certificate).

This module is the only reader and writer of both files, and the only place that says to which
group, and so to which side, a row of `samples` belongs. Whoever needs the side of a row
(publishing, report, access) asks `side_of_rows`; the optimiser counts with the same function.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from bidsmill.errors import BidsmillError
from bidsmill.formats import files, tables

if TYPE_CHECKING:
    import pandas as pd

CONTRACT = "1"
LEVELS = ("subject", "session", "run", "time")
SIDES = ("train", "validation", "test", "none")
GROUP_COLUMNS = (
    "group",
    "level",
    "split",
    "rows",
    "rows_excluded",
    "recording",
    "onset_start",
    "onset_stop",
)
# What a table has besides. Tables written before groups could be merged lack it.
MEMBERS = "members"
SEPARATOR = ", "
# The fold of each group, from "1": only in the table of a split that has folds.
FOLD = "fold"
# BIDS 1.10, "Empty-room MEG recordings": sub-emptyroom is a reserved label, not a participant.
EMPTY_ROOM = "emptyroom"


def text_column(samples: pd.DataFrame, name: str) -> np.ndarray:
    """Return a text column of `samples` as str objects; absent columns and gaps are ''.

    Returns
    -------
    numpy.ndarray
        Shape (rows,), dtype object.
    """
    if name not in samples:
        return np.full(len(samples), "", dtype=object)
    column = samples[name].astype(object)
    return column.where(column.notna(), "").map(str).to_numpy(dtype=object)


def group_ids(samples: pd.DataFrame, level: str) -> np.ndarray:
    """Return the group of every row at a level whose groups are named by BIDS entities.

    Parameters
    ----------
    samples : pandas.DataFrame
        One row per window, with `recording`, `subject` and `session`.
    level : {"subject", "session", "run"}
        `subject` gives ``sub-01``; `session` gives ``sub-01_ses-1``, or ``sub-01`` where the
        recording has no session; `run` gives the BIDS stem of the recording.

    Returns
    -------
    numpy.ndarray
        Shape (rows,), dtype object; '' for rows without a subject and for empty-room
        recordings, which belong to nobody.
    """
    subject = text_column(samples, "subject")
    is_person = np.array([s != "" and s.lower() != EMPTY_ROOM for s in subject], dtype=bool)
    if level == "subject":
        names = [f"sub-{s}" for s in subject]
    elif level == "session":
        session = text_column(samples, "session")
        names = [
            f"sub-{s}_ses-{v}" if v else f"sub-{s}" for s, v in zip(subject, session, strict=True)
        ]
    elif level == "run":
        names = list(text_column(samples, "recording"))
    else:
        raise ValueError(f"the level {level!r} has no groups named by entities")
    groups = np.array(names, dtype=object).reshape(len(samples))
    groups[~is_person] = ""
    return groups


def group_of_rows(samples: pd.DataFrame, table: pd.DataFrame) -> np.ndarray:
    """Return the group of `table` that covers each row of `samples`.

    Parameters
    ----------
    samples : pandas.DataFrame
        One row per window.
    table : pandas.DataFrame
        Groups, with `group` and `level`, and `members`: the subjects, sessions or recordings
        of the group (the group itself where the column is absent). At level `time` also
        `recording`, `onset_start` and `onset_stop` (s): a piece covers the rows of its members,
        which are recordings, with ``onset_start <= onset <= onset_stop``.

    Returns
    -------
    numpy.ndarray
        Shape (rows,), dtype object; '' where no group covers the row.
    """
    groups = np.full(len(samples), "", dtype=object)
    for level in LEVELS:
        part = table[table["level"] == level]
        if part.empty:
            continue
        if level == "time":
            found = _piece_of_rows(samples, part)
        else:
            group_of = dict(zip(*members_of(part), strict=True))
            ids = group_ids(samples, level)
            found = np.array([group_of.get(i, "") for i in ids], dtype=object).reshape(len(ids))
        groups = np.where(groups == "", found, groups)
    return groups


def members_of(table: pd.DataFrame) -> tuple[list[str], list[str]]:
    """Return every member of every group, and beside each the name of its group.

    Parameters
    ----------
    table : pandas.DataFrame
        Groups. Where `members` is absent or empty, a group has one member: itself, or at level
        `time` its recording.
    """
    members: list[str] = []
    groups: list[str] = []
    single = np.where(table["level"] == "time", table.get("recording", ""), table["group"])
    stated = table[MEMBERS] if MEMBERS in table else [""] * len(table)
    for group, alone, text in zip(table["group"], single, stated, strict=True):
        own = str(text).split(SEPARATOR) if isinstance(text, str) and text else [str(alone)]
        members += own
        groups += [str(group)] * len(own)
    return members, groups


def _piece_of_rows(samples: pd.DataFrame, pieces: pd.DataFrame) -> np.ndarray:
    """Find each row's piece by its onset; the pieces of one recording do not overlap."""
    import pandas as pd

    groups = np.full(len(samples), "", dtype=object)
    is_person = group_ids(samples, "run") != ""
    recording = text_column(samples, "recording")
    onset = samples["onset"].to_numpy(dtype=float)
    rows_of = rows_by_value(recording)
    bounds = pieces.assign(
        first=pd.to_numeric(pieces["onset_start"], errors="coerce"),
        last=pd.to_numeric(pieces["onset_stop"], errors="coerce"),
    )
    used = bounds[bounds["first"].notna()].sort_values("first").drop_duplicates("group")
    members, names = members_of(used)
    covered = used.set_index("group").loc[names].reset_index().assign(recording=members)
    for name, part in covered.groupby("recording", sort=False):
        rows = rows_of.get(str(name))
        if rows is None:
            continue
        place = np.searchsorted(part["first"].to_numpy(), onset[rows], side="right") - 1
        last = part["last"].to_numpy()[np.maximum(place, 0)]
        inside = (place >= 0) & (onset[rows] <= last) & is_person[rows]
        groups[rows[inside]] = part["group"].to_numpy(dtype=object)[place[inside]]
    return groups


def rows_by_value(values: np.ndarray) -> dict[str, np.ndarray]:
    """Return, for each distinct text, the numbers of the rows that hold it, in order."""
    import pandas as pd

    codes, names = pd.factorize(values, sort=True)
    order = np.argsort(codes, kind="stable")
    edges = np.searchsorted(codes[order], np.arange(1, len(names)))
    parts = np.split(order, edges)
    return {str(name): rows for name, rows in zip(names, parts, strict=False)}


def side_of_rows(samples: pd.DataFrame, table: pd.DataFrame) -> np.ndarray:
    """Return the side on which each row of `samples` stands.

    Parameters
    ----------
    samples : pandas.DataFrame
        One row per window, with `recording`, `onset`, `subject`, `session`.
    table : pandas.DataFrame
        Groups as `read_split` returns them.

    Returns
    -------
    numpy.ndarray
        Shape (rows,), dtype object: ``train``, ``validation``, ``test`` or ``none``. Rows that
        no group covers (empty rooms, rows in the gap between two sides) are ``none``.
    """
    side_of = dict(zip(table["group"], table["split"], strict=True))
    groups = group_of_rows(samples, table)
    return np.array([side_of.get(g, "none") for g in groups], dtype=object).reshape(len(samples))


def write_split(
    table_path: str | os.PathLike,
    certificate_path: str | os.PathLike,
    table: pd.DataFrame,
    certificate: dict[str, Any],
) -> None:
    """Write the table of groups and the certificate, each atomically.

    The certificate is written last: where it stands, its table stands too.

    Parameters
    ----------
    table : pandas.DataFrame
        Groups with the columns of `GROUP_COLUMNS`, sorted by the caller, and `members`;
        perhaps `fold`.
    certificate : dict
        The certificate; its key `contract` must be the contract of this module.
    """
    _check(table, certificate, table_path, certificate_path)
    optional = [FOLD] if FOLD in table else []
    tables.write_tsv(table_path, _with_members(table)[[*GROUP_COLUMNS, MEMBERS, *optional]])
    files.write_json(certificate_path, certificate)


def read_split(
    table_path: str | os.PathLike, certificate_path: str | os.PathLike
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Read the table of groups and the certificate.

    Returns
    -------
    table : pandas.DataFrame
        The columns of `GROUP_COLUMNS`, and `members` (text, separated by ``, ``), and `fold` if
        the split has folds (text, from ``1``, '' for groups on no side); `rows` and
        `rows_excluded` are int64, `onset_start` and `onset_stop` float64 (s, NaN where a group is
        not a piece of time).
    certificate : dict
        The content of `split.json`.

    Raises
    ------
    BidsmillError
        If a file is absent, of another contract, or holds an unknown level or side.
    """
    table = tables.read_tsv(table_path)
    certificate = files.read_json(certificate_path)
    _check(table, certificate, table_path, certificate_path)
    try:
        for name in ("rows", "rows_excluded"):
            table[name] = table[name].astype("int64")
        for name in ("onset_start", "onset_stop"):
            table[name] = table[name].replace("", "nan").astype("float64")
    except ValueError as error:
        raise BidsmillError("a split table holds no number", file=table_path, found=error) from None
    return _with_members(table), certificate


def _with_members(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table with its column `members` filled."""
    members: dict[str, list[str]] = {}
    for member, group in zip(*members_of(table), strict=True):
        members.setdefault(group, []).append(member)
    return table.assign(**{MEMBERS: [SEPARATOR.join(members[str(g)]) for g in table["group"]]})


def split_level_of_rows(samples: pd.DataFrame, table: pd.DataFrame) -> np.ndarray:
    """Return the level of the split of each row of `samples`: how much its side proves.

    Parameters
    ----------
    samples, table
        As for `side_of_rows`.

    Returns
    -------
    numpy.ndarray
        Shape (rows,), dtype object: a level, '' for rows on no side.
    """
    placed = table[table["split"] != "none"]
    level_of = dict(zip(placed["group"], placed["level"], strict=True))
    groups = group_of_rows(samples, table)
    return np.array([level_of.get(g, "") for g in groups], dtype=object).reshape(len(samples))


def fold_of_rows(samples: pd.DataFrame, table: pd.DataFrame) -> np.ndarray:
    """Return the fold of each row of `samples`.

    Parameters
    ----------
    samples, table
        As for `side_of_rows`; the table has the column `fold`.

    Returns
    -------
    numpy.ndarray
        Shape (rows,), dtype object: ``1``, ``2``, ...; '' for rows in no fold.
    """
    fold_of = dict(zip(table["group"], table[FOLD], strict=True))
    groups = group_of_rows(samples, table)
    return np.array([fold_of.get(g, "") for g in groups], dtype=object).reshape(len(samples))


def _check(table, certificate, table_path, certificate_path) -> None:
    """Refuse a table or certificate that is not of this contract."""
    found = certificate.get("contract") if isinstance(certificate, dict) else None
    if found != CONTRACT:
        raise BidsmillError(
            "a certificate of a split is of another contract",
            file=certificate_path,
            found=found,
            expected=CONTRACT,
        )
    missing = [name for name in GROUP_COLUMNS if name not in table]
    if missing:
        raise BidsmillError(
            "a split table lacks columns", file=table_path, expected=", ".join(missing)
        )
    for name, allowed in (("level", LEVELS), ("split", SIDES)):
        unknown = sorted(set(table[name]) - set(allowed))
        if unknown:
            raise BidsmillError(
                f"a split table holds an unknown {name}",
                file=table_path,
                found=", ".join(map(str, unknown)),
                expected=", ".join(allowed),
            )
