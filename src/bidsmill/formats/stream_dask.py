"""A stream as a lazy dask array."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bidsmill.errors import BidsmillError

if TYPE_CHECKING:
    from bidsmill.formats.stream import StreamFile


class Rows:
    """A stream as dask takes it: an object with a shape that gives slices of itself.

    Parameters
    ----------
    stream : StreamFile
        Where samples come from.
    """

    dtype = np.dtype(np.float32)
    ndim = 2

    def __init__(self, stream: StreamFile):
        self.stream = stream
        self.shape = stream.n_times, stream.n_channels

    def __getitem__(self, key: tuple[slice | int, ...]) -> np.ndarray:
        """Return samples x channels; only the channels that are asked for are decoded."""
        rows, columns = (slice(k, k + 1) if isinstance(k, int) else k for k in key)
        start, stop, step = rows.indices(self.shape[0])
        chosen = range(self.shape[1])[columns]
        if step == 1 and len(chosen) == self.shape[1] and chosen[:1] == range(1):
            group = self.stream.group_at(start)
            if group is not None and stop - start == self.stream.group_rows[group]:
                return _squeezed(self.stream.read_group(group).T, key)
        low, high = (start, stop) if step > 0 else (stop + 1, start + 1)
        block = self.stream.read(low, max(low, high), list(chosen)).T
        return _squeezed(block[::step] if step > 0 else block[::-1][::-step], key)


def _squeezed(block: np.ndarray, key: tuple[slice | int, ...]) -> np.ndarray:
    """Take away the dimensions that were asked for by one number."""
    return block[tuple(0 if isinstance(part, int) else slice(None) for part in key)]


def lazy_array(stream: StreamFile) -> Any:
    """Return a stream as a dask array; see `StreamFile.dask`."""
    try:
        import dask.array as da
    except ModuleNotFoundError as error:
        raise BidsmillError(
            f"a lazy stream needs the library {error.name}, which is not installed",
            todo="pip install 'dask[array]', or bidsmill with its extra [streams]",
        ) from None
    rows = tuple(stream.group_rows) or (0,)
    return da.from_array(
        Rows(stream),
        chunks=(rows, (stream.n_channels,)),
        # By content: the same stream has the same keys, wherever it was opened.
        name=f"stream-{stream.identity[:32]}",
        lock=False,
        asarray=False,
        fancy=False,
        meta=np.empty((0, 0), np.float32),
    )
