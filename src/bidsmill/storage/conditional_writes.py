"""Replacing an object only if it is still the one that was read, on servers that differ."""

from __future__ import annotations

import hashlib
import secrets
import time
from functools import partial
from typing import Any

from bidsmill.errors import BidsmillError
from bidsmill.storage.contract import Conflict
from bidsmill.storage.problems import NOT_OFFERED, code_of, status_of
from bidsmill.storage.ranges import read_body
from bidsmill.storage.service import pause
from bidsmill.storage.upload import Target

# Amazon answers 409 where two such requests meet, and asks to send again (Amazon S3 User Guide,
# "How to prevent object overwrites with conditional writes").
MEETINGS = 8
# The tag of no object.
NO_TAG = "0" * 32


class Swap:
    """One write under a condition.

    Parameters
    ----------
    target : Target
        The object.
    content : bytes
        What it shall hold.
    tag : str or None
        The ETag, without quotes, of what it must hold; None: it must be absent.
    """

    def __init__(self, target: Target, content: bytes, tag: str | None):
        self._target, self._content, self._tag = target, content, tag
        # By it one's own write is known again where its answer was lost.
        self._writer = secrets.token_hex(16)

    def run(self) -> str:
        """Write, and return the new tag.

        Raises
        ------
        Conflict
            If the object is another one, or there is one that shall not be.
        BidsmillError
            If the server cannot do it.
        """
        for condition in self._conditions():
            attempt = partial(self._attempt, condition)
            for meeting in range(MEETINGS):
                status, tag = self._target.service.persist(
                    attempt, action="write", file=self._target.file
                )
                if status != 409:
                    break
                time.sleep(pause(meeting + 1) / 4)
            if status == 200:
                return tag
            found = self._found()
            if found is not None and found[1] == self._writer:
                return found[0]
            # Some servers compare the ETag with its quotes, some without: where the object is
            # the expected one and still refused, it was the quotes.
            if self._tag is None or found is None or found[0] != self._tag or status == 409:
                raise Conflict(
                    "somebody else wrote this file first",
                    file=self._target.place,
                    todo="read it again",
                )
        raise _not_offered(self._target)

    def _conditions(self) -> list[dict[str, str]]:
        if self._tag is None:
            return [{"IfNoneMatch": "*"}]
        return [{"IfMatch": f'"{self._tag}"'}, {"IfMatch": self._tag}]

    def _attempt(self, condition: dict[str, str]) -> tuple[int, str]:
        """Ask once; return 200 with the new tag, or the status that says no."""
        from botocore.exceptions import ClientError

        sha256 = hashlib.sha256(self._content).hexdigest()
        heading = self._target.heading({"sha256": sha256, "writer": self._writer})
        body = self._target.body(self._content)
        try:
            answer = self._target.service.ask_once(
                "put_object", action="write", **heading, **body, **condition
            )
        except ClientError as error:
            status = status_of(error)
            if status in (409, 412) or (status == 404 and code_of(error) == "NoSuchKey"):
                return status, ""
            if code_of(error) in NOT_OFFERED:
                raise _not_offered(self._target) from None
            raise
        return 200, answer["ETag"].strip('"')

    def _found(self) -> tuple[str, str | None] | None:
        """Return the tag and the writer of what is stored, None if nothing is."""
        head = head_object(self._target)
        if head is None:
            return None
        return head["ETag"].strip('"'), head["Metadata"].get("writer")


def head_object(target: Target) -> Any | None:
    """Return what a HEAD request says, or None if there is no such object."""
    from botocore.exceptions import ClientError

    def attempt() -> Any | None:
        try:
            return target.service.ask_once("head_object", Key=target.key)
        except ClientError as error:
            if status_of(error) == 404:
                return None
            raise

    return target.service.persist(attempt, file=target.file)


def require_conditional_writes(target: Target) -> None:
    """Find out that the server honours conditions, by writing an object again as it is.

    Parameters
    ----------
    target : Target
        An object that exists, and that nobody else writes.

    Raises
    ------
    BidsmillError
        If the server ignores a condition.
    """
    content = target.service.ask("get_object", read_body, file=target.file, Key=target.key)
    for tag in (None, NO_TAG):
        try:
            Swap(target, content, tag).run()
        except Conflict:
            continue
        raise _not_offered(target)


def _not_offered(target: Target) -> BidsmillError:
    return BidsmillError(
        "this S3 service cannot write under a condition, so two publishers could overwrite each"
        " other",
        file=target.place,
        expected="If-None-Match and If-Match for PutObject, as Amazon S3 has them",
        todo="publish to another service, or into a folder and copy that",
    )
