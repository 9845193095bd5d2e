"""Split several datasets at once: read their `samples.parquet`, write one table and its record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bidsmill.errors import BidsmillError
from bidsmill.formats import certificate, files, tables
from bidsmill.split import groups, proof, strata
from bidsmill.split.attempt import FURTHEST_SHARE
from bidsmill.split.merging import Links, merge_units, read_links
from bidsmill.split.optimiser import ABSOLUTE_GAP
from bidsmill.split.placed import Held, hold, prior_sides, read_previous
from bidsmill.split.settings import Settings, read_settings
from bidsmill.split.together import Together, split_together

if TYPE_CHECKING:
    import pandas as pd

# What all datasets of one split have in common; the rest of `split:` is each one's own.
SHARED = ("test", "validation", "group", "seed")


@dataclass(frozen=True)
class _Member:
    """One dataset: its rows, what is known of its people, and who was placed before."""

    samples: pd.DataFrame
    wish: Settings
    links: Links
    aliases: list[list[str]]
    held: Held


def split_datasets(
    name: str,
    datasets: Sequence[str],
    paths: Mapping[str, Sequence[str]],
    table_path: Path,
    record_path: Path,
    *,
    labels: Mapping[str, list[str]],
    settings: Mapping[str, Mapping[str, Any]],
    people: Mapping[str, Mapping[str, Any]],
) -> dict[str, Any]:
    """Split several datasets at once and write who stands where, and how good that is.

    People stay together within and across the datasets, also those whose recordings share signals
    within one dataset. Who was placed before stays. A split that cannot be made is written with
    the reason, and puts nobody on a side; it is no error.

    Parameters
    ----------
    name : str
        Name of the split.
    datasets : sequence of str
        Names of the datasets.
    paths : mapping
        ``samples`` (`samples.parquet`), ``duplicates`` (`duplicates.tsv`) and ``previous``
        (`split-previous.json`): one path per dataset each, in their order.
    table_path, record_path : pathlib.Path
        To be written: a table of `dataset`, `group` and `split`, and a JSON file.
    labels : mapping
        Dataset -> its label columns.
    settings : mapping
        Dataset -> its settings of a split; those of `SHARED` are equal.
    people : mapping
        Dataset -> what the config says of its people (see `merging.read_links`).

    Returns
    -------
    dict
        The record as written.

    Raises
    ------
    BidsmillError
        If a file cannot be read.
    """
    import pandas as pd

    places = sorted(zip(datasets, paths["samples"], strict=True))
    samples = {dataset: tables.read_parquet(path) for dataset, path in places}
    duplicates = dict(zip(datasets, map(Path, paths["duplicates"]), strict=True))
    previous = dict(zip(datasets, map(Path, paths["previous"]), strict=True))
    shared = {key: settings[datasets[0]][key] for key in SHARED}
    members: dict[str, _Member] = {}
    made, reason = None, ""
    try:
        for dataset, frame in samples.items():
            links = read_links(duplicates[dataset], people[dataset])
            wish = read_settings(dict(settings[dataset]))
            members[dataset] = _member(dataset, frame, wish, links, previous[dataset], datasets)
        made = split_together(
            samples,
            [names for member in members.values() for names in member.aliases],
            shared,
            labels=labels,
            stratify={dataset: member.wish.stratify for dataset, member in members.items()},
            placed={dataset: member.held for dataset, member in members.items()},
        )
        reason = "" if made.unheld else _reason_against(made, shared)
    except BidsmillError as error:
        made, reason = None, error.message()
    record = _record(name, sorted(datasets), shared, None if reason else made, reason)
    record["unknown"] = {dataset: member.held.unknown for dataset, member in members.items()}
    record["inputs"] = {
        dataset: proof.input_digest(member.samples, _balanced(member, labels.get(dataset, [])))
        for dataset, member in sorted(members.items())
    }
    own = {} if made is None or reason else made.tables
    listed = [table.assign(dataset=dataset) for dataset, table in sorted(own.items())]
    columns = ["dataset", "group", "split"]
    table = pd.concat(listed)[columns] if listed else pd.DataFrame(columns=columns)
    tables.write_tsv(table_path, table)
    files.write_json(record_path, record)
    return record


def _member(
    dataset: str,
    samples: pd.DataFrame,
    wish: Settings,
    links: Links,
    previous_path: Path,
    datasets: Sequence[str],
) -> _Member:
    merging = merge_units(samples, "subject", links)
    table = groups.group_table(
        samples, "subject", share=wish.test, gap=wish.gap, joined=merging.first
    )
    held = hold(samples, table, prior_sides(samples, read_previous(previous_path)), wish)
    aliases = [[f"{dataset}/{member}" for member in entry["members"]] for entry in merging.entries]
    aliases += [[f"{dataset}/{own}", *others] for own, others in links.elsewhere.items()]
    subjects = sorted(set(certificate.group_ids(samples, "subject")) - {""})
    # A copy or another release of a study has the same people under the same names.
    for mirror in sorted(set(links.mirrors) & set(datasets)):
        aliases += [[f"{dataset}/{subject}", f"{mirror}/{subject}"] for subject in subjects]
    return _Member(samples, wish, links, aliases, held)


def _balanced(member: _Member, labels: list[str]) -> list[str]:
    """Return the columns that were balanced; none where they cannot be."""
    try:
        return strata.chosen_columns(member.samples, labels, member.wish.stratify)
    except BidsmillError:
        return []


def _total(made: Together) -> dict[str, int]:
    """Count the rows of all datasets on each side; excluded rows do not count."""
    whole = [records[0] for records in made.balance.values()]
    return {side: sum(record[side] for record in whole) for side in certificate.SIDES}


def _reason_against(made: Together, shared: Mapping[str, Any]) -> str:
    """Return why a split is no answer to the wish, by the measure of a split of one dataset."""
    rows = _total(made)
    placed = sum(rows.values()) - rows["none"]
    for side in ("test", "validation"):
        reached = rows[side] / max(1, placed)
        if abs(reached - shared[side]) > FURTHEST_SHARE + 1e-9:
            return (
                f"the nearest share of {side} in all datasets is {reached:.3f}, further than "
                f"{FURTHEST_SHARE} from the wish of {shared[side]}"
            )
    return ""


def _record(
    name: str, datasets: list[str], shared: dict[str, Any], made: Together | None, reason: str
) -> dict[str, Any]:
    sides = np.array(list(made.people.values()) if made else [], dtype=object)
    return {
        "contract": certificate.CONTRACT,
        "together": name,
        "datasets": datasets,
        "status": "done" if made else "refused",
        "reason": reason and f"split together with others ({', '.join(datasets)}): {reason}",
        "settings": shared,
        "method": _method(datasets, shared, made) if made else "",
        **proof.choice_record(made.test if made else None),
        "validation": proof.choice_record(made.validation) if made and made.validation else None,
        "people": proof.side_counts(sides),
        "rows": _total(made) if made else dict.fromkeys(certificate.SIDES, 0),
        "merged": made.merged if made else [],
        "balance": made.balance if made else {},
        "cost": _cost(made) if made else None,
    }


def _cost(made: Together) -> dict[str, float] | None:
    """Return what it costs in balance that people stay where they were."""
    if made.unheld is None:
        return None
    return {
        "objective_without": round(made.unheld.objective, proof.DIGITS),
        "bound_without": round(made.unheld.bound, proof.DIGITS),
        "cost": round(made.test.objective - made.unheld.objective, proof.DIGITS),
    }


def _method(datasets: list[str], shared: Mapping[str, Any], made: Together) -> str:
    """Return how the split was made, in prose."""
    text = (
        f"The datasets {', '.join(datasets)} were split at once, and each person is on one side "
        "in all of them. The people of test were chosen by mixed-integer programming to hold a "
        f"share of {shared['test']} of all rows, of the rows of each dataset, and of the rows of "
        "every stratum of each dataset: the objective is the weighted mean of the absolute "
        "deviations of these shares, where all rows together, each dataset and each stratified "
        "column of a dataset weigh the same, and the strata of a column share its weight. "
        "Excluded rows do not count. The bound is a proven lower limit of the objective for any "
        f"choice of people; the solver stops at a gap of {ABSOLUTE_GAP} or at a limit of nodes, "
        "and programs too large for the solver are bounded by the fact that rows are whole "
        "(nodes: 0)."
    )
    if shared["validation"] > 0:
        text += (
            " Validation was chosen in the same way among the other people, for a share of "
            f"{shared['validation']} of all rows."
        )
    if made.unheld is not None:
        text += (
            " People who had a side in the split before stayed there, and the others were chosen "
            "around them; the bound is that of any choice that leaves them."
        )
    return text
