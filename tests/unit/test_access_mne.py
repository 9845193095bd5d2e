"""MNE epochs of a selection."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
from absence import absent
from access_store import FACES, Recording, StoreBuilder, expected_rows, mixed_recordings, samples_of

import bidsmill


@pytest.fixture(scope="module")
def mne():
    if importlib.util.find_spec("mne") is None:
        absent("mne is not installed")
    import mne

    return mne


RECORDINGS = mixed_recordings()


@pytest.fixture
def dataset(tmp_path, mne):
    builder = StoreBuilder(tmp_path / "store")
    builder.publish("ds", RECORDINGS, samples_of(RECORDINGS))
    return bidsmill.open(builder.root, cache=tmp_path / "cache")["ds"]


def test_data_names_types_and_times(dataset, mne):
    selection = dataset.select(where="subject in ['01', '02', '03']")
    epochs = selection.mne("face")
    chosen = selection.labelled("face")
    assert isinstance(epochs, mne.EpochsArray)
    np.testing.assert_array_equal(
        epochs.get_data(copy=False), expected_rows(RECORDINGS, chosen.samples).astype(float)
    )
    assert epochs.ch_names == ["Fz", "A.1", 'EEG "x"', "µV/ref", "EOG"]
    assert epochs.get_channel_types() == ["eeg", "eeg", "eeg", "eeg", "eog"]
    assert epochs.info["sfreq"] == 128.0 and epochs.tmin == -0.0625
    np.testing.assert_allclose(epochs.times, selection.times, atol=1e-12)
    assert epochs.info["bads"] == ["A.1", "EOG"], "of any recording, in the order of channels"
    assert epochs.metadata["subject"].tolist() == chosen.samples["subject"].tolist()
    assert epochs.metadata["onset"].tolist() == chosen.samples["onset"].tolist()


def test_events_are_the_label(dataset):
    selection = dataset.select(channels="common")
    y = selection.arrays("face")[1]
    epochs = selection.mne("face")
    assert epochs.event_id == {name: code for code, name in enumerate(FACES, 1)}
    assert [FACES[code - 1] for code in epochs.events[:, 2]] == y.tolist()
    assert len(epochs["Famous"]) == (y == "Famous").sum() > 0
    assert len(np.unique(epochs.events[:, 0])) == len(y)


def test_without_a_target_events_are_the_trial_type(dataset):
    selection = dataset.select(channels="common")
    epochs = selection.mne()
    assert len(epochs) == len(selection)
    names = {code: name for name, code in epochs.event_id.items()}
    found = [names[code] for code in epochs.events[:, 2]]
    assert found == [name or "n/a" for name in selection.samples["trial_type"]]
    assert set(selection.mne("rt").event_id) == {"rt"}


def test_positions_in_head_coordinates(dataset):
    epochs = dataset.select(where="subject == '04'", channels=["EOG", "A.1", "Cz", "X"]).mne()
    montage = epochs.get_montage().get_positions()
    assert montage["coord_frame"] == "head"
    assert set(montage["ch_pos"]) == {"A.1", "Cz", "X"}
    for name, column in {"A.1": "A.1", "Cz": "Cz", "X": "X-1"}.items():
        expected = RECORDINGS[3].position(RECORDINGS[3].columns.index(column))
        np.testing.assert_allclose(montage["ch_pos"][name], expected, rtol=1e-6)


def test_units_and_types_beyond_eeg(tmp_path, mne):
    from mne.io.constants import FIFF

    kinds = [
        ("M1", "mag", "T", FIFF.FIFF_UNIT_T),
        ("G1", "grad", "T/m", FIFF.FIFF_UNIT_T_M),
        ("E1", "emg", "V", FIFF.FIFF_UNIT_V),
        ("D1", "seeg", "V", FIFF.FIFF_UNIT_V),
        ("T1", "misc", "oC", FIFF.FIFF_UNIT_NONE),
        ("Z1", "unheard-of", "V", FIFF.FIFF_UNIT_V),
    ]
    names, types, units, codes = (list(column) for column in zip(*kinds, strict=True))
    recording = Recording("01", names, types, units=units, tmin=0.0)
    builder = StoreBuilder(tmp_path / "store")
    samples = samples_of([recording]).assign(trial_type="", excluded="")
    builder.publish("ds", [recording], samples)
    dataset = bidsmill.open(builder.root, cache=tmp_path / "cache")["ds"]
    epochs = dataset.select().mne()
    assert epochs.get_channel_types() == ["mag", "grad", "emg", "seeg", "misc", "misc"]
    assert [channel["unit"] for channel in epochs.info["chs"]] == codes
    assert epochs.event_id == {"n/a": 1}
    np.testing.assert_array_equal(epochs.get_data(copy=False), recording.array.astype(float))
    epochs.save(tmp_path / "x-epo.fif", verbose="error")
    again = mne.read_epochs(tmp_path / "x-epo.fif", verbose="error")
    np.testing.assert_array_equal(again.get_data(copy=False), epochs.get_data(copy=False))
