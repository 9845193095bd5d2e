"""A bar that shows how far a command has come; silent where nobody watches."""

from __future__ import annotations

import sys
import threading
import time
from types import TracebackType

from bidsmill.access.commands.printing import size_text

WIDTH = 30
SECONDS_BETWEEN = 0.2


class Bar:
    """Bytes that are done, on standard error, if that is a terminal.

    Parameters
    ----------
    title : str
        Stands before the bar.
    total : int
        Bytes of all; 0 where nobody knows.
    """

    def __init__(self, title: str, total: int = 0):
        self.title = title
        self.total = total
        self.done = 0
        self._shown = 0.0
        self._guard = threading.Lock()
        self._watched = sys.stderr.isatty()

    def add(self, count: int) -> None:
        """Count bytes; safe from many threads."""
        with self._guard:
            self.done += count
            now = time.monotonic()
            if self._watched and now - self._shown >= SECONDS_BETWEEN:
                self._shown = now
                print(f"\r{self._line()}\x1b[K", end="", file=sys.stderr, flush=True)

    def _line(self) -> str:
        if not self.total:
            return f"{self.title} {size_text(max(self.done, 0))}"
        share = min(max(self.done / self.total, 0.0), 1.0)
        full = int(share * WIDTH)
        bar = "#" * full + "." * (WIDTH - full)
        return f"{self.title} [{bar}] {share:4.0%} of {size_text(self.total)}"

    def __enter__(self) -> Bar:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._watched and self._shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
