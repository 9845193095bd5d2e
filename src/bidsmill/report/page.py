"""The page of one dataset: what a person should look at before training on it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bidsmill.formats import files
from bidsmill.formats.certificate import SIDES
from bidsmill.formats.look import look, shortened
from bidsmill.formats.numbers import counted
from bidsmill.report import counts, drawing
from bidsmill.report.baseline import baseline_section
from bidsmill.report.inputs import Inputs, read_inputs
from bidsmill.report.loading import loading_section
from bidsmill.report.meaning import meaning_section
from bidsmill.report.pictures import (
    amplitude_section,
    balance_section,
    response_section,
    signals_of,
    spectra_section,
    windows_section,
)
from bidsmill.report.recorded import channels_section, events_section

TEMPLATE = "template.html"
# Templates of other pages share these (and `code_hash` has to know of them).
SHARED = ("page_macros.html", "page_style.css")
MOST_MESSAGE = 280
MOST_CODES = 20
SOURCES = {"validator": "bids-validator", "hed": "hed", "bidsmill": "bidsmill"}


def write_report(results: Path, page: Path, *, dataset: str) -> None:
    """Write the page of a dataset: one HTML file that loads nothing else.

    Fate of every recording, labels and split, average responses, spectra, amplitudes, single
    rows, and what validators found. Signals are sampled (see `signals`), and the page says how.
    Equal inputs give equal bytes.

    Parameters
    ----------
    results : pathlib.Path
        ``results/{dataset}``: the tables, ``split.tsv``, the JSON documents, ``matrix/`` and
        ``plan/dataset.json`` (what the last news of the source brought).
    page : pathlib.Path
        The file to write, atomically.
    dataset : str
        Dataset id.

    Raises
    ------
    BidsmillError
        If a file of `results` is missing or cannot be read.
    """
    inputs = read_inputs(Path(results))
    with drawing.style():
        signals, amplitudes = signals_of(inputs)
        content = {
            "dataset": dataset,
            "about": inputs.description,
            "tiles": _tiles(inputs),
            "equipment": _equipment(inputs),
            "changes": _changes(Path(results)),
            "fate": _fate_section(inputs),
            "meaning": meaning_section(inputs),
            "split": {**_split_facts(inputs), **balance_section(inputs)},
            "baseline": baseline_section(inputs),
            "responses": response_section(inputs, signals),
            "load": loading_section(dataset, inputs),
            "channels": channels_section(inputs, signals),
            "events": events_section(inputs),
            "spectra": spectra_section(inputs, signals),
            "amplitudes": amplitude_section(inputs, amplitudes),
            "windows": windows_section(inputs),
            "validation": _validation_section(inputs),
        }
    files.write_text(page, render(content))


def _changes(results: Path) -> dict[str, Any]:
    """Return what the last news of the source brought, {} where there were none."""
    path = results / "plan" / "dataset.json"
    return files.read_json(path).get("changes", {}) if path.is_file() else {}


def render(content: dict[str, Any], template: str = TEMPLATE) -> str:
    """Return the page as HTML; every text is escaped but the SVG of the figures."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["counted"] = counted
    environment.filters["short"] = short
    environment.filters["number"] = number
    environment.filters["words"] = words
    environment.filters["readable"] = readable
    environment.globals["doi_of"] = doi_of
    environment.globals["look"] = look().rstrip()
    return environment.get_template(template).render(**content)


def short(text: str, most: int = MOST_MESSAGE) -> str:
    """Return text of at most `most` characters."""
    return shortened(text, most)


def words(code: str) -> str:
    """Return a code such as ``not_chosen`` as words."""
    return code.replace("_", " ")


def number(value: Any) -> str:
    """Return a number for reading: at most six digits, thousands apart; '' for nothing."""
    if value in ("", None):
        return ""
    value = float(value)
    return f"{value:,.0f}" if value.is_integer() else f"{value:,.6g}"


def readable(value: float) -> str:
    """Return a number to about three digits, without an exponent where it is no help."""
    return f"{value:,.0f}" if 100 <= value < 1e9 else f"{value:.3g}"


def doi_of(text: Any) -> str:
    """Return the bare DOI in a text, or ''."""
    import re

    match = re.search(r"10\.\d{4,9}/[-._;()/:A-Za-z0-9]+", str(text or ""))
    return match.group() if match else ""


def _tiles(inputs: Inputs) -> list[tuple[str, str]]:
    """Return the numbers at the head of the page and their names."""
    found = inputs.description["counts"]
    hours = inputs.description.get("hours") or 0
    return [
        (f"{found['recordings']:,}", "recordings"),
        (f"{found['converted']:,}", "converted"),
        (f"{found['quarantined']:,}", "quarantined"),
        (f"{found['subjects']:,}", "subjects"),
        (f"{found['rows']:,}", "rows"),
        (f"{hours:.2f}" if hours < 10 else f"{hours:,.0f}", "hours"),
    ]


def _equipment(inputs: Inputs) -> list[tuple[str, str]]:
    """Return what the sidecars say of the equipment: names as words, and values."""
    import re

    found = []
    for key, values in (inputs.description.get("hardware") or {}).items():
        said = [" ".join(str(value).split()) for value in values if value not in ("n/a", "")]
        if said:
            name = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", key)
            found.append((name, "; ".join(said)))
    return found


def _fate_section(inputs: Inputs) -> dict[str, Any]:
    recordings = inputs.recordings
    excluded = counts.excluded_by_recording(inputs.samples)
    letters = {name: layout.letter for layout in inputs.layouts for name in layout.recordings}
    rows = counts.fates(recordings)
    for row in rows:
        row["letter"] = letters.get(row["recording"], "")
        row["excluded_reasons"] = excluded.get(row["recording"], [])
    return {
        "total": len(recordings),
        "statuses": counts.status_counts(recordings),
        "rows": rows,
        "conflicts": int((recordings["conflicts"] != "").sum()),
        "events": counts.event_counts(inputs.events),
        "layouts": [_layout_facts(inputs, layout) for layout in inputs.layouts],
        "channels": counts.channel_counts(inputs.channels),
    }


def _layout_facts(inputs: Inputs, layout) -> dict[str, Any]:
    recordings = inputs.recordings
    first = recordings[recordings["recording"] == layout.recordings[0]].iloc[0]
    return {
        "letter": layout.letter,
        "id": layout.id,
        "types": counts.layout_types(inputs.channels, layout.recordings[0]),
        "sfreq": first["sfreq"],
        "n_times": first["n_times"],
        "seconds": float(first["n_times"]) / float(first["sfreq"]),
        "recordings": len(layout.recordings),
        "rows": layout.rows,
    }


def _split_facts(inputs: Inputs) -> dict[str, Any]:
    """Return what the certificate says, as rows of name, value and meaning."""
    proof = inputs.split
    facts: list[tuple[str, str, str]] = []
    if proof["status"] == "done":
        wished = proof.get("level_wished", proof["level"])
        asked = "" if wished == proof["level"] else f"(wished: {wished}) "
        facts.append(("level", proof["level"], f"{asked}what is never divided between two sides"))
        for name, meaning in (
            ("objective", "weighted mean deviation of the shares from the wish"),
            ("bound", "no choice of groups can have a smaller one"),
            ("gap", "objective minus bound; 0: proven best"),
        ):
            value = proof.get(name)
            if value is not None:
                facts.append((name, f"{100 * value:.4f} percentage points", meaning))
        facts.append(("solver", proof.get("solver") or "", f"seed {proof.get('seed', 0)}"))
    return {
        "done": proof["status"] == "done",
        "reason": proof.get("reason") or "",
        "facts": facts,
        "sides": [side for side in SIDES if side != "validation" or _has_validation(proof)],
        "groups": proof.get("groups") or {},
        "rows": proof.get("rows") or {},
        "statement": (proof.get("proof") or {}).get("statement", ""),
        "overlapping": (proof.get("proof") or {}).get("overlapping_windows"),
        "findings": (proof.get("audit") or {}).get("findings") or [],
        "merged": proof.get("merged") or [],
        "impossible": proof.get("impossible") or [],
        "method": proof.get("method") or "",
    }


def _has_validation(proof: dict[str, Any]) -> bool:
    return bool((proof.get("rows") or {}).get("validation"))


def _validation_section(inputs: Inputs) -> dict[str, Any]:
    found = inputs.validation
    codes = counts.frequent_codes(found)
    sources = [
        {
            "name": name,
            "version": (found.get(key) or {}).get("version") or "",
            "reason": (found.get(key) or {}).get("reason") or "",
            "errors": (found.get(key) or {}).get("errors"),
            "warnings": (found.get(key) or {}).get("warnings"),
        }
        for key, name in SOURCES.items()
    ]
    return {
        "sources": sources,
        "codes": codes[:MOST_CODES],
        "more": len(codes) - min(len(codes), MOST_CODES),
        "ignored": sorted((found.get("ignored") or {}).items()),
        "events": counts.event_counts(inputs.events),
    }
