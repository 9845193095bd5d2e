"""The `where` expression against Python's own evaluation, row by row."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bidsmill.access.where import matching_rows, why_none
from bidsmill.errors import BidsmillError

DECIMAL = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*", re.ASCII)
TEXTS = ["", "faces", "rest", "it's", 'say "x"', "a`b", "3", "03", " 4 ", "1_0", "0x1F", "n/a",
         "-2.5", "1e3", "µ", "None", "and"]  # fmt: skip
NUMBERS = [0, 3, 4, -2.5, 1000, 10, 31, 0.1, 99999999999999999999]
FRAME_COLUMNS = {"task": "text", "`hand pref`": "text", "age": "text", "rt": "number", "row": "int"}


class Cell:
    """One cell with the comparisons that the documentation promises."""

    def __init__(self, value):
        self.value = value

    def _compare(self, other, name):
        other = other.value if isinstance(other, Cell) else other
        if isinstance(self.value, str) and isinstance(other, str):
            return getattr(str, name)(self.value, other)
        a, b = _number(self.value), _number(other)
        if a is None or b is None:
            return False
        return getattr(float, name)(a, b)

    def __eq__(self, other):
        return self._compare(other, "__eq__")

    def __ne__(self, other):
        return self._compare(other, "__ne__")

    def __lt__(self, other):
        return self._compare(other, "__lt__")

    def __le__(self, other):
        return self._compare(other, "__le__")

    def __gt__(self, other):
        return self._compare(other, "__gt__")

    def __ge__(self, other):
        return self._compare(other, "__ge__")

    __hash__ = None


def _number(value) -> float | None:
    if isinstance(value, str):
        return float(value) if DECIMAL.fullmatch(value) else None
    return None if np.isnan(float(value)) else float(value)


def absent(cell, items) -> bool:
    return all(cell != item for item in items)


@st.composite
def comparisons(draw) -> tuple[str, str]:
    """Give a comparison, and the Python that means the same for one row."""
    column = draw(st.sampled_from(list(FRAME_COLUMNS)))
    python = column.strip("`").replace(" ", "_")
    numbers = st.sampled_from(NUMBERS).map(repr)
    constants = st.one_of(numbers, st.sampled_from(TEXTS).map(repr))
    constant = draw(constants if FRAME_COLUMNS[column] == "text" else numbers)
    op = draw(st.sampled_from(["==", "!=", "<", "<=", ">", ">="]))
    form = draw(st.sampled_from(["plain", "turned", "columns", "chain", "in", "not in"]))
    if form == "plain":
        return f"{column} {op} {constant}", f"{python} {op} {constant}"
    if form == "turned":
        return f"{constant} {op} {column}", f"{constant} {op} {python}"
    if form == "columns":
        other = draw(st.sampled_from(list(FRAME_COLUMNS)))
        other_python = other.strip("`").replace(" ", "_")
        return f"{column} {op} {other}", f"{python} {op} {other_python}"
    if form == "chain":
        low = draw(numbers)
        high = draw(numbers)
        return f"{low} < {column} {op} {high}", f"{low} < {python} {op} {high}"
    items = draw(st.lists(constants if FRAME_COLUMNS[column] == "text" else numbers, max_size=3))
    listed = ", ".join(items)
    if form == "in":
        return f"{column} in [{listed}]", f"{python} in [{listed}]"
    return f"{column} not in [{listed}]", f"absent({python}, [{listed}])"


def _joined(children):
    def join(word):
        return st.tuples(children, children).map(
            lambda pair: tuple(f"({a}) {word} ({b})" for a, b in zip(*pair, strict=True))
        )

    negated = children.map(lambda pair: tuple(f"not ({text})" for text in pair))
    return st.one_of(join("and"), join("or"), negated)


EXPRESSIONS = st.recursive(comparisons(), _joined, max_leaves=5)
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "task": st.sampled_from(TEXTS),
            "hand pref": st.sampled_from(TEXTS),
            "age": st.one_of(
                st.sampled_from(TEXTS), st.floats(allow_nan=False, allow_infinity=False).map(repr)
            ),
            "rt": st.one_of(st.sampled_from(NUMBERS), st.just(float("nan"))),
            "row": st.integers(-5, 5),
        }
    ),
    min_size=1,
    max_size=6,
)


def _frame(rows) -> pd.DataFrame:
    frame = pd.DataFrame(rows)
    return frame.astype({"rt": "float64", "row": "int64"})


@settings(max_examples=300, deadline=None)
@given(EXPRESSIONS, ROWS)
def test_equal_to_python_row_by_row(expression, rows):
    text, python = expression
    frame = _frame(rows)
    expected = []
    for row in frame.to_dict("records"):
        cells = {name.replace(" ", "_"): Cell(value) for name, value in row.items()}
        expected.append(bool(eval(python, {"__builtins__": {}, "absent": absent}, cells)))
    assert matching_rows(frame, text).tolist() == expected, text


FRAME = _frame(
    [
        {"task": "faces", "hand pref": "R", "age": "31", "rt": 0.5, "row": 0},
        {"task": "rest", "hand pref": "L", "age": "n/a", "rt": float("nan"), "row": 1},
        {"task": "faces", "hand pref": "L", "age": "25.5", "rt": 0.25, "row": 2},
    ]
).assign(**{"participant_µ": ["1", "2", "3"], "class": ["a", "b", "c"]})


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("task == 'faces' and age > 30", [True, False, False]),
        ("age != 31", [False, False, True]),
        ("not age == 31", [False, True, True]),
        ("age not in [31]", [False, False, True]),
        ("`hand pref` == 'L' and row in (0, 2)", [False, False, True]),
        ("`class` >= 'b'", [False, True, True]),
        ("participant_µ == 2", [False, True, False]),
        ("task in ['rest', 'x`y`']", [False, True, False]),
        ("rt != 0.5", [False, False, True]),
        ("\n task == 'rest' ", [False, True, False]),
        ("task in []", [False, False, False]),
        ("task not in []", [True, True, True]),
        ("-1 < row <= +1", [True, True, False]),
    ],
)
def test_examples(expression, expected):
    assert matching_rows(FRAME, expression).tolist() == expected


def test_text_that_is_missing_is_empty():
    frame = pd.DataFrame({"task": pd.Series(["a", None], dtype="str")})
    assert matching_rows(frame, "task == ''").tolist() == [False, True]


@pytest.mark.parametrize(
    "expression",
    [
        "task",
        "",
        "   ",
        "task = 'rest'",
        "(task == 'rest'",
        "__import__('os').system('true')",
        "task.upper() == 'REST'",
        "task.__class__ == 'x'",
        "len(task) > 2",
        "(lambda: 1)() == row",
        "[x for x in task] == 'a'",
        "task == f'{row}'",
        "task == b'rest'",
        "row == 1j",
        "row == True",
        "task is 'rest'",
        "task == None",
        "(task == 'rest') & (row == 1)",
        "row + 1 == 2",
        "row == -'1'",
        "row == ~1",
        "task[0] == 'r'",
        "'es' in task",
        "task in 'rest'",
        "task in [row]",
        "1 < 2",
        "'a' in ['a']",
        "row == '1'",
        "(x := row) == 1",
        "row == 1 if row else 2",
        "task == 'rest'; row",
        "task == '\0'",
        "`task == 'rest'",
        "print",
        "*task == 'a'",
        "not " * 5000 + "row == 1",
        "(" * 500 + "row == 1" + ")" * 500,
        "row == " + "-" * 3000 + "1",
        "row == " + "9" * 5000,
    ],
)
def test_all_else_is_refused(expression):
    with pytest.raises(BidsmillError):
        matching_rows(FRAME, expression)


def test_an_unknown_column_is_answered_with_the_nearest():
    with pytest.raises(BidsmillError, match=r"'tasks'.*perhaps 'task'"):
        matching_rows(FRAME, "tasks == 'rest'")
    with pytest.raises(BidsmillError, match=r"'hand_pref'.*perhaps 'hand pref'"):
        matching_rows(FRAME, "`hand_pref` == 'L'")
    with pytest.raises(BidsmillError, match=r"where.* is an expression as text"):
        matching_rows(FRAME, 3)
    with pytest.raises(BidsmillError, match="found: `hand pref` is 'L'"):
        matching_rows(FRAME, "`hand pref` is 'L'")


@pytest.mark.parametrize(
    ("expression", "todo"),
    [
        ("task = 'a=b'", "use == in place of ="),
        ("task == 'a' and row = 1", "use == in place of ="),
        ("(task == 'a') & (row == 1)", "use and in place of &"),
        ("task == 'a' | row == 1", "use or in place of |"),
        ("task == 'a' && row = 1", "use and in place of &, == in place of ="),
        ("task is 'a=b & c | d'", None),
        ("`a=b & c` is 'x'", None),
    ],
)
def test_signs_of_other_languages_are_translated(expression, todo):
    frame = FRAME.assign(**{"a=b & c": "x"})
    with pytest.raises(BidsmillError) as error:
        matching_rows(frame, expression)
    assert error.value.todo == todo


def test_values_that_no_row_has():
    frame = pd.DataFrame({"stimulus": ["face", "house", ""], "age": ["1", "x", ""], "n": [1, 2, 3]})
    few = frame.astype({"stimulus": "category"})
    for table in (frame, few):
        assert why_none(table, "stimulus == 'Face'") == "stimulus is never 'Face': perhaps 'face'"
        assert why_none(table, "n == 1 and stimulus in ['zzz', 'face']") == (
            "stimulus is never 'zzz': 'face', 'house'"
        )
        assert why_none(table, "3 < stimulus") == (
            "stimulus has text and no numbers: 'face', 'house'"
        )
        for expression in ("age > 5", "n == 7", "stimulus != 'Face'", "not stimulus == 'face'"):
            assert why_none(table, expression) is None
    many = pd.DataFrame({"name": [f"n{i}" for i in range(51)]})
    assert why_none(many, "name == 'N1'") is None
    assert why_none(many[:50], "name == 'N1'") is not None


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="task row age`'\"()[]<>=!.,01 andornti\\\n", max_size=40))
def test_any_text_gives_rows_or_an_error_for_people(expression):
    try:
        result = matching_rows(FRAME, expression)
    except BidsmillError:
        return
    assert result.dtype == bool and result.shape == (3,)
