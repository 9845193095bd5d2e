"""The command `bidsmill gc`: free what no kept version of a store names."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterator
from datetime import timedelta

from bidsmill.formats.numbers import counted, size_text
from bidsmill.storage.addresses import open_storage
from bidsmill.storage.options import STORE_HELP, add_connection_options, connection_of
from bidsmill.store.gc import (
    OLDER_THAN,
    Finding,
    Removable,
    as_dict,
    find_removable,
    remove_found,
)

NO_ANSWER, FAULT = 2, 1


def add_gc_command(commands: argparse._SubParsersAction) -> None:
    """Add `gc` to the commands of `bidsmill`."""
    gc = commands.add_parser(
        "gc",
        help="free what no kept version of a store names",
        description="List the files of a store that no version in the history of its dataset"
        " names, and that no running publish has announced; with --delete, remove them. Readers"
        " and publishes may go on meanwhile. Exit code 1: of a dataset nothing is removed, as its"
        " versions cannot be read.",
        epilog="example: bidsmill gc results/store --keep 3",
    )
    gc.add_argument("store", metavar="STORE", help=STORE_HELP)
    gc.add_argument("--delete", action="store_true", help="remove them; else they are listed")
    gc.add_argument(
        "--keep",
        type=_number,
        metavar="N",
        help="keep only the last N versions of each dataset; all if absent",
    )
    gc.add_argument(
        "--older-than",
        type=_days,
        default=OLDER_THAN,
        metavar="DAYS",
        help="keep files that are younger: 7, 7d or 12h (default: 7d)",
    )
    gc.add_argument("--json", action="store_true", help="print JSON")
    add_connection_options(gc, cache=False)
    gc.set_defaults(action=_gc, error_code=NO_ANSWER)


def _number(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("expected 1 or more: the latest version is always kept")
    return number


def _days(text: str) -> timedelta:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([dh]?)", text.strip())
    if not match:
        raise argparse.ArgumentTypeError(f"found {text!r}, expected days (7, 7d) or hours (12h)")
    number = float(match[1])
    return timedelta(hours=number) if match[2] == "h" else timedelta(days=number)


def _gc(options: argparse.Namespace) -> Iterator[str]:
    storage = open_storage(options.store, **connection_of(options))
    found = find_removable(storage, keep=options.keep, older_than=options.older_than)
    problems: list[str] = []
    removed = []
    if options.delete:
        removed = remove_found(storage, found, keep=options.keep, tell=problems.append)
    if options.json:
        deleted = [stored.path for stored in removed]
        content = {**as_dict(found), "deleted": deleted, "problems": problems}
        yield json.dumps(content, ensure_ascii=False, indent=1)
    else:
        yield from _lines(found)
        yield from problems
        size = sum(stored.size for stored in removed)
        yield _last_line(found, options.delete, size, len(removed))
    if problems or any(finding.problem for finding in found.findings):
        raise SystemExit(FAULT)


def _lines(found: Removable) -> Iterator[str]:
    for finding in found.findings:
        yield from _finding_lines(finding)
    for note in found.notes:
        yield f"remove  {size_text(note.size):>9}  {note.path}"
    for each in found.unfinished:
        yield f"discard   unfinished  {each.path}"


def _finding_lines(finding: Finding) -> Iterator[str]:
    if finding.problem:
        yield f"{finding.dataset}: nothing is removed: {finding.problem}"
        return
    versions = ", ".join(finding.versions) or "none"
    yield f"{finding.dataset}: keeps {versions}"
    for version in finding.dropped:
        yield f"drop    version    {version}"
    for reason, (count, total) in finding.kept.items():
        yield f"keep    {size_text(total):>9}  {counted(count, 'file')}: {reason}"
    for stored in finding.remove:
        yield f"remove  {size_text(stored.size):>9}  {stored.path}"


def _last_line(found: Removable, deleted: bool, size: int, count: int) -> str:
    if deleted:
        return f"removed {counted(count, 'file')}, {size_text(size)}"
    files = [s for finding in found.findings for s in finding.remove] + found.notes
    total = size_text(sum(stored.size for stored in files))
    if not files and not found.unfinished and not any(f.dropped for f in found.findings):
        return "nothing to remove"
    return (
        f"would remove {counted(len(files), 'file')}, {total}; nothing is removed without --delete"
    )
