"""Which channels a matrix holds, and what becomes of bad ones."""

from __future__ import annotations

import mne
import numpy as np
import pytest
from bids_cases import brain_like, dataset_settings

from bidsmill.bids.channels import Channel
from bidsmill.convert.channel_plan import channel_rows, plan_channels
from bidsmill.convert.montage import canonical_places
from bidsmill.errors import RecordingProblem
from bidsmill.signal.source import ArraySignal

NAMES = list(canonical_places("biosemi32"))
KINDS = ["eeg"] * 32 + ["mag", "grad", "eog"]


def channels_of(bads=(), placed=True):
    places = canonical_places("biosemi32")
    names = [*NAMES, "MEG1", "MEG2", "EOG"]
    return [
        Channel(
            i, n, n, kind, "V", "bad" if n in bads else "good", places.get(n) if placed else None
        )
        for i, (n, kind) in enumerate(zip(names, KINDS, strict=True))
    ]


def plan_of(channels, reference=None, datatype="eeg", **own):
    settings = dataset_settings(windows={"kind": "fixed", "length": 1}, channels=own)
    return plan_channels(channels, datatype, settings["channels"], reference)


def values_of(plan, data):
    signal = plan.apply(ArraySignal(data[plan.picks], 100.0))
    return signal.read(0, signal.n_times)


@pytest.fixture
def data():
    return brain_like(len(KINDS), 250, seed=6)


def test_bad_channels_are_kept_dropped_or_interpolated(data):
    bads = {"Cz", "Fp1"}
    kept = plan_of(channels_of(bads))
    assert [c.name for c in kept.chosen if c.status == "bad"] == ["Fp1", "Cz"]
    np.testing.assert_array_equal(values_of(kept, data), data[:32])
    dropped = plan_of(channels_of(bads), bad="drop")
    np.testing.assert_array_equal(
        values_of(dropped, data), data[[i for i, n in enumerate(NAMES) if n not in bads]]
    )
    made = plan_of(channels_of(bads), bad="interpolate")
    assert [c.name for c in made.chosen] == NAMES
    assert [c.name for c in made.chosen if c.status == "interpolated"] == ["Fp1", "Cz"]
    step = made.steps[0]
    assert step["channels"] == ["Fp1", "Cz"] and step["positions"] == "recording"
    info = mne.create_info(NAMES, 100.0, "eeg")
    raw = mne.io.RawArray(data[:32].copy(), info, verbose="ERROR")
    for channel, name in zip(raw.info["chs"], NAMES, strict=True):
        channel["loc"][:3] = canonical_places("biosemi32")[name]
    raw.info["bads"] = sorted(bads)
    raw.interpolate_bads(origin=tuple(step["origin"]), method={"eeg": "spline"}, verbose="ERROR")
    expected, found = raw.get_data(), values_of(made, data)
    assert np.abs(found - expected).max() < 1e-6 * data.std()
    good = [i for i, name in enumerate(NAMES) if name not in bads]
    assert found[good].tobytes() == data[good].tobytes()


def test_interpolation_and_reference_together(data):
    """A spline's weights add up to 1, so referencing first and interpolating then is the same."""
    bads = {"Cz", "Fp1"}
    plan = plan_of(channels_of(bads), "average", bad="interpolate")
    assert [step["step"] for step in plan.steps] == ["interpolate", "reference"]
    plain = values_of(plan_of(channels_of(bads), bad="interpolate"), data)
    good = [i for i, name in enumerate(NAMES) if name not in bads]
    np.testing.assert_allclose(
        values_of(plan, data), plain - data[good].mean(axis=0), atol=1e-9 * data.std()
    )


def test_what_cannot_be_interpolated_is_kept_and_told(data):
    bads = {"Cz", "MEG1", "EOG"}
    types = ["eeg", "mag", "grad", "eog"]
    plan = plan_of(channels_of(bads), bad="interpolate", types=types)
    statuses = {c.name: c.status for c in plan.chosen if c.status != "good"}
    assert statuses == {"Cz": "interpolated", "MEG1": "bad", "EOG": "bad"}
    assert plan.notes == [
        "bad channels that cannot be interpolated are kept: MEG1 (type mag), EOG (type eog)"
    ]
    assert values_of(plan, data)[32:].tobytes() == data[32:].tobytes()
    plan = plan_of(channels_of(bads, placed=False), bad="interpolate")
    assert "Cz (its place is not known)" in plan.notes[0] and plan.mixing is None
    # Neither a bad nor an excluded channel is a source.
    nearly = channels_of(set(NAMES[3:]))
    plan = plan_of(nearly, bad="interpolate")
    assert "good EEG channels with a known place: 3" in plan.notes[0] and plan.mixing is None
    plan = plan_of(channels_of({"Cz"}), bad="interpolate", exclude=["C3", "C4"])
    assert not {"C3", "C4", "Cz"} & set(plan.steps[0]["sources"])


def test_values_that_are_not_finite_stay_in_their_channel(data):
    data[NAMES.index("Cz"), 10] = np.nan
    data[33, 20] = np.inf
    types = ["eeg", "mag", "grad", "eog"]
    found = values_of(plan_of(channels_of({"Cz"}), "average", bad="interpolate", types=types), data)
    assert np.isfinite(found[:32]).all()
    assert found[32:].tobytes() == data[32:].tobytes()


def test_the_table_of_channels():
    channels = channels_of({"Cz"})
    plan = plan_of(channels[1:], policy="montage", montage="biosemi32", bad="interpolate")
    rows = channel_rows(channels[1:], plan.chosen)
    assert [row["name"] for row in rows] == [*NAMES[1:], "MEG1", "MEG2", "EOG", NAMES[0]]
    assert {row["name"] for row in rows if not row["kept"]} == {"MEG1", "MEG2", "EOG"}
    assert {r["name"] for r in rows if r["status"] == "interpolated"} == {"Cz", NAMES[0]}


def test_lists_and_types():
    channels = channels_of()
    plan = plan_of(channels, policy="list", names=["EOG", "Cz"])
    assert [c.name for c in plan.chosen] == ["EOG", "Cz"] and plan.picks == [34, NAMES.index("Cz")]
    with pytest.raises(RecordingProblem) as caught:
        plan_of(channels, policy="list", names=["Nz"])
    assert caught.value.code == "missing_channels"
    with pytest.raises(RecordingProblem) as caught:
        plan_of(channels, types=["stim"])
    assert caught.value.code == "no_channels"
