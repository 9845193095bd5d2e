"""Folders of 4D/BTi that tests write, as MNE's reader walks through them: big-endian records."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

# Kinds of channels in `config` (MNE's constants BTI.CHTYPE_*).
MEG, EEG, REFERENCE, EXTERNAL, TRIGGER = 1, 2, 3, 4, 5
# Name, kind, gain, and units per bit.
CHANNELS = [
    ("A1", MEG, 2.0, 1e-13),
    ("A2", MEG, 4.0, 1e-13),
    ("MxA", REFERENCE, 1.0, 1e-12),
    ("EEG1", EEG, 1.0, 1e-7),
    ("TRIGGER", TRIGGER, 1.0, 1.0),
]
# As MNE calls them.
NAMES = ["MEG 001", "MEG 002", "RFM 001", "EEG 001", "STI 014"]
INTEGERS = 1
IN_ORDER = tuple(range(len(CHANNELS)))
# A transform that changes nothing: the last row holds the scales of the axes.
UNIT = np.vstack([np.eye(4)[:3], np.ones(4)]).astype(">f8").tobytes()


def bti_values(n_times: int) -> np.ndarray:
    """Return stored integers: noise and a trigger."""
    values = np.random.default_rng(3).integers(-30_000, 30_000, (len(CHANNELS), n_times))
    values[4] = np.arange(n_times) // 40 % 3
    return values.astype(">i2")


def bti_scaled(values: np.ndarray) -> np.ndarray:
    """Return stored integers in T and V: units per bit, a 32-bit number, over the gain."""
    scales = np.array([np.float32(unit) / gain for _, _, gain, unit in CHANNELS], float)
    return values * scales[:, np.newaxis]


def _aligned(content: bytes) -> bytes:
    return content + bytes(-len(content) % 8)


def _config() -> bytes:
    head = struct.pack(
        ">h32s16shihhffhhh2xI32s",
        *(1, b"site", b"host", 1, 0, 50, len(CHANNELS), 1.0, 1.0, 1, 2, 0, 0, b""),
    )
    content = head + UNIT
    names = b"A1".ljust(16, b"\0") + b"MxA".ljust(16, b"\0")
    etable = struct.pack(">3i16si28s", 2, 0, 1, b"", 1, b"") + names + struct.pack(">f", 0.0)
    weights = struct.pack(">iII32s80sII72s", 2, 0, 1, b"", b"", 1, 1, b"") + names
    weights += b"MyA".ljust(16, b"\0") + struct.pack(">fh", 0.0, 0)
    for kind, block in ((b"B_E_table_used", etable), (b"B_weights_used", weights)):
        content += struct.pack(">I20si32sII32s", 0, kind, 0, b"", 0, len(block), b"")
        content = _aligned(_aligned(content) + block)
    device = struct.pack(">ii32s", 0, 0, b"")
    for number, (name, kind, gain, unit) in enumerate(CHANNELS, 1):
        content += struct.pack(">16shHh2x", name.encode(), number, kind, number)
        content = _aligned(content + struct.pack(">ff16sdi32s", gain, unit, b"T", 0.0, 0, b""))
        if kind in (MEG, REFERENCE):
            content += device + struct.pack(">f4s", 0.0, b"") + UNIT
            content += struct.pack(">hh4x32s", 0, 0, b"")
        elif kind == EEG:
            content += device + struct.pack(">f4s", 0.0, b"") + UNIT + bytes(32)
        else:
            content += device + struct.pack(">i2x32s", 0, b"")
        content = _aligned(content)
    return content


def _header(n_times: int, n_epochs: int, sfreq: float, indices, scale: float) -> bytes:
    """Return what follows the samples; the last eight bytes say where it begins."""
    content = struct.pack(">h5sxhh4i", 1, b"", INTEGERS, 1, n_epochs, n_epochs, 0, 0)
    content += struct.pack(">f16sih2x", 1 / sfreq, b"", 1, len(CHANNELS))
    content = _aligned(content + struct.pack(">iihhi20x", 0, 0, 0, 0, 0))
    for epoch in range(n_epochs):
        length = n_times // n_epochs
        content += struct.pack(">i3f3i28x", length, length / sfreq, 0, 0, 0, 0, epoch)
    for number, (channel, index) in enumerate(zip(CHANNELS, indices, strict=True), 1):
        name = channel[0]
        content += struct.pack(">16shhf16sh6x", name.encode(), number, 0, scale, b"T", 0)
        content += struct.pack(">ddii4sf24x", 0.0, 0.0, index, 0, b"", 0.0)
    return content + struct.pack(">i20si32si256si32x", 0, b"p", 0, b"", 1_000_000_000, b"", 0)


def write_bti(
    path: Path,
    values: np.ndarray,
    n_epochs: int = 1,
    sfreq: float = 512.0,
    indices=IN_ORDER,
    scale: float = 1.0,
) -> Path:
    """Write a folder; `values` are stored integers of shape (channels, times)."""
    path = Path(path)
    path.mkdir(parents=True)
    samples = _aligned(values.T.astype(">i2").tobytes())
    # The alignment of records counts from the begin of the file, which samples here keep.
    content = _aligned(samples + _header(values.shape[1], n_epochs, sfreq, indices, scale))
    (path / "c,rfDC").write_bytes(content + struct.pack(">q", len(samples)))
    (path / "config").write_bytes(_config())
    return path
