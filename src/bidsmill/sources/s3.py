"""A BIDS dataset in an S3 bucket: public or not, at Amazon or elsewhere."""

from __future__ import annotations

import logging
import re
from typing import Any

from bidsmill.errors import BidsmillError
from bidsmill.sources.listing import Entry, Listing
from bidsmill.storage.client import Connection, open_archive, split_address
from bidsmill.storage.problems import NOT_OFFERED, REFUSED, code_of, explained

log = logging.getLogger(__name__)

# Classes whose objects must be restored before they can be read (Amazon S3 User Guide,
# "Understanding S3 Glacier storage classes"); GLACIER_IR is read at once.
ARCHIVED = {"GLACIER", "DEEP_ARCHIVE"}


def list_dataset(dataset: str, settings: dict[str, Any]) -> Listing:
    """List the objects of a dataset, by their versions where the bucket keeps some.

    Parameters
    ----------
    dataset : str
        Dataset id, for messages.
    settings : dict
        ``url`` (``s3://bucket/prefix``), ``version`` (a name for the lock), and as for
        `open_client`.

    Returns
    -------
    Listing
        Checksums are the ETags: MD5 for objects that came in one part, as far as these are not
        encrypted with a key of the owner, of which a listing says nothing.

    Raises
    ------
    BidsmillError
        If the bucket cannot be listed, or holds no BIDS dataset there.
    """
    bucket, prefix = split_address(settings.get("url"))
    place = f"s3://{bucket}/{prefix}"
    with explained(place, profile=settings.get("profile"), endpoint=settings.get("endpoint")):
        client = open_client(settings)
        objects = _list_objects(client, bucket, prefix)
    entries = [_entry(item, prefix) for item in objects if not _is_folder_mark(item)]
    if not entries:
        raise BidsmillError(
            f"nothing is stored for {dataset}",
            file=place,
            expected="objects under this prefix",
            todo="correct `url`; the prefix is the dataset's folder, without a pattern",
        )
    if not any(entry["path"] == "dataset_description.json" for entry in entries):
        raise BidsmillError(
            "this is no BIDS dataset",
            file=place,
            expected="an object dataset_description.json under this prefix",
            todo="name the prefix that holds the `sub-...` folders",
        )
    archived = [item["Key"] for item in objects if item.get("StorageClass") in ARCHIVED]
    if archived:
        log.warning(
            "%s: %d objects lie in an archive class and cannot be read before they are restored,"
            " e.g. %s",
            place,
            len(archived),
            archived[0],
        )
    log.info("%s: %d objects listed", place, len(entries))
    return Listing(settings.get("version") or "s3", entries, {"kind": "s3", "url": place})


def open_client(
    settings: dict[str, Any], connections: int = 10, attempts: int | None = None
) -> Any:
    """Return a boto3 client for the bucket of a dataset; see `storage.client.open_archive`.

    Parameters
    ----------
    settings : dict
        ``url``, ``profile``, ``endpoint`` and ``fetch`` (``retries``, ``timeout`` in seconds).
    connections : int
        Most connections at a time.
    attempts : int, optional
        How often boto3 itself asks; as ``fetch`` says if absent.
    """
    fetch = settings["fetch"]
    return open_archive(_connection(settings, connections, attempts or fetch["retries"] + 1))


def _connection(settings: dict[str, Any], connections: int = 10, attempts: int = 1) -> Connection:
    bucket, prefix = split_address(settings.get("url"))
    return Connection(
        bucket,
        prefix,
        endpoint=settings.get("endpoint"),
        profile=settings.get("profile"),
        connections=connections,
        attempts=attempts,
        timeout=settings["fetch"]["timeout"],
    )


def _list_objects(client: Any, bucket: str, prefix: str) -> list[dict[str, Any]]:
    from botocore.exceptions import ClientError

    try:
        pages = client.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix)
        versions = [item for page in pages for item in page.get("Versions", [])]
        return [item for item in versions if item["IsLatest"]]
    except ClientError as error:
        if code_of(error) not in REFUSED | NOT_OFFERED:
            raise
        log.info("s3://%s: no versions are shown (%s)", bucket, code_of(error))
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    return [item for page in pages for item in page.get("Contents", [])]


def _is_folder_mark(item: dict[str, Any]) -> bool:
    return item["Key"].endswith("/") and item["Size"] == 0


def _entry(item: dict[str, Any], prefix: str) -> Entry:
    entry: Entry = {
        "path": item["Key"].removeprefix(prefix),
        "size": item["Size"],
        "checksum": _checksum(item.get("ETag")),
    }
    version = item.get("VersionId")
    return {**entry, "version": version} if version and version != "null" else entry


def _checksum(etag: str | None) -> str | None:
    """Return an ETag as checksum: 32 digits are an MD5, anything else only tells versions apart."""
    text = (etag or "").removeprefix("W/").strip('"')
    if re.fullmatch(r"[0-9a-fA-F]{32}", text):
        return f"md5:{text.lower()}"
    return f"etag:{text}" if re.fullmatch(r"\S+", text) else None
