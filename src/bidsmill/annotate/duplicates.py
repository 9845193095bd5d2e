"""Recordings that hold the same signal, which a split may not tear apart."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np

from bidsmill.bids.entities import entity_columns

if TYPE_CHECKING:
    import pandas as pd

# Two recordings hold the same signal if they share this much of the fingerprint of the shorter.
SHARED = 0.5
# By chance two recordings share one hash of 48 bits in 10**8 pairs at most (2048 hashes each).
FEWEST = 2
DIGITS = 12
# Files that describe a signal and hold none: equal ones stand beside different signals.
HEADERS = {".vhdr", ".vmrk", ".json", ".tsv"}
DUPLICATES = ("recording", "duplicate_of", "reason", "share")


def find_duplicates(fingerprints: dict[str, dict[str, Any]]) -> dict[str, list[str]]:
    """Return for each recording those that share its signal.

    Of many equal ones the first by name is named beside each of the others, and all of them
    beside the first.

    Parameters
    ----------
    fingerprints : dict
        Recording -> ``hashes`` and ``thinning`` as the conversion stored them.

    Returns
    -------
    dict
        Recording -> sorted recordings; only those that have any.
    """
    found: dict[str, set[str]] = {}
    for first, second, share in _sharing(fingerprints):
        if share >= SHARED:
            found.setdefault(first, set()).add(second)
            found.setdefault(second, set()).add(first)
    return {stem: sorted(found[stem]) for stem in sorted(found)}


def duplicates_table(
    fingerprints: dict[str, dict[str, Any]], members: dict[str, dict[str, Any]]
) -> pd.DataFrame:
    """Return ``duplicates.tsv``: pairs of recordings that no split may tear apart.

    Of recordings that share one thing the first by name is paired with each of the others.

    Parameters
    ----------
    fingerprints : dict
        As for `find_duplicates`.
    members : dict
        Recording -> its entry in the plan, with ``files``: path -> checksum.

    Returns
    -------
    pandas.DataFrame
        ``recording``, ``duplicate_of`` (the first by name), ``reason`` (``identical_signal``: at
        least half of the fingerprint of the shorter, or the same data files;
        ``identical_windows``: less) and ``share`` (of the fingerprint of the shorter, empty for
        files).
    """
    import pandas as pd

    rows: dict[tuple[str, str], tuple[str, Any]] = {}
    owners: dict[frozenset[str], str] = {}
    for stem in sorted(fingerprints):
        content = _content(members[stem]["files"])
        first = owners.setdefault(content, stem)
        if content and first != stem:
            rows[stem, first] = ("identical_signal", None)
    for first, second, share in _sharing(fingerprints):
        reason = "identical_signal" if share >= SHARED else "identical_windows"
        rows[second, first] = (reason, round(share, 6))
    listed = [(*pair, *rows[pair]) for pair in sorted(rows)]
    return pd.DataFrame(listed, columns=list(DUPLICATES))


def _content(checksums: dict[str, Any]) -> frozenset[str]:
    """Return the checksums of the files that hold a signal; empty if one is not known."""
    data = [c for path, c in checksums.items() if PurePosixPath(path).suffix not in HEADERS]
    known = [c for c in data if isinstance(c, str) and c.startswith(("sha256:", "md5:", "git:"))]
    return frozenset(known) if len(known) == len(data) else frozenset()


def _sharing(fingerprints: dict[str, dict[str, Any]]) -> Iterator[tuple[str, str, float]]:
    """Yield pairs, the first by name first, and the share of the shorter that they have in common.

    Pairs with fewer hashes in common than `FEWEST` are left out.
    """
    stems = sorted(fingerprints)
    hashes = [_decoded(fingerprints[stem]["hashes"]) for stem in stems]
    thinning = [fingerprints[stem]["thinning"] for stem in stems]
    for first, second in _candidates(hashes):
        mask = np.uint64((1 << max(thinning[first], thinning[second])) - 1)
        own, other = (h[(h & mask) == 0] for h in (hashes[first], hashes[second]))
        shared = len(np.intersect1d(own, other, assume_unique=True))
        if shared >= FEWEST:
            yield stems[first], stems[second], shared / min(len(own), len(other))


def duplicate_issues(twins: dict[str, list[str]], data: dict[str, str]) -> list[dict[str, Any]]:
    """Return one issue per pair, in the form of those of ``validation.json``.

    Parameters
    ----------
    twins : dict
        As `find_duplicates` returns them.
    data : dict
        Recording -> its data file.

    Returns
    -------
    list of dict
        ``error`` across subjects: people do not share a signal.
    """
    issues = []
    for stem, others in twins.items():
        for other in others:
            if other < stem:
                continue
            subjects = {entity_columns(name)["subject"] for name in (stem, other)}
            across = len(subjects) > 1
            issues.append(
                {
                    "source": "bidsmill",
                    "severity": "error" if across else "warning",
                    "code": "duplicate_signal_across_subjects" if across else "duplicate_signal",
                    "file": data[stem],
                    "message": f"{stem} and {other} hold the same signal"
                    + ("; the split keeps these subjects together" if across else ""),
                }
            )
    return issues


def _decoded(text: str) -> np.ndarray:
    """Return the hashes of a fingerprint as uint64, sorted."""
    width = DIGITS // 2
    values = np.frombuffer(bytes.fromhex(text), np.uint8).reshape(-1, width)
    result = np.zeros(len(values), np.uint64)
    for place in range(width):
        result = result * np.uint64(256) + values[:, place].astype(np.uint64)
    return np.unique(result)


def _candidates(hashes: list[np.ndarray]) -> list[tuple[int, int]]:
    """Return the pairs that share a hash: of its owners the first with each of the others."""
    if not hashes:
        return []
    values = np.concatenate(hashes)
    owners = np.repeat(np.arange(len(hashes)), [len(own) for own in hashes])
    order = np.lexsort((owners, values))
    values, owners = values[order], owners[order]
    begins = np.concatenate([[True], values[1:] != values[:-1]])[: len(values)]
    leaders = owners[np.flatnonzero(begins)[np.cumsum(begins) - 1]] if len(values) else owners
    pairs = np.stack([leaders, owners], axis=1)[~begins]
    return [(int(first), int(second)) for first, second in np.unique(pairs, axis=0)]
