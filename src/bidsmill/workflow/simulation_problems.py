"""Settings of simulated spikes that the schema allows, and that cannot stand together."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Settings = dict[str, Any]


def simulation_problems(simulation: dict[str, Settings], datasets: Settings) -> Iterator[str]:
    """Say what is wrong with the simulated datasets, beyond what the schema can say.

    Parameters
    ----------
    simulation : dict
        Simulated dataset -> its settings, with every default filled in.
    datasets : dict
        The converted datasets of the config, by id.
    """
    for name, settings in simulation.items():
        where = f"simulation.{name}"
        if name in datasets:
            yield f"{where}: the name {name!r} is taken by a dataset"
        for part in (_split, _sources, _clips, _noise):
            yield from (f"{where}.{text}" for text in part(settings))
        yield from (f"{where}.{text}" for text in _background(settings, datasets))


def _split(settings: Settings) -> Iterator[str]:
    split = settings["split"]
    if split["test"] + split["validation"] >= 1:
        yield "split: test and validation leave nothing for training"


def _sources(settings: Settings) -> Iterator[str]:
    sources = settings["sources"]
    for key in ("n_sources", "half_distance"):
        low, high = sources[key]
        if low > high:
            yield f"sources.{key}: found {sources[key]}, expected the smaller number first"
    if sources["described"] and settings["samples"] is not None:
        yield "samples: has no meaning with `sources.described`, which names every sample"


def _clips(settings: Settings) -> Iterator[str]:
    clips = settings["clips"]
    if clips["jitter_seconds"] >= clips["clip_seconds"] / 2:
        yield "clips.jitter_seconds: moves peaks out of their clips; expected below half a clip"
    if clips["folder"] and settings["activity"]["connectome"]:
        yield "activity.connectome: has no meaning with `clips.folder`, which holds the activity"
    if clips["folder"] and settings["split"]["group"] == "clip":
        yield "split.group: clips of others may share a stretch of time; expected region"


def _noise(settings: Settings) -> Iterator[str]:
    noise = settings["noise"]
    if noise["model"] == "recorded" and not noise["file"]:
        yield "noise.file: is missing; the model `recorded` needs resting segments"
    if noise["model"] != "recorded" and noise["file"]:
        yield f"noise.file: has no meaning with the model `{noise['model']}`"


def _background(settings: Settings, datasets: Settings) -> Iterator[str]:
    background = settings["background"]
    if background is None:
        return
    if background["dataset"] not in datasets:
        known = ", ".join(datasets) or "none"
        yield f"background.dataset: found {background['dataset']!r}, expected a dataset of: {known}"
    given = {
        "noise.model: recorded": settings["noise"]["model"] == "recorded",
        "sources.described": settings["sources"]["described"],
        "samples": settings["samples"] is not None,
        "mat": settings["mat"] is not None,
    }
    for key, is_given in given.items():
        if is_given:
            yield f"{key.split(':')[0]}: has no meaning with `background`, whose rows are used"
