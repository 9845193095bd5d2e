"""Asking an S3 service: one client per process, again where that may help, unsigned if need be."""

from __future__ import annotations

import logging
import os
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from bidsmill.storage.client import Connection, is_amazon, open_client, open_session
from bidsmill.storage.problems import REFUSED, asked_pause, code_of, explain, may_pass

log = logging.getLogger(__name__)

# Attempts once the service has answered, and before: a server that restarts is waited for some
# 40 s, a wrong address is told at once.
ATTEMPTS = 8
FIRST_ATTEMPTS = 2
# Seconds; each wait is up to twice the one before.
FIRST_WAIT = 0.5
LONGEST_WAIT = 20.0

Result = TypeVar("Result")


class Service:
    """A bucket that is asked by many threads, and by processes that were forked or sent it.

    What it keeps is made anew in each process: the clients, and the threads that send the parts
    of large files.

    Parameters
    ----------
    connection : Connection
        Where the bucket is and how it is asked.
    """

    def __init__(self, connection: Connection):
        self.connection = connection
        self._held = _Held()

    def __getstate__(self) -> dict[str, Any]:
        return {"connection": self.connection}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["connection"])  # type: ignore[misc]

    @property
    def amazon(self) -> bool:
        """Whether it is Amazon's own."""
        return is_amazon(self._here().client(self.connection, "write"))

    @property
    def threads(self) -> ThreadPoolExecutor:
        """Threads for single requests, which wait for no other task of theirs."""
        return self._here().threads(self.connection)

    @property
    def room(self) -> threading.Semaphore:
        """What bounds the parts of files that are in memory at a time."""
        return self._here().room(self.connection)

    def ask(
        self,
        operation: str,
        receive: Callable[[Any], Result],
        *,
        action: str = "read",
        file: str = "",
        **request: Any,
    ) -> Result:
        """Send a request until it is answered, and return what `receive` makes of the answer.

        Parameters
        ----------
        operation : str
            A method of boto3's S3 client.
        receive : callable
            Given the answer. It may raise `Broken`, and is called again with a new one.
        action : str
            ``list``, ``read`` or ``write``: only what reads is asked without a signature where
            the credentials are refused.
        file : str
            Relative, for messages.
        **request
            Arguments beside the bucket.
        """

        def once() -> Result:
            return receive(self.ask_once(operation, action=action, **request))

        return self.persist(once, action=action, file=file)

    def persist(
        self, attempt: Callable[[], Result], *, action: str = "read", file: str = ""
    ) -> Result:
        """Call `attempt` until it ends without an error that may pass.

        Waits grow exponentially and are random, so that many clients do not come back at once
        (M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015).

        Raises
        ------
        BidsmillError
            What the last error means.
        """
        done = 0
        while True:
            try:
                return attempt()
            except Exception as error:
                done += 1
                limit = ATTEMPTS if self._here().answered else FIRST_ATTEMPTS
                if not may_pass(error) or done >= limit:
                    explanation = self._explain(error, action, file)
                    if explanation is None:
                        raise
                    raise explanation from None
                wait = max(asked_pause(error), pause(done))
                log.info("%s: %s; trying again", self.connection.place, type(error).__name__)
            time.sleep(wait)

    def _explain(self, error: Exception, action: str, file: str) -> Exception | None:
        return explain(
            error,
            self.connection.place + file,
            profile=self.connection.profile,
            endpoint=self.connection.endpoint,
            action=action,
        )

    def ask_once(self, operation: str, *, action: str = "read", **request: Any) -> Any:
        """Send a request once and return boto3's answer.

        Raises
        ------
        botocore.exceptions.ClientError
            And what else boto3 raises.
        """
        from botocore.exceptions import BotoCoreError, ClientError

        held = self._here()
        request["Bucket"] = self.connection.bucket
        client = held.client(self.connection, action, with_md5="ContentMD5" in request)
        try:
            answer = getattr(client, operation)(**request)
            held.answered = True
            return answer
        except ClientError as error:
            held.answered = True
            stranger = held.stranger(self.connection, client)
            if action == "write" or code_of(error) not in REFUSED or stranger is None:
                raise
            refusal = error
        try:
            answer = getattr(stranger, operation)(**request)
        except ClientError as error:
            raise refusal if code_of(error) in REFUSED else error from None
        except BotoCoreError:
            raise refusal from None
        log.info("%s: the credentials found are refused; asking without", self.connection.place)
        held.read_unsigned()
        return answer

    def _here(self) -> _Held:
        """Return what this process holds; a child after a fork starts anew."""
        held = self._held
        if held.process != os.getpid():
            held = self._held = _Held()
        return held


class _Held:
    """What one process keeps of a connection."""

    def __init__(self) -> None:
        self.process = os.getpid()
        self.answered = False
        self._guard = threading.Lock()
        self._session: Any = None
        # By whether requests are unsigned, and bodies signed.
        self._clients: dict[tuple[bool, bool], Any] = {}
        self._unsigned_reading = False
        self._may_fall_back = False
        self._threads: ThreadPoolExecutor | None = None
        self._room: threading.Semaphore | None = None

    def client(self, connection: Connection, action: str, with_md5: bool = False) -> Any:
        """Return the client to ask with; sessions of boto3 are not for several threads."""
        with self._guard:
            if self._session is None:
                self._open(connection)
            unsigned = self._unsigned_reading and (action != "write" or not self._may_fall_back)
            return self._client(connection, unsigned, signs_bodies=not with_md5)

    def stranger(self, connection: Connection, client: Any) -> Any | None:
        """Return the unsigned client if it may be asked where another one was refused."""
        with self._guard:
            if not self._may_fall_back or client is self._clients.get((True, True)):
                return None
            return self._client(connection, unsigned=True)

    def read_unsigned(self) -> None:
        """Ask without a signature from now on, where nothing is written."""
        self._unsigned_reading = True

    def _open(self, connection: Connection) -> None:
        session = open_session(connection)
        signed = connection.anonymous is False or (
            connection.anonymous is None and session.get_credentials() is not None
        )
        self._unsigned_reading = not signed
        # A named profile is used as it is.
        self._may_fall_back = signed and connection.anonymous is None and not connection.profile
        self._session = session

    def _client(self, connection: Connection, unsigned: bool, signs_bodies: bool = True) -> Any:
        kind = unsigned, signs_bodies
        if kind not in self._clients:
            self._clients[kind] = open_client(
                connection, self._session, unsigned=unsigned, signs_bodies=signs_bodies
            )
        return self._clients[kind]

    def threads(self, connection: Connection) -> ThreadPoolExecutor:
        """Return the threads, which start when they are needed."""
        with self._guard:
            if self._threads is None:
                self._threads = ThreadPoolExecutor(connection.connections, "storage")
            return self._threads

    def room(self, connection: Connection) -> threading.Semaphore:
        """Return the places for parts of files: one more than are sent at a time."""
        with self._guard:
            if self._room is None:
                self._room = threading.Semaphore(connection.connections + 1)
            return self._room


def pause(attempts: int) -> float:
    """Return the seconds to wait after so many attempts: random, and longer each time."""
    return min(FIRST_WAIT * 2 ** (attempts - 1), LONGEST_WAIT) * random.uniform(0.5, 1.0)
