"""Temporal scopes: which events last, until when, and in which of them every event lies."""

from __future__ import annotations

import bisect
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from bidsmill.annotate.hed import Issue, issue_order, new_issue
from bidsmill.annotate.scope_markers import ANCHORED, WORDS, Marker, Reading, read_all
from bidsmill.formats.hed_strings import load_schema

# Onsets closer than this are one point of time, as in hed.models.df_util.filter_series_by_onset.
TOLERANCE = 1e-9


@dataclass(frozen=True)
class Scopes:
    """The temporal scopes of a recording.

    Attributes
    ----------
    context : list of str
        For each event the HED strings of the scopes it lies in, sorted, without repeats and
        joined by ``,``; ``''`` where there is none.
    scopes : list of (float, float, str)
        Beginning and end (s; ``inf``: never closed) and HED string of each scope, sorted.
    issues : list of dict
        As those of `bidsmill.annotate.hed.assemble`, sorted by row.
    """

    context: list[str]
    scopes: list[tuple[float, float, str]]
    issues: list[Issue]


def contexts(
    onsets: np.ndarray, strings: Sequence[str], schema_version: str | Sequence[str] | None
) -> Scopes:
    """Return the temporal scopes of a recording, and in which of them each event lies.

    By the HED specification (sections 3.2.8, 5.3 and 5.5): ``(Def/X, Onset, (inner))`` begins
    a scope that lasts until the next ``Onset`` or ``Offset`` of the same anchor, which is name
    and value of the definition, in any case of letters (``Def/X/3`` and ``Def/X/4`` are two);
    without one it never ends. ``(Duration/2 s, (inner))`` begins one of that length. ``Delay``
    shifts what it is grouped with. ``Inset`` marks a moment of a scope and changes none. A
    number without unit is in seconds; units are those of the HED schema. The HED string of a
    scope is its group without the temporal tags.

    A scope is in force from its beginning up to, but not at, its end, as in hedtools'
    ``EventManager``. Rows whose onsets differ by less than 1 ns are one point of time.
    hedtools joins their strings into one event; its context are the scopes that began before,
    and those that begin at this point stand in the event itself. Here rows remain rows: so the
    context of a row also has the scopes that other rows begin at the same point (wherever they
    are listed), but not those that it begins itself. String and context of a row together thus
    tell all scopes of the joined event. Among rows of one point those of the table come before
    delayed ones, each in the order of the table; of two markers for one anchor at one point the
    first counts and the other is an issue, as in hedtools' validation.

    Parameters
    ----------
    onsets : numpy.ndarray of float, shape (n_events,)
        Seconds, in any order. An event without a time (NaN, infinite) has no context.
    strings : sequence of str, length n_events
        HED strings as `bidsmill.annotate.hed.assemble` gives them.
    schema_version : str, sequence of str or None
        See `bidsmill.formats.hed_strings.load_schema`.

    Returns
    -------
    Scopes
        What cannot be interpreted costs that scope alone and is an issue (code of the HED
        specification, mostly ``TEMPORAL_TAG_ERROR``; severity as hedtools has it). Where no
        string speaks of time, hedtools is not imported.

    Raises
    ------
    BidsmillError
        If a string speaks of time and hedtools is missing or does not ship `schema_version`.
    """
    temporal = [text for text in dict.fromkeys(strings) if WORDS.search(text)]
    readings = read_all(temporal, load_schema(schema_version)) if temporal else {}
    if not readings:
        return Scopes([""] * len(strings), [], [])
    table = _Table(np.asarray(onsets, dtype=float), strings, readings)
    placed = table.place(_scopes_of(table))
    text, onset, stop = placed.texts, placed.onsets, placed.stops
    listed = sorted(zip(onset.tolist(), stop.tolist(), text, strict=True))
    issues = sorted(table.issues, key=issue_order)
    return Scopes(_contexts_of_rows(table, placed), listed, issues)


@dataclass
class _Scope:
    row: int
    text: str
    start: int  # point of time
    stop: int | None = None  # point of time; None: never, or after `length`
    length: float | None = None


@dataclass
class _Placed:
    """Scopes as arrays: in force from point `start` to point `stop`, exclusive."""

    rows: np.ndarray
    texts: list[str]
    start: np.ndarray
    stop: np.ndarray
    onsets: np.ndarray
    stops: np.ndarray


@dataclass
class _Table:
    """The rows of a recording, their markers, and the points of time of both."""

    onsets: np.ndarray
    strings: Sequence[str]
    readings: dict[str, Reading]
    issues: list[Issue] = field(default_factory=list)
    marks: list[tuple[int, int, Marker]] = field(default_factory=list)

    def __post_init__(self) -> None:
        times = self._collect()
        timed = np.isfinite(self.onsets)
        values, which = np.unique(np.concatenate([self.onsets[timed], times]), return_inverse=True)
        first = np.diff(values, prepend=-np.inf) > TOLERANCE
        which = (np.cumsum(first) - 1)[which]
        self.points = values[first]
        self.point_of_row = np.full(len(self.onsets), -1)
        self.point_of_row[timed] = which[: timed.sum()]
        self.point_of_mark = which[timed.sum() :]

    def _collect(self) -> np.ndarray:
        """List the markers of all rows and return their times."""
        times = []
        for row, text in enumerate(self.strings):
            reading = self.readings.get(text)
            if reading is None:
                continue
            onset = float(self.onsets[row])
            if not np.isfinite(onset):
                severity = "error" if reading.needs_time else "warning"
                self.report(row, "temporal tags in a row without a time", severity=severity)
                continue
            for code, severity, message in reading.faults:
                self.report(row, message, code, severity)
            for marker in reading.markers:
                if not np.isfinite(onset + marker.delay):
                    self.report(row, f"a delay of {marker.delay:g} s leads out of all time")
                    continue
                self.marks.append((row, len(self.marks), marker))
                times.append(onset + marker.delay)
        return np.array(times, dtype=float)

    def report(
        self, row: int, message: str, code: str = "TEMPORAL_TAG_ERROR", severity: str = "error"
    ) -> None:
        """Add an issue that concerns one row."""
        self.issues.append(new_issue(row, None, code, message, severity))

    def in_order(self) -> Iterator[tuple[int, int, Marker]]:
        """Give point, row and marker in the order in which they take effect."""
        points = self.point_of_mark.tolist()
        keys = [
            (p, m.delay != 0, row, n) for p, (row, n, m) in zip(points, self.marks, strict=True)
        ]
        for point, _, row, number in sorted(keys):
            yield point, row, self.marks[number][2]

    def place(self, scopes: list[_Scope]) -> _Placed:
        """Find the points at which scopes end, and their times."""
        start = np.array([scope.start for scope in scopes], dtype=int)
        length = np.array([np.nan if s.length is None else s.length for s in scopes], dtype=float)
        end = np.array([-1 if s.stop is None else s.stop for s in scopes], dtype=int)
        points = np.append(self.points, np.inf)
        stops = np.where(np.isnan(length), points[end], points[start] + length)
        lasting = ~np.isnan(length)
        end[lasting] = np.searchsorted(self.points, stops[lasting] - TOLERANCE)
        end[end < 0] = len(self.points)
        # A sum of decimal numbers misses the onset that it means by its rounding.
        near = points[end] <= stops + TOLERANCE
        stops[near] = points[end][near]
        rows = np.array([scope.row for scope in scopes], dtype=int)
        texts = [scope.text for scope in scopes]
        return _Placed(rows, texts, start, end, points[start], stops)


def _scopes_of(table: _Table) -> list[_Scope]:
    """Pair beginnings and ends; report those that do not fit."""
    scopes: list[_Scope] = []
    running: dict[str, _Scope] = {}
    latest: dict[str, int] = {}
    for point, row, marker in table.in_order():
        anchor, kind = marker.anchor.casefold(), marker.kind
        if kind in ANCHORED:
            if latest.get(anchor) == point:
                message = f"'{marker.anchor}' has another temporal tag at the same onset"
                table.report(row, f"{message}: {kind.capitalize()} is ignored")
                continue
            latest[anchor] = point
            if kind != "onset" and anchor not in running:
                message = f"{kind.capitalize()} of '{marker.anchor}' without an Onset before it"
                table.report(row, message)
                continue
        if kind in ("onset", "offset") and anchor in running:
            running.pop(anchor).stop = point
        if kind == "duration":
            scopes.append(_Scope(row, marker.text, point, length=marker.length))
        elif kind == "onset":
            running[anchor] = _Scope(row, marker.text, point)
            scopes.append(running[anchor])
    return scopes


def _contexts_of_rows(table: _Table, placed: _Placed) -> list[str]:
    """Sweep over the points at which a scope begins or ends; others are as the one before."""
    distinct = sorted(set(placed.texts))
    rank = {text: number for number, text in enumerate(distinct)}
    ranks = np.array([rank[text] for text in placed.texts], dtype=int)
    known: dict[tuple[int, ...], str] = {(): ""}

    def joined(active: tuple[int, ...]) -> str:
        if active not in known:
            known[active] = ",".join(distinct[number] for number in active)
        return known[active]

    begun_by_row = _begun_at_onset(table, placed, ranks)
    changed, texts, own = [-1], [""], {}
    for point, active, counts in _active(placed, ranks):
        changed.append(point)
        texts.append(joined(tuple(active)))
        for row, begun in begun_by_row.get(point, {}).items():
            others = active.copy()
            for number, times in begun.items():
                if counts[number] == times:
                    others.remove(number)
            own[row] = joined(tuple(others))
    where = np.searchsorted(changed, table.point_of_row, side="right") - 1
    context = [texts[number] for number in where.tolist()]
    for row, text in own.items():
        context[row] = text
    return context


def _begun_at_onset(
    table: _Table, placed: _Placed, ranks: np.ndarray
) -> dict[int, dict[int, dict[int, int]]]:
    """Return for points and rows how many scopes of which string a row begins at its onset."""
    begun: dict[int, dict[int, dict[int, int]]] = {}
    own = (table.point_of_row[placed.rows] == placed.start) & (placed.stop > placed.start)
    columns = (placed.start[own], placed.rows[own], ranks[own])
    for point, row, text in zip(*(column.tolist() for column in columns), strict=True):
        times = begun.setdefault(point, {}).setdefault(row, {})
        times[text] = times.get(text, 0) + 1
    return begun


def _active(placed: _Placed, ranks: np.ndarray) -> Iterator[tuple[int, list[int], Counter[int]]]:
    """Give each point at which scopes change, the sorted strings in force, how often each."""
    lasting = placed.stop > placed.start
    points = np.concatenate([placed.start[lasting], placed.stop[lasting]])
    steps = np.repeat([1, -1], lasting.sum())
    strings = np.tile(ranks[lasting], 2)
    order = np.argsort(points, kind="stable")
    active: list[int] = []
    counts: Counter[int] = Counter()
    changes = zip(*(a[order].tolist() for a in (points, steps, strings)), strict=True)
    at = -1
    for point, step, number in changes:
        if point != at and at >= 0:
            yield at, active, counts
        at = point
        counts[number] += step
        if counts[number] == 1 and step == 1:
            bisect.insort(active, number)
        elif counts[number] == 0:
            active.remove(number)
    if at >= 0:
        yield at, active, counts
