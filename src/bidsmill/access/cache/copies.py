"""Copies of a remote store's files in the cache: what was last seen, and whole verified files."""

from __future__ import annotations

import hashlib
import os
import tempfile
import warnings
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bidsmill.access.cache.entries import remove_abandoned
from bidsmill.access.cache.verification import check_sha256, check_size
from bidsmill.formats import files

if TYPE_CHECKING:
    from bidsmill.storage.contract import Progress, Storage

ADDRESS_DIGITS = 16


class Copies:
    """What the cache holds of one remote store beside the matrices.

    Parameters
    ----------
    folder : pathlib.Path
        The cache folder.
    address : str
        Of the store.
    """

    def __init__(self, folder: Path, address: str):
        name = address.rstrip("/").encode("utf-8", "surrogateescape")
        digest = hashlib.sha256(name).hexdigest()
        self.folder = folder
        self.seen = folder / "store" / digest[:ADDRESS_DIGITS]

    def last_seen(self, path: str) -> bytes | None:
        """Return a small file as it was when it was last read, or None."""
        try:
            return files.inside(self.seen, path).read_bytes()
        except OSError:
            return None

    def keep(self, path: str, content: bytes) -> None:
        """Remember a small file. A cache that cannot be written remembers nothing."""
        try:
            files.replace_if_different(files.inside(self.seen, path), content)
        except OSError:
            return

    def path_of(self, entry: dict[str, Any]) -> Path:
        """Return where the copy of a file is, or would be."""
        extension = Path(entry["path"]).suffix
        return files.inside(self.folder / "file", f"{entry['sha256']}{extension}")

    def verified(self, entry: dict[str, Any]) -> Path | None:
        """Return the copy of a file if it is whole and right, or None."""
        path = self.path_of(entry)
        try:
            if path.stat().st_size != entry["size"]:
                return None
            if files.sha256_file(path) != entry["sha256"]:
                return None
        except OSError:
            return None
        with suppress(OSError):
            os.utime(path)  # its last use
        return path

    def whole(self, entry: dict[str, Any]) -> Path | None:
        """Return the copy of a file if it has the right size, or None.

        For files that carry checksums of their pages. The copy was compared with its sha256 when
        it was made.
        """
        path = self.path_of(entry)
        try:
            if path.stat().st_size != entry["size"]:
                return None
        except OSError:
            return None
        with suppress(OSError):
            os.utime(path)  # its last use
        return path

    def fetch(self, storage: Storage, entry: dict[str, Any], progress: Progress | None) -> Path:
        """Download a file, and verify it before it gets its name.

        Raises
        ------
        BidsmillError
            If it is not the file that the manifest names.
        """
        target = self.path_of(entry)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            remove_abandoned(target)
            return self._fetch_to(target, storage, entry, progress)
        except OSError as error:
            self._warn(error)
            target = Path(_process_folder()) / target.name
            return self._fetch_to(target, storage, entry, progress)

    def _fetch_to(self, target: Path, storage, entry, progress) -> Path:
        with files.atomic_path(target) as part:
            storage.download(entry["path"], part, progress)
            shown = f"{storage.address.rstrip('/')}/{entry['path']}"
            check_size(entry, part, shown)
            check_sha256(entry, shown, files.sha256_file(part))
        return target

    def _warn(self, error: OSError) -> None:
        warnings.warn(
            f"the cache folder {self.folder} cannot be written ({error.strerror or error}): "
            "files are downloaded again by every process; set BIDSMILL_CACHE to a folder with "
            "space",
            RuntimeWarning,
            stacklevel=2,
        )


_own_folder: tempfile.TemporaryDirectory | None = None


def _process_folder() -> str:
    """Return a folder that lasts as long as this process."""
    global _own_folder
    if _own_folder is None:
        _own_folder = tempfile.TemporaryDirectory(prefix="bidsmill-")
    return _own_folder.name
