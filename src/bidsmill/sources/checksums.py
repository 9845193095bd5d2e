"""Checksums of a file, computed while its bytes arrive in order."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from typing import Protocol

MEBIBYTE = 1 << 20
# Sizes of parts that are tried for one multi-part ETag: each costs as much as an MD5.
MOST_PART_SIZES = 3


class Hasher(Protocol):
    """What hashlib's objects offer."""

    def update(self, content: bytes, /) -> None:
        """Take bytes in."""

    def hexdigest(self) -> str:
        """Return the digest of what came so far."""


class Checksums:
    """The sha256 of a file, and the checksum that its source states.

    Parameters
    ----------
    checksum : str or None
        ``ALGORITHM:HEX`` as in a lock (see `listing.CHECKSUM`).
    size : int or None
        Bytes of the file, if known.
    """

    def __init__(self, checksum: str | None, size: int | None):
        self._sha256 = hashlib.sha256()
        self._algorithm, _, self._expected = (checksum or "").partition(":")
        self._others = _hashers(self._algorithm, self._expected, size)

    def update(self, content: bytes) -> None:
        """Take the next bytes in."""
        self._sha256.update(content)
        for hasher in self._others:
            hasher.update(content)

    @property
    def sha256(self) -> str:
        """The sha256 of what came so far."""
        return self._sha256.hexdigest()

    def found(self, again: Callable[[Hasher], None]) -> str | None:
        """Return the checksum of the whole file in the source's algorithm.

        Parameters
        ----------
        again : callable
            Feeds all bytes of the file to a hasher: the header of a git blob holds the size,
            which may not have been known before.

        Returns
        -------
        str or None
            None if the source states none that can be computed.
        """
        if self._algorithm == "sha256":
            return f"sha256:{self.sha256}"
        if self._algorithm == "git" and not self._others:
            size = _Counter()
            again(size)
            self._others = _hashers("git", "", size.count)
            again(self._others[0])
        digests = [hasher.hexdigest() for hasher in self._others]
        if self._algorithm == "etag":
            # Of the sizes that its parts may have had, one fits or none does.
            return f"etag:{self._expected}" if self._expected in digests else None
        return f"{self._algorithm}:{digests[0]}" if digests else None


class _Counter:
    """Counts bytes."""

    def __init__(self) -> None:
        self.count = 0

    def update(self, content: bytes, /) -> None:
        self.count += len(content)

    def hexdigest(self) -> str:
        return ""


class MultipartMd5:
    """The ETag of an object that was uploaded in parts of one size.

    It is the MD5 of the MD5s of the parts, and their number (not documented by Amazon, who say
    only that it is no MD5 of the content; as computed by S3, Ceph and others).

    Parameters
    ----------
    part : int
        Bytes of every part but the last.
    """

    def __init__(self, part: int):
        self._part, self._left = part, part
        self._current = hashlib.md5(usedforsecurity=False)
        self._digests: list[bytes] = []

    def update(self, content: bytes, /) -> None:
        """Take the next bytes in."""
        view = memoryview(content)
        while view:
            taken = view[: self._left]
            self._current.update(taken)
            self._left -= len(taken)
            view = view[len(taken) :]
            if not self._left:
                self._digests.append(self._current.digest())
                self._current, self._left = hashlib.md5(usedforsecurity=False), self._part

    def hexdigest(self) -> str:
        """Return the ETag of what came so far."""
        parts = list(self._digests)
        if self._left < self._part or not parts:
            parts.append(self._current.digest())
        whole = hashlib.md5(b"".join(parts), usedforsecurity=False).hexdigest()
        return f"{whole}-{len(parts)}"


def part_sizes(size: int, parts: int) -> list[int]:
    """Return the sizes that the parts of an object may have had, the likely ones first.

    Parameters
    ----------
    size : int
        Bytes of the object.
    parts : int
        Their number, as its ETag ends.

    Returns
    -------
    list of int
        At most `MOST_PART_SIZES`: whole MiB or MB, powers of two before multiples of five before
        others, as upload tools choose them (boto3 and the AWS CLI: 8 MiB).
    """
    if parts == 1:
        return [size]
    least, most = -(-size // parts), (size - 1) // (parts - 1)
    found = [
        unit * count
        for unit in (MEBIBYTE, 1_000_000)
        for count in range(-(-least // unit), most // unit + 1)
    ]

    def likelihood(part: int) -> tuple[int, int]:
        unit = MEBIBYTE if part % MEBIBYTE == 0 else 1_000_000
        count = part // unit
        if unit == MEBIBYTE and count & (count - 1) == 0:
            return 0, part
        return (1 if count % 5 == 0 else 2) + 2 * (unit != MEBIBYTE), part

    return sorted(found, key=likelihood)[:MOST_PART_SIZES]


def _hashers(algorithm: str, expected: str, size: int | None) -> list[Hasher]:
    """Return what computes a checksum besides sha256."""
    if algorithm == "md5":
        return [hashlib.md5(usedforsecurity=False)]
    if algorithm == "git" and size is not None:
        # Git, "Git Objects": the hash of a blob covers a header with its size.
        return [hashlib.sha1(f"blob {size}\0".encode(), usedforsecurity=False)]
    parts = re.fullmatch(r"[0-9a-f]{32}-(\d+)", expected) if algorithm == "etag" else None
    if parts and size:
        return [MultipartMd5(part) for part in part_sizes(size, int(parts[1]))]
    return []
