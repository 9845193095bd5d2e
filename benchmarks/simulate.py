"""Simulated spikes: samples written per second, their size, memory, and neural masses.

Usage: ``python benchmarks/simulate.py [--json PATH] [--rounds 5] [--tvb-python PYTHON]``

The anatomy is that of DeepSIF: 75 sensors x 994 regions, 998 neural masses. Activity of 64 runs is
simulated (timed, beside The Virtual Brain if there is a Python with tvb-library), clips are cut out
of it, and of these samples of 2 sources and 500 points are made and written through
`bidsmill.simulate.dataset.files.write_file`. The old path is written from the formula of DeepSIF's
loader: two clips of MAT files (v7, compressed), the sample computed with whole matrices and noise
channel by channel, one MAT file per sample. Both sides take turns in one process on one core.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

# Before NumPy is imported: one core is measured.
for library in ("OMP", "OPENBLAS", "MKL"):
    os.environ[f"{library}_NUM_THREADS"] = "1"

import numpy as np  # noqa: E402

DATA = Path(os.environ.get("BIDSMILL_CORPUS", Path(__file__).parents[2] / "shared" / "data"))
RUNS, OLD_SAMPLES, TVB_STEPS = 64, 48, 200
FULL_SET, FULL_CLIPS = 190_848, (994, 100)
# Of runs that were made when tvb-library 2.10.0 was at hand, on one core with 998 nodes.
TVB_STORED = 101.0
REACH = {
    "samples per second": 1000,
    "times the old path": 15,
    "MB per sample": 0.25,
    "neural mass steps per second": 10_000,
    "GB of the full set": 50,
}


def timed(function, *arguments):
    """Return the result of a function, its seconds, and those of the processor."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = function(*arguments)
    return result, time.perf_counter() - wall, time.process_time() - cpu


def tvb_worker(connectome: str) -> None:
    """Print the steps per second of TVB with DeepSIF's settings; runs where tvb-library is."""
    from tvb.simulator.lab import (
        connectivity,
        coupling,
        integrators,
        models,
        monitors,
        noise,
        simulator,
    )

    numbers = {"B": 22.0, "a": 0.1, "b": 0.05, "v0": 6.0, "nu_max": 0.0025, "r": 0.56, "J": 135.0}
    numbers |= {"a_1": 1.0, "a_2": 0.8, "a_3": 0.25, "a_4": 0.25, "mu": 0.087, "A": 3.25}
    additive = noise.Additive(nsig=np.array([0.0, 0.0, 0.0, 0.0, 1.9e-4, 0.0]))
    run = simulator.Simulator(
        model=models.JansenRit(**{name: np.array([value]) for name, value in numbers.items()}),
        connectivity=connectivity.Connectivity.from_file(connectome),
        coupling=coupling.SigmoidalJansenRit(a=np.array([1.0])),
        integrator=integrators.HeunStochastic(dt=0.5, noise=additive),
        monitors=[monitors.Raw()],
    )
    run.configure()
    run.run(simulation_length=10.0)
    _, wall, cpu = timed(lambda: run.run(simulation_length=TVB_STEPS * 0.5))
    print(json.dumps({"steps_per_s": TVB_STEPS / wall, "steps_per_cpu_s": TVB_STEPS / cpu}))


def tvb_speed(python: str | None, connectome: Path) -> dict | None:
    """Return what `tvb_worker` says, or nothing if there is no tvb-library."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "VIRTUAL"))}
    done = subprocess.run(
        [python or sys.executable, __file__, "--tvb-worker", str(connectome)],
        env=environment,
        capture_output=True,
        text=True,
    )
    if done.returncode and python:
        raise SystemExit(f"{python} cannot run tvb-library:\n{done.stderr[-2000:]}")
    return None if done.returncode else json.loads(done.stdout.splitlines()[-1])


def make_anatomy(data: Path, work: Path):
    """Build anatomy and lead field in `work`; return both."""
    from bidsmill.formats.anatomy import load_anatomy
    from bidsmill.simulate.anatomy.building import build_anatomy
    from bidsmill.simulate.anatomy.loading import load_leadfield

    paths = work / "anatomy.npz", work / "leadfield.npz"
    build_anatomy({"kind": "files", "folder": str(data)}, *paths)
    return load_anatomy(paths[0]), load_leadfield(paths[1])


def measure_activity(data: Path, work: Path, seconds: float, python: str | None) -> dict:
    """Simulate the activity of 64 regions; return steps per second, beside those of TVB."""
    from bidsmill.simulate.activity.connectome import load_connectome
    from bidsmill.simulate.activity.runs import ActivitySettings, simulate_activity

    path = data / "connectivity_998.zip"
    wired = load_connectome(path, 994)
    runs = [(int(r), k % 3) for k, r in enumerate(np.linspace(0, 993, RUNS))]
    # Compiles what is to be compiled.
    simulate_activity(wired, runs[:2], work / "warm", ActivitySettings(seconds=0.1))
    steps: list[int] = []
    before = tvb_speed(python, path)
    settings = ActivitySettings(seconds=seconds)
    _, wall, cpu = timed(
        lambda: simulate_activity(
            wired, runs, work / "activity", settings, progress=lambda _, total: steps.append(total)
        )
    )
    after = tvb_speed(python, path) if before else None
    names = ("steps_per_s", "steps_per_cpu_s")
    found = [max(before[name], after[name]) for name in names] if before and after else None
    theirs, theirs_cpu = found or (TVB_STORED, TVB_STORED)
    return {
        "runs": RUNS,
        "seconds_of_each": seconds,
        "steps": steps[-1],
        "steps_per_s": steps[-1] / wall,
        "steps_per_cpu_s": steps[-1] / cpu,
        "tvb_steps_per_s": theirs,
        "tvb": "measured in this run" if found else "stored: tvb-library is not at hand",
        "ratio": steps[-1] / wall / theirs,
        "ratio_cpu": steps[-1] / cpu / theirs_cpu,
    }


class OldPath:
    """Samples as DeepSIF's loader and the script around it make them: MAT files in and out."""

    def __init__(self, work: Path, samples, bank, forward: np.ndarray):
        from scipy.io import savemat

        self.samples, self.forward = samples[:OLD_SAMPLES], forward
        self.clips, self.out = work / "nmm_spikes", work / "old"
        self.out.mkdir()
        for region, clip in {(s.centre, s.clip) for x in self.samples for s in x.sources}:
            path = self._clip(region, clip)
            path.parent.mkdir(parents=True, exist_ok=True)
            savemat(path, {"data": bank.clip(region, clip).T}, do_compression=True)

    def _clip(self, region: int, clip: int) -> Path:
        return self.clips / f"a{region}" / f"nmm_{clip}.mat"

    def run(self) -> None:
        """Make and write all samples."""
        from scipy.io import savemat

        random = np.random.RandomState(0)
        for sample in self.samples:
            eeg, nmm, labels = self.made(sample, random)
            content = {"eeg_data": eeg, "source_data": nmm, "labels": labels}
            content |= {"snr": sample.snr, "index": sample.index}
            savemat(self.out / f"sample_{sample.index:05d}.mat", content)

    def made(self, sample, random):
        """Return a sample: steps 1 to 8 of the formula, with alpha 30 for each source."""
        from scipy.io import loadmat

        total = np.zeros((500, self.forward.shape[1]))
        labels = np.full((len(sample.sources), 70), 15213)
        for number, source in enumerate(sample.sources):
            nmm = loadmat(self._clip(source.centre, source.clip))["data"]
            wave = nmm[:, source.centre] / nmm[:, source.centre].max() * 30.0
            labels[number, : len(source.regions)] = source.regions
            nmm[:, source.regions] = wave[:, None] * source.weights[None, :]
            total += nmm
        eeg = np.matmul(self.forward, total.T)
        noise = np.zeros(eeg.shape)
        for channel in range(len(eeg)):
            power = 10 ** (-sample.snr / 10) * np.mean(eeg[channel] ** 2) / 2
            noise[channel] = random.normal(0, np.sqrt(power), eeg.shape[1])
        eeg = (eeg + noise).T
        eeg = eeg - eeg.mean(axis=0)
        eeg = eeg - eeg.mean(axis=1, keepdims=True)
        eeg = eeg / np.abs(eeg).max()
        active = np.unique(labels[labels < 15213])
        shown = np.zeros_like(total)
        shown[:, active] = total[:, active]
        return eeg.astype(np.float32), (shown / shown.max()).astype(np.float32), labels


def write_samples(folder: Path, number: int, samples, leadfield, bank) -> Path:
    """Write one file of samples, all that belongs to it; return its folder."""
    from bidsmill.simulate.dataset.files import Channels, recording_name, write_file
    from bidsmill.simulate.spikes.waveforms import spike_maker

    channels = Channels(leadfield.channels, leadfield.types, leadfield.positions)
    maker = spike_maker(leadfield, bank, 3)
    n_regions = leadfield.matrix.shape[1]
    write_file(folder, recording_name(number), samples, maker, channels, n_regions)
    return folder


def measure_samples(work: Path, samples, leadfield, bank, rounds: int) -> dict:
    """Write samples both ways in turn; return medians of samples per second."""
    old = OldPath(work, samples, bank, leadfield.matrix)
    speeds: dict[str, list[float]] = {"ours": [], "ours cpu": [], "old": [], "old cpu": []}
    for number in range(rounds + 1):
        folder = work / f"round-{number}"
        _, wall, cpu = timed(write_samples, folder, 0, samples, leadfield, bank)
        shutil.rmtree(folder)
        _, old_wall, old_cpu = timed(old.run)
        if number:  # The first one is for imports and caches.
            for name, count, seconds in (
                ("ours", len(samples), wall),
                ("ours cpu", len(samples), cpu),
                ("old", OLD_SAMPLES, old_wall),
                ("old cpu", OLD_SAMPLES, old_cpu),
            ):
                speeds[name].append(count / seconds)
    medians = {name: float(np.median(values)) for name, values in speeds.items()}
    return {
        "samples": len(samples),
        "samples_per_s": medians["ours"],
        "samples_per_cpu_s": medians["ours cpu"],
        "fastest_samples_per_s": max(speeds["ours"]),
        "old_samples_per_s": medians["old"],
        "old_samples_per_cpu_s": medians["old cpu"],
        "ratio": medians["ours"] / medians["old"],
        "ratio_cpu": medians["ours cpu"] / medians["old cpu"],
        "old_mb_per_sample": bytes_of(old.out) / 1e6 / OLD_SAMPLES,
        "rounds": speeds,
    }


def bytes_of(folder: Path) -> int:
    """Return the bytes of all files below a folder, or of a file."""
    every = folder.rglob("*") if folder.is_dir() else [folder]
    return sum(path.stat().st_size for path in every if path.is_file())


def large_bank(work: Path, bank) -> Path:
    """Make a bank of 994 x 100 clips: those of `bank`, and holes (zeros that take no room)."""
    import pandas as pd

    from bidsmill.formats import files, tables

    small, folder = work / "bank", work / "large"
    folder.mkdir()
    keys = [(r, c) for r in range(FULL_CLIPS[0]) for c in range(1, FULL_CLIPS[1] + 1)]
    place = {key: row for row, key in enumerate(keys)}
    stored = tables.read_parquet(small / "clips.parquet")
    every = pd.DataFrame(keys, columns=["region", "clip"]).merge(
        stored, how="left", on=["region", "clip"]
    )
    filling = {"sfreq": bank.sfreq, "peak_in_clip": 250, "height": 0.0, "contaminating": 0}
    tables.write_parquet(folder / "clips.parquet", every.fillna(filling))
    for name in ("clips", "projected", "waveforms"):
        source = np.load(small / f"{name}.npy", mmap_mode="r")
        target = np.lib.format.open_memmap(
            folder / f"{name}.npy", "w+", np.float32, (len(keys), *source.shape[1:])
        )
        for row, key in enumerate(zip(stored["region"], stored["clip"], strict=True)):
            target[place[key]] = source[row]
        target.flush()
    shutil.copy(small / "regions.tsv", folder)
    facts = files.read_json(small / "bank.json") | {"n_clips": len(keys)}
    files.write_json(folder / "bank.json", facts)
    return folder


def process_facts() -> dict:
    """Return the peak memory of this process in MB, and the bytes that it has read."""
    status = Path("/proc/self/status").read_text()
    peak = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    read = Path("/proc/self/io").read_text().split("rchar: ")[1].split()[0]
    return {"peak_mb": int(peak.split()[1]) / 1024, "read": int(read)}


def memory_worker(work: Path, bank: Path, n_files: int) -> None:
    """Open a bank, write files of samples, print peak memory and what opening read."""
    from bidsmill.formats import files, tables
    from bidsmill.simulate.anatomy.loading import load_leadfield
    from bidsmill.simulate.clips.bank import ClipBank
    from bidsmill.simulate.dataset.files import SAMPLES_PER_FILE, recording_name
    from bidsmill.simulate.sources.table import read_sources

    leadfield = load_leadfield(work / "leadfield.npz")
    tables.read_parquet(work / "bank" / "clips.parquet")  # What this imports is no part of it.
    before = process_facts()
    opened, seconds, _ = timed(ClipBank, bank)
    read = process_facts()["read"] - before["read"]
    folder = work / f"memory-{bank.name}-{n_files}"
    for number in range(n_files):
        start = number * SAMPLES_PER_FILE
        samples, _ = read_sources(work / "sources.parquet", start, start + SAMPLES_PER_FILE)
        write_samples(folder, number, samples, leadfield, opened)
    first = folder / "matrix" / f"{recording_name(0)}.parquet"
    found = {"clips": len(opened), "files": n_files, "peak_mb": process_facts()["peak_mb"]}
    found |= {"opened_s": seconds, "opened_read_mb": read / 1e6, "sha256": files.sha256_file(first)}
    print(json.dumps(found))


def measure_memory(work: Path, bank) -> list[dict]:
    """Return the peak memory of processes that write 1 and 8 files, of two banks."""
    rows = []
    for folder in (work / "bank", large_bank(work, bank)):
        for n_files in (1, 8):
            arguments = ["--memory-worker", str(work), str(folder), str(n_files)]
            done = subprocess.run(
                [sys.executable, __file__, *arguments], check=True, capture_output=True, text=True
            )
            rows.append(json.loads(done.stdout.splitlines()[-1]))
    if len({row["sha256"] for row in rows}) != 1:
        raise SystemExit("the number of files, or the bank, has changed the bytes of a file")
    return rows


def measure_sizes(work: Path, leadfield, bank, activity: dict) -> dict:
    """Return the bytes of 8 files, and what they say of the whole set."""
    from bidsmill.simulate.dataset.files import SAMPLES_PER_FILE, recording_name
    from bidsmill.simulate.dataset.tables import write_tables

    folder, n_samples = work / "memory-bank-8", 8 * SAMPLES_PER_FILE
    parts = {name: bytes_of(folder / name) for name in ("matrix", "sources", "labels")}
    written = sum(parts.values())
    write_tables(
        folder,
        [recording_name(number) for number in range(8)],
        dataset="benchmark",
        n_regions=leadfield.matrix.shape[1],
        split={"group": "region", "test": 0.2, "validation": 0.0, "seed": 3},
        description={"license": "CC0", "name": "Benchmark"},
    )
    tables = bytes_of(folder) - written + bytes_of(work / "sources.parquet")
    n_sensors, n_regions = leadfield.matrix.shape
    clip = 4 * bank.n_times * (n_regions + n_sensors + 1)
    # Of the default settings: 3 conditions of 20 s for each region.
    expected = len(bank) / (RUNS * activity["seconds_of_each"]) * n_regions * 3 * 20
    return {
        "samples": n_samples,
        "mb_per_sample": written / 1e6 / n_samples,
        **{f"{name}_mb_per_sample": size / 1e6 / n_samples for name, size in parts.items()},
        "tables_mb_per_sample": tables / 1e6 / n_samples,
        "full_set_gb": (written + tables) / n_samples * FULL_SET / 1e9,
        "mb_per_clip": clip / 1e6,
        "clips_of_default_settings": round(expected),
        "bank_gb_of_default_settings": clip * expected / 1e9,
        "bank_gb_of_100_clips_per_region": clip * FULL_CLIPS[0] * FULL_CLIPS[1] / 1e9,
    }


def show(results: dict) -> None:
    """Print what was found beside what is to be reached."""
    speed, size, activity = results["samples"], results["sizes"], results["activity"]
    rows = [
        ("samples per second", speed["samples_per_s"]),
        ("  by the processor's time", speed["samples_per_cpu_s"]),
        ("the old path, samples per second", speed["old_samples_per_s"]),
        ("  by the processor's time", speed["old_samples_per_cpu_s"]),
        ("times the old path", speed["ratio"]),
        ("  by the processor's time", speed["ratio_cpu"]),
        ("MB per sample", size["mb_per_sample"]),
        ("the old path, MB per sample", speed["old_mb_per_sample"]),
        ("GB of the full set", size["full_set_gb"]),
        ("clips of the default settings", size["clips_of_default_settings"]),
        ("  GB of their bank", size["bank_gb_of_default_settings"]),
        ("GB of a bank of 100 clips per region", size["bank_gb_of_100_clips_per_region"]),
        ("neural mass steps per second", activity["steps_per_s"]),
        ("  by the processor's time", activity["steps_per_cpu_s"]),
        (f"TVB ({activity['tvb']})", activity["tvb_steps_per_s"]),
        ("times TVB", activity["ratio"]),
        ("  by the processor's time", activity["ratio_cpu"]),
    ]
    print(f"{'':46}{'found':>12}{'to reach':>12}")
    for name, value in rows:
        reach = f"{REACH[name]:,}" if name in REACH else ""
        print(f"{name:46}{value:>12,.{2 if value < 100 else 0}f}{reach:>12}")
    print(f"\n{'clips in the bank':>18}{'files':>7}{'peak MB':>9}{'opened in s':>13}{'read MB':>9}")
    for row in results["memory"]:
        print(
            f"{row['clips']:>18,}{row['files']:>7}{row['peak_mb']:>9.0f}{row['opened_s']:>13.2f}"
            f"{row['opened_read_mb']:>9.2f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="write the numbers here as well")
    parser.add_argument("--data", type=Path, default=DATA, help="folder with deepsif-anatomy")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=10.0, help="activity of each run")
    parser.add_argument("--tvb-python", help="a Python with tvb-library (make test-long has one)")
    parser.add_argument("--tvb-worker", help=argparse.SUPPRESS)
    parser.add_argument("--memory-worker", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.tvb_worker:
        tvb_worker(options.tvb_worker)
        return
    if options.memory_worker:
        work, bank, n_files = options.memory_worker
        memory_worker(Path(work), Path(bank), int(n_files))
        return
    data = options.data / "deepsif-anatomy"
    if not data.is_dir():
        print(f"the anatomy of DeepSIF is not at {data} (--data, or BIDSMILL_CORPUS)")
        return
    with tempfile.TemporaryDirectory() as folder:
        results = measure(data, Path(folder), options)
    show(results)
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n")


def measure(data: Path, work: Path, options: argparse.Namespace) -> dict:
    """Return all numbers."""
    from bidsmill.simulate.clips.extraction import extract_clips
    from bidsmill.simulate.dataset.files import SAMPLES_PER_FILE
    from bidsmill.simulate.sources.drawing import SourceDrawing, SourceSettings
    from bidsmill.simulate.sources.table import read_sources, write_sources

    anatomy, leadfield = make_anatomy(data, work)
    activity = measure_activity(data, work, options.seconds, options.tvb_python)
    bank = extract_clips(work / "bank", sorted((work / "activity").glob("*.npy")), leadfield.matrix)
    shutil.rmtree(work / "activity")
    drawing = SourceDrawing(SourceSettings(seed=3), anatomy, bank.table, bank.n_times)
    write_sources(work / "sources.parquet", drawing.samples(0, 8 * SAMPLES_PER_FILE), 3)
    samples, _ = read_sources(work / "sources.parquet", 0, SAMPLES_PER_FILE)
    speed = measure_samples(work, samples, leadfield, bank, options.rounds)
    memory = measure_memory(work, bank)
    sizes = measure_sizes(work, leadfield, bank, activity)
    return {"activity": activity, "samples": speed, "sizes": sizes, "memory": memory}


if __name__ == "__main__":
    main()
