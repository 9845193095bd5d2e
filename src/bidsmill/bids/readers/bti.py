"""4D/BTi: a folder with one file of samples, whose header is at its end, and `config`."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np

from bidsmill.bids.repairs import Repairs
from bidsmill.errors import RecordingProblem


def read(path: Path, data: str, repairs: Repairs):
    """Open a folder of 4D/BTi; see `reading.open_recording` for the errors.

    The head shape (``hs_file``) is not read: it changes no sample, and is often left out. Epochs
    are read one after the other, as MNE does it, with a boundary between any two: the header
    tells when each was begun in whole seconds only.
    """
    import mne

    samples = _file_of_samples(path, data)
    raw = mne.io.read_raw_bti(samples, preload=False, head_shape_fname=None)
    facts = raw._raw_extras[0]
    _refuse_other_order(facts, data)
    _tell_of_scales(facts)
    _mark_epochs(raw, [int(epoch["pts_in_epoch"]) for epoch in facts["epochs"]])
    return raw


def _file_of_samples(path: Path, data: str) -> Path:
    names = [
        p for p in sorted(path.iterdir()) if "," in p.name and p.is_file() and p.suffix != ".xml"
    ]
    if not names:
        raise RecordingProblem("unsupported_format", "the folder holds no 4D/BTi data", file=data)
    if len(names) > 1:
        raise RecordingProblem(
            "unsupported_format",
            "the folder holds more than one file of 4D/BTi data, and nothing says which is meant",
            file=data,
            found=", ".join(name.name for name in names[:5]),
            expected="one file",
        )
    if not (path / "config").is_file():
        raise RecordingProblem(
            "companion_missing",
            "the configuration of this 4D/BTi recording is missing",
            file=data,
            found=", ".join(sorted(p.name for p in path.iterdir())[:5]),
            expected="config",
            todo="fetch the whole folder",
        )
    return names[0]


def _refuse_other_order(facts: dict[str, Any], data: str) -> None:
    """Refuse a file whose channels MNE would give the samples of others.

    MNE sorts the names by channel number and takes the columns by `index`; these agree where both
    rise together.
    """
    columns = [int(channel["index"]) for channel in facts["chs"]]
    if columns != [int(column) for column in facts["order"]]:
        raise RecordingProblem(
            "unsupported_format",
            "the channels are stored in another order than that of their numbers, in which the"
            " reader would mix them up",
            file=data,
            found=f"columns {', '.join(map(str, columns[:10]))} ...",
            todo="export the recording again in the order of the channels",
        )


def _tell_of_scales(facts: dict[str, Any]) -> None:
    scaled = [str(channel["name"]) for channel in facts["chs"] if channel["scale"] != 1]
    if scaled:
        warnings.warn(
            f"the header scales {len(scaled)} channels ({', '.join(scaled[:5])}); programs"
            " disagree on what that means, and the amplitudes are uncertain",
            RuntimeWarning,
            stacklevel=2,
        )


def _mark_epochs(raw, lengths: list[int]) -> None:
    borders = np.cumsum(lengths)[:-1]
    if len(borders) == 0:
        return
    onsets = borders / raw.info["sfreq"]
    raw.annotations.append(onsets, [0.0] * len(borders), ["boundary"] * len(borders))
    warnings.warn(
        f"the file holds {len(lengths)} epochs, read one after the other with {len(borders)}"
        " boundaries",
        RuntimeWarning,
        stacklevel=2,
    )
