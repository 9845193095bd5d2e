"""Samples under a foreign name are fetched, and their changes are noticed."""

from __future__ import annotations

import ssl
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from bids_cases import Dataset, brain_like, listed, write_eeglab
from hypothesis import given, settings
from hypothesis import strategies as st

from bidsmill.bids.foreign_names import with_foreign_samples
from bidsmill.bids.recordings import find_recordings
from bidsmill.formats import files
from bidsmill.formats.matrix import MatrixFile
from bidsmill.sources import https

EEG = "sub-01/eeg/sub-01_task-x"
FOREIGN = "1673.s.1hzHighpass.fdt"
NAMES, RATE = ["Fz", "Cz", "Pz"], 100.0


def with_foreign(paths, root=None, **sizes) -> dict[str, list[str]]:
    """Return the files of each recording; a size is 2000 unless it is given."""
    known = {path: sizes.get(path.rpartition("/")[2].split(".")[0], 2000) for path in paths}
    found = with_foreign_samples(find_recordings(paths), known, root)
    assert [r.stem for r in found] == [r.stem for r in find_recordings(paths)]
    return {r.data: r.files for r in found}


# ---------------------------------------------------------------- by name: not on this disk


def test_samples_of_no_recording_are_files_of_those_without_samples():
    own = [f"{EEG}_run-1_eeg.set", f"{EEG}_run-1_eeg.fdt"]
    bare = [f"{EEG}_run-2_eeg.set", f"{EEG}_run-3_eeg.SET"]
    strays = ["sub-01/eeg/1673.fdt", "sub-01/eeg/sub-01_old.FDT"]
    elsewhere = ["sub-02/eeg/a.fdt", "sub-01/a.fdt", "sub-01/eeg/sub/a.fdt", "a.fdt"]
    other = [f"{EEG}_run-4_eeg.edf"]
    found = with_foreign([*own, *bare, *strays, *elsewhere, *other])
    assert found == {
        own[0]: sorted(own),
        bare[0]: sorted([bare[0], *strays]),
        bare[1]: sorted([bare[1], *strays]),
        other[0]: other,
    }


def test_what_is_empty_or_not_there_is_nobodys_samples():
    paths = [f"{EEG}_eeg.set", "sub-01/eeg/a.fdt", "sub-01/eeg/b.fdt", "sub-01/eeg/c.fdt"]
    found = with_foreign(paths, a=0, b=None)
    assert found == {paths[0]: [paths[3], paths[0]]}


def test_samples_of_another_format_of_a_recording_are_not_strays():
    both = [f"{EEG}_run-1_eeg{e}" for e in (".vhdr", ".eeg", ".vmrk", ".set", ".fdt")]
    found = with_foreign([*both, f"{EEG}_run-2_eeg.set"])
    assert found[f"{EEG}_run-2_eeg.set"] == [f"{EEG}_run-2_eeg.set"]


def test_samples_with_a_name_of_bids_but_without_header_may_be_meant():
    paths = [f"{EEG}_run-1_eeg.set", f"{EEG}_run-2_eeg.fdt"]
    assert with_foreign(paths) == {paths[0]: paths, paths[1]: [paths[1]]}


@settings(max_examples=150, deadline=None)
@given(
    st.sets(
        st.builds(
            "{}{}{}".format,
            st.sampled_from(["sub-01/eeg/", "sub-01/meg/", "sub-02/eeg/"]),
            st.sampled_from(["sub-01_eeg", "sub-02_eeg", "a_eeg", "b", "sub-01_meg"]),
            st.sampled_from([".set", ".fdt", ".SET", ".FDT", ".edf"]),
        ),
        max_size=12,
    )
)
def test_nothing_is_taken_away_and_nothing_else_is_added(paths):
    before = {r.data: r.files for r in find_recordings(paths)}
    for data, found in with_foreign(sorted(paths)).items():
        added = set(found) - set(before[data])
        assert set(before[data]) <= set(found) <= paths and found == sorted(found)
        for path in added:
            folder, _, name = path.rpartition("/")
            assert data.lower().endswith(".set") and folder == data.rpartition("/")[0]
            # A .fdt that has a .set of its own name is never another recording's.
            assert path.lower().endswith(".fdt")
            stem = f"{folder}/{name[:-4]}"
            owners = [r for r in find_recordings(paths) if r.data[: r.data.rindex(".")] == stem]
            assert all(r.data.lower().endswith(".fdt") for r in owners) or path not in {
                p for r in owners for p in r.files
            }


# ------------------------------------------------------------------------ by the header


def write_pair(root: Path, run: int, name: str, seed: int) -> np.ndarray:
    """Write a recording whose samples have a foreign name; return them in V, as float32 µV."""
    path = root / f"{EEG}_run-{run}_eeg.set"
    data = brain_like(3, 400, seed)
    write_eeglab(path.with_name(name).with_suffix(".set"), data, RATE, NAMES).rename(path)
    return (data * 1e6).astype("<f4").astype(float) * 1e-6


@pytest.fixture
def dataset(tmp_path):
    """Two recordings with samples of foreign names, one that holds its own, and a stray file."""
    run = Dataset(tmp_path)
    values = {
        run_number: write_pair(run.root, run_number, name, run_number)
        for run_number, name in ((1, FOREIGN), (2, "second.fdt"))
    }
    write_eeglab(run.root / f"{EEG}_run-3_eeg.set", brain_like(3, 400), RATE, NAMES, fdt=False)
    (run.root / "sub-01/eeg/nobodys.fdt").write_bytes(bytes(5000))
    files.write_json(run.root / "dataset_description.json", {"Name": "t", "BIDSVersion": "1.10.0"})
    return run, values


def members(run: Dataset) -> dict[str, dict]:
    plans = [files.read_json(run.of("plan", batch)) for batch in run.batches]
    return {member["stem"]: member for plan in plans for member in plan["members"]}


def samples(run: Dataset, number: int) -> np.ndarray:
    with MatrixFile(run.results / "matrix" / f"sub-01_task-x_run-{number}_eeg.parquet") as matrix:
        return np.concatenate(list(matrix.read()), axis=1)


WINDOWS = {"kind": "fixed", "length": 1.0}


def test_the_header_tells_which_file_is_in_the_plan(dataset):
    run, values = dataset
    run.convert(windows=WINDOWS)
    wanted = {1: FOREIGN, 2: "second.fdt"}
    for number in (1, 2, 3):
        member = members(run)[f"sub-01_task-x_run-{number}_eeg"]
        own = [f"{EEG}_run-{number}_eeg.set"]
        foreign = [f"sub-01/eeg/{wanted[number]}"] if number in wanted else []
        assert list(member["files"]) == sorted([*own, *foreign])
        assert member["files"].keys() == {p for p in member["files"] if (run.root / p).is_file()}
        assert member["size"] == sum((run.root / p).stat().st_size for p in member["files"])
    overview = files.read_json(run.results / "plan" / "dataset.json")
    assert "sub-01/eeg/nobodys.fdt" in overview["dataset_files"]
    assert f"sub-01/eeg/{FOREIGN}" not in overview["dataset_files"]
    np.testing.assert_allclose(samples(run, 1), values[1], rtol=1e-6)
    np.testing.assert_allclose(samples(run, 2), values[2], rtol=1e-6)


def test_a_change_of_the_samples_is_noticed(dataset):
    run, values = dataset
    run.convert(windows=WINDOWS)
    receipts = run.receipts()
    path = run.root / "sub-01/eeg" / FOREIGN
    path.write_bytes((values[1] * -2e6).astype("<f4").tobytes(order="F"))
    run.convert(windows=WINDOWS)
    changed = {stem for stem, found in run.receipts().items() if found != receipts[stem]}
    assert changed == {"sub-01_task-x_run-1_eeg"}
    np.testing.assert_allclose(samples(run, 1), -2 * values[1], rtol=1e-6)


@pytest.mark.parametrize("content", [b"", b"no MATLAB file", None])
def test_a_header_that_cannot_be_read_asks_for_nothing(dataset, content):
    run, _ = dataset
    path = run.root / f"{EEG}_run-1_eeg.set"
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    paths = [*listed(run.root), f"{EEG}_run-1_eeg.set"]
    found = with_foreign(sorted(set(paths)), run.root)
    assert found[f"{EEG}_run-1_eeg.set"] == [f"{EEG}_run-1_eeg.set"]
    assert found[f"{EEG}_run-2_eeg.set"] == sorted(
        [f"{EEG}_run-2_eeg.set", "sub-01/eeg/second.fdt"]
    )


# ------------------------------------------------------------------------ from a server


class Quiet(SimpleHTTPRequestHandler):
    """Serves files and says nothing."""

    def log_message(self, *arguments):
        pass


def test_samples_of_a_foreign_name_are_fetched_with_their_batch(
    dataset, tmp_path, authority, monkeypatch
):
    run, values = dataset
    https.write_manifest(run.root)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.bundle))
    handler = partial(Quiet, directory=str(run.root))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.certificate())
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        url = f"https://127.0.0.1:{server.server_address[1]}"
        far = Dataset(tmp_path / "far")
        far.convert(source="https", url=url, windows=WINDOWS)
    finally:
        server.shutdown()
        server.server_close()
    found = members(far)["sub-01_task-x_run-1_eeg"]["files"]
    strays = [f"sub-01/eeg/{name}" for name in (FOREIGN, "nobodys.fdt", "second.fdt")]
    assert list(found) == sorted([*strays, f"{EEG}_run-1_eeg.set"])
    assert {r["status"] for r in far.receipts().values()} == {"converted"}
    for number in (1, 2):
        np.testing.assert_allclose(samples(far, number), values[number], rtol=1e-6)
