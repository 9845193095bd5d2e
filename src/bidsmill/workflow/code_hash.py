"""A hash of the code that a rule runs: comments, docstrings and file times do not count."""

from __future__ import annotations

import ast
import hashlib
import re
from functools import cache
from pathlib import Path

PACKAGE = "bidsmill"
COMPANION = re.compile(r"[\w.-]+\.(html|css|json|txt)")


def code_hash(start: Path, source: Path) -> str:
    """Return the hash of a Python file and of all that it imports from the package.

    The hash is taken over the syntax trees without docstrings, over the transitive imports
    inside the package, wherever in a module they stand, and over the bytes of files beside a
    module that it names (a template). So it moves when the code means something else, and not
    with comments, formatting or a fresh clone.

    Parameters
    ----------
    start : pathlib.Path
        The file to begin with: a rule's script, or a module.
    source : pathlib.Path
        The folder that holds the package.

    Returns
    -------
    str
        16 hexadecimal digits.
    """
    start, source = start.resolve(), source.resolve()
    seen: dict[Path, str] = {}
    waiting = [start]
    while waiting:
        path = waiting.pop()
        if path in seen:
            continue
        digest, imported = _read(path, source)
        seen[path] = digest
        waiting.extend(imported)
    root = source / PACKAGE
    lines = sorted(
        f"{path.relative_to(root) if path.is_relative_to(root) else path.name} {digest}"
        for path, digest in seen.items()
    )
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


@cache
def _read(path: Path, source: Path) -> tuple[str, tuple[Path, ...]]:
    tree = ast.parse(path.read_bytes())
    imported = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported.extend(_modules([alias.name for alias in node.names], source))
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            imported.extend(_modules([node.module, *names], source))
        elif isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            _drop_docstring(node)
    content = hashlib.sha256(ast.dump(tree, annotate_fields=False).encode())
    for companion in _companions(tree, path.parent):
        content.update(companion.read_bytes())
    return content.hexdigest(), tuple(imported)


def _companions(tree: ast.AST, folder: Path) -> list[Path]:
    """Return the files beside a module that it names, such as templates."""
    texts = {n.value for n in ast.walk(tree) if isinstance(n, ast.Constant)}
    names = sorted(t for t in texts if isinstance(t, str) and COMPANION.fullmatch(t))
    return [folder / name for name in names if (folder / name).is_file()]


def _drop_docstring(node) -> None:
    if ast.get_docstring(node, clean=False) is not None:
        node.body = node.body[1:] or [ast.Pass()]


def _modules(names: list[str], source: Path) -> list[Path]:
    """Return the files of those names that are modules of the package."""
    found = []
    for name in names:
        if name.split(".")[0] != PACKAGE or name == PACKAGE:
            continue
        base = source.joinpath(*name.split("."))
        for path in (base.with_suffix(".py"), base / "__init__.py"):
            if path.is_file():
                found.append(path)
    return found
