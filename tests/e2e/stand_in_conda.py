"""A test double of conda, no replacement for it: makes virtual environments of an env's pins.

It answers what Snakemake asks of conda, so that rules run with the versions of `envs/*.yaml` and
nothing else. It shows that the lists are complete, not that a conda channel has the builds.
"""

from __future__ import annotations

import json
import subprocess
import sys
import venv
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent
# Name on conda-forge -> name on PyPI, where they differ.
ON_PYPI = {"mne-base": "mne", "python-isal": "isal", "dask-core": "dask"}
ACTIVATE = 'export CONDA_PREFIX="$1"\nexport PATH="$1/bin:$PATH"\n'


def requirements(path: str) -> list[str]:
    found = []
    for entry in yaml.safe_load(Path(path).read_text())["dependencies"]:
        if isinstance(entry, dict):
            found.extend(entry["pip"])
        elif entry != "pip" and not entry.startswith("python "):
            name, version = entry.split(" =")
            found.append(f"{ON_PYPI.get(name, name)}=={version}")
    return found


def install(folder: Path) -> Path:
    """Write a `conda` command into a folder, and return the folder to put on PATH."""
    (folder / "bin").mkdir(parents=True)
    command = folder / "bin" / "conda"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{Path(__file__).resolve()}" "$@"\n')
    command.chmod(0o755)
    (folder / "bin" / "activate").write_text(ACTIVATE)
    return folder / "bin"


def main(arguments: list[str]) -> None:
    prefix = str(Path(__import__("os").environ["STAND_IN_CONDA"]))
    if arguments == ["info", "--json"]:
        print(json.dumps({"conda_prefix": prefix, "platform": "linux-64"}))
    elif arguments == ["--version"]:
        print("conda 99.0.0")
    elif arguments[:3] == ["config", "--get", "channel_priority"]:
        print(json.dumps({"get": {"channel_priority": "strict"}}))
    elif arguments[:2] == ["env", "create"]:
        target = arguments[arguments.index("--prefix") + 1]
        venv.create(target, with_pip=True)
        pins = requirements(arguments[arguments.index("--file") + 1])
        python = f"{target}/bin/python"
        subprocess.check_call([python, "-m", "pip", "install", "--quiet", *pins])


if __name__ == "__main__":
    main(sys.argv[1:])
