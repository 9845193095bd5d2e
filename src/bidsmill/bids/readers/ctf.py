"""CTF: a folder with a header, samples in trials, and small files beside them."""

from __future__ import annotations

import functools
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from bidsmill.bids.readers.ctf_borders import boundaries
from bidsmill.bids.readers.ctf_folder import (
    MEG4_HEADER,
    SAMPLE_BYTES,
    CtfFolder,
    list_folder,
    read_sizes,
)
from bidsmill.bids.readers.ctf_repairs import is_cut
from bidsmill.bids.readers.mirror import Mirror
from bidsmill.bids.repairs import Repairs
from bidsmill.errors import RecordingProblem


def read(path: Path, data: str, repairs: Repairs):
    """Open a CTF folder; see `reading.open_recording` for the errors.

    Trials that do not follow each other become boundaries; `ctf_borders` says how that is told.
    """
    folder = list_folder(path, data)
    repairs.mend("ctf_names", folder)
    read_sizes(folder)
    repairs.mend("ctf", folder)
    _refuse_cut(folder, repairs)
    raw = _open(folder)
    _tell_of_size(folder, raw)
    _mark_trials(folder, raw, repairs)
    return raw


def _refuse_cut(folder: CtfFolder, repairs: Repairs) -> None:
    if folder.keep is not None or not is_cut(folder):
        return
    sizes = [size for _, size in folder.parts]
    raise RecordingProblem(
        "truncated_file",
        "the samples of this CTF folder are not whole trials, or too few",
        file=folder.data,
        found=f"{sum(sizes)} bytes in {len(sizes)} files, with {MEG4_HEADER} bytes of header each",
        expected=f"{folder.n_trials} trials of {folder.trial_bytes} bytes"
        f" ({folder.n_channels} channels, {folder.n_samples} samples)",
        todo=repairs.todo("fetch the folder again", mark=","),
    )


def _open(folder: CtfFolder):
    """Open by MNE, through a mirror if something was mended."""
    import mne

    if not folder.mended and folder.keep is None:
        return mne.io.read_raw_ctf(folder.path, system_clock=folder.clock)
    names = set(folder.links)
    contents = {name: folder.contents[name] for name in folder.mended & set(folder.contents)}
    links = {name: folder.links[name] for name in names}
    if folder.keep is not None:
        links.pop(f"{folder.stem}.meg4")
    mirror = Mirror(folder.path.name, links, contents)
    if folder.keep is not None:
        # As long as the whole trials, and empty: MNE asks for the size. No byte of it is read.
        with open(mirror.path / f"{folder.stem}.meg4", "wb") as file:
            file.truncate(MEG4_HEADER + folder.keep * folder.trial_bytes)
    clock = folder.clock if folder.keep is None else "ignore"
    try:
        raw = mne.io.read_raw_ctf(mirror.path, system_clock=clock)
    except Exception as error:
        raise ValueError(mirror.named_as(folder.path, str(error))) from error
    if folder.keep is not None:
        return _whole_trials()(raw, folder)
    raw.mirror = mirror
    return raw


@functools.cache
def _whole_trials():
    """Return the class that reads the whole trials of a cut .meg4 file."""
    import mne

    class RawCTF(mne.io.BaseRaw):
        """Whole trials of a CTF recording, in which each channel stands in one piece."""

        def __init__(self, like: Any, folder: CtfFolder):
            cals = np.array([c["cal"] * c["range"] for c in like.info["chs"]])
            extras = {"samples": folder.n_samples, "channels": folder.n_channels, "cals": cals}
            super().__init__(
                like.info,
                preload=False,
                filenames=[folder.parts[0][0]],
                last_samps=[like.n_times - 1],
                raw_extras=[extras],
                orig_format="int",
            )
            self.set_annotations(like.annotations)

        def _read_segment_file(self, data, idx, fi, start, stop, cals, mult):
            """Fill `data` with samples ``[start, stop)``; called by MNE."""
            extras = self._raw_extras[fi]
            length, width = extras["samples"], extras["channels"]
            rows = np.arange(width)[idx]
            block = np.empty((len(rows), stop - start))
            with open(self.filenames[fi], "rb") as file:
                for trial in range(start // length, -(-stop // length)):
                    file.seek(MEG4_HEADER + trial * length * width * SAMPLE_BYTES)
                    values = np.fromfile(file, ">i4", length * width).reshape(width, length)
                    low, high = max(start, trial * length), min(stop, (trial + 1) * length)
                    part = values[rows, low - trial * length : high - trial * length]
                    block[:, low - start : high - start] = part
            data[:] = block * extras["cals"][rows, np.newaxis] if mult is None else mult @ block

    return RawCTF


def _tell_of_size(folder: CtfFolder, raw) -> None:
    stored = sum(size - MEG4_HEADER for _, size in folder.parts) // (
        SAMPLE_BYTES * folder.n_channels
    )
    if folder.keep is None and raw.n_times < stored:
        warnings.warn(
            f"the clock stops after {raw.n_times} of {stored} samples; what follows was not"
            " recorded, and is not read",
            RuntimeWarning,
            stacklevel=2,
        )
    if stored > folder.n_trials * folder.n_samples:
        warnings.warn(
            f"the header promises {folder.n_trials} trials of {folder.n_samples} samples, the"
            f" files hold {stored} samples",
            RuntimeWarning,
            stacklevel=2,
        )


def _mark_trials(folder: CtfFolder, raw, repairs: Repairs) -> None:
    """Mark each border between trials that do not follow each other."""
    cut, why = boundaries(folder, raw, repairs)
    if not cut:
        return
    onsets = np.array(cut) / raw.info["sfreq"]
    raw.annotations.append(onsets, [0.0] * len(cut), ["boundary"] * len(cut))
    n_borders = -(-raw.n_times // folder.n_samples) - 1
    warnings.warn(
        f"{len(cut)} of {n_borders} borders between trials are taken as boundaries:"
        f" {'; '.join(why)}",
        RuntimeWarning,
        stacklevel=2,
    )
