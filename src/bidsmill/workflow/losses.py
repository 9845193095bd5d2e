"""What was deleted by hand: Snakemake does not know of files that are not declared."""

from __future__ import annotations

import json
import sys
from pathlib import Path

MOST = 5
CONFIG = "(with the --configfile of this run)"
# Stage -> folder of its files, and the command that makes one of them again.
FOLDERS = {
    "convert": ("matrix", "snakemake --cores 2 -f results/{dataset}/matrix/{stem}.json"),
    "annotate": ("events", "snakemake --cores 2 -R annotate"),
}


def lost_files(dataset: str, results: Path) -> list[tuple[str, str]]:
    """Return files that manifests name and that are not there.

    Parameters
    ----------
    dataset : str
        Dataset id.
    results : pathlib.Path
        ``results/{dataset}``.

    Returns
    -------
    list of (str, str)
        Path, and the command that makes the file again. Manifests that cannot be read say nothing.
    """
    lost = []
    for stage, (folder, command) in FOLDERS.items():
        there = {path.name for path in (results / folder).glob("*")}
        for manifest in sorted((results / stage).glob("b*.json")):
            try:
                members = json.loads(manifest.read_bytes())["members"]
            except (OSError, ValueError, LookupError):
                continue
            for stem, member in members.items():
                for name in set(member.get("files", {})) - there:
                    path = str(results / folder / name)
                    lost.append((path, command.format(dataset=dataset, stem=stem)))
    return lost


def tell_losses(datasets: list[str]) -> None:
    """Name lost files on standard error, with the commands that make them again."""
    for dataset in datasets:
        lost = lost_files(dataset, Path("results") / dataset)
        for path, command in lost[:MOST]:
            print(f"bidsmill: {path} is gone; make it again: {command} {CONFIG}", file=sys.stderr)
        if len(lost) > MOST:
            print(
                f"bidsmill: ... and {len(lost) - MOST} more files of {dataset};"
                f" make all again: snakemake --cores 2 -R annotate convert {CONFIG}",
                file=sys.stderr,
            )
