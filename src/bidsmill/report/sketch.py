"""Figures of many simple shapes, written as SVG line by line in the colours of the page.

Bars, ticks and traces need no plotting library: these figures take milliseconds and few bytes.
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

import numpy as np

from bidsmill.report.drawing import Picture, plain

INK, MUTED, RULE, PAPER = "var(--ink)", "var(--muted)", "var(--rule)", "var(--paper)"
SIDES = {"train": "var(--c0)", "validation": "var(--c4)", "test": "var(--c1)", "none": MUTED}
LETTER = 0.56  # mean width of a letter over the size of the font, sans serif


def colour(place: int) -> str:
    """Return the colour of a class by its place: six, then the first again."""
    return f"var(--c{place % 6})"


class Sketch:
    """A figure of fixed size in CSS pixels.

    Parameters
    ----------
    width, height : float
        Size; the page scales the figure down where there is less room.
    """

    def __init__(self, width: float, height: float):
        self.width, self.height = width, height
        self._parts: list[str] = []

    def rect(
        self, x: float, y: float, width: float, height: float, fill: str, title: str = ""
    ) -> None:
        """Draw a filled rectangle, with a text that shows under the pointer."""
        inside = f"<title>{escape(plain(title, 160))}</title>" if title else ""
        self._parts.append(
            f'<rect x="{_short(x)}" y="{_short(y)}" width="{_short(width)}"'
            f' height="{_short(height)}" fill="{fill}">{inside}</rect>'
        )

    def circle(self, x: float, y: float, radius: float, fill: str, title: str = "") -> None:
        """Draw a disc, with a text that shows under the pointer."""
        inside = f"<title>{escape(plain(title, 160))}</title>" if title else ""
        self._parts.append(
            f'<circle cx="{_short(x)}" cy="{_short(y)}" r="{_short(radius)}" fill="{fill}">'
            f"{inside}</circle>"
        )

    def path(self, d: str, stroke: str, width: float = 1.0, dashed: bool = False) -> None:
        """Draw a line along an SVG path."""
        dash = ' stroke-dasharray="5 3"' if dashed else ""
        self._parts.append(
            f'<path d="{d}" fill="none" stroke="{stroke}" stroke-width="{_short(width)}"{dash}/>'
        )

    def line(self, x0: float, y0: float, x1: float, y1: float, stroke: str, **style) -> None:
        """Draw a straight line (see `path`)."""
        self.path(f"M{_short(x0)} {_short(y0)}L{_short(x1)} {_short(y1)}", stroke, **style)

    def text(
        self, x: float, y: float, text: str, size: float = 12, anchor: str = "start",
        muted: bool = False, turned: bool = False,
    ) -> None:  # fmt: skip
        """Write a text; `turned`: upwards."""
        turn = f' transform="rotate(-90 {_short(x)} {_short(y)})"' if turned else ""
        style = f"font: {size:g}px var(--sans)" + ("; fill: var(--muted)" if muted else "")
        self._parts.append(
            f'<text x="{_short(x)}" y="{_short(y)}" text-anchor="{anchor}" style="{style}"{turn}>'
            f"{escape(text)}</text>"
        )

    def key(self, x: float, y: float, entries: Iterable[tuple[str, str]]) -> None:
        """Write a key: coloured squares with their names, in one line."""
        for name, fill in entries:
            self.rect(x, y - 9, 10, 10, fill)
            self.text(x + 15, y, name)
            x += 15 + text_width(name, 12) + 22

    def axis(
        self, left: float, right: float, y: float, low: float, high: float, name: str, top: float
    ) -> None:
        """Draw an axis below a panel: round numbers, thin lines up to `top`, and its name."""
        for tick in round_ticks(low, high):
            x = left + (tick - low) / (high - low) * (right - left)
            self.line(x, top, x, y, RULE, width=0.8)
            self.text(x, y + 15, f"{tick:,.10g}", size=11, anchor="middle")
        self.line(left, y, right, y, MUTED, width=0.8)
        self.text((left + right) / 2, y + 31, name, anchor="middle")

    def picture(self, title: str, alt: str, caption: str) -> Picture:
        """Return the figure with its texts."""
        head = (
            f'<svg role="img" aria-label="{escape(alt)}" style="max-width:{self.width:g}px"'
            f' viewBox="0 0 {_short(self.width)} {_short(self.height)}">'
        )
        return Picture(title, f"{head}{''.join(self._parts)}</svg>", alt, caption)


def _short(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0").replace("-0.0", "0")


def text_width(text: str, size: float) -> float:
    """Return about how wide a text is, in pixels: nothing measures it before the page is open."""
    return len(text) * size * LETTER


def round_ticks(low: float, high: float, most: int = 8) -> list[float]:
    """Return round numbers (1, 2 or 5 times a power of ten apart) from `low` to `high`."""
    if not high > low:
        return [low]
    power = 10.0 ** np.floor(np.log10((high - low) / most))
    step = next(m * power for m in (1, 2, 5, 10, 20) if (high - low) / (m * power) <= most)
    first, last = int(np.ceil(low / step - 1e-9)), int(np.floor(high / step + 1e-9))
    return [round(k * step, 12) for k in range(first, last + 1)]


def polyline(x: np.ndarray, y: np.ndarray) -> str:
    """Return an SVG path through points, to a tenth of a pixel, in steps from point to point."""
    points = np.rint(np.column_stack([x, y]) * 10).astype(np.int64)
    steps = np.diff(points, axis=0)
    head = f"M{points[0, 0] / 10:g} {points[0, 1] / 10:g}"
    return head + "".join(f"l{a / 10:g} {b / 10:g}" for a, b in steps.tolist())
