"""What the pipeline costs beside the bare library calls, where recordings are as short as can be.

BrainVision recordings of one second (8 channels of noise, 256 Hz, int16) with two events each, in
one dataset: every one a matrix, rows of the tables, a place in the split, in the page and in the
store. `library` calls the functions of the rules one after the other in one process (imports
included); `pipeline` is `snakemake` with its jobs, on one core and on two. All write the same
rows.

Every measurement starts from a copy of the dataset, in a process of its own. Ratios are by the time
that the processor worked for a process and for all that it started; the time on the clock
stands beside it.

Usage: python benchmarks/overhead.py [--json PATH] [--recordings 2000] [--cores 1 2]
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
CHANNELS, SFREQ = 8, 256
GOAL = 2.0
RUNS = 10
LIBRARY = """
import json, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from stages import run_stages
if __name__ == "__main__":
    run_stages(Path.cwd(), json.loads(Path("config.yaml").read_text()))
"""
HEADER = """Brain Vision Data Exchange Header File Version 1.0
[Common Infos]
Codepage=UTF-8
DataFile={stem}.eeg
MarkerFile={stem}.vmrk
DataFormat=BINARY
DataOrientation=MULTIPLEXED
NumberOfChannels={channels}
SamplingInterval={interval}
[Binary Infos]
BinaryFormat=INT_16
[Channel Infos]
{listed}
"""
MARKERS = """Brain Vision Data Exchange Marker File, Version 1.0
[Common Infos]
Codepage=UTF-8
DataFile={stem}.eeg
[Marker Infos]
Mk1=New Segment,,1,1,0,0
"""
EVENTS = "onset\tduration\ttrial_type\n0.1\t0\tleft\n0.6\t0\tright\n"
CONFIG = {
    "store": "results/store",
    "datasets": {
        "short": {
            "source": "local",
            "path": "short",
            "windows": {"kind": "events", "tmin": 0.0, "tmax": 0.25, "events": "all"},
            "labels": {"side": {"column": "trial_type"}},
        }
    },
}


def write_dataset(root: Path, recordings: int) -> None:
    """Write a BIDS dataset of recordings of one second, ten of each subject."""
    random = np.random.default_rng(0)
    names = ["Fp1", "Fp2", "C3", "C4", "P3", "P4", "O1", "O2"][:CHANNELS]
    listed = "\n".join(f"Ch{i}={name},,0.1,µV" for i, name in enumerate(names, 1))
    root.mkdir()
    description = {"Name": "short", "BIDSVersion": "1.10.0", "License": "CC0"}
    (root / "dataset_description.json").write_text(json.dumps(description))
    subjects = [f"sub-{number:04d}" for number in range(-(-recordings // RUNS))]
    rows = [f"{subject}\t{20 + n % 40}" for n, subject in enumerate(subjects)]
    (root / "participants.tsv").write_text("\n".join(["participant_id\tage", *rows, ""]))
    sidecar = {"SamplingFrequency": SFREQ, "EEGReference": "Cz", "PowerLineFrequency": 50}
    (root / "task-rest_eeg.json").write_text(json.dumps({"TaskName": "rest", **sidecar}))
    for number in range(recordings):
        subject = subjects[number // RUNS]
        folder = root / subject / "eeg"
        folder.mkdir(parents=True, exist_ok=True)
        base = f"{subject}_task-rest_run-{number % RUNS + 1:02d}"
        stem = f"{base}_eeg"
        facts = {"stem": stem, "channels": CHANNELS, "interval": 1e6 / SFREQ, "listed": listed}
        (folder / f"{stem}.vhdr").write_text(HEADER.format(**facts), encoding="utf-8")
        (folder / f"{stem}.vmrk").write_text(MARKERS.format(stem=stem), encoding="utf-8")
        signal = random.normal(0, 200, (SFREQ, CHANNELS)).astype("<i2")
        (folder / f"{stem}.eeg").write_bytes(signal.tobytes())
        (folder / f"{base}_events.tsv").write_text(EVENTS)


def measured(command: list[str], recordings: int) -> dict[str, float]:
    """Run a command on a dataset of its own; return wall and CPU seconds, rows published."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_dataset(folder / "short", recordings)
        (folder / "config.yaml").write_text(json.dumps(CONFIG))
        before, start = _worked(), time.perf_counter()
        with open(folder / "said", "w+") as said:
            code = subprocess.run(command, cwd=folder, stdout=said, stderr=said).returncode
            wall = time.perf_counter() - start
            said.seek(0)
            text = said.read()
        if code:
            sys.exit(f"{' '.join(command)} failed:\n{text[-3000:]}")
        published = json.loads((folder / "results" / "short" / "published.json").read_text())
    return {"wall": wall, "cpu": _worked() - before, "rows": published["rows"]}


def _worked() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def commands(cores: list[int]) -> dict[str, list[str]]:
    """Return what is compared."""
    pipeline = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")]
    pipeline += ["--configfile", "config.yaml", "--cores"]
    library = [sys.executable, "-c", LIBRARY, str(ROOT / "tests" / "e2e")]
    return {"library": library, **{f"pipeline, {n} core(s)": [*pipeline, str(n)] for n in cores}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--recordings", type=int, default=2000)
    parser.add_argument("--cores", type=int, nargs="*", default=[1, 2])
    options = parser.parse_args()
    os.environ |= {"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}
    rows = {
        name: measured(command, options.recordings)
        for name, command in commands(options.cores).items()
    }
    bare = rows["library"]
    counts = {row["rows"] for row in rows.values()}
    if counts != {2 * options.recordings}:
        sys.exit(f"rows published: {counts}")
    print(f"{options.recordings} recordings of 1 s {'wall s':>10} {'CPU s':>8} {'ratio':>6}")
    for name, row in rows.items():
        row["ratio"] = row["cpu"] / bare["cpu"]
        print(f"{name:25} {row['wall']:10.1f} {row['cpu']:8.1f} {row['ratio']:6.2f}")
    print(f"goal: {GOAL}")
    if options.json:
        options.json.write_text(json.dumps({"recordings": options.recordings, **rows}) + "\n")


if __name__ == "__main__":
    main()
