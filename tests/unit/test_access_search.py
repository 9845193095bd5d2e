"""Search over a store, against hedtools called for every row of the published tables."""

from __future__ import annotations

import functools
import json
import math
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from access_store import StoreBuilder
from hypothesis import given, settings
from hypothesis import strategies as st

import bidsmill
from bidsmill import cli
from bidsmill.errors import BidsmillError
from bidsmill.formats import manifest, tables

LONG = bool(os.environ.get("BIDSMILL_LONG"))
SCORE = ["8.3.0", "sc:score_2.0.0"]
VERSIONS = {"faces": "8.3.0", "sleep": SCORE, "old": "8.2.0", "plain": None, "guessed": "8.4.0"}
STRINGS = [
    "",
    "Sensory-event, Visual-presentation, (Image, Face)",
    "Sensory-event, Visual-presentation, (Image, Face, Label/3)",
    "Sensory-event, Visual-presentation, (Image, Face, Label/4)",
    "Sensory-event, Auditory-presentation, (Label/3, Label/4)",
    "Agent-action, (Experiment-participant, Press), Time-interval/0.5 s",
    "Agent-action, (Experiment-participant, Press), Time-interval/0.25 s",
    "Agent-action, (Experiment-participant, Press), Time-interval/.75 s",
    "Geometric-object/2D-shape, (Def-expand/Here, (Center-of, Computer-screen))",
    "Event/Sensory-event, (Property/Sensory-property/Sensory-presentation/Visual-presentation)",
    "Face, Face",
    "((not, a string",
]
CONTEXTS = ["", "(Task, Label/Block-1)", "(Background-view, (Image, Building)),(Task)"]
SOURCES = ["dataset", "config", "proposed"]
# A query, and what it means: sets of hedtools queries that match, and that do not.
QUERIES: dict[str, list[tuple[str, bool]]] = {
    "Face": [("Face", True)],
    "Event": [("Event", True)],
    "Event and Visual-presentation": [("Event", True), ("Visual-presentation", True)],
    "Sensory-event and not Face": [("Sensory-event", True), ("Face", False)],
    "Face && Face": [("Face && Face", True)],
    "Label && Label": [("Label && Label", True)],
    "Label/3": [("Label/3", True)],
    "Time-interval/0.*": [("Time-interval/0.*", True)],
    '"Event"': [('"Event"', True)],
    "not Task": [("Task", False)],
    "2D-shape": [("2D-shape", True)],
    "[Image && Building]": [("[Image && Building]", True)],
    "{Image, Face}": [("{Image, Face}", True)],
}  # fmt: skip


def text(value) -> str:
    return "" if value is None or value in ("", "n/a") else str(value)


def number(value) -> float:
    try:
        return float(text(value))
    except ValueError:
        return math.nan


# A condition, and what it means for a row: a dict of recording facts and event columns.
WHERE = {
    "sfreq >= 250 and n_channels >= 32": lambda r: (
        number(r["sfreq"]) >= 250 and number(r["n_channels"]) >= 32
    ),
    "task == 'rest' or subject in ['01', '03']": lambda r: (
        text(r["task"]) == "rest" or text(r["subject"]) in ("01", "03")
    ),
    "participant_age != 30": lambda r: (
        not math.isnan(number(r["participant_age"])) and number(r["participant_age"]) != 30
    ),
    "trial_type == 'face'": lambda r: text(r.get("trial_type")) == "face",
    "trial_type != 'face'": lambda r: text(r.get("trial_type")) != "face",
    "value < 3 and sfreq > 100": lambda r: number(r.get("value")) < 3 and number(r["sfreq"]) > 100,
    "onset >= 2": lambda r: number(r.get("onset")) >= 2,
    "event_duration <= 1 and duration > 50": lambda r: (
        number(r.get("event_duration")) <= 1 and number(r["duration"]) > 50
    ),
    "dataset == 'faces' and not `hand pref` == 'L'": lambda r: (
        r["dataset"] == "faces" and text(r.get("hand pref")) != "L"
    ),
}


def tables_of(dataset: str, seed: int, fixed: bool = False) -> tuple[pd.DataFrame, ...]:
    """Return random recordings, events and samples of a dataset."""
    rng = np.random.default_rng(seed)
    recordings, events, samples = [], [], []
    for index in range(6):
        name = f"sub-{index % 4:02}_task-{'rest' if index % 3 else 'faces'}_run-{index}_eeg"
        converted = index != 4
        facts = {"recording": name, "subject": f"{index % 4:02}", "session": "", "run": str(index)}
        facts |= {"task": "rest" if index % 3 else "faces", "datatype": "eeg", "reason": ""}
        facts |= {"sfreq": [128, 250, 500][index % 3] if converted else math.nan}
        facts |= {"n_channels": [19, 64][index % 2] if converted else math.nan}
        recordings.append({**facts, "duration": 40 + 5 * index, "status": "converted"})
        first, rows = len(events), 0
        for place in range(int(rng.integers(0, 25))):
            own = {"recording": name, "onset": place * 0.25, "duration": rng.choice([0.5, 2])}
            own["trial_type"] = str(rng.choice(["face", "", "house"]))
            own["value"] = str(rng.choice(["1", "2", "03", "x", ""]))
            own["HED"] = str(rng.choice(STRINGS)) if dataset != "plain" else ""
            own["HED_context"] = str(rng.choice(CONTEXTS)) if dataset != "plain" else ""
            source = "proposed" if dataset == "guessed" else str(rng.choice(SOURCES))
            own["HED_source"] = source if own["HED"] else ""
            own |= {"reason": "", "row": math.nan}
            own["hand pref"] = str(rng.choice(["L", "R", ""]))
            if converted and not fixed and rng.random() < 0.7:
                own["row"] = rows
                rows += 1
                hed = {key: own[key] for key in ("HED", "HED_context", "HED_source")}
                samples.append({**facts, "event": first + place, **hed})
            events.append(own)
        for _ in range(5 if fixed and converted else 0):
            hed = {"HED": "", "HED_context": str(rng.choice(CONTEXTS)), "HED_source": ""}
            samples.append({**facts, "event": None, **hed})
    frame = pd.DataFrame(samples).drop(columns=["sfreq", "n_channels", "reason"])
    frame["event"] = frame["event"].astype("Int64")
    frame["participant_age"] = [{"00": "30", "01": "41.5"}.get(s, "") for s in frame["subject"]]
    frame["excluded"] = rng.choice(["", "", "amplitude"], len(frame)).astype(object)
    return pd.DataFrame(recordings), pd.DataFrame(events), frame


class TableBuilder(StoreBuilder):
    """Publish tables without a signal."""

    def publish_tables(self, dataset, recordings, events, samples, version) -> str:
        scratch = self.root / "scratch"
        tables.write_parquet(scratch / "samples.parquet", samples)
        tables.write_tsv(scratch / "recordings.tsv", recordings)
        tables.write_tsv(scratch / "events.tsv", events)
        if dataset == "faces":  # an empty cell is missing, too
            path = scratch / "events.tsv"
            path.write_text(path.read_text().replace("\tn/a\t", "\t\t"))
        entries = [
            self._store(dataset, path.name.split(".")[0], path) for path in scratch.iterdir()
        ]
        shutil.rmtree(scratch)
        counts = dict.fromkeys(("recordings", "converted", "quarantined", "subjects"), 1)
        summary = {**counts, "rows": len(samples), "hed_version": version}
        content = manifest.build_manifest(
            dataset, "1.0.0", entries, {**summary, "layouts": {}, "labels": {}}
        )
        return self._point(dataset, "1.0.0", content)


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    builder = TableBuilder(tmp_path_factory.mktemp("search") / "store")
    for seed, (dataset, version) in enumerate(VERSIONS.items()):
        recordings, events, samples = tables_of(dataset, seed, fixed=dataset == "sleep")
        if dataset == "old":
            events = events.drop(columns=["HED_context", "HED_source"])
            samples = samples.drop(columns=["HED_context", "HED_source"])
        builder.publish_tables(dataset, recordings, events, samples, version)
    return builder.root


@pytest.fixture(scope="module")
def store(root, tmp_path_factory):
    return bidsmill.open(root, cache=tmp_path_factory.mktemp("cache"))


class BruteForce:
    """Every row of the published files, and hedtools for each of them."""

    def __init__(self, root: Path):
        self.events: list[dict] = []
        self.rows: list[dict] = []
        for dataset in VERSIONS:
            folder = root / "datasets" / dataset / "files"
            facts = {r["recording"]: r for r in self._lines(next(folder.glob("recordings/*.tsv")))}
            samples = pq.read_table(next(folder.glob("samples/*.parquet"))).to_pylist()
            ages = {row["subject"]: row["participant_age"] for row in samples}
            own = []
            for event in self._lines(next(folder.glob("events/*.tsv"))):
                known = {**facts[event["recording"]], "dataset": dataset}
                known["participant_age"] = ages.get(known["subject"], "")
                renamed = {"event_duration": event.pop("duration"), "event_reason": ""}
                event.pop("reason")
                own.append({**event, **renamed, **known})
            self.events += own
            for row in samples:
                known = {**facts[row["recording"]], "dataset": dataset}
                known["participant_age"] = row["participant_age"]
                of_event = {} if row["event"] is None else own[row["event"]]
                hed = {k: v for k, v in row.items() if k.startswith("HED") or k == "excluded"}
                self.rows.append({**of_event, **known, **hed})

    @staticmethod
    def _lines(path: Path) -> list[dict[str, str]]:
        header, *lines = path.read_text().removesuffix("\n").split("\n")
        return [dict(zip(header.split("\t"), li.split("\t"), strict=True)) for li in lines]

    def counts(self, hed, where, context, proposed, excluded) -> dict[tuple, list[int]]:
        found: dict[tuple, list[int]] = {}
        for place, rows in enumerate((self.events, self.rows)):
            for row in rows:
                if place == 1 and not excluded and text(row["excluded"]):
                    continue
                if where is not None and not WHERE[where](row):
                    continue
                if hed is not None and not self._tagged(row, hed, context, proposed):
                    continue
                found.setdefault((row["dataset"], row["recording"]), [0, 0])[place] += 1
        return found

    @staticmethod
    def _tagged(row, hed, context, proposed) -> bool:
        parts = [text(row.get("HED"))]
        if not proposed and row.get("HED_source") == "proposed":
            parts = [""]
        if context:
            parts.append(text(row.get("HED_context")))
        whole = ",".join(part for part in parts if part)
        return bool(whole) and direct(whole, hed, json.dumps(VERSIONS[row["dataset"]]))


@functools.cache
def direct(string: str, query: str, version: str) -> bool:
    """Ask hedtools itself."""
    from hed import HedString, load_schema_version
    from hed.models import QueryHandler
    from hed.schema import hed_cache

    schema = load_schema_version(
        json.loads(version) or "8.5.0", xml_folder=hed_cache.INSTALLED_CACHE_LOCATION
    )
    parsed = HedString(string, schema)
    if not parsed.children:
        return False
    return all(bool(QueryHandler(q).search(parsed)) == yes for q, yes in QUERIES[query])


@pytest.fixture(scope="module")
def brute(root) -> BruteForce:
    return BruteForce(root)


def counts_of(frame: pd.DataFrame) -> dict[tuple, list[int]]:
    columns = ["dataset", "recording", "events", "rows"]
    return {(d, r): [e, n] for d, r, e, n in frame[columns].itertuples(index=False)}


@pytest.mark.parametrize("query", QUERIES)
def test_counts_are_those_of_hedtools_row_by_row(store, brute, query):
    for context in (False, True):
        for proposed in (False, True):
            found = store.search(query, context=context, proposed=proposed)
            expected = brute.counts(query, None, context, proposed, False)
            assert counts_of(found) == expected, (context, proposed)


@settings(max_examples=100 if LONG else 12, deadline=None)
@given(
    st.sampled_from([None, *QUERIES]),
    st.sampled_from([None, *WHERE]),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)
def test_any_combination_of_conditions(store, brute, hed, where, context, proposed, excluded):
    flags = {"context": context, "proposed": proposed, "excluded": excluded}
    found = store.search(hed, where, **flags)
    expected = brute.counts(hed, where, **flags)
    assert counts_of(found) == expected
    by_dataset = store.search(hed, where, by="dataset", **flags).set_index("dataset")
    assert list(by_dataset.index) == list(VERSIONS)
    by_task = store.search(hed, where, by="task", **flags)
    for place, name in enumerate(("events", "rows")):
        total = Counter()
        for (dataset, _), count in expected.items():
            total[dataset] += count[place]
        assert by_dataset[name].to_dict() == {d: total[d] for d in VERSIONS}
        assert by_task[name].sum() == total.total()
    recordings = Counter(dataset for dataset, _ in expected)
    assert by_dataset["recordings"].to_dict() == {d: recordings[d] for d in VERSIONS}


def test_what_a_row_says(store):
    found = store.search("Face", "trial_type == 'face'", datasets="faces@1.0.0")
    assert list(found.columns) == [
        *("dataset", "recording", "subject", "session", "task", "run", "datatype"),
        *("sfreq", "n_channels", "events", "rows"),
    ]
    facts = store["faces"].recordings.set_index("recording")
    for row in found.to_dict("records"):
        own = facts.loc[row["recording"]]
        assert (row["dataset"], row["task"], row["run"]) == ("faces", own["task"], own["run"])
        assert row["sfreq"] == own["sfreq"] or (np.isnan(row["sfreq"]) and np.isnan(own["sfreq"]))
    assert found["events"].dtype == found["rows"].dtype == np.int64
    tasks = store.search(by="task", datasets=["faces", "old"])
    assert tasks[["dataset", "task"]].to_numpy().tolist() == [
        *(["faces", "faces"], ["faces", "rest"], ["old", "faces"], ["old", "rest"])
    ]
    assert list(tasks.columns[2:]) == ["recordings", "subjects", "events", "rows"]


def test_rows_are_those_that_select_gives(store):
    for dataset in ("faces", "old"):
        found = store.search("Agent-action", proposed=True, datasets=dataset)
        samples = store[dataset].samples
        samples = samples[samples["excluded"] == ""]
        expected = samples["HED"].str.startswith("Agent-action")
        assert found["rows"].sum() == expected.sum() > 0


def test_datasets_without_hed_give_zero_and_are_named(store):
    found = store.search("Face", by="dataset")
    assert found.attrs["without_hed"] == {
        "plain": "no HED annotation",
        "guessed": "only proposed HED",
    }
    assert found.set_index("dataset").loc[["plain", "guessed"], "events"].tolist() == [0, 0]
    assert found.attrs["searched"] == list(VERSIONS) and found.attrs["skipped"] == {}
    assert list(store.search("Face", proposed=True).attrs["without_hed"]) == ["plain"]


def test_tags_that_are_only_context_are_named_so(tmp_path):
    builder = TableBuilder(tmp_path / "store")
    recordings, events, samples = tables_of("sleep", 1, fixed=True)
    for table in (events, samples):
        table[["HED", "HED_source"]] = ""
    builder.publish_tables("sleep", recordings, events, samples, "8.3.0")
    opened = bidsmill.open(builder.root, cache=tmp_path / "cache")
    told = opened.search("Task").attrs["without_hed"]
    assert told == {"sleep": "HED in the context of its rows only"}
    assert not opened.search("Task", context=True).empty


def test_a_tag_that_some_schemas_know(store):
    found = store.search("sc:Sleep-modulator", by="dataset")
    assert list(found.attrs["skipped"]) == ["faces", "old"]
    assert "plain" in found.attrs["without_hed"] and found.attrs["searched"][0] == "sleep"
    found = store.search("Cerebellum", proposed=True, by="dataset")
    assert set(found.attrs["skipped"]) == {"old"}
    assert "no tag 'Cerebellum'" in found.attrs["skipped"]["old"]
    assert "8.2.0" in found.attrs["skipped"]["old"]


def test_a_column_that_some_datasets_have(store, tmp_path):
    builder = TableBuilder(tmp_path / "store")
    for seed, dataset in enumerate(("faces", "sleep")):
        recordings, events, samples = tables_of(dataset, seed)
        if dataset == "sleep":
            events["stage"] = "N2"
        builder.publish_tables(dataset, recordings, events, samples, "8.3.0")
    mixed = bidsmill.open(builder.root, cache=tmp_path / "cache")
    found = mixed.search(where="stage == 'N2'", by="dataset")
    assert found[["dataset", "events"]].to_numpy().tolist() == [["sleep", len(events)]]
    assert found.attrs["skipped"] == {"faces": "it has no column 'stage'"}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"hed": "Fase"}, "no tag 'Fase'.*'Face'"),
        ({"hed": "Face and"}, "a tag is missing at the end"),
        ({"hed": 3}, "takes one query"),
        ({"where": "sfrek > 3"}, "no dataset of the search has; found: 'sfrek'.*'sfreq'"),
        ({"where": "sfreq >"}, "cannot be read"),
        ({"where": "sfreq == 'fast'"}, "compared with a number"),
        ({"where": "task.upper() == 'X'"}, "not allowed"),
        ({"by": "subject"}, "found: 'subject'; expected: one of: recording, task, dataset"),
        ({"datasets": "face"}, "no such dataset.*'faces'"),
        ({"datasets": ["faces", "old@2"]}, "no snapshot or version"),
    ],
)
def test_bad_queries_are_told(store, arguments, told):
    with pytest.raises(BidsmillError, match=told):
        store.search(**arguments)


def test_nothing_matches(store):
    for by, width in (("recording", 11), ("task", 6)):
        found = store.search("Building", where="sfreq > 1e6", by=by)
        assert found.shape == (0, width) and found["events"].dtype == np.int64
    assert store.search(datasets=[]).empty and store.search(datasets=[], by="dataset").empty


def test_strings_with_numbers_of_their_own_are_asked_once():
    from bidsmill.access.search.build import _alike

    texts = ["", "Duration/3 s", "Duration/4.5 s,Red", "Duration/1e3 s"]
    texts += ["(Label/3,Label/3)", "(Label/3,Label/4)", "(Label/7,Label/7)"]
    texts += ["Item/2D-shape", "Item/3D-shape"]
    assert _alike(np.array(texts, object)).tolist() == [0, 1, 2, 1, 4, 5, 4, 7, 8]


CHILD = """
import json, os, socket, sys
def refuse(*a, **k): raise OSError("no network")
socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse
import bidsmill
store = bidsmill.open(sys.argv[1], cache=sys.argv[2])
print("ready", flush=True)
sys.stdin.readline()
found = store.search(sys.argv[3] or None, "value < 3 and sfreq > 100")
print(json.dumps(found[["dataset", "recording", "events", "rows"]].to_numpy().tolist()))
"""


def test_many_processes_make_the_index_at_once_and_without_a_network(root, brute, tmp_path):
    # A query by HED costs each process the start of hedtools.
    queries = ["Sensory-event and not Face", *([""] * (7 if LONG else 1))]
    command = [sys.executable, "-c", CHILD, str(root), str(tmp_path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    children = [subprocess.Popen([*command, query], **pipes) for query in queries]
    for child in children:
        assert child.stdout.readline() == "ready\n"
    for child in children:
        child.stdin.write("\n")
        child.stdin.flush()
    answers = [json.loads(child.communicate()[0]) for child in children]
    for query, answer in zip(queries, answers, strict=True):
        conditions = (query or None, "value < 3 and sfreq > 100", False, False, False)
        assert {(d, r): [e, n] for d, r, e, n in answer} == brute.counts(*conditions)
    left = sorted(path.name for path in tmp_path.rglob("*") if path.is_file())
    assert len(left) == len(VERSIONS) and all(name.endswith(".zip") for name in left)


def test_a_later_process_reads_no_table(root, tmp_path):
    copy = shutil.copytree(root, tmp_path / "store")
    expected = bidsmill.open(copy, cache=tmp_path / "cache").search("Face", "onset > 1")
    for kind in ("events", "samples", "recordings"):
        for path in copy.glob(f"datasets/*/files/{kind}/*"):
            path.unlink()
    again = bidsmill.open(copy, cache=tmp_path / "cache").search("Face", "onset > 1")
    pd.testing.assert_frame_equal(again, expected)


@pytest.fixture(scope="module")
def one_index(root, tmp_path_factory) -> tuple[Path, bytes, pd.DataFrame]:
    folder = tmp_path_factory.mktemp("damaged")
    opened = bidsmill.open(root, cache=folder)
    expected = opened.search("Face", "onset > 1", datasets="faces")
    (path,) = (folder / "search").iterdir()
    return path, path.read_bytes(), expected


@settings(max_examples=200 if LONG else 10, deadline=None)
@given(st.data())
def test_a_damaged_index_is_made_anew(root, one_index, data):
    path, content, expected = one_index
    position = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        path.write_bytes(content[:position])
    else:
        flipped = content[position] ^ data.draw(st.integers(1, 255))
        path.write_bytes(content[:position] + bytes([flipped]) + content[position + 1 :])
    found = bidsmill.open(root, cache=path.parents[1]).search("Face", "onset > 1", datasets="faces")
    pd.testing.assert_frame_equal(found, expected)


def test_an_index_that_is_damaged_under_an_open_store(root, tmp_path):
    opened = bidsmill.open(root, cache=tmp_path)
    expected = opened.search("Face", "onset > 1", datasets="faces")
    (path,) = (tmp_path / "search").iterdir()
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    pd.testing.assert_frame_equal(opened.search("Face", "onset > 1", datasets="faces"), expected)
    assert path.read_bytes() == content, "the same tables give the same index"


def test_a_cache_that_cannot_be_written(root, store, tmp_path):
    (tmp_path / "file").write_text("")
    opened = bidsmill.open(root, cache=tmp_path / "file" / "cache")
    with pytest.warns(RuntimeWarning, match="cannot be written"):
        found = opened.search("Face", "onset > 1", datasets="faces")
    pd.testing.assert_frame_equal(
        found, store.search("Face", "onset > 1", datasets="faces"), check_like=True
    )
    pd.testing.assert_frame_equal(opened.search("Face", "onset > 1", datasets="faces"), found)


def test_a_damaged_table_is_told(root, tmp_path):
    copy = shutil.copytree(root, tmp_path / "store")
    (path,) = copy.glob("datasets/old/files/events/*")
    path.write_text(path.read_text().replace("face", "fase", 1))
    with pytest.raises(BidsmillError, match=r"another content.*events"):
        bidsmill.open(copy, cache=tmp_path / "cache").search("Face")


@pytest.fixture
def query(root, store, capsys, monkeypatch):
    """Return a function that runs `bidsmill query` and returns code, lines and errors."""
    monkeypatch.setenv("BIDSMILL_CACHE", str(store.cache.folder))

    def run(*arguments: str) -> tuple[int, list[str], str]:
        code = cli.main(["query", str(root), *arguments])
        captured = capsys.readouterr()
        return code, captured.out.splitlines(), captured.err

    return run


def test_the_command_prints_what_search_gives(query, store):
    conditions = ["--hed", "Face", "--where", "sfreq >= 250"]
    code, lines, told = query(*conditions)
    found = store.search("Face", "sfreq >= 250")
    assert code == 0 and len(lines) == len(found) + 1
    assert lines[0].split() == list(found.columns)
    assert [line.split()[-1] for line in lines[1:]] == [str(n) for n in found["rows"]]
    assert len({len(line) for line in lines}) == 1, "the last column stands to the right"
    assert f"{found['events'].sum()} events" in told and "plain: no HED annotation" in told
    code, lines, _ = query(*conditions, "--by", "dataset", "--tsv", "--proposed", "--context")
    by_dataset = store.search("Face", "sfreq >= 250", by="dataset", proposed=True, context=True)
    assert "\n".join(lines) + "\n" == tables.tsv_text(by_dataset)
    code, lines, told = query(*conditions, "--json", "--excluded", "--dataset", "old")
    answer = json.loads("\n".join(lines))
    found = store.search("Face", "sfreq >= 250", datasets="old", excluded=True)
    assert (code, told, answer["searched"]) == (0, "", ["old"])
    assert [row["events"] for row in answer["counts"]] == found["events"].tolist()


def test_the_exit_codes_of_the_command(query, tmp_path):
    code, lines, told = query("--where", "sfreq > 1e6")
    assert (code, len(lines)) == (0, 1) and "no match in 5 datasets" in told
    for bad in (["--hed", "Fase"], ["--where", "x == 1"], ["--dataset", "y"], ["--hed", ""]):
        code, lines, told = query(*bad)
        assert (code, lines) == (2, []) and told.startswith("bidsmill: ")
        assert told.count("\n") == 1
    assert cli.main(["query", str(tmp_path)]) == 2
