"""EDF and BDF files whose header and records contradict each other."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from bidsmill.errors import RecordingProblem

ANNOTATIONS = ("EDF Annotations", "BDF Annotations")
# A time-stamped annotation list: the onset of its record comes first (Kemp and Olivan 2003,
# doi:10.1016/S1388-2457(03)00123-8, section 2.2.2).
RECORD_ONSET = re.compile(rb"([+-]\d+(?:\.\d*)?)[\x14\x15]")
ONSET_BYTES = 32


@dataclass
class _Header:
    """What the header says of the records; lengths in bytes, durations in s."""

    length: int
    promised: int
    duration: float
    discontinuous: bool
    labels: list[str]
    samples: list[int]
    width: int

    @property
    def record(self) -> int:
        return sum(self.samples) * self.width


def check_records(path: Path, data: str) -> None:
    """Refuse an EDF or BDF file whose records are not the continuous signal of its header.

    The header is 256 bytes, and 256 more per signal; its fields are ASCII at fixed places
    (Kemp et al. 1992, doi:10.1016/0013-4694(92)90009-7). A record count of -1 means that the
    writer did not know it, and is no contradiction. A file that says ``EDF+D`` may have time
    between records; readers join them, and what comes later would stand at a wrong time.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    data : str
        Its path in the dataset, for messages.

    Raises
    ------
    RecordingProblem
        ``unreadable``, ``truncated_file`` or ``unsupported_format``.
    """
    with open(path, "rb") as file:
        header = _header(file, 3 if path.suffix.lower() == ".bdf" else 2, data)
        size = path.stat().st_size
        held = (size - header.length) // header.record if header.record else 0
        if header.promised > held:
            raise RecordingProblem(
                "truncated_file",
                "the file ends before its last record",
                file=data,
                found=f"{held} whole records in {size} bytes",
                expected=f"{header.promised} records, as the header says",
                todo="fetch the file again",
            )
        if header.discontinuous:
            _check_onsets(file, header, held if header.promised < 0 else header.promised, data)


def _header(file: BinaryIO, width: int, data: str) -> _Header:
    head = file.read(256)
    try:
        n_signals = int(head[252:256])
        if n_signals < 0:
            raise ValueError("a negative number of signals")
        signals = file.read(256 * n_signals)
        begin = 216 * n_signals
        return _Header(
            length=int(head[184:192]),
            promised=int(head[236:244]),
            duration=float(head[244:252]),
            discontinuous=head[192:197] in (b"EDF+D", b"BDF+D"),
            labels=[
                signals[16 * i : 16 * i + 16].decode("latin-1").strip() for i in range(n_signals)
            ],
            samples=[int(signals[begin + 8 * i : begin + 8 * i + 8]) for i in range(n_signals)],
            width=width,
        )
    except ValueError:
        raise RecordingProblem(
            "unreadable", "this is no EDF or BDF header", file=data, found=repr(head[:16])
        ) from None


def _check_onsets(file: BinaryIO, header: _Header, records: int, data: str) -> None:
    """Refuse records that do not follow each other without time between them."""
    signal = next((i for i, label in enumerate(header.labels) if label in ANNOTATIONS), None)
    if signal is None:
        return
    offset = header.length + header.width * sum(header.samples[:signal])
    tolerance = header.duration / max(2, *header.samples)
    first = None
    for record in range(records):
        file.seek(offset + record * header.record)
        stated = RECORD_ONSET.match(file.read(ONSET_BYTES))
        if stated is None:
            continue
        onset = float(stated[1]) - record * header.duration
        first = onset if first is None else first
        if abs(onset - first) > tolerance:
            raise RecordingProblem(
                "unsupported_format",
                "there is time between the records of this file, which no reader here keeps",
                file=data,
                found=f"record {record} begins at {float(stated[1]):g} s",
                expected=f"{first + record * header.duration:g} s, right after the one before",
                todo="save the continuous parts as files of their own",
            )
