"""Clips of simulated spikes, found by region and number, with what sensors see of them.

A bank is a folder::

    clips.npy       float32 (clips, regions, times), mV, not scaled
    projected.npy   float32 (clips, sensors, times): the lead field times each clip
    waveforms.npy   float32 (clips, times): the region's own waveform, its spikes lifted by alpha
    clips.parquet   one row per clip
    regions.tsv     one row per region: runs, spikes, clips, and why there is none
    bank.json       rate, sizes, the lead field's checksum, how it was made; written last

Opening a bank reads none of its arrays, and a few regions of a clip are a few short reads. Large
banks can be made in parts, which are opened as one.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from bidsmill.errors import BidsmillError
from bidsmill.formats import files
from bidsmill.simulate.clips.detection import find_peaks
from bidsmill.simulate.clips.scaling import scale_spikes
from bidsmill.simulate.clips.stored_rows import StoredRows

if TYPE_CHECKING:
    import pandas as pd

FORMAT = 1
COLUMNS = {
    "region": "int32",
    "clip": "int32",
    "sfreq": "float64",
    "peak_in_clip": "int32",
    "jitter": "Int32",
    "height": "float32",
    "alpha": "float64",
    "contaminating": "int32",
    "run": "string",
    "condition": "Int32",
    "peak_sample": "Int64",
    "source": "string",
    "duplicate_of": "Int32",
}
"""Columns of ``clips.parquet``.

``region``, ``clip``: the key, from 0 and from 1 (as in ``a{region}/nmm_{clip}.mat``).
``peak_in_clip``: sample of the peak in the clip; ``jitter``: its distance from the middle.
``height``: of the peak (mV). ``alpha``: factor that would lift the spike to the source SNR of the
bank. ``contaminating``: other regions above the threshold in the clip. ``run``, ``condition``,
``peak_sample``: the simulated run and the sample of the peak in it (empty for clips of others).
``source``: file that it was imported from. ``duplicate_of``: number of an earlier clip of the
region that is equal to it (in clips of others).
"""


class MissingClip(BidsmillError):
    """A clip that a bank does not have."""


# Keys are one number: region times this, plus clip.
_CLIPS = 2**32


class _Part:
    """The arrays of a folder."""

    def __init__(self, folder: Path, facts: dict[str, Any]):
        n_clips, n_times = facts["n_clips"], facts["n_times"]
        shapes = {"clips": (facts["n_regions"],), "projected": (facts["n_sensors"],)}
        self.clips, self.projected, self.waveforms = (
            StoredRows(folder / f"{name}.npy", (n_clips, *shapes.get(name, ()), n_times))
            for name in ("clips", "projected", "waveforms")
        )


class ClipBank:
    """Clips by region and number.

    Parameters
    ----------
    folder : path-like or sequence of path-like
        The bank, or its parts.

    Attributes
    ----------
    sfreq : float
        In Hz.
    n_regions, n_sensors, n_times : int
        Sizes of each clip.
    facts : dict
        What ``bank.json`` of the first part says.
    table : pandas.DataFrame
        One row per clip, by region and number; see ``COLUMNS``.

    Raises
    ------
    BidsmillError
        If a part is missing or not whole, or parts do not belong together.
    """

    def __init__(self, folder: str | os.PathLike | Sequence[str | os.PathLike]):
        many = not isinstance(folder, str | os.PathLike)
        self.folders = [Path(f) for f in folder] if many else [Path(folder)]  # type: ignore
        if not self.folders:
            raise BidsmillError("A clip bank has at least one part")
        parts = [_facts(part) for part in self.folders]
        self.facts = parts[0]
        for part, facts in zip(self.folders, parts, strict=True):
            _check_alike(self.folders[0], self.facts, part, facts)
        self.sfreq = float(self.facts["sfreq_hz"])
        self.n_regions, self.n_sensors = self.facts["n_regions"], self.facts["n_sensors"]
        self.n_times = self.facts["n_times"]
        self._parts = [_Part(p, facts) for p, facts in zip(self.folders, parts, strict=True)]
        keys = [_keys(p, facts) for p, facts in zip(self.folders, parts, strict=True)]
        every = np.concatenate(keys)
        order = np.argsort(every, kind="stable")
        # Numbers and not objects: a bank of 100,000 clips takes 1.6 MB of memory.
        self._keys = every[order]
        self._part_of = np.repeat(np.arange(len(keys), dtype=np.int32), [len(k) for k in keys])
        self._part_of = self._part_of[order]
        self._row_of = np.concatenate([np.arange(len(k), dtype=np.int32) for k in keys])[order]
        twice = np.flatnonzero(self._keys[1:] == self._keys[:-1])
        if len(twice):
            region, clip = divmod(int(self._keys[twice[0]]), _CLIPS)
            raise BidsmillError(
                "A clip is in the bank twice",
                file=self.folders[0],
                found=f"region {region}, clip {clip}",
                todo="make all conditions of a region in one part",
            )

    @cached_property
    def table(self) -> pd.DataFrame:
        """One row per clip, by region and number; see ``COLUMNS``."""
        import pandas as pd

        from bidsmill.formats import tables

        frames = [tables.read_parquet(part / "clips.parquet") for part in self.folders]
        table = pd.concat([f.astype(COLUMNS) for f in frames], ignore_index=True)
        return table.sort_values(["region", "clip"], ignore_index=True)

    def __len__(self) -> int:
        return len(self._keys)

    def __contains__(self, key: tuple[int, int]) -> bool:
        try:
            return bool(self._place(*key))
        except MissingClip:
            return False

    @property
    def regions(self) -> np.ndarray:
        """Regions that have clips, ascending."""
        return np.unique(self._keys // _CLIPS).astype(np.int32)

    def clips_of(self, region: int) -> list[int]:
        """Return the numbers of a region's clips, ascending; none if it has none."""
        own = self._keys[slice(*self._keys.searchsorted([region * _CLIPS, (region + 1) * _CLIPS]))]
        return (own % _CLIPS).tolist()

    def clip(self, region: int, clip: int) -> np.ndarray:
        """Return all regions of a clip: a new array, (regions, times), float32, mV.

        Raises
        ------
        MissingClip
            If the bank does not have it.
        """
        part, row = self._place(region, clip)
        return part.clips.read(row * self.n_regions, self.n_regions)

    def rows(self, region: int, clip: int, regions: Any) -> np.ndarray:
        """Return some regions of a clip, in the order asked for; little else is read.

        Raises
        ------
        MissingClip
            If the bank does not have the clip.
        """
        part, row = self._place(region, clip)
        wanted = np.ascontiguousarray(regions, dtype=np.int32)
        return part.clips.take(row * self.n_regions, self.n_regions, wanted)

    def projected(self, region: int, clip: int) -> np.ndarray:
        """Return what the sensors see of a clip: a new array, (sensors, times), float32.

        Raises
        ------
        MissingClip
            If the bank does not have it.
        """
        part, row = self._place(region, clip)
        return part.projected.read(row * self.n_sensors, self.n_sensors)

    def waveform(self, region: int, clip: int) -> np.ndarray:
        """Return the waveform of the region as sources show it: (times,), float32, mV.

        Its spikes are lifted by the alpha of the table; clips of others, which have none, are
        shown as they are.

        Raises
        ------
        MissingClip
            If the bank does not have it.
        """
        part, row = self._place(region, clip)
        return part.waveforms.read(row, 1)[0]

    def _place(self, region: int, clip: int) -> tuple[_Part, int]:
        key = int(region) * _CLIPS + int(clip)
        at = int(self._keys.searchsorted(key))
        if at == len(self._keys) or self._keys[at] != key or not 0 <= clip < _CLIPS:
            raise self.missing(region, clip)
        return self._parts[self._part_of[at]], int(self._row_of[at])

    def missing(self, region: int, clip: int) -> MissingClip:
        """Return the error for a clip that is not there: it names region and path."""
        imported = self.facts.get("imported_from")
        path = f"{imported}/a{region}/nmm_{clip}.mat" if imported else str(self.folders[0])
        known = self.clips_of(int(region))
        return MissingClip(
            f"There is no clip {clip} of region {region}",
            file=path,
            found=f"clips {_some(known)} of this region" if known else "no clip of this region",
            todo="import or simulate it, or choose among the clips that there are",
        )


def write_bank(
    folder: str | os.PathLike,
    clips: Iterable[tuple[dict[str, Any], np.ndarray]],
    n_clips: int,
    leadfield: np.ndarray,
    facts: dict[str, Any],
    regions: pd.DataFrame,
) -> None:
    """Write a bank, clip after clip.

    Parameters
    ----------
    folder : path-like
        Where to. Its files are replaced.
    clips : iterable of (dict, numpy.ndarray)
        The row of each clip (see ``COLUMNS``) and its regions, (regions, times) in mV, ordered
        by region and number. The row may be completed by what it says under ``complete``: a
        function of the clip and its projection that returns more columns.
    n_clips : int
        How many there are.
    leadfield : numpy.ndarray, shape (sensors, regions)
        Average-referenced for EEG.
    facts : dict
        For ``bank.json``: ``sfreq_hz``, ``n_times``, ``detection`` and more.
    regions : pandas.DataFrame
        For ``regions.tsv``.
    """
    import pandas as pd

    from bidsmill.formats import tables

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "bank.json").unlink(missing_ok=True)
    leadfield = np.asarray(leadfield, dtype=np.float64)
    n_sensors, n_regions = leadfield.shape
    n_times = facts["n_times"]
    shapes = {"clips": (n_regions,), "projected": (n_sensors,), "waveforms": ()}
    rows = []
    with ExitStack() as stack:
        paths = {n: stack.enter_context(files.atomic_path(folder / f"{n}.npy")) for n in shapes}
        sinks = {
            name: stack.enter_context(_array(paths[name], (n_clips, *shape, n_times)))
            for name, shape in shapes.items()
        }
        for row, clip in clips:
            clip = np.ascontiguousarray(clip, dtype="<f4")
            projected = leadfield @ clip.astype(np.float64)
            complete = row.pop("complete", None)
            rows.append(row | (complete(clip, projected) if complete else {}))
            alpha, peak = float(rows[-1].get("alpha", np.nan)), int(rows[-1]["peak_in_clip"])
            sinks["clips"].write(clip.tobytes())
            sinks["projected"].write(projected.astype("<f4").tobytes())
            lifted = lifted_waveform(clip[row["region"]], peak, alpha, facts)
            sinks["waveforms"].write(lifted.astype("<f4").tobytes())
    frame = pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)
    tables.write_parquet(folder / "clips.parquet", frame)
    tables.write_tsv(folder / "regions.tsv", regions)
    sizes = {"n_clips": n_clips, "n_regions": n_regions, "n_sensors": n_sensors}
    sums = {"leadfield_sha256": leadfield_sha256(leadfield)}
    files.write_json(folder / "bank.json", {"format": FORMAT} | sizes | facts | sums)


def leadfield_sha256(leadfield: np.ndarray) -> str:
    """Return the checksum of a lead field's numbers: what a bank was projected with."""
    content = np.ascontiguousarray(leadfield, dtype="<f8")
    return hashlib.sha256(repr(content.shape).encode() + content.tobytes()).hexdigest()


@contextmanager
def _array(path: Path, shape: tuple[int, ...]) -> Iterator[BinaryIO]:
    """Open a file for an array that is written from its start to its end."""
    with open(path, "wb") as sink:
        header = {"descr": "<f4", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(sink, header)
        yield sink


def _facts(folder: Path) -> dict[str, Any]:
    if not (folder / "bank.json").is_file():
        raise BidsmillError(
            "There is no clip bank here, or it is not finished",
            file=folder,
            todo="simulate or import the clips first",
        )
    facts = files.read_json(folder / "bank.json")
    if facts.get("format") != FORMAT:
        raise BidsmillError(
            "This clip bank is of another version",
            file=folder / "bank.json",
            found=str(facts.get("format")),
            expected=str(FORMAT),
        )
    return facts


def _check_alike(first: Path, facts: dict[str, Any], part: Path, own: dict[str, Any]) -> None:
    for name in ("sfreq_hz", "n_times", "n_regions", "n_sensors", "leadfield_sha256", "detection"):
        if facts[name] != own[name]:
            raise BidsmillError(
                f"Parts of a clip bank do not belong together: {name}",
                file=part,
                found=str(own[name]),
                expected=f"{facts[name]}, as in {first}",
            )


def _keys(folder: Path, facts: dict[str, Any]) -> np.ndarray:
    """Return the keys of a part, in the order of its rows."""
    from bidsmill.formats import tables

    frame = tables.read_parquet(folder / "clips.parquet", ["region", "clip"])
    if len(frame) != facts["n_clips"]:
        raise BidsmillError(
            "The clip bank does not fit its description",
            file=folder / "clips.parquet",
            found=f"{len(frame)} clips",
            expected=str(facts["n_clips"]),
        )
    return frame["region"].to_numpy(np.int64) * _CLIPS + frame["clip"].to_numpy(np.int64)


def lifted_waveform(
    waveform: np.ndarray, peak: int, alpha: float, facts: dict[str, Any]
) -> np.ndarray:
    """Return a waveform with its spikes lifted, in float64; as it is if there is no alpha."""
    if not np.isfinite(alpha):
        return np.asarray(waveform, np.float64)
    settings = facts.get("detection") or {}
    separation = round(settings.get("separation", 0) * facts["sfreq_hz"])
    peaks = find_peaks(waveform, settings.get("threshold", np.inf), separation)
    peaks = np.union1d(peaks, [peak]).astype(np.int64)
    return scale_spikes(waveform, peaks, alpha, facts["sfreq_hz"])


def _some(numbers: list[int]) -> str:
    shown = ", ".join(str(number) for number in numbers[:5])
    return shown if len(numbers) <= 5 else f"{shown}, … {numbers[-1]} ({len(numbers)})"
