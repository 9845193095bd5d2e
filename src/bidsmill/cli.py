"""The command `bidsmill`: what a curator does beside running the pipeline."""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path
from typing import Any

from bidsmill.access.query_command import add_query_command
from bidsmill.errors import BidsmillError
from bidsmill.split.audit.command import add_audit_command
from bidsmill.version import __version__

SCHEMA = Path("workflow") / "schemas" / "config.schema.yaml"


def main(arguments: list[str] | None = None) -> int:
    """Run the command.

    Parameters
    ----------
    arguments : list of str, optional
        Those of the command line if absent.

    Returns
    -------
    int
        0, or 1 (of `query`: 2) after an error, which is told on standard error.
    """
    logging.basicConfig(level=logging.WARNING, format="bidsmill: %(message)s")
    options = _parser().parse_args(arguments)
    try:
        for line in options.action(options):
            print(line, flush=True)
    except BidsmillError as error:
        print(f"bidsmill: {error}", file=sys.stderr)
        return getattr(options, "error_code", 1)
    except BrokenPipeError:
        return 1
    except OSError as error:
        print(f"bidsmill: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bidsmill", description="Curate stores of BIDS datasets.")
    parser.add_argument("--version", action="version", version=f"bidsmill {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    lock = commands.add_parser(
        "lock",
        help="commit the lock of a dataset, or show what an update would bring",
        description="Write config/locks/DATASET.json, with which a run can be repeated for ever;"
        " with --update, show which files an update would add, change and remove.",
    )
    lock.add_argument("datasets", nargs="*", metavar="DATASET", help="all of the config if absent")
    lock.add_argument("--configfile", type=Path, default=Path("config/config.yaml"))
    lock.add_argument("--update", action="store_true", help="show what is new, fetch nothing")
    lock.add_argument("--accept", action="store_true", help="with --update: write the new lock")
    lock.add_argument("--all", action="store_true", help="with --update: list every path")
    lock.set_defaults(action=_lock)
    manifest = commands.add_parser(
        "manifest",
        help="list the files of a BIDS folder, so that it can be fetched over https",
        description="Write FOLDER/manifest.tsv: path, size and sha256 of every file.",
    )
    manifest.add_argument("folder", type=Path, metavar="FOLDER")
    manifest.set_defaults(action=_manifest)
    template = commands.add_parser(
        "hed-template",
        help="write a sidecar in which the events of a dataset get their HED tags",
        description="Write config/hed/DATASET.json: every column and value of the dataset's events"
        " that lacks HED tags, how often each occurs, and proposals for well-known names. A file"
        " that is there keeps what was written into it, and gets what is new.",
    )
    template.add_argument("dataset", metavar="DATASET")
    template.add_argument("--configfile", type=Path, default=Path("config/config.yaml"))
    template.add_argument("--output", type=Path, help="another file to write")
    template.add_argument("--force", action="store_true", help="start afresh if it is there")
    template.set_defaults(action=_hed_template)
    add_query_command(commands)
    split = commands.add_parser(
        "split",
        help="keep the split of a dataset with the config",
        description="Write config/splits/DATASET.tsv, from which every later split starts: who is"
        " placed there stays placed.",
    )
    split.add_argument("dataset", metavar="DATASET")
    split.add_argument("--adopt", action="store_true", required=True, help="write the table")
    split.add_argument("--configfile", type=Path, default=Path("config/config.yaml"))
    split.set_defaults(action=_split)
    add_audit_command(commands)
    return parser


def _lock(options: argparse.Namespace):
    from bidsmill.workflow.update import commit_lock, show_update

    if options.accept and not options.update:
        raise BidsmillError("--accept goes with --update")
    config = _config(options.configfile)
    for dataset in options.datasets or config["datasets"]:
        settings = _settings_of(dataset, config, options.configfile)
        locks = Path(config["locks"])
        if options.update:
            yield from show_update(
                dataset, settings, locks, accept=options.accept, every_path=options.all
            )
        else:
            yield from commit_lock(dataset, settings, locks)


def _split(options: argparse.Namespace):
    from bidsmill.workflow.adopt import adopt_split

    config = _config(options.configfile)
    _settings_of(options.dataset, config, options.configfile)
    yield from adopt_split(
        options.dataset,
        store=config["store"],
        splits=Path(config["splits"]),
        results=Path("results") / options.dataset,
    )


def _manifest(options: argparse.Namespace):
    from bidsmill.sources.https import write_manifest

    count = write_manifest(options.folder)
    yield f"{options.folder / 'manifest.tsv'}: {count} files"


def _hed_template(options: argparse.Namespace):
    from bidsmill.annotate.template import write_template

    config = _config(options.configfile)
    settings = _settings_of(options.dataset, config, options.configfile)
    path = options.output or Path(config["hed_sidecars"]) / f"{options.dataset}.json"
    results = Path("results") / options.dataset
    yield from write_template(options.dataset, settings, results, path, force=options.force)


def _settings_of(dataset: str, config: dict[str, Any], path: Path) -> dict[str, Any]:
    """Return the settings of a dataset; refuse one that the config does not have."""
    known = config["datasets"]
    if dataset not in known:
        raise BidsmillError(
            f"the config has no dataset {dataset}", file=path, expected=", ".join(known)
        )
    return known[dataset]


def _config(path: Path) -> dict[str, Any]:
    """Read a config as the pipeline does."""
    import yaml

    from bidsmill.workflow.config import check_duplicates, load_schema, resolve

    # The schema stands in the checkout of the pipeline: here, or where this file comes from.
    places = [Path.cwd() / SCHEMA, Path(__file__).resolve().parents[2] / SCHEMA]
    schema = next((place for place in places if place.is_file()), None)
    if schema is None:
        raise BidsmillError(
            "the pipeline is not here", expected=SCHEMA, todo="change to its folder, and run again"
        )
    if not path.is_file():
        raise BidsmillError("there is no such config", file=path, todo="name one: --configfile")
    check_duplicates(path)
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    return resolve(content if isinstance(content, dict) else {}, load_schema(schema))


if __name__ == "__main__":
    sys.exit(main())
