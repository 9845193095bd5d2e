"""Whole runs of simulated datasets: what their tests share."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import yaml
from runs import Run

LONG = bool(os.environ.get("BIDSMILL_LONG"))
ONE_CONDITION = [{"mean_input": 0.087, "noise": 1.0}]


class Simulation(Run):
    """A folder in which one config makes one simulated dataset, perhaps with others.

    Parameters
    ----------
    folder, project
        As for `Run`.
    name : str
        The simulated dataset.
    config : dict
        Written to ``config.yaml`` before every run.
    """

    def __init__(self, folder: Path, project: Path, name: str, config: dict[str, Any]):
        super().__init__(folder, project)
        self.name, self.config = name, config
        folder.mkdir(exist_ok=True)

    @property
    def settings(self) -> dict[str, Any]:
        return self.config["simulation"][self.name]

    @property
    def own(self) -> Path:
        return self.results / self.name

    def arguments(self, *arguments: str) -> list[str]:
        path = self.folder / "config.yaml"
        path.write_text(yaml.safe_dump(self.config))
        return [*arguments, "--configfile", str(path)]

    def make(self, *arguments: str, **options) -> str:
        return self.snakemake(*self.arguments(*arguments), **options)

    def copy(self, folder: Path) -> Simulation:
        """Return a copy with its times, to be changed."""
        folder.mkdir()
        for path in self.folder.iterdir():
            subprocess.run(["cp", "-a", str(path), str(folder)], check=True)
        config = yaml.safe_load(yaml.safe_dump(self.config))
        return Simulation(folder, self.project, self.name, config)

    def path(self, name: str) -> str:
        return f"results/{self.name}/{name}"

    def state(self) -> dict[str, tuple[str, int]]:
        """Return checksum and time of every result but logs, timings and Snakemake's own."""
        return {
            str(path.relative_to(self.own)): (
                hashlib.sha256(path.read_bytes()).hexdigest(),
                path.stat().st_mtime_ns,
            )
            for path in sorted(self.own.rglob("*"))
            if path.is_file() and not {"logs", "benchmarks"} & set(path.parts)
        }

    def sums(self) -> dict[str, str]:
        return {name: found[0] for name, found in self.state().items()}

    def forget(self, *names: str) -> None:
        """Remove results."""
        for name in names:
            path = self.own / name
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()


def renewed(before: dict[str, tuple[str, int]], after: dict[str, tuple[str, int]]) -> set[str]:
    """Return the files that were written, the same or not."""
    return {name for name in after if before.get(name) != after[name]}


def rules_of(printed: str) -> set[str]:
    """Return the rules that Snakemake would run, by its table of jobs; empty if none."""
    _, _, table = printed.partition("Job stats:")
    rows = [line.split() for line in table.partition("\ntotal ")[0].splitlines()]
    return {row[0] for row in rows if len(row) == 2 and row[1].isdigit()} - {"all"}


class Clips:
    """Clips of a dataset, read from the plain files of its banks."""

    def __init__(self, results: Path):
        self.waves, self.clips, self.runs = {}, {}, {}
        for folder in sorted((results / "clips").iterdir()):
            rows = pq.read_table(folder / "clips.parquet").to_pylist()
            clips = np.load(folder / "clips.npy", mmap_mode="r")
            waves = np.load(folder / "waveforms.npy")
            regions = clips.shape[0] // len(rows) if clips.ndim == 2 else clips.shape[1]
            clips = clips.reshape(len(rows), regions, -1)
            for number, row in enumerate(rows):
                key = row["region"], row["clip"]
                self.waves[key] = waves[number].astype(float)
                self.clips[key] = clips[number]


def sources_of(results: Path) -> dict[int, dict[str, Any]]:
    """Return the rows of the table of sources by sample."""
    rows = pq.read_table(results / "sources.parquet").to_pylist()
    return {row["sample"]: row for row in rows}


def activity_of(row: dict[str, Any], alphas: str, clips: Clips) -> np.ndarray:
    """Return the activity behind a sample in mV, (regions, times), from its description alone.

    That of each source is its clip, with the waveform of the centre in all of its patch.
    """
    whole: Any = 0.0
    keys = zip(row["centres"], row["clips"], strict=True)
    parts = zip(keys, row["regions"], row["weights"], alphas.split(), strict=True)
    for key, regions, weights, alpha in parts:
        activity = np.array(clips.clips[key], float)
        wave = clips.waves[key]
        activity[regions] = np.outer(weights, float(alpha) * wave / wave.max())
        whole = whole + activity
    return whole


def restored(row: dict[str, Any], alphas: str, clips: Clips) -> np.ndarray:
    """Return the target of a sample in mV, (times, regions): its activity inside the patches."""
    whole = activity_of(row, alphas, clips)
    outside = np.setdiff1d(np.arange(len(whole)), np.concatenate(row["regions"]))
    whole[outside] = 0
    return whole.T


def seen_of(row: dict[str, Any], alphas: str, clips: Clips, matrix: np.ndarray) -> np.ndarray:
    """Return what sensors see of it, (sensors, times): centred, referenced to the average."""
    seen = matrix @ activity_of(row, alphas, clips)
    seen = seen - seen.mean(axis=1, keepdims=True)
    return seen - seen.mean(axis=0)
