"""The ratio of two sampling rates, and how many samples a change of rate leaves."""

from __future__ import annotations

from fractions import Fraction

from bidsmill.signal.source import check_rate

# Two rates are in a ratio if it is met to this relative error: after 10**9 samples the two grids
# are then at most a thousandth of a sample apart, far below the jitter of any recorder.
RATIO_TOLERANCE = Fraction(1, 10**12)


def resampling_ratio(
    sfreq_in: float, sfreq_out: float, limit: int = 1000
) -> tuple[int, int] | None:
    """Return two small whole numbers whose ratio is that of two sampling rates.

    Parameters
    ----------
    sfreq_in, sfreq_out : float
        Sampling rates in Hz.
    limit : int
        The largest number allowed.

    Returns
    -------
    (int, int) or None
        ``(up, down)`` in lowest terms with ``sfreq_out = sfreq_in * up / down`` to a relative
        error of 1e-12; None if no such pair exists, as for 499.7071 Hz to 250 Hz.

    Raises
    ------
    BidsmillError
        If a rate is not a positive finite number.
    """
    exact = Fraction(check_rate(sfreq_out)) / Fraction(check_rate(sfreq_in))
    near = exact.limit_denominator(limit)
    if not 0 < near.numerator <= limit or abs(near - exact) > RATIO_TOLERANCE * exact:
        return None
    return near.numerator, near.denominator


def resampled_length(n_times: int, sfreq_in: float, sfreq_out: float, limit: int = 1000) -> int:
    """Return the number of samples of a recording after a change of rate.

    Output sample ``k`` stands at ``k / sfreq_out`` seconds; those before ``n_times / sfreq_in``
    are counted: ``ceil(n_times * sfreq_out / sfreq_in)``, as ``scipy.signal.resample_poly`` does.

    Parameters
    ----------
    n_times : int
        Samples at ``sfreq_in``.
    sfreq_in, sfreq_out : float
        Sampling rates in Hz.
    limit : int
        As for :func:`resampling_ratio`, whose ratio is used where there is one.
    """
    ratio = resampling_ratio(sfreq_in, sfreq_out, limit)
    exact = Fraction(*ratio) if ratio else Fraction(sfreq_out) / Fraction(sfreq_in)
    return -(-n_times * exact.numerator // exact.denominator)
