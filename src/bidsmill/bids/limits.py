"""How large a recording may be: the setting `limits` of a dataset."""

from __future__ import annotations

from typing import Any

from bidsmill.errors import RecordingProblem

TOO_LARGE = "too_large"
TODO = "raise the limit in the config if this machine can treat it"


def files_too_large(size: int, limits: dict[str, Any] | None) -> str | None:
    """Return why a recording is not fetched, or None.

    Parameters
    ----------
    size : int
        Bytes of its files, as the lock states them.
    limits : dict or None
        The setting `limits`.
    """
    most = (limits or {}).get("recording_gigabytes")
    if most is None or size <= most * 1e9:
        return None
    return (
        f"its files have {size / 1e9:.3f} GB, more than `limits.recording_gigabytes` {most:g};"
        f" neither fetched nor read ({TODO})"
    )


def signal_too_large(channels: int, hours: float, limits: dict[str, Any] | None) -> str | None:
    """Return which limit a recording with this many channels and hours exceeds, or None."""
    limits = limits or {}
    most = limits.get("channels")
    if most is not None and channels > most:
        return f"it has {channels} channels, more than `limits.channels` {most}"
    most = limits.get("hours")
    if most is not None and hours > most:
        return f"it lasts {hours:.2f} hours, more than `limits.hours` {most:g}"
    return None


def require_within(channels: int, hours: float, limits: dict[str, Any] | None) -> None:
    """Refuse a recording that its header says is too large; call it before reading a sample.

    Raises
    ------
    RecordingProblem
        ``too_large``.
    """
    problem = signal_too_large(channels, hours, limits)
    if problem:
        raise RecordingProblem(TOO_LARGE, f"{problem}; no sample was read", todo=TODO)
