"""docs/streams.md lists the operations that there are, and what it says of them is so."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
from pathlib import Path

from bidsmill.streams import Graph, Operation, operations

ROOT = Path(__file__).resolve().parents[2]
PAGES = {name: (ROOT / "docs" / f"{name}.md").read_text() for name in ("streams", "dspant")}
OWN = {name: kind for name, kind in operations().items() if kind.__module__.startswith("bidsmill.")}
ROW = re.compile(r"^\| `(\w+)` \| (.*?) \| ([a-z ]+) → (\w+) \| (.*) \|$", re.MULTILINE)


def test_the_committed_table_is_the_generated_one():
    # In a process of its own: operations that other tests register are not on the page.
    maker = ROOT / "docs" / "make_operations.py"
    code = f"import runpy; made = runpy.run_path({str(maker)!r}); "
    code += "print(made['page'](made['PAGE'].read_text(encoding='utf-8')), end='')"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert PAGES["streams"] == done.stdout, "run `make docs`"


def test_every_operation_has_one_row_with_its_inputs_output_and_parameters():
    rows = {row[0]: row for row in ROW.findall(PAGES["streams"])}
    assert list(rows) == list(OWN)
    of_filters = ("method", "order", "phase", "low_transition", "high_transition")
    for name, kind in OWN.items():
        _, parameters, inputs, output, what = rows[name]
        assert (tuple(inputs.split(" and ")), output) == (kind.inputs, kind.output)
        words = re.findall(r"(?:^|; )`(\w+)`", parameters)
        known = [field.name for field in dataclasses.fields(kind)]
        if "those of filters" in parameters:
            known = [word for word in known if word not in of_filters]
        assert words == known
        assert what.endswith(" *") == (kind.partial is not Operation.partial)


def test_every_definition_in_running_text_can_be_read():
    nodes = {"env": "raw > rectify", "clean": "env", "peak": "statistics(env, epocs)"}
    found = set()
    for text in PAGES.values():
        for piece in re.findall(r"`([^`\n]+\))`", text):
            name = re.match(r"(?:clean > )?(\w*)", piece)[1]
            if name in OWN and "..." not in piece:
                names_its_inputs = len(OWN[name].inputs) > 1
                start = "" if names_its_inputs or ">" in piece else "raw > "
                Graph({**nodes, "x": start + piece})
                found.add(piece)
    assert len(found) >= 20
