"""Clips of others, in the folders of DeepSIF: ``nmm_spikes/a{region}/nmm_{number}.mat``."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Collection, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bidsmill.errors import BidsmillError
from bidsmill.simulate.clips.bank import ClipBank, MissingClip, write_bank
from bidsmill.simulate.clips.detection import DetectionSettings
from bidsmill.simulate.variables.matrix_files import numeric, read_variables, variables_text

if TYPE_CHECKING:
    import pandas as pd

VARIABLE = "data"
_FOLDER, _FILE = re.compile(r"a([0-9]+)"), re.compile(r"nmm_([0-9]+)\.mat")


def import_clips(
    source: str | os.PathLike,
    folder: str | os.PathLike,
    leadfield: np.ndarray,
    sfreq: float = 500.0,
    needed: Collection[tuple[int, int]] | None = None,
    settings: DetectionSettings | None = None,
) -> ClipBank:
    """Write clips that another program made as a bank. Numbers stay those of the files.

    Parameters
    ----------
    source : path-like
        Folder ``nmm_spikes``, or one that holds it. Each region may have another number of clips.
        Files hold a variable ``data``, (times, regions) in mV: ``.mat`` of version 4 to 7.3, or
        of Octave.
    folder : path-like
        Of the bank.
    leadfield : numpy.ndarray, shape (sensors, regions)
        Average-referenced for EEG.
    sfreq : float
        Rate of the clips in Hz; the files do not tell it (500 with steps of 0.5 ms, 250 with
        steps of 1 ms).
    needed : collection of (region, clip), optional
        The clips to import, each of which must be there; all by default.
    settings : DetectionSettings, optional
        Its threshold decides which other regions count as contaminating.

    Returns
    -------
    ClipBank
        Its alphas are NaN: whether and how the clips are scaled is not known.

    Raises
    ------
    MissingClip
        If a needed clip is not there; names region and path.
    BidsmillError
        If there are no clips, or a file cannot be used.
    """
    root = clip_root(source)
    settings = settings or DetectionSettings()
    leadfield = np.asarray(leadfield)
    paths = clip_files(root)
    chosen = sorted(paths if needed is None else {(int(r), int(c)) for r, c in needed})
    for region, number in chosen:
        if (region, number) not in paths:
            raise absent_clip(root, region, number, paths)
        if region >= leadfield.shape[1]:
            raise BidsmillError(
                "A clip is of a region that the lead field does not have",
                file=paths[region, number],
                found=f"region {region}",
                expected=f"0 to {leadfield.shape[1] - 1}",
            )
    if not chosen:
        raise BidsmillError("No clip is asked for", file=root)
    n_times = read_clip(paths[chosen[0]], leadfield.shape[1]).shape[1]
    facts = {
        "sfreq_hz": float(sfreq),
        "n_times": n_times,
        "unit": "mV",
        "detection": asdict(settings),
        "imported_from": root.name,
    }
    clips = _clips(paths, chosen, n_times, leadfield.shape[1], float(sfreq), settings.threshold)
    write_bank(folder, clips, len(chosen), leadfield, facts, _regions(chosen))
    return ClipBank(folder)


def clip_root(source: str | os.PathLike) -> Path:
    """Return the folder ``nmm_spikes``, or the folder itself if none is in it."""
    inner = Path(source) / "nmm_spikes"
    return inner if inner.is_dir() else Path(source)


def clip_files(root: str | os.PathLike) -> dict[tuple[int, int], Path]:
    """Return the clip files of a folder ``nmm_spikes`` by region and number.

    Raises
    ------
    BidsmillError
        If there are none, two names stand for one clip, or one has the number 0.
    """
    found: dict[tuple[int, int], Path] = {}
    for inner in sorted(Path(root).glob("a*")):
        region = _FOLDER.fullmatch(inner.name)
        for path in sorted(inner.glob("nmm_*.mat")) if region else ():
            number = _FILE.fullmatch(path.name)
            if not number:
                continue
            assert region is not None
            key = int(region[1]), int(number[1])
            if key[1] < 1:
                raise BidsmillError(
                    "The clips of a region are numbered from 1",
                    file=path,
                    found="number 0",
                    todo="rename the files, or leave this one out: descriptions would be shifted",
                )
            if key in found:
                raise BidsmillError(
                    "Two files have the number of one clip",
                    file=path,
                    found=f"also {found[key]}",
                )
            found[key] = path
    if not found:
        raise BidsmillError(
            "There are no clips in this folder",
            file=os.fspath(root),
            expected="files a{region}/nmm_{number}.mat, regions from 0, numbers from 1",
            todo="name the folder nmm_spikes, or let bidsmill simulate the clips",
        )
    return found


def read_clip(path: str | os.PathLike, n_regions: int) -> np.ndarray:
    """Read one clip: (regions, times), float32.

    Raises
    ------
    BidsmillError
        If there is no variable ``data`` of (times, regions), or a number is not finite.
    """
    variables = read_variables(path)
    if VARIABLE not in variables:
        raise BidsmillError(
            "The clip has no variable 'data'",
            file=os.fspath(path),
            found=variables_text(variables),
        )
    data = np.asarray(numeric(variables[VARIABLE], VARIABLE, path))
    if data.ndim != 2 or data.shape[1] != n_regions or not data.shape[0]:
        raise BidsmillError(
            "The clip does not fit the lead field",
            file=os.fspath(path),
            found=f"shape {data.shape}",
            expected=f"(times, {n_regions} regions)",
        )
    with np.errstate(over="ignore"):
        clip = np.ascontiguousarray(data.T, dtype=np.float32)
    # Of the numbers as they are used: some of a double are too large for a float.
    if not np.isfinite(clip).all():
        raise BidsmillError("The clip has numbers that are not finite", file=os.fspath(path))
    return clip


def _clips(
    paths: dict[tuple[int, int], Path],
    chosen: list[tuple[int, int]],
    n_times: int,
    n_regions: int,
    sfreq: float,
    threshold: float,
) -> Iterator[tuple[dict[str, Any], np.ndarray]]:
    first: dict[tuple[int, bytes], int] = {}
    for region, number in chosen:
        path = paths[region, number]
        clip = read_clip(path, n_regions)
        if clip.shape[1] != n_times:
            raise BidsmillError(
                "The clips are not of one length",
                file=path,
                found=f"{clip.shape[1]} samples",
                expected=f"{n_times}, as in {paths[chosen[0]].name} of region {chosen[0][0]}",
            )
        peak = int(np.argmax(clip[region]))
        above = np.any(clip > threshold, axis=1)
        above[region] = False
        equal = first.setdefault((region, hashlib.sha256(clip.tobytes()).digest()), number)
        yield (
            {
                "region": region,
                "clip": number,
                "sfreq": sfreq,
                "peak_in_clip": peak,
                "jitter": peak - n_times // 2,
                "height": clip[region, peak],
                "alpha": np.nan,
                "contaminating": int(np.count_nonzero(above)),
                "source": f"{path.parent.name}/{path.name}",
                "duplicate_of": None if equal == number else equal,
            },
            clip,
        )


def _regions(chosen: list[tuple[int, int]]) -> pd.DataFrame:
    import pandas as pd

    regions = [region for region, _ in chosen]
    counts = {region: regions.count(region) for region in sorted(set(regions))}
    return pd.DataFrame({"region": list(counts), "n_clips": list(counts.values())})


def absent_clip(
    root: Path, region: int, number: int, paths: dict[tuple[int, int], Path]
) -> MissingClip:
    """Return the error for a clip that a folder does not have: it names region and path."""
    known = sorted(clip for other, clip in paths if other == region)
    return MissingClip(
        f"There is no clip {number} of region {region}",
        file=root / f"a{region}" / f"nmm_{number}.mat",
        found=f"{len(known)} clips of this region, {known[0]} to {known[-1]}"
        if known
        else "no clip of this region",
        todo="complete the folder, or simulate the clips",
    )
