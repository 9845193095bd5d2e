"""Label definitions in words, as the sidecar of `samples` has them."""

from __future__ import annotations

from typing import Any

from bidsmill.annotate.labels import OTHER, conditions_of

RANGE_WORDS = {
    "above": "above",
    "at_least": "at least",
    "below": "below",
    "at_most": "at most",
}


def label_entry(definition: dict[str, Any], vocabulary: dict[str, Any]) -> dict[str, Any]:
    """Return what a BIDS sidecar says of a label column.

    Parameters
    ----------
    definition : dict
        As in the config.
    vocabulary : dict
        What `apply_labels` found for it.

    Returns
    -------
    dict
        ``Description``, and for classes ``Levels`` (class -> its definition in words).
    """
    if vocabulary["kind"] == "number":
        return {"Description": f"Label: the number in the column {definition['column']}."}
    conditions = conditions_of(definition)
    column = definition.get("column")
    levels = {
        name: condition_words(conditions[name])
        if name in conditions
        else f"the column {column} is {name}"
        for name in vocabulary["classes"]
    }
    others = [
        words
        for key, words in (("overlap", "match several classes"), ("unmatched", "match none"))
        if definition.get(key) == OTHER
    ]
    if others:
        levels[OTHER] = f"rows that {' or '.join(others)}"
    missing = [
        words
        for key, words in (("overlap", "match several classes"), ("unmatched", "match none"))
        if definition.get(key, "empty") == "empty"
    ]
    what = f"Label: the value of the column {column}" if not conditions else "Label: a class"
    description = what + (f"; n/a for rows that {' or '.join(missing)}." if missing else ".")
    return {"Description": description, "Levels": levels}


def condition_words(condition: dict[str, Any]) -> str:
    """Return a condition on rows in words."""
    if "hed" in condition:
        context = " (temporal scopes included)" if condition.get("context") else ""
        return f"HED search{context}: {condition['hed']}"
    if "not" in condition:
        return f"not ({condition_words(condition['not'])})"
    for key, word in (("all", " and "), ("any", " or ")):
        if key in condition:
            return word.join(f"({condition_words(part)})" for part in condition[key])
    column = condition["column"]
    if "values" in condition:
        wanted = condition["values"]
        texts = [_value(item) for item in (wanted if isinstance(wanted, list) else [wanted])]
        return f"the column {column} is {' or '.join(texts)}"
    if "matches" in condition:
        return f"the column {column} matches the regular expression {condition['matches']}"
    limits = [f"{w} {_value(condition[key])}" for key, w in RANGE_WORDS.items() if key in condition]
    return f"the number in the column {column} is {' and '.join(limits)}"


def _value(item: Any) -> str:
    return str(item).lower() if isinstance(item, bool) else str(item)
