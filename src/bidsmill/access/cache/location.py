"""Where a store is, and its files: in place for a folder, with copies in the cache for a bucket."""

from __future__ import annotations

import hashlib
import itertools
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bidsmill.access.cache.copies import Copies
from bidsmill.access.cache.entries import default_folder
from bidsmill.access.cache.ranges import RangeFile
from bidsmill.access.cache.verification import check_sha256, check_size
from bidsmill.access.names import listed, unknown
from bidsmill.errors import BidsmillError
from bidsmill.formats import files
from bidsmill.formats.manifest import CATALOG
from bidsmill.storage.addresses import open_storage
from bidsmill.storage.contract import NotStored, Unreachable
from bidsmill.storage.folder import Folder

if TYPE_CHECKING:
    from bidsmill.storage.contract import Progress, Storage

# How much of a bucket is listed to say what is there in the place of a store.
LISTED_FILES = 1000
NO_CATALOG = (
    "publish any dataset to this store again: that makes the catalogue anew, of all of them"
)


class StoreReader:
    """The files of a store, wherever they are. Paths are relative and POSIX.

    Parameters
    ----------
    storage : Storage
        A folder or a bucket.
    folder : path-like, optional
        The cache folder, for copies of what is remote (see `default_folder`).
    offline : bool
        Never touch the network: only what the cache holds. A folder is read all the same.

    Notes
    -----
    It can be pickled, and used by many threads and after a fork.
    """

    def __init__(
        self, storage: Storage, folder: str | os.PathLike | None = None, offline: bool = False
    ):
        self.storage = storage
        self.folder = default_folder() if folder is None else Path(folder).expanduser()
        self.remote: bool = storage.remote
        self.offline = offline and self.remote
        self.copies = Copies(self.folder, storage.address)

    @property
    def address(self) -> str:
        """Return the address as its user wrote it."""
        return self.storage.address

    def read(self, path: str) -> bytes:
        """Return a small file that may change: a pointer, the catalogue.

        Parameters
        ----------
        path : str
            In the store.

        Returns
        -------
        bytes
            As it is now; with ``offline=True`` as it was when it was last read.

        Raises
        ------
        BidsmillError
            If it is absent, cannot be reached, or (offline) was never read.
        """
        if self.offline:
            return self._last_seen(path)
        try:
            content = self.storage.read(path)
        except NotStored as error:
            raise (self._no_store() if self.remote and path == CATALOG else error) from None
        except Unreachable as error:
            raise self.with_hint(error, path) from None
        if self.remote:
            self.copies.keep(path, content)
        return content

    def read_immutable(self, path: str) -> bytes:
        """Return a small file that never changes: a manifest. It is fetched once.

        Raises
        ------
        BidsmillError
            As for `read`.
        """
        if self.remote:
            content = self.copies.last_seen(path)
            if content is not None and _is_named_after(path, content):
                return content
        return self.read(path)

    def verified_path(self, entry: dict[str, Any], progress: Progress | None = None) -> Path:
        """Return a whole file on this machine that is what the manifest says.

        Parameters
        ----------
        entry : dict
            ``path``, ``size`` (bytes) and ``sha256`` of the file.
        progress : callable, optional
            Called with the number of bytes that were downloaded since its last call.

        Returns
        -------
        pathlib.Path
            In place for a folder, in the cache for a bucket.

        Raises
        ------
        BidsmillError
            If the file is absent, or its size or sha256 is another one.
        """
        local = self.storage.local_path(entry["path"])
        if local is not None:
            check_size(entry, local)
            check_sha256(entry, local, files.sha256_file(local))
            return local
        copy = self.copies.verified(entry)
        if copy is not None:
            return copy
        self.needs_network(entry["path"])
        try:
            return self.copies.fetch(self.storage, entry, progress)
        except Unreachable as error:
            raise self.with_hint(error) from None

    def paged_path(self, entry: dict[str, Any], progress: Progress | None = None) -> Path:
        """Return a file on this machine whose pages are verified when they are read.

        Its size is compared with the manifest, and where it is downloaded its sha256; to hash it
        at every opening would take longer than most reads.

        Parameters
        ----------
        entry, progress
            As for `verified_path`.

        Raises
        ------
        BidsmillError
            As for `verified_path`.
        """
        local = self.storage.local_path(entry["path"])
        if local is not None:
            check_size(entry, local)
            return local
        copy = self.copies.whole(entry)
        return self.verified_path(entry, progress) if copy is None else copy

    def open_ranges(self, entry: dict[str, Any]) -> RangeFile:
        """Return a file that is read by byte ranges, for PyArrow.

        Nothing is verified but the size; a matrix file carries checksums of its pages.

        Raises
        ------
        BidsmillError
            With ``offline=True``.
        """
        self.needs_network(entry["path"])
        return RangeFile(self.storage, entry["path"], entry["size"])

    def shown(self, entry: dict[str, Any]) -> str:
        """Return where a file of the store is, for messages."""
        local = self.storage.local_path(entry["path"])
        return f"{self.address.rstrip('/')}/{entry['path']}" if local is None else str(local)

    def needs_network(self, path: str) -> None:
        """Refuse with ``offline=True``.

        Raises
        ------
        BidsmillError
            That names what the cache lacks.
        """
        if self.offline:
            raise BidsmillError(
                "the cache does not hold all that is needed, and offline=True was asked for",
                file=f"{self.address.rstrip('/')}/{path}",
                expected=f"a copy in {self.folder}",
                todo="open the store without offline=True, and pull what is needed",
            )

    def _last_seen(self, path: str) -> bytes:
        content = self.copies.last_seen(path)
        if content is None:
            self.needs_network(path)
        return content  # type: ignore[return-value]

    def with_hint(self, error: BidsmillError, path: str = CATALOG) -> BidsmillError:
        """Return an error of the network with a word on what the cache can still give.

        Parameters
        ----------
        error : BidsmillError
            What happened.
        path : str
            A small file: if the cache has a copy of it, the store can be opened offline.
        """
        if self.copies.last_seen(path) is None:
            return error
        hint = "open the store with offline=True to work with what the cache holds"
        todo = f"{error.todo}; or {hint}" if error.todo else hint
        return type(error)(
            error.what, file=error.file, found=error.found, expected=error.expected, todo=todo
        )

    def _no_store(self) -> BidsmillError:
        """Return the error for a bucket without a catalogue, with what is there instead."""
        every = [found.path for found in itertools.islice(self.storage.stored(""), LISTED_FILES)]
        stores = sorted(p[: -len(CATALOG)] for p in every if p.endswith(f"/{CATALOG}"))
        base = self.address.rstrip("/")
        top = dict.fromkeys(p.split("/")[0] + ("/" if "/" in p else "") for p in every)
        todo = f"open {base}/{stores[0].rstrip('/')}" if stores else "check the address"
        if any(path.startswith("datasets/") for path in every):
            todo = NO_CATALOG
        return NotStored(
            "there is no store at this address",
            file=base,
            found=listed(top) if top else "nothing at all under this prefix",
            expected=f"a file {CATALOG}",
            todo=todo,
        )

    def __str__(self) -> str:
        return self.address


def locate(
    address: str | os.PathLike,
    *,
    cache: str | os.PathLike | None = None,
    offline: bool = False,
    **connection: Any,
) -> StoreReader:
    """Return the files of the store at an address.

    Parameters
    ----------
    address : path-like
        A folder, a ``file://`` URL of one, or ``s3://bucket/prefix``.
    cache : path-like, optional
        The cache folder.
    offline : bool
        Never touch the network.
    **connection
        Of a bucket: ``endpoint``, ``profile``, ``anonymous``
        (see `bidsmill.storage.bucket.Bucket`).

    Raises
    ------
    BidsmillError
        If there is no store at this address. A bucket is only asked when something is read.
    """
    storage = open_storage(address, **connection)
    if isinstance(storage, Folder) and not (storage.root / CATALOG).is_file():
        raise _no_store(storage.root)
    return StoreReader(storage, cache, offline)


def _no_store(root: Path) -> BidsmillError:
    """Return the error for a folder without a catalogue, with a guess at what was meant."""
    if not root.exists():
        parent = root.parent
        siblings = sorted(p.name for p in parent.iterdir()) if parent.is_dir() else []
        what = f"there is no folder of this name ({root})"
        return unknown(what, root.name, siblings, todo="check the path of the store")
    if not root.is_dir():
        return BidsmillError(
            "a store is a folder, and this is a file",
            file=root,
            todo=f"open the folder that holds {CATALOG}",
        )
    near = [root.parent, *sorted(p for p in root.iterdir() if p.is_dir())]
    stores = [folder for folder in near if (folder / CATALOG).is_file()]
    todo = f"open {stores[0]}" if stores else "check the path of the store"
    if next(root.glob("datasets/*/latest.json"), None) is not None:
        todo = NO_CATALOG
    return BidsmillError(
        "this folder is not a store", file=root, expected=f"a file {CATALOG} in it", todo=todo
    )


def _is_named_after(path: str, content: bytes) -> bool:
    """Tell whether a manifest is the one that its name states (`manifest.version_of`)."""
    stem = path.rpartition("/")[2].removesuffix(".json")
    return stem.rpartition("-")[2] == hashlib.sha256(content).hexdigest()[:12]
