"""The header of a BrainVision recording: what its text says, before anything is believed."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from bidsmill.bids.readers.companions import Companion, find_companion
from bidsmill.errors import RecordingProblem

# Bytes per sample (BrainVision Core Data Format 1.0, "Binary Infos").
SAMPLE_BYTES = {"INT_16": 2, "INT_32": 4, "IEEE_FLOAT_32": 4}
SECTIONS = ("Common Infos", "Binary Infos", "ASCII Infos", "Channel Infos", "Coordinates")
SECTION = re.compile(r"\[([^\[\]]+)\]")
CODEPAGE = re.compile(rb"^codepage[ \t]*=[ \t]*([^\r\n]*)", re.IGNORECASE | re.MULTILINE)
CHANNEL = re.compile(r"ch(\d+)", re.IGNORECASE)
VERSION = re.compile(r"version\s+(\d+)\.\d+", re.IGNORECASE)


@dataclass
class Header:
    """A parsed header; rules change it in place.

    Attributes
    ----------
    path : pathlib.Path
        The ``.vhdr`` file.
    version_line : str
        The first line.
    sections : dict of dict
        Keys and values of each section but the comment, as written.
    comment : str
        What follows ``[Comment]``.
    assumed_encoding : str
        The encoding taken where the one stated (or UTF-8) does not fit; else empty.
    misspelt : list of str
        Section names that differ in case from the specification's.
    data, markers : Companion
        The file of samples and the file of markers.
    marker_text : str or None
        Content of the marker file, once it is read.
    keep_held : bool
        Whether the whole samples of a damaged file are taken.
    rewritten : bool
        Whether the header must be written anew for the reader to see what is meant.
    """

    path: Path
    version_line: str
    sections: dict[str, dict[str, str]]
    comment: str
    assumed_encoding: str = ""
    misspelt: list[str] = field(default_factory=list)
    data: Companion = field(default_factory=lambda: Companion(""))
    markers: Companion = field(default_factory=lambda: Companion(""))
    marker_text: str | None = None
    keep_held: bool = False
    rewritten: bool = False

    def get(self, section: str, key: str) -> str:
        """Return a value of the header, empty if it is not there."""
        for own, value in self.sections.get(section, {}).items():
            if own.casefold() == key.casefold():
                return value
        return ""

    def common(self, key: str) -> str:
        """Return a value of the section ``Common Infos``."""
        return self.get("Common Infos", key)

    @property
    def n_channels(self) -> int:
        """The number of channels, 0 if it is not stated."""
        return _whole(self.common("NumberOfChannels")) or 0

    @property
    def sample_bytes(self) -> int:
        """Bytes of one sample of all channels; 0 for text and for what is not known."""
        if self.common("DataFormat") != "BINARY":
            return 0
        return SAMPLE_BYTES.get(self.get("Binary Infos", "BinaryFormat"), 0) * self.n_channels

    @property
    def stated_samples(self) -> int | None:
        """The number of samples per channel that the header states."""
        return _whole(self.common("DataPoints"))

    @property
    def size(self) -> int:
        """Bytes of the file of samples; 0 while it is not known."""
        path = self.data.path
        return path.stat().st_size if path is not None and path.exists() else 0

    @property
    def held_samples(self) -> int:
        """Whole samples that the file of samples holds; 0 for text."""
        return self.size // self.sample_bytes if self.sample_bytes else 0

    def channels(self) -> dict[int, list[str]]:
        """Return the fields of each channel line by the number of the channel, from 1."""
        lines = self.sections.get("Channel Infos", {})
        numbered = [(CHANNEL.fullmatch(key), value) for key, value in lines.items()]
        return {int(match[1]): value.split(",") for match, value in numbered if match}

    def set_channel(self, number: int, fields: list[str]) -> None:
        """Replace the fields of a channel line."""
        lines = self.sections["Channel Infos"]
        key = next(k for k in lines if (m := CHANNEL.fullmatch(k)) and int(m[1]) == number)
        lines[key] = ",".join(fields)
        self.rewritten = True


def _whole(text: str) -> int | None:
    try:
        return int(text)
    except ValueError:
        return None


def read_header(path: Path, data: str) -> Header:
    """Parse a header, and find the files it names.

    Parameters
    ----------
    path : pathlib.Path
        The ``.vhdr`` file.
    data : str
        The same relative to the dataset, for messages.

    Returns
    -------
    Header

    Raises
    ------
    RecordingProblem
        ``unreadable`` if there is no ``[Common Infos]``: what it holds is never made up.
    """
    text, assumed = decoded(path.read_bytes())
    lines = text.lstrip("\ufeff").splitlines()
    version_line = lines[0].strip() if lines and not SECTION.match(lines[0].strip()) else ""
    sections, comment, misspelt = _sections(lines[1:] if version_line or not lines else lines)
    if not sections.get("Common Infos"):
        raise RecordingProblem(
            "unreadable",
            "the header lacks the section [Common Infos], which says how the samples are stored",
            file=data,
            found=f"{len(text)} characters with "
            + (", ".join(f"[{name}]" for name in sections) or "no section"),
            expected="[Common Infos]",
            todo="restore the header; it is never guessed",
        )
    header = Header(path, version_line, sections, comment, assumed, misspelt)
    header.data = find_companion(path, header.common("DataFile"), (".eeg", ".dat"))
    header.markers = find_companion(path, header.common("MarkerFile"), (".vmrk",))
    return header


def decoded(content: bytes) -> tuple[str, str]:
    """Return text, and the encoding that had to be assumed (empty if it is the stated one).

    UTF-8 is the encoding if none is stated (BrainVision Core Data Format 1.0, "Codepage");
    recorders on Windows wrote their code page, cp1252, without saying so.
    """
    for mark, encoding in ((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16")):
        if content.startswith(mark):
            return content.decode(encoding, errors="replace"), encoding
    stated = CODEPAGE.search(content)
    name = stated[1].decode("ascii", "replace").strip() if stated else "UTF-8"
    try:
        return content.decode("cp1252" if name.upper() == "ANSI" else name), ""
    except (UnicodeDecodeError, LookupError):
        pass
    try:
        return content.decode("utf-8"), "UTF-8"
    except UnicodeDecodeError:
        pass
    try:
        return content.decode("cp1252"), "Windows-1252"
    except UnicodeDecodeError:
        return content.decode("latin-1"), "Latin-1"


def _sections(lines: list[str]) -> tuple[dict[str, dict[str, str]], str, list[str]]:
    """Return the sections, the comment, and the section names in another case."""
    known = {name.casefold(): name for name in SECTIONS}
    sections: dict[str, dict[str, str]] = {}
    misspelt: list[str] = []
    current: dict[str, str] = {}
    for index, line in enumerate(lines):
        text = line.strip()
        title = SECTION.fullmatch(text)
        if title and title[1].casefold() == "comment":
            return sections, "\n".join(lines[index + 1 :]), misspelt
        if title:
            name = known.get(title[1].strip().casefold(), title[1])
            # MNE knows this spelling, which NeurOne writes.
            if name != title[1] and title[1] != "Common infos":
                misspelt.append(title[1])
            current = sections.setdefault(name, {})
        elif text and text[0] not in ";#" and "=" in text:
            key, _, value = text.partition("=")
            current.setdefault(key.strip(), value.strip())
    return sections, "", misspelt


def header_text(header: Header, data_file: str, marker_file: str) -> str:
    """Return a header as text.

    Parameters
    ----------
    header : Header
        The parsed and mended header.
    data_file, marker_file : str
        The names or absolute paths that it shall have; `marker_file` may be empty.
    """
    own = {"codepage", "datafile", "markerfile"}
    lines = ["BrainVision Data Exchange Header File Version 1.0", ""]
    for name, values in header.sections.items():
        lines.append(f"[{name}]")
        if name == "Common Infos":
            lines += ["Codepage=UTF-8", f"DataFile={data_file}"]
            lines += [f"MarkerFile={marker_file}"] * bool(marker_file)
            values = {key: value for key, value in values.items() if key.lower() not in own}
        lines += [f"{key}={value}" for key, value in values.items()] + [""]
    if header.comment:
        lines += ["[Comment]", header.comment.replace("[Comment]", "(Comment)")]
    return "\n".join(lines) + "\n"
