"""The command `bidsmill`: reading stores, and what a curator does beside the pipeline."""

from __future__ import annotations

import argparse
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bidsmill.access.commands.cache import add_cache_command
from bidsmill.access.commands.info import add_info_command
from bidsmill.access.commands.ls import add_ls_command
from bidsmill.access.commands.opening import store_storage
from bidsmill.access.commands.pull import add_pull_command
from bidsmill.access.commands.query import add_query_command
from bidsmill.access.commands.sql import add_sql_command
from bidsmill.access.commands.verify import add_verify_command
from bidsmill.errors import BidsmillError
from bidsmill.formats.numbers import counted
from bidsmill.simulate.export.command import add_extract_command
from bidsmill.split.audit.command import add_audit_command
from bidsmill.store.catalogue.command import add_catalogue_command
from bidsmill.store.gc_command import add_gc_command
from bidsmill.store.publish_command import add_publish_command
from bidsmill.streams.import_command import add_import_commands
from bidsmill.version import __version__
from bidsmill.workflow.run_command import add_run_command

CONFIG = Path("config") / "config.yaml"
EPILOG = """\
start with:
  bidsmill ls STORE                what is there
  bidsmill info STORE DATASET      what a dataset holds, and how to load it
  bidsmill COMMAND --help          what a command does, with an example

STORE is a folder, or s3://bucket/prefix. exit codes: 0 done; 1 a fault was found
(verify, audit, gc), or the work failed (run, publish, lock, split, hed-template, manifest,
extract-labeled-data, import-ant, import-tdt); 2 no answer: wrong arguments, no such store or
dataset, no permission, no network; 130 interrupted."""
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
        0, or the code of an error, which is told on standard error: 2 of commands that read a
        store (there is no answer), 1 of the others. `verify` and `audit` leave with 1 where
        they found a fault. 130 after Ctrl-C.
    """
    logging.basicConfig(level=logging.WARNING, format="bidsmill: %(message)s")
    options = _parser().parse_args(arguments)
    failed: int = getattr(options, "error_code", 1)
    with warnings.catch_warnings():
        warnings.showwarning = _tell_warning
        try:
            for line in options.action(options):
                print(line, flush=True)
        except BidsmillError as error:
            print(f"bidsmill: {error}", file=sys.stderr)
            return failed
        except BrokenPipeError:
            _forget_output()
            return failed
        except OSError as error:
            print(f"bidsmill: {error}", file=sys.stderr)
            return failed
        except KeyboardInterrupt:
            return 130
    return 0


class _Command(argparse.ArgumentParser):
    """A command that takes its arguments in any order, options between them too."""

    _intermixed = False

    def parse_known_args(self, args=None, namespace=None):
        if self._intermixed:
            return super().parse_known_args(args, namespace)
        self._intermixed = True
        try:
            return self.parse_known_intermixed_args(args, namespace)
        finally:
            self._intermixed = False


def _tell_warning(message, category, filename, lineno, file=None, line=None) -> None:
    """Tell a warning as everything else is told, without a line of code."""
    print(f"bidsmill: {message}", file=sys.stderr)


def _forget_output() -> None:
    """Send what is left to nowhere: Python would complain at its end that nobody reads it."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError):  # standard output is no file
        return


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="bidsmill",
        description="Read stores of EEG, MEG, iEEG and EMG datasets, and look after them.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"bidsmill {__version__}")
    commands = parser.add_subparsers(
        title="commands", required=True, metavar="COMMAND", parser_class=_Command
    )
    for add_command in (
        add_ls_command,
        add_info_command,
        add_query_command,
        add_sql_command,
        add_pull_command,
        add_cache_command,
        add_verify_command,
        _add_audit,
        _add_gc,
        _add_catalogue,
        _add_run,
        _add_publish,
        _add_lock,
        _add_split,
        _add_hed_template,
        _add_manifest,
        add_extract_command,
        add_import_commands,
    ):
        add_command(commands)
    return parser


def _add_audit(commands: argparse._SubParsersAction) -> None:
    add_audit_command(commands)
    _refuse_what_is_no_store(commands.choices["audit"])


def _add_gc(commands: argparse._SubParsersAction) -> None:
    add_gc_command(commands)
    _refuse_what_is_no_store(commands.choices["gc"])


def _add_catalogue(commands: argparse._SubParsersAction) -> None:
    add_catalogue_command(commands)
    _refuse_what_is_no_store(commands.choices["catalogue"])


def _refuse_what_is_no_store(command: argparse.ArgumentParser) -> None:
    """Let a command begin with a look whether its address is a store, and say what is there."""
    action = command.get_default("action")

    def checked(options: argparse.Namespace) -> Iterator[str]:
        store_storage(options)
        yield from action(options)

    command.set_defaults(action=checked)


def _belongs_to_the_pipeline(command: argparse.ArgumentParser) -> None:
    """Let a command say in one line that what it needs is not installed."""
    action = command.get_default("action")

    def checked(options: argparse.Namespace) -> Iterator[str]:
        try:
            yield from action(options)
        except ModuleNotFoundError as error:
            raise BidsmillError(
                "this command belongs to the pipeline, which is not installed",
                found=f"no module {error.name}",
                todo="pip install '.[pipeline]' in the clone",
            ) from None

    command.set_defaults(action=checked)


def _add_run(commands: argparse._SubParsersAction) -> None:
    add_run_command(commands, _config)
    _belongs_to_the_pipeline(commands.choices["run"])


def _add_publish(commands: argparse._SubParsersAction) -> None:
    add_publish_command(commands, _config)
    _belongs_to_the_pipeline(commands.choices["publish"])


def _add_lock(commands: argparse._SubParsersAction) -> None:
    lock = commands.add_parser(
        "lock",
        help="commit the lock of a dataset, or show what an update would bring",
        description="Write config/locks/DATASET.json, with which a run can be repeated for ever;"
        " with --update, show which files an update would add, change and remove.",
        epilog="example: bidsmill lock --update ds002718",
    )
    lock.add_argument("datasets", nargs="*", metavar="DATASET", help="all of the config if absent")
    lock.add_argument("--configfile", type=Path, default=CONFIG)
    lock.add_argument("--update", action="store_true", help="show what is new, fetch nothing")
    lock.add_argument("--accept", action="store_true", help="with --update: write the new lock")
    lock.add_argument("--all", action="store_true", help="with --update: list every path")
    lock.set_defaults(action=_lock)
    _belongs_to_the_pipeline(lock)


def _add_split(commands: argparse._SubParsersAction) -> None:
    split = commands.add_parser(
        "split",
        help="keep the split of a dataset with the config",
        description="Write config/splits/DATASET.tsv, from which every later split starts: who is"
        " placed there stays placed.",
        epilog="example: bidsmill split ds002718 --adopt",
    )
    split.add_argument("dataset", metavar="DATASET")
    split.add_argument("--adopt", action="store_true", required=True, help="write the table")
    split.add_argument("--configfile", type=Path, default=CONFIG)
    split.set_defaults(action=_split)
    _belongs_to_the_pipeline(split)


def _add_hed_template(commands: argparse._SubParsersAction) -> None:
    template = commands.add_parser(
        "hed-template",
        help="write a sidecar in which the events of a dataset get their HED tags",
        description="Write config/hed/DATASET.json: every column and value of the dataset's events"
        " that lacks HED tags, how often each occurs, and proposals for well-known names. A file"
        " that is there keeps what was written into it, and gets what is new.",
        epilog="example: bidsmill hed-template ds002718",
    )
    template.add_argument("dataset", metavar="DATASET")
    template.add_argument("--configfile", type=Path, default=CONFIG)
    template.add_argument("--output", type=Path, help="another file to write")
    template.add_argument("--force", action="store_true", help="start afresh if it is there")
    template.set_defaults(action=_hed_template)
    _belongs_to_the_pipeline(template)


def _add_manifest(commands: argparse._SubParsersAction) -> None:
    manifest = commands.add_parser(
        "manifest",
        help="list the files of a BIDS folder, so that it can be fetched over https",
        description="Write FOLDER/manifest.tsv: path, size and sha256 of every file.",
        epilog="example: bidsmill manifest data/faces",
    )
    manifest.add_argument("folder", type=Path, metavar="FOLDER")
    manifest.set_defaults(action=_manifest)
    _belongs_to_the_pipeline(manifest)


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
    from bidsmill.storage.addresses import open_storage
    from bidsmill.workflow.adopt import adopt_split

    config = _config(options.configfile)
    _settings_of(options.dataset, config, options.configfile)
    yield from adopt_split(
        options.dataset,
        store=open_storage(config["store"], **config["publish"]),
        splits=Path(config["splits"]),
        results=Path("results") / options.dataset,
    )


def _manifest(options: argparse.Namespace):
    from bidsmill.sources.https import write_manifest

    count = write_manifest(options.folder)
    yield f"{options.folder / 'manifest.tsv'}: {counted(count, 'file')}"


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
