"""What the processes of test_access_pull do; imported once and forked many times."""

from __future__ import annotations

import logging
import os

import boto3  # noqa: F401 (imported before the fork)
import numpy as np  # noqa: F401
import pandas as pd  # noqa: F401
import pyarrow.parquet as pq  # noqa: F401

from bidsmill.access.cache.cache import Cache
from bidsmill.access.cache.location import locate


def pull(address: str, endpoint: str, folder: str, entries: list[dict], start, log: str) -> None:
    """Fill a cache, once the event is set; what is decoded here goes to `log`."""
    logging.basicConfig(filename=log, format="%(message)s")
    logging.getLogger("bidsmill.cache").setLevel(logging.DEBUG)
    reader = locate(address, cache=folder, endpoint=endpoint, anonymous=True)
    start.wait()
    Cache(reader).pull(entries)
    logging.getLogger("bidsmill.cache").warning("done %d", os.getpid())
