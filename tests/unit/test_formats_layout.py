"""Column names are distinct and otherwise untouched; a layout id moves with every ingredient."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bidsmill.formats.layout import column_names, layout_id

# Few letters, so that names meet often; with case, space, suffixes and a letter in two forms.
NAMES = st.lists(
    st.text(alphabet="aAbB-01 ß", max_size=4)
    | st.sampled_from(["É", "E\u0301", "ẞ", "ss", "SS", "channel-0", "channel-1", "µV", "μV"])
    | st.text(max_size=3),
    max_size=8,
)


@given(NAMES)
@example(["a", "A", "a-0", "A-0"])
@example(["", "channel-0"])
@example(["x", "X", "x-1", "x-0"])
def test_names_are_distinct_and_only_what_must_change_changes(sources):
    names = column_names(sources)
    assert len(names) == len(sources)
    assert len({name.casefold() for name in names}) == len(names)
    trimmed = [unicodedata.normalize("NFC", source).strip() for source in sources]
    filled = [name or f"channel-{index}" for index, name in enumerate(trimmed)]
    counts = Counter(name.casefold() for name in filled)
    for name, wanted in zip(names, filled, strict=True):
        if counts[wanted.casefold()] == 1:
            assert name == wanted
        else:
            assert re.fullmatch(re.escape(wanted) + r"-\d+", name)
    assert column_names(names) == names


@given(NAMES)
def test_numbers_of_equal_names_rise_in_file_order(sources):
    trimmed = [unicodedata.normalize("NFC", source).strip() for source in sources]
    numbers: dict[str, list[int]] = {}
    for name, wanted in zip(column_names(sources), trimmed, strict=True):
        if wanted and name != wanted:
            numbers.setdefault(wanted.casefold(), []).append(int(name.rpartition("-")[2]))
    for found in numbers.values():
        assert found == sorted(found)


@pytest.mark.parametrize(
    ("sources", "names"),
    [
        ([" Fz ", "Cz\t"], ["Fz", "Cz"]),
        (["Fz", "fz", "FZ"], ["Fz-0", "fz-1", "FZ-2"]),
        (["", "a", ""], ["channel-0", "a", "channel-2"]),
        (["x", "X", "x-0"], ["x-1", "X-2", "x-0"]),
        (["Fc5", "Fc5.", "F/c'\"5", "µV"], ["Fc5", "Fc5.", "F/c'\"5", "µV"]),
        (["E\u0301", "É"], ["É-0", "É-1"]),
        ([], []),
    ],
)
def test_names_by_hand(sources, names):
    assert column_names(sources) == names


def test_layout_id_moves_with_every_ingredient():
    base = (["a", "b"], ["eeg", "eog"], ["V", "V"], 128.0, 64)
    others = [
        (["b", "a"], *base[1:]),
        (["a", "c"], *base[1:]),
        (["a"], ["eeg"], ["V"], *base[3:]),
        (base[0], ["eeg", "eeg"], *base[2:]),
        (*base[:2], ["V", "T"], *base[3:]),
        (*base[:3], 128.5, 64),
        (*base[:4], 65),
        (["a,b"], ["eeg,eog"], ["V,V"], 128.0, 64),
    ]
    ids = [layout_id(*base), *(layout_id(*other) for other in others)]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch("[0-9a-f]{12}", found) for found in ids)


def test_layout_id_does_not_know_the_kind_of_number_or_sequence():
    import numpy as np

    base = layout_id(["a"], ["eeg"], ["V"], 128.0, 64)
    assert layout_id(("a",), ("eeg",), ("V",), 128, np.int64(64)) == base
    assert layout_id(["a"], ["eeg"], ["V"], np.float64(128), 64) == base


def test_layout_id_is_pinned():
    """A published layout must keep its id: stores hold it."""
    assert layout_id(["Fz", "Cz"], ["eeg", "eeg"], ["V", "V"], 250.0, 100) == "5eef1f63f550"
