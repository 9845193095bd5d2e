"""Which regions get clips, and which of them one job makes."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from bidsmill.errors import BidsmillError
from bidsmill.formats import files
from bidsmill.formats.anatomy import load_anatomy
from bidsmill.simulate.activity.blocks import regions_per_block
from bidsmill.simulate.clips.importing import clip_files, clip_root
from bidsmill.simulate.dataset.stale import remove_other_blocks
from bidsmill.simulate.jobs.settings import activity_settings

# Clips of others are imported region by region; so many regions make one job.
IMPORTED_REGIONS = 32


def plan_blocks(anatomy_path: Path, output: Path, activity: dict[str, Any], folder: Any) -> None:
    """Write the blocks of a simulated dataset, and the plan of each of them.

    Parameters
    ----------
    anatomy_path : pathlib.Path
        The anatomy.
    output : pathlib.Path
        ``results/{dataset}/anatomy/blocks.json``. Written: block -> ``regions``, and for clips of
        others ``digest``, which changes with names, sizes and times of their files. The same goes
        to ``plan/{block}.json``, which keeps its time if it says the same as before.
    activity : dict
        Section ``activity``.
    folder : path-like or None
        Clips of others.
    """
    n_regions = load_anatomy(anatomy_path).n_regions
    if folder is not None:
        blocks = _imported(Path(folder))
    else:
        regions = chosen_regions(activity["regions"], n_regions)
        size = regions_per_block(activity_settings(activity), n_regions)
        blocks = {
            f"b{number:04d}": {"regions": part} for number, part in enumerate(_parts(regions, size))
        }
    results = output.parents[1]
    remove_other_blocks(results, blocks)
    for name, block in blocks.items():
        files.replace_if_different(results / "plan" / f"{name}.json", files.json_bytes(block))
    files.write_json(output, {"blocks": blocks})


def chosen_regions(wanted: str | int | list[int], n_regions: int) -> list[int]:
    """Return the regions that make spikes.

    Parameters
    ----------
    wanted : "all", int or list of int
        All, how many (spread evenly over the numbers), or which.
    n_regions : int
        How many there are.

    Raises
    ------
    BidsmillError
        If there are not as many, or no such region.
    """
    if isinstance(wanted, str):
        return list(range(n_regions))
    if isinstance(wanted, int):
        if wanted > n_regions:
            raise BidsmillError(
                "there are fewer regions than shall be active",
                found=f"activity.regions: {wanted}",
                expected=f"1 to {n_regions}, or all",
            )
        return [int(region) for region in np.arange(wanted) * n_regions // wanted]
    unknown = [region for region in wanted if region >= n_regions]
    if unknown:
        raise BidsmillError(
            "there is no such region",
            found=f"activity.regions: {', '.join(map(str, unknown[:5]))}",
            expected=f"0 to {n_regions - 1}",
        )
    return sorted(int(region) for region in wanted)


def _parts(regions: list[int], size: int) -> list[list[int]]:
    return [regions[start : start + size] for start in range(0, len(regions), size)]


def _imported(folder: Path) -> dict[str, dict[str, Any]]:
    """Return the blocks of clips of others."""
    by_region: dict[int, list[Path]] = {}
    for (region, _), path in sorted(clip_files(clip_root(folder)).items()):
        by_region.setdefault(region, []).append(path)
    blocks = {}
    for number, part in enumerate(_parts(sorted(by_region), IMPORTED_REGIONS)):
        facts = [
            (path.name, path.stat().st_size, path.stat().st_mtime_ns)
            for region in part
            for path in by_region[region]
        ]
        digest = hashlib.sha256(json.dumps(facts).encode()).hexdigest()
        blocks[f"b{number:04d}"] = {"regions": part, "digest": digest}
    return blocks
