"""CTF folders that tests write: sensors, an EEG electrode, a trigger and a clock."""

from __future__ import annotations

from pathlib import Path

import numpy as np

# Sensor types of CTF (MNE's constants CTFV_*): a gradiometer, EEG, a trigger, the clock.
MEG, EEG, TRIGGER, SYSTEM_CLOCK = 5, 9, 11, 17
COIL = np.dtype(
    [
        *[("pos", ">f8", 3), ("d0", ">f8"), ("norm", ">f8", 3), ("d1", ">f8")],
        *[("turns", ">i2"), ("d2", ">i4"), ("d3", ">i2"), ("area", ">f8")],
    ]
)
SENSOR = np.dtype(
    [
        *[("type", ">i2"), ("run", ">i2"), ("coil_type", ">i4")],
        *[("proper_gain", ">f8"), ("qgain", ">f8"), ("io_gain", ">f8"), ("io_offset", ">f8")],
        *[("num_coils", ">i2"), ("grade", ">i2"), ("d0", ">i4")],
        *[("coil", COIL, 8), ("head_coil", COIL, 8)],
    ]
)
COMPENSATION = np.dtype(
    [
        *[("sensor", "S32"), ("kind", ">i4"), ("d0", ">i4"), ("n", ">i2")],
        *[("sensors", "S31", 50), ("coefficients", ">f8", 50)],
    ]
)
COILS = "".join(
    f"measured {coil} coil position relative to {frame} (cm):\n\tx = {x}\n\ty = {y}\n\tz = {z}\n"
    for frame, z in (("dewar", -22), ("head", 0))
    for coil, x, y in (("nasion", 9, 0), ("left ear", 0, 7), ("right ear", 0, -7))
)
PROPER_GAIN, QGAIN = 2e9, 1048576.0


def ctf_values(n_times: int, clock: bool = True) -> tuple[list[str], np.ndarray]:
    """Return names and stored integers of a recording: noise, a trigger, a clock."""
    rng = np.random.default_rng(5)
    names = ["MLC11-606", "MLC12-606", "EEG001-606", "UPPT001"]
    values = rng.integers(-(2**20), 2**20, (4, n_times))
    values[3] = (np.arange(n_times) // 50) % 2
    if clock:
        names.append("SCLK01-177")
        values = np.vstack([values, 7 + 100 * np.arange(n_times)])
    return names, values.astype(">i4")


def res4(names, n_samples, n_trials, sfreq=600.0, day="13/04/2000", time="10:35", before=0):
    """Return the header of a CTF folder."""
    head = bytearray(1844)
    head[:8] = b"MEG41RS\0"

    def put(place, value, kind):
        content = value if kind == "text" else np.array([value], kind).tobytes()
        head[place : place + len(content)] = content

    put(778, time.encode("latin-1"), "text")
    put(1033, day.encode("latin-1"), "text")
    for place, value, kind in [
        *[(1288, n_samples, ">i4"), (1292, len(names), ">i2"), (1296, sfreq, ">f8")],
        *[(1304, n_samples / sfreq, ">f8"), (1312, n_trials, ">i2"), (1316, before, ">i4")],
    ]:
        put(place, value, kind)
    sensors = np.zeros(len(names), SENSOR)
    for sensor, name in zip(sensors, names, strict=True):
        sensor["type"] = {"M": MEG, "E": EEG, "U": TRIGGER, "S": SYSTEM_CLOCK}[name[0]]
        sensor["proper_gain"] = PROPER_GAIN if name[0] == "M" else 1.0
        sensor["qgain"] = QGAIN if name[0] in "ME" else 1.0
        sensor["num_coils"] = 1
        sensor["coil"]["pos"][0] = 3.0, 4.0, 10.0
        sensor["coil"]["norm"][0] = 0.0, 0.0, 1.0
    labels = b"".join(name.encode().ljust(32, b"\0") for name in names)
    # MNE reads no folder without compensation coefficients; these are not applied.
    one = np.zeros(1, COMPENSATION)
    one["sensor"], one["kind"], one["n"] = b"MLC11-606", 0x47314252, 1
    one["sensors"][0, 0] = b"MLC12-606"
    count = np.array([1], ">i2").tobytes()
    return bytes(head) + bytes(2) + labels + sensors.tobytes() + count + one.tobytes()


def write_ctf(path, names, values, n_trials=1, parts=1, coils=COILS, inner=None, **fields) -> Path:
    """Write a CTF folder; `values` are stored integers of shape (channels, times)."""
    path = Path(path)
    path.mkdir(parents=True)
    stem = inner or path.name[:-3]
    n_samples = values.shape[1] // n_trials
    (path / f"{stem}.res4").write_bytes(res4(names, n_samples, n_trials, **fields))
    trials = [values[:, i * n_samples : (i + 1) * n_samples] for i in range(n_trials)]
    for part in range(parts):
        own = trials[part * n_trials // parts : (part + 1) * n_trials // parts]
        name = f"{stem}.{part}_meg4" if part else f"{stem}.meg4"
        (path / name).write_bytes(b"MEG41CP\0" + b"".join(t.astype(">i4").tobytes() for t in own))
    if coils is not None:
        (path / f"{stem}.hc").write_text(coils)
    return path


def ctf_scaled(names, values) -> np.ndarray:
    """Return stored integers in T and V, by the gains of the header."""
    gains = [
        (PROPER_GAIN if n[0] == "M" else 1.0) * (QGAIN if n[0] in "ME" else 1.0) for n in names
    ]
    return values / np.array(gains)[:, np.newaxis]
