"""A hash of the code that a rule runs: comments, docstrings and file times do not count."""

from __future__ import annotations

import hashlib
import sys
from functools import cache
from pathlib import Path

from bidsmill.workflow.code_facts import Facts

PACKAGE = "bidsmill"
# Beside the compiled modules, and like them one for each version of Python.
KEPT_IN = Path(__file__).parent / "__pycache__" / f"code_facts.{sys.implementation.cache_tag}.json"
FACTS = Facts(KEPT_IN)


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
    FACTS.save()
    root = source / PACKAGE
    lines = sorted(
        f"{path.relative_to(root) if path.is_relative_to(root) else path.name} {digest}"
        for path, digest in seen.items()
    )
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


@cache
def _read(path: Path, source: Path) -> tuple[str, tuple[Path, ...]]:
    facts = FACTS.of(path.read_bytes())
    content = hashlib.sha256(facts["tree"].encode())
    for name in facts["companions"]:
        companion = path.parent / name
        if companion.is_file():
            content.update(companion.read_bytes())
    return content.hexdigest(), tuple(_modules(facts["imports"], source))


def _modules(names: list[str], source: Path) -> list[Path]:
    """Return the files of those names that are modules of the package."""
    own = (name for name in names if name.startswith(f"{PACKAGE}."))
    return [path for name in own for path in _files_of(name, source)]


@cache
def _files_of(name: str, source: Path) -> tuple[Path, ...]:
    base = source.joinpath(*name.split("."))
    return tuple(p for p in (base.with_suffix(".py"), base / "__init__.py") if p.is_file())
