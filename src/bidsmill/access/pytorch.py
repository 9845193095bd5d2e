"""Rows for PyTorch: a map-style dataset, and a loader that gathers whole batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from bidsmill.access.gather import Rows
from bidsmill.errors import BidsmillError

if TYPE_CHECKING:
    from bidsmill.access.selection import Selection


class TorchRows:
    """A map-style dataset of PyTorch. Made by `Selection.torch`.

    Parameters
    ----------
    rows : Rows
        The reader.
    y : ndarray of int64 or float32, shape (n,), optional
        Class codes or numbers.
    transform : callable, optional
        Takes and gives a tensor (channels, times).
    whole : bool
        Whether ``__getitems__`` gives a batch as one tensor (X, or X and y), for `torch_loader`,
        or as a list of items, for any other DataLoader.

    Notes
    -----
    PyTorch asks for a map-style dataset by its methods and not by its class
    (torch.utils.data.Dataset), so that this module needs no torch to be imported.
    """

    def __init__(
        self,
        rows: Rows,
        y: np.ndarray | None,
        transform: Callable | None = None,
        whole: bool = False,
    ):
        self.rows = rows
        self.y = y
        self.transform = transform
        self.whole = whole

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Any:
        if not -len(self) <= index < len(self):
            raise IndexError(f"item {index} of {len(self)}")
        return self._items(self.batch([index]))[0]

    def __getitems__(self, indices: Sequence[int]) -> Any:
        batch = self.batch(indices)
        return batch if self.whole else self._items(batch)

    def batch(self, indices: Sequence[int]) -> Any:
        """Return items as one tensor X (n, channels, times), or (X, y): one gather per file."""
        import torch

        positions = np.asarray(indices, np.intp)
        X = torch.from_numpy(self.rows.take(positions))
        if self.transform is not None:
            X = torch.stack([self.transform(x) for x in X])
        return X if self.y is None else (X, torch.from_numpy(self.y[positions]))

    def _items(self, batch: Any) -> list:
        if self.y is None:
            return list(batch.unbind(0))
        return list(zip(*(part.unbind(0) for part in batch), strict=True))


def torch_rows(
    selection: Selection,
    target: str | None,
    transform: Callable | None = None,
    whole: bool = False,
) -> TorchRows:
    """Return the dataset of a selection; see `Selection.torch`."""
    if target is None:
        return TorchRows(selection.rows(), None, transform, whole)
    if not isinstance(target, str):
        raise BidsmillError(
            "a PyTorch dataset has one target", found=repr(target), expected="one name"
        )
    chosen, found = selection.labelled(target), selection._target(target)
    frame = chosen.samples
    y = found.values(frame).astype(np.float32) if found.classes is None else found.codes(frame)
    return TorchRows(chosen.rows(), y, transform, whole)


def torch_loader(
    selection: Selection,
    target: str | None,
    transform: Callable | None,
    shuffle: bool,
    seed: int,
    options: dict[str, Any],
) -> Any:
    """Return the DataLoader of a selection; see `Selection.loader`."""
    import torch

    settings = {
        "shuffle": shuffle,
        "generator": torch.Generator().manual_seed(seed),
        "collate_fn": _as_gathered,
        **options,
    }
    rows: Any = torch_rows(selection, target, transform, whole=True)
    return torch.utils.data.DataLoader(rows, **settings)


def _as_gathered(batch: Any) -> Any:
    """Leave a batch as it is: it was gathered into one tensor."""
    return batch
