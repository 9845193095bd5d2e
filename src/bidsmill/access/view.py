"""The channels of a selection's rows, and whether the rows can be stacked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bidsmill.access.names import listed, nearest, unknown
from bidsmill.errors import BidsmillError
from bidsmill.formats.files import plain_text

Layouts = dict[str, dict[str, Any]]
# recording -> [(column name, source name), ...] of the channels in its matrix
SourceNames = Callable[[str], Sequence[tuple[str, str]]]
SHOWN_LAYOUTS = 12


@dataclass(frozen=True)
class View:
    """What one stacked row looks like.

    Attributes
    ----------
    names, types, units : tuple of str
        One entry per channel.
    sfreq, tmin : float
        Sampling rate in Hz; time of the first sample in s, relative to the event.
    n_times : int
        Samples per row.
    columns : dict
        Recording -> column of each channel in its matrix (-1: it has none), or None where the
        matrix is taken as it is.
    """

    names: tuple[str, ...]
    types: tuple[str, ...]
    units: tuple[str, ...]
    sfreq: float
    tmin: float
    n_times: int
    columns: dict[str, np.ndarray | None]

    @property
    def times(self) -> np.ndarray:
        """Return the time of each sample in s, relative to the event."""
        return self.tmin + np.arange(self.n_times) / self.sfreq


def stacked_view(
    layouts: Layouts,
    layout_of: dict[str, str],
    request: str | Sequence[str] | None,
    source_names: SourceNames,
) -> View:
    """Return how the rows of some recordings are stacked.

    Parameters
    ----------
    layouts : dict
        Layout id -> layout, as in the manifest; the first is the one that gives the order.
    layout_of : dict
        Recording -> layout id.
    request : str, list of str or None
        None: all channels, of one layout; ``"common"``: those that all layouts share with type
        and unit; ``"union"``: those of any layout; a channel type such as ``"eeg"``; or names,
        of columns or as in the source file.
    source_names : callable
        Gives column and source names of the channels of one recording.

    Raises
    ------
    BidsmillError
        If the recordings cannot be stacked, or a name is unknown or ambiguous.
    """
    _check_times(layouts)
    if request is None and len(layouts) > 1:
        raise _cannot_stack("their channels differ", layouts)
    if request == "union":
        channels = _union(layouts)
    elif request == "common":
        channels = _common(layouts)
    elif request is None:
        channels = _channels(next(iter(layouts.values())))
    else:
        return _named_view(layouts, layout_of, request, source_names)
    wanted = [name for name, _, _ in channels]
    columns: dict[str, np.ndarray | None] = {}
    for layout_id, layout in layouts.items():
        at = {name: index for index, name in enumerate(layout["channels"])}
        index = np.array([at.get(name, -1) for name in wanted], np.intp)
        shared = None if wanted == list(layout["channels"]) else index
        columns.update({r: shared for r, used in layout_of.items() if used == layout_id})
    return _view(layouts, channels, columns)


def _view(layouts: Layouts, channels, columns) -> View:
    first = next(iter(layouts.values()))
    names, types, units = zip(*channels, strict=True)
    return View(
        names, types, units, float(first["sfreq"]), float(first["tmin"]), first["n_times"], columns
    )


def _channels(layout: dict[str, Any]) -> list[tuple[str, str, str]]:
    return list(zip(layout["channels"], layout["types"], layout["units"], strict=True))


def _common(layouts: Layouts) -> list[tuple[str, str, str]]:
    every = [_channels(layout) for layout in layouts.values()]
    shared = set(every[0]).intersection(*every[1:])
    if not shared:
        raise _cannot_stack("they have no channel in common", layouts)
    return [channel for channel in every[0] if channel in shared]


def _union(layouts: Layouts) -> list[tuple[str, str, str]]:
    """Return the channels of all layouts: those of the first, then what each next one adds."""
    found: dict[str, tuple[str, str, str]] = {}
    for layout in layouts.values():
        for channel in _channels(layout):
            if found.setdefault(channel[0], channel) != channel:
                raise _differs(channel[0], found[channel[0]], channel)
    return list(found.values())


def _named_view(layouts, layout_of, request, source_names) -> View:
    wanted = wanted_names(layouts, request)
    twice = [name for name, count in Counter(wanted).items() if count > 1]
    if twice or not wanted:
        what = "channels are named twice" if twice else "no channel is named"
        raise BidsmillError(what, found=listed(twice) or "an empty list")
    columns: dict[str, np.ndarray | None] = {}
    chosen: dict[str, tuple[str, str, str]] = {}
    for recording, layout_id in layout_of.items():
        layout = layouts[layout_id]
        index = _resolve(wanted, layout, recording, source_names, layouts)
        columns[recording] = index
        every = _channels(layout)
        for name, column in zip(wanted, index.tolist(), strict=True):
            channel = (name, *every[column][1:])
            if chosen.setdefault(name, channel) != channel:
                raise _differs(name, chosen[name], channel)
    return _view(layouts, [chosen[name] for name in wanted], columns)


def wanted_names(layouts: Layouts, request: str | Sequence[str]) -> list[str]:
    """Return the names that a request means: a type stands for the channels of this type."""
    if not isinstance(request, str):
        return [str(name) for name in request]
    request = _type_meant(layouts, request)
    by_layout = {
        layout_id: [name for name, kind, _ in _channels(layout) if kind == request]
        for layout_id, layout in layouts.items()
    }
    of_type = next((names for names in by_layout.values() if names), [])
    if not of_type:
        return [request]
    if any(request in layout["channels"] for layout in layouts.values()):
        raise BidsmillError(
            f"{request!r} is the name of a channel and a channel type",
            todo=f"channels=[{request!r}] takes the channel; name the channels of the type",
        )
    if any(names != of_type for names in by_layout.values()):
        raise _cannot_stack(f"their channels of type {request} differ", layouts)
    return of_type


def _type_meant(layouts: Layouts, request: str) -> str:
    """Return the channel type that a request means in any case of letters, or the request."""
    types = _types(layouts)
    names = {request, plain_text(request)}
    if request in types or any(names & set(layout["channels"]) for layout in layouts.values()):
        return request
    return next((kind for kind in types if kind.casefold() == request.casefold()), request)


def _types(layouts: Layouts) -> list[str]:
    return sorted({kind for layout in layouts.values() for kind in layout["types"]})


def _resolve(wanted, layout, recording, source_names, layouts) -> np.ndarray:
    """Return the column of each wanted name in the matrix of one recording."""
    at = {name: index for index, name in enumerate(layout["channels"])}
    sources: Sequence[tuple[str, str]] | None = None
    index = []
    for name in wanted:
        column = at.get(name, at.get(plain_text(name)))
        if column is None:
            sources = source_names(recording) if sources is None else sources
            column = at[column_of_source(name, sources, recording, layouts)]
        index.append(column)
    for column, count in Counter(index).items():
        if count > 1:
            twice = [n for n, i in zip(wanted, index, strict=True) if i == column]
            raise BidsmillError(
                "two names mean the same channel", file=recording, found=" and ".join(twice)
            )
    return np.array(index, np.intp)


def column_of_source(
    name: str, sources: Sequence[tuple[str, str]], recording: str, layouts: Layouts
) -> str:
    """Return the column of the channel that the source file of a recording names so."""
    found = [column for column, source in sources if source == name]
    found = found or [
        column for column, source in sources if plain_text(source) == plain_text(name)
    ]
    if len(found) == 1:
        return found[0]
    if found:
        raise BidsmillError(
            f"{name!r} is the name of several channels in the source file",
            file=recording,
            found=", ".join(found),
            todo="use the name of the column",
        )
    if len(layouts) > 1 and any(name in layout["channels"] for layout in layouts.values()):
        raise _cannot_stack(f"recording {recording} has no channel {name!r}", layouts)
    known = [column for column, _ in sources]
    raise unknown(f"recording {recording} has no channel of this name", name, known)


def _differs(name: str, one, other) -> BidsmillError:
    return BidsmillError(
        f"channel {name!r} is not the same in all recordings",
        found=f"{one[1]} in {one[2]}, and {other[1]} in {other[2]}",
        todo="leave it out with a list of channels, or choose one layout with "
        "where=\"layout == '...'\" (see ds.layouts)",
    )


def _check_times(layouts: Layouts) -> None:
    """Refuse rows that do not lie on one time axis; half a sample is the tolerance of `tmin`."""
    first, *others = layouts.values()
    same = all(
        float(layout["sfreq"]) == float(first["sfreq"])
        and layout["n_times"] == first["n_times"]
        and abs(layout["tmin"] - first["tmin"]) * first["sfreq"] < 0.5
        for layout in others
    )
    if not same:
        raise _cannot_stack("their time axes differ", layouts, never=True)


def _cannot_stack(what: str, layouts: Layouts, never: bool = False) -> BidsmillError:
    """Return the error for mixed layouts: a table of what differs, and the ways out."""
    choose = f"choose one layout: where=\"layout == '{next(iter(layouts))}'\""
    if never:
        todo = (
            "rows of different sampling rate, length or tmin can never be stacked; "
            f"{choose}, take each by itself with .by_layout(), or convert with one `resample` "
            "rate for all recordings"
        )
    else:
        todo = (
            "take channels='common' (what all share), channels='union' (NaN where one is "
            f"missing) or channels=[names]; or {choose}; or group by montage: .by_layout()"
        )
    return BidsmillError(
        f"these recordings cannot be stacked: {what}",
        found="\n" + layout_table(layouts) + "\n",
        todo=todo,
    )


def layout_table(layouts: Layouts) -> str:
    """Return layouts as a small table of text, with the channels that not all of them have."""
    shared = set.intersection(*(set(_channels(layout)) for layout in layouts.values()))
    lines = [["layout", "channels", "Hz", "samples", "tmin (s)", "not in all layouts"]]
    for layout_id, layout in list(layouts.items())[:SHOWN_LAYOUTS]:
        own = [f"{n} ({t}, {u})" for n, t, u in _channels(layout) if (n, t, u) not in shared]
        numbers = (layout["sfreq"], layout["n_times"], layout["tmin"])
        texts = [f"{number:g}" for number in numbers]
        lines.append([layout_id, str(len(layout["channels"])), *texts, listed(own, 4) or "-"])
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    rows = [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    ]
    rest = len(layouts) - SHOWN_LAYOUTS
    return "\n".join(rows + ([f"and {rest} more"] if rest > 0 else []))


def check_names(
    layouts: Layouts, request: str | Sequence[str] | None, sources: Callable[[], set[str]]
) -> None:
    """Refuse at once a channel name that no recording has; the rest is seen when reading.

    Raises
    ------
    BidsmillError
        If a name is neither a column nor a source name anywhere.
    """
    if request is None or request in ("common", "union"):
        return
    columns = {name for layout in layouts.values() for name in layout["channels"]}
    types = _types(layouts)
    if isinstance(request, str) and _type_meant(layouts, request) in types:
        return
    for name in [request] if isinstance(request, str) else request:
        if name in columns or plain_text(name) in columns:
            continue
        known = sources()
        if name not in known and plain_text(name) not in known:
            close = nearest(name, columns | known) or sorted(columns)
            raise BidsmillError(
                "no recording of the selection has a channel of this name",
                found=repr(name),
                expected=f"perhaps {listed(close)}; or one of the types: {listed(types)}",
            )
