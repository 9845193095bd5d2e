"""Slurm with one node on this machine: its daemons and munge, run by the user of the tests.

The configuration has to lie in /etc/slurm: the executor plugin takes every ``SLURM_*`` variable out
of the environment of a job. So there is one such Slurm at a time, and none where the machine
belongs to a cluster already.
"""

from __future__ import annotations

import fcntl
import getpass
import os
import subprocess
import time
from pathlib import Path

from servers.children import Child, ServerProblem, environment, first_missing
from servers.ports import PortBlock

CONFIGURATION = Path("/etc/slurm/slurm.conf")
OURS = "# One node for the tests of bidsmill; removed when they end.\n"
ONE_AT_A_TIME = CONFIGURATION.with_name("bidsmill-tests.lock")
PROGRAMS = ["slurmctld", "slurmd", "sbatch", "squeue", "scancel", "scontrol", "munged"]
SETTINGS = """
ClusterName=test
SlurmctldHost=localhost
SlurmUser={user}
SlurmdUser={user}
AuthInfo=socket={folder}/munge.socket
SlurmctldPort={port}
SlurmdPort={node_port}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=sched_interval=2,batch_sched_delay=0,sched_min_interval=0
ReturnToService=2
MpiDefault=none
MinJobAge=600
KillWait=5
NodeName=localhost NodeHostName=localhost NodeAddr=127.0.0.1 CPUs={cores} RealMemory={megabytes}
PartitionName=main Nodes=localhost Default=YES MaxTime=INFINITE State=UP
"""


def missing() -> str | None:
    """Return what is missing to start a Slurm, or None."""
    if programs := first_missing(PROGRAMS):
        return f"{programs} (Debian: slurm-wlm and munge)"
    if CONFIGURATION.exists() and not CONFIGURATION.read_text().startswith(OURS):
        return f"a machine without a Slurm of its own: there is {CONFIGURATION}"
    if not os.access(CONFIGURATION.parent, os.W_OK):
        return f"the right to write into {CONFIGURATION.parent}"
    return None


class Slurm:
    """A Slurm cluster of one node.

    Parameters
    ----------
    folder : pathlib.Path
        For state and logs of the daemons.
    """

    def __init__(self, folder: Path):
        self.folder = folder.resolve()
        self._children: list[Child] = []
        self._turn = ONE_AT_A_TIME.open("w")
        fcntl.flock(self._turn, fcntl.LOCK_EX)
        self._ports = PortBlock()
        self._remover: subprocess.Popen | None = None
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise

    def _start(self) -> None:
        for name in ("state", "spool"):
            (self.folder / name).mkdir(parents=True)
        key, socket = self.folder / "munge.key", self.folder / "munge.socket"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o600)
        named = {"key-file": key, "socket": socket, "log-file": self.folder / "munge.log"}
        named |= {name: self.folder / f"munge.{name}" for name in ("pid-file", "seed-file")}
        options = [f"--{name}={path}" for name, path in named.items()]
        self._run(["munged", "--foreground", "--force", *options], "munged").wait_until(
            socket.exists
        )
        settings = self.folder / "slurm.conf"
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        settings.write_text(
            OURS
            + SETTINGS.format(
                user=getpass.getuser(),
                folder=self.folder,
                port=self._ports.first,
                node_port=self._ports.first + 1,
                cores=os.cpu_count(),
                megabytes=round(0.9 * total / 1e6),
            )
        )
        controller = self._run(["slurmctld", "-D", "-f", str(settings)], "slurmctld")
        controller.wait_until(lambda: "is UP" in self.ask("scontrol", "ping"))
        # Where nobody answers, each start of the plugin waits ten seconds: the file is there only
        # as long as the controller is. It goes with this process, however that ends.
        self._remover = subprocess.Popen(
            ["sh", "-c", f'read line; rm -f "{CONFIGURATION}"'],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )
        CONFIGURATION.write_text(settings.read_text())
        node = self._run(["slurmd", "-D", "-N", "localhost"], "slurmd")
        node.wait_until(lambda: "idle" in self.ask("sinfo", "-h", "-o", "%T"))

    def _run(self, command: list[str], name: str) -> Child:
        child = Child(command, self.folder / f"{name}.printed")
        self._children.append(child)
        return child

    def ask(self, *command: str) -> str:
        """Return what a Slurm command prints."""
        known = {**environment(), "SLURM_CONF": str(self.folder / "slurm.conf")}
        done = subprocess.run(command, env=known, capture_output=True, text=True, check=False)
        return done.stdout

    def jobs(self) -> list[dict[str, str]]:
        """Return every job that the controller remembers: id, state, cores, memory, comment."""
        names = ("id", "state", "cores", "memory", "minutes", "comment")
        printed = self.ask("squeue", "-h", "-t", "all", "-o", "%i|%T|%C|%m|%l|%k")
        lines = [line.split("|", len(names) - 1) for line in printed.splitlines()]
        return [dict(zip(names, line, strict=True)) for line in lines]

    def wait_for(self, comment: str, state: str, seconds: float = 120) -> str:
        """Return the id of the first job with this in its comment, once it is in that state."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for job in self.jobs():
                if comment in job["comment"] and job["state"] == state:
                    return job["id"]
            time.sleep(0.1)
        raise ServerProblem(f"no job {comment!r} came to be {state}: {self.jobs()}")

    def __enter__(self) -> Slurm:
        return self

    def __exit__(self, *error: object) -> None:
        if self._remover:
            self.ask("scancel", "--full", "--signal=KILL", f"--user={getpass.getuser()}")
            self._remover.communicate(b"\n")
        for child in reversed(self._children):
            child.kill()
        self._ports.release()
        self._turn.close()
