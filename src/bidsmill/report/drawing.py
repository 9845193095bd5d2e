"""How figures look, and how they become part of the page: inline SVG that follows its colours."""

from __future__ import annotations

import io
import re
import unicodedata
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito (2008), "Color Universal Design"; black and yellow are left out, as they vanish
# on a dark or a light page. The page gives each a variant for dark mode.
PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
INK, MUTED, RULE, PAPER = "#1c2126", "#5b6570", "#d5dbe1", "#fdfdfc"
_VARIABLES = {
    **{colour: f"var(--c{place})" for place, colour in enumerate(PALETTE)},
    INK: "var(--ink)",
    MUTED: "var(--muted)",
    RULE: "var(--rule)",
    PAPER: "var(--paper)",
}
STYLE: dict[str, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "bidsmill",
    "text.parse_math": False,
    "font.size": 9,
    "font.family": "DejaVu Sans",
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 7,
    "axes.labelsize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.unicode_minus": True,
    "grid.color": RULE,
    "grid.linewidth": 0.6,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "figure.facecolor": "none",
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "lines.linewidth": 1.5,
    "lines.solid_capstyle": "round",
}


@dataclass(frozen=True)
class Picture:
    """A figure of the page: its title, SVG, a text for those who do not see it, its caption."""

    title: str
    svg: str
    alt: str
    caption: str


@contextmanager
def style() -> Iterator[None]:
    """Draw as the page does, whatever the settings of the user's matplotlib."""
    import matplotlib

    with matplotlib.rc_context(), warnings.catch_warnings():
        # Browsers have the letters that matplotlib's own font lacks.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE)  # type: ignore[arg-type]
        yield


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure of this size in inches that keeps its parts apart."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def bare_figure(width: float, height: float) -> Figure:
    """Return an empty figure of this size in inches; `axes_at` says what stands where.

    A figure that arranges itself is drawn twice: half the time of a page.
    """
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height))


def axes_at(figure: Figure, left: float, bottom: float, width: float, height: float) -> Axes:
    """Return axes at a place of a figure, all in inches."""
    whole, tall = figure.get_size_inches()
    return figure.add_axes((left / whole, bottom / tall, width / whole, height / tall))


def inline_svg(figure: Figure, name: str, alt: str) -> str:
    """Return a figure as SVG to stand in a page.

    Colours of `PALETTE` and of the page become its CSS variables; identifiers get `name` as a
    prefix, so that figures of one page do not share them; coordinates are rounded to 1/100 pt.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        Drawn within `style`.
    name : str
        Letters, digits and hyphens; of its own for every figure of the page.
    alt : str
        The text for those who do not see the figure.
    """
    from html import escape

    stream = io.StringIO()
    figure.savefig(stream, format="svg", metadata={"Date": None})
    text = stream.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->", "", text, flags=re.S)
    text = re.sub(r"<[^>]+>", lambda match: _tag(match.group(), name), text)
    text = re.sub(r">\s+<", "><", text)
    width = figure.get_size_inches()[0] * 96
    head = (
        f'<svg role="img" aria-label="{escape(alt)}" style="max-width:{width:g}px"'
        f' viewBox="0 0 {figure.get_size_inches()[0] * 72:g} '
        f'{figure.get_size_inches()[1] * 72:g}">'
    )
    return head + text[text.index(">") + 1 :].rstrip()


def _tag(tag: str, name: str) -> str:
    """Return one tag with the page's colours and font, its own identifiers, short numbers."""
    before, embedded, rest = tag.partition("base64,")
    if embedded:
        data, quote, after = rest.partition('"')
        tag = before + embedded + "".join(data.split()) + quote + after
    tag = " ".join(tag.split())
    if tag.startswith(("<g id=", "<image ")):  # nothing refers to them; equal images share theirs
        tag = re.sub(r' id="[^"]*"', "", tag)
    tag = re.sub(r'\bid="', f'id="{name}-', tag)
    tag = re.sub(r'href="#', f'href="#{name}-', tag)
    tag = tag.replace("url(#", f"url(#{name}-")
    tag = re.sub(r"font-family: [^;\"]*", "font-family: var(--sans)", tag)
    tag = re.sub(r"#[0-9a-f]{6}\b", lambda m: _VARIABLES.get(m.group(), m.group()), tag)
    tag = re.sub(r' transform="rotate\(-?0 [^"]*"', "", tag)
    return re.sub(r"-?\d+\.\d{3,}", lambda m: f"{float(m.group()):.2f}", tag)


def picture(figure: Figure, name: str, title: str, alt: str, caption: str) -> Picture:
    """Return a figure with its texts (see `inline_svg`)."""
    return Picture(title, inline_svg(figure, name, alt), alt, caption)


def plain(text: str, most: int = 40) -> str:
    """Return text that can be drawn: on one line, without control characters, not too long.

    Long names keep both ends: those of one dataset often begin alike.
    """
    shown = "".join(
        " " if c.isspace() else "\ufffd" if unicodedata.category(c)[0] == "C" else c
        for c in str(text)
    ).strip()
    if len(shown) <= most:
        return shown
    head = (most - 1) // 2
    return f"{shown[:head]}…{shown[len(shown) - (most - 1 - head) :]}"


def wide_ticks(axes: Axes, low: float, high: float) -> None:
    """Label a log axis x from `low` to `high` Hz with round numbers."""
    from matplotlib.ticker import FixedLocator, NullFormatter, NullLocator

    steps = [m * 10.0**e for e in range(-3, 6) for m in (1, 2, 5)]
    if high / low > 2000:
        steps = [10.0**e for e in range(-3, 6)]
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    axes.xaxis.set_major_locator(FixedLocator([s for s in steps if low <= s <= high]))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_minor_formatter(NullFormatter())
