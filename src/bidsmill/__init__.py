"""From BIDS archives of EEG, MEG, iEEG and EMG to matrices you can train on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bidsmill.errors import BidsmillError
from bidsmill.version import __version__

if TYPE_CHECKING:
    import os

    from bidsmill.access.store import Store

__all__ = ["BidsmillError", "__version__", "open"]


def open(  # noqa: A001 (read as bidsmill.open)
    address: str | os.PathLike,
    *,
    cache: str | os.PathLike | None = None,
    cache_size: int | str | None = None,
    offline: bool = False,
    endpoint: str | None = None,
    profile: str | None = None,
    anonymous: bool | None = None,
) -> Store:
    """Open a store of datasets. Only its catalogue is read.

    Parameters
    ----------
    address : path-like
        The folder that holds ``catalog.parquet``, or ``s3://bucket/prefix``.
    cache : path-like, optional
        Folder for decoded matrices and for copies of what is remote. If absent, the environment
        variable ``BIDSMILL_CACHE``, or else ``bidsmill`` in the user's cache folder.
    cache_size : int or str, optional
        What the cache folder may hold, in bytes or as ``"200GB"``; what was used longest ago is
        removed first. If absent, ``BIDSMILL_CACHE_SIZE``, or else half of the free space.
    offline : bool
        Never touch the network: only what the cache holds of a bucket.
    endpoint : str, optional
        Address of an S3 service other than Amazon's.
    profile : str, optional
        Profile of the AWS configuration whose credentials are used.
    anonymous : bool, optional
        True: without credentials. If absent, with those that are found, and without where there
        are none.

    Returns
    -------
    bidsmill.access.store.Store
        ``store["ds002718"]`` is a dataset, ``store.catalog`` the table of all of them.

    Raises
    ------
    BidsmillError
        If there is no store at `address`, or it cannot be read.

    Examples
    --------
    >>> store = bidsmill.open("results/store")  # doctest: +SKIP
    >>> X, y = store["ds002718"].select(split="train").arrays(target="face")  # doctest: +SKIP
    """
    # Imported here so that `import bidsmill` costs nothing for those who want one module of it.
    from bidsmill.access.store import Store

    return Store(
        address,
        cache=cache,
        cache_size=cache_size,
        offline=offline,
        endpoint=endpoint,
        profile=profile,
        anonymous=anonymous,
    )
