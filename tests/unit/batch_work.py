"""Work for batches, in a module of its own: worker processes import it."""

from __future__ import annotations

import hashlib
import math
import os
import signal
from dataclasses import dataclass
from pathlib import Path

from bidsmill.errors import BidsmillError, RecordingProblem


@dataclass
class Work:
    """Write one file for a recording; what else happens is said by its settings."""

    folder: Path
    fates: dict[str, str]

    def __call__(self, member: dict) -> dict:
        stem = member["stem"]
        fate = self.fates.get(stem, "well")
        with open(self.folder.parent / "treated.txt", "a") as file:
            file.write(f"{stem}\n")
        self._suffer(fate, stem)
        content = f"{stem} {member.get('content', '')}".encode()
        (self.folder / f"{stem}.bin").write_bytes(content)
        stated = {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        detail = {"value": math.nan if fate == "nan" else 1}
        return {
            "status": "converted",
            "reason": "",
            "message": "",
            "files": {f"{stem}.bin": stated},
            "detail": detail,
        }

    def _suffer(self, fate: str, stem: str) -> None:
        if fate == "problem":
            raise RecordingProblem("no_events", "no event is chosen", file=stem)
        if fate == "unusable":
            raise BidsmillError("this cannot be used")
        if fate == "bug":
            raise ZeroDivisionError("1/0")
        if fate == "unpicklable":
            raise Unpicklable("x", "y")
        if fate == "full":
            Path("/dev/full").write_bytes(b"x")
        if fate == "killed":
            os.kill(os.getpid(), signal.SIGKILL)


class Unpicklable(Exception):
    """An exception that a pool cannot bring back: its arguments are not those of __init__."""

    def __init__(self, one, other):
        super().__init__(one)
