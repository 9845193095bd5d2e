"""Whether the disk has room for what is about to be written."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path

from bidsmill.errors import DiskFull

# Left free on the disk for results and logs.
RESERVE_BYTES = 256 << 20
FULL = (errno.ENOSPC, errno.EDQUOT)


def require_room(
    folder: Path, needed: int, *, what: str, purpose: str, todo: str, reserve: int = RESERVE_BYTES
) -> None:
    """Refuse to begin what does not fit on the disk.

    Parameters
    ----------
    folder : pathlib.Path
        Where it is to be written; it may not be there yet.
    needed : int
        Bytes.
    what, purpose, todo : str
        For the message: what has no room, what the bytes are for, and what to do.
    reserve : int
        Bytes to leave free.

    Raises
    ------
    DiskFull
        That says how much is free and how much is needed.
    """
    there = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    free = shutil.disk_usage(there).free
    if needed + reserve > free:
        raise DiskFull(
            what,
            file=folder,
            found=f"{free / 1e9:.2f} GB free",
            expected=f"{(needed + reserve) / 1e9:.2f} GB for {purpose}",
            todo=todo,
        )
