"""A file brought to a bucket: in parts side by side, hashed as it goes, checked afterwards.

Every part carries its MD5, which servers compare before they keep it (Amazon S3 API Reference,
"PutObject": Content-MD5); the MD5 that they answer as the ETag shows whether they did. Amazon's
also compares and keeps a SHA-256. A file that went over in one request and was compared by the
server is not looked at again. Else its size and metadata are asked for, and samples are read again
where the server compared nothing.
"""

from __future__ import annotations

import base64
import hashlib
import os
import random
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, wait
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bidsmill.errors import BidsmillError
from bidsmill.storage.contract import Progress
from bidsmill.storage.problems import code_of
from bidsmill.storage.ranges import read_body
from bidsmill.storage.service import Service

# Files above this come in parts of this size, or larger ones: S3 takes 10,000 of 5 MiB to 5 GiB
# (Amazon S3 User Guide, "Amazon S3 multipart upload limits").
PART_BYTES = 16 << 20
MOST_PARTS = 10_000
# Where the server verified nothing, so many ranges of this size are read again.
SAMPLES = 8
SAMPLE_BYTES = 64 << 10
KINDS = {
    ".html": "text/html",
    ".json": "application/json",
    ".md": "text/markdown",
    ".parquet": "application/vnd.apache.parquet",
    ".tsv": "text/tab-separated-values",
}


def object_settings(
    encryption: str | None, kms_key: str | None, storage_class: str | None
) -> dict[str, str]:
    """Return the arguments of boto3 that say how objects are kept.

    Parameters
    ----------
    encryption : str, optional
        ``AES256`` or ``aws:kms``; None: as the bucket has it.
    kms_key : str, optional
        Of ``aws:kms``; None: Amazon's own.
    storage_class : str, optional
        None: STANDARD.

    Raises
    ------
    BidsmillError
        If these do not go together.
    """
    if encryption not in (None, "AES256", "aws:kms"):
        raise BidsmillError(
            "no encryption of S3", found=encryption, expected="`AES256` or `aws:kms`"
        )
    if kms_key and encryption != "aws:kms":
        raise BidsmillError(
            "a key of KMS needs its encryption", expected="`encryption: aws:kms` beside `kms_key`"
        )
    given = {
        "ServerSideEncryption": encryption,
        "SSEKMSKeyId": kms_key,
        "StorageClass": storage_class,
    }
    return {name: value for name, value in given.items() if value}


@dataclass(frozen=True)
class Target:
    """An object that is written.

    Attributes
    ----------
    service : Service
        The bucket.
    key : str
        Of the object.
    file : str
        Relative, for messages.
    settings : dict
        See `object_settings`.
    """

    service: Service
    key: str
    file: str
    settings: dict[str, str]

    @property
    def place(self) -> str:
        """The address, for messages."""
        return self.service.connection.place + self.file

    def heading(self, metadata: dict[str, str]) -> dict[str, Any]:
        """Return what a new object is described by."""
        kind = KINDS.get(os.path.splitext(self.file)[1], "application/octet-stream")
        return {"Key": self.key, "ContentType": kind, "Metadata": metadata, **self.settings}

    def body(self, content: bytes) -> dict[str, Any]:
        """Return content with the checksums that the server is to compare."""
        md5 = hashlib.md5(content, usedforsecurity=False).digest()
        body = {"Body": content, "ContentMD5": base64.b64encode(md5).decode()}
        if self.service.amazon:
            body["ChecksumSHA256"] = base64.b64encode(hashlib.sha256(content).digest()).decode()
        return body

    def write(self, operation: str, **request: Any) -> Any:
        """Send a request that writes, again where that may help."""
        return self.service.ask(
            operation, lambda answer: answer, action="write", file=self.file, **request
        )


def was_compared(body: dict[str, Any], answer: dict[str, Any]) -> bool:
    """Return whether a server's answer shows that it has the bytes that were sent."""
    md5 = base64.b64decode(body["ContentMD5"]).hex()
    sha256 = body.get("ChecksumSHA256")
    return answer.get("ETag", "").strip('"') == md5 or (
        sha256 is not None and answer.get("ChecksumSHA256") == sha256
    )


def put_bytes(target: Target, content: bytes) -> None:
    """Store a small object and make sure that it is what was sent."""
    sha256 = hashlib.sha256(content).hexdigest()
    body = target.body(content)
    answer = target.write("put_object", **target.heading({"sha256": sha256}), **body)
    if not was_compared(body, answer):
        stored = target.service.ask("get_object", read_body, file=target.file, Key=target.key)
        if stored != content:
            raise _changed(target)


def put_file(
    target: Target, source: Path, *, size: int, sha256: str, progress: Progress | None = None
) -> None:
    """Store a file and make sure that it is what was made.

    Raises
    ------
    BidsmillError
        If `source` is not the file that `size` and `sha256` state (nothing is stored then), or
        the bucket holds something else afterwards.
    """
    report = progress or (lambda count: None)
    with open(source, "rb", buffering=0) as file:
        if os.fstat(file.fileno()).st_size != size:
            raise _other_file(source, sha256)
        if size > PART_BYTES:
            compared = _Parts(target, file.fileno(), size, sha256, source).send(report)
        else:
            content = file.read(size + 1)
            if len(content) != size or hashlib.sha256(content).hexdigest() != sha256:
                raise _other_file(source, sha256)
            body = target.body(content)
            answer = target.write("put_object", **target.heading({"sha256": sha256}), **body)
            compared = was_compared(body, answer)
            report(size)
            if compared:  # the whole object: what it is like was said in the same request
                return
        _check(target, file.fileno(), size, sha256, compared)


def _check(target: Target, handle: int, size: int, sha256: str, compared: bool) -> None:
    """Compare what the bucket says, and samples where it verified nothing."""
    head = target.service.ask(
        "head_object", lambda answer: answer, file=target.file, Key=target.key
    )
    # A server that keeps no metadata says nothing here.
    same = head["ContentLength"] == size and head["Metadata"].get("sha256", sha256) == sha256
    if same and not compared:
        same = all(
            os.pread(handle, stop - start, start) == _range(target, start, stop)
            for start, stop in _samples(size, sha256)
        )
    if not same:
        with suppress(BidsmillError):  # what is there has the name of something else
            target.write("delete_object", Key=target.key)
        raise _changed(target)


def _samples(size: int, seed: str) -> Iterator[tuple[int, int]]:
    """Give the ranges to compare: both ends and places between, the same for the same file."""
    chosen = random.Random(seed)
    last = max(0, size - SAMPLE_BYTES)
    for start in [0, last, *(chosen.randint(0, last) for _ in range(SAMPLES - 2))]:
        if start < size:
            yield start, min(start + SAMPLE_BYTES, size)


def _range(target: Target, start: int, stop: int) -> bytes:
    request = {"Key": target.key, "Range": f"bytes={start}-{stop - 1}"}
    return target.service.ask("get_object", read_body, file=target.file, **request)


class _Parts:
    """A large file on its way."""

    def __init__(self, target: Target, handle: int, size: int, sha256: str, source: Path):
        self._target, self._handle, self._size = target, handle, size
        self._sha256, self._source = sha256, source
        smallest = -(-size // MOST_PARTS)
        self._step = max(PART_BYTES, -(-smallest >> 20) << 20)
        self._failed = False

    def send(self, progress: Progress) -> bool:
        """Send all parts and make an object of them; return whether the server compared them."""
        target = self._target
        extra = {"ChecksumAlgorithm": "SHA256"} if target.service.amazon else {}
        heading = target.heading({"sha256": self._sha256})
        begun = target.write("create_multipart_upload", **heading, **extra)
        upload = {"Key": target.key, "UploadId": begun["UploadId"]}
        try:
            parts, compared = self._send_parts(upload, progress)
            self._complete(upload, parts)
        except BaseException:
            with suppress(BidsmillError):
                target.write("abort_multipart_upload", **upload)
            raise
        return compared

    def _send_parts(
        self, upload: dict[str, str], progress: Progress
    ) -> tuple[list[dict[str, Any]], bool]:
        """Read the file once: hash it in order while its parts are sent."""
        hashed = hashlib.sha256()
        service = self._target.service
        under_way: deque[Future] = deque()
        sent: list[tuple[dict[str, Any], int, bool]] = []

        def take(future: Future) -> None:
            sent.append(future.result())
            progress(sent[-1][1])

        try:
            for number, start in enumerate(range(0, self._size, self._step), start=1):
                service.room.acquire()
                try:
                    content = self._read(start)
                    task = service.threads.submit(self._send_part, upload, number, content)
                except BaseException:
                    service.room.release()
                    raise
                task.add_done_callback(lambda _: service.room.release())
                under_way.append(task)
                hashed.update(content)
                while under_way and under_way[0].done():
                    take(under_way.popleft())
            while under_way:
                take(under_way.popleft())
        finally:
            self._failed = bool(under_way)
            for task in under_way:
                task.cancel()
            wait(under_way)
        if hashed.hexdigest() != self._sha256:
            raise _other_file(self._source, self._sha256)
        return [part for part, _, _ in sent], all(compared for _, _, compared in sent)

    def _read(self, start: int) -> bytes:
        length = min(self._step, self._size - start)
        content = os.pread(self._handle, length, start)
        if len(content) != length:
            raise _other_file(self._source, self._sha256)
        return content

    def _send_part(
        self, upload: dict[str, str], number: int, content: bytes
    ) -> tuple[dict[str, Any], int, bool]:
        """Send a part; return what completes the upload, its size, and whether it was compared."""
        body = self._target.body(content)
        answer = self._target.write("upload_part", PartNumber=number, **upload, **body)
        part = {"PartNumber": number, "ETag": answer["ETag"]}
        if "ChecksumSHA256" in body:
            part["ChecksumSHA256"] = body["ChecksumSHA256"]
        return part, len(content), was_compared(body, answer)

    def _complete(self, upload: dict[str, str], parts: list[dict[str, Any]]) -> None:
        """Make the object visible. A repeated request may find it done: the check will tell."""
        from botocore.exceptions import ClientError

        tried = 0

        def attempt() -> None:
            nonlocal tried
            tried += 1
            try:
                self._target.service.ask_once(
                    "complete_multipart_upload",
                    action="write",
                    MultipartUpload={"Parts": parts},
                    **upload,
                )
            except ClientError as error:
                if code_of(error) != "NoSuchUpload" or tried == 1:
                    raise

        self._target.service.persist(attempt, action="write", file=self._target.file)


def _other_file(source: Path, sha256: str) -> BidsmillError:
    return BidsmillError(
        "a file is not the one that was made", file=source, expected=f"sha256 {sha256}"
    )


def _changed(target: Target) -> BidsmillError:
    return BidsmillError(
        "the bucket holds other bytes than were sent",
        file=target.place,
        todo="run again; if it happens again, do not use this service",
    )
