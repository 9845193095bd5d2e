"""How a selection is read: arrays, tables, batches for PyTorch, a stream, epochs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from bidsmill.access.arrays import arrays, each_frame, for_sklearn, long_table
from bidsmill.access.extras import require
from bidsmill.errors import BidsmillError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from bidsmill.access.training.streaming import Stream

Targets = str | Sequence[str] | None


class Readable:
    """What every `Selection` can be read as.

    A **target** is a label, or any column of samples: ``"face"``. Several targets are a list of
    names. Rows without a value of a target are left out, in X and y alike; ``labelled`` gives
    the selection that remains. To train on, a class is its int64 code (its place in `classes`)
    and a number is a float32; several targets are a dict of one array or tensor for each name.

    A **transform** takes and gives one window (channels, times), a **batch_transform** a whole
    batch (batch, channels, times), which is faster where the work can be done on all at once;
    the first comes first. Both must be importable functions, and not lambdas, where workers are
    started by ``spawn``.
    """

    def arrays(self, target: Targets = None) -> Any:
        """Read the rows into memory.

        Parameters
        ----------
        target : str or list of str, optional
            What y is (see `Readable`).

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
        return arrays(self, target)  # type: ignore[arg-type]

    def frames(self, target: Targets = None, max_bytes: int | None = 2**30) -> Any:
        """Read the rows into one long table of pandas.

        Parameters
        ----------
        target : str or list of str, optional
            What y is (see `Readable`).
        max_bytes : int or None
            A table with more bytes of values is refused; None: any size.

        Returns
        -------
        frame : DataFrame of float32
            A line for every sample in time, a column for every channel. The index has ``row``
            (i stands for ``samples.iloc[i]``) and ``time`` in s: ``frame.loc[i]`` is one window.
        y : Series, or DataFrame for a list of targets
            Its index is ``row``. Only with a target.

        Raises
        ------
        BidsmillError
            If the table is too large, or as for `arrays`.
        """
        return long_table(self, target, max_bytes)  # type: ignore[arg-type]

    def each_frame(self, target: Targets = None) -> Iterator[Any]:
        """Give the rows one by one as tables of pandas.

        Parameters
        ----------
        target : str or list of str, optional
            What y is (see `Readable`).

        Yields
        ------
        DataFrame of float32, or (DataFrame, value of the target)
            A line for every time in s, a column for every channel.
        """
        return each_frame(self, target)  # type: ignore[arg-type]

    def sklearn(
        self, target: str | Sequence[str], groups: str = "subject", flatten: bool = True
    ) -> tuple[np.ndarray, np.ndarray | pd.DataFrame, np.ndarray]:
        """Read the rows as what scikit-learn takes: X, y and groups.

        Parameters
        ----------
        target : str or list of str
            What y is (see `Readable`).
        groups : str
            The column of samples whose rows stay on one side of a split, for ``GroupKFold`` and
            its like.
        flatten : bool
            True gives one line of features for each row.

        Returns
        -------
        X : ndarray of float32, shape (samples, channels * times) or (samples, channels, times)
        y : as for `arrays`
        groups : ndarray, shape (samples,)

        Raises
        ------
        BidsmillError
            If rows have no group, or as for `arrays`.
        """
        return for_sklearn(self, target, groups, flatten)  # type: ignore[arg-type]

    def torch(
        self,
        target: Targets = None,
        transform: Callable | None = None,
        batch_transform: Callable | None = None,
    ) -> Any:
        """Return a map-style dataset for PyTorch.

        Parameters
        ----------
        target : str or list of str, optional
            What y is (see `Readable`).
        transform, batch_transform : callable, optional
            Of tensors (see `Readable`).

        Returns
        -------
        bidsmill.access.training.pytorch.TorchRows
            Item i is a float32 tensor (channels, times), with a target also its code or number;
            with several a dict of them. It has ``__getitems__``.

        Raises
        ------
        BidsmillError
            If torch is not installed, or as for `arrays`.
        """
        require("torch", "torch", ".torch()")
        from bidsmill.access.training.pytorch import torch_rows

        return torch_rows(self, target, transform, batch_transform)  # type: ignore[arg-type]

    def loader(
        self,
        target: Targets = None,
        batch_size: int | None = 64,
        shuffle: bool = False,
        seed: int = 0,
        num_workers: int = 0,
        drop_last: bool = False,
        transform: Callable | None = None,
        batch_transform: Callable | None = None,
        rank: int | None = None,
        world_size: int | None = None,
        **options: Any,
    ) -> Any:
        """Return a PyTorch DataLoader whose batches are gathered in one go.

        Each pass is the next epoch, with an order that depends on `seed` and the epoch alone;
        ``set_epoch`` says which comes next. ``state_dict()`` says which batches were handed out,
        and a loader that is given it by ``load_state_dict`` goes on with exactly the others.

        Parameters
        ----------
        target, transform, batch_transform
            As for `torch`.
        batch_size, shuffle, num_workers, drop_last
            As for ``torch.utils.data.DataLoader``.
        seed : int
            Of the shuffle.
        rank, world_size : int, optional
            The number of this process, and how many share an epoch; if absent, those of
            torch.distributed, or else 0 and 1. Together the ranks get every row once; as many
            as it takes for equally many in each rank come twice (none with `drop_last`, which
            leaves the rest out).
        **options
            Any other argument of the DataLoader, such as ``pin_memory``.

        Returns
        -------
        torch.utils.data.DataLoader
            Of X (batch, channels, times), or (X, y) with a target; y is a dict of tensors for
            several targets.

        Raises
        ------
        BidsmillError
            If an option cannot be, torch is not installed, or as for `arrays`.
        """
        require("torch", "torch", ".loader()")
        from bidsmill.access.training.loading import Sharing, row_loader
        from bidsmill.access.training.pytorch import torch_rows

        if batch_size is not None:
            _check_batch_size(batch_size, "a whole number of 1 or more, or None: row by row")
        options |= {"batch_size": batch_size, "num_workers": num_workers, "drop_last": drop_last}
        sharing = Sharing.of(rank, world_size)
        rows = torch_rows(self, target, transform, batch_transform, whole=True)  # type: ignore[arg-type]
        return row_loader(rows, shuffle, seed, sharing, options)

    def stream(
        self,
        target: Targets = None,
        batch_size: int = 64,
        shuffle: bool = True,
        seed: int = 0,
        buffer_bytes: int = 2**28,
        drop_last: bool = False,
        transform: Callable | None = None,
        batch_transform: Callable | None = None,
        rank: int | None = None,
        world_size: int | None = None,
    ) -> Stream:
        """Return batches straight from the files, without the cache, in bounded memory.

        Row groups are read in a shuffled order, from a bucket by ranges of bytes and only for
        the channels that are wanted, and mixed in a buffer. Every pass is the next epoch
        (``set_epoch``), and has every row once.

        Parameters
        ----------
        target : str or list of str, optional
            What y is (see `Readable`).
        batch_size : int
            Rows of a batch.
        shuffle : bool
            False: file by file, row group by row group.
        seed : int
            Of the shuffle: the same seed gives the same batches, epoch by epoch.
        buffer_bytes : int
            Memory for rows that wait (about as much comes on top for reading).
        drop_last : bool
            Leave out the rest that makes no whole batch; all ranks and workers then give
            equally many batches.
        transform, batch_transform : callable, optional
            Of arrays; of tensors in ``.torch()`` (see `Readable`).
        rank, world_size : int, optional
            As for `loader`; each rank gets row groups of its own, and no row comes twice.

        Returns
        -------
        bidsmill.access.training.streaming.Stream
            Gives X (batch, channels, times), or (X, y). Its ``.torch()`` is an IterableDataset
            of tensors for ``DataLoader(..., batch_size=None)``, shared among its workers.

        Raises
        ------
        BidsmillError
            If an option cannot be, or as for `arrays`.
        """
        from bidsmill.access.training.loading import Sharing
        from bidsmill.access.training.streaming import stream_of

        _check_batch_size(batch_size, "a whole number of 1 or more (only `loader` takes None)")
        return stream_of(
            self,  # type: ignore[arg-type]
            target,
            {
                "batch_size": batch_size,
                "shuffle": shuffle,
                "seed": seed,
                "buffer_bytes": buffer_bytes,
                "drop_last": drop_last,
                "transform": transform,
                "batch_transform": batch_transform,
                "sharing": Sharing.of(rank, world_size),
            },
        )

    def pull(self, progress: bool | Callable[[int], None] = True) -> None:
        """Fetch and decode what these rows need into the cache, so that reading is fast.

        Also rows that cannot be stacked are pulled. Of a bucket the tables are fetched, too, so
        that all works with ``offline=True`` afterwards.

        Parameters
        ----------
        progress : bool or callable
            True shows a bar where there is a terminal; a callable gets the number of bytes of
            matrix files done since its last call.

        Raises
        ------
        BidsmillError
            If a file is missing or damaged, or the cache folder cannot be written.
        """
        from bidsmill.access.warming import pull

        pull(self, progress)  # type: ignore[arg-type]

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

        return epochs_array(self, target)  # type: ignore[arg-type]


def _check_batch_size(batch_size: Any, expected: str) -> None:
    whole = isinstance(batch_size, int) and not isinstance(batch_size, bool)
    if not (whole and batch_size >= 1):
        raise BidsmillError(
            "a batch needs rows", found=f"batch_size={batch_size}", expected=expected
        )
