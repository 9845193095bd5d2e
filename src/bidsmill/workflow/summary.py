"""What a run says at its end: a few lines for the person who started it."""

from __future__ import annotations

import csv
import os
import sys
from collections import Counter
from pathlib import Path

from bidsmill.formats import files
from bidsmill.formats.numbers import counted

MOST_QUARANTINED = 10
# What a simulated dataset is split by, which its tables name a subject.
OF_SIMULATED = {"region": "centre region", "clip": "clip"}


def print_summary(datasets: list[str], store: str, endpoint: str | None = None, file=None) -> None:
    """Print what became of the datasets, where the results are, and how to load them.

    Parameters
    ----------
    datasets : list of str
        Dataset ids.
    store : str
        The store.
    endpoint : str, optional
        Of the S3 service, if the config names one.
    file : file-like, optional
        Where to print; standard error if absent, as Snakemake's own messages.

    Notes
    -----
    With ``BIDSMILL_SUMMARY=later`` in the environment nothing is printed: the caller does it.
    """
    if os.environ.get("BIDSMILL_SUMMARY") != "later":
        lines = summary_lines(datasets, store, endpoint)
        print("\n".join(lines), file=file or sys.stderr)


def summary_lines(datasets: list[str], store: str, endpoint: str | None = None) -> list[str]:
    """Return the lines of `print_summary`; only results that are there are spoken of."""
    lines = [""]
    loadable = None
    for dataset in datasets:
        results = Path("results") / dataset
        lines.extend(_dataset_lines(dataset, results))
        if loadable is None and _published_rows(results):
            loadable = dataset
    if loadable:
        lines += ["", f"store     {store}"]
        # Of a store in a folder: what lies in a bucket is not asked for here.
        page = Path(store) / "index.html"
        lines += [f"browse    {page}"] if page.is_file() else []
        lines += ["load it   in Python:", ""]
        shown = snippet(loadable, store, Path("results") / loadable, endpoint)
        lines += [f"    {line}" for line in shown]
    return [*lines, ""]


def _published_rows(results: Path) -> int:
    """Return how many rows of a dataset are in the store, if all that `snippet` needs is there."""
    needed = [results / name for name in ("published.json", "labels.json", "split.json")]
    if not all(path.is_file() for path in needed):
        return 0
    return files.read_json(needed[0]).get("rows", 0)


def snippet(dataset: str, store: str, results: Path, endpoint: str | None = None) -> list[str]:
    """Return Python lines that load a training batch of a dataset."""
    labels = list(files.read_json(results / "labels.json")["labels"])
    split = files.read_json(results / "split.json")["status"] == "done"
    choice = ['split="train"'] if split else []
    layout = files.read_json(results / "published.json").get("layout")
    if layout:
        choice.append(f"where=\"layout == '{layout}'\"")
    select = f"select({', '.join(choice)})"
    address = f'"{store}", endpoint="{endpoint}"' if endpoint else f'"{store}"'
    lines = ["import bidsmill", f'train = bidsmill.open({address})["{dataset}"].{select}']
    if labels:
        return [*lines, f'X, y = train.arrays(target="{labels[0]}")']
    return [*lines, "X = train.arrays()"]


def _dataset_lines(dataset: str, results: Path) -> list[str]:
    table = results / "recordings.tsv"
    if not table.is_file():
        return [f"{dataset}: not done; see {results}/logs"]
    with open(table, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    counts = Counter(row["status"] for row in rows)
    n_rows = sum(int(row["rows"]) for row in rows if row["rows"] != "n/a")
    fates = ", ".join(f"{counts[status]} {status}" for status in sorted(counts))
    total = counted(len(rows), "recording")
    lines = [f"{dataset}: {total}: {fates}; {n_rows} rows{_split(results)}"]
    bad = [row for row in rows if row["status"] == "quarantined"]
    for row in bad[:MOST_QUARANTINED]:
        lines.append(f"  quarantined  {row['recording']}: {row['reason']}: {row['message']}")
    if len(bad) > MOST_QUARANTINED:
        lines.append(f"  ... and {len(bad) - MOST_QUARANTINED} more in {table}")
    lines.extend(_streams(results, {row["recording"] for row in bad}))
    if (results / "report.html").is_file():
        lines.append(f"  report       {results}/report.html")
    return [*lines, *_refusal(dataset, results)]


def _streams(results: Path, told: set[str]) -> list[str]:
    """Say which recordings have no streams, or lack a node, beside those that were told of."""
    members: dict[str, dict] = {}
    for path in sorted((results / "streams").glob("b*.json")):
        members |= files.read_json(path).get("members", {})
    if not members:
        return []
    bad = {stem: entry for stem, entry in members.items() if entry["status"] == "quarantined"}
    lines = [f"  streams      {len(members) - len(bad)} of {len(members)} recordings"]
    new = sorted(bad.keys() - told)
    for stem in new[:MOST_QUARANTINED]:
        lines.append(f"  no stream    {stem}: {bad[stem]['reason']}: {bad[stem]['message']}")
    if len(new) > MOST_QUARANTINED:
        lines.append(f"  ... and {len(new) - MOST_QUARANTINED} more in {results}/streams")
    return lines


def _refusal(dataset: str, results: Path) -> list[str]:
    """Say why a dataset is not published, and what to write into the config if it may be."""
    path = results / "published.json"
    published = files.read_json(path) if path.is_file() else {}
    if published.get("status") != "refused":
        return []
    return [
        f"  not published: {published['reason']}",
        f"               if you may publish it, add to the config:  allow_license: [{dataset}]",
    ]


def _split(results: Path) -> str:
    path = results / "split.json"
    if not path.is_file():
        return ""
    certificate = files.read_json(path)
    if certificate["status"] != "done":
        return f"; split refused: {certificate['reason']}"
    group = certificate.get("settings", {}).get("group")
    return f"; split by {OF_SIMULATED.get(group, certificate['level'])}"
