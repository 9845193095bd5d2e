"""The command `bidsmill`: arguments, exit codes, and words instead of tracebacks."""

from __future__ import annotations

import io
import json
import os
import signal
import socket
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest
import yaml

from bidsmill import cli
from bidsmill.version import __version__

SOURCE = Path(__file__).resolve().parents[2] / "src"
FILES = {
    "dataset_description.json": '{"Name": "n", "BIDSVersion": "1.10.0"}',
    "sub-01/eeg/sub-01_task-x_eeg.edf": "signal",
    "sub-02/eeg/sub-02_task-x_eeg.edf": "another",
}


@pytest.fixture
def place(tmp_path, monkeypatch) -> Path:
    """A folder with a local dataset and a config, in which the command runs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(SOURCE))
    for path, text in FILES.items():
        (tmp_path / "bids" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "bids" / path).write_text(text)
    write_config(tmp_path, own={"source": "local", "path": "bids"})
    return tmp_path


def write_config(folder: Path, **datasets: dict) -> None:
    for settings in datasets.values():
        settings["windows"] = {"kind": "fixed", "length": 1}
    (folder / "config").mkdir(exist_ok=True)
    (folder / "config" / "config.yaml").write_text(yaml.safe_dump({"datasets": datasets}))


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "bidsmill.cli", *arguments]


def run(*arguments: str) -> tuple[int, str, str]:
    """Run the command; return exit code and what it printed."""
    printed, told = io.StringIO(), io.StringIO()
    with redirect_stdout(printed), redirect_stderr(told):
        try:
            code = cli.main(list(arguments))
        except SystemExit as left:
            code = left.code
    return code, printed.getvalue(), told.getvalue()


def refused(*arguments: str) -> str:
    """Run the command, which must say what is wrong, and no more; return its words."""
    code, printed, told = run(*arguments)
    assert (code, printed) == (1, ""), (code, printed, told)
    assert told.startswith("bidsmill: ") and "Traceback" not in told, told
    return told


def test_the_version(place):
    assert run("--version") == (0, f"bidsmill {__version__}\n", "")


def test_the_command_is_installed():
    from importlib.metadata import entry_points

    (found,) = entry_points(group="console_scripts", name="bidsmill")
    assert found.load() is cli.main


@pytest.mark.parametrize(
    "arguments", [[], ["fetch"], ["lock", "--no-such"], ["manifest"], ["manifest", "a", "b"]]
)
def test_wrong_arguments_are_told_with_the_usage(place, arguments):
    code, printed, told = run(*arguments)
    assert (code, printed) == (2, "")
    assert told.startswith("usage: bidsmill") and "error: " in told


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["lock", "--help"], ["manifest", "--help"], ["hed-template", "--help"]],
)
def test_help(place, capsys, arguments):
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    assert ended.value.code == 0
    assert "usage: bidsmill" in capsys.readouterr().out


def test_a_lock_is_committed_and_then_left_alone(place, capsys):
    assert cli.main(["lock"]) == 0
    path = place / "config" / "locks" / "own.json"
    assert "config/locks/own.json" in capsys.readouterr().out
    lock = json.loads(path.read_bytes())
    assert [entry["path"] for entry in lock["files"]] == sorted(FILES)
    assert not (place / "results").exists()
    before = path.read_bytes(), path.stat().st_mtime_ns
    (place / "bids" / "README").write_text("new")
    assert cli.main(["lock", "own"]) == 0
    assert "bidsmill lock --update own" in capsys.readouterr().out
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before


def test_only_the_named_datasets_are_locked(place):
    write_config(place, **{name: {"source": "local", "path": "bids"} for name in "abc"})
    assert run("lock", "c", "a")[0] == 0
    assert {p.name for p in (place / "config" / "locks").iterdir()} == {"a.json", "c.json"}
    assert run("lock")[0] == 0
    assert len(list((place / "config" / "locks").iterdir())) == 3


def test_another_config_and_another_folder_of_locks(place):
    text = (place / "config" / "config.yaml").read_text()
    (place / "other.yaml").write_text(f"locks: kept/here\n{text}")
    assert run("lock", "--configfile", "other.yaml")[0] == 0
    assert (place / "kept" / "here" / "own.json").is_file()


def test_accept_goes_with_update(place):
    assert "--accept goes with --update" in refused("lock", "--accept")
    assert not (place / "config" / "locks").exists()


def test_no_config(place):
    told = refused("lock", "--configfile", "absent.yaml")
    assert "no such config" in told and "file: absent.yaml" in told and "to do: " in told


def test_a_dataset_that_is_not_in_the_config(place):
    told = refused("lock", "others")
    assert "no dataset others" in told and "expected: own" in told


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"datasets: [", "own.yaml"),
        (b"datasets:\n\t- a", "own.yaml"),
        (b"datasets: {}\ndatasets: {}\n", "datasets"),
        (b"- a\n- b\n", "datasets"),
        (b"", "datasets"),
        (b"datasets: {own: {source: ftp}}", "ftp"),
        (b"datasets: {own: {sauce: local}}", "did you mean 'source'?"),
        (b"datasets: {'../own': {source: sample}}", "../own"),
        (b"datasets: {own: \xff\xfe}", "own.yaml"),
        (b"datasets: {own: \x00}", "own.yaml"),
    ],
)
def test_a_config_that_cannot_be_used(place, content, told):
    (place / "own.yaml").write_bytes(content)
    assert told in refused("lock", "--configfile", "own.yaml")


def test_a_folder_is_no_config(place):
    assert "no such config" in refused("lock", "--configfile", "bids")


def test_a_source_that_is_not_there(place):
    write_config(place, own={"source": "local", "path": "nowhere"})
    told = refused("lock")
    assert "the dataset's folder is missing" in told and "file: nowhere" in told


def test_what_was_done_before_an_error_stays(place):
    """Datasets are locked one after the other: the second cannot be."""
    write_config(
        place,
        a={"source": "local", "path": "bids"},
        b={"source": "local", "path": "nowhere"},
    )
    code, printed, told = run("lock")
    assert code == 1 and "config/locks/a.json" in printed and "nowhere" in told
    assert (place / "config" / "locks" / "a.json").is_file()


def test_an_update_needs_a_lock(place):
    told = refused("lock", "--update")
    assert "own has no lock yet" in told and "to do: bidsmill lock own" in told


def test_locks_and_manifests_that_cannot_be_written(place, capsys):
    text = (place / "config" / "config.yaml").read_text()
    (place / "own.yaml").write_text(f"locks: own.yaml\n{text}")
    (place / "bids" / "manifest.tsv").mkdir()
    for arguments in (["lock", "--configfile", "own.yaml"], ["manifest", "bids"]):
        assert cli.main(arguments) == 1
        told = capsys.readouterr().err
        assert told.startswith("bidsmill: ") and told.count("\n") == 1
    assert "manifest.tsv" in told


def test_a_damaged_lock_is_told_of_and_the_way_out_works(place, capsys):
    path = place / "config" / "locks" / "own.json"
    assert cli.main(["lock"]) == 0
    whole = path.read_bytes()
    for content in (whole[:-300], b"", b"\xff", b'{"contract": "0"}', b"[]"):
        path.write_bytes(content)
        for arguments in (["lock"], ["lock", "--update"], ["lock", "--update", "--accept"]):
            assert cli.main(arguments) == 1
            told = capsys.readouterr().err
            assert told.startswith("bidsmill: ") and "own.json" in told
    assert "remove it, and write it again: bidsmill lock" in told
    path.unlink()
    assert cli.main(["lock"]) == 0
    assert path.read_bytes() == whole


def test_the_manifest_is_what_sha256sum_says(place):
    code, printed, told = run("manifest", "bids")
    assert (code, told) == (0, "") and "3 files" in printed
    header, *lines = (place / "bids" / "manifest.tsv").read_text().splitlines()
    rows = [dict(zip(header.split("\t"), line.split("\t"), strict=True)) for line in lines]
    assert [row["path"] for row in rows] == sorted(FILES)
    assert [int(row["size"]) for row in rows] == [len(FILES[row["path"]]) for row in rows]
    summed = subprocess.run(
        ["sha256sum", *sorted(FILES)],
        cwd=place / "bids",
        capture_output=True,
        text=True,
        check=True,
    )
    stated = [f"{row['sha256']}  {row['path']}" for row in rows]
    assert stated == summed.stdout.splitlines()


@pytest.mark.parametrize(
    ("folder", "told"),
    [("nowhere", "missing"), ("bids/sub-01", "no BIDS dataset"), ("config/config.yaml", "missing")],
)
def test_no_manifest_of_what_is_no_dataset(place, folder, told):
    assert told in refused("manifest", folder)


def test_a_process_of_its_own(place):
    done = subprocess.run(command("lock"), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "") and "config/locks/own.json" in done.stdout


def test_a_pipe_that_nobody_reads(place):
    """As in `bidsmill lock --update --all | head -1`."""
    names = [f"set{number}" for number in range(4)]
    write_config(place, **{name: {"source": "local", "path": "bids"} for name in names})
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        command("lock"), stdout=writing, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(writing)
    assert "Traceback" not in done.stderr and "Exception" not in done.stderr
    assert done.returncode in (1, 120)


def test_an_interrupt_is_no_fault(place):
    """A server takes the question and never answers: whoever waits for it presses Ctrl-C."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(60)
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}/crn/graphql"
        write_config(place, ds900001={"source": "openneuro", "endpoint": endpoint})
        process = subprocess.Popen(
            command("lock"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        connection, _ = silent.accept()
        process.send_signal(signal.SIGINT)
        printed, told = process.communicate(timeout=60)
        connection.close()
    assert (process.returncode, printed) == (130, "")
    assert "Traceback" not in told


LIGHT = """
import sys
for name in ("yaml", "jsonschema", "tqdm", "jinja2", "httpx", "tenacity", "scipy", "hed", "mne"):
    sys.modules[name] = None  # as if it were not installed
from bidsmill import cli
sys.exit(cli.main(sys.argv[1:]))
"""


@pytest.mark.parametrize(
    "arguments",
    [["publish", "own"], ["lock"], ["split", "own", "--adopt"], ["hed-template", "own"]],
    ids=lambda arguments: arguments[0],
)
def test_a_light_install_says_what_a_command_needs(place, arguments):
    done = subprocess.run(
        [sys.executable, "-c", LIGHT, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1 and done.stdout == "" and "Traceback" not in done.stderr
    assert "this command belongs to the pipeline" in done.stderr
    assert "pip install '.[pipeline]' in the clone" in done.stderr
