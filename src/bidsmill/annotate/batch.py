"""The events of the recordings of one batch, with HED and the choice of those that count."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any

from bidsmill import batches
from bidsmill.annotate.choice import check_choice
from bidsmill.annotate.recording import AnnotateWork
from bidsmill.bids.hed_sidecars import read_config_sidecar
from bidsmill.formats import files
from bidsmill.sources.presence import read_state

# Libraries that shape the events.
LIBRARIES = ("hedtools", "mne", "pandas")


def annotate_batch(
    plan_path: Path,
    fetch_path: Path,
    manifest_path: Path,
    *,
    settings: dict[str, Any],
    code: str,
    hed_sidecar: Path | None = None,
) -> None:
    """Write ``events/{recording}.tsv`` for the recordings of a batch, and their manifest.

    Parameters
    ----------
    plan_path, fetch_path : pathlib.Path
        ``plan/{batch}.json``, ``fetch/{batch}.json``.
    manifest_path : pathlib.Path
        ``annotate/{batch}.json``.
    settings : dict
        ``windows``, ``annotations``, ``repairs`` and ``hed`` of the dataset.
    code : str
        Hash of the code of this stage.
    hed_sidecar : pathlib.Path, optional
        ``config/hed/{dataset}.json``, if there is one.

    Raises
    ------
    BidsmillError
        If the choice of events or the HED sidecar of the config is malformed.
    """
    plan = files.read_json(plan_path)
    fetched = files.read_json(fetch_path)["members"]
    windows = settings["windows"]
    choice = windows["events"] if windows["kind"] == "events" else None
    check_choice(choice, plan["hed_version"])
    work = AnnotateWork(
        root=Path(plan["root"]),
        folder=manifest_path.parents[1] / "events",
        hed_version=plan["hed_version"],
        choice=choice,
        use_annotations=settings["annotations"] == "when-no-events",
        repairs=settings["repairs"],
        state=read_state(manifest_path.parents[1], plan["batch"]),
        tags=read_config_sidecar(hed_sidecar) if hed_sidecar else None,
        use_proposed=settings["hed"]["proposed"] == "use",
        present={stem for stem, entry in fetched.items() if entry["status"] == "present"},
    )
    software = {name: version(name) for name in LIBRARIES}

    def fingerprint(member: batches.Member) -> str:
        return files.canonical_sha256([work.inputs(member), code, software])

    manifest = batches.update(plan, work.folder, work, fingerprint, verb="annotated")
    files.write_json(manifest_path, {"software": software, **manifest})
