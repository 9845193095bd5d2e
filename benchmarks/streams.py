"""Streams: opening, size on the disk, and reading, beside PyArrow's own reading.

Usage: ``python benchmarks/streams.py [--json PATH] [--megabytes 256] [--repeats 5] [--data DIR]``

Opening is measured in processes of their own that have imported what they need before: the time,
and what the memory of the process grows by. Sizes are those of real recordings, one by one, beside
the raw float32 (and with the settings of dspAnt: snappy and a dictionary).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import mne
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bidsmill.formats.stream import StreamFile, write_stream
from bidsmill.formats.stream_core import StreamChannel, StreamCore

REACH = {"open_ms": 50, "open_mb": 20, "size": 0.9}
CHANNELS = (2, 8, 64, 306)
CORPUS = Path(__file__).resolve().parents[2] / "shared" / "data"
# Of each kind of amplifier in the corpus, what MNE reads without any help.
PATTERNS = ("emg_gestures/**/*.edf", "eegmmi_motor/**/*.edf", "muse_p300/**/*.vhdr")
PATTERNS += ("uci_alcoholism/**/*.edf", "meg_mix/sub-0*/**/*meg.fif", "meg_mix/**/*.ds")
OPEN = """
import json, os, sys, time
import numpy, pyarrow.parquet
from bidsmill.formats import stream, stream_checks, stream_legacy
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
before = resident()
begin = time.perf_counter()
opened = stream.StreamFile(sys.argv[1])
took = time.perf_counter() - begin
grown = resident() - before
begin = time.perf_counter()
opened.read(opened.n_times // 2, opened.n_times // 2 + 1000, [0])
print(json.dumps({"open_ms": 1e3 * took, "open_mb": grown / 1e6,
                  "first_span_ms": 1e3 * (time.perf_counter() - begin),
                  "read_mb": (resident() - before) / 1e6}))
"""


def core_of(name, sfreq, data):
    channels = tuple(StreamChannel(f"{k}", "eeg", "V") for k in range(len(data)))
    return StreamCore(name, sfreq, data.shape[1], channels, name)


def measure_opening(folder, megabytes, repeats):
    for n_channels in CHANNELS:
        data = noise(n_channels, megabytes)
        path = folder / f"{n_channels}_stream.parquet"
        begin = time.perf_counter()
        write_stream(path, core_of("noise", 1000.0, data), data)
        wrote = data.nbytes / 1e6 / (time.perf_counter() - begin)
        found = [child(path) for _ in range(repeats)]
        best = {key: min(run[key] for run in found) for key in found[0]}
        best["open_mb"] = max(run["open_mb"] for run in found)
        yield {"channels": n_channels, **best, "write_mb_per_s": wrote, **reading(path, repeats)}
        path.unlink()


def noise(n_channels, megabytes):
    rng = np.random.default_rng(0)
    shape = n_channels, int(megabytes * 1e6 / 4 / n_channels)
    # As an amplifier of 0.1 µV per bit gives it.
    return (np.round(rng.standard_normal(shape, np.float32) * 200) * 1e-7).astype(np.float32)


def child(path):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    run = [sys.executable, "-c", OPEN, str(path)]
    done = subprocess.run(run, env=environment, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def reading(path, repeats):
    """Return MB/s of decoding all, and how long a random second takes decoded and mapped."""
    stream = StreamFile(path)
    size = 4 * stream.n_channels * stream.n_times / 1e6
    rng = np.random.default_rng(1)
    starts = rng.integers(0, stream.n_times - 1000, 200)

    def ours():
        for group in range(len(stream.group_rows)):
            stream.read_group(group)

    def theirs():
        with pq.ParquetFile(path, memory_map=True) as file:
            for group in range(file.num_row_groups):
                file.read_row_group(group, use_threads=False)

    array = stream.mapped()
    rates = {
        f"{name}_mb_per_s": size / best(run, repeats)
        for name, run in (("read", ours), ("pyarrow", theirs))
    }
    decoded = best(lambda: [stream.read(s, s + 1000) for s in starts[:5]], 1) / 5
    mapped = best(lambda: [array[:, s : s + 1000].sum() for s in starts], repeats) / len(starts)
    path.with_suffix(".arrow").unlink()
    return {**rates, "random_decoded_ms": 1e3 * decoded, "random_mapped_ms": 1e3 * mapped}


def best(run, repeats):
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        run()
        times.append(time.perf_counter() - begin)
    return min(times)


def measure_sizes(folder, corpus):
    for pattern in PATTERNS:
        for found in [p for p in sorted(corpus.glob(pattern)) if "_acq-" not in p.name][:1]:
            raw = mne.io.read_raw(found, preload=True)
            data = raw.get_data().astype(np.float32)
            path = folder / "real_stream.parquet"
            stated = write_stream(path, core_of("real", raw.info["sfreq"], data), data)
            table = pa.table({str(k): row for k, row in enumerate(data)})
            other = folder / "snappy.parquet"
            pq.write_table(table, other, compression="snappy")
            yield {
                "recording": found.relative_to(corpus).as_posix(),
                "channels": len(data),
                "raw_mb": data.nbytes / 1e6,
                "size": stated["size"] / data.nbytes,
                "snappy_size": other.stat().st_size / data.nbytes,
            }


def print_rows(rows):
    if not rows:
        return
    print("  ".join(f"{key:>12}" for key in rows[0]))
    for row in rows:
        cells = (f"{v:12.4g}" if isinstance(v, int | float) else f"{v:>12}" for v in row.values())
        print("  ".join(cells))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="write the tables there")
    parser.add_argument("--megabytes", type=float, default=256, help="raw size of a stream")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--data", type=Path, default=CORPUS, help="folder of real recordings")
    arguments = parser.parse_args()
    mne.set_log_level("ERROR")
    with tempfile.TemporaryDirectory() as scratch:
        opening = list(measure_opening(Path(scratch), arguments.megabytes, arguments.repeats))
        print_rows(opening)
        sizes = list(measure_sizes(Path(scratch), arguments.data))
        print_rows(sizes)
    # In shorter recordings the description of the columns weighs more than the samples.
    large = [row for row in sizes if row["raw_mb"] >= 1]
    reached = {
        "open_ms": max(row["open_ms"] for row in opening) <= REACH["open_ms"],
        "open_mb": max(row["open_mb"] for row in opening) <= REACH["open_mb"],
        "size": all(row["size"] <= REACH["size"] for row in large),
    }
    print(f"to reach: {REACH}; reached: {reached}")
    if arguments.json:
        content = {"reach": REACH, "reached": reached, "opening": opening, "sizes": sizes}
        arguments.json.write_text(json.dumps(content, indent=2) + "\n")


if __name__ == "__main__":
    main()
