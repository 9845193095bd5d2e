"""The promises of the pipeline: identical bytes, only what changed is done again, clear errors."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest
import yaml
from archive_runs import put
from runs import Run

import bidsmill
from bidsmill.formats import tables

LONG = bool(os.environ.get("BIDSMILL_LONG"))
SUBJECTS = ["01", "02", "03", "11"]


@pytest.fixture(scope="module")
def local_template(sample_dataset, root, tmp_path_factory) -> Run:
    """Return a finished run over a local copy of four subjects of the sample."""
    folder = tmp_path_factory.mktemp("local")
    data = folder / "data"
    shutil.copytree(sample_dataset, data)
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
    run = Run(folder, root)
    run.snakemake("--configfile", str(folder / "faces.yaml"))
    return run


@pytest.fixture
def local_run(local_template, tmp_path) -> Run:
    """Return a copy of that run, with its times, to be changed.

    The data are linked: what was seen of them when they were locked (size, time, inode) holds for
    the copy. So a test replaces files of the data, by `put`, and never writes into them.
    """
    folder = tmp_path / "local"
    return copy_of(local_template, folder)


def copy_of(run: Run, folder: Path) -> Run:
    """Return a copy of a run over local data, which it shares."""
    folder.mkdir()
    for path in run.folder.iterdir():
        how = "-al" if path.name == "data" else "-a"
        subprocess.run(["cp", how, str(path), str(folder)], check=True)
    return Run(folder, run.project)


def again(run: Run, *arguments: str, **options) -> str:
    return run.snakemake(*arguments, "--configfile", str(run.folder / "faces.yaml"), **options)


def matrix_times(run: Run, dataset: str = "faces") -> dict[str, int]:
    folder = run.results / dataset / "matrix"
    return {path.name: path.stat().st_mtime_ns for path in sorted(folder.iterdir())}


def moved(before: dict[str, int], after: dict[str, int]) -> set[str]:
    return {name.split(".")[0] for name in before | after if before.get(name) != after.get(name)}


# Up to here everything is done that a test may look at; split, page and store come later.
TABLES = "results/faces/recordings.tsv"
# What some tests go as far as: in the long ones, to the store.
AS_FAR = [] if LONG else [TABLES]
STEM = "sub-01_ses-1_task-faces_run-1_eeg"
EVENTS = "data/sub-01/ses-1/eeg/sub-01_ses-1_task-faces_run-1_events.tsv"


def text_of(run: Run, name: str) -> str:
    return (run.folder / name).read_text()


# While a run makes the files of the next stages it is killed.
KILLED_AFTER = ("lock.json", "fetch/b0000.json", "samples.parquet")


@pytest.mark.parametrize("round_", range(6 if LONG else 1))
@pytest.mark.parametrize(
    ("signs", "cores"),
    [
        ({1: signal.SIGTERM, 2: signal.SIGKILL}, 2),
        pytest.param(dict.fromkeys(range(3), signal.SIGKILL), 2, marks=pytest.mark.long),
        pytest.param(dict.fromkeys(range(3), signal.SIGTERM), 1, marks=pytest.mark.long),
    ],
    ids=["both", "SIGKILL", "SIGTERM"],
)
def test_a_killed_run_goes_on_to_the_same_bytes(local_template, tmp_path, signs, cores, round_):
    """Kill a run some times, each time later in its course; then let it end."""
    run = Run(tmp_path, local_template.project)
    link = ["cp", "-al", str(local_template.folder / "data"), str(tmp_path / "data")]
    subprocess.run(link, check=True)
    shutil.copy(local_template.folder / "faces.yaml", tmp_path)
    chance = random.Random(f"{signs} {round_}")
    for moment, sign in signs.items():
        process = run.start("--configfile", str(tmp_path / "faces.yaml"), cores=cores)
        seen = run.results / "faces" / KILLED_AFTER[moment]
        while process.poll() is None and not seen.exists():
            time.sleep(0.02)
        assert process.poll() is None, process.communicate()[0]
        time.sleep(chance.uniform(0.0, 1.5))
        os.killpg(process.pid, sign)
        process.communicate(timeout=120)
        if sign == signal.SIGKILL:
            again(run, "--unlock")
    again(run, cores=cores)
    assert run.bytes_of_results() == local_template.bytes_of_results()


@pytest.mark.long
def test_changed_events_convert_one_recording_again(local_run):
    before = matrix_times(local_run)
    lines = text_of(local_run, EVENTS).splitlines(keepends=True)
    face = next(i for i, line in enumerate(lines) if "\tface\t" in line)
    cells = lines[face].split("\t")
    cells[0] = repr(float(cells[0]) + 0.1)
    lines[face] = "\t".join(cells)
    put(local_run.folder, EVENTS, "".join(lines))
    assert "Nothing to be done" in again(local_run, "--dry-run")
    again(local_run, TABLES, "--forcerun", "lock")
    total = len([name for name in before if name.endswith(".json")])
    assert f"annotated 1, unchanged {total - 1}" in local_run.log("faces", "annotate.b0000")
    assert f"converted 1, unchanged {total - 1}" in local_run.log("faces", "convert.b0000")
    assert moved(before, matrix_times(local_run)) == {STEM}
    samples = tables.read_parquet(local_run.results / "faces" / "samples.parquet")
    own = samples[samples["recording"] == STEM]
    assert float(cells[0]) in set(own["onset"])
    assert "Nothing to be done" in again(local_run, TABLES, "--dry-run")


def test_changed_labels_convert_nothing_and_news_add_and_remove_recordings(local_run):
    """Labels of sub-01 are exchanged, sub-02 goes, sub-90 comes, all of it at once."""
    before = matrix_times(local_run)
    store = local_run.results / "store"
    old = bidsmill.open(store)["faces"]
    text = text_of(local_run, EVENTS)
    face, scrambled = text.count("\tface\t"), text.count("\tscrambled\t")
    text = text.replace("\tface\t", "\t#\t").replace("\tscrambled\t", "\tface\t")
    put(local_run.folder, EVENTS, text.replace("\t#\t", "\tscrambled\t"))
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
    came = len([name for name in after if name.startswith("sub-90") and name.endswith(".json")])
    assert came and f"converted {came}, " in local_run.log("faces", "convert.b0000")
    new = bidsmill.open(store)["faces"]
    assert new.version != old.version
    assert set(new.samples["subject"]) == {"01", "03", "11", "90"}
    own = new.samples[new.samples["recording"] == STEM]
    assert (own["stimulus"] == "face").sum() == scrambled
    assert (own["stimulus"] == "scrambled").sum() == face
    still = bidsmill.open(store)[f"faces@{old.version}"]
    assert still.samples["stimulus"].tolist() == old.samples["stimulus"].tolist()


def test_what_changed_after_the_lock_is_never_mixed_in(local_run):
    """Change files behind the lock's back, then put them back: a lock ends the quarantine."""
    clean, text = local_run.bytes_of_results(), text_of(local_run, EVENTS)
    put(local_run.folder, EVENTS, text.replace("\tface\t", "\tfish\t"))
    config = local_run.folder / "faces.yaml"
    wanted = config.read_text()
    config.write_text(
        wanted.replace("[face, scrambled]", "[face]").replace("- scrambled", "- fish")
    )
    again(local_run, TABLES)
    recordings = tables.read_tsv(local_run.results / "faces" / "recordings.tsv")
    fates = dict(zip(recordings["recording"], recordings["reason"], strict=True))
    assert fates.pop(STEM) == "source_changed"
    assert set(fates.values()) == {"", "content_not_fetched"}
    assert "fish" not in (local_run.results / "faces" / "events.tsv").read_text()
    put(local_run.folder, EVENTS, text)
    config.write_text(wanted)
    again(local_run, *AS_FAR, "--forcerun", "lock")
    found = local_run.bytes_of_results()
    # A plan counts how often its batch was asked to run again.
    kept = {name: content for name, content in clean.items() if "/plan/" not in name}
    assert kept.items() <= found.items()
    participants = text_of(local_run, "data/participants.tsv")
    put(local_run.folder, "data/participants.tsv", participants + "sub-77\t30\n")
    printed = again(local_run, *AS_FAR, "--forcerun", "collate", fails=True)
    assert "participants.tsv is not the file that was locked" in printed


def test_a_lost_matrix_is_noticed_and_the_named_command_makes_that_recording_alone(local_run):
    matrix = local_run.results / "faces" / "matrix" / f"{STEM}.parquet"
    content, before = matrix.read_bytes(), matrix_times(local_run)
    matrix.unlink()
    printed = again(local_run, *AS_FAR, "--forcerun", "collate", fails=True)
    command = f"-f results/faces/matrix/{STEM}.json"
    assert command in printed
    again(local_run, *command.split())
    assert moved(before, matrix_times(local_run)) == {STEM}
    assert matrix.read_bytes() == content
    again(local_run, *AS_FAR)
    assert moved(before, matrix_times(local_run)) == {STEM}
    assert matrix.read_bytes() == content
    assert "Nothing to be done" in again(local_run, *AS_FAR, "--dry-run")


@pytest.fixture
def clone(local_run, tmp_path) -> Run:
    """Return the run with a fresh copy of the project: every file of it is new.

    So is every file of the data, but it is as old as it was.
    """
    project = tmp_path / "clone"
    project.mkdir()
    for name in ("src", "workflow", "config", "envs", "profiles"):
        shutil.copytree(
            local_run.project / name, project / name, ignore=shutil.ignore_patterns("__pycache__")
        )
    shutil.copy(local_run.project / "Snakefile", project)
    data = local_run.folder / "data"
    subprocess.run(["cp", "-a", str(data), str(tmp_path / "data")], check=True)
    shutil.rmtree(data)
    (tmp_path / "data").rename(data)
    return Run(local_run.folder, project)


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_a_fresh_clone_comments_and_touched_files_run_nothing_and_changed_code_its_stage(clone):
    before = matrix_times(clone)
    for path in [*clone.project.rglob("*"), *clone.results.rglob("*.json")]:
        os.utime(path)
    for path in (clone.folder / "data").rglob("*"):
        os.utime(path, follow_symlinks=False)
    assert "Nothing to be done" in again(clone, "--dry-run")
    for script in (clone.project / "workflow" / "scripts").glob("*.py"):
        script.write_text("# another comment\n" + script.read_text())
    for module in (clone.project / "src").rglob("*.py"):
        module.write_text(module.read_text() + "\n# another comment\n")
    windows = clone.project / "src/bidsmill/convert/windows.py"
    edit(windows, "Place one window around each event.", "Another docstring.")
    assert "Nothing to be done" in again(clone, "--dry-run")
    edit(clone.project / "src/bidsmill/split/groups.py", "def ", "ANOTHER_CONSTANT = 1\n\n\ndef ")
    printed = again(clone, "--dry-run")
    assert "split faces" in printed and "convert faces" not in printed
    edit(windows, "import numpy as np\n", "import numpy as np\n\nANOTHER_CONSTANT = 1\n")
    printed = again(clone, TABLES)
    assert "convert faces" in printed and "annotate faces" not in printed
    converted = [name for name in before if name.endswith(".parquet")]
    assert len([n for n in converted if before[n] != matrix_times(clone)[n]]) == len(converted)


def test_other_settings_rerun_what_depends_on_them(local_run):
    before = matrix_times(local_run)
    config = yaml.safe_load((local_run.folder / "faces.yaml").read_text())
    config["datasets"]["faces"]["labels"]["sex"] = {"column": "participant_sex"}
    (local_run.folder / "faces.yaml").write_text(yaml.safe_dump(config))
    printed = again(local_run, TABLES)
    assert "collate faces" in printed
    assert "convert faces" not in printed and "lock faces" not in printed
    assert moved(before, matrix_times(local_run)) == set()
    samples = tables.read_parquet(local_run.results / "faces" / "samples.parquet")
    assert (samples["sex"] == samples["participant_sex"]).all()


@pytest.fixture
def with_bad_ones(local_template, tmp_path) -> Run:
    """Return a run, not yet made, over one dataset that is well and two that are not."""
    config = yaml.safe_load((local_template.folder / "faces.yaml").read_text())
    faces = {**config["datasets"]["faces"], "path": str(local_template.folder / "data")}
    config["datasets"] = {
        "faces": faces,
        "absent": {**faces, "path": "nowhere"},
        # A finding can stop a dataset; a bad recording can be made to fail its job.
        "strict": {
            **faces,
            "include": {"subject": ["11"]},
            "validate": {"fatal": ["annex_pointer"]},
            "on_bad_recording": "fail",
        },
    }
    (tmp_path / "faces.yaml").write_text(yaml.safe_dump(config))
    return Run(tmp_path, local_template.project)


def test_bad_datasets_do_not_stop_the_others(with_bad_ones):
    run = with_bad_ones
    printed = again(run, fails=True)
    assert "the dataset's folder is missing; file: nowhere" in printed
    assert "that the config calls fatal" in printed
    assert "on_bad_recording" in printed and "sub-11_ses-2_task-faces_run-1_eeg" in printed
    assert "bidsmill: " in printed
    failures = tables.read_tsv(run.results / "failures.tsv")
    told = set(zip(failures["dataset"], failures["rule"], failures["job"], strict=True))
    assert told == {("absent", "lock", ""), ("strict", "validate", ""), ("strict", "convert", "")}
    for log, reason in zip(failures["log"], failures["reason"], strict=True):
        assert reason in (run.folder / log).read_text()
    store = bidsmill.open(run.results / "store")
    assert list(store) == ["faces"]


@pytest.mark.long
def test_bad_datasets_do_not_stop_the_others_one_after_the_other(with_bad_ones):
    run = with_bad_ones
    command = [sys.executable, "-m", "bidsmill.cli", "run", "absent", "faces", "--at-once", "1"]
    done = subprocess.run(
        [*command, "--configfile", "faces.yaml", "--cores", "2"],
        cwd=run.folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr[-3000:]
    assert "2 datasets: 1 done, 1 failed" in done.stdout
    assert "found: absent" in done.stderr and "Traceback" not in done.stderr
    failures = tables.read_tsv(run.results / "failures.tsv")
    assert list(zip(failures["dataset"], failures["rule"], strict=True)) == [("absent", "lock")]


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ({"windos": {}}, "unknown key 'windos'; did you mean 'windows'?"),
        pytest.param(
            {"channels": {"types": ["EEG"]}}, "did you mean 'eeg'?", marks=pytest.mark.long
        ),
        pytest.param(
            {"split": {"test": 2}}, "datasets.faces.split.test: found 2", marks=pytest.mark.long
        ),
    ],
)
def test_a_wrong_config_is_told_without_a_traceback(local_template, tmp_path, setting, told):
    config = yaml.safe_load((local_template.folder / "faces.yaml").read_text())
    config["datasets"]["faces"] |= setting
    (tmp_path / "faces.yaml").write_text(yaml.safe_dump(config))
    printed = again(Run(tmp_path, local_template.project), fails=True)
    assert told in printed and "Traceback" not in printed


def test_the_workflow_is_clean(local_template):
    printed = subprocess.run(
        local_template.command("--lint"), capture_output=True, text=True, check=False
    )
    assert printed.returncode == 0, printed.stdout + printed.stderr


def test_the_report_of_snakemake_holds_the_pages_and_their_captions(local_template, tmp_path):
    target = tmp_path / "report.zip"
    config = str(local_template.folder / "faces.yaml")
    local_template.snakemake("--configfile", config, "--report", str(target), cores=1)
    with zipfile.ZipFile(target) as archive:
        inside = {name: archive.read(name) for name in archive.namelist()}
    page = (local_template.results / "faces" / "report.html").read_bytes()
    held = set(inside.values())
    table = (local_template.results / "faces" / "recordings.tsv").read_bytes()
    assert page in held and table in held
    text = b"".join(own for name, own in inside.items() if name.endswith("report.html")).decode()
    for caption in ("Which groups of", "fate of every recording", "what validation found"):
        assert caption in text
