"""Sensors of a simulation: from a standard montage, a file of electrodes, or a recording."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bidsmill.bids.montages import built_in_montage
from bidsmill.errors import BidsmillError

TEMPLATE = "standard_1005"
# Names of the template montages before and after MNE-Python 1.13.
# The 19 scalp electrodes of the 10-20 system (Klem et al. 1999), by their newer names; caps of 16,
# 32 and 64 electrodes have names of their own in MNE-Python.
TEN_TWENTY = (
    *("Fp1", "Fp2"),
    *("F7", "F3", "Fz", "F4", "F8"),
    *("T7", "C3", "Cz", "C4", "T8"),
    *("P7", "P3", "Pz", "P4", "P8"),
    *("O1", "O2"),
)
CAPS = {16: "biosemi16", 32: "biosemi32", 64: "biosemi64"}
# Names of ears and mastoids: places of references.
REFERENCES = ("A1", "A2", "M1", "M2")
# Radius of a head in m, and by which factor it may differ from that.
HEAD, UNLIKE = 0.09, 3.0
# Fewer electrodes do not determine the sphere that they lie on.
FEWEST_FOR_SPHERE = 8


@dataclass(frozen=True, eq=False)
class Sensors:
    """Sensors with their positions.

    Attributes
    ----------
    names, types : tuple of str
        Channel names; types are ``eeg``, ``mag``, ``grad``.
    positions : numpy.ndarray, shape (n_sensors, 3)
        In m, in the frame of the template head (x right, y front, z up; that of fsaverage), NaN
        where unknown.
    source : str
        Where they come from.
    info : mne.Info or None
        Of a recording: needed for MEG, whose coils are more than positions.
    skin : numpy.ndarray or None
        All electrodes of the montage, also those not taken: the head does not depend on a choice.
    """

    names: tuple[str, ...]
    types: tuple[str, ...]
    positions: np.ndarray
    source: str
    info: Any = None
    skin: np.ndarray | None = None


def fitted_sphere(points: np.ndarray) -> tuple[np.ndarray, float]:
    """Return centre and radius (m) of the sphere that lies nearest to points.

    Least squares in the equation |p|² = 2 p·c + (r² - |c|²), linear in its unknowns.
    """
    table = np.column_stack([2 * points, np.ones(len(points))])
    found = np.linalg.lstsq(table, (points**2).sum(axis=1), rcond=None)[0]
    centre = found[:3]
    return centre, float(np.sqrt(found[3] + centre @ centre))


def template_sphere() -> tuple[np.ndarray, float]:
    """Return centre and radius (m) of the template head, by the electrodes of standard_1005."""
    positions = built_in_montage(TEMPLATE).get_positions()["ch_pos"]
    return fitted_sphere(np.array(list(positions.values())))


def load_sensors(montage: str | os.PathLike, electrodes: int | Sequence[str] | None) -> Sensors:
    """Return the sensors of a montage.

    Parameters
    ----------
    montage : str or path-like
        Name of a montage that MNE-Python knows (``standard_1005``, ``biosemi64``, ...), a file of
        positions that it reads (``.elc``, ``.sfp``, ``.bvef``, ``.loc``, ...), a BIDS
        ``electrodes.tsv``, a MATLAB or Octave file with a struct array of EEGLAB (``labels``,
        ``X``, ``Y``, ``Z``), or a ``.fif`` file of a recording (EEG and MEG sensors).
    electrodes : int or sequence of str, optional
        How many of them, spread evenly over the head, or which; all if None.

    Raises
    ------
    BidsmillError
        If the montage or an electrode is unknown, or a file has no positions.
    """
    found = _all_sensors(str(montage))
    if isinstance(electrodes, bool) or electrodes is None:
        return found
    if isinstance(electrodes, int):
        names = _spread_out(found, electrodes)
    else:
        names = tuple(electrodes)
    places = {name: place for place, name in enumerate(found.names)}
    missing = [name for name in names if name not in places]
    if missing or len(set(names)) < len(names) or not names:
        raise BidsmillError(
            "electrodes are not in the montage, or named twice",
            found=", ".join(missing) or ", ".join(names) or "no electrode",
            expected=f"names of {found.source}: {', '.join(found.names[:12])}, ...",
            todo="set simulation.anatomy.electrodes to names of it, or to a number",
        )
    keep = [places[name] for name in names]
    info = None
    if found.info is not None:
        import mne

        info = mne.pick_info(found.info, keep, verbose="error")
    types = tuple(found.types[place] for place in keep)
    eeg = np.array([kind == "eeg" for kind in found.types])
    skin = found.positions[eeg & np.isfinite(found.positions).all(axis=1)]
    return Sensors(names, types, found.positions[keep], found.source, info, skin)


def _all_sensors(montage: str) -> Sensors:
    if (known := built_in_montage(montage)) is not None:
        # Before any file: names of caps have dots in them, too.
        return _of_montage(known, montage)
    path = Path(montage)
    if path.suffix == ".fif":
        return _of_recording(path)
    if path.name.endswith("electrodes.tsv"):
        return _of_bids(path)
    if path.suffix in (".mat", ".npz"):
        return eeglab_electrodes(path)
    if path.suffix:
        return _of_montage(_custom(path), path.name)
    from mne.channels import get_builtin_montages

    raise BidsmillError(
        "a montage is unknown",
        found=montage,
        expected=f"{TEMPLATE}, {', '.join(get_builtin_montages())}, or a file with positions",
        todo="set simulation.anatomy.montage",
    )


def _custom(path: Path) -> Any:
    from mne.channels import read_custom_montage

    try:
        return read_custom_montage(path, verbose="error")
    # Each format of positions has a parser of its own, with its own errors.
    except Exception as error:
        raise BidsmillError(
            "a file of electrode positions cannot be read",
            file=path,
            found=f"{type(error).__name__}: {error}",
            expected="a format of mne.channels.read_custom_montage, electrodes.tsv, .mat or .fif",
        ) from None


def _of_montage(montage: Any, source: str) -> Sensors:
    """Return the electrodes of a montage in the frame of the template head.

    Where both have fiducial points, these decide; otherwise the axes are taken as they are.
    """
    import mne

    found = montage.get_positions()
    names = tuple(found["ch_pos"])
    points = np.array([found["ch_pos"][name] for name in names], dtype=np.float64)
    landmarks = [found[key] for key in ("nasion", "lpa", "rpa")]
    if found["coord_frame"] != "mri" and all(point is not None for point in landmarks):
        to_head = mne.channels.compute_native_head_t(montage, verbose="error")
        points = mne.transforms.apply_trans(to_head, points)
        points = mne.transforms.apply_trans(head_to_template(), points)
    return Sensors(names, ("eeg",) * len(names), points, source)


def head_to_template() -> np.ndarray:
    """Return the transform (4 x 4) from MNE's head frame to the frame of the template head."""
    import mne

    to_head = mne.channels.compute_native_head_t(built_in_montage(TEMPLATE), verbose="error")
    return np.linalg.inv(to_head["trans"])


def eeglab_electrodes(path: str | os.PathLike) -> Sensors:
    """Return the electrodes of a struct array of EEGLAB in a matrix file.

    EEGLAB's x points to the nose and y to the left ear; lengths are recognised by their size.

    Raises
    ------
    BidsmillError
        If there is no such struct array in the file, or it has no positions.
    """
    from bidsmill.simulate.variables.matrix_files import read_variables, variables_text

    variables = read_variables(path)
    rows: list[dict[str, Any]] = []
    for value in variables.values():
        rows = value if isinstance(value, list) else rows
        if rows and all(
            isinstance(row, dict) and {"labels", "X", "Y", "Z"} <= row.keys() for row in rows
        ):
            break
    else:
        raise BidsmillError(
            "a file has no electrodes",
            file=path,
            found=variables_text(variables),
            expected="a struct array with labels, X, Y, Z, as chanlocs of EEGLAB",
        )
    table = np.array([[_length(row[axis]) for axis in "XYZ"] for row in rows])
    # Nose, left, up to right, front, up.
    positions = _in_metres(np.column_stack([-table[:, 1], table[:, 0], table[:, 2]]), path)
    names = tuple(str(row["labels"]).strip() for row in rows)
    return Sensors(names, ("eeg",) * len(names), positions, Path(path).name)


def _length(value: Any) -> float:
    array = np.asarray(value)
    return float(array.reshape(-1)[0]) if array.size == 1 and array.dtype.kind in "iuf" else np.nan


def _of_bids(path: Path) -> Sensors:
    """Return the electrodes of a BIDS electrodes.tsv; lengths are recognised by their size."""
    import pandas as pd

    try:
        table = pd.read_csv(path, sep="\t", na_values=["n/a"], dtype={"name": str})
        points = table[["x", "y", "z"]].astype(np.float64).to_numpy()
        names = tuple(table["name"])
    except (OSError, ValueError, KeyError) as error:
        raise BidsmillError(
            "electrodes.tsv cannot be read",
            file=path,
            found=error,
            expected="columns name, x, y, z",
        ) from None
    # The unit stands in another file, and is often wrong.
    points = _in_metres(points, path)
    known = np.isfinite(points).all(axis=1)
    names, points = tuple(n for n, k in zip(names, known, strict=True) if k), points[known]
    return Sensors(names, ("eeg",) * len(names), points, path.name)


def _in_metres(points: np.ndarray, path: str | os.PathLike) -> np.ndarray:
    """Return positions of electrodes in m; they are given in m, cm, mm, or on a unit sphere.

    Raises
    ------
    BidsmillError
        If there are none, or a head has none of these sizes.
    """
    known = points[np.isfinite(points).all(axis=1)]
    if not len(known):
        raise BidsmillError("a file of electrodes has no positions", file=path, expected="x, y, z")
    size = float(np.median(np.linalg.norm(known - known.mean(axis=0), axis=1)))
    for unit in (1.0, 1e-2, 1e-3, HEAD):
        if HEAD / UNLIKE <= size * unit <= HEAD * UNLIKE:
            return points * unit
    raise BidsmillError(
        "the electrodes do not lie as on a head",
        file=path,
        found=f"{size:.4g} from their middle (median)",
        expected=f"about {HEAD} m, in m, cm or mm, or a sphere of radius 1",
    )


def _of_recording(path: Path) -> Sensors:
    """Return the EEG and MEG sensors of a recording, in the frame of the template head."""
    import mne

    try:
        info = mne.io.read_info(path, verbose="error")
    except (OSError, ValueError) as error:
        raise BidsmillError(
            "the sensors of a recording cannot be read", file=path, found=error, expected=".fif"
        ) from None
    picks = mne.pick_types(info, meg=True, eeg=True, ref_meg=False, exclude=())
    if not len(picks):
        raise BidsmillError(
            "a recording has no EEG or MEG sensors",
            file=path,
            found=", ".join(sorted(set(info.get_channel_types()))) or "no channels",
        )
    info = mne.pick_info(info, picks, verbose="error")
    positions = np.array([channel["loc"][:3] for channel in info["chs"]], dtype=np.float64)
    meg = np.array([kind != "eeg" for kind in info.get_channel_types()])
    if meg.any():
        if info["dev_head_t"] is None:
            raise BidsmillError(
                "where the head was under the MEG sensors is not known",
                file=path,
                found="no dev_head_t",
                todo="use a recording with a head position",
            )
        positions[meg] = mne.transforms.apply_trans(info["dev_head_t"], positions[meg])
    positions = mne.transforms.apply_trans(head_to_template(), positions)
    types = tuple(info.get_channel_types())
    return Sensors(tuple(info["ch_names"]), types, positions, path.name, info)


def _spread_out(sensors: Sensors, count: int) -> tuple[str, ...]:
    """Return `count` electrodes, in the order of the montage.

    The 10-20 system for 19, the cap of that number for 16, 32 and 64, where the montage has their
    electrodes. Otherwise each next one is farthest from all before it, beginning with Cz or the
    highest; where the electrodes of the 10-10 system are enough, no other ones are taken.
    """
    cap = TEN_TWENTY if count == len(TEN_TWENTY) else ()
    if count in CAPS:
        cap = tuple(built_in_montage(CAPS[count]).ch_names)
    if cap and set(cap) <= set(sensors.names):
        return tuple(name for name in sensors.names if name in cap)
    known = np.flatnonzero(np.isfinite(sensors.positions).all(axis=1))
    usual = set(built_in_montage("standard_1020").ch_names) - set(REFERENCES)
    common = [place for place in known if sensors.names[place] in usual]
    if 2 <= count <= len(common):
        known = np.array(common)
    if not 2 <= count <= len(known):
        raise BidsmillError(
            "the montage does not have as many electrodes",
            found=count,
            expected=f"2 to {len(known)} ({sensors.source})",
            todo="set simulation.anatomy.electrodes",
        )
    points = sensors.positions[known]
    names = [sensors.names[place] for place in known]
    chosen = [names.index("Cz") if "Cz" in names else int(np.argmax(points[:, 2]))]
    away = np.linalg.norm(points - points[chosen[0]], axis=1)
    while len(chosen) < count:
        chosen.append(int(np.argmax(away)))
        away = np.minimum(away, np.linalg.norm(points - points[chosen[-1]], axis=1))
    return tuple(names[place] for place in sorted(chosen))
