"""A file whose sha256 is taken while it is written, so that it is not read again."""

from __future__ import annotations

import hashlib
import os
from typing import Any


class HashingFile:
    """A file open for writing that takes the sha256 of what passes."""

    def __init__(self, path: str | os.PathLike):
        self._file = open(path, "wb")  # noqa: SIM115 (closed by `close`)
        self.sha256 = hashlib.sha256()
        self.size = 0

    @property
    def closed(self) -> bool:
        """Tell whether it is closed."""
        return self._file.closed

    def write(self, content: Any) -> int:
        """Write bytes, or an object with their buffer."""
        self._file.write(content)
        self.sha256.update(content)
        self.size += len(content)
        return len(content)

    def tell(self) -> int:
        """Return how many bytes were written."""
        return self.size

    def flush(self) -> None:
        """Pass on what is held."""
        self._file.flush()

    def finish(self) -> None:
        """Wait until the disk has all of it."""
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file."""
        self._file.close()
