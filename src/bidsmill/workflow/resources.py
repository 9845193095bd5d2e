"""What a job asks of a cluster: memory, minutes and threads, from the size of what it treats."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from bidsmill.formats import files

# Formats that are read block by block: memory does not grow with the length of a recording
# (tests/unit/test_convert_memory.py). Of the others the whole signal may be held.
STREAMED = {".vhdr", ".edf", ".bdf", ".fif", ".ds", ".con", ".sqd", ".snirf", ""}
# Signals held as float64 or beside a copy, of files that may be compressed.
HELD = 4
# One process more for each of these bytes of a batch: for less, its start takes too long.
BYTES_PER_PROCESS = 200_000_000
MOST_PROCESSES = 4


@dataclass(frozen=True)
class Size:
    """How much a job treats.

    Attributes
    ----------
    recordings : int
        Number of recordings.
    bytes : int
        Bytes of all their files.
    held : int
        Bytes of the largest recording whose signal is held in memory as a whole; 0 if none is.
    """

    recordings: int
    bytes: int
    held: int = 0


# Before a dataset is locked.
NOTHING = Size(0, 0)


@dataclass(frozen=True)
class Need:
    """What a rule asks for: a base, and so much for what it treats.

    Attributes
    ----------
    megabytes, minutes : int
        The base: imports and start; a busy file system.
    megabytes_per_process : int
        For each process that treats recordings, beside what it holds of one (see `Size`).
    megabytes_per_recording, minutes_per_recording : float
        For each recording.
    minutes_per_gigabyte : float
        For each GB (10**9 bytes) of source files; divided by the number of processes.
    """

    megabytes: int
    minutes: int
    megabytes_per_process: int = 0
    megabytes_per_recording: float = 0.0
    minutes_per_recording: float = 0.0
    minutes_per_gigabyte: float = 0.0


# Generous multiples of what the jobs of the corpus took (`benchmark` of each rule): the two
# Snakemakes that the Slurm plugin starts in a job hold 180 MB each, a worker at most 400.
NEEDS = {
    "fetch": Need(1000, 30, minutes_per_gigabyte=15),
    "fetch_dataset": Need(1000, 30, minutes_per_gigabyte=15),
    "validate": Need(2000, 30, megabytes_per_recording=1, minutes_per_recording=0.2),
    "annotate": Need(1500, 15, minutes_per_recording=0.5),
    "convert": Need(600, 15, 500, minutes_per_recording=0.1, minutes_per_gigabyte=4),
    "convert_recording": Need(600, 15, 500, minutes_per_gigabyte=4),
    "stream": Need(600, 15, 800, minutes_per_recording=0.1, minutes_per_gigabyte=8),
    "stream_recording": Need(600, 15, 800, minutes_per_gigabyte=8),
    "collate": Need(1500, 15, megabytes_per_recording=2, minutes_per_recording=0.05),
    "split": Need(2000, 60, megabytes_per_recording=1),
    "describe": Need(1000, 15, megabytes_per_recording=0.5, minutes_per_recording=0.01),
    "report_dataset": Need(2000, 30, megabytes_per_recording=1, minutes_per_recording=0.05),
    "publish_dataset": Need(1000, 30, megabytes_per_recording=0.5, minutes_per_gigabyte=5),
}

ANOTHER = Need(2000, 120)


def size_of_batch(plan: str | Path) -> Size:
    """Return the size of a batch, from ``plan/{batch}.json``; `NOTHING` if it is not there."""
    try:
        return _size_of_batch(str(plan), Path(plan).stat().st_mtime_ns)
    except FileNotFoundError:
        return NOTHING


def size_of_dataset(overview: str | Path) -> Size:
    """Return the size of a dataset, from ``plan/dataset.json``."""
    return _size_of_dataset(str(overview), Path(overview).stat().st_mtime_ns)


def processes_for(size: Size) -> int:
    """Return how many processes convert a batch."""
    wanted = math.ceil(size.bytes / BYTES_PER_PROCESS)
    return max(1, min(MOST_PROCESSES, size.recordings, wanted))


def megabytes_for(rule: str, size: Size, *, attempt: int = 1, processes: int = 1) -> int:
    """Return the memory to ask for.

    Parameters
    ----------
    rule : str
        A key of `NEEDS`; another one asks for `ANOTHER`.
    size : Size
        Of what the job treats.
    attempt : int
        1, and more after a failure: each attempt asks for as much again.
    processes : int
        Worker processes of the job.

    Returns
    -------
    int
        Megabytes (10**6 bytes).
    """
    need = NEEDS.get(rule, ANOTHER)
    held = HELD * size.held / 1e6 if need.megabytes_per_process else 0
    each = need.megabytes_per_process + held
    once = need.megabytes + need.megabytes_per_recording * size.recordings
    return attempt * math.ceil(once + processes * each)


def minutes_for(rule: str, size: Size, *, attempt: int = 1, processes: int = 1) -> int:
    """Return the time to ask for, in minutes (see `megabytes_for`)."""
    need = NEEDS.get(rule, ANOTHER)
    working = need.minutes_per_recording * size.recordings
    working += need.minutes_per_gigabyte * size.bytes / 1e9
    return attempt * math.ceil(need.minutes + working / processes)


# A plan is asked for its size by several rules, and again by each attempt.
@lru_cache(maxsize=4096)
def _size_of_batch(path: str, _modified: int) -> Size:
    members = files.read_json(Path(path))["members"]
    held = [member["size"] for member in members if _is_held(member)]
    return Size(len(members), sum(member["size"] for member in members), max(held, default=0))


@lru_cache(maxsize=4096)
def _size_of_dataset(path: str, _modified: int) -> Size:
    overview = files.read_json(Path(path))
    # The plan of a simulated dataset names neither: nothing was recorded.
    return Size(len(overview.get("recordings", [])), sum(overview.get("bytes", {}).values()))


def _is_held(member: dict[str, Any]) -> bool:
    """Return whether the signal may be held as a whole; beside a .set it lies in a .fdt."""
    extension = Path(member["data"]).suffix.lower()
    return extension not in STREAMED and not any(name.endswith(".fdt") for name in member["files"])
