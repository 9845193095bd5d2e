"""What the sidecars of a recording say: the JSON files merged, and compared with the data."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from bidsmill.bids.entities import parse_name
from bidsmill.bids.inheritance import FREE_ENTITIES
from bidsmill.bids.repairs import Repairs, repair
from bidsmill.bids.tabular import decoded
from bidsmill.formats.numbers import finite_number

# Highest line frequency that is believed, in Hz: mains have 16.7, 50 or 60, aircraft 400.
MOST_LINE_FREQUENCY = 1000.0


@dataclass
class SidecarNames:
    """Sidecars of a recording as they were found by name (``kind="naming"``)."""

    data: str
    sidecars: dict[str, list[str]]


@dataclass
class JsonSidecar:
    """The merged JSON sidecar of a recording (``kind="json"``)."""

    content: dict[str, Any]


def sidecars_in_use(
    data: str, sidecars: dict[str, list[str]], repairs: Repairs
) -> tuple[dict[str, list[str]], list[str]]:
    """Return the sidecars of a recording that may be used, and what is odd about their names.

    Parameters
    ----------
    data : str
        The data file.
    sidecars : dict
        As in `bids.recordings.Recording.sidecars`.
    repairs : Repairs
        Which rules may act.
    """
    unlike = {
        key: [path for path in paths if _unlike(data, path)] for key, paths in sidecars.items()
    }
    names = SidecarNames(data, {key: paths for key, paths in unlike.items() if paths})
    told = repairs.mend("naming", names)
    # What a rule has dealt with is no longer listed.
    refused = {path for paths in names.sidecars.values() for path in paths}
    left = {key: [p for p in paths if p not in refused] for key, paths in sidecars.items()}
    return {key: paths for key, paths in left.items() if paths}, told


def _unlike(data: str, path: str) -> bool:
    entities = parse_name(data).entities
    stated = parse_name(path)
    free = FREE_ENTITIES.get(stated.suffix, set())
    return any(
        entities.get(key) != label for key, label in stated.entities.items() if key not in free
    )


@repair(
    "sidecar_case",
    kind="naming",
    risk="lossless",
    failure="A label in the name of a sidecar has another case than in that of its recording.",
    effect=(
        "The sidecar is used, if no other recording of the dataset can be meant. Labels of"
        " subjects are compared exactly."
    ),
    todo="rename the sidecar",
    seen=("ds003751",),
)
def sidecar_case(names: SidecarNames) -> str | None:
    """Accept sidecars whose labels differ from the recording's in nothing but case."""
    if not names.sidecars:
        return None
    paths = sorted({path for paths in names.sidecars.values() for path in paths})
    names.sidecars = {}
    return (
        f"the name of {', '.join(PurePosixPath(path).name for path in paths)} differs from"
        f" {PurePosixPath(names.data).name} in case; used"
    )


def read_json_sidecar(
    path: Path, repairs: Repairs | None = None
) -> tuple[dict[str, Any], str | None]:
    """Read a JSON sidecar as it is found in public data.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    repairs : Repairs, optional
        Which rules may act; those that lose nothing if absent.

    Returns
    -------
    content : dict
        Empty where it cannot be read.
    problem : str or None
        What is wrong with it, with the line where a parser would stop.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        return {}, f"cannot be read ({error.strerror or error})"
    text, told = decoded(path.name, raw, repairs or Repairs())
    problem = "; ".join(note.removeprefix(f"{path.name} ") for note in told) or None
    if text is None:
        return {}, problem
    strange: list[str] = []
    try:
        content = json.loads(
            text,
            parse_constant=lambda name: strange.append(name),
            parse_float=lambda digits: _finite(digits, strange),
        )
    except (ValueError, RecursionError) as error:
        return {}, f"is not JSON ({error}); its content is not used"
    if not isinstance(content, dict):
        return {}, f"holds a {type(content).__name__}, expected an object; it is not used"
    if strange:
        problem = f"holds {strange[0]}, which JSON has not; read as null"
    if "\\u" in text:
        # Half of a surrogate pair is no character, and could not be written again.
        whole = json.dumps(content, ensure_ascii=False).encode("utf-8", "replace")
        content = json.loads(whole)
    return content, problem


def _finite(digits: str, strange: list[str]) -> float | None:
    value = float(digits)
    if math.isfinite(value):
        return value
    strange.append(digits)
    return None


def merged_json(
    root: Path, paths: list[str], repairs: Repairs | None = None
) -> tuple[dict[str, Any], list[str]]:
    """Merge JSON sidecars, from the root inwards: the nearest file wins, key by key.

    Parameters
    ----------
    root : pathlib.Path
        The dataset.
    paths : list of str
        The files, relative to it.
    repairs : Repairs, optional
        Which rules may act; those that lose nothing if absent.

    Returns
    -------
    content : dict
        The merged content.
    problems : list of str
        One text for each file that is not as it should be.
    """
    content: dict[str, Any] = {}
    problems = []
    for path in paths:
        found, problem = read_json_sidecar(root / path, repairs)
        content.update(found)
        if problem:
            problems.append(f"{path} {problem}")
    return content, problems


@repair(
    "impossible_line_frequency",
    kind="json",
    risk="lossless",
    failure="PowerLineFrequency is no frequency: zero, negative, or beyond all mains.",
    effect="It is taken as not stated.",
    todo="state 50 or 60, or n/a",
)
def impossible_line_frequency(sidecar: JsonSidecar) -> str | None:
    """Leave a line frequency out that cannot be one."""
    stated = sidecar.content.get("PowerLineFrequency")
    try:
        possible = stated is None or 0 < float(stated) <= MOST_LINE_FREQUENCY
    except OverflowError:
        possible = False
    except (TypeError, ValueError):
        # A text such as n/a is no number, and is not used as one anywhere.
        possible = True
    if possible:
        return None
    del sidecar.content["PowerLineFrequency"]
    return f"the sidecar says PowerLineFrequency {stated} Hz, which no mains has; not used"


def sidecar_conflicts(
    opened: Any, sidecar: dict[str, Any], datatype: str, repairs: Repairs | None = None
) -> list[str]:
    """Return where the JSON sidecar of a recording contradicts the file, whose facts are used.

    Parameters
    ----------
    opened : OpenRecording
        The recording.
    sidecar : dict
        Its merged sidecar; a rule of kind ``json`` may change it.
    datatype : str
        ``eeg``, ``meg`` ...
    repairs : Repairs, optional
        Which rules may act; those that lose nothing if absent.
    """
    told = (repairs or Repairs()).mend("json", JsonSidecar(sidecar))
    rate = finite_number(sidecar.get("SamplingFrequency"))
    if rate is not None and differs(rate, opened.sfreq):
        told.append(
            f"the sidecar says SamplingFrequency {sidecar['SamplingFrequency']} Hz, the file"
            f" {opened.sfreq:g} Hz; the file's is used"
        )
    # BIDS counts channels by type, in keys that end alike (BIDS 1.10, modality pages).
    counts = {key: finite_number(n) for key, n in sidecar.items() if key.endswith("ChannelCount")}
    primary = {"ieeg": ("SEEG", "ECOG")}.get(datatype, (datatype.upper(),))
    # Without the count of the main type, or with one that is no number, there is no sum.
    if any(f"{kind}ChannelCount" in counts for kind in primary) and None not in counts.values():
        total = sum(n for n in counts.values() if n is not None)
        if total != len(opened.names):
            told.append(
                f"the sidecar counts {total:g} channels, the file has {len(opened.names)};"
                " the file's are used"
            )
    duration, held = finite_number(sidecar.get("RecordingDuration")), opened.n_times / opened.sfreq
    # Durations are rounded as people like; a second is no contradiction.
    if duration is not None and abs(duration - held) > max(1.0, 1e-3 * held):
        told.append(
            f"the sidecar says RecordingDuration {duration:g} s, the file has {held:g} s;"
            " the file's is used"
        )
    return told


def differs(stated: float, true: float) -> bool:
    """Return whether a stated rate is another than the true one, and not just rounded."""
    return abs(stated - true) > 1e-3 * abs(true)
