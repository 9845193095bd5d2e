"""The activity of a block of regions."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bidsmill.formats import files
from bidsmill.formats.anatomy import Anatomy, load_anatomy
from bidsmill.simulate.activity.blocks import write_block
from bidsmill.simulate.activity.connectome import (
    Connectome,
    generate_connectome,
    load_connectome,
)
from bidsmill.simulate.jobs.settings import activity_settings

log = logging.getLogger(__name__)


def make_activity(
    anatomy_path: Path,
    activity_path: Path,
    facts_path: Path,
    plan: Path,
    activity: dict[str, Any],
    seed: int,
) -> None:
    """Simulate a block; see `bidsmill.simulate.activity.blocks.write_block`.

    Parameters
    ----------
    anatomy_path : pathlib.Path
        The anatomy.
    activity_path, facts_path : pathlib.Path
        Outputs.
    plan : pathlib.Path
        ``plan/{block}.json``: the regions that make spikes, each in all conditions.
    activity : dict
        Section ``activity``.
    seed : int
        Of the simulation.
    """
    regions = files.read_json(plan)["regions"]
    connectome = connectome_of(load_anatomy(anatomy_path), activity, seed)
    log.info("%s; %d regions", connectome.origin, len(regions))
    write_block(
        activity_path,
        facts_path,
        connectome,
        regions,
        activity_settings(activity),
        seed=seed,
        progress=_tenths(),
    )


def connectome_of(anatomy: Anatomy, activity: dict[str, Any], seed: int) -> Connectome:
    """Return the connectome that section ``activity`` names, or one made from the distances."""
    if activity["connectome"] is None:
        return generate_connectome(anatomy.positions, anatomy.hemisphere, seed, activity["speed"])
    return load_connectome(
        activity["connectome"], anatomy.n_regions, anatomy.positions, activity["speed"]
    )


def _tenths() -> Callable[[int, int], None]:
    """Return a function that logs each tenth of the steps."""
    told = 0

    def tell(done: int, total: int) -> None:
        nonlocal told
        if 10 * done // total > told:
            told = 10 * done // total
            log.info("%d of %d steps", done, total)

    return tell
