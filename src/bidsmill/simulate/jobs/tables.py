"""Tables and documents of a simulated dataset."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bidsmill.formats import files
from bidsmill.simulate.anatomy.loading import load_leadfield
from bidsmill.simulate.dataset.stale import remove_others
from bidsmill.simulate.dataset.tables import write_tables

# The licence of what is made by code alone.
FREE = "CC0"
# Settings that name files of others.
PATHS = {
    "anatomy": ("folder", "cortex", "inflated", "region_mapping", "leadfield"),
    "activity": ("connectome",),
    "clips": ("folder",),
    "sources": ("described",),
    "noise": ("file",),
}


def make_tables(
    results: Path, leadfield_path: Path, overview_path: Path, dataset: str, settings: dict[str, Any]
) -> None:
    """Write all that a dataset has beside its matrices and its page.

    Parameters
    ----------
    results : pathlib.Path
        ``results/{dataset}``.
    leadfield_path, overview_path : pathlib.Path
        The lead field, and ``sources.json``.
    dataset : str
        Its id.
    settings : dict
        All settings of the simulated dataset but ``mat``.
    """
    overview = files.read_json(overview_path)
    recordings = [shard["recording"] for shard in overview["shards"].values()]
    remove_others(results, recordings, list(overview["shards"]))
    write_tables(
        results,
        recordings,
        dataset=dataset,
        n_regions=load_leadfield(leadfield_path).matrix.shape[1],
        split={"seed": settings["seed"], **settings["split"]},
        description=description(settings),
        batches=list(overview["shards"]),
        left_out=overview["left_out"],
        keep_going=settings["on_bad_sample"] == "leave_out",
    )


def description(settings: dict[str, Any]) -> dict[str, Any]:
    """Return what ``dataset.json`` says of the settings.

    Paths are cut to the names of their files: those of one machine say nothing on another.
    """
    of_code = "" if _files_of_others(settings) else FREE
    return {
        "snapshot": settings["version"],
        "license": of_code if settings["license"] is None else settings["license"],
        "settings": {
            section: {key: _named(value) for key, value in content.items()}
            if isinstance(content, dict)
            else content
            for section, content in settings.items()
        },
    }


def _files_of_others(settings: dict[str, Any]) -> bool:
    used = [settings[section][key] for section, keys in PATHS.items() for key in keys]
    montage = settings["anatomy"]["montage"] or ""
    return any(value is not None for value in used) or Path(montage).suffix != ""


def _named(value: Any) -> Any:
    if isinstance(value, str) and "/" in value:
        return Path(value).name
    if isinstance(value, list):
        return [_named(each) for each in value]
    return value
