"""What must hold of the results of any dataset, however damaged."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from pathlib import Path

import numpy as np

from bidsmill.bids import reasons
from bidsmill.bids.entities import parse_name
from bidsmill.bids.recordings import Recording, find_recordings
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
        intact = all(_is_untouched(run.root, pristine, path) for path in recording.files)
        if intact and statuses[recording.stem].split()[-1] in OF_DATA:
            wrong.append(f"{recording.stem}, whose files are whole: {statuses[recording.stem]}")
    return wrong


def check_values(run, pristine: Path, folder: Path, own: dict) -> tuple[int, list[str]]:
    """Compare recordings of which only sidecars are damaged with what they give undamaged.

    Whatever a sidecar says, it changes no sample of a channel whose type and unit stay as they
    are, unless the settings mix channels or treat each continuous stretch for itself.

    Parameters
    ----------
    run : bids_cases.Dataset
        A finished run.
    pristine : pathlib.Path
        The healthy dataset that it was made from: files that are the same are links to it.
    folder : pathlib.Path
        Where to convert the healthy recordings.
    own : dict
        The settings of the run.

    Returns
    -------
    compared : int
        Channels that were compared, each in all its rows.
    problems : list of str
    """
    from bids_cases import Dataset

    healthy = {r.stem: r for r in find_recordings(list_files(pristine))}
    receipts = run.receipts()
    chosen = []
    for found in find_recordings(list_files(run.root)):
        before = healthy.get(found.stem)
        if before is None or receipts.get(found.stem, {}).get("status") == "quarantined":
            continue
        changed = _changed_sidecars(run.root, pristine, found, before)
        same = found.files == before.files and found.data == before.data
        same = same and all(_is_untouched(run.root, pristine, path) for path in found.files)
        if same and changed and not changed & _sidecars_that_count(own):
            chosen.append(before)
    if not chosen:
        return 0, []
    top = [path.name for path in pristine.iterdir() if path.is_file()]
    for path in {*top, *(p for r in chosen for p in _all_files(r))}:
        (folder / "bids" / path).parent.mkdir(parents=True, exist_ok=True)
        os.link(pristine / path, folder / "bids" / path, follow_symlinks=False)
    twin = Dataset(folder)
    twin.convert(**own)
    wanted = twin.receipts()
    compared, problems = 0, []
    for stem in (r.stem for r in chosen if wanted[r.stem]["status"] != "quarantined"):
        paths = [each.results / "matrix" / f"{stem}.parquet" for each in (run, twin)]
        starts = [each[stem]["detail"]["starts"] for each in (receipts, wanted)]
        count, told = _same_values(*paths, *starts)
        compared += count
        problems += [f"{stem}: {text}" for text in told]
    return compared, problems


def _sidecars_that_count(own: dict) -> set[str]:
    """Return the suffixes of sidecars that samples depend on, with these settings."""
    count = set()
    if own.get("filter") or own.get("resample"):
        count.add("events")  # boundaries
    channels = own.get("channels", {})
    if own.get("reference") or channels.get("policy") or channels.get("bad") == "interpolate":
        count |= {"channels", "electrodes", "coordsystem"}
    return count


def _changed_sidecars(root: Path, pristine: Path, found: Recording, before: Recording) -> set[str]:
    """Return the suffixes of the sidecars of a recording that are not as they were."""
    paths = [p for r in (found, before) for listed in r.sidecars.values() for p in listed]
    return {parse_name(p).suffix for p in paths if not _is_untouched(root, pristine, p)}


def _is_untouched(root: Path, pristine: Path, path: str) -> bool:
    both = root / path, pristine / path
    return all(each.is_file() for each in both) and both[0].samefile(both[1])


def _all_files(recording: Recording) -> set[str]:
    return {*recording.files, *(p for paths in recording.sidecars.values() for p in paths)}


def _same_values(path: Path, other: Path, starts: list, other_starts: list) -> tuple[int, list]:
    """Compare the rows that begin at the same sample, channel by channel."""
    with MatrixFile(path) as one, MatrixFile(other) as two:
        values, wanted = one.read(), two.read()
        described = [
            [(c["name"], c["type"], c["unit"]) for c in matrix.metadata["channels"]]
            for matrix in (one, two)
        ]
    common = sorted(set(starts) & set(other_starts))
    rows, other_rows = ([s.index(at) for at in common] for s in (starts, other_starts))
    compared, wrong = 0, []
    if values.shape[2] != wanted.shape[2] or not common:
        return 0, []
    for place, channel in enumerate(described[0]):
        if channel in described[1]:
            compared += 1
            expected = wanted[other_rows, described[1].index(channel)]
            if not np.array_equal(values[rows, place], expected, equal_nan=True):
                wrong.append(f"other samples of {channel} than without damage to sidecars")
    return compared, wrong


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
