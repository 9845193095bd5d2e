"""The command `bidsmill ls`: the datasets of a store."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from bidsmill.access.commands.opening import opened
from bidsmill.access.commands.printing import add_command, aligned, json_text, shortened
from bidsmill.access.where import matching_rows
from bidsmill.errors import BidsmillError
from bidsmill.formats.numbers import counted, size_text
from bidsmill.storage.options import STORE_HELP, add_connection_options

if TYPE_CHECKING:
    import pandas as pd

SHOWN = ("dataset", "version", "rows", "subjects", "tasks", "labels", "license", "bytes")
LISTS = ("tasks", "labels", "license")


def add_ls_command(commands: argparse._SubParsersAction) -> None:
    """Add `ls` to the commands of `bidsmill`."""
    listing = add_command(
        commands,
        "ls",
        "list the datasets of a store",
        "Print the catalogue of a store: one line per dataset, with its latest version. Only the"
        " catalogue is read, so that this is fast for any store.",
        "bidsmill ls results/store\n"
        "bidsmill ls s3://bucket/prefix 'ds00*' --where \"license == 'CC0' and subjects >= 20\"",
    )
    listing.add_argument("store", metavar="STORE", help=STORE_HELP)
    listing.add_argument(
        "pattern",
        nargs="?",
        metavar="PATTERN",
        help="only datasets like this: 'ds00*', or a part of the id or name",
    )
    listing.add_argument(
        "--where",
        metavar="EXPRESSION",
        help='over the columns of the catalogue (all are in --json): "rows > 1000"',
    )
    listing.add_argument("--json", action="store_true", help="print all columns as JSON")
    add_connection_options(listing)
    listing.set_defaults(action=_ls)


def _ls(options: argparse.Namespace) -> Iterator[str]:
    catalog = opened(options).catalog
    found = _chosen(catalog, options.pattern, options.where)
    if options.json:
        rows = json.loads(found.to_json(orient="records"))
        yield json_text({"store": str(options.store), "datasets": rows})
        return
    total = found["bytes"].sum()
    yield from aligned(_shown(found))
    print(
        f"bidsmill: {counted(len(found), 'dataset')} of {len(catalog):,}, "
        f"{counted(int(found['rows'].sum()), 'row')}, {size_text(int(total))}",
        file=sys.stderr,
    )


def _chosen(catalog: pd.DataFrame, pattern: str | None, where: str | None) -> pd.DataFrame:
    """Return the rows of the catalogue that fit a pattern and an expression."""
    found = catalog.sort_values("dataset", ignore_index=True)
    if pattern:
        ids, names = found["dataset"], found["name"].fillna("")
        found = found[[_fits(pattern, *pair) for pair in zip(ids, names, strict=True)]]
    if where is None:
        return found
    try:
        return found[matching_rows(found, where)]
    except BidsmillError as error:
        raise BidsmillError(
            error.what,
            file=error.file,
            found=error.found,
            expected=error.expected,
            todo="text stands in quotes: license == 'CC0'; `bidsmill ls STORE --json` shows all"
            " columns",
        ) from None


def _fits(pattern: str, dataset: str, name: str) -> bool:
    folded = pattern.casefold()
    if any(character in pattern for character in "*?["):
        return fnmatchcase(dataset.casefold(), folded)
    return folded in dataset.casefold() or folded in name.casefold()


def _shown(found: pd.DataFrame) -> pd.DataFrame:
    """Return the columns for the eye."""
    table = found[list(SHOWN)].copy()
    table["bytes"] = [size_text(int(count)) for count in table["bytes"]]
    for name in LISTS:
        table[name] = [shortened(str(text or "")) for text in table[name].fillna("")]
    return table
