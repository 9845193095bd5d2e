"""The documentation as a site: every page, every link, and nothing from elsewhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from absence import absent

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
# Not in the site: the source of a page that is, and a note on pictures.
LEFT_OUT = {"failures.template.md", "pictures/README.md"}
# Tags and attributes by which a page loads something by itself.
LOADING = {"script": "src", "img": "src", "iframe": "src", "source": "src", "link": "href"}


class Page(HTMLParser):
    """What a page loads, where it links to, and the places that can be linked to."""

    def __init__(self, path: Path):
        super().__init__()
        self.loads: list[str] = []
        self.links: list[str] = []
        self.places: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        values = {name: value or "" for name, value in attrs}
        self.places |= {values[name] for name in ("id", "name") if name in values}
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        if LOADING.get(tag) in values:
            self.loads.append(values[LOADING[tag]])


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """Return the site, built without a network, and without what it says on paper."""
    tool = Path(sys.executable).with_name("mkdocs")
    if not tool.exists():
        absent("mkdocs is not installed")
    folder = tmp_path_factory.mktemp("site") / "site"
    nowhere = "http://127.0.0.1:9"
    done = subprocess.run(
        [str(tool), "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT,
        env={**os.environ, "HTTP_PROXY": nowhere, "HTTPS_PROXY": nowhere},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def pages(site) -> dict[Path, Page]:
    return {path: Page(path) for path in sorted(site.rglob("*.html"))}


def test_every_page_of_the_folder_is_in_the_navigation(site, pages):
    front = {unquote(urlsplit(link).path) for link in pages[site / "index.html"].links}
    for path in DOCS.rglob("*.md"):
        name = path.relative_to(DOCS)
        shown = str(name.with_suffix(".html")).replace("README", "index")
        if str(name) not in {"README.md", *LEFT_OUT}:
            assert shown in front, f"{name} is not in nav of mkdocs.yml"
    assert {"configuration.html", "changes.html"} <= front


def test_links_lead_to_pages_and_places(site, pages):
    for path, page in pages.items():
        if path.name == "404.html":
            continue
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or not (parts.path or parts.fragment):
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if target.is_dir():
                target /= "index.html"
            assert target.is_file(), f"{path.name} links to {link}"
            if parts.fragment and target.suffix == ".html":
                assert unquote(parts.fragment) in pages[target].places, f"{path.name}: {link}"


def test_nothing_is_loaded_from_elsewhere(site, pages):
    for path, page in pages.items():
        for address in page.loads:
            # The theme names the place of a page there if it knows one; it is not loaded.
            assert not urlsplit(address).netloc, f"{path.name} loads {address}"
        # The theme's script fetches a library to draw these.
        assert 'class="mermaid"' not in path.read_text(encoding="utf-8"), path.name
    for path in site.rglob("*.css"):
        found = re.findall(r"url\(\s*[\"']?(?:https?:)?//|@import", path.read_text())
        assert not found, f"{path.name} loads {found}"


def test_pictures_are_there_and_described(site, pages):
    for path in DOCS.glob("*.md"):
        for words, target in re.findall(r"!\[([^]]*)\]\(([^)]+)\)", path.read_text()):
            assert words and (site / target).is_file(), f"{path.name}: {target}"


def test_files_that_the_guide_to_the_code_names_are_there():
    text = (DOCS / "how-to-extend.md").read_text()
    named = set(re.findall(r"`((?:src|tests|workflow)/[\w./]+)`", text)) - {
        "src/bidsmill/sources/NAME.py"
    }
    assert len(named) > 25
    assert not [name for name in sorted(named) if not (ROOT / name).exists()]
    code = "".join(path.read_text() for path in (ROOT / "src").rglob("*.py"))
    code += "".join(path.read_text() for path in (ROOT / "tests" / "unit").glob("*.py"))
    code += (ROOT / "workflow" / "rules" / "common.smk").read_text()
    for word in re.findall(r"`([A-Z]+(?:_[A-Z]+)*|\w+_\w+)`", text):
        if word not in ("PAGES", "TUTORIALS", "snake_case"):
            assert word in code, f"nothing is called {word}"
