"""The streams and epocs of a dataset that are published."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from bidsmill.errors import BidsmillError
from bidsmill.formats import files, manifest
from bidsmill.formats.epocs import read_epocs
from bidsmill.formats.stream import StreamFile
from bidsmill.store.outgoing import Outgoing

FOLDER = "streams"
# What follows the name of the recording in that of a file.
ENDING = re.compile(r"(?:_desc-(?P<node>.+?))?_(?P<kind>stream|epocs)\.(?P<type>parquet|json)")


def collect_streams(dataset: str, results: Path, convert_paths: list[Path]) -> list[Outgoing]:
    """Return the streams and epocs that a dataset has; one without them has none.

    Parameters
    ----------
    dataset : str
        Dataset id.
    results : pathlib.Path
        ``results/{dataset}``.
    convert_paths : list of pathlib.Path
        ``convert/{batch}.json`` of all batches: ``streams/{batch}.json`` names the streams.

    Raises
    ------
    BidsmillError
        If a file is missing or cut, or says of itself what is not so.
    """
    found = []
    for path in convert_paths:
        batch = results / FOLDER / path.name
        if not batch.is_file():
            continue
        for stem, entry in sorted(files.read_json(batch)["members"].items()):
            stated = entry.get("files") or {}
            found += [_outgoing(dataset, results, stem, name, stated[name]) for name in stated]
    return [file for file in found if file is not None]


def _outgoing(
    dataset: str, results: Path, stem: str, name: str, stated: dict[str, Any]
) -> Outgoing | None:
    ending = ENDING.fullmatch(name.removeprefix(stem)) if name.startswith(stem) else None
    if ending is None:
        return None
    kind, node = ending["kind"], ending["node"] or ""
    source = results / FOLDER / name
    shown = f"{stem}_desc-{node}" if node else stem
    remedy = (
        f"snakemake --cores 2 -f {results}/{FOLDER}/{shown}_{kind}.json, then snakemake again"
        " (both with the --configfile of this run)"
    )
    if not source.is_file() or source.stat().st_size != stated["size"]:
        raise BidsmillError(f"a file of kind {kind} is missing or cut", file=source, todo=remedy)
    facts: dict[str, Any] = {"recording": stem, "node": node}
    if ending["type"] == "parquet":
        facts |= _facts(kind, source)
    return Outgoing(
        kind,
        name,
        source,
        manifest.stored_path(dataset, kind, name, stated["sha256"]),
        stated["size"],
        stated["sha256"],
        facts,
        remedy,
    )


def _facts(kind: str, path: Path) -> dict[str, Any]:
    """Return what the manifest says of a data file; all of its core is checked on the way."""
    if kind == "epocs":
        epocs = read_epocs(path)
        return {"n_events": epocs.core.n_events, "ref_stream": epocs.core.ref_stream}
    core = StreamFile(path).core
    return {
        "shape": [core.n_samples, core.n_channels],
        "sfreq": core.sfreq,
        "core_sha256": core.sha256(),
    }
