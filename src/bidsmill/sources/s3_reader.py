"""Bytes from an S3 bucket, for the downloader."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from bidsmill.sources.answers import Refused, WrongAnswer
from bidsmill.sources.listing import Entry
from bidsmill.sources.retries import Passing
from bidsmill.sources.s3 import open_client
from bidsmill.storage.client import split_address
from bidsmill.storage.problems import asked_pause, code_of, may_pass, status_of
from bidsmill.storage.ranges import total_size

CHUNK_BYTES = 1 << 20


class S3Reader:
    """Ask for the objects of a bucket, in the version that the lock holds.

    Parameters
    ----------
    settings : dict
        ``url`` (s3://bucket/prefix), ``endpoint``, ``profile`` and ``fetch``.
    """

    def __init__(self, settings: dict[str, Any]):
        self._bucket, self._prefix = split_address(settings["url"])
        self._client = open_client(settings, settings["fetch"]["parallel"], attempts=1)

    def is_encrypted(self, entry: Entry) -> bool:
        """Return whether objects come over TLS."""
        return self._client.meta.endpoint_url.startswith("https:")

    def close(self) -> None:
        """Close all connections."""
        self._client.close()

    @contextmanager
    def ask(self, entry: Entry, start: int, stop: int | None) -> Iterator[S3Answer]:
        """Ask for the bytes from `start` to `stop`; see `Reader.ask`."""
        request = {"Bucket": self._bucket, "Key": self._prefix + entry["path"]}
        if entry.get("version"):
            request["VersionId"] = entry["version"]
        elif (entry.get("checksum") or "").startswith(("md5:", "etag:")):
            request["IfMatch"] = f'"{entry["checksum"].partition(":")[2]}"'
        if start or stop != entry["size"]:
            request["Range"] = f"bytes={start}-{'' if stop is None else stop - 1}"
        with _translated(entry["path"]):
            answer = self._client.get_object(**request)
        body = answer["Body"]
        try:
            total = total_size(answer)
            if entry["size"] is not None and total != entry["size"]:
                raise WrongAnswer(
                    "wrong_size", f"{entry['path']}: {total} bytes, expected {entry['size']}"
                )
            yield S3Answer(answer, entry["path"], start if "ContentRange" in answer else 0)
        finally:
            body.close()


class S3Answer:
    """The body of an answer.

    Parameters
    ----------
    answer : dict
        Of ``get_object``, with its body unread.
    path : str
        The file, for messages.
    start : int
        Where its bytes begin.
    """

    def __init__(self, answer: dict[str, Any], path: str, start: int):
        self._body, self._path, self.start = answer["Body"], path, start
        # The ETag of an object encrypted with a key of the owner is no MD5 (Amazon S3 API
        # Reference, "Object": ETag).
        kind = answer.get("ServerSideEncryption", "")
        self.checksum_is_none = kind.startswith("aws:kms") or "SSECustomerAlgorithm" in answer

    def chunks(self) -> Iterator[bytes]:
        """Yield the bytes; raise `Passing` when the connection breaks."""
        while True:
            with _translated(self._path):
                content = self._body.read(CHUNK_BYTES)
            if not content:
                return
            yield content


@contextmanager
def _translated(path: str) -> Iterator[None]:
    """Turn the errors of botocore into those of the downloader."""
    from botocore.exceptions import BotoCoreError, ClientError
    from urllib3.exceptions import HTTPError

    try:
        yield
    except ClientError as error:
        status, code = status_of(error), code_of(error)
        if may_pass(error):
            raise Passing(f"{path}: {code or status}", asked_pause(error)) from None
        if status == 412:
            raise Refused(
                "source_changed", f"{path} is another object now than the lock's"
            ) from None
        if status == 416:
            raise WrongAnswer("wrong_size", f"{path} is shorter than the lock says") from None
        if "expired" in str(error).lower():
            raise Passing(f"{path}: {code}: the signature has expired") from None
        kind = "file_missing" if status in (401, 403, 404, 410) else "fetch_failed"
        raise Refused(kind, f"{path}: {code} (HTTP {status})") from None
    except (BotoCoreError, HTTPError, OSError) as error:
        raise Passing(f"{path}: {type(error).__name__}: {error}") from error
