"""Blocks of TDT, written here record by record, become streams and epocs."""

from __future__ import annotations

import importlib.util
import struct
from pathlib import Path

import numpy as np
import pytest
from absence import absent

from bidsmill.cli import main
from bidsmill.errors import BidsmillError
from bidsmill.formats.epocs import read_epocs
from bidsmill.formats.stream import StreamFile
from bidsmill.streams.tdt import import_tdt


@pytest.fixture(autouse=True, scope="module")
def _libraries():
    if not all(importlib.util.find_spec(name) for name in ("neo", "tdt")):
        absent("neo, or tdt, is not installed")


STREAM, STRON, STROFF, MARK = 0x8101, 0x101, 0x102, 0x8801
FORMATS = {"float32": 0, "int32": 1, "int16": 2, "int8": 3}
BEGIN = 1_700_000_000.0
POINTS = 256


def record(size, kind, store, channel, time, offset, form, rate) -> bytes:
    """Return one record of a .tsq file: 40 bytes, little-endian."""
    value = struct.pack("<d", offset) if isinstance(offset, float) else struct.pack("<q", offset)
    place = channel if isinstance(channel, tuple) else (channel, 0)
    head = struct.pack("<ii4sHHd", size, kind, store, *place, time)
    return head + value + struct.pack("<if", form, rate)


class Block:
    """A block in the making."""

    def __init__(self, folder: Path):
        self.folder, self.tev, self.stores = folder, b"", []
        self.records: list[tuple[float, bytes]] = []
        self.skipped: dict[tuple[str, int], int] = {}

    def add_stream(self, store: str, data: np.ndarray, rate: float, lost=()) -> None:
        """Add the samples of a store, shape (channels, n * POINTS); blocks `lost` come to none."""
        form = FORMATS[str(data.dtype)]
        size = 10 + POINTS * data.dtype.itemsize // 4
        for number in range(data.shape[1] // POINTS):
            if number in lost:
                continue
            time = BEGIN + 0.001 + number * POINTS / rate
            for channel, row in enumerate(data, 1):
                piece = row[number * POINTS : (number + 1) * POINTS].tobytes()
                entry = record(
                    size, STREAM, store.encode(), channel, time, len(self.tev), form, rate
                )
                self.records.append((time, entry))
                self.tev += piece
        self.stores.append((store, STREAM, len(data), POINTS, form, rate))

    def add_epocs(self, store: str, values, onsets, offsets) -> None:
        for value, onset, offset in zip(values, onsets, offsets, strict=True):
            ends = store[:3] + "/"
            for kind, time, name in ((STRON, onset, store), (STROFF, offset, ends)):
                if np.isfinite(time):
                    # The store of ends names that of its onsets.
                    of = struct.unpack("<HH", store.encode()) if kind == STROFF else (0, 0)
                    time += BEGIN
                    entry = record(10, kind, name.encode(), of, time, float(value), 4, 0.0)
                    self.records.append((time, entry))
        self.stores.append((store, STRON, 1, 1, 4, 0.0))

    def write(self) -> Path:
        self.folder.mkdir(parents=True)
        stem = self.folder / f"{self.folder.parent.name}_{self.folder.name}"
        ordered = [entry for _, entry in sorted(self.records, key=lambda pair: pair[0])]
        last = max(time for time, _ in self.records) + 1
        begin = record(10, MARK, b"\x01\0\0\0", 0, BEGIN, 0, 0, 0.0)
        end = record(10, MARK, b"\x02\0\0\0", 0, last, 0, 0, 0.0)
        first = record(40 * (len(ordered) + 3), 0, b"\0\0\0\0", 0, 0.0, 0, 0, 0.0)
        stem.with_suffix(".tsq").write_bytes(first + begin + b"".join(ordered) + end)
        stem.with_suffix(".tev").write_bytes(self.tev)
        stem.with_suffix(".tdx").write_bytes(b"")
        stem.with_suffix(".Tbk").write_text(self._header())
        return self.folder

    def _header(self) -> str:
        """Return the text of a .Tbk file: fields of each store, as the recorder lists them."""
        text = ""
        for name, kind, channels, points, form, rate in self.stores:
            fields = {
                "StoreName": ("S", name),
                "HeadName": ("S", f"{name}|{name}"),
                "Enabled": ("L", 1),
                "CircType": ("L", 0),
                "NumChan": ("L", channels),
                "StrobeMode": ("L", 2),
                "TankEvType": ("L", kind),
                "NumPoints": ("L", points),
                "DataFormat": ("L", form),
                "SampleFreq": ("D", rate),
            }
            text += "[STOREHDRITEM]\n" + "".join(
                f"NAME={key};TYPE={kind};VALUE={value};\n" for key, (kind, value) in fields.items()
            )
        return text + "[USERNOTEDELIMITER]\n[USERNOTEDELIMITER]\n"


FS, SLOW = 24414.0625, 1017.2526245117188
RNG = np.random.default_rng(4)
RAW = RNG.standard_normal((2, 40 * POINTS)).astype(np.float32)
WHOLE = (1000 * RNG.standard_normal((3, 4 * POINTS))).astype(np.int16)


@pytest.fixture
def block(tmp_path):
    made = Block(tmp_path / "tank" / "block-1")
    made.add_stream("RawG", RAW, FS)
    made.add_stream("Temp", WHOLE, SLOW)
    made.add_epocs("Tick", [1, 2, 5.5], [0.05, 0.1, 0.2], [0.07, 0.15, 0.25])
    return made


def test_every_store_of_a_block(block, tmp_path, capsys):
    out = tmp_path / "out"
    arguments = ["import-tdt", str(block.write()), str(out), "--unit", "V", "--unit", "Temp=°C"]
    assert main([*arguments, "--type", "RawG=emg", "--type", "Temp=temperature"]) == 0
    raw = StreamFile(out / "RawG_stream.parquet")
    np.testing.assert_array_equal(raw.numpy(), RAW)
    core = raw.core
    assert (core.sfreq, core.clock) == (FS, "tank_block-1")
    assert core.t0 == pytest.approx(0.001, abs=1e-6)
    assert [(c.name, c.type, c.unit, c.source_name) for c in core.channels] == [
        ("RawG-1", "emg", "V", "1"),
        ("RawG-2", "emg", "V", "2"),
    ]
    temperature = StreamFile(out / "Temp_stream.parquet")
    assert temperature.core.dtype == "int16"
    np.testing.assert_array_equal(temperature.numpy(), WHOLE.astype(np.float32))
    epocs = read_epocs(out / "Tick_epocs.parquet")
    assert epocs.core.ref_stream == "RawG" and epocs.core.clock == core.clock
    np.testing.assert_allclose(epocs.table["onset"], [0.05, 0.1, 0.2], atol=1e-6)
    np.testing.assert_allclose(epocs.table["duration"], [0.02, 0.05, 0.05], atol=1e-6)
    assert epocs.table["value"].tolist() == [1, 2, 5.5]
    assert epocs.table["code"].tolist()[:2] == [1, 2]
    assert "3 events" in capsys.readouterr().out


@pytest.mark.filterwarnings("ignore:tnt file", "ignore:Bad tbk")
def test_epocs_are_those_of_the_recorders_own_library(block, tmp_path):
    import tdt

    block.add_epocs("Cam1", [3, 4, 7], [0.06, 0.12, 0.18], [0.061, 0.121, 0.181])
    folder = block.write()
    theirs = tdt.read_block(str(folder), evtype=["epocs"]).epocs
    list(import_tdt(folder, tmp_path / "out", units=["V"]))
    for name in ("Tick", "Cam1"):
        table = read_epocs(tmp_path / "out" / f"{name}_epocs.parquet").table
        # It rounds to the clock of its recorders, 390625 Hz.
        step = 1 / 390625
        np.testing.assert_allclose(table["onset"], theirs[name].onset, atol=step, rtol=0)
        ends = table["onset"] + table["duration"]
        np.testing.assert_allclose(ends, theirs[name].offset, atol=step, rtol=0)
        np.testing.assert_array_equal(table["value"], theirs[name].data)


def test_an_onset_without_an_end_has_no_duration(block, tmp_path):
    block.add_epocs("Cam1", [1, 2, 3, 4], [0.06, 0.1, 0.2, 0.3], [0.08, np.inf, 0.25, np.inf])
    list(import_tdt(block.write(), tmp_path / "out", units=["V"]))
    table = read_epocs(tmp_path / "out" / "Cam1_epocs.parquet").table
    assert table["duration"].isna().tolist() == [False, True, False, True]


def test_a_block_is_read_in_pieces(block, tmp_path, monkeypatch):
    from bidsmill.streams import importing

    # Pieces that begin and end inside of the blocks of the recorder.
    monkeypatch.setattr(importing, "BLOCK_VALUES", 2 * 611)
    list(import_tdt(block.write(), tmp_path / "out", units=["V"]))
    np.testing.assert_array_equal(StreamFile(tmp_path / "out" / "RawG_stream.parquet").numpy(), RAW)


def cut_samples(folder):
    path = next(folder.glob("*.tev"))
    path.write_bytes(path.read_bytes()[:-100])


def cut_index(folder):
    path = next(folder.glob("*.tsq"))
    path.write_bytes(path.read_bytes()[:-7])


def lose_index(folder):
    next(folder.glob("*.tsq")).unlink()


def one_separate_file(folder):
    (folder / "tank_block-1_RawG_ch1.sev").write_bytes(b"\0" * 100)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (cut_samples, r"samples of the block end early.*for (RawG|Temp), channel \d"),
        (cut_index, "index of the block is cut"),
        (lose_index, "no single block.*0 files .tsq"),
        (one_separate_file, r"have .sev files, this one has none"),
    ],
)
def test_a_damaged_block_is_refused(block, tmp_path, damage, message):
    folder = block.write()
    damage(folder)
    with pytest.raises(BidsmillError, match=message):
        list(import_tdt(folder, tmp_path / "out", units=["V"]))
    assert not (tmp_path / "out").exists()


def test_missing_samples_are_refused(tmp_path):
    made = Block(tmp_path / "tank" / "block-1")
    made.add_stream("RawG", RAW, FS, lost=(7, 8))
    with pytest.raises(BidsmillError, match=r"samples are missing.*block 7 of 38"):
        list(import_tdt(made.write(), tmp_path / "out", units=["V"]))


def test_a_unit_is_never_guessed(block, tmp_path):
    with pytest.raises(BidsmillError, match=r"TDT states no units.*Temp"):
        list(import_tdt(block.write(), tmp_path / "out", units=["RawG=V"]))


def test_a_block_without_epocs(tmp_path):
    made = Block(tmp_path / "tank" / "block-1")
    made.add_stream("RawG", RAW, FS)
    list(import_tdt(made.write(), tmp_path / "out", units=["V"]))
    assert sorted(p.name for p in (tmp_path / "out").glob("*.parquet")) == ["RawG_stream.parquet"]
