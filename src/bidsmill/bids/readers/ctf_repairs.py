"""Repairs of CTF folders."""

from __future__ import annotations

import math
import re
from datetime import date

from bidsmill.bids.readers.ctf_folder import (
    BAD_CHANNELS,
    DATE,
    DESCRIPTION,
    DESCRIPTION_LENGTH,
    EEG_SENSOR,
    MEG4_HEADER,
    SENSOR_BYTES,
    SENSOR_POSITION,
    TEXT_BYTES,
    TEXTS,
    TIME,
    CtfFolder,
    first_clock,
)
from bidsmill.bids.repairs import repair

# First letters of the months where they differ from language to language (English, German,
# Italian, French, Spanish, Dutch); without accents.
MONTHS = (
    ("jan", "gen", "ene", "jae"),
    ("feb", "fev"),
    ("mar", "mae", "mrt", "maa", "mrz"),
    ("apr", "avr", "abr"),
    ("may", "mai", "mag", "mei"),
    ("jun", "giu", "juin"),
    ("jul", "lug", "juil"),
    ("aug", "ago", "aou"),
    ("sep", "set"),
    ("oct", "okt", "ott"),
    ("nov",),
    ("dec", "dez", "dic"),
)
PLAIN = str.maketrans("äáàâéèêëíìîóòôöúùûüç", "aaaaeeeeiiioooouuuuc")


@repair(
    "ctf_inner_names",
    kind="ctf_names",
    risk="lossless",
    failure="The files inside a CTF folder kept their names when the folder was renamed.",
    effect="Reads them through links that have the names of the folder.",
    todo="rename the files inside the folder as the folder",
)
def link_names(folder: CtfFolder) -> str | None:
    """Give the name of the folder to files that kept that of another."""
    stems = [name[: -len(".res4")] for name in folder.links if name.endswith(".res4")]
    if len(stems) != 1 or stems[0] == folder.stem:
        return None
    other = stems[0]
    folder.links = {
        folder.stem + name[len(other) :] if name.startswith(f"{other}.") else name: path
        for name, path in folder.links.items()
    }
    folder.mended.add(f"{folder.stem}.res4")
    return f"the files inside are named as {other}.res4, and read as {folder.stem}.res4"


@repair(
    "ctf_text_encoding",
    kind="ctf",
    risk="lossless",
    failure="Texts of the .res4 header (names of persons, months) are not UTF-8.",
    effect="Puts a question mark in place of each letter that cannot be read.",
    todo="none is needed: these texts are not used",
)
def replace_letters(folder: CtfFolder) -> str | None:
    """Make the texts of the header readable."""
    name = f"{folder.stem}.res4"
    content = bytearray(folder.contents[name])
    length = int.from_bytes(content[DESCRIPTION_LENGTH : DESCRIPTION_LENGTH + 4], "big")
    replaced = 0
    for place, width in (*TEXTS, (DESCRIPTION, min(length, len(content)))):
        text = bytes(content[place : place + width]).split(b"\0")[0]
        try:
            text.decode("utf-8")
        except UnicodeDecodeError:
            letters = text.decode("latin-1").lower().translate(PLAIN)
            plain = "".join(c if c.isascii() else "?" for c in letters).encode()
            content[place : place + len(text)] = plain[: len(text)].ljust(len(text))
            replaced += 1
    if not replaced:
        return None
    folder.mend(name, bytes(content))
    return f"{replaced} texts of the header are not UTF-8; their letters were replaced"


@repair(
    "ctf_date",
    kind="ctf",
    risk="lossless",
    failure="The date or time in the .res4 header has a form that MNE does not read.",
    effect="Writes the same date in a form that MNE reads; one that nobody can read is left out.",
    todo="write the date as day/month/year",
    seen=("ds000247",),
)
def rewrite_date(folder: CtfFolder) -> str | None:
    """Write date and time as MNE expects them."""
    name = f"{folder.stem}.res4"
    content = folder.contents[name]
    time, day = (_cell(content, place) for place in (TIME, DATE))
    if "/" in time and ":" in day:
        time, day = day, time
    if (day == time == "") or (_mne_reads_date(day) and _mne_reads_time(time)):
        return None
    known = parse_date(day)
    clock = re.search(r"([01]?[0-9]|2[0-3]):([0-5][0-9])(:[0-5][0-9])?", time)
    new_day = known.strftime("%d/%m/%Y") if known else ""
    new_time = (clock[0] if clock else "00:00:00") if known else ""
    content = _with_cell(_with_cell(content, TIME, new_time), DATE, new_day)
    folder.mend(name, content)
    if not known:
        return f"the date {day!r} and time {time!r} cannot be read; they are left out"
    return f"the date {day!r}, time {time!r} is read as {new_day} {new_time}"


@repair(
    "ctf_head_coils",
    kind="ctf",
    risk="lossless",
    failure="The .hc file lacks positions of the head coils that MNE demands.",
    effect="Reads the recording without the positions of the head and of EEG electrodes.",
    todo="restore nasion and both ears in the .hc file",
    seen=("ds005810", "ds006502"),
)
def leave_out_coils(folder: CtfFolder) -> str | None:
    """Leave out a .hc file without nasion and ears, and the positions that need them."""
    name = f"{folder.stem}.hc"
    text = folder.contents.get(name, b"").decode("latin-1").lower()
    lacking = _lacking_coils(text) if text.strip() else []
    header = _without_electrodes(folder)
    positions = [n for n in folder.links if n == f"{folder.stem}.eeg"]
    if (text.strip() and not lacking) or not (lacking or header or positions):
        return None
    for other in (name, *positions, *[n for n in folder.links if n.endswith(".pos")]):
        folder.mend(other, None)
    if header is not None:
        folder.mend(f"{folder.stem}.res4", header)
    what = f"{name} lacks {', '.join(lacking)}" if lacking else f"there is no {name}"
    return f"{what}; the positions of the head and of the electrodes are not known"


@repair(
    "ctf_electrode_positions",
    kind="ctf",
    risk="lossless",
    failure="Lines of the .eeg file give no position (`n/a`).",
    effect="Leaves the positions of these electrodes unknown.",
    todo="take the lines out of the .eeg file",
    seen=("ds004278",),
)
def leave_out_positions(folder: CtfFolder) -> str | None:
    """Leave out lines of electrode positions that are no positions."""
    name = f"{folder.stem}.eeg"
    lines = folder.contents.get(name, b"").splitlines(keepends=True)
    good = [line for line in lines if not line.strip() or _is_position(line)]
    if len(good) == len(lines):
        return None
    folder.mend(name, b"".join(good))
    bad = next(line for line in lines if line.strip() and not _is_position(line))
    return (
        f"{len(lines) - len(good)} lines of {name} give no position"
        f" ({bad.decode('latin-1').strip()!r}); left out"
    )


@repair(
    "ctf_bad_channels",
    kind="ctf",
    risk="lossless",
    failure="BadChannels names channels that the recording does not have, or has empty lines.",
    effect="Leaves out these lines.",
    todo="correct BadChannels",
)
def leave_out_unknown(folder: CtfFolder) -> str | None:
    """Leave out lines of BadChannels that name no channel."""
    lines = folder.contents.get(BAD_CHANNELS, b"").decode("latin-1").splitlines()
    known = {name.split("-")[0] for name in folder.names}
    good = [line for line in lines if line.strip() in known]
    if len(good) == len(lines):
        return None
    folder.mend(BAD_CHANNELS, "".join(f"{line}\n" for line in good).encode())
    bad = [line for line in lines if line.strip() not in known]
    return f"BadChannels names {', '.join(map(repr, bad[:5]))}, which are no channels"


@repair(
    "ctf_clock_zero",
    kind="ctf",
    risk="lossless",
    failure="The clock channel is zero from the first sample on, so that MNE takes none as valid.",
    effect="Reads all samples without regard to the clock.",
    todo="none is needed",
    seen=("ds004011",),
)
def ignore_clock(folder: CtfFolder) -> str | None:
    """Read all samples where the clock did not run."""
    if first_clock(folder) != 0:
        return None
    folder.clock = "ignore"
    return "the clock channel is 0 at the first sample; it is ignored, and all samples are read"


@repair(
    "ctf_truncated",
    kind="ctf",
    risk="lossy",
    failure="A .meg4 file does not hold the whole trials that the header promises.",
    effect="Keeps the whole trials, and leaves out the one that is cut.",
    todo="fetch the folder again; if it is so at its source, ask for the original",
)
def keep_whole_trials(folder: CtfFolder) -> str | None:
    """Read the whole trials of a file that ends too early."""
    if not is_cut(folder) or len(folder.parts) > 1:
        return None
    size = folder.parts[0][1] - MEG4_HEADER
    held, rest = divmod(max(0, size), folder.trial_bytes)
    if not held:
        return None
    folder.keep = held
    return (
        f"the header promises {folder.n_trials} trials; {held} whole ones are kept, and {rest}"
        f" bytes of a cut one ({folder.trial_bytes} bytes each) are left out"
    )


def is_cut(folder: CtfFolder) -> bool:
    """Return whether the files of samples hold no whole trials, or too few of them."""
    sizes = [size - MEG4_HEADER for _, size in folder.parts]
    if any(size % folder.trial_bytes or size <= 0 for size in sizes):
        return True
    return sum(sizes) < folder.n_trials * folder.trial_bytes


def parse_date(text: str) -> date | None:
    """Return the date that a text means: day first, months as numbers or in six languages."""
    words = re.findall(r"[0-9]+|[^\W\d_]+", text.lower().translate(PLAIN))
    numbers = [int(word) for word in words if word.isdigit()]
    months = [m for word in words for m in _months(word)]
    if len(numbers) == 3:
        day, month, year = numbers if numbers[0] <= 31 else numbers[::-1]
    elif len(numbers) == 2 and len(set(months)) == 1:
        day, year = numbers if numbers[0] <= 31 else numbers[::-1]
        month = months[0]
    else:
        return None
    try:
        return date(year, month, day) if year >= 1900 else None
    except ValueError:
        return None


def _months(word: str) -> list[int]:
    if len(word) < 3 or word.isdigit():
        return []
    return [n for n, starts in enumerate(MONTHS, 1) if any(word.startswith(s) for s in starts)]


def _mne_reads_date(text: str) -> bool:
    from time import strptime

    return any(_reads(strptime, text, form) for form in ("%d/%m/%Y", "%Y/%m/%d", "%d-%b-%Y")) or (
        _reads(strptime, text, "%a, %b %d, %Y")
    )


def _mne_reads_time(text: str) -> bool:
    from time import strptime

    return any(_reads(strptime, text, form) for form in ("%H:%M:%S", "%H:%M"))


def _reads(function, text: str, form: str) -> bool:
    try:
        function(text.strip(), form)
    except ValueError:
        return False
    return True


def _cell(content: bytes, place: int) -> str:
    return content[place : place + TEXT_BYTES].split(b"\0")[0].decode("latin-1")


def _with_cell(content: bytes, place: int, text: str) -> bytes:
    cell = text.encode("ascii").ljust(TEXT_BYTES, b"\0")
    return content[:place] + cell + content[place + TEXT_BYTES :]


def _lacking_coils(text: str) -> list[str]:
    """Return which measured coils are not in a .hc file, relative to dewar or head."""
    if "unable" in text:
        return ["all coils (`unable`)"]
    lines = [line for line in text.splitlines() if "measured" in line]
    coils = {
        "nasion": ("nasion",),
        "left ear": ("left ear", "lpa"),
        "right ear": ("right ear", "rpa"),
    }
    lacking = []
    for frame in ("dewar", "head"):
        own = [line for line in lines if f"relative to {frame}" in line]
        for coil, words in coils.items():
            if not any(word in line for line in own for word in words):
                lacking.append(f"the measured {coil} relative to {frame}")
    return lacking


def _without_electrodes(folder: CtfFolder) -> bytes | None:
    """Return the header without positions of EEG channels; None if it holds none."""
    content = bytearray(folder.contents[f"{folder.stem}.res4"])
    found = False
    for channel in range(folder.n_channels):
        place = folder.sensors + SENSOR_BYTES * channel
        position = slice(place + SENSOR_POSITION, place + SENSOR_POSITION + 24)
        if content[place : place + 2] == EEG_SENSOR and any(content[position]):
            content[position] = bytes(24)
            found = True
    return bytes(content) if found else None


def _is_position(line: bytes) -> bool:
    parts = line.decode("latin-1").split()
    if len(parts) != 5 or not re.fullmatch(r"[+-]?[0-9]+", parts[0]):
        return False
    try:
        return all(math.isfinite(float(part)) for part in parts[2:])
    except ValueError:
        return False
