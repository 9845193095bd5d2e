"""From a lock to the plans of its batches: what each job takes as its input."""

from __future__ import annotations

import logging
from collections.abc import Collection
from pathlib import Path
from typing import Any

from bidsmill.batches import PASSING, batch_name, bucket, number_of_batches, remove_leavers
from bidsmill.bids.entities import entity_columns
from bidsmill.bids.foreign_names import with_foreign_samples
from bidsmill.bids.limits import files_too_large
from bidsmill.bids.recordings import Recording, find_recordings, included
from bidsmill.errors import BidsmillError
from bidsmill.formats import files
from bidsmill.sources.listing import identity
from bidsmill.sources.lock import address_of, make_lock
from bidsmill.sources.place import dataset_root, is_remote
from bidsmill.sources.presence import keep_state_of
from bidsmill.sources.remote_files import require_space
from bidsmill.sources.selection import files_of_dataset
from bidsmill.storage.addresses import open_storage
from bidsmill.workflow.committed import committed_lock, keep_lock, kept_lock, look_at_folder
from bidsmill.workflow.news import changes_since
from bidsmill.workflow.previous import write_previous

log = logging.getLogger(__name__)

# What a lock depends on, beside the state of its source.
ASKED = ("source", "path", "id", "url", "manifest", "version", "folders")
# Stages that work batch by batch, and leave a manifest for each.
STAGES = ("fetch", "annotate", "convert")


def lock_dataset(
    lock_path: Path,
    *,
    dataset: str,
    settings: dict[str, Any],
    batches: dict[str, Any],
    committed: Path | None = None,
    take_news: bool = True,
    store: str = "",
    connection: dict[str, Any] | None = None,
    adopted: Path | None = None,
    question: str = "",
) -> None:
    """Lock a dataset and write the plans beside the lock, and the split before this one.

    Plans are not declared as outputs and are replaced only when their bytes differ, so that a
    batch in which nothing changed does not run again.

    Parameters
    ----------
    lock_path : pathlib.Path
        ``results/{dataset}/lock.json``.
    dataset : str
        Dataset id.
    settings : dict
        Where the dataset comes from, ``version``, ``include``, ``folders`` and ``limits``.
    batches : dict
        Limits of a mean batch: ``recordings``, ``gigabytes``.
    committed : pathlib.Path, optional
        A lock that was made before and is used as it is: the source is not asked.
    take_news : bool
        Whether to ask the source although the lock of the run before is still there.
    store : str
        The store, whose latest version has the previous split; '' for none.
    connection : dict, optional
        How the store is reached: see `bidsmill.storage.bucket.Bucket`.
    adopted : pathlib.Path, optional
        A table of the previous split that is kept with the config.
    question : str
        sha256 of the settings of the dataset: the previous split is taken anew if they change.

    Raises
    ------
    BidsmillError
        If the dataset cannot be read or no recording matches ``include``.
    """
    results = lock_path.parent
    asked = {key: settings.get(key) for key in ASKED}
    if committed is not None:
        lock = committed_lock(committed, dataset, settings)
        look_at_folder(lock, settings, results)
    else:
        kept = None if take_news else kept_lock(results, asked)
        lock = kept or make_lock(dataset, settings, results)
        keep_lock(results, asked, lock)
    root = dataset_root(settings, results)
    found = recordings_of(lock, None if is_remote(settings) else root)
    recordings = [recording for recording in found if included(recording, settings["include"])]
    if not recordings:
        raise BidsmillError(
            f"the dataset {dataset} holds no recording that is asked for",
            file=address_of(lock["source"]),
            found=f"{len(found)} recordings before `include` is applied",
            expected=_expected(found, settings["include"]),
        )
    overview = {
        "root": root.as_posix(),
        "dataset_files": files_of_dataset(lock["files"], found, recordings),
    }
    if is_remote(settings):
        require_space(root, _missing(lock, recordings, overview, settings.get("limits")))
    again = _with_passing_problems(results)
    # What does not concern the plans: they stay when only the previous split is another.
    stated = lock.pop("split", None)
    write_plans(results / "plan", lock, recordings, batches, overview, again)
    previous = write_previous(
        results,
        dataset=dataset,
        question=files.canonical_sha256([lock["files"], question]),
        store=open_storage(store, **(connection or {})) if store else None,
        adopted=adopted,
        stated=stated,
    )
    files.write_json(lock_path, {**lock, "split": previous})


def recordings_of(lock: dict[str, Any], root: Path | None) -> list[Recording]:
    """Return the recordings of a locked dataset.

    Parameters
    ----------
    lock : dict
        The lock.
    root : pathlib.Path or None
        The dataset, if its files are on a disk already.
    """
    sizes = {entry["path"]: entry["size"] for entry in lock["files"]}
    return with_foreign_samples(find_recordings(sizes), sizes, root)


def _missing(
    lock: dict[str, Any],
    recordings: list[Recording],
    overview: dict[str, Any],
    limits: dict[str, Any] | None,
) -> list[dict[str, Any]]:
    """Return the entries of files to fetch that are not there with their size."""
    root = Path(overview["root"])
    sizes = {entry["path"]: entry["size"] or 0 for entry in lock["files"]}
    chosen = set(overview["dataset_files"])
    for recording in recordings:
        if not files_too_large(sum(sizes[path] for path in recording.files), limits):
            chosen.update(recording.files, *recording.sidecars.values())
    return [
        entry
        for entry in lock["files"]
        if entry["path"] in chosen and _size_of(root / entry["path"]) != entry["size"]
    ]


def _size_of(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None


def _with_passing_problems(results: Path) -> set[str]:
    """Return the batches, and ``dataset``, with problems that this look may have ended.

    A file that was missing or changed and is now again as it was leaves the lock as it is. Their
    plans get another number of attempts, so that they run again and treat what had a problem.
    """
    again = {
        path.stem
        for stage in STAGES
        for path in (results / stage).glob("b*.json")
        if any(m.get("reason") in PASSING for m in files.read_json(path)["members"].values())
    }
    shared = results / "fetch" / "dataset.json"
    if shared.is_file() and files.read_json(shared)["missing"]:
        again.add("dataset")
    return again


def _attempt(path: Path, again: set[str]) -> int:
    """Return how often a plan was made for another attempt."""
    before = files.read_json(path).get("attempt", 0) if path.is_file() else 0
    return before + (path.stem in again)


def _expected(found: list[Recording], include: dict[str, Any]) -> str:
    """Say what `include` asks for, and which labels the recordings have."""
    if not include:
        return "recordings of a known format in folders eeg, meg, ieeg, emg or nirs"
    columns = [{**entity_columns(r.stem), "datatype": r.datatype} for r in found]
    texts = []
    for key, wanted in include.items():
        there = sorted({column[key] for column in columns} - {""})
        asked = ", ".join(map(str, wanted))
        texts.append(f"{key} {asked} (there are: {', '.join(there[:20]) or 'none'})")
    return "; ".join(texts)


def write_plans(
    folder: Path,
    lock: dict[str, Any],
    recordings: list[Recording],
    batches: dict[str, Any],
    overview: dict[str, Any],
    again: Collection[str] = (),
) -> None:
    """Write ``plan/{batch}.json`` for every batch, and ``plan/dataset.json``.

    Parameters
    ----------
    folder : pathlib.Path
        ``results/{dataset}/plan``.
    lock : dict
        The lock.
    recordings : list of Recording
        Those that the config asks for.
    batches : dict
        Limits of a mean batch.
    overview : dict
        ``root`` and ``dataset_files``, for ``plan/dataset.json``.
    again : collection of str
        Batches, and ``dataset``, that are to run again though nothing in their plan changed.
    """
    known = {entry["path"]: entry for entry in lock["files"]}
    members = [plan_member(recording, known) for recording in recordings]
    count = number_of_batches(
        [member["size"] for member in members], batches["recordings"], batches["gigabytes"]
    )
    plans: dict[int, list] = {}
    for member in members:
        plans.setdefault(bucket(member["stem"], count), []).append(member)
    names = {batch_name(index): plans[index] for index in sorted(plans)}
    lock_sha256 = files.canonical_sha256(lock)
    overview = {
        **overview,
        "dataset": lock["dataset"],
        "snapshot": lock["snapshot"],
        "lock_sha256": lock_sha256,
        "participants": identity(known.get("participants.tsv", {})),
        "hed_version": lock["description"].get("HEDVersion"),
        "description": _description(lock),
        "source": lock["source"]["kind"],
        "batches": list(names),
        "recordings": {member["stem"]: bucket(member["stem"], count) for member in members},
        "bytes": {
            "dataset": sum(known[path]["size"] or 0 for path in overview["dataset_files"]),
            **{name: _bytes_of(batch, known) for name, batch in names.items()},
        },
        "changes": changes_since(folder, lock["snapshot"], lock_sha256, members),
        "attempt": _attempt(folder / "dataset.json", set(again)),
    }
    # Before the plans: what is new is told from the old ones, also when this is interrupted.
    files.replace_if_different(folder / "dataset.json", files.json_bytes(overview))
    # Batches that took this from plan/dataset.json would run again with every other recording.
    of_all = {key: overview[key] for key in ("root", "hed_version")}
    changed = 0
    for name, batch in names.items():
        path = folder / f"{name}.json"
        plan = {
            "dataset": lock["dataset"],
            "batch": name,
            "batches": count,
            "attempt": _attempt(path, set(again)),
            **of_all,
            "members": batch,
        }
        changed += files.replace_if_different(path, files.json_bytes(plan))
    _remove_other_batches(folder.parent, count, set(names), {m["stem"] for m in members})
    log.info("%d recordings in %d batches, %d changed", len(members), len(names), changed)


def _remove_other_batches(results: Path, count: int, names: set[str], stems: set[str]) -> None:
    """Remove plans, manifests and results of batches that have no members, and so no job."""
    keep_state_of(results, names)
    for stage in ("plan", *STAGES):
        for path in (results / stage).glob("b*.json"):
            if path.stem not in names:
                path.unlink()
    empty = {batch_name(index) for index in range(count)} - names
    for folder in ("events", "matrix"):
        remove_leavers(results / folder, count, empty, stems)


def _description(lock: dict[str, Any]) -> dict[str, Any]:
    """Return dataset_description.json, with what only the archive states filled in."""
    stated = {"License": lock["license"], "DatasetDOI": lock["doi"], "Authors": lock["authors"]}
    filled = {key: value for key, value in stated.items() if value}
    return {**filled, **{key: value for key, value in lock["description"].items() if value}}


def _bytes_of(members: list[dict[str, Any]], known: dict[str, dict[str, Any]]) -> int:
    """Return the bytes of all files that a batch fetches."""
    paths = {path for m in members for path in (*m["files"], *m["sidecar_files"])}
    return sum(known[path]["size"] or 0 for path in paths)


def plan_member(recording: Recording, known: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Return what a plan holds of a recording.

    Parameters
    ----------
    recording : Recording
        The recording.
    known : dict
        Path -> entry of the lock.
    """
    sidecars = {path for paths in recording.sidecars.values() for path in paths}
    return {
        "stem": recording.stem,
        "datatype": recording.datatype,
        "data": recording.data,
        "size": sum(known[path]["size"] or 0 for path in recording.files),
        "files": {path: identity(known[path]) for path in recording.files},
        "sidecars": recording.sidecars,
        "sidecar_files": {path: identity(known[path]) for path in sorted(sidecars)},
        "alternatives": recording.alternatives,
    }
