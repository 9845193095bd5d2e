"""Any range of the table of sources is read, and no more of it than its row groups."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from spike_cases import bytes_read

from bidsmill.simulate.sources.table import Sample, Source, read_sources, write_sources

COUNT = 9000


@pytest.fixture(scope="module")
def table(tmp_path_factory) -> Path:
    regions, weights = np.arange(30, dtype=np.int32), np.random.default_rng(0).random((COUNT, 30))
    samples = (
        Sample(index, (Source(0, index + 1, regions, weights[index]),), float(index % 4))
        for index in range(COUNT)
    )
    path = tmp_path_factory.mktemp("table") / "sources.parquet"
    assert write_sources(path, samples, 11) == COUNT
    assert pq.ParquetFile(path).num_row_groups == 3
    return path


@pytest.mark.parametrize(
    ("start", "stop"),
    [
        *[(0, 5), (4090, 4100), (4096, 4097), (4095, 8193), (8190, None), (8995, 99_999)],
        *[(7, 7), (9, 3), (9000, None), (9500, 9600)],
    ],
)
def test_a_range_is_that_of_a_list(table, start, stop):
    samples, seed = read_sources(table, start, stop)
    expected = list(range(COUNT))[start:stop]
    assert [sample.index for sample in samples] == expected
    assert [sample.sources[0].clip for sample in samples] == [index + 1 for index in expected]
    assert seed == (11 if expected else 0)


def test_other_rows_are_not_read(table):
    read = []
    for stop in (10, COUNT):
        before = bytes_read()
        read_sources(table, 0, stop)
        read.append(bytes_read() - before)
    assert read[0] < 0.6 * read[1]
