"""Label definitions: from columns and HED searches to one label column of `samples` each."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from bidsmill.annotate.conditions import Rows, evaluate
from bidsmill.bids.events import seconds
from bidsmill.errors import BidsmillError

if TYPE_CHECKING:
    import pandas as pd

OTHER = "other"
# Rows that are listed for each reason to have no label, at most.
MOST_LISTED = 5


@dataclass
class Labels:
    """The labels of the rows of a dataset.

    Attributes
    ----------
    columns : DataFrame
        One column per label: text (``''``: unlabelled) for classes, float64 (NaN: unlabelled)
        for numbers.
    vocabulary : dict
        Label -> ``{"kind": "class", "classes": [...], "ambiguous": n, "unmatched": n}`` or
        ``{"kind": "number", "unmatched": n}``. ``ambiguous`` counts rows that match several
        classes, ``unmatched`` those that match none. Classes that a definition names come in its
        order, also where no row has them; others are sorted; ``other``, where a policy asks for
        it, comes last.
    unclear : dict
        Label -> ``overlaps`` (for each pair of classes with common rows: ``classes``, ``rows``
        and the ``first`` of them) and ``unmatched`` (``rows`` and the ``first``); a row is
        ``{"recording": stem, "row": n}``. Only labels with such rows.
    issues : list of dict
        What a person should know, as in ``validation.json``.
    """

    columns: pd.DataFrame
    vocabulary: dict[str, dict[str, Any]] = field(default_factory=dict)
    unclear: dict[str, dict[str, Any]] = field(default_factory=dict)
    issues: list[dict[str, Any]] = field(default_factory=list)


def apply_labels(
    samples: pd.DataFrame,
    definitions: dict[str, dict[str, Any]],
    event_columns: pd.DataFrame,
    hed_version: Any,
    *,
    proposed: str = "ignore",
) -> Labels:
    """Return one column per label, what each label can be, and which rows are unclear.

    Parameters
    ----------
    samples : DataFrame
        Rows with ``recording``, ``row``, entities, ``participant_*`` columns, ``trial_type``,
        ``value``, ``HED``, ``HED_context`` and ``HED_source``.
    definitions : dict
        ``labels`` of the dataset.
    event_columns : DataFrame of str
        All columns of the row's event, row by row (``''`` for fixed windows).
    hed_version : str, list of str or None
        The dataset's HED version.
    proposed : {"ignore", "use"}
        Whether HED that is only proposed counts.

    Raises
    ------
    BidsmillError
        If a definition names a column that neither rows nor events have, its query or regular
        expression is malformed, or rows match several classes or none where that is an error.
    """
    import pandas as pd

    if proposed != "use" and "HED_source" in samples:
        counts = samples["HED_source"] != "proposed"
        samples = samples.assign(HED=samples["HED"].where(counts, ""))
        if "HED" in event_columns:
            event_columns = event_columns.assign(HED=samples["HED"].to_numpy(object))
    columns: dict[str, Any] = {}
    labels = Labels(pd.DataFrame(index=samples.index))
    for name, definition in definitions.items():
        rows = Rows(name, samples, event_columns, hed_version)
        if definition.get("numeric"):
            columns[name] = _numbers(definition, rows, labels)
        else:
            columns[name] = _classes(definition, rows, labels)
    labels.columns = pd.DataFrame(columns, index=samples.index)
    return labels


def conditions_of(definition: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the classes of a label as conditions; none where each value is a class."""
    if "classes" in definition:
        return definition["classes"]
    if "hed" in definition:
        context = bool(definition.get("context"))
        return {c: {"hed": query, "context": context} for c, query in definition["hed"].items()}
    column = definition["column"]
    for key, of_one in (("values", "values"), ("patterns", "matches")):
        if key in definition:
            return {c: {"column": column, of_one: w} for c, w in definition[key].items()}
    return {}


def _numbers(definition: dict[str, Any], rows: Rows, labels: Labels) -> np.ndarray:
    cells = rows.cells(definition["column"])
    _require_columns(rows)
    values = np.array([seconds(cell) for cell in cells or []], float)
    unmatched = np.isnan(values)
    labels.vocabulary[rows.label] = {"kind": "number", "unmatched": int(unmatched.sum())}
    _list_unclear(labels, rows, {}, unmatched)
    _refuse_unmatched(definition, rows, labels)
    return values


def _classes(definition: dict[str, Any], rows: Rows, labels: Labels) -> np.ndarray:
    masks, values = _matches(definition, rows)
    hits = np.sum(list(masks.values()), axis=0) if masks else (values != "").astype(int)
    values[hits > 1] = ""
    named = list(masks) or sorted({*values} - {""})
    classes = named
    for key, chosen in (("overlap", hits > 1), ("unmatched", hits == 0)):
        if definition.get(key) == OTHER:
            values[chosen] = OTHER
            classes = [*named, OTHER]
    if len(set(classes)) < len(classes):
        raise _other_is_taken(rows.label, definition)
    labels.vocabulary[rows.label] = {
        "kind": "class",
        "classes": classes,
        "ambiguous": int((hits > 1).sum()),
        "unmatched": int((hits == 0).sum()),
    }
    _list_unclear(labels, rows, masks, hits == 0)
    _refuse_overlap(definition, rows, labels)
    _refuse_unmatched(definition, rows, labels)
    _tell(definition, labels, rows)
    return values


def _matches(definition: dict[str, Any], rows: Rows) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Return which rows match each class, and for each row the last that it matches.

    Where each value is a class there is nothing to match, and there may be very many.
    """
    conditions = conditions_of(definition)
    if not conditions:
        cells = rows.cells(definition["column"])
        _require_columns(rows)
        return {}, np.array(cells or [], dtype=object)
    found = {name: evaluate(condition, rows) for name, condition in conditions.items()}
    _require_columns(rows)
    masks = {name: truth.holds for name, truth in found.items()}
    values = np.full(len(rows), "", dtype=object)
    for name, mask in masks.items():
        values[mask] = name
    return masks, values


def _require_columns(rows: Rows) -> None:
    """Refuse a label of which the dataset has nothing that it asks for."""
    if rows.found or not rows.absent:
        return
    known = sorted({*rows.samples.columns, *rows.event_columns.columns})
    one = len(rows.absent) == 1
    raise BidsmillError(
        f"the label {rows.label!r} names"
        + (" a column that the dataset does not have" if one else " no column of the dataset"),
        found=", ".join(_with_hint(name, rows) for name in sorted(rows.absent)),
        expected=f"one of {', '.join(known)}",
        todo=f"correct `labels.{rows.label}.column` in the config",
    )


def _with_hint(name: str, rows: Rows) -> str:
    """Return the name of an absent column, and that of the source's own if it was renamed."""
    renamed = f"source_{name}"
    return f"{name} (the source's own is {renamed})" if renamed in rows.event_columns else name


def _other_is_taken(label: str, definition: dict[str, Any]) -> BidsmillError:
    keys = [key for key in ("overlap", "unmatched") if definition.get(key) == OTHER]
    return BidsmillError(
        f"the label {label!r} has a class {OTHER!r} of its own, and rows that"
        f" `{keys[0]}: {OTHER}` would give the same name",
        todo=f"rename the class by `labels.{label}.values`, or remove `{keys[0]}: {OTHER}`",
    )


def _list_unclear(
    labels: Labels, rows: Rows, masks: dict[str, np.ndarray], unmatched: np.ndarray
) -> None:
    """List the rows that match several classes, by pairs of classes, and those that match none."""
    hits = np.sum(list(masks.values()), axis=0) if masks else np.zeros(len(rows), int)
    several = {name: mask & (hits > 1) for name, mask in masks.items()}
    several = {name: mask for name, mask in several.items() if mask.any()}
    overlaps = []
    for one, other in combinations(several, 2):
        both = several[one] & several[other]
        if both.any():
            overlaps.append({"classes": [one, other], **_listed(rows, both)})
    found: dict[str, Any] = {"overlaps": overlaps} if overlaps else {}
    if unmatched.any():
        found["unmatched"] = _listed(rows, unmatched)
    if found:
        labels.unclear[rows.label] = found


def _listed(rows: Rows, mask: np.ndarray) -> dict[str, Any]:
    first = rows.samples[["recording", "row"]][mask].head(MOST_LISTED)
    return {
        "rows": int(mask.sum()),
        "first": [{"recording": str(r), "row": int(n)} for r, n in first.itertuples(index=False)],
    }


def _in_words(listed: dict[str, Any]) -> str:
    first = ", ".join(f"{place['recording']} row {place['row']}" for place in listed["first"])
    more = ", ..." if listed["rows"] > len(listed["first"]) else ""
    return f"{listed['rows']} row(s): {first}{more}"


def _refuse_overlap(definition: dict[str, Any], rows: Rows, labels: Labels) -> None:
    overlaps = labels.unclear.get(rows.label, {}).get("overlaps")
    if overlaps and definition.get("overlap") == "error":
        count = labels.vocabulary[rows.label]["ambiguous"]
        raise BidsmillError(
            f"the label {rows.label!r}: {count} row(s) match several classes",
            found="; ".join(f"{' and '.join(o['classes'])}: {_in_words(o)}" for o in overlaps),
            expected="at most one class for each row",
            todo=f"make the classes of `labels.{rows.label}` exclude each other, or set its"
            " `overlap` to `empty` or `other`",
        )


def _refuse_unmatched(definition: dict[str, Any], rows: Rows, labels: Labels) -> None:
    unmatched = labels.unclear.get(rows.label, {}).get("unmatched")
    if unmatched and definition.get("unmatched") == "error":
        stated = labels.vocabulary[rows.label]
        wanted = ", ".join(stated["classes"]) if stated["kind"] == "class" else "a number"
        raise BidsmillError(
            f"the label {rows.label!r}: {unmatched['rows']} row(s) match no class"
            if stated["kind"] == "class"
            else f"the label {rows.label!r}: {unmatched['rows']} row(s) have no number",
            found=_in_words(unmatched),
            expected=f"for each row one of: {wanted}",
            todo=f"extend `labels.{rows.label}`, choose fewer events in `windows`, or set"
            " `unmatched` to `empty`",
        )


def _tell(definition: dict[str, Any], labels: Labels, rows: Rows) -> None:
    """Add to the issues what is doubtful about a label and was not asked for."""
    told = []
    if rows.absent:
        names = ", ".join(_with_hint(name, rows) for name in sorted(rows.absent))
        told.append(("label_column_missing", f"names what no row or event has: {names}"))
    overlaps = labels.unclear.get(rows.label, {}).get("overlaps", [])
    for overlap in overlaps if "overlap" not in definition else []:
        told.append(
            ("label_overlap", f"{' and '.join(overlap['classes'])} share {_in_words(overlap)}")
        )
    for code, text in told:
        labels.issues.append(
            {
                "source": "bidsmill",
                "severity": "warning",
                "code": code,
                "file": "",
                "message": f"the label {rows.label!r}: {text}",
            }
        )
