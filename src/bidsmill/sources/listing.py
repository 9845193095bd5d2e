"""What a source says of a dataset: its files, with size, checksum and address."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

# One file of a listing and of a lock:
#   path      str, POSIX, relative to the dataset's root
#   size      int, bytes (None: the source does not say)
#   checksum  str, "ALGORITHM:HEX" (None: the source does not say), see CHECKSUM
#   url       str, where the bytes are (absent: the source finds them by path)
#   version   str, the object's version in an S3 bucket (absent: the bucket keeps none)
#   signed    True where the source hands out addresses that end; they are secrets and are not
#             kept: `url` is absent, and `addresses` of the source's module asks for fresh ones
Entry = dict[str, Any]

# Algorithm and hexadecimal digest. `git` is the SHA-1 of a git blob (of "blob SIZE\0" and the
# content: Git, "Git Objects"). `etag` stands beside them: an S3 ETag that is not an MD5
# (multi-part, encrypted); it tells versions apart and cannot be computed.
CHECKSUM = re.compile(r"(?:sha256:[0-9a-f]{64}|md5:[0-9a-f]{32}|git:[0-9a-f]{40}|etag:\S+)")


@dataclass(frozen=True)
class Listing:
    """All files of one version of a dataset.

    Attributes
    ----------
    snapshot : str
        The version, as the source names it.
    files : list of dict
        Entries, see `Entry`; in any order.
    source : dict
        Where it came from, for the lock: ``kind`` and ``id``, ``url`` or ``path``.
    facts : dict
        ``license``, ``doi``, ``authors`` as far as the source states them.
    """

    snapshot: str
    files: list[Entry]
    source: dict[str, Any]
    facts: dict[str, Any] = field(default_factory=dict)


# The parts of a query that name a version. Any other may be a signature or a token: a secret that
# also ends.
PLAIN_QUERY = {"versionId"}


def is_signed(url: str) -> bool:
    """Return whether an address carries more than a place: a signature, a token, a password."""
    parts = urlsplit(url)
    keys = {key for key, _ in parse_qsl(parts.query, keep_blank_values=True)}
    return "@" in parts.netloc or bool(keys - PLAIN_QUERY)


def version_in(url: str) -> str | None:
    """Return the version of an object in S3 that an address names."""
    return dict(parse_qsl(urlsplit(url).query)).get("versionId")


def annex_checksum(key: str) -> str | None:
    """Return the checksum inside a git-annex key, None if the key holds none.

    Keys read ``BACKEND-sSIZE--DIGEST[.EXTENSION]`` (git-annex manual, "internals: key format").
    """
    match = re.match(r"(SHA256|MD5)E?(?:-[a-zA-Z]\d+)*--([0-9a-f]+)(?:\.|$)", key)
    if not match:
        return None
    text = f"{match[1].lower()}:{match[2]}"
    return text if CHECKSUM.fullmatch(text) else None


def annex_size(key: str) -> int | None:
    """Return the size inside a git-annex key, None if it holds none."""
    match = re.match(r"[A-Z0-9_]+(?:-[a-zA-Z]\d+)*?-s(\d+)(?:-[a-zA-Z]\d+)*--", key)
    return int(match[1]) if match else None


def identity(entry: Entry) -> str | None:
    """Return what tells this version of a file from another: its checksum, or the next best.

    Parameters
    ----------
    entry : dict
        A file of a lock.

    Returns
    -------
    str or None
        The checksum; else ``version:…`` (S3) or ``listed:SIZE URL``, as far as the source tells;
        None for a file that could not be read when it was locked.
    """
    if entry.get("checksum"):
        return entry["checksum"]
    if entry.get("version"):
        return f"version:{entry['version']}"
    if entry.get("url"):
        return f"listed:{entry.get('size')} {entry['url']}"
    return None
