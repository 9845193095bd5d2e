"""A small store made with the formats alone, and the arrays that went into it."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from bidsmill.formats import files, layout, manifest, tables
from bidsmill.formats.matrix import MatrixWriter

FACES = ["Famous", "Unfamiliar", "Scrambled"]
A_SOURCES = [" Fz ", "A.1", 'EEG "x"', "µV/ref", "EOG"]
A_TYPES = ["eeg", "eeg", "eeg", "eeg", "eog"]
B_SOURCES = ["Cz", "x", "X", "EOG", "A.1"]
B_TYPES = ["eeg", "misc", "eeg", "eog", "eeg"]


@dataclass
class Recording:
    """What one recording of the store holds."""

    subject: str
    sources: list[str]
    types: list[str]
    rows: int = 8
    sfreq: float = 128.0
    n_times: int = 16
    tmin: float = -0.0625
    group_rows: int = 3
    bads: tuple[str, ...] = ()
    units: list[str] = field(default_factory=list)
    seed: int = 0

    def __post_init__(self):
        self.units = self.units or ["V"] * len(self.sources)
        self.name = f"sub-{self.subject}_task-faces_eeg"
        self.columns = layout.column_names(self.sources)
        self.layout = layout.layout_id(
            self.columns, self.types, self.units, self.sfreq, self.n_times
        )
        rng = np.random.default_rng([int(self.subject), self.seed])
        shape = (self.rows, len(self.sources), self.n_times)
        self.array = (rng.standard_normal(shape) * 1e-5).astype(np.float32)

    def position(self, index: int) -> list[float] | None:
        if self.types[index] != "eeg":
            return None
        return [0.01 * index, 0.05 - 0.003 * index, 0.1 / (index + 3)]

    def channels(self) -> list[dict]:
        return [
            {
                "name": column,
                "source_name": source,
                "type": kind,
                "unit": unit,
                "status": "bad" if column in self.bads else "good",
                "position": self.position(index),
            }
            for index, (column, source, kind, unit) in enumerate(
                zip(self.columns, self.sources, self.types, self.units, strict=True)
            )
        ]

    def metadata(self) -> dict:
        return {
            "recording": self.name,
            "channels": self.channels(),
            "sfreq": self.sfreq,
            "tmin": self.tmin,
            "n_times": self.n_times,
            "layout": self.layout,
        }


def mixed_recordings() -> list[Recording]:
    """Three recordings of layout A, then two of layout B."""
    return [
        Recording("01", A_SOURCES, A_TYPES),
        Recording("02", A_SOURCES, A_TYPES, bads=("A.1",)),
        Recording("03", A_SOURCES, A_TYPES, rows=5, bads=("EOG",)),
        Recording("04", B_SOURCES, B_TYPES),
        Recording("05", B_SOURCES, B_TYPES, rows=9),
    ]


def samples_of(recordings: list[Recording], seed: int = 0) -> pd.DataFrame:
    """Return a table of samples with labels, splits and an excluded row."""
    rng = np.random.default_rng(seed)
    parts = []
    for recording in recordings:
        n = recording.rows
        faces = rng.choice([*FACES, ""], n).astype(object)
        part = {
            "recording": recording.name,
            "row": np.arange(n),
            "onset": np.arange(n) * 0.5 + 1,
            "start": np.arange(n) * 64 + 120,
            "stop": np.arange(n) * 64 + 120 + recording.n_times,
            "event": np.arange(n),
            "subject": recording.subject,
            "task": "faces",
            "participant_age": {"01": "31", "02": "n/a", "03": "25.5"}.get(recording.subject, ""),
            "participant_hand pref": "R" if int(recording.subject) % 2 else "L",
            "trial_type": faces,
            "HED": [f"Sensory-event, Label/{f}" if f else "" for f in faces],
            "face": faces,
            "rt": np.where(rng.random(n) < 0.3, np.nan, rng.random(n)),
            "excluded": "",
            "split": "test" if recording.subject in ("03", "05") else "train",
            "layout": recording.layout,
        }
        parts.append(pd.DataFrame(part))
    frame = pd.concat(parts, ignore_index=True)
    frame.loc[3, "excluded"] = "amplitude"
    return frame


class StoreBuilder:
    """Publish datasets into a folder, as the contract says."""

    def __init__(self, root: Path):
        self.root = root
        self.rows: dict[str, dict] = {}

    def publish(
        self,
        dataset: str,
        recordings: list[Recording],
        samples: pd.DataFrame,
        snapshot: str = "1.0.0",
    ) -> str:
        entries = [self._matrix(dataset, recording) for recording in recordings]
        paths = {entry["recording"]: entry["path"] for entry in entries}
        samples = samples.assign(file=samples["recording"].map(paths))
        scratch = self.root / "scratch"
        tables.write_parquet(scratch / "samples.parquet", samples)
        entries.append(self._store(dataset, "samples", scratch / "samples.parquet"))
        for kind, frame in self._text_tables(recordings).items():
            tables.write_tsv(scratch / f"{kind}.tsv", frame)
            entries.append(self._store(dataset, kind, scratch / f"{kind}.tsv"))
        shutil.rmtree(scratch)
        content = manifest.build_manifest(
            dataset, snapshot, entries, self._summary(recordings, samples, paths)
        )
        return self._point(dataset, snapshot, content)

    def _matrix(self, dataset: str, recording: Recording) -> dict:
        path = self.root / "scratch" / f"{recording.name}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        with MatrixWriter(path, recording.columns, recording.n_times) as writer:
            for start in range(0, recording.rows, recording.group_rows):
                block = recording.array[start : start + recording.group_rows]
                writer.write_group(np.ascontiguousarray(block.transpose(1, 0, 2)))
            written = writer.close(recording.metadata())
        entry = self._store(dataset, "matrix", path)
        assert entry["sha256"] == written["sha256"]
        return {
            **entry,
            "recording": recording.name,
            "layout": recording.layout,
            "shape": written["shape"],
        }

    def _store(self, dataset: str, kind: str, path: Path) -> dict:
        content = path.read_bytes()
        sha256 = hashlib.sha256(content).hexdigest()
        stored = manifest.stored_path(dataset, kind, path.name, sha256)
        files.write_bytes(self.root / stored, content)
        return {
            "kind": kind,
            "name": path.name,
            "path": stored,
            "size": len(content),
            "sha256": sha256,
        }

    def _text_tables(self, recordings: list[Recording]) -> dict[str, pd.DataFrame]:
        channels = [
            {
                "recording": recording.name,
                **{key: value for key, value in channel.items() if key != "position"},
                "kept": True,
                **dict(zip("xyz", channel["position"] or [None] * 3, strict=True)),
            }
            for recording in recordings
            for channel in recording.channels()
        ]
        # A channel that was left out at conversion, and has the name of one that was not.
        channels.append({**channels[0], "source_name": "left out", "kept": False})
        return {
            "recordings": pd.DataFrame(
                [
                    {"recording": r.name, "status": "converted", "sfreq": r.sfreq, "rows": r.rows}
                    for r in recordings
                ]
            ),
            "events": pd.DataFrame(
                [
                    {"recording": r.name, "onset": 1 + 0.5 * i, "outcome": "used", "row": i}
                    for r in recordings
                    for i in range(r.rows)
                ]
            ),
            "channels": pd.DataFrame(channels),
        }

    def _summary(self, recordings, samples, paths) -> dict:
        layouts: dict[str, dict] = {}
        for recording in recordings:
            found = layouts.setdefault(
                recording.layout,
                {
                    "channels": recording.columns,
                    "types": recording.types,
                    "units": recording.units,
                    "sfreq": recording.sfreq,
                    "tmin": recording.tmin,
                    "n_times": recording.n_times,
                    "rows": 0,
                    "files": [],
                },
            )
            found["rows"] += recording.rows
            found["files"].append(paths[recording.name])
        return {
            "name": "Faces",
            "license": "CC0",
            "doi": "",
            "datatypes": ["eeg"],
            "tasks": ["faces"],
            "labels": {"face": {"kind": "class", "classes": FACES}, "rt": {"kind": "number"}},
            "split": "subject",
            "recordings": len(recordings),
            "converted": len(recordings),
            "quarantined": 0,
            "subjects": len(recordings),
            "rows": len(samples),
            "hed_version": "8.3.0",
            "layouts": layouts,
        }

    def _point(self, dataset: str, snapshot: str, content: dict) -> str:
        encoded = files.json_bytes(content)
        version = manifest.version_of(snapshot, encoded)
        files.write_bytes(self.root / manifest.manifest_path(dataset, version), encoded)
        pointer_path = self.root / manifest.pointer_path(dataset)
        old = files.read_json(pointer_path) if pointer_path.is_file() else None
        pointer = manifest.new_pointer(old, version, snapshot, "2024-01-01T00:00:00Z")
        files.write_json(pointer_path, pointer)
        self.rows[dataset] = manifest.catalog_row(content, version)
        frame = pd.DataFrame(list(self.rows.values()))
        tables.write_parquet(self.root / manifest.CATALOG, frame)
        return version


def expected_rows(recordings: list[Recording], samples: pd.DataFrame, channels=None) -> np.ndarray:
    """Stack the arrays that went in, row by row, in the order of a table of samples."""
    by_name = {recording.name: recording for recording in recordings}
    rows = []
    for name, row in zip(samples["recording"], samples["row"], strict=True):
        recording = by_name[name]
        index = [recording.columns.index(c) for c in channels or recording.columns]
        rows.append(recording.array[row][index])
    return np.stack(rows)
