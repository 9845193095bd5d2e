"""Numbers of a whole simulated dataset as tables and figures: SNR, extents."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bidsmill.report.drawing import MUTED, PALETTE, Picture, new_figure, picture
from bidsmill.report.simulated_inputs import BY_TYPE, levels, listed

if TYPE_CHECKING:
    import pandas as pd

# How far the realised ratio may be from the wanted one, in dB.
NEAR = 0.5
MOST_BARS = 60
SIZES = {
    "extents": ("Regions per patch", "patches"),
    "extent": ("Regions per sample", "samples"),
    "overlap": ("Regions shared by patches", "samples"),
}


def snr_rows(spikes: pd.DataFrame) -> list[dict[str, Any]]:
    """Return for each wanted SNR what the noise that was drawn gave.

    Parameters
    ----------
    spikes : pandas.DataFrame
        Rows with a source: ``snr`` and ``snr_realised`` (dB), and ``snr_realised_*`` where there
        are several types of sensors.

    Returns
    -------
    list of dict
        ``asked`` (text), ``type`` ('' for the mean over types), ``rows``, ``median`` (dB),
        ``deviations`` (quantiles 0.05, 0.25, 0.5, 0.75, 0.95 of realised minus asked, dB),
        ``largest`` (of their magnitudes), ``near`` (share within 0.5 dB).
    """
    asked = spikes["snr"].to_numpy(float)
    columns = ["snr_realised", *sorted(name for name in spikes if name.startswith(BY_TYPE))]
    found = []
    for text, rows in levels(asked):
        for name in columns:
            realised = spikes[name].to_numpy(float)
            known = rows & np.isfinite(realised)
            if not known.any():
                continue
            away = realised[known] - asked[known]
            found.append(
                {
                    "asked": text,
                    "type": name.removeprefix("snr_realised").removeprefix("_"),
                    "rows": int(known.sum()),
                    "median": float(np.median(realised[known])),
                    "deviations": np.quantile(away, [0.05, 0.25, 0.5, 0.75, 0.95]),
                    "largest": float(np.abs(away).max()),
                    "near": float((np.abs(away) <= NEAR).mean()),
                }
            )
    return found


def snr_picture(rows: list[dict[str, Any]]) -> Picture | None:
    """Draw how far realised ratios are from the wanted ones; None if there are no spikes."""
    rows = [row for row in rows if not row["type"]]
    if not rows:
        return None
    figure = new_figure(7.2, 2.9)
    axes = figure.subplots()
    axes.axhspan(-NEAR, NEAR, color=PALETTE[2], alpha=0.12, linewidth=0)
    axes.axhline(0, color=MUTED, linewidth=0.8)
    for place, row in enumerate(rows):
        low, first, middle, third, high = row["deviations"]
        axes.plot([place, place], [low, high], color=PALETTE[0], linewidth=1.4)
        axes.plot([place, place], [first, third], color=PALETTE[0], linewidth=6,
                  solid_capstyle="butt")  # fmt: skip
        axes.plot([place], [middle], "o", color="#fdfdfc", markeredgecolor=PALETTE[0], markersize=5)
    axes.set_xticks(range(len(rows)), [row["asked"] for row in rows])
    if len(rows) > 6:
        axes.tick_params(axis="x", rotation=30)
    reach = max(1.25 * NEAR, 1.1 * max(float(np.abs(row["deviations"]).max()) for row in rows))
    axes.set(xlim=(-0.6, len(rows) - 0.4), ylim=(-reach, reach))
    axes.set(xlabel="asked for (dB)", ylabel="realised \u2212 asked (dB)")
    axes.grid(axis="x", visible=False)
    said = "; ".join(f"{row['asked']} dB: median {row['median']:.2f} dB" for row in rows)
    caption = (
        "Dot: median over the samples; thick: the middle half; thin: 5 % to 95 %. The green band"
        f" is {NEAR:g} dB to either side: where the dots belong."
    )
    return picture(
        figure, "snr", "Realised against asked", f"Realised SNR by asked: {said}.", caption
    )


def size_counts(spikes: pd.DataFrame) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return how often each size occurs.

    Parameters
    ----------
    spikes : pandas.DataFrame
        Rows with a source.

    Returns
    -------
    dict
        ``extents`` (regions per patch), ``extent`` (per sample) and ``overlap`` (regions of
        several patches), those of them that the table has: the sizes, rising, and their counts.
    """
    found = {}
    for name in SIZES:
        if name in spikes and len(spikes):
            values = listed(spikes, name)[1] if name == "extents" else spikes[name].to_numpy(int)
            found[name] = np.unique(values, return_counts=True)
    return found


def size_pictures(counts: dict[str, tuple[np.ndarray, np.ndarray]]) -> list[Picture]:
    """Draw `size_counts`, one picture each."""
    pictures = []
    for name, (sizes, frequency) in counts.items():
        title, counted = SIZES[name]
        figure = new_figure(3.7, 2.5)
        axes = figure.subplots()
        edges = _edges(int(sizes.min()), int(sizes.max()))
        height = np.histogram(sizes, edges, weights=frequency)[0]
        axes.bar(edges[:-1], height, np.diff(edges) * 0.86, align="edge", color=PALETTE[0])
        axes.set(xlabel="regions", ylabel=counted)
        axes.grid(axis="x", visible=False)
        axes.set_xlim(edges[0] - 0.6, max(edges[-1] + 0.6, edges[0] + 4))
        axes.locator_params(axis="both", integer=True, nbins=6)
        middle = np.repeat(sizes, frequency)[(frequency.sum() - 1) // 2]
        said = f"from {sizes.min():,} to {sizes.max():,}, median {middle:,}"
        said = f"always {middle:,}" if len(sizes) == 1 else said
        caption = said[0].upper() + said[1:] + "."
        pictures.append(picture(figure, name, title, f"{title}: {said}.", caption))
    return pictures


def _edges(low: int, high: int) -> np.ndarray:
    """Return the edges of bars: one for each whole number, or for some of them together."""
    step = -(-(high - low + 1) // MOST_BARS)
    return np.arange(low - 0.5, high + 0.5 + step, step)
