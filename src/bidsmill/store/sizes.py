"""Sizes as people read them."""

from __future__ import annotations

UNITS = ("B", "kB", "MB", "GB", "TB", "PB")


def shown_size(size: float) -> str:
    """Return a number of bytes in the unit that suits it, e.g. ``12.3 MB``."""
    for unit in UNITS[:-1]:
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} {UNITS[-1]}"


def shown_count(number: int, name: str = "file") -> str:
    """Return a number with its noun, e.g. ``1 file`` or ``20 files``."""
    return f"{number} {name}{'' if number == 1 else 's'}"
