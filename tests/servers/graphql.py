"""OpenNeuro's GraphQL service: the part of it that lists snapshots and their files."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

if TYPE_CHECKING:
    from servers.archive import Archive, Stored

# The part of the service's schema that is spoken here: type -> field -> type of its value.
SCHEMA: dict[str, dict[str, str]] = {
    "Query": {"dataset": "Dataset", "snapshot": "Snapshot"},
    "Dataset": {"id": "", "latestSnapshot": "Snapshot", "snapshots": "Snapshot"},
    "Snapshot": {
        "id": "",
        "tag": "",
        "description": "Description",
        "summary": "Summary",
        "files": "DatasetFile",
    },
    "Description": dict.fromkeys(("Name", "BIDSVersion", "License", "Authors", "DatasetDOI"), ""),
    "Summary": {"subjects": ""},
    "DatasetFile": dict.fromkeys(("id", "filename", "size", "urls", "annexed", "directory"), ""),
}

# A selected field: name, arguments, its own selection.
Selection = list[tuple[str, dict[str, Any], Any]]


class _Refused(Exception):
    """A GraphQL error that ends the whole answer: status and code."""

    def __init__(self, status: int, code: str, message: str):
        self.status, self.code = status, code
        super().__init__(message)


def answer_query(
    archive: Archive, query: str, variables: dict[str, Any]
) -> tuple[int, dict[str, Any]]:
    """Return status and content of the answer to a GraphQL query."""
    try:
        tokens = iter(re.findall(r'"[^"]*"|\$?\w+|[{}():!,]', query))
        for token in tokens:
            if token == "{":
                break
        selection = _parse(tokens, variables)
        _validate(archive, selection, "Query")
        data = {name: _root(archive, name, args, sub) for name, args, sub in selection}
    except _Refused as error:
        details = {"message": str(error), "extensions": {"code": error.code}}
        return error.status, {"errors": [details], "data": None}
    wants_files = " files" in query
    if archive.listing == "slow" and "recursive" in query:
        return 504, {"errors": [{"message": "gateway timeout"}]}
    if archive.listing == "errors" and wants_files:
        details = {"code": "INTERNAL_SERVER_ERROR"}
        message = "The operation was aborted due to timeout"
        return 200, {"data": data, "errors": [{"message": message, "extensions": details}]}
    return 200, {"data": data}


def _parse(tokens: Iterator[str], variables: dict[str, Any]) -> Selection:
    """Return what stands between two braces; the first is consumed already."""
    found: Selection = []
    for token in tokens:
        if token == "}":
            return found
        if token == "(":
            name, arguments = found[-1][0], {}
            for key in tokens:
                if key == ")":
                    break
                if key == ",":
                    continue
                next(tokens)
                arguments[key] = _value(next(tokens), variables)
            found[-1] = (name, arguments, None)
        elif token == "{":
            found[-1] = (found[-1][0], found[-1][1], _parse(tokens, variables))
        elif token != ",":
            found.append((token, {}, None))
    raise _Refused(400, "GRAPHQL_PARSE_FAILED", "Syntax Error")


def _value(token: str, variables: dict[str, Any]) -> Any:
    if token.startswith("$"):
        return variables.get(token[1:])
    return json.loads(token)


def _validate(archive: Archive, selection: Selection, kind: str) -> None:
    for name, arguments, inner in selection:
        if name not in SCHEMA[kind] or bool(SCHEMA[kind][name]) != bool(inner):
            message = f'Cannot query field "{name}" on type "{kind}".'
            raise _Refused(400, "GRAPHQL_VALIDATION_FAILED", message)
        if "recursive" in arguments and archive.listing == "no_recursive":
            message = 'Unknown argument "recursive" on field "Snapshot.files".'
            raise _Refused(400, "GRAPHQL_VALIDATION_FAILED", message)
        if inner:
            _validate(archive, inner, SCHEMA[kind][name])


def _root(archive: Archive, name: str, arguments: dict[str, Any], selection: Selection) -> Any:
    if name == "snapshot":
        dataset, tag = arguments["datasetId"], arguments["tag"]
        if archive.files(dataset, tag) is None:
            raise _Refused(200, "INTERNAL_SERVER_ERROR", f"{dataset}:{tag} is unknown")
        return _snapshot(archive, dataset, tag, selection)
    versions = archive.datasets.get(arguments["id"])
    if versions is None:
        return None
    answer: dict[str, Any] = {}
    for field, _, inner in selection:
        if field == "id":
            answer[field] = arguments["id"]
            continue
        snapshots = [_snapshot(archive, arguments["id"], tag, inner) for tag in versions]
        answer[field] = snapshots if field == "snapshots" else snapshots[-1]
    return answer


def _snapshot(archive: Archive, name: str, tag: str, selection: Selection) -> dict[str, Any]:
    files = archive.files(name, tag) or []
    description = description_of(archive.datasets[name][tag])
    answer: dict[str, Any] = {}
    for field, arguments, inner in selection:
        wanted = [key for key, _, _ in inner or []]
        if field == "description":
            answer[field] = {key: description.get(key) for key in wanted}
        elif field == "summary":
            answer[field] = {"subjects": [s.removeprefix("sub-") for s in subjects_of(files)]}
        elif field == "files":
            rows = _listed(archive, name, files, arguments)
            answer[field] = rows and [{key: row[key] for key in wanted} for row in rows]
        else:
            answer[field] = tag if field == "tag" else f"{name}:{tag}"
    return answer


def _listed(
    archive: Archive, name: str, files: list[Stored], arguments: dict[str, Any]
) -> list[dict[str, Any]] | None:
    if archive.listing in ("empty", "null"):
        return [] if archive.listing == "empty" else None
    files = [file for file in files if not is_left_out(archive, files, file.path)]
    is_recursive = arguments.get("recursive") and archive.listing not in ("folders", "empty_folder")
    if is_recursive:
        rows = [_row(archive, name, file, file.path) for file in files]
    else:
        rows = _one_folder(archive, name, files, arguments.get("tree"))
    if archive.listing == "no_size" and rows:
        rows[-1]["size"] = None
        # The key of an annexed file would tell the size.
        rows[-1]["id"] = rows[-1]["id"].partition("--")[2] or rows[-1]["id"]
    return rows


def _one_folder(
    archive: Archive, name: str, files: list[Stored], tree: str | None
) -> list[dict[str, Any]]:
    trees = _trees(files)
    by_tree = {identity: folder for folder, identity in trees.items()}
    folder = by_tree.get(tree) if tree else ""
    if folder is None or (archive.listing == "empty_folder" and folder.count("/") > 0):
        return []
    rows = [
        _row(archive, name, file, file.path.rpartition("/")[2])
        for file in files
        if file.path.rpartition("/")[0] == folder
    ]
    for inner in sorted(f for f in trees if f.rpartition("/")[0] == folder):
        row = {"id": trees[inner], "filename": inner.rpartition("/")[2], "size": 0}
        rows.append({**row, "urls": [], "annexed": False, "directory": True})
    return rows


def _trees(files: list[Stored]) -> dict[str, str]:
    """Return folder -> id: as in git, it depends on what is in it, and not on its name."""
    found: dict[str, Any] = {}
    for file in files:
        parts = file.path.split("/")
        for depth in range(1, len(parts)):
            digest = found.setdefault("/".join(parts[:depth]), hashlib.sha1())
            digest.update(f"{'/'.join(parts[depth:])} {file.blob}\n".encode())
    return {folder: digest.hexdigest() for folder, digest in found.items()}


def _row(archive: Archive, name: str, file: Stored, filename: str) -> dict[str, Any]:
    identity = file.id
    if archive.ids == "path" and not file.annexed:
        identity = hashlib.sha1(f"{file.blob}:{file.path}".encode()).hexdigest()
    path = f"/openneuro.org/{name}/{quote(file.path)}?versionId={file.sha256}"
    urls = [archive.sign(archive.url + path)]
    return {
        "id": identity,
        "filename": filename,
        # BigInt: a text in some answers.
        "size": str(file.size) if file.annexed else file.size,
        "urls": [] if file.is_link or archive.listing == "no_urls" else urls,
        "annexed": file.annexed,
        "directory": False,
    }


def description_of(folder: Path) -> dict[str, Any]:
    path = folder / "dataset_description.json"
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}


def is_left_out(archive: Archive, files: list[Stored], path: str) -> bool:
    if archive.listing == "no_description":
        return path == "dataset_description.json"
    if archive.listing == "no_subject":
        return path.startswith(f"{subjects_of(files)[-1]}/")
    return False


def subjects_of(files: list[Stored]) -> list[str]:
    tops = {file.path.split("/")[0] for file in files if "/" in file.path}
    return sorted(top for top in tops if top.startswith("sub-"))
