"""The code hash moves when the code means something else, and only then."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bidsmill.workflow import code_hash as module
from bidsmill.workflow.code_facts import MOST_KEPT, Facts, facts_of
from bidsmill.workflow.code_hash import code_hash

START = "bidsmill/convert/recording.py"


@pytest.fixture
def source(tmp_path, root) -> Path:
    """A copy of the package, without compiled files."""
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(root / "src", tmp_path / "src", ignore=ignored)
    return tmp_path / "src"


@pytest.fixture(scope="module")
def before(root) -> str:
    """Return the hash of the package as it is; where it lies does not count (see below)."""
    return hash_of(root / "src")


def hash_of(source: Path, start: str = START) -> str:
    module._read.cache_clear()  # files that change under a running process are for tests alone
    return code_hash(source / start, source)


def edit(source: Path, name: str, change) -> None:
    path = source / "bidsmill" / name
    text = path.read_text(encoding="utf-8")
    changed = change(text)
    assert changed != text
    ast.parse(changed)
    path.write_text(changed, encoding="utf-8")


def without_comments(text: str) -> str:
    """Return code as ast.unparse writes it: no comment, no blank line, other quotes."""
    return ast.unparse(ast.parse(text)) + "\n"


def with_other_docstrings(text: str) -> str:
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef):
            if ast.get_docstring(node, clean=False) is not None:
                node.body[0].value.value = "Another text."
            else:
                node.body.insert(0, ast.Expr(ast.Constant("A text where there was none.")))
    return ast.unparse(ast.fix_missing_locations(tree)) + "\n"


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text + "\n\n# a comment\n",
        lambda text: text.replace("\n\n", "\n\n\n"),
        lambda text: text.replace("    ", "  "),
        without_comments,
        with_other_docstrings,
        lambda text: "# -*- coding: utf-8 -*-\n" + text,
        lambda text: text.replace("\n", "\r\n"),
    ],
    ids=["comment", "blank lines", "indent", "unparsed", "docstrings", "first line", "line ends"],
)
def test_what_means_the_same_has_the_same_hash(source, before, change):
    for name in ("convert/recording.py", "formats/files.py", "bids/events.py"):
        path = source / "bidsmill" / name
        text = path.read_bytes().decode("utf-8")
        changed = change(text)
        assert changed != text
        path.write_bytes(changed.encode("utf-8"))
    assert hash_of(source) == before


MOVES = [
    ("convert/recording.py", r'"Manufacturer"', '"Maker"'),  # a constant of the module itself
    ("formats/files.py", r'PART_SUFFIX = "\.part"', 'PART_SUFFIX = ".tmp"'),
    ("formats/files.py", r"indent=1", "indent=2"),  # a function, by way of several modules
    ("formats/float_lists.py", r"COMPRESSION_LEVEL = 1", "COMPRESSION_LEVEL = 2"),
    ("errors.py", r'"; "\.join', '", ".join'),
    ("bids/events.py", r"math\.isfinite\(value\)", "math.isnan(value)"),
]


@pytest.mark.parametrize(("name", "old", "new"), MOVES, ids=[move[0] for move in MOVES])
def test_a_change_in_what_is_imported_moves_the_hash(source, before, name, old, new):
    edit(source, name, lambda text: re.sub(old, new, text, count=1))
    assert hash_of(source) != before


def test_a_change_elsewhere_does_not(source, before):
    for name in ("workflow/config.py", "access/view.py", "split/optimiser.py", "store/publish.py"):
        edit(source, name, lambda text: text + "\nEXTRA = 1\n")
    assert hash_of(source) == before


def test_place_and_times_of_the_checkout_do_not_count(source, before, tmp_path):
    assert hash_of(source) == before
    other = tmp_path / "somewhere" / "bidsmill" / "else"
    shutil.copytree(source, other)
    for path in other.rglob("*.py"):
        os.utime(path, (1, 1))
    assert hash_of(other) == before
    (tmp_path / "link").symlink_to(other)
    assert hash_of(tmp_path / "link") == before


# A package written for the purpose


@pytest.fixture
def small(tmp_path) -> Path:
    for name, text in {
        "bidsmill/__init__.py": "",
        "bidsmill/a.py": "VALUE = 1\n",
        "bidsmill/b.py": "VALUE = 1\n",
        "bidsmill/part/__init__.py": "VALUE = 1\n",
        "bidsmill/part/c.py": "from bidsmill import loop\nVALUE = 1\n",
        "bidsmill/loop.py": "import bidsmill.part.c\n",
        "bidsmill/unrelated.py": "VALUE = 1\n",
        "script.py": "",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.mark.parametrize(
    ("text", "reached"),
    [
        ("import bidsmill.a", {"a"}),
        ("import numpy, bidsmill.a as x", {"a"}),
        ("from bidsmill import a, b", {"a", "b"}),
        ("from bidsmill.part import c", {"part/__init__", "part/c"}),
        ("from bidsmill.part.c import VALUE", {"part/c"}),
        ("def f():\n    from bidsmill import a", {"a"}),
        ("class A:\n    async def f(self):\n        import bidsmill.a", {"a"}),
        ("if False:\n    import bidsmill.a", {"a"}),
        (
            "try:\n    from bidsmill.part import c as x\nexcept Exception:\n    pass",
            {"part/__init__", "part/c"},
        ),
        ("from bidsmill import *", set()),
        ("import bidsmiller.a", set()),
        ("x = 'import bidsmill.a'", set()),
    ],
)
def test_which_imports_count(small, text, reached):
    (small / "script.py").write_text(text)
    before = hash_of(small, "script.py")
    for name in ("a", "b", "part/__init__", "part/c", "unrelated"):
        path = small / "bidsmill" / f"{name}.py"
        kept = path.read_text()
        path.write_text(kept.replace("VALUE = 1", "VALUE = 2"))
        moved = hash_of(small, "script.py") != before
        path.write_text(kept)
        assert moved == (name in reached), name
    assert hash_of(small, "script.py") == before


def test_a_template_beside_a_module_counts(small):
    (small / "bidsmill" / "a.py").write_text('PAGE = "page.html"\nOTHER = "absent.html"\n')
    (small / "bidsmill" / "other.html").write_text("not named")
    (small / "script.py").write_text("import bidsmill.a")
    before = hash_of(small, "script.py")
    (small / "bidsmill" / "page.html").write_text("one")
    one = hash_of(small, "script.py")
    (small / "bidsmill" / "page.html").write_text("two")
    assert len({before, one, hash_of(small, "script.py")}) == 3
    (small / "bidsmill" / "page.html").write_text("one")
    (small / "bidsmill" / "other.html").write_text("still not named")
    assert hash_of(small, "script.py") == one


def run_elsewhere(project: Path) -> str:
    """Return the hash that another process takes, with the code of a copy of the package."""
    code = (
        "import sys; from pathlib import Path; from bidsmill.workflow.code_hash import code_hash\n"
        f"print(code_hash(Path(sys.argv[1]) / {START!r}, Path(sys.argv[1])))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(project)],
        env={**os.environ, "PYTHONPATH": str(project)},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def test_what_is_remembered_between_runs_never_decides(source, before):
    """The memory is made, used, damaged in some ways, and lost: the hash is that of the code."""
    kept = source / "bidsmill" / "workflow" / "__pycache__"
    assert run_elsewhere(source) == before
    (path,) = kept.glob("code_facts.*.json")
    whole = path.read_bytes()
    entries = json.loads(whole)
    assert len(entries) > 20
    assert run_elsewhere(source) == before and path.read_bytes() == whole
    for damaged in (whole[:-100], b"[1]", b"\xff", b'{"a": 1}', b'{"a": {"tree": ""}}'):
        path.write_bytes(damaged)
        assert Facts(path).of(b"x = 1\n") == facts_of(b"x = 1\n")
    edit(source, "bids/events.py", lambda text: text + "\nEXTRA = 1\n")
    changed = run_elsewhere(source)
    assert changed != before
    shutil.rmtree(kept)
    kept.write_text("a folder that cannot be written")
    assert run_elsewhere(source) == changed


def test_the_memory_does_not_grow_for_ever(tmp_path):
    path = tmp_path / "facts.json"
    facts = Facts(path)
    for number in range(MOST_KEPT):
        facts.of(f"x = {number}\n".encode())
    facts.save()
    assert len(json.loads(path.read_bytes())) == MOST_KEPT
    later = Facts(path)
    wanted = [b"x = 5\n", b"y = 1\n"]
    found = [later.of(content) for content in wanted]
    later.save()
    assert list(json.loads(path.read_bytes()).values()) in (found, found[::-1])
    assert found == [facts_of(content) for content in wanted]


def test_order_and_duplicates_of_imports_end(small):
    (small / "script.py").write_text("import bidsmill.loop\nimport bidsmill.part.c\n")
    assert re.fullmatch("[0-9a-f]{16}", hash_of(small, "script.py"))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("x = 1", "x = 1.0"),
        ("x = 'a'", "x = b'a'"),
        ("x = (1, 2)", "x = [1, 2]"),
        ("x = -0.0", "x = 0.0"),
        ("def f(a, b=1): return a", "def f(a, b=2): return a"),
        ("def f(): return 'text'", "def f(): 'text'"),
        ("def f():\n    x = 1\n    'no docstring'", "def f():\n    x = 1"),
        ("x = a < b", "x = a <= b"),
        ("@d\ndef f(): return 1", "def f(): return 1"),
    ],
)
def test_small_differences_that_count(small, one, other):
    hashes = []
    for text in (one, other):
        (small / "script.py").write_text(text)
        hashes.append(hash_of(small, "script.py"))
    assert hashes[0] != hashes[1]


def test_the_package_imports_only_by_its_full_name(root):
    """The hash does not follow relative imports, nor names that are built at run time."""
    for path in (root / "src").rglob("*.py"):
        if "access" in path.parts:
            continue  # no stage of the pipeline; it looks for what the user has installed
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            assert not (isinstance(node, ast.ImportFrom) and node.level), path
            assert not (isinstance(node, ast.Name) and node.id == "__import__"), path
            assert not (isinstance(node, ast.Attribute) and node.attr == "import_module"), path
