"""A limit on the rate at which bytes are taken, shared by many threads."""

from __future__ import annotations

import threading
import time

# Seconds of unused rate that may be caught up, so that short pauses do not slow a download.
CREDIT = 0.5


class Pace:
    """Hold back threads that together take more bytes per second than allowed.

    Parameters
    ----------
    megabytes : float or None
        Most MB (10**6 bytes) per second; None: no limit.
    """

    def __init__(self, megabytes: float | None):
        self._rate = megabytes * 1e6 if megabytes else None
        self._guard = threading.Lock()
        self._free_at = time.monotonic()

    def spend(self, count: int) -> None:
        """Take `count` bytes, and sleep until they are due."""
        if self._rate is None:
            return
        with self._guard:
            now = time.monotonic()
            self._free_at = max(self._free_at, now - CREDIT) + count / self._rate
            wait = self._free_at - now
        if wait > 0:
            time.sleep(wait)
