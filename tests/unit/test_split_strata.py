"""Label and participant columns as strata."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from split_cases import alcoholism, fixed_windows

from bidsmill.errors import BidsmillError
from bidsmill.split.strata import (
    chosen_columns,
    count_strata,
    counted_rows,
    strata_of,
    stratum_weights,
)


def rows(number: int) -> pd.DataFrame:
    return fixed_windows([("01", "", "", "a", "")], windows=number)


def column_of(samples, name):
    return strata_of(samples, [name])[0]


def test_labels_means_every_label_and_a_list_may_name_participant_columns():
    samples = alcoholism().assign(participant_sex="m", other="x")
    assert chosen_columns(samples, ["label"], "labels") == ["label"]
    wanted = ["participant_sex", "label", "participant_sex"]
    assert chosen_columns(samples, ["label"], wanted) == ["participant_sex", "label"]
    assert chosen_columns(samples, ["label"], []) == []


@pytest.mark.parametrize("name", ["other", "participant_age", "subject"])
def test_a_column_that_is_not_allowed_is_refused_with_the_allowed_names(name):
    samples = alcoholism().assign(other="x")
    with pytest.raises(BidsmillError) as caught:
        chosen_columns(samples, ["label"], [name])
    assert repr(name) in str(caught.value)
    assert "label, participant_group" in str(caught.value)


def test_a_word_or_nothing_instead_of_a_list_is_refused():
    for wrong in ("label", None, 3):
        with pytest.raises(BidsmillError, match="no list of columns"):
            chosen_columns(alcoholism(), ["label"], wrong)


def test_empty_is_a_stratum_of_its_own():
    samples = rows(6).assign(label=["b", "a", "", "a", None, "b"])
    column = column_of(samples, "label")
    assert column.values == ("", "a", "b")
    assert column.codes.tolist() == [2, 1, 0, 1, 0, 2]
    assert not column.numeric


def test_the_same_number_is_one_class_however_it_is_stored():
    for values in ([1, 2, 1, 2], [1.0, 2.0, 1.0, 2.0], ["1", "2", "1", "2"], ["1", 2, 1.0, "2"]):
        samples = rows(4).assign(label=pd.Series(values, dtype=object))
        assert column_of(samples, "label").values == ("1", "2")


@pytest.mark.parametrize("as_text", [False, True])
def test_numbers_of_many_values_stand_in_quantile_bins(as_text):
    ages = np.arange(18, 68).astype(float)
    chance = np.random.default_rng(0)
    chance.shuffle(ages)
    samples = rows(51).assign(participant_age=[*ages, np.nan])
    if as_text:
        samples["participant_age"] = [*(str(int(a)) for a in ages), ""]
    column = column_of(samples, "participant_age")
    assert column.numeric
    bins = ("[18, 27]", "(27, 37]", "(37, 47]", "(47, 57]", "(57, 67]")
    assert column.values == ("", *bins)
    assert np.bincount(column.codes).tolist() == [1, 10, 10, 10, 10, 10]
    for age, code in zip(ages, column.codes, strict=False):
        assert code == 1 + min(4, max(0, int(np.ceil((age - 27) / 10))))


def test_quantiles_that_coincide_are_one_bin():
    values = [0.0] * 40 + [float(i) for i in range(1, 13)]
    column = column_of(rows(52).assign(label=values), "label")
    assert column.values == ("[0, 0]", "(0, 2]", "(2, 12]")
    assert np.bincount(column.codes).tolist() == [40, 2, 10]


def test_ten_distinct_numbers_are_classes():
    column = column_of(rows(20).assign(label=np.arange(20) % 10), "label")
    assert not column.numeric
    assert len(column.values) == 10


def test_words_that_only_look_like_numbers_make_no_bins():
    values = [f"{i}" for i in range(19)] + ["nan"]
    column = column_of(rows(40).assign(label=values * 2), "label")
    assert not column.numeric
    assert "nan" in column.values


def test_more_than_fifty_classes_are_refused_by_name():
    fifty = [f"c{i % 50}" for i in range(102)]
    assert len(column_of(rows(102).assign(label=fifty), "label").values) == 50
    with pytest.raises(BidsmillError, match=r"'label' cannot be balanced.*51 classes"):
        column_of(rows(102).assign(label=[f"c{i % 51}" for i in range(102)]), "label")


def test_a_value_of_its_own_in_every_row_is_refused_by_name():
    samples = rows(8).assign(label=[f"c{i}" for i in range(7)] + [""])
    with pytest.raises(BidsmillError, match=r"'label' cannot be balanced.*7 rows, each"):
        column_of(samples, "label")
    samples.loc[0, "label"] = "c1"
    assert len(column_of(samples, "label").values) == 7


def test_excluded_rows_and_empty_rooms_do_not_count():
    samples = fixed_windows(
        [("01", "", "", "a", "x"), ("EmptyRoom", "", "", "", "room"), ("", "", "", "", "nobody")],
        windows=3,
    )
    samples.loc[2, ["label", "excluded"]] = ["odd", "flat"]
    assert counted_rows(samples).tolist() == [True, True] + [False] * 7
    column = column_of(samples, "label")
    assert column.values == ("x",)
    assert column.codes.tolist() == [0, 0, -1] + [-1] * 6


def test_counts_agree_with_pandas():
    chance = np.random.default_rng(3)
    samples = rows(200).assign(
        label=chance.choice(["", "a", "b"], 200), value=chance.integers(0, 40, 200)
    )
    groups = chance.integers(-1, 6, 200)
    columns = strata_of(samples, ["label", "value"])
    counts = count_strata(columns, groups, 6)
    place = 0
    for column in columns:
        for code in range(len(column.values)):
            for group in range(6):
                expected = ((groups == group) & (column.codes == code)).sum()
                assert counts[group, place] == expected
            place += 1
    labels = pd.crosstab(groups[groups >= 0], samples["label"][groups >= 0])
    assert counts[:, :3].tolist() == labels.to_numpy().tolist()
    assert counts.shape[1] == place


def test_columns_weigh_the_same_and_share_their_weight():
    samples = rows(12).assign(label=list("aabbccaabbcc"), value=list("xyxyxyxyxyxy"))
    columns = strata_of(samples, ["label", "value"])
    balanced = np.array([True, True, False, True, True])
    weights = stratum_weights(columns, balanced)
    assert weights.tolist() == [0.5, 0.5, 0, 0.5, 0.5]
    assert stratum_weights(columns, np.zeros(5, dtype=bool)).tolist() == [0] * 5
