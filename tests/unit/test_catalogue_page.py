"""The catalogue page: what it says against the catalogue, hostile texts, and many who publish."""

from __future__ import annotations

import hashlib
import io
import json
import multiprocessing
import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from html.parser import HTMLParser
from pathlib import Path

import catalogue_cases
import pandas as pd
import pyarrow.parquet as pq
import pytest
from access_store import mixed_recordings
from command_stores import answer, run
from store_results import Results

from bidsmill.errors import BidsmillError
from bidsmill.formats import files, manifest, tables
from bidsmill.formats.hed_strings import load_schema
from bidsmill.formats.seal import catalogue_of, is_catalogue_page, sealed
from bidsmill.report.tag_tree import count_tags, used_tags
from bidsmill.storage.addresses import open_storage
from bidsmill.store.catalogue.page import page_of_catalogue
from bidsmill.store.catalogue.refresh import refresh_page, write_page
from bidsmill.store.pointing import update_catalog

DATASETS = [f"ds{number}" for number in range(4)]


class Page(HTMLParser):
    """What a browser would see: elements, attributes, and the text of scripts."""

    def __init__(self, content: bytes):
        super().__init__()
        self.elements: list[tuple[str, dict]] = []
        self.scripts: list[str] = []
        self.feed(content.decode())

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, data):
        if self.scripts and self.cdata_elem == "script":
            self.scripts[-1] += data

    @property
    def data(self) -> dict:
        return json.loads(self.scripts[0])


def data_of(content: bytes) -> dict:
    return Page(content).data


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """Return a store with four datasets. Not to be changed."""
    folder = tmp_path_factory.mktemp("catalogue")
    for name in DATASETS:
        Results(folder, mixed_recordings()[:2], dataset=name).publish()
    return folder / "store"


@pytest.fixture
def store(built, tmp_path) -> Path:
    return Path(shutil.copytree(built, tmp_path / "store"))


# What it says


def test_the_page_says_what_the_catalogue_says(tmp_path):
    content = catalogue_cases.write(tmp_path, catalogue_cases.rows(300))
    frame = pd.read_parquet(io.BytesIO(content))
    found = data_of(page_of_catalogue(content))
    assert set(found) == (set(frame) - {"layouts", "hed_tags"}) | {"tags", "hed"}
    for column in set(frame) & set(found):
        assert found[column] == frame[column].tolist(), column
    tags = [", ".join(found["tags"][place] for place in places) for places in found["hed"]]
    assert tags == frame["hed_tags"].tolist()
    assert found["tags"] == sorted(set(found["tags"]))


def test_a_published_store_has_its_page(built):
    content = (built / "index.html").read_bytes()
    catalogue = (built / "catalog.parquet").read_bytes()
    assert content == page_of_catalogue(catalogue)
    found = data_of(content)
    assert found["dataset"] == DATASETS
    for name, report, samples in zip(
        found["dataset"], found["report"], found["samples"], strict=True
    ):
        latest = json.loads((built / f"datasets/{name}/latest.json").read_bytes())["version"]
        entries = json.loads((built / f"datasets/{name}/versions/{latest}.json").read_bytes())
        paths = {entry["name"]: entry["path"] for entry in entries["files"]}
        assert (report, samples) == (paths["report.html"], paths["samples.parquet"])
        assert (built / report).is_file() and (built / samples).is_file()


def test_nothing_is_loaded_from_elsewhere(built):
    page = Page((built / "index.html").read_bytes())
    assert [tag for tag, _ in page.elements if tag in ("img", "iframe", "object")] == []
    (icon,) = [attrs["href"] for tag, attrs in page.elements if tag == "link"]
    assert icon.startswith("data:image/svg+xml,")
    assert [attrs.get("src") for tag, attrs in page.elements if tag == "script"] == [None, None]
    (policy,) = [
        attrs["content"]
        for tag, attrs in page.elements
        if attrs.get("http-equiv") == "Content-Security-Policy"
    ]
    assert "default-src 'none'" in policy
    assert "innerHTML" not in page.scripts[1] and "insertAdjacentHTML" not in page.scripts[1]


def test_the_same_catalogue_gives_the_same_bytes(tmp_path):
    first = catalogue_cases.write(tmp_path, catalogue_cases.rows(5))
    other = catalogue_cases.write(tmp_path, catalogue_cases.rows(5, seed=2))
    assert page_of_catalogue(first) == page_of_catalogue(first) != page_of_catalogue(other)
    text = page_of_catalogue(first).decode()
    assert catalogue_of(text.encode()) == hashlib.sha256(first).hexdigest()
    assert not re.search(r"20\d\d-\d\d-\d\d[T ]", text)


def test_a_thousand_datasets_are_less_than_two_megabytes(tmp_path):
    made = catalogue_cases.rows(1000)
    for row in made:  # longer than most: 500 letters of authors, twenty tags
        row["citation"] = (row["citation"] * 10)[:500]
        row["hed_tags"] = ", ".join(catalogue_cases.TAGS[:20])
    assert len(page_of_catalogue(catalogue_cases.write(tmp_path, made))) < 2e6


def test_an_older_catalogue_can_be_read(tmp_path):
    content = catalogue_cases.write(tmp_path, catalogue_cases.rows(3))
    frame = pd.read_parquet(io.BytesIO(content))
    lacking = ["hed_tags", "channels", "samples", "report", "sampling_rates", "license_class"]
    older = frame.drop(columns=[*lacking, "bytes"]).assign(doi=[None, "10.1/x", ""])
    tables.write_parquet(tmp_path / "catalog.parquet", older)
    found = data_of(page_of_catalogue((tmp_path / "catalog.parquet").read_bytes()))
    assert found["dataset"] == frame["dataset"].tolist()
    assert found["doi"] == ["", "10.1/x", ""]
    assert found["bytes"] == [0, 0, 0] and found["hed"] == [[], [], []] and found["tags"] == []
    assert all(found[column] == [""] * 3 for column in set(lacking) - {"hed_tags"})


def test_an_empty_catalogue_is_a_page(tmp_path):
    found = data_of(page_of_catalogue(catalogue_cases.write(tmp_path, [])))
    assert found["dataset"] == found["hed"] == found["tags"] == []


def test_texts_from_outside_stay_data(tmp_path):
    made = catalogue_cases.rows(len(catalogue_cases.HOSTILE))
    for row, text in zip(made, catalogue_cases.HOSTILE, strict=True):
        for column in ("name", "citation", "license", "tasks", "labels", "doi", "dataset"):
            row[column] = text
    made[0]["name"] = "<" * 10_000
    content = page_of_catalogue(catalogue_cases.write(tmp_path, made))
    page, harmless = Page(content), Page(page_of_catalogue(catalogue_cases.write(tmp_path, [])))
    tags = [tag for tag, _ in page.elements]
    assert tags == [tag for tag, _ in harmless.elements]
    assert page.scripts[1] == harmless.scripts[1]
    for column in ("citation", "license", "tasks", "labels", "doi", "dataset"):
        assert page.data[column] == catalogue_cases.HOSTILE, column
    assert len(page.data["name"][0]) == 300
    assert not set("<>&\u2028") & set(page.scripts[0])


def test_damage_of_a_page_is_seen():
    page = sealed('<meta name="bidsmill-catalogue" content="' + "a" * 64 + '">\n<p>x</p>\n')
    assert catalogue_of(page) == "a" * 64 and is_catalogue_page(page)
    for damaged in (page[:-1], page.replace(b"x", b"y"), page[:80], b"", page + b"\n"):
        assert catalogue_of(damaged) is None
    assert not is_catalogue_page(b"<html>of somebody else</html>")


def test_used_tags_are_the_last_of_their_branch():
    strings = ["Sensory-event, (Image, Face)", "Sensory-event, Image", "Event/Agent-action", ""]
    counts = count_tags(strings, "8.3.0")
    schema = load_schema("8.3.0")
    expected = ["Sensory-event", "Image", "Agent-action", "Face"]
    paths = {name: schema.get_tag_entry(name).long_tag_name for name in expected}
    found = used_tags(counts)
    assert sorted(found) == sorted(paths.values())
    assert set(found[:2]) == {paths["Sensory-event"], paths["Image"]}  # of two rows each
    assert used_tags(counts, 2) == found[:2]


# Who publishes


def _publish(root: str, dataset: str, turns: int) -> None:
    """Do what a publish does at its end, several times."""
    storage = open_storage(root)
    for _ in range(turns):
        update_catalog(storage, dataset)
        refresh_page(storage)


def test_many_publishers_end_in_the_page_of_the_catalogue(store):
    (store / "catalog.parquet").write_bytes(b"")  # each of them finds it so, or as another left it
    (store / "index.html").unlink()
    context = multiprocessing.get_context("fork")
    children = [
        context.Process(target=_publish, args=(str(store), name, 5)) for name in DATASETS * 2
    ]
    for child in children:
        child.start()
    for child in children:
        child.join()
    assert [child.exitcode for child in children] == [0] * len(children)
    catalogue = (store / "catalog.parquet").read_bytes()
    assert pq.read_table(io.BytesIO(catalogue))["dataset"].to_pylist() == DATASETS
    assert (store / "index.html").read_bytes() == page_of_catalogue(catalogue)


def test_a_page_that_somebody_else_overtakes_is_made_again(store):
    """The catalogue moves on after it was read: the slower one must not have the last word."""

    class Slow:
        """A storage in which somebody else publishes after each read of the catalogue, twice."""

        def __init__(self):
            self.storage, self.turns = open_storage(str(store)), 2

        def __getattr__(self, name):
            return getattr(self.storage, name)

        def read(self, path):
            content = self.storage.read(path)
            if path == manifest.CATALOG and self.turns:
                self.turns -= 1
                rows = catalogue_cases.rows(self.turns + 1)
                catalogue_cases.write(store, rows)
                write_page(self.storage)
            return content

    (store / "index.html").unlink()
    slow = Slow()
    assert write_page(slow) is False  # somebody else wrote the same at the end
    assert slow.turns == 0
    catalogue = (store / "catalog.parquet").read_bytes()
    assert (store / "index.html").read_bytes() == page_of_catalogue(catalogue)
    assert data_of((store / "index.html").read_bytes())["dataset"] == ["ds002000"]


def test_publishers_to_a_bucket_end_in_the_page_of_the_catalogue(built, s3_server, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3_server.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3_server.secret_key)
    bucket, client = s3_server.public_bucket("catalogue"), s3_server.client()
    for path in sorted(p for p in built.rglob("*") if p.is_file() and not p.name.startswith(".")):
        if path.parent != built:
            client.upload_file(str(path), bucket, f"a/{path.relative_to(built).as_posix()}")

    def publish(name: str) -> None:
        storage = open_storage(f"s3://{bucket}/a", endpoint=s3_server.endpoint)
        for _ in range(2):
            update_catalog(storage, name)
            refresh_page(storage)

    with ThreadPoolExecutor(len(DATASETS)) as pool:
        list(pool.map(publish, DATASETS))
    page = client.get_object(Bucket=bucket, Key="a/index.html")
    catalogue = client.get_object(Bucket=bucket, Key="a/catalog.parquet")["Body"].read()
    assert pq.read_table(io.BytesIO(catalogue))["dataset"].to_pylist() == DATASETS
    assert page["Body"].read() == page_of_catalogue(catalogue)
    assert page["ContentType"] == "text/html"


@pytest.mark.parametrize("how", ["of somebody else", "a folder"])
def test_a_page_that_cannot_be_written_stops_no_publish(how, tmp_path, caplog):
    results = Results(tmp_path, mixed_recordings()[:1])
    index = results.store / "index.html"
    if how == "a folder":
        index.mkdir(parents=True)
    else:
        files.write_text(index, "<h1>My own page</h1>")
    stated = results.publish()
    assert stated["status"] == "published"
    assert pq.read_table(results.store / "catalog.parquet")["dataset"].to_pylist() == ["ds"]
    assert "the catalogue page is not up to date" in caplog.text
    assert index.is_dir() or index.read_text() == "<h1>My own page</h1>"


def test_a_row_that_nobody_foresaw_stops_no_publish(store, caplog):
    storage = open_storage(str(store))
    rows = pq.read_table(store / "catalog.parquet").to_pylist()
    rows[0]["rows"] = "many"
    tables.write_parquet(store / "catalog.parquet", pd.DataFrame(rows).astype({"rows": str}))
    refresh_page(storage)
    assert "the catalogue page is not up to date" in caplog.text


def test_what_a_killed_publish_left_is_made_good(tmp_path):
    results = Results(tmp_path, mixed_recordings()[:1])
    results.publish()
    index = results.store / "index.html"
    whole = index.read_bytes()
    for content in (None, b"", whole[:3000]):
        index.unlink() if content is None else index.write_bytes(content)
        results.publish()  # nothing to send
        assert index.read_bytes() == whole


# Commands


def test_catalogue_makes_the_page_anew(store, capsys):
    whole = (store / "index.html").read_bytes()
    code, printed, _ = run(capsys, "catalogue", store)
    assert (code, printed) == (0, f"{store}/index.html is up to date\n")
    (store / "index.html").unlink()
    assert run(capsys, "catalogue", store)[:2] == (0, f"{store}/index.html\n")
    assert (store / "index.html").read_bytes() == whole


@pytest.mark.parametrize("how", ["missing", "damaged", "of an older bidsmill"])
def test_catalogue_makes_a_lost_catalogue_anew(how, store, capsys):
    path = store / "catalog.parquet"
    whole = path.read_bytes()
    if how == "missing":
        path.unlink()
    elif how == "damaged":
        path.write_bytes(whole[:100])
    else:
        tables.write_parquet(path, tables.read_parquet(path).drop(columns=["hed_tags", "report"]))
    code, printed, _ = run(capsys, "catalogue", store)
    assert code == 0 and printed.startswith("made catalog.parquet anew\n")
    assert path.read_bytes() == whole
    assert (store / "index.html").read_bytes() == page_of_catalogue(whole)


def test_catalogue_refuses_what_is_no_store(tmp_path, store, capsys):
    (tmp_path / "nothing" / "datasets").mkdir(parents=True)
    for folder in (tmp_path / "nothing", tmp_path / "absent"):
        code, _, told = run(capsys, "catalogue", folder)
        assert code and "Traceback" not in told
        assert not (folder / "index.html").exists()
    (store / "index.html").write_text("mine")
    code, _, told = run(capsys, "catalogue", store)
    assert code == 1 and "bidsmill did not write" in told
    assert (store / "index.html").read_text() == "mine"


@pytest.mark.parametrize(
    ("how", "kinds"),
    [
        ("whole", []),
        ("absent", []),
        ("of somebody else", []),
        ("damaged", ["damaged"]),
        ("of another catalogue", ["catalogue"]),
    ],
)
def test_verify_knows_the_page(how, kinds, store, capsys):
    index = store / "index.html"
    if how == "absent":
        index.unlink()
    elif how == "of somebody else":
        index.write_text("<html></html>")
    elif how == "damaged":
        index.write_bytes(index.read_bytes().replace(b"ds1", b"dsX"))
    elif how == "of another catalogue":
        folder = store.parent / "other"
        index.write_bytes(page_of_catalogue(catalogue_cases.write(folder, [])))
    faults = answer(capsys, "verify", store, "--sizes", code=1 if kinds else 0)["faults"]
    assert [(fault["kind"], fault["path"]) for fault in faults] == [
        (k, "index.html") for k in kinds
    ]
    if kinds:
        assert "bidsmill catalogue" in faults[0]["message"]


def test_gc_leaves_the_page(store, capsys):
    whole = (store / "index.html").read_bytes()
    found = answer(capsys, "gc", store, "--delete", "--older-than", "0h")
    assert found["deleted"] == []
    assert (store / "index.html").read_bytes() == whole


def test_without_a_catalogue_there_is_no_page(tmp_path):
    with pytest.raises(BidsmillError):
        write_page(open_storage(str(tmp_path / "store")))
    assert not (tmp_path / "store" / "index.html").exists()
