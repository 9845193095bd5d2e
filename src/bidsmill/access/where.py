"""The `where` expression: comparisons over the columns of samples, without `eval`."""

from __future__ import annotations

import ast
import operator
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from bidsmill.access.names import listed, nearest, unknown
from bidsmill.errors import BidsmillError

if TYPE_CHECKING:
    import pandas as pd

COMPARISONS: dict[type[ast.cmpop], Callable] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
ALLOWED = (
    "comparisons of columns with text or numbers (== != < <= > >=, in [...], not in [...]), "
    "joined by and, or, not; names with other characters than letters, digits and _ in `...`"
)
# Strings come first, so that a backquote inside one is left alone.
MAX_VALUES = 50  # a column with more distinct values is not searched for what was meant
QUOTED = re.compile(r"""('(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*")|`([^`]*)`""", re.DOTALL)


class Operand(NamedTuple):
    """One side of a comparison: ``column`` (its name), ``text`` or ``number``."""

    kind: str
    value: Any


def matching_rows(frame: pd.DataFrame, expression: str) -> np.ndarray:
    """Return which rows of a table fulfil an expression.

    Text is compared with text by code points, a number with a number. Where a column of text
    meets a number, the column is read as numbers. A cell that is missing or is no number makes
    every comparison with a number false, ``!=`` and ``not in`` too. ``a in [b, c]`` means
    ``a == b or a == c``; ``a not in [b, c]`` means ``a != b and a != c``.

    Parameters
    ----------
    frame : DataFrame
        The table, or what has ``columns``, a length and columns by their name. An empty cell of
        a text column is ``''``.
    expression : str
        Such as ``task == 'faces' and participant_age > 30 and subject in ['01', '02']``.
        A column name that is no Python name stands in backquotes.

    Returns
    -------
    ndarray of bool, shape (n_rows,)

    Raises
    ------
    BidsmillError
        If the expression has anything but the above, or names an unknown column.
    """
    with _explained(expression):
        tree, quoted = _parsed(expression)
        return _Evaluation(frame, quoted).truth(tree)


def why_none(frame: pd.DataFrame, expression: str) -> str | None:
    """Return which comparisons of an expression no row can fulfil, and what may be meant.

    Parameters
    ----------
    frame, expression
        As for `matching_rows`.

    Returns
    -------
    str or None
        None where every value that is compared occurs, or a column has too many of them.
    """
    tree, quoted = _parsed(expression)
    evaluation = _Evaluation(frame, quoted)
    found: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            for left, op, right in zip(sides, node.ops, sides[1:], strict=False):
                found += evaluation.never_true(left, op, right)
    return "; ".join(dict.fromkeys(found)) or None


def column_names(expression: str) -> list[str]:
    """Return the columns that an expression names, in their order; see `matching_rows`.

    Raises
    ------
    BidsmillError
        If the expression has anything that is not allowed.
    """
    import pandas as pd

    with _explained(expression):
        tree, quoted = _parsed(expression)
        unquoted = {_placeholder(index): name for index, name in enumerate(quoted)}
        found = [node.id for node in ast.walk(tree) if isinstance(node, ast.Name)]
        names = list(dict.fromkeys(unquoted.get(name, name) for name in found))
        _Evaluation(pd.DataFrame(columns=names, dtype=object), quoted).truth(tree)
    return names


def find_column(name: str, columns: Iterable[str]) -> str | None:
    """Return the column that a name means, or None.

    Python puts names in normal form KC (PEP 3131): µ arrives as μ.
    """
    every = list(columns)
    if name in every:
        return name
    same = (c for c in every if unicodedata.normalize("NFKC", str(c)) == name)
    return next(same, None)


@contextmanager
def _explained(expression: str) -> Iterator[None]:
    """Turn what Python says of an expression into an error for people."""
    try:
        yield
    except (SyntaxError, ValueError) as error:
        reason = getattr(error, "msg", None) or error
        raise BidsmillError(
            f"the `where` expression cannot be read ({reason})",
            found=expression,
            expected=ALLOWED,
            todo=_other_signs(expression),
        ) from None
    except (RecursionError, MemoryError):
        raise BidsmillError(
            "the `where` expression is nested too deeply", found=f"{expression[:60]} ..."
        ) from None


def _parsed(expression: str) -> tuple[ast.expr, list[str]]:
    """Return the tree of an expression, and the names that stood in backquotes."""
    if not isinstance(expression, str):
        raise BidsmillError("`where` is an expression as text", found=repr(expression))
    quoted: list[str] = []

    def placeholder(match: re.Match) -> str:
        if match[1] is not None:
            return match[1]
        quoted.append(match[2])
        return f" {_placeholder(len(quoted) - 1)} "

    source = QUOTED.sub(placeholder, expression).strip()
    return ast.parse(source, mode="eval").body, quoted


def _other_signs(expression: str) -> str | None:
    """Return what to write in place of the signs that other languages have for the same."""
    signs = QUOTED.sub(" ", expression)
    meant = {r"&": "and in place of &", r"\|": "or in place of |"}
    meant[r"(?<![=!<>:])=(?!=)"] = "== in place of ="
    found = [words for sign, words in meant.items() if re.search(sign, signs)]
    return f"use {', '.join(found)}" if found else None


def _placeholder(index: int) -> str:
    return f"__quoted_column_{index}__"


class _Evaluation:
    """Evaluate one expression over one table; a column is converted once."""

    def __init__(self, frame: pd.DataFrame, quoted: list[str]):
        self.frame = frame
        self.quoted = {_placeholder(index): name for index, name in enumerate(quoted)}
        self._numbers: dict[str, np.ndarray] = {}
        self._texts: dict[str, np.ndarray] = {}

    def truth(self, node: ast.expr) -> np.ndarray:
        """Return the truth of a node for each row."""
        if isinstance(node, ast.BoolOp):
            join = np.logical_and if isinstance(node.op, ast.And) else np.logical_or
            return join.reduce([self.truth(value) for value in node.values])
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            return ~self.truth(node.operand)
        if isinstance(node, ast.Compare):
            result = np.ones(len(self.frame), bool)
            left = node.left
            for op, right in zip(node.ops, node.comparators, strict=True):
                result &= self._comparison(node, left, op, right)
                left = right
            return result
        raise self._refused(node)

    def _comparison(self, node, left, op, right) -> np.ndarray:
        if isinstance(op, ast.In | ast.NotIn):
            if not isinstance(right, ast.List | ast.Tuple | ast.Set):
                raise self._refused(node, "in stands before a list: task in ['rest', 'faces']")
            wanted = [self._operand(item) for item in right.elts]
            if any(operand.kind == "column" for operand in wanted):
                raise self._refused(node, "a list holds text and numbers, no columns")
            return self._membership(node, self._operand(left), wanted, isinstance(op, ast.In))
        if type(op) not in COMPARISONS:
            raise self._refused(node)
        return self._compared(
            node, COMPARISONS[type(op)], self._operand(left), self._operand(right)
        )

    def _membership(self, node, left: Operand, wanted: list[Operand], inside: bool) -> np.ndarray:
        if left.kind != "column":
            raise self._refused(node, "a comparison needs a column")
        compare = operator.eq if inside else operator.ne
        join = np.logical_or if inside else np.logical_and
        result = np.full(len(self.frame), not inside)
        for operand in wanted:
            join(result, self._compared(node, compare, left, operand), out=result)
        return result

    def _compared(self, node, compare, left: Operand, right: Operand) -> np.ndarray:
        kinds = {left.kind, right.kind}
        if "column" not in kinds:
            raise self._refused(node, "a comparison needs a column")
        for operand in (left, right):
            if len(kinds) == 2 and operand.kind == "column":
                column = self.frame[operand.value]
                if len(categories := _categories(column)) < len(column):
                    # Every distinct value is compared once; a missing cell has the code -1.
                    few = _Evaluation(categories.to_frame(operand.value), [])
                    few.quoted = self.quoted
                    truth = few._compared(node, compare, left, right)
                    return truth[column.cat.codes.to_numpy()]
        if any(self._is_number(operand) for operand in (left, right)):
            if "text" in kinds:
                raise self._refused(node, "a column of numbers is compared with a number")
            a, b = self._as_number(left), self._as_number(right)
            with np.errstate(invalid="ignore"):
                return compare(a, b) & ~np.isnan(a) & ~np.isnan(b)
        return np.asarray(compare(self._as_text(left), self._as_text(right)), bool)

    def never_true(self, left: ast.expr, op: ast.cmpop, right: ast.expr) -> Iterator[str]:
        """Say of a comparison with text or numbers which of them the column never has."""
        inside = isinstance(op, ast.In) and isinstance(right, ast.List | ast.Tuple | ast.Set)
        for item in right.elts if inside else [right]:  # type: ignore[attr-defined]
            if isinstance(op, ast.NotEq | ast.NotIn):
                continue
            operands = {o.kind: o.value for o in (self._operand(left), self._operand(item))}
            name = operands.get("column")
            if name is None or len(operands) == 1:
                continue
            column = self.frame[name].drop_duplicates().astype(object)
            values = [str(value) for value in _texts(column) if value != ""]
            if not 0 < len(values) <= MAX_VALUES:
                continue
            if "number" in operands:
                if all(np.isnan(_numbers(column))):
                    yield f"{name} has text and no numbers: {_quoted(sorted(values))}"
            elif isinstance(op, ast.Eq | ast.In) and operands["text"] not in ("", *values):
                close = nearest(operands["text"], values)
                perhaps = f"perhaps {_quoted(close)}" if close else _quoted(sorted(values))
                yield f"{name} is never {operands['text']!r}: {perhaps}"

    def _operand(self, node: ast.expr) -> Operand:
        if isinstance(node, ast.Name):
            return Operand("column", self._column(node.id))
        sign = 1.0
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
            sign = -1.0 if isinstance(node.op, ast.USub) else 1.0
            node = node.operand
            if not (isinstance(node, ast.Constant) and type(node.value) in (int, float)):
                raise self._refused(node)
        if isinstance(node, ast.Constant):
            value: Any = node.value
            if type(value) is str:
                return Operand("text", value)
            if type(value) in (int, float):
                return Operand("number", sign * _as_float(value))
        raise self._refused(node)

    def _column(self, name: str) -> str:
        name = self.quoted.get(name, name)
        column = find_column(name, self.frame.columns)
        if column is not None:
            return column
        raise unknown(
            "`where` names a column that samples do not have",
            name,
            self.frame.columns,
            todo="text stands in quotes: task == 'rest'; the columns are in ds.samples.columns",
        )

    def _is_number(self, operand: Operand) -> bool:
        from pandas.api.types import is_numeric_dtype

        if operand.kind == "column":
            return is_numeric_dtype(self.frame[operand.value].dtype)
        return operand.kind == "number"

    def _as_number(self, operand: Operand) -> np.ndarray | np.float64:
        if operand.kind == "number":
            return np.float64(operand.value)
        name = operand.value
        if name not in self._numbers:
            self._numbers[name] = _of_distinct(self.frame[name], _numbers)
        return self._numbers[name]

    def _as_text(self, operand: Operand) -> np.ndarray | str:
        if operand.kind == "text":
            return operand.value
        name = operand.value
        if name not in self._texts:
            self._texts[name] = _of_distinct(self.frame[name], _texts)
        return self._texts[name]

    def _refused(self, node: ast.AST, reason: str | None = None) -> BidsmillError:
        found = ast.unparse(node)
        for mark, name in self.quoted.items():
            found = found.replace(mark, f"`{name}`")
        return BidsmillError(
            "a part of the `where` expression is not allowed" + (f": {reason}" if reason else ""),
            found=found,
            expected=ALLOWED,
            todo=_other_signs(found),
        )


def _quoted(values: list[str]) -> str:
    return listed(repr(value) for value in values)


def _of_distinct(column: pd.Series, convert: Callable[[pd.Series], np.ndarray]) -> np.ndarray:
    """Convert a column; of a categorical one each category once."""
    import pandas as pd

    if not isinstance(column.dtype, pd.CategoricalDtype):
        return convert(column)
    # A missing cell has the code -1.
    return convert(_categories(column))[column.cat.codes.to_numpy()]


def _categories(column: pd.Series) -> pd.Series:
    """Return each value of a categorical column once, and last a missing one."""
    import pandas as pd

    if not isinstance(column.dtype, pd.CategoricalDtype):
        return column
    return pd.Series([*column.cat.categories, None], dtype=object)


def _numbers(column: pd.Series) -> np.ndarray:
    import pandas as pd

    return pd.to_numeric(column, errors="coerce").to_numpy(np.float64, na_value=np.nan)


def _texts(column: pd.Series) -> np.ndarray:
    column = column.astype(object)
    return column.where(column.notna(), "").to_numpy(object)


def _as_float(value: int | float) -> float:
    try:
        return float(value)
    except OverflowError:
        return float("inf")
