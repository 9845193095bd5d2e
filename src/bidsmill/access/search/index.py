"""The search index of a dataset version: kept in the cache, read in parts."""

from __future__ import annotations

import hashlib
import io
import json
import warnings
import zipfile
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bidsmill.access.cache.cache import remove_abandoned
from bidsmill.access.search.build import FORMAT, index_bytes
from bidsmill.errors import BidsmillError
from bidsmill.formats import files

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from bidsmill.access.dataset import Dataset

TABLES = (
    ("events", "events.tsv"),
    ("samples", "samples.parquet"),
    ("recordings", "recordings.tsv"),
)
# An event column that recordings have too is named with this before it.
SHADOWED = "event_"


class DamagedIndex(BidsmillError):
    """An index cannot be read, or is not what it was when it was written."""


def open_index(dataset: Dataset, *, anew: bool = False) -> SearchIndex:
    """Return the index of a dataset version: from the cache, or made from the tables.

    It is named by the sha256 of the tables, so that it never goes out of date. Many processes
    may make it at once: each writes a file of its own, and the last rename stands.

    Parameters
    ----------
    dataset : Dataset
        The version.
    anew : bool
        Make it even if it is there.

    Raises
    ------
    BidsmillError
        If a table is missing or is not the one that the manifest names.
    """
    entries = {kind: dataset.table_entry(kind, name) for kind, name in TABLES}
    named = [str(FORMAT), *(entry["sha256"] for entry in entries.values())]
    key = hashlib.sha256(" ".join(named).encode()).hexdigest()
    path = dataset.cache.folder / "search" / f"{key}.zip"
    version = dataset.manifest.get("hed_version")
    if not anew:
        try:
            return SearchIndex(path, dataset.id, version)
        except DamagedIndex:
            pass
    events = dataset.store_files.verified_path(entries["events"])
    samples = dataset.store_files.verified_path(entries["samples"])
    content = index_bytes(events, samples, dataset.recordings)
    try:
        remove_abandoned(path)
        files.write_bytes(path, content)
        return SearchIndex(path, dataset.id, version)
    except (OSError, DamagedIndex) as error:
        warnings.warn(
            f"the cache folder {dataset.cache.folder} cannot be written ({error}): the search "
            "index is kept in memory; set BIDSMILL_CACHE to a folder with space",
            RuntimeWarning,
            stacklevel=2,
        )
    return SearchIndex(content, dataset.id, version)


class SearchIndex:
    """An index that is open for searching.

    Parameters
    ----------
    source : pathlib.Path or bytes
        The archive that `bidsmill.access.search.build.index_bytes` makes.
    dataset : str
        Dataset id.
    hed_version : str, list of str or None
        Of its HED strings.

    Attributes
    ----------
    columns : dict
        Name in `where` -> column of the recordings or of the events.
    nbytes : int
        About the memory that it takes.

    Raises
    ------
    DamagedIndex
        If the archive cannot be read.
    """

    def __init__(self, source: Path | bytes, dataset: str, hed_version: Any):
        self._source = source
        self._name = None if isinstance(source, bytes) else source
        self.dataset = dataset
        self.hed_version = hed_version
        self._facts = self._read_facts()
        self.recordings = self._read("recordings").to_pandas()
        self.recordings.insert(0, "dataset", dataset)
        texts = self._read("texts")
        self._texts: pa.ChunkedArray = texts["text"]
        self._alike = texts["alike"].to_numpy()
        groups = self._read("groups")
        self.groups = {name: groups[name].to_numpy() for name in groups.column_names}
        held = len(source) if isinstance(source, bytes) else 0
        frame = int(self.recordings.memory_usage(deep=True).sum())
        self.nbytes = held + frame + texts.nbytes + groups.nbytes

    @cached_property
    def columns(self) -> dict[str, tuple[str, str]]:
        """Return name -> ``recordings`` or ``events``, and the column there."""
        known = {name: ("recordings", name) for name in self.recordings.columns}
        for name in self._facts["event_columns"]:
            known[f"{SHADOWED}{name}" if name in known else name] = ("events", name)
        return known

    def has_hed(self, reading: str) -> bool:
        """Return whether any event or row has a text in a reading."""
        return bool((self.groups[reading] > 0).any())

    def matching_groups(self, reading: str, search: Any, wanted: np.ndarray) -> np.ndarray:
        """Return which groups have a text that matches.

        Parameters
        ----------
        reading : str
            Which of `bidsmill.access.search.build.READINGS`.
        search : bidsmill.formats.hed_strings.Search
            The query.
        wanted : ndarray of bool
            The groups that are asked about.
        """
        text = self.groups[reading]
        if not search.reads_values:
            text = self._alike[text]
        asked = np.unique(text[wanted & (text > 0)])
        match = np.zeros(len(self._texts), bool)
        match[asked] = [search.matches(string) for string in self._texts.take(asked).to_pylist()]
        return wanted & match[text]

    def counts(
        self, groups: np.ndarray, truth: np.ndarray | None, excluded: bool
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return how many events and rows there are, for each recording.

        Parameters
        ----------
        groups : ndarray of bool
            The groups that count.
        truth : ndarray of bool or None
            A further condition, for each row of `event_table`.
        excluded : bool
            Count the rows that have a quality reason, too.

        Returns
        -------
        events, rows : ndarray of int64, shape (recordings,)
        """
        recording, n = self.groups["recording"], len(self.recordings)
        if truth is None:
            rows = self.groups["rows"] - (0 if excluded else self.groups["excluded"])
            found = [
                np.bincount(recording[groups], counts[groups], n)
                for counts in (self.groups["events"], rows)
            ]
            return found[0].astype(np.int64), found[1].astype(np.int64)
        group = self._values("event/group")
        events = group[groups[group] & truth[: len(group)]]
        group = self._values("row/group")
        keep = groups[group] & truth[self._values("row/event")]
        if not excluded:
            keep &= ~self._values("row/excluded")
        rows = group[keep]
        return np.bincount(recording[events], minlength=n), np.bincount(
            recording[rows], minlength=n
        )

    def event_table(self) -> EventTable:
        """Return the events with their recordings' columns, for `where`."""
        return EventTable(self)

    def _values(self, part: str) -> np.ndarray:
        return self._read(part)["values"].to_numpy()

    def _read_facts(self) -> dict[str, Any]:
        facts = json.loads(self._part("facts.json"))
        if facts.get("format") != FORMAT:
            raise DamagedIndex("a search index has another format", file=self._name)
        return facts

    def _part(self, name: str) -> bytes:
        source = io.BytesIO(self._source) if isinstance(self._source, bytes) else self._source
        try:
            with zipfile.ZipFile(source) as archive:
                return archive.read(name)  # its checksum is compared
        except Exception as error:  # zipfile meets damage with many kinds of errors
            raise DamagedIndex(
                "a search index cannot be read", file=self._name, found=error
            ) from None

    def _read(self, name: str) -> pa.Table:
        import pyarrow as pa

        return pa.ipc.open_file(pa.py_buffer(self._part(name))).read_all()


class EventTable:
    """The columns that `where` reads, for each event of a dataset.

    Behind the events stands one row per recording, whose event columns are missing: that of
    rows which have no event.
    """

    def __init__(self, index: SearchIndex):
        self._index = index
        n = len(index.recordings)
        of_event = index.groups["recording"][index._values("event/group")]
        self._recording = np.concatenate([of_event, np.arange(n)])
        self.columns = list(index.columns)

    def __len__(self) -> int:
        return len(self._recording)

    def __getitem__(self, name: str) -> pd.Series:
        """Return a column: numbers, or text as a categorical column."""
        import pandas as pd

        table, column = self._index.columns[name]
        if table == "recordings":
            values = self._index.recordings[column]
            if pd.api.types.is_numeric_dtype(values.dtype):
                return pd.Series(values.to_numpy()[self._recording])
            codes, distinct = pd.factorize(values.astype(object))
            return _categories(codes[self._recording], distinct)
        number = self._index._facts["event_columns"].index(column)
        stored = self._index._read(f"event/{number}")["values"]
        missing = len(self) - len(stored)
        if hasattr(stored.type, "value_type"):
            whole = stored.combine_chunks()
            codes = np.concatenate([whole.indices.to_numpy(), np.full(missing, -1)])
            return _categories(codes, whole.dictionary.to_pylist())
        return pd.Series(np.concatenate([stored.to_numpy(), np.full(missing, np.nan)]))


def _categories(codes: np.ndarray, values: Any) -> pd.Series:
    import pandas as pd

    categories = pd.Index(values, dtype=object)
    return pd.Series(pd.Categorical.from_codes(codes, categories=categories))
