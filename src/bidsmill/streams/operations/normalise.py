"""Channels on a common scale: by statistics of the whole stream, or of labelled stretches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from bidsmill.errors import BidsmillError
from bidsmill.streams.operation import Operation, Span, parameter, register
from bidsmill.streams.operations.moments import merged_moments, moments_of
from bidsmill.streams.operations.outputs import RATIO, all_in_unit
from bidsmill.streams.operations.spread import Robust

if TYPE_CHECKING:
    from bidsmill.formats.stream_core import StreamCore


@register
@dataclass(frozen=True)
class Normalise(Operation):
    """Each channel on a scale of its own, ``(x - centre) / scale``.

    ==========  =========================  ======================================
    method      centre                     scale
    ==========  =========================  ======================================
    ``zscore``  mean                       standard deviation (divisor n)
    ``robust``  median                     interquartile range
    ``mad``     median                     1.4826 * median(|x - median|)
    ``minmax``  least sample               range, so that results lie in [0, 1]
    ``mvc``     0                          reference, or the greatest ``|x|``
    ==========  =========================  ======================================

    1.4826 makes the median absolute deviation that of a Gaussian's standard deviation (Rousseeuw
    and Croux 1993, "Alternatives to the median absolute deviation", Journal of the American
    Statistical Association 88, 1273-1283). ``mvc`` gives parts of the maximum voluntary
    contraction, 1 being 100 % (Besomi et al. 2020, "Consensus for experimental design in
    electromyography (CEDE) project: amplitude normalization matrix", Journal of Electromyography
    and Kinesiology 53, 102438); use it on an envelope. For the maximum within labelled stretches:
    ``scale(env, statistics(env, epocs, labels=mvc), mvc)``.

    Statistics are those of the whole stream, each channel alone, exactly, without its NaN and
    infinite samples; these stay NaN. Where the scale is 0, samples at the centre become 0 and
    others NaN. The stream is read once for them, for ``robust`` twice, for ``mad`` four times;
    memory as in :mod:`bidsmill.streams.operations.quantiles`.

    Parameters
    ----------
    method : {"zscore", "robust", "mad", "minmax", "mvc"}
    reference : tuple of float, optional
        For ``mvc``: the value of the maximum voluntary contraction, in the unit of the stream,
        one per channel or one for all.
    """

    name: ClassVar[str] = "normalise"
    method: Literal["zscore", "robust", "mad", "minmax", "mvc"] = "zscore"
    reference: tuple[float, ...] | None = parameter(None, above=0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.reference is not None and self.method != "mvc":
            raise BidsmillError(
                "A reference belongs to the method mvc alone", found=f"method {self.method}"
            )

    @property
    def passes(self) -> int:  # type: ignore[override]
        """How often the stream is read for its statistics."""
        return self._robust.passes if self._robust else 1

    @property
    def _robust(self) -> Robust | None:
        return Robust(self.method == "mad") if self.method in ("robust", "mad") else None

    def core(self, parent: StreamCore) -> StreamCore:
        """Return the metadata of the parent, without unit."""
        if self.reference is not None and len(self.reference) not in (1, parent.n_channels):
            raise BidsmillError(
                "The references of mvc do not fit the channels",
                found=f"{len(self.reference)} references",
                expected=f"1, or one for each of {parent.n_channels} channels",
            )
        return all_in_unit(parent, RATIO)

    def fits(self) -> bool:
        """Return whether the stream is read first: not with references."""
        return self.reference is None

    def partial(self, block: np.ndarray, core: StreamCore, known: Any = None) -> Any:
        """Return the moments, or the counts, of a chunk."""
        return self._robust.partial(block, known) if self._robust else moments_of(block)

    def merge(self, parts: Sequence[Any], core: StreamCore, known: Any = None) -> Any:
        """Return the parts of several chunks as that of one."""
        return self._robust.merge(parts) if self._robust else merged_moments(parts)

    def combine(self, parts: Sequence[Any], core: StreamCore, known: Any = None) -> Any:
        """Return the centre and the scale of each channel."""
        if self._robust:
            found = self._robust.combine(parts, known)
            return found.both() or found
        return _centre_and_scale(self.method, merged_moments(parts))

    def compute(self, block: np.ndarray, span: Span, core: StreamCore, fitted: Any) -> np.ndarray:
        """Return the samples on the scale of their channel."""
        if self.reference is not None:
            fitted = np.zeros(len(block)), np.broadcast_to(self.reference, len(block))
        return scaled(block, *fitted)


@register
@dataclass(frozen=True)
class Scale(Operation):
    """Each channel on the scale of statistics taken elsewhere, ``(x - centre) / scale``.

    ``scale(env, statistics(env, epocs, labels=rest), zscore)``: in standard deviations from the
    rest. ``scale(env, statistics(env, epocs, labels=mvc), mvc)``: in parts of the maximum
    voluntary contraction. Formulas and NaN as in :class:`Normalise`.

    Parameters
    ----------
    method : {"zscore", "minmax", "mvc"}
    """

    name: ClassVar[str] = "scale"
    inputs: ClassVar[tuple[str, ...]] = ("stream", "table")
    method: Literal["zscore", "minmax", "mvc"] = "zscore"

    def core(self, parent: Any) -> StreamCore:
        """Return the metadata of the stream, without unit."""
        return all_in_unit(parent[0], RATIO)

    def compute(self, block: Any, span: Span, core: Any, fitted: Any) -> np.ndarray:
        """Return the samples on the scale of their channel."""
        samples, table = block
        wanted = ["channel", "mean", "std", "least", "greatest"]
        missing = [c for c in wanted if c not in table.columns]
        known = [] if missing else list(table["channel"])
        absent = [name for name in core[0].names if name not in known]
        if missing or absent:
            raise BidsmillError(
                "The table holds no statistics of every channel",
                found=f"columns {list(table.columns)}, without the channels {absent}",
                expected=f"columns {wanted} and one row per channel",
                todo="make the table by statistics(stream, epocs) of a stream of these channels",
            )
        rows = table.set_index("channel").loc[core[0].names]
        values = {name: rows[name].to_numpy(np.float64) for name in wanted[1:]}
        if self.method == "zscore":
            return scaled(samples, values["mean"], values["std"])
        if self.method == "minmax":
            return scaled(samples, values["least"], values["greatest"] - values["least"])
        peak = np.maximum(np.abs(values["least"]), np.abs(values["greatest"]))
        return scaled(samples, np.zeros(len(peak)), peak)


def scaled(block: np.ndarray, centre: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Return ``(x - centre) / scale`` by channel, float32; see :class:`Normalise` for 0 and NaN."""
    out = np.empty(block.shape, dtype=np.float32)
    for channel, row in enumerate(block):
        moved = row.astype(np.float64) - centre[channel]
        if scale[channel] == 0:
            moved[moved != 0] = np.nan
        else:
            moved /= scale[channel]
            moved[np.isinf(moved)] = np.nan
        out[channel] = moved
    return out


def _centre_and_scale(method: str, found: Any) -> tuple[np.ndarray, np.ndarray]:
    if method == "zscore":
        return found.mean, found.std
    if method == "minmax":
        return found.low, found.high - found.low
    return np.zeros_like(found.low), np.maximum(np.abs(found.low), np.abs(found.high))
