"""Numbers as people read and write them: sizes, counts, cells of tables, options."""

from __future__ import annotations

import argparse
import math
from typing import Any

# Whole numbers up to here are exact in float64.
LARGEST_EXACT = 2**53
UNITS = ("B", "kB", "MB", "GB", "TB", "PB")


def size_text(count: int) -> str:
    """Return a number of bytes with three digits and a decimal unit, such as ``1.25 GB``."""
    size, unit = float(count), 0
    while size >= 999.5 and unit < len(UNITS) - 1:
        size, unit = size / 1000, unit + 1
    if unit == 0:
        return f"{count} B"
    digits = 2 if size < 9.995 else 1 if size < 99.95 else 0
    return f"{size:.{digits}f} {UNITS[unit]}"


def counted(number: int, name: str) -> str:
    """Return a number with its noun, such as ``1 file`` or ``2,000 files``."""
    return f"{number:,} {name}{'' if number == 1 else 's'}"


def finite_number(value: Any) -> float | None:
    """Return the finite number in a cell or value, None if there is none."""
    try:
        found = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None


def at_least_one(text: str) -> int:
    """Return the whole number that an option of a command names; 0 and below are refused."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("expected 1 or more")
    return number
