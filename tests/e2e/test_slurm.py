"""The pipeline on a real Slurm: what jobs ask for, what is said of failures, and the same bytes."""

from __future__ import annotations

import csv
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
import yaml
from absence import absent
from runs import Run
from servers import slurm
from stages import run_stages

SUBJECTS, RUNS, SECONDS = 20, 3, 10
# The waits of the profile suit a cluster with many users. (After each look that found nothing the
# plugin waits ten seconds longer.)
QUICK = ("--slurm-init-seconds-before-status-checks", "5", "--seconds-between-status-checks", "8")
QUICK = (*QUICK, "--latency-wait", "10", "--slurm-no-account")
CONFIG = {
    "datasets": {
        "sixty": {"source": "local", "path": "data", "labels": {"side": {"column": "trial_type"}}},
        # Its subject 1 has a file that no reader takes.
        "strict": {
            "source": "local",
            "path": "data-strict",
            "on_bad_recording": "fail",
        },
    },
    "defaults": {"windows": {"kind": "events", "tmin": 0.0, "tmax": 0.5}},
}


def write_dataset(folder: Path, subjects: int) -> None:
    """Write BrainVision recordings of noise, three of each subject, with two kinds of events."""
    import pybv

    names, sfreq = ["C3", "Cz", "C4"], 100
    events = "onset\tduration\ttrial_type\n"
    events += "".join(f"{t}\t0\t{('left', 'right')[t % 2]}\n" for t in range(1, SECONDS - 1))
    rng = np.random.default_rng(1)
    for subject in range(1, subjects + 1):
        eeg = folder / f"sub-{subject:02d}" / "eeg"
        for run in range(1, RUNS + 1):
            stem = f"sub-{subject:02d}_task-hand_run-{run}"
            data = rng.normal(0, 1e-5, (len(names), SECONDS * sfreq))
            eeg.mkdir(parents=True, exist_ok=True)
            pybv.write_brainvision(
                data=data, sfreq=sfreq, ch_names=names, fname_base=f"{stem}_eeg", folder_out=eeg
            )
            (eeg / f"{stem}_events.tsv").write_text(events)
    (folder / "dataset_description.json").write_text(
        '{"Name": "hand", "BIDSVersion": "1.10.0", "License": "CC0"}'
    )
    (folder / "task-hand_eeg.json").write_text(
        '{"TaskName": "hand", "SamplingFrequency": 100, "EEGReference": "n/a",'
        ' "PowerLineFrequency": 50, "SoftwareFilters": "n/a"}'
    )


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    if missing := slurm.missing():
        absent(f"no Slurm on this machine: needs {missing}")
    with slurm.Slurm(tmp_path_factory.mktemp("slurm")) as running:
        yield running


@pytest.fixture(scope="module")
def template(tmp_path_factory, root) -> Run:
    """Return what a run on this machine makes of the sixty recordings."""
    run = Run(tmp_path_factory.mktemp("local"), root)
    write_dataset(run.folder / "data", SUBJECTS)
    write_dataset(run.folder / "data-strict", 1)
    broken = run.folder / "data-strict" / "sub-01" / "eeg" / "sub-01_task-hand_run-1_eeg.vhdr"
    broken.write_text("no header")
    (run.folder / "slurm.yaml").write_text(yaml.safe_dump(CONFIG))
    run_stages(run.folder, {**CONFIG, "datasets": {"sixty": CONFIG["datasets"]["sixty"]}})
    return run


@pytest.fixture
def run(template, tmp_path) -> Run:
    """Return a folder with the same data and no results."""
    for name in ("data", "data-strict"):
        shutil.copytree(template.folder / name, tmp_path / name)
    shutil.copy(template.folder / "slurm.yaml", tmp_path)
    return Run(tmp_path, template.project)


def arguments(run: Run, *more: str) -> list[str]:
    profile = str(run.project / "profiles" / "slurm")
    return ["--profile", profile, *QUICK, "--configfile", str(run.folder / "slurm.yaml"), *more]


def failures(run: Run) -> dict[tuple[str, str], dict[str, str]]:
    with open(run.results / "failures.tsv", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    return {(row["dataset"], row["rule"]): row for row in rows}


def published(run: Run) -> dict[str, bytes]:
    """Return every result but those of the dataset that fails."""
    return {
        name: content
        for name, content in run.bytes_of_results().items()
        if "/strict/" not in name and name != "results/failures.tsv"
    }


def job_of_sixty(run: Run) -> str | None:
    """Return the id of the cluster job that treats the sixty recordings, once it is at work."""
    logs = (run.folder / ".snakemake" / "slurm_logs").glob("group_batch_*/*.log")
    return next((log.stem for log in logs if "Job 0: annotate sixty" in log.read_text()), None)


def test_a_cancelled_job_is_told_and_a_rerun_ends_in_the_bytes_of_a_local_run(
    cluster, template, run
):
    # Where the source is reached; as on a cluster whose nodes see no network.
    locks = ("results/sixty/lock.json", "results/strict/lock.json")
    run.snakemake(*locks, "--configfile", str(run.folder / "slurm.yaml"))
    process = run.start(*arguments(run, "--retries", "0"))
    while not (job := job_of_sixty(run)):
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.1)
    cluster.ask("scancel", job)
    printed, _ = process.communicate(timeout=500)
    assert process.returncode != 0
    table = failures(run)
    (cancelled,) = (row for row in table.values() if row["dataset"] == "sixty")
    assert cancelled["job"] == job and "CANCELLED" in cancelled["reason"]
    bad = table["strict", "convert"]
    assert bad["batch"] == "b0000" and "sub-01_task-hand_run-1_eeg" in bad["reason"]
    assert bad["reason"] in (run.folder / bad["log"]).read_text()
    assert f"(cluster job {bad['job']}): {bad['reason']}" in printed
    assert (run.folder / bad["cluster_log"]).is_file()

    printed = run.snakemake(*arguments(run, "--retries", "0"), fails=True)
    assert set(failures(run)) == {("strict", "convert")}
    assert "sixty: 60 recordings: 60 converted; 480 rows; split by subject" in printed
    made, wanted = published(run), published(template)
    assert {name for name in made | wanted if made.get(name) != wanted.get(name)} == set()
    # One job for the batch and one for the tables of a dataset; small ones ask for little.
    # (Tables and validation are made side by side.)
    assert sorted(job["cores"] for job in cluster.jobs()) == ["1"] * 4 + ["2"]
    assert max(int(job["memory"].removesuffix("M")) for job in cluster.jobs()) < 6000
    assert sum(job["state"] == "COMPLETED" for job in cluster.jobs()) == 2


@pytest.mark.long
def test_another_attempt_asks_for_more_memory_and_is_told_once(cluster, template, run):
    before = {job["id"] for job in cluster.jobs()}
    target = "results/strict/convert/b0000.json"
    run.snakemake(target, *arguments(run, "--retries", "1"), fails=True)
    (row,) = failures(run).values()
    attempts = [job for job in cluster.jobs() if job["id"] not in before]
    failed = [job for job in attempts if job["state"] == "FAILED"]
    assert len(failed) == 2 and row["job"] == max(job["id"] for job in failed)
    small, large = sorted(int(job["memory"].removesuffix("M")) for job in failed)
    assert large == 2 * small


@pytest.mark.long
def test_a_run_on_the_cluster_alone_ends_in_the_same_bytes(cluster, template, run):
    run.snakemake(*arguments(run), fails=True)
    made, wanted = published(run), published(template)
    assert {name for name in made | wanted if made.get(name) != wanted.get(name)} == set()


def test_an_executor_whose_jobs_share_no_files_is_refused(template, tmp_path):
    """The scheduler is never asked: no Slurm is needed for it."""
    run = Run(tmp_path, template.project)
    shared = ("--shared-fs-usage", "persistence", "source-cache", "sources")
    printed = run.snakemake("--executor", "slurm", "--jobs", "1", *shared, fails=True)
    assert "not shared: input-output" in printed and "docs/scale.md" in printed
    assert not run.results.exists()
