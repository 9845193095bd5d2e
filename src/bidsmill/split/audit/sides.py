"""Who stands on several sides, by the tables alone, and whether the certificate fits them."""

from __future__ import annotations

from typing import Any

import numpy as np

from bidsmill.errors import BidsmillError
from bidsmill.formats.certificate import (
    LEVELS,
    SIDES,
    group_ids,
    group_of_rows,
    rows_by_value,
    side_of_rows,
    text_column,
)
from bidsmill.formats.numbers import counted
from bidsmill.split.audit.finding import some
from bidsmill.split.audit.material import Material
from bidsmill.split.proof import input_digest, side_counts

PREFIX = "stratify "


def check_sides(material: Material) -> None:
    """Run every check of this module."""
    for check in (
        rows_on_unknown_sides,
        rows_listed_twice,
        groups_on_several_sides,
        nobody_on_a_side,
        column_against_table,
        certificate_against_samples,
        inputs_against_samples,
    ):
        check(material)


def level_of(material: Material) -> str:
    """Return the level that the certificate (or else the table) declares; else ``subject``."""
    level = material.content.get("level")
    if level not in LEVELS and material.table is not None and len(material.table):
        level = material.table["level"].iloc[0]
    return level if level in LEVELS else "subject"


def on_several(side: np.ndarray, groups: np.ndarray) -> dict[str, list[str]]:
    """Return the groups that have rows on more than one side, with these sides.

    Parameters
    ----------
    side, groups : numpy.ndarray
        Shape (rows,), text: side and group of each row; rows with '' or ``none`` do not count.
    """
    placed = np.flatnonzero((side != "none") & (side != "") & (groups != ""))
    found = {}
    for name, rows in rows_by_value(groups[placed]).items():
        sides = sorted(set(side[placed][rows]))
        if len(sides) > 1:
            found[name] = sides
    return found


def rows_on_unknown_sides(material: Material) -> None:
    """Find sides that are none of the four."""
    unknown = np.flatnonzero(~np.isin(material.side, SIDES))
    if len(unknown):
        material.found(
            "side_unknown",
            "leak",
            f"{counted(len(unknown), 'row')} stand on a side that is none of {', '.join(SIDES)}: "
            "nobody can tell whether they are trained on. Correct the column `split`.",
            count=len(unknown),
            places=some(sorted({str(s) for s in material.side[unknown]})),
        )


def rows_listed_twice(material: Material) -> None:
    """Find matrix rows that several rows of `samples` point to."""
    import pandas as pd

    keys = pd.DataFrame({"recording": material.recordings, "row": material.samples["row"]})
    twice = keys.duplicated(keep=False).to_numpy()
    if not twice.any():
        return
    names = np.array([f"{r} row {i}" for r, i in keys[twice].itertuples(index=False)], dtype=object)
    across = on_several(material.side[twice], names)
    if across:
        material.found(
            "row_on_several_sides",
            "leak",
            f"{counted(len(across), 'row')} of a matrix stand on several sides, since `samples` "
            "lists them more than once: the same signal is trained and tested on. Remove the "
            "copies from `samples`.",
            count=len(across),
            places=some(list(across)),
        )
    same = sorted(set(names) - set(across))
    if same:
        material.found(
            "row_listed_twice",
            "note",
            f"{counted(len(same), 'row')} of a matrix are listed more than once in `samples`, on "
            "one side: they weigh more than others.",
            count=len(same),
            places=some(same),
        )


def groups_on_several_sides(material: Material) -> None:
    """Find subjects, sessions and recordings on several sides."""
    level = level_of(material)
    why = "what a model learns of them in training is known in the test. Split again"
    for name in LEVELS[:3]:
        shared = on_several(material.side, group_ids(material.samples, name))
        if not shared:
            continue
        places = some([f"{group} ({', '.join(sides)})" for group, sides in shared.items()])
        declared = LEVELS.index(level) > LEVELS.index(name)
        noun = {"run": "recording"}.get(name, name)
        if not declared:
            message = (
                f"{counted(len(shared), noun)} on more than one side, although the split is "
                f"declared to keep the level {level!r} apart: {why}, or correct the tables."
            )
            material.found(
                f"{noun}_on_several_sides", "leak", message, count=len(shared), places=places
            )
            return
        if name == "subject":
            message = (
                f"{counted(len(shared), 'subject')} on more than one side, as the declared level "
                f"{level!r} allows: scores tell nothing of new people. State the level beside "
                "every score."
            )
            material.found("known_subjects", "note", message, count=len(shared), places=places)


def nobody_on_a_side(material: Material) -> None:
    """Find rows of no participant on a side."""
    nobody = group_ids(material.samples, "subject") == ""
    wrong = np.flatnonzero(nobody & ~np.isin(material.side, ("none", "")))
    if len(wrong):
        names = sorted(set(material.recordings[wrong]))
        material.found(
            "nobody_on_a_side",
            "leak",
            f"{counted(len(wrong), 'row')} of no participant (no subject, or an empty room) stand "
            "on a side: nothing shows from whom they are kept apart. Put them on the side `none`.",
            count=len(wrong),
            places=some(names),
        )


def column_against_table(material: Material) -> None:
    """Compare the column `split` with what ``split.tsv`` says of each row."""
    if material.table is None or "split" not in material.samples:
        return
    stated = side_of_rows(material.samples, material.table)
    wrong = np.flatnonzero(stated != material.side)
    if len(wrong):
        names = sorted(set(material.recordings[wrong]))
        material.found(
            "split_contradicts_table",
            "leak",
            f"{counted(len(wrong), 'row')} of `samples` stand on another side than split.tsv says "
            f"({counted(len(names), 'recording')}): the proof is about another split than the one "
            "that is read. Publish the dataset again, or correct the column `split`.",
            count=len(wrong),
            places=some(names),
        )


def certificate_against_samples(material: Material) -> None:
    """Compare level, groups and counts of the certificate with table and samples."""
    table, content = material.table, material.content
    if table is None or not len(table):
        return
    side = side_of_rows(material.samples, table)
    kept = text_column(material.samples, "excluded") == ""
    group = group_of_rows(material.samples, table)
    wrong = []
    levels = sorted(set(table["level"]))
    if levels != [content.get("level")]:
        wrong.append(f"level {content.get('level')!r}, but split.tsv has {', '.join(levels)}")
    for key, found in (
        ("groups", side_counts(table["split"].to_numpy(dtype=object))),
        ("rows", side_counts(side[kept])),
        ("rows_excluded", side_counts(side[~kept])),
    ):
        if key in content and content[key] != found:
            wrong.append(f"{key} {content[key]}, but there are {found}")
    for column, rows in (("rows", kept), ("rows_excluded", ~kept)):
        own = {name: len(part) for name, part in rows_by_value(group[rows]).items()}
        listed = zip(table["group"], table[column], strict=True)
        differing = [name for name, number in listed if own.get(name, 0) != number]
        if differing:
            wrong.append(f"column {column} of split.tsv is wrong for {', '.join(differing[:3])}")
    if content.get("status") == "refused" and (table["split"] != "none").any():
        wrong.append("refused, but split.tsv puts groups on sides")
    if wrong:
        material.found(
            "certificate_contradicts_samples",
            "leak",
            f"split.json and split.tsv do not fit the samples: {'; '.join(wrong)}. The proof is "
            "about another split. Split and publish again.",
            count=len(wrong),
        )


def inputs_against_samples(material: Material) -> None:
    """Compare the sha256 of the inputs in the certificate with that of the samples."""
    inputs = material.content.get("inputs")
    if not isinstance(inputs, dict):
        return
    stated = [str(name) for name in inputs.get("columns", ())]
    names = [name.removeprefix(PREFIX) for name in stated if name.startswith(PREFIX)]
    found: Any = None
    try:
        if all(name in material.samples for name in names):
            found = input_digest(material.samples, names)["sha256"]
    except (BidsmillError, ValueError, TypeError, KeyError):
        found = None
    if found != inputs.get("sha256"):
        material.found(
            "certificate_of_other_samples",
            "leak",
            "The sha256 of the inputs in split.json is not that of the samples: windows, subjects, "
            "labels or exclusions were changed after the split, and the proof is about what was "
            "before. Split and publish again.",
            facts={"stated": inputs.get("sha256"), "found": found},
        )
