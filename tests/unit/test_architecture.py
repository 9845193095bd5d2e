"""The rules of the house: which part imports which, what is heavy, how long things are."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "bidsmill"
BASE = {"errors", "formats", "signal"}
STAGES = {"annotate", "convert", "report", "simulate", "split", "store", "streams"}
ALLOWED = {
    "errors": set(),
    "version": set(),
    "formats": {"errors"},
    "signal": {"errors"},
    "storage": {"errors", "formats"},
    "batches": {"errors", "formats"},
    "bids": BASE,
    "sources": BASE | {"bids", "storage", "version"},
    "workflow": BASE | {"batches", "bids", "sources", "storage", "streams"},
    "cli": BASE
    | {"access", "annotate", "simulate", "sources", "split", "storage", "store", "version"}
    | {"streams", "workflow"},
    "access": {"errors", "formats", "storage"},
    **{stage: BASE | {"batches", "bids", "sources", "storage", "version"} for stage in STAGES},
    "__init__": {"access", "errors", "version"},
}
# Slow to import, or not part of the light install: only inside the function that needs them.
HEAVY = {
    "boto3",
    "dask",
    "edfio",
    "hed",
    "highspy",
    "httpx",
    "jinja2",
    "matplotlib",
    "mne",
    "mne_bids",
    "nemar",
    "neo",
    "pybv",
    "scipy",
    "sklearn",
    "snakemake",
    "tdt",
    "tenacity",
    "torch",
    "tqdm",
}


def modules() -> list[Path]:
    return sorted(SOURCE.rglob("*.py"))


def part_of(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imports(tree: ast.AST) -> set[str]:
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(SOURCE)))
def test_arrows_go_one_way(path):
    own = part_of(path)
    allowed = ALLOWED[own]
    known = {part_of(module) for module in modules()}
    names = {n for n in imports(ast.parse(path.read_text())) if n.startswith("bidsmill.")}
    parts = {name.split(".")[1] for name in names} & known - {own}
    assert parts <= allowed, f"{path.name} imports {parts - allowed}"


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(SOURCE)))
def test_heavy_libraries_are_imported_where_they_are_needed(path):
    tree = ast.parse(path.read_text())
    at_import = [
        node
        for node in tree.body
        if isinstance(node, ast.Import | ast.ImportFrom) and getattr(node, "level", 0) == 0
    ]
    names = {n.split(".")[0] for node in at_import for n in imports(ast.Module([node], []))}
    assert not names & HEAVY


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(SOURCE)))
def test_modules_and_functions_are_short(path):
    text = path.read_text()
    assert text.count("\n") <= 400
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            documented = ast.get_docstring(node) is not None
            first = node.body[1].lineno if documented and len(node.body) > 1 else node.lineno
            assert node.end_lineno - first <= 60, node.name


def test_rules_and_scripts_are_short_and_named_alike():
    scripts = {path.stem: path for path in (ROOT / "workflow" / "scripts").glob("*.py")}
    text = ""
    for path in (ROOT / "workflow" / "rules").glob("*.smk"):
        assert path.read_text().count("\n") <= 150
        text += path.read_text()
    for name, path in scripts.items():
        assert path.read_text().count("\n") <= 25
        assert f"\nrule {name}:" in text or f"\ncheckpoint {name}:" in text
        assert f'"../scripts/{name}.py"' in text
    for forbidden in ("run:", "shadow:", "touch(", "directory(", "ancient(", "retries:"):
        assert forbidden not in text


def test_parsing_the_workflow_imports_nothing_heavy():
    code = (
        "import sys; sys.path.insert(0, 'src')\n"
        "import bidsmill.batches, bidsmill.workflow.config\n"
        "import bidsmill.workflow.code_hash, bidsmill.workflow.summary\n"
        "print(sorted(set(sys.modules) & {'numpy', 'pandas', 'mne', 'scipy', 'pyarrow', 'hed'}))"
    )
    printed = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert printed.stdout.strip() == "[]"
