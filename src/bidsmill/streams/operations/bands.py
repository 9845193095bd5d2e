"""The band of a channel after an operation."""

from __future__ import annotations

import dataclasses

from bidsmill.formats.stream_core import StreamChannel, StreamCore


def narrowed(core: StreamCore, low: float | None, high: float | None) -> StreamCore:
    """Return the metadata of a stream after a linear filter with these edges in Hz."""
    return dataclasses.replace(
        core, channels=tuple(_narrowed(channel, low, high) for channel in core.channels)
    )


def unknown_band(core: StreamCore) -> StreamCore:
    """Return the metadata of a stream after what makes new frequencies, such as ``|x|``."""
    channels = tuple(
        dataclasses.replace(channel, low_cutoff=None, high_cutoff=None) for channel in core.channels
    )
    return dataclasses.replace(core, channels=channels)


def _narrowed(channel: StreamChannel, low: float | None, high: float | None) -> StreamChannel:
    lows = [edge for edge in (channel.low_cutoff, low) if edge is not None]
    highs = [edge for edge in (channel.high_cutoff, high) if edge is not None]
    narrow = max(lows, default=None), min(highs, default=None)
    if narrow[0] is not None and narrow[1] is not None and narrow[0] >= narrow[1]:
        # Two filters that leave no band: what is known is the last.
        narrow = low, high
    return dataclasses.replace(channel, low_cutoff=narrow[0], high_cutoff=narrow[1])
