"""Repairs of EDF and BDF headers, and what is refused when they may not act."""

from __future__ import annotations

import math
import warnings

from bidsmill.bids.readers.edf_header import WIDTHS, EdfHeader
from bidsmill.bids.repairs import Repairs, repair
from bidsmill.errors import RecordingProblem


@repair(
    "edf_extension",
    kind="edf",
    risk="lossless",
    failure="The extension says EDF and the first bytes say BDF, or the other way round.",
    effect="Reads the file as its first bytes say, if its size is right for that.",
    todo="rename the file",
)
def correct_extension(header: EdfHeader) -> str | None:
    """Read a file as what it is."""
    if header.magic in ("", header.kind) or header.promised is None:
        return None
    samples = sum(signal.samples for signal in header.signals)
    data = header.promised * samples * WIDTHS[header.magic]
    if header.usual_length + data != header.size:
        return None
    said = header.kind
    header.kind = header.magic
    header.length, header.records = header.usual_length, header.promised
    return f"the file is named as {said}, and is {header.kind} by its first bytes and its size"


@repair(
    "edf_header_length",
    kind="edf",
    risk="lossless",
    failure="The header gives a wrong number of header bytes.",
    effect="Takes 256 bytes and 256 more per signal, if whole records then fill the file.",
    todo="write the right number at byte 184",
)
def correct_length(header: EdfHeader) -> str | None:
    """Find the first record by the number of signals."""
    if header.length is not None or header.left_over or not header.held:
        return None
    if header.promised is not None and header.promised > 0 and header.promised != header.held:
        return None
    header.length = header.usual_length
    if header.promised == header.held:
        header.records = header.promised
    return (
        f"the header says that it is {_shown(header.stated_length)} bytes long; with"
        f" {len(header.signals)} signals it is {header.length}, and {header.held} whole records"
        " fill the rest of the file"
    )


@repair(
    "edf_records_unknown",
    kind="edf",
    risk="lossless",
    failure="The header does not say how many records there are (the writer was not closed).",
    effect="Counts the records, if the file holds a whole number of them.",
    todo="write the number of records at byte 236",
    seen=("ds004395",),
)
def count_records(header: EdfHeader) -> str | None:
    """Count records that the header does not count."""
    if not _uncounted(header) or header.left_over or not header.held:
        return None
    header.records = header.held
    return (
        f"the header says {_shown(header.promised)} records; the file holds exactly"
        f" {header.held} ({header.held * header.duration:g} s)"
    )


@repair(
    "edf_truncated",
    kind="edf",
    risk="lossy",
    failure="The file ends before the last record that its header promises.",
    effect="Keeps the whole records, and leaves out the one that is cut.",
    todo="fetch the file again; if it is so at its source, ask for the original",
    seen=("ds004395",),
)
def keep_whole_records(header: EdfHeader) -> str | None:
    """Read the whole records of a file that ends too early."""
    if not _ends_early(header) or not header.held:
        return None
    header.records = header.held
    missing = ""
    if header.promised is not None and header.promised > header.held:
        missing = f", {header.promised - header.held} are missing"
    return (
        f"the header says {_shown(header.promised)} records; {header.held} whole ones"
        f" ({header.held * header.duration:g} s) are kept{missing}, and {header.left_over} bytes"
        " of a cut one are left out"
    )


@repair(
    "edf_records_uncounted",
    kind="edf",
    risk="guess",
    failure="The file holds more records than its header says.",
    effect="Reads all whole records.",
    todo="write the number of records at byte 236, or cut the file",
)
def read_uncounted_records(header: EdfHeader) -> str | None:
    """Read the records beyond those that the header counts."""
    if header.records is None or header.records >= header.held:
        return None
    counted, header.records = header.records, header.held
    return f"the header says {counted} records, and all {header.held} of the file are read"


@repair(
    "edf_scale_missing",
    kind="edf",
    risk="lossless",
    failure="The minimum of a channel is its maximum, or no number: its values have no scale.",
    effect="Keeps the stored integers, with the unit n/a, and marks the channel as bad.",
    todo="write the physical and digital range of the channel",
)
def keep_integers(header: EdfHeader) -> str | None:
    """Give channels without a scale as they are stored."""
    without = [s for s in header.channels if s.scaled and not s.scale_is_known]
    without = [s for s in without if not (header.kind == "BDF" and s.is_trigger)]
    if not without:
        return None
    for signal in without:
        signal.scaled = False
    shown = ", ".join(
        f"{s.label} (physical {s.physical[0]:g} to {s.physical[1]:g},"
        f" digital {s.digital[0]:g} to {s.digital[1]:g})"
        for s in without[:5]
    )
    more = f" and {len(without) - 5} more" if len(without) > 5 else ""
    return f"no scale for {shown}{more}: stored integers are kept, the channels are bad"


@repair(
    "edf_label_characters",
    kind="edf",
    risk="lossless",
    failure="A channel's label holds characters that cannot be printed.",
    effect="Takes them out of the name.",
    todo="correct the labels in the header",
)
def clean_labels(header: EdfHeader) -> str | None:
    """Take control characters out of labels."""
    cleaned = []
    for signal in header.signals:
        name = "".join(c for c in signal.label.split("\0")[0] if c.isprintable()).strip()
        if name != signal.label:
            cleaned.append(f"{signal.label!r} is read as {name!r}")
            signal.label = name
    return "; ".join(cleaned[:5]) or None


def settle(header: EdfHeader, repairs: Repairs) -> None:
    """Mend a header where a rule may, and refuse what is left of its contradictions.

    Parameters
    ----------
    header : EdfHeader
        Changed in place; afterwards `length` and `records` are known. What is told of it
        without being mended is warned of.
    repairs : Repairs
        Which rules may act.

    Raises
    ------
    RecordingProblem
        ``unreadable``, ``truncated_file`` or ``no_samples``.
    """
    repairs.mend("edf", header)
    _refuse_wrong_sizes(header, repairs)
    if not header.channels or header.records == 0:
        raise RecordingProblem(
            "no_samples",
            "the file holds annotations and no signal"
            if header.records and not header.channels
            else "the recording holds no samples",
            file=header.data,
            found=f"{len(header.channels)} signals, {header.records} records",
        )
    if not (math.isfinite(header.duration) and header.duration > 0):
        raise RecordingProblem(
            "unreadable",
            "the header gives no duration of a record, so that no sampling rate is known",
            file=header.data,
            found=f"{header.duration:g} s",
            todo="write the duration of a record at byte 244",
        )
    scaleless = [s.label for s in header.channels if s.scaled and not s.scale_is_known]
    if header.kind == "BDF":
        scaleless = [label for label in scaleless if label.lower() not in ("status", "trigger")]
    if scaleless:
        raise RecordingProblem(
            "unreadable",
            "the header gives no scale for a channel",
            file=header.data,
            found=", ".join(scaleless[:5]),
            todo="allow the repair `edf_scale_missing`, or correct the header",
        )
    _tell(header)


def _refuse_wrong_sizes(header: EdfHeader, repairs: Repairs) -> None:
    if header.magic not in ("", header.kind):
        raise RecordingProblem(
            "unreadable",
            "extension and first bytes of the file name two formats",
            file=header.data,
            found=f"{header.magic} by its first bytes",
            expected=f"{header.kind} by its name",
            todo="name the file after its format",
        )
    if header.length is None:
        raise RecordingProblem(
            "unreadable",
            "the header's length does not fit its number of signals",
            file=header.data,
            found=f"{_shown(header.stated_length)} bytes",
            expected=f"{header.usual_length} bytes for {len(header.signals)} signals",
        )
    if header.records is None and _ends_early(header):
        promised = _shown(header.promised)
        raise RecordingProblem(
            "truncated_file",
            "the file ends before its last record",
            file=header.data,
            found=f"{header.held} whole records in {header.size} bytes",
            expected=f"{promised} records, as the header says",
            todo=repairs.todo("fetch the file again", mark=","),
        )
    if header.records is None and header.held:
        raise RecordingProblem(
            "unreadable",
            "the header does not say how many records there are",
            file=header.data,
            found=f"{_shown(header.promised)} records in the header, {header.held} in the file",
            todo="allow the repair `edf_records_unknown`, or correct the header",
        )
    header.records = header.records or 0


def _tell(header: EdfHeader) -> None:
    notes = list(header.notes)
    records, held = header.records or 0, header.held
    if held > records or header.left_over:
        beyond = header.left_over + (held - records) * header.record
        notes.append(
            f"the file holds {beyond} bytes ({held - records} whole records) beyond the"
            f" {records} records of its header; they are not read"
        )
    turned = [s.label for s in header.channels if s.scaled and s.digital[0] > s.digital[1]]
    if turned:
        notes.append(
            f"the digital minimum is above the maximum in {', '.join(turned[:5])}: the header's"
            " scale is used, which turns the sign"
        )
    empty = [s.label for s in header.signals if s.samples == 0 and not s.is_annotation]
    if empty:
        notes.append(f"no record holds samples of {', '.join(empty[:5])}; left out")
    for note in notes:
        warnings.warn(note, RuntimeWarning, stacklevel=2)


def _uncounted(header: EdfHeader) -> bool:
    return header.length is not None and (header.promised is None or header.promised <= 0)


def _ends_early(header: EdfHeader) -> bool:
    if header.length is None:
        return False
    if _uncounted(header):
        return header.left_over > 0
    return header.promised is not None and header.promised > header.held


def _shown(number: int | None) -> str:
    return "no readable number of" if number is None else str(number)
