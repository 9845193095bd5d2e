"""Matrix files for tests, in the forms that described datasets come in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.io import savemat


def save(path: Path, variables: dict, kind: str = "mat") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind == "mat":
        savemat(path, variables)
    elif kind == "hdf5":
        import h5py

        with h5py.File(path, "w", userblock_size=512) as file:
            for name, value in variables.items():
                file[name] = value.T
                file[name].attrs["MATLAB_class"] = np.bytes_("double")
    else:
        lines = ["# Created by Octave 7.3.0"]
        for name, value in variables.items():
            lines += [f"# name: {name}", "# type: matrix"]
            if value.ndim == 2:
                lines += [f"# rows: {value.shape[0]}", f"# columns: {value.shape[1]}"]
                lines += [" " + " ".join(f"{v:.17g}" for v in row) for row in value]
            else:
                lines += [f"# ndims: {value.ndim}", " " + " ".join(map(str, value.shape))]
                lines += [f" {v:.17g}" for v in value.ravel(order="F")]
            lines += ["", ""]
        path.write_text("\n".join(lines))
    return path
