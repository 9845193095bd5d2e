"""Operations by name."""

from __future__ import annotations

import dataclasses
import difflib
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, TypeVar

from bidsmill.errors import BidsmillError

if TYPE_CHECKING:
    from bidsmill.streams.operation import Operation

Kind = TypeVar("Kind", bound="type[Operation]")
NAME = re.compile(r"[a-z][a-z0-9_]*")
# Words of the language that cannot name an operation.
RESERVED = ("raw", "epocs", "true", "false", "null", "inf", "nan")

_known: dict[str, type[Operation]] = {}


def register(operation: Kind) -> Kind:
    """Make an operation known by its name; the decorator of a class.

    Raises
    ------
    BidsmillError
        If the name cannot be used or belongs to another operation, or if the class is no frozen
        dataclass.
    """
    name = getattr(operation, "name", None)
    if not isinstance(name, str) or not NAME.fullmatch(name) or name in RESERVED:
        raise BidsmillError(
            f"The operation {operation.__qualname__} has no usable name",
            found=repr(name),
            expected="`name`: lower-case letters, digits and _; "
            f"none of the words {', '.join(RESERVED)}",
        )
    frozen = getattr(operation, "__dataclass_params__", None)
    if not dataclasses.is_dataclass(operation) or frozen is None or not frozen.frozen:
        raise BidsmillError(
            f"The operation {name} is no frozen dataclass",
            todo="put @dataclass(frozen=True) below @register",
        )
    other = _known.get(name)
    # The same definition again is a module loaded twice, or a cell of a notebook run again.
    if other is not None and _origin(other) != _origin(operation):
        raise BidsmillError(
            "Two operations have one name",
            found=f"{name} of {_origin(other)} and of {_origin(operation)}",
            todo="rename one of them",
        )
    _known[name] = operation
    return operation


def operations() -> dict[str, type[Operation]]:
    """Return all known operations by name, sorted."""
    import bidsmill.streams.operations  # noqa: F401

    return dict(sorted(_known.items()))


def operation_named(name: str) -> type[Operation]:
    """Return the operation of a name.

    Raises
    ------
    BidsmillError
        If there is none; the message names the nearest and lists all.
    """
    found = operations()
    if name not in found:
        raise BidsmillError(
            "There is no such operation",
            found=name,
            expected=f"one of {', '.join(found)}",
            todo=nearest(name, found) or "correct the name, or import the module that defines it",
        )
    return found[name]


def nearest(name: str, known: Iterable[str]) -> str:
    """Return ``did you mean X?`` for the nearest known name; empty if none is near."""
    names = list(known)
    near = difflib.get_close_matches(name.lower(), names, n=1, cutoff=0.6)
    if not near:
        starts = [other for other in names if len(name) > 1 and other.startswith(name.lower())]
        near = starts[:1]
    return f"did you mean {near[0]}?" if near else ""


def _origin(operation: type[Operation]) -> str:
    return f"{operation.__module__}.{operation.__qualname__}"
