"""Filters of a stream on disk beside SciPy on the whole array in RAM: throughput and memory.

Usage: ``python benchmarks/stream_filters.py [--json PATH] [--gigabytes 2] [--channels 8]
[--threads 1] [--only NAME ...]``

Each measurement is a process of its own. Ours reads a stream file, filters it and (unless the
case says otherwise) writes another; SciPy filters an array that is in RAM already, in float64 and
channel by channel (so that 2 GB need not become 12). Processor seconds are compared, since they
count what a busy machine does not do for us; with them stands the time on the clock. The peak
memory is that of the process, interpreter and libraries included.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

SFREQ = 2000.0
BAND = (20.0, 450.0)
EMG = "raw > car > notch(50) > bandpass(20, 450) > rectify > lowpass(10)"
# Name -> definition, whether it is written, what SciPy does for the same.
CASES = {
    "butterworth, written": ("raw > bandpass(20, 450, method=butterworth)", True, "butterworth"),
    "butterworth, only computed": (
        "raw > bandpass(20, 450, method=butterworth)",
        False,
        "butterworth",
    ),
    "causal, written": (
        "raw > bandpass(20, 450, method=butterworth, phase=causal)",
        True,
        "causal",
    ),
    "fir, written": ("raw > bandpass(20, 450)", True, "fir"),
    "fir, only computed": ("raw > bandpass(20, 450)", False, "fir"),
    "emg chain, written": (EMG, True, None),
    "z-score of the chain, written": (f"{EMG} > normalise", True, None),
}
MEMORY_TO_REACH, RATIO_TO_REACH = 300, 0.7


def make_stream(path: Path, gigabytes: float, n_channels: int) -> None:
    """Write a stream of noise as large as asked for."""
    from bidsmill.formats.stream import StreamWriter
    from bidsmill.formats.stream_core import StreamChannel, StreamCore

    n_samples = int(gigabytes * 2**30 / 4 / n_channels)
    channels = tuple(StreamChannel(f"EMG{i}", "emg", "V") for i in range(n_channels))
    core = StreamCore("benchmark_emg", SFREQ, n_samples, channels, "benchmark")
    rng = np.random.default_rng(1)
    with StreamWriter(path, core) as writer:
        for start in range(0, n_samples, writer.rows):
            shape = (n_channels, min(writer.rows, n_samples - start))
            writer.write(1e-4 * rng.standard_normal(shape, dtype=np.float32))
        writer.close()


def ours(stream: str, definition: str, written: bool, threads: int) -> None:
    """Filter a stream file."""
    from bidsmill.streams import Nodes
    from bidsmill.streams.passes import Sink, run_pass

    nodes = Nodes(stream, {"node": definition})
    if written:
        nodes.write("node", str(Path(stream).with_name("node_stream.parquet")), threads=threads)
        return
    node = nodes.graph.nodes["node"]
    placed = nodes._plan[node]
    run_pass(nodes._plan, [Sink(placed, lambda block: None)], {}, threads)


def peer(data: np.ndarray, kind: str) -> None:
    """Filter an array of the same shape with SciPy, channel by channel."""
    from scipy.signal import butter, oaconvolve, sosfilt, sosfiltfilt

    from bidsmill.signal.design import design_band

    sos = butter(4, BAND, "bandpass", fs=SFREQ, output="sos")
    kernel = design_band(SFREQ, *BAND).kernel
    for row in data:
        values = row.astype(np.float64)
        if kind == "fir":
            oaconvolve(values, kernel, mode="same").astype(np.float32)
        else:
            done = (sosfilt if kind == "causal" else sosfiltfilt)(sos, values)
            done.astype(np.float32)


def child(arguments: argparse.Namespace) -> None:
    """Measure one thing, and print it as JSON."""
    definition, written, kind = CASES[arguments.case]
    data = None
    if arguments.child == "theirs":
        n_samples = int(arguments.gigabytes * 2**30 / 4 / arguments.channels)
        rng = np.random.default_rng(1)
        data = rng.standard_normal((arguments.channels, n_samples), dtype=np.float32)
    clock, processor = time.perf_counter(), time.process_time()
    if data is None:
        ours(arguments.stream, definition, written, arguments.threads)
    else:
        peer(data, kind)
    result = {
        "seconds": time.perf_counter() - clock,
        "processor_seconds": time.process_time() - processor,
        "peak_mb": peak_mb(),
    }
    print(json.dumps(result))


def peak_mb() -> float:
    """Return the peak memory of this process (not ru_maxrss, which is inherited from a parent)."""
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) / 1024


def measure(side: str, case: str, stream: Path, arguments: argparse.Namespace) -> dict:
    command = [sys.executable, __file__, "--child", side, "--case", case, "--stream", str(stream)]
    for name in ("gigabytes", "channels", "threads"):
        command += [f"--{name}", str(getattr(arguments, name))]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def run(arguments: argparse.Namespace) -> list[dict]:
    """Measure all cases."""
    rows, theirs = [], {}
    with tempfile.TemporaryDirectory() as folder:
        stream = Path(folder) / "benchmark_stream.parquet"
        make_stream(stream, arguments.gigabytes, arguments.channels)
        for case, (_, _, kind) in CASES.items():
            if arguments.only and case not in arguments.only:
                continue
            row = {"case": case, **measure("ours", case, stream, arguments)}
            if kind is not None:
                if kind not in theirs:
                    theirs[kind] = measure("theirs", case, stream, arguments)
                row["scipy_processor_seconds"] = theirs[kind]["processor_seconds"]
                row["ratio"] = row["scipy_processor_seconds"] / row["processor_seconds"]
            rows.append(row)
            print_row(row, arguments.gigabytes)
    return rows


def print_row(row: dict, gigabytes: float) -> None:
    speed = gigabytes * 1024 / row["processor_seconds"]
    ratio = f"{row['ratio']:6.2f}" if "ratio" in row else "     -"
    print(
        f"{row['case']:32s} {speed:7.0f} MB/s  {ratio} of SciPy (to reach {RATIO_TO_REACH})  "
        f"peak {row['peak_mb']:5.0f} MB (at most {MEMORY_TO_REACH})  {row['seconds']:6.1f} s",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--gigabytes", type=float, default=2.0)
    parser.add_argument("--channels", type=int, default=8)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", nargs="*", default=[], choices=list(CASES))
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--case", help=argparse.SUPPRESS)
    parser.add_argument("--stream", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        child(arguments)
        return
    rows = run(arguments)
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
