"""Compare splits by subject: random, scikit-learn's stratified folds, and bidsmill's optimiser.

Every method puts whole subjects on the test side, and is measured by the same objective: the
weighted mean of the absolute deviations of the test share from 0.2, over all rows and the strata
of every label. GroupShuffleSplit is given five tries and StratifiedGroupKFold its five folds, with
each label that it may balance; the best one counts. Seconds are those of the processor.

Usage: python benchmarks/split.py [--json PATH] [--largest] [--random 200] [--data FOLDER]
"""

from __future__ import annotations

import argparse
import json
import os
import time
import warnings
from pathlib import Path

import numpy as np

from bidsmill.formats import tables
from bidsmill.split.optimiser import choose_groups, objective_of

SHARE = 0.2
CASES = [(20, 1), (20, 4), (50, 4), (50, 8), (200, 8)]
LARGEST = (2000, 20)
METHODS = ("GroupShuffleSplit", "StratifiedGroupKFold", "bidsmill")
DATA = Path(os.environ.get("BIDSMILL_CORPUS", Path(__file__).parents[2] / "shared" / "data"))


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
        # As in a dataset: a class that one subject alone has takes no part.
        balanced = (counts[-1] > 0).sum(axis=0) >= 2
        weights.extend(balanced / max(1, balanced.sum()))
    return np.concatenate(counts, axis=1), np.bincount(subject), np.array(weights)


def best_of_sklearn(splitter, labels, subject, problem) -> float:
    """Return the least objective among the splits of a splitter of scikit-learn."""
    reached = []
    targets = labels.T if "Stratified" in type(splitter).__name__ else labels.T[:1]
    for target in targets:
        if np.unique(target, return_counts=True)[1].max() < splitter.get_n_splits():
            continue
        for _, test in splitter.split(labels, target, subject):
            chosen = np.zeros(len(problem[1]), dtype=bool)
            chosen[subject[test]] = True
            reached.append(objective_of(*problem, SHARE, chosen))
    return min(reached, default=float("nan"))


def timed(function, *arguments):
    """Return the result of a function and its seconds of the processor."""
    begin = time.process_time()
    result = function(*arguments)
    return result, time.process_time() - begin


def measure(labels: np.ndarray, subject: np.ndarray, name: str) -> dict:
    """Run all methods on one problem."""
    from sklearn.model_selection import GroupShuffleSplit, StratifiedGroupKFold

    problem = counts_and_weights(labels, subject)
    n_subjects = len(problem[1])
    shuffle = GroupShuffleSplit(5, test_size=SHARE, random_state=0)
    folds = StratifiedGroupKFold(min(5, n_subjects), shuffle=True, random_state=0)
    theirs, shuffle_time = timed(best_of_sklearn, shuffle, labels, subject, problem)
    stratified, folds_time = timed(best_of_sklearn, folds, labels, subject, problem)
    ids = [f"sub-{i:05}" for i in range(n_subjects)]
    choice, own_time = timed(choose_groups, ids, *problem, SHARE)
    return {
        "name": name,
        "groups": n_subjects,
        "labels": labels.shape[1],
        "strata": int((problem[0].sum(axis=0) > 0).sum()),
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


def random_problem(seed: int):
    """Return a small random problem: 8 to 40 subjects, 1 to 4 labels."""
    chance = np.random.default_rng([seed, 1])
    return subjects_and_labels(int(chance.integers(8, 41)), int(chance.integers(1, 5)), seed)


def real_problems(folder: Path):
    """Yield the events of datasets: their labels (trial type, participants' group) and groups.

    Groups are subjects; where fewer than three have events, recordings; where there are fewer
    than three of these too, tenths of each recording.
    """
    for dataset in sorted(path for path in folder.iterdir() if path.is_dir()):
        if not (dataset / "participants.tsv").is_file() or dataset.name == "broken":
            continue
        people = tables.read_tsv(dataset / "participants.tsv").set_index("participant_id")
        found = []
        for path in sorted(dataset.rglob("*_events.tsv")):
            events = tables.read_tsv(path)
            subject = path.relative_to(dataset).parts[0]
            for place, event in enumerate(events.to_dict("records")):
                part = f"{path.name}@{10 * place // len(events)}"
                kind = event.get("trial_type") or event.get("value")
                group = people["group"].get(subject, "") if "group" in people else ""
                found.append((subject, path.name, part, str(kind), str(group)))
        names = np.array(found, dtype=object).reshape(-1, 5).T
        levels = zip(("subject", "run", "time"), names[:3], strict=True)
        level, groups = next((pair for pair in levels if len(set(pair[1])) > 2), ("", names[0]))
        columns = [np.unique(c, return_inverse=True)[1] for c in names[3:] if len(set(c)) > 1]
        if level and columns:
            groups = np.unique(groups, return_inverse=True)[1]
            yield np.array(columns).T, groups, f"{dataset.name} ({level})"


def show(result: dict) -> None:
    """Print one line of the table."""
    cells = "".join(
        f"{result[name]['objective']:>21.6f}{result[name]['seconds']:>7.2f}" for name in METHODS
    )
    print(
        f"{result['name']:<26}{result['groups']:>7}{result['labels']:>7}{result['strata']:>7}{cells}"
        f"{result['bidsmill']['bound']:>10.6f}{result['bidsmill']['nodes']:>7}",
        flush=True,
    )


def summary(results: list[dict]) -> dict:
    """Return what many random problems show: medians, worst ones, and who was ever better."""
    reached = {m: np.array([r[m]["objective"] for r in results]) for m in METHODS}
    own, bound = reached["bidsmill"], np.array([r["bidsmill"]["bound"] for r in results])
    found = {
        method: {
            "median": float(np.median(values)),
            "largest": float(values.max()),
            "better than bidsmill": int((values < own - 1e-12).sum()),
            "times the bound, median": float(np.median(values / np.maximum(bound, 1e-5))),
        }
        for method, values in reached.items()
    }
    gaps = own - bound
    found["bound"] = {"median": float(np.median(bound)), "largest": float(bound.max())}
    found["gap"] = {"at most 1e-5": int((gaps <= 1e-5).sum()), "largest": float(gaps.max())}
    found["problems"] = len(results)
    found["seconds, median"] = float(np.median([r["bidsmill"]["seconds"] for r in results]))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="write the numbers here as well")
    parser.add_argument("--largest", action="store_true", help="with 2,000 subjects, 20 labels")
    parser.add_argument("--random", type=int, default=20, help="how many small random problems")
    parser.add_argument("--data", type=Path, default=DATA, help="folder of BIDS datasets")
    options = parser.parse_args()
    warnings.filterwarnings("ignore", message="The least populated class")
    head = "".join(f"{name:>21}{'s':>7}" for name in METHODS)
    print(f"{'problem':<26}{'groups':>7}{'labels':>7}{'strata':>7}{head}{'bound':>10}{'nodes':>7}")
    results = {"cases": [], "real": [], "random": {}}
    for case in [*CASES, LARGEST] if options.largest else CASES:
        results["cases"].append(measure(*subjects_and_labels(*case), "made up"))
        show(results["cases"][-1])
    for problem in real_problems(options.data) if options.data.is_dir() else ():
        results["real"].append(measure(*problem))
        show(results["real"][-1])
    if options.random:
        many = [measure(*random_problem(seed), "random") for seed in range(options.random)]
        results["random"] = summary(many)
        print(json.dumps(results["random"], indent=1))
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
