"""A small dataset, archives that hold it, and runs of the workflow that fetch it from there."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import numpy as np
import yaml
from runs import Run

SUBJECTS = ("01", "02", "03", "04")
RUNS = ("1", "2")
DESCRIPTION = {
    "Name": "Small",
    "BIDSVersion": "1.10.0",
    "License": "CC0",
    "Authors": ["A. One", "B. Two"],
    "DatasetDOI": "doi:10.0000/small",
}
# An environment in which no credentials are found, and no machine is asked for some.
STRANGER = {
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": "no-such-file",
    "AWS_SHARED_CREDENTIALS_FILE": "no-such-file",
}
# What every run of the small dataset is set to, wherever it comes from: quick, and quick to fail.
SETTINGS = {
    "windows": {"kind": "fixed", "length": 1},
    "split": {"test": 0.25},
    "fetch": {"retries": 1, "timeout": 10},
}


def stem(subject: str, run: str) -> str:
    """Return the name of a recording of the small dataset."""
    return f"sub-{subject}_task-rest_run-{run}_eeg"


def data(subject: str, run: str) -> str:
    """Return the path of its data file."""
    return f"sub-{subject}/eeg/{stem(subject, run)}.edf"


def events(subject: str, run: str) -> str:
    """Return the path of its events."""
    return data(subject, run).replace("_eeg.edf", "_events.tsv")


STEMS = [stem(subject, run) for subject in SUBJECTS for run in RUNS]


def put(root: Path, path: str, content: str | bytes) -> Path:
    """Write a file under a new inode: another folder may share the old one."""
    target = root / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    target.write_bytes(content.encode() if isinstance(content, str) else content)
    return target


def write_recording(root: Path, subject: str, run: str, seed: int = 0) -> None:
    """Write 10 s of smooth noise in three channels at 64 Hz as EDF, and its events."""
    import edfio

    noise = np.random.default_rng([int(subject), int(run), seed]).standard_normal((3, 644))
    smooth = 20 * sum(noise[:, i : i + 640] for i in range(5))
    signals = [
        edfio.EdfSignal(values, 64, label=name, physical_dimension="uV")
        for name, values in zip(("Fz", "Cz", "Pz"), smooth, strict=True)
    ]
    edfio.Edf(signals).write(put(root, data(subject, run), b""))
    rows = "".join(f"{second}.5\t0\t{'go' if second % 2 else 'stop'}\n" for second in range(1, 9))
    put(root, events(subject, run), f"onset\tduration\ttrial_type\n{rows}")


def write_dataset(root: Path, subjects: tuple[str, ...] = SUBJECTS) -> Path:
    """Write a dataset of two recordings per subject, with sidecars at two levels."""
    put(root, "dataset_description.json", json.dumps(DESCRIPTION))
    put(root, "README", "A small dataset.\n")
    put(root, "task-rest_eeg.json", json.dumps({"TaskName": "rest", "PowerLineFrequency": 50}))
    write_participants(root, subjects)
    for subject in subjects:
        for run in RUNS:
            write_recording(root, subject, run)
    return root


def write_participants(root: Path, subjects: tuple[str, ...]) -> None:
    rows = "".join(f"sub-{subject}\t{20 + int(subject)}\n" for subject in subjects)
    put(root, "participants.tsv", f"participant_id\tage\n{rows}")


def write_files(root: Path, paths: list[str]) -> Path:
    """Write files that nothing but a download will look at, each with bytes of its own."""
    for path in paths:
        put(root, path, f"content of {path}\n")
    put(root, "dataset_description.json", json.dumps(DESCRIPTION))
    return root


def copied(folder: Path, target: Path) -> Path:
    """Return a copy of a dataset that shares its bytes; `put` replaces, and spoils nothing."""
    subprocess.run(["cp", "-al", str(folder), str(target)], check=True)
    return target


def files_of(root: Path) -> dict[str, bytes]:
    """Return path -> bytes of every file below a folder."""
    found = sorted(path for path in root.rglob("*") if path.is_file())
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in found}


def digest(algorithm: str, content: bytes) -> str:
    """Return a checksum as it stands in a lock."""
    if algorithm == "git":
        blob = b"blob %d\0" % len(content) + content
        return f"git:{hashlib.sha1(blob).hexdigest()}"
    return f"{algorithm}:{hashlib.new(algorithm, content).hexdigest()}"


class Bucket:
    """A dataset in a bucket, behind a proxy that writes down what is asked for.

    Parameters
    ----------
    client : boto3 client
        Of the bucket's owner, past the proxy.
    name, prefix : str
        Where the dataset is.
    proxy : FaultyProxy
        What the workflow takes for the server.
    """

    def __init__(self, client: Any, name: str, proxy: Any, prefix: str = "ds"):
        self.client, self.name, self.proxy, self.prefix = client, name, proxy, prefix

    def settings(self, **more: Any) -> dict[str, Any]:
        url = f"s3://{self.name}/{self.prefix}"
        endpoint = self.proxy.url.rstrip("/")
        return {"source": "s3", "url": url, "endpoint": endpoint, **SETTINGS, **more}

    def mirror(self, folder: Path) -> None:
        """Let the bucket hold exactly the files of a folder; what is there already stays."""
        answer = self.client.list_objects_v2(Bucket=self.name, Prefix=f"{self.prefix}/")
        there = {item["Key"]: item["ETag"].strip('"') for item in answer.get("Contents", [])}
        wanted = {f"{self.prefix}/{path}": content for path, content in files_of(folder).items()}
        for key in set(there) - set(wanted):
            self.client.delete_object(Bucket=self.name, Key=key)
        for key, content in wanted.items():
            if there.get(key) != hashlib.md5(content).hexdigest():
                self.client.put_object(Bucket=self.name, Key=key, Body=content)

    def asked(self) -> list[str]:
        """Return the paths of the files that were asked for since the last call."""
        requests, self.proxy.requests[:] = list(self.proxy.requests), []
        start = f"/{self.name}/{self.prefix}/"
        paths = [unquote(urlsplit(r.path).path) for r in requests if r.method == "GET"]
        return sorted(path.removeprefix(start) for path in paths if path.startswith(start))


class SmallRun(Run):
    """A folder in which the workflow runs over datasets of archives."""

    @property
    def config(self) -> Path:
        return self.folder / "own.yaml"

    def configure(self, **datasets: dict[str, Any]) -> SmallRun:
        """Write the config: its datasets by name."""
        self.config.write_text(yaml.safe_dump({"datasets": datasets}))
        return self

    def change(self, dataset: str = "small", **settings: Any) -> None:
        """Change settings of a dataset; None takes one away."""
        known = yaml.safe_load(self.config.read_text())["datasets"]
        known[dataset] |= settings
        known[dataset] = {k: v for k, v in known[dataset].items() if v is not None}
        self.configure(**known)

    def go(self, *targets: str, fails: bool = False) -> str:
        """Run the workflow, up to some results of ``small`` if they are named."""
        return self.snakemake(*targets, "--configfile", str(self.config), fails=fails)

    def begin(self, *targets: str) -> subprocess.Popen:
        """Start the workflow, and return while it runs."""
        return self.start(*targets, "--configfile", str(self.config))

    def bidsmill(self, *arguments: str) -> subprocess.CompletedProcess:
        """Run the command ``bidsmill`` in the folder."""
        return subprocess.run(
            [sys.executable, "-m", "bidsmill.cli", *arguments, "--configfile", str(self.config)],
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def copy(self, folder: Path) -> SmallRun:
        """Return a copy with all times, to be changed."""
        subprocess.run(["cp", "-a", str(self.folder), str(folder)], check=True)
        return SmallRun(folder, self.project)

    def bytes_of_results(self) -> dict[str, bytes]:
        """Return every result; when and where the last look saw fetched files is none."""
        every = super().bytes_of_results()
        return {path: every[path] for path in every if "/fetch-state/" not in path}

    def lock(self, dataset: str = "small") -> dict[str, Any]:
        return json.loads((self.results / dataset / "lock.json").read_bytes())

    def fates(self, dataset: str = "small") -> dict[str, str]:
        """Return what became of each recording: its status, or the reason of its quarantine."""
        return {name: m["reason"] or m["status"] for name, m in self.members(dataset).items()}

    def members(self, dataset: str = "small") -> dict[str, dict[str, Any]]:
        """Return what the manifest of the conversion says of each recording."""
        path = self.results / dataset / "convert" / "b0000.json"
        return json.loads(path.read_bytes())["members"]

    def matrices(self, dataset: str = "small") -> dict[str, bytes]:
        folder = self.results / dataset / "matrix"
        return {path.stem: path.read_bytes() for path in sorted(folder.glob("*.parquet"))}

    def fetched(self, dataset: str = "small") -> dict[str, bytes]:
        return files_of(self.results / dataset / "bids")

    def kept(self, dataset: str = "small") -> dict[str, tuple[bytes, int]]:
        """Return bytes and time of all that single recordings have: what must not move."""
        folder, found = self.results / dataset, {}
        for part in ("matrix", "events", "bids"):
            for path in sorted(p for p in (folder / part).rglob("*") if p.is_file()):
                name = path.relative_to(folder).as_posix()
                found[name] = (path.read_bytes(), path.stat().st_mtime_ns)
        return found

    def moved(self, before: dict[str, tuple[bytes, int]], dataset: str = "small") -> set[str]:
        """Return what came, went or moved since `kept` was called."""
        after = self.kept(dataset)
        return {name for name in before | after if before.get(name) != after.get(name)}


def results_of(name: str) -> set[str]:
    """Return the files that a recording has in `SmallRun.kept`, but for those of the source."""
    found = {f"matrix/{name}.json", f"matrix/{name}.parquet"}
    return found | {f"events/{name}.json", f"events/{name}.tsv"}


def wait_until(condition: Callable[[], bool], process: subprocess.Popen) -> None:
    """Wait for something to happen while a process runs."""
    for _ in range(3000):
        if condition():
            return
        if process.poll() is not None:
            break
        time.sleep(0.02)
    process.kill()
    raise AssertionError(f"it never happened: {process.communicate()[0][-4000:]}")


def kill_all(process: subprocess.Popen) -> None:
    """End a run, and every process that it has started, as a power cut does."""
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)


def without_logs(printed: str) -> str:
    """Return what a run printed without the log files of failed jobs that Snakemake repeats."""
    return re.sub(r"(?ms)^Logfile .*?^=+$.*?^=+$", "", printed)
