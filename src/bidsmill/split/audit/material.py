"""What an audit looks at: the tables, certificate and matrices of one dataset, as they stand."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bidsmill.errors import BidsmillError
from bidsmill.formats import certificate, manifest, tables
from bidsmill.formats.matrix import MatrixFile
from bidsmill.formats.numbers import counted
from bidsmill.split.audit.finding import Finding, some
from bidsmill.split.audit.stored import Located, StoredFiles

if TYPE_CHECKING:
    import pandas as pd

NEEDED = ("recording", "row", "onset", "start", "stop", "subject")
# Files on which the proof stands; a change of any other is a note.
PROVEN = ("matrix", "samples", "split")


@dataclass
class Material:
    """One dataset.

    Attributes
    ----------
    dataset : str
        Its id.
    samples : pandas.DataFrame
        One row per window.
    side : numpy.ndarray
        Shape (rows,): the side of each row, as a reader of the dataset gets it.
    table : pandas.DataFrame or None
        ``split.tsv``.
    content : dict
        ``split.json`` (empty if there is none).
    labels : dict
        Label column -> ``class`` or ``number``.
    matrices : mapping
        Recording -> path of its matrix.
    documents : dict
        Recording -> metadata of its matrix, if that can be read.
    doi : str
        Of the dataset.
    findings : list of Finding
        What came up while it was read.
    """

    dataset: str
    samples: pd.DataFrame
    side: np.ndarray
    table: pd.DataFrame | None
    content: dict[str, Any]
    labels: dict[str, str]
    matrices: Mapping[str, Path]
    documents: dict[str, dict[str, Any]] = field(default_factory=dict)
    doi: str = ""
    findings: list[Finding] = field(default_factory=list)

    @cached_property
    def recordings(self) -> np.ndarray:
        """Return the recording of each row, shape (rows,), dtype object."""
        return certificate.text_column(self.samples, "recording")

    def found(self, code: str, severity: str, message: str, **details: Any) -> None:
        """Add a finding of this dataset."""
        self.findings.append(Finding(code, severity, message, self.dataset, **details))


def from_store(stored: StoredFiles, dataset: str) -> Material:
    """Read the latest version of a dataset of a store; no signal is read yet.

    Raises
    ------
    BidsmillError
        If the pointer, the manifest or the table of samples cannot be read.
    """
    pointer_path = manifest.pointer_path(dataset)
    pointer = stored.json(pointer_path)
    version = pointer.get("version") if isinstance(pointer, dict) else None
    if not isinstance(version, str):
        raise BidsmillError("a pointer names no version", file=stored.name(pointer_path))
    path = manifest.manifest_path(dataset, version)
    content = manifest.check_manifest(stored.json(path), stored.name(path))
    entries = content["files"]
    try:
        by_name = {(e["kind"], e["name"]): e["path"] for e in entries}
        recorded = {e["recording"]: e["path"] for e in entries if e["kind"] == "matrix"}
        labels = {name: known["kind"] for name, known in content.get("labels", {}).items()}
    except (KeyError, TypeError, AttributeError) as error:
        raise BidsmillError(
            "a manifest lacks what every manifest has", file=stored.name(path), found=repr(error)
        ) from None
    if ("samples", "samples.parquet") not in by_name:
        raise BidsmillError("a manifest names no table of samples", file=stored.name(path))
    samples = read_samples(stored.local(by_name["samples", "samples.parquet"]))
    table, certified, problem = _read_split(stored, by_name)
    material = Material(
        dataset=dataset,
        samples=samples,
        side=_sides(samples, table),
        table=table,
        content=certified,
        labels=labels,
        matrices={},
        doi=str(content.get("doi") or ""),
    )
    if problem:
        material.found("split_unreadable", "leak", problem)
    missing = _check_files(material, stored, entries)
    there = {name: path for name, path in recorded.items() if path not in missing}
    material.matrices = Located(stored, there)
    _check_addresses(material, recorded)
    read_documents(material)
    return material


def read_samples(path: str | os.PathLike) -> pd.DataFrame:
    """Read ``samples.parquet`` and check what every audit needs of it.

    Raises
    ------
    BidsmillError
        If it cannot be read, lacks a column, or a place in time is no number.
    """
    import pandas as pd

    samples = tables.read_parquet(path)
    missing = [name for name in NEEDED if name not in samples]
    if missing:
        raise BidsmillError("samples lack columns", file=path, found=", ".join(missing))
    for name in ("row", "onset", "start", "stop"):
        numbers = pd.to_numeric(samples[name], errors="coerce").astype(float)
        if not np.isfinite(numbers).all():
            raise BidsmillError(f"samples: a cell of {name!r} is no number", file=path)
        samples[name] = numbers if name == "onset" else numbers.astype("int64")
    return samples


def _read_split(
    stored: StoredFiles, by_name: dict[tuple[str, str], str]
) -> tuple[pd.DataFrame | None, dict[str, Any], str]:
    """Return table and certificate, or None, {} and what is wrong with them."""
    paths = [by_name.get(("split", name)) for name in ("split.tsv", "split.json")]
    if paths[0] is None or paths[1] is None:
        return (
            None,
            {},
            (
                "The version names no split.tsv or no split.json: there is no proof of this split. "
                "Publish the dataset again."
            ),
        )
    try:
        table, content = certificate.read_split(stored.local(paths[0]), stored.local(paths[1]))
    except BidsmillError as error:
        return None, {}, f"The split cannot be read, so that there is no proof of it: {error}"
    return table, content, ""


def _sides(samples: pd.DataFrame, table: pd.DataFrame | None) -> np.ndarray:
    """Return the side of each row: the column if there is one, else what the table says."""
    if "split" in samples or table is None:
        return certificate.text_column(samples, "split")
    return certificate.side_of_rows(samples, table)


def _check_files(
    material: Material, stored: StoredFiles, entries: list[dict[str, Any]]
) -> set[str]:
    """Compare every file with its size and sha256 in the manifest; return those missing."""
    changed: dict[bool, list[str]] = {True: [], False: []}
    missing: dict[bool, list[str]] = {True: [], False: []}
    for entry, state in zip(entries, stored.states(entries), strict=True):
        proven = entry["kind"] in PROVEN
        if state is None:
            missing[proven].append(entry["path"])
        elif state != (entry.get("size"), entry.get("sha256")):
            changed[proven].append(entry["path"])
    for code, what, found in (
        ("file_missing", "of the manifest missing from the store", missing),
        ("file_changed", "not what the manifest states (size or sha256)", changed),
    ):
        for proven, paths in found.items():
            if paths:
                material.found(
                    code,
                    "leak" if proven else "note",
                    f"{counted(len(paths), 'file')} {what}: "
                    + (
                        "the split was proven for other signals or tables. Publish again, or "
                        "restore the files."
                        if proven
                        else "no signal, sample or split is concerned."
                    ),
                    count=len(paths),
                    places=some(paths),
                )
    return {path for paths in missing.values() for path in paths}


def _check_addresses(material: Material, recorded: dict[str, str]) -> None:
    """Compare the file that each row names with that of its recording."""
    if "file" not in material.samples:
        return
    named = certificate.text_column(material.samples, "file")
    expected = np.array([recorded.get(r, "") for r in material.recordings], dtype=object)
    wrong = np.flatnonzero((named != expected) & (expected != ""))
    if len(wrong):
        names = sorted(set(material.recordings[wrong]))
        material.found(
            "row_names_another_file",
            "leak",
            f"{counted(len(wrong), 'row')} of `samples` name a file that is not the matrix of "
            "their recording: a reader gets other signals than the split was proven for. "
            "Correct the column `file`, or publish again.",
            count=len(wrong),
            places=some(names),
        )


def read_documents(material: Material) -> None:
    """Read the metadata of every matrix, and find rows that no matrix holds."""
    broken: list[str] = []
    for recording in sorted(set(material.recordings) & set(material.matrices)):
        try:
            with MatrixFile(material.matrices[recording]) as matrix:
                material.documents[recording] = matrix.metadata
        except (BidsmillError, OSError) as error:
            broken.append(recording)
            what = error.what if isinstance(error, BidsmillError) else str(error)
            material.found(
                "matrix_unreadable",
                "leak",
                f"The matrix of {recording} cannot be audited: {what}. Convert it again.",
                places=(recording,),
            )
    rows = material.samples["row"].to_numpy()
    held = {name: int(doc["shape"][0]) for name, doc in material.documents.items()}
    limit = np.array([held.get(name, 0) for name in material.recordings], dtype=np.int64)
    orphan = ((rows < 0) | (rows >= limit)) & ~np.isin(material.recordings, broken)
    if orphan.any() and material.matrices:
        names = sorted(set(material.recordings[orphan]))
        material.found(
            "row_without_signal",
            "leak",
            f"{counted(int(orphan.sum()), 'row')} of `samples` point to no signal "
            f"({counted(len(names), 'recording')}): these rows cannot be audited, and a reader "
            "cannot load them. Publish the dataset again.",
            count=int(orphan.sum()),
            places=some(names),
        )
