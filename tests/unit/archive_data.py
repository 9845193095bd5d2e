"""A small BIDS dataset as archives hold it, and the settings of a source."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any


def settings(**given: Any) -> dict[str, Any]:
    """Return settings of a dataset, as the config's validation leaves them."""
    fetch = {"retries": given.pop("retries", 1), "timeout": given.pop("timeout", 10)}
    empty = dict.fromkeys(("id", "version", "url", "endpoint", "profile", "manifest"))
    return {**empty, "fetch": fetch, **given}


def blob(content: bytes) -> str:
    """Return the SHA-1 under which git keeps some content."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def make_dataset(root: Path, subjects: tuple[str, ...] = ("01", "02")) -> Path:
    """Write a dataset with signals, sidecars, an empty file, a link and a name with blanks."""
    files: dict[str, bytes] = {
        "dataset_description.json": json.dumps(
            {
                "Name": "Small",
                "BIDSVersion": "1.10.0",
                "License": "CC0",
                "Authors": ["A. One", "B. Two"],
                "DatasetDOI": "10.1/x",
            }
        ).encode(),
        "README": b"Some words.\n",
        ".bidsignore": b"extra/\n",
        "participants.tsv": b"participant_id\n" + "".join(f"sub-{s}\n" for s in subjects).encode(),
        "empty.txt": b"",
        "extra/a b+c.tsv": b"x\n1\n",
    }
    for label in subjects:
        for run in ("1", "2"):
            stem = f"sub-{label}/eeg/sub-{label}_task-rest_run-{run}"
            files[f"{stem}_eeg.edf"] = f"signal of {label} {run}".encode() * 50
            files[f"{stem}_eeg.json"] = b'{"TaskName": "rest"}'
            files[f"{stem}_events.tsv"] = f"onset\tduration\n{run}\t0\n".encode()
    for path, content in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)
    (root / "CHANGES").symlink_to("README")
    return root
