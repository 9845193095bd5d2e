"""Compare splits by subject: random, scikit-learn's stratified folds, and bidsmill's optimiser.

Every method puts whole subjects on the test side, and is measured by the same objective: the
weighted mean of the absolute deviations of the test share from 0.2, over all rows and the strata
of every label. GroupShuffleSplit and StratifiedGroupKFold are given five tries each, and the
best one counts; StratifiedGroupKFold balances one column, so it gets the first label.

Usage: python benchmarks/split.py [--json PATH] [--largest]
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from pathlib import Path

import numpy as np

from bidsmill.split.optimiser import choose_groups, objective_of

SHARE = 0.2
CASES = [(20, 1), (20, 4), (50, 4), (50, 8), (200, 8)]
LARGEST = (2000, 20)


def subjects_and_labels(n_subjects: int, n_labels: int, seed: int = 0):
    """Return label codes of each row (rows, labels), and its subject (rows,).

    Subjects have 20 to 200 rows. Every third label is a property of the subject, the others vary
    from row to row with rates of the subject's own; labels have 2 to 5 classes.
    """
    chance = np.random.default_rng(seed)
    rows = chance.integers(20, 200, n_subjects)
    subject = np.repeat(np.arange(n_subjects), rows)
    labels = []
    for number in range(n_labels):
        size = int(chance.integers(2, 6))
        if number % 3 == 2:
            labels.append(chance.integers(0, size, n_subjects)[subject])
        else:
            rates = chance.dirichlet(np.full(size, 2.0), n_subjects)
            labels.append(
                np.concatenate(
                    [chance.choice(size, n, p=p) for n, p in zip(rows, rates, strict=True)]
                )
            )
    return np.array(labels).T, subject


def counts_and_weights(labels: np.ndarray, subject: np.ndarray):
    """Return rows of each subject in each stratum, rows of each subject, weights of strata."""
    n_subjects = int(subject.max()) + 1
    counts, weights = [], []
    for label in labels.T:
        size = int(label.max()) + 1
        place = subject * size + label
        counts.append(np.bincount(place, minlength=n_subjects * size).reshape(n_subjects, size))
        weights.extend([1 / size] * size)
    return np.concatenate(counts, axis=1), np.bincount(subject), np.array(weights)


def best_of_sklearn(splitter, labels, subject, problem) -> float:
    """Return the least objective among the folds of a splitter of scikit-learn."""
    reached = []
    for _, test in splitter.split(labels, labels[:, 0], subject):
        chosen = np.zeros(len(problem[1]), dtype=bool)
        chosen[subject[test]] = True
        reached.append(objective_of(*problem, SHARE, chosen))
    return min(reached)


def timed(function, *arguments):
    """Return the result of a function and its seconds."""
    begin = time.perf_counter()
    result = function(*arguments)
    return result, time.perf_counter() - begin


def measure(n_subjects: int, n_labels: int) -> dict:
    """Run all methods on one problem."""
    from sklearn.model_selection import GroupShuffleSplit, StratifiedGroupKFold

    labels, subject = subjects_and_labels(n_subjects, n_labels)
    problem = counts_and_weights(labels, subject)
    shuffle = GroupShuffleSplit(5, test_size=SHARE, random_state=0)
    folds = StratifiedGroupKFold(5, shuffle=True, random_state=0)
    theirs, shuffle_time = timed(best_of_sklearn, shuffle, labels, subject, problem)
    stratified, folds_time = timed(best_of_sklearn, folds, labels, subject, problem)
    ids = [f"sub-{i:05}" for i in range(n_subjects)]
    choice, own_time = timed(choose_groups, ids, *problem, SHARE)
    return {
        "subjects": n_subjects,
        "labels": n_labels,
        "strata": problem[0].shape[1],
        "rows": len(subject),
        "GroupShuffleSplit": {"objective": theirs, "seconds": shuffle_time},
        "StratifiedGroupKFold": {"objective": stratified, "seconds": folds_time},
        "bidsmill": {
            "objective": choice.objective,
            "bound": choice.bound,
            "gap": choice.gap,
            "nodes": choice.nodes,
            "solver": choice.solver,
            "seconds": own_time,
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="write the numbers here as well")
    parser.add_argument("--largest", action="store_true", help="with 2,000 subjects, 20 labels")
    options = parser.parse_args()
    warnings.filterwarnings("ignore", message="The least populated class")
    names = ("GroupShuffleSplit", "StratifiedGroupKFold", "bidsmill")
    head = "".join(f"{name:>21}{'s':>7}" for name in names)
    print(f"{'subjects':>8}{'labels':>7}{'strata':>7}{head}{'bound':>10}{'nodes':>7}")
    results = []
    for case in [*CASES, LARGEST] if options.largest else CASES:
        result = measure(*case)
        results.append(result)
        cells = "".join(
            f"{result[name]['objective']:>21.6f}{result[name]['seconds']:>7.2f}" for name in names
        )
        print(
            f"{result['subjects']:>8}{result['labels']:>7}{result['strata']:>7}{cells}"
            f"{result['bidsmill']['bound']:>10.6f}{result['bidsmill']['nodes']:>7}",
            flush=True,
        )
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
