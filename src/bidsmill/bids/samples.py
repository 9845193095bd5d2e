"""Samples of an open recording, read straight from its file into the place where they are needed.

MNE's readers parse the header; from what they parsed this module knows where each sample lies
and how it is scaled, for the layouts that nearly all recordings have: samples of all channels
side by side (BrainVision, EEGLAB's ``.fdt``, FIF) and records of one channel after the other
(EDF, BDF). It computes in float64 in MNE's order of operations and rounds once, so every value
is, bit for bit, that of ``raw.get_data().astype(float32)``. For all other layouts, and for any
attribute of MNE that is not as expected, `open_samples` returns a reader that asks MNE.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from bidsmill.bids.sample_files import Multiplexed, RecordLayout, Records, Stretch

# Samples at either end that must be those of MNE's reader before a layout is trusted.
PROBE = 16
# Bytes of float64 that MNE is asked for at once.
ASKED_BYTES = 32 * 2**20
# Types of FIF data buffers (FIFFT_* of the FIFF specification); big-endian.
FIF_TYPES = {2: ">i2", 16: ">i2", 3: ">i4", 4: ">f4", 5: ">f8"}
BRAINVISION_TYPES = {"short": "<i2", "int": "<i4", "single": "<f4"}


class Samples(Protocol):
    """A reader of chosen channels."""

    def read_into(self, start: int, stop: int, out: np.ndarray) -> None:
        """Write samples ``[start, stop)`` in SI units to `out`.

        Parameters
        ----------
        start, stop : int
            Samples of the recording.
        out : ndarray of float32 or float64, shape (n_channels, stop - start)
            Filled in place; its rows may lie apart.
        """
        ...


def open_samples(raw: Any, picks: Sequence[int]) -> Samples:
    """Return the fastest reader that gives MNE's values.

    Parameters
    ----------
    raw : mne.io.BaseRaw
        An open recording.
    picks : sequence of int
        Channel indices, in output order.

    Returns
    -------
    Samples
        A reader of the file itself if its layout is known here and the first and the last
        samples are those that MNE reads; otherwise one that asks MNE.
    """
    own = _own_reader(raw, np.asarray(picks, np.intp))
    asking = AskingMne(raw, picks)
    return own if own is not None and _agree(own, asking, raw, len(picks)) else asking


class AskingMne:
    """Samples that MNE reads.

    Parameters
    ----------
    raw : mne.io.BaseRaw
        An open recording.
    picks : sequence of int
        Channel indices, in output order.
    """

    def __init__(self, raw: Any, picks: Sequence[int]):
        self._raw = raw
        # MNE reads channels in rising order many times faster than in any other.
        self._order = np.argsort(picks, kind="stable")
        self._sorted = np.asarray(picks, np.intp)[self._order]

    def read_into(self, start: int, stop: int, out: np.ndarray) -> None:
        """Write samples ``[start, stop)`` to `out`; see `Samples.read_into`."""
        step = max(1, ASKED_BYTES // (8 * max(1, len(self._sorted))))
        for low in range(start, stop, step):
            high = min(stop, low + step)
            found = self._raw.get_data(picks=self._sorted, start=low, stop=high)
            out[self._order, low - start : high - start] = found


def _own_reader(raw: Any, picks: np.ndarray) -> Samples | None:
    """Return a reader of the file itself, or None if MNE states its layout in no known way."""
    kind = f"{type(raw).__module__.split('.')[0]}.{type(raw).__name__}"
    build = _BUILDERS.get(kind)
    try:
        if build is None or raw.preload or raw._comp is not None or raw._projector is not None:
            return None
        if len(picks) == 0 or raw._dtype != np.float64:
            return None
        return build(raw, picks)
    except (AttributeError, KeyError, IndexError, TypeError, ValueError, OSError):
        # Another version of MNE keeps its knowledge elsewhere: ask MNE.
        return None


def _agree(own: Samples, asking: AskingMne, raw: Any, n_channels: int) -> bool:
    """Return whether a reader gives MNE's first and last samples."""
    n_times = int(raw.n_times)
    for start in {0, max(0, n_times - PROBE)}:
        stop = min(n_times, start + PROBE)
        found, wanted = np.empty((2, n_channels, stop - start))
        try:
            asking.read_into(start, stop, wanted)
            own.read_into(start, stop, found)
        except Exception:
            # Whatever is wrong there: it is told when those samples are asked for.
            return False
        if not np.array_equal(found, wanted, equal_nan=True):
            return False
    return True


def _single(raw: Any, picks: np.ndarray) -> tuple[dict[str, Any], str, np.ndarray, np.ndarray]:
    """Return extras, path, file channels and calibrations of a recording of one file."""
    (extras,), (path,), (columns,) = raw._raw_extras, raw.filenames, raw._read_picks
    if raw._first_samps[0] != 0 or raw._raw_lengths[0] != raw.n_times:
        raise ValueError("a cropped recording")
    return extras, os.fspath(path), np.asarray(columns)[picks], raw._cals.ravel()[picks]


def _brainvision(raw: Any, picks: np.ndarray) -> Samples | None:
    extras, path, columns, cals = _single(raw, picks)
    if extras["order"] != "F" or extras["fmt"] not in BRAINVISION_TYPES:
        return None
    dtype = np.dtype(BRAINVISION_TYPES[extras["fmt"]])
    stretch = Stretch(0, int(raw.n_times), path, 0, dtype)
    return Multiplexed([stretch], int(extras["orig_nchan"]), columns, cals)


def _eeglab(raw: Any, picks: np.ndarray) -> Samples | None:
    extras, path, columns, cals = _single(raw, picks)
    if extras.get("is_embedded", False) or not path.casefold().endswith((".fdt", ".dat")):
        return None
    stretch = Stretch(0, int(raw.n_times), path, 0, np.dtype("<f4"))
    return Multiplexed([stretch], int(extras["orig_nchan"]), columns, cals)


def _fif(raw: Any, picks: np.ndarray) -> Samples | None:
    """Return a reader of the data buffers of a FIF file and its parts."""
    stretches: list[Stretch] = []
    begin, n_stored = 0, int(raw._raw_extras[0]["orig_nchan"])
    columns = np.asarray(raw._read_picks[0])
    parts = zip(raw._raw_extras, raw._read_picks, raw._first_samps, raw._raw_lengths, strict=True)
    for extras, read_picks, first, length in parts:
        if extras["orig_nchan"] != n_stored or not np.array_equal(read_picks, columns):
            return None
        found = _fif_stretches(extras, begin - int(first), n_stored)
        if found is None:
            return None
        stretches += [s for s in found if s.stop > begin and s.start < begin + length]
        begin += int(length)
    if not stretches or stretches[0].start > 0 or stretches[-1].stop < begin:
        return None
    if any(one.stop != two.start for one, two in itertools.pairwise(stretches)):
        return None
    return Multiplexed(stretches, n_stored, columns[picks], raw._cals.ravel()[picks])


def _fif_stretches(extras: dict[str, Any], shift: int, n_stored: int) -> list[Stretch] | None:
    path = os.fspath(extras["filename"])
    if not path.casefold().endswith(".fif"):
        return None
    found = []
    bounds = extras["bounds"]
    for low, high, entry in zip(bounds[:-1], bounds[1:], extras["ent"], strict=True):
        low, high = int(low) + shift, int(high) + shift
        if entry is None:
            found.append(Stretch(low, high, "", 0, np.dtype("<f4")))
            continue
        if entry.type not in FIF_TYPES:
            return None
        dtype = np.dtype(FIF_TYPES[entry.type])
        if entry.size != (high - low) * n_stored * dtype.itemsize:
            return None
        # 16 bytes of a tag stand before its data.
        found.append(Stretch(low, high, path, int(entry.pos) + 16, dtype))
    return found


def _edf(raw: Any, picks: np.ndarray) -> Samples | None:
    extras, path, rows, cals = _single(raw, picks)
    widths = {"edf": 2, "bdf": 3}
    if extras["blob"] is not None or widths.get(extras["subtype"]) != extras["dtype_byte"]:
        return None
    counts = np.asarray(extras["n_samps"], np.int64)
    channels = np.asarray(extras["sel"])[rows]
    n_samples = int(extras["max_samp"])
    if not np.all(counts[channels] == n_samples):
        return None
    layout = RecordLayout(
        path, int(extras["data_offset"]), widths[extras["subtype"]], n_samples, int(counts.sum())
    )
    factors = (np.asarray(extras[key], float)[rows] for key in ("cal", "offsets", "units"))
    scaling = list(zip(*(f.tolist() for f in factors), cals.tolist(), strict=True))
    triggers = np.isin(rows, np.asarray(extras["stim_channel_idxs"], np.int64))
    places = np.concatenate([[0], np.cumsum(counts)])[channels]
    return Records(layout, places, scaling, triggers)


_BUILDERS = {
    "mne.RawBrainVision": _brainvision,
    "mne.RawEEGLAB": _eeglab,
    "bidsmill.RawEEGLAB": _eeglab,
    "mne.Raw": _fif,
    "mne.RawEDF": _edf,
    "mne.RawBDF": _edf,
    # The reader of this package states the layout of plain files as MNE does.
    "bidsmill.RawEDF": _edf,
    "bidsmill.RawBDF": _edf,
}
