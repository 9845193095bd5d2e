"""Matrix files of simulated spikes: one job makes the 2,048 samples of one file.

What a file holds depends on its number and on the table of sources alone, not on how many files
a run makes or on how many cores. Beside each matrix lie the sources of its samples and their
labels; `bidsmill.simulate.dataset.tables` makes the tables of the dataset from these.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from bidsmill.errors import BidsmillError
from bidsmill.formats import files, receipts, tables
from bidsmill.formats.layout import column_names, layout_of
from bidsmill.formats.matrix import MatrixWriter, rows_per_group
from bidsmill.formats.sparse_sources import SparseSourceWriter
from bidsmill.simulate.clips.bank import MissingClip
from bidsmill.simulate.sources.table import Sample
from bidsmill.simulate.spikes.making import Spike, SpikeMaker, labels_of

SAMPLES_PER_FILE = 2048
TASK = "spikes"
# The values of a file are divided by their largest magnitude.
UNIT = "1"


def recording_name(number: int, datatype: str = "eeg") -> str:
    """Return the name of a matrix file, counted from 0, as a BIDS stem.

    Parameters
    ----------
    number : int
        Of the file.
    datatype : str
        ``eeg``, or ``meg`` for a lead field with such sensors.
    """
    return f"sub-simulated_task-{TASK}_run-{number + 1:05d}_{datatype}"


def file_range(number: int, total: int) -> tuple[int, int]:
    """Return the first sample of a file and the one behind its last."""
    return number * SAMPLES_PER_FILE, min((number + 1) * SAMPLES_PER_FILE, total)


@dataclass(frozen=True)
class Channels:
    """The columns of a matrix.

    Attributes
    ----------
    names, types : tuple of str
        As the lead field has them.
    positions : ndarray, shape (n_sensors, 3), or None
        In m, head coordinates; NaN where not known.
    """

    names: tuple[str, ...]
    types: tuple[str, ...]
    positions: np.ndarray | None = None

    def described(self) -> list[dict[str, Any]]:
        """Return the channels as the document of a matrix has them."""
        columns = column_names(self.names)
        return [
            {
                "name": column,
                "source_name": name,
                "type": kind,
                "unit": UNIT,
                "status": "good",
                "position": self._position(place),
            }
            for place, (column, name, kind) in enumerate(
                zip(columns, self.names, self.types, strict=True)
            )
        ]

    def _position(self, place: int) -> list[float] | None:
        if self.positions is None or not np.isfinite(self.positions[place]).all():
            return None
        return [float(value) for value in self.positions[place]]


@dataclass
class _Written:
    """What became of the samples of a file."""

    labels: list[dict[str, Any]]
    failed: list[dict[str, Any]]


def write_file(
    results: Path,
    recording: str,
    samples: Sequence[Sample],
    maker: SpikeMaker,
    channels: Channels,
    n_regions: int,
    *,
    inputs: dict[str, Any] | None = None,
    processing: list[dict[str, Any]] | None = None,
) -> dict[str, Any]:
    """Make the samples of one matrix file; memory holds one row group.

    Writes ``matrix/{recording}.parquet`` and ``.json`` (its receipt, last),
    ``sources/{recording}.parquet`` and ``labels/{recording}.parquet``. Nothing is done where the
    receipt says that they are there and were made of the same.

    Parameters
    ----------
    results : pathlib.Path
        ``results/{dataset}``.
    recording : str
        Its name.
    samples : sequence of Sample
        Rows of the table of sources.
    maker : SpikeMaker
        Makes each of them.
    channels : Channels
        The columns.
    n_regions : int
        Regions of the cortex.
    inputs : dict, optional
        What the samples depend on besides the maker's settings, lead field and noise: the
        checksum of the clips, and the hash of the code.
    processing : list of dict, optional
        Steps for the matrix's metadata.

    Returns
    -------
    dict
        The receipt without its fingerprint: ``status``, ``shape``, ``layout``, ``sfreq``,
        ``tmin``, ``files``, ``failed`` (list of ``sample``, ``reason``, ``message``), ``detail``.

    Raises
    ------
    BidsmillError
        If no sample can be made.
    """
    fingerprint = _fingerprint(recording, samples, channels, {**maker.facts, **(inputs or {})})
    receipt_path = results / "matrix" / f"{recording}.json"
    current = receipts.current_receipt(receipt_path, fingerprint)
    if current is not None:
        return receipts.manifest_entry(current)
    paths = _paths(results, recording)
    with one_thread(), files.atomic_path(paths["sources"]) as sources_part:
        with files.atomic_path(paths["matrix"]) as matrix_part:
            written, content = _write(
                (matrix_part, sources_part),
                recording,
                samples,
                maker,
                channels,
                n_regions,
                processing,
            )
        tables.write_parquet(paths["labels"], _frame(written.labels))
    content["files"] = {
        f"{recording}.parquet": content.pop("matrix"),
        f"../sources/{recording}.parquet": content.pop("sources"),
        f"../labels/{recording}.parquet": _stated(paths["labels"]),
    }
    content["failed"] = written.failed
    content["detail"] = {"channels": [{**c, "kept": True} for c in channels.described()]}
    receipts.write_receipt(receipt_path, fingerprint, content)
    return receipts.manifest_entry({"fingerprint": fingerprint, **content})


def _paths(results: Path, recording: str) -> dict[str, Path]:
    folders = ("matrix", "sources", "labels")
    paths = {folder: results / folder / f"{recording}.parquet" for folder in folders}
    for path in paths.values():
        files.remove_parts(path)
    return paths


def _fingerprint(
    recording: str, samples: Sequence[Sample], channels: Channels, inputs: dict[str, Any]
) -> str:
    digest = hashlib.sha256()
    for sample in samples:
        facts = (sample.index, sample.snr, sample.group, sample.side)
        digest.update(repr(facts).encode())
        for source in sample.sources:
            digest.update(repr((source.centre, source.clip, source.alpha, source.snr)).encode())
            digest.update(source.regions.tobytes() + source.weights.tobytes())
    return files.canonical_sha256([recording, digest.hexdigest(), channels.described(), inputs])


def _write(
    parts: tuple[Path, Path],
    recording: str,
    samples: Sequence[Sample],
    maker: SpikeMaker,
    channels: Channels,
    n_regions: int,
    processing: list[dict[str, Any]] | None,
) -> tuple[_Written, dict[str, Any]]:
    described = channels.described()
    names = [channel["name"] for channel in described]
    written = _Written([], [])
    made = _made(samples, maker, written)
    first = next(made, None)
    if first is None:
        raise BidsmillError(
            f"no sample of {recording} can be made",
            found="; ".join(sorted({failure["message"] for failure in written.failed})[:3]),
        )
    n_times = first.values.shape[1]
    per_group = rows_per_group(len(names), n_times)
    space = np.empty((len(names), per_group, n_times), np.float32)
    with (
        MatrixWriter(parts[0], names, n_times) as matrix,
        SparseSourceWriter(parts[1], n_times, n_regions) as sources,
    ):
        group: list[tuple[np.ndarray, np.ndarray, float]] = []
        for spike in chain([first], made):
            if len(group) == per_group:
                _write_group(matrix, sources, space, group)
                group = []
            # At once, while the values are in the processor's cache.
            space[:, len(group)] = spike.values
            group.append((spike.sample.regions, spike.source, spike.source_scale))
            labels = labels_of(spike, maker.sfreq)
            written.labels.append({"row": len(written.labels), **labels})
        _write_group(matrix, sources, space, group)
        metadata = _metadata(recording, described, maker, n_times, processing)
        content = {
            "status": "converted",
            "reason": "",
            "message": "",
            "layout": metadata["layout"],
            "sfreq": maker.sfreq,
            "tmin": 0.0,
            "matrix": matrix.close(metadata),
            "sources": sources.close({"recording": recording, "sfreq": maker.sfreq}),
        }
    content["shape"] = content["matrix"].pop("shape")
    content["sources"].pop("shape")
    return written, content


def _made(samples: Iterable[Sample], maker: SpikeMaker, written: _Written) -> Iterator[Spike]:
    """Yield what can be made; what cannot is listed with its reason."""
    for sample in samples:
        try:
            yield maker.make(sample)
        except BidsmillError as error:
            reason = "missing_clip" if isinstance(error, MissingClip) else ""
            reason = reason or getattr(error, "code", "failed")
            written.failed.append(
                {"sample": sample.index, "reason": reason, "message": error.message()}
            )


def _write_group(
    matrix: MatrixWriter,
    sources: SparseSourceWriter,
    space: np.ndarray,
    group: list[tuple[np.ndarray, np.ndarray, float]],
) -> None:
    matrix.write_group(space[:, : len(group)])
    regions, values, scales = zip(*group, strict=True)
    sources.write_group(regions, np.concatenate(values), scales)


def _metadata(
    recording: str,
    described: list[dict[str, Any]],
    maker: SpikeMaker,
    n_times: int,
    processing: list[dict[str, Any]] | None,
) -> dict[str, Any]:
    steps = [
        *(processing or []),
        {"step": "project", "window": "alpha: 0.1 s around the peak"},
        {"step": "centre", "over": "time"},
    ]
    if "eeg" in maker.forward.types:
        steps.append({"step": "reference", "kind": "average", "type": "eeg"})
    steps += [
        {"step": "noise", "seed": maker.seed, **vars(maker.noise.settings)},
        {"step": "divide", "by": "the largest magnitude of each type (scale_* of samples)"},
        {"step": "cast", "dtype": "float32"},
    ]
    return {
        "recording": recording,
        "channels": described,
        "sfreq": maker.sfreq,
        "tmin": 0.0,
        "n_times": n_times,
        "layout": layout_of(described, maker.sfreq, n_times),
        "source": None,
        "processing": steps,
        "repairs": [],
        "line_frequency": None,
    }


def _frame(labels: list[dict[str, Any]]) -> Any:
    import pandas as pd

    return pd.DataFrame(labels)


def _stated(path: Path) -> dict[str, Any]:
    return {"size": path.stat().st_size, "sha256": files.sha256_file(path)}


@contextmanager
def one_thread() -> Iterator[None]:
    """Let BLAS work in one thread: how it shares out a product must not move a bit of it."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        yield
