"""One table says which jobs failed: of what Snakemake tells, and what logs hold."""

from __future__ import annotations

import csv
import io
import logging

import pytest

from bidsmill.workflow.failures import COLUMNS, NO_WORD, NOT_BEGUN, FailedJobs, print_failures


class Run:
    """Messages as Snakemake sends them, by its own logger."""

    def __init__(self):
        self.log = logging.getLogger("snakemake.logging")
        self.failed = FailedJobs()

    def tell(self, event: str, **told) -> None:
        record = self.log.makeRecord(
            self.log.name, logging.ERROR, "", 0, event, (), None, extra={"event": event, **told}
        )
        self.failed.handle(record)

    def submit(self, jobid: int, rule: str, batch: str = "b0000") -> str:
        log = f"results/faces/logs/{rule}.{batch}.log"
        wildcards = {"dataset": "faces", "batch": batch}
        self.tell("job_info", jobid=jobid, rule_name=rule, wildcards=wildcards, log=[log])
        return log

    def error(self, jobid: int, rule: str, logs: list[str], **aux) -> dict:
        return {"jobid": jobid, "rule_name": rule, "log": logs, "aux": aux, "indent": False}


@pytest.fixture
def run(tmp_path, monkeypatch) -> Run:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "results" / "faces" / "logs").mkdir(parents=True)
    return Run()


def write(path: str, *lines: str) -> None:
    with open(path, "a") as file:
        file.writelines(f"{line}\n" for line in lines)


def table() -> list[dict[str, str]]:
    with open("results/failures.tsv", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


def test_a_failed_job_is_listed_with_its_last_error_and_is_gone_when_it_succeeds(run, tmp_path):
    log = run.submit(3, "convert")
    write(log, "INFO bidsmill.batches: x", "ERROR bidsmill.batches: one", "ERROR bidsmill: a\tb: c")
    cluster = tmp_path / ".snakemake" / "slurm_logs" / "17.log"
    logs = [log, str(cluster)]
    run.tell("job_error", **run.error(3, "convert", logs, external_jobid="17"))
    rows = run.failed.write()
    expected = ("faces", "convert", "b0000", "17", "a b: c", log, ".snakemake/slurm_logs/17.log")
    assert table() == [dict(zip(COLUMNS, expected, strict=True))]
    printed = io.StringIO()
    print_failures(rows, printed)
    assert "1 job(s) failed; results/failures.tsv lists them" in printed.getvalue()
    assert "convert faces b0000 (cluster job 17): a\tb: c" in printed.getvalue()
    assert f"log: {log}" in printed.getvalue()
    run.tell("job_finished", job_id=3)
    assert run.failed.write() == []
    assert not (tmp_path / "results" / "failures.tsv").exists()


def test_an_old_log_says_nothing_of_a_job_that_did_not_begin(run):
    write("results/faces/logs/convert.b0000.log", "ERROR bidsmill: of another run")
    log = run.submit(3, "convert")
    run.tell("job_error", **run.error(3, "convert", [log]))
    (row,) = run.failed.rows()
    assert (row["reason"], row["log"], row["job"]) == (NOT_BEGUN, "", "")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("", NO_WORD),
        (
            "slurmstepd: error: *** JOB 9 ON n1 CANCELLED AT 2026-01-01T00:00:00 DUE TO TIME"
            " LIMIT ***",
            "the cluster ended it: JOB 9 ON n1 CANCELLED AT 2026-01-01T00:00:00 DUE TO TIME LIMIT",
        ),
        (
            "slurmstepd: error: Detected 1 oom-kill event(s) in StepId=9.batch.",
            "the cluster ended it: oom-kill event(s) in StepId=9.batch.",
        ),
    ],
)
def test_a_job_that_ended_without_a_word(run, line, reason):
    log = run.submit(3, "convert")
    write(log, "INFO bidsmill.batches: sub-01: converted")
    write("9.log", line)
    run.tell("job_error", **run.error(3, "convert", [log, "9.log"], external_jobid="9"))
    (row,) = run.failed.rows()
    assert row["reason"] == reason


def group_error(run, jobs: dict[int, tuple[str, str]]) -> None:
    told = [run.error(jobid, rule, [log]) for jobid, (rule, log) in jobs.items()]
    run.tell(
        "group_error", groupid="batch", aux_logs=["7.log"], job_error_info=told, external_jobid="7"
    )
    for job in told:
        run.tell("job_error", **{**job, "indent": True})


def test_of_a_group_the_job_that_failed_is_listed_and_not_those_that_went_with_it(run):
    rules = ("fetch", "annotate", "convert")
    jobs = {number: (rule, run.submit(number, rule)) for number, rule in enumerate(rules)}
    write(jobs[0][1], "INFO bidsmill.sources.fetch: 3 recordings present")
    write(jobs[1][1], "ERROR bidsmill: the HED is no HED")
    group_error(run, jobs)
    (row,) = run.failed.rows()
    found = (row["rule"], row["job"], row["reason"], row["cluster_log"])
    assert found == ("annotate", "7", "the HED is no HED", "7.log")


def test_of_a_group_that_was_cancelled_the_job_at_work_is_listed(run):
    rules = ("fetch", "annotate", "convert")
    jobs = {number: (rule, run.submit(number, rule)) for number, rule in enumerate(rules)}
    write(jobs[0][1], "INFO bidsmill.sources.fetch: 3 recordings present")
    write(jobs[1][1], "INFO bidsmill.batches: sub-01: annotated")
    write("7.log", "slurmstepd: error: *** STEP 7.0 ON n1 CANCELLED AT 2026-01-01T00:00:00 ***")
    group_error(run, jobs)
    (row,) = run.failed.rows()
    assert row["rule"] == "annotate" and "CANCELLED" in row["reason"]
    for number in jobs:
        run.tell("job_finished", job_id=number)
    assert run.failed.rows() == []


def test_many_failures_are_listed_whole_and_printed_in_part(run):
    for number in range(12):
        log = run.submit(number, "convert", f"b{number:04d}")
        write(log, f"ERROR bidsmill: reason {number}")
        run.tell("job_error", **run.error(number, "convert", [log]))
    rows = run.failed.write()
    assert [row["batch"] for row in table()] == [f"b{number:04d}" for number in range(12)]
    printed = io.StringIO()
    print_failures(rows, printed)
    assert "reason 9\n" in printed.getvalue() and "reason 10" not in printed.getvalue()
    assert "... and 2 more" in printed.getvalue()
