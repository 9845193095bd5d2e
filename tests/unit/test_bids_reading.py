"""Opening recordings: the same samples and marks as were written, or a reason."""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
from bids_cases import (
    brain_like,
    write_brainvision,
    write_edf,
    write_eeglab,
    write_fif,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from bidsmill.bids.reading import is_boundary, open_recording, reader_problems
from bidsmill.bids.recording_signal import RecordingSignal
from bidsmill.errors import RecordingProblem

SFREQ = 100.0
NAMES = ["Fz", "Cz", "Pz"]
DATA = brain_like(3, 1000, seed=1)
MARKS = [(1.0, 0.0, "face"), (2.5, 0.5, "BAD_eye")]


def samples(opened):
    signal = RecordingSignal(opened, list(range(len(opened.names))), Path(), "x")
    return signal.read(0, opened.n_times)


def described(opened):
    return opened.sfreq, opened.n_times, opened.names, opened.types, opened.units


def problem_of(root, data) -> RecordingProblem:
    with pytest.raises(RecordingProblem) as raised:
        opened = open_recording(root, data)
        RecordingSignal(opened, [0], root, data).read(0, opened.n_times)
    assert str(Path(root).resolve()) not in raised.value.message()
    assert raised.value.message() == str(raised.value)
    return raised.value


def near(marks, wanted, tolerance=1e-6):
    assert [m.description for m in marks] == [text for _, _, text in wanted]
    np.testing.assert_allclose(
        [(m.onset, m.duration) for m in marks], [w[:2] for w in wanted], atol=tolerance
    )


# ---------------------------------------------------------------------------- every format


def test_brainvision(tmp_path):
    events = [{"onset": 100, "duration": 1, "description": 7}]
    write_brainvision(tmp_path, "a_eeg", DATA, SFREQ, NAMES, events)
    opened = open_recording(tmp_path, "a_eeg.vhdr")
    assert described(opened) == (SFREQ, 1000, NAMES, ["eeg"] * 3, ["V"] * 3)
    np.testing.assert_allclose(samples(opened), DATA, rtol=1e-6)
    assert [(m.onset, m.description) for m in opened.annotations if "7" in m.description] == [
        (1.0, "Stimulus/S  7")
    ]
    assert all(is_boundary(m.description) for m in opened.annotations if "7" not in m.description)
    assert opened.bads == []


def test_brainvision_units(tmp_path):
    volts = np.vstack([DATA[:1], 0 * DATA[:1] + 36.6, 1e-6 * DATA[:1]])
    write_brainvision(
        tmp_path, "a_eeg", volts, SFREQ, ["Fz", "T", "G"], unit=["mV", "C", "S"], resolution=1e-3
    )
    opened = open_recording(tmp_path, "a_eeg.vhdr")
    assert opened.units == ["V", "°C", "S"]
    np.testing.assert_allclose(samples(opened)[:2], volts[:2], rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize(("kind", "bits"), [("Edf", 16), ("Bdf", 24)])
def test_edf_and_bdf(tmp_path, kind, bits):
    scaled = DATA * 1e6
    signals = [(name, row, SFREQ, "uV") for name, row in zip(NAMES, scaled, strict=True)]
    name = f"a_eeg.{kind.lower()}"
    write_edf(tmp_path / name, signals, [(on, dur, text) for on, dur, text in MARKS], kind)
    opened = open_recording(tmp_path, name)
    assert described(opened) == (SFREQ, 1000, NAMES, ["eeg"] * 3, ["V"] * 3)
    step = np.ptp(DATA, axis=1).max() / 2**bits
    # The header holds the physical range in 8 characters: a few parts in 10,000.
    np.testing.assert_allclose(samples(opened), DATA, atol=2 * step + 2e-4 * np.abs(DATA).max())
    near(opened.annotations, MARKS)


def test_edf_units_that_are_no_voltage_are_not_called_volts(tmp_path):
    rng = np.random.default_rng(0)
    dimensions = {"Fz": "uV", "EMG": "mV", "Temp": "degC", "SpO2": "%", "Y": ""}
    signals = [(n, rng.standard_normal(1000), SFREQ, d) for n, d in dimensions.items()]
    write_edf(tmp_path / "a_eeg.edf", signals)
    opened = open_recording(tmp_path, "a_eeg.edf")
    assert dict(zip(opened.names, opened.units, strict=True)) == {
        "Fz": "V",
        "EMG": "V",
        "Temp": "n/a",
        "SpO2": "n/a",
        "Y": "n/a",
    }
    scale = samples(opened).std(axis=1)
    np.testing.assert_allclose(scale, [1e-6, 1e-3, 1, 1, 1], rtol=0.2)


@pytest.mark.parametrize("fdt", [True, False])
def test_eeglab(tmp_path, fdt):
    events = [("face", 100, 0), ("boundary", 249.5, 1000), ("face", 300, 0)]
    write_eeglab(tmp_path / "a_eeg.set", DATA, SFREQ, NAMES, events, fdt)
    opened = open_recording(tmp_path, "a_eeg.set")
    assert described(opened) == (SFREQ, 1000, NAMES, ["eeg"] * 3, ["V"] * 3)
    np.testing.assert_allclose(samples(opened), DATA, rtol=1e-6)
    assert [(m.onset, m.description) for m in opened.annotations] == [
        (1.0, "face"),
        (2.495, "boundary"),
        (3.0, "face"),
    ]


@pytest.mark.parametrize("date", [None, 1e9])
@pytest.mark.parametrize("first_samp", [0, 357])
def test_fif_marks_count_from_the_first_sample(tmp_path, first_samp, date):
    import mne

    write_fif(tmp_path / "a_meg.fif", DATA, SFREQ, NAMES, "eeg", MARKS, first_samp, date)
    opened = open_recording(tmp_path, "a_meg.fif")
    assert described(opened) == (SFREQ, 1000, NAMES, ["eeg"] * 3, ["V"] * 3)
    np.testing.assert_allclose(samples(opened), DATA, rtol=1e-12)
    near(opened.annotations, MARKS)
    raw = mne.io.read_raw_fif(tmp_path / "a_meg.fif", verbose="ERROR")
    found, _ = mne.events_from_annotations(raw, regexp=None, verbose="ERROR")
    assert [round(m.onset * SFREQ) for m in opened.annotations] == (
        found[:, 0] - raw.first_samp
    ).tolist()


def test_fif_types_units_and_bads(tmp_path):
    kinds = ["mag", "grad", "eeg", "eog", "stim", "misc", "emg", "ecg"]
    data = np.random.default_rng(0).standard_normal((8, 100))
    raw = write_fif(tmp_path / "a_meg.fif", data, SFREQ, [k.upper() for k in kinds], kinds)
    raw.info["bads"] = ["GRAD", "EOG"]
    raw.save(tmp_path / "a_meg.fif", fmt="double", overwrite=True, verbose="ERROR")
    opened = open_recording(tmp_path, "a_meg.fif")
    assert opened.types == kinds and opened.bads == ["GRAD", "EOG"]
    assert opened.units == ["T", "T/m", "V", "V", "n/a", "n/a", "V", "V"]


def test_a_split_fif_is_read_whole(tmp_path):
    data = np.random.default_rng(0).standard_normal((8, 90_000))
    raw = write_fif(tmp_path / "whole_meg.fif", data, 1000.0, [f"E{i}" for i in range(8)])
    stem = "sub-01_task-x"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        raw.save(
            tmp_path / f"{stem}_meg.fif",
            fmt="single",
            split_size="2MB",
            split_naming="bids",
            buffer_size_sec=1,
            verbose="ERROR",
        )
    assert len(list(tmp_path.glob(f"{stem}_split-*"))) == 3
    opened = open_recording(tmp_path, f"{stem}_split-01_meg.fif")
    assert opened.n_times == 90_000
    np.testing.assert_allclose(samples(opened), data, rtol=1e-6, atol=1e-7)
    (tmp_path / f"{stem}_split-02_meg.fif").unlink()
    assert problem_of(tmp_path, f"{stem}_split-01_meg.fif").code in (
        "companion_missing",
        "unreadable",
    )


def test_fif_with_skips(tmp_path):
    marks = [(2.0, 1.5, "BAD_ACQ_SKIP")]
    write_fif(tmp_path / "a_meg.fif", DATA, SFREQ, NAMES, "eeg", marks, first_samp=50)
    opened = open_recording(tmp_path, "a_meg.fif")
    near(opened.annotations, marks)
    assert is_boundary(opened.annotations[0].description)


def test_upper_case_extensions(tmp_path):
    write_edf(tmp_path / "a_eeg.edf", [("Fz", DATA[0] * 1e6, SFREQ, "uV")])
    (tmp_path / "a_eeg.edf").rename(tmp_path / "a_eeg.EDF")
    assert open_recording(tmp_path, "a_eeg.EDF").n_times == 1000


def test_what_the_reader_warns_of_is_kept_without_paths(tmp_path):
    write_fif(tmp_path / "oddly-named.fif", DATA, SFREQ, NAMES)
    opened = open_recording(tmp_path, "oddly-named.fif")
    assert any("naming conventions" in text for text in opened.warnings)
    assert not any(str(tmp_path) in text for text in opened.warnings)


# ------------------------------------------------------------------- what cannot be opened


@pytest.fixture(scope="module")
def edf(tmp_path_factory) -> bytes:
    path = tmp_path_factory.mktemp("edf") / "a_eeg.edf"
    signals = [(n, d * 1e6, SFREQ, "uV") for n, d in zip(NAMES, DATA, strict=True)]
    return write_edf(path, signals, [(1.0, 0.0, "x")]).read_bytes()


@pytest.mark.parametrize("lost", [1, 700, 5000])
def test_a_truncated_edf_is_told_with_both_counts(tmp_path, edf, lost):
    (tmp_path / "a_eeg.edf").write_bytes(edf[:-lost])
    found = problem_of(tmp_path, "a_eeg.edf")
    assert found.code == "truncated_file" and "10 records" in found.expected
    header = int(edf[184:192])
    record = (len(edf) - header) // 10
    assert found.found == f"{(len(edf) - lost - header) // record} whole records in " + (
        f"{len(edf) - lost} bytes"
    )


def test_an_unknown_number_of_records_is_counted(tmp_path, edf):
    (tmp_path / "a_eeg.edf").write_bytes(edf[:236] + b"-1      " + edf[244:])
    opened = open_recording(tmp_path, "a_eeg.edf")
    assert opened.n_times == 1000
    np.testing.assert_allclose(samples(opened), DATA, atol=1e-7)


def edf_with_gap(edf: bytes, gap: bytes) -> bytes:
    """Turn EDF+C into EDF+D, the sixth record of which begins at `gap` instead of at 5 s."""
    content = edf.replace(b"EDF+C", b"EDF+D", 1)
    assert content.count(b"+5\x14\x14") == 1
    place = content.index(b"+5\x14\x14")
    length = len(gap) + 4
    return content[:place] + gap + b"\x14\x14\0\0" + content[place + length :]


def test_an_interrupted_edf_is_refused(tmp_path, edf):
    (tmp_path / "a_eeg.edf").write_bytes(edf_with_gap(edf, b"+7"))
    found = problem_of(tmp_path, "a_eeg.edf")
    assert found.code == "unsupported_format" and "record 6 begins at 6 s" in found.found


def test_an_edf_that_could_be_interrupted_and_is_not(tmp_path, edf):
    (tmp_path / "a_eeg.edf").write_bytes(edf_with_gap(edf, b"+5"))
    opened = open_recording(tmp_path, "a_eeg.edf")
    np.testing.assert_allclose(samples(opened), DATA, atol=1e-7)


def test_a_truncated_fdt_is_told(tmp_path):
    write_eeglab(tmp_path / "a_eeg.set", DATA, SFREQ, NAMES)
    fdt = tmp_path / "a_eeg.fdt"
    fdt.write_bytes(fdt.read_bytes()[:-4000])
    assert problem_of(tmp_path, "a_eeg.set").code == "truncated_file"


def test_a_missing_companion_is_named(tmp_path):
    write_brainvision(tmp_path, "a_eeg", DATA, SFREQ, NAMES)
    (tmp_path / "a_eeg.eeg").unlink()
    found = problem_of(tmp_path, "a_eeg.vhdr")
    assert found.code == "companion_missing" and "a_eeg.eeg" in found.message()


def test_missing_markers_are_told(tmp_path):
    write_brainvision(tmp_path, "a_eeg", DATA, SFREQ, NAMES, [{"onset": 9, "description": 1}])
    (tmp_path / "a_eeg.vmrk").unlink()
    opened = open_recording(tmp_path, "a_eeg.vhdr")
    assert opened.annotations == [] and "a_eeg.vmrk" in opened.repairs[0]["message"]
    np.testing.assert_allclose(samples(opened), DATA, rtol=1e-6)


def test_a_missing_fdt_is_named(tmp_path):
    write_eeglab(tmp_path / "a_eeg.set", DATA, SFREQ, NAMES)
    (tmp_path / "a_eeg.fdt").unlink()
    found = problem_of(tmp_path, "a_eeg.set")
    assert found.code == "companion_missing" and "fdt" in found.message()


def test_epochs_are_separated_by_boundaries(tmp_path):
    write_eeglab(tmp_path / "a_eeg.set", DATA, SFREQ, NAMES, fdt=False, trials=4.0, pnts=250.0)
    opened = open_recording(tmp_path, "a_eeg.set")
    np.testing.assert_allclose(samples(opened), DATA, rtol=1e-6)
    near(opened.annotations, [(2.5, 0, "boundary"), (5.0, 0, "boundary"), (7.5, 0, "boundary")])


@pytest.mark.parametrize("extension", [".eeg", ".vmrk", ".vamrk", ".dat", ".fdt", ".meg4"])
def test_a_recording_without_its_header(tmp_path, extension):
    (tmp_path / f"a_eeg{extension}").write_bytes(b"\0" * 5000)
    assert problem_of(tmp_path, f"a_eeg{extension}").code == "header_missing"


@pytest.mark.parametrize(("extension", "format"), [(".nwb", "NWB"), (".mefd", "MEF3")])
def test_formats_without_a_reader(tmp_path, extension, format):  # noqa: A002
    found = problem_of(tmp_path, f"a_ieeg{extension}")
    assert found.code == "unsupported_format" and format in found.message()


def test_a_folder_without_bti_data(tmp_path):
    (tmp_path / "a_meg").mkdir()
    (tmp_path / "a_meg" / "notes.txt").write_text("x")
    assert problem_of(tmp_path, "a_meg").code == "unsupported_format"


EXTENSIONS = [
    *[".vhdr", ".edf", ".bdf", ".set", ".fif", ".con", ".sqd", ".kdf", ".snirf", ".cnt", ".gdf"],
    *[".EDF", ".fif.gz", ".xyz"],
]


@pytest.mark.parametrize("extension", EXTENSIONS)
@pytest.mark.parametrize(
    "content",
    [b"", b"\0" * 3000, b"<!DOCTYPE html><html>not found</html>", bytes(range(256)) * 9, None],
    ids=["empty", "zeros", "html", "bytes", "absent"],
)
def test_garbage_of_every_extension_has_a_reason(tmp_path, extension, content):
    if content is not None:
        (tmp_path / f"a_eeg{extension}").write_bytes(content)
    assert problem_of(tmp_path, f"a_eeg{extension}").code in (
        "unreadable",
        "companion_missing",
        "no_samples",
        "truncated_file",
    )


@pytest.mark.parametrize("inside", [[], ["a_meg.meg4"], ["a_meg.meg4", "a_meg.res4"]])
def test_garbage_in_a_ctf_folder_has_a_reason(tmp_path, inside):
    (tmp_path / "a_meg.ds").mkdir()
    for name in inside:
        (tmp_path / "a_meg.ds" / name).write_bytes(b"MEG41CP\0" + b"\0" * 3000)
    problem_of(tmp_path, "a_meg.ds")


def test_a_folder_with_the_name_of_a_file(tmp_path):
    for extension in (".edf", ".vhdr", ".set"):
        (tmp_path / f"a_eeg{extension}").mkdir()
        problem_of(tmp_path, f"a_eeg{extension}")


@pytest.fixture(scope="module")
def healthy(tmp_path_factory) -> Path:
    """Return a folder with one small healthy recording of each format."""
    folder = tmp_path_factory.mktemp("healthy")
    data = DATA[:, :200]
    write_brainvision(folder, "v_eeg", data, SFREQ, NAMES)
    write_eeglab(folder / "s_eeg.set", data, SFREQ, NAMES, [("a", 5, 0)])
    signals = [(n, d * 1e6, SFREQ, "uV") for n, d in zip(NAMES, data, strict=True)]
    write_edf(folder / "e_eeg.edf", signals, [(1.0, 0.0, "x")])
    write_edf(folder / "b_eeg.bdf", signals, kind="Bdf")
    write_fif(folder / "f_meg.fif", data, SFREQ, NAMES)
    return folder


HEALTHY = ["v_eeg.vhdr", "v_eeg.vmrk", "s_eeg.set", "e_eeg.edf", "b_eeg.bdf", "f_meg.fif"]


@settings(max_examples=250, deadline=None)
@given(st.sampled_from(HEALTHY), st.data())
def test_damaged_files_have_a_reason_or_are_read(healthy, name, data):
    content = bytearray((healthy / name).read_bytes())
    edge = min(len(content), 2000)
    kind = data.draw(st.sampled_from(["cut", "change", "insert"]))
    place = data.draw(st.integers(0, edge - 1))
    noise = data.draw(st.binary(min_size=1, max_size=20))
    if kind == "cut":
        del content[place:]
    elif kind == "change":
        content[place : place + len(noise)] = noise
    else:
        content[place:place] = noise
    folder = healthy / "damaged"
    folder.mkdir(exist_ok=True)
    for companion in healthy.glob(f"{name[:5]}*"):
        if companion.is_file():
            shutil.copy(companion, folder)
    (folder / name).write_bytes(bytes(content))
    opens = name.replace(".vmrk", ".vhdr")
    try:
        opened = open_recording(folder, opens)
        signal = RecordingSignal(opened, [0], folder, opens)
        assert signal.read(0, min(200, opened.n_times)).ndim == 2
    except RecordingProblem as problem:
        assert str(healthy) not in problem.message()


def test_tags_of_fif_that_lead_in_a_circle(healthy, tmp_path):
    """MNE reads such a file until the memory is full."""
    content = bytearray((healthy / "f_meg.fif").read_bytes())
    content[52:56] = (-1).to_bytes(4, "big", signed=True)  # no directory
    content[56 + 12 : 56 + 16] = (36).to_bytes(4, "big")  # the third tag names the second as next
    (tmp_path / "f_meg.fif").write_bytes(bytes(content))
    problem = problem_of(tmp_path, "f_meg.fif")
    assert problem.code == "unreadable" and "circle" in problem.message()
    # Without the circle the file without directory is read.
    content[56 + 12 : 56 + 16] = bytes(4)
    (tmp_path / "f_meg.fif").write_bytes(bytes(content))
    assert open_recording(tmp_path, "f_meg.fif").n_times == 200


# ----------------------------------------------------------------------------- what is said


@pytest.mark.parametrize(
    ("root", "text", "said"),
    [
        ("{abs}", "{abs}/sub-01/a.edf is bad", "sub-01/a.edf is bad"),
        ("{abs}", "no folder '{abs}'", "no folder ''"),
        ("{abs}", "{abs}2/a.edf", "{abs}2/a.edf"),
        ("data", "the data of data/a.edf are bad", "the data of a.edf are bad"),
        ("data", "{cwd}/data/a.edf", "a.edf"),
        (".", "{cwd}/a.edf n/a", "a.edf n/a"),
        ("a", "n/a in a/b.edf", "n/a in b.edf"),
    ],
)
def test_messages_name_files_inside_the_dataset_and_nothing_else(
    tmp_path, monkeypatch, root, text, said
):
    monkeypatch.chdir(tmp_path)
    names = {"abs": tmp_path / "set", "cwd": tmp_path}
    with (
        pytest.raises(RecordingProblem) as raised,
        reader_problems(Path(root.format(**names)), "a.edf"),
    ):
        raise ValueError(text.format(**names))
    assert raised.value.found == said.format(**names)
    assert raised.value.code == "unreadable"


def test_reasons_pass_and_other_errors_become_one(tmp_path):
    with pytest.raises(RecordingProblem) as raised, reader_problems(tmp_path, "a"):
        raise RecordingProblem("own", "own")
    assert raised.value.code == "own"
    with pytest.raises(RecordingProblem) as raised, reader_problems(tmp_path, "a"):
        raise KeyError
    assert raised.value.found == "KeyError"
    with pytest.raises(MemoryError), reader_problems(tmp_path, "a"):
        raise MemoryError


def test_warnings_are_told_once_and_deprecations_never(tmp_path):
    with reader_problems(tmp_path, "a") as told:
        for category in (RuntimeWarning, RuntimeWarning, UserWarning, DeprecationWarning):
            warnings.warn(f"{category.__name__} {tmp_path}/x", category, stacklevel=1)
    assert told == ["RuntimeWarning x", "UserWarning x"]
