"""CTF folders: which files there are, and what the header of the samples says."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from bidsmill.errors import RecordingProblem

# Places of fields in a .res4 file (CTF MEG File Formats, PN900-0088; big-endian, as MNE's
# reader walks through it).
TIME, DATE, TEXT_BYTES = 778, 1033, 255
SAMPLES, CHANNELS, RATE, TRIALS, BEFORE_TRIGGER = 1288, 1292, 1296, 1312, 1316
# Texts between numbers: place and length.
TEXTS = (
    *[(8, 256), (264, 256), (520, 256), (TIME, TEXT_BYTES), (DATE, TEXT_BYTES)],
    *[(1360, 32), (1392, 256), (1648, 32), (1680, 32), (1712, 32), (1744, 32)],
)
DESCRIPTION_LENGTH, DESCRIPTION = 1836, 1844
NAME_BYTES, FILTER_BYTES = 32, 18
# A sensor's record: its type first, the position of its first coil at byte 48.
SENSOR_BYTES, SENSOR_POSITION, EEG_SENSOR = 1328, 48, b"\0\x09"
# A .meg4 file begins with eight bytes of its format's name; samples are integers of 4 bytes.
MEG4_HEADER, SAMPLE_BYTES = 8, 4
# The clock of the acquisition; 0 where nothing was acquired (MNE's reader).
CLOCK = "SCLK01-177"
# Small files that MNE reads beside header and samples; the stem of the folder comes first.
SMALL = (".hc", ".eeg")
BAD_CHANNELS = "BadChannels"


@dataclass
class CtfFolder:
    """A CTF folder, and what stands in place of its broken files.

    Attributes
    ----------
    data : str
        The folder's path in the dataset, for messages.
    path : pathlib.Path
        The folder.
    links : dict
        Name that readers expect -> file of the folder.
    contents : dict
        Name -> bytes of the small files; mended in place.
    mended : set of str
        Names whose content is not the file's any more.
    n_samples, n_channels, n_trials : int
        Samples of a trial, channels, and trials, as the header says.
    before_trigger : int
        Samples of a trial before its trigger; 0 for a continuous recording.
    sfreq : float
        Hz.
    names : list of str
        Channel names.
    sensors : int
        Byte of the header at which the records of the sensors begin.
    parts : list of (pathlib.Path, int)
        Files of samples in their order, and their bytes.
    keep : int or None
        Trials to read; None for all, as MNE does.
    clock : str
        MNE's ``system_clock``.
    notes : list of str
        What a person should know, though nothing was mended.
    """

    data: str
    path: Path
    links: dict[str, Path]
    contents: dict[str, bytes]
    mended: set[str] = field(default_factory=set)
    n_samples: int = 0
    n_channels: int = 0
    n_trials: int = 0
    before_trigger: int = 0
    sfreq: float = 0.0
    names: list[str] = field(default_factory=list)
    sensors: int = 0
    parts: list[tuple[Path, int]] = field(default_factory=list)
    keep: int | None = None
    clock: str = "truncate"
    notes: list[str] = field(default_factory=list)

    @property
    def stem(self) -> str:
        """Return what the names of the files inside begin with."""
        return self.path.name[: -len(".ds")]

    @property
    def trial_bytes(self) -> int:
        """Return the bytes of a trial."""
        return SAMPLE_BYTES * self.n_samples * self.n_channels

    def mend(self, name: str, content: bytes | None) -> None:
        """Put a content in place of a file's; None leaves the file out."""
        self.mended.add(name)
        if content is None:
            self.contents.pop(name, None)
            self.links.pop(name, None)
        else:
            self.contents[name] = content


def list_folder(path: Path, data: str) -> CtfFolder:
    """List a CTF folder."""
    return CtfFolder(data, path, {p.name: p for p in sorted(path.iterdir()) if p.is_file()}, {})


def read_sizes(folder: CtfFolder) -> None:
    """Read the small files, and the sizes from the header and from the files of samples.

    Raises
    ------
    RecordingProblem
        ``companion_missing`` or ``unreadable``.
    """
    for suffix in (".res4", ".meg4"):
        if folder.stem + suffix not in folder.links:
            raise RecordingProblem(
                "companion_missing",
                f"the {suffix} file of this CTF folder is missing",
                file=folder.data,
                found=f"{len(folder.links)} other files",
                expected=f"{folder.stem}{suffix}",
                todo="fetch the whole folder",
            )
    wanted = [f"{folder.stem}{suffix}" for suffix in (".res4", *SMALL)] + [BAD_CHANNELS]
    folder.contents = {n: folder.links[n].read_bytes() for n in wanted if n in folder.links}
    content = folder.contents[f"{folder.stem}.res4"]
    try:
        folder.n_samples = int(np.frombuffer(content, ">i4", 1, SAMPLES)[0])
        folder.n_channels = int(np.frombuffer(content, ">i2", 1, CHANNELS)[0])
        folder.sfreq = float(np.frombuffer(content, ">f8", 1, RATE)[0])
        folder.n_trials = int(np.frombuffer(content, ">i2", 1, TRIALS)[0])
        folder.before_trigger = int(np.frombuffer(content, ">i4", 1, BEFORE_TRIGGER)[0])
        place = _names_place(content)
        folder.names = _names(content, place, folder.n_channels)
        folder.sensors = place + NAME_BYTES * folder.n_channels
    except ValueError:
        folder.n_samples = 0
    if folder.trial_bytes <= 0 or folder.n_samples <= 0 or not folder.sfreq > 0:
        raise RecordingProblem(
            "unreadable",
            "the .res4 header gives no size of a trial",
            file=folder.data,
            found=f"{folder.n_channels} channels, {folder.n_samples} samples, {folder.sfreq:g} Hz",
        )
    folder.parts = _parts(folder)


def _names_place(content: bytes) -> int:
    """Return the byte at which the names of the channels begin, after the filters."""
    place = DESCRIPTION + max(0, int(np.frombuffer(content, ">i4", 1, DESCRIPTION_LENGTH)[0]))
    n_filters = int(np.frombuffer(content, ">i2", 1, place)[0])
    place += 2
    for _ in range(n_filters):
        n_parameters = int(np.frombuffer(content, ">i2", 1, place + FILTER_BYTES - 2)[0])
        place += FILTER_BYTES + 8 * n_parameters
    return place


def _names(content: bytes, place: int, n_channels: int) -> list[str]:
    cells = [content[place + NAME_BYTES * i :][:NAME_BYTES] for i in range(n_channels)]
    return [cell.split(b"\0")[0].decode("latin-1") for cell in cells]


def _parts(folder: CtfFolder) -> list[tuple[Path, int]]:
    """Return the files of samples; one that is missing among them is an error."""
    pattern = re.compile(rf"{re.escape(folder.stem)}\.(?:([0-9]+)_)?meg4")
    numbers = {}
    for name, path in folder.links.items():
        found = pattern.fullmatch(name)
        if found:
            numbers[int(found[1] or 0)] = path
    for number in range(max(numbers) + 1):
        if number not in numbers:
            raise RecordingProblem(
                "companion_missing",
                "a part of the samples of this CTF folder is missing",
                file=folder.data,
                found=f"{len(numbers)} parts, the last is number {max(numbers)}",
                expected=f"{folder.stem}.{number}_meg4",
                todo="fetch the whole folder",
            )
    return [(numbers[number], numbers[number].stat().st_size) for number in sorted(numbers)]


def first_clock(folder: CtfFolder) -> int | None:
    """Return the clock at the first sample; None if there is no clock."""
    clocks = [i for i, name in enumerate(folder.names) if name == CLOCK]
    if not clocks or not folder.parts:
        return None
    with open(folder.parts[0][0], "rb") as file:
        file.seek(MEG4_HEADER + SAMPLE_BYTES * clocks[0] * folder.n_samples)
        content = file.read(SAMPLE_BYTES)
    return int.from_bytes(content, "big", signed=True) if len(content) == SAMPLE_BYTES else None
