"""The promises of the pipeline: identical bytes, only what changed is done again, clear errors."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
import yaml
from runs import Run

import bidsmill
from bidsmill.formats import tables

LONG = bool(os.environ.get("BIDSMILL_LONG"))
SUBJECTS = ["01", "02", "03", "11"]


@pytest.fixture(scope="module")
def local_template(sample_run, tmp_path_factory) -> Run:
    """Return a finished run over a local copy of four subjects of the sample."""
    folder = tmp_path_factory.mktemp("local")
    data = folder / "data"
    shutil.copytree(sample_run.results / "sample" / "bids", data)
    for subject in data.glob("sub-*"):
        if subject.name.removeprefix("sub-") not in SUBJECTS:
            shutil.rmtree(subject)
    config = {
        "datasets": {
            "faces": {
                "source": "local",
                "path": "data",
                "windows": {
                    "kind": "events",
                    "tmin": 0.0,
                    "tmax": 0.5,
                    "events": {"trial_type": ["face", "scrambled"]},
                },
                "labels": {"stimulus": {"column": "trial_type"}},
                "split": {"test": 0.3},
            }
        }
    }
    (folder / "faces.yaml").write_text(yaml.safe_dump(config))
    run = Run(folder, sample_run.project)
    run.snakemake("--configfile", str(folder / "faces.yaml"))
    return run


@pytest.fixture
def local_run(local_template, tmp_path) -> Run:
    """Return a copy of that run, with its times, to be changed."""
    folder = tmp_path / "local"
    subprocess.run(["cp", "-a", str(local_template.folder), str(folder)], check=True)
    run = Run(folder, local_template.project)
    # A copy has new inodes: the lock looks at every file again, and finds the same.
    run.snakemake("--configfile", str(folder / "faces.yaml"), "--forcerun", "lock")
    return run


def again(run: Run, *arguments: str, **options) -> str:
    return run.snakemake("--configfile", str(run.folder / "faces.yaml"), *arguments, **options)


def matrix_times(run: Run, dataset: str = "faces") -> dict[str, int]:
    folder = run.results / dataset / "matrix"
    return {path.name: path.stat().st_mtime_ns for path in sorted(folder.iterdir())}


def moved(before: dict[str, int], after: dict[str, int]) -> set[str]:
    return {name.split(".")[0] for name in before | after if before.get(name) != after.get(name)}


def test_the_default_run_says_what_came_out(sample_run):
    printed = sample_run.printed
    assert (
        "sample: 25 recordings: 24 converted, 1 quarantined; 960 rows; split by subject" in printed
    )
    assert "sub-11_ses-2_task-faces_run-1_eeg: content_not_fetched" in printed
    assert 'bidsmill.open("results/store")["sample"].select(split="train")' in printed
    assert "results/sample/report.html" in printed


def test_the_store_of_the_default_run_loads(sample_run):
    dataset = bidsmill.open(sample_run.folder / "results" / "store")["sample"]
    X, y = dataset.select(split="train").arrays(target="stimulus")
    assert X.shape[1:] == (19, 128) and set(y) == {"face", "scrambled"}
    samples = dataset.samples
    sides = samples.groupby("subject")["split"].nunique()
    assert (sides == 1).all()
    share = (samples["split"] == "test").mean()
    assert 0.15 <= share <= 0.25
    faces = samples[samples["stimulus"] == "face"]
    assert set(faces["trial_type"]) == {"face"}


def test_a_face_evokes_a_larger_n170_in_the_published_rows(sample_run):
    dataset = bidsmill.open(sample_run.folder / "results" / "store")["sample"]
    rows = dataset.select(channels=["P7", "P8"])
    X, y = rows.arrays(target="stimulus")
    window = (rows.times >= 0.15) & (rows.times <= 0.19)
    mean = X[:, :, window].mean(axis=(1, 2))
    assert mean[y == "face"].mean() < mean[y == "scrambled"].mean() - 1e-6


def test_a_second_run_has_nothing_to_do(sample_run):
    assert "Nothing to be done" in sample_run.snakemake("--dry-run")


def test_one_core_gives_the_same_bytes(sample_run, tmp_path):
    run = Run(tmp_path, sample_run.project)
    run.snakemake(cores=1)
    assert run.bytes_of_results() == sample_run.bytes_of_results()


@pytest.mark.parametrize("round_", range(6 if LONG else 1))
@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_run_goes_on_to_the_same_bytes(sample_run, tmp_path, sign, round_):
    """Kill a run three times, each time later in its course; then let it end."""
    run = Run(tmp_path, sample_run.project)
    moments = random.Random(f"{sign} {round_}")
    for wait in (3.0, 5.5, 8.0):
        process = run.start()
        time.sleep(wait + moments.uniform(-1.5, 1.5))
        if process.poll() is None:
            os.killpg(process.pid, sign)
        process.communicate(timeout=120)
        if sign == signal.SIGKILL:
            run.snakemake("--unlock")
    run.snakemake()
    assert run.bytes_of_results() == sample_run.bytes_of_results()


def test_changed_events_convert_one_recording_again(local_run):
    before = matrix_times(local_run)
    events = local_run.folder / "data/sub-01/ses-1/eeg/sub-01_ses-1_task-faces_run-1_events.tsv"
    lines = events.read_text().splitlines(keepends=True)
    face = next(i for i, line in enumerate(lines) if "\tface\t" in line)
    cells = lines[face].split("\t")
    cells[0] = repr(float(cells[0]) + 0.1)
    lines[face] = "\t".join(cells)
    events.write_text("".join(lines))
    assert "Nothing to be done" in again(local_run, "--dry-run")
    again(local_run, "--forcerun", "lock")
    total = len([name for name in before if name.endswith(".json")])
    assert f"annotated 1, unchanged {total - 1}" in local_run.log("faces", "annotate.b0000")
    assert f"converted 1, unchanged {total - 1}" in local_run.log("faces", "convert.b0000")
    assert moved(before, matrix_times(local_run)) == {"sub-01_ses-1_task-faces_run-1_eeg"}
    samples = tables.read_parquet(local_run.results / "faces" / "samples.parquet")
    own = samples[samples["recording"] == "sub-01_ses-1_task-faces_run-1_eeg"]
    assert float(cells[0]) in set(own["onset"])
    assert "Nothing to be done" in again(local_run, "--dry-run")


def test_changed_labels_convert_nothing(local_run):
    before = matrix_times(local_run)
    store = local_run.results / "store"
    old = bidsmill.open(store)["faces"]
    events = local_run.folder / "data/sub-01/ses-1/eeg/sub-01_ses-1_task-faces_run-1_events.tsv"
    text = events.read_text()
    face, scrambled = text.count("\tface\t"), text.count("\tscrambled\t")
    text = text.replace("\tface\t", "\t#\t").replace("\tscrambled\t", "\tface\t")
    events.write_text(text.replace("\t#\t", "\tscrambled\t"))
    again(local_run, "--forcerun", "lock")
    assert "converted 0" in local_run.log("faces", "convert.b0000")
    assert moved(before, matrix_times(local_run)) == set()
    new = bidsmill.open(store)["faces"]
    assert new.version != old.version
    own = new.samples[new.samples["recording"] == "sub-01_ses-1_task-faces_run-1_eeg"]
    assert (own["stimulus"] == "face").sum() == scrambled
    assert (own["stimulus"] == "scrambled").sum() == face
    still = bidsmill.open(store)[f"faces@{old.version}"]
    assert still.samples["stimulus"].tolist() == old.samples["stimulus"].tolist()


def test_news_of_a_source_add_and_remove_recordings(local_run):
    before = matrix_times(local_run)
    data = local_run.folder / "data"
    shutil.rmtree(data / "sub-02")
    shutil.copytree(data / "sub-03", data / "sub-90")
    for path in sorted((data / "sub-90").rglob("*sub-03*"), reverse=True):
        path.rename(path.with_name(path.name.replace("sub-03", "sub-90")))
    for header in (data / "sub-90").rglob("*.v*"):
        header.write_text(header.read_text().replace("sub-03", "sub-90"))
    again(local_run, "--forcerun", "lock")
    after = matrix_times(local_run)
    assert {name[:6] for name in moved(before, after)} == {"sub-02", "sub-90"}
    assert not any(name.startswith("sub-02") for name in after)
    samples = bidsmill.open(local_run.results / "store")["faces"].samples
    assert set(samples["subject"]) == {"01", "03", "11", "90"}


def test_what_changed_after_the_lock_is_never_mixed_in(local_run):
    """Change files behind the lock's back, then put them back: a lock ends the quarantine."""
    data = local_run.folder / "data"
    stem = "sub-01_ses-1_task-faces_run-1"
    events = data / "sub-01" / "ses-1" / "eeg" / f"{stem}_events.tsv"
    clean, text = local_run.bytes_of_results(), events.read_text()
    events.write_text(text.replace("\tface\t", "\tfish\t"))
    config = local_run.folder / "faces.yaml"
    wanted = config.read_text()
    config.write_text(
        wanted.replace("[face, scrambled]", "[face]").replace("- scrambled", "- fish")
    )
    again(local_run)
    recordings = tables.read_tsv(local_run.results / "faces" / "recordings.tsv")
    fates = dict(zip(recordings["recording"], recordings["reason"], strict=True))
    assert fates.pop(f"{stem}_eeg") == "source_changed"
    assert set(fates.values()) == {"", "content_not_fetched"}
    assert "fish" not in (local_run.results / "faces" / "events.tsv").read_text()
    events.write_text(text)
    config.write_text(wanted)
    again(local_run, "--forcerun", "lock")
    # The store keeps the version between as well.
    found = local_run.bytes_of_results()
    # A plan counts how often its batch was asked to run again.
    kept = {name: content for name, content in clean.items() if "/plan/" not in name}
    assert kept.items() <= found.items()
    participants = data / "participants.tsv"
    participants.write_text(participants.read_text() + "sub-77\t30\n")
    printed = again(local_run, "--forcerun", "collate", fails=True)
    assert "participants.tsv is not the file that was locked" in printed


def test_one_recording_is_a_target(local_run):
    stem = "sub-01_ses-1_task-faces_run-1_eeg"
    matrix = local_run.results / "faces" / "matrix" / f"{stem}.parquet"
    content, before = matrix.read_bytes(), matrix_times(local_run)
    again(local_run, "--force", f"results/faces/matrix/{stem}.json")
    assert moved(before, matrix_times(local_run)) == {stem}
    assert matrix.read_bytes() == content
    assert "Nothing to be done" in again(local_run, "--dry-run")


def test_a_lost_matrix_is_noticed_and_the_command_that_rebuilds_it_works(local_run):
    stem = "sub-01_ses-1_task-faces_run-1_eeg"
    matrix = local_run.results / "faces" / "matrix" / f"{stem}.parquet"
    content = matrix.read_bytes()
    matrix.unlink()
    printed = again(local_run, "--forcerun", "collate", fails=True)
    command = f"-f results/faces/matrix/{stem}.json"
    assert command in printed
    again(local_run, *command.split())
    again(local_run)
    assert matrix.read_bytes() == content


@pytest.fixture
def clone(local_run, tmp_path) -> Run:
    """Return the run with a fresh copy of the project: every file of it is new."""
    project = tmp_path / "clone"
    project.mkdir()
    for name in ("src", "workflow", "config", "envs", "profiles"):
        shutil.copytree(
            local_run.project / name, project / name, ignore=shutil.ignore_patterns("__pycache__")
        )
    shutil.copy(local_run.project / "Snakefile", project)
    return Run(local_run.folder, project)


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_a_fresh_clone_comments_and_touched_files_run_nothing(clone):
    assert "Nothing to be done" in again(clone, "--dry-run")
    for script in (clone.project / "workflow" / "scripts").glob("*.py"):
        script.write_text("# another comment\n" + script.read_text())
    for module in (clone.project / "src").rglob("*.py"):
        module.write_text(module.read_text() + "\n# another comment\n")
    edit(
        clone.project / "src/bidsmill/convert/windows.py",
        "Place one window around each event.",
        "Another docstring.",
    )
    for path in [*clone.results.rglob("*.json"), *(clone.folder / "data").rglob("*")]:
        os.utime(path)
    assert "Nothing to be done" in again(clone, "--dry-run")


def test_changed_code_reruns_its_stage(clone):
    before = matrix_times(clone)
    edit(clone.project / "src/bidsmill/split/groups.py", "def ", "ANOTHER_CONSTANT = 1\n\n\ndef ")
    printed = again(clone)
    assert "split faces" in printed and "convert faces" not in printed
    assert moved(before, matrix_times(clone)) == set()
    windows = clone.project / "src/bidsmill/convert/windows.py"
    edit(windows, "import numpy as np\n", "import numpy as np\n\nANOTHER_CONSTANT = 1\n")
    printed = again(clone)
    assert "convert faces" in printed and "annotate faces" not in printed
    converted = [name for name in before if name.endswith(".parquet")]
    assert len([n for n in converted if before[n] != matrix_times(clone)[n]]) == len(converted)


def test_other_settings_rerun_what_depends_on_them(local_run):
    before = matrix_times(local_run)
    config = yaml.safe_load((local_run.folder / "faces.yaml").read_text())
    config["datasets"]["faces"]["labels"]["sex"] = {"column": "participant_sex"}
    (local_run.folder / "faces.yaml").write_text(yaml.safe_dump(config))
    printed = again(local_run)
    assert "collate faces" in printed
    assert "convert faces" not in printed and "lock faces" not in printed
    assert moved(before, matrix_times(local_run)) == set()
    samples = bidsmill.open(local_run.results / "store")["faces"].samples
    assert (samples["sex"] == samples["participant_sex"]).all()


def test_a_bad_recording_can_be_made_to_fail_its_job(local_template, tmp_path):
    config = yaml.safe_load((local_template.folder / "faces.yaml").read_text())
    config["datasets"]["faces"]["on_bad_recording"] = "fail"
    config["datasets"]["faces"]["path"] = str(local_template.folder / "data")
    (tmp_path / "faces.yaml").write_text(yaml.safe_dump(config))
    run = Run(tmp_path, local_template.project)
    printed = again(run, fails=True)
    assert "on_bad_recording" in printed and "sub-11_ses-2_task-faces_run-1_eeg" in printed


def test_one_bad_dataset_does_not_stop_the_others(local_template, tmp_path):
    config = yaml.safe_load((local_template.folder / "faces.yaml").read_text())
    config["datasets"]["faces"]["path"] = str(local_template.folder / "data")
    config["datasets"]["absent"] = {**config["datasets"]["faces"], "path": "nowhere"}
    config["datasets"]["fatal"] = {
        **config["datasets"]["faces"],
        "include": {"subject": ["01"]},
        "validate": {"fatal": ["annex_pointer"]},
    }
    (tmp_path / "faces.yaml").write_text(yaml.safe_dump(config))
    run = Run(tmp_path, local_template.project)
    printed = again(run, fails=True)
    assert "the dataset's folder is missing; file: nowhere" in printed
    assert "that the config calls fatal" in printed
    assert "bidsmill: " in printed
    store = bidsmill.open(run.results / "store")
    assert list(store) == ["faces"]


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ({"windos": {}}, "unknown key 'windos'; did you mean 'windows'?"),
        ({"channels": {"types": ["EEG"]}}, "did you mean 'eeg'?"),
        ({"split": {"test": 2}}, "datasets.faces.split.test: found 2"),
    ],
)
def test_a_wrong_config_is_told_without_a_traceback(local_template, tmp_path, setting, told):
    config = yaml.safe_load((local_template.folder / "faces.yaml").read_text())
    config["datasets"]["faces"] |= setting
    (tmp_path / "faces.yaml").write_text(yaml.safe_dump(config))
    printed = again(Run(tmp_path, local_template.project), fails=True)
    assert told in printed and "Traceback" not in printed


def test_the_workflow_is_clean(sample_run):
    printed = subprocess.run(
        sample_run.command("--lint"), capture_output=True, text=True, check=False
    )
    assert printed.returncode == 0, printed.stdout + printed.stderr
