"""What was recorded, for the page: where channels are, which are faulty, when events happened."""

from __future__ import annotations

from typing import Any

from bidsmill.report import numbers
from bidsmill.report.drawing import Picture
from bidsmill.report.figures_channels import faults_of, montage_picture, quality_picture, shares
from bidsmill.report.figures_events import raster_of, raster_picture
from bidsmill.report.figures_signals import type_name
from bidsmill.report.inputs import Inputs
from bidsmill.report.scalp import why_no_map
from bidsmill.report.signals import LayoutSignals

MOST_MONTAGES = 4


def channels_section(inputs: Inputs, signals: list[LayoutSignals]) -> dict[str, Any]:
    """Return the places of the channels by layout and type, and what is wrong with which.

    Returns
    -------
    dict
        ``montages`` and ``quality`` (pictures), ``missing`` (why a type has no picture) and
        ``reason`` (why there is nothing at all, or '').
    """
    faults = faults_of(inputs.channels)
    montages: list[Picture] = []
    missing: list[str] = []
    for found in signals:
        faulty = shares(faults, found.layout.recordings)
        for kind, picks in numbers.channel_kinds(found.channels).items():
            picture = None
            if len(montages) < MOST_MONTAGES:
                picture = montage_picture(found.channels, kind, found.layout.letter, faulty)
            if picture is not None:
                montages.append(picture)
                continue
            own = [found.channels[place] for place in picks]
            why = why_no_map(own) or "No map: these channels do not lie on the head."
            missing.append(f"{type_name(kind[0])}, layout {found.layout.letter}. {why}")
    quality = quality_picture(inputs.channels, faults)
    return {
        "montages": montages,
        "missing": missing,
        "quality": [quality] if quality else [],
        "recordings": len(faults),
        "reason": "" if signals else "No recording was converted: there is no channel to show.",
    }


def events_section(inputs: Inputs) -> dict[str, Any]:
    """Return the raster of the events, or why there is none."""
    raster = raster_of(inputs)
    if raster is None:
        return {"pictures": [], "reason": "The dataset has no events."}
    picture = raster_picture(raster)
    reason = "" if picture else "No event has a time."
    return {"pictures": [picture] if picture else [], "reason": reason}
