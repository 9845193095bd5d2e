"""The command `bidsmill audit`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator

from bidsmill.errors import BidsmillError
from bidsmill.storage.options import STORE_HELP, add_connection_options, connection_of

LEAK, UNREADABLE = 1, 2


def add_audit_command(commands: argparse._SubParsersAction) -> None:
    """Add the command to those of `bidsmill`."""
    audit = commands.add_parser(
        "audit",
        help="look for leaks between the sides of a split",
        description="Look for leaks between train, validation and test in a store: shared "
        "people, windows and signals, confounds, and proofs that do not fit. Files of a bucket are "
        "copied to the folder for temporary files (TMPDIR) while they are needed. Exit code 0: no "
        "leak; 1: a leak; 2: the store cannot be read.",
        epilog="example: bidsmill audit results/store ds1 ds2 --same-subject ds1/sub-01=ds2/sub-07",
    )
    audit.add_argument("store", metavar="STORE", help=STORE_HELP)
    audit.add_argument("datasets", nargs="*", metavar="DATASET", help="all of the store if absent")
    audit.add_argument("--json", action="store_true", help="print one JSON document")
    audit.add_argument(
        "--same-subject",
        action="append",
        default=[],
        metavar="NAME=NAME",
        help="names of one person, such as ds1/sub-01=ds2/sub-07; may be repeated",
    )
    add_connection_options(audit, cache=False)
    audit.set_defaults(action=run_audit, error_code=UNREADABLE)


def run_audit(options: argparse.Namespace) -> Iterator[str]:
    """Yield what the audit found, line by line; leave with its exit code."""
    from bidsmill.formats.files import json_bytes
    from bidsmill.formats.numbers import counted
    from bidsmill.split.audit.finding import SEVERITIES, summary
    from bidsmill.split.audit.run import audit_store

    try:
        aliases = [_names(text) for text in options.same_subject]
        connection = connection_of(options)
        findings = audit_store(
            options.store, options.datasets, aliases=aliases, connection=connection
        )
    except (BidsmillError, OSError) as error:
        print(f"bidsmill: {error}", file=sys.stderr)
        raise SystemExit(UNREADABLE) from None
    result = summary(findings)
    if options.json:
        yield json_bytes(result).decode().rstrip("\n")
    else:
        for finding in findings:
            yield f"{finding.severity}: {finding.code}: {finding.dataset}: {finding.message}"
            yield from (f"    {place}" for place in finding.places)
        numbers = [counted(result[f"{name}s"], name) for name in SEVERITIES]
        yield f"{'no leak' if result['clean'] else 'LEAKS'}: {', '.join(numbers)}"
    if not result["clean"]:
        raise SystemExit(LEAK)


def _names(text: str) -> list[str]:
    names = text.split("=")
    if len(names) < 2 or not all(names):
        raise BidsmillError("--same-subject names no two", found=text, expected="NAME=NAME")
    return names
