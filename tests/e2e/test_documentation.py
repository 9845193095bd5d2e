"""Every command and snippet of the documentation is run, page by page, in a copy of the project."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = ["README.md", "docs/how-to.md"]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NOT_RUN = {"", "mermaid", "text", "bibtex"}


def blocks(page: str) -> list[tuple[str, str]]:
    return FENCE.findall((ROOT / page).read_text())


@pytest.fixture(scope="module")
def checkout(tmp_path_factory, sample_run) -> Path:
    """Return a copy of the project with its environment, and the sample already converted."""
    folder = tmp_path_factory.mktemp("documentation") / "bidsmill"
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("\n")
    for name in filter(None, listed):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    environment = Path(sys.prefix)
    assert (environment / ".ready").exists(), "run the tests through make"
    (folder / ".venv").symlink_to(environment)
    os.utime(environment / ".ready")
    return folder


def run_block(language: str, code: str, folder: Path) -> None:
    if language in ("yaml", "json"):
        name = re.match(r"# (\S+)\n", code)
        assert name, "a config in the documentation begins with its name: # name.yaml"
        (folder / name.group(1)).write_text(code)
        return
    command = {"sh": ["bash", "-euo", "pipefail", "-c"], "python": [sys.executable, "-c"]}[language]
    environment = {**os.environ, "PATH": f"{folder}/.venv/bin:{os.environ['PATH']}"}
    done = subprocess.run(
        [*command, code], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{code}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"


@pytest.mark.parametrize("page", PAGES)
def test_every_block_of_the_page_runs(checkout, page):
    if page != "README.md" and not (checkout / "results").exists():
        run_block("sh", "make demo", checkout)
    for language, code in blocks(page):
        if language not in NOT_RUN:
            run_block(language, code, checkout)


def test_no_page_is_left_out():
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "config").glob("*.md")]
    for path in pages:
        page = str(path.relative_to(ROOT))
        languages = {language for language, _ in blocks(page)}
        # config/README.md shows the command that docs/how-to.md runs.
        if page not in [*PAGES, "config/README.md"]:
            assert languages <= NOT_RUN, f"{page} has commands that no test runs"


def test_links_between_pages_lead_somewhere():
    for path in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), ROOT / "config/README.md"]:
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", path.read_text()):
            if "://" not in target:
                assert (path.parent / target).exists(), f"{path.name} links to {target}"


def test_every_reason_code_is_documented():
    text = (ROOT / "docs" / "failures.md").read_text()
    codes = set()
    for path in (ROOT / "src").rglob("*.py"):
        source = path.read_text()
        codes |= set(re.findall(r'RecordingProblem\(\s*"(\w+)"', source))
        codes |= set(re.findall(r'quarantined\(\s*"(\w+)"', source))
        if path.name in ("reading.py", "local.py"):
            codes |= set(re.findall(r'return "([a-z]+_[a-z_]+)", \(?f?"', source))
    assert {"no_events", "unreadable", "internal_error"} <= codes
    assert not [code for code in sorted(codes) if f"`{code}`" not in text]
