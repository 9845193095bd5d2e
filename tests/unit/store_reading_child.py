"""A process that reads the latest version of a dataset without a pause, and says what it saw.

Every line on standard output is JSON: ``began`` and ``ended`` (seconds of the machine's monotonic
clock), and ``version`` with ``digest`` of rows and labels, or ``error``. It ends with its standard
input.
"""

from __future__ import annotations

import hashlib
import json
import select
import sys
import tempfile
import time
import traceback
from pathlib import Path

import numpy as np

import bidsmill
from bidsmill.errors import BidsmillError


def digest(rows: np.ndarray, labels: list[str]) -> str:
    """Return what stands for rows (rows, channels, times) and their labels."""
    content = np.ascontiguousarray(rows, dtype="<f4").tobytes() + "\n".join(labels).encode()
    return hashlib.sha256(content).hexdigest()


def look(address: str, endpoint: str, cache: str) -> dict:
    """Read the latest version once."""
    try:
        dataset = bidsmill.open(address, endpoint=endpoint, cache=cache)["ds"]
        rows, labels = dataset.select(excluded=True).arrays(target="face")
        return {
            "version": dataset.version,
            "digest": digest(rows, [str(label) for label in labels]),
        }
    except BidsmillError as error:
        return {"error": str(error)}
    except Exception:
        return {"traceback": traceback.format_exc()}


def main(address: str, endpoint: str) -> None:
    """Read until standard input ends, in turns with a cache that stays and an empty one."""
    with tempfile.TemporaryDirectory() as folder:
        for turn in range(10**6):
            began = time.monotonic()
            cache = Path(folder) / (f"empty-{turn}" if turn % 4 == 3 else "kept")
            seen = look(address, endpoint, str(cache))
            print(json.dumps({"began": began, "ended": time.monotonic(), **seen}), flush=True)
            if select.select([sys.stdin], [], [], 0.02)[0]:
                return


if __name__ == "__main__":
    main(*sys.argv[1:])
