"""What the report reads: the tables and documents of one dataset."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bidsmill.formats import certificate, files, tables
from bidsmill.report.counts import layouts_of
from bidsmill.report.signals import Layout, kept_rows

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Inputs:
    """One dataset as the report sees it.

    Attributes
    ----------
    results : pathlib.Path
        Where its matrices are.
    description, validation, split, labels : dict
        ``dataset.json``, ``validation.json``, ``split.json`` and the labels of ``labels.json``.
    recordings, events, channels : pandas.DataFrame
        The tables, all text.
    samples : pandas.DataFrame
        One row per matrix row, with ``split``.
    groups : pandas.DataFrame
        ``split.tsv``.
    kept : dict
        Recording -> places in `samples` of its rows that are not excluded.
    layouts : list of Layout
        Those with most rows first.
    """

    results: Path
    description: dict[str, Any]
    validation: dict[str, Any]
    split: dict[str, Any]
    labels: dict[str, dict[str, Any]]
    recordings: pd.DataFrame
    events: pd.DataFrame
    channels: pd.DataFrame
    samples: pd.DataFrame
    groups: pd.DataFrame
    kept: dict[str, np.ndarray]
    layouts: list[Layout]


def read_inputs(results: Path) -> Inputs:
    """Read everything but the matrices.

    Parameters
    ----------
    results : pathlib.Path
        ``results/{dataset}``.

    Raises
    ------
    BidsmillError
        If a file is missing or cannot be read.
    """
    recordings = tables.read_tsv(results / "recordings.tsv")
    samples = tables.read_parquet(results / "samples.parquet")
    groups, proof = certificate.read_split(results / "split.tsv", results / "split.json")
    samples = samples.assign(split=certificate.side_of_rows(samples, groups))
    return Inputs(
        results=results,
        description=files.read_json(results / "dataset.json"),
        validation=_findings(results),
        split=proof,
        labels=files.read_json(results / "labels.json")["labels"],
        recordings=recordings,
        events=tables.read_tsv(results / "events.tsv"),
        channels=tables.read_tsv(results / "channels.tsv"),
        samples=samples,
        groups=groups,
        kept=kept_rows(samples),
        layouts=layouts_of(recordings),
    )


def _findings(results: Path) -> dict[str, Any]:
    """Return what validators found, and what only the signals of all recordings tell."""
    found = files.read_json(results / "validation.json")
    issues = files.read_json(results / "labels.json").get("issues", [])
    return {**found, "issues": [*found.get("issues", []), *issues]}
