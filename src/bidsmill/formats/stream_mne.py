"""A stream as an MNE Raw that reads its samples when they are asked for."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from bidsmill.errors import BidsmillError
from bidsmill.formats.stream_units import parse_unit

if TYPE_CHECKING:
    from bidsmill.formats.epocs import Epocs
    from bidsmill.formats.stream import StreamFile

# MNE places only these by a montage; MEG needs the orientation of the coils, too.
PLACED = ("eeg", "seeg", "ecog", "dbs")
# SI units -> names of the constants in mne.io.constants.FIFF.
FIFF_UNITS = {
    "V": "FIFF_UNIT_V",
    "T": "FIFF_UNIT_T",
    "T/m": "FIFF_UNIT_T_M",
    "M": "FIFF_UNIT_MOL",
    "S": "FIFF_UNIT_S",
    "rad": "FIFF_UNIT_RAD",
}


def info_of(names: Sequence[str], types: Sequence[str], units: Sequence[str], sfreq: float) -> Any:
    """Return the `mne.Info` of channels; types that MNE does not know become ``misc``.

    Parameters
    ----------
    names, types : sequence of str
        Of each channel.
    units : sequence of str
        SI units.
    sfreq : float
        Sampling rate in Hz.
    """
    import mne
    from mne.io.constants import FIFF

    known = mne.io.get_channel_type_constants(include_defaults=True)
    kinds = [kind if kind in known else "misc" for kind in types]
    info = mne.create_info(list(names), sfreq, kinds, verbose="error")
    for channel, unit in zip(info["chs"], units, strict=True):
        channel["unit"] = FIFF[FIFF_UNITS.get(unit, "FIFF_UNIT_NONE")]
    return info


def raw_of(stream: StreamFile, epocs: Epocs | None) -> Any:
    """Return a stream as MNE's Raw; see `StreamFile.to_mne`."""
    try:
        import mne
    except ModuleNotFoundError as error:
        raise BidsmillError(
            f".to_mne() needs the library {error.name}, which is not installed",
            todo="pip install mne, or bidsmill with its extra [mne]",
        ) from None
    channels = stream.core.channels
    units = [_si(channel.unit) for channel in channels]
    info = info_of(stream.names, [channel.type for channel in channels], units, stream.sfreq)
    info["bads"] = [channel.name for channel in channels if channel.status == "bad"]
    places = {c.name: np.array(c.position) for c in channels if c.position and c.type in PLACED}
    raw = StreamRaw()(stream, info)
    if places:
        montage = mne.channels.make_dig_montage(places, coord_frame="head")
        raw.set_montage(montage, on_missing="ignore", verbose="error")
    if epocs is not None:
        raw.set_annotations(annotations_of(stream, epocs), verbose="error")
    return raw


def _si(unit: str) -> str:
    """Return the SI unit that values have after their scale; '' where MNE has no such unit."""
    found = parse_unit(unit)
    return found.quantity if found is not None and found.plain else ""


def annotations_of(stream: StreamFile, epocs: Epocs) -> Any:
    """Return epocs as MNE's annotations: a description is the label, or else value or code."""
    import mne

    epocs.check_clock(stream.core)
    table = epocs.table
    duration = table["duration"].fillna(0.0).to_numpy(np.float64)
    names = set(stream.names)
    of_channels = [[c] if isinstance(c, str) and c in names else [] for c in table["channel"]]
    columns = [table[name].tolist() for name in ("label", "value", "code")]
    return mne.Annotations(
        table["onset"].to_numpy(np.float64) - stream.core.t0,
        duration,
        [_description(*values) for values in zip(*columns, strict=True)],
        ch_names=of_channels if any(of_channels) else None,
    )


def _description(*values: Any) -> str:
    for value in values:
        if isinstance(value, str) and value:
            return value
        if isinstance(value, int | float) and not math.isnan(value):
            return f"{value:g}"
    return "event"


@functools.cache
def StreamRaw() -> type:
    """Return the class of Raw that reads from a stream."""
    import mne

    class StreamRaw(mne.io.BaseRaw):
        """A Raw whose samples are read from a stream, in SI units."""

        def __init__(self, stream: StreamFile, info: Any):
            super().__init__(
                info,
                preload=False,
                filenames=[stream.path],
                first_samps=[0],
                last_samps=[stream.n_times - 1],
                raw_extras=[{"stream": stream}],
                orig_format="single",
                verbose="error",
            )

        def _read_segment_file(self, data, idx, fi, start, stop, cals, mult):
            stream = self._raw_extras[fi]["stream"]
            block = stream.read(start, stop).astype(np.float64)
            block *= np.array([c.scale_to_si for c in stream.core.channels])[:, np.newaxis]
            if mult is not None:
                data[:] = mult @ block[idx]
                return
            data[:] = block[idx]
            data *= cals

    StreamRaw.__module__, StreamRaw.__qualname__ = __name__, "_StreamRaw"
    return StreamRaw


def __getattr__(name: str) -> Any:
    # A pickled Raw names its class here.
    if name == "_StreamRaw":
        return StreamRaw()
    raise AttributeError(name)
