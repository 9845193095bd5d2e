"""The command `bidsmill info`: what a store, or one dataset of it, holds and how to load it."""

from __future__ import annotations

import argparse
import json
import shlex
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from bidsmill.access.commands.opening import opened
from bidsmill.access.commands.printing import add_command, json_text, pairs
from bidsmill.access.names import listed
from bidsmill.formats.manifest import largest_layout, pointer_path
from bidsmill.formats.numbers import counted, size_text
from bidsmill.storage.options import STORE_HELP, add_connection_options, connection_of

if TYPE_CHECKING:
    from bidsmill.access.dataset import Dataset
    from bidsmill.access.store import Store

COUNTS = ("recordings", "converted", "quarantined", "subjects", "rows")
# Keys of a layout that tell what a row is; its files are in the manifest.
LAYOUT_KEYS = ("channels", "types", "units", "sfreq", "tmin", "n_times", "rows")


def add_info_command(commands: argparse._SubParsersAction) -> None:
    """Add `info` to the commands of `bidsmill`."""
    info = add_command(
        commands,
        "info",
        "tell what a store or a dataset holds, and how to load it",
        "Without DATASET: the store in numbers. With it: name, licence, citation, versions, labels"
        " and layouts of a dataset, and the lines that load it in Python and in MATLAB. No table of"
        " rows and no signal is read.",
        "bidsmill info results/store\n"
        "bidsmill info results/store ds002718\n"
        "bidsmill info results/store ds002718@1.0.5",
    )
    info.add_argument("store", metavar="STORE", help=STORE_HELP)
    info.add_argument("dataset", nargs="?", metavar="DATASET", help="ID, ID@SNAPSHOT or ID@VERSION")
    info.add_argument("--json", action="store_true", help="print JSON")
    add_connection_options(info)
    info.set_defaults(action=_info)


def _info(options: argparse.Namespace) -> Iterator[str]:
    store = opened(options)
    if options.dataset is None:
        content = store_facts(store, str(options.store), _opening(options))
        lines = _store_lines(content)
    else:
        content = dataset_facts(store, options.dataset, options)
        lines = _dataset_lines(content)
    if options.json:
        yield json_text(content)
    else:
        yield from lines


def _opening(options: argparse.Namespace) -> str:
    """Return the Python code that opens the store as this command did."""
    given = {key: value for key, value in connection_of(options).items() if value is not None}
    texts = [
        f"{key}={value if value is True else json.dumps(value)}" for key, value in given.items()
    ]
    return f"bidsmill.open({', '.join([json.dumps(str(options.store)), *texts])})"


def store_facts(store: Store, address: str, opening: str) -> dict[str, Any]:
    """Return a store in numbers, by its catalogue."""
    catalog = store.catalog
    licenses = Counter(catalog["license"].fillna("").tolist())
    return {
        "store": address,
        "datasets": len(catalog),
        **{name: int(catalog[name].sum()) for name in (*COUNTS, "bytes")},
        "datatypes": _every_word(catalog["datatypes"]),
        "tasks": _every_word(catalog["tasks"]),
        "licenses": dict(sorted(licenses.items(), key=lambda item: (-item[1], item[0]))),
        "names": sorted(catalog["dataset"].tolist()),
        "python": f"import bidsmill\nstore = {opening}\nstore.catalog",
        "matlab": f"bidsmill.catalog('{address}')",
    }


def _every_word(column: Any) -> list[str]:
    words = (word for text in column.fillna("") for word in str(text).split(", "))
    return sorted({word for word in words if word})


def _store_lines(content: dict[str, Any]) -> Iterator[str]:
    licenses = [f"{name or 'not stated'} ({n})" for name, n in content["licenses"].items()]
    yield f"store {content['store']}"
    yield from pairs(
        [
            ("datasets", f"{content['datasets']:,}: {listed(content['names']) or '-'}"),
            ("recordings", _recordings(content)),
            ("rows", f"{content['rows']:,}"),
            ("size", size_text(content["bytes"])),
            ("datatypes", listed(content["datatypes"])),
            ("tasks", listed(content["tasks"])),
            ("licences", listed(licenses)),
        ]
    )
    yield from _code_lines(content)


def _code_lines(content: dict[str, Any]) -> Iterator[str]:
    for title, code in (("Python", content["python"]), ("MATLAB", content["matlab"])):
        yield ""
        yield title
        yield from (f"  {line}" for line in code.splitlines())


def _recordings(content: dict[str, Any]) -> str:
    return (
        f"{content['recordings']:,}: {content['converted']:,} converted, "
        f"{content['quarantined']:,} quarantined; {counted(content['subjects'], 'subject')}"
    )


def dataset_facts(store: Store, name: str, options: argparse.Namespace) -> dict[str, Any]:
    """Return what the manifest, the pointer and ``dataset.json`` say of a dataset."""
    dataset = store[name]
    manifest = dataset.manifest
    pointer = json.loads(store.files.read(pointer_path(dataset.id)))
    content: dict[str, Any] = {
        "store": str(options.store),
        "dataset": dataset.id,
        "name": dataset.name,
        "version": dataset.version,
        "snapshot": dataset.snapshot,
        "latest": pointer["version"],
        "versions": pointer["history"],
        "license": manifest.get("license") or "",
        "doi": manifest.get("doi") or "",
        "citation": manifest.get("citation") or _document(store, dataset).get("citation") or "",
        **{key: manifest.get(key) for key in (*COUNTS, "tasks", "datatypes", "split")},
        "files": len(manifest["files"]),
        "bytes": sum(entry["size"] for entry in manifest["files"]),
        "labels": dataset.labels,
        "layouts": {
            key: {name: layout.get(name) for name in LAYOUT_KEYS}
            for key, layout in dataset.layouts.items()
        },
    }
    return {
        **content,
        "python": _python(content, _opening(options)),
        "matlab": _matlab(content, _pulling(content, options) if store.files.remote else ""),
    }


def _document(store: Store, dataset: Dataset) -> dict[str, Any]:
    """Return ``dataset.json``; empty where a version has none."""
    for entry in dataset.manifest["files"]:
        if (entry["kind"], entry["name"]) == ("dataset", "dataset.json"):
            content = json.loads(store.files.verified_path(entry).read_bytes())
            return content if isinstance(content, dict) else {}
    return {}


def _name_to_load(content: dict[str, Any]) -> str:
    """Return the id; with the version where it is not the latest."""
    if content["version"] == content["latest"]:
        return content["dataset"]
    return f"{content['dataset']}@{content['version']}"


def _python(content: dict[str, Any], opening: str) -> str:
    chosen, target = _choice(content)
    picks = [f'{key}="{value}"' for key, value in chosen.items()]
    return (
        "import bidsmill\n"
        f'ds = {opening}["{_name_to_load(content)}"]\n'
        f"train = ds.select({', '.join(picks)})\n"
        + (f'X, y = train.arrays(target="{target}")' if target else "X = train.arrays()")
    )


def _pulling(content: dict[str, Any], options: argparse.Namespace) -> str:
    """Return the command that fetches a dataset from where this command found it."""
    words = ["bidsmill", "pull", content["store"], _name_to_load(content)]
    for key, value in connection_of(options).items():
        if value is not None:
            words += [f"--{key}"] if value is True else [f"--{key}", value]
    return shlex.join(words)


def _matlab(content: dict[str, Any], pulling: str) -> str:
    """Return code for MATLAB, which reads a bucket through the cache."""
    first = f"% in a terminal first: {pulling}\n" if pulling else ""
    chosen, target = _choice(content)
    named = {key.capitalize(): value for key, value in chosen.items()}
    if target:
        named["Target"] = target
    words = [content["store"], _name_to_load(content)]
    words += [word for pair in named.items() for word in pair]
    arguments = ", ".join("'" + word.replace("'", "''") + "'" for word in words)
    return f"{first}ds = bidsmill.Datastore({arguments});\ndata = read(ds);"


def _choice(content: dict[str, Any]) -> tuple[dict[str, str], str]:
    """Return the conditions and the target of an example that works on this dataset."""
    chosen = {}
    if content["split"] not in (None, "", "refused", "none"):
        chosen["split"] = "train"
    if largest := largest_layout(content["layouts"]):
        chosen["where"] = f"layout == '{largest}'"
    return chosen, next(iter(content["labels"]), "")


def _dataset_lines(content: dict[str, Any]) -> Iterator[str]:
    yield f"{content['dataset']}: {content['name']}"
    yield from pairs(
        [
            ("version", _version_text(content)),
            ("licence", content["license"] or "not stated"),
            ("doi", content["doi"]),
            ("cite", content["citation"]),
            ("recordings", _recordings(content)),
            ("rows", f"{content['rows']:,}"),
            ("size", f"{size_text(content['bytes'])} in {counted(content['files'], 'file')}"),
            ("tasks", listed(content["tasks"] or [])),
            ("split", f"by {content['split']}" if content["split"] else ""),
            *(("label", f"{name}: {_kind(kind)}") for name, kind in content["labels"].items()),
            *(("layout", _layout(key, one)) for key, one in content["layouts"].items()),
            *(("history", _history(entry, content)) for entry in reversed(content["versions"])),
        ]
    )
    yield from _code_lines(content)


def _version_text(content: dict[str, Any]) -> str:
    latest = content["version"] == content["latest"]
    return content["version"] + ("" if latest else f" (the latest is {content['latest']})")


def _history(entry: dict[str, Any], content: dict[str, Any]) -> str:
    marks = {content["version"]: " (this one)"} if len(content["versions"]) > 1 else {}
    return f"{entry['version']}, published {entry['published']}{marks.get(entry['version'], '')}"


def _kind(kind: list[str] | str) -> str:
    return "a number" if isinstance(kind, str) else listed(kind)


def _layout(name: str, layout: dict[str, Any]) -> str:
    types = ", ".join(f"{n} {kind}" for kind, n in Counter(layout["types"]).items())
    return (
        f"{name}: {types}; {layout['sfreq']:g} Hz, {layout['n_times']} samples from "
        f"{layout['tmin']:g} s; {counted(layout['rows'], 'row')}"
    )
