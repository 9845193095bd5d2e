"""One pass over the matrices of a dataset: what its figures of signals show."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bidsmill.formats import files
from bidsmill.formats.certificate import rows_by_value, text_column
from bidsmill.formats.matrix import MatrixFile
from bidsmill.report import averages, numbers, sampling

if TYPE_CHECKING:
    import pandas as pd

Kind = tuple[str, str]

# How much is looked at. The page states these numbers.
MOST_RECORDINGS = 60  # per layout, for spectra and responses
MOST_ROWS, MOST_GROUPS = 200, 8  # per such recording
MOST_VALUES = 50_000_000  # per such recording; long rows or many channels mean fewer rows
FEWEST_ROWS = 3
GLANCE_ROWS, GLANCE_GROUPS = 20, 1  # of every other recording, for its amplitudes
MOST_SIGNALS = 200  # spectra per recording and channel type
MOST_CLASSES = 6
# Averages are smoothed over one period of 50 Hz; EMG, once rectified, as its envelope usually is.
SMOOTHING, SMOOTHING_EMG = 0.02, 0.1  # s
MOST_TIMES, FEWEST_TIMES = 1000, 100  # per average; fewer with many channels
MOST_AVERAGED = 2_500_000  # values per average: 20 MB as float64
# From this many recordings on, a standard error is taken over recordings.
ENOUGH_RECORDINGS = 5


@dataclass(frozen=True)
class Layout:
    """Recordings whose matrices can be stacked, and the letter by which the page calls them."""

    id: str
    letter: str
    recordings: tuple[str, ...]
    rows: int


@dataclass
class Spectrum:
    """Spectra of one channel type in one layout, in dB relative to 1 unit²/Hz."""

    frequencies: np.ndarray
    quantiles: np.ndarray | None
    recordings: dict[str, np.ndarray]
    n_signals: int


@dataclass
class Response:
    """Class averages of one label in one layout, in the units of the file."""

    label: str
    classes: list[str]
    left_out: list[str]
    of_classes: averages.ClassAverages


@dataclass
class LayoutSignals:
    """What the figures show of one layout."""

    layout: Layout
    channels: list[dict[str, Any]]
    sfreq: float
    times: np.ndarray
    line_frequencies: list[float]
    n_recordings: int
    n_rows: int
    spectra: dict[Kind, Spectrum] = field(default_factory=dict)
    responses: list[Response] = field(default_factory=list)

    @property
    def smoothing(self) -> float:
        """Return over how many seconds averages are smoothed."""
        muscle = sum(channel["type"] == "emg" for channel in self.channels)
        seconds = SMOOTHING_EMG if 2 * muscle > len(self.channels) else SMOOTHING
        margin = averages.smoothing_margin(seconds, self.sfreq, len(self.times))
        return (2 * margin + 1) / self.sfreq if margin else 0.0

    def smoothed(self, values: np.ndarray) -> np.ndarray:
        """Smooth values over time and thin them to what can be drawn (last axis: times)."""
        margin = round((self.smoothing * self.sfreq - 1) / 2) if self.smoothing else 0
        fitting = MOST_AVERAGED // (MOST_CLASSES * max(1, len(self.channels)))
        most = min(MOST_TIMES, max(FEWEST_TIMES, fitting))
        return averages.thinned(averages.moving_mean(values, margin), most)

    @property
    def drawn_times(self) -> np.ndarray:
        """Return the times of the averages, in s."""
        return self.smoothed(self.times)


def matrix_path(results: Path, recording: str) -> Path:
    """Return where the matrix of a recording is."""
    return files.inside(results / "matrix", f"{recording}.parquet")


def kept_rows(samples: pd.DataFrame) -> dict[str, np.ndarray]:
    """Return, for each recording, the places in `samples` of its rows that are not excluded."""
    kept = np.flatnonzero(text_column(samples, "excluded") == "")
    recordings = text_column(samples, "recording")[kept]
    return {name: kept[places] for name, places in rows_by_value(recordings).items()}


def measure_layout(
    results: Path,
    layout: Layout,
    samples: pd.DataFrame,
    kept: dict[str, np.ndarray],
    labels: list[str],
) -> tuple[LayoutSignals | None, dict[str, dict[Kind, dict[str, Any]]]]:
    """Read some rows of some recordings of a layout: spectra, class averages, amplitudes.

    Parameters
    ----------
    results : pathlib.Path
        The results of the dataset.
    layout : Layout
        What to read.
    samples : pandas.DataFrame
        One row per matrix row.
    kept : dict
        As `kept_rows` returns it.
    labels : list of str
        Columns of `samples` whose classes are averaged; ``""`` averages all rows.

    Returns
    -------
    signals : LayoutSignals or None
        None if no row can be used.
    amplitudes : dict
        Recording -> kind -> as `numbers.amplitude_quantiles`, in displayed units.
    """
    usable = [name for name in layout.recordings if name in kept]
    chosen = [usable[i] for i in sampling.spread(len(usable), MOST_RECORDINGS)]
    if not chosen:
        return None, {}
    signals = _describe(matrix_path(results, chosen[0]), layout, len(chosen))
    used = np.concatenate([kept[name] for name in chosen])
    prepared = [_response(label, samples, used, signals) for label in labels]
    signals.responses = [response for response in prepared if response.classes]
    amplitudes: dict[str, dict[Kind, dict[str, Any]]] = {}
    densities: dict[Kind, list[np.ndarray]] = {}
    medians: dict[Kind, dict[str, np.ndarray]] = {}
    for name in chosen:
        found = _measure_recording(results, name, samples, kept[name], signals)
        amplitudes[name] = found
        for kind, values in found.items():
            density = values.pop("density")
            densities.setdefault(kind, []).append(density)
            middle = numbers.spectrum_quantiles([density])
            if middle is not None:
                medians.setdefault(kind, {})[name] = middle[1]
    for kind, parts in densities.items():
        signals.spectra[kind] = Spectrum(
            _frequencies(signals), numbers.spectrum_quantiles(parts), medians.get(kind, {}),
            sum(len(part) for part in parts),
        )  # fmt: skip
    return signals, amplitudes


def _describe(path: Path, layout: Layout, n_recordings: int) -> LayoutSignals:
    with MatrixFile(path) as matrix:
        meta = matrix.metadata
    times = meta["tmin"] + np.arange(meta["n_times"]) / meta["sfreq"]
    return LayoutSignals(layout, meta["channels"], float(meta["sfreq"]), times, [], n_recordings, 0)


def _frequencies(signals: LayoutSignals) -> np.ndarray:
    length = numbers.segment_length(signals.sfreq, len(signals.times))
    return np.fft.rfftfreq(length, 1 / signals.sfreq)[1:]


def _response(
    label: str, samples: pd.DataFrame, used: np.ndarray, signals: LayoutSignals
) -> Response:
    """Prepare the averages of a label: its most frequent classes, in the order of the alphabet."""
    if label:
        values = text_column(samples, label)[used]
        by_class = {c: len(rows) for c, rows in rows_by_value(values).items() if c}
        order = sorted(by_class, key=lambda c: (-by_class[c], c))
        classes, left_out = sorted(order[:MOST_CLASSES]), order[MOST_CLASSES:]
        recordings = text_column(samples, "recording")[used]
        fewest = min((len(set(recordings[values == c])) for c in classes), default=0)
    else:
        classes, left_out, fewest = ["all rows"], [], signals.n_recordings
    of_classes = averages.ClassAverages(
        len(classes), len(signals.channels), signals.drawn_times.size, fewest >= ENOUGH_RECORDINGS
    )
    return Response(label, classes, left_out, of_classes)


def _codes(response: Response, samples: pd.DataFrame, places: np.ndarray) -> np.ndarray:
    if not response.label:
        return np.zeros(len(places), int)
    place = {name: code for code, name in enumerate(response.classes)}
    return np.array([place.get(v, -1) for v in text_column(samples, response.label)[places]])


def _measure_recording(
    results: Path, name: str, samples: pd.DataFrame, places: np.ndarray, signals: LayoutSignals
) -> dict[Kind, dict[str, Any]]:
    """Read rows of one recording; add them to the averages; return amplitudes and spectra."""
    all_rows = samples["row"].to_numpy()[places]
    with MatrixFile(matrix_path(results, name)) as matrix:
        size = len(matrix.channels) * matrix.n_times
        most = min(MOST_ROWS, max(FEWEST_ROWS, MOST_VALUES // max(1, size)))
        rows = sampling.choose_rows(all_rows, matrix.group_rows, most, MOST_GROUPS)
        line = matrix.metadata.get("line_frequency")
        if line and line not in signals.line_frequencies:
            signals.line_frequencies = sorted([*signals.line_frequencies, line])
        signals.n_rows += len(rows)
        good = numbers.good_channels(matrix.metadata["channels"])
        kinds = numbers.channel_kinds(matrix.metadata["channels"])
        of_rows = places[np.searchsorted(all_rows, rows)]
        codes = [_codes(response, samples, of_rows) for response in signals.responses]
        parts: dict[Kind, tuple[list, list]] = {kind: ([], []) for kind in kinds}
        for here, block in sampling.read_rows(matrix, rows):
            for kind, picks in kinds.items():
                picks = picks[good[picks]]
                scaled = block[:, picks] * numbers.display_unit(kind[1])[0]
                parts[kind][0].append(numbers.peak_to_peak(scaled))
                parts[kind][1].append(_spectra(scaled, here, len(rows), signals.sfreq))
            _add_to_averages(signals, block, [code[here] for code in codes], good)
    for response in signals.responses:
        response.of_classes.end_recording(good)
    return {
        kind: {
            **numbers.amplitude_quantiles(np.concatenate(ranges)),
            "rows": len(rows),
            "density": np.concatenate(spectra),
        }
        for kind, (ranges, spectra) in parts.items()
    }


def _spectra(block: np.ndarray, here: np.ndarray, n_rows: int, sfreq: float) -> np.ndarray:
    """Return spectra of `MOST_SIGNALS` of all pairs of a row and a channel of a recording."""
    n_channels = block.shape[1]
    pairs = sampling.spread(n_rows * n_channels, MOST_SIGNALS)
    first, last = here[0] * n_channels, (here[-1] + 1) * n_channels
    mine = pairs[(pairs >= first) & (pairs < last)] - first
    signals = block.reshape(-1, block.shape[2])[mine]
    if not len(signals):
        length = numbers.segment_length(sfreq, block.shape[2])
        return np.empty((0, length // 2), np.float32)
    return numbers.power_spectra(signals, sfreq)[1]


def _add_to_averages(
    signals: LayoutSignals, block: np.ndarray, codes: list[np.ndarray], good: np.ndarray
) -> None:
    if not signals.responses:
        return
    usable = np.isfinite(block[:, good]).all(axis=(1, 2))
    block = np.where(good[:, None], block, 0.0)[usable]
    muscle = np.array([channel["type"] == "emg" for channel in signals.channels])
    block[:, muscle] = averages.rectified(block[:, muscle])
    block[:, ~muscle] = averages.without_baseline(block[:, ~muscle], signals.times)
    block = signals.smoothed(block)
    for response, code in zip(signals.responses, codes, strict=True):
        response.of_classes.add(block, code[usable], good)


def glance(results: Path, name: str, rows: np.ndarray) -> dict[Kind, dict[str, Any]]:
    """Read few rows of a recording: amplitudes only (see `measure_layout`)."""
    with MatrixFile(matrix_path(results, name)) as matrix:
        size = len(matrix.channels) * matrix.n_times
        most = min(GLANCE_ROWS, max(FEWEST_ROWS, MOST_VALUES // max(1, size)))
        rows = sampling.choose_rows(rows, matrix.group_rows, most, GLANCE_GROUPS)
        good = numbers.good_channels(matrix.metadata["channels"])
        kinds = numbers.channel_kinds(matrix.metadata["channels"])
        parts: dict[Kind, list] = {kind: [] for kind in kinds}
        for _, block in sampling.read_rows(matrix, rows):
            for kind, picks in kinds.items():
                factor = numbers.display_unit(kind[1])[0]
                parts[kind].append(numbers.peak_to_peak(block[:, picks[good[picks]]] * factor))
    return {
        kind: {**numbers.amplitude_quantiles(np.concatenate(values)), "rows": len(rows)}
        for kind, values in parts.items()
    }
