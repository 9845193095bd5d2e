"""BrainVision headers as they are found: the samples that were written, or an exact reason."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from bids_cases import brain_like, write_brainvision
from hypothesis import given, settings
from hypothesis import strategies as st

from bidsmill.bids.reading import OpenRecording, is_boundary, open_recording
from bidsmill.bids.recordings import find_recordings
from bidsmill.bids.repairs import Repairs
from bidsmill.errors import RecordingProblem

SFREQ = 200.0
NAMES = ["Fz", "Cz", "Pz"]
DATA = brain_like(3, 600, seed=3)
EVENTS = [{"onset": 100, "duration": 1, "description": 7}]
# float32 in units of 0.1 µV.
CLOSE = {"rtol": 1e-6, "atol": 1e-12}


@pytest.fixture
def header(tmp_path) -> Path:
    """Return the header of a healthy recording."""
    return write_brainvision(tmp_path, "a_eeg", DATA, SFREQ, NAMES, EVENTS)


def change(path: Path, *pairs: tuple[str, str], encoding: str = "utf-8") -> None:
    text = path.read_text(encoding="utf-8")
    for old, new in pairs:
        assert re.search(old, text, re.MULTILINE), old
        text = re.sub(old, lambda _, new=new: new, text, flags=re.MULTILINE)
    path.write_bytes(text.encode(encoding))


def opened(folder: Path, *allow: str, refuse=()) -> OpenRecording:
    return open_recording(folder, "a_eeg.vhdr", Repairs(allow, refuse))


def values(recording: OpenRecording) -> np.ndarray:
    return recording.raw.get_data()


def rules(recording: OpenRecording) -> list[str]:
    return [note["rule"] for note in recording.repairs]


def problem(folder: Path, *allow: str, refuse=()) -> RecordingProblem:
    with pytest.raises(RecordingProblem) as raised:
        opened(folder, *allow, refuse=refuse)
    assert str(folder) not in raised.value.message()
    return raised.value


def assert_whole(recording: OpenRecording, names=NAMES) -> None:
    assert recording.names == list(names) and recording.sfreq == SFREQ
    assert recording.types == ["eeg"] * 3 and recording.units == ["V"] * 3
    np.testing.assert_allclose(values(recording), DATA, **CLOSE)


def assert_marked(recording: OpenRecording) -> None:
    marks = [m for m in recording.annotations if not is_boundary(m.description)]
    assert [(m.onset, m.description) for m in marks] == [(0.5, "Stimulus/S  7")]


def test_a_healthy_recording_needs_no_repair(tmp_path, header):
    recording = opened(tmp_path)
    assert_whole(recording)
    assert_marked(recording)
    assert recording.repairs == [] and recording.warnings == []


# ------------------------------------------------------------------------ names of files

KEY = "MD5E-s505600--0123456789abcdef0123456789abcdef"
FOREIGN = ["old.{}", KEY + ".{}", "../x/old.{}", "/etc/old.{}", r"C:\data\old.{}", "$b.{}", ""]


@pytest.mark.parametrize("name", FOREIGN)
def test_files_of_an_old_name_are_found_beside_the_header(tmp_path, header, name):
    change(header, (r"DataFile=.*", f"DataFile={name}".format("eeg")))
    change(header, (r"MarkerFile=.*", f"MarkerFile={name}".format("vmrk")))
    before = header.read_bytes()
    recording = opened(tmp_path)
    assert_whole(recording)
    assert_marked(recording)
    assert rules(recording) == ["brainvision_renamed_data", "brainvision_renamed_markers"]
    message = recording.repairs[0]["message"]
    assert ("a_eeg.eeg" in message and repr(name.format("eeg")) in message) or not name
    assert header.read_bytes() == before, "the raw tree is never edited"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a_eeg.eeg", "a_eeg.vhdr", "a_eeg.vmrk"]


def test_an_annex_key_is_replaced_even_where_it_resolves(tmp_path, header):
    change(header, (r"DataFile=.*", f"DataFile={KEY}.eeg"))
    (tmp_path / f"{KEY}.eeg").write_bytes(np.zeros(1800, "<f4").tobytes())
    recording = opened(tmp_path)
    assert_whole(recording)
    assert "git-annex key" in recording.repairs[0]["message"]


@pytest.mark.parametrize("name", ["../secret.eeg", "sub/secret.eeg", r"..\secret.eeg"])
def test_names_that_lead_out_of_the_folder_are_never_followed(tmp_path, name):
    folder = tmp_path / "in"
    header = write_brainvision(folder, "a_eeg", DATA, SFREQ, NAMES)
    (folder / "sub").mkdir()
    for place in (tmp_path, folder / "sub"):
        (place / "secret.eeg").write_bytes((folder / "a_eeg.eeg").read_bytes())
    (folder / "a_eeg.eeg").unlink()
    change(header, (r"DataFile=.*", f"DataFile={name}"))
    found = problem(folder)
    assert found.code == "companion_missing" and "leads out of the folder" in found.found


@pytest.mark.parametrize("other", ["b_eeg.eeg", "A_EEG2.eeg", "rsub-01_eeg.eeg", "a_eeg (1).eeg"])
def test_another_stem_is_never_taken(tmp_path, header, other):
    """The only .eeg file, or one of a similar name, is not the file that is meant."""
    (tmp_path / "a_eeg.eeg").rename(tmp_path / other)
    change(header, (r"DataFile=.*", "DataFile=old.eeg"))
    found = problem(tmp_path)
    assert found.code == "companion_missing"
    assert "old.eeg" in found.message() and found.expected == "a_eeg.eeg"


def test_two_candidates_are_none(tmp_path, header):
    (tmp_path / "a_eeg.EEG").write_bytes(b"\0" * 7200)
    change(header, (r"DataFile=.*", "DataFile=old.eeg"))
    found = problem(tmp_path)
    assert found.code == "companion_missing"
    assert "a_eeg.EEG" in found.found and "a_eeg.eeg" in found.found


def test_a_file_named_and_another_beside_contradict_each_other(tmp_path, header):
    (tmp_path / "other.eeg").write_bytes(b"\0" * 7200)
    change(header, (r"DataFile=.*", "DataFile=other.eeg"))
    found = problem(tmp_path)
    assert found.code == "companion_missing"
    assert "other.eeg" in found.found and "a_eeg.eeg" in found.found


def test_the_data_of_another_recording_are_not_taken(tmp_path, header):
    write_brainvision(tmp_path, "b_eeg", 2 * DATA, SFREQ, NAMES)
    change(header, (r"DataFile=.*", "DataFile=b_eeg.eeg"))
    recording = opened(tmp_path)
    assert_whole(recording)
    (tmp_path / "a_eeg.eeg").unlink()
    found = problem(tmp_path)
    assert found.code == "companion_missing" and "belongs to b_eeg.vhdr" in found.found


def test_a_lonely_old_name_is_read(tmp_path, header):
    (tmp_path / "a_eeg.eeg").rename(tmp_path / "P07.eeg")
    change(header, (r"DataFile=.*", "DataFile=P07.eeg"))
    recording = opened(tmp_path)
    assert_whole(recording)
    assert recording.repairs == []


@pytest.mark.parametrize("line", ["", "MarkerFile=a_eeg.vmrk", "MarkerFile=old.vmrk"])
def test_missing_markers_are_a_repair_that_says_so(tmp_path, header, line):
    (tmp_path / "a_eeg.vmrk").unlink()
    change(header, (r"MarkerFile=.*\n", line + "\n"))
    recording = opened(tmp_path)
    assert_whole(recording)
    assert rules(recording) == ["brainvision_missing_markers"]
    assert "markers are missing" in recording.repairs[0]["message"]
    assert "a_eeg.vmrk" in recording.repairs[0]["message"]
    assert recording.annotations == []
    refused = problem(tmp_path, refuse=["brainvision_missing_markers"])
    assert refused.code == "companion_missing"


def test_an_absent_marker_line_finds_the_markers(tmp_path, header):
    change(header, (r"MarkerFile=.*\n", ""))
    recording = opened(tmp_path)
    assert_marked(recording)
    assert rules(recording) == ["brainvision_renamed_markers"]


def test_samples_can_be_read_after_the_folder_of_the_mended_header_is_gone(tmp_path, header):
    change(header, (r"DataFile=.*", "DataFile=old.eeg"))
    recording = opened(tmp_path)
    assert [Path(name).name for name in recording.raw.filenames] == ["a_eeg.eeg"]
    start = values(recording)[:, 100:103]
    np.testing.assert_allclose(start, DATA[:, 100:103], **CLOSE)


def test_extensions_in_upper_case(tmp_path, header):
    for extension in ("vhdr", "eeg", "vmrk"):
        (tmp_path / f"a_eeg.{extension}").rename(tmp_path / f"a_eeg.{extension.upper()}")
    recording = open_recording(tmp_path, "a_eeg.VHDR")
    assert_whole(recording)
    assert_marked(recording)


def test_two_formats_of_one_recording_are_one_recording(tmp_path):
    """The .vhdr is read, the .set is named as another copy; nothing is converted twice."""
    stem = "sub-01/eeg/sub-01_task-x_eeg"
    extensions = (".vhdr", ".eeg", ".vmrk", ".set", ".fdt")
    (found,) = find_recordings([stem + extension for extension in extensions])
    assert found.data == f"{stem}.vhdr" and f"{stem}.set" in found.alternatives


@pytest.mark.parametrize("name", ["a_eeg.eeg", "a_eeg.vmrk"])
def test_pointers_are_not_fetched_content(tmp_path, header, name):
    (tmp_path / name).write_text(f"/annex/objects/{KEY}\n")
    found = problem(tmp_path)
    assert found.code == "content_not_fetched" and found.file == name
    (tmp_path / name).unlink()
    (tmp_path / name).symlink_to(f"../.git/annex/objects/a/b/{KEY}/{KEY}")
    assert problem(tmp_path).code == "content_not_fetched"


def test_an_empty_data_file(tmp_path, header):
    (tmp_path / "a_eeg.eeg").write_bytes(b"")
    found = problem(tmp_path)
    assert found.code == "empty_file" and found.file == "a_eeg.eeg" and "0 bytes" in found.found


# -------------------------------------------------------------------- lengths of the file


@pytest.mark.parametrize("stated", [1, 599, 1800])
def test_a_wrong_number_of_samples_is_a_conflict(tmp_path, header, stated):
    """Too few, or those of all channels together: the size of the file counts."""
    change(header, (r"NumberOfChannels", f"DataPoints={stated}\nNumberOfChannels"))
    recording = opened(tmp_path)
    assert_whole(recording)
    assert any(f"DataPoints is {stated}" in text for text in recording.warnings)


def test_more_samples_than_the_file_holds(tmp_path, header):
    change(header, (r"NumberOfChannels", "DataPoints=700\nNumberOfChannels"))
    found = problem(tmp_path)
    assert found.code == "truncated_file" and "600 samples" in found.found
    assert "brainvision_partial_sample" in found.todo
    recording = opened(tmp_path, "brainvision_partial_sample")
    assert_whole(recording)
    assert "600 whole samples" in recording.repairs[0]["message"]


@pytest.mark.parametrize("lost", [1, 11, 13, 7199])
def test_a_file_that_ends_inside_a_sample(tmp_path, header, lost):
    data = tmp_path / "a_eeg.eeg"
    data.write_bytes(data.read_bytes()[:-lost])
    found = problem(tmp_path)
    assert found.code == "truncated_file" and found.file == "a_eeg.eeg"
    if lost == 7199:
        assert problem(tmp_path, "brainvision_partial_sample").code == "truncated_file"
        return
    whole = (7200 - lost) // 12
    recording = opened(tmp_path, "brainvision_partial_sample")
    assert recording.n_times == whole and rules(recording) == ["brainvision_partial_sample"]
    np.testing.assert_allclose(values(recording), DATA[:, :whole], **CLOSE)


def write_vectorized(header: Path, more: str = "") -> np.ndarray:
    counts = np.round(DATA * 1e7).astype("<i2")
    (header.parent / "a_eeg.eeg").write_bytes(counts.tobytes())
    change(header, ("=MULTIPLEXED$", "=VECTORIZED\n" + more), ("IEEE_FLOAT_32", "INT_16"))
    return counts * 1e-7


@pytest.mark.parametrize("stated", ["", "DataPoints=600", "DataPoints=1800"])
def test_vectorized_samples(tmp_path, header, stated):
    written = write_vectorized(header, stated)
    np.testing.assert_allclose(values(opened(tmp_path)), written, **CLOSE)


@pytest.mark.parametrize("kept", [1788, 1200, 1801])
def test_vectorized_files_of_another_length_are_never_read(tmp_path, header, kept):
    """Where the last channel is cut, every channel but the first would be shifted."""
    write_vectorized(header, "DataPoints=600")
    data = tmp_path / "a_eeg.eeg"
    data.write_bytes((data.read_bytes() + b"\0\0")[: 2 * kept])
    assert problem(tmp_path).code == "truncated_file"
    assert problem(tmp_path, "brainvision_partial_sample").code == "truncated_file"


def write_ascii(header: Path, lines: list[str]) -> None:
    (header.parent / "a_eeg.eeg").write_text("Fz Cz Pz\n" + "\n".join(lines) + "\n")
    ascii_infos = "[ASCII Infos]\nDecimalSymbol=.\nSkipLines=1\nSkipColumns=0\n"
    change(header, ("=BINARY$", "=ASCII"), (r"\[Binary Infos\]\n.*\n", ascii_infos))


def test_text_is_read_as_mne_reads_it(tmp_path, header):
    rounded = np.round(DATA[:, :20] * 1e7, 3)
    lines = [" ".join(f"{v:.3f}" for v in column) for column in rounded.T]
    write_ascii(header, lines)
    np.testing.assert_allclose(values(opened(tmp_path)), rounded * 1e-7, rtol=1e-9)
    write_lines = [*lines[:-1], lines[-1].rsplit(" ", 1)[0]]
    (tmp_path / "a_eeg.eeg").write_text("Fz Cz Pz\n" + "\n".join(write_lines) + "\n")
    assert problem(tmp_path).code == "truncated_file"


def test_segments_are_separated(tmp_path, header):
    more = "MULTIPLEXED\nSegmentationType=MARKERBASED\nSegmentDataPoints=200"
    change(header, ("MULTIPLEXED$", more))
    marks = [m.onset for m in opened(tmp_path).annotations if m.description == "boundary"]
    assert marks == [1.0, 2.0]


# ------------------------------------------------------------------------ text of headers


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16", "utf-8-sig"])
def test_headers_in_another_encoding(tmp_path, header, encoding):
    change(header, ("Ch2=Cz", "Ch2=Cö"), encoding=encoding)
    recording = opened(tmp_path)
    assert_whole(recording, ["Fz", "Cö", "Pz"])
    assert rules(recording) == ["brainvision_encoding"] * (encoding != "utf-8-sig")


def test_an_encoding_that_is_stated_is_no_repair(tmp_path, header):
    change(header, ("Codepage=UTF-8", "Codepage=ANSI"), ("Ch2=Cz", "Ch2=Cö"), encoding="cp1252")
    recording = opened(tmp_path)
    assert_whole(recording, ["Fz", "Cö", "Pz"])
    assert recording.repairs == []


def test_markers_in_another_encoding(tmp_path, header):
    change(tmp_path / "a_eeg.vmrk", ("Mk1=Stimulus,S  7", "Mk1=Stimulus,größer"), encoding="cp1252")
    recording = opened(tmp_path)
    assert "Stimulus/größer" in [m.description for m in recording.annotations]
    assert_whole(recording)


def test_line_ends_of_windows(tmp_path, header):
    for name in ("a_eeg.vhdr", "a_eeg.vmrk"):
        path = tmp_path / name
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    recording = opened(tmp_path)
    assert_whole(recording)
    assert_marked(recording)
    change(header, (r"DataFile=.*", "DataFile=old.eeg"))
    assert_whole(opened(tmp_path))


@pytest.mark.parametrize("renamed", [False, True])
def test_commas_in_names(tmp_path, header, renamed):
    change(header, ("Ch2=Cz", r"Ch2=C\1z"))
    if renamed:
        change(header, (r"DataFile=.*", "DataFile=old.eeg"))
    assert_whole(opened(tmp_path), ["Fz", "C,z", "Pz"])


@pytest.mark.parametrize(
    ("lines", "names", "rule"),
    [
        (("Ch1=,", "Ch2=,"), ["channel-0", "channel-1", "Pz"], "brainvision_empty_names"),
        (("Ch1=Cz,", "Ch2=Cz,"), ["Cz-0", "Cz-1", "Pz"], "brainvision_duplicate_names"),
    ],
)
def test_names_that_cannot_be_told_apart(tmp_path, header, lines, names, rule):
    change(header, ("Ch1=Fz,", lines[0]), ("Ch2=Cz,", lines[1]))
    recording = opened(tmp_path)
    assert_whole(recording, names)
    assert rules(recording) == [rule]


@pytest.mark.parametrize(
    ("unit", "fixed"), [("\u03bcV", ["brainvision_micro_sign"]), ("uV", []), ("", [])]
)
def test_microvolts_in_every_spelling(tmp_path, header, unit, fixed):
    change(header, ("\u00b5V", unit))
    recording = opened(tmp_path)
    assert_whole(recording)
    assert rules(recording) == fixed


def test_channel_lines_without_resolution(tmp_path):
    header = write_brainvision(tmp_path, "a_eeg", DATA, SFREQ, NAMES, resolution=1)
    change(header, ("Ch1=Fz,.*", "Ch1=Fz"), ("Ch2=Cz,.*", "Ch2=Cz,"))
    recording = opened(tmp_path)
    assert_whole(recording)
    assert rules(recording) == ["brainvision_channel_fields"]


def test_unknown_units_are_told(tmp_path, header):
    change(header, ("Ch2=Cz,,0.1,.*", "Ch2=Cz,,0.1,bananas"))
    assert any("bananas" in text for text in opened(tmp_path).warnings)


@pytest.mark.parametrize(
    ("old", "new", "rule"),
    [
        (r"\A[^\[]*", "", "brainvision_version_line"),
        (r"\[Common Infos\]", "[COMMON INFOS]", "brainvision_section_names"),
        (r"\[Channel Infos\]", "[channel infos]", "brainvision_section_names"),
    ],
)
def test_headers_that_readers_refuse_for_their_form(tmp_path, header, old, new, rule):
    change(header, (old, new))
    recording = opened(tmp_path)
    assert_whole(recording)
    assert_marked(recording)
    assert rules(recording) == [rule]


COMMENT = """[Comment]
S o f t w a r e
Channels
--------
#     Name      Phys. Chn.    Resolution / Unit   Low Cutoff [s]   High Cutoff [Hz]   Notch [Hz]
1     Fz          1                0,1 µV             abc              250              Off
2     XX          2                0,1 µV             abc              250              Off
3     Pz          3                0,1 µV             abc              250              Off
"""


def test_a_comment_that_cannot_be_read_is_left_out(tmp_path, header):
    change(header, (r"\[Comment\]\n", COMMENT))
    recording = opened(tmp_path)
    assert_whole(recording)
    assert_marked(recording)
    assert rules(recording) == ["brainvision_comment"]


@pytest.mark.parametrize("line", ["Mk1=Stimulus,S  7", "Mk1=Stimulus,S  7,x1,1,0", "Mk1=St"])
def test_broken_markers_are_left_out_only_where_that_is_allowed(tmp_path, header, line):
    marks = tmp_path / "a_eeg.vmrk"
    change(marks, (r"^Mk1=.*", f"{line}\nMk2=Stimulus,S  8,301,1,0"))
    found = problem(tmp_path)
    assert found.code == "unreadable" and "brainvision_broken_markers" in found.todo
    recording = opened(tmp_path, "brainvision_broken_markers")
    assert "1 marker(s) left out" in recording.repairs[0]["message"]
    assert [(m.onset, m.description) for m in recording.annotations] == [(1.5, "Stimulus/S  8")]
    assert_whole(recording)


# --------------------------------------------------------------- what is never made up (H2, H3)


def test_a_missing_header_is_never_made_up(tmp_path, header):
    """Neither from the sizes, nor from the header of a sibling whose channels would fit."""
    write_brainvision(tmp_path, "b_eeg", DATA, SFREQ, ["X", "Y", "Z"])
    header.unlink()
    with pytest.raises(RecordingProblem) as raised:
        open_recording(tmp_path, "a_eeg.eeg")
    assert raised.value.code == "header_missing"


REMOVED = {
    r"\[Common Infos\]\n": "[Common Infos]",
    r"DataFormat=.*\n": "DataFormat",
    r"DataOrientation=.*\n": "DataOrientation",
    r"NumberOfChannels=.*\n": "NumberOfChannels",
    r"SamplingInterval=.*\n": "SamplingInterval",
    r"BinaryFormat=.*\n": "BinaryFormat",
    r"\[Binary Infos\]\n": "BinaryFormat",
    r"\[Channel Infos\]\n": "Ch1",
    r"Ch2=.*\n": "channel 2",
}


@pytest.mark.parametrize("line", REMOVED)
def test_what_the_header_does_not_say_is_never_made_up(tmp_path, header, line):
    write_brainvision(tmp_path, "b_eeg", DATA, SFREQ, ["X", "Y", "Z"])
    change(header, (line, ""))
    found = problem(tmp_path)
    assert found.code == "unreadable" and REMOVED[line] in found.message()


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("IEEE_FLOAT_32", "UINT_16", "unsupported_format"),
        ("IEEE_FLOAT_32", "INT_16\nUseBigEndianOrder=YES", "unsupported_format"),
        ("IEEE_FLOAT_32", "INT_16\nDataOffset=512", "unsupported_format"),
        ("MULTIPLEXED$", "SPIRAL", "unsupported_format"),
        ("MULTIPLEXED$", "MULTIPLEXED\nDataType=FREQUENCYDOMAIN", "unsupported_format"),
        (r"Version \d\.0", "Version 7.0", "unsupported_format"),
        ("SamplingInterval=.*", "SamplingInterval=0", "unreadable"),
        ("SamplingInterval=.*", "SamplingInterval=soon", "unreadable"),
        ("NumberOfChannels=.*", "NumberOfChannels=many", "unreadable"),
        ("NumberOfChannels=.*", "NumberOfChannels=999999999", "unreadable"),
        # A decimal comma: resolution 0 and unit "1".
        ("Ch2=Cz,,0.1,µV", "Ch2=Cz,,0,1,µV", "unreadable"),
        ("Ch2=Cz,,0.1,µV", "Ch2=Cz,,x,µV", "unreadable"),
    ],
)
def test_storage_that_no_reader_follows(tmp_path, header, old, new, code):
    change(header, (old, new))
    assert problem(tmp_path).code == code


@pytest.mark.parametrize(
    "line", ["V-Amp Data Header File Version 1.0", "BrainVision Data Exchange Header File V1"]
)
def test_version_lines_of_other_programs(tmp_path, header, line):
    """Another wording of the version is told; the sections say all that is needed."""
    change(header, (r"\A.*", line))
    recording = opened(tmp_path)
    assert_whole(recording)
    assert any("version" in text for text in recording.warnings)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_damaged_headers_have_a_reason_or_the_samples_that_were_written(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("damaged")
    header = write_brainvision(folder, "a_eeg", DATA, SFREQ, NAMES, EVENTS)
    content = bytearray(header.read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    noise = data.draw(st.binary(min_size=1, max_size=8))
    content[place : place + data.draw(st.integers(0, 12))] = noise
    header.write_bytes(bytes(content))
    try:
        recording = opened(folder)
        assert values(recording).shape == (len(recording.names), recording.n_times)
    except RecordingProblem as found:
        assert str(folder) not in found.message() and "Error" not in found.what


def test_real_recordings_are_as_mne_reads_them(corpus):
    import mne

    healthy = [p for p in sorted(corpus.glob("*/**/*.vhdr")) if "broken" not in p.parts]
    assert len(healthy) >= 9
    for path in healthy:
        root = corpus / path.relative_to(corpus).parts[0]
        recording = open_recording(root, path.relative_to(root).as_posix())
        raw = mne.io.read_raw_brainvision(path, verbose="ERROR")
        assert np.array_equal(values(recording), raw.get_data()) and recording.repairs == []
        assert recording.names == raw.ch_names


def test_the_renamed_recording_of_the_corpus_equals_its_healthy_original(corpus):
    import mne

    data = "sub-02/eeg/sub-02_task-flicker_eeg.vhdr"
    recording = open_recording(corpus / "broken", data)
    original = corpus / "amplifier_mix/sub-04/eeg/sub-04_task-flicker_eeg.vhdr"
    raw = mne.io.read_raw_brainvision(original, verbose="ERROR")
    assert np.array_equal(values(recording), raw.get_data())
    assert "P07_old_name.eeg" in recording.repairs[0]["message"]
    assert [m.onset for m in recording.annotations] == raw.annotations.onset.tolist()
