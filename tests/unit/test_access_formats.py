"""A selection as tables of pandas, for scikit-learn, and pulled; columns of a large table."""

from __future__ import annotations

import importlib.util

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from absence import absent
from access_store import Recording, StoreBuilder, expected_rows, mixed_recordings, samples_of
from hypothesis import given, settings
from hypothesis import strategies as st

import bidsmill
from bidsmill.access import columns as access_columns
from bidsmill.access.columns import Columns
from bidsmill.access.text_tables import read_text_table
from bidsmill.errors import BidsmillError
from bidsmill.formats import tables

RECORDINGS = mixed_recordings()
SAMPLES = samples_of(RECORDINGS)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    root = tmp_path_factory.mktemp("formats")
    builder = StoreBuilder(root / "store")
    builder.publish("ds", RECORDINGS, SAMPLES)
    return bidsmill.open(builder.root, cache=root / "cache")


@pytest.fixture(scope="module")
def selection(store):
    return store["ds"].select(channels="common")


def test_one_long_table(selection):
    X = selection.arrays()
    frame = selection.frames()
    assert frame.index.names == ["row", "time"] and list(frame.columns) == ["A.1", "EOG"]
    assert len(frame) == X.shape[0] * X.shape[2] and set(frame.dtypes) == {np.dtype("float32")}
    for row in (0, 17, len(X) - 1):
        np.testing.assert_array_equal(frame.loc[row].to_numpy(), X[row].T)
    np.testing.assert_allclose(frame.loc[3].index, selection.times, atol=1e-12)
    np.testing.assert_array_equal(frame["EOG"].unstack("time").to_numpy(), X[:, 1])


def test_tables_with_targets(selection):
    X, y = selection.arrays("face")
    frame, faces = selection.frames("face")
    assert faces.name == "face" and faces.tolist() == y.tolist()
    np.testing.assert_array_equal(frame.loc[5].to_numpy(), X[5].T)
    means = frame.groupby("row").mean().groupby(faces).mean()
    for face in np.unique(y):
        expected = X[y == face].mean(axis=(0, 2), dtype=float)
        np.testing.assert_allclose(means.loc[face], expected, rtol=1e-3, atol=1e-9)
    frame, both = selection.frames(["face", "rt"])
    pd.testing.assert_frame_equal(both.reset_index(drop=True), selection.arrays(["face", "rt"])[1])
    assert both.index.name == "row" and len(frame) == 16 * len(both)


def test_tables_one_by_one(selection):
    X, y = selection.arrays("rt")
    pairs = list(selection.each_frame("rt"))
    assert [value for _, value in pairs] == y.tolist()
    for x, (frame, _) in zip(X, pairs, strict=True):
        np.testing.assert_array_equal(frame.to_numpy(), x.T)
    assert frame.index.name == "time" and frame.columns.tolist() == ["A.1", "EOG"]
    assert len(list(selection.each_frame())) == len(selection)
    values = [value for _, value in selection.each_frame(["face", "rt"])]
    assert values[2].to_dict() == selection.arrays(["face", "rt"])[1].iloc[2].to_dict()


def test_a_large_table_is_refused(selection):
    needed = 4 * len(selection) * 2 * 16
    with pytest.raises(BidsmillError, match=r"large.*each_frame\(\)"):
        selection.frames(max_bytes=needed - 1)
    assert len(selection.frames(max_bytes=needed)) == len(selection.frames(max_bytes=None))


def test_what_scikit_learn_takes(selection):
    X, y, groups = selection.sklearn("face")
    expected, labels = selection.arrays("face")
    np.testing.assert_array_equal(X, expected.reshape(len(expected), -1))
    assert y.tolist() == labels.tolist()
    assert groups.tolist() == selection.labelled("face").samples["subject"].tolist()
    X, y, groups = selection.sklearn("rt", groups="task", flatten=False)
    np.testing.assert_array_equal(X, selection.arrays("rt")[0])
    assert set(groups) == {"faces"}
    with pytest.raises(BidsmillError, match=r"rows have no participant_age.*\d+ of \d+"):
        selection.sklearn("face", groups="participant_age")
    with pytest.raises(BidsmillError, match=r"'sbject'.*perhaps 'subject'"):
        selection.sklearn("face", groups="sbject")


def test_scikit_learn_splits_by_group(selection):
    if importlib.util.find_spec("sklearn") is None:
        absent("scikit-learn is not installed")
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GroupKFold, cross_val_score

    X, y, groups = selection.sklearn("face")
    for train, test in GroupKFold(5).split(X, y, groups):
        assert not set(groups[train]) & set(groups[test])
    scores = cross_val_score(
        LogisticRegression(max_iter=20), X * 1e5, y == "Famous", groups=groups, cv=GroupKFold(5)
    )
    assert len(scores) == 5


def test_pull_takes_rows_that_cannot_be_stacked_too(tmp_path):
    other = Recording("06", ["Pz"], ["eeg"], sfreq=256.0)
    recordings = [*RECORDINGS, other]
    builder = StoreBuilder(tmp_path / "store")
    builder.publish("ds", recordings, samples_of(recordings))
    store = bidsmill.open(builder.root, cache=tmp_path / "cache")
    done: list[int] = []
    store["ds"].select(subject=["01", "04", "06"]).pull(progress=done.append)
    matrices = store["ds"].matrices
    wanted = [recordings[index].name for index in (0, 3, 5)]
    assert sum(done) == sum(matrices[name]["size"] for name in wanted)
    names = {path.stem for path in (tmp_path / "cache" / "matrix").glob("*.npy")}
    assert names == {matrices[name]["sha256"] for name in wanted}
    store["ds"].select(where="subject == '99'").pull()
    store.pull("ds", progress=False)
    for path in builder.root.glob("datasets/ds/files/matrix/*"):
        path.unlink()
    chosen = store["ds"].select(channels=["A.1"], subject=["02", "05"])
    expected = expected_rows(recordings, chosen.samples, ["A.1"])
    np.testing.assert_array_equal(chosen.arrays(), expected)


@pytest.fixture(scope="module")
def large_table(tmp_path_factory):
    """Return a table in many row groups, with everything that a column can hold."""
    path = tmp_path_factory.mktemp("columns") / "samples.parquet"
    n = 50
    random = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "a.b": random.choice(["x", "y", ""], n),
            "a": np.arange(n),
            "text": random.choice(np.array(["µ", None, "", "longer"], object), n),
            "event": pd.array(np.where(np.arange(n) % 3 == 0, None, np.arange(n)), "Int64"),
            "number": np.where(np.arange(n) % 4 == 0, np.nan, np.arange(n) / 7),
            "empty": np.full(n, None),
            "unlabelled": np.full(n, None),
        }
    )
    table = pa.Table.from_pandas(frame, preserve_index=False)
    for index, name in enumerate(table.column_names):
        if pa.types.is_null(table.schema.field(name).type):
            table = table.set_column(index, name, table.column(name).cast(pa.string()))
    pq.write_table(table, path, row_group_size=7)
    return path, frame


@settings(max_examples=50, deadline=None)
@given(rows=st.lists(st.integers(0, 49), max_size=60), large=st.integers(0, 100))
def test_columns_of_large_and_small_tables(large_table, rows, large):
    path, frame = large_table
    before, access_columns.LARGE = access_columns.LARGE, large
    try:
        columns = Columns(lambda: path, ["unlabelled"])
        found = columns.frame(np.array(rows, np.intp))
    finally:
        access_columns.LARGE = before
    expected = frame.iloc[rows].reset_index(drop=True)
    for name in ("a.b", "text", "empty"):
        assert found[name].tolist() == expected[name].fillna("").tolist()
    assert found["a"].tolist() == expected["a"].tolist()
    assert found["event"].dtype == "Int64" and found["event"].equals(expected["event"])
    np.testing.assert_array_equal(found["number"], expected["number"])
    assert found["unlabelled"].dtype == "float64" and found["unlabelled"].isna().all()


def test_columns_by_name(large_table):
    path, frame = large_table
    columns = Columns(lambda: path)
    assert columns.columns == list(frame) and len(columns) == 50 and "a.b" in columns
    assert columns.distinct("text") == {"µ", "", "longer"}
    assert columns["text"].cat.codes.dtype == np.int8, "one byte for each row"
    with pytest.raises(BidsmillError, match=r"'txet'.*perhaps 'text'"):
        columns["txet"]


CELLS = st.one_of(
    st.none(),
    st.sampled_from(["n/a", "", '"', "'a", "a,b", " x ", "µ", "NA", "null", "1.50", "#", "nan"]),
    st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), max_size=5),
)


@settings(max_examples=60, deadline=None)
@given(rows=st.lists(st.tuples(CELLS, CELLS, CELLS), max_size=8))
def test_text_tables_are_those_of_the_plain_reader(tmp_path_factory, rows):
    path = tmp_path_factory.getbasetemp() / "table.tsv"
    tables.write_tsv(path, pd.DataFrame(rows, columns=["a", "b c", "µ.x"], dtype=object))
    expected = tables.read_tsv(path)
    found = read_text_table(path)
    assert found.columns.tolist() == expected.columns.tolist() and len(found) == len(expected)
    assert found.to_numpy(object).tolist() == expected.to_numpy(object).tolist()


def test_a_text_table_with_a_short_line(tmp_path):
    path = tmp_path / "events.tsv"
    path.write_text("a\tb\n1\t2\n3\n")
    with pytest.raises(BidsmillError, match="cannot be read as text") as error:
        read_text_table(path)
    assert error.value.file == str(path)
