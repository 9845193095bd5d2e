"""A bar that shows how far a dataset has come; silent where nobody watches."""

from __future__ import annotations

import threading


class Progress:
    """Bytes of a dataset that are there, out of all.

    Parameters
    ----------
    dataset : str
        Its name stands before the bar.
    total : int
        Bytes of all files to be fetched.
    done : int
        Bytes that were there before.

    Notes
    -----
    Written to standard error if that is a terminal, and not at all otherwise.
    """

    def __init__(self, dataset: str, total: int, done: int):
        from tqdm import tqdm

        self._guard = threading.Lock()
        self._bar = tqdm(
            desc=f"fetch {dataset}",
            total=max(total, done),
            initial=done,
            unit="B",
            unit_scale=True,
            mininterval=0.5,
            leave=False,
            disable=None,
        )

    def add(self, count: int) -> None:
        """Count bytes that came (negative: were thrown away); safe from many threads."""
        with self._guard:
            self._bar.update(count)

    def close(self) -> None:
        """Remove the bar."""
        self._bar.close()
