"""How a person sees that bytes go over: a bar in a terminal, else a line now and then."""

from __future__ import annotations

import logging
import sys
import threading
import time
from types import TracebackType

from bidsmill.formats.numbers import size_text

log = logging.getLogger(__name__)

WIDTH = 30
SECONDS_BETWEEN = 0.2
SECONDS_PER_LINE = 30.0


class Progress:
    """Counts bytes; may be called by many threads.

    The bar goes to standard error, if that is a terminal; lines go to the log.

    Parameters
    ----------
    title : str
        Stands before the bar.
    total : int
        Bytes of all; 0 where nobody knows.
    """

    def __init__(self, title: str, total: int = 0):
        self.title, self.total, self.done = title, total, 0
        self._guard = threading.Lock()
        self._watched = sys.stderr is not None and sys.stderr.isatty()
        self._drawn = False
        # The first bar at once, the first line after a while.
        self._shown = -SECONDS_BETWEEN if self._watched else time.monotonic()

    def __call__(self, count: int) -> None:
        """Add bytes; a file that starts anew takes its bytes back by a negative count."""
        with self._guard:
            self.done += count
            now = time.monotonic()
            whole = self._watched and self.done == self.total
            pause = SECONDS_BETWEEN if self._watched else SECONDS_PER_LINE
            if now - self._shown < pause and not whole:
                return
            self._shown = now
            if self._watched:
                self._drawn = True
                print(f"\r{self._bar()}\x1b[K", end="", file=sys.stderr, flush=True)
            else:
                of = f" of {size_text(self.total)}" if self.total else ""
                log.info("%s: %s%s", self.title, size_text(max(self.done, 0)), of)

    def _bar(self) -> str:
        if not self.total:
            return f"{self.title} {size_text(max(self.done, 0))}"
        share = min(max(self.done / self.total, 0.0), 1.0)
        full = int(share * WIDTH)
        bar = "#" * full + "." * (WIDTH - full)
        return f"{self.title} [{bar}] {share:4.0%} of {size_text(self.total)}"

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._drawn:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
