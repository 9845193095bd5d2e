"""The zero-phase FIR filters of ``bidsmill.signal``, block by block."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from bidsmill.signal.design import FilterDesign, design_band, design_notch
from bidsmill.streams.operations.block_signal import BlockSignal

if TYPE_CHECKING:
    from bidsmill.streams.operation import Span

# Channels that are filtered together: more would only need more memory.
ROWS = 4


@lru_cache(maxsize=32)
def fir_design(
    sfreq: float,
    low: float | None = None,
    high: float | None = None,
    low_transition: float | None = None,
    high_transition: float | None = None,
    notch: tuple[float, ...] | None = None,
    widths: tuple[float, ...] | None = None,
) -> FilterDesign:
    """Return the design of a filter; see :mod:`bidsmill.signal.design`."""
    if notch is not None:
        return design_notch(sfreq, notch, widths=widths)
    return design_band(
        sfreq, low, high, low_transition=low_transition, high_transition=high_transition
    )


def convolved(block: np.ndarray, span: Span, sfreq: float, design: FilterDesign) -> np.ndarray:
    """Return the wanted samples of a block after a filter, shape (n_channels, n), float32."""
    from bidsmill.signal.filters import Convolved

    out = np.empty((len(block), span.stop - span.start), dtype=np.float32)
    for row in range(0, len(block), ROWS):
        part = BlockSignal(block[row : row + ROWS], span.first, span.total, sfreq)
        filtered = Convolved(part, design)
        step = filtered.block
        for start in range(span.start, span.stop, step):
            stop = min(start + step, span.stop)
            values = filtered.read_once(start, stop)
            out[row : row + ROWS, start - span.start : stop - span.start] = values
    return out
