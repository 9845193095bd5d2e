"""Open a recording with the reader of its format; facts come from the data file's header."""

from __future__ import annotations

import errno
import re
import warnings
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bidsmill.bids.readers import brainvision, bti, ctf, edf, eeglab, fif, kit, nirs
from bidsmill.bids.repairs import Repairs
from bidsmill.errors import RecordingProblem

# Files that BIDS allows and no reader installed here can open.
UNSUPPORTED = {".nwb": "NWB", ".mefd": "MEF3"}
READERS = {
    ".edf": edf.read,
    ".bdf": edf.read,
    ".vhdr": brainvision.read,
    ".set": eeglab.read,
    ".fif": fif.read,
    ".ds": ctf.read,
    ".con": kit.read,
    ".sqd": kit.read,
    ".kdf": kit.read,
    ".snirf": nirs.read_snirf,
}
# Data files without the header that says what is in them.
HEADLESS = {
    ".eeg": ".vhdr",
    ".vmrk": ".vhdr",
    ".vamrk": ".vhdr",
    ".dat": ".vhdr",
    ".fdt": ".set",
    ".meg4": ".ds",
}
# Markers inside files that say that the signal is not continuous there (MNE's names for the
# boundaries of EEGLAB and of concatenated files, and BrainVision's New Segment).
BOUNDARY = re.compile(r"^((bad|edge)[ _])?boundary$|^new segment/|^bad_acq_skip$", re.IGNORECASE)
BAD = re.compile(r"^bad", re.IGNORECASE)
# What the system says when a damaged header sends a reader to a place that no file has.
SOUGHT_NOWHERE = (errno.EINVAL, errno.EOVERFLOW)


@dataclass
class Annotation:
    """A marker inside a data file; onset and duration in s from the first sample."""

    onset: float
    duration: float
    description: str


@dataclass
class OpenRecording:
    """A recording whose samples can be read.

    Attributes
    ----------
    raw : mne.io.BaseRaw
        Not loaded, where the format allows that.
    sfreq : float
        Hz, from the header.
    n_times : int
        Samples of the recording.
    names : list of str
        Channel names of the file, in its order.
    types : list of str
        MNE's channel types.
    units : list of str
        SI units of what `raw` gives, per channel; ``n/a`` if unknown.
    annotations : list of Annotation
        Markers inside the file.
    bads : list of str
        Channels that the file itself marks as bad.
    warnings : list of str
        What the reader warned of.
    repairs : list of dict
        ``rule``, ``risk`` and ``message`` of each repair.
    """

    raw: Any
    sfreq: float
    n_times: int
    names: list[str]
    types: list[str]
    units: list[str]
    annotations: list[Annotation]
    bads: list[str]
    warnings: list[str] = field(default_factory=list)
    repairs: list[dict[str, str]] = field(default_factory=list)


def open_recording(root: Path, data: str, repairs: Repairs | None = None) -> OpenRecording:
    """Open the data file of a recording, and mend it where a rule may.

    Parameters
    ----------
    root : pathlib.Path
        The dataset.
    data : str
        The data file or folder, relative to it.
    repairs : Repairs, optional
        Which rules may act; those that lose nothing if absent.

    Returns
    -------
    OpenRecording

    Raises
    ------
    RecordingProblem
        If it cannot be opened: ``unsupported_format``, ``header_missing``, ``truncated_file``,
        ``companion_missing``, ``content_not_fetched``, ``empty_file``, ``epoched``,
        ``unreadable``, ``no_samples``.
    """
    repairs = repairs or Repairs()
    path = root / data
    extension = path.suffix.lower()
    if extension in UNSUPPORTED:
        raise RecordingProblem(
            "unsupported_format", f"{UNSUPPORTED[extension]} files cannot be read", file=data
        )
    if extension in HEADLESS:
        raise RecordingProblem(
            "header_missing",
            f"the {HEADLESS[extension]} header of this recording is missing",
            file=data,
        )
    with reader_problems(root, data) as told:
        try:
            raw = _read(path, extension, data, repairs)
        except RecordingProblem as problem:
            problem.todo = problem.todo or repairs.hint()
            raise
        opened = _described(raw)
    opened.warnings, opened.repairs = told, repairs.applied
    if opened.n_times == 0 or opened.sfreq <= 0:
        raise RecordingProblem(
            "no_samples",
            "the recording holds no samples",
            file=data,
            found=f"{opened.n_times} samples at {opened.sfreq} Hz",
        )
    return opened


@contextmanager
def reader_problems(root: Path, data: str):
    """Turn what a reader raises into a `RecordingProblem`, and collect what it warns of.

    Yields
    ------
    list of str
        Filled with the warnings, without the path of the dataset.
    """
    told: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            yield told
        except RecordingProblem:
            raise
        except MemoryError:
            raise
        except Exception as error:
            text = _one_line(str(error), root) or type(error).__name__
            raise RecordingProblem(*_reason(error), file=data, found=text) from error
        finally:
            texts = [_one_line(str(w.message), root) for w in caught if _is_about_data(w)]
            told.extend(dict.fromkeys(texts))


def _reason(error: Exception) -> tuple[str, str]:
    """Return the reason code for what a reader raised, and what it means."""
    if isinstance(error, FileNotFoundError):
        return "companion_missing", "a file that the header names is missing"
    if isinstance(error, OSError) and error.errno not in (None, *SOUGHT_NOWHERE):
        # The disk or the system failed, not the file: the next run tries again.
        return "read_error", "the file could not be read from the disk"
    return "unreadable", "the reader of this format refuses the file"


def _is_about_data(warning) -> bool:
    return issubclass(warning.category, RuntimeWarning | UserWarning) and not issubclass(
        warning.category, DeprecationWarning
    )


def _one_line(text: str, root: Path) -> str:
    # The longest first: a relative root is the end of the absolute one.
    for prefix in sorted({str(root.resolve()), str(root.absolute()), str(root)}, key=len)[::-1]:
        if prefix not in (".", "", "/"):
            # Whole folder names only: a relative root may be a word that messages use.
            text = re.sub(rf"(?<![\w./-]){re.escape(prefix)}/", "", text)
            if prefix.startswith("/"):
                text = re.sub(rf"(?<![\w./-]){re.escape(prefix)}(?![\w./-])", "", text)
    return " ".join(text.split())[:500]


def _read(path: Path, extension: str, data: str, repairs: Repairs):
    import mne

    mne.set_log_level("ERROR")
    with mne.utils.use_log_level("WARNING"):
        reader = READERS.get(extension)
        if reader is not None:
            return reader(path, data, repairs)
        if path.is_dir():
            return bti.read(path, data, repairs)
        return mne.io.read_raw(path, preload=False)


def _described(raw) -> OpenRecording:
    import mne

    types = [mne.channel_type(raw.info, index) for index in range(len(raw.ch_names))]
    # MNE counts annotations of a raw object from its time 0, `first_time` before its first sample.
    marks = [
        Annotation(float(onset - raw.first_time), float(duration), str(description))
        for onset, duration, description in zip(
            raw.annotations.onset,
            raw.annotations.duration,
            raw.annotations.description,
            strict=True,
        )
    ]
    return OpenRecording(
        raw=raw,
        sfreq=float(raw.info["sfreq"]),
        n_times=int(raw.n_times),
        names=list(raw.ch_names),
        types=types,
        units=[_unit(raw, index) for index in range(len(types))],
        annotations=marks,
        bads=list(raw.info["bads"]),
    )


# FIFF unit codes (MNE's constants FIFF_UNIT_*) of what readers give.
_FIFF_UNITS = {6: "M", 7: "rad", 107: "V", 112: "T", 114: "°C", 201: "T/m"}
# Units that MNE's readers scale to SI although FIFF has no code for them.
_SCALED = {"µS": "S", "uS": "S"}


def _unit(raw, index: int) -> str:
    channel = raw.info["chs"][index]
    known = _FIFF_UNITS.get(int(channel["unit"]))
    stated = (raw._orig_units or {}).get(raw.ch_names[index])
    original = str(stated or "n/a")
    # Kind 3 is a trigger channel, whose counts MNE labels as volts; as it does with a channel
    # of EDF whose unit it does not know.
    if known == "V" and (channel["kind"] == 3 or (stated is not None and original == "n/a")):
        return "n/a"
    return known or _SCALED.get(original, original)


def is_boundary(description: str) -> bool:
    """Return whether a marker says that the signal is cut at its onset."""
    return bool(BOUNDARY.match(description.strip()))


def is_bad(description: str) -> bool:
    """Return whether a marker says that the signal it spans is bad (MNE's convention)."""
    return bool(BAD.match(description.strip())) and not is_boundary(description)
