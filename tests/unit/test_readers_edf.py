"""EDF and BDF: healthy files as MNE reads them, broken ones mended or refused with numbers."""

from __future__ import annotations

import math
import shutil
import tracemalloc
import warnings
from pathlib import Path

import numpy as np
import pytest
from bids_cases import brain_like, write_edf
from hypothesis import given, settings
from hypothesis import strategies as st

from bidsmill.bids.readers.edf import unique_names
from bidsmill.bids.readers.edf_samples import EdfSamples
from bidsmill.bids.reading import is_boundary, open_recording
from bidsmill.bids.repairs import RULES, Repairs
from bidsmill.convert.rows import find_boundaries
from bidsmill.convert.windows import find_cuts, fixed_windows
from bidsmill.errors import RecordingProblem
from bidsmill.formats import tables

SFREQ = 100.0
NAMES = ["Fz", "Cz", "Pz"]
DATA = brain_like(3, 1000, seed=1)
# Half a step of 16 bits over the range of the data, and the header's 8 characters.
STEP = 2e-4 * np.abs(DATA).max()
RECORDS = 236
NOTES = [(1.0, 0.0, "face"), (2.5, 0.5, "Zahn"), (6.25, 0.0, "face")]


def contents(path, kind="Edf", marks=NOTES, signals=None) -> bytes:
    signals = signals or [(n, d * 1e6, SFREQ, "uV") for n, d in zip(NAMES, DATA, strict=True)]
    return write_edf(path, signals, marks, kind).read_bytes()


@pytest.fixture(scope="module", params=["edf", "bdf"])
def healthy(request, tmp_path_factory) -> tuple[str, bytes]:
    path = tmp_path_factory.mktemp("edf") / f"a_eeg.{request.param}"
    return path.name, contents(path, request.param.capitalize())


@pytest.fixture(scope="module")
def edf(tmp_path_factory) -> bytes:
    return contents(tmp_path_factory.mktemp("edf") / "a_eeg.edf")


def put(content: bytes, place: int, text: str | bytes, width: int = 8) -> bytes:
    cell = text if isinstance(text, bytes) else text.encode()
    return content[:place] + cell.ljust(width) + content[place + width :]


def field_of(content: bytes, name: str, signal: int) -> int:
    """Return the byte of a field of a signal."""
    from bidsmill.bids.readers.edf_header import FIELDS

    count, place = int(content[252:256]), 256
    for other, width in FIELDS.items():
        if other == name:
            return place + signal * width
        place += width * count
    raise KeyError(name)


def opened_from(folder: Path, content: bytes, name="a_eeg.edf", **rules):
    (folder / name).write_bytes(content)
    return open_recording(folder, name, Repairs(**rules))


def refused(folder: Path, content: bytes, name="a_eeg.edf", **rules) -> RecordingProblem:
    with pytest.raises(RecordingProblem) as raised:
        opened_from(folder, content, name, **rules)
    return raised.value


def by_mne(path: Path):
    import mne

    reader = mne.io.read_raw_bdf if path.suffix == ".bdf" else mne.io.read_raw_edf
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return reader(path, preload=True, verbose="ERROR")


def marks_of(opened) -> list[tuple[float, float, str]]:
    return [(m.onset, m.duration, m.description) for m in opened.annotations]


def applied(opened) -> list[str]:
    return [note["rule"] for note in opened.repairs]


# ------------------------------------------------------------------------------- healthy files


def test_samples_names_and_marks_are_those_of_mne(tmp_path, healthy):
    name, content = healthy
    opened = opened_from(tmp_path, content, name)
    wanted = by_mne(tmp_path / name)
    assert np.array_equal(opened.raw.get_data(), wanted.get_data())
    np.testing.assert_allclose(opened.raw.get_data(), DATA, atol=STEP)
    assert opened.names == wanted.ch_names and opened.units == ["V"] * 3
    assert marks_of(opened) == NOTES
    assert opened.repairs == [] and opened.warnings == []


def test_every_file_of_the_corpus_is_read_as_mne_does(corpus):
    paths = [p for p in [*corpus.rglob("*.edf"), *corpus.rglob("*.bdf")] if "broken" not in str(p)]
    assert len(paths) > 30
    for path in paths:
        opened, wanted = open_recording(corpus, str(path.relative_to(corpus))), by_mne(path)
        data = wanted.get_data()
        scale = data.std(axis=1, keepdims=True) + 1e-30
        found = opened.raw.get_data()
        np.testing.assert_allclose(found / scale, data / scale, rtol=1e-9, atol=1e-9)
        assert opened.names == wanted.ch_names
        assert opened.types == wanted.get_channel_types()
        assert opened.sfreq == wanted.info["sfreq"]
        notes = wanted.annotations
        assert marks_of(opened) == list(
            zip(
                notes.onset.tolist(),
                notes.duration.tolist(),
                notes.description.tolist(),
                strict=True,
            )
        )


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 1000), st.integers(0, 1000), st.permutations(range(3)), st.data())
def test_any_block_is_the_piece_of_the_whole(healthy, tmp_path_factory, one, other, order, data):
    name, content = healthy
    folder = tmp_path_factory.mktemp("block")
    raw = opened_from(folder, content, name).raw
    rows = np.array(order[: data.draw(st.integers(1, 3))])
    start, stop = sorted((one, other))
    own: EdfSamples = raw._raw_extras[0]["own"]
    wanted = by_mne(folder / name).get_data()[rows, start:stop]
    assert np.array_equal(own.read(rows, start, stop), wanted)
    shutil.rmtree(folder)


def test_stored_integers_and_scale_are_what_the_class_says(tmp_path, healthy):
    name, content = healthy
    raw = opened_from(tmp_path, content, name).raw
    own: EdfSamples = raw._raw_extras[0]["own"]
    begin = int(content[184:192])
    value = content[begin + own.places[1] * own.width :][: own.width]
    stored = int.from_bytes(value, "little", signed=True)
    block = own.read_records(0, 2)
    assert own.stored(block, 1)[0, 0] == stored
    assert (stored * own.scale[1] + own.offset[1]) * own.factor[1] == raw.get_data()[1, 0]
    assert own.begin == begin and own.record_bytes * 10 + begin == len(content)


def test_bdf_extremes_and_a_trigger_channel(tmp_path):
    # 24 bits and their sign; of triggers the lower 17 bits, without a scale.
    codes = np.zeros(1000)
    codes[[10, 500]] = 3, 70_000
    ramp = np.linspace(-(2**23), 2**23 - 1, 1000)
    signals = [("A1", ramp, SFREQ, "uV"), ("Status", codes, SFREQ, "Boolean")]
    content = contents(tmp_path / "b_eeg.bdf", "Bdf", (), signals)
    opened = opened_from(tmp_path, content, "a_eeg.bdf")
    wanted = by_mne(tmp_path / "a_eeg.bdf").get_data()
    assert np.array_equal(opened.raw.get_data(), wanted)
    assert wanted[0].min() < -8 and wanted[0].max() > 8
    assert opened.types == ["eeg", "stim"] and opened.units == ["V", "n/a"]


@pytest.mark.parametrize(
    ("dimension", "factor", "unit"),
    [
        *[("uV", 1e-6, "V"), ("mV", 1e-3, "V"), ("V", 1.0, "V"), ("nV", 1e-9, "V")],
        *[("\u00b5V", 1e-6, "V"), ("degC", 1.0, "n/a"), ("", 1.0, "n/a")],
    ],
)
def test_units_never_scale_silently(tmp_path, edf, dimension, factor, unit):
    plain = opened_from(tmp_path, edf).raw.get_data() * 1e6
    cell = dimension.encode("latin-1").ljust(8)
    opened = opened_from(tmp_path, put(edf, field_of(edf, "dimension", 0), cell))
    assert opened.units[0] == unit
    np.testing.assert_allclose(opened.raw.get_data()[0], plain[0] * factor, rtol=1e-12)


# ------------------------------------------------------------------------- numbers of records


def test_uncounted_records_are_counted(tmp_path, healthy):
    name, content = healthy
    plain = opened_from(tmp_path, content, name)
    for promised in ("-1", "0", "", "?"):
        opened = opened_from(tmp_path, put(content, RECORDS, promised), name)
        assert np.array_equal(opened.raw.get_data(), plain.raw.get_data())
        assert marks_of(opened) == NOTES
        assert applied(opened) == ["edf_records_unknown"]
        assert "exactly 10 (10 s)" in opened.repairs[0]["message"]


def test_uncounted_records_may_be_refused(tmp_path, edf):
    found = refused(tmp_path, put(edf, RECORDS, "-1"), refuse=["edf_records_unknown"])
    assert found.code == "unreadable" and "-1 records in the header, 10 in the file" in found.found


@pytest.mark.parametrize("promised", ["10", "-1"])
@pytest.mark.parametrize("lost", [1, 700, 2000])
def test_a_truncated_file_is_refused_or_keeps_whole_records(tmp_path, healthy, promised, lost):
    name, content = healthy
    whole = opened_from(tmp_path, content, name).raw.get_data()
    begin = int(content[184:192])
    kept = (len(content) - lost - begin) // ((len(content) - begin) // 10)
    cut = put(content, RECORDS, promised)[:-lost]
    found = refused(tmp_path, cut, name)
    assert found.code == "truncated_file" and f"{kept} whole records" in found.found
    assert "allow: [edf_truncated]" in found.todo
    opened = opened_from(tmp_path, cut, name, allow=["edf_truncated"])
    # Never padded: what is there, and nothing else.
    assert np.array_equal(opened.raw.get_data(), whole[:, : kept * 100])
    assert marks_of(opened) == [m for m in NOTES if m[0] < kept]
    assert applied(opened) == ["edf_truncated"]
    message = opened.repairs[0]["message"]
    assert f"{kept} whole ones ({kept} s) are kept" in message
    assert (f"{10 - kept} are missing" in message) == (promised == "10")


def test_the_broken_corpus_keeps_its_whole_records(corpus):
    data = "sub-03/eeg/sub-03_task-attention_eeg.edf"
    with pytest.raises(RecordingProblem) as raised:
        open_recording(corpus / "broken", data)
    assert raised.value.code == "truncated_file"
    opened = open_recording(corpus / "broken", data, Repairs(allow=["edf_truncated"]))
    wanted = by_mne(corpus / "broken" / data).get_data()
    assert np.array_equal(opened.raw.get_data(), wanted) and "2 are missing" in str(opened.repairs)


def test_records_beyond_the_promised_are_told_and_not_read(tmp_path, edf):
    whole = opened_from(tmp_path, edf).raw.get_data()
    more = put(edf, RECORDS, "7")
    opened = opened_from(tmp_path, more)
    assert np.array_equal(opened.raw.get_data(), whole[:, :700])
    assert any("(3 whole records) beyond the 7 records" in text for text in opened.warnings)
    opened = opened_from(tmp_path, more, allow=["edf_records_uncounted"])
    assert np.array_equal(opened.raw.get_data(), whole)
    assert applied(opened) == ["edf_records_uncounted"]


def test_bytes_after_the_last_record_are_told(tmp_path, edf):
    opened = opened_from(tmp_path, edf + b"x" * 11)
    assert any("11 bytes (0 whole records)" in text for text in opened.warnings)
    assert opened.n_times == 1000


@pytest.mark.parametrize("stated", ["", "99", "1024", "x", "-5"])
def test_a_wrong_header_length_is_corrected_if_records_fill_the_file(tmp_path, edf, stated):
    whole = opened_from(tmp_path, edf).raw.get_data()
    opened = opened_from(tmp_path, put(edf, 184, stated))
    assert np.array_equal(opened.raw.get_data(), whole)
    assert applied(opened) == ["edf_header_length"]
    found = refused(tmp_path, put(edf, 184, stated) + b"xx")
    assert found.code == "unreadable" and "1280 bytes for 4 signals" in found.expected


def test_a_longer_header_is_believed_if_records_fill_the_rest(tmp_path, edf):
    whole = opened_from(tmp_path, edf).raw.get_data()
    longer = put(edf, 184, "1536")
    longer = longer[:1280] + b" " * 256 + longer[1280:]
    opened = opened_from(tmp_path, longer)
    assert np.array_equal(opened.raw.get_data(), whole) and opened.repairs == []


def test_a_file_that_ends_in_its_header(tmp_path, edf):
    found = refused(tmp_path, edf[:900])
    assert found.code == "truncated_file" and "900 bytes" in found.found


def test_the_first_bytes_tell_the_format(tmp_path, healthy):
    name, content = healthy
    whole = opened_from(tmp_path, content, name).raw.get_data()
    other = "o_eeg.bdf" if name.endswith("edf") else "o_eeg.edf"
    opened = opened_from(tmp_path, content, other)
    assert np.array_equal(opened.raw.get_data(), whole) and applied(opened) == ["edf_extension"]
    assert refused(tmp_path, content[:-1], other).code == "unreadable"


# ------------------------------------------------------------------------------------- scales


@pytest.mark.parametrize(
    ("name", "text"),
    [("physical maximum", None), ("digital maximum", None), ("physical minimum", "n/a")],
)
def test_a_channel_without_a_scale_keeps_its_integers(tmp_path, edf, name, text):
    other = field_of(edf, name.replace("maximum", "minimum"), 1)
    text = text or edf[other : other + 8].decode()
    broken = put(edf, field_of(edf, name, 1), text)
    plain = opened_from(tmp_path, edf)
    stored = plain.raw._raw_extras[0]["own"]
    integers = stored.stored(stored.read_records(0, 10), 1).reshape(-1).copy()
    opened = opened_from(tmp_path, broken)
    data = opened.raw.get_data()
    assert np.array_equal(data[1], integers)
    assert np.array_equal(data[[0, 2]], plain.raw.get_data()[[0, 2]])
    assert opened.units == ["V", "n/a", "V"] and opened.bads == ["Cz"]
    assert applied(opened) == ["edf_scale_missing"]
    found = refused(tmp_path, broken, refuse=["edf_scale_missing"])
    assert found.code == "unreadable" and found.found == "Cz"


def test_turned_digital_limits_turn_the_sign_and_are_told(tmp_path, edf):
    low, high = (field_of(edf, f"digital {end}", 0) for end in ("minimum", "maximum"))
    turned = put(put(edf, low, edf[high : high + 8]), high, edf[low : low + 8])
    opened = opened_from(tmp_path, turned)
    wanted = by_mne(tmp_path / "a_eeg.edf").get_data()
    assert np.array_equal(opened.raw.get_data(), wanted)
    assert any("turns the sign" in text for text in opened.warnings)


def test_a_decimal_comma_is_a_number(tmp_path, edf):
    place = field_of(edf, "physical minimum", 0)
    comma = put(edf, place, edf[place : place + 8].replace(b".", b","))
    plain = opened_from(tmp_path, edf).raw.get_data()
    assert b"," in comma[place : place + 8]
    assert np.array_equal(opened_from(tmp_path, comma).raw.get_data(), plain)


@pytest.mark.parametrize("duration", ["0", "-1", "nan", "", "x"])
def test_no_rate_is_assumed(tmp_path, edf, duration):
    found = refused(tmp_path, put(edf, 244, duration))
    assert found.code == "unreadable" and "no sampling rate is known" in found.what


def test_a_signal_without_a_number_of_samples(tmp_path, edf):
    found = refused(tmp_path, put(edf, field_of(edf, "samples per record", 2), "-3"))
    assert found.code == "unreadable" and "'Pz'" in found.found


# --------------------------------------------------------------------------- texts of the header


@pytest.mark.parametrize("date", [b"99.99.99", b"\xff\0\0x.y.z", b"        "])
def test_a_nonsense_date_is_never_fatal(tmp_path, edf, date):
    opened = opened_from(tmp_path, edf[:168] + date + b"25.61.61" + edf[184:])
    np.testing.assert_allclose(opened.raw.get_data(), DATA, atol=STEP)


def test_characters_of_labels_that_cannot_be_printed(tmp_path, edf):
    opened = opened_from(tmp_path, put(edf, 256, b"Fz\0\x07\xff", 16))
    assert opened.names == NAMES and applied(opened) == ["edf_label_characters"]
    opened = opened_from(tmp_path, put(edf, 256, b"F\x07z\xb5", 16))
    assert opened.names[0] == "Fz\u00b5"


def test_labels_that_occur_twice_are_numbered_as_mne_does(tmp_path, edf):
    same = put(put(edf, 256, "EEG", 16), 272, "EEG", 16)
    opened = opened_from(tmp_path, same)
    assert opened.names == by_mne(tmp_path / "a_eeg.edf").ch_names == ["EEG-0", "EEG-1", "Pz"]
    assert any("more than once" in text for text in opened.warnings)


@given(st.lists(st.sampled_from(["a", "b", "a-0", "a-1", "b-0", ""]), max_size=8))
def test_numbered_names_differ_and_single_ones_stay(labels):
    names = unique_names(labels)
    assert len(set(names)) == len(labels)
    for label, name in zip(labels, names, strict=True):
        assert name == label if labels.count(label) == 1 else name.startswith(f"{label}-")


# ------------------------------------------------------------------------------- annotations


def test_annotations_that_are_not_utf8(tmp_path, edf):
    broken = edf.replace(b"Zahn", b"Z\xe4hn")
    opened = opened_from(tmp_path, broken)
    assert [m.description for m in opened.annotations] == ["face", "Z\u00e4hn", "face"]
    assert [m.onset for m in opened.annotations] == [1.0, 2.5, 6.25]
    assert applied(opened) == ["edf_annotation_encoding"] and "Z\u00e4hn" in str(opened.repairs)
    np.testing.assert_allclose(opened.raw.get_data(), DATA, atol=STEP)


def test_damaged_annotations_are_counted(tmp_path, edf):
    opened = opened_from(tmp_path, edf.replace(b"+2.5\x15", b"?2.5\x15"))
    assert [m.onset for m in opened.annotations] == [1.0, 6.25]
    assert any("annotations of 1 records are damaged" in text for text in opened.warnings)


def test_a_file_of_annotations_only(tmp_path):
    content = contents(tmp_path / "b_eeg.edf")
    for index, label in enumerate([*["EDF Annotations"] * 3]):
        content = put(content, 256 + 16 * index, label, 16)
    found = refused(tmp_path, content)
    assert found.code == "no_samples" and "annotations and no signal" in found.what


def test_a_file_without_records(tmp_path, edf):
    begin = int(edf[184:192])
    assert refused(tmp_path, put(edf, RECORDS, "0")[:begin]).code == "no_samples"
    assert refused(tmp_path, put(edf, RECORDS, "-1")[:begin]).code == "no_samples"
    found = refused(tmp_path, edf[:begin], allow=["edf_truncated"])
    assert found.code == "truncated_file" and "0 whole records" in found.found


# ------------------------------------------------------------------------- interrupted recordings


def interrupted(content: bytes, onsets: dict[int, str]) -> bytes:
    """Make EDF+D of a file, some records of which begin at other seconds than one by one."""
    content = content.replace(b"EDF+C", b"EDF+D", 1)
    for record, onset in sorted(onsets.items(), reverse=True):
        old = f"+{record}\x14\x14".encode()
        assert content.count(old) == 1
        place = content.index(old)
        new = f"+{onset}\x14\x14".encode()
        tail = content[place + len(old) :]
        # The annotations of the record move up behind its longer time.
        grown = len(new) - len(old)
        gap = tail.index(b"\0" * (grown + 2)) if grown > 0 else 0
        rest = tail[:gap] + tail[gap + grown :] if grown > 0 else b"\0" * -grown + tail
        content = content[:place] + new + rest
    return content


@pytest.fixture(scope="module")
def interruptible(tmp_path_factory) -> bytes:
    return contents(tmp_path_factory.mktemp("edf") / "a_eeg.edf", marks=[(1.0, 0.0, "face")])


def test_time_between_records_stays_time_without_signal(tmp_path, interruptible):
    later = {record: str(record + 3) for record in range(5, 10)}
    content = interrupted(interruptible, later)
    opened = opened_from(tmp_path, content)
    plain = opened_from(tmp_path, interruptible, "b_eeg.edf").raw.get_data()
    assert opened.n_times == 1300
    data = opened.raw.get_data()
    assert np.array_equal(data[:, :500], plain[:, :500])
    assert np.array_equal(data[:, 800:], plain[:, 500:])
    # Nothing is filled in: no zeros, and no neighbour of the gap.
    assert np.all(np.isnan(data[:, 500:800]))
    assert marks_of(opened) == [(1.0, 0.0, "face"), (5.0, 3.0, "BAD_ACQ_SKIP")]
    assert any("1 times, 3 s without signal" in text for text in opened.warnings)


def test_no_window_crosses_time_between_records(tmp_path, interruptible):
    content = interrupted(interruptible, {record: f"{record + 2}.5" for record in range(5, 10)})
    opened = opened_from(tmp_path, content)
    assert is_boundary("BAD_ACQ_SKIP")
    empty = tables.read_tsv(_empty_events(tmp_path))
    cuts = find_cuts(find_boundaries(opened, empty), SFREQ, opened.n_times)
    assert cuts.segments(opened.n_times) == [(0, 500), (750, 1250)]
    starts, length = fixed_windows(SFREQ, 2.0, 0.0, opened.n_times, cuts)
    assert starts.tolist() == [0, 200, 750, 950]
    for start in starts:
        assert np.all(np.isfinite(opened.raw.get_data(start=start, stop=start + length)))


def _empty_events(folder: Path) -> Path:
    path = folder / "events.tsv"
    path.write_text("onset\ttrial_type\n")
    return path


@pytest.mark.parametrize("onset", ["5", "5.005"])
def test_an_edf_that_could_be_interrupted_and_is_not(tmp_path, interruptible, onset):
    opened = opened_from(tmp_path, interrupted(interruptible, {5: onset}))
    np.testing.assert_allclose(opened.raw.get_data(), DATA, atol=STEP)


@pytest.mark.parametrize("onset", ["4", "99999999"])
def test_times_that_cannot_be_are_refused(tmp_path, interruptible, onset):
    found = refused(tmp_path, interrupted(interruptible, {5: onset}))
    assert found.code == "unsupported_format"
    assert "record 5 begins at" in found.found and found.expected.startswith("5 s")


def test_a_record_without_its_time(tmp_path, interruptible):
    content = interrupted(interruptible, {})
    content = content.replace(b"+5\x14\x14", b"\0\0\0\0")
    found = refused(tmp_path, content)
    assert found.code == "unsupported_format" and found.found == "no time in record 5"
    opened = opened_from(tmp_path, content, allow=["edf_record_times"])
    np.testing.assert_allclose(opened.raw.get_data(), DATA, atol=STEP)
    assert applied(opened) == ["edf_record_times"]


def test_times_that_contradict_a_continuous_header_are_told(tmp_path, interruptible):
    later = {record: str(record + 3) for record in range(5, 10)}
    content = interrupted(interruptible, later).replace(b"EDF+D", b"EDF+C", 1)
    opened = opened_from(tmp_path, content)
    assert opened.n_times == 1000
    assert any("record 5 says that it begins at 8 s" in text for text in opened.warnings)


# --------------------------------------------------------------------------- different rates


def mixed(path: Path, seconds: int, slow: tuple[int, ...], kind="Edf") -> Path:
    rng = np.random.default_rng(3)
    signals = [("Fz", 50 * rng.standard_normal(seconds * 200), 200, "uV")]
    for number, rate in enumerate(slow):
        values = np.cumsum(rng.standard_normal(seconds * rate))
        signals.append((f"S{number}", values, rate, "uV"))
    codes = np.repeat(rng.integers(0, 200, seconds * 5), 10)
    signals.append(("Trigger", codes[: seconds * 50], 50, ""))
    return write_edf(path, signals, [(1.0, 0.0, "x")], kind)


@pytest.mark.parametrize("kind", ["Edf", "Bdf"])
@pytest.mark.parametrize("slow", [(100,), (50, 1), (125, 3, 199)])
@pytest.mark.parametrize("seconds", [7, 20])
def test_slow_channels_are_those_of_mne_read_whole(tmp_path, kind, slow, seconds):
    path = mixed(tmp_path / f"a_eeg.{kind.lower()}", seconds, slow, kind)
    opened = open_recording(tmp_path, path.name)
    wanted = by_mne(path).get_data()
    assert opened.sfreq == 200 and wanted.shape == (len(slow) + 2, 200 * seconds)
    rows = np.arange(len(wanted))
    own = opened.raw._raw_extras[0]["own"]
    tolerance = 1e-9 * wanted.std(axis=1, keepdims=True) + 1e-30
    found = own.read(rows, 0, opened.n_times)
    assert np.all(np.abs(found - wanted) <= tolerance)
    assert np.array_equal(found[0], wanted[0]) and np.array_equal(found[-1], wanted[-1])
    # Blocks have no edges: any piece is the piece of the whole.
    for start, stop in [(0, 1), (133, 977), (1, 200 * seconds), (399, 401)]:
        assert np.array_equal(opened.raw.get_data(rows, start, stop), found[:, start:stop])
    assert "upsampled to 200 Hz: S0 (" in own.told_of(rows)[0] and own.told_of([0]) == []


def test_slow_channels_of_an_interrupted_file_do_not_know_each_other(tmp_path):
    path = mixed(tmp_path / "w_eeg.edf", 10, (50,))
    content = path.read_bytes()
    later = {record: str(record + 3) for record in range(4, 10)}
    opened = opened_from(tmp_path, interrupted(content, later))
    begin, record = int(content[184:192]), (len(content) - int(content[184:192])) // 10
    alone = put(content, RECORDS, "4")[: begin + 4 * record]
    (tmp_path / "b_eeg.edf").write_bytes(alone)
    wanted = by_mne(tmp_path / "b_eeg.edf").get_data()
    np.testing.assert_allclose(opened.raw.get_data()[:, :800], wanted, atol=1e-12)


def test_memory_does_not_grow_with_the_length_of_a_mixed_file(tmp_path):
    path = mixed(tmp_path / "a_eeg.edf", 3000, (20,))
    opened = open_recording(tmp_path, path.name)
    whole = opened.n_times * len(opened.names) * 8
    tracemalloc.start()
    for start in range(0, opened.n_times, 10_000):
        opened.raw.get_data(start=start, stop=start + 10_000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # The slow channel and its spectrum, a block of records and one of samples; never the whole.
    assert peak < whole / 2 and peak < 12 * 3000 * 20 * 8


# ------------------------------------------------------------------------------------ damage


def test_every_rule_says_what_it_is_about():
    rules = [rule for rule in RULES.values() if rule.kind in ("edf", "edf_marks")]
    assert len(rules) == 9
    assert all(rule.failure.endswith(".") and rule.effect.endswith(".") for rule in rules)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 1400), st.binary(min_size=1, max_size=8), st.booleans())
def test_damaged_headers_give_a_reason_or_finite_samples(edf, tmp_path_factory, place, noise, all_):
    folder = tmp_path_factory.mktemp("damage")
    content = edf[:place] + noise + edf[place + len(noise) :]
    allow = [r.name for r in RULES.values() if r.kind == "edf"] if all_ else []
    try:
        opened = opened_from(
            folder, content, allow=[n for n in allow if RULES[n].risk != "lossless"]
        )
        data = opened.raw.get_data(start=0, stop=min(opened.n_times, 500))
        assert math.isfinite(opened.sfreq) and data.ndim == 2
        assert opened.n_times <= len(content)
    except RecordingProblem as problem:
        assert problem.code in ("unreadable", "truncated_file", "no_samples", "unsupported_format")
    shutil.rmtree(folder)
