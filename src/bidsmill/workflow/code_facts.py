"""What the hash of the code needs to know of a Python file, remembered between runs.

Parsing 200 modules takes a second, at every start of the workflow. So what was found is kept
beside the compiled modules, under the sha256 of the file's bytes: a file that changed is another
one, and a memory that is lost, damaged or cannot be written costs that second and nothing else.
"""

from __future__ import annotations

import ast
import hashlib
import json
import re
import sys
from pathlib import Path
from typing import Any

from bidsmill.formats import files

COMPANION = re.compile(r"[\w.-]+\.(html|css|js|json|txt)")
# Facts of that many files are kept; of more, those that this process asked for.
MOST_KEPT = 2000


class Facts:
    """Remembers, by the bytes of a file, its hash, what it imports, and files that it names.

    Parameters
    ----------
    path : pathlib.Path
        The file in which they are kept.
    """

    def __init__(self, path: Path):
        self.path = path
        self._kept: dict[str, dict[str, Any]] | None = None
        self._asked: set[str] = set()
        self._grown = False
        # Another version of Python writes syntax trees otherwise, and so may another version of
        # this module.
        self._maker = hashlib.sha256(sys.version.encode() + Path(__file__).read_bytes())

    def of(self, content: bytes) -> dict[str, Any]:
        """Return the facts of a file.

        Parameters
        ----------
        content : bytes
            The file.

        Returns
        -------
        dict
            ``tree``: the sha256 of its syntax tree without docstrings; ``imports``: the names of
            modules, and of what is imported from them; ``companions``: texts in it that look like
            names of files, in their order.
        """
        key = self._maker.copy()
        key.update(content)
        name = key.hexdigest()
        if self._kept is None:
            self._kept = self._load()
        if name not in self._kept:
            self._kept[name] = facts_of(content)
            self._grown = True
        self._asked.add(name)
        return self._kept[name]

    def save(self) -> None:
        """Write what is new, if the folder can be written."""
        if not self._grown or self._kept is None:
            return
        if len(self._kept) > MOST_KEPT:
            self._kept = {name: self._kept[name] for name in self._asked}
        try:
            self.path.parent.mkdir(exist_ok=True)
            files.write_bytes(self.path, json.dumps(self._kept, sort_keys=True).encode())
        except OSError:
            pass  # the code belongs to somebody else
        self._grown = False

    def _load(self) -> dict[str, dict[str, Any]]:
        try:
            kept = json.loads(self.path.read_bytes())
            wanted = {"tree", "imports", "companions"}
            return {name: facts for name, facts in kept.items() if set(facts) == wanted}
        except (OSError, ValueError, AttributeError, TypeError):
            return {}


def facts_of(content: bytes) -> dict[str, Any]:
    """Return the facts of a file; see `Facts.of`."""
    tree = ast.parse(content)
    imports: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imports.extend(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            imports.append(node.module)
            imports.extend(f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            _drop_docstring(node)
    constants = (node.value for node in ast.walk(tree) if isinstance(node, ast.Constant))
    texts = {value for value in constants if isinstance(value, str)}
    return {
        "tree": hashlib.sha256(ast.dump(tree, annotate_fields=False).encode()).hexdigest(),
        "imports": imports,
        "companions": sorted(text for text in texts if COMPANION.fullmatch(text)),
    }


def _drop_docstring(node) -> None:
    if ast.get_docstring(node, clean=False) is not None:
        node.body = node.body[1:] or [ast.Pass()]
