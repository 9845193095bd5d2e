"""Filters and resamplers: pulled in blocks, exact at block borders."""

from bidsmill.signal.filters import Filtered
from bidsmill.signal.ratio import resampled_length, resampling_ratio
from bidsmill.signal.resample import Resampled
from bidsmill.signal.source import ArraySignal, Signal, describe_chain, reach

__all__ = [
    "ArraySignal",
    "Filtered",
    "Resampled",
    "Signal",
    "describe_chain",
    "reach",
    "resampled_length",
    "resampling_ratio",
]
