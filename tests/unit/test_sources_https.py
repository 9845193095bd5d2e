"""Manifests beside data on a web server: what they say, and what is wrong in which line."""

from __future__ import annotations

import hashlib
import json
import shutil
import ssl
import subprocess
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from urllib.request import urlopen

import pytest
from archive_data import make_dataset, settings
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st

from bidsmill.errors import BidsmillError
from bidsmill.sources import https

SHA = "a" * 64


class Quiet(SimpleHTTPRequestHandler):
    """Serves files; `/down/…` leads to an address without encryption, `/round/…` to itself."""

    def do_GET(self):
        if not self.path.startswith(("/down/", "/round/")):
            return super().do_GET()
        port = self.server.plain_port
        target = self.path if "round" in self.path else f"http://127.0.0.1:{port}/manifest.tsv"
        self.send_response(302)
        self.send_header("Location", target)
        self.send_header("Content-Length", "0")
        return self.end_headers()

    def log_message(self, *arguments):
        pass


@pytest.fixture
def site(tmp_path, authority, monkeypatch):
    """A folder `data set` behind a web server with TLS, and its address."""
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.bundle))
    root = tmp_path / "www"
    make_dataset(root / "data set")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(root)))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.certificate())
    server.socket = context.wrap_socket(server.socket, server_side=True)
    plain = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(root / "data set")))
    server.plain_port = plain.server_address[1]
    for each in (server, plain):
        threading.Thread(target=each.serve_forever, args=(0.05,), daemon=True).start()
    yield root / "data set", f"https://127.0.0.1:{server.server_address[1]}/data%20set"
    for each in (server, plain):
        each.shutdown()
        each.server_close()


def test_a_manifest_is_written_and_read_back(site, authority):
    folder, url = site
    count = https.write_manifest(folder)
    listing = https.list_dataset("mine", settings(url=url))
    assert listing.snapshot == "https"
    assert listing.source == {"kind": "https", "url": f"{url}/"}
    assert len(listing.files) == count == 18
    context = ssl.create_default_context(cafile=str(authority.bundle))
    for entry in listing.files:
        content = (folder / entry["path"]).read_bytes()
        assert entry["size"] == len(content)
        assert entry["checksum"] == f"sha256:{hashlib.sha256(content).hexdigest()}"
        with urlopen(entry["url"], context=context) as answer:
            assert answer.read() == content
    assert {"extra/a b+c.tsv", "CHANGES"} <= {entry["path"] for entry in listing.files}


def test_a_manifest_written_twice_is_the_same(site):
    folder, _ = site
    https.write_manifest(folder)
    first = (folder / "manifest.tsv").read_bytes()
    https.write_manifest(folder)
    assert (folder / "manifest.tsv").read_bytes() == first
    assert [p.name for p in folder.iterdir() if p.name.endswith(".part")] == []


def test_a_manifest_agrees_with_sha256sum(site):
    folder, _ = site
    https.write_manifest(folder)
    rows = [line.split("\t") for line in (folder / "manifest.tsv").read_text().splitlines()[1:]]
    lines = "".join(f"{sha256}  {path}\n" for path, _, sha256 in rows)
    done = subprocess.run(
        ["sha256sum", "--check", "--strict"],
        cwd=folder,
        input=lines,
        text=True,
        check=False,
        capture_output=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_json_manifest_states_its_version(site):
    folder, url = site
    content = (folder / "dataset_description.json").read_bytes()
    row = {
        "path": "dataset_description.json",
        "size": len(content),
        "sha256": hashlib.sha256(content).hexdigest().upper(),
        "note": "more keys are allowed",
    }
    (folder / "list.json").write_text(json.dumps({"version": "2.1", "files": [row]}))
    listing = https.list_dataset("mine", settings(url=url, manifest="list.json"))
    assert listing.snapshot == "2.1"
    assert listing.files[0]["checksum"] == f"sha256:{hashlib.sha256(content).hexdigest()}"
    with pytest.raises(BidsmillError, match=r"another version.*2\.1.*3\.0"):
        https.list_dataset("mine", settings(url=url, manifest="list.json", version="3.0"))


def test_what_cannot_go_into_a_manifest(site):
    folder, _ = site
    (folder / "sub-01" / "a\tb.tsv").write_text("x")
    with pytest.raises(BidsmillError, match="tab"):
        https.write_manifest(folder)
    (folder / "sub-01" / "a\tb.tsv").unlink()
    (folder / "sub-01" / "broken.edf").symlink_to("nowhere")
    with pytest.raises(BidsmillError, match="cannot be read"):
        https.write_manifest(folder)
    assert not (folder / "manifest.tsv").exists()


def test_no_manifest(site):
    _, url = site
    with pytest.raises(BidsmillError, match=r"manifest of mine.*404"):
        https.list_dataset("mine", settings(url=url))


def test_a_web_page_is_no_manifest(site):
    folder, url = site
    (folder / "manifest.tsv").write_text("<!DOCTYPE html><html>Please log in</html>")
    with pytest.raises(BidsmillError, match="a web page"):
        https.list_dataset("mine", settings(url=url))


def test_redirects_that_give_up_encryption_or_never_end(site):
    folder, url = site
    https.write_manifest(folder)
    root = url.removesuffix("data%20set")
    with pytest.raises(BidsmillError, match="without encryption"):
        https.list_dataset("mine", settings(url=f"{root}down/"))
    with pytest.raises(BidsmillError, match="redirects"):
        https.list_dataset("mine", settings(url=f"{root}round/"))


def test_a_manifest_without_description_is_partial(site):
    folder, url = site
    (folder / "manifest.tsv").write_text(f"path\tsize\tsha256\nREADME\t1\t{SHA}\n")
    with pytest.raises(BidsmillError, match="partial listing"):
        https.list_dataset("mine", settings(url=url))


@pytest.mark.parametrize(
    ("url", "message"),
    [
        (None, "needs the key `url`"),
        ("http://example.org/x/", "anyone on the way"),
        ("HTTP://example.org/x/", "anyone on the way"),
        ("ftp://example.org/x/", "no address"),
        ("example.org/x", "no address"),
        ("https:///x", "no address"),
        ("https://[::1/x", "no address"),
        ("https://me:secret@example.org/x/", "user, a password"),
        ("https://example.org/x/?token=secret", "user, a password"),
    ],
)
def test_addresses_that_are_refused(url, message):
    with pytest.raises(BidsmillError, match=message) as problem:
        https.list_dataset("mine", settings(url=url))
    assert "secret" not in str(problem.value)


def test_manifests_of_unknown_kinds():
    with pytest.raises(BidsmillError, match="unknown kind"):
        https.list_dataset("mine", settings(url="https://example.org/x", manifest="list.xml"))


def test_lines_columns_and_ends():
    text = f"sha256\tnote\tpath\tsize\r\n{SHA}\tx\ta/b\u2028c.tsv\t007\r\n{SHA.upper()}\t\td\t0"
    assert https.parse_table(text, "m") == [
        {"path": "a/b\u2028c.tsv", "size": 7, "checksum": f"sha256:{SHA}"},
        {"path": "d", "size": 0, "checksum": f"sha256:{SHA}"},
    ]
    assert https.parse_table("path\tsize\tsha256\n", "m") == []


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (f"b\t-1\t{SHA}", "wrong size.*line 3"),
        (f"b\t1.0\t{SHA}", "wrong size.*line 3"),
        (f"b\t\t{SHA}", "wrong size.*line 3"),
        (f"b\t\u0661\t{SHA}", "wrong size.*line 3"),
        (f"b\t1\t{SHA[1:]}", "wrong sha256.*line 3"),
        (f"b\t1\t{SHA[1:]}g", "wrong sha256.*line 3"),
        (f"\t1\t{SHA}", "wrong path.*line 3"),
        ("b\t1", "number of columns.*line 3.*found: 2.*expected: 3"),
        (f"b\t1\t{SHA}\tmore", "number of columns.*line 3"),
        ("", "number of columns.*line 3"),
        (f"a\t1\t{SHA}", "twice.*line 3.*'a', as in number 2"),
    ],
)
def test_a_wrong_line_is_named(line, message):
    text = f"path\tsize\tsha256\na\t1\t{SHA}\n{line}\nz\t1\t{SHA}\n"
    with pytest.raises(BidsmillError, match=message):
        https.parse_table(text, "m")


@pytest.mark.parametrize(
    "header", ["", "path\tsize", "path\tsize\tmd5", "path\tpath\tsize\tsha256"]
)
def test_a_wrong_header(header):
    with pytest.raises(BidsmillError, match="line 1"):
        https.parse_table(f"{header}\na\t1\t{SHA}\n", "m")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", "another shape"),
        ('{"files": {}}', "another shape"),
        ('{"files": [3]}', "wrong entry.*file 1"),
        ('{"files": [{"path": "a", "size": 1}]}', "wrong entry.*file 1"),
        (f'{{"files": [{{"path": "a", "size": "1", "sha256": "{SHA}"}}]}}', "wrong size"),
        (f'{{"files": [{{"path": "a", "size": true, "sha256": "{SHA}"}}]}}', "wrong size"),
        (f'{{"files": [{{"path": "\\ud800", "size": 1, "sha256": "{SHA}"}}]}}', "wrong path"),
        ('{"files": [{"path": "a", "size": 1, "sha256": 3}]}', "wrong sha256"),
        ('{"files": [], "version": 3}', "wrong version"),
    ],
)
def test_wrong_json(content, message):
    with pytest.raises(BidsmillError, match=message):
        https.parse_json(content, "m")


NAMES = st.text(
    st.characters(exclude_characters="\t\r\n", exclude_categories=["Cs"]), min_size=1, max_size=20
)


@effort(max_examples=150, deadline=None)
@given(st.dictionaries(NAMES, st.tuples(st.integers(0, 10**15), st.binary(max_size=9)), max_size=8))
def test_every_table_is_read_as_it_was_written(rows):
    expected = [
        {"path": path, "size": size, "checksum": f"sha256:{hashlib.sha256(c).hexdigest()}"}
        for path, (size, c) in rows.items()
    ]
    lines = [f"{e['path']}\t{e['size']}\t{e['checksum'][7:]}" for e in expected]
    assert https.parse_table("\n".join(["path\tsize\tsha256", *lines]) + "\n", "m") == expected
    content = {"files": [{**e, "sha256": e["checksum"][7:]} for e in expected]}
    assert https.parse_json(json.dumps(content), "m") == (expected, None)


@effort(max_examples=200, deadline=None)
@given(st.text(max_size=60) | st.text("\t\n0aA1", max_size=40))
def test_any_text_is_read_or_refused(text):
    for parse, whole in [
        (https.parse_table, text),
        (https.parse_table, f"path\tsize\tsha256\n{text}"),
        (https.parse_json, text),
        (https.parse_json, json.dumps({"files": [{"path": text, "size": 1, "sha256": text}]})),
    ]:
        try:
            parse(whole, "m")
        except BidsmillError as problem:
            assert str(problem)


def test_the_folder_is_not_needed_after_the_manifest(site):
    folder, url = site
    https.write_manifest(folder)
    shutil.rmtree(folder / "sub-01")
    assert any(
        e["path"].startswith("sub-01") for e in https.list_dataset("m", settings(url=url)).files
    )
