"""A stream in memory, with the interface of a stream file."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np

from bidsmill.errors import BidsmillError
from bidsmill.formats.stream_core import StreamChannel, StreamCore, check_core
from bidsmill.signal.source import check_span


class ArrayStream:
    """A stream whose samples are in memory.

    Parameters
    ----------
    data : array_like, shape (n_channels, n_samples)
        The samples; kept as float32.
    core : StreamCore or float
        The metadata; or the sampling rate in Hz, for channels ``ch0``, ``ch1`` ... of type
        ``emg`` in V.

    Attributes
    ----------
    core : StreamCore
        The metadata, with the number of samples of ``data``.

    Raises
    ------
    BidsmillError
        If the data are no numbers, have not two dimensions or not the channels of the core, or if
        a field of the core is not as it must be.
    """

    def __init__(self, data: Any, core: StreamCore | float):
        given = np.asarray(data)
        if given.dtype.kind not in "fiub":
            raise BidsmillError(
                "A stream needs real numbers",
                found=f"an array of {given.dtype}",
                expected="float32",
            )
        self.data = np.ascontiguousarray(given, dtype=np.float32)
        if self.data.ndim != 2:
            raise BidsmillError(
                "A stream needs two dimensions",
                found=f"an array of shape {self.data.shape}",
                expected="(channels, samples)",
            )
        if not isinstance(core, StreamCore):
            channels = tuple(StreamChannel(f"ch{i}", "emg", "V") for i in range(len(self.data)))
            core = StreamCore("array", core, 0, channels, "array")
        if core.n_channels != len(self.data):
            raise BidsmillError(
                "The data have other channels than the core",
                found=str(len(self.data)),
                expected=str(core.n_channels),
            )
        self.core = check_core(replace(core, n_samples=self.data.shape[1]))
        self.sfreq, self.n_times = self.core.sfreq, self.core.n_samples
        self.n_channels = self.core.n_channels

    @cached_property
    def identity(self) -> str:
        """Return a hash of the samples and the core."""
        digest = hashlib.sha256(self.core.sha256().encode())
        digest.update(self.data.tobytes())
        return digest.hexdigest()

    def read(
        self, start: int, stop: int, channels: Sequence[str | int] | None = None
    ) -> np.ndarray:
        """Return samples ``start`` to ``stop``, shape (n_channels, stop - start)."""
        check_span(start, stop, self.n_times)
        if channels is None:
            return self.data[:, start:stop]
        names = self.core.names
        return self.data[
            [names.index(c) if isinstance(c, str) else c for c in channels], start:stop
        ]

    def __repr__(self) -> str:
        return (
            f"stream {self.core.name}: {self.n_channels} channels, {self.sfreq:g} Hz, "
            f"{self.n_times} samples ({self.core.duration:g} s), in memory"
        )
