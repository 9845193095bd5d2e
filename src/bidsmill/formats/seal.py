"""The catalogue page of a store says which catalogue it was made of, and ends with a checksum.

So anybody can tell whether the page is whole and up to date without making it again, also where
another version of bidsmill made it.
"""

from __future__ import annotations

import hashlib
import re

INDEX = "index.html"
# Stands in the head of the page; by it a page of somebody else is known, and left alone.
MARK = '<meta name="bidsmill-catalogue" content="{sha256}">'
_MARK = re.compile(rb'<meta name="bidsmill-catalogue" content="([0-9a-f]{64})">')
_END = re.compile(rb"<!-- sha256 of all above: ([0-9a-f]{64}) -->\n")


def sealed(page: str) -> bytes:
    """Return a page with the checksum of its bytes as the last line."""
    content = page.encode("utf-8")
    digest = hashlib.sha256(content).hexdigest()
    return content + f"<!-- sha256 of all above: {digest} -->\n".encode()


def is_catalogue_page(content: bytes) -> bool:
    """Return whether bidsmill made a page, whole or not."""
    return _MARK.search(content, 0, 4096) is not None


def catalogue_of(content: bytes) -> str | None:
    """Return the sha256 of the catalogue that a page was made of; None if the page is damaged."""
    mark, lines = _MARK.search(content, 0, 4096), content.rpartition(b"\n<!-- ")
    body = lines[0] + b"\n"
    end = _END.fullmatch(content[len(body) :])
    if mark is None or end is None:
        return None
    return mark[1].decode() if hashlib.sha256(body).hexdigest() == end[1].decode() else None
