"""Whitening of all channels together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from bidsmill.errors import BidsmillError
from bidsmill.streams.operation import Operation, Span, parameter, register
from bidsmill.streams.operations.outputs import RATIO, all_in_unit

if TYPE_CHECKING:
    from bidsmill.formats.stream_core import StreamCore

# Variance of a direction, as a part of the greatest, below which it counts as empty. The rounding
# of float32 samples leaves about 1e-14 in directions that a common reference has emptied.
EMPTY_VARIANCE = 1e-10


@dataclass(frozen=True)
class Covariance:
    """Count, means and summed products of deviations of the samples complete in all channels."""

    count: float
    mean: np.ndarray
    products: np.ndarray


@register
@dataclass(frozen=True)
class Whiten(Operation):
    """Channels made uncorrelated and of unit variance, each as near to itself as possible (ZCA).

    ``y = W (x - mean)`` with ``W = U diag(1 / sqrt(lambda)) U'`` and the covariance (divisor n)
    ``U diag(lambda) U'`` of the whole stream (Bell and Sejnowski 1997, "The 'independent
    components' of natural scenes are edge filters", Vision Research 37, 3327-3338; Kessy, Lewin
    and Strimmer 2018, "Optimal whitening and decorrelation", The American Statistician 72,
    309-314). W is symmetric, so that the signs of eigenvectors do not matter. Directions with
    less than 1e-10 of the greatest variance (a common reference empties one) are left out of W.

    The covariance takes the samples at which all channels are finite; outputs at other samples
    are NaN in all channels, since each is a mixture of all. Channels of several units are refused:
    the result would depend on the choice of units (write ``normalise > whiten``).

    Parameters
    ----------
    shrinkage : float
        Share of ``mean variance * identity`` in the covariance, 0 to 1 (Ledoit and Wolf 2004, "A
        well-conditioned estimator for large-dimensional covariance matrices", Journal of
        Multivariate Analysis 88, 365-411): with 0 none, with 1 channels are only scaled by a
        common factor.
    """

    name: ClassVar[str] = "whiten"
    shrinkage: float = parameter(0.0, at_least=0, at_most=1)

    def core(self, parent: StreamCore) -> StreamCore:
        """Return the metadata of the parent, without unit; channels must share one."""
        units = sorted({channel.unit for channel in parent.channels})
        if len(units) > 1:
            # What is small in its unit alone would count as empty: MEG in T beside EEG in V.
            raise BidsmillError(
                "Channels of several units cannot be whitened together",
                found=f"channels in {', '.join(units)}",
                expected="one unit",
                todo="put them on one scale first: normalise > whiten",
            )
        return all_in_unit(parent, RATIO)

    def partial(self, block: np.ndarray, core: StreamCore, known: Any = None) -> Covariance:
        """Return count, means and products of one chunk, in float64."""
        samples = block[:, np.isfinite(block).all(axis=0)].astype(np.float64)
        mean = samples.mean(axis=1) if samples.shape[1] else np.zeros(len(block))
        samples -= mean[:, None]
        return Covariance(float(samples.shape[1]), mean, samples @ samples.T)

    def combine(
        self, parts: Sequence[Covariance], core: StreamCore, known: Any = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the means and W, from the parts merged in the order of time."""
        whole = parts[0]
        for part in parts[1:]:
            whole = _merged(whole, part)
        if whole.count < 2:
            raise BidsmillError(
                "The stream cannot be whitened",
                found=f"{whole.count:g} samples at which all channels have finite values",
                expected="at least 2",
            )
        return whole.mean, whitening(whole.products / whole.count, self.shrinkage)

    def compute(self, block: np.ndarray, span: Span, core: StreamCore, fitted: Any) -> np.ndarray:
        """Return the whitened samples."""
        mean, matrix = fitted
        finite = np.isfinite(block).all(axis=0)
        out = matrix @ (np.where(finite, block, np.float32(0)) - mean[:, None])
        out[:, ~finite] = np.nan
        return out.astype(np.float32)


def whitening(covariance: np.ndarray, shrinkage: float) -> np.ndarray:
    """Return the symmetric inverse square root of a covariance; see :class:`Whiten`."""
    n_channels = len(covariance)
    target = np.trace(covariance) / n_channels * np.eye(n_channels)
    variances, directions = np.linalg.eigh((1 - shrinkage) * covariance + shrinkage * target)
    kept = variances > EMPTY_VARIANCE * variances[-1]
    directions = directions[:, kept]
    return (directions / np.sqrt(variances[kept])) @ directions.T


def _merged(a: Covariance, b: Covariance) -> Covariance:
    """Merge two chunks; the formula of :func:`merged_moments` for several channels."""
    count = a.count + b.count
    if not count:
        return a
    difference = b.mean - a.mean
    products = a.products + b.products
    products = products + np.outer(difference, difference) * (a.count * b.count / count)
    return Covariance(count, a.mean + difference * (b.count / count), products)
