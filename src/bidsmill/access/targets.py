"""What a model shall predict: a label, or any column of samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bidsmill.access.columns import as_text, distinct
from bidsmill.access.names import unknown
from bidsmill.errors import BidsmillError

if TYPE_CHECKING:
    from bidsmill.access.columns import Columns, SelectedColumns

NUMBER = "number"


@dataclass(frozen=True)
class Target:
    """One target.

    Attributes
    ----------
    name : str
        A label, or a column of samples.
    classes : tuple of str, or None
        The classes in the order of their codes; None for numbers.
    """

    name: str
    classes: tuple[str, ...] | None

    def values(self, table: SelectedColumns) -> np.ndarray:
        """Return the values of some rows: float64 numbers, or classes as text."""
        column = table[self.name]
        if self.classes is None:
            return column.to_numpy(np.float64, na_value=np.nan, copy=True)
        return as_text(column).to_numpy(object, copy=True)

    def present(self, table: SelectedColumns) -> np.ndarray:
        """Return which rows have a value."""
        if self.classes is None:
            return ~np.isnan(self.values(table))
        return np.asarray(table[self.name] != "", bool)

    def codes(self, table: SelectedColumns) -> np.ndarray:
        """Return the code of each row's class: its place in `classes`, as int64."""
        if self.classes is None:
            raise BidsmillError(f"{self.name!r} holds numbers and has no classes")
        column = table[self.name]
        strange = sorted(distinct(column) - set(self.classes))
        if strange:
            raise unknown(
                f"samples have a class of {self.name!r} that the manifest does not",
                strange[0],
                self.classes,
            )
        place = {name: index for index, name in enumerate(self.classes)}
        codes = np.array([place.get(name, -1) for name in column.cat.categories], np.int64)
        return codes[column.cat.codes.to_numpy()]

    def trained(self, table: SelectedColumns) -> np.ndarray:
        """Return what a model is trained on: codes as int64, or numbers as float32."""
        if self.classes is None:
            return self.values(table).astype(np.float32)
        return self.codes(table)


def label_kinds(manifest: dict[str, Any]) -> dict[str, list[str] | str]:
    """Return label -> its classes, or ``"number"``."""
    return {
        name: list(label["classes"]) if label["kind"] == "class" else NUMBER
        for name, label in manifest["labels"].items()
    }


def find_target(name: str, labels: dict[str, list[str] | str], table: Columns) -> Target:
    """Return the target of this name.

    Classes of a column that is no label are its distinct values in the whole dataset, sorted,
    so that a training and a test selection have the same codes.

    Parameters
    ----------
    name : str
        A label or a column of samples.
    labels : dict
        See `label_kinds`.
    table : Columns
        All samples of the dataset.

    Raises
    ------
    BidsmillError
        If there is no such label or column.
    """
    from pandas.api.types import is_numeric_dtype

    if not isinstance(name, str) or name not in table:
        raise unknown(
            "there is no label or column of samples of this name",
            name,
            [*labels, *(column for column in table.columns if column not in labels)],
        )
    kind = labels.get(name)
    if isinstance(kind, list):
        return Target(name, tuple(kind))
    if kind == NUMBER or is_numeric_dtype(table[name].dtype):
        return Target(name, None)
    return Target(name, tuple(sorted(table.distinct(name) - {""})))


def target_names(target: str | Sequence[str]) -> list[str]:
    """Return the names of one target or of several.

    Raises
    ------
    BidsmillError
        If there is none, or one is named twice.
    """
    names = [target] if isinstance(target, str) else list(target)
    if not names or len(set(names)) < len(names):
        raise BidsmillError(
            "targets are named once each", found=repr(target), expected="a name, or several"
        )
    return names
