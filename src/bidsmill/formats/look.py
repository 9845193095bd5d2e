"""What the pages that people look at have in common: colours of both themes, fonts, short texts."""

from __future__ import annotations

from pathlib import Path

SHEET = "look.css"


def look() -> str:
    """Return the style sheet that every page begins with."""
    return (Path(__file__).parent / SHEET).read_text(encoding="utf-8")


def shortened(text: str, most: int) -> str:
    """Return a text of at most `most` letters, with an ellipsis for what is left out."""
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"
