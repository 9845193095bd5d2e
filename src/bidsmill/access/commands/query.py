"""The command `bidsmill query`: a search over a store, in a terminal."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from bidsmill.access.commands.opening import opened
from bidsmill.access.commands.printing import add_command, aligned, json_text
from bidsmill.formats import tables
from bidsmill.formats.numbers import counted
from bidsmill.storage.options import STORE_HELP, add_connection_options

if TYPE_CHECKING:
    import pandas as pd


def add_query_command(commands: argparse._SubParsersAction) -> None:
    """Add `query` to the commands of `bidsmill`."""
    query = add_command(
        commands,
        "query",
        "count the events and rows of a store that fulfil a condition",
        "Search every dataset of a store, without touching a signal. The first search"
        " reads the tables and keeps an index in the cache folder; later ones are fast.",
        "bidsmill query results/store --hed 'Sensory-event and not Face' --by dataset\n"
        "bidsmill query results/store --where \"sfreq >= 250 and task == 'rest'\" --tsv",
    )
    query.add_argument("store", metavar="STORE", help=STORE_HELP)
    query.add_argument("--hed", metavar="QUERY", help="such as 'Sensory-event and not Face'")
    query.add_argument(
        "--where",
        metavar="EXPRESSION",
        help="over recordings, participants and events: \"sfreq >= 250 and task == 'rest'\"",
    )
    query.add_argument(
        "--by",
        default="recording",
        choices=["recording", "task", "dataset"],
        help="what a line is (default: recording)",
    )
    query.add_argument(
        "--dataset",
        action="append",
        dest="datasets",
        metavar="ID",
        help="only this one: ID, ID@SNAPSHOT or ID@VERSION; may be repeated",
    )
    query.add_argument("--context", action="store_true", help="search HED_context, too")
    query.add_argument("--proposed", action="store_true", help="search proposed HED, too")
    query.add_argument("--excluded", action="store_true", help="count excluded rows, too")
    form = query.add_mutually_exclusive_group()
    form.add_argument("--tsv", action="store_true", help="print tab-separated values")
    form.add_argument("--json", action="store_true", help="print JSON")
    add_connection_options(query)
    query.set_defaults(action=_query)


def _query(options: argparse.Namespace) -> Iterator[str]:
    found = opened(options).search(
        options.hed,
        options.where,
        by=options.by,
        datasets=options.datasets,
        context=options.context,
        proposed=options.proposed,
        excluded=options.excluded,
    )
    if options.json:
        rows = json.loads(found.to_json(orient="records"))
        yield json_text({"counts": rows, **found.attrs})
        return
    if options.tsv:
        yield tables.tsv_text(found).removesuffix("\n")
    else:
        yield from aligned(found)
    for line in _notes(found):
        print(f"bidsmill: {line}", file=sys.stderr)


def _notes(found: pd.DataFrame) -> Iterator[str]:
    """Say what the counts do not show."""
    if found.empty:
        yield f"no match in {counted(len(found.attrs['searched']), 'dataset')}"
    else:
        events, rows = int(found["events"].sum()), int(found["rows"].sum())
        yield f"{counted(events, 'event')}, {counted(rows, 'row')}"
    for dataset, reason in found.attrs["without_hed"].items():
        yield f"{dataset}: {reason}"
    for dataset, reason in found.attrs["skipped"].items():
        yield f"{dataset} was skipped: {reason}"
