"""Names of a listing: what would leave the folder, or could not live on a disk, is refused."""

from __future__ import annotations

import logging
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from bidsmill.errors import BidsmillError
from bidsmill.formats.files import PART_SUFFIX
from bidsmill.sources.listing import CHECKSUM, Entry

log = logging.getLogger(__name__)

# Device names of Windows, with or without extension (Microsoft, "Naming Files, Paths, and
# Namespaces"; CONIN$ and CONOUT$: "Console Handles").
RESERVED = {"CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"} | {
    f"{device}{digit}" for device in ("COM", "LPT") for digit in "0123456789¹²³"
}
# Unicode's category Cc.
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
# Linux, macOS and Windows: the longest part of a path (NAME_MAX), in bytes of UTF-8 on Linux.
LONGEST_PART = 255
# The longest path of macOS (PATH_MAX) and the longest key of S3, in bytes of UTF-8.
LONGEST_PATH = 1024
SHOWN = 10


def check_names(entries: Iterable[Entry], where: str) -> None:
    """Refuse a listing with names that leave its folder or that some disk cannot hold.

    Refused are names that are absolute or have ``..``, ``.``, empty parts, backslashes, control
    characters, drive letters, device names of Windows, parts or paths that are too long, or no
    UTF-8; names that are one name on disks that ignore case, Unicode form, or dots and spaces at
    the end; files that are also the folder of others; names of temporary files of bidsmill; and
    entries with an impossible size or checksum. Nothing is refused for a mere dot or space at the
    end, or a character that only Windows dislikes: those are logged, for such datasets exist and
    can be read everywhere else.

    Parameters
    ----------
    entries : iterable of dict
        The listing, see `bidsmill.sources.listing.Entry`.
    where : str
        Where it came from, for the message.

    Raises
    ------
    BidsmillError
        With the first offending names, a reason for each, and how many there are.
    """
    names = _Names()
    total = 0
    for entry in entries:
        total += 1
        path = entry.get("path")
        reason = names.reason(path) if isinstance(path, str) else "no text"
        reason = reason or _value_reason(entry)
        if reason:
            names.offending.append((path, reason))
    names.find_folders_that_are_files()
    if names.unwelcome:
        log.warning(
            "%s: %d names cannot be copied to a Windows disk, e.g. %s",
            where,
            len(names.unwelcome),
            _shown(names.unwelcome[0]),
        )
    if not names.offending:
        return
    listed = "; ".join(f"{_shown(path)}: {reason}" for path, reason in names.offending[:SHOWN])
    rest = len(names.offending) - SHOWN
    raise BidsmillError(
        f"{len(names.offending)} of {total} entries of the listing are refused,"
        " and nothing was written",
        file=where,
        found=listed + (f"; and {rest} more" if rest > 0 else ""),
        expected="relative names that every disk can hold, each once",
        todo="report the names to those who keep the dataset, or choose another version",
    )


@dataclass
class _Names:
    """What was seen of a listing so far."""

    # Name as a disk may see it that ignores case -> name.
    files: dict[str, str] = field(default_factory=dict)
    folders: dict[str, str] = field(default_factory=dict)
    # Folder -> why nothing can lie in it (empty: all is well); each folder is looked at once.
    judged: dict[str, str] = field(default_factory=dict)
    offending: list[tuple[Any, str]] = field(default_factory=list)
    unwelcome: list[str] = field(default_factory=list)

    def reason(self, path: str) -> str:
        """Return why a file is refused, empty if it is not."""
        try:
            length = len(path.encode("utf-8"))
        except UnicodeEncodeError:
            return "is not Unicode text (half a surrogate pair)"
        if length > LONGEST_PATH:
            return f"is longer than {LONGEST_PATH} bytes"
        folder, slash, name = path.rpartition("/")
        reason = self._folder_reason(folder) if slash else ""
        reason = reason or part_reason(name)
        if not reason and name.casefold().endswith(PART_SUFFIX):
            reason = f"ends in {PART_SUFFIX}, as temporary files of bidsmill do"
        if reason:
            return reason
        if _is_unwelcome(name):
            self.unwelcome.append(path)
        folded = _folded(path)
        other = self.files.get(folded)
        if other is not None:
            return "is listed twice" if other == path else _same_as(other)
        self.files[folded] = path
        return ""

    def _folder_reason(self, folder: str) -> str:
        known = self.judged.get(folder)
        if known is None:
            parent, slash, name = folder.rpartition("/")
            known = self._folder_reason(parent) if slash else ""
            known = known or part_reason(name)
            if not known:
                other = self.folders.setdefault(_folded(folder), folder)
                known = _same_as(other) if other != folder else ""
                if _is_unwelcome(name):
                    self.unwelcome.append(folder)
            self.judged[folder] = known
        return known

    def find_folders_that_are_files(self) -> None:
        for folded in self.files.keys() & self.folders.keys():
            folder = self.folders[folded]
            self.offending.append((self.files[folded], f"is also the folder {_shown(folder)}"))


def part_reason(part: str) -> str:
    """Return why one part of a path is refused, empty if it is not.

    Parameters
    ----------
    part : str
        Between two slashes; text that UTF-8 can hold.
    """
    if not part:
        return "is absolute, or has an empty part"
    # Windows drops dots and spaces at the end: ".. " would become "..".
    if not part.rstrip(" ."):
        return f"has the part {part!r}, which leaves its folder on some system"
    if "\\" in part:
        return "has a backslash"
    if CONTROL.search(part):
        return "has a control character"
    if re.match(r"[A-Za-z]:", part):
        return "has a drive letter"
    if part.split(".")[0].split(":")[0].rstrip(" ").upper() in RESERVED:
        return f"has the part {part!r}, a device of Windows"
    if len(part.encode("utf-8")) > LONGEST_PART:
        return f"has a part of more than {LONGEST_PART} bytes"
    return ""


def _value_reason(entry: Entry) -> str:
    size, checksum = entry.get("size"), entry.get("checksum")
    if size is not None and (type(size) is not int or size < 0):
        return f"has the size {size!r}"
    if checksum is not None and not (isinstance(checksum, str) and CHECKSUM.fullmatch(checksum)):
        return f"has the checksum {str(checksum)[:50]!r}"
    return ""


def _is_unwelcome(part: str) -> bool:
    return part[-1] in " ." or not frozenset('<>:"|?*').isdisjoint(part)


def _folded(path: str) -> str:
    """Return the name as a disk sees it that ignores case, form, and dots and spaces at ends."""
    if path.isascii():
        folded = path.lower()
    else:
        plain = unicodedata.normalize("NFC", path).casefold()
        # Folding can take a text out of its normal form.
        folded = unicodedata.normalize("NFC", plain)
    if " " in folded or "." in folded:
        folded = "/".join(part.rstrip(" .") for part in folded.split("/"))
    return folded


def _same_as(other: str) -> str:
    return f"is the same as {_shown(other)} on a disk that ignores case and Unicode form"


def _shown(path: Any) -> str:
    text = ascii(path)
    return text if len(text) <= 120 else f"{text[:100]}…{text[-20:]}"
