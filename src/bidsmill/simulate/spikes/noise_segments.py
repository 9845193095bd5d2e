"""Resting segments for recorded noise: of a matrix file, or of a dataset of bidsmill."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np

from bidsmill.errors import BidsmillError
from bidsmill.formats.matrix import MatrixFile


def segments_of_variables(
    path: str | os.PathLike, n_sensors: int, key: str = "data"
) -> list[np.ndarray]:
    """Return segments from a MATLAB, Octave or NumPy file, such as DeepSIF's realistic_noise.mat.

    Parameters
    ----------
    path : path-like
        The file. Its channels must be those of the lead field in its order, at the rate of the
        clips: it does not say.
    n_sensors : int
        Sensors of the lead field.
    key : str
        Name of the variable: (segments, times, sensors), (segments, sensors, times), or the same
        without segments.

    Returns
    -------
    list of ndarray of float32, shape (n_sensors, n_times)

    Raises
    ------
    BidsmillError
        If there is no such variable, or not exactly one of its last two dimensions is that of the
        sensors.
    """
    from bidsmill.simulate.variables.matrix_files import read_variables

    variables = read_variables(path)
    value = variables.get(key)
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "fiu":
        raise BidsmillError(
            f"a file of recorded noise lacks the numbers {key!r}",
            file=path,
            found=", ".join(f"{n} {list(np.shape(v))}" for n, v in variables.items()),
            todo="name the variable",
        )
    if value.ndim == 2:
        value = value[np.newaxis]
    fits = [] if value.ndim != 3 else [axis for axis in (1, 2) if value.shape[axis] == n_sensors]
    if len(fits) != 1:
        raise BidsmillError(
            "it cannot be told which dimension of recorded noise is that of the sensors",
            file=path,
            found=list(value.shape),
            expected=f"(segments, times, {n_sensors})",
        )
    ordered = value if fits == [1] else value.transpose(0, 2, 1)
    return [np.ascontiguousarray(segment, np.float32) for segment in ordered]


def segments_of_matrix(
    path: str | os.PathLike, names: Sequence[str], sfreq: float
) -> list[np.ndarray]:
    """Return the rows of a matrix file, such as one of resting EEG, as segments.

    Parameters
    ----------
    path : path-like
        The file.
    names : sequence of str
        Channels of the lead field, in its order; case is ignored.
    sfreq : float
        Of the clips, in Hz.

    Raises
    ------
    BidsmillError
        If a channel is not there, or the rate is another one.
    """
    with MatrixFile(path) as matrix:
        known = {name.casefold(): name for name in reversed(matrix.channels)}
        absent = [name for name in names if name.casefold() not in known]
        if absent:
            raise BidsmillError(
                "recorded noise lacks channels of the lead field",
                file=path,
                found=", ".join(matrix.channels[:8]),
                expected=", ".join(absent[:8]),
            )
        if abs(float(matrix.metadata["sfreq"]) - sfreq) > 1e-6 * sfreq:
            raise BidsmillError(
                "recorded noise has another rate than the clips",
                file=path,
                found=f"{matrix.metadata['sfreq']} Hz",
                expected=f"{sfreq} Hz",
            )
        rows = matrix.read([known[name.casefold()] for name in names])
    return [row for row in rows if np.isfinite(row).all()]
