"""Tell gestures apart from nodes of EMG: print the scores of docs/gestures.md, draw its picture."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import bidsmill

# Windows in a row of the raw matrix, as those of the node: seconds, and from one to the next.
WINDOW, STEP = 0.2, 0.1
# Features that are amplitudes; the others count.
AMPLITUDES = ("mav", "wl")
# The recording, its seconds and its channels that the picture shows.
SHOWN, SPAN, CHANNELS = "sub-02_task-gestures_run-01_emg", (0.0, 30.0), ("EMG3", "EMG7")
RED, BLUE, GREY = "#b5382a", "#2a5caa", "#9a9a9a"


@dataclass
class Windows:
    """Windows of 0.2 s: their features, and the row, the gesture and the person of each.

    Attributes
    ----------
    X : numpy.ndarray, shape (windows, features)
    row, gesture, person : numpy.ndarray, shape (windows,)
        ``row`` counts the gestures: the windows of one gesture share it.
    """

    X: np.ndarray
    row: np.ndarray
    gesture: np.ndarray
    person: np.ndarray


def from_node(dataset: Any) -> Windows:
    """Return the windows of the node `activity`: amplitudes as logarithms, counts as they are."""
    rows = dataset.select()
    X, y = rows.arrays(target="gesture")  # (rows, channels and features, windows)
    names = rows.channels
    amplitude = [name.rpartition("_")[2] in AMPLITUDES for name in names]
    X = np.asarray(X, np.float64)
    X[:, amplitude] = np.log(X[:, amplitude])
    return _windows(X.transpose(0, 2, 1), y, rows)


def from_raw(dataset: Any, features: str) -> Windows:
    """Return the same windows of the raw matrix: all samples, or a logarithm for each channel."""
    rows = dataset.select()
    X, y = rows.arrays(target="gesture")  # (rows, channels, samples)
    width, step = round(WINDOW * rows.sfreq), round(STEP * rows.sfreq)
    cut = np.lib.stride_tricks.sliding_window_view(X, width, axis=2)[:, :, ::step]
    cut = cut.transpose(0, 2, 1, 3).astype(np.float64)
    if features == "samples":
        return _windows(cut.reshape(*cut.shape[:2], -1), y, rows)
    return _windows(np.log(cut.std(axis=3)), y, rows)


def _windows(X: np.ndarray, y: np.ndarray, rows: Any) -> Windows:
    n_rows, n_windows, _ = X.shape
    person = np.asarray(rows.samples["subject"])
    repeated = [np.repeat(values, n_windows) for values in (np.arange(n_rows), y, person)]
    return Windows(X.reshape(n_rows * n_windows, -1), *repeated)


def predicted(windows: Windows) -> tuple[np.ndarray, np.ndarray]:
    """Return the gesture predicted for each window, and for each row by all of its windows.

    Each person is predicted by a discriminant analysis of the others.
    """
    by_window = np.empty(len(windows.X), windows.gesture.dtype)
    by_row = np.empty(windows.row.max() + 1, windows.gesture.dtype)
    for person in np.unique(windows.person):
        test = windows.person == person
        model = make_pipeline(
            StandardScaler(), LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto")
        )
        model.fit(windows.X[~test], windows.gesture[~test])
        by_window[test] = model.predict(windows.X[test])
        likely = model.predict_log_proba(windows.X[test])
        for row in np.unique(windows.row[test]):
            total = likely[windows.row[test] == row].sum(axis=0)
            by_row[row] = model.classes_[total.argmax()]
    return by_window, by_row


def scores(windows: Windows) -> dict[str, Any]:
    """Return the shares of windows and of gestures that were told right, in all and by person."""
    by_window, by_row = predicted(windows)
    right = by_window == windows.gesture
    gesture = windows.gesture[np.unique(windows.row, return_index=True)[1]]
    return {
        "windows": right.mean(),
        "people": [right[windows.person == p].mean() for p in np.unique(windows.person)],
        "gestures": int((by_row == gesture).sum()),
        "of": len(by_row),
        "truth": gesture,
        "told": by_row,
    }


def compare(store: Any) -> dict[str, dict[str, Any]]:
    """Return the scores of the node and of the raw matrix."""
    raw = store["gestures-raw"]
    return {
        "node `activity`": scores(from_node(store["gestures"])),
        "raw, log of deviation": scores(from_raw(raw, "deviation")),
        "raw, all samples": scores(from_raw(raw, "samples")),
    }


def show(found: dict[str, dict[str, Any]]) -> None:
    """Print the scores in percent."""
    chance = 1 / len(set(next(iter(found.values()))["truth"]))
    print(f"{'':24}windows  each person  gestures")
    for name, score in found.items():
        people = " ".join(f"{100 * share:.0f}" for share in score["people"])
        told = f"{score['gestures']} of {score['of']}"
        print(f"{name:24}{100 * score['windows']:5.0f} %  {people:>11}  {told:>8}")
    print(f"{'chance':24}{100 * chance:5.0f} %")


def draw(store: Any, found: dict[str, dict[str, Any]], path: Path) -> None:
    """Draw signal and envelope, the confusions of the node, and the scores."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure = plt.figure(figsize=(11, 7.2), layout="constrained")
    upper, lower = figure.subfigures(2, 1, height_ratios=[1, 1.15])
    _draw_signal(store["gestures"], upper.subplots(len(CHANNELS), 1, sharex=True))
    left, right = lower.subplots(1, 2, width_ratios=[1.1, 1])
    _draw_confusions(next(iter(found.values())), left)
    _draw_scores(found, right)
    figure.savefig(path, dpi=110, metadata={"Software": None})
    plt.close(figure)


def _draw_signal(dataset: Any, axes: Any) -> None:
    stream, envelope = dataset.stream(SHOWN), dataset.stream(SHOWN, "env")
    start, stop = (round(second * stream.sfreq) for second in SPAN)
    time = np.arange(start, stop) / stream.sfreq
    epocs = dataset.epocs(SHOWN).table
    for axis, name in zip(axes, CHANNELS, strict=True):
        axis.plot(time, 1e6 * stream.numpy(start, stop, [name])[0], color=GREY, linewidth=0.4)
        axis.plot(time, 1e6 * envelope.numpy(start, stop, [name])[0], color=RED, linewidth=1.4)
        axis.set_ylabel(f"{name} (µV)")
        axis.spines[["top", "right"]].set_visible(False)
        for onset, duration in zip(epocs["onset"], epocs["duration"], strict=True):
            if onset < SPAN[1]:
                axis.axvspan(onset, min(onset + duration, SPAN[1]), color=BLUE, alpha=0.12, lw=0)
    top = axes[0].get_ylim()[1]
    for onset, label in zip(epocs["onset"], epocs["label"], strict=True):
        if onset < SPAN[1] - 1:
            axes[0].text(onset, top, label.replace("_", "\n"), va="bottom", fontsize=8)
    axes[-1].set_xlim(*SPAN)
    axes[-1].set_xlabel("s: the stream (grey), its node env (red), the epocs (blue)")


def _draw_confusions(score: dict[str, Any], axis: Any) -> None:
    names = sorted(set(score["truth"]))
    counts = np.zeros((len(names), len(names)), int)
    for truth, told in zip(score["truth"], score["told"], strict=True):
        counts[names.index(truth), names.index(told)] += 1
    axis.imshow(counts, cmap="Blues", vmin=0, vmax=counts.max())
    words = [name.replace("_", " ") for name in names]
    axis.set_xticks(range(len(names)), words, rotation=35, ha="right", fontsize=8)
    axis.set_yticks(range(len(names)), words, fontsize=8)
    for (row, column), count in np.ndenumerate(counts):
        if count:
            color = "white" if count > counts.max() / 2 else "black"
            axis.text(column, row, count, ha="center", va="center", color=color)
    axis.set_title("Gestures of people who were not trained on", fontsize=10)
    axis.set_xlabel("told")
    axis.set_ylabel("done")


def _draw_scores(found: dict[str, dict[str, Any]], axis: Any) -> None:
    names = list(found)[::-1]
    values = [100 * found[name]["windows"] for name in names]
    axis.barh(range(len(names)), values, color=[GREY] * (len(names) - 1) + [BLUE], height=0.55)
    for place, name in enumerate(names):
        people = [100 * share for share in found[name]["people"]]
        axis.plot(people, [place] * len(people), "o", color="black", markersize=4)
        axis.text(104, place, f"{values[place]:.0f} %", va="center", fontsize=9)
    chance = 100 / len(set(found[names[0]]["truth"]))
    axis.axvline(chance, color=RED, linestyle="--", linewidth=1)
    axis.text(chance + 1, len(names) - 0.5, "chance", color=RED, fontsize=8)
    axis.set_yticks(range(len(names)), [name.replace("`", "") for name in names], fontsize=9)
    axis.set_xlim(0, 116)
    axis.set_ylim(-0.6, len(names) - 0.3)
    axis.set_xlabel("windows of 0.2 s told right (%); dots: each person")
    axis.spines[["top", "right"]].set_visible(False)


def main() -> None:
    """Print the scores; with the name of a file, draw the picture."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("store", nargs="?", default="results/store")
    arguments.add_argument("--picture", type=Path)
    options = arguments.parse_args()
    store = bidsmill.open(options.store)
    found = compare(store)
    show(found)
    if options.picture:
        draw(store, found, options.picture)


if __name__ == "__main__":
    main()
