"""Patches, drawn sources, their table and sides, and datasets that others described."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matrix_cases import save
from spike_cases import Bank, Sheet, forward_of, is_connected, one_source

from bidsmill.errors import BidsmillError
from bidsmill.simulate.random_numbers import generator
from bidsmill.simulate.sources.described import read_described
from bidsmill.simulate.sources.drawing import SourceDrawing, SourceSettings
from bidsmill.simulate.sources.patches import decay_weights, grow_patch
from bidsmill.simulate.sources.sides import clip_groups, place_samples, sides_of_groups
from bidsmill.simulate.sources.table import Sample, read_sources, write_sources

SHEET = Sheet()
PAD = 15213


@st.composite
def graphs(draw):
    """Any symmetric graph with places, also with lone regions and several parts."""
    n = draw(st.integers(1, 14))
    pairs = [(a, b) for a in range(n) for b in range(a)]
    chosen = draw(st.lists(st.sampled_from(pairs), unique=True)) if pairs else []
    near = [set() for _ in range(n)]
    for a, b in chosen:
        near[a].add(b)
        near[b].add(a)
    places = draw(st.lists(st.tuples(*[st.integers(-3, 3)] * 3), min_size=n, max_size=n))
    return np.array(places, float), [np.array(sorted(own), np.int32) for own in near]


@settings(max_examples=80, deadline=None)
@given(graphs(), st.integers(1, 3), st.integers(0, 99), st.data())
def test_patches_are_connected_and_hold_their_centre(graph, layers, seed, data):
    positions, neighbours = graph
    centre = data.draw(st.integers(0, len(neighbours) - 1))
    patch = grow_patch(positions, neighbours, centre, layers, generator(seed, "patch"))
    again = grow_patch(positions, neighbours, centre, layers, generator(seed, "patch"))
    assert patch[0] == centre and list(patch[1:]) == sorted(set(patch[1:].tolist()) - {centre})
    assert is_connected(neighbours, patch)
    np.testing.assert_array_equal(patch, again)
    # The oracle itself tells apart: a patch with a stranger is not connected.
    strangers = set(range(len(neighbours))) - {int(j) for i in patch for j in neighbours[i]}
    for stranger in strangers - set(patch.tolist()):
        assert not is_connected(neighbours, [*patch, stranger])


def test_patches_grow_with_their_layers_and_have_no_loose_ends():
    sizes = {}
    for layers in (1, 2, 3):
        patches = [
            grow_patch(SHEET.positions, SHEET.neighbours, centre, layers, generator(centre, "p"))
            for centre in range(SHEET.n_regions)
        ]
        sizes[layers] = np.mean([len(patch) for patch in patches])
        for patch in patches:
            inside = set(patch.tolist())
            if len(inside) <= 2:
                continue
            hemispheres = {int(SHEET.hemisphere[region]) for region in inside}
            assert len(hemispheres) == 1
            # No region outside is surrounded by the patch, but corners that hang on one region.
            for outside in set(range(SHEET.n_regions)) - inside:
                around = set(SHEET.neighbours[outside].tolist())
                assert len(around) == 1 or not around <= inside
    assert sizes[1] < sizes[2] < sizes[3]
    with pytest.raises(ValueError, match="4 layers"):
        grow_patch(SHEET.positions, SHEET.neighbours, 0, 4, generator(0))


def test_magnitudes_decay_with_distance():
    weights = decay_weights(np.array([0, 0.05, 0.1, np.inf]), 0.05)
    # By hand: a half at the half distance, a half to the fourth power at twice of it.
    np.testing.assert_allclose(weights, [1, 0.5, 0.5**4, 0], rtol=1e-6)


FORWARD = forward_of(SHEET.n_regions)
BANK = Bank(FORWARD)


def drawing(**changed) -> SourceDrawing:
    return SourceDrawing(SourceSettings(seed=9, **changed), SHEET, BANK.table, BANK.n_times)


def test_samples_depend_on_their_index_alone(tmp_path):
    whole = list(drawing().samples(0, 60))
    part = list(drawing().samples(37, 60))
    write_sources(tmp_path / "whole.parquet", whole, 9)
    write_sources(tmp_path / "again.parquet", iter(whole[:37] + part), 9)
    content = (tmp_path / "whole.parquet").read_bytes()
    assert content == (tmp_path / "again.parquet").read_bytes()
    read, seed = read_sources(tmp_path / "whole.parquet", 37, 60)
    assert seed == 9 and [s.index for s in read] == list(range(37, 60))
    for found, made in zip(read, part, strict=True):
        assert (found.snr, found.side, found.group) == (made.snr, made.side, made.group)
        for a, b in zip(found.sources, made.sources, strict=True):
            assert (a.centre, a.clip, a.snr, a.half_distance) == (
                b.centre, b.clip, b.snr, b.half_distance,
            )  # fmt: skip
            assert math.isnan(a.alpha)
            np.testing.assert_array_equal(a.regions, b.regions)
            np.testing.assert_array_equal(a.weights, b.weights)
    with pytest.raises(BidsmillError, match="table of sources is missing"):
        read_sources(tmp_path / "none.parquet")


def test_drawn_sources_keep_the_settings():
    asked = {"n_sources": (1, 3), "layers": (1, 2), "half_distance": (0.03, 0.04)}
    samples = list(drawing(**asked, sensor_snr=(5.0, 20.0)).samples(0, 400))
    counts = [len(sample.sources) for sample in samples]
    assert set(counts) == {1, 2, 3}
    assert [s.snr for s in samples[:4]] == [5, 20, 5, 20]
    # Every region is a first centre equally often, up to the round that is not finished.
    first = np.bincount([s.sources[0].centre for s in samples], minlength=SHEET.n_regions)
    assert first.min() >= 4 and first.max() <= 6
    for source in (source for sample in samples for source in sample.sources):
        assert source.weights[0] == 1 and (source.weights > 0).all()
        assert 0.03 <= source.half_distance <= 0.04
        away = SHEET.distances["geodesic"][source.centre, source.regions].astype(float)
        np.testing.assert_allclose(
            source.weights, 0.5 ** ((away / source.half_distance) ** 2), rtol=1e-5
        )
    for sample in samples:
        centres = [source.centre for source in sample.sources]
        assert len(set(centres)) == len(centres)
        every = np.concatenate([source.regions for source in sample.sources]).tolist()
        assert sorted(set(every)) == sorted(sample.regions.tolist())
        assert sample.overlap == sum(every.count(region) > 1 for region in set(every))
    assert any(sample.overlap for sample in samples)


def test_patches_may_be_forbidden_to_overlap():
    samples = list(drawing(overlap="forbid", n_sources=(2, 2)).samples(0, 100))
    assert all(len(s.sources) == 2 and s.overlap == 0 for s in samples)
    crowded = SourceSettings(n_sources=(6, 6), overlap="forbid", layers=(3,))
    small = Sheet(3, 4)
    bank = Bank(forward_of(small.n_regions))
    full = SourceDrawing(
        SourceSettings(**{**vars(crowded), "test": 0.3}), small, bank.table, bank.n_times
    )
    with pytest.raises(BidsmillError, match=r"no place was found .* overlap: allow"):
        list(full.samples(0, 20))


@pytest.mark.parametrize("group", ["region", "clip"])
def test_no_clip_stands_on_two_sides(group):
    samples = list(drawing(group=group, validation=0.1).samples(0, 768))
    side_of: dict = {}
    for sample in samples:
        for source in sample.sources:
            key = source.centre if group == "region" else (source.centre, source.clip)
            assert side_of.setdefault(key, sample.side) == sample.side
    shares = {side: sum(s.side == side for s in samples) / 768 for side in side_of.values()}
    assert abs(shares["test"] - 0.2) < 0.05 and abs(shares["validation"] - 0.1) < 0.05


def test_overlapping_clips_of_a_run_are_one_group():
    clips = BANK.table[BANK.table["region"] == 3].assign(run=7, peak_sample=[50, 149, 260, 359])
    groups = clip_groups(clips, "clip", 100)
    assert groups == {
        (3, 1): "region0003clip0001",
        (3, 2): "region0003clip0001",
        (3, 3): "region0003clip0003",
        (3, 4): "region0003clip0003",
    }
    with pytest.raises(BidsmillError, match="set group: region"):
        clip_groups(clips.drop(columns="run"), "clip", 100)


def test_sides_hold_their_shares_and_stay():
    names = [f"region{i:04d}" for i in range(50)]
    sides = sides_of_groups(names, 1, 0.2, 0.1)
    assert [list(sides.values()).count(s) for s in ("test", "validation", "train")] == [10, 5, 35]
    assert sides == sides_of_groups(reversed(names), 1, 0.2, 0.1)
    assert sides != sides_of_groups(names, 2, 0.2, 0.1)
    for start in range(0, 50, 10):
        own = [sides[name] for name in names[start : start + 10]]
        assert (own.count("test"), own.count("validation")) == (2, 1)
    assert sides_of_groups(names[:1], 1, 0.2) == {names[0]: "none"}
    assert sorted(sides_of_groups(names[:2], 1, 0.2, 0.2).values()) == ["test", "train"]


def test_impossible_settings_are_refused():
    for changed in ({"n_sources": (3, 2)}, {"layers": (4,)}, {"overlap": "maybe"}, {"test": 1.0}):
        with pytest.raises(BidsmillError, match=f"setting '{next(iter(changed))}'"):
            SourceSettings(**changed)
    with pytest.raises(BidsmillError, match="too few centre regions"):
        SourceDrawing(SourceSettings(n_sources=(3, 3)), SHEET, BANK.table[:40], 100)
    with pytest.raises(BidsmillError, match="lacks the distances"):
        SourceDrawing(SourceSettings(metric="inflated"), SHEET, BANK.table, 100)
    with pytest.raises(BidsmillError, match="no clips"):
        SourceDrawing(SourceSettings(), SHEET, BANK.table[:0], 100)


# Datasets that others described

NPER = 10


def description(count=24, most=2, first_k=1, snr_name="current_snr") -> tuple[dict, list]:
    """The variables of a file as DeepSIF writes them, and the samples that they mean."""
    random = np.random.default_rng(1)
    regions = np.full((count, most, 70), float(PAD))
    weights = np.full((count, most, 70), float(PAD))
    centres = random.integers(0, 90, (count, most))
    centres[:, 0] = np.linspace(0, 95, count).astype(int)
    numbers = random.integers(1, NPER + 1, (count, most))
    numbers[0] = NPER if first_k else 1
    for n in range(count):
        for k in range(most):
            size = int(random.integers(3, 30))
            others = random.permutation(96)
            others = others[others != centres[n, k]][: size - 1]
            regions[n, k, :size] = [centres[n, k], *others]
            weights[n, k, :size] = [1, *random.random(size - 1)]
    k = numbers - 1 + first_k
    variables = {
        "selected_region": regions,
        "nmm_idx": ((centres + 1) * NPER + k + 1).astype(float),
        "scale_ratio": random.uniform(5, 20, (count, most, 6)),
        "mag_change": weights,
        snr_name: np.tile([5.0, 10, 15, 20], count)[:count][:, None],
    }
    return variables, list(zip(centres.tolist(), numbers.tolist(), strict=True))


@pytest.mark.parametrize("kind", ["mat", "hdf5", "octave"])
@pytest.mark.parametrize(("first_k", "snr_name"), [(1, "current_snr"), (0, "sensor_snr")])
def test_described_datasets_are_read_in_all_forms(tmp_path, kind, first_k, snr_name):
    variables, meant = description(first_k=first_k, snr_name=snr_name)
    found = read_described(save(tmp_path / "a.mat", variables, kind), 96, seed=4)
    assert not found.problems and [s.index for s in found.samples] == list(range(24))
    assert [s.snr for s in found.samples] == variables[snr_name].ravel().tolist()
    for sample, (centres, numbers) in zip(found.samples, meant, strict=True):
        assert [s.centre for s in sample.sources] == centres
        assert [s.clip for s in sample.sources] == numbers
        for k, source in enumerate(sample.sources):
            stored = variables["selected_region"][sample.index, k]
            assert source.regions.tolist() == stored[stored != PAD].astype(int).tolist()
            own = variables["mag_change"][sample.index, k][stored != PAD]
            np.testing.assert_allclose(source.weights, own, rtol=1e-6)
            scales = variables["scale_ratio"][sample.index, k].tolist()
            assert source.alpha in scales
            assert source.snr == 10 + 2 * scales.index(source.alpha)


def test_all_kinds_of_padding_and_a_dropped_dimension(tmp_path):
    variables, meant = description(most=1)
    expected = read_described(save(tmp_path / "a.mat", variables), 96).samples
    regions = variables["selected_region"]
    is_pad = regions == PAD
    for value in (-1.0, 96.0, np.nan):
        variables["selected_region"] = np.where(is_pad, value, regions)[:, 0]
        variables["mag_change"] = np.where(is_pad, np.nan, variables["mag_change"])[:, 0][:, None]
        found = read_described(save(tmp_path / "b.mat", variables), 96)
        assert not found.problems
        for a, b in zip(found.samples, expected, strict=True):
            np.testing.assert_array_equal(a.regions, b.regions)
            np.testing.assert_array_equal(a.sources[0].weights, b.sources[0].weights)
    assert [s.sources[0].clip for s in expected] == [numbers[0] for _, numbers in meant]


def test_planted_contradictions_are_listed_one_by_one(tmp_path):
    variables, meant = description()
    regions, weights = variables["selected_region"], variables["mag_change"]
    variables["scale_ratio"][3] = np.nan
    variables["scale_ratio"][4] = -1
    variables["nmm_idx"][5, 1] += NPER + 2  # the row of the next region
    regions[6, 0, 2] = regions[6, 0, 1]
    regions[7, 1, 0] = PAD
    weights[8, 0, 1] = PAD
    regions[9] = PAD
    regions[10, 1] = PAD  # one source: fine
    regions[11, 0, 1] = 3.5
    variables["current_snr"][12] = np.nan
    clips = {(c, k) for cs, ks in meant for c, k in zip(cs, ks, strict=True)}
    clips -= {(meant[13][0][0], meant[13][1][0])}
    found = read_described(save(tmp_path / "a.mat", variables), 96, clips=clips, seed=1)
    assert {p["sample"]: p["reason"] for p in found.problems} == {
        4: "bad_scale",
        5: "bad_clip_number",
        6: "repeated_region",
        7: "no_centre",
        8: "bad_magnitude",
        9: "no_source",
        11: "bad_region",
        12: "no_snr",
        13: "missing_clip",
    }
    centre, clip = meant[13][0][0], meant[13][1][0]
    assert f"a{centre}/nmm_{clip}" in found.problems[-1]["message"]
    by_index = {sample.index: sample for sample in found.samples}
    assert all(math.isnan(s.alpha) and s.snr in range(10, 21, 2) for s in by_index[3].sources)
    assert found.notes["scales found anew: it was NaN"] == 2
    assert len(by_index[10].sources) == 1
    anew = read_described(save(tmp_path / "a.mat", variables), 96, recompute=True)
    assert all(math.isnan(source.alpha) for sample in anew.samples for source in sample.sources)


def test_files_that_contradict_themselves_as_a_whole_are_refused(tmp_path):
    def refused(match, **changed):
        variables, _ = description()
        variables.update(changed)
        variables = {name: value for name, value in variables.items() if value is not None}
        with pytest.raises(BidsmillError, match=match):
            read_described(save(tmp_path / "a.mat", variables), 96)

    good, _ = description()
    refused("lacks the numbers selected_region; .*nmm_idx", selected_region=None)
    refused("has no sensor SNR", current_snr=None)
    refused("another number of examples", current_snr=np.ones((23, 1)))
    refused("contradict each other", sensor_snr=np.ones((24, 1)))
    refused("mag_change has another size", mag_change=np.ones((23, 2, 70)))
    refused("no magnitudes", mag_change=None)
    refused("target SNR of the columns", scale_ratio=np.ones((24, 2, 3)))
    refused("by no known formula", nmm_idx=np.ones((24, 2)) * 7e5)
    one_based = good["selected_region"] + 1
    refused("counted from 1", selected_region=np.where(one_based > 95.5, 96, one_based))


def test_described_samples_between_two_sides_stand_on_none():
    groups = {(c, k): f"region{c:04d}" for c in range(4) for k in (1, 2)}
    sides = dict(zip(sorted(set(groups.values())), ["train", "test", "train", "test"], strict=True))
    samples = [
        Sample(i, tuple(one_source(c, 1) for c in centres), 5)
        for i, centres in enumerate([(0,), (0, 2), (0, 1), (3, 1), (9,)])
    ]
    placed = place_samples(samples, groups, sides)
    assert [s.side for s in placed] == ["train", "train", "none", "test", "none"]
    assert [s.group for s in placed] == ["region0000", "region0000", "", "region0003", ""]
