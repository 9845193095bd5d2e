"""What a model shall predict: a label, or any column of samples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bidsmill.access.names import unknown
from bidsmill.errors import BidsmillError

if TYPE_CHECKING:
    import pandas as pd

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

    def values(self, frame: pd.DataFrame) -> np.ndarray:
        """Return the values of a table: float64 numbers, or classes as text."""
        column = frame[self.name]
        if self.classes is None:
            return column.to_numpy(np.float64, na_value=np.nan, copy=True)
        return column.astype(object).where(column.notna(), "").to_numpy(object, copy=True)

    def present(self, frame: pd.DataFrame) -> np.ndarray:
        """Return which rows of a table have a value."""
        values = self.values(frame)
        return ~np.isnan(values) if self.classes is None else values != ""

    def codes(self, frame: pd.DataFrame) -> np.ndarray:
        """Return the code of each row's class: its place in `classes`, as int64."""
        if self.classes is None:
            raise BidsmillError(f"{self.name!r} holds numbers and has no classes")
        code = {name: index for index, name in enumerate(self.classes)}
        values = self.values(frame)
        strange = sorted(set(values.tolist()) - set(code))
        if strange:
            raise unknown(
                f"samples have a class of {self.name!r} that the manifest does not",
                strange[0],
                self.classes,
            )
        return np.array([code[value] for value in values], np.int64)


def label_kinds(manifest: dict[str, Any]) -> dict[str, list[str] | str]:
    """Return label -> its classes, or ``"number"``."""
    return {
        name: list(label["classes"]) if label["kind"] == "class" else NUMBER
        for name, label in manifest["labels"].items()
    }


def find_target(name: str, labels: dict[str, list[str] | str], samples: pd.DataFrame) -> Target:
    """Return the target of this name.

    Classes of a column that is no label are its distinct values in the whole dataset, sorted,
    so that a training and a test selection have the same codes.

    Parameters
    ----------
    name : str
        A label or a column of samples.
    labels : dict
        See `label_kinds`.
    samples : DataFrame
        All samples of the dataset.

    Raises
    ------
    BidsmillError
        If there is no such label or column.
    """
    from pandas.api.types import is_numeric_dtype

    if not isinstance(name, str) or name not in samples.columns:
        raise unknown(
            "there is no label or column of samples of this name",
            name,
            [*labels, *(column for column in samples.columns if column not in labels)],
        )
    kind = labels.get(name)
    if isinstance(kind, list):
        return Target(name, tuple(kind))
    if kind == NUMBER or is_numeric_dtype(samples[name].dtype):
        return Target(name, None)
    distinct = set(samples[name].dropna().tolist()) - {""}
    return Target(name, tuple(sorted(distinct)))
