"""The command `bidsmill verify`: every file of a store against what its manifest says."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict

from bidsmill.access.commands.opening import store_storage
from bidsmill.access.commands.printing import FAULT, add_command, json_text
from bidsmill.access.inspection import WORKERS, Inspected, Inspection
from bidsmill.formats.numbers import at_least_one, counted, size_text
from bidsmill.storage.options import STORE_HELP, add_connection_options
from bidsmill.storage.progress import Progress

# How many unlisted files are printed; --json lists all.
SHOWN = 20


def add_verify_command(commands: argparse._SubParsersAction) -> None:
    """Add `verify` to the commands of `bidsmill`."""
    verify = add_command(
        commands,
        "verify",
        "compare every file of a store with its size and sha256",
        "Read every file of every version, compare it with what its manifest states, and list what"
        " is missing, damaged, or named by no version. Nothing is changed. Files of a bucket are"
        " read back over the network: --sizes compares sizes alone, by listing it. Exit code 0:"
        " no fault; 1: a fault; 2: no answer.",
        "bidsmill verify results/store\nbidsmill verify s3://bucket/prefix ds002718 --sizes",
    )
    verify.add_argument("store", metavar="STORE", help=STORE_HELP)
    verify.add_argument("datasets", nargs="*", metavar="DATASET", help="all if absent")
    verify.add_argument("--latest", action="store_true", help="only the latest versions")
    verify.add_argument("--sizes", action="store_true", help="compare sizes, read no content")
    verify.add_argument(
        "--workers",
        type=at_least_one,
        default=WORKERS,
        metavar="N",
        help=f"files read at once (default: {WORKERS})",
    )
    verify.add_argument("--json", action="store_true", help="print JSON")
    add_connection_options(verify, cache=False)
    verify.set_defaults(action=_verify)


def _verify(options: argparse.Namespace) -> Iterator[str]:
    storage = store_storage(options)
    seen: list[Inspected] = []
    with Progress("verify") as bar:
        inspection = Inspection(
            storage,
            latest=options.latest,
            sizes=options.sizes,
            workers=options.workers,
            progress=bar,
        )
        for found in inspection.run(options.datasets):
            seen.append(found)
            if not options.json:
                yield from (f"{one.kind}: {one.path}: {one.message}" for one in found.faults)
    if options.json:
        yield json_text(_document(str(options.store), seen, options.sizes))
    else:
        yield _summary(seen, options.sizes)
        _tell_unlisted(seen)
    if any(found.faults for found in seen):
        raise SystemExit(FAULT)


def _document(store: str, seen: list[Inspected], sizes: bool) -> dict:
    faults = [asdict(fault) for found in seen for fault in found.faults]
    unlisted = [{"path": o.path, "size": o.size} for found in seen for o in found.unlisted]
    return {
        "store": store,
        "compared": "sizes" if sizes else "sha256",
        "sound": not faults,
        "datasets": len(seen),
        **{name: sum(getattr(f, name) for f in seen) for name in ("versions", "files", "bytes")},
        "faults": faults,
        "unlisted": unlisted,
    }


def _summary(seen: list[Inspected], sizes: bool) -> str:
    kinds = Counter(fault.kind for found in seen for fault in found.faults)
    total = sum(kinds.values())
    numbers = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
    verdict = f"{counted(total, 'FAULT').upper()} ({numbers})" if total else "no fault"
    return (
        f"{verdict}: {counted(len(seen), 'dataset')}, "
        f"{counted(sum(f.versions for f in seen), 'version')}, "
        f"{counted(sum(f.files for f in seen), 'file')}, "
        f"{size_text(sum(f.bytes for f in seen))}{' (sizes only)' if sizes else ''}"
    )


def _tell_unlisted(seen: list[Inspected]) -> None:
    """Name the files that no version names: they harm nobody."""
    unlisted = [one for found in seen for one in found.unlisted]
    if not unlisted:
        return
    for one in unlisted[:SHOWN]:
        print(f"bidsmill: unlisted: {one.path} ({size_text(one.size)})", file=sys.stderr)
    size = size_text(sum(one.size for one in unlisted))
    print(
        f"bidsmill: {counted(len(unlisted), 'file')} ({size}) that no version names: of a publish"
        " that is at work or was killed, or of versions that were removed; see `bidsmill gc`",
        file=sys.stderr,
    )
