"""The command `bidsmill pull`: fetch datasets into the cache before they are used."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from bidsmill.access.cache.entries import read_record, whole_place
from bidsmill.access.commands.opening import opened
from bidsmill.access.commands.printing import add_command, json_text
from bidsmill.formats.numbers import counted, size_text
from bidsmill.storage.options import STORE_HELP, add_connection_options
from bidsmill.storage.progress import Progress

if TYPE_CHECKING:
    from pathlib import Path

    from bidsmill.access.selection import Selection
    from bidsmill.access.store import Store


def add_pull_command(commands: argparse._SubParsersAction) -> None:
    """Add `pull` to the commands of `bidsmill`."""
    pull = add_command(
        commands,
        "pull",
        "fetch datasets into the cache",
        "Fetch the matrices and tables of datasets, verify them against the manifest, and decode"
        " them into the cache folder, from which Python and MATLAB then read at the speed of"
        " memory, with --offline too. What is there already is not fetched again; a pull that was"
        " interrupted goes on where it was.",
        "bidsmill pull s3://bucket/prefix ds002718\n"
        "bidsmill pull s3://bucket/prefix ds002718@1.0.5 --split train --channels Fz,Cz,Pz",
    )
    pull.add_argument("store", metavar="STORE", help=STORE_HELP)
    pull.add_argument(
        "datasets", nargs="+", metavar="DATASET", help="ID, ID@SNAPSHOT or ID@VERSION"
    )
    group = pull.add_argument_group("only a part (as in ds.select)")
    group.add_argument(
        "--split",
        action="append",
        metavar="SIDE",
        help="train, validation, test or none; may be repeated",
    )
    group.add_argument("--where", metavar="EXPRESSION", help="such as \"task == 'rest'\"")
    group.add_argument("--hed", metavar="QUERY", help="such as 'Face'")
    group.add_argument("--channels", metavar="NAME,...", help="names, or a type such as eeg")
    group.add_argument("--recordings", metavar="STEM,...", help="BIDS stems")
    pull.add_argument("--json", action="store_true", help="print JSON")
    add_connection_options(pull)
    pull.set_defaults(action=_pull)


def _pull(options: argparse.Namespace) -> Iterator[str]:
    store = opened(options)
    # A wrong name is told before hours of fetching.
    selections = [_selected(store, name, options) for name in options.datasets]
    done = []
    for selection in selections:
        done.append(_pull_one(selection, store.cache.folder))
        if not options.json:
            yield _told(done[-1])
    if options.json:
        content = {"store": str(options.store), "cache": str(store.cache.folder), "pulled": done}
        yield json_text(content)
    else:
        print(f"bidsmill: in the cache folder {store.cache.folder}", file=sys.stderr)


def _selected(store: Store, name: str, options: argparse.Namespace) -> Selection:
    """Return what a user's `select` with these conditions could ever give, excluded rows too."""
    channels = _names(options.channels)
    return store[name].select(
        split=options.split,
        where=options.where,
        hed=options.hed,
        channels=channels[0] if channels and len(channels) == 1 else channels,
        recordings=_names(options.recordings),
        excluded=True,
    )


def _names(text: str | None) -> list[str] | None:
    return None if text is None else [name.strip() for name in text.split(",") if name.strip()]


def _pull_one(selection: Selection, folder: Path) -> dict[str, Any]:
    """Fetch what a selection needs; say how much of it was there."""
    dataset = selection.dataset
    entries = selection.matrix_entries()
    before = [_held(folder, entry["sha256"]) for entry in entries]
    total = sum(entry["size"] for entry in entries)
    with Progress(f"pull {dataset.id}", total) as bar:
        selection.pull(progress=bar)
    kinds: dict[str, list[int]] = {"there": [], "fetched": [], "parts": []}
    for entry, (was_whole, was_parts) in zip(entries, before, strict=True):
        is_whole, is_parts = _held(folder, entry["sha256"])
        if was_whole or (not is_whole and is_parts == was_parts):
            kinds["there"].append(entry["size"] if was_whole else is_parts)
        elif is_whole:
            kinds["fetched"].append(entry["size"])
        else:
            kinds["parts"].append(is_parts - was_parts)
    return {
        "dataset": dataset.id,
        "version": dataset.version,
        "rows": len(selection),
        "matrices": len(entries),
        "bytes": total,
        **{kind: len(sizes) for kind, sizes in kinds.items()},
        **{f"{kind}_bytes": sum(sizes) for kind, sizes in kinds.items()},
    }


def _held(folder: Path, sha256: str) -> tuple[bool, int]:
    """Return whether the cache holds a whole matrix, and the bytes of parts of it."""
    place = whole_place(folder, sha256)
    whole = place.array.is_file() and read_record(place) is not None
    parts = (folder / "part" / sha256).glob("*.npy")
    return whole, sum(path.stat().st_size for path in parts)


def _told(done: dict[str, Any]) -> str:
    parts = ""
    if done["parts"]:
        parts = f"parts of {done['parts']:,} ({size_text(done['parts_bytes'])} decoded), "
    return (
        f"{done['dataset']} {done['version']}: {counted(done['rows'], 'row')} of "
        f"{counted(done['matrices'], 'recording')}; fetched {done['fetched']:,} "
        f"({size_text(done['fetched_bytes'])}), {parts}"
        f"{done['there']:,} were there ({size_text(done['there_bytes'])})"
    )
