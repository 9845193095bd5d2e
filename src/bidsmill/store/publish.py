"""Publish one dataset to a store: files first, then the manifest, then the pointer.

A reader sees the version before or the new one, never a mixture. A publish that ends anywhere
loses nothing: files and manifest are named by their content, and the pointer moves last.
"""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Any

from bidsmill.errors import BidsmillError
from bidsmill.formats import files
from bidsmill.formats.manifest import largest_layout
from bidsmill.storage.addresses import open_storage
from bidsmill.storage.contract import NotStored, Storage
from bidsmill.storage.progress import Progress
from bidsmill.store.announcing import Announcement
from bidsmill.store.catalogue.refresh import refresh_page
from bidsmill.store.collecting import Collected, Outgoing, collect
from bidsmill.store.licence import refusal
from bidsmill.store.pointing import move_pointer, read_or_none, update_catalog
from bidsmill.store.sending import (
    cannot_write,
    check_presence,
    known_files,
    missing_files,
    send,
)

log = logging.getLogger(__name__)

CONNECTIONS = 8
# How often files that vanish while a version is published are sent again.
ROUNDS = 5


def publish_dataset(
    results: Path,
    convert_paths: list[Path],
    published_path: Path,
    *,
    dataset: str,
    store: str,
    connection: dict[str, Any] | None = None,
    license_allowed: bool = False,
    streams: bool = True,
) -> dict[str, int]:
    """Publish the results of a dataset and write what was published to ``published.json``.

    What the store has already is not written again. A dataset whose licence allows no
    derivatives, or says nothing of them, is not published; that is no error, and a version that
    was published before stays.

    Parameters
    ----------
    results : pathlib.Path
        ``results/{dataset}``.
    convert_paths : list of pathlib.Path
        ``convert/{batch}.json`` of all batches.
    published_path : pathlib.Path
        Written last.
    dataset : str
        Dataset id.
    store : str
        Folder of the store, or ``s3://bucket/prefix``.
    connection : dict, optional
        How a bucket is reached, as in the config: ``endpoint``, ``profile``, ``encryption``,
        ``kms_key``, ``storage_class``, ``connections``.
    license_allowed : bool
        Whether the config names the dataset under ``allow_license``.
    streams : bool
        Whether its streams and epocs are published, if it has any.

    Returns
    -------
    dict
        How much was sent: ``sent_files``, ``sent_bytes``, ``kept_files`` (that the store had).
        Empty if the dataset is not published.

    Raises
    ------
    BidsmillError
        If a result is missing or damaged, with the command that rebuilds it; if the store cannot
        be reached or written.
    """
    if not license_allowed and (refused := _refusal(results, dataset)):
        todo = f"add {dataset} to `allow_license` if you may"
        log.warning("%s: not published: %s; to do: %s", dataset, refused["reason"], todo)
        files.write_json(published_path, refused)
        return {}
    connection = connection or {}
    version = collect(results, convert_paths, dataset, streams=streams)
    storage = open_storage(store, **connection)
    connections = connection.get("connections") or CONNECTIONS
    try:
        sent = publish_version(storage, version, connections)
    except (NotStored, OSError) as error:
        raise cannot_write(storage, error) from error
    files.write_json(published_path, _published(version, storage))
    return {
        "sent_files": len(sent),
        "sent_bytes": sum(file.size for file in sent),
        "kept_files": len(version.files) - len(sent),
    }


def publish_plan(
    results: Path,
    convert_paths: list[Path],
    *,
    dataset: str,
    store: str,
    connection: dict[str, Any] | None = None,
    license_allowed: bool = False,
    streams: bool = True,
) -> dict[str, Any]:
    """Return what `publish_dataset` would do; nothing is written to the store.

    Returns
    -------
    dict
        ``dataset``, ``version``, ``store``, ``refused`` (the reason, or ''), ``latest`` (whether
        the store points to this version already), ``files`` to send (``kind``, ``name``,
        ``path``, ``size`` in bytes, ``sha256``), ``send_bytes``, ``kept_files``, ``kept_bytes``.

    Raises
    ------
    BidsmillError
        As `publish_dataset`.
    """
    connection = connection or {}
    refused = None if license_allowed else _refusal(results, dataset)
    version = collect(results, convert_paths, dataset, streams=streams)
    storage = open_storage(store, **connection)
    latest, known = known_files(storage, dataset)
    connections = connection.get("connections") or CONNECTIONS
    missing = missing_files(storage, version, known, connections)
    send_bytes = sum(file.size for file in missing)
    keys = ("kind", "name", "path", "size", "sha256")
    return {
        "dataset": dataset,
        "version": version.version,
        "store": storage.address,
        "refused": refused["reason"] if refused else "",
        "latest": latest == version.version,
        "files": [{key: file.entry[key] for key in keys} for file in missing],
        "send_bytes": send_bytes,
        "kept_files": len(version.files) - len(missing),
        "kept_bytes": sum(file.size for file in version.files) - send_bytes,
    }


def _refusal(results: Path, dataset: str) -> dict[str, Any] | None:
    """Return why a dataset is not published, by the licence in its ``dataset.json``."""
    return refusal(dataset, str(files.read_json(results / "dataset.json").get("license") or ""))


def publish_version(
    storage: Storage, version: Collected, connections: int = CONNECTIONS
) -> list[Outgoing]:
    """Bring a version into a store and let the pointer and the catalogue show it.

    Parameters
    ----------
    storage : Storage
        The store.
    version : Collected
        The version.
    connections : int
        Most files that are sent at a time.

    Returns
    -------
    list of Outgoing
        The files that the store lacked.
    """
    latest, known = known_files(storage, version.dataset)
    if latest == version.version and not check_presence(storage, version):
        # What a pointer names, gc keeps: there is nothing to announce.
        update_catalog(storage, version.dataset)
        refresh_page(storage)
        log.info("%s is published already: %d files kept", version.version, len(version.files))
        return []
    announcement = Announcement(storage, version.dataset, version.relied_on)
    announcement.make()
    if storage.remote:
        storage.require_conditional_writes(announcement.path)
    announcement.wait_for_removals()
    began = time.monotonic()
    missing = missing_files(storage, version, known, connections)
    _send(storage, missing, connections, announcement)
    if read_or_none(storage, version.manifest_path)[0] != version.manifest:
        storage.put(version.manifest_path, version.manifest)
    _settle(storage, version, connections, announcement)
    move_pointer(storage, version.dataset, version.version, version.snapshot)
    update_catalog(storage, version.dataset)
    refresh_page(storage)
    announcement.take_back()
    _tell(version, missing, time.monotonic() - began)
    return missing


def _send(
    storage: Storage, missing: list[Outgoing], connections: int, announcement: Announcement
) -> None:
    total = sum(file.size for file in missing)
    with Progress(f"publish {announcement.dataset}", total) as progress:
        send(storage, missing, connections, progress, announcement.keep_fresh)


def _settle(
    storage: Storage, version: Collected, connections: int, announcement: Announcement
) -> None:
    """Check that every file is there, just before the pointer moves; send again what vanished."""
    for _ in range(ROUNDS):
        announcement.make()
        announcement.wait_for_removals()
        vanished = check_presence(storage, version)
        if storage.stat(version.manifest_path) is None:
            storage.put(version.manifest_path, version.manifest)
            continue
        if not vanished:
            return
        log.warning("%d files vanished from the store, and are sent again", len(vanished))
        _send(storage, vanished, connections, announcement)
    raise BidsmillError(
        "files vanish from the store while it is written",
        file=storage,
        found=f"{len(vanished)} files are not there, {ROUNDS} times in a row",
        todo="find out what removes them (a rule of the bucket, a clean-up), and publish again",
    )


def _tell(version: Collected, missing: list[Outgoing], seconds: float) -> None:
    megabytes = sum(file.size for file in missing) / 1e6
    log.info(
        "published %s: %d files new (%.1f MB in %.0f s), %d kept",
        version.version,
        len(missing),
        megabytes,
        seconds,
        len(version.files) - len(missing),
    )


def _published(version: Collected, storage: Storage) -> dict[str, Any]:
    """Return what ``published.json`` says of a version."""
    address = storage.address if storage.remote else Path(storage.address).as_posix()
    return {
        "dataset": version.dataset,
        "status": "published",
        "version": version.version,
        "store": address,
        "manifest": version.manifest_path,
        "rows": version.content["rows"],
        "layout": largest_layout(version.content["layouts"]),
    }
