"""Where the files of a dataset lie: on a disk, or in an archive and then under the results."""

from __future__ import annotations

from pathlib import Path
from typing import Any

# The sources whose files come over the network. The others lie on a disk already.
REMOTE = ("openneuro", "nemar", "s3", "https")


def is_remote(settings: dict[str, Any]) -> bool:
    """Return whether the files of a dataset are fetched over the network."""
    return settings["source"] in REMOTE


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
