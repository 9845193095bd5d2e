"""The command `bidsmill run`: many datasets, a few in each run of Snakemake.

Datasets are independent, and Snakemake looks at its whole graph again after every dataset that is
locked: the more datasets a graph holds, the longer each of these looks takes.
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from bidsmill.errors import BidsmillError
from bidsmill.formats.numbers import counted
from bidsmill.workflow.dataset_groups import groups_of, targets_of, units_of
from bidsmill.workflow.failures import TABLE, print_failures, read_failures, write_failures
from bidsmill.workflow.jobs import ASKED
from bidsmill.workflow.summary import summary_lines

AT_ONCE = 16
# Of more datasets, the summary gives numbers and names those that failed.
MOST_TOLD = 20
NOTHING = "Nothing to be done"
Rows = list[dict[str, str]]


def add_run_command(
    commands: argparse._SubParsersAction, read_config: Callable[[Path], dict[str, Any]]
) -> None:
    """Add `run` to the commands of `bidsmill`.

    Parameters
    ----------
    commands : argparse action
        Those of `bidsmill`.
    read_config : callable
        Returns the resolved config of a path.
    """
    run = commands.add_parser(
        "run",
        help="run the pipeline over many datasets, a few at a time",
        description="Run Snakemake for a few datasets after the other, so that planning stays cheap"
        " however many the config has. A dataset that fails does not stop the others; the exit code"
        " is then 1, and the last lines name it. What is up to date is left alone.",
        epilog="example: bidsmill run --configfile archive.yaml --cores 8"
        " --snakemake='--profile profiles/slurm'",
    )
    run.add_argument("datasets", nargs="*", metavar="DATASET", help="all of the config if absent")
    run.add_argument("--configfile", type=Path, default=Path("config") / "config.yaml")
    run.add_argument("--cores", default="all", help="as of Snakemake; all if absent")
    run.add_argument(
        "--at-once", type=int, default=AT_ONCE, help=f"datasets in one graph; {AT_ONCE} if absent"
    )
    run.add_argument("--dry-run", action="store_true", help="only say what would be done")
    run.add_argument(
        "--snakemake", default="", metavar="OPTIONS", help="more options of Snakemake, in one word"
    )
    run.set_defaults(action=lambda options: _run(options, read_config(options.configfile)))


def _run(options: argparse.Namespace, config: dict[str, Any]) -> Iterator[str]:
    known = [*config["datasets"], *config["simulation"]]
    unknown = sorted(set(options.datasets) - set(known))
    if unknown:
        raise BidsmillError(
            f"the config has no dataset {', '.join(unknown)}",
            file=options.configfile,
            expected=", ".join(known),
        )
    if options.at_once < 1:
        raise BidsmillError("--at-once is a number of datasets, 1 or more", found=options.at_once)
    asked = set(options.datasets or known)
    units = units_of(config, asked)
    failed: set[str] = set()
    rows: Rows = []
    idle = 0
    for group in groups_of(units, options.at_once):
        names = [name for unit in group for name in unit]
        runs = [(names, *_run_group(options, config, names))]
        if not any(runs[0][1:]) and len(group) > 1:
            # One of them keeps the graph of all from being built: each gets its own.
            runs = [(unit, *_run_group(options, config, unit)) for unit in group]
        for treated, done, told in runs:
            failed |= _failed(done, told, treated, config)
            rows += told
            idle += len(treated) if done == NOTHING else 0
    yield from _summary(options, config, sorted(asked), sorted(failed), rows, idle)


def _run_group(
    options: argparse.Namespace, config: dict[str, Any], names: list[str]
) -> tuple[str, Rows]:
    """Run Snakemake for some datasets; return '' if it failed, and the jobs that failed."""
    command = [sys.executable, "-m", "snakemake", *targets_of(config, names)]
    command += ["--snakefile", str(_snakefile()), "--configfile", str(options.configfile)]
    command += ["--cores", options.cores, *shlex.split(options.snakemake)]
    environment = {**os.environ, "BIDSMILL_SUMMARY": "later", ASKED: " ".join(names)}
    if options.dry_run:
        told = subprocess.run(
            [*command, "--dry-run"],
            env=environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        if told.returncode == 0 and NOTHING in told.stdout:
            return NOTHING, []
        print(told.stdout, file=sys.stderr)
        return "done" if told.returncode == 0 else "", []
    # A graph that cannot be built leaves the table of a run before.
    Path(TABLE).unlink(missing_ok=True)
    print(f"bidsmill: {', '.join(names)}", file=sys.stderr, flush=True)
    process = subprocess.Popen(command, env=environment)
    try:
        code = process.wait()
    except KeyboardInterrupt:
        # Snakemake was interrupted, too, and ends its jobs.
        process.wait()
        raise
    return "" if code else "done", read_failures()


def _failed(done: str, told: Rows, names: list[str], config: dict[str, Any]) -> set[str]:
    """Return which of the datasets of a run failed, or wait for one that did."""
    if done:
        return set()
    failed = {row["dataset"] for row in told}
    if not failed:
        return set(names)
    for together, members in config["together"].items():
        if failed & {together, *members}:
            failed |= set(members)
    for name, settings in config["simulation"].items():
        if settings["background"] and settings["background"]["dataset"] in failed:
            failed.add(name)
    return failed & set(names) or set(names)


def _snakefile() -> Path:
    """Return the Snakefile here, or the one that this file belongs to."""
    places = [Path.cwd() / "Snakefile", Path(__file__).resolve().parents[3] / "Snakefile"]
    return next((place for place in places if place.is_file()), places[0])


def _summary(
    options: argparse.Namespace,
    config: dict[str, Any],
    asked: list[str],
    failed: list[str],
    rows: Rows,
    idle: int,
) -> Iterator[str]:
    """Say what became of the datasets; raise if some of them failed."""
    total = counted(len(asked), "dataset")
    if options.dry_run:
        yield f"{total}: nothing to be done for {idle}"
    else:
        write_failures(rows)
        if len(asked) <= MOST_TOLD:
            yield from summary_lines(asked, config["store"], config["publish"]["endpoint"])
        print_failures(rows)
        yield f"{total}: {len(asked) - len(failed)} done, {len(failed)} failed"
    if failed:
        raise BidsmillError(
            f"{len(failed)} of {total} failed",
            found=", ".join(failed),
            todo="the same command again goes on with them; Snakemake's messages above and"
            f" {TABLE} say why",
        )
