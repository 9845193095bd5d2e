"""How a person sees that a publish goes on: a bar in a terminal, else a line now and then."""

from __future__ import annotations

import logging
import sys
import threading
import time
from types import TracebackType
from typing import Any

log = logging.getLogger(__name__)

SECONDS_PER_LINE = 30.0
MEGABYTE = 1e6


class Progress:
    """Counts the bytes that went over; may be called by many threads.

    Parameters
    ----------
    total : int
        Bytes to send.
    what : str
        Shown before the numbers.
    """

    def __init__(self, total: int, what: str):
        self.total, self.what, self.done = total, what, 0
        self._lock = threading.Lock()
        self._told = time.monotonic()
        self._bar: Any = None

    def __enter__(self) -> Progress:
        if self.total and sys.stderr is not None and sys.stderr.isatty():
            try:
                from tqdm import tqdm
            except ModuleNotFoundError:  # without the pipeline: lines
                return self
            self._bar = tqdm(
                total=self.total, desc=self.what, unit="B", unit_scale=True, file=sys.stderr
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.close()

    def __call__(self, count: int) -> None:
        """Add bytes; a file that is sent anew takes its bytes back by a negative count."""
        with self._lock:
            self.done += count
            if self._bar is not None:
                self._bar.update(count)
            elif time.monotonic() - self._told > SECONDS_PER_LINE:
                self._told = time.monotonic()
                log.info(
                    "%s: %.0f of %.0f MB", self.what, self.done / MEGABYTE, self.total / MEGABYTE
                )
