"""NEMAR's listings, read by nemar-py from a server over TLS, against the files themselves."""

from __future__ import annotations

import hashlib
import ssl
import urllib.error
import urllib.request

import pytest
from archive_data import blob, make_dataset, settings
from servers.archive import Archive
from servers.authority import Authority

from bidsmill.errors import BidsmillError
from bidsmill.sources import nemar

ID = "nm900001"


@pytest.fixture
def folder(tmp_path):
    return make_dataset(tmp_path / "data")


@pytest.fixture
def archive(folder, tmp_path, authority, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.bundle))
    newer = make_dataset(tmp_path / "newer", ("01", "02", "03"))
    datasets = {
        ID: {"1.0.0": folder, "1.1.0": newer},
        "ds900001": {"1.0.0": folder},
        "nm900002": {},
    }
    with Archive(datasets, authority) as server:
        server.datasets["nm900002"] = {}
        yield server


def listed(archive, dataset=ID, **extra):
    return nemar.list_dataset(dataset, settings(endpoint=archive.nemar, **extra))


def get(url: str, authority: Authority) -> bytes:
    context = ssl.create_default_context(cafile=str(authority.bundle))
    with urllib.request.urlopen(url, context=context) as answer:
        return answer.read()


@pytest.mark.parametrize("version", ["1.0.0", "v1.0.0", " v1.0.0 "])
def test_every_file_with_size_checksum_and_bytes(archive, authority, folder, version):
    listing = listed(archive, version=version)
    assert listing.snapshot == "v1.0.0"
    assert listing.source == {"kind": "nemar", "id": ID}
    files = {p.relative_to(folder).as_posix(): p for p in folder.rglob("*") if p.is_file()}
    entries = {entry["path"]: entry for entry in listing.files}
    assert set(entries) == {path for path, file in files.items() if not file.is_symlink()}
    for path, entry in entries.items():
        content = files[path].read_bytes()
        algorithm, _, digest = entry["checksum"].partition(":")
        known = {"git": blob(content)} | {
            name: hashlib.new(name, content).hexdigest() for name in ("sha256", "md5")
        }
        assert (entry["size"], digest) == (len(content), known[algorithm])
        assert get(entry["url"], authority) == content
    assert {e["checksum"].split(":")[0] for e in listing.files} == {"sha256", "md5", "git"}


def test_facts(archive):
    assert listed(archive).facts == {
        "license": "CC0",
        "authors": ["A. One", "B. Two"],
        "doi": "10.82901/nemar.nm900001.v1.1.0",
    }


def test_the_latest_version_and_a_mirror(archive):
    assert listed(archive).snapshot == "v1.1.0"
    assert listed(archive, version="latest").snapshot == "v1.1.0"
    mirror = listed(archive, dataset="faces", id="on900001")
    assert mirror.snapshot == "v1.0.0"
    assert mirror.source == {"kind": "nemar", "id": "on900001"}


def test_signed_addresses_are_not_kept(archive, authority, folder):
    archive.signed_for = 60
    listing = listed(archive, version="1.0.0")
    assert "X-Amz" not in repr(listing)
    assert all(entry["signed"] and "url" not in entry for entry in listing.files)
    options = settings(endpoint=archive.nemar, version=listing.snapshot)
    fresh = nemar.addresses(ID, options)
    assert set(fresh) == {entry["path"] for entry in listing.files}
    for path, url in fresh.items():
        assert get(url, authority) == (folder / path).read_bytes()


def test_an_address_that_ended_is_renewed(archive, authority):
    archive.signed_for = -1
    options = settings(endpoint=archive.nemar)
    with pytest.raises(urllib.error.HTTPError, match="403") as answer:
        get(nemar.addresses(ID, options)["README"], authority)
    assert b"Request has expired" in answer.value.read()
    archive.signed_for = 60
    assert get(nemar.addresses(ID, options)["README"], authority) == b"Some words.\n"


def test_a_durable_address_is_kept_in_place_of_a_signed_one(archive, authority):
    archive.signed_for, archive.durable = 60, True
    for entry in listed(archive).files:
        assert "X-Amz" not in entry["url"]
        assert "signed" not in entry
        assert len(get(entry["url"], authority)) == entry["size"]


def test_missing_objects_answer_403(archive, authority):
    archive.missing.add("README")
    url = next(e["url"] for e in listed(archive).files if e["path"] == "README")
    with pytest.raises(urllib.error.HTTPError, match="403"):
        get(url, authority)


def test_ranges(archive, authority, folder):
    entry = next(e for e in listed(archive).files if e["path"].endswith(".edf"))
    content = (folder / entry["path"]).read_bytes()
    context = ssl.create_default_context(cafile=str(authority.bundle))
    size = len(content)
    for header, expected in [
        ("bytes=3-9", content[3:10]),
        ("bytes=5-", content[5:]),
        ("bytes=-4", content[-4:]),
    ]:
        request = urllib.request.Request(entry["url"], headers={"Range": header})
        with urllib.request.urlopen(request, context=context) as answer:
            assert answer.status == 206
            assert answer.read() == expected
            start = content.find(expected) if header != "bytes=-4" else size - 4
            stop = start + len(expected) - 1
            assert answer.headers["Content-Range"] == f"bytes {start}-{stop}/{size}"
    past = urllib.request.Request(entry["url"], headers={"Range": f"bytes={size}-"})
    with pytest.raises(urllib.error.HTTPError, match="416"):
        urllib.request.urlopen(past, context=context)


def test_an_id_of_openneuro_is_pointed_to_its_mirror(archive):
    with pytest.raises(BidsmillError, match="is called on002718"):
        listed(archive, dataset="ds002718")


@pytest.mark.parametrize("name", ["nm1", "xx900001", "nm900001\n", "nm90000\uff11", ""])
def test_ids_are_checked(archive, name):
    with pytest.raises(BidsmillError, match="six digits"):
        listed(archive, dataset=name)


def test_errors_of_the_service_are_for_people(archive):
    with pytest.raises(BidsmillError, match=r'"v9\.9\.9" does not exist.*v1\.0\.0, v1\.1\.0'):
        listed(archive, version="9.9.9")
    with pytest.raises(BidsmillError, match="Dataset not found"):
        listed(archive, dataset="nm999999")
    with pytest.raises(BidsmillError, match="no published version"):
        listed(archive, dataset="nm900002")
    with pytest.raises(BidsmillError, match="must use HTTPS"):
        nemar.list_dataset(ID, settings(endpoint="http://127.0.0.1:9/"))
    with pytest.raises(BidsmillError, match="Network error"):
        nemar.list_dataset(ID, settings(endpoint="https://127.0.0.1:9/", retries=0))


@pytest.mark.parametrize("fault", ["no_subject", "no_description"])
def test_less_than_a_dataset_is_an_error(archive, fault, tmp_path):
    one = make_dataset(tmp_path / "one", ("01",))
    archive.publish(ID, "2.0.0", one)
    archive.listing = fault
    with pytest.raises(BidsmillError, match="partial listing"):
        listed(archive)


def test_busy_servers_are_asked_again(archive, capsys):
    archive.fail(1, status=503, only=f"/{ID}/")
    assert listed(archive, retries=2).files
    assert archive.requests[0].status == 503
    # nemar-py prints its attempts: not where a program's output belongs.
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "Retrying" in printed.err


def test_metadata_may_be_absent_or_of_any_shape(archive, folder):
    archive.fail(1, status=404, only="metadata.json")
    assert listed(archive).facts == {"doi": "10.82901/nemar.nm900001.v1.1.0"}
    # A busy server is no answer.
    archive.fail(1, status=503, only="metadata.json")
    with pytest.raises(BidsmillError, match="503"):
        listed(archive, retries=0)


def test_without_the_authority_the_certificate_is_refused(archive, monkeypatch):
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(BidsmillError, match="certificate"):
        listed(archive, retries=0)
