"""A store of datasets, open for reading."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from bidsmill.access.cache.cache import Cache
from bidsmill.access.cache.location import NO_CATALOG, StoreReader, locate
from bidsmill.access.dataset import Dataset
from bidsmill.access.names import listed, unknown
from bidsmill.access.search.search import Conditions, Searcher
from bidsmill.errors import BidsmillError
from bidsmill.formats import tables
from bidsmill.formats.manifest import (
    CATALOG,
    check_manifest,
    manifest_path,
    pointer_path,
    read_pointer,
    version_of,
)

if TYPE_CHECKING:
    import pandas as pd


class Store:
    """A store of datasets.

    Parameters
    ----------
    address : path-like
        A folder, a ``file://`` URL of one, or ``s3://bucket/prefix``.
    cache : path-like, optional
        The cache folder (see `bidsmill.open`).
    cache_size : int or str, optional
        What the cache may hold, such as ``"200GB"``.
    offline : bool
        Never touch the network.
    **connection
        Of a bucket: ``endpoint``, ``profile``, ``anonymous``.

    Raises
    ------
    BidsmillError
        If there is no store at this address, or it cannot be reached.

    Notes
    -----
    Only the catalogue is read. A dataset's pointer and manifest are read when it is asked for.
    """

    def __init__(
        self,
        address: str | os.PathLike,
        *,
        cache: str | os.PathLike | None = None,
        cache_size: int | str | None = None,
        offline: bool = False,
        **connection: Any,
    ):
        given = {name: value for name, value in connection.items() if value is not None}
        self.files = locate(address, cache=cache, offline=offline, **given)
        self.cache = Cache(self.files, cache, budget=cache_size)
        self._catalog = _read_catalog(self.files)
        self._rows = {name: row for row, name in enumerate(self._catalog["dataset"].tolist())}

    @property
    def catalog(self) -> pd.DataFrame:
        """Return the table of all datasets: latest version, counts, licence, tasks, labels."""
        return self._catalog.copy(deep=False)

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._catalog)

    def __contains__(self, name: object) -> bool:
        if not isinstance(name, str):
            return False
        dataset, _, wanted = name.partition("@")
        if dataset not in self._rows:
            return False
        return not wanted or _choose_version(self._pointer(dataset), wanted) is not None

    def __getitem__(self, name: str) -> Dataset:
        """Return a dataset.

        Parameters
        ----------
        name : str
            ``id`` (the latest version), ``id@snapshot`` (the newest build of that snapshot) or
            ``id@version``.

        Raises
        ------
        BidsmillError
            If the store has no such dataset, snapshot or version.
        """
        dataset, version = self.resolve(name)
        return Dataset(self.files, self.cache, version, self._manifest(dataset, version))

    def resolve(self, name: str) -> tuple[str, str]:
        """Return the id and the version that a name means (see `__getitem__`).

        Raises
        ------
        BidsmillError
            If the store has no such dataset, snapshot or version.
        """
        dataset, _, wanted = str(name).partition("@")
        if dataset not in self._rows:
            raise unknown("no such dataset in this store", dataset, self, file=self.files)
        pointer = self._pointer(dataset)
        version = _choose_version(pointer, wanted)
        if version is None:
            history = pointer["history"]
            known = [entry["version"] for entry in history]
            snapshots = dict.fromkeys(entry["snapshot"] for entry in history)
            raise unknown(
                f"dataset {dataset} has no snapshot or version of this name",
                wanted,
                [*snapshots, *known],
            )
        return dataset, version

    def pull(
        self, name: str, *, progress: bool | Callable[[int], None] = True, **conditions: Any
    ) -> None:
        """Fetch a dataset, or a part of it, into the cache; see `Selection.pull`.

        Parameters
        ----------
        name : str
            As for ``store[name]``.
        progress : bool or callable
            As for `Selection.pull`.
        **conditions
            As for `Dataset.select`; excluded rows are fetched, too, unless ``excluded=False``.

        Raises
        ------
        BidsmillError
            If a name is unknown, or a file is missing or damaged.
        """
        self[name].select(**{"excluded": True, **conditions}).pull(progress)

    def search(
        self,
        hed: str | None = None,
        where: str | None = None,
        *,
        by: str = "recording",
        datasets: str | Sequence[str] | None = None,
        context: bool = False,
        proposed: bool = False,
        excluded: bool = False,
    ) -> pd.DataFrame:
        """Count the events and rows that fulfil all conditions, without touching a signal.

        The first search of a dataset version makes an index in the cache folder; from then on
        every distinct HED string is evaluated once.

        Parameters
        ----------
        hed : str, optional
            A HED query, such as ``"Sensory-event and Visual-presentation"`` (see
            `bidsmill.formats.hed_strings.search`). Each dataset is searched with its own
            version of HED. Needs hedtools.
        where : str, optional
            An expression over the columns of recordings (``sfreq``, ``n_channels``, ``task``),
            participants (``participant_age``) and events (``trial_type``), such as
            ``"sfreq >= 250 and n_channels >= 32"``. Where recordings and events both have a
            column, that of the events is ``event_duration``, ``event_reason``.
        by : {"recording", "task", "dataset"}
            What a row of the result is.
        datasets : str or list of str, optional
            Only these, named as for ``store[...]``.
        context : bool
            Search the HED of an event and its ``HED_context`` together.
        proposed : bool
            Search HED that is only proposed, too.
        excluded : bool
            Count the rows that have a quality reason, too.

        Returns
        -------
        DataFrame
            ``events``: how many events match, used or dropped; ``rows``: how many rows of
            samples. One row per recording, or task of a dataset, with a match; by dataset one
            row for every dataset that was searched. ``attrs``: ``searched`` (datasets),
            ``without_hed`` and ``skipped`` (dataset -> reason: it does not know a tag of the
            query, or a column).

        Raises
        ------
        BidsmillError
            If the query or the expression cannot be read, or no dataset knows one of their
            names.
        """
        conditions = Conditions(hed, where, context, proposed, excluded)
        return self._searcher.search(conditions, by, datasets)

    @cached_property
    def _searcher(self) -> Searcher:
        return Searcher(self)

    def _pointer(self, dataset: str) -> dict[str, Any]:
        path = pointer_path(dataset)
        return read_pointer(self.files.read(path), path)

    def _manifest(self, dataset: str, version: str) -> dict[str, Any]:
        """Read a manifest, and check it against its own name."""
        path = manifest_path(dataset, version)
        content = self.files.read_immutable(path)
        manifest = check_manifest(_document(content, path), path)
        found = version_of(manifest["snapshot"], content)
        if found != version:
            raise BidsmillError(
                "a manifest is not the one that its name states",
                file=path,
                found=found,
                expected=version,
                todo="the store is damaged: copy this file again",
            )
        return manifest

    def __repr__(self) -> str:
        names = list(self)
        lines = [f"bidsmill store at {self.files}: {len(names)} datasets", f"  {listed(names)}"]
        if names:
            lines.append(f'  store["{names[0]}"] opens one; store.catalog is the table of all')
        return "\n".join(lines)


def _read_catalog(files: StoreReader) -> pd.DataFrame:
    """Return the table of all datasets.

    Raises
    ------
    BidsmillError
        If it is absent or damaged.
    """
    name = f"{str(files).rstrip('/')}/{CATALOG}"
    found: object = "no column dataset"
    content = files.read(CATALOG)
    try:
        catalog = tables.read_parquet(io.BytesIO(content), name=name)
        if "dataset" in catalog.columns:
            return catalog
    except BidsmillError as error:
        found = error.found
    raise BidsmillError(
        "the catalogue of this store is damaged", file=name, found=found, todo=NO_CATALOG
    )


def _choose_version(pointer: dict[str, Any], wanted: str) -> str | None:
    """Return the version that is meant: by its own name, or the newest of a snapshot."""
    if not wanted:
        return pointer["version"]
    versions = [entry["version"] for entry in pointer["history"]]
    if wanted in versions:
        return wanted
    of_snapshot = [e["version"] for e in pointer["history"] if e["snapshot"] == wanted]
    return of_snapshot[-1] if of_snapshot else None


def _document(content: bytes, path: str) -> Any:
    try:
        return json.loads(content)
    except ValueError as error:
        raise BidsmillError("a file of the store is not JSON", file=path, found=error) from None
