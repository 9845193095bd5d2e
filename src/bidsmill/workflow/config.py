"""The configuration: checked against its schema, defaults filled in, errors for people."""

from __future__ import annotations

import copy
import difflib
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bidsmill.errors import BidsmillError
from bidsmill.workflow.contradictions import (
    address_problems,
    contradictions,
    store_problems,
    together_problems,
    unknown_datasets,
)
from bidsmill.workflow.simulation_problems import simulation_problems

# Keys on which the schema makes depend what else may stand beside them.
DECIDING = {"source", "kind"}
# Keys at the top that are taken as they are.
TOP = ("store", "locks", "hed_sidecars", "splits", "same_subject", "together", "allow_license")
# Settings that a dataset replaces as a whole; the others are merged key by key.
REPLACED = {"windows", "filter", "include", "resample"}
# Settings whose keys have an order that means something: that of the classes of a label.
ORDERED = {"labels"}


def load_schema(path: str | Path) -> dict[str, Any]:
    """Read the JSON schema of the configuration (YAML)."""
    import yaml

    # libyaml reads the same ten times as fast: every start of a run waits for it.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return yaml.load(Path(path).read_text(encoding="utf-8"), loader)


def check_duplicates(path: str | Path) -> None:
    """Refuse a config in which one mapping has a key twice: YAML would keep the last in silence.

    Raises
    ------
    BidsmillError
        That names the file, the key and its lines.
    """
    import yaml

    try:
        waiting = [yaml.compose(Path(path).read_text(encoding="utf-8"), yaml.SafeLoader)]
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise BidsmillError("the config is no YAML", file=path, found=error) from None
    seen = set()
    while waiting:
        node = waiting.pop()
        if id(node) in seen:
            continue  # an alias; one that stands inside itself would never end
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            waiting.extend(node.value)
        elif isinstance(node, yaml.MappingNode):
            lines: dict[str, int] = {}
            for key, value in node.value:
                name, line = str(key.value), key.start_mark.line + 1
                if name in lines:
                    raise BidsmillError(
                        f"the config has the key {name!r} twice",
                        file=path,
                        found=f"lines {lines[name]} and {line}",
                    )
                lines[name] = line
                waiting.append(value)


def resolve(config: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """Return the configuration with every setting of every dataset spelt out.

    Parameters
    ----------
    config : dict
        As read from YAML.
    schema : dict
        The JSON schema (see `load_schema`).

    Returns
    -------
    dict
        ``store``, ``locks``, ``hed_sidecars``, ``splits``, ``same_subject``, ``together``,
        ``allow_license``, ``batches``, ``publish``, ``datasets`` and ``simulation``; each dataset
        holds all settings, its own first, then those of ``defaults`` (simulated ones have none),
        then those of the schema.

    Raises
    ------
    BidsmillError
        For unknown keys (with the nearest known one), wrong values (with what is allowed) and
        settings that contradict each other. Every problem is listed.
    """
    problems = [*_odd_values(config), *_schema_problems(config, schema)]
    if not problems:
        config = {"datasets": {}, **config}
        datasets = {
            name: _settings(own, config.get("defaults") or {}, schema)
            for name, own in config["datasets"].items()
        }
        simulation = {
            name: _simulated(own, schema) for name, own in config.get("simulation", {}).items()
        }
        problems.extend(simulation_problems(simulation, datasets))
        for name, settings in datasets.items():
            problems.extend(f"datasets.{name}.{text}" for text in contradictions(settings))
        for key in ("locks", "hed_sidecars", "splits"):
            problems.extend(address_problems(key, config.get(key, "")))
        problems.extend(store_problems(config))
        problems.extend(unknown_datasets(config))
        problems.extend(together_problems(config.get("together", {}), datasets))
    if problems:
        listed = "".join(f"\n  - {problem}" for problem in problems)
        raise BidsmillError(f"the configuration has {len(problems)} problem(s):{listed}")
    groups = {
        key: _filled(config.get(key) or {}, schema["properties"][key], schema)
        for key in ("batches", "publish")
    }
    top = {key: copy.deepcopy(config.get(key, schema["properties"][key]["default"])) for key in TOP}
    return {**top, **groups, "datasets": datasets, "simulation": simulation}


def _settings(own: dict, defaults: dict, schema: dict) -> dict[str, Any]:
    shape = schema["$defs"]["settings"]
    merged = _merged(copy.deepcopy(defaults), own)
    filled = _filled(merged, shape, schema)
    filled["windows"] = _filled_windows(filled.get("windows"), schema)
    filled = _with_rows_written(filled)
    return {key: filled[key] if key in ORDERED else _sorted(filled[key]) for key in sorted(filled)}


def _sorted(value: Any) -> Any:
    """Return a setting with its keys sorted: their order in the config must not reach results."""
    if isinstance(value, list):
        return [_sorted(item) for item in value]
    return {k: _sorted(value[k]) for k in sorted(value)} if isinstance(value, dict) else value


def _simulated(own: dict, schema: dict) -> dict[str, Any]:
    shape = schema["$defs"]["simulated"]
    filled = _filled(own, shape, schema)
    for key in ("background", "mat"):
        if filled[key] is not None:
            filled[key] = _filled(filled[key], shape["properties"][key]["anyOf"][1], schema)
    return filled


def _merged(below: dict, above: dict) -> dict:
    result = dict(below)
    for key, value in above.items():
        if key not in REPLACED and isinstance(value, dict) and isinstance(result.get(key), dict):
            result[key] = {**result[key], **copy.deepcopy(value)}
        else:
            result[key] = copy.deepcopy(value)
    return result


def _filled(value: dict, shape: dict, schema: dict) -> dict:
    """Fill the defaults of the schema into a mapping, also in the mappings inside it."""
    result = dict(value)
    for key, wanted in shape.get("properties", {}).items():
        wanted = _target(wanted, schema)
        if key not in result and "default" in wanted:
            result[key] = copy.deepcopy(wanted["default"])
        if isinstance(result.get(key), dict) and "properties" in wanted and "if" not in wanted:
            result[key] = _filled(result[key], wanted, schema)
    if "labels" in shape.get("properties", {}):
        result.setdefault("labels", {})
        result.setdefault("include", {})
    return result


def _filled_windows(windows: dict | None, schema: dict) -> dict | None:
    if windows is None:
        return None
    shape = schema["$defs"]["windows"]
    branch = shape["then"] if windows["kind"] == "fixed" else shape["else"]
    shapes = {
        key: _target(wanted, schema)
        for key, wanted in branch["properties"].items()
        if isinstance(wanted, dict)
    }
    defaults = {key: shape["default"] for key, shape in shapes.items() if "default" in shape}
    return {**defaults, **windows}


def _with_rows_written(filled: dict) -> dict:
    """Let the node that rows are cut from be one of those that become files."""
    source = (filled["windows"] or {}).get("source")
    streams = filled["streams"]
    if not source or streams is None or source in (*streams["write"], "raw"):
        return filled
    return {**filled, "streams": {**streams, "write": [*streams["write"], source]}}


def _target(shape: dict, schema: dict) -> dict:
    if "$ref" in shape:
        found = schema
        for part in shape["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        return {**found, **{k: v for k, v in shape.items() if k != "$ref"}}
    return shape


def _odd_values(value: Any, where: str = "") -> Iterator[str]:
    """Find what YAML reads otherwise than it looks: names that are no text, and NaN."""
    if isinstance(value, float) and not math.isfinite(value):
        yield f"{where}: found {value}, expected a finite number"
    if isinstance(value, list):
        value = {str(index): item for index, item in enumerate(value)}
    for key, inner in value.items() if isinstance(value, dict) else ():
        path = f"{where}.{key}".removeprefix(".")
        if not isinstance(key, str):
            yield f"{path}: the name {key!r} is not text; write it in quotes"
        yield from _odd_values(inner, path)


def _schema_problems(config: Any, schema: dict) -> list[str]:
    import jsonschema

    validator = jsonschema.Draft202012Validator(schema)
    errors = sorted(validator.iter_errors(config), key=lambda e: [str(p) for p in e.path])
    undecided = [place for error in errors for place in _undecided(error)]
    found = []
    for error in errors:
        path = list(error.absolute_path)
        if not (_is_conditional(error) and any(path[: len(u)] == u for u in undecided)):
            found.extend(_explained(error, schema))
    return list(dict.fromkeys(found))


def _is_conditional(error) -> bool:
    return not {"then", "else"}.isdisjoint(error.absolute_schema_path)


def _undecided(error) -> list[list]:
    """Return the mapping whose deciding key is missing or wrong: nothing else can be judged."""
    path = list(error.absolute_path)
    if error.validator == "enum" and path[-1] in DECIDING:
        return [path[:-1]]
    missing = error.validator == "required" and DECIDING & set(error.validator_value)
    return [path] if missing and not _is_conditional(error) else []


# What a rule of the schema asks for, in words that its value ends.
WORDS = {
    "type": "a value of type",
    "minimum": "at least",
    "maximum": "at most",
    "exclusiveMinimum": "more than",
    "exclusiveMaximum": "less than",
    "minLength": "a text of this length at least:",
    "minItems": "a list of this length at least:",
    "maxItems": "a list of this length at most:",
    "minProperties": "this many keys at least:",
    "pattern": "a text that matches",
}


def _explained(error, schema: dict) -> list[str]:
    """Say one error of jsonschema in words that name the key, what is there and what may be."""
    where = ".".join(str(part) for part in error.absolute_path) or "top level"
    rule, value = error.validator, error.validator_value
    if rule == "additionalProperties" and isinstance(error.instance, dict):
        known = [key for key, shape in error.schema.get("properties", {}).items() if shape]
        unknown = [key for key in error.instance if key not in known]
        return [f"{where}: {_unknown(str(key), known)}" for key in unknown]
    if rule == "required":
        missing = [key for key in value if key not in error.instance]
        return [f"{where}: the key {key!r} is missing" for key in missing]
    if rule == "enum":
        allowed = ", ".join(map(str, value))
        near = difflib.get_close_matches(str(error.instance).casefold(), map(str, value), 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        return [f"{where}: found {error.instance!r}, allowed are {allowed}{hint}"]
    if rule == "oneOf":
        keys = ", ".join(branch["required"][0] for branch in value)
        return [f"{where}: expected exactly one of the keys {keys}"]
    if rule == "anyOf":
        return _explained_choice(error, where, schema)
    if rule == "not":
        return [f"{where}: the name {error.instance!r} is taken; expected a name of your own"]
    if rule == "pattern" and "propertyNames" in error.absolute_schema_path:
        wanted = f"{WORDS[rule]} {value}"
        return [f"{where}: the name {error.instance!r} is not allowed; expected {wanted}"]
    if rule == "type":
        value = _listed(value)
    return [f"{where}: found {error.instance!r}, expected {WORDS.get(rule, rule)} {value}"]


def _explained_choice(error, where: str, schema: dict) -> list[str]:
    """Explain why none of several shapes fits: by the one that is meant, if that is clear."""
    branches: dict[int, list] = {}
    for inner in error.context:
        branches.setdefault(inner.schema_path[0], []).append(inner)
    meant = [
        inner
        for inner in branches.values()
        if not any(e.validator in ("type", "const") and not e.relative_path for e in inner)
    ]
    if len(meant) == 1:
        return [text for inner in meant[0] for text in _explained(inner, schema)]
    shapes = [_target(shape, schema) for shape in error.validator_value]
    kinds = [_listed(shape.get("type", shape.get("const"))) for shape in shapes]
    allowed = error.schema.get("description") or _listed(kinds)
    return [f"{where}: found {error.instance!r}, allowed: {allowed}{_number_hint(error.instance)}"]


def _number_hint(value: Any) -> str:
    """Return a hint where YAML read as text what looks like a number (``1e3``)."""
    try:
        number = float(value) if isinstance(value, str) else None
    except ValueError:
        number = None
    return "" if number is None else f"; YAML reads {value} as text: write {number!r}"


def _listed(kinds: Any) -> str:
    return " or ".join(kinds) if isinstance(kinds, list) else str(kinds)


def _unknown(key: str, known: list[str]) -> str:
    near = difflib.get_close_matches(key, known, 1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return f"unknown key {key!r}; {hint}known keys: {', '.join(known)}"
