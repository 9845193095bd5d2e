"""What readers of other containers share: what a person states, events, and a clock."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bidsmill.errors import BidsmillError
from bidsmill.formats import files
from bidsmill.formats.epocs import make_epocs, write_epocs
from bidsmill.formats.numbers import LARGEST_EXACT
from bidsmill.formats.stream import StreamWriter
from bidsmill.formats.stream_core import StreamCore
from bidsmill.formats.stream_names import stream_file

if TYPE_CHECKING:
    import pandas as pd

# Values that are read at once.
BLOCK_VALUES = 2**22


def stated(values: Sequence[str], what: str, known: Sequence[str]) -> dict[str, str]:
    """Return what was stated for each store: ``V`` for all, or ``NAME=V`` for one.

    Parameters
    ----------
    values : sequence of str
        As given on the command line; those with a name win.
    what : str
        The option, for messages.
    known : sequence of str
        The stores.

    Raises
    ------
    BidsmillError
        If a store is named that there is not, or something is stated twice.
    """
    named: dict[str, str] = {}
    for value in values:
        name, equals, own = value.rpartition("=")
        if equals and name not in known:
            raise BidsmillError(
                f"{what} names a stream that is not there",
                found=value,
                expected=", ".join(known) or "no stream is there",
            )
        if name in named:
            raise BidsmillError(f"{what} is stated twice", found=value)
        named[name] = own
    return {name: named.get(name, named.get("", "")) for name in known}


def write_blocks(
    path: Path, core: StreamCore, read: Callable[[int, int], np.ndarray]
) -> dict[str, Any]:
    """Write a stream block by block.

    Parameters
    ----------
    path : pathlib.Path
        ``..._stream.parquet``.
    core : StreamCore
        What the stream says of itself.
    read : callable
        Returns samples ``[start, stop)``, shape (n_channels, stop - start).
    """
    files.remove_parts(path)
    step = max(1, BLOCK_VALUES // core.n_channels)
    with StreamWriter(path, core) as writer:
        for start in range(0, core.n_samples, step):
            writer.write(read(start, min(start + step, core.n_samples)))
        return writer.close()


def epoc_table(data: np.ndarray, onset: np.ndarray, offset: np.ndarray) -> pd.DataFrame:
    """Return the table of epocs of a store of TDT.

    Parameters
    ----------
    data, onset, offset : ndarray of float64, shape (n_events,)
        Value, and seconds from the start of the block; an offset of infinity: no end was seen.

    Returns
    -------
    DataFrame
        ``onset``, ``duration``, ``value``, and ``code`` where the value is a whole number.
    """
    import pandas as pd

    values = np.asarray(data, np.float64)
    with np.errstate(invalid="ignore"):
        duration = np.asarray(offset, np.float64) - np.asarray(onset, np.float64)
    whole = np.isfinite(values) & (np.abs(values) < LARGEST_EXACT)
    whole[whole] = values[whole] % 1 == 0
    codes = [int(value) if fits else None for value, fits in zip(values, whole, strict=True)]
    return pd.DataFrame(
        {
            "onset": np.asarray(onset, np.float64),
            "duration": np.where(np.isfinite(duration), duration, np.nan),
            "code": pd.array(codes, dtype="Int64"),
            "value": values,
        }
    )


def reference_stream(cores: Mapping[str, StreamCore], wanted: str | None) -> StreamCore:
    """Return the stream whose samples the epocs of a block count.

    Parameters
    ----------
    cores : mapping
        Name -> core.
    wanted : str or None
        Its name. If absent: the fastest; of several the first by name.

    Raises
    ------
    BidsmillError
        If there is none.
    """
    if wanted is not None and wanted in cores:
        return cores[wanted]
    if wanted is not None or not cores:
        raise BidsmillError(
            "epocs need a stream whose samples they count",
            found=wanted,
            expected=f"one of {', '.join(cores)}" if cores else "a stream beside the epocs",
            todo="import the whole folder, and name one of its streams: --reference NAME",
        )
    return min(cores.values(), key=lambda core: (-core.sfreq, core.name))


def write_store_epocs(
    folder: Path, name: str, table: pd.DataFrame, reference: StreamCore, **core: Any
) -> list[str]:
    """Write epocs on the clock of a stream; return what is to be told."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        epocs = make_epocs(table, reference, name=name, outside="warn", **core)
        write_epocs(folder / stream_file(name, kind="epocs"), epocs)
    return [f"{name}: {one.message}" for one in caught]
