"""Figures of the split: the rows of each class by side, the groups, and how good it can be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bidsmill.report.drawing import Picture, plain
from bidsmill.report.sketch import INK, RULE, SIDES, Sketch, text_width

if TYPE_CHECKING:
    import pandas as pd

MOST_CLASSES = 24
MOST_GROUPS = 300
WIDTH, BAR, TOP, BOTTOM = 1000, 27, 34, 42  # pixels
FONT = 12.0


def balance_picture(
    label: str, records: list[dict[str, Any]], certificate: dict[str, Any]
) -> Picture:
    """Draw the rows of each class by side, and the share of test beside the wish.

    Parameters
    ----------
    label : str
        The label.
    records : list of dict
        As `counts.balance` returns them.
    certificate : dict
        ``split.json``.
    """
    shown = _shown(records)
    done = certificate["status"] == "done"
    names = [plain(r["value"], 32) or "(unlabelled)" for r in shown]
    left = 14 + max(text_width(name, FONT) for name in names)
    end = left + (WIDTH - left) * (0.58 if done else 1.0) - 20
    bottom = TOP + BAR * len(shown)
    sketch = Sketch(WIDTH, bottom + BOTTOM)
    used = [s for s in SIDES if any(r[s] for r in shown)]
    if done:
        sketch.key(left, 16, [(s, SIDES[s]) for s in used])
    most = max(1, *(r["total"] for r in shown)) * 1.16
    sketch.axis(left, end, bottom, 0, most, "rows", TOP - 4)
    for place, (record, name) in enumerate(zip(shown, names, strict=True)):
        y = TOP + BAR * place
        sketch.text(left - 8, y + 15, name, FONT, anchor="end")
        x = left
        for side in used:
            width = record[side] / most * (end - left)
            if width:
                title = f"{name}: {side} {record[side]:,} rows"
                sketch.rect(x, y, width, BAR - 7, SIDES[side] if done else "var(--c0)", title)
            x += width
        sketch.text(x + 6, y + 15, f"{record['total']:,}", FONT)
    if done:
        _draw_shares(sketch, shown, end + 50, bottom, 100 * certificate["settings"]["test"])
    title = f"Classes of “{label}”"
    return sketch.picture(title, _alt(label, shown, done), _caption(records, done))


def _shown(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the classes to draw: all, or the most frequent in their order."""
    if len(records) <= MOST_CLASSES:
        return records
    frequent = sorted(records, key=lambda r: -r["total"])[:MOST_CLASSES]
    fewest = frequent[-1]["total"]
    return [r for r in records if r["total"] >= fewest][:MOST_CLASSES]


def _draw_shares(
    sketch: Sketch, shown: list[dict[str, Any]], left: float, bottom: float, wish: float
) -> None:
    shares = [100 * r["share"] for r in shown if r["share"] is not None]
    most = 1.3 * max([*shares, wish])
    end = WIDTH - 12
    scale = (end - left) / most
    sketch.axis(left, end, bottom, 0, most, "test, % of the rows of the class", TOP - 4)
    for place, record in enumerate(shown):
        if record["share"] is None:
            continue
        y, share = TOP + BAR * place, 100 * record["share"]
        sketch.rect(left, y, share * scale, BAR - 7, SIDES["test"])
        sketch.text(left + max(share, wish) * scale + 6, y + 15, f"{share:.1f} %", FONT)
    x = left + wish * scale
    sketch.line(x, TOP - 6, x, bottom, INK, width=1.4, dashed=True)
    sketch.text(x, TOP - 12, f"wish: {wish:g} %", 11, anchor="middle", muted=True)


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


def groups_picture(groups: pd.DataFrame, certificate: dict[str, Any]) -> Picture | None:
    """Draw the groups that were put on sides as a whole, and how far the split is from the best.

    Parameters
    ----------
    groups : pandas.DataFrame
        ``split.tsv``.
    certificate : dict
        ``split.json``.

    Returns
    -------
    Picture or None
        None where the split was refused or holds no row.
    """
    sizes = sizes_by_side(groups)
    total = sum(int(rows.sum()) for _, rows in sizes.values())
    if certificate["status"] != "done" or not total:
        return None
    left, end = 96.0, WIDTH - 190.0
    bottom = 10 + 30.0 * len(sizes)
    stated = certificate.get("objective") is not None and certificate.get("bound") is not None
    sketch = Sketch(WIDTH, bottom + (140 if stated else BOTTOM))
    sketch.axis(left, end, bottom, 0, 100, "% of the rows that count", 4)
    wishes = _wishes(certificate["settings"])
    for place, (side, (names, rows)) in enumerate(sizes.items()):
        y = 10 + 30.0 * place
        sketch.text(left - 8, y + 15, side, FONT, anchor="end")
        x = left
        for name, own in _blocks(names, rows):
            width = own / total * (end - left)
            title = f"{name}: {own:,} rows ({side})"
            sketch.rect(x, y, max(0.4, width - min(1, width / 3)), 20, SIDES[side], title)
            x += width
        text = f"{len(names):,} group{'s' * (len(names) != 1)}, {100 * rows.sum() / total:.1f} %"
        sketch.text(end + 10, y + 15, text, FONT)
        if side in wishes:
            wish = left + wishes[side] * (end - left)
            sketch.line(wish, y - 4, wish, y + 24, INK, width=1.6, dashed=True)
    if stated:
        _draw_bound(sketch, certificate, left, end, bottom + 62)
    level = certificate["level"]
    alt = f"Groups of the level {level} by side: " + "; ".join(
        f"{side} {len(rows)} groups with {int(rows.sum())} rows"
        for side, (_, rows) in sizes.items()
    )
    return sketch.picture("Certificate in a picture", alt + ".", _groups_caption(level, stated))


def sizes_by_side(groups: pd.DataFrame) -> dict[str, tuple[list[str], np.ndarray]]:
    """Return the groups of each side and their rows that count, the largest first."""
    found = {}
    rows = groups["rows"].astype(int).to_numpy()
    for side in SIDES:
        mine = np.flatnonzero((groups["split"] == side).to_numpy() & (rows > 0))
        if not len(mine):
            continue
        order = mine[np.argsort(-rows[mine], kind="stable")]
        names = [str(groups["group"].iloc[place]) for place in order]
        found[side] = (names, rows[order])
    return found


def _blocks(names: list[str], rows: np.ndarray) -> list[tuple[str, int]]:
    """Return the groups to draw: beyond 300 of a side, the smallest are one block."""
    blocks = [(name, int(own)) for name, own in zip(names, rows, strict=True)]
    if len(blocks) <= MOST_GROUPS:
        return blocks
    rest = blocks[MOST_GROUPS:]
    return [*blocks[:MOST_GROUPS], (f"{len(rest):,} smaller groups", sum(r for _, r in rest))]


def _wishes(settings: dict[str, Any]) -> dict[str, float]:
    test, validation = settings["test"], settings.get("validation") or 0
    wishes = {"train": 1 - test - validation, "test": test}
    return wishes | ({"validation": validation} if validation else {})


def _draw_bound(
    sketch: Sketch, certificate: dict[str, Any], left: float, end: float, y: float
) -> None:
    """Draw what cannot be reached, what was, and the gap between them."""
    reached, bound = 100 * certificate["objective"], 100 * certificate["bound"]
    most = max(reached, bound, 0.01) * 1.25
    scale = (end - left) / most
    x_bound, x_reached = left + bound * scale, left + reached * scale
    sketch.axis(
        left, end, y + 30, 0, most, "mean deviation from the wish (percentage points)", y - 2
    )
    sketch.rect(left, y + 4, bound * scale, 18, RULE)
    sketch.rect(x_bound, y + 4, max(0, x_reached - x_bound), 18, "var(--c4)")
    sketch.line(x_reached, y - 2, x_reached, y + 28, INK, width=2.2)
    gap = reached - bound
    proven = "proven best" if gap < 1e-6 else f"gap {gap:.3g}"
    sketch.text(end + 10, y + 10, f"reached {reached:.3g}", FONT)
    sketch.text(end + 10, y + 26, proven, FONT)
    sketch.text(left - 8, y + 17, "balance", FONT, anchor="end")
    if bound * scale > 150:
        sketch.text(left + 8, y + 17, "no split is better than this", 11)


def _groups_caption(level: str, stated: bool) -> str:
    text = (
        f"Each block is one group (level {level}): it stands on one side as a whole."
        " Dashed: the wish; for train, up to where its blocks should reach."
    )
    if stated:
        text += (
            " Below: how far the shares of all classes are from the wish on average (line), and"
            " what no choice of groups can go below (grey). Good: the line ends the grey bar."
        )
    return text
