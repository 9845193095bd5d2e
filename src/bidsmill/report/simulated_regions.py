"""Which regions of the cortex a simulated dataset covers, and what stands on which side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bidsmill.formats.certificate import SIDES
from bidsmill.report.simulated_cortex import Drawn
from bidsmill.report.simulated_inputs import SimulatedInputs, listed
from bidsmill.report.simulated_maps import (
    COUNTS,
    SIDE_COLOURS,
    CortexMap,
    graded,
    gradient,
    layers_of,
    side_colours,
)

if TYPE_CHECKING:
    import pandas as pd

# Of the style sheet of the page.
CLASSES = {
    "train": "used",
    "validation": "dropped1",
    "test": "quarantined",
    "none": "dropped0",
}
MOST_NAMED = 40
MOST_REASONS = 40


@dataclass(frozen=True)
class Coverage:
    """How often each region takes part.

    Attributes
    ----------
    centred, covered : numpy.ndarray of int64, shape (n_regions,)
        Samples with a source that is centred on the region, and with one that contains it.
    """

    centred: np.ndarray
    covered: np.ndarray


def coverage_of(spikes: pd.DataFrame, n_regions: int) -> Coverage:
    """Count the samples of each region.

    Parameters
    ----------
    spikes : pandas.DataFrame
        Rows with a source.
    n_regions : int
        Of the cortex.
    """
    counts = []
    for name in ("centres", "regions"):
        rows, regions = listed(spikes, name)
        # A sample may name a region twice, but it is one sample.
        pairs = np.sort(rows * np.int64(n_regions) + regions)
        first = np.diff(pairs, prepend=-1) > 0
        counts.append(np.bincount(pairs[first] % max(n_regions, 1), minlength=n_regions))
    return Coverage(*counts)


def coverage_section(inputs: SimulatedInputs, drawn: list[Drawn]) -> dict[str, Any]:
    """Return which regions have clips, are centres, belong to a source, or never do."""
    found = coverage_of(inputs.spikes, inputs.n_regions)
    centres, never = np.flatnonzero(found.centred), np.flatnonzero(found.covered == 0)
    per_centre = found.centred[centres]
    maps = []
    if drawn and len(centres):
        text = (
            f"Samples with a source centred on the region: at most {per_centre.max():,}. Grey:"
            " no source starts there."
        )
        maps = [
            CortexMap(
                "Samples per centre",
                f"{len(centres)} of {inputs.n_regions} regions are centres of sources",
                text,
                layers_of(drawn, graded(found.centred, found.centred > 0, COUNTS)),
                [],
                (gradient(COUNTS), "0", f"{per_centre.max():,}"),
            )
        ]
    return {
        "regions": inputs.n_regions,
        "centres": len(centres),
        "covered": int((found.covered > 0).sum()),
        "never": _named(never),
        "never_count": len(never),
        "per_centre": _spread(per_centre),
        "per_region": _spread(found.covered[found.covered > 0]),
        "maps": maps,
        **_clip_facts(inputs),
    }


def _spread(counts: np.ndarray) -> dict[str, float] | None:
    if not len(counts):
        return None
    return {
        "min": int(counts.min()),
        "median": float(np.median(counts)),
        "max": int(counts.max()),
    }


def _named(regions: np.ndarray) -> str:
    """Return region ids as text, at most 40 of them."""
    text = ", ".join(str(region) for region in regions[:MOST_NAMED])
    more = len(regions) - MOST_NAMED
    return f"{text} and {more:,} more" if more > 0 else text


def _clip_facts(inputs: SimulatedInputs) -> dict[str, Any]:
    """Return for how many regions clips were looked for, and why some have none."""
    clips = inputs.clips
    if clips is None:
        return {"looked_for": None, "with_clips": 0, "clips": 0, "reasons": [], "more_reasons": 0}
    count = clips["n_clips"].map(int)
    without = clips[count == 0]
    columns = [c for c in ("region", "n_runs", "n_spikes", "reason") if c in clips]
    rows = without[columns].head(MOST_REASONS).to_dict("records")
    return {
        "looked_for": int(clips["region"].nunique()),
        "with_clips": int(clips[count > 0]["region"].nunique()),
        "clips": int(count.sum()),
        "reasons": [
            {"region": row["region"], **{c: row.get(c, "") for c in ("n_spikes", "reason")}}
            for row in rows
        ],
        "more_reasons": len(without) - len(rows),
    }


def side_counts(spikes: pd.DataFrame) -> list[dict[str, Any]]:
    """Return what stands on each side.

    Parameters
    ----------
    spikes : pandas.DataFrame
        Rows with a source, with ``split``.

    Returns
    -------
    list of dict
        ``side``, ``rows``, ``centres`` (distinct regions on which a source is centred) and
        ``clips`` (distinct pairs of centre and clip).
    """
    found = []
    for side in SIDES:
        own = spikes[(spikes["split"] == side).to_numpy(bool)]
        keys = _clip_keys(own)
        found.append(
            {
                "side": side,
                "rows": len(own),
                "centres": len(np.unique(listed(own, "centres")[1])),
                "clips": len(keys),
            }
        )
    return found


def _clip_keys(spikes: pd.DataFrame) -> np.ndarray:
    """Return every pair of centre and clip once, as one number each."""
    if "clips" not in spikes:
        return np.empty(0, np.int64)
    centres, clips = listed(spikes, "centres")[1], listed(spikes, "clips")[1]
    return np.unique((centres << 32) + clips)


def sides_of_regions(spikes: pd.DataFrame, n_regions: int) -> list[str]:
    """Return the side of each region by the rows that have it as a centre.

    Returns
    -------
    list of str
        ``train``, ``validation``, ``test``, ``several``, or '' for no centre.
    """
    sides = [""] * n_regions
    for side in SIDES[:-1]:
        own = spikes[(spikes["split"] == side).to_numpy(bool)]
        for region in np.unique(listed(own, "centres")[1]):
            sides[region] = "several" if sides[region] else side
    return sides


def split_section(inputs: SimulatedInputs, drawn: list[Drawn]) -> dict[str, Any]:
    """Return the sides of the split, what stands on them, and what keeps them apart."""
    spikes, proof = inputs.spikes, inputs.split
    counts = side_counts(spikes)
    seen = [_clip_keys(spikes[(spikes["split"] == s).to_numpy(bool)]) for s in SIDES[:-1]]
    on_sides = np.unique(np.concatenate(seen), return_counts=True)[1]
    rows = inputs.samples["split"].value_counts()
    groups = inputs.groups["split"].value_counts()
    maps = []
    if drawn and len(spikes):
        sides = sides_of_regions(spikes, inputs.n_regions)
        key = [(side, colour) for side, colour in SIDE_COLOURS.items() if side in sides]
        said = ", ".join(f"{sides.count(side)} {side}" for side, _ in key)
        maps = [
            CortexMap(
                "Side of each centre",
                f"Side of the centre regions: {said}",
                f"Side on which sources start in a region: {said}. Grey: no source starts there."
                " Patches reach into neighbouring regions.",
                layers_of(drawn, side_colours(sides)),
                key,
                None,
            )
        ]
    return {
        "done": proof["status"] == "done",
        "reason": proof.get("reason") or "",
        "level": proof.get("level") or "",
        "statement": (proof.get("proof") or {}).get("statement", ""),
        "group": (proof.get("settings") or {}).get("group", ""),
        "shared_clips": int((on_sides > 1).sum()),
        "clips": len(_clip_keys(spikes)),
        "bar": [
            ("on no side" if side == "none" else side, int(rows.get(side, 0)), CLASSES[side])
            for side in SIDES
            if side in ("train", "test") or rows.get(side, 0)
        ],
        "rows": [
            {**row, "all": int(rows.get(row["side"], 0)), "groups": int(groups.get(row["side"], 0))}
            for row in counts
            if row["side"] in ("train", "test") or rows.get(row["side"], 0)
        ],
        "total": len(inputs.samples),
        "maps": maps,
    }
