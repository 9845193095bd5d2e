"""Whole runs of the workflow, as a user starts them."""

from __future__ import annotations

import subprocess

import pytest
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
    """Return the results of the whole corpus, every recording in windows of 0.25 s."""
    run = Run(tmp_path_factory.mktemp("corpus"), root)
    copy_corpus(corpus, run.folder)
    run_stages(run.folder, FIXED_WINDOWS)
    return run


@pytest.fixture(scope="session")
def corpus_events_run(corpus, tmp_path_factory, root) -> Run:
    """Return the tables and matrices of the whole corpus, windows around events."""
    run = Run(tmp_path_factory.mktemp("corpus_events"), root)
    copy_corpus(corpus, run.folder)
    run_stages(run.folder, EVENT_WINDOWS, tables_only=True)
    return run
