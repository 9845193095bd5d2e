"""The formula of section 4.1 against the dense one, noise at its ratio, scales that give back."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.io import loadmat
from spike_cases import (
    SFREQ,
    Bank,
    Sheet,
    centred,
    dense_formula,
    forward_of,
    is_connected,
    one_source,
)

from bidsmill.errors import BidsmillError
from bidsmill.formats.leadfield import LeadField
from bidsmill.simulate.clips.bank import ClipBank, MissingClip, lifted_waveform, write_bank
from bidsmill.simulate.random_numbers import generator
from bidsmill.simulate.sources.drawing import SourceDrawing, SourceSettings
from bidsmill.simulate.sources.patches import grow_patch
from bidsmill.simulate.sources.table import Sample, Source
from bidsmill.simulate.spikes.making import SpikeMaker, labels_of
from bidsmill.simulate.spikes.noise_segments import segments_of_variables
from bidsmill.simulate.spikes.projection import Forward, SourceProblem, project
from bidsmill.simulate.spikes.sensor_noise import NoiseSettings, SensorNoise
from bidsmill.simulate.spikes.waveforms import LiftedClips, spike_maker

SHEET = Sheet()
FORWARD = forward_of(SHEET.n_regions, 32)
BANK = Bank(FORWARD)
# Magnetometers and gradiometers of very different units, and EEG.
MIXED = Forward(
    FORWARD.matrix * np.repeat([1.0, 1e-12, 1e-10], [16, 8, 8])[:, None],
    ("eeg",) * 16 + ("mag",) * 8 + ("grad",) * 8,
)
MIXED_BANK = Bank(MIXED)
# As spike_maker has it: nothing is left to be referenced.
REFERENCED = Forward(FORWARD.matrix - FORWARD.matrix.mean(axis=0), FORWARD.types)
ALL = [(FORWARD, BANK), (MIXED, MIXED_BANK), (REFERENCED, Bank(REFERENCED))]


def drawn(count=30, **changed) -> list[Sample]:
    asked = SourceSettings(seed=3, n_sources=(1, 3), **changed)
    return list(SourceDrawing(asked, SHEET, BANK.table, BANK.n_times).samples(0, count))


@pytest.mark.parametrize(("forward", "bank"), ALL)
def test_the_patch_form_equals_the_dense_formula(forward, bank):
    for sample in drawn(20):
        found = project(sample, forward, bank, SFREQ)
        v, z = dense_formula(sample, found.alphas, forward, bank)
        for rows in forward.rows_of.values():
            largest = np.abs(v[rows]).max()
            assert np.abs(found.signal[rows] - v[rows]).max() <= 1e-6 * largest
        expected = z[:, sample.regions].T
        assert np.abs(found.source - expected).max() <= 1e-6 * np.abs(expected).max()
        # Nothing in the bank was changed in place.
        again = project(sample, forward, bank, SFREQ)
        np.testing.assert_array_equal(found.signal, again.signal)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_any_patches_even_overlapping_ones_equal_the_dense_formula(data):
    sources = []
    for _ in range(data.draw(st.integers(1, 3))):
        regions = data.draw(
            st.lists(st.integers(0, SHEET.n_regions - 1), min_size=1, max_size=12, unique=True)
        )
        weights = data.draw(st.lists(st.floats(0, 1, width=32), min_size=len(regions),
                                     max_size=len(regions)))  # fmt: skip
        clip = data.draw(st.integers(1, 4))
        alpha = data.draw(st.floats(0.01, 100))
        weights = np.array(weights, np.float32)
        sources.append(Source(regions[0], clip, np.array(regions, np.int32), weights, alpha))
    sample = Sample(0, tuple(sources), 10)
    found = project(sample, FORWARD, BANK, SFREQ)
    assert found.alphas == tuple(source.alpha for source in sources)
    v, z = dense_formula(sample, found.alphas, FORWARD, BANK)
    assert np.abs(found.signal - v).max() <= 1e-6 * np.abs(v).max()
    assert np.abs(found.source - z[:, sample.regions].T).max() <= 1e-6 * np.abs(z).max()


@pytest.mark.parametrize("forward", [FORWARD, REFERENCED])
def test_scales_reach_the_source_snr_on_the_actual_sources(forward):
    """Power of the weighted patch over that of all other activity, near the peak."""
    bank = Bank(forward)
    for sample in drawn(12):
        found = project(sample, forward, bank, SFREQ)
        silent = [0.0] * len(sample.sources)
        background = centred(dense_formula(sample, silent, FORWARD, BANK)[0])
        for k, source in enumerate(sample.sources):
            x = BANK.clip(source.centre, source.clip)[source.centre].astype(float)
            wave = found.alphas[k] * x / x.max()
            peak = int(np.argmax(x))
            spike = centred(np.outer(FORWARD.matrix[:, source.regions] @ source.weights, wave))
            near = slice(max(peak - 50, 0), peak + 50)
            ratio = (spike[:, near] ** 2).mean() / (background[:, near] ** 2).mean()
            assert 10 * np.log10(ratio) == pytest.approx(source.snr, abs=1e-3)
            assert found.peaks[k] == peak


def test_a_given_scale_is_kept_and_only_nan_is_found():
    first, second = (replace(one_source(c, 1, [c + 1]), snr=12.0) for c in (4, 30))
    sample = Sample(0, (replace(first, alpha=7.5), second), 10)
    found = project(sample, FORWARD, BANK, SFREQ)
    assert found.alphas[0] == 7.5 and np.isfinite(found.alphas[1])


@pytest.mark.parametrize("model", ["white", "per_channel", "recorded"])
@pytest.mark.parametrize(("forward", "bank"), ALL)
def test_realised_snr_is_that_of_what_was_added(model, forward, bank):
    random = np.random.default_rng(0)
    long = np.cumsum(random.standard_normal((3, 32, 400)), axis=2) + 50
    noise = SensorNoise(NoiseSettings(model, 0.7), forward, list(long))
    asked, realised, by_channel = [], [], []
    for sample in drawn(24):
        signal = project(sample, forward, bank, SFREQ).signal
        before = signal.astype(float)
        noisy = noise.add(signal, sample.snr, generator(1, "noise", sample.index))
        for kind, rows in forward.rows_of.items():
            clean = centred(before[rows], kind == "eeg")
            added = noisy.values[rows] - clean
            ratio = 10 * np.log10((clean**2).mean() / (added**2).mean())
            assert noisy.realised[kind] == pytest.approx(ratio, abs=0.01)
            asked.append(sample.snr)
            realised.append(ratio)
            by_channel.append(np.std(10 * np.log10((clean**2).mean(1) / (added**2).mean(1))))
            if kind == "eeg":
                assert np.abs(noisy.values[rows].mean(0)).max() < 1e-5 * np.abs(clean).max()
    # One sample scatters by chance; all of them together do not.
    assert np.mean(np.array(realised) - asked) == pytest.approx(0, abs=0.15)
    if model == "per_channel":
        assert np.mean(by_channel) < 1.5
    else:
        assert np.mean(by_channel) > 2


def test_realised_snr_is_near_the_target_for_samples_of_full_size():
    forward = forward_of(SHEET.n_regions, 75)
    bank = Bank(forward, n_times=500)
    maker = SpikeMaker(forward, bank, SFREQ, 5)
    asked = SourceSettings(seed=3)
    for sample in SourceDrawing(asked, SHEET, bank.table, 500).samples(0, 16):
        spike = maker.make(sample)
        assert abs(spike.realised["eeg"] - sample.snr) < 0.5
        assert np.abs(spike.values).max() == 1
        assert np.abs(spike.values.mean(axis=0)).max() < 1e-6
        assert np.abs(spike.values.mean(axis=1)).max() < 1e-6
        assert spike.source.min() >= -1 and np.abs(spike.source).max() == 1


def test_amplitudes_can_be_recovered():
    maker = SpikeMaker(MIXED, MIXED_BANK, SFREQ, 5)
    for sample in drawn(8):
        spike = maker.make(sample)
        v, z = dense_formula(sample, spike.alphas, MIXED, MIXED_BANK)
        np.testing.assert_allclose(
            spike.source * spike.source_scale, z[:, sample.regions].T, rtol=1e-5, atol=1e-5
        )
        for kind, rows in MIXED.rows_of.items():
            assert np.abs(spike.values[rows]).max() == 1
            signal = centred(v[rows], kind == "eeg")
            noise = spike.values[rows] * spike.scales[kind] - signal
            ratio = 10 * np.log10((signal**2).mean() / (noise**2).mean())
            assert ratio == pytest.approx(spike.realised[kind], abs=0.01)
        labels = labels_of(spike, SFREQ)
        assert {"scale_eeg", "scale_mag", "scale_grad", "snr_realised_mag"} <= set(labels)


def test_meg_keeps_its_mean_over_sensors():
    spike = SpikeMaker(MIXED, MIXED_BANK, SFREQ, 5).make(drawn(1)[0])
    assert np.abs(spike.values[:16].mean(axis=0)).max() < 1e-6
    assert np.abs(spike.values[16:24].mean(axis=0)).max() > 1e-3


def test_sides_have_recorded_segments_of_their_own():
    segments = list(np.random.default_rng(0).standard_normal((10, 32, 120)))
    maker = SpikeMaker(FORWARD, BANK, SFREQ, 5, NoiseSettings("recorded"), segments)
    train, test = maker.segments_of("train"), maker.segments_of("test")
    assert len(test) == 2 and sorted(train + test) == list(range(10))
    assert maker.segments_of("none") == train
    alone = SpikeMaker(FORWARD, BANK, SFREQ, 5, NoiseSettings("recorded"), segments[:1])
    assert alone.segments_of("test") is None
    for sample in drawn(3):
        maker.make(sample)
        alone.make(sample)


class Flat(Bank):
    """A bank whose centre waveforms never rise above 0."""

    def waveform(self, region, clip):
        return -np.abs(super().waveform(region, clip))


def test_what_cannot_be_made_says_why():
    def reason(sample, bank=BANK, forward=FORWARD):
        with pytest.raises(SourceProblem) as raised:
            SpikeMaker(forward, bank, SFREQ, 0).make(sample)
        return raised.value.code

    good = replace(one_source(3, 1, [4]), snr=10.0)
    assert reason(Sample(0, (), 5)) == "no_source"
    assert reason(Sample(0, (good,), 5), Flat(FORWARD)) == "no_peak"
    assert reason(Sample(0, (replace(good, snr=float("nan")),), 5)) == "no_alpha"
    assert reason(Sample(0, (replace(good, regions=np.array([4, 3])),), 5)) == "bad_patch"
    assert reason(Sample(0, (replace(good, regions=np.array([3, 96])),), 5)) == "bad_patch"
    assert reason(Sample(0, (replace(good, regions=np.array([3, 3])),), 5)) == "bad_patch"
    nothing = Forward(np.zeros_like(FORWARD.matrix), FORWARD.types)
    assert reason(Sample(0, (replace(good, alpha=1.0),), 5), Bank(nothing), nothing) == "no_signal"
    with pytest.raises(BidsmillError, match="there is no recording"):
        SensorNoise(NoiseSettings("recorded"), FORWARD)
    with pytest.raises(BidsmillError, match="does not fit to the lead field"):
        SensorNoise(NoiseSettings("recorded"), FORWARD, [np.zeros((3, 100))])
    with pytest.raises(BidsmillError, match="unknown model"):
        NoiseSettings("pink")
    short = SensorNoise(NoiseSettings("recorded"), FORWARD, [np.ones((32, 99))])
    with pytest.raises(BidsmillError, match="shorter than a sample"):
        short.add(project(drawn(1)[0], FORWARD, BANK, SFREQ).signal, 5, generator(0))


@pytest.fixture(scope="module")
def stored_bank(tmp_path_factory):
    """A bank on the disk: clips with a factor, and one of others, without."""
    folder = tmp_path_factory.mktemp("bank")
    keys = [(3, 1), (3, 2), (40, 1)]
    rows = []
    for number, (region, clip) in enumerate(keys):
        x = BANK.clip(region, clip)
        row = {"region": region, "clip": clip, "sfreq": SFREQ, "jitter": 0, "contaminating": 0}
        row |= {"peak_in_clip": int(x[region].argmax()), "height": float(x[region].max())}
        row |= {"alpha": np.nan if number == 2 else 4.0, "run": f"a{region}", "condition": 0}
        row |= {"peak_sample": 1000 * number, "source": ""}
        rows.append((row, x))
    detection = {"threshold": 8.0, "separation": 0.05}
    facts = {"sfreq_hz": SFREQ, "n_times": 100, "detection": detection}
    matrix = FORWARD.matrix - FORWARD.matrix.mean(axis=0)
    write_bank(folder, rows, len(rows), matrix, facts, pd.DataFrame({"region": [3, 40]}))
    return ClipBank(folder)


def expected_waveform(bank: ClipBank, region: int, clip: int) -> np.ndarray:
    """Return the waveform of the centre with its spikes lifted by the factor of the table."""
    row = bank.table.query("region == @region and clip == @clip").iloc[0]
    own = bank.clip(region, clip)[region]
    return lifted_waveform(own, int(row["peak_in_clip"]), float(row["alpha"]), bank.facts)


def test_sources_show_the_lifted_waveform_of_the_bank(stored_bank):
    clips = LiftedClips(stored_bank)
    for region, clip in ((3, 1), (3, 2)):
        expected = expected_waveform(stored_bank, region, clip)
        np.testing.assert_allclose(clips.waveform(region, clip), expected, rtol=1e-6)
        assert expected.max() > 2 * BANK.clip(region, clip)[region].max()
    np.testing.assert_array_equal(clips.waveform(40, 1), BANK.clip(40, 1)[40])
    with pytest.raises(MissingClip, match="no clip 9 of region 3"):
        clips.waveform(3, 9)
    sample = Sample(0, (replace(one_source(3, 2, [4, 5]), snr=15.0),), 10)
    found = project(sample, Forward(FORWARD.matrix, FORWARD.types), clips, SFREQ)
    wave = found.source[0].astype(float)
    shape = expected_waveform(stored_bank, 3, 2)
    np.testing.assert_allclose(wave, shape / shape.max() * found.alphas[0], rtol=1e-5)


def test_a_bank_of_another_lead_field_is_refused(stored_bank):
    names = tuple(f"E{i}" for i in range(32))
    lead = LeadField(FORWARD.matrix, names, FORWARD.types, np.full((32, 3), np.nan))
    maker = spike_maker(lead, stored_bank, 1)
    # The lead field was referenced to the average on the way, as that of the bank is.
    assert np.abs(maker.forward.matrix.mean(axis=0)).max() < 1e-9
    maker.make(Sample(0, (replace(one_source(3, 2, [4, 5]), snr=15.0),), 10))
    with pytest.raises(BidsmillError, match="projected with another lead field"):
        spike_maker(replace(lead, matrix=2 * lead.matrix), stored_bank, 1)


def test_segments_are_found_by_their_sensors(tmp_path):
    data = np.random.default_rng(0).standard_normal((4, 50, 32))
    for name, value in (("a", data), ("b", data.transpose(0, 2, 1))):
        np.savez(tmp_path / f"{name}.npz", data=value)
        found = segments_of_variables(tmp_path / f"{name}.npz", 32)
        np.testing.assert_allclose(np.stack(found), data.transpose(0, 2, 1), rtol=1e-6)
    np.savez(tmp_path / "c.npz", data=np.zeros((4, 32, 32)), other=np.zeros(3))
    with pytest.raises(BidsmillError, match="cannot be told which dimension"):
        segments_of_variables(tmp_path / "c.npz", 32)
    with pytest.raises(BidsmillError, match=r"lacks the numbers 'noise'.*other \[3\]"):
        segments_of_variables(tmp_path / "c.npz", 32, "noise")


class RealSheet:
    """Regions and neighbours of DeepSIF's cortex, read by scipy alone."""

    def __init__(self, folder):
        mapping = loadmat(folder / "fs_cortex_20k_region_mapping.mat", mat_dtype=True)
        of_vertex = mapping["rm"].ravel().astype(int)
        vertices = loadmat(folder / "fs_cortex_20k.mat", mat_dtype=True)["pos"] / 1000
        self.n_regions = 994
        self.positions = np.array([vertices[of_vertex == r].mean(axis=0) for r in range(994)])
        near = [set() for _ in range(994)]
        for region, others in enumerate(mapping["nbs"].ravel()):
            for other in others.ravel().astype(int) - 1:
                near[region].add(int(other))
                near[int(other)].add(region)
        self.neighbours = tuple(np.array(sorted(own - {r})) for r, own in enumerate(near))
        away = self.positions[:, None] - self.positions[None]
        self.distances = {"euclidean": np.linalg.norm(away, axis=2).astype(np.float32)}


def test_the_real_anatomy(corpus):
    """Sizes of patches as a port of DeepSIF's rules gave them; its lead field and its noise."""
    folder = corpus / "deepsif-anatomy"
    sheet = RealSheet(folder)
    forward = Forward(loadmat(folder / "leadfield_75_20k.mat")["fwd"], ("eeg",) * 75)
    for layers, median, largest in ((2, 16, 28), (3, 26, 49)):
        sizes = []
        for centre in range(994):
            random = generator(layers, "patch", centre)
            patch = grow_patch(sheet.positions, sheet.neighbours, centre, layers, random)
            assert is_connected(sheet.neighbours, patch)
            sizes.append(len(patch))
        assert abs(np.median(sizes) - median) <= 4 and max(sizes) <= 1.3 * largest
    bank = Bank(forward, n_times=500, per_region=1, regions=(0, 300, 500, 993))
    segments = segments_of_variables(folder / "realistic_noise.mat", 75)
    assert len(segments) == 4 and segments[0].shape == (75, 500)
    noise = NoiseSettings("recorded", 0.5)
    maker = SpikeMaker(forward, bank, SFREQ, 1, noise, segments)
    asked = SourceSettings(metric="euclidean", n_sources=(1, 1))
    drawing = SourceDrawing(asked, sheet, bank.table, 500)
    for sample in drawing.samples(0, 6):
        found = project(sample, forward, bank, SFREQ)
        v, _ = dense_formula(sample, found.alphas, forward, bank)
        assert np.abs(found.signal - v).max() <= 1e-6 * np.abs(v).max()
        assert abs(maker.make(sample).realised["eeg"] - sample.snr) < 0.5
