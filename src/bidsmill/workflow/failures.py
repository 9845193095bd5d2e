"""Which jobs of a run failed, why, and where their logs are: ``results/failures.tsv``."""

from __future__ import annotations

import logging
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bidsmill.formats import files
from bidsmill.formats.tables import cell_text

TABLE = "results/failures.tsv"
COLUMNS = ("dataset", "rule", "batch", "job", "reason", "log", "cluster_log")
MOST_PRINTED = 10
NO_WORD = "it ended without a word: cancelled, or killed for want of memory or time"
NOT_BEGUN = "it did not begin to work: what its log and that of the cluster say is all there is"
# What Slurm writes into the log of a job that it ends.
SLURM_WORDS = re.compile(
    r"\*\*\* (?:JOB|STEP) .*\*\*\*|oom.kill.*|Exceeded job memory limit.*", re.I
)


@dataclass
class _Job:
    """What Snakemake told of a job."""

    rule: str = ""
    wildcards: dict[str, str] = field(default_factory=dict)
    log: str = ""
    # What its log was before it was submitted: an old log says nothing of this run.
    before: tuple[int, int] | None = None
    external: str = ""
    cluster_log: str = ""
    # The jobs that one cluster job treats together; any of them may be the one that failed.
    group: str = ""


class FailedJobs(logging.Handler):
    """Remembers the jobs that failed and did not succeed later; hears what Snakemake logs.

    Use `listen` once, in the process that schedules the jobs.
    """

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self._jobs: dict[Any, _Job] = {}
        self._failed: dict[Any, _Job] = {}

    def listen(self) -> FailedJobs:
        """Hear Snakemake's messages from now on."""
        logging.getLogger("snakemake.logging").addHandler(self)
        return self

    def emit(self, record: logging.LogRecord) -> None:
        """Take in one message of Snakemake (events of its interface for loggers)."""
        event, told = getattr(record, "event", None), record.__dict__
        if event == "job_info":
            log = _first(told["log"])
            job = _Job(told["rule_name"], dict(told["wildcards"] or {}), log, _look(log))
            self._jobs[told["jobid"]] = job
        elif event == "job_finished":
            self._failed.pop(told["job_id"], None)
        elif event == "job_error" and not told["indent"]:
            aux = told["aux"] or {}
            self._fail(told, str(aux.get("external_jobid") or ""), list(told["log"])[1:])
        elif event == "group_error":
            for job in told["job_error_info"]:
                external = str(told.get("external_jobid") or "")
                self._fail(job, external, told["aux_logs"], str(told["groupid"]))

    def _fail(self, told: dict, external: str, logs: list[str], group: str = "") -> None:
        job = self._jobs.get(told["jobid"]) or _Job(told["rule_name"], {}, _first(told["log"]))
        job.external, job.group = external, group
        job.cluster_log = next((_relative(path) for path in logs if path), "")
        self._failed[told["jobid"]] = job

    def rows(self) -> list[dict[str, str]]:
        """Return a row of `COLUMNS` for every job that failed, sorted by dataset and rule."""
        alone = [job for job in self._failed.values() if not job.group]
        groups: dict[tuple[str, str], list[_Job]] = {}
        for job in self._failed.values():
            if job.group:
                groups.setdefault((job.group, job.external), []).append(job)
        culprits = [job for members in groups.values() for job in _culprits(members)]
        return sorted(map(_row, alone + culprits), key=lambda row: [row[name] for name in COLUMNS])

    def write(self, path: str | Path = TABLE) -> list[dict[str, str]]:
        """Write the table, or remove it if no job failed; return its rows."""
        return write_failures(self.rows(), path)


def write_failures(rows: list[dict[str, str]], path: str | Path = TABLE) -> list[dict[str, str]]:
    """Write rows of `COLUMNS`, or remove the table if there are none; return the rows."""
    if not rows:
        Path(path).unlink(missing_ok=True)
        return []
    lines = [COLUMNS, *([cell_text(row[name]) for name in COLUMNS] for row in rows)]
    files.write_text(path, "".join("\t".join(line) + "\n" for line in lines))
    return rows


def read_failures(path: str | Path = TABLE) -> list[dict[str, str]]:
    """Return the rows of the table; none if it is not there."""
    if not Path(path).is_file():
        return []
    _, *lines = Path(path).read_text(encoding="utf-8").splitlines()
    rows = [dict(zip(COLUMNS, line.split("\t"), strict=True)) for line in lines]
    return [{k: "" if v == "n/a" else v for k, v in row.items()} for row in rows]


def print_failures(rows: list[dict[str, str]], file=None) -> None:
    """Print the first rows of the table for the person who started the run."""
    if not rows:
        return
    lines = [f"{len(rows)} job(s) failed; {TABLE} lists them"]
    for row in rows[:MOST_PRINTED]:
        which = " ".join(filter(None, (row["rule"], row["dataset"], row["batch"])))
        cluster = f" (cluster job {row['job']})" if row["job"] else ""
        lines.append(f"  failed       {which}{cluster}: {row['reason']}")
        lines.append(f"               log: {row['log'] or row['cluster_log']}")
    if len(rows) > MOST_PRINTED:
        lines.append(f"  ... and {len(rows) - MOST_PRINTED} more")
    print("\n".join(["", *lines]), file=file or sys.stderr)


def _culprits(members: list[_Job]) -> list[_Job]:
    """Return the jobs of a group that failed: the others only went with them.

    A job that is not among them has ended well, or waited for one that did not.
    """
    begun = [job for job in members if job.log and _look(job.log) not in (None, job.before)]
    told = [job for job in begun if _last_error(job.log)]
    if told:
        return told
    # The last to write was at work when the cluster ended the job.
    return [max(begun, key=lambda job: _look(job.log) or (0, 0))] if begun else members[:1]


def _row(job: _Job) -> dict[str, str]:
    begun = bool(job.log) and _look(job.log) not in (None, job.before)
    reason = _last_error(job.log) if begun else ""
    wildcards = job.wildcards
    return {
        "dataset": wildcards.get("dataset") or wildcards.get("together", ""),
        "rule": job.rule,
        "batch": wildcards.get("batch") or wildcards.get("recording", ""),
        "job": job.external,
        "reason": reason or _said_by_cluster(job) or (NO_WORD if begun else NOT_BEGUN),
        "log": job.log if begun else "",
        "cluster_log": job.cluster_log,
    }


def _last_error(log: str) -> str:
    """Return the last error in a log of `job_log`, without the name of the module."""
    found = [line for line in _lines(log) if line.startswith("ERROR ")]
    return found[-1].split(": ", 1)[-1].strip() if found else ""


def _said_by_cluster(job: _Job) -> str:
    found = [match[0] for line in _lines(job.cluster_log) for match in SLURM_WORDS.finditer(line)]
    return f"the cluster ended it: {found[-1].strip('* ')}" if found else ""


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").splitlines() if path else []
    except OSError:
        return []


def _look(path: str) -> tuple[int, int] | None:
    try:
        facts = Path(path).stat()
    except OSError:
        return None
    return facts.st_mtime_ns, facts.st_size


def _first(paths: Any) -> str:
    return str(next(iter(paths or ()), "")).split(" (", 1)[0]


def _relative(path: str) -> str:
    try:
        return str(Path(path).relative_to(Path.cwd()))
    except ValueError:
        return str(path)
