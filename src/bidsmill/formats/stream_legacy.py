"""The metadata of dspAnt's `.ant` folders (``base`` and ``other``) as a core of this contract."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from bidsmill.errors import BidsmillError
from bidsmill.formats.layout import column_names
from bidsmill.formats.stream_checks import checked_stream
from bidsmill.formats.stream_core import DTYPES, StreamChannel, StreamCore

STATE_UNITS = "state the unit of the channels: it is not in such files, and is never guessed"


def core_of_base(
    document: Mapping[str, Any],
    *,
    file: Any = None,
    units: str | Sequence[str] | None = None,
    types: str | Sequence[str] = "misc",
    names: Sequence[str] | None = None,
    clock: str | None = None,
    t0: float = 0.0,
) -> tuple[StreamCore, list[str]]:
    """Return the core of a stream that dspAnt described.

    Parameters
    ----------
    document : mapping
        ``{"base": {...}, "other": {...}}``; also with ``core`` in place of ``base``.
    file : path-like, optional
        What messages name.
    units : str or sequence of str, optional
        Units of all channels, or of each; needed where the file has no ``channel_units``.
    types : str or sequence of str
        Types of all channels, or of each: ``channel_types`` of such files are number formats.
    names : sequence of str, optional
        Names of the channels, in place of their positions.
    clock : str, optional
        Of the recording; if absent the name of the stream.
    t0 : float
        Time of the first sample on this clock in s.

    Returns
    -------
    core : StreamCore
    warnings : list of str
        What was taken to mean what.

    Raises
    ------
    BidsmillError
        If a field is missing or contradicts another one.
    """
    base = document.get("base", document.get("core"))
    if not isinstance(base, Mapping):
        raise _problem("base", file, base, "an object with named fields")
    told = ["`base` and its fields are those of dspAnt; they are read as `core` of this contract"]
    if "base" not in document:
        told = ["the fields of `core` are those of dspAnt; they are read as this contract has them"]
    shape = base.get("data_shape")
    n_samples = _first(base, ("number_of_samples", "n_samples"), shape, -1)
    n_channels = _first(base, ("channel_numbers", "n_channels"), shape, 0)
    _agree(shape, [n_channels, n_samples], file)
    found = names if names is not None else base.get("channel_names")
    if not isinstance(found, Sequence) or isinstance(found, str) or len(found) != n_channels:
        raise _problem("base.channel_names", file, found, f"a list of {n_channels} names")
    stated = units if units is not None else base.get("channel_units")
    if stated is None:
        raise _problem("base.channel_units", file, "nothing", "a unit such as V or µV", STATE_UNITS)
    kinds = _each(types, n_channels, "types", file)
    every = _each(stated, n_channels, "base.channel_units", file)
    dtypes = set(base.get("channel_types") or ["float32"])
    dtype = dtypes.pop() if len(dtypes) == 1 else None
    if dtype not in DTYPES:
        told.append(f"the number format {dtype or 'of several kinds'} is read as float32")
        dtype = "float32"
    columns = column_names([str(name) for name in found])
    core = StreamCore(
        name=str(base.get("name") or ""),
        sfreq=_sfreq(base, file),
        n_samples=n_samples,
        channels=tuple(
            StreamChannel(name, kind, unit, source_name=str(source))
            for name, kind, unit, source in zip(columns, kinds, every, found, strict=True)
        ),
        clock=clock or str(base.get("name") or ""),
        t0=t0,
        dtype=str(dtype),
        other=dict(document.get("other") or {}),
    )
    return checked_stream(core.sidecar(), file), told


def _problem(field: str, file: Any, found: Any, expected: str, todo: str | None = None):
    return BidsmillError(
        f"the field {field} of a stream of dspAnt is not as it must be",
        file=file,
        found=found,
        expected=expected,
        todo=todo,
    )


def _first(base: Mapping[str, Any], keys: Sequence[str], shape: Any, place: int) -> Any:
    for key in keys:
        if key in base:
            return base[key]
    return shape[place] if isinstance(shape, list) and len(shape) == 2 else None


def _agree(shape: Any, stated: list[Any], file: Any) -> None:
    for name, value in zip(("channel_numbers", "number_of_samples"), stated, strict=True):
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise _problem(f"base.{name}", file, repr(value), "a whole number of 0 or more")
    # Its writers for Zarr put samples first; those for Parquet channels.
    if shape is not None and shape not in (stated, stated[::-1]):
        raise _problem("base.data_shape", file, shape, f"{stated}, as the counts say")


def _sfreq(base: Mapping[str, Any], file: Any) -> float:
    """Return the rate: in the Parquet metadata of dspAnt all numbers are text."""
    value = base.get("fs", base.get("sampling_rate"))
    try:
        rate = float(value) if not isinstance(value, bool) else math.nan
    except (TypeError, ValueError):
        rate = math.nan
    if not (math.isfinite(rate) and rate > 0):
        raise _problem(
            "base.fs", file, repr(value), "a finite number of Hz above 0", "state the sampling rate"
        )
    return rate


def _each(value: str | Sequence[str], count: int, field: str, file: Any) -> list[str]:
    every = [value] * count if isinstance(value, str) else [str(entry) for entry in value]
    if len(every) != count:
        raise _problem(field, file, f"{len(every)} entries", f"{count}, one per channel")
    return every
