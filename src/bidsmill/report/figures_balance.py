"""Figures of classes: how many rows, and on which side of the split."""

from __future__ import annotations

from typing import Any

from bidsmill.report.drawing import INK, MUTED, PALETTE, SIDE_COLOURS, Picture, new_figure, plain
from bidsmill.report.drawing import picture as as_picture

MOST_CLASSES = 24
SIDES = ("train", "validation", "test", "none")


def balance_picture(
    name: str,
    label: str,
    records: list[dict[str, Any]],
    certificate: dict[str, Any],
) -> Picture:
    """Draw the rows of each class by side, and the share of test beside the wish.

    Parameters
    ----------
    name : str
        Identifier of the figure in the page.
    label : str
        The label.
    records : list of dict
        As `counts.balance` returns them.
    certificate : dict
        ``split.json``.
    """
    shown = _shown(records)
    done = certificate["status"] == "done"
    figure = new_figure(10.6, 0.85 + 0.3 * len(shown))
    ratio = {"width_ratios": [3, 2]}
    axes = figure.subplots(1, 2, sharey=True, gridspec_kw=ratio) if done else [figure.subplots()]
    _draw_counts(axes[0], shown, done)
    names = [plain(r["value"], 32) or "(unlabelled)" for r in shown]
    axes[0].set_yticks(range(len(shown)), names)
    axes[0].set_ylim(len(shown) - 0.4, -0.6)
    for one in axes:
        one.grid(axis="y", visible=False)
        one.tick_params(axis="y", length=0)
    if done:
        _draw_shares(axes[1], shown, certificate["settings"])
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper left", ncols=4)
    title = f"Classes of “{label}”"
    return as_picture(figure, name, title, _alt(label, shown, done), _caption(records, done))


def _shown(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the classes to draw: all, or the most frequent in their order."""
    if len(records) <= MOST_CLASSES:
        return records
    frequent = sorted(records, key=lambda r: -r["total"])[:MOST_CLASSES]
    fewest = frequent[-1]["total"]
    return [r for r in records if r["total"] >= fewest][:MOST_CLASSES]


def _draw_counts(axes, shown: list[dict[str, Any]], done: bool) -> None:
    from matplotlib.ticker import MaxNLocator

    left = [0] * len(shown)
    for side in SIDES:
        width = [record[side] for record in shown]
        if any(width):
            colour = SIDE_COLOURS[side] if done else PALETTE[0]
            axes.barh(range(len(shown)), width, 0.68, left, color=colour, label=side)
        left = [a + b for a, b in zip(left, width, strict=True)]
    largest = max([*left, 1])
    for place, total in enumerate(left):
        text = axes.text(total + largest * 0.012, place, f"{total:,}", va="center", fontsize=8.5)
        text.set_in_layout(False)
    axes.set_xlim(0, largest * 1.13)
    axes.set_xlabel("rows")
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))


def _draw_shares(axes, shown: list[dict[str, Any]], settings: dict[str, Any]) -> None:
    wish = 100 * settings["test"]
    places = [p for p, record in enumerate(shown) if record["share"] is not None]
    shares = [100 * shown[p]["share"] for p in places]
    axes.barh(places, shares, 0.68, color=SIDE_COLOURS["test"])
    axes.axvline(wish, color=INK, linewidth=1.3, linestyle=(0, (4, 2)))
    largest = max([*shares, wish])
    for place, share in zip(places, shares, strict=True):
        text = axes.text(
            max(share, wish) + largest * 0.03, place, f"{share:.1f} %", va="center", fontsize=8.5
        )
        text.set_in_layout(False)
    axes.text(wish, -0.62, f"wish: {wish:g} %", ha="center", va="bottom", fontsize=8, color=MUTED)
    axes.set_xlim(0, largest * 1.28)
    axes.set_xlabel("test, % of the rows of the class")


def _alt(label: str, shown: list[dict[str, Any]], done: bool) -> str:
    parts = []
    for record in shown:
        text = f"{record['value'] or 'unlabelled'} {record['total']} rows"
        if done and record["share"] is not None:
            text += f" ({100 * record['share']:.1f} % test)"
        parts.append(text)
    return f"Bars: rows of each class of {label}. " + "; ".join(parts) + "."


def _caption(records: list[dict[str, Any]], done: bool) -> str:
    hidden = len(records) - len(_shown(records))
    more = f" The {hidden} rarest classes are in the table only." if hidden else ""
    if done:
        return (
            "Rows of each class by side (left), and which share of them is test"
            " (right). Good: every bar on the right ends near the dashed line, and no class is"
            " missing on a side." + more
        )
    return (
        "Rows of each class; no row is on a side, as the split was refused."
        " Classes of very different size need weights or resampling in training." + more
    )
