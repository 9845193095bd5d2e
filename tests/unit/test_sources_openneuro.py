"""OpenNeuro's listings, from a server that speaks its GraphQL, against the files themselves."""

from __future__ import annotations

import hashlib
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from archive_data import blob, make_dataset, settings
from servers.archive import Archive

from bidsmill.errors import BidsmillError
from bidsmill.sources import openneuro

ID = "ds900001"


@pytest.fixture
def folders(tmp_path) -> dict[str, Path]:
    old = make_dataset(tmp_path / "old")
    new = make_dataset(tmp_path / "new", subjects=("01", "02", "03"))
    return {"1.0.0": old, "1.1.0": new}


@pytest.fixture
def archive(folders):
    with Archive({ID: folders, "ds900002": {"2.0.0": folders["1.0.0"]}}) as server:
        yield server


def listed(archive, dataset=ID, **extra):
    return openneuro.list_dataset(dataset, settings(endpoint=archive.graphql, **extra))


def check_against(listing, folder: Path):
    """Every file of the folder is listed with what its bytes say."""
    entries = {entry["path"]: entry for entry in listing.files}
    files = [p for p in folder.rglob("*") if p.is_file() or p.is_symlink()]
    assert set(entries) == {p.relative_to(folder).as_posix() for p in files}
    for path, entry in entries.items():
        file = folder / path
        if file.is_symlink():
            assert entry == {"path": path, "size": 0, "checksum": None}
            continue
        content = file.read_bytes()
        assert entry["size"] == len(content)
        algorithm, _, digest = entry["checksum"].partition(":")
        expected = blob(content) if algorithm == "git" else hashlib.new(algorithm, content)
        assert digest == (expected if isinstance(expected, str) else expected.hexdigest())
        with urllib.request.urlopen(entry["url"]) as answer:
            assert answer.read() == content


def test_every_file_with_size_checksum_and_bytes(archive, folders):
    listing = listed(archive, version="1.0.0")
    check_against(listing, folders["1.0.0"])
    assert listing.snapshot == "1.0.0"
    assert listing.source == {"kind": "openneuro", "id": ID}
    assert listing.facts == {"license": "CC0", "authors": ["A. One", "B. Two"], "doi": "10.1/x"}
    kinds = {entry["checksum"].split(":")[0] for entry in listing.files if entry["checksum"]}
    assert kinds == {"sha256", "md5", "git"}


def test_the_latest_snapshot_is_taken_without_a_version(archive, folders):
    listing = listed(archive)
    assert listing.snapshot == "1.1.0"
    check_against(listing, folders["1.1.0"])


def test_another_id_than_that_of_the_config(archive):
    assert listed(archive, dataset="faces", id="ds900002").snapshot == "2.0.0"


@pytest.mark.parametrize("fault", ["folders", "no_recursive", "slow"])
def test_folder_by_folder_gives_the_same(archive, folders, fault):
    whole = listed(archive, version="1.1.0")
    archive.listing = fault
    by_folder = listed(archive, version="1.1.0", retries=0)
    assert sorted(by_folder.files, key=str) == sorted(whole.files, key=str)
    # One request for the root, and one for each folder.
    folders_below = [p for p in folders["1.1.0"].rglob("*") if p.is_dir()]
    asked = [r for r in archive.requests if "query folder" in r.query]
    assert len(asked) == len(folders_below) + (fault != "folders")


@pytest.mark.parametrize(
    "fault", ["no_subject", "empty", "null", "errors", "no_description", "no_size"]
)
def test_less_than_the_whole_snapshot_is_an_error(archive, fault):
    archive.listing = fault
    with pytest.raises(BidsmillError, match="partial listing"):
        listed(archive, retries=0)


def test_an_empty_folder_is_one_that_was_not_read(archive):
    archive.listing = "empty_folder"
    with pytest.raises(BidsmillError, match=r"partial listing.*a folder without files"):
        listed(archive)


def test_subjects_are_those_of_the_summary(archive, folders):
    archive.listing = "no_subject"
    with pytest.raises(BidsmillError, match=r"1 of 3 subjects, e\.g\. sub-03"):
        listed(archive)


def test_a_file_without_address_has_none(archive):
    archive.listing = "no_urls"
    listing = listed(archive)
    assert not any("url" in entry for entry in listing.files)
    # Nothing could be tried, so that only annexed files have a checksum.
    kinds = {(entry["checksum"] or "none").split(":")[0] for entry in listing.files}
    assert kinds == {"sha256", "md5", "none"}


def test_ids_that_are_no_blobs_are_not_taken_for_checksums(archive, folders):
    archive.ids = "path"
    without = 0
    for entry in listed(archive, version="1.0.0").files:
        assert not (entry["checksum"] or "").startswith("git:")
        if entry["checksum"] is None and "url" in entry:
            # What tells old from new in its place: the version of the object.
            content = (folders["1.0.0"] / entry["path"]).read_bytes()
            assert entry["version"] == hashlib.sha256(content).hexdigest()
            without += 1
    assert without > 3


def test_the_probe_does_without_the_description(archive):
    archive.missing.add("dataset_description.json")
    kinds = {(entry["checksum"] or "none").split(":")[0] for entry in listed(archive).files}
    assert "git" in kinds


def test_a_probe_without_answer_is_an_error(archive):
    archive.fail(2, only="dataset_description.json")
    with pytest.raises(BidsmillError, match="503"):
        listed(archive, retries=1)


def test_busy_servers_are_asked_again(archive):
    archive.fail(1, status=503, only="/crn/graphql")
    archive.fail(1, status=429, only="/crn/graphql", retry_after="0")
    assert listed(archive, retries=3).snapshot == "1.1.0"
    assert [r.status for r in archive.requests[:3]] == [503, 429, 200]


def test_a_server_that_stays_busy_is_named(archive):
    archive.fail(9, status=503, only="/crn/graphql")
    with pytest.raises(BidsmillError, match="503") as problem:
        listed(archive, retries=1)
    assert archive.graphql in str(problem.value)
    assert archive.count("/crn/graphql") == 2


def test_signed_addresses_are_not_kept(archive, folders, caplog):
    caplog.set_level("DEBUG")
    archive.signed_for = 60
    archive.missing.add("dataset_description.json")
    listing = listed(archive)
    assert "X-Amz" not in repr(listing)
    # Nor do they reach a log, where one of them is refused.
    assert "dataset_description.json of ds900001 cannot be read" in caplog.text
    assert "X-Amz" not in caplog.text
    archive.missing.clear()
    assert all("url" not in entry for entry in listing.files)
    signed = {entry["path"] for entry in listing.files if entry.get("signed")}
    fresh = openneuro.addresses(ID, settings(endpoint=archive.graphql, version=listing.snapshot))
    assert set(fresh) == signed
    for path, url in fresh.items():
        with urllib.request.urlopen(url) as answer:
            assert answer.read() == (folders["1.1.0"] / path).read_bytes()


def test_addresses_end_and_are_renewed(archive):
    archive.signed_for = -1
    options = settings(endpoint=archive.graphql)
    ended = openneuro.addresses(ID, options)["dataset_description.json"]
    with pytest.raises(urllib.error.HTTPError, match="403") as answer:
        urllib.request.urlopen(ended)
    assert b"Request has expired" in answer.value.read()
    archive.signed_for = 60
    with urllib.request.urlopen(openneuro.addresses(ID, options)["dataset_description.json"]) as ok:
        assert ok.status == 200


def test_an_unknown_snapshot_names_those_there_are(archive):
    with pytest.raises(BidsmillError, match=r"no snapshot 9\.9\.9.*1\.0\.0, 1\.1\.0"):
        listed(archive, version="9.9.9")


def test_an_unknown_dataset(archive):
    with pytest.raises(BidsmillError, match="no public dataset ds999999"):
        listed(archive, dataset="ds999999")
    with pytest.raises(BidsmillError, match="no public dataset ds999999"):
        listed(archive, dataset="ds999999", version="1.0.0")


@pytest.mark.parametrize("name", ["ds1", "nm000132", "ds90000\uff11", "ds900001\n", "../ds900001"])
def test_ids_are_checked(archive, name):
    with pytest.raises(BidsmillError, match="six digits"):
        listed(archive, dataset=name)


def test_nobody_there():
    with pytest.raises(BidsmillError, match="ConnectError"):
        openneuro.list_dataset(ID, settings(endpoint="http://127.0.0.1:9/crn/graphql", retries=0))


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://s3/o/ds1/a b+c.tsv?versionId=1", "https://s3/o/ds1/a%20b%2Bc.tsv?versionId=1"),
        (
            "https://s3/o/ds1/a%20b%2Bc.tsv?versionId=1",
            "https://s3/o/ds1/a%20b%2Bc.tsv?versionId=1",
        ),
        ("https://s3/o/ds1/a%2520b%252Bc.tsv?versionId=1", None),
        (
            "https://s3/o/ds1/a+b%2Bc.tsv?versionId=.x_Y",
            "https://s3/o/ds1/a%20b%2Bc.tsv?versionId=.x_Y",
        ),
        ("https://s3/o/ds1/other.tsv?versionId=1", "https://s3/o/ds1/other.tsv?versionId=1"),
    ],
)
def test_keys_are_quoted_once(url, expected):
    expected = expected or "https://s3/o/ds1/a%20b%2Bc.tsv?versionId=1"
    assert openneuro._quoted(url, "a b+c.tsv") == expected
