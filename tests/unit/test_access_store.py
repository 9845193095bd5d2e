"""Opening a store: the catalogue, versions, tables, errors, and a light import."""

from __future__ import annotations

import subprocess
import sys
import tomllib

import pandas as pd
import pytest
from access_store import FACES, StoreBuilder, mixed_recordings, samples_of

import bidsmill
from bidsmill.errors import BidsmillError


@pytest.fixture
def built(tmp_path):
    builder = StoreBuilder(tmp_path / "store")
    recordings = mixed_recordings()
    versions = [
        builder.publish("ds000117", recordings, samples_of(recordings, seed), snapshot)
        for seed, snapshot in enumerate(["1.0.0", "1.0.0", "1.1.0"])
    ]
    builder.publish("ds002718", recordings[:1], samples_of(recordings[:1]))
    return builder.root, versions


@pytest.fixture
def store(built, tmp_path):
    return bidsmill.open(built[0], cache=tmp_path / "cache")


def test_catalogue_and_names(store):
    assert list(store) == ["ds000117", "ds002718"] and len(store) == 2
    assert store.catalog["rows"].tolist() == [38, 8]
    assert "ds002718" in store and "ds000117@1.0.0" in store
    assert "ds9" not in store and "ds000117@9" not in store and 3 not in store
    assert "2 datasets" in repr(store) and 'store["ds000117"]' in repr(store)


def test_the_catalogue_given_out_is_not_the_stores_own(store):
    frame = store.catalog
    frame["dataset"] = "changed"
    assert list(store) == ["ds000117", "ds002718"]


def test_versions(store, built):
    versions = built[1]
    assert len(set(versions)) == 3
    assert store["ds000117"].version == versions[2]
    assert store["ds000117"].snapshot == "1.1.0"
    assert store["ds000117@1.0.0"].version == versions[1], "the newest build of the snapshot"
    assert store[f"ds000117@{versions[0]}"].version == versions[0]
    pd.testing.assert_series_equal(
        store[f"ds000117@{versions[0]}"].samples["trial_type"],
        samples_of(mixed_recordings(), 0)["trial_type"],
        check_dtype=False,
    )


def test_tables(store):
    dataset = store["ds000117"]
    samples = samples_of(mixed_recordings(), 2)
    found = dataset.samples
    pd.testing.assert_frame_equal(found[samples.columns], samples, check_dtype=False)
    assert found["file"].str.startswith("datasets/ds000117/files/matrix/sub-0").all()
    assert dataset.samples["rt"].dtype == "float64"
    assert dataset.recordings["rows"].tolist() == [8, 8, 5, 8, 9]
    assert dataset.events["row"].tolist()[:9] == [0, 1, 2, 3, 4, 5, 6, 7, 0]
    assert dataset.channels["kept"].tolist() == [True] * 25 + [False]
    assert dataset.channels["x"].tolist()[1] == 0.01
    assert dataset.labels == {"face": FACES, "rt": "number"}
    assert [layout["rows"] for layout in dataset.layouts.values()] == [21, 17]


def test_samples_are_read_once_and_stay_as_they_are(store, built):
    dataset = store["ds002718"]
    first = dataset.samples
    first["face"] = "changed"
    for path in (built[0] / "datasets/ds002718/files/samples").iterdir():
        path.unlink()
    assert set(dataset.samples["face"]) <= {*FACES, ""}


def test_describe_teaches(store):
    dataset = store["ds000117"]
    text = dataset.describe()
    samples = samples_of(mixed_recordings(), 2)
    assert repr(dataset) == text
    assert "ds000117: Faces" in text and "38, of which 1 are excluded" in text
    for face in FACES:
        assert f"{face} {(samples['face'] == face).sum()}" in text
    assert "train 24, test 14 (level: subject)" in text
    assert "4 eeg, 1 eog; 128 Hz, 16 samples from -0.0625 s; 21 rows" in text
    example = text.rpartition("read it")[2].strip()
    assert 'target="face"' in example and "layout ==" in example
    X, y = eval(example, {"ds": dataset})
    assert len(X) == len(y) > 0
    assert "37 rows of ds000117@" in repr(dataset.select())


def test_only_the_catalogue_is_read_to_open_and_only_one_pointer_for_a_dataset(built, tmp_path):
    root = built[0]
    for path in (root / "datasets" / "ds000117").rglob("*"):
        if path.is_file():
            path.write_bytes(b"damaged")
    store = bidsmill.open(root, cache=tmp_path / "cache")
    assert store["ds002718"].manifest["rows"] == 8
    with pytest.raises(BidsmillError, match=r"cannot be read.*JSONDecodeError"):
        store["ds000117"]


def test_columns_are_read_when_they_are_asked_for(store, built):
    """A condition on one column works where every other column of the file is damaged."""
    import pyarrow.parquet as pq

    dataset = store["ds000117"]
    _ = dataset.table.columns  # verifies the file
    entry = dataset.table_entry("samples", "samples.parquet")
    path = built[0] / entry["path"]
    with pq.ParquetFile(path) as file:
        group = file.metadata.row_group(0)
        chunks = {group.column(i).path_in_schema: group.column(i) for i in range(group.num_columns)}
    content = bytearray(path.read_bytes())
    for name, chunk in chunks.items():
        if name not in ("subject", "excluded"):
            begin = chunk.dictionary_page_offset or chunk.data_page_offset
            content[begin : begin + chunk.total_compressed_size] = bytes(
                chunk.total_compressed_size
            )
    path.write_bytes(content)
    assert len(dataset.select(subject="02", where="subject != '03'")) == 8
    assert set(dataset.table["subject"].dtype.categories) >= {"01", "05"}
    with pytest.raises((BidsmillError, OSError)):
        _ = dataset.samples


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("ds00117", "perhaps 'ds000117'"),
        ("DS002718", "perhaps 'ds002718'"),
        ("zzz", "one of: ds000117, ds002718"),
        ("../ds000117", "perhaps 'ds000117'"),
        ("", "one of: ds000117, ds002718"),
    ],
)
def test_unknown_dataset(store, name, part):
    with pytest.raises(BidsmillError) as error:
        store[name]
    assert part in str(error.value) and "no such dataset" in str(error.value)


def test_unknown_version(store):
    with pytest.raises(BidsmillError, match=r"no snapshot or version.*perhaps '1\.1\.0'"):
        store["ds000117@1.1.1"]


def test_wrong_path(tmp_path, built):
    with pytest.raises(BidsmillError, match="perhaps 'store'"):
        bidsmill.open(tmp_path / "stoer")
    with pytest.raises(BidsmillError, match=r"not a store.*open .*store$"):
        bidsmill.open(tmp_path)
    with pytest.raises(BidsmillError, match=r"not a store.*open .*store$"):
        bidsmill.open(tmp_path / "store" / "datasets")
    with pytest.raises(BidsmillError, match="this is a file"):
        bidsmill.open(tmp_path / "store" / "catalog.parquet")
    with pytest.raises(BidsmillError, match=r"gs:// cannot be opened.*s3://bucket/prefix"):
        bidsmill.open("gs://bucket/prefix")
    assert list(bidsmill.open(f"file://{tmp_path}/store")) == ["ds000117", "ds002718"]
    assert list(bidsmill.open(str(tmp_path / "store"))) == ["ds000117", "ds002718"]


def test_a_changed_manifest_is_refused(store, built):
    path = built[0] / f"datasets/ds000117/versions/{built[1][2]}.json"
    path.write_bytes(path.read_bytes().replace(b'"CC0"', b'"MIT"'))
    with pytest.raises(BidsmillError, match="not the one that its name states"):
        store["ds000117"]


def test_a_changed_table_is_refused(store, built):
    path = next((built[0] / "datasets/ds002718/files/events").iterdir())
    path.write_bytes(path.read_bytes().replace(b"used", b"lost"))
    with pytest.raises(BidsmillError, match="another content") as error:
        _ = store["ds002718"].events
    assert error.value.file == str(path)


def test_version_is_that_of_the_project(root):
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    assert bidsmill.__version__ == project["version"]


HEAVY = ["mne", "torch", "scipy", "hed", "matplotlib", "snakemake", "sklearn", "boto3"]


def test_nothing_heavy_is_imported(built, tmp_path):
    code = (
        "import sys, bidsmill\n"
        "assert not {'numpy', 'pandas', 'pyarrow'} & set(sys.modules), 'import bidsmill'\n"
        f"X = bidsmill.open({str(built[0])!r})['ds002718'].select().arrays()\n"
        "assert X.shape == (7, 5, 16), X.shape\n"
        f"print([name for name in {HEAVY} if name in sys.modules])\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env={**__import__("os").environ, "BIDSMILL_CACHE": str(tmp_path / "cache")},
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip() == "[]"
    assert len(list((tmp_path / "cache" / "matrix").glob("*.npy"))) == 1


@pytest.mark.parametrize(
    ("call", "extra"),
    [
        (lambda s: s.mne(), "mne"),
        (lambda s: s.torch(), "torch"),
        (lambda s: s.loader(), "torch"),
        (lambda s: s.stream().torch(), "torch"),
        (lambda s: s.stream().loader(), "torch"),
        (lambda s: s.select(hed="Event"), "hed"),
    ],
)
def test_a_missing_library_is_named_with_its_extra(store, call, extra, monkeypatch):
    selection = store["ds002718"].select()
    monkeypatch.setitem(sys.modules, extra, None)
    package = {"hed": "hedtools"}.get(extra, extra)
    with pytest.raises(BidsmillError, match=rf"pip install {package}, or .*\[{extra}\]"):
        call(selection)
