"""The neural mass network: against TVB, plain loops, scipy; batches, noise, rate, statistics."""

from __future__ import annotations

import hashlib
import importlib.util
import io
import json
import os
import subprocess
import zipfile

import numpy as np
import pytest
from absence import absent
from hypothesis import given, settings
from hypothesis import strategies as st
from simulate_networks import ACTIVE, DT, MEAN_INPUT, N_NODES, N_STEPS, formula_network
from simulate_tvb import REFERENCE

from bidsmill.errors import BidsmillError
from bidsmill.simulate.activity.connectome import (
    Connectome,
    generate_connectome,
    load_connectome,
    map_regions,
)
from bidsmill.simulate.activity.decimation import Decimator
from bidsmill.simulate.activity.exponential import exponential
from bidsmill.simulate.activity.jansen_rit import Network, Parameters, Run
from bidsmill.simulate.activity.runs import (
    CONDITIONS,
    ActivitySettings,
    activity_path,
    load_activity,
    simulate_activity,
)
from bidsmill.simulate.random_numbers import generator

NUMBA = importlib.util.find_spec("numba") is not None


def formula_connectome() -> Connectome:
    weights, tracts, _, _ = formula_network()
    return Connectome(weights, tracts, np.arange(N_NODES, dtype=np.int32))


def of_formula(dtype, engine="numpy") -> np.ndarray:
    start = formula_network()[2]
    run = Run(ACTIVE, MEAN_INPUT, 0.0)
    network = Network(
        formula_connectome(), [run], DT, dtype=dtype, engine=engine, initial=start[:, :, None]
    )
    return network.advance(np.zeros((N_STEPS, N_NODES, 1)))[:, :, 0]


def small_connectome(n_regions: int = 12, n_nodes: int | None = None) -> Connectome:
    """Return regions on a sphere of 7 cm, generated; perhaps with nodes that are no region."""
    n_nodes = n_nodes or n_regions
    places = np.random.default_rng(5).standard_normal((n_nodes, 3))
    places *= 0.07 / np.linalg.norm(places, axis=1, keepdims=True)
    made = generate_connectome(places, seed=1)
    nodes = np.arange(n_nodes)[::-1][:n_regions].astype(np.int32)
    return Connectome(made.weights, made.tract_lengths, nodes)


def test_streams_have_names_and_no_history():
    assert np.array_equal(generator(3, "a", 1).random(5), generator(3, "a", 1).random(5))
    draws = [
        tuple(generator(*name).integers(0, 2**62, 3))
        for name in [(3, "a", 1), (4, "a", 1), (3, "a", 2), (3, "b", 1), (3, "a", "1"), (3, "a1")]
    ]
    assert len(set(draws)) == len(draws)
    # The key as the documentation says, by hand.
    digest = hashlib.sha256(b'[3,"a",1]').digest()
    by_hand = np.random.Philox(key=int.from_bytes(digest[:16], "big"))
    assert np.random.Generator(by_hand).random() == generator(np.int64(3), "a", 1).random()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_exponential_is_exact_to_the_last_place(dtype):
    x = np.linspace(-80, 80, 200_001).astype(dtype)
    exact = np.exp(x.astype(np.longdouble))
    assert np.max(np.abs(exponential(x) - exact) / exact) < np.finfo(dtype).eps
    wild = exponential(np.array([-1e9, 1e9, 0.0], dtype=dtype))
    assert wild[2] == 1 and 0 < wild[0] < 1e-37 and np.isfinite(wild).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_values_are_those_of_the_virtual_brain(dtype):
    reference = json.loads(REFERENCE.read_text())
    assert reference["provenance"].startswith("tvb-library")
    ours = of_formula(dtype)[np.array(reference["steps"]) - 1][:, reference["nodes"]]
    theirs = np.array(reference["y1_minus_y2_mv"])
    assert np.ptp(theirs) > 5
    assert np.abs(ours - theirs).max() < (1e-4 if dtype == np.float32 else 2e-6)


@pytest.mark.long
def test_values_are_those_of_an_installed_tvb(tmp_path):
    """All steps and nodes, by a tvb-library (GPL) that is installed elsewhere."""
    python = os.environ.get("BIDSMILL_TVB_PYTHON")
    if not python:
        absent("BIDSMILL_TVB_PYTHON names no Python with tvb-library (make test-long installs it)")
    script = REFERENCE.with_name("simulate_tvb.py")
    # Nothing of this environment reaches the other one.
    own = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "VIRTUAL_ENV"))}
    subprocess.run([python, script, tmp_path / "tvb.npy"], check=True, env=own, timeout=600)
    theirs = np.load(tmp_path / "tvb.npy")
    assert theirs.shape == (N_STEPS, N_NODES) and np.ptp(theirs) > 5
    assert np.abs(of_formula(np.float64) - theirs).max() < 1e-5


def test_values_are_those_of_plain_loops():
    """With noise, several delays and an active node: the equations written out, one by one."""
    weights, tracts, start, mu = formula_network()
    n, steps = 10, 40
    weights, tracts, start = weights[:n, :n], tracts[:n, :n] / 10, start[:, :n]
    noise = np.random.default_rng(2).standard_normal((steps, n, 1)).astype(np.float32)
    wired = Connectome(weights, tracts, np.arange(n, dtype=np.int32))
    network = Network(
        wired, [Run(3, mu, 1.7)], DT, dtype=np.float64, engine="numpy", initial=start[:, :, None]
    )
    ours = network.advance(noise)[:, :, 0]

    def sigmoid(v, v0=6.0):
        return 0.005 / (1 + np.exp(0.56 * (v0 - v)))

    def slope(y, c, big_a):
        y0, y1, y2, y3, y4, y5 = y
        pulse = 0.1 * big_a * (mu + 0.8 * 135 * sigmoid(135 * y0) + c)
        return np.array(
            [
                y3,
                y4,
                y5,
                0.1 * big_a * sigmoid(y1 - y2) - 0.2 * y3 - 0.01 * y0,
                pulse - 0.2 * y4 - 0.01 * y1,
                22 * 0.05 * 0.25 * 135 * sigmoid(0.25 * 135 * y0) - 0.1 * y5 - 0.0025 * y2,
            ]
        )

    past = [start.copy()]
    gain = 0.1 * 3.25 * 0.12 * 0.5 * 1.7 * np.sqrt(DT)
    for step in range(steps):
        now, new = past[-1], np.empty_like(start)
        for i in range(n):
            c = 0.0
            for j in range(n):
                then = past[max(step - round(tracts[i, j] / 3 / DT), 0)][:, j]
                c += weights[i, j] * sigmoid(then[1] - then[2])
            big_a = 3.5 if i == 3 else 3.25
            shock = np.array([0, 0, 0, 0, gain * noise[step, i, 0], 0])
            first = slope(now[:, i], c, big_a)
            second = slope(now[:, i] + DT * first + shock, c, big_a)
            new[:, i] = now[:, i] + DT / 2 * (first + second) + shock
        past.append(new)
    expected = np.array([y[1] - y[2] for y in past[1:]])
    assert np.abs(ours - expected).max() < 1e-11


def test_one_node_follows_the_differential_equation():
    from scipy.integrate import solve_ivp

    alone = Connectome(np.zeros((1, 1)), np.zeros((1, 1)), np.zeros(1, dtype=np.int32))
    start = np.array([0.05, 14, 10, 0.001, 0.05, 0.02])

    def slope(_, y):
        def sigmoid(v):
            return 0.005 / (1 + np.exp(0.56 * (6 - v)))

        return [
            *y[3:],
            0.325 * sigmoid(y[1] - y[2]) - 0.2 * y[3] - 0.01 * y[0],
            0.325 * (0.12 + 108 * sigmoid(135 * y[0])) - 0.2 * y[4] - 0.01 * y[1],
            1.1 * 33.75 * sigmoid(33.75 * y[0]) - 0.1 * y[5] - 0.0025 * y[2],
        ]

    exact = solve_ivp(slope, (0, 50), start, rtol=1e-10, atol=1e-12).y[:, -1]
    errors = []
    for dt in (0.4, 0.2):
        network = Network(
            alone,
            [Run(None, 0.12, 0.0)],
            dt,
            dtype=np.float64,
            engine="numpy",
            initial=start[:, None, None],
        )
        network.advance(np.zeros((round(50 / dt), 1, 1)))
        errors.append(np.abs(network.state[:, 0, 0] - exact).max())
    assert errors[0] < 1e-2
    assert 3.5 < errors[0] / errors[1] < 4.5  # second order, as Heun's method is


def test_rest_is_a_rest():
    alone = Connectome(np.zeros((2, 2)), np.zeros((2, 2)), np.arange(2, dtype=np.int32))
    runs = [Run(None, condition.mean_input, 0.0) for condition in CONDITIONS]
    network = Network(alone, runs, DT, dtype=np.float64, engine="numpy")
    before = network.state.copy()
    network.advance(np.zeros((400, 2, 3)))
    assert np.abs(network.state - before).max() < 1e-9
    assert Parameters().noise_gain(1.0) == pytest.approx(0.0195)


@pytest.mark.parametrize("dtype", [np.float32, pytest.param(np.float64, marks=pytest.mark.long)])
def test_compiled_values_are_equal(dtype):
    if not NUMBA:
        absent("numba is not installed")
    wired = formula_connectome()
    for n_runs in (1, 7):
        noise = np.random.default_rng(n_runs).standard_normal((150, N_NODES, n_runs))
        runs = [Run(k, 0.087, 1.0) for k in range(n_runs)]
        plain, fast = (Network(wired, runs, DT, dtype=dtype, engine=e) for e in ("numpy", "numba"))
        results = []
        for network in (plain, fast):
            parts = [network.advance(noise[:70]), network.advance(noise[70:])]
            results.append(np.concatenate(parts))
        assert np.abs(results[0] - results[1]).max() <= 1e-5
        assert np.array_equal(results[0], results[1])  # more than asked for: the same bits
    assert np.abs(of_formula(dtype, "numba") - of_formula(dtype)).max() <= 1e-5


def test_what_is_not_installed_is_named():
    if NUMBA:
        assert Network(formula_connectome(), [Run(0, 0.087, 1.0)]).engine == "numba"
    else:
        assert Network(formula_connectome(), [Run(0, 0.087, 1.0)]).engine == "numpy"
        with pytest.raises(BidsmillError, match=r"numba cannot be used.*bidsmill\[simulate\]"):
            Network(formula_connectome(), [Run(0, 0.087, 1.0)], engine="numba")


RUNS = [(0, 0), (3, 1), (7, 1), (7, 0), (11, 2)]
SHORT = ActivitySettings(seconds=0.1, discard=0.05)


@pytest.fixture(scope="module")
def one_batch(tmp_path_factory):
    folder = tmp_path_factory.mktemp("activity")
    simulate_activity(small_connectome(12, 14), RUNS, folder, SHORT, seed=4, engine="numpy")
    return folder


def test_the_batch_leaves_no_trace(one_batch, tmp_path):
    for batch in (1, 3):
        wired = small_connectome(12, 14)
        order = RUNS[::-1] if batch == 3 else RUNS
        seen = []
        paths = simulate_activity(
            wired,
            order,
            tmp_path / str(batch),
            SHORT,
            seed=4,
            batch=batch,
            engine="numpy",
            progress=lambda done, total, seen=seen: seen.append((done, total)),
        )
        assert seen[-1][0] == seen[-1][1] and seen == sorted(seen)
        for path in paths:
            for name in (path.name, path.with_suffix(".json").name):
                assert (tmp_path / str(batch) / name).read_bytes() == (
                    one_batch / name
                ).read_bytes()
    assert not list(tmp_path.rglob("*.part"))


def test_file_says_what_it_is(one_batch):
    path = activity_path(one_batch, 7, 1)
    run = load_activity(path)
    assert (run.region, run.condition, run.sfreq) == (7, 1, 500.0)
    assert run.data.shape == (50, 12) and run.data.dtype == np.float32
    assert run.facts["mean_input_per_ms"] == 0.08 and run.facts["step_ms"] == 0.5
    # Nodes are those of the regions, not the first ones: the active one among them.
    assert run.facts["active_node"] == 14 - 1 - 7
    assert str(one_batch) not in path.with_suffix(".json").read_text()


def test_what_is_kept_starts_after_what_is_discarded(tmp_path):
    """The samples are those of one long run at the full rate, low-passed and thinned out."""
    wired = small_connectome()
    simulate_activity(wired, [(2, 0)], tmp_path, SHORT, seed=9, engine="numpy")
    kept = load_activity(activity_path(tmp_path, 2, 0)).data
    network = Network(wired, [Run(int(wired.node_of_region[2]), 0.087, 1.0)], engine="numpy")
    noise = [
        generator(9, "noise", 2, 0, block).standard_normal((100, 12), dtype=np.float32)
        for block in range(4)
    ]
    raw = network.advance(np.concatenate(noise)[:, :, None])[:, wired.node_of_region, 0]
    taps, half = Decimator(4).taps, Decimator(4).half
    for k in (0, 1, 20, 49):
        centre = 100 + 4 * k
        expected = taps @ raw[centre - half : centre + half + 1]
        assert np.abs(kept[k] - expected).max() < 1e-5


def test_noise_of_regions_and_conditions_is_independent(tmp_path):
    """Background nodes of two runs had a correlation of 1.000 in the tool before."""
    n = 200
    nothing = np.zeros((n, n))
    unwired = Connectome(nothing, nothing, np.arange(n, dtype=np.int32))
    runs = [(0, 0), (1, 0), (0, 1), (0, 2)]
    long = ActivitySettings(seconds=0.4, discard=0.05)
    simulate_activity(unwired, runs, tmp_path, long, seed=1, engine="numpy")
    simulate_activity(unwired, runs[:1], tmp_path / "other", long, seed=2, engine="numpy")
    data = [load_activity(activity_path(tmp_path, *run)).data[:, 2:] for run in runs]
    data.append(load_activity(activity_path(tmp_path / "other", 0, 0)).data[:, 2:])
    for one in range(len(data)):
        for two in range(one):
            same = [np.corrcoef(data[one][:, k], data[two][:, k])[0, 1] for k in range(n - 2)]
            assert abs(np.mean(same)) < 0.1
    within = np.corrcoef(data[0].T)[np.triu_indices(n - 2, 1)]
    assert abs(within.mean()) < 0.05


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(1, 300), min_size=1, max_size=6), st.sampled_from([1, 2, 4, 8]))
def test_decimation_does_not_see_blocks(lengths, factor):
    signal = np.random.default_rng(sum(lengths)).standard_normal((sum(lengths), 2, 3))
    whole = Decimator(factor).push(signal)
    pieces, parts = Decimator(factor), []
    for part in np.split(signal, np.cumsum(lengths)[:-1]):
        parts.append(pieces.push(part))
    assert np.array_equal(np.concatenate(parts), whole)
    alone = Decimator(factor).push(np.ascontiguousarray(signal[:, :1, :1]))
    assert np.array_equal(alone, whole[:, :1, :1])


def test_decimation_has_no_alias():
    decimator, times = Decimator(4), np.arange(8000) / 2000
    for frequency, lowest, highest in [
        (10, -0.01, 0.01),
        (140, -0.01, 0.01),
        (251, -400, -78),
        (490, -400, -78),
        (760, -400, -78),
        (997, -400, -78),
    ]:
        tone = np.sin(2 * np.pi * frequency * times)[:, None]
        level = 20 * np.log10(np.sqrt(2) * Decimator(4).push(tone).std() + 1e-30)
        assert lowest < level < highest, frequency
    # Without a shift in time.
    slow = np.sin(2 * np.pi * 10 * times)
    out = decimator.push(slow[:, None])[:, 0]
    assert np.abs(out - slow[decimator.half :: 4][: len(out)]).max() < 1e-4


def zipped(**tables) -> io.BytesIO:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, table in tables.items():
            text = table if isinstance(table, str) else io.StringIO()
            if not isinstance(table, str):
                np.savetxt(text, table)
                text = text.getvalue()
            archive.writestr(f"{name}.txt", text)
    content.seek(0)
    return content


def test_connectome_is_read_as_it_is(tmp_path):
    weights, tracts, _, _ = formula_network()
    centres = "\n".join(f"r{k} {k}.5 -2.0 3" for k in range(N_NODES))
    path = tmp_path / "c.zip"
    path.write_bytes(zipped(weights=weights, tract_lengths=tracts, centres=centres).read())
    read = load_connectome(path, N_NODES)
    assert np.array_equal(read.weights, weights) and np.array_equal(read.tract_lengths, tracts)
    assert np.allclose(read.centres[7], [0.0075, -0.002, 0.003])
    assert read.delay_steps(0.5).max() == round(tracts.max() / 1.5)
    with pytest.raises(BidsmillError, match="76 nodes for 75 regions"):
        load_connectome(path, 75)


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ({"weights": np.eye(3)}, "no tract_lengths.txt"),
        ({"weights": np.eye(3), "tract_lengths": np.eye(4)}, "tract_lengths.txt .* cannot be"),
        ({"weights": -np.eye(3), "tract_lengths": np.eye(3)}, "weights.txt .* cannot be used"),
        ({"weights": np.eye(3) * np.nan, "tract_lengths": np.eye(3)}, "weights.txt .* cannot"),
        ({"weights": "a b\n", "tract_lengths": np.eye(3)}, "not a table of numbers"),
    ],
)
def test_bad_connectomes_are_refused(tmp_path, tables, message):
    path = tmp_path / "bad.zip"
    path.write_bytes(zipped(**tables).read())
    with pytest.raises(BidsmillError, match=message):
        load_connectome(path, 3)
    with pytest.raises(BidsmillError, match="cannot be read"):
        load_connectome(tmp_path / "none.zip", 3)


def test_regions_of_998_nodes():
    mapping = map_regions(998, 994)
    moved = {7: 994, 325: 997, 921: 996, 949: 995}
    assert {k: int(mapping[k]) for k in moved} == moved
    kept = np.setdiff1d(np.arange(994), list(moved))
    assert np.array_equal(mapping[kept], kept) and len(set(mapping.tolist())) == 994


def test_mapping_agrees_with_the_positions_of_regions(corpus):
    """Without the mapping, four regions are 22 to 78 mm from their nodes."""
    from scipy.io import loadmat

    folder = corpus / "deepsif-anatomy"
    vertices = loadmat(folder / "fs_cortex_20k.mat")["pos"] / 1000
    region = loadmat(folder / "fs_cortex_20k_region_mapping.mat")["rm"].ravel().astype(int)
    places = np.array([vertices[region == k].mean(axis=0) for k in range(994)])
    read = load_connectome(folder / "connectivity_998.zip", 994, places)
    apart = np.linalg.norm(read.centres[read.node_of_region] - places, axis=1)
    assert np.median(apart) < 0.004 and apart.max() < 0.03


@pytest.mark.long
def test_regions_in_another_order_are_refused(corpus):
    path = corpus / "deepsif-anatomy" / "connectivity_998.zip"
    places = load_connectome(path, 998).centres
    with pytest.raises(BidsmillError, match="not in the order of the regions"):
        load_connectome(path, 994, places[:994])


def test_generated_connectome_is_like_the_measured_one():
    random = np.random.default_rng(0).standard_normal((400, 3))
    places = 0.07 * random / np.linalg.norm(random, axis=1, keepdims=True)
    made = generate_connectome(places, (places[:, 0] > 0).astype(np.int8), seed=3)
    again = generate_connectome(places, (places[:, 0] > 0).astype(np.int8), seed=3)
    assert np.array_equal(made.weights, again.weights)
    assert np.array_equal(made.weights, made.weights.T) and not np.diag(made.weights).any()
    assert made.weights.sum(axis=1).mean() == pytest.approx(17.9)
    distance = 1000 * np.linalg.norm(places[:, None] - places[None], axis=2)
    linked = made.weights > 0
    near, far = distance < 25, distance > 80
    assert linked[near].mean() > 20 * linked[far].mean() > 0
    assert made.weights[near & linked].mean() > made.weights[far & linked].mean()
    assert np.allclose(made.tract_lengths[linked], 1.28 * distance[linked])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"runs": [(12, 0)]}, "no such region"),
        ({"runs": [(0, 3)]}, "no such condition"),
        ({"batch": 0}, "at least one run"),
        ({"settings": ActivitySettings(sfreq=300.0)}, "must divide"),
        ({"settings": ActivitySettings(discard=0.0)}, "Too little"),
        ({"settings": ActivitySettings(seconds=0)}, "cannot be done"),
        ({"engine": "fortran"}, "no such engine"),
    ],
)
def test_bad_settings_are_refused(tmp_path, change, message):
    values = {"runs": [(0, 0)], "settings": SHORT, "batch": 2, "engine": "numpy"} | change
    with pytest.raises(BidsmillError, match=message):
        simulate_activity(small_connectome(), folder=tmp_path, **values)
    assert not list(tmp_path.glob("*"))


def test_damaged_activity_is_refused(one_batch, tmp_path):
    path = activity_path(tmp_path, 7, 1)
    with pytest.raises(BidsmillError):
        load_activity(path)
    source = activity_path(one_batch, 7, 1)
    path.with_suffix(".json").write_bytes(source.with_suffix(".json").read_bytes())
    path.write_bytes(source.read_bytes()[:-10])
    with pytest.raises(BidsmillError, match="cannot be read"):
        load_activity(path)


@pytest.mark.long
def test_statistics_of_998_nodes(corpus, tmp_path):
    """Those of section 1 of the notes, measured there on 48 runs of 20 s with TVB."""
    wired = load_connectome(corpus / "deepsif-anatomy" / "connectivity_998.zip", 994)
    runs = [(region, k % 3) for k, region in enumerate(np.linspace(0, 993, 12).astype(int))]
    paths = simulate_activity(wired, runs, tmp_path, ActivitySettings(seconds=6.0), seed=0)
    peaks = 0
    for (region, _), path in zip(runs, paths, strict=True):
        data = np.array(load_activity(path).data)
        others = np.delete(data, region, axis=1)
        assert 0.95 < others.mean() < 1.35
        assert 0.3 < others.std(axis=0).mean() < 0.62
        own = data[:, region]
        inner = own[1:-1]
        peaks += int(((inner > own[:-2]) & (inner >= own[2:]) & (inner > 8)).sum())
        assert own.max() < 13.2 and own.min() > -3.8
        assert (others > 8).any(axis=0).sum() < 60
    assert 12 < peaks < 150
