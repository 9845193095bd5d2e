"""Read blocks of Tucker-Davis Technologies, store by store, in bounded memory.

neo maps the samples (the extra ``tdt``). It says nothing when a block was cut short or samples are
missing: that is checked here, in the index (``.tsq``), which holds the epocs, too.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from bidsmill.errors import BidsmillError
from bidsmill.formats import files
from bidsmill.formats.stream_core import DTYPES, StreamChannel, StreamCore
from bidsmill.formats.stream_names import stream_file
from bidsmill.streams.importing import (
    epoc_table,
    reference_stream,
    stated,
    write_blocks,
    write_store_epocs,
)
from bidsmill.version import __version__

# The records of a .tsq file and its types (TDT OpenEx, "Offline Analysis Tools"; the same in neo).
INDEX = np.dtype(
    [
        ("size", "<i4"),
        ("kind", "<i4"),
        ("store", "S4"),
        ("channel", "<u2"),
        ("sortcode", "<u2"),
        ("timestamp", "<f8"),
        ("offset", "<i8"),
        ("format", "<i4"),
        ("frequency", "<f4"),
    ]
)
STREAM, ONSET, END, SCALAR, SNIP, KIND_MASK = 0x8101, 0x101, 0x102, 0x201, 0x8201, 0xFF0F
START_OF_BLOCK = b"\x01"
HEADER_WORDS, WORD = 10, 4
NUMPY_TYPES = {0: "float32", 1: "int32", 2: "int16", 3: "int8", 4: "float64"}
NEEDED = (".tbk", ".tdx", ".tev", ".tsq")
# A block of samples may come this share of its length early or late.
JITTER = 0.5


def import_tdt(
    block: Path,
    output: Path,
    *,
    units: Sequence[str] = (),
    types: Sequence[str] = ("misc",),
    reference: str | None = None,
) -> Iterator[str]:
    """Write every stream store and epoc store of a block.

    Parameters
    ----------
    block : pathlib.Path
        The folder of the block.
    output : pathlib.Path
        Where ``{store}_stream.parquet``, ``{store}_epocs.parquet`` and their sidecars go.
    units, types : sequence of str
        Unit and type of the channels: ``V`` of all stores, ``RawG=V`` of one. TDT states no
        units, and none is guessed.
    reference : str, optional
        The stream whose samples epocs count; see `bidsmill.streams.importing.reference_stream`.

    Yields
    ------
    str
        What was written.

    Raises
    ------
    BidsmillError
        If the extra is not installed, a file is missing or cut, samples are missing, or no unit
        is stated.
    """
    header = _header_file(block)
    index = _index(header)
    reader = _reader(header)
    names = [str(name) for name in reader.header["signal_streams"]["name"]]
    _check_samples(header, index, names)
    unit_of, type_of = stated(units, "--unit", names), stated(types, "--type", names)
    cores = {
        name: _core(reader, number, name, header, unit_of[name], type_of[name] or "misc")
        for number, name in enumerate(names)
    }
    epocs = _epoc_stores(index)
    origin = reference_stream(cores, reference) if epocs else None
    output.mkdir(parents=True, exist_ok=True)
    for number, (name, core) in enumerate(cores.items()):
        write_blocks(output / stream_file(name), core, _samples(reader, number))
        yield f"{stream_file(name)}: {core.n_channels} channels, {core.n_samples} samples"
    for name, table in epocs.items():
        assert origin is not None
        source = {"uri": header.name, "reader": "bidsmill", "reader_version": __version__}
        yield from write_store_epocs(output, name, table, origin, source=source)
        yield f"{stream_file(name, kind='epocs')}: {len(table)} events"
    yield from _left_out(index)


def _header_file(block: Path) -> Path:
    """Return the .Tbk file of a block, all of whose files are there."""
    if not block.is_dir():
        raise BidsmillError("there is no such block", file=block, expected="a folder")
    found = {
        ending: [p for p in block.iterdir() if p.suffix.lower() == ending] for ending in NEEDED
    }
    for ending, paths in found.items():
        if len(paths) != 1:
            raise BidsmillError(
                "this is no single block of TDT",
                file=block,
                found=f"{len(paths)} files {ending}",
                expected=f"one of each of {', '.join(NEEDED)}",
            )
    return found[".tbk"][0]


def _reader(header: Path) -> Any:
    try:
        from neo.rawio import TdtRawIO
    except ImportError as error:
        raise BidsmillError(
            "blocks of TDT are read by the extra `tdt`, which is not installed",
            found=f"no module {error.name}",
            todo="pip install 'bidsmill[tdt]'",
        ) from None
    try:
        with warnings.catch_warnings():
            # Which samples lie in .sev files is checked here by their names.
            warnings.simplefilter("ignore")
            reader = TdtRawIO(str(header))
            reader.parse_header()
    except Exception as error:
        raise BidsmillError(
            "the block cannot be read", file=header, found=f"{type(error).__name__}: {error}"
        ) from None
    return reader


def _index(header: Path) -> np.ndarray:
    (path,) = [p for p in header.parent.iterdir() if p.suffix.lower() == ".tsq"]
    size = path.stat().st_size
    if size == 0 or size % INDEX.itemsize:
        raise BidsmillError(
            "the index of the block is cut",
            file=path,
            found=f"{size} bytes",
            expected=f"whole records of {INDEX.itemsize} bytes",
        )
    index = np.memmap(path, INDEX, "r")
    if not (index["store"] == START_OF_BLOCK).any():
        raise BidsmillError("the index of the block lacks its beginning", file=path)
    return index


def _check_samples(header: Path, index: np.ndarray, names: list[str]) -> None:
    """Refuse a block whose samples end early, have gaps, or lie in files that others share."""
    folder = header.parent
    (tev,) = [p for p in folder.iterdir() if p.suffix.lower() == ".tev"]
    streams = index[(index["kind"] & KIND_MASK) == STREAM]
    separate = sorted(p.name for p in folder.iterdir() if p.suffix.lower() == ".sev")
    for name in names:
        own = streams[streams["store"] == name.encode()]
        if len(own) == 0:
            raise BidsmillError("a store holds no samples", file=tev, found=name)
        for channel in np.unique(own["channel"]).tolist():
            part = own[own["channel"] == channel]
            _check_channel(tev, name, channel, part, bool(separate))
            wanted = f"_{name}_ch{channel}.sev".lower()
            if separate and not any(file.lower().endswith(wanted) for file in separate):
                raise BidsmillError(
                    "some stores of the block have .sev files, this one has none",
                    file=tev,
                    found=f"{name}, channel {channel}",
                    expected=f"a file *{wanted}",
                )


def _check_channel(tev: Path, name: str, channel: int, part: np.ndarray, separate: bool) -> None:
    kind = np.dtype(NUMPY_TYPES.get(int(part["format"][0]), "float32"))
    lengths = (part["size"].astype(np.int64) - HEADER_WORDS) * WORD
    where = f"{name}, channel {channel}"
    ends = part["offset"] + lengths
    if not separate and int(ends.max()) > tev.stat().st_size:
        raise BidsmillError(
            "the samples of the block end early",
            file=tev,
            found=f"{tev.stat().st_size} bytes",
            expected=f"{int(ends.max())} for {where}",
            todo="copy the block again",
        )
    if len(set(part["size"].tolist())) > 1 or len(set(part["frequency"].tolist())) > 1:
        raise BidsmillError("a store changes its block length or rate", file=tev, found=where)
    seconds = lengths[0] / kind.itemsize / float(part["frequency"][0])
    places = part["timestamp"] - part["timestamp"][0] - np.arange(len(part)) * seconds
    late = np.flatnonzero(np.abs(places) > JITTER * seconds)
    if len(late):
        first = int(late[0])
        raise BidsmillError(
            "samples are missing in the block",
            file=tev,
            found=f"{where}: block {first} of {len(part)} comes {places[first]:.4g} s late",
            expected=f"one every {seconds:.6g} s",
            todo="import the parts before and behind it as blocks of their own",
        )


def _core(reader: Any, number: int, name: str, header: Path, unit: str, kind: str) -> StreamCore:
    if not unit:
        raise BidsmillError(
            "TDT states no units, and none is guessed",
            file=header,
            found=f"the store {name}",
            expected=f"--unit V, or --unit {name}=V",
        )
    own = reader.header["signal_channels"]
    own = own[own["stream_id"] == reader.header["signal_streams"]["id"][number]]
    dtype = str(np.dtype(own["dtype"][0]))
    return StreamCore(
        name=name,
        sfreq=float(reader.get_signal_sampling_rate(stream_index=number)),
        n_samples=int(reader.get_signal_size(0, 0, stream_index=number)),
        channels=tuple(
            StreamChannel(f"{name}-{channel}", kind, unit, source_name=str(channel))
            for channel in own["id"]
        ),
        clock=header.stem,
        t0=float(reader.get_signal_t_start(0, 0, stream_index=number)),
        dtype=dtype if dtype in DTYPES else "float32",
        source={
            "uri": header.name,
            "sha256": _sha256(header.parent),
            "reader": "neo TdtRawIO",
            "reader_version": version("neo"),
        },
    )


def _sha256(folder: Path) -> str:
    """Return one hash of all files of a block that hold its samples."""
    endings = (*NEEDED, ".sev")
    paths = sorted(p for p in folder.iterdir() if p.suffix.lower() in endings)
    return files.canonical_sha256({path.name: files.sha256_file(path) for path in paths})


def _samples(reader: Any, number: int):
    def read(start: int, stop: int) -> np.ndarray:
        chunk = reader.get_analogsignal_chunk(
            block_index=0, seg_index=0, i_start=start, i_stop=stop, stream_index=number
        )
        return np.ascontiguousarray(chunk.T)

    return read


def _epoc_stores(index: np.ndarray) -> dict[str, Any]:
    """Return the tables of all epoc stores by name.

    An onset has the value in the place of the offset, as a double; an end has a store of its own,
    which names that of its onsets where others have channel and sort code. An onset ends with the
    first end before the next onset; one without such an end has no duration.
    """
    begin = float(index["timestamp"][index["store"] == START_OF_BLOCK][0])
    onsets = index[(index["kind"] & KIND_MASK) == ONSET]
    ends = index[(index["kind"] & KIND_MASK) == END]
    partners = np.stack([ends["channel"], ends["sortcode"]], axis=1).astype("<u2").view("S4")[:, 0]
    found = {}
    for store in np.unique(onsets["store"]):
        own = onsets[onsets["store"] == store]
        times = own["timestamp"] - begin
        stops = np.sort(ends["timestamp"][partners == store]) - begin
        place = np.searchsorted(stops, times, side="left")
        stop = np.append(stops, np.inf)[place]
        stop[:-1][stop[:-1] > times[1:]] = np.inf
        values = np.ascontiguousarray(own["offset"]).view("<f8")
        found[store.decode("cp437")] = epoc_table(values, times, stop)
    return found


def _left_out(index: np.ndarray) -> Iterator[str]:
    for kind, what in ((SNIP, "snippets of spikes"), (SCALAR, "scalars")):
        stores = np.unique(index["store"][(index["kind"] & KIND_MASK) == kind])
        if len(stores):
            names = ", ".join(store.decode("cp437") for store in stores)
            yield f"not imported, {what}: {names}"
