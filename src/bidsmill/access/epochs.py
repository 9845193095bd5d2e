"""Rows as MNE epochs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bidsmill.access.targets import Target
from bidsmill.formats.stream_mne import PLACED, info_of

if TYPE_CHECKING:
    from bidsmill.access.selection import Selection


def epochs_array(selection: Selection, target: str | None) -> Any:
    """Return a selection as `mne.EpochsArray`; see `Selection.mne`.

    A channel is bad if it is in any of the recordings. Positions are those of the first
    recording that has them: MNE has one montage per object.
    """
    import mne

    chosen = selection if target is None else selection.labelled(target)
    view, frame = chosen.view, chosen.samples
    events, event_id = _events(chosen, target)
    epochs = mne.EpochsArray(
        chosen.rows().all(),
        info_of(view.names, view.types, view.units, view.sfreq),
        events,
        tmin=view.tmin,
        event_id=event_id,
        baseline=None,
        proj=False,
        metadata=frame,
        verbose="error",
    )
    bads, positions = _bads_and_positions(chosen)
    epochs.info["bads"] = bads
    if positions:
        montage = mne.channels.make_dig_montage(positions, coord_frame="head")
        epochs.set_montage(montage, on_missing="ignore", verbose="error")
    return epochs


def _events(chosen: Selection, target: str | None) -> tuple[np.ndarray, dict[str, int]]:
    """Return one event per row, with distinct samples; the real ones stand in the metadata."""
    frame = chosen.samples
    column = target or "trial_type"
    found = chosen.target(column)
    if found.classes is None:
        # Numbers make no event ids: every row is an event of the one kind.
        found = Target(column, (column,))
        names = np.full(len(frame), column, object)
    else:
        names = found.values(frame)
        names[names == ""] = "n/a"
    order = [*found.classes, "n/a"]  # type: ignore[misc]
    codes = {name: code for code, name in enumerate(order, 1)}
    ids = [codes[name] for name in names]
    events = np.zeros((len(frame), 3), int)
    events[:, 0] = np.arange(len(frame)) * chosen.view.n_times
    events[:, 2] = ids
    return events, {name: codes[name] for name in order if codes[name] in set(ids)}


def _bads_and_positions(chosen: Selection) -> tuple[list[str], dict[str, np.ndarray]]:
    view = chosen.view
    bads: set[str] = set()
    positions: dict[str, np.ndarray] = {}
    for recording, columns in view.columns.items():
        frame = chosen.dataset.channels_of.get(recording)
        layout = chosen.dataset.layouts[chosen.dataset.matrices[recording]["layout"]]
        if frame is None:
            continue
        by_name = frame.drop_duplicates("name").set_index("name")
        index = range(len(view.names)) if columns is None else columns.tolist()
        for name, kind, column in zip(view.names, view.types, index, strict=True):
            if column < 0 or layout["channels"][column] not in by_name.index:
                continue
            channel = by_name.loc[layout["channels"][column]]
            if channel["status"] == "bad":
                bads.add(name)
            place = channel[["x", "y", "z"]].to_numpy(np.float64)
            if kind in PLACED and np.isfinite(place).all():
                positions.setdefault(name, place)
    return [name for name in view.names if name in bads], positions
