"""A stream for PyTorch: an IterableDataset that workers share, and its DataLoader."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from bidsmill.access.extras import require
from bidsmill.access.training.loading import check_workers
from bidsmill.access.training.pytorch import transformed
from bidsmill.errors import BidsmillError

if TYPE_CHECKING:
    from bidsmill.access.training.streaming import Stream


def torch_stream(stream: Stream) -> Any:
    """Return a stream as an IterableDataset; see `Stream.torch`."""
    require("torch", "torch", ".torch()")
    _ = stream.plan  # the ends of the files are read once, and not by every worker
    return _classes()[0](stream)


def stream_loader(stream: Stream, num_workers: int, options: dict[str, Any]) -> Any:
    """Return the DataLoader of a stream; see `Stream.loader`.

    Raises
    ------
    BidsmillError
        If an option would take batches apart, or a transform cannot be sent to the workers.
    """
    for name in ("batch_size", "shuffle", "sampler", "batch_sampler", "drop_last"):
        if name in options:
            raise BidsmillError(
                f"the loader of a stream takes no {name}: its items are whole batches",
                todo="state batch_size, shuffle and drop_last in .stream(...)",
            )
    check_workers(stream, num_workers, options.get("multiprocessing_context"))
    dataset = torch_stream(stream)
    return _classes()[1](dataset, batch_size=None, num_workers=num_workers, **options)


def _restored(stream: Stream, epoch: Any) -> Any:
    """Return the dataset that a worker gets; its class is made in each process."""
    return _classes()[0](stream, epoch)


@functools.cache
def _classes() -> tuple[type, type]:
    """Return both classes; they are made here because torch is imported late."""
    import torch

    class TorchStream(torch.utils.data.IterableDataset):
        """Batches of tensors. Made by `Stream.torch`."""

        def __init__(self, stream: Stream, epoch: Any = None):
            self.stream = stream
            # All workers see what set_epoch says, also those that live on.
            first = torch.tensor(stream.epoch)
            self._epoch = first.share_memory_() if epoch is None else epoch

        def __reduce__(self) -> tuple:
            return _restored, (self.stream, self._epoch)

        def set_epoch(self, epoch: int) -> None:
            """Say which epoch the next pass gives."""
            self._epoch.fill_(int(epoch))

        def __iter__(self) -> Iterator[Any]:
            epoch, worker = int(self._epoch), torch.utils.data.get_worker_info()
            place = (0, 1) if worker is None else (worker.id, worker.num_workers)
            if worker is None:
                self.set_epoch(epoch + 1)
            stream = self.stream
            for array, y in stream.batches(epoch, *place):
                X = torch.from_numpy(array)
                X = transformed(X, stream.transform, stream.batch_transform)
                if isinstance(y, dict):
                    yield X, {name: torch.from_numpy(values) for name, values in y.items()}
                else:
                    yield X if y is None else (X, torch.from_numpy(y))

    class StreamLoader(torch.utils.data.DataLoader):
        """A DataLoader in which each pass is the next epoch. Made by `Stream.loader`."""

        _next = 0

        def set_epoch(self, epoch: int) -> None:
            """Say which epoch the next pass gives."""
            self._next = int(epoch)

        def __iter__(self) -> Any:
            self.dataset.set_epoch(self._next)  # type: ignore[attr-defined]
            self._next += 1
            return super().__iter__()

    return TorchStream, StreamLoader
