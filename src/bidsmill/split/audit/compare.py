"""Are two rows copies of one signal? Cross-correlation decides, and only if it stands alone.

Signals are compared by their changes over about 16 ms, which frees them of offsets and drifts. A
row is a copy if most of its channels agree with a channel of the other row at one lag. What can be
predicted (line noise, other periodic artefacts) is then taken out of both by linear prediction
(Makhoul 1975, "Linear prediction: a tutorial review", Proceedings of the IEEE 63), and what is
left must agree too: much better than at any other lag, and much better than with other rows of the
other recording, since an artefact that comes with every stimulus agrees with every row.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# Least correlation of the changes of two copies, and the largest share of the variance that is
# left over beside what is left over at the next best place.
LEAST_CORRELATION = 0.95
LEFT_OVER = 0.25
# Least correlation of what cannot be predicted.
LEAST_UNPREDICTED = 0.8
# Samples that predict the next, and their share of a row at most; white noise that is assumed
# beside the signal (share of its variance), so that rounding errors are not what is left.
ORDER, ORDER_SHARE, FLOOR = 12, 4, 1e-3
# Robust standard deviations (1.4826 times the median of magnitudes; Hampel 1974) beyond which a
# change is cut: so the few samples of stimulation pulses do not stand for a whole row.
LARGEST_CHANGE = 4.0 * 1.4826
# The same where the recordings have no other rows to compare with.
LEFT_OVER_ALONE = 1e-3
# Rounding errors of float32 leave less than this share of the variance.
ROUNDING = 1e-9
# Seconds between two samples whose difference is a change.
CHANGE = 0.016
# Samples that two rows must share, and their least share of the shorter row.
FEWEST_SHARED, LEAST_SHARED = 32, 0.25
# Channels of a row that are looked for in the other.
CHANNELS = 8
# A gain this near to 1, or an offset of so few standard deviations, is none.
NO_GAIN = 1e-4


@dataclass(frozen=True)
class Likeness:
    """How one row is a copy of another.

    Attributes
    ----------
    kind : {"same", "shifted", "scaled", "near", "resampled"}
        What tells the two apart most.
    text : str
        All of it in words.
    channels : int
        Channels that agree, of those looked at.
    """

    kind: str
    text: str
    channels: int


def compare_rows(
    one: np.ndarray,
    other: np.ndarray,
    rates: tuple[float, float],
    beside: list[np.ndarray],
) -> Likeness | None:
    """Return how two rows are copies of one signal, or None.

    Parameters
    ----------
    one, other : ndarray, shape (n_channels, n_times)
        The rows; `one` has no more channels than `other`. Channels may have any order.
    rates : (float, float)
        Of the rows, in Hz.
    beside : list of ndarray, shape (n_channels, n_times)
        Other rows of the recording of `other`, which are no copies.
    """
    rate = min(rates)
    one, other = at_rate(one, rates[0], rate), at_rate(other, rates[1], rate)
    beside = [at_rate(row, rates[1], rate) for row in beside]
    step = max(1, round(CHANGE * rate))
    if min(one.shape[1], other.shape[1]) <= 2 * step:
        step = 1
    changes, others = _changes(one, step), _changes(other, step)
    looked = _telling(changes)
    if not len(looked):
        return None
    table = [_correlations(changes[channel], others) for channel in looked]
    peaks = np.array([[np.abs(t).max(), np.abs(t).max(axis=0).argmax()] for t in table])
    place = int(peaks[peaks[:, 0].argmax(), 1])
    reference = [_clipped(_changes(row, step)) for row in beside]
    plain, plain_others = _clipped(changes), _clipped(others)
    partners = []
    for channel, own in zip(looked, table, strict=True):
        partner = int(np.abs(own[:, place]).argmax())
        if abs(own[partner, place]) < LEAST_CORRELATION:
            continue
        rows = np.stack([plain_others[partner], *(row[partner] for row in reference)])
        if _stands_alone(plain[channel], rows, place):
            partners.append((int(channel), partner))
    if len(partners) < max(1, len(looked) / 2):
        return None
    lag = place - (others.shape[1] - 1)
    return _describe(one, other, lag, partners, rates)


def at_rate(row: np.ndarray, sfreq: float, rate: float) -> np.ndarray:
    """Return a row at another, lower rate; its ends are approximate."""
    from fractions import Fraction

    from scipy.signal import resample_poly

    if sfreq == rate:
        return row.astype(np.float64)
    ratio = Fraction(rate / sfreq).limit_denominator(1000)
    return resample_poly(
        row.astype(np.float64), ratio.numerator, ratio.denominator, axis=1, padtype="line"
    )


def _changes(row: np.ndarray, step: int) -> np.ndarray:
    wide = row.astype(np.float64)
    changes = wide[:, step:] - wide[:, :-step]
    return np.where(np.isfinite(changes), changes, 0.0)


def _clipped(changes: np.ndarray) -> np.ndarray:
    """Return changes of which the largest are cut, as far as most of a channel changes at all."""
    limit = LARGEST_CHANGE * np.median(np.abs(changes), axis=1, keepdims=True)
    return np.where(limit > 0, np.clip(changes, -limit, limit), changes)


def _telling(changes: np.ndarray) -> np.ndarray:
    """Return some channels that change most of the time, evenly spread."""
    alive = np.flatnonzero(2 * np.count_nonzero(changes, axis=1) >= changes.shape[1])
    if len(alive) <= CHANNELS:
        return alive
    return alive[np.linspace(0, len(alive) - 1, CHANNELS).astype(int)]


def _correlations(one: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return the correlation of one channel with others at every lag.

    Parameters
    ----------
    one : ndarray, shape (n_one,)
    others : ndarray, shape (n_channels, n_other)

    Returns
    -------
    ndarray, shape (n_channels, n_one + n_other - 1)
        Column ``k``: `others` moved by ``k - (n_other - 1)`` samples; 0 where too few samples are
        shared, or nearly nothing of one of the two.
    """
    from scipy.fft import irfft, next_fast_len, rfft

    n_one, n_other = len(one), others.shape[1]
    size = n_one + n_other - 1
    scale_one = np.sqrt(np.mean(one**2)) or 1.0
    scale = np.sqrt(np.mean(others**2, axis=1, keepdims=True))
    one, others = one / scale_one, others / np.where(scale > 0, scale, 1.0)
    n_fft = next_fast_len(size, real=True)
    product = rfft(one, n_fft) * rfft(others[:, ::-1], n_fft, axis=1)
    sums = irfft(product, n_fft, axis=1)[:, :size]
    lags = np.arange(size) - (n_other - 1)
    low, high = np.maximum(lags, 0), np.minimum(n_one, lags + n_other)
    own = np.concatenate([[0.0], np.cumsum(one**2)])
    theirs = np.concatenate([np.zeros((len(others), 1)), np.cumsum(others**2, axis=1)], axis=1)
    energy = own[high] - own[low]
    their = theirs[:, high - lags] - theirs[:, low - lags]
    shared = high - low
    enough = shared >= min(n_one, n_other, max(FEWEST_SHARED, LEAST_SHARED * min(n_one, n_other)))
    usable = enough & (energy > 0.01 * shared) & (their > 0.01 * shared)
    return np.where(usable, sums / np.sqrt(np.where(usable, energy * their, 1.0)), 0.0)


def _unpredicted(changes: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return what the past of a channel cannot predict, of it and (by the same filter) of others.

    Parameters
    ----------
    changes : ndarray, shape (n_one,)
    rows : ndarray, shape (n_rows, n_other)

    Returns
    -------
    ndarray, shape (n_one,); ndarray, shape (n_rows, n_other)
        The first samples, which have no past, are 0.
    """
    order = min(ORDER, min(len(changes), rows.shape[1]) // ORDER_SHARE)
    if order < 1:
        return changes, rows
    scaled = changes / (np.sqrt(np.mean(changes**2)) or 1.0)
    past = np.stack([scaled[order - k : len(scaled) - k] for k in range(1, order + 1)], axis=1)
    power = past.T @ past + FLOOR * len(past) * np.eye(order)
    weights = np.linalg.solve(power, past.T @ scaled[order:])

    def left(values: np.ndarray) -> np.ndarray:
        rest = values.copy()
        rest[..., :order] = 0.0
        for k, weight in enumerate(weights, 1):
            rest[..., order:] -= weight * values[..., order - k : values.shape[-1] - k]
        return rest

    return left(changes), left(rows)


def _stands_alone(changes: np.ndarray, rows: np.ndarray, place: int) -> bool:
    """Return whether what is unpredicted agrees, and much better than at other lags and rows.

    Parameters
    ----------
    changes : ndarray, shape (n_one,)
        Of one channel.
    rows : ndarray, shape (1 + n_beside, n_other)
        Of its partner in the other row, and in rows beside it.
    place : int
        The lag.
    """
    curves = np.abs(_correlations(*_unpredicted(changes, rows)))
    size = curves[0]
    if size[place] < LEAST_UNPREDICTED:
        return False
    left = 1.0 - min(1.0, size[place] ** 2)
    below = np.flatnonzero(size < 0.5)
    first = below[below < place].max(initial=-1)
    last = below[below > place].min(initial=len(size))
    elsewhere = max(size[: first + 1].max(initial=0.0), size[last:].max(initial=0.0))
    if left + ROUNDING > LEFT_OVER * (1.0 - elsewhere**2):
        return False
    if left <= ROUNDING:
        return True
    if len(curves) == 1:
        return left <= LEFT_OVER_ALONE
    near = min(1.0, float(curves[1:].max()))
    return left <= LEFT_OVER * (1.0 - near**2)


def _describe(one, other, lag, partners, rates) -> Likeness:
    """Say what tells two copies apart."""
    low, high = max(lag, 0), min(one.shape[1], lag + other.shape[1])
    own = one[[a for a, _ in partners], low:high]
    theirs = other[[b for _, b in partners], low - lag : high - lag]
    parts, kind = [], ""
    if rates[0] != rates[1]:
        parts, kind = [f"resampled ({rates[0]:g} and {rates[1]:g} Hz)"], "resampled"
    elif lag:
        parts, kind = [f"shifted by {abs(lag)} samples"], "shifted"
    if np.array_equal(own, theirs, equal_nan=True):
        kind = kind or "same"
        parts = parts or ["identical"]
    else:
        gain, offset, noise = _line(own, theirs)
        if gain < 0:
            parts.append("inverted")
        if abs(abs(gain) - 1) > max(NO_GAIN, noise):
            parts.append(f"scaled by {abs(gain):.4g}")
        if offset > max(NO_GAIN, 3 * noise):
            parts.append("moved by an offset")
        kind = kind or ("scaled" if parts else "near")
        if noise > 1e-6:
            parts.append(f"with differences of {100 * noise:.2g} % of the amplitude")
    return Likeness(kind, ", ".join(parts) or "equal but for rounding", len(partners))


def _line(own: np.ndarray, theirs: np.ndarray) -> tuple[float, float, float]:
    """Return gain, offset and residual (both in standard deviations); medians over channels."""
    found = []
    for x, y in zip(own, theirs, strict=True):
        good = np.isfinite(x) & np.isfinite(y)
        x, y = x[good], y[good]
        spread = float(x.std()) or 1.0
        moved = y - y.mean()
        gain = float((moved * (x - x.mean())).sum() / max((moved**2).sum(), 1e-300))
        rest = x - x.mean() - gain * moved
        offset = abs(float(x.mean() - gain * y.mean())) / spread
        found.append((gain, offset, float(rest.std()) / spread))
    gains, offsets, rests = np.median(np.array(found), axis=0)
    return float(gains), float(offsets), float(rests)
