"""The audit of a dataset, of a store, and of results that are not published yet."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bidsmill.errors import BidsmillError
from bidsmill.formats.certificate import side_of_rows
from bidsmill.split.audit.confounds import check_confounds
from bidsmill.split.audit.finding import Finding, in_order
from bidsmill.split.audit.material import Material, from_store, read_documents
from bidsmill.split.audit.normalisation import check_declared
from bidsmill.split.audit.people import (
    check_merged,
    check_people,
    check_source_files,
    stated_aliases,
)
from bidsmill.split.audit.sides import check_sides
from bidsmill.split.audit.signals import check_signals
from bidsmill.split.audit.windows import check_windows

if TYPE_CHECKING:
    import pandas as pd


def audit_store(
    store: str | os.PathLike,
    datasets: Sequence[str] | None = None,
    *,
    aliases: Sequence[Sequence[str]] = (),
) -> list[Finding]:
    """Audit the latest versions of the datasets of a local store, each and all together.

    Parameters
    ----------
    store : path-like
        Folder of the store.
    datasets : sequence of str, optional
        All of the store if absent.
    aliases : sequence of sequence of str
        Names of one person each: ``{dataset}/sub-01``, or ``sub-01`` in each dataset.

    Returns
    -------
    list of Finding
        Leaks first; empty if there is nothing to tell.

    Raises
    ------
    BidsmillError
        If there is no such store or dataset, or its manifest or samples cannot be read.
    """
    root = Path(store)
    if str(store).startswith("s3://"):
        raise BidsmillError(
            "an audit reads a local store", found=store, todo="copy the store to a folder first"
        )
    known = sorted(path.parent.name for path in (root / "datasets").glob("*/latest.json"))
    if not known:
        raise BidsmillError("there is no store with datasets here", file=store)
    wanted = sorted(set(datasets)) if datasets else known
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise BidsmillError(
            "the store has no such dataset",
            file=store,
            found=", ".join(unknown),
            expected=", ".join(known),
        )
    return audit_materials([from_store(root, name) for name in wanted], aliases=aliases)


def audit_dataset(
    store: str | os.PathLike, dataset: str, *, aliases: Sequence[Sequence[str]] = ()
) -> list[Finding]:
    """Audit the latest version of one dataset of a local store; see `audit_store`."""
    return audit_store(store, [dataset], aliases=aliases)


def audit_results(
    samples: pd.DataFrame,
    table: pd.DataFrame,
    content: dict[str, Any],
    *,
    dataset: str,
    labels: Mapping[str, str] | Sequence[str],
    matrices: Mapping[str, Path] | None = None,
    aliases: Sequence[Sequence[str]] = (),
) -> list[Finding]:
    """Audit a split before it is published.

    Parameters
    ----------
    samples : pandas.DataFrame
        ``samples.parquet``, one row per window.
    table : pandas.DataFrame
        Groups, as in ``split.tsv``.
    content : dict
        The certificate, without the result of the audit.
    dataset : str
        Its name.
    labels : mapping or sequence of str
        The label columns (and the kind of each, ``class`` or ``number``).
    matrices : mapping, optional
        Recording -> its matrix file. Without, only the tables are audited.
    aliases : sequence of sequence of str
        As for `audit_store`.
    """
    kinds = dict(labels) if isinstance(labels, Mapping) else dict.fromkeys(labels, "class")
    material = Material(
        dataset=dataset,
        samples=samples,
        side=side_of_rows(samples, table),
        table=table,
        content=content,
        labels=kinds,
        matrices={name: Path(path) for name, path in sorted((matrices or {}).items())},
    )
    read_documents(material)
    return audit_materials([material], aliases=aliases)


def audit_materials(
    materials: Sequence[Material], *, aliases: Sequence[Sequence[str]] = ()
) -> list[Finding]:
    """Audit datasets that were read, each and all together.

    Aliases that certificates state (``same_subject``) are added to those given.
    """
    aliases = [*aliases, *(names for m in materials for names in stated_aliases(m))]
    for material in materials:
        check_sides(material)
        check_merged(material)
        check_windows(material)
        check_confounds(material)
        check_declared(material)
    findings = check_people(materials, aliases) + check_source_files(materials)
    findings += check_signals(materials)
    for material in materials:
        findings += material.findings
    return in_order(findings)
