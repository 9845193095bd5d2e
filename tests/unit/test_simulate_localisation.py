"""sLORETA on an exported lead field finds simulated spikes, and is that of MNE-Python."""

from __future__ import annotations

import ast
import inspect
import re
import runpy
from pathlib import Path

import mne
import numpy as np
import pytest

from bidsmill.formats.anatomy import load_anatomy
from bidsmill.simulate.anatomy.building import build_anatomy
from bidsmill.simulate.anatomy.loading import load_leadfield
from bidsmill.simulate.sources.patches import decay_weights, grow_patch
from bidsmill.simulate.sources.table import Sample, Source
from bidsmill.simulate.spikes.making import SpikeMaker
from bidsmill.simulate.spikes.waveforms import forward_of

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = runpy.run_path(str(ROOT / "docs" / "make_localisation.py"))
TIMES, SFREQ, PEAK = 200, 500.0, 100


class MadeUpClips:
    """A spike of a known region in a background of noise: nothing of a neural mass."""

    def __init__(self, leadfield: np.ndarray):
        self._leadfield = leadfield

    def _clip(self, region: int, clip: int) -> np.ndarray:
        n_regions = self._leadfield.shape[1]
        random = np.random.default_rng([region, clip])
        return 1 + 0.4 * random.standard_normal((n_regions, TIMES))

    def waveform(self, region, clip):
        return np.exp(-(((np.arange(TIMES) - PEAK) / 8.0) ** 2)).astype(np.float32)

    def rows(self, region, clip, regions):
        return self._clip(region, clip)[regions].astype(np.float32)

    def projected(self, region, clip):
        return (self._leadfield @ self._clip(region, clip)).astype(np.float32)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Return the anatomy and the lead field of the config's defaults, made smaller."""
    folder = tmp_path_factory.mktemp("anatomy")
    paths = folder / "anatomy.npz", folder / "leadfield.npz"
    build_anatomy({"regions": 40, "electrodes": 24}, *paths)
    return load_anatomy(paths[0]), load_leadfield(paths[1])


@pytest.fixture(scope="module")
def spikes(built):
    """Return EEG at the peak of one spike for each region, and the centres."""
    anatomy, leadfield = built
    maker = SpikeMaker(forward_of(leadfield), MadeUpClips(leadfield.matrix), SFREQ, seed=3)
    maps = []
    for centre in range(anatomy.n_regions):
        random = np.random.default_rng(centre)
        patch = grow_patch(anatomy.positions, anatomy.neighbours, centre, 1, random)
        weights = decay_weights(anatomy.distances["geodesic"][centre, patch], 0.03)
        source = Source(centre, 1, patch, weights, snr=10.0)
        spike = maker.make(Sample(centre, (source,), snr=(5.0, 10.0)[centre % 2]))
        assert spike.peaks == (PEAK,)
        maps.append(spike.values[:, PEAK])
    return np.array(maps, np.float64), np.arange(anatomy.n_regions)


def inverse_of_mne(anatomy, leadfield, maps):
    """Return the sLORETA values (regions, maps) of MNE-Python, with our lead field in its forward.

    The forward of a sphere has as many sources as the lead field has regions; where they are does
    not matter once its gain is replaced.
    """
    info = mne.create_info(list(leadfield.channels), SFREQ, "eeg")
    places = dict(zip(leadfield.channels, leadfield.positions, strict=True))
    info.set_montage(mne.channels.make_dig_montage(places, coord_frame="head"))
    normals = anatomy.positions - anatomy.positions.mean(axis=0)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    sphere = mne.make_sphere_model("auto", "auto", info, verbose="error")
    discrete = {"rr": sphere["r0"] + 0.04 * normals, "nn": normals}
    sources = mne.setup_volume_source_space(pos=discrete, sphere=sphere, verbose="error")
    forward = mne.make_forward_solution(
        info, None, sources, sphere, meg=False, mindist=0, verbose="error"
    )
    forward = mne.convert_forward_solution(
        forward, surf_ori=True, force_fixed=True, verbose="error"
    )
    assert forward["sol"]["row_names"] == list(leadfield.channels)
    forward["sol"]["data"] = leadfield.matrix.copy()
    evoked = mne.EvokedArray(maps.T, info, verbose="error")
    evoked.set_eeg_reference(projection=True, verbose="error")
    noise = mne.make_ad_hoc_cov(evoked.info, std={"eeg": 1.0}, verbose="error")
    operator = mne.minimum_norm.make_inverse_operator(
        evoked.info, forward, noise, loose=0, fixed=True, depth=None, verbose="error"
    )
    found = mne.minimum_norm.apply_inverse(
        evoked, operator, lambda2=1 / 9, method="sLORETA", verbose="error"
    )
    return found.data


def test_the_formula_is_that_of_mne(built, spikes):
    anatomy, leadfield = built
    maps, _ = spikes
    own = SCRIPT["sloreta"](leadfield.matrix, snr=3.0) @ maps.T
    reference = inverse_of_mne(anatomy, leadfield, maps)
    # They differ by one factor: the unit of the noise is arbitrary here.
    own, reference = (values / np.abs(values).max() for values in (own, reference))
    np.testing.assert_allclose(own, reference, atol=1e-6)


def test_a_point_without_noise_is_found_exactly(built):
    """The proven property of sLORETA: the largest value is at the true place (Pascual-Marqui)."""
    _, leadfield = built
    values = np.abs(SCRIPT["sloreta"](leadfield.matrix) @ leadfield.matrix)
    assert (values.argmax(axis=0) == np.arange(leadfield.matrix.shape[1])).all()


def test_simulated_spikes_are_found_better_than_by_chance(built, spikes):
    anatomy, leadfield = built
    maps, centres = spikes
    distances = anatomy.distances["euclidean"]
    found = np.abs(SCRIPT["sloreta"](leadfield.matrix) @ maps.T).argmax(axis=0)
    errors = distances[centres, found]
    assert np.median(errors) < np.median(distances) / 2
    assert np.percentile(errors, 75) < np.percentile(distances, 25)


def test_noise_alone_is_found_nowhere(built):
    """The bound above would fail if errors were small for another reason than the spikes."""
    anatomy, leadfield = built
    noise = np.random.default_rng(0).standard_normal((400, len(leadfield.matrix)))
    noise -= noise.mean(axis=1, keepdims=True)
    found = np.abs(SCRIPT["sloreta"](leadfield.matrix) @ noise.T).argmax(axis=0)
    distances = anatomy.distances["euclidean"]
    errors = distances[np.arange(400) % anatomy.n_regions, found]
    assert np.median(errors) > 0.75 * np.median(distances)


def test_the_page_shows_the_formula_of_the_script():
    page = (ROOT / "docs" / "simulation.md").read_text()
    code = next(c for c in re.findall(r"```python\n(.*?)```", page, re.S) if "def sloreta" in c)
    shown = next(n for n in ast.parse(code).body if isinstance(n, ast.FunctionDef))
    own = ast.parse(inspect.getsource(SCRIPT["sloreta"])).body[0]
    assert ast.dump(shown) == ast.dump(own)
