"""MEG: CTF folders and FIF files, mended through links or refused with a reason."""

from __future__ import annotations

import shutil
import warnings
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from bids_cases import Dataset, brain_like, write_fif
from bti_cases import NAMES as BTI_NAMES
from bti_cases import bti_scaled, bti_values, write_bti
from ctf_cases import COILS, ctf_scaled, ctf_values, res4, write_ctf
from hypothesis import given, settings
from hypothesis import strategies as st
from kit_cases import kit_scaled, kit_values, write_kit

from bidsmill.bids.readers.ctf_repairs import parse_date
from bidsmill.bids.reading import open_recording
from bidsmill.bids.recordings import find_recordings
from bidsmill.bids.repairs import Repairs
from bidsmill.convert.rows import find_boundaries
from bidsmill.convert.windows import find_cuts
from bidsmill.errors import RecordingProblem
from bidsmill.formats import files, tables
from bidsmill.formats.matrix import MatrixFile

N = 1200
SUFFIXES = (".res4", ".hc", ".meg4")


def refused(folder: Path, name: str, **rules) -> RecordingProblem:
    with pytest.raises(RecordingProblem) as raised:
        open_recording(folder, name, Repairs(**rules))
    message = raised.value.message()
    assert str(folder) not in message and "bidsmill-" not in message
    return raised.value


def applied(opened) -> list[str]:
    return [note["rule"] for note in opened.repairs]


def snapshot(folder: Path) -> dict[str, tuple[bytes, int]]:
    files = [p for p in sorted(folder.rglob("*")) if p.is_file()]
    return {str(p): (p.read_bytes(), p.stat().st_mtime_ns) for p in files}


def ctf(tmp_path, n_times=N, clock=True, values=None, **how):
    names, made = ctf_values(n_times, clock)
    values = made if values is None else values
    write_ctf(tmp_path / "a_meg.ds", names, values, **how)
    return ctf_scaled(names, values)


def segments(opened, folder: Path) -> list[tuple[int, int]]:
    (folder / "none.tsv").write_text("onset\ttrial_type\n")
    found = find_boundaries(opened, tables.read_tsv(folder / "none.tsv"))
    return find_cuts(found, opened.sfreq, opened.n_times).segments(opened.n_times)


# ------------------------------------------------------------------------------------------ CTF


@pytest.mark.parametrize("how", [{}, {"n_trials": 4}, {"n_trials": 4, "parts": 2}])
def test_a_healthy_folder_gives_what_was_written(tmp_path, how):
    wanted = ctf(tmp_path, **how)
    opened = open_recording(tmp_path, "a_meg.ds")
    np.testing.assert_allclose(opened.raw.get_data(), wanted, rtol=1e-12)
    assert opened.sfreq == 600.0 and opened.units[:3] == ["T", "T", "V"]
    assert opened.types == ["mag", "mag", "eeg", "stim", "misc"]
    assert opened.repairs == [] and segments(opened, tmp_path) == [(0, N)]


@pytest.mark.parametrize("lost", [".res4", ".meg4"])
def test_a_missing_file_is_named(tmp_path, lost):
    ctf(tmp_path)
    (tmp_path / "a_meg.ds" / f"a_meg{lost}").unlink()
    found = refused(tmp_path, "a_meg.ds")
    assert found.code == "companion_missing" and found.expected == f"a_meg{lost}"


def test_a_missing_part_is_named_and_never_skipped(tmp_path):
    ctf(tmp_path, n_trials=6, parts=3)
    shutil.move(tmp_path / "a_meg.ds" / "a_meg.1_meg4", tmp_path / "away")
    found = refused(tmp_path, "a_meg.ds")
    assert found.code == "companion_missing" and found.expected == "a_meg.1_meg4"
    shutil.move(tmp_path / "away", tmp_path / "a_meg.ds" / "a_meg.1_meg4")
    (tmp_path / "a_meg.ds" / "a_meg.2_meg4").unlink()
    # Nothing but the header tells that a last part is missing.
    found = refused(tmp_path, "a_meg.ds")
    assert found.code == "truncated_file" and found.expected.startswith("6 trials")


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("14-10-1925", date(1925, 10, 14)),
        ("03-Mär-2011", date(2011, 3, 3)),
        ("12-Dez-2010", date(2010, 12, 12)),
        ("7 maggio 2012", date(2012, 5, 7)),
        ("14-gen-2011", date(2011, 1, 14)),
        ("01-févr.-2013", date(2013, 2, 1)),
        ("30-août-2013", date(2013, 8, 30)),
        ("05-juin-2013", date(2013, 6, 5)),
        ("09-juil-2013", date(2013, 7, 9)),
        ("21-ene-2014", date(2014, 1, 21)),
        ("22-mrt-2015", date(2015, 3, 22)),
        ("22-mei-2015", date(2015, 5, 22)),
        ("02-ott-2015", date(2015, 10, 2)),
        ("2016-05-04", date(2016, 5, 4)),
        ("31-02-2010", None),
        ("yesterday", None),
        ("", None),
        ("1 2", None),
    ],
)
def test_dates_of_six_languages(text, wanted):
    assert parse_date(text) == wanted


@pytest.mark.parametrize(
    ("day", "time", "said"),
    [
        ("14-10-1925", "10:35", "14/10/1925 10:35"),
        ("12-Dez-2010", "10:35:20", "12/12/2010 10:35:20"),
        ("01-F\xe9v-2013", "10:35", "01/02/2013 10:35"),
        ("13/04/2000", "10 Uhr", "13/04/2000 00:00:00"),
        ("sometime", "never", "left out"),
    ],
)
def test_a_date_that_mne_refuses_is_never_fatal(tmp_path, day, time, said):
    wanted = ctf(tmp_path, day=day, time=time)
    before = snapshot(tmp_path)
    opened = open_recording(tmp_path, "a_meg.ds")
    assert np.array_equal(opened.raw.get_data(), open_recording(tmp_path, "a_meg.ds").raw[:][0])
    np.testing.assert_allclose(opened.raw.get_data(), wanted, rtol=1e-12)
    assert "ctf_date" in applied(opened) and said in str(opened.repairs)
    assert snapshot(tmp_path) == before
    found = refused(tmp_path, "a_meg.ds", refuse=["ctf_date", "ctf_text_encoding"])
    assert found.code == "unreadable"


@pytest.mark.parametrize("labels", [("Nasion", "LPA", "RPA"), ("nasion", "left ear", "right ear")])
def test_head_coils_by_either_name(tmp_path, labels):
    coils = COILS
    for old, new in zip(("nasion", "left ear", "right ear"), labels, strict=True):
        coils = coils.replace(old, new)
    wanted = ctf(tmp_path, coils=coils)
    opened = open_recording(tmp_path, "a_meg.ds")
    np.testing.assert_allclose(opened.raw.get_data(), wanted, rtol=1e-12)
    assert opened.repairs == [] and opened.raw.info["dev_head_t"] is not None


@pytest.mark.parametrize(
    "coils",
    [
        COILS[: COILS.index("measured left ear coil position relative to head")],
        COILS.replace("right ear", "elbow"),
        "unable to find the coils\n",
    ],
)
def test_lacking_head_coils_cost_the_position_only(tmp_path, coils):
    wanted = ctf(tmp_path, coils=coils)
    (tmp_path / "a_meg.ds" / "a_meg.eeg").write_text("1 Cz 0.0 0.0 9.0\n")
    before = snapshot(tmp_path)
    opened = open_recording(tmp_path, "a_meg.ds")
    np.testing.assert_allclose(opened.raw.get_data(), wanted, rtol=1e-12)
    assert applied(opened) == ["ctf_head_coils"] and opened.raw.info["dev_head_t"] is None
    assert snapshot(tmp_path) == before
    assert refused(tmp_path, "a_meg.ds", refuse=["ctf_head_coils"]).code == "unreadable"


def test_electrodes_without_a_position(tmp_path):
    wanted = ctf(tmp_path)
    lines = "1\tEEG001-606\t1.0\t2.0\t9.0\n2\tnasion\tn/a\tn/a\tn/a\n3\tOz\n\n"
    (tmp_path / "a_meg.ds" / "a_meg.eeg").write_text(lines)
    opened = open_recording(tmp_path, "a_meg.ds")
    np.testing.assert_allclose(opened.raw.get_data(), wanted, rtol=1e-12)
    assert applied(opened) == ["ctf_electrode_positions"] and "2 lines" in str(opened.repairs)
    place = opened.raw.info["chs"][2]["loc"][:3]
    assert np.linalg.norm(place) == pytest.approx(np.linalg.norm([0.01, 0.02, 0.09]), abs=1e-6)
    found = refused(tmp_path, "a_meg.ds", refuse=["ctf_electrode_positions"])
    assert found.code == "unreadable"


def test_unknown_bad_channels(tmp_path):
    wanted = ctf(tmp_path)
    (tmp_path / "a_meg.ds" / "BadChannels").write_text("MLC12\n\nMRT99\n")
    opened = open_recording(tmp_path, "a_meg.ds")
    np.testing.assert_allclose(opened.raw.get_data(), wanted, rtol=1e-12)
    assert opened.bads == ["MLC12-606"] and applied(opened) == ["ctf_bad_channels"]
    assert "'MRT99'" in str(opened.repairs)


def test_files_inside_with_other_names(tmp_path):
    wanted = ctf(tmp_path, inner="Subj_AEF_01", n_trials=4, parts=2)
    before = snapshot(tmp_path)
    opened = open_recording(tmp_path, "a_meg.ds")
    np.testing.assert_allclose(opened.raw.get_data(), wanted, rtol=1e-12)
    assert applied(opened) == ["ctf_inner_names"] and snapshot(tmp_path) == before
    found = refused(tmp_path, "a_meg.ds", refuse=["ctf_inner_names"])
    assert found.code == "companion_missing" and found.expected == "a_meg.res4"


@pytest.mark.parametrize("stop", [0, 1])
def test_a_clock_that_is_zero_from_the_start_is_ignored(tmp_path, stop):
    _, values = ctf_values(N)
    values[4] = values[4] * stop - 7 * stop
    wanted = ctf(tmp_path, values=values)
    assert values[4, 0] == 0
    opened = open_recording(tmp_path, "a_meg.ds")
    np.testing.assert_allclose(opened.raw.get_data(), wanted, rtol=1e-12)
    assert applied(opened) == ["ctf_clock_zero"]
    found = refused(tmp_path, "a_meg.ds", refuse=["ctf_clock_zero"])
    assert found.code in ("unreadable", "companion_missing", "no_samples")


def test_samples_after_the_clock_stopped_are_told(tmp_path):
    _, values = ctf_values(N)
    values[4, 700:] = 0
    wanted = ctf(tmp_path, values=values)
    opened = open_recording(tmp_path, "a_meg.ds")
    np.testing.assert_allclose(opened.raw.get_data(), wanted[:, :700], rtol=1e-12)
    assert any("700 of 1200 samples" in text for text in opened.warnings)


@pytest.mark.parametrize("lost", [4, 999, 300 * 5 * 4 + 8])
def test_a_cut_file_is_refused_or_keeps_whole_trials(tmp_path, lost):
    wanted = ctf(tmp_path, n_trials=4)
    meg4 = tmp_path / "a_meg.ds" / "a_meg.meg4"
    meg4.write_bytes(meg4.read_bytes()[:-lost])
    found = refused(tmp_path, "a_meg.ds")
    assert found.code == "truncated_file" and "4 trials of 6000 bytes" in found.expected
    assert f"{24_008 - lost} bytes" in found.found and "ctf_truncated" in found.todo
    opened = open_recording(tmp_path, "a_meg.ds", Repairs(allow=["ctf_truncated"]))
    kept = 300 * ((24_000 - lost) // 6000)
    assert opened.n_times == kept and applied(opened) == ["ctf_truncated"]
    np.testing.assert_allclose(opened.raw.get_data(), wanted[:, :kept], rtol=1e-12)
    for start, stop in [(0, 1), (299, 301), (250, kept)]:
        block = opened.raw.get_data([3, 1, 0], start, stop)
        np.testing.assert_allclose(block, wanted[[3, 1, 0], start:stop], rtol=1e-12)


def test_a_single_cut_trial_cannot_be_kept(tmp_path):
    # One channel follows the other: what is cut off is not the end of the recording.
    ctf(tmp_path)
    meg4 = tmp_path / "a_meg.ds" / "a_meg.meg4"
    meg4.write_bytes(meg4.read_bytes()[:-4])
    found = refused(tmp_path, "a_meg.ds", allow=["ctf_truncated"])
    assert found.code == "truncated_file" and "ctf_truncated" not in found.todo


def test_trials_that_do_not_follow_each_other_are_boundaries(tmp_path):
    _, values = ctf_values(N)
    values[4, 600:] += 5000
    ctf(tmp_path, values=values, n_trials=4)
    opened = open_recording(tmp_path, "a_meg.ds")
    assert [m.onset for m in opened.annotations] == [1.0]
    assert segments(opened, tmp_path) == [(0, 600), (600, 1200)]


def test_without_a_clock_trials_around_triggers_stand_alone(tmp_path):
    ctf(tmp_path, clock=False, n_trials=3, before=100)
    opened = open_recording(tmp_path, "a_meg.ds")
    assert segments(opened, tmp_path) == [(0, 400), (400, 800), (800, 1200)]
    (told,) = [text for text in opened.warnings if "borders" in text]
    assert "2 of 2 borders" in told and "100 samples before a trigger" in told


def drifting(n_times: int, seed: int = 0, noise: float = 0.3) -> np.ndarray:
    """Return stored integers of two sensors and EEG that drift slowly, under noise; a trigger."""
    rng = np.random.default_rng(seed)
    steps = rng.standard_normal((3, n_times))
    slow = np.cumsum(steps, axis=1)
    values = 1000 * (slow + noise * rng.standard_normal((3, n_times)))
    return np.vstack([values, np.arange(n_times) // 50 % 2]).astype(">i4")


@pytest.mark.parametrize("parts", [1, 3])
@pytest.mark.parametrize("noise", [0.0, 0.5])
def test_without_a_clock_blocks_of_a_continuous_recording_are_one(tmp_path, parts, noise):
    values = drifting(6000, noise=noise)
    wanted = ctf(tmp_path, values=values, clock=False, n_trials=12, parts=parts)
    opened = open_recording(tmp_path, "a_meg.ds", Repairs(allow=["ctf_joined_trials"]))
    assert segments(opened, tmp_path) == [(0, 6000)]
    assert applied(opened) == ["ctf_joined_trials"]
    np.testing.assert_allclose(opened.raw.get_data(), wanted, rtol=1e-12)


def test_without_a_clock_every_border_is_a_boundary_unless_a_guess_is_allowed(tmp_path):
    ctf(tmp_path, values=drifting(6000), clock=False, n_trials=12)
    opened = open_recording(tmp_path, "a_meg.ds")
    assert segments(opened, tmp_path) == [(i, i + 500) for i in range(0, 6000, 500)]
    (told,) = [text for text in opened.warnings if "borders" in text]
    assert "11 of 11" in told and "ctf_joined_trials (guess) is not allowed" in told


def test_without_a_clock_trials_with_gaps_between_stand_alone(tmp_path):
    # Blocks at triggers: between any two, 700 samples were not written.
    whole = drifting(14_400, seed=1)
    values = np.hstack([whole[:, i : i + 500] for i in range(0, 14_400, 1200)])
    ctf(tmp_path, values=values, clock=False, n_trials=12)
    opened = open_recording(tmp_path, "a_meg.ds", Repairs(allow=["ctf_joined_trials"]))
    assert segments(opened, tmp_path) == [(i, i + 500) for i in range(0, 6000, 500)]
    assert any("11 of 11" in text and "there is no clock" in text for text in opened.warnings)


def test_without_a_clock_a_pause_in_a_continuous_recording_is_found(tmp_path):
    whole = drifting(9000, seed=2)
    values = np.hstack([whole[:, :2000], whole[:, 5000:]])
    ctf(tmp_path, values=values, clock=False, n_trials=12, parts=2)
    opened = open_recording(tmp_path, "a_meg.ds", Repairs(allow=["ctf_joined_trials"]))
    assert segments(opened, tmp_path) == [(0, 2000), (2000, 6000)]
    assert any("1 of 11" in text for text in opened.warnings)


def test_a_clock_that_stands_still_decides_nothing(tmp_path):
    names, _ = ctf_values(10)
    values = np.vstack([drifting(6000), np.zeros(6000)]).astype(">i4")
    write_ctf(tmp_path / "a_meg.ds", names, values, n_trials=12)
    opened = open_recording(tmp_path, "a_meg.ds", Repairs(allow=["ctf_joined_trials"]))
    assert applied(opened) == ["ctf_clock_zero", "ctf_joined_trials"] and segments(
        opened, tmp_path
    ) == [(0, 6000)]
    write_ctf(tmp_path / "b_meg.ds", names, values, n_trials=12, before=10)
    opened = open_recording(tmp_path, "b_meg.ds")
    assert len(segments(opened, tmp_path)) == 12


def test_where_the_clock_runs_neither_header_nor_signals_are_asked(tmp_path):
    _, values = ctf_values(N)
    values[:3, 300:] += 2**27
    ctf(tmp_path, values=values, n_trials=4, before=100)
    assert segments(open_recording(tmp_path, "a_meg.ds"), tmp_path) == [(0, N)]


def test_the_folder_of_the_corpus(corpus):
    import mne

    data = "sub-01/meg/sub-01_task-somato_meg.ds"
    opened = open_recording(corpus / "meg_mix", data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        raw = mne.io.read_raw_ctf(corpus / "meg_mix" / data, verbose="ERROR")
    assert np.array_equal(opened.raw.get_data(), raw.get_data())
    assert opened.repairs == [] and opened.bads == raw.info["bads"]
    # Two trials of 313 samples around triggers, 62 of them before; without a clock.
    assert any("62 samples before a trigger" in text for text in opened.warnings)


def test_real_sensors_tell_blocks_from_trials(corpus, tmp_path):
    # A head of the corpus as blocks of 2 s without a gap, and as trials of 1.4 s, with 0.6 s
    # between them that were not written.
    data = "sub-001/eeg/sub-001_task-motor_run-01_eeg.edf"
    raw, length = open_recording(corpus / "eegmmi_motor", data).raw, 320
    values = raw.get_data(picks=["eeg"], stop=length * 12)
    stored = np.round(values / np.abs(values).max() * 2**28)
    names = [f"MLC{i:02d}-606" for i in range(len(stored))]
    write_ctf(tmp_path / "a_meg.ds", names, stored, n_trials=12, coils=COILS)
    opened = open_recording(tmp_path, "a_meg.ds", Repairs(allow=["ctf_joined_trials"]))
    assert segments(opened, tmp_path) == [(0, stored.shape[1])]
    kept = int(0.7 * length)
    cut = np.hstack([stored[:, i * length :][:, :kept] for i in range(12)])
    write_ctf(tmp_path / "b_meg.ds", names, cut, n_trials=12, coils=COILS)
    opened = open_recording(tmp_path, "b_meg.ds", Repairs(allow=["ctf_joined_trials"]))
    assert len(segments(opened, tmp_path)) == 12


def test_a_mended_copy_of_the_corpus_gives_the_same_samples(corpus_copy, corpus):
    data = "sub-01/meg/sub-01_task-somato_meg.ds"
    copy = corpus_copy("meg_mix")
    stem = copy / data / "sub-01_task-somato_meg"
    header = bytearray(stem.with_suffix(".res4").read_bytes())
    header[1033 : 1033 + 255] = b"13-Avr-2000".ljust(255, b"\0")
    stem.with_suffix(".res4").write_bytes(bytes(header))
    stem.with_suffix(".hc").write_text("unable\n")
    opened = open_recording(copy, data)
    assert applied(opened) == ["ctf_date", "ctf_head_coils"]
    wanted = open_recording(corpus / "meg_mix", data)
    assert np.array_equal(opened.raw.get_data(), wanted.raw.get_data())
    assert opened.names == wanted.names and opened.types == wanted.types


@pytest.mark.parametrize("place", [1288, 1292, 1296])
def test_a_header_without_sizes(tmp_path, place):
    ctf(tmp_path)
    path = tmp_path / "a_meg.ds" / "a_meg.res4"
    content = path.read_bytes()
    path.write_bytes(content[:place] + bytes(8) + content[place + 8 :])
    assert refused(tmp_path, "a_meg.ds").code in ("unreadable", "truncated_file")


def test_a_header_that_ends_early(tmp_path):
    ctf(tmp_path)
    for length in (10, 1300, 1900, 3000):
        path = tmp_path / "a_meg.ds" / "a_meg.res4"
        path.write_bytes(res4(*ctf_values(N)[:1], N, 1)[:length])
        assert refused(tmp_path, "a_meg.ds").code == "unreadable"


def test_nothing_of_mne_is_replaced_while_a_folder_is_mended(tmp_path):
    import mne.io.base
    import mne.io.ctf.ctf
    import mne.io.ctf.info
    import mne.io.ctf.res4
    import mne.io.edf.edf

    modules = [mne.io.base, mne.io.ctf.ctf, mne.io.ctf.info, mne.io.ctf.res4, mne.io.edf.edf]
    before = [dict(vars(module)) for module in modules]
    classes = [dict(vars(mne.io.ctf.ctf.RawCTF)), dict(vars(mne.io.BaseRaw))]
    ctf(tmp_path, day="12-Dez-2010", coils="unable\n", n_trials=4)
    meg4 = tmp_path / "a_meg.ds" / "a_meg.meg4"
    meg4.write_bytes(meg4.read_bytes()[:-4])
    opened = open_recording(tmp_path, "a_meg.ds", Repairs(allow=["ctf_truncated"]))
    assert opened.raw.get_data().shape == (5, 900) and len(opened.repairs) == 3
    assert before == [dict(vars(module)) for module in modules]
    assert classes == [dict(vars(mne.io.ctf.ctf.RawCTF)), dict(vars(mne.io.BaseRaw))]


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 12_000), st.binary(min_size=1, max_size=12), st.sampled_from(SUFFIXES))
def test_damaged_folders_give_a_reason_or_samples(tmp_path_factory, place, noise, suffix):
    folder = tmp_path_factory.mktemp("damage")
    ctf(folder, n_times=200, n_trials=2)
    path = folder / "a_meg.ds" / f"a_meg{suffix}"
    content = path.read_bytes()
    place %= len(content)
    path.write_bytes(content[:place] + noise + content[place + len(noise) :])
    try:
        opened = open_recording(folder, "a_meg.ds")
        assert opened.raw.get_data().shape == (len(opened.names), opened.n_times)
    except RecordingProblem as problem:
        assert "bidsmill-" not in problem.message()
    shutil.rmtree(folder)


# ------------------------------------------------------------------------------------------ FIF


def split_fif(folder: Path, stem="sub-01_task-x") -> np.ndarray:
    data = np.random.default_rng(0).standard_normal((8, 90_000))
    marks = [(2.0, 0.0, "face"), (80.0, 0.5, "late")]
    raw = write_fif(
        folder / "whole_meg.fif", data, 1000.0, [f"E{i}" for i in range(8)], annotations=marks
    )
    (folder / "whole_meg.fif").unlink()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        raw.save(
            folder / f"{stem}_meg.fif",
            fmt="single",
            split_size="2MB",
            split_naming="bids",
            buffer_size_sec=1,
            verbose="ERROR",
        )
    return data.astype("f4").astype(float)


FIRST = "sub-01_task-x_split-01_meg.fif"


@pytest.mark.parametrize("number", [2, 3])
def test_a_missing_part_of_a_fif_is_named(tmp_path, number):
    split_fif(tmp_path)
    (tmp_path / f"sub-01_task-x_split-0{number}_meg.fif").unlink()
    found = refused(tmp_path, FIRST)
    assert found.code == "companion_missing"
    assert found.expected == f"sub-01_task-x_split-0{number}_meg.fif"


def renamed(folder: Path, numbers=(1, 2, 3)) -> None:
    for old, new in enumerate(numbers, 1):
        source = folder / f"sub-01_task-x_split-0{old}_meg.fif"
        source.rename(folder / f"sub-07_task-y_split-0{new}_meg.fif")


def test_renamed_parts_are_followed_by_their_numbers(tmp_path):
    wanted = split_fif(tmp_path)
    renamed(tmp_path)
    before = snapshot(tmp_path)
    opened = open_recording(tmp_path, "sub-07_task-y_split-01_meg.fif")
    assert np.array_equal(opened.raw.get_data(), wanted)
    assert [(m.onset, m.description) for m in opened.annotations] == [(2.0, "face"), (80.0, "late")]
    assert applied(opened) == ["fif_part_names"] * 2 and snapshot(tmp_path) == before
    found = refused(tmp_path, "sub-07_task-y_split-01_meg.fif", refuse=["fif_part_names"])
    assert found.code == "companion_missing" and found.expected == FIRST.replace("01_m", "02_m")


def test_renamed_parts_in_a_wrong_order_are_refused(tmp_path):
    split_fif(tmp_path)
    renamed(tmp_path, (1, 3, 2))
    found = refused(tmp_path, "sub-07_task-y_split-01_meg.fif")
    assert found.code == "companion_missing" and "do not follow" in found.what


def test_a_renamed_part_that_is_missing(tmp_path):
    split_fif(tmp_path)
    renamed(tmp_path)
    (tmp_path / "sub-07_task-y_split-03_meg.fif").unlink()
    assert refused(tmp_path, "sub-07_task-y_split-01_meg.fif").code == "companion_missing"


def test_a_truncated_later_part_is_refused(tmp_path):
    split_fif(tmp_path)
    last = tmp_path / "sub-01_task-x_split-03_meg.fif"
    last.write_bytes(last.read_bytes()[:-100_000])
    assert refused(tmp_path, FIRST).code in ("truncated_file", "unreadable")


def test_parts_that_do_not_name_the_next_are_refused(tmp_path):
    data = brain_like(2, 400)
    for number, piece in enumerate((data[:, :200], data[:, 200:]), 1):
        write_fif(tmp_path / f"a_split-0{number}_meg.fif", piece, 100.0, ["A", "B"])
    found = refused(tmp_path, "a_split-01_meg.fif")
    assert found.code == "companion_missing" and found.expected.startswith("a_split-02_meg.fif")


@pytest.mark.parametrize("kind", ["epochs", "averages"])
def test_a_fif_of_something_else(tmp_path, kind):
    import mne

    info = mne.create_info(["A", "B"], 100.0, "eeg")
    epochs = mne.EpochsArray(np.zeros((3, 2, 50)), info, verbose="ERROR")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        saved = epochs if kind == "epochs" else epochs.average()
        saved.save(tmp_path / "a_meg.fif", verbose="ERROR")
    found = refused(tmp_path, "a_meg.fif")
    assert found.code == "unsupported_format" and kind in found.found


@pytest.mark.parametrize("share", [0.3, 0.6, 0.95, 0.999])
def test_a_truncated_fif_is_never_read_in_part(tmp_path, share):
    write_fif(tmp_path / "a_meg.fif", brain_like(3, 5000), 100.0, ["A", "B", "C"])
    content = (tmp_path / "a_meg.fif").read_bytes()
    (tmp_path / "a_meg.fif").write_bytes(content[: int(share * len(content))])
    assert refused(tmp_path, "a_meg.fif").code in ("truncated_file", "unreadable")


def test_coils_of_kind_none_and_projectors_of_other_names_do_not_matter(tmp_path):
    import mne

    data = brain_like(3, 500)
    raw = write_fif(tmp_path / "a_meg.fif", data, 100.0, ["A", "B", "C"])
    for channel in raw.info["chs"]:
        channel["coil_type"] = 0
    vectors = {"data": np.ones((1, 2)) / np.sqrt(2), "nrow": 1, "ncol": 2}
    vectors |= {"col_names": ["EEG 001", "EEG 002"], "row_names": ["one"]}
    projector = mne.Projection(active=False, data=vectors, desc="p", kind=1)
    raw.add_proj(projector, verbose="ERROR")
    raw.save(tmp_path / "a_meg.fif", fmt="double", overwrite=True, verbose="ERROR")
    opened = open_recording(tmp_path, "a_meg.fif")
    assert np.array_equal(opened.raw.get_data(), data)
    assert opened.types == ["eeg"] * 3 and opened.units == ["V"] * 3


def test_shielding_that_was_not_taken_out_is_told(corpus):
    data = "sub-emptyroom/ses-20150420/meg/sub-emptyroom_ses-20150420_task-noise_meg.fif"
    opened = open_recording(corpus / "meg_mix", data)
    assert any("MaxShield" in text for text in opened.warnings) or not opened.raw.info["maxshield"]


# ------------------------------------------------------------------------------------ KIT, BTi


@pytest.mark.parametrize("extension", [".con", ".sqd", ".kdf"])
@pytest.mark.parametrize("version", [(2, 4), (3, 0)])
def test_a_kit_file_gives_what_was_written(tmp_path, extension, version):
    import mne

    values = kit_values(1000)
    path = write_kit(tmp_path / f"a_meg{extension}", values, version=version)
    opened = open_recording(tmp_path, f"a_meg{extension}")
    assert (opened.sfreq, opened.n_times, opened.repairs) == (500.0, 1000, [])
    assert opened.names[:6] == ["AG001", "AG002", "MEG 003", "Fz", "TRIG1", "TRIG2"]
    assert opened.types == ["mag", "mag", "ref_meg", "eeg", "misc", "misc", "misc", "stim"]
    assert opened.units == ["T", "T", "T", "V", "V", "V", "V", "n/a"]
    data = opened.raw.get_data()
    np.testing.assert_allclose(data, kit_scaled(values), rtol=1e-12)
    if extension != ".kdf":  # which MNE opens, too, but not by this name
        assert np.array_equal(data, mne.io.read_raw(path, verbose="ERROR").get_data())
    block = opened.raw.get_data([5, 0], 333, 701)
    np.testing.assert_allclose(block, kit_scaled(values)[[5, 0], 333:701], rtol=1e-12)


def test_a_kit_file_becomes_a_matrix(tmp_path):
    values = kit_values(1000)
    run = Dataset(tmp_path)
    write_kit(run.root / "sub-01/meg/sub-01_task-x_meg.con", values)
    files.write_json(run.root / "dataset_description.json", {"Name": "t", "BIDSVersion": "1.10.0"})
    run.convert(
        windows={"kind": "fixed", "length": 0.5}, channels={"types": ["mag", "ref_meg", "stim"]}
    )
    with MatrixFile(run.results / "matrix" / "sub-01_task-x_meg.parquet") as matrix:
        found, channels = matrix.read(), matrix.metadata["channels"]
    assert [(c["name"], c["unit"]) for c in channels] == [
        *[("AG001", "T"), ("AG002", "T"), ("MEG 003", "T"), ("STI 014", "n/a")],
    ]
    wanted = kit_scaled(values)[[0, 1, 2, 7]].reshape(4, 4, 250).swapaxes(0, 1)
    assert np.array_equal(found, wanted.astype("f4"))


def test_a_kit_file_that_ends_early_is_refused_when_it_is_opened(tmp_path):
    path = write_kit(tmp_path / "a_meg.con", kit_values(1000))
    path.write_bytes(path.read_bytes()[:-2])
    found = refused(tmp_path, "a_meg.con")
    size = path.stat().st_size
    assert found.code == "truncated_file" and found.found == f"{size} bytes"
    assert found.expected.startswith(f"at least {size + 2} bytes: 7 channels, 1000 samples")


def test_a_kit_file_of_epochs_and_one_of_an_old_version(tmp_path):
    write_kit(tmp_path / "a_meg.sqd", kit_values(1000), kind=3)
    assert refused(tmp_path, "a_meg.sqd").code == "epoched"
    write_kit(tmp_path / "b_meg.sqd", kit_values(1000), version=(2, 2))
    found = refused(tmp_path, "b_meg.sqd")
    assert (found.code, found.found) == ("unsupported_format", "V2R002")


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 4000), st.binary(min_size=1, max_size=8))
def test_damaged_kit_files_give_a_reason_or_samples(tmp_path_factory, place, noise):
    folder = tmp_path_factory.mktemp("damage")
    path = write_kit(folder / "a_meg.con", kit_values(100))
    content = path.read_bytes()
    place %= len(content)
    path.write_bytes(content[:place] + noise + content[place + len(noise) :])
    try:
        opened = open_recording(folder, "a_meg.con")
        if opened.n_times < 10_000:
            assert opened.raw.get_data().shape == (len(opened.names), opened.n_times)
    except RecordingProblem as problem:
        assert str(folder) not in problem.message()
    shutil.rmtree(folder)


@pytest.mark.parametrize("extension", [".con", ".sqd", ".kdf"])
def test_a_damaged_kit_file(tmp_path, extension):
    (tmp_path / f"a_meg{extension}").write_bytes(bytes(range(256)) * 100)
    assert refused(tmp_path, f"a_meg{extension}").code == "unreadable"


def test_a_bti_folder_gives_what_was_written(tmp_path):
    import mne

    values = bti_values(1003)
    path = write_bti(tmp_path / "a_meg", values)
    opened = open_recording(tmp_path, "a_meg")
    assert (opened.sfreq, opened.n_times, opened.names) == (512.0, 1003, BTI_NAMES)
    assert opened.types == ["mag", "mag", "ref_meg", "eeg", "stim"]
    assert opened.units == ["T", "T", "T", "V", "n/a"] and opened.warnings == []
    data = opened.raw.get_data()
    np.testing.assert_allclose(data, bti_scaled(values), rtol=1e-6)
    raw = mne.io.read_raw_bti(path / "c,rfDC", head_shape_fname=None, verbose="ERROR")
    assert np.array_equal(data, raw.get_data())
    block = opened.raw.get_data([4, 1], 333, 701)
    np.testing.assert_allclose(block, bti_scaled(values)[[4, 1], 333:701], rtol=1e-6)
    assert segments(opened, tmp_path) == [(0, 1003)]


def test_epochs_of_bti_are_kept_apart(tmp_path):
    values = bti_values(1200)
    write_bti(tmp_path / "a_meg", values, n_epochs=3)
    opened = open_recording(tmp_path, "a_meg")
    assert segments(opened, tmp_path) == [(0, 400), (400, 800), (800, 1200)]
    assert any("3 epochs" in text for text in opened.warnings)
    np.testing.assert_allclose(opened.raw.get_data(), bti_scaled(values), rtol=1e-6)


def test_bti_whose_channels_would_be_mixed_up_or_scaled_in_doubt(tmp_path):
    write_bti(tmp_path / "a_meg", bti_values(100), indices=(1, 0, 2, 3, 4))
    assert refused(tmp_path, "a_meg").code == "unsupported_format"
    write_bti(tmp_path / "b_meg", bti_values(100), scale=2.0)
    opened = open_recording(tmp_path, "b_meg")
    assert any("5 channels" in text and "uncertain" in text for text in opened.warnings)


@pytest.mark.parametrize("length", [0, 7, 500, 1500])
def test_bti_that_ends_early(tmp_path, length):
    # The header stands at the end of the samples: without it there is nothing to read. Seeking
    # eight bytes before the end of fewer is no failure of the disk.
    path = write_bti(tmp_path / "a_meg", bti_values(100)) / "c,rfDC"
    path.write_bytes(path.read_bytes()[:length])
    assert refused(tmp_path, "a_meg").code == "unreadable"


def test_bti_without_its_configuration(tmp_path):
    (tmp_path / "a_meg").mkdir()
    (tmp_path / "a_meg" / "c,rfDC").write_bytes(bytes(3000))
    found = refused(tmp_path, "a_meg")
    assert found.code == "companion_missing" and found.expected == "config"
    (tmp_path / "a_meg" / "config").write_bytes(bytes(3000))
    assert refused(tmp_path, "a_meg").code == "unreadable"
    (tmp_path / "a_meg" / "c,rfhp0.1Hz").write_bytes(bytes(3000))
    assert refused(tmp_path, "a_meg").code == "unsupported_format"


# ------------------------------------------------------------------- what is inside of folders


def test_files_inside_a_recording_are_no_recordings():
    inside = [
        "sub-01/meg/sub-01_task-x_meg.ds/sub-01_task-x_meg.meg4",
        "sub-01/meg/sub-01_task-x_meg.ds/sub-01_task-x_meg.res4",
        "sub-01/meg/sub-01_task-x_meg.ds/hz.ds/sub-01_task-x_meg.meg4",
        "sub-01/meg/sub-01_task-x_meg.ds/sub-01_task-x_meg.eeg",
        "sub-02/ieeg/sub-02_task-x_ieeg.mefd/a.timd/a-000000.segd/a-000000.tdat",
        "sub-02/ieeg/sub-02_task-x_ieeg.mefd/a.timd/a-000000.segd/sub-02_task-x_ieeg.edf",
        "sub-03/meg/sub-03_task-x_meg/c,rfDC",
        "sub-03/meg/sub-03_task-x_meg/config",
        "sub-03/meg/sub-03_task-x_meg/hs_file",
        "sub-03/meg/sub-03_task-x_meg/report.pdf",
    ]
    found = find_recordings(inside)
    assert [r.data for r in found] == [
        "sub-01/meg/sub-01_task-x_meg.ds",
        "sub-02/ieeg/sub-02_task-x_ieeg.mefd",
        "sub-03/meg/sub-03_task-x_meg",
    ]
    assert sorted(path for r in found for path in r.files) == sorted(inside)
