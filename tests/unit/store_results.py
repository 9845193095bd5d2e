"""A results folder, as the stages leave it for publishing, made with the formats alone."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pandas as pd
from access_store import Recording, samples_of

from bidsmill.formats import certificate, files, manifest, receipts, tables
from bidsmill.formats.matrix import MatrixWriter
from bidsmill.store.publish import publish_dataset

GONE = "sub-09_task-faces_eeg"  # quarantined: it has a receipt, and no matrix
TEST_SUBJECTS = ("03", "05")
LABELS = {
    "face": {"kind": "class", "classes": ["Famous", "Unfamiliar", "Scrambled"]},
    "rt": {"kind": "number"},
}


class Results:
    """``results/{dataset}`` of some recordings, in two batches.

    Parameters
    ----------
    folder : pathlib.Path
        Holds ``results`` and ``store``.
    recordings : list of Recording
        What the matrices hold.
    """

    def __init__(self, folder: Path, recordings: list[Recording], dataset="ds", snapshot="1.0.0"):
        self.recordings, self.dataset, self.snapshot = recordings, dataset, snapshot
        self.results = folder / "results" / dataset
        self.store = folder / "store"
        self.samples = samples_of(recordings).drop(columns=["split", "layout"])
        self.license = "CC0"
        self.split_table = self._split_table()
        self.refused = ""
        self._write_matrices()
        self.write()

    def publish(self, store: str | None = None, **options) -> dict:
        """Publish, and return ``published.json``."""
        published = self.results / "published.json"
        publish_dataset(
            self.results,
            self.batches,
            published,
            dataset=self.dataset,
            store=store or str(self.store),
            **options,
        )
        return json.loads(published.read_bytes())

    @property
    def batches(self) -> list[Path]:
        return [self.results / "convert" / f"b000{n}.json" for n in (0, 1)]

    def write(self) -> None:
        """Write the tables and documents of the dataset."""
        overview = {"dataset": self.dataset, "snapshot": self.snapshot}
        files.write_json(self.results / "plan" / "dataset.json", overview)
        tables.write_parquet(self.results / "samples.parquet", self.samples)
        for name in ("events", "recordings", "channels"):
            frame = pd.DataFrame({"recording": [r.name for r in self.recordings], "of": name})
            tables.write_tsv(self.results / f"{name}.tsv", frame)
        for name in ("samples", "events", "recordings", "channels"):
            files.write_json(self.results / f"{name}.json", {"Description": name})
        status = {"status": "refused" if self.refused else "done", "reason": self.refused}
        certificate.write_split(
            self.results / "split.tsv",
            self.results / "split.json",
            self.split_table,
            {"contract": "1", "level": "subject", **status},
        )
        files.write_json(self.results / "validation.json", {"counts": {}})
        files.write_json(self.results / "dataset.json", self._description())
        files.write_text(self.results / "README.md", f"# {self.dataset}\n")
        files.write_text(self.results / "report.html", "<html></html>\n")

    def _description(self) -> dict:
        return {
            "name": "Faces",
            "license": self.license,
            "citation": "A. One, B. Two. Faces.",
            "doi": "",
            "datatypes": ["eeg"],
            "tasks": ["faces"],
            "labels": LABELS,
            "split": "refused" if self.refused else "subject",
            "hed_version": "8.3.0",
            "counts": {
                "recordings": len(self.recordings) + 1,
                "converted": len(self.recordings),
                "quarantined": 1,
                "subjects": len(self.recordings),
                "rows": len(self.samples),
            },
        }

    def _split_table(self) -> pd.DataFrame:
        rows = []
        for recording in self.recordings:
            side = "test" if recording.subject in TEST_SUBJECTS else "train"
            group = f"sub-{recording.subject}"
            rows.append([group, "subject", side, recording.rows, 0, "", np.nan, np.nan])
        return pd.DataFrame(rows, columns=list(certificate.GROUP_COLUMNS))

    def refuse(self) -> None:
        """Let the split be refused."""
        self.refused = "two groups are too few"
        self.split_table["split"] = "none"
        self.write()

    def _write_matrices(self) -> None:
        batches: dict[str, dict] = {"b0000": {}, "b0001": {}}
        for index, recording in enumerate(self.recordings):
            content = self._write_matrix(recording)
            path = self.results / "matrix" / f"{recording.name}.json"
            receipts.write_receipt(path, "fingerprint", content)
            batches[f"b000{index % 2}"][recording.name] = receipts.manifest_entry(content)
        quarantined = {"status": "quarantined", "reason": "empty_file", "message": "", "files": {}}
        receipts.write_receipt(self.results / "matrix" / f"{GONE}.json", "f", quarantined)
        batches["b0001"][GONE] = quarantined
        for name, members in batches.items():
            content = {"batch": name, "members": members}
            files.write_json(self.results / "convert" / f"{name}.json", content)

    def _write_matrix(self, recording: Recording) -> dict:
        path = self.results / "matrix" / f"{recording.name}.parquet"
        with (
            files.atomic_path(path) as part,
            MatrixWriter(part, recording.columns, recording.n_times) as writer,
        ):
            writer.write_group(np.ascontiguousarray(recording.array.transpose(1, 0, 2)))
            stated = writer.close(recording.metadata())
        kept = [{**channel, "kept": True} for channel in recording.channels()]
        left_out = {**kept[0], "name": "left out", "kept": False}
        return {
            "status": "converted",
            "reason": "",
            "message": "",
            "shape": stated["shape"],
            "layout": recording.layout,
            "sfreq": recording.sfreq,
            "tmin": recording.tmin,
            "files": {path.name: {"size": stated["size"], "sha256": stated["sha256"]}},
            "detail": {"channels": [left_out, *kept[::-1]]},
        }

    # The store, as its own bytes say

    @property
    def manifests(self) -> list[Path]:
        return sorted((self.store / "datasets" / self.dataset / "versions").glob("*"))

    def pointer(self) -> dict:
        return json.loads((self.store / manifest.pointer_path(self.dataset)).read_bytes())

    def manifest(self, version: str | None = None) -> dict:
        version = version or self.pointer()["version"]
        return json.loads((self.store / manifest.manifest_path(self.dataset, version)).read_bytes())


def facts(folder: Path) -> dict[str, tuple]:
    """Return sha256, time and inode of every file that stands under its final name."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.name.startswith("."):
            stat = path.stat()
            sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
            found[path.relative_to(folder).as_posix()] = (sha256, stat.st_mtime_ns, stat.st_ino)
    return found


def verify(store: Path, content: dict) -> None:
    """Check every file of a manifest against its size and sha256."""
    assert content["files"]
    for entry in content["files"]:
        stored = (store / entry["path"]).read_bytes()
        assert len(stored) == entry["size"], entry["path"]
        assert hashlib.sha256(stored).hexdigest() == entry["sha256"], entry["path"]
