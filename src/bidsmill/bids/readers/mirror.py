"""A folder of links in which mended files stand in place of broken ones."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path


class Mirror:
    """Links to files of a dataset under the names that a reader expects.

    The dataset is never edited, and no samples are copied: what is mended is a small file that
    stands in the mirror, everything else is a link. The folder goes when the object goes; keep
    it as long as the recording is read.

    Parameters
    ----------
    name : str
        Name of the folder inside a temporary one, ``''`` for the temporary one itself.
    links : mapping of str to pathlib.Path
        Name in the mirror -> file of the dataset.
    contents : mapping of str to bytes
        Name in the mirror -> what stands there in place of a link.

    Attributes
    ----------
    path : pathlib.Path
        The folder.
    """

    def __init__(
        self, name: str, links: Mapping[str, Path], contents: Mapping[str, bytes] | None = None
    ):
        self._folder = tempfile.TemporaryDirectory(prefix="bidsmill-")
        self.path = Path(self._folder.name) / name
        self.path.mkdir(exist_ok=True)
        contents = contents or {}
        for inside, content in contents.items():
            (self.path / inside).write_bytes(content)
        for inside, target in links.items():
            if inside not in contents:
                (self.path / inside).symlink_to(target.absolute())

    def named_as(self, path: Path, text: str) -> str:
        """Return a message that names the mirror, with the dataset's path in its place."""
        return text.replace(str(self.path), str(path))
