"""Types, status, units and positions of channels, from the header and the sidecars."""

from __future__ import annotations

import json

import numpy as np
import pytest
from bids_cases import brain_like, listed, members, write_edf, write_fif, write_tsv

from bidsmill.bids.channels import describe_channels
from bidsmill.bids.reading import open_recording
from bidsmill.bids.sidecars import sidecar_conflicts

STEM = "sub-01/eeg/sub-01_task-x"
DATA = brain_like(4, 300)
NAMES = ["Fz", "Cz", "Pz", "EOG"]


def channels_of(root):
    member = members(root)["sub-01_task-x_eeg"]
    opened = open_recording(root, member["data"])
    channels, conflicts = describe_channels(opened, root, member["sidecars"])
    return {channel.source_name: channel for channel in channels}, conflicts


@pytest.fixture
def recording(tmp_path):
    """Return a dataset with one EDF recording of four channels, and a function that adds to it."""
    write_edf(
        tmp_path / f"{STEM}_eeg.edf",
        [(n, d * 1e6, 100, "uV") for n, d in zip(NAMES, DATA, strict=True)],
    )

    def add(name, *content):
        path = tmp_path / (name if "/" in name else f"{STEM}_{name}")
        if name.endswith(".json"):
            path.write_text(json.dumps(content[0]))
        else:
            write_tsv(path, *content)
        return tmp_path

    return add


# ----------------------------------------------------------------------------- type and status


def test_without_sidecars_the_header_speaks(recording, tmp_path):
    channels, conflicts = channels_of(tmp_path)
    assert list(channels) == NAMES and conflicts == []
    assert {(c.type, c.unit, c.status, c.position) for c in channels.values()} == {
        ("eeg", "V", "good", None)
    }
    assert [c.index for c in channels.values()] == [0, 1, 2, 3]


def test_channels_tsv_decides_by_name_and_never_by_position(recording):
    root = recording(
        "channels.tsv",
        ["name", "type", "units", "status"],
        ["EOG", "VEOG", "uV", "good"],
        ["Pz", "EEG", "uV", "bad"],
        ["Oz", "ECG", "uV", "bad"],
        ["cz", "EMG", "uV", "bad"],
    )
    channels, conflicts = channels_of(root)
    assert {n: (c.type, c.status) for n, c in channels.items()} == {
        "Fz": ("eeg", "good"),
        "Cz": ("eeg", "good"),
        "Pz": ("eeg", "bad"),
        "EOG": ("eog", "good"),
    }
    assert conflicts == [
        "channels.tsv and the file disagree on names: only in channels.tsv Oz, cz, only in the"
        " file Fz, Cz; the file's names are used"
    ]


@pytest.mark.parametrize(
    ("stated", "kind"),
    [
        ("EEG", "eeg"),
        ("eeg", "eeg"),
        ("HEOG", "eog"),
        ("ECG", "ecg"),
        ("EMG", "emg"),
        ("SEEG", "seeg"),
        ("ECOG", "ecog"),
        ("DBS", "dbs"),
        ("MISC", "misc"),
        ("TRIG", "stim"),
        ("MEGMAG", "eeg"),
        ("n/a", "eeg"),
        ("nonsense", "eeg"),
    ],
)
def test_types(recording, stated, kind):
    channels, _ = channels_of(recording("channels.tsv", ["name", "type"], ["Fz", stated]))
    assert channels["Fz"].type == kind
    assert channels["Fz"].unit == ("n/a" if kind == "stim" else "V")


@pytest.mark.parametrize(
    ("low", "high", "known"),
    [
        ("0.1", "200", (0.1, 200.0)),
        ("0", "n/a", (0.0, None)),
        ("n/a", "Infinity", (None, None)),
        ("-1", "40 Hz", (None, None)),
        ("40", "30", (None, None)),
    ],
)
def test_cutoffs_are_what_channels_tsv_states(recording, low, high, known):
    header = ["name", "type", "low_cutoff", "high_cutoff"]
    channels, _ = channels_of(recording("channels.tsv", header, ["Fz", "EEG", low, high]))
    assert (channels["Fz"].low_cutoff, channels["Fz"].high_cutoff) == known


def test_two_rows_of_one_name_count_where_they_agree(recording):
    root = recording(
        "channels.tsv",
        ["name", "type", "status"],
        ["Fz", "EOG", "bad"],
        ["Fz", "EMG", "good"],
        *[[n, "EEG", "good"] for n in NAMES[1:]],
    )
    channels, conflicts = channels_of(root)
    assert (channels["Fz"].type, channels["Fz"].status) == ("eeg", "bad")
    assert conflicts == [
        "sub-01_task-x_channels.tsv lists Fz in 2 rows (they differ in type, status, n/a)"
    ]


def test_the_nearest_channels_tsv_is_used_alone(recording):
    recording("./task-x_channels.tsv", ["name", "type"], ["Cz", "ECG"])
    root = recording("channels.tsv", ["name", "type"], ["Fz", "EOG"])
    channels, _ = channels_of(root)
    assert (channels["Fz"].type, channels["Cz"].type) == ("eog", "eeg")


@pytest.mark.parametrize("first", ["Oz", "eog", "1"])
@pytest.mark.parametrize("header", [["channel", "type"], ["type", "status"]])
def test_channels_tsv_without_names_is_not_used_and_told(recording, header, first):
    rows = [["EOG", "bad"], [first, "bad"]]
    channels, conflicts = channels_of(recording("channels.tsv", header, *rows))
    assert {(c.type, c.status) for c in channels.values()} == {("eeg", "good")}
    assert conflicts == ["sub-01_task-x_channels.tsv has no column name; it is not used"]


def test_an_empty_channels_tsv_is_told(recording, tmp_path):
    (tmp_path / f"{STEM}_channels.tsv").write_text("")
    channels, conflicts = channels_of(tmp_path)
    assert len(channels) == 4 and "sub-01_task-x_channels.tsv is empty" in conflicts


def test_rates_that_differ_are_told(recording):
    root = recording(
        "channels.tsv",
        ["name", "sampling_frequency"],
        *[[n, r] for n, r in zip(NAMES, ["100", "250", "n/a", "100.01"], strict=True)],
    )
    assert channels_of(root)[1] == ["channels.tsv says 250 Hz, the file 100 Hz; the file's is used"]


@pytest.mark.parametrize(
    ("stated", "told"),
    [(100, 0), ("100", 0), (100.05, 0), (None, 0), (99, 1), (0, 1), ("x", 0), ([100], 0)],
)
def test_the_rate_of_the_sidecar(recording, tmp_path, stated, told):
    opened = open_recording(tmp_path, f"{STEM}_eeg.edf")
    sidecar = {} if stated is None else {"SamplingFrequency": stated}
    assert len(sidecar_conflicts(opened, sidecar, "eeg")) == told


@pytest.fixture
def fif(tmp_path):
    """Return a function that writes a FIF recording with MEG channels."""
    names = ["MEG 1", "MEG 2", "EEG 1", "STI"]

    def write(bads=()):
        raw = write_fif(
            tmp_path / f"{STEM}_eeg.fif", DATA, 100.0, names, ["mag", "grad", "eeg", "stim"]
        )
        raw.info["bads"] = list(bads)
        raw.save(tmp_path / f"{STEM}_eeg.fif", overwrite=True, verbose="ERROR")
        return tmp_path

    return write


def test_what_coil_a_sensor_has_is_a_fact_of_the_header(fif, tmp_path):
    rows = [["MEG 1", "EEG"], ["MEG 2", "MEGMAG"], ["EEG 1", "EOG"], ["STI", "MISC"]]
    write_tsv(tmp_path / f"{STEM}_channels.tsv", ["name", "type"], *rows)
    channels, _ = channels_of(fif())
    assert {n: (c.type, c.unit) for n, c in channels.items()} == {
        "MEG 1": ("mag", "T"),
        "MEG 2": ("grad", "T/m"),
        "EEG 1": ("eog", "V"),
        "STI": ("misc", "n/a"),
    }


def test_a_channel_is_bad_if_either_says_so(fif, tmp_path):
    rows = [["MEG 1", "bad"], ["MEG 2", "good"], ["EEG 1", "n/a"], ["STI", "BAD"]]
    write_tsv(tmp_path / f"{STEM}_channels.tsv", ["name", "status"], *rows)
    channels, _ = channels_of(fif(bads=["MEG 2"]))
    assert [c.status for c in channels.values()] == ["bad", "bad", "good", "bad"]


def test_duplicate_names_of_the_file_are_told_apart_and_not_matched(tmp_path):
    rows = [("T3", DATA[0] * 1e6, 100, "uV"), ("T3", DATA[1] * 1e6, 100, "uV")]
    write_edf(tmp_path / f"{STEM}_eeg.edf", rows)
    write_tsv(tmp_path / f"{STEM}_channels.tsv", ["name", "type"], ["T3", "EOG"], ["T3", "EMG"])
    channels, conflicts = channels_of(tmp_path)
    assert list(channels) == ["T3-0", "T3-1"]
    assert [c.type for c in channels.values()] == ["eeg", "eeg"]
    assert "only in channels.tsv T3, only in the file T3-0, T3-1" in conflicts[1]


def test_column_names_differ_even_if_case_is_ignored(tmp_path):
    write_fif(tmp_path / f"{STEM}_eeg.fif", DATA, 100.0, ["cz", "Cz", " a ", "b"])
    channels, _ = channels_of(tmp_path)
    assert {c.source_name: c.name for c in channels.values()} == {
        "cz": "cz-0",
        "Cz": "Cz-1",
        " a ": "a",
        "b": "b",
    }


# ---------------------------------------------------------------------------------- positions

# Close to a head of 90 mm; fiducials that lie symmetrically.
PLACES = {
    "Fz": [0.0, 0.0714, 0.0699],
    "Cz": [0.0004, -0.0092, 0.1003],
    "Pz": [0.0003, -0.0811, 0.0826],
    "EOG": [0.03, 0.08, 0.01],
}
FIDUCIALS = {"NAS": [0.0, 0.09, 0.0], "LPA": [-0.08, 0.0, 0.0], "RPA": [0.08, 0.0, 0.0]}


TURNED = ("CTF", "EEGLAB", "4DBti", "KitYokogawa")


def turned(place):
    """Return a place of the frame (x right, y front) in the frame (x front, y left)."""
    return [place[1], -place[0], place[2]]


def write_places(recording, frame, unit, **more):
    scale = {"m": 1, "cm": 100, "mm": 1000}.get(str(unit), 1)
    as_stated = turned if str(frame) in TURNED else list
    rows = [[n, *(v * scale for v in as_stated(p))] for n, p in PLACES.items()]
    landmarks = {n: [v * scale for v in as_stated(p)] for n, p in FIDUCIALS.items()}
    recording("electrodes.tsv", ["name", "x", "y", "z"], *rows)
    content = {
        **more,
        "EEGCoordinateSystem": frame,
        "EEGCoordinateUnits": unit,
        "AnatomicalLandmarkCoordinates": landmarks,
        "AnatomicalLandmarkCoordinateSystem": frame,
        "AnatomicalLandmarkCoordinateUnits": unit,
    }
    return recording("coordsystem.json", content)


def places(channels):
    return {name: channel.position for name, channel in channels.items()}


@pytest.mark.parametrize("unit", ["m", "cm", "mm"])
@pytest.mark.parametrize("frame", ["CapTrak", "ElektaNeuromag", "CTF", "EEGLAB", "4DBti"])
def test_positions_are_those_of_the_frame(recording, frame, unit):
    channels, conflicts = channels_of(write_places(recording, frame, unit))
    assert places(channels).keys() == PLACES.keys() and conflicts == []
    for name, place in places(channels).items():
        np.testing.assert_allclose(place, PLACES[name], atol=1e-6)


@pytest.mark.parametrize("unit", ["m", "mm"])
@pytest.mark.parametrize("frame", ["CapTrak", "CTF"])
def test_positions_are_those_of_mne_bids(recording, frame, unit):
    from mne_bids import BIDSPath, read_raw_bids

    root = write_places(recording, frame, unit)
    (root / "dataset_description.json").write_text('{"Name": "t", "BIDSVersion": "1.10.0"}')
    # mne-bids reads electrodes only under names that state a space.
    for name in ("electrodes.tsv", "coordsystem.json"):
        (root / f"{STEM}_{name}").rename(root / f"sub-01/eeg/sub-01_space-{frame}_{name}")
    write_tsv(
        root / f"{STEM}_channels.tsv",
        ["name", "type", "units"],
        *[[n, "EEG", "uV"] for n in NAMES],
    )
    assert len(listed(root)) == 5
    path = BIDSPath(root=root, subject="01", task="x", datatype="eeg", suffix="eeg")
    raw = read_raw_bids(path, verbose="ERROR")
    wanted = {c["ch_name"]: c["loc"][:3] for c in raw.info["chs"]}
    assert np.isfinite([*wanted.values()]).all()
    channels, conflicts = channels_of(root)
    assert conflicts == []
    for name, place in places(channels).items():
        np.testing.assert_allclose(place, wanted[name], atol=2e-6)


@pytest.mark.parametrize(
    ("frame", "unit"),
    [("Other", "m"), ("ACPC", "mm"), ("CapTrak", "n/a"), ("CapTrak", None), (None, "m")],
)
def test_unknown_frames_and_units_are_not_used_and_told(recording, frame, unit):
    channels, conflicts = channels_of(write_places(recording, frame, unit))
    assert set(places(channels).values()) == {None}
    assert len(conflicts) == 1
    assert f"coordinate system {frame!r}, units {unit!r}" in conflicts[0]


def test_electrodes_without_coordsystem_are_not_used_and_told(recording, tmp_path):
    write_places(recording, "CapTrak", "m")
    (tmp_path / f"{STEM}_coordsystem.json").unlink()
    channels, conflicts = channels_of(tmp_path)
    assert set(places(channels).values()) == {None} and len(conflicts) == 1


@pytest.mark.parametrize("content", [["CapTrak"], {"a": 1}, 3, True])
def test_a_frame_that_is_no_text_is_unknown(recording, content):
    channels, conflicts = channels_of(write_places(recording, content, content))
    assert set(places(channels).values()) == {None} and len(conflicts) == 1


def test_the_frame_of_fiducials_is_not_that_of_electrodes(recording):
    root = write_places(
        recording,
        "CapTrak",
        "m",
        FiducialsCoordinateSystem="CTF",
        FiducialsCoordinateUnits="mm",
        HeadCoilCoordinateUnits="cm",
    )
    channels, conflicts = channels_of(root)
    assert conflicts == []
    np.testing.assert_allclose(places(channels)["Fz"], PLACES["Fz"], atol=1e-6)


def test_of_several_spaces_the_one_that_is_known_is_used_with_its_own_frame(recording):
    for space, frame, scale in (("CapTrak", "CapTrak", 1.0), ("MNI305", "MNI305", 5.0)):
        rows = [[n, *(v * scale for v in p)] for n, p in PLACES.items()]
        name = f"sub-01/eeg/sub-01_space-{space}"
        recording(f"{name}_electrodes.tsv", ["name", "x", "y", "z"], *rows)
        content = {"EEGCoordinateSystem": frame, "EEGCoordinateUnits": "m"}
        root = recording(f"{name}_coordsystem.json", content)
    channels, conflicts = channels_of(root)
    assert conflicts == []
    np.testing.assert_allclose(places(channels)["Fz"], PLACES["Fz"], atol=1e-6)


def test_positions_that_are_no_numbers_are_none(recording, tmp_path):
    write_places(recording, "CapTrak", "m")
    rows = [["Fz", "n/a", "n/a", "n/a"], ["Cz", "inf", 0, 0], ["Pz", "1;5", 0, 0], ["EOG", 0, 0, 1]]
    channels, _conflicts = channels_of(recording("electrodes.tsv", ["name", "x", "y", "z"], *rows))
    assert places(channels) == {"Fz": None, "Cz": None, "Pz": None, "EOG": [0.0, 0.0, 1.0]}


def test_electrodes_without_a_column_are_told(recording):
    write_places(recording, "CapTrak", "m")
    channels, conflicts = channels_of(recording("electrodes.tsv", ["name", "x", "y"], ["Fz", 0, 0]))
    assert set(places(channels).values()) == {None}
    assert conflicts == ["electrodes.tsv lacks a column of name, x, y, z; it is not used"]


def test_without_electrodes_the_positions_of_the_file_are_used(tmp_path):
    import mne

    raw = write_fif(tmp_path / f"{STEM}_eeg.fif", DATA, 100.0, NAMES)
    montage = mne.channels.make_dig_montage(
        {n: PLACES[n] for n in NAMES[:3]},
        nasion=FIDUCIALS["NAS"],
        lpa=FIDUCIALS["LPA"],
        rpa=FIDUCIALS["RPA"],
        coord_frame="head",
    )
    raw.set_montage(montage, on_missing="ignore")
    raw.save(tmp_path / f"{STEM}_eeg.fif", overwrite=True, verbose="ERROR")
    channels, conflicts = channels_of(tmp_path)
    assert conflicts == [] and channels["EOG"].position is None
    for name in NAMES[:3]:
        np.testing.assert_allclose(channels[name].position, PLACES[name], atol=1e-6)
