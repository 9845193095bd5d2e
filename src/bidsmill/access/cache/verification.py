"""Whether a file is the one that a manifest names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bidsmill.errors import BidsmillError
from bidsmill.formats.manifest import DAMAGED_STORE
from bidsmill.storage.contract import NotStored, require_size


def check_size(entry: dict[str, Any], local: Path, shown: object = None) -> None:
    """Compare the size of a file with its manifest entry.

    Parameters
    ----------
    entry : dict
        The manifest's entry: ``size`` in bytes.
    local : pathlib.Path
        The file.
    shown : object, optional
        What messages name in its place: where it came from.

    Raises
    ------
    BidsmillError
        If the file is absent or has another size.
    """
    if not local.is_file():
        raise NotStored(
            "a file of the store is missing",
            file=shown or local,
            todo="copy the store again, or publish the dataset again",
        )
    require_size(shown or local, local.stat().st_size, entry["size"])


def check_sha256(entry: dict[str, Any], file: object, sha256: str) -> None:
    """Compare the sha256 of a file with its manifest entry.

    Raises
    ------
    BidsmillError
        If it is another one.
    """
    if sha256 != entry["sha256"]:
        raise BidsmillError(
            "a file of the store has another content than its manifest says",
            file=file,
            found=f"sha256 {sha256}",
            expected=f"sha256 {entry['sha256']}",
            todo=DAMAGED_STORE,
        )
