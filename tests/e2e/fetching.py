"""What tests of fetching share: a dataset of many sizes, its lock and plan, and what arrived."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from bidsmill.sources.download import BLOCK_BYTES
from bidsmill.sources.listing import identity

DESCRIPTION = "dataset_description.json"
BATCH = "b0000"
# What a process of the workflow does, with its limits on the command line.
FETCH = """
import json, sys
from pathlib import Path
from bidsmill.sources.fetch import fetch_batch
from bidsmill.workflow.job_log import job_log
results, settings = Path(sys.argv[1]), json.loads(sys.argv[2])
print("ready", flush=True)
with job_log(results / "logs" / sys.argv[3]):
    plan, manifest = results / "plan/b0000.json", results / "fetch/b0000.json"
    fetch_batch(plan, manifest, settings=settings, results=results)
"""


def fetch_settings(**given: Any) -> dict[str, Any]:
    """Return the settings of `fetch` in the config, with short waits for an answer."""
    return {"parallel": 8, "bandwidth": None, "retries": 5, "timeout": 30.0, **given}


def make_dataset(root: Path, small: int, large: list[int], seed: int = 0) -> dict[str, str]:
    """Write a dataset of random bytes.

    Parameters
    ----------
    root : pathlib.Path
        Its folder.
    small : int
        Number of small files, among them an empty one, one of a single block of the downloader
        and one of a block and a byte.
    large : list of int
        Sizes of large files in bytes.
    seed : int
        Of the bytes.

    Returns
    -------
    dict
        Path -> sha256.
    """
    chance = np.random.default_rng(seed)
    sizes = {
        "participants.tsv": 0,
        "sub-01/eeg/sub-01_task-block_eeg.edf": BLOCK_BYTES,
        "sub-01/eeg/sub-01_task-over_eeg.edf": BLOCK_BYTES + 1,
    }
    for number in range(small - len(sizes) - 1):
        subject = f"sub-{number % 10 + 1:02}"
        name = f"{subject}/eeg/{subject}_task-rest_run-{number:03}"
        sizes[f"{name}_eeg.edf"] = int(chance.integers(1, 200_000))
    for number, size in enumerate(large):
        sizes[f"sub-20/meg/sub-20_task-long_run-{number:02}_meg.fif"] = size
    description = b'{"Name": "Made", "BIDSVersion": "1.10.0", "License": "CC0"}'
    contents = {DESCRIPTION: description} | {path: chance.bytes(n) for path, n in sizes.items()}
    for path, content in contents.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)
    return {path: hashlib.sha256(content).hexdigest() for path, content in contents.items()}


def entries_of(root: Path, sums: dict[str, str], url: str) -> list[dict[str, Any]]:
    """Return the entries of a lock for a dataset on a web server."""
    return [
        {
            "path": path,
            "size": (root / path).stat().st_size,
            "checksum": f"sha256:{sha256}",
            "url": url + quote(path),
        }
        for path, sha256 in sorted(sums.items())
    ]


def write_plan(results: Path, entries: list[dict[str, Any]], snapshot: str = "1.0.0") -> None:
    """Write lock and plan of a dataset with one batch, in which each file is a recording."""
    members = [
        {"stem": e["path"], "files": {e["path"]: identity(e)}, "sidecar_files": {}} for e in entries
    ]
    plan = {"batch": BATCH, "dataset": "made", "members": members}
    (results / "plan").mkdir(parents=True, exist_ok=True)
    (results / "plan" / f"{BATCH}.json").write_text(json.dumps(plan))
    (results / "lock.json").write_text(json.dumps({"snapshot": snapshot, "files": entries}))


def manifest_of(results: Path) -> dict[str, dict[str, Any]]:
    """Return what ``fetch/{batch}.json`` says of each file."""
    return json.loads((results / "fetch" / f"{BATCH}.json").read_text())["members"]


def start_fetch(
    results: Path, settings: dict[str, Any], authority: Any = None, log: str = "fetch.log"
) -> subprocess.Popen:
    """Start a process that fetches the batch; it has written ``ready`` when this returns."""
    environment = {**os.environ}
    if authority is not None:
        environment["SSL_CERT_FILE"] = str(authority.bundle)
    process = subprocess.Popen(
        [sys.executable, "-c", FETCH, str(results), json.dumps(settings), log],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    process.stdout.readline()
    return process


def ended(process: subprocess.Popen) -> tuple[int, str]:
    """Wait for the end of a process; return its code, and what it wrote to standard error."""
    _, printed = process.communicate(timeout=300)
    return process.returncode, printed


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def tree(folder: Path) -> dict[str, str]:
    """Return path -> sha256 of the files in a folder, without temporary ones."""
    found = [p for p in folder.rglob("*") if p.is_file() and not p.name.endswith(".part")]
    return {path.relative_to(folder).as_posix(): sha256_of(path) for path in found}


def parts(folder: Path) -> list[str]:
    """Return the temporary files in a folder."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.part"))


def remove_large(folder: Path) -> None:
    """Remove files of more than a megabyte; pytest keeps the folders of several runs."""
    for path in folder.rglob("*"):
        if path.is_file() and path.stat().st_size > 1_000_000:
            path.unlink()
