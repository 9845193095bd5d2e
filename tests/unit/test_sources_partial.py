"""Temporary files of downloads: written in any order, resumed as far as they can be trusted."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bidsmill.sources.partial import Partial, leftovers_in, temporary_stem, tidy

CONTENT = random.Random(3).randbytes(10_000)
PATH = "sub-01/eeg/sub-01_task-rest_eeg.edf"


def checksum(algorithm: str, content: bytes) -> str:
    if algorithm == "git":
        return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
    return hashlib.new(algorithm, content).hexdigest()


def entry(content: bytes = CONTENT, algorithm: str = "sha256", **changes) -> dict:
    digest = "abc-2" if algorithm == "etag" else checksum(algorithm, content)
    return {"path": PATH, "size": len(content), "checksum": f"{algorithm}:{digest}", **changes}


def found(target: Path, wanted: dict) -> list[Path]:
    return leftovers_in(target.parent).get(temporary_stem(wanted), [])


def opened(target: Path, wanted: dict) -> Partial:
    return Partial(target, wanted, found(target, wanted))


def write_block(partial: Partial, start: int, stop: int, content: bytes = CONTENT) -> bool:
    partial.write(content[start:stop], start)
    return partial.block_done(start, stop)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@st.composite
def pieces(draw):
    """Content, cut into blocks, in any order."""
    content = draw(st.binary(min_size=1, max_size=3000))
    cuts = draw(st.sets(st.integers(1, max(len(content) - 1, 1)), max_size=12))
    edges = sorted({0, len(content), *(cut for cut in cuts if cut < len(content))})
    blocks = list(pairwise(edges))
    return content, draw(st.permutations(blocks))


def wrong_checksum(partial: Partial) -> str | None:
    found = partial.found_checksum()
    return None if found in (None, partial.stated) else found


@pytest.mark.parametrize("algorithm", ["sha256", "md5", "git", "etag"])
@settings(max_examples=25, deadline=None)
@given(drawn=pieces(), workers=st.integers(1, 5))
def test_blocks_in_any_order_from_several_threads(algorithm, drawn, workers):
    content, blocks = drawn
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "sub-01_eeg.edf"
        partial = Partial(target, entry(content, algorithm), [])
        queue, guard, complete = list(blocks), threading.Lock(), []

        def work():
            while True:
                with guard:
                    if not queue:
                        return
                    start, stop = queue.pop()
                complete.append(write_block(partial, start, stop, content))

        threads = [threading.Thread(target=work) for _ in range(workers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert complete.count(True) == 1
        assert partial.whole == len(content)
        assert wrong_checksum(partial) is None
        assert partial.sha256 == hashlib.sha256(content).hexdigest()
        assert (partial.found_checksum() is not None) == (algorithm != "etag")
        partial.commit()
        assert names(target.parent) == [target.name]
        assert target.read_bytes() == content


@pytest.mark.parametrize("algorithm", ["sha256", "md5", "git"])
@pytest.mark.parametrize("place", [0, 5_000, 9_999])
def test_one_wrong_bit_is_a_wrong_checksum(tmp_path, algorithm, place):
    spoiled = bytearray(CONTENT)
    spoiled[place] ^= 1
    partial = Partial(tmp_path / "a.edf", entry(algorithm=algorithm), [])
    write_block(partial, 0, len(CONTENT), bytes(spoiled))
    assert wrong_checksum(partial) == f"{algorithm}:{checksum(algorithm, bytes(spoiled))}"
    partial.reset()
    assert partial.whole == 0
    assert write_block(partial, 0, len(CONTENT))
    assert wrong_checksum(partial) is None
    partial.discard()
    assert names(tmp_path) == []


@pytest.mark.parametrize("algorithm", ["sha256", "md5", "git", "etag"])
@settings(max_examples=25, deadline=None)
@given(cuts=st.lists(st.integers(1, len(CONTENT) - 1), min_size=1, max_size=4, unique=True))
def test_goes_on_at_any_logged_length(algorithm, cuts):
    with tempfile.TemporaryDirectory() as folder:
        target, reached = Path(folder) / "a.edf", 0
        for cut in sorted(cuts):
            partial = opened(target, entry(algorithm=algorithm))
            assert partial.whole == reached
            write_block(partial, reached, cut)
            # Bytes after the last whole block count for nothing.
            partial.write(b"\xff" * 10, cut)
            partial.close()
            reached = cut
        partial = opened(target, entry(algorithm=algorithm))
        assert partial.whole == reached
        assert write_block(partial, reached, len(CONTENT))
        assert wrong_checksum(partial) is None
        partial.commit()
        assert target.read_bytes() == CONTENT
        assert names(target.parent) == ["a.edf"]


def leave(target: Path, wanted: dict, stop: int = 6_000) -> tuple[Path, Path]:
    """Leave a temporary file as a killed process would; return it and its log."""
    partial = opened(target, wanted)
    write_block(partial, 0, stop // 2)
    write_block(partial, stop // 2, stop)
    partial.close()
    (path,) = found(target, wanted)
    return path, path.with_name(path.name.removesuffix(".part") + ".log.part")


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def flip(path: Path, place: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 0xFF
    path.write_bytes(content)


TAMPERING = {
    "first byte": lambda part, log: flip(part, 0),
    "last logged byte": lambda part, log: flip(part, 5_999),
    "cut": lambda part, log: os.truncate(part, 5_000),
    "emptied": lambda part, log: os.truncate(part, 0),
    "longer than the file can be": lambda part, log: part.write_bytes(CONTENT + CONTENT),
    "zeros behind": lambda part, log: os.truncate(part, 50_000),
    "log claims more": lambda part, log: log.write_bytes(b"9000 %s\n" % (b"0" * 64)),
    "log of all bytes": lambda part, log: (
        part.write_bytes(b"x" * len(CONTENT)),
        log.write_text(f"{len(CONTENT)} {sha256(b'x' * len(CONTENT))}\n"),
    ),
    "log of more bytes than there are": lambda part, log: (
        part.write_bytes(b"x" * 20_000),
        log.write_text(f"20000 {sha256(b'x' * 20_000)}\n"),
    ),
    "log of another length": lambda part, log: log.write_text(f"5999 {sha256(CONTENT[:6000])}\n"),
    "negative length": lambda part, log: log.write_text(f"-1 {sha256(b'')}\n"),
    "no log": lambda part, log: log.unlink(),
    "empty log": lambda part, log: log.write_bytes(b""),
    "log of noise": lambda part, log: log.write_bytes(os.urandom(200) + b"\n"),
    "log with a huge number": lambda part, log: log.write_bytes(b"9" * 5000 + b" abc\n"),
    "log without an end": lambda part, log: log.write_bytes(log.read_bytes() + b"9999 abcd"),
    "log with three fields": lambda part, log: log.write_bytes(b"1 2 3\n"),
    "log that is no text": lambda part, log: log.write_bytes(b"6000 \xff\xfe\n"),
}


@pytest.mark.parametrize("algorithm", ["sha256", "git", "etag"])
@pytest.mark.parametrize("kind", TAMPERING)
def test_a_leftover_that_was_changed_never_leads_to_a_wrong_file(tmp_path, kind, algorithm):
    target, wanted = tmp_path / "a.edf", entry(algorithm=algorithm)
    TAMPERING[kind](*leave(target, wanted))
    partial = opened(target, wanted)
    assert 0 <= partial.whole < len(CONTENT)
    write_block(partial, partial.whole, len(CONTENT))
    assert partial.whole == len(CONTENT)
    assert wrong_checksum(partial) is None
    assert partial.sha256 == sha256(CONTENT)
    partial.commit()
    assert target.read_bytes() == CONTENT
    assert names(tmp_path) == ["a.edf"]


def test_a_leftover_for_another_version_is_not_taken(tmp_path):
    target = tmp_path / "a.edf"
    leave(target, entry())
    changes = [
        entry(size=len(CONTENT) + 1),
        entry(checksum=f"sha256:{'0' * 64}"),
        entry(path="b.edf"),
        entry(algorithm="md5"),
    ]
    for other in changes:
        assert found(target, other) == []
    assert len(found(target, entry())) == 1


def test_of_several_leftovers_the_longest_goes_on(tmp_path):
    target, wanted = tmp_path / "a.edf", entry()
    one, two, three = (Partial(target, wanted, []) for _ in range(3))
    for partial, stop in [(one, 1_000), (two, 7_000), (three, 3_000)]:
        write_block(partial, 0, stop)
    for partial in (one, two, three):
        partial.close()
    last = opened(target, wanted)
    assert last.whole == 7_000
    assert len(found(target, wanted)) == 1
    write_block(last, 7_000, len(CONTENT))
    last.commit()
    assert names(tmp_path) == ["a.edf"]


HOLD = """
import sys, time
from pathlib import Path
from bidsmill.sources.partial import Partial, leftovers_in, temporary_stem
target, size = Path(sys.argv[1]), int(sys.argv[2])
entry = {"path": sys.argv[3], "size": size, "checksum": sys.argv[4]}
found = leftovers_in(target.parent).get(temporary_stem(entry), [])
partial = Partial(target, entry, found)
content = sys.stdin.buffer.read()
partial.write(content, 0)
partial.block_done(0, len(content))
print(partial.path.name, flush=True)
time.sleep(600)
"""


@pytest.fixture
def holder(tmp_path):
    """A process that holds a temporary file with the first 4000 bytes."""
    wanted = entry()
    arguments = [tmp_path / "a.edf", str(len(CONTENT)), PATH, wanted["checksum"]]
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    process.stdin.write(CONTENT[:4_000])
    process.stdin.close()
    process.held = process.stdout.readline().decode().strip()
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_what_a_living_process_holds_is_left_to_it(tmp_path, holder):
    target, wanted = tmp_path / "a.edf", entry()
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    tidy(tmp_path, set())
    mine = opened(target, wanted)
    assert mine.whole == 0
    assert mine.path.name != holder.held
    assert {path: path.read_bytes() for path in before} == before
    write_block(mine, 0, len(CONTENT))
    mine.commit()
    assert target.read_bytes() == CONTENT
    assert set(names(tmp_path)) == {path.name for path in before} | {"a.edf"}


def test_what_a_killed_process_held_is_taken_up(tmp_path, holder):
    target, wanted = tmp_path / "a.edf", entry()
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    mine = opened(target, wanted)
    assert (mine.whole, mine.path.name) == (4_000, holder.held)
    mine.close()
    tidy(tmp_path, {temporary_stem(wanted)})
    assert len(names(tmp_path)) == 2
    tidy(tmp_path, set())
    assert names(tmp_path) == []


def test_tidying_touches_nothing_else(tmp_path):
    others = [".hidden", "a.part", ".a.edf.12-ab.part.txt", "sub-01_eeg.edf", ".short.12-ab.part"]
    for name in others:
        (tmp_path / name).write_bytes(b"x")
    lone = tmp_path / f".{'a' * 24}.12-ab.log.part"
    lone.write_bytes(b"100 abc\n")
    tidy(tmp_path, set())
    assert names(tmp_path) == sorted(others)
    tidy(tmp_path / "absent", set())


def test_links_under_temporary_names_are_not_followed(tmp_path):
    """Whoever can plant a link must not make us write where it leads."""
    outside = tmp_path / "outside"
    outside.write_bytes(CONTENT[:5_000])
    folder, wanted = tmp_path / "data", entry()
    folder.mkdir()
    link = folder / f".{temporary_stem(wanted)}.1-ab.part"
    link.symlink_to(outside)
    target = folder / "a.edf"
    partial = opened(target, wanted)
    write_block(partial, 0, len(CONTENT))
    partial.commit()
    assert outside.read_bytes() == CONTENT[:5_000]
    assert target.read_bytes() == CONTENT
    assert not target.is_symlink()


@pytest.mark.parametrize("algorithm", ["sha256", "md5", "git", "etag"])
@pytest.mark.parametrize("first", [12_000, 10_000, 4_000])
def test_a_file_of_unknown_size_that_came_wrong_first(tmp_path, algorithm, first):
    """What came at first, longer or shorter, leaves no trace."""
    target, wanted = tmp_path / "a.edf", entry(algorithm=algorithm, size=None)
    partial = opened(target, wanted)
    partial.write(b"y" * first, 0)
    assert partial.block_done(0, first)
    assert (wrong_checksum(partial) is None) == (algorithm == "etag")
    partial.reset()
    assert write_block(partial, 0, len(CONTENT))
    assert wrong_checksum(partial) is None
    partial.commit()
    assert target.read_bytes() == CONTENT


def test_an_answer_that_broke_off_leaves_no_trace_in_a_shorter_one(tmp_path):
    target, wanted = tmp_path / "a.edf", entry(algorithm="etag", size=None)
    partial = opened(target, wanted)
    partial.write(b"y" * 15_000, 0)
    assert write_block(partial, 0, len(CONTENT))
    partial.commit()
    assert target.read_bytes() == CONTENT


@pytest.mark.parametrize("algorithm", ["sha256", "git", "etag"])
def test_an_empty_file_of_unknown_size(tmp_path, algorithm):
    partial = opened(tmp_path / "a.edf", entry(b"", algorithm, size=None))
    assert partial.block_done(0, 0)
    assert wrong_checksum(partial) is None
    partial.commit()
    assert (tmp_path / "a.edf").read_bytes() == b""


def test_an_empty_file(tmp_path):
    partial = opened(tmp_path / "a.edf", entry(b""))
    assert wrong_checksum(partial) is None
    partial.commit()
    assert names(tmp_path) == ["a.edf"]
    assert (tmp_path / "a.edf").read_bytes() == b""


def test_without_a_usable_checksum_nothing_is_compared(tmp_path):
    partial = opened(tmp_path / "a.edf", entry(algorithm="md5"))
    partial.trust_size_only()
    write_block(partial, 0, len(CONTENT), CONTENT[::-1])
    assert partial.found_checksum() is None
    partial.commit()
    assert partial.sha256 == sha256(CONTENT[::-1])
