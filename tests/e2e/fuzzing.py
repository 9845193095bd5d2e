"""Damaged datasets through every stage, in worker processes that are watched.

``python tests/e2e/fuzzing.py CORPUS FOLDER SEED ...`` treats single mutants, prints what became
of them, and leaves their folders; ``PYTHONPATH`` must hold ``src``, ``tests/unit`` and
``tests/e2e``.
"""

from __future__ import annotations

import faulthandler
import json
import logging
import os
import random
import resource
import selectors
import shutil
import signal
import subprocess
import sys
import traceback
from pathlib import Path
from time import monotonic

from mutants import copy_pristine, make_mutant

from bidsmill.errors import BidsmillError

# Bytes that a mutant may add to the memory of its process, at its highest; the largest
# recording of the corpus is 3.5 MB.
MEMORY = 600 * 2**20
# Address space beyond what a warm worker has: what asks for more gets a MemoryError, which is
# an internal error and so a failure.
ADDRESSES = 4 * 2**30
# Seconds after which a mutant hangs; one takes a fraction of a second.
HANGS = 60
# What may be said of a dataset as a whole.
REFUSALS = (
    "this is no BIDS dataset",
    "the dataset holds no subject",
    "holds no recording that is asked for",
)
WINDOWS = (
    {"kind": "fixed", "length": 0.25},
    {"kind": "fixed", "length": 1.0, "overlap": 0.5},
    {"kind": "events", "tmin": -0.1, "tmax": 0.3},
    {"kind": "events", "tmin": 0.0, "tmax": 0.5, "baseline": [0.0, 0.1]},
)
OTHERS = (
    {},
    {},
    {"resample": 100.0},
    {"resample": 97.3},
    {"filter": {"low": 1.0, "high": 30.0}},
    {"filter": {"notch": 50.0}},
    {"reference": "average"},
    {"channels": {"types": ["data", "eog", "misc", "stim", "ref_meg"]}},
    {"channels": {"bad": "interpolate"}},
    {"channels": {"bad": "drop"}},
    {"channels": {"policy": "montage", "montage": "standard_1020", "min_share": 0.0}},
    {"annotations": "never"},
)


def settings_of(seed: int) -> dict:
    """Return the settings of a mutant: windows, one other choice, and which repairs may act."""
    from bidsmill.bids.repairs import RULES

    chance = random.Random(f"settings {seed}")
    own = {"windows": dict(chance.choice(WINDOWS)), **chance.choice(OTHERS)}
    lossless = {name for name, rule in RULES.items() if rule.risk == "lossless"}
    repairs = chance.choice((
        {},
        {},
        {"allow": sorted(set(RULES) - lossless)},
        {"refuse": sorted(lossless)},
    ))  # fmt: skip
    return {**own, "repairs": repairs}


class Logged(logging.Handler):
    """What is logged while a mutant is treated."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.lines: list[str] = []
        self.setFormatter(logging.Formatter("%(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


def treat(pristine: Path, folder: Path, seed: int) -> dict:
    """Make a mutant, run every stage on it, and return what became of it.

    Returns
    -------
    dict
        ``seed``, ``done`` (the mutations), ``statuses``, ``compared`` (channels whose samples
        were compared with those of the undamaged recording) and ``problems``: lines, none if the
        mutant ended as it has to.
    """
    from bids_cases import Dataset

    logged, problems = Logged(), []
    logging.getLogger().addHandler(logged)
    done, statuses, compared = [], {}, 0
    before, highest = _reset_peak(), 0
    try:
        done = make_mutant(pristine, folder / "bids", seed)
        run = Dataset(folder)
        try:
            run.run(**settings_of(seed))
        except BidsmillError as refused:
            if not any(text in refused.what for text in REFUSALS):
                problems.append(f"refused: {refused.message()}")
            statuses = {"": refused.what}
        else:
            from fuzz_checks import check_intact, check_results, check_values

            # What the checks read of the matrices is not the memory of the stages.
            highest = _peak()
            statuses, problems = check_results(run)
            if done[0] != "broken":
                problems += check_intact(run, pristine / done[0], statuses)
            healthy, own = pristine / done[0], settings_of(seed)
            compared, wrong = check_values(run, healthy, folder / "twin", own)
            problems += wrong
    except Exception:
        problems.append(traceback.format_exc())
    finally:
        logging.getLogger().removeHandler(logged)
    if any("Traceback" in line for line in logged.lines):
        problems += [line for line in logged.lines if "Traceback" in line]
    grown = (highest or _peak()) - before
    if grown > MEMORY:
        problems.append(f"memory grew by {grown / 2**20:.0f} MB")
    return {
        "seed": seed,
        "done": done,
        "statuses": statuses,
        "compared": compared,
        "problems": problems,
        "memory": grown,
    }


def _reset_peak() -> int:
    """Forget the highest memory so far (Linux) and return what is held now, in bytes."""
    Path("/proc/self/clear_refs").write_text("5")
    return _status("VmRSS")


def _peak() -> int:
    return _status("VmHWM")


def _status(key: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(f"{key}:"))


def work(pristine: Path, folder: Path) -> None:
    """Treat the seeds that come on standard input, one a line; answer each by a line of JSON."""
    faulthandler.enable()
    # Readers print, too: what they print is no answer.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    logging.getLogger().setLevel(logging.INFO)
    first = True
    for line in sys.stdin:
        own = folder / line.strip()
        answer = treat(pristine, own, int(line))
        if first:
            used = _status("VmSize")
            resource.setrlimit(resource.RLIMIT_AS, (used + ADDRESSES, used + ADDRESSES))
            first = False
        shutil.rmtree(own, ignore_errors=True)
        print(json.dumps(answer), file=answers, flush=True)


class Worker:
    """A process that treats mutants; it is started anew when it dies or hangs."""

    def __init__(self, pristine: Path, folder: Path):
        self.pristine, self.folder = pristine, folder
        self.errors = folder.with_suffix(".err")
        self.start()

    def start(self) -> None:
        here = Path(__file__).resolve().parent
        paths = [here.parents[1] / "src", here.parent / "unit", here]
        # One thread each: workers share the cores.
        self.process = subprocess.Popen(
            [sys.executable, __file__, str(self.pristine), str(self.folder), "work"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors.open("w"),
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join(map(str, paths)),
                "OMP_NUM_THREADS": "1",
                "OPENBLAS_NUM_THREADS": "1",
                "PYTHONWARNINGS": "ignore",
            },
        )

    def give(self, seed: int) -> None:
        self.seed = seed
        self.process.stdin.write(f"{seed}\n".encode())
        self.process.stdin.flush()

    def lost(self, what: str) -> dict:
        """End the process, start another, and return the answer for the mutant it had."""
        self.process.send_signal(signal.SIGABRT)
        code = self.process.wait()
        told = self.errors.read_text(errors="replace")[-3000:]
        self.start()
        return {
            "seed": self.seed,
            "done": [],
            "statuses": {},
            "compared": 0,
            "problems": [f"{what} (exit {code})\n{told}"],
            "memory": 0,
        }

    def stop(self) -> None:
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


def treat_all(
    pristine: Path, folder: Path, seeds: list, processes: int = 2, hangs: float = HANGS
) -> list[dict]:
    """Treat mutants in worker processes and return their answers.

    A worker that gives no answer within `hangs` seconds, or dies, costs its mutant, and no
    other.
    """
    waiting, answers = list(reversed(seeds)), []
    workers = []
    for index in range(processes):
        own = folder / f"worker-{index}"
        own.mkdir(parents=True)
        workers.append(Worker(pristine, own))
    idle, busy = list(workers), {}
    while waiting or busy:
        while idle and waiting:
            worker = idle.pop()
            worker.give(waiting.pop())
            busy[worker] = monotonic() + hangs
        with selectors.DefaultSelector() as selector:
            for worker in busy:
                selector.register(worker.process.stdout, selectors.EVENT_READ, worker)
            ready = [key.data for key, _ in selector.select(0.2)]
        for worker in ready:
            line = worker.process.stdout.readline()
            answers.append(json.loads(line) if line else worker.lost("the process died"))
        late = [w for w, end in busy.items() if w not in ready and monotonic() > end]
        answers += [worker.lost("the mutant hangs") for worker in late]
        for worker in (*ready, *late):
            del busy[worker]
            idle.append(worker)
    for worker in workers:
        worker.stop()
    return sorted(answers, key=lambda answer: str(answer["seed"]).zfill(9))


if __name__ == "__main__":
    given, here = Path(sys.argv[1]), Path(sys.argv[2]).resolve()
    if sys.argv[3:] == ["work"]:
        work(given, here)
    else:
        if not (here / "pristine").is_dir():
            copy_pristine(given, here / "pristine")
        for text in sys.argv[3:]:
            shutil.rmtree(here / text, ignore_errors=True)
            answer = treat(here / "pristine", here / text, int(text))
            print(json.dumps(answer, indent=1).replace("\\n", "\n"))
