"""Parameters of operations: their types, units and bounds, and what is wrong with a value."""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal, Union, get_args, get_origin

from bidsmill.errors import BidsmillError

# Units in which a value may be written, as multiples of the unit of the parameter.
UNITS = {
    "Hz": {"Hz": Fraction(1), "kHz": Fraction(1000), "mHz": Fraction(1, 1000)},
    "s": {
        "s": Fraction(1),
        "ms": Fraction(1, 1000),
        "us": Fraction(1, 10**6),
        "\N{MICRO SIGN}s": Fraction(1, 10**6),
        "\N{GREEK SMALL LETTER MU}s": Fraction(1, 10**6),
        "min": Fraction(60),
    },
    "dB": {"dB": Fraction(1)},
}
BOUNDS: dict[str, tuple[str, Callable[[Any, Any], bool]]] = {
    "above": ("above", lambda value, bound: value > bound),
    "at_least": ("at least", lambda value, bound: value >= bound),
    "below": ("below", lambda value, bound: value < bound),
    "at_most": ("at most", lambda value, bound: value <= bound),
}


@dataclass(frozen=True)
class Quantity:
    """A number with the unit it was written in."""

    value: float | int
    unit: str

    def __str__(self) -> str:
        return f"{self.value!r} {self.unit}"


class ParameterProblem(BidsmillError):
    """A value of a parameter that cannot be used.

    Parameters
    ----------
    parameter : str
        Its name.
    """

    def __init__(self, parameter: str, what: str, **details: Any):
        self.parameter = parameter
        super().__init__(what, **details)


class _Mismatch(Exception):
    """A value that is not of a type; its text says what is expected."""


def parameter(
    default: Any = dataclasses.MISSING,
    *,
    unit: str | None = None,
    above: float | None = None,
    at_least: float | None = None,
    below: float | None = None,
    at_most: float | None = None,
) -> Any:
    """Declare a parameter of an operation: a field of its dataclass.

    Parameters
    ----------
    default : Any, optional
        Its value if none is given; a parameter without it has to be given.
    unit : str, optional
        The unit its number is in: ``"Hz"``, ``"s"`` or ``"dB"``. In the language it may then be
        written in others of its kind (``10 ms``), and a unit of another kind is refused.
    above, at_least, below, at_most : float, optional
        Bounds of the number (of each, where there are several).
    """
    bounds = {"above": above, "at_least": at_least, "below": below, "at_most": at_most}
    metadata = {"unit": unit} | {key: bound for key, bound in bounds.items() if bound is not None}
    return dataclasses.field(default=default, metadata=metadata)


def checked(operation: Any) -> dict[str, Any]:
    """Return the parameters of an operation, each in the type of its annotation.

    Raises
    ------
    BidsmillError
        If a value has another type or unit, or lies outside its bounds.
    """
    hints = typing.get_type_hints(type(operation))
    values = {}
    for field in dataclasses.fields(operation):
        given = getattr(operation, field.name)
        try:
            value = _brought(given, hints[field.name], field.metadata.get("unit"))
            _check_bounds(value, field.metadata)
        except _Mismatch as problem:
            raise ParameterProblem(
                field.name,
                f"The parameter {field.name} of {operation.name} cannot be used",
                found=str(given) if isinstance(given, Quantity) else repr(given),
                expected=str(problem),
            ) from None
        values[field.name] = value
    return values


def signature(operation: Any) -> str:
    """Return how an operation is written, e.g. ``lowpass(high in Hz, order = null)``."""
    words = []
    for field in dataclasses.fields(operation):
        word = field.name
        if field.metadata.get("unit"):
            word += f" in {field.metadata['unit']}"
        if field.default is not dataclasses.MISSING:
            word += f" = {written(field.default)}"
        words.append(word)
    return f"{operation.name}({', '.join(words)})"


def written(value: Any) -> str:
    """Return a value as it is written in the language."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple | list):
        return f"[{', '.join(written(item) for item in value)}]"
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return repr(value)


def _brought(value: Any, hint: Any, unit: str | None) -> Any:
    """Return a value in the type of an annotation."""
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        return _one_of(value, get_args(hint), unit)
    if origin is Literal:
        if value not in get_args(hint) or isinstance(value, Quantity):
            words = ", ".join(written(choice) for choice in get_args(hint))
            raise _Mismatch(f"one of {words}")
        return value
    if origin is tuple:
        return _several(value, get_args(hint), unit)
    if hint is float:
        return _number(value, unit)
    if hint is int:
        number = _number(value, unit)
        if number != int(number):
            raise _Mismatch("a whole number")
        return int(number)
    if hint in (bool, str, type(None)):
        if not isinstance(value, hint):
            raise _Mismatch({bool: "true or false", str: "a word or a text"}.get(hint, "null"))
        return value
    raise TypeError(f"parameters cannot be of the type {hint}")


def _one_of(value: Any, hints: tuple[Any, ...], unit: str | None) -> Any:
    problems = []
    for hint in sorted(hints, key=lambda hint: hint is not type(None)):
        try:
            return _brought(value, hint, unit)
        except _Mismatch as problem:
            problems.append(str(problem))
    raise _Mismatch(" or ".join(reversed(problems)))


def _several(value: Any, hints: tuple[Any, ...], unit: str | None) -> tuple[Any, ...]:
    items = value if isinstance(value, tuple | list) else (value,)
    if hints[-1] is Ellipsis:
        return tuple(_brought(item, hints[0], unit) for item in items)
    if len(items) != len(hints):
        raise _Mismatch(f"{len(hints)} values in brackets")
    return tuple(_brought(item, hint, unit) for item, hint in zip(items, hints, strict=True))


def _number(value: Any, unit: str | None) -> float:
    kind = "a number" if unit is None else f"a number of {unit}"
    if isinstance(value, Quantity):
        factors = UNITS.get(unit or "", {})
        if value.unit not in factors:
            others = f" (or of {', '.join(list(factors)[1:])})" if len(factors) > 1 else ""
            raise _Mismatch(kind + others if unit else "a number without a unit")
        # In fractions: 9 ms are the float next to 0.009, as if 0.009 had been written.
        return float(Fraction(repr(value.value)) * factors[value.unit])
    if isinstance(value, bool) or not isinstance(value, int | float):
        # A number of numpy.
        value = value.item() if hasattr(value, "item") else None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise _Mismatch(kind if isinstance(value, int | bool) else f"{kind}, finite")
    return float(value) + 0.0  # -0.0 becomes 0.0: equal values, equal identity


def _check_bounds(value: Any, metadata: Any) -> None:
    for item in value if isinstance(value, tuple) else (value,):
        if isinstance(item, tuple):
            _check_bounds(item, metadata)
            continue
        for key, (words, holds) in BOUNDS.items():
            if key in metadata and isinstance(item, int | float) and not holds(item, metadata[key]):
                unit = f" {metadata['unit']}" if metadata.get("unit") else ""
                raise _Mismatch(f"{words} {metadata[key]:g}{unit}")
