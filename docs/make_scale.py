"""Write what archives cost, and from which numbers that follows, into docs/scale.md."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from bidsmill.sources.download import BLOCK_BYTES
from bidsmill.storage.upload import PART_BYTES

PAGE = Path(__file__).resolve().with_name("scale.md")
BEGIN, END = "<!-- costs: make docs -->\n", "<!-- end of costs -->\n"
KEYS_PER_PAGE = 1000  # Amazon S3 API Reference, "ListObjectsV2": MaxKeys


@dataclass(frozen=True)
class Number:
    """A number of the model, and where it is from."""

    what: str
    value: float
    unit: str
    source: str


# Measured by benchmarks of this repository (one core), or assumed and said to be.
NUMBERS = {
    "download": Number(
        "download with checksums", 271e6, "bytes of source/s", "benchmarks/download.py"
    ),
    "convert": Number(
        "conversion, no filter", 304e6, "bytes of float32/s", "benchmarks/convert.py"
    ),
    "publish": Number(
        "publishing, CPU time", 466e6 / 1.9, "bytes of matrices/s", "benchmarks/publish.py"
    ),
    "recording": Number(
        "what every recording costs, however short", 0.09, "CPU s", "benchmarks/overhead.py"
    ),
    "dataset": Number(
        "what every dataset costs, however small", 12, "CPU s", "benchmarks/overhead.py"
    ),
    "float32": Number(
        "float32 made of a source byte", 2.0, "bytes", "assumed: 16-bit integers, every channel"
    ),
    "compressed": Number(
        "matrix of a byte of float32", 0.79, "bytes", "measured once, on windows of a real EEG"
    ),
    "small_files": Number(
        "files beside the signal of a recording", 4, "files", "assumed: header, markers, two tables"
    ),
    "shared_files": Number(
        "tables, pages and documents of a dataset", 40, "objects", "assumed: generous"
    ),
}


@dataclass(frozen=True)
class Archive:
    """What is converted: bytes of source files, recordings, datasets."""

    name: str
    bytes: float
    recordings: int
    datasets: int


# The archive as its catalogue counted it; 1 TB has recordings and datasets of the same mean size.
WHOLE = Archive("45 TB", 45e12, 231_278, 750)
PART = Archive("1 TB", 1e12, round(231_278 / 45), round(750 / 45))


def costs(archive: Archive) -> dict[str, float]:
    """Return what an archive costs when it is converted for the first time.

    Parameters
    ----------
    archive : Archive
        What is converted.

    Returns
    -------
    dict
        ``hours_*`` (CPU hours), ``disk_source``, ``disk_matrices``, ``bytes_in``, ``bytes_out``,
        ``requests_get``, ``requests_put`` and ``requests_list``.
    """
    number = {key: entry.value for key, entry in NUMBERS.items()}
    float32 = archive.bytes * number["float32"]
    matrices = float32 * number["compressed"]
    fixed = archive.recordings * number["recording"] + archive.datasets * number["dataset"]
    signal = math.ceil(archive.bytes / archive.recordings / BLOCK_BYTES)
    fetched = archive.recordings * (1 + number["small_files"])
    parts = math.ceil(matrices / archive.recordings / PART_BYTES)
    # Begin, end, and a look at the size, where a file is sent in parts.
    each = parts + 3 if parts > 1 else 1
    shared = archive.datasets * number["shared_files"]
    # Before a version is sent, and again before it is named.
    listed = fetched + 2 * (archive.recordings + shared)
    return {
        "hours_download": archive.bytes / number["download"] / 3600,
        "hours_convert": float32 / number["convert"] / 3600,
        "hours_publish": matrices / number["publish"] / 3600,
        "hours_fixed": fixed / 3600,
        "disk_source": archive.bytes,
        "disk_matrices": matrices,
        "bytes_in": archive.bytes,
        "bytes_out": matrices,
        "requests_get": archive.recordings * (signal + number["small_files"]),
        "requests_put": archive.recordings * each + shared,
        "requests_list": listed / KEYS_PER_PAGE + 3 * archive.datasets,
    }


ROWS = (
    ("CPU hours: download with checksums", "hours_download", 1, "{:,.1f}"),
    ("CPU hours: conversion", "hours_convert", 1, "{:,.1f}"),
    ("CPU hours: publishing", "hours_publish", 1, "{:,.1f}"),
    ("CPU hours: start-up, tables, pages", "hours_fixed", 1, "{:,.1f}"),
    ("disk: source files (TB)", "disk_source", 1e12, "{:,.1f}"),
    ("disk: matrices (TB)", "disk_matrices", 1e12, "{:,.1f}"),
    ("network in (TB)", "bytes_in", 1e12, "{:,.1f}"),
    ("network out (TB)", "bytes_out", 1e12, "{:,.1f}"),
    ("S3 requests: GET", "requests_get", 1, "{:,.0f}"),
    ("S3 requests: PUT, parts, HEAD", "requests_put", 1, "{:,.0f}"),
    ("S3 requests: LIST", "requests_list", 1, "{:,.0f}"),
)


def tables() -> str:
    """Return the table of costs and that of the numbers behind it."""
    archives = (PART, WHOLE)
    found = [costs(archive) for archive in archives]
    heads = [f"{a.name}, {a.recordings:,} recordings, {a.datasets} datasets" for a in archives]
    lines = [f"| | {' | '.join(heads)} |", "|---|---|---|"]
    for what, key, scale, form in ROWS:
        lines.append(f"| {what} | {' | '.join(form.format(c[key] / scale) for c in found)} |")
    totals = (sum(v for k, v in c.items() if k.startswith("hours_")) for c in found)
    lines.append(f"| CPU hours together | {' | '.join(f'{total:,.0f}' for total in totals)} |")
    lines += ["", "| number | value | from |", "|---|---|---|"]
    for entry in NUMBERS.values():
        lines.append(f"| {entry.what} | {_value(entry.value)} {entry.unit} | {entry.source} |")
    return "\n".join(lines) + "\n"


def _value(value: float) -> str:
    return f"{value / 1e6:,.0f} M" if value >= 1e6 else f"{value:g}"


def page(text: str) -> str:
    """Return the page with the tables between its marks replaced."""
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}{tables()}{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
