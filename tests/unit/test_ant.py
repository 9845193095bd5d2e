"""dspAnt's `.ant` folders, written as its converter writes them, become streams and epocs."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bidsmill.cli import main
from bidsmill.errors import BidsmillError
from bidsmill.formats.epocs import read_epocs
from bidsmill.formats.stream import StreamFile
from bidsmill.streams.ant import import_ant

FS = 24414.0625
DATA = np.random.default_rng(1).standard_normal((2, 5000)).astype(np.float32)


def stringified(value):
    return json.dumps(value) if isinstance(value, list | dict) else str(value)


def write_stream_ant(folder, name="RawG", data=DATA, fs=FS, segment=None, key="base", **base):
    """Write `NAME.ant` as dspAnt does: flattened text metadata, snappy, position as name."""
    place = folder / f"{name}.ant"
    place.mkdir(parents=True, exist_ok=True)
    channels = [str(index) for index in range(len(data))]
    core = {
        "name": name,
        "fs": fs,
        "number_of_samples": data.shape[1],
        "data_shape": list(data.shape),
        "channel_numbers": len(data),
        "channel_names": channels,
        "channel_types": [str(data.dtype)] * len(data),
        **base,
    }
    other = {
        "code": 1199006034,
        "size": 2058,
        "type": 33025,
        "type_str": "streams",
        "ucf": "False",
        "dform": 0,
        "start_time": 0.0,
        "channel": ["1", "2"],
    }
    suffix = ""
    if segment:
        start, end = segment
        suffix = f"_t{start:.1f}-{end:.1f}".replace(".", "_")
        other["segment_info"] = {
            "original_samples": 10**6,
            "segment_start_time": start,
            "segment_end_time": end,
            "segment_start_sample": int(start * fs),
            "segment_end_sample": int(end * fs),
            "segment_duration": end - start,
        }
    table = pa.table(dict(zip(channels, data, strict=True)))
    flat = {k: stringified(v) for k, v in {**core, **other}.items()}
    path = place / f"data_{name}{suffix}.parquet"
    pq.write_table(table.replace_schema_metadata(flat), path, compression="snappy")
    other["save_path"] = "home/somebody/secret"
    document = {"source": "StructType", key: core, "other": other}
    (place / f"metadata_{name}{suffix}.json").write_text(json.dumps(document, indent=4))
    return place


def write_epoc_ant(folder, name="Tick", onset=(0.01, 0.05, 0.1), offset=(0.02, 0.07, np.inf)):
    place = folder / f"{name}.ant"
    place.mkdir(parents=True)
    onset = np.array(onset)
    values = np.arange(1.0, len(onset) + 1)
    rows = np.vstack([values, onset, np.array(offset)])
    table = pa.table(dict(zip(["data", "onset", "offset"], rows, strict=True)))
    pq.write_table(table, place / f"data_{name}.parquet", compression="snappy")
    document = {
        "source": "StructType",
        "base": {"name": name, "data_shape": [len(onset)]},
        "other": {
            "name": name,
            "onset": str(bool(onset.any())),
            "offset": "True",
            "type": "onset",
            "type_str": "epocs",
            "dform": 4,
            "size": 10,
        },
        "save_path": "home/somebody/secret",
    }
    (place / f"metadata_{name}.json").write_text(json.dumps(document, indent=4))


def test_a_block_of_stream_and_epocs(tmp_path, capsys):
    block = tmp_path / "drv_block-1"
    write_stream_ant(block)
    write_epoc_ant(block)
    arguments = ["import-ant", str(block), str(tmp_path / "out"), "--unit", "mV", "--type", "emg"]
    assert main(arguments) == 0
    stream = StreamFile(tmp_path / "out" / "RawG_stream.parquet")
    np.testing.assert_array_equal(stream.numpy(), DATA)
    core = stream.core
    assert (core.sfreq, core.clock, core.t0, core.name) == (FS, "drv_block-1", 0.0, "RawG")
    assert [(c.name, c.type, c.unit, c.scale_to_si) for c in core.channels] == [
        ("0", "emg", "mV", 1e-3),
        ("1", "emg", "mV", 1e-3),
    ]
    # The tree of the machine that wrote it stays there.
    assert "secret" not in json.dumps(core.sidecar())
    assert core.other["dspant"]["code"] == 1199006034
    epocs = read_epocs(tmp_path / "out" / "Tick_epocs.parquet")
    assert epocs.core.clock == "drv_block-1" and epocs.core.ref_stream == "RawG"
    table = epocs.table
    assert table["onset"].tolist() == [0.01, 0.05, 0.1]
    assert table["duration"].tolist()[:2] == pytest.approx([0.01, 0.02])
    assert pd.isna(table["duration"].iloc[2])
    assert table["code"].tolist() == [1, 2, 3]
    assert table["onset_sample"].tolist() == [round(t * FS) for t in (0.01, 0.05, 0.1)]
    assert "RawG_stream.parquet: 2 channels, 5000 samples" in capsys.readouterr().out


def test_segments_are_streams_of_their_own(tmp_path):
    write_stream_ant(tmp_path, data=DATA[:, :1000], segment=(0.0, 0.5))
    write_stream_ant(tmp_path, data=DATA[:, 1000:1500], segment=(1.5, 2.0))
    list(import_ant(tmp_path / "RawG.ant", tmp_path / "out", units=["V"]))
    later = StreamFile(tmp_path / "out" / "RawG_t1_5-2_0_stream.parquet")
    np.testing.assert_array_equal(later.numpy(), DATA[:, 1000:1500])
    assert later.core.t0 == 1.5
    first = StreamFile(tmp_path / "out" / "RawG_t0_0-0_5_stream.parquet")
    assert first.core.t0 == 0.0 and first.core.clock == later.core.clock
    assert len(list((tmp_path / "out").glob("*.parquet"))) == 2


def test_core_in_place_of_base_and_its_units(tmp_path):
    write_stream_ant(tmp_path, key="core", channel_units=["mV", "µV"])
    list(import_ant(tmp_path, tmp_path / "out"))
    channels = StreamFile(tmp_path / "out" / "RawG_stream.parquet").core.channels
    assert [channel.unit for channel in channels] == ["mV", "µV"]


def test_whole_numbers_stay_whole_numbers(tmp_path):
    data = (DATA * 1000).astype(np.int16)
    write_stream_ant(tmp_path, data=data)
    list(import_ant(tmp_path, tmp_path / "out", units=["RawG=µV"]))
    path = tmp_path / "out" / "RawG_stream.parquet"
    assert {str(kind) for kind in pq.read_schema(path).types} == {"int16"}
    np.testing.assert_array_equal(StreamFile(path).numpy(), data.astype(np.float32))


def test_many_row_groups_are_read_in_pieces(tmp_path, monkeypatch):
    place = write_stream_ant(tmp_path)
    path = place / "data_RawG.parquet"
    table = pq.read_table(path)
    pq.write_table(table, path, compression="snappy", row_group_size=777)
    from bidsmill.streams import importing

    monkeypatch.setattr(importing, "BLOCK_VALUES", 2 * 1000)
    list(import_ant(tmp_path, tmp_path / "out", units=["V"]))
    np.testing.assert_array_equal(
        StreamFile(tmp_path / "out" / "RawG_stream.parquet").numpy(), DATA
    )


def test_two_stores_have_their_own_units_and_the_fastest_is_counted(tmp_path):
    write_stream_ant(tmp_path, "Slow", DATA[:1, :500], 1000.0)
    write_stream_ant(tmp_path, "Fast", DATA, FS)
    write_epoc_ant(tmp_path)
    options = {"units": ["V", "Slow=°C"], "types": ["emg", "Slow=temperature"]}
    list(import_ant(tmp_path, tmp_path / "out", **options))
    assert StreamFile(tmp_path / "out" / "Slow_stream.parquet").core.channels[0].unit == "°C"
    assert read_epocs(tmp_path / "out" / "Tick_epocs.parquet").core.ref_stream == "Fast"
    list(import_ant(tmp_path, tmp_path / "two", reference="Slow", **options))
    assert read_epocs(tmp_path / "two" / "Tick_epocs.parquet").core.ref_sfreq == 1000.0


def remove_metadata(folder):
    (folder / "RawG.ant" / "metadata_RawG.json").unlink()


def swap_metadata(folder):
    """Leave two segments with the metadata of each other, which dspAnt may open as a pair."""
    write_stream_ant(folder, data=DATA[:, :100], segment=(0.0, 0.5))
    place = folder / "RawG.ant"
    (place / "metadata_RawG_t0_0-0_5.json").write_text((place / "metadata_RawG.json").read_text())


def change(key, value):
    def write(folder):
        path = folder / "RawG.ant" / "metadata_RawG.json"
        document = json.loads(path.read_text())
        document["base"][key] = value
        path.write_text(json.dumps(document))

    return write


def only_epocs(folder):
    write_epoc_ant(folder)
    for path in (folder / "RawG.ant").iterdir():
        path.unlink()
    (folder / "RawG.ant").rmdir()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (remove_metadata, "lacks the other of its pair.*expected: metadata_RawG.json"),
        (swap_metadata, "base.number_of_samples.*found: 100; expected: 5000"),
        (change("fs", "banana"), "base.fs"),
        (change("fs", 1000.0), r"differ in the field base.fs.*found: 24414.0625.*1000.0"),
        (change("number_of_samples", -3), "base.number_of_samples"),
        (change("number_of_samples", 4999), "base.data_shape|base.number_of_samples"),
        (change("channel_names", ["a", "b"]), "base.channel_names"),
        (change("channel_types", ["int16", "int16"]), "base.channel_types"),
        (only_epocs, "epocs need a stream"),
    ],
)
def test_what_contradicts_itself_is_refused(tmp_path, damage, message):
    write_stream_ant(tmp_path)
    damage(tmp_path)
    with pytest.raises(BidsmillError, match=message):
        list(import_ant(tmp_path, tmp_path / "out", units=["V"]))
    assert not list(tmp_path.glob("out/*"))


def test_a_unit_is_never_guessed(tmp_path, capsys):
    write_stream_ant(tmp_path)
    assert main(["import-ant", str(tmp_path), str(tmp_path / "out")]) == 1
    assert "base.channel_units" in capsys.readouterr().err
    with pytest.raises(BidsmillError, match=r"--unit names a stream that is not there.*RawH=V"):
        list(import_ant(tmp_path, tmp_path / "out", units=["RawH=V"]))


def test_nothing_to_import(tmp_path):
    with pytest.raises(BidsmillError, match="nothing to import"):
        list(import_ant(tmp_path, tmp_path / "out"))
