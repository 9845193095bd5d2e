"""What can be exported: datasets of bidsmill, and those that others described."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from bidsmill.errors import BidsmillError
from bidsmill.formats import receipts, tables
from bidsmill.formats.matrix import MatrixFile
from bidsmill.formats.sparse_sources import SparseSourceFile
from bidsmill.simulate.sources.described import Described
from bidsmill.simulate.spikes.making import SpikeMaker
from bidsmill.simulate.spikes.projection import SourceProblem

LABELS = ("sample", "row", "n_sources", "regions", "extents", "overlap", "snr", "snr_realised")


@dataclass(frozen=True)
class LabelledSample:
    """A sample as consumers want it.

    Attributes
    ----------
    index : int
        Its number in the dataset, from 0.
    values : ndarray of float32, shape (n_sensors, n_times)
        Sensors, within -1 and 1.
    regions : ndarray of int32
        All regions that belong to a source.
    source : ndarray of float32, shape (len(regions), n_times)
        Their activity, within -1 and 1.
    patches : tuple of ndarray of int
        Regions of each source, its centre first.
    snr, snr_realised : float
        Wanted, and of the noise that was drawn, in dB.
    scales : tuple of float
        What the values of each type of sensors were divided by.
    source_scale : float
        What the activity was divided by, in mV.
    """

    index: int
    values: np.ndarray
    regions: np.ndarray
    source: np.ndarray
    patches: tuple[np.ndarray, ...]
    snr: float
    snr_realised: float
    scales: tuple[float, ...]
    source_scale: float


class Labelled(Protocol):
    """What can be exported.

    Attributes
    ----------
    total : int
        Samples of the whole dataset.
    n_sensors, n_regions, most_sources : int
        Sizes; sources of the sample that has most.
    sfreq : float
        In Hz.
    types : tuple of str
        Types of sensors in the order of the scales.
    facts : dict
        What every sample depends on.
    """

    total: int
    n_sensors: int
    n_regions: int
    most_sources: int
    sfreq: float
    types: tuple[str, ...]
    facts: dict[str, Any]

    def sample(self, index: int) -> LabelledSample:
        """Return a sample; raises `BidsmillError` if it cannot be made."""


class DescribedSamples:
    """Samples of a described dataset, made one by one.

    Parameters
    ----------
    described : Described
        What the file describes: at least the samples that are asked for.
    maker : SpikeMaker
        Makes each of them.
    facts : dict
        What they depend on besides the maker: the checksum of the file, how it was understood.
    """

    def __init__(self, described: Described, maker: SpikeMaker, facts: dict[str, Any]):
        self.total, self.most_sources = described.count, described.most_sources
        self.n_sensors, self.n_regions = maker.forward.matrix.shape
        self.sfreq = maker.sfreq
        self.types = tuple(maker.forward.rows_of)
        self.facts = {**facts, "maker": maker.facts}
        self._maker = maker
        self._samples = {sample.index: sample for sample in described.samples}
        self._problems = {problem["sample"]: problem for problem in described.problems}

    def sample(self, index: int) -> LabelledSample:
        """Return a sample; see `Labelled`."""
        if index in self._problems:
            problem = self._problems[index]
            raise SourceProblem(problem["reason"], problem["message"])
        spike = self._maker.make(self._samples[index])
        return LabelledSample(
            index,
            spike.values,
            spike.sample.regions,
            spike.source,
            tuple(source.regions for source in spike.sample.sources),
            spike.sample.snr,
            float(np.mean(list(spike.realised.values()))),
            tuple(spike.scales.values()),
            spike.source_scale,
        )


class SimulatedSamples:
    """Samples of a dataset that bidsmill simulated, read from its results.

    Memory holds one row group.

    Parameters
    ----------
    results : path-like
        ``results/{dataset}``, with ``matrix``, ``sources`` and ``labels``.
    table : path-like, optional
        The table of sources, which alone tells apart patches that overlap;
        ``results/{dataset}/sources.parquet`` if that is there.

    Raises
    ------
    BidsmillError
        If there are no simulated samples, or a file is missing.
    """

    def __init__(self, results: str | os.PathLike, table: str | os.PathLike | None = None):
        self._results = Path(results)
        names = [p.stem for p in sorted((self._results / "matrix").glob("*.parquet"))]
        if not names or not (self._results / "sources").is_dir():
            raise BidsmillError(
                "there are no simulated samples in this folder",
                file=self._results,
                expected="matrix/, sources/ and labels/ of a simulated dataset",
                todo="name results/{dataset}, or the .mat file of a described dataset",
            )
        self._places: dict[int, tuple[str, dict[str, Any]]] = {}
        self._failed: dict[int, dict[str, Any]] = {}
        fingerprints = []
        self._open: tuple[str, MatrixFile, SparseSourceFile] | None = None
        self._matrix_of(names[0])
        for name in names:
            fingerprints.append(self._index(name))
        self._note_left_out()
        every = [*self._places, *self._failed]
        self.total = max(every) + 1
        self.most_sources = max(int(facts["n_sources"]) for _, facts in self._places.values())
        self.facts = {"files": fingerprints}
        default = self._results / "sources.parquet"
        self._table = Path(table) if table is not None else default
        self._patches: dict[int, list[np.ndarray]] | None = None

    def _index(self, name: str) -> str:
        """Note where the samples of a file are; return what the file was made of."""
        wanted = [*LABELS, *(f"scale_{kind}" for kind in self.types), "scale_source"]
        labels = tables.read_parquet(self._results / "labels" / f"{name}.parquet", wanted)
        for facts in labels.to_dict("records"):
            self._places[int(facts["sample"])] = name, facts
        receipt = receipts.read_receipt(self._results / "matrix" / f"{name}.json")
        if receipt is None:
            raise BidsmillError(
                "a file of simulated spikes is not finished",
                file=self._results / "matrix" / f"{name}.json",
                todo="run snakemake again; it makes the file",
            )
        for failure in receipt.get("failed", []):
            self._failed[int(failure["sample"])] = failure
        return str(receipt["fingerprint"])

    def _note_left_out(self) -> None:
        """Note samples that stand in no file: they could not be drawn as they were described."""
        path = self._results / "failed.tsv"
        listed = tables.read_tsv(path).to_dict("records") if path.is_file() else []
        for failure in listed:
            if failure.get("sample"):
                self._failed.setdefault(int(failure["sample"]), failure)

    def _matrix_of(self, name: str) -> tuple[MatrixFile, SparseSourceFile]:
        """Open a file; the one opened last is kept open."""
        if self._open is None or self._open[0] != name:
            self.close()
            matrix = MatrixFile(self._results / "matrix" / f"{name}.parquet")
            sources = SparseSourceFile(self._results / "sources" / f"{name}.parquet")
            self._open = name, matrix, sources
            self._group: tuple[int, np.ndarray] | None = None
            self._firsts = np.concatenate([[0], np.cumsum(matrix.group_rows)])
            kinds = [channel["type"] for channel in matrix.metadata["channels"]]
            self.types = tuple(dict.fromkeys(kinds))
            self.n_sensors, self.n_regions = len(kinds), sources.n_regions
            self.sfreq = float(matrix.metadata["sfreq"])
        return self._open[1:]

    def sample(self, index: int) -> LabelledSample:
        """Return a sample; see `Labelled`."""
        if index not in self._places:
            failure = self._failed.get(index)
            raise SourceProblem(
                failure["reason"] if failure else "not_there",
                failure["message"] if failure else f"the dataset has no sample {index}",
            )
        name, facts = self._places[index]
        matrix, sources = self._matrix_of(name)
        row = int(facts["row"])
        group = int(np.searchsorted(self._firsts, row, side="right")) - 1
        if self._group is None or self._group[0] != group:
            self._group = group, matrix.read_group(group)
        regions, source = sources.sparse(row)
        return LabelledSample(
            index,
            self._group[1][row - self._firsts[group]],
            regions,
            source,
            self._patches_of(index, facts),
            float(facts["snr"]),
            float(facts["snr_realised"]),
            tuple(float(facts[f"scale_{kind}"]) for kind in self.types),
            float(facts["scale_source"]),
        )

    def _patches_of(self, index: int, facts: dict[str, Any]) -> tuple[np.ndarray, ...]:
        regions = np.array(facts["regions"].split(), np.int64)
        if not facts["overlap"]:
            ends = np.cumsum([int(extent) for extent in facts["extents"].split()])
            return tuple(np.split(regions, ends[:-1]))
        if self._patches is None:
            self._patches = self._read_table()
        if index not in self._patches:
            raise SourceProblem(
                "unknown_patches",
                f"the patches of sample {index} overlap: only the table of sources tells them"
                " apart",
                file=self._table,
                todo="name the table (--source_table)",
            )
        return tuple(self._patches[index])

    def _read_table(self) -> dict[int, list[np.ndarray]]:
        """Return the patches of the samples where they overlap."""
        import pyarrow.parquet as pq

        if not self._table.is_file():
            return {}
        found = pq.read_table(
            self._table, columns=["sample", "regions"], filters=[("overlap", ">", 0)]
        )
        return {
            row["sample"]: [np.array(patch, np.int64) for patch in row["regions"]]
            for row in found.to_pylist()
        }

    def close(self) -> None:
        """Close the file that is open."""
        if self._open is not None:
            for file in self._open[1:]:
                file.close()
            self._open = None
