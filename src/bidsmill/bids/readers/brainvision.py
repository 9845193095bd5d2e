"""BrainVision: a header, a file of samples, a file of markers."""

from __future__ import annotations

import math
import re
import tempfile
import warnings
from pathlib import Path

from bidsmill.bids.readers import brainvision_rules as rules
from bidsmill.bids.readers.brainvision_header import (
    SAMPLE_BYTES,
    VERSION,
    Header,
    header_text,
    read_header,
)
from bidsmill.bids.readers.companions import described, refuse_unusable
from bidsmill.bids.repairs import Repairs, repair
from bidsmill.errors import RecordingProblem

# Settings of "Binary Infos" that move or swap the bytes, and that no reader here follows.
UNREAD = ("DataOffset", "ChannelOffset", "SegmentHeaderSize", "TrailerSize")
# Units that MNE scales or names; it takes the numbers of any other unit as they are.
UNITS = ("", "V", "mV", "µV", "uV", "nV", "C", "°C", "n/a", "S", "µS", "uS", "ARU", "N")
# Bytes of the end of a text file in which its last line is looked for.
TAIL = 1 << 20


def read(path: Path, data: str, repairs: Repairs):
    """Open a BrainVision recording by its header; see `reading.open_recording` for the errors."""
    header = read_header(path, data)
    repairs.mend("brainvision", header)
    _check_version(header, data)
    _check_storage(header, data)
    _check_channels(header, data)
    _check_files(header, data, repairs)
    _check_length(header, data, repairs)
    _check_markers(header, data, repairs)
    for note in (rules.wrong_count(header), _unknown_units(header)):
        if note:
            warnings.warn(note, RuntimeWarning, stacklevel=2)
    return _with_segments(_open(header, repairs), header)


def _problem(code: str, what: str, data: str, **details) -> RecordingProblem:
    return RecordingProblem(code, what, file=data, **details)


def _check_version(header: Header, data: str) -> None:
    version = VERSION.search(header.version_line)
    if version and int(version[1]) not in (1, 2):
        raise _problem(
            "unsupported_format",
            "no reader here knows this version of the header",
            data,
            found=header.version_line[:80],
            expected="version 1.0 or 2.0",
        )


def _check_storage(header: Header, data: str) -> None:
    """Refuse a header that does not say how samples are stored, or says what no reader follows."""
    needed = ["DataFormat", "DataOrientation", "NumberOfChannels", "SamplingInterval"]
    absent = [f"[Common Infos] {key}" for key in needed if not header.common(key)]
    binary = header.common("DataFormat") == "BINARY"
    if binary and not header.get("Binary Infos", "BinaryFormat"):
        absent.append("[Binary Infos] BinaryFormat")
    if absent:
        raise _problem(
            "unreadable",
            "the header does not say how the samples are stored",
            data,
            found="no " + ", no ".join(absent),
            todo="restore the header; it is never guessed",
        )
    known = {
        "DataFormat": ("BINARY", "ASCII"),
        "DataOrientation": ("MULTIPLEXED", "VECTORIZED"),
        "DataType": ("TIMEDOMAIN", ""),
    }
    odd = [f"{k}={header.common(k)}" for k, v in known.items() if header.common(k) not in v]
    if binary:
        stored = header.get("Binary Infos", "BinaryFormat")
        odd += [f"BinaryFormat={stored}"] * (stored not in SAMPLE_BYTES)
        odd += [f"{k}={v}" for k in UNREAD if (v := header.get("Binary Infos", k)) not in ("", "0")]
        if header.get("Binary Infos", "UseBigEndianOrder").upper() in ("YES", "1", "TRUE"):
            odd.append("UseBigEndianOrder=YES")
    elif header.common("DataOrientation") == "VECTORIZED":
        odd.append("DataFormat=ASCII with DataOrientation=VECTORIZED")
    if odd:
        raise _problem(
            "unsupported_format",
            "no reader here follows how these samples are stored",
            data,
            found=", ".join(odd),
            todo="export the recording as little-endian BINARY, time domain, without offsets",
        )
    _check_numbers(header, data)


def _check_numbers(header: Header, data: str) -> None:
    interval = _number(header.common("SamplingInterval"))
    if header.n_channels < 1 or not interval > 0:
        raise _problem(
            "unreadable",
            "the header states an impossible number of channels or sampling interval",
            data,
            found=f"NumberOfChannels={header.common('NumberOfChannels')[:40]}, "
            f"SamplingInterval={header.common('SamplingInterval')[:40]}",
        )


def _check_channels(header: Header, data: str) -> None:
    """Refuse channel lines that are missing, or whose resolution is no number."""
    channels = header.channels()
    absent = [n for n in range(1, min(header.n_channels, 10**5) + 1) if n not in channels]
    wrong = [
        f"Ch{number}={','.join(fields)[:60]}"
        for number, fields in sorted(channels.items())
        if len(fields) < 3 or not _scales(fields)
    ]
    if not absent and not wrong:
        return
    found = [f"no line for channel {', '.join(map(str, absent[:10]))}"] * bool(absent)
    raise _problem(
        "unreadable",
        "the channels of the header are not described",
        data,
        found="; ".join(found + wrong[:5]),
        expected=f"{header.n_channels} lines Ch1=name,reference,resolution,unit",
        todo="restore the header; it is never guessed",
    )


def _scales(fields: list[str]) -> bool:
    """Return whether a resolution can be one; `0,1` with a decimal comma reads as 0 and a unit."""
    resolution = _number(fields[2]) if fields[2].strip() else 1.0
    unit = fields[3] if len(fields) > 3 else ""
    return math.isfinite(resolution) and resolution != 0 and not math.isfinite(_number(unit))


def _unknown_units(header: Header) -> str | None:
    units = [fields[3] for fields in header.channels().values() if len(fields) > 3]
    # MNE takes a stray byte of a doubly encoded micro sign for nothing.
    unknown = sorted({unit for unit in units if unit.replace("\u00c2", "") not in UNITS})
    if not unknown:
        return None
    return f"unit(s) of the header that are not known, values as stored: {', '.join(unknown)}"[:200]


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _check_files(header: Header, data: str, repairs: Repairs) -> None:
    """Refuse files that are not there, not fetched or empty, or of which two are possible."""
    for key, companion in (("DataFile", header.data), ("MarkerFile", header.markers)):
        no_markers = key == "MarkerFile" and header.marker_text == ""
        if no_markers or (companion.path is not None and not companion.contradicted):
            continue
        raise _problem(
            "companion_missing",
            "it is not certain which file the header means"
            if companion.contradicted or companion.beside
            else "a file that the header names is missing",
            data,
            found=f"{key}: {described(companion)}",
            expected=header.path.with_suffix(".eeg" if key == "DataFile" else ".vmrk").name,
            todo=repairs.todo(f"restore the file, or correct {key} in the header"),
        )
    if header.data.path is not None:
        refuse_unusable(header.data.path, data)
    if header.markers.path is not None:
        refuse_unusable(header.markers.path, data, may_be_empty=True)


def _check_length(header: Header, data: str, repairs: Repairs) -> None:
    """Refuse a file of samples that is shorter than it should be."""
    lack = rules.shortage(header) or _cut_line(header)
    vectorized = header.common("DataOrientation") == "VECTORIZED"
    if not lack and vectorized and (note := rules.wrong_count(header)) and "together" not in note:
        # Every channel begins where the one before ends: another length moves all but the first.
        lack = note
    if lack and not header.keep_held:
        raise _problem(
            "truncated_file",
            "the data file is not as long as its header says",
            (Path(data).parent / header.data.path.name).as_posix() if header.data.path else data,
            found=lack,
            expected="whole samples of all channels"
            + (f", {header.stated_samples} of them" if header.stated_samples else ""),
            todo=repairs.todo("fetch the file again"),
        )


def _cut_line(header: Header) -> str:
    """Return in what way the last line of a text file is too short; empty if it is not."""
    if header.common("DataFormat") != "ASCII" or header.data.path is None:
        return ""
    with open(header.data.path, "rb") as file:
        file.seek(max(0, header.size - TAIL))
        lines = [line for line in file.read().splitlines() if line.strip()]
    count = len(re.split(rb"[\s,]+", lines[-1].strip())) if lines else 0
    if b"," in (lines or [b""])[-1] and b" " in lines[-1]:
        count = len(lines[-1].split())
    return f"{count} values in the last line" if count < header.n_channels else ""


def _check_markers(header: Header, data: str, repairs: Repairs) -> None:
    lines = rules.marker_text(header).splitlines()
    broken = [line for line in lines if rules.is_broken_marker(line)]
    if broken:
        raise _problem(
            "unreadable",
            "a marker states no position",
            data,
            found=f"{len(broken)} such line(s), the first is {broken[0][:60]!r}",
            todo=repairs.todo("correct the .vmrk file"),
        )


@repair(
    "brainvision_comment",
    kind="brainvision_comment",
    risk="lossless",
    failure="The comment of the header, which repeats filters and impedances, cannot be read.",
    effect="The comment is left out; samples, channels and markers do not depend on it.",
    todo="Correct the tables below [Comment] in the .vhdr, or remove them.",
)
def mend_comment(header: Header) -> str | None:
    """Leave the comment out."""
    if not header.comment.strip():
        return None
    header.comment, header.rewritten = "", True
    return "the comment of the header cannot be read; it is left out, with its filter settings"


def _open(header: Header, repairs: Repairs):
    """Open the recording, without the comment of its header if that is what fails."""
    from mne.io import read_raw_brainvision

    # MNE knows the extension in lower case only.
    header.rewritten |= header.path.suffix != ".vhdr"
    if not header.rewritten:
        try:
            return read_raw_brainvision(header.path, preload=False)
        except (ValueError, AssertionError, IndexError, KeyError):
            repairs.mend("brainvision_comment", header)
            if not header.rewritten:
                raise
    try:
        return _open_rewritten(header)
    except (ValueError, AssertionError, IndexError, KeyError):
        if not header.comment:
            raise
        repairs.mend("brainvision_comment", header)
        return _open_rewritten(header)


def _open_rewritten(header: Header):
    """Open a recording by a header that says what is meant, written to a temporary folder.

    MNE reads header and markers when it opens the recording, and later the file of samples only,
    which stays where it is.
    """
    from mne.io import read_raw_brainvision

    assert header.data.path is not None
    with tempfile.TemporaryDirectory(prefix="bidsmill-") as folder:
        place = Path(folder) / "header.vhdr"
        markers = ""
        if header.markers.path is not None and rules.marker_text(header):
            markers = "header.vmrk"
            text = re.sub(
                r"^codepage=.*\n?",
                "",
                rules.marker_text(header).lstrip("\ufeff"),
                flags=re.IGNORECASE | re.MULTILINE,
            )
            (place.parent / markers).write_text(text, encoding="utf-8", newline="\n")
        text = header_text(header, str(header.data.path.absolute()), markers)
        place.write_text(text, encoding="utf-8", newline="\n")
        try:
            return read_raw_brainvision(place, preload=False)
        except OSError:
            raise
        except Exception as error:
            # Messages name the header of the dataset, never the temporary one.
            told = str(error).replace(str(place), header.path.name).replace(folder, "")
            if told == str(error):
                raise
            raise ValueError(told) from error


def _with_segments(raw, header: Header):
    """Mark the borders of segments, which are cut from a longer recording.

    Analyzer writes segments of ``SegmentDataPoints`` samples one after the other (BrainVision
    Core Data Format 1.0, "SegmentationType").
    """
    import mne

    points = header.common("SegmentDataPoints")
    if header.common("SegmentationType").upper() in ("", "NOTSEGMENTED"):
        return raw
    length = int(points) if points.isdecimal() else 0
    if not 0 < length < raw.n_times:
        return raw
    onsets = [start / raw.info["sfreq"] for start in range(length, raw.n_times, length)]
    marks = mne.Annotations(onsets, 0.0, "boundary", orig_time=raw.annotations.orig_time)
    return raw.set_annotations(raw.annotations + marks)
