"""What a plain classifier finds in the rows: a diagnosis of the split, not a result.

The same simple features and model are tested twice: on the published split, and on a random
split of the same rows. What the second gains over the first is what a leak would have flattered.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from bidsmill.formats.certificate import group_ids, rows_by_value, text_column
from bidsmill.report.baseline_rows import MOST_RECORDINGS, MOST_ROWS, Rows, read_rows
from bidsmill.report.figures_baseline import baseline_picture
from bidsmill.report.inputs import Inputs

MOST_LABELS = 4
MOST_CLASSES = 12
# Fewer rows of a class on a side say nothing about it.
FEWEST_ROWS = 3
PERMUTATIONS = 200
RANDOM_SPLITS = 5
SEED = 0


@dataclass(frozen=True)
class Finding:
    """What the model reached for one label.

    Attributes
    ----------
    label, measure : str
        The label; ``balanced accuracy`` or ``R²``.
    published, random : float
        What was reached on the published split; the mean over random splits of the same rows.
    chance : float
        What is expected of guessing: the mean over permutations of labels.
    chance_high : float
        What guessing exceeds in one of 20 cases.
    classes : tuple of str
        Empty for numbers.
    truth, predicted : numpy.ndarray
        Shape (test rows,): places in `classes`, or numbers.
    n_train, n_test : int
        Rows on either side.
    permuted : str
        What the permutations exchanged the labels of: ``test subjects``, ``train rows``, ...
    """

    label: str
    measure: str
    published: float
    random: float
    chance: float
    chance_high: float
    classes: tuple[str, ...]
    truth: np.ndarray
    predicted: np.ndarray
    n_train: int
    n_test: int
    permuted: str


def baseline_section(inputs: Inputs) -> dict[str, Any]:
    """Return the pictures of the baselines, or why there is none.

    Parameters
    ----------
    inputs : Inputs
        The dataset.

    Returns
    -------
    dict
        ``pictures``, ``reason`` (why there is nothing at all, or ''), ``skipped`` (list of
        (label, reason)) and ``sampling`` (what was looked at, in a sentence).
    """
    labels = [name for name in inputs.labels if name in inputs.samples]
    section: dict[str, Any] = {"pictures": [], "reason": "", "skipped": [], "sampling": ""}
    if inputs.split["status"] != "done":
        return {**section, "reason": "The split was refused, so nothing can be tested."}
    if not labels:
        return {**section, "reason": "No label is defined, so there is nothing to predict."}
    rows = read_rows(inputs, labels)
    if rows is None:
        reason = "No layout has labelled rows both in train and in test."
        return {**section, "reason": reason}
    rows = _usable(rows)
    section["sampling"] = _sampling(rows)
    for label in labels:
        if len(section["pictures"]) == MOST_LABELS:
            section["skipped"].append((label, f"only {MOST_LABELS} labels are tried"))
            continue
        found = measure(inputs, rows, label)
        if isinstance(found, str):
            section["skipped"].append((label, found))
        else:
            name = f"baseline{len(section['pictures'])}"
            section["pictures"].append(baseline_picture(name, found, inputs.split["level"]))
    return section


def _usable(rows: Rows) -> Rows:
    """Leave out features that no train row has, and rows that have none of the others."""
    known = np.isfinite(rows.features)
    columns = known[~rows.test].any(axis=0)
    keep = known[:, columns].any(axis=1)
    return Rows(
        rows.layout,
        rows.places[keep],
        rows.test[keep],
        rows.features[keep][:, columns],
        rows.described,
        rows.n_recordings,
    )


def _sampling(rows: Rows) -> str:
    train, test = int((~rows.test).sum()), int(rows.test.sum())
    return (
        f"Looked at: {train:,} rows of train and {test:,} of test from {rows.n_recordings}"
        f" recordings of layout {rows.layout.letter} (at most {MOST_ROWS:,} rows of"
        f" {MOST_RECORDINGS} recordings, evenly spread; fewer where rows are long). Features:"
        f" {rows.described},"
        " standardised over the train rows. Excluded rows and rows without a label are left out."
    )


def measure(inputs: Inputs, rows: Rows, label: str) -> Finding | str:
    """Train and test for one label; return what was reached, or why that cannot be done.

    Classes are told apart by linear discriminants with the shrinkage of Ledoit and Wolf (2004)
    and equal priors; numbers are fitted by ridge regression.
    """
    values = text_column(inputs.samples, label)[rows.places]
    labelled = values != ""
    if not labelled.any():
        return "no row is labelled"
    numeric = inputs.labels[label].get("kind") == "number"
    classes: tuple[str, ...] = ()
    if numeric:
        target = np.full(len(values), np.nan)
        target[labelled] = _numbers(values[labelled])
        used = np.isfinite(target)
    else:
        classes, target, used = _classes(values, rows.test)
    features, target, test = rows.features[used], target[used], rows.test[used]
    reason = _reason_against(classes, target, test, numeric)
    if reason:
        return reason
    predicted = _predict(features, target, test, numeric)
    score = _r_squared if numeric else _balanced_accuracy
    exchanged = test if not numeric else ~test
    blocks, unit = _blocks(inputs, rows.places[used][exchanged], target[exchanged])
    if numeric:
        chance = _chance_of_numbers(features, target, test, blocks)
    else:
        chance = _chance(target[test], predicted, blocks)
    return Finding(
        label=label,
        measure="R²" if numeric else "balanced accuracy",
        published=score(target[test], predicted),
        random=_random_rows(features, target, int(test.sum()), numeric),
        chance=float(chance.mean()),
        chance_high=float(np.quantile(chance, 0.95)),
        classes=classes,
        truth=target[test],
        predicted=predicted,
        n_train=int((~test).sum()),
        n_test=int(test.sum()),
        permuted=f"{'train' if numeric else 'test'} {unit}",
    )


def _numbers(texts: np.ndarray) -> np.ndarray:
    """Return texts as floats, NaN for what is no number."""
    import pandas as pd

    return pd.to_numeric(pd.Series(texts), errors="coerce").to_numpy(dtype=float)


def _classes(
    values: np.ndarray, test: np.ndarray
) -> tuple[tuple[str, ...], np.ndarray, np.ndarray]:
    """Return the classes with enough rows on both sides, each row's class, and which have one."""
    of_train, of_test = rows_by_value(values[~test]), rows_by_value(values[test])
    sizes = {
        name: min(len(rows), len(of_test.get(name, ()))) for name, rows in of_train.items() if name
    }
    enough = [name for name in sizes if sizes[name] >= FEWEST_ROWS]
    frequent = sorted(enough, key=lambda name: (-sizes[name], name))[:MOST_CLASSES]
    classes = tuple(sorted(frequent))
    place = {name: i for i, name in enumerate(classes)}
    target = np.array([place.get(v, -1) for v in values])
    return classes, target, target >= 0


def _reason_against(
    classes: tuple[str, ...], target: np.ndarray, test: np.ndarray, numeric: bool
) -> str:
    """Return why a label cannot be tried, or ''."""
    if not numeric and len(classes) < 2:
        return f"fewer than two classes have {FEWEST_ROWS} rows or more in train and in test"
    if numeric and min(len(np.unique(target[test])), len(np.unique(target[~test]))) < FEWEST_ROWS:
        return f"fewer than {FEWEST_ROWS} different numbers in train or in test"
    return ""


def _predict(
    features: np.ndarray, target: np.ndarray, test: np.ndarray, numeric: bool
) -> np.ndarray:
    """Fit on the rows outside `test` and predict those inside; numbers may be several columns."""
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
    from sklearn.linear_model import Ridge

    train = features[~test]
    known = np.isfinite(train)
    count = np.maximum(known.sum(axis=0), 1)
    mean = np.where(known, train, 0).sum(axis=0) / count
    spread = np.sqrt(np.where(known, (train - mean) ** 2, 0).sum(axis=0) / count)
    scaled = (features - mean) / np.where(spread > 0, spread, 1)
    # A missing value tells nothing: it becomes the mean of train.
    scaled = np.where(np.isfinite(scaled), scaled, 0.0)
    if numeric:
        model = Ridge(alpha=float(features.shape[1]), solver="cholesky")
    else:
        n_classes = len(np.unique(target[~test]))
        priors = np.full(n_classes, 1 / n_classes)
        model = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto", priors=priors)
    return model.fit(scaled[~test], target[~test]).predict(scaled[test])


def _balanced_accuracy(truth: np.ndarray, predicted: np.ndarray) -> float:
    """Return the mean over classes of the share of their rows that were told (recall)."""
    right = (truth == predicted).astype(float)
    return float(np.mean([right[truth == code].mean() for code in np.unique(truth)]))


def _r_squared(truth: np.ndarray, predicted: np.ndarray) -> float:
    """Return the coefficient of determination; 0 where the truth does not vary."""
    total = ((truth - truth.mean()) ** 2).sum()
    return float(1 - ((truth - predicted) ** 2).sum() / total) if total > 0 else 0.0


def _blocks(inputs: Inputs, places: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, str]:
    """Return what may be exchanged under chance: subjects or recordings of one value, or rows.

    Rows of a person are no independent draws of a label that the person has: there, chance is
    that the people had been labelled otherwise.
    """
    part = inputs.samples.iloc[places]
    units = (
        ("subjects", group_ids(part, "subject")),
        ("recordings", text_column(part, "recording")),
    )
    for name, ids in units:
        found = rows_by_value(ids)
        if len(found) > 1 and all(len(set(target[rows])) == 1 for rows in found.values()):
            blocks = np.zeros(len(target), dtype=np.int64)
            for place, rows in enumerate(found.values()):
                blocks[rows] = place
            return blocks, name
    return np.arange(len(target)), "rows"


def _permuted(values: np.ndarray, blocks: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the values with those of whole blocks exchanged."""
    chance = np.random.default_rng(SEED)
    own = values[np.unique(blocks, return_index=True)[1]]
    for _ in range(PERMUTATIONS):
        yield chance.permutation(own)[blocks]


def _chance(truth: np.ndarray, predicted: np.ndarray, blocks: np.ndarray) -> np.ndarray:
    """Return what the predictions would reach with the labels of test blocks exchanged."""
    return np.array([_balanced_accuracy(other, predicted) for other in _permuted(truth, blocks)])


def _chance_of_numbers(
    features: np.ndarray, target: np.ndarray, test: np.ndarray, blocks: np.ndarray
) -> np.ndarray:
    """Return what models reach that were fitted with the numbers of train blocks exchanged.

    With test numbers exchanged, R² would fall with the spread of the predictions, and the level
    of guessing with it.
    """
    many = np.repeat(target[:, np.newaxis], PERMUTATIONS, axis=1)
    many[~test] = np.array(list(_permuted(target[~test], blocks))).T
    predicted = _predict(features, many, test, numeric=True)
    return np.array([_r_squared(target[test], column) for column in predicted.T])


def _random_rows(features: np.ndarray, target: np.ndarray, n_test: int, numeric: bool) -> float:
    """Return the mean of what is reached where test rows are drawn at random from all rows."""
    score = _r_squared if numeric else _balanced_accuracy
    chance = np.random.default_rng(SEED)
    reached = []
    for _ in range(RANDOM_SPLITS):
        test = np.zeros(len(target), dtype=bool)
        test[chance.permutation(len(target))[:n_test]] = True
        if not numeric and len(np.unique(target[~test])) < len(np.unique(target)):
            continue
        reached.append(score(target[test], _predict(features, target, test, numeric)))
    return float(np.mean(reached)) if reached else float("nan")
