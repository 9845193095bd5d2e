"""Which rows a plain classifier gets to see, and what it gets to see of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bidsmill.formats.certificate import rows_by_value, text_column
from bidsmill.formats.matrix import MatrixFile
from bidsmill.report import averages, numbers, sampling
from bidsmill.report.figures_signals import type_name
from bidsmill.report.inputs import Inputs
from bidsmill.report.signals import Layout, matrix_path

# How much is looked at. The page states these numbers.
MOST_ROWS = 2_000
MOST_RECORDINGS = 60
MOST_GROUPS = 4  # row groups of a recording
MOST_CHANNELS, FEWEST_CHANNELS = 64, 8
# Values looked at in all; where rows are long, channels are left out first, then rows.
MOST_VALUES, ENOUGH_ROWS = 100_000_000, 500
PIECE = 2_000_000  # values worked on at a time

# Hz. The classical bands of EEG (Niedermeyer's Electroencephalography, 7th ed., chapter 7); the
# gamma band ends below the line frequencies.
BANDS = {"delta": (1, 4), "theta": (4, 8), "alpha": (8, 13), "beta": (13, 30), "gamma": (30, 45)}
# Where most power of surface EMG lies: 20 to 500 Hz, most of it below 150 Hz (De Luca, 2002,
# "Surface electromyography: detection and recording").
BANDS_EMG = {"low": (20, 60), "middle": (60, 150), "high": (150, 500)}
TIME_BINS = 8


@dataclass(frozen=True)
class Rows:
    """Rows of one layout with their features.

    Attributes
    ----------
    layout : Layout
        Whose rows they are.
    places : numpy.ndarray
        Shape (rows,), int: places in `samples`.
    test : numpy.ndarray
        Shape (rows,), bool: on the test side; the others are on the train side.
    features : numpy.ndarray
        Shape (rows, features), float64; NaN where a channel is bad.
    described : str
        What the features are.
    n_recordings : int
        How many recordings the rows are from.
    """

    layout: Layout
    places: np.ndarray
    test: np.ndarray
    features: np.ndarray
    described: str
    n_recordings: int


def read_rows(inputs: Inputs, labels: list[str]) -> Rows | None:
    """Read rows of train and of test, evenly over recordings, from the layout that has most.

    Parameters
    ----------
    inputs : Inputs
        The dataset.
    labels : list of str
        Columns of `samples`; rows with none of them are left out.

    Returns
    -------
    Rows or None
        None if no layout has labelled rows on both sides.
    """
    labelled = np.zeros(len(inputs.samples), dtype=bool)
    for label in labels:
        labelled |= text_column(inputs.samples, label) != ""
    side = text_column(inputs.samples, "split")
    found = [_sides_of(inputs, layout, labelled, side) for layout in inputs.layouts]
    sizes = [min(sum(map(len, part.values())) for part in sides) for sides in found]
    if not sizes or max(sizes) == 0:
        return None
    best = int(np.argmax(sizes))
    layout, (train, test) = inputs.layouts[best], found[best]
    share = len(test) / (len(train) + len(test))
    most_test = max(1, round(MOST_RECORDINGS * min(share, 0.5)))
    chosen = [_some(test, most_test), _some(train, MOST_RECORDINGS - most_test)]
    number = sum(len(part) for part in chosen)
    names, picks, described, most_rows = _features_of(inputs, layout)
    per_recording = max(1, most_rows // number)
    parts: list[tuple[np.ndarray, np.ndarray, bool]] = []
    for is_test, part in zip((True, False), chosen, strict=True):
        for name, places in part.items():
            with MatrixFile(matrix_path(inputs.results, name)) as matrix:
                own, values = _read(matrix, inputs, places, per_recording, names, picks)
            parts.append((own, values, is_test))
    places = np.concatenate([own for own, _, _ in parts])
    features = np.concatenate([values for _, values, _ in parts])
    test_rows = np.concatenate([np.full(len(own), is_test) for own, _, is_test in parts])
    order = np.argsort(places, kind="stable")
    recordings = {name for part in chosen for name in part}
    return Rows(
        layout, places[order], test_rows[order], features[order], described, len(recordings)
    )


def _sides_of(inputs: Inputs, layout: Layout, labelled: np.ndarray, side: np.ndarray):
    """Return, for train and for test, the labelled rows of each recording of a layout."""
    places = [inputs.kept[name] for name in layout.recordings if name in inputs.kept]
    own = np.concatenate([*places, np.empty(0, np.int64)])
    own = own[labelled[own]]
    recording = text_column(inputs.samples, "recording")
    return [
        {name: part[rows] for name, rows in rows_by_value(recording[part]).items()}
        for part in (own[side[own] == "train"], own[side[own] == "test"])
    ]


def _some(part: dict[str, np.ndarray], most: int) -> dict[str, np.ndarray]:
    names = sorted(part)
    return {names[i]: part[names[i]] for i in sampling.spread(len(names), most)}


def _features_of(inputs: Inputs, layout: Layout) -> tuple[list[str], str, str, int]:
    """Return the channels to read, the kind of features, these in words, and how many rows."""
    with MatrixFile(matrix_path(inputs.results, layout.recordings[0])) as matrix:
        meta, n_times = matrix.metadata, matrix.n_times
    kinds = numbers.channel_kinds(meta["channels"])
    if not kinds:
        kinds = {("", ""): np.arange(len(meta["channels"]))}
    (kind, _), picks = next(iter(kinds.items()))
    fitting = MOST_VALUES // (ENOUGH_ROWS * n_times)
    most = int(np.clip(fitting, FEWEST_CHANNELS, MOST_CHANNELS))
    chosen = picks[sampling.spread(len(picks), most)]
    rows = min(MOST_ROWS, max(1, MOST_VALUES // (len(chosen) * n_times)))
    names = [meta["channels"][i]["name"] for i in chosen]
    of = f"{len(chosen)} channel{'s' * (len(chosen) != 1)} ({type_name(kind)})"
    around_events = bool(inputs.samples["event"].notna().any())
    if not around_events and _bands(kind, meta["sfreq"], n_times):
        bands = ", ".join(_bands(kind, meta["sfreq"], n_times))
        return names, "bands", f"log power in bands ({bands}) of {of}", rows
    rectified = "rectified " if kind == "emg" else ""
    bins = min(TIME_BINS, n_times)
    if around_events:
        return names, "bins", f"mean {rectified}amplitude in {bins} time bins of {of}", rows
    return names, "bins", f"mean {rectified}amplitude in {bins} parts of the row, of {of}", rows


def _bands(kind: str, sfreq: float, n_times: int) -> dict[str, tuple[float, float]]:
    """Return the bands that a row can tell: below half the rate, and at least one cycle long."""
    bands = BANDS_EMG if kind == "emg" else BANDS
    step = sfreq / numbers.segment_length(sfreq, n_times)
    return {
        name: (low, min(high, sfreq / 2))
        for name, (low, high) in bands.items()
        if low + step <= sfreq / 2 and step <= high - low
    }


def _read(
    matrix: MatrixFile,
    inputs: Inputs,
    places: np.ndarray,
    most: int,
    names: list[str],
    features: str,
) -> tuple[np.ndarray, np.ndarray]:
    """Read the features of some of the rows of a recording; return their places, and them."""
    meta = matrix.metadata
    rows = inputs.samples["row"].to_numpy()[places]
    chosen = sampling.choose_rows(rows, matrix.group_rows, most, MOST_GROUPS)
    position = {channel["name"]: i for i, channel in enumerate(meta["channels"])}
    picks = [position[name] for name in names]
    kind = meta["channels"][picks[0]]["type"]
    times = meta["tmin"] + np.arange(matrix.n_times) / meta["sfreq"]
    found = []
    per_piece = max(1, PIECE // (len(names) * matrix.n_times))
    start = 0
    for group, size in enumerate(matrix.group_rows):
        own = chosen[(chosen >= start) & (chosen < start + size)] - start
        if len(own):
            values = matrix.read_group(group, names)
            for first in range(0, len(own), per_piece):
                block = values[own[first : first + per_piece]].astype(np.float64)
                found.append(_measure(block, times, meta["sfreq"], kind, features))
        start += size
    values = np.concatenate(found)
    good = numbers.good_channels(meta["channels"])[picks]
    values[:, ~good] = np.nan
    return places[np.searchsorted(rows, chosen)], values.reshape(len(values), -1)


def _measure(
    block: np.ndarray, times: np.ndarray, sfreq: float, kind: str, features: str
) -> np.ndarray:
    """Return features of rows: shape (rows, channels, features), NaN where there is none."""
    n_rows, n_channels, n_times = block.shape
    finite = np.isfinite(block).all(axis=2)
    block = np.where(finite[..., np.newaxis], block, 0.0)
    if features == "bands":
        frequencies, density = numbers.power_spectra(block.reshape(-1, n_times), sfreq)
        bands = _bands(kind, sfreq, n_times).values()
        power = np.stack(
            [
                density[:, (frequencies >= low) & (frequencies <= high)].mean(axis=1)
                for low, high in bands
            ],
            axis=1,
        )
        values = numbers.decibel(power.astype(np.float64)).reshape(n_rows, n_channels, -1)
    else:
        if kind == "emg":
            block = averages.rectified(block)
        elif (times < 0).any() and (times >= 0).any():
            block = averages.without_baseline(block, times)
        after = np.flatnonzero(times >= 0)
        used = after if len(after) >= TIME_BINS else np.arange(n_times)
        parts = np.array_split(used, min(TIME_BINS, len(used)))
        values = np.stack([block[..., part].mean(axis=-1) for part in parts], axis=-1)
    return np.where(finite[..., np.newaxis], values, np.nan)
