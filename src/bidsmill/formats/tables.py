"""Tables as text: tab-separated files of strings, as BIDS has them."""

from __future__ import annotations

import io
import math
import os
import re
from typing import TYPE_CHECKING, Any

from bidsmill.errors import BidsmillError
from bidsmill.formats import files

if TYPE_CHECKING:
    import pandas as pd

MISSING = "n/a"
# How pandas and numpy print what is not there.
NOTHING = {"<NA>", "NaT", "nan"}


def cell_text(value: Any) -> str:
    """Return one value as the text of a cell; nothing (None, NaN, NA, '') is ``n/a``.

    Floats are written with the fewest digits that give the same number back; whole floats
    without a decimal point. Tabs and line ends, which a BIDS table cannot hold, become one
    space; the text ``nan`` stays as it is.
    """
    if value is None or value is False or value is True:
        return MISSING if value is None else str(value).lower()
    if isinstance(value, float):
        if math.isnan(value):
            return MISSING
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(float(value))
    text = str(value)
    if text == "" or (text in NOTHING and not isinstance(value, str)):
        return MISSING
    return re.sub(r"[\t\r\n]+", " ", text)


def tsv_text(frame: pd.DataFrame) -> str:
    """Return a frame as the text of a BIDS tabular file (header line, tabs, ``n/a``)."""
    columns = [
        [cell_text(value) for value in frame[name].astype(object).tolist()] for name in frame
    ]
    lines = ["\t".join(cell_text(name) for name in frame.columns)]
    lines.extend("\t".join(row) for row in zip(*columns, strict=True))
    return "\n".join(lines) + "\n"


def write_tsv(path: str | os.PathLike, frame: pd.DataFrame) -> None:
    """Write a frame to `path` as a BIDS tabular file, atomically."""
    files.write_text(path, tsv_text(frame))


def read_tsv(path: str | os.PathLike) -> pd.DataFrame:
    """Read a tabular file that bidsmill wrote; all cells are strings, ``n/a`` becomes ''.

    Raises
    ------
    BidsmillError
        If the file is absent, is not UTF-8 text, or a row has another number of cells than
        the header.
    """
    import pandas as pd

    try:
        with open(path, encoding="utf-8", newline="") as file:
            text = file.read()
    except FileNotFoundError:
        raise BidsmillError("a table is missing", file=path) from None
    except (OSError, UnicodeDecodeError) as error:
        raise BidsmillError("a table cannot be read as text", file=path, found=error) from None
    if not text:
        raise BidsmillError("a table has no header line", file=path)
    header, *body = [line.split("\t") for line in text.removesuffix("\n").split("\n")]
    for number, row in enumerate(body, 2):
        if len(row) != len(header):
            raise BidsmillError(
                f"line {number} of a table has another number of cells than the header",
                file=path,
                found=len(row),
                expected=len(header),
            )
    cells = [["" if cell == MISSING else cell for cell in row] for row in body]
    return pd.DataFrame(cells, columns=header, dtype=object)


def write_parquet(path: str | os.PathLike, frame: pd.DataFrame) -> None:
    """Write a table to Parquet, atomically, with bytes that depend on its content alone."""
    with files.atomic_path(path) as temporary:
        _write_parquet(temporary, frame)


def parquet_bytes(frame: pd.DataFrame) -> bytes:
    """Return the bytes of a small table as `write_parquet` writes them."""
    sink = io.BytesIO()
    _write_parquet(sink, frame)
    return sink.getvalue()


def _write_parquet(sink: Any, frame: pd.DataFrame) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    arrow = pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None)
    arrow = pa.table([_small_text(column) for column in arrow.columns], names=arrow.column_names)
    pq.write_table(arrow, sink, compression="zstd", compression_level=3)


def _small_text(column):
    """Give text 32-bit offsets: every reader of Parquet knows ``string``."""
    import pyarrow as pa

    if pa.types.is_large_string(column.type) or pa.types.is_null(column.type):
        return column.cast(pa.string())
    return column


def read_parquet(
    path: str | os.PathLike | io.BytesIO, columns: list[str] | None = None, *, name: Any = None
) -> pd.DataFrame:
    """Read a table from Parquet.

    Columns of whole numbers with missing ones become ``Int64``: they stay whole numbers.

    Parameters
    ----------
    path : path-like or io.BytesIO
        The file, or its content.
    columns : list of str, optional
        Only these.
    name : optional
        What messages call the file; its path if absent.

    Raises
    ------
    BidsmillError
        If the file is absent or is not Parquet.
    """
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq

    shown = path if name is None else name
    try:
        with pq.ParquetFile(path) as file:
            arrow = file.read(columns=columns)
    except FileNotFoundError:
        raise BidsmillError("a table is missing", file=shown) from None
    except (pa.ArrowInvalid, OSError) as error:
        raise BidsmillError("a table cannot be read as Parquet", file=shown, found=error) from None
    absent = [name for name in columns or [] if name not in arrow.column_names]
    if absent:
        raise BidsmillError("a table lacks columns", file=shown, found=", ".join(absent))
    # PyArrow takes a dot in a wanted name for a path, and so may have read more columns.
    arrow = arrow if columns is None else arrow.select(columns)
    frame = arrow.to_pandas()
    for name in frame.columns:
        column = arrow.column(name)
        if pa.types.is_integer(column.type) and column.null_count:
            frame[name] = column.to_pandas(types_mapper={pa.int64(): pd.Int64Dtype()}.get)
    return frame
