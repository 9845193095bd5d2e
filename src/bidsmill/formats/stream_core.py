"""What a stream and its epocs must say of themselves: the document `core`, checked field by field.

The document stands as one JSON value in the key ``core`` of the Parquet file, and with ``other``
(free) in the sidecar. docs/data-contract.md lists its fields.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from numbers import Integral, Real
from typing import Any

from bidsmill.formats.files import canonical_sha256
from bidsmill.formats.stream_units import parse_unit

SCHEMA_VERSION = "1"
STREAM, EPOC = "stream", "epoc"
AXIS_ORDER = "samples,channels"
DTYPES = ("float32", "float64", "int16", "int32")
STATUSES = ("good", "bad", "interpolated")
TIME_UNIT = "s"
NUMBERS = ("scale_to_si", "low_cutoff", "high_cutoff")


def _real(value: Any) -> Any:
    """Return a number as JSON writes it, whatever library it comes from; all else unchanged."""
    return float(value) if isinstance(value, Real) and not isinstance(value, bool) else value


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, Integral) and not isinstance(value, bool) else value


@dataclass(frozen=True)
class StreamChannel:
    """One channel of a stream.

    Attributes
    ----------
    name : str
        The column of the file. Distinct within the stream when case is ignored.
    type : str
        MNE's lower-case type: ``eeg``, ``mag``, ``grad``, ``emg``, ``eog``, ``seeg``, ...
    unit : str
        Of the values in the file (see `bidsmill.formats.stream_units`).
    scale_to_si : float
        A value times this is the value in the SI unit. If absent: as the unit says.
    low_cutoff, high_cutoff : float or None
        Band of the channel in Hz, where it is known.
    status : str
        ``good``, ``bad`` or ``interpolated``.
    source_name : str or None
        Its name in the file that was recorded, if it is another one.
    position : tuple of float or None
        x, y, z in m, in MNE's head frame.
    """

    name: str
    type: str
    unit: str
    scale_to_si: float = math.nan
    low_cutoff: float | None = None
    high_cutoff: float | None = None
    status: str = "good"
    source_name: str | None = None
    position: tuple[float, float, float] | None = None

    def __post_init__(self) -> None:
        if isinstance(self.scale_to_si, float) and math.isnan(self.scale_to_si):
            known = parse_unit(self.unit) if isinstance(self.unit, str) else None
            object.__setattr__(self, "scale_to_si", known.scale if known else 1.0)
        if self.position is not None:
            object.__setattr__(self, "position", tuple(self.position))

    def document(self) -> dict[str, Any]:
        """Return the channel as it stands in the core."""
        position = None if self.position is None else [_real(value) for value in self.position]
        numbers = {key: _real(getattr(self, key)) for key in NUMBERS}
        return {**self.__dict__, **numbers, "position": position}


@dataclass(frozen=True)
class StreamCore:
    """What a stream says of itself.

    Attributes
    ----------
    name : str
        Such as ``sub-01_task-grip_emg``, of a node ``sub-01_task-grip_emg_desc-env``.
    sfreq : float
        Sampling rate in Hz (``fs`` in the file). Sample k stands at ``t0 + k / sfreq``.
    n_samples : int
        Samples of each channel.
    channels : tuple of StreamChannel
        In the order of the columns.
    clock : str
        Names the clock that the stream shares with the epocs of its recording.
    t0 : float
        Time of the first sample on this clock in s. Of a whole recording 0: its clock starts
        with its first sample, as the onsets of BIDS do.
    dtype : str
        Of the columns; what is read is float32 in any case.
    source : mapping
        ``uri``, ``sha256``, ``reader``, ``reader_version`` of what was read.
    history : tuple of mapping
        One per operation, the first one first: ``node``, ``params``, ``version``,
        ``input_sha256``.
    other : mapping
        Free.
    """

    name: str
    sfreq: float
    n_samples: int
    channels: tuple[StreamChannel, ...]
    clock: str
    t0: float = 0.0
    dtype: str = "float32"
    source: Mapping[str, Any] = field(default_factory=dict)
    history: tuple[Mapping[str, Any], ...] = ()
    other: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "channels", tuple(self.channels))
        object.__setattr__(self, "history", tuple(self.history))

    @property
    def n_channels(self) -> int:
        """Return the number of channels."""
        return len(self.channels)

    @property
    def names(self) -> list[str]:
        """Return the names of the channels."""
        return [channel.name for channel in self.channels]

    @property
    def duration(self) -> float:
        """Return the duration in s."""
        return self.n_samples / self.sfreq

    def document(self) -> dict[str, Any]:
        """Return the core as it stands in the file, without `other`."""
        return {
            "schema_version": SCHEMA_VERSION,
            "kind": STREAM,
            "name": self.name,
            "fs": _real(self.sfreq),
            "n_samples": _whole(self.n_samples),
            "n_channels": self.n_channels,
            "axis_order": AXIS_ORDER,
            "dtype": self.dtype,
            "t0": _real(self.t0),
            "clock": self.clock,
            "channels": [channel.document() for channel in self.channels],
            "source": dict(self.source),
            "history": [dict(entry) for entry in self.history],
        }

    def sidecar(self) -> dict[str, Any]:
        """Return the content of the sidecar: ``core`` and ``other``."""
        return {"core": self.document(), "other": dict(self.other)}

    def sha256(self) -> str:
        """Return the sha256 of the core as canonical JSON."""
        return canonical_sha256(self.document())


@dataclass(frozen=True)
class EpocCore:
    """What the epocs of a recording say of themselves.

    Attributes
    ----------
    name : str
        Such as ``sub-01_task-grip_emg``.
    n_events : int
        Rows of the table.
    clock : str
        As in `StreamCore`: onsets are seconds on this clock.
    ref_stream : str
        Name of the stream whose samples `onset_sample` counts.
    ref_sfreq : float
        Its rate in Hz (``ref_fs`` in the file).
    t0 : float
        Time of the first sample of that stream on the clock in s.
    columns : tuple of mapping
        One per column: ``name``, ``unit`` (``s`` of times, ``''`` of text), and ``bids``, its name
        in events.tsv, where it comes from one.
    source, history, other
        As in `StreamCore`.
    """

    name: str
    n_events: int
    clock: str
    ref_stream: str
    ref_sfreq: float
    t0: float = 0.0
    columns: tuple[Mapping[str, Any], ...] = ()
    source: Mapping[str, Any] = field(default_factory=dict)
    history: tuple[Mapping[str, Any], ...] = ()
    other: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "columns", tuple(self.columns))
        object.__setattr__(self, "history", tuple(self.history))

    def document(self) -> dict[str, Any]:
        """Return the core as it stands in the file, without `other`."""
        return {
            "schema_version": SCHEMA_VERSION,
            "kind": EPOC,
            "name": self.name,
            "n_events": _whole(self.n_events),
            "clock": self.clock,
            "ref_stream": self.ref_stream,
            "ref_fs": _real(self.ref_sfreq),
            "t0": _real(self.t0),
            "time_unit": TIME_UNIT,
            "columns": [dict(column) for column in self.columns],
            "source": dict(self.source),
            "history": [dict(entry) for entry in self.history],
        }

    def sidecar(self) -> dict[str, Any]:
        """Return the content of the sidecar: ``core`` and ``other``."""
        return {"core": self.document(), "other": dict(self.other)}


def parse_core(document: Any, *, file: Any = None) -> StreamCore:
    """Return the core of a stream, every field checked.

    Parameters
    ----------
    document : dict
        The core itself, or ``{"core": ..., "other": ...}``; also ``{"base": ..., "other": ...}``
        of dspAnt, with warnings (see `bidsmill.formats.stream_legacy.core_of_base`).
    file : path-like, optional
        What messages name.

    Raises
    ------
    BidsmillError
        That names the field, what was found, what was expected, and what to do.
    """
    from bidsmill.formats.stream_checks import checked_stream
    from bidsmill.formats.stream_legacy import core_of_base

    if isinstance(document, Mapping) and "base" in document and "core" not in document:
        core, told = core_of_base(document, file=file)
        for text in told:
            warnings.warn(text, UserWarning, stacklevel=2)
        return core
    return checked_stream(document, file)


def parse_epoc_core(document: Any, *, file: Any = None) -> EpocCore:
    """Return the core of epocs, every field checked (see `parse_core`)."""
    from bidsmill.formats.stream_checks import checked_epocs

    return checked_epocs(document, file)


def check_core(core: StreamCore, *, file: Any = None) -> StreamCore:
    """Return a core that was put together in Python, if it could be written and read again.

    Raises
    ------
    BidsmillError
        As `parse_core`.
    """
    return parse_core(core.sidecar(), file=file)
