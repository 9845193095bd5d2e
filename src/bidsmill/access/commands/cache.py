"""The command `bidsmill cache`: what the cache folder holds, and making it smaller."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from bidsmill.access.cache.budget import (
    Budget,
    Kept,
    clear,
    contents,
    damaged,
    parse_size,
    place_of,
    trim,
)
from bidsmill.access.cache.entries import default_folder
from bidsmill.access.commands.opening import opened
from bidsmill.access.commands.printing import FAULT, add_command, aligned, json_text
from bidsmill.errors import BidsmillError
from bidsmill.formats.numbers import counted, size_text
from bidsmill.storage.options import STORE_HELP, add_connection_options, connection_of

KINDS = {
    "matrix": "decoded matrices",
    "part": "some channels or rows",
    "stream": "mapped streams",
    "file": "tables and documents",
    "search": "search indexes",
    "store": "last seen catalogues",
    "temporary": "unfinished",
}


def add_cache_command(commands: argparse._SubParsersAction) -> None:
    """Add `cache` to the commands of `bidsmill`."""
    cache = add_command(
        commands,
        "cache",
        "show, trim and check the cache folder",
        "Show where the cache folder is, what it holds and what it may hold; with STORE, how much"
        " of each dataset it has. What was used longest ago is removed first; what a process is"
        " reading stays. Everything in the cache can be fetched again. Exit code 1: --verify found"
        " damaged entries (and removed them).",
        "bidsmill cache\n"
        "bidsmill cache results/store\n"
        "bidsmill cache --trim 50GB\n"
        "bidsmill cache --verify",
    )
    cache.add_argument("store", nargs="?", metavar="STORE", help=STORE_HELP)
    change = cache.add_mutually_exclusive_group()
    change.add_argument("--trim", metavar="SIZE", help="remove until it holds at most SIZE")
    change.add_argument(
        "--clear",
        action="store_true",
        help="remove all that is not in use, what was last seen of buckets too",
    )
    change.add_argument(
        "--verify", action="store_true", help="read everything again, remove what is damaged"
    )
    cache.add_argument("--json", action="store_true", help="print JSON")
    add_connection_options(cache)
    cache.set_defaults(action=_cache)


def _cache(options: argparse.Namespace) -> Iterator[str]:
    connection_of(options)
    changes = options.trim is not None or options.clear or options.verify
    if options.store and changes:
        raise BidsmillError(
            "--trim, --clear and --verify concern the whole cache folder",
            found=options.store,
            todo="leave STORE out",
        )
    folder = default_folder() if options.cache is None else options.cache.expanduser()
    limit = parse_size(options.trim) if options.trim is not None else 0
    found: dict[str, Any] = {}
    if options.verify:
        found["damaged"] = damaged(folder)
    elif changes:
        found["removed"] = clear(folder) if options.clear else trim(folder, limit)
    content = _facts(folder)
    content |= {name: _listed(folder, every) for name, every in found.items()}
    if options.store:
        content["datasets"] = list(_held_of_datasets(options, folder))
    if options.json:
        yield json_text(content)
    else:
        yield from _lines(content)
    if found.get("damaged"):
        raise SystemExit(FAULT)


def _facts(folder: Path) -> dict[str, Any]:
    every = contents(folder)
    kinds = {
        kind: {
            "entries": sum(kept.kind == kind for kept in every),
            "bytes": sum(kept.bytes for kept in every if kept.kind == kind),
        }
        for kind in KINDS
    }
    return {
        "folder": str(folder),
        "bytes": sum(kept.bytes for kept in every),
        "budget": Budget(folder).bytes(),
        "kinds": kinds,
    }


def _listed(folder: Path, every: Iterable[Kept]) -> list[dict[str, Any]]:
    return [
        {"kind": kept.kind, "path": kept.path.relative_to(folder).as_posix(), "bytes": kept.bytes}
        for kept in every
    ]


def _held_of_datasets(options: argparse.Namespace, folder: Path) -> Iterator[dict[str, Any]]:
    """Say of each dataset's latest version how much of its matrices is in the cache."""
    store = opened(options)
    held: dict[str, dict[str, int]] = {"matrix": {}, "part": {}}
    for kept in contents(folder):
        if kept.kind in held:
            sizes, sha256 = held[kept.kind], place_of(kept).sha256
            sizes[sha256] = sizes.get(sha256, 0) + kept.bytes
    whole, parts = held["matrix"], held["part"]
    for name in store:
        named = [entry["sha256"] for entry in store[name].matrices.values()]
        yield {
            "dataset": name,
            "matrices": len(named),
            "held": sum(sha256 in whole for sha256 in named),
            "parts": sum(sha256 in parts and sha256 not in whole for sha256 in named),
            "bytes": sum(whole.get(sha256, 0) + parts.get(sha256, 0) for sha256 in named),
        }


def _lines(content: dict[str, Any]) -> Iterator[str]:
    import pandas as pd

    if "damaged" in content:
        yield from (f"damaged, removed: {one['path']}" for one in content["damaged"])
    yield f"cache folder {content['folder']}"
    yield f"holds {size_text(content['bytes'])} of {size_text(content['budget'])}{_reason()}"
    rows = [
        {"what": what, "entries": kind["entries"], "bytes": size_text(kind["bytes"])}
        for what, kind in ((KINDS[name], kind) for name, kind in content["kinds"].items())
        if kind["entries"]
    ]
    if rows:
        yield from aligned(pd.DataFrame(rows))
    if "datasets" in content:
        columns = ["dataset", "matrices", "held", "parts", "bytes"]
        frame = pd.DataFrame(content["datasets"], columns=columns)
        yield from aligned(frame.assign(bytes=[size_text(count) for count in frame["bytes"]]))
    for name in ("removed", "damaged"):
        if name in content:
            size = size_text(sum(one["bytes"] for one in content[name]))
            verb = "removed" if name == "removed" else "damaged and removed"
            number = counted(len(content[name]), "entry").replace("entrys", "entries")
            print(f"bidsmill: {number} {verb}, {size}", file=sys.stderr)


def _reason() -> str:
    if os.environ.get("BIDSMILL_CACHE_SIZE"):
        return " (BIDSMILL_CACHE_SIZE)"
    return " (half of what is free; set BIDSMILL_CACHE_SIZE)"
