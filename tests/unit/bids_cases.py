"""Recordings and datasets that tests write: every format that code here can make."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np

from bidsmill.annotate.batch import annotate_batch
from bidsmill.annotate.collate import collate_dataset
from bidsmill.bids.recordings import find_recordings
from bidsmill.convert.batch import convert_batch
from bidsmill.formats import files, tables
from bidsmill.sources.fetch import fetch_batch, fetch_dataset
from bidsmill.streams.batch import stream_batch
from bidsmill.workflow.config import load_schema, resolve
from bidsmill.workflow.plan import lock_dataset

SIDECARS = ("recordings", "events", "samples", "channels")
SCHEMA = Path(__file__).resolve().parents[2] / "workflow" / "schemas" / "config.schema.yaml"
DESCRIPTION = {"Name": "t", "BIDSVersion": "1.10.0", "HEDVersion": "8.3.0"}


def brain_like(n_channels: int, n_times: int, seed: int = 0, scale: float = 20e-6) -> np.ndarray:
    """Return smooth noise in V around an offset of each channel."""
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal((n_channels, n_times + 4))
    smooth = sum(noise[:, i : i + n_times] for i in range(5))
    return scale * (smooth + np.arange(n_channels)[:, np.newaxis])


def write_brainvision(folder, stem, data, sfreq, names, events=None, **keywords):
    """Write a recording by pybv (float32 in µV) and return the path of its header."""
    import pybv

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    pybv.write_brainvision(
        data=data,
        sfreq=sfreq,
        ch_names=list(names),
        fname_base=stem,
        folder_out=folder,
        events=events,
        overwrite=True,
        **{"fmt": "binary_float32", "resolution": 0.1, **keywords},
    )
    return folder / f"{stem}.vhdr"


def write_edf(path, signals, annotations=(), kind="Edf", **keywords):
    """Write EDF or BDF by edfio; `signals` are (name, values, rate, dimension)."""
    import edfio

    signal = {"Edf": edfio.EdfSignal, "Bdf": edfio.BdfSignal}[kind]
    made = [
        signal(np.asarray(values, float), rate, label=name, physical_dimension=dimension)
        for name, values, rate, dimension in signals
    ]
    marks = [edfio.EdfAnnotation(*mark) for mark in annotations]
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    getattr(edfio, kind)(made, annotations=marks, **keywords).write(path)
    return Path(path)


def write_eeglab(path, data, sfreq, names, events=(), fdt=True, **fields):
    """Write an EEGLAB file by SciPy; `events` are (type, latency from 0, duration)."""
    import scipy.io

    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    volts = np.asarray(data) * 1e6
    content: object = volts
    if fdt:
        path.with_suffix(".fdt").write_bytes(volts.astype("<f4").tobytes(order="F"))
        content = path.with_suffix(".fdt").name
    kinds = [("type", object), ("latency", float), ("duration", float)]
    marks = np.array([(t, float(at) + 1, float(n)) for t, at, n in events], dtype=kinds)
    eeg = {
        "setname": "t",
        "nbchan": float(len(names)),
        "trials": 1.0,
        "pnts": float(volts.shape[1]),
        "srate": float(sfreq),
        "xmin": 0.0,
        "xmax": (volts.shape[1] - 1) / sfreq,
        "data": content,
        "datfile": content if fdt else "",
        "chanlocs": np.array([(n,) for n in names], dtype=[("labels", object)]),
        "event": marks,
        "epoch": np.empty(0),
        "icawinv": np.empty(0),
        "icasphere": np.empty(0),
        "icaweights": np.empty(0),
        **fields,
    }
    scipy.io.savemat(path, {"EEG": eeg}, oned_as="row")
    return path


def write_fif(path, data, sfreq, names, types="eeg", annotations=(), first_samp=0, date=None):
    """Write FIF by MNE; `annotations` are (onset from the first sample, duration, text)."""
    import mne

    info = mne.create_info(list(names), sfreq, types)
    raw = mne.io.RawArray(data, info, first_samp=first_samp, verbose="ERROR")
    raw.set_meas_date(date)
    if annotations:
        onsets, durations, texts = zip(*annotations, strict=True)
        raw.set_annotations(mne.Annotations(onsets, durations, texts))
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    raw.save(path, fmt="double", overwrite=True, verbose="ERROR")
    return raw


def write_tsv(path, header, *rows):
    """Write a tabular file from rows of cells."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    lines = ["\t".join(str(cell) for cell in row) for row in (header, *rows)]
    Path(path).write_text("\n".join(lines) + "\n", encoding="utf-8")


def listed(root) -> list[str]:
    """Return the files of a folder as paths relative to it."""
    root = Path(root)
    return sorted(p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_file())


def members(root) -> dict[str, dict]:
    """Return the entries that a plan would have, by stem."""
    root = Path(root)
    sha256 = {path: files.sha256_file(root / path) for path in listed(root)}
    return {
        recording.stem: {
            **recording.as_dict(),
            "files": {path: sha256[path] for path in recording.files},
        }
        for recording in find_recordings(sha256)
    }


def dataset_settings(**own) -> dict:
    """Return the settings of a dataset, spelt out as the workflow does it."""
    own = own if "source" in own else {"source": "local", "path": "unused", **own}
    return resolve({"datasets": {"t": own}}, load_schema(SCHEMA))["datasets"]["t"]


def write_events(path, rows) -> Path:
    """Write annotated events: (onset, chosen) or (onset, chosen, trial_type)."""
    rows = [(*row, "x")[:3] for row in rows]
    write_tsv(path, ["onset", "chosen", "trial_type"], *rows)
    return Path(path)


class Dataset:
    """A BIDS folder and its results, run stage by stage without Snakemake.

    Parameters
    ----------
    folder : pathlib.Path
        Holds ``bids`` and ``results``.
    """

    def __init__(self, folder: Path):
        self.root, self.results = folder / "bids", folder / "results" / "t"
        self.code = "code"
        self.hed_sidecar: Path | None = None

    def copied(self, folder: Path) -> Dataset:
        """Return a copy in another folder, with all times, to be changed."""
        for name in ("bids", "results"):
            shutil.copytree(self.root.parent / name, folder / name)
        copy = Dataset(folder)
        copy.settings, copy.batches = self.settings, self.batches
        return copy

    def run(self, **own) -> Dataset:
        """Run every stage from the lock to the tables."""
        self.convert(**own)
        outputs = {
            "recordings": "recordings.tsv",
            "events": "events.tsv",
            "samples": "samples.parquet",
            "samples_text": "samples.tsv",
            "channels": "channels.tsv",
            "duplicates": "duplicates.tsv",
            "vocabulary": "labels.json",
            **{f"{name}_sidecar": f"{name}.json" for name in SIDECARS},
        }
        collate_dataset(
            self.results / "plan" / "dataset.json",
            [self.of("plan", batch) for batch in self.batches],
            [self.of("annotate", batch) for batch in self.batches],
            [self.of("convert", batch) for batch in self.batches],
            self.of("fetch", "dataset"),
            {name: self.results / file for name, file in outputs.items()},
            dataset="t",
            settings=self.settings,
        )
        return self

    def convert(self, **own) -> None:
        """Run every stage from the lock to the matrices."""
        here = {} if "source" in own else {"path": str(self.root)}
        self.settings = dataset_settings(**here, **own)
        lock_dataset(
            self.results / "lock.json",
            dataset="t",
            settings=self.settings,
            batches={"recordings": 64, "gigabytes": 20},
        )
        self.batches = files.read_json(self.results / "plan" / "dataset.json")["batches"]
        fetch_dataset(
            self.results / "plan" / "dataset.json",
            self.of("fetch", "dataset"),
            settings=self.settings,
            results=self.results,
        )
        for batch in self.batches:
            plan = self.of("plan", batch)
            fetched = self.of("fetch", batch)
            fetch_batch(plan, fetched, settings=self.settings, results=self.results)
            annotate_batch(
                plan,
                fetched,
                self.of("annotate", batch),
                settings=self.settings,
                code=self.code,
                hed_sidecar=self.hed_sidecar,
            )
            if self.settings["streams"] is not None:
                self.stream(batch)
            convert_batch(
                plan,
                fetched,
                self.of("annotate", batch),
                self.of("convert", batch),
                settings=self.settings,
                code=self.code,
                streams_path=(
                    self.of("streams", batch) if self.settings["windows"]["source"] else None
                ),
            )

    def stream(self, batch: str, processes: int = 1) -> None:
        """Make the streams of a batch."""
        stream_batch(
            self.of("plan", batch),
            self.of("fetch", batch),
            self.of("annotate", batch),
            self.of("streams", batch),
            settings=self.settings,
            code={"recording": self.code, "nodes": self.code},
            processes=processes,
        )

    def of(self, stage: str, batch: str) -> Path:
        """Return the file of a stage for one batch."""
        return self.results / stage / f"{batch}.json"

    def table(self, name: str):
        """Return a table of the results."""
        path = self.results / name
        return tables.read_parquet(path) if path.suffix == ".parquet" else tables.read_tsv(path)

    def receipts(self) -> dict[str, dict]:
        """Return the receipts of the matrices by stem."""
        folder = self.results / "matrix"
        return {path.stem: files.read_json(path) for path in sorted(folder.glob("*.json"))}


EVENTS_JSON = {
    "trial_type": {
        "HED": {
            "face": "Sensory-event, Visual-presentation, (Image, Face)",
            "scrambled": "Sensory-event, Visual-presentation, (Image, Label/Scrambled)",
            "press": "Agent-action, Participant-response",
        }
    }
}
SMALL_EVENTS = {
    "sub-01_task-x_run-1": [
        # onset, duration, trial_type, value, row (a name that a table of the results has too)
        (4.0, 0.5, "scrambled", 2, "r4"),
        (2.0, 0.5, "face", 1, "r0"),
        (2.7, 0.0, "press", 3, "r1"),
        (6.0, "n/a", "face", "1.0", "r5"),
        (6.0, "n/a", "face", "1.0", "r5"),
        ("n/a", 0.5, "face", 1, "r9"),
        ("1,5", 0.5, "face", 1, "r8"),
        (-1.0, 0.5, "face", 1, "r7"),
        (0.05, 0.5, "face", 1, "r6"),
        (7.0, 0.0, "boundary", "n/a", "r2"),
        (7.1, 0.5, "face", 1, "r3"),
        (9.95, 0.5, "face", 1, "r3"),
        (25.0, 0.5, "face", 1, "r3"),
        (26.0, 0.0, "press", 1, "r3"),
        (10.0, 0.0, "press", 1, "r3"),
        ("1e300", 0.0, "face", 1, "r3"),
        (8.0, 0.25, "n/a", "n/a", "n/a"),
    ],
    "sub-02_task-x": [(2.0, 0.5, "face", 1, "a"), ("n/a", 0.5, "face", 1, "a")],
    "sub-03_ses-1_task-x": [(3.0, 0.5, "scrambled", 2, "b"), (1.0, 0.5, "face", 1, "b")],
}


def write_small(root: Path) -> None:
    """Write a dataset of four recordings.

    Two of sub-01 (BrainVision with every kind of odd event; FIF with markers inside and no
    events.tsv), one of sub-02 that is truncated, one of sub-03, who is no participant.
    """
    root.mkdir(parents=True)
    files.write_json(root / "dataset_description.json", DESCRIPTION)
    files.write_json(root / "task-x_events.json", EVENTS_JSON)
    write_tsv(
        root / "participants.tsv",
        ["participant_id", "age", "sex"],
        ["sub-02", 31, "M"],
        ["sub-01", 24, "F"],
        ["sub-04", 50, "F"],
    )
    names = ["Fz", "Cz", "Pz"]
    folder = root / "sub-01" / "eeg"
    write_brainvision(
        folder, "sub-01_task-x_run-1_eeg", brain_like(3, 2000), 200.0, names, resolution=0.1
    )
    write_fif(
        folder / "sub-01_task-x_run-2_eeg.fif",
        brain_like(3, 2000, 5),
        200.0,
        names,
        annotations=[(1.0, 0.0, "face"), (3.0, 0.0, "press"), (5.0, 0.5, "BAD_eye")],
        first_samp=400,
    )
    for stem, seed in (("sub-02_task-x", 6), ("sub-03_ses-1_task-x", 7)):
        folder = root / stem.split("_")[0] / ("ses-1" if "ses" in stem else "") / "eeg"
        signals = [
            (n, d * 1e6, 200, "uV") for n, d in zip(names, brain_like(3, 2000, seed), strict=True)
        ]
        path = write_edf(folder / f"{stem}_eeg.edf", signals)
        if stem.startswith("sub-02"):
            path.write_bytes(path.read_bytes()[:-3000])
    for stem, rows in SMALL_EVENTS.items():
        data = next(root.rglob(f"{stem}_eeg.*"))
        header = ["onset", "duration", "trial_type", "value", "row"]
        write_tsv(data.parent / f"{stem}_events.tsv", header, *rows)
