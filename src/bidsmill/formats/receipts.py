"""Receipts: what was made of one recording, and from what; the memory of a batch job.

A receipt lies beside its result and is written last. Snakemake does not know it, so that it
survives when Snakemake deletes the declared outputs of a job before it runs again.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from bidsmill.errors import BidsmillError
from bidsmill.formats import files


def write_receipt(path: str | os.PathLike, fingerprint: str, content: dict[str, Any]) -> None:
    """Write a receipt; call it after every file that it speaks of is in place.

    Parameters
    ----------
    path : path-like
        Where the receipt goes.
    fingerprint : str
        The sha256 of all that the result depends on.
    content : dict
        What a manifest repeats: status, reason, files with size and sha256.
    """
    files.write_json(path, {"fingerprint": fingerprint, **content})


def read_receipt(path: str | os.PathLike) -> dict[str, Any] | None:
    """Read a receipt, or return None where there is none that can be read."""
    try:
        content = files.read_json(path)
    except BidsmillError:
        return None
    return content if isinstance(content, dict) and "fingerprint" in content else None


def current_receipt(path: str | os.PathLike, fingerprint: str) -> dict[str, Any] | None:
    """Return the receipt if its result is up to date, else None.

    It is when the fingerprint is the wanted one and each file that it names (key ``files``:
    name beside the receipt -> ``{"size": bytes, "sha256": …}``) is there with its size.

    Parameters
    ----------
    path : path-like
        The receipt.
    fingerprint : str
        The sha256 of all that the result should depend on.
    """
    receipt = read_receipt(path)
    if receipt is None or receipt["fingerprint"] != fingerprint:
        return None
    folder = Path(path).parent
    for name, stated in receipt.get("files", {}).items():
        try:
            if os.stat(folder / name).st_size != stated["size"]:
                return None
        except OSError:
            return None
    return receipt


def manifest_entry(receipt: dict[str, Any]) -> dict[str, Any]:
    """Return the part of a receipt that goes into a manifest.

    The fingerprint stays out. So does ``detail``, which can be long; its sha256 stands for it,
    so that a manifest moves whenever a receipt's content does.
    """
    entry = {key: value for key, value in receipt.items() if key not in ("fingerprint", "detail")}
    if "detail" in receipt:
        entry["detail_sha256"] = files.canonical_sha256(receipt["detail"])
    return entry
