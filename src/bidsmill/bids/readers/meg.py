"""MEG: KIT and 4D/BTi; FIF and CTF have modules of their own."""

from __future__ import annotations

from pathlib import Path

from bidsmill.bids.readers import ctf, fif
from bidsmill.bids.repairs import Repairs
from bidsmill.errors import RecordingProblem

read_fif = fif.read
read_ctf = ctf.read


def read_kit(path: Path, data: str, repairs: Repairs):
    """Open a KIT file."""
    import mne

    return mne.io.read_raw_kit(path, preload=False)


def read_bti(path: Path, data: str, repairs: Repairs):
    """Open a folder of 4D/BTi.

    The head shape (``hs_file``) is not read: it changes no sample, and is often left out.
    """
    import mne

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
    return mne.io.read_raw_bti(names[0], preload=False, head_shape_fname=None)
