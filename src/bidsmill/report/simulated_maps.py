"""Maps on the cortex as images of the page: one grey picture of each side, colours above it."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bidsmill.report.drawing import PALETTE
from bidsmill.report.simulated_cortex import FINER, Drawn, marker

# Of matplotlib. Their lightest part is left out, as it would not stand out from the grey.
ACTIVITY, COUNTS = "YlOrRd", "GnBu"
LIGHTEST = 0.22
STEPS = 12
SIDE_COLOURS = {
    "train": PALETTE[0],
    "validation": PALETTE[4],
    "test": PALETTE[1],
    "several": PALETTE[3],
}


@dataclass(frozen=True)
class Layer:
    """One side of a map: the colours above the grey picture `base`, and what points at them.

    Attributes
    ----------
    base, title : str
        Identifier of the grey picture, and name of the side.
    width, height : int
        In pixels.
    image : str
        PNG as a ``data:`` address.
    marks : list of (str, float, float)
        A number, and the column and row of its ring.
    """

    base: str
    title: str
    width: int
    height: int
    image: str
    marks: list[tuple[str, float, float]]


@dataclass(frozen=True)
class CortexMap:
    """A map from all sides, with its key, for the template."""

    title: str
    alt: str
    caption: str
    layers: list[Layer]
    key: list[tuple[str, str]]
    scale: tuple[str, str, str] | None


def base_pictures(drawn: list[Drawn]) -> list[dict[str, Any]]:
    """Return the grey cortex from all sides: ``id``, ``width``, ``height``, ``image``."""
    found = []
    for one in drawn:
        grey = np.where(one.region >= 0, one.light * 0.62 + 0.34, 0)
        covered = _averaged((one.region >= 0).astype(float))
        level = _averaged(grey) / np.where(covered > 0, covered, 1)
        # Few levels make a small file, and the eye does not see the steps.
        pixels = np.stack([np.round(level * 63) * 4, np.round(covered * 15) * 17], axis=-1)
        height, width = covered.shape
        found.append(
            {
                "id": f"cortex-{one.view.name}",
                "width": width,
                "height": height,
                "image": _png(pixels.astype(np.uint8)),
            }
        )
    return found


def layers_of(
    drawn: list[Drawn], colours: np.ndarray, marked: Sequence[tuple[str, int]] = ()
) -> list[Layer]:
    """Return the colours of regions from all sides.

    Parameters
    ----------
    drawn : list of Drawn
        The cortex.
    colours : numpy.ndarray, shape (n_regions, 4)
        Red, green, blue and opacity of each region, from 0 to 1.
    marked : sequence of (str, int)
        A number and the region that gets it, in a ring.
    """
    points = [(text, found) for text, region in marked for found in marker(drawn, region)]
    layers = []
    for number, one in enumerate(drawn):
        pixels = overlay(one, colours)
        height, width = pixels.shape[:2]
        marks = [(text, x, y) for text, (place, x, y) in points if place == number]
        layers.append(
            Layer(f"cortex-{one.view.name}", one.view.title, width, height, _png(pixels), marks)
        )
    return layers


def overlay(one: Drawn, colours: np.ndarray) -> np.ndarray:
    """Return the colours of regions from one side: uint8, shape (height, width, 4)."""
    with_outside = np.vstack([colours, np.zeros(4)])
    fine = with_outside[one.region]
    opacity = _averaged(fine[..., 3])
    divisor = np.where(opacity > 0, opacity, 1)
    parts = [_averaged(fine[..., k] * fine[..., 3]) / divisor for k in range(3)]
    return np.round(np.stack([*parts, opacity], axis=-1) * 255).astype(np.uint8)


def graded(values: np.ndarray, shown: np.ndarray, name: str) -> np.ndarray:
    """Return a colour per region: its value over the largest, in steps; shape (n_regions, 4).

    Parameters
    ----------
    values : numpy.ndarray of float, shape (n_regions,)
        0 or more.
    shown : numpy.ndarray of bool, shape (n_regions,)
        Others stay grey.
    name : str
        Of matplotlib's colour map.
    """
    largest = float(values[shown].max()) if shown.any() else 0.0
    share = values / largest if largest > 0 else np.zeros(len(values))
    colours = _colour_map(name, np.ceil(np.clip(share, 0, 1) * STEPS) / STEPS)
    colours[~shown] = 0
    return colours


def _colour_map(name: str, share: np.ndarray) -> np.ndarray:
    from matplotlib import colormaps

    return np.asarray(colormaps[name](LIGHTEST + (1 - LIGHTEST) * share))


def gradient(name: str) -> str:
    """Return the colours of `graded` as the stops of a gradient of CSS."""
    from matplotlib.colors import to_hex

    return ", ".join(to_hex(colour) for colour in _colour_map(name, np.linspace(0, 1, 7)))


def side_colours(sides: Sequence[str]) -> np.ndarray:
    """Return a colour per region by the name of its side; others stay grey."""
    from matplotlib.colors import to_rgba

    known = {side: to_rgba(colour) for side, colour in SIDE_COLOURS.items()}
    return np.array([known.get(side, (0, 0, 0, 0)) for side in sides], float).reshape(-1, 4)


def _averaged(values: np.ndarray) -> np.ndarray:
    """Return the mean of each square of `FINER` x `FINER` pixels."""
    height, width = values.shape
    return values.reshape(height // FINER, FINER, width // FINER, FINER).mean(axis=(1, 3))


def _png(pixels: np.ndarray) -> str:
    """Return an image as a ``data:`` address (RFC 2397)."""
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()
