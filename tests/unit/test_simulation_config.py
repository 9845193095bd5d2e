"""Settings of simulated spikes: every impossible one is named, with its place."""

from __future__ import annotations

import copy

import pytest
from config_cases import problems

from bidsmill.workflow.config import resolve

DATASETS = {"faces": {"source": "sample", "windows": {"kind": "fixed", "length": 2.0}}}


def config(**settings) -> dict:
    """Return a config with converted and simulated datasets."""
    return {"datasets": copy.deepcopy(DATASETS), "simulation": {"a": settings}}


# Settings that the schema allows, each by itself
TOGETHER = [
    (
        {"split": {"test": 0.5, "validation": 0.5}},
        "split: test and validation leave nothing for training",
    ),
    (
        {"sources": {"n_sources": [3, 1]}},
        "sources.n_sources: found [3, 1], expected the smaller number first",
    ),
    (
        {"sources": {"half_distance": [0.06, 0.04]}},
        "sources.half_distance: found [0.06, 0.04], expected the smaller number first",
    ),
    (
        {"sources": {"described": "x.mat"}, "samples": 10},
        "samples: has no meaning with `sources.described`, which names every sample",
    ),
    (
        {"clips": {"jitter_seconds": 0.5}},
        "clips.jitter_seconds: moves peaks out of their clips; expected below half a clip",
    ),
    (
        {"clips": {"folder": "nmm_spikes"}, "activity": {"connectome": "c.zip"}},
        "activity.connectome: has no meaning with `clips.folder`, which holds the activity",
    ),
    (
        {"clips": {"folder": "nmm_spikes"}, "split": {"group": "clip"}},
        "split.group: clips of others may share a stretch of time; expected region",
    ),
    (
        {"noise": {"model": "recorded"}},
        "noise.file: is missing; the model `recorded` needs resting segments",
    ),
    (
        {"noise": {"model": "per_channel", "file": "rest.mat"}},
        "noise.file: has no meaning with the model `per_channel`",
    ),
    (
        {"background": {"dataset": "places"}},
        "background.dataset: found 'places', expected a dataset of: faces",
    ),
    (
        {"background": {"dataset": "a"}},
        "background.dataset: found 'a', expected a dataset of: faces",
    ),
    (
        {"background": {"dataset": "faces"}, "samples": 3},
        "samples: has no meaning with `background`, whose rows are used",
    ),
    (
        {"background": {"dataset": "faces"}, "mat": {}},
        "mat: has no meaning with `background`, whose rows are used",
    ),
    (
        {"background": {"dataset": "faces"}, "sources": {"described": "x.mat"}},
        "sources.described: has no meaning with `background`, whose rows are used",
    ),
    (
        {"background": {"dataset": "faces"}, "noise": {"model": "recorded", "file": "r.npy"}},
        "noise.model: has no meaning with `background`, whose rows are used",
    ),
]
# Settings that the schema refuses
ALONE = [
    ({"smaples": 3}, ["a: unknown key 'smaples'; did you mean 'samples'? "]),
    ({"anatomy": {"montag": "x"}}, ["a.anatomy: unknown key 'montag'; did you mean 'montage'? "]),
    ({"activity": {"second": 3}}, ["a.activity: unknown key 'second'; did you mean 'seconds'? "]),
    ({"clips": {"treshold": 3}}, ["a.clips: unknown key 'treshold'; did you mean 'threshold'? "]),
    ({"sources": {"layer": [2]}}, ["a.sources: unknown key 'layer'; did you mean 'layers'? "]),
    ({"noise": {"modell": "white"}}, ["a.noise: unknown key 'modell'; did you mean 'model'? "]),
    ({"split": {"tset": 0.2}}, ["a.split: unknown key 'tset'; did you mean 'test'? "]),
    (
        {"background": {"dataset": "faces", "shared": 1}},
        ["a.background: unknown key 'shared'; did you mean 'share'? "],
    ),
    ({"mat": {"pading": -1}}, ["a.mat: unknown key 'pading'; did you mean 'padding'? "]),
    ({"background": {"share": 0.5}}, ["a.background: the key 'dataset' is missing"]),
    ({"noise": {"model": "wite"}}, ["a.noise.model: found 'wite', allowed are", "'white'?"]),
    ({"seed": -1}, ["a.seed: found -1, expected at least 0"]),
    ({"samples": 0}, ["a.samples: found 0, expected at least 1"]),
    ({"samples": 1.5}, ["a.samples: found 1.5, expected a value of type integer"]),
    ({"split": {"test": 0}}, ["a.split.test: found 0, expected more than 0"]),
    ({"split": {"group": "subject"}}, ["a.split.group: found 'subject', allowed are region, clip"]),
    ({"sources": {"layers": [4]}}, ["a.sources.layers.0: found 4, allowed are 1, 2, 3"]),
    ({"sources": {"layers": []}}, ["a.sources.layers: found []"]),
    ({"sources": {"n_sources": [2]}}, ["a.sources.n_sources: found [2]"]),
    ({"activity": {"regions": []}}, ["a.activity.regions: found []"]),
    ({"activity": {"regions": "some"}}, ["a.activity.regions: found 'some', allowed: "]),
    ({"activity": {"conditions": [{"noise": 1}]}}, ["conditions.0: the key 'mean_input'"]),
    ({"activity": {"seconds": "1e1"}}, ["a.activity.seconds: found '1e1'"]),
    ({"anatomy": {"cortex": ["one"]}}, ["a.anatomy.cortex: found ['one']"]),
    ({"on_bad_sample": "skip"}, ["a.on_bad_sample: found 'skip', allowed are fail, leave_out"]),
    ({"version": "one two"}, ["a.version: found 'one two', expected a text that matches"]),
]


@pytest.mark.parametrize(("settings", "message"), TOGETHER, ids=lambda value: str(value)[:40])
def test_settings_that_contradict_each_other(schema, settings, message):
    assert problems(config(**settings), schema) == [f"simulation.a.{message}"]


@pytest.mark.parametrize(("settings", "parts"), ALONE, ids=lambda value: str(value)[:40])
def test_settings_that_cannot_be(schema, settings, parts):
    listed = problems(config(**settings), schema)
    assert len(listed) == 1
    for part in parts:
        assert part in listed[0]
    assert listed[0].startswith("simulation.a")


def test_names_and_datasets(schema):
    taken = config()
    taken["simulation"]["faces"] = {}
    assert problems(taken, schema) == ["simulation.faces: the name 'faces' is taken by a dataset"]
    for name in ("a b", "../a", ""):
        (problem,) = problems({"simulation": {name: {}}}, schema)
        assert f"simulation: the name {name!r} is not allowed" in problem
    (problem,) = problems({"simulation": {"a": None}}, schema)
    assert problem.startswith("simulation.a: found None")
    (problem,) = problems({"simulation": {"a": {"background": {"dataset": "x"}}}}, schema)
    assert problem == "simulation.a.background.dataset: found 'x', expected a dataset of: none"


def test_every_problem_is_told_at_once(schema):
    content = config(split={"test": 0.6, "validation": 0.4}, noise={"model": "recorded"})
    content["simulation"]["faces"] = {"sources": {"n_sources": [2, 1]}}
    assert len(problems(content, schema)) == 4


def test_a_config_of_simulations_alone_has_every_default(schema):
    known = resolve({"simulation": {"a": {}, "b": {"mat": {"padding": -1}}}}, schema)
    assert known["datasets"] == {}
    a, b = known["simulation"]["a"], known["simulation"]["b"]
    assert a["background"] is None and a["mat"] is None and a["samples"] is None
    assert b["mat"] == {"padding": -1, "max_size": 70, "compress": False}
    assert a["anatomy"]["regions"] == 100 and a["activity"]["regions"] == "all"
    assert {**b, "mat": None} == a
    background = resolve(config(background={"dataset": "faces"}), schema)["simulation"]["a"]
    assert background["background"] == {"dataset": "faces", "share": 0.5, "snr": [-5, 0, 5, 10]}


def test_defaults_of_converted_datasets_are_not_those_of_simulated_ones(schema):
    content = {**config(), "defaults": {"split": {"test": 0.3}}}
    known = resolve(content, schema)
    assert known["datasets"]["faces"]["split"]["test"] == 0.3
    assert known["simulation"]["a"]["split"] == {"group": "region", "test": 0.2, "validation": 0}


def test_simulated_datasets_may_be_published_whatever_their_licence_says(schema):
    assert resolve({**config(), "allow_license": ["a"]}, schema)["allow_license"] == ["a"]
    (problem,) = problems({**config(), "allow_license": ["b"]}, schema)
    assert problem == "allow_license: found 'b', expected a dataset of: faces, a"
