"""Results of a dataset made with the formats alone: what the report reads."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bidsmill.formats import certificate, files, layout, tables
from bidsmill.formats.matrix import MatrixWriter
from bidsmill.report.describe import CONTRACT

EVENT_COLUMNS = ["recording", "onset", "duration", "sample", "trial_type", "value", "HED"]


@dataclass
class Recording:
    """One recording: its channels and its signals."""

    subject: str
    names: list[str] = field(default_factory=lambda: ["Fz", "Cz", "Pz", "Oz"])
    types: list[str] = field(default_factory=list)
    units: list[str] = field(default_factory=list)
    bads: tuple[str, ...] = ()
    rows: int = 6
    sfreq: float = 100.0
    n_times: int = 50
    tmin: float = -0.1
    gain: float = 1e-5
    quarantined: str = ""
    conflicts: str = ""
    group_rows: int = 4
    line: float | None = 50.0
    signals: np.ndarray | None = None
    positions: list[list[float]] | None = None

    def __post_init__(self):
        self.types = self.types or ["eeg"] * len(self.names)
        self.units = self.units or ["V"] * len(self.names)
        self.name = f"sub-{self.subject}_task-t_eeg"
        self.columns = layout.column_names(self.names)
        self.layout = layout.layout_id(
            self.columns, self.types, self.units, self.sfreq, self.n_times
        )
        if self.signals is None:
            seed = [*self.subject.encode()]
            shape = (self.rows, len(self.names), self.n_times)
            self.signals = np.random.default_rng(seed).standard_normal(shape) * self.gain
        self.signals = self.signals.astype(np.float32)
        self.rows = len(self.signals)

    def channels(self) -> list[dict[str, Any]]:
        return [
            {
                "name": column,
                "source_name": name,
                "type": kind,
                "unit": unit,
                "status": "bad" if name in self.bads else "good",
                "position": None if self.positions is None else self.positions[index],
            }
            for index, (column, name, kind, unit) in enumerate(
                zip(self.columns, self.names, self.types, self.units, strict=True)
            )
        ]

    def write(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{self.name}.parquet"
        with MatrixWriter(path, self.columns, self.n_times) as writer:
            for first in range(0, self.rows, self.group_rows):
                block = self.signals[first : first + self.group_rows]
                writer.write_group(np.ascontiguousarray(block.transpose(1, 0, 2)))
            writer.close(
                {
                    "recording": self.name,
                    "channels": self.channels(),
                    "sfreq": self.sfreq,
                    "tmin": self.tmin,
                    "n_times": self.n_times,
                    "layout": self.layout,
                    "line_frequency": self.line,
                }
            )


@dataclass
class Results:
    """A folder of results.

    Attributes
    ----------
    classes : tuple of str
        The classes of the label ``side``, which rows take in turn.
    test_subjects : tuple of str or None
        Who is test; None: the split is refused.
    """

    root: Path
    recordings: list[Recording]
    classes: tuple[str, ...] = ("left", "right")
    fixed: bool = False
    test_subjects: tuple[str, ...] | None = ("01",)
    excluded: dict[tuple[str, int], str] = field(default_factory=dict)
    unlabelled: tuple[int, ...] = ()
    name: str = "A dataset"
    issues: list[dict[str, Any]] = field(default_factory=list)

    def write(self) -> Path:
        """Write all files; return the folder."""
        self.root.mkdir(parents=True, exist_ok=True)
        samples, events = self._rows()
        self.samples, self.events = samples, events
        tables.write_parquet(self.root / "samples.parquet", samples)
        tables.write_tsv(self.root / "events.tsv", events)
        tables.write_tsv(self.root / "recordings.tsv", self._recordings(events))
        tables.write_tsv(self.root / "channels.tsv", self._channels())
        labels = {"side": {"kind": "class", "classes": list(self.classes), "ambiguous": 0}}
        labels = labels if self.classes else {}
        files.write_json(self.root / "labels.json", {"labels": labels, "notes": []})
        self._split(samples)
        files.write_json(self.root / "validation.json", self._validation())
        files.write_json(self.root / "dataset.json", self._description(len(samples), labels))
        for recording in self.recordings:
            if not recording.quarantined:
                recording.write(self.root / "matrix")
        return self.root

    def _rows(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        rows, events = [], []
        for recording in self.recordings:
            for row in range(recording.rows):
                onset = 1.0 + row
                label = self.classes[row % len(self.classes)] if self.classes else ""
                label = "" if row in self.unlabelled else label
                event = {"recording": recording.name, "onset": onset, "duration": 0.5}
                event |= {"sample": 0, "trial_type": "go", "value": "1", "HED": "Red"}
                lost = bool(recording.quarantined)
                event["outcome"] = "dropped" if lost or self.fixed else "used"
                event["reason"] = "recording_quarantined" if lost else ""
                events.append(event)
                if lost:
                    continue
                rows.append(
                    {
                        "recording": recording.name,
                        "row": row,
                        "onset": onset,
                        "start": 0,
                        "stop": recording.n_times,
                        "event": None if self.fixed else len(events) - 1,
                        "subject": recording.subject,
                        "session": "",
                        "trial_type": "" if self.fixed else "go",
                        "side": label,
                        "excluded": self.excluded.get((recording.name, row), ""),
                    }
                )
        columns = ["recording", "row", "onset", "start", "stop", "event", "subject", "session"]
        columns += ["trial_type", "side", "excluded"]
        frame = pd.DataFrame(rows, columns=columns)
        frame["event"] = frame["event"].astype("Int64")
        if not self.classes:
            frame = frame.drop(columns="side")
        return frame, pd.DataFrame(events, columns=[*EVENT_COLUMNS, "outcome", "reason"])

    def _recordings(self, events: pd.DataFrame) -> pd.DataFrame:
        rows = []
        for r in self.recordings:
            lost = bool(r.quarantined)
            mine = events[events["recording"] == r.name]
            used = int((mine["outcome"] == "used").sum())
            dropped = len(mine) - used
            reason = "recording_quarantined" if lost else "fixed_windows"
            rows.append(
                {
                    "recording": r.name,
                    "subject": r.subject,
                    "status": "quarantined" if lost else "converted",
                    "reason": "unreadable" if lost else "",
                    "message": r.quarantined,
                    "repairs": "",
                    "conflicts": r.conflicts,
                    "file": f"{r.name}.edf",
                    "source_sfreq": None if lost else r.sfreq,
                    "sfreq": None if lost else r.sfreq,
                    "duration": None if lost else 60.0,
                    "n_channels": None if lost else len(r.names),
                    "bad_channels": "" if lost else ", ".join(r.bads),
                    "n_times": None if lost else r.n_times,
                    "rows": None if lost else r.rows,
                    "excluded": 0,
                    "events": len(mine),
                    "events_used": used,
                    "events_dropped": f"{reason}:{dropped}" if dropped else "",
                    "layout": "" if lost else r.layout,
                }
            )
        return pd.DataFrame(rows)

    def _channels(self) -> pd.DataFrame:
        columns = ["recording", "name", "source_name", "type", "unit", "status", "kept"]
        rows = []
        for r in self.recordings:
            for channel in r.channels() if not r.quarantined else ():
                place = channel.pop("position") or [None] * 3
                place = dict(zip("xyz", place, strict=True))
                rows.append({"recording": r.name, **channel, "kept": True, **place})
        return pd.DataFrame(rows, columns=[*columns, "x", "y", "z"])

    def _split(self, samples: pd.DataFrame) -> None:
        done = self.test_subjects is not None
        rows = []
        for subject in sorted(set(samples["subject"])):
            mine = samples[samples["subject"] == subject]
            side = "test" if done and subject in self.test_subjects else "train"
            excluded = int((mine["excluded"] != "").sum())
            rows.append(
                {
                    "group": f"sub-{subject}",
                    "level": "subject",
                    "split": side if done else "none",
                    "rows": len(mine) - excluded,
                    "rows_excluded": excluded,
                    "recording": "",
                    "onset_start": None,
                    "onset_stop": None,
                }
            )
        table = pd.DataFrame(rows, columns=list(certificate.GROUP_COLUMNS))
        sides = certificate.side_of_rows(samples, table)
        content = {
            "contract": certificate.CONTRACT,
            "status": "done" if done else "refused",
            "reason": "" if done else "level subject: 2 groups have rows; 3 are needed",
            "level": "subject",
            "settings": {"test": 0.2, "validation": 0.0},
            "method": "",
            "seed": 0,
            "objective": 0.0123 if done else None,
            "bound": 0.0111 if done else None,
            "gap": 0.0012 if done else None,
            "solver": "HiGHS" if done else None,
            "groups": {s: int((table["split"] == s).sum()) for s in certificate.SIDES},
            "rows": {s: int((sides == s).sum()) for s in certificate.SIDES},
            "balance": [],
            "impossible": [],
            "proof": {"statement": "No subject on two sides.", "overlapping_windows": 0},
        }
        certificate.write_split(self.root / "split.tsv", self.root / "split.json", table, content)

    def _validation(self) -> dict[str, Any]:
        def numbers(source):
            mine = [i["severity"] for i in self.issues if i["source"] == source]
            return {"errors": mine.count("error"), "warnings": mine.count("warning")}

        return {
            "validator": {"version": "3", "schema": "1", **numbers("bids-validator")},
            "hed": {"version": None, "reason": "the dataset has no HED", **numbers("hed")},
            "bidsmill": numbers("bidsmill"),
            "ignored": {},
            "issues": self.issues,
        }

    def _description(self, n_rows: int, labels: dict[str, Any]) -> dict[str, Any]:
        lost = sum(bool(r.quarantined) for r in self.recordings)
        return {
            "contract": CONTRACT,
            "name": self.name,
            "snapshot": "1.0.0",
            "source": "local",
            "license": "CC0",
            "doi": "doi:10.18112/openneuro.ds000001.v1.0.0",
            "authors": ["A. Author"],
            "citation": "A. Author. A dataset",
            "how_to_acknowledge": "",
            "hed_version": "8.3.0",
            "datatypes": ["eeg"],
            "tasks": ["t"],
            "counts": {
                "recordings": len(self.recordings),
                "converted": len(self.recordings) - lost,
                "quarantined": lost,
                "subjects": len({r.subject for r in self.recordings}),
                "rows": n_rows,
            },
            "hours": 0.1,
            "hardware": {"EEGReference": ["Cz"], "EEGGround": ["n/a"]},
            "labels": labels,
            "processing": ["No filter was applied."],
            "software": {"bidsmill": "0.1.0", "torch": ""},
        }
