"""Where the files of a dataset lie."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def dataset_root(settings: dict[str, Any], results: Path) -> Path:
    """Return the folder that holds the files of a dataset.

    Parameters
    ----------
    settings : dict
        ``source`` and, for a local dataset, which is read in place, ``path``.
    results : pathlib.Path
        ``results/{dataset}``.
    """
    return Path(settings["path"]) if settings["source"] == "local" else results / "bids"
