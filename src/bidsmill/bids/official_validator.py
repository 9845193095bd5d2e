"""Runs the official BIDS validator, which is a JavaScript programme inside a Python wheel."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

PACKAGE = "bids-validator-deno"
TIMEOUT = 3600.0  # s
# The validator holds a table in memory: all rows of any events file, not all of a motion capture.
MAX_ROWS = 100_000
# 0: no errors; 16: errors found. Deno itself ends with 1 when the programme throws.
VALID_EXITS = (0, 16)
# What Deno needs of the environment. The others change results (BIDS_SCHEMA takes the rules from
# an address) or are secrets (AWS_SECRET_ACCESS_KEY is used for git-annex remotes).
KEPT_ENVIRONMENT = ("PATH", "HOME", "TMPDIR", "DENO_DIR", "XDG_CACHE_HOME", "SYSTEMROOT")


def run_validator(
    root: Path, *, timeout: float = TIMEOUT
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Run the official validator on a dataset, without network, and without leave to write.

    Parameters
    ----------
    root : pathlib.Path
        The folder of the dataset.
    timeout : float
        Seconds after which it is stopped.

    Returns
    -------
    state : dict
        ``ran``; ``version`` of the package; ``schema``, the version of the BIDS schema it used;
        ``reason`` why it could not run.
    issues : list of dict
        ``source``, ``severity``, ``code``, ``file`` relative to `root`, ``message``; ``row`` where
        the validator names a line.
    """
    try:
        version: str | None = importlib.metadata.version(PACKAGE)
    except importlib.metadata.PackageNotFoundError:
        version = None
    command = _command()
    if command is None:
        return _failed(version, f"{PACKAGE} is not installed: pip install {PACKAGE}"), []
    report, reason = _run([*command, *_arguments(root)], timeout)
    if report is None:
        return _failed(version, reason.replace(str(root.resolve()), "").replace(str(root), "")), []
    schema = report.get("summary", {}).get("schemaVersion")
    meanings = report["issues"].get("codeMessages", {})
    issues = [_issue(found, meanings) for found in report["issues"]["issues"]]
    return {"ran": True, "version": version, "schema": schema}, issues


def _failed(version: str | None, reason: str) -> dict[str, Any]:
    return {"ran": False, "version": version, "reason": reason}


def _arguments(root: Path) -> list[str]:
    return [str(root.resolve()), "--format", "json", "--max-rows", str(MAX_ROWS)]


def _command() -> list[str] | None:
    """Return the command that runs the validator, or None if it is not installed.

    The script of the wheel gives the programme leave to write, to run git and to reach the
    network; started by our hand it can only read.
    """
    package = importlib.util.find_spec("bids_validator_deno")
    if package is None:
        return None
    bundle = Path(str(package.origin)).parent / "bids-validator.js"
    if bundle.is_file() and importlib.util.find_spec("deno") is not None:
        from deno import find_deno_bin

        refused = ["--no-prompt", "--deny-net", "--deny-write", "--deny-run"]
        options = [*refused, "--allow-read", "--allow-env"]
        return [os.fsdecode(find_deno_bin()), "run", *options, str(bundle)]
    # Older wheels hold one binary, with its permissions built in.
    beside = Path(sys.executable).with_name(PACKAGE)
    script = str(beside) if beside.is_file() else shutil.which(PACKAGE)
    return None if script is None else [script]


def _run(command: Sequence[str], timeout: float) -> tuple[dict[str, Any] | None, str]:
    """Return the validator's report, or None and the reason why there is none."""
    environment = {k: os.environ[k] for k in KEPT_ENVIRONMENT if k in os.environ}
    environment |= {"NO_COLOR": "1", "DENO_NO_UPDATE_CHECK": "1"}
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as complaints:
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=complaints,
                env=environment,
                timeout=timeout,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return None, f"the validator was stopped after {timeout:g} s"
        except OSError as error:
            return None, f"the validator cannot be started: {error.strerror}"
        output.seek(0)
        complaints.seek(0)
        text, complaint = output.read(), complaints.read().decode("utf-8", "replace").split("\n")
    if done.returncode not in VALID_EXITS:
        return None, f"the validator ended with exit code {done.returncode}: {complaint[0]}".strip()
    try:
        report = json.loads(text)
        report["issues"]["issues"]
    except (ValueError, KeyError, TypeError):
        return None, "the validator's output is not the JSON expected"
    return report, ""


def _issue(found: Mapping[str, Any], meanings: Mapping[str, str]) -> dict[str, Any]:
    code = found["code"]
    message = found.get("issueMessage") or meanings.get(code) or code
    detail = found.get("subCode")
    issue = {
        "source": "bids-validator",
        "severity": found["severity"],
        "code": code,
        "file": (found.get("location") or "").lstrip("/"),
        "message": " ".join(f"{detail}: {message}".split() if detail else message.split()),
    }
    if isinstance(found.get("line"), int):
        # The validator counts lines from 1, the header is the first.
        issue["row"] = found["line"] - 2
    return issue
