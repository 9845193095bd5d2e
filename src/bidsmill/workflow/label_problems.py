"""What is wrong with a label definition, beyond what the schema of the config can say."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from bidsmill.errors import BidsmillError
from bidsmill.formats.hed_query import parse_query

OTHER = "other"
FORMS = ("values", "patterns", "numeric")
LIMITS = ("above", "at_least", "below", "at_most")
TESTS = ("values", "matches", *LIMITS)
PREFIX = re.compile(r"\b([A-Za-z]+):")


def label_problems(name: str, label: dict[str, Any]) -> Iterator[str]:
    """Say what contradicts itself or cannot be understood in a label definition.

    Parameters
    ----------
    name : str
        Its name.
    label : dict
        As in the config; its form is that of the schema.

    Yields
    ------
    str
        Each begins with the key.
    """
    where = f"labels.{name}"
    main = next(key for key in ("column", "hed", "classes") if key in label)
    if main != "column":
        for key in FORMS:
            if key in label:
                yield f"{where}.{key}: has no meaning with `{main}`"
    if "context" in label and main != "hed":
        yield f"{where}.context: has no meaning with `{main}`"
    used = [key for key in FORMS if label.get(key)]
    for key in used[:-1]:
        other = "numeric: true" if used[-1] == "numeric" else used[-1]
        yield f"{where}.{key}: has no meaning with `{other}`"
    for key in ("hed", "patterns"):
        for of_class, text in label.get(key, {}).items():
            check = _query_problems if key == "hed" else _pattern_problems
            yield from check(f"{where}.{key}.{of_class}", text)
    for of_class, condition in label.get("classes", {}).items():
        yield from _condition_problems(f"{where}.classes.{of_class}", condition)
    yield from _policy_problems(where, label)


def _policy_problems(where: str, label: dict[str, Any]) -> Iterator[str]:
    if label.get("numeric") and label.get("unmatched") == OTHER:
        yield f"{where}.unmatched: `{OTHER}` has no meaning with `numeric: true`"
    alone = "column" in label and not (label.get("values") or label.get("patterns"))
    if alone and "overlap" in label:
        yield f"{where}.overlap: has no meaning where each value is a class or a number"
    classes: set[str] = set()
    for key in ("hed", "values", "patterns", "classes"):
        classes |= set(label.get(key) or ())
    for key in ("overlap", "unmatched"):
        if label.get(key) == OTHER and OTHER in classes:
            yield f"{where}.{key}: `{OTHER}` is the name of a class already; rename that class"


def _condition_problems(where: str, condition: dict[str, Any]) -> Iterator[str]:
    for key in ("all", "any"):
        for place, part in enumerate(condition.get(key, [])):
            yield from _condition_problems(f"{where}.{key}.{place}", part)
    if "not" in condition:
        yield from _condition_problems(f"{where}.not", condition["not"])
    if "hed" in condition:
        yield from _query_problems(f"{where}.hed", condition["hed"])
    elif "context" in condition:
        yield f"{where}.context: has no meaning without `hed`"
    given = [key for key in TESTS if key in condition]
    if "column" not in condition:
        for key in given:
            yield f"{where}.{key}: has no meaning without `column`"
        return
    kinds = dict.fromkeys("limits" if key in LIMITS else key for key in given)
    if len(kinds) != 1:
        yield (
            f"{where}: a condition on a column takes `values`, or `matches`, or limits"
            f" ({', '.join(f'`{key}`' for key in LIMITS)}); found {', '.join(given) or 'none'}"
        )
    if "matches" in condition:
        yield from _pattern_problems(f"{where}.matches", condition["matches"])
    yield from _limit_problems(where, condition)


def _limit_problems(where: str, condition: dict[str, Any]) -> Iterator[str]:
    for one, other in (("above", "at_least"), ("below", "at_most")):
        if one in condition and other in condition:
            yield f"{where}.{other}: has no meaning with `{one}`"
    low = condition.get("above", condition.get("at_least"))
    high = condition.get("below", condition.get("at_most"))
    if low is None or high is None:
        return
    if low > high or (low == high and not {"at_least", "at_most"} <= set(condition)):
        yield f"{where}: no number lies between {low} and {high}"


def _pattern_problems(where: str, pattern: str) -> Iterator[str]:
    try:
        re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        yield f"{where}: found {pattern!r}, expected a regular expression ({error})"


def _query_problems(where: str, query: str) -> Iterator[str]:
    """Say where a query breaks. Which tags and prefixes there are, the dataset's schema tells."""
    try:
        parse_query(query, set(PREFIX.findall(query)))
    except BidsmillError as error:
        yield f"{where}: {error.what}"
