"""Filters and resamplers beside SciPy and MNE-Python: ratios of speed, and peak memory.

Usage: ``python benchmarks/resampling.py [--json PATH] [--minutes 5] [--repeats 5]``

Both sides run in the same process, in turn; the best time of each counts. Ours includes the
design of the filter and reads in blocks of 4096 samples; the peers get the whole array.
"""

from __future__ import annotations

import argparse
import json
import time
import tracemalloc
from pathlib import Path

import mne
import numpy as np
from scipy.signal import resample_poly

from bidsmill.signal import ArraySignal, Filtered, Resampled

READ = 4096
CHANNELS = 64


def read_all(signal):
    for start in range(0, signal.n_times, READ):
        signal.read(start, min(start + READ, signal.n_times))


def cases(data):
    """Yield name, ours, theirs, and the ratio to reach (None: for information)."""

    def resampled(sfreq_in, sfreq_out):
        return lambda: read_all(Resampled(ArraySignal(data, sfreq_in), sfreq_out))

    def filtered(**bands):
        return lambda: read_all(Filtered(ArraySignal(data, 500.0), **bands))

    def poly(up, down):
        return lambda: resample_poly(data, up, down, axis=1)

    yield "500 -> 250 Hz | resample_poly", resampled(500.0, 250.0), poly(1, 2), 0.7
    yield "1024 -> 1000 Hz | resample_poly", resampled(1024.0, 1000.0), poly(125, 128), None
    yield "2000 -> 250 Hz | resample_poly", resampled(2000.0, 250.0), poly(1, 8), None
    yield "499.7071 -> 250 Hz | resample_poly 2:1", resampled(499.7071, 250.0), poly(1, 2), None
    yield (
        "0.5 to 40 Hz | mne filter_data",
        filtered(low=0.5, high=40.0),
        lambda: mne.filter.filter_data(data, 500.0, 0.5, 40.0),
        None,
    )
    yield (
        "notch 50, 100 Hz | mne notch_filter",
        filtered(notch=[50.0, 100.0]),
        lambda: mne.filter.notch_filter(data, 500.0, [50.0, 100.0]),
        None,
    )


def measure(data, repeats):
    rows = []
    for name, ours, theirs, reach in cases(data):
        best = {"ours": np.inf, "theirs": np.inf}
        for _ in range(repeats):
            for side, run in (("ours", ours), ("theirs", theirs)):
                begin = time.perf_counter()
                run()
                best[side] = min(best[side], time.perf_counter() - begin)
        tracemalloc.start()
        ours()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        rows.append(
            {
                "case": name,
                "ours_s": best["ours"],
                "theirs_s": best["theirs"],
                "ratio": best["theirs"] / best["ours"],
                "reach": reach,
                "ours_input_mb_per_s": data.nbytes / 1e6 / best["ours"],
                "ours_peak_mb": peak / 1e6,
            }
        )
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="write the table there")
    parser.add_argument("--minutes", type=float, default=5.0, help="length of the recording")
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    mne.set_log_level("ERROR")
    n_times = int(arguments.minutes * 60 * 500)
    data = np.random.default_rng(0).standard_normal((CHANNELS, n_times))
    rows = measure(data, arguments.repeats)
    print(f"{'case':42}{'ours s':>9}{'theirs s':>9}{'ratio':>7}{'reach':>7}{'peak MB':>9}")
    for row in rows:
        reach = "" if row["reach"] is None else f"{row['reach']:g}"
        print(
            f"{row['case']:42}{row['ours_s']:9.3f}{row['theirs_s']:9.3f}{row['ratio']:7.2f}"
            f"{reach:>7}{row['ours_peak_mb']:9.1f}"
        )
    if arguments.json:
        content = {"channels": CHANNELS, "n_times": n_times, "rows": rows}
        arguments.json.write_text(json.dumps(content, indent=2) + "\n")


if __name__ == "__main__":
    main()
