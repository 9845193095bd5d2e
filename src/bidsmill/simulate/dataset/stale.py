"""Files of samples that a dataset had before and has no more."""

from __future__ import annotations

import re
import shutil
from collections.abc import Collection
from pathlib import Path

_BLOCK = re.compile(r"b[0-9]+")
FOLDERS = ("matrix", "sources", "labels")


def remove_others(results: Path, recordings: Collection[str], manifests: Collection[str]) -> None:
    """Remove what a dataset does not have any more, say after its number of samples was lowered.

    Whoever reads the folders (the export to `.mat` files, for one) would take it for samples.

    Parameters
    ----------
    results : pathlib.Path
        ``results/{dataset}`` of a simulated dataset; all its matrices are made by us.
    recordings : collection of str
        Recordings to keep.
    manifests : collection of str
        Names of ``convert/{name}.json`` to keep; if there are none, all are kept.
    """
    known = {"convert": set(manifests)} if manifests else {}
    for folder, keep in {**{folder: set(recordings) for folder in FOLDERS}, **known}.items():
        for path in sorted((results / folder).glob("[!.]*")):
            if path.stem not in keep:
                path.unlink()


def remove_other_blocks(results: Path, blocks: Collection[str]) -> None:
    """Remove plans and clips of blocks of regions that are not planned any more.

    The page shows what became of the regions of every block.

    Parameters
    ----------
    results : pathlib.Path
        ``results/{dataset}``.
    blocks : collection of str
        Names of ``clips/{block}`` and ``plan/{block}.json`` to keep.
    """
    for path in sorted((results / "clips").glob("b*")):
        if _BLOCK.fullmatch(path.name) and path.name not in blocks:
            shutil.rmtree(path)
    for path in sorted((results / "plan").glob("b*.json")):
        if _BLOCK.fullmatch(path.stem) and path.stem not in blocks:
            path.unlink()
