"""The continuous signals of a dataset: streams, and the epocs on the same clock."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bidsmill.access.cache.streams import mapped_stream
from bidsmill.access.names import listed, unknown
from bidsmill.errors import BidsmillError
from bidsmill.formats.epocs import Epocs, read_epocs
from bidsmill.formats.manifest import DAMAGED_STORE
from bidsmill.formats.stream import StreamFile

if TYPE_CHECKING:
    import numpy as np

    from bidsmill.access.cache.cache import Cache
    from bidsmill.access.cache.location import StoreReader
    from bidsmill.access.dataset import Dataset

RAW = ""
STREAM, EPOCS = "stream", "epocs"


class StoredStream(StreamFile):
    """A stream of a store; see `StreamFile`. Made by ``dataset.stream(recording)``.

    Parameters
    ----------
    path : path-like
        The file, in place or in the cache.
    entry : dict
        The manifest's entry of the stream.
    cache : Cache
        Holds its Arrow file (`mapped`).
    events : dict, optional
        The manifest's entry of the recording's epocs.
    """

    def __init__(
        self,
        path: str | os.PathLike,
        entry: dict[str, Any],
        cache: Cache,
        events: dict[str, Any] | None = None,
    ):
        super().__init__(path, entry["sha256"])
        self._entry, self._cache, self._events = entry, cache, events
        stated = entry.get("core_sha256")
        if stated is not None and self.core.sha256() != stated:
            raise BidsmillError(
                "the core of a stream is not the one that its manifest names",
                file=path,
                found=f"sha256 {self.core.sha256()}",
                expected=f"sha256 {stated}",
                todo=DAMAGED_STORE,
            )

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.path, self._entry, self._cache, self._events)

    @property
    def epocs(self) -> Epocs | None:
        """Return the events of the recording, or None where the dataset has none."""
        if self._events is None:
            return None
        found = _read_epocs(self._cache.reader, self._events)
        found.check_clock(self.core)
        return found

    def mapped(self, path: str | os.PathLike | None = None) -> np.ndarray:
        """Return the stream as a memory map of an Arrow file, by default in the cache.

        See `StreamFile.mapped`.
        """
        return mapped_stream(self._cache, self) if path is None else super().mapped(path)

    def to_mne(self, epocs: Epocs | None = None) -> Any:
        """Return the stream as an MNE Raw; the epocs of the recording become its annotations.

        See `StreamFile.to_mne`.
        """
        return super().to_mne(self.epocs if epocs is None else epocs)


def open_stream(dataset: Dataset, recording: str, node: str | None) -> StoredStream:
    """Return a stream of a dataset; see `Dataset.stream`."""
    entry = _entry(dataset, STREAM, recording, node)
    events = _entries(dataset, EPOCS).get((entry["recording"], RAW))
    return StoredStream(_local_path(dataset, entry), entry, dataset.cache, events)


def open_epocs(dataset: Dataset, recording: str, node: str | None) -> Epocs:
    """Return epocs of a dataset; see `Dataset.epocs`."""
    return _read_epocs(dataset.store_files, _entry(dataset, EPOCS, recording, node))


def streams_of(dataset: Dataset, kind: str = STREAM) -> dict[str, list[str]]:
    """Return recording -> the nodes of its streams, or epocs; see `Dataset.streams`."""
    result: dict[str, list[str]] = {}
    for recording, node in _entries(dataset, kind):
        result.setdefault(recording, []).append(node)
    return {recording: sorted(nodes) for recording, nodes in sorted(result.items())}


def _entries(dataset: Dataset, kind: str) -> dict[tuple[str, str], dict[str, Any]]:
    """Return (recording, node) -> the manifest's entry of the data file."""
    return {
        (entry["recording"], entry.get("node") or RAW): entry
        for entry in dataset.manifest["files"]
        if entry["kind"] == kind and entry["name"].endswith(".parquet")
    }


def _entry(dataset: Dataset, kind: str, recording: str, node: str | None) -> dict[str, Any]:
    found = _entries(dataset, kind)
    if not found:
        raise BidsmillError(
            f"this version of {dataset.id} has no {'streams' if kind == STREAM else 'epocs'}",
            found=f"version {dataset.version}",
            todo=f"name streams in the config (datasets, {dataset.id}, streams) and publish again",
        )
    # Definitions of nodes call the recorded signal so, and no node can have the name.
    wanted = RAW if node is None or node == "raw" else node
    if (recording, wanted) in found:
        return found[recording, wanted]
    recordings = sorted({name for name, _ in found})
    if recording not in recordings:
        raise unknown(f"{dataset.id} has no {kind} of this recording", recording, recordings)
    nodes = sorted(name or "raw" for owner, name in found if owner == recording)
    raise BidsmillError(
        f"the recording has no {kind} of this node",
        file=recording,
        found=repr(node),
        expected=f"one of: {listed(nodes)}",
    )


def _local_path(dataset: Dataset, entry: dict[str, Any]) -> Path:
    reader = dataset.store_files
    if reader.remote and reader.copies.whole(entry) is None and not reader.offline:
        dataset.cache.budget.make_room(entry["size"])
    return reader.paged_path(entry)


def _read_epocs(reader: StoreReader, entry: dict[str, Any]) -> Epocs:
    return read_epocs(reader.verified_path(entry))
