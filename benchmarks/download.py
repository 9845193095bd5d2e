"""Compare fetching a dataset from S3: bidsmill's downloader and s3transfer alone, in turn.

Both fetch the same objects from the same real S3 server on this machine (Ceph radosgw, which must
be installed), one dataset of a few large files and one of many small ones, over the same number of
connections. s3transfer writes what comes; bidsmill also takes the sha256 of every file, compares
the checksum where the listing has one, keeps a log to resume from, and syncs each file to the disk
before it gets its name. `no sync` is bidsmill without the last, as s3transfer does it.

Usage: python benchmarks/download.py [--json PATH] [--rounds 5] [--megabytes 1200]
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))
PARALLEL = 8
BUCKET = "benchmark"

# Each measurement is a process of its own, so that its peak memory is its own.
BIDSMILL = """
import json, os, re, sys, time
from pathlib import Path
from bidsmill.sources import s3
from bidsmill.sources.download import Download
from bidsmill.sources.s3_reader import S3Reader
target, prefix, parallel, sync = sys.argv[1:]
def peak():
    return int(re.search("VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
if sync == "no":
    os.fsync = lambda file: None
fetch = {"retries": 2, "timeout": 60, "parallel": int(parallel), "bandwidth": None}
settings = {"url": f"s3://%s/{prefix}", "version": None, "fetch": fetch}
listing = s3.list_dataset(prefix, settings)
reader = S3Reader(settings)
before = peak()
start = time.perf_counter()
outcomes = Download(Path(target), reader, fetch).run(listing.files)
seconds = time.perf_counter() - start
after = peak()
print(json.dumps([seconds, before / 1024, after / 1024]))
""".replace("%s", BUCKET)
S3TRANSFER = """
import json, os, re, sys, time
from pathlib import Path
import boto3
from botocore.config import Config
from s3transfer.manager import TransferConfig, TransferManager
target, prefix, parallel, _ = sys.argv[1:]
def peak():
    return int(re.search("VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
config = Config(max_pool_connections=int(parallel), s3={"addressing_style": "path"})
client = boto3.client("s3", config=config)
pages = client.get_paginator("list_objects_v2").paginate(Bucket="%s", Prefix=prefix + "/")
keys = [item["Key"] for page in pages for item in page["Contents"]]
before = peak()
start = time.perf_counter()
with TransferManager(client, TransferConfig(max_request_concurrency=int(parallel))) as manager:
    jobs = []
    for key in keys:
        path = Path(target) / key.removeprefix(prefix + "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        jobs.append(manager.download("%s", key, str(path)))
    for job in jobs:
        job.result()
seconds = time.perf_counter() - start
after = peak()
print(json.dumps([seconds, before / 1024, after / 1024]))
""".replace("%s", BUCKET)
METHODS = {
    "bidsmill": (BIDSMILL, "yes"),
    "bidsmill, no sync": (BIDSMILL, "no"),
    "s3transfer": (S3TRANSFER, ""),
}


def fill(client, megabytes: int) -> dict[str, dict[str, str]]:
    """Upload two datasets and return the sha256 of each file, by prefix and path."""
    chance = np.random.default_rng(0)
    client.create_bucket(Bucket=BUCKET)
    size = megabytes * 1_000_000 // 6
    plans = {
        "large": [(f"sub-{i:02}/eeg/sub-{i:02}_task-rest_eeg.eeg", size) for i in range(6)],
        "small": [(f"sub-{i:03}/eeg/sub-{i:03}_task-rest_events.tsv", 20_000) for i in range(400)],
    }
    sums: dict[str, dict[str, str]] = {}
    for prefix, files in plans.items():
        files.append(("dataset_description.json", 100))
        for path, length in files:
            content = chance.bytes(length)
            sums.setdefault(prefix, {})[path] = hashlib.sha256(content).hexdigest()
            with tempfile.NamedTemporaryFile() as file:
                file.write(content)
                file.flush()
                client.upload_file(file.name, BUCKET, f"{prefix}/{path}")
    return sums


def measure(method: str, prefix: str, sums: dict[str, str], server, folder: Path):
    """Fetch a dataset once and return seconds, memory before and peak (MB); check the bytes."""
    script, option = METHODS[method]
    target = folder / "target"
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    os.sync()
    environment = {
        **os.environ,
        "AWS_ENDPOINT_URL_S3": server.endpoint,
        "AWS_ACCESS_KEY_ID": server.access_key,
        "AWS_SECRET_ACCESS_KEY": server.secret_key,
        "AWS_DEFAULT_REGION": "us-east-1",
        "PYTHONPATH": str(ROOT / "src"),
    }
    command = [sys.executable, "-c", script, str(target), prefix, str(PARALLEL), option]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{method} failed: {done.stderr[-2000:]}")
    for path, expected in sums.items():
        with open(target / path, "rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != expected:
                raise SystemExit(f"{method} brought a wrong file: {path}")
    return json.loads(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--megabytes", type=int, default=1200)
    options = parser.parse_args()
    from servers.radosgw import Radosgw
    from servers.radosgw import missing as radosgw_missing

    if radosgw_missing():
        raise SystemExit(
            f"{radosgw_missing()} is missing: apt-get install radosgw ceph-mon ceph-osd"
        )
    results = []
    with tempfile.TemporaryDirectory() as name, Radosgw(Path(name) / "server") as server:
        folder = Path(name)
        sums = fill(server.client(), options.megabytes)
        for prefix, total in (("large", options.megabytes), ("small", 8)):
            found: dict[str, list] = {method: [] for method in METHODS}
            for _ in range(options.rounds):
                for method in METHODS:
                    found[method].append(measure(method, prefix, sums[prefix], server, folder))
            peer = statistics.median(row[0] for row in found["s3transfer"])
            for method, rows in found.items():
                seconds = statistics.median(row[0] for row in rows)
                entry = {
                    "dataset": prefix,
                    "method": method,
                    "seconds": round(seconds, 3),
                    "megabytes_per_second": round(total / seconds, 1),
                    "speed_of_s3transfer": round(peer / seconds, 3),
                    "memory_growth_mb": round(max(row[2] - row[1] for row in rows), 1),
                }
                results.append(entry)
                print(
                    f"{prefix:6} {method:18} {seconds:7.2f} s {total / seconds:8.1f} MB/s"
                    f"  {peer / seconds:5.2f} of s3transfer  +{entry['memory_growth_mb']:.0f} MB"
                )
    if options.json:
        options.json.write_text(json.dumps({"parallel": PARALLEL, "results": results}, indent=1))


if __name__ == "__main__":
    main()
