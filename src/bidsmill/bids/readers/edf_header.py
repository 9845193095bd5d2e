"""What the header of an EDF or BDF file says, field by field."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from pathlib import Path

from bidsmill.errors import RecordingProblem

ANNOTATIONS = ("EDF Annotations", "BDF Annotations")
# Channels of trigger codes, by the names that amplifiers give them (as in MNE's reader).
TRIGGERS = ("status", "trigger")
# Bytes of a sample (Kemp et al. 1992, doi:10.1016/0013-4694(92)90009-7; for BDF the
# description of the format by BioSemi).
WIDTHS = {"EDF": 2, "BDF": 3}
# The first eight bytes of a file (same sources).
MAGIC = {b"0       ": "EDF", b"\xffBIOSEMI": "BDF"}
# Spellings of a physical dimension that are a voltage, and its size in V. The third of the
# micro signs is its Shift-JIS bytes read as Latin-1.
VOLTS = {
    "V": 1.0,
    "mV": 1e-3,
    "uV": 1e-6,
    "\u00b5V": 1e-6,
    "\u03bcV": 1e-6,
    "\x83\xcaV": 1e-6,
    "uv": 1e-6,
    "UV": 1e-6,
    "nV": 1e-9,
}
SPELLING = {1.0: "V", 1e-3: "mV", 1e-6: "\u00b5V", 1e-9: "nV"}
# Bytes of the fields of one signal, in the order in which the header holds them for all
# signals (Kemp et al. 1992, table 1).
FIELDS = {
    "label": 16,
    "transducer": 80,
    "dimension": 8,
    "physical minimum": 8,
    "physical maximum": 8,
    "digital minimum": 8,
    "digital maximum": 8,
    "prefiltering": 80,
    "samples per record": 8,
    "reserved": 32,
}


@dataclass
class EdfSignal:
    """What the header says of one signal.

    Attributes
    ----------
    label, dimension : str
        Name, and unit of the physical values.
    physical, digital : tuple of float
        Minimum and maximum of the physical values, and the stored integers that stand for
        them; NaN where the header holds no number.
    samples : int
        Samples in each record.
    place : int
        Samples of other signals that come before it in each record.
    scaled : bool
        Whether stored integers become physical values; otherwise they stay as they are.
    """

    label: str
    dimension: str
    physical: tuple[float, float]
    digital: tuple[float, float]
    samples: int
    place: int
    scaled: bool = True

    @property
    def is_annotation(self) -> bool:
        """Return whether the signal holds text in place of samples."""
        return self.label in ANNOTATIONS

    @property
    def is_trigger(self) -> bool:
        """Return whether the signal holds trigger codes."""
        return self.label.lower() in TRIGGERS

    @property
    def scale_is_known(self) -> bool:
        """Return whether the header says which physical value a stored integer is."""
        numbers = [*self.physical, *self.digital]
        return (
            all(map(math.isfinite, numbers))
            and self.physical[0] != self.physical[1]
            and self.digital[0] != self.digital[1]
        )


@dataclass
class EdfHeader:
    """What the header of a file says, and what follows for its data.

    Attributes
    ----------
    data : str
        The file's path in the dataset, for messages.
    size : int
        Bytes of the file.
    kind : str
        ``EDF`` or ``BDF``, by the file's extension.
    magic : str
        The same by its first bytes; ``''`` if they say neither.
    stated_length : int or None
        Bytes of the header, as the header says; None if that is no number.
    promised : int or None
        Records, as the header says; None if that is no number.
    duration : float
        Seconds of a record.
    discontinuous : bool
        Whether there may be time between records.
    signals : list of EdfSignal
        All signals, in file order.
    length : int or None
        Bytes before the first record; None where that is not settled.
    records : int or None
        Records to read; None where that is not settled.
    notes : list of str
        What a person should know, though nothing was mended.
    """

    data: str
    size: int
    kind: str
    magic: str
    stated_length: int | None
    promised: int | None
    duration: float
    discontinuous: bool
    signals: list[EdfSignal]
    length: int | None = None
    records: int | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def width(self) -> int:
        """Return the bytes of a sample."""
        return WIDTHS[self.kind]

    @property
    def record(self) -> int:
        """Return the bytes of a record."""
        return self.width * sum(signal.samples for signal in self.signals)

    @property
    def usual_length(self) -> int:
        """Return the bytes that a header of so many signals has: 256, and 256 for each."""
        return 256 * (len(self.signals) + 1)

    @property
    def held(self) -> int:
        """Return how many whole records the file holds."""
        begin = self.usual_length if self.length is None else self.length
        return max(0, self.size - begin) // self.record if self.record else 0

    @property
    def left_over(self) -> int:
        """Return the bytes after the last whole record."""
        begin = self.usual_length if self.length is None else self.length
        return max(0, self.size - begin) - self.held * self.record

    @property
    def channels(self) -> list[EdfSignal]:
        """Return the signals that hold samples, in file order."""
        return [s for s in self.signals if not s.is_annotation and s.samples > 0]


def read_header(path: Path, data: str) -> EdfHeader:
    """Read the header of a file, and settle nothing that it contradicts itself on.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    data : str
        Its path in the dataset, for messages.

    Returns
    -------
    EdfHeader

    Raises
    ------
    RecordingProblem
        ``unreadable``, naming the field.
    """
    with open(path, "rb") as file:
        head = file.read(256)
        n_signals = _whole(head[252:256])
        if len(head) < 256 or n_signals is None or n_signals < 0:
            raise RecordingProblem(
                "unreadable", "this is no EDF or BDF header", file=data, found=repr(head[:16])
            )
        table = file.read(256 * n_signals)
    if len(table) < 256 * n_signals:
        raise RecordingProblem(
            "truncated_file",
            "the file ends inside its header",
            file=data,
            found=f"{256 + len(table)} bytes",
            expected=f"a header of {256 * (n_signals + 1)} bytes for {n_signals} signals",
        )
    header = EdfHeader(
        data=data,
        size=path.stat().st_size,
        kind="BDF" if path.suffix.lower() == ".bdf" else "EDF",
        magic=MAGIC.get(head[:8], ""),
        stated_length=_whole(head[184:192]),
        promised=_whole(head[236:244]),
        duration=_number(head[244:252]),
        discontinuous=head[192:197] in (b"EDF+D", b"BDF+D"),
        signals=_signals(table, n_signals, data),
    )
    _settle(header)
    return header


def _signals(table: bytes, n_signals: int, data: str) -> list[EdfSignal]:
    columns: dict[str, list[bytes]] = {}
    begin = 0
    for name, width in FIELDS.items():
        places = range(begin, begin + width * n_signals, width)
        columns[name] = [table[place : place + width] for place in places]
        begin += width * n_signals
    signals: list[EdfSignal] = []
    place = 0
    for index in range(n_signals):
        cells = {name: column[index] for name, column in columns.items()}
        samples = _whole(cells["samples per record"])
        label = cells["label"].strip().decode("latin-1")
        if samples is None or samples < 0:
            raise RecordingProblem(
                "unreadable",
                "the header does not say how many samples a record holds",
                file=data,
                found=f"{cells['samples per record']!r} for signal {label!r}",
                expected="a whole number",
            )
        low, high, digital_low, digital_high = (_number(cells[name]) for name in list(FIELDS)[3:7])
        dimension = cells["dimension"].strip(b" \0").decode("latin-1")
        limits = (low, high), (digital_low, digital_high)
        signals.append(EdfSignal(label, dimension, *limits, samples, place))
        place += samples
    return signals


def _settle(header: EdfHeader) -> None:
    """Take from the header what nothing contradicts."""
    stated, promised = header.stated_length, header.promised
    # A longer header is no error where the records fill the rest of the file.
    beyond = (stated or 0) > header.usual_length and (promised or 0) > 0
    if beyond and header.size == (stated or 0) + (promised or 0) * header.record:
        header.length = stated
    if stated == header.usual_length:
        header.length = stated
    if header.length is not None and promised and 0 < promised <= header.held:
        header.records = promised


def _text(cell: bytes) -> str:
    return cell.split(b"\0")[0].decode("latin-1").strip()


def _whole(cell: bytes) -> int | None:
    text = _text(cell)
    return int(text) if re.fullmatch(r"[+-]?[0-9]+", text) else None


def _number(cell: bytes) -> float:
    # Some writers put a decimal comma.
    text = _text(cell).replace(",", ".")
    try:
        return float(text)
    except ValueError:
        return math.nan
