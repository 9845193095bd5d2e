"""From BIDS archives of EEG, MEG, iEEG and EMG to matrices you can train on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bidsmill.version import __version__

if TYPE_CHECKING:
    import os

    from bidsmill.access.store import Store

__all__ = ["__version__", "open"]


def open(  # noqa: A001 (read as bidsmill.open)
    path: str | os.PathLike, *, cache: str | os.PathLike | None = None
) -> Store:
    """Open a store of datasets.

    Parameters
    ----------
    path : path-like
        The folder that holds ``catalog.parquet``.
    cache : path-like, optional
        Folder for decoded matrices. If absent, the environment variable ``BIDSMILL_CACHE``, or
        else ``bidsmill`` in the user's cache folder.

    Returns
    -------
    bidsmill.access.store.Store
        ``store["ds002718"]`` is a dataset, ``store.catalog`` the table of all of them.

    Raises
    ------
    BidsmillError
        If there is no store at `path`.

    Examples
    --------
    >>> store = bidsmill.open("results/store")  # doctest: +SKIP
    >>> X, y = store["ds002718"].select(split="train").arrays(target="face")  # doctest: +SKIP
    """
    # Imported here so that `import bidsmill` costs nothing for those who want one module of it.
    from bidsmill.access.store import Store

    return Store(path, cache=cache)
