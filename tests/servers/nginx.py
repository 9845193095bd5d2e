"""nginx that serves a folder over HTTPS."""

from __future__ import annotations

import http.client
import json
import ssl
from pathlib import Path
from typing import NamedTuple

from servers.authority import Authority
from servers.children import Child, ServerProblem, accepts, first_missing
from servers.ports import PortBlock

PING = "/-ping-"
# One process: nothing is left over when it is killed, and it handles one event after the other.
SETTINGS = """
daemon off;
master_process off;
pid "{folder}/nginx.pid";
error_log "{folder}/error.log" warn;
events {{ worker_connections 512; }}
http {{
  log_format requests escape=json '["$request_method","$request_uri","$http_range","$status"]';
  access_log "{folder}/access.log" requests;
  client_body_temp_path "{folder}/body";
  proxy_temp_path "{folder}/proxy";
  fastcgi_temp_path "{folder}/fastcgi";
  uwsgi_temp_path "{folder}/uwsgi";
  scgi_temp_path "{folder}/scgi";
  default_type application/octet-stream;
  server {{
    listen 127.0.0.1:{port} ssl;
    ssl_certificate "{certificate}";
    ssl_certificate_key "{key}";
    root "{root}";
    location = {ping} {{ access_log off; return 204; }}
  }}
}}
"""


class Request(NamedTuple):
    """What nginx wrote down about a request; `range` is empty when none was asked for."""

    method: str
    path: str
    range: str
    status: int


def missing() -> str | None:
    """Return the program that is not installed (Debian: nginx-light), or None."""
    return first_missing(["nginx"])


class Nginx:
    """nginx that serves the files of a folder over HTTPS, with ranges, and logs every request.

    Parameters
    ----------
    folder : pathlib.Path
        For its settings, logs and temporary files.
    root : pathlib.Path
        What it serves.
    authority : Authority
        Issues its certificate.

    Attributes
    ----------
    url : str
        ``https://127.0.0.1:PORT/``
    """

    def __init__(self, folder: Path, root: Path, authority: Authority):
        self.folder, self.root = folder.resolve(), root.resolve()
        self._certificate, self._key = authority.certificate("127.0.0.1", "localhost")
        self._child: Child | None = None
        for attempt in range(5):
            self._ports = PortBlock()
            self.port = self._ports.first
            try:
                self.restart()
                return
            except ServerProblem:
                self.__exit__()
                if attempt == 4:
                    raise

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}/"

    def restart(self) -> None:
        """Start again on the same port; what still runs is stopped first. Its log goes on."""
        self.stop()
        self.folder.mkdir(parents=True, exist_ok=True)
        settings, printed = self.folder / "nginx.conf", self.folder / "error.log"
        settings.write_text(
            SETTINGS.format(
                folder=self.folder,
                root=self.root,
                port=self.port,
                certificate=self._certificate.resolve(),
                key=self._key.resolve(),
                ping=PING,
            )
        )
        command = ["nginx", "-p", str(self.folder), "-e", str(printed), "-c", str(settings)]
        child = self._child = Child(command, printed)
        child.wait_until(lambda: accepts(self.port))

    def requests(self) -> list[Request]:
        """Return the requests that were answered so far, in the order in which they ended."""
        # nginx writes a line after the last byte of the answer, before it turns to the next
        # event: once it answers another connection, the line is there.
        if self._child and self._child.process.poll() is None:
            connection = http.client.HTTPSConnection(
                "127.0.0.1", self.port, timeout=60, context=ssl._create_unverified_context()
            )
            connection.request("GET", PING)
            connection.getresponse().read()
            connection.close()
        lines = (self.folder / "access.log").read_text().splitlines()
        found = [json.loads(line) for line in lines]
        return [Request(method, path, span, int(code)) for method, path, span, code in found]

    def forget(self) -> None:
        """Empty the log of requests."""
        (self.folder / "access.log").write_bytes(b"")

    def kill(self) -> None:
        """End it with SIGKILL; `restart` starts it again."""
        if self._child:
            self._child.kill()

    def stop(self) -> None:
        """Ask it to end; `restart` starts it again."""
        if self._child:
            self._child.stop()

    def __enter__(self) -> Nginx:
        return self

    def __exit__(self, *error: object) -> None:
        self.kill()
        self._ports.release()
