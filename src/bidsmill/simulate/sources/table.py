"""The table of sources: one row per sample, with lists of what it needs and no padding."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Any

import numpy as np

from bidsmill.errors import BidsmillError
from bidsmill.formats import files
from bidsmill.formats.certificate import SIDES


@dataclass(frozen=True)
class Source:
    """One source of a sample.

    Attributes
    ----------
    centre, clip : int
        Region id from 0, and the number of the clip of this region.
    regions : ndarray of int32
        The patch, its centre first.
    weights : ndarray of float32
        Magnitude of each region of the patch; 1 at the centre.
    alpha : float
        What the waveform, divided by its maximum, is multiplied with (mV). NaN: to be found so
        that the spike stands `snr` above the background.
    snr : float
        Power of the spike over that of the background at the sensors, in dB, for which alpha is
        chosen; NaN where alpha is given.
    half_distance : float
        Distance in m at which the magnitude is a half; NaN if not known.
    """

    centre: int
    clip: int
    regions: np.ndarray
    weights: np.ndarray
    alpha: float = float("nan")
    snr: float = float("nan")
    half_distance: float = float("nan")


@dataclass(frozen=True)
class Sample:
    """What one sample is made of.

    Attributes
    ----------
    index : int
        Number of the sample in its dataset, from 0.
    sources : tuple of Source
        The sources; waveforms and backgrounds add up.
    snr : float
        Power of the signal over that of the sensor noise, in dB.
    group : str
        Name of what may not stand on two sides of the split; '' if it belongs to several.
    side : str
        ``train``, ``validation``, ``test`` or ``none``.
    """

    index: int
    sources: tuple[Source, ...]
    snr: float
    group: str = ""
    side: str = "none"

    @cached_property
    def regions(self) -> np.ndarray:
        """All regions with a source, in the order in which the patches name them (int32)."""
        every = chain.from_iterable(source.regions.tolist() for source in self.sources)
        return np.array(list(dict.fromkeys(every)), np.int32)

    @property
    def overlap(self) -> int:
        """How many regions belong to more than one patch."""
        if sum(len(source.regions) for source in self.sources) == len(self.regions):
            return 0
        every = chain.from_iterable(source.regions.tolist() for source in self.sources)
        return sum(count > 1 for count in Counter(every).values())


def _schema() -> Any:
    import pyarrow as pa

    per_source = {
        "centres": pa.int32(),
        "clips": pa.int32(),
        "regions": pa.list_(pa.int32()),
        "weights": pa.list_(pa.float32()),
        "alphas": pa.float64(),
        "source_snr": pa.float64(),
        "half_distance": pa.float64(),
    }
    return pa.schema(
        [
            pa.field("sample", pa.int64()),
            *(pa.field(name, pa.list_(kind)) for name, kind in per_source.items()),
            pa.field("snr", pa.float64()),
            pa.field("seed", pa.int64()),
            pa.field("extent", pa.int32()),
            pa.field("overlap", pa.int32()),
            pa.field("group", pa.string()),
            pa.field("side", pa.string()),
        ]
    )


def write_sources(path: str | os.PathLike, samples: Iterable[Sample], seed: int) -> int:
    """Write the table of sources to Parquet, atomically.

    Parameters
    ----------
    path : path-like
        Where it goes.
    samples : iterable of Sample
        Sorted by index; memory holds some thousands of them.
    seed : int
        Of the simulation: with the index it gives the random numbers of a sample.

    Returns
    -------
    int
        How many samples were written.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema, count = _schema(), 0
    with (
        files.atomic_path(path) as temporary,
        pq.ParquetWriter(temporary, schema, compression="zstd") as writer,
    ):
        for part in _parts(samples, 4096):
            rows = [_row(sample, seed) for sample in part]
            writer.write_table(pa.Table.from_pylist(rows, schema=schema))
            count += len(rows)
    return count


def _parts(samples: Iterable[Sample], size: int) -> Iterable[list[Sample]]:
    part: list[Sample] = []
    for sample in samples:
        part.append(sample)
        if len(part) == size:
            yield part
            part = []
    if part:
        yield part


def _row(sample: Sample, seed: int) -> dict[str, Any]:
    sources = sample.sources
    return {
        "sample": sample.index,
        "centres": [source.centre for source in sources],
        "clips": [source.clip for source in sources],
        "regions": [source.regions.tolist() for source in sources],
        "weights": [source.weights.tolist() for source in sources],
        "alphas": [float(source.alpha) for source in sources],
        "source_snr": [float(source.snr) for source in sources],
        "half_distance": [float(source.half_distance) for source in sources],
        "snr": float(sample.snr),
        "seed": seed,
        "extent": len(sample.regions),
        "overlap": sample.overlap,
        "group": sample.group,
        "side": sample.side,
    }


def read_sources(
    path: str | os.PathLike, start: int = 0, stop: int | None = None
) -> tuple[list[Sample], int]:
    """Read rows of the table of sources.

    Parameters
    ----------
    path : path-like
        The table.
    start, stop : int
        Rows from `start` to before `stop`; all that follow if `stop` is absent.

    Returns
    -------
    samples : list of Sample
        In the order of the table.
    seed : int
        Of the simulation.

    Raises
    ------
    BidsmillError
        If the table is absent, is no Parquet, or lacks columns.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            absent = [name for name in _schema().names if name not in file.schema_arrow.names]
            if absent:
                raise BidsmillError(
                    "a table of sources lacks columns", file=path, found=", ".join(absent)
                )
            table = _rows(file, start, stop)
    except FileNotFoundError:
        raise BidsmillError("the table of sources is missing", file=path) from None
    except (pa.ArrowInvalid, OSError) as error:
        raise BidsmillError(
            "a table of sources cannot be read as Parquet", file=path, found=error
        ) from None
    rows = table.to_pylist()
    return [_sample(row, path) for row in rows], int(rows[0]["seed"]) if rows else 0


def _rows(file: Any, start: int, stop: int | None) -> Any:
    """Return rows of an open table; only the row groups that have them are read."""
    described = file.metadata
    sizes = [described.row_group(group).num_rows for group in range(described.num_row_groups)]
    firsts = [sum(sizes[:group]) for group in range(len(sizes))]
    end = described.num_rows if stop is None else max(start, stop)
    groups = [
        group
        for group, (first, size) in enumerate(zip(firsts, sizes, strict=True))
        if first < end and start < first + size
    ]
    if not groups:
        return file.schema_arrow.empty_table()
    return file.read_row_groups(groups).slice(start - firsts[groups[0]], end - start)


def _sample(row: dict[str, Any], path: Any) -> Sample:
    if row["side"] not in SIDES:
        raise BidsmillError(
            "a table of sources names an unknown side", file=path, found=row["side"]
        )
    names = ("centres", "clips", "regions", "weights", "alphas", "source_snr", "half_distance")
    sources = tuple(
        Source(
            centre,
            clip,
            np.asarray(regions, np.int32),
            np.asarray(weights, np.float32),
            alpha,
            snr,
            half_distance,
        )
        for centre, clip, regions, weights, alpha, snr, half_distance in zip(
            *(row[name] for name in names), strict=True
        )
    )
    return Sample(row["sample"], sources, row["snr"], row["group"], row["side"])
