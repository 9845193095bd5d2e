"""Batches: recordings that one job treats, and how a job does only what is not done yet."""

from __future__ import annotations

import hashlib
import logging
import multiprocessing
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

from bidsmill.errors import BidsmillError, DiskFull, RecordingProblem
from bidsmill.formats import files, receipts
from bidsmill.formats.space import FULL

log = logging.getLogger(__name__)

Member = dict[str, Any]

# Reasons that may be gone by the next run, though nothing that a fingerprint knows has moved.
SOURCE_MOVED = {"file_missing", "source_changed"}
NOT_FETCHED = {"fetch_failed", "wrong_size", "wrong_checksum", "not_data"}
PASSING = SOURCE_MOVED | NOT_FETCHED | {"internal_error", "read_error"}


def number_of_batches(sizes: Sequence[int], recordings: int, gigabytes: float) -> int:
    """Return the smallest power of two that keeps a mean batch within the limits.

    Parameters
    ----------
    sizes : sequence of int
        Bytes of each recording.
    recordings : int
        Most recordings of a mean batch.
    gigabytes : float
        Most GB (10**9 bytes) of a mean batch.
    """
    count, total = 1, sum(sizes)
    # More batches than recordings would not help.
    while count < len(sizes) and (
        len(sizes) > count * recordings or total > count * gigabytes * 1e9
    ):
        count *= 2
    return count


def bucket(stem: str, count: int) -> int:
    """Return the batch of a recording: sha256 of its BIDS stem modulo the number of batches."""
    return int.from_bytes(hashlib.sha256(stem.encode()).digest()[:8], "big") % count


def batch_name(index: int) -> str:
    """Return the name of a batch, as it stands in file names."""
    return f"b{index:04d}"


def update(
    plan: dict[str, Any],
    folder: Path,
    work: Callable[[Member], dict[str, Any]],
    fingerprint: Callable[[Member], str],
    *,
    verb: str,
    on_bad_recording: str = "quarantine",
    processes: int = 1,
    only: str | None = None,
    holds: Callable[[dict[str, Any]], bool] | None = None,
) -> dict[str, Any]:
    """Bring the results of one batch up to date, and return its manifest.

    A member whose receipt matches is left alone; the files of recordings that belong to this
    batch but are no longer in its plan are removed. One bad recording never stops the others.
    A recording that failed unexpectedly (a disk that does not answer, a bug) is tried again.

    Parameters
    ----------
    plan : dict
        Content of ``plan/{batch}.json``.
    folder : pathlib.Path
        Where results and receipts (``{recording}.json``) lie.
    work : callable
        Makes the files of one member and returns the receipt's content (``status``,
        ``files`` and so on). A `RecordingProblem` quarantines the recording. Must be
        picklable if `processes` is more than 1.
    fingerprint : callable
        The sha256 of all that the result of a member depends on.
    verb : str
        For the log: ``converted 1, unchanged 63``.
    on_bad_recording : {"quarantine", "fail"}
        What follows from a recording that cannot be treated.
    processes : int
        Worker processes.
    only : str, optional
        Treat this member, up to date or not, and no other.
    holds : callable, optional
        Whether a receipt whose fingerprint matches still says what would be decided now.

    Raises
    ------
    BidsmillError
        If recordings failed and `on_bad_recording` is ``fail``, or a worker was killed.
    DiskFull
        If there is no room for a result. What is done stays done.
    """
    members = plan["members"]
    if only is None:
        remove_leavers(folder, plan["batches"], {plan["batch"]}, {m["stem"] for m in members})
    done: dict[str, dict[str, Any]] = {}
    stale: list[tuple[Member, str]] = []
    for member in members:
        wanted = fingerprint(member)
        receipt = receipts.current_receipt(folder / f"{member['stem']}.json", wanted)
        doubtful = receipt and (
            receipt.get("reason") in PASSING or (holds is not None and not holds(receipt))
        )
        if doubtful and only is None:
            receipt = None
        if member["stem"] == only or (receipt is None and only is None):
            stale.append((member, wanted))
        elif receipt is not None:
            done[member["stem"]] = receipts.manifest_entry(receipt)
    unchanged = len(done)
    treated = _treat(stale, folder, work, processes)
    title = f"{folder.parent.name} {plan['batch']}, {verb}"
    for stem, content, trace in _watched(treated, len(stale), title):
        done[stem] = receipts.manifest_entry(content)
        if trace:
            log.error("%s failed unexpectedly:\n%s", stem, trace)
        if content["status"] == "quarantined":
            log.warning("%s quarantined (%s): %s", stem, content["reason"], content["message"])
        else:
            log.info("%s: %s", stem, content["status"])
    bad = [stem for stem in sorted(done) if done[stem]["status"] == "quarantined"]
    log.info("%s %d, unchanged %d; %d quarantined", verb, len(stale), unchanged, len(bad))
    if bad and on_bad_recording == "fail":
        listed = "; ".join(f"{stem}: {done[stem]['message']}" for stem in bad)
        raise BidsmillError(
            f"{len(bad)} recording(s) are bad and `on_bad_recording` is `fail`", found=listed
        )
    return {"batch": plan["batch"], "members": {stem: done[stem] for stem in sorted(done)}}


def remove_leavers(folder: Path, count: int, names: set[str], stems: set[str]) -> None:
    """Remove the results of recordings that are no longer in the lock.

    Parameters
    ----------
    folder : pathlib.Path
        Where results and receipts lie.
    count : int
        Number of batches that recordings are spread over.
    names : set of str
        Batches whose results may be removed: those that no other job treats now.
    stems : set of str
        Recordings to keep.
    """
    for receipt in folder.glob("*.json"):
        stem = receipt.stem
        if stem in stems or batch_name(bucket(stem, count)) not in names:
            continue
        if receipts.read_receipt(receipt) is None:
            continue
        _remove_files(receipt)
        receipt.unlink()
        log.info("removed %s: it is no longer in the lock", stem)


def _watched(treated: Iterable[Any], count: int, title: str) -> Iterator[Any]:
    """Show in a terminal how many recordings of the batch are done; silent where nobody watches."""
    if sys.stderr is not None and sys.stderr.isatty():
        from tqdm import tqdm

        treated = tqdm(treated, title, count, leave=False, mininterval=0.5, unit="recording")
    yield from treated


def _treat(
    stale: list[tuple[Member, str]], folder: Path, work: Callable, processes: int
) -> Iterable[tuple[str, dict[str, Any], str | None]]:
    if processes > 1 and len(stale) > 1:
        yield from _treat_in_processes(stale, folder, work, processes)
        return
    for member, wanted in stale:
        yield member["stem"], *_treat_one(member, wanted, folder, work)


def _treat_in_processes(stale, folder, work, processes):
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(processes, len(stale)), mp_context=context) as pool:
        # The largest first, so that no process ends long after the others.
        ordered = sorted(stale, key=lambda pair: -pair[0].get("size", 0))
        jobs = {
            pool.submit(_treat_one, member, wanted, folder, work): member["stem"]
            for member, wanted in ordered
        }
        for job in as_completed(jobs):
            try:
                result = job.result()
            except BrokenProcessPool:
                raise BidsmillError(
                    "a worker process was killed, perhaps for want of memory",
                    found=f"{jobs[job]} or a recording beside it was being treated",
                    todo="run again with fewer cores; what is done stays done",
                ) from None
            except DiskFull:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
            yield jobs[job], *result


def _treat_one(
    member: Member, wanted: str, folder: Path, work: Callable[[Member], dict[str, Any]]
) -> tuple[dict[str, Any], str | None]:
    """Treat one recording and write its receipt; return its content, and a bug's traceback."""
    trace = None
    receipt = folder / f"{member['stem']}.json"
    files.remove_parts(receipt)
    try:
        content = work(member)
        files.json_bytes(content)
    except RecordingProblem as problem:
        content = quarantined(problem.code, problem.message())
    except DiskFull:
        raise
    except BidsmillError as problem:
        content = quarantined("unusable", problem.message())
    except Exception as error:
        if isinstance(error, OSError) and error.errno in FULL:
            raise DiskFull(
                f"the disk is full; the result of {member['stem']} was not written",
                file=folder,
                todo="make room and run again: what is done stays done",
            ) from None
        trace = traceback.format_exc()
        content = quarantined("internal_error", f"{type(error).__name__}: {error}")
    _remove_files(receipt, keep=content.get("files", {}))
    receipts.write_receipt(receipt, wanted, content)
    return content, trace


def _remove_files(receipt: Path, keep: Iterable[str] = ()) -> None:
    """Remove the files that a receipt names, but for those to keep."""
    content = receipts.read_receipt(receipt) or {}
    for name in set(content.get("files", {})) - set(keep):
        files.inside(receipt.parent, name).unlink(missing_ok=True)


def quarantined(reason: str, message: str) -> dict[str, Any]:
    """Return the content of a receipt for a recording that cannot be used."""
    return {"status": "quarantined", "reason": reason, "message": message, "files": {}}
