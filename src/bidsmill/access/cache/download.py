"""The Parquet file of a matrix on this machine: in memory, or on the disk if it is large."""

from __future__ import annotations

import errno
import mmap
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bidsmill.access.cache.entries import temporary, whole_place
from bidsmill.access.cache.memory import Gate
from bidsmill.access.cache.verification import check_size
from bidsmill.errors import BidsmillError
from bidsmill.storage.contract import Unreachable
from bidsmill.storage.folder import Folder

if TYPE_CHECKING:
    from bidsmill.access.cache.location import StoreReader
    from bidsmill.storage.contract import Progress

# The disk of the cache gives out, and the store is not to blame.
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES}


@contextmanager
def on_this_machine(
    reader: StoreReader,
    entry: dict[str, Any],
    gate: Gate,
    progress: Progress | None = None,
    folder: Path | None = None,
) -> Iterator[Path | memoryview]:
    """Give a matrix file, in memory unless it is large. It is not verified yet.

    Parameters
    ----------
    reader : StoreReader
        The store.
    entry : dict
        The manifest's entry of the matrix.
    gate : Gate
        Has memory for it.
    progress : callable, optional
        Called with the number of bytes that were downloaded since its last call.
    folder : pathlib.Path, optional
        The cache folder to download large files into; without one, the system's folder for
        temporary files.

    Raises
    ------
    BidsmillError
        If the file is absent, cannot be reached, or has another size than its entry says (where
        it was brought here).
    """
    local = reader.storage.local_path(entry["path"])
    there = reader.copies.verified(entry) if local is None else local
    size = entry["size"]
    if there is not None:
        if size > gate.largest:
            yield there
            return
        check_size(entry, there)
        with gate.files.take(size) as room:
            Folder(there.parent).download_into(there.name, room.data)
            yield room.data
        return
    reader.needs_network(entry["path"])
    if size <= gate.largest:
        with gate.files.take(size) as room:
            _fetch(reader, lambda: reader.storage.download_into(entry["path"], room.data, progress))
            yield room.data
        return
    with _temporary_file(folder, entry["sha256"]) as part:
        part.touch()  # a cache that cannot be written is found out before anything is fetched
        _fetch(reader, lambda: reader.storage.download(entry["path"], part, progress))
        check_size(entry, part, reader.shown(entry))
        # A map is safe here: nobody else knows the file, and so it is not cut while it is read.
        with open(part, "rb") as file:
            content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        yield memoryview(content)


@contextmanager
def _temporary_file(folder: Path | None, sha256: str) -> Iterator[Path]:
    if folder is None:
        with tempfile.TemporaryDirectory(prefix="bidsmill-") as scratch:
            yield Path(scratch) / "matrix.parquet"
        return
    with temporary(whole_place(folder, sha256).array.with_suffix(".parquet")) as part:
        yield part


def _fetch(reader: StoreReader, download: Callable[[], None]) -> None:
    try:
        download()
    except Unreachable as error:
        raise reader.with_hint(error) from None
    except BidsmillError as error:
        if isinstance(error.__context__, OSError) and error.__context__.errno in FULL:
            raise error.__context__ from None
        raise
