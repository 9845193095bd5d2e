"""Values of a normal distribution by a table: their distribution, bit by bit and as a whole."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import ndtr, ndtri
from scipy.stats import kstest

from bidsmill.simulate.random_numbers import generator
from bidsmill.simulate.spikes.projection import Forward, SourceProblem
from bidsmill.simulate.spikes.sensor_noise import (
    OUTER_PARTS,
    NoiseSettings,
    SensorNoise,
    means_of_parts,
    normal_values,
)

EDGE = float(-ndtri(int(OUTER_PARTS) / 65536))


def test_parts_are_those_of_the_normal_distribution():
    """Each mean lies within its part, and all together have the mean 0 and the variance 1."""
    means = means_of_parts().astype(np.float64)
    borders = np.concatenate([[-np.inf], ndtri(np.arange(1, 65536) / 65536), [np.inf]])
    assert means.shape == (65536,) and (np.diff(means) > 0).all()
    assert (borders[:-1] - 1e-6 < means).all() and (means < borders[1:] + 1e-6).all()
    inner = means[int(OUTER_PARTS) : -int(OUTER_PARTS)]
    assert np.diff(inner).max() < 0.005 and np.diff(inner).min() > 3e-5
    assert abs(means.mean()) < 1e-9 and abs(np.mean(means**2) - 1) < 1e-4


def test_values_are_the_table_inside_and_exact_outside():
    """By hand: two bytes choose a part; what lies in an outer part is spread over it."""
    count = 300_000
    raw = generator(5, "noise", 1).bit_generator.random_raw(count // 4)
    parts = np.frombuffer(raw.astype("<u8").tobytes(), "<u2").astype(int)
    found = normal_values(generator(5, "noise", 1), count)
    assert found.dtype == np.float32 and found.shape == (count,)
    inside = (parts >= OUTER_PARTS) & (parts < 65536 - int(OUTER_PARTS))
    np.testing.assert_array_equal(found[inside], means_of_parts()[parts[inside]])
    outside = ndtr(found[~inside].astype(np.float64)) * 65536 - parts[~inside]
    assert 400 < len(outside) < 800
    assert -0.01 < outside.min() < 0.05 and 0.95 < outside.max() < 1.01
    assert kstest(outside, "uniform").pvalue > 1e-3


def test_moments_tails_and_independence():
    random = generator(7, "noise", 3)
    x = np.concatenate([normal_values(random, 37_500) for _ in range(160)]).astype(np.float64)
    n = len(x)
    assert abs(x.mean()) < 4 / np.sqrt(n)
    assert abs(x.var() - 1) < 4 * np.sqrt(2 / n)
    assert abs(np.mean(x**3)) < 4 * np.sqrt(15 / n)
    assert abs(np.mean(x**4) - 3) < 4 * np.sqrt(96 / n)
    assert kstest(x, "norm").pvalue > 1e-3
    for level in (EDGE, 3.5, 4.0, 4.5):
        expected = n * ndtr(-level)
        for count in ((x > level).sum(), (x < -level).sum()):
            assert abs(count - expected) < 4.5 * np.sqrt(expected) + 1
    assert np.abs(x).max() > 4.7
    for lag in (1, 2, 3, 4, 500, 37_500):
        assert abs(np.mean(x[:-lag] * x[lag:])) < 4.5 / np.sqrt(n)


def test_any_number_of_values():
    long = normal_values(generator(1), 41)
    for count in (1, 2, 3, 4, 5, 40):
        short = normal_values(generator(1), count)
        inner = np.abs(short) < EDGE
        assert short.shape == (count,)
        np.testing.assert_array_equal(short[inner], long[:count][inner])


@pytest.mark.parametrize("snr", [900.0, -900.0])
@pytest.mark.filterwarnings("ignore:overflow", "ignore:invalid value")
def test_a_ratio_beyond_float32_is_refused_and_not_called_infinite(snr):
    forward = Forward(np.eye(4), ("eeg",) * 4)
    signal = np.random.default_rng(0).standard_normal((4, 50)).astype(np.float32)
    with pytest.raises(SourceProblem, match="900 dB is not within float32") as problem:
        SensorNoise(NoiseSettings(), forward).add(signal, snr, generator(1, "noise", 0))
    assert problem.value.code == "no_noise"
