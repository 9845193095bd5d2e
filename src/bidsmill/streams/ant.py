"""Read the `.ant` folders of dspAnt: a Parquet file and a JSON file for each stream or epoc."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from bidsmill.errors import BidsmillError
from bidsmill.formats import files
from bidsmill.formats.stream_core import StreamCore
from bidsmill.formats.stream_legacy import core_of_base
from bidsmill.formats.stream_names import stream_file
from bidsmill.streams.importing import (
    epoc_table,
    reference_stream,
    stated,
    write_blocks,
    write_store_epocs,
)

DATA, METADATA = "data_", "metadata_"
EPOC_COLUMNS = ["data", "onset", "offset"]
READER = "dspant"


@dataclass(frozen=True)
class AntPair:
    """A data file and the metadata of the same name.

    Attributes
    ----------
    name : str
        What both names have behind ``data_`` and ``metadata_``: the store, and of a segment its
        span (``RawG_t0_0-1_5``).
    data, metadata : pathlib.Path
        The files.
    document : dict
        The metadata.
    is_epocs : bool
        Whether it holds events.
    """

    name: str
    data: Path
    metadata: Path
    document: dict[str, Any]
    is_epocs: bool


def find_pairs(folder: Path) -> list[AntPair]:
    """Return all pairs of an `.ant` folder, or of the `.ant` folders in a folder, by name.

    Raises
    ------
    BidsmillError
        If there is none, or a file lacks the other of its pair.
    """
    import pyarrow.parquet as pq

    places = [folder] if folder.suffix == ".ant" else sorted(folder.glob("*.ant"))
    pairs: dict[str, AntPair] = {}
    for place in places:
        data = _named(place, DATA, ".parquet")
        metadata = _named(place, METADATA, ".json")
        for name in sorted(data.keys() ^ metadata.keys()):
            there, prefix, ending = (
                (data, METADATA, ".json") if name in data else (metadata, DATA, ".parquet")
            )
            raise BidsmillError(
                "a file of an .ant folder lacks the other of its pair",
                file=there[name],
                expected=f"{prefix}{name}{ending} beside it",
            )
        for name in sorted(data):
            if name in pairs:
                raise BidsmillError(
                    "two .ant folders hold data of one name",
                    file=data[name],
                    found=pairs[name].data,
                    todo="import one after the other",
                )
            document = files.read_json(metadata[name])
            names = pq.read_schema(data[name]).names
            is_epocs = _kind(document) == "epocs" or names == EPOC_COLUMNS
            pairs[name] = AntPair(name, data[name], metadata[name], document, is_epocs)
    if not pairs:
        zarr = ", ".join(path.name for place in [folder, *places] for path in place.glob("*.zarr"))
        raise BidsmillError(
            "there is nothing to import",
            file=folder,
            found=f"{zarr} (Zarr is not read)" if zarr else None,
            expected="data_NAME.parquet and metadata_NAME.json in a folder NAME.ant",
        )
    return [pairs[name] for name in sorted(pairs)]


def _named(folder: Path, prefix: str, ending: str) -> dict[str, Path]:
    return {
        path.name.removeprefix(prefix).removesuffix(ending): path
        for path in folder.glob(f"{prefix}*{ending}")
    }


def _kind(document: Any) -> str:
    other = document.get("other") if isinstance(document, dict) else None
    return str(other.get("type_str", "")) if isinstance(other, dict) else ""


def import_ant(
    folder: Path,
    output: Path,
    *,
    units: Sequence[str] = (),
    types: Sequence[str] = ("misc",),
    reference: str | None = None,
    clock: str | None = None,
) -> Iterator[str]:
    """Write the streams and epocs of `.ant` folders as those of this package.

    Parameters
    ----------
    folder : pathlib.Path
        An `.ant` folder, or a folder that holds several of one block.
    output : pathlib.Path
        Where ``{name}_stream.parquet``, ``{name}_epocs.parquet`` and their sidecars go.
    units, types : sequence of str
        Unit and type of the channels: ``V`` of all streams, ``NAME=V`` of one. A unit is never
        guessed: it is needed where the metadata have none.
    reference : str, optional
        The stream whose samples epocs count; see `bidsmill.streams.importing.reference_stream`.
    clock : str, optional
        Of the block; the name of the folder if absent.

    Yields
    ------
    str
        What was written, and what was taken to mean what.

    Raises
    ------
    BidsmillError
        If data and metadata contradict each other, or a unit is missing.
    """
    pairs = find_pairs(folder)
    streams = [pair for pair in pairs if not pair.is_epocs]
    names = [pair.name for pair in streams]
    unit_of, type_of = stated(units, "--unit", names), stated(types, "--type", names)
    clock = clock or folder.resolve().name.removesuffix(".ant")
    # All are checked before the first is written.
    checked = [
        (pair, *_core(pair, unit_of[pair.name] or None, type_of[pair.name] or "misc", clock))
        for pair in streams
    ]
    cores = {pair.name: core for pair, core, _ in checked}
    origin = reference_stream(cores, reference) if len(streams) < len(pairs) else None
    output.mkdir(parents=True, exist_ok=True)
    for pair, core, told in checked:
        yield from (f"{pair.name}: {text}" for text in told)
        write_blocks(output / stream_file(pair.name), core, _reader(pair.data, core))
        yield f"{stream_file(pair.name)}: {core.n_channels} channels, {core.n_samples} samples"
    for pair in pairs:
        if pair.is_epocs and origin is not None:
            table = _epocs(pair)
            source = _source(pair)
            yield from write_store_epocs(output, pair.name, table, origin, source=source)
            yield f"{stream_file(pair.name, kind='epocs')}: {len(table)} events"


def _core(pair: AntPair, unit: str | None, kind: str, clock: str) -> tuple[StreamCore, list[str]]:
    """Return the core of a stream, compared with its data file."""
    other = pair.document.get("other")
    other = other if isinstance(other, dict) else {}
    segment = other.get("segment_info")
    segment = segment if isinstance(segment, dict) else {}
    # A segment keeps the start of its block; where it begins in it stands beside.
    t0 = _seconds(other.get("start_time")) + _seconds(segment.get("segment_start_time"))
    core, told = core_of_base(
        pair.document, file=pair.metadata, units=unit, types=kind, clock=clock, t0=t0
    )
    core = replace(core, name=pair.name, source=_source(pair), other={READER: _plain(other)})
    _compare(pair, core)
    return core, told


def _seconds(value: Any) -> float:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if number and np.isfinite(value) else 0.0


def _plain(other: dict[str, Any]) -> dict[str, Any]:
    """Return what is free, without the path of the machine that wrote it."""
    return {key: value for key, value in other.items() if key != "save_path"}


def _source(pair: AntPair) -> dict[str, Any]:
    return {"uri": pair.data.name, "sha256": files.sha256_file(pair.data), "reader": READER}


def _compare(pair: AntPair, core: StreamCore) -> None:
    """Refuse a data file that is not what the metadata beside it say."""
    import pyarrow.parquet as pq

    footer = pq.read_metadata(pair.data)
    schema = footer.schema.to_arrow_schema()
    inside = {key.decode(): value.decode() for key, value in (footer.metadata or {}).items()}
    base = pair.document.get("base", pair.document.get("core")) or {}
    facts: list[tuple[str, Any, Any]] = [
        ("number_of_samples", core.n_samples, footer.num_rows),
        ("channel_names", [str(name) for name in base["channel_names"]], schema.names),
    ]
    if base.get("channel_types"):
        kinds = [_dtype(kind) for kind in schema.types]
        facts.append(("channel_types", [str(kind) for kind in base["channel_types"]], kinds))
    # In the Parquet file every value is text; one that is absent is `None`.
    if inside.get("fs", "None") != "None":
        facts.append(("fs", repr(core.sfreq), repr(_number(inside["fs"]))))
    if "number_of_samples" in inside:
        facts.append(("number_of_samples", str(core.n_samples), inside["number_of_samples"]))
    for field, beside, own in facts:
        if beside != own:
            raise BidsmillError(
                f"data and metadata differ in the field base.{field}",
                file=pair.data,
                found=own,
                expected=f"{beside}, as {pair.metadata.name} says",
                todo="find out which of the two files belongs here",
            )


def _dtype(kind: Any) -> str:
    return {"float": "float32", "double": "float64"}.get(str(kind), str(kind))


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def _reader(path: Path, core: StreamCore):
    """Return what reads spans of samples, forwards; one row group is held at a time."""
    import pyarrow.parquet as pq

    file = pq.ParquetFile(path)
    held: dict[str, Any] = {"group": -1, "start": 0, "data": np.empty((core.n_channels, 0))}

    def read(start: int, stop: int) -> np.ndarray:
        parts = []
        while start < stop:
            end = held["start"] + held["data"].shape[1]
            if start >= end:
                held["group"] += 1
                table = file.read_row_group(held["group"])
                held["start"] = end
                held["data"] = np.stack([column.to_numpy() for column in table.columns])
                continue
            last = min(stop, end)
            parts.append(held["data"][:, start - held["start"] : last - held["start"]])
            start = last
        return np.concatenate(parts, axis=1)

    return read


def _epocs(pair: AntPair) -> Any:
    import pyarrow.parquet as pq

    table = pq.read_table(pair.data)
    if sorted(table.column_names) != sorted(EPOC_COLUMNS):
        raise BidsmillError(
            "a file of epocs has other columns",
            file=pair.data,
            found=", ".join(table.column_names),
            expected=", ".join(EPOC_COLUMNS),
        )
    base = pair.document.get("base", pair.document.get("core")) or {}
    if "data_shape" in base and base["data_shape"] != [table.num_rows]:
        raise BidsmillError(
            "data and metadata differ in the field base.data_shape",
            file=pair.data,
            found=f"{table.num_rows} events",
            expected=f"{base['data_shape']}, as {pair.metadata.name} says",
        )
    return epoc_table(*(table[name].to_numpy() for name in EPOC_COLUMNS))
