"""Validation of whole datasets: the official validator, hedtools, and their failures."""

from __future__ import annotations

import hashlib
import json
import sys
from collections import Counter
from pathlib import Path

import pytest

from bidsmill.bids import official_validator
from bidsmill.bids.crosschecks import cross_check
from bidsmill.bids.hed_validation import run_hed_validation
from bidsmill.bids.official_validator import run_validator
from bidsmill.bids.validation import fatal_issues, validate_dataset
from bidsmill.errors import BidsmillError
from bidsmill.formats.files import write_json
from bidsmill.sources.presence import look_at, seen_of, write_state
from bidsmill.workflow.validation import validate_locked

# What the README of the corpus states of the official validator: errors, warnings.
STATED = {
    "eeglab_attention": (0, 104),
    "uci_alcoholism": (0, 381),
    "muse_p300": (0, 445),
    "eegmmi_motor": (0, 76),
    "amplifier_mix": (0, 171),
    "emg_gestures": (0, 28),
    "meg_mix": (0, 69),
}


def hed_version(root):
    return json.loads((root / "dataset_description.json").read_text()).get("HEDVersion")


def validated(root, output, **keywords):
    return validate_dataset(root, output=output, hed_version=hed_version(root), **keywords)


@pytest.fixture
def fake_validator(monkeypatch, tmp_path):
    """Return a function that puts a Python script in the place of the validator."""

    def install(script):
        path = tmp_path / "validator.py"
        path.write_text(script)
        monkeypatch.setattr(official_validator, "_command", lambda: [sys.executable, str(path)])

    return install


@pytest.fixture
def silent_validator(fake_validator):
    fake_validator('print(\'{"issues": {"issues": []}, "summary": {"schemaVersion": "1"}}\')')


@pytest.fixture
def hed_dataset(tmp_path):
    """Return a function that writes a dataset from texts by path."""

    def write(files):
        root = tmp_path / "data"
        for path, content in files.items():
            target = root / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content if isinstance(content, bytes) else content.encode())
        return root

    return write


EVENTS = "sub-01/eeg/sub-01_task-x_events.tsv"
SIDECAR = "task-x_events.json"
GOOD = json.dumps({"trial_type": {"HED": {"a": "Red", "b": "Blue"}}})
TABLE = "onset\tduration\ttrial_type\tHED\n1\t0\ta\tn/a\n2\t0\tb\tRedd\n"


@pytest.mark.corpus
@pytest.mark.parametrize("name", sorted(STATED))
def test_healthy_datasets_have_no_errors(corpus, tmp_path, name):
    result = validated(corpus / name, tmp_path / "validation.json")
    validator = result["validator"]
    assert (validator["errors"], validator["warnings"]) == STATED[name]
    assert (result["hed"]["errors"], result["hed"]["warnings"]) == (0, 0)
    assert result["hed"]["version"] == hed_version(corpus / name)
    assert len(result["issues"]) == validator["warnings"]
    assert sum(result["counts"]["warning"].values()) == validator["warnings"]
    assert result["counts"]["error"] == {}
    assert json.loads((tmp_path / "validation.json").read_text()) == result


@pytest.mark.corpus
def test_the_broken_dataset_and_equal_bytes_wherever_it_lies(corpus_copy, tmp_path):
    first = corpus_copy("broken")
    checks = cross_check([], ["sub-99"])
    result = validated(first, tmp_path / "a" / "one.json", cross_checks=checks)
    assert (result["validator"]["errors"], result["validator"]["warnings"]) == (35, 424)
    assert set(result["counts"]["error"]) == {
        *("EMPTY_FILE", "INVALID_JSON_ENCODING", "INVALID_FILE_ENCODING", "JSON_INVALID"),
        *("HED_ERROR", "PARTICIPANT_ID_MISMATCH", "SIDECAR_KEY_REQUIRED", "TSV_COLUMN_MISSING"),
        *("DEF_INVALID", "PARENTHESES_MISMATCH", "TAG_EXPRESSION_REPEATED"),
    }
    hed = [issue for issue in result["issues"] if issue["source"] == "hed"]
    assert {Path(issue["file"]).name for issue in hed} == {
        "sub-11_task-attention_events.json",
        "sub-11_task-attention_events.tsv",
    }
    rows = {issue["row"] for issue in hed if "row" in issue}
    assert rows == {2, 4}  # the two events of type rt
    assert result["bidsmill"] == {"errors": 0, "warnings": 1}
    assert [i["source"] for i in result["issues"]] == sorted(i["source"] for i in result["issues"])
    assert str(tmp_path) not in json.dumps(result)

    second = first.rename(tmp_path / "elsewhere")
    validated(second, tmp_path / "two.json", cross_checks=list(reversed(checks)))
    assert (tmp_path / "two.json").read_bytes() == (tmp_path / "a" / "one.json").read_bytes()

    ignored = validated(second, tmp_path / "three.json", ignore=["SIDECAR_KEY_REQUIRED"])
    assert ignored["ignored"] == {"SIDECAR_KEY_REQUIRED": 25}
    assert ignored["validator"]["errors"] == 10
    assert "SIDECAR_KEY_REQUIRED" not in {issue["code"] for issue in ignored["issues"]}


def test_fatal_issues_are_chosen_by_code():
    issues = [{"code": "A", "file": "x"}, {"code": "B", "file": "y"}, {"code": "A", "file": "z"}]
    assert fatal_issues({"issues": issues}, {"A", "C"}) == [issues[0], issues[2]]
    assert fatal_issues({"issues": issues}, []) == []


def test_an_absent_dataset_is_an_error(tmp_path):
    with pytest.raises(BidsmillError, match="no dataset"):
        validate_dataset(tmp_path / "none", output=tmp_path / "v.json", hed_version=None)


# --- the official validator fails -------------------------------------------------------------


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (
            "import sys; sys.stderr.write('error: no room\\nmore'); sys.exit(1)",
            "exit code 1: error",
        ),
        ("import os; os.kill(os.getpid(), 9)", "exit code -9"),
        ("print('hello')", "not the JSON expected"),
        ("print('{}')", "not the JSON expected"),
        ("import time; time.sleep(60)", "stopped after 0.5 s"),
    ],
)
def test_a_validator_that_cannot_run_is_reported_and_all_else_goes_on(
    fake_validator, hed_dataset, tmp_path, script, reason
):
    fake_validator(script)
    root = hed_dataset({EVENTS: TABLE, SIDECAR: GOOD})
    result = validate_dataset(root, output=tmp_path / "v.json", hed_version="8.3.0", timeout=0.5)
    assert reason in result["validator"]["reason"]
    assert (result["validator"]["errors"], result["validator"]["warnings"]) == (None, None)
    assert result["hed"]["errors"] == 1


def test_a_missing_validator_is_reported(monkeypatch, tmp_path):
    monkeypatch.setattr(official_validator, "_command", lambda: None)
    state, issues = run_validator(tmp_path)
    assert (state["ran"], issues) == (False, [])
    assert "pip install" in state["reason"]


def test_the_real_validator_ends_with_another_code_where_it_cannot_read(tmp_path):
    state, issues = run_validator(tmp_path / "none")
    assert (state["ran"], issues) == (False, [])
    assert "exit code 1" in state["reason"]
    assert str(tmp_path) not in state["reason"]


def test_the_validator_gets_no_secrets_and_no_other_rules(monkeypatch, fake_validator, tmp_path):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("BIDS_SCHEMA", "https://elsewhere.example/schema.json")
    fake_validator(
        "import json, os, sys\n"
        "issue = {'code': 'ENV', 'severity': 'warning', 'location': '/a/b.tsv', 'line': 3,\n"
        "         'subCode': 'Sub', 'issueMessage': ' '.join(sorted(os.environ))}\n"
        "print(json.dumps({'issues': {'issues': [issue]}, 'summary': {}}))\n"
        "sys.exit(16)\n"
    )
    state, (issue,) = run_validator(tmp_path)
    assert state["ran"]
    assert "AWS_SECRET_ACCESS_KEY" not in issue["message"]
    assert "BIDS_SCHEMA" not in issue["message"]
    assert (issue["file"], issue["row"]) == ("a/b.tsv", 1)
    assert issue["message"].startswith("Sub: ")


def test_the_real_validator_may_neither_write_nor_reach_the_network():
    command = official_validator._command()
    assert {"--deny-net", "--deny-write", "--deny-run", "--no-prompt"} <= set(command)


# --- HED ---------------------------------------------------------------------------------------


def codes(issues):
    return Counter((i["severity"], i["code"], i["file"], i.get("row")) for i in issues)


def test_hed_of_tables_and_sidecars_with_rows_from_zero(hed_dataset):
    root = hed_dataset({EVENTS: TABLE, SIDECAR: GOOD, "sourcedata/x_events.json": "{"})
    state, issues = run_hed_validation(root, "8.3.0")
    assert state == {"ran": True, "version": "8.3.0"}
    assert codes(issues) == {("error", "TAG_INVALID", EVENTS, 1): 1}
    assert issues[0]["column"] == "HED"


def test_hed_of_links_keeps_its_names(hed_dataset, tmp_path):
    root = hed_dataset({SIDECAR: GOOD})
    key = tmp_path / "objects" / "SHA256E-s10--abc.tsv"
    key.parent.mkdir()
    key.write_text(TABLE)
    (root / EVENTS).parent.mkdir(parents=True)
    (root / EVENTS).symlink_to(key)
    _, issues = run_hed_validation(root, "8.3.0")
    assert codes(issues) == {("error", "TAG_INVALID", EVENTS, 1): 1}


def test_an_error_of_an_inherited_sidecar_names_real_files(hed_dataset):
    own = json.dumps({"value": {"HED": {"1": "{trial_type}, Greeen"}}})
    root = hed_dataset({EVENTS: TABLE, SIDECAR: GOOD, EVENTS.replace(".tsv", ".json"): own})
    _, issues = run_hed_validation(root, "8.3.0")
    assert issues
    assert {i["file"] for i in issues} <= {SIDECAR, EVENTS, EVENTS.replace(".tsv", ".json")}


def test_unreadable_files_cost_themselves_only(hed_dataset):
    latin = EVENTS.replace("sub-01", "sub-02")
    broken = EVENTS.replace("sub-01", "sub-03").replace(".tsv", ".json")
    root = hed_dataset(
        {EVENTS: TABLE, SIDECAR: GOOD, latin: TABLE.encode() + b"3\t0\t\xe9\tn/a\n", broken: "{,"}
    )
    _, issues = run_hed_validation(root, "8.3.0")
    assert codes(issues) == {
        ("error", "TAG_INVALID", EVENTS, 1): 1,
        ("error", "FILE_UNREADABLE", latin, None): 1,
        ("error", "FILE_UNREADABLE", broken, None): 1,
    }


def test_files_at_which_hedtools_stops_cost_themselves_only(hed_dataset):
    ragged = EVENTS.replace("sub-01", "sub-02")
    wild = "sub-03/eeg/sub-03_task-x_events.json"
    root = hed_dataset(
        {
            EVENTS: TABLE,
            SIDECAR: GOOD,
            ragged: TABLE + "3\t0\tb\tBlue\tmore\tand more\n",
            wild: '{"trial_type": {"HED": [1]}, "HED": 3}',
            wild.replace(".json", ".tsv"): TABLE,
        }
    )
    state, issues = run_hed_validation(root, "8.3.0")
    assert state["ran"]
    assert ("error", "TAG_INVALID", EVENTS, 1) in codes(issues)
    assert {i["file"] for i in issues if i["code"] == "FILE_UNREADABLE"} == {ragged}
    assert ("error", "SIDECAR_INVALID", wild) in {key[:3] for key in codes(issues)}


def test_hedtools_that_stops_altogether_is_reported(hed_dataset, monkeypatch):
    def stop(*arguments, **keywords):
        raise ZeroDivisionError("in hedtools")

    monkeypatch.setattr("hed.tools.bids.BidsDataset", stop)
    state, issues = run_hed_validation(hed_dataset({EVENTS: TABLE}), "8.3.0")
    assert not state["ran"]
    assert "ZeroDivisionError" in state["reason"]
    assert codes(issues) == {("error", "HED_NOT_VALIDATED", "dataset_description.json", None): 1}


def test_versions_of_hed_that_are_missing_or_unknown(hed_dataset, silent_validator, tmp_path):
    root = hed_dataset({EVENTS: TABLE, SIDECAR: GOOD})
    result = validate_dataset(root, output=tmp_path / "v.json", hed_version=None)
    assert result["counts"]["warning"] == {"HED_VERSION_MISSING": 1}
    assert result["counts"]["error"] == {"TAG_INVALID": 1}
    result = validate_dataset(root, output=tmp_path / "v.json", hed_version="7.7.7")
    assert result["hed"]["errors"] is None
    assert "not among" in result["hed"]["reason"]
    assert result["counts"]["error"] == {"HED_VERSION_INVALID": 1}
    result = validate_dataset(root, output=tmp_path / "v.json", hed_version=["8.3.0"])
    assert result["hed"]["version"] == ["8.3.0"]


def test_without_hed_the_result_says_so(hed_dataset, silent_validator, tmp_path):
    root = hed_dataset({EVENTS: "onset\tduration\n1\t0\n", SIDECAR: '{"a": {"Levels": {}}}'})
    result = validate_dataset(root, output=tmp_path / "v.json", hed_version="8.3.0")
    assert result["hed"] == {
        "version": None,
        "reason": "the dataset has no HED",
        "errors": 0,
        "warnings": 0,
    }
    assert result["issues"] == []


# --- the files of the lock ---------------------------------------------------------------------

DESCRIPTION = b'{"Name": "n", "BIDSVersion": "1.9.0"}'
LOCKED = {
    "dataset_description.json": DESCRIPTION,
    "sub-01/eeg/sub-01_task-x_eeg.edf": b"signal one",
    "sub-02/eeg/sub-02_task-x_eeg.edf": b"signal two",
    "sub-03/eeg/sub-03_task-x_eeg.edf": b"signal 333",
}
ONE, TWO, THREE = list(LOCKED)[1:]


def write_results(root, results, source, entries, missing=None):
    """Write what `validate_locked` reads, and return its first argument."""
    overview = {"root": root.as_posix(), "source": source, "hed_version": None}
    write_json(results / "plan" / "dataset.json", overview)
    write_json(results / "lock.json", {"files": entries})
    write_json(results / "fetch" / "dataset.json", {"missing": missing or {}})
    return results / "plan" / "dataset.json"


def own_issues(dataset_path, tmp_path):
    validate_locked(dataset_path, tmp_path / "validation.json", fatal=[])
    issues = json.loads((tmp_path / "validation.json").read_text())["issues"]
    return {(i["code"], i["file"]) for i in issues if i["source"] == "bidsmill"}


def digest(content):
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


@pytest.mark.parametrize("has_state", [True, False])
def test_files_in_place_that_are_not_those_of_the_lock(
    hed_dataset, silent_validator, tmp_path, has_state
):
    """Without a state too: a committed lock leaves none."""
    root, results = hed_dataset(LOCKED), tmp_path / "results"
    (root / "sub-04").symlink_to("nowhere")
    entries = [
        {"path": path, "size": len(content), "checksum": digest(content)}
        for path, content in LOCKED.items()
    ]
    entries.append({"path": "sub-04", "size": None, "checksum": None})
    dataset_path = write_results(root, results, "local", entries)
    if has_state:
        state = {path: look_at(root / path) for path in LOCKED}
        write_json(results / "lock-state.json", state)
    assert ("source_changed", "sub-04") not in own_issues(dataset_path, tmp_path)
    (root / ONE).write_bytes(b"another")
    (root / TWO).unlink()
    (root / THREE).unlink()
    (root / THREE).write_bytes(LOCKED[THREE])
    changed = {
        file for code, file in own_issues(dataset_path, tmp_path) if code == "source_changed"
    }
    assert changed == {ONE, TWO}


def test_fetched_files_that_are_not_those_of_the_lock(hed_dataset, silent_validator, tmp_path):
    """Three came, one of them by a checksum that cannot be computed; one was not asked for."""
    root, results = hed_dataset(LOCKED), tmp_path / "results"
    (root / THREE).unlink()
    entries = [
        {"path": "dataset_description.json", "size": 37, "checksum": digest(DESCRIPTION)},
        {"path": ONE, "size": 10, "checksum": "etag:abc-2"},
        {"path": TWO, "size": 10, "checksum": f"md5:{hashlib.md5(b'signal two').hexdigest()}"},
        {"path": THREE, "size": 10, "checksum": None, "version": "v1"},
        {"path": "participants.tsv", "size": 1, "checksum": None, "version": "v1"},
    ]
    state = {
        entry["path"]: seen_of(
            root / entry["path"], hashlib.sha256(LOCKED[entry["path"]]).hexdigest(), entry
        )
        for entry in entries[:3]
    }
    write_state(results, "b0000", {ONE: state[ONE], TWO: state[TWO]})
    write_state(results, "dataset", {entries[0]["path"]: state[entries[0]["path"]]})
    missing = {"participants.tsv": ["fetch_failed", "the server said 500"]}
    dataset_path = write_results(root, results, "s3", entries, missing)
    found = own_issues(dataset_path, tmp_path)
    assert {issue for issue in found if issue[0] in ("fetch_failed", "source_changed")} == {
        ("fetch_failed", "participants.tsv")
    }
    for path in (ONE, TWO):
        (root / path).write_bytes(b"SIGNAL 999")
    assert own_issues(dataset_path, tmp_path) - found == {
        ("source_changed", ONE),
        ("source_changed", TWO),
    }
