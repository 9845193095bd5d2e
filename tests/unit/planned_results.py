"""Datasets that are planned and done, without a signal: what planning sees of large archives."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bidsmill.bids.recordings import find_recordings
from bidsmill.formats import files
from bidsmill.workflow.plan import write_plans

ROOT = Path(__file__).resolve().parents[2]
BATCHES = {"recordings": 64, "gigabytes": 20}
SIZE = 12_000_000
# Stage -> folder of its files, and their end.
STAGES = {
    "fetch": ("fetch", ".fetched"),
    "annotate": ("events", ".tsv"),
    "convert": ("matrix", ".parquet"),
}
# Folders of files, one for each recording, of which planning asks at most for the names.
BARE = ("events", "matrix")
TABLES = [
    *("recordings.tsv", "events.tsv", "samples.parquet", "samples.tsv", "channels.tsv"),
    *("recordings.json", "events.json", "samples.json", "channels.json", "duplicates.tsv"),
    *("labels.json", "split.tsv", "split.json", "split-previous.json", "validation.json"),
    *("dataset.json", "README.md", "report.html", "published.json", "fetch/dataset.json"),
]


def sha256(text: str) -> str:
    """Return the sha256 of a text."""
    return hashlib.sha256(text.encode()).hexdigest()


def make_lock(dataset: str, recordings: int, changed: Sequence[int] = ()) -> dict[str, Any]:
    """Return the lock of a dataset of EDF files, ten recordings of each subject.

    Parameters
    ----------
    dataset : str
        Dataset id.
    recordings : int
        Their number.
    changed : sequence of int
        Recordings whose data file is another one than without them.
    """
    entries = [_entry("dataset_description.json", 200), _entry("participants.tsv", 4000)]
    for index in range(recordings):
        subject, run = f"sub-{index // 10:05d}", index % 10 + 1
        stem = f"{subject}/eeg/{subject}_task-rest_run-{run}"
        state = "new" if index in changed else ""
        entries.append(_entry(f"{stem}_eeg.edf", SIZE, state))
        entries.append(_entry(f"{stem}_eeg.json", 400))
        entries.append(_entry(f"{stem}_events.tsv", 20_000))
        entries.append(_entry(f"{stem}_channels.tsv", 3000))
    return {
        "contract": "2",
        "dataset": dataset,
        "source": {"kind": "local", "path": f"data/{dataset}"},
        "snapshot": "1.0.0",
        "license": "CC0",
        "doi": "",
        "authors": [],
        "description": {"Name": dataset, "BIDSVersion": "1.10.0"},
        "files": sorted(entries, key=lambda entry: entry["path"]),
    }


def _entry(path: str, size: int, state: str = "") -> dict[str, Any]:
    return {"path": path, "size": size, "checksum": {"sha256": sha256(path + state)}}


def plan(folder: Path, lock: dict[str, Any]) -> None:
    """Write a lock and its plans as the rule `lock` does."""
    results = folder / "results" / lock["dataset"]
    found = find_recordings({entry["path"]: entry["size"] for entry in lock["files"]})
    shared = [entry["path"] for entry in lock["files"] if "/" not in entry["path"]]
    overview = {"root": f"data/{lock['dataset']}", "dataset_files": shared}
    write_plans(results / "plan", lock, found, BATCHES, overview)
    files.write_json(results / "lock.json", lock)


def do(folder: Path, dataset: str) -> None:
    """Write what the stages leave of a planned dataset, with entries of the real shape."""
    results = folder / "results" / dataset
    for path in sorted((results / "plan").glob("b*.json")):
        stems = [member["stem"] for member in json.loads(path.read_bytes())["members"]]
        for stage, (folder, end) in STAGES.items():
            (results / folder).mkdir(parents=True, exist_ok=True)
            members = {stem: _done(stem + end) for stem in stems}
            for stem in stems:
                (results / folder / (stem + end)).touch()
            files.write_json(results / stage / path.name, {"batch": path.stem, "members": members})
    for name in TABLES:
        files.write_text(results / name, f"{dataset} {name}\n")
    # What a run reads at its end.
    files.write_text(results / "recordings.tsv", "recording\tstatus\trows\treason\tmessage\n")
    files.write_text(results / "split.json", '{"status": "refused", "reason": "no signal"}')
    for name in ("published.json", "labels.json"):
        files.write_text(results / name, "{}")


def _done(name: str) -> dict[str, Any]:
    content = {"bytes": SIZE, "sha256": sha256(name)}
    return {"status": "converted", "reason": "", "message": "", "files": {name: content}}


def make_done(folder: Path, datasets: dict[str, int]) -> Path:
    """Write datasets that were converted, with Snakemake's own records of it; return the config.

    Parameters
    ----------
    folder : pathlib.Path
        Where the pipeline will run.
    datasets : dict
        Id -> number of recordings.
    """
    config = folder / "config.yaml"
    settings = {
        name: {"source": "local", "path": f"data/{name}", "windows": {"kind": "fixed", "length": 2}}
        for name in datasets
    }
    files.write_text(config, json.dumps({"datasets": settings, "store": "results/store"}))
    first, *others = datasets
    plan(folder, make_lock(first, datasets[first]))
    do(folder, first)
    record(folder, first)
    for name in others:
        repeat(folder, first, name)
    return config


def record(folder: Path, dataset: str) -> None:
    """Let Snakemake write its records of a dataset, as if it had run every job."""
    run = snakemake(
        folder, f"results/{dataset}/published.json", "--touch", "--forceall", "-q", "all"
    )
    assert run.returncode == 0, run.stderr


def repeat(folder: Path, first: str, name: str) -> None:
    """Make another dataset of the same recordings, with an id of the same length, done as well."""
    old, new = folder / "results" / first, folder / "results" / name
    for path in [
        path for path in old.rglob("*") if path.is_file() and path.parent.name not in BARE
    ]:
        _copy(path, new / path.relative_to(old), first, name)
    for bare in BARE:
        (new / bare).symlink_to(old / bare)
    records = folder / ".snakemake" / "metadata"
    for path in list(records.iterdir()):
        output = base64.urlsafe_b64decode(path.name).decode()
        if output.startswith(f"results/{first}/"):
            other = f"results/{name}/{output.removeprefix(f'results/{first}/')}"
            _copy(path, records / base64.urlsafe_b64encode(other.encode()).decode(), first, name)


def _copy(path: Path, target: Path, first: str, name: str) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(path.read_bytes().replace(first.encode(), name.encode()))
    when = path.stat().st_mtime_ns
    os.utime(target, ns=(when, when))


def command(*arguments: str) -> list[str]:
    """Return the command that runs the pipeline's Snakefile in the folder of `make_done`."""
    start = [sys.executable, "-m", "snakemake", *arguments, "--snakefile", str(ROOT / "Snakefile")]
    return [*start, "--configfile", "config.yaml", "--cores", "1"]


# A process keeps the peak of the one that started it, so that a small one stands in between. It
# writes the peak in kB of all below it as its last line.
WITH_PEAK = """
import resource, subprocess, sys
code = subprocess.call(sys.argv[1:])
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, flush=True)
sys.exit(code)
"""


def with_peak(command: list[str]) -> list[str]:
    """Return a command that runs another, and at its end prints the peak of its memory in kB."""
    return [sys.executable, "-I", "-c", WITH_PEAK, *command]


def snakemake(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run it, and return what it said."""
    return subprocess.run(command(*arguments), cwd=folder, capture_output=True, text=True)
