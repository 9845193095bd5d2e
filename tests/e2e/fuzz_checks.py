"""What must hold of the results of any dataset, however damaged."""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path

import numpy as np

from bidsmill.bids import reasons
from bidsmill.bids.recordings import find_recordings
from bidsmill.formats.matrix import MatrixFile
from bidsmill.sources.local import list_files

DONE = {"converted", "repaired", "quarantined"}
# Reasons that can only lie in data files that are there.
OF_DATA = {"unreadable", "truncated_file", "no_samples"}


def check_results(run) -> tuple[dict[str, str], list[str]]:
    """Return the status of each recording, and what is wrong with the results.

    Parameters
    ----------
    run : bids_cases.Dataset
        A finished run.
    """
    table = run.table("recordings.tsv")
    wanted = Counter(r.stem for r in find_recordings(list_files(run.root)))
    found = Counter(table["recording"])
    problems = []
    if wanted != found:
        problems.append(f"rows of {sorted(found)} for {sorted(wanted)}")
    samples, receipts = run.table("samples.parquet"), run.receipts()
    statuses = {}
    for row in table.to_dict("records"):
        stem = row["recording"]
        statuses[stem] = f"{row['status']} {row['reason']}".strip()
        if row["status"] == "quarantined":
            wrong = _quarantined(row, run)
        else:
            rows = samples[samples["recording"] == stem]
            wrong = _converted(row, run, receipts.get(stem, {}), rows)
        problems += [f"{stem}: {text}" for text in wrong]
    return statuses, problems


def check_intact(run, pristine: Path, statuses: dict[str, str]) -> list[str]:
    """Return the recordings that pay for the damage of others.

    Parameters
    ----------
    run : bids_cases.Dataset
        A finished run.
    pristine : pathlib.Path
        The healthy dataset that it was made from: files that are the same are links to it.
    statuses : dict
        Status and reason of each recording.
    """
    wrong = []
    for recording in find_recordings(list_files(run.root)):
        intact = all(
            (pristine / path).is_file()
            and (run.root / path).is_file()
            and (run.root / path).samefile(pristine / path)
            for path in recording.files
        )
        if intact and statuses[recording.stem].split()[-1] in OF_DATA:
            wrong.append(f"{recording.stem}, whose files are whole: {statuses[recording.stem]}")
    return wrong


def _quarantined(row: dict, run) -> list[str]:
    wrong, message = [], row["message"]
    if row["reason"] not in reasons.QUARANTINE or row["reason"] == "internal_error":
        wrong.append(f"{row['reason']}: {message}")
    if not message or "\n" in message or "Traceback" in message:
        wrong.append(f"message {message!r}")
    if str(run.root) in message:
        wrong.append(f"the folder of the dataset in {message!r}")
    if (run.results / "matrix" / f"{row['recording']}.parquet").exists():
        wrong.append("a matrix of a quarantined recording")
    return wrong


def _converted(row: dict, run, receipt: dict, rows) -> list[str]:
    """Compare row, receipt, matrix and samples of a converted recording."""
    if row["status"] not in DONE or row["reason"] or row["message"]:
        return [f"status {row['status']!r}, reason {row['reason']!r}"]
    path = run.results / "matrix" / f"{row['recording']}.parquet"
    wrong = []
    with MatrixFile(path) as matrix:
        values, metadata = matrix.read(), matrix.metadata
    shape = list(values.shape)
    if hashlib.sha256(path.read_bytes()).hexdigest() != row["sha256"]:
        wrong.append("another checksum than the table's")
    stated = [int(row["rows"]), int(row["n_channels"]), int(row["n_times"])]
    if not shape == stated == receipt["shape"] == metadata["shape"]:
        wrong.append(f"shape {shape}, table {stated}, receipt {receipt['shape']}")
    if len(rows) != shape[0] or min(shape) < 1:
        wrong.append(f"{len(rows)} samples for shape {shape}")
    if list(rows["row"]) != list(range(len(rows))):
        wrong.append("rows are not numbered in order")
    end = receipt["source_n_times"] / receipt["source_sfreq"] * receipt["sfreq"]
    if len(rows) and (rows["start"].min() < 0 or rows["stop"].max() > np.ceil(end)):
        wrong.append("a window leaves the recording")
    finite = np.isfinite(values).all(axis=(1, 2))
    if len(rows) == len(finite) and (rows["excluded"].to_numpy()[~finite] == "").any():
        wrong.append("a row with NaN that is not excluded")
    return wrong
