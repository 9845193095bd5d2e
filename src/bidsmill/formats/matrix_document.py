"""What a matrix file says of itself: the JSON document in its metadata, and its columns."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bidsmill.errors import BidsmillError

CONTRACT = "1"
METADATA_KEY = "bidsmill"
WIDE_ABOVE = 1024
WIDE_COLUMN = "signal"


def read_document(file, path: Path) -> dict[str, Any]:
    """Return the document of a matrix file, which must be one of this contract."""
    stored = (file.metadata.metadata or {}).get(METADATA_KEY.encode())
    if stored is None:
        raise BidsmillError(
            "this Parquet file is not a matrix",
            file=path,
            expected=f"the metadata key {METADATA_KEY!r}",
        )
    try:
        document = json.loads(stored)
        contract = document["contract"]
    except (ValueError, TypeError, KeyError) as error:
        raise BidsmillError(
            "the metadata of a matrix cannot be read",
            file=path,
            found=repr(error),
            expected=f"a JSON document in the key {METADATA_KEY!r}",
        ) from None
    if contract != CONTRACT:
        raise BidsmillError(
            "this matrix has another contract version",
            file=path,
            found=contract,
            expected=CONTRACT,
            todo="install a newer bidsmill",
        )
    return document


def read_channels(file, document: dict[str, Any], path: Path) -> list[str]:
    """Return the channels of a matrix file, which must hold what its document states."""
    try:
        names = [channel["name"] for channel in document["channels"]]
        rows, _, n_times = stated = document["shape"]
    except (TypeError, KeyError, ValueError) as error:
        raise BidsmillError(
            "the metadata of a matrix lack channels or shape", file=path, found=repr(error)
        ) from None
    wide = len(names) > WIDE_ABOVE
    columns = [(WIDE_COLUMN, n_times * len(names))] if wide else [(n, n_times) for n in names]
    found = [(field.name, getattr(field.type, "list_size", 0)) for field in file.schema_arrow]
    if stated != [file.metadata.num_rows, len(names), n_times] or found != columns:
        raise BidsmillError(
            "a matrix file does not hold what its metadata state",
            file=path,
            found=f"{file.metadata.num_rows} rows, {len(found)} columns",
            expected=f"{rows} rows of {len(names)} channels and {n_times} samples",
        )
    return names
