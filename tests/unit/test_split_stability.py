"""Who was placed stays placed: random histories, removals, moves by name, and their cost."""

from __future__ import annotations

import itertools
import os

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from split_cases import alcoholism, fixed_windows, p300, random_dataset

from bidsmill.errors import BidsmillError
from bidsmill.formats import files
from bidsmill.formats.certificate import read_split, side_of_rows, write_split
from bidsmill.formats.placements import placements_after
from bidsmill.split.dataset import split_samples
from bidsmill.split.merging import Links
from bidsmill.split.optimiser import choose_groups
from bidsmill.split.placed import Previous

LONG = bool(os.environ.get("BIDSMILL_LONG"))
CLASSES = ["face", "house", "tool"]


def split(samples, previous=None, links=None, **wish):
    return split_samples(
        samples, dataset="ds", labels=["label"], settings=wish, previous=previous, links=links
    )


def after(table, certificate) -> Previous | None:
    """Return the split as the next one gets it: through the bytes of its certificate."""
    content = files.json_bytes(certificate)
    assert content  # JSON can hold it
    placements = placements_after(table, certificate)
    return Previous("store", "v", "s", placements) if placements else None


def sides_of(table) -> dict[str, str]:
    return {
        m: s for g, s in zip(table["members"], table["split"], strict=True) for m in g.split(", ")
    }


def subject(name: str, seed: int) -> pd.DataFrame:
    """Return one subject with few or many windows of some classes."""
    chance = np.random.default_rng(seed)
    own = fixed_windows([(name, "", "", "a", "")], windows=int(chance.integers(2, 12)))
    own["label"] = chance.choice(CLASSES, size=len(own), p=chance.dirichlet(np.ones(3)))
    return own


def best_objective(samples, held: dict[str, str], share: float) -> float:
    """Try every choice of the groups that are not held; straight from the definition."""
    names = "sub-" + samples["subject"]
    table = pd.crosstab(names, samples["label"])
    table = table.loc[:, (table > 0).sum() > 1]
    free = [name for name in table.index if name not in held]
    inside = [name for name in table.index if held.get(name) == "test"]
    total = names.value_counts()
    found = []
    for size in range(len(free) + 1):
        for chosen in itertools.combinations(free, size):
            test = [*inside, *chosen]
            if not 0 < len(test) < len(table):
                continue
            parts = [abs(total[test].sum() / total.sum() - share)]
            if len(table.columns):
                reached = table.loc[test].sum() / table.sum()
                parts.append((reached - share).abs().mean())
            found.append(float(np.mean(parts)))
    return min(found)


class History(RuleBasedStateMachine):
    """People come, go and come back; every version of the dataset is split."""

    def __init__(self):
        super().__init__()
        self.people: dict[str, pd.DataFrame] = {}
        self.absent: dict[str, pd.DataFrame] = {}
        self.where: dict[str, str] = {}
        self.previous: Previous | None = None
        self.news = False

    @rule(seeds=st.lists(st.integers(0, 10**6), min_size=1, max_size=4))
    def come(self, seeds):
        for seed in seeds:
            name = f"{(seed * 7919) % 1000:03}"
            if name not in self.absent and len(self.people) < 12:
                self.people.setdefault(name, subject(name, seed))
        self.news = True

    @precondition(lambda self: self.people)
    @rule(place=st.integers(0, 100), number=st.integers(1, 3))
    def go(self, place, number):
        for _ in range(min(number, len(self.people))):
            name = sorted(self.people)[place % len(self.people)]
            self.absent[name] = self.people.pop(name)
        self.news = True

    @precondition(lambda self: self.absent)
    @rule(place=st.integers(0, 100))
    def come_back(self, place):
        name = sorted(self.absent)[place % len(self.absent)]
        self.people[name] = self.absent.pop(name)
        self.news = True

    @invariant()
    def nobody_moves(self):
        if not (self.news and self.people):
            return
        self.news = False
        samples = pd.concat(self.people.values(), ignore_index=True)
        table, certificate = split(samples, self.previous, test=0.3)
        if len(self.people) % 3 == 0:
            shuffled = samples.sample(frac=1, random_state=1)
            again, certificate_again = split(shuffled, self.previous, test=0.3)
            pd.testing.assert_frame_equal(table, again)
            assert certificate == certificate_again
        held = {name: side for name, side in self.where.items() if name[4:] in self.people}
        sides = {name: side for name, side in sides_of(table).items() if side != "none"}
        assert {name: sides[name] for name in held if name in sides} == (held if sides else {})
        self.where |= sides
        self.previous = after(table, certificate)
        known = {e["group"]: e["split"] for e in self.previous.placements} if self.previous else {}
        assert known == self.where
        if certificate["status"] == "done":
            assert len(sides) == len(self.people) and {"train", "test"} <= set(sides.values())
            best = best_objective(samples, held, 0.3)
            assert certificate["bound"] - 1e-9 <= best <= certificate["objective"] + 1e-9
            assert certificate["objective"] <= best + certificate["gap"] + 1e-9
            assert (certificate["previous"] or {"moved": []})["moved"] == []
        else:
            stuck = len(set(held.values())) == 1 and set(held) == {f"sub-{n}" for n in self.people}
            assert len(self.people) < 3 or stuck or (not held and "share" in certificate["reason"])


History.TestCase.settings = settings(
    max_examples=100 if LONG else 8,
    stateful_step_count=10 if LONG else 5,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
TestHistory = History.TestCase


@pytest.mark.parametrize("seed", range(6))
def test_held_groups_are_chosen_around_as_brute_force_does(seed):
    chance = np.random.default_rng(seed)
    size = 9
    rows = chance.integers(1, 40, size)
    counts = np.array([chance.multinomial(n, chance.dirichlet(np.ones(3))) for n in rows])
    names = [f"g{i}" for i in range(size)]
    held = {names[0]: True, names[1]: False, names[2]: seed % 2 == 0}
    choice = choose_groups(names, counts, rows, np.full(3, 1 / 3), 0.3, held=held)
    inside = {name for name, is_in in held.items() if is_in}
    assert inside <= set(choice.groups) and not {n for n in held if not held[n]} & set(
        choice.groups
    )
    found = []
    columns = np.column_stack([rows, counts])
    for picks in itertools.product([False, True], repeat=size - 3):
        taken = np.array([held[n] for n in names[:3]] + list(picks))
        off = np.abs(columns[taken].sum(axis=0) / columns.sum(axis=0) - 0.3)
        found.append((off[0] + off[1:].mean()) / 2)
    assert choice.objective == pytest.approx(min(found), abs=choice.gap + 1e-9)
    assert choice.bound <= min(found) + 1e-9


def test_groups_that_are_all_held_cost_what_they_cost():
    names, rows = ["a", "b", "c"], np.array([10, 20, 30])
    held = {"a": False, "b": True, "c": False}
    choice = choose_groups(names, rows[:, None], rows, np.ones(1), 0.2, held=held)
    assert choice.groups == ("b",)
    assert choice.objective == pytest.approx(1 / 3 - 0.2)
    assert choice.gap == pytest.approx(0, abs=1e-9)
    with pytest.raises(BidsmillError, match="held on one side"):
        choose_groups(names, rows[:, None], rows, np.ones(1), 0.2, held=dict.fromkeys(names, True))


def test_the_cost_of_staying_is_stated():
    samples = alcoholism()
    table, certificate = split(samples)
    gone = samples["subject"].isin(["co2a0000", "co2a0001"])
    _, certificate = split(samples[~gone], after(table, certificate))
    previous = certificate["previous"]
    assert (previous["stayed"], previous["new"], previous["moved"]) == (18, 0, [])
    assert [(e["group"], e["split"]) for e in certificate["remembered"]] == [
        ("sub-co2a0000", "test"),
        ("sub-co2a0001", "test"),
    ]
    # Nobody of 8 alcoholics, 2 of 10 controls; without the past it would be 2 of 8 and 2 of 10.
    assert previous["cost"]["objective"] == pytest.approx((abs(2 / 18 - 0.2) + 0.1) / 2)
    assert previous["cost"]["objective_without"] == pytest.approx((4 / 18 - 0.2 + 0.025) / 2)
    assert previous["cost"]["cost"] > 0


def test_groups_move_only_by_name():
    samples = alcoholism()
    first, certificate = split(samples)
    before = after(first, certificate)
    wish = {"move": {"sub-co2a0004": "test", "sub-none": "train"}, "release": ["sub-co2a0000"]}
    table, certificate = split(samples, before, **wish)
    old, new = sides_of(first), sides_of(table)
    assert {name for name in old if old[name] != new[name]} == {"sub-co2a0000", "sub-co2a0004"}
    assert [(m["members"], m["to"], m["why"]) for m in certificate["previous"]["moved"]] == [
        (["sub-co2a0000"], "train", "released"),
        (["sub-co2a0004"], "test", "asked"),
    ]
    assert certificate["unknown"] == ["sub-none"]
    assert certificate["objective"] == 0
    again, certificate = split(samples, after(table, certificate), **wish)
    assert sides_of(again) == new and certificate["previous"]["moved"] == []


@pytest.mark.parametrize(
    ("wish", "reason"),
    [
        ({"move": {"sub-co2a0001": "validation"}}, "move puts groups on sides that there are not"),
        ({"move": {"sub-co2a0001": "left"}}, "left"),
        ({"move": ["sub-co2a0001"]}, "move puts groups"),
        ({"release": "sub-co2a0001"}, "release is no list"),
        ({"move": {"sub-co2a0001": "test", "sub-co2a0002": "train"}}, "on two sides"),
    ],
)
def test_wrong_names_are_refused(wish, reason):
    links = Links(people=((("sub-co2a0001", "sub-co2a0002"), "declared"),))
    _, certificate = split(alcoholism(), links=links, **wish)
    assert certificate["status"] == "refused" and reason in certificate["reason"]
    files.json_bytes(certificate)


def test_of_merged_groups_train_wins_and_the_move_is_stated():
    samples = alcoholism()
    table, certificate = split(samples)
    links = Links(people=((("sub-co2a0001", "sub-co2a0007"), "declared"),))
    table, certificate = split(samples, after(table, certificate), links)
    assert certificate["previous"]["moved"] == [
        {
            "group": "sub-co2a0001",
            "members": ["sub-co2a0001"],
            "from": "test",
            "to": "train",
            "why": "merged",
        }
    ]
    assert certificate["proof"]["shared_subjects"] == 0
    assert sides_of(table)["sub-co2a0007"] == "train"


def test_a_refused_split_forgets_nobody():
    samples = alcoholism()
    table, certificate = split(samples)
    before = after(table, certificate)
    few = samples[samples["subject"].isin(["co2a0000", "co2c0005"])]
    table, certificate = split(few, before)
    assert certificate["status"] == "refused" and set(table["split"]) == {"none"}
    assert certificate["previous"]["moved"] == []
    assert after(table, certificate).placements == before.placements
    only_train = samples[samples["subject"].str.endswith(("5", "6", "7"))]
    table, certificate = split(only_train, before)
    assert "every group that is left was placed on train before" in certificate["reason"]
    assert after(table, certificate).placements == before.placements


def test_rows_that_are_excluded_do_not_set_a_group_free():
    samples = alcoholism()
    table, certificate = split(samples)
    before = after(table, certificate)
    samples.loc[samples["subject"] == "co2a0000", "excluded"] = "flat"
    table, certificate = split(samples, before)
    assert sides_of(table)["sub-co2a0000"] == "test"
    assert certificate["rows_excluded"]["test"] == 5


@pytest.mark.parametrize("level", ["session", "run", "time"])
def test_every_level_stays(level):
    samples = random_dataset(3, 7)
    wish = {"group": level, "gap": 0.5, "test": 0.25}
    half = samples[samples["subject"] < "005"]
    table, certificate = split(half, **wish)
    side = side_of_rows(half, table)
    grown, certificate = split(samples, after(table, certificate), **wish)
    assert certificate["status"] == "done" and certificate["previous"]["moved"] == []
    new = side_of_rows(samples, grown)[(samples["subject"] < "005").to_numpy()]
    moved = (side != new) & (side != "none") & (new != "none")
    assert not moved.any()
    assert certificate["previous"]["level"] == level


def test_the_level_of_before_is_kept_and_a_finer_one_keeps_the_sides():
    """Two subjects by session; with four more the subjects would do, but sessions stay."""
    samples = p300()
    table, certificate = split(samples, fallback="session")
    assert certificate["level"] == "session"
    more = pd.concat([samples, *(subject(f"9{i}", i) for i in range(4))], ignore_index=True)
    _, certificate = split(more, after(table, certificate), fallback="session")
    assert (certificate["level"], certificate["previous"]["moved"]) == ("session", [])
    assert "the split before is by session" in certificate["refused_levels"][0]["reason"]
    by_subject, certificate = split(alcoholism())
    _, certificate = split(alcoholism(), after(by_subject, certificate), group="run")
    assert certificate["previous"]["moved"] == []
    assert certificate["rows"]["test"] == 20


def test_validation_may_begin_and_end():
    samples = alcoholism()
    table, certificate = split(samples)
    before = after(table, certificate)
    with_three, certificate = split(samples, before, validation=0.2)
    assert certificate["groups"] == {"train": 12, "validation": 4, "test": 4, "none": 0}
    assert {(m["from"], m["to"], m["why"]) for m in certificate["previous"]["moved"]} == {
        ("train", "validation", "validation")
    }
    again, certificate = split(samples, after(with_three, certificate), validation=0.2)
    assert sides_of(again) == sides_of(with_three) and certificate["previous"]["moved"] == []
    two, certificate = split(samples, after(with_three, certificate))
    assert sides_of(two) == sides_of(table)


def test_a_split_of_before_goes_through_files(tmp_path):
    samples = p300()
    table, certificate = split(samples, group="time", gap=4.0)
    paths = tmp_path / "split.tsv", tmp_path / "split.json"
    write_split(*paths, table, certificate)
    assert placements_after(*read_split(*paths)) == placements_after(table, certificate)
    again, certificate = split(samples, after(table, certificate), group="time", gap=4.0)
    pd.testing.assert_frame_equal(again, table)
