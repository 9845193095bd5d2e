"""docs/failures.md says what the registries say, and what it shows works."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from bidsmill.bids.crosschecks import cross_check
from bidsmill.bids.reasons import DATASET, EVENTS, QUARANTINE, ROWS

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "failures.md"
MAKER = ROOT / "docs" / "make_failures.py"
# Calls whose first argument is a reason code.
MAKERS_OF_CODES = {"RecordingProblem", "quarantined", "Failed", "Refused", "WrongAnswer"}


def test_the_committed_page_is_the_generated_one():
    # In a process of its own: rules that other tests register are not on the page.
    code = f"import runpy; print(runpy.run_path({str(MAKER)!r})['page'](), end='')"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert PAGE.read_text(encoding="utf-8") == done.stdout, "run `make docs`"


@cache
def trees() -> list[tuple[str, ast.AST]]:
    paths = sorted((ROOT / "src").rglob("*.py"))
    return [(path.name, ast.parse(path.read_text())) for path in paths]


def codes_in_use() -> set[str]:
    found = set()
    for _, tree in trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and node.args:
                name = getattr(node.func, "id", getattr(node.func, "attr", ""))
                first = node.args[0]
                if name in MAKERS_OF_CODES and isinstance(first, ast.Constant) and first.value:
                    found.add(first.value)
    return found


def test_every_code_has_its_reason():
    codes = codes_in_use()
    assert len(codes) > 15
    assert sorted(codes - set(QUARANTINE)) == []


def test_every_reason_is_a_code_that_something_gives():
    texts = "".join(
        node.value
        for name, tree in trees()
        if name != "reasons.py"
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        for node.value in [f"\0{node.value}\0"]
    )
    every = [*QUARANTINE, *EVENTS, *ROWS, *DATASET]
    assert [code for code in every if f"\0{code}\0" not in texts] == []
    assert all(re.fullmatch("[a-z]+(_[a-z]+)*", code) for code in every)


def test_what_cross_checks_give_is_on_the_page():
    documented = set(re.findall("``([a-z_]+)``", cross_check.__doc__.split("Codes:")[1]))
    assert documented == set(DATASET)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("filter_impossible", ("filter", "resample")),
        ("missing_channels", ("channels.names", "reference", "channels.montage", "min_share")),
    ],
)
def test_a_reason_names_every_setting_that_leads_to_it(code, words):
    row = next(line for line in PAGE.read_text().splitlines() if line.startswith(f"| `{code}` |"))
    assert all(word in row for word in words)


def test_the_rule_of_the_page_works_as_its_test_says(tmp_path):
    rule, test = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.M | re.S)
    (tmp_path / "rule_of_the_page.py").write_text(rule)
    (tmp_path / "test_rule_of_the_page.py").write_text(f"import rule_of_the_page\n{test}")
    path = os.pathsep.join([str(ROOT / "src"), str(tmp_path)])
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert done.returncode == 0 and "2 passed" in done.stdout, done.stdout
