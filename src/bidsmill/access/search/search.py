"""Search over a store: how many events and rows fulfil a condition, and where."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from bidsmill.access.extras import require
from bidsmill.access.names import listed, unknown
from bidsmill.access.search.index import DamagedIndex, SearchIndex, open_index
from bidsmill.access.where import column_names, find_column, matching_rows
from bidsmill.errors import BidsmillError

if TYPE_CHECKING:
    import pandas as pd

    from bidsmill.access.store import Store

# What the open indexes of a store may take in memory; the one used longest ago is let go.
MAX_OPEN_BYTES = 2**29
BY = ("recording", "task", "dataset")
SHOWN = (
    "dataset",
    "recording",
    "subject",
    "session",
    "task",
    "run",
    "datatype",
    "sfreq",
    "n_channels",
)
COUNTS = ["events", "rows"]

_WHOLE = dict.fromkeys(COUNTS, "int64")
# The id and the version of a dataset.
Key = tuple[str, str]
# A query that is ready for a version of HED, or why that version cannot read it.
Query = Any


class Conditions(NamedTuple):
    """What is searched for; see `bidsmill.access.store.Store.search`."""

    hed: str | None
    where: str | None
    context: bool = False
    proposed: bool = False
    excluded: bool = False

    @property
    def reading(self) -> str:
        """Which texts of an index the query reads."""
        return ("context" if self.context else "HED") + ("_proposed" if self.proposed else "")


@dataclass(frozen=True)
class Part:
    """What a search found in one dataset: recordings with counts, or why there are none."""

    index: SearchIndex
    table: pd.DataFrame | None = None
    skipped: str = ""
    without_hed: str = ""


class Searcher:
    """Searches in one store, with its indexes kept open.

    Parameters
    ----------
    store : Store
        The store.
    """

    def __init__(self, store: Store):
        self._store = store
        self._indexes: OrderedDict[Key, SearchIndex] = OrderedDict()
        self._versions: dict[Key, Any] = {}

    def search(
        self, conditions: Conditions, by: str, datasets: str | Sequence[str] | None
    ) -> pd.DataFrame:
        """Return the counts; see `bidsmill.access.store.Store.search`."""
        if by not in BY:
            raise unknown("a search has no table of this kind (`by`)", by, BY)
        if datasets is None:
            datasets = list(self._store)
        names = [datasets] if isinstance(datasets, str) else list(datasets)
        chosen = list(dict.fromkeys(self._store.resolve(name) for name in names))
        names = [] if conditions.where is None else column_names(conditions.where)
        queries = self._queries(conditions.hed, chosen)
        parts = []
        for key in chosen:
            try:
                parts.append(_part(self._index(key), conditions, names, queries.get(key)))
            except DamagedIndex:
                index = self._index(key, anew=True)
                parts.append(_part(index, conditions, names, queries.get(key)))
        _refuse_unknown(names, parts)
        return _table(parts, by)

    def _queries(self, hed: str | None, chosen: list[Key]) -> dict[Key, Query]:
        """Return for each dataset the query in its version of HED, or why there is none.

        Raises
        ------
        BidsmillError
            If no dataset can read the query.
        """
        if hed is None or not chosen:
            return {}
        require("hed", "hed", "hed=")
        if not isinstance(hed, str):
            raise BidsmillError("`hed` takes one query", found=repr(hed), expected='as "Face"')
        versions = {key: self._hed_version(key) for key in chosen}
        by_version: dict[str, Query] = {}
        for version in versions.values():
            if repr(version) not in by_version:
                by_version[repr(version)] = _query(hed, version)
        found = list(by_version.values())
        refused = [query for query in found if isinstance(query, BidsmillError)]
        if len(refused) == len(found):
            # Rather what is wrong with the query than with the version of a dataset.
            raise min(refused, key=lambda error: not error.what.startswith("the HED query"))
        return {key: by_version[repr(version)] for key, version in versions.items()}

    def _hed_version(self, key: Key) -> Any:
        if key not in self._versions:
            self._versions[key] = self._store["@".join(key)].manifest.get("hed_version")
        return self._versions[key]

    def _index(self, key: Key, *, anew: bool = False) -> SearchIndex:
        index = None if anew else self._indexes.get(key)
        if index is None:
            index = open_index(self._store["@".join(key)], anew=anew)
            self._indexes[key] = index
        self._indexes.move_to_end(key)
        while len(self._indexes) > 1 and self._open_bytes() > MAX_OPEN_BYTES:
            self._indexes.popitem(last=False)
        return index

    def _open_bytes(self) -> int:
        return sum(index.nbytes for index in self._indexes.values())


def _query(hed: str, version: Any) -> Query:
    from bidsmill.formats.hed_strings import Search

    try:
        return Search(hed, version)
    except BidsmillError as error:
        return error


def _part(index: SearchIndex, conditions: Conditions, names: list[str], query: Query) -> Part:
    """Search one dataset."""
    missing = [name for name in names if find_column(name, index.columns) is None]
    if missing:
        return Part(index, skipped=f"it has no column {', '.join(map(repr, missing))}")
    without_hed = ""
    if query is not None and not index.has_hed(conditions.reading):
        without_hed = _why_none(index, conditions)
    elif isinstance(query, BidsmillError):
        version = index.hed_version or "the newest"
        return Part(index, skipped=f"{query.what} (HED version {version})")
    groups, truth = _where(index, conditions.where, names)
    if without_hed:
        groups = np.zeros_like(groups)
    elif query is not None:
        groups = index.matching_groups(conditions.reading, query, groups)
    events, rows = index.counts(groups, truth, conditions.excluded)
    table = index.recordings.reindex(columns=list(SHOWN)).assign(events=events, rows=rows)
    for name in ("sfreq", "n_channels"):
        table[name] = table[name].astype("float64")
    table["n_channels"] = table["n_channels"].astype("Int64")
    table = table[(events > 0) | (rows > 0)]
    return Part(index, table, without_hed=without_hed)


def _why_none(index: SearchIndex, conditions: Conditions) -> str:
    """Return in words why a dataset has no text of the kind that is searched."""
    for wanted, words in (
        (conditions._replace(proposed=True), "only proposed HED"),
        (conditions._replace(context=True), "HED in the context of its rows only"),
    ):
        if index.has_hed(wanted.reading):
            return words
    return "no HED annotation"


def _where(
    index: SearchIndex, where: str | None, names: list[str]
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the groups in whose recordings a condition may hold, and its truth by event.

    The second is None where the condition is about recordings alone.
    """
    recording = index.groups["recording"]
    groups = recording >= 0
    if where is None:
        return groups, None
    tables = {index.columns[str(find_column(name, index.columns))][0] for name in names}
    if "events" in tables:
        return groups, matching_rows(index.event_table(), where)
    return groups & matching_rows(index.recordings, where)[recording], None


def _refuse_unknown(names: list[str], parts: list[Part]) -> None:
    """Refuse a column that no dataset has."""
    known = dict.fromkeys(name for part in parts for name in part.index.columns)
    for name in names:
        if parts and find_column(name, known) is None:
            raise unknown(
                "`where` names a column that no dataset of the search has",
                name,
                known,
                todo=f"text stands in quotes: task == 'rest'; columns are {listed(known, 60)}",
            )


def _table(parts: list[Part], by: str) -> pd.DataFrame:
    import pandas as pd

    searched = {part.index.dataset: part for part in parts if part.table is not None}
    tables = [part.table for part in parts if part.table is not None and len(part.table)]
    if tables:
        table = pd.concat(tables, ignore_index=True)
    else:
        table = pd.DataFrame({name: pd.Series(dtype=object) for name in [*SHOWN, *COUNTS]})
        table = table.astype({"sfreq": "float64", "n_channels": "Int64", **_WHOLE})
    if by != "recording":
        keys = ["dataset", "task"] if by == "task" else ["dataset"]
        table = _summary(table, keys)
    if by == "dataset":
        table = table.set_index("dataset").reindex(list(searched), fill_value=0).reset_index()
    table.attrs = {
        "searched": list(searched),
        "without_hed": {p.index.dataset: p.without_hed for p in parts if p.without_hed},
        "skipped": {p.index.dataset: p.skipped for p in parts if p.skipped},
    }
    return table


def _summary(table: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    counts = {
        "recordings": ("recording", "size"),
        "subjects": ("subject", "nunique"),
        "events": ("events", "sum"),
        "rows": ("rows", "sum"),
    }
    return table.groupby(keys, sort=False).agg(**counts).reset_index().astype(_WHOLE)
