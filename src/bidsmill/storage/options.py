"""Options of commands that say how a store is reached: the same for every command."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bidsmill.errors import BidsmillError

STORE_HELP = "a folder, or s3://bucket/prefix"


def add_connection_options(parser: argparse.ArgumentParser, *, cache: bool = True) -> None:
    """Add ``--endpoint``, ``--profile`` and ``--anonymous``.

    Parameters
    ----------
    parser : argparse.ArgumentParser
        Of one command.
    cache : bool
        Add ``--offline`` and ``--cache`` too: for commands that read through the cache.
    """
    group = parser.add_argument_group("how the store is reached")
    group.add_argument(
        "--endpoint",
        metavar="URL",
        help="of an S3 service other than Amazon (or AWS_ENDPOINT_URL)",
    )
    group.add_argument(
        "--profile", metavar="NAME", help="of the AWS configuration (or AWS_PROFILE)"
    )
    group.add_argument(
        "--anonymous",
        action="store_true",
        default=None,
        help="use no credentials, even if there are some",
    )
    if cache:
        group.add_argument(
            "--offline",
            action="store_true",
            help="do not touch the network: what is not in the cache is an error",
        )
        group.add_argument(
            "--cache",
            type=Path,
            metavar="FOLDER",
            help="the cache folder (or BIDSMILL_CACHE)",
        )


def connection_of(options: argparse.Namespace) -> dict[str, Any]:
    """Return what `open_storage` takes beside the address.

    Raises
    ------
    BidsmillError
        If the address of the store or the service holds a password: it would end in the history
        of the shell, and in messages. The message does not repeat it.
    """
    for name, text in (("STORE", getattr(options, "store", "")), ("--endpoint", options.endpoint)):
        if _holds_password(str(text or "")):
            raise BidsmillError(
                f"{name} holds a password",
                expected="an address without user and password",
                todo="take them out, and set AWS_PROFILE, or AWS_ACCESS_KEY_ID and"
                " AWS_SECRET_ACCESS_KEY",
            )
    return {
        "endpoint": options.endpoint,
        "profile": options.profile,
        "anonymous": options.anonymous,
    }


def _holds_password(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return "@" in text
    return bool(parts.scheme) and "@" in parts.netloc
