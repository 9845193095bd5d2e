"""Tables of text of any length, read without an object for every cell."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bidsmill.errors import BidsmillError
from bidsmill.formats.tables import MISSING

if TYPE_CHECKING:
    import pandas as pd

# Tables are read in blocks, and a line must fit in one.
BLOCK_BYTES = 2**24


def read_text_table(path: Path) -> pd.DataFrame:
    """Read a tabular file that bidsmill wrote; all cells are text, ``n/a`` becomes ``''``.

    It gives what `bidsmill.formats.tables.read_tsv` gives, with far less memory where tables
    have millions of lines.

    Raises
    ------
    BidsmillError
        If it cannot be read, or a line has another number of cells than the header.
    """
    import pandas as pd
    import pyarrow as pa
    import pyarrow.compute as pc
    from pyarrow import csv

    try:
        with open(path, encoding="utf-8", newline="") as file:
            header = file.readline().removesuffix("\n").split("\t")
        table = csv.read_csv(
            path,
            read_options=csv.ReadOptions(
                block_size=BLOCK_BYTES, skip_rows=1, column_names=header, use_threads=False
            ),
            parse_options=csv.ParseOptions(
                delimiter="\t", quote_char=False, ignore_empty_lines=False
            ),
            convert_options=csv.ConvertOptions(
                column_types=dict.fromkeys(header, pa.dictionary(pa.int32(), pa.string())),
                null_values=[MISSING],
                strings_can_be_null=True,
            ),
        )
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        if "Empty CSV" in str(error):
            return pd.DataFrame({name: pd.Series([], dtype=object) for name in header})
        raise BidsmillError("a table cannot be read as text", file=path, found=error) from None
    columns = {}
    for name in header:
        column = table.column(name)
        if pa.types.is_dictionary(column.type):  # too many distinct values are plain text
            column = column.cast(pa.string())
        columns[name] = pc.fill_null(column, "").to_pandas()
    return pd.DataFrame(columns, copy=False)
