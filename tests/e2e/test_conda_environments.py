"""Each rule runs with nothing but the packages of its environment file."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest
import stand_in_conda
from runs import Run, differing

# What parsing the workflow needs beside Snakemake; pinned by the lock.
DRIVER = ("snakemake", "jsonschema", "pyyaml")


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_rules_run_in_their_own_environments(tmp_path, root):
    lock = (root / "requirements.lock").read_text()
    pins = [
        line.split(" ")[0]
        for line in lock.splitlines()
        if line.startswith(tuple(f"{n}==" for n in DRIVER))
    ]
    assert len(pins) == len(DRIVER)
    driver = tmp_path / "driver"
    venv.create(driver, with_pip=True)
    python = driver / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", *pins], check=True)
    conda = stand_in_conda.install(tmp_path / "conda")
    run = Run(tmp_path / "run", root)
    run.folder.mkdir()
    environment = {
        **os.environ,
        "PATH": f"{conda}:{Path(sys.prefix) / 'bin'}:{os.environ['PATH']}",
        "STAND_IN_CONDA": str(conda.parent),
    }
    command = [str(python), *run.command("--software-deployment-method", "conda")[1:]]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr)[-5000:]
    plain = Run(tmp_path / "plain", root)
    plain.folder.mkdir()
    plain.snakemake()
    assert differing(run.bytes_of_results(), plain.bytes_of_results()) == set()
