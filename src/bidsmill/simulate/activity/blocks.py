"""Blocks of regions that one job simulates, and the file of such a block.

All runs of a block are computed at once, which is several times faster than one after the other,
and stand in one array, so that they can be deleted when their spikes are cut out.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bidsmill.errors import BidsmillError
from bidsmill.formats import files
from bidsmill.simulate.activity.connectome import Connectome
from bidsmill.simulate.activity.runs import (
    BATCH,
    Activity,
    ActivitySettings,
    activity_path,
    load_activity,
    simulate_activity,
)

# A file of a block is not larger, unless the runs of one region are.
BLOCK_BYTES = 4e9
# Ends the name of the folder in which the runs of a block stand until they are one file.
SCRATCH_SUFFIX = ".runs"


def regions_per_block(settings: ActivitySettings, n_regions: int) -> int:
    """Return how many regions a job simulates: as many as one batch of runs has room for.

    Parameters
    ----------
    settings : ActivitySettings
        Conditions and length.
    n_regions : int
        Regions of the anatomy.
    """
    runs = len(settings.conditions)
    size = 4 * n_regions * settings.n_times * runs
    return max(1, min(BATCH // runs, int(BLOCK_BYTES // size)))


def write_block(
    path: str | os.PathLike,
    facts_path: str | os.PathLike,
    connectome: Connectome,
    regions: Sequence[int],
    settings: ActivitySettings,
    *,
    seed: int = 0,
    engine: str = "auto",
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Simulate all conditions of some regions and write them to one file.

    Parameters
    ----------
    path, facts_path : path-like
        The array (runs, times, regions), float32, in mV; and what was recorded of each run.
    connectome, settings, seed, engine, progress
        See `bidsmill.simulate.activity.runs.simulate_activity`.
    regions : sequence of int
        Which regions make spikes.
    """
    path = Path(path)
    runs = [(region, number) for region in regions for number in range(len(settings.conditions))]
    _remove_leftovers(path)
    scratch = path.parent / f".{path.stem}.{secrets.token_hex(4)}{SCRATCH_SUFFIX}"
    shape = (len(runs), settings.n_times, connectome.n_regions)
    try:
        simulate_activity(
            connectome, runs, scratch, settings, seed=seed, engine=engine, progress=progress
        )
        facts = []
        with files.atomic_path(path) as temporary, open(temporary, "wb") as sink:
            header = {"descr": "<f4", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(sink, header)
            for run in runs:
                single = activity_path(scratch, *run)
                activity = load_activity(single)
                facts.append(activity.facts)
                activity.data.tofile(sink)
                del activity
                single.unlink()
        files.write_json(facts_path, {"runs": facts})
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _remove_leftovers(path: Path) -> None:
    """Remove what killed writers of a block left: a job alone writes it, and it is large."""
    files.remove_parts(path)
    for scratch in path.parent.glob(f".{path.stem}.*{SCRATCH_SUFFIX}"):
        shutil.rmtree(scratch, ignore_errors=True)


def load_block(path: str | os.PathLike, facts_path: str | os.PathLike) -> list[Activity]:
    """Open the runs of a block; their data stay on disk.

    Raises
    ------
    BidsmillError
        If the file or its facts are missing, or do not fit each other.
    """
    path = Path(path)
    stated = files.read_json(Path(facts_path))
    try:
        data = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as problem:
        raise _unusable(path, problem) from None
    try:
        facts: list[dict[str, Any]] = stated["runs"]
        expected = (len(facts), facts[0]["n_times"], facts[0]["n_regions"])
        if data.shape != expected:
            raise _unusable(path, f"shape {data.shape}, and not {expected}")
        return [
            Activity(run, own["sfreq_hz"], own["region"], own["condition"], own, _named(path, own))
            for run, own in zip(data, facts, strict=True)
        ]
    except (KeyError, IndexError, TypeError) as problem:
        raise _unusable(Path(facts_path), f"facts that are not whole: {problem!r}") from None


def _named(path: Path, facts: dict[str, Any]) -> Path:
    """Return the name of a run, as it would stand in a file of its own."""
    return activity_path(path.parent, facts["region"], facts["condition"])


def _unusable(path: Path, found: object) -> BidsmillError:
    return BidsmillError(
        "The simulated activity cannot be read",
        file=path,
        found=found,
        todo="delete the file and simulate it again",
    )
