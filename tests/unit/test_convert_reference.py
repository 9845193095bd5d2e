"""References: as MNE sets them, for channels of their type only, whatever the others hold."""

from __future__ import annotations

import itertools

import mne
import numpy as np
import pytest
from bids_cases import Dataset, brain_like, dataset_settings, write_fif, write_tsv
from hypothesis import given, settings
from hypothesis import strategies as st

from bidsmill.bids.channels import Channel
from bidsmill.convert.channel_plan import plan_channels
from bidsmill.convert.mixing import Interpolation, Mixed, Mixing, Reference
from bidsmill.errors import RecordingProblem
from bidsmill.formats import files
from bidsmill.formats.layout import column_names
from bidsmill.formats.matrix import MatrixFile
from bidsmill.signal.source import ArraySignal

SFREQ = 100.0
KINDS = ["eeg", "eog", "eeg", "mag", "grad", "eeg", "ecg", "emg", "misc", "stim", "eeg", "ref_meg"]


def channels_of(kinds, bads=()):
    names = [f"{kind.upper()}{index}" for index, kind in enumerate(kinds)]
    return [
        Channel(i, name, name, kind, "V", "bad" if i in bads else "good", None)
        for i, (name, kind) in enumerate(zip(column_names(names), kinds, strict=True))
    ]


def channel_settings(**own):
    own = {"types": sorted(set(KINDS) - {"syst"}), **own}
    return dataset_settings(windows={"kind": "fixed", "length": 1}, channels=own)["channels"]


def values_of(plan, data):
    signal = plan.apply(ArraySignal(data[plan.picks], SFREQ))
    return signal.read(0, signal.n_times)


def mixed_data(kinds, n_times=300, seed=0):
    """Return values of very different sizes, with a NaN in every channel that is no EEG."""
    data = brain_like(len(kinds), n_times, seed)
    for row, kind in enumerate(kinds):
        data[row] *= {"mag": 1e-8, "grad": 1e-7, "stim": 1e6}.get(kind, 1.0)
        if kind != "eeg":
            data[row, 5 + row] = np.nan
    return data


def by_mne(kinds, data, bads, reference, **keywords):
    """Return what MNE makes of the channels; bad ones too, which it leaves out of ``average``."""
    names = [c.name for c in channels_of(kinds)]
    raw = mne.io.RawArray(data, mne.create_info(names, SFREQ, list(kinds)), verbose="ERROR")
    raw.info["bads"] = [names[i] for i in bads]
    raw.set_eeg_reference(reference, verbose="ERROR", **keywords)
    return raw.get_data()


def test_the_average_is_that_of_mne_and_touches_nothing_else():
    kinds = [*KINDS, "eeg", "eeg"]
    kinds = [kind for kind in kinds if kind != "ref_meg"]
    data = mixed_data(kinds)
    bad = 2
    plan = plan_channels(channels_of(kinds, {bad}), "eeg", channel_settings(), "average")
    found = values_of(plan, data)
    expected = by_mne(kinds, data.copy(), [bad], "average")
    good = [i for i, kind in enumerate(kinds) if kind == "eeg" and i != bad]
    np.testing.assert_allclose(found[good], expected[good], rtol=0, atol=1e-15)
    np.testing.assert_allclose(found[bad], data[bad] - data[good].mean(axis=0), atol=1e-15)
    others = [i for i, kind in enumerate(kinds) if kind != "eeg"]
    assert found[others].tobytes() == data[others].tobytes()
    step = plan.steps[-1]
    assert (step["step"], step["kind"], step["type"]) == ("reference", "average", "eeg")
    assert step["channels"] == [f"EEG{i}" for i in good]


def test_named_channels_are_those_of_mne():
    data = mixed_data(KINDS)
    plan = plan_channels(channels_of(KINDS), "meg", channel_settings(), ["EEG0", "EEG10"])
    found = values_of(plan, data)
    expected = by_mne(KINDS, data.copy(), [], ["EEG0", "EEG10"])
    rows = [i for i, kind in enumerate(KINDS) if kind == "eeg"]
    np.testing.assert_allclose(found[rows], expected[rows], rtol=0, atol=1e-15)
    others = [i for i, kind in enumerate(KINDS) if kind != "eeg"]
    assert found[others].tobytes() == data[others].tobytes()


def test_contacts_are_averaged_type_by_type_as_in_mne():
    kinds = ["ecog"] * 4 + ["seeg"] * 3 + ["dbs"] * 2 + ["eog"]
    data = brain_like(len(kinds), 200, seed=2)
    own = channel_settings(types=["data", "eog"])
    plan = plan_channels(channels_of(kinds, {1}), "ieeg", own, "average")
    found = values_of(plan, data)
    expected = by_mne(kinds, data.copy(), [1], "average", ch_type=["ecog", "seeg", "dbs"])
    rows = [0, *range(2, 9)]
    np.testing.assert_allclose(found[rows], expected[rows], rtol=0, atol=1e-15)
    assert found[9].tobytes() == data[9].tobytes()
    assert [step["type"] for step in plan.steps] == ["ecog", "seeg", "dbs"]
    # Named contacts are a reference for their own type.
    plan = plan_channels(channels_of(kinds), "ieeg", own, ["SEEG5"])
    found = values_of(plan, data)
    np.testing.assert_allclose(found[4:7], data[4:7] - data[5], atol=1e-18)
    assert np.delete(found, [4, 5, 6], 0).tobytes() == np.delete(data, [4, 5, 6], 0).tobytes()
    assert plan.notes == ["the reference of channels of type dbs, ecog is as recorded"]


def test_the_average_does_not_depend_on_the_channels_that_are_kept():
    kinds = ["eeg"] * 8
    data = brain_like(8, 200, seed=3)
    own = channel_settings(policy="list", names=["EEG6", "EEG1"], exclude=["EEG0"])
    plan = plan_channels(channels_of(kinds, {4}), "eeg", own, "average")
    used = [1, 2, 3, 5, 6, 7]
    expected = data[[6, 1]] - data[used].mean(axis=0)
    np.testing.assert_allclose(values_of(plan, data), expected, atol=1e-18)
    # A named reference may be left out of the matrix.
    own = channel_settings(types=["eeg"], exclude=["EEG0"])
    plan = plan_channels(channels_of(kinds), "eeg", own, ["EEG0"])
    np.testing.assert_allclose(values_of(plan, data), data[1:] - data[0], atol=1e-18)


@pytest.mark.parametrize(
    ("kinds", "bads", "reference", "code"),
    [
        (["eeg"] * 3, (), ["EEG7"], "missing_channels"),
        (["eeg"] * 3, (0,), ["EEG0"], "reference_impossible"),
        (["eeg", "eeg", "misc"], (), ["MISC2"], "reference_impossible"),
        (["eeg", "eeg", "eog"], (), ["EEG0", "EOG2"], "reference_impossible"),
        (["eeg"] * 3, (1, 2), "average", "reference_impossible"),
        (["eeg", "mag"], (), ["MAG1"], "reference_impossible"),
    ],
)
def test_what_cannot_be_referenced_is_quarantined(kinds, bads, reference, code):
    with pytest.raises(RecordingProblem) as caught:
        plan_channels(channels_of(kinds, bads), "eeg", channel_settings(), reference)
    assert caught.value.code == code


def test_fields_and_muscles_have_no_reference():
    for kinds, datatype in [(["mag", "grad", "ref_meg"], "meg"), (["eeg"] * 3, "emg")]:
        channels = channels_of(kinds)
        plan = plan_channels(channels, datatype, channel_settings(), "average")
        assert plan.mixing is None and plan.steps == [] and "as recorded" in plan.notes[0]
    # One of two named channels is bad: the other serves.
    plan = plan_channels(channels_of(["eeg"] * 3, {0}), "eeg", channel_settings(), ["EEG0", "EEG1"])
    assert plan.steps[0]["channels"] == ["EEG1"] and "EEG0" in plan.notes[0]


# -------------------------------------------------------------------------------------- blocks


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.lists(st.integers(1, 300), min_size=1, max_size=4))
def test_a_mixture_is_its_matrix_and_blocks_do_not_matter(seed, cuts):
    rng = np.random.default_rng(seed)
    n_inputs, n_times = int(rng.integers(4, 20)), 400
    take = rng.permutation(n_inputs)
    made = np.sort(rng.choice(n_inputs, int(rng.integers(1, 4)), replace=False))
    take[made] = -1
    inputs = rng.choice(n_inputs, int(rng.integers(1, n_inputs)), replace=False)
    weights = rng.standard_normal((len(made), len(inputs)))
    rows = rng.choice(n_inputs, int(rng.integers(1, n_inputs)), replace=False)
    reference = Reference(rows, rng.choice(n_inputs, 2, replace=False))
    mixing = Mixing(take, Interpolation(made, inputs, weights), [reference])
    data = rng.standard_normal((n_inputs, n_times))
    signal = Mixed(ArraySignal(data, SFREQ), mixing)
    whole = signal.read(0, n_times)
    np.testing.assert_allclose(whole, mixing.matrix(n_inputs) @ data, atol=1e-12)
    borders = sorted({0, n_times, *(min(cut, n_times) for cut in cuts)})
    parts = [signal.read(a, b) for a, b in itertools.pairwise(borders)]
    np.testing.assert_allclose(np.concatenate(parts, axis=1), whole, atol=1e-14)


def test_memory_is_bounded_by_the_channels_that_are_read():
    class Watched(ArraySignal):
        largest = 0

        def read(self, start, stop):
            self.largest = max(self.largest, (stop - start) * self.n_channels * 8)
            return super().read(start, stop)

    source = Watched(np.ones((400, 40_000), np.float32), SFREQ)
    mixing = Mixing(np.array([7]), None, [Reference(np.array([0]), np.arange(400))])
    assert np.all(Mixed(source, mixing).read(0, 40_000) == 0)
    assert 0 < source.largest <= 32 * 2**20


# ---------------------------------------------------------------------------------- end to end


def test_a_recording_of_many_types(tmp_path):
    kinds = ["eeg"] * 5 + ["eog", "ecg", "misc", "stim"]
    names = [*"ABCDE", "EOG1", "ECG1", "M1", "STI"]
    data = brain_like(9, 600, seed=8)
    data[8] = np.arange(600) % 7
    dataset = Dataset(tmp_path)
    dataset.root.mkdir(parents=True)
    files.write_json(
        dataset.root / "dataset_description.json", {"Name": "t", "BIDSVersion": "1.10.0"}
    )
    folder = dataset.root / "sub-01" / "eeg"
    write_fif(folder / "sub-01_task-x_eeg.fif", data, SFREQ, names, kinds)
    write_tsv(
        folder / "sub-01_task-x_channels.tsv",
        ["name", "type", "status"],
        *[[n, k.upper().replace("STIM", "TRIG"), "bad" if n == "C" else "good"]
          for n, k in zip(names, kinds, strict=True)],
    )  # fmt: skip
    types = ["eeg", "eog", "ecg", "misc", "stim"]
    dataset.run(
        windows={"kind": "fixed", "length": 2.0}, channels={"types": types}, reference="average"
    )
    matrix = MatrixFile(dataset.results / "matrix" / "sub-01_task-x_eeg.parquet")
    found = np.concatenate(list(matrix.read()), axis=1)
    expected = data.copy()
    expected[:5] -= data[[0, 1, 3, 4]].mean(axis=0)
    np.testing.assert_array_equal(found[5:], data[5:].astype(np.float32))
    np.testing.assert_allclose(found[:5], expected[:5], rtol=1e-6, atol=1e-12)
    assert matrix.metadata["processing"][0] == {
        "step": "reference",
        "kind": "average",
        "type": "eeg",
        "channels": ["A", "B", "D", "E"],
    }
    table = dataset.table("recordings.tsv")
    assert table["status"].tolist() == ["converted"] and table["quality_clipped"].tolist() == [""]
