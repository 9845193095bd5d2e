"""Damaged copies of the corpus, made from a seed: the same seed makes the same damage."""

from __future__ import annotations

import json
import os
import random
import shutil
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

from runs import DATASETS

from bidsmill.bids.recordings import Recording, find_recordings

# Texts that stand where another value is expected.
CELLS = (
    "", "n/a", "NaN", "inf", "-inf", "-1", "0", "1e308", "1e-320", "-9223372036854775809",
    "99999999999999999999", "1,5", "0x10", "true", "[1, 2]", "\u00b5V", "\u2028", "\ufeff1", "a b",
    "\U0001f9e0", "=1+1", "../..", "%s%n", "'", '"', "bad", "TRIG", "x" * 5000,
)  # fmt: skip
VALUES = (
    None, True, False, 0, -1, 1e308, -1e308, 10**400, float("nan"), float("inf"), "", "n/a", "512",
    "50 Hz", [], {}, [[[]]], {"a": {"b": []}}, ["x", 1, None], "\u00b5\ud800", "x" * 10000,
)  # fmt: skip
# Whole texts that replace a sidecar, or stand in place of data.
JUNK = (
    b"", b"\n", b"\0" * 64, b"\xff\xfe", b"\xef\xbb\xbf", b"{", b"[]", b'"text"', b"null", b"1e999",
    b"\t\t\t\n\t\t", b"onset\n", b"name\ttype\nname\ttype\n", b"\r\r\r", b"<html></html>\n",
    b"[" * 100_000, b'{"a":' * 5000, b"\t" * 20000 + b"\n1",
    b"../../.git/annex/objects/aa/bb/MD5E-s3--0.edf\n",
    b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 3\n",
)  # fmt: skip
ENCODINGS = ("utf-16", "utf-8-sig", "utf-32", "latin-1", "cp037", "utf-7")
NAMES = (
    "{stem}.EDF", "{stem}.bdf", "{stem}.edf", "{stem}.set", "{stem}.vhdr", "{stem}.fif",
    "{stem}.snirf", "{stem}.cnt", "{stem}.gdf", "{stem}.con", "{stem}.nwb", "{stem}.txt",
    "{stem}.mefd", "{stem}.dat", "{stem}", "{stem} (1){end}", "{stem}\u00e9{end}", ".{stem}{end}",
    "{stem}_split-01{end}", "sub-99_{stem}{end}", "{stem}_events.tsv", "x{end}", "{stem}{end}.gz",
)  # fmt: skip
# ASCII values for the fields of EDF's header, which are 8 bytes or fewer where they are numbers.
FIELDS = (
    b"", b"-1", b"0", b"1", b"255", b"99999999", b"-32768", b"32767", b"1e300", b"nan", b"\xff",
)  # fmt: skip
WORDS = (0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 3, 1024, 65536)
TEXT_HEADERS = (".vhdr", ".vmrk")
# Bytes at the begin of a file that count as its header: 63 channels of EDF, the superblock of
# HDF5, the tags of a FIF file's measurement info.
HEADER = 16384


def make_mutant(pristine: Path, target: Path, seed: int) -> list[str]:
    """Write a damaged copy of one to three recordings and say what was done to it.

    Files are hard links to those of `pristine`; a damaged file replaces its link.

    Parameters
    ----------
    pristine : pathlib.Path
        A copy of the corpus on the same disk as `target`.
    target : pathlib.Path
        The BIDS folder to make.
    seed : int
        Of every choice.

    Returns
    -------
    list of str
        The dataset, then each mutation.
    """
    chance = random.Random(seed)
    # Datasets are drawn first, so that the formats of small ones are met as often.
    name = chance.choice(DATASETS)
    root = pristine / name
    paths = sorted(
        p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_file() or p.is_symlink()
    )
    found = find_recordings(paths)
    chosen = chance.sample(found, min(len(found), chance.randint(1, 3)))
    own = _files_of(chosen)
    for path in paths:
        if path in own or "/" not in path:
            place = target / path
            place.parent.mkdir(parents=True, exist_ok=True)
            os.link(root / path, place, follow_symlinks=False)
    done = [name]
    for _ in range(chance.randint(1, 4)):
        done.append(_mutate(target, chance, chosen))
    return done


def _files_of(chosen: list[Recording]) -> set[str]:
    sidecars = {p for r in chosen for paths in r.sidecars.values() for p in paths}
    return sidecars.union(*(r.files for r in chosen), *(r.alternatives for r in chosen))


def _mutate(root: Path, chance: random.Random, chosen: list[Recording]) -> str:
    """Do one mutation to one file, or to two."""
    there = sorted(p for p in root.rglob("*") if p.is_file() and not p.is_symlink())
    if not there:
        return "nothing left"
    data = {root / path for recording in chosen for path in recording.files}
    of_data = [p for p in there if p in data]
    pool = of_data if of_data and chance.random() < 0.65 else there
    path = chance.choice(pool)
    if chance.random() < 0.15:
        return _move(root, path, chance, there)
    content = path.read_bytes()
    kinds: list[Callable] = [*ANY, *ANY] if path in data else []
    suffix = path.suffix.lower()
    if suffix == ".json":
        kinds += [rewrite_json] * 6 + [recode, junk, truncate, flip]
    elif suffix == ".tsv":
        kinds += [rewrite_table] * 6 + [recode, junk, truncate, flip]
    elif suffix in TEXT_HEADERS:
        kinds += [rewrite_header] * 16 + [recode]
    elif suffix == ".set":
        kinds += [rewrite_compressed] * 6
        # SciPy, which writes the fields, crashes on some files that are damaged already.
        kinds += [rewrite_fields] * 10 * (path.stat().st_nlink > 1)
    elif suffix in (".edf", ".bdf"):
        kinds += [rewrite_edf] * 10
    kind = chance.choice(kinds or [junk, flip])
    changed, said = kind(content, chance)
    _replace(path, changed)
    return f"{path.relative_to(root)}: {kind.__name__} {said}"


def _replace(path: Path, content: bytes) -> None:
    """Write a file anew: what is linked to it elsewhere stays as it is."""
    path.unlink()
    path.write_bytes(content)


def _move(root: Path, path: Path, chance: random.Random, there: list[Path]) -> str:
    """Delete, rename or swap files, or put a broken link in place of one."""
    said, kind = str(path.relative_to(root)), chance.choice(("delete", "rename", "swap", "link"))
    if kind == "delete":
        path.unlink()
    elif kind == "rename":
        new = chance.choice(NAMES).format(stem=path.stem, end=path.suffix)
        place = path.with_name(new)
        if not place.exists():
            path.rename(place)
        said += f" to {new!r}"
    elif kind == "swap":
        other = chance.choice(there)
        if other != path:
            path.rename(path.with_name("swapped"))
            other.rename(path)
            path.with_name("swapped").rename(other)
        said += f" with {other.relative_to(root)}"
    else:
        path.unlink()
        goal = chance.choice(("../../.git/annex/objects/a/b/c", path.name, "/dev/zero", "."))
        # A device is no file of a dataset, and reading it would never end.
        path.symlink_to(goal if goal != "/dev/zero" else "/nowhere")
        said += f" to {goal}"
    return f"{kind} {said}"


def _place(size: int, chance: random.Random) -> int:
    """Return a position: mostly in the header, at times at the end, or anywhere."""
    where = chance.random()
    if where < 0.7:
        return chance.randrange(min(size, chance.choice((300, 4096, HEADER))))
    if where < 0.8:
        return size - 1 - chance.randrange(min(size, 4096))
    return chance.randrange(size)


def flip(content: bytes, chance: random.Random) -> tuple[bytes, str]:
    """Flip one to eight bits, or write whole bytes."""
    changed = bytearray(content or b"\0")
    places = [_place(len(changed), chance) for _ in range(chance.randint(1, 8))]
    for place in places:
        changed[place] = chance.choice((changed[place] ^ (1 << chance.randrange(8)), 0, 255, 32))
    return bytes(changed), f"at {places}"


def number(content: bytes, chance: random.Random) -> tuple[bytes, str]:
    """Write an extreme whole number of two or four bytes."""
    changed = bytearray(content or b"\0")
    place, word = _place(len(changed), chance), chance.choice(WORDS)
    code = chance.choice(("<I", ">I", "<H", ">H"))
    packed = struct.pack(code, word & (0xFFFF if code[1] == "H" else 0xFFFFFFFF))
    changed[place : place + len(packed)] = packed
    return bytes(changed), f"{word} as {code} at {place}"


def truncate(content: bytes, chance: random.Random) -> tuple[bytes, str]:
    """Cut the end off."""
    size = chance.choice((len(content) - 1, len(content) // 2, _place(len(content) or 1, chance)))
    return content[: max(0, size)], f"to {size} of {len(content)}"


def extend(content: bytes, chance: random.Random) -> tuple[bytes, str]:
    """Put bytes after the end."""
    size = chance.choice((1, 7, 512, 100_000))
    return content + chance.choice((bytes(size), chance.randbytes(size), content[:size])), f"{size}"


def span(content: bytes, chance: random.Random) -> tuple[bytes, str]:
    """Zero, drop, double or scramble a span."""
    start = _place(len(content) or 1, chance)
    stop = start + chance.choice((1, 8, 256, 5000, 100_000))
    piece = content[start:stop]
    kind = chance.choice(("zero", "drop", "double", "scramble"))
    new = {
        "zero": bytes(len(piece)),
        "drop": b"",
        "double": piece * 2,
        "scramble": chance.randbytes(len(piece)),
    }[kind]
    return content[:start] + new + content[stop:], f"{kind} {start}:{stop}"


def swap_spans(content: bytes, chance: random.Random) -> tuple[bytes, str]:
    """Swap two spans of the same length."""
    size = chance.choice((1, 4, 16, 256, 4096))
    one, two = sorted(_place(len(content) or 1, chance) for _ in range(2))
    two = max(two, one + size)
    parts = (
        content[:one],
        content[two : two + size],
        content[one + size : two],
        content[one : one + size],
        content[two + size :],
    )
    return b"".join(parts), f"{one} and {two}, {size} bytes"


def junk(content: bytes, chance: random.Random) -> tuple[bytes, str]:
    """Put something else in place of all."""
    new = chance.choice((*JUNK, chance.randbytes(3000)))
    return new, repr(new[:30])


def recode(content: bytes, chance: random.Random) -> tuple[bytes, str]:
    """Write a text in another encoding, or with other line ends."""
    text = content.decode("latin-1")
    encoding = chance.choice((*ENCODINGS, "line ends"))
    if encoding == "line ends":
        text = text.replace("\n", chance.choice(("\r", "\n\n", "\r\r\n")))
        return text.encode("latin-1"), encoding
    return text.encode(encoding, "replace"), encoding


def rewrite_json(content: bytes, chance: random.Random) -> tuple[bytes, str]:
    """Put a value of another type in a random place of a JSON file, or take a key out."""
    try:
        whole = json.loads(content)
    except (ValueError, RecursionError):
        return junk(content, chance)
    if not isinstance(whole, dict) or not whole:
        return junk(content, chance)
    inside, key = whole, chance.choice(sorted(whole))
    while isinstance(inside[key], dict) and inside[key] and chance.random() < 0.6:
        inside, key = inside[key], chance.choice(sorted(inside[key]))
    value = chance.choice((*VALUES, "drop"))
    if value == "drop":
        del inside[key]
    else:
        inside[key] = value
    # A number too long for Python's own reader of digits is written as it stands.
    text = json.dumps(whole).encode("ascii", "backslashreplace")
    return text, f"{key} = {repr(value)[:40]}"


def rewrite_table(content: bytes, chance: random.Random) -> tuple[bytes, str]:
    """Change cells, columns or rows of a table."""
    rows = [line.split("\t") for line in content.decode("latin-1").split("\n")]
    kind = chance.choice(("cell", "cell", "cell", "column", "header", "row", "shuffle", "double"))
    row = chance.randrange(len(rows))
    column = chance.randrange(len(rows[0]))
    if kind == "cell":
        rows[row][min(column, len(rows[row]) - 1)] = chance.choice(CELLS)
    elif kind == "column":
        rows = [cells[:column] + cells[column + 1 :] for cells in rows]
    elif kind == "header":
        rows[0][column] = chance.choice((*CELLS, rows[0][0], rows[0][-1].upper(), "sample", "HED"))
    elif kind == "row":
        rows[row] = chance.choice(([], rows[row][:1], rows[row] * 3, ["#"], list(CELLS)))
    elif kind == "shuffle":
        rows[1:] = chance.sample(rows[1:], len(rows) - 1)
    else:
        rows += rows[1:] * chance.choice((1, 50))
    text = "\n".join("\t".join(cells) for cells in rows)
    return text.encode("utf-8", "surrogatepass"), f"{kind} row {row} column {column}"


def rewrite_header(content: bytes, chance: random.Random) -> tuple[bytes, str]:
    """Change a line of a BrainVision header."""
    lines = content.decode("utf-8", "surrogateescape").split("\n")
    fields = [i for i, line in enumerate(lines) if "=" in line] or [0]
    place = chance.choice(fields)
    key, _, value = lines[place].partition("=")
    kind = chance.choice(("value", "value", "value", "part", "drop", "double", "section", "swap"))
    if kind == "value":
        lines[place] = f"{key}={chance.choice((*CELLS, 'VECTORIZED', 'IEEE_FLOAT_32', 'ASCII'))}"
    elif kind == "part":
        parts = value.split(",")
        parts[chance.randrange(len(parts))] = chance.choice(CELLS)
        lines[place] = f"{key}={','.join(parts)}"
    elif kind == "drop":
        del lines[place]
    elif kind == "double":
        lines.insert(place, lines[chance.choice(fields)])
    elif kind == "section":
        sections = [i for i, line in enumerate(lines) if line.startswith("[")] or [0]
        lines[chance.choice(sections)] = chance.choice(("", "[Other]", "[", "[Coordinates]"))
    else:
        other = chance.choice(fields)
        lines[place], lines[other] = lines[other], lines[place]
    return "\n".join(lines).encode("utf-8", "surrogateescape"), f"{kind} {key[:30]!r}"


def rewrite_edf(content: bytes, chance: random.Random) -> tuple[bytes, str]:
    """Put another value in a field of an EDF header (the EDF specification's field widths)."""
    fixed = [(0, 8), (8, 80), (88, 80), (168, 8), (176, 8), (184, 8), (192, 44), (236, 8)]
    fixed += [(244, 8), (252, 4)]
    try:
        count = min(4096, max(1, int(content[252:256])))
    except ValueError:
        count = 1
    start, of_channels = 256, []
    for width in (16, 80, 8, 8, 8, 8, 8, 80, 8, 32):
        of_channels += [(start + width * i, width) for i in range(count)]
        start += width * count
    place, width = chance.choice(chance.choice((fixed, of_channels)))
    value = chance.choice(FIELDS).ljust(width)[:width]
    return content[:place] + value + content[place + width :], f"{value[:8]!r} at {place}"


def rewrite_compressed(content: bytes, chance: random.Random) -> tuple[bytes, str]:
    """Change bytes inside a compressed variable of a MAT file of version 5."""
    changed, place = content[:128], 128
    try:
        kind, size = struct.unpack("<II", content[place : place + 8])
        if kind != 15:
            return flip(content, chance)
        inner = zlib.decompress(content[place + 8 : place + 8 + size])
    except (struct.error, zlib.error):
        return flip(content, chance)
    inner, said = chance.choice((flip, number, span))(inner, chance)
    packed = zlib.compress(inner)
    rest = content[place + 8 + size :]
    return changed + struct.pack("<II", 15, len(packed)) + packed + rest, said


def rewrite_fields(content: bytes, chance: random.Random) -> tuple[bytes, str]:
    """Put another value in a field of an EEGLAB structure."""
    import io

    import numpy as np
    import scipy.io

    try:
        whole = scipy.io.loadmat(io.BytesIO(content))
    except Exception:
        return flip(content, chance)
    own = {key: value for key, value in whole.items() if not key.startswith("__")}
    holder = own["EEG"][0, 0] if "EEG" in own else None
    values = (
        "", "x", "../x.fdt", 0.0, -1.0, 1.0, 2.0, 1e9, np.nan, np.inf, np.zeros((0, 0)),
        np.zeros((3, 2)), np.array([{}]), np.arange(7), np.ones((2, 2, 2)), 1j, np.int8(5),
    )  # fmt: skip
    value = values[chance.randrange(len(values))]
    if holder is None or not holder.dtype.names:
        key = chance.choice(sorted(own))
        own[key] = value
    else:
        fields = ("nbchan", "trials", "pnts", "srate", "xmin", "xmax", "data", "chanlocs", "event")
        known = [key for key in (*fields, "epoch", "urevent", "times") if key in holder.dtype.names]
        key = chance.choice(known or sorted(holder.dtype.names))
        boxed = np.empty((1, 1), object)
        boxed[0, 0] = value
        own["EEG"][key] = boxed
    out = io.BytesIO()
    try:
        scipy.io.savemat(out, own, do_compression=chance.random() < 0.5)
    except Exception:
        return flip(content, chance)
    return out.getvalue(), f"{key} = {repr(value)[:30]}"


ANY = (flip, flip, number, number, truncate, extend, span, swap_spans, junk)


def copy_pristine(corpus: Path, folder: Path) -> Path:
    """Copy the corpus to a disk where its files can be linked, with its broken links."""
    for name in DATASETS:
        shutil.copytree(corpus / name, folder / name, symlinks=True)
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)
    for line in (corpus / "broken.symlinks.tsv").read_text().splitlines()[1:]:
        path, goal = line.split("\t")
        (folder / path).symlink_to(goal)
    return folder
