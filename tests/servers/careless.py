"""A server that knows objects and little else of S3, and does wrong what real ones may do."""

from __future__ import annotations

import re
import threading
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class CarelessServer:
    """An HTTP server on loopback, on a free port if none is given, that keeps objects in memory.

    Its ETags count writes: they are no MD5, as those of objects encrypted with a key of KMS.

    Attributes
    ----------
    endpoint : str
        ``http://127.0.0.1:PORT``
    objects : dict
        Path -> content, ETag and metadata.
    requests : list
        Method, path and fields (lower case) of every request.
    honours : bool
        Whether it heeds If-Match and If-None-Match.
    spoils : bool
        Whether it stores other bytes than it gets.
    loses : int
        Answers to PUT still to be lost after the object is stored.
    """

    def __init__(
        self, *, honours: bool = False, spoils: bool = False, loses: int = 0, port: int = 0
    ):
        self.honours, self.spoils, self.loses = honours, spoils, loses
        self.objects: dict[str, tuple[bytes, str, dict[str, str]]] = {}
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        handler = type("Answering", (Answer,), {"server_of_test": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", port), handler)
        self.port = self._server.server_port
        self.endpoint = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def __enter__(self) -> CarelessServer:
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class Answer(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"
    server_of_test: CarelessServer

    def log_message(self, *_: Any) -> None:
        """Keep the output of the tests clean."""

    def do_PUT(self) -> None:
        server, fields = self._note()
        content = self.rfile.read(int(fields.get("content-length", 0)))
        found = server.objects.get(self.path)
        wanted = fields.get("if-match", "").strip('"')
        if server.honours and (
            ("if-none-match" in fields and found) or (wanted and (not found or found[1] != wanted))
        ):
            self._send(412)
            return
        kept = {name: value for name, value in fields.items() if name.startswith("x-amz-meta-")}
        if server.spoils:
            content = bytes(byte ^ 255 for byte in content)
        tag = str(len(server.requests))
        server.objects[self.path] = content, tag, kept
        if server.loses:
            server.loses -= 1
            self.close_connection = True
            return
        self._send(200, fields={"ETag": f'"{tag}"'})

    def do_GET(self) -> None:
        server, fields = self._note()
        if self.path not in server.objects:
            self._send(404, b"<Error><Code>NoSuchKey</Code></Error>")
            return
        content, tag, kept = server.objects[self.path]
        asked = re.fullmatch(r"bytes=(\d+)-(\d+)", fields.get("range", ""))
        head = {"ETag": f'"{tag}"', "Last-Modified": formatdate(usegmt=True), **kept}
        if asked and self.command == "GET" and int(asked[1]) < len(content):
            part = content[int(asked[1]) : int(asked[2]) + 1]
            last = int(asked[1]) + len(part) - 1
            head["Content-Range"] = f"bytes {asked[1]}-{last}/{len(content)}"
            self._send(206, part, head)
        else:
            self._send(200, content, head)

    do_HEAD = do_GET

    def do_DELETE(self) -> None:
        server, _ = self._note()
        server.objects.pop(self.path, None)
        self._send(204)

    def do_POST(self) -> None:
        """Know nothing of requests that remove many objects."""
        _, fields = self._note()
        self.rfile.read(int(fields.get("content-length", 0)))
        self._send(501, b"<Error><Code>NotImplemented</Code></Error>")

    def _note(self) -> tuple[CarelessServer, dict[str, str]]:
        fields = {name.lower(): value for name, value in self.headers.items()}
        self.server_of_test.requests.append((self.command, self.path, fields))
        return self.server_of_test, fields

    def _send(
        self, status: int, content: bytes = b"", fields: dict[str, str] | None = None
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        for name, value in (fields or {}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)
