"""A clip bank is opened without reading it, and a few rows of a clip are a few short reads."""

from __future__ import annotations

import json
import os
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from spike_cases import bytes_read

from bidsmill.errors import BidsmillError
from bidsmill.simulate.clips.bank import ClipBank, MissingClip, write_bank
from bidsmill.simulate.clips.scaling import scale_spikes
from bidsmill.simulate.clips.stored_rows import MOST_BETWEEN, StoredRows, reading_plan
from bidsmill.simulate.spikes.waveforms import LiftedClips

N_REGIONS, N_SENSORS, N_TIMES, SFREQ = 40, 6, 50, 500.0
DETECTION = {"threshold": 8.0, "separation": 0.02}
LEADFIELD = np.random.default_rng(1).standard_normal((N_SENSORS, N_REGIONS))


def made_clips(keys):
    """Rows of the table, and clips with a spike (perhaps two) in their region."""
    for region, clip in keys:
        random = np.random.default_rng([region, clip])
        x = random.uniform(0.5, 1.5, (N_REGIONS, N_TIMES)).astype(np.float32)
        x[region, 20:23] = 6, 10, 5
        if clip == 2:
            x[region, 35:38] = 5, 9, 4
        row = {"region": region, "clip": clip, "sfreq": SFREQ, "peak_in_clip": 21, "jitter": 0}
        row |= {"height": 10.0, "alpha": np.nan if clip == 3 else 4.0, "contaminating": 0}
        row |= {"run": "a", "condition": 0, "peak_sample": 21, "source": ""}
        yield row, x


KEYS = [(3, 1), (3, 2), (9, 3), (39, 1)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    target = tmp_path_factory.mktemp("bank")
    facts = {"sfreq_hz": SFREQ, "n_times": N_TIMES, "detection": DETECTION}
    write_bank(target, made_clips(KEYS), 4, LEADFIELD, facts, pd.DataFrame({"region": [3]}))
    return target


def test_a_bank_gives_back_what_went_in(folder):
    bank = ClipBank(folder)
    assert len(bank) == 4 and (9, 3) in bank and (9, 1) not in bank and (3, -1) not in bank
    assert bank.regions.tolist() == [3, 9, 39] and bank.clips_of(3) == [1, 2]
    for row, x in made_clips(KEYS):
        key = row["region"], row["clip"]
        np.testing.assert_array_equal(bank.clip(*key), x)
        np.testing.assert_allclose(bank.projected(*key), LEADFIELD @ x, rtol=1e-5, atol=1e-5)
        np.testing.assert_array_equal(bank.rows(*key, [39, 0, 7, 7]), x[[39, 0, 7, 7]])
        assert bank.rows(*key, []).shape == (0, N_TIMES)
        # Both spikes of clip 2 are lifted; clip 3 has no factor and is shown as it is.
        peaks = np.array([21, 36] if key[1] == 2 else [21])
        lifted = x[key[0]] if key[1] == 3 else scale_spikes(x[key[0]], peaks, 4.0, SFREQ)
        np.testing.assert_allclose(bank.waveform(*key), lifted, rtol=1e-6)
        np.testing.assert_array_equal(LiftedClips(bank).waveform(*key), bank.waveform(*key))
        # What is given out belongs to the caller.
        bank.projected(*key)[:] = 0
        assert bank.projected(*key).any()
    for wanted in ([40], [-1], [0, 40]):
        with pytest.raises(IndexError):
            bank.rows(3, 1, wanted)
    with pytest.raises(MissingClip, match="no clip 7 of region 3"):
        bank.waveform(3, 7)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 60), max_size=20))
def test_any_rows_are_read_in_few_spans(wanted):
    spans, places = reading_plan(np.array(wanted, np.int32).tobytes())
    read = [row for first, count in spans for row in range(first, first + count)]
    assert read == sorted(set(read))
    found = read if places is None else [read[place] for place in places]
    assert found == wanted
    for (first, count), (following, _) in pairwise(spans):
        assert following - (first + count) >= MOST_BETWEEN
    # Nothing is read along that is not between two wanted rows.
    ends = {row for first, count in spans for row in (first, first + count - 1)}
    assert ends <= set(wanted)


def test_a_bank_of_99400_clips_is_opened_without_reading_it(folder, tmp_path):
    """994 regions x 100 clips x 500 points: 198 GB of clips, all of them holes but one."""
    n_regions, n_times, keys = 994, 500, [(r, c) for r in range(994) for c in range(1, 101)]
    facts = json.loads((folder / "bank.json").read_text())
    sizes = {"n_clips": len(keys), "n_regions": n_regions, "n_times": n_times}
    (tmp_path / "bank.json").write_text(json.dumps(facts | sizes))
    pd.DataFrame(keys, columns=["region", "clip"]).to_parquet(tmp_path / "clips.parquet")
    shapes = {"clips": (n_regions,), "projected": (N_SENSORS,), "waveforms": ()}
    planted = np.random.default_rng(0).standard_normal((n_regions, n_times)).astype(np.float32)
    row = keys.index((700, 33))
    for name, shape in shapes.items():
        whole = (len(keys), *shape, n_times)
        with open(tmp_path / f"{name}.npy", "wb") as sink:
            header = {"descr": "<f4", "fortran_order": False, "shape": whole}
            np.lib.format.write_array_header_1_0(sink, header)
            start = sink.tell()
            sink.truncate(start + 4 * int(np.prod(whole, dtype=np.int64)))
            if name == "clips":
                sink.seek(start + row * planted.nbytes)
                sink.write(planted.tobytes())
    assert (tmp_path / "clips.npy").stat().st_size > 197e9
    table = (tmp_path / "clips.parquet").stat().st_size
    ClipBank(folder)  # Imports what is to be imported.
    before = bytes_read()
    bank = ClipBank(tmp_path)
    assert bytes_read() - before < table + 100_000 and len(bank) == 99_400
    patch = [500, 501, 505, 503, 620]
    before = bytes_read()
    rows = bank.rows(700, 33, patch)
    assert bytes_read() - before < 7 * 2000 + 1000
    np.testing.assert_array_equal(rows, planted[patch])
    assert not bank.rows(700, 32, patch).any() and bank.waveform(0, 1).shape == (500,)


def test_damaged_arrays_are_refused(folder, tmp_path):
    x = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    np.save(tmp_path / "x.npy", x)
    stored = StoredRows(tmp_path / "x.npy", x.shape)
    np.testing.assert_array_equal(stored.read(3, 3), x[1])
    with pytest.raises(BidsmillError, match="does not fit its description"):
        StoredRows(tmp_path / "x.npy", (2, 4, 3))
    # A file that is cut off while it is open is an error, and not the end of the process.
    os.truncate(tmp_path / "x.npy", 140)
    with pytest.raises(BidsmillError, match="not as long as it says"):
        stored.take(3, 3, np.array([2], np.int32))
    with pytest.raises(BidsmillError, match="not as long as it says"):
        StoredRows(tmp_path / "x.npy", x.shape)
    for name, content in (("f.npy", np.asfortranarray(x)), ("d.npy", x.astype(np.float64))):
        np.save(tmp_path / name, content)
        with pytest.raises(BidsmillError, match="clip bank"):
            StoredRows(tmp_path / name, x.shape)
    (tmp_path / "t.npy").write_text("no array")
    with pytest.raises(BidsmillError, match="cannot be read"):
        StoredRows(tmp_path / "t.npy", x.shape)
    with pytest.raises(BidsmillError, match="cannot be read"):
        StoredRows(tmp_path / "absent.npy", x.shape)
