"""Search over a store of a million events, beside pandas and hedtools without an index.

A store of ten datasets with 1,000,000 events and 400,000 rows in 1,000 recordings: hundreds of
distinct HED strings in every dataset, some with a number of their own in every event (a response
time), two versions of HED. Every round asks each query of bidsmill and of the plain way, one
after the other, and the table shows medians: the machine's noise meets both alike.

The plain way reads `HED` and the columns that the condition names with pandas (PyArrow's reader
of text tables, all other columns left out), and runs hedtools' `QueryHandler` on every distinct
string, parsed once and kept. Row by row, without telling distinct strings apart, is estimated
from a sample of rows. Both ways have imported hedtools and parsed the schemas.

    python benchmarks/search.py [--json PATH] [--events 1000000] [--rounds 5]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from access import store_file, write_version

import bidsmill
from bidsmill.formats import hed_strings, manifest, tables

DATASETS, RECORDINGS, ROW_SHARE, SAMPLED = 10, 100, 0.4, 4000
VERSIONS = ["8.3.0", "8.4.0"]
OBJECTS = ["Face", "Building", "Animal", "Car", "Tool-head", "Ball", "Shoe", "Window"]
SENSES = ["Visual", "Auditory"]
QUERIES: list[dict[str, str]] = [
    {"hed": "Sensory-event and Visual-presentation"},
    {"hed": "Sensory-event and Visual-presentation", "where": "sfreq >= 250 and n_channels >= 32"},
    {"hed": "Face and not Agent-action", "where": "trial_type == 'stimulus' and value < 60"},
    {"hed": "Agent-action", "where": "response_time > 0.5"},
]


def distinct_strings(rng: np.random.Generator, number: int) -> list[str]:
    """Return HED strings of stimuli, as long as those of published datasets."""
    found: dict[str, None] = {}
    while len(found) < number:
        what, other = rng.choice(OBJECTS, 2)
        found[
            f"Sensory-event,Experimental-stimulus,{rng.choice(SENSES)}-presentation,"
            f"(Image,{what},Label/Item-{rng.integers(200)}),(Background-view,(Image,{other})),"
            f"(Def-expand/Block-{rng.integers(4)},(Task,Label/Block-{rng.integers(4)})),"
            f"(Center-of,Computer-screen),Item-count/{rng.integers(1, 9)}"
        ] = None
    return list(found)


def events_of(rng: np.random.Generator, number: int) -> pd.DataFrame:
    """Return the events of one dataset: stimuli, and responses with a time of their own."""
    strings = np.array(distinct_strings(rng, 300), object)
    which = rng.integers(0, len(strings), number)
    response = rng.random(number) < 0.25
    times = np.round(rng.gamma(4, 0.15, number), 3)
    answers = [
        f"(Behavioral-evidence,Time-interval/{t} s),Agent-action,Participant-response,"
        "(Experiment-participant,(Press,Push-button))"
        for t in times
    ]
    per_recording = -(-number // RECORDINGS)
    index = np.arange(number)
    return pd.DataFrame(
        {
            "recording": [f"sub-{i // per_recording:03}_task-view_eeg" for i in index],
            "onset": np.round((index % per_recording) * 0.8 + 0.1, 3),
            "duration": 0.5,
            "sample": (index % per_recording) * 200 + 25,
            "trial_type": np.where(response, "response", "stimulus"),
            "value": np.where(response, 300, which).astype(str),
            "HED": np.where(response, np.array(answers, object), strings[which]),
            "HED_context": np.where(index % 7 == 0, "", "(Task,Label/View)"),
            "HED_source": "dataset",
            "source": "events.tsv",
            "outcome": "dropped",
            "reason": "not_chosen",
            "row": pd.NA,
            "response_time": np.where(response, times.astype(str), ""),
        }
    )


def publish(root: Path, dataset: str, events: pd.DataFrame, version: str) -> dict:
    """Write the tables of a dataset into the store, and return its row of the catalogue."""
    events = events.assign(row=events["row"].astype("Int64"))
    used = np.arange(int(len(events) * ROW_SHARE))
    samples = events.loc[used, ["recording", "HED", "HED_context", "HED_source"]].reset_index()
    samples = samples.rename(columns={"index": "event"}).assign(excluded="", subject="01")
    names = events["recording"].unique()
    recordings = pd.DataFrame(
        {
            "recording": names,
            "subject": [name[4:7] for name in names],
            "task": "view",
            "datatype": "eeg",
            "sfreq": np.where(np.arange(len(names)) % 2, 250, 128),
            "n_channels": np.where(np.arange(len(names)) % 3, 64, 19),
        }
    )
    scratch = root / "scratch"
    tables.write_parquet(scratch / "samples.parquet", samples)
    for kind, frame in (("events", events), ("recordings", recordings)):
        tables.write_tsv(scratch / f"{kind}.tsv", frame)
    entries = [
        store_file(root, path.name.partition(".")[0], path, dataset)
        for path in sorted(scratch.iterdir())
    ]
    counts = dict.fromkeys(("recordings", "converted", "subjects"), len(names))
    summary: dict[str, Any] = {"hed_version": version, "layouts": {}, "labels": {}, **counts}
    content = manifest.build_manifest(
        dataset, "1", entries, {**summary, "quarantined": 0, "rows": len(samples)}
    )
    return manifest.catalog_row(content, write_version(root, dataset, content))


class PlainWay:
    """pandas over the published tables, and hedtools over the strings."""

    def __init__(self, store: bidsmill.access.store.Store):
        self.store = store
        self.parsed: dict[tuple[str, str], Any] = {}

    def columns(self, dataset: str, names: list[str]) -> pd.DataFrame:
        """Return columns of the events, as text."""
        entry = self.store[dataset].table_entry("events", "events.tsv")
        path = self.store.files.storage.local_path(entry["path"])
        return pd.read_csv(path, sep="\t", usecols=names, dtype=str, engine="pyarrow")

    def handler(self, dataset: str, query: str) -> Callable[[str], bool]:
        """Return what tells whether a string matches ``A and B``, ``A and not B`` or ``A``."""
        from hed import HedString
        from hed.models import QueryHandler

        version = self.store[dataset].manifest["hed_version"]
        schema = hed_strings.load_schema(version)
        parts = [part.strip() for part in query.split(" and ")]
        wanted = [(QueryHandler(p.removeprefix("not ")), not p.startswith("not ")) for p in parts]

        def matches(text: str) -> bool:
            key = (version, text)
            if key not in self.parsed:
                self.parsed[key] = HedString(text, schema)
            return all(bool(h.search(self.parsed[key])) == yes for h, yes in wanted)

        return matches

    def search(self, hed: str, where: str = "") -> int:
        """Return the number of matching events."""
        total = 0
        for dataset in self.store:
            names = [n for n in ("trial_type", "value", "response_time") if n in where]
            frame = self.columns(dataset, ["recording", "HED", *names])
            matches = self.handler(dataset, hed)
            distinct = {text: matches(text) for text in frame["HED"].unique()}
            frame = frame[frame["HED"].map(distinct)]
            if where:
                facts = self.store[dataset].recordings[["recording", "sfreq", "n_channels"]]
                frame = frame.merge(facts, on="recording")
                for name in set(names) - {"trial_type"}:
                    frame[name] = pd.to_numeric(frame[name], errors="coerce")
                frame = frame.query(where)
            total += len(frame)
        return total

    def row_by_row(self, hed: str, events: int) -> float:
        """Return the seconds for all events, each parsed anew, from a sample of them."""
        dataset = next(iter(self.store))
        texts = self.columns(dataset, ["HED"])["HED"].head(SAMPLED)
        matches = self.handler(dataset, hed)
        start = time.perf_counter()
        for text in texts:
            self.parsed.clear()
            matches(text)
        return (time.perf_counter() - start) / len(texts) * events


def clocked(function: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    result = function()
    return time.perf_counter() - start, result


def another_process(root: Path, cache: Path) -> float:
    """Return the seconds of the command in a process of its own, imports included."""
    command = [sys.executable, "-m", "bidsmill.cli", "query", str(root), "--by", "dataset"]
    environment = {**os.environ, "BIDSMILL_CACHE": str(cache)}
    start = time.perf_counter()
    subprocess.run(
        [*command, "--hed", QUERIES[0]["hed"]], env=environment, check=True, capture_output=True
    )
    return time.perf_counter() - start


def measure(folder: Path, events: int, rounds: int) -> dict:
    rng = np.random.default_rng(0)
    root = folder / "store"
    rows = []
    for number in range(DATASETS):
        table = events_of(rng, events // DATASETS)
        rows.append(publish(root, f"ds{number:03}", table, VERSIONS[number % 2]))
    tables.write_parquet(root / manifest.CATALOG, pd.DataFrame(rows))
    for version in VERSIONS:
        hed_strings.load_schema(version)
    store = bidsmill.open(root, cache=folder / "cache")
    plain = PlainWay(store)
    first, _ = clocked(lambda: store.search(**QUERIES[0]))
    clocked(lambda: plain.search(**QUERIES[0]))
    taken: dict[str, dict[str, list[float]]] = {}
    counts = {}
    for _ in range(rounds):
        for query in QUERIES:
            name = " | ".join(query.values())
            ours, found = clocked(lambda q=query: store.search(**q, by="dataset"))
            theirs, expected = clocked(lambda q=query: plain.search(**q))
            counts[name] = int(found["events"].sum())
            assert counts[name] == expected, (name, counts[name], expected)
            entry = taken.setdefault(name, {"bidsmill": [], "plain": []})
            entry["bidsmill"].append(ours)
            entry["plain"].append(theirs)
    medians = {n: {k: statistics.median(v) for k, v in t.items()} for n, t in taken.items()}
    index_bytes = sum(p.stat().st_size for p in (folder / "cache" / "search").iterdir())
    return {
        "events": events,
        "datasets": DATASETS,
        "rounds": rounds,
        "matches": counts,
        "seconds": medians,
        "ratio": {name: value["plain"] / value["bidsmill"] for name, value in medians.items()},
        "first_search_seconds": first,
        "row_by_row_seconds": plain.row_by_row("Sensory-event and Visual-presentation", events),
        "command_seconds": another_process(root, folder / "cache"),
        "index_megabytes": index_bytes / 1e6,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="write the numbers here")
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = measure(Path(folder), arguments.events, arguments.rounds)
    print(f"{'query':75} {'matches':>8} {'bidsmill s':>10} {'plain s':>8} {'ratio':>6}")
    for name, seconds in result["seconds"].items():
        print(
            f"{name:75} {result['matches'][name]:8d} {seconds['bidsmill']:10.3f} "
            f"{seconds['plain']:8.3f} {result['ratio'][name]:6.1f}"
        )
    print(f"first search, with its index: {result['first_search_seconds']:.1f} s")
    print(f"hedtools on every row, estimated: {result['row_by_row_seconds']:.0f} s")
    print(f"bidsmill query, a process of its own: {result['command_seconds']:.1f} s")
    print(f"index in the cache: {result['index_megabytes']:.0f} MB")
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
