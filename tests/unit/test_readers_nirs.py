"""SNIRF: what MNE reads, and what it would read as something else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bidsmill.bids.channels import describe_channels
from bidsmill.bids.reading import open_recording
from bidsmill.bids.recordings import find_recordings
from bidsmill.bids.repairs import Repairs
from bidsmill.errors import RecordingProblem

RATE, N = 12.5, 200
DATA = 1 + 0.01 * np.random.default_rng(2).standard_normal((N, 4))
NAMES = ["S1_D1 760", "S1_D1 850", "S1_D2 760", "S1_D2 850"]


def write_snirf(path, data=DATA, times=None, kinds=(1, 1, 1, 1), units=("V",) * 4, **own) -> Path:
    """Write the smallest file that the specification allows."""
    import h5py

    text = h5py.string_dtype("ascii")
    with h5py.File(path, "w") as file:
        file.create_dataset("formatVersion", data="1.1", dtype=text)
        nirs = file.create_group("nirs")
        tags = {"SubjectID": "01", "MeasurementDate": "2020-01-01", "LengthUnit": "mm"}
        tags |= {"MeasurementTime": "10:00:00Z", "TimeUnit": "s", "FrequencyUnit": "Hz"}
        for key, value in (tags | own.get("tags", {})).items():
            nirs.create_dataset(f"metaDataTags/{key}", data=value, dtype=text)
        nirs["probe/wavelengths"] = [760.0, 850.0]
        nirs["probe/sourcePos3D"] = [[0.0, 0.0, 0.0]]
        nirs["probe/detectorPos3D"] = [[30.0, 0.0, 0.0], [0.0, 30.0, 0.0]]
        nirs["data1/dataTimeSeries"] = data
        nirs["data1/time"] = np.arange(len(data)) / RATE if times is None else times
        for index, (kind, unit) in enumerate(zip(kinds, units, strict=True)):
            place = f"data1/measurementList{index + 1}"
            nirs[f"{place}/sourceIndex"] = 1
            nirs[f"{place}/detectorIndex"] = 1 + index // 2
            nirs[f"{place}/wavelengthIndex"] = 1 + index % 2
            nirs[f"{place}/dataType"] = kind
            nirs[f"{place}/dataTypeIndex"] = 1
            nirs.create_dataset(f"{place}/dataUnit", data=unit, dtype=text)
        nirs.create_dataset("stim1/name", data="tap", dtype=text)
        nirs["stim1/data"] = [[2.0, 0.5, 1.0], [8.0, 0.5, 1.0]]
        for place, value in own.get("extra", {}).items():
            file[place] = value
        for place in own.get("without", ()):
            del file[place]
    return Path(path)


def refused(folder: Path, **rules) -> RecordingProblem:
    with pytest.raises(RecordingProblem) as raised:
        open_recording(folder, "a_nirs.snirf", Repairs(**rules))
    return raised.value


def test_a_healthy_file_gives_what_was_written(tmp_path):
    write_snirf(tmp_path / "a_nirs.snirf")
    opened = open_recording(tmp_path, "a_nirs.snirf")
    assert np.array_equal(opened.raw.get_data(), DATA.T)
    assert opened.names == NAMES and opened.sfreq == RATE and opened.n_times == N
    assert opened.types == ["fnirs_cw_amplitude"] * 4 and opened.units == ["V"] * 4
    assert [(m.onset, m.duration, m.description) for m in opened.annotations] == [
        (2.0, 0.5, "tap"),
        (8.0, 0.5, "tap"),
    ]
    assert opened.repairs == []


def test_milliseconds_and_millivolts(tmp_path):
    times = np.arange(N) / RATE * 1000
    tags = {"TimeUnit": "ms"}
    write_snirf(tmp_path / "a_nirs.snirf", times=times, units=("mV",) * 4, tags=tags)
    opened = open_recording(tmp_path, "a_nirs.snirf")
    assert opened.sfreq == RATE
    np.testing.assert_allclose(opened.raw.get_data(), DATA.T / 1000, rtol=1e-12)


@pytest.mark.parametrize(
    ("kind", "meaning", "channels"),
    [
        *[(301, "moments", 3552), (301, "moments", 4), (201, "gated", 4)],
        *[(101, "frequency-domain", 4), (77, "specification", 4)],
    ],
)
def test_other_physics_is_never_called_continuous_wave(tmp_path, kind, meaning, channels):
    data = np.ones((5, channels))
    write_snirf(tmp_path / "a_nirs.snirf", data, None, (kind,) * channels, ("V",) * channels)
    found = refused(tmp_path)
    assert found.code == "unsupported_format"
    assert f"data type {kind} (" in found.found and meaning in found.found
    assert f"{channels} channels" in found.found


@pytest.mark.parametrize(
    "own",
    [
        {"kinds": (1, 1, 1, 99999)},
        {"units": ("V", "V", "V", "mV")},
        {"kinds": (1, 301, 1, 1)},
        {"extra": {"nirs/data2/time": [0.0]}},
        {"extra": {"nirs2/data1/time": [0.0]}},
    ],
)
def test_what_mne_would_take_from_the_first_channel_or_block_only(tmp_path, own):
    write_snirf(tmp_path / "a_nirs.snirf", **own)
    assert refused(tmp_path).code == "unsupported_format"


def test_two_times_are_no_rate(tmp_path):
    write_snirf(tmp_path / "a_nirs.snirf", times=[0.0, 1 / RATE])
    found = refused(tmp_path)
    assert found.code == "unsupported_format"
    assert found.found == "2 times for 200 samples: 0 s, 0.08 s"
    opened = open_recording(tmp_path, "a_nirs.snirf", Repairs(allow=["snirf_two_times"]))
    assert opened.sfreq == RATE and np.array_equal(opened.raw.get_data(), DATA.T)
    assert [note["rule"] for note in opened.repairs] == ["snirf_two_times"]


def test_a_gap_in_the_times_is_refused_with_its_place(tmp_path):
    times = np.arange(N) / RATE
    times[150:] += 3.0
    write_snirf(tmp_path / "a_nirs.snirf", times=times)
    found = refused(tmp_path)
    assert found.code == "unsupported_format" and "sample 149 at 11.92 s" in found.found


@pytest.mark.parametrize("times", [np.zeros(N), np.arange(N - 1) / RATE, np.full(N, np.nan)])
def test_times_that_give_no_rate(tmp_path, times):
    write_snirf(tmp_path / "a_nirs.snirf", times=times)
    assert refused(tmp_path).code == "unsupported_format"


def test_small_jitter_is_told_and_does_not_bend_the_rate(tmp_path):
    # The mean of 1 / period, which MNE takes, would be 12.6 Hz and more here.
    jitter = np.random.default_rng(0).uniform(-0.2, 0.2, N)
    jitter[[0, -1]] = 0
    write_snirf(tmp_path / "a_nirs.snirf", times=(np.arange(N) + jitter) / RATE)
    opened = open_recording(tmp_path, "a_nirs.snirf")
    assert opened.sfreq == RATE and np.array_equal(opened.raw.get_data(), DATA.T)
    assert any("of a period off an even grid" in text for text in opened.warnings)


@pytest.mark.parametrize(
    ("own", "code"),
    [
        ({"data": DATA.T}, "unreadable"),
        ({"data": DATA[:, :3]}, "unreadable"),
        ({"data": DATA[:, 0]}, "unreadable"),
        ({"data": DATA[:0]}, "no_samples"),
        ({"tags": {"TimeUnit": "min"}}, "unreadable"),
        ({"without": ["nirs/data1/dataTimeSeries"]}, "unreadable"),
        ({"without": ["nirs/data1/time"]}, "unreadable"),
        ({"without": ["nirs/data1/measurementList2"]}, "unreadable"),
        ({"without": ["nirs/data1/measurementList2/dataType"]}, "unreadable"),
        ({"without": ["nirs/probe/wavelengths"]}, "unreadable"),
        ({"without": ["nirs/metaDataTags/TimeUnit"]}, "unreadable"),
        ({"without": ["nirs/data1"]}, "unsupported_format"),
        ({"without": ["nirs"]}, "unsupported_format"),
    ],
)
def test_arrays_that_do_not_fit(tmp_path, own, code):
    write_snirf(tmp_path / "a_nirs.snirf", **own)
    found = refused(tmp_path)
    assert found.code == code
    if own.get("data") is not None and code == "unreadable":
        assert f"shape {own['data'].shape}, 4 channels" in found.found


def test_offsets_of_channels_are_told(tmp_path):
    write_snirf(tmp_path / "a_nirs.snirf", extra={"nirs/data1/dataOffset": np.ones(4)})
    opened = open_recording(tmp_path, "a_nirs.snirf")
    assert any("offsets of its channels" in text for text in opened.warnings)


def test_other_names_in_channels_tsv_are_a_conflict_and_rename_nothing(tmp_path):
    write_snirf(tmp_path / "a_nirs.snirf")
    rows = [f"S1-D{1 + i // 2} {w}\tNIRSCWAMPLITUDE\tV" for i, w in enumerate([760, 850] * 2)]
    (tmp_path / "a_channels.tsv").write_text("\n".join(["name\ttype\tunits", *rows]) + "\n")
    opened = open_recording(tmp_path, "a_nirs.snirf")
    channels, conflicts = describe_channels(opened, tmp_path, {"channels.tsv": ["a_channels.tsv"]})
    assert [c.source_name for c in channels] == NAMES
    assert {c.type for c in channels} == {"fnirs_cw_amplitude"}
    assert any("S1-D1 760" in text and "S1_D1 760" in text for text in conflicts)


@pytest.mark.parametrize(("extension", "name"), [(".nwb", "NWB"), (".mefd", "MEF3")])
def test_formats_without_a_reader_are_recognised_and_said(tmp_path, extension, name):
    path = f"sub-01/ieeg/sub-01_task-x_ieeg{extension}"
    files = [path] if extension == ".nwb" else [f"{path}/a.timd/a-000000.segd/a-000000.tdat"]
    (recording,) = find_recordings(files)
    assert recording.data == path
    with pytest.raises(RecordingProblem) as raised:
        open_recording(tmp_path, recording.data)
    assert raised.value.code == "unsupported_format" and name in raised.value.what
