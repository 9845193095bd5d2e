"""The MATLAB library, run by GNU Octave, gives what Python gives from the same store."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import zlib
from dataclasses import dataclass
from pathlib import Path

import matlab_store
import numpy as np
import pytest
from absence import absent

import bidsmill
from bidsmill.access.cache.cache import Cache
from bidsmill.access.cache.entries import default_folder
from bidsmill.access.cache.location import StoreReader
from bidsmill.cli import main
from bidsmill.storage.addresses import open_storage
from bidsmill.storage.folder import Folder

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ROOT / "tests" / "matlab"
CODE = ROOT / "matlab" / "+bidsmill"
SOURCES = sorted(CODE.rglob("*.m"))
LABEL = matlab_store.LABEL


@dataclass
class Case:
    """The same selection in both languages."""

    arguments: str
    select: dict
    target: str | list[str] | None = None
    dataset: str = "faces"


COMMON = "'Channels', 'common'"
CASES = [
    Case(f"{{{COMMON}}}", {"channels": "common"}),
    Case(f"{{{COMMON}, 'Excluded', true}}", {"channels": "common", "excluded": True}),
    Case(f"{{{COMMON}, 'Split', 'train', 'Target', 'face'}}", {"split": "train"}, "face"),
    Case(
        f"{{{COMMON}, 'Split', {{'train', 'test'}}, 'Target', 'rt'}}",
        {"split": ["train", "test"]},
        "rt",
    ),
    Case(f"{{{COMMON}, 'Target', {{'face', 'rt'}}}}", {}, ["face", "rt"]),
    Case(f"{{{COMMON}, 'Target', '{LABEL}'}}", {}, LABEL),
    Case(f"{{{COMMON}, 'Target', 'note'}}", {}, "note"),
    Case(f"{{{COMMON}, 'Target', 'onset'}}", {}, "onset"),
    Case(
        f"{{{COMMON}, 'Where', {{'subject', {{'05', '01'}}}}}}",
        {"where": "subject in ['05', '01']"},
    ),
    Case(
        f"{{{COMMON}, 'Where', {{'participant_age', '>', 30}}}}", {"where": "participant_age > 30"}
    ),
    Case(
        f"{{{COMMON}, 'Where', {{'participant_age', '~=', 31}}}}",
        {"where": "participant_age != 31"},
    ),
    Case(f"{{{COMMON}, 'Where', {{'quality_flat', '<=', 2}}}}", {"where": "quality_flat <= 2"}),
    Case(
        f"{{{COMMON}, 'Where', {{'row', '!=', [0 2]; 'rt', '<', 0.5}}}}",
        {"where": "row not in [0, 2] and rt < 0.5"},
    ),
    Case(f"{{{COMMON}, 'Where', {{'note', '>', 'z'}}}}", {"where": "note > 'z'"}),
    Case(f"{{{COMMON}, 'Where', {{'note', '<=', '\uff5a'}}}}", {"where": "note <= '\uff5a'"}),
    Case(f"{{{COMMON}, 'Where', {{'note', '>=', 7}}}}", {"where": "note >= 7"}),
    Case(f"{{{COMMON}, 'Where', {{'note', '~=', 7}}}}", {"where": "note != 7"}),
    Case(f"{{{COMMON}, 'Where', {{'note', {{10, 'é'}}}}}}", {"where": "note in [10, 'é']"}),
    Case(
        f"{{{COMMON}, 'Where', {{'participant_hand pref', '==', 'R'}}}}",
        {"where": "`participant_hand pref` == 'R'"},
    ),
    Case(
        f"{{{COMMON}, 'Where', struct('subject', '04', 'row', 3)}}",
        {"where": "subject == '04' and row == 3"},
    ),
    Case(
        "{'Channels', {'x', 'X'}, 'Where', {'subject', {'04', '05'}}}",
        {"channels": ["x", "X"], "where": "subject in ['04', '05']"},
    ),
    *(
        Case(
            f"{{{COMMON}, 'Where', {expression!r}}}".replace("\\'", "''"),
            {"where": expression},
        )
        for expression in (
            "subject == '04' and row >= 3",
            "note in [10, 'é', -1.5e-3] and quality_flat<4",
            'note not in ["é", "z"]and`participant_hand pref` != \'R\'',
            " row > -1 ",
        )
    ),
    Case("{'Channels', {'A.1', 'EOG'}}", {"channels": ["A.1", "EOG"]}),
    Case("{'Channels', {'EOG'; 'A.1'}}", {"channels": ["EOG", "A.1"]}),
    Case("{}", {}, dataset="sample"),
    Case("{'Version', '1.0.0'}", {}, dataset="sample@1.0.0"),
    Case("{'Channels', 'eeg', 'Target', 'stimulus'}", {"channels": "eeg"}, "stimulus", "sample"),
    Case(
        "{'Channels', {'µV/ref', ' Fz ', 'EEG \"x\"'}}",
        {"channels": ["µV/ref", " Fz ", 'EEG "x"']},
        dataset="sample",
    ),
]


@pytest.fixture(scope="module")
def octave() -> str:
    program = shutil.which("octave-cli")
    if program is None:
        absent("install octave")
    return program


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("matlab") / "the store"
    matlab_store.build(root)
    return root


@pytest.fixture(scope="module")
def cache(store, tmp_path_factory) -> Path:
    """Return a cache that Python filled."""
    folder = tmp_path_factory.mktemp("cache")
    opened = bidsmill.open(store, cache=folder)
    for name in ("faces", "sample", "sample@1.0.0"):
        reader = Cache(opened.files, folder)
        for entry in opened[name].matrices.values():
            reader.array(entry)
    return folder


def run(octave, script, store, cache, folder, shims=True) -> str:
    """Run a script of tests/matlab, and return what it prints."""
    paths = [ROOT / "matlab", SCRIPTS, *([SCRIPTS / "shims"] if shims else [])]
    options = [part for path in paths for part in ("--path", str(path))]
    environment = {
        **os.environ,
        "BIDSMILL_TEST_STORE": str(store),
        "BIDSMILL_TEST_FOLDER": str(folder),
        "BIDSMILL_TEST_PYTHON": sys.executable,
        "BIDSMILL_CACHE": str(cache),
    }
    command = [octave, "--quiet", "--norc", "--no-history", *options, str(script)]
    done = subprocess.run(
        command, env=environment, cwd=folder, capture_output=True, text=True, check=False
    )
    printed = done.stdout + done.stderr
    assert done.returncode == 0, printed
    assert "warning" not in printed, printed
    return printed


def write_cases(opened, cases, folder) -> None:
    """Write what Python reads: numbers as raw float32, the rest as JSON."""
    written = [_written(opened, case, number, folder) for number, case in enumerate(cases)]
    (folder / "cases.json").write_text(json.dumps(written, ensure_ascii=False))


def _written(opened, case: Case, number: int, folder: Path) -> dict:
    options = {"channels": "common", **case.select} if COMMON in case.arguments else case.select
    chosen = opened[case.dataset].select(**options)
    names = [case.target] if isinstance(case.target, str) else list(case.target or [])
    if names:
        chosen = chosen.labelled(*names)
    X = chosen.arrays()
    (folder / f"{number}.bin").write_bytes(np.ascontiguousarray(X, "<f4").tobytes())
    samples = chosen.samples
    targets = [chosen.arrays(name)[1] for name in names]
    is_class = len(names) == 1 and targets[0].dtype != np.float64
    return {
        "arguments": case.arguments,
        "dataset": case.dataset,
        "version": chosen.dataset.version,
        "values": f"{number}.bin",
        "shape": list(X.shape),
        "channels": list(chosen.channels),
        "times": _plain(chosen.times.tolist()),
        "sfreq": chosen.sfreq,
        "recording": samples["recording"].tolist(),
        "row": samples["row"].tolist(),
        "targets": [_plain(target.tolist()) for target in targets],
        "isnumber": [target.dtype == np.float64 for target in targets],
        "classes": list(chosen.classes(names[0])) if is_class else [],
        "columns": {
            f"c{i}": {"name": name, "values": _plain(samples[name].astype(object).tolist())}
            for i, name in enumerate(samples.columns)
            if number == 0 or name in ("subject", "rt")
        },
    }


def _plain(values: list) -> list[str]:
    """Return values as text, numbers with all their digits."""
    return [value if isinstance(value, str) else repr(value) for value in values]


def test_rows_order_labels_and_values_are_those_of_python(octave, store, cache, tmp_path):
    write_cases(bidsmill.open(store, cache=cache), CASES, tmp_path)
    printed = run(octave, SCRIPTS / "read_cases.m", store, cache, tmp_path)
    assert f"{len(CASES)} cases equal" in printed
    # MATLAB maps the arrays into memory; Octave has no such class.
    some = [case for case in CASES if "A.1" in case.arguments or "Fz" in case.arguments]
    write_cases(bidsmill.open(store, cache=cache), some, tmp_path)
    printed = run(octave, SCRIPTS / "mapped_cases.m", store, cache, tmp_path)
    assert f"{len(some)} cases equal" in printed


@pytest.mark.parametrize("script", ["datastore_behaviour", "errors", "parts"])
def test_script(octave, store, cache, tmp_path, script):
    run(octave, SCRIPTS / f"{script}.m", store, cache, tmp_path)


def test_catalogue_and_contents_are_those_of_python(octave, store, cache, tmp_path):
    opened = bidsmill.open(store, cache=cache)
    faces = opened["faces"]
    samples = faces.samples
    # What only catalog.parquet holds: Octave cannot read it, and goes by the manifests.
    besides = {"citation", "license_class", "channels", "channel_types", "sampling_rates"}
    besides |= {"hed_tags", "largest_layout", "samples", "report"}
    columns = [name for name in opened.catalog.columns if name not in besides]
    about = {
        "catalog": json.loads(opened.catalog[columns].to_json(orient="records")),
        "version": faces.version,
        "name": faces.name,
        "columns": list(samples.columns),
        "splits": {
            side: int((samples["split"] == side).sum())
            for side in ("train", "validation", "test", "none")
        },
        "labels": list(faces.labels),
        "classes": faces.labels["face"],
        "layouts": list(faces.layouts),
        "channels": next(iter(faces.layouts.values()))["channels"],
    }
    (tmp_path / "about.json").write_text(json.dumps(about, ensure_ascii=False))
    run(octave, SCRIPTS / "about.m", store, cache, tmp_path)


def test_a_matrix_decoded_by_parquetread_is_the_cache_entry_of_python(
    octave, store, cache, tmp_path
):
    own = tmp_path / "cache"
    own.mkdir()
    run(octave, SCRIPTS / "parquet_path.m", store, own, tmp_path)
    arrays = sorted((own / "matrix").glob("*.npy"))
    assert len(arrays) == 2
    assert not list((own / "matrix").glob(".*"))
    for path in arrays:
        assert path.read_bytes() == (cache / "matrix" / path.name).read_bytes()
        made = json.loads(path.with_suffix(".json").read_bytes())
        content = path.read_bytes()
        assert made == {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        wanted = json.loads((cache / "matrix" / path.name).with_suffix(".json").read_bytes())
        assert wanted["crc32"] == f"{zlib.crc32(content):08x}"
    # Python takes it as it is: the matrix file is not there any more to be decoded.
    for name, recordings in (("sample@1.0.0", None), ("sample", "sub-03_task-faces_eeg")):
        moved = tmp_path / name
        shutil.copytree(store, moved, dirs_exist_ok=True)
        expected = bidsmill.open(store, cache=cache)[name].select(recordings=recordings).arrays()
        for path in moved.rglob("matrix/*.parquet"):
            path.unlink()
        dataset = bidsmill.open(moved, cache=own)[name]
        np.testing.assert_array_equal(dataset.select(recordings=recordings).arrays(), expected)


def test_pull_by_the_command_line_of_python(octave, store, tmp_path, monkeypatch):
    command = tmp_path / "bidsmill"
    code = "from bidsmill.cli import main; raise SystemExit(main())"
    command.write_text(f"#!/bin/sh\nexec '{sys.executable}' -c '{code}' \"$@\"\n")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    run(octave, SCRIPTS / "pull_by_python.m", store, tmp_path / "cache", tmp_path)


def test_the_lines_that_info_prints_for_matlab_load_the_dataset(
    octave, store, cache, tmp_path, capsys
):
    for name in ("faces", "sample"):
        assert main(["info", str(store), name, "--json"]) == 0
        lines = json.loads(capsys.readouterr().out)["matlab"]
        (tmp_path / "printed_lines.m").write_text(f"1;\n{lines}\nassert(size(data, 2) == 2)\n")
        run(octave, tmp_path / "printed_lines.m", store, cache, tmp_path)


PART = Case(
    "{'Channels', {'EOG', 'A.1'}, 'Where', {'subject', {'01', '02'}; 'row', [4 7]}}",
    {"channels": ["EOG", "A.1"], "where": "subject in ['01', '02'] and row in [4, 7]"},
)


class Elsewhere:
    """A folder that is reached as a bucket is: what is read is copied into the cache."""

    remote = True

    def __init__(self, root: Path, address: str):
        self.address = address
        folder = Folder(root)
        self.read, self.read_range, self.stat = folder.read, folder.read_range, folder.stat
        self.download, self.download_into = folder.download, folder.download_into

    def local_path(self, path: str) -> None:
        return None


@pytest.mark.parametrize("form", ["tsv", "parquet", "parts"])
def test_a_store_that_python_pulled_is_read_under_its_address(octave, store, tmp_path, form):
    folder = tmp_path / "cache"
    address = "s3://bucket/prefix/"
    assert open_storage(address).address == address
    reader = StoreReader(Elsewhere(store, address), folder)
    opened = bidsmill.open(store, cache=folder)
    dataset = opened["faces"]
    reader.read("catalog.parquet")
    reader.read("datasets/faces/latest.json")
    reader.read_immutable(f"datasets/faces/versions/{dataset.version}.json")
    for entry in dataset.manifest["files"]:
        if entry["name"] in (
            "samples.parquet" if form == "parquet" else "samples.tsv",
            "channels.tsv",
        ):
            reader.verified_path(entry)
    cases = [case for case in CASES if case.dataset == "faces"]
    cases = [PART] if form == "parts" else cases[2 : 4 if form == "tsv" else 3]
    cached = Cache(reader, folder)
    for entry in list(dataset.matrices.values())[: 2 if form == "parts" else None]:
        if form == "parts":
            cached.part(entry, [0, 3], np.array([1]))  # not wanted: rows and channels lack
            cached.part(entry, [1, 4], np.array([4, 7]))
        else:
            cached.array(entry)
    assert form != "parts" or not (folder / "matrix").exists()
    write_cases(bidsmill.open(store, cache=tmp_path / "python"), cases, tmp_path)
    script = "tables_as_parquet.m" if form == "parquet" else "read_cases.m"
    run(octave, SCRIPTS / script, address, folder, tmp_path)


def test_the_cache_folder_is_that_of_python(octave, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    wanted, code = [], []
    for stated, base in (("~/x", "/y"), ("", "/y"), ("", ""), ("/z", "")):
        monkeypatch.setenv("BIDSMILL_CACHE", stated)
        monkeypatch.setenv("XDG_CACHE_HOME", base)
        wanted.append(str(default_folder()))
        code.append(f"setenv('BIDSMILL_CACHE', '{stated}'); setenv('XDG_CACHE_HOME', '{base}');")
        code.append("disp(bidsmill.cachefolder())")
    command = [octave, "-q", "--norc", "--no-history", "-p", str(ROOT / "matlab"), "--eval"]
    found = subprocess.run([*command, "\n".join(code)], capture_output=True, text=True, check=True)
    assert found.stdout.splitlines() == wanted


def test_every_block_of_the_page_that_octave_knows_runs(octave, store, cache, tmp_path):
    blocks = []
    for page in ("README.md", "docs/matlab.md", "docs/tutorial-matlab.md"):
        blocks += re.findall(r"^```matlab\n(.*?)^```$", (ROOT / page).read_text(), re.M | re.S)
    run_here = [block for block in blocks if not block.startswith("% MATLAB only")]
    assert len(run_here) >= 4
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "store").symlink_to(store)
    (tmp_path / "matlab").symlink_to(ROOT / "matlab")
    (tmp_path / "page.m").write_text("\n".join(["1;", *run_here]))
    run(octave, tmp_path / "page.m", store, cache, tmp_path)


# Functions that only one of MATLAB and Octave has, or that run text as code.
NOT_IN_BOTH = (
    "(eval|evalin|evalc|feval|contains|import|enumeration|MException|printf|puts|endfunction|"
    "endif|endwhile|strlength|isstring|string|dictionary|ostrsplit|strjust)"
)


def _code(path: Path) -> str:
    """Return a source without comments and the content of its texts."""
    lines = []
    for line in path.read_text().splitlines():
        line = re.sub(r"(?<![\w)\]}'.])'(?:[^'\n]|'')*'", "''", line)
        lines.append(re.sub(r"%.*", "", line))
    return "\n".join(lines)


def test_code_keeps_to_what_both_matlab_and_octave_read():
    for path in SOURCES:
        code, text = _code(path), path.read_text()
        assert '"' not in code, f"{path.name}: a string in MATLAB, and a char in Octave"
        found = re.search(rf"(?<![\w.{{]){NOT_IN_BOTH}\s*(\(|$)", code, re.M)
        assert not found, f"{path.name}: {found}"
        assert not re.search(r"(\+=|-=|\*=|\+\+|!=|!\w|#)", code), f"{path.name}: Octave alone"
        assert not re.search(r"^\s*arguments\s*$", code, re.M), f"{path.name}: MATLAB alone"
        assert text.isascii(), path.name
        assert max(map(len, text.splitlines())) <= 100, path.name
        assert len(text.splitlines()) < 400, path.name


def test_every_file_has_help_with_an_example():
    for path in SOURCES:
        lines = path.read_text().splitlines()
        assert lines[0].startswith(("function ", "classdef ")), path.name
        assert re.match(rf"%{path.stem.upper()}  \S.*\.$", lines[1]), lines[1]
        body = next(i for i, line in enumerate(lines[1:], 1) if not line.startswith("%"))
        assert any(line.startswith("%   Example") for line in lines[:body]), path.name
        assert f"bidsmill.{path.stem}" in "".join(lines[2:body]).replace("internal.", ""), path.name


def test_every_file_is_read_by_octave(octave, tmp_path):
    names = "', '".join(str(path) for path in SOURCES if path.name != "Datastore.m")
    check = f"names = {{'{names}'}}; for k = 1:numel(names), __parse_file__(names{{k}}); end"
    done = subprocess.run(
        [octave, "-q", "--norc", "--no-history", "--eval", check],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0 and "error" not in done.stderr, done.stderr
