"""Publish one dataset to a local store: files first, then the manifest, then the pointer."""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bidsmill.errors import BidsmillError
from bidsmill.formats import certificate, files, manifest, tables
from bidsmill.formats.column_words import PUBLISHED

log = logging.getLogger(__name__)

# Tables and pages of a dataset that are published as they are: kind -> file names.
SINGLE_FILES = {
    "events": ["events.tsv", "events.json"],
    "recordings": ["recordings.tsv", "recordings.json"],
    "channels": ["channels.tsv", "channels.json"],
    "validation": ["validation.json"],
    "dataset": ["dataset.json"],
    "readme": ["README.md"],
    "report": ["report.html"],
}


def publish_dataset(
    results: Path, convert_paths: list[Path], published_path: Path, *, dataset: str, store: str
) -> None:
    """Publish the results of a dataset and write what was published to ``published.json``.

    A publish that is killed loses nothing: files and manifest are named by their content, and
    the pointer moves last. What the store has already is not written again.

    Parameters
    ----------
    results : pathlib.Path
        ``results/{dataset}``.
    convert_paths : list of pathlib.Path
        ``convert/{batch}.json`` of all batches.
    published_path : pathlib.Path
        Written last.
    dataset : str
        Dataset id.
    store : str
        Folder of the store.

    Raises
    ------
    BidsmillError
        If a result is missing or damaged, with the command that rebuilds it.
    """
    try:
        _publish(results, convert_paths, published_path, dataset, Path(store))
    except OSError as error:
        raise BidsmillError(
            "the store cannot be written",
            file=error.filename or store,
            found=error.strerror or error,
            todo=f"check permission and free space at {store}, or name another `store`",
        ) from error


def _publish(
    results: Path, convert_paths: list[Path], published_path: Path, dataset: str, root: Path
) -> None:
    members = {k: v for path in convert_paths for k, v in files.read_json(path)["members"].items()}
    made = {stem: entry for stem, entry in members.items() if entry["status"] != "quarantined"}
    target = Target(root, dataset)
    entries = [_publish_matrix(target, results, stem, made[stem]) for stem in sorted(made)]
    entries += _publish_tables(target, results, entries)
    summary = _summary(results, made, entries)
    overview = files.read_json(results / "plan" / "dataset.json")
    content = manifest.build_manifest(dataset, overview["snapshot"], entries, summary)
    encoded = files.json_bytes(content)
    version = manifest.version_of(overview["snapshot"], encoded)
    files.replace_if_different(root / manifest.manifest_path(dataset, version), encoded)
    with _only_publisher(root):
        _move_pointer(root, dataset, version, overview["snapshot"])
        write_catalog(root)
    log.info("published %s: %d files new, %d kept", version, target.new, target.kept)
    files.write_json(
        published_path,
        {
            "dataset": dataset,
            "version": version,
            "store": root.as_posix(),
            "manifest": manifest.manifest_path(dataset, version),
            "rows": summary["rows"],
            "layout": _largest_layout(summary["layouts"]),
        },
    )


def _largest_layout(layouts: dict[str, dict[str, Any]]) -> str:
    """Return the layout with the most rows, or '' if there is no choice to make."""
    if len(layouts) < 2:
        return ""
    return max(layouts, key=lambda name: (layouts[name]["rows"], name))


class Target:
    """The place of one dataset in a local store, and what its latest version has.

    Parameters
    ----------
    root : pathlib.Path
        The store.
    dataset : str
        Dataset id.
    """

    def __init__(self, root: Path, dataset: str):
        self.root, self.dataset = root, dataset
        self.new = self.kept = 0
        self._known: dict[str, tuple[int, str]] = {}
        pointer = root / manifest.pointer_path(dataset)
        if pointer.is_file():
            version = files.read_json(pointer)["version"]
            latest = files.read_json(root / manifest.manifest_path(dataset, version))
            self._known = {e["path"]: (e["size"], e["sha256"]) for e in latest["files"]}

    def has(self, path: str, size: int, sha256: str) -> bool:
        """Return whether the store holds a file, by its size and full sha256.

        What the latest version names was checked when it was published, and is not read again.
        """
        stored = self.root / path
        if not stored.is_file() or stored.stat().st_size != size:
            return False
        return self._known.get(path) == (size, sha256) or files.sha256_file(stored) == sha256

    def put(self, kind: str, source: Path, name: str, sha256: str | None = None) -> dict[str, Any]:
        """Bring one file into the store and return its manifest entry.

        Parameters
        ----------
        kind, name : str
            Kind of the file, and its name in the manifest.
        source : pathlib.Path
            The file.
        sha256 : str, optional
            What its content should be; a file with other content is refused.

        Raises
        ------
        BidsmillError
            If `source` is missing, or is not the file that `sha256` states.
        """
        if not source.is_file():
            raise BidsmillError(
                "a result is missing", file=source, todo="run snakemake again; it makes the file"
            )
        size = source.stat().st_size
        stated = sha256 or files.sha256_file(source)
        path = manifest.stored_path(self.dataset, kind, name, stated)
        if self.has(path, size, stated):
            self.kept += 1
        else:
            if sha256 is not None and files.sha256_file(source) != sha256:
                raise BidsmillError(
                    "a result is not the file that was made",
                    file=source,
                    expected=f"sha256 {sha256[:12]}…",
                )
            with files.atomic_path(self.root / path) as part:
                _link_or_copy(source, part)
            self.new += 1
        return {"kind": kind, "name": name, "path": path, "size": size, "sha256": stated}


def _link_or_copy(source: Path, target: Path) -> None:
    """Share the content of a finished file where the disk can; results are never edited."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _publish_matrix(target: Target, results: Path, stem: str, entry: dict) -> dict[str, Any]:
    name = f"{stem}.parquet"
    source = results / "matrix" / name
    rebuild = (
        f"snakemake --cores 2 -f {results}/matrix/{stem}.json, then snakemake again"
        " (both with the --configfile of this run)"
    )
    if not source.is_file() or source.stat().st_size != entry["files"][name]["size"]:
        raise BidsmillError("a matrix is missing or cut", file=source, todo=rebuild)
    try:
        stored = target.put("matrix", source, name, entry["files"][name]["sha256"])
    except BidsmillError as error:
        error.todo = rebuild
        raise BidsmillError(
            error.what, file=source, expected=error.expected, todo=rebuild
        ) from None
    return {**stored, "recording": stem, "layout": entry["layout"], "shape": entry["shape"]}


def _publish_tables(target: Target, results: Path, matrices: list[dict]) -> list[dict[str, Any]]:
    """Publish the tables; `samples` gets its split, and the file and layout of each row."""
    table, _ = certificate.read_split(results / "split.tsv", results / "split.json")
    samples = tables.read_parquet(results / "samples.parquet")
    samples["split"] = certificate.side_of_rows(samples, table)
    samples["split_level"] = certificate.split_level_of_rows(samples, table)
    if certificate.FOLD in table:
        samples[certificate.FOLD] = certificate.fold_of_rows(samples, table)
    for column, key in (("file", "path"), ("layout", "layout")):
        by_recording = {entry["recording"]: entry[key] for entry in matrices}
        samples[column] = samples["recording"].map(by_recording).astype(object)
    folder = results / "publish"
    tables.write_parquet(folder / "samples.parquet", samples)
    tables.write_tsv(folder / "samples.tsv", samples)
    added = {column: entry for column, entry in PUBLISHED.items() if column in samples}
    files.write_json(
        folder / "samples.json", {**files.read_json(results / "samples.json"), **added}
    )
    entries = [
        target.put("samples", folder / "samples.parquet", "samples.parquet"),
        target.put("samples", folder / "samples.tsv", "samples.tsv"),
        target.put("samples", folder / "samples.json", "samples.json"),
        target.put("split", results / "split.tsv", "split.tsv"),
        target.put("split", results / "split.json", "split.json"),
    ]
    for kind, names in SINGLE_FILES.items():
        entries += [target.put(kind, results / name, name) for name in names]
    return entries


def _summary(results: Path, made: dict[str, dict], entries: list[dict]) -> dict[str, Any]:
    """Return what the manifest says beside its files."""
    description = files.read_json(results / "dataset.json")
    layouts: dict[str, dict[str, Any]] = {}
    for entry in entries:
        if entry["kind"] != "matrix":
            continue
        stem = entry["recording"]
        layout = layouts.setdefault(entry["layout"], {})
        if not layout:
            receipt = files.read_json(results / "matrix" / f"{stem}.json")
            kept = [c for c in receipt["detail"]["channels"] if c["kept"]]
            order = {name: i for i, name in enumerate(_column_order(results, stem))}
            kept.sort(key=lambda channel: order[channel["name"]])
            layout.update(
                channels=[channel["name"] for channel in kept],
                types=[channel["type"] for channel in kept],
                units=[channel["unit"] for channel in kept],
                sfreq=made[stem]["sfreq"],
                tmin=made[stem]["tmin"],
                n_times=made[stem]["shape"][2],
                rows=0,
                files=[],
            )
        layout["rows"] += entry["shape"][0]
        layout["files"].append(entry["path"])
    keys = ("name", "license", "doi", "datatypes", "tasks", "labels", "split", "hed_version")
    return {
        **{key: description[key] for key in keys},
        **description["counts"],
        "layouts": {key: layouts[key] for key in sorted(layouts)},
    }


def _column_order(results: Path, stem: str) -> list[str]:
    from bidsmill.formats.matrix import MatrixFile

    with MatrixFile(results / "matrix" / f"{stem}.parquet") as matrix:
        return matrix.channels


@contextmanager
def _only_publisher(root: Path) -> Iterator[None]:
    """Let one process at a time move pointers and rebuild the catalogue.

    The lock is the kernel's: it ends with its holder, however that ends.
    """
    root.mkdir(parents=True, exist_ok=True)
    with open(root / ".publishing.lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _move_pointer(root: Path, dataset: str, version: str, snapshot: str) -> None:
    path = root / manifest.pointer_path(dataset)
    old = files.read_json(path) if path.is_file() else None
    if old is not None and old["version"] == version:
        return
    now = datetime.now(UTC).isoformat(timespec="seconds")
    files.write_json(path, manifest.new_pointer(old, version, snapshot, now))


def write_catalog(root: Path) -> None:
    """Rebuild ``catalog.parquet`` from the pointers of a local store."""
    import pandas as pd

    rows = []
    for pointer in sorted((root / "datasets").glob("*/latest.json")):
        version = files.read_json(pointer)["version"]
        dataset = pointer.parent.name
        content = files.read_json(root / manifest.manifest_path(dataset, version))
        rows.append(manifest.catalog_row(content, version))
    frame = pd.DataFrame(rows, columns=list(manifest.CATALOG_COLUMNS))
    for column, kind in manifest.CATALOG_COLUMNS.items():
        frame[column] = frame[column].astype("object" if kind == "string" else kind)
    files.replace_if_different(root / manifest.CATALOG, tables.parquet_bytes(frame))
