"""The Croissant record of a published dataset: what catalogues and loaders of others read.

Croissant (https://docs.mlcommons.org/croissant/docs/croissant-spec-1.1.html) is a vocabulary for
datasets on top of schema.org. A record lists every file with size and sha256, and says which
column of which files is which field of a record.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import quote

from bidsmill.formats import files
from bidsmill.formats.matrix import WIDE_ABOVE, WIDE_COLUMN

SAMPLES = "samples"
# Of a file name by its end; that of Parquet as the specification and mlcroissant have it.
ENCODINGS = {
    ".parquet": "application/x-parquet",
    ".tsv": "text/tab-separated-values",
    ".json": "application/json",
    ".html": "text/html",
    ".md": "text/markdown",
}
# The JSON-LD context that the specification 1.1 gives (appendix 1).
CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "arrayShape": "cr:arrayShape",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "containedIn": "cr:containedIn",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "description": {"@container": "@language"},
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isArray": "cr:isArray",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "name": {"@container": "@language"},
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}


def croissant_path(dataset: str, sha256: str) -> str:
    """Return the path of a Croissant record inside the store.

    It stands above the files that it names: a loader finds them by paths relative to the folder
    of the record, and a set of files cannot lie outside of that folder.

    Parameters
    ----------
    dataset : str
        Dataset id.
    sha256 : str
        Of the record, 64 hexadecimal digits.

    Returns
    -------
    str
        ``datasets/{dataset}/files/croissant-{sha16}.json``.
    """
    return f"{_folder(dataset)}/croissant-{sha256[:16]}.json"


def croissant_bytes(
    dataset: str,
    description: Mapping[str, Any],
    layouts: Mapping[str, Mapping[str, Any]],
    entries: Iterable[Mapping[str, Any]],
    samples: Mapping[str, str],
) -> bytes:
    """Return the Croissant record of a dataset version, to be stored at `croissant_path`.

    It depends on what is published alone: it holds no time and no version of the store, whose
    name depends on the record.

    Parameters
    ----------
    dataset : str
        Dataset id.
    description : mapping
        ``dataset.json``.
    layouts : mapping
        Of the manifest: layout -> ``channels``, ``types``, ``units``, ``sfreq``, ``tmin``,
        ``n_times``, ``files``.
    entries : iterable of mapping
        Of the manifest, one per file: ``kind``, ``name``, ``path``, ``size``, ``sha256``, and
        for matrices ``recording``, ``layout`` and ``shape``. The record itself is not among them.
    samples : mapping
        Column of ``samples.parquet`` -> its type, as Arrow or pandas name it (``int64``,
        ``double``, ``bool``; any other one is text).

    Returns
    -------
    bytes
        JSON-LD. A record set per layout, named by it, whose records are the rows of its matrices
        file by file: ``file``, ``row`` and one array per channel; and a record set ``samples``.
    """
    ordered = sorted(entries, key=lambda entry: entry["path"])
    record = {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.1",
        **_described(dataset, description),
        "distribution": [
            *(_file_object(dataset, entry) for entry in ordered),
            *(_file_set(dataset, key, layouts[key]) for key in sorted(layouts)),
        ],
        "recordSet": [
            *(_layout_records(key, layouts[key]) for key in sorted(layouts)),
            *(_samples_records(dataset, entry, samples) for entry in ordered if _is_table(entry)),
        ],
    }
    return files.json_bytes(record)


def _described(dataset: str, description: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the record says of the dataset as a whole; what is not known is left out."""
    counts = description.get("counts", {})
    processing = " ".join(description.get("processing", []))
    about = (
        f"{description.get('name') or dataset}: {counts.get('rows', 0)} rows of"
        f" {counts.get('converted', 0)} recordings and {counts.get('subjects', 0)} subjects,"
        f" as matrices of samples x channels x times with labels and a split. {processing}"
    )
    words = ["BIDS", *description.get("datatypes", []), *description.get("tasks", [])]
    words += [*description.get("labels", {}), *(["HED"] if description.get("hed_version") else [])]
    stated = {
        "@id": dataset,
        "name": description.get("name") or dataset,
        "description": about.strip(),
        "version": str(description.get("snapshot") or ""),
        "license": description.get("license") or "",
        "url": _address(description.get("doi") or ""),
        "citeAs": description.get("citation") or "",
        "creator": [
            {"@type": "sc:Person", "name": author} for author in description.get("authors", [])
        ],
        "keywords": list(dict.fromkeys(map(str, words))),
    }
    return {key: value for key, value in stated.items() if value}


def _address(doi: str) -> str:
    """Return the address of a DOI, which datasets state in several forms."""
    bare = doi.strip().removeprefix("doi:").removeprefix("DOI:").strip()
    if bare.startswith(("https://", "http://")) or not bare:
        return bare
    return f"https://doi.org/{quote(bare, safe='/.;()-_:')}"


def _folder(dataset: str) -> str:
    return f"datasets/{dataset}/files"


def _below(dataset: str, path: str) -> str:
    """Return a path of the store relative to the folder of the record."""
    return PurePosixPath(path).relative_to(_folder(dataset)).as_posix()


def _file_object(dataset: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    path = _below(dataset, entry["path"])
    return {
        "@type": "cr:FileObject",
        "@id": path,
        "name": entry["name"],
        "contentUrl": path,
        "contentSize": f"{entry['size']} B",
        "encodingFormat": _encoding(path),
        "sha256": entry["sha256"],
    }


def _encoding(path: str) -> str:
    return ENCODINGS.get(PurePosixPath(path).suffix, "application/octet-stream")


def _set_id(layout: str) -> str:
    return f"{layout}-files"


def _file_set(dataset: str, key: str, layout: Mapping[str, Any]) -> dict[str, Any]:
    """Return the set of files of a layout: each one by its path, as a pattern without wildcards.

    The same files stand as file objects beside it, with size and sha256. A set cannot be made
    of them: mlcroissant (1.1.1) reads columns of a set only where it is contained in nothing.
    """
    return {
        "@type": "cr:FileSet",
        "@id": _set_id(key),
        "name": f"matrices of layout {key}",
        "encodingFormat": ENCODINGS[".parquet"],
        "includes": [files.literal_glob(_below(dataset, path)) for path in sorted(layout["files"])],
    }


def _layout_records(key: str, layout: Mapping[str, Any]) -> dict[str, Any]:
    channels: Sequence[str] = layout["channels"]
    source = {"fileSet": {"@id": _set_id(key)}}
    about = (
        f"The rows of the matrices of layout {key}: {len(channels)} channels of"
        f" {layout['n_times']} samples at {float(layout['sfreq']):g} Hz, from"
        f" {float(layout['tmin']):g} s; labels are in the record set {SAMPLES}, at the same file"
        " and row."
    )
    fields = [
        _field(key, "file", "sc:Text", source, {"fileProperty": "filename"}, what="File name."),
        _field(key, "row", "cr:Int64", source, {"fileProperty": "lineNumbers"}, what="Row."),
    ]
    if len(channels) > WIDE_ABOVE:
        what = f"All channels, one after the other: {len(channels)} x {layout['n_times']} values."
        fields.append(
            _signal(key, WIDE_COLUMN, source, len(channels) * int(layout["n_times"]), what)
        )
    else:
        for name, kind, unit in zip(channels, layout["types"], layout["units"], strict=True):
            what = f"Channel of type {kind}, in {unit or 'an unknown unit'}."
            fields.append(_signal(key, name, source, int(layout["n_times"]), what))
    return {
        "@type": "cr:RecordSet",
        "@id": key,
        "name": key,
        "description": about,
        "key": [{"@id": fields[0]["@id"]}, {"@id": fields[1]["@id"]}],
        "field": fields,
    }


def _signal(key: str, name: str, source: dict[str, Any], length: int, what: str) -> dict[str, Any]:
    field = _field(key, name, "cr:Float32", source, {"column": name}, what=what, prefix="channel/")
    return {**field, "isArray": True, "arrayShape": str(length)}


def _samples_records(
    dataset: str, entry: Mapping[str, Any], samples: Mapping[str, str]
) -> dict[str, Any]:
    source = {"fileObject": {"@id": _below(dataset, entry["path"])}}
    fields = []
    for name, kind in samples.items():
        field = _field(SAMPLES, name, _data_type(kind), source, {"column": name})
        if name == "file":  # as the record sets of the layouts name it
            field["source"] = {**field["source"], "transform": {"regex": "(?:.*/)?([^/]+)$"}}
        fields.append(field)
    return {
        "@type": "cr:RecordSet",
        "@id": SAMPLES,
        "name": SAMPLES,
        "description": "Labels, split and place of every row.",
        "key": [{"@id": f["@id"]} for f in fields if f["name"] in ("file", "row")],
        "field": fields,
    }


def _field(
    key: str,
    name: str,
    kind: str,
    source: dict[str, Any],
    extract: dict[str, str],
    *,
    what: str = "",
    prefix: str = "",
) -> dict[str, Any]:
    """Return a field; its id is the record set's and its name in URL encoding."""
    encoded = quote(name, safe="")
    if not name.strip("."):  # "." and ".." mean places in a path
        encoded = name.replace(".", "%2E")
    return {
        "@type": "cr:Field",
        "@id": f"{key}/{prefix}{encoded}",
        "name": name,
        **({"description": what} if what else {}),
        "dataType": kind,
        "source": {**source, "extract": extract},
    }


def _data_type(kind: str) -> str:
    """Return the Croissant type of a column."""
    lowered = kind.lower()
    if lowered.startswith("int"):
        return "cr:Int64"
    if lowered.startswith(("float", "double")):
        return "cr:Float64"
    return "sc:Boolean" if lowered.startswith("bool") else "sc:Text"


def _is_table(entry: Mapping[str, Any]) -> bool:
    return entry["kind"] == "samples" and entry["name"] == f"{SAMPLES}.parquet"
