"""Listings of S3 buckets, against what boto3 says of the same bucket on a real server."""

from __future__ import annotations

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor

import boto3
import pytest
from archive_data import make_dataset, settings

from bidsmill.errors import BidsmillError
from bidsmill.sources import s3
from bidsmill.sources.names import check_names

MEBIBYTE = 1 << 20


@pytest.fixture
def server(s3_server):
    return s3_server


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_dataset(tmp_path_factory.mktemp("data") / "ds")


@pytest.fixture
def name(request):
    """A bucket's name of this test's own."""
    return "b-" + hashlib.sha256(request.node.name.encode()).hexdigest()[:20]


@pytest.fixture(autouse=True)
def no_credentials(monkeypatch, tmp_path):
    """An environment in which boto3 finds nothing, and asks no metadata service."""
    for key in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(key, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))


@pytest.fixture
def as_owner(server, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", server.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", server.secret_key)


def fill(client, bucket, folder, prefix="ds/"):
    """Store the files of a folder; return path -> bytes."""
    stored = {}
    for file in sorted(p for p in folder.rglob("*") if p.is_file()):
        path = file.relative_to(folder).as_posix()
        stored[path] = file.read_bytes()
        client.put_object(Bucket=bucket, Key=prefix + path, Body=stored[path])
    return stored


def listed(server, url, **extra):
    return s3.list_dataset("mine", settings(url=url, endpoint=server.endpoint, **extra))


def test_a_public_bucket_without_credentials(server, folder, name):
    stored = fill(server.client(), server.public_bucket(name), folder)
    listing = listed(server, f"s3://{name}/ds")
    assert listing.snapshot == "s3"
    assert listing.source == {"kind": "s3", "url": f"s3://{name}/ds/"}
    assert server.endpoint not in repr(listing)
    assert {entry["path"] for entry in listing.files} == set(stored)
    for entry in listing.files:
        content = stored[entry["path"]]
        assert entry["size"] == len(content)
        assert entry["checksum"] == f"md5:{hashlib.md5(content).hexdigest()}"
        assert "version" not in entry


def test_the_root_of_a_bucket_and_a_name_for_the_lock(server, folder, name):
    stored = fill(server.client(), server.public_bucket(name), folder, prefix="")
    listing = listed(server, f"s3://{name}", version="2024-05")
    assert listing.snapshot == "2024-05"
    assert listing.source["url"] == f"s3://{name}/"
    assert {entry["path"] for entry in listing.files} == set(stored)


def test_neighbours_of_the_prefix_are_not_listed(server, folder, name):
    client = server.client()
    stored = fill(client, server.public_bucket(name), folder)
    client.put_object(Bucket=name, Key="ds2/README", Body=b"x")
    client.put_object(Bucket=name, Key="ds", Body=b"x")
    assert {entry["path"] for entry in listed(server, f"s3://{name}/ds/").files} == set(stored)


def test_latest_versions_without_deleted_objects(server, folder, name, as_owner):
    client = server.client()
    client.create_bucket(Bucket=name)
    client.put_object(Bucket=name, Key="ds/before.tsv", Body=b"before versions were kept")
    client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    fill(client, name, folder)
    client.put_object(Bucket=name, Key="ds/README", Body=b"new words")
    client.delete_object(Bucket=name, Key="ds/participants.tsv")
    entries = {entry["path"]: entry for entry in listed(server, f"s3://{name}/ds").files}
    assert "participants.tsv" not in entries
    for path, entry in entries.items():
        head = client.head_object(Bucket=name, Key=f"ds/{path}")
        assert entry["size"] == head["ContentLength"]
        assert entry["checksum"] == f"md5:{json.loads(head['ETag'])}"
        version = head.get("VersionId")
        assert entry.get("version") == (None if version in (None, "null") else version)
        got = client.get_object(Bucket=name, Key=f"ds/{path}", **(
            {"VersionId": entry["version"]} if "version" in entry else {}
        ))  # fmt: skip
        assert hashlib.md5(got["Body"].read()).hexdigest() == entry["checksum"][4:]
    assert "version" not in entries["before.tsv"]
    assert "version" in entries["README"]


def test_etags_of_several_parts_are_no_checksums(server, folder, name):
    client = server.client()
    fill(client, server.public_bucket(name), folder)
    key = "ds/sub-01/eeg/large.fdt"
    upload = client.create_multipart_upload(Bucket=name, Key=key)["UploadId"]
    parts = []
    for number in (1, 2):
        part = client.upload_part(
            Bucket=name, Key=key, UploadId=upload, PartNumber=number, Body=b"x" * 5 * MEBIBYTE
        )
        parts.append({"PartNumber": number, "ETag": part["ETag"]})
    client.complete_multipart_upload(
        Bucket=name, Key=key, UploadId=upload, MultipartUpload={"Parts": parts}
    )
    entry = next(e for e in listed(server, f"s3://{name}/ds").files if e["path"].endswith(".fdt"))
    etag = client.head_object(Bucket=name, Key=key)["ETag"].strip('"')
    assert etag.endswith("-2")
    assert entry["checksum"] == f"etag:{etag}"
    assert entry["size"] == 10 * MEBIBYTE


def test_folder_marks_are_skipped_and_files_are_not(server, folder, name):
    client = server.client()
    fill(client, server.public_bucket(name), folder)
    for key in ("ds/", "ds/sub-01/", "ds/sub-01/eeg/"):
        client.put_object(Bucket=name, Key=key, Body=b"")
    client.put_object(Bucket=name, Key="ds/strange/", Body=b"bytes")
    paths = {entry["path"] for entry in listed(server, f"s3://{name}/ds").files}
    # An object with content is no mark: its name is refused later, not dropped in silence.
    assert {path for path in paths if path.endswith("/") or not path} == {"strange/"}


def test_more_objects_than_a_page(server, name):
    client = server.client()
    server.public_bucket(name)
    client.put_object(Bucket=name, Key="ds/dataset_description.json", Body=b"{}")
    names = {f"sub-{number:04}/a.json" for number in range(1010)}
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: client.put_object(Bucket=name, Key=f"ds/{n}", Body=b""), names))
    paths = {entry["path"] for entry in listed(server, f"s3://{name}/ds").files}
    assert paths == names | {"dataset_description.json"}


@pytest.mark.parametrize(
    "key", ["ds/../outside", "ds//etc/passwd", "ds/a/./b", "ds/C:/a", "ds/sub-01/NUL", "ds/readme"]
)
def test_hostile_keys_are_listed_as_they_are_and_refused(server, name, key):
    client = server.client()
    server.public_bucket(name)
    for each in ("ds/dataset_description.json", "ds/README", "ds/sub-01/a.json", key):
        client.put_object(Bucket=name, Key=each, Body=b"x")
    entries = listed(server, f"s3://{name}/ds").files
    assert key.removeprefix("ds/") in {entry["path"] for entry in entries}
    with pytest.raises(BidsmillError, match="1 of 4 entries"):
        check_names(entries, f"s3://{name}/ds/")


def test_credentials_of_the_environment(server, folder, name, as_owner):
    client = server.client()
    client.create_bucket(Bucket=name)
    stored = fill(client, name, folder)
    assert len(listed(server, f"s3://{name}/ds").files) == len(stored)


def test_refused_credentials_do_not_close_a_public_bucket(server, folder, name, monkeypatch):
    stored = fill(server.client(), server.public_bucket(name), folder)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKOTHER")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "of another project")
    assert len(listed(server, f"s3://{name}/ds").files) == len(stored)


def test_a_profile_with_its_endpoint(server, folder, name, tmp_path, monkeypatch):
    client = server.client()
    client.create_bucket(Bucket=name)
    stored = fill(client, name, folder)
    (tmp_path / "credentials").write_text(
        f"[lab]\naws_access_key_id = {server.access_key}\n"
        f"aws_secret_access_key = {server.secret_key}\n"
    )
    (tmp_path / "config").write_text(f"[profile lab]\nendpoint_url = {server.endpoint}\n")
    listing = s3.list_dataset("mine", settings(url=f"s3://{name}/ds", profile="lab"))
    assert len(listing.files) == len(stored)
    assert "lab" not in repr(listing)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", server.endpoint)
    (tmp_path / "credentials").write_text(
        "[lab]\naws_access_key_id = AKOTHER\naws_secret_access_key = x\n"
    )
    with pytest.raises(BidsmillError, match=r"denied.*profile may list"):
        s3.list_dataset("mine", settings(url=f"s3://{name}/ds", profile="lab"))


def test_the_endpoint_of_the_environment(server, folder, name, monkeypatch):
    stored = fill(server.client(), server.public_bucket(name), folder)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", server.endpoint)
    listing = s3.list_dataset("mine", settings(url=f"s3://{name}/ds"))
    assert len(listing.files) == len(stored)


def test_a_closed_bucket_says_what_to_do(server, folder, name):
    client = server.client()
    client.create_bucket(Bucket=name)
    fill(client, name, folder)
    with pytest.raises(BidsmillError, match="key `profile`"):
        listed(server, f"s3://{name}/ds")


def test_a_bucket_that_is_not_there(server, name, as_owner):
    with pytest.raises(BidsmillError, match="no such bucket"):
        listed(server, f"s3://{name}/ds")


def test_nothing_under_the_prefix(server, folder, name):
    fill(server.client(), server.public_bucket(name), folder)
    with pytest.raises(BidsmillError, match="nothing is stored for mine"):
        listed(server, f"s3://{name}/other")
    with pytest.raises(BidsmillError, match="no BIDS dataset"):
        listed(server, f"s3://{name}/ds/sub-01")


def test_nobody_at_the_endpoint():
    options = settings(url="s3://bucket/ds", endpoint="http://127.0.0.1:9", retries=0)
    with pytest.raises(BidsmillError, match=r"cannot be reached.*127\.0\.0\.1:9"):
        s3.list_dataset("mine", options)


def test_wrong_settings():
    with pytest.raises(BidsmillError, match="no AWS profile nobody"):
        s3.list_dataset("mine", settings(url="s3://bucket/ds", profile="nobody"))
    with pytest.raises(BidsmillError, match="endpoint"):
        s3.list_dataset("mine", settings(url="s3://bucket/ds", endpoint="nonsense"))
    with pytest.raises(BidsmillError, match="Invalid bucket name"):
        s3.list_dataset("mine", settings(url="s3://a b/ds", endpoint="http://127.0.0.1:9"))


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("s3://bucket", ("bucket", "")),
        ("s3://bucket/", ("bucket", "")),
        ("s3://bucket/a", ("bucket", "a/")),
        ("s3://bucket/a/b c/", ("bucket", "a/b c/")),
        ("s3://openneuro.org/ds002718", ("openneuro.org", "ds002718/")),
    ],
)
def test_addresses(url, expected):
    assert s3.split_address(url) == expected


@pytest.mark.parametrize(
    "url", [None, "", "bucket", "s3:/bucket", "https://bucket/a", "s3:///a", 3]
)
def test_addresses_that_name_no_bucket(url):
    with pytest.raises(BidsmillError, match="s3://bucket/prefix"):
        s3.split_address(url)


def test_amazon_is_addressed_as_amazon_wants_it():
    """No request is sent: the address alone is looked at."""
    client = s3.open_client(settings(url="s3://openneuro.org/ds002718"))
    assert client.meta.endpoint_url == boto3.client("s3").meta.endpoint_url
    assert (client.meta.config.s3 or {}).get("addressing_style") is None
    url = client.generate_presigned_url("get_object", {"Bucket": "some-bucket", "Key": "a"})
    assert url.split("?")[0].startswith("https://some-bucket.s3.")
