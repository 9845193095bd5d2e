"""Every command and snippet of the documentation is run, page by page, in a copy of the project."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from runs import Run, differing
from servers.archive import Archive
from servers.authority import Authority
from stages import run_stages
from tutorials import IN_THIS_PROCESS, lines_not_printed, run_tutorial

import bidsmill
from bidsmill.workflow.config import load_schema, resolve

ROOT = Path(__file__).resolve().parents[2]
# docs/scale.md runs the demo again: it comes before pages that change it.
PAGES = ["README.md", "docs/scale.md", "docs/how-to.md", "docs/sources.md", "docs/hed.md"]
PAGES += ["docs/split.md"]
PAGES += ["docs/reading.md", "docs/commands.md", "docs/other-readers.md", "docs/matlab.md"]
PAGES += ["docs/simulation.md", "docs/simulation-files.md", "docs/streams.md", "docs/dspant.md"]
PAGES += ["docs/catalogue.md"]
# Pages whose Python blocks are one program, and whose text shows parts of what is printed.
TUTORIALS = ["docs/start.md", "docs/tutorial-curators.md", "docs/tutorial-researchers.md"]
TUTORIALS += ["docs/tutorial-simulation.md", "docs/tutorial-matlab.md", "docs/how-to-extend.md"]
# A page on recordings that do not travel with the project.
GESTURES = "docs/gestures.md"
# Pages on which a block of text shows what the block before it prints.
SHOWN = ["docs/split.md", "docs/other-readers.md", GESTURES]
FAILURES = ["docs/failures.md", "docs/failures.template.md"]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NOTEBOOK = "docs/notebook/hackathon.ipynb"
# Blocks of MATLAB are run in Octave by tests/unit/test_matlab.py.
NOT_RUN = {"", "mermaid", "text", "bibtex", "matlab"}
CATALOGUE = ("results/store/catalog.parquet", "results/store/index.html")
DEMO = ("sh", "make demo\n")


def blocks(page: str) -> list[tuple[str, str]]:
    return FENCE.findall((ROOT / page).read_text())


@pytest.fixture(scope="module")
def checkout(tmp_path_factory) -> Path:
    """Return a copy of the project with its environment."""
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


@pytest.fixture(scope="module")
def demo(checkout, tmp_path_factory) -> Run:
    """Return what `make demo` made, with what it printed. Not to be changed."""
    language, command = DEMO
    printed = run_block(language, f"{command.rstrip()} 2>&1\n", checkout)
    run = Run(tmp_path_factory.mktemp("demo"), checkout)
    for name in ("results", ".snakemake"):
        subprocess.run(["cp", "-a", str(checkout / name), str(run.folder)], check=True)
    run.printed = printed
    return run


@pytest.fixture(scope="module")
def sample(checkout, demo) -> Path:
    """Return the sample dataset: all pages go on from what README.md begins with."""
    return checkout / "results" / "sample" / "bids"


@pytest.fixture(scope="module")
def archives(sample, s3_server, tmp_path_factory):
    """Start what docs/sources.md speaks of on this machine, and return its environment.

    The datasets have the names and subjects of the page, and the signals of the sample.
    """
    folder = tmp_path_factory.mktemp("archives")
    openneuro = renamed(sample, folder / "ds002718", {"sub-01": "sub-002", "sub-02": "sub-003"})
    datasets = {"ds002718": {"1.0.5": openneuro}, "nm000132": {"v1.0.0": sample}}
    authority = Authority(folder / "authority")
    with Archive(datasets, authority) as archive:
        client = s3_server.client()
        client.create_bucket(Bucket="lab-data")
        for path in sorted(p for p in sample.rglob("*") if p.is_file()):
            client.upload_file(str(path), "lab-data", f"faces/{path.relative_to(sample)}")
        yield {
            "BIDSMILL_OPENNEURO_ENDPOINT": archive.graphql,
            "BIDSMILL_NEMAR_ENDPOINT": archive.nemar,
            "SSL_CERT_FILE": str(authority.bundle),
            "AWS_ENDPOINT_URL_S3": s3_server.endpoint,
            "AWS_ACCESS_KEY_ID": s3_server.access_key,
            "AWS_SECRET_ACCESS_KEY": s3_server.secret_key,
        }


def renamed(source: Path, target: Path, names: dict[str, str]) -> Path:
    """Copy the files at the top and some subjects of a dataset, under other labels."""
    for path in sorted(p for p in source.rglob("*") if p.is_file()):
        name = str(path.relative_to(source))
        content = path.read_bytes()
        is_text = path.suffix in (".json", ".tsv", ".vhdr", ".vmrk")
        for old, new in names.items():
            name = name.replace(old, new)
            if is_text:
                content = content.replace(old.encode(), new.encode())
        if "/" not in name or name.startswith(tuple(names.values())):
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            (target / name).write_bytes(content)
    return target


def run_block(
    language: str, code: str, folder: Path, environment: dict[str, str] | None = None
) -> str:
    """Run a block and return what it prints."""
    if language in ("yaml", "json"):
        name = re.match(r"# (\S+)\n", code)
        assert name, "a config in the documentation begins with its name: # name.yaml"
        (folder / name.group(1)).write_text(code)
        resolve(yaml.safe_load(code), load_schema(ROOT / "workflow/schemas/config.schema.yaml"))
        return ""
    command = {"sh": ["bash", "-euo", "pipefail", "-c"], "python": [sys.executable, "-c"]}[language]
    path = f"{folder}/.venv/bin:{os.environ['PATH']}"
    environment = {**os.environ, **(environment or {}), "PATH": path}
    done = subprocess.run(
        [*command, code], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{code}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout


def test_the_demo_says_what_came_out(demo):
    printed = demo.printed
    assert (
        "sample: 25 recordings: 24 converted, 1 quarantined; 960 rows; split by subject" in printed
    )
    assert "sub-11_ses-2_task-faces_run-1_eeg: content_not_fetched" in printed
    assert 'bidsmill.open("results/store")["sample"].select(split="train")' in printed
    assert "results/sample/report.html" in printed


def test_the_store_of_the_demo_loads(demo):
    dataset = bidsmill.open(demo.folder / "results" / "store")["sample"]
    X, y = dataset.select(split="train").arrays(target="stimulus")
    assert X.shape[1:] == (19, 128) and set(y) == {"face", "scrambled"}
    samples = dataset.samples
    sides = samples.groupby("subject")["split"].nunique()
    assert (sides == 1).all()
    share = (samples["split"] == "test").mean()
    assert 0.15 <= share <= 0.25
    faces = samples[samples["stimulus"] == "face"]
    assert set(faces["trial_type"]) == {"face"}


def test_a_face_evokes_a_larger_n170_in_the_published_rows(demo):
    dataset = bidsmill.open(demo.folder / "results" / "store")["sample"]
    rows = dataset.select(channels=["P7", "P8"])
    X, y = rows.arrays(target="stimulus")
    window = (rows.times >= 0.15) & (rows.times <= 0.19)
    mean = X[:, :, window].mean(axis=(1, 2))
    assert mean[y == "face"].mean() < mean[y == "scrambled"].mean() - 1e-6


def test_a_second_run_has_nothing_to_do(demo):
    assert "Nothing to be done" in demo.snakemake("--dry-run")


@pytest.mark.long
def test_one_process_gives_the_same_bytes(demo, tmp_path):
    """Every stage in this process, one after the other, instead of jobs on two cores."""
    config = yaml.safe_load((demo.project / "config/config.yaml").read_text())
    run_stages(tmp_path, config)
    # Simulated spikes are not made here, and stand in the catalogue of the demo.
    expected = {
        name: content
        for name, content in demo.bytes_of_results().items()
        if "spikes" not in Path(name).parts and name not in CATALOGUE
    }
    made = Run(tmp_path, demo.project).bytes_of_results()
    for name in CATALOGUE:
        del made[name]
    assert differing(made, expected) == set()


@pytest.mark.long
def test_one_core_gives_the_same_bytes(demo, tmp_path):
    run = Run(tmp_path, demo.project)
    run.snakemake(cores=1)
    assert differing(run.bytes_of_results(), demo.bytes_of_results()) == set()


@pytest.mark.parametrize("page", PAGES)
def test_every_block_of_the_page_runs(checkout, sample, page, request):
    environment = request.getfixturevalue("archives") if page == "docs/sources.md" else None
    commands = blocks(page)
    if page == "README.md":
        commands.remove(DEMO)
    printed = ""
    for language, code in commands:
        if language not in NOT_RUN:
            printed = run_block(language, code, checkout, environment)
        elif language == "text" and page in SHOWN:
            assert printed == code


@pytest.mark.parametrize("page", TUTORIALS)
def test_the_tutorial_runs_and_shows_what_it_prints(checkout, demo, page):
    here = page in IN_THIS_PROCESS and os.environ.get("BIDSMILL_LONG") != "1"
    commands = [b for b in blocks(page) if b[0] not in NOT_RUN and b != DEMO]
    printed = demo.printed + run_tutorial(commands, checkout, run_block, in_this_process=here)
    shown = [code for language, code in blocks(page) if language == "text"]
    assert lines_not_printed(shown, printed) == []


@pytest.mark.parametrize("runs", ["here", pytest.param("snakemake", marks=pytest.mark.long)])
def test_gestures_are_told_as_the_page_says(checkout, corpus, tmp_path, runs):
    """Without the long tests, the stages run in this process instead of under Snakemake."""
    shutil.copytree(corpus / "emg_gestures", tmp_path / "data" / "emg_gestures")
    for name in (".venv", "docs", "Snakefile", "workflow", "src", "envs", "profiles", "config"):
        (tmp_path / name).symlink_to(checkout / name)
    printed = ""
    for language, code in blocks(GESTURES):
        if runs == "here" and "snakemake" in code:
            run_stages(tmp_path, yaml.safe_load((tmp_path / "gestures.yaml").read_text()))
        elif language not in NOT_RUN:
            printed = run_block(language, code, tmp_path)
        elif language == "text":
            assert printed == code


def test_the_notebook_runs(checkout, sample):
    """Its code in one process, in the folder in which Jupyter starts it."""
    text = (checkout / NOTEBOOK).read_text()
    notebook = json.loads(text)
    assert text == json.dumps(notebook, indent=1, ensure_ascii=False, sort_keys=True) + "\n"
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert not any(cell["outputs"] or cell["execution_count"] for cell in cells)
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"
    code = "\n".join("".join(cell["source"]) for cell in cells)
    printed = run_block("python", code, (checkout / NOTEBOOK).parent, {"MPLBACKEND": "agg"})
    assert "480 rows  Image and not Face" in printed
    assert "{'test': 2, 'train': 12} people" in printed
    score, chance, spread = map(
        float, re.search(r"all: ([\d.]+); chance ([\d.]+) ± ([\d.]+)", printed).groups()
    )
    shuffled = float(re.search(r"shuffled labels: ([\d.]+)", printed)[1])
    assert score > chance + spread > shuffled
    error, by_chance = map(int, re.search(r"error (\d+) mm, by chance (\d+) mm", printed).groups())
    assert error < by_chance / 2


def test_no_page_is_left_out():
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "config").glob("*.md")]
    for path in pages:
        page = str(path.relative_to(ROOT))
        languages = {language for language, _ in blocks(page)}
        # config/README.md shows the command that docs/how-to.md runs; the snippets of
        # docs/failures.md are run by tests/unit/test_failures_page.py.
        if page not in [*PAGES, *TUTORIALS, GESTURES, "config/README.md", *FAILURES]:
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
        codes |= set(re.findall(r'(?:Failed|Refused|WrongAnswer)\(\s*"(\w+)"', source))
        if path.name in ("reading.py", "presence.py"):
            codes |= set(re.findall(r'return "([a-z]+_[a-z_]+)", \(?f?"', source))
    assert {"no_events", "unreadable", "internal_error"} <= codes
    assert not [code for code in sorted(codes) if f"`{code}`" not in text]
