"""Locks of the cache folder: the kernel's, which end with their holder, however it ends.

Some network file systems have none (ENOLCK, EOPNOTSUPP): there, everything goes on without locks.
Files come into being by a rename and are never written again, so that a missing lock costs work
done twice, and nothing else.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# A holder that takes longer is stopped or hangs: the work is then done without it.
WAIT_SECONDS = 600
POLL_SECONDS = 0.005, 0.2
NO_LOCKS = {errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL, errno.EBADF}


def try_lock(descriptor: int, kind: int) -> bool | None:
    """Take a lock if nobody else holds it.

    Parameters
    ----------
    descriptor : int
        Of an open file.
    kind : int
        ``fcntl.LOCK_SH`` or ``fcntl.LOCK_EX``.

    Returns
    -------
    bool or None
        Whether it was taken; None where the file system has no locks.
    """
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        return True
    except OSError as error:
        if error.errno in NO_LOCKS:
            return None
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES, errno.EAGAIN):
            return False
        raise


@contextmanager
def only_one(path: Path, wait: float = WAIT_SECONDS) -> Iterator[bool]:
    """Let one thread of one process at a time into the block.

    Parameters
    ----------
    path : pathlib.Path
        The file to lock. It is removed by its last holder.
    wait : float
        Seconds to wait for another holder.

    Yields
    ------
    bool
        Whether the lock is held. The block runs all the same where there are no locks, and
        where the holder did not let go in time.
    """
    descriptor = _acquired(path, wait)
    try:
        yield descriptor is not None
    finally:
        if descriptor is not None:
            path.unlink(missing_ok=True)
            # Said aloud: a child that was forked meanwhile has a copy of the descriptor.
            fcntl.flock(descriptor, fcntl.LOCK_UN)
            os.close(descriptor)


def _acquired(path: Path, wait: float) -> int | None:
    """Return the descriptor of the locked file, or None without a lock."""
    limit, pause = time.monotonic() + wait, POLL_SECONDS[0]
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        taken: bool | None = False
        held = False
        try:
            taken = try_lock(descriptor, fcntl.LOCK_EX)
            held = bool(taken) and _is_still(path, descriptor)
        finally:
            if not held:
                os.close(descriptor)
        if held:
            return descriptor
        if taken is None:  # no locks here, and so nobody who holds it
            path.unlink(missing_ok=True)
        if taken is None or time.monotonic() > limit:
            return None
        if not taken:  # else: its last holder has just removed it
            time.sleep(pause)
            pause = min(2 * pause, POLL_SECONDS[1])


def _is_still(path: Path, descriptor: int) -> bool:
    """Tell whether an open file is the one of this name."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False
