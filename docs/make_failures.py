"""Write docs/failures.md from the registries of reasons and of repair rules."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from bidsmill.bids.reasons import DATASET, EVENTS, QUARANTINE, ROWS, Reason
from bidsmill.bids.repairs import RISKS, Rule
from bidsmill.bids.rules import all_rules

HERE = Path(__file__).resolve().parent
MEANING_OF_RISK = {
    "lossless": (
        "Every sample and every event keeps its value, place and channel. On, unless"
        " `repairs: {refuse: [NAME]}` takes a rule out."
    ),
    "lossy": (
        "What is there keeps its value; what is damaged is left out. Off, unless"
        " `repairs: {allow: [NAME]}` names the rule."
    ),
    "guess": (
        "Something is assumed that the files do not say. Off, unless"
        " `repairs: {allow: [NAME]}` names the rule."
    ),
}


def page() -> str:
    """Return the page as text."""
    parts = (HERE / "failures.template.md").read_text(encoding="utf-8")
    tables = {
        "QUARANTINE": _reasons(QUARANTINE.values()),
        "EVENTS": _reasons(EVENTS.values()),
        "DATASET": _reasons(DATASET.values()),
        "ROWS": _reasons(ROWS.values()),
        "REPAIRS": _repairs(),
        "KINDS": ", ".join(f"`{kind}`" for kind in sorted({r.kind for r in all_rules().values()})),
    }
    for name, table in tables.items():
        parts = parts.replace(f"{{{{{name}}}}}", table)
    return parts


def _reasons(reasons: Iterable[Reason]) -> str:
    listed = list(reasons)
    columns = ["reason", "meaning"]
    columns += ["what to do"] if any(r.todo for r in listed) else []
    columns += ["seen in"] if any(r.seen for r in listed) else []
    rows = []
    for reason in listed:
        cells = {
            "reason": f"`{reason.code}`",
            "meaning": reason.meaning,
            "what to do": reason.todo,
            "seen in": ", ".join(reason.seen),
        }
        rows.append([cells[column] for column in columns])
    return _table(columns, rows)


def _repairs() -> str:
    parts = []
    for risk in RISKS:
        rules = sorted((r for r in all_rules().values() if r.risk == risk), key=lambda r: r.name)
        columns = ["rule", "what is wrong", "what is done", "at the source", "seen in"]
        table = _table(columns, [_row(rule) for rule in rules]) if rules else "No rules."
        parts.append(f"### {risk.capitalize()}\n\n{MEANING_OF_RISK[risk]}\n\n{table}")
    return "\n\n".join(parts)


def _row(rule: Rule) -> list[str]:
    todo = rule.todo[:1].upper() + rule.todo[1:].rstrip(".")
    cells = [f"`{rule.name}`", rule.failure, rule.effect, todo and f"{todo}."]
    return [*cells, ", ".join(rule.seen)]


def _table(columns: list[str], rows: list[list[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    cells = [[cell.replace("|", "\\|") for cell in line] for line in lines]
    return "\n".join("|" + "".join(f" {c} |" if c else " |" for c in line) for line in cells)


if __name__ == "__main__":
    (HERE / "failures.md").write_text(page(), encoding="utf-8")
