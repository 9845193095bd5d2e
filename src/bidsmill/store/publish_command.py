"""The command `bidsmill publish`: send results that are there, or show what would be sent."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from bidsmill.errors import BidsmillError
from bidsmill.formats import files
from bidsmill.formats.numbers import counted, size_text
from bidsmill.store.publish import publish_dataset, publish_plan

# The exit code if a licence keeps a dataset from being published.
REFUSED = 1


def add_publish_command(
    commands: argparse._SubParsersAction, read_config: Callable[[Path], dict[str, Any]]
) -> None:
    """Add `publish` to the commands of `bidsmill`.

    Parameters
    ----------
    commands : argparse action
        Those of `bidsmill`.
    read_config : callable
        Returns the resolved config of a path.
    """
    publish = commands.add_parser(
        "publish",
        help="send results that are there to the store, or show what would be sent",
        description="Publish datasets whose results are finished, without running the pipeline;"
        " with --dry-run, list the files that the store lacks. What it has is not sent again."
        " Exit code 1: a dataset was not published.",
        epilog="example: bidsmill publish ds002718 --dry-run",
    )
    publish.add_argument("datasets", nargs="+", metavar="DATASET")
    publish.add_argument("--dry-run", action="store_true", help="send nothing, show what would be")
    publish.add_argument("--configfile", type=Path, default=Path("config") / "config.yaml")
    publish.set_defaults(action=lambda options: _publish(options, read_config))


def _publish(
    options: argparse.Namespace, read_config: Callable[[Path], dict[str, Any]]
) -> Iterator[str]:
    config = read_config(options.configfile)
    for dataset in options.datasets:
        if dataset not in config["datasets"]:
            raise BidsmillError(
                f"the config has no dataset {dataset}",
                file=options.configfile,
                expected=", ".join(config["datasets"]),
            )
    refused = False
    for dataset in options.datasets:
        results = Path("results") / dataset
        arguments = {
            "dataset": dataset,
            "store": config["store"],
            "connection": config["publish"],
            "license_allowed": dataset in config["allow_license"],
            "streams": bool((config["datasets"][dataset].get("streams") or {}).get("publish")),
        }
        converted = _converted(results)
        if options.dry_run:
            yield from _plan_lines(publish_plan(results, converted, **arguments))
            continue
        published = results / "published.json"
        sent = publish_dataset(results, converted, published, **arguments)
        if sent:
            yield _published_line(files.read_json(published), sent)
        refused |= not sent  # the warning of `publish_dataset` said why
    if refused:
        raise SystemExit(REFUSED)


def _converted(results: Path) -> list[Path]:
    """Return ``convert/{batch}.json`` of all batches of finished results."""
    overview = results / "plan" / "dataset.json"
    if not overview.is_file():
        raise BidsmillError(
            "there are no results to publish", file=results, todo="run snakemake first"
        )
    batches = files.read_json(overview)["batches"]
    return [results / "convert" / f"{batch}.json" for batch in batches]


def _plan_lines(plan: dict[str, Any]) -> Iterator[str]:
    if plan["refused"]:
        yield (
            f"{plan['dataset']}: not published: {plan['refused']};"
            f" to do: add {plan['dataset']} to `allow_license` if you may"
        )
        return
    for file in plan["files"]:
        yield f"send  {size_text(file['size']):>9}  {file['path']}"
    yield (
        f"{plan['dataset']}: version {plan['version']} of {plan['store']}:"
        f" {counted(len(plan['files']), 'file')} ({size_text(plan['send_bytes'])}) to send,"
        f" {plan['kept_files']} ({size_text(plan['kept_bytes'])}) are there"
        + ("; it is the latest version already" if plan["latest"] else "")
    )


def _published_line(published: dict[str, Any], sent: dict[str, int]) -> str:
    return (
        f"{published['dataset']}: {published['version']} is the latest in {published['store']}:"
        f" {counted(sent['sent_files'], 'file')} ({size_text(sent['sent_bytes'])}) sent,"
        f" {sent['kept_files']} kept"
    )
