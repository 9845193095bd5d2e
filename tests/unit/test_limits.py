"""One enormous recording, or a disk without room: refused before anything is taken or written."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from absence import absent
from batch_work import Work
from bids_cases import Dataset, brain_like, dataset_settings, write_brainvision

from bidsmill import batches
from bidsmill.bids.limits import files_too_large, signal_too_large
from bidsmill.errors import DiskFull
from bidsmill.formats import files
from bidsmill.formats.space import RESERVE_BYTES, require_room
from bidsmill.sources.fetch import fetch_batch
from bidsmill.sources.lock import CONTRACT
from bidsmill.workflow.plan import lock_dataset

WINDOWS = {"kind": "fixed", "length": 1.0}
SMALL, WIDE, LONG = (f"sub-{number}_task-x_eeg" for number in ("01", "02", "03"))


@pytest.fixture
def dataset(tmp_path) -> Dataset:
    """Return three recordings: 3 channels and 5 s, 6 channels and 5 s, 3 channels and 20 s."""
    made = Dataset(tmp_path)
    for stem, channels, seconds in ((SMALL, 3, 5), (WIDE, 6, 5), (LONG, 3, 20)):
        names = [f"E{number}" for number in range(channels)]
        data = brain_like(channels, 100 * seconds)
        write_brainvision(made.root / stem.split("_")[0] / "eeg", stem, data, 100, names)
    description = {"Name": "t", "BIDSVersion": "1.10.0"}
    files.write_json(made.root / "dataset_description.json", description)
    return made


def fates(dataset: Dataset, **limits) -> dict[str, str]:
    """Convert with these limits and return the reason, or the status, of each recording."""
    dataset.convert(windows=WINDOWS, limits=limits)
    found = dataset.receipts()
    return {stem: receipt["reason"] or receipt["status"] for stem, receipt in found.items()}


def times(dataset: Dataset) -> dict[str, int]:
    folder = dataset.results / "matrix"
    return {path.stem: path.stat().st_mtime_ns for path in folder.glob("*.parquet")}


def test_limits_keep_what_exceeds_them_out_and_let_it_in_when_raised(dataset):
    well = {SMALL: "converted", WIDE: "converted", LONG: "converted"}
    assert fates(dataset, channels=3) == {**well, WIDE: "too_large"}
    message = dataset.receipts()[WIDE]["message"]
    assert message.startswith("it has 6 channels, more than `limits.channels` 3")
    before = times(dataset)
    assert set(before) == {SMALL, LONG}
    assert fates(dataset, channels=6) == well
    assert times(dataset).items() >= before.items(), "the others are not converted again"
    assert fates(dataset, channels=6, hours=10 / 3600) == {**well, LONG: "too_large"}
    assert set(times(dataset)) == {SMALL, WIDE}, "what the limit takes out leaves no file"
    assert fates(dataset) == well


def test_files_over_the_limit_are_neither_fetched_nor_read(dataset):
    sizes = {
        stem: sum(path.stat().st_size for path in dataset.root.rglob(f"{stem}.*"))
        for stem in (SMALL, WIDE, LONG)
    }
    assert sizes[SMALL] < sizes[WIDE] < sizes[LONG]
    for path in dataset.root.rglob(f"{LONG}.*"):
        path.chmod(0)
    limit = sizes[WIDE] / 1e9
    found = fates(dataset, recording_gigabytes=limit)
    assert found == {SMALL: "converted", WIDE: "converted", LONG: "too_large"}
    said = dataset.receipts()[LONG]["message"]
    assert "more than `limits.recording_gigabytes`" in said and "neither fetched nor read" in said


HUGE = {"path": "sub-01/eeg/sub-01_task-x_eeg.edf", "size": 10**16, "checksum": None}
NOWHERE = {"source": "https", "url": "https://127.0.0.1:1/"}


def lock_huge(folder: Path, **limits) -> Path:
    """Lock, as committed, a dataset with one recording of ten petabytes; return its results."""
    settings = {**dataset_settings(windows=WINDOWS), **NOWHERE, "manifest": "manifest.tsv"}
    lock = {
        "contract": CONTRACT,
        "dataset": "t",
        "source": {"kind": "https", "url": NOWHERE["url"], "manifest": "manifest.tsv"},
        "snapshot": "1",
        "description": {},
        "license": "",
        "doi": "",
        "authors": [],
        "files": [HUGE],
    }
    files.write_json(folder / "committed.json", lock)
    lock_dataset(
        folder / "results" / "lock.json",
        dataset="t",
        settings={**settings, "limits": limits},
        batches={"recordings": 64, "gigabytes": 20},
        committed=folder / "committed.json",
    )
    return folder / "results"


def test_a_limit_also_says_that_the_disk_needs_no_room_for_it(tmp_path):
    with pytest.raises(DiskFull, match=r"10000000\.27 GB for what is still to be fetched"):
        lock_huge(tmp_path)
    results = lock_huge(tmp_path, recording_gigabytes=1)
    manifest = results / "fetch" / "b0000.json"
    # Nobody is there to be asked.
    settings = {**NOWHERE, "fetch": {}, "limits": {"recording_gigabytes": 1}}
    fetch_batch(results / "plan/b0000.json", manifest, settings=settings, results=results)
    (member,) = files.read_json(manifest)["members"].values()
    assert (member["status"], member["reason"]) == ("missing", "too_large")


@pytest.mark.parametrize("limits", [None, {}, {"channels": None, "recording_gigabytes": None}])
def test_without_limits_nothing_is_too_large(limits):
    assert files_too_large(10**15, limits) is None
    assert signal_too_large(20_000, 1e6, limits) is None


def test_a_limit_itself_is_allowed():
    assert files_too_large(2 * 10**9, {"recording_gigabytes": 2}) is None
    assert files_too_large(2 * 10**9 + 1, {"recording_gigabytes": 2})
    assert signal_too_large(64, 19.0, {"channels": 64, "hours": 19}) is None
    assert signal_too_large(65, 1.0, {"channels": 64, "hours": 19})
    assert signal_too_large(1, 19.1, {"channels": 64, "hours": 19})


def test_the_bytes_needed_and_free_are_named(tmp_path):
    room = os.statvfs(tmp_path)
    words = {"what": "no room", "purpose": "a test", "todo": "make room"}
    require_room(tmp_path / "later", 1000, **words)
    with pytest.raises(DiskFull) as problem:
        require_room(tmp_path / "later", 10**15, **words)
    assert problem.value.expected == f"{(10**15 + RESERVE_BYTES) / 1e9:.2f} GB for a test"
    free = float(problem.value.found.removesuffix(" GB free"))
    assert abs(free - room.f_bavail * room.f_frsize / 1e9) < 5


# Converts in a process of its own, which sees a small disk in place of the folder of matrices.
ON_A_DISK = """
import sys
from pathlib import Path
sys.path[:0] = sys.argv[2:4]
from bids_cases import Dataset
from bidsmill.errors import DiskFull
try:
    Dataset(Path(sys.argv[1])).convert(windows={"kind": "fixed", "length": 1.0})
except DiskFull as problem:
    print(problem)
"""


def test_a_disk_without_room_ends_the_job_before_it_writes(dataset):
    matrix = dataset.results / "matrix"
    matrix.mkdir(parents=True)
    mount = f"mount -t tmpfs -o size=100m tmpfs {matrix}"
    alone = ["unshare", "-m"] if os.geteuid() == 0 else ["unshare", "-r", "-m"]
    here = Path(__file__).resolve().parent
    python = [sys.executable, "-c", ON_A_DISK, str(dataset.root.parent)]
    python += [str(here.parents[1] / "src"), str(here)]
    done = subprocess.run(
        [*alone, "sh", "-c", f'{mount} || exit 77; exec "$@"', "sh", *python],
        capture_output=True,
        text=True,
        timeout=120,
    )
    if done.returncode in (1, 77) and "Traceback" not in done.stderr:
        absent(f"no file system can be mounted here: {done.stderr}")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("the disk has no room for the matrix of sub-0")
    assert "found: 0.10 GB free" in done.stdout
    assert "expected: 0.27 GB for its rows" in done.stdout
    assert not (dataset.results / "convert" / "b0000.json").exists()


@pytest.mark.parametrize("processes", [1, 2])
def test_a_full_disk_ends_the_job_and_blames_no_recording(tmp_path, processes):
    folder = tmp_path / "matrix"
    folder.mkdir()
    stems = [f"sub-{number:02d}_task-rest_eeg" for number in range(1, 4)]
    members = [{"stem": stem, "size": 9 - n} for n, stem in enumerate(stems)]
    plan = {"batch": "b0000", "batches": 1, "members": members}

    def update(fates):
        return batches.update(
            plan, folder, Work(folder, fates), json.dumps, verb="converted", processes=processes
        )

    with pytest.raises(DiskFull, match=f"the disk is full; the result of {stems[1]}"):
        update({stems[1]: "full"})
    assert not (folder / f"{stems[1]}.json").exists()
    assert {m["status"] for m in update({})["members"].values()} == {"converted"}
