"""Simulated spikes in real EEG: the rows of a converted dataset, some of them with a spike.

Only the spike is simulated. Its topography is that of the lead field at the electrodes that the
recording has, found by their names; its strength is set against the row that it is added to.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bidsmill.errors import BidsmillError
from bidsmill.formats import files, tables
from bidsmill.formats.layout import layout_of
from bidsmill.formats.matrix import MatrixFile, MatrixWriter
from bidsmill.formats.sparse_sources import SparseSourceWriter
from bidsmill.simulate.random_numbers import generator
from bidsmill.simulate.sources.drawing import SourceDrawing
from bidsmill.simulate.sources.table import Sample
from bidsmill.simulate.spikes.projection import WINDOW, Clips, Forward, SourceProblem

# Fewer electrodes give no topography.
FEWEST_CHANNELS = 4
# Soft ends of a spike's waveform, in s.
TAPER = 0.05


@dataclass(frozen=True)
class BackgroundSettings:
    """How spikes are added.

    Attributes
    ----------
    seed : int
        Of the simulation.
    share : float
        Share of rows that get a spike; drawn row by row.
    snr : tuple of float
        Power of the spike in 0.1 s before and after its peak, over that of the whole row without
        it, both referenced to the average, in dB; drawn per row.
    """

    seed: int = 0
    share: float = 0.5
    snr: tuple[float, ...] = (-5.0, 0.0, 5.0, 10.0)


@dataclass(frozen=True)
class Electrodes:
    """Which channels of a recording the lead field knows.

    Attributes
    ----------
    channels : list of dict
        The channels of the matrix that are kept.
    columns : ndarray of int
        Where they are in the matrix.
    forward : Forward
        Their rows of the lead field.
    """

    channels: list[dict[str, Any]]
    columns: np.ndarray
    forward: Forward


def matching_electrodes(
    channels: Sequence[dict[str, Any]], names: Sequence[str], forward: Forward, path: Any = None
) -> Electrodes:
    """Find the EEG channels of a matrix in a lead field by name; case is ignored.

    Parameters
    ----------
    channels : sequence of dict
        Of the metadata of the matrix.
    names : sequence of str
        Channels of the lead field.
    forward : Forward
        The lead field.
    path : path-like, optional
        Named in messages.

    Raises
    ------
    BidsmillError
        If fewer than 4 good EEG channels are known.
    """
    known = {
        name.strip().casefold(): row
        for row, (name, kind) in enumerate(zip(names, forward.types, strict=True))
        if kind == "eeg"
    }
    found = []
    for column, channel in enumerate(channels):
        if channel["type"] != "eeg" or channel["status"] == "bad":
            continue
        for name in (channel["name"], channel.get("source_name") or ""):
            row = known.get(name.strip().casefold())
            if row is not None:
                found.append((column, row))
                break
    if len(found) < FEWEST_CHANNELS:
        raise BidsmillError(
            "the lead field knows too few EEG channels of a recording",
            file=path,
            found=f"{len(found)} of {', '.join(channel['name'] for channel in channels[:8])}, ...",
            expected=f"{FEWEST_CHANNELS} or more of {', '.join(names[:8])}, ...",
            todo="make a lead field for the montage of this recording",
        )
    columns, rows = (np.array(numbers, np.intp) for numbers in zip(*found, strict=True))
    kept = [dict(channels[column]) for column in columns]
    return Electrodes(kept, columns, Forward(forward.matrix[rows], ("eeg",) * len(rows)))


@dataclass(frozen=True)
class Added:
    """A row with its spike, or without.

    Attributes
    ----------
    values : ndarray of float32, shape (n_channels, n_times)
        Referenced to the average, in the unit of the recording.
    source : ndarray of float32, shape (n_regions_of_sample, n_times)
        Activity behind the spike, divided by `scale`; empty without a spike.
    scale : float
        Its largest magnitude: unit of the recording over that of the lead field.
    labels : dict
        For the table of samples.
    """

    values: np.ndarray
    regions: np.ndarray
    source: np.ndarray
    scale: float
    labels: dict[str, Any]


def add_spike(
    values: np.ndarray,
    sample: Sample | None,
    snr: float,
    forward: Forward,
    clips: Clips,
    sfreq: float,
    random: np.random.Generator,
) -> Added:
    """Add a spike to a row.

    Parameters
    ----------
    values : ndarray of float, shape (n_channels, n_times)
        The row.
    sample : Sample or None
        Its sources; None adds nothing. Of equal strength, their peaks at one time.
    snr : float
        See `BackgroundSettings`.
    forward : Forward
        Rows of the lead field, one for each channel.
    clips : Clips
        Waveforms, at the rate of the row.
    sfreq : float
        In Hz.
    random : numpy.random.Generator
        Draws the time of the peak: anywhere but in the first and last 0.1 s.

    Raises
    ------
    SourceProblem
        If a clip has no peak, or its spike reaches none of the electrodes.
    """
    row = np.array(values, np.float64)
    row -= row.mean(axis=0)
    power = float(np.square(row - row.mean(axis=1, keepdims=True)).mean())
    nothing = np.empty((0, row.shape[1]), np.float32)
    empty = np.empty(0, np.int32)
    if sample is None or not (np.isfinite(power) and power > 0):
        labels = _labels(None, np.nan, np.nan, 0.0)
        return Added(row.astype(np.float32), empty, nothing, 1.0, labels)
    half = min(round(WINDOW * sfreq), (row.shape[1] - 1) // 2)
    peak = int(random.integers(half, row.shape[1] - half))
    regions = sample.regions
    place = {int(region): number for number, region in enumerate(regions)}
    source = np.zeros((len(regions), row.shape[1]))
    for part in sample.sources:
        waveform = clips.waveform(part.centre, part.clip)
        if not waveform.max() > np.median(waveform):
            raise SourceProblem(
                "no_peak",
                f"clip {part.clip} of region {part.centre} has no peak above its background",
                todo="take this clip out of the bank",
            )
        wave = _placed(waveform, peak, row.shape[1], sfreq)
        source[[place[int(region)] for region in part.regions]] += part.weights[:, None] * wave
    spike = forward.matrix[:, regions] @ source
    spike -= spike.mean(axis=0)
    near = np.square(spike[:, peak - half : peak + half + 1]).mean()
    if not (near > 0 and np.isfinite(near)):
        raise SourceProblem(
            "no_signal",
            f"the sources of row {sample.index} give nothing at the electrodes of the recording",
        )
    factor = float(np.sqrt(10 ** (snr / 10) * power / near))
    row += factor * spike
    scale = factor * float(np.abs(source).max())
    made = 10 * np.log10(np.square(factor * spike[:, peak - half : peak + half + 1]).mean() / power)
    labels = _labels(sample, snr, float(made), peak / sfreq)
    scaled = (source * (factor / scale)).astype(np.float32)
    return Added(row.astype(np.float32), regions, scaled, scale, labels)


def _placed(waveform: np.ndarray, peak: int, n_times: int, sfreq: float) -> np.ndarray:
    """Return a waveform above its median with soft ends, its maximum 1 and at a wanted sample."""
    above = np.asarray(waveform, np.float64) - np.median(waveform)
    length = min(max(round(TAPER * sfreq), 1), len(above) // 2)
    ramp = 0.5 - 0.5 * np.cos(np.pi * (np.arange(length) + 0.5) / length)
    above[:length] *= ramp
    above[-length:] *= ramp[::-1]
    above /= above.max()
    shift = peak - int(above.argmax())
    result = np.zeros(n_times)
    first, last = max(shift, 0), min(shift + len(above), n_times)
    result[first:last] = above[first - shift : last - shift]
    return result


def _labels(sample: Sample | None, snr: float, made: float, time: float) -> dict[str, Any]:
    sources = sample.sources if sample else ()
    regions = sample.regions.tolist() if sample else []
    return {
        "spike": "spike" if sample else "none",
        "centre": str(sources[0].centre) if sources else "",
        "n_sources": len(sources),
        "centres": " ".join(str(source.centre) for source in sources),
        "clips": " ".join(str(source.clip) for source in sources),
        "regions": " ".join(map(str, regions)),
        "extent": len(regions),
        "snr": snr,
        "snr_realised": made,
        "spike_time": time if sample else np.nan,
    }


def write_background(
    matrix: Path,
    results: Path,
    drawing: SourceDrawing,
    clips: Clips,
    sfreq: float,
    forward: Forward,
    names: Sequence[str],
    settings: BackgroundSettings,
    *,
    sides: Sequence[str],
    first_index: int = 0,
) -> dict[str, Any]:
    """Write a recording with spikes in some of its rows.

    Writes ``matrix/{recording}.parquet``, ``sources/{recording}.parquet`` and
    ``labels/{recording}.parquet`` in `results`; rows keep their numbers.

    Parameters
    ----------
    matrix : pathlib.Path
        A matrix file of a results folder or of a store.
    results : pathlib.Path
        Where the new dataset goes.
    drawing : SourceDrawing
        Draws the sources.
    clips, sfreq
        The bank and its rate in Hz, which must be that of the matrix.
    forward, names
        The lead field and its channels.
    settings : BackgroundSettings
        Which rows, and how strong.
    sides : sequence of str
        Side of each row in the split of the dataset: a row takes its clips from this side, so
        that neither a person nor a waveform stands on two sides. Rows on none get no spike.
    first_index : int
        Number of the first row among all rows of the dataset.

    Returns
    -------
    dict
        ``recording``, ``channels``, ``layout``, ``sfreq``, ``tmin``, ``shape`` and ``files``.

    Raises
    ------
    BidsmillError
        If the rate is another one, channels are not known, or a side has no clips.
    """
    with MatrixFile(matrix) as background:
        document = background.metadata
        if abs(float(document["sfreq"]) - sfreq) > 1e-6 * sfreq:
            raise BidsmillError(
                "a recording has another rate than the clips",
                file=matrix,
                found=f"{document['sfreq']} Hz",
                expected=f"{sfreq} Hz",
                todo=f"convert the dataset with resample: {sfreq:g}",
            )
        if len(sides) != background.n_rows:
            raise BidsmillError(
                "the sides are not those of this matrix",
                file=matrix,
                found=f"{len(sides)} sides",
                expected=f"{background.n_rows}",
            )
        electrodes = matching_electrodes(document["channels"], names, forward, matrix)
        recording = document["recording"]
        paths = {k: results / k / f"{recording}.parquet" for k in ("matrix", "sources", "labels")}
        metadata = _metadata(document, electrodes, settings)
        columns = [channel["name"] for channel in electrodes.channels]
        labels: list[dict[str, Any]] = []
        with (
            files.atomic_path(paths["matrix"]) as one,
            files.atomic_path(paths["sources"]) as other,
            MatrixWriter(one, columns, background.n_times) as writer,
            SparseSourceWriter(other, background.n_times, forward.matrix.shape[1]) as sources,
        ):
            for group in range(len(background.group_rows)):
                block = background.read_group(group)[:, electrodes.columns]
                made = []
                for values in block:
                    row = len(labels)
                    random = generator(settings.seed, "background", recording, row)
                    sample = _sample(drawing, settings, random, sides[row], first_index + row)
                    snr = settings.snr[int(random.integers(len(settings.snr)))]
                    added = add_spike(values, sample, snr, electrodes.forward, clips, sfreq, random)
                    labels.append({"recording": recording, "row": row, **added.labels})
                    made.append(added)
                writer.write_group(np.stack([added.values for added in made], axis=1))
                sources.write_group(
                    [added.regions for added in made],
                    np.concatenate([added.source for added in made]),
                    [added.scale for added in made],
                )
            stated = writer.close(metadata)
            sources.close({"recording": recording, "sfreq": sfreq})
    tables.write_parquet(paths["labels"], _frame(labels))
    return _content(metadata, stated, paths["matrix"].name)


def _sample(
    drawing: SourceDrawing,
    settings: BackgroundSettings,
    random: np.random.Generator,
    side: str,
    index: int,
) -> Sample | None:
    wanted = random.random() < settings.share
    return drawing.sample(index, side) if wanted and side != "none" else None


def _metadata(
    document: dict[str, Any], electrodes: Electrodes, settings: BackgroundSettings
) -> dict[str, Any]:
    kept = {k: v for k, v in document.items() if k not in ("contract", "shape", "channels")}
    steps = [
        {"step": "reference", "kind": "average", "type": "eeg"},
        {"step": "add spikes", **vars(settings), "snr": list(settings.snr)},
    ]
    return {
        **kept,
        "channels": electrodes.channels,
        "layout": layout_of(
            electrodes.channels, float(document["sfreq"]), int(document["n_times"])
        ),
        "processing": [*document.get("processing", []), *steps],
    }


def _content(metadata: dict[str, Any], stated: dict[str, Any], name: str) -> dict[str, Any]:
    shape = stated.pop("shape")
    return {
        **{key: metadata[key] for key in ("recording", "layout", "sfreq", "tmin")},
        "status": "converted",
        "reason": "",
        "message": "",
        "shape": shape,
        "files": {name: stated},
        "detail": {"channels": [{**channel, "kept": True} for channel in metadata["channels"]]},
    }


def _frame(labels: list[dict[str, Any]]) -> Any:
    import pandas as pd

    return pd.DataFrame(labels)
