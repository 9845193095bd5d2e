"""What the errors of an S3 client mean: for the next attempt, and for the person who waits."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from bidsmill.errors import BidsmillError
from bidsmill.storage.contract import NoPermission, NotStored, Unreachable
from bidsmill.storage.passing import (
    LONGEST_ASKED_FOR,
    PASSING_CODES,
    PASSING_STATUS,
    asked_wait,
)

# Answers that say "not with these credentials" (Amazon S3 API, "Error responses").
REFUSED = {
    "401",
    "403",
    "AccessDenied",
    "AllAccessDisabled",
    "ExpiredToken",
    "InvalidAccessKeyId",
    "InvalidToken",
    "RequestTimeTooSkewed",
    "SignatureDoesNotMatch",
    "TokenRefreshRequired",
}
# Answers that say "this server has no such call".
NOT_OFFERED = {
    "405",
    "501",
    "InvalidRequest",
    "MethodNotAllowed",
    "NotImplemented",
    "XNotImplemented",
}
# The bucket is in another region than the one that was asked or signed for.
ELSEWHERE = {
    "301",
    "AuthorizationHeaderMalformed",
    "IllegalLocationConstraintException",
    "PermanentRedirect",
}

# How a person names it: in the config, to a command, in Python.
PROFILE = "key `profile`, or --profile, or profile="
ADDRESS_TODO = "check the address and the endpoint (key `endpoint`, or --endpoint, or endpoint=)"


class Broken(Exception):
    """The connection ended before the answer did."""


def code_of(error: Any) -> str:
    """Return the code of a botocore `ClientError`; of a HEAD it is the HTTP status."""
    return str(error.response.get("Error", {}).get("Code", ""))


def status_of(error: Any) -> int:
    """Return the HTTP status of a botocore `ClientError`."""
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def may_pass(error: Exception) -> bool:
    """Return whether the next attempt may not meet this error."""
    from botocore.exceptions import ClientError, HTTPClientError
    from botocore.exceptions import ConnectionError as Unconnected

    if isinstance(error, ClientError):
        return status_of(error) in PASSING_STATUS or code_of(error) in PASSING_CODES
    return isinstance(error, Broken | HTTPClientError | Unconnected)


def asked_pause(error: Exception) -> float:
    """Return the seconds that a server asks to wait (``Retry-After``), at most two minutes."""
    from botocore.exceptions import ClientError

    if not isinstance(error, ClientError):
        return 0.0
    headers = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    return min(asked_wait(headers.get("retry-after")) or 0.0, LONGEST_ASKED_FOR)


@contextmanager
def explained(
    place: str, *, profile: str | None = None, endpoint: str | None = None, action: str = "list"
) -> Iterator[None]:
    """Turn errors of boto3 into errors that say what to do.

    Parameters
    ----------
    place : str
        ``s3://...``, for messages.
    profile, endpoint : str, optional
        As the user named them, for messages.
    action : str
        What was tried: ``list``, ``read`` or ``write``.
    """
    try:
        yield
    except Exception as error:
        explanation = explain(error, place, profile=profile, endpoint=endpoint, action=action)
        if explanation is None:
            raise
        raise explanation from None


def explain(
    error: Exception,
    place: str,
    *,
    profile: str | None = None,
    endpoint: str | None = None,
    action: str = "list",
) -> BidsmillError | None:
    """Return what an error of boto3 means, or None if it is none; see `explained`."""
    from botocore.exceptions import (
        BotoCoreError,
        ClientError,
        HTTPClientError,
        ParamValidationError,
        ProfileNotFound,
    )
    from botocore.exceptions import ConnectionError as Unconnected

    if isinstance(error, ClientError):
        return _refusal(error, place, profile, action)
    if isinstance(error, ProfileNotFound):
        return NoPermission(
            f"there is no AWS profile {profile or 'of the name in AWS_PROFILE'}",
            file=place,
            todo=f"check the name ({PROFILE}), or add it to ~/.aws/config",
        )
    if isinstance(error, ParamValidationError | ValueError):
        return BidsmillError(
            "no bucket or endpoint of S3",
            file=place,
            found=without_secrets(" ".join(str(error).split())),
            todo=f"{ADDRESS_TODO}: s3://bucket/prefix, https://host",
        )
    if isinstance(error, Unconnected | HTTPClientError | Broken):
        return Unreachable(
            "the S3 service cannot be reached",
            file=place,
            found=without_secrets(str(error)),
            todo=f"check the network and the address of {endpoint or 'the endpoint'},"
            " and run again",
        )
    if isinstance(error, BotoCoreError):
        return _unusable(error, place)
    return None


def without_secrets(text: str) -> str:
    """Return a text in which no address holds a user or a password."""
    # A secret key of Amazon may hold slashes: everything up to the last @ goes.
    return re.sub(r"//[^\s\"']*@", "//", text)


def _unusable(error: Exception, place: str) -> BidsmillError:
    """Return what an error says that came up before anything was asked."""
    from botocore import exceptions

    no_credentials = (
        exceptions.CredentialRetrievalError,
        exceptions.NoCredentialsError,
        exceptions.PartialCredentialsError,
        exceptions.SSOError,
        exceptions.TokenRetrievalError,
    )
    if isinstance(error, no_credentials):
        # Its text may hold what a program printed that was asked for credentials.
        return NoPermission(
            "there are no usable AWS credentials",
            file=place,
            found=type(error).__name__,
            todo=f"name an AWS profile ({PROFILE}), set AWS_ACCESS_KEY_ID and"
            " AWS_SECRET_ACCESS_KEY, or log in again",
        )
    return BidsmillError(
        "the bucket cannot be read",
        file=place,
        found=without_secrets(str(error)),
        todo="check the AWS settings",
    )


def _refusal(error: Any, place: str, profile: str | None, action: str) -> BidsmillError:
    """Return what an answer of the service says."""
    # Some servers leave the message out: it is None then.
    code, text = code_of(error), str(error.response.get("Error", {}).get("Message") or "")
    found = f"{code} {text}".strip()
    if code in ("NoSuchKey", "NoSuchVersion") or (code == "404" and action == "read"):
        return NotStored(
            "a file of the store is missing",
            file=place,
            todo="check the address, or publish the dataset again",
        )
    if code in ("NoSuchBucket", "404"):
        return BidsmillError("there is no such bucket", file=place, found=found, todo=ADDRESS_TODO)
    if code in REFUSED:
        return _denial(code, found, place, profile, action)
    if code in ELSEWHERE:
        return BidsmillError(
            "the bucket is in another region",
            file=place,
            found=found,
            todo="set AWS_REGION, or the region of the profile, to the bucket's",
        )
    if code == "InvalidObjectState":
        return BidsmillError(
            "this object lies in an archive class",
            file=place,
            found=found,
            todo="restore it before it is read",
        )
    if may_pass(error):
        return Unreachable("the S3 service fails", file=place, found=found, todo="run again later")
    return BidsmillError(
        "the S3 service refuses",
        file=place,
        found=found,
        todo="check the settings of the bucket, and run again",
    )


def _denial(code: str, found: str, place: str, profile: str | None, action: str) -> NoPermission:
    """Return that the credentials do not suffice, or are wrong."""
    if code == "RequestTimeTooSkewed":
        todo = "set the clock of this machine"
    elif profile:
        todo = f"check that the profile may {action} the bucket"
    else:
        todo = (
            f"name an AWS profile that may {action} the bucket ({PROFILE}),"
            " or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        )
    if action == "read":
        todo += "; where listing is not allowed, a file that is absent is denied as well"
    return NoPermission("access to the bucket is denied", file=place, found=found, todo=todo)
