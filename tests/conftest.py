"""Fixtures that all tests share."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from absence import absent
from servers import radosgw
from servers.authority import Authority

ROOT = Path(__file__).resolve().parents[1]


def pytest_collection_modifyitems(config, items):
    """Keep the long tests for ``make test-long`` (deselected, not skipped)."""
    if os.environ.get("BIDSMILL_LONG") or "long" in (config.getoption("markexpr") or ""):
        return
    long_tests = [item for item in items if item.get_closest_marker("long")]
    if long_tests:
        config.hook.pytest_deselected(items=long_tests)
        items[:] = [item for item in items if item not in long_tests]


@pytest.fixture(scope="session")
def root() -> Path:
    """Return the root of the project."""
    return ROOT


@pytest.fixture(scope="session")
def schema(root):
    """Return the schema of the config. Not to be changed."""
    from bidsmill.workflow.config import load_schema

    return load_schema(root / "workflow" / "schemas" / "config.schema.yaml")


@pytest.fixture(scope="session")
def torch():
    """Return PyTorch, which is not part of the pinned packages."""
    if importlib.util.find_spec("torch") is None:
        absent("torch is not installed")
    import torch

    return torch


@pytest.fixture(scope="session")
def authority(tmp_path_factory) -> Authority:
    """Return an authority that signs the certificates of test servers."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory) -> Iterator[radosgw.Radosgw]:
    """Return an S3 server for all tests: each file of them has buckets of its own."""
    if missing := radosgw.missing():
        absent(f"no S3 server: install radosgw, ceph-mon and ceph-osd ({missing} is missing)")
    with radosgw.Radosgw(tmp_path_factory.mktemp("radosgw")) as running:
        yield running


@pytest.fixture(scope="session")
def sample_dataset(tmp_path_factory) -> Path:
    """Return the embedded sample dataset. Not to be changed."""
    from bidsmill.sources.sample import write_sample

    folder = tmp_path_factory.mktemp("sample") / "data" / "faces"
    write_sample(folder)
    return folder


@pytest.fixture(scope="session")
def corpus() -> Path:
    """Return the folder of real recordings, or skip: it does not travel with the project."""
    path = Path(os.environ.get("BIDSMILL_CORPUS", ROOT.parent / "shared" / "data"))
    if not (path / "facts.json").is_file():
        absent(f"the corpus of real recordings is not at {path} (set BIDSMILL_CORPUS)")
    return path


@pytest.fixture
def corpus_copy(corpus, tmp_path):
    """Return a function that copies one dataset of the corpus and restores its broken links."""

    def copy(name: str) -> Path:
        target = tmp_path / name
        shutil.copytree(corpus / name, target, symlinks=True)
        for folder in [target, *(p for p in target.rglob("*") if p.is_dir())]:
            folder.chmod(0o755)
        for line in (corpus / "broken.symlinks.tsv").read_text().splitlines()[1:]:
            path, link = line.split("\t")
            if path.split("/")[0] == name:
                (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
                (tmp_path / path).symlink_to(link)
        return target

    return copy
