"""An archive on loopback that answers as OpenNeuro and NEMAR do, and fails when told to.

One server speaks both: OpenNeuro's GraphQL service and its bucket, and NEMAR's data service with
its annexed objects and git-tracked files. Datasets are folders:

    archive = Archive({"ds900001": {"1.0.0": folder}, "nm900001": {"1.0.0": folder}}, authority)
    settings = {"id": "ds900001", "endpoint": archive.graphql, ...}     # source openneuro
    settings = {"id": "nm900001", "endpoint": archive.nemar, ...}       # source nemar
    archive.publish("ds900001", "1.1.0", changed_folder)                # news upstream
    archive.stop()

``on900001`` is the mirror of ``ds900001``. Without an authority the server speaks plain HTTP,
which nemar-py refuses. Faults are set through attributes and methods at any time:

    archive.listing = "no_subject"          # see LISTINGS; "" ends it
    archive.fail(3, status=503)             # the next three requests
    archive.fail(1, status=503, only="/crn/graphql")
    archive.signed_for = 2.0                # addresses that end after two seconds; None: plain
    archive.missing.add("sub-01/eeg/sub-01_eeg.edf")      # 403, as S3 does without ListBucket
    archive.wrong[path] = b"..."            # other bytes in place of the file's

What was asked is in ``archive.requests`` (`Request`), e.g. ``archive.count("/objects/")``.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import secrets
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

from servers.authority import Authority
from servers.graphql import answer_query, description_of, is_left_out

# What may be wrong with the listings of files (GraphQL; "no_subject" for NEMAR's manifest too).
LISTINGS = {
    "": "whole",
    "no_subject": "the last subject's files are absent",
    "empty": "an empty list",
    "null": "no list",
    "errors": "an error stands beside the data",
    "no_description": "dataset_description.json is absent",
    "no_size": "one file has no size",
    "no_urls": "no file has an address",
    "folders": "the recursive listing is answered with folders, as some servers do",
    "no_recursive": "the service does not know the argument `recursive`",
    "slow": "the recursive listing ends with HTTP 504, as large ones do",
    "empty_folder": 'as "folders", and the inner folders come back empty',
}
TEXT = (".json", ".tsv", ".txt", ".md", ".bidsignore")


@dataclass(frozen=True)
class Request:
    """A request that came in: its method, path with query, range and status of the answer."""

    method: str
    path: str
    range: str
    status: int
    query: str = ""


@dataclass(frozen=True)
class Stored:
    """A file of a snapshot, as the archive keeps it."""

    path: str
    file: Path
    size: int
    sha256: str
    md5: str
    blob: str
    is_link: bool

    @property
    def annexed(self) -> bool:
        return not self.is_link and "." in self.path and not self.path.endswith(TEXT)

    @property
    def key(self) -> str:
        """The git-annex key; half of the files have one of each kind."""
        extension = "".join(Path(self.path).suffixes)
        if int(self.sha256[0], 16) % 2:
            return f"MD5E-s{self.size}--{self.md5}{extension}"
        return f"SHA256E-s{self.size}--{self.sha256}{extension}"

    @property
    def id(self) -> str:
        return self.key if self.annexed else self.blob


class Archive:
    """The server; it runs until `stop`.

    Parameters
    ----------
    datasets : dict
        Id -> {version: folder}.
    authority : Authority, optional
        Signs the certificate; the server then speaks TLS.

    Attributes
    ----------
    url, graphql, nemar : str
        The root, and the two values for ``endpoint``.
    requests : list of Request
        What was answered so far.
    ids : str
        ``"git"`` (ids outside the annex are git blobs) or ``"path"`` (hashes that depend on the
        path, as older servers gave).
    listing, signed_for, missing, wrong
        Faults, see the module.
    durable : bool
        Whether NEMAR's manifest names a ``bytes_url`` beside signed addresses.
    """

    def __init__(
        self, datasets: dict[str, dict[str, Path]], authority: Authority | None = None
    ) -> None:
        self.datasets: dict[str, dict[str, Path]] = {}
        self.requests: list[Request] = []
        self.listing, self.ids, self.durable = "", "git", False
        self.signed_for: float | None = None
        self.missing: set[str] = set()
        self.wrong: dict[str, bytes] = {}
        self._snapshots: dict[tuple[str, str], list[Stored]] = {}
        self._failures: list[tuple[int, str, str | None]] = []
        self._lock, self._secret = threading.Lock(), secrets.token_bytes(16)
        for name, versions in datasets.items():
            for version, folder in versions.items():
                self.publish(name, version, folder)
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.archive = self
        scheme = "http"
        if authority:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*authority.certificate())
            # The handshake belongs to the connection's own thread.
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
            scheme = "https"
        self.url = f"{scheme}://127.0.0.1:{self._server.server_address[1]}"
        self.graphql, self.nemar = f"{self.url}/crn/graphql", f"{self.url}/"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def publish(self, name: str, version: str, folder: Path) -> None:
        """Add a snapshot, the latest from now on, with the folder's files as they are now.

        The bytes are read from the folder whenever they are asked for: do not change it later.
        """
        self._snapshots[name, version] = _read_folder(folder)
        versions = self.datasets.setdefault(name, {})
        versions.pop(version, None)
        versions[version] = folder

    def fail(
        self, times: int, status: int = 503, only: str = "", retry_after: str | None = None
    ) -> None:
        """Answer the next requests whose path holds `only` with an error."""
        with self._lock:
            self._failures += [(status, only, retry_after)] * times

    def count(self, text: str = "", method: str = "") -> int:
        """Return how many requests had a path with this text in it."""
        return sum(text in r.path and method in r.method for r in self.requests)

    def stop(self) -> None:
        """End the server; its port is free afterwards."""
        self._server.shutdown()
        self._server.server_close()

    def __enter__(self) -> Archive:
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    # What the handler asks for

    def failure(self, path: str) -> tuple[int, str | None] | None:
        with self._lock:
            for index, (status, only, retry_after) in enumerate(self._failures):
                if only in path:
                    del self._failures[index]
                    return status, retry_after
        return None

    def home(self, name: str) -> str:
        """Return the dataset behind an id: that of a mirror is OpenNeuro's."""
        if name in self.datasets or not name.startswith("on"):
            return name
        return f"ds{name[2:]}"

    def files(self, name: str, version: str) -> list[Stored] | None:
        return self._snapshots.get((self.home(name), version))

    def stored(self, name: str, matches: Callable[[Stored], bool]) -> Stored | None:
        """Return the newest file of a dataset that matches, in whatever snapshot it is."""
        for version in reversed(self.datasets.get(self.home(name), {})):
            for file in self._snapshots[self.home(name), version]:
                if matches(file):
                    return file
        return None

    def sign(self, address: str) -> str:
        """Return an address with a signature that ends, where `signed_for` says so."""
        if self.signed_for is None:
            return address
        ends = repr(time.time() + self.signed_for)
        separator = "&" if "?" in address else "?"
        path = address[len(self.url) :]
        return f"{address}{separator}X-Amz-Expires={ends}&X-Amz-Signature={self._mac(path, ends)}"

    def is_expired(self, path: str) -> bool:
        """Return whether a path with query is one whose signature is over, or wrong."""
        bare, mark, signature = path.partition("X-Amz-Expires=")
        if not mark:
            return False
        ends, _, mac = signature.partition("&X-Amz-Signature=")
        return mac != self._mac(bare[:-1], ends) or time.time() > float(ends)

    def _mac(self, path: str, ends: str) -> str:
        return hmac.new(self._secret, f"{path} {ends}".encode(), "sha256").hexdigest()


class _Server(ThreadingHTTPServer):
    archive: Archive
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients that hang up are part of the tests."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = 60
    server: _Server
    query = ""

    def log_message(self, *arguments: object) -> None:
        """Print nothing: requests are kept in `Archive.requests`."""

    def do_GET(self) -> None:
        self._answer(self._get)

    def do_HEAD(self) -> None:
        self._answer(self._get)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        self._answer(lambda: self._post(body))

    def _answer(self, action: Callable[[], None]) -> None:
        self.query = ""
        failure = self.server.archive.failure(self.path)
        if failure:
            extra = {"Retry-After": failure[1]} if failure[1] else {}
            self._send(failure[0], b"<html>busy</html>", "text/html", extra)
        else:
            action()

    def _post(self, body: bytes) -> None:
        if urlsplit(self.path).path != "/crn/graphql":
            return self._json(404, {"error": "not found"})
        payload = json.loads(body)
        self.query = payload["query"]
        status, answer = answer_query(self.server.archive, self.query, payload["variables"])
        return self._json(status, answer)

    def _get(self) -> None:
        archive, url = self.server.archive, urlsplit(self.path)
        parts = unquote(url.path).strip("/").split("/")
        name = parts[0]
        if name == "openneuro.org" and len(parts) > 2:
            sha256 = parse_qs(url.query).get("versionId", [""])[0]
            path = "/".join(parts[2:])
            found = archive.stored(parts[1], lambda f: f.path == path and f.sha256 == sha256)
            return self._bytes(found, path)
        if name == "objects":
            dataset, key = parts[1], parts[2]
            found = archive.stored(dataset, lambda f: f.annexed and f.key == key)
            return self._bytes(found, found.path if found else key)
        if name == "raw":
            dataset, version, path = parts[1], parts[2], "/".join(parts[3:])
            files = archive.files(dataset, version) or []
            return self._bytes(next((f for f in files if f.path == path), None), path)
        return self._nemar(parts)

    def _nemar(self, parts: list[str]) -> None:
        archive, name = self.server.archive, parts[0]
        versions = archive.datasets.get(archive.home(name))
        if versions is None or not re.fullmatch(r"(nm|on)\d{6}", name):
            return self._json(404, {"error": "Dataset not found"})
        if len(parts) == 1:
            return self._json(200, _nemar_index(name, list(versions)))
        if parts[1:] == ["metadata.json"]:
            return self._json(200, _nemar_metadata(archive, name))
        if len(parts) == 3 and parts[2] == "manifest.json":
            files = archive.files(name, parts[1].removeprefix("v"))
            if files is not None:
                return self._json(200, _nemar_manifest(archive, name, parts[1], files))
        elif len(parts) > 2:
            path = "/".join(parts[2:])
            files = archive.files(name, parts[1].removeprefix("v")) or []
            return self._bytes(next((f for f in files if f.path == path), None), path)
        return self._json(404, {"error": "Version not published"})

    def _bytes(self, stored: Stored | None, path: str) -> None:
        """Send a file or a range of it, or what S3 says where there is none to see."""
        archive = self.server.archive
        if archive.is_expired(self.path):
            return self._refuse("Request has expired")
        if stored is None or path in archive.missing:
            return self._refuse("Access Denied")
        content = archive.wrong.get(path)
        size = stored.size if content is None else len(content)
        etag = f'"{stored.md5}"'
        wanted = _range(self.headers.get("range", ""), size)
        if wanted == (-1, -1):
            return self._send(416, b"", "text/plain", {"Content-Range": f"bytes */{size}"})
        start, stop = wanted or (0, size)
        headers = {"ETag": etag, "Accept-Ranges": "bytes", "Last-Modified": formatdate(0)}
        if wanted:
            headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
        self._head(206 if wanted else 200, stop - start, "binary/octet-stream", headers)
        if self.command == "HEAD":
            return None
        if content is not None:
            self.wfile.write(content[start:stop])
            return None
        with stored.file.open("rb") as file:
            file.seek(start)
            while start < stop:
                chunk = file.read(min(1 << 20, stop - start))
                self.wfile.write(chunk)
                start += len(chunk)
        return None

    def _refuse(self, message: str) -> None:
        text = f"<Error><Code>AccessDenied</Code><Message>{message}</Message></Error>"
        body = b'<?xml version="1.0" encoding="UTF-8"?>\n' + text.encode()
        self._send(403, body, "application/xml")

    def _json(self, status: int, content: Any) -> None:
        self._send(status, json.dumps(content).encode(), "application/json")

    def _send(
        self, status: int, body: bytes, kind: str, headers: dict[str, str] | None = None
    ) -> None:
        self._head(status, len(body), kind, headers or {})
        if self.command != "HEAD":
            self.wfile.write(body)

    def _head(self, status: int, length: int, kind: str, headers: dict[str, str]) -> None:
        wanted = self.headers.get("range", "")
        self.server.archive.requests.append(
            Request(self.command, self.path, wanted, status, self.query)
        )
        self.send_response(status)
        for key, value in {"Content-Type": kind, "Content-Length": str(length), **headers}.items():
            self.send_header(key, value)
        self.end_headers()


def _range(header: str, size: int) -> tuple[int, int] | None:
    """Return start and stop of a Range header, None without one, (-1, -1) past the end."""
    match = re.fullmatch(r"bytes=(\d*)-(\d*)", header)
    if not match or not (match[1] or match[2]):
        return None
    if not match[1]:
        start, stop = max(0, size - int(match[2])), size
    else:
        start, stop = int(match[1]), min(size, int(match[2]) + 1 if match[2] else size)
    return (start, stop) if start < stop else (-1, -1)


def _read_folder(folder: Path) -> list[Stored]:
    found = []
    for file in sorted(p for p in folder.rglob("*") if p.is_symlink() or p.is_file()):
        path = file.relative_to(folder).as_posix()
        is_link = file.is_symlink()
        content = str(file.readlink()).encode() if is_link else file.read_bytes()
        blob = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
        found.append(
            Stored(
                path,
                file,
                0 if is_link else len(content),
                hashlib.sha256(content).hexdigest(),
                hashlib.md5(content).hexdigest(),
                blob,
                is_link,
            )
        )
    return found


# NEMAR


def _nemar_index(name: str, versions: list[str]) -> dict[str, Any]:
    return {
        "dataset_id": name,
        "latest": f"v{versions[-1]}" if versions else None,
        "metadata_url": f"/{name}/metadata.json",
        "versions": [
            {
                "version": f"v{version}",
                "doi": f"10.82901/nemar.{name}.v{version}",
                "manifest_url": f"/{name}/v{version}/manifest.json",
            }
            for version in versions
        ],
    }


def _nemar_metadata(archive: Archive, name: str) -> dict[str, Any]:
    description = description_of(next(iter(archive.datasets[archive.home(name)].values())))
    return {
        "dataset_id": name,
        "license": description.get("License"),
        "authors": [{"name": author} for author in description.get("Authors", [])],
    }


def _nemar_manifest(
    archive: Archive, name: str, version: str, files: list[Stored]
) -> dict[str, Any]:
    rows = []
    for file in files:
        if file.is_link or is_left_out(archive, files, file.path):
            continue
        durable = f"{archive.url}/{name}/{version}/{quote(file.path)}"
        if file.annexed:
            url = f"{archive.url}/objects/{name}/{quote(file.key)}"
        else:
            url = f"{archive.url}/raw/{name}/{version.removeprefix('v')}/{quote(file.path)}"
        algorithm, _, digest = f"git:{file.blob}".partition(":")
        if file.annexed:
            algorithm = "md5" if file.key.startswith("MD5") else "sha256"
            digest = getattr(file, algorithm)
        row = {"path": file.path, "size": file.size, "url": archive.sign(url)}
        row |= {"checksum_algorithm": algorithm, "checksum": digest}
        rows.append({**row, "bytes_url": durable} if archive.durable else row)
    return {"dataset": name, "files": rows}
