"""A converted dataset with simulated spikes in it, ready to be published like any other."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bidsmill.errors import BidsmillError
from bidsmill.formats import certificate, files, receipts, tables
from bidsmill.simulate.dataset.background_tables import (
    BATCH,
    write_background_documents,
    write_background_tables,
)
from bidsmill.simulate.dataset.stale import remove_others
from bidsmill.simulate.sources.drawing import SourceDrawing
from bidsmill.simulate.spikes.background import BackgroundSettings, write_background
from bidsmill.simulate.spikes.projection import Clips, Forward

if TYPE_CHECKING:
    import pandas as pd

# Why a recording took no spikes, as `bidsmill.bids.reasons` has it; the message says more.
REASON = "unusable"


def write_background_dataset(
    origin: Path,
    results: Path,
    drawing: SourceDrawing,
    clips: Clips,
    sfreq: float,
    forward: Forward,
    names: Sequence[str],
    settings: BackgroundSettings,
    *,
    dataset: str,
    description: dict[str, Any] | None = None,
) -> list[Path]:
    """Add spikes to the rows of a converted dataset, and keep its tables and its split.

    Parameters
    ----------
    origin : pathlib.Path
        ``results/{dataset}`` of the converted dataset, with its samples, split and description.
    results : pathlib.Path
        Of the new one.
    drawing, clips, sfreq, forward, names, settings
        As for `bidsmill.simulate.spikes.background.write_background`.
    dataset : str
        Id of the new one.
    description : dict, optional
        What ``dataset.json`` shall say besides or instead: ``snapshot``, ``license``, settings.

    Returns
    -------
    list of pathlib.Path
        The conversion manifests, for publishing. Recordings that cannot take spikes are
        quarantined with their reasons, in ``recordings.tsv`` and ``failed.tsv``.

    Raises
    ------
    BidsmillError
        If none of the recordings can take spikes, or rows stand on no side, or on one without
        clips.
    """
    table, proof = certificate.read_split(origin / "split.tsv", origin / "split.json")
    samples = tables.read_parquet(origin / "samples.parquet")
    sides = certificate.side_of_rows(samples, table)
    _check_sides(origin, sides, proof, drawing)
    entries = _quarantined_before(tables.read_tsv(origin / "recordings.tsv"), samples)
    for recording, rows in certificate.rows_by_value(samples["recording"].to_numpy(object)).items():
        order = rows[np.argsort(samples["row"].to_numpy()[rows])]
        try:
            entries[recording] = write_background(
                origin / "matrix" / f"{recording}.parquet",
                results,
                drawing,
                clips,
                sfreq,
                forward,
                names,
                settings,
                sides=[str(side) for side in sides[order]],
                first_index=int(rows.min()),
            )
        except BidsmillError as error:
            entries[recording] = _quarantined(getattr(error, "code", REASON), error.message())
    entries = dict(sorted(entries.items()))
    made = [name for name, entry in entries.items() if entry["status"] != "quarantined"]
    if not made:
        raise BidsmillError(
            "no recording of a dataset can take spikes",
            file=origin,
            found="; ".join(sorted({entry["message"] for entry in entries.values()})[:3])
            or "no recordings",
        )
    remove_others(results, made, [BATCH])
    for name, entry in entries.items():
        receipts.write_receipt(results / "matrix" / f"{name}.json", BATCH, entry)
    recordings = write_background_tables(origin, results, entries)
    n_regions = forward.matrix.shape[1]
    write_background_documents(
        origin, results, dataset, recordings, entries, n_regions, description or {}
    )
    manifest = results / "convert" / f"{BATCH}.json"
    members = {
        name: receipts.manifest_entry({"fingerprint": BATCH, **entry})
        for name, entry in entries.items()
    }
    files.write_json(manifest, {"members": members})
    return [manifest]


def _check_sides(
    origin: Path, sides: np.ndarray, proof: dict[str, Any], drawing: SourceDrawing
) -> None:
    """Refuse rows that would silently get no spikes, or waveforms that would leak."""
    used = {str(side) for side in sides} - {"none"}
    if not used:
        raise BidsmillError(
            "the rows of a dataset stand on no side of a split, so no spike can be added",
            file=origin / "split.json",
            found=proof.get("reason") or "no row on any side",
            todo="let its split succeed: set split.fallback, or convert more people",
        )
    missing = sorted(used - set(drawing.sides.values()))
    if missing:
        raise BidsmillError(
            f"rows stand on the {missing[0]} side of the split of a dataset, and no clip does",
            file=origin / "split.json",
            found=f"clips of the sides {', '.join(sorted(set(drawing.sides.values())))}",
            todo="set split.test and split.validation of the simulation as for the dataset, or"
            " simulate more regions",
        )


def _quarantined(reason: str, message: str) -> dict[str, Any]:
    return {"status": "quarantined", "reason": reason, "message": message, "files": {}}


def _quarantined_before(recordings: pd.DataFrame, samples: pd.DataFrame) -> dict[str, Any]:
    """Return the recordings that have no rows already."""
    with_rows = set(samples["recording"])
    return {
        row["recording"]: _quarantined(
            row.get("reason") or REASON, row.get("message") or "the recording has no rows"
        )
        for row in recordings.to_dict("records")
        if row["recording"] not in with_rows
    }
