"""Files that are whole or absent: atomic writing, canonical JSON, checksums, safe names."""

from __future__ import annotations

import hashlib
import io
import json
import os
import secrets
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bidsmill.errors import BidsmillError

PART_SUFFIX = ".part"


@contextmanager
def atomic_path(path: str | os.PathLike) -> Iterator[Path]:
    """Give a temporary name beside `path`; rename it to `path` when the block ends well.

    The content is synced to the disk before the rename, so that a killed process or a lost
    machine leaves the old file, or none, and never a half-written one.

    Parameters
    ----------
    path : path-like
        The final name. Its folder is created.

    Yields
    ------
    pathlib.Path
        A name that does not exist yet, in the same folder. The block must create it.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.parent / f".{target.name}.{os.getpid()}-{secrets.token_hex(4)}{PART_SUFFIX}"
    try:
        yield temporary
        with open(temporary, "rb") as written:
            os.fsync(written.fileno())
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def remove_parts(path: str | os.PathLike) -> None:
    """Remove what killed writers of `path` left beside it.

    Only for the one job that owns `path`: a writer at work would lose its file.
    """
    target = Path(path)
    for part in target.parent.glob(f".{literal_glob(target.name)}.*{PART_SUFFIX}"):
        part.unlink(missing_ok=True)


def literal_glob(name: str) -> str:
    """Return the pattern that matches a name and nothing else."""
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)


def write_bytes(path: str | os.PathLike, content: bytes) -> None:
    """Write `content` to `path` atomically."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: str | os.PathLike, text: str) -> None:
    """Write `text` to `path` as UTF-8, atomically, with its line ends as they are.

    Half a surrogate pair, which UTF-8 cannot hold, is escaped as Python does it.
    """
    write_bytes(path, text.encode("utf-8", "backslashreplace"))


def json_bytes(content: Any) -> bytes:
    """Return `content` as JSON bytes that depend on the content alone.

    Keys keep their order (it carries meaning for the reader); numbers are written as Python
    writes them; NaN and infinities are refused, as JSON has none. Half a surrogate pair, as a
    cut emoji leaves it, is escaped.

    Raises
    ------
    ValueError
        If `content` holds a NaN or an infinity.
    """
    text = json.dumps(content, ensure_ascii=False, indent=1, allow_nan=False)
    # For a surrogate, Python's escape is JSON's: the text that is read back is the same.
    return (text + "\n").encode("utf-8", "backslashreplace")


def canonical_sha256(content: Any) -> str:
    """Return the sha256 of `content` as JSON with sorted keys and no spaces."""
    text = json.dumps(
        content, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False
    )
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()


def write_json(path: str | os.PathLike, content: Any) -> None:
    """Write `content` to `path` as JSON, atomically (see `json_bytes`)."""
    write_bytes(path, json_bytes(content))


def replace_if_different(path: str | os.PathLike, content: bytes) -> bool:
    """Write `content` to `path` only if the file does not hold it already.

    A file that keeps its bytes keeps its times, so that nothing downstream runs again.

    Returns
    -------
    bool
        Whether the file was written.
    """
    target = Path(path)
    if target.is_file() and target.read_bytes() == content:
        return False
    write_bytes(target, content)
    return True


def read_json(path: str | os.PathLike) -> Any:
    """Read a JSON file that bidsmill wrote.

    Raises
    ------
    BidsmillError
        If the file is absent or is not JSON.
    """
    try:
        return json.loads(Path(path).read_bytes())
    except FileNotFoundError:
        raise BidsmillError("a file is missing", file=path, expected="a JSON file") from None
    except (ValueError, OSError) as error:
        raise BidsmillError("a file cannot be read as JSON", file=path, found=error) from None


def sha256_file(path: str | os.PathLike) -> str:
    """Return the sha256 of a file as 64 hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def inside(folder: str | os.PathLike, name: str) -> Path:
    """Join a name that came from outside to `folder`, and refuse one that would leave it.

    Parameters
    ----------
    folder : path-like
        The folder that must hold the result.
    name : str
        A relative POSIX path.

    Raises
    ------
    BidsmillError
        If `name` is absolute, has ``..``, ``.``, a NUL, a backslash or an empty part.
    """
    parts = name.split("/")
    if any(part in ("", ".", "..") or "\0" in part or "\\" in part for part in parts):
        raise BidsmillError(
            "a name would leave its folder",
            found=repr(name),
            expected="a relative path without '..' or backslashes",
        )
    return Path(folder).joinpath(*parts)


def plain_text(text: str) -> str:
    """Return `text` in Unicode normal form C, without space around it."""
    return unicodedata.normalize("NFC", text).strip()


def read_arrays(path: str | os.PathLike, what: str) -> dict[str, Any]:
    """Read a file of arrays (``.npz``) of ours; nothing in it is executed.

    Parameters
    ----------
    path : path-like
        The file.
    what : str
        What it should be, for messages: ``an anatomy``.

    Raises
    ------
    BidsmillError
        If it cannot be read.
    """
    import numpy as np

    try:
        content = io.BytesIO(Path(path).read_bytes())
        with np.load(content, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays}
    # A damaged file can make NumPy fail in any way; all of them mean the same to a person.
    except Exception as error:
        said = getattr(error, "strerror", None) or f"{type(error).__name__}: {error}"
        raise BidsmillError(
            f"{what} cannot be read",
            file=path,
            found=said,
            expected="an .npz file of the rule simulate_anatomy",
            todo="check that the file is complete, or make it again",
        ) from None
