"""The table of samples, read column by column when somebody asks for one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bidsmill.access.names import unknown
from bidsmill.errors import BidsmillError

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


# From so many rows on, a column takes memory that is worth saving.
LARGE = 10**6


class Columns:
    """The columns of ``samples.parquet``, each read at its first use.

    Text is kept as a categorical, which holds every distinct value once: of a column of 10
    million rows 10 to 40 MB, where text takes a few hundred. It has ``columns``, a length and
    columns by their name, which is all that `matching_rows` needs of a table.

    Parameters
    ----------
    path : callable
        Gives the verified file; called at the first use.
    numbers : sequence of str
        Columns that hold numbers also where all of them are missing (they were then written as
        text).

    Notes
    -----
    A column that was read stays, also when the file is gone.
    """

    def __init__(self, path: Callable[[], Path], numbers: Sequence[str] = ()):
        self._path = path
        self._numbers = frozenset(numbers)
        self._read: dict[str, pd.Series] = {}

    @cached_property
    def _schema(self) -> pa.Schema:
        with self._open() as file:
            lengths = [
                file.metadata.row_group(index).num_rows for index in range(file.num_row_groups)
            ]
            self._group_starts = np.cumsum([0, *lengths])
            self._with_missing = _with_missing(file)
            return file.schema_arrow

    @property
    def columns(self) -> list[str]:
        """Return the names of the columns, in their order."""
        return list(self._schema.names)

    def __len__(self) -> int:
        _ = self._schema
        return int(self._group_starts[-1])

    def __contains__(self, name: object) -> bool:
        return name in self.columns

    def __getitem__(self, name: str) -> pd.Series:
        """Return a column: numbers, or text as a categorical in which an empty cell is ``''``."""
        if name not in self._read:
            if name not in self:
                raise unknown("samples have no column of this name", name, self.columns)
            self._read[name] = self._column(name)
        return self._read[name]

    def distinct(self, name: str) -> set[Any]:
        """Return the values that stand in a column, without missing ones."""
        return distinct(self[name])

    def frame(self, rows: np.ndarray | None = None) -> pd.DataFrame:
        """Return all columns, of all rows or of some, as a table with ordinary text."""
        import pandas as pd

        index = None if rows is None else pd.RangeIndex(len(rows))
        columns = {name: self.plain(name, rows) for name in self.columns}
        return pd.DataFrame(columns, index=index, copy=False)

    def plain(self, name: str, rows: np.ndarray | None = None) -> pd.Series:
        """Return a column of all rows, or of some, with ordinary text."""
        if rows is None:
            return as_text(self[name])
        if name in self._read or len(self) < LARGE or len(rows) > len(self) // 4:
            return as_text(self[name].take(rows).reset_index(drop=True))
        # What few rows need of a large table is not kept, and read where these rows are.
        groups = np.searchsorted(self._group_starts, rows, side="right") - 1
        wanted = np.unique(groups)
        lengths = np.diff(self._group_starts)[wanted]
        shift = np.cumsum([0, *lengths[:-1]]) - self._group_starts[wanted]
        places = rows + shift[np.searchsorted(wanted, groups)]
        column = self._column(name, wanted.tolist())
        return as_text(column.take(places).reset_index(drop=True))

    def _column(self, name: str, groups: list[int] | None = None) -> pd.Series:
        """Read a column, of all row groups or of some."""
        import pandas as pd
        import pyarrow as pa

        text = _is_text(self._schema.field(name).type)
        every = range(len(self._group_starts) - 1)
        with self._open(read_dictionary=[name] if text else None) as file:
            # PyArrow takes a dot in a wanted name for a path, and so may read more columns.
            read = file.read_row_groups(list(every) if groups is None else groups, columns=[name])
            column = read.column(name)
        if name in self._numbers and text:
            texts = column.cast(pa.string()).to_pandas()
            return pd.to_numeric(texts, errors="coerce").astype("float64")
        if text:
            return _categorical(column)
        if pa.types.is_integer(column.type) and name in self._with_missing:
            return column.to_pandas(types_mapper={pa.int64(): pd.Int64Dtype()}.get)
        series = column.to_pandas()
        if name in self._numbers:
            return pd.to_numeric(series, errors="coerce").astype("float64")
        return series

    def _open(self, **options: Any) -> Any:
        import pyarrow as pa
        import pyarrow.parquet as pq

        path = self._path()
        try:
            return pq.ParquetFile(path, **options)
        except (pa.ArrowInvalid, OSError) as error:
            raise BidsmillError(
                "a table cannot be read as Parquet", file=path, found=error
            ) from None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_read": {}}


class SelectedColumns(Mapping):
    """Some rows of `Columns`: each column is taken when it is asked for.

    Parameters
    ----------
    table : Columns
        The columns of all rows.
    rows : ndarray of int
        Which rows.
    """

    def __init__(self, table: Columns, rows: np.ndarray):
        self.table = table
        self.rows = rows
        self._every = len(rows) == len(table)
        if self._every and len(rows):
            self._every = bool(np.array_equal(rows, np.arange(len(rows))))

    @property
    def columns(self) -> list[str]:
        """Return the names of the columns."""
        return self.table.columns

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self):
        return iter(self.columns)

    def __contains__(self, name: object) -> bool:
        return name in self.table

    def __getitem__(self, name: str) -> pd.Series:
        column = self.table[name]
        return column if self._every else column.take(self.rows).reset_index(drop=True)

    def frame(self) -> pd.DataFrame:
        """Return all columns of these rows as a table with ordinary text."""
        return self.table.frame(None if self._every else self.rows)


def _with_missing(file: Any) -> set[str]:
    """Return the columns of whole numbers of which some are missing, or may be."""
    import pyarrow as pa

    groups = [file.metadata.row_group(index) for index in range(file.num_row_groups)]
    found = set()
    for place, field in enumerate(file.schema_arrow):
        if pa.types.is_integer(field.type):
            known = [group.column(place).statistics for group in groups]
            if any(s is None or not s.has_null_count or s.null_count for s in known):
                found.add(field.name)
    return found


def _is_text(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def _categorical(column: pa.ChunkedArray) -> pd.Series:
    """Return text as a categorical; what is missing is ``''``."""
    import pandas as pd
    import pyarrow as pa

    column = column.unify_dictionaries()
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    values = column.chunk(0).dictionary.to_pylist() if column.num_chunks else []
    parts = [chunk.indices.fill_null(-1).to_numpy() for chunk in column.chunks]
    codes = np.concatenate(parts) if parts else np.empty(0, np.int32)
    if "" not in values:
        values.append("")
    empty = values.index("")
    if len(codes) and codes.min() < 0:
        codes = np.where(codes < 0, empty, codes)
    codes = codes.astype(np.min_scalar_type(-max(len(values), 1)), copy=False)
    categories = pd.Index(values, dtype=object)
    return pd.Series(pd.Categorical.from_codes(codes, categories, validate=False))


def as_text(column: pd.Series) -> pd.Series:
    """Return a categorical as the text it stands for; other columns as they are."""
    import pandas as pd

    if not isinstance(column.dtype, pd.CategoricalDtype):
        return column
    # The type that this version of pandas gives to text.
    texts = pd.Series(column.cat.categories.tolist())
    return texts.take(column.cat.codes.to_numpy()).set_axis(column.index)


def distinct(column: pd.Series) -> set[Any]:
    """Return the values that stand in a column, without missing ones."""
    import pandas as pd

    if isinstance(column.dtype, pd.CategoricalDtype):
        used = np.unique(column.cat.codes.to_numpy())
        return set(column.cat.categories[used[used >= 0]].tolist())
    return set(column.dropna().unique().tolist())


def counts_of(column: pd.Series) -> dict[Any, int]:
    """Return value -> how often it stands in a column."""
    import pandas as pd

    if isinstance(column.dtype, pd.CategoricalDtype):
        codes = column.cat.codes.to_numpy()
        found = np.bincount(codes, minlength=len(column.cat.categories))
        return {name: int(n) for name, n in zip(column.cat.categories, found, strict=True) if n}
    return {name: int(n) for name, n in column.value_counts(sort=False).items()}
