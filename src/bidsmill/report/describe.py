"""The description of a dataset: where it comes from, what was done to it, what is in it."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bidsmill.errors import BidsmillError
from bidsmill.formats import files, tables
from bidsmill.formats.certificate import text_column
from bidsmill.report.prose import dataset_readme, processing_prose
from bidsmill.report.tag_tree import count_tags, used_tags
from bidsmill.version import __version__

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)

CONTRACT = "1"
# Settings of the machine that runs: they change no result, and are nobody else's business.
OWN_SETTINGS = {"path", "endpoint", "profile", "fetch"}


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
        ``split`` (``split.json``), ``validation``, and lists: ``annotated``, ``converted``.
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
        "authors": authors(stated),
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
        "hed_tags": _hed_tags(samples, overview["hed_version"]),
        "rows_excluded": int((samples["excluded"] != "").sum()),
        "hours": round(sum(float(d) for d in used["duration"] if d) / 3600, 4),
        "sampling_rates": sorted({float(rate) for rate in used["sfreq"]}),
        "hardware": _hardware(inputs["converted"], Path(inputs["dataset"]).parents[1]),
        "labels": labels,
        "split": split["level"] if split["status"] == "done" else "refused",
        "split_reason": split.get("reason") or "",
        "validation": validation.get("counts", {}),
        "settings": {key: settings[key] for key in sorted(set(settings) - OWN_SETTINGS)},
        "processing": processing_prose(settings),
        "software": _software([*inputs["annotated"], *inputs["converted"]], split),
    }
    files.write_json(description_path, content)
    files.write_text(readme_path, dataset_readme(content, recordings))


def _hed_tags(samples: pd.DataFrame, version: Any) -> list[str]:
    """Return the tags of the rows and of what they happen in, those of most rows first."""
    columns = (column for column in ("HED", "HED_context") if column in samples)
    strings = (text for column in columns for text in text_column(samples, column))
    try:
        return used_tags(count_tags(strings, version or None))
    except BidsmillError as error:
        log.warning("the catalogue cannot tell the HED tags: %s", error)
        return []


def citation(dataset: str, stated: dict[str, Any]) -> str:
    """Return how the dataset is cited, from its dataset_description.json."""
    parts = [", ".join(authors(stated)), stated.get("Name") or dataset, stated.get("DatasetDOI")]
    return ". ".join(str(part) for part in parts if part)


def authors(stated: dict[str, Any]) -> list[str]:
    """Return the authors of a dataset; public files hold a list, or one text."""
    found = stated.get("Authors") or []
    return [str(name) for name in found] if isinstance(found, list) else [str(found)]


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


def _software(manifest_paths: list[str], split: dict[str, Any]) -> dict[str, str]:
    """Return what made the results: of each library the version that a stage worked with."""
    used = {"bidsmill": __version__}
    for path in manifest_paths:
        used.update(files.read_json(path)["software"])
    if split.get("solver"):
        solver, _, version = split["solver"].partition(" ")
        used[solver] = version
    return {name: used[name] for name in sorted(used)}
