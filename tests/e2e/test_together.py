"""Datasets that are split at once: the rules, and the store that comes of them."""

from __future__ import annotations

import contextlib
from pathlib import Path

import yaml
from archive_runs import SETTINGS, write_dataset
from runs import Run
from stages import ROOT, Stages

import bidsmill
from bidsmill.cli import main
from bidsmill.formats import files, tables
from bidsmill.workflow.config import load_schema, resolve

# sub-01 and sub-1 are one person: `write_dataset` gives them the same signals.
SUBJECTS = {"one": ("01", "02", "03", "04", "05"), "two": ("06", "07", "08", "1")}
PERSON = {"one": "01", "two": "1"}
TARGETS = ("results/one/split.json", "results/two/split.json")


def side_of(samples, subject: str) -> set[str]:
    return set(samples.loc[samples["subject"] == subject, "split"])


def _side_alone(results: Path, subject: str) -> str:
    """Return where somebody stands if each dataset is split by itself, and remove that split."""
    table = tables.read_tsv(results / "split.tsv").set_index("group")
    for name in ("split.tsv", "split.json"):
        (results / name).unlink()
    return table["split"][f"sub-{subject}"]


def test_one_person_in_two_datasets_is_on_one_side_in_the_store(tmp_path):
    config = {
        "datasets": {name: {"source": "local", "path": name, **SETTINGS} for name in SUBJECTS},
        "same_subject": [["one/sub-01", "two/sub-1"]],
        "together": {"both": ["one", "two"]},
        "allow_license": list(SUBJECTS),
    }
    for name, subjects in SUBJECTS.items():
        write_dataset(tmp_path / name, subjects)
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(config))
    known = resolve(config, load_schema(ROOT / "workflow/schemas/config.schema.yaml"))
    stages = [Stages(name, known) for name in SUBJECTS]
    with contextlib.chdir(tmp_path):
        for stage in stages:
            stage.lock_and_fetch()
            stage.convert()
            stage.collate()
            stage.split()
    alone = [_side_alone(tmp_path / "results" / name, person) for name, person in PERSON.items()]
    assert alone[0] != alone[1]
    run = Run(tmp_path, ROOT)
    # The stages before were made without Snakemake, which therefore knows nothing but their times.
    options = ("--configfile", str(tmp_path / "own.yaml"), "--rerun-triggers", "mtime")
    printed = run.snakemake(*TARGETS, *options)
    assert "split together both" in printed and "3 of 3 steps" in printed
    assert "Nothing to be done" in run.snakemake(*TARGETS, *options, "--dry-run")
    with contextlib.chdir(tmp_path):
        for stage in stages:
            stage.finish()
    store = bidsmill.open(run.results / "store")
    sides = [side_of(store[name].samples, subject) for name, subject in PERSON.items()]
    assert sides[0] == sides[1] and len(sides[0]) == 1
    table = tables.read_tsv(run.results / "together" / "both.tsv")
    for name, subjects in SUBJECTS.items():
        stated = table[table["dataset"] == name].set_index("group")["split"]
        assert {f"sub-{s}": {stated[f"sub-{s}"]} for s in subjects} == {
            f"sub-{s}": side_of(store[name].samples, s) for s in subjects
        }
    record = files.read_json(run.results / "together" / "both.json")
    assert record["merged"] == [["one/sub-01", "two/sub-1"]]
    assert main(["audit", str(run.results / "store")]) == 0
