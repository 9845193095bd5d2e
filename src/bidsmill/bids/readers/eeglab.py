"""EEGLAB: one .set file, or a .set header with the samples in a .fdt file.

The header is parsed once, here, because MNE's reader loads the samples of most .set files with
it, takes a .fdt of any length, and knows neither epochs nor arrays of datasets. What it reads
well is read here as it does: names, types, positions, markers and samples are the same.
Memory does not grow with length for .fdt files, for MATLAB 7.3 and for .set files that are not
compressed; the samples of a compressed .set are held once.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import numpy as np

from bidsmill.bids.pointers import pointer_kind
from bidsmill.bids.readers import eeglab_rules as rules
from bidsmill.bids.readers.companions import described, refuse_unusable
from bidsmill.bids.readers.eeglab_header import Header, read_file, read_header
from bidsmill.bids.readers.eeglab_info import channel_info, file_annotations, set_positions
from bidsmill.bids.readers.eeglab_samples import (
    ArraySamples,
    ChosenEpochs,
    FileSamples,
    Hdf5Samples,
    Samples,
    raw_class,
)
from bidsmill.bids.readers.matlab_values import LargeArray
from bidsmill.bids.repairs import Repairs
from bidsmill.errors import RecordingProblem


def read(path: Path, data: str, repairs: Repairs):
    """Open an EEGLAB recording; see `reading.open_recording` for the errors."""
    if pointer_kind(path):
        refuse_unusable(path, data)
    file = read_file(path, data)
    repairs.mend("eeglab_file", file)
    if file.chosen is None:
        raise RecordingProblem(
            "unsupported_format",
            "the file holds several datasets, and does not say which one is the recording",
            file=data,
            found=f"{len(file.datasets)} datasets, {len(file.filled)} of them with samples",
            expected="one",
            todo=repairs.todo("save each dataset as a file of its own"),
        )
    header = read_header(path, file.chosen, data)
    repairs.mend("eeglab", header)
    _check_epochs(header, data, repairs)
    samples = _samples(header, data, repairs)
    info, positions = channel_info(header, data)
    # The file that holds nothing but samples, from the first on, or else the header.
    place = samples.path if isinstance(samples, FileSamples) else path
    raw = raw_class()(info, samples, place)
    raw.set_annotations(file_annotations(header))
    set_positions(raw, header, positions)
    return raw


def _check_epochs(header: Header, data: str, repairs: Repairs) -> None:
    """Refuse epochs that cannot follow each other."""
    if header.n_epochs == 1 or header.joined:
        return
    foreign = rules.foreign_events(header)
    what, found = "the file holds epochs, which are not read one after the other", ""
    if rules.overlaps(header) and header.kept is None:
        what = "the file holds epochs that overlap in the original recording"
        step = np.min(np.diff(np.sort(header.starts[np.isfinite(header.starts)])))
        found = f", begun {step:g} samples apart"
    elif foreign:
        what = "the file holds epochs, and its events count the time of another recording"
        found = f"; {foreign}, are those of no event in the file"
    raise RecordingProblem(
        "epoched",
        what,
        file=data,
        found=f"{header.n_epochs} epochs of {header.length} samples{found}",
        expected="a continuous recording",
        todo=repairs.todo("share the continuous recording"),
    )


def _samples(header: Header, data: str, repairs: Repairs) -> Samples:
    samples = _fdt(header, data, repairs) if header.array is None else _embedded(header, data)
    if header.kept is not None:
        return ChosenEpochs(samples, header.length, header.kept)
    return samples


def _fdt(header: Header, data: str, repairs: Repairs) -> Samples:
    """Return the samples of the .fdt file, if it is there and as long as stated."""
    fdt = header.fdt
    both = fdt.contradicted and header.size_of(fdt.beside[0]) == header.size_stated
    if fdt.path is None and len(fdt.beside) == 1:
        refuse_unusable(fdt.beside[0], data)
    if (fdt.path is None and len(fdt.beside) != 1) or both:
        raise RecordingProblem(
            "companion_missing",
            "it is not certain which .fdt file the header means"
            if fdt.beside
            else "a file that the header names is missing",
            file=data,
            found=described(fdt),
            expected=header.path.with_suffix(".fdt").name,
            todo=repairs.todo("restore the .fdt file, or correct `EEG.data` in the header"),
        )
    path = fdt.path or fdt.beside[0]
    refuse_unusable(path, data)
    _check_size(header, path, data, repairs)
    held = header.size_of(path) // header.sample_bytes
    return FileSamples(path, header.n_channels, min(held, header.n_stated))


def _check_size(header: Header, path: Path, data: str, repairs: Repairs) -> None:
    """Refuse a .fdt of another size than stated, which is that of another signal or cut off."""
    size = header.size_of(path)
    if size == header.size_stated or header.keep_held:
        return
    shorter = size < header.size_stated
    others = rules.channels_of(header, size)
    raise RecordingProblem(
        "truncated_file" if shorter else "unreadable",
        "the .fdt file ends before the last sample that the header states"
        if shorter
        else "the .fdt file is not the one that the header describes",
        file=(PurePosixPath(data).parent / path.name).as_posix(),
        found=f"{size} bytes" + (f", as of {others} channels" if others else ""),
        expected=f"{header.size_stated} bytes: {header.n_channels} channels of"
        f" {header.n_stated} samples of 4 bytes",
        todo=repairs.todo("fetch the .fdt file again, or save the recording again"),
    )


def _embedded(header: Header, data: str) -> Samples:
    """Return the samples that the .set file itself holds."""
    array = header.array
    assert array is not None
    shape = tuple(array.shape)
    n_channels, n_epochs = header.n_channels, header.n_epochs
    length = header.length
    numeric = isinstance(array, LargeArray) or getattr(array, "dtype", np.dtype("O")).kind in "iuf"
    if shape == (length, 1) and n_channels == 1 and n_epochs == 1:
        shape = (1, length)
    expected = {(n_channels, length, n_epochs), (n_channels, length * n_epochs)}
    if n_epochs == 1:
        expected.add((n_channels, length))
    if not numeric or shape not in expected:
        raise RecordingProblem(
            "unreadable",
            "the samples in the file have another shape than its header states",
            file=data,
            found=" x ".join(str(n) for n in shape) or "no array",
            expected=f"{n_channels} channels x {length} samples"
            + (f" x {n_epochs} epochs" if n_epochs > 1 else ""),
            todo="save the recording again with EEGLAB's pop_saveset",
        )
    if isinstance(array, LargeArray) and array.dataset:
        return Hdf5Samples(header.path, array.dataset, n_channels, length * n_epochs)
    if isinstance(array, LargeArray) and array.dtype is not None:
        n_times = length * n_epochs
        return FileSamples(header.path, n_channels, n_times, array.offset, array.dtype)
    return ArraySamples(array, n_channels, length * n_epochs)
