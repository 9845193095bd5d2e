"""The two files of a store that change: the pointer of a dataset, and the catalogue of all.

Both are replaced only by who read them last (compare-and-swap): of two publishers at once, one
is told that the other was first, reads again, and adds to what the other wrote.
"""

from __future__ import annotations

import io
import logging
import random
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from bidsmill.errors import BidsmillError
from bidsmill.formats import files, manifest, tables
from bidsmill.storage.contract import Conflict, NoPermission, NotStored, Storage, Unreachable

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)

# Each conflict means that somebody else went on: so many in a row are no race any more.
ATTEMPTS = 60
LONGEST_PAUSE = 2.0
POINTER = re.compile(r"datasets/([^/]+)/latest\.json")


def replace(
    storage: Storage,
    path: str,
    change: Callable[[bytes | None], bytes | None],
    sleep: Callable[[float], None] = time.sleep,
) -> bool:
    """Replace a file by what `change` makes of it, however many others do so at the same time.

    Parameters
    ----------
    storage : Storage
        The store.
    path : str
        The file.
    change : callable
        Given the present content (None: the file is absent), returns the new one; None to leave
        it. It is called again when somebody else was faster.
    sleep : callable
        Waits so many seconds.

    Returns
    -------
    bool
        Whether the file was written.

    Raises
    ------
    BidsmillError
        If others were faster every time.
    """
    for attempt in range(ATTEMPTS):
        content, tag = read_or_none(storage, path)
        new = change(content)
        if new is None or new == content:
            return False
        try:
            storage.swap(path, new, tag)
            return True
        except Conflict:
            log.info("somebody else wrote %s first; reading it again", path)
            sleep(random.uniform(0, min(LONGEST_PAUSE, 0.02 * 2**attempt)))
    raise BidsmillError(
        "others write this file all the time",
        file=f"{storage}/{path}",
        found=f"{ATTEMPTS} attempts",
        todo="publish again when fewer publish to this store",
    )


def read_or_none(storage: Storage, path: str) -> tuple[bytes | None, str | None]:
    """Return a file and its tag; None for both if it is absent."""
    try:
        return storage.read_tagged(path)
    except NotStored:
        return None, None


def move_pointer(storage: Storage, dataset: str, version: str, snapshot: str) -> bool:
    """Let ``latest.json`` point to a version; versions that others published meanwhile stay.

    Returns
    -------
    bool
        Whether it pointed to another one before.
    """
    path = manifest.pointer_path(dataset)
    seen: list[str | None] = []

    def moved(content: bytes | None) -> bytes | None:
        old = None if content is None else manifest.read_pointer(content, f"{storage}/{path}")
        seen.append(None if old is None else old["version"])
        if len(seen) > 1 and seen[-1] != seen[-2] and seen[-1] != version:
            log.warning(
                "%s: somebody else published %s meanwhile; it stays in the history, and %s is now"
                " the latest",
                dataset,
                seen[-1],
                version,
            )
        if old is not None and old["version"] == version:
            return None
        now = datetime.now(UTC).isoformat(timespec="seconds")
        return files.json_bytes(manifest.new_pointer(old, version, snapshot, now))

    return replace(storage, path, moved)


def update_catalog(storage: Storage, dataset: str) -> None:
    """Give a dataset its row in ``catalog.parquet``: that of the version that is the latest now.

    The pointer is read after the catalogue. So whoever swaps the catalogue last has read a
    pointer that is at least as new as the one of whoever swapped before.
    """

    def changed(content: bytes | None) -> bytes:
        rows = _rows(content)
        if rows is None:
            rows = _rows_of_all(storage)
        rows = [row for row in rows if row["dataset"] != dataset] + [_row(storage, dataset)]
        return _encoded(rows)

    replace(storage, manifest.CATALOG, changed)


def renew_catalog(storage: Storage) -> bool:
    """Make the catalogue from all pointers if it is absent, damaged or lacks columns.

    Returns
    -------
    bool
        Whether it was made.

    Raises
    ------
    BidsmillError
        If there is no dataset at all: this is no store.
    """

    def renewed(content: bytes | None) -> bytes | None:
        if _rows(content) is not None:
            return None
        rows = _rows_of_all(storage)
        if not rows:
            raise BidsmillError("there are no datasets here", file=storage)
        return _encoded(rows)

    return replace(storage, manifest.CATALOG, renewed)


def _rows_of_all(storage: Storage) -> list[dict[str, Any]]:
    """Return a row for every dataset; one that cannot be read does not stop the others."""
    rows = []
    for dataset in datasets_in(storage):
        try:
            rows.append(_row(storage, dataset))
        except (NoPermission, Unreachable):
            raise
        except BidsmillError as error:
            log.warning("%s is left out of the catalogue: %s", dataset, error)
    return rows


def datasets_in(storage: Storage) -> list[str]:
    """Return the ids of all datasets that have a pointer, sorted."""
    found = (POINTER.fullmatch(stored.path) for stored in storage.stored("datasets/"))
    return sorted(match[1] for match in found if match)


def _row(storage: Storage, dataset: str) -> dict[str, Any]:
    path = manifest.pointer_path(dataset)
    before = ""
    while True:
        version = manifest.read_pointer(storage.read(path), f"{storage}/{path}")["version"]
        try:
            content = manifest.read_manifest(storage, dataset, version)
            return manifest.catalog_row(content, version)
        except NotStored:
            if version == before:
                raise
            before = version  # the pointer moved on, and gc dropped this version


def _rows(content: bytes | None) -> list[dict[str, Any]] | None:
    """Return the rows of a catalogue; None if it is absent, damaged or lacks columns."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if content is None:
        return None
    try:
        table = pq.read_table(io.BytesIO(content))
    except (pa.ArrowException, OSError):
        log.warning("the catalogue cannot be read, and is made anew")
        return None
    if table.column_names != list(manifest.CATALOG_COLUMNS):
        return None  # of an older bidsmill
    return table.to_pylist()


def _encoded(rows: list[dict[str, Any]]) -> bytes:
    return tables.parquet_bytes(_frame(sorted(rows, key=lambda row: row["dataset"])))


def _frame(rows: list[dict[str, Any]]) -> pd.DataFrame:
    import pandas as pd

    frame = pd.DataFrame(rows, columns=list(manifest.CATALOG_COLUMNS))
    for column, kind in manifest.CATALOG_COLUMNS.items():
        frame[column] = frame[column].astype("object" if kind == "string" else kind)
    return frame
