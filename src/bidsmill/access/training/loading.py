"""The order of rows in an epoch: shuffled, shared among processes, resumed; and the loader."""

from __future__ import annotations

import functools
import multiprocessing
import pickle
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from bidsmill.errors import BidsmillError

if TYPE_CHECKING:
    from bidsmill.access.training.pytorch import TorchRows
    from bidsmill.access.training.streaming import Stream


class Sharing(NamedTuple):
    """Which part of an epoch is that of this process.

    Attributes
    ----------
    rank : int
        Number of the process, from 0.
    world_size : int
        How many processes share an epoch.
    """

    rank: int
    world_size: int

    @classmethod
    def of(cls, rank: int | None, world_size: int | None) -> Sharing:
        """Return what was asked for, or else what torch.distributed was told.

        Raises
        ------
        BidsmillError
            If only one of both is stated, or there is no such rank.
        """
        if rank is None and world_size is None:
            return cls(*_of_distributed())
        if rank is None or world_size is None or not 0 <= rank < world_size:
            raise BidsmillError(
                "rank and world_size do not fit",
                found=f"rank={rank}, world_size={world_size}",
                expected="both, with rank from 0 to world_size - 1",
            )
        return cls(int(rank), int(world_size))


def _of_distributed() -> tuple[int, int]:
    torch = sys.modules.get("torch")  # who does not use it has not initialised it either
    distributed = getattr(torch, "distributed", None)
    if distributed is not None and distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank(), distributed.get_world_size()
    return 0, 1


def permutation(n: int, seed: int, epoch: int) -> np.ndarray:
    """Return the numbers from 0 to n - 1 in the order of an epoch.

    They are sorted by raw numbers of PCG64, whose sequence NumPy promises never to change
    (NEP 19), which it does not for its own permutations.
    """
    raw = np.random.PCG64([seed, epoch]).random_raw(n)
    return np.argsort(raw, kind="stable")


class RowOrder:
    """A sampler of PyTorch: the rows of each epoch that are those of this process.

    Parameters
    ----------
    n : int
        How many rows there are.
    shuffle : bool
        Whether each epoch has an order of its own.
    seed : int
        Of the shuffle.
    sharing : Sharing
        Which part is wanted: of the order of all, every `world_size`-th row.
    drop_last : bool
        Whether ranks become equally long by leaving rows out, or else by taking some again.

    Attributes
    ----------
    epoch : int
        The one that the next pass gives.
    done : int
        How many rows of it all ranks together have had.
    """

    def __init__(self, n: int, shuffle: bool, seed: int, sharing: Sharing, drop_last: bool):
        self.n = n
        self.shuffle = shuffle
        self.seed = seed
        self.sharing = sharing
        self.drop_last = drop_last
        self.epoch = 0
        self.done = 0

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch comes next. The one that was resumed goes on where it stopped."""
        if epoch != self.epoch:
            self.epoch, self.done = int(epoch), 0

    def __len__(self) -> int:
        """Return how many rows of a whole epoch are those of this process."""
        size = self.sharing.world_size
        return self.n // size if self.drop_last else -(-self.n // size)

    def __iter__(self) -> Iterator[int]:
        rank, size = self.sharing
        order = np.arange(self.n)
        if self.shuffle:
            order = permutation(self.n, self.seed, self.epoch)
        wanted = len(self) * size
        order = np.resize(order, wanted) if self.n else order  # begins again where rows lack
        return iter(order[self.done : wanted][rank::size].tolist())


class Resumable:
    """What makes a DataLoader of PyTorch know its place; see `Readable.loader`.

    Attributes
    ----------
    sampler : RowOrder
        The order of the rows. Each pass is the next epoch.
    """

    sampler: Any
    batch_size: int | None
    drop_last: bool
    generator: Any
    _current: tuple[int, int] | None = None
    _handed_out = 0
    _remaining = 0

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch the next pass gives."""
        self._current = None
        self.sampler.set_epoch(epoch)

    def state_dict(self) -> dict[str, Any]:
        """Return what is needed to go on with the batches that were not handed out yet.

        It changes with every batch that this loader hands out, however many its workers have
        read ahead.
        """
        order = self.sampler
        epoch, done = order.epoch, order.done
        if self._current is not None:
            epoch, done = self._current
            done += self._handed_out * (self.batch_size or 1) * order.sharing.world_size
            if self._handed_out >= self._remaining:
                epoch, done = epoch + 1, 0
        return {
            "epoch": epoch,
            "done": done,
            "rows": order.n,
            "seed": order.seed,
            "shuffle": order.shuffle,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where a loader of the same rows stood.

        Parameters
        ----------
        state : dict
            What `state_dict` gave. Batch size and number of processes may be others.

        Raises
        ------
        BidsmillError
            If it is of a loader of other rows, or of another order.
        """
        own = self.state_dict()
        for name in ("rows", "seed", "shuffle"):
            if state.get(name) != own[name]:
                raise BidsmillError(
                    f"this is the state of a loader with another {name}",
                    found=state.get(name),
                    expected=own[name],
                    todo="make the loader of the same selection, version and seed",
                )
        self._current = None
        self.sampler.epoch, self.sampler.done = int(state["epoch"]), int(state["done"])

    def __iter__(self) -> Any:
        order = self.sampler
        begun = self._current = (order.epoch, order.done)
        self._handed_out, self._remaining = 0, self._batches_left()
        # What workers draw depends on the epoch alone, not on the passes before.
        raw = int(np.random.PCG64([order.seed, begun[0]]).random_raw())
        self.generator.manual_seed(raw >> 1)  # it takes 63 bits
        batches = super().__iter__()  # type: ignore[misc]
        first = next(batches, None)  # by now the sampler was asked for its order
        order.epoch, order.done = begun[0] + 1, 0
        if first is None:
            return
        self._handed_out = 1
        yield first
        for batch in batches:
            if self._current == begun:
                self._handed_out += 1
            yield batch

    def _batches_left(self) -> int:
        rows = len(self.sampler) - self.sampler.done // self.sampler.sharing.world_size
        size = self.batch_size or 1
        return rows // size if self.drop_last else -(-rows // size)


@functools.cache
def _loader_class() -> type:
    """Return the class of loaders; it is made here because torch is imported late."""
    import torch

    class RowLoader(Resumable, torch.utils.data.DataLoader):
        """A DataLoader of a selection, which can be resumed. Made by `Selection.loader`."""

    return RowLoader


def row_loader(
    rows: TorchRows, shuffle: bool, seed: int, sharing: Sharing, options: dict[str, Any]
) -> Any:
    """Return the DataLoader of some rows; see `Readable.loader`.

    Raises
    ------
    BidsmillError
        If an option would replace the order of the rows, or a transform cannot be sent to
        the workers.
    """
    import torch

    for name in ("sampler", "batch_sampler", "generator"):
        if name in options:
            raise BidsmillError(
                f"the loader has an order of its own, and takes no {name}",
                todo="use torch.utils.data.DataLoader(selection.torch(...), ...) instead",
            )
    check_workers(rows, options["num_workers"], options.get("multiprocessing_context"))
    order = RowOrder(len(rows), shuffle, seed, sharing, options["drop_last"])
    settings = {
        "sampler": order,
        "generator": torch.Generator(),
        "collate_fn": _as_gathered,
        **options,
    }
    return _loader_class()(rows, **settings)


def check_workers(rows: TorchRows | Stream, num_workers: int, context: Any) -> None:
    """Refuse transforms that cannot be sent to workers; those of ``fork`` get nothing sent.

    Parameters
    ----------
    rows : TorchRows or Stream
        What has the transforms.
    num_workers : int
        How many workers there will be.
    context : str, multiprocessing context or None
        How they are started; None: as Python does here.

    Raises
    ------
    BidsmillError
        If a transform cannot be pickled.
    """
    if not num_workers:
        return
    if context is None:
        # Asked so, Python does not settle the method for the rest of the process.
        method = multiprocessing.get_start_method(allow_none=True)
        method = method or multiprocessing.get_all_start_methods()[0]
    else:
        method = context if isinstance(context, str) else context.get_start_method()
    if method == "fork":
        return
    for name in ("transform", "batch_transform"):
        try:
            pickle.dumps(getattr(rows, name))
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise BidsmillError(
                f"the {name} cannot be sent to workers, which {method} starts",
                found=error,
                expected="a function that can be imported, and no lambda",
                todo="define it with `def` at the top of a module, or take num_workers=0",
            ) from None
        except RuntimeError:
            pass  # it has what is only sent while a worker starts, such as a lock


def _as_gathered(batch: Any) -> Any:
    """Leave a batch as it is: it was gathered into one tensor."""
    return batch
