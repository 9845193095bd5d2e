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
from bidsmill.split.audit.stored import Lost, StoredFiles
from bidsmill.split.audit.windows import check_windows
from bidsmill.storage.addresses import open_storage

if TYPE_CHECKING:
    import pandas as pd


def audit_store(
    store: str | os.PathLike,
    datasets: Sequence[str] | None = None,
    *,
    aliases: Sequence[Sequence[str]] = (),
    connection: Mapping[str, Any] | None = None,
) -> list[Finding]:
    """Audit the latest versions of the datasets of a store, each and all together.

    Parameters
    ----------
    store : path-like
        A folder, or ``s3://bucket/prefix``. Files of a bucket are copied into the folder for
        temporary files (``TMPDIR``) while they are needed, up to half of its free space.
    datasets : sequence of str, optional
        All of the store if absent.
    aliases : sequence of sequence of str
        Names of one person each: ``{dataset}/sub-01``, or ``sub-01`` in each dataset.
    connection : mapping, optional
        How a bucket is reached: see `bidsmill.storage.addresses.open_storage`.

    Returns
    -------
    list of Finding
        Leaks first; empty if there is nothing to tell.

    Raises
    ------
    BidsmillError
        If there is no such store or dataset, or its manifest or samples cannot be read.
    """
    with StoredFiles(open_storage(store, **(connection or {}))) as stored:
        wanted = _wanted(stored, datasets)
        try:
            return audit_materials([from_store(stored, name) for name in wanted], aliases=aliases)
        except Lost as lost:
            raise lost.error from None


def _wanted(stored: StoredFiles, datasets: Sequence[str] | None) -> list[str]:
    """Return the datasets to audit, sorted; refuse those that the store does not have."""
    wanted = sorted(set(datasets or ()))
    unknown = [name for name in wanted if not stored.has(name)]
    if wanted and not unknown:
        return wanted
    known = stored.datasets()
    if not known:
        raise BidsmillError("there is no store with datasets here", file=stored.storage.address)
    if unknown:
        raise BidsmillError(
            "the store has no such dataset",
            file=stored.storage.address,
            found=", ".join(unknown),
            expected=", ".join(known),
        )
    return known


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
