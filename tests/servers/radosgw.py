"""Ceph's S3 server: a monitor, a store of objects and the gateway, without any other daemon."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
import uuid
from pathlib import Path
from typing import Any

from servers.children import PATH, Child, ServerProblem, accepts, environment, first_missing
from servers.ports import PortBlock

PROGRAMS = ("ceph", "ceph-mon", "ceph-osd", "monmaptool", "radosgw", "radosgw-admin")
# Authentication off, one copy of everything, small pools and short waits: what makes it start in
# seconds. Without tcp_nodelay every small answer takes 40 ms. The gateway's cache is off because
# after a kill its first change would wait 30 s for the gateway that is gone to drop its copy.
SETTINGS = """
[global]
fsid = {cluster}
mon host = [v1:127.0.0.1:{monitor}]
public addr = 127.0.0.1
cluster addr = 127.0.0.1
ms bind msgr2 = false
ms bind port min = {first}
ms bind port max = {last}
auth cluster required = none
auth service required = none
auth client required = none
auth supported = none
keyring = {folder}/keyring
run dir = {folder}/run
admin socket =
log file = {folder}/log/$name.log
mon cluster log file = {folder}/log/cluster.log
pid file =
crash dir = {folder}/log
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pgp num = 1
osd pool default pg autoscale mode = off
paxos propose interval = 0.05
paxos min wait = 0.01
osd crush chooseleaf type = 0
mon allow pool size one = true
mon allow pool delete = true
mon max pg per osd = 2000
mon osd full ratio = .97
mon data avail crit = 1
mon data avail warn = 2
[mon.a]
mon data = {folder}/mon
mon initial members = a
[osd.0]
osd data = {folder}/osd
osd objectstore = bluestore
osd class load list = *
osd class default list = *
osd memory target = 1073741824
bluestore block create = true
bluestore block size = 8589934592
bluestore block db create = false
bluestore block wal create = false
bluestore cache autotune = false
bluestore cache size = 134217728
bluestore fsck quick fix on mount = false
osd op num shards = 2
[client.rgw]
rgw data = {folder}/rgw
rgw frontends = beast endpoint=127.0.0.1:{gateway} tcp_nodelay=1
rgw thread pool size = 16
rgw cache enabled = false
rgw enable usage log = false
rgw enable gc threads = false
rgw enable lc threads = false
rgw enable quota threads = false
rgw enable ops log = false
rgw dynamic resharding = false
rgw override bucket index max shards = 1
rgw multipart min part size = 5242880
"""


def missing() -> str | None:
    """Return the programs that are not installed (Debian: radosgw ceph-mon ceph-osd), or None."""
    return first_missing(PROGRAMS)


class Radosgw:
    """A real S3 server on loopback, empty at first.

    It takes some 5 s to start and 0.2 GB of memory: share one per session, with a bucket per
    test. Space of deleted objects is not given back before the end.

    Parameters
    ----------
    folder : pathlib.Path
        For its data and logs; not on a memory file system.

    Attributes
    ----------
    endpoint : str
        ``http://127.0.0.1:PORT``
    access_key, secret_key : str
        Of the user to whom buckets made through `client` belong.
    """

    access_key = "AKTEST"
    secret_key = "sekrit123"  # no secret: of the test server alone

    def __init__(self, folder: Path):
        self.folder = folder.resolve()
        self._children: list[Child] = []
        for attempt in range(3):
            self._ports = PortBlock()
            try:
                self._create()
                return
            except ServerProblem:
                self._close()
                if attempt == 2:
                    raise

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._ports.first}"

    def client(self, anonymous: bool = False) -> Any:
        """Return a boto3 client that tries once and puts the bucket in the path.

        Parameters
        ----------
        anonymous : bool
            Send unsigned requests.
        """
        import boto3
        from botocore import UNSIGNED
        from botocore.config import Config

        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            region_name="us-east-1",
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            config=Config(
                s3={"addressing_style": "path"},
                retries={"total_max_attempts": 1},
                signature_version=UNSIGNED if anonymous else "s3v4",
            ),
        )

    def public_bucket(self, name: str) -> str:
        """Create a bucket that anyone may list and read, and return its name."""
        client = self.client()
        client.create_bucket(Bucket=name)
        anyone = {"Effect": "Allow", "Principal": {"AWS": ["*"]}}
        statements = [
            {**anyone, "Action": ["s3:ListBucket"], "Resource": [f"arn:aws:s3:::{name}"]},
            {**anyone, "Action": ["s3:GetObject"], "Resource": [f"arn:aws:s3:::{name}/*"]},
        ]
        policy = {"Version": "2012-10-17", "Statement": statements}
        client.put_bucket_policy(Bucket=name, Policy=json.dumps(policy))
        return name

    def stop(self) -> None:
        """Ask every daemon to end; `restart` starts them again with what was stored."""
        for child in reversed(self._children):
            child.stop()
        self._children = []

    def kill(self) -> None:
        """End every daemon with SIGKILL; `restart` starts them again with what was stored."""
        for child in reversed(self._children):
            child.kill()
        self._children = []

    def restart(self) -> None:
        """Start again on the same port; what still runs is stopped first."""
        self.stop()
        self._start("ceph-mon", "-i", "a").wait_until(lambda: accepts(self._ports.first + 10))
        self._start_store()
        self._start_gateway()

    def __enter__(self) -> Radosgw:
        return self

    def __exit__(self, *error: object) -> None:
        self._close()

    def _close(self) -> None:
        self.kill()
        self._ports.release()
        # The logs stay, for the reader of a failed test.
        for name in ("mon", "osd"):
            shutil.rmtree(self.folder / name, ignore_errors=True)

    def _create(self) -> None:
        """Lay out an empty cluster and start it."""
        for name in ("mon", "osd", "log", "run", "rgw"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        (self.folder / "keyring").write_text("")
        cluster, store, first = str(uuid.uuid4()), str(uuid.uuid4()), self._ports.first
        (self.folder / "ceph.conf").write_text(
            SETTINGS.format(
                folder=self.folder,
                cluster=cluster,
                gateway=first,
                monitor=first + 10,
                first=first + 20,
                last=first + 60,
            )
        )
        monitors = str(self.folder / "monmap")
        address = f"[v1:127.0.0.1:{first + 10}]"
        create = ["--create", "--clobber", "--fsid", cluster, "--addv", "a", address, monitors]
        self._run("monmaptool", *create, settings=False)
        keys = str(self.folder / "keyring")
        self._run("ceph-mon", "--mkfs", "-i", "a", "--monmap", monitors, "--keyring", keys)
        self._start("ceph-mon", "-i", "a").wait_until(lambda: accepts(first + 10))
        # For a moment after its start the monitor answers EPERM.
        self._run("ceph", "osd", "create", store, "0", tries=50)
        self._run("ceph-osd", "-i", "0", "--mkfs", "--no-mon-config", "--osd-uuid", store)
        self._start_store()
        user = ["--uid=test", "--display-name=test"]
        keys_of_user = [f"--access-key={self.access_key}", f"--secret-key={self.secret_key}"]
        admin = ["-n", "client.rgw", "--no-mon-config", "user", "create"]
        self._run("radosgw-admin", *admin, *user, *keys_of_user)
        self._start_gateway()

    def _start_store(self) -> None:
        # Without --no-mon-config some starts fail with "wrong fsid".
        child = self._start("ceph-osd", "-i", "0", "--no-mon-config")
        # After a kill the monitor takes the store for running still; the gateway then waits for
        # it, and listens only once it has read from the store.
        child.wait_until(self._store_is_up)

    def _store_is_up(self) -> bool:
        try:
            # A question that meets a monitor which is only starting may stay without an answer.
            done = self._try("ceph", "osd", "stat", "-f", "json", timeout=10)
        except ServerProblem:
            return False
        return done.returncode == 0 and json.loads(done.stdout)["num_up_osds"] == 1

    def _start_gateway(self) -> None:
        child = self._start("radosgw", "-n", "client.rgw", "--no-mon-config")
        child.wait_until(lambda: accepts(self._ports.first))

    def _start(self, program: str, *arguments: str) -> Child:
        command = [program, "-c", str(self.folder / "ceph.conf"), *arguments, "-f"]
        child = Child(command, self.folder / "log" / f"{program}.out")
        self._children.append(child)
        return child

    def _try(
        self, program: str, *arguments: str, settings: bool = True, timeout: float = 60
    ) -> Any:
        chosen = ["-c", str(self.folder / "ceph.conf")] if settings else []
        command = [shutil.which(program, path=PATH) or program, *chosen, *arguments]
        try:
            return subprocess.run(
                command,
                capture_output=True,
                text=True,
                timeout=timeout,
                env=environment(),
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise ServerProblem(f"{' '.join(command)}: no end after {timeout} s") from error

    def _run(self, program: str, *arguments: str, tries: int = 1, settings: bool = True) -> None:
        for attempt in range(tries):
            done = self._try(program, *arguments, settings=settings)
            if done.returncode == 0:
                return
            if attempt < tries - 1:
                time.sleep(0.1)
        raise ServerProblem(f"{program} {' '.join(arguments)}: {done.stdout}{done.stderr}")
