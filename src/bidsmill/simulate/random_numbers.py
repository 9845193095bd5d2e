"""Random numbers of a simulation: one stream per thing drawn, named by what it is for.

A stream is the counter-based generator Philox 4x64 (Salmon et al. 2011,
doi:10.1145/2063384.2063405) under a key made from the seed and the name of the thing. So what is
drawn for one region, sample or block never depends on what was drawn before it, on the batch or
on the number of cores.
"""

from __future__ import annotations

import hashlib
import json
from operator import index

import numpy as np


def generator(seed: int, *path: str | int) -> np.random.Generator:
    """Return the stream of random numbers of one thing.

    Parameters
    ----------
    seed : int
        Seed of the simulation.
    *path : str or int
        Name of the thing, from the general to the special:
        ``generator(7, "noise", region, condition, block)``. The text ``"1"`` and the number ``1``
        are different names.

    Returns
    -------
    numpy.random.Generator
        A new generator at its start. Equal arguments give equal streams; different ones give
        independent streams (the key is the first 128 bits of a SHA-256).
    """
    name = [index(seed), *(part if isinstance(part, str) else index(part) for part in path)]
    text = json.dumps(name, ensure_ascii=True, separators=(",", ":"))
    digest = hashlib.sha256(text.encode("ascii")).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest[:16], "big")))
