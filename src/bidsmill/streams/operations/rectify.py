"""Rectification."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from bidsmill.streams.operation import Operation, Span, register
from bidsmill.streams.operations.bands import unknown_band

if TYPE_CHECKING:
    from bidsmill.formats.stream_core import StreamCore


@register
@dataclass(frozen=True)
class Rectify(Operation):
    """Full-wave (``|x|``) or half-wave (``max(x, 0)``) rectification.

    Parameters
    ----------
    wave : {"full", "half"}
    """

    name: ClassVar[str] = "rectify"
    wave: Literal["full", "half"] = "full"

    def core(self, parent: StreamCore) -> StreamCore:
        """Return the metadata without the band, which rectification changes."""
        return unknown_band(parent)

    def compute(self, block: np.ndarray, span: Span, core: Any, fitted: Any) -> np.ndarray:
        """Return the rectified samples; NaN stays NaN."""
        return np.abs(block) if self.wave == "full" else np.maximum(block, np.float32(0))
