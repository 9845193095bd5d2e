"""A few samples: what the sensors show, the map at the peak, and the source on the cortex."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bidsmill.formats import files
from bidsmill.formats.certificate import text_column
from bidsmill.formats.matrix import MatrixFile
from bidsmill.formats.sparse_sources import SparseSourceFile
from bidsmill.report import numbers, sampling
from bidsmill.report.drawing import (
    MUTED,
    PALETTE,
    Picture,
    axes_at,
    bare_figure,
    new_figure,
    picture,
    plain,
)
from bidsmill.report.figures_signals import type_name
from bidsmill.report.scalp import FEWEST_PLACES, draw_map, draw_scale, scalp_places, why_no_map
from bidsmill.report.signals import matrix_path
from bidsmill.report.simulated_cortex import Drawn
from bidsmill.report.simulated_inputs import SimulatedInputs, levels
from bidsmill.report.simulated_maps import ACTIVITY, CortexMap, graded, gradient, layers_of

if TYPE_CHECKING:
    import pandas as pd

MOST_SAMPLES = 4
MOST_CHANNELS = 32
MOST_POINTS = 500
MOST_TYPES = 2
MOST_MAPS = 2


@dataclass(frozen=True)
class Example:
    """One row, as the page shows it.

    Attributes
    ----------
    facts : dict
        Its row of `samples`.
    times : numpy.ndarray
        Shape (times,), s from the first sample of the row.
    values : numpy.ndarray
        Shape (channels, times), as the matrix has them.
    channels : list of dict
        Of the matrix.
    centres : list of int
        Centre of each source.
    peaks : list of int
        Sample at which each source is largest.
    largest : numpy.ndarray
        Shape (n_regions,): largest magnitude of each region over time, over that of all; 0 where
        there is no source.
    """

    facts: dict[str, Any]
    times: np.ndarray
    values: np.ndarray
    channels: list[dict[str, Any]]
    centres: list[int]
    peaks: list[int]
    largest: np.ndarray


def choose_samples(samples: pd.DataFrame) -> list[int]:
    """Choose rows to show: of each wanted SNR (at most four) one, spread over the dataset.

    Where some rows have no spike, one of these comes last.

    Returns
    -------
    list of int
        Places in `samples`.
    """
    has_source = text_column(samples, "centres") != ""
    found = [rows & has_source for _, rows in levels(samples["snr"].to_numpy(float))]
    found = [np.flatnonzero(rows) for rows in found if rows.any()] or [np.flatnonzero(has_source)]
    room = MOST_SAMPLES - int(not has_source.all())
    picked = [found[i] for i in sampling.spread(len(found), room)] if len(found[0]) else []
    if len(picked) > 2:
        # The weakest and the strongest are those to see.
        picked[0], picked[-1] = found[0], found[-1]
    chosen = [
        int(rows[(2 * place + 1) * len(rows) // (2 * len(picked))])
        for place, rows in enumerate(picked)
    ]
    without = np.flatnonzero(~has_source)
    return [*chosen, *([int(without[len(without) // 2])] if len(without) else [])]


def read_example(inputs: SimulatedInputs, place: int) -> Example:
    """Read one row and its sources: one row group of each file.

    Parameters
    ----------
    inputs : SimulatedInputs
        The dataset.
    place : int
        Place in its `samples`.
    """
    facts = inputs.samples.iloc[place].to_dict()
    row = int(facts["row"])
    with MatrixFile(matrix_path(inputs.results, facts["recording"])) as matrix:
        values = next(iter(sampling.read_rows(matrix, np.array([row]))))[1][0]
        document = matrix.metadata
    sfreq = float(document["sfreq"])
    largest = np.zeros(inputs.n_regions)
    path = files.inside(inputs.results / "sources", f"{facts['recording']}.parquet")
    with SparseSourceFile(path) as stored:
        regions, waves = stored.sparse(row)
    if len(regions):
        size = np.abs(waves).max(axis=1)
        largest[regions] = size / (size.max() or 1.0)
    centres = [int(text) for text in str(facts["centres"] or "").split()]
    stated = facts.get("spike_times", facts.get("spike_time"))
    peaks = [round(float(time) * sfreq) for time in str(stated).split()] if centres else []
    return Example(
        facts,
        np.arange(values.shape[1]) / sfreq,
        values,
        document["channels"],
        centres,
        [min(max(peak, 0), values.shape[1] - 1) for peak in peaks],
        largest,
    )


def sample_section(inputs: SimulatedInputs, drawn: list[Drawn]) -> list[dict[str, Any]]:
    """Return the samples to show.

    Parameters
    ----------
    inputs : SimulatedInputs
        The dataset.
    drawn : list of Drawn
        The cortex; [] where there is none.

    Returns
    -------
    list of dict
        ``title``, ``traces`` and ``maps`` (pictures; None without), ``cortex`` (`CortexMap`;
        None without) and ``remark``, why there is no map.
    """
    shown = []
    for number, place in enumerate(choose_samples(inputs.samples)):
        example = read_example(inputs, place)
        kinds = _kinds(example.channels)
        maps, remark = _maps(f"map{number}", example, kinds)
        shown.append(
            {
                "title": _title(example.facts),
                "traces": _traces(f"traces{number}", example, kinds),
                "maps": maps,
                "remark": remark,
                "cortex": _on_cortex(example, drawn) if drawn and example.centres else None,
            }
        )
    return shown


def _kinds(channels: list[dict[str, Any]]) -> dict[tuple[str, str], np.ndarray]:
    return dict(list(numbers.channel_kinds(channels).items())[:MOST_TYPES])


def _title(facts: dict[str, Any]) -> str:
    where = f"{facts['recording']}, row {facts['row']}"
    if not str(facts["centres"] or ""):
        return f"{where}: no spike"
    named = f"Sample {int(facts['sample'])}" if "sample" in facts else where
    count = len(str(facts["centres"]).split())
    sources = "1 source" if count == 1 else f"{count} sources"
    return f"{named}: {sources}, asked for {facts['snr']:g} dB"


def _traces(name: str, example: Example, kinds: dict) -> Picture:
    figure = new_figure(6.4, 0.55 + 1.95 * len(kinds))
    panels = figure.subplots(len(kinds), 1, sharex=True, squeeze=False)[:, 0]
    said = []
    for axes, ((kind, stored), picks) in zip(panels, kinds.items(), strict=True):
        factor, unit = numbers.display_unit(stored)
        unit = "share of the largest" if unit == "1" else unit
        strongest, others = traced(example, picks)
        for channel in others:
            _line(axes, example, channel, factor, color=MUTED, linewidth=0.45)
        _line(axes, example, strongest, factor, color=PALETTE[0], linewidth=1.3)
        strongest_name = plain(example.channels[strongest]["name"], 20)
        axes.set_ylabel(unit or "value")
        axes.set_title(type_name(kind))
        axes.set_title(f"thick: {strongest_name}", fontsize=8.5, fontweight="normal", loc="right")
        drawn = len(others) + 1
        which = f"{drawn} of {len(picks)}" if drawn < len(picks) else f"all {len(picks)}"
        said.append(f"{which} {sensor_words(kind)}")
    _mark_peaks(panels, example)
    panels[-1].set_xlim(example.times[0], example.times[-1] if len(example.times) > 1 else 1)
    panels[-1].set_xlabel("s from the first sample of the row")
    at = ", ".join(f"{example.times[peak]:.3f} s" for peak in example.peaks)
    alt = f"{' and '.join(said)} over {example.times[-1]:.3g} s" + (
        f", peak at {at}." if at else "."
    )
    return picture(figure, name, "Sensors", alt, _caption(example, said))


def _mark_peaks(panels: Any, example: Example) -> None:
    """Draw a line at the maximum of each source; numbers of near ones do not touch."""
    order = sorted(range(len(example.peaks)), key=lambda n: example.peaks[n])
    for place, number in enumerate(order):
        time = example.times[example.peaks[number]]
        for axes in panels:
            axes.axvline(time, color=PALETTE[1], linewidth=1.1, dashes=(3, 2), zorder=1)
        before = place == 0 and len(order) > 1
        panels[0].annotate(
            str(number + 1) if len(order) > 1 else "peak",
            (time, 1), xycoords=("data", "axes fraction"), textcoords="offset points",
            xytext=(-3 if before else 3, -1 - 10 * max(place - 1, 0)), va="top",
            ha="right" if before else "left", color=PALETTE[1], fontsize=8.5,
        )  # fmt: skip


def sensor_words(kind: str) -> str:
    """Return what several channels of a type are called."""
    name = type_name(kind)
    return name if name.endswith("s") else f"{name} channels"


def _line(axes: Any, example: Example, channel: int, factor: float, **look: Any) -> None:
    places, values = numbers.envelope(example.values[channel] * factor, MOST_POINTS)
    axes.plot(example.times[places], values, **look)


def traced(example: Example, picks: np.ndarray) -> tuple[int, list[int]]:
    """Return the channel that is strongest at the peak, and up to 31 others, evenly chosen.

    Parameters
    ----------
    example : Example
        The row.
    picks : numpy.ndarray of int
        Channels of one type.

    Returns
    -------
    strongest : int
        Over the whole row where there is no peak.
    others : list of int
        In the order of the matrix.
    """
    size = np.abs(np.nan_to_num(example.values[picks]))
    size = size[:, example.peaks[:1]] if example.peaks else size
    strongest = int(picks[size.max(axis=1).argmax()])
    rest = picks[picks != strongest]
    spaced = rest[sampling.evenly(len(rest), MOST_CHANNELS - 1)]
    return strongest, [int(channel) for channel in spaced]


def _caption(example: Example, said: list[str]) -> str:
    facts = example.facts
    text = f"{' and '.join(said)} of {facts['recording']}, row {facts['row']}."
    parts = [text[0].upper() + text[1:]]
    if example.peaks:
        many = len(example.peaks) > 1
        parts.append(
            "Dashed: maximum of each source." if many else "Dashed: maximum of the source."
        )
        realised = float(facts["snr_realised"])
        parts.append(f"Signal to noise {realised:.2f} dB, asked for {facts['snr']:g} dB.")
    parts.append(f"Split: {facts['split']}.")
    return " ".join(parts)


def _maps(name: str, example: Example, kinds: dict) -> tuple[Picture | None, str]:
    """Draw the sensors at the peak of each source, or say why not."""
    if not example.peaks:
        return None, ""
    wanted = []
    for (kind, stored), picks in kinds.items():
        channels = [example.channels[i] for i in picks]
        places = scalp_places(channels)
        peaks = dict.fromkeys(example.peaks)
        if places is not None:
            wanted += [(kind, stored, picks, places, peak) for peak in peaks]
    if not wanted:
        return None, _why_no_map(example, next(iter(kinds.values())))
    if len(kinds) > 1:
        wanted = [entry for entry in wanted if entry[-1] == example.peaks[0]]
    wanted = wanted[:MOST_MAPS]
    figure = bare_figure(0.2 + 2.75 * len(wanted), 2.4)
    for column, (kind, stored, picks, places, peak) in enumerate(wanted):
        axes = axes_at(figure, 0.1 + 2.75 * column, 0.05, 2.0, 2.05)
        factor, unit = numbers.display_unit(stored)
        values = example.values[picks, peak] * factor
        title = f"{type_name(kind)} at {example.times[peak]:.3f} s"
        strongest = int(np.abs(np.nan_to_num(values)).argmax())
        image = draw_map(axes, places, values, title, [strongest])
        beside = axes_at(figure, 2.15 + 2.75 * column, 0.55, 0.09, 1.05)
        draw_scale(figure, beside, image, "" if unit == "1" else unit)
    alt = "; ".join(f"map of {type_name(e[0])} at {example.times[e[-1]]:.3f} s" for e in wanted)
    text = "The head from above, nose up, at the maximum of " + (
        "each source" if len({e[-1] for e in wanted}) > 1 else "the source"
    )
    return picture(figure, name, "On the head", alt, f"{text}; large dot: strongest sensor."), ""


def _why_no_map(example: Example, picks: np.ndarray) -> str:
    channels = [example.channels[i] for i in picks]
    known = sum(channel.get("position") is not None for channel in channels)
    if "spike" not in example.facts and known < FEWEST_PLACES <= len(channels):
        return (
            f"No map: the lead field states the places of {known} of {len(channels)} sensors, and"
            f" {FEWEST_PLACES} are needed."
        )
    return why_no_map(channels) or "No map: these sensors do not lie on the head."


def _on_cortex(example: Example, drawn: list[Drawn]) -> CortexMap:
    count = int((example.largest > 0).sum())
    marked = list(dict.fromkeys((str(n), c) for n, c in enumerate(example.centres, 1)))
    named = ", ".join(f"{n}: region {c}" for n, c in marked)
    caption = (
        f"Colour: largest magnitude of each region over time, in % of the strongest; {count} of"
        f" {len(example.largest)} regions are active. Rings: centres ({named})."
    )
    return CortexMap(
        "On the cortex",
        f"{count} active regions on the cortex, centred on {named}",
        caption,
        layers_of(drawn, graded(example.largest, example.largest > 0, ACTIVITY), marked),
        [],
        (gradient(ACTIVITY), "0 %", "100 %"),
    )
