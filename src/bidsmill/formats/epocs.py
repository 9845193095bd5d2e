"""Epocs: the events of a recording on the clock of its streams, in Parquet."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bidsmill.errors import BidsmillError
from bidsmill.formats import files
from bidsmill.formats.epocs_table import (
    COLUMNS,
    TEXTS,
    check_inside,
    kept_type,
    problem,
    samples_at,
    with_all_columns,
)
from bidsmill.formats.hashing_file import HashingFile
from bidsmill.formats.stream_core import EpocCore, StreamCore, parse_epoc_core
from bidsmill.formats.stream_opening import DAMAGED, check_sidecar, read_documents
from bidsmill.formats.stream_writing import CORE_KEY, OTHER_KEY, compact, sidecar_path

if TYPE_CHECKING:
    import pandas as pd

# Labels that the text of epocs counts.
SHOWN_LABELS = 6


@dataclass(frozen=True, repr=False)
class Epocs:
    """Events on the clock of a recording's streams.

    Attributes
    ----------
    core : EpocCore
        What they say of themselves.
    table : DataFrame
        Sorted by onset: the columns of `COLUMNS`, and further ones as text or numbers. ``onset``
        and ``duration`` in s, ``onset_sample`` counts samples of the stream `core.ref_stream`.
        What is missing is NaN, NA or None.
    """

    core: EpocCore
    table: pd.DataFrame

    def __len__(self) -> int:
        return len(self.table)

    def __repr__(self) -> str:
        labels = self.table["label"].value_counts(sort=False)
        shown = ", ".join(f"{name} {count}" for name, count in list(labels.items())[:SHOWN_LABELS])
        more = f" and {len(labels) - SHOWN_LABELS} more" if len(labels) > SHOWN_LABELS else ""
        return f"epocs {self.core.name}: {len(self)} on the samples of {self.core.ref_stream}" + (
            f"; {shown}{more}" if shown else ""
        )

    def check_clock(self, stream: StreamCore) -> None:
        """Refuse a stream that is on another clock, or begins at another time.

        Raises
        ------
        BidsmillError
            That names the field.
        """
        for field in ("clock", "t0"):
            own, other = getattr(self.core, field), getattr(stream, field)
            if own != other:
                raise BidsmillError(
                    f"epocs and stream differ in the field core.{field}",
                    file=self.core.name,
                    found=f"{own!r} of the epocs",
                    expected=f"{other!r} of the stream {stream.name}",
                    todo="use the epocs of the same recording",
                )

    def samples_of(self, stream: StreamCore) -> np.ndarray:
        """Return the sample of each onset in a stream of any rate on the same clock.

        Returns
        -------
        ndarray of int64, shape (n_events,)
        """
        self.check_clock(stream)
        return samples_at(self.table["onset"].to_numpy(np.float64), stream.t0, stream.sfreq)


def make_epocs(
    table: pd.DataFrame,
    stream: StreamCore,
    *,
    name: str | None = None,
    outside: str = "error",
    bids: dict[str, str] | None = None,
    **core: Any,
) -> Epocs:
    """Return epocs of a table that has at least ``onset`` (s, on the clock) or ``onset_sample``.

    Parameters
    ----------
    table : DataFrame
        Columns of the contract that are absent become empty; others are kept.
    stream : StreamCore
        The stream that the events belong to.
    name : str, optional
        Of the epocs; that of the stream if absent.
    outside : {"error", "warn"}
        What happens with onsets before the first sample of the stream or behind its end.
    bids : dict, optional
        Column -> its name in events.tsv.
    **core
        ``source``, ``history``, ``other`` of the core.

    Raises
    ------
    BidsmillError
        If a column is not as it must be, or an onset lies outside.
    """
    name = stream.name if name is None else name
    frame = with_all_columns(table, stream, name)
    order = np.argsort(frame["onset"].to_numpy(), kind="stable")
    frame = frame.iloc[order].reset_index(drop=True)
    check_inside(frame, stream, name, outside)
    columns = [
        {"name": column, "unit": COLUMNS.get(column, ("", ""))[1]}
        | ({"bids": bids[column]} if bids and column in bids else {})
        for column in frame.columns
    ]
    made = EpocCore(
        name=name,
        n_events=len(frame),
        clock=stream.clock,
        ref_stream=stream.name,
        ref_sfreq=stream.sfreq,
        t0=stream.t0,
        columns=tuple(columns),
        **core,
    )
    return Epocs(parse_epoc_core(made.sidecar(), file=name), frame)


def write_epocs(path: str | os.PathLike, epocs: Epocs) -> dict[str, Any]:
    """Write epocs and their sidecar, atomically; the bytes depend on the content alone.

    Parameters
    ----------
    path : path-like
        ``..._epocs.parquet``.
    epocs : Epocs
        See `make_epocs`.

    Returns
    -------
    dict
        ``n_events``, ``sha256``, ``size`` (bytes), and ``sidecar`` with ``sha256``, ``size``.

    Raises
    ------
    BidsmillError
        If table and core contradict each other.
    """
    import hashlib

    import pyarrow.parquet as pq

    core = parse_epoc_core(replace(epocs.core, n_events=len(epocs.table)).sidecar(), file=path)
    _check_table(core, epocs.table, path)
    content = core.sidecar()
    keys = {key: compact(content[key]) for key in (CORE_KEY, OTHER_KEY)}
    table = _arrow(epocs.table).replace_schema_metadata(keys)
    with files.atomic_path(path) as part:
        sink = HashingFile(part)
        try:
            pq.write_table(
                table,
                sink,
                compression="zstd",
                compression_level=3,
                use_dictionary=[name for name in ("label",) if len(table)],
                write_page_checksum=True,
            )
        finally:
            sink.close()
        sidecar = files.json_bytes(content)
        files.write_bytes(sidecar_path(path), sidecar)
    return {
        "n_events": core.n_events,
        "sha256": sink.sha256.hexdigest(),
        "size": sink.size,
        "sidecar": {"sha256": hashlib.sha256(sidecar).hexdigest(), "size": len(sidecar)},
    }


def _arrow(frame: pd.DataFrame) -> Any:
    import pyarrow as pa

    kinds = {"code": pa.int64(), **dict.fromkeys(TEXTS, pa.string())}
    kinds |= {"onset": pa.float64(), "duration": pa.float64(), "value": pa.float64()}
    arrays, fields = [], []
    for name in frame.columns:
        array = pa.array(frame[name], kinds.get(name), from_pandas=True)
        if pa.types.is_large_string(array.type) or pa.types.is_null(array.type):
            array = array.cast(pa.string())
        if name == "label":
            array = array.dictionary_encode()
        arrays.append(array)
        fields.append(pa.field(name, array.type, nullable=name not in ("onset", "onset_sample")))
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields))


def _check_table(core: EpocCore, frame: pd.DataFrame, path: Any) -> None:
    stated = [column["name"] for column in core.columns]
    found = [str(column) for column in frame.columns]
    if stated != found or found[: len(COLUMNS)] != list(COLUMNS):
        raise BidsmillError(
            "the field core.columns does not fit the table of epocs",
            file=path,
            found=f"columns {', '.join(found)}",
            expected=f"{', '.join([*COLUMNS, *stated[len(COLUMNS) :]])}",
            todo="make the table with `make_epocs`",
        )
    if core.n_events != len(frame):
        raise BidsmillError(
            "the field core.n_events is not the number of rows",
            file=path,
            found=core.n_events,
            expected=len(frame),
            todo=DAMAGED,
        )
    onsets = frame["onset"].to_numpy(np.float64)
    if not np.isfinite(onsets).all() or (np.diff(onsets) < 0).any():
        raise problem(path, "onset", "onsets that are not sorted or not finite", "sorted onsets")


def read_epocs(path: str | os.PathLike) -> Epocs:
    """Read epocs, all checked: core, columns, order, sidecar.

    Raises
    ------
    BidsmillError
        If the file is absent, damaged, or does not hold what its core states.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    place = Path(path)
    try:
        with pq.ParquetFile(place, page_checksum_verification=True) as file:
            document = read_documents(file.metadata, place, "epocs")
            table = file.read()
    except FileNotFoundError:
        raise BidsmillError("epocs are missing", file=path) from None
    except (pa.ArrowException, OSError) as error:
        raise BidsmillError(
            "epocs cannot be read as Parquet", file=path, found=error, todo=DAMAGED
        ) from None
    core = parse_epoc_core(document, file=path)
    frame = _frame(table, place)
    _check_table(core, frame, path)
    check_sidecar(document, place)
    return Epocs(core, frame)


def _frame(table: Any, path: Path) -> pd.DataFrame:
    import pandas as pd
    import pyarrow as pa

    columns: dict[str, Any] = {}
    for name in table.column_names:
        column = table.column(name)
        if pa.types.is_dictionary(column.type):
            column = column.cast(pa.string())
        if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
            values = np.empty(len(column), object)
            values[:] = column.to_pylist()
            columns[name] = values
        elif name == "code":
            columns[name] = pd.array(column.to_pylist(), dtype="Int64")
        else:
            columns[name] = column.to_numpy()
    for name, (kind, _) in COLUMNS.items():
        if name in columns and str(columns[name].dtype) != kind:
            raise problem(path, name, f"type {columns[name].dtype}", f"type {kind}")
    return pd.DataFrame({k: pd.Series(v, dtype=kept_type(v)) for k, v in columns.items()})
