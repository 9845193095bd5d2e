"""DuckDB, polars and Hugging Face datasets read a published store and get what went in."""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from absence import absent
from odd_store import DATASET, ODD, OddStore

from bidsmill.access.commands.sql import add_sql_command
from bidsmill.access.sql import chosen_layouts, layout_query
from bidsmill.errors import BidsmillError

WIDE = 1100


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> OddStore:
    # A folder whose name DuckDB would take for a pattern, with a quote in it.
    return OddStore(tmp_path_factory.mktemp("others") / "it's [a] store*")


def printed(*arguments: str) -> str:
    """Return what `bidsmill sql` prints."""
    parser = argparse.ArgumentParser()
    add_sql_command(parser.add_subparsers())
    options = parser.parse_args(["sql", *map(str, arguments)])
    return "\n".join(options.action(options))


def check(store: OddStore, found: pd.DataFrame, layout: str, place=("file", "row"), label="face"):
    """Compare signals and labels of rows with what went in, and count them."""
    wanted = store.samples[store.samples["layout"] == layout]
    assert len(found) == len(wanted) > 0
    labels = wanted.set_index(["file", "row"])[label]
    places = list(zip(found[place[0]], found[place[1]], strict=True))
    assert len(set(places)) == len(places)
    for position, (file, row) in enumerate(places):
        recording = store.recording_of(file)
        assert recording.layout == layout
        assert found[label].iloc[position] == labels[(file, row)]
        for index, name in enumerate(recording.columns):
            np.testing.assert_array_equal(
                np.asarray(found[name].iloc[position], np.float32), recording.array[row, index]
            )


@pytest.mark.parametrize("layout", ["odd", "plain"])
def test_duckdb_runs_the_printed_query(store, layout):
    import duckdb

    layout = getattr(store, layout)
    text = printed(store.root, DATASET, "--layout", layout, "--excluded")
    found = duckdb.sql(text).df()
    place = ("sample_file", "sample_row") if layout == store.odd else ("file", "row")
    check(store, found, layout, place)
    assert set(found) >= {"trial_type", "HED", "participant_hand pref", "rt"}


def test_duckdb_gives_one_side_without_excluded_rows(store):
    import duckdb

    samples = store.samples
    for layout, side in ((store.odd, "train"), (store.plain, "test"), (store.odd, "none")):
        text = printed(store.root, DATASET, "--layout", layout, "--split", side)
        wanted = samples[(samples["layout"] == layout) & (samples["split"] == side)]
        wanted = wanted[wanted["excluded"] == ""]
        assert len(duckdb.sql(text).df()) == len(wanted)
    assert (samples["excluded"] != "").sum() == 1


def test_all_layouts_give_one_query_each(store):
    import duckdb

    text = printed(store.root, DATASET)
    assert text.count("SELECT") == 2
    statements = duckdb.extract_statements(text)
    rows = [len(duckdb.execute(statement).df()) for statement in statements]
    assert sorted(rows) == [6, 16]  # 17 rows of the odd layout, one of them excluded
    content = json.loads(printed(store.root, DATASET, "--json"))
    assert [one["layout"] for one in content["queries"]] == sorted([store.odd, store.plain])
    assert content["version"] == store.version and content["queries"][0]["sql"] in text


def test_the_query_names_files_and_no_pattern(store):
    text = printed(store.root, DATASET, "--layout", store.plain)
    files = store.manifest["layouts"][store.plain]["files"]
    assert all(Path(file).name in text for file in files)
    assert not any(
        Path(file).name in text for file in store.manifest["layouts"][store.odd]["files"]
    )


def test_an_unknown_layout_is_refused_with_those_there_are(store):
    with pytest.raises(BidsmillError, match="no such layout") as caught:
        printed(store.root, DATASET, "--layout", "nonsense")
    assert store.odd in str(caught.value) and store.plain in str(caught.value)
    with pytest.raises(BidsmillError, match="no matrix"):
        chosen_layouts([])


def made_up(channels: list[str], rows: int = 1) -> dict:
    """Return a manifest with one matrix of these channels."""
    path = "datasets/d/files/matrix/m-0.parquet"
    layout = {"channels": channels, "n_times": 2, "sfreq": 10.0, "rows": rows, "files": [path]}
    samples = {"kind": "samples", "name": "samples.parquet", "path": "datasets/d/files/s.parquet"}
    return {"dataset": "d", "layouts": {"l": layout}, "files": [samples]}


def test_a_channel_called_as_duckdbs_own_columns(tmp_path):
    import duckdb
    import pyarrow as pa

    matrix = tmp_path / "datasets/d/files/matrix/m-0.parquet"
    matrix.parent.mkdir(parents=True)
    pq.write_table(pa.table({"FileName": [[1.0, 2.0]], "filename_": [[3.0, 4.0]]}), matrix)
    samples = pa.table(
        {"file": ["datasets/d/files/matrix/m-0.parquet"], "row": [0], "excluded": [""]}
    )
    pq.write_table(samples, tmp_path / "datasets/d/files/s.parquet")
    manifest = made_up(["FileName", "filename_"])
    text = layout_query(str(tmp_path), manifest, "l", samples.column_names)
    found = duckdb.sql(text).df()
    assert found["FileName"][0].tolist() == [1.0, 2.0]
    assert found["filename_"][0].tolist() == [3.0, 4.0]
    with pytest.raises(BidsmillError, match="called file_row_number"):
        layout_query(str(tmp_path), made_up(["FILE_ROW_NUMBER"]), "l", [])


def test_a_wide_layout_is_one_column(tmp_path):
    import duckdb
    from access_store import Recording, StoreBuilder, samples_of

    names = [f"E{index}" for index in range(WIDE)]
    wide = Recording("01", names, ["eeg"] * WIDE, rows=4, n_times=4)
    StoreBuilder(tmp_path).publish("wide", [wide], samples_of([wide]))
    text = printed(tmp_path, "wide", "--excluded")
    assert f"{WIDE} x 4" in text
    found = duckdb.sql(text).df().sort_values("row")
    values = np.stack(found["signal"].to_numpy()).reshape(4, WIDE, 4)
    np.testing.assert_array_equal(values, wide.array)


def test_polars_reads_files_and_labels(store):
    import polars as pl

    for layout in (store.odd, store.plain):
        parts = []
        for file in store.manifest["layouts"][layout]["files"]:
            # glob=False: the folder's name holds brackets.
            matrix = pl.read_parquet(store.root / file, glob=False).with_row_index("#row")
            parts.append(matrix.with_columns(pl.lit(file).alias("#file")))
        samples = pl.read_parquet(store.path_of("samples"), glob=False)
        samples = samples.select(
            pl.col("file").alias("#file"), pl.col("row").cast(pl.UInt32).alias("#row"), "face"
        )
        found = pl.concat(parts).join(samples, on=["#file", "#row"])
        assert found.schema[ODD[0] if layout == store.odd else "Fz"] == pl.Array(pl.Float32, 16)
        check(store, found.to_pandas(), layout, ("#file", "#row"))


def test_hugging_face_datasets_read_each_layout(store, tmp_path):
    program = """
import json, sys
from datasets import load_dataset
root, content, target = sys.argv[1], json.loads(sys.argv[2]), sys.argv[3]
for layout, files in content.items():
    paths = [f"{root}/{file}" for file in files]
    found = load_dataset("parquet", name=layout, data_files={"rows": paths}, split="rows")
    found.to_parquet(f"{target}/{layout}.parquet")
    print(layout, found.num_rows, len(found.features))
"""
    files = {key: layout["files"] for key, layout in store.manifest["layouts"].items()}
    # A folder with wildcards in its name is beyond what data_files can name.
    plain = tmp_path / "store"
    plain.symlink_to(store.root)
    environment = {
        **os.environ,
        "HF_HUB_OFFLINE": "1",
        "HF_DATASETS_OFFLINE": "1",
        "HF_HOME": str(tmp_path / "cache"),
    }
    command = [sys.executable, "-c", program, str(plain), json.dumps(files), str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    for layout, paths in files.items():
        found = pq.read_table(tmp_path / f"{layout}.parquet").to_pandas()
        recordings = [store.recording_of(path) for path in paths]
        for index, name in enumerate(recordings[0].columns):
            wanted = np.concatenate([recording.array[:, index] for recording in recordings])
            np.testing.assert_array_equal(np.stack(found[name].to_numpy()), wanted)


@pytest.fixture(scope="module")
def bucket(store, s3_server) -> str:
    """Return the address of a copy of the store in a bucket."""
    client = s3_server.client()
    client.create_bucket(Bucket="other-readers")
    for path in sorted(p for p in store.root.rglob("*") if p.is_file()):
        name = path.relative_to(store.root).as_posix()
        client.upload_file(str(path), "other-readers", f"a store/{name}")
    return "s3://other-readers/a store"


def test_duckdb_reads_a_bucket(store, bucket, s3_server, monkeypatch, tmp_path):
    import duckdb

    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3_server.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3_server.secret_key)

    extension = httpfs(duckdb.__version__)
    if extension is None:
        absent(f"no httpfs for DuckDB {duckdb.__version__}: pip install duckdb-extension-httpfs")
    connection = duckdb.connect()
    connection.execute(f"LOAD '{extension}'")
    host = s3_server.endpoint.removeprefix("http://")
    connection.execute(
        f"CREATE SECRET (TYPE s3, KEY_ID '{s3_server.access_key}', SECRET"
        f" '{s3_server.secret_key}', ENDPOINT '{host}', URL_STYLE 'path', USE_SSL false)"
    )
    for layout, place in (
        (store.odd, ("sample_file", "sample_row")),
        (store.plain, ("file", "row")),
    ):
        reached = ("--endpoint", s3_server.endpoint, "--cache", tmp_path)
        text = printed(bucket, DATASET, "--layout", layout, "--excluded", *reached)
        check(store, connection.execute(text).df(), layout, place)
        assert "INSTALL httpfs" in text
        assert s3_server.secret_key not in text and s3_server.access_key not in text


def httpfs(version: str) -> Path | None:
    """Return DuckDB's extension for S3 if a package of this environment brings it."""
    found = importlib.util.find_spec("duckdb_extension_httpfs")
    for folder in [] if found is None else found.submodule_search_locations:
        path = Path(folder) / "extensions" / f"v{version}" / "httpfs.duckdb_extension"
        if path.is_file():
            return path
    return None


def test_polars_reads_a_bucket(store, bucket, s3_server):
    import polars as pl

    options = {
        "aws_access_key_id": s3_server.access_key,
        "aws_secret_access_key": s3_server.secret_key,
        "aws_endpoint_url": s3_server.endpoint,
        "aws_region": "us-east-1",
        "aws_allow_http": "true",
    }
    file = store.manifest["layouts"][store.odd]["files"][0]
    found = pl.scan_parquet(f"{bucket}/{file}", storage_options=options, glob=False)
    found = found.select(ODD[0], ODD[3]).collect()
    recording = store.recording_of(file)
    np.testing.assert_array_equal(found[ODD[0]].to_numpy(), recording.array[:, 0])
    np.testing.assert_array_equal(found[ODD[3]].to_numpy(), recording.array[:, 3])
