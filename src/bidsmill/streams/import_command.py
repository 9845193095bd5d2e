"""The commands `bidsmill import-ant` and `bidsmill import-tdt`."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path


def add_import_commands(commands: argparse._SubParsersAction) -> None:
    """Add both to the commands of `bidsmill`."""
    ant = commands.add_parser(
        "import-ant",
        help="make streams and epocs of dspAnt's .ant folders",
        description="Read the .ant folders in FOLDER (or one), compare data and metadata, and"
        " write OUT/NAME_stream.parquet and OUT/NAME_epocs.parquet with their sidecars.",
        epilog="example: bidsmill import-ant block/drv_block streams --unit V --type emg",
    )
    ant.add_argument("folder", type=Path, metavar="FOLDER")
    ant.add_argument("--clock", help="name of the clock; the name of the folder if absent")
    ant.set_defaults(action=_ant)
    tdt = commands.add_parser(
        "import-tdt",
        help="make streams and epocs of a block of TDT",
        description="Read every stream store and epoc store of the block in FOLDER, and write"
        " OUT/STORE_stream.parquet and OUT/STORE_epocs.parquet with their sidecars. A block that"
        " was cut short or lacks samples is refused. Needs the extra `tdt`.",
        epilog="example: bidsmill import-tdt tank/block-1 streams --unit RawG=V --type RawG=emg",
    )
    tdt.add_argument("folder", type=Path, metavar="FOLDER")
    tdt.set_defaults(action=_tdt)
    for command in (ant, tdt):
        command.add_argument("output", type=Path, metavar="OUT")
        command.add_argument(
            "--unit",
            action="append",
            default=[],
            metavar="[NAME=]UNIT",
            help="unit of the channels (V, mV, µV, ...), of all streams or of one",
        )
        command.add_argument(
            "--type",
            action="append",
            default=[],
            metavar="[NAME=]TYPE",
            help="type of the channels in MNE's words (emg, eeg, misc, ...); misc if absent",
        )
        command.add_argument(
            "--reference",
            metavar="NAME",
            help="the stream whose samples epocs count; the fastest if absent",
        )


def _ant(options: argparse.Namespace) -> Iterator[str]:
    from bidsmill.streams.ant import import_ant

    yield from import_ant(
        options.folder,
        options.output,
        units=options.unit,
        types=options.type,
        reference=options.reference,
        clock=options.clock,
    )


def _tdt(options: argparse.Namespace) -> Iterator[str]:
    from bidsmill.streams.tdt import import_tdt

    yield from import_tdt(
        options.folder,
        options.output,
        units=options.unit,
        types=options.type,
        reference=options.reference,
    )
