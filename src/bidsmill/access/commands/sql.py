"""The command `bidsmill sql`: a query for DuckDB."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator

from bidsmill.access.commands.opening import opened
from bidsmill.access.commands.printing import add_command, json_text
from bidsmill.access.sql import chosen_layouts, layout_query, query_notes, sample_columns
from bidsmill.formats.certificate import SIDES
from bidsmill.storage.options import STORE_HELP, add_connection_options


def add_sql_command(commands: argparse._SubParsersAction) -> None:
    """Add `sql` to the commands of `bidsmill`."""
    sql = add_command(
        commands,
        "sql",
        "print a DuckDB query that reads the rows of a dataset",
        "Print SQL for DuckDB: the matrices of a version, file by file, joined to the labels of"
        " their rows. Every layout has a query of its own, as its channels are its columns. Rows"
        " come in any order: add ORDER BY recording, row where it matters.",
        "bidsmill sql results/store ds002718 --split train\n"
        "bidsmill sql results/store ds002718 | duckdb",
    )
    sql.add_argument("store", metavar="STORE", help=STORE_HELP)
    sql.add_argument("dataset", metavar="DATASET", help="ID, ID@SNAPSHOT or ID@VERSION")
    sql.add_argument("--layout", metavar="ID", help="only the rows of this layout")
    sql.add_argument("--split", choices=SIDES, help="only this side of the split")
    sql.add_argument("--excluded", action="store_true", help="give excluded rows, too")
    sql.add_argument("--json", action="store_true", help="print the queries as JSON")
    add_connection_options(sql)
    sql.set_defaults(action=_sql)


def _sql(options: argparse.Namespace) -> Iterator[str]:
    store = opened(options)
    dataset = store[options.dataset]
    manifest = dataset.manifest
    layouts = chosen_layouts(manifest["layouts"], options.layout)
    columns = sample_columns(store.files, manifest)
    root = _root(store.files)
    queries = {
        layout: layout_query(
            root, manifest, layout, columns, split=options.split, excluded=options.excluded
        )
        for layout in layouts
    }
    if options.json:
        found = [{"layout": layout, "sql": sql} for layout, sql in queries.items()]
        yield json_text({"dataset": dataset.id, "version": dataset.version, "queries": found})
        return
    for layout, sql in queries.items():
        yield from query_notes(manifest, dataset.version, layout, root)
        yield sql


def _root(store_files) -> str:
    """Return the address of a store as another program on this machine can read it."""
    if store_files.remote:
        return store_files.address
    return os.fspath(store_files.storage.local_path("catalog.parquet").absolute().parent)
