"""Write the columns of a Parquet file into a .mat file, as MATLAB's parquetread gives them."""

import sys

import numpy as np
import pyarrow.parquet as pq
from scipy.io import savemat


def cells(values: list) -> np.ndarray:
    result = np.empty((len(values), 1), object)
    for index, value in enumerate(values):
        result[index, 0] = value
    return result


def encoded(text: str) -> np.ndarray:
    """Return UTF-8: Octave reads other characters of a .mat file as something else."""
    return np.frombuffer(text.encode(), np.uint8)


def column(values):
    if values.type.num_fields:
        return cells([np.array(value, np.float32) for value in values.to_pylist()])
    if str(values.type) == "string":
        return cells([encoded(value or "") for value in values.to_pylist()])
    return np.array(values.to_pylist(), float).reshape(-1, 1)


table = pq.ParquetFile(sys.argv[1]).read()
content = {
    "names": cells([encoded(name) for name in table.column_names]),
    "values": cells([column(values) for values in table.columns]),
}
savemat(sys.argv[2], content)
