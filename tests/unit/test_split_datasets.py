"""Several datasets that are split at once: from their tables to the certificate of each."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from split_cases import fixed_windows, random_dataset

from bidsmill.formats import files, tables
from bidsmill.formats.certificate import read_split
from bidsmill.formats.placements import placements_after
from bidsmill.split.audit.run import audit_results
from bidsmill.split.dataset import split_dataset
from bidsmill.split.datasets import split_datasets
from bidsmill.workflow.people import people_of

SETTINGS = {"test": 0.25, "validation": 0.0, "group": "subject", "seed": 0}


class Folder:
    """Tables of several datasets, and their splits."""

    def __init__(self, folder: Path, datasets: dict[str, pd.DataFrame], config=None):
        self.folder, self.datasets, self.settings = folder, datasets, {}
        own = {name: {"source": "sample"} for name in datasets}
        self.config = config or {"datasets": own, "same_subject": []}
        for name, samples in datasets.items():
            self.path(name).mkdir(parents=True, exist_ok=True)
            tables.write_parquet(self.path(name) / "samples.parquet", samples)
            self.duplicates(name)
            self.previous(name, [])

    def path(self, dataset: str) -> Path:
        return self.folder / dataset

    def duplicates(self, dataset: str, *rows: tuple[str, str, str]) -> None:
        frame = pd.DataFrame(rows, columns=["recording", "duplicate_of", "reason"])
        tables.write_tsv(self.path(dataset) / "duplicates.tsv", frame)

    def previous(self, dataset: str, placements: list[dict]) -> None:
        sha256 = files.canonical_sha256(placements)
        content = {"source": "store", "version": "1", "sha256": sha256, "placements": placements}
        files.write_json(self.path(dataset) / "split-previous.json", content)

    def split(self, names=None, **settings) -> dict:
        """Split all at once, and then each; return the record."""
        names = list(names or self.datasets)
        people = {name: people_of(self.config, name) for name in names}
        asked = {name: {**SETTINGS, **settings, **self.settings.get(name, {})} for name in names}
        common = self.folder / "together.tsv", self.folder / "together.json"
        inputs = {"samples": "samples.parquet", "duplicates": "duplicates.tsv"}
        record = split_datasets(
            "both",
            names,
            {
                key: [str(self.path(name) / file) for name in names]
                for key, file in (*inputs.items(), ("previous", "split-previous.json"))
            },
            *common,
            labels={name: ["label"] for name in names},
            settings=asked,
            people=people,
        )
        for name in names:
            split_dataset(
                self.path(name) / "samples.parquet",
                self.path(name) / "split.tsv",
                self.path(name) / "split.json",
                dataset=name,
                labels=["label"],
                settings=asked[name],
                people=people[name],
                duplicates_path=self.path(name) / "duplicates.tsv",
                previous_path=self.path(name) / "split-previous.json",
                fixed_paths=common,
            )
        return record

    def of(self, dataset: str) -> tuple[dict[str, str], dict]:
        """Return the side of every subject of a dataset, and its certificate."""
        table, content = read_split(
            self.path(dataset) / "split.tsv", self.path(dataset) / "split.json"
        )
        return dict(zip(table["group"], table["split"], strict=True)), content

    def sides(self) -> dict[str, str]:
        return {f"{d}/{name}": side for d in self.datasets for name, side in self.of(d)[0].items()}


@pytest.fixture
def folder(tmp_path) -> Folder:
    return Folder(tmp_path, {"one": random_dataset(1, 8), "two": random_dataset(2, 11)})


def test_the_certificate_of_a_member_tells_of_the_whole(folder):
    folder.config["same_subject"] = [["one/sub-001", "two/sub-004"], ["two/sub-005", "x/sub-1"]]
    folder.config["same_subject"] += [["x/sub-1", "one/sub-002"]]
    record = folder.split()
    sides = folder.sides()
    assert sides["one/sub-001"] == sides["two/sub-004"]
    assert sides["one/sub-002"] == sides["two/sub-005"]
    assert record["merged"] == [["one/sub-001", "two/sub-004"], ["one/sub-002", "two/sub-005"]]
    assert record["people"] == {**record["people"], "none": 0}
    assert sum(record["people"].values()) == len(sides) - 2
    for name, other in (("one", "two"), ("two", "one")):
        content = folder.of(name)[1]
        assert (content["status"], content["level"], content["fixed"]) == ("done", "subject", None)
        assert content["together"]["with"] == [other]
        assert content["together"]["objective"] == record["objective"]
        assert content["together"]["bound"] == record["bound"] <= record["objective"]
        assert content["objective"] is None
        assert f"The datasets {record['datasets'][0]}, two were split at once" in content["method"]
        assert content["inputs"]["together"] == files.canonical_sha256(record)
        assert content["inputs"]["sha256"] == record["inputs"][name]["sha256"]
        assert content["balance"] == record["balance"][name][1:]
        assert content["audit"]["leaks"] == 0
    bytes_before = (folder.folder / "together.json").read_bytes()
    folder.split(["two", "one"])
    assert (folder.folder / "together.json").read_bytes() == bytes_before
    assert folder.sides() == sides


def test_signals_and_mirrors_keep_people_together(tmp_path):
    first, second = random_dataset(3, 9), random_dataset(4, 9)
    config = {
        "datasets": {n: {"source": "sample", "id": n} for n in ("ds000001", "on000001")},
        "same_subject": [],
    }
    folder = Folder(tmp_path, {"ds000001": first, "on000001": second}, config)
    recordings = second.drop_duplicates("subject").set_index("subject")["recording"]
    folder.duplicates("on000001", (recordings["001"], recordings["006"], "identical_signal"))
    record = folder.split()
    sides = folder.sides()
    for k in range(9):
        assert sides[f"ds000001/sub-{k:03}"] == folder.of("on000001")[0].get(
            f"sub-{k:03}", sides["on000001/sub-001"]
        )
    assert len(record["merged"]) == 8
    # Signals that the mirror has twice are one person in the other, too.
    assert sides["ds000001/sub-001"] == sides["ds000001/sub-006"]


def test_who_was_placed_stays_and_the_cost_is_told(tmp_path):
    whole = {"one": random_dataset(5, 12), "two": random_dataset(6, 12)}
    early = {name: d[d["subject"] < "008"].reset_index(drop=True) for name, d in whole.items()}
    config = {
        "datasets": {name: {"source": "sample"} for name in whole},
        "same_subject": [["one/sub-000", "two/sub-000"]],
    }
    before = Folder(tmp_path / "before", early, config)
    before.split()
    sides = before.sides()
    after = Folder(tmp_path / "after", whole, config)
    for name in whole:
        table = tables.read_tsv(before.path(name) / "split.tsv")
        after.previous(name, placements_after(table, before.of(name)[1]))
    record = after.split()
    assert {name: after.sides()[name] for name in sides} == sides
    assert record["cost"]["cost"] >= -1e-12
    assert after.of("one")[1]["previous"]["moved"] == []
    asked = next(n for n, side in sides.items() if n.startswith("one/") and side == "train")
    subject = asked.split("/")[1]
    after.settings["one"] = {"move": {subject: "test", "sub-zz": "train"}}
    after.split()
    moved = after.of("one")[1]["previous"]["moved"]
    assert [(m["group"], m["from"], m["to"], m["why"]) for m in moved] == [
        (subject, "train", "test", "together")
    ]
    assert after.of("one")[1]["unknown"] == ["sub-zz"]
    kept = {name: side for name, side in after.sides().items() if name in sides and name != asked}
    twin = {"one/sub-000": "two/sub-000"}.get(asked)
    kept.pop(twin, None)
    assert kept.items() <= sides.items()


def test_people_on_both_sides_before_are_united_in_train(tmp_path):
    datasets = {"one": random_dataset(7, 8), "two": random_dataset(8, 8)}
    folder = Folder(tmp_path, datasets)
    placement = {"level": "subject", "recording": "", "onset_start": None, "onset_stop": None}
    folder.previous("one", [{"group": "sub-001", "split": "test", **placement}])
    folder.previous("two", [{"group": "sub-001", "split": "train", **placement}])
    folder.config["same_subject"] = [["one/sub-001", "two/sub-001"]]
    folder.split()
    assert folder.sides()["one/sub-001"] == folder.sides()["two/sub-001"] == "train"
    assert [m["why"] for m in folder.of("one")[1]["previous"]["moved"]] == ["together"]


def test_a_refusal_is_told_in_every_certificate(tmp_path):
    folder = Folder(tmp_path, {"one": random_dataset(1, 1), "two": random_dataset(2, 1)})
    record = folder.split()
    assert record["status"] == "refused" and "too few people" in record["reason"]
    for name in ("one", "two"):
        sides, content = folder.of(name)
        assert set(sides.values()) == {"none"} and content["status"] == "refused"
        assert "(one, two)" in content["reason"] and "too few people" in content["reason"]
    folder = Folder(tmp_path, {"one": random_dataset(1, 5), "two": random_dataset(2, 5)})
    folder.settings["two"] = {"stratify": ["absent"]}
    assert "two: split: stratify names a column" in folder.split()["reason"]
    far = fixed_windows([("big", "", "", "", "x")], windows=60)
    folder = Folder(
        tmp_path,
        {
            "one": far,
            "two": random_dataset(
                2,
                2,
            ).assign(excluded=""),
        },
    )
    folder.settings = {name: {"test": 0.6} for name in ("one", "two")}
    assert "the nearest share of test" in folder.split()["reason"]


def test_small_datasets_have_the_sides_that_their_people_have(tmp_path):
    small = random_dataset(2, 1).assign(excluded="")
    datasets = {"one": random_dataset(1, 12), "two": small, "none": small.iloc[:0]}
    folder = Folder(tmp_path, datasets)
    folder.split()
    sides, content = folder.of("two")
    assert (
        content["status"] == "done"
        and len(sides) == 1
        and set(sides.values())
        <= {
            "train",
            "test",
        }
    )
    table, _ = read_split(folder.path("two") / "split.tsv", folder.path("two") / "split.json")
    findings = audit_results(small, table, content, dataset="two", labels={"label": "class"})
    assert not [f for f in findings if f.severity == "leak"]
    assert folder.of("none")[0] == {}
