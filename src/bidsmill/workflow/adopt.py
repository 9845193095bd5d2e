"""Keep the split of a dataset with the config, so that every later one starts from it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from bidsmill.errors import BidsmillError
from bidsmill.formats import files, tables
from bidsmill.formats.certificate import SIDES
from bidsmill.formats.placements import (
    placements_after,
    placements_of_version,
    versions_of,
    write_placements,
)
from bidsmill.storage.contract import Storage


def adopt_split(dataset: str, *, store: Storage, splits: Path, results: Path) -> list[str]:
    """Write ``config/splits/{dataset}.tsv``: where everybody stands, and stood who left.

    Parameters
    ----------
    dataset : str
        Dataset id.
    store : Storage
        The store.
    splits : pathlib.Path
        Folder of adopted splits.
    results : pathlib.Path
        ``results/{dataset}``. Its split is taken if it is done, else that of the latest version
        in the store.

    Returns
    -------
    list of str
        Lines for the person who asked.

    Raises
    ------
    BidsmillError
        If there is no split that puts anybody on a side.
    """
    placements, origin = _present(dataset, store, results)
    if not placements:
        raise BidsmillError(
            f"{dataset} has no split to adopt",
            found=f"no split that is done, neither in {results} nor in {store}",
            todo="run snakemake first",
        )
    path = splits / f"{dataset}.tsv"
    write_placements(path, placements)
    counts = Counter(entry["split"] for entry in placements)
    sides = ", ".join(f"{counts[side]} {side}" for side in SIDES if counts[side])
    return [f"{dataset}: {origin} adopted in {path} ({sides})"]


def _present(dataset: str, store: Storage, results: Path) -> tuple[list[dict[str, Any]], str]:
    paths = results / "split.tsv", results / "split.json"
    if all(path.is_file() for path in paths):
        content = files.read_json(paths[1])
        if content.get("status") == "done":
            return placements_after(tables.read_tsv(paths[0]), content), f"the split of {paths[0]}"
    for version in versions_of(store, dataset)[:1]:
        return placements_of_version(store, dataset, version), f"the split of version {version}"
    return [], ""
