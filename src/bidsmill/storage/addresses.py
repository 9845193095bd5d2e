"""Which storage an address means."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from bidsmill.errors import BidsmillError
from bidsmill.storage.folder import Folder

if TYPE_CHECKING:
    from bidsmill.storage.contract import Storage


def open_storage(address: str | os.PathLike, **connection: Any) -> Storage:
    """Return the storage at an address, without touching it.

    Parameters
    ----------
    address : path-like
        A folder, a ``file://`` URL of one, or ``s3://bucket/prefix``.
    **connection
        Of a bucket: see `bidsmill.storage.bucket.Bucket`. Ignored for a folder.

    Raises
    ------
    BidsmillError
        If the address is of no kind that is known.
    """
    text = os.fspath(address)
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]+)://", text)
    kind = scheme[1].lower() if scheme else ""
    if kind == "s3":
        from bidsmill.storage.bucket import Bucket

        return Bucket(text, **connection)
    if kind == "file":
        text = unquote(text[len(scheme[0]) :])  # type: ignore[index]
    elif kind:
        raise BidsmillError(
            f"a store at {kind}:// cannot be opened",
            found=text,
            expected="a folder, or s3://bucket/prefix",
            todo="copy the store to a disk and open that folder",
        )
    elif re.match(r"s3:/?[^/]", text, re.IGNORECASE) and not os.path.lexists(text):
        rest = text[3:].lstrip("/").rpartition("@")[2]  # what is before may be a password
        raise BidsmillError(
            "the address of a bucket begins with s3://",
            found=f"s3:/{rest}",
            expected="s3://bucket/prefix, as text and not as a Path",
            todo=f"open 's3://{rest}'",
        )
    return Folder(Path(text).expanduser())
