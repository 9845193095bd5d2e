"""Draw how well sLORETA finds the sources of a simulated dataset, beside chance.

docs/pictures/localisation.png comes from the real anatomy, as docs/pictures/README.md tells:
python docs/make_localisation.py results/store real docs/pictures/localisation.png
"""

from __future__ import annotations

import argparse
from typing import Any

import matplotlib
import numpy as np

import bidsmill
from bidsmill.formats.anatomy import Anatomy
from bidsmill.report.simulated_cortex import Drawn, draw_cortex

matplotlib.use("agg")

NEAR_MM = 20
# Regions fainter than this share of the largest value are not coloured.
FAINT = 0.25
FOUND, CHANCE, WARM = "#1f6f8b", "#9a9a9a", "YlOrRd"


def sloreta(leadfield, snr=3.0):
    """Return the matrix that turns EEG into sLORETA values: (regions, sensors)."""
    noise = np.eye(len(leadfield)) - 1 / len(leadfield)  # white, referenced to the average
    noise *= np.trace(leadfield @ leadfield.T) / np.trace(noise)
    inverse = leadfield.T @ np.linalg.pinv(leadfield @ leadfield.T + noise / snr**2)
    return inverse / np.sqrt(np.einsum("rs,sr->r", inverse, leadfield))[:, np.newaxis]


def localise(rows: Any, leadfield: np.ndarray, distances: np.ndarray) -> dict[str, Any]:
    """Return the maps at the peaks (row, region) and, in mm, the errors of estimate and chance.

    The error is the distance to the nearest centre; chance has a row of it for each region.
    """
    samples = rows.samples
    peaks = (samples["spike_time"] * rows.sfreq).round().astype(int)
    maps = rows.arrays()[np.arange(len(rows)), :, peaks] @ sloreta(leadfield).T
    centres = [[int(region) for region in text.split()] for text in samples["centres"]]
    chance = 1000 * np.array([distances[own].min(axis=0) for own in centres])
    errors = chance[np.arange(len(rows)), np.abs(maps).argmax(axis=1)]
    return {"maps": np.abs(maps), "errors": errors, "chance": chance, "peaks": peaks.to_numpy()}


def numbers(found: dict[str, Any]) -> str:
    """Return the result in words."""
    said = [
        f"median {np.median(found[name]):.1f} mm, {np.mean(found[name] <= NEAR_MM):.1%} within"
        f" {NEAR_MM} mm"
        for name in ("errors", "chance")
    ]
    return f"{len(found['errors'])} spikes: {said[0]}; a region drawn at random: {said[1]}"


def draw(rows: Any, found: dict[str, Any], anatomy: Anatomy, path: str) -> None:
    """Draw the errors, their dependence on the noise, and the spike whose error is the median."""
    import matplotlib.pyplot as plt

    plt.rcParams.update({"font.size": 10, "axes.spines.top": False, "axes.spines.right": False})
    figure = plt.figure(figsize=(12.5, 3.6), layout="constrained")
    axes = figure.subplots(1, 4, width_ratios=[1.05, 0.95, 1.2, 1.2])
    _cumulative(axes[0], found)
    _by_noise(axes[1], found, rows.samples["snr"].to_numpy())
    row = int(np.argsort(found["errors"], kind="stable")[len(found["errors"]) // 2])
    one = rows.select(where=f"sample == {rows.samples['sample'].iloc[row]}")
    true = np.abs(one.sources()[0, found["peaks"][row]])
    centres = [int(region) for region in rows.samples["centres"].iloc[row].split()]
    _example(axes[2:], anatomy, (true, found["maps"][row]), centres, found["errors"][row])
    figure.savefig(path, dpi=110, metadata={"Software": None})


def _cumulative(axes: Any, found: dict[str, Any]) -> None:
    reach = np.linspace(0, np.percentile(found["chance"], 99), 200)
    for name, colour, label in (("errors", FOUND, "sLORETA"), ("chance", CHANCE, "random region")):
        values = np.sort(found[name], axis=None)
        share = 100 * np.searchsorted(values, reach, side="right") / values.size
        axes.plot(reach, share, color=colour, lw=2.5, label=label)
    axes.set(xlabel="distance to the true centre (mm)", ylabel="spikes within it (%)")
    axes.set(title="Localisation error", xlim=(0, reach[-1]), ylim=(0, 102))
    axes.legend(frameon=False, loc="lower right")


def _by_noise(axes: Any, found: dict[str, Any], snr: np.ndarray) -> None:
    levels = sorted(set(snr.tolist()))
    groups = [found["errors"][snr == level] for level in levels] + [found["chance"].ravel()]
    boxes = axes.boxplot(groups, whis=(5, 95), showfliers=False, patch_artist=True, widths=0.6)
    for number, box in enumerate(boxes["boxes"]):
        box.set(facecolor=FOUND if number < len(levels) else CHANCE, alpha=0.6, edgecolor="none")
    for line in boxes["medians"]:
        line.set(color="black", lw=2)
    names = [f"{level:g}" for level in levels] + ["chance"]
    axes.set_xticks(range(1, len(names) + 1), names)
    axes.set(xlabel="SNR of the sensors (dB)", ylabel="error (mm)", title="Error by noise")


def _example(
    axes: Any,
    anatomy: Anatomy,
    maps: tuple[np.ndarray, np.ndarray],
    centres: list[int],
    error: float,
) -> None:
    """Colour the side of the cortex that shows most of the true patch; dots are centres."""
    true, estimate = maps
    sides = draw_cortex(anatomy)
    seen = max(sides, key=lambda side: int((true[side.region] * (side.region >= 0)).sum()))
    dots = [(region, "white", "black") for region in centres]
    dots += [(int(estimate.argmax()), "black", "white")]
    titles = ("A spike at its peak", f"Its estimate, {error:.0f} mm away")
    for one, values, title in zip(axes, maps, titles, strict=True):
        one.imshow(_coloured(seen, values / values.max()), interpolation="antialiased")
        one.set_title(title)
        one.axis("off")
        for region, face, edge in dots:
            place = np.argwhere(seen.region == region)
            if len(place):
                y, x = place.mean(axis=0)
                one.plot(x, y, "o", ms=7, mfc=face, mec=edge)
    side = {"ha": "center", "va": "top", "fontsize": 9, "color": "#666666"}
    axes[0].text(0.5, 0, seen.view.title, transform=axes[0].transAxes, **side)


def _coloured(drawn: Drawn, values: np.ndarray) -> np.ndarray:
    shown = np.where(values < FAINT, np.nan, values)[drawn.region]
    colour = matplotlib.colormaps[WARM](np.nan_to_num(shown))[..., :3]
    colour[np.isnan(shown)] = 0.88
    picture = colour * (0.25 + 0.75 * drawn.light[..., np.newaxis])
    picture[drawn.region < 0] = 1
    return np.clip(picture, 0, 1)


def main() -> None:
    """Read a dataset of a store with its anatomy, and draw."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    for name in ("store", "dataset", "picture"):
        parser.add_argument(name)
    parser.add_argument("--split", help="one side of the split instead of all rows")
    chosen = parser.parse_args()
    dataset = bidsmill.open(chosen.store)[chosen.dataset]
    rows, anatomy = dataset.select(split=chosen.split), dataset.anatomy()
    found = localise(rows, dataset.leadfield().matrix, anatomy.distances["euclidean"])
    draw(rows, found, anatomy, chosen.picture)
    print(numbers(found))


if __name__ == "__main__":
    main()
