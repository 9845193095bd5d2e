"""Tutorials, run as a reader runs them: their commands in order, their Python as one program."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterable
from pathlib import Path

import yaml
from stages import run_stages

from bidsmill.workflow.summary import summary_lines

# Where every stage runs in the process of the test, unless it is long.
IN_THIS_PROCESS = ("docs/tutorial-curators.md",)


def run_tutorial(
    commands: Iterable[tuple[str, str]],
    folder: Path,
    run_block: Callable[[str, str, Path], str],
    in_this_process: bool = False,
) -> str:
    """Run the blocks of a page, and return what they print.

    Parameters
    ----------
    commands : iterable of (str, str)
        Language and text of each block that can be run.
    folder : pathlib.Path
        The root of a project, in which the demo was made.
    run_block : callable
        Runs one of them in a folder.
    in_this_process : bool
        Call the stages that Snakemake would start. Dry runs are left out.
    """
    printed, program = "", ""
    for language, code in commands:
        if language == "python":
            program += code
        elif in_this_process and code.startswith("snakemake"):
            printed += "" if "--dry-run" in code else _stages(code, folder)
        elif language == "sh":
            printed += run_block(language, f"{{\n{code}}} 2>&1\n", folder)
        else:
            printed += run_block(language, code, folder)
    return printed + (run_block("python", program, folder) if program else "")


def _stages(command: str, folder: Path) -> str:
    """Do what a command of Snakemake does for the datasets of its config."""
    name = re.search(r"--configfile (\S+)", command)
    assert name, f"{command} names no config"
    config = yaml.safe_load((folder / name.group(1)).read_text())
    run_stages(folder, config)
    with contextlib.chdir(folder):
        return "\n".join(summary_lines(sorted(config["datasets"]), config["store"]))


def lines_not_printed(shown: Iterable[str], printed: str) -> list[str]:
    """Return the lines of the page that nothing printed; ``...`` stands for anything."""
    lines = [line for text in shown for line in text.splitlines()]
    return [
        line
        for line in lines
        if not re.search(r".*".join(re.escape(part) for part in line.split("...")), printed)
    ]
