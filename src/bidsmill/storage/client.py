"""An S3 client for a bucket: at Amazon or elsewhere, with credentials or without."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from bidsmill.errors import BidsmillError
from bidsmill.storage.problems import REFUSED, code_of, explained, without_secrets

log = logging.getLogger(__name__)
# At level DEBUG these libraries write the headers of every request, with the session token in them.
TELLTALE = ("botocore.auth", "botocore.endpoint")


@dataclass(frozen=True)
class Connection:
    """Where a bucket is and how it is asked. It holds no secret.

    Parameters
    ----------
    bucket, prefix : str
        See `split_address`.
    endpoint : str, optional
        None: that of the environment (AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL) or of the
        profile; else Amazon's.
    profile : str, optional
        Of ~/.aws; None: the credentials that boto3 finds.
    anonymous : bool, optional
        Send unsigned requests; None: where there are no credentials, or these are refused for
        reading.
    connections : int
        Requests at a time for the parts of large files.
    attempts : int
        How often boto3 itself asks.
    timeout : float
        Seconds, to connect and between two pieces of an answer.
    """

    bucket: str
    prefix: str
    endpoint: str | None = None
    profile: str | None = None
    anonymous: bool | None = None
    connections: int = 10
    attempts: int = 1
    timeout: float = 60.0

    @property
    def place(self) -> str:
        """The address, for messages."""
        return f"s3://{self.bucket}/{self.prefix}"


def split_address(url: Any) -> tuple[str, str]:
    """Return bucket and prefix of ``s3://bucket/prefix``; the prefix is empty or ends in a slash.

    Raises
    ------
    BidsmillError
        If the address names no bucket.
    """
    match = re.fullmatch(r"s3://([^/?#@]+)(?:/(.*))?", url) if isinstance(url, str) else None
    if match and ":" in match[1] and "@" in url and not match[1].startswith("arn:"):
        match = None  # a user and a password, of which the slash may be a part
    if not match:
        raise BidsmillError(
            "source s3 needs the key `url`" if url is None else "this is no address of a bucket",
            found=None if url is None else without_secrets(repr(url)),
            expected="s3://bucket/prefix",
        )
    prefix = (match[2] or "").strip("/")
    return match[1], f"{prefix}/" if prefix else ""


def open_session(connection: Connection) -> Any:
    """Return a boto3 session with the credentials of a connection.

    Raises
    ------
    BidsmillError
        If there is no such profile, or the endpoint is no address.
    """
    import boto3

    for name in TELLTALE:
        logging.getLogger(name).setLevel(logging.INFO)
    if "@" in (connection.endpoint or ""):
        raise BidsmillError(
            "an endpoint holds no user or password",
            found=without_secrets(connection.endpoint or ""),
            expected="https://host",
            todo="name an AWS profile with the key `profile`",
        )
    with explained(connection.place, profile=connection.profile, endpoint=connection.endpoint):
        return boto3.Session(profile_name=connection.profile)


def open_client(
    connection: Connection, session: Any, *, unsigned: bool, signs_bodies: bool = True
) -> Any:
    """Return a boto3 client of a session.

    Servers other than Amazon's get the bucket in the path, and no checksum headers beyond those
    that S3 requires, which few of them know.

    Parameters
    ----------
    connection : Connection
        What to ask.
    session : boto3.Session
        Of `open_session`.
    unsigned : bool
        Send no credentials.
    signs_bodies : bool
        Without TLS boto3 signs the SHA-256 of what is sent as well. Where an MD5 goes along, which
        is signed with the other headers, this takes time and adds nothing.
    """
    from botocore import UNSIGNED
    from botocore.config import Config

    config = Config(
        signature_version=UNSIGNED if unsigned else None,
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        retries={"mode": "standard", "total_max_attempts": connection.attempts},
        connect_timeout=connection.timeout,
        read_timeout=connection.timeout,
        # Threads of the caller ask as well, beside those for the parts of large files.
        max_pool_connections=2 * connection.connections,
        s3=None if signs_bodies else {"payload_signing_enabled": False},
    )
    endpoint = connection.endpoint
    with explained(connection.place, profile=connection.profile, endpoint=endpoint):
        client = session.client("s3", endpoint_url=endpoint, config=config)
        if is_amazon(client):
            return client
        in_path = config.merge(Config(s3={**(config.s3 or {}), "addressing_style": "path"}))
        # A region is part of signatures; other servers take any.
        region = session.region_name or "us-east-1"
        return session.client("s3", endpoint_url=endpoint, region_name=region, config=in_path)


def is_amazon(client: Any) -> bool:
    """Return whether a client asks Amazon's own service."""
    host = urlsplit(client.meta.endpoint_url).hostname or ""
    return re.search(r"\.amazonaws\.com(\.cn)?$", host) is not None


def open_archive(connection: Connection) -> Any:
    """Return a boto3 client that reads a bucket.

    Credentials of a named profile are used as they are. Without a profile, credentials that boto3
    finds (environment, files, machine) are tried on the bucket with a listing of one key: where
    they are refused, which says nothing of a public bucket, and where none are found, requests
    are anonymous.

    Raises
    ------
    BidsmillError
        If there is no such profile, or the endpoint is no address.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    session = open_session(connection)
    first_key = {"Bucket": connection.bucket, "Prefix": connection.prefix, "MaxKeys": 1}
    with explained(connection.place, profile=connection.profile, endpoint=connection.endpoint):
        if session.get_credentials() is None:
            return open_client(connection, session, unsigned=True)
        client = open_client(connection, session, unsigned=False)
        if connection.profile:
            return client
        try:
            client.list_objects_v2(**first_key)
        except ClientError as error:
            if code_of(error) in REFUSED:
                stranger = open_client(connection, session, unsigned=True)
                try:
                    stranger.list_objects_v2(**first_key)
                except (ClientError, BotoCoreError):
                    return client
                log.info(
                    "s3://%s: the credentials found are refused; asking without", connection.bucket
                )
                return stranger
        return client
