"""Tags that a config adds to those of a dataset: a sidecar of events beside the raw tree."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bidsmill.errors import BidsmillError

# Column and value of a categorical column; a value column has no value.
Place = tuple[str, str | None]


@dataclass(frozen=True)
class ConfigTags:
    """The HED of a config sidecar.

    Attributes
    ----------
    name : str
        What reports call the file: ``config/hed/{dataset}.json``.
    columns : dict
        Column -> text with ``#``, or texts by value; None stands for what is no text.
    proposed : dict
        Column -> the values whose HED is only proposed, or True: all of the column.
    faults : tuple of (str, str)
        Column, and what is wrong with its key ``Proposed``.
    """

    name: str
    columns: dict[str, str | dict[str, str | None] | None]
    proposed: dict[str, frozenset[str] | bool]
    faults: tuple[tuple[str, str], ...] = ()

    @property
    def has_proposals(self) -> bool:
        """Whether any HED is only proposed."""
        return any(self.proposed.values())

    def is_proposed(self, column: str, value: str | None) -> bool:
        """Return whether the HED of a value (None: of the column) is only proposed."""
        marked = self.proposed.get(column, False)
        return marked if isinstance(marked, bool) else value is None or value in marked

    def facts(self) -> list[Any]:
        """Return what results depend on, for a fingerprint: not the descriptions and counts."""
        marks = {
            column: marked if isinstance(marked, bool) else sorted(marked)
            for column, marked in self.proposed.items()
        }
        return [self.columns, marks]


@dataclass
class Merged:
    """A dataset's sidecar with the tags of the config.

    Attributes
    ----------
    content : dict
        The sidecar.
    origins : dict
        Where tags stand -> ``config`` or ``proposed``; all other tags are the dataset's.
    faults : list of (str, str)
        Column, and what could not be done.
    """

    content: dict[str, Any]
    origins: dict[Place, str] = field(default_factory=dict)
    faults: list[tuple[str, str]] = field(default_factory=list)

    def origin(self, column: str, value: str | None) -> str:
        """Return ``dataset``, ``config`` or ``proposed``."""
        whole = self.origins.get((column, None), "dataset")
        return self.origins.get((column, value), whole)


def read_config_sidecar(path: Path) -> ConfigTags:
    """Read the sidecar of a config.

    Parameters
    ----------
    path : pathlib.Path
        The file, a BIDS sidecar of events. An entry may hold ``Proposed``: the values whose HED
        is only proposed, or true.

    Returns
    -------
    ConfigTags
        HED that is no text is kept as None: it costs its own strings only.

    Raises
    ------
    BidsmillError
        If it is no JSON object.
    """
    content = _json_object(path)
    columns: dict[str, str | dict[str, str | None] | None] = {}
    proposed: dict[str, frozenset[str] | bool] = {}
    faults = []
    for column, entry in content.items():
        if not isinstance(entry, dict) or "HED" not in entry:
            continue
        hed = entry["HED"]
        if isinstance(hed, dict):
            columns[column] = {k: v if isinstance(v, str) else None for k, v in hed.items()}
        else:
            columns[column] = hed if isinstance(hed, str) else None
        proposed[column], fault = _proposed(entry.get("Proposed"))
        if fault:
            faults.append((column, fault))
    return ConfigTags(reported_name(path), columns, proposed, tuple(faults))


def reported_name(path: Path) -> str:
    """Return what reports call the file: as configured, but never a path of this machine."""
    return Path(*path.parts[-2:]).as_posix() if path.is_absolute() else path.as_posix()


def _json_object(path: Path) -> dict[str, Any]:
    def refuse(text: str) -> float:
        raise ValueError(f"{text}, which JSON has not")

    def finite(digits: str) -> float:
        return float(digits) if math.isfinite(float(digits)) else refuse(digits)

    try:
        text = path.read_bytes().decode("utf-8-sig")
        content = json.loads(text, parse_constant=refuse, parse_float=finite)
    except (OSError, ValueError, RecursionError) as error:
        found = error.strerror if isinstance(error, OSError) else error
        raise BidsmillError(
            "the HED sidecar of the config cannot be read",
            file=path,
            found=found,
            expected="a JSON object, as `bidsmill hed-template` writes it",
        ) from None
    if not isinstance(content, dict):
        raise BidsmillError(
            "the HED sidecar of the config is no JSON object",
            file=path,
            found=f"a {type(content).__name__}",
            expected='an object such as {"trial_type": {"HED": {"rest": "Rest"}}}',
        )
    return content


def _proposed(marked: Any) -> tuple[frozenset[str] | bool, str | None]:
    """Return which values are proposed; all of them where it cannot be told."""
    if marked is None or isinstance(marked, bool):
        return bool(marked), None
    if isinstance(marked, list) and all(isinstance(value, str) for value in marked):
        return frozenset(marked) or False, None
    return True, "Proposed is neither a list of values nor true: all of the column is proposed"


def merge(sidecar: Mapping[str, Any], config: ConfigTags | None, *, with_proposed: bool) -> Merged:
    """Merge the tags of a config over a dataset's sidecar, per column and value.

    A text replaces the dataset's; an empty text takes the tags of that value away.

    Parameters
    ----------
    sidecar : mapping
        The sidecar of an events table after inheritance.
    config : ConfigTags or None
        None changes nothing.
    with_proposed : bool
        Whether proposals take part. A proposal that does not leaves the dataset's tags alone.
    """
    merged = Merged(dict(sidecar))
    for column, hed in config.columns.items() if config else ():
        assert config is not None
        found = merged.content.get(column)
        chosen: dict[str | None, str | None]
        entry = dict(found) if isinstance(found, Mapping) else {}
        if isinstance(hed, dict):
            chosen = {
                value: text
                for value, text in hed.items()
                if with_proposed or not config.is_proposed(column, value)
            }
            if not chosen or not _replace_values(merged, column, entry, chosen):
                continue
        elif not with_proposed and config.is_proposed(column, None):
            continue
        else:
            entry.pop("HED", None)
            chosen = {} if _is_empty(hed) else {None: hed}
            if chosen:
                entry["HED"] = hed
        merged.content[column] = entry
        for value, text in chosen.items():
            if not _is_empty(text):
                proposed = config.is_proposed(column, value)
                merged.origins[column, value] = "proposed" if proposed else "config"
    return merged


def _replace_values(
    merged: Merged, column: str, entry: dict[str, Any], chosen: Mapping[str | None, str | None]
) -> bool:
    """Replace the texts of values in the entry of a column; return whether that could be done."""
    old = entry.get("HED")
    if isinstance(old, str) and all(map(_is_empty, chosen.values())):
        fault = "the dataset has one text for all values: that of single ones cannot be taken away"
        merged.faults.append((column, fault))
        return False
    texts = {**old, **chosen} if isinstance(old, Mapping) else dict(chosen)
    entry["HED"] = {v: t for v, t in texts.items() if v not in chosen or not _is_empty(t)}
    if not entry["HED"]:
        del entry["HED"]
    return True


def only_defines(hed: Any) -> bool:
    """Return whether the HED of a column holds definitions alone: no event needs such a column."""
    texts = hed.values() if isinstance(hed, Mapping) else [hed]
    return all(isinstance(text, str) and "definition/" in text.casefold() for text in texts)


def _is_empty(text: Any) -> bool:
    return isinstance(text, str) and not text.strip()
