"""Where channels lie on the head, seen from above, and a map of values there."""

from __future__ import annotations

from typing import Any

import numpy as np

from bidsmill.report.drawing import INK, MUTED

FEWEST_PLACES = 8
GRID = 70
LEVELS = 12


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
        return f"No map: {len(channels)} channels are too few for one."
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


def smoothed(places: np.ndarray, values: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Return the mean of values near each point, weighted by a Gaussian of their distance.

    Its width is the median distance of a channel to its nearest neighbour (Nadaraya, 1964).

    Parameters
    ----------
    places : numpy.ndarray
        Shape (n, 2).
    values : numpy.ndarray
        Shape (n,).
    at : numpy.ndarray
        Shape (m, 2).
    """
    between = np.linalg.norm(places[:, None] - places[None], axis=2)
    np.fill_diagonal(between, np.inf)
    width = max(float(np.median(between.min(axis=1))), 1e-3)
    squared = np.square(at[:, None] - places[None]).sum(axis=2) / width**2
    weights = np.exp(-(squared - squared.min(axis=1, keepdims=True)) / 2)
    return (weights * values).sum(axis=1) / weights.sum(axis=1)


def draw_map(
    figure, axes, places: np.ndarray, values: np.ndarray, title: str, unit: str, marked: list[int]
) -> None:
    """Draw values on the head: colours between the channels, dots where they are.

    Parameters
    ----------
    figure, axes
        Where to draw; the figure (or part of one) takes the colour bar.
    places : numpy.ndarray
        Shape (channels, 2), as `scalp_places`.
    values : numpy.ndarray
        Shape (channels,); NaN is left out.
    title, unit : str
        Texts.
    marked : list of int
        Channels drawn with a larger dot.
    """
    from matplotlib.patches import Circle

    known = np.isfinite(places).all(axis=1) & np.isfinite(values)
    reach = max(1.0, float(np.linalg.norm(places[known], axis=1).max())) * 1.06
    line = np.linspace(-reach, reach, GRID)
    grid = np.stack(np.meshgrid(line, line), axis=-1)
    level = smoothed(places[known], values[known], grid.reshape(-1, 2)).reshape(GRID, GRID)
    largest = 1.001 * max(float(np.abs(level).max()), 1e-12)
    steps = np.linspace(-largest, largest, LEVELS + 1)
    filled = axes.contourf(line, line, level, steps, cmap="PuOr_r")
    filled.set_clip_path(Circle((0, 0), reach, transform=axes.transData))
    axes.add_patch(Circle((0, 0), reach, fill=False, edgecolor=MUTED, linewidth=1.2))
    axes.plot(
        [-0.1 * reach, 0, 0.1 * reach], [0.995 * reach, 1.1 * reach, 0.995 * reach],
        color=MUTED, linewidth=1.2,
    )  # fmt: skip
    sizes = np.where(np.isin(np.arange(len(places)), marked), 16.0, 3.0)
    axes.scatter(*places[known].T, s=sizes[known], color="#1c2127", linewidths=0)
    axes.set(xlim=(-1.02 * reach, 1.02 * reach), ylim=(-1.02 * reach, 1.14 * reach))
    axes.set_aspect("equal")
    axes.set_axis_off()
    axes.set_title(title, color=INK, fontsize=8.5, fontweight="normal", loc="center")
    bar = figure.colorbar(filled, ax=axes, shrink=0.7, ticks=[-largest, 0, largest])
    bar.ax.set_yticklabels([f"{v:.3g}" for v in (-largest, 0, largest)])
    bar.outline.set_visible(False)
    bar.ax.tick_params(length=0)
    bar.ax.set_title(unit, fontsize=8, loc="center", fontweight="normal", pad=5)
