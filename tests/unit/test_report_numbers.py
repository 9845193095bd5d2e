"""The numbers behind the report's figures, against direct computation."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_results import Recording, Results
from scipy import signal, stats

from bidsmill.formats.matrix import MatrixFile
from bidsmill.report import averages, counts, numbers, sampling, scalp
from bidsmill.report.inputs import read_inputs
from bidsmill.report.pictures import signals_of
from bidsmill.report.signals import glance


@given(st.integers(0, 500), st.integers(1, 200))
def test_spread_takes_one_of_each_stretch(n, wanted):
    places = sampling.spread(n, wanted)
    assert len(places) == min(n, wanted)
    if wanted < n:
        borders = np.arange(wanted + 1) * n // wanted
        assert np.all(places >= borders[:-1]) and np.all(places < borders[1:])
    else:
        assert places.tolist() == list(range(n))


@pytest.mark.parametrize("period", [2, 3, 4, 5])
def test_spread_does_not_fall_in_step_with_alternating_classes(period):
    for n, wanted in ((400, 200), (1000, 200), (960, 120)):
        hits = np.bincount(sampling.spread(n, wanted) % period, minlength=period)
        assert hits.min() >= 0.7 * wanted / period


def test_read_rows_gives_the_chosen_rows_in_order(tmp_path):
    recording = Recording("01", rows=23, group_rows=5)
    recording.write(tmp_path)
    with MatrixFile(tmp_path / f"{recording.name}.parquet") as matrix:
        kept = np.array([0, 3, 4, 5, 11, 12, 13, 20, 22])
        rows = sampling.choose_rows(kept, matrix.group_rows, 5, 2)
        assert len(rows) <= 5 and set(rows) <= set(kept) and len(set(rows // 5)) <= 2
        parts = list(sampling.read_rows(matrix, kept))
    assert np.concatenate([places for places, _ in parts]).tolist() == list(range(len(kept)))
    np.testing.assert_array_equal(
        np.concatenate([block for _, block in parts]), recording.signals[kept].astype(float)
    )


def test_read_rows_in_small_pieces(tmp_path, monkeypatch):
    monkeypatch.setattr(sampling, "PIECE", 2 * 4 * 50)
    recording = Recording("01", rows=11, group_rows=7)
    recording.write(tmp_path)
    with MatrixFile(tmp_path / f"{recording.name}.parquet") as matrix:
        parts = list(sampling.read_rows(matrix, np.arange(11)))
    assert [len(places) for places, _ in parts] == [2, 2, 2, 1, 2, 2]
    np.testing.assert_array_equal(
        np.concatenate([block for _, block in parts]), recording.signals.astype(float)
    )


def test_power_spectra_are_welch_and_hold_the_power():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((3, 5000))
    frequencies, density = numbers.power_spectra(x, 250.0)
    window = signal.get_window("hann", 500)
    direct = []
    for start in range(0, 4501, 250):
        piece = x[:, start : start + 500]
        piece = (piece - piece.mean(axis=1, keepdims=True)) * window
        power = np.abs(np.fft.rfft(piece)) ** 2 / (250 * np.sum(window**2))
        power[:, 1:-1] *= 2
        direct.append(power)
    np.testing.assert_allclose(density, np.mean(direct, axis=0)[:, 1:], rtol=1e-4)
    assert frequencies[0] == 0.5 and frequencies[-1] == 125.0
    # Parseval: the integral of the density is the variance.
    np.testing.assert_allclose(density.sum(axis=1) * 0.5, x.var(axis=1), rtol=0.05)


def test_a_sine_has_its_level_at_its_frequency():
    times = np.arange(2000) / 500
    sine = 2e-5 * np.sqrt(2) * np.sin(2 * np.pi * 10 * times) * 1e6
    frequencies, density = numbers.power_spectra(sine[None], 500.0)
    assert frequencies[np.argmax(density[0])] == 10.0
    # rms 20 µV: 400 µV² in all, spread over the 0.75 Hz of a Hann window of 2 s.
    assert numbers.decibel(density)[0].max() == pytest.approx(10 * np.log10(400 / 0.75), abs=0.05)


def test_spectrum_quantiles_leave_out_flat_and_broken_signals():
    rng = np.random.default_rng(1)
    parts = [rng.random((40, 6)) + 0.1, rng.random((60, 6)) + 0.1]
    broken = np.vstack([np.zeros((5, 6)), np.full((5, 6), np.nan)])
    found = numbers.spectrum_quantiles([*parts, broken])
    whole = np.vstack(parts)
    expected = 10 * np.log10(np.percentile(whole, [5, 50, 95], axis=0))
    np.testing.assert_allclose(found, expected)
    assert numbers.spectrum_quantiles([]) is None
    assert numbers.spectrum_quantiles([broken]) is None


def test_amplitude_quantiles_against_percentile():
    values = np.random.default_rng(2).lognormal(3, 1, (50, 8))
    dirty = np.concatenate([values.ravel(), [0.0, 0.0, np.nan, np.inf]])
    found = numbers.amplitude_quantiles(dirty)
    np.testing.assert_allclose(found["quantiles"], np.percentile(values, [5, 25, 50, 75, 95]))
    assert (found["values"], found["flat"], found["not_finite"]) == (400, 2, 2)
    assert numbers.amplitude_quantiles(np.zeros(3))["quantiles"] is None


def test_peak_to_peak_of_a_broken_signal_is_not_a_number():
    block = np.array([[1.0, -2.0, 4.0], [1.0, np.nan, 2.0], [3.0, np.inf, 0.0]])
    assert numbers.peak_to_peak(block)[0] == 6.0
    assert not np.isfinite(numbers.peak_to_peak(block)[1:]).any()


def _three_recordings():
    rng = np.random.default_rng(3)
    blocks = [rng.standard_normal((n, 4, 30)) + k for k, n in enumerate((7, 5, 9))]
    codes = [rng.integers(-1, 2, len(block)) for block in blocks]
    good = [np.array([True, True, True, k != 1]) for k in range(3)]
    return blocks, codes, good


@pytest.mark.parametrize("by_recording", [False, True])
def test_class_averages_against_numpy(by_recording):
    blocks, codes, good = _three_recordings()
    found = averages.ClassAverages(2, 4, 30, by_recording)
    for block, code, usable in zip(blocks, codes, good, strict=True):
        for half in (slice(0, 3), slice(3, None)):
            found.add(block[half], code[half], usable)
        found.end_recording(usable)
    for k in range(2):
        for channel in range(4):
            units = [
                b[c == k, channel]
                for b, c, g in zip(blocks, codes, good, strict=True)
                if g[channel] and (c == k).any()
            ]
            if by_recording:
                units = [unit.mean(axis=0, keepdims=True) for unit in units]
            units = np.concatenate(units)
            np.testing.assert_allclose(found.means()[k, channel], units.mean(axis=0))
            np.testing.assert_allclose(
                found.standard_errors()[k, channel], stats.sem(units, axis=0)
            )
            low, high = stats.t.interval(
                0.95, len(units) - 1, units.mean(axis=0), stats.sem(units, axis=0)
            )
            np.testing.assert_allclose(found.margins()[k, channel], (high - low) / 2)
        assert found.rows[k] == sum((c == k).sum() for c in codes)


def test_one_unit_has_no_standard_error():
    found = averages.ClassAverages(1, 2, 5, False)
    found.add(np.ones((1, 2, 5)), np.array([0]), np.array([True, False]))
    found.end_recording(np.array([True, False]))
    assert np.isnan(found.standard_errors()).all()
    assert found.means()[0, 0].tolist() == [1.0] * 5 and np.isnan(found.means()[0, 1]).all()


def test_field_power_does_not_depend_on_the_reference_of_eeg():
    mean = np.random.default_rng(4).standard_normal((2, 6, 10))
    np.testing.assert_allclose(averages.field_power(mean, "eeg"), mean.std(axis=1))
    np.testing.assert_allclose(
        averages.field_power(mean + 7.0, "eeg"), averages.field_power(mean, "eeg")
    )
    np.testing.assert_allclose(averages.field_power(mean, "mag"), np.sqrt((mean**2).mean(axis=1)))
    mean[0, 2] = np.nan
    np.testing.assert_allclose(
        averages.field_power(mean, "eeg")[0], np.delete(mean[0], 2, axis=0).std(axis=0)
    )


def test_noise_alone_has_the_power_of_its_standard_error():
    rng = np.random.default_rng(5)
    block = rng.standard_normal((400, 20, 200)) * 3
    found = averages.ClassAverages(1, 20, 200, False)
    found.add(block, np.zeros(400, int), np.ones(20, bool))
    found.end_recording(np.ones(20, bool))
    power = np.square(averages.field_power(found.means()[0], "mag")).mean()
    noise = np.square(averages.noise_power(found.standard_errors()[0])).mean()
    assert noise == pytest.approx(power, rel=0.06)


def test_contrast_is_the_difference_in_standard_errors():
    means = np.zeros((2, 3, 4))
    means[0, 1, 2], means[1, 1, 2] = 5.0, 1.0
    errors = np.full((2, 3, 4), 0.5)
    contrast = averages.channel_contrast(means, errors)
    assert contrast[1, 2] == pytest.approx(8.0) and contrast.sum() == pytest.approx(8.0)
    assert averages.channel_contrast(means[:1], errors[:1])[1, 2] == pytest.approx(10.0)
    means[1, 0] = np.nan
    assert np.isfinite(averages.channel_contrast(means, errors)).all()


def test_baseline_is_the_mean_before_the_event():
    times = np.array([-0.2, -0.1, 0.0, 0.1])
    block = np.array([[[1.0, 3.0, 10.0, 20.0]]])
    assert averages.without_baseline(block, times)[0, 0].tolist() == [-1, 1, 8, 18]
    assert averages.without_baseline(block, times + 1)[0, 0].tolist() == [-7.5, -5.5, 1.5, 11.5]


def test_moving_mean_takes_the_line_away():
    times = np.arange(1000) / 1000
    margin = averages.smoothing_margin(0.02, 1000, 1000)
    slow, line = np.sin(2 * np.pi * 4 * times), np.sin(2 * np.pi * 50 * times)
    smooth = averages.moving_mean(slow + 10 * line, margin)
    assert smooth.size == 1000 - 2 * margin
    np.testing.assert_allclose(smooth, slow[margin:-margin], atol=0.6)
    direct = np.convolve(slow + line, np.ones(2 * margin + 1) / (2 * margin + 1), "valid")
    np.testing.assert_allclose(averages.moving_mean(slow + line, margin), direct, atol=1e-12)
    assert averages.smoothing_margin(0.02, 100, 5) == 0


def test_thinned_and_envelope_keep_means_and_peaks():
    values = np.random.default_rng(6).standard_normal(5003)
    thin = averages.thinned(values, 1000)
    np.testing.assert_allclose(thin[3], values[18:24].mean())
    assert len(thin) <= 1000
    places, drawn = numbers.envelope(values, 600)
    assert len(drawn) <= 620 and np.all(np.diff(places) > 0)
    assert drawn.max() == values.max() and drawn.min() == values.min()
    np.testing.assert_array_equal(values[places], drawn)


def test_line_excess_finds_a_peak_but_no_slope():
    frequencies = np.arange(0.5, 125, 0.5)
    slope = -np.clip(frequencies - 40, 0, None) * 3.0
    assert numbers.line_excess(frequencies, slope, 50.0) < 0
    peak = np.where(np.abs(frequencies - 50) < 0.6, 20.0, 0.0)
    assert numbers.line_excess(frequencies, peak, 50.0) == pytest.approx(20.0)
    assert numbers.line_excess(frequencies[:100], peak[:100], 50.0) is None


def test_scalp_places_of_a_sphere():
    turn, angle = np.linspace(0, 6, 20), np.linspace(0.1, 1.5, 20)
    unit = np.c_[np.sin(angle) * np.cos(turn), np.sin(angle) * np.sin(turn), np.cos(angle)]
    points = 0.09 * unit + [0.001, -0.002, 0.04]
    channels = [{"type": "eeg", "position": p.tolist()} for p in points]
    channels.append({"type": "eeg", "position": None})
    flat = scalp.scalp_places(channels)
    np.testing.assert_allclose(np.linalg.norm(flat[:-1], axis=1), angle / (np.pi / 2), atol=1e-9)
    np.testing.assert_allclose(
        np.angle(flat[:-1, 0] + 1j * flat[:-1, 1]), np.angle(np.exp(1j * turn)), atol=1e-9
    )
    assert np.isnan(flat[-1]).all()
    assert scalp.scalp_places(channels[:5]) is None
    assert scalp.scalp_places([{**c, "type": "seeg"} for c in channels]) is None


def test_why_there_is_no_map():
    here = [{"type": "eeg", "position": p} for p in np.eye(3).tolist() * 3]
    nowhere = [{"type": "eeg", "position": None}] * 20
    line = [{"type": "mag", "position": [0.01 * i, 0.0, 0.0]} for i in range(9)]
    for channels, told in [
        ([*here[:5], *nowhere], "the places of 5 of 25 channels"),
        (nowhere, "the places of 0 of 20 channels are known, of 8 that are needed"),
        (here[:7], "7 channels are too few"),
        (line, "do not lie around a head"),
    ]:
        assert scalp.scalp_places(channels) is None
        assert told in scalp.why_no_map(channels)
    assert scalp.why_no_map([{"type": "emg", "position": None}] * 9) == ""


def test_balance_against_crosstab():
    rng = np.random.default_rng(8)
    values = rng.choice(np.array(["a", "b", "c", ""], object), 400)
    sides = rng.choice(np.array(["train", "test", "validation", "none"], object), 400)
    records = counts.balance(values, sides, ["z", "c", "a"])
    assert [r["value"] for r in records] == ["z", "c", "a", "b", ""]
    table = pd.crosstab(values, sides)
    for record in records[1:]:
        for side in ("train", "test", "validation", "none"):
            assert record[side] == table.loc[record["value"], side]
        row = table.loc[record["value"]]
        assert record["share"] == pytest.approx(row["test"] / (row.sum() - row["none"]))
    assert records[0]["total"] == 0 and records[0]["share"] is None
    assert sum(r["total"] for r in records) == 400


def test_many_numbers_become_five_bins_of_equal_size():
    values = np.array([str(v) for v in range(100)] + [""], object)
    binned, order = counts.as_classes(values)
    assert len(order) == 5 and binned[-1] == ""
    assert pd.Series(binned[:-1]).value_counts().tolist() == [20] * 5
    assert binned[19] == "≤ 19" and binned[20] == "> 19 to 39" and binned[99] == "> 79"
    few, order = counts.as_classes(np.array(["10", "9", "10"], object))
    assert few.tolist() == ["10", "9", "10"] and order == ["9", "10"]
    text, order = counts.as_classes(np.array(["x", *map(str, range(20))], object))
    assert text[0] == "x" and len(order) == 21


def test_letters_and_layouts():
    recordings = pd.DataFrame(
        {"recording": ["b", "a", "q"], "layout": ["L1", "L2", ""], "rows": ["3", "9", ""]}
    )
    found = counts.layouts_of(recordings)
    assert [(x.letter, x.id, x.rows, x.recordings) for x in found] == [
        ("A", "L2", 9, ("a",)),
        ("B", "L1", 3, ("b",)),
    ]
    assert [counts._letter(n) for n in (0, 25, 26, 51, 52, 701, 702)] == [
        "A", "Z", "AA", "AZ", "BA", "ZZ", "AAA"
    ]  # fmt: skip


def test_codes_errors_first_then_the_most_frequent():
    def issue(severity, code, file):
        return {
            "severity": severity, "source": "hed", "code": code, "file": file, "message": file
        }  # fmt: skip

    issues = [issue("warning", "W", f"w{k}") for k in range(3)]
    issues += [issue("error", "E1", "e"), issue("error", "E2", "f"), issue("error", "E2", "f")]
    found = counts.frequent_codes({"issues": issues})
    assert [(c["code"], c["count"], c["files"]) for c in found] == [
        ("E2", 2, 1), ("E1", 1, 1), ("W", 3, 3)
    ]  # fmt: skip
    assert found[2]["file"] == "w0"


def test_labels_that_differ_within_recordings_come_first():
    samples = pd.DataFrame(
        {
            "recording": ["a", "a", "b", "b"],
            "sex": ["f", "f", "m", "m"],
            "side": ["l", "r", "l", "r"],
            "empty": ["", "", "", ""],
            "trial_type": ["x", "y", "x", "y"],
        }
    )
    kind = {"kind": "class"}
    labels = {"sex": kind, "empty": kind, "age": {"kind": "number"}, "side": kind}
    assert counts.response_labels(samples, labels, 3) == ["side", "sex"]
    assert counts.response_labels(samples, labels, 1) == ["side"]
    assert counts.response_labels(samples, {}, 3) == ["trial_type"]
    assert counts.response_labels(samples.assign(trial_type="x"), {}, 3) == [""]


def test_one_pass_over_the_matrices_against_direct_computation(tmp_path):
    rng = np.random.default_rng(9)
    recordings = [
        Recording(f"0{k}", signals=rng.standard_normal((6, 4, 50)) * 1e-5, bads=("Pz",) * (k == 2))
        for k in range(1, 4)
    ]
    bad_row = recordings[0].signals
    bad_row[3, 1, 7] = np.nan
    flagged = {(recordings[0].name, 3): "not_finite", (recordings[1].name, 0): "bad_segment"}
    results = Results(tmp_path / "r", recordings, excluded=flagged)
    inputs = read_inputs(results.write())
    (found,), amplitudes = signals_of(inputs)
    kind = ("eeg", "V")
    used = [np.delete(r.signals, 3 if k == 0 else 0, axis=0) if k < 2 else r.signals
            for k, r in enumerate(recordings)]  # fmt: skip
    good = [[0, 1, 3] if k == 1 else [0, 1, 2, 3] for k in range(3)]
    for recording, block, channels in zip(recordings, used, good, strict=True):
        scaled = block[:, channels].astype(float) * 1e6
        np.testing.assert_allclose(
            amplitudes[kind][recording.name]["quantiles"],
            np.percentile(np.ptp(scaled, axis=-1), [5, 25, 50, 75, 95]),
        )
    spectra = np.concatenate(
        [
            signal.welch(b[:, c].astype(float) * 1e6, 100.0, nperseg=50)[1].reshape(-1, 26)
            for b, c in zip(used, good, strict=True)
        ]
    )[:, 1:]
    expected = 10 * np.log10(np.quantile(spectra, (0.05, 0.5, 0.95), axis=0))
    np.testing.assert_allclose(found.spectra[kind].quantiles, expected, atol=1e-4)
    assert found.n_rows == 16 and found.line_frequencies == [50.0]
    # Rows take the classes in turn; 2 rows are out: one "right", one "left".
    (response,) = found.responses
    assert response.classes == ["left", "right"]
    assert response.of_classes.rows.tolist() == [8, 8]
    times = -0.1 + np.arange(50) / 100
    of_left = []
    for k, r in enumerate(recordings):
        rows = [row for row in (0, 2, 4) if (r.name, row) not in flagged]
        block = r.signals[rows].astype(float)
        of_left.append(block - block[:, :, times < 0].mean(axis=-1, keepdims=True))
        if k == 1:
            of_left[-1][:, 2] = np.nan
    whole = np.nanmean(np.concatenate(of_left), axis=0)
    assert found.smoothing == 0.0
    np.testing.assert_allclose(response.of_classes.means()[0], whole, atol=1e-12)


def test_a_glance_reads_one_row_group(tmp_path):
    recording = Recording("01", rows=12, group_rows=4, bads=("Cz",))
    recording.write(tmp_path / "matrix")
    found = glance(tmp_path, recording.name, np.array([4, 5, 7, 9]))[("eeg", "V")]
    assert found["rows"] in (1, 3)
    rows = [4, 5, 7] if found["rows"] == 3 else [9]
    direct = np.ptp(recording.signals[rows][:, [0, 2, 3]].astype(float) * 1e6, axis=-1)
    np.testing.assert_allclose(found["quantiles"], np.percentile(direct, [5, 25, 50, 75, 95]))
