"""Random batches from a store, against a memory map of one array and against braindecode.

4,000 rows of 32 channels x 256 samples, spread over 50 recordings; batches of 64 rows drawn at
random; warm cache. Every round measures all readers on the same batches, one after the other,
and the table shows the median of the rounds: the machine's noise meets all of them alike.

    python benchmarks/access.py [--json PATH]
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import json
import statistics
import tempfile
import time
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


def build_store(root: Path, whole: np.ndarray) -> None:
    """Write the rows of `whole` as a store of `RECORDINGS` matrices."""
    root.mkdir(parents=True)
    layout_id = layout.layout_id(NAMES, TYPES, UNITS, 256.0, TIMES)
    entries, frames = [], []
    for index in range(RECORDINGS):
        name = f"sub-{index:03}_task-rest_eeg"
        block = whole[index * ROWS : (index + 1) * ROWS]
        entries.append(write_matrix(root, name, layout_id, block))
        frames.append(
            pd.DataFrame(
                {
                    "recording": name,
                    "row": np.arange(ROWS),
                    "subject": f"{index:03}",
                    "class": np.where(np.arange(ROWS) % 2, "odd", "even"),
                    "excluded": "",
                    "split": "train",
                    "layout": layout_id,
                }
            )
        )
    samples = root / "samples.parquet"
    tables.write_parquet(samples, pd.concat(frames, ignore_index=True))
    entries.append(store_file(root, "samples", samples))
    described = {"channels": NAMES, "types": TYPES, "units": UNITS}
    described |= {"sfreq": 256.0, "tmin": 0.0, "n_times": TIMES, "rows": len(whole)}
    summary = {
        "name": "Random rows",
        "labels": {"class": {"kind": "class", "classes": ["even", "odd"]}},
    }
    counts = {"recordings": RECORDINGS, "converted": RECORDINGS, "quarantined": 0}
    counts |= {"subjects": RECORDINGS, "rows": len(whole), "layouts": {layout_id: described}}
    content = manifest.build_manifest("random", "1", entries, summary | counts)
    encoded = files.json_bytes(content)
    version = manifest.version_of("1", encoded)
    files.write_bytes(root / manifest.manifest_path("random", version), encoded)
    files.write_json(
        root / manifest.pointer_path("random"), manifest.new_pointer(None, version, "1", "-")
    )
    row = manifest.catalog_row(content, version)
    tables.write_parquet(root / manifest.CATALOG, pd.DataFrame([row]))


def write_matrix(root: Path, name: str, layout_id: str, block: np.ndarray) -> dict:
    path = root / f"{name}.parquet"
    with MatrixWriter(path, NAMES, TIMES) as writer:
        writer.write_group(np.ascontiguousarray(block.transpose(1, 0, 2)))
        channels = [{"name": n, "source_name": n, "type": "eeg", "unit": "V"} for n in NAMES]
        shape = writer.close({"channels": channels, "sfreq": 256.0})["shape"]
    entry = store_file(root, "matrix", path)
    return {**entry, "recording": name, "layout": layout_id, "shape": shape}


def store_file(root: Path, kind: str, path: Path) -> dict:
    content = path.read_bytes()
    sha256 = hashlib.sha256(content).hexdigest()
    stored = manifest.stored_path("random", kind, path.name, sha256)
    files.write_bytes(root / stored, content)
    path.unlink()
    return {
        "kind": kind,
        "name": path.name,
        "path": stored,
        "size": len(content),
        "sha256": sha256,
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


def braindecode_loader(root: Path, whole: np.ndarray):
    """Return a shuffled loader over braindecode's windows, read from files at each access."""
    import mne
    import torch
    from braindecode.datasets import BaseConcatDataset, WindowsDataset

    parts = []
    info = mne.create_info(NAMES, 256.0, TYPES, verbose="error")
    for index in range(RECORDINGS):
        path = root / f"part-{index:03}-epo.fif"
        block = whole[index * ROWS : (index + 1) * ROWS]
        target = np.arange(ROWS) % 2
        metadata = pd.DataFrame(
            {
                "i_window_in_trial": 0,
                "i_start_in_trial": np.arange(ROWS) * TIMES,
                "i_stop_in_trial": (np.arange(ROWS) + 1) * TIMES,
                "target": target,
            }
        )
        mne.EpochsArray(block, info, metadata=metadata, verbose="error").save(path, verbose="error")
        epochs = mne.read_epochs(path, preload=False, verbose="error")
        parts.append(WindowsDataset(epochs))
    windows = BaseConcatDataset(parts)
    return torch.utils.data.DataLoader(windows, batch_size=BATCH, shuffle=True)


def measure(folder: Path, rounds: int, batches_per_round: int) -> dict:
    """Return the seconds per batch of each reader, and the ratios."""
    rng = np.random.default_rng(0)
    whole = rng.standard_normal((RECORDINGS * ROWS, CHANNELS, TIMES), np.float32)
    build_store(folder / "store", whole)
    np.save(folder / "whole.npy", whole)
    one_map = np.load(folder / "whole.npy", mmap_mode="r")
    selection = bidsmill.open(folder / "store", cache=folder / "cache")["random"].select()
    start = time.perf_counter()
    rows = selection.rows()
    assert np.array_equal(rows.all(), whole)
    first = time.perf_counter() - start

    readers: dict[str, Callable[[list], float]] = {
        "numpy memory map of one array": lambda b: seconds(lambda i: one_map[i], b),
        "bidsmill gather": lambda b: seconds(rows.take, b),
    }
    if importlib.util.find_spec("torch"):
        loader = selection.loader("class", batch_size=BATCH, shuffle=True)
        scale = batches_per_round / len(loader)
        readers["bidsmill loader"] = lambda b: loader_seconds(loader) * scale
        if importlib.util.find_spec("braindecode"):
            lazy = braindecode_loader(folder, whole)
            readers["braindecode lazy loader"] = lambda b: loader_seconds(lazy) * scale
    taken: dict[str, list[float]] = {name: [] for name in readers}
    for _ in range(rounds):
        batches = [rng.choice(len(whole), BATCH, replace=False) for _ in range(batches_per_round)]
        for name, read in readers.items():
            taken[name].append(read(batches) / batches_per_round)
    medians = {name: statistics.median(values) for name, values in taken.items()}
    return {
        "rows": len(whole),
        "recordings": RECORDINGS,
        "shape": [CHANNELS, TIMES],
        "batch": BATCH,
        "rounds": rounds,
        "seconds_per_batch": medians,
        "first_read_megabytes_per_second": whole.nbytes / 1e6 / first,
        "speed_relative_to_numpy": {
            name: medians["numpy memory map of one array"] / value
            for name, value in medians.items()
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="write the numbers here")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--batches", type=int, default=60, help="per round")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = measure(Path(folder), arguments.rounds, arguments.batches)
    batch_bytes = BATCH * CHANNELS * TIMES * 4
    print(f"{'reader':32} {'ms/batch':>9} {'MB/s':>7} {'of numpy':>9}")
    for name, value in result["seconds_per_batch"].items():
        ratio = result["speed_relative_to_numpy"][name]
        print(f"{name:32} {value * 1e3:9.3f} {batch_bytes / value / 1e6:7.0f} {ratio:9.2f}")
    if "braindecode lazy loader" not in result["seconds_per_batch"]:
        print("braindecode lazy loader          not measured: braindecode is not installed")
    print(
        f"first read, decoding into the cache: "
        f"{result['first_read_megabytes_per_second']:.0f} MB/s of float32"
    )
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
