"""Server processes that never outlive the tests."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

# nginx lies in /usr/sbin, which is not on the path of every user.
PATH = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin"))


class ServerProblem(Exception):
    """A server did not start."""


def environment() -> dict[str, str]:
    """Return the environment for servers: ours without what steers our own Python."""
    ours = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
    return {**{k: v for k, v in os.environ.items() if k not in ours}, "PATH": PATH}


def first_missing(programs: Sequence[str]) -> str | None:
    """Return the programs of a list that are not installed, separated by spaces, or None."""
    return " ".join(p for p in programs if not shutil.which(p, path=PATH)) or None


class Child:
    """A server in the foreground, in a process group of its own.

    On Linux the kernel kills it when the *thread* that started it ends, also if the tests are
    killed: start servers in the main thread, as pytest does.

    Parameters
    ----------
    command : sequence of str
        The command line.
    log : pathlib.Path
        What the server prints is appended here.
    """

    def __init__(self, command: Sequence[str], log: Path):
        self.name, self.log = command[0], log
        follow = ["setpriv", "--pdeathsig", "KILL", "--"] if shutil.which("setpriv") else []
        with log.open("ab") as printed:
            self.process = subprocess.Popen(
                [*follow, *command],
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env=environment(),
            )

    def wait_until(self, ready: Callable[[], bool], seconds: float = 60) -> None:
        """Wait until the server is ready.

        Raises
        ------
        ServerProblem
            If it ended, or is not ready in time.
        """
        end = time.monotonic() + seconds
        while not ready():
            if self.process.poll() is not None or time.monotonic() > end:
                printed = self.log.read_text(errors="replace")[-3000:]
                raise ServerProblem(f"{self.name} did not start:\n{printed}")
            time.sleep(0.02)

    def kill(self) -> None:
        """End the server and its children with SIGKILL."""
        self._signal(signal.SIGKILL)
        self.process.wait()

    def stop(self, seconds: float = 15) -> None:
        """Ask the server to end; kill it when it does not."""
        self._signal(signal.SIGTERM)
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()

    def _signal(self, number: int) -> None:
        # Once waited for, the number of the process may belong to another one.
        if self.process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, number)


def accepts(port: int) -> bool:
    """Return whether somebody listens on a port of 127.0.0.1."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0
