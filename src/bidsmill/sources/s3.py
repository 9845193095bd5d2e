"""A BIDS dataset in an S3 bucket: public or not, at Amazon or elsewhere."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from bidsmill.errors import BidsmillError
from bidsmill.sources.listing import Entry, Listing

log = logging.getLogger(__name__)

# Classes whose objects must be restored before they can be read (Amazon S3 User Guide,
# "Understanding S3 Glacier storage classes"); GLACIER_IR is read at once.
ARCHIVED = {"GLACIER", "DEEP_ARCHIVE"}
# Answers that say "not with these credentials" (Amazon S3 API, "Error responses").
REFUSED = {
    "403",
    "AccessDenied",
    "AllAccessDisabled",
    "ExpiredToken",
    "InvalidAccessKeyId",
    "InvalidToken",
    "SignatureDoesNotMatch",
    "TokenRefreshRequired",
}
# Answers that say "this server has no such call", here that for object versions.
NOT_OFFERED = {
    "405",
    "501",
    "InvalidRequest",
    "MethodNotAllowed",
    "NotImplemented",
    "XNotImplemented",
}


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
    with explained(place, settings):
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


def split_address(url: Any) -> tuple[str, str]:
    """Return bucket and prefix of ``s3://bucket/prefix``; the prefix is empty or ends in a slash.

    Raises
    ------
    BidsmillError
        If the address names no bucket.
    """
    match = re.fullmatch(r"s3://([^/?#@]+)(?:/(.*))?", url) if isinstance(url, str) else None
    if not match:
        raise BidsmillError(
            "source s3 needs the key `url`",
            found=None if url is None else repr(url),
            expected="s3://bucket/prefix",
        )
    prefix = (match[2] or "").strip("/")
    return match[1], f"{prefix}/" if prefix else ""


def open_client(
    settings: dict[str, Any], connections: int = 10, attempts: int | None = None
) -> Any:
    """Return a boto3 client for the bucket of a dataset.

    Credentials of a named profile are used as they are. Without a profile, credentials that boto3
    finds (environment, files, machine) are tried on the bucket with a listing of one key: where
    they are refused, which says nothing of a public bucket, and where none are found, requests
    are anonymous. Servers other than Amazon's get the bucket in the path, and no checksum headers
    beyond those that S3 requires, which few of them know.

    Parameters
    ----------
    settings : dict
        ``url``, ``profile`` (None: what boto3 finds), ``endpoint`` (None: that of the environment,
        AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL, or of the profile; else Amazon's) and ``fetch``
        (``retries``, ``timeout`` in seconds).
    connections : int
        Most connections at a time.
    attempts : int, optional
        How often boto3 itself asks; as ``fetch`` says if absent.

    Raises
    ------
    BidsmillError
        If there is no such profile, or the endpoint is no address.
    """
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    bucket, prefix = split_address(settings.get("url"))
    client_of = partial(_client, settings, connections, attempts)
    with explained(f"s3://{bucket}/{prefix}", settings):
        session = boto3.Session(profile_name=settings.get("profile"))
        if session.get_credentials() is None:
            return client_of(session, anonymous=True)
        client = client_of(session, anonymous=False)
        if settings.get("profile"):
            return client
        try:
            client.list_objects_v2(Bucket=bucket, Prefix=prefix, MaxKeys=1)
        except ClientError as error:
            if _code(error) in REFUSED:
                stranger = client_of(session, anonymous=True)
                try:
                    stranger.list_objects_v2(Bucket=bucket, Prefix=prefix, MaxKeys=1)
                except (ClientError, BotoCoreError):
                    return client
                log.info("s3://%s: the credentials found are refused; asking without", bucket)
                return stranger
        return client


def _client(
    settings: dict[str, Any],
    connections: int,
    attempts: int | None,
    session: Any,
    *,
    anonymous: bool,
) -> Any:
    from botocore import UNSIGNED
    from botocore.config import Config

    timeout = settings["fetch"]["timeout"]
    attempts = attempts or settings["fetch"]["retries"] + 1
    config = Config(
        signature_version=UNSIGNED if anonymous else None,
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        retries={"mode": "standard", "total_max_attempts": attempts},
        connect_timeout=timeout,
        read_timeout=timeout,
        max_pool_connections=connections,
    )
    endpoint = settings.get("endpoint")
    client = session.client("s3", endpoint_url=endpoint, config=config)
    host = urlsplit(client.meta.endpoint_url).hostname or ""
    if re.search(r"\.amazonaws\.com(\.cn)?$", host):
        return client
    in_path = config.merge(Config(s3={"addressing_style": "path"}))
    # A region is part of signatures; other servers take any.
    region = session.region_name or "us-east-1"
    return session.client("s3", endpoint_url=endpoint, region_name=region, config=in_path)


def _list_objects(client: Any, bucket: str, prefix: str) -> list[dict[str, Any]]:
    from botocore.exceptions import ClientError

    try:
        pages = client.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix)
        versions = [item for page in pages for item in page.get("Versions", [])]
        return [item for item in versions if item["IsLatest"]]
    except ClientError as error:
        if _code(error) not in REFUSED | NOT_OFFERED:
            raise
        log.info("s3://%s: no versions are shown (%s)", bucket, _code(error))
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


def _code(error: Any) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


@contextmanager
def explained(place: str, settings: dict[str, Any]) -> Iterator[None]:
    """Turn errors of boto3 into errors that say what to do.

    Parameters
    ----------
    place : str
        ``s3://...``, for messages.
    settings : dict
        ``profile`` and ``endpoint``, for messages.
    """
    from botocore.exceptions import (
        BotoCoreError,
        ClientError,
        HTTPClientError,
        ParamValidationError,
        ProfileNotFound,
    )
    from botocore.exceptions import ConnectionError as Unconnected

    profile = settings.get("profile")
    endpoint = settings.get("endpoint") or "the endpoint"
    try:
        yield
    except ClientError as error:
        raise _refusal(error, place, profile) from None
    except ProfileNotFound:
        raise BidsmillError(
            f"there is no AWS profile {profile or 'of the name in AWS_PROFILE'}",
            file=place,
            todo="correct `profile`, or add it to ~/.aws/config",
        ) from None
    except (ParamValidationError, ValueError) as error:
        raise BidsmillError(
            "no bucket or endpoint of S3",
            file=place,
            found=" ".join(str(error).split()),
            todo="correct `url` (s3://bucket/prefix) or `endpoint` (https://host)",
        ) from None
    except (Unconnected, HTTPClientError) as error:
        raise BidsmillError(
            "the S3 service cannot be reached",
            file=place,
            found=error,
            todo=f"check the network and the address of {endpoint}, and run again",
        ) from None
    except BotoCoreError as error:
        raise BidsmillError(
            "the bucket cannot be read", file=place, found=error, todo="check the AWS settings"
        ) from None


def _refusal(error: Any, place: str, profile: str | None) -> BidsmillError:
    code, text = _code(error), error.response.get("Error", {}).get("Message", "")
    found = f"{code} {text}".strip()
    if code in ("NoSuchBucket", "404"):
        return BidsmillError(
            "there is no such bucket", file=place, found=found, todo="correct `url` or `endpoint`"
        )
    if code in REFUSED:
        todo = (
            "check that the profile may list the bucket"
            if profile
            else (
                "name an AWS profile that may list the bucket with the key `profile`,"
                " or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
            )
        )
        return BidsmillError("access to the bucket is denied", file=place, found=found, todo=todo)
    return BidsmillError("the S3 service refuses", file=place, found=found, todo="run again later")
