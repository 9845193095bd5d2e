"""Publishing: files first, then the manifest, then the pointer; killed anywhere, it goes on."""

from __future__ import annotations

import hashlib
import io
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from access_store import A_SOURCES, A_TYPES, Recording, expected_rows, mixed_recordings
from store_results import GONE, TEST_SUBJECTS, Results, facts, verify

import bidsmill
from bidsmill.errors import BidsmillError
from bidsmill.formats import manifest, tables
from bidsmill.formats.matrix import MatrixFile

SOURCE = Path(bidsmill.__file__).parents[1]


@pytest.fixture
def results(tmp_path) -> Results:
    return Results(tmp_path, mixed_recordings())


@pytest.fixture
def published(results) -> Results:
    results.publish()
    return results


def matrix_of(results: Results, index: int = 0) -> Path:
    return results.results / "matrix" / f"{results.recordings[index].name}.parquet"


# What stands in the store


def test_the_store_has_the_layout_of_the_contract(results):
    stated = results.publish()
    content = results.manifest()
    paths = {path for path in facts(results.store) if "/files/" not in path}
    assert paths == {
        "catalog.parquet",
        "index.html",
        "datasets/ds/latest.json",
        f"datasets/ds/versions/{stated['version']}.json",
    }
    assert set(facts(results.store)) - paths == {entry["path"] for entry in content["files"]}
    for entry in content["files"]:
        stem, _, extension = entry["name"].rpartition(".")
        kind, sha16 = entry["kind"], entry["sha256"][:16]
        folder = "" if kind == "croissant" else f"{kind}/"  # it stands above what it names
        assert entry["path"] == f"datasets/ds/files/{folder}{stem}-{sha16}.{extension}"
    assert stated == {
        "dataset": "ds",
        "status": "published",
        "version": results.pointer()["version"],
        "store": results.store.as_posix(),
        "manifest": f"datasets/ds/versions/{stated['version']}.json",
        "rows": 38,
        "layout": results.recordings[0].layout,  # 21 rows; the other layout has 17
    }


def test_the_manifest_lists_every_file_as_it_is(published):
    content = published.manifest()
    verify(published.store, content)
    kinds = Counter(entry["kind"] for entry in content["files"])
    # Only simulated datasets have sources and anatomy, and streams are made on request.
    absent = {"sources", "anatomy", "stream", "epocs"}
    singles = dict.fromkeys(set(manifest.KINDS) - absent, 1)
    with_sidecar = dict.fromkeys(("events", "recordings", "channels"), 2)
    assert kinds == {**singles, **with_sidecar, "matrix": 5, "samples": 3, "split": 2}
    matrices = [entry for entry in content["files"] if entry["kind"] == "matrix"]
    assert [entry["recording"] for entry in matrices] == [r.name for r in published.recordings]
    for index, (entry, recording) in enumerate(zip(matrices, published.recordings, strict=True)):
        assert entry["shape"] == list(recording.array.shape)
        assert entry["layout"] == recording.layout
        content_of_matrix = matrix_of(published, index).read_bytes()
        assert entry["sha256"] == hashlib.sha256(content_of_matrix).hexdigest()
    assert GONE not in {entry.get("recording") for entry in content["files"]}
    assert (content["recordings"], content["converted"], content["quarantined"]) == (6, 5, 1)
    assert manifest.check_manifest(content) is content


def test_the_version_is_the_snapshot_and_the_hash_of_the_manifest(published):
    (path,) = published.manifests
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert path.stem == f"1.0.0-{digest[:12]}"
    pointer = published.pointer()
    assert (pointer["contract"], pointer["version"]) == ("1", path.stem)
    (entry,) = pointer["history"]
    assert (entry["version"], entry["snapshot"]) == (path.stem, "1.0.0")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", entry["published"])


def test_layouts_say_what_can_be_stacked(published):
    layouts = published.manifest()["layouts"]
    by_layout: dict[str, list[Recording]] = {}
    for recording in published.recordings:
        by_layout.setdefault(recording.layout, []).append(recording)
    assert list(layouts) == sorted(by_layout)
    paths = {e["recording"]: e["path"] for e in published.manifest()["files"] if "recording" in e}
    for key, recordings in by_layout.items():
        first = recordings[0]
        assert layouts[key] == {
            "channels": first.columns,
            "types": first.types,
            "units": first.units,
            "sfreq": first.sfreq,
            "tmin": first.tmin,
            "n_times": first.n_times,
            "rows": sum(recording.rows for recording in recordings),
            "files": [paths[recording.name] for recording in recordings],
        }


def test_the_catalogue_has_one_row(published):
    frame = tables.read_parquet(published.store / "catalog.parquet")
    (row,) = frame.to_dict("records")
    content = published.manifest()
    assert row == {
        "dataset": "ds",
        "version": published.pointer()["version"],
        "snapshot": "1.0.0",
        "name": "Faces",
        "license": "CC0",
        "license_class": "open",
        "citation": "A. One, B. Two. Faces.",
        "doi": "",
        "datatypes": "eeg",
        "tasks": "faces",
        "labels": "face, rt",
        "split": "subject",
        "channels": ", ".join(map(str, sorted({len(r.columns) for r in published.recordings}))),
        "channel_types": ", ".join(sorted({t for r in published.recordings for t in r.types})),
        "sampling_rates": "128",
        "hed_tags": "",
        "largest_layout": published.recordings[0].layout,
        "samples": stored(published, "samples.parquet").relative_to(published.store).as_posix(),
        "report": stored(published, "report.html").relative_to(published.store).as_posix(),
        "recordings": 6,
        "converted": 5,
        "quarantined": 1,
        "subjects": 5,
        "rows": 38,
        "layouts": 2,
        "bytes": sum((published.store / e["path"]).stat().st_size for e in content["files"]),
    }


def stored(results: Results, name: str) -> Path:
    (entry,) = [e for e in results.manifest()["files"] if e["name"] == name]
    return results.store / entry["path"]


def test_samples_get_split_file_and_layout(published):
    frame = tables.read_parquet(stored(published, "samples.parquet"))
    kept = published.samples.columns
    assert list(frame.columns) == [*kept, "split", "split_level", "file", "layout"]
    pd.testing.assert_frame_equal(frame[kept], published.samples, check_dtype=False)
    layouts = {recording.name: recording.layout for recording in published.recordings}
    for row in frame.to_dict("records"):
        assert row["split"] == ("test" if row["subject"] in TEST_SUBJECTS else "train")
        assert row["split_level"] == "subject"
        assert row["layout"] == layouts[row["recording"]]
        assert Path(row["file"]).name.startswith(f"{row['recording']}-")
        with MatrixFile(published.store / row["file"]) as file:
            assert file.metadata["recording"] == row["recording"]
    assert set(frame["split"]) == {"train", "test"}
    text = tables.read_tsv(stored(published, "samples.tsv"))
    assert text["split"].tolist() == frame["split"].tolist()
    assert text["file"].tolist() == frame["file"].tolist()
    assert text["row"].astype(int).tolist() == frame["row"].tolist()
    assert [float(x) for x in text["onset"]] == frame["onset"].tolist()


def test_columns_of_samples_have_the_types_of_the_contract(results):
    """`event` is a whole number, missing for windows without one."""
    results.samples["event"] = pd.Series([pd.NA] * len(results.samples), dtype="Int64")
    results.write()
    results.publish()
    schema = pq.read_schema(stored(results, "samples.parquet"))
    kinds = {field.name: str(field.type) for field in schema}
    for name in ("row", "start", "stop", "event"):
        assert kinds[name] == "int64"
    for name in ("onset", "rt"):
        assert kinds[name] == "double"
    for name in ("recording", "split", "file", "layout", "HED", "excluded", "face"):
        assert kinds[name] == "string"
    assert pq.read_table(stored(results, "samples.parquet")).column("event").null_count == 38


def test_a_refused_split_publishes_every_row_as_none(results):
    results.refuse()
    results.publish()
    assert set(tables.read_parquet(stored(results, "samples.parquet"))["split"]) == {"none"}
    assert results.manifest()["split"] == "refused"
    assert json.loads(stored(results, "split.json").read_bytes())["reason"] == results.refused
    assert tables.read_parquet(results.store / "catalog.parquet")["split"].tolist() == ["refused"]


def test_no_published_file_but_the_pointer_names_time_or_machine(published, tmp_path):
    year = time.strftime("%Y-").encode()
    for name in facts(published.store):
        content = (published.store / name).read_bytes()
        assert str(tmp_path).encode() not in content, name
        assert (year in content) == name.endswith("latest.json"), name


def test_the_store_reads_back_equal(published, tmp_path):
    dataset = bidsmill.open(published.store, cache=tmp_path / "cache")["ds"]
    assert dataset.version == published.pointer()["version"]
    for side in ("train", "test"):
        for layout in {recording.layout for recording in published.recordings}:
            names = [r.name for r in published.recordings if r.layout == layout]
            chosen = dataset.select(split=side, recordings=names)
            frame = published.samples
            of_side = frame["subject"].isin(TEST_SUBJECTS) == (side == "test")
            rows = frame[of_side & frame["recording"].isin(names) & (frame["excluded"] == "")]
            np.testing.assert_array_equal(
                chosen.arrays(), expected_rows(published.recordings, rows)
            )


def test_the_bytes_do_not_depend_on_where_and_when(published, tmp_path):
    other = Results(tmp_path / "other", mixed_recordings())
    other.publish()
    one, two = facts(published.store), facts(other.store)
    assert set(one) == set(two)
    assert {n for n in one if one[n][0] != two[n][0]} <= {"datasets/ds/latest.json"}


# Again, and after changes


def test_publishing_twice_changes_nothing(published):
    store, before = published.store, facts(published.store)
    stated = (published.results / "published.json").read_bytes()
    time.sleep(1.1)  # another second: the time in the pointer must not move
    published.publish()
    after = facts(store)
    assert after == before
    assert (published.results / "published.json").read_bytes() == stated


def test_a_changed_table_makes_a_version_and_keeps_the_old_one(published, tmp_path):
    old, before = published.pointer()["version"], facts(published.store)
    published.samples["face"] = "Famous"
    published.write()
    published.publish()
    after = facts(published.store)
    new = published.pointer()["version"]
    assert new != old
    assert [entry["version"] for entry in published.pointer()["history"]] == [old, new]
    written = {name for name in after if after[name] != before.get(name)}
    new_files = Counter(Path(name).name.split("-")[0] for name in written if "/files/" in name)
    assert new_files == {"samples": 2, "croissant": 1}
    assert set(before) <= set(after)
    for version in (old, new):
        verify(published.store, published.manifest(version))
    store = bidsmill.open(published.store, cache=tmp_path / "cache")
    assert set(store["ds"].select().samples["face"]) == {"Famous"}
    assert len(set(store[f"ds@{old}"].select().samples["face"])) > 1


def test_going_back_moves_the_pointer_back(published):
    old, samples = published.pointer()["version"], published.samples.copy()
    published.samples["face"] = "Famous"
    published.write()
    new = published.publish()["version"]
    published.samples = samples
    published.write()
    assert published.publish()["version"] == old
    pointer = published.pointer()
    assert pointer["version"] == old
    assert [entry["version"] for entry in pointer["history"]] == [new, old]
    assert len(published.manifests) == 2


def test_another_snapshot(published):
    published.snapshot = "2.0.0"
    published.write()
    assert published.publish()["version"].startswith("2.0.0-")
    assert [e["snapshot"] for e in published.pointer()["history"]] == ["1.0.0", "2.0.0"]


def test_a_recording_less(published):
    before = facts(published.store)
    fewer = Results(published.store.parent, mixed_recordings()[:-1])
    fewer.publish()
    after = facts(fewer.store)
    assert set(before) <= set(after)
    new = {name for name in after if name not in before and "/matrix/" in name}
    assert new == set()
    assert len([e for e in fewer.manifest()["files"] if e["kind"] == "matrix"]) == 4


@pytest.mark.parametrize("damage", ["missing", "cut"])
def test_a_damaged_file_of_the_store_is_written_again(published, damage):
    version = published.pointer()["version"]
    path = stored(published, matrix_of(published).name)
    content = path.read_bytes()
    path.unlink()  # it may share its content with the result
    if damage == "cut":
        path.write_bytes(content[:100])
    assert published.publish()["version"] == version
    verify(published.store, published.manifest())


def test_a_file_that_only_looks_like_the_wanted_one_is_replaced(published):
    """Name and size do not make a file: its sha256 does, unless the latest version checked it."""
    path = stored(published, "README.md")
    published.store.joinpath("datasets/ds/latest.json").unlink()
    path.unlink()
    path.write_bytes(b"#" * len("# ds\n"))
    published.publish()
    verify(published.store, published.manifest())


@pytest.mark.parametrize("how", ["missing", "cut", "of an older bidsmill"])
def test_a_catalogue_is_made_anew_from_all_pointers(published, how):
    """One dataset that cannot be read does not keep the others out of it."""
    for name in ("another", "broken"):
        Results(published.store.parent, mixed_recordings()[:1], dataset=name).publish()
    path = published.store / "catalog.parquet"
    whole = tables.read_parquet(path)
    assert whole["dataset"].tolist() == ["another", "broken", "ds"]
    (published.store / "datasets/broken/latest.json").write_text("{}")
    if how == "of an older bidsmill":
        tables.write_parquet(path, whole.drop(columns="citation"))
    else:
        damage(path, how)
    published.publish()
    rest = whole[whole["dataset"] != "broken"].reset_index(drop=True)
    pd.testing.assert_frame_equal(tables.read_parquet(path), rest)


@pytest.mark.parametrize("how", ["missing", "cut"])
def test_a_damaged_manifest_is_written_again(published, how):
    (path,) = published.manifests
    content = path.read_bytes()
    path.unlink()
    if how == "cut":
        path.write_bytes(content[:1000])
    published.publish()
    assert path.read_bytes() == content


def test_a_damaged_pointer_is_not_replaced(published):
    """It held the history: to begin a new one would lose the old versions."""
    path = published.store / "datasets/ds/latest.json"
    content = path.read_bytes()[:-20]
    path.write_bytes(content)
    with pytest.raises(BidsmillError, match="restore it"):
        published.publish()
    assert path.read_bytes() == content


def test_one_layout_is_no_choice(tmp_path):
    assert Results(tmp_path, mixed_recordings()[:3]).publish()["layout"] == ""


def test_a_store_that_cannot_be_written_is_told(results):
    results.store.write_text("a file stands where the store should be")
    with pytest.raises(BidsmillError, match=re.escape(str(results.store))) as caught:
        results.publish()
    assert "permission" in caught.value.todo


def test_a_disk_without_hard_links(results, monkeypatch):
    def refused(source, target):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(os, "link", refused)
    results.publish()
    verify(results.store, results.manifest())
    assert (
        stored(results, matrix_of(results).name).stat().st_ino != matrix_of(results).stat().st_ino
    )


# Damaged results


def assert_nothing_is_published(results: Results) -> None:
    assert not list(results.store.rglob("latest.json"))
    assert not list(results.store.rglob("versions"))
    assert not (results.store / "catalog.parquet").exists()
    assert not (results.results / "published.json").exists()


def damage(path: Path, how: str) -> None:
    content = path.read_bytes()
    path.unlink()
    if how == "cut":
        path.write_bytes(content[:-1])
    if how == "bit":
        middle = len(content) // 2
        path.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])


@pytest.mark.parametrize("how", ["missing", "cut", "bit"])
def test_a_damaged_matrix_is_named_with_its_remedy(results, how):
    damage(matrix_of(results, 3), how)
    with pytest.raises(BidsmillError) as caught:
        results.publish()
    name = results.recordings[3].name
    assert caught.value.file == str(matrix_of(results, 3))
    assert f"snakemake --cores 2 -f {results.results}/matrix/{name}.json" in caught.value.todo
    assert_nothing_is_published(results)


@pytest.mark.parametrize("how", ["missing", "cut", "bit"])
def test_a_damaged_matrix_leaves_the_store_as_it_was(published, how):
    changed = mixed_recordings()
    changed[3] = Recording("04", changed[3].sources, changed[3].types, seed=1)
    Results(published.store.parent, changed)  # the same folder, one recording made anew
    before = facts(published.store)
    damage(matrix_of(published, 3), how)
    with pytest.raises(BidsmillError, match="snakemake"):
        published.publish()
    after = facts(published.store)
    assert {n: f for n, f in after.items() if n in before} == before
    verify(published.store, published.manifest())


@pytest.mark.parametrize("name", ["samples.parquet", "split.json", "dataset.json"])
def test_a_lost_document_is_an_error_that_names_it(results, name):
    (results.results / name).unlink()
    with pytest.raises(BidsmillError, match=re.escape(name)):
        results.publish()
    assert_nothing_is_published(results)


# Killed, and at once

PUBLISH = """
import sys
from pathlib import Path
import bidsmill.store.publish as publish
import pandas, pyarrow.parquet, bidsmill.formats.matrix
folder, dataset = Path(sys.argv[1]), sys.argv[2]
results = folder / "results" / dataset
print("ready", flush=True)
sys.stdin.readline()
publish.publish_dataset(
    results,
    [results / "convert" / "b0000.json", results / "convert" / "b0001.json"],
    results / "published.json",
    dataset=dataset,
    store=str(folder / "store"),
)
print("done", flush=True)
"""


def start(folder: Path, dataset: str = "ds") -> subprocess.Popen:
    """Start a publisher that waits for a line before it begins."""
    run = subprocess.Popen(
        [sys.executable, "-c", PUBLISH, str(folder), dataset],
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert run.stdout.readline() == "ready\n"
    return run


def go(run: subprocess.Popen) -> None:
    run.stdin.write("\n")
    run.stdin.flush()


def large_recordings() -> list[Recording]:
    return [Recording(f"{n:02d}", A_SOURCES, A_TYPES, rows=40, seed=2) for n in range(1, 21)]


def check_kills(folder: Path, kills: int) -> None:
    wanted = Results(folder / "whole", large_recordings())
    began = time.perf_counter()
    version = wanted.publish()["version"]
    duration = time.perf_counter() - began
    results = Results(folder / "killed", large_recordings())
    moments = random.Random(0)
    unfinished = 0
    for kill in range(kills):
        if kill % 2 == 0:  # every second one goes on where the one before was killed
            shutil.rmtree(results.store, ignore_errors=True)
        (results.results / "published.json").unlink(missing_ok=True)
        run = start(folder / "killed")
        go(run)
        time.sleep(moments.random() * duration)
        run.send_signal(signal.SIGKILL)
        unfinished += "done" not in run.communicate()[0]
        check_whatever_is_there(results, version)
    assert results.publish()["version"] == version
    verify(results.store, results.manifest())
    ours, theirs = facts(results.store), facts(wanted.store)
    # Announcements of those that were killed stay until gc removes them.
    passing = re.compile(r".*latest\.json|publishing/.*")
    assert {name: ours[name][0] for name in ours if not passing.fullmatch(name)} == {
        name: theirs[name][0] for name in theirs if not passing.fullmatch(name)
    }
    assert unfinished, "no kill came while the publisher was at work"


def check_whatever_is_there(results: Results, version: str) -> None:
    """Check that no name stands for something half-written, whenever the kill came."""
    for name, (sha256, _, _) in facts(results.store).items():
        if "/files/" in name:
            assert Path(name).stem.endswith(f"-{sha256[:16]}")
        if "/versions/" in name:
            assert Path(name).stem == version
            verify(results.store, results.manifest(version))
        if name.endswith("latest.json"):
            assert results.pointer()["version"] == version
            verify(results.store, results.manifest())
    if (results.results / "published.json").exists():
        assert (results.store / "catalog.parquet").exists()


def test_a_publish_that_ends_at_any_step_goes_on(tmp_path, monkeypatch):
    """Every file appears by a rename: end before each of them, and once before none."""
    version = Results(tmp_path / "whole", mixed_recordings()).publish()["version"]
    results = Results(tmp_path / "cut", mixed_recordings())
    rename, steps = os.replace, []

    def rename_or_end(source, target):
        steps.append(target)
        if len(steps) == last:
            raise KeyboardInterrupt
        rename(source, target)

    for last in range(1, 50):  # noqa: B007 (read by `rename_or_end`)
        shutil.rmtree(results.store, ignore_errors=True)
        shutil.rmtree(results.results / "publish", ignore_errors=True)
        (results.results / "published.json").unlink(missing_ok=True)
        steps.clear()
        monkeypatch.setattr(os, "replace", rename_or_end)
        try:
            results.publish()
        except KeyboardInterrupt:
            monkeypatch.setattr(os, "replace", rename)
            check_whatever_is_there(results, version)
            assert results.publish()["version"] == version
            verify(results.store, results.manifest())
            assert (results.store / "catalog.parquet").exists()
        else:
            break
    names = [Path(target).name for target in steps if Path(target).parent.name != "publishing"]
    last_ones = [f"{version}.json", "latest.json", "catalog.parquet", "index.html"]
    assert names[-5:] == [*last_ones, "published.json"]
    assert len(steps) == last - 1 >= 20


def test_one_publisher_at_a_time_moves_pointers(tmp_path):
    import fcntl

    results = Results(tmp_path, mixed_recordings())
    results.store.mkdir()
    with open(results.store / ".publishing.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        run = start(tmp_path)
        go(run)
        deadline = time.monotonic() + 30
        while not results.manifests and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(0.2)
        assert results.manifests, "files and manifest need no lock"
        assert not (results.store / manifest.pointer_path("ds")).exists()
    assert run.communicate()[0] == "done\n"
    verify(results.store, results.manifest())


def test_a_killed_publish_goes_on(tmp_path):
    check_kills(tmp_path, 5)


@pytest.mark.long
def test_a_publish_killed_fifty_times_goes_on(tmp_path):
    check_kills(tmp_path, 50)


def test_datasets_published_at_once_all_land_in_the_catalogue(tmp_path):
    names = ["one", "two", "three"]
    for name in names:
        Results(tmp_path, mixed_recordings(), dataset=name)
    runs = [start(tmp_path, name) for name in names]
    for run in runs:
        go(run)
    assert [run.communicate()[0] for run in runs] == ["done\n"] * 3
    frame = tables.read_parquet(tmp_path / "store" / "catalog.parquet")
    assert frame["dataset"].tolist() == sorted(names)
    store = bidsmill.open(tmp_path / "store", cache=tmp_path / "cache")
    assert sorted(store) == sorted(names)
    for name in names:
        verify(tmp_path / "store", store[name].manifest)


def test_one_dataset_published_by_two_at_once(tmp_path):
    results = Results(tmp_path, mixed_recordings())
    runs = [start(tmp_path) for _ in range(2)]
    for run in runs:
        go(run)
    assert [run.communicate()[0] for run in runs] == ["done\n"] * 2
    verify(results.store, results.manifest())
    assert len(results.pointer()["history"]) == 1
    assert not list(results.store.rglob("*.part"))


# What a person sees


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_shows_a_bar_and_a_file_does_not(published, monkeypatch):
    for stream, shown in ((Terminal(), True), (io.StringIO(), False)):
        published.samples["rt"] = float(shown)
        published.write()
        monkeypatch.setattr(sys, "stderr", stream)
        published.publish()
        assert (f"publish ds [{'#' * 30}] 100% of " in stream.getvalue()) is shown
