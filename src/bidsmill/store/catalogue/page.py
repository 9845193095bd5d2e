"""Make the catalogue page of a store from the bytes of its catalogue, and of nothing else.

The page is one file: style, script and data stand in it, so that it works from a folder, from a
bucket and offline. Its policy (Content-Security-Policy) lets the browser run this one script only.
Texts of datasets come from outside: they stand in a block of data, never in HTML.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bidsmill.formats import tables
from bidsmill.formats.look import look, shortened
from bidsmill.formats.manifest import CATALOG, CATALOG_COLUMNS
from bidsmill.formats.seal import MARK, sealed

if TYPE_CHECKING:
    import pandas as pd

HERE = Path(__file__).parent
TEMPLATE, STYLE, SCRIPT = "page.html", "page.css", "page.js"
# Columns of the catalogue that the page does without, or holds in another way.
LEFT_OUT = {"layouts", "hed_tags"}
# Letters of a text at most; reports have the whole. A licence may be a whole legal text.
MOST_LETTERS = {"name": 300, "citation": 600, "license": 120, "tasks": 2000, "labels": 600}
# Inside a script, `</script>` and `<!--` would end or hide it whatever the quotes (HTML standard,
# "Restrictions for contents of script elements").
ESCAPED = {ord(letter): f"\\u{ord(letter):04x}" for letter in "<>&\u2028\u2029"}


def page_of_catalogue(catalogue: bytes) -> bytes:
    """Return the catalogue page.

    Parameters
    ----------
    catalogue : bytes
        ``catalog.parquet``. Columns that an older one lacks are empty.

    Returns
    -------
    bytes
        HTML: the same bytes for the same catalogue.

    Raises
    ------
    BidsmillError
        If it is no Parquet file.
    """
    frame = tables.read_parquet(io.BytesIO(catalogue), name=CATALOG)
    style = look() + (HERE / STYLE).read_text(encoding="utf-8")
    script = (HERE / SCRIPT).read_text(encoding="utf-8")
    parts = {
        "mark": MARK.format(sha256=hashlib.sha256(catalogue).hexdigest()),
        "policy": _policy(style, script),
        "style": style,
        "script": script,
        "data": _encoded(catalogue_data(frame)),
    }
    page = (HERE / TEMPLATE).read_text(encoding="utf-8")
    for name, text in parts.items():
        # What is put in last comes from outside, and may hold the name of a part.
        before, _, after = page.partition(f"{{{{{name}}}}}")
        page = before + text + after
    return sealed(page)


def catalogue_data(frame: pd.DataFrame) -> dict[str, Any]:
    """Return what the script of the page reads, column by column.

    Parameters
    ----------
    frame : DataFrame
        The catalogue.

    Returns
    -------
    dict
        One list per column of the catalogue; ``tags``, the paths of all HED tags, sorted; and
        ``hed``: for each dataset the places of its tags in ``tags``.
    """
    found: dict[str, Any] = {
        column: [_value(value, column) for value in _column(frame, column)]
        for column in CATALOG_COLUMNS
        if column not in LEFT_OUT
    }
    tags = [_listed(value) for value in _column(frame, "hed_tags")]
    found["tags"] = sorted({tag for listed in tags for tag in listed})
    place = {tag: number for number, tag in enumerate(found["tags"])}
    found["hed"] = [[place[tag] for tag in listed] for listed in tags]
    return found


def _column(frame: pd.DataFrame, column: str) -> list[Any]:
    """Return the values of a column; empty ones where an older catalogue lacks it."""
    empty = "" if CATALOG_COLUMNS[column] == "string" else 0
    if column not in frame:
        return [empty] * len(frame)
    values = frame[column]
    return values.where(values.notna(), empty).tolist()


def _value(value: Any, column: str) -> str | int:
    if CATALOG_COLUMNS[column] != "string":
        return int(value)
    text, most = str(value), MOST_LETTERS.get(column)
    return text if most is None else shortened(text, most)


def _listed(text: Any) -> list[str]:
    return [part for part in str(text).split(", ") if part]


def _encoded(data: dict[str, Any]) -> str:
    """Return JSON that cannot end the script element in which it stands."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return text.translate(ESCAPED)


def _policy(style: str, script: str) -> str:
    """Return the policy: this style and this script; nothing is loaded from elsewhere.

    A hash stands for the text between the tags (W3C Content Security Policy Level 3, section
    "Does element match source list for type and source?").
    """
    allowed = [
        "default-src 'none'",
        f"style-src '{_hash(style)}'",
        f"script-src '{_hash(script)}'",
        "connect-src 'self'",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
    ]
    return "; ".join(allowed)


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
