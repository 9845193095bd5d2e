"""Rows for PyTorch: a map-style dataset that gathers whole batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from bidsmill.access.gather import Rows
from bidsmill.access.targets import target_names

if TYPE_CHECKING:
    from bidsmill.access.selection import Selection


class TorchRows:
    """A map-style dataset of PyTorch. Made by `Selection.torch`.

    Parameters
    ----------
    rows : Rows
        The reader.
    y : ndarray of int64 or float32, shape (n,), or dict of them, optional
        Class codes or numbers; a dict for several targets.
    transform : callable, optional
        Takes and gives a tensor (channels, times).
    batch_transform : callable, optional
        Takes and gives a tensor (batch, channels, times).
    whole : bool
        Whether ``__getitems__`` gives a batch as one tensor (X, or X and y), for the loader of
        `Selection.loader`, or as a list of items, for any other DataLoader.

    Notes
    -----
    PyTorch asks for a map-style dataset by its methods and not by its class
    (torch.utils.data.Dataset), so that this module needs no torch to be imported.
    """

    def __init__(
        self,
        rows: Rows,
        y: np.ndarray | dict[str, np.ndarray] | None,
        transform: Callable | None = None,
        batch_transform: Callable | None = None,
        whole: bool = False,
    ):
        self.rows = rows
        self.y = y
        self.transform = transform
        self.batch_transform = batch_transform
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
        X = transformed(
            torch.from_numpy(self.rows.take(positions)), self.transform, self.batch_transform
        )
        if self.y is None:
            return X
        if isinstance(self.y, dict):
            return X, {name: torch.from_numpy(y[positions]) for name, y in self.y.items()}
        return X, torch.from_numpy(self.y[positions])

    def _items(self, batch: Any) -> list:
        if self.y is None:
            return list(batch.unbind(0))
        X, y = batch
        if not isinstance(y, dict):
            return list(zip(X.unbind(0), y.unbind(0), strict=True))
        return [(x, {name: y[name][i] for name in y}) for i, x in enumerate(X.unbind(0))]


def transformed(X: Any, transform: Callable | None, batch_transform: Callable | None) -> Any:
    """Return a batch after both transforms (see `bidsmill.access.reading.Readable`)."""
    import torch

    if transform is not None:
        X = torch.stack([transform(x) for x in X])
    return X if batch_transform is None else batch_transform(X)


def torch_rows(
    selection: Selection,
    target: str | Sequence[str] | None,
    transform: Callable | None = None,
    batch_transform: Callable | None = None,
    whole: bool = False,
) -> TorchRows:
    """Return the dataset of a selection; see `Readable.torch`."""
    chosen, y = trained_on(selection, target)
    return TorchRows(chosen.rows(), y, transform, batch_transform, whole)


def trained_on(
    selection: Selection, target: str | Sequence[str] | None
) -> tuple[Selection, np.ndarray | dict[str, np.ndarray] | None]:
    """Return the rows that have every target, and its codes or numbers for each of them."""
    if target is None:
        return selection, None
    names = target_names(target)
    chosen = selection.labelled(*names)
    values = {name: selection.target(name).trained(chosen.table) for name in names}
    return chosen, values[target] if isinstance(target, str) else values
