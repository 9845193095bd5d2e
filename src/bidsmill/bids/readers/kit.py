"""KIT: one file (.con, .sqd or .kdf)."""

from __future__ import annotations

from pathlib import Path

from bidsmill.bids.repairs import Repairs
from bidsmill.errors import RecordingProblem


def read(path: Path, data: str, repairs: Repairs):
    """Open a KIT file; see `reading.open_recording` for the errors."""
    import mne

    try:
        raw = mne.io.read_raw_kit(path, preload=False)
    except (TypeError, ValueError) as error:
        problem = _known_problem(error, data)
        if problem is None:
            raise
        raise problem from error
    _refuse_cut_kit(path, data, raw)
    return raw


def _known_problem(error: Exception, data: str) -> RecordingProblem | None:
    """Return the reason for which MNE refuses a KIT file, if that is more than damage."""
    if isinstance(error, TypeError) and "contains epochs" in str(error):
        return RecordingProblem(
            "epoched",
            "the file holds epochs or an average, not a continuous recording",
            file=data,
            todo="share the continuous recording",
        )
    version = getattr(error, "sqd_version", None)
    if version is None:
        return None
    return RecordingProblem(
        "unsupported_format",
        "the file is of an old version of the KIT format, whose scale of the samples is not known",
        file=data,
        found=str(version),
        expected="V2R003 or later",
        todo="save it again with the KIT MEG Laboratory application",
    )


def _refuse_cut_kit(path: Path, data: str, raw) -> None:
    """Refuse a KIT file that ends before its last sample; MNE notices when it reads it."""
    from mne.io.kit.constants import KIT

    facts = raw._raw_extras[0]
    start = int(facts["dirs"][KIT.DIR_INDEX_RAW_DATA]["offset"])
    stated = start + int(facts["n_samples"]) * facts["nchan"] * facts["dtype"].itemsize
    if stated > path.stat().st_size:
        raise RecordingProblem(
            "truncated_file",
            "the file ends before the last sample that its header promises",
            file=data,
            found=f"{path.stat().st_size} bytes",
            expected=f"at least {stated} bytes: {facts['nchan']} channels, {facts['n_samples']}"
            f" samples of {facts['dtype'].itemsize} bytes",
            todo="fetch it again",
        )
