"""Stores that are damaged, and machines that are short of file descriptors."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from access_store import A_SOURCES, A_TYPES, Recording, StoreBuilder, expected_rows, samples_of
from command_stores import answer, build, manifest, pointer, run, upload

import bidsmill
from bidsmill.errors import BidsmillError

BUCKET = "damaged"
SOURCE = Path(bidsmill.__file__).parents[1]


@pytest.fixture
def store(tmp_path):
    root = tmp_path / "store"
    build(root)
    return root


@pytest.fixture(scope="module")
def bucket(s3_server, tmp_path_factory):
    """A store that was copied file by file, without any metadata."""
    root = tmp_path_factory.mktemp("damaged") / "store"
    build(root)
    upload(s3_server.client(), root, s3_server.public_bucket(BUCKET), "a/")
    return root, {"endpoint": s3_server.endpoint, "anonymous": True}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"null",
        b'{"contract": "1"}',
        b'{"contract": "1", "version": 5, "history": "x"}',
        b'{"contract": "1", "version": "../../x", "history": []}',
    ],
)
def test_a_pointer_that_is_none(store, content, tmp_path):
    (store / "datasets/faces/latest.json").write_bytes(content)
    opened = bidsmill.open(store, cache=tmp_path / "cache")
    for name in ("faces", "faces@1.0.0"):
        with pytest.raises(BidsmillError, match=r"datasets/faces/latest\.json"):
            opened[name]
    assert opened["other"].version == pointer(store, "other")["version"]


@pytest.mark.parametrize("content", [b"", b"PAR1", b"no table" * 9, pd.DataFrame({"x": [1]})])
def test_a_catalogue_that_is_none(store, content, tmp_path, capsys):
    if isinstance(content, bytes):
        (store / "catalog.parquet").write_bytes(content)
    else:
        content.to_parquet(store / "catalog.parquet")
    with pytest.raises(BidsmillError, match=r"catalogue .* damaged.*publish any dataset"):
        bidsmill.open(store, cache=tmp_path / "cache")
    code, printed, told = run(capsys, "ls", store)
    assert (code, printed) == (2, "")
    assert "publish any dataset" in told


def test_a_folder_without_a_catalogue(store):
    (store / "catalog.parquet").unlink()
    with pytest.raises(BidsmillError, match="publish any dataset"):
        bidsmill.open(store)


def test_a_bucket_without_a_catalogue(bucket, s3_server, tmp_path):
    client = s3_server.client()
    client.put_object(Bucket=BUCKET, Key="b/datasets/faces/latest.json", Body=b"{}")
    with pytest.raises(BidsmillError, match="publish any dataset"):
        bidsmill.open(f"s3://{BUCKET}/b", cache=tmp_path, **bucket[1])


def test_a_slash_at_the_end_is_the_same_store(bucket, tmp_path):
    root, connection = bucket
    opened = bidsmill.open(f"s3://{BUCKET}/a", cache=tmp_path, **connection)
    opened.pull("faces", progress=False)
    expected = bidsmill.open(root, cache=tmp_path / "own")["faces"].select(channels="common")
    for address in (f"s3://{BUCKET}/a", f"s3://{BUCKET}/a/"):
        offline = bidsmill.open(address, cache=tmp_path, offline=True)["faces"]
        found = offline.select(channels="common").arrays()
        assert found.tobytes() == expected.arrays().tobytes()


def test_a_damaged_object_is_named_as_in_the_bucket(bucket, s3_server, tmp_path):
    """The message names what is to be replaced, not a temporary file of the cache."""
    root, connection = bucket
    client = s3_server.client()
    upload(client, root, BUCKET, "c/")
    for kind in ("matrix", "samples"):
        entry = next(e for e in manifest(root, "other")["files"] if e["kind"] == kind)
        content = (root / entry["path"]).read_bytes()
        changed = content[:60] + bytes([content[60] ^ 1]) + content[61:]
        for number, wrong in enumerate((changed, content + b"x")):
            client.put_object(Bucket=BUCKET, Key=f"c/{entry['path']}", Body=wrong)
            cache = tmp_path / f"{kind}-{number}"
            with pytest.raises(BidsmillError) as caught:
                bidsmill.open(f"s3://{BUCKET}/c", cache=cache, **connection)["other"].select(
                    excluded=True
                ).arrays()
            assert caught.value.file == f"s3://{BUCKET}/c/{entry['path']}"
        client.put_object(Bucket=BUCKET, Key=f"c/{entry['path']}", Body=content)


FEW_DESCRIPTORS = """
import hashlib, resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))
import bidsmill
rows = bidsmill.open(sys.argv[1], cache=sys.argv[2])["ds"].select(excluded=True)
rows.pull(progress=False)
print(hashlib.sha256(rows.arrays().tobytes()).hexdigest())
"""


def test_more_files_than_a_process_may_open(tmp_path):
    recordings = [Recording(f"{n:03d}", A_SOURCES, A_TYPES, rows=2) for n in range(120)]
    samples = samples_of(recordings)
    builder = StoreBuilder(tmp_path / "store")
    builder.publish("ds", recordings, samples)
    done = subprocess.run(
        [sys.executable, "-c", FEW_DESCRIPTORS, str(builder.root), str(tmp_path / "cache")],
        env={"PYTHONPATH": str(SOURCE)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    expected = hashlib.sha256(expected_rows(recordings, samples).tobytes()).hexdigest()
    assert done.stdout.strip() == expected


def test_a_store_that_was_copied_is_whole(bucket, capsys):
    endpoint = ("--endpoint", bucket[1]["endpoint"], "--anonymous")
    found = answer(capsys, "verify", f"s3://{BUCKET}/a", *endpoint)
    assert (found["sound"], found["versions"], found["faults"]) == (True, 3, [])


def test_a_sample_of_a_recording_without_a_matrix(tmp_path, capsys):
    recordings = [Recording(f"{n:02d}", A_SOURCES, A_TYPES) for n in (1, 2)]
    builder = StoreBuilder(tmp_path / "store")
    samples = samples_of(recordings)
    stray = samples.iloc[:1].assign(recording="sub-77_task-faces_eeg")
    builder.publish("ds", recordings, pd.concat([samples, stray], ignore_index=True))
    with pytest.raises(BidsmillError, match="sub-77_task-faces_eeg"):
        bidsmill.open(builder.root, cache=tmp_path)["ds"].select(excluded=True).arrays()
    code, _, told = run(capsys, "pull", builder.root, "ds", "--cache", tmp_path)
    assert (code, "sub-77_task-faces_eeg" in told) == (2, True)
