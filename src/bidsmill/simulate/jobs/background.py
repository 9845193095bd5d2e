"""A dataset of spikes in the rows of a converted one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bidsmill.formats.anatomy import load_anatomy
from bidsmill.simulate.anatomy.loading import load_leadfield
from bidsmill.simulate.dataset.background import write_background_dataset
from bidsmill.simulate.jobs.clips import open_bank
from bidsmill.simulate.jobs.settings import background_settings, source_settings
from bidsmill.simulate.sources.drawing import SourceDrawing
from bidsmill.simulate.spikes.waveforms import LiftedClips, forward_of


def make_background(
    inputs: dict[str, Any], results: Path, dataset: str, settings: dict[str, Any]
) -> None:
    """Add spikes to a converted dataset; its tables and its split are kept.

    Parameters
    ----------
    inputs : dict
        ``anatomy``, ``leadfield``, ``banks`` (all files) and ``origin`` (files of the
        converted dataset, the first of them in its folder): paths.
    results : pathlib.Path
        Of the new dataset.
    dataset : str
        Its id.
    settings : dict
        ``seed``, ``version``, ``license``, ``sources``, ``split``, ``background``.
    """
    leadfield = load_leadfield(inputs["leadfield"])
    bank = open_bank(inputs["banks"])
    chosen = source_settings(settings["seed"], settings["sources"], settings["split"])
    drawing = SourceDrawing(chosen, load_anatomy(inputs["anatomy"]), bank.table, bank.n_times)
    write_background_dataset(
        Path(inputs["origin"][0]).parent,
        results,
        drawing,
        LiftedClips(bank),
        bank.sfreq,
        forward_of(leadfield),
        leadfield.channels,
        background_settings(settings["seed"], settings["background"]),
        dataset=dataset,
        description=_description(settings),
    )


def _description(settings: dict[str, Any]) -> dict[str, Any]:
    """Return what ``dataset.json`` says of the settings; the licence is that of the dataset."""
    stated = {} if settings["license"] is None else {"license": settings["license"]}
    spikes = {key: settings[key] for key in ("seed", "sources", "split", "background")}
    return {**stated, "snapshot": settings["version"], "simulation": spikes}
