"""Where the files of a store are: a folder of this machine."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote

from bidsmill.access.names import unknown
from bidsmill.errors import BidsmillError
from bidsmill.formats import files
from bidsmill.formats.manifest import CATALOG


class StoreFiles(Protocol):
    """The files of a store, wherever they are. Paths are relative and POSIX."""

    def read_bytes(self, path: str) -> bytes:
        """Return the content of a small file."""

    def local_path(self, path: str) -> Path:
        """Return a path of this machine that holds the file."""


class LocalFiles:
    """The files of a store in a folder.

    Parameters
    ----------
    root : path-like
        The folder that holds ``catalog.parquet``.
    """

    def __init__(self, root: str | os.PathLike):
        self.root = Path(root)

    def read_bytes(self, path: str) -> bytes:
        """Return the content of a file of the store.

        Raises
        ------
        BidsmillError
            If it is absent or cannot be read.
        """
        local = self.local_path(path)
        try:
            return local.read_bytes()
        except OSError as error:
            raise BidsmillError(
                "a file of the store cannot be read", file=local, found=error.strerror
            ) from None

    def local_path(self, path: str) -> Path:
        """Return where a file of the store is on this machine.

        Raises
        ------
        BidsmillError
            If it is absent, or if its name would leave the store.
        """
        local = files.inside(self.root, path)
        if not local.is_file():
            raise BidsmillError(
                "a file of the store is missing",
                file=local,
                todo="copy the store again, or publish the dataset again",
            )
        return local

    def __str__(self) -> str:
        return str(self.root)


def locate(address: str | os.PathLike) -> LocalFiles:
    """Return the files of the store at an address.

    Parameters
    ----------
    address : path-like
        A folder, or a ``file://`` URL of one.

    Raises
    ------
    BidsmillError
        If there is no store at this address.
    """
    text = os.fspath(address)
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]+)://", text)
    if scheme and scheme[1].lower() == "file":
        text = unquote(text[len(scheme[0]) :])
    elif scheme:
        raise BidsmillError(
            f"stores at {scheme[1]}:// are not supported by this version yet",
            found=text,
            expected="a folder of this machine",
            todo="copy the store to a disk and open that folder",
        )
    root = Path(text).expanduser()
    if not (root / CATALOG).is_file():
        raise _no_store(root)
    return LocalFiles(root)


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
    return BidsmillError(
        "this folder is not a store",
        file=root,
        expected=f"a file {CATALOG} in it",
        todo=f"open {stores[0]}" if stores else "check the path of the store",
    )


def verified_path(store_files: StoreFiles, entry: dict[str, Any]) -> Path:
    """Return the local path of a file after comparing it with its manifest entry.

    Parameters
    ----------
    store_files : StoreFiles
        The files of the store.
    entry : dict
        ``path``, ``size`` (bytes) and ``sha256`` of the file.

    Raises
    ------
    BidsmillError
        If the file is absent, or its size or sha256 is another one.
    """
    local = store_files.local_path(entry["path"])
    todo = "the store is damaged: copy this file again, or publish the dataset again"
    size = local.stat().st_size
    if size != entry["size"]:
        raise BidsmillError(
            "a file of the store has another size than its manifest says",
            file=local,
            found=f"{size} bytes",
            expected=f"{entry['size']} bytes",
            todo=todo,
        )
    sha256 = files.sha256_file(local)
    if sha256 != entry["sha256"]:
        raise BidsmillError(
            "a file of the store has another content than its manifest says",
            file=local,
            found=f"sha256 {sha256}",
            expected=f"sha256 {entry['sha256']}",
            todo=todo,
        )
    return local
