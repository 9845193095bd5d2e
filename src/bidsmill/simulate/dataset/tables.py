"""Tables and documents of a simulated dataset, as publishing wants them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bidsmill.errors import BidsmillError
from bidsmill.formats import certificate, files, receipts, tables
from bidsmill.simulate.dataset import words
from bidsmill.simulate.dataset.files import TASK
from bidsmill.simulate.dataset.split import split_of

if TYPE_CHECKING:
    import pandas as pd

CONTRACT = "1"
SNAPSHOT = "1"
# https://www.hedtags.org/display_hed.html: Data-feature is an event that marks, e.g., a spike.
HED = "Data-feature, Computed-feature, Label/Interictal-spike"
HED_VERSION = "8.3.0"
# Columns of `samples` before the labels.
ENTITIES = ("session", "acquisition", "run", "processing")


def write_tables(
    results: Path,
    recordings: Sequence[str],
    *,
    dataset: str,
    n_regions: int,
    split: dict[str, Any],
    description: dict[str, Any],
    batches: Sequence[str] = (),
    left_out: Sequence[dict[str, Any]] = (),
    keep_going: bool = False,
) -> None:
    """Make all tables and documents of a dataset but its report, from what its files say.

    Parameters
    ----------
    results : pathlib.Path
        ``results/{dataset}``, with ``matrix``, ``sources`` and ``labels`` of all recordings.
    recordings : sequence of str
        Names of the matrix files, in the order of the samples.
    dataset : str
        Its id.
    n_regions : int
        Regions of the cortex: the classes of the label ``centre``, so that a class has the code
        of its region.
    split : dict
        ``group``, ``test``, ``validation``, ``seed``.
    description : dict
        For ``dataset.json``: ``name``, ``license``, ``citation``, ``snapshot``, settings, ...
    batches : sequence of str
        Names of ``convert/{batch}.json``, where the files of the dataset are stated.
    left_out : sequence of dict
        Samples that stand in no file: ``sample``, ``reason``, ``message``.
    keep_going : bool
        Whether samples that could not be made are no error.

    Raises
    ------
    BidsmillError
        If a result is missing, or samples failed; the tables are written all the same, and
        ``failed.tsv`` lists them.
    """
    made = {name: _receipt(results, name) for name in recordings}
    samples, events = _samples_and_events(results, made)
    failed = [{"recording": "", **each} for each in left_out]
    failed += [{"recording": name, **each} for name, r in made.items() for each in r["failed"]]
    table, content = split_of(samples, dataset, split)
    certificate.write_split(results / "split.tsv", results / "split.json", table, content)
    samples = samples.drop(columns=["split_side"])
    tables.write_parquet(results / "samples.parquet", samples)
    tables.write_tsv(results / "samples.tsv", samples)
    files.write_json(results / "samples.json", words.samples_words([str(c) for c in samples]))
    frames = {
        "events": events,
        "recordings": _recordings(made, events),
        "channels": _channels(made),
    }
    for name, frame in frames.items():
        tables.write_tsv(results / f"{name}.tsv", frame)
        described = words.described(name, [str(c) for c in frame])
        files.write_json(results / f"{name}.json", described)
    _write_failed(results, failed)
    _write_documents(results, dataset, made, samples, n_regions, content, description, failed)
    snapshot = {"snapshot": description.get("snapshot", SNAPSHOT), "batches": list(batches)}
    files.replace_if_different(
        results / "plan" / "dataset.json", files.json_bytes({"dataset": dataset, **snapshot})
    )
    if failed and not keep_going:
        raise BidsmillError(
            f"{len(failed)} samples could not be made",
            file=results / "failed.tsv",
            found=failed[0]["message"],
            todo="remove the cause, or go on without them: on_bad_sample: leave_out",
        )


def _receipt(results: Path, name: str) -> dict[str, Any]:
    receipt = receipts.read_receipt(results / "matrix" / f"{name}.json")
    if receipt is None:
        raise BidsmillError(
            "a file of simulated spikes is missing",
            file=results / "matrix" / f"{name}.json",
            todo="run snakemake again; it makes the file",
        )
    return receipt


def _samples_and_events(
    results: Path, made: dict[str, dict[str, Any]]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    import pandas as pd

    parts, events, count = [], [], 0
    for name, receipt in made.items():
        labels = tables.read_parquet(results / "labels" / f"{name}.parquet")
        n_times, sfreq = receipt["shape"][2], receipt["sfreq"]
        start = labels["row"].to_numpy(np.int64) * n_times
        own = _events(name, labels, start / sfreq, sfreq)
        first = count + np.searchsorted(own["row"].to_numpy(), labels["row"].to_numpy())
        front = {
            "recording": name,
            "row": labels["row"].to_numpy(np.int64),
            "onset": start / sfreq,
            "start": start,
            "stop": start + n_times,
            "event": first.astype(np.int64),
            "subject": labels["split_group"],
            "task": TASK,
            **dict.fromkeys(ENTITIES, ""),
            "run": name.split("_run-")[1].split("_")[0],
            "datatype": name.rpartition("_")[2],
            "trial_type": "spike",
            "value": "",
            "HED": HED,
            "HED_context": "",
            "HED_source": "config",
        }
        parts.append(
            pd.DataFrame(front, index=labels.index)
            .join(labels.drop(columns=["row", "split_group"]))
            .assign(excluded="")
        )
        events.append(own)
        count += len(own)
    return pd.concat(parts, ignore_index=True), pd.concat(events, ignore_index=True)


def _events(name: str, labels: pd.DataFrame, onsets: np.ndarray, sfreq: float) -> pd.DataFrame:
    """Return an event for each source, at the maximum of its waveform."""
    import pandas as pd

    rows = []
    columns = (labels["row"], onsets, labels["spike_times"], labels["centres"])
    for row, onset, times, centres in zip(*columns, strict=True):
        for number, (time, centre) in enumerate(zip(times.split(), centres.split(), strict=True)):
            at = float(onset) + float(time)
            rows.append([at, 0.0, name, round(at * sfreq), "spike", centre, int(row), number])
    names = ["onset", "duration", "recording", "sample", "trial_type", "value", "row"]
    frame = pd.DataFrame(rows, columns=[*names, "source_number"])
    return frame.assign(
        HED=HED,
        HED_context="",
        HED_source="config",
        source="file",
        outcome="used",
        reason="",
    )


def _recordings(made: dict[str, dict[str, Any]], events: pd.DataFrame) -> pd.DataFrame:
    import pandas as pd

    used = events["recording"].value_counts()
    rows = []
    for name, receipt in made.items():
        n_rows, n_channels, n_times = receipt["shape"]
        rows.append(
            {
                "recording": name,
                "subject": "simulated",
                "session": "",
                "task": TASK,
                "run": name.split("_run-")[1].split("_")[0],
                "datatype": name.rpartition("_")[2],
                "status": "converted",
                "reason": "",
                "message": "",
                "source_sfreq": receipt["sfreq"],
                "sfreq": receipt["sfreq"],
                "duration": n_rows * n_times / receipt["sfreq"],
                "n_channels": n_channels,
                "bad_channels": "",
                "n_times": n_times,
                "rows": n_rows,
                "excluded": 0,
                "events": int(used.get(name, 0)),
                "events_used": int(used.get(name, 0)),
                "events_dropped": "",
                "layout": receipt["layout"],
                "sha256": receipt["files"][f"{name}.parquet"]["sha256"],
            }
        )
    return pd.DataFrame(rows)


def _channels(made: dict[str, dict[str, Any]]) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(
        {
            "recording": name,
            **{key: c[key] for key in ("name", "source_name", "type", "unit", "status", "kept")},
            **dict(zip("xyz", c["position"] or [None] * 3, strict=True)),
        }
        for name, receipt in made.items()
        for c in receipt["detail"]["channels"]
    )


def _write_failed(results: Path, failed: list[dict[str, Any]]) -> None:
    import pandas as pd

    columns = ["recording", "sample", "reason", "message"]
    tables.write_tsv(results / "failed.tsv", pd.DataFrame(failed, columns=columns))


def _write_documents(
    results: Path,
    dataset: str,
    made: dict[str, dict[str, Any]],
    samples: pd.DataFrame,
    n_regions: int,
    split: dict[str, Any],
    description: dict[str, Any],
    failed: list[dict[str, Any]],
) -> None:
    numbers = ("n_sources", "extent", "overlap", "snr", "snr_realised", "spike_time")
    content = {
        "contract": CONTRACT,
        "dataset": dataset,
        "name": dataset,
        "snapshot": SNAPSHOT,
        "source": "simulation",
        "license": "",
        "doi": "",
        "citation": "",
        "authors": [],
        **description,
        "hed_version": HED_VERSION,
        "datatypes": sorted(set(samples["datatype"])),
        "tasks": [TASK],
        "counts": {
            "recordings": len(made),
            "converted": len(made),
            "quarantined": 0,
            "subjects": int(samples["subject"].nunique()),
            "rows": len(samples),
        },
        "failed_samples": len(failed),
        "sampling_rates": sorted({float(receipt["sfreq"]) for receipt in made.values()}),
        "labels": {
            "centre": {"kind": "class", "classes": [str(i) for i in range(n_regions)]},
            **{name: {"kind": "number", "unmatched": 0} for name in numbers},
        },
        "split": split["level"] if split["status"] == "done" else "refused",
        "split_reason": split["reason"],
        "validation": {},
    }
    files.write_json(results / "dataset.json", content)
    files.write_text(results / "README.md", words.readme(content))
    files.write_json(
        results / "validation.json", {"contract": CONTRACT, "dataset": dataset, "counts": {}}
    )
    files.write_json(results / "labels.json", {"labels": content["labels"]})
