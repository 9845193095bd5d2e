"""Pages read in memory are those that PyArrow reads, and pages of others are left to it."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bidsmill.formats.float_list_pages import FloatListPages
from bidsmill.formats.matrix import MatrixFile, MatrixWriter


def written(path, array, group_rows):
    """Write a matrix of rows x channels x times and return the bytes of its file."""
    names = [f"E{i}" for i in range(array.shape[1])]
    with MatrixWriter(path, names, array.shape[2]) as writer:
        for start in range(0, len(array), group_rows):
            block = array[start : start + group_rows].transpose(1, 0, 2)
            writer.write_group(np.ascontiguousarray(block))
        writer.close({"channels": [{"name": name} for name in names]})
    return path.read_bytes()


def read(content):
    """Return what is read, and whether it was read without a general reader."""
    with MatrixFile("named", content=content) as matrix:
        blocks, own = [], []
        for group, rows in enumerate(matrix.group_rows):
            out = np.full((rows, len(matrix.channels), matrix.n_times), 7, np.float32)
            columns = out.reshape(rows, 1, -1) if matrix.wide else out
            pages = FloatListPages(content, columns.shape[2])
            own.append(pages.read_chunks(matrix.chunk_ranges(group), columns))
            again = np.empty_like(out)
            matrix.read_whole_group(group, again)
            if own[-1]:
                np.testing.assert_array_equal(again.view(np.uint32), out.view(np.uint32))
            blocks.append(again)
        return np.concatenate(blocks), own


def assert_same_bits(found, expected):
    np.testing.assert_array_equal(found.view(np.uint32), expected.view(np.uint32))


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_any_bits_come_back(tmp_path_factory, data):
    shape = tuple(data.draw(st.integers(1, limit)) for limit in (9, 5, 40))
    seed = data.draw(st.integers(0, 99))
    bits = np.random.default_rng(seed).integers(0, 2**32, shape, dtype=np.uint32)
    array = bits.view(np.float32)  # NaN with any payload among them
    path = tmp_path_factory.mktemp("pages") / "m.parquet"
    content = written(path, array, data.draw(st.integers(1, 9)))
    found, own = read(content)
    assert all(own)
    assert_same_bits(found, array)


@pytest.mark.parametrize("shape", [(150, 3, 3000), (2, 2, 400_000), (3, 1030, 20), (600, 70, 16)])
def test_several_pages_large_lists_and_one_column_of_all_channels(tmp_path, shape):
    array = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    found, own = read(written(tmp_path / "m.parquet", array, 97))
    assert all(own)
    assert_same_bits(found, array)


@pytest.mark.parametrize(
    "options",
    [
        {"compression": "zstd", "data_page_version": "2.0"},
        {"compression": "none"},
        {"compression": "snappy"},
        {"compression": "zstd", "use_byte_stream_split": False},
        {"compression": "zstd", "data_page_size": 1000},
    ],
)
def test_pages_of_other_writers_are_left_to_pyarrow(tmp_path, options):
    array = np.random.default_rng(1).standard_normal((40, 3, 50)).astype(np.float32)
    written(tmp_path / "own.parquet", array, 20)
    own = pq.ParquetFile(tmp_path / "own.parquet")
    table = own.read().replace_schema_metadata(own.metadata.metadata)
    split = {"use_byte_stream_split": True, **options}
    pq.write_table(table, tmp_path / "other.parquet", use_dictionary=False, **split)
    found, was_read = read((tmp_path / "other.parquet").read_bytes())
    assert not any(was_read)
    assert_same_bits(found, array)


def test_damaged_pages_are_refused(tmp_path):
    array = np.random.default_rng(2).standard_normal((30, 2, 100)).astype(np.float32)
    content = bytearray(written(tmp_path / "m.parquet", array, 30))
    with MatrixFile("named", content=bytes(content)) as matrix:
        ranges = matrix.chunk_ranges(0)
    out = np.empty((30, 2, 100), np.float32)
    assert FloatListPages(bytes(content), 100).read_chunks(ranges, out)
    for place in range(ranges[0][0], ranges[0][0] + 50):
        damaged = bytearray(content)
        damaged[place] ^= 0x15
        pages = FloatListPages(bytes(damaged), 100)
        try:
            right = pages.read_chunks(ranges, out)
        except (pa.ArrowException, ValueError) as error:  # pragma: no cover
            pytest.fail(f"byte {place}: {error!r}")
        assert isinstance(right, bool)
    (start, stop), _ = ranges
    for short in ([(start, stop - 1), ranges[1]], [(start + 1, stop), ranges[1]]):
        assert not FloatListPages(bytes(content), 100).read_chunks(short, out)
    assert not FloatListPages(bytes(content)[: ranges[1][1] - 9], 100).read_chunks(ranges, out)
