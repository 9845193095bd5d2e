"""Repairs of BrainVision recordings."""

from __future__ import annotations

import re
from collections import Counter

from bidsmill.bids.readers.brainvision_header import Header, decoded
from bidsmill.bids.readers.companions import described
from bidsmill.bids.repairs import repair

# A marker: type, description, position and length in samples (BrainVision Core Data Format 1.0,
# "Marker Infos").
MARKER_LINE = re.compile(r"^Mk\d+=", re.IGNORECASE)
WHOLE_MARKER = re.compile(r"^Mk\d+=[^,]*,[^,]*,\s*[+-]?\d+\s*,[^,]*", re.IGNORECASE)
# U+03BC and U+00B5 look the same and mean the same (Unicode: compatibility equivalent); MNE knows
# the second only, and takes anything else for a unit of its own.
GREEK_MU, MICRO = "\u03bc", "\u00b5"


@repair(
    "brainvision_encoding",
    kind="brainvision",
    risk="lossless",
    failure="The header is not in the encoding that it states, or not UTF-8.",
    effect="It is read as Windows-1252, which recorders write; samples do not depend on it.",
    todo="Save the .vhdr as UTF-8 with the line `Codepage=UTF-8`.",
)
def mend_encoding(header: Header) -> str | None:
    """Take the assumed encoding."""
    if not header.assumed_encoding:
        return None
    header.rewritten = True
    return f"the header is not in the encoding it should be; read as {header.assumed_encoding}"


@repair(
    "brainvision_version_line",
    kind="brainvision",
    risk="lossless",
    failure="The first line of the header, which states the version, is missing.",
    effect="The header is read from its first section on.",
    todo="Begin the .vhdr with `BrainVision Data Exchange Header File Version 1.0`.",
)
def mend_version_line(header: Header) -> str | None:
    """Write the first line that readers pass over."""
    if header.version_line:
        return None
    header.version_line = "Version 1.0"
    header.rewritten = True
    return "the header has no version line; its sections are those of version 1.0"


@repair(
    "brainvision_section_names",
    kind="brainvision",
    risk="lossless",
    failure="Section names of the header differ in case from the specification's.",
    effect="They are taken for the sections that they name.",
    todo="Write the section names as the specification does, e.g. `[Common Infos]`.",
)
def mend_section_names(header: Header) -> str | None:
    """Write the names as the specification does; the parser did."""
    if not header.misspelt:
        return None
    header.rewritten = True
    return "section names in another case: " + ", ".join(f"[{n}]" for n in header.misspelt)


@repair(
    "brainvision_channel_fields",
    kind="brainvision",
    risk="lossless",
    failure="A channel line lacks fields that may be left out.",
    effect="They get the values that the specification gives them: resolution 1, unit µV.",
    todo="Write `Ch1=name,reference,resolution,unit` for each channel.",
)
def mend_channel_fields(header: Header) -> str | None:
    """Fill channel lines up to four fields."""
    short = {n: fields for n, fields in header.channels().items() if len(fields) < 3}
    for number, fields in short.items():
        filled = [fields[0], *(fields[1:] or [""]), "1", MICRO + "V"]
        header.set_channel(number, filled)
    return f"{len(short)} channel line(s) without resolution; it is 1 µV" if short else None


@repair(
    "brainvision_micro_sign",
    kind="brainvision",
    risk="lossless",
    failure="The unit µV is written with the Greek letter mu, which readers take for no voltage.",
    effect="It is read as the micro sign.",
    todo="Write the units with the micro sign (U+00B5), or as `uV`.",
)
def mend_micro_sign(header: Header) -> str | None:
    """Write the micro sign for the letter that looks like it."""
    found = {n: f for n, f in header.channels().items() if len(f) > 3 and GREEK_MU in f[3]}
    for number, fields in found.items():
        header.set_channel(number, [*fields[:3], fields[3].replace(GREEK_MU, MICRO), *fields[4:]])
    return f"{len(found)} unit(s) with the Greek letter mu, read as micro" if found else None


@repair(
    "brainvision_empty_names",
    kind="brainvision",
    risk="lossless",
    failure="A channel has no name.",
    effect="It is called `channel-N`, N its place in the file from 0.",
    todo="Name every channel in the .vhdr.",
)
def mend_empty_names(header: Header) -> str | None:
    """Name channels that have no name."""
    empty = {n: f for n, f in header.channels().items() if not f[0].strip()}
    for number, fields in empty.items():
        header.set_channel(number, [f"channel-{number - 1}", *fields[1:]])
    numbers = ", ".join(str(number) for number in sorted(empty))
    return f"channel(s) {numbers} without a name, called channel-N from 0" if empty else None


@repair(
    "brainvision_duplicate_names",
    kind="brainvision",
    risk="lossless",
    failure="Several channels have the same name.",
    effect="They get `-0`, `-1` ... in the order of the file.",
    todo="Give every channel a name of its own in the .vhdr and in channels.tsv.",
)
def mend_duplicate_names(header: Header) -> str | None:
    """Add numbers to names that channels share."""
    channels = dict(sorted(header.channels().items()))
    repeated = {n for n, c in Counter(f[0] for f in channels.values()).items() if c > 1 and n}
    taken = {fields[0] for fields in channels.values()}
    seen: Counter[str] = Counter()
    for number, fields in channels.items():
        name = fields[0]
        if name not in repeated:
            continue
        while f"{name}-{seen[name]}" in taken:
            seen[name] += 1
        header.set_channel(number, [f"{name}-{seen[name]}", *fields[1:]])
        seen[name] += 1
    return f"repeated names, numbered: {', '.join(sorted(repeated))}" if repeated else None


@repair(
    "brainvision_renamed_data",
    kind="brainvision",
    risk="lossless",
    failure="The header names a data file of an old name (or a git-annex key).",
    effect="The .eeg file with the stem of the header is read, as BIDS prescribes.",
    todo="Correct `DataFile` in the .vhdr (e.g. by mne_bids.copyfiles.copyfile_brainvision).",
    seen=("ds002158", "ds003688", "ds003848", "ds005953"),
)
def mend_renamed_data(header: Header) -> str | None:
    """Take the one file of the header's stem for the one that is not there."""
    data = header.data
    if data.path is not None or len(data.beside) != 1:
        return None
    data.path = data.beside[0]
    header.rewritten = True
    return f"DataFile: {described(data)}, which is read"


@repair(
    "brainvision_renamed_markers",
    kind="brainvision",
    risk="lossless",
    failure="The header names no marker file, or one of an old name (or a git-annex key).",
    effect="The .vmrk file with the stem of the header is read, as BIDS prescribes.",
    todo="Correct `MarkerFile` in the .vhdr.",
    seen=("ds002158", "ds003688", "ds003848", "ds005953", "ds003944", "ds003947"),
)
def mend_renamed_markers(header: Header) -> str | None:
    """Take the one marker file of the header's stem for the one that is not there."""
    markers = header.markers
    if markers.path is not None or len(markers.beside) != 1:
        return None
    markers.path = markers.beside[0]
    header.rewritten = True
    return f"MarkerFile: {described(markers)}, which is read"


@repair(
    "brainvision_missing_markers",
    kind="brainvision",
    risk="lossless",
    failure="There is no marker file.",
    effect="The recording is read without markers; all samples are there.",
    todo="Restore the .vmrk file, or correct `MarkerFile` in the .vhdr.",
    seen=("ds003944", "ds003947"),
)
def mend_missing_markers(header: Header) -> str | None:
    """Go on without markers."""
    markers = header.markers
    if markers.path is not None or markers.beside:
        return None
    header.marker_text = ""
    header.rewritten = True
    own = header.path.with_suffix(".vmrk").name
    return f"markers are missing: {described(markers)} ({own}); read without markers"


@repair(
    "brainvision_broken_markers",
    kind="brainvision",
    risk="lossy",
    failure="Lines of the marker file are cut off, or state no position.",
    effect="They are left out, and counted.",
    todo="Correct or remove these lines of the .vmrk.",
)
def mend_broken_markers(header: Header) -> str | None:
    """Leave out marker lines without a position."""
    text = marker_text(header)
    lines = text.splitlines()
    broken = [line for line in lines if is_broken_marker(line)]
    if not broken:
        return None
    header.marker_text = "\n".join(line for line in lines if not is_broken_marker(line)) + "\n"
    header.rewritten = True
    return f"{len(broken)} marker(s) left out, the first is {broken[0][:60]!r}"


@repair(
    "brainvision_partial_sample",
    kind="brainvision",
    risk="lossy",
    failure="The data file ends inside a sample, or before the last one that the header states.",
    effect="The whole samples that are there are kept.",
    todo="Fetch the .eeg file again.",
)
def mend_partial_sample(header: Header) -> str | None:
    """Keep the whole samples of a multiplexed file."""
    lack = shortage(header)
    if not lack or header.common("DataOrientation") != "MULTIPLEXED" or not header.held_samples:
        return None
    header.keep_held = True
    return f"the data file holds {lack}; its {header.held_samples} whole samples are kept"


def is_broken_marker(line: str) -> bool:
    """Return whether a line is meant as a marker, and cannot be read as one."""
    return bool(MARKER_LINE.match(line)) and not WHOLE_MARKER.match(line)


def marker_text(header: Header) -> str:
    """Return the content of the marker file, read once."""
    path = header.markers.path
    if header.marker_text is None and path is not None and path.is_file():
        content = path.read_bytes()
        header.marker_text, _ = decoded(content)
        try:
            content.decode("utf-8")
        except UnicodeDecodeError:
            # MNE reads the file a second time as UTF-8 to find its date.
            header.rewritten = True
    return header.marker_text or ""


def shortage(header: Header) -> str:
    """Return in what way the data file is shorter than it should be; empty if it is not."""
    if not header.sample_bytes or not header.size:
        return ""
    rest = header.size % header.sample_bytes
    if rest:
        return f"{header.size} bytes, {rest} more than whole samples of {header.sample_bytes} bytes"
    stated = header.stated_samples
    if stated is None or stated <= header.held_samples or _counts_channels(header):
        return ""
    return f"{header.held_samples} samples where the header states {stated}"


def _counts_channels(header: Header) -> bool:
    """Return whether DataPoints counts the samples of all channels together."""
    return header.stated_samples == header.held_samples * header.n_channels


def wrong_count(header: Header) -> str | None:
    """Return how DataPoints contradicts the size of a file that is not too short."""
    stated, held = header.stated_samples, header.held_samples
    if not header.sample_bytes or stated is None or stated == held or shortage(header):
        return None
    counted = ", the samples of all channels together" if _counts_channels(header) else ""
    return f"DataPoints is {stated}{counted}; the data file holds {held} samples, which are read"
