"""EEGLAB files as they are found: the samples that were written, or an exact reason."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from bids_cases import brain_like, write_eeglab, write_tsv
from hypothesis import given, settings
from hypothesis import strategies as st

from bidsmill.bids.readers.eeglab_samples import (
    BLOCK_BYTES,
    ArraySamples,
    FileSamples,
    raw_class,
)
from bidsmill.bids.reading import OpenRecording, open_recording
from bidsmill.bids.repairs import Repairs
from bidsmill.convert.rows import find_boundaries
from bidsmill.convert.windows import find_cuts
from bidsmill.errors import RecordingProblem

SFREQ = 128.0
NAMES = ["Fz", "Cz", "Pz"]
DATA = brain_like(3, 400, seed=5)
EVENTS = [("face", 100, 0), ("boundary", 249.5, 20), ("3", 300, 64)]
# float32 µV.
CLOSE = {"rtol": 2e-7, "atol": 1e-13}
EPOCHS = {"trials": 4.0, "pnts": 100.0}


def opened(folder: Path, *allow: str, refuse=(), name="a_eeg.set") -> OpenRecording:
    return open_recording(folder, name, Repairs(allow, refuse))


def values(recording: OpenRecording) -> np.ndarray:
    return recording.raw.get_data()


def rules(recording: OpenRecording) -> list[str]:
    return [note["rule"] for note in recording.repairs]


def problem(folder: Path, *allow: str, refuse=(), name="a_eeg.set") -> RecordingProblem:
    with pytest.raises(RecordingProblem) as raised:
        values(opened(folder, *allow, refuse=refuse, name=name))
    message = raised.value.message()
    assert str(folder) not in message and "\n" not in message and "Traceback" not in message
    return raised.value


def write(folder: Path, fdt=True, data=None, **fields) -> Path:
    """Write a recording by SciPy; `data` replaces what the header says of its samples."""
    path = write_eeglab(folder / "a_eeg.set", DATA, SFREQ, NAMES, EVENTS, fdt, **fields)
    if data is not None:
        header = scipy.io.loadmat(path)["EEG"]
        header["data"][0, 0] = np.array(data)
        scipy.io.savemat(path, {"EEG": header})
    return path


def assert_as_mne(recording: OpenRecording, path: Path) -> None:
    import mne

    raw = mne.io.read_raw_eeglab(path, verbose="ERROR")
    assert np.array_equal(values(recording), raw.get_data())
    assert recording.names == raw.ch_names and recording.types == raw.get_channel_types()
    assert recording.sfreq == raw.info["sfreq"]
    found, wanted = recording.raw.annotations, raw.annotations
    assert found.onset.tolist() == wanted.onset.tolist()
    np.testing.assert_array_equal(found.duration, wanted.duration)
    assert found.description.tolist() == wanted.description.tolist()
    locations = [[c["loc"] for c in r.info["chs"]] for r in (recording.raw, raw)]
    np.testing.assert_array_equal(*locations)
    assert (recording.raw.info["dig"] or []) == (raw.info["dig"] or [])


def write_matlab73(path: Path, eeg: dict, *, name: str | None = "EEG") -> Path:
    """Write structs of nested dicts, lists of dicts (struct arrays), texts and arrays as HDF5."""
    import h5py

    with h5py.File(path, "w", userblock_size=512) as file:
        references = file.create_group("#refs#")

        def put(group, key, value):
            if isinstance(value, dict):
                item = group.create_group(key)
                item.attrs["MATLAB_class"] = np.bytes_("struct")
                for own, inner in value.items():
                    put(item, own, inner)
            elif isinstance(value, list):
                item = group.create_group(key)
                item.attrs["MATLAB_class"] = np.bytes_("struct")
                for own in value[0]:
                    column = np.empty((len(value), 1), h5py.ref_dtype)
                    for row, each in enumerate(value):
                        column[row, 0] = put(references, str(len(references)), each[own]).ref
                    item.create_dataset(own, data=column, dtype=h5py.ref_dtype)
            elif isinstance(value, str):
                units = np.frombuffer(value.encode("utf-16-le"), "<u2").reshape(-1, 1)
                empty = np.zeros(2, "<u8")
                item = group.create_dataset(key, data=units if value else empty)
                item.attrs["MATLAB_class"] = np.bytes_("char")
                if not value:
                    item.attrs["MATLAB_empty"] = np.int32(1)
            else:
                array = np.atleast_2d(np.asarray(value))
                more = {"chunks": True, "compression": "gzip"} if array.size > 100 else {}
                item = group.create_dataset(key, data=array.T, **more)
                item.attrs["MATLAB_class"] = np.bytes_("double")
            return item

        for key, value in ({name: eeg} if name else eeg).items():
            put(file, key, value)
    content = bytearray(path.read_bytes())
    content[:116] = b"MATLAB 7.3 MAT-file".ljust(116)
    content[124:128] = b"\x00\x02IM"
    path.write_bytes(bytes(content))
    return path


def eeg_struct(data, **fields) -> dict:
    data = np.asarray(data)
    return {
        "nbchan": float(data.shape[0]),
        "trials": 1.0,
        "pnts": float(data.shape[1]),
        "srate": SFREQ,
        "xmin": 0.0,
        "data": data,
        "chanlocs": [{"labels": name} for name in NAMES],
        "event": [{"type": t, "latency": at + 1.0, "duration": n} for t, at, n in EVENTS],
        **fields,
    }


# -------------------------------------------------------------------------- healthy files


@pytest.mark.parametrize("fdt", [True, False])
def test_healthy_files_are_as_mne_reads_them(tmp_path, fdt):
    path = write(tmp_path, fdt=fdt)
    recording = opened(tmp_path)
    assert recording.repairs == []
    assert_as_mne(recording, path)
    np.testing.assert_allclose(values(recording), DATA, **CLOSE)


POINTS = [(0, 0), (2, 0), (0, 1), (1, 399), (2, 17), (0, 250)]


@pytest.mark.parametrize("kind", ["fdt", "set", "7.3", "epochs"])
def test_samples_stand_at_their_channel_and_time(tmp_path, kind):
    """A value that says where it stands: column-major is never read as row-major (H1)."""
    placed = np.arange(3)[:, np.newaxis] * 1000.0 + np.arange(400)
    if kind == "7.3":
        write_matlab73(tmp_path / "a_eeg.set", eeg_struct(placed))
    else:
        more = EPOCHS if kind == "epochs" else {}
        path = tmp_path / "a_eeg.set"
        write_eeglab(path, placed * 1e-6, SFREQ, NAMES, (), kind != "set", **more)
    recording = opened(tmp_path)
    for channel, time in POINTS:
        found = recording.raw[channel, time : time + 1][0].item()
        assert round(found * 1e6, 3) == channel * 1000 + time
    np.testing.assert_allclose(values(recording) * 1e6, placed, atol=1e-3)


# More numbers than are read with the header.
LONG = brain_like(3, 30_000, seed=6)
STRETCHES = [(0, 3), (17, 40), (95, 305), (12_345, 20_001), (29_990, 30_000)]


def assert_in_stretches(recording: OpenRecording, data: np.ndarray, tolerance: dict) -> None:
    """Compare what is read in pieces, of some channels."""
    assert recording.n_times == data.shape[1] and not recording.raw.preload
    for start, stop in STRETCHES:
        found = recording.raw.get_data(picks=[0, 2], start=start, stop=stop)
        np.testing.assert_allclose(found, data[[0, 2], start:stop], **tolerance)


@pytest.mark.parametrize("data", [DATA, LONG], ids=["short", "long"])
@pytest.mark.parametrize("name", ["EEG", None])
def test_matlab_7_3(tmp_path, name, data):
    path = write_matlab73(tmp_path / "a_eeg.set", eeg_struct(data * 1e6), name=name)
    recording = opened(tmp_path)
    if name:
        assert_as_mne(recording, path)
    assert recording.names == NAMES
    np.testing.assert_allclose(values(recording), data, rtol=1e-12)
    # MNE keeps onsets in whole µs.
    onsets = [mark.onset for mark in recording.annotations]
    np.testing.assert_allclose(onsets, [at / SFREQ for _, at, _ in EVENTS], atol=1e-6)
    if data is LONG:
        assert_in_stretches(recording, data, {"rtol": 1e-12})


@pytest.mark.parametrize("data", [DATA, LONG], ids=["short", "long"])
def test_epochs_in_matlab_7_3(tmp_path, data):
    count = data.shape[1] // 100
    eeg = eeg_struct(data * 1e6, trials=float(count), pnts=100.0)
    eeg["data"] = (data * 1e6).reshape((3, 100, count), order="F")
    write_matlab73(tmp_path / "a_eeg.set", eeg)
    recording = opened(tmp_path)
    np.testing.assert_allclose(values(recording), data, rtol=1e-12)
    np.testing.assert_allclose(recording.raw[:, 95:305][0], data[:, 95:305], rtol=1e-12)


@pytest.mark.parametrize("flat", [False, True], ids=["struct", "variables"])
@pytest.mark.parametrize("packed", [False, True], ids=["plain", "compressed"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_samples_in_the_set_file(tmp_path, flat, packed, dtype):
    """Struct or variables of their own, compressed or not; read where they lie if they can be."""
    path = write_eeglab(tmp_path / "a_eeg.set", LONG, SFREQ, NAMES, EVENTS, False)
    header = scipy.io.loadmat(path)["EEG"]
    header["data"][0, 0] = header["data"][0, 0].astype(dtype)
    fields = {key: header[0, 0][key] for key in header.dtype.names}
    scipy.io.savemat(path, fields if flat else {"EEG": header}, do_compression=packed)
    recording = opened(tmp_path)
    assert_in_stretches(recording, LONG, CLOSE)
    samples = recording.raw._raw_extras[0]["samples"]
    assert isinstance(samples, ArraySamples if packed else FileSamples)
    if dtype is np.float32 or not flat:
        # MNE reads a variable of its own as float32.
        assert_as_mne(recording, path)


def swapped(content: bytes) -> bytes:
    """Turn the flat little-endian elements of a file into big-endian ones, arrays inside too."""
    sizes = {1: 1, 2: 1, 3: 2, 4: 2, 5: 4, 6: 4, 7: 4, 9: 8, 16: 1}
    result, place = b"", 0
    while place < len(content):
        kind, count = struct.unpack_from("<II", content, place)
        small = kind >> 16
        start = place + 4 if small else place + 8
        kind, count = (kind & 0xFFFF, kind >> 16) if small else (kind, count)
        data = content[start : start + count]
        if kind == 14:
            data = swapped(data)
        else:
            data = np.frombuffer(data, f"<u{sizes[kind]}").byteswap().tobytes()
        tag = struct.pack(">HH", count, kind) if small else struct.pack(">II", kind, count)
        room = 4 if small else count + -count % 8
        result += tag + data.ljust(room, b"\0")
        place = start + room
    return result


def test_files_of_big_endian_computers(tmp_path):
    path = write(tmp_path, fdt=False)
    content = path.read_bytes()
    path.write_bytes(content[:124] + b"\1\0MI" + swapped(content[128:]))
    scipy_reads = scipy.io.loadmat(path)["EEG"]["data"][0, 0]
    np.testing.assert_allclose(scipy_reads * 1e-6, DATA, rtol=1e-12)
    recording = opened(tmp_path)
    np.testing.assert_allclose(values(recording), DATA, rtol=1e-12)
    assert recording.names == NAMES
    assert [m.description for m in recording.annotations] == ["face", "boundary", "3"]


def test_blocks_join_without_a_seam(tmp_path):
    n_times = BLOCK_BYTES // 4 // 3 * 2 + 777
    counted = np.arange(3 * n_times, dtype="<f4").reshape(n_times, 3)
    write_eeglab(tmp_path / "a_eeg.set", np.zeros((3, 4)), SFREQ, NAMES, pnts=float(n_times))
    (tmp_path / "a_eeg.fdt").write_bytes(counted.tobytes())
    found = opened(tmp_path).raw.get_data(picks=[0, 2])
    assert np.array_equal(found, counted.T[[0, 2]].astype(float) * 1e-6)


LOCATIONS = {
    "labels": ["Fz", "HEOG", "Pz"],
    "type": ["EEG", "eog", "XYZ"],
    "X": [80.0, np.empty(0), -80.0],
    "Y": [0.0, np.empty(0), 10.0],
    "Z": [30.0, np.empty(0), 30.0],
}


def records(columns: dict[str, list]) -> np.ndarray:
    rows = list(zip(*columns.values(), strict=True))
    result = np.empty(len(rows), [(key, object) for key in columns])
    for index, row in enumerate(rows):
        result[index] = row
    return result


@pytest.mark.parametrize("scale", [1.0, 0.1, 0.001])
def test_types_and_positions_are_those_of_mne(tmp_path, scale):
    columns = {
        key: [v * scale if key in "XYZ" else v for v in column] for key, column in LOCATIONS.items()
    }
    fiducials = {
        "type": ["FID"] * 3,
        "description": ["Nasion", "Left periauricular point", "Right periauricular point"],
        **{axis: [0.08, 0.0, 0.01] for axis in "XYZ"},
    }
    chaninfo = {"nodatchans": records(fiducials), "nosedir": "+X"}
    path = write(tmp_path, chanlocs=records(columns), chaninfo=chaninfo)
    recording = opened(tmp_path)
    assert recording.types == ["eeg", "eog", "eeg"]
    assert any("xyz" in text for text in recording.warnings)
    assert_as_mne(recording, path)
    place = recording.raw.info["chs"][0]["loc"][:3]
    np.testing.assert_allclose(place, np.array([0, 80.0, 30.0]) / 1000, atol=1e-9)


@pytest.mark.parametrize("version", ["5", "7.3"])
def test_a_struct_in_a_struct(tmp_path, version):
    path = tmp_path / "a_eeg.set"
    if version == "5":
        write(tmp_path, fdt=False)
        scipy.io.savemat(path, {"EEG": {"EEG": scipy.io.loadmat(path)["EEG"]}})
    else:
        write_matlab73(path, {"EEG": eeg_struct(DATA * 1e6)})
    recording = opened(tmp_path)
    np.testing.assert_allclose(values(recording), DATA, **CLOSE)
    assert recording.names == NAMES and len(recording.annotations) == 3


def test_one_channel_and_one_event(tmp_path):
    write_eeglab(tmp_path / "a_eeg.set", DATA[:1], SFREQ, ["Cz"], [("x", 7, 0)], fdt=False)
    recording = opened(tmp_path)
    np.testing.assert_allclose(values(recording), DATA[:1], **CLOSE)
    (mark,) = recording.annotations
    assert (round(mark.onset * SFREQ, 3), mark.description) == (7, "x")


@pytest.mark.parametrize("version", ["5", "7.3"])
def test_numbers_as_event_types(tmp_path, version):
    """A whole number is written as one, whichever format holds it."""
    marks = [(3.0, 10.0, 0.0), (2.5, 20.0, 0.0)]
    if version == "5":
        write_eeglab(tmp_path / "a_eeg.set", DATA, SFREQ, NAMES, marks)
    else:
        event = [{"type": t, "latency": at + 1, "duration": n} for t, at, n in marks]
        write_matlab73(tmp_path / "a_eeg.set", eeg_struct(DATA * 1e6, event=event))
    assert [m.description for m in opened(tmp_path).annotations] == ["3", "2.5"]


# -------------------------------------------------------------------- labels and characters


@pytest.mark.parametrize("chaninfo", [np.empty(0), np.array([1.0, 2.0, 3.0]), {"x": 1.0}])
def test_missing_locations(tmp_path, chaninfo):
    path = write(tmp_path, chanlocs=np.empty(0), chaninfo=chaninfo)
    recording = opened(tmp_path)
    assert recording.names == ["EEG 000", "EEG 001", "EEG 002"] and recording.repairs == []
    assert any("3 of 3 channels have no label" in text for text in recording.warnings)
    np.testing.assert_allclose(values(recording), DATA, **CLOSE)
    if not isinstance(chaninfo, np.ndarray):
        assert_as_mne(recording, path)


@pytest.mark.parametrize("names", [NAMES[:2], [*NAMES, "Oz"]])
def test_labels_are_never_given_by_position(tmp_path, names):
    write(tmp_path, chanlocs=records({"labels": names}))
    found = problem(tmp_path)
    assert found.code == "unreadable" and f"{len(names)} elements of chanlocs" in found.found


def with_units_of_two_bytes(content: bytes, old: str, new: str) -> bytes:
    """Turn a text of 2n bytes of UTF-8 into n UTF-16 code units, as MATLAB 7 writes it."""
    n = len(new)
    assert len(old) == 2 * n
    stored = struct.pack("<II", 16, 2 * n) + old.encode()
    assert content.count(stored) == 1
    place = content.index(stored)
    units = struct.pack("<II", 4, 2 * n) + new.encode("utf-16-le")
    dims = struct.pack("<IIii", 5, 8, 1, 2 * n)
    shape = content.rindex(dims, 0, place)
    return (
        content[:shape]
        + struct.pack("<IIii", 5, 8, 1, n)
        + content[shape + 16 : place]
        + units
        + content[place + len(stored) :]
    )


@pytest.mark.parametrize("text", ["Ã©tape", "größer", "µV…"])
def test_characters_that_are_not_ascii(tmp_path, text):
    """MNE says "buffer is too small", or that it cannot decode; the text is that of MATLAB."""
    placeholder = "Q" * 2 * len(text)
    write_eeglab(tmp_path / "a_eeg.set", DATA, SFREQ, NAMES, [(placeholder, 5, 0)])
    path = tmp_path / "a_eeg.set"
    path.write_bytes(with_units_of_two_bytes(path.read_bytes(), placeholder, text))
    recording = opened(tmp_path)
    assert [m.description for m in recording.annotations] == [text]
    np.testing.assert_allclose(values(recording), DATA, **CLOSE)


# -------------------------------------------------------------------------- the .fdt file


@pytest.mark.parametrize("named", ["old.fdt", r"C:\x\old.fdt", "../old.fdt", "/data/old.fdt"])
def test_a_renamed_fdt_of_the_exact_size(tmp_path, named):
    write(tmp_path, data=named)
    before = (tmp_path / "a_eeg.set").read_bytes()
    recording = opened(tmp_path)
    np.testing.assert_allclose(values(recording), DATA, **CLOSE)
    assert rules(recording) == ["eeglab_renamed_fdt"]
    message = recording.repairs[0]["message"]
    assert "old.fdt" in message and "a_eeg.fdt" in message
    assert (tmp_path / "a_eeg.set").read_bytes() == before


@pytest.mark.parametrize("change", [-4, 4, -1200, 1200])
def test_a_renamed_fdt_of_another_size_is_not_taken(tmp_path, change):
    write(tmp_path, data="old.fdt")
    fdt = tmp_path / "a_eeg.fdt"
    fdt.write_bytes((fdt.read_bytes() + b"\0" * 1200)[: 4800 + change])
    assert problem(tmp_path).code == ("truncated_file" if change < 0 else "unreadable")


def test_an_fdt_of_another_name_is_read_where_it_is_there(tmp_path):
    write(tmp_path, data="1673.s.1hzHighpass.fdt")
    (tmp_path / "a_eeg.fdt").rename(tmp_path / "1673.s.1hzHighpass.fdt")
    recording = opened(tmp_path)
    np.testing.assert_allclose(values(recording), DATA, **CLOSE)
    assert recording.repairs == []


def test_the_fdt_of_another_recording_is_not_taken(tmp_path):
    """A header that was copied from another run; MNE reads the samples of that run."""
    write_eeglab(tmp_path / "b_eeg.set", 2 * DATA, SFREQ, NAMES)
    write(tmp_path, data="b_eeg.fdt")
    np.testing.assert_allclose(values(opened(tmp_path)), DATA, **CLOSE)
    (tmp_path / "a_eeg.fdt").unlink()
    found = problem(tmp_path)
    assert found.code == "companion_missing" and "belongs to b_eeg.set" in found.found


@pytest.mark.parametrize("fits", ["both", "beside", "named"])
def test_of_two_fdt_files_the_one_that_fits(tmp_path, fits):
    write(tmp_path, data="other.fdt")
    right = (tmp_path / "a_eeg.fdt").read_bytes()
    (tmp_path / "other.fdt").write_bytes(right if fits != "beside" else right[:-12])
    (tmp_path / "a_eeg.fdt").write_bytes(right if fits != "named" else right[:-12])
    if fits == "both":
        found = problem(tmp_path)
        assert found.code == "companion_missing"
        assert "other.fdt" in found.found and "a_eeg.fdt" in found.found
        return
    recording = opened(tmp_path)
    np.testing.assert_allclose(values(recording), DATA, **CLOSE)
    assert rules(recording) == ["eeglab_renamed_fdt"] * (fits == "beside")


def test_a_missing_fdt_is_named(tmp_path):
    write(tmp_path, data="old.fdt")
    (tmp_path / "a_eeg.fdt").rename(tmp_path / "b_eeg.fdt")
    found = problem(tmp_path)
    assert found.code == "companion_missing"
    assert "old.fdt" in found.found and found.expected == "a_eeg.fdt"


@pytest.mark.parametrize("lost", [1, 12, 13, 2400, 4799])
def test_a_truncated_fdt(tmp_path, lost):
    write(tmp_path)
    fdt = tmp_path / "a_eeg.fdt"
    fdt.write_bytes(fdt.read_bytes()[:-lost])
    found = problem(tmp_path)
    assert found.code == "truncated_file" and found.file == "a_eeg.fdt"
    assert f"{4800 - lost} bytes" in found.found and "4800 bytes" in found.expected
    whole = (4800 - lost) // 12
    if not whole:
        assert problem(tmp_path, "eeglab_truncated_fdt").code == "truncated_file"
        return
    assert "eeglab_truncated_fdt" in found.todo
    recording = opened(tmp_path, "eeglab_truncated_fdt")
    assert recording.n_times == whole and rules(recording) == ["eeglab_truncated_fdt"]
    np.testing.assert_allclose(values(recording), DATA[:, :whole], **CLOSE)
    assert values(recording)[:, -1].all(), "nothing is filled in (H11)"


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_an_fdt_of_another_number_of_channels_is_never_read(tmp_path, channels):
    """Its samples would land in wrong channels."""
    write(tmp_path)
    (tmp_path / "a_eeg.fdt").write_bytes(b"\1" * 1600 * channels)
    for allow in ((), ("eeglab_truncated_fdt",)):
        found = problem(tmp_path, *allow)
        assert found.code == ("truncated_file" if channels < 3 else "unreadable")
        assert f"of {channels} channels" in found.found


def test_an_fdt_that_is_longer_than_stated(tmp_path):
    write(tmp_path)
    fdt = tmp_path / "a_eeg.fdt"
    fdt.write_bytes(fdt.read_bytes() + b"\0" * 12)
    found = problem(tmp_path, "eeglab_truncated_fdt")
    assert found.code == "unreadable" and "4812 bytes" in found.found


@pytest.mark.parametrize("renamed", [False, True])
def test_empty_and_unfetched_fdt_files(tmp_path, renamed):
    write(tmp_path, **({"data": "old.fdt"} if renamed else {}))
    fdt = tmp_path / "a_eeg.fdt"
    fdt.write_bytes(b"")
    assert problem(tmp_path).code == "empty_file"
    fdt.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    assert problem(tmp_path).code == "content_not_fetched"
    fdt.unlink()
    fdt.symlink_to("../../.git/annex/objects/a/b/SHA256E-s9--0.fdt/SHA256E-s9--0.fdt")
    assert problem(tmp_path).code == "content_not_fetched"


def test_the_old_dat_format(tmp_path):
    write(tmp_path, data="a_eeg.dat")
    assert problem(tmp_path).code == "unsupported_format"


# ------------------------------------------------------------------------- datasets in a file


def write_datasets(path: Path, contents: list, name="ALLEEG") -> None:
    keys = ["nbchan", "trials", "pnts", "srate", "data", "chanlocs"]
    rows = [
        (float(len(d)), 1.0, float(d.shape[1]), SFREQ, d, records({"labels": NAMES}))
        if len(d)
        else (0.0, 0.0, 0.0, 0.0, np.empty((0, 0)), np.empty(0))
        for d in contents
    ]
    scipy.io.savemat(path, {name: records(dict(zip(keys, zip(*rows, strict=True), strict=True)))})


@pytest.mark.parametrize("name", ["ALLEEG", "EEG"])
def test_the_only_dataset_with_samples(tmp_path, name):
    empty = np.empty((0, 0))
    write_datasets(tmp_path / "a_eeg.set", [empty, DATA * 1e6, empty], name)
    recording = opened(tmp_path)
    assert rules(recording) == ["eeglab_single_dataset"]
    np.testing.assert_allclose(values(recording), DATA, rtol=1e-12)


def test_several_datasets_are_never_reduced_to_the_first(tmp_path):
    write_datasets(tmp_path / "a_eeg.set", [DATA * 1e6, 2 * DATA[:, :300] * 1e6])
    found = problem(tmp_path)
    assert found.code == "unsupported_format" and "2 datasets" in found.found


# ---------------------------------------------------------------------------------- epochs


def epoch_events(origins: list[float], length: int = 100) -> dict[str, np.ndarray]:
    """Return events at sample 20 of each epoch, and their originals at `origins` (from 1)."""
    count = len(origins)
    latencies = [epoch * length + 21.0 for epoch in range(count)]
    return {
        "event": records(
            {
                "type": [f"e{epoch}" for epoch in range(count)],
                "latency": latencies,
                "urevent": [epoch + 1.0 for epoch in range(count)],
                "epoch": [epoch + 1.0 for epoch in range(count)],
            }
        ),
        "urevent": records({"type": ["x"] * count, "latency": origins}),
    }


@pytest.mark.parametrize("fdt", [True, False])
@pytest.mark.parametrize("origins", [None, [1001.0, 1101.0, 1300.0, 5000.0]])
def test_epochs_follow_each_other_with_boundaries(tmp_path, fdt, origins):
    more = epoch_events(origins) if origins else {"event": np.empty(0)}
    if not fdt:
        more["data"] = (DATA * 1e6).reshape((3, 100, 4), order="F")
    write(tmp_path, fdt=fdt, **EPOCHS, **more)
    recording = opened(tmp_path)
    assert rules(recording) == ["eeglab_epochs"]
    np.testing.assert_allclose(values(recording), DATA, **CLOSE)
    marks = [(m.onset * SFREQ, m.description) for m in recording.annotations]
    cuts = [(100.0, "boundary"), (200.0, "boundary"), (300.0, "boundary")]
    own = [(epoch * 100 + 20.0, f"e{epoch}") for epoch in range(4)] if origins else []
    assert sorted(marks) == sorted(cuts + own)
    stated = "is not stated" in recording.repairs[0]["message"]
    assert stated == (origins is None)


def test_no_window_crosses_the_border_of_an_epoch(tmp_path):
    """H7: the cuts that windows, filters and resamplers keep to are those between epochs."""
    import pandas as pd

    write(tmp_path, **EPOCHS, event=np.empty(0))
    recording = opened(tmp_path)
    found = find_boundaries(recording, pd.DataFrame({"onset": [], "trial_type": []}))
    cuts = find_cuts(found, recording.sfreq, recording.n_times)
    borders = [(int(start), int(stop)) for start, stop in cuts.segments(recording.n_times)]
    assert borders == [(0, 100), (100, 200), (200, 300), (300, 400)]


# Epochs at 1000, 1050 (shares 50 samples with the first), 1100 and 1180 (shares 20 with the third).
OVERLAPPING = [1021.0, 1071.0, 1121.0, 1201.0]


def test_overlapping_epochs_are_refused_or_reduced(tmp_path):
    write(tmp_path, **EPOCHS, **epoch_events(OVERLAPPING))
    found = problem(tmp_path)
    assert found.code == "epoched" and "overlap" in found.what
    assert "eeglab_overlapping_epochs" in found.todo
    recording = opened(tmp_path, "eeglab_overlapping_epochs")
    assert rules(recording) == ["eeglab_overlapping_epochs", "eeglab_epochs"]
    kept = np.concatenate([DATA[:, :100], DATA[:, 200:300]], axis=1)
    np.testing.assert_allclose(values(recording), kept, **CLOSE)
    np.testing.assert_allclose(recording.raw[:, 90:130][0], kept[:, 90:130], **CLOSE)
    marks = [(m.onset * SFREQ, m.description) for m in recording.annotations]
    assert sorted(marks) == [(20.0, "e0"), (100.0, "boundary"), (120.0, "e2")]
    assert "2 event(s)" in recording.repairs[0]["message"]


@pytest.mark.parametrize(
    ("onsets", "fits"),
    [
        ([20 / SFREQ, 120 / SFREQ, 320 / SFREQ], True),
        ([7.83, 8.61, 39.06], False),
        ([20 / SFREQ, 39.06], False),
        ([], True),
        (["n/a"], True),
    ],
)
def test_events_that_count_another_time_are_never_put_on_epochs(tmp_path, onsets, fits):
    """events.tsv counts the original recording: its onsets would label wrong samples."""
    write(tmp_path, **EPOCHS, **epoch_events([1001.0, 1101.0, 1300.0, 5000.0]))
    write_tsv(tmp_path / "a_events.tsv", ["onset", "duration"], *[(t, 0) for t in onsets])
    if fits:
        assert rules(opened(tmp_path)) == ["eeglab_epochs"]
        return
    found = problem(tmp_path)
    assert found.code == "epoched" and "a_events.tsv" in found.found


def test_epochs_may_be_refused(tmp_path):
    write(tmp_path, **EPOCHS)
    assert problem(tmp_path, refuse=["eeglab_epochs"]).code == "epoched"


# ------------------------------------------------------------------------------- events


def test_negative_durations(tmp_path):
    marks = [("a", 10, -5), ("b", 20, 64), ("c", 30, -0.5)]
    write_eeglab(tmp_path / "a_eeg.set", DATA, SFREQ, NAMES, marks)
    recording = opened(tmp_path)
    assert rules(recording) == ["eeglab_negative_durations"]
    assert "2 event(s)" in recording.repairs[0]["message"]
    found = [(m.onset, m.duration, m.description) for m in recording.annotations]
    assert found == [(10 / SFREQ, 0, "a"), (20 / SFREQ, 0.5, "b"), (30 / SFREQ, 0, "c")]


def test_events_without_latency_are_counted(tmp_path):
    marks = [("a", np.nan, 0), ("b", 20, 0), ("c", np.nan, 0)]
    write_eeglab(tmp_path / "a_eeg.set", DATA, SFREQ, NAMES, marks)
    recording = opened(tmp_path)
    assert [m.description for m in recording.annotations] == ["b"]
    assert any("2 event(s) of the file have no latency" in text for text in recording.warnings)


# ------------------------------------------------------------------------- damaged files

BAD_FIELDS = [
    {"nbchan": np.nan},
    {"nbchan": 0.0},
    {"nbchan": 2.5},
    {"pnts": -1.0},
    {"pnts": "many"},
    {"srate": 0.0},
    {"srate": np.inf},
    {"trials": 0.0},
    {"data": np.array([{"a": 1}])},
    {"data": DATA[:, :399] * 1e6},
    {"data": DATA.T * 1e6},
    {"data": np.float64(3.0)},
]


@pytest.mark.parametrize("fields", BAD_FIELDS, ids=lambda f: "-".join(f))
def test_headers_that_contradict_themselves(tmp_path, fields):
    write(tmp_path, **fields)
    assert problem(tmp_path).code == "unreadable"


def test_no_samples(tmp_path):
    write(tmp_path, pnts=0.0)
    assert problem(tmp_path).code == "no_samples"


@pytest.mark.parametrize(
    "content",
    [b"", b"\0" * 500, b"MATLAB 5.0 MAT-file".ljust(124) + b"\0\1IM", bytes(range(256)) * 5],
    ids=["empty", "zeros", "nothing", "noise"],
)
def test_files_that_are_no_matlab_files(tmp_path, content):
    (tmp_path / "a_eeg.set").write_bytes(content)
    assert problem(tmp_path).code == "unreadable"


def test_a_file_of_other_variables(tmp_path):
    scipy.io.savemat(tmp_path / "a_eeg.set", {"x": 1.0, "EEG": 3.0})
    found = problem(tmp_path)
    assert found.code == "unreadable" and "no dataset of EEGLAB" in found.what


def test_a_pointer_in_place_of_the_set(tmp_path):
    (tmp_path / "a_eeg.set").write_text("/annex/objects/MD5E-s9--0123.set\n")
    assert problem(tmp_path).code == "content_not_fetched"


@pytest.fixture(scope="module")
def healthy(tmp_path_factory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("healthy")
    write(folder)
    contents = {
        "5": (folder / "a_eeg.set").read_bytes(),
        "fdt": (folder / "a_eeg.fdt").read_bytes(),
    }
    eeg = eeg_struct(DATA * 1e6)
    contents["7.3"] = write_matlab73(folder / "a_eeg.set", eeg).read_bytes()
    return contents


@settings(max_examples=120, deadline=None)
@given(st.sampled_from(["5", "7.3"]), st.data())
def test_damaged_files_have_a_reason_or_are_read(tmp_path_factory, healthy, version, data):
    folder = tmp_path_factory.mktemp("damaged")
    content = bytearray(healthy[version])
    place = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        del content[place:]
    else:
        noise = data.draw(st.binary(min_size=1, max_size=8))
        content[place : place + len(noise)] = noise
    (folder / "a_eeg.set").write_bytes(bytes(content))
    (folder / "a_eeg.fdt").write_bytes(healthy["fdt"])
    try:
        recording = opened(folder)
        assert values(recording).shape == (len(recording.names), recording.n_times)
    except RecordingProblem as found:
        assert str(folder) not in found.message()


# ------------------------------------------------------------------------------ real files


def test_real_recordings_are_as_mne_reads_them(corpus):
    for path in sorted((corpus / "eeglab_attention").rglob("*.set")):
        data = path.relative_to(corpus / "eeglab_attention").as_posix()
        recording = open_recording(corpus / "eeglab_attention", data)
        assert_as_mne(recording, path)
        assert rules(recording) == ["eeglab_renamed_fdt"] * ("acq-fdt" in path.name)


def test_the_class_is_made_once():
    assert raw_class() is raw_class()
