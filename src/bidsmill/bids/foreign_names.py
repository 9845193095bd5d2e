"""Samples of EEGLAB under a name that is not that of their recording.

A .set file names its .fdt file inside, and archives hold such pairs of which one was renamed. The
reader follows the name; what is fetched, and whose changes are noticed, is decided here, before
anything can be read of a dataset that is not on this disk.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from bidsmill.bids.entities import DATATYPES, canonical_datatype
from bidsmill.bids.readers.eeglab_header import named_fdt
from bidsmill.bids.recordings import Recording

SAMPLES = ".fdt"


def with_foreign_samples(
    recordings: Sequence[Recording], sizes: Mapping[str, int | None], root: Path | None
) -> list[Recording]:
    """Add to recordings of EEGLAB the .fdt files of other names that they may need.

    Parameters
    ----------
    recordings : sequence of Recording
        All recordings of a dataset, as found by name.
    sizes : mapping
        Size of every file of the dataset; files without content are nobody's samples.
    root : pathlib.Path or None
        The dataset, if it is on a disk: then the headers tell which file is meant. Otherwise
        every recording without a .fdt of its own name gets all .fdt files of its folder that
        are no other recording's.

    Returns
    -------
    list of Recording
        In the same order.
    """
    strays = _strays(recordings, sizes)
    if not strays:
        return list(recordings)
    return [_with(recording, strays, root) for recording in recordings]


def _strays(recordings: Sequence[Recording], sizes: Mapping[str, int | None]) -> dict[str, list]:
    """Return the .fdt files that no header has the name of, by folder."""
    # A recording of which nothing but a .fdt is there has no header that could claim it.
    owned = {
        path
        for recording in recordings
        if not recording.data.lower().endswith(SAMPLES)
        for path in (*recording.files, *recording.alternatives)
    }
    strays: dict[str, list] = {}
    for path in sorted(sizes):
        folder = path.rpartition("/")[0]
        of_data = canonical_datatype(folder.rpartition("/")[2]) in DATATYPES
        if of_data and path.lower().endswith(SAMPLES) and sizes[path] and path not in owned:
            strays.setdefault(folder, []).append(path)
    return strays


def _with(recording: Recording, strays: dict[str, list], root: Path | None) -> Recording:
    folder = recording.data.rpartition("/")[0]
    if not recording.data.lower().endswith(".set") or folder not in strays:
        return recording
    if root is not None:
        meant = named_fdt(root / recording.data, recording.data)
        found = [path for path in strays[folder] if path.rpartition("/")[2] in meant]
    elif any(path.lower().endswith(SAMPLES) for path in recording.files):
        found = []
    else:
        found = strays[folder]
    return replace(recording, files=sorted({*recording.files, *found}))
