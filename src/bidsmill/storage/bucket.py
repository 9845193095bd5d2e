"""A store in an S3 bucket: at Amazon or elsewhere, public or not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

from bidsmill.errors import BidsmillError
from bidsmill.formats.files import inside
from bidsmill.storage import conditional_writes, ranges, upload
from bidsmill.storage.client import Connection, split_address
from bidsmill.storage.contract import Progress, Stored, Unfinished
from bidsmill.storage.problems import NOT_OFFERED, code_of, status_of
from bidsmill.storage.service import Service

# Of one request (Amazon S3 API Reference, "DeleteObjects").
MOST_REMOVED = 1000


class Bucket:
    """The objects below a prefix of a bucket; see `bidsmill.storage.contract.Storage`.

    Nothing is asked before it is needed. One may be used by many threads, after a fork, and sent
    to other processes: it holds no credentials, each process finds them itself.

    Parameters
    ----------
    address : str
        ``s3://bucket/prefix``.
    endpoint : str, optional
        Of another service than Amazon's. None: that of the environment (AWS_ENDPOINT_URL_S3,
        AWS_ENDPOINT_URL) or of the profile.
    profile : str, optional
        Of ~/.aws; its credentials are used as they are. None: those that boto3 finds.
    anonymous : bool, optional
        Unsigned requests, always or never. None: where boto3 finds no credentials, or where they
        are refused for reading.
    encryption : str, optional
        ``AES256`` or ``aws:kms``; None: as the bucket has it.
    kms_key : str, optional
        Of ``aws:kms``.
    storage_class : str, optional
        Of new objects.
    connections : int
        Requests at a time for the parts of large files.

    Raises
    ------
    BidsmillError
        If the address names no bucket, or the settings do not go together.
    """

    remote = True

    def __init__(
        self,
        address: str,
        *,
        endpoint: str | None = None,
        profile: str | None = None,
        anonymous: bool | None = None,
        encryption: str | None = None,
        kms_key: str | None = None,
        storage_class: str | None = None,
        connections: int = 8,
    ):
        bucket, prefix = split_address(address)
        self.address = address
        self._settings = upload.object_settings(encryption, kms_key, storage_class)
        self._service = Service(
            Connection(
                bucket,
                prefix,
                endpoint=endpoint,
                profile=profile,
                anonymous=anonymous,
                connections=connections,
            )
        )

    def read(self, path: str) -> bytes:
        """Return the content of a small object."""
        return self._service.ask("get_object", ranges.read_body, file=path, Key=self._key(path))

    def read_tagged(self, path: str) -> tuple[bytes, str]:
        """Return the content of a small object, and its ETag as the tag."""
        return self._service.ask(
            "get_object",
            lambda answer: (ranges.read_body(answer), answer["ETag"].strip('"')),
            file=path,
            Key=self._key(path),
        )

    def read_range(self, path: str, start: int, stop: int) -> bytes:
        """Return the bytes ``[start, stop)`` of an object, as far as it goes."""
        return ranges.read_range(self._service, self._key(path), path, start, stop)

    def stat(self, path: str) -> Stored | None:
        """Return size, time and sha256 of an object, or None if it is absent."""
        head = conditional_writes.head_object(self._target(path))
        if head is None:
            return None
        return Stored(
            path, head["ContentLength"], head["LastModified"], head["Metadata"].get("sha256")
        )

    def stored(self, prefix: str) -> Iterator[Stored]:
        """Give every object whose path begins with `prefix`, sorted by path as S3 lists them."""
        root = self._service.connection.prefix
        for item in self._pages("list_objects_v2", "Contents", prefix):
            path = item["Key"].removeprefix(root)
            if path and not path.endswith("/"):  # a mark that stands for a folder
                yield Stored(path, item["Size"], item["LastModified"])

    def local_path(self, path: str) -> None:
        """Return None: an object is not on this machine."""

    def download(self, path: str, target: Path, progress: Progress | None = None) -> None:
        """Write an object to a file, large ones in ranges side by side."""
        try:
            ranges.download(self._service, self._key(path), path, target, progress)
        except OSError as error:
            raise BidsmillError(
                "a fetched file cannot be written",
                file=error.filename or target,
                found=error.strerror or error,
                todo="check the disk and its free space",
            ) from None

    def download_into(
        self, path: str, target: memoryview, progress: Progress | None = None
    ) -> None:
        """Fill a buffer with an object, large ones in ranges side by side."""
        ranges.download(self._service, self._key(path), path, target, progress)

    def put(self, path: str, content: bytes) -> None:
        """Store a small object."""
        upload.put_bytes(self._target(path), content)

    def put_file(
        self, path: str, source: Path, *, size: int, sha256: str, progress: Progress | None = None
    ) -> None:
        """Store a file, large ones in parts side by side, and check what was stored."""
        upload.put_file(self._target(path), source, size=size, sha256=sha256, progress=progress)

    def swap(self, path: str, content: bytes, tag: str | None) -> str:
        """Replace an object if it is still the one with this tag."""
        return conditional_writes.Swap(self._target(path), content, tag).run()

    def require_conditional_writes(self, path: str) -> None:
        """Refuse a server that ignores the conditions of `swap`; `path` is a file of one's own."""
        conditional_writes.require_conditional_writes(self._target(path))

    def remove(self, paths: Iterable[str]) -> None:
        """Remove objects, many with one request."""
        remaining = iter(paths)
        while batch := list(islice(remaining, MOST_REMOVED)):
            self._remove_batch(batch)

    def _remove_batch(self, paths: list[str]) -> None:
        from botocore.exceptions import ClientError

        names = {self._key(path): path for path in paths}
        request = {"Objects": [{"Key": key} for key in names], "Quiet": True}

        def attempt() -> list[str]:
            """Return the keys to remove one by one: those that were refused, or all."""
            try:
                answer = self._service.ask_once("delete_objects", action="write", Delete=request)
            except ClientError as error:
                if code_of(error) in NOT_OFFERED | {"MissingContentMD5"} or status_of(error) == 411:
                    return list(names)
                raise
            return [item["Key"] for item in answer.get("Errors", [])]

        for key in self._service.persist(attempt, action="write"):
            self._target(names[key]).write("delete_object", Key=key)

    def unfinished(self, prefix: str, before: datetime) -> list[Unfinished]:
        """Return the uploads in parts below `prefix` that began before a time and never ended."""
        root = self._service.connection.prefix
        found = self._pages("list_multipart_uploads", "Uploads", prefix)
        return [
            Unfinished(item["Key"].removeprefix(root), item["Initiated"], item["UploadId"])
            for item in found
            if item["Initiated"] < before
        ]

    def discard(self, unfinished: Iterable[Unfinished]) -> None:
        """Free what unfinished uploads hold."""
        from botocore.exceptions import ClientError

        for each in unfinished:
            upload_id, key = each.upload, self._key(each.path)

            def attempt(key: str = key, upload_id: str = upload_id) -> None:
                request = {"Key": key, "UploadId": upload_id}
                try:
                    self._service.ask_once("abort_multipart_upload", action="write", **request)
                except ClientError as error:
                    if code_of(error) != "NoSuchUpload":
                        raise

            self._service.persist(attempt, action="write", file=each.path)

    def _pages(self, operation: str, field: str, prefix: str) -> Iterator[dict[str, Any]]:
        """Give the items of a listing, page by page."""
        root = self._service.connection.prefix
        place: dict[str, Any] = {}
        while place is not None:
            request = {"Prefix": root + prefix, **place}
            page = self._service.ask(
                operation, lambda answer: answer, action="list", file=prefix, **request
            )
            yield from page.get(field, [])
            place = _next_page(page)

    def _key(self, path: str) -> str:
        """Return the key of a path, which never leaves the prefix."""
        inside(".", path)
        return self._service.connection.prefix + path

    def _target(self, path: str) -> upload.Target:
        return upload.Target(self._service, self._key(path), path, self._settings)

    def __str__(self) -> str:
        return self.address

    def __repr__(self) -> str:
        return f"Bucket({self.address!r})"


def _next_page(page: dict[str, Any]) -> Any:
    """Return the arguments that ask for the next page, None after the last."""
    if not page.get("IsTruncated"):
        return None
    if "NextContinuationToken" in page:
        return {"ContinuationToken": page["NextContinuationToken"]}
    return {"KeyMarker": page["NextKeyMarker"], "UploadIdMarker": page["NextUploadIdMarker"]}
