"""A folder and a bucket on a real server: the same promises, and the errors people meet."""

from __future__ import annotations

import base64
import hashlib
import logging
import multiprocessing
import os
import pickle
import shutil
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from absence import absent
from servers.careless import CarelessServer
from servers.proxy import Fault, FaultyProxy

from bidsmill.errors import BidsmillError
from bidsmill.storage.addresses import open_storage
from bidsmill.storage.bucket import Bucket
from bidsmill.storage.contract import Conflict, NoPermission, NotStored, Unreachable
from bidsmill.storage.folder import Folder

NAME = "storage-tests"
PUBLIC = "storage-public"
SECRET = "planted/Secret+0123456789abcdef"
LARGE = 40_000_001
ODD = ["a b.json", "µ-ü.tsv", 'it\'s "q".json', "1+1=2.json", "100%25.json", "a&b;c,d.json", "~x"]


@pytest.fixture(scope="module", autouse=True)
def credentials(s3_server, tmp_path_factory):
    """The owner's keys in the environment, and no files of a user."""
    folder = tmp_path_factory.mktemp("aws")
    with pytest.MonkeyPatch.context() as patch:
        for key in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_REGION"):
            patch.delenv(key, raising=False)
        patch.setenv("AWS_ACCESS_KEY_ID", s3_server.access_key)
        patch.setenv("AWS_SECRET_ACCESS_KEY", s3_server.secret_key)
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        patch.setenv("AWS_CONFIG_FILE", str(folder / "config"))
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(folder / "credentials"))
        yield folder


@pytest.fixture(scope="module")
def plain(s3_server):
    """Boto3 alone, to look behind the product's back; its buckets exist."""
    client = s3_server.client()
    client.create_bucket(Bucket=NAME)
    s3_server.public_bucket(PUBLIC)
    return client


@pytest.fixture(scope="module")
def bucket(s3_server, plain):
    return Bucket(f"s3://{NAME}/all", endpoint=s3_server.endpoint)


@pytest.fixture(scope="module", params=["folder", "bucket"])
def storage(request, tmp_path_factory):
    if request.param == "folder":
        return Folder(tmp_path_factory.mktemp("folder") / "store")
    return request.getfixturevalue("bucket")


@pytest.fixture
def at(request):
    """Return a function that makes paths of this test's own."""
    own = hashlib.sha256(request.node.name.encode()).hexdigest()[:12]
    return lambda name: f"{own}/{name}"


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """A file that goes over in parts, with its content and sha256."""
    content = np.random.default_rng(7).bytes(LARGE)
    path = tmp_path_factory.mktemp("large") / "large.bin"
    path.write_bytes(content)
    return path, content, hashlib.sha256(content).hexdigest()


def key_of(path):
    return f"all/{path}"


# What both promise.


def test_small_files(storage, at):
    path, content = at("a/b.json"), b'{"a": 1}\n'
    storage.put(path, content)
    assert storage.read(path) == content
    assert storage.read_range(path, 2, 5) == content[2:5]
    assert storage.read_range(path, 5, 100) == content[5:]
    assert storage.read_range(path, 100, 200) == storage.read_range(path, 3, 3) == b""
    found = storage.stat(path)
    assert (found.path, found.size) == (path, len(content))
    assert abs(datetime.now(UTC) - found.modified) < timedelta(minutes=2)
    assert found.sha256 in (None, hashlib.sha256(content).hexdigest())
    storage.put(path, b"")
    assert storage.read(path) == b"" and storage.stat(path).size == 0


def test_what_is_absent(storage, at, tmp_path):
    path = at("absent.json")
    assert storage.stat(path) is None
    assert list(storage.stored(path)) == []
    for call in (
        lambda: storage.read(path),
        lambda: storage.read_tagged(path),
        lambda: storage.read_range(path, 0, 5),
        lambda: storage.download(path, tmp_path / "x"),
    ):
        with pytest.raises(NotStored, match=r"missing.*absent\.json"):
            call()
    storage.remove([path])


@pytest.mark.parametrize("path", ["../a", "/etc/passwd", "a//b", "a/./b", "a\\b", "", "a/"])
def test_no_path_leaves_the_address(storage, path):
    for call in (storage.read, storage.stat, lambda p: storage.put(p, b"x")):
        with pytest.raises(BidsmillError, match="leave its folder"):
            call(path)


def test_odd_names(storage, at):
    for number, name in enumerate(ODD):
        storage.put(at(name), b"%d" % number)
    assert [found.path for found in storage.stored(at(""))] == sorted(map(at, ODD))
    assert [storage.read(at(name)) for name in ODD] == [b"%d" % n for n in range(len(ODD))]
    storage.remove(map(at, ODD))
    assert list(storage.stored(at(""))) == []


@pytest.mark.long
def test_more_files_than_a_page(bucket, plain, at):
    names = [at(f"{number:04}.json") for number in range(1005)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: plain.put_object(Bucket=NAME, Key=key_of(n), Body=b""), names))
    assert [entry.path for entry in bucket.stored(at(""))] == names
    assert [entry.path for entry in bucket.stored(at("000"))] == names[:10]
    bucket.remove(name for name in names)
    assert list(bucket.stored(at(""))) == []


def test_a_race_has_one_winner(storage, at):
    path = at("latest.json")
    tag = None
    for round_number in range(3):

        def swap(number, tag=tag, round_number=round_number):
            try:
                return number, storage.swap(path, b"%d/%d" % (round_number, number), tag)
            except Conflict:
                return None

        with ThreadPoolExecutor(8) as pool:
            winners = [won for won in pool.map(swap, range(8)) if won]
        ((winner, tag),) = winners
        assert storage.read_tagged(path) == (b"%d/%d" % (round_number, winner), tag)
    with pytest.raises(Conflict, match="somebody else"):
        storage.swap(path, b"", None)
    storage.remove([path])
    with pytest.raises(Conflict):
        storage.swap(path, b"", tag)
    assert storage.stat(path) is None


def test_the_server_honours_conditions(storage, at):
    storage.put(at("own.json"), b"own")
    storage.require_conditional_writes(at("own.json"))
    assert storage.read(at("own.json")) == b"own"


def test_files_there_and_back(storage, at, large, tmp_path):
    source, content, _ = large
    small = tmp_path / "small.parquet"
    small.write_bytes(content[:70_000])
    empty = tmp_path / "empty"
    empty.write_bytes(b"")
    for file in (source, small, empty):
        sent, came = [], []
        own, size = at(file.name), file.stat().st_size
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        storage.put_file(own, file, size=size, sha256=digest, progress=sent.append)
        storage.download(own, tmp_path / "back", came.append)
        assert (tmp_path / "back").read_bytes() == file.read_bytes()
        assert sum(sent) == sum(came) == size
        found = storage.stat(own)
        assert found.size == size and found.sha256 in (None, digest)
    assert storage.read_range(at(source.name), 20_000_000, 20_000_100) == content[20_000_000:][:100]


def test_another_file_than_stated_is_refused_and_not_seen(storage, at, large, tmp_path):
    source, content, sha256 = large
    short = tmp_path / "short"
    short.write_bytes(content[:1000])
    right = hashlib.sha256(content[:1000]).hexdigest()
    for file, size, digest in (
        (source, LARGE, "0" * 64),
        (source, LARGE - 1, sha256),
        (short, 1000, "0" * 64),
        (short, 999, right),
    ):
        with pytest.raises(BidsmillError, match="not the one that was made"):
            storage.put_file(at("x"), file, size=size, sha256=digest)
    assert list(storage.stored(at(""))) == []
    assert storage.unfinished(at(""), datetime.now(UTC) + timedelta(minutes=1)) == []


def read_in_child(storage, path, queue):
    try:
        queue.put(storage.read(path))
    except BaseException as error:
        queue.put(error)


def test_after_a_fork(storage, at):
    storage.put(at("a"), b"content")
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=read_in_child, args=(storage, at("a"), queue))
    child.start()
    assert queue.get(timeout=60) == b"content"
    child.join()
    assert storage.read(at("a")) == b"content"


def test_pickles_hold_no_keys(storage, s3_server, at):
    storage.put(at("a"), b"content")
    text = pickle.dumps(storage)
    assert s3_server.secret_key.encode() not in text and s3_server.access_key.encode() not in text
    assert pickle.loads(text).read(at("a")) == b"content"
    assert str(storage) == storage.address
    assert storage.local_path(at("a")) is None or storage.local_path(at("a")).is_file()


# What a bucket does beside.


def test_what_boto3_finds(bucket, plain, at, large, monkeypatch):
    source, content, sha256 = large
    bucket.put_file(at("x.parquet"), source, size=LARGE, sha256=sha256)
    answer = plain.get_object(Bucket=NAME, Key=key_of(at("x.parquet")))
    assert answer["Body"].read() == content
    assert answer["Metadata"] == {"sha256": sha256}
    assert answer["ETag"].endswith('-3"')
    assert answer["ContentType"] == "application/vnd.apache.parquet"
    assert "Uploads" not in plain.list_multipart_uploads(Bucket=NAME)
    bucket.put(at("x.json"), b"{}")
    answer = plain.get_object(Bucket=NAME, Key=key_of(at("x.json")))
    assert (answer["Body"].read(), answer["ContentType"]) == (b"{}", "application/json")


def test_abandoned_uploads(bucket, plain, at):
    for name in ("a", "b"):
        upload = plain.create_multipart_upload(Bucket=NAME, Key=key_of(at(name)))["UploadId"]
        plain.upload_part(
            Bucket=NAME, Key=key_of(at(name)), UploadId=upload, PartNumber=1, Body=b"x"
        )
    soon = datetime.now(UTC) + timedelta(minutes=1)
    assert bucket.unfinished(at(""), datetime.now(UTC) - timedelta(days=1)) == []
    found = bucket.unfinished(at(""), soon)
    assert [each.path for each in found] == [at("a"), at("b")]
    bucket.discard(found[:1])
    bucket.discard(found)
    assert bucket.unfinished(at(""), soon) == []


# What goes wrong on the way.


def through(proxy, bucket=NAME, **options):
    return Bucket(f"s3://{bucket}/all", endpoint=proxy.url.rstrip("/"), **options)


def test_broken_connections(s3_server, plain, at, large, tmp_path):
    source, content, sha256 = large
    faults = [
        Fault("cut", path=r"x\.bin", times=4, at=3_000_000),
        Fault("cut", path=r"y\.json", times=1, at=2),
        Fault("status", path="partNumber=2", method="PUT", code=503),
        Fault("status", path=r"z\.json", method="PUT|HEAD", code=500),
    ]
    with FaultyProxy(s3_server.endpoint, faults=faults) as proxy:
        storage = through(proxy)
        sent, came = [], []
        storage.put_file(at("x.bin"), source, size=LARGE, sha256=sha256, progress=sent.append)
        storage.download(at("x.bin"), tmp_path / "x", came.append)
        storage.put(at("y.json"), b"content")
        storage.put(at("z.json"), b"content")
        assert storage.read(at("y.json")) == b"content"
        assert storage.stat(at("z.json")).size == 7
        struck = [request.fault for request in proxy.requests if request.fault]
    assert sorted(struck) == ["cut"] * 5 + ["status"] * 2
    assert (tmp_path / "x").read_bytes() == content
    assert sum(sent) == sum(came) == LARGE


def test_a_server_that_ignores_ranges(s3_server, plain, at, large, tmp_path):
    _, content, _ = large
    plain.put_object(Bucket=PUBLIC, Key=key_of(at("x")), Body=content)
    with FaultyProxy(s3_server.endpoint, faults=[Fault("whole", times=None)]) as proxy:
        storage = through(proxy, bucket=PUBLIC, anonymous=True)
        storage.download(at("x"), tmp_path / "x")
        assert storage.read_range(at("x"), 10, 20) == content[10:20]
        assert {request.fault for request in proxy.requests} == {"whole"}
    assert (tmp_path / "x").read_bytes() == content


@pytest.mark.parametrize("times", [1, 99])
def test_a_file_that_is_replaced_while_it_comes(s3_server, plain, at, large, tmp_path, times):
    states = [large[1][:20_000_000], large[1][20_000_000:]]
    replaced = total = 0

    def store():
        plain.put_object(Bucket=NAME, Key=key_of(at("x")), Body=states[replaced % 2])

    def progress(count):
        nonlocal replaced, total
        total += count
        if total == count > 0 and replaced < times:  # the first bytes have come
            replaced += 1
            store()

    store()
    storage = Bucket(f"s3://{NAME}/all", endpoint=s3_server.endpoint, connections=1)
    if times > 1:
        with pytest.raises(Conflict, match="replaced while it is read"):
            storage.download(at("x"), tmp_path / "x", progress)
        assert total == 0
        return
    storage.download(at("x"), tmp_path / "x", progress)
    assert (tmp_path / "x").read_bytes() == states[1]
    assert total == len(states[1])


def test_an_upload_that_fails_leaves_nothing(s3_server, plain, at, large):
    source, _, sha256 = large
    denied = Fault("status", path="partNumber=3", method="PUT", code=403, times=None)
    with FaultyProxy(s3_server.endpoint, faults=[denied]) as proxy:
        with pytest.raises(NoPermission):
            through(proxy).put_file(at("x"), source, size=LARGE, sha256=sha256)
        assert through(proxy).stat(at("x")) is None
        soon = datetime.now(UTC) + timedelta(minutes=1)
        assert through(proxy).unfinished(at(""), soon) == []


# Servers that keep fewer promises.


def test_checksums_and_settings_go_along(tmp_path):
    settings = {"encryption": "aws:kms", "kms_key": "alias/x", "storage_class": "STANDARD_IA"}
    content = b"some content"
    (tmp_path / "a").write_bytes(content)
    sha256 = hashlib.sha256(content).hexdigest()
    with CarelessServer() as server:
        storage = Bucket("s3://b/p", endpoint=server.endpoint, **settings)
        storage.put("a", content)
        storage.put_file("b", tmp_path / "a", size=len(content), sha256=sha256)
        storage.remove(["a", "b"])
        assert not server.objects
        sent = [fields for method, _, fields in server.requests if method == "PUT"]
    for fields in sent:
        assert fields["content-md5"] == base64.b64encode(hashlib.md5(content).digest()).decode()
        assert "content-md5" in fields["authorization"]
        assert fields["x-amz-server-side-encryption"] == "aws:kms"
        assert fields["x-amz-server-side-encryption-aws-kms-key-id"] == "alias/x"
        assert fields["x-amz-storage-class"] == "STANDARD_IA"
        assert fields["x-amz-meta-sha256"] == sha256
    assert len(sent) == 2


def test_a_server_that_keeps_other_bytes(tmp_path):
    content = b"some content"
    (tmp_path / "a").write_bytes(content)
    sha256 = hashlib.sha256(content).hexdigest()
    with CarelessServer(spoils=True) as server:
        storage = Bucket("s3://b/p", endpoint=server.endpoint)
        with pytest.raises(BidsmillError, match="other bytes than were sent"):
            storage.put_file("b", tmp_path / "a", size=len(content), sha256=sha256)
        assert not server.objects
        with pytest.raises(BidsmillError, match="other bytes than were sent"):
            storage.put("a", content)


def test_a_server_that_ignores_conditions():
    with CarelessServer() as server:
        storage = Bucket("s3://b/p", endpoint=server.endpoint)
        storage.put("own", b"content")
        with pytest.raises(BidsmillError, match="cannot write under a condition"):
            storage.require_conditional_writes("own")
        assert storage.read("own") == b"content"


def test_a_server_that_goes_away_is_waited_for(tmp_path):
    with CarelessServer() as server:
        storage = Bucket("s3://b/p", endpoint=server.endpoint)
        storage.put("a", b"before")
    back = []

    def come_back():
        back.append(CarelessServer(port=server.port))
        back[0].objects = server.objects

    timer = threading.Timer(0.2, come_back)
    timer.start()
    storage.put("b", b"after")
    timer.join()
    with back[0]:
        assert [storage.read(name) for name in "ab"] == [b"before", b"after"]


def test_an_answer_that_is_lost_is_no_conflict():
    with CarelessServer(honours=True) as server:
        storage = Bucket("s3://b/p", endpoint=server.endpoint)
        server.loses = 1
        tag = storage.swap("a", b"1", None)
        assert storage.read_tagged("a") == (b"1", tag)
        server.loses = 1
        tag = storage.swap("a", b"2", tag)
        assert storage.read_tagged("a") == (b"2", tag)
        with pytest.raises(Conflict):
            storage.swap("a", b"3", None)


# The errors people meet.


@pytest.mark.parametrize("anonymous", [True, None])
def test_reading_without_credentials(s3_server, plain, anonymous, monkeypatch, tmp_path):
    plain.put_object(Bucket=PUBLIC, Key="x/a.json", Body=b"open")
    plain.put_object(Bucket=NAME, Key="x/a.json", Body=b"closed")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    public = Bucket(f"s3://{PUBLIC}/x", endpoint=s3_server.endpoint, anonymous=anonymous)
    assert public.read("a.json") == b"open"
    assert [entry.path for entry in public.stored("")] == ["a.json"]
    assert public.stat("b.json") is None
    with pytest.raises(NotStored):
        public.read("b.json")
    with pytest.raises(NoPermission, match="may write the bucket"):
        public.put("b.json", b"")
    closed = Bucket(f"s3://{NAME}/x", endpoint=s3_server.endpoint, anonymous=anonymous)
    with pytest.raises(NoPermission, match=r"denied.*profile"):
        closed.read("a.json")


def test_credentials_of_another_service(s3_server, plain, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKOTHER")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    plain.put_object(Bucket=PUBLIC, Key="y/a.json", Body=b"open")
    public = Bucket(f"s3://{PUBLIC}/y", endpoint=s3_server.endpoint)
    assert public.read("a.json") == b"open"
    assert public.stat("b.json") is None
    with pytest.raises(NoPermission, match="InvalidAccessKeyId"):
        public.put("b.json", b"")
    signed = Bucket(f"s3://{PUBLIC}/y", endpoint=s3_server.endpoint, anonymous=False)
    with pytest.raises(NoPermission, match="InvalidAccessKeyId"):
        signed.read("a.json")


def test_no_credentials_where_they_are_asked_for(s3_server, monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(NoPermission, match="no usable AWS credentials"):
        Bucket(f"s3://{NAME}", endpoint=s3_server.endpoint, anonymous=False).read("a")


def test_a_profile(s3_server, plain, credentials, caplog):
    (credentials / "credentials").write_text(
        f"[lab]\naws_access_key_id = {s3_server.access_key}\n"
        f"aws_secret_access_key = {s3_server.secret_key}\n"
        f"[wrong]\naws_access_key_id = {s3_server.access_key}\naws_secret_access_key = {SECRET}\n"
    )
    (credentials / "config").write_text(f"[profile lab]\nendpoint_url = {s3_server.endpoint}\n")
    caplog.set_level(logging.INFO)
    plain.put_object(Bucket=NAME, Key="z/a.json", Body=b"of the lab")
    lab = Bucket(f"s3://{NAME}/z", profile="lab")
    assert lab.read("a.json") == b"of the lab"
    texts = [pickle.dumps(lab).decode("latin-1"), repr(lab), str(vars(lab)), caplog.text]
    wrong = Bucket(f"s3://{NAME}/z", endpoint=s3_server.endpoint, profile="wrong")
    for call in (wrong.read, wrong.stat, lambda path: wrong.put(path, b"")):
        with pytest.raises(NoPermission, match=r"denied.*check that the profile may") as caught:
            call("a.json")
        texts += [str(caught.value), pickle.dumps(caught.value).decode("latin-1")]
    with pytest.raises(NoPermission, match="no AWS profile nobody"):
        Bucket(f"s3://{NAME}", profile="nobody").read("a")
    for text in texts:
        assert SECRET not in text and s3_server.secret_key not in text


def test_a_bucket_that_is_not_there(s3_server, plain):
    missing = Bucket("s3://storage-missing/x", endpoint=s3_server.endpoint)
    for call in (
        lambda: missing.read("a"),
        lambda: missing.put("a", b""),
        lambda: list(missing.stored("")),
        lambda: missing.swap("a", b"", None),
    ):
        with pytest.raises(BidsmillError, match="no such bucket") as caught:
            call()
        assert not isinstance(caught.value, NotStored)


def test_nobody_is_there():
    with pytest.raises(Unreachable, match=r"cannot be reached.*127\.0\.0\.1:9"):
        Bucket("s3://any/x", endpoint="http://127.0.0.1:9").read("a")
    with pytest.raises(BidsmillError, match="endpoint"):
        Bucket("s3://any/x", endpoint="nonsense").read("a")


def test_passwords_in_addresses_are_refused_and_not_repeated():
    for make in (
        lambda: open_storage(f"s3://key:{SECRET}@bucket/x"),
        lambda: open_storage("s3://key:" + SECRET.replace("/", "") + "@bucket/x"),
        lambda: Bucket("s3://b/x", endpoint=f"https://user:{SECRET}@host").read("a"),
    ):
        with pytest.raises(BidsmillError) as caught:
            make()
        assert SECRET[8:] not in str(caught.value)


# What a folder does beside.


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path / "store")


def test_a_folder_shares_content_and_keeps_it(folder, tmp_path):
    content = b"some content"
    (tmp_path / "real").write_bytes(content)
    (tmp_path / "link").symlink_to("real")
    sha256 = hashlib.sha256(content).hexdigest()
    for _ in range(2):
        folder.put_file("a/b", tmp_path / "link", size=len(content), sha256=sha256)
        stored = folder.local_path("a/b")
        assert stored.read_bytes() == content and not stored.is_symlink()
        assert os.listdir(stored.parent) == ["b"]
    with pytest.raises(BidsmillError, match=r"missing.*nothing"):
        folder.put_file("c", tmp_path / "nothing", size=1, sha256=sha256)


def test_what_killed_writers_left_in_a_folder(folder):
    folder.put("x/a.parquet", b"whole")
    part = folder.root / "x" / ".b.parquet.4711-0123abcd.part"
    part.write_bytes(b"hal")
    (folder.root / "x" / ".hidden").write_bytes(b"")
    soon = datetime.now(UTC) + timedelta(minutes=1)
    assert [entry.path for entry in folder.stored("")] == ["x/a.parquet"]
    assert folder.unfinished("", datetime.now(UTC) - timedelta(days=1)) == []
    assert folder.unfinished("y", soon) == []
    found = folder.unfinished("x/b", soon)
    assert [each.path for each in found] == ["x/b.parquet"]
    folder.discard(found)
    assert sorted(os.listdir(folder.root / "x")) == [".hidden", "a.parquet"]


def in_child_without_rights(folder, queue):
    os.setuid(65534)
    for call in (
        lambda: folder.read("closed/a"),
        lambda: folder.put("open/a", b"other"),
        lambda: folder.swap("open/a", b"other", None),
        lambda: list(folder.stored("")),
        lambda: folder.remove(["open/a"]),
    ):
        try:
            call()
            queue.put("no error")
        except Exception as error:
            queue.put(type(error).__name__)
    queue.put(folder.read("open/a"))


def test_a_folder_without_rights(tmp_path_factory):
    if os.getuid() != 0:
        absent("only root can give up its rights")
    folder = Folder(tempfile.mkdtemp(dir="/tmp"))
    try:
        folder.put("open/a", b"content")
        folder.put("closed/a", b"content")
        folder.root.chmod(0o755)
        folder.local_path("closed").chmod(0o700)
        context = multiprocessing.get_context("fork")
        queue = context.Queue()
        child = context.Process(target=in_child_without_rights, args=(folder, queue))
        child.start()
        assert [queue.get(timeout=60) for _ in range(6)] == ["NoPermission"] * 5 + [b"content"]
        child.join()
    finally:
        shutil.rmtree(folder.root)


def test_addresses(tmp_path):
    assert isinstance(open_storage("s3://bucket/x"), Bucket)
    assert open_storage(f"file://{tmp_path}/a%20b").root == tmp_path / "a b"
    assert open_storage(tmp_path).root == tmp_path
    with pytest.raises(BidsmillError, match="gs://"):
        open_storage("gs://bucket/x")
    for address in ("s3:/pub/a", "s3:pub/a", Path("s3://pub/a"), "S3:/pub/a", "s3:/k:word@pub/a"):
        with pytest.raises(BidsmillError, match="open 's3://pub/a'") as error:
            open_storage(address)
        assert "word" not in str(error.value)
