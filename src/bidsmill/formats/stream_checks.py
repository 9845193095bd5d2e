"""The checks of the document `core`: one message for each field that is not as it must be."""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Callable, Mapping
from typing import Any

from bidsmill.errors import BidsmillError
from bidsmill.formats.files import plain_text
from bidsmill.formats.stream_core import (
    AXIS_ORDER,
    DTYPES,
    EPOC,
    SCHEMA_VERSION,
    STATUSES,
    STREAM,
    TIME_UNIT,
    EpocCore,
    StreamChannel,
    StreamCore,
)
from bidsmill.formats.stream_units import (
    QUANTITY_OF_TYPE,
    TYPE_SYNONYMS,
    parse_unit,
    problem_of,
)

COMMON = ("schema_version", "kind", "name", "t0", "clock", "source", "history")
STREAM_FIELDS = (*COMMON, "fs", "n_samples", "n_channels", "axis_order", "dtype", "channels")
EPOC_FIELDS = (*COMMON, "n_events", "ref_stream", "ref_fs", "time_unit", "columns")
CHANNEL_FIELDS = tuple(StreamChannel.__dataclass_fields__)
SOURCE_FIELDS = ("uri", "sha256", "reader", "reader_version")
HISTORY_FIELDS = ("node", "params", "version", "id", "parents", "input_sha256")
SHA256 = re.compile(r"[0-9a-f]{64}")
REMAKE = "make the file again, or correct the field with the tool that wrote it"
SHOWN = 80


class Fields:
    """The fields of one object of the document, each taken with its check.

    Parameters
    ----------
    content : mapping
        The object.
    path : str
        Where it stands, such as ``core.channels[2]``.
    file : path-like or None
        What messages name.
    """

    def __init__(self, content: Any, path: str, file: Any):
        self.path, self.file = path, file
        if not isinstance(content, Mapping):
            raise self.problem("", content, "an object with named fields")
        self.content = content

    def only(self, known: tuple[str, ...], todo: str = "remove it, or put it into `other`") -> None:
        """Refuse fields that are not known: most of them are misspelt."""
        for key in self.content:
            if key not in known:
                raise self.problem(key, key, f"only {', '.join(known)}", todo, "is not known")

    def problem(
        self,
        name: str,
        found: Any,
        expected: str,
        todo: str = REMAKE,
        what: str = "is not as it must be",
    ) -> BidsmillError:
        """Return the error for a field."""
        path = f"{self.path}.{name}" if name else self.path
        shown = found if isinstance(found, _Missing) else repr(found)
        if len(str(shown)) > SHOWN:
            shown = f"{str(shown)[:SHOWN]}..."
        return BidsmillError(
            f"the field {path} {what}", file=self.file, found=shown, expected=expected, todo=todo
        )

    def get(self, name: str) -> Any:
        """Return the value of a field, or what says that there is none."""
        return self.content.get(name, MISSING)

    def text(self, name: str, expected: str = "a text that is not empty", todo=REMAKE) -> str:
        """Return a text in plain form."""
        value = self.get(name)
        if not isinstance(value, str) or not value.strip():
            raise self.problem(name, value, expected, todo)
        if plain_text(value) != value or any(ord(letter) < 32 for letter in value):
            raise self.problem(
                name, value, "a text in Unicode normal form C, without space around it", todo
            )
        return value

    def exactly(self, name: str, wanted: str, todo: str = REMAKE) -> None:
        """Refuse any value but one."""
        value = self.get(name)
        if value != wanted or not isinstance(value, str):
            raise self.problem(name, value, repr(wanted), todo)

    def one_of(self, name: str, known: tuple[str, ...], todo: str = REMAKE) -> str:
        """Return one of several words."""
        value = self.get(name)
        if not isinstance(value, str) or value not in known:
            raise self.problem(name, value, f"one of {', '.join(known)}", todo)
        return value

    def whole(self, name: str, expected: str = "a whole number of 0 or more") -> int:
        """Return a count."""
        value = self.get(name)
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise self.problem(name, value, expected)
        return value

    def number(
        self,
        name: str,
        expected: str = "a finite number",
        fits: Callable[[float], bool] = lambda value: True,
        todo: str = REMAKE,
    ) -> float:
        """Return a finite number."""
        value = self.get(name)
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        # JSON can hold whole numbers that no float can.
        small = is_number and (isinstance(value, float) or abs(value) <= sys.float_info.max)
        if not small or not math.isfinite(value) or not fits(value):
            raise self.problem(name, value, expected, todo)
        return float(value)

    def optional(self, name: str, read: Callable[[str], Any], default: Any = None) -> Any:
        """Return what `read` gives, or `default` where the field is absent or null."""
        return default if self.content.get(name) is None else read(name)

    def objects(self, name: str, expected: str) -> list[Fields]:
        """Return the objects of a list."""
        value = self.get(name)
        if not isinstance(value, list | tuple):
            raise self.problem(name, value, expected)
        return [Fields(e, f"{self.path}.{name}[{i}]", self.file) for i, e in enumerate(value)]

    def inner(self, name: str) -> Fields:
        """Return an object."""
        return Fields(self.get(name), f"{self.path}.{name}", self.file)

    def free(self, name: str) -> dict[str, Any]:
        """Return an object of any content that JSON can hold."""
        value = dict(self.inner(name).content)
        try:
            # As it will be read again: tuples as lists, keys as text.
            return json.loads(json.dumps(value, allow_nan=False))
        except (TypeError, ValueError, RecursionError) as error:
            raise self.problem(name, str(error), "what JSON can hold, without NaN") from None


class _Missing:
    def __str__(self) -> str:
        return "nothing: the field is missing"


MISSING = _Missing()


def checked_stream(document: Any, file: Any) -> StreamCore:
    """Return the core of a stream; see `bidsmill.formats.stream_core.parse_core`."""
    fields, other = _open(document, STREAM, STREAM_FIELDS, file)
    common = _common(fields)
    sfreq = _rate(fields, "fs")
    n_samples = fields.whole("n_samples")
    fields.exactly("axis_order", AXIS_ORDER)
    dtype = fields.one_of("dtype", DTYPES)
    channels = _channels(fields, bool(common["history"]))
    stated = fields.whole("n_channels")
    if stated != len(channels):
        raise fields.problem("n_channels", stated, f"{len(channels)}, as `channels` has")
    return StreamCore(
        sfreq=sfreq, n_samples=n_samples, dtype=dtype, channels=channels, other=other, **common
    )


def checked_epocs(document: Any, file: Any) -> EpocCore:
    """Return the core of epocs; see `bidsmill.formats.stream_core.parse_epoc_core`."""
    fields, other = _open(document, EPOC, EPOC_FIELDS, file)
    common = _common(fields)
    n_events = fields.whole("n_events")
    ref_stream = fields.text("ref_stream", "the name of the stream whose samples are counted")
    ref_sfreq = _rate(fields, "ref_fs")
    fields.exactly("time_unit", TIME_UNIT)
    columns, seen = [], set()
    for column in fields.objects("columns", "a list with an object for each column"):
        column.only(("name", "unit", "bids"), "remove it")
        name = column.text("name")
        if name in seen:
            raise column.problem("name", name, "a name that no other column has")
        seen.add(name)
        unit, bids = column.get("unit"), column.get("bids")
        if not isinstance(unit, str):
            raise column.problem("unit", unit, "a text; '' of what has no unit")
        if bids is not MISSING and not isinstance(bids, str):
            raise column.problem("bids", bids, "the name of the column in events.tsv")
        columns.append(
            {"name": name, "unit": unit} | ({} if bids is MISSING else {"bids": str(bids)})
        )
    return EpocCore(
        n_events=n_events,
        ref_stream=ref_stream,
        ref_sfreq=ref_sfreq,
        columns=tuple(columns),
        other=other,
        **common,
    )


def _open(document: Any, kind: str, known: tuple[str, ...], file: Any) -> tuple[Fields, dict]:
    """Return the fields of the core, and `other`, of a document of either form."""
    top = Fields(document, "core", file)
    other: dict[str, Any] = {}
    if "core" in top.content:
        outer = Fields(document, "document", file)
        outer.only(("core", "other"), "move it into `other`")
        other = outer.free("other") if "other" in outer.content else {}
        top = Fields(outer.content["core"], "core", file)
    newer = "install a newer bidsmill, or make the file again"
    top.exactly("schema_version", SCHEMA_VERSION, newer)
    reader = "read_epocs" if kind == STREAM else "StreamFile"
    top.exactly("kind", kind, f"read the file of another kind with {reader}")
    top.only(known)
    return top, other


def _common(fields: Fields) -> dict[str, Any]:
    name = fields.text("name")
    if "/" in name or "\\" in name or name in (".", ".."):
        raise fields.problem("name", name, "a name without slashes: it stands in file names")
    clock = "the id of the clock that the stream and the epocs of a recording share"
    return {
        "name": name,
        "t0": fields.number("t0", "a finite number of seconds on the clock"),
        "clock": fields.text("clock", clock, "name the recording, such as sub-01_task-grip_emg"),
        "source": _source(fields),
        "history": _history(fields),
    }


def _rate(fields: Fields, name: str) -> float:
    return fields.number(
        name,
        "a finite number of Hz above 0",
        lambda value: value > 0,
        "state the sampling rate of the recording as a JSON number",
    )


def _channels(fields: Fields, processed: bool) -> tuple[StreamChannel, ...]:
    found = fields.objects("channels", "a list with an object for each channel")
    if not found:
        raise fields.problem("channels", [], "at least one channel")
    channels: list[StreamChannel] = []
    seen: dict[str, int] = {}
    for index, entry in enumerate(found):
        channel = _channel(entry, processed)
        folded = channel.name.casefold()
        if folded in seen:
            raise entry.problem(
                "name",
                channel.name,
                f"a name that differs from that of channel {seen[folded]}, also without case",
                "name channels as bidsmill.formats.layout.column_names does",
            )
        seen[folded] = index
        channels.append(channel)
    return tuple(channels)


def _channel(entry: Fields, processed: bool) -> StreamChannel:
    entry.only(CHANNEL_FIELDS)
    name = entry.text("name")
    if isinstance(kind := entry.get("type"), str) and kind in TYPE_SYNONYMS:
        kind = TYPE_SYNONYMS[kind]
    else:
        kind = entry.one_of("type", tuple(QUANTITY_OF_TYPE))
    unit, scale = _unit(entry, kind, processed)
    low, high = (
        entry.optional(key, lambda k: entry.number(k, "Hz of 0 or more, or null", lambda v: v >= 0))
        for key in ("low_cutoff", "high_cutoff")
    )
    if low is not None and high is not None and high <= low:
        raise entry.problem("high_cutoff", high, f"more than the low_cutoff of {low:g} Hz")
    return StreamChannel(
        name=name,
        type=kind,
        unit=unit,
        scale_to_si=scale,
        low_cutoff=low,
        high_cutoff=high,
        status=entry.optional("status", lambda key: entry.one_of(key, STATUSES), "good"),
        source_name=entry.optional("source_name", lambda key: _string(entry, key)),
        position=entry.optional("position", lambda key: _position(entry, key)),
    )


def _unit(entry: Fields, kind: str, processed: bool) -> tuple[str, float]:
    unit = entry.get("unit")
    state = "state the unit of the values; it is never guessed (a.u. for arbitrary ones)"
    meaning = parse_unit(unit) if isinstance(unit, str) else None
    if meaning is None:
        known = (
            "V, mV, µV, nV, T, fT, T/m, fT/cm, V^2, V^2/Hz, 1, %, Hz, s, a.u. or another SI unit"
        )
        raise entry.problem("unit", unit, known, state)
    reason = problem_of(kind, unit, processed)
    if reason is not None:
        raise entry.problem("unit", unit, reason, "correct the unit or the type of the channel")
    scale = entry.number("scale_to_si", "a finite number above 0", lambda value: value > 0)
    if not math.isclose(scale, meaning.scale, rel_tol=1e-9):
        raise entry.problem("scale_to_si", scale, f"{meaning.scale:g}, the factor of {unit}")
    return unit, scale


def _string(entry: Fields, name: str) -> str:
    value = entry.get(name)
    if not isinstance(value, str):
        raise entry.problem(name, value, "a text, or null")
    return value


def _position(entry: Fields, name: str) -> tuple[float, ...]:
    value = entry.get(name)
    good = isinstance(value, list | tuple) and len(value) == 3
    if not good or not all(
        isinstance(v, int | float) and not isinstance(v, bool) and math.isfinite(v) for v in value
    ):
        raise entry.problem(name, value, "three finite numbers (x, y, z in m), or null")
    return tuple(float(v) for v in value)


def _source(fields: Fields) -> dict[str, Any]:
    source = fields.inner("source")
    source.only(SOURCE_FIELDS)
    for name in SOURCE_FIELDS:
        source.optional(name, lambda key: _string(source, key))
    source.optional("sha256", lambda key: _sha256(source, key))
    return dict(source.content)


def _history(fields: Fields) -> tuple[dict[str, Any], ...]:
    entries = fields.objects("history", "a list with an object for each operation")
    for entry in entries:
        entry.only(HISTORY_FIELDS)
        entry.text("node", "the name of the operation")
        entry.free("params")
        entry.whole("version")
        # What the operation is in its graph, and what it works on.
        entry.optional("id", entry.text)
        for parent in entry.optional("parents", entry.get, []):
            if not isinstance(parent, str) or not parent:
                raise entry.problem("parents", parent, "the ids of the inputs, as text")
        entry.optional("input_sha256", lambda key, entry=entry: _sha256(entry, key))  # type: ignore[misc]
    return tuple({**e.content, "params": e.free("params")} for e in entries)


def _sha256(fields: Fields, name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or not SHA256.fullmatch(value):
        raise fields.problem(name, value, "64 lower-case hexadecimal digits, or null")
    return value
