"""Sections of the config as the settings of each step."""

from __future__ import annotations

from typing import Any

from bidsmill.simulate.activity.runs import ActivitySettings, Condition
from bidsmill.simulate.clips.detection import DetectionSettings
from bidsmill.simulate.export.mat_files import ExportSettings
from bidsmill.simulate.sources.drawing import SourceSettings
from bidsmill.simulate.spikes.background import BackgroundSettings
from bidsmill.simulate.spikes.sensor_noise import NoiseSettings

# Key of the config that has the same name as a field of the settings.
OF_ACTIVITY = ("seconds", "discard", "dt", "sfreq")
OF_DETECTION = (
    "threshold",
    "separation",
    "clip_seconds",
    "jitter_seconds",
    "margin_seconds",
)
OF_SOURCES = (
    "n_sources",
    "layers",
    "half_distance",
    "metric",
    "source_snr",
    "sensor_snr",
    "overlap",
)


def activity_settings(activity: dict[str, Any]) -> ActivitySettings:
    """Return section ``activity``."""
    conditions = tuple(
        Condition(each["mean_input"], each["noise"]) for each in activity["conditions"]
    )
    return ActivitySettings(conditions=conditions, **{key: activity[key] for key in OF_ACTIVITY})


def detection_settings(clips: dict[str, Any]) -> DetectionSettings:
    """Return what section ``clips`` says of spikes."""
    return DetectionSettings(**{key: clips[key] for key in OF_DETECTION})


def source_settings(seed: int, sources: dict[str, Any], split: dict[str, Any]) -> SourceSettings:
    """Return sections ``sources`` and ``split``."""
    chosen = {key: sources[key] for key in OF_SOURCES}
    chosen |= {key: split[key] for key in ("group", "test", "validation")}
    fields: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in chosen.items()
    }
    return SourceSettings(seed=seed, **fields)


def noise_settings(noise: dict[str, Any]) -> NoiseSettings:
    """Return what section ``noise`` says but its file."""
    return NoiseSettings(noise["model"], noise["recorded_share"])


def background_settings(seed: int, background: dict[str, Any]) -> BackgroundSettings:
    """Return section ``background``."""
    return BackgroundSettings(seed, background["share"], tuple(background["snr"]))


def export_settings(mat: dict[str, Any] | None) -> ExportSettings:
    """Return section ``mat``."""
    return ExportSettings(**(mat or {}))
