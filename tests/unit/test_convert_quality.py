"""Measures of quality: equal to formulas over whole arrays, and thresholds that move no row."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import scipy.signal
from bids_cases import Dataset, brain_like, write_brainvision, write_edf, write_fif
from hypothesis import given, settings
from hypothesis import strategies as st

from bidsmill.annotate.duplicates import duplicate_issues, find_duplicates
from bidsmill.convert.constancy import constant_samples
from bidsmill.convert.fingerprint import SignalFingerprint
from bidsmill.convert.quality import QualityMeter
from bidsmill.convert.spectrum import sampled_rows
from bidsmill.formats import files

SFREQ = 100.0
FIXED = {"kind": "fixed", "length": 2.0}


def document(types, statuses=None, sfreq=SFREQ, n_times=200, line=None):
    units = {"mag": "T", "grad": "T/m"}
    channels = [
        {"name": f"c{i}", "type": kind, "status": status, "unit": units.get(kind, "V")}
        for i, (kind, status) in enumerate(
            zip(types, statuses or ["good"] * len(types), strict=True)
        )
    ]
    return {"channels": channels, "sfreq": sfreq, "n_times": n_times, "line_frequency": line}


def measure(block, groups=(), **facts):
    """Measure a block of rows, in groups of these sizes."""
    types = facts.pop("types", ["eeg"] * len(block))
    as_recorded = facts.pop("as_recorded", True)
    meter = QualityMeter(
        document(types, n_times=block.shape[2], **facts), block.shape[1], as_recorded
    )
    borders = sorted({0, block.shape[1], *np.minimum(np.cumsum(groups), block.shape[1]).tolist()})
    for low, high in itertools.pairwise(borders):
        meter.add(low, np.ascontiguousarray(block[:, low:high]))
    return meter.result()


def rows_of(n_channels, n_rows, n_times=200, seed=0):
    data = brain_like(n_channels, n_rows * n_times, seed)
    return data.reshape(n_channels, n_rows, n_times).astype(np.float32)


def runs(flags):
    """Return (start, stop) of every run of true flags, one by one."""
    found, start = [], None
    for place, flag in enumerate([*flags, False]):
        if flag and start is None:
            start = place
        if not flag and start is not None:
            found.append((start, place))
            start = None
    return found


# ------------------------------------------------------------------------------- flat, clipped


@settings(max_examples=60, deadline=None)
@given(
    st.integers(2, 40),
    st.integers(1, 4),
    st.integers(1, 90),
    st.lists(st.tuples(st.integers(1, 60), st.integers(0, 2)), min_size=1, max_size=12),
)
def test_constant_stretches_are_counted(run, n_rows, n_times, stretches):
    signal = np.concatenate([np.full(count, value, np.float32) for count, value in stretches])
    block = np.resize(signal, (1, n_rows, n_times))
    expected = []
    for row in block[0]:
        same = [*(row[1:] == row[:-1])]
        long = [stop - start + 1 for start, stop in runs(same) if stop - start + 1 >= run]
        expected.append(sum(long))
    np.testing.assert_array_equal(constant_samples(block, run)[0], expected)


def test_a_flat_stretch_is_found_where_it_lies():
    block = rows_of(4, 10)
    block[1, 3, 20:150] = block[1, 3, 20]  # 1.3 s
    block[1, 4, 20:119] = block[1, 4, 20]  # 0.99 s: too short
    block[2, 5] = 0
    block[3, 5] = 1e-3
    found = measure(block)
    flat = {name: own["flat"] for name, own in found["channels"].items()}
    assert flat == {"c0": 0, "c1": 130 / 2000, "c2": 0.1, "c3": 0.1}
    assert found["rows"]["flat"] == {"3": 0.25, "5": 0.5}
    assert found["recording"]["flat"] == pytest.approx(np.mean([0, 0.065, 0.1, 0.1]))


def test_what_a_filter_leaves_of_a_constant_is_flat():
    block = rows_of(2, 5)
    block[1] = 1e-18 * np.random.default_rng(0).standard_normal(block[1].shape)
    assert measure(block)["channels"]["c1"]["flat"] == 1
    # The same numbers in T are a field as small as magnetometers see.
    block[1] *= 1e4
    assert measure(block, types=["eeg", "mag"])["channels"]["c1"]["flat"] == 0


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.3, 3.0), st.lists(st.integers(1, 4), max_size=6))
def test_clipping_is_counted_at_the_extremes_of_the_recording(seed, limit, groups):
    rng = np.random.default_rng(seed)
    block = rng.standard_normal((3, 9, 50)).cumsum(axis=2).astype(np.float32)
    block /= block.std(axis=(1, 2), keepdims=True)
    block[1:] = block[1:].clip(-limit, limit)
    found = measure(block, groups)
    for channel in range(3):
        count, rows = 0, set()
        for extreme in (block[channel].max(), block[channel].min()):
            for row in range(9):
                long = [b - a for a, b in runs(block[channel, row] == extreme) if b - a >= 3]
                # A row that does not change is flat, not clipped.
                if np.ptp(block[channel, row]) > 0 and long:
                    count += sum(long)
                    rows.add(row)
        assert found["channels"][f"c{channel}"]["clipped"] == pytest.approx(count / 450, rel=1e-5)
    shares = {int(row): share for row, share in found["rows"]["clipped"].items()}
    assert sum(shares.values()) * 3 == pytest.approx(
        sum(
            any(
                b - a >= 3
                for extreme in (block[c].max(), block[c].min())
                for a, b in runs(block[c, r] == extreme)
            )
            and np.ptp(block[c, r]) > 0
            for c in range(3)
            for r in range(9)
        ),
        rel=1e-4,
    )


def test_clipping_is_not_told_behind_a_filter():
    found = measure(rows_of(2, 5), as_recorded=False)
    assert found["rows"]["clipped"] is None and found["recording"]["clipped"] is None
    assert {own["clipped"] for own in found["channels"].values()} == {None}


# ------------------------------------------------------------------------ amplitude, NaN, line


def test_amplitudes_are_those_of_whole_arrays():
    block = rows_of(5, 40, seed=2)
    block[2, 7, 3] = np.nan
    block[2, 8, :4] = np.inf
    block[4] *= 100
    types = ["eeg", "eeg", "eeg", "mag", "eeg"]
    found = measure(block, types=types, statuses=["good"] * 4 + ["bad"])
    whole = block.astype(float)
    peaks = np.ptp(whole, axis=2)
    peaks[2, 7:9] = np.nan
    for channel in range(5):
        own = found["channels"][f"c{channel}"]
        assert own["peak_to_peak_min"] == pytest.approx(np.nanmin(peaks[channel]), rel=1e-5)
        assert own["peak_to_peak_max"] == pytest.approx(np.nanmax(peaks[channel]), rel=1e-5)
        assert own["not_finite"] == pytest.approx(5 / 8000 if channel == 2 else 0)
        used = [r for r in sampled_rows(40) if np.isfinite(whole[channel, r]).all()]
        deviation = np.sqrt(whole[channel, used].var(axis=1).mean())
        assert own["std"] == pytest.approx(deviation, rel=1e-5)
    # The bad channel does not decide about rows.
    rows = found["rows"]["peak_to_peak"]
    np.testing.assert_allclose(rows["eeg"], np.nanmax(peaks[:3], axis=0), rtol=1e-5)
    np.testing.assert_allclose(rows["mag"], peaks[3], rtol=1e-5)


@pytest.mark.parametrize(("stated", "line"), [(50.0, 50.0), (None, 60.0)])
def test_line_noise_stands_out_of_the_periodogram(stated, line):
    sfreq, n_times, n_rows = 256.0, 512, 30
    rng = np.random.default_rng(3)
    block = rng.standard_normal((3, n_rows, n_times)) * 1e-5
    times = np.arange(n_rows * n_times).reshape(n_rows, n_times) / sfreq
    block[1] += 4e-5 * np.sin(2 * np.pi * line * times)
    block[2] += 2e-5 * np.sin(2 * np.pi * line * times)
    block = block.astype(np.float32)
    found = measure(block, sfreq=sfreq, line=stated)
    assert found["recording"]["line_frequency"] == line
    frequencies, power = scipy.signal.periodogram(
        block[:, sampled_rows(n_rows)].astype(float), sfreq, np.hanning(n_times + 2)[1:-1]
    )
    power = power.mean(axis=1)
    away = np.abs(frequencies - line)
    floor = np.median(power[:, (away > 1) & (away <= 6)], axis=1)
    expected = power[:, away <= 1].mean(axis=1) / floor
    ratios = [found["channels"][f"c{i}"]["line_noise"] for i in range(3)]
    np.testing.assert_allclose(ratios, expected, rtol=1e-3)
    assert ratios[0] < 3 and ratios[1] > 100 and ratios[1] > ratios[2] > 20
    assert found["recording"]["line_noise"] == pytest.approx(np.median(expected), rel=1e-3)


def test_line_noise_is_unknown_where_it_cannot_be_seen():
    for sfreq, n_times, line in [(100.0, 200, 50.0), (500.0, 20, None), (80.0, 160, None)]:
        found = measure(rows_of(2, 4, n_times), sfreq=sfreq, line=line)
        assert found["recording"]["line_noise"] is None


def test_a_wrong_scale_is_flagged():
    block = rows_of(4, 10)
    assert measure(block)["recording"]["suspicious"] == []
    for factor in (1e3, 1e-4):
        told = measure(block * np.float32(factor))["recording"]["suspicious"]
        assert len(told) == 1 and "scale" in told[0] and "nothing is rescaled" in told[0]
    assert measure(block * np.float32(1e3), types=["emg"] * 4)["recording"]["suspicious"] == []


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(1, 30), max_size=8), st.integers(0, 1000))
def test_groups_of_rows_do_not_matter(groups, seed):
    block = rows_of(3, 30, 64, seed).clip(-1.5e-4, 1.5e-4)
    block[1, 4:9] = 0
    block[2, 11, 5] = np.nan
    assert measure(block, groups) == measure(block)


# ---------------------------------------------------------------------------------- duplicates


def fingerprint(block, sfreq=SFREQ):
    meter = SignalFingerprint(np.arange(len(block)), sfreq, block.shape[2], block.shape[1])
    for row in range(0, block.shape[1], 7):
        meter.add(np.ascontiguousarray(block[:, row : row + 7]))
    return meter.result()


def test_a_part_of_a_recording_is_found_in_any_order_gain_and_offset():
    block = rows_of(32, 400, seed=1)
    other = rows_of(32, 400, seed=2)
    part = block[[5, 2, 9], 30:40] * np.float32(1000) + np.float32(0.01)
    prints = {
        "sub-01_a_eeg": fingerprint(block),
        "sub-02_b_eeg": fingerprint(part),
        "sub-01_c_eeg": fingerprint(block[:, :200]),
        "sub-03_d_eeg": fingerprint(other),
        "sub-04_e_eeg": fingerprint(np.zeros_like(block)),
        "sub-05_f_eeg": fingerprint(np.zeros_like(block)),
        "sub-06_g_eeg": fingerprint(block, 200.0),
    }
    assert len(prints["sub-01_a_eeg"]["hashes"]) <= 12 * 2048
    twins = find_duplicates(prints)
    assert twins["sub-01_a_eeg"] == ["sub-01_c_eeg", "sub-02_b_eeg"]
    assert set(twins) == {"sub-01_a_eeg", "sub-01_c_eeg", "sub-02_b_eeg"}
    issues = duplicate_issues(twins, {stem: f"{stem}.edf" for stem in prints})
    severities = {issue["message"].split(";")[0]: issue["severity"] for issue in issues}
    assert severities["sub-01_a_eeg and sub-01_c_eeg hold the same signal"] == "warning"
    assert severities["sub-01_a_eeg and sub-02_b_eeg hold the same signal"] == "error"


@pytest.mark.parametrize("share", [0.4, 0.6])
def test_half_of_the_shorter_has_to_agree(share):
    block, other = rows_of(4, 50, seed=1), rows_of(4, 50, seed=2)
    same = round(50 * share)
    other[:, :same] = block[:, :same]
    assert bool(find_duplicates({"a": fingerprint(block), "b": fingerprint(other)})) == (
        share > 0.5
    )


def test_periodic_signals_and_triggers_are_no_fingerprint():
    square = np.zeros((2, 50, 200), np.float32)
    square[:, :, :100] = 1
    assert fingerprint(square)["hashes"] == ""
    assert fingerprint(rows_of(2, 50, 10))["hashes"] == ""


def test_rounding_of_another_reader_does_not_hide_a_duplicate():
    rng = np.random.default_rng(0)
    block = rows_of(4, 100) + np.float32(1e-3)
    nudged = np.nextafter(block, np.where(rng.random(block.shape) < 0.5, -1, 1).astype(np.float32))
    twins = find_duplicates({"a": fingerprint(block), "b": fingerprint(nudged)})
    assert twins == {"a": ["b"], "b": ["a"]}


# ---------------------------------------------------------------------------------- end to end


def write_odd(root):
    """Write three subjects: odd rows, the same signal in another format, and a loud one."""
    root.mkdir(parents=True)
    files.write_json(root / "dataset_description.json", {"Name": "t", "BIDSVersion": "1.10.0"})
    names = ["A", "B", "C", "D"]
    data = brain_like(4, 2000, seed=1)
    data -= data.mean(axis=1, keepdims=True)
    data[:3, 400:600] = data[:3, 400:401]
    data[0, 900] = 2e-3
    data[1:, 1200:1400] = data[1:, 1200:1400].clip(-2e-4, 2e-4)
    data[3, 1210:1250] = 5e-4
    folder = root / "sub-01" / "eeg"
    write_brainvision(folder, "sub-01_task-x_eeg", data, SFREQ, names)
    folder = root / "sub-02" / "eeg"
    write_fif(folder / "sub-02_task-x_eeg.fif", data[::-1, :1200], SFREQ, names[::-1])
    loud = [(n, d * 1e9, 100, "uV") for n, d in zip(names, brain_like(4, 2000, 9), strict=True)]
    write_edf(root / "sub-03" / "eeg" / "sub-03_task-x_eeg.edf", loud)
    return data


def test_a_dataset_with_thresholds(tmp_path):
    dataset = Dataset(tmp_path)
    write_odd(dataset.root)
    dataset.run(windows=FIXED)
    before = {p: p.stat().st_mtime_ns for p in (dataset.results / "matrix").iterdir()}
    samples = dataset.table("samples.parquet")
    assert set(samples["excluded"]) == {""}
    own = samples[samples["recording"] == "sub-01_task-x_eeg"]
    assert own["quality_flat"].tolist() == [0, 0, 0.75, 0, 0, 0, 0, 0, 0, 0]
    assert own["quality_clipped"].tolist() == [0, 0, 0, 0, 0, 0, 0.25, 0, 0, 0]
    assert own["quality_peak_to_peak_eeg"].idxmax() == own.index[4]
    assert str(samples["quality_flat"].dtype) == "float32"
    table = dataset.table("recordings.tsv").set_index("subject")
    assert table["duplicate_of"].to_dict() == {
        "01": "sub-02_task-x_eeg",
        "02": "sub-01_task-x_eeg",
        "03": "",
    }
    assert table.loc["03", "quality_remarks"].startswith("scale:")
    assert table.loc["01", "quality_remarks"] == ""
    assert float(table.loc["01", "quality_flat"]) == pytest.approx(600 / 8000)
    issues = files.read_json(dataset.results / "labels.json")["issues"]
    assert [(i["severity"], i["code"]) for i in issues] == [
        ("error", "duplicate_signal_across_subjects")
    ]
    exclude = {"flat": 0.5, "clipped": 0.2, "extreme": {"eeg": 1e-3}}
    dataset.run(windows=FIXED, quality={"exclude": exclude})
    assert {p: p.stat().st_mtime_ns for p in (dataset.results / "matrix").iterdir()} == before
    samples = dataset.table("samples.parquet")
    own = samples[samples["recording"] == "sub-01_task-x_eeg"]
    assert own["row"].tolist() == list(range(10))
    assert own["excluded"].tolist() == ["", "", "flat", "", "extreme", "", "clipped", "", "", ""]
    loud = samples[samples["recording"] == "sub-03_task-x_eeg"]
    assert set(loud["excluded"]) == {"extreme"}
    table = dataset.table("recordings.tsv").set_index("subject")
    assert table["excluded"].tolist() == ["3", "2", "10"]
    channels = dataset.table("channels.tsv").set_index(["recording", "name"])
    assert float(channels.loc[("sub-01_task-x_eeg", "A"), "flat"]) == pytest.approx(0.1)


def test_clipping_thresholds_are_told_where_they_cannot_act(tmp_path):
    dataset = Dataset(tmp_path)
    write_odd(dataset.root)
    dataset.run(
        windows=FIXED, filter={"low": 1.0}, quality={"exclude": {"clipped": 0.1, "line_noise": 1e9}}
    )
    table = dataset.table("recordings.tsv")
    assert all("clipped: not known" in text for text in table["quality_remarks"])
    samples = dataset.table("samples.parquet")
    assert samples["quality_clipped"].isna().all() and set(samples["excluded"]) == {""}


def test_the_corpus_holds_one_signal_three_times(corpus_copy, tmp_path):
    dataset = Dataset(tmp_path / "run")
    dataset.root = corpus_copy("eeglab_attention")
    dataset.run(windows=FIXED)
    table = dataset.table("recordings.tsv")
    twins = {
        row["acquisition"]: row["duplicate_of"].count("sub-01")
        for row in table.to_dict("records")
        if row["subject"] == "01"
    }
    assert table["status"].isin(["converted", "repaired"]).all()
    # The short one has no labels and three of the channels; another format; all of one subject.
    assert twins == {"fdt": 2, "hdf5": 2, "short": 2}
    # sub-02 has one value per second, repeated.
    assert float(table.loc[table["subject"] == "02", "quality_flat"].iloc[0]) == 1
    assert set(table.loc[table["subject"] != "01", "duplicate_of"]) == {""}
    issues = files.read_json(dataset.results / "labels.json")["issues"]
    assert {issue["severity"] for issue in issues} == {"warning"}
