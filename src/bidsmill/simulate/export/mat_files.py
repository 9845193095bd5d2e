"""Samples as the `.mat` files that source-imaging networks read, one for each.

``sample_00000.mat`` has the variables of DeepSIF's extraction (github.com/bfinl/DeepSIF):

- ``eeg_data``, float32 (times, sensors): within -1 and 1, the largest magnitude of each type of
  sensors is 1; the mean over time is zero, and that over EEG sensors;
- ``source_data``, float32 (times, regions): within -1 and 1; zero outside of the patches;
- ``labels``, int64 (sources, places): region ids from 0, the centre first, then padding;
- ``snr`` and ``index``, (1, 1): wanted power of the signal over that of the noise in dB; number
  of the sample in its dataset, from 0.

``extraction_metadata.mat`` speaks of all samples of the folder, and ``failed.tsv`` of those that
could not be made. Batches of one dataset in one folder add up to what a single run writes.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bidsmill.errors import BidsmillError
from bidsmill.formats import files, tables
from bidsmill.simulate.clips.bank import MissingClip
from bidsmill.simulate.dataset.files import one_thread
from bidsmill.simulate.export.inputs import Labelled, LabelledSample
from bidsmill.simulate.export.label_rows import MAX_SIZE, PADDING, label_rows

METADATA, FAILED = "extraction_metadata.mat", "failed.tsv"
FAILED_COLUMNS = ("sample", "reason", "message")
# MAT-File Format (MathWorks), "Level 5 MAT-File Header": 116 bytes of text, which SciPy fills
# with the time.
HEADER = b"MATLAB 5.0 MAT-file, written by bidsmill".ljust(116)


@dataclass(frozen=True)
class ExportSettings:
    """How samples are written.

    Attributes
    ----------
    padding : int
        Fills the labels: no region id.
    max_size : int
        Places of the labels: regions of the largest patch.
    compress : bool
        Pack the variables: a tenth of the size, in several times the time.
    """

    padding: int = PADDING
    max_size: int = MAX_SIZE
    compress: bool = False


@dataclass(frozen=True)
class Extraction:
    """What became of the samples that were asked for.

    Attributes
    ----------
    extracted : int
        How many were written.
    failed : list of dict
        ``sample``, ``reason``, ``message`` of each of the others.
    """

    extracted: int
    failed: list[dict[str, Any]]


def select(total: int, start: int, length: int | None) -> range:
    """Return the samples from `start` on: `length` of them, or as many as there are.

    Raises
    ------
    BidsmillError
        If these are none.
    """
    chosen = range(start, total if length is None else min(start + length, total))
    if start < 0 or not chosen:
        asked = "all that follow" if length is None else f"{length}"
        raise BidsmillError(
            "no sample is selected",
            found=f"start_idx {start}, dataset_len {asked}",
            expected=f"a start_idx from 0 to {total - 1}, and a dataset_len of 1 or more: the"
            f" dataset has {total} samples",
        )
    return chosen


def export_samples(
    labelled: Labelled,
    folder: str | os.PathLike,
    chosen: range,
    settings: ExportSettings | None = None,
    *,
    names: tuple[str, str] = ("", ""),
    progress: Callable[[], None] = lambda: None,
) -> Extraction:
    """Write samples; memory holds one of them.

    Parameters
    ----------
    labelled : Labelled
        The dataset.
    folder : path-like
        Where the files go. It may hold other samples of the same dataset.
    chosen : range
        Numbers of the samples; see `select`.
    settings : ExportSettings, optional
        How they are written.
    names : (str, str)
        Of the dataset and of the forward model, for the metadata.
    progress : callable
        Called after each sample.

    Returns
    -------
    Extraction
        A sample that cannot be made is listed; the others go on.

    Raises
    ------
    BidsmillError
        If the folder holds samples that were made otherwise, or the padding is a region id.
    """
    settings = settings or ExportSettings()
    if 0 <= settings.padding < labelled.n_regions:
        raise BidsmillError(
            "the padding of the labels is the id of a region",
            found=settings.padding,
            expected=f"a negative number, or one from {labelled.n_regions} on",
        )
    record = _Record(Path(folder), labelled, settings, names)
    record.begin()
    failed = []
    try:
        with one_thread():
            for index in chosen:
                target = record.folder / sample_name(index)
                try:
                    sample = labelled.sample(index)
                    content = sample_bytes(sample, labelled, settings)
                except BidsmillError as error:
                    target.unlink(missing_ok=True)
                    failed.append(_failure(index, error))
                    record.note_failed(failed[-1])
                else:
                    files.write_bytes(target, content)
                    record.note(sample)
                progress()
    finally:
        # After an interruption, too: it speaks of what is there.
        record.write()
    return Extraction(len(chosen) - len(failed), failed)


def sample_name(index: int) -> str:
    """Return the name of a sample's file."""
    return f"sample_{index:05d}.mat"


def _failure(index: int, error: BidsmillError) -> dict[str, Any]:
    reason = "missing_clip" if isinstance(error, MissingClip) else getattr(error, "code", "failed")
    return {"sample": index, "reason": reason, "message": error.message()}


def sample_bytes(sample: LabelledSample, labelled: Labelled, settings: ExportSettings) -> bytes:
    """Return the content of a sample's file.

    Raises
    ------
    SourceProblem
        If a patch has more regions than the labels have places.
    """
    whole = np.zeros((labelled.n_regions, sample.source.shape[1]), np.float32)
    whole[sample.regions] = sample.source
    labels = label_rows(sample.patches, labelled.most_sources, settings.max_size, settings.padding)
    variables = {
        "eeg_data": sample.values.T,
        "source_data": whole.T,
        "labels": labels,
        "snr": np.full((1, 1), sample.snr, np.float64),
        "index": np.full((1, 1), sample.index, np.int64),
    }
    return mat_bytes(variables, settings.compress)


def mat_bytes(variables: dict[str, Any], compress: bool = False) -> bytes:
    """Return variables as a MAT-file of version 5, which depends on them alone.

    Parameters
    ----------
    variables : dict
        Arrays and texts by name.
    compress : bool
        Pack them.
    """
    from scipy.io import savemat

    content = io.BytesIO()
    savemat(content, variables, do_compression=compress)
    content.seek(0)
    content.write(HEADER)
    return content.getvalue()


class _Record:
    """The metadata of a folder: of the samples that are there, and of those that failed."""

    def __init__(
        self, folder: Path, labelled: Labelled, settings: ExportSettings, names: tuple[str, str]
    ):
        self.folder, self._labelled, self._settings, self._names = (
            folder,
            labelled,
            settings,
            names,
        )
        size = (labelled.n_sensors, labelled.n_regions, labelled.most_sources)
        self._made_of = files.canonical_sha256([labelled.facts, asdict(settings), size])
        # Sample -> realised SNR, scale of the sources, scales of the sensors.
        self._extracted: dict[int, tuple[float, ...]] = {}
        self._failed: dict[int, dict[str, Any]] = {}

    def begin(self) -> None:
        """Read what the folder holds, and claim it for this dataset."""
        path = self.folder / METADATA
        if path.is_file():
            self._read(path)
        elif next(self.folder.glob("sample_*.mat"), None) is not None:
            raise self._foreign("samples without the metadata of their extraction")
        self.write()

    def _read(self, path: Path) -> None:
        from bidsmill.simulate.variables.matrix_files import read_variables

        known = read_variables(path)
        if known.get("made_of") != self._made_of:
            raise self._foreign("samples of another dataset, or made with other settings")
        columns = [("snr_realised", 1), ("source_scale", 1)]
        columns.append(("sensor_scales", len(self._labelled.types)))
        facts = np.hstack([np.reshape(known[name], (-1, count)) for name, count in columns])
        for index, row in zip(np.ravel(known["indices"]), facts, strict=True):
            if (self.folder / sample_name(int(index))).is_file():
                self._extracted[int(index)] = tuple(float(value) for value in row)
        if (self.folder / FAILED).is_file():
            for failure in tables.read_tsv(self.folder / FAILED).to_dict("records"):
                self._failed[int(failure["sample"])] = {**failure, "sample": int(failure["sample"])}

    def _foreign(self, found: str) -> BidsmillError:
        return BidsmillError(
            "the output folder is not empty, and what it holds does not belong to this extraction",
            file=self.folder,
            found=found,
            todo="name another folder (--output_dir), or remove this one",
        )

    def note(self, sample: LabelledSample) -> None:
        """Note a sample that was written."""
        self._failed.pop(sample.index, None)
        self._extracted[sample.index] = (sample.snr_realised, sample.source_scale, *sample.scales)

    def note_failed(self, failure: dict[str, Any]) -> None:
        """Note a sample that could not be made."""
        self._extracted.pop(failure["sample"], None)
        self._failed[failure["sample"]] = failure

    def write(self) -> None:
        """Write the metadata and the table of failures."""
        import pandas as pd

        indices, labelled = sorted(self._extracted), self._labelled
        facts = np.array([self._extracted[index] for index in indices], np.float64)
        facts = facts.reshape(len(indices), 2 + len(labelled.types))
        variables = {
            "total_extracted": len(indices),
            "failed": len(self._failed),
            "start_index": min([*indices, *self._failed], default=0),
            "dataset_path": self._names[0],
            "forward_model_path": self._names[1],
            "forward_matrix_shape": np.array([[labelled.n_sensors, labelled.n_regions]]),
            "use_spikes": True,
            "sfreq": labelled.sfreq,
            "padding": self._settings.padding,
            "indices": np.array(indices, np.int64).reshape(-1, 1),
            "failed_indices": np.array(sorted(self._failed), np.int64).reshape(-1, 1),
            "snr_realised": facts[:, :1],
            "source_scale": facts[:, 1:2],
            "sensor_scales": facts[:, 2:],
            "sensor_types": " ".join(labelled.types),
            "made_of": self._made_of,
        }
        files.write_bytes(self.folder / METADATA, mat_bytes(variables))
        path = self.folder / FAILED
        if not self._failed:
            path.unlink(missing_ok=True)
            return
        rows = [self._failed[index] for index in sorted(self._failed)]
        tables.write_tsv(path, pd.DataFrame(rows, columns=list(FAILED_COLUMNS)))
