"""HTTP as the sources speak it: one client, JSON that is asked for again when a server is busy."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from bidsmill.errors import BidsmillError
from bidsmill.sources.listing import is_signed
from bidsmill.sources.retries import Passing, try_again
from bidsmill.storage.passing import PASSING_STATUS, asked_wait
from bidsmill.version import __version__

if TYPE_CHECKING:
    import httpx

Result = TypeVar("Result")


def open_client(timeout: float, connections: int = 10) -> httpx.Client:
    """Return an HTTP client that follows redirects, and obeys proxies and SSL_CERT_FILE.

    Parameters
    ----------
    timeout : float
        Seconds without a byte after which a request is given up.
    connections : int
        Most connections at a time.
    """
    import httpx

    quiet()
    return httpx.Client(
        follow_redirects=True,
        timeout=httpx.Timeout(timeout, pool=None),
        limits=httpx.Limits(max_connections=connections, max_keepalive_connections=connections),
        headers={"user-agent": f"bidsmill/{__version__}", "accept-encoding": "identity"},
    )


def quiet() -> None:
    """Keep httpx from logging every address: signed ones are secrets."""
    for name in ("httpx", "httpcore"):
        logging.getLogger(name).setLevel(logging.WARNING)


class Unreachable(BidsmillError):
    """A server that did not answer, or was busy, however often it was asked."""


@contextmanager
def passing_problems(what: str) -> Iterator[None]:
    """Turn timeouts and broken connections of httpx into `Passing`.

    Parameters
    ----------
    what : str
        What was asked for, for the message; no address with a signature in it.
    """
    import httpx

    try:
        yield
    except httpx.UnsupportedProtocol:
        raise  # the address is wrong, and stays so
    except (httpx.TimeoutException, httpx.TransportError) as error:
        text = str(error) or "no answer"
        if "CERTIFICATE_VERIFY_FAILED" in text:
            raise BidsmillError(
                "the server cannot be trusted",
                file=what,
                found=text,
                todo="name the file of certificates to trust: SSL_CERT_FILE=...",
            ) from None
        raise Passing(f"{what}: {type(error).__name__}: {text}") from error


def raise_if_passing(response: httpx.Response, what: str) -> None:
    """Raise `Passing` for a status that another attempt may not meet."""
    if response.status_code in PASSING_STATUS:
        wait = asked_wait(response.headers.get("retry-after"))
        raise Passing(f"{what}: HTTP {response.status_code}", wait)


def ask_json(
    client: httpx.Client, url: str, *, what: str, retries: int, payload: Any = None
) -> Any:
    """Return the JSON that a server answers with; ask again while it is busy.

    Parameters
    ----------
    client : httpx.Client
        See `open_client`.
    url : str
        The address.
    what : str
        What is asked for, for messages.
    retries : int
        Attempts after the first.
    payload : object, optional
        Sent as JSON in a POST; without it the request is a GET.

    Raises
    ------
    Unreachable
        If the server does not answer, or is busy, or not with JSON, however often it is asked.
    BidsmillError
        If the server refuses.
    """

    def read(response: httpx.Response) -> Any:
        try:
            return json.loads(response.content)
        except ValueError:
            # A proxy's or a log-in page in place of the answer; often gone a moment later.
            raise Passing(f"{what}: the answer is not JSON") from None

    def ask() -> httpx.Response:
        return client.get(url) if payload is None else client.post(url, json=payload)

    return _ask(ask, read, url=url, what=what, retries=retries)


def ask_bytes(client: httpx.Client, url: str, *, what: str, retries: int) -> bytes:
    """Return a small file that a server holds; ask again while it is busy.

    Parameters
    ----------
    client, url, what, retries
        See `ask_json`.

    Raises
    ------
    Unreachable
        If the server does not answer, or is busy, however often it is asked.
    BidsmillError
        If the server refuses.
    """
    return _ask(
        lambda: client.get(url),
        lambda response: response.content,
        url=url,
        what=what,
        retries=retries,
    )


def _ask(
    request: Callable[[], httpx.Response],
    read: Callable[[httpx.Response], Result],
    *,
    url: str,
    what: str,
    retries: int,
) -> Result:
    import httpx

    place = url.partition("?")[0] if is_signed(url) else url

    def attempt() -> Result:
        try:
            with passing_problems(what):
                response = request()
        except (httpx.InvalidURL, httpx.RequestError, UnicodeError) as error:
            raise BidsmillError(what, file=place, found=error, todo="check the address") from None
        raise_if_passing(response, what)
        if url.startswith("https:") and response.url.scheme != "https":
            raise BidsmillError(
                what, file=place, found="a redirect to an address without encryption"
            )
        if not response.is_success:
            raise BidsmillError(
                what,
                file=place,
                found=f"HTTP {response.status_code} {_first_message(response)}".strip(),
            )
        return read(response)

    try:
        return try_again(attempt, retries)
    except Passing as problem:
        raise Unreachable(
            what,
            file=place,
            found=f"{problem} (asked {retries + 1} times)",
            todo="check the address and the network, and run again",
        ) from None


def _first_message(response: httpx.Response) -> str:
    """Return the message of a GraphQL error answer, if there is one."""
    try:
        return str(json.loads(response.content)["errors"][0]["message"])
    except (ValueError, LookupError, TypeError):
        return ""
