"""The table of sources, and which samples stand in which file."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from bidsmill.errors import BidsmillError
from bidsmill.formats import files
from bidsmill.formats.anatomy import load_anatomy
from bidsmill.simulate.anatomy.loading import load_leadfield
from bidsmill.simulate.clips.bank import ClipBank
from bidsmill.simulate.dataset.files import SAMPLES_PER_FILE, file_range, recording_name
from bidsmill.simulate.jobs.clips import open_bank
from bidsmill.simulate.jobs.settings import source_settings
from bidsmill.simulate.sources.described import read_described
from bidsmill.simulate.sources.drawing import SourceDrawing
from bidsmill.simulate.sources.sides import clip_groups, place_samples, sides_of_groups
from bidsmill.simulate.sources.table import Sample, write_sources

log = logging.getLogger(__name__)


def make_sources(
    inputs: dict[str, Any], table: Path, overview: Path, settings: dict[str, Any]
) -> None:
    """Draw the sources of all samples, or take over those that others described.

    Parameters
    ----------
    inputs : dict
        ``anatomy``, ``leadfield`` and ``banks``: paths.
    table : pathlib.Path
        Written: one row per sample.
    overview : pathlib.Path
        Written: ``samples``, ``shards`` (name -> ``recording``, first row and the one behind the
        last), and of samples of others ``left_out`` with reasons.
    settings : dict
        ``seed``, ``samples``, ``sources``, ``split``.
    """
    files.remove_parts(table)
    bank = open_bank(inputs["banks"])
    anatomy = load_anatomy(inputs["anatomy"])
    seed, sources = settings["seed"], settings["sources"]
    left_out: list[dict[str, Any]] = []
    if sources["described"]:
        samples, left_out = _described(bank, anatomy, settings)
        count = write_sources(table, samples, seed)
    else:
        chosen = source_settings(seed, sources, settings["split"])
        drawing = SourceDrawing(chosen, anatomy, bank.table, bank.n_times)
        total = settings["samples"] or len(drawing.centres) * len(chosen.sensor_snr)
        count = write_sources(table, drawing.samples(0, total), seed)
    types = load_leadfield(inputs["leadfield"]).types
    files.write_json(
        overview,
        {
            "samples": count,
            "shards": shards(count, "eeg" if "eeg" in types else "meg"),
            "left_out": left_out,
        },
    )
    log.info("%d samples of %d clips, %d left out", count, len(bank), len(left_out))


def shards(count: int, datatype: str) -> dict[str, dict[str, Any]]:
    """Return the files of a dataset: 2,048 rows of the table of sources each.

    Parameters
    ----------
    count : int
        Samples.
    datatype : str
        ``eeg`` or ``meg``.
    """
    found = {}
    for number in range(-(-count // SAMPLES_PER_FILE)):
        start, stop = file_range(number, count)
        name = recording_name(number, datatype)
        found[f"s{number:05d}"] = {"recording": name, "start": start, "stop": stop}
    return found


def _described(
    bank: ClipBank, anatomy: Any, settings: dict[str, Any]
) -> tuple[list[Sample], list[dict[str, Any]]]:
    """Return the samples of others with their sides, and those that cannot be made."""
    sources, split = settings["sources"], settings["split"]
    targets = sources["scale_snr"]
    found = read_described(
        sources["described"],
        anatomy.n_regions,
        clips=set(zip(bank.table["region"].tolist(), bank.table["clip"].tolist(), strict=True)),
        clips_per_region=sources["clips_per_region"],
        numbering=sources["numbering"],
        source_snr=None if targets is None else tuple(targets),
        recompute=sources["recompute"],
        distances=anatomy.distances[sources["metric"]],
        seed=settings["seed"],
    )
    for text, times in sorted(found.notes.items()):
        log.warning("%s (%d)", text, times)
    if not found.samples:
        raise BidsmillError(
            "none of the described samples can be made",
            file=sources["described"],
            found=found.problems[0]["message"] if found.problems else "no samples",
        )
    groups = clip_groups(bank.table, split["group"], bank.n_times)
    sides = sides_of_groups(groups.values(), settings["seed"], split["test"], split["validation"])
    return place_samples(found.samples, groups, sides), found.problems
