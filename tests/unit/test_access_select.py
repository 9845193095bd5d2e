"""Rows and channels of a selection, against the arrays that went into the store."""

from __future__ import annotations

import importlib.util

import numpy as np
import pandas as pd
import pytest
from absence import absent
from access_store import (
    A_SOURCES,
    A_TYPES,
    FACES,
    Recording,
    StoreBuilder,
    expected_rows,
    mixed_recordings,
    samples_of,
)
from hypothesis import given, settings
from hypothesis import strategies as st

import bidsmill
from bidsmill.errors import BidsmillError

A_COLUMNS = ["Fz", "A.1", 'EEG "x"', "µV/ref", "EOG"]
B_COLUMNS = ["Cz", "x-0", "X-1", "EOG", "A.1"]
RECORDINGS = mixed_recordings()
SAMPLES = samples_of(RECORDINGS)
LAYOUT_A, LAYOUT_B = RECORDINGS[0].layout, RECORDINGS[3].layout


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    root = tmp_path_factory.mktemp("select")
    builder = StoreBuilder(root / "store")
    builder.publish("mixed", RECORDINGS, SAMPLES)
    builder.publish("plain", RECORDINGS[:3], SAMPLES.iloc[:21])
    return bidsmill.open(builder.root, cache=root / "cache")


@pytest.fixture(scope="module")
def mixed(store):
    return store["mixed"]


@pytest.fixture(scope="module")
def plain(store):
    return store["plain"]


def keys(selection) -> list:
    return selection.samples[["recording", "row"]].to_numpy().tolist()


def keys_where(condition, frame=SAMPLES) -> list:
    return frame.loc[condition, ["recording", "row"]].to_numpy().tolist()


def test_arrays_are_what_went_in(plain):
    selection = plain.select(excluded=True)
    X = selection.arrays()
    assert X.dtype == np.float32 and X.flags.writeable
    np.testing.assert_array_equal(X, np.concatenate([r.array for r in RECORDINGS[:3]]))
    assert selection.channels == A_COLUMNS
    assert selection.sfreq == 128.0
    np.testing.assert_allclose(selection.times, -0.0625 + np.arange(16) / 128, atol=1e-15)
    assert len(selection) == 21 and selection.mask.all() and selection.mask.shape == (21, 5)


def test_excluded_rows_are_hidden(plain):
    selection = plain.select()
    assert keys(selection) == keys_where(SAMPLES["excluded"] == "", SAMPLES)[:20]
    np.testing.assert_array_equal(
        selection.arrays(), np.delete(plain.select(excluded=True).arrays(), 3, axis=0)
    )
    assert len(selection.select()) == 20 and len(selection.select(excluded=True)) == 20
    assert len(plain.select(excluded=True).select(split="train")) == 16
    assert len(plain.select(excluded=True).select(excluded=False)) == 20


def test_rows_by_split_where_and_recordings(mixed):
    good = SAMPLES["excluded"] == ""
    test = SAMPLES["split"] == "test"
    assert keys(mixed.select(split="test")) == keys_where(test)
    assert keys(mixed.select(split=["train", "test"])) == keys_where(good)
    assert keys(mixed.select(where="face == 'Famous' and rt < 0.5")) == keys_where(
        good & (SAMPLES["face"] == "Famous") & (SAMPLES["rt"] < 0.5)
    )
    names = [RECORDINGS[4].name, RECORDINGS[1].name]
    assert keys(mixed.select(recordings=names)) == keys_where(SAMPLES["recording"].isin(names))
    assert keys(mixed.select(recordings=names[0], split="test")) == keys_where(
        SAMPLES["recording"] == names[0]
    )


def test_empty_cells_are_empty_text_and_missing_numbers(tmp_path):
    samples = SAMPLES.iloc[:8].copy()
    samples["face"] = ["Famous", None, "", "Famous", None, "", "Scrambled", "Famous"]
    samples["rt"] = None
    samples["excluded"] = None
    builder = StoreBuilder(tmp_path / "store")
    builder.publish("empty", RECORDINGS[:1], samples)
    dataset = bidsmill.open(builder.root, cache=tmp_path / "cache")["empty"]
    assert dataset.samples["rt"].dtype == "float64" and dataset.samples["rt"].isna().all()
    X, y = dataset.select().arrays("face")
    assert y.tolist() == ["Famous", "Famous", "Scrambled", "Famous"]
    np.testing.assert_array_equal(X, RECORDINGS[0].array[[0, 3, 6, 7]])
    assert "Famous 3, Scrambled 1 (4 rows without)" in dataset.describe()
    with pytest.raises(BidsmillError, match="no row is selected"):
        dataset.select().arrays("rt")


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(["union", "common", ["EOG", "A.1"], ["A.1"]]),
    st.lists(st.integers(0, 37), max_size=80),
    st.booleans(),
)
def test_gathered_rows_are_those_of_the_positions(mixed, channels, positions, in_order):
    positions = sorted(positions) if in_order else positions
    rows = mixed.select(channels=channels, excluded=True).rows()
    np.testing.assert_array_equal(rows.take(positions), rows.all()[positions])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 20), max_size=80), st.booleans())
def test_whole_rows_are_those_of_the_positions(plain, positions, in_order):
    positions = np.array(sorted(positions) if in_order else positions, int)
    whole = np.concatenate([recording.array for recording in RECORDINGS[:3]])
    found = plain.select(excluded=True).rows().take(positions)
    np.testing.assert_array_equal(found, whole[positions])


def test_select_can_be_chained_and_changes_nothing(mixed):
    first = mixed.select(split="test")
    before = keys(first)
    second = first.select(where="`participant_hand pref` == 'R' and participant_age < 30")
    assert keys(second) == keys_where(SAMPLES["subject"] == "03")
    assert keys(first) == before
    frame = first.samples
    frame["face"] = "changed"
    assert "changed" not in set(first.samples["face"])


def test_rows_without_a_label_are_left_out(plain):
    selection = plain.select(split="train")
    frame = selection.samples
    X, y = selection.arrays("face")
    there = frame["face"] != ""
    assert 0 < there.sum() < len(there)
    assert y.dtype.kind == "U" and y.tolist() == frame.loc[there, "face"].tolist()
    np.testing.assert_array_equal(X, selection.arrays()[there.to_numpy(bool)])
    assert keys(selection.labelled("face")) == keys_where(there, frame)
    assert selection.classes("face") == FACES


def test_targets_of_numbers_and_of_other_columns(plain):
    selection = plain.select()
    frame = selection.samples
    X, y = selection.arrays("rt")
    there = frame["rt"].notna().to_numpy(bool)
    assert y.dtype == np.float64 and y.tolist() == frame.loc[there, "rt"].tolist()
    assert y.flags.writeable
    np.testing.assert_array_equal(X, selection.arrays()[there])
    y = selection.arrays("subject")[1]
    assert y.tolist() == frame["subject"].tolist()
    assert selection.classes("subject") == ["01", "02", "03"]
    assert plain.select(split="test").classes("subject") == ["01", "02", "03"]
    y = selection.arrays("onset")[1]
    assert y.dtype == np.float64 and y.tolist() == frame["onset"].tolist()
    X, Y = selection.arrays(["face", "rt"])
    both = frame[(frame["face"] != "") & frame["rt"].notna()]
    pd.testing.assert_frame_equal(Y, both[["face", "rt"]].reset_index(drop=True))
    assert len(X) == len(both) < len(frame)
    with pytest.raises(BidsmillError, match="holds numbers and has no classes"):
        selection.classes("rt")
    with pytest.raises(BidsmillError, match=r"'faec'.*perhaps 'face'"):
        selection.arrays("faec")


@pytest.mark.parametrize(
    "wanted",
    [
        ["A.1"],
        ["µV/ref", 'EEG "x"'],
        ["A.1", 'EEG "x"', "µV/ref"],
        ["EOG", "Fz", "A.1"],
        A_COLUMNS,
        A_COLUMNS[::-1],
    ],
)
def test_channels_by_name(plain, wanted):
    selection = plain.select(channels=wanted)
    frame = selection.samples
    assert selection.channels == wanted
    np.testing.assert_array_equal(selection.arrays(), expected_rows(RECORDINGS, frame, wanted))
    positions = [7, 2, 2, 19, 0, 11]
    np.testing.assert_array_equal(
        selection.rows().take(positions), expected_rows(RECORDINGS, frame.iloc[positions], wanted)
    )


def test_channels_by_source_name(plain, mixed):
    selection = plain.select(channels=[" Fz ", "A.1"])
    assert selection.channels == [" Fz ", "A.1"]
    np.testing.assert_array_equal(
        selection.arrays(), expected_rows(RECORDINGS, selection.samples, ["Fz", "A.1"])
    )
    of_b = mixed.select(where=f"layout == '{LAYOUT_B}'", channels=["X", "x"])
    np.testing.assert_array_equal(
        of_b.arrays(), expected_rows(RECORDINGS, of_b.samples, ["X-1", "x-0"])
    )
    with pytest.raises(BidsmillError, match="two names mean the same channel"):
        plain.select(channels=["Fz", " Fz "]).arrays()


def test_a_source_name_of_several_channels_is_ambiguous(tmp_path):
    recording = Recording("01", ["EEG", "EEG", "Cz"], ["eeg"] * 3)
    builder = StoreBuilder(tmp_path / "store")
    builder.publish("twice", [recording], samples_of([recording]))
    dataset = bidsmill.open(builder.root, cache=tmp_path / "cache")["twice"]
    with pytest.raises(BidsmillError, match=r"several channels.*EEG-0, EEG-1"):
        dataset.select(channels=["EEG"]).arrays()
    np.testing.assert_array_equal(
        dataset.select(channels="EEG-1", excluded=True).arrays(), recording.array[:, [1]]
    )


def test_channels_by_type(plain, mixed):
    assert plain.select(channels="eog").channels == ["EOG"]
    assert plain.select(channels="eeg").channels == A_COLUMNS[:4]
    assert mixed.select(channels="eog").arrays().shape == (37, 1, 16)
    with pytest.raises(BidsmillError, match=r"(?s)channels of type eeg differ.*common"):
        _ = mixed.select(channels="eeg").view


def test_channel_types_in_any_case(plain):
    assert plain.select(channels="EEG").channels == A_COLUMNS[:4]
    assert plain.select(channels="EOG").channels == ["EOG"]  # the channel of this name
    with pytest.raises(BidsmillError, match="one of the types: eeg, eog"):
        plain.select(channels="meg")


def test_a_dataset_says_how_it_is_read(plain):
    for name in ("arrays", "loader", "mne", "labelled"):
        assert not hasattr(plain, name)
        with pytest.raises(AttributeError, match=rf"ds\.select\(\)\.{name}\(\)"):
            getattr(plain, name)
    with pytest.raises(AttributeError, match="no attribute 'arrray'"):
        _ = plain.arrray
    assert bidsmill.BidsmillError is BidsmillError


def test_unknown_channels(plain, mixed):
    with pytest.raises(BidsmillError, match=r"'Fzz'.*perhaps Fz"):
        plain.select(channels=["Fzz"])
    with pytest.raises(BidsmillError, match="named twice"):
        plain.select(channels=["EOG", "EOG"]).arrays()
    with pytest.raises(BidsmillError, match="no channel is named"):
        plain.select(channels=[]).arrays()
    with pytest.raises(BidsmillError, match=r"(?s)has no channel 'Fz'.*channels='common'") as error:
        mixed.select(channels=["Fz", "EOG"]).arrays()
    assert RECORDINGS[3].name in str(error.value)


def test_layouts_are_never_stacked_silently(mixed):
    selection = mixed.select()
    assert len(selection) == 37, "rows can be counted and looked at"
    for read in (selection.arrays, lambda: selection.channels, lambda: selection.times):
        with pytest.raises(BidsmillError, match="cannot be stacked: their channels differ"):
            read()
    with pytest.raises(BidsmillError) as error:
        selection.arrays()
    lines = error.value.found.strip().splitlines()
    assert lines[0].split()[:3] == ["layout", "channels", "Hz"]
    assert lines[1].startswith(f"{LAYOUT_A}  5         128  16       -0.0625   Fz (eeg, V)")
    assert lines[2].startswith(f"{LAYOUT_B}  5         128  16       -0.0625   Cz (eeg, V)")
    for way in ("channels='common'", "channels='union'", f"where=\"layout == '{LAYOUT_A}'\""):
        assert way in error.value.todo
    chosen = mixed.select(where=f"layout == '{LAYOUT_B}'")
    assert chosen.channels == B_COLUMNS
    np.testing.assert_array_equal(chosen.arrays(), expected_rows(RECORDINGS, chosen.samples))


def test_common_channels(mixed):
    selection = mixed.select(channels="common")
    assert selection.channels == ["A.1", "EOG"], "the order of the first layout"
    expected = expected_rows(RECORDINGS, selection.samples, ["A.1", "EOG"])
    np.testing.assert_array_equal(selection.arrays(), expected)
    turned = selection.select(channels=["EOG", "A.1"])
    np.testing.assert_array_equal(turned.arrays(), expected[:, ::-1])


def test_union_of_channels(mixed):
    selection = mixed.select(channels="union")
    names = [*A_COLUMNS, "Cz", "x-0", "X-1"]
    assert selection.channels == names
    by_name = {recording.name: recording for recording in RECORDINGS}
    expected = np.full((37, 8, 16), np.nan, np.float32)
    there = np.zeros((37, 8), bool)
    for i, (name, row) in enumerate(keys(selection)):
        for channel, data in zip(by_name[name].columns, by_name[name].array[row], strict=True):
            expected[i, names.index(channel)] = data
            there[i, names.index(channel)] = True
    np.testing.assert_array_equal(selection.arrays(), expected)
    np.testing.assert_array_equal(selection.mask, there)
    np.testing.assert_array_equal(selection.rows().take([30, 0, 36]), expected[[30, 0, 36]])


@pytest.mark.parametrize(
    "change", [{"sfreq": 256.0}, {"n_times": 20}, {"tmin": 0.0}], ids=["sfreq", "n_times", "tmin"]
)
def test_time_axes_can_never_be_stacked(tmp_path, change):
    other = Recording("02", ["Pz", *A_SOURCES[1:]], A_TYPES, **change)
    recordings = [RECORDINGS[0], other]
    builder = StoreBuilder(tmp_path / "store")
    builder.publish("times", recordings, samples_of(recordings))
    dataset = bidsmill.open(builder.root, cache=tmp_path / "cache")["times"]
    for channels in (None, "common", "union", ["EOG"]):
        with pytest.raises(BidsmillError, match="can never be stacked") as error:
            dataset.select(channels=channels).arrays()
        assert f"where=\"layout == '{LAYOUT_A}'\"" in error.value.todo
    chosen = dataset.select(where=f"layout == '{other.layout}'")
    np.testing.assert_array_equal(chosen.arrays(), other.array)


def test_a_channel_of_two_units_is_not_common(tmp_path):
    other = Recording("02", A_SOURCES, A_TYPES, units=["V", "V", "V", "V", "uV"])
    recordings = [RECORDINGS[0], other]
    builder = StoreBuilder(tmp_path / "store")
    builder.publish("units", recordings, samples_of(recordings))
    dataset = bidsmill.open(builder.root, cache=tmp_path / "cache")["units"]
    assert dataset.select(channels="common").channels == A_COLUMNS[:4]
    for channels in ("union", ["EOG"]):
        with pytest.raises(BidsmillError, match="'EOG' is not the same in all recordings"):
            dataset.select(channels=channels).arrays()


def test_nothing_selected(plain):
    with pytest.warns(UserWarning, match="subject is never '99': '01', '02', '03'"):
        selection = plain.select(where="subject == '99'")
    assert len(selection) == 0 and selection.samples.empty
    with pytest.raises(BidsmillError, match="no row is selected"):
        selection.arrays("face")


def test_unknown_splits_and_recordings(plain):
    with pytest.raises(BidsmillError, match=r"'trian'.*perhaps 'train'"):
        plain.select(split="trian")
    with pytest.raises(BidsmillError, match=r"split 'validation'.*train 16, test 5"):
        plain.select(split="validation")
    with pytest.raises(BidsmillError, match=r"perhaps 'sub-01_task-faces_eeg'"):
        plain.select(recordings=["sub-1_task-faces_eeg"])


def test_samples_beyond_the_matrix_are_refused(tmp_path):
    samples = SAMPLES.iloc[:8].copy()
    samples.loc[7, "row"] = 8
    builder = StoreBuilder(tmp_path / "store")
    builder.publish("beyond", RECORDINGS[:1], samples)
    dataset = bidsmill.open(builder.root, cache=tmp_path / "cache")["beyond"]
    with pytest.raises(BidsmillError, match=r"found: row 8; expected: 0 to 7"):
        dataset.select().arrays()


def test_hed(plain):
    if importlib.util.find_spec("hed") is None:
        absent("hedtools is not installed")
    selection = plain.select(hed="Label/Famous", split="train")
    good = (SAMPLES["excluded"] == "") & (SAMPLES["split"] == "train")
    expected = keys_where(good & (SAMPLES["face"] == "Famous"), SAMPLES.iloc[:21])
    assert expected and keys(selection) == expected
    assert len(plain.select(hed="Sensory-event")) == (plain.select().samples["face"] != "").sum()


def test_wide_matrices(tmp_path):
    sources = [f"g{i}" for i in range(1100)]
    recording = Recording("01", sources, ["grad"] * 1100, n_times=3, units=["T/m"] * 1100)
    builder = StoreBuilder(tmp_path / "store")
    builder.publish("wide", [recording], samples_of([recording]))
    dataset = bidsmill.open(builder.root, cache=tmp_path / "cache")["wide"]
    np.testing.assert_array_equal(dataset.select(excluded=True).arrays(), recording.array)
    chosen = dataset.select(channels=["g1099", "g3"], excluded=True)
    np.testing.assert_array_equal(chosen.arrays(), recording.array[:, [1099, 3]])


def parts_of_select(samples):
    """Return conditions of `select`, each with what pandas says of them."""
    splits = st.lists(st.sampled_from(["train", "test"]), min_size=1, max_size=2)
    subjects = st.lists(st.sampled_from(["01", "02", "03", "04", "05"]), min_size=1)
    number = st.floats(0, 1).map(lambda x: round(x, 2))
    faces = st.lists(st.sampled_from([*FACES, ""]), min_size=1)
    runs = st.lists(st.sampled_from([1, "01", 2, "2"]), min_size=1)
    text_of = {1: ["1", "01"], 2: ["2"]}
    return st.one_of(
        splits.map(lambda s: ({"split": s}, samples["split"].isin(s))),
        subjects.map(lambda s: ({"subject": s}, samples["subject"].isin(s))),
        subjects.map(lambda s: ({"subject": s[0]}, samples["subject"] == s[0])),
        number.map(lambda x: ({"where": f"rt < {x}"}, samples["rt"] < x)),
        number.map(lambda x: ({"where": f"quality_flat >= {x}"}, samples["quality_flat"] >= x)),
        faces.map(lambda f: ({"where": f"face in {f}"}, samples["face"].isin(f))),
        faces.map(lambda f: ({"where": f"not face == {f[0]!r}"}, samples["face"] != f[0])),
        runs.map(
            lambda r: ({"run": r}, samples["run"].isin([t for x in r for t in text_of.get(x, [x])]))
        ),
        st.just(({"excluded": False}, samples["excluded"] == "")),
        st.just(({"where": "trial_type == face"}, samples["trial_type"] == samples["face"])),
        st.just(({"task": "faces", "session": None}, samples["task"] == "faces")),
    )


RICH = SAMPLES.assign(
    run=np.resize(["1", "01", "2", ""], len(SAMPLES)),
    quality_flat=np.random.default_rng(5).random(len(SAMPLES)),
)


@pytest.fixture(scope="module")
def rich(tmp_path_factory):
    root = tmp_path_factory.mktemp("rich")
    builder = StoreBuilder(root / "store")
    builder.publish("rich", RECORDINGS, RICH)
    return bidsmill.open(builder.root, cache=root / "cache")["rich"]


@settings(max_examples=30, deadline=None)
@given(st.lists(parts_of_select(RICH), max_size=4))
def test_composed_selections_are_those_of_pandas(rich, parts):
    chosen = rich.select(excluded=True)
    mask = np.ones(len(RICH), bool)
    for conditions, truth in parts:
        chosen = chosen.select(**conditions)
        mask &= truth.to_numpy(bool)
    assert keys(chosen) == keys_where(mask, RICH)
    expected = RICH[mask].reset_index(drop=True)
    pd.testing.assert_frame_equal(chosen.samples[RICH.columns], expected, check_dtype=False)
    together = {name: value for conditions, _ in parts for name, value in conditions.items()}
    if len(together) == sum(len(conditions) for conditions, _ in parts):
        assert keys(rich.select(**{"excluded": True, **together})) == keys(chosen)


def test_entities(rich):
    assert keys(rich.select(run=2, excluded=True)) == keys_where(RICH["run"] == "2", RICH)
    with pytest.raises(BidsmillError, match=r"no row of rich has this subject.*'1'.*'01'"):
        rich.select(subject="1")
    with pytest.raises(BidsmillError, match=r"this run.*found: 7"):
        rich.select(run=7)
    with pytest.raises(BidsmillError, match=r"no condition of this name.*'sujbect'.*'subject'"):
        rich.select(sujbect="01")
    with pytest.raises(BidsmillError, match=r"'splt'; expected: perhaps 'split'"):
        rich.select(splt="train")
    with pytest.raises(BidsmillError, match=r"no condition.*'acquisition'.*where="):
        rich.select(acquisition="x")


def test_groups_by_layout(mixed):
    groups = mixed.select(excluded=True).by_layout()
    assert list(groups) == [LAYOUT_A, LAYOUT_B]
    for layout_id, selection in groups.items():
        assert keys(selection) == keys_where(SAMPLES["layout"] == layout_id)
        np.testing.assert_array_equal(
            selection.arrays(), expected_rows(RECORDINGS, selection.samples)
        )
    with pytest.raises(BidsmillError) as error:
        mixed.select().arrays()
    assert ".by_layout()" in error.value.todo
    common = mixed.select(channels=["A.1"]).by_layout()
    assert {tuple(selection.channels) for selection in common.values()} == {("A.1",)}
    with pytest.warns(UserWarning, match="subject is never '99'"):
        assert mixed.select(where="subject == '99'").by_layout() == {}
