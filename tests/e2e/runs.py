"""A folder in which the workflow runs, as a user starts it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

DATASETS = (
    "amplifier_mix",
    "broken",
    "eeglab_attention",
    "eegmmi_motor",
    "emg_gestures",
    "meg_mix",
    "muse_p300",
    "uci_alcoholism",
)


class Run:
    """A folder in which the workflow runs.

    Parameters
    ----------
    folder : pathlib.Path
        The working directory.
    project : pathlib.Path
        The checkout whose Snakefile is used.
    """

    def __init__(self, folder: Path, project: Path):
        self.folder, self.project = folder, project
        self.results = folder / "results"

    def command(self, *arguments: str, cores: int = 2) -> list[str]:
        return [
            sys.executable,
            "-m",
            "snakemake",
            *arguments,
            "--snakefile",
            str(self.project / "Snakefile"),
            "--directory",
            str(self.folder),
            "--cores",
            str(cores),
        ]

    def start(self, *arguments: str, cores: int = 2) -> subprocess.Popen:
        return subprocess.Popen(
            self.command(*arguments, cores=cores),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        )

    def snakemake(self, *arguments: str, cores: int = 2, fails: bool = False) -> str:
        """Run Snakemake to its end and return what it printed."""
        process = self.start(*arguments, cores=cores)
        printed, _ = process.communicate(timeout=540)
        assert (process.returncode != 0) == fails, printed[-6000:]
        return printed

    def log(self, dataset: str, name: str) -> str:
        return (self.results / dataset / "logs" / f"{name}.log").read_text()

    def bytes_of_results(self) -> dict[str, bytes]:
        """Return every result but logs, timings, hidden files and what holds times."""
        left_out = {"logs", "benchmarks", "fetch-state"}
        return {
            str(path.relative_to(self.folder)): path.read_bytes()
            for path in sorted(self.results.rglob("*"))
            if path.is_file()
            and not left_out & set(path.relative_to(self.folder).parts)
            and path.name not in ("latest.json", "lock-state.json")
            and not any(part.startswith(".") for part in path.relative_to(self.folder).parts)
        }


def copy_corpus(corpus: Path, folder: Path) -> None:
    """Copy the datasets of the corpus, and restore their broken links."""
    for name in DATASETS:
        subprocess.run(["cp", "-r", str(corpus / name), str(folder / name)], check=True)
    subprocess.run(["chmod", "-R", "u+w", str(folder)], check=True)
    for line in (corpus / "broken.symlinks.tsv").read_text().splitlines()[1:]:
        path, target = line.split("\t")
        (folder / path).symlink_to(target)


EVENT_DATASETS = {
    "eeglab_attention": {
        "windows": {"tmin": -0.5, "tmax": 1.0, "events": {"hed": "Sensory-event"}},
        "labels": {"position": {"column": "position"}},
    },
    "uci_alcoholism": {
        "windows": {"tmin": 0.0, "tmax": 1.0, "events": {"trial_type": "S1obj"}},
        "labels": {"group": {"column": "participant_group"}},
    },
    "muse_p300": {
        "windows": {"tmin": -0.1, "tmax": 0.8, "events": "all"},
        "labels": {"stimulus": {"column": "trial_type"}},
        "split": {"fallback": "session"},
    },
    "eegmmi_motor": {
        "windows": {
            "tmin": 0.0,
            "tmax": 1.0,
            "events": {"trial_type": ["left_fist", "rest", "T1"]},
        },
        "labels": {
            "movement": {
                "column": "trial_type",
                "values": {"rest": "rest", "left": ["left_fist", "T1"]},
            }
        },
    },
    "emg_gestures": {
        "windows": {"tmin": 0.0, "tmax": 0.5},
        "labels": {"gesture": {"column": "trial_type"}},
    },
    "meg_mix": {
        "windows": {"tmin": -0.05, "tmax": 0.2},
        "channels": {"types": ["mag", "grad"]},
        "labels": {"trigger": {"column": "value"}},
    },
    "amplifier_mix": {"windows": {"tmin": 0.0, "tmax": 0.2}},
    "broken": {"windows": {"tmin": 0.0, "tmax": 0.5}},
}

# Configs over the whole corpus.
FIXED_WINDOWS = {
    "datasets": {
        name: {
            "source": "local",
            "path": name,
            "labels": (
                {"group": {"column": "participant_group"}}
                if name == "uci_alcoholism"
                else {"task_name": {"column": "task"}}
            ),
        }
        for name in DATASETS
    },
    "defaults": {"windows": {"kind": "fixed", "length": 0.25}, "split": {"fallback": "time"}},
    # Some state no licence that is known.
    "allow_license": list(DATASETS),
}
EVENT_WINDOWS = {
    "datasets": {
        name: {
            "source": "local",
            "path": name,
            **settings,
            "windows": {"kind": "events", **settings["windows"]},
        }
        for name, settings in EVENT_DATASETS.items()
    },
    "allow_license": list(EVENT_DATASETS),
}


def differing(one: dict[str, bytes], other: dict[str, bytes]) -> set[str]:
    """Return the files that are not the same; their bytes are nothing to print."""
    return {name for name in {*one, *other} if one.get(name) != other.get(name)}
