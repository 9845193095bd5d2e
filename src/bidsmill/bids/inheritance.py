"""Which sidecars describe which data file (BIDS 1.10, "Inheritance principle")."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import PurePosixPath

from bidsmill.bids.entities import parse_name

# Entities that a sidecar may have though the recording has not: they name the space of the
# coordinates, not the recording.
FREE_ENTITIES = {"electrodes": {"space"}, "coordsystem": {"space"}}

Labels = Mapping[tuple[str, str], set[str]]
# Names of entities, sorted -> their labels, in the same order -> sidecars.
ByLabels = dict[tuple[str, ...], dict[tuple[str, ...], list[str]]]


def labels_of(data: Iterable[str]) -> dict[tuple[str, str], set[str]]:
    """Return the labels of data files by entity and label in lower case."""
    labels: dict[tuple[str, str], set[str]] = {}
    for path in data:
        for key, label in parse_name(path).entities.items():
            labels.setdefault((key, label.casefold()), set()).add(label)
    return labels


def folders_above(path: str) -> tuple[str, ...]:
    """Return the folders that a file lies in, from the root (``''``) inwards."""
    return _and_above(path.rpartition("/")[0])


@lru_cache(maxsize=50_000)
def _and_above(folder: str) -> tuple[str, ...]:
    """Return a folder after those that it lies in."""
    parents = [str(parent) for parent in PurePosixPath(folder).parents]
    above = ["" if parent == "." else parent for parent in reversed(parents)]
    return (*above, folder) if folder else ("",)


def stated_entities(path: str) -> dict[str, str]:
    """Return the entities of a sidecar that a data file must have for it to apply."""
    name = parse_name(path)
    free = FREE_ENTITIES.get(name.suffix, set())
    return {key: label for key, label in name.entities.items() if key not in free}


class SidecarIndex:
    """The sidecars of a dataset, found by folder, suffix, extension and labels.

    A look-up compares no file with another: its cost is that of the few sets of entities that
    sidecars of one kind in one folder have in their names.

    Parameters
    ----------
    paths : iterable of str
        Files relative to the dataset; those that are no ``.tsv`` or ``.json`` are left out.
    labels : mapping, optional
        `labels_of` all data files; without it case always counts.
    """

    def __init__(self, paths: Iterable[str], labels: Labels | None = None):
        self._labels = labels
        self._exact: dict[tuple[str, str, str], ByLabels] = {}
        self._folded: dict[tuple[str, str, str], ByLabels] = {}
        for path in paths:
            if not path.endswith((".tsv", ".json")):
                continue
            name, stated = parse_name(path), stated_entities(path)
            kind = path.rpartition("/")[0], name.suffix, name.extension
            keys = tuple(sorted(stated))
            exact = tuple(stated[key] for key in keys)
            folded = tuple(label.casefold() for label in exact)
            for index, found in ((self._exact, exact), (self._folded, folded)):
                by_labels = index.setdefault(kind, {}).setdefault(keys, {})
                by_labels.setdefault(found, []).append(path)

    def applicable(self, data: str, suffix: str, extension: str) -> list[str]:
        """Return the sidecars of a suffix that apply to a data file, from the root inwards.

        A sidecar applies if it lies in the data file's folder or above it and each of its
        entities is an entity of the data file. Where several of one folder apply, the one with
        the most entities comes last, and so wins. Where none of a folder applies, one whose
        labels differ in nothing but case does (``task-Rest``, ``task-rest``), never the
        subject's, and only if no data file of the dataset has another spelling of the label.

        Parameters
        ----------
        data : str
            Path of the data file, relative to the dataset.
        suffix, extension : str
            Of the sidecar, e.g. ``events`` and ``.json``.
        """
        entities = parse_name(data).entities
        result: list[str] = []
        for folder in folders_above(data):
            kind = folder, suffix, extension
            if kind not in self._exact:
                continue
            found = _with_labels_of(self._exact[kind], entities)
            if not found and self._labels is not None:
                folded = {key: label.casefold() for key, label in entities.items()}
                alike = _with_labels_of(self._folded[kind], folded)
                found = [path for path in alike if self._can_only_mean(path, entities)]
            result.extend(sorted(found, key=lambda path: (len(parse_name(path).entities), path)))
        return result

    def _can_only_mean(self, path: str, entities: dict[str, str]) -> bool:
        """Return whether labels that differ in case can only be those of this data file."""
        assert self._labels is not None
        for key, label in stated_entities(path).items():
            own = entities[key]
            if own == label:
                continue
            if key == "sub" or self._labels.get((key, label.casefold()), set()) != {own}:
                return False
        return True


def _with_labels_of(index: ByLabels, entities: dict[str, str]) -> list[str]:
    """Return the sidecars of one kind whose labels are those of a data file."""
    found: list[str] = []
    for keys, by_labels in index.items():
        if entities.keys() >= set(keys):
            found += by_labels.get(tuple(entities[key] for key in keys), [])
    return found
