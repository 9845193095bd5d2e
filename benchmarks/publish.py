"""Publish to a bucket and pull from it, beside s3transfer that moves the same files.

A real S3 server on this machine (Ceph radosgw, which must be installed) gets one dataset of some
large matrices and one of many small ones, over the same number of connections. The values are
noise at the resolution of an amplifier.

s3transfer sends and brings the files, and that is all. bidsmill also compares every result with
its receipt, lets the server check what it gets, looks at the listing afterwards, writes manifest,
pointer and catalogue; and on the way back it takes the sha256 of every file, decodes it, and writes
the arrays of float32, more bytes than came, to the cache and to the disk.

Every measurement is a process of its own, and the clock runs after its imports: it includes the
start of the connections. The methods take turns; the table shows medians.

Usage: python benchmarks/publish.py [--json PATH] [--rounds 5] [--megabytes 600]
"""

from __future__ import annotations

import argparse
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
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "unit")]
CONNECTIONS = 8
BUCKET = "benchmark"
CHANNELS, SFREQ, TIMES = 64, 500.0, 1000
RESOLUTION = 1e-7  # V per step of the converter
GOAL = 0.8

COMMON = """
import json, re, sys, time
from pathlib import Path
import boto3
from botocore.config import Config
from s3transfer.manager import TransferConfig, TransferManager
results, address, target, connections, bucket = sys.argv[1:]
prefix = address.removeprefix(f"s3://{bucket}/")
connections = int(connections)
def peak():
    return int(re.search("VmHWM:\\\\s+(\\\\d+)", Path("/proc/self/status").read_text())[1])
def measured(run):
    before, start, worked = peak(), time.perf_counter(), time.process_time()
    run()
    seconds, worked = time.perf_counter() - start, time.process_time() - worked
    print(json.dumps([seconds, worked, (peak() - before) / 1024]))
def manager():
    config = Config(max_pool_connections=connections, s3={"addressing_style": "path"})
    client = boto3.client("s3", config=config)
    return client, TransferManager(client, TransferConfig(max_request_concurrency=connections))
"""
PUBLISH = """
from bidsmill.storage.addresses import open_storage
open_storage("s3://imports/everything")
import pandas, pyarrow.parquet
from bidsmill.store.publish import publish_dataset
results = Path(results)
batches = sorted((results / "convert").glob("b*.json"))
def run():
    publish_dataset(results, batches, Path(target) / "published.json", dataset=results.name,
                    store=address, connection={"connections": connections})
measured(run)
"""
UPLOAD = """
paths = [p for p in sorted(Path(results).rglob("*")) if p.suffix in (".parquet", ".tsv")]
def run():
    client, transfers = manager()
    jobs = [transfers.upload(str(p), bucket, f"{prefix}/{p.name}") for p in paths]
    for job in jobs:
        job.result()
measured(run)
"""
PULL = """
import bidsmill, pandas, pyarrow.parquet
from bidsmill.storage.addresses import open_storage
open_storage("s3://imports/everything")
def run():
    store = bidsmill.open(address, cache=target)
    store[Path(results).name].select().pull()
measured(run)
"""
DOWNLOAD = """
def run():
    client, transfers = manager()
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix + "/")
    keys = [item["Key"] for page in pages for item in page["Contents"]]
    jobs = [
        transfers.download(bucket, key, f"{target}/{key.rpartition('/')[2]}")
        for key in keys if key.endswith(".parquet")
    ]
    for job in jobs:
        job.result()
measured(run)
"""
METHODS = {
    "publish": (PUBLISH, UPLOAD),
    "pull": (PULL, DOWNLOAD),
}


def recordings(count: int, megabytes: float) -> list:
    """Return recordings that have together so many megabytes of float32."""
    from access_store import Recording

    rows = max(1, round(megabytes * 1e6 / count / (CHANNELS * TIMES * 4)))
    names = [f"E{i}" for i in range(CHANNELS)]
    made = []
    for index in range(count):
        recording = Recording(
            f"{index:03}", names, ["eeg"] * CHANNELS, rows=rows, sfreq=SFREQ, n_times=TIMES
        )
        steps = np.round(recording.array * np.float32(2 / RESOLUTION))
        recording.array = (steps * np.float32(RESOLUTION)).astype(np.float32)
        made.append(recording)
    return made


def measure(script: str, server, results: Path, address: str, folder: Path) -> list[float]:
    """Run a method once in a process of its own; return seconds, processor seconds, MB."""
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
    arguments = [str(results), address, str(target), str(CONNECTIONS), BUCKET]
    done = subprocess.run(
        [sys.executable, "-c", COMMON + script, *arguments],
        env=environment,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise SystemExit(f"a measurement failed: {done.stderr[-3000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def empty(client, prefix: str) -> None:
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
    for page in pages:
        for item in page.get("Contents", []):
            client.delete_object(Bucket=BUCKET, Key=item["Key"])


def rounds_of(server, results: Path, folder: Path, rounds: int) -> dict[str, list[list[float]]]:
    """Return what every method took in each round."""
    client = server.client()
    found: dict[str, list[list[float]]] = {}
    for number in range(rounds):
        prefix = f"{results.name}-{number}"
        address = f"s3://{BUCKET}/{prefix}"
        for name, (ours, theirs) in METHODS.items():
            for label, script in ((f"bidsmill {name}", ours), (f"s3transfer {name}", theirs)):
                # What s3transfer sends must not be there for bidsmill, nor the other way round.
                place = address + ("/plain" if script == UPLOAD else "/store")
                taken = measure(script, server, results, place, folder)
                found.setdefault(label, []).append(taken)
        empty(client, prefix)
    return found


def summary(found: dict[str, list[list[float]]], name: str, megabytes: float) -> list[dict]:
    rows = []
    for method in METHODS:
        ours, theirs = found[f"bidsmill {method}"], found[f"s3transfer {method}"]
        seconds = [statistics.median(row[0] for row in rows) for rows in (ours, theirs)]
        worked = [statistics.median(row[1] for row in rows) for rows in (ours, theirs)]
        rows.append(
            {
                "dataset": name,
                "method": method,
                "megabytes": round(megabytes, 1),
                "seconds": [round(value, 3) for value in seconds],
                "processor_seconds": [round(value, 3) for value in worked],
                "speed_of_s3transfer": round(seconds[1] / seconds[0], 3),
                "memory_growth_mb": [round(max(row[2] for row in r)) for r in (ours, theirs)],
                "to_reach": GOAL,
            }
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--megabytes", type=float, default=600, help="of float32, large matrices")
    options = parser.parse_args()
    from servers.radosgw import Radosgw
    from servers.radosgw import missing as radosgw_missing
    from store_results import Results

    if radosgw_missing():
        print(f"not measured: {radosgw_missing()} is missing "
              "(apt-get install radosgw ceph-mon ceph-osd)")  # fmt: skip
        return
    results = []
    with tempfile.TemporaryDirectory() as name, Radosgw(Path(name) / "server") as server:
        folder = Path(name)
        server.client().create_bucket(Bucket=BUCKET)
        for dataset, count, size in (("large", 16, options.megabytes), ("small", 200, 51.2)):
            made = Results(folder / dataset, recordings(count, size), dataset=dataset)
            stored = sum(p.stat().st_size for p in (made.results / "matrix").glob("*.parquet"))
            found = rounds_of(server, made.results, folder, options.rounds)
            results += summary(found, dataset, stored / 1e6)
            for row in results[-2:]:
                ours, theirs = row["seconds"]
                worked = " and ".join(f"{value:.2f}" for value in row["processor_seconds"])
                print(
                    f"{dataset:6} {row['method']:8} {row['megabytes']:7.1f} MB of Parquet: "
                    f"bidsmill {ours:.2f} s, s3transfer {theirs:.2f} s: "
                    f"{row['speed_of_s3transfer']:.2f} (to reach: {GOAL}); "
                    f"processor {worked} s; memory "
                    f"+{row['memory_growth_mb'][0]} MB, +{row['memory_growth_mb'][1]} MB"
                )
    if options.json:
        content = {"connections": CONNECTIONS, "rounds": options.rounds, "results": results}
        options.json.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
