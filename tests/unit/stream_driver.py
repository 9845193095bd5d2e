"""Run one operation on an array in chunks of any size, by its own methods alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bidsmill.formats.stream_core import StreamChannel, StreamCore
from bidsmill.streams.operation import Span, output_of

SFREQ = 1000.0


def core_of(
    data,
    sfreq=SFREQ,
    t0=0.0,
    history=({"node": "rectify", "params": {}, "version": 1, "input_sha256": "0" * 64},),
):
    """Return the metadata of an array of EMG in V."""
    channels = tuple(StreamChannel(f"m{i}", "emg", "V") for i in range(len(data)))
    core = StreamCore("rec", sfreq, data.shape[1], channels, "rec", t0=t0)
    return replace(core, history=tuple(history))


def emg_like(n=9000, n_channels=4, seed=0, sfreq=SFREQ):
    """Return bursts of noise over mains hum and rest, one large artefact, float32 in V."""
    rng = np.random.default_rng(seed)
    time = np.arange(n) / sfreq
    data = np.empty((n_channels, n))
    for channel in range(n_channels):
        bursts = np.clip(np.sin(2 * np.pi * (0.4 + 0.07 * channel) * time + channel) - 0.3, 0, 1)
        noise = np.convolve(rng.standard_normal(n + 8), np.diff(np.hanning(10)), "valid")
        data[channel] = noise * (0.05 + bursts) + 0.02 * np.sin(2 * np.pi * 50 * time)
    data += rng.standard_normal(n) * 0.01
    data[-1, n // 3 : n // 3 + 3] += 500.0
    return (data * 1e-4).astype(np.float32)


def run(operation, data, core, chunk, tables=(), table_cores=()):
    """Return what an operation makes of an array that is cut into chunks.

    `tables` are the inputs behind the stream. Streams come as one array, tables as a data frame.
    """
    several = len(operation.inputs) > 1
    given = (core, *(table_cores or [core] * len(tables))) if several else core
    total = data.shape[1]

    def block_of(first, last):
        samples = np.ascontiguousarray(data[:, first:last])
        samples.flags.writeable = False
        return (samples, *tables) if several else samples

    cuts = [(start, min(start + chunk, total)) for start in range(0, total, chunk)]
    known = None
    for _ in range(operation.passes if operation.fits() else 0):
        extra = () if operation.passes == 1 else (known,)
        parts = [operation.partial(block_of(*cut), given, *extra) for cut in cuts]
        if hasattr(operation, "merge"):
            groups = [parts[i : i + 3] for i in range(0, len(parts), 3)]
            parts = [operation.merge(group, given, known) for group in groups]
        known = operation.combine(parts, given, *extra)
    made = operation.core(given)
    n_out = made.n_samples if operation.output == "stream" else total
    size = max(1, round(chunk * n_out / total))
    parts = []
    for start in range(0, n_out, size):
        stop = min(start + size, n_out)
        first, last = operation.needs(start, stop, given)
        first = min(max(first, 0), total - 1)
        last = max(min(last, total), first + 1)
        span = Span(start, stop, first, total)
        result = operation.compute(block_of(first, last), span, given, known)
        if operation.output == "stream":
            result = output_of(operation, result, span, made.n_channels)
        parts.append(result)
    return (
        np.concatenate(parts, axis=1)
        if operation.output == "stream"
        else operation.join(parts, given)
    )
