"""The search index of a dataset version, made from its tables.

One row per event is kept as small whole numbers; what is text is kept once per distinct value.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from bidsmill.errors import BidsmillError
from bidsmill.formats.tables import MISSING

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

# Changes whenever the content of an index changes its meaning.
FORMAT = 1
ENTITIES = (
    "subject",
    "session",
    "task",
    "acquisition",
    "run",
    "processing",
    "datatype",
)
EVENT_NUMBERS = ("onset", "duration", "sample", "row")
HED_COLUMNS = ("HED", "HED_context", "HED_source")
# Which text a search reads: HED alone or with its context, and with proposals or without.
READINGS = ("HED", "HED_proposed", "context", "context_proposed")
PROPOSED = "proposed"
# A number (and its unit) that is the whole value of a tag: "Duration/0.532 s", not "2D-shape".
VALUE = re.compile(r"(?<=/)[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?(?=\s*[,()]| [^,()/]+|\s*$)")
# A line of a table, with its HED, is far shorter.
BLOCK_BYTES = 2**24
LONG_AGO = (1980, 1, 1, 0, 0, 0)


class Coded(NamedTuple):
    """A column of text: ``values[codes]``, each value once; what is missing is ``''``."""

    codes: np.ndarray
    values: np.ndarray

    def indices_of(self, wanted: list[str]) -> np.ndarray:
        """Return the place of each row's value in `wanted`, -1 where it is not there."""
        place = {value: index for index, value in enumerate(wanted)}
        return np.array([place.get(value, -1) for value in self.values], np.int64)[self.codes]


class Tables(NamedTuple):
    """The columns of ``events.tsv`` and ``samples.parquet``, and ``recordings`` with facts."""

    events: dict[str, Coded]
    samples: dict[str, Coded]
    sample_events: np.ndarray
    recordings: pd.DataFrame


def index_bytes(events_path: Path, samples_path: Path, recordings: pd.DataFrame) -> bytes:
    """Return the index of a dataset version: a zip archive, whose parts have checksums.

    ``facts.json`` names the rest: ``recordings`` (their facts and participants), ``texts``
    (distinct HED strings, and for each the first one that differs in numbers at most),
    ``groups`` (events and rows by recording and texts), ``event/`` (each event's group and
    columns) and ``row/`` (each row's group and event).

    Parameters
    ----------
    events_path, samples_path : pathlib.Path
        ``events.tsv`` and ``samples.parquet``.
    recordings : DataFrame
        ``recordings.tsv``, with its numbers as numbers.

    Raises
    ------
    BidsmillError
        If a table is damaged.
    """
    tables = _tables(events_path, samples_path, recordings)
    texts, groups, event_group, row_group = _grouped(tables)
    parts: dict[str, Any] = {
        "recordings": _arrow_frame(tables.recordings),
        "texts": {"text": texts, "alike": _alike(texts)},
        "groups": groups,
        "event/group": {"values": event_group},
        "row/group": {"values": row_group},
        "row/event": {"values": _event_of_row(tables)},
        "row/excluded": {"values": _coded(tables.samples, "excluded", len(row_group)).codes > 0},
    }
    columns = [name for name in tables.events if name not in ("recording", *HED_COLUMNS)]
    for number, name in enumerate(columns):
        column = tables.events[name]
        parts[f"event/{number}"] = {
            "values": _numbers(column) if name in EVENT_NUMBERS else column,
        }
    facts = {
        "format": FORMAT,
        "events": len(event_group),
        "rows": len(row_group),
        "event_columns": columns,
    }
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(zipfile.ZipInfo("facts.json", LONG_AGO), json.dumps(facts))
        for name, part in parts.items():
            archive.writestr(zipfile.ZipInfo(name, LONG_AGO), _arrow_bytes(part))
    return sink.getvalue()


def _tables(events_path: Path, samples_path: Path, recordings: pd.DataFrame) -> Tables:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        events = _read_events(events_path)
        with pq.ParquetFile(samples_path) as file:
            names = [name for name in file.schema_arrow.names if _is_wanted(name)]
        with pq.ParquetFile(samples_path, read_dictionary=names) as file:
            rows = file.read(columns=names)
    except (pa.ArrowException, OSError) as error:
        raise BidsmillError("a table of the store cannot be read", found=error) from None
    event = rows["event"] if "event" in rows.column_names else None
    samples = {name: _encoded(rows[name]) for name in rows.column_names if name != "event"}
    if event is None or not pa.types.is_integer(event.type):
        sample_events = np.full(rows.num_rows, -1, np.int64)
    else:
        sample_events = event.fill_null(-1).to_numpy().astype(np.int64)
    facts = _recording_facts(recordings, events, samples)
    return Tables(events, samples, sample_events, facts)


def _is_wanted(name: str) -> bool:
    known = ("recording", "event", "excluded", *ENTITIES, *HED_COLUMNS)
    return name in known or name.startswith("participant_")


def _read_events(path: Path) -> dict[str, Coded]:
    import pyarrow as pa
    from pyarrow import csv

    with open(path, encoding="utf-8", newline="") as file:
        header = file.readline().removesuffix("\n").split("\t")
    text = pa.dictionary(pa.int32(), pa.string())
    table = csv.read_csv(
        path,
        read_options=csv.ReadOptions(block_size=BLOCK_BYTES),
        parse_options=csv.ParseOptions(delimiter="\t", quote_char=False, ignore_empty_lines=False),
        convert_options=csv.ConvertOptions(
            column_types=dict.fromkeys(header, text), strings_can_be_null=False
        ),
    )
    return {name: _encoded(table[name]) for name in table.column_names}


def _encoded(column: pa.ChunkedArray) -> Coded:
    """Return a column with its distinct values; null, ``n/a`` and ``''`` are missing."""
    import pandas as pd
    import pyarrow as pa

    if not pa.types.is_dictionary(column.type):
        column = column.cast(pa.string()).dictionary_encode()
    whole = column.unify_dictionaries().combine_chunks()
    values = [
        "" if value is None or value.strip() in ("", MISSING) else value
        for value in whole.dictionary.to_pylist()
    ]
    # The first value is '', so that its code is 0 everywhere.
    codes, distinct = pd.factorize(np.array(["", *values], object))
    indices = whole.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    return Coded(codes[indices + 1].astype(np.int32), np.array(distinct, object))


def _coded(columns: dict[str, Coded], name: str, length: int) -> Coded:
    """Return a column, all missing where the table lacks it."""
    empty = Coded(np.zeros(length, np.int32), np.array([""], object))
    return columns.get(name, empty)


def _recording_facts(
    recordings: pd.DataFrame, events: dict[str, Coded], samples: dict[str, Coded]
) -> pd.DataFrame:
    """Return the recordings, each once, with its entities and its participant's columns."""
    import pandas as pd

    for table in (events, samples):
        if "recording" not in table:
            raise BidsmillError("a table of the store has no column `recording`")
    frame = recordings.drop_duplicates("recording").reset_index(drop=True)
    named = set(frame["recording"])
    strangers = {v for table in (events, samples) for v in table["recording"].values} - named
    strangers.discard("")
    if strangers:
        frame = pd.concat([frame, pd.DataFrame({"recording": sorted(strangers)})])
        frame = frame.reset_index(drop=True)
    codes = samples["recording"].indices_of(frame["recording"].tolist())
    _, first = np.unique(codes, return_index=True)
    first = first[codes[first] >= 0]
    of_rows = {n: c.values[c.codes[first]] for n, c in samples.items() if n not in HED_COLUMNS}
    facts = pd.DataFrame(of_rows, index=codes[first]).reindex(frame.index)
    for name in ENTITIES:
        if name not in frame:
            frame[name] = facts.get(name, "")
    participants = [name for name in facts if name.startswith("participant_")]
    for name in participants if "subject" in facts else []:
        # A recording without rows has the participant of its subject's others.
        by_subject = dict(zip(facts["subject"], facts[name], strict=True))
        frame[name] = [by_subject.get(subject, "") for subject in frame["subject"]]
    texts = [name for name in frame if not pd.api.types.is_numeric_dtype(frame[name].dtype)]
    frame[texts] = frame[texts].astype(object).fillna("")
    return frame


def _grouped(tables: Tables) -> tuple[np.ndarray, dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """Return the texts, the groups, and the group of each event and each row."""
    names = tables.recordings["recording"].tolist()
    n_events = len(tables.events["recording"].codes)
    parts = [(tables.events, n_events), (tables.samples, len(tables.sample_events))]
    recording = np.concatenate([table["recording"].indices_of(names) for table, _ in parts])
    hed, hed_values = _joined([_coded(table, "HED", length) for table, length in parts])
    context, context_values = _joined(
        [_coded(table, "HED_context", length) for table, length in parts]
    )
    source, sources = _joined([_coded(table, "HED_source", length) for table, length in parts])
    proposed = (sources == PROPOSED)[source]
    pair = hed.astype(np.int64) * len(context_values) + context
    pairs, pair = np.unique(pair, return_inverse=True)
    key = ((recording + 1) * len(pairs) + pair) * 2 + proposed
    keys, first, group = np.unique(key, return_index=True, return_inverse=True)
    excluded = _coded(tables.samples, "excluded", len(tables.sample_events)).codes > 0
    texts, readings = _texts(
        hed_values[hed[first]], context_values[context[first]], proposed[first]
    )
    event_group, row_group = group[:n_events], group[n_events:]
    groups = {
        "recording": recording[first],
        **dict(zip(READINGS, readings, strict=True)),
        "events": np.bincount(event_group, minlength=len(keys)),
        "rows": np.bincount(row_group, minlength=len(keys)),
        "excluded": np.bincount(row_group[excluded], minlength=len(keys)),
    }
    return texts, groups, event_group.astype(np.int32), row_group.astype(np.int32)


def _joined(columns: list[Coded]) -> tuple[np.ndarray, np.ndarray]:
    """Return the codes of columns one after the other, and the values that they share."""
    import pandas as pd

    empty = np.array([""], object)
    every = [part for column in columns for part in (empty, column.values)]
    shared, values = pd.factorize(np.concatenate(every))
    codes, start = [], 1
    for column in columns:
        codes.append(shared[start : start + len(column.values)][column.codes])
        start += len(column.values) + 1
    return np.concatenate(codes), np.asarray(values, object)


def _texts(hed: np.ndarray, context: np.ndarray, proposed: np.ndarray) -> tuple[np.ndarray, list]:
    """Return the distinct texts (the first is ''), and for each reading those of the groups."""
    kept = np.where(proposed, "", hed)
    readings: list[Any] = [kept, hed]
    for own in (kept, hed):
        pairs = zip(own, context, strict=True)
        readings.append([",".join(part for part in pair if part) for pair in pairs])
    codes, values = _joined([Coded(np.arange(len(r)), np.array(r, object)) for r in readings])
    return values, [part.astype(np.int64) for part in np.array_split(codes, len(readings))]


def _alike(texts: np.ndarray) -> np.ndarray:
    """Return for each text the first one that is the same but for the numbers in it.

    Numbers that are equal within one text stay equal.
    """
    first: dict[str, int] = {}
    found = np.empty(len(texts), np.int64)
    for index, text in enumerate(texts):
        numbers: dict[str, str] = {}
        shape = VALUE.sub(partial(_numbered, numbers), text)
        found[index] = first.setdefault(shape, index)
    return found


def _numbered(numbers: dict[str, str], match: re.Match) -> str:
    return numbers.setdefault(match[0], f"\0{len(numbers)}")


def _event_of_row(tables: Tables) -> np.ndarray:
    """Return the event of each row; for one without, the place of its recording behind them."""
    names = tables.recordings["recording"].tolist()
    of_event = tables.events["recording"].indices_of(names)
    of_row = tables.samples["recording"].indices_of(names)
    event = tables.sample_events
    known = (event >= 0) & (event < len(of_event))
    known[known] = of_event[event[known]] == of_row[known]
    return np.where(known, event, len(of_event) + of_row)


def _numbers(column: Coded) -> np.ndarray:
    import pandas as pd

    values = pd.to_numeric(pd.Series(column.values), errors="coerce")
    return values.to_numpy(np.float64, na_value=np.nan)[column.codes]


def _arrow_frame(frame: pd.DataFrame) -> pa.Table:
    import pyarrow as pa

    return pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None)


def _arrow_bytes(part: Any) -> bytes:
    """Return a table, or a dict of arrays, as an Arrow file."""
    import pyarrow as pa

    if isinstance(part, dict):
        part = pa.table({name: _arrow_array(values) for name, values in part.items()})
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    with pa.ipc.new_file(sink, part.schema, options=options) as writer:
        writer.write_table(part)
    return sink.getvalue().to_pybytes()


def _arrow_array(values: Any) -> pa.Array:
    import pyarrow as pa

    if isinstance(values, Coded):
        return pa.DictionaryArray.from_arrays(
            pa.array(values.codes), pa.array(values.values, pa.large_string())
        )
    if values.dtype == object:
        return pa.array(values, pa.large_string())
    return pa.array(values)
