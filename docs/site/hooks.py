"""What the site shows of pages that lie elsewhere, and of Markdown that it reads otherwise."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[2]
# Pages outside of docs/, and their names in the site.
ELSEWHERE = {"config/README.md": "configuration.md", "CHANGELOG.md": "changes.md"}
LINK = re.compile(r"(!?)\[([^]]+)\]\(([^)#:]+)(#[^)]*)?\)")


def on_files(files: Files, config) -> Files:
    """Add the pages that lie outside of docs/."""
    for source, name in ELSEWHERE.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        files.append(File.generated(config, name, content=text))
    return files


def on_page_markdown(markdown: str, page, config, files) -> str:
    """Return the text of a page with links as the site has them, and plain bars in tables."""
    shown = page.file.src_uri
    source = {name: source for source, name in ELSEWHERE.items()}.get(shown, f"docs/{shown}")
    markdown = LINK.sub(lambda link: _link(link, source, shown), markdown)
    return "\n".join(_plain_bars(line) for line in markdown.split("\n"))


def _link(link: re.Match[str], source: str, shown: str) -> str:
    """Return a link of a file in the repository as the page in the site needs it."""
    mark, words, target, place = link.groups()
    path = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
    if path in ELSEWHERE:
        path = f"docs/{ELSEWHERE[path]}"
    if not path.startswith("docs/"):
        return words  # code: in the site its name is enough
    path = posixpath.relpath(path, posixpath.dirname(f"docs/{shown}"))
    return f"{mark}[{words}]({path}{place or ''})"


def _plain_bars(line: str) -> str:
    r"""Write ``\|`` in the code of a table's row as ``|``, as Python-Markdown reads it."""
    if not line.startswith("|"):
        return line
    return re.sub(r"`[^`]+`", lambda code: code[0].replace(r"\|", "|"), line)
