"""How a command opens the store that its arguments name."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from bidsmill.access.cache.location import locate
from bidsmill.storage.addresses import open_storage
from bidsmill.storage.options import connection_of

if TYPE_CHECKING:
    from bidsmill.access.store import Store
    from bidsmill.storage.contract import Storage


def opened(options: argparse.Namespace) -> Store:
    """Open the store of a command with `add_connection_options`."""
    import bidsmill

    return bidsmill.open(
        options.store, cache=options.cache, offline=options.offline, **connection_of(options)
    )


def store_storage(options: argparse.Namespace) -> Storage:
    """Return the storage of a command's store, for commands that look at its files.

    Raises
    ------
    BidsmillError
        If a folder holds no datasets, with a guess at what was meant.
    """
    connection = connection_of(options)
    storage = open_storage(options.store, **connection)
    datasets = storage.local_path("datasets")
    if datasets is not None and not datasets.is_dir():
        return locate(options.store).storage
    return storage
