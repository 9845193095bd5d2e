"""A selection: some rows and channels of a dataset, ready to be read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from bidsmill.access.conditions import in_recordings, in_split, tagged
from bidsmill.access.describe import selection_text
from bidsmill.access.extras import require
from bidsmill.access.gather import Rows
from bidsmill.access.targets import Target, find_target
from bidsmill.access.view import View, check_names, stacked_view
from bidsmill.access.where import matching_rows
from bidsmill.errors import BidsmillError

if TYPE_CHECKING:
    import pandas as pd

    from bidsmill.access.dataset import Dataset


class Selection:
    """Some rows and channels of a dataset. It never changes: `select` makes a new one.

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
    ) -> Selection:
        """Return those rows of this selection that fulfil all conditions.

        Parameters
        ----------
        split : str or list of str, optional
            ``train``, ``validation``, ``test`` or ``none``.
        where : str, optional
            An expression over the columns of samples, such as
            ``task == 'faces' and participant_age > 30 and subject in ['01', '02']``
            (see `bidsmill.access.where.matching_rows`).
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

        Raises
        ------
        BidsmillError
            If a name is unknown, an expression cannot be read, or a library is missing.
        """
        keep = np.ones(len(self), bool)
        frame = self._frame
        if split is not None:
            keep &= in_split(self.dataset, frame, split)
        if recordings is not None:
            keep &= in_recordings(self.dataset, frame, recordings)
        if not excluded:
            keep &= (frame["excluded"] == "").to_numpy(bool)
        if where is not None:
            keep &= matching_rows(frame, where)
        if hed is not None:
            keep[keep] = tagged(self.dataset, frame[keep], hed)
        request = self._request
        if channels is not None:
            request = channels if isinstance(channels, str) else tuple(map(str, channels))
        chosen = Selection(self.dataset, self._positions[keep], request)
        if channels is not None and len(chosen):
            check_names(chosen._layouts, request, chosen._all_source_names)
        return chosen

    def labelled(self, *targets: str) -> Selection:
        """Return the rows that have a value of every target."""
        keep = np.ones(len(self), bool)
        for name in targets:
            keep &= self._target(name).present(self._frame)
        return Selection(self.dataset, self._positions[keep], self._request)

    def __len__(self) -> int:
        return len(self._positions)

    def __repr__(self) -> str:
        return selection_text(self)

    @property
    def samples(self) -> pd.DataFrame:
        """Return the table of these rows: row i is ``X[i]`` of `arrays` without a target."""
        return self._frame.copy(deep=False)

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
        return np.array(by_file, bool)[self._file_index]

    def classes(self, target: str) -> list[str]:
        """Return the classes of a target in the order of their codes.

        Those of a label stand in the manifest; those of another column are its distinct values
        in the whole dataset, sorted.

        Raises
        ------
        BidsmillError
            If the target is unknown or holds numbers.
        """
        found = self._target(target)
        if found.classes is None:
            raise BidsmillError(f"{target!r} holds numbers and has no classes")
        return list(found.classes)

    def arrays(self, target: str | Sequence[str] | None = None) -> Any:
        """Read the rows into memory.

        Parameters
        ----------
        target : str or list of str, optional
            A label, or any column of samples. Rows without a value are left out, in X and y
            alike (`labelled` gives that selection).

        Returns
        -------
        X : ndarray of float32, shape (samples, channels, times)
            In SI units, in the order of `samples`.
        y : ndarray of str or float64, shape (samples,); or DataFrame for a list of targets
            Only with a target.

        Raises
        ------
        BidsmillError
            If no row is selected, the recordings cannot be stacked, or a file is damaged.
        """
        if target is None:
            return self.rows().all()
        names = [target] if isinstance(target, str) else list(target)
        chosen = self.labelled(*names)
        X = chosen.rows().all()
        if not isinstance(target, str):
            return X, chosen.samples[names]
        found = self._target(target)
        values = found.values(chosen._frame)
        return X, values if found.classes is None else values.astype(str)

    def torch(self, target: str | None = None, transform: Callable | None = None) -> Any:
        """Return a map-style dataset for PyTorch.

        Parameters
        ----------
        target : str, optional
            A label or a column of samples; rows without a value are left out.
        transform : callable, optional
            Takes and gives a float32 tensor (channels, times).

        Returns
        -------
        bidsmill.access.pytorch.TorchRows
            Item i is a float32 tensor (channels, times), with a target also its int64 class
            code (the place in `classes`) or float32 number.

        Raises
        ------
        BidsmillError
            If torch is not installed, or as for `arrays`.
        """
        require("torch", "torch", ".torch()")
        from bidsmill.access.pytorch import torch_rows

        return torch_rows(self, target, transform)

    def loader(
        self,
        target: str | None = None,
        batch_size: int = 64,
        shuffle: bool = False,
        seed: int = 0,
        num_workers: int = 0,
        drop_last: bool = False,
        transform: Callable | None = None,
        **options: Any,
    ) -> Any:
        """Return a PyTorch DataLoader whose batches are gathered in one go.

        Parameters
        ----------
        target, transform
            As for `torch`.
        batch_size, shuffle, num_workers, drop_last
            As for ``torch.utils.data.DataLoader``.
        seed : int
            Of the shuffle: the same seed gives the same batches, epoch by epoch.
        **options
            Any other argument of the DataLoader, such as ``pin_memory``.

        Returns
        -------
        torch.utils.data.DataLoader
            Of X (batch, channels, times), or (X, y) with a target.
        """
        require("torch", "torch", ".loader()")
        from bidsmill.access.pytorch import torch_loader

        if batch_size is not None and batch_size < 1:
            raise BidsmillError(
                "a batch needs rows", found=f"batch_size={batch_size}", expected="1 or more"
            )
        options |= {"batch_size": batch_size, "num_workers": num_workers, "drop_last": drop_last}
        return torch_loader(self, target, transform, shuffle, seed, options)

    def mne(self, target: str | None = None) -> Any:
        """Return the rows as MNE epochs.

        Parameters
        ----------
        target : str, optional
            The classes that become event ids (rows without one are left out); if absent,
            ``trial_type``.

        Returns
        -------
        mne.EpochsArray
            With types, units, positions, bad channels, and `samples` as metadata.

        Raises
        ------
        BidsmillError
            If MNE is not installed, or as for `arrays`.
        """
        require("mne", "mne", ".mne()")
        from bidsmill.access.epochs import epochs_array

        return epochs_array(self, target)

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

    def rows(self) -> Rows:
        """Return the reader of these rows, which has no more than it needs to read them."""
        view, matrices = self.view, self.dataset.matrices
        return Rows(
            self.dataset.cache,
            [matrices[recording] for recording in self._layout_of],
            self._file_index,
            self._frame["row"].to_numpy(np.intp),
            [view.columns[recording] for recording in self._layout_of],
            (len(view.names), view.n_times),
        )

    @cached_property
    def _frame(self) -> pd.DataFrame:
        return self.dataset.samples.take(self._positions).reset_index(drop=True)

    @cached_property
    def _factors(self) -> tuple[np.ndarray, list[str]]:
        import pandas as pd

        codes, names = pd.factorize(self._frame["recording"])
        return codes, [str(name) for name in names]

    @property
    def _file_index(self) -> np.ndarray:
        return self._factors[0]

    @cached_property
    def _layout_of(self) -> dict[str, str]:
        """Return recording -> layout id, in the order of the rows."""
        matrices = self.dataset.matrices
        missing = [name for name in self._factors[1] if name not in matrices]
        if missing:
            raise BidsmillError(
                f"samples of {self.dataset.id} name a recording without a matrix",
                found=missing[0],
            )
        return {name: matrices[name]["layout"] for name in self._factors[1]}

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

    def _target(self, name: str) -> Target:
        return find_target(name, self.dataset.labels, self.dataset.samples)


def _there(columns: np.ndarray | None, n_channels: int) -> np.ndarray:
    return np.ones(n_channels, bool) if columns is None else columns >= 0
