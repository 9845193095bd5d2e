"""A query that reads the rows of a dataset in DuckDB, without bidsmill."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bidsmill.access.names import listed, unknown
from bidsmill.errors import BidsmillError
from bidsmill.formats.matrix import WIDE_ABOVE, WIDE_COLUMN

FILENAME = "filename"
ROW_NUMBER = "file_row_number"
SAMPLES = "samples.parquet"


def layout_query(
    root: str,
    manifest: Mapping[str, Any],
    layout: str,
    columns: Sequence[str],
    *,
    split: str | None = None,
    excluded: bool = False,
) -> str:
    """Return a DuckDB query for all rows of one layout: the columns of samples, then the channels.

    Parameters
    ----------
    root : str
        Address of the store as DuckDB shall read it: an absolute folder, or
        ``s3://bucket/prefix``.
    manifest : mapping
        Of the version: its files are named one by one.
    layout : str
        Layout id (see `chosen_layouts`).
    columns : sequence of str
        The columns of ``samples.parquet``. One that a channel is called like (DuckDB ignores
        case) gets ``sample_`` in front.
    split : str, optional
        Only this side of the split.
    excluded : bool
        Give the rows that have a quality reason, too.

    Returns
    -------
    str
        SQL, ended by a semicolon. It holds no credentials.

    Raises
    ------
    BidsmillError
        If a channel has the name that DuckDB gives to the number of a row.
    """
    about = manifest["layouts"][layout]
    channels = about["channels"] if len(about["channels"]) <= WIDE_ABOVE else [WIDE_COLUMN]
    taken = {name.casefold() for name in channels}
    if ROW_NUMBER in taken:
        raise BidsmillError(
            f"DuckDB cannot number the rows of a matrix with a channel called {ROW_NUMBER}",
            found=f"layout {layout}",
            todo="read it in Python: bidsmill.open",
        )
    filename = _free(FILENAME, {*taken, ROW_NUMBER})
    base = root.rstrip("/")
    paths = [f"  {_file(base, path)}" for path in sorted(about["files"])]
    conditions = [] if split is None else [f"samples.split = {_literal(split)}"]
    conditions += [] if excluded else ["samples.excluded = ''"]
    lines = [
        f"SELECT samples.*{_renamed(columns, taken)},",
        f"  matrix.* EXCLUDE ({_name(filename)}, {ROW_NUMBER})",
        "FROM read_parquet([",
        ",\n".join(paths),
        f"], filename = {_literal(filename)}, {ROW_NUMBER} = true) AS matrix",
        f"JOIN read_parquet({_file(base, _samples_entry(manifest)['path'])}) AS samples",
        f"  ON matrix.{_name(filename)} = {_literal(base + '/')} || samples.file",
        f"  AND matrix.{ROW_NUMBER} = samples.row",
    ]
    if conditions:
        lines.append(f"WHERE {' AND '.join(conditions)}")
    return "\n".join(lines) + ";"


def query_notes(manifest: Mapping[str, Any], version: str, layout: str, root: str) -> list[str]:
    """Return comment lines that say what a query reads, and what a bucket needs.

    Parameters
    ----------
    manifest : mapping
        Of the version.
    version, layout : str
        Their names.
    root : str
        As for `layout_query`.
    """
    about = manifest["layouts"][layout]
    count, times = len(about["channels"]), about["n_times"]
    what = f"each a list of {times} values" if count <= WIDE_ABOVE else "all in one list"
    notes = [
        f"{manifest['dataset']}@{version}, layout {layout}: {about['rows']} rows of {count}"
        f" channels, {what} ({count} x {times}, {about['sfreq']:g} Hz)",
    ]
    if root.startswith("s3://"):
        notes += [
            "Before it, once: INSTALL httpfs; LOAD httpfs;",
            "for a bucket that is not public: CREATE SECRET (TYPE s3, PROVIDER credential_chain);",
            "for another service than Amazon's: with ENDPOINT 'host:port', URL_STYLE 'path' in it.",
        ]
    return [f"-- {re.sub(r'[^ -~]', '?', note)}" for note in notes]


def chosen_layouts(layouts: Iterable[str], wanted: str | None = None) -> list[str]:
    """Return the layouts that are asked for: one, or all.

    Raises
    ------
    BidsmillError
        If there is no such layout, or none at all.
    """
    known = sorted(layouts)
    if not known:
        raise BidsmillError(
            "this dataset has no matrix", todo="its recordings table says why: bidsmill info"
        )
    if wanted is None:
        return known
    if wanted not in known:
        raise unknown(
            "this version of the dataset has no such layout",
            wanted,
            known,
            todo=f"--layout {known[0]}, or leave it out for a query per layout ({listed(known)})",
        )
    return [wanted]


def sample_columns(store_files: Any, manifest: Mapping[str, Any]) -> list[str]:
    """Return the columns of ``samples.parquet``, by its footer alone.

    Parameters
    ----------
    store_files : StoreReader
        The files of the store.
    manifest : mapping
        Of the version.
    """
    import pyarrow.parquet as pq

    entry = _samples_entry(manifest)
    if store_files.offline:
        return list(pq.read_schema(store_files.verified_path(entry)).names)
    with store_files.open_ranges(entry) as file:
        return list(pq.read_schema(file).names)


def _samples_entry(manifest: Mapping[str, Any]) -> dict[str, Any]:
    for entry in manifest["files"]:
        if (entry["kind"], entry["name"]) == ("samples", SAMPLES):
            return entry
    raise BidsmillError("this version has no table of samples", found=manifest["dataset"])


def _renamed(columns: Sequence[str], taken: set[str]) -> str:
    """Return the clause that renames the columns of samples which channels are called like."""
    used = taken | {name.casefold() for name in columns}
    pairs = []
    for name in columns:
        if name.casefold() in taken:
            free = _free(f"sample_{name}", used)
            used.add(free.casefold())
            pairs.append(f"{_name(name)} AS {_name(free)}")
    return f" RENAME ({', '.join(pairs)})" if pairs else ""


def _free(name: str, taken: set[str]) -> str:
    """Return a name that is not taken: this one, or with underscores after it."""
    while name.casefold() in taken:
        name += "_"
    return name


def _file(base: str, path: str) -> str:
    """Return a path as DuckDB takes it: a pattern without wildcards."""
    pattern = "".join(f"[{c}]" if c in "*?[" else c for c in f"{base}/{path}")
    return _literal(pattern)


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _name(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
