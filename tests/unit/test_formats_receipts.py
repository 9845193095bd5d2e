"""Receipts say what is up to date, and manifests repeat them without fingerprints."""

from __future__ import annotations

import json

import pytest

from bidsmill.formats import receipts


@pytest.fixture
def receipt(tmp_path):
    """A receipt of one recording with two files."""
    (tmp_path / "a.parquet").write_bytes(b"12345")
    (tmp_path / "a.tsv").write_bytes(b"")
    content = {
        "status": "converted",
        "files": {"a.parquet": {"size": 5, "sha256": "x"}, "a.tsv": {"size": 0, "sha256": "y"}},
        "detail": {"rows": list(range(5))},
    }
    receipts.write_receipt(tmp_path / "a.json", "wanted", content)
    return tmp_path / "a.json"


def test_a_receipt_is_current(receipt):
    found = receipts.current_receipt(receipt, "wanted")
    assert found == json.loads(receipt.read_bytes())
    assert found["fingerprint"] == "wanted"


def test_another_fingerprint_is_stale(receipt):
    assert receipts.current_receipt(receipt, "other") is None


def test_a_missing_file_is_stale(receipt):
    receipt.with_name("a.tsv").unlink()
    assert receipts.current_receipt(receipt, "wanted") is None


@pytest.mark.parametrize("content", [b"", b"1234", b"123456"])
def test_a_file_of_another_size_is_stale(receipt, content):
    receipt.with_name("a.parquet").write_bytes(content)
    assert receipts.current_receipt(receipt, "wanted") is None


def test_sizes_alone_are_looked_at(receipt):
    """Reading every matrix at every run would cost what the receipt saves; publishing reads."""
    receipt.with_name("a.parquet").write_bytes(b"54321")
    assert receipts.current_receipt(receipt, "wanted") is not None


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"3", b"null", b'{"status": "converted"}'])
def test_what_is_no_receipt_is_stale(receipt, content):
    receipt.write_bytes(content)
    assert receipts.read_receipt(receipt) is None
    assert receipts.current_receipt(receipt, "wanted") is None


def test_a_receipt_that_is_not_there(tmp_path):
    assert receipts.current_receipt(tmp_path / "no.json", "wanted") is None


def test_a_manifest_moves_with_the_detail_and_not_with_the_fingerprint(receipt):
    content = json.loads(receipt.read_bytes())
    entry = receipts.manifest_entry(content)
    assert set(entry) == {"status", "files", "detail_sha256"}
    assert receipts.manifest_entry({**content, "fingerprint": "other"}) == entry
    other = receipts.manifest_entry({**content, "detail": {"rows": [0, 1, 2, 3, 5]}})
    assert other["detail_sha256"] != entry["detail_sha256"]
    assert set(receipts.manifest_entry({"fingerprint": "x", "status": "s"})) == {"status"}
