"""What it costs to see that nothing is to be done, or little, in large archives.

Datasets are locked, planned and done by code, without a signal; Snakemake writes its own records of
them (`--touch`). Then are measured, each in a process of its own: `snakemake -n` for one dataset
of 20,000 recordings when nothing changed, when one recording changed, and for one recording as a
target; `bidsmill run --dry-run` for 750 datasets of 300 recordings, a few in each graph, beside
`snakemake -n` with all of them in one; and what a run does for datasets that are locked for the
first time, some and four times as many in one graph (each lock lets Snakemake look at its graph
again). The summary of jobs is compared, too: one changed recording is one job of each stage.

Usage: python benchmarks/planning.py [--json PATH] [--recordings 20000] [--datasets 750]
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests" / "unit"), str(ROOT / "src")]

import planned_results as planned  # noqa: E402

MOST_SECONDS, MOST_MEGABYTES = 20, 1000
RECORDINGS_EACH = 300
BIG = "big"
CHANGED = 7
JOB = re.compile(r"^(\w+) +(\d+)$", re.MULTILINE)


def measured(command: list[str], folder: Path) -> dict:
    """Run a command; return its wall and CPU seconds, peak MB of a process, and what it said."""
    with tempfile.TemporaryFile("w+") as said:
        start = time.perf_counter()
        process = subprocess.Popen(
            planned.with_peak(command), cwd=folder, stdout=said, stderr=subprocess.STDOUT
        )
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
        said.seek(0)
        text = said.read()
    if status:
        sys.exit(f"{' '.join(command)} failed:\n{text[-3000:]}")
    cpu = usage.ru_utime + usage.ru_stime
    return {"wall": wall, "cpu": cpu, "megabytes": int(text.split()[-1]) / 1000, "said": text}


def jobs_in(said: str) -> dict[str, int]:
    """Return how many jobs of each rule a dry run counted."""
    if "Nothing to be done" in said:
        return {}
    table = said.rpartition("Job stats:")[2]
    return {rule: int(count) for rule, count in JOB.findall(table) if rule != "total"}


def one_large_dataset(recordings: int, folder: Path) -> dict[str, dict]:
    """Measure a dry run of one dataset."""
    planned.make_done(folder, {BIG: recordings})
    rows = {"nothing changed": measured(planned.command("-n"), folder)}
    stem = "sub-00000_task-rest_run-3_eeg"
    target = f"results/{BIG}/matrix/{stem}.json"
    rows["one recording as a target"] = measured(planned.command("-n", "-f", target), folder)
    planned.plan(folder, planned.make_lock(BIG, recordings, [CHANGED]))
    rows["one recording changed"] = measured(planned.command("-n", "-q", "rules"), folder)
    return rows


def many_datasets(datasets: int, folder: Path) -> dict[str, dict]:
    """Measure a dry run of many datasets: a few in each graph, and all in one."""
    names = [f"ds{number:06d}" for number in range(datasets)]
    planned.make_done(folder, dict.fromkeys(names, RECORDINGS_EACH))
    run = [sys.executable, "-m", "bidsmill.cli", "run", "--configfile", "config.yaml"]
    return {
        f"{datasets} datasets, bidsmill run": measured([*run, "--dry-run"], folder),
        f"{datasets} datasets in one graph": measured(planned.command("-n"), folder),
    }


def first_runs(datasets: int, folder: Path) -> dict[str, dict]:
    """Measure a run in which every dataset is locked, and no job has anything to do."""
    names = [f"ds{number:06d}" for number in range(4 * datasets)]
    planned.make_done(folder, dict.fromkeys(names, RECORDINGS_EACH))
    rows = {}
    for some in (names[:datasets], names):
        targets = [f"results/{name}/published.json" for name in some]
        touch = planned.command(*targets, "--touch", "--forceall", "-q", "all")
        rows[f"{len(some)} datasets locked in one graph"] = measured(touch, folder)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--recordings", type=int, default=20_000)
    parser.add_argument("--datasets", type=int, default=750)
    parser.add_argument("--locked", type=int, default=16)
    options = parser.parse_args()
    os.environ["PYTHONPATH"] = str(ROOT / "src")
    rows = {}
    print(f"{'':40} {'wall s':>8} {'CPU s':>8} {'MB':>6}  jobs")
    for measure, count in (
        (one_large_dataset, options.recordings),
        (many_datasets, options.datasets),
        (first_runs, options.locked),
    ):
        with tempfile.TemporaryDirectory() as folder:
            found = measure(count, Path(folder)) if count else {}
        for name, row in found.items():
            row["jobs"] = jobs_in(row.pop("said"))
            counts = ", ".join(f"{rule} {n}" for rule, n in row["jobs"].items()) or "none"
            figures = f"{row['wall']:8.1f} {row['cpu']:8.1f} {row['megabytes']:6.0f}"
            print(f"{name:40} {figures}  {counts}", flush=True)
        rows |= found
    print(f"goal when nothing changed: {MOST_SECONDS} s, {MOST_MEGABYTES} MB")
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
