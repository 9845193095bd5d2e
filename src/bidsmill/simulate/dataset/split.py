"""The split of a simulated dataset in the format of every split: table and certificate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bidsmill.formats import certificate
from bidsmill.formats.certificate import SIDES

if TYPE_CHECKING:
    import pandas as pd

STATEMENTS = {
    "region": "No centre region, and so no waveform, stands on two sides: test measures"
    " generalisation to spikes that start elsewhere. Patches of different sides may share regions.",
    "clip": "No clip, and none that overlaps it in the simulation, stands on two sides: test"
    " measures generalisation to other waveforms of the same regions.",
}


def split_of(
    samples: pd.DataFrame, dataset: str, settings: dict[str, Any]
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Return the table of groups and the certificate.

    Sides were given before samples were drawn (`bidsmill.simulate.sources.sides`); here they are
    counted and proved: from the clips that the rows name, not from the sides that they were meant
    to have.

    Parameters
    ----------
    samples : pandas.DataFrame
        With ``subject`` (the group), ``split_side``, ``centres`` and ``clips``.
    dataset : str
        Its id.
    settings : dict
        ``group`` (``region`` or ``clip``), ``test``, ``validation``, ``seed``.
    """
    import pandas as pd

    side = samples["split_side"].to_numpy(object)
    placed = side != "none"
    rows = samples[placed].groupby("subject", sort=True)["split_side"].agg(["first", "size"])
    table = pd.DataFrame(
        {
            "group": [f"sub-{name}" for name in rows.index],
            "level": "subject",
            "split": rows["first"].to_numpy(object),
            "rows": rows["size"].to_numpy(np.int64),
            "rows_excluded": 0,
            "recording": "",
            "onset_start": np.nan,
            "onset_stop": np.nan,
        },
        columns=list(certificate.GROUP_COLUMNS),
    )
    shared = _shared_clips(samples[placed])
    refused = not placed.any() or bool(shared)
    if refused:
        table["split"] = "none"
    content = {
        "contract": certificate.CONTRACT,
        "dataset": dataset,
        "status": "refused" if refused else "done",
        "reason": _reason(placed, shared),
        "level": "subject",
        "level_wished": "subject",
        "refused_levels": [],
        "settings": settings,
        "method": "Groups of clips were put on sides by the order of a hash of the seed and"
        " their names; every sample takes all of its clips from one side. The column subject"
        " names the group.",
        "seed": settings["seed"],
        **dict.fromkeys(("objective", "bound", "gap", "nodes", "solver", "validation", "folds")),
        "groups": _counts(table["split"]),
        "rows": _counts(np.where(refused, "none", side)),
        "rows_excluded": dict.fromkeys(SIDES, 0),
        **_balance(side, placed, refused, settings["test"]),
        **{name: [] for name in ("merged", "remembered", "unknown", "same_subject")},
        "elsewhere": {"mirrors": [], "subjects": {}},
        **dict.fromkeys(("previous", "fixed", "together")),
        "proof": {
            "statement": STATEMENTS[settings["group"]] if not refused else "No row has a side.",
            "shared_subjects": 0,
            "subjects_on_several_sides": [],
            "overlapping_windows": 0,
            "clips_on_several_sides": len(shared),
            "rows_between_sides": int((~placed).sum()),
        },
    }
    return table, content


def _reason(placed: np.ndarray, shared: list[str]) -> str:
    if shared:
        return f"clips stand on two sides, such as region and clip {shared[0]}"
    if not placed.any():
        return "there are fewer than two groups of clips"
    if not placed.all():
        return (
            f"{int((~placed).sum())} samples mix clips of different sides; they are on none, so"
            " that no waveform leaks"
        )
    return ""


def _shared_clips(samples: pd.DataFrame) -> list[str]:
    """Return the clips that rows of different sides show."""
    seen: dict[str, str] = {}
    shared = set()
    columns = ("centres", "clips", "split_side")
    for centres, clips, side in zip(*(samples[name] for name in columns), strict=True):
        for key in zip(centres.split(), clips.split(), strict=True):
            name = " ".join(key)
            if seen.setdefault(name, side) != side:
                shared.add(name)
    return sorted(shared)


def _counts(sides: Any) -> dict[str, int]:
    values = [str(side) for side in sides]
    return {side: values.count(side) for side in SIDES}


def _balance(side: np.ndarray, placed: np.ndarray, refused: bool, target: float) -> dict[str, Any]:
    counts = _counts(np.where(refused, "none", side))
    total = 0 if refused else int(placed.sum())
    share = round(counts["test"] / total, 6) if total else None
    entry = {
        "column": "all rows",
        "value": "",
        "total": len(side),
        **counts,
        "share": share,
        "target": target,
        "deviation": None if share is None else round(share - target, 6),
        "impossible": False,
    }
    return {"balance": [entry], "impossible": []}
