"""From the results of single recordings to the tables of a dataset."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bidsmill.annotate.definitions import definitions_of
from bidsmill.annotate.duplicates import duplicate_issues, duplicates_table, find_duplicates
from bidsmill.annotate.events_table import EVENT_COLUMNS, OWN_COLUMNS, events_table
from bidsmill.annotate.label_words import label_entry
from bidsmill.annotate.labels import apply_labels
from bidsmill.annotate.participants import locked_participants
from bidsmill.annotate.quality import channels_table, insert_quality_facts, with_quality
from bidsmill.annotate.recordings_table import recordings_table
from bidsmill.annotate.samples_table import samples_table
from bidsmill.bids.events import seconds
from bidsmill.bids.repairs import Repairs
from bidsmill.errors import BidsmillError
from bidsmill.formats import files, receipts, tables
from bidsmill.formats.data_dictionary import data_dictionary, source_column
from bidsmill.sources.presence import read_state

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)


@dataclass
class Part:
    """One recording.

    Attributes
    ----------
    stem : str
        Its name.
    entry, detail : dict
        Its entry in the manifests of the conversion, and the detail of its receipt.
    events : DataFrame of str
        Its events.
    scopes : list of (float, float, str)
        Beginning and end (s) and HED of its temporal scopes; only where rows have no events.
    """

    stem: str
    entry: dict[str, Any]
    detail: dict[str, Any]
    events: pd.DataFrame
    scopes: list[tuple[float, float, str]] = field(default_factory=list)


def collate_dataset(
    dataset_path: Path,
    plan_paths: list[Path],
    annotate_paths: list[Path],
    convert_paths: list[Path],
    fetched_path: Path,
    outputs: dict[str, Path],
    *,
    dataset: str,
    settings: dict[str, Any],
) -> None:
    """Write the tables of a dataset with their sidecars, and the vocabulary of its labels.

    Parameters
    ----------
    dataset_path : pathlib.Path
        ``plan/dataset.json``.
    plan_paths, annotate_paths, convert_paths : list of pathlib.Path
        Of all batches.
    fetched_path : pathlib.Path
        ``fetch/dataset.json``.
    outputs : dict
        ``recordings``, ``events``, ``samples``, ``samples_text``, ``channels``,
        ``duplicates``, ``vocabulary``, and ``recordings_sidecar``, ``events_sidecar``,
        ``samples_sidecar``, ``channels_sidecar`` -> path.
    dataset : str
        Dataset id.
    settings : dict
        ``labels``, ``quality``, ``repairs`` and ``hed`` of the dataset.

    Raises
    ------
    BidsmillError
        If a file that a manifest names is gone (with the command that rebuilds it), or a label
        names an unknown column.
    """
    overview = files.read_json(dataset_path)
    results = dataset_path.parents[1]
    members = {m["stem"]: m for path in plan_paths for m in files.read_json(path)["members"]}
    converted = _entries(convert_paths)
    annotated = _entries(annotate_paths)
    if set(converted) != set(overview["recordings"]):
        raise BidsmillError(
            "the manifests do not hold the recordings of the lock",
            file=dataset_path,
            found=f"{len(converted)} recordings",
            expected=f"{len(overview['recordings'])}",
            todo="snakemake --cores 2 -R convert (with the --configfile of this run)",
        )
    parts = [_part(dataset, results, s, converted[s], annotated[s]) for s in sorted(converted)]
    missing, state = files.read_json(fetched_path)["missing"], read_state(results, "dataset")
    repairs = Repairs(**settings["repairs"])
    participants, notes = locked_participants(overview, missing, state, repairs)
    events, first_rows = events_table(parts)
    samples, of_event = samples_table(parts, participants, events, first_rows)
    labels, exclude = settings["labels"], settings["quality"]["exclude"]
    version, proposed = overview["hed_version"], settings["hed"]["proposed"]
    found = apply_labels(samples, labels, of_event, version, proposed=proposed)
    samples = _with_labels(with_quality(samples, parts, exclude), found.columns)
    recordings = recordings_table(parts, members, annotated, participants, events, samples)
    prints = {p.stem: p.detail["quality"]["signal"] for p in parts if p.detail}
    twins, duplicates = find_duplicates(prints), duplicates_table(prints, members)
    insert_quality_facts(recordings, parts, exclude, twins)
    issues = duplicate_issues(twins, {stem: member["data"] for stem, member in members.items()})
    whole = {"recordings": recordings, "events": events, "samples": samples}
    own = {
        "samples": {name: label_entry(labels[name], found.vocabulary[name]) for name in labels},
        "events": {n: source_column(events[n]) for n in events if n not in EVENT_COLUMNS},
    }
    _write_tables(outputs, {**whole, "channels": channels_table(parts)}, own, version)
    tables.write_tsv(outputs["duplicates"], duplicates)
    spoken = {
        "labels": found.vocabulary,
        "unclear": found.unclear,
        "notes": notes,
        "issues": [*issues, *found.issues],
    }
    files.write_json(outputs["vocabulary"], spoken)
    log.info("%d recordings, %d events, %d rows", len(recordings), len(events), len(samples))


def _write_tables(
    outputs: dict[str, Path],
    whole: dict[str, pd.DataFrame],
    own: dict[str, dict[str, dict[str, Any]]],
    hed_version: Any,
) -> None:
    """Write each table with its sidecar, in which `own` describes some columns."""
    tables.write_parquet(outputs["samples"], whole["samples"])
    for name, frame in whole.items():
        tables.write_tsv(outputs["samples_text" if name == "samples" else name], frame)
        definitions = definitions_of(frame["HED"], hed_version) if "HED" in frame else []
        content = data_dictionary(name, map(str, frame.columns), own.get(name), definitions)
        files.write_json(outputs[f"{name}_sidecar"], content)


def _entries(paths: list[Path]) -> dict[str, dict[str, Any]]:
    return {k: v for path in paths for k, v in files.read_json(path)["members"].items()}


def _part(
    dataset: str, results: Path, stem: str, entry: dict[str, Any], annotated: dict[str, Any]
) -> Part:
    """Read what lies beside the manifests, and check that all of it is there."""
    detail: dict[str, Any] = {}
    if entry["status"] != "quarantined":
        receipt = receipts.read_receipt(results / "matrix" / f"{stem}.json")
        if receipt is None or receipts.manifest_entry(receipt) != entry:
            raise rebuild_error(dataset, stem, results / "matrix" / f"{stem}.json")
        detail = receipt["detail"]
        for name, stated in entry["files"].items():
            path = results / "matrix" / name
            if not path.is_file() or path.stat().st_size != stated["size"]:
                raise rebuild_error(dataset, stem, path)
    part = Part(stem, entry, detail, _annotated_events(results, stem, annotated))
    if detail and detail["events"] is None:
        part.scopes = _scopes(results, stem, annotated)
    return part


def _annotated_events(results: Path, stem: str, annotated: dict[str, Any]) -> pd.DataFrame:
    import pandas as pd

    if annotated["status"] == "quarantined":
        # Its conversion is quarantined too, with what is wrong.
        return pd.DataFrame(columns=OWN_COLUMNS, dtype=object)
    return _annotated_table(results / "events" / f"{stem}.tsv", annotated)


def _scopes(results: Path, stem: str, annotated: dict[str, Any]) -> list[tuple[float, float, str]]:
    """Return the temporal scopes of a recording; one that is never closed ends at infinity."""
    path = results / "events" / f"{stem}_scopes.tsv"
    if path.name not in annotated["files"]:
        return []
    rows = _annotated_table(path, annotated)[["onset", "stop", "HED"]].itertuples(index=False)
    return [(seconds(onset), seconds(stop) if stop else math.inf, hed) for onset, stop, hed in rows]


def _annotated_table(path: Path, annotated: dict[str, Any]) -> pd.DataFrame:
    if not path.is_file() or path.stat().st_size != annotated["files"][path.name]["size"]:
        raise BidsmillError(
            "a result is missing or is not the one that was made",
            file=path,
            todo="snakemake --cores 2 -R annotate (with the --configfile of this run)",
        )
    return tables.read_tsv(path)


def rebuild_error(dataset: str, stem: str, path: Path) -> BidsmillError:
    """Return the error for a lost or damaged matrix: it names the command that rebuilds it."""
    return BidsmillError(
        "a result is missing or is not the one that was made",
        file=path,
        todo=f"snakemake --cores 2 -f results/{dataset}/matrix/{stem}.json, then snakemake again"
        " (both with the --configfile of this run)",
    )


def _with_labels(samples: pd.DataFrame, labels: pd.DataFrame) -> pd.DataFrame:
    """Put the label columns before ``excluded``."""
    import pandas as pd

    head = samples.drop(columns="excluded")
    return pd.concat([head, labels, samples[["excluded"]]], axis=1)
