"""Every sample of a simulated dataset as a `.mat` file."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from bidsmill.errors import BidsmillError
from bidsmill.simulate.export.inputs import SimulatedSamples
from bidsmill.simulate.export.mat_files import METADATA, export_samples, select
from bidsmill.simulate.jobs.settings import export_settings

log = logging.getLogger(__name__)


def make_mat(
    results: Path, folder: Path, dataset: str, settings: dict[str, Any] | None, keep_going: bool
) -> None:
    """Write the files anew; see `bidsmill.simulate.export.mat_files.export_samples`.

    Parameters
    ----------
    results, folder : pathlib.Path
        ``results/{dataset}``, and where the files go.
    dataset : str
        Its id.
    settings : dict or None
        Section ``mat``.
    keep_going : bool
        Whether samples that could not be made are no error.
    """
    labelled = SimulatedSamples(results)
    for path in [*folder.glob("sample_*.mat"), folder / METADATA]:
        path.unlink(missing_ok=True)
    try:
        made = export_samples(
            labelled,
            folder,
            select(labelled.total, 0, None),
            export_settings(settings),
            names=(f"results/{dataset}", f"results/{dataset}/anatomy/leadfield.npz"),
        )
    finally:
        labelled.close()
    log.info("%d samples written, %d failed", made.extracted, len(made.failed))
    if made.failed and not keep_going:
        raise BidsmillError(
            f"{len(made.failed)} samples were not exported",
            file=folder / "failed.tsv",
            found=made.failed[0]["message"],
        )
