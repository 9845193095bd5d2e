"""Conversion beside braindecode and MNE-Python: read, cut into windows, save.

One recording of 64 channels at 500 Hz, smooth noise at the resolution of an amplifier, in each
format; windows of 2 s. Every measurement is a process of its own on one core: imports, and the
conversion of a short recording that loads what is loaded late, come before the clock starts. The
rounds go through all methods in turn, so that other work on the machine meets all of them alike;
the table shows medians of the rounds. Speeds and ratios are by the time that the processor worked
for the process, which on an idle machine is the time on the clock: nothing waits for a disk.

    python benchmarks/convert.py [--json PATH] [--minutes 20 240] [--rounds 5]

- `bidsmill`: the conversion of a recording as the workflow does it: sidecars, windows, quality,
  a compressed Parquet file and its sha256.
- `braindecode`: `create_fixed_length_windows(preload=True, use_mne_epochs=True)` and `save`:
  FIF, not compressed. Without MNE's epochs, or lazily, its `save` copies the raw file and cuts
  no window.
- `MNE epochs`: `make_fixed_length_epochs(preload=False)` and `save(fmt="single")`, which reads
  epoch by epoch; `MNE epochs, preload`: all in memory first.
- `resample_poly`: of SciPy on the array in memory, for the resampling row.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
STEM = "sub-01_task-rest_eeg"
CHANNELS, SFREQ, WINDOW = 64, 500, 2.0
NAMES = [f"E{i}" for i in range(CHANNELS)]
RESOLUTION = 0.1  # µV per step of the converter
FORMATS = {"BrainVision": ".vhdr", "EDF": ".edf", "BDF": ".bdf", ".fdt": ".set", "FIF": ".fif"}
WARM_UP = 0.2  # minutes

COMMON = """
import json, os, re, sys, time, warnings
from pathlib import Path
os.sched_setaffinity(0, {int(sys.argv[5])})
warnings.simplefilter("ignore")
import mne, numpy as np
mne.set_log_level("ERROR")
short, long, output, own = Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4]
def measured(run):
    run(short)
    for path in output.parent.iterdir():
        path.unlink() if path.is_file() else None
    start, worked = time.perf_counter(), time.process_time()
    run(long)
    seconds, worked = time.perf_counter() - start, time.process_time() - worked
    # ru_maxrss may be that of the parent before exec; VmHWM is that of this program.
    peak = int(re.search("VmHWM:\\\\s+(\\\\d+)", Path("/proc/self/status").read_text())[1])
    print(json.dumps([seconds, worked, peak / 1024]))
"""
BIDSMILL = """
from bids_cases import dataset_settings, members, write_events
from bidsmill.convert.recording import convert_recording
stem = long.stem
settings = dataset_settings(windows={"kind": "fixed", "length": 2.0}, **json.loads(own))
prepared = {}
for path in (short, long):
    root = path.parents[2]
    prepared[path] = members(root)[stem], root, write_events(root / "events.tsv", [])
def run(path):
    member, root, events = prepared[path]
    convert_recording(member, root, events, output, settings)
measured(run)
"""
# braindecode imports torchaudio for transforms that are not used here, and torchaudio may not
# load beside a CPU build of torch: empty modules stand for it, in this process only.
BRAINDECODE = """
import importlib.machinery, types
class Absent(types.ModuleType):
    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {})
for name in ("torchaudio", "torchaudio.functional", "torchaudio.transforms"):
    sys.modules[name] = Absent(name)
    sys.modules[name].__spec__ = importlib.machinery.ModuleSpec(name, None)
    sys.modules[name].__path__ = []
    if "." in name:
        setattr(sys.modules["torchaudio"], name.split(".")[1], sys.modules[name])
import torch
torch.set_num_threads(1)
from braindecode.datasets import BaseConcatDataset, RawDataset
from braindecode.preprocessing import create_fixed_length_windows
def run(path):
    raw = mne.io.read_raw(path, preload=False)
    windows = create_fixed_length_windows(
        BaseConcatDataset([RawDataset(raw, {"subject": 1})]),
        start_offset_samples=0, stop_offset_samples=None,
        window_size_samples=1000, window_stride_samples=1000,
        drop_last_window=True, preload=True, use_mne_epochs=True,
    )
    target = output.parent / "windows"
    target.mkdir(exist_ok=True)
    windows.save(str(target), overwrite=True)
measured(run)
"""
EPOCHS = """
def run(path):
    raw = mne.io.read_raw(path, preload=False)
    epochs = mne.make_fixed_length_epochs(raw, 2.0, preload=json.loads(own), proj=False)
    epochs.save(output.with_name("x-epo.fif"), overwrite=True, fmt="single")
measured(run)
"""
POLY = """
from scipy.signal import resample_poly
arrays = {p: mne.io.read_raw(p, preload=True).get_data() for p in (short, long)}
measured(lambda path: resample_poly(arrays[path], 1, 2, axis=1))
"""
FILTERED = {"filter": {"low": 0.5, "high": 40}}
RESAMPLED = {"resample": 250}
# Name: program and its own argument.
METHODS = {
    "bidsmill": (BIDSMILL, {}),
    "braindecode": (BRAINDECODE, {}),
    "MNE epochs": (EPOCHS, False),
    "MNE epochs, preload": (EPOCHS, True),
}
VARIANTS = {
    "bidsmill, 0.5 to 40 Hz": (BIDSMILL, FILTERED),
    "bidsmill, to 250 Hz": (BIDSMILL, RESAMPLED),
    "bidsmill, both": (BIDSMILL, FILTERED | RESAMPLED),
    "resample_poly, in memory": (POLY, {}),
}


def counts(n_times: int, seed: int) -> np.ndarray:
    """Return integers of a converter, (n_times, channels): noise with the slope of EEG."""
    from scipy.signal import lfilter

    chance = np.random.default_rng(seed)
    noise = chance.standard_normal((n_times, CHANNELS), np.float32)
    smooth = lfilter([1.0], [1.0, -0.98], noise, axis=0)
    mixed = smooth + 0.7 * smooth.mean(axis=1, keepdims=True) * CHANNELS**0.5
    return np.rint(mixed * 40 + np.linspace(-500, 500, CHANNELS)).astype("<i2")


def seconds_of_counts(minutes: float):
    """Yield a recording second by second, from ten different ones of a minute."""
    pieces = [counts(60 * SFREQ, seed) for seed in range(10)]
    for second in range(round(minutes * 60)):
        minute, begin = divmod(second, 60)
        yield pieces[minute % 10][begin * SFREQ : (begin + 1) * SFREQ]


def write_recording(root: Path, name: str, minutes: float) -> Path:
    """Write a recording: a header by a library of the format, and samples in its place."""
    sys.path.insert(0, str(ROOT / "tests" / "unit"))
    from bids_cases import write_brainvision, write_edf, write_eeglab

    folder = root / "sub-01" / "eeg"
    folder.mkdir(parents=True)
    path = folder / f"{STEM}{FORMATS[name]}"
    pieces = seconds_of_counts(minutes)
    if name == "BrainVision":
        keywords = {"fmt": "binary_int16", "resolution": RESOLUTION}
        write_brainvision(folder, STEM, np.zeros((CHANNELS, 10)), SFREQ, NAMES, **keywords)
        with open(path.with_suffix(".eeg"), "wb") as file:
            file.writelines(piece.tobytes() for piece in pieces)
    elif name == ".fdt":
        n_times = round(minutes * 60) * SFREQ
        write_eeglab(path, np.zeros((CHANNELS, 1)), SFREQ, NAMES, pnts=float(n_times))
        with open(path.with_suffix(".fdt"), "wb") as file:
            file.writelines((p * np.float32(RESOLUTION)).astype("<f4").tobytes() for p in pieces)
    elif name == "FIF":
        write_fif(path, pieces)
    else:
        write_records(path, pieces, write_edf)
    return path


def write_fif(path: Path, pieces) -> None:
    """Write FIF of float32 by MNE, which holds the whole recording for that."""
    import mne

    volts = np.concatenate(list(pieces)).T * (RESOLUTION * 1e-6)
    raw = mne.io.RawArray(volts, mne.create_info(NAMES, SFREQ, "eeg"), verbose="ERROR")
    raw.save(path, fmt="single", verbose="ERROR")


def write_records(path: Path, pieces, write_edf) -> None:
    """Write EDF or BDF: the header of a second, then records of a second."""
    bits = 15 if path.suffix == ".edf" else 23
    limits = (-(2**bits), 2**bits - 1)
    extent = tuple(limit * RESOLUTION for limit in limits)
    silence = np.zeros(SFREQ)
    import edfio

    kind = {".edf": edfio.EdfSignal, ".bdf": edfio.BdfSignal}[path.suffix]
    signals = [
        kind(
            silence,
            SFREQ,
            label=name,
            physical_dimension="uV",
            physical_range=extent,
            digital_range=limits,
        )
        for name in NAMES
    ]
    {".edf": edfio.Edf, ".bdf": edfio.Bdf}[path.suffix](signals).write(path)
    header = bytearray(path.read_bytes()[: 256 * (CHANNELS + 1)])
    written = 0
    with open(path, "wb") as file:
        file.write(header)
        for piece in pieces:
            values = np.ascontiguousarray(piece.T)
            if bits == 23:
                wide = values.astype("<i4").reshape(-1, 1).view(np.uint8)
                values = wide[:, :3]
            file.write(values.tobytes())
            written += 1
        file.seek(236)
        file.write(f"{written:<8d}".encode())


def run_once(program: str, argument, paths: list[Path], folder: Path, core: int) -> list[float]:
    """Return seconds, those of the processor, and peak memory (MB) of a method run once."""
    folder.mkdir(exist_ok=True)
    search = [str(ROOT / "src"), str(ROOT / "tests" / "unit"), os.environ.get("PYTHONPATH", "")]
    one = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL")}
    command = [sys.executable, "-c", COMMON + program, *map(str, paths)]
    command += [str(folder / "out.parquet"), json.dumps(argument), str(core)]
    environment = {**os.environ, **one, "PYTHONPATH": os.pathsep.join(search)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"a measurement failed: {done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def measure(name: str, minutes: float, methods: dict, rounds: int, core: int) -> list[dict]:
    """Measure methods on one format and length."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [
            write_recording(Path(folder) / part, name, length)
            for part, length in (("short", WARM_UP), ("long", minutes))
        ]
        found: dict[str, list] = {method: [] for method in methods}
        for _ in range(rounds):
            for method, (program, argument) in methods.items():
                output = Path(folder) / "output"
                found[method].append(run_once(program, argument, paths, output, core))
    total = round(minutes * 60) * SFREQ * CHANNELS * 4 / 1e6
    rows = []
    for method, values in found.items():
        seconds, worked = (statistics.median(value[i] for value in values) for i in (0, 1))
        produced = total / 2 if "250 Hz" in method or "both" in method else total
        rows.append(
            {
                "format": name,
                "minutes": minutes,
                "method": method,
                "seconds": round(seconds, 3),
                "processor_seconds": round(worked, 3),
                "megabytes_per_second": round(produced / worked, 1),
                "peak_megabytes": round(max(value[2] for value in values)),
            }
        )
    own = {row["method"]: row["processor_seconds"] for row in rows}
    for row in rows:
        base = own.get("bidsmill", row["processor_seconds"])
        row["bidsmill_is_faster_by"] = round(row["processor_seconds"] / base, 2)
    return rows


def show(rows: list[dict]) -> None:
    for row in rows:
        print(
            f"{row['format']:12}{row['minutes']:5g} min  {row['method']:26}"
            f"{row['seconds']:8.2f} s{row['processor_seconds']:8.2f} s"
            f"{row['megabytes_per_second']:8.0f} MB/s"
            f"{row['peak_megabytes']:7d} MB{row['bidsmill_is_faster_by']:7.2f}",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="write the numbers here")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--minutes", type=float, nargs="+", default=[20.0])
    parser.add_argument("--formats", nargs="+", choices=FORMATS, default=list(FORMATS))
    parser.add_argument("--core", type=int, default=max(os.sched_getaffinity(0)))
    options = parser.parse_args()
    methods = dict(METHODS)
    if importlib.util.find_spec("braindecode") is None:
        del methods["braindecode"]
        print("braindecode is not installed, and is not measured (pip install braindecode)")
    print(
        f"{'format':12}{'length':>9}  {'method':26}{'time':>10}{'float32':>13}{'peak':>10}  ratio"
    )
    rows = []
    for name in options.formats:
        rows += measure(name, options.minutes[0], methods, options.rounds, options.core)
        show(rows[-len(methods) :])
    first = options.formats[0]
    plain = {"bidsmill": METHODS["bidsmill"]}
    rows += measure(first, options.minutes[0], VARIANTS, options.rounds, options.core)
    show(rows[-len(VARIANTS) :])
    for minutes in options.minutes[1:]:
        rows += measure(first, minutes, plain, 1, options.core)
        show(rows[-1:])
    if options.json:
        content = {"channels": CHANNELS, "sfreq": SFREQ, "window": WINDOW, "rows": rows}
        options.json.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
