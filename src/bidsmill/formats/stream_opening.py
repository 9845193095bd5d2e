"""Opening a stream: its map, its document, and whether all of it says the same."""

from __future__ import annotations

import json
import mmap
from pathlib import Path
from typing import Any

from bidsmill.errors import BidsmillError
from bidsmill.formats import files
from bidsmill.formats.stream_core import StreamCore
from bidsmill.formats.stream_writing import (
    CORE_KEY,
    OTHER_KEY,
    WIDE_ABOVE,
    WIDE_COLUMN,
    sidecar_path,
)

DAMAGED = "copy the file again, or make it again"
ABSENT = "nothing"


def mapped_file(path: Path) -> mmap.mmap:
    """Map a file into memory, to be read.

    Raises
    ------
    BidsmillError
        If it is absent or empty.
    """
    try:
        with open(path, "rb") as file:
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except FileNotFoundError:
        raise BidsmillError("a stream is missing", file=path) from None
    except (OSError, ValueError) as error:  # mmap: an empty file is a ValueError
        raise BidsmillError(
            "a stream cannot be read", file=path, found=error, todo=DAMAGED
        ) from None


def read_documents(metadata: Any, path: Path, what: str = "a stream") -> dict[str, Any]:
    """Return ``{"core": ..., "other": ...}`` of the metadata of a Parquet file, unchecked.

    Parameters
    ----------
    metadata : pyarrow.parquet.FileMetaData
        Of the file.
    path : pathlib.Path
        Its name.
    what : str
        What it should be.

    Raises
    ------
    BidsmillError
        If there is no core, or it is no JSON.
    """
    stored = metadata.metadata or {}
    if CORE_KEY.encode() not in stored:
        keys = ", ".join(sorted(key.decode("utf-8", "replace") for key in stored))
        raise BidsmillError(
            f"this Parquet file is not {what}",
            file=path,
            found=f"the metadata keys {keys}" if keys else "no metadata",
            expected=f"the metadata key {CORE_KEY!r}",
            todo="let the pipeline convert `.ant` folders and other files",
        )
    document: dict[str, Any] = {}
    for key in (CORE_KEY, OTHER_KEY):
        try:
            document[key] = json.loads(stored.get(key.encode(), b"{}"))
        except ValueError as error:
            raise BidsmillError(
                f"the metadata {key!r} of {what} are no JSON", file=path, found=error, todo=DAMAGED
            ) from None
    return document


def check_columns(opened: Any, core: StreamCore, path: Path) -> None:
    """Refuse a file whose columns and rows are not those of its core.

    Parameters
    ----------
    opened : pyarrow.parquet.ParquetFile
        The file.
    core : StreamCore
        What it says of itself.
    path : pathlib.Path
        Its name.

    Raises
    ------
    BidsmillError
        That names the field.
    """
    import pyarrow as pa

    def problem(field: str, found: Any, expected: Any) -> BidsmillError:
        return BidsmillError(
            f"the field core.{field} does not fit the file",
            file=path,
            found=f"{found} in the file",
            expected=f"{expected}, as the core says",
            todo=DAMAGED,
        )

    if opened.metadata.num_rows != core.n_samples:
        raise problem("n_samples", opened.metadata.num_rows, core.n_samples)
    schema = opened.schema_arrow
    if core.n_channels > WIDE_ABOVE:
        found = [(f.name, getattr(f.type, "list_size", None)) for f in schema]
        if found != [(WIDE_COLUMN, core.n_channels)]:
            raise problem("channels", found[:2], [(WIDE_COLUMN, core.n_channels)])
        return
    if len(schema) != core.n_channels:
        raise problem("n_channels", len(schema), core.n_channels)
    wanted = pa.from_numpy_dtype(core.dtype)
    for index, (field, channel) in enumerate(zip(schema, core.channels, strict=True)):
        if field.name != channel.name:
            raise problem(f"channels[{index}].name", repr(field.name), repr(channel.name))
        if field.type != wanted:
            raise problem("dtype", f"{field.type} of column {field.name!r}", wanted)


def check_sidecar(document: dict[str, Any], path: Path) -> None:
    """Compare the document of a file with its sidecar, if there is one.

    Raises
    ------
    BidsmillError
        That names the first field that differs.
    """
    beside = sidecar_path(path)
    if not beside.is_file():
        return
    stated = files.read_json(beside)
    found = None if stated == document else _difference(stated, document, "")
    if found is not None:
        field, other, own = found
        raise BidsmillError(
            f"the field {field} of a sidecar is not that of its file",
            file=beside,
            found=repr(other)[:80],
            expected=f"{repr(own)[:80]}, as in {path.name}",
            todo="make both again: they are written together",
        )


def _difference(stated: Any, own: Any, path: str) -> tuple[str, Any, Any] | None:
    """Return where two documents differ, and the two values there."""
    if isinstance(stated, dict) and isinstance(own, dict):
        for key in [*own, *(key for key in stated if key not in own)]:
            left, right = (side.get(key, ABSENT) for side in (stated, own))
            found = _difference(left, right, f"{path}.{key}".lstrip("."))
            if found is not None:
                return found
        return None
    if isinstance(stated, list) and isinstance(own, list) and len(stated) == len(own):
        for index, (left, right) in enumerate(zip(stated, own, strict=True)):
            found = _difference(left, right, f"{path}[{index}]")
            if found is not None:
                return found
        return None
    return None if stated == own else (path, stated, own)
