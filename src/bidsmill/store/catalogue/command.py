"""The command `bidsmill catalogue`: make the catalogue page of a store anew."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from bidsmill.formats.manifest import CATALOG
from bidsmill.formats.seal import INDEX
from bidsmill.storage.addresses import open_storage
from bidsmill.storage.options import STORE_HELP, add_connection_options, connection_of
from bidsmill.store.catalogue.refresh import write_page
from bidsmill.store.pointing import renew_catalog


def add_catalogue_command(commands: argparse._SubParsersAction) -> None:
    """Add `catalogue` to the commands of `bidsmill`."""
    catalogue = commands.add_parser(
        "catalogue",
        help="make the catalogue page of a store anew",
        description=f"Write {INDEX}, a page to search and filter all datasets of a store, from"
        f" {CATALOG}. Publishing does so by itself. A catalogue that is missing, damaged or of an"
        " older bidsmill is made anew first, from what the datasets say.",
        epilog="example: bidsmill catalogue results/store",
    )
    catalogue.add_argument("store", metavar="STORE", help=STORE_HELP)
    add_connection_options(catalogue, cache=False)
    catalogue.set_defaults(action=_catalogue)


def _catalogue(options: argparse.Namespace) -> Iterator[str]:
    storage = open_storage(options.store, **connection_of(options))
    if renew_catalog(storage):
        yield f"made {CATALOG} anew"
    changed = write_page(storage)
    yield f"{str(storage).rstrip('/')}/{INDEX}" + ("" if changed else " is up to date")
