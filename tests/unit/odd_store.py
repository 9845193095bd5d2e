"""A published store whose channels have names that trip readers up."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
from access_store import Recording, StoreBuilder, samples_of

from bidsmill.formats import manifest

DATASET = "odd"
ODD = [
    "A.1",
    'EEG "x"',
    "it's",
    "µV/ref",
    "a b",
    "x",
    "X",
    "1",
    "index",
    "file",
    "row",
    "..",
    "{$[*]?}",
]
PLAIN = ["Fz", "Cz"]


class OddStore:
    """Three recordings of odd channels, and one of two plain ones.

    Parameters
    ----------
    root : pathlib.Path
        Folder of the store.
    """

    def __init__(self, root: Path):
        self.root = root
        self.recordings = [
            Recording("01", ODD, ["eeg"] * len(ODD)),
            Recording("02", ODD, ["eeg"] * len(ODD), rows=5),
            Recording("03", ODD, ["eeg"] * len(ODD), rows=4),
            Recording("04", PLAIN, ["eeg"] * len(PLAIN), rows=6),
        ]
        self.odd, self.plain = self.recordings[0].layout, self.recordings[3].layout
        # Rows in another order than in the files: only file and row say which signal it is.
        samples = samples_of(self.recordings).sample(frac=1, random_state=1).reset_index(drop=True)
        samples["split"] = [("train", "test")[i % 2] for i in range(len(samples))]
        self.version = StoreBuilder(root).publish(DATASET, self.recordings, samples)
        path = root / manifest.manifest_path(DATASET, self.version)
        self.manifest = json.loads(path.read_bytes())
        self.samples: pd.DataFrame = pd.read_parquet(self.path_of("samples"))

    def entries(self, kind: str) -> list[dict]:
        return [entry for entry in self.manifest["files"] if entry["kind"] == kind]

    def path_of(self, kind: str) -> Path:
        return self.root / self.entries(kind)[0]["path"]

    def recording_of(self, file: str) -> Recording:
        """Return the recording whose matrix has this path, or this file name."""
        entry = next(e for e in self.entries("matrix") if e["path"].endswith(file.split("/")[-1]))
        return next(r for r in self.recordings if r.name == entry["recording"])
