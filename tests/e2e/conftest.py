"""Whole runs of the workflow, as a user starts them."""

from __future__ import annotations

import subprocess

import pytest
import yaml
from fetching import remove_large
from runs import DATASETS, EVENT_DATASETS, Run, copy_corpus


@pytest.fixture
def no_heaps(tmp_path):
    """Remove what a test fetched: many such tests would fill the disk."""
    yield
    remove_large(tmp_path)


@pytest.fixture(scope="session")
def sample_run(tmp_path_factory, root) -> Run:
    """Return a finished run of the default config. Not to be changed."""
    run = Run(tmp_path_factory.mktemp("sample"), root)
    run.printed = run.snakemake()
    return run


@pytest.fixture
def copied_run(sample_run, tmp_path) -> Run:
    """Return a copy of the finished run of the default config, with its times, to be changed."""
    folder = tmp_path / "copy"
    subprocess.run(["cp", "-a", str(sample_run.folder), str(folder)], check=True)
    return Run(folder, sample_run.project)


@pytest.fixture(scope="session")
def corpus_run(corpus, tmp_path_factory, root) -> Run:
    """Return a finished run over the whole corpus, every recording in windows of 0.25 s."""
    run = Run(tmp_path_factory.mktemp("corpus"), root)
    copy_corpus(corpus, run.folder)
    config = {
        "datasets": {
            name: {"source": "local", "path": name, "labels": {"task_name": {"column": "task"}}}
            for name in DATASETS
        },
        "defaults": {"windows": {"kind": "fixed", "length": 0.25}, "split": {"fallback": "time"}},
    }
    config["datasets"]["uci_alcoholism"]["labels"] = {"group": {"column": "participant_group"}}
    path = run.folder / "fixed.yaml"
    path.write_text(yaml.safe_dump(config))
    run.printed = run.snakemake("--configfile", str(path))
    return run


@pytest.fixture(scope="session")
def corpus_events_run(corpus, tmp_path_factory, root) -> Run:
    """Return a finished run over the whole corpus, windows around events."""
    run = Run(tmp_path_factory.mktemp("corpus_events"), root)
    copy_corpus(corpus, run.folder)
    config = {"datasets": {}}
    for name, settings in EVENT_DATASETS.items():
        config["datasets"][name] = {"source": "local", "path": name, **settings}
        config["datasets"][name]["windows"] = {"kind": "events", **settings["windows"]}
    path = run.folder / "events.yaml"
    path.write_text(yaml.safe_dump(config))
    run.printed = run.snakemake("--configfile", str(path))
    return run
