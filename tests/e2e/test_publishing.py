"""The whole workflow with a store in a bucket, and with a licence that keeps a dataset out."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from runs import Run

import bidsmill

BUCKET = "whole-workflow"


@pytest.fixture
def server(s3_server, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3_server.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3_server.secret_key)
    s3_server.client().create_bucket(Bucket=BUCKET)
    return s3_server


def stored(server: Any) -> dict[str, bytes]:
    """Return every object of the bucket."""
    client = server.client()
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
    keys = [item["Key"] for page in pages for item in page.get("Contents", [])]
    return {key: client.get_object(Bucket=BUCKET, Key=key)["Body"].read() for key in keys}


def pointer(server: Any) -> dict:
    return json.loads(stored(server)["a/store/datasets/sample/latest.json"])


@pytest.mark.long
def test_the_workflow_publishes_to_a_bucket(sample_run, tmp_path, server):
    run = Run(tmp_path / "copy", sample_run.project)
    subprocess.run(["cp", "-a", str(sample_run.folder), str(run.folder)], check=True)
    config = yaml.safe_load((run.folder / "own.yaml").read_text())
    config |= {"store": f"s3://{BUCKET}/a/store", "publish": {"endpoint": server.endpoint}}
    (run.folder / "own.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    arguments = ("publish", "--configfile", str(run.folder / "own.yaml"))
    printed = run.snakemake(*arguments)
    first = pointer(server)["version"]
    assert f'bidsmill.open("{config["store"]}", endpoint="{server.endpoint}")' in printed
    local = sample_run.results / "store" / "datasets" / "sample"
    expected = {f"a/store/datasets/sample/{p.relative_to(local)}": p for p in local.rglob("*.*")}
    content = stored(server)
    assert set(content) == {*expected, "a/store/catalog.parquet", "a/store/index.html"}
    same = {key for key, path in expected.items() if content[key] == path.read_bytes()}
    assert set(expected) - same <= {"a/store/datasets/sample/latest.json"}
    dataset = bidsmill.open(config["store"], endpoint=server.endpoint, cache=tmp_path / "cache")
    assert dataset["sample"].version == first
    # Another licence: the next version is refused, and the first one stays.
    description = run.results / "sample" / "dataset.json"
    about, seen = json.loads(description.read_bytes()), description.stat()
    description.write_text(json.dumps({**about, "license": "CC BY-NC-ND 4.0"}))
    os.utime(description, ns=(seen.st_atime_ns, seen.st_mtime_ns))
    alone = ("--forcerun", "publish_dataset", "--rerun-triggers", "mtime")
    printed = run.snakemake(*arguments, *alone)
    assert "not published: its licence allows no derivatives (CC BY-NC-ND 4.0)" in printed
    assert "add to the config:  allow_license: [sample]" in printed
    assert stored(server) == content
    told = {path: path.read_bytes() for path in files_below(run.folder)} | stored(server)
    told["printed"] = printed.encode()
    assert [name for name, text in told.items() if server.secret_key.encode() in text] == []


def files_below(folder: Path) -> list[Path]:
    found = [Path(base) / name for base, _, names in os.walk(folder) for name in names]
    return [path for path in found if path.is_file()]
