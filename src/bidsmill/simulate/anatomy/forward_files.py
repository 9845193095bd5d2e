"""Forward solutions of MNE-Python (`-fwd.fif`, `-fwd.h5`)."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from bidsmill.errors import BidsmillError
from bidsmill.formats.files import sha256_file
from bidsmill.formats.leadfield import LeadField
from bidsmill.simulate.anatomy.sensors import Sensors, head_to_template
from bidsmill.simulate.anatomy.source_columns import Sources, region_columns
from bidsmill.simulate.anatomy.sphere import UNITS
from bidsmill.simulate.anatomy.surface import Surface


def is_forward(path: str | os.PathLike) -> bool:
    """Return whether a file is a forward solution of MNE-Python, and not other HDF5."""
    target = Path(path)
    if not target.name.endswith(".h5"):
        return True
    import h5py

    try:
        with h5py.File(target, "r") as file:
            # The group in which h5io, MNE-Python's writer, puts all.
            return "h5io" in file
    except OSError:
        return False


def read_forward(path: str | os.PathLike) -> Any:
    """Read a forward solution.

    Returns
    -------
    mne.Forward
        As it is in the file.

    Raises
    ------
    BidsmillError
        If it cannot be read, or a package for it is missing.
    """
    import mne

    if not Path(path).is_file():
        raise BidsmillError("a forward solution is missing", file=path, expected="-fwd.fif or .h5")
    try:
        return mne.read_forward_solution(path, verbose="error")
    # Damaged files fail in many ways in its reader.
    except Exception as error:
        if isinstance(error, ImportError | RuntimeError) and "h5io" in str(error):
            raise BidsmillError(
                "a forward solution in HDF5 needs the package h5io",
                file=path,
                todo="pip install h5io, or save the forward solution as -fwd.fif",
            ) from None
        raise BidsmillError(
            "a forward solution cannot be read",
            file=path,
            found=f"{type(error).__name__}: {error}",
            expected="a file of mne.write_forward_solution",
        ) from None


def load_forward(
    path: str | os.PathLike, sources: Sources, sensors: Sensors | None = None
) -> LeadField:
    """Return the lead field of a forward solution.

    Sources of free orientation are turned to the normals of the surface (the average over the
    patch of each vertex where the file has patches, as MNE-Python does).

    Parameters
    ----------
    path : path-like
        The file.
    sources : Sources
        Regions and their vertices. The mapping may have one entry per source of the file, or one
        per vertex of its surfaces.
    sensors : Sensors, optional
        Take these sensors only, by their names, in this order.

    Raises
    ------
    BidsmillError
        If it cannot be read, a sensor is not in it, or sources and regions do not fit.
    """
    import mne

    forward = read_forward(path)
    names = list(forward["sol"]["row_names"])
    info = forward["info"]
    matrix = _fixed(forward)
    kinds = dict(zip(info["ch_names"], info.get_channel_types(), strict=True))
    places = {c["ch_name"]: c["loc"][:3] for c in info["chs"]}
    wanted = names if sensors is None else list(sensors.names)
    if missing := [name for name in wanted if name not in names]:
        raise BidsmillError(
            "sensors are not in the forward solution",
            file=path,
            found=", ".join(missing[:20]),
            expected=f"names of its {len(names)} sensors: {', '.join(names[:12])}, ...",
            todo="set simulation.anatomy.electrodes",
        )
    rows = [names.index(name) for name in wanted]
    columns, meaning = _regions(matrix[rows], forward, sources, path)
    types = tuple(kinds[name] for name in wanted)
    positions = np.array([places[name] for name in wanted], dtype=np.float64)
    meg = np.array([kind != "eeg" for kind in types])
    if meg.any() and info["dev_head_t"] is not None:
        positions[meg] = mne.transforms.apply_trans(info["dev_head_t"], positions[meg])
    provenance = {
        "file": Path(path).name,
        "sha256": sha256_file(path),
        "variable": "sol",
        "shape_in_file": list(forward["sol"]["data"].shape),
        "transposed": False,
        "columns_in_file": meaning,
        "sensors": "forward solution",
        **({} if meaning == "regions" else {"aggregate": sources.aggregate}),
    }
    return LeadField(
        columns,
        tuple(wanted),
        types,
        mne.transforms.apply_trans(head_to_template(), positions),
        unit=", ".join(UNITS[kind] for kind in UNITS if kind in types),
        provenance=provenance,
    )


def _fixed(forward: Any) -> np.ndarray:
    """Return one column per source."""
    import mne
    from mne.io.constants import FIFF

    data = forward["sol"]["data"]
    if data.shape[1] == forward["nsource"]:
        return np.asarray(data, dtype=np.float64)
    on_surface = all(space["type"] == "surf" for space in forward["src"])
    if on_surface:
        turned = mne.convert_forward_solution(
            forward, surf_ori=True, force_fixed=True, use_cps=True, verbose="error"
        )
        return np.asarray(turned["sol"]["data"], dtype=np.float64)
    if forward["surf_ori"] or forward["coord_frame"] != FIFF.FIFFV_COORD_HEAD:
        forward = mne.convert_forward_solution(forward, surf_ori=False, verbose="error")
    normals = np.concatenate([space["nn"][space["vertno"]] for space in forward["src"]])
    free = np.asarray(forward["sol"]["data"], dtype=np.float64).reshape(len(data), -1, 3)
    return np.einsum("msk,sk->ms", free, normals)


def _regions(
    matrix: np.ndarray, forward: Any, sources: Sources, path: str | os.PathLike
) -> tuple[np.ndarray, str]:
    """Return one column per region; the vertices of the file may be some of a larger surface."""
    mapping = sources.region_of_vertex
    if mapping is not None and len(mapping) != matrix.shape[1]:
        spaces = forward["src"]
        starts = np.cumsum([0, *(space["np"] for space in spaces)])
        if len(mapping) == starts[-1]:
            used = [s["vertno"] + start for s, start in zip(spaces, starts, strict=False)]
            chosen = np.concatenate(used)
            areas = None if sources.areas is None else sources.areas[chosen]
            sources = replace(sources, region_of_vertex=mapping[chosen], areas=areas)
            mapping = sources.region_of_vertex
    if mapping is not None and len(mapping) == matrix.shape[1]:
        return region_columns(matrix, sources, path), "vertices"
    if matrix.shape[1] == sources.n_regions or (mapping is None and sources.n_regions is None):
        return matrix, "regions"
    raise BidsmillError(
        "the sources of the forward solution do not fit the regions",
        file=path,
        found=f"{matrix.shape[1]} sources",
        expected=f"{sources.n_regions} regions"
        + ("" if mapping is None else f", or {len(mapping)} vertices"),
        todo="set simulation.anatomy.region_mapping, or leave out cortex and region_mapping to "
        "take both from the forward solution",
    )


def forward_surface(path: str | os.PathLike) -> Surface:
    """Return the cortex that a forward solution was computed for, reduced to its sources.

    Raises
    ------
    BidsmillError
        If its sources are not two surfaces with triangles.
    """
    import mne

    forward = read_forward(path)
    spaces = forward["src"]
    whole = [space["type"] == "surf" and space["nuse_tri"] > 0 for space in spaces]
    if len(spaces) != 2 or not all(whole):
        raise BidsmillError(
            "the sources of the forward solution are not the surfaces of two hemispheres",
            file=path,
            found=", ".join(f"{s['type']}, {s['nuse']} sources" for s in spaces),
            expected="a surface source space with triangles between its sources (ico or oct)",
            todo="set simulation.anatomy.cortex and region_mapping",
        )
    vertices: list[np.ndarray] = []
    triangles: list[np.ndarray] = []
    for space in spaces:
        place = np.full(space["np"], -1)
        place[space["vertno"]] = np.arange(space["nuse"])
        triangles.append(place[space["use_tris"]] + sum(len(part) for part in vertices))
        vertices.append(space["rr"][space["vertno"]])
    points = mne.transforms.apply_trans(head_to_template(), np.concatenate(vertices))
    sides = np.repeat(np.array([0, 1], np.int8), [len(part) for part in vertices])
    return Surface(points, np.concatenate(triangles), sides)
