"""The store's manifest of one dataset version, its pointer, and the names of stored files."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any, Protocol

from bidsmill.errors import BidsmillError
from bidsmill.formats import files

# What to do where a file of a store is not the one that was published.
DAMAGED_STORE = "the store is damaged: copy this file again, or publish the dataset again"

CONTRACT = "1"
CATALOG = "catalog.parquet"
KINDS = (
    "matrix",
    "sources",
    "stream",
    "epocs",
    "anatomy",
    "samples",
    "events",
    "recordings",
    "channels",
    "split",
    "dataset",
    "validation",
    "report",
    "readme",
    "croissant",
)
NO_POINTER = "a dataset's latest.json cannot be read"


class Readable(Protocol):
    """What is asked of a storage (`bidsmill.storage.contract.Storage`) to read tables from it."""

    def read(self, path: str) -> bytes:
        """Return the content of a file."""

    def stat(self, path: str) -> Any:
        """Return what is known of a file, or None if it is absent."""


def stored_path(dataset: str, kind: str, name: str, sha256: str) -> str:
    """Return the path of an immutable file inside the store.

    Parameters
    ----------
    dataset : str
        Dataset id.
    kind : str
        One of `KINDS`.
    name : str
        File name with its extension, e.g. ``sub-01_task-rest_eeg.parquet``.
    sha256 : str
        Of the file's content, 64 hexadecimal digits.

    Returns
    -------
    str
        ``datasets/{dataset}/files/{kind}/{stem}-{sha16}.{ext}``.
    """
    stem, dot, extension = name.rpartition(".")
    if not dot:
        stem, extension = name, ""
    return f"datasets/{dataset}/files/{kind}/{stem}-{sha256[:16]}{dot}{extension}"


def pointer_path(dataset: str) -> str:
    """Return the path of ``latest.json`` inside the store."""
    return f"datasets/{dataset}/latest.json"


def manifest_path(dataset: str, version: str) -> str:
    """Return the path of a version's manifest inside the store."""
    return f"datasets/{dataset}/versions/{version}.json"


def build_manifest(
    dataset: str, snapshot: str, entries: Sequence[dict[str, Any]], summary: dict[str, Any]
) -> dict[str, Any]:
    """Return the manifest of one version.

    Parameters
    ----------
    dataset, snapshot : str
        Dataset id, and the version that the archive gave it.
    entries : sequence of dict
        One per file: ``kind``, ``name``, ``path`` (in the store), ``size`` (bytes),
        ``sha256``, and for matrices ``recording``, ``layout`` and ``shape``; for streams and
        epocs ``recording`` and ``node``.
    summary : dict
        What the catalogue shows of this version (see `catalog_row`), and ``layouts``.
    """
    ordered = sorted(entries, key=lambda entry: (KINDS.index(entry["kind"]), entry["name"]))
    return {
        "contract": CONTRACT,
        "dataset": dataset,
        "snapshot": snapshot,
        **summary,
        "files": ordered,
    }


def version_of(snapshot: str, manifest: bytes) -> str:
    """Return ``{snapshot}-{first 12 hex of the sha256 of the manifest}``.

    Characters of the snapshot that cannot stand in a file name become ``-``.
    """
    safe = re.sub(r"[^A-Za-z0-9._+]+", "-", snapshot).strip("-.") or "unversioned"
    return f"{safe}-{hashlib.sha256(manifest).hexdigest()[:12]}"


def check_manifest(manifest: Any, file: Any = None) -> dict[str, Any]:
    """Return `manifest` if it is one of this contract and names only files inside the store.

    Raises
    ------
    BidsmillError
        If it is not.
    """
    if not isinstance(manifest, dict) or manifest.get("contract") != CONTRACT:
        found = manifest.get("contract") if isinstance(manifest, dict) else type(manifest).__name__
        raise BidsmillError(
            "this is not a store manifest that this bidsmill can read",
            file=file,
            found=f"contract {found}",
            expected=f"contract {CONTRACT}",
            todo="install a newer bidsmill, or check the address of the store",
        )
    try:
        dataset, paths = manifest["dataset"], [entry["path"] for entry in manifest["files"]]
        for path in paths:
            files.inside(".", path)
    except (KeyError, TypeError, AttributeError) as error:
        raise BidsmillError(
            "a manifest lacks what every manifest has", file=file, found=repr(error)
        ) from None
    for path in paths:
        if PurePosixPath(path).parts[:2] != ("datasets", dataset):
            raise BidsmillError("a manifest names a file of another dataset", file=file, found=path)
    return manifest


def read_pointer(content: bytes, file: Any = None) -> dict[str, Any]:
    """Return what ``latest.json`` holds.

    Raises
    ------
    BidsmillError
        If it is no pointer of this contract.
    """
    try:
        pointer = json.loads(content)
        names = [pointer["version"], *(entry["version"] for entry in pointer["history"])]
        if pointer["contract"] != CONTRACT:
            raise BidsmillError(
                NO_POINTER,
                file=file,
                found=f"contract {pointer['contract']}",
                expected=f"contract {CONTRACT}",
                todo="install a newer bidsmill",
            )
        if any("/" in name or "\\" in name for name in names):
            raise ValueError("a version with a slash in its name")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BidsmillError(
            NO_POINTER, file=file, found=repr(error), todo="restore it from a copy of the store"
        ) from None
    return pointer


def read_manifest(store: Readable, dataset: str, version: str) -> dict[str, Any]:
    """Return the manifest of a version in a store, checked (see `check_manifest`).

    Raises
    ------
    BidsmillError
        If it is absent or is no manifest.
    """
    path = manifest_path(dataset, version)
    shown = f"{store}/{path}"
    try:
        content = json.loads(store.read(path))
    except ValueError as error:
        raise BidsmillError("a manifest is no JSON", file=shown, found=error) from None
    return check_manifest(content, shown)


def new_pointer(old: dict[str, Any] | None, version: str, snapshot: str, time: str) -> dict:
    """Return the content of ``latest.json`` after `version` is published.

    Parameters
    ----------
    old : dict or None
        The pointer before.
    version, snapshot : str
        What it shall point to.
    time : str
        Time of publishing (UTC, ISO 8601): the only time that stands in a store.
    """
    history = [] if old is None else list(old["history"])
    history = [entry for entry in history if entry["version"] != version]
    history.append({"version": version, "snapshot": snapshot, "published": time})
    return {"contract": CONTRACT, "version": version, "history": history}


CATALOG_COLUMNS = {
    "dataset": "string",
    "version": "string",
    "snapshot": "string",
    "name": "string",
    "license": "string",
    "license_class": "string",
    "citation": "string",
    "doi": "string",
    "datatypes": "string",
    "tasks": "string",
    "labels": "string",
    "split": "string",
    "channels": "string",
    "channel_types": "string",
    "sampling_rates": "string",
    "hed_tags": "string",
    "largest_layout": "string",
    "samples": "string",
    "report": "string",
    "recordings": "int64",
    "converted": "int64",
    "quarantined": "int64",
    "subjects": "int64",
    "rows": "int64",
    "layouts": "int64",
    "bytes": "int64",
}


def catalog_row(manifest: dict[str, Any], version: str) -> dict[str, Any]:
    """Return the row of ``catalog.parquet`` for a version; lists and keys become one text."""
    stated = {"dataset": manifest["dataset"], "version": version}
    made: dict[str, Any] = {**stated, **_facts_of_files(manifest)}
    row: dict[str, Any] = {}
    for column, kind in CATALOG_COLUMNS.items():
        value: Any = made[column] if column in made else manifest.get(column)
        if isinstance(value, list | dict):
            value = ", ".join(map(str, value))
        row[column] = ("" if value is None else str(value)) if kind == "string" else int(value)
    return row


def _facts_of_files(manifest: dict[str, Any]) -> dict[str, Any]:
    """Return what a manifest says of its layouts and files, as columns of the catalogue."""
    layouts = manifest["layouts"].values()
    paths = {entry.get("name"): entry.get("path") for entry in manifest["files"]}
    types = {kind for layout in layouts for kind in layout.get("types", [])}
    rates = {float(layout["sfreq"]) for layout in layouts if "sfreq" in layout}
    return {
        "bytes": sum(entry["size"] for entry in manifest["files"]),
        "layouts": len(layouts),
        "channels": sorted({len(layout["channels"]) for layout in layouts if "channels" in layout}),
        "channel_types": sorted(types),
        "sampling_rates": [f"{rate:.12g}" for rate in sorted(rates)],
        "largest_layout": largest_layout(manifest["layouts"]),
        "samples": paths.get("samples.parquet"),
        "report": paths.get("report.html"),
    }


def largest_layout(layouts: dict[str, dict[str, Any]]) -> str:
    """Return the layout with the most rows, or '' if there is no choice to make."""
    if len(layouts) < 2:
        return ""
    return max(layouts, key=lambda name: (layouts[name].get("rows") or 0, name))
