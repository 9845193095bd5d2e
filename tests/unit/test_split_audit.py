"""The audit finds what was planted, says nothing of clean stores, and never shows a traceback."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from audit_cases import Published, Recording, noise, people, split_sides
from scipy.signal import resample_poly
from sklearn.metrics import homogeneity_score

from bidsmill import cli
from bidsmill.formats import certificate
from bidsmill.signal.design import design_band
from bidsmill.signal.filters import Filtered
from bidsmill.signal.resample import Resampled
from bidsmill.signal.source import ArraySignal
from bidsmill.split.audit.candidates import Collector
from bidsmill.split.audit.confounds import uncertainty
from bidsmill.split.audit.finding import summary
from bidsmill.split.audit.run import audit_results, audit_store
from bidsmill.split.audit.windows import reach_of

SHARE_OF_CLEAN = 25


def codes(findings, severity=None) -> set[str]:
    return {f.code for f in findings if severity in (None, f.severity)}


def leaks(root, **details) -> set[str]:
    return codes(audit_store(root, **details), "leak")


def one_and_other(dataset: Published) -> tuple[int, int]:
    """Return the place of a recording of train, and of one of test."""
    sides = split_sides(dataset)
    order = [sides[r.name] for r in dataset.recordings]
    return order.index("train"), order.index("test")


def with_copy(root, change, number: int = 6, **own) -> Published:
    """Publish a dataset in which a recording of test is made from one of train."""
    dataset = Published(root, people(number, **own))
    train, test = (dataset.recordings[i] for i in one_and_other(dataset))
    test.rows = np.ascontiguousarray(change(train), dtype=np.float32)
    test.names, test.types = test.names[: test.rows.shape[1]], test.types[: test.rows.shape[1]]
    return dataset.publish()


# Clean stores


def random_store(root, seed: int) -> Published:
    """Publish a store without a leak: rates, windows, levels, artefacts by chance."""
    chance = np.random.default_rng([seed, 7])
    rate = float(chance.choice([100, 128, 250]))
    window = int(rate * chance.choice([0.3, 0.5, 1.0]))
    step = window // int(chance.choice([1, 1, 2]))
    channels, slope = int(chance.integers(1, 7)), float(chance.choice([0, 1, 2]))
    level = str(chance.choice(["subject", "subject", "subject", "run", "time"]))
    artefact = str(chance.choice(["", "", "pulses", "line", "locked", "flat"]))
    recordings = []
    for i in range(int(chance.integers(4, 7))):
        for run in ("1", "2")[: 2 if level == "run" else 1]:
            signal = noise([seed, i, int(run)], channels, int(rate * 9), slope)
            signal = with_artefact(signal, artefact, window, rate)
            recordings.append(
                Recording(f"{i:02}", signal, run=run, sfreq=rate, window=window, step=step)
            )
    settings = {"test": 0.3, "group": level, "gap": 1.0, "validation": float(seed % 4 == 0) * 0.2}
    return Published(root, recordings, settings=settings, seed=seed).publish()


def with_artefact(signal: np.ndarray, kind: str, window: int, rate: float) -> np.ndarray:
    """Add what is the same in every recording, 100 times larger than the signal."""
    times = np.arange(signal.shape[1])
    if kind == "pulses":
        signal = signal + 1e-3 * (times % 17 == 0)
    elif kind == "line":
        signal = signal + 1e-3 * np.sin(2 * np.pi * 10.0 * times / rate)
    elif kind == "locked":
        signal = signal + 1e-3 * np.exp(-(((times % window) - window // 2) ** 2) / 20.0)
    elif kind == "flat":
        signal = signal.copy()
        signal[0] = 0.0
        signal[:, : 3 * window] = 1e-5
    return signal.astype(np.float32)


def is_clean(root, seed: int) -> None:
    dataset = random_store(root, seed)
    found = audit_store(root)
    expected = set()
    if dataset.content["status"] == "done" and dataset.content["level"] != "subject":
        expected = {"known_subjects"}
    assert codes(found) <= expected, (seed, [f.message for f in found], found[0].places)
    assert summary(found)["clean"]


@pytest.mark.parametrize("seed", range(SHARE_OF_CLEAN))
def test_nothing_is_said_of_a_clean_store(tmp_path, seed):
    is_clean(tmp_path, seed)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(SHARE_OF_CLEAN, 200))
def test_nothing_is_said_of_200_clean_stores(tmp_path, seed):
    is_clean(tmp_path, seed)


# Leaks that the tables show


def subject_on_two_sides(dataset):
    side = dataset.samples["split"].to_numpy(dtype=object).copy()
    first = np.flatnonzero(side == "test")[:2]
    side[first] = "train"
    dataset.samples["split"] = side


def nobody(dataset):
    dataset.samples.loc[dataset.samples["subject"] == "02", "subject"] = "emptyroom"


def twice(dataset):
    train, _ = one_and_other(dataset)
    name = dataset.recordings[train].name
    rows = dataset.samples[dataset.samples["recording"] == name].head(2).assign(split="test")
    dataset.samples = pd.concat([dataset.samples, rows], ignore_index=True)


def other_counts(dataset):
    dataset.content["rows"]["train"] += 1


def other_inputs(dataset):
    dataset.samples.loc[0, "onset"] += 0.5


def merged(dataset):
    train, test = (f"sub-{dataset.recordings[i].subject}" for i in one_and_other(dataset))
    dataset.content["merged"] = [{"members": [train, test], "reason": "same signals"}]


def odd_side(dataset):
    dataset.samples.loc[:1, "split"] = "holdout"


def wrong_file(dataset):
    dataset.samples["file"] = "datasets/ds/files/matrix/other.parquet"


def beyond(dataset):
    dataset.samples.loc[0, "row"] = 999


def declared(fitted_on):
    def edit(dataset):
        for recording in dataset.recordings:
            recording.processing = [{"step": "zscore", "fitted_on": fitted_on}]

    return edit


def jointly(dataset):
    for i, recording in enumerate(dataset.recordings):
        recording.rows = recording.rows * np.float32(1 + 0.3 * i) + np.float32(2e-6 * i)
    rows = np.concatenate([r.rows for r in dataset.recordings]).astype(float)
    mean, std = rows.mean(axis=(0, 2)), rows.std(axis=(0, 2))
    for recording in dataset.recordings:
        scaled = (recording.rows - mean[:, np.newaxis]) / std[:, np.newaxis]
        recording.rows = scaled.astype(np.float32)


def same_source(dataset):
    train, test = one_and_other(dataset)
    dataset.recordings[test].source = dataset.recordings[train].source


TABLE_LEAKS = {
    "subject_on_several_sides": subject_on_two_sides,
    "split_contradicts_table": subject_on_two_sides,
    "certificate_contradicts_samples": other_counts,
    "certificate_of_other_samples": other_inputs,
    "nobody_on_a_side": nobody,
    "row_on_several_sides": twice,
    "merged_group_on_several_sides": merged,
    "side_unknown": odd_side,
    "row_names_another_file": wrong_file,
    "row_without_signal": beyond,
    "normalised_on_other_sides": declared("dataset"),
    "normalised_over_sides": jointly,
    "same_source_file": same_source,
}


@pytest.mark.parametrize("code", TABLE_LEAKS)
def test_a_leak_of_the_tables_is_found(tmp_path, code):
    dataset = Published(tmp_path, people())
    TABLE_LEAKS[code](dataset)
    dataset.publish()
    found = audit_store(tmp_path, ["ds"])
    assert code in codes(found, "leak"), [f.message for f in found]


def test_a_subject_of_two_recordings_on_two_sides_is_found_at_its_level(tmp_path):
    recordings = [
        Recording(f"{i:02}", noise([i, run]), run=str(run)) for i in range(4) for run in (1, 2)
    ]
    by_run = Published(tmp_path, recordings, settings={"test": 0.3, "group": "run"}).publish()
    assert codes(audit_store(tmp_path)) == {"known_subjects"}
    by_run.content["level"] = "subject"
    by_run.publish()
    assert leaks(tmp_path) == {"subject_on_several_sides", "certificate_contradicts_samples"}


@pytest.mark.parametrize(
    ("fitted_on", "expected"),
    [
        ("recording", set()),
        ("train", set()),
        ("subject", set()),
        ("test", {"normalised_on_other_sides"}),
        (
            [
                "sub-01_task-x_eeg",
                "sub-02_task-x_eeg",
                "sub-03_task-x_eeg",
                "sub-04_task-x_eeg",
                "sub-05_task-x_eeg",
                "sub-06_task-x_eeg",
            ],
            {"normalised_on_other_sides"},
        ),
        ("the moon", {"normalisation_unknown"}),
    ],
)
def test_what_a_scaling_was_fitted_on_decides(tmp_path, fitted_on, expected):
    dataset = Published(tmp_path, people())
    declared(fitted_on)(dataset)
    dataset.publish()
    assert codes(audit_store(tmp_path)) == expected


@pytest.mark.parametrize("per", ["recording", "train"])
def test_scaling_by_recording_or_by_train_is_no_leak(tmp_path, per):
    dataset = Published(tmp_path, people())
    sides = split_sides(dataset)
    train = np.concatenate([r.rows for r in dataset.recordings if sides[r.name] == "train"])
    for i, recording in enumerate(dataset.recordings):
        rows = recording.rows * (1 + 0.1 * i)
        known = (recording.rows if per == "recording" else train) * (1 + 0.1 * i)
        if per == "train":
            known = train
        recording.rows = ((rows - known.mean()) / known.std()).astype(np.float32)
    dataset.publish()
    assert codes(audit_store(tmp_path)) == set()


def test_a_changed_file_and_a_missing_one_are_found(tmp_path):
    dataset = Published(tmp_path, people()).publish()
    name = dataset.recordings[0].name
    path = dataset.paths[f"{name}.parquet"]
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 1
    path.write_bytes(bytes(content))
    assert "file_changed" in leaks(tmp_path)
    path.unlink()
    assert {"file_missing", "row_without_signal"} <= leaks(tmp_path)


def test_a_changed_page_is_a_note(tmp_path):
    dataset = Published(tmp_path, people()).publish()
    dataset.paths["README.md"].write_text("# other\n")
    found = audit_store(tmp_path)
    assert codes(found) == {"file_changed"} and summary(found)["clean"]


# Windows


def in_time(root, distance: int, processing=(), rate: float = 128.0) -> Published:
    """Publish one window of test and one of train, `distance` samples apart, in one recording."""
    recordings = [
        Recording(f"{i:02}", noise(i), sfreq=rate, processing=list(processing)) for i in range(3)
    ]
    dataset = Published(root, recordings, settings={"test": 0.3, "group": "run"})
    name = recordings[0].name
    own = dataset.samples.index[dataset.samples["recording"] == name]
    dataset.samples["split"] = "none"
    dataset.samples.loc[own[0], "split"] = "test"
    dataset.samples.loc[own[1], "split"] = "train"
    dataset.samples.loc[own[1], ["start", "stop"]] = [128 + distance, 256 + distance]
    dataset.publish()
    return dataset


def filter_step(low: float, sfreq: float = 128.0) -> dict:
    filtered = Filtered(ArraySignal(np.zeros((1, 4000)), sfreq), low)
    return {"step": "filter", "per_segment": True, **filtered.describe()}


WINDOWS = {"windows_overlap", "windows_within_reach", "windows_share_input", "reach_unknown"}


@pytest.mark.parametrize(("distance", "found"), [(-1, True), (0, False), (-127, True)])
def test_windows_that_share_samples_are_found(tmp_path, distance, found):
    in_time(tmp_path, distance)
    expected = {"windows_overlap"} if found else set()
    assert codes(audit_store(tmp_path)) & WINDOWS == expected


def test_the_reach_is_that_of_the_kernels():
    half = len(design_band(500.0, 2.0).kernel) // 2 / 500.0
    filtered = Filtered(ArraySignal(np.zeros((1, 9000)), 500.0), 2.0)
    resampled = Resampled(filtered, 128.0)
    steps = [
        {"step": "reference", "kind": "average"},
        {"step": "filter", **filtered.describe()},
        {"step": "resample", **resampled.describe()},
        {"step": "cast", "dtype": "float32"},
    ]
    assert reach_of({"processing": steps[:2]}).seconds == pytest.approx(half)
    assert reach_of({"processing": steps}).seconds == pytest.approx(resampled.reach_seconds)


def test_the_reach_is_where_an_impulse_ends():
    """What the filter makes of one impulse is zero beyond its reach (its last taps are tiny)."""
    impulse = np.zeros((1, 4000))
    impulse[0, 2000] = 1.0
    answer = Filtered(ArraySignal(impulse, 128.0), 2.0).read(0, 4000)[0]
    farthest = np.abs(np.flatnonzero(np.abs(answer) > 1e-12) - 2000).max()
    reach = reach_of({"processing": [filter_step(2.0)]}).seconds * 128.0
    assert reach - 2 <= farthest <= reach


@pytest.mark.parametrize(
    ("part", "expected"),
    [(0.9, {"windows_within_reach"}), (1.5, {"windows_share_input"}), (2.1, set())],
)
def test_windows_nearer_than_the_filter_reaches_are_found(tmp_path, part, expected):
    step = filter_step(2.0)
    reach = reach_of({"processing": [step]}).seconds
    in_time(tmp_path, int(part * reach * 128), [step])
    found = audit_store(tmp_path)
    assert codes(found) & WINDOWS == expected
    if expected:
        (told,) = [f for f in found if f.code in expected]
        assert f"{reach:.4g} s" in told.message


def test_a_filter_that_states_no_length_is_told(tmp_path):
    in_time(tmp_path, 500, [{"step": "filter", "low": 1.0}])
    assert codes(audit_store(tmp_path)) & WINDOWS == {"reach_unknown"}


# Signals


def shift(train: Recording) -> np.ndarray:
    first = np.arange(45, train.signal.shape[1] - 127, 128)
    return np.stack([train.signal[:, i : i + 128] for i in first])


def with_noise(train: Recording, share: float) -> np.ndarray:
    chance = np.random.default_rng(3)
    return train.rows + chance.standard_normal(train.rows.shape) * train.rows.std() * share


def one_row(train: Recording) -> np.ndarray:
    rows = noise([8, 8]).T[:1536].reshape(12, 128, 4).transpose(0, 2, 1).copy()
    rows[7] = train.rows[2]
    return rows


COPIES = {
    "identical": ("same_signal", lambda r: r.rows),
    "channels in another order": ("same_signal", lambda r: r.rows[:, [2, 0, 3, 1]]),
    "half of the channels": ("same_signal", lambda r: r.rows[:, 1:3]),
    "rows in another order": ("same_signal", lambda r: r.rows[::-1]),
    "a single row": ("same_signal", one_row),
    "cut at other samples": ("shifted_signal", shift),
    "cut elsewhere and inverted": ("shifted_signal", lambda r: -shift(r)),
    "in microvolts": ("scaled_signal", lambda r: r.rows * np.float32(1e6)),
    "inverted": ("scaled_signal", lambda r: -r.rows),
    "first sample removed": (
        "scaled_signal",
        lambda r: r.rows - r.rows[..., :40].mean(-1, keepdims=True),
    ),
    "scaled by row": ("scaled_signal", lambda r: r.rows / r.rows.std(axis=2, keepdims=True)),
    "rounded": ("near_identical_signal", lambda r: r.rows.astype(np.float16).astype(float)),
    "with noise": ("near_identical_signal", lambda r: with_noise(r, 1e-3)),
}


@pytest.mark.parametrize("copy", COPIES)
def test_a_copy_of_signals_is_found(tmp_path, copy):
    code, change = COPIES[copy]
    if copy == "rounded":
        # Sixteen bits hold 1e-5 V only coarsely: let the unit be microvolts on both sides.
        dataset = Published(tmp_path, people())
        for recording in dataset.recordings:
            recording.rows = recording.rows * np.float32(1e6)
        train, test = (dataset.recordings[i] for i in one_and_other(dataset))
        test.rows = np.ascontiguousarray(change(train), dtype=np.float32)
        dataset.publish()
    else:
        dataset = with_copy(tmp_path, change)
    found = audit_store(tmp_path)
    assert codes(found) == {code}, [f.message for f in found]
    train, test = (dataset.recordings[i].name for i in one_and_other(dataset))
    assert f"ds/{train} row" in found[0].places[0] and f"ds/{test} row" in found[0].places[0]


def test_the_text_of_a_copy_is_true(tmp_path):
    with_copy(tmp_path, lambda train: -3 * shift(train))
    (found,) = audit_store(tmp_path)
    assert "inverted, scaled by 0.3333" in found.places[0] or "scaled by 3" in found.places[0]
    assert "shifted by 45 samples" in found.places[0] or "shifted by 83 samples" in found.places[0]


@pytest.mark.parametrize("rate", [100.0, 250.0])
def test_a_resampled_copy_is_found(tmp_path, rate):
    from fractions import Fraction

    ratio = Fraction(rate / 500.0).limit_denominator()
    originals = [noise(i, 8, 500 * 40, slope=2.0) for i in range(4)]
    high = [
        Recording(f"{i}", x, sfreq=500.0, window=500, step=500) for i, x in enumerate(originals)
    ]
    signal = resample_poly(originals[0].astype(float), ratio.numerator, ratio.denominator, axis=1)
    window = int(rate)
    low = Recording("9", signal.astype(np.float32), sfreq=rate, window=window, step=window)
    dataset = Published(tmp_path, [*high, low])
    sides = {"sub-0": "train", "sub-9": "test"}
    dataset.table["split"] = [sides.get(g, "train") for g in dataset.table["group"]]
    dataset.samples["split"] = certificate.side_of_rows(dataset.samples, dataset.table)
    dataset.publish()
    assert "resampled_signal" in leaks(tmp_path)


def test_copies_on_one_side_are_a_note(tmp_path):
    dataset = Published(tmp_path, people())
    order = [split_sides(dataset)[r.name] for r in dataset.recordings]
    one, other = [i for i, side in enumerate(order) if side == "train"][:2]
    dataset.recordings[other].rows = dataset.recordings[one].rows
    dataset.publish()
    assert codes(audit_store(tmp_path)) == {"duplicate_rows"}


def test_copies_that_stand_on_no_side_are_nothing(tmp_path):
    dataset = Published(tmp_path, people(2))
    assert dataset.content["status"] == "refused"
    dataset.recordings[1].rows = dataset.recordings[0].rows
    dataset.publish()
    assert audit_store(tmp_path) == []


@pytest.mark.parametrize("kind", ["pulses", "line", "locked", "flat"])
def test_a_copy_is_found_among_artefacts_and_no_other(tmp_path, kind):
    recordings = people(6)
    for recording in recordings:
        signal = with_artefact(recording.signal, kind, 128, 128.0)
        recording.rows = signal[:, :1536].reshape(4, 12, 128).transpose(1, 0, 2).copy()
    dataset = Published(tmp_path, recordings)
    train, test = (recordings[i] for i in one_and_other(dataset))
    test.rows = train.rows.copy()
    dataset.publish()
    (found,) = audit_store(tmp_path)
    assert found.code == "same_signal"
    assert found.message.startswith("1 pair of recordings")


def test_triggers_are_no_signals(tmp_path):
    recordings = people(6)
    for recording in recordings:
        recording.rows[:, 3] = np.arange(128) % 20 < 3
        recording.types = ["eeg", "eeg", "eeg", "stim"]
    Published(tmp_path, recordings).publish()
    assert audit_store(tmp_path) == []


# Several datasets


def second(root, recordings, dataset="other", doi="", seed=3) -> Published:
    return Published(root, recordings, dataset, doi=doi, seed=seed)


def test_one_person_in_two_datasets_is_found_if_declared(tmp_path):
    one = Published(tmp_path, people()).publish()
    other = second(tmp_path, people(seed=4)).publish()
    assert audit_store(tmp_path) == []
    train = one.recordings[one_and_other(one)[0]].subject
    test = other.recordings[one_and_other(other)[1]].subject
    alias = [f"ds/sub-{train}", f"other/sub-{test}"]
    assert leaks(tmp_path, aliases=[alias]) == {"subject_across_datasets"}
    assert audit_store(tmp_path, ["ds"], aliases=[alias]) == []
    one.content["same_subject"] = [alias]
    one.publish()
    assert leaks(tmp_path) == {"subject_across_datasets"}


def test_two_names_of_one_person_in_a_dataset_are_found(tmp_path):
    dataset = Published(tmp_path, people()).publish()
    train, test = (f"sub-{dataset.recordings[i].subject}" for i in one_and_other(dataset))
    assert leaks(tmp_path, aliases=[[train, test]]) == {"alias_on_several_sides"}


@pytest.mark.parametrize(
    ("names", "dois"),
    [
        (("ds000117", "on000117"), ("", "")),
        (("faces", "rest"), ("doi:10.18112/openneuro.ds1.v1.0.0", "10.18112/openneuro.ds1.v1.1.2")),
    ],
)
def test_mirrors_and_releases_are_of_the_same_people(tmp_path, names, dois):
    Published(tmp_path, people(), names[0], doi=dois[0]).publish()
    other = Published(tmp_path, people(seed=4), names[1], doi=dois[1])
    other.table["split"] = np.where(other.table["split"] == "test", "train", "test")
    other.samples["split"] = certificate.side_of_rows(other.samples, other.table)
    other.publish()
    assert "subject_across_datasets" in leaks(tmp_path)


def test_one_signal_in_two_datasets_is_found(tmp_path):
    one = Published(tmp_path, people()).publish()
    other = second(tmp_path, people(seed=4))
    train, test = one_and_other(one)[0], one_and_other(other)[1]
    other.recordings[test].rows = one.recordings[train].rows
    other.publish()
    (found,) = audit_store(tmp_path)
    assert (found.code, found.dataset) == ("same_signal", "ds + other")


# Confounds


def test_a_label_that_recordings_give_away_is_a_confound(tmp_path):
    recordings = people(8)
    for i, recording in enumerate(recordings):
        recording.label = lambda _, i=i: "patient" if i % 2 else "control"
    Published(tmp_path, recordings).publish()
    found = audit_store(tmp_path)
    assert codes(found) == {"label_by_recording"} and summary(found)["clean"]
    assert found[0].facts["theils_u_given_recording"] == 1.0
    assert "8 subjects, not on 96 rows" in found[0].message


def test_a_label_that_the_side_gives_away_is_a_confound(tmp_path):
    dataset = Published(tmp_path, people())
    dataset.samples["kind"] = np.where(dataset.samples["split"] == "test", "b", "a")
    dataset.publish()
    found = codes(audit_store(tmp_path), "confound")
    assert found == {"label_by_recording", "label_by_side", "class_not_in_train"}


@pytest.mark.parametrize("seed", range(20))
def test_the_strength_is_theils(seed):
    """Theil's U of the label given the group is scikit-learn's homogeneity (Rosenberg 2007)."""
    chance = np.random.default_rng(seed)
    label = chance.choice(list("abc"), 60, p=chance.dirichlet(np.ones(3)))
    given = np.where(chance.random(60) < 0.5, label, chance.choice(list("abcd"), 60))
    if len(set(label)) > 1:
        assert uncertainty(label, given)[0] == pytest.approx(homogeneity_score(label, given))


# Candidates


def test_thinning_keeps_pairs_of_what_it_keeps():
    chance = np.random.default_rng(0)
    values = chance.integers(0, 2**63, 5000, np.uint64)
    collector = Collector(most=2000)
    for first in (0, 100):
        for part in range(10):
            places = np.full(500, first + part)
            collector.add(places, values[part * 500 : part * 500 + 500])
    one, other, votes = collector.pairs(np.zeros(200, np.int8))
    assert collector.thinning == 3
    assert [(int(a), int(b)) for a, b in zip(one, other, strict=True)] == [
        (part, 100 + part) for part in range(10)
    ]
    kept = (values & np.uint64(7)) == 0
    assert votes.tolist() == [int(kept[p * 500 : p * 500 + 500].sum()) for p in range(10)]


# Results and the command


def test_results_are_audited_before_they_are_published(tmp_path):
    dataset = with_copy(tmp_path, lambda train: train.rows)
    matrices = {r.name: dataset.paths[f"{r.name}.parquet"] for r in dataset.recordings}
    samples = dataset.samples.drop(columns="split")
    details = {"dataset": "ds", "labels": ["kind"]}
    found = audit_results(samples, dataset.table, dataset.content, matrices=matrices, **details)
    assert codes(found) == {"same_signal"}
    assert audit_results(samples, dataset.table, dataset.content, **details) == []
    document = summary(found)
    assert document["leaks"] == 1 and not document["clean"]
    assert json.loads(json.dumps(document)) == document


def run(capsys, *arguments: str) -> tuple[int, str, str]:
    try:
        code = cli.main(["audit", *arguments])
    except SystemExit as left:
        code = left.code
    return code, *capsys.readouterr()


def test_the_command_tells_by_its_exit_code(tmp_path, capsys):
    dataset = Published(tmp_path, people()).publish()
    code, told, _ = run(capsys, str(tmp_path))
    assert (code, told.splitlines()[-1]) == (0, "no leak: 0 leaks, 0 confounds, 0 notes")
    train, test = (f"ds/sub-{dataset.recordings[i].subject}" for i in one_and_other(dataset))
    arguments = [str(tmp_path), "ds", "--json", "--same-subject", f"{train}={test}"]
    code, told, _ = run(capsys, *arguments)
    document = json.loads(told)
    assert (code, document["leaks"], document["clean"]) == (1, 1, False)
    assert document["findings"][0]["code"] == "alias_on_several_sides"
    code, told, _ = run(capsys, str(tmp_path), "ds", "--same-subject", f"{train}={test}")
    assert code == 1 and "alias_on_several_sides" in told


@pytest.mark.parametrize("what", ["folder", "dataset", "samples", "pointer", "manifest", "names"])
def test_a_store_that_cannot_be_read_is_told_and_leaves_with_2(tmp_path, capsys, what):
    dataset = Published(tmp_path / "store", people(3)).publish()
    arguments = [str(tmp_path / "store")]
    if what == "folder":
        arguments = [str(tmp_path / "nowhere")]
    elif what == "dataset":
        arguments.append("no-such")
    elif what == "names":
        arguments += ["--same-subject", "sub-01"]
    elif what == "samples":
        dataset.paths["samples.parquet"].write_bytes(b"PAR1 no more")
    else:
        pattern = "latest.json" if what == "pointer" else "versions/*.json"
        for path in (tmp_path / "store" / "datasets" / "ds").glob(pattern):
            path.write_text("[]")
    code, told, error = run(capsys, *arguments)
    assert (code, told) == (2, "") and error.startswith("bidsmill: ") and "Traceback" not in error


@pytest.mark.parametrize("name", ["split.tsv", "split.json", "matrix"])
def test_a_damaged_file_is_a_finding(tmp_path, name):
    dataset = Published(tmp_path, people()).publish()
    name = f"{dataset.recordings[0].name}.parquet" if name == "matrix" else name
    dataset.paths[name].write_bytes(b"\xff broken")
    expected = "split_unreadable" if name.startswith("split") else "matrix_unreadable"
    assert {expected, "file_changed"} <= leaks(tmp_path)
