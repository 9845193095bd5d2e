"""What every signal offers: a rate, a shape, and the samples between two indices."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import numpy as np

from bidsmill.errors import BidsmillError


@runtime_checkable
class Signal(Protocol):
    """A recording, or an operation on one, whose samples are computed when they are read.

    Attributes
    ----------
    sfreq : float
        Sampling rate in Hz. Sample ``k`` stands at ``k / sfreq`` seconds.
    n_channels : int
        Number of channels.
    n_times : int
        Number of samples of each channel.
    """

    sfreq: float
    n_channels: int
    n_times: int

    def read(self, start: int, stop: int) -> np.ndarray:
        """Return samples ``start`` to ``stop`` (excluded), of shape (channels, stop - start)."""
        ...


class ArraySignal:
    """A signal held in memory.

    Parameters
    ----------
    data : array_like, shape (n_channels, n_times)
        The samples. float32 and float64 are kept as they are, all else becomes float64.
    sfreq : float
        Sampling rate in Hz.

    Raises
    ------
    BidsmillError
        If ``data`` has not two dimensions, or the rate is not a positive finite number.
    """

    reach_seconds = 0.0

    def __init__(self, data: Any, sfreq: float):
        array = np.asarray(data)
        if array.ndim != 2:
            raise BidsmillError(
                "A signal needs two dimensions",
                found=f"an array of shape {array.shape}",
                expected="(channels, times)",
            )
        if array.dtype not in (np.float32, np.float64):
            array = array.astype(np.float64)
        self.data = array
        self.sfreq = check_rate(sfreq)
        self.n_channels, self.n_times = array.shape

    def read(self, start: int, stop: int) -> np.ndarray:
        """Return samples ``start`` to ``stop`` as a view of the array."""
        check_span(start, stop, self.n_times)
        return self.data[:, start:stop]

    def describe(self) -> dict[str, Any]:
        """Return the parameters of this signal, ready for JSON."""
        return {"kind": "array", "sfreq": self.sfreq, "n_times": self.n_times}


def check_rate(sfreq: float) -> float:
    """Return a sampling rate in Hz as a float.

    Raises
    ------
    BidsmillError
        If it is not a positive finite number.
    """
    try:
        rate = float(sfreq)
    except (TypeError, ValueError):
        rate = float("nan")
    if not (np.isfinite(rate) and rate > 0):
        raise BidsmillError(
            "The sampling rate cannot be used",
            found=repr(sfreq),
            expected="a positive finite number of Hz",
        )
    return rate


def check_span(start: int, stop: int, n_times: int) -> None:
    """Refuse a span of samples that does not lie inside a signal.

    Raises
    ------
    BidsmillError
        Unless ``0 <= start <= stop <= n_times``.
    """
    if not 0 <= start <= stop <= n_times:
        raise BidsmillError(
            "The span of samples lies outside the signal",
            found=f"start {start}, stop {stop}",
            expected=f"0 <= start <= stop <= {n_times}",
        )


def describe_chain(signal: Any) -> list[dict[str, Any]]:
    """Return the parameters of every operation of a chain, in the order of their application.

    Parameters
    ----------
    signal : Signal
        The end of the chain. Each operation names the signal it reads from in ``source``.

    Returns
    -------
    list of dict
        ``describe()`` of every link that has it, the one nearest to the recording first.
    """
    links = []
    while signal is not None:
        if hasattr(signal, "describe"):
            links.append(signal.describe())
        signal = getattr(signal, "source", None)
    return links[::-1]


def reach(signal: Any) -> tuple[float, int]:
    """Return how far around itself an output sample depends on the recording.

    An output sample at time ``t`` depends on no sample of the recording outside
    ``[t - seconds, t + seconds]``, at the edges of the recording too.

    Parameters
    ----------
    signal : Signal
        The end of a chain of operations.

    Returns
    -------
    seconds : float
        The reach to either side in seconds (``reach_seconds`` of the signal; 0 for a recording).
    samples : int
        The same in samples of the recording at the start of the chain, rounded up.
    """
    seconds = float(getattr(signal, "reach_seconds", 0.0))
    root = signal
    while getattr(root, "source", None) is not None:
        root = root.source
    # A reach is a whole number of samples up to rounding: 1e-6 of a sample keeps it from
    # becoming one more.
    return seconds, int(np.ceil(seconds * root.sfreq - 1e-6))
