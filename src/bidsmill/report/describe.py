"""The description of a dataset: where it comes from, what was done to it, what is in it."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from bidsmill.formats import files, tables
from bidsmill.report.prose import dataset_readme, processing_prose

CONTRACT = "1"
# Libraries that shape the results.
LIBRARIES = ("bidsmill", "mne", "numpy", "scipy", "pandas", "pyarrow", "hedtools", "highspy")


def describe_dataset(
    inputs: dict[str, Any],
    description_path: Path,
    readme_path: Path,
    *,
    dataset: str,
    settings: dict[str, Any],
) -> None:
    """Write ``dataset.json`` and ``README.md``.

    Parameters
    ----------
    inputs : dict
        Paths: ``dataset`` (``plan/dataset.json``), ``recordings``, ``samples``, ``vocabulary``,
        ``split`` (``split.json``), ``validation``, and ``converted`` (a list).
    description_path, readme_path : pathlib.Path
        Written.
    dataset : str
        Dataset id.
    settings : dict
        All settings of the dataset.
    """
    overview = files.read_json(inputs["dataset"])
    recordings = tables.read_tsv(inputs["recordings"])
    samples = tables.read_parquet(inputs["samples"])
    split = files.read_json(inputs["split"])
    validation = files.read_json(inputs["validation"])
    labels = files.read_json(inputs["vocabulary"])["labels"]
    stated = overview["description"]
    used = recordings[recordings["status"] != "quarantined"]
    subjects = sorted(set(used["subject"]) - {"", "emptyroom"})
    content = {
        "contract": CONTRACT,
        "dataset": dataset,
        "name": stated.get("Name") or dataset,
        "snapshot": overview["snapshot"],
        "source": overview["source"],
        "license": stated.get("License") or "",
        "doi": stated.get("DatasetDOI") or "",
        "authors": stated.get("Authors") or [],
        "citation": citation(dataset, stated),
        "how_to_acknowledge": stated.get("HowToAcknowledge") or "",
        "references": stated.get("ReferencesAndLinks") or [],
        "funding": stated.get("Funding") or [],
        "bids_version": stated.get("BIDSVersion") or "",
        "hed_version": overview["hed_version"],
        "datatypes": sorted(set(recordings["datatype"])),
        "tasks": sorted(set(recordings["task"]) - {""}),
        "counts": {
            "recordings": len(recordings),
            "converted": len(used),
            "quarantined": len(recordings) - len(used),
            "subjects": len(subjects),
            "rows": len(samples),
        },
        "rows_excluded": int((samples["excluded"] != "").sum()),
        "hours": round(sum(float(d) for d in used["duration"] if d) / 3600, 4),
        "sampling_rates": sorted({float(rate) for rate in used["sfreq"]}),
        "hardware": _hardware(inputs["converted"], Path(inputs["dataset"]).parents[1]),
        "labels": labels,
        "split": split["level"] if split["status"] == "done" else "refused",
        "split_reason": split.get("reason") or "",
        "validation": validation.get("counts", {}),
        "settings": {key: settings[key] for key in sorted(settings) if key != "path"},
        "processing": processing_prose(settings),
        "software": {name: _version(name) for name in LIBRARIES},
    }
    files.write_json(description_path, content)
    files.write_text(readme_path, dataset_readme(content, recordings))


def citation(dataset: str, stated: dict[str, Any]) -> str:
    """Return how the dataset is cited, from its dataset_description.json."""
    authors = stated.get("Authors") or []
    who = ", ".join(map(str, authors)) if isinstance(authors, list) else str(authors)
    parts = [who, stated.get("Name") or dataset, stated.get("DatasetDOI") or ""]
    return ". ".join(part for part in parts if part)


def _hardware(convert_paths: list[str], results: Path) -> dict[str, list[str]]:
    """Return what the sidecars say of amplifier, reference and so on: key -> distinct values."""
    found: dict[str, set[str]] = {}
    for path in convert_paths:
        for stem, entry in files.read_json(path)["members"].items():
            if entry["status"] == "quarantined":
                continue
            receipt = files.read_json(results / "matrix" / f"{stem}.json")
            for key, value in receipt["detail"]["hardware"].items():
                found.setdefault(key, set()).add(_plain(value))
    return {key: sorted(found[key]) for key in sorted(found)}


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else files.json_bytes(value).decode().strip()


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
