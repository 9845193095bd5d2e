"""Writing the arrays of the cache: through the memory that the system keeps of files, or past it.

What is pulled ahead is often more than the memory holds, and would push out of it what is in use.
It is written straight to the disk (O_DIRECT of open(2)), where there is such a thing, which also
saves the processor the copy.
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import zlib
from pathlib import Path

from bidsmill.formats.float_lists import crc32

# A multiple of the block of any disk, which these writes must have.
STAGE_BYTES = 4 << 20
BLOCK_BYTES = 4096
DIRECT = getattr(os, "O_DIRECT", 0)


class ArrayFile:
    """A new file of the cache, open for writing; it takes the CRC-32 of what passes.

    Parameters
    ----------
    path : pathlib.Path
        Where it goes.
    direct : bool
        Write straight to the disk, if the file system can.

    Attributes
    ----------
    checksum : int
        The CRC-32 of what was written.

    Notes
    -----
    Plain writes, not a writable map: a full disk is then an error and not a SIGBUS.
    """

    def __init__(self, path: Path, direct: bool = False):
        self.checksum = zlib.crc32(b"")
        self._stage: mmap.mmap | None = None
        self._held = 0
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        if direct and DIRECT:
            try:
                self._handle = os.open(path, flags | DIRECT, 0o666)
                self._stage = mmap.mmap(-1, STAGE_BYTES)  # begins at a page, as it must
                return
            except OSError as error:
                if error.errno != errno.EINVAL:
                    raise
        self._handle = os.open(path, flags, 0o666)

    def __enter__(self) -> ArrayFile:
        return self

    def __exit__(self, *exception) -> None:
        os.close(self._handle)

    def write(self, content) -> None:
        """Write bytes.

        Raises
        ------
        OSError
            If the disk is full.
        """
        left = memoryview(content)
        if self._stage is None:
            self.checksum = crc32()(left, self.checksum)
            self._write_all(left)
            return
        while left:
            count = min(len(left), STAGE_BYTES - self._held)
            self._stage[self._held : self._held + count] = left[:count]
            self._held += count
            left = left[count:]
            if self._held == STAGE_BYTES:
                self._pass_on(STAGE_BYTES)

    def finish(self, sync: bool) -> None:
        """Write what is held; `sync`: and wait until the disk has all of it."""
        if self._stage is not None:
            whole = self._held // BLOCK_BYTES * BLOCK_BYTES
            rest = self._stage[whole : self._held]
            self._pass_on(whole)
            self._write_through_memory()
            self.checksum = crc32()(rest, self.checksum)
            self._write_all(memoryview(rest))
        if sync:
            os.fsync(self._handle)

    def _pass_on(self, count: int) -> None:
        assert self._stage is not None
        with memoryview(self._stage) as stage:
            self.checksum = crc32()(stage[:count], self.checksum)
            left = stage[:count]
            while left:
                try:
                    left = left[os.write(self._handle, left) :]
                except OSError as error:
                    if error.errno != errno.EINVAL or not self._is_direct():
                        raise
                    # It wants larger blocks, or wrote a part of one because the disk is full.
                    self._write_through_memory()
            left.release()
        self._held = 0

    def _is_direct(self) -> bool:
        return bool(fcntl.fcntl(self._handle, fcntl.F_GETFL) & DIRECT)

    def _write_through_memory(self) -> None:
        flags = fcntl.fcntl(self._handle, fcntl.F_GETFL)
        fcntl.fcntl(self._handle, fcntl.F_SETFL, flags & ~DIRECT)

    def _write_all(self, left: memoryview) -> None:
        while left:
            left = left[os.write(self._handle, left) :]
