"""Names of listings: hostile ones are refused with a reason, all others pass."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bidsmill.errors import BidsmillError
from bidsmill.sources.names import check_names

GOOD = [
    "dataset_description.json",
    ".bidsignore",
    ".git/config",
    "sub-01/eeg/sub-01_task-rest_eeg.set",
    "sub-01/eeg/sub-01_task-rest_eeg.fdt",
    "sub-01/meg/sub-01_meg.ds/sub-01_meg.meg4",
    "sub-01/meg/sub-01_meg.ds/BadChannels",
    "stimuli/Bild Ä (1).png",
    "code/a..b/…/c.m",
    "sub-02/auxiliary/console.txt",
    "sub-02/com10.tsv",
    "a" * 255,
    "ä" * 127,
]
BAD = {
    "/etc/passwd": "absolute",
    "//host/share/x": "absolute",
    "../outside": "leaves",
    "sub-01/../../outside": "leaves",
    "sub-01/..": "leaves",
    "./a": "leaves",
    "sub-01/./a": "leaves",
    ".. /a": "leaves",
    "a/.../b": "leaves",
    "": "empty part",
    "a//b": "empty part",
    "a/": "empty part",
    "a\\b": "backslash",
    "..\\..\\a": "backslash",
    "a\0b": "control",
    "a\nb": "control",
    "a\x7f/b": "control",
    "a\x85b": "control",
    "C:/Windows/a": "drive",
    "c:a": "drive",
    "sub-01/Z:": "drive",
    "CON": "device",
    "sub-01/nul.json": "device",
    "com1.tar.gz": "device",
    "LPT\u00b9": "device",
    "aux /b": "device",
    "conin$": "device",
    "CON:stream": "device",
    "b" * 256: "255 bytes",
    "\u00e4" * 128: "255 bytes",
    "/".join(["c" * 100] * 11): "longer than 1024",
    "half \ud83d of a pair": "surrogate",
    "sub-01/.x.edf.12-ab.part": "temporary",
    "a.PART": "temporary",
}


def entry(path, **more):
    return {"path": path, "size": 1, "checksum": None, **more}


def refused(*paths, **more) -> str:
    with pytest.raises(BidsmillError) as problem:
        check_names([entry(path, **more) for path in paths], "the archive")
    return str(problem.value)


def test_good_names_pass():
    check_names([entry(path) for path in GOOD], "the archive")


@pytest.mark.parametrize("path", BAD, ids=ascii)
def test_bad_names_are_refused_with_the_reason(path):
    message = refused(*GOOD, path)
    assert BAD[path] in message
    assert "1 of 14 entries" in message
    message.encode("utf-8")
    assert message.isprintable()


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("Sub-01/a", "sub-01/a"),
        ("sub-01/A.edf", "sub-01/a.edf"),
        ("Sub-01/a", "sub-01/b"),
        ("caf\u00e9", "cafe\u0301"),
        ("stra\u00dfe", "STRASSE"),
        ("\u0130", "i\u0307"),
        ("a.", "a"),
        ("x/a ", "x/A"),
        ("a", "a/b"),
        ("A", "a/b/c"),
        ("a/b", "a/b/c"),
    ],
)
def test_names_that_are_one_on_some_disk(first, second):
    for pair in [(first, second), (second, first)]:
        message = refused(*pair)
        assert "is the same as" in message or "is also the folder" in message


def test_a_name_listed_twice():
    assert "is listed twice" in refused("a/b", "c", "a/b")


@pytest.mark.parametrize("size", [-1, 1.5, "12", True, float("nan")])
def test_impossible_sizes(size):
    assert "has the size" in refused("a", size=size)


@pytest.mark.parametrize(
    "checksum", ["", "sha256:", "sha256:" + "g" * 64, "md5:" + "A" * 32, "sha1:" + "0" * 40, 7]
)
def test_impossible_checksums(checksum):
    assert "has the checksum" in refused("a", checksum=checksum)


@pytest.mark.parametrize("path", [None, 3, b"a", ["a"]])
def test_what_is_no_text(path):
    assert "no text" in refused(path)


def test_values_that_are_right():
    check_names(
        [
            entry("a", size=None),
            entry("b", size=0, checksum="md5:" + "0" * 32),
            entry("c", size=10**15, checksum="etag:abc-3"),
            entry("d", checksum="git:" + "a" * 40),
        ],
        "the archive",
    )


def test_ten_are_named_and_all_are_counted():
    message = refused(*(f"../{i}" for i in range(37)), "good")
    assert "37 of 38 entries" in message
    assert message.count("leaves its folder") == 10
    assert "and 27 more" in message
    assert "nothing was written" in message


def test_long_names_are_cut_in_the_message():
    assert len(refused("x" * 100_000)) < 600


def test_windows_dislikes_are_logged_only(caplog):
    check_names([entry("sub-01/what?.txt"), entry("b. /c"), entry("ab:c")], "the archive")
    assert "3 names cannot be copied to a Windows disk" in caplog.text


# Pieces that turn a path into a hostile one, anywhere in it.
PIECES = ["..", ".", "", "\\", "\0", "\n", "C:", "NUL", "con.txt", "\ud800", ".. ", "x" * 300]
PLAIN = st.text("abcXYZ019_-.", min_size=1, max_size=12).filter(
    lambda part: part.strip(".") and not part.endswith((".", ".part")) and part.upper() != "CON"
)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(PLAIN, max_size=3),
    st.sampled_from(PIECES),
    st.lists(PLAIN, max_size=3),
    st.lists(PLAIN, max_size=5),
)
def test_generated_hostile_names_are_refused(before, piece, after, others):
    path = "/".join([*before, piece, *after])
    message = refused(*others, path)
    assert "refused" in message


@settings(max_examples=200, deadline=None)
@given(st.lists(st.text(max_size=20) | st.sampled_from(list(BAD)), max_size=4))
def test_whatever_passes_stays_in_its_folder(names):
    """Against the operating system's own opinion of where a path leads."""
    path = "/".join(names)
    try:
        check_names([entry(path)], "the archive")
    except BidsmillError:
        return
    root = Path("/data/root")
    joined = Path(os.path.normpath(root / path))
    assert joined.relative_to(root).as_posix() == path
    os.fsencode(path)
    assert "\0" not in path


@settings(max_examples=200, deadline=None)
@given(st.lists(st.text("aA\u00e4\u00c4\u00df/sS .", min_size=1, max_size=4), max_size=5))
def test_whatever_passes_is_apart_on_every_disk(names):
    try:
        check_names([entry(name) for name in names], "the archive")
    except BidsmillError:
        return
    folded = [unicodedata.normalize("NFC", name).casefold() for name in names]
    assert len(set(folded)) == len(names)
    for one in folded:
        assert not any(other.startswith(f"{one}/") for other in folded)


def test_large_listings_are_checked_fast(caplog):
    entries = [
        entry(f"sub-{s:04}/ses-{n}/eeg/sub-{s:04}_ses-{n}_run-{r}_eeg.set")
        for s in range(2000)
        for n in range(5)
        for r in range(20)
    ]
    assert len(entries) == 200_000
    check_names(entries, "the archive")
    entries[-1] = entry(entries[0]["path"].upper())
    with pytest.raises(BidsmillError, match="1 of 200000"):
        check_names(entries, "the archive")
