"""Whole runs of the workflow, as a user starts them."""

from __future__ import annotations

import os

import pytest
import yaml
from fetching import remove_large
from runs import EVENT_WINDOWS, FIXED_WINDOWS, Run, copy_corpus
from stages import run_stages


@pytest.fixture
def no_heaps(tmp_path):
    """Remove what a test fetched: many such tests would fill the disk."""
    yield
    remove_large(tmp_path)


@pytest.fixture(scope="session")
def sample_run(tmp_path_factory, root) -> Run:
    """Return a finished run of the default config: some people, no spikes. Not to be changed."""
    run = Run(tmp_path_factory.mktemp("sample"), root)
    config = yaml.safe_load((root / "config" / "config.yaml").read_text())
    del config["simulation"]
    if not os.environ.get("BIDSMILL_LONG"):
        config["datasets"]["sample"]["include"] = {"subject": ["01", "02", "03", "04", "05", "11"]}
    (run.folder / "own.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    run.snakemake("--configfile", str(run.folder / "own.yaml"))
    return run


@pytest.fixture(scope="session")
def corpus_run(corpus, tmp_path_factory, root) -> Run:
    """Return the results of the whole corpus, every recording in windows of 0.25 s.

    Pages and stores take most of the time: without the long tests, of two datasets.
    """
    run = Run(tmp_path_factory.mktemp("corpus"), root)
    copy_corpus(corpus, run.folder)
    finished = None if os.environ.get("BIDSMILL_LONG") else ("broken", "meg_mix")
    run_stages(run.folder, FIXED_WINDOWS, finished)
    return run


@pytest.fixture(scope="session")
def corpus_events_run(corpus, tmp_path_factory, root) -> Run:
    """Return the tables and matrices of the whole corpus, windows around events."""
    run = Run(tmp_path_factory.mktemp("corpus_events"), root)
    copy_corpus(corpus, run.folder)
    run_stages(run.folder, EVENT_WINDOWS, finished=())
    return run
