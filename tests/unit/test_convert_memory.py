"""Memory does not grow with the length of a recording."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from bids_cases import write_brainvision

ROOT = Path(__file__).resolve().parents[2]
STEM = "sub-01_task-x_eeg"
CHANNELS, SFREQ = 64, 500
# Converts a recording in a process of its own and prints what that took.
CONVERTER = """
import json, re, resource, sys, time
from pathlib import Path
sys.path[:0] = sys.argv[2:4]
from bids_cases import dataset_settings, members, write_events
from bidsmill.convert.recording import convert_recording
import mne, pyarrow.parquet, scipy.signal
root, own = Path(sys.argv[1]), json.loads(sys.argv[4])
mne.set_log_level("ERROR")
member = members(root)["sub-01_task-x_eeg"]
events = write_events(root / "events.tsv", [])
settings = dataset_settings(windows={"kind": "fixed", "length": 2.0}, **own)
start = time.perf_counter()
done = convert_recording(member, root, events, root / "out.parquet", settings)
seconds = time.perf_counter() - start
rows, channels, times = done["shape"]
# On Linux ru_maxrss may be that of the parent before exec; VmHWM is that of this program.
status = Path("/proc/self/status")
peak = re.search(r"VmHWM:\\s+(\\d+)", status.read_text()) if status.exists() else None
kilobytes = int(peak[1]) if peak else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({
    "megabytes": kilobytes / 1024,
    "mb_per_second": rows * channels * times * 4 / 1e6 / seconds,
    "rows": rows,
}))
"""


def write_long(root: Path, minutes: float) -> None:
    """Write int16 BrainVision: a header of pybv, and noise in the place of its samples."""
    folder = root / "sub-01" / "eeg"
    names = [f"E{i}" for i in range(CHANNELS)]
    write_brainvision(
        folder, STEM, np.zeros((CHANNELS, 10)), SFREQ, names, fmt="binary_int16", resolution=0.1
    )
    rng = np.random.default_rng(0)
    with open(folder / f"{STEM}.eeg", "wb") as file:
        for _ in range(round(minutes * 60)):
            file.write(rng.integers(-500, 500, CHANNELS * SFREQ).astype("<i2").tobytes())


def convert(root: Path, own: dict) -> dict:
    paths = [str(root), str(ROOT / "src"), str(ROOT / "tests" / "unit"), json.dumps(own)]
    command = [sys.executable, "-c", CONVERTER, *paths]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def compare(folder: Path, own: dict, short: float, long: float) -> None:
    found = []
    for minutes in (short, long):
        root = folder / f"{minutes:g}"
        write_long(root, minutes)
        found.append(convert(root, own))
        print(f"{minutes:g} min, {own}: {found[-1]}")
    assert [f["rows"] for f in found] == [round(minutes * 30) for minutes in (short, long)]
    assert found[1]["megabytes"] < 400
    assert found[1]["megabytes"] - found[0]["megabytes"] < 30


FILTERED = {"filter": {"low": 0.5, "high": 40}, "resample": 128}


def test_memory_of_five_and_twenty_minutes(tmp_path):
    compare(tmp_path, {}, 5, 20)


# Down to a quarter of the samples, only 10 minutes fill the first row group.
@pytest.mark.long
@pytest.mark.parametrize("own", [{}, FILTERED])
def test_memory_of_twenty_minutes_and_an_hour(tmp_path, own):
    compare(tmp_path, own, 20, 60)
