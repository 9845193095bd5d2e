"""Build the anatomy of a simulation and its lead field, from settings."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import numpy as np

from bidsmill.errors import BidsmillError
from bidsmill.formats.anatomy import Anatomy, save_anatomy, vertex_normals
from bidsmill.formats.files import sha256_file
from bidsmill.formats.leadfield import LeadField, save_leadfield
from bidsmill.simulate.anatomy.leadfield import average_reference, check_leadfield
from bidsmill.simulate.anatomy.loading import load_leadfield
from bidsmill.simulate.anatomy.parcellation import cut_regions, touching_regions
from bidsmill.simulate.anatomy.regions import anatomy_of_surface
from bidsmill.simulate.anatomy.sensors import TEMPLATE, Sensors, load_sensors, template_sphere
from bidsmill.simulate.anatomy.source_columns import Sources, region_columns
from bidsmill.simulate.anatomy.sphere import UNITS, sphere_leadfield
from bidsmill.simulate.anatomy.surface import Surface, generated_cortex, vertex_areas

DEFAULTS: dict[str, Any] = {
    "kind": "default",
    "montage": None,
    "electrodes": None,
    "regions": 100,
    "folded": True,
    "folder": None,
    "cortex": None,
    "inflated": None,
    "region_mapping": None,
    "leadfield": None,
    "leadfield_key": None,
    "leadfield_layout": None,
    "leadfield_unit": "relative",
    "leadfield_type": "eeg",
    "aggregate": "sum",
}
# Electrodes of the default head, where neither montage nor number is given.
ELECTRODES = 32
# A generated cortex has at least this many vertices per region, where that needs no more than
# level 5 (20,484 vertices, as many as fsaverage5 has); below level 3 its folds are lost.
VERTICES_PER_REGION = 24
LEVELS = (3, 4, 5)


def build_anatomy(
    settings: dict[str, Any],
    anatomy_path: str | os.PathLike,
    leadfield_path: str | os.PathLike,
) -> dict[str, Any]:
    """Build anatomy and lead field, and write both.

    Parameters
    ----------
    settings : dict
        Section ``simulation.anatomy`` of the config:

        ``kind``
            ``default``: a generated cortex and a head of spheres, without any file.
            ``files``: the cortex, or the lead field, of the user.
        ``montage``
            Name of a montage (``standard_1005``, ``biosemi64``, ...) or a file of electrodes
            (see `sensors.load_sensors`). Of kind ``files`` it names the rows of the lead field.
        ``electrodes``
            How many electrodes of the montage, or their names in the order of the rows; all if
            absent. Without a montage: 32 of ``standard_1005``.
        ``regions``, ``folded``
            Number of regions into which a cortex without mapping is cut, and whether a generated
            one has folds.
        ``folder``
            The folder ``anatomy`` of DeepSIF: stands for the following ones that are absent.
        ``cortex``, ``inflated``, ``region_mapping``
            Surface (or two of FreeSurfer: left, right), the same inflated (for pictures), and
            the region of each vertex (see `cortex_files`).
        ``leadfield``
            Any file of `loading.load_leadfield`; without it, that of spheres is computed for
            cortex and montage. A forward solution of MNE-Python also brings its cortex.
        ``leadfield_key``, ``leadfield_layout``, ``leadfield_unit``, ``leadfield_type``
            Variable; ``sensors_in_rows`` or ``sensors_in_columns``; unit; ``eeg``, ``mag`` or
            ``grad`` where there is no montage.
        ``aggregate``
            From vertices to regions: ``sum`` or ``area_mean``.
    anatomy_path, leadfield_path : path-like
        Files to write (``.npz``), read by `anatomy.load_anatomy` and `loading.load_leadfield`.

    Returns
    -------
    dict
        What was built, for the log and the report: ``anatomy`` and ``leadfield`` with their
        facts. EEG rows of the lead field that is written are average-referenced.

    Raises
    ------
    BidsmillError
        If a setting is unknown, a file is missing or damaged, or the parts do not fit.
    """
    chosen = resolved(settings)
    if chosen["kind"] == "default":
        anatomy, leadfield = _default(chosen)
    else:
        anatomy, leadfield = _of_files(chosen)
    before = {"reference_before": leadfield.reference, "rank_before": leadfield.provenance["rank"]}
    leadfield = check_leadfield(average_reference(leadfield))
    leadfield = replace(leadfield, provenance={**leadfield.provenance, **before})
    save_anatomy(anatomy, anatomy_path)
    save_leadfield(leadfield, leadfield_path)
    return {
        "anatomy": anatomy.facts,
        "leadfield": {
            "shape": list(leadfield.matrix.shape),
            "unit": leadfield.unit,
            "reference": leadfield.reference,
            **leadfield.provenance,
        },
    }


def resolved(settings: dict[str, Any]) -> dict[str, Any]:
    """Return settings with all defaults, the folder of DeepSIF taken apart.

    Raises
    ------
    BidsmillError
        If a key or the kind is unknown, or ``files`` are asked for and none is named.
    """
    unknown = sorted(set(settings) - set(DEFAULTS))
    chosen = {**DEFAULTS, **settings}
    if unknown or chosen["kind"] not in ("default", "files"):
        raise BidsmillError(
            "a setting of simulation.anatomy is unknown",
            found=", ".join(unknown) or f"kind: {chosen['kind']}",
            expected=f"kind: default or files; {', '.join(DEFAULTS)}",
        )
    if chosen["kind"] == "default":
        return chosen
    if chosen["folder"] is not None:
        from bidsmill.simulate.anatomy.cortex_files import deepsif_files

        for key, path in deepsif_files(chosen["folder"]).items():
            chosen[key] = path if chosen[key] is None else chosen[key]
    brings_cortex = str(chosen["leadfield"]).endswith((".fif", ".fif.gz", ".h5"))
    if chosen["cortex"] is None and not brings_cortex:
        raise BidsmillError(
            "an anatomy of files needs a cortex: patches of activity grow on it",
            expected="cortex and region_mapping, folder, or a forward solution of MNE-Python",
            todo="set simulation.anatomy.cortex (and region_mapping), or kind: default",
        )
    return chosen


def _sensors(chosen: dict[str, Any]) -> Sensors:
    electrodes = chosen["electrodes"]
    if chosen["montage"] is None and electrodes is None:
        electrodes = ELECTRODES
    return load_sensors(chosen["montage"] or TEMPLATE, electrodes)


def _default(chosen: dict[str, Any]) -> tuple[Anatomy, LeadField]:
    count = chosen["regions"]
    level = next(
        (each for each in LEVELS if 2 * (10 * 4**each + 2) >= VERTICES_PER_REGION * count),
        LEVELS[-1],
    )
    surface = generated_cortex(level, chosen["folded"])
    # The middle of the brain lies somewhat above the middle of the sphere through the electrodes.
    centre, radius = template_sphere()
    points = surface.vertices + centre + np.array([0.0, 0.0, 0.1 * radius])
    surface = replace(surface, vertices=points)
    facts = {"cortex": "generated", "folded": bool(chosen["folded"])}
    anatomy = _anatomy_of(surface, chosen, facts)
    return anatomy, _of_spheres(surface, anatomy, _sensors(chosen), chosen["aggregate"])


def _anatomy_of(
    surface: Surface,
    chosen: dict[str, Any],
    facts: dict[str, Any],
) -> Anatomy:
    """Return the anatomy of a surface; its regions are read, or cut."""
    inflated = None
    if chosen["inflated"] is not None:
        from bidsmill.simulate.anatomy.cortex_files import read_inflated

        inflated = read_inflated(chosen["inflated"], surface)
    if chosen["region_mapping"] is not None:
        from bidsmill.simulate.anatomy.cortex_files import read_regions

        mapping, neighbours, found = read_regions(chosen["region_mapping"], surface)
        facts = {**facts, **found, "region_mapping": _named(chosen["region_mapping"])}
    else:
        mapping = cut_regions(
            surface.vertices, surface.triangles, surface.hemisphere, chosen["regions"]
        )
        neighbours = touching_regions(surface.triangles, mapping, chosen["regions"])
        facts = {**facts, "region_mapping": "cut from the surface"}
    return anatomy_of_surface(
        surface.vertices,
        surface.triangles,
        mapping,
        surface.hemisphere,
        neighbours,
        inflated,
        facts,
    )


def _named(path: Any) -> Any:
    """Return name and checksum of each file of a setting."""
    if not isinstance(path, str | os.PathLike):
        return [_named(each) for each in path]
    return {"file": os.path.basename(path), "sha256": sha256_file(path)}


def _sources(surface: Surface, anatomy: Anatomy, aggregate: str) -> Sources:
    return Sources(
        n_regions=anatomy.n_regions,
        region_of_vertex=anatomy.region_of_vertex,
        orientations=vertex_normals(surface.vertices, surface.triangles),
        areas=vertex_areas(surface.vertices, surface.triangles),
        aggregate=aggregate,
    )


def _of_spheres(surface: Surface, anatomy: Anatomy, sensors: Sensors, aggregate: str) -> LeadField:
    """Return the lead field of a head of spheres, summed over the vertices of each region."""
    sources = _sources(surface, anatomy, aggregate)
    assert sources.orientations is not None
    matrix, facts = sphere_leadfield(sensors, surface.vertices, sources.orientations)
    units = {kind: UNITS[kind] for kind in UNITS if kind in sensors.types}
    leadfield = LeadField(
        region_columns(matrix, sources, "sphere model"),
        sensors.names,
        sensors.types,
        sensors.positions,
        unit=", ".join(units.values()),
        provenance={
            **facts,
            "sensors": sensors.source,
            "columns_in_file": "vertices",
            "aggregate": aggregate,
        },
    )
    return check_leadfield(leadfield)


def _of_files(chosen: dict[str, Any]) -> tuple[Anatomy, LeadField]:
    if chosen["cortex"] is None:
        from bidsmill.simulate.anatomy.forward_files import forward_surface

        surface = forward_surface(chosen["leadfield"])
        facts: dict[str, Any] = {"cortex": _named(chosen["leadfield"])}
    else:
        from bidsmill.simulate.anatomy.cortex_files import read_cortex

        surface = read_cortex(chosen["cortex"])
        facts = {"cortex": _named(chosen["cortex"])}
    anatomy = _anatomy_of(surface, chosen, facts)
    if chosen["leadfield"] is None:
        return anatomy, _of_spheres(surface, anatomy, _sensors(chosen), chosen["aggregate"])
    named = chosen["montage"] is not None or isinstance(chosen["electrodes"], list | tuple)
    leadfield = load_leadfield(
        chosen["leadfield"],
        key=chosen["leadfield_key"],
        sensors=_sensors(chosen) if named else None,
        sources=_sources(surface, anatomy, chosen["aggregate"]),
        layout=chosen["leadfield_layout"],
        kind=chosen["leadfield_type"],
        unit=chosen["leadfield_unit"],
    )
    if leadfield.matrix.shape[1] != anatomy.n_regions:
        raise BidsmillError(
            "lead field and cortex differ in their regions",
            file=chosen["leadfield"],
            found=f"{leadfield.matrix.shape[1]} columns",
            expected=f"{anatomy.n_regions} regions",
        )
    return anatomy, leadfield
