"""The servers of the tests do what they promise, seen by curl, httpx, boto3 and plain sockets."""

from __future__ import annotations

import hashlib
import random
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import boto3
import httpx
import pytest
from absence import absent
from botocore.config import Config
from botocore.exceptions import ClientError
from hypothesis import given, settings
from hypothesis import strategies as st
from servers import nginx, radosgw
from servers.authority import Authority
from servers.children import accepts, first_missing
from servers.messages import Framing, Stream
from servers.nginx import Nginx
from servers.ports import PortBlock, is_free
from servers.proxy import Fault, FaultyProxy, Request
from servers.radosgw import Radosgw

LARGE = random.Random(24).randbytes(24 << 20)
SMALL = random.Random(1).randbytes(10_000)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    if missing := radosgw.missing():
        absent(f"install radosgw ceph-mon ceph-osd: there is no {missing}")
    with Radosgw(tmp_path_factory.mktemp("radosgw")) as server:
        yield server


@pytest.fixture(scope="module")
def web(tmp_path_factory, authority):
    if missing := nginx.missing():
        absent(f"install nginx-light: there is no {missing}")
    root = tmp_path_factory.mktemp("root")
    (root / "large").write_bytes(LARGE)
    for number in range(20):
        (root / f"small{number}").write_bytes(SMALL)
    with Nginx(tmp_path_factory.mktemp("nginx"), root, authority) as server:
        yield server


@pytest.fixture
def proxy(web):
    with FaultyProxy(web.url) as server:
        yield server


@pytest.fixture
def client():
    with httpx.Client(timeout=30, headers={"accept-encoding": "identity"}) as opened:
        yield opened


def signed_client(endpoint: str, gateway: Radosgw, **options):
    options |= {"s3": {"addressing_style": "path"}, "retries": {"total_max_attempts": 1}}
    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id=gateway.access_key,
        aws_secret_access_key=gateway.secret_key,
        config=Config(**options),
        verify=False,
    )


# The S3 server.


def test_radosgw_keeps_what_it_is_given(gateway):
    gateway.client().create_bucket(Bucket="private")
    stored = gateway.client().put_object(Bucket="private", Key="a/large", Body=LARGE)
    assert stored["ETag"].strip('"') == hashlib.md5(LARGE).hexdigest()
    got = gateway.client().get_object(Bucket="private", Key="a/large")["Body"].read()
    assert sha256(got) == sha256(LARGE)
    with pytest.raises(ClientError, match="AccessDenied"):
        gateway.client(anonymous=True).get_object(Bucket="private", Key="a/large")
    wrong = boto3.client(
        "s3",
        endpoint_url=gateway.endpoint,
        region_name="us-east-1",
        aws_access_key_id=gateway.access_key,
        aws_secret_access_key="wrong",
        config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}),
    )
    with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
        wrong.get_object(Bucket="private", Key="a/large")


def test_anyone_may_read_and_list_a_public_bucket_but_not_write(gateway):
    assert gateway.public_bucket("open") == "open"
    gateway.client().put_object(Bucket="open", Key="ds1/b c.txt", Body=SMALL)
    printed = subprocess.run(
        ["curl", "-sS", "-r", "100-199", f"{gateway.endpoint}/open/ds1/b%20c.txt"],
        capture_output=True,
        check=True,
    )
    assert printed.stdout == SMALL[100:200]
    anyone = gateway.client(anonymous=True)
    listing = anyone.list_objects_v2(Bucket="open", Prefix="ds1/")
    assert [(o["Key"], o["Size"]) for o in listing["Contents"]] == [("ds1/b c.txt", len(SMALL))]
    with pytest.raises(ClientError, match="AccessDenied"):
        anyone.put_object(Bucket="open", Key="mine", Body=b"")
    assert httpx.get(f"{gateway.endpoint}/open/absent").status_code == 404


def test_radosgw_keeps_its_objects_when_killed(gateway):
    gateway.client().create_bucket(Bucket="lasting")
    gateway.client().put_object(Bucket="lasting", Key="large", Body=LARGE)
    endpoint = gateway.endpoint
    gateway.kill()
    with pytest.raises(httpx.ConnectError):
        httpx.get(endpoint)
    gateway.restart()
    assert gateway.endpoint == endpoint
    got = gateway.client().get_object(Bucket="lasting", Key="large")["Body"].read()
    assert sha256(got) == sha256(LARGE)
    gateway.client().put_object(Bucket="lasting", Key="small", Body=SMALL)
    listing = gateway.client().list_objects_v2(Bucket="lasting")
    assert [found["Key"] for found in listing["Contents"]] == ["large", "small"]


# Ports, processes, missing programs.


def test_port_blocks_of_many_processes_do_not_overlap():
    code = (
        "import sys\nfrom servers.ports import PortBlock\n"
        "block = PortBlock(); print(block.first, flush=True); sys.stdin.read()"
    )
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    tests = Path(__file__).resolve().parents[1]
    started = [
        subprocess.Popen([sys.executable, "-c", code], cwd=tests, **pipes) for _ in range(12)
    ]
    own = PortBlock()
    found = [own.first, *(int(process.stdout.readline()) for process in started)]
    for process in started:
        process.communicate("")
    own.release()
    assert all(second - first >= 100 for first, second in pairwise(sorted(found)))


def test_a_port_is_free_until_somebody_listens():
    block = PortBlock()
    assert is_free(block.first)
    with socket.create_server(("127.0.0.1", block.first)):
        assert not is_free(block.first)
    assert not is_free(block.first + 99)  # what keeps the block ours
    block.release()
    assert is_free(block.first + 99)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells children")
def test_servers_die_with_the_process_that_started_them(tmp_path, web):
    code = (
        "import sys\nfrom pathlib import Path\nfrom servers.authority import Authority\n"
        "from servers.nginx import Nginx\nhere = Path(sys.argv[1])\n"
        "server = Nginx(here / 'nginx', here, Authority(here / 'authority'))\n"
        "print(server.port, flush=True); sys.stdin.read()"
    )
    tests = Path(__file__).resolve().parents[1]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", code, tmp_path], cwd=tests, **pipes) as started:
        port = int(started.stdout.readline())
        assert accepts(port)
        started.kill()
    end = time.monotonic() + 20
    while accepts(port) and time.monotonic() < end:
        time.sleep(0.02)
    assert not accepts(port)


def test_missing_programs_are_named():
    assert first_missing(["sh"]) is None
    assert first_missing(["sh", "no-such-program", "nor-this"]) == "no-such-program nor-this"


# The certificate authority and nginx.


def test_only_those_who_trust_the_authority_accept_its_servers(web, authority, monkeypatch):
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
        httpx.get(web.url + "small0")
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.bundle))
    assert httpx.get(web.url + "small0").content == SMALL
    assert httpx.get(web.url.replace("127.0.0.1", "localhost") + "small0").content == SMALL
    curl = ["curl", "-sS", "-o", "/dev/null", web.url + "small0", "--cacert"]
    assert subprocess.run([*curl, authority.bundle], check=False).returncode == 0
    import certifi

    public = subprocess.run([*curl, certifi.where()], capture_output=True, check=False)
    assert public.returncode == 60  # curl: the peer's certificate is not trusted
    assert authority.bundle.read_bytes().startswith(Path(certifi.where()).read_bytes())


def test_certificates_hold_the_names_asked_for(tmp_path):
    chain, key = Authority(tmp_path).certificate("data.example.org")
    shown = subprocess.run(
        ["openssl", "x509", "-in", chain, "-noout", "-ext", "subjectAltName"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "DNS:data.example.org" in shown.stdout
    assert "PRIVATE KEY" in key.read_text()


def test_nginx_serves_ranges_and_logs_requests(web, authority):
    web.forget()
    with httpx.Client(verify=str(authority.bundle)) as client:
        whole = client.get(web.url + "large")
        part = client.get(web.url + "large?version=7", headers={"range": "bytes=5000000-5999999"})
        tail = client.get(web.url + "large", headers={"range": "bytes=-10"})
        beyond = client.get(web.url + "large", headers={"range": "bytes=99999999-"})
        absent_file = client.head(web.url + "absent")
    assert (whole.status_code, sha256(whole.content)) == (200, sha256(LARGE))
    assert part.headers["content-range"] == f"bytes 5000000-5999999/{len(LARGE)}"
    assert (part.status_code, part.content) == (206, LARGE[5_000_000:6_000_000])
    assert tail.content == LARGE[-10:]
    assert (beyond.status_code, absent_file.status_code) == (416, 404)
    assert web.requests() == [
        ("GET", "/large", "", 200),
        ("GET", "/large?version=7", "bytes=5000000-5999999", 206),
        ("GET", "/large", "bytes=-10", 206),
        ("GET", "/large", "bytes=99999999-", 416),
        ("HEAD", "/absent", "", 404),
    ]


def test_nginx_comes_back_on_its_port(tmp_path, authority, web):
    (tmp_path / "file").write_bytes(SMALL)
    with Nginx(tmp_path / "nginx", tmp_path, authority) as server:
        url = server.url
        for end in (server.kill, server.stop):
            end()
            with pytest.raises(httpx.ConnectError):
                httpx.get(url, verify=False)
            server.restart()
            assert httpx.get(url + "file", verify=False).content == SMALL
        assert server.url == url
        assert server.requests() == [("GET", "/file", "", 200)] * 2


# The proxy without faults.


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
@pytest.mark.parametrize("secure", [False, True])
def test_signed_requests_go_through(gateway, authority, secure):
    name = f"through{secure:d}"
    # radosgw 16 does not know the trailing checksums that boto3 sends over TLS by default.
    options = {"request_checksum_calculation": "when_required"} if secure else {}
    with FaultyProxy(gateway.endpoint, authority if secure else None) as proxy:
        client = signed_client(proxy.url, gateway, **options)
        client.create_bucket(Bucket=name)
        client.put_object(Bucket=name, Key="large", Body=LARGE, IfNoneMatch="*")
        with pytest.raises(ClientError, match="PreconditionFailed"):
            client.put_object(Bucket=name, Key="large", Body=SMALL, IfNoneMatch="*")
        got = client.get_object(Bucket=name, Key="large")
        assert sha256(got["Body"].read()) == sha256(LARGE)
        part = client.get_object(
            Bucket=name, Key="large", Range="bytes=7-1000006", IfMatch=got["ETag"]
        )
        assert part["Body"].read() == LARGE[7:1_000_007]
        with pytest.raises(ClientError, match="PreconditionFailed"):
            client.get_object(Bucket=name, Key="large", IfMatch='"0"')
        assert client.head_object(Bucket=name, Key="large")["ContentLength"] == len(LARGE)
        listing = client.list_objects_v2(Bucket=name, Prefix="la")
        assert [found["Key"] for found in listing["Contents"]] == ["large"]
        client.delete_object(Bucket=name, Key="large")
        statuses = [(entry.method, entry.status) for entry in proxy.requests]
    assert statuses == [
        ("PUT", 200),
        ("PUT", 200),
        ("PUT", 412),
        ("GET", 200),
        ("GET", 206),
        ("GET", 412),
        ("HEAD", 200),
        ("GET", 200),
        ("DELETE", 204),
    ]
    assert proxy.requests[4][1:] == (f"/{name}/large", "bytes=7-1000006", 206, "")
    assert proxy.requests[7].path == f"/{name}?list-type=2&prefix=la&encoding-type=url"


def test_multipart_transfers_go_through(gateway, tmp_path):
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(LARGE)
    with FaultyProxy(gateway.endpoint) as proxy:
        client = signed_client(proxy.url, gateway)
        client.create_bucket(Bucket="parts")
        client.upload_file(str(source), "parts", "large")
        client.download_file("parts", "large", str(target))
        assert sha256(target.read_bytes()) == sha256(LARGE)
        parts = [entry for entry in proxy.requests if "partNumber" in entry.path]
        ranges = [entry for entry in proxy.requests if entry.range]
    assert len(parts) == len(ranges) == 3  # of 8 MiB, boto3's default


def recording_server(answer: bytes, end: bytes) -> tuple[socket.socket, list[bytes]]:
    """Return a server that keeps the bytes of one request up to an end, and answers with these."""
    door, kept = socket.create_server(("127.0.0.1", 0)), []

    def serve() -> None:
        connection, _ = door.accept()
        with connection:
            received = b""
            while not received.endswith(end) and (piece := connection.recv(65536)):
                received += piece
            kept.append(received)
            connection.sendall(answer)
            connection.recv(1)

    threading.Thread(target=serve, daemon=True).start()
    return door, kept


def ask(proxy: FaultyProxy, request: bytes, most: int = 1 << 30) -> bytes:
    """Return what a plain socket receives until the connection is closed, or so many bytes."""
    with socket.create_connection(("127.0.0.1", proxy.port)) as plain:
        plain.settimeout(30)
        plain.sendall(request)
        received = b""
        while len(received) < most and (piece := plain.recv(65536)):
            received += piece
        return received


def test_requests_and_answers_keep_their_bytes():
    request = (
        b"PUT /a%20b//../c?x=%2F&versionId=1&y HTTP/1.1\r\nhOsT: bucket.example.org:9\r\n"
        b'If-Match:  "e"\r\nX-Amz-Meta-Name: \xc3\xa9\r\nRange: bytes=0-1\r\n'
        b"Content-Length: 4\r\nConnection: close\r\n\r\nbody"
    )
    answer = b"HTTP/1.1 200 Fine\r\nETag: x\r\neTag: y\r\nContent-Length: 3\r\n\r\nyes"
    door, kept = recording_server(answer, b"body")
    with door, FaultyProxy(f"http://127.0.0.1:{door.getsockname()[1]}") as proxy:
        assert ask(proxy, request) == answer
        assert kept == [request]
        target = "/a%20b//../c?x=%2F&versionId=1&y"
        assert proxy.requests == [Request("PUT", target, "bytes=0-1", 200, "")]


def test_connections_stay_open(proxy):
    request = b"GET /small0 HTTP/1.1\r\nhost: x\r\n%b\r\n"
    received = ask(proxy, request % b"" * 3 + request % b"connection: close\r\n")
    assert received.count(SMALL) == 4


def test_a_server_that_is_gone_answers_502(client):
    with PortBlockServer() as url, FaultyProxy(url) as proxy:
        assert client.get(proxy.url).status_code == 502
        assert client.put(proxy.url, content=SMALL).status_code == 502


class PortBlockServer:
    """The address of a port on which nobody listens, and that nobody takes meanwhile."""

    def __enter__(self) -> str:
        self.block = PortBlock()
        return f"http://127.0.0.1:{self.block.first}"

    def __exit__(self, *error: object) -> None:
        self.block.release()


@settings(max_examples=50, deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=9000)), st.binary(max_size=20))
def test_chunked_bodies_are_taken_apart_and_put_together(chunks, following):
    ours, theirs = socket.socketpair()
    with ours, theirs:
        wire = b"".join(b"%X;x=y\r\n%b\r\n" % (len(c), c) for c in chunks) + b"0\r\n\r\n"
        threading.Thread(target=lambda: (theirs.sendall(wire + following), theirs.close())).start()
        stream = Stream(ours)
        assert b"".join(map(bytes, stream.body(Framing(None, True)))) == b"".join(chunks)
        assert b"".join(map(bytes, iter(stream.read, b""))) == following


@pytest.mark.parametrize("kind", ["", "cut", "truncate", "corrupt"])
def test_chunked_answers(kind, client):
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\n%b\r\n0\r\n\r\n"
    door, _ = recording_server(chunked % SMALL[:100], b"\r\n\r\n")
    faults = [Fault(kind, at=10)] if kind else []
    with door, FaultyProxy(f"http://127.0.0.1:{door.getsockname()[1]}", faults=faults) as proxy:
        if kind == "cut":
            with pytest.raises(httpx.RemoteProtocolError):
                client.get(proxy.url)
            return
        got = client.get(proxy.url).content
    wrong = bytes(255 - byte for byte in SMALL[10:26])
    expected = {"": SMALL[:100], "truncate": SMALL[:10]}
    assert got == expected.get(kind, SMALL[:10] + wrong + SMALL[26:100])


# Faults.

GET = b"GET /large HTTP/1.1\r\nhost: x\r\n%b\r\n"


def body_of(received: bytes) -> bytes:
    return received.partition(b"\r\n\r\n")[2]


def test_cut_closes_after_so_many_bytes(proxy, client):
    proxy.add(Fault("cut", path="^/large$", at=1_000_001))
    received = ask(proxy, GET % b"")
    assert f"Content-Length: {len(LARGE)}".encode() in received
    assert body_of(received) == LARGE[:1_000_001]
    proxy.add(Fault("cut", path="^/small0$"))
    with pytest.raises(httpx.RemoteProtocolError):
        client.get(proxy.url + "small0")
    assert client.get(proxy.url + "small0").content == SMALL
    assert [entry.fault for entry in proxy.requests] == ["cut", "cut", ""]


def test_cut_over_https(web, authority):
    with (
        FaultyProxy(web.url, authority, [Fault("cut", at=500_000)]) as proxy,
        httpx.Client(verify=str(authority.bundle)) as client,
    ):
        assert proxy.url.startswith("https://")
        received = 0
        with pytest.raises(httpx.HTTPError), client.stream("GET", proxy.url + "large") as answer:
            for piece in answer.iter_raw():
                received += len(piece)
        assert received <= 500_000
        assert sha256(client.get(proxy.url + "large").content) == sha256(LARGE)


def test_stall_sends_nothing_more(proxy):
    proxy.add(Fault("stall", at=3000))
    with httpx.Client(timeout=1) as client, pytest.raises(httpx.ReadTimeout):
        client.get(proxy.url + "small1")
    proxy.heal()
    proxy.add(Fault("stall", at=3000, seconds=0.2))
    assert body_of(ask(proxy, GET % b"")) == LARGE[:3000]


def test_status_and_expired(proxy, client):
    proxy.add(Fault("status", code=429, retry_after=2, path="/small0"))
    busy = client.get(proxy.url + "small0")
    assert (busy.status_code, busy.headers["retry-after"]) == (429, "2")
    proxy.add(Fault("status", method="PUT", path="/x"))
    assert client.put(proxy.url + "x", content=LARGE).status_code == 503
    proxy.add(Fault("expired", path="/small1"))
    expired = client.get(proxy.url + "small1")
    assert expired.status_code == 403
    assert "<Code>AccessDenied</Code><Message>Request has expired</Message>" in expired.text
    assert client.get(proxy.url + "small1").content == SMALL


def test_boto3_reads_the_made_up_error(gateway):
    with FaultyProxy(gateway.endpoint) as proxy:
        client = signed_client(proxy.url, gateway)
        client.create_bucket(Bucket="errors")
        proxy.add(Fault("status", method="PUT", path="^/errors/a"))
        with pytest.raises(ClientError, match="503"):
            client.put_object(Bucket="errors", Key="a", Body=LARGE)
        client.put_object(Bucket="errors", Key="a", Body=LARGE)
        proxy.add(Fault("expired", path="^/errors/a"))
        with pytest.raises(ClientError, match="Request has expired"):
            client.get_object(Bucket="errors", Key="a")
        assert sha256(client.get_object(Bucket="errors", Key="a")["Body"].read()) == sha256(LARGE)


@pytest.mark.parametrize("span", ["", "bytes=1000-8999"])
def test_truncate_is_well_formed(proxy, client, span):
    proxy.add(Fault("truncate", at=321))
    fields = {"range": span} if span else {}
    short = client.get(proxy.url + "small0", headers=fields)
    start = 1000 if span else 0
    assert short.content == SMALL[start : start + 321]
    assert short.headers["content-length"] == "321"
    assert short.status_code == (206 if span else 200)
    if span:
        assert short.headers["content-range"] == "bytes 1000-1320/10000"
    again = client.get(proxy.url + "small0", headers=fields)  # on the same connection
    assert again.content == (SMALL[1000:9000] if span else SMALL)


@pytest.mark.parametrize("at", [None, 0, 1 << 20, len(LARGE) - 3, 1 << 40])
def test_corrupt_keeps_the_length(proxy, client, at):
    proxy.add(Fault("corrupt", at=at))
    wrong = client.get(proxy.url + "large").content
    assert len(wrong) == len(LARGE)
    where = min(len(LARGE) // 2 if at is None else at, len(LARGE) - 1)
    differing = [where + n for n in range(-20, 20) if 0 <= where + n < len(LARGE)]
    differing = [n for n in differing if wrong[n] != LARGE[n]]
    assert differing == list(range(where, min(where + 16, len(LARGE))))
    assert wrong[: max(where - 20, 0)] == LARGE[: max(where - 20, 0)]
    assert wrong[where + 20 :] == LARGE[where + 20 :]


@pytest.mark.parametrize("span", ["", "bytes=1000-8999"])
def test_html_in_place_of_the_body(proxy, client, span):
    proxy.add(Fault("html"))
    page = client.get(proxy.url + "small0", headers={"range": span} if span else {})
    assert (page.status_code, page.headers["content-type"][:9]) == (200, "text/html")
    assert page.text.lower().startswith("<!doctype html>")


def test_whole_ignores_the_range(proxy, client, gateway):
    proxy.add(Fault("whole"))
    whole = client.get(proxy.url + "large", headers={"range": "bytes=5-9"})
    assert (whole.status_code, sha256(whole.content)) == (200, sha256(LARGE))
    assert proxy.requests == [("GET", "/large", "bytes=5-9", 200, "whole")]
    gateway.client().create_bucket(Bucket="wholes")
    gateway.client().put_object(Bucket="wholes", Key="a", Body=SMALL)
    with FaultyProxy(gateway.endpoint, faults=[Fault("whole", times=None)]) as front:
        signed = signed_client(front.url, gateway)
        with pytest.raises(ClientError, match="501"):
            signed.get_object(Bucket="wholes", Key="a", Range="bytes=0-1")
        address = signed.generate_presigned_url("get_object", {"Bucket": "wholes", "Key": "a"})
        assert client.get(address, headers={"range": "bytes=0-1"}).content == SMALL


def test_slow_limits_the_rate(proxy, client):
    proxy.add(Fault("slow", bytes_per_second=20_000))
    began = time.monotonic()
    assert client.get(proxy.url + "small0").content == SMALL
    assert time.monotonic() - began >= 0.45  # 10 kB; a slower machine is no failure


def test_faults_strike_each_path_so_many_times(web):
    faults = [Fault("status", path="small1", times=2), Fault("html", path="large", times=None)]
    limits = httpx.Limits(max_connections=16)
    with FaultyProxy(web.url, faults=faults) as proxy, httpx.Client(limits=limits) as client:
        names = [f"small{number}?try={again}" for again in range(10) for number in range(20)]
        random.Random(3).shuffle(names)
        with ThreadPoolExecutor(16) as pool:
            answers = list(pool.map(lambda name: client.get(proxy.url + name), names))
        struck = [
            n.split("?")[0] for n, a in zip(names, answers, strict=True) if a.status_code == 503
        ]
        # small1, small10 to small19: eleven paths
        assert sorted(struck) == sorted([f"small{n}" for n in (1, *range(10, 20))] * 2)
        assert all(a.content == SMALL for a in answers if a.status_code == 200)
        assert sorted(entry.path for entry in proxy.requests) == sorted(f"/{n}" for n in names)
        assert [entry.fault for entry in proxy.requests].count("status") == 22
        assert all(len(client.get(proxy.url + "large").content) < 1000 for _ in range(4))
        assert [entry.fault for entry in proxy.requests[-4:]] == ["html"] * 4
        proxy.heal()
        assert sha256(client.get(proxy.url + "large").content) == sha256(LARGE)


def test_an_unknown_kind_is_refused():
    with pytest.raises(ValueError, match="unknown kind"):
        Fault("cute")
