"""Filling the cache with what a selection needs, before it is read."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from bidsmill.errors import BidsmillError

if TYPE_CHECKING:
    from bidsmill.access.gather import Rows
    from bidsmill.access.selection import Selection

TABLES_AT_A_TIME = 4
TABLES = ("samples", "recordings", "events", "channels")


def pull(selection: Selection, progress: bool | Callable[[int], None]) -> None:
    """Fill the cache; see `Readable.pull`."""
    if not len(selection):
        return
    dataset = selection.dataset
    tables = [entry for entry in dataset.manifest["files"] if entry["kind"] in TABLES]
    if not dataset.store_files.remote:
        tables = []
    # Beside the matrices: many small files, for which one mostly waits.
    with ThreadPoolExecutor(TABLES_AT_A_TIME) as pool:
        fetched = [pool.submit(dataset.store_files.verified_path, entry) for entry in tables]
        _pull_matrices(selection, progress)
        for table in fetched:
            table.result()


def _pull_matrices(selection: Selection, progress: bool | Callable[[int], None]) -> None:
    dataset, parts = selection.dataset, _readers(selection)
    if progress is not True:
        for rows in parts:
            rows.pull(progress or None)
        return
    from bidsmill.storage.progress import Progress

    total = sum(dataset.matrices[name]["size"] for name in selection.recordings)
    with Progress(f"pull {dataset.id}", total) as bar:
        for rows in parts:
            rows.pull(bar)


def _readers(selection: Selection) -> list[Rows]:
    """Return readers of all rows, also of those that cannot be stacked together."""
    try:
        return [selection.rows()]
    except BidsmillError:
        return [part.rows() for part in selection.by_layout().values()]
