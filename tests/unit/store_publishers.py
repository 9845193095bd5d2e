"""Publishers in processes of their own, and a store in a bucket as plain boto3 reads it."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import bidsmill

SOURCE = Path(bidsmill.__file__).parents[1]
PUBLISH = """
import json, logging, sys
from pathlib import Path
from bidsmill.errors import BidsmillError
from bidsmill.store.publish import publish_dataset
import pandas, pyarrow.parquet, bidsmill.formats.matrix, boto3, bidsmill.storage.bucket
results, store, connection = Path(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3])
logging.basicConfig(level=logging.INFO)
print("ready", flush=True)
sys.stdin.readline()
try:
    publish_dataset(
        results,
        [results / "convert" / "b0000.json", results / "convert" / "b0001.json"],
        results / "published.json",
        dataset=results.name,
        store=store,
        connection=connection,
    )
except BidsmillError as error:
    print(error, flush=True)
else:
    print("done", flush=True)
"""


def start(results: Path, store: str, connection: dict | None = None) -> subprocess.Popen:
    """Start a publisher that waits for a line before it begins."""
    run = subprocess.Popen(
        [sys.executable, "-c", PUBLISH, str(results), store, json.dumps(connection or {})],
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert run.stdout.readline() == "ready\n"
    return run


def go(run: subprocess.Popen) -> None:
    """Let a publisher begin."""
    run.stdin.write("\n")
    run.stdin.flush()


class PlainStore:
    """A store in a bucket, read by boto3 alone, with what the data contract says.

    Parameters
    ----------
    client : boto3 client
        Of the server itself.
    bucket, prefix : str
        Where the store is.
    """

    def __init__(self, client: Any, bucket: str, prefix: str):
        self.client, self.bucket, self.prefix = client, bucket, prefix

    @property
    def address(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}"

    def get(self, path: str) -> bytes | None:
        try:
            answer = self.client.get_object(Bucket=self.bucket, Key=f"{self.prefix}/{path}")
        except self.client.exceptions.NoSuchKey:
            return None
        return answer["Body"].read()

    def paths(self) -> dict[str, int]:
        """Return the size of every object, by its path below the prefix."""
        pages = self.client.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket, Prefix=f"{self.prefix}/"
        )
        items = [item for page in pages for item in page.get("Contents", [])]
        return {item["Key"].removeprefix(f"{self.prefix}/"): item["Size"] for item in items}

    def pointer(self, dataset: str = "ds") -> dict | None:
        content = self.get(f"datasets/{dataset}/latest.json")
        return None if content is None else json.loads(content)

    def check_version(self, version: str, dataset: str = "ds") -> dict:
        """Check every file of a version by its bytes, and return the manifest."""
        content = self.get(f"datasets/{dataset}/versions/{version}.json")
        assert content is not None, f"the manifest of {version} is missing"
        assert hashlib.sha256(content).hexdigest().startswith(version.rpartition("-")[2])
        manifest = json.loads(content)
        assert manifest["files"]
        for entry in manifest["files"]:
            stored = self.get(entry["path"])
            assert stored is not None, f"{entry['path']} of {version} is missing"
            assert len(stored) == entry["size"], entry["path"]
            assert hashlib.sha256(stored).hexdigest() == entry["sha256"], entry["path"]
        return manifest

    def check_latest(self, dataset: str = "ds") -> str | None:
        """Check what the pointer names, if there is one, and return the version."""
        pointer = self.pointer(dataset)
        if pointer is None:
            return None
        self.check_version(pointer["version"], dataset)
        return pointer["version"]
