"""An audit of a store in a bucket finds what an audit of the same store in a folder finds."""

from __future__ import annotations

from pathlib import Path

import pytest
from audit_cases import Published, people
from command_stores import answer, upload
from test_split_audit import one_and_other, with_copy

from bidsmill.errors import BidsmillError
from bidsmill.split.audit.material import from_store
from bidsmill.split.audit.run import audit_materials, audit_store
from bidsmill.split.audit.stored import Lost, StoredFiles
from bidsmill.storage.addresses import open_storage


@pytest.fixture(scope="module")
def leaking(tmp_path_factory) -> Path:
    """Return a store with a clean dataset, one with a copied signal, and one that is damaged."""
    root = tmp_path_factory.mktemp("audited") / "store"
    with_copy(root, lambda train: train.rows)
    Published(root, people(4, seed=5), dataset="clean").publish()
    damaged = Published(root, people(5, seed=9), dataset="damaged").publish()
    names = [f"{damaged.recordings[i].name}.parquet" for i in one_and_other(damaged)]
    damaged.paths[names[0]].unlink()
    content = bytearray(damaged.paths[names[1]].read_bytes())
    content[40] ^= 1
    damaged.paths[names[1]].write_bytes(content)
    damaged.paths["README.md"].write_text("# another\n")
    return root


@pytest.fixture
def temporary(tmp_path, monkeypatch) -> Path:
    """Return the folder for temporary files."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


@pytest.fixture(scope="module")
def connection(leaking, s3_server) -> dict:
    """Return how the bucket with the same store is reached."""
    upload(s3_server.client(), leaking, s3_server.public_bucket("audited"), "store/")
    return {"endpoint": s3_server.endpoint, "anonymous": True}


def test_the_findings_are_those_of_the_folder(leaking, connection, temporary, capsys):
    expected = audit_store(leaking)
    assert {f.code for f in expected} >= {"same_signal", "file_missing", "file_changed"}
    assert audit_store("s3://audited/store", connection=connection) == expected
    assert list(temporary.iterdir()) == []
    reached = ["--endpoint", connection["endpoint"], "--anonymous"]
    for dataset, code in (("clean", 0), ("damaged", 1)):
        arguments = ["audit", "s3://audited/store", dataset, *reached]
        assert answer(capsys, *arguments, code=code) == answer(
            capsys, "audit", leaking, dataset, code=code
        )


def test_copies_take_no_more_room_than_they_may(leaking, connection, temporary):
    storage = open_storage("s3://audited/store", **connection)
    sizes = [path.stat().st_size for path in leaking.rglob("*.parquet")]
    with StoredFiles(storage, limit=2 * max(sizes)) as stored:
        materials = [from_store(stored, name) for name in stored.datasets()]
        kept = [path.stat().st_size for path in temporary.rglob("*") if path.is_file()]
        assert 1 < len(kept) < len(sizes) and sum(kept) <= 2 * max(sizes)
        assert audit_materials(materials) == audit_store(leaking)
    assert list(temporary.iterdir()) == []


def test_a_bucket_that_is_closed_meanwhile_is_no_leak(leaking, s3_server, temporary):
    address = f"s3://{s3_server.public_bucket('audited-closed')}"
    client = s3_server.client()
    upload(client, leaking, "audited-closed")
    storage = open_storage(address, endpoint=s3_server.endpoint, anonymous=True)
    with StoredFiles(storage, limit=1) as stored:
        material = from_store(stored, "clean")
        client.delete_bucket_policy(Bucket="audited-closed")
        with pytest.raises(Lost, match="denied"):
            audit_materials([material])
    with pytest.raises(BidsmillError, match="denied"):
        audit_store(address, connection={"endpoint": s3_server.endpoint, "anonymous": True})


def test_a_dataset_that_the_bucket_does_not_have(connection, temporary):
    with pytest.raises(BidsmillError, match="clean, damaged, ds"):
        audit_store("s3://audited/store", ["claen"], connection=connection)
    with pytest.raises(BidsmillError, match="no store with datasets"):
        audit_store("s3://audited/stroe", connection=connection)
    assert list(temporary.iterdir()) == []
