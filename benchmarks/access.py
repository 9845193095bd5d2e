"""Reading a store, beside a NumPy memory map, braindecode and PyArrow.

4,000 rows of 32 channels x 256 samples, spread over 50 recordings. Every round measures all
readers on the same rows, one after the other, and the tables show the medians of the rounds: the
machine's noise meets all of them alike.

    python benchmarks/access.py [--json PATH] [--rounds 15] [--batches 60] [--datasets 1000]

- Batches of 64 rows drawn at random, with a warm cache, beside the same rows of one map of all.
- Whole epochs in random order through a DataLoader with batches of 64, beside braindecode's
  windows of the same recordings (FIF), read lazily and preloaded.
- The first epoch from Parquet with an empty cache (opened, read, verified, decoded, written to
  the cache, given out in batches), beside PyArrow that decodes the same files, and does no more.
- Opening a store of 1,000 datasets with 10,000 rows each: `import bidsmill`, `open`, `catalog`
  and one `select`, in a process of its own; the peak of its memory is that of the process.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.machinery
import importlib.util
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import types
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

import bidsmill
from bidsmill.formats import files, layout, manifest, tables
from bidsmill.formats.matrix import MatrixWriter

RECORDINGS, ROWS, CHANNELS, TIMES, BATCH = 50, 80, 32, 256, 64
NAMES = [f"E{i}" for i in range(CHANNELS)]
TYPES, UNITS = ["eeg"] * CHANNELS, ["V"] * CHANNELS
SFREQ = 256.0
MAP, GATHER = "numpy memory map of one array", "bidsmill gather"
LOADER, LAZY, PRELOADED = "bidsmill loader", "braindecode lazy", "braindecode preloaded"
ARROW, FIRST = "pyarrow decodes", "bidsmill first epoch"
TO_REACH = {
    (GATHER, MAP): 0.6,
    (LOADER, LAZY): 10.0,
    (LOADER, PRELOADED): 3.0,
    (FIRST, ARROW): 0.4,
}


def stem(index: int) -> str:
    return f"sub-{index:03}_task-rest_eeg"


def build_store(root: Path, whole: np.ndarray) -> None:
    """Write the rows of `whole` as a store of `RECORDINGS` matrices."""
    root.mkdir(parents=True)
    layout_id = layout.layout_id(NAMES, TYPES, UNITS, SFREQ, TIMES)
    entries, frames = [], []
    for index in range(RECORDINGS):
        block = whole[index * ROWS : (index + 1) * ROWS]
        entries.append(write_matrix(root, stem(index), layout_id, block))
        frames.append(samples_of(index, ROWS, layout_id))
    samples = root / "samples.parquet"
    tables.write_parquet(samples, pd.concat(frames, ignore_index=True))
    entries.append(store_file(root, "samples", samples))
    publish(root, "random", entries, len(whole), layout_id)
    write_catalog(root, ["random"])


def samples_of(index: int, rows: int, layout_id: str) -> pd.DataFrame:
    numbers = np.arange(rows)
    return pd.DataFrame(
        {
            "recording": stem(index),
            "row": numbers,
            "subject": f"{index:03}",
            "class": np.where(numbers % 2, "odd", "even"),
            "excluded": "",
            "split": "train",
            "layout": layout_id,
        }
    )


def write_matrix(root: Path, name: str, layout_id: str, block: np.ndarray) -> dict:
    path = root / f"{name}.parquet"
    with MatrixWriter(path, NAMES, TIMES) as writer:
        writer.write_group(np.ascontiguousarray(block.transpose(1, 0, 2)))
        channels = [{"name": n, "source_name": n, "type": "eeg", "unit": "V"} for n in NAMES]
        shape = writer.close({"channels": channels, "sfreq": SFREQ})["shape"]
    entry = store_file(root, "matrix", path)
    return {**entry, "recording": name, "layout": layout_id, "shape": shape}


def store_file(root: Path, kind: str, path: Path, dataset: str = "random") -> dict:
    """Move a file to its place in a store, and return its entry of the manifest."""
    content = path.read_bytes()
    sha256 = hashlib.sha256(content).hexdigest()
    stored = manifest.stored_path(dataset, kind, path.name, sha256)
    files.write_bytes(root / stored, content)
    path.unlink()
    return {
        "kind": kind,
        "name": path.name,
        "path": stored,
        "size": len(content),
        "sha256": sha256,
    }


def publish(root: Path, dataset: str, entries: list[dict], rows: int, layout_id: str) -> None:
    """Write manifest and pointer of a dataset."""
    described = {"channels": NAMES, "types": TYPES, "units": UNITS}
    described |= {"sfreq": SFREQ, "tmin": 0.0, "n_times": TIMES, "rows": rows}
    summary = {
        "name": "Random rows",
        "labels": {"class": {"kind": "class", "classes": ["even", "odd"]}},
    }
    counts = {"recordings": RECORDINGS, "converted": RECORDINGS, "quarantined": 0}
    counts |= {"subjects": RECORDINGS, "rows": rows, "layouts": {layout_id: described}}
    content = manifest.build_manifest(dataset, "1", entries, summary | counts)
    write_version(root, dataset, content)


def write_version(root: Path, dataset: str, content: dict) -> str:
    """Write manifest and pointer of the only version of a dataset, and return its name."""
    encoded = files.json_bytes(content)
    version = manifest.version_of("1", encoded)
    files.write_bytes(root / manifest.manifest_path(dataset, version), encoded)
    files.write_json(
        root / manifest.pointer_path(dataset), manifest.new_pointer(None, version, "1", "-")
    )
    return version


def write_catalog(root: Path, datasets: list[str]) -> None:
    rows = []
    for dataset in datasets:
        version = json.loads((root / manifest.pointer_path(dataset)).read_bytes())["version"]
        path = root / manifest.manifest_path(dataset, version)
        rows.append(manifest.catalog_row(json.loads(path.read_bytes()), version))
    tables.write_parquet(root / manifest.CATALOG, pd.DataFrame(rows))


def build_large_store(root: Path, datasets: int, rows: int) -> None:
    """Write a store of many datasets whose matrices are named but not there.

    Each has a table of samples of its own, 50 recordings, and manifest and pointer.
    """
    layout_id = layout.layout_id(NAMES, TYPES, UNITS, SFREQ, TIMES)
    per_recording = rows // RECORDINGS
    frames = [samples_of(index, per_recording, layout_id) for index in range(RECORDINGS)]
    frame = pd.concat(frames, ignore_index=True)
    chance = np.random.default_rng(0)
    names = [f"ds{index:06}" for index in range(datasets)]
    root.mkdir(parents=True)
    for name in names:
        samples = root / "samples.parquet"
        frame["onset"] = np.sort(chance.random(len(frame)) * 3600)
        frame["rt"] = chance.normal(0.5, 0.1, len(frame))
        tables.write_parquet(samples, frame)
        entries = [store_file(root, "samples", samples, name)]
        for index in range(RECORDINGS):
            sha256 = hashlib.sha256(f"{name} {index}".encode()).hexdigest()
            file = f"{stem(index)}.parquet"
            entry = {"kind": "matrix", "name": file, "size": 10**7, "sha256": sha256}
            entry |= {"path": manifest.stored_path(name, "matrix", file, sha256)}
            shape = [per_recording, CHANNELS, TIMES]
            entries.append(entry | {"recording": stem(index), "layout": layout_id, "shape": shape})
        publish(root, name, entries, len(frame), layout_id)
    write_catalog(root, names)


OPEN = """
import time
start = time.perf_counter()
import re, sys
from pathlib import Path
import bidsmill
store = bidsmill.open(sys.argv[1], cache=sys.argv[2])
n = len(store.catalog)
opened = time.perf_counter() - start
chosen = store[sys.argv[3]].select(split="train", where="rt > 0.5")
assert n == int(sys.argv[4]) and 0 < len(chosen) < int(sys.argv[5])
seconds = time.perf_counter() - start
# ru_maxrss may be that of the parent before exec; VmHWM is that of this program.
peak = int(re.search("VmHWM:\\\\s+(\\\\d+)", Path("/proc/self/status").read_text())[1])
print(opened, seconds, time.process_time(), peak / 1024)
"""


def measure_opening(folder: Path, datasets: int, rows: int, rounds: int) -> dict:
    """Return seconds and peak megabytes of opening a large store, medians of the rounds."""
    build_large_store(folder / "large", datasets, rows)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", OPEN, str(folder / "large"), str(folder / "large-cache")]
    command += [f"ds{datasets // 2:06}", str(datasets), str(rows)]
    found = []
    for _ in range(rounds):
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"opening the large store failed: {done.stderr[-2000:]}")
        found.append([float(value) for value in done.stdout.split()])
    opened, seconds, worked, peak = (
        statistics.median(values) for values in zip(*found, strict=True)
    )
    return {
        "datasets": datasets,
        "rows": datasets * rows,
        "seconds_to_catalog": opened,
        "seconds_to_selection": seconds,
        "processor_seconds": worked,
        "peak_megabytes": peak,
    }


def seconds(read: Callable, batches: list[np.ndarray]) -> float:
    """Return the time that a reader takes for all batches."""
    start = time.perf_counter()
    for batch in batches:
        read(batch)
    return time.perf_counter() - start


def loader_seconds(loader) -> float:
    start = time.perf_counter()
    for _ in loader:
        pass
    return time.perf_counter() - start


class _Absent(types.ModuleType):
    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {})


def without_torchaudio() -> None:
    """Let empty modules stand for torchaudio, which may not load beside a CPU build of torch.

    braindecode imports it for transforms that are not used here.
    """
    for name in ("torchaudio", "torchaudio.functional", "torchaudio.transforms"):
        module = sys.modules[name] = _Absent(name)
        module.__spec__ = importlib.machinery.ModuleSpec(name, None)
        module.__path__ = []
        if "." in name:
            setattr(sys.modules["torchaudio"], name.split(".")[1], module)


def braindecode_loaders(root: Path, whole: np.ndarray) -> dict:
    """Return shuffled loaders over braindecode's windows of the same recordings."""
    without_torchaudio()
    warnings.simplefilter("ignore", FutureWarning)
    import mne
    import torch
    from braindecode.datasets import BaseConcatDataset, RawDataset
    from braindecode.preprocessing import create_fixed_length_windows

    info = mne.create_info(NAMES, SFREQ, TYPES, verbose="error")
    loaders = {}
    for name, preload in ((LAZY, False), (PRELOADED, True)):
        parts = []
        for index in range(RECORDINGS):
            path = root / f"part-{index:03}_raw.fif"
            if not path.exists():
                block = whole[index * ROWS : (index + 1) * ROWS]
                signal = block.transpose(1, 0, 2).reshape(CHANNELS, -1)
                mne.io.RawArray(signal, info, verbose="error").save(path, verbose="error")
            raw = mne.io.read_raw_fif(path, preload=preload, verbose="error")
            parts.append(RawDataset(raw, {"target": index % 2}, target_name="target"))
        windows = create_fixed_length_windows(
            BaseConcatDataset(parts),
            start_offset_samples=0,
            stop_offset_samples=None,
            window_size_samples=TIMES,
            window_stride_samples=TIMES,
            on_last_window="drop",
            preload=preload,
            verbose="error",
        )
        assert len(windows) == len(whole)
        assert np.allclose(windows[7][0], whole[7], rtol=1e-6)
        loaders[name] = torch.utils.data.DataLoader(windows, batch_size=BATCH, shuffle=True)
    return loaders


def readers_of(folder: Path, whole: np.ndarray, batches: int) -> dict[str, Callable]:
    """Return what is measured with a warm cache: functions of batches that give seconds."""
    one_map = np.load(folder / "whole.npy", mmap_mode="r")
    selection = bidsmill.open(folder / "store", cache=folder / "cache")["random"].select()
    rows = selection.rows()
    assert np.array_equal(rows.all(), whole)
    readers: dict[str, Callable] = {
        MAP: lambda wanted: seconds(lambda index: one_map[index], wanted),
        GATHER: lambda wanted: seconds(rows.take, wanted),
    }
    if importlib.util.find_spec("torch"):
        loaders = {LOADER: selection.loader("class", batch_size=BATCH, shuffle=True)}
        if importlib.util.find_spec("braindecode"):
            loaders |= braindecode_loaders(folder, whole)
        for name, loader in loaders.items():
            scale = batches / len(loader)
            readers[name] = lambda _, loader=loader, scale=scale: loader_seconds(loader) * scale
    return readers


def measure_first_epoch(folder: Path, rounds: int) -> dict[str, float]:
    """Return the seconds of a first epoch and of PyArrow's decoding, medians of the rounds."""
    import pyarrow.parquet as pq

    paths = sorted((folder / "store").rglob("sub-*.parquet"))
    assert len(paths) == RECORDINGS
    order = np.random.default_rng(2).permutation(RECORDINGS * ROWS)
    batches = np.array_split(order, len(order) // BATCH)

    def first_epoch() -> None:
        cache = folder / "empty cache"
        rows = bidsmill.open(folder / "store", cache=cache)["random"].select().rows()
        for batch in batches:
            rows.take(batch)

    def arrow() -> None:
        for path in paths:
            pq.read_table(path)

    taken: dict[str, list[float]] = {ARROW: [], FIRST: []}
    for _ in range(rounds):
        for name, run in ((ARROW, arrow), (FIRST, first_epoch)):
            start = time.perf_counter()
            run()
            taken[name].append(time.perf_counter() - start)
        shutil.rmtree(folder / "empty cache")
        os.sync()
    return {name: statistics.median(values) for name, values in taken.items()}


def measure_warm(folder: Path, whole: np.ndarray, rounds: int, batches: int) -> dict[str, float]:
    """Return the seconds for each batch of every reader, medians of the rounds."""
    chance = np.random.default_rng(1)
    readers = readers_of(folder, whole, batches)
    taken: dict[str, list[float]] = {name: [] for name in readers}
    for _ in range(rounds):
        wanted = [chance.choice(len(whole), BATCH, replace=False) for _ in range(batches)]
        for name, read in readers.items():
            taken[name].append(read(wanted) / batches)
    return {name: statistics.median(values) for name, values in taken.items()}


def measure(folder: Path, options: argparse.Namespace) -> dict:
    """Return all measures, and the ratios that are to be reached."""
    whole = np.random.default_rng(0).standard_normal((RECORDINGS * ROWS, CHANNELS, TIMES))
    whole = whole.astype(np.float32)
    build_store(folder / "store", whole)
    np.save(folder / "whole.npy", whole)
    warm = measure_warm(folder, whole, options.rounds, options.batches)
    first = measure_first_epoch(folder, max(3, options.rounds // 3))
    both = warm | first
    return {
        "rows": len(whole),
        "recordings": RECORDINGS,
        "shape": [CHANNELS, TIMES],
        "batch": BATCH,
        "rounds": options.rounds,
        "seconds_per_batch": warm,
        "windows_per_second": {name: BATCH / value for name, value in warm.items()},
        "seconds_of_first_epoch": first,
        "ratios": [
            {"of": one, "to": other, "ratio": both[other] / both[one], "to_reach": goal}
            for (one, other), goal in TO_REACH.items()
            if one in both and other in both
        ],
        "opening": measure_opening(folder, options.datasets, 10_000, 3),
    }


def show(result: dict) -> None:
    batch_bytes = BATCH * CHANNELS * TIMES * 4
    print(f"{'reader':32} {'ms/batch':>9} {'MB/s':>7} {'windows/s':>10}")
    for name, value in result["seconds_per_batch"].items():
        speed = f"{batch_bytes / value / 1e6:7.0f} {BATCH / value:10,.0f}"
        print(f"{name:32} {value * 1e3:9.3f} {speed}")
    megabytes = result["rows"] * CHANNELS * TIMES * 4 / 1e6
    for name, value in result["seconds_of_first_epoch"].items():
        print(f"{name:32} {value:9.3f} s {megabytes / value:7.0f} MB/s of float32")
    for entry in result["ratios"]:
        pair = f"{entry['of']} / {entry['to']}"
        print(f"{pair:55} {entry['ratio']:7.2f}  (to reach: {entry['to_reach']})")
    if LAZY not in result["seconds_per_batch"]:
        print("braindecode: not measured, it is not installed (pip install braindecode)")
    found = result["opening"]
    print(
        f"a store of {found['datasets']:,} datasets and {found['rows']:,} rows: catalogue after "
        f"{found['seconds_to_catalog']:.2f} s, a selection after "
        f"{found['seconds_to_selection']:.2f} s ({found['processor_seconds']:.2f} s of the "
        f"processor), {found['peak_megabytes']:.0f} MB at most (to reach: 2 s, 300 MB)"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="write the numbers here")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--batches", type=int, default=60, help="per round")
    parser.add_argument("--datasets", type=int, default=1000, help="of the large store")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = measure(Path(folder), options)
    show(result)
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
