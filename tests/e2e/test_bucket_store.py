"""The whole chain on a real S3 server: the workflow publishes, and people read what is there.

Publishers and servers that are killed while somebody reads: tests/unit/test_store_while_read.py.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from archive_runs import DESCRIPTION, SETTINGS, STRANGER, write_dataset
from runs import Run

import bidsmill
from bidsmill.errors import BidsmillError

BUCKET = "chain"
ADDRESS = f"s3://{BUCKET}/lab data/µ/store"
KEYS = {"access": "AWS_ACCESS_KEY_ID", "secret": "AWS_SECRET_ACCESS_KEY"}
PROFILES = ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3")


class Chain(NamedTuple):
    """A run of the workflow that has published to the bucket."""

    run: Run
    server: Any
    config: Path
    printed: str
    local: Path

    def open(self, cache: Path, **connection: Any) -> Any:
        return bidsmill.open(ADDRESS, endpoint=self.server.endpoint, cache=cache, **connection)

    def objects(self) -> dict[str, tuple]:
        """Return ETag and time of every object of the bucket."""
        pages = self.server.client().get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
        items = [item for page in pages for item in page.get("Contents", [])]
        return {item["Key"]: (item["ETag"], item["LastModified"]) for item in items}

    @contextmanager
    def allowed(self, *actions: str) -> Iterator[None]:
        """Let anyone do something: pairs of an action and what it is done to."""
        anyone = {"Effect": "Allow", "Principal": {"AWS": ["*"]}}
        statements = [
            {**anyone, "Action": [action], "Resource": [f"arn:aws:s3:::{resource}"]}
            for action, resource in zip(actions[::2], actions[1::2], strict=True)
        ]
        policy = json.dumps({"Version": "2012-10-17", "Statement": statements})
        client = self.server.client()
        client.put_bucket_policy(Bucket=BUCKET, Policy=policy)
        try:
            yield
        finally:
            client.delete_bucket_policy(Bucket=BUCKET)

    def workflow(self) -> str:
        return self.run.snakemake("--configfile", str(self.config))

    def bidsmill(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
        """Run the command, as in a terminal."""
        return subprocess.run(
            [sys.executable, "-m", "bidsmill.cli", *arguments],
            cwd=self.run.folder,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )


@pytest.fixture(scope="module")
def chain(sample_run, s3_server, tmp_path_factory):
    """Publish two datasets of which one may not be, as a user would."""
    folder = tmp_path_factory.mktemp("chain") / "run"
    subprocess.run(["cp", "-a", str(sample_run.folder), str(folder)], check=True)
    run = Run(folder, sample_run.project)
    withheld = write_dataset(folder / "withheld", ("01", "02"))
    description = {**DESCRIPTION, "License": "CC BY-NC-ND 4.0"}
    (withheld / "dataset_description.json").write_text(json.dumps(description))
    config = yaml.safe_load((folder / "own.yaml").read_text())
    config["store"] = ADDRESS
    config["publish"] = {"endpoint": s3_server.endpoint, "connections": 4}
    settings = {**SETTINGS, "split": {"fallback": "session"}}
    config["datasets"]["withheld"] = {"source": "local", "path": "withheld", **settings}
    (folder / "own.yaml").write_text(yaml.safe_dump(config, sort_keys=False, allow_unicode=True))
    with pytest.MonkeyPatch.context() as patch:
        for name in PROFILES:
            patch.delenv(name, raising=False)
        patch.setenv(KEYS["access"], s3_server.access_key)
        patch.setenv(KEYS["secret"], s3_server.secret_key)
        s3_server.client().create_bucket(Bucket=BUCKET)
        printed = run.snakemake("--configfile", str(folder / "own.yaml"))
        yield Chain(run, s3_server, folder / "own.yaml", printed, sample_run.results / "store")


def same(found: tuple, expected: tuple) -> bool:
    return found[0].tobytes() == expected[0].tobytes() and found[1] == expected[1]


def arrays(dataset: Any, **options: Any) -> tuple[np.ndarray, list[str]]:
    X, y = dataset.select(excluded=True).arrays(target="stimulus", **options)
    return X, [str(each) for each in y]


def written_rows(store: Path, dataset: Any) -> np.ndarray:
    """Return the rows of a dataset as PyArrow reads them in the local store."""
    selection = dataset.select(excluded=True)
    rows = []
    for file, row in zip(selection.samples["file"], selection.samples["row"], strict=True):
        table = pq.read_table(store / file)
        rows.append(np.stack([np.asarray(column[int(row)].values) for column in table.columns]))
    return np.stack(rows)


def test_values_are_those_of_a_local_run(chain, tmp_path):
    remote, local = chain.open(tmp_path / "cache")["sample"], bidsmill.open(chain.local)["sample"]
    assert remote.version == local.version
    found = arrays(remote)
    assert same(found, arrays(local))
    assert written_rows(chain.local, local).tobytes() == found[0].tobytes()
    assert f'bidsmill.open("{ADDRESS}", endpoint="{chain.server.endpoint}")' in chain.printed


def test_objects_are_the_files_of_a_local_run_and_nothing_tells_the_key(chain):
    client, prefix = chain.server.client(), ADDRESS.removeprefix(f"s3://{BUCKET}/")
    content = {
        key.removeprefix(f"{prefix}/"): client.get_object(Bucket=BUCKET, Key=key)["Body"].read()
        for key in chain.objects()
    }
    local = {p.relative_to(chain.local).as_posix(): p for p in chain.local.rglob("[!.]*.*")}
    assert set(content) == set(local)
    differing = {name for name, path in local.items() if content[name] != path.read_bytes()}
    # The pointer has the time of its own publication; the catalogue, that of the pointer.
    written_anew = {"datasets/sample/latest.json", "catalog.parquet", "index.html"}
    assert differing <= written_anew
    told = {path: path.read_bytes() for path in files_below(chain.run.folder)} | content
    told["printed"] = chain.printed.encode()
    secret = chain.server.secret_key.encode()
    assert [name for name, text in told.items() if secret in text] == []


def files_below(folder: Path) -> list[Path]:
    found = [Path(base) / name for base, _, names in os.walk(folder) for name in names]
    return [path for path in found if path.is_file()]


def test_a_licence_keeps_one_dataset_out_and_no_other(chain, tmp_path):
    assert "not published: its licence allows no derivatives (CC BY-NC-ND 4.0)" in chain.printed
    assert "allow_license: [withheld]" in chain.printed
    assert list(chain.open(tmp_path)) == ["sample"]
    assert not [key for key in chain.objects() if "withheld" in key]
    stated = json.loads((chain.run.results / "withheld" / "published.json").read_bytes())
    assert stated["status"] == "refused"


def test_a_wrong_key_is_told_to_people(chain):
    environment = {KEYS["secret"]: "planted-wrong-key"}
    endpoint = ("--endpoint", chain.server.endpoint)
    read = chain.bidsmill("ls", ADDRESS, *endpoint, **environment)
    assert (read.returncode, read.stdout) == (2, "")
    write = chain.bidsmill("publish", "sample", "--configfile", str(chain.config), **environment)
    assert write.returncode == 1
    for said in (read.stderr, write.stderr):
        assert "access to the bucket is denied" in said
        assert "profile" in said
        assert "Traceback" not in said
        assert "planted-wrong-key" not in said


def test_anyone_reads_what_a_policy_opens(chain, tmp_path, monkeypatch):
    for name in KEYS.values():
        monkeypatch.delenv(name)
    for name, value in STRANGER.items():
        monkeypatch.setenv(name, value)
    endpoint = ("--endpoint", chain.server.endpoint)
    with pytest.raises(BidsmillError, match="access to the bucket is denied"):
        chain.open(tmp_path / "refused")
    with chain.allowed("s3:GetObject", f"{BUCKET}/*"):
        found = arrays(chain.open(tmp_path / "cache")["sample"])
        listed = chain.bidsmill("ls", ADDRESS, *endpoint)
    assert same(found, arrays(bidsmill.open(chain.local)["sample"]))
    assert (listed.returncode, "sample" in listed.stdout) == (0, True), listed.stderr
    with chain.allowed("s3:GetObject", f"{BUCKET}/*", "s3:ListBucket", BUCKET):
        verified = chain.bidsmill("verify", ADDRESS, *endpoint)
    assert verified.returncode == 0, verified.stderr
    assert "no fault" in verified.stdout


def test_the_next_run_has_nothing_to_do(chain):
    before = chain.objects()
    assert "Nothing to be done" in chain.workflow()
    assert chain.objects() == before


@pytest.mark.long
def test_a_changed_label_is_a_new_version_of_tables_alone(chain, tmp_path):
    """Last in this file: afterwards the store has two versions."""
    before, old = chain.objects(), chain.open(tmp_path / "old")["sample"].version
    config = yaml.safe_load(chain.config.read_text())
    config["datasets"]["sample"]["labels"]["stimulus"]["hed"] = {"picture": "Face"}
    chain.config.write_text(yaml.safe_dump(config, sort_keys=False, allow_unicode=True))
    chain.workflow()
    after = chain.objects()
    sent = {key for key in after if after[key] != before.get(key)}
    assert not [key for key in sent if "/matrix/" in key]
    assert [key for key in sent if key.endswith(".parquet") and "/samples/" in key]
    assert set(before) < set(after)
    store = chain.open(tmp_path / "cache")
    new = store["sample"].version
    assert new != old
    rows, labels = expected = arrays(bidsmill.open(chain.local)["sample"])
    assert set(labels) == {"face", "scrambled"}
    faces = np.array([label == "face" for label in labels])
    assert same(arrays(store["sample"]), (rows[faces], ["picture"] * int(faces.sum())))
    assert same(arrays(store[f"sample@{old}"]), expected)
