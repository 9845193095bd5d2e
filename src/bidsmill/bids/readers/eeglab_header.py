"""The header of an EEGLAB recording: what its struct says, and where its samples lie."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from bidsmill.bids.readers.companions import Companion, find_companion
from bidsmill.bids.readers.eeglab_samples import FDT_DTYPE
from bidsmill.bids.readers.matlab_files import read_structs
from bidsmill.bids.readers.matlab_values import LargeArray, Struct, number
from bidsmill.errors import RecordingProblem

VARIABLES = ("EEG", "ALLEEG")
# Fields of the struct that are needed (EEGLAB, "EEG structure"); newer versions of EEGLAB write
# them as variables of their own.
FIELDS = (
    *("nbchan", "trials", "pnts", "srate", "xmin", "xmax", "data", "datfile"),
    *("chanlocs", "chaninfo", "event", "urevent"),
)
EVENT_KEYS = ("type", "latency", "duration", "urevent", "epoch")
LOCATION_KEYS = ("labels", "type", "X", "Y", "Z", "description")


@dataclass
class SetFile:
    """The datasets of a .set file, of which one is to be read.

    Attributes
    ----------
    datasets : list of Struct
        All of them.
    chosen : Struct or None
        The one; None while that is open.
    """

    datasets: list[Struct]
    chosen: Struct | None = None

    @property
    def filled(self) -> list[Struct]:
        """The datasets with samples."""
        return [dataset for dataset in self.datasets if _has_data(dataset)]


@dataclass
class Header:
    """The parsed header of one dataset; rules change it in place.

    Attributes
    ----------
    path : pathlib.Path
        The .set file.
    fields : Struct
        Its struct.
    n_channels, n_epochs, length : int
        Channels, epochs (1 if continuous), samples per epoch, as stated.
    sfreq : float
        Hz.
    array : numpy.ndarray or LargeArray or None
        The samples, where the .set file itself holds them.
    fdt : Companion
        The file that holds them otherwise.
    events : list of dict
        `EVENT_KEYS` of each event, latency from 1 along the file.
    starts : numpy.ndarray
        First sample of each epoch in the original recording; NaN where that is not known.
    kept : list of int or None
        Epochs that are read, where not all are.
    joined, keep_held, durations_clamped : bool
        What rules decided: epochs follow each other; a short .fdt is read as far as it goes;
        negative durations count as 0.
    """

    path: Path
    fields: Struct
    n_channels: int
    n_epochs: int
    length: int
    sfreq: float
    array: np.ndarray | LargeArray | None
    fdt: Companion
    events: list[dict[str, Any]] = field(default_factory=list)
    starts: np.ndarray = field(default_factory=lambda: np.empty(0))
    kept: list[int] | None = None
    joined: bool = False
    keep_held: bool = False
    durations_clamped: bool = False

    @property
    def n_stated(self) -> int:
        """Samples of all epochs, as stated."""
        return self.length * self.n_epochs

    @property
    def sample_bytes(self) -> int:
        """Bytes of one sample of all channels in a .fdt file."""
        return self.n_channels * FDT_DTYPE.itemsize

    @property
    def size_stated(self) -> int:
        """Bytes that the .fdt file must have."""
        return self.n_stated * self.sample_bytes

    def size_of(self, path: Path) -> int:
        """Return the size of a file in bytes, -1 if it is not there."""
        return path.stat().st_size if path.is_file() else -1


def _has_data(dataset: Struct) -> bool:
    value = dataset.value("data")
    if isinstance(value, str):
        return bool(value)
    shape = getattr(value, "shape", ())
    return bool(shape) and 0 not in shape


def read_file(path: Path, data: str) -> SetFile:
    """Read the structs of a .set file.

    Raises
    ------
    RecordingProblem
        ``unreadable`` if it is no MATLAB file, or holds no dataset of EEGLAB.
    """
    try:
        found = read_structs(path, VARIABLES, FIELDS)
    except OSError as error:
        if error.errno is not None:
            raise
        raise _corrupt(error, data) from error
    except Exception as error:  # h5py raises whatever the damaged bytes lead it to.
        raise _corrupt(error, data) from error
    datasets = found.get("EEG") or found.get("ALLEEG") or found.get("", [])
    # Some programs wrap the struct once more.
    datasets = [inner for d in datasets for inner in (d.structs("EEG") if "EEG" in d else [d])]
    if "EEG" in found and len(found.get("ALLEEG", [])) > 1 and len(datasets) == 1:
        datasets = found["ALLEEG"]
    datasets = [dataset for dataset in datasets if "data" in dataset]
    if not datasets:
        raise RecordingProblem(
            "unreadable",
            "the file holds no dataset of EEGLAB",
            file=data,
            found="no variable EEG, and no variable data",
            todo="save the recording again with EEGLAB's pop_saveset",
        )
    return SetFile(datasets, datasets[0] if len(datasets) == 1 else None)


def _corrupt(error: Exception, data: str) -> RecordingProblem:
    text = " ".join(str(error).split())[:120]
    return RecordingProblem(
        "unreadable",
        "the file cannot be read as a MATLAB file",
        file=data,
        found=f"{type(error).__name__}{f': {text}' if text else ''}",
        todo="save the recording again with EEGLAB, or fetch it again",
    )


def read_header(path: Path, fields: Struct, data: str) -> Header:
    """Parse the struct of a dataset, and find the file of its samples.

    Raises
    ------
    RecordingProblem
        ``unreadable`` if it does not say how many samples of which rate it holds.
    """
    numbers = {name: fields.number(name) for name in ("nbchan", "trials", "pnts", "srate")}
    numbers["trials"] = 1.0 if math.isnan(numbers["trials"]) else numbers["trials"]
    content = fields.value("data")
    named = content.strip() if isinstance(content, str) else ""
    array = None if isinstance(content, str) else content
    if array is not None and math.isnan(numbers["nbchan"]):
        numbers["nbchan"] = float(array.shape[0])
    if array is not None and math.isnan(numbers["pnts"]) and len(array.shape) > 1:
        numbers["pnts"] = float(array.shape[1])
    _check_numbers(numbers, data)
    if named.lower().endswith(".dat"):
        raise RecordingProblem(
            "unsupported_format",
            "the samples are in EEGLAB's old .dat format",
            file=data,
            found=repr(named),
            expected="a .fdt file",
            todo="open and save the recording with a newer EEGLAB",
        )
    header = Header(
        path=path,
        fields=fields,
        n_channels=int(numbers["nbchan"]),
        n_epochs=int(numbers["trials"]),
        length=int(numbers["pnts"]),
        sfreq=numbers["srate"],
        array=array,
        # Only the last part: the folder is that of the machine on which it was saved.
        fdt=find_companion(path, _last_part(named), (".fdt",)) if array is None else Companion(""),
        events=fields.records("event", EVENT_KEYS),
    )
    if header.n_epochs > 1:
        header.starts = _original_starts(header)
    return header


def named_fdt(path: Path, data: str) -> set[str]:
    """Return the names of the .fdt files that a .set file asks for; empty if it tells none."""
    try:
        contents = [dataset.value("data") for dataset in read_file(path, data).datasets]
    except (OSError, RecordingProblem):
        # The reading of the recording itself tells what is wrong with it.
        return set()
    return {_last_part(content.strip()) for content in contents if isinstance(content, str)} - {""}


def _last_part(named: str) -> str:
    return PurePosixPath(named.replace("\\", "/")).name


def _check_numbers(numbers: dict[str, float], data: str) -> None:
    wrong = [
        f"{name}={value:g}"
        for name, value in numbers.items()
        if not (math.isfinite(value) and value > 0 and (name == "srate" or value == int(value)))
    ]
    if numbers["pnts"] == 0:
        raise RecordingProblem(
            "no_samples", "the recording holds no samples", file=data, found="pnts=0"
        )
    if wrong:
        raise RecordingProblem(
            "unreadable",
            "the header does not say how many channels and samples of which rate there are",
            file=data,
            found=", ".join(wrong),
            todo="save the recording again with EEGLAB's pop_saveset",
        )


def _original_starts(header: Header) -> np.ndarray:
    """Return where each epoch began in the recording that it was cut from.

    An event of an epoch names its original (``urevent``, counted from 1), whose latency is that
    in the recording before it was cut (EEGLAB, "Event structure").
    """
    originals = [
        number(each.get("latency")) for each in header.fields.records("urevent", EVENT_KEYS)
    ]
    starts: list[list[float]] = [[] for _ in range(header.n_epochs)]
    for event in header.events:
        latency, original = number(event.get("latency")), number(event.get("urevent"))
        if not (math.isfinite(latency) and 1 <= original <= len(originals)):
            continue
        epoch = int((latency - 1) // header.length)
        if 0 <= epoch < header.n_epochs:
            inside = latency - 1 - epoch * header.length
            starts[epoch].append(originals[int(original) - 1] - 1 - inside)
    return np.array([np.nanmedian(s) if np.isfinite(s).any() else np.nan for s in starts])
