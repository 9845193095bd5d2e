"""The log of a job: messages for people on the terminal, tracebacks in the file."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from bidsmill.errors import BidsmillError
from bidsmill.workflow.job_log import job_log

SOURCE = Path(__file__).resolve().parents[2] / "src"
START = """
import logging, sys, warnings
from bidsmill.errors import BidsmillError, RecordingProblem
from bidsmill.workflow.job_log import job_log
log = logging.getLogger("bidsmill.some.part")
with job_log(sys.argv[1]):
    log.info("begun")
"""


def run(tmp_path, *lines: str):
    """Run a job in a process of its own; return exit code, terminal and log."""
    code = START + "".join(f"    {line}\n" for line in lines)
    path = tmp_path / "logs" / "deep" / "job.log"
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == ""
    return done.returncode, done.stderr, path.read_text(encoding="utf-8")


def test_a_job_that_ends_well(tmp_path):
    code, terminal, log = run(tmp_path, "log.debug('seen %d', 3)")
    assert (code, terminal) == (0, "")
    assert log == "INFO bidsmill.some.part: begun\nDEBUG bidsmill.some.part: seen 3\n"


def test_a_problem_for_people(tmp_path):
    problem = "BidsmillError('no such thing', file='a.edf', todo='fetch it')"
    code, terminal, log = run(tmp_path, f"raise {problem}")
    assert code == 1
    assert terminal == "bidsmill: no such thing; file: a.edf; to do: fetch it\n"
    assert log.endswith("ERROR bidsmill: no such thing; file: a.edf; to do: fetch it\n")
    assert "Traceback" not in log


def test_a_recording_problem_is_one_too(tmp_path):
    code, terminal, log = run(tmp_path, "raise RecordingProblem('x', 'not usable')")
    assert (code, terminal) == (1, "bidsmill: not usable\n")
    assert "Traceback" not in log


@pytest.mark.parametrize("error", ["ZeroDivisionError", "KeyError", "MemoryError", "OSError"])
def test_any_other_exception(tmp_path, error):
    code, terminal, log = run(tmp_path, f"raise {error}('spoilt')")
    assert code == 1
    assert "Traceback" not in terminal
    assert terminal.count("\n") == 1
    assert f"{error}: " in terminal
    assert "spoilt" in terminal
    assert "job.log" in terminal
    assert "Traceback (most recent call last)" in log
    assert f"{error}: " in log


def test_warnings_go_to_the_log(tmp_path):
    code, terminal, log = run(
        tmp_path,
        "warnings.warn('from a library', RuntimeWarning)",
        "warnings.warn('old', DeprecationWarning)",
        "log.warning('our own')",
    )
    assert code == 0
    assert terminal == "bidsmill: our own\n"
    assert "RuntimeWarning: from a library" in log
    assert "DeprecationWarning: old" in log
    assert "WARNING bidsmill.some.part: our own" in log


def test_names_that_are_not_utf8(tmp_path):
    """A file name of another encoding must not hide the message that names it."""
    code, terminal, log = run(tmp_path, "raise BidsmillError('bad', file='M\\udcfcller.edf')")
    assert code == 1
    assert "bad; file: M\\udcfcller.edf" in terminal
    assert "bad; file: M\\udcfcller.edf" in log
    assert "Traceback" not in log + terminal


def test_an_interrupt_is_no_fault(tmp_path):
    code, terminal, log = run(tmp_path, "raise KeyboardInterrupt")
    assert (code, terminal) == (130, "")
    assert "interrupted" in log


def test_sys_exit_passes(tmp_path):
    assert run(tmp_path, "sys.exit(7)")[0] == 7


def test_a_second_job_begins_a_new_log(tmp_path):
    run(tmp_path, "log.info('first')")
    assert "first" not in run(tmp_path, "log.info('second')")[2]


def test_the_process_is_left_as_it_was(tmp_path):
    logger, captured = logging.getLogger("bidsmill"), logging.getLogger("py.warnings")

    def state():
        return [(log.handlers, log.propagate, log.level) for log in (logger, captured)]

    before, shown = state(), warnings.showwarning
    with pytest.raises(SystemExit), job_log(tmp_path / "a.log"):
        raise BidsmillError("x")
    with job_log(tmp_path / "b.log"):
        assert state() != before
    assert state() == before
    assert warnings.showwarning is shown
