"""Files are whole or absent, JSON depends on its content alone, and names stay in their folder."""

from __future__ import annotations

import hashlib
import json
import math
import os
import signal
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bidsmill.errors import BidsmillError
from bidsmill.formats import files

SOURCE = Path(files.__file__).parents[2]
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(alphabet=st.characters()),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def names(folder):
    return sorted(path.name for path in Path(folder).iterdir())


# Atomic writing


def test_a_new_file_appears_whole_with_its_folder(tmp_path):
    target = tmp_path / "a" / "b" / "file.txt"
    with files.atomic_path(target) as part:
        part.write_bytes(b"first half")
        assert not target.exists()
        assert part.parent == target.parent
        part.write_bytes(b"all of it")
    assert target.read_bytes() == b"all of it"
    assert names(target.parent) == ["file.txt"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_an_exception_leaves_the_old_file_and_nothing_else(tmp_path, error):
    target = tmp_path / "file.txt"
    target.write_bytes(b"old")
    with pytest.raises(error), files.atomic_path(target) as part:
        part.write_bytes(b"new")
        raise error
    assert target.read_bytes() == b"old"
    assert names(tmp_path) == ["file.txt"]


def test_a_block_that_writes_nothing_is_an_error(tmp_path):
    target = tmp_path / "file.txt"
    target.write_bytes(b"old")
    with pytest.raises(FileNotFoundError), files.atomic_path(target):
        pass
    assert target.read_bytes() == b"old"


def test_two_writers_of_one_file_do_not_meet(tmp_path):
    target = tmp_path / "file.txt"
    with files.atomic_path(target) as one, files.atomic_path(target) as other:
        assert one != other
        one.write_bytes(b"one")
        other.write_bytes(b"other")
    assert target.read_bytes() == b"one"  # the last to be renamed
    assert names(tmp_path) == ["file.txt"]


def test_kill_in_the_middle_leaves_the_old_content(tmp_path):
    target = tmp_path / "file[1].txt"
    target.write_bytes(b"old")
    code = (
        "import os, signal, sys\n"
        "from bidsmill.formats import files\n"
        "with files.atomic_path(sys.argv[1]) as part:\n"
        "    with open(part, 'wb') as file:\n"
        "        file.write(b'new' * 1000); file.flush()\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(target)], env={**os.environ, "PYTHONPATH": str(SOURCE)}
    )
    assert done.returncode == -signal.SIGKILL
    assert target.read_bytes() == b"old"
    (part,) = tmp_path.glob("*.part")  # hidden: no glob of Python or the shell for `*` takes it
    assert part.name.startswith(".")
    neighbour = tmp_path / ".file1.txt.1-ab.part"
    neighbour.write_bytes(b"of another file, which the brackets of a glob would match")
    files.remove_parts(target)
    assert names(tmp_path) == [neighbour.name, target.name]


def test_a_file_with_the_same_bytes_keeps_its_times(tmp_path):
    target = tmp_path / "folder" / "file.json"
    assert files.replace_if_different(target, b"content")
    os.utime(target, ns=(1, 1))
    before = target.stat()
    assert not files.replace_if_different(target, b"content")
    after = target.stat()
    assert (after.st_mtime_ns, after.st_ino) == (before.st_mtime_ns, before.st_ino)
    assert files.replace_if_different(target, b"contents")
    assert target.read_bytes() == b"contents"
    assert target.stat().st_mtime_ns != 1


def test_text_keeps_its_line_ends(tmp_path):
    files.write_text(tmp_path / "a.txt", "a\r\nb\nµ\r")
    assert (tmp_path / "a.txt").read_bytes() == b"a\r\nb\n\xc2\xb5\r"


# JSON


@given(JSON)
def test_json_comes_back_as_it_was(content):
    encoded = files.json_bytes(content)
    assert json.loads(encoded) == content
    assert encoded.endswith(b"\n")
    encoded.decode("utf-8")


@given(st.text(alphabet=st.sampled_from('a"\\/é\udc80\udcff\ude00')))
def test_half_a_surrogate_pair_is_escaped_and_comes_back(text):
    encoded = files.json_bytes({text: [text]})
    encoded.decode("utf-8")
    assert json.loads(encoded) == {text: [text]}
    assert len(files.canonical_sha256([text])) == 64


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_json_refuses_what_json_has_not(tmp_path, bad):
    with pytest.raises(ValueError):
        files.json_bytes({"a": [bad]})
    with pytest.raises(ValueError):
        files.canonical_sha256([bad])
    with pytest.raises(ValueError):
        files.write_json(tmp_path / "a.json", bad)
    assert names(tmp_path) == []


@given(st.dictionaries(st.text(), JSON, min_size=2), st.randoms())
def test_canonical_hash_does_not_know_the_order_of_keys(content, random):
    keys = list(content)
    random.shuffle(keys)
    shuffled = {key: content[key] for key in keys}
    assert files.canonical_sha256([shuffled]) == files.canonical_sha256([content])


def test_canonical_hash_is_that_of_json_without_spaces():
    text = '{"a":[1,2.5,"µ",null,true],"b":{}}'
    content = {"b": {}, "a": [1, 2.5, "µ", None, True]}
    assert files.canonical_sha256(content) == hashlib.sha256(text.encode()).hexdigest()
    assert files.canonical_sha256({"a": 1}) != files.canonical_sha256({"a": "1"})
    assert files.canonical_sha256([[1], 2]) != files.canonical_sha256([1, [2]])


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"{'a': 1}"])
def test_reading_what_is_not_json_names_the_file(tmp_path, content):
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(BidsmillError, match=r"a\.json"):
        files.read_json(path)


def test_reading_json_that_is_not_there(tmp_path):
    with pytest.raises(BidsmillError, match=r"missing.*a\.json"):
        files.read_json(tmp_path / "a.json")
    with pytest.raises(BidsmillError, match="cannot be read"):
        files.read_json(tmp_path)


@given(st.binary(max_size=3000))
def test_sha256_of_a_file(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "content"
    path.write_bytes(content)
    assert files.sha256_file(path) == hashlib.sha256(content).hexdigest()


# Names from outside


ESCAPING = ["", ".", "..", "../a", "a/../b", "a/..", "/a", "//a", "/", "a//b", "a/", "./a", "a/./b"]


@pytest.mark.parametrize("name", [*ESCAPING, "a\0", "\0", "a\\b", "..\\a", "a/b\\..\\c"])
def test_names_that_would_leave_their_folder(tmp_path, name):
    with pytest.raises(BidsmillError, match="leave its folder"):
        files.inside(tmp_path, name)


@pytest.mark.parametrize(
    "name", ["a", "a/b.c", "...", "..a/b..", " a", "a:b", "~", "µ/名", "%2e%2e"]
)
def test_names_that_stay(tmp_path, name):
    assert files.inside(tmp_path, name) == tmp_path / name


@given(st.text(alphabet="./\\a\0", max_size=8))
def test_no_name_escapes(name):
    folder = "/some/folder"
    try:
        path = files.inside(folder, name)
    except BidsmillError:
        return
    assert os.path.normpath(path) == f"{folder}/{name}"


@given(st.text())
def test_plain_text_is_normal_and_trimmed(text):
    plain = files.plain_text(text)
    assert plain == plain.strip()
    assert unicodedata.is_normalized("NFC", plain)
    assert files.plain_text(plain) == plain
