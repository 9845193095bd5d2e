"""One matrix file of simulated spikes."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np

from bidsmill.formats import files
from bidsmill.formats.leadfield import LeadField
from bidsmill.simulate.anatomy.loading import load_leadfield
from bidsmill.simulate.dataset.files import Channels, write_file
from bidsmill.simulate.jobs.clips import bank_folders, open_bank
from bidsmill.simulate.jobs.settings import noise_settings
from bidsmill.simulate.sources.table import read_sources
from bidsmill.simulate.spikes.noise_segments import segments_of_matrix, segments_of_variables
from bidsmill.simulate.spikes.waveforms import spike_maker

log = logging.getLogger(__name__)


def make_spikes(
    inputs: dict[str, Any],
    manifest: Path,
    shard: dict[str, Any],
    settings: dict[str, Any],
    code: str,
) -> None:
    """Make the samples of one file, and the manifest that states it.

    Parameters
    ----------
    manifest : pathlib.Path
        Written: ``members``, the receipt of the file.
    inputs, shard, settings, code
        As for `make_recording`.
    """
    receipt = make_recording(inputs, manifest.parents[1], shard, settings, code)
    files.write_json(manifest, {"members": {shard["recording"]: receipt}})


def make_recording(
    inputs: dict[str, Any],
    results: Path,
    shard: dict[str, Any],
    settings: dict[str, Any],
    code: str,
) -> dict[str, Any]:
    """Make the samples of one file, unless it was made of the same before.

    Parameters
    ----------
    inputs : dict
        ``leadfield``, ``banks`` (all files) and ``table``: paths.
    results : pathlib.Path
        ``results/{dataset}``.
    shard : dict
        See `bidsmill.simulate.jobs.sources.shards`.
    settings : dict
        ``seed``, ``noise``, ``split``.
    code : str
        Hash of the code, for the receipt.

    Returns
    -------
    dict
        The receipt, without its fingerprint.
    """
    leadfield = load_leadfield(inputs["leadfield"])
    bank = open_bank(inputs["banks"])
    samples, seed = read_sources(inputs["table"], shard["start"], shard["stop"])
    maker = spike_maker(
        leadfield,
        bank,
        seed,
        noise_settings(settings["noise"]),
        _segments(settings["noise"], leadfield, bank.sfreq),
        test=settings["split"]["test"],
        validation=settings["split"]["validation"],
    )
    known = np.isfinite(leadfield.positions).all() if leadfield.positions is not None else False
    receipt = write_file(
        results,
        shard["recording"],
        samples,
        maker,
        Channels(leadfield.channels, leadfield.types, leadfield.positions if known else None),
        leadfield.matrix.shape[1],
        inputs={"code": code, "clips": _checksums(bank_folders(inputs["banks"]))},
        processing=[{"step": "simulate", "seed": seed, "lead field": leadfield.unit}],
    )
    log.info("%s: %s, %d failed", shard["recording"], receipt["shape"], len(receipt["failed"]))
    return receipt


def _segments(noise: dict[str, Any], leadfield: LeadField, sfreq: float) -> list[np.ndarray] | None:
    """Return the recorded noise that section ``noise`` names."""
    if noise["model"] != "recorded":
        return None
    if str(noise["file"]).endswith(".parquet"):
        return segments_of_matrix(noise["file"], leadfield.channels, sfreq)
    return segments_of_variables(noise["file"], len(leadfield.channels), noise["key"])


def _checksums(folders: list[Path]) -> list[str]:
    """Return what the clips were made of: facts and tables of the banks, which name every clip."""
    return [
        files.sha256_file(folder / name)
        for folder in folders
        for name in ("bank.json", "clips.parquet")
    ]
