"""Where channels lie on the head, seen from above, and a map of values there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bidsmill.report.drawing import INK, MUTED

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FEWEST_PLACES = 8
GRID = 64
MARKED = 5  # points; of a marked channel
RADIUS = 0.095  # m; of the head in MNE's pictures
DOT = "#1c2127"  # as good as `INK`, but the same on a dark page: maps are light


def scalp_places(channels: list[dict[str, Any]]) -> np.ndarray | None:
    """Project channel positions to a plane: azimuthal equidistant, seen from above.

    The centre of the head is that of the sphere that fits the positions best (least squares of
    ``|p|² = 2 c·p + k``). Distance from the middle is the angle from the vertex; 1 is the
    sphere's equator (Snyder, 1987, Map projections, section 25).

    Parameters
    ----------
    channels : list of dict
        With ``type`` and ``position`` (m, head coordinates: x right, y front, z up; or None).

    Returns
    -------
    numpy.ndarray or None
        Shape (channels, 2), NaN without a position; None for types that do not lie on the
        scalp, for fewer than 8 positions, and for positions that are no cap.
    """
    places = _positions(channels)
    if places is None:
        return None
    known = np.isfinite(places).all(axis=1)
    if known.sum() < FEWEST_PLACES:
        return None
    points = places[known]
    design = np.column_stack([2 * points, np.ones(len(points))])
    if np.linalg.matrix_rank(design) < 4:
        return None
    solution = np.linalg.lstsq(design, np.square(points).sum(axis=1), rcond=None)[0]
    points = points - solution[:3]
    distance = np.linalg.norm(points, axis=1)
    if not (distance > 0).all() or distance.max() > 2 * distance.min():
        return None
    angle = np.arccos(np.clip(points[:, 2] / distance, -1, 1)) / (np.pi / 2)
    turn = np.arctan2(points[:, 1], points[:, 0])
    flat = np.full((len(channels), 2), np.nan)
    flat[known] = np.column_stack([angle * np.cos(turn), angle * np.sin(turn)])
    return flat


def why_no_map(channels: list[dict[str, Any]]) -> str:
    """Say why `scalp_places` gives no places; ``''`` for types that have none on the scalp."""
    places = _positions(channels)
    if places is None:
        return ""
    known = int(np.isfinite(places).all(axis=1).sum())
    if len(channels) < FEWEST_PLACES:
        are = "channel is" if len(channels) == 1 else "channels are"
        return f"No map: {len(channels)} {are} too few for one."
    if known < FEWEST_PLACES:
        return (
            f"No map: the places of {known} of {len(channels)} channels are known, of"
            f" {FEWEST_PLACES} that are needed; recordings.tsv (`conflicts`) says whether positions"
            " were stated that could not be used."
        )
    return "No map: the stated positions do not lie around a head."


def _positions(channels: list[dict[str, Any]]) -> np.ndarray | None:
    """Return the positions of channels in m, NaN where unknown; None for other types."""
    if not channels or channels[0]["type"] not in ("eeg", "mag", "grad"):
        return None
    return np.array([channel.get("position") or [np.nan] * 3 for channel in channels], float)


def draw_map(
    axes: Axes,
    places: np.ndarray,
    values: np.ndarray,
    title: str,
    marked: list[int],
    limit: float | None = None,
) -> Any:
    """Draw values on the head as MNE does: colours between the channels, nose up.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
        Where to draw.
    places : numpy.ndarray
        Shape (channels, 2), as `scalp_places`.
    values : numpy.ndarray
        Shape (channels,); NaN is left out.
    title : str
        Text above.
    marked : list of int
        Channels drawn with a larger dot.
    limit : float, optional
        Value of the strongest colours; the largest magnitude if absent.

    Returns
    -------
    matplotlib.image.AxesImage
        What a colour bar shows (see `draw_scale`).
    """
    from mne.viz import plot_topomap

    known = np.isfinite(places).all(axis=1) & np.isfinite(values)
    limit = largest(values[known]) if limit is None else limit
    chosen = np.isin(np.flatnonzero(known), marked)
    image, _ = plot_topomap(
        values[known],
        RADIUS * places[known],
        axes=axes,
        show=False,
        sphere=RADIUS,
        sensors="k.",
        mask=chosen if chosen.any() else None,
        mask_params={
            "marker": "o",
            "markersize": MARKED,
            "markerfacecolor": DOT,
            "markeredgecolor": "w",
            "linewidth": 0,
        },
        cmap="PuOr_r",
        vlim=(-limit, limit),
        contours=4,
        res=GRID,
        extrapolate="head",
    )
    for line in axes.lines:
        if line.get_marker() == "o":
            continue
        if line.get_marker() in (None, "None", ""):  # the head
            line.set(color=MUTED, linewidth=1.2)
        else:
            line.set(color=DOT, markersize=2)
    axes.set_title(title, color=INK, fontsize=8.5, fontweight="normal", loc="center")
    return image


def largest(values: np.ndarray) -> float:
    """Return the largest magnitude, never 0: the limit of colours."""
    known = np.abs(values[np.isfinite(values)])
    return 1.001 * max(float(known.max(initial=0.0)), 1e-12)


def draw_scale(figure: Figure, axes: Axes, image: Any, unit: str) -> None:
    """Draw the colours of a map (see `draw_map`) with their values."""
    limit = float(image.get_clim()[1])
    bar = figure.colorbar(image, cax=axes, ticks=[-limit, 0, limit])
    bar.ax.set_yticklabels([f"{v:.3g}" for v in (-limit, 0, limit)])
    bar.outline.set_visible(False)
    bar.ax.tick_params(length=0)
    bar.ax.set_title(unit, fontsize=8, loc="center", fontweight="normal", pad=5)
