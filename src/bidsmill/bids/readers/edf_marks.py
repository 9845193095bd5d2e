"""Annotations of EDF+ and BDF+, and the times of the records that they state."""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass, field
from pathlib import Path

from bidsmill.bids.readers.edf_header import EdfHeader
from bidsmill.bids.repairs import repair
from bidsmill.errors import RecordingProblem

# A time-stamped annotation list: onset, duration, texts (Kemp and Olivan 2003,
# doi:10.1016/S1388-2457(03)00123-8, section 2.2.2).
LIST = re.compile(
    rb"([+-][0-9]+(?:\.[0-9]*)?)(?:\x15([0-9]+(?:\.[0-9]*)?))?\x14(.*?)\x14\0", re.DOTALL
)
# A list without a text states the onset of its record; it is the first of the record.
STAMP = re.compile(rb"([+-][0-9]+(?:\.[0-9]*)?)[\x14\x15]")
# Longest time without signal that is believed, in s: a year. Beyond it a damaged onset is
# likelier than a recording.
LONGEST_GAP = 366 * 86400.0


@dataclass
class EdfMarks:
    """What the annotation signals of a file hold.

    Attributes
    ----------
    data : str
        The file's path in the dataset, for messages.
    discontinuous : bool
        Whether the header says that there may be time between records.
    onsets : list of float or None
        Per record, the s at which it begins; None where that is not stated.
    lists : list of tuple
        Onset in s, duration in s and texts (bytes) of each annotation list.
    damaged : int
        Records whose annotations could not be read to their end.
    encoding : str
        How texts become characters.
    """

    data: str
    discontinuous: bool
    onsets: list[float | None] = field(default_factory=list)
    lists: list[tuple[float, float, list[bytes]]] = field(default_factory=list)
    damaged: int = 0
    encoding: str = "utf-8"


@dataclass
class Run:
    """Records that follow each other without time between them.

    Attributes
    ----------
    first, records : int
        The first record, and how many.
    start : int
        Sample of the recording at which it begins; samples before it that belong to no run
        hold no signal.
    """

    first: int
    records: int
    start: int


@repair(
    "edf_annotation_encoding",
    kind="edf_marks",
    risk="lossless",
    failure="Annotations of EDF+ are not UTF-8.",
    effect="Reads their texts as Latin-1.",
    todo="write the annotations in UTF-8",
)
def read_latin(marks: EdfMarks) -> str | None:
    """Read texts that are not UTF-8 as Latin-1."""
    for _, _, texts in marks.lists:
        for text in texts:
            try:
                text.decode("utf-8")
            except UnicodeDecodeError as error:
                marks.encoding = "latin-1"
                found = text[error.start : error.start + 1]
                return (
                    f"the annotation {text.decode('latin-1')!r} holds the byte {found!r}, which is"
                    " no UTF-8; all annotations are read as Latin-1"
                )
    return None


@repair(
    "edf_record_times",
    kind="edf_marks",
    risk="guess",
    failure="The header says that there may be time between records, which state no times.",
    effect="Takes the records as one continuous signal.",
    todo="write `EDF+C` at byte 192 if the recording was not interrupted",
)
def believe_continuous(marks: EdfMarks) -> str | None:
    """Take records without times as continuous."""
    lacking = sum(onset is None for onset in marks.onsets)
    if not marks.discontinuous or not lacking:
        return None
    marks.discontinuous = False
    return f"{lacking} of {len(marks.onsets)} records state no time; all are taken as continuous"


def read_marks(path: Path, header: EdfHeader) -> EdfMarks:
    """Read the annotation signals of a file, and nothing else of its records.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    header : EdfHeader
        With `length` and `records`.

    Returns
    -------
    EdfMarks
    """
    marks = EdfMarks(header.data, header.discontinuous)
    signals = [signal for signal in header.signals if signal.is_annotation and signal.samples]
    records = header.records or 0
    if not signals:
        marks.onsets = [None] * records if header.discontinuous else []
        return marks
    with open(path, "rb", buffering=0) as file:
        for record in range(records):
            for signal in signals:
                begin = (header.length or 0) + record * header.record
                file.seek(begin + header.width * signal.place)
                content = file.read(header.width * signal.samples)
                if signal is signals[0]:
                    stamp = STAMP.match(content)
                    marks.onsets.append(float(stamp[1]) if stamp else None)
                _collect(marks, content)
    return marks


def _collect(marks: EdfMarks, content: bytes) -> None:
    end, damaged = 0, False
    for found in LIST.finditer(content):
        damaged |= bool(content[end : found.start()].strip(b"\0"))
        end = found.end()
        texts = [text for text in found[3].split(b"\x14") if text]
        if texts:
            marks.lists.append((float(found[1]), float(found[2] or 0.0), texts))
    marks.damaged += damaged or bool(content[end:].strip(b"\0"))


def list_annotations(marks: EdfMarks) -> list[tuple[float, float, str]]:
    """Return onset (s from the first record), duration (s) and text of each annotation.

    One that is repeated for several channels (``text@@channel``) counts once.
    """
    first = next((onset for onset in marks.onsets[:1] if onset is not None), 0.0)
    result: list[tuple[float, float, str]] = []
    of_channels: set[tuple[float, float, str]] = set()
    for onset, duration, texts in marks.lists:
        for content in texts:
            text, _, channel = content.decode(marks.encoding, "replace").partition("@@")
            mark = (onset - first, duration, text)
            if channel and mark in of_channels:
                continue
            if channel:
                of_channels.add(mark)
            result.append(mark)
    if marks.damaged:
        warnings.warn(
            f"the annotations of {marks.damaged} records are damaged; what is readable is kept",
            RuntimeWarning,
            stacklevel=2,
        )
    return result


def find_runs(marks: EdfMarks, records: int, duration: float, per_record: int) -> list[Run]:
    """Return the stretches of records without time between them.

    Parameters
    ----------
    marks : EdfMarks
        Of the file.
    records : int
        Records of the file.
    duration : float
        Seconds of a record.
    per_record : int
        Samples of a record at the rate of the recording. A record may begin a sample early or
        late before that counts as a gap.

    Raises
    ------
    RecordingProblem
        ``unsupported_format`` where records overlap or state no time.
    """
    tolerance = duration / per_record * (1 + 1e-9)
    if not marks.discontinuous:
        _tell_of_times(marks, duration, tolerance)
        return [Run(0, records, 0)]
    runs: list[Run] = []
    origin = begin = 0.0
    for record, onset in enumerate(marks.onsets):
        if onset is None:
            raise _no_times(marks, record)
        if not runs:
            origin = begin = onset
            runs.append(Run(0, 1, 0))
            continue
        late = onset - (begin + (record - runs[-1].first) * duration)
        if late < -tolerance or late > LONGEST_GAP:
            raise RecordingProblem(
                "unsupported_format",
                "the times of the records contradict their duration",
                file=marks.data,
                found=f"record {record} begins at {onset:g} s",
                expected=f"{onset - late:g} s, where the one before ends, or up to a year later",
                todo="save the continuous parts as files of their own",
            )
        if late > tolerance:
            begin = onset
            runs.append(Run(record, 0, round((onset - origin) / duration * per_record)))
        runs[-1].records += 1
    return runs


def _no_times(marks: EdfMarks, record: int) -> RecordingProblem:
    return RecordingProblem(
        "unsupported_format",
        "there may be time between the records of this file, and a record does not state its time",
        file=marks.data,
        found=f"no time in record {record}",
        todo="allow the repair `edf_record_times` if the recording was not interrupted",
    )


def _tell_of_times(marks: EdfMarks, duration: float, tolerance: float) -> None:
    """Warn where the header says that records are continuous, and their times do not."""
    stated = [(record, onset) for record, onset in enumerate(marks.onsets) if onset is not None]
    for record, onset in stated:
        expected = stated[0][1] + (record - stated[0][0]) * duration
        if abs(onset - expected) > tolerance:
            warnings.warn(
                f"record {record} says that it begins at {onset:g} s and not at {expected:g} s;"
                " the header says that the records are continuous, and they are read so",
                RuntimeWarning,
                stacklevel=2,
            )
            return
