"""A store for the tests of commands, in a folder and in buckets, and the commands in-process."""

from __future__ import annotations

import json
from pathlib import Path

from access_store import Recording, StoreBuilder, mixed_recordings, samples_of

from bidsmill import cli


def build(root: Path) -> dict[str, list[Recording]]:
    """Publish two datasets; `faces` has an older version with another first recording."""
    builder = StoreBuilder(root)
    recordings = mixed_recordings()
    older = [Recording("01", recordings[0].sources, recordings[0].types, seed=7), *recordings[1:]]
    builder.publish("faces", older, samples_of(older), snapshot="1.0.0")
    builder.publish("faces", recordings, samples_of(recordings), snapshot="1.1.0")
    other = recordings[:2]
    builder.publish("other", other, samples_of(other, seed=3), snapshot="2.0")
    return {"faces": recordings, "other": other, "faces@1.0.0": older}


def upload(client, root: Path, bucket: str, prefix: str = "") -> None:
    """Copy a store to a bucket, file by file."""
    for path in sorted(p for p in root.rglob("*") if p.is_file() and not p.name.startswith(".")):
        client.upload_file(str(path), bucket, f"{prefix}{path.relative_to(root).as_posix()}")


def pointer(root: Path, dataset: str) -> dict:
    return json.loads((root / "datasets" / dataset / "latest.json").read_bytes())


def manifest(root: Path, dataset: str, version: str | None = None) -> dict:
    version = version or pointer(root, dataset)["version"]
    path = root / "datasets" / dataset / "versions" / f"{version}.json"
    return json.loads(path.read_bytes())


def run(capsys, *arguments: object) -> tuple[int, str, str]:
    """Run a command; return its exit code and what it printed and told."""
    try:
        code = cli.main([str(argument) for argument in arguments])
    except SystemExit as left:
        code = left.code
    return code, *capsys.readouterr()


def answer(capsys, *arguments: object, code: int = 0) -> dict:
    """Run a command with --json, and return what it printed."""
    found, printed, told = run(capsys, *arguments, "--json")
    assert found == code, (found, printed, told)
    return json.loads(printed)
