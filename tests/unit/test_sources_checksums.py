"""Checksums against hashlib and against what S3 itself says of an object in parts."""

from __future__ import annotations

import hashlib
import subprocess

import pytest
from absence import absent
from boto3.s3.transfer import TransferConfig
from hypothesis import given, settings
from hypothesis import strategies as st
from servers import radosgw

from bidsmill.sources.checksums import MEBIBYTE, Checksums, MultipartMd5, part_sizes


def multipart_etag(content: bytes, part: int) -> str:
    parts = [content[start : start + part] for start in range(0, len(content), part)] or [b""]
    digests = b"".join(hashlib.md5(piece).digest() for piece in parts)
    return f"{hashlib.md5(digests).hexdigest()}-{len(parts)}"


@given(st.binary(max_size=300), st.integers(1, 120), st.lists(st.integers(1, 50), max_size=20))
def test_the_etag_of_parts_however_the_bytes_arrive(content, part, steps):
    hasher, place = MultipartMd5(part), 0
    for step in [*steps, len(content)]:
        hasher.update(content[place : place + step])
        place += step
    assert hasher.hexdigest() == multipart_etag(content, part)


@settings(max_examples=200)
@given(
    st.sampled_from([5, 8, 15, 16, 32, 64]).map(lambda count: count * MEBIBYTE),
    st.integers(2, 40),
    st.integers(1, 5 * MEBIBYTE),
)
def test_usual_sizes_of_parts_are_among_the_first(part, parts, last):
    size = part * (parts - 1) + last
    found = part_sizes(size, parts)
    assert all(-(-size // one) == parts for one in found)
    # With few parts many sizes are possible; powers of two come first.
    assert part in found or len(found) == 3


def test_the_sizes_for_an_object_as_boto3_uploads_it():
    assert part_sizes(110_000_000, 14)[0] == 8 * MEBIBYTE
    assert part_sizes(10, 1) == [10]
    # 7.65 to 8.02 MB in 150 parts: 8 MB and nothing else
    assert part_sizes(1_199_000_000, 150) == [8_000_000]


@pytest.mark.parametrize("size", [None, 1000])
def test_git_blobs(tmp_path, size):
    content = b"0123456789" * 100
    path = tmp_path / "blob"
    path.write_bytes(content)
    command = ["git", "hash-object", "--no-filters", str(path)]
    blob = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    sums = Checksums(f"git:{blob}", size)
    sums.update(content)
    assert sums.found(lambda hasher: hasher.update(content)) == f"git:{blob}"


def test_an_etag_that_no_size_of_parts_explains_says_nothing():
    sums = Checksums(f"etag:{'0' * 32}-2", 20 * MEBIBYTE)
    sums.update(b"x" * 20 * MEBIBYTE)
    assert sums.found(lambda hasher: None) is None
    assert sums.sha256 == hashlib.sha256(b"x" * 20 * MEBIBYTE).hexdigest()
    assert Checksums("etag:abc", 5).found(lambda hasher: None) is None
    assert Checksums(None, 5).found(lambda hasher: None) is None


def test_the_etag_that_a_server_states(tmp_path):
    if radosgw.missing():
        absent(f"{radosgw.missing()} is missing: install radosgw, ceph-mon and ceph-osd")
    content = bytes(range(256)) * 90_000
    with radosgw.Radosgw(tmp_path / "server") as server:
        client = server.client()
        client.create_bucket(Bucket="parts")
        path = tmp_path / "object"
        path.write_bytes(content)
        for part in (5, 8, 16):
            config = TransferConfig(
                multipart_threshold=MEBIBYTE, multipart_chunksize=part * MEBIBYTE
            )
            client.upload_file(str(path), "parts", "object", Config=config)
            etag = client.head_object(Bucket="parts", Key="object")["ETag"].strip('"')
            sums = Checksums(f"etag:{etag}", len(content))
            sums.update(content)
            assert sums.found(lambda hasher: None) == f"etag:{etag}"
            spoilt = Checksums(f"etag:{etag}", len(content))
            spoilt.update(content[:-1] + b"?")
            assert spoilt.found(lambda hasher: None) is None
