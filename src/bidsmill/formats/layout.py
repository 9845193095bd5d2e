"""Names of matrix columns, and the layout: which matrices can be stacked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from bidsmill.formats.files import canonical_sha256, plain_text

DTYPE = "float32"


def column_names(source_names: Sequence[str]) -> list[str]:
    """Return the column names for channels of these names, in the same order.

    Names are put in Unicode normal form C and trimmed; an empty one becomes
    ``channel-{index}``; names that are equal when case is ignored (DuckDB ignores it, and
    duplicate columns cannot be read back) get ``-0``, ``-1`` ... in file order, passing over
    a suffixed name that another channel has already. No other character is changed.

    Parameters
    ----------
    source_names : sequence of str
        Channel names as the data file has them.

    Returns
    -------
    list of str
        Names that are distinct even when case is ignored.
    """
    names = [plain_text(name) or f"channel-{index}" for index, name in enumerate(source_names)]
    counts = Counter(name.casefold() for name in names)
    taken = {folded for folded, count in counts.items() if count == 1}
    next_number: Counter[str] = Counter()
    result = []
    for name in names:
        folded = name.casefold()
        if counts[folded] > 1:
            name = _numbered(name, folded, taken, next_number)
        result.append(name)
    return result


def _numbered(name: str, folded: str, taken: set[str], next_number: Counter[str]) -> str:
    while True:
        candidate = f"{name}-{next_number[folded]}"
        next_number[folded] += 1
        if candidate.casefold() not in taken:
            taken.add(candidate.casefold())
            return candidate


def layout_of(channels: Sequence[Mapping[str, Any]], sfreq: float, n_times: int) -> str:
    """Return the id of the layout of channels as the document of a matrix describes them."""
    names, types, units = ([c[key] for c in channels] for key in ("name", "type", "unit"))
    return layout_id(names, types, units, sfreq, n_times)


def layout_id(
    names: Sequence[str], types: Sequence[str], units: Sequence[str], sfreq: float, n_times: int
) -> str:
    """Return the id of a layout: files of one layout can be stacked.

    Parameters
    ----------
    names, types, units : sequence of str
        One entry per channel, in column order.
    sfreq : float
        Sampling rate in Hz.
    n_times : int
        Samples per row.

    Returns
    -------
    str
        The first 12 hexadecimal digits of a sha256.
    """
    content = [list(names), list(types), list(units), float(sfreq), int(n_times), DTYPE]
    return canonical_sha256(content)[:12]
