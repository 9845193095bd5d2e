"""The HED sidecar of a config to fill in: every column and value of the events, and proposals."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bidsmill.annotate.proposals import Proposal, propose, string_under
from bidsmill.annotate.survey import OF_TIME, Column, Survey, faults_of, survey_events
from bidsmill.bids.hed_sidecars import only_defines
from bidsmill.errors import BidsmillError
from bidsmill.formats import files
from bidsmill.formats.hed_strings import load_schema
from bidsmill.formats.numbers import counted

MOST_NAMED = 6
LEFT_OUT = "Values that the dataset tags are left out."
AS_WHOLE = "Too many values to list: a text with # under HED tags them all"
Entry = dict[str, Any]
Proposer = Callable[[str], Proposal | None]


def write_template(
    dataset: str, settings: dict[str, Any], results: Path, path: Path, *, force: bool = False
) -> list[str]:
    """Write or update the HED sidecar of a config.

    It is a BIDS sidecar of events (see `fill`). In a file that is there nothing that a person
    wrote is changed.

    Parameters
    ----------
    dataset : str
        Dataset id.
    settings : dict
        Its settings.
    results : pathlib.Path
        ``results/{dataset}``.
    path : pathlib.Path
        The file to write.
    force : bool
        Whether to start afresh although it is there.

    Returns
    -------
    list of str
        Lines for the person who asked.

    Raises
    ------
    BidsmillError
        If the dataset is not on this disk, its HED version is unknown, none of its events can
        be read, or the file that is there is no JSON object.
    """
    old = {} if force else _written(path)
    survey = survey_events(settings, results)
    if survey.unread and len(survey.unread) == survey.recordings:
        stem, message = sorted(survey.unread.items())[0]
        raise BidsmillError(
            f"no events of {dataset} can be read", found=f"{stem}: {message}", todo="correct them"
        )
    content = fill(survey, old)
    lines = _about(dataset, survey)
    lines += [_column_line(n, column, content.get(n)) for n, column in survey.columns.items()]
    lines += _strangers(old, survey)
    lines += _faults(old, survey.version)
    if not content:
        return [*lines, "  there is nothing to tag: no file was written"]
    there = path.is_file()
    changed = files.replace_if_different(path, files.json_bytes(content))
    done = ("updated" if there and not force else "written") if changed else "unchanged"
    lines.append(f"  {done}: {path}")
    return [*lines, *_next_steps(content)]


def _written(path: Path) -> dict[str, Any]:
    """Return the sidecar that is there, {} for none."""
    if not path.exists():
        return {}
    found = files.read_json(path)
    if not isinstance(found, dict):
        raise BidsmillError(
            "the HED sidecar of the config is no JSON object",
            file=path,
            found=f"a {type(found).__name__}",
            todo="correct it, or start afresh with --force",
        )
    return found


def fill(survey: Survey, old: dict[str, Any]) -> dict[str, Any]:
    """Return the sidecar to write.

    A column of few values has ``Levels`` and ``Count`` for each that lacks tags; proposals stand
    in ``HED`` and are named in ``Proposed``. Values to fill in have no text in ``HED`` (an empty
    one would take tags away): a template that nobody has touched gives proposals only. A column
    of numbers, or of many values, has the number of its rows as ``Count``. Columns that have all
    tags are left out.

    Parameters
    ----------
    survey : Survey
        What the events hold.
    old : dict
        The sidecar that is there; {} for none. Its texts, and what it says of other columns, are
        kept. A value that it names already gets no new proposal, so one that was rejected does
        not come back.
    """
    content: dict[str, Any] = {}
    proposer = _proposer(survey.version)
    for name, column in survey.columns.items():
        before = old.get(name, {})
        if not isinstance(before, dict):
            # Not ours to mend: `annotate` says what is wrong with it.
            continue
        texts = before.get("HED")
        if not before and not column.untagged:
            continue
        if isinstance(texts, str) or not (column.is_listed or texts):
            content[name] = _entry_of_all(column, before)
        else:
            content[name] = _entry_by_value(column, before, proposer)
    return {**content, **{name: entry for name, entry in old.items() if name not in content}}


def _proposer(version: Any) -> Proposer:
    """Return `propose` with strings that are valid in the HED version of the dataset."""

    @functools.cache
    def proposed(value: str) -> Proposal | None:
        found = propose(value)
        text = string_under(found, load_schema(version)) if found else ""
        return Proposal(text, found.why) if found and text else None

    return proposed


def _entry_of_all(column: Column, before: Entry) -> Entry:
    """Return the entry of a column that one text tags."""
    example = ', such as "Parameter-value/#"' if column.is_numeric else ""
    said = " ".join(filter(None, [_sentence(column.description), f"{AS_WHOLE}{example}."]))
    return {"Description": said, **before, "Count": column.counts.total()}


def _entry_by_value(column: Column, before: Entry, proposer: Proposer) -> Entry:
    """Return the entry of a column that is tagged value by value."""
    parts = {key: _mapping(before.get(key)) for key in ("Levels", "HED", "Count")}
    known = {value for part in parts.values() for value in part}
    new = column.untagged - known if column.is_listed else set()
    proposals = {}
    if isinstance(before.get("Proposed"), list | bool | None):
        proposals = {value: found for value in new if (found := proposer(value))}
    values = sorted(known | new, key=_by_number)
    levels, texts = parts["Levels"], parts["HED"]
    for value in new:
        said = column.levels.get(value, "")
        levels[value] = said or (proposals[value].why if value in proposals else "")
    texts.update({value: proposal.hed for value, proposal in proposals.items()})
    marked = before.get("Proposed") or []
    if isinstance(marked, list):
        marked = sorted({*map(str, marked), *proposals}, key=_by_number)
    noted = LEFT_OUT if column.is_tagged else ""
    entry = {
        "Description": " ".join(filter(None, [_sentence(column.description), noted])),
        "Levels": {value: levels[value] for value in values if value in levels},
        "HED": {value: texts[value] for value in values if value in texts},
        "Proposed": marked,
        "Count": {value: column.counts.get(value, 0) for value in values},
    }
    if not marked:
        del entry["Proposed"]
    if "Description" in before or not entry["Description"]:
        entry = {**{k: before[k] for k in ("Description",) if k in before}, **_without(entry)}
    return {**entry, **{key: said for key, said in before.items() if key not in entry}}


def _without(entry: Entry) -> Entry:
    return {key: said for key, said in entry.items() if key != "Description"}


def _mapping(found: Any) -> dict[str, Any]:
    return dict(found) if isinstance(found, dict) else {}


def _sentence(text: str) -> str:
    text = " ".join(text.split())
    return f"{text}." if text and text[-1] not in ".!?" else text


def _by_number(value: str) -> tuple[int, float, str]:
    """Order numbers by size, before texts."""
    try:
        number = float(value)
    except ValueError:
        return 1, 0.0, value
    return (0, number, value) if number == number else (1, 0.0, value)


def _about(dataset: str, survey: Survey) -> list[str]:
    lines = [
        f"{dataset}: {counted(survey.recordings, 'recording')},"
        f" {counted(survey.events, 'event')},"
        f" {counted(len(survey.columns), 'column')} beside their times"
    ]
    if survey.unread:
        stem, message = sorted(survey.unread.items())[0]
        lines.append(
            f"  not read: the events of {counted(len(survey.unread), 'recording')},"
            f" such as {stem}: {message}"
        )
    return lines


def _strangers(old: dict[str, Any], survey: Survey) -> list[str]:
    """Return which columns of the file are empty or absent: by a typing error, for example."""
    tagged = {name: entry["HED"] for name, entry in old.items() if _mapping(entry).get("HED")}
    return [
        f"  {name}: no event has a value in this column"
        for name, hed in tagged.items()
        if name not in survey.columns and name not in OF_TIME and not only_defines(hed)
    ]


def _faults(old: dict[str, Any], version: Any) -> list[str]:
    """Return what is wrong with texts of the file that stand by themselves.

    References to columns and definitions need the dataset's sidecars: `annotate` checks them.
    """
    alone: dict[str, Entry] = {}
    for name, entry in old.items():
        texts = entry.get("HED") if isinstance(entry, dict) else None
        if isinstance(texts, dict):
            texts = {v: t for v, t in texts.items() if not _leans(t)}
        if isinstance(texts, dict) or (isinstance(texts, str) and not _leans(texts)):
            alone[name] = {"HED": texts}
    return [
        f"  not valid: {column}{'' if value is None else f', {value}'}: {message}"
        for (column, value), message in faults_of(alone, version).items()
    ]


def _leans(text: Any) -> bool:
    return isinstance(text, str) and ("{" in text or "def" in text.casefold())


def _column_line(name: str, column: Column, entry: Any) -> str:
    """Return what there is to do for a column, in one line."""
    values = counted(len(column.counts), "value")
    found = f"  {name}: {values} in {counted(column.counts.total(), 'row')}"
    if not isinstance(entry, dict):
        return found + (", all tagged by the dataset" if entry is None else ": no object")
    if not isinstance(entry.get("Count"), dict):
        state = "has a text" if isinstance(entry.get("HED"), str) else "one text to fill in"
        return f"{found}: {state}"
    texts, marked = entry["HED"], entry.get("Proposed", [])
    all_marked = not isinstance(marked, list) and bool(marked)
    proposed = [value for value in texts if all_marked or value in marked]
    empty = [v for v in to_fill_in(entry) if column.counts.get(v)]
    parts = [
        f"{number:,} {what}"
        for number, what in (
            (len(column.counts) - len(column.untagged), "tagged by the dataset"),
            (len(texts) - len(proposed), "tagged here"),
            (len(proposed), "proposed"),
            (len(empty), "to fill in"),
        )
        if number
    ]
    line = f"{found}: {', '.join(parts)}"
    if empty:
        shown = ", ".join(empty[:MOST_NAMED])
        line += f" ({shown}{', ...' if len(empty) > MOST_NAMED else ''})"
    wrong = len(set(column.invalid) & column.untagged)
    return f"{line}; the dataset's tags of {wrong} are not valid" if wrong else line


def to_fill_in(entry: Entry) -> list[str]:
    """Return the values of an entry that have no text yet."""
    counts = entry.get("Count")
    texts = _mapping(entry.get("HED"))
    return [value for value in counts if value not in texts] if isinstance(counts, dict) else []


def _next_steps(content: dict[str, Any]) -> list[str]:
    entries = [entry for entry in content.values() if isinstance(entry, dict)]
    steps = []
    if any(entry.get("Proposed") for entry in entries):
        steps.append("remove from Proposed the values whose proposal is right, from HED the others")
    if any(to_fill_in(entry) for entry in entries):
        steps.append("write the tags of the values to fill in under HED; what stays out has none")
    steps.append("run snakemake: it makes tables, split and report anew")
    return [f"  {'to do:' if not place else '      '} {step}" for place, step in enumerate(steps)]
