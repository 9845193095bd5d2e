"""What the events of a dataset hold: every column and value, how often, and which have tags."""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bidsmill.bids.events import events_of_annotations, read_events
from bidsmill.bids.reading import open_recording
from bidsmill.bids.recordings import Recording, find_recordings, included
from bidsmill.bids.repairs import Repairs
from bidsmill.bids.sidecars import merged_json, read_json_sidecar, sidecars_in_use
from bidsmill.errors import BidsmillError, RecordingProblem
from bidsmill.formats import tables
from bidsmill.formats.hed_strings import load_schema
from bidsmill.formats.numbers import finite_number
from bidsmill.sources.local import list_files
from bidsmill.sources.lock import read_lock
from bidsmill.sources.place import dataset_root
from bidsmill.sources.selection import is_raw

if TYPE_CHECKING:
    import pandas as pd

# Columns of which HED has no categories: when an event is, and HED itself.
OF_TIME = ("onset", "duration", "sample", "HED")
# More distinct values are not listed one by one.
MOST_VALUES = 50
# A column of at most this many numbers holds codes.
MOST_CODES = 10


@dataclass
class Column:
    """One column of the events of a dataset.

    Attributes
    ----------
    counts : Counter
        Value -> rows that have it.
    untagged : set of str
        Values that some recording has without tags.
    is_tagged : bool
        Whether a sidecar gives tags to a value of it.
    invalid : dict
        Value -> what is wrong with the tags that a sidecar gives it.
    description : str
        Of the sidecars.
    levels : dict
        Value -> its description in the sidecars.
    """

    counts: Counter[str] = field(default_factory=Counter)
    untagged: set[str] = field(default_factory=set)
    is_tagged: bool = False
    invalid: dict[str, str] = field(default_factory=dict)
    description: str = ""
    levels: dict[str, str] = field(default_factory=dict)

    @property
    def is_listed(self) -> bool:
        """Whether its values are few enough, and of a kind, to be tagged one by one."""
        if len(self.counts) > MOST_VALUES:
            return False
        if len(self.counts) <= MOST_CODES or not self.is_numeric:
            return True
        whole = all(float(value).is_integer() for value in self.counts)
        return whole and len(self.counts) <= self.counts.total() / 2

    @property
    def is_numeric(self) -> bool:
        """Whether all values are numbers."""
        return all(finite_number(value) is not None for value in self.counts)


@dataclass
class Survey:
    """What the events of a dataset hold.

    Attributes
    ----------
    version : str, list of str or None
        ``HEDVersion`` of the dataset.
    columns : dict
        Name -> `Column`, ``trial_type`` and ``value`` first, the others by name.
    recordings, events : int
        How many there are.
    unread : dict
        Stem -> why the events of a recording could not be read.
    """

    version: Any
    columns: dict[str, Column] = field(default_factory=dict)
    recordings: int = 0
    events: int = 0
    unread: dict[str, str] = field(default_factory=dict)


def survey_events(settings: dict[str, Any], results: Path) -> Survey:
    """Look through the events of all recordings of a dataset.

    Parameters
    ----------
    settings : dict
        The dataset's settings.
    results : pathlib.Path
        ``results/{dataset}``: where the lock and the files of a dataset that is fetched are,
        and the markers that `annotate` has read from data files.

    Raises
    ------
    BidsmillError
        If the dataset is not on this disk yet, or its HED version is unknown.
    """
    root = dataset_root(settings, results)
    recordings = _recordings(settings, results, root)
    description, _ = read_json_sidecar(root / "dataset_description.json")
    survey = Survey(description.get("HEDVersion"), recordings=len(recordings))
    sidecars: dict[tuple[str, ...], _Tags] = {}
    for recording in recordings:
        repairs = Repairs(**settings["repairs"])
        named = {k: v for k, v in recording.sidecars.items() if k.startswith("events.")}
        used, _ = sidecars_in_use(recording.data, named, repairs)
        paths = tuple(used.get("events.json", []))
        if paths not in sidecars:
            content, _ = merged_json(root, list(paths), repairs)
            sidecars[paths] = _Tags(content, survey.version)
        try:
            events = _events(recording, used, root, results, settings, repairs)
        except RecordingProblem as problem:
            survey.unread[recording.stem] = problem.message()
            continue
        survey.events += len(events)
        _count(survey.columns, events, sidecars[paths])
    order = {"trial_type": 0, "value": 1}
    names = sorted(survey.columns, key=lambda name: (order.get(name, 2), name))
    survey.columns = {name: survey.columns[name] for name in names}
    return survey


def _recordings(settings: dict[str, Any], results: Path, root: Path) -> list[Recording]:
    """Return the recordings of a dataset: a local one's as they are, else those of the lock."""
    if settings["source"] == "local":
        paths = [p for p in list_files(root, settings["folders"]) if is_raw(p, settings["folders"])]
    elif (results / "lock.json").is_file():
        paths = [entry["path"] for entry in read_lock(results / "lock.json")["files"]]
    else:
        raise BidsmillError(
            "the dataset is not on this disk yet",
            file=results / "lock.json",
            todo="snakemake --cores 2 (with your --configfile), then this again",
        )
    return [r for r in find_recordings(paths) if included(r, settings["include"])]


def _events(
    recording: Recording,
    used: dict[str, list[str]],
    root: Path,
    results: Path,
    settings: dict[str, Any],
    repairs: Repairs,
) -> pd.DataFrame:
    """Return the events as `annotate` takes them, with the columns of their source."""
    paths = used.get("events.tsv")
    if paths:
        return read_events(root / paths[-1], repairs)[0]
    if settings["annotations"] != "when-no-events":
        return events_of_annotations([])
    annotated = results / "events" / f"{recording.stem}.tsv"
    if annotated.is_file():
        events = tables.read_tsv(annotated)
        # Of markers in a data file, `annotate` keeps these columns.
        return events[["onset", "duration", "trial_type"]]
    return events_of_annotations(open_recording(root, recording.data, repairs).annotations)


def _count(columns: dict[str, Column], events: pd.DataFrame, tags: _Tags) -> None:
    """Add the values of one recording."""
    own = events["HED"] != "" if "HED" in events.columns else None
    for name in dict.fromkeys(events.columns):
        if name in OF_TIME or not str(name).strip() or list(events.columns).count(name) > 1:
            continue
        cells = events[name]
        counts = Counter(str(cell) for cell in cells if cell != "")
        if not counts:
            continue
        column = columns.setdefault(name, Column())
        column.counts.update(counts)
        # An event with a string of its own lacks no tags.
        bare = set(cells if own is None else cells[~own]) - {""}
        column.untagged |= {value for value in bare if not tags.has(name, value)}
        column.is_tagged = column.is_tagged or tags.of_column(name) is not None
        tags.describe(name, column)


class _Tags:
    """What one sidecar says of columns and values."""

    def __init__(self, sidecar: dict[str, Any], version: Any):
        self.sidecar = {k: v for k, v in sidecar.items() if isinstance(v, Mapping)}
        self.faults = faults_of(self.sidecar, version)

    def of_column(self, column: str) -> str | dict[str, str] | None:
        """Return the HED of a column: one text with ``#``, texts by value, or None."""
        return _texts(self.sidecar.get(column, {}).get("HED")) or None

    def has(self, column: str, value: str) -> bool:
        """Return whether a value has tags that are valid."""
        hed = self.of_column(column)
        if hed is None or (column, None) in self.faults or (column, value) in self.faults:
            return False
        return isinstance(hed, str) or value in hed

    def describe(self, name: str, column: Column) -> None:
        """Add the descriptions and the faults of the sidecar to a column."""
        entry = self.sidecar.get(name, {})
        said, levels = entry.get("Description"), entry.get("Levels")
        if isinstance(said, str):
            column.description = column.description or said
        for value, text in levels.items() if isinstance(levels, Mapping) else ():
            # BIDS 1.10 allows an object with its description, too.
            text = text.get("Description") if isinstance(text, Mapping) else text
            if isinstance(text, str):
                column.levels.setdefault(str(value), text)
        for (where, value), message in self.faults.items():
            if where == name:
                # hedtools does not always say which of the texts is meant.
                hed = entry.get("HED")
                texts = hed if isinstance(hed, Mapping) else column.counts
                for one in texts if value is None else [value]:
                    column.invalid.setdefault(one, message)


def faults_of(sidecar: Mapping[str, Any], version: Any) -> dict[tuple[str | None, str | None], str]:
    """Return what hedtools finds wrong with the HED of a sidecar.

    Parameters
    ----------
    sidecar : mapping
        Column -> entry.
    version : str, list of str or None
        The HED version.

    Returns
    -------
    dict
        Column and value (None: hedtools does not say which) -> message.
    """
    sidecar = {c: entry for c, entry in sidecar.items() if isinstance(entry, Mapping)}
    with_hed = {c: {"HED": found} for c, e in sidecar.items() if (found := _texts(e.get("HED")))}
    if not with_hed:
        return {}
    schema = load_schema(version)
    from hed import Sidecar
    from hed.errors.error_types import ErrorSeverity

    found = Sidecar(io.StringIO(json.dumps(with_hed))).validate(schema, name="")
    messages = {
        (issue.get("ec_sidecarColumnName"), issue.get("ec_sidecarKeyName"), str(issue["message"]))
        for issue in found
        if issue["severity"] == ErrorSeverity.ERROR
    }
    # hedtools goes through some of its findings in the order of a set.
    in_order = sorted(messages, key=lambda cell: tuple(part or "" for part in cell), reverse=True)
    faults = {(column, value): " ".join(text.split()) for column, value, text in in_order}
    return dict(reversed(faults.items()))


def _texts(hed: Any) -> str | dict[str, str] | None:
    """Return the HED of a column as far as it is well formed: hedtools stops at what is not."""
    if isinstance(hed, Mapping):
        return {k: t for k, t in hed.items() if isinstance(t, str) and t.strip() and k != "n/a"}
    return hed if isinstance(hed, str) and "#" in hed else None
