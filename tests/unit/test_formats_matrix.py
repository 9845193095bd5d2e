"""The matrix file: what numpy wrote comes back, and the bytes are those of the contract."""

from __future__ import annotations

import hashlib
import io
import json
import math
import zlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bidsmill.errors import BidsmillError
from bidsmill.formats import matrix
from bidsmill.formats.layout import column_names
from bidsmill.formats.matrix import MatrixFile, MatrixWriter, rows_per_group

MIB = 2**20
STRANGE = [
    "Fc5",
    "Fc5.",
    "Fc5.list",
    "list",
    "element",
    "list.element",
    "F",
    'EEG "x"',
    "it's",
    "a/b\\c",
    "µV",
    "two words",
    "bidsmill",
    "signal",
    "*",
    "[0]",
    "naïve—名",
    "\x1b",
]


def random_array(rows: int, channels: int, times: int, seed: int = 0) -> np.ndarray:
    """Return signals with all that float32 can hold in them."""
    rng = np.random.default_rng([rows, channels, times, seed])
    array = (rng.standard_normal((rows, channels, times)) * 1e-5).astype(np.float32)
    odd = np.array([0.0, -0.0, np.nan, np.inf, -np.inf, 1e-45, 3.4e38], np.float32)
    array.flat[: min(len(odd), array.size)] = odd[: array.size]
    return array


def write(path: Path, names: list[str], array: np.ndarray, groups: list[int], **metadata) -> dict:
    """Write an array (rows, channels, times), in row groups of the given sizes."""
    document = {"channels": [{"name": name} for name in names], **metadata}
    with MatrixWriter(path, names, array.shape[2]) as writer:
        start = 0
        for size in groups:
            block = array[start : start + size].transpose(1, 0, 2)
            writer.write_group(block)  # not contiguous: the writer must cope
            start += size
        assert start == len(array)
        return writer.close(document)


def same_bits(one: np.ndarray, other: np.ndarray) -> bool:
    return np.array_equal(one.view(np.uint32), np.ascontiguousarray(other).view(np.uint32))


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("matrix") / "m.parquet"


# Round trips


@settings(deadline=None)
@given(
    names=st.lists(st.text(max_size=4) | st.sampled_from(STRANGE), min_size=1, max_size=6),
    times=st.integers(1, 9),
    groups=st.lists(st.integers(0, 4), max_size=4),
    data=st.data(),
)
def test_what_is_written_comes_back(path, names, times, groups, data):
    names = column_names(names)
    array = random_array(sum(groups), len(names), times)
    stated = write(path, names, array, groups)
    content = path.read_bytes()
    assert stated == {
        "sha256": hashlib.sha256(content).hexdigest(),
        "size": len(content),
        "shape": list(array.shape),
    }
    chosen = data.draw(st.lists(st.sampled_from(names), min_size=1))
    with MatrixFile(path) as file:
        assert file.channels == names
        assert (file.n_rows, file.n_times) == (len(array), times)
        assert file.group_rows == [size for size in groups if size]
        assert same_bits(file.read(), array)
        assert same_bits(file.read(chosen), array[:, [names.index(name) for name in chosen]])


def test_names_that_pyarrow_could_misread(path):
    array = random_array(5, len(STRANGE), 3)
    write(path, STRANGE, array, [2, 3])
    with MatrixFile(path) as file:
        for index, name in enumerate(STRANGE):
            assert same_bits(file.read([name]), array[:, [index]])
        assert same_bits(file.read(STRANGE[::-1]), array[:, ::-1])
        assert same_bits(file.read_group(1, ["Fc5.", "Fc5"]), array[2:, [1, 0]])
    table = pq.read_table(path)
    assert table.column_names == STRANGE


@pytest.mark.parametrize("channels", [1024, 1025, 1500])
def test_many_channels_stand_in_one_column(path, channels):
    array = random_array(5, channels, 4)
    names = [f"E{index}" for index in range(channels)]
    write(path, names, array, [3, 2])
    schema = pq.read_schema(path)
    if channels > 1024:
        assert schema.names == ["signal"]
        assert schema.field("signal").type.list_size == channels * 4
        raw = pq.read_table(path).column("signal").combine_chunks().flatten().to_numpy()
        assert same_bits(raw.reshape(array.shape), array)
    else:
        assert schema.names == names
    with MatrixFile(path) as file:
        assert same_bits(file.read(), array)
        assert same_bits(file.read(["E7", "E0", "E1023"]), array[:, [7, 0, 1023]])
        assert same_bits(file.read_group(1), array[3:])


def test_the_writer_refuses_blocks_of_another_shape_or_type(path):
    with MatrixWriter(path, ["a", "b"], 3) as writer:
        for bad in (
            np.zeros((1, 2, 3), np.float32),
            np.zeros((2, 2, 4), np.float32),
            np.zeros((2, 2, 3)),
            np.zeros((2, 2, 3), ">f4"),
        ):
            with pytest.raises(ValueError):
                writer.write_group(bad)


# The contract, as another reader of Parquet sees it


def test_columns_are_plain_lists_of_float32(path):
    array = random_array(6, 3, 5)
    write(path, ["a", "b", "c"], array, [6])
    table = pq.read_table(path)
    for index, name in enumerate(["a", "b", "c"]):
        kind = table.schema.field(name).type
        assert pa.types.is_fixed_size_list(kind)
        assert (kind.value_type, kind.list_size) == (pa.float32(), 5)
        assert not table.schema.field(name).nullable
        assert not kind.value_field.nullable
        flat = table.column(name).combine_chunks().flatten().to_numpy()
        assert same_bits(flat.reshape(6, 5), array[:, index])


@pytest.mark.parametrize("channels", [3, 1100])
def test_codec_encoding_and_no_statistics(path, channels):
    array = random_array(4, channels, 8)
    write(path, [f"c{i}" for i in range(channels)], array, [2, 2])
    metadata = pq.ParquetFile(path).metadata
    assert metadata.num_row_groups == 2
    for group in range(2):
        for index in range(metadata.num_columns):
            column = metadata.row_group(group).column(index)
            assert column.compression == "ZSTD"
            assert set(column.encodings) <= {"BYTE_STREAM_SPLIT", "RLE"}  # RLE: the list levels
            assert "BYTE_STREAM_SPLIT" in column.encodings
            assert not column.is_stats_set
            assert not column.has_dictionary_page
            assert not column.has_column_index
            assert column.total_uncompressed_size >= 2 * 8 * 4


def test_a_smooth_signal_is_compressed(path):
    array = np.sin(np.linspace(0, 6, 20_000, dtype=np.float32)).reshape(10, 2, 1000)
    stated = write(path, ["a", "b"], array, [10])
    assert stated["size"] < 0.9 * array.nbytes


def test_metadata_is_one_json_document(path):
    array = random_array(2, 2, 3)
    extra = {"sfreq": 128.5, "tmin": -0.2, "recording": "sub-µ_eeg", "processing": [{"step": "x"}]}
    write(path, ["a", "b"], array, [2], **extra)
    stored = pq.read_metadata(path).metadata
    assert set(stored) <= {b"bidsmill", b"ARROW:schema"}
    document = json.loads(stored[b"bidsmill"].decode("utf-8"))
    assert document == {
        "contract": "1",
        "shape": [2, 2, 3],
        "channels": [{"name": "a"}, {"name": "b"}],
        **extra,
    }
    with MatrixFile(path) as file:
        assert file.metadata == document


def test_metadata_with_nan_are_refused_and_the_file_is_closed(path):
    with pytest.raises(ValueError), MatrixWriter(path, ["a"], 2) as writer:
        writer.close({"channels": [{"name": "a"}], "sfreq": math.nan})
    with pytest.raises(BidsmillError, match="not a matrix"):
        MatrixFile(path)


def test_the_same_input_gives_the_same_bytes(tmp_path):
    array = random_array(9, 4, 6)
    names = ["a", "b", "c", "d"]
    stated = [write(tmp_path / f"{i}.parquet", names, array, [4, 5], x=1) for i in range(2)]
    assert (tmp_path / "0.parquet").read_bytes() == (tmp_path / "1.parquet").read_bytes()
    assert stated[0] == stated[1]
    changed = array.copy()
    changed[8, 3, 5] = np.nextafter(changed[8, 3, 5], np.float32(1))
    assert write(tmp_path / "2.parquet", names, changed, [4, 5], x=1) != stated[0]


@given(st.integers(1, 5000), st.integers(1, 3_000_000))
@settings(max_examples=500)
def test_row_groups_have_the_size_of_the_contract(channels, times):
    rows = rows_per_group(channels, times)
    row_bytes = channels * times * 4
    assert rows >= 1
    if rows > 1:
        assert rows * row_bytes <= 128 * MIB
    more_fits = (rows + 1) * row_bytes <= 128 * MIB
    if more_fits:
        assert rows * row_bytes >= 16 * MIB
        assert rows * times * 4 >= 64 * 1024
        fewer = (rows - 1) * row_bytes
        assert rows == 1 or fewer < 16 * MIB or (rows - 1) * times * 4 < 64 * 1024


@pytest.mark.parametrize(
    ("channels", "times", "rows"),
    [
        (64, 1000, 66),  # 256 kB a row: 16.9 MB
        (1, 2_500_000, 2),  # 10 MB a row: one would be less than 16 MB
        (300, 100, 164),  # 64 KB a channel ask for more than 16 MB
        (1, 40_000_000, 1),  # 160 MB a row
    ],
)
def test_row_groups_by_hand(channels, times, rows):
    assert rows_per_group(channels, times) == rows


# What is not a matrix


def parquet_with(path: Path, document: bytes | None) -> Path:
    values = pa.FixedSizeListArray.from_arrays(pa.array([0.0] * 6, pa.float32()), 3)
    table = pa.table({"a": values})
    stored = None if document is None else {"bidsmill": document}
    pq.write_table(table.replace_schema_metadata(stored), path)
    return path


GOOD = {"contract": "1", "shape": [2, 1, 3], "channels": [{"name": "a"}]}


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (None, "not a matrix"),
        (b"", "cannot be read"),
        (b"[]", "cannot be read"),
        (b"3", "cannot be read"),
        (b"{}", "cannot be read"),
        (b"\xff", "cannot be read"),
        ({**GOOD, "contract": "2", "channels": "of another kind"}, "found: 2; expected: 1"),
        ({**GOOD, "contract": 1}, "another contract version"),
        ({"contract": "1"}, "lack channels or shape"),
        ({**GOOD, "shape": [2, 1]}, "lack channels or shape"),
        ({**GOOD, "channels": ["a"]}, "lack channels or shape"),
        ({**GOOD, "channels": None}, "lack channels or shape"),
        ({**GOOD, "shape": [3, 1, 3]}, "found: 2 rows, 1 columns; expected: 3 rows"),
        ({**GOOD, "shape": [2, 2, 3]}, "does not hold"),
        ({**GOOD, "shape": [2, 1, 4]}, "does not hold"),
        ({**GOOD, "channels": [{"name": "b"}]}, "does not hold"),
        ({**GOOD, "channels": [{"name": "a"}, {"name": "b"}]}, "does not hold"),
    ],
)
def test_parquet_that_is_no_matrix_of_this_contract(path, document, message):
    if isinstance(document, dict):
        document = json.dumps(document).encode()
    parquet_with(path, document)
    with pytest.raises(BidsmillError, match=message) as caught:
        MatrixFile(path)
    assert caught.value.file == str(path)


def test_the_smallest_matrix_opens(path):
    parquet_with(path, json.dumps(GOOD).encode())
    with MatrixFile(path) as file:
        assert file.read().shape == (2, 1, 3)


@given(st.data())
@settings(max_examples=30)
def test_a_cut_file_is_never_read(path, data):
    write(path, ["a", "b"], random_array(4, 2, 50), [4])
    content = path.read_bytes()
    path.write_bytes(content[: data.draw(st.integers(0, len(content) - 1))])
    with pytest.raises(BidsmillError, match="cannot be read as Parquet"):
        MatrixFile(path)


def test_a_matrix_that_is_not_there(tmp_path):
    with pytest.raises(BidsmillError, match="missing"):
        MatrixFile(tmp_path / "no.parquet")
    with pytest.raises(BidsmillError, match="cannot be read"):
        MatrixFile(tmp_path)


def test_a_writer_that_is_left_by_an_error_closes_its_file(tmp_path):
    with pytest.raises(RuntimeError), MatrixWriter(tmp_path / "m.parquet", ["a"], 2) as writer:
        writer.write_group(np.zeros((1, 1, 2), np.float32))
        raise RuntimeError
    assert writer._file.closed
    with pytest.raises(BidsmillError, match="not a matrix"):
        MatrixFile(tmp_path / "m.parquet")


def test_the_contract_is_that_of_the_module():
    assert (matrix.CONTRACT, matrix.METADATA_KEY) == ("1", "bidsmill")


@pytest.mark.parametrize("channels", [5, 1100])
def test_a_flipped_bit_of_a_page_is_found_in_whole_and_partial_reads(path, tmp_path, channels):
    names = [f"E{i}" for i in range(channels)]
    array = random_array(6, channels, 40)
    write(path, names, array, [2, 4])
    content, rng = path.read_bytes(), np.random.default_rng(0)
    with MatrixFile(path) as file:
        chunks = [file.chunk_ranges(group) for group in (0, 1)]
    for group, ranges in enumerate(chunks):
        for column, (start, stop) in enumerate(ranges):
            damaged = bytearray(content)
            # The header of a page has less than 64 bytes; what follows is its content.
            damaged[rng.integers(start + 64, stop)] ^= 1 << rng.integers(8)
            (tmp_path / "damaged").write_bytes(damaged)
            with MatrixFile(tmp_path / "damaged") as file:
                for read in (file.read, lambda: file.read_group(group, [names[column]])):  # noqa: B023
                    with pytest.raises(BidsmillError, match="damaged") as error:
                        read()
                    assert error.value.file == str(tmp_path / "damaged")
                assert same_bits(file.read_group(1 - group), array[2:] if group == 0 else array[:2])


def test_checksums_are_the_crc32_of_the_pages_as_they_are_stored(path):
    """By hand from parquet.thrift: field 4 of a page's header, an i32 in zigzag."""
    write(path, ["a"], random_array(3, 1, 50), [3])
    with MatrixFile(path) as file:
        ((start, stop),) = file.chunk_ranges(0)
    chunk = path.read_bytes()[start:stop]
    place, numbers = 0, []
    for _ in range(4):  # type, size, stored size, crc: each is 0x15 (the next field, i32), value
        assert chunk[place] == 0x15
        place += 1
        value = shift = 0
        while True:
            value |= (chunk[place] & 127) << shift
            shift, place = shift + 7, place + 1
            if chunk[place - 1] < 128:
                break
        numbers.append(value >> 1 ^ -(value & 1))
    kind, _, stored, crc = numbers
    assert kind == 0 and crc % 2**32 == zlib.crc32(chunk[-stored:])


def test_files_without_checksums_are_read(path, tmp_path):
    array = random_array(4, 2, 30)
    write(path, ["a", "b"], array, [4])
    document = {"bidsmill": pq.read_metadata(path).metadata[b"bidsmill"]}
    table = pq.read_table(path).replace_schema_metadata(document)
    pq.write_table(table, tmp_path / "old.parquet", write_page_checksum=False)
    with MatrixFile(tmp_path / "old.parquet") as file:
        assert same_bits(file.read(), array)


def test_a_source_of_bytes_other_than_a_path(path):
    array = random_array(4, 3, 30)
    write(path, ["a", "b", "c"], array, [1, 3])
    with MatrixFile("s3://somewhere/m", io.BytesIO(path.read_bytes())) as file:
        assert same_bits(file.read(["c", "a"]), array[:, [2, 0]])
