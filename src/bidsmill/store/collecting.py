"""What is published of a dataset: its files, by their content, and the manifest that names them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bidsmill.errors import BidsmillError
from bidsmill.formats import certificate, files, manifest, tables
from bidsmill.formats.column_words import PUBLISHED
from bidsmill.store.collecting_streams import collect_streams
from bidsmill.store.croissant import croissant_bytes, croissant_path
from bidsmill.store.licence import license_class
from bidsmill.store.outgoing import Outgoing

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
# Of simulated datasets.
ANATOMY = ("anatomy.npz", "leadfield.npz")
# Keys of `dataset.json` that the manifest repeats.
REPEATED = (
    "name",
    "license",
    "citation",
    "doi",
    "datatypes",
    "tasks",
    "labels",
    "split",
    "hed_version",
    "hed_tags",
)


@dataclass(frozen=True)
class Collected:
    """A version of a dataset, ready to be sent.

    Attributes
    ----------
    dataset, snapshot, version : str
        Ids.
    files : list of Outgoing
        All files that the manifest names.
    manifest : bytes
        The manifest.
    content : dict
        The same, decoded.
    """

    dataset: str
    snapshot: str
    version: str
    files: list[Outgoing]
    manifest: bytes
    content: dict[str, Any]

    @property
    def manifest_path(self) -> str:
        """Where the manifest stands in the store."""
        return manifest.manifest_path(self.dataset, self.version)

    @property
    def relied_on(self) -> list[str]:
        """Every path of the store that the version needs, sorted."""
        return sorted({self.manifest_path, *(file.path for file in self.files)})


def collect(
    results: Path, convert_paths: list[Path], dataset: str, *, streams: bool = True
) -> Collected:
    """Return the version that the results of a dataset make; nothing is sent.

    Parameters
    ----------
    results : pathlib.Path
        ``results/{dataset}``. Tables that only the store has are written to its ``publish``.
    convert_paths : list of pathlib.Path
        ``convert/{batch}.json`` of all batches.
    dataset : str
        Dataset id.
    streams : bool
        Whether streams and epocs belong to it.

    Raises
    ------
    BidsmillError
        If a result is missing or cut, with the command that rebuilds it.
    """
    members = {k: v for path in convert_paths for k, v in files.read_json(path)["members"].items()}
    made = {stem: entry for stem, entry in members.items() if entry["status"] != "quarantined"}
    # Spikes in real rows are made by one job for all recordings.
    whole = [path for path in convert_paths if Path(path).name == "background.json"]
    remedies = {stem: whole[0] if whole else results / "matrix" / f"{stem}.json" for stem in made}
    outgoing = [_matrix(dataset, results, s, made[s], remedies[s]) for s in sorted(made)]
    sources = _sources(dataset, results, sorted(made))
    columns = _write_samples(results, outgoing)
    streamed = collect_streams(dataset, results, convert_paths) if streams else []
    outgoing += [*sources, *streamed, *_tables(dataset, results)]
    summary = _summary(results, made, outgoing)
    outgoing.append(_croissant(dataset, results, summary["layouts"], outgoing, columns))
    snapshot = files.read_json(results / "plan" / "dataset.json")["snapshot"]
    content = manifest.build_manifest(dataset, snapshot, [file.entry for file in outgoing], summary)
    encoded = files.json_bytes(content)
    version = manifest.version_of(snapshot, encoded)
    return Collected(dataset, snapshot, version, outgoing, encoded, content)


def _matrix(
    dataset: str, results: Path, stem: str, entry: dict[str, Any], target: Path
) -> Outgoing:
    name = f"{stem}.parquet"
    source = results / "matrix" / name
    stated = entry["files"][name]
    remedy = (
        f"snakemake --cores 2 -f {target}, then snakemake again"
        " (both with the --configfile of this run)"
    )
    if not source.is_file() or source.stat().st_size != stated["size"]:
        raise BidsmillError("a matrix is missing or cut", file=source, todo=remedy)
    return Outgoing(
        "matrix",
        name,
        source,
        manifest.stored_path(dataset, "matrix", name, stated["sha256"]),
        stated["size"],
        stated["sha256"],
        {"recording": stem, "layout": entry["layout"], "shape": entry["shape"]},
        remedy,
    )


def _sources(dataset: str, results: Path, stems: list[str]) -> list[Outgoing]:
    """Return sources, cortex and lead field of simulated matrices; all other datasets have none."""
    paths = (results / "sources" / f"{stem}.parquet" for stem in stems)
    if not (results / "sources").is_dir():
        return []
    anatomy = (results / "anatomy" / name for name in ANATOMY)
    return [
        *(replace(_whole(dataset, "sources", p), facts={"recording": p.stem}) for p in paths),
        *(_whole(dataset, "anatomy", path) for path in anatomy if path.is_file()),
    ]


def _whole(dataset: str, kind: str, source: Path) -> Outgoing:
    """Return a file that is published as it is."""
    if not source.is_file():
        raise BidsmillError(
            "a result is missing", file=source, todo="run snakemake again; it makes the file"
        )
    sha256 = files.sha256_file(source)
    path = manifest.stored_path(dataset, kind, source.name, sha256)
    return Outgoing(kind, source.name, source, path, source.stat().st_size, sha256)


def _write_samples(results: Path, matrices: list[Outgoing]) -> dict[str, str]:
    """Write `samples` with its split, and with the file and layout of each row.

    Returns the type of each column.
    """
    table, _ = certificate.read_split(results / "split.tsv", results / "split.json")
    samples = tables.read_parquet(results / "samples.parquet")
    samples["split"] = certificate.side_of_rows(samples, table)
    samples["split_level"] = certificate.split_level_of_rows(samples, table)
    if certificate.FOLD in table:
        samples[certificate.FOLD] = certificate.fold_of_rows(samples, table)
    for column in ("file", "layout"):
        by_recording = {
            matrix.facts["recording"]: matrix.path if column == "file" else matrix.facts[column]
            for matrix in matrices
        }
        samples[column] = samples["recording"].map(by_recording).astype(object)
    folder = results / "publish"
    tables.write_parquet(folder / "samples.parquet", samples)
    tables.write_tsv(folder / "samples.tsv", samples)
    added = {column: entry for column, entry in PUBLISHED.items() if column in samples}
    described = {**files.read_json(results / "samples.json"), **added}
    files.write_json(folder / "samples.json", described)
    return {str(column): str(kind) for column, kind in samples.dtypes.items()}


def _tables(dataset: str, results: Path) -> list[Outgoing]:
    folder = results / "publish"
    sources = [
        *(("samples", folder / f"samples.{kind}") for kind in ("parquet", "tsv", "json")),
        *(("split", results / f"split.{kind}") for kind in ("tsv", "json")),
        *((kind, results / name) for kind, names in SINGLE_FILES.items() for name in names),
    ]
    return [_whole(dataset, kind, source) for kind, source in sources]


def _croissant(
    dataset: str,
    results: Path,
    layouts: dict[str, Any],
    outgoing: list[Outgoing],
    columns: dict[str, str],
) -> Outgoing:
    """Return the Croissant record, which names all other files."""
    description = files.read_json(results / "dataset.json")
    entries = [file.entry for file in outgoing]
    snapshot = files.read_json(results / "plan" / "dataset.json")["snapshot"]
    content = croissant_bytes(
        dataset, {"snapshot": snapshot, **description}, layouts, entries, columns
    )
    source = results / "publish" / "croissant.json"
    files.write_bytes(source, content)
    stored = _whole(dataset, "croissant", source)
    path = croissant_path(dataset, stored.sha256)
    return Outgoing("croissant", source.name, source, path, stored.size, stored.sha256)


def _summary(
    results: Path, made: dict[str, dict[str, Any]], outgoing: list[Outgoing]
) -> dict[str, Any]:
    """Return what the manifest says beside its files."""
    description = files.read_json(results / "dataset.json")
    layouts: dict[str, dict[str, Any]] = {}
    for file in outgoing:
        if file.kind != "matrix":
            continue
        stem, key = file.facts["recording"], file.facts["layout"]
        if key not in layouts:
            layouts[key] = {**_layout(results, stem, made[stem]), "rows": 0, "files": []}
        layouts[key]["rows"] += file.facts["shape"][0]
        layouts[key]["files"].append(file.path)
    stated = {key: description.get(key, "") for key in REPEATED}
    return {
        **stated,
        "license_class": license_class(stated["license"]),
        **description["counts"],
        "layouts": {key: layouts[key] for key in sorted(layouts)},
    }


def _layout(results: Path, stem: str, entry: dict[str, Any]) -> dict[str, Any]:
    """Return what all files of a layout share, from one of them."""
    from bidsmill.formats.matrix import MatrixFile

    receipt = files.read_json(results / "matrix" / f"{stem}.json")
    kept = [channel for channel in receipt["detail"]["channels"] if channel["kept"]]
    with MatrixFile(results / "matrix" / f"{stem}.parquet") as matrix:
        order = {name: index for index, name in enumerate(matrix.channels)}
    kept.sort(key=lambda channel: order[channel["name"]])
    return {
        "channels": [channel["name"] for channel in kept],
        "types": [channel["type"] for channel in kept],
        "units": [channel["unit"] for channel in kept],
        "sfreq": entry["sfreq"],
        "tmin": entry["tmin"],
        "n_times": entry["shape"][2],
    }
