"""The files of a store that an audit reads: in place in a folder, as passing copies of a bucket."""

from __future__ import annotations

import json
import shutil
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from bidsmill.errors import BidsmillError
from bidsmill.formats import files, manifest
from bidsmill.storage.contract import NoPermission, NotStored, Unreachable

if TYPE_CHECKING:
    from bidsmill.storage.contract import Storage

# Of the free space of the folder for temporary files, what copies may take.
SHARE_OF_DISK = 0.5
WORKERS = 8


class Lost(Exception):
    """The bucket cannot be read any more: no finding about what it holds.

    Parameters
    ----------
    error : BidsmillError
        What happened.
    """

    def __init__(self, error: BidsmillError):
        super().__init__(str(error))
        self.error = error


class State(NamedTuple):
    """Size in bytes and sha256 of a file; '' where the size said enough already."""

    size: int
    sha256: str


class StoredFiles:
    """The files of a store, on this machine when they are needed.

    Parameters
    ----------
    storage : Storage
        A folder or a bucket.
    limit : int, optional
        Bytes that copies of a bucket's files may take; the one used longest ago is removed first,
        and fetched again if it is needed. Half of the free space if absent.

    Notes
    -----
    A context manager: copies are gone at the end.
    """

    def __init__(self, storage: Storage, limit: int | None = None):
        self.storage = storage
        self._copies: OrderedDict[str, int] = OrderedDict()
        self._guard = threading.Lock()
        self._folder: Path | None = None
        if storage.remote:
            self._folder = Path(tempfile.mkdtemp(prefix="bidsmill-audit-"))
            free = shutil.disk_usage(self._folder).free
            self._limit = int(free * SHARE_OF_DISK) if limit is None else limit

    def __enter__(self) -> StoredFiles:
        return self

    def __exit__(self, *error: object) -> None:
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def name(self, path: str) -> str:
        """Return how messages call a file."""
        local = self.storage.local_path(path)
        return str(local) if local is not None else f"{self.storage.address.rstrip('/')}/{path}"

    def json(self, path: str) -> Any:
        """Read a JSON file.

        Raises
        ------
        BidsmillError
            If it is absent or is not JSON.
        """
        content = self.storage.read(path)
        try:
            return json.loads(content)
        except ValueError as error:
            raise BidsmillError(
                "a file cannot be read as JSON", file=self.name(path), found=error
            ) from None

    def datasets(self) -> list[str]:
        """Return the datasets that have a pointer, sorted."""
        root = self.storage.local_path("datasets")
        if root is not None:
            return sorted(path.parent.name for path in root.glob("*/latest.json"))
        names = (stored.path.split("/")[1:] for stored in self.storage.stored("datasets/"))
        return [name[0] for name in names if name[1:] == ["latest.json"]]

    def has(self, dataset: str) -> bool:
        """Return whether a dataset has a pointer."""
        return self.storage.stat(manifest.pointer_path(dataset)) is not None

    def local(self, path: str) -> Path:
        """Return a path of this machine that holds a file.

        Raises
        ------
        NotStored
            If a bucket does not hold it. In a folder it may be absent.
        Lost
            If the bucket cannot be reached any more.
        """
        place = self.storage.local_path(path)
        if place is not None:
            return place
        copy = self._copy_of(path)
        with self._guard:
            if path in self._copies:
                self._copies.move_to_end(path)
                return copy
        try:
            self._download(path, copy)
        except (NoPermission, Unreachable) as error:
            raise Lost(error) from None
        self._keep(path, copy)
        return copy

    def states(self, entries: Iterable[dict[str, Any]]) -> Iterator[State | None]:
        """Give size and sha256 of the file of each entry of a manifest; None: it is missing.

        Files of a bucket are fetched, several at once.
        """
        if not self.storage.remote:
            yield from map(self._state, entries)
            return
        with ThreadPoolExecutor(WORKERS) as pool:
            yield from pool.map(self._state, list(entries))

    def _state(self, entry: dict[str, Any]) -> State | None:
        path, expected = entry["path"], entry.get("size")
        place = self.storage.local_path(path)
        if place is not None:
            return _state_of(place, expected) if place.is_file() else None
        # Taken before the copy is kept: from then on another thread may remove it.
        copy = self._copy_of(path)
        with self._guard:
            if path in self._copies:
                return _state_of(copy, expected)
        try:
            self._download(path, copy)
        except NotStored:
            return None
        state = _state_of(copy, expected)
        self._keep(path, copy)
        return state

    def _copy_of(self, path: str) -> Path:
        assert self._folder is not None
        return files.inside(self._folder, path)

    def _download(self, path: str, copy: Path) -> None:
        copy.parent.mkdir(parents=True, exist_ok=True)
        with files.atomic_path(copy) as part:
            self.storage.download(path, part)

    def _keep(self, path: str, copy: Path) -> None:
        """Count a copy, and remove old ones; one that is open stays readable until it is closed."""
        with self._guard:
            self._copies[path] = copy.stat().st_size
            self._copies.move_to_end(path)
            while len(self._copies) > 1 and sum(self._copies.values()) > self._limit:
                oldest, _ = self._copies.popitem(last=False)
                self._copy_of(oldest).unlink(missing_ok=True)


class Located(Mapping[str, Path]):
    """Recording -> path of its matrix on this machine, fetched when it is asked for.

    Parameters
    ----------
    stored : StoredFiles
        The files.
    paths : mapping
        Recording -> path in the store.
    """

    def __init__(self, stored: StoredFiles, paths: Mapping[str, str]):
        self._stored = stored
        self._paths = dict(sorted(paths.items()))

    def __getitem__(self, recording: str) -> Path:
        return self._stored.local(self._paths[recording])

    def __iter__(self) -> Iterator[str]:
        return iter(self._paths)

    def __len__(self) -> int:
        return len(self._paths)


def _state_of(path: Path, expected: int | None) -> State:
    size = path.stat().st_size
    return State(size, files.sha256_file(path) if size == expected else "")
