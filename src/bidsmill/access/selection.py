"""A selection: some rows and channels of a dataset, ready to be read."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from bidsmill.access.columns import SelectedColumns
from bidsmill.access.conditions import in_recordings, in_split, of_entities, tagged
from bidsmill.access.describe import selection_text
from bidsmill.access.gather import Rows
from bidsmill.access.reading import Readable
from bidsmill.access.targets import Target, find_target
from bidsmill.access.view import View, check_names, stacked_view
from bidsmill.access.where import matching_rows, why_none
from bidsmill.errors import BidsmillError

if TYPE_CHECKING:
    import pandas as pd

    from bidsmill.access.dataset import Dataset


class Selection(Readable):
    """Some rows and channels of a dataset. It never changes: `select` makes a new one.

    `Readable` says how it is read: as arrays, batches, a stream, tables, epochs.

    Parameters
    ----------
    dataset : Dataset
        The dataset.
    positions : array of int
        Rows of ``dataset.samples``, in their order.
    channels : str, tuple of str or None
        Which channels (see `select`).
    """

    def __init__(
        self,
        dataset: Dataset,
        positions: Sequence[int] | np.ndarray,
        channels: str | tuple[str, ...] | None,
    ):
        self.dataset = dataset
        self._positions = np.asarray(positions, np.intp)
        self._positions.flags.writeable = False
        self._request = channels

    def select(
        self,
        split: str | Sequence[str] | None = None,
        where: str | None = None,
        hed: str | None = None,
        channels: str | Sequence[str] | None = None,
        recordings: str | Sequence[str] | None = None,
        excluded: bool = True,
        **entities: Any,
    ) -> Selection:
        """Return those rows of this selection that fulfil all conditions.

        Parameters
        ----------
        split : str or list of str, optional
            ``train``, ``validation``, ``test`` or ``none``.
        where : str, optional
            An expression over the columns of samples, such as
            ``task == 'faces' and participant_age > 30 and subject in ['01', '02']``
            (see `bidsmill.access.where.matching_rows`). A warning names the nearest values where
            no row has the one that is compared.
        hed : str, optional
            A HED query over the column ``HED``, such as ``"Face"``. Needs hedtools.
        channels : str or list of str, optional
            Names of columns, or as in the source file; ``"common"``: what all layouts of the
            selection share; ``"union"``: what any of them has, NaN where a recording lacks it;
            a type, such as ``"eeg"``. Replaces an earlier choice.
        recordings : str or list of str, optional
            BIDS stems.
        excluded : bool
            False hides the rows that have a quality reason. Rows hidden before stay hidden.
            Their measures are columns: ``where="quality_flat < 0.1"``.
        **entities
            ``subject``, ``session``, ``task``, ``acquisition``, ``run``, ``processing`` or
            ``datatype``: a value, or a list of them, without prefix, such as ``subject="01"``. A
            number stands for itself with any leading zeros.

        Raises
        ------
        BidsmillError
            If a name is unknown, an expression cannot be read, or a library is missing.
        """
        keep = of_entities(self.dataset, self.table, entities)
        if split is not None:
            keep &= in_split(self.dataset, self.table, split)
        if recordings is not None:
            keep &= in_recordings(self.dataset, self.table, recordings)
        if not excluded:
            keep &= (self.table["excluded"] == "").to_numpy(bool)
        if where is not None:
            keep &= self._where(where)
        if hed is not None:
            keep[keep] = tagged(self.dataset, self._kept(keep).table, hed)
        chosen = self._kept(keep)
        if channels is not None:
            chosen._request = channels if isinstance(channels, str) else tuple(map(str, channels))
            if len(chosen):
                check_names(chosen._layouts, chosen._request, chosen._all_source_names)
        return chosen

    def labelled(self, *targets: str) -> Selection:
        """Return the rows that have a value of every target."""
        keep = np.ones(len(self), bool)
        for name in targets:
            keep &= self.target(name).present(self.table)
        return self._kept(keep)

    def _where(self, expression: str) -> np.ndarray:
        found = matching_rows(self.table, expression)
        if len(found) and not found.any() and (reason := why_none(self.table, expression)):
            warnings.warn(f"no row fulfils where={expression!r}: {reason}", stacklevel=3)
        return found

    def _kept(self, keep: np.ndarray) -> Selection:
        return Selection(self.dataset, self._positions[keep], self._request)

    def __len__(self) -> int:
        return len(self._positions)

    def __repr__(self) -> str:
        return selection_text(self)

    @property
    def samples(self) -> pd.DataFrame:
        """Return the table of these rows: row i is ``X[i]`` of `arrays` without a target."""
        return self.table.frame()

    @property
    def channels(self) -> list[str]:
        """Return the names of the channels of a stacked row."""
        return list(self.view.names)

    @property
    def sfreq(self) -> float:
        """Return the sampling rate in Hz."""
        return self.view.sfreq

    @property
    def times(self) -> np.ndarray:
        """Return the time of each sample of a row in s, relative to its event."""
        return self.view.times

    @property
    def mask(self) -> np.ndarray:
        """Return which channels are there: bool (samples, channels), False where X is NaN."""
        columns = self.view.columns
        by_file = [_there(columns[name], len(self.view.names)) for name in self._layout_of]
        return np.array(by_file, bool)[self.file_index]

    def classes(self, target: str) -> list[str]:
        """Return the classes of a target in the order of their codes.

        Those of a label stand in the manifest; those of another column are its distinct values
        in the whole dataset, sorted.

        Raises
        ------
        BidsmillError
            If the target is unknown or holds numbers.
        """
        found = self.target(target)
        if found.classes is None:
            raise BidsmillError(f"{target!r} holds numbers and has no classes")
        return list(found.classes)

    def by_layout(self) -> dict[str, Selection]:
        """Return layout id -> the rows of this layout, which can be stacked.

        A layout is a montage (channels in their order, types, units) with a sampling rate and a
        length of the rows; `Dataset.layouts` describes each.
        """
        column = self.table["layout"]
        return {
            str(name): Selection(
                self.dataset, self._positions[(column == name).to_numpy(bool)], self._request
            )
            for name in column.drop_duplicates().tolist()
        }

    @cached_property
    def view(self) -> View:
        """Return what a stacked row looks like.

        Raises
        ------
        BidsmillError
            If no row is selected, or the recordings cannot be stacked.
        """
        if not len(self):
            raise BidsmillError(
                "no row is selected",
                todo="loosen split, where, hed or the target; ds.describe() shows what there is",
            )
        return stacked_view(
            self._layouts, self._layout_of, self._request, self.dataset.source_names
        )

    def sources(self, amplitudes: bool = False) -> np.ndarray:
        """Read the sources behind rows of simulated spikes, with all regions of the cortex.

        Parameters
        ----------
        amplitudes : bool
            As they were simulated (mV), instead of within -1 and 1.

        Returns
        -------
        ndarray of float32, shape (samples, times, regions)
            In the order of `samples`; 2 MB for a row of 500 times and 994 regions.

        Raises
        ------
        BidsmillError
            If no row is selected, or the dataset holds no sources.
        """
        from bidsmill.access.sources import dense_sources

        return dense_sources(self, amplitudes)

    def rows(self) -> Rows:
        """Return the reader of these rows, which has no more than it needs to read them."""
        view, matrices = self.view, self.dataset.matrices
        return Rows(
            self.dataset.cache,
            [matrices[recording] for recording in self._layout_of],
            self.file_index,
            self.table["row"].to_numpy(np.intp),
            [view.columns[recording] for recording in self._layout_of],
            (len(view.names), view.n_times),
        )

    @cached_property
    def table(self) -> SelectedColumns:
        """Return the columns of these rows, each taken when it is asked for."""
        return SelectedColumns(self.dataset.table, self._positions)

    @cached_property
    def _factors(self) -> tuple[np.ndarray, list[str]]:
        import pandas as pd

        codes, names = pd.factorize(self.table["recording"])
        return codes, [str(name) for name in names]

    @property
    def recordings(self) -> list[str]:
        """Return the recordings of these rows, in the order of the rows."""
        return list(self._layout_of)

    @property
    def file_index(self) -> np.ndarray:
        """Return for each row the place of its recording in `recordings`."""
        return self._factors[0]

    def matrix_entries(self) -> list[dict[str, Any]]:
        """Return the manifest's entry of the matrix of each recording, in the order of the rows.

        Raises
        ------
        BidsmillError
            If a row belongs to a recording that has none.
        """
        matrices = self.dataset.matrices
        missing = [name for name in self._factors[1] if name not in matrices]
        if missing:
            raise BidsmillError(
                f"samples of {self.dataset.id} name a recording without a matrix",
                found=repr(missing[0]),
                todo="the store is damaged: publish the dataset again",
            )
        return [matrices[name] for name in self._factors[1]]

    @cached_property
    def _layout_of(self) -> dict[str, str]:
        """Return recording -> layout id, in the order of the rows."""
        names = self._factors[1]
        return {n: entry["layout"] for n, entry in zip(names, self.matrix_entries(), strict=True)}

    @cached_property
    def _layouts(self) -> dict[str, dict[str, Any]]:
        used = dict.fromkeys(self._layout_of.values())
        return {layout_id: self.dataset.layouts[layout_id] for layout_id in used}

    def _all_source_names(self) -> set[str]:
        return {
            source
            for recording in self._layout_of
            for _, source in self.dataset.source_names(recording)
        }

    def target(self, name: str) -> Target:
        """Return a target by its name: a label, or a column of samples."""
        return find_target(name, self.dataset.labels, self.dataset.table)


def _there(columns: np.ndarray | None, n_channels: int) -> np.ndarray:
    return np.ones(n_channels, bool) if columns is None else columns >= 0
