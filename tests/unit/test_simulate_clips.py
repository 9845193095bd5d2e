"""Spikes are found, cut out clean and once, scaled once; the bank gives back what went in."""

from __future__ import annotations

import shutil
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.io import savemat
from simulate_runs import SFREQ, planted_run, write_run

from bidsmill.errors import BidsmillError
from bidsmill.simulate.activity.connectome import generate_connectome
from bidsmill.simulate.activity.runs import ActivitySettings, load_activity, simulate_activity
from bidsmill.simulate.clips.bank import ClipBank, MissingClip, leadfield_sha256, lifted_waveform
from bidsmill.simulate.clips.detection import DetectionSettings, detect_spikes, find_peaks
from bidsmill.simulate.clips.extraction import extract_clips
from bidsmill.simulate.clips.importing import import_clips
from bidsmill.simulate.clips.scaling import scale_spikes, spike_weight
from bidsmill.simulate.random_numbers import generator

N_REGIONS, N_SENSORS = 9, 5
LEADFIELD = np.random.default_rng(3).standard_normal((N_SENSORS, N_REGIONS))
LEADFIELD -= LEADFIELD.mean(axis=0)
NO_JITTER = DetectionSettings(jitter_seconds=0.0)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.integers(0, 12), min_size=3, max_size=60),
    st.integers(1, 9),
)
def test_peaks_are_those_of_a_search(values, separation):
    """Against a plain search: maxima (middle of plateaus) above 8, the highest of near ones."""
    x = np.array(values, dtype=float)
    maxima = []
    for k in range(1, len(x) - 1):
        left, right = k, k
        while left > 0 and x[left - 1] == x[k]:
            left -= 1
        while right < len(x) - 1 and x[right + 1] == x[k]:
            right += 1
        inner = left > 0 and right < len(x) - 1
        if inner and x[left - 1] < x[k] > x[right + 1] and k == (left + right) // 2 and x[k] > 8:
            maxima.append(k)
    found = find_peaks(x, 8.0, separation)
    assert set(found.tolist()) <= set(maxima)
    assert (np.diff(found) >= separation).all()
    for k in set(maxima) - set(found.tolist()):
        near = found[np.abs(found - k) < separation]
        assert len(near) and x[near].max() >= x[k]


PLANTED = {
    # 100: its clip would start before the run. 2000 and 2300: one clip cannot have both.
    # 3500: region 4 peaks 180 samples later. 4600: region 2 peaks 90 samples earlier (which the
    # rule of 100 samples hid). 5900: over the end. 500: a multiple of the clip length.
    1: [100, 500, 1250, 2000, 2300, 3500, 4600, 5900],
    4: [3680],
    2: [4510, 2800],
}


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("planted"), 1, 0, planted_run(1, PLANTED))


def test_planted_spikes_are_found(planted):
    detection = detect_spikes(load_activity(planted), NO_JITTER)
    assert detection.n_peaks == 8
    assert [spike.peak for spike in detection.spikes] == [500, 1250, 2000]
    assert detection.dropped == {"contaminated": 2, "edge": 2, "overlapping": 1}
    for spike in detection.spikes:
        assert spike.start == spike.peak - 250 and spike.height == pytest.approx(11, abs=0.1)


def test_a_second_spike_is_never_cut(tmp_path):
    """1250 is on the last sample of the clip of 1001, which is on the second of that of 1250."""
    path = write_run(tmp_path, 1, 0, planted_run(1, {1: [1001, 1250, 2300]}))
    detection = detect_spikes(load_activity(path), NO_JITTER)
    assert [spike.peak for spike in detection.spikes] == [2300]
    assert detection.dropped == {"cut": 2}


def test_margins_keep_others_away(planted):
    wide = DetectionSettings(jitter_seconds=0.0, margin_seconds=1.2)
    detection = detect_spikes(load_activity(planted), wide)
    # The clip around 2000 ends at 2250; region 2 peaks at 2800.
    assert [spike.peak for spike in detection.spikes] == [500, 1250]


@settings(max_examples=15, deadline=None)
@given(
    peaks=st.lists(st.integers(0, 39), unique=True, max_size=12),
    others=st.lists(st.integers(0, 5999), max_size=6),
    seed=st.integers(0, 5),
)
def test_clips_are_clean_disjoint_and_centred(tmp_path_factory, peaks, others, seed):
    folder = tmp_path_factory.mktemp("runs")
    own = sorted(150 * k + 5 for k in peaks)
    data = planted_run(1, {1: own, 6: others}, seed=seed)
    path = write_run(folder, 1, 0, data)
    chosen = DetectionSettings()
    detection = detect_spikes(load_activity(path), chosen, seed)
    loud = np.delete(data, 1, axis=1) > 8
    expected, dropped, free = [], Counter(), 0
    for peak in own:
        if not 0 < peak < 5999:
            continue
        jitter = int(generator(seed, "jitter", 1, 0, peak).integers(-25, 26))
        start = peak - 250 - jitter
        if start < 0 or start + 500 > 6000:
            dropped["edge"] += 1
        elif loud[start : start + 500].any():
            dropped["contaminated"] += 1
        elif data[start, 1] > 8 or data[start + 499, 1] > 8:
            dropped["cut"] += 1
        elif start < free:
            dropped["overlapping"] += 1
        else:
            expected.append((peak, start, jitter, float(data[peak, 1])))
            free = start + 500
    assert [(s.peak, s.start, s.jitter, s.height) for s in detection.spikes] == expected
    assert detection.dropped == dropped
    assert detection.n_peaks == len(expected) + sum(dropped.values())
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def bank(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bank")
    runs = {
        (1, 0): planted_run(1, PLANTED),
        (1, 1): planted_run(1, {1: [900, 3300]}, seed=1),
        (3, 0): planted_run(3, {1: [800]}, seed=2),
        (5, 0): planted_run(5, {5: [1500], 0: [1510]}, seed=3),
        (8, 0): planted_run(8, {8: [700, 1000, 1290]}, seed=4),
    }
    paths = [write_run(folder / "runs", *key, data) for key, data in runs.items()]
    made = extract_clips(folder / "bank", paths[::-1], LEADFIELD, seed=6)
    return made, runs, paths, folder


def test_bank_gives_back_the_runs(bank):
    made, runs, _, _ = bank
    assert len(made) == len(made.table) and made.regions.tolist() == [1, 8]
    assert made.clips_of(1) == [1, 2, 3, 4, 5] and made.clips_of(3) == []
    for row in made.table.itertuples():
        data = runs[row.region, row.condition]
        start = row.peak_sample - row.peak_in_clip
        clip = made.clip(row.region, row.clip)
        assert clip.dtype == np.float32 and clip.flags.c_contiguous
        assert np.array_equal(clip, data[start : start + 500].T)
        assert row.peak_in_clip == 250 + row.jitter
        assert clip[row.region, row.peak_in_clip] == np.float32(row.height)
        assert np.array_equal(made.rows(row.region, row.clip, [7, 0, 3]), clip[[7, 0, 3]])
        dense = LEADFIELD @ clip.astype(np.float64)
        projected = made.projected(row.region, row.clip)
        assert np.abs(projected - dense).max() <= 1e-6 * np.abs(dense).max()
        assert (row.region, row.clip) in made
        assert row.run == f"region-{row.region:04d}_condition-{row.condition}"
    assert made.sfreq == 500.0 and made.n_times == 500
    assert made.facts["leadfield_sha256"] == leadfield_sha256(LEADFIELD)


def test_no_waveform_is_in_two_clips(bank):
    made, _, _, _ = bank
    starts = made.table["peak_sample"] - made.table["peak_in_clip"]
    samples = {
        (run, start + k)
        for run, start in zip(made.table["run"], starts, strict=True)
        for k in range(500)
    }
    assert len(samples) == 500 * len(made)
    assert len({made.clip(r, c).tobytes() for r, c in made.table[["region", "clip"]].values}) == (
        len(made)
    )


def test_regions_without_clips_say_why(bank):
    _, _, _, folder = bank
    lines = (folder / "bank" / "regions.tsv").read_text().splitlines()
    rows = [dict(zip(lines[0].split("\t"), line.split("\t"), strict=True)) for line in lines[1:]]
    by_region = {row["region"]: row for row in rows}
    assert by_region["3"]["reason"] == "no_spikes"
    assert by_region["5"]["reason"] == "contaminated: 1"
    assert by_region["1"]["reason"] == "n/a" and by_region["1"]["n_clips"] == "5"
    for row in rows:
        parts = ("n_clips", "edge", "contaminated", "cut", "overlapping")
        assert int(row["n_spikes"]) == sum(int(row[name]) for name in parts)


def test_alpha_reaches_the_ratio(bank):
    """15 dB between the region alone and all others, at the sensors around the peak."""
    made, _, _, _ = bank
    for row in made.table.itertuples():
        clip = made.clip(row.region, row.clip).astype(float)
        own, rest = np.zeros_like(clip), clip.copy()
        own[row.region], rest[row.region] = clip[row.region] * row.alpha, 0
        window = slice(row.peak_in_clip - 100, row.peak_in_clip + 101)
        power = [
            ((seen - seen.mean(axis=1, keepdims=True))[:, window] ** 2).sum()
            for seen in (LEADFIELD @ own, LEADFIELD @ rest)
        ]
        assert 10 * np.log10(power[0] / power[1]) == pytest.approx(15, abs=1e-4)


def test_each_spike_is_scaled_once(bank):
    made, _, _, _ = bank
    row = next(r for r in made.table.itertuples() if r.region == 1 and r.peak_sample == 2000)
    waveform = made.clip(1, row.clip)[1].astype(float)
    scaled = lifted_waveform(made.clip(1, row.clip)[1], row.peak_in_clip, row.alpha, made.facts)
    mean = waveform.mean()
    gain = (scaled - mean) / (waveform - mean)
    assert gain.min() > 1 - 1e-9 and gain.max() < row.alpha * (1 + 1e-9)
    assert scaled[row.peak_in_clip] - mean == pytest.approx(
        row.alpha * (waveform[row.peak_in_clip] - mean)
    )
    assert np.abs(np.diff(gain)).max() < 0.1 * row.alpha  # a soft border
    as_it_is = lifted_waveform(made.clip(1, row.clip)[1], row.peak_in_clip, 1.0, made.facts)
    assert np.allclose(as_it_is, waveform, rtol=1e-12)
    assert np.array_equal(waveform, made.clip(1, row.clip)[1])


def test_weights_of_near_spikes_do_not_add_up():
    wave = planted_run(0, {0: [200, 270]}, n_times=500)[:, 0]
    both = spike_weight(wave, np.array([200, 270]), SFREQ)
    assert both.max() == 1 and both[200] == both[270] == 1
    assert both[0] == both[-1] == 0
    lifted = scale_spikes(wave, np.array([200, 270]), 30.0, SFREQ)
    assert lifted.max() < 30 * wave.max()


def test_order_and_cores_leave_no_trace(bank, tmp_path):
    _, _, paths, folder = bank
    extract_clips(tmp_path / "again", paths, LEADFIELD, seed=6)
    for path in sorted((folder / "bank").iterdir()):
        assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes(), path.name
    other = extract_clips(tmp_path / "seed", paths, LEADFIELD, seed=7)
    assert other.table["jitter"].tolist() != ClipBank(folder / "bank").table["jitter"].tolist()


def test_parts_are_opened_as_one(bank, tmp_path):
    made, _, paths, _ = bank
    first = extract_clips(tmp_path / "a", paths[:2], LEADFIELD, seed=6)
    extract_clips(tmp_path / "b", paths[2:], LEADFIELD, seed=6)
    extract_clips(tmp_path / "none", paths[2:3], LEADFIELD, seed=6)
    both = ClipBank([tmp_path / "b", tmp_path / "none", tmp_path / "a"])
    assert both.table.equals(made.table) and len(first) < len(both)
    for region, clip in made.table[["region", "clip"]].values:
        assert np.array_equal(both.clip(region, clip), made.clip(region, clip))
        assert np.array_equal(both.projected(region, clip), made.projected(region, clip))
    with pytest.raises(BidsmillError, match="twice"):
        ClipBank([tmp_path / "a", tmp_path / "a"])
    extract_clips(tmp_path / "c", paths[4:], 2 * LEADFIELD, seed=6)
    with pytest.raises(BidsmillError, match="leadfield_sha256"):
        ClipBank([tmp_path / "a", tmp_path / "c"])


def test_missing_clips_name_region_and_path(bank, tmp_path):
    made, _, _, folder = bank
    for ask in (made.clip, made.projected, lambda r, c: made.rows(r, c, [0])):
        with pytest.raises(MissingClip, match=r"clip 9 of region 1.*bank.*clips 1, 2, 3, 4, 5"):
            ask(1, 9)
    with pytest.raises(MissingClip, match=r"clip 1 of region 5.*no clip of this region"):
        made.clip(5, 1)
    with pytest.raises(BidsmillError, match="no clip bank here"):
        ClipBank(tmp_path)
    shutil.copytree(folder / "bank", tmp_path / "cut")
    cut = tmp_path / "cut" / "clips.npy"
    cut.write_bytes(cut.read_bytes()[:-4])
    with pytest.raises(BidsmillError, match=r"cannot be read.*clips\.npy"):
        ClipBank(tmp_path / "cut")


def test_runs_that_do_not_belong_together_are_refused(bank, tmp_path):
    _, runs, paths, _ = bank
    with pytest.raises(BidsmillError, match="no simulated activity"):
        extract_clips(tmp_path / "x", [], LEADFIELD)
    with pytest.raises(BidsmillError, match="does not fit the lead field"):
        extract_clips(tmp_path / "x", paths, LEADFIELD[:, :8])
    with pytest.raises(BidsmillError, match="named twice"):
        extract_clips(tmp_path / "x", [paths[0], paths[0]], LEADFIELD)
    other = write_run(tmp_path, 2, 0, runs[1, 0], seed=5)
    with pytest.raises(BidsmillError, match=r"different simulations.*seed 5"):
        extract_clips(tmp_path / "x", [paths[0], other], LEADFIELD)
    with pytest.raises(BidsmillError, match="cannot be cut"):
        extract_clips(tmp_path / "x", paths, LEADFIELD, DetectionSettings(jitter_seconds=0.5))


def test_a_simulated_run_becomes_clips(tmp_path):
    """The whole way, on a small generated network."""
    places = np.random.default_rng(1).standard_normal((N_REGIONS, 3)) * 0.05
    wired = generate_connectome(places, seed=2)
    length = ActivitySettings(seconds=2.0, discard=0.2)
    paths = simulate_activity(
        wired, [(k, 2) for k in range(N_REGIONS)], tmp_path / "runs", length, seed=1
    )
    low = DetectionSettings(threshold=2.5, clip_seconds=0.2, jitter_seconds=0.01)
    made = extract_clips(tmp_path / "bank", paths, LEADFIELD, low, seed=1)
    assert len(made) > 0 and made.n_times == 100
    for row in made.table.itertuples():
        clip = made.clip(row.region, row.clip)
        assert not (np.delete(clip, row.region, axis=0) > 2.5).any()
        assert clip[row.region, 50 + row.jitter] > 2.5 and np.isfinite(row.alpha)
    assert str(tmp_path) not in (tmp_path / "bank" / "bank.json").read_text()


@pytest.fixture(scope="module")
def foreign(tmp_path_factory):
    """Return clips as DeepSIF leaves them: another number of them for each region."""
    root = tmp_path_factory.mktemp("foreign") / "source" / "nmm_spikes"
    data = {}
    for region, numbers in {0: [1, 2, 10], 4: [1]}.items():
        folder = root / f"a{region}"
        folder.mkdir(parents=True)
        for number in numbers:
            peaks = {region: [200 + number], 7: [300] if number == 10 else []}
            clip = planted_run(region, peaks, n_times=500, seed=number)
            data[region, number] = clip
            path = folder / f"nmm_{number}.mat"
            if number == 1:
                savemat(path, {"data": clip.astype(float)}, do_compression=True)
            elif number == 2:
                write_hdf5(path, clip)
            else:
                write_octave(path, clip)
    (root / "a12").mkdir()
    (root / "a0" / "notes.txt").write_text("not a clip")
    return root, data


def write_hdf5(path, clip):
    """Write version 7.3, where axes are the other way round."""
    import h5py

    with h5py.File(path, "w", userblock_size=512) as file:
        file.create_dataset("data", data=clip.T.astype(float)).attrs["MATLAB_class"] = b"double"
    with open(path, "r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file".ljust(116) + b"\0" * 8 + b"\x00\x02IM")


def write_octave(path, clip):
    lines = [" " + " ".join(repr(float(value)) for value in row) for row in clip]
    head = ["# Created by Octave 8.4.0", "# name: data", "# type: matrix"]
    head += [f"# rows: {clip.shape[0]}", f"# columns: {clip.shape[1]}"]
    path.write_text("\n".join(head + lines) + "\n\n\n")


def test_clips_of_others_are_imported(foreign, tmp_path):
    root, data = foreign
    for number, source in enumerate((root, root.parent)):
        made = import_clips(source, tmp_path / str(number), LEADFIELD)
        assert made.table[["region", "clip"]].values.tolist() == [[0, 1], [0, 2], [0, 10], [4, 1]]
        for (region, clip), values in data.items():
            assert np.array_equal(made.clip(region, clip), values.T)
            dense = LEADFIELD @ values.T.astype(np.float64)
            assert np.abs(made.projected(region, clip) - dense).max() < 1e-5
    table = made.table.set_index(["region", "clip"])
    assert table.loc[(0, 10), "peak_in_clip"] == 210 and table.loc[(0, 10), "jitter"] == -40
    assert table["contaminating"].tolist() == [0, 0, 1, 0]
    assert table["alpha"].isna().all() and table["run"].isna().all()
    assert table.loc[(4, 1), "source"] == "a4/nmm_1.mat"
    assert str(root.parent) not in (tmp_path / "0" / "bank.json").read_text()
    with pytest.raises(MissingClip, match=r"clip 3 of region 4.*nmm_spikes/a4/nmm_3\.mat"):
        made.clip(4, 3)
    slow = import_clips(root, tmp_path / "slow", LEADFIELD, sfreq=250.0, needed=[(4, 1), (0, 2)])
    assert slow.sfreq == 250.0 and len(slow) == 2 and (0, 1) not in slow


def test_import_errors_name_what_is_wrong(foreign, tmp_path):
    root, data = foreign
    with pytest.raises(MissingClip, match=rf"clip 2 of region 4.*{root}/a4/nmm_2\.mat.*1 clips"):
        import_clips(root, tmp_path / "b", LEADFIELD, needed=[(0, 1), (4, 2)])
    with pytest.raises(MissingClip, match=r"clip 1 of region 3.*a3/nmm_1\.mat.*no clip of this"):
        import_clips(root, tmp_path / "b", LEADFIELD, needed=[(3, 1)])
    with pytest.raises(BidsmillError, match=r"no clips in this folder.*a\{region\}"):
        import_clips(tmp_path, tmp_path / "b", LEADFIELD)
    with pytest.raises(BidsmillError, match=r"does not fit the lead field.*500, 9.*8 regions"):
        import_clips(root, tmp_path / "b", LEADFIELD[:, :8])
    own = tmp_path / "own" / "a1"
    own.mkdir(parents=True)
    for number in (1, 2, 3):
        savemat(own / f"nmm_{number}.mat", {"data": data[0, 1 if number != 2 else 2]})
    twice = import_clips(own.parent, tmp_path / "twice", LEADFIELD).table["duplicate_of"]
    assert twice.fillna(0).tolist() == [0, 0, 1]
    (own / "nmm_3.mat").unlink()
    savemat(own / "nmm_1.mat", {"data": data[0, 1][:400]})
    savemat(own / "nmm_2.mat", {"data": data[0, 1]})
    with pytest.raises(BidsmillError, match=r"not of one length.*nmm_2\.mat.*500 samples"):
        import_clips(own.parent, tmp_path / "b", LEADFIELD)
    with pytest.raises(BidsmillError, match="no clip bank here"):
        ClipBank(tmp_path / "b")
    savemat(own / "nmm_1.mat", {"signal": data[0, 1]})
    with pytest.raises(BidsmillError, match=r"no variable 'data'.*signal"):
        import_clips(own.parent, tmp_path / "b", LEADFIELD)
    savemat(own / "nmm_1.mat", {"data": np.full((500, 9), np.nan)})
    with pytest.raises(BidsmillError, match="not finite"):
        import_clips(own.parent, tmp_path / "b", LEADFIELD)
    savemat(own / "nmm_01.mat", {"data": data[0, 1]})
    with pytest.raises(BidsmillError, match="Two files"):
        import_clips(own.parent, tmp_path / "b", LEADFIELD)
    (own / "nmm_01.mat").unlink()
    own.rename(own.parent / "a40")
    with pytest.raises(BidsmillError, match=r"region 40.*0 to 8"):
        import_clips(own.parent, tmp_path / "b", LEADFIELD)
