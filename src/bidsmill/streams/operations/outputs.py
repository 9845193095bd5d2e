"""The metadata of what operations make: units, channels, a lower rate."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING

from bidsmill.formats.stream_units import UNDECLARED, parse_unit, squared

if TYPE_CHECKING:
    from bidsmill.formats.stream_core import StreamChannel, StreamCore
    from bidsmill.streams.operations.sliding import Frames

RATIO = "1"


def in_unit(channel: StreamChannel, unit: str, name: str | None = None) -> StreamChannel:
    """Return a channel in another unit, and with another name if one is given."""
    # NaN: the channel takes its factor to the SI unit from the unit.
    return dataclasses.replace(
        channel, unit=unit, scale_to_si=math.nan, name=channel.name if name is None else name
    )


def square_unit(unit: str, ending: str = "") -> str:
    """Return the unit of a square, or of its density with ``ending`` ``/Hz``.

    Arbitrary where the unit is a square already and the contract has no name for its square.
    """
    found = squared(unit) + ending
    return found if parse_unit(found) else UNDECLARED


def all_in_unit(core: StreamCore, unit: str) -> StreamCore:
    """Return the metadata of a stream whose channels are all in one unit."""
    channels = tuple(in_unit(channel, unit) for channel in core.channels)
    return dataclasses.replace(core, channels=channels)


def per_window(core: StreamCore, frames: Frames, channels: tuple[StreamChannel, ...]) -> StreamCore:
    """Return the metadata of a stream with one sample per window.

    A sample stands in the middle of its window: the first at ``(width - 1) / 2`` samples of the
    parent. Only whole windows give a sample.
    """
    return dataclasses.replace(
        core,
        channels=channels,
        sfreq=core.sfreq / frames.step,
        n_samples=frames.count(core.n_samples),
        t0=core.t0 + (frames.width - 1) / 2 / core.sfreq,
    )
