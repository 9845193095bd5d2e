"""Small stores for the audit: made with the formats and our own split, then edited to leak."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from bidsmill.formats import certificate, files, layout, manifest, tables
from bidsmill.formats.matrix import MatrixWriter
from bidsmill.split.dataset import split_samples

RATE, WINDOW = 128.0, 128
NAMES = ["Fz", "Cz", "Pz", "Oz"]
SETTINGS = {"test": 0.3, "group": "subject", "stratify": "labels"}


def noise(seed, channels: int = 4, times: int = 1600, slope: float = 1.0) -> np.ndarray:
    """Return noise whose power falls with frequency, float32 of shape (channels, times), in V."""
    chance = np.random.default_rng(seed)
    spectrum = np.fft.rfft(chance.standard_normal((channels, times)), axis=1)
    spectrum /= np.maximum(np.arange(spectrum.shape[1]), 1) ** (slope / 2)
    signal = np.fft.irfft(spectrum, times, axis=1)
    return (signal / signal.std(axis=1, keepdims=True) * 1e-5).astype(np.float32)


@dataclass
class Recording:
    """Windows cut from one signal."""

    subject: str
    signal: np.ndarray
    session: str = ""
    run: str = ""
    sfreq: float = RATE
    window: int = WINDOW
    step: int = WINDOW
    first: int = 0
    names: list[str] = field(default_factory=list)
    types: list[str] = field(default_factory=list)
    processing: list[dict] = field(default_factory=list)
    source: str = ""
    label: Callable[[int], str] | None = None

    def __post_init__(self):
        n_channels = len(self.signal)
        self.names = self.names or [*NAMES, *(f"E{i}" for i in range(n_channels))][:n_channels]
        self.types = self.types or ["eeg"] * n_channels
        parts = (("sub", self.subject), ("ses", self.session), ("task", "x"), ("run", self.run))
        self.name = "_".join(f"{key}-{value}" for key, value in parts if value) + "_eeg"
        self.starts = np.arange(self.first, self.signal.shape[1] - self.window + 1, self.step)
        cut = [self.signal[:, start : start + self.window] for start in self.starts]
        self.rows = np.stack(cut).astype(np.float32)
        own = hashlib.sha256(np.ascontiguousarray(self.signal).tobytes() + self.name.encode())
        self.source = self.source or own.hexdigest()

    @property
    def layout(self) -> str:
        units = ["V"] * len(self.names)
        return layout.layout_id(self.names, self.types, units, self.sfreq, self.window)

    def samples(self, chance) -> pd.DataFrame:
        n = len(self.starts)
        drawn = chance.choice(["a", "b"], n)
        labels = drawn if self.label is None else [self.label(i) for i in range(n)]
        return pd.DataFrame(
            {
                "recording": self.name,
                "row": np.arange(n),
                "onset": self.starts / self.sfreq,
                "start": self.starts,
                "stop": self.starts + self.window,
                "subject": self.subject,
                "session": self.session,
                "run": self.run,
                "kind": np.asarray(labels, dtype=object),
                "excluded": "",
            }
        )

    def metadata(self) -> dict:
        return {
            "recording": self.name,
            "channels": [
                {"name": name, "source_name": name, "type": kind, "unit": "V", "status": "good"}
                for name, kind in zip(self.names, self.types, strict=True)
            ],
            "sfreq": self.sfreq,
            "tmin": 0.0,
            "n_times": self.window,
            "layout": self.layout,
            "source": {"file": f"{self.name}.vhdr", "sha256": self.source},
            "processing": self.processing,
        }


def people(number: int = 6, seed: int = 0, **changes) -> list[Recording]:
    """Return one recording of each of some subjects."""
    return [Recording(f"{i:02}", noise([seed, i]), **changes) for i in range(1, number + 1)]


def split_sides(dataset: Published) -> dict[str, str]:
    """Return the side of each recording."""
    return dict(zip(dataset.samples["recording"], dataset.samples["split"], strict=True))


SPLITS: dict[tuple, tuple[pd.DataFrame, dict]] = {}


def split_once(samples: pd.DataFrame, dataset: str, settings: dict) -> tuple[pd.DataFrame, dict]:
    """Split samples, or return a copy of what the same samples gave before."""
    key = (dataset, str(settings), samples.to_csv())
    if key not in SPLITS:
        SPLITS[key] = split_samples(samples, dataset=dataset, labels=["kind"], settings=settings)
    return copy.deepcopy(SPLITS[key])


class Published:
    """A dataset in a store, that can be edited and published again.

    `edit(self)` may change `samples`, `table`, `content` and `recordings` before they are written;
    the split was made of what they were before.
    """

    def __init__(
        self, root: Path, recordings: list[Recording], dataset="ds", settings=None, doi="", seed=0
    ):
        self.root, self.dataset, self.doi = root, dataset, doi
        self.recordings = recordings
        chance = np.random.default_rng([seed, 99])
        self.samples = pd.concat([r.samples(chance) for r in recordings], ignore_index=True)
        self.table, self.content = split_once(self.samples, dataset, settings or SETTINGS)
        self.samples["split"] = certificate.side_of_rows(self.samples, self.table)
        self.labels = {"kind": {"kind": "class", "classes": ["a", "b"]}}

    def publish(self) -> Published:
        entries = [self._matrix(recording) for recording in self.recordings]
        paths = {entry["recording"]: entry["path"] for entry in entries}
        scratch = self.root / "scratch"
        samples = self.samples
        if "file" not in samples:
            samples = samples.assign(file=samples["recording"].map(paths))
        tables.write_parquet(scratch / "samples.parquet", samples)
        entries.append(self._store("samples", scratch / "samples.parquet"))
        tables.write_tsv(scratch / "split.tsv", self.table)
        files.write_json(scratch / "split.json", self.content)
        entries += [self._store("split", scratch / f"split.{end}") for end in ("tsv", "json")]
        files.write_text(scratch / "README.md", "# ds\n")
        entries.append(self._store("readme", scratch / "README.md"))
        summary = {"doi": self.doi, "labels": self.labels, "layouts": {}}
        content = manifest.build_manifest(self.dataset, "1.0.0", entries, summary)
        encoded = files.json_bytes(content)
        version = manifest.version_of("1.0.0", encoded)
        files.write_bytes(self.root / manifest.manifest_path(self.dataset, version), encoded)
        pointer = manifest.new_pointer(None, version, "1.0.0", "2024-01-01T00:00:00+00:00")
        files.write_json(self.root / manifest.pointer_path(self.dataset), pointer)
        self.paths = {entry["name"]: self.root / entry["path"] for entry in entries}
        return self

    def _matrix(self, recording: Recording) -> dict:
        path = self.root / "scratch" / f"{recording.name}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        with MatrixWriter(path, recording.names, recording.window) as writer:
            for begin in range(0, len(recording.rows), 5):
                block = recording.rows[begin : begin + 5]
                writer.write_group(np.ascontiguousarray(block.transpose(1, 0, 2)))
            written = writer.close(recording.metadata())
        entry = self._store("matrix", path)
        return {**entry, "recording": recording.name, "shape": written["shape"]}

    def _store(self, kind: str, path: Path) -> dict:
        content = path.read_bytes()
        sha256 = hashlib.sha256(content).hexdigest()
        stored = manifest.stored_path(self.dataset, kind, path.name, sha256)
        files.write_bytes(self.root / stored, content)
        return {
            "kind": kind,
            "name": path.name,
            "path": stored,
            "size": len(content),
            "sha256": sha256,
        }
