"""A BIDS dataset on a web server, with a manifest of paths, sizes and sha256 beside it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from bidsmill.errors import BidsmillError
from bidsmill.formats import files
from bidsmill.sources import local
from bidsmill.sources.listing import Entry, Listing
from bidsmill.sources.web import ask_bytes, open_client

MANIFEST = "manifest.tsv"
COLUMNS = ("path", "size", "sha256")


def list_dataset(dataset: str, settings: dict[str, Any]) -> Listing:
    """List a dataset by the manifest that lies beside its files.

    Parameters
    ----------
    dataset : str
        Dataset id, for messages.
    settings : dict
        ``url`` (of the dataset's folder), ``manifest`` (its name: ``.tsv`` or ``.json``),
        ``version`` (a name for the lock; a manifest that states another one is refused) and
        ``fetch`` (``retries``, ``timeout`` in seconds).

    Returns
    -------
    Listing

    Raises
    ------
    BidsmillError
        If the manifest cannot be fetched or is wrong in any line.
    """
    base = base_address(settings.get("url"))
    name = settings.get("manifest") or MANIFEST
    if not name.endswith((".tsv", ".json")):
        raise BidsmillError("a manifest of an unknown kind", found=name, expected=".tsv or .json")
    address = base + quote(name)
    fetch = settings["fetch"]
    with open_client(fetch["timeout"]) as client:
        what = f"the manifest of {dataset} cannot be read"
        content = ask_bytes(client, address, what=what, retries=fetch["retries"])
    text = _decoded(content, address)
    if name.endswith(".tsv"):
        rows, stated = parse_table(text, address), None
    else:
        rows, stated = parse_json(text, address)
    wanted = settings.get("version")
    if wanted and stated and wanted != stated:
        raise BidsmillError(
            "the manifest is that of another version",
            file=address,
            found=stated,
            expected=wanted,
            todo="correct `version`, or name the address of that version",
        )
    if not any(row["path"] == "dataset_description.json" for row in rows):
        raise BidsmillError(
            "partial listing: the manifest names no dataset_description.json", file=address
        )
    entries = [{**row, "url": base + quote(row["path"])} for row in rows]
    return Listing(wanted or stated or "https", entries, {"kind": "https", "url": base})


def base_address(url: Any) -> str:
    """Return the address of a dataset's folder with one slash at its end.

    Raises
    ------
    BidsmillError
        If it is none, not encrypted, or holds a secret.
    """
    example = "https://example.org/dataset/"
    if not isinstance(url, str) or not url:
        raise BidsmillError("source https needs the key `url`", expected=f"e.g. {example}")
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        parts, host = urlsplit(""), None
    if parts.scheme.lower() == "http":
        raise BidsmillError(
            "http:// is refused: anyone on the way could change the manifest, and its checksums",
            found=url,
            expected="https://",
        )
    if parts.scheme.lower() != "https" or not host:
        raise BidsmillError("no address of a web server", found=url, expected=f"e.g. {example}")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise BidsmillError(
            "`url` holds more than an address",
            file=f"https://{host}{parts.path}",
            found="a user, a password or a query",
            expected=f"e.g. {example}",
            todo="use a server that asks for none: a password does not belong into a lock",
        )
    return url.rstrip("/") + "/"


def parse_table(text: str, where: str) -> list[Entry]:
    """Return the entries of a tab-separated manifest.

    Parameters
    ----------
    text : str
        Its content: the header ``path``, ``size``, ``sha256`` in any order, more columns allowed.
    where : str
        Its address, for messages.

    Raises
    ------
    BidsmillError
        With the number of the first line that is wrong.
    """
    # Not splitlines(): a name may hold what Unicode takes for the end of a line.
    lines = text.removesuffix("\n").split("\n")
    header = lines[0].removesuffix("\r").split("\t")
    if any(header.count(column) != 1 for column in COLUMNS):
        page = text.lstrip()[:1] == "<"
        raise BidsmillError(
            "the manifest has another header",
            file=f"{where}, line 1",
            found="a web page" if page else repr(lines[0][:80]),
            expected="the columns path, size and sha256, separated by tabs",
        )
    places = [header.index(column) for column in COLUMNS]
    seen: dict[str, int] = {}
    entries = []
    for number, line in enumerate(lines[1:], start=2):
        cells = line.removesuffix("\r").split("\t")
        place = f"{where}, line {number}"
        if len(cells) != len(header):
            raise BidsmillError(
                "a line of the manifest has another number of columns",
                file=place,
                found=len(cells),
                expected=len(header),
            )
        path, size, sha256 = (cells[i] for i in places)
        if not re.fullmatch(r"[0-9]{1,18}", size):
            raise _wrong("size", place, size, "an integer of at least 0")
        entries.append(_entry(path, int(size), sha256, place, seen, number))
    return entries


def parse_json(text: str, where: str) -> tuple[list[Entry], str | None]:
    """Return the entries and the version of a manifest ``{"version", "files": [...]}``.

    Parameters
    ----------
    text : str
        Its content; ``version`` is optional.
    where : str
        Its address, for messages.

    Raises
    ------
    BidsmillError
        With the number of the first file that is wrong, counted from 1.
    """
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BidsmillError("the manifest is not JSON", file=where, found=error) from None
    rows = content.get("files") if isinstance(content, dict) else None
    if not isinstance(rows, list):
        raise BidsmillError(
            "the manifest has another shape",
            file=where,
            expected='{"files": [{"path": ..., "size": ..., "sha256": ...}]}',
        )
    version = content.get("version")
    if version is not None and not (isinstance(version, str) and version):
        raise _wrong("version", where, version, "a text")
    seen: dict[str, int] = {}
    entries = []
    for number, row in enumerate(rows, start=1):
        place = f"{where}, file {number}"
        if not isinstance(row, dict) or any(column not in row for column in COLUMNS):
            raise _wrong("entry", place, row, "path, size and sha256")
        path, size, sha256 = (row[column] for column in COLUMNS)
        if type(size) is not int or size < 0:
            raise _wrong("size", place, size, "an integer of at least 0")
        entries.append(_entry(path, size, sha256, place, seen, number))
    return entries, version


def _entry(
    path: Any, size: int, sha256: Any, place: str, seen: dict[str, int], number: int
) -> Entry:
    if not isinstance(path, str) or not path:
        raise _wrong("path", place, path, "a name")
    try:
        path.encode("utf-8")
    except UnicodeEncodeError:
        raise _wrong("path", place, path, "Unicode text") from None
    if path in seen:
        raise BidsmillError(
            "the manifest names a file twice",
            file=place,
            found=f"{path!r}, as in number {seen[path]}",
        )
    seen[path] = number
    if not isinstance(sha256, str) or not re.fullmatch(r"[0-9a-fA-F]{64}", sha256):
        raise _wrong("sha256", place, sha256, "64 hexadecimal digits")
    return {"path": path, "size": size, "checksum": f"sha256:{sha256.lower()}"}


def _wrong(column: str, place: str, found: Any, expected: str) -> BidsmillError:
    shown = ascii(found)[:80]
    return BidsmillError(
        f"the manifest has a wrong {column}", file=place, found=shown, expected=expected
    )


def _decoded(content: bytes, where: str) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BidsmillError("the manifest is not UTF-8", file=where, found=error) from None


def write_manifest(folder: Path) -> int:
    """Write the manifest of a BIDS folder into it, so that a web server can offer it.

    Parameters
    ----------
    folder : pathlib.Path
        A BIDS dataset; hidden files and derivatives are left out, see `local.list_files`.

    Returns
    -------
    int
        The number of files in the manifest.

    Raises
    ------
    BidsmillError
        If the folder is no BIDS dataset, a file cannot be read, or a name has a tab or a line
        end in it, for which the table has no place.
    """
    paths = [path for path in local.list_files(folder) if path != MANIFEST]
    for path in paths:
        if re.search(r"[\t\r\n]", path):
            raise BidsmillError("a name has a tab or a line end in it", file=ascii(path))
    listed, _ = local.checksums(folder, paths, {})
    lines = ["\t".join(COLUMNS)]
    for entry in listed:
        if entry["checksum"] is None:
            raise BidsmillError(
                "a file cannot be read",
                file=folder / entry["path"],
                todo="fetch the content of the dataset first (e.g. `datalad get .`)",
            )
        sha256 = entry["checksum"].removeprefix("sha256:")
        lines.append(f"{entry['path']}\t{entry['size']}\t{sha256}")
    files.write_text(folder / MANIFEST, "\n".join(lines) + "\n")
    return len(listed)
