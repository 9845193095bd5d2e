"""Groups that are one: the same signal in several files, the same person under several names."""

from __future__ import annotations

import pandas as pd
import pytest
from bids_cases import Dataset, brain_like, write_edf
from hypothesis import given, settings
from hypothesis import strategies as st
from split_cases import alcoholism, fixed_windows, random_dataset

from bidsmill.annotate.duplicates import duplicates_table
from bidsmill.formats import files
from bidsmill.formats.certificate import group_ids, read_split, side_of_rows
from bidsmill.split.dataset import split_dataset, split_samples
from bidsmill.split.merging import Links, merge_units
from bidsmill.workflow.people import people_of

FIXED = {"kind": "fixed", "length": 1.0}
LEVELS = ["subject", "session", "run", "time"]


def split(samples, links, **wish):
    return split_samples(samples, dataset="ds", labels=["label"], settings=wish, links=links)


@settings(max_examples=15, deadline=None)
@given(st.data(), st.integers(0, 1000), st.sampled_from(LEVELS))
def test_whatever_shares_signals_stands_on_one_side(data, seed, level):
    samples = random_dataset(seed, 6)
    recordings = sorted(set(samples["recording"]))
    pair = st.lists(st.sampled_from(recordings), min_size=2, max_size=2, unique=True)
    pairs = data.draw(st.lists(pair, max_size=4))
    links = Links(signals=tuple(sorted((*p, "identical_windows") for p in pairs)))
    table, certificate = split(samples, links, group=level, gap=0.5, test=0.3)
    side = pd.Series(side_of_rows(samples, table))
    for one, other in pairs:
        both = side[samples["recording"].isin([one, other]).to_numpy()]
        assert both.nunique() == 1
    assert certificate["audit"]["leaks"] == 0
    members = [m for text in table["members"] for m in text.split(", ")]
    unit = "run" if level == "time" else level
    assert set(members) == set(group_ids(samples, unit)) - {""}
    assert len(members) == len(set(members)) or level == "time"
    assert (table["rows"] + table["rows_excluded"]).sum() <= len(samples)
    if level != "time":
        assert (table["rows"] + table["rows_excluded"]).sum() == len(samples)
        first = {text: text.split(", ")[0] for text in table["members"]}
        assert table["group"].tolist() == [first[text] for text in table["members"]]


def test_chains_become_one_group_and_the_reasons_are_told():
    samples = alcoholism()
    stem = "sub-co2a000{}_task-x_eeg".format
    links = Links(
        signals=(
            (stem(1), stem(0), "identical_signal"),
            (stem(2), stem(1), "identical_windows"),
            ("sub-gone_task-x_eeg", stem(0), "identical_signal"),
        ),
        people=((("sub-co2a0002", "sub-co2c0009", "sub-never"), "declared"),),
    )
    table, certificate = split(samples, links)
    members = ["sub-co2a0000", "sub-co2a0001", "sub-co2a0002", "sub-co2c0009"]
    assert certificate["merged"] == [
        {
            "group": "sub-co2a0000",
            "members": members,
            "reasons": [
                {"reason": "declared", "names": ["sub-co2a0002", "sub-co2c0009"]},
                {"reason": "identical_signal", "names": [stem(0), stem(1)]},
                {"reason": "identical_windows", "names": [stem(1), stem(2)]},
            ],
        }
    ]
    assert table.set_index("group").loc["sub-co2a0000", "members"] == ", ".join(members)
    assert len(table) == 17 and table["rows"].sum() == 100
    assert certificate["unknown"] == ["sub-never"]
    by_run = merge_units(samples, "run", links)
    assert [entry["members"] for entry in by_run.entries] == [[stem(i) for i in range(3)]]


def test_a_person_of_two_names_shows_in_the_proof_of_other_levels():
    samples = fixed_windows([(s, "", "", "a", "x") for s in ("1", "2", "3", "4")])
    wish = {"group": "run", "move": {"sub-1": "test", "sub-2": "train"}}
    links = Links(people=((("sub-1", "sub-2"), "declared"),))
    _, certificate = split(samples, links, **wish)
    assert certificate["proof"]["subjects_on_several_sides"] == ["sub-1"]
    _, certificate = split(samples, Links(), **wish)
    assert certificate["proof"]["shared_subjects"] == 0


def fingerprint(values) -> dict:
    return {"hashes": "".join(f"{v:012x}" for v in sorted(values)), "thinning": 0}


def test_pairs_are_listed_with_reason_and_share():
    prints = {
        "a": fingerprint(range(100)),
        "b": fingerprint(range(50, 150)),
        "c": fingerprint([*range(90, 100), *range(1000, 1090)]),
        "d": fingerprint([99, *range(2000, 2099)]),
        "e": fingerprint([]),
        "f": fingerprint([]),
        "g": fingerprint([]),
    }
    checksum = {name: f"sha256:{name * 64}" for name in "abcdefg"}
    members = {name: {"files": {f"{name}.edf": checksum[name]}} for name in prints}
    members["f"]["files"] = {"f.vhdr": "sha256:1", "f.eeg": checksum["e"], "f.tsv": None}
    members["g"]["files"] = {"g.vhdr": "sha256:1", "g.eeg": None}
    table = duplicates_table(prints, members)
    assert table[["recording", "duplicate_of", "reason"]].values.tolist() == [
        ["b", "a", "identical_signal"],
        ["c", "a", "identical_windows"],
        ["f", "e", "identical_signal"],
    ]
    assert table["share"].tolist()[:2] == [0.5, 0.1]
    assert duplicates_table({}, {}).empty


def test_one_recording_in_three_files_is_one_group(corpus_copy, tmp_path):
    """eeglab_attention: sub-01 has one recording as .fdt, in HDF5, and shortened."""
    dataset = Dataset(tmp_path / "run")
    dataset.root = corpus_copy("eeglab_attention")
    dataset.run(windows=FIXED)
    done = {}
    for fallback in ("refuse", "run", "time"):
        content = split_dataset(
            dataset.results / "samples.parquet",
            tmp_path / "split.tsv",
            tmp_path / "split.json",
            dataset="t",
            labels=[],
            settings={"fallback": fallback, "gap": 1.0},
            duplicates_path=dataset.results / "duplicates.tsv",
        )
        done[fallback] = content, *read_split(tmp_path / "split.tsv", tmp_path / "split.json")
    stem = "sub-01_task-attention_acq-{}_eeg".format
    names = [stem(kind) for kind in ("fdt", "hdf5", "short")]
    reasons = [{"reason": "identical_signal", "names": names}]
    content = done["refuse"][0]
    assert content["status"] == "refused" and "2 groups have rows" in content["reason"]
    assert content["merged"] == [{"group": "sub-01", "members": ["sub-01"], "reasons": reasons}]
    content = done["run"][0]
    assert content["status"] == "refused"
    assert [r["level"] for r in content["refused_levels"]] == ["subject", "session", "run"]
    assert "level run: 2 groups" in content["reason"]
    content, table, _ = done["time"]
    assert (content["status"], content["level"]) == ("done", "time")
    assert content["merged"] == [{"group": f"{names[0]}@1", "members": names, "reasons": reasons}]
    samples = dataset.table("samples.parquet")
    side = side_of_rows(samples, table)
    assert len(set(side[(samples["subject"] == "01").to_numpy()])) == 1
    assert {"train", "test"} <= set(side)


def test_the_same_signal_under_two_names_is_found_from_the_files(tmp_path):
    """Half of sub-02 is sub-01's signal in other units; sub-04 is a copy with other events."""
    dataset = Dataset(tmp_path)
    dataset.root.mkdir(parents=True)
    files.write_json(
        dataset.root / "dataset_description.json", {"Name": "t", "BIDSVersion": "1.10.0"}
    )
    data = {f"{i:02}": brain_like(2, 4000, seed=i) * 1e6 for i in range(1, 7)}
    data["02"][:, :1000] = data["01"][:, :1000] * 2 + 3
    data["04"] = data["03"]
    for subject, values in data.items():
        signals = [(n, v, 100, "uV") for n, v in zip(("A", "B"), values, strict=True)]
        write_edf(
            dataset.root / f"sub-{subject}" / "eeg" / f"sub-{subject}_task-x_eeg.edf", signals
        )
    dataset.run(windows=FIXED)
    content = split_dataset(
        dataset.results / "samples.parquet",
        tmp_path / "split.tsv",
        tmp_path / "split.json",
        dataset="t",
        labels=[],
        settings={"test": 0.3},
        duplicates_path=dataset.results / "duplicates.tsv",
    )
    assert [
        (e["group"], e["members"], [r["reason"] for r in e["reasons"]]) for e in content["merged"]
    ] == [
        ("sub-01", ["sub-01", "sub-02"], ["identical_windows"]),
        ("sub-03", ["sub-03", "sub-04"], ["identical_signal"]),
    ]
    assert content["groups"]["train"] + content["groups"]["test"] == 4


def config(**datasets) -> dict:
    return {"same_subject": datasets.pop("same", []), "datasets": datasets}


def test_who_is_one_person_within_and_across_datasets():
    own = {"source": "openneuro"}
    content = config(
        ds002718={**own, "same_subject": [["sub-01", "sub-02"]]},
        on002718={"source": "nemar", "same_subject": [["sub-03", "sub-04"]]},
        later={**own, "id": "ds002718", "version": "1.1.0"},
        other={"source": "local", "path": "x", "same_subject": [["sub-7", "sub-8"]]},
        same=[["ds002718/sub-05", "other/sub-7"], ["other/sub-8", "ds002718/sub-06"]],
    )
    people = people_of(content, "ds002718")
    assert people["mirrors"] == ["later", "on002718"]
    assert people["same"] == [
        {"subjects": ["sub-01", "sub-02"], "reason": "declared"},
        {"subjects": ["sub-03", "sub-04"], "reason": "mirror"},
        {"subjects": ["sub-05", "sub-06"], "reason": "declared"},
    ]
    assert people["elsewhere"] == {
        "sub-05": ["other/sub-7", "other/sub-8"],
        "sub-06": ["other/sub-7", "other/sub-8"],
    }
    assert people_of(content, "on002718")["same"][0]["reason"] == "mirror"
    assert people_of(content, "other")["mirrors"] == []
    assert people_of(config(a=own, b=own), "a") == {"same": [], "mirrors": [], "elsewhere": {}}


@pytest.mark.parametrize(
    ("one", "other", "are_one"),
    [
        ({"source": "local", "path": "data/x"}, {"source": "local", "path": "data/x/"}, True),
        ({"source": "local", "path": "data/x"}, {"source": "local", "path": "data/y"}, False),
        ({"source": "nemar", "id": "nm000132"}, {"source": "nemar", "id": "nm000132"}, True),
        ({"source": "nemar", "id": "on000132"}, {"source": "openneuro", "id": "ds000132"}, True),
        ({"source": "sample"}, {"source": "sample"}, False),
    ],
)
def test_mirrors_and_releases(one, other, are_one):
    assert people_of(config(a=one, b=other), "a")["mirrors"] == (["b"] if are_one else [])
