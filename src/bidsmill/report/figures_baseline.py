"""Figures of what a plain classifier reaches on the split, and on a random one beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bidsmill.report import sampling
from bidsmill.report.drawing import INK, MUTED, PALETTE, RULE, Picture, new_figure, plain
from bidsmill.report.drawing import picture as as_picture

if TYPE_CHECKING:
    from bidsmill.report.baseline import Finding

MOST_POINTS = 300
LEVELS = {
    "subject": "other people",
    "session": "other sessions of the same people",
    "run": "other recordings of the same people",
    "time": "other times of the same recordings",
}


def baseline_picture(name: str, found: Finding, level: str) -> Picture:
    """Draw what was reached on both splits with the level of chance, and what was mistaken.

    Parameters
    ----------
    name : str
        Identifier of the figure in the page.
    found : Finding
        What was reached.
    level : str
        Level of the split.
    """
    size = max(2.3, 1.5 + 0.24 * len(found.classes))
    figure = new_figure(10.6, min(size, 4.6))
    left, right = figure.subplots(1, 2, gridspec_kw={"width_ratios": [3, 2]})
    _draw_scores(left, found)
    if found.classes:
        _draw_confusion(right, found)
    else:
        _draw_numbers(right, found)
    return as_picture(
        figure,
        name,
        f"Diagnosis: can “{found.label}” be told?",
        _alt(found),
        _caption(found, level),
    )


def _percent(found: Finding, value: float) -> str:
    if not np.isfinite(value):
        return "not known"
    return f"{100 * value:.1f} %" if found.classes else f"{value:.2f}".replace("-", "\u2212")


def _draw_scores(axes, found: Finding) -> None:
    factor = 100 if found.classes else 1
    rows = ["published split", "random rows"]
    values = [factor * found.published, factor * found.random]
    low = 0.0 if found.classes else min(0.0, *(max(v, -1.0) for v in values if np.isfinite(v)))
    colours = (PALETTE[0], PALETTE[1])
    chance, high = factor * found.chance, factor * found.chance_high
    drawn_chance = max(chance, low)
    for place, (value, colour) in enumerate(zip(values, colours, strict=True)):
        drawn = max(value, low) if np.isfinite(value) else 0.0
        axes.barh(place, drawn, 0.55, color=colour)
        # Where the bar ends just before the line of chance, beyond it.
        near = drawn <= drawn_chance < drawn + 0.15 * factor
        x = max(drawn_chance if near else drawn, 0.0) + 0.012 * factor
        text = axes.text(x, place, _percent(found, value / factor), va="center")
        text.set_in_layout(False)
    axes.axvspan(drawn_chance, max(high, drawn_chance), color=RULE, zorder=0.5, linewidth=0)
    axes.axvline(drawn_chance, color=INK, linewidth=1.3, linestyle=(0, (4, 2)))
    axes.text(
        drawn_chance, 1.02, "chance", ha="center", va="bottom", fontsize=8, color=MUTED,
        transform=axes.get_xaxis_transform(),
    )  # fmt: skip
    axes.set_yticks(range(2), rows)
    axes.set_ylim(1.5, -0.55)
    axes.set_xlim(low, 1.12 * factor)
    axes.set_xlabel(f"{found.measure}, %" if found.classes else f"{found.measure} (1: exact)")
    axes.grid(axis="y", visible=False)
    axes.tick_params(axis="y", length=0)
    if found.classes:
        axes.set_xticks(range(0, 101, 20))


def _draw_confusion(axes, found: Finding) -> None:
    n = len(found.classes)
    table = np.zeros((n, n))
    np.add.at(table, (found.truth, found.predicted), 1)
    shares = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
    for row in range(n):
        for column in range(n):
            share = shares[row, column]
            axes.add_patch(_cell(column, row, share))
            if n <= 8:
                axes.text(
                    column,
                    row,
                    f"{100 * share:.0f}",
                    ha="center",
                    va="center",
                    fontsize=8,
                    color=INK,
                )
    names = [plain(name, 18) for name in found.classes]
    axes.set_xticks(
        range(n), names, rotation=0 if n <= 3 else 40, ha="center" if n <= 3 else "right"
    )
    axes.set_yticks(range(n), names)
    axes.set_xlim(-0.5, n - 0.5)
    axes.set_ylim(n - 0.5, -0.5)
    axes.grid(visible=False)
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.set_title("published split: % of each true class", fontweight="normal", fontsize=8.5)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")


def _cell(column: int, row: int, share: float):
    from matplotlib.patches import Rectangle

    return Rectangle(
        (column - 0.48, row - 0.48), 0.96, 0.96, facecolor=PALETTE[0], alpha=0.06 + 0.6 * share,
        linewidth=0,
    )  # fmt: skip


def _draw_numbers(axes, found: Finding) -> None:
    picks = sampling.spread(len(found.truth), MOST_POINTS)
    truth, predicted = found.truth[picks], found.predicted[picks]
    axes.plot(truth, predicted, ".", color=PALETTE[0], alpha=0.5, markersize=4)
    ends = [float(found.truth.min()), float(found.truth.max())]
    axes.plot(ends, ends, color=INK, linewidth=1, linestyle=(0, (4, 2)))
    axes.set_xlabel("true")
    axes.set_ylabel("predicted")
    axes.set_title("published split: rows of test", fontweight="normal", fontsize=8.5)


def _alt(found: Finding) -> str:
    return (
        f"Bars: {found.measure} for {found.label}. Published split"
        f" {_percent(found, found.published)}, random rows {_percent(found, found.random)},"
        f" chance {_percent(found, found.chance)} (95 % of permutations below"
        f" {_percent(found, found.chance_high)})."
    )


def _caption(found: Finding, level: str) -> str:
    model = "Linear discriminants" if found.classes else "Ridge regression"
    gain = found.random - found.published
    if not np.isfinite(gain):
        flattered = ""
    elif gain > 0:
        points = f"{100 * gain:.1f} percentage points" if found.classes else f"{gain:.2f}"
        flattered = f" Rows drawn at random would have flattered it by {points}"
        small = gain < found.chance_high - found.chance
        flattered += ", which is less than chance moves it." if small else "."
    else:
        flattered = " Rows drawn at random would not have flattered it."
    above = "above" if found.published > found.chance_high else "within"
    return (
        f"A diagnosis, not a result. {model} trained on {found.n_train:,} rows of train and tested"
        f" on {found.n_test:,} of {LEVELS.get(level, 'other groups')}; below, with the same number"
        f" of rows drawn at random as test.{flattered} The published split lies {above} what"
        f" guessing reaches (grey: up to the 95 % quantile over permutations of the labels of"
        f" {found.permuted})."
    )
