"""A canonical montage: every channel in its column, the missing ones as MNE makes them."""

from __future__ import annotations

import mne
import numpy as np
import pytest
from bids_cases import Dataset, brain_like, dataset_settings, write_brainvision, write_tsv
from hypothesis import given, settings
from hypothesis import strategies as st
from mne.channels.interpolation import _make_interpolation_matrix

from bidsmill.bids.channels import Channel
from bidsmill.convert.channel_plan import plan_channels
from bidsmill.convert.montage import canonical_places, match_electrodes
from bidsmill.convert.spline import USUAL_ORIGIN, fit_origin, spline_weights
from bidsmill.errors import BidsmillError, RecordingProblem
from bidsmill.formats import files
from bidsmill.formats.layout import column_names
from bidsmill.formats.matrix import MatrixFile
from bidsmill.signal.source import ArraySignal

SFREQ = 100.0


def channels_of(names, bads=(), kind="eeg", positions=None):
    return [
        Channel(
            index,
            source,
            name,
            kind,
            "V",
            "bad" if source in bads else "good",
            (positions or {}).get(source),
        )
        for index, (source, name) in enumerate(zip(names, column_names(names), strict=True))
    ]


def montage_settings(**own):
    channels = {"policy": "montage", "montage": "biosemi32", **own}
    return dataset_settings(windows={"kind": "fixed", "length": 1}, channels=channels)["channels"]


def values_of(plan, data):
    """Return what the columns hold of an array with the channels of the file."""
    signal = plan.apply(ArraySignal(data[plan.picks], SFREQ))
    return signal.read(0, signal.n_times)


def mne_interpolated(names, places, data, bads, origin):
    """Return `data` with the bad channels interpolated by MNE at the same places."""
    info = mne.create_info(list(names), SFREQ, "eeg")
    raw = mne.io.RawArray(data, info, verbose="ERROR")
    for channel, name in zip(raw.info["chs"], names, strict=True):
        channel["loc"][:3] = places[name]
    raw.info["bads"] = list(bads)
    raw.interpolate_bads(origin=tuple(origin), method={"eeg": "spline"}, verbose="ERROR")
    return raw.get_data()


# ------------------------------------------------------------------------------------- splines


@settings(max_examples=25, deadline=None)
@given(st.integers(4, 70), st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_weights_are_those_of_mne(n_sources, n_targets, seed):
    rng = np.random.default_rng(seed)
    places = rng.standard_normal((n_sources + n_targets, 3))
    places *= rng.uniform(0.07, 0.11, (len(places), 1)) / np.linalg.norm(places, axis=1)[:, None]
    origin = rng.uniform(-0.02, 0.02, 3)
    own = spline_weights(places[:n_sources], places[n_sources:], origin)
    theirs = _make_interpolation_matrix(places[:n_sources] - origin, places[n_sources:] - origin)
    np.testing.assert_allclose(own, theirs, atol=1e-6)
    np.testing.assert_allclose(own.sum(axis=1), 1, atol=1e-9)


def test_the_centre_of_a_sphere_is_found():
    rng = np.random.default_rng(1)
    directions = rng.standard_normal((40, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    centre = np.array([0.003, -0.01, 0.045])
    np.testing.assert_allclose(fit_origin(centre + 0.09 * directions), centre, atol=1e-6)
    # Four points, and points in one plane, lie on many spheres.
    np.testing.assert_array_equal(fit_origin(directions[:4]), USUAL_ORIGIN)
    flat = directions * [0.1, 0.1, 0]
    np.testing.assert_array_equal(fit_origin(flat), USUAL_ORIGIN)


# -------------------------------------------------------------------------------------- names


@pytest.mark.parametrize(
    ("names", "electrodes", "found"),
    [
        (["Cz", "Fz"], ["Fz", "Cz"], {"Fz": "Fz", "Cz": "Cz"}),
        ([" Cz ", "FZ"], ["Fz", "Cz"], {"Fz": "FZ", "Cz": " Cz "}),
        # The exact name wins over one that differs in case.
        (["CZ", "Cz"], ["Cz"], {"Cz": "Cz"}),
        # Two that differ in case only decide nothing.
        (["CZ", "cz"], ["Cz"], {}),
        (["Cz", "Cz"], ["Cz"], {}),
        (["T3", "t4", "T5", "P8"], ["T7", "T8", "P7", "P8"],
         {"T7": "T3", "T8": "t4", "P7": "T5", "P8": "P8"}),
        (["T7"], ["T3"], {"T3": "T7"}),
        # One channel is one electrode.
        (["T7"], ["T3", "T7"], {"T7": "T7"}),
        (["T3", "T7"], ["T7"], {"T7": "T7"}),
        # Nothing is guessed.
        (["Fc5.", "EEG Cz", "E1"], ["FC5", "Cz"], {}),
    ],
)  # fmt: skip
def test_electrodes_are_found_by_name(names, electrodes, found):
    matched = match_electrodes(electrodes, channels_of(names))
    assert {electrode: c.source_name for electrode, c in matched.items()} == found
    assert list(matched) == [e for e in electrodes if e in found]


def test_the_canonical_list_is_that_of_mne_without_old_names():
    places = canonical_places("standard_1020")
    standard = mne.channels.make_standard_montage("colin27_1020")
    assert list(places) == [n for n in standard.ch_names if n not in ("T3", "T4", "T5", "T6")]
    info = mne.create_info(standard.ch_names, 1.0, "eeg")
    info.set_montage(standard)
    at_cz = info["chs"][standard.ch_names.index("Cz")]["loc"][:3]
    np.testing.assert_allclose(places["Cz"], at_cz, atol=1e-6)
    assert list(canonical_places("biosemi64", ("Oz", "T7"))) == ["Oz", "T7"]
    with pytest.raises(BidsmillError, match="X9"):
        canonical_places("biosemi64", ("Oz", "X9"))


def test_every_montage_of_the_schema_exists(root):
    import yaml

    text = (root / "workflow" / "schemas" / "config.schema.yaml").read_text()
    names = yaml.safe_load(text)["$defs"]["channels"]["properties"]["montage"]["enum"]
    for name in filter(None, names):
        places = np.array(list(canonical_places(name).values()))
        assert places.shape[0] >= 16 and np.isfinite(places).all(), name


# --------------------------------------------------------------------------------------- plans


def test_missing_and_bad_electrodes_are_interpolated_as_mne_does():
    places = canonical_places("biosemi32")
    electrodes = list(places)
    lost, bad = {"Oz", "T7"}, "Cz"
    names = [name for name in reversed(electrodes) if name not in lost] + ["EXG1"]
    data = brain_like(len(names), 300, seed=3)
    channels = [
        *channels_of(names[:-1], bads=[bad]),
        Channel(29 + 1, "", "", "misc", "V", "good", None),
    ]
    channels[-1] = Channel(len(names) - 1, "EXG1", "EXG1", "misc", "V", "good", None)
    plan = plan_channels(channels, "eeg", montage_settings(bad="interpolate"), None)
    assert [c.name for c in plan.chosen] == electrodes
    statuses = {c.name: c.status for c in plan.chosen}
    made = {*lost, bad}
    assert {n for n, status in statuses.items() if status == "interpolated"} == made
    step = next(s for s in plan.steps if s["step"] == "interpolate")
    assert set(step["channels"]) == made and step["positions"] == "biosemi32"
    assert next(s for s in plan.steps if s["step"] == "montage")["missing"] == [
        e for e in electrodes if e in made
    ]
    found = values_of(plan, data)
    whole = np.zeros((len(electrodes), 300))
    for row, electrode in enumerate(electrodes):
        if electrode not in lost:
            whole[row] = data[names.index(electrode)]
    expected = mne_interpolated(electrodes, places, whole, made, step["origin"])
    scale = data.std()
    assert np.abs(found - expected).max() < 1e-6 * scale
    for row, electrode in enumerate(electrodes):
        if electrode not in made:
            np.testing.assert_array_equal(found[row], data[names.index(electrode)])


def test_places_of_the_recording_are_used_when_all_are_known():
    places = canonical_places("biosemi32")
    electrodes = list(places)
    rng = np.random.default_rng(5)
    own = {e: (np.array(p) + rng.normal(0, 0.003, 3)).tolist() for e, p in places.items()}
    names = [e for e in electrodes if e != "Pz"] + ["Iz2"]
    own["Iz2"] = [0.0, -0.11, 0.02]
    data = brain_like(len(names), 200, seed=4)
    channels = channels_of(names, positions=own)
    plan = plan_channels(channels, "eeg", montage_settings(), None)
    step = plan.steps[-1]
    # An electrode outside of the montage helps, too.
    assert step["positions"] == "recording" and step["sources"] == names
    spots = {**own, "Pz": places["Pz"]}
    everyone = [*names, "Pz"]
    whole = np.vstack([data, np.zeros((1, 200))])
    expected = mne_interpolated(everyone, spots, whole, ["Pz"], step["origin"])[-1]
    found = values_of(plan, data)[electrodes.index("Pz")]
    assert np.abs(found - expected).max() < 1e-6 * data.std()
    channels[3].position = None
    assert (
        plan_channels(channels, "eeg", montage_settings(), None).steps[-1]["positions"]
        == "biosemi32"
    )


def test_too_few_electrodes_are_quarantined():
    electrodes = list(canonical_places("biosemi32"))
    half = channels_of(electrodes[:16])
    assert len(plan_channels(half, "eeg", montage_settings(), None).chosen) == 32
    for channels, own in [
        (channels_of(electrodes[:15]), {}),
        (half, {"min_share": 0.6}),
        (channels_of(electrodes[:16], bads=[electrodes[0]]), {"bad": "drop"}),
        (channels_of(electrodes[:16]), {"exclude": [electrodes[0]]}),
        (channels_of(electrodes[:3]), {"min_share": 0}),
        (channels_of(electrodes, kind="misc"), {}),
    ]:
        with pytest.raises(RecordingProblem) as caught:
            plan_channels(channels, "eeg", montage_settings(**own), None)
        assert caught.value.code == "missing_channels"
    # A bad channel that is kept is there; all of them need no spline.
    kept = plan_channels(channels_of(electrodes, bads=["Cz"]), "eeg", montage_settings(), None)
    assert kept.mixing is None and kept.chosen[electrodes.index("Cz")].status == "bad"


# ---------------------------------------------------------------------------------- end to end


def test_a_dataset_on_one_montage(tmp_path):
    dataset = Dataset(tmp_path)
    dataset.root.mkdir(parents=True)
    files.write_json(
        dataset.root / "dataset_description.json", {"Name": "t", "BIDSVersion": "1.10.0"}
    )
    places = canonical_places("biosemi16")
    electrodes = list(places)
    recorded = {
        "01": ["CZ" if e == "Cz" else e for e in electrodes],
        "02": ["T3" if e == "T7" else e for e in reversed(electrodes) if e != "Pz"],
        "03": electrodes[:5],
    }
    data = {}
    for subject, names in recorded.items():
        folder = dataset.root / f"sub-{subject}" / "eeg"
        data[subject] = brain_like(len(names) + 1, 400, seed=int(subject))
        stem = f"sub-{subject}_task-x"
        write_brainvision(folder, f"{stem}_eeg", data[subject], SFREQ, [*names, "VEOG"])
        rows = [[n, "EEG", "good"] for n in names] + [["VEOG", "VEOG", "good"]]
        write_tsv(folder / f"{stem}_channels.tsv", ["name", "type", "status"], *rows)
    dataset.run(
        windows={"kind": "fixed", "length": 1.0},
        channels={"policy": "montage", "montage": "biosemi16"},
    )
    table = dataset.table("recordings.tsv").set_index("subject")
    assert table["status"].to_dict() == {"01": "converted", "02": "converted", "03": "quarantined"}
    assert table.loc["03", "reason"] == "missing_channels"
    assert table.loc["01", "layout"] == table.loc["02", "layout"] != ""
    matrix = MatrixFile(dataset.results / "matrix" / "sub-02_task-x_eeg.parquet")
    assert [c["name"] for c in matrix.metadata["channels"]] == electrodes
    values = np.concatenate(list(matrix.read()), axis=1)
    names = recorded["02"]
    for row, electrode in enumerate(electrodes):
        if electrode == "Pz":
            continue
        source = data["02"][names.index("T3" if electrode == "T7" else electrode)]
        np.testing.assert_allclose(values[row], source, atol=1e-4 * source.std())
    step = next(s for s in matrix.metadata["processing"] if s["step"] == "interpolate")
    assert step["channels"] == ["Pz"]
    whole = np.stack([values[row] for row in range(len(electrodes))]).astype(float)
    expected = mne_interpolated(electrodes, places, whole, ["Pz"], step["origin"])
    row = electrodes.index("Pz")
    assert np.abs(values[row] - expected[row]).max() < 1e-5 * whole.std()
    channels = dataset.table("channels.tsv")
    own = channels[channels["recording"] == "sub-02_task-x_eeg"].set_index("name")
    assert own.loc["Pz", ["source_name", "status", "kept"]].tolist() == ["", "interpolated", "true"]
    assert own.loc["T7", "source_name"] == "T3" and own.loc["VEOG", "kept"] == "false"
