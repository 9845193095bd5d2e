"""A reverse proxy that passes requests on unchanged, and makes chosen ones go wrong."""

from __future__ import annotations

import re
import select
import socket
import ssl
import threading
from collections.abc import Iterable
from contextlib import suppress
from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit

from servers.authority import Authority
from servers.faults import MADE_UP, Cut, Fault, Faults, spoil
from servers.messages import Ended, Head, Stream, answer_framing, request_framing

__all__ = ["Fault", "FaultyProxy", "Request"]


class Request(NamedTuple):
    """A request and what became of it; `range` and `fault` are empty when there was none."""

    method: str
    path: str
    range: str
    status: int
    fault: str


class FaultyProxy:
    """An HTTP/1.1 proxy in front of one server, on a free port of loopback.

    Requests go through byte for byte, with the Host field that the client sent (signatures of S3
    cover it); bodies are streamed, connections kept open. One thread per connection.

    Parameters
    ----------
    upstream_url : str
        ``http://`` or ``https://`` with host and port; its certificate is not checked.
    authority : Authority, optional
        With it the proxy speaks HTTPS.
    faults : iterable of Fault
        For each request the first one strikes that matches and has strikes left.

    Attributes
    ----------
    url : str
        ``http(s)://127.0.0.1:PORT/``
    requests : list of Request
        Every request whose answer has begun, in that order.
    """

    def __init__(
        self,
        upstream_url: str,
        authority: Authority | None = None,
        faults: Iterable[Fault] = (),
    ):
        self.upstream = urlsplit(upstream_url)
        self.requests: list[Request] = []
        self.faults = Faults(faults)
        self.stopped = threading.Event()
        self._tls: ssl.SSLContext | None = None
        if authority:
            self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._tls.load_cert_chain(*authority.certificate("127.0.0.1", "localhost"))
        self._lock = threading.Lock()
        self._connections: set[Connection] = set()
        self._door = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port = self._door.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}/"

    def add(self, fault: Fault) -> None:
        """Let something more go wrong, where no earlier fault strikes."""
        self.faults.add(fault)

    def heal(self) -> None:
        """Drop all faults; answers under way keep theirs."""
        self.faults.clear()

    def stop(self) -> None:
        """Close every connection and the port."""
        self.stopped.set()
        # Closing alone does not wake the thread that waits for connections.
        with suppress(OSError):
            self._door.shutdown(socket.SHUT_RDWR)
        self._door.close()
        self._thread.join(10)
        with self._lock:
            connections = list(self._connections)
        for connection in connections:
            connection.close()

    def __enter__(self) -> FaultyProxy:
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def _accept(self) -> None:
        while not self.stopped.is_set():
            try:
                connected, _ = self._door.accept()
            except OSError:
                continue
            threading.Thread(target=self._serve, args=(connected,), daemon=True).start()

    def _serve(self, connected: socket.socket) -> None:
        connection = None
        try:
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._tls:
                connected = self._tls.wrap_socket(connected, server_side=True)
            connection = Connection(self, Stream(connected))
            with self._lock:
                self._connections.add(connection)
            connection.run()
        except (OSError, Ended, Cut):
            pass  # one of the two sides, or a fault, ended the connection
        finally:
            connected.close()
            if connection:
                connection.close()
                with self._lock:
                    self._connections.discard(connection)

    def log(self, request: Head, status: int, fault: str) -> None:
        """Note a request; before its answer is sent, so that the client finds it noted."""
        method, target = request.first[:2]
        self.requests.append(Request(method, target, request.get("range"), status, fault))


class Connection:
    """A connection of a client, with one of its own to the server."""

    def __init__(self, proxy: FaultyProxy, client: Stream):
        self.proxy, self.client = proxy, client
        self._server: Stream | None = None

    def run(self) -> None:
        """Answer the client's requests one after the other."""
        while not self.proxy.stopped.is_set():
            request = self.client.head()
            if request is None or not self._exchange(request):
                return

    def close(self) -> None:
        self.client.close()
        self._leave_server()

    def _exchange(self, request: Head) -> bool:
        """Answer a request and return whether the connection stays open."""
        method, target = request.first[:2]
        fault = self.proxy.faults.choose(method, target)
        if fault and fault.kind in MADE_UP:
            return self._make_up(request, *fault.answer(target), fault=fault.kind)
        if fault and fault.kind == "whole":
            if range_is_signed(request):
                why = b"the signature covers Range: `whole` needs an unsigned or presigned request"
                return self._make_up(request, "501 Not Implemented", {}, why, fault="whole")
            forwarded = Head(b"\r\n".join(request.lines))
            forwarded.change("range", None)
        else:
            forwarded = request
        try:
            answer, more = self._forward(forwarded)
        except ConnectionError as error:
            self._leave_server()
            self._make_up(request, "502 Bad Gateway", {}, str(error).encode(), drain=False)
            return False
        return self._relay(request, answer, fault) and more

    def _forward(self, request: Head) -> tuple[Head, bool]:
        """Send a request on; return the head of the answer, and whether the body was taken."""
        server, framing = self._reach_server(), request_framing(request)
        server.socket.sendall(request.encode())
        if request.get("expect").lower() == "100-continue":
            answer = next_answer(server)
            if answer.first[1] != "100":
                return answer, False
            self.client.socket.sendall(answer.encode())
        taken = True
        try:
            server.write_body(self.client.body(framing), framing.chunked)
        except ConnectionError:
            taken = False  # the server may have answered before it had all
        answer = next_answer(server)
        while answer.first[1] == "100":
            answer = next_answer(server)
        return answer, taken

    def _relay(self, request: Head, answer: Head, fault: Fault | None) -> bool:
        """Hand on an answer, and return whether the connection stays open."""
        assert self._server is not None
        framing = answer_framing(request.first[0], answer)
        pieces = self._server.body(framing)
        if fault:
            at = fault.offset(framing.length)
            if fault.kind == "truncate":
                shorten(answer, at, framing.length)
            pieces = spoil(pieces, fault, at, self.proxy.stopped)
        self.proxy.log(request, int(answer.first[1]), fault.kind if fault else "")
        self.client.socket.sendall(answer.encode())
        self.client.write_body(pieces, framing.chunked)
        if answer.closes or (fault and fault.kind == "truncate"):
            self._leave_server()  # the rest of the answer must not be taken for the next one
        until_the_end = framing.length is None and not framing.chunked
        return not (request.closes or answer.closes or until_the_end)

    def _make_up(
        self,
        request: Head,
        status: str,
        fields: dict[str, str],
        body: bytes,
        fault: str = "",
        drain: bool = True,
    ) -> bool:
        """Answer without the server, and return whether the connection stays open."""
        # A client that waits for "100 Continue" does not send its body now.
        waits = bool(request.get("expect"))
        stays = drain and not waits and not request.closes
        if drain and not waits:
            for _ in self.client.body(request_framing(request)):
                pass
        lines = [f"HTTP/1.1 {status}", f"content-length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in fields.items()]
        lines += [] if stays else ["connection: close"]
        self.proxy.log(request, int(status.split()[0]), fault)
        head = Head("\r\n".join(lines).encode("latin-1")).encode()
        self.client.socket.sendall(head + (b"" if request.first[0] == "HEAD" else body))
        return stays

    def _reach_server(self) -> Stream:
        """Return the connection to the server, a new one if there is none that is alive."""
        if self._server and select.select([self._server.socket], [], [], 0)[0]:
            self._leave_server()  # nothing is expected: the server closed it
        if self._server is None:
            to = self.proxy.upstream
            secure = to.scheme == "https"
            plain = socket.create_connection((to.hostname, to.port or (443 if secure else 80)))
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if secure:
                unchecked = ssl._create_unverified_context()
                plain = unchecked.wrap_socket(plain, server_hostname=to.hostname)
            self._server = Stream(plain)
        return self._server

    def _leave_server(self) -> None:
        if self._server:
            self._server.close()
        self._server = None


def shorten(answer: Head, length: int, whole: int | None) -> None:
    """Let an answer say that it holds so many bytes only."""
    if whole is not None:
        answer.change("content-length", str(length))
    span = re.fullmatch(r"bytes (\d+)-\d+/(.+)", answer.get("content-range"))
    if span and length:
        last = int(span[1]) + length - 1
        answer.change("content-range", f"bytes {span[1]}-{last}/{span[2]}")


def next_answer(server: Stream) -> Head:
    """Return the head of the next answer of a server, which must not have gone away."""
    try:
        answer = server.head()
    except Ended:
        answer = None
    if answer is None:
        raise ConnectionResetError("the server closed the connection")
    return answer


def range_is_signed(request: Head) -> bool:
    """Return whether an S3 signature makes it impossible to take the field Range out."""
    in_field = re.search(r"SignedHeaders=([^,\s]*)", request.get("authorization"))
    in_query = parse_qs(urlsplit(request.first[1]).query).get("X-Amz-SignedHeaders", [""])
    signed = in_field[1] if in_field else in_query[0]
    return bool(request.get("range")) and "range" in signed.split(";")
