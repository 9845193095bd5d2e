"""One version of one dataset: its tables, labels and layouts, and `select`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bidsmill.access.cache.cache import Cache
from bidsmill.access.cache.location import StoreReader
from bidsmill.access.columns import Columns
from bidsmill.access.describe import dataset_text
from bidsmill.access.selection import Selection
from bidsmill.access.targets import NUMBER, label_kinds
from bidsmill.access.text_tables import read_text_table
from bidsmill.errors import BidsmillError

if TYPE_CHECKING:
    import pandas as pd

    from bidsmill.access.streams import StoredStream
    from bidsmill.formats.anatomy import Anatomy
    from bidsmill.formats.epocs import Epocs
    from bidsmill.formats.leadfield import LeadField

# The columns of the tables of text that hold numbers (data contract, "Tables of a dataset").
NUMBERS = {
    "recordings": (
        "source_sfreq",
        "sfreq",
        "duration",
        "n_channels",
        "n_times",
        "rows",
        "events",
        "events_used",
    ),
    "events": ("onset", "duration", "sample", "row"),
    "channels": ("x", "y", "z"),
}


class Dataset:
    """One version of one dataset. Made by ``store["id"]``.

    Attributes
    ----------
    id : str
        The dataset's id.
    name : str
        Its name in words, or the id where it has none.
    version, snapshot : str
        The version in this store, and that of the archive.
    manifest : dict
        Every file with size and sha256, and the counts.
    """

    def __init__(
        self, store_files: StoreReader, cache: Cache, version: str, manifest: dict[str, Any]
    ):
        self.store_files = store_files
        self.cache = cache
        self.version = version
        self._paths: dict[str, Path] = {}
        self.manifest = manifest
        self.id: str = manifest["dataset"]
        self.snapshot: str = manifest["snapshot"]
        self.name: str = manifest.get("name") or self.id

    @property
    def samples(self) -> pd.DataFrame:
        """Return the table of samples: one row per window or epoch, excluded ones too.

        Of a dataset with millions of rows, ``select(...).samples`` is a smaller one, and
        ``table["subject"]`` a single column.
        """
        return self.table.frame()

    @property
    def recordings(self) -> pd.DataFrame:
        """Return the table of recordings: converted, repaired and quarantined, with reasons."""
        return self._recordings.copy(deep=False)

    @property
    def events(self) -> pd.DataFrame:
        """Return the table of all events, used and dropped."""
        return self._events.copy(deep=False)

    @property
    def channels(self) -> pd.DataFrame:
        """Return the table of all channels of all converted recordings."""
        return self._channels.copy(deep=False)

    @property
    def labels(self) -> dict[str, list[str] | str]:
        """Return label -> its classes, or ``"number"``."""
        return label_kinds(self.manifest)

    @property
    def layouts(self) -> dict[str, dict[str, Any]]:
        """Return layout id -> its channels, types, units, ``sfreq``, ``tmin``, ``n_times``."""
        return self.manifest["layouts"]

    @cached_property
    def matrices(self) -> dict[str, dict[str, Any]]:
        """Return recording -> the manifest's entry of its matrix."""
        entries = (entry for entry in self.manifest["files"] if entry["kind"] == "matrix")
        return {entry["recording"]: entry for entry in entries}

    def anatomy(self) -> Anatomy:
        """Return the cortex of a simulated dataset: regions, neighbours, distances, surface.

        Raises
        ------
        BidsmillError
            If this version has none.
        """
        from bidsmill.formats.anatomy import load_anatomy

        return load_anatomy(self._verified(self.table_entry("anatomy", "anatomy.npz")["path"]))

    def leadfield(self) -> LeadField:
        """Return the lead field of a simulated dataset: ``matrix`` (sensors, regions), channels.

        Raises
        ------
        BidsmillError
            If this version has none.
        """
        from bidsmill.formats.leadfield import read_leadfield

        return read_leadfield(self._verified(self.table_entry("anatomy", "leadfield.npz")["path"]))

    def select(
        self,
        split: str | Sequence[str] | None = None,
        where: str | None = None,
        hed: str | None = None,
        channels: str | Sequence[str] | None = None,
        recordings: str | Sequence[str] | None = None,
        excluded: bool = False,
        **entities: Any,
    ) -> Selection:
        """Return the rows that fulfil all conditions; see `Selection.select`.

        Parameters
        ----------
        split, where, hed, channels, recordings, **entities
            As for `Selection.select`.
        excluded : bool
            True gives the rows that have a quality reason, too.
        """
        every = Selection(self, np.arange(len(self.table)), None)
        return every.select(split, where, hed, channels, recordings, excluded, **entities)

    @property
    def streams(self) -> dict[str, list[str]]:
        """Return recording -> the nodes of its streams, ``""`` for the signal as recorded."""
        from bidsmill.access.streams import streams_of

        return streams_of(self)

    def stream(self, recording: str, node: str | None = None) -> StoredStream:
        """Return the continuous signal of a recording; no sample is read.

        Parameters
        ----------
        recording : str
            Its BIDS stem, such as ``sub-01_task-grip_emg``.
        node : str, optional
            A node that the pipeline made, such as ``env``; absent or ``raw``: as recorded.

        Returns
        -------
        bidsmill.access.streams.StoredStream
            ``.dask()`` is a lazy array (samples, channels), ``.numpy(start, stop, channels)`` a
            span of it (channels, samples), ``.mapped()`` all of it as a memory map, ``.to_mne()``
            a Raw with the events. Of a bucket the file is fetched into the cache first.

        Raises
        ------
        BidsmillError
            If this version has no such stream, or its file is missing or damaged.
        """
        from bidsmill.access.streams import open_stream

        return open_stream(self, recording, node)

    def epocs(self, recording: str, node: str | None = None) -> Epocs:
        """Return the events of a recording on the clock of its streams.

        Parameters
        ----------
        recording, node
            As for `stream`; a node that finds events, such as ``onsets``.

        Returns
        -------
        bidsmill.formats.epocs.Epocs
            Its ``table`` has onset and duration (s), onset_sample, code, value, label, HED,
            channel, and the further columns of events.tsv.

        Raises
        ------
        BidsmillError
            As for `stream`.
        """
        from bidsmill.access.streams import open_epocs

        return open_epocs(self, recording, node)

    def describe(self) -> str:
        """Return what is in the dataset, in words: counts, labels, splits, layouts."""
        return dataset_text(self)

    def __repr__(self) -> str:
        return self.describe()

    if not TYPE_CHECKING:  # a type checker would take any name for an attribute

        def __getattr__(self, name: str) -> Any:
            if not name.startswith("_") and callable(getattr(Selection, name, None)):
                raise AttributeError(
                    f"ds.select() gives the rows to read: ds.select().{name}()",
                    name=name,
                    obj=self,
                )
            # Says again what went wrong, also inside of a property.
            return object.__getattribute__(self, name)

    @cached_property
    def table(self) -> Columns:
        """Return the columns of samples, each read when it is asked for; text is categorical."""
        entry = self.table_entry("samples", "samples.parquet")
        numbers = [name for name, kind in self.labels.items() if kind == NUMBER]
        return Columns(partial(self._verified, entry["path"]), numbers)

    def _verified(self, path: str) -> Path:
        """Return a verified file of this version; it is compared with its sha256 once."""
        if path not in self._paths:
            entry = next(entry for entry in self.manifest["files"] if entry["path"] == path)
            self._paths[path] = self.store_files.verified_path(entry)
        return self._paths[path]

    @cached_property
    def _recordings(self) -> pd.DataFrame:
        return self._text_table("recordings")

    @cached_property
    def _events(self) -> pd.DataFrame:
        return self._text_table("events")

    @cached_property
    def _channels(self) -> pd.DataFrame:
        frame = self._text_table("channels")
        frame["kept"] = frame["kept"].str.lower() == "true"
        return frame

    @cached_property
    def channels_of(self) -> dict[str, pd.DataFrame]:
        """Return recording -> the channels in its matrix."""
        kept = self._channels[self._channels["kept"]]
        return dict(iter(kept.groupby("recording", sort=False)))

    def sources_path(self, recording: str) -> Path:
        """Return the verified file of the sources behind a simulated matrix.

        Raises
        ------
        BidsmillError
            If this version has none.
        """
        return self._verified(self.table_entry("sources", f"{recording}.parquet")["path"])

    def source_names(self, recording: str) -> list[tuple[str, str]]:
        """Return column name and source name of each channel in a recording's matrix."""
        frame = self.channels_of.get(recording)
        if frame is None:
            return []
        return list(zip(frame["name"], frame["source_name"], strict=True))

    def _text_table(self, kind: str) -> pd.DataFrame:
        import pandas as pd

        entry = self.table_entry(kind, f"{kind}.tsv")
        frame = read_text_table(self._verified(entry["path"]))
        for column in NUMBERS[kind]:
            if column in frame:
                frame[column] = pd.to_numeric(frame[column], errors="coerce")
        return frame

    def table_entry(self, kind: str, name: str) -> dict[str, Any]:
        """Return the manifest's entry of a table.

        Raises
        ------
        BidsmillError
            If this version has no such table.
        """
        for entry in self.manifest["files"]:
            if entry["kind"] == kind and entry["name"] == name:
                return entry
        raise BidsmillError(f"this version of {self.id} has no file {name}")
