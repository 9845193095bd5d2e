"""The baseline of the report against scikit-learn's own scores, and data whose answer is known."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from report_results import Recording, Results
from test_report_page import make

from bidsmill.report import baseline, baseline_rows
from bidsmill.report.baseline import Finding, baseline_section, measure
from bidsmill.report.baseline_rows import read_rows
from bidsmill.report.inputs import read_inputs

RATE, TIMES, ROWS = 100.0, 100, 20


def signals(seed: int, told: float, own: float, channels: int) -> np.ndarray:
    """Return noise; odd rows rise by `told`; `own` is the size of a person's own alpha waves."""
    rng = np.random.default_rng(seed)
    values = rng.standard_normal((ROWS, channels, TIMES))
    values[1::2, 1, 20:] += told
    phase = rng.uniform(0, 2 * np.pi, (ROWS, 1))
    wave = np.sin(2 * np.pi * 10 * np.arange(TIMES) / RATE + phase)
    return (values + own * rng.uniform(0, 2, (channels, 1)) * wave[:, np.newaxis]) * 1e-5


def results_of(
    folder, people: int = 10, *, told=0.0, own=0.0, fixed=False, test=2, channels=4
) -> Results:
    names = [f"E{c}" for c in range(channels)]
    recordings = [
        Recording(
            f"{k:02d}", names, sfreq=RATE, n_times=TIMES, tmin=0.0 if fixed else -0.2,
            signals=signals(k, told, own, channels), group_rows=ROWS,
        )
        for k in range(people)
    ]  # fmt: skip
    tested = tuple(f"{k:02d}" for k in range(test))
    return Results(folder, recordings, fixed=fixed, test_subjects=tested)


def with_person_label(root, values) -> None:
    """Make the label one of the person, and write it."""
    path = root / "samples.parquet"
    samples = pd.read_parquet(path)
    samples["side"] = [str(values[int(s)]) for s in samples["subject"]]
    samples.to_parquet(path)


def test_a_label_of_the_events_is_found_on_both_splits(tmp_path):
    results = results_of(tmp_path / "r", told=1.0)
    inputs = read_inputs(results.write())
    rows = read_rows(inputs, ["side"])
    assert rows.features.shape == (200, 4 * 8) and rows.test.sum() == 40
    found = measure(inputs, rows, "side")
    assert isinstance(found, Finding) and found.classes == ("left", "right")
    assert found.published > 0.9 and found.random > 0.9
    assert found.chance == pytest.approx(0.5, abs=0.03) and 0.55 < found.chance_high < 0.75
    assert found.permuted == "test rows" and (found.n_train, found.n_test) == (160, 40)


def test_the_score_is_that_of_scikit_learn(tmp_path):
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
    from sklearn.metrics import balanced_accuracy_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    inputs = read_inputs(results_of(tmp_path / "r", told=0.3).write())
    rows = read_rows(inputs, ["side"])
    found = measure(inputs, rows, "side")
    target = inputs.samples["side"].to_numpy(dtype=object)[rows.places]
    model = make_pipeline(
        StandardScaler(),
        LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto", priors=[0.5, 0.5]),
    )
    model.fit(rows.features[~rows.test], target[~rows.test])
    predicted = model.predict(rows.features[rows.test])
    expected = balanced_accuracy_score(target[rows.test], predicted)
    assert found.published == pytest.approx(expected, abs=1e-12)
    assert 0.5 < found.published < 1


def test_features_of_events_are_the_means_of_the_rows(tmp_path):
    results = results_of(tmp_path / "r", people=3, test=1)
    rows = read_rows(read_inputs(results.write()), ["side"])
    matrices = np.concatenate([r.signals for r in results.recordings]).astype(float)
    centred = matrices - matrices[..., :20].mean(axis=-1, keepdims=True)
    expected = centred[..., 20:].reshape(60, 4, 8, 10).mean(axis=-1).reshape(60, 32)
    assert np.allclose(rows.features, expected, rtol=1e-9, atol=1e-12)


def test_a_label_of_the_person_is_flattered_by_random_rows(tmp_path):
    root = results_of(tmp_path / "r", own=3.0, fixed=True, test=4, channels=12).write()
    with_person_label(root, "abbaababab")
    inputs = read_inputs(root)
    rows = read_rows(inputs, ["side"])
    assert rows.described.startswith("log power in bands (delta, theta, alpha, beta, gamma)")
    inputs.labels["side"]["classes"] = ["a", "b"]
    found = measure(inputs, rows, "side")
    assert found.permuted == "test subjects"
    assert found.random > 0.8 and found.random > found.published + 0.15
    assert found.chance_high > 0.6, "four people are few: chance reaches far"


def test_numbers_are_fitted_by_ridge_regression(tmp_path):
    root = results_of(tmp_path / "r", told=0.0).write()
    path = root / "samples.parquet"
    samples = pd.read_parquet(path)
    strength = np.random.default_rng(0).permutation(len(samples)).astype(float)
    samples["side"] = [str(s) for s in strength]
    samples["side"] = samples["side"].where(samples.index % 7 != 0, "")
    samples.to_parquet(path)
    inputs = read_inputs(root)
    inputs.labels["side"].clear()
    inputs.labels["side"]["kind"] = "number"
    rows = read_rows(inputs, ["side"])
    rows.features[:, 0] = [strength[p] for p in rows.places]
    found = measure(inputs, rows, "side")
    assert found.measure == "R²" and found.classes == ()
    assert found.random > 0.5 and found.published > 0.5 and found.permuted == "train rows"
    assert -0.5 < found.chance < 0.05 and found.chance <= found.chance_high < 0.2


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda r: setattr(r, "test_subjects", None), "The split was refused"),
        (lambda r: setattr(r, "classes", ()), "No label is defined"),
        (lambda r: setattr(r, "classes", ("left",)), "fewer than two classes"),
        (lambda r: setattr(r, "test_subjects", ("99",)), "No layout has labelled rows both"),
    ],
)
def test_what_cannot_be_tried_says_why(tmp_path, change, said):
    results = results_of(tmp_path / "r", people=4)
    change(results)
    page, _ = make(results, tmp_path)
    assert said in page.text
    assert "Diagnosis: can" not in page.text


def test_only_a_layout_that_both_sides_share_is_used(tmp_path):
    recordings = [Recording("01", names=["A", "B"], rows=8), Recording("02", names=["A", "B"])]
    recordings += [Recording(f"1{k}", rows=40) for k in range(3)]
    inputs = read_inputs(Results(tmp_path / "r", recordings, test_subjects=("01",)).write())
    rows = read_rows(inputs, ["side"])
    assert rows.layout.recordings == ("sub-01_task-t_eeg", "sub-02_task-t_eeg")
    assert (rows.test.sum(), (~rows.test).sum()) == (8, 6)


def test_bad_channels_and_broken_rows_tell_nothing(tmp_path):
    results = results_of(tmp_path / "r", people=5, told=1.0)
    results.recordings[0].bads = ("E1",)
    results.recordings[1].signals[3, 0, 5] = np.nan
    results.recordings[2].signals[:] = 0
    inputs = read_inputs(results.write())
    rows = read_rows(inputs, ["side"])
    broken = np.isnan(rows.features).reshape(-1, 4, 8).all(axis=2)
    assert broken[:20, 1].all() and broken[23, 0] and broken.sum() == 21
    section = baseline_section(inputs)
    assert len(section["pictures"]) == 1 and "nan" not in section["pictures"][0].svg.lower()


def test_what_is_read_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(baseline_rows, "MOST_ROWS", 60)
    monkeypatch.setattr(baseline_rows, "MOST_RECORDINGS", 10)
    inputs = read_inputs(results_of(tmp_path / "r", people=30, test=6).write())
    rows = read_rows(inputs, ["side"])
    assert len(rows.places) == 60 and rows.n_recordings == 10 and rows.test.sum() == 12
    monkeypatch.setattr(baseline_rows, "MOST_VALUES", 4 * TIMES * 20)
    assert len(read_rows(inputs, ["side"]).places) == 20


def test_the_page_shows_the_diagnosis(tmp_path):
    page, text = make(results_of(tmp_path / "r", told=1.0), tmp_path)
    assert "A diagnosis of the data and the split, not a result to be reported." in page.text
    assert "Diagnosis: can “side” be told?" in page.text
    assert "160 rows of train and 40 of test from 10 recordings of layout A" in page.text
    assert "published split" in text and "random rows" in text
    assert baseline.PERMUTATIONS == 200


SCRIPT = """
import sys
from pathlib import Path
from bidsmill.report.baseline import baseline_section
from bidsmill.report.drawing import style
from bidsmill.report.inputs import read_inputs
with style():
    print(baseline_section(read_inputs(Path(sys.argv[1])))["pictures"][0])
"""


@pytest.mark.long
def test_the_number_of_cores_does_not_matter(tmp_path):
    root = results_of(tmp_path / "r", told=0.3, channels=12).write()
    answers = set()
    for threads in ("1", "4"):
        variables = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), threads)
        environment = {**os.environ, **variables, "PYTHONPATH": os.pathsep.join(sys.path)}
        command = [sys.executable, "-c", SCRIPT, str(root)]
        answers.add(
            subprocess.run(command, env=environment, check=True, capture_output=True).stdout
        )
    assert len(answers) == 1
