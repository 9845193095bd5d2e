"""The split of whole datasets: real cases, refusals, fallbacks, and what the files state."""

from __future__ import annotations

import json
import os

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from split_cases import RATE, alcoholism, fixed_windows, p300, random_dataset

from bidsmill.errors import BidsmillError
from bidsmill.formats import tables
from bidsmill.formats.certificate import read_split, side_of_rows
from bidsmill.split.dataset import split_dataset, split_samples

LONG = bool(os.environ.get("BIDSMILL_LONG"))
SIDES = ["train", "validation", "test", "none"]


def split(samples, labels=("label",), **wish):
    return split_samples(samples, dataset="ds", labels=list(labels), settings=wish)


def run(folder, samples, labels=("label",), **wish):
    """Split through files; return the table, the certificate and the bytes of both files."""
    paths = folder / "samples.parquet", folder / "split.tsv", folder / "split.json"
    tables.write_parquet(paths[0], samples)
    returned = split_dataset(*paths, dataset="ds", labels=list(labels), settings=wish)
    table, certificate = read_split(*paths[1:])
    assert json.loads(json.dumps(returned)) == certificate
    return table, certificate, [path.read_bytes() for path in paths[1:]]


def check_consistent(samples, table, certificate):
    """Check what every split must keep, straight from the rows."""
    side = side_of_rows(samples, table)
    kept = (samples["excluded"] == "").to_numpy()
    for name in SIDES:
        assert certificate["rows"][name] == (kept & (side == name)).sum()
        assert certificate["rows_excluded"][name] == (~kept & (side == name)).sum()
        assert certificate["groups"][name] == (table["split"] == name).sum()
    assert sum(certificate["rows"].values()) == kept.sum()
    assert certificate["proof"]["overlapping_windows"] == 0
    on_sides = samples.assign(side=side)[side != "none"]
    several = on_sides.groupby("subject")["side"].nunique() > 1
    assert certificate["proof"]["shared_subjects"] == several.sum()
    for record in certificate["balance"]:
        if not record["value"].startswith(("[", "(")):
            rows = kept & (samples[record["column"]] == record["value"]).to_numpy()
            assert [record[name] for name in SIDES] == [(rows & (side == n)).sum() for n in SIDES]
            assert record["total"] == rows.sum()
    return side


def objective_from(certificate) -> float:
    """Return the objective from the table of balance: columns weigh the same, and so all rows."""
    rows = certificate["rows"]
    placed = rows["train"] + rows["validation"] + rows["test"]
    target = certificate["settings"]["test"]
    parts = [abs(rows["test"] / placed - target)]
    records = pd.DataFrame([r for r in certificate["balance"] if not r["impossible"]])
    if len(records):
        parts += list(records.groupby("column")["deviation"].apply(lambda d: d.abs().mean()))
    return float(np.mean(parts))


def test_twenty_subjects_of_two_groups_are_split_exactly(tmp_path):
    samples = alcoholism()
    table, certificate, _ = run(tmp_path, samples)
    assert table.loc[table["split"] == "test", "group"].tolist() == [
        "sub-co2a0000",
        "sub-co2a0001",
        "sub-co2c0000",
        "sub-co2c0001",
    ]
    assert (table["rows"] == 5).all()
    assert (certificate["status"], certificate["level"]) == ("done", "subject")
    assert (certificate["objective"], certificate["bound"], certificate["gap"]) == (0, 0, 0)
    shares = [(r["value"], r["total"], r["test"], r["share"]) for r in certificate["balance"]]
    assert shares == [("alcoholic", 50, 10, 0.2), ("control", 50, 10, 0.2)]
    assert certificate["proof"]["shared_subjects"] == 0
    assert "No subject stands on two sides" in certificate["proof"]["statement"]
    assert certificate["solver"].startswith("HiGHS ")
    check_consistent(samples, table, certificate)


def test_two_subjects_are_refused(tmp_path):
    samples = p300()
    table, certificate, _ = run(tmp_path, samples)
    assert certificate["status"] == "refused"
    assert certificate["reason"] == "level subject: 2 groups have rows that count; 3 are needed"
    assert table["split"].tolist() == ["none", "none"]
    assert certificate["rows"]["none"] == len(samples) == table["rows"].sum()
    assert certificate["objective"] is None
    assert certificate["balance"][0]["share"] is None
    assert (side_of_rows(samples, table) == "none").all()


def test_the_fallback_to_sessions_is_stated(tmp_path):
    samples = p300()
    table, certificate, _ = run(tmp_path, samples, fallback="session")
    assert (certificate["status"], certificate["level"]) == ("done", "session")
    assert certificate["level_wished"] == "subject"
    assert certificate["refused_levels"][0]["level"] == "subject"
    assert "2 groups" in certificate["reason"]
    assert (table["split"] == "test").sum() == 1
    check_consistent(samples, table, certificate)


def test_subjects_on_both_sides_are_named(tmp_path):
    samples = p300()
    _, certificate, _ = run(tmp_path, samples, group="run")
    proof = certificate["proof"]
    assert proof["shared_subjects"] == len(proof["subjects_on_several_sides"]) > 0
    assert "not to new people" in proof["statement"]


def test_levels_between_the_wish_and_the_fallback_are_tried_first():
    two_sessions = fixed_windows(
        [(s, s, r, "a", "x") for s in ("1", "2") for r in ("1", "2")], windows=40
    )
    _, certificate = split(two_sessions, fallback="time")
    assert certificate["level"] == "run"
    assert [r["level"] for r in certificate["refused_levels"]] == ["subject", "session"]
    one_run = two_sessions[two_sessions["session"] == "1"]
    _, certificate = split(one_run[one_run["run"] == "1"], fallback="time", gap=2)
    assert certificate["level"] == "time"
    _, certificate = split(one_run[one_run["run"] == "1"], fallback="run")
    assert certificate["status"] == "refused"
    assert [r["level"] for r in certificate["refused_levels"]] == ["subject", "session", "run"]


@pytest.mark.parametrize(("gap", "validation"), [(10.0, 0.0), (2.0, 0.0), (0.0, 0.0), (3.0, 0.2)])
def test_pieces_of_time_keep_the_gap(tmp_path, gap, validation):
    samples = p300()
    wish = {"group": "time", "gap": gap, "validation": validation}
    table, certificate, _ = run(tmp_path, samples, **wish)
    assert certificate["status"] == "done"
    side = check_consistent(samples, table, certificate)
    for _, part in samples.assign(side=side).groupby("recording"):
        for name in ("train", "validation", "test"):
            own = part[part["side"] == name]
            others = part[~part["side"].isin([name, "none"])]
            start, stop = others["start"].to_numpy(), others["stop"].to_numpy()
            for window in own.itertuples():
                distance = np.maximum(start - window.stop, window.start - stop)
                assert (distance >= gap * RATE).all()
    assert set(side) >= {"train", "test"} | ({"validation"} if validation else set())
    rows = certificate["rows"]
    assert rows["test"] / (len(samples) - rows["none"]) == pytest.approx(0.2, abs=0.06)


def test_pieces_of_test_hold_what_the_optimiser_counted():
    samples = p300()
    table, certificate = split(samples, group="time", gap=4.0)
    side = side_of_rows(samples, table)
    parts = [abs((side == "test").mean() - 0.2)]
    shares = [(side[samples["label"] == v] == "test").mean() for v in ("target", "non-target")]
    parts.append(np.mean(np.abs(np.array(shares) - 0.2)))
    assert certificate["objective"] == pytest.approx(np.mean(parts), abs=1e-11)


@pytest.mark.parametrize("seed", range(6))
def test_the_sides_of_rows_are_those_that_were_balanced(seed):
    samples = random_dataset(seed, 12)
    wish = {"group": ("subject", "session", "run")[seed % 3]}
    table, certificate = split(samples, stratify=["label", "participant_group"], **wish)
    check_consistent(samples, table, certificate)
    assert certificate["objective"] == pytest.approx(objective_from(certificate), abs=1e-11)
    assert certificate["bound"] <= certificate["objective"]
    expected = certificate["objective"] - certificate["bound"]
    assert certificate["gap"] == pytest.approx(expected, abs=1e-11)


def test_three_sides():
    samples = alcoholism()
    table, certificate = split(samples, test=0.2, validation=0.1)
    check_consistent(samples, table, certificate)
    assert certificate["groups"] == {"train": 14, "validation": 2, "test": 4, "none": 0}
    assert [r["validation"] for r in certificate["balance"]] == [5, 5]
    assert certificate["validation"]["objective"] == pytest.approx(0, abs=1e-12)


def test_a_share_too_far_from_the_wish_is_refused():
    """One subject has 85 of 105 rows: test is 20 rows, or 10, or nearly all of them."""
    samples = pd.concat(
        [
            fixed_windows([("01", "", "", "a", "x")], windows=85),
            fixed_windows([("02", "", "", "a", "x"), ("03", "", "", "a", "x")], windows=10),
        ]
    )
    _, certificate = split(samples, test=0.45)
    assert certificate["status"] == "refused"
    assert "the nearest share of test is 0.190" in certificate["reason"]
    _, certificate = split(samples, test=0.2)
    assert certificate["status"] == "done"


def test_excluded_rows_do_not_count_but_follow_their_group():
    samples = alcoholism()
    gone = samples["subject"].isin(["co2a0000", "co2a0001", "co2c0000"])
    samples.loc[gone, "excluded"] = "flat"
    table, certificate = split(samples, test=0.25)
    side = check_consistent(samples, table, certificate)
    assert certificate["rows_excluded"]["train"] == 15
    assert table.loc[
        table["group"] == "sub-co2a0000", ["rows", "rows_excluded"]
    ].values.tolist() == [[0, 5]]
    assert (side[gone] == "train").all()


def test_empty_rooms_and_rows_without_subject_are_on_no_side():
    others = fixed_windows([("EMPTYROOM", "1", "", "", "x"), ("", "", "", "", "x")])
    samples = pd.concat([alcoholism(), others], ignore_index=True)
    for level in ("subject", "session", "run", "time"):
        table, certificate = split(samples, group=level, gap=0)
        side = side_of_rows(samples, table)
        assert certificate["status"] == "done"
        assert (side[-10:] == "none").all()
        assert not (side[:-10] == "none").any()
        assert certificate["rows"]["none"] == 10
        assert [r["value"] for r in certificate["balance"]] == ["alcoholic", "control"]


def test_a_class_of_one_group_is_impossible_and_costs_nothing():
    samples = alcoholism()
    samples.loc[samples["subject"] == "co2a0003", "label"] = "odd"
    _, certificate = split(samples)
    assert certificate["impossible"] == [{"column": "label", "value": "odd", "rows": 5}]
    flags = {r["value"]: r["impossible"] for r in certificate["balance"]}
    assert flags == {"alcoholic": False, "control": False, "odd": True}
    assert certificate["objective"] == pytest.approx(objective_from(certificate), abs=1e-11)


@pytest.mark.parametrize(
    ("wish", "reason"),
    [
        ({"stratify": ["face"]}, "'face'"),
        ({"stratify": ["unique"]}, "'unique'"),
        ({"stratify": "everything"}, "no list of columns"),
        ({"test": 0.0}, "leave nothing"),
        ({"test": 0.7, "validation": 0.3}, "leave nothing"),
        ({"test": "many"}, "test is no number"),
        ({"gap": float("nan")}, "gap or seed"),
        ({"group": "site"}, "unknown group"),
        ({"fallback": "site"}, "unknown fallback"),
        ({"shuffle": True}, "unknown keys; found: shuffle"),
    ],
)
def test_a_wrong_configuration_is_refused_with_its_reason(tmp_path, wish, reason):
    samples = alcoholism()
    samples["unique"] = [f"w{i}" for i in range(len(samples))]
    table, certificate, _ = run(
        tmp_path, samples, labels=["label", "unique"], **{"stratify": ["label"], **wish}
    )
    assert certificate["status"] == "refused"
    assert reason in certificate["reason"]
    assert len(table) == 20
    assert set(table["split"]) == {"none"}


def test_samples_without_needed_columns_are_an_error(tmp_path):
    with pytest.raises(BidsmillError, match=r"lack columns.*onset"):
        run(tmp_path, alcoholism().drop(columns="onset"))


def test_no_rows_are_refused(tmp_path):
    table, certificate, _ = run(tmp_path, alcoholism().iloc[:0])
    assert certificate["status"] == "refused"
    assert "0 groups have rows" in certificate["reason"]
    assert table.empty


@settings(max_examples=60 if LONG else 8, deadline=None)
@given(
    st.integers(0, 10**6),
    st.integers(3, 9),
    st.sampled_from(["subject", "session", "run", "time"]),
    st.sampled_from([0.0, 0.25]),
)
def test_neither_the_order_of_rows_nor_their_storage_matters(seed, subjects, level, validation):
    samples = random_dataset(seed, subjects)
    wish = {"group": level, "gap": 0.5, "validation": validation, "test": 0.25}
    table, certificate = split(samples, **wish)
    shuffled = samples.sample(frac=1, random_state=seed % 1000)
    for name in ("label", "recording", "subject"):
        shuffled[name] = shuffled[name].astype(object)
    shuffled["row"] = shuffled["row"].astype(float)
    again, certificate_again = split(shuffled, **wish)
    pd.testing.assert_frame_equal(table, again)
    assert certificate == certificate_again
    side = check_consistent(samples, table, certificate)
    if certificate["status"] == "done":
        assert {"train", "test"} <= set(side)
        if level == "subject":
            assert samples.assign(side=side).groupby("subject")["side"].nunique().max() == 1
            assert not (side == "none").any()


def test_files_have_the_same_bytes_and_know_their_input(tmp_path):
    samples = random_dataset(1, 8)
    folders = [tmp_path / name for name in "abc"]
    for folder in folders:
        folder.mkdir()
    _, one, bytes_one = run(folders[0], samples)
    _, _, bytes_two = run(folders[1], samples.sample(frac=1, random_state=2))
    assert bytes_one == bytes_two
    other = samples.copy()
    other.loc[0, "label"] = "changed"
    _, two, _ = run(folders[2], other)
    assert one["inputs"]["sha256"] != two["inputs"]["sha256"]
    text = bytes_one[1].decode()
    assert str(tmp_path) not in text
    other = samples.assign(HED="Event", value="1")
    assert split(other)[1]["inputs"] == one["inputs"]


def test_real_participants_are_split_by_subject_and_group(corpus):
    """uci_alcoholism: the people of the archive's own participants.tsv, 5 windows each."""
    people = pd.read_csv(corpus / "uci_alcoholism" / "participants.tsv", sep="\t", dtype=str)
    samples = fixed_windows(
        [(p.participant_id[4:], "", "", p.group, p.group) for p in people.itertuples()]
    )
    table, certificate = split(samples, stratify=["participant_group"])
    assert [r["test"] for r in certificate["balance"]] == [10, 10]
    assert certificate["objective"] == 0
    chosen = table.loc[table["split"] == "test", "group"]
    groups = people.set_index("participant_id")["group"][chosen]
    assert groups.value_counts().to_dict() == {"alcoholic": 2, "control": 2}


def test_real_events_are_split_by_session_and_time(corpus):
    """muse_p300: two subjects, windows around the events of the archive's own tables."""
    rows = []
    for path in sorted((corpus / "muse_p300").rglob("*_events.tsv")):
        subject, session, task, number = (part.split("-")[1] for part in path.name.split("_")[:4])
        events = pd.read_csv(path, sep="\t")
        for i, event in enumerate(events.itertuples()):
            start = event.sample - round(0.2 * RATE)
            stem = path.name.replace("_events.tsv", "_eeg")
            place = (stem, i, event.onset, start, start + RATE)
            rows.append((*place, subject, session, task, number, "", event.trial_type, ""))
    samples = pd.DataFrame(rows, columns=alcoholism().columns)
    assert split(samples)[1]["status"] == "refused"
    table, certificate = split(samples, fallback="session")
    assert certificate["level"] == "session"
    check_consistent(samples, table, certificate)
    table, certificate = split(samples, group="time", gap=5.0)
    side = check_consistent(samples, table, certificate)
    for _, part in samples.assign(side=side).groupby("recording"):
        train, test = part[part["side"] == "train"], part[part["side"] == "test"]
        for window in test.itertuples():
            far = np.maximum(train["start"] - window.stop, window.start - train["stop"])
            assert (far >= 5 * RATE).all()
