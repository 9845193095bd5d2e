"""Bytes over HTTP, for the downloader."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from bidsmill.bids.pointers import pointed_to_by
from bidsmill.errors import BidsmillError
from bidsmill.sources.answers import Refused, WrongAnswer
from bidsmill.sources.listing import Entry, version_in
from bidsmill.sources.retries import Passing
from bidsmill.sources.web import open_client, passing_problems, raise_if_passing

if TYPE_CHECKING:
    import httpx

CHUNK_BYTES = 1 << 18
HEAD_BYTES = 1024
# What S3, CloudFront and others say of an address whose time is over.
EXPIRED = re.compile(rb"expired|ExpiredToken|Request has expired", re.IGNORECASE)
# An address may have ended; these are worth asking the archive for a new one.
MAYBE_EXPIRED = {401, 403, 404, 410}


class HttpReader:
    """Ask for files by their addresses.

    Parameters
    ----------
    settings : dict
        ``timeout`` (s without a byte) and ``parallel`` (connections).
    renew : callable, optional
        Returns fresh addresses (path -> URL) from the archive; called when one seems to have
        ended, or when an entry has none.
    missing_403 : bool
        Whether the archive answers 403 for what does not exist.
    """

    def __init__(
        self,
        settings: dict[str, Any],
        renew: Callable[[], dict[str, str]] | None = None,
        *,
        missing_403: bool = False,
    ):
        self._client = open_client(settings["timeout"], settings["parallel"])
        self._renew = renew
        self._missing_403 = missing_403
        self._guard = threading.Lock()
        self._fresh: dict[str, str] = {}
        self._renewals = 0
        # Path -> number of renewals when its address was first refused without a reason.
        self._doubted: dict[str, int] = {}

    def is_encrypted(self, entry: Entry) -> bool:
        """Return whether a file comes over TLS."""
        url = self._fresh.get(entry["path"]) or entry.get("url") or ""
        return url.startswith("https:")

    def close(self) -> None:
        """Close all connections."""
        self._client.close()

    @contextmanager
    def ask(self, entry: Entry, start: int, stop: int | None) -> Iterator[HttpAnswer]:
        """Ask for the bytes from `start` to `stop`; see `Reader.ask`."""
        path = entry["path"]
        renewals = self._renewals
        url = self._address(entry)
        whole = start == 0 and stop in (None, entry["size"])
        headers = {} if whole else {"range": f"bytes={start}-{'' if stop is None else stop - 1}"}
        with _answer_of(self._client, url, headers, path) as response:
            if response.status_code not in (200, 206):
                self._refuse(entry, url, response, renewals)
            self._doubted.pop(path, None)
            yield _checked(entry, start, response)

    def _address(self, entry: Entry) -> str:
        url = self._fresh.get(entry["path"]) or entry.get("url")
        if url and not entry["checksum"] and version_in(url) != version_in(entry.get("url") or url):
            text = f"the archive now gives out another version of {entry['path']}"
            raise Refused("source_changed", text)
        if url is None and entry.get("signed"):
            self._ask_for_addresses(self._renewals)
            url = self._fresh.get(entry["path"])
        if url is None:
            raise Refused("file_missing", f"the source lists no address for {entry['path']}")
        return url

    def _refuse(self, entry: Entry, url: str, response: httpx.Response, renewals: int) -> None:
        """Raise what an error answer means."""
        path, status = entry["path"], response.status_code
        raise_if_passing(response, path)
        if status == 416:
            raise WrongAnswer("wrong_size", f"{path} is shorter than the lock says")
        if status in MAYBE_EXPIRED:
            # A new address that is another one is worth an attempt; so is a time that is over. But
            # signed addresses always differ: where a new one is refused too, the file is missing.
            over = EXPIRED.search(response.read()[:4096])
            # An address without signature does not end: one look at the archive is enough for all.
            if over or entry.get("signed") or not self._renewals:
                self._ask_for_addresses(renewals)
            first = self._doubted.setdefault(path, renewals) == renewals
            if over or (first and self._fresh.get(path, url) != url):
                raise Passing(f"{path}: HTTP {status}, the address has expired")
        reason = f"HTTP {status} for {path}"
        if status == 403 and self._missing_403:
            reason += ", by which this archive says that the object is missing"
        raise Refused("file_missing" if status in MAYBE_EXPIRED else "fetch_failed", reason)

    def _ask_for_addresses(self, renewals: int) -> None:
        """Ask the archive for addresses, unless another thread has just done so."""
        with self._guard:
            if self._renew is None or self._renewals != renewals:
                return
            try:
                self._fresh = self._renew()
            except BidsmillError as problem:
                raise Passing(f"no new addresses: {problem}") from None
            self._renewals += 1


@contextmanager
def _answer_of(
    client: httpx.Client, url: str, headers: dict[str, str], path: str
) -> Iterator[httpx.Response]:
    """Open an answer; an address that cannot be used costs its file alone."""
    import httpx

    try:
        with passing_problems(path), client.stream("GET", url, headers=headers) as response:
            if url.startswith("https:") and response.url.scheme != "https":
                text = f"{path}: a redirect to an address without encryption"
                raise Refused("file_missing", text)
            yield response
    except (httpx.InvalidURL, httpx.RequestError, UnicodeError) as error:
        raise Refused("file_missing", f"{path}: its address cannot be used: {error}") from None


class HttpAnswer:
    """The body of an answer.

    Parameters
    ----------
    response : httpx.Response
        Open, with its body unread.
    path : str
        The file, for messages.
    start : int
        Where its bytes begin.
    """

    checksum_is_none = False

    def __init__(self, response: httpx.Response, path: str, start: int):
        self._response, self._path, self.start = response, path, start

    def chunks(self) -> Iterator[bytes]:
        """Yield the bytes; raise `Passing` when the connection breaks."""
        with passing_problems(self._path):
            yield from self._response.iter_raw(CHUNK_BYTES)


def _checked(entry: Entry, start: int, response: httpx.Response) -> HttpAnswer:
    """Return the answer if its headers agree with the lock."""
    path, size = entry["path"], entry["size"]
    kind = response.headers.get("content-type", "").lower()
    if kind.startswith("text/html") and not path.lower().endswith((".html", ".htm")):
        raise WrongAnswer("not_data", f"an HTML page came in place of {path}")
    if response.status_code == 206:
        begin, total = _content_range(response.headers.get("content-range", ""))
        if begin != start:
            raise WrongAnswer("wrong_size", f"another range of {path} came than was asked for")
    else:
        length = response.headers.get("content-length")
        begin, total = 0, int(length) if length and length.isdecimal() else None
    if size is not None and total is not None and total != size:
        kind_of_pointer = None
        if begin == 0 and total <= HEAD_BYTES:
            with passing_problems(path):
                kind_of_pointer = pointed_to_by(b"".join(response.iter_raw()))
        if kind_of_pointer:
            raise Refused("not_data", f"a {kind_of_pointer} pointer came in place of {path}")
        raise WrongAnswer("wrong_size", f"{path}: {total} bytes came, expected {size}")
    return HttpAnswer(response, path, begin)


def _content_range(header: str) -> tuple[int, int | None]:
    """Return start and total size of a Content-Range (RFC 9110, section 14.4)."""
    match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", header.strip())
    if not match:
        return -1, None
    return int(match[1]), None if match[2] == "*" else int(match[2])
