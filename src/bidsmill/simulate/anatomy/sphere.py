"""Lead field of a head made of spheres, by MNE-Python: for every montage, without any download."""

from __future__ import annotations

from typing import Any

import numpy as np

from bidsmill.errors import BidsmillError
from bidsmill.simulate.anatomy.sensors import (
    FEWEST_FOR_SPHERE,
    Sensors,
    fitted_sphere,
    head_to_template,
    template_sphere,
)

# The brain ends here, as a share of the radius of the head: MNE's inner skull is at 0.90, and a
# source on the border itself would have no finite field.
BRAIN = 0.88
# A brain that has to shrink more than this is given in another unit or frame than the electrodes.
SMALLEST = 0.6
UNITS = {"eeg": "V/(A·m)", "mag": "T/(A·m)", "grad": "T/m/(A·m)"}


def sphere_leadfield(
    sensors: Sensors, points: np.ndarray, orientations: np.ndarray
) -> tuple[np.ndarray, dict[str, Any]]:
    """Return the lead field of current dipoles in a head of four concentric spheres.

    Brain, cerebrospinal fluid, skull and skin have MNE-Python's radii (0.90, 0.92, 0.97, 1.00 of
    the head) and conductivities (0.33, 1.0, 0.004, 0.33 S/m); the potential is that of Berg and
    Scherg (1994, doi:10.1016/0013-4694(94)90113-9), the field that of Sarvas (1987,
    doi:10.1088/0031-9155/32/1/004). Electrodes are moved along the radius onto the skin. The
    brain is moved with the centre of the sphere and made smaller where it does not fit.

    Parameters
    ----------
    sensors : Sensors
        EEG electrodes, or EEG and MEG sensors of a recording.
    points : numpy.ndarray, shape (n_sources, 3)
        Positions of the dipoles (m), in the frame of the template head.
    orientations : numpy.ndarray, shape (n_sources, 3)
        Their unit directions.

    Returns
    -------
    matrix : numpy.ndarray, shape (n_sensors, n_sources)
        V/(A·m), T/(A·m), T/m/(A·m); EEG without a reference.
    facts : dict
        Centre and radius of the head, and how much the brain was scaled.

    Raises
    ------
    BidsmillError
        If electrodes have no positions, or the brain does not fit into the head.
    """
    import mne

    centre, radius = _head(sensors)
    placed, facts = _brain_in_head(points, centre, radius)
    info = sensors.info if sensors.info is not None else _eeg_info(sensors)
    directions = orientations
    if sensors.info is not None:
        # A recording keeps its own frame: the brain goes there.
        to_head = np.linalg.inv(head_to_template())
        placed = mne.transforms.apply_trans(to_head, placed)
        directions = orientations @ to_head[:3, :3].T
        centre = mne.transforms.apply_trans(to_head, centre)
    info = _electrodes_on_skin(info, centre, radius)
    model = mne.make_sphere_model(centre, radius, verbose="error")
    source = {"rr": placed, "nn": directions}
    spaces = mne.setup_volume_source_space(pos=source, sphere_units="m", verbose="error")
    types = set(sensors.types)
    forward = mne.make_forward_solution(
        info,
        None,
        spaces,
        model,
        meg=bool(types & {"mag", "grad"}),
        eeg="eeg" in types,
        mindist=0.0,
        verbose="error",
    )
    if forward["nsource"] != len(points):
        raise BidsmillError(
            "sources lie outside of the brain of the sphere model",
            found=f"{forward['nsource']} of {len(points)} inside",
        )
    free = forward["sol"]["data"].reshape(len(forward["sol"]["row_names"]), -1, 3)
    matrix = np.einsum("msk,sk->ms", free, directions)
    rows = {name: row for row, name in enumerate(forward["sol"]["row_names"])}
    return matrix[[rows[name] for name in sensors.names]], facts


def _head(sensors: Sensors) -> tuple[np.ndarray, float]:
    """Return centre and radius (m) of the head, in the frame of the template."""
    eeg = np.array([kind == "eeg" for kind in sensors.types])
    points = sensors.positions[eeg]
    if not np.isfinite(points).all():
        unknown = [
            name
            for name, kind, point in zip(
                sensors.names, sensors.types, sensors.positions, strict=True
            )
            if kind == "eeg" and not np.isfinite(point).all()
        ]
        raise BidsmillError(
            "electrodes have no position",
            found=", ".join(unknown[:20]),
            todo="name those that have one in simulation.anatomy.electrodes",
        )
    template_centre, template_radius = template_sphere()
    points = points if sensors.skin is None else sensors.skin
    if len(points) < FEWEST_FOR_SPHERE:
        return template_centre, template_radius
    centre, radius = fitted_sphere(points)
    # A flat or one-sided montage determines no sphere: a child's head to a giant's.
    far = np.linalg.norm(centre - template_centre) > 0.05
    if far or not 0.05 < radius < 0.13:
        return template_centre, template_radius
    return centre, radius


def _brain_in_head(
    points: np.ndarray, centre: np.ndarray, radius: float
) -> tuple[np.ndarray, dict[str, Any]]:
    """Place the brain of the template head into a head of another size."""
    template_centre, template_radius = template_sphere()
    relative = (points - template_centre) / template_radius
    reach = float(np.linalg.norm(relative, axis=1).max())
    scale = min(1.0, BRAIN / reach)
    if scale < SMALLEST:
        raise BidsmillError(
            "the cortex does not fit into the head",
            found=f"it reaches {reach * template_radius:.3g} m from the centre of the head",
            expected=f"at most about {BRAIN * template_radius:.3g} m, in m or mm, x to the right, "
            "y to the front, z up",
            todo="check unit and frame of the cortex (simulation.anatomy.cortex)",
        )
    facts = {
        "model": "sphere (MNE-Python make_sphere_model), 4 layers",
        "head_centre_m": [round(float(value), 6) for value in centre],
        "head_radius_m": round(radius, 6),
        "brain_scaled_by": round(scale * radius / template_radius, 6),
    }
    return centre + scale * radius * relative, facts


def _eeg_info(sensors: Sensors) -> Any:
    """Return electrodes as MNE holds them; the frame of the template takes the place of head."""
    import mne

    info = mne.create_info(list(sensors.names), 1000.0, "eeg", verbose="error")
    places = dict(zip(sensors.names, sensors.positions, strict=True))
    info.set_montage(mne.channels.make_dig_montage(places, coord_frame="head"), verbose="error")
    return info


def _electrodes_on_skin(info: Any, centre: np.ndarray, radius: float) -> Any:
    """Return the sensors with electrodes on the sphere, and no position of a reference."""
    import mne

    info = info.copy()
    picks = mne.pick_types(info, meg=False, eeg=True, exclude=())
    for channel in (info["chs"][pick] for pick in picks):
        away = channel["loc"][:3] - centre
        channel["loc"][:3] = centre + away * (radius / np.linalg.norm(away))
        channel["loc"][3:6] = 0.0
    return info
