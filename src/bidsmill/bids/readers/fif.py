"""FIF: one file, or parts of which each names the next."""

from __future__ import annotations

import re
import struct
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from bidsmill.bids.readers.mirror import Mirror
from bidsmill.bids.repairs import Repairs, repair
from bidsmill.errors import RecordingProblem

SPLIT = re.compile(r"_split-([0-9]+)")
# What MNE says where the part that a file names is not there.
NEXT_PART = re.compile(r"next file (.+?) does not exist")
# A FIF file begins with its id (a tag of 16 + 20 bytes) and a pointer to its directory (a tag
# of kind 101 with 4 bytes): FIFF specification, MEGIN.
FILE_ID, POINTER_PLACE, POINTER_KIND = 100, 36, 101
# Kind, type, bytes of data, and place of the next tag.
TAG = struct.Struct(">iiii")
# Blocks of a FIF file that hold something else than a continuous recording.
OTHER_CONTENT = {
    "FIFFB_MNE_EPOCHS": "epochs",
    "FIFFB_EVOKED": "averages",
    "FIFFB_MNE_COV": "a covariance",
    "FIFFB_MNE_FORWARD_SOLUTION": "a forward solution",
    "FIFFB_MNE_SOURCE_SPACE": "a source space",
    "FIFFB_MNE_ICA": "a decomposition",
}


@dataclass
class FifParts:
    """The parts of a split recording.

    Attributes
    ----------
    parts : list of pathlib.Path
        Files that BIDS names as parts, in order; the first is the one that is opened.
    lacking : str
        Name of the part that a file names and that is not there; ``''`` if none.
    links : dict
        Name that a file expects -> part that is there.
    """

    parts: list[Path]
    lacking: str = ""
    links: dict[str, Path] = field(default_factory=dict)


@repair(
    "fif_part_names",
    kind="fif",
    risk="lossless",
    failure="Parts of a split FIF file were renamed, and each still names the next as it was.",
    effect="Follows the numbers of the BIDS names, if the samples follow each other.",
    todo="rename the parts by loading and saving them with MNE",
)
def follow_numbers(parts: FifParts) -> str | None:
    """Take the next part by its BIDS name."""
    numbers = [_number(part) for part in parts.parts]
    stated = SPLIT.search(parts.lacking)
    # A name without a number is that of the part after those that were found so far.
    place = len(parts.links) + 1
    if stated:
        place = numbers.index(int(stated[1])) if int(stated[1]) in numbers else len(numbers)
    if not parts.lacking or place >= len(numbers) or parts.lacking in parts.links:
        return None
    parts.links[parts.lacking] = parts.parts[place]
    found = parts.parts[place].name
    return f"a part names {parts.lacking} as the next, which is not there; {found} is read"


def read(path: Path, data: str, repairs: Repairs):
    """Open a FIF file and the parts that follow it; see `reading.open_recording` for the errors."""
    _refuse_truncated(path, data)
    parts = FifParts(_siblings(path))
    for part in parts.parts:
        _refuse_circle(part, data)
    try:
        raw = _open(path)
    except ValueError as error:
        found = NEXT_PART.search(str(error))
        if found is None:
            raise _other_content(path, data, error) from error
        parts.lacking = Path(found[1]).name
        raw = _by_links(path, data, parts, repairs)
    read_parts = len(raw.filenames)
    for part in raw.filenames[1:]:
        _refuse_truncated(Path(part), data)
    if len(parts.parts) > read_parts:
        raise RecordingProblem(
            "companion_missing",
            "the parts of this recording are not linked: a part does not name the next",
            file=data,
            found=f"{len(parts.parts)} parts by their names, {read_parts} by what they name",
            expected=f"{parts.parts[read_parts].name} as the next",
            todo="load and save the parts with MNE",
        )
    if raw.info.get("maxshield"):
        warnings.warn(
            "recorded with active shielding (MaxShield), and not Maxwell-filtered since",
            RuntimeWarning,
            stacklevel=2,
        )
    return raw


def _open(path: Path):
    import mne

    return mne.io.read_raw_fif(path, allow_maxshield="yes", on_split_missing="raise")


def _siblings(path: Path) -> list[Path]:
    """Return all parts of a recording by their BIDS names, sorted by number."""
    if not SPLIT.search(path.name):
        return [path]
    wanted = SPLIT.sub("", path.name)
    others = [other for other in path.parent.iterdir() if SPLIT.search(other.name)]
    return sorted((o for o in others if SPLIT.sub("", o.name) == wanted), key=_number)


def _number(path: Path) -> int:
    found = SPLIT.search(path.name)
    return int(found[1]) if found else 0


def _by_links(path: Path, data: str, parts: FifParts, repairs: Repairs):
    """Open a recording whose parts have other names than they expect."""
    applied = list(repairs.applied)
    for _ in range(len(parts.parts)):
        known = len(parts.links)
        repairs.mend("fif", parts)
        if len(parts.links) == known:
            raise _missing(data, parts)
        mirror = Mirror("", {**{p.name: p for p in parts.parts}, **parts.links})
        try:
            raw = _open(mirror.path / path.name)
        except Exception as error:
            found = NEXT_PART.search(str(error))
            if found is None:
                raise ValueError(mirror.named_as(path.parent, str(error))) from error
            parts.lacking = Path(found[1]).name
            continue
        raw.mirror = mirror
        ends, starts = raw._last_samps[:-1] + 1, raw._first_samps[1:]
        if list(ends) != list(starts):
            repairs.applied[:] = applied
            raise RecordingProblem(
                "companion_missing",
                "the parts of this recording do not follow each other",
                file=data,
                found=f"parts that begin at samples {', '.join(map(str, starts))}",
                expected=f"{', '.join(map(str, ends))}, where the ones before end",
            )
        return raw
    raise _missing(data, parts)


def _missing(data: str, parts: FifParts) -> RecordingProblem:
    return RecordingProblem(
        "companion_missing",
        "a part of this split recording is missing",
        file=data,
        found=f"{len(parts.parts)} parts by their names",
        expected=parts.lacking,
        todo="fetch the missing part; parts that were renamed are saved anew with MNE",
    )


def _refuse_truncated(path: Path, data: str) -> None:
    """Refuse a file that ends before its last tag; MNE reads what is there and says nothing."""
    if path.suffix.lower() != ".fif":
        return
    size = path.stat().st_size
    with open(path, "rb", buffering=0) as file:
        place: int | None = _directory(file)
        while place is not None:
            file.seek(place)
            head = file.read(TAG.size)
            end = place + TAG.size
            if len(head) == TAG.size:
                _, _, length, following = TAG.unpack(head)
                end += max(0, length)
            if len(head) < TAG.size or end > size:
                raise RecordingProblem(
                    "truncated_file",
                    "the file ends before its last tag",
                    file=data,
                    found=f"{size} bytes",
                    expected=f"at least {end} bytes",
                    todo="fetch the file again",
                )
            # 0: the next tag follows; above: it stands elsewhere; below: this is the last.
            place = end if following == 0 else None
            if following > 0:
                place = following if following >= end else None


def _refuse_circle(path: Path, data: str) -> None:
    """Refuse a file without directory whose tags lead back: MNE follows them until memory ends."""
    if path.suffix.lower() != ".fif":
        return
    with open(path, "rb", buffering=0) as file:
        if _has_directory(file):
            return
        place: int | None = 0
        seen = set()
        while place is not None:
            if place in seen or place < 0:
                raise RecordingProblem(
                    "unreadable",
                    "the tags of the file lead in a circle",
                    file=data,
                    found=f"byte {place} as the next tag, once more or before the file",
                    expected="tags that end",
                    todo="fetch the file again",
                )
            seen.add(place)
            file.seek(place)
            head = file.read(TAG.size)
            if len(head) < TAG.size:
                return
            _, _, length, following = TAG.unpack(head)
            place = place + TAG.size + length if following == 0 else following
            place = None if following < 0 else place


def _has_directory(file: BinaryIO) -> bool:
    """Return whether MNE finds the tags of a file by its directory."""
    place = _directory(file)
    file.seek(0)
    first = file.read(TAG.size)
    if not place or TAG.unpack(first)[3] not in (0, POINTER_PLACE):
        return False
    file.seek(place)
    head = file.read(TAG.size)
    return len(head) == TAG.size and TAG.unpack(head)[2] > 0


def _directory(file: BinaryIO) -> int | None:
    """Return the byte of the directory, or of the first tag if there is none."""
    head = file.read(POINTER_PLACE + TAG.size + 4)
    if len(head) < POINTER_PLACE + TAG.size + 4:
        return None
    kind = TAG.unpack_from(head)[0]
    pointer, _, _, _ = TAG.unpack_from(head, POINTER_PLACE)
    if kind != FILE_ID or pointer != POINTER_KIND:
        return None
    place = int.from_bytes(head[-4:], "big", signed=True)
    return place if place > 0 else 0


def _other_content(path: Path, data: str, error: ValueError) -> Exception:
    """Return the problem of a file that holds something else than a continuous recording."""
    import mne

    if "No raw data" not in str(error):
        return error
    blocks = str(mne.io.show_fiff(path, output=str))
    held = [text for block, text in OTHER_CONTENT.items() if block in blocks]
    return RecordingProblem(
        "unsupported_format",
        "the file holds no continuous recording",
        file=data,
        found=", ".join(held) or "no data",
        expected="raw data",
    )
