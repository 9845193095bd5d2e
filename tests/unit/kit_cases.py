"""KIT files that tests write, as MNE's reader walks through them: blocks behind a directory."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

# Types of channels (MNE's constants KIT.CHANNEL_*): an axial gradiometer, a reference
# magnetometer, a trigger, EEG, and none.
GRADIOMETER, REFERENCE, TRIGGER, EEG, NONE = 2, 0x101, -1, -2, 0
CHANNELS = [
    *[(GRADIOMETER, "AG001"), (GRADIOMETER, "AG002"), (REFERENCE, ""), (EEG, "Fz")],
    *[(TRIGGER, "TRIG1"), (TRIGGER, "TRIG2"), (NONE, "")],
]
# Places in the directory (MNE's constants KIT.DIR_INDEX_*).
SYSTEM, CHANNEL, CALIBRATION, AMPLIFIER, ACQUISITION, SAMPLES, ENTRIES = 1, 4, 5, 7, 8, 9, 30
CONTINUOUS, EPOCHS = 1, 3
CHANNEL_BYTES = 256
# Range of the converter in V, its bits, T per V of a sensor, and gain in V per step of EEG.
ADC_RANGE, ADC_BITS, SENSOR_GAIN, EEG_GAIN = 10.0, 16, 2.5e-9, 1e-7
# Bits 11 and 12, and 0 to 2, choose 10 and 20 out of MNE's list of gains (1, 2, 5, 10, 20 ...).
AMPLIFIER_BITS, AMPLIFIER_GAIN = (3 << 11) | 4, 10 * 20


def kit_values(n_times: int) -> np.ndarray:
    """Return stored integers: noise, and two triggers that go on and off at 3 V."""
    values = np.random.default_rng(9).integers(-20_000, 20_000, (len(CHANNELS), n_times))
    step = ADC_RANGE / 2**ADC_BITS
    for row, period in ((4, 50), (5, 80)):
        values[row] = (np.arange(n_times) // period % 2) * round(3 / step)
    return values.astype("<i2")


def kit_scaled(values: np.ndarray) -> np.ndarray:
    """Return stored integers in T and V, and the trigger that MNE makes: bits below 1 V."""
    volts = ADC_RANGE / 2**ADC_BITS
    scales = {GRADIOMETER: volts / AMPLIFIER_GAIN * SENSOR_GAIN, EEG: EEG_GAIN / 4}
    scales[REFERENCE] = scales[GRADIOMETER]
    data = np.array([v * scales.get(k, volts) for v, (k, _) in zip(values, CHANNELS, strict=True)])
    low = data[4:7] < 1
    return np.vstack([data, low[0] * 1 + low[1] * 2 + low[2] * 4])


def _system(version: int, revision: int) -> bytes:
    head = struct.pack(
        "<3i128s128si256s2i", version, revision, 345, b"Test", b"Model", 7, b"", 0, 0
    )
    # Reserved, dewar, spare, type of the flux-locked loop (0), spare, trigger, spare, board,
    # reserved; each of four bytes.
    between = bytes(4 * (3 + 1 + 3 + 1 + 3 + 1 + 3 + 1 + 29))
    return head + between + struct.pack("<d3i", ADC_RANGE, 0, 16, ADC_BITS)


def _channel(kind: int, name: str, number: int) -> bytes:
    text = name.encode()
    if kind in (GRADIOMETER, REFERENCE):
        place = struct.pack("<5d", 0.1, 0.02 * number, 0.03, 30.0, 40.0 + number)
        record = struct.pack("<i", kind) + place + bytes(16) + text
    elif kind == EEG:
        record = struct.pack("<2i4x8s6xd", kind, number, text, EEG_GAIN)
    else:
        record = struct.pack("<2i4x32s", kind, number, text)
    return record.ljust(CHANNEL_BYTES, b"\0")


def write_kit(
    path: Path, values: np.ndarray, sfreq: float = 500.0, version=(2, 4), kind: int = CONTINUOUS
) -> Path:
    """Write a KIT file; `values` are stored integers of shape (channels, times)."""
    n_times = values.shape[1]
    gains = np.array([[0.0, SENSOR_GAIN if k > 0 else 1.0] for k, _ in CHANNELS])
    numbers = (0, n_times) if kind == CONTINUOUS else (n_times // 4, 0, 0, 4)
    blocks = {
        SYSTEM: _system(*version),
        CHANNEL: b"".join(_channel(k, n, i) for i, (k, n) in enumerate(CHANNELS)),
        CALIBRATION: gains.astype("<f8").tobytes(),
        AMPLIFIER: struct.pack("<i", AMPLIFIER_BITS),
        ACQUISITION: struct.pack(f"<id{len(numbers)}i", kind, sfreq, *numbers),
        SAMPLES: values.astype("<i2").tobytes(order="F"),
    }
    place, entries, content = 16 * ENTRIES, [], b""
    for index in range(ENTRIES):
        block = blocks.get(index, b"")
        size = CHANNEL_BYTES if index == CHANNEL else len(block)
        count = ENTRIES if index == 0 else len(CHANNELS) if index == CHANNEL else 0
        entries.append(struct.pack("<I3i", place if index else 0, size, count, count))
        content += block
        place += len(block)
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(entries) + content)
    return path
