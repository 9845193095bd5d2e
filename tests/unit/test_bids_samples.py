"""Samples read straight from files, bit for bit those of MNE."""

from __future__ import annotations

import json

import mne
import numpy as np
import pytest
from bids_cases import brain_like, write_brainvision, write_edf, write_eeglab, write_fif
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bidsmill.bids import sample_files
from bidsmill.bids.sample_files import Multiplexed, Records
from bidsmill.bids.samples import AskingMne, open_samples

N_CHANNELS, N_TIMES, SFREQ = 7, 1500, 100.0
NAMES = [f"E{i}" for i in range(N_CHANNELS)]


def brainvision(fmt):
    def write(folder):
        path = write_brainvision(
            folder, fmt, brain_like(N_CHANNELS, N_TIMES), SFREQ, NAMES, fmt=fmt, resolution=0.3
        )
        return mne.io.read_raw_brainvision(path)

    return write


def brainvision_int32(folder):
    """Return a recording of 32-bit integers, which pybv does not write."""
    raw = brainvision("binary_int16")(folder)
    header = raw.filenames[0].with_suffix(".vhdr")
    header.write_text(header.read_text("utf-8").replace("INT_16", "INT_32"), "utf-8")
    values = np.random.default_rng(1).integers(-(2**31), 2**31, N_CHANNELS * N_TIMES)
    raw.filenames[0].write_bytes(values.astype("<i4").tobytes())
    return mne.io.read_raw_brainvision(header)


def fdt(folder):
    path = write_eeglab(folder / "a.set", brain_like(N_CHANNELS, N_TIMES), SFREQ, NAMES)
    return mne.io.read_raw_eeglab(path)


def edf(kind, record=1.0, **keywords):
    def write(folder):
        data = brain_like(N_CHANNELS, N_TIMES) * 1e6
        names = [*NAMES[:-1], "Status"] if kind == "Bdf" else NAMES
        signals = [(n, d, SFREQ, "uV") for n, d in zip(names, data, strict=True)]
        path = folder / f"a.{kind.lower()}"
        write_edf(path, signals, [(1.0, 0.5, "x")], kind, data_record_duration=record, **keywords)
        return (mne.io.read_raw_edf if kind == "Edf" else mne.io.read_raw_bdf)(path)

    return write


def fif(fmt, **keywords):
    def write(folder):
        path = folder / "a_raw.fif"
        raw = write_fif(path, brain_like(N_CHANNELS, N_TIMES), SFREQ, NAMES, first_samp=130)
        raw.save(path, fmt=fmt, overwrite=True, buffer_size_sec=1.7, **keywords)
        return mne.io.read_raw_fif(path)

    return write


CASES = {
    "brainvision int16": (brainvision("binary_int16"), Multiplexed),
    "brainvision int32": (brainvision_int32, Multiplexed),
    "brainvision float32": (brainvision("binary_float32"), Multiplexed),
    "fdt": (fdt, Multiplexed),
    "edf": (edf("Edf"), Records),
    "edf of one record": (edf("Edf", 15.0), Records),
    "edf of short records": (edf("Edf", 0.05), Records),
    "bdf": (edf("Bdf"), Records),
    "fif int16": (fif("short"), Multiplexed),
    "fif int32": (fif("int"), Multiplexed),
    "fif float32": (fif("single"), Multiplexed),
    "fif float64": (fif("double"), Multiplexed),
}


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    mne.set_log_level("ERROR")
    folder = tmp_path_factory.mktemp("samples")
    found = {}
    for name, (write, _) in CASES.items():
        own = folder / name.replace(" ", "_")
        own.mkdir()
        found[name] = write(own)
    return found


def read(reader, n_channels, start, stop, dtype=np.float32):
    # Rows that lie apart, as those of a block of windows do.
    space = np.full((n_channels, 2 * (stop - start) + 3), 7.0, dtype)
    out = space[:, : stop - start]
    reader.read_into(start, stop, out)
    assert (space[:, stop - start :] == 7.0).all()
    return out


def assert_same(found, wanted):
    """Values, types and signs of zeros; only the bits of a NaN may differ."""
    wanted = wanted.astype(found.dtype)
    np.testing.assert_array_equal(found, wanted)
    np.testing.assert_array_equal(np.signbit(found), np.signbit(wanted))


@pytest.mark.parametrize("case", CASES)
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_values_are_those_of_mne(opened, monkeypatch, case, data):
    raw = opened[case]
    picks = data.draw(
        st.lists(st.integers(0, len(raw.ch_names) - 1), min_size=1, max_size=9, unique=True)
    )
    start = data.draw(st.integers(0, N_TIMES - 1))
    stop = data.draw(st.integers(start + 1, N_TIMES))
    dtype = data.draw(st.sampled_from([np.float32, np.float64]))
    monkeypatch.setattr(sample_files, "CHUNK_BYTES", data.draw(st.sampled_from([1, 999, 2**20])))
    monkeypatch.setattr(sample_files, "LARGEST_RECORD", data.draw(st.sampled_from([0, 2**23])))
    reader = open_samples(raw, picks)
    assert isinstance(reader, CASES[case][1])
    # MNE on all channels, in its own order: independent of how either side picks.
    assert_same(read(reader, len(picks), start, stop, dtype), raw.get_data()[picks, start:stop])


def test_float_samples_that_are_no_numbers(tmp_path):
    data = brain_like(2, 200)
    data[0, 50], data[1, 60], data[0, 70] = np.nan, np.inf, -np.inf
    raw = mne.io.read_raw_brainvision(write_brainvision(tmp_path, "a", data, 100.0, ["a", "b"]))
    found = read(open_samples(raw, [1, 0]), 2, 0, 200)
    np.testing.assert_array_equal(found, raw.get_data()[[1, 0]].astype(np.float32))
    assert np.isnan(found[1, 50]) and found[0, 60] == np.inf


def test_a_gap_of_a_fif_file_is_zero_as_for_mne(tmp_path):
    raw = write_fif(tmp_path / "a_raw.fif", brain_like(2, 3000), 100.0, ["a", "b"])
    raw.set_annotations(mne.Annotations([10.0], [9.0], ["BAD_ACQ_SKIP"]))
    raw.save(tmp_path / "a_raw.fif", overwrite=True, buffer_size_sec=1.0)
    again = mne.io.read_raw_fif(tmp_path / "a_raw.fif")
    reader = open_samples(again, [0, 1])
    assert isinstance(reader, Multiplexed)
    wanted = again.get_data()
    assert_same(read(reader, 2, 0, again.n_times), wanted)
    assert (wanted == 0).all(axis=0).sum() > 500


def test_parts_of_a_fif_file(tmp_path):
    raw = write_fif(
        tmp_path / "a_raw.fif", brain_like(40, 20000), 100.0, [f"E{i}" for i in range(40)]
    )
    raw.save(tmp_path / "a_raw.fif", overwrite=True, split_size="2MB", buffer_size_sec=10)
    again = mne.io.read_raw_fif(tmp_path / "a_raw.fif")
    assert len(again.filenames) > 1
    reader = open_samples(again, [3, 1])
    assert isinstance(reader, Multiplexed)
    assert_same(read(reader, 2, 0, again.n_times), again.get_data()[[3, 1]])
    assert_same(read(reader, 2, 11111, 16000), again.get_data()[[3, 1], 11111:16000])


def embedded(folder):
    path = write_eeglab(folder / "a.set", brain_like(3, 300), 100.0, list("abc"), fdt=False)
    return mne.io.read_raw_eeglab(path, preload=False)


def mixed_rates(folder):
    signals = [("a", np.arange(1000.0), 100.0, "uV"), ("b", np.arange(500.0), 50.0, "uV")]
    return mne.io.read_raw_edf(write_edf(folder / "a.edf", signals))


def in_memory(folder):
    info = mne.create_info(list("abc"), 100.0, "eeg")
    return mne.io.RawArray(brain_like(3, 300), info)


def loaded(folder):
    return brainvision("binary_int16")(folder).load_data()


def cropped(folder):
    return brainvision("binary_int16")(folder).crop(1.0, 5.0)


def compressed(folder):
    raw = write_fif(folder / "a_raw.fif", brain_like(3, 300), 100.0, list("abc"))
    raw.save(folder / "b_raw.fif.gz")
    return mne.io.read_raw_fif(folder / "b_raw.fif.gz")


def projected(folder):
    raw = write_fif(folder / "a_raw.fif", brain_like(3, 300), 100.0, list("abc"))
    raw.set_eeg_reference(projection=True).save(folder / "a_raw.fif", overwrite=True)
    return mne.io.read_raw_fif(folder / "a_raw.fif").apply_proj()


def vectorized(folder):
    """Return a BrainVision recording in which each channel stands for itself."""
    path = write_brainvision(folder, "a", brain_like(3, 300), 100.0, list("abc"))
    values = np.fromfile(folder / "a.eeg", "<f4").reshape(-1, 3)
    (folder / "a.eeg").write_bytes(values.T.tobytes())
    path.write_text(path.read_text("utf-8").replace("MULTIPLEXED", "VECTORIZED"), "utf-8")
    return mne.io.read_raw_brainvision(path)


@pytest.mark.parametrize(
    "write",
    [embedded, mixed_rates, in_memory, loaded, cropped, compressed, projected, vectorized],
)
def test_other_layouts_are_left_to_mne(tmp_path, write):
    raw = write(tmp_path)
    picks = [len(raw.ch_names) - 1, 0]
    reader = open_samples(raw, picks)
    assert isinstance(reader, AskingMne)
    assert_same(read(reader, 2, 0, raw.n_times), raw.get_data()[picks])


class RawBrainVision:
    """A recording of MNE's that lacks an attribute, or whose values are changed on reading."""

    __module__ = "mne.io"

    def __init__(self, raw, lacks="", scale=1.0):
        self._raw, self._lacks, self._scale = raw, lacks, scale

    def get_data(self, *arguments, **keywords):
        return self._raw.get_data(*arguments, **keywords) * self._scale

    def __getattr__(self, name):
        if name == self._lacks:
            raise AttributeError(name)
        return getattr(self._raw, name)


@pytest.mark.parametrize("attribute", ["_cals", "_raw_extras", "_read_picks", "_raw_lengths"])
def test_another_version_of_mne_may_keep_its_knowledge_elsewhere(tmp_path, attribute):
    raw = brainvision("binary_int16")(tmp_path)
    assert isinstance(open_samples(RawBrainVision(raw), [0, 1]), Multiplexed)
    assert isinstance(open_samples(RawBrainVision(raw, attribute), [0, 1]), AskingMne)


def test_a_wrong_idea_of_the_layout_is_found(tmp_path):
    raw = RawBrainVision(brainvision("binary_int16")(tmp_path), scale=2.0)
    reader = open_samples(raw, [0, 1])
    assert isinstance(reader, AskingMne)
    assert_same(read(reader, 2, 0, 10), raw.get_data([0, 1])[:, :10])


@pytest.mark.parametrize("case", ["brainvision int16", "edf", "edf of one record"])
def test_a_file_that_shrinks_while_it_is_read(tmp_path, case):
    raw = CASES[case][0](tmp_path)
    reader = open_samples(raw, [0, 1])
    assert isinstance(reader, CASES[case][1])
    path = raw.filenames[0]
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(RuntimeError, match="too early"):
        read(reader, 2, 0, N_TIMES)
    path.unlink()
    with pytest.raises(FileNotFoundError):
        read(reader, 2, 0, N_TIMES)


@pytest.mark.corpus
def test_the_real_recordings(corpus):
    """Every healthy recording whose layout is known; how many are read without MNE is known."""
    mne.set_log_level("ERROR")
    own = []
    facts = json.loads((corpus / "facts.json").read_text())
    assert facts
    for pattern in ("*.vhdr", "*.edf", "*.bdf", "*.fif", "*.set"):
        for path in sorted(corpus.rglob(pattern)):
            if "broken" in path.parts or "crosstalk" in path.name:
                continue
            raw = _open(path)
            if raw is None:
                continue
            picks = list(range(len(raw.ch_names)))[::-1]
            reader = open_samples(raw, picks)
            stop = min(raw.n_times, 20000)
            found = read(reader, len(picks), 0, stop)
            if not isinstance(reader, AskingMne):
                own.append(path.name)
                assert_same(found, raw.get_data(stop=stop)[::-1])
    assert len(own) > 30


def _open(path):
    keywords = {"allow_maxshield": "yes"} if path.suffix == ".fif" else {}
    try:
        return mne.io.read_raw(path, preload=False, **keywords)
    except (OSError, ValueError, RuntimeError, UnicodeDecodeError):
        return None
