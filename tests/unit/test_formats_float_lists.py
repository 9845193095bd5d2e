"""Parquet written page by page, read by PyArrow and compared with PyArrow's own files."""

from __future__ import annotations

import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import entropy

from bidsmill.formats import float_lists
from bidsmill.formats.float_lists import FloatListWriter, varint, zigzag


def schema_of(names, length):
    lists = pa.list_(pa.field("element", pa.float32(), nullable=False), length)
    return pa.schema([pa.field(name, lists, nullable=False) for name in names])


def written(names, length, groups, metadata=None):
    file = io.BytesIO()
    writer = FloatListWriter(file, schema_of(names, length))
    for group in groups:
        writer.write_group([np.ascontiguousarray(column).reshape(-1) for column in group])
    writer.close(metadata or {})
    return file.getvalue()


def by_pyarrow(names, length, groups):
    schema = schema_of(names, length)
    file = io.BytesIO()
    with pq.ParquetWriter(
        file,
        schema,
        compression="zstd",
        compression_level=1,
        use_dictionary=False,
        write_statistics=False,
        use_byte_stream_split=True,
    ) as writer:
        for group in groups:
            arrays = [
                pa.FixedSizeListArray.from_arrays(pa.array(c.reshape(-1)), type=f.type)
                for c, f in zip(group, schema, strict=True)
            ]
            batch = pa.record_batch(arrays, schema=schema)
            writer.write_batch(batch, row_group_size=max(1, len(batch)))
    return file.getvalue()


def described(file: pq.ParquetFile) -> list:
    """Return what a footer says of its columns, but for places and compressed sizes."""
    meta = file.metadata
    found: list = []
    for group in map(meta.row_group, range(meta.num_row_groups)):
        found.append(group.num_rows)
        for column in map(group.column, range(meta.num_columns)):
            found += [column.path_in_schema, column.physical_type, column.num_values]
            found += [column.compression, sorted(column.encodings)]
            found += [column.is_stats_set, column.has_dictionary_page]
    return found


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_the_same_as_pyarrow(data):
    length = data.draw(st.sampled_from([1, 2, 7, 8, 9, 63, 64, 1000]))
    names = [f"c{i}é" for i in range(data.draw(st.sampled_from([1, 2, 14, 15, 16, 40])))]
    rows = data.draw(st.lists(st.integers(1, 40), max_size=3))
    page = data.draw(st.sampled_from([1, 100, 4000, 2**20]))
    chance = np.random.default_rng(data.draw(st.integers(0, 99)))
    # Any bits: NaN with content, infinities, denormals.
    groups = [
        chance.integers(0, 2**32, (len(names), n, length), np.uint32).view(np.float32) for n in rows
    ]
    kept, float_lists.PAGE_BYTES = float_lists.PAGE_BYTES, page
    try:
        content = written(names, length, groups, {"key": "välue"})
    finally:
        float_lists.PAGE_BYTES = kept
    with pq.ParquetFile(io.BytesIO(content)) as found:
        with pq.ParquetFile(io.BytesIO(by_pyarrow(names, length, groups))) as wanted:
            assert found.schema.equals(wanted.schema)
            assert described(found) == described(wanted)
            assert found.schema_arrow.equals(wanted.schema_arrow)
        assert found.metadata.metadata[b"key"] == "välue".encode()
        assert (found.metadata.num_rows, found.metadata.format_version) == (sum(rows), "2.6")
        table = found.read()
    whole = np.concatenate([np.empty((len(names), 0, length), np.float32), *groups], axis=1)
    for column, values in zip(table.columns, whole, strict=True):
        assert column.null_count == 0
        flat = [np.asarray(chunk.flatten()) for chunk in column.chunks]
        flat = np.concatenate([np.empty(0, np.float32), *flat])
        np.testing.assert_array_equal(flat.view(np.uint32), values.reshape(-1).view(np.uint32))


def test_stated_places_and_sizes_cover_the_file():
    groups = [np.random.default_rng(i).standard_normal((3, 50, 100), np.float32) for i in (0, 1)]
    content = written("abc", 100, groups)
    meta = pq.ParquetFile(io.BytesIO(content)).metadata
    place = 4
    for g in range(2):
        total = 0
        for c in range(3):
            column = meta.row_group(g).column(c)
            assert column.data_page_offset == place
            place += column.total_compressed_size
            total += column.total_uncompressed_size
        assert meta.row_group(g).total_byte_size == total
        assert total > groups[g].nbytes
    assert place == len(content) - meta.serialized_size - 8


def test_pages_hold_whole_lists(monkeypatch):
    """Chunks of more than a page can be read in parts, and columns apart."""
    monkeypatch.setattr(float_lists, "PAGE_BYTES", 4 * 100 * 3)
    group = np.arange(2 * 10 * 100, dtype=np.float32).reshape(2, 10, 100)
    file = pq.ParquetFile(io.BytesIO(written("ab", 100, [group])))
    batches = list(file.iter_batches(batch_size=4, columns=["b"]))
    assert [len(batch) for batch in batches] == [4, 4, 2]
    found = np.concatenate([np.asarray(batch.column(0).flatten()) for batch in batches])
    np.testing.assert_array_equal(found, group[1].reshape(-1))


def test_the_same_values_give_the_same_bytes():
    group = np.random.default_rng(0).standard_normal((4, 20, 250), np.float32)
    assert written("abcd", 250, [group]) == written("abcd", 250, [group.copy()])


def level_of(values: np.ndarray) -> list[int]:
    """Return the levels at which zstd makes a page of these values out of its bytes."""
    codecs = {level: pa.Codec("zstd", compression_level=level) for level in (1, -1)}
    page = float_lists._Page(1, len(values), codecs)
    _, content = page.encode(values)
    return [level for level, codec in codecs.items() if codec.compress(page._content) == content]


def test_random_mantissas_are_compressed_fast_and_coarse_ones_well():
    chance = np.random.default_rng(1)
    fine = chance.standard_normal(50_000).astype(np.float32)
    coarse = (chance.integers(-200, 200, 50_000) * 1e-6).astype(np.float32)
    assert level_of(fine) == [-1]
    assert level_of(coarse) == [1]
    assert 1 in level_of(np.zeros(50_000, np.float32))


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 20_000), st.integers(1, 24), st.integers(0, 9))
def test_the_level_is_chosen_by_the_entropy_of_the_mantissas(n_values, bits, seed):
    chance = np.random.default_rng(seed)
    # Up to 24 random bits in the three bytes of the mantissa.
    words = (chance.integers(0, 2**bits, n_values, np.uint32) << (24 - bits)) | 0x3F000000
    streams = words.view(np.uint8).reshape(-1, 4).T
    step = -(-n_values // float_lists.SAMPLED_VALUES)
    shares = [np.unique(row[::step], return_counts=True)[1] for row in streams[:3]]
    needed = sum(entropy(counts, base=2) for counts in shares)
    saving = (24 - needed) / 32
    if abs(saving - float_lists.LEAST_SAVING) > 1e-4:
        chosen = float_lists._is_nearly_random(np.ascontiguousarray(streams))
        assert chosen == (saving < float_lists.LEAST_SAVING)


@pytest.mark.parametrize(
    ("number", "encoded"),
    [(0, b"\0"), (1, b"\x01"), (127, b"\x7f"), (128, b"\x80\x01"), (300, b"\xac\x02")],
)
def test_varint(number, encoded):
    assert varint(number) == encoded


@pytest.mark.parametrize(
    ("number", "encoded"), [(0, 0), (-1, 1), (1, 2), (-2, 3), (2**40, 2**41), (-(2**31), 2**32 - 1)]
)
def test_zigzag(number, encoded):
    assert zigzag(number) == varint(encoded)


def test_a_list_longer_than_a_page_can_be_is_refused():
    with pytest.raises(ValueError, match="2 GiB"):
        FloatListWriter(io.BytesIO(), schema_of(["a"], 2**29))
