"""What gives a label away without its meaning: the recording, the subject, the side.

The strength is the uncertainty coefficient U (Theil 1970, "On the estimation of relationships
involving qualitative variables", American Journal of Sociology 76; Press et al., Numerical
Recipes, 3rd ed., section 14.4): the share of the entropy of the label that is gone once the
recording is known, ``U = (H(label) - H(label | recording)) / H(label)``. From few rows it is too
large by about ``(classes - 1) (recordings - 1) / (2 n H)`` (Miller 1955, "Note on the bias of
information estimates"), which is subtracted for the decision, but not in the reported value.
"""

from __future__ import annotations

import numpy as np

from bidsmill.formats.certificate import group_ids, text_column
from bidsmill.formats.numbers import counted
from bidsmill.split.audit.finding import some
from bidsmill.split.audit.material import Material
from bidsmill.split.strata import value_texts

# Shares of a label's entropy above which recording, or side, are reported.
BY_RECORDING, BY_SIDE = 0.5, 0.1
# Numbers with more values than this are cut into five bins of equal counts.
MOST_VALUES, BINS = 10, 5


def uncertainty(label: np.ndarray, given: np.ndarray) -> tuple[float, float]:
    """Return Theil's U of a label given another variable, and what chance adds to it.

    Parameters
    ----------
    label, given : numpy.ndarray
        Shape (rows,): classes.

    Returns
    -------
    strength, by_chance : float
        Both 0 where the label has one class.
    """
    classes, label = np.unique(label, return_inverse=True)
    groups, given = np.unique(given, return_inverse=True)
    table = np.zeros((len(groups), len(classes)))
    np.add.at(table, (given, label), 1)
    total = table.sum()
    entropy = _entropy(table.sum(axis=0))
    if total == 0 or entropy <= 0:
        return 0.0, 0.0
    shares = table.sum(axis=1) / total
    left = float(sum(share * _entropy(row) for share, row in zip(shares, table, strict=True)))
    chance = (len(classes) - 1) * (len(groups) - 1) / (2 * total * entropy)
    return (entropy - left) / entropy, min(1.0, chance)


def _entropy(counts: np.ndarray) -> float:
    """Return the entropy of counts in nats."""
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log(shares)).sum())


def label_classes(material: Material, name: str) -> np.ndarray:
    """Return the class of each row, '' where it has none; numbers of many values in bins."""
    import pandas as pd

    texts = value_texts(material.samples[name])
    texts = np.where(np.isin(texts, ("nan", "n/a")), "", texts).astype(object)
    numbers = pd.to_numeric(pd.Series(texts), errors="coerce").to_numpy(dtype=float)
    known = texts != ""
    if material.labels.get(name) != "number" and not np.isfinite(numbers[known]).all():
        return texts
    distinct = np.unique(numbers[np.isfinite(numbers)])
    if len(distinct) <= MOST_VALUES:
        return texts
    edges = np.unique(np.nanquantile(numbers, np.arange(1, BINS) / BINS))
    bins = np.searchsorted(edges, numbers, side="left").astype(str).astype(object)
    bins[~np.isfinite(numbers)] = ""
    return bins


def check_confounds(material: Material) -> None:
    """Find labels that recordings, subjects or sides give away."""
    placed = ~np.isin(material.side, ("none", ""))
    placed &= text_column(material.samples, "excluded") == ""
    subject = group_ids(material.samples, "subject")
    for name in material.labels:
        if name not in material.samples:
            continue
        label = label_classes(material, name)
        used = placed & (label != "")
        if not used.any() or len(set(label[used])) < 2:
            continue
        _by_recording(material, name, label[used], material.recordings[used], subject[used])
        _by_side(material, name, label[used], material.side[used])


def _by_recording(material, name, label, recording, subject) -> None:
    strength, chance = uncertainty(label, recording)
    counts = np.unique(recording, return_counts=True)[1]
    if strength - chance < BY_RECORDING or len(counts) < 2 or counts.max() < 2:
        return
    by_subject, _ = uncertainty(label, subject)
    single = [str(own) for own in np.unique(recording) if len(set(label[recording == own])) == 1]
    constant = len(single) == len(counts)
    how = "is constant in each of" if constant else "nearly follows from which of"
    unit, number = ("recording", len(counts))
    if by_subject - chance >= BY_RECORDING and by_subject > strength - 1e-9:
        unit, number = "subject", len(np.unique(subject))
    material.found(
        "label_by_recording",
        "confound",
        f"The label {name!r} {how} {counted(len(counts), 'recording')} (Theil's U of the label "
        f"given the recording: {strength:.3f}; given the subject: {by_subject:.3f}): whatever "
        "tells recordings apart (the cap, the room, the day) predicts it, and scores rest on "
        f"{counted(number, unit)}, not on {counted(len(label), 'row')}. Judge by {unit}, and keep "
        "recordings and subjects on one side.",
        count=len(single) or len(counts),
        places=some(single),
        facts={
            "label": name,
            "theils_u_given_recording": round(strength, 6),
            "theils_u_given_subject": round(by_subject, 6),
            "by_chance": round(chance, 6),
            "constant": constant,
        },
    )


def _by_side(material, name, label, side) -> None:
    if len(set(side)) < 2:
        return
    strength, chance = uncertainty(label, side)
    if strength - chance >= BY_SIDE:
        material.found(
            "label_by_side",
            "confound",
            f"The label {name!r} is spread unequally over the sides (Theil's U of the label given "
            f"the side: {strength:.3f}): whatever tells the sides apart tells of the label, and "
            "scores of test are not those of the population. Split with stratify.",
            facts={
                "label": name,
                "theils_u_given_side": round(strength, 6),
                "by_chance": round(chance, 6),
            },
        )
    trained = set(label[side == "train"])
    unseen = sorted(set(label[side != "train"]) - trained)
    if trained and unseen:
        material.found(
            "class_not_in_train",
            "confound",
            f"{counted(len(unseen), 'class').replace('classs', 'classes')} of the label {name!r} "
            "stand on other sides and not in train: no model can learn them.",
            count=len(unseen),
            places=some([str(value) for value in unseen]),
            facts={"label": name},
        )
