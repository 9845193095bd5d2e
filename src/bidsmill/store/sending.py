"""Bring the files of a version into a store: those that it lacks, several at a time."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any, TypeVar

from bidsmill.errors import BidsmillError
from bidsmill.formats import files, manifest
from bidsmill.storage.contract import NoPermission, NotStored, Progress, Storage, Unreachable
from bidsmill.store.collecting import Collected, Outgoing

log = logging.getLogger(__name__)

Given = TypeVar("Given")
Made = TypeVar("Made")
BLOCK = 8 << 20
SECONDS_PER_LOOK = 5.0


def known_files(storage: Storage, dataset: str) -> tuple[str, dict[str, tuple[int, str]]]:
    """Return the version that the pointer names, and size and sha256 of its files by path.

    What the latest version names was checked when it was published. Without a pointer, or where
    its manifest is lost or damaged, nothing is known.
    """
    path = manifest.pointer_path(dataset)
    try:
        pointer = manifest.read_pointer(storage.read(path), f"{storage}/{path}")
    except NotStored:
        return "", {}
    try:
        latest = manifest.read_manifest(storage, dataset, pointer["version"])
    except (NoPermission, Unreachable):
        raise
    except BidsmillError as error:
        log.warning("nothing is known of the version before: %s", error)
        return "", {}
    known = {entry["path"]: (entry["size"], entry["sha256"]) for entry in latest["files"]}
    return pointer["version"], known


def sizes_in_store(storage: Storage, dataset: str) -> dict[str, int]:
    """Return the size (bytes) of every immutable file of a dataset, by its path: one listing."""
    return {f.path: f.size for f in storage.stored(f"datasets/{dataset}/files/")}


def missing_files(
    storage: Storage,
    version: Collected,
    known: dict[str, tuple[int, str]],
    connections: int,
) -> list[Outgoing]:
    """Return the files that the store lacks: by size and full sha256, never by name alone.

    Parameters
    ----------
    storage : Storage
        The store.
    version : Collected
        What shall be there.
    known : dict
        Files that were checked before (see `known_files`).
    connections : int
        Most files at a time that are looked at.
    """
    sizes = sizes_in_store(storage, version.dataset)
    doubtful, missing = [], []
    for file in version.files:
        if sizes.get(file.path) != file.size:
            missing.append(file)
        elif known.get(file.path) != (file.size, file.sha256):
            doubtful.append(file)
    same = in_parallel(lambda file: _is_stored(storage, file), doubtful, connections)
    absent = {file.path for file, there in zip(doubtful, same, strict=True) if not there} | {
        file.path for file in missing
    }
    return [file for file in version.files if file.path in absent]


def _is_stored(storage: Storage, file: Outgoing) -> bool:
    """Return whether a file of this name and size holds what it should."""
    found = storage.stat(file.path)
    if found is None or found.size != file.size:
        return False
    return (found.sha256 or _sha256_of(storage, file)) == file.sha256


def _sha256_of(storage: Storage, file: Outgoing) -> str:
    local = storage.local_path(file.path)
    if local is not None:
        return files.sha256_file(local)
    digest = hashlib.sha256()
    for start in range(0, file.size, BLOCK):
        digest.update(storage.read_range(file.path, start, min(start + BLOCK, file.size)))
    return digest.hexdigest()


def send(
    storage: Storage,
    outgoing: Sequence[Outgoing],
    connections: int,
    progress: Progress,
    meanwhile: Callable[[], None],
) -> None:
    """Send files, several at a time.

    Parameters
    ----------
    storage : Storage
        The store.
    outgoing : sequence of Outgoing
        What to send.
    connections : int
        Most files at a time.
    progress : callable
        Is told the bytes that went over.
    meanwhile : callable
        Called every few seconds.

    Raises
    ------
    BidsmillError
        If a file on this machine is damaged, with its remedy, or the store fails. Files that
        went over stay there, and the next try goes on.
    """
    # The largest first, so that no long one is left over at the end.
    ordered = sorted(outgoing, key=lambda file: (-file.size, file.path))
    in_parallel(lambda file: _send(storage, file, progress), ordered, connections, meanwhile)


def _send(storage: Storage, file: Outgoing, progress: Progress) -> None:
    try:
        storage.put_file(
            file.path, file.source, size=file.size, sha256=file.sha256, progress=progress
        )
    except (BidsmillError, FileNotFoundError) as error:
        if not file.source.is_file() or files.sha256_file(file.source) != file.sha256:
            raise BidsmillError(
                "a result is not the file that was made",
                file=file.source,
                expected=f"sha256 {file.sha256[:12]}…",
                todo=file.remedy,
            ) from None
        if isinstance(error, NotStored):
            raise cannot_write(storage, error) from None
        raise


def check_presence(storage: Storage, version: Collected) -> list[Outgoing]:
    """Return the files that are not there with their size, by one listing."""
    sizes = sizes_in_store(storage, version.dataset)
    return [file for file in version.files if sizes.get(file.path) != file.size]


def cannot_write(storage: Storage, error: Any) -> BidsmillError:
    """Return the error of a store that takes no files."""
    return BidsmillError(
        "the store cannot be written",
        file=getattr(error, "file", None) or getattr(error, "filename", None) or storage,
        found=getattr(error, "what", None) or getattr(error, "strerror", None) or error,
        todo=f"check permission and free space at {storage}, or name another `store`",
    )


def in_parallel(
    work: Callable[[Given], Made],
    given: Iterable[Given],
    connections: int,
    meanwhile: Callable[[], None] = lambda: None,
) -> list[Made]:
    """Return what `work` makes of each, in their order; the first error ends it."""
    items = list(given)
    if connections == 1 or len(items) < 2:
        made = []
        for item in items:
            made.append(work(item))
            meanwhile()
        return made
    pool = ThreadPoolExecutor(min(connections, len(items)))
    try:
        futures: list[Future[Made]] = [pool.submit(work, item) for item in items]
        waiting = set(futures)
        while waiting:
            done, waiting = wait(waiting, SECONDS_PER_LOOK, FIRST_COMPLETED)
            for future in done:
                future.result()
            meanwhile()
        return [future.result() for future in futures]
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
