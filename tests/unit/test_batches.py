"""A batch treats what is not done, keeps what is, and lets no recording stop another."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import pickle
import pty
import re
import sys
import termios

import pytest
from batch_work import Work
from hypothesis import given
from hypothesis import strategies as st

from bidsmill import batches
from bidsmill.errors import BidsmillError, RecordingProblem
from bidsmill.formats import files

STEMS = [f"sub-{number:02d}_task-rest_eeg" for number in range(1, 7)]
BAD = {STEMS[1]: "problem", STEMS[2]: "unusable", STEMS[3]: "bug", STEMS[4]: "unpicklable"}
REASONS = {
    STEMS[1]: "no_events",
    STEMS[2]: "unusable",
    STEMS[3]: "internal_error",
    STEMS[4]: "internal_error",
}


class Batch:
    """One batch in a folder, and what was treated."""

    def __init__(self, folder, stems=STEMS, count=1):
        self.folder = folder / "matrix"
        self.folder.mkdir(parents=True)
        self.treated_file = folder / "treated.txt"
        self.members = [
            {"stem": stem, "size": 10 * n, "content": ""} for n, stem in enumerate(stems)
        ]
        self.batch, self.count = "b0000", count

    def update(self, fates=None, **options):
        self.treated_file.write_text("")
        plan = {"batch": self.batch, "batches": self.count, "members": self.members}
        return batches.update(
            plan,
            self.folder,
            Work(self.folder, fates or {}),
            lambda member: files.canonical_sha256(member),
            verb="converted",
            **options,
        )

    @property
    def treated(self):
        return sorted(self.treated_file.read_text().split())

    def facts(self):
        """Return content and times of every file."""
        stats = {path: path.stat() for path in self.folder.iterdir()}
        return {
            path.name: (path.read_bytes(), stat.st_mtime_ns, stat.st_ino)
            for path, stat in stats.items()
        }


@pytest.fixture
def batch(tmp_path):
    return Batch(tmp_path / "results")


def shown_on_a_terminal(monkeypatch, action) -> str:
    """Return what an action writes to standard error, where that is a terminal."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 100))
    with monkeypatch.context() as patch, os.fdopen(theirs, "w") as terminal:
        patch.setattr(sys, "stderr", terminal)
        action()
    shown = b""
    while True:
        try:
            shown += os.read(ours, 4096)
        except OSError:  # so does the end of a terminal look
            os.close(ours)
            return shown.decode()


# Who watches


def test_a_terminal_shows_how_many_recordings_are_done(batch, monkeypatch):
    shown = shown_on_a_terminal(monkeypatch, batch.update)
    assert re.match(r"\rresults b0000, converted: +0%.* 0/6 \[", shown)
    # At its end the bar is gone.
    assert re.search(r"\r +\r$", shown)
    batch.members[0]["content"] = "other"
    assert " 0/1 [" in shown_on_a_terminal(monkeypatch, batch.update)


def test_a_log_shows_no_bar(batch, capfd):
    batch.update()
    assert capfd.readouterr() == ("", "")


# How many batches, and which


@given(st.lists(st.integers(0, 10**11), max_size=40), st.integers(1, 70), st.floats(0.1, 100))
def test_number_of_batches_by_brute_force(sizes, recordings, gigabytes):
    def fits(count):
        few_enough = len(sizes) <= count * recordings
        return few_enough and sum(sizes) <= count * gigabytes * 1e9

    powers = [2**k for k in range(8)]
    wanted = next(n for n in powers if fits(n) or n >= len(sizes))
    assert batches.number_of_batches(sizes, recordings, gigabytes) == wanted


@pytest.mark.parametrize(
    ("sizes", "count"),
    [
        ([], 1),
        ([10**12], 1),  # one recording cannot be spread
        ([1] * 64, 1),
        ([1] * 65, 2),
        ([1] * 150_000, 4096),
        ([11 * 10**9, 11 * 10**9], 2),
        ([10**12] * 3, 4),
    ],
)
def test_number_of_batches_by_hand(sizes, count):
    assert batches.number_of_batches(sizes, 64, 20) == count


def test_buckets_are_pinned():
    """A recording that moved to another bucket would be converted again in every store."""
    stems = ["sub-01_task-rest_eeg", "sub-02_task-rest_eeg", "sub-µ_eeg"]
    assert [batches.bucket(stem, 4096) for stem in stems] == [1476, 3586, 3427]


@given(st.text(), st.integers(0, 12))
def test_bucket_is_the_hash_modulo_the_count(stem, power):
    digest = hashlib.sha256(stem.encode()).hexdigest()
    assert batches.bucket(stem, 2**power) == int(digest[:16], 16) % 2**power
    assert batches.bucket(stem, 2 ** (power + 1)) % 2**power == batches.bucket(stem, 2**power)


def test_names_of_batches():
    assert [batches.batch_name(n) for n in (0, 7, 4095, 12345)] == [
        "b0000",
        "b0007",
        "b4095",
        "b12345",
    ]


# What is treated


def test_everything_then_nothing(batch, caplog):
    caplog.set_level(logging.INFO)
    manifest = batch.update()
    assert batch.treated == STEMS
    assert "converted 6, unchanged 0; 0 quarantined" in caplog.text
    before = batch.facts()
    again = batch.update()
    assert batch.treated == []
    assert again == manifest
    assert batch.facts() == before
    assert "converted 0, unchanged 6; 0 quarantined" in caplog.text
    assert list(manifest["members"]) == STEMS
    assert manifest["batch"] == "b0000"
    for stem, entry in manifest["members"].items():
        content = (batch.folder / f"{stem}.bin").read_bytes()
        assert entry["files"][f"{stem}.bin"] == {
            "size": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
        }
        assert "fingerprint" not in entry
        assert "detail" not in entry


def test_only_what_changed_is_treated(batch):
    batch.update()
    before = batch.facts()
    batch.members[2]["content"] = "new"
    manifest = batch.update()
    assert batch.treated == [STEMS[2]]
    after = batch.facts()
    changed = {name for name in after if after[name] != before[name]}
    assert changed == {f"{STEMS[2]}.bin", f"{STEMS[2]}.json"}
    content = f"{STEMS[2]} new".encode()
    entry = manifest["members"][STEMS[2]]["files"][f"{STEMS[2]}.bin"]
    assert entry["sha256"] == hashlib.sha256(content).hexdigest()


def test_a_lost_or_cut_file_or_receipt_is_made_again(batch):
    first = batch.update()
    (batch.folder / f"{STEMS[0]}.bin").unlink()
    (batch.folder / f"{STEMS[1]}.bin").write_bytes(b"cut")
    (batch.folder / f"{STEMS[2]}.json").unlink()
    (batch.folder / f"{STEMS[3]}.json").write_bytes(b"{")
    assert batch.update() == first
    assert batch.treated == STEMS[:4]
    batch.update()
    assert batch.treated == []


def test_the_manifest_does_not_tell_what_was_unchanged(batch, tmp_path):
    batch.update()
    batch.members[2]["content"] = "new"
    updated = batch.update()
    fresh = Batch(tmp_path / "fresh")
    fresh.members[2]["content"] = "new"
    assert files.json_bytes(fresh.update()) == files.json_bytes(updated)


def test_files_of_leavers_of_the_own_bucket_go(tmp_path):
    own = [stem for stem in STEMS if batches.bucket(stem, 2) == 0]
    other = next(f"sub-x{n}_eeg" for n in range(99) if batches.bucket(f"sub-x{n}_eeg", 2) == 1)
    assert len(own) >= 2
    batch = Batch(tmp_path / "results", [*own, other], count=2)
    batch.update()
    (batch.folder / "notes.json").write_text('{"no": "receipt"}')
    (batch.folder / "strange.txt").write_text("")
    batch.members = [member for member in batch.members if member["stem"] in own[1:]]
    manifest = batch.update()
    assert list(manifest["members"]) == own[1:]
    stems = {path.name for path in batch.folder.iterdir()}
    kept = {f"{stem}{ending}" for stem in [*own[1:], other] for ending in (".bin", ".json")}
    assert stems == {*kept, "notes.json", "strange.txt"}


def test_a_receipt_never_removes_files_elsewhere(batch, tmp_path):
    outside = tmp_path / "results" / "precious"
    outside.write_text("keep")
    evil = {"fingerprint": "x", "status": "converted", "files": {"../precious": {"size": 4}}}
    (batch.folder / "sub-gone_eeg.json").write_text(json.dumps(evil))
    with pytest.raises(BidsmillError, match="leave its folder"):
        batch.update()
    assert outside.read_text() == "keep"


def test_one_member_alone(batch):
    first = batch.update()
    before = batch.facts()
    assert batch.update(only=STEMS[4]) == first
    assert batch.treated == [STEMS[4]]
    after = batch.facts()
    assert {n for n in after if after[n] != before[n]} == {f"{STEMS[4]}.bin", f"{STEMS[4]}.json"}


def test_one_member_alone_of_a_batch_that_is_not_done(batch):
    manifest = batch.update(only=STEMS[4])
    assert list(manifest["members"]) == [STEMS[4]]
    batch.members = batch.members[:4] + batch.members[5:]
    batch.update(only=STEMS[0])
    assert (batch.folder / f"{STEMS[4]}.bin").exists(), "leavers wait for the job of the batch"


# Bad recordings


@pytest.mark.parametrize("processes", [1, 2])
def test_bad_recordings_do_not_stop_their_neighbours(batch, caplog, processes):
    manifest = batch.update(BAD, processes=processes)
    members = manifest["members"]
    assert {s: e["reason"] for s, e in members.items() if e["status"] != "converted"} == REASONS
    assert members[STEMS[0]]["status"] == members[STEMS[5]]["status"] == "converted"
    assert members[STEMS[1]]["message"] == f"no event is chosen; file: {STEMS[1]}"
    assert members[STEMS[3]]["message"] == "ZeroDivisionError: 1/0"
    assert "Traceback" in caplog.text
    assert f"{STEMS[1]} quarantined (no_events)" in caplog.text


def test_what_cannot_be_written_as_json_costs_its_own_recording(batch):
    manifest = batch.update({STEMS[0]: "nan"})
    assert manifest["members"][STEMS[0]]["reason"] == "internal_error"
    assert manifest["members"][STEMS[5]]["status"] == "converted"


def test_a_quarantined_recording_is_done_and_an_unforeseen_failure_is_not(batch):
    batch.update(BAD)
    batch.update(BAD)
    assert batch.treated == STEMS[3:5], "a full disk is no property of the recording"
    manifest = batch.update()
    assert manifest["members"][STEMS[3]]["status"] == "converted"
    assert manifest["members"][STEMS[1]]["status"] == "quarantined"


def test_an_unforeseen_failure_is_in_the_manifest_of_another_member(batch):
    whole = batch.update(BAD)
    assert batch.update(BAD, only=STEMS[0]) == whole


def test_a_recording_that_became_bad_leaves_no_file(batch):
    batch.update()
    batch.members[1]["content"] = "changed"
    batch.update(BAD)
    assert not (batch.folder / f"{STEMS[1]}.bin").exists()
    assert (batch.folder / f"{STEMS[0]}.bin").exists()


def test_fail_waits_for_all_others(batch):
    with pytest.raises(BidsmillError, match="4 recording") as caught:
        batch.update(BAD, on_bad_recording="fail")
    for stem, reason in REASONS.items():
        assert stem in caught.value.found
        receipt = json.loads((batch.folder / f"{stem}.json").read_bytes())
        assert receipt["reason"] == reason
    assert batch.treated == STEMS
    assert (batch.folder / f"{STEMS[5]}.bin").exists()
    with pytest.raises(BidsmillError, match="4 recording"):
        batch.update(BAD, on_bad_recording="fail")


# Processes


def test_two_processes_give_the_manifest_of_one(tmp_path):
    one, two = Batch(tmp_path / "1"), Batch(tmp_path / "2")
    fates = {STEMS[1]: "problem", STEMS[3]: "bug"}
    assert files.json_bytes(one.update(fates)) == files.json_bytes(two.update(fates, processes=2))
    assert {n: f[0] for n, f in one.facts().items()} == {n: f[0] for n, f in two.facts().items()}


def test_a_killed_worker_is_told_and_what_is_done_stays_done(batch):
    fates = {STEMS[0]: "killed"}  # the smallest is begun last
    with pytest.raises(BidsmillError, match="worker process was killed") as caught:
        batch.update(fates, processes=2)
    assert "run again" in caught.value.todo
    done = [s for s in STEMS if (batch.folder / f"{s}.json").exists()]
    assert STEMS[0] not in done
    assert len(done) >= 4
    batch.update()
    assert batch.treated == sorted(set(STEMS) - set(done))


def test_parts_of_a_killed_writer_are_removed(batch):
    batch.folder.joinpath(f".{STEMS[0]}.json.123-ab.part").write_bytes(b"half")
    batch.update()
    assert not list(batch.folder.glob(".*.part"))


# Errors travel between processes


@pytest.mark.parametrize(
    "error",
    [
        BidsmillError("what.", file="f", found=1, expected=2, todo="do"),
        RecordingProblem("code", "what", file="f"),
    ],
)
def test_errors_survive_pickling(error):
    back = pickle.loads(pickle.dumps(error))
    assert type(back) is type(error)
    assert back.__dict__ == error.__dict__
    assert str(back) == str(error) == error.message()


def test_message_of_an_error():
    error = BidsmillError("it is bad.", file="a.json", found=3, expected="4", todo="mend it")
    assert str(error) == "it is bad; file: a.json; found: 3; expected: 4; to do: mend it"
    assert str(BidsmillError("x", found="")) == "x; found: "
    assert BidsmillError("x", file=__file__).file == __file__
