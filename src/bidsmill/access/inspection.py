"""The whole store looked at: every file of every version against what its manifest states."""

from __future__ import annotations

import hashlib
import io
import itertools
import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bidsmill.access.cache.location import StoreReader
from bidsmill.access.names import unknown
from bidsmill.errors import BidsmillError
from bidsmill.formats import tables
from bidsmill.formats.manifest import (
    CATALOG,
    CONTRACT,
    check_manifest,
    manifest_path,
    pointer_path,
    version_of,
)
from bidsmill.formats.seal import INDEX, catalogue_of, is_catalogue_page
from bidsmill.storage.contract import NoPermission, NotStored, Stored, Unreachable

if TYPE_CHECKING:
    from bidsmill.storage.contract import Progress, Storage

# One request of a bucket, and what a thread holds in memory.
PIECE_BYTES = 8 * 2**20
WORKERS = 8
MISSING, DAMAGED, CATALOGUE = "missing", "damaged", "catalogue"
# Publishing writes the page after the catalogue, in less time than this.
PAGE_LOOKS, PAGE_PAUSE = 3, 0.5


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong with a store.

    Attributes
    ----------
    kind : str
        ``missing``, ``damaged`` (another size or content, or not readable) or ``catalogue``.
    dataset, path : str
        Whose file, and which.
    message : str
        What was found.
    """

    kind: str
    dataset: str
    path: str
    message: str


@dataclass
class Inspected:
    """What was looked at in one dataset, and what is wrong.

    Attributes
    ----------
    dataset : str
        Its id.
    versions, files, bytes : int
        Of all versions that were looked at; a file that several versions share counts once.
    faults : list of Fault
        Sorted by path.
    unlisted : list of Stored
        Files that no version names, sorted by path.
    latest : str
        The version that the pointer names; '' where it cannot be read.
    """

    dataset: str
    versions: int = 0
    files: int = 0
    bytes: int = 0
    faults: list[Fault] = field(default_factory=list)
    unlisted: list[Stored] = field(default_factory=list)
    latest: str = ""

    def add(self, kind: str, path: str, message: str) -> None:
        """Note a fault."""
        self.faults.append(Fault(kind, self.dataset, path, message))


class Inspection:
    """How a store is looked at.

    Parameters
    ----------
    storage : Storage
        Where the store is.
    latest : bool
        Look at the latest versions only; what no version names is then not looked for.
    sizes : bool
        Compare sizes only, by listing the store; no file but the manifests is read.
    workers : int
        Files that are read at once. Each holds one piece of at most 8 MB in memory.
    progress : callable, optional
        Called with the bytes that were read since its last call, by many threads.
    """

    def __init__(
        self,
        storage: Storage,
        *,
        latest: bool = False,
        sizes: bool = False,
        workers: int = WORKERS,
        progress: Progress | None = None,
    ):
        self.storage = storage
        self.latest = latest
        self.sizes = sizes
        self.workers = workers
        self.progress: Callable[[int], None] = progress or (lambda count: None)
        self._ended = threading.Event()

    def run(self, datasets: Sequence[str] = ()) -> Iterator[Inspected]:
        """Look at datasets, one after the other.

        Parameters
        ----------
        datasets : sequence of str
            Ids; all of the store if empty.

        Raises
        ------
        BidsmillError
            If there is no store, no such dataset, or the store cannot be reached.
        """
        catalog, problem = self._catalog()
        if datasets:
            self._refuse_unknown(datasets, catalog)
            wanted = sorted(set(datasets))
            groups: Iterator[tuple[str, dict[str, Stored]]] = (
                (dataset, self._files_of(dataset)) for dataset in wanted
            )
        else:
            wanted, groups = sorted(catalog or ()), self._listed()
        seen: set[str] = set()
        for dataset, stored in groups:
            found = self._inspect(dataset, stored, catalog)
            if catalog is None and not seen:
                found.add(problem, CATALOG, "is not there" if problem == MISSING else "is no table")
            if not datasets and catalog is not None and not seen:
                self._check_page(found)
            seen.add(dataset)
            yield found
        for dataset in wanted:
            if dataset not in seen:  # in the catalogue, and without any file
                yield self._inspect(dataset, {}, catalog)
        if not seen and catalog is None:
            StoreReader(self.storage).read(CATALOG)  # says what is there instead

    def _catalog(self) -> tuple[dict[str, str] | None, str]:
        """Return dataset -> version by the catalogue, or None and whether it is there."""
        try:
            content = self.storage.read(CATALOG)
        except NotStored:
            return None, MISSING
        try:
            frame = tables.read_parquet(io.BytesIO(content))
            return dict(zip(frame["dataset"], frame["version"], strict=True)), ""
        except (BidsmillError, KeyError):
            return None, DAMAGED

    def _check_page(self, found: Inspected) -> None:
        """Compare the catalogue page with the catalogue; a store may do without one."""
        for look in range(PAGE_LOOKS):
            try:
                page = self.storage.read(INDEX)
                catalogue = hashlib.sha256(self.storage.read(CATALOG)).hexdigest()
            except (NotStored, NoPermission):
                return
            if not is_catalogue_page(page):
                return  # of somebody else
            made_of = catalogue_of(page)
            if made_of == catalogue:
                return
            if look + 1 < PAGE_LOOKS:
                time.sleep(PAGE_PAUSE)  # somebody may be publishing: the page comes last
        todo = "bidsmill catalogue makes it anew"
        if made_of is None:
            found.add(DAMAGED, INDEX, f"is not the page that was written; {todo}")
        else:
            found.add(CATALOGUE, INDEX, f"is of another {CATALOG}; {todo}")

    def _listed(self) -> Iterator[tuple[str, dict[str, Stored]]]:
        """Give every dataset of the store with its files. One dataset is held in memory."""
        every = self.storage.stored("datasets/")
        for dataset, stored in itertools.groupby(every, key=lambda one: one.path.split("/")[1]):
            yield dataset, {one.path: one for one in stored}

    def _files_of(self, dataset: str) -> dict[str, Stored]:
        return {one.path: one for one in self.storage.stored(f"datasets/{dataset}/")}

    def _refuse_unknown(self, datasets: Iterable[str], catalog: dict[str, str] | None) -> None:
        for name in datasets:
            known = list(catalog or ())
            if name not in known and self.storage.stat(pointer_path(name)) is None:
                raise unknown("no such dataset in this store", name, known, file=self.storage)

    def _inspect(
        self, dataset: str, stored: dict[str, Stored], catalog: dict[str, str] | None
    ) -> Inspected:
        found = Inspected(dataset)
        if pointer_path(dataset) not in stored and dataset not in (catalog or ()):
            # Of a first publish that is at work or was killed: nobody can read it yet.
            found.unlisted = [] if self.latest else list(stored.values())
            return found
        entries, known = self._entries(found)
        self._check(found, entries, stored)
        if not self.latest:
            found.unlisted = [one for path, one in stored.items() if path not in known]
        if catalog is not None and found.latest and catalog.get(dataset) != found.latest:
            # Somebody may have published since the catalogue was read.
            current = (self._catalog()[0] or {}).get(dataset)
            pointer = self._read(found, pointer_path(dataset))
            if pointer is not None and current != json.loads(pointer).get("version"):
                said = f"names version {current}" if current else "lacks the dataset"
                found.add(CATALOGUE, CATALOG, f"{said}, latest.json names {found.latest}")
        found.faults.sort(key=lambda fault: (fault.path, fault.kind))
        return found

    def _entries(self, found: Inspected) -> tuple[dict[str, dict[str, Any]], set[str]]:
        """Return the entries of all manifests by path, and every path that belongs there."""
        pointer_file = pointer_path(found.dataset)
        known, entries = {pointer_file}, {}
        for version in self._versions(found):
            path = manifest_path(found.dataset, version)
            known.add(path)
            manifest = self._manifest(found, version, path)
            if manifest is not None:
                found.versions += 1
                for entry in manifest["files"]:
                    entries[entry["path"]] = entry
        return entries, known | set(entries)

    def _versions(self, found: Inspected) -> list[str]:
        path = pointer_path(found.dataset)
        content = self._read(found, path)
        if content is None:
            return []
        try:
            pointer = json.loads(content)
            if pointer["contract"] != CONTRACT:
                raise ValueError(f"contract {pointer['contract']}")
            found.latest = pointer["version"]
            history = [entry["version"] for entry in pointer["history"]]
        except (ValueError, KeyError, TypeError) as error:
            found.add(DAMAGED, path, f"is no pointer of contract {CONTRACT}: {error!r}")
            return []
        newest_first = dict.fromkeys([found.latest, *reversed(history)])
        return [found.latest] if self.latest else list(newest_first)

    def _manifest(self, found: Inspected, version: str, path: str) -> dict[str, Any] | None:
        content = self._read(found, path)
        if content is None:
            return None
        try:
            manifest = check_manifest(json.loads(content), path)
            stated = version_of(manifest["snapshot"], content)
            complete = all({"size", "sha256"} <= set(entry) for entry in manifest["files"])
        except (BidsmillError, ValueError, KeyError) as error:
            what = error.what if isinstance(error, BidsmillError) else "it is no JSON"
            found.add(DAMAGED, path, what)
            return None
        if stated != version or not complete:
            found.add(DAMAGED, path, f"its content is that of {stated}")
            return None
        return manifest

    def _read(self, found: Inspected, path: str) -> bytes | None:
        """Return a small file, or None after noting what is wrong."""
        try:
            return self.storage.read(path)
        except NotStored:
            found.add(MISSING, path, "is not there")
        except (Unreachable, NoPermission):
            raise
        except BidsmillError as error:
            found.add(DAMAGED, path, f"cannot be read: {error.found or error.what}")
        return None

    def _check(
        self, found: Inspected, entries: dict[str, dict[str, Any]], stored: dict[str, Stored]
    ) -> None:
        """Compare files with their entries, several at once."""
        found.files = len(entries)
        found.bytes = sum(entry["size"] for entry in entries.values())
        self._ended.clear()
        with ThreadPoolExecutor(self.workers) as pool:
            checks = [
                pool.submit(self._problem, entry, stored.get(path))
                for path, entry in sorted(entries.items())
            ]
            try:
                for path, check in zip(sorted(entries), checks, strict=True):
                    problem = check.result()
                    if problem:
                        found.add(problem[0], path, problem[1])
            except BaseException:
                self._ended.set()
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def _problem(self, entry: dict[str, Any], stored: Stored | None) -> tuple[str, str] | None:
        """Return what is wrong with one file."""
        if stored is None:  # published since the store was listed, or missing
            stored = self.storage.stat(entry["path"])
        if stored is None:
            return MISSING, "is not there"
        if stored.size != entry["size"]:
            return DAMAGED, f"{stored.size} bytes in the place of {entry['size']}"
        if self.sizes:
            return None
        try:
            sha256 = self._sha256(entry["path"], entry["size"])
        except NotStored:
            return MISSING, "is not there"
        except (Unreachable, NoPermission):
            raise
        except BidsmillError as error:
            return DAMAGED, f"cannot be read: {error.found or error.what}"
        if sha256 != entry["sha256"]:
            return DAMAGED, f"sha256 {sha256} in the place of {entry['sha256']}"
        return None

    def _sha256(self, path: str, size: int) -> str:
        """Return the sha256 of what is stored, read in pieces."""
        total = hashlib.sha256()
        for start in range(0, size, PIECE_BYTES):
            if self._ended.is_set():
                break
            piece = self.storage.read_range(path, start, min(start + PIECE_BYTES, size))
            total.update(piece)
            self.progress(len(piece))
        return total.hexdigest()
