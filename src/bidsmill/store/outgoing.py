"""A file that is published."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Outgoing:
    """A file that belongs to a version.

    Attributes
    ----------
    kind, name : str
        Kind of the file, and its name in the manifest.
    source : pathlib.Path
        Where it is on this machine.
    path : str
        Where it stands in the store.
    size : int
        Bytes.
    sha256 : str
        Of the content that it shall have.
    facts : dict
        What the manifest says of it besides.
    remedy : str
        What to do if the file on this machine is damaged.
    """

    kind: str
    name: str
    source: Path
    path: str
    size: int
    sha256: str
    facts: dict[str, Any] = field(default_factory=dict)
    remedy: str = "run snakemake again; it makes the file"

    @property
    def entry(self) -> dict[str, Any]:
        """What the manifest says of the file."""
        stated = {key: getattr(self, key) for key in ("kind", "name", "path", "size", "sha256")}
        return {**stated, **self.facts}
