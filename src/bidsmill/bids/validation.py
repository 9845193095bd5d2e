"""One list of everything that validators find in a dataset: BIDS, HED, and our own checks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bidsmill.bids.hed_sidecars import ConfigTags
from bidsmill.bids.hed_validation import run_hed_validation
from bidsmill.bids.official_validator import TIMEOUT, run_validator
from bidsmill.errors import BidsmillError
from bidsmill.formats.files import write_json

Issue = dict[str, Any]
KEYS = ("source", "severity", "code", "file", "row", "column", "message")


def validate_dataset(
    root: str | Path,
    *,
    output: str | Path,
    hed_version: str | Sequence[str] | None,
    ignore: Collection[str] = (),
    cross_checks: Iterable[Mapping[str, Any]] = (),
    timeout: float = TIMEOUT,
    hed_config: ConfigTags | None = None,
    use_proposed: bool = False,
) -> dict[str, Any]:
    """Validate a BIDS dataset and write what was found.

    Parameters
    ----------
    root : path-like
        The folder of the dataset. It is only read.
    output : path-like
        The JSON file to write, atomically.
    hed_version : str, sequence of str or None
        ``HEDVersion`` of dataset_description.json.
    ignore : collection of str
        Codes that are left out of ``issues`` and of the numbers, and counted in ``ignored``.
    cross_checks : iterable of mapping
        Issues found by the caller (see `bidsmill.bids.crosschecks.cross_check`): ``severity``,
        ``code``, ``file`` and ``message``.
    timeout : float
        Seconds after which the BIDS validator is stopped.
    hed_config : ConfigTags, optional
        Tags that the config adds to events.
    use_proposed : bool
        Whether rows are checked with those of them that are only proposed.

    Returns
    -------
    dict
        The content of `output`; equal for equal datasets (no times, no absolute paths).
        ``validator`` and ``hed``: ``version``, ``errors``, ``warnings``; if one could not run,
        its numbers are None and ``reason`` says why; without HED in the dataset, ``version`` is
        None and ``reason`` says so.
        ``bidsmill``: ``errors``, ``warnings`` of the cross-checks.
        ``issues``: sorted; keys ``source`` (``bids-validator``, ``hed``, ``bidsmill``),
        ``severity`` (``error``, ``warning``), ``code``, ``file`` (relative to `root`), ``message``
        and, where known, ``row`` (position of the event from 0) and ``column``.
        ``counts``: for each severity the number of issues by code. ``ignored``: the same by code.

    Raises
    ------
    BidsmillError
        If `root` is no folder.
    """
    folder = Path(root)
    if not folder.is_dir():
        raise BidsmillError("there is no dataset to validate", file=folder, expected="a folder")
    validator, found = run_validator(folder, timeout=timeout)
    hed, hed_found = run_hed_validation(
        folder, hed_version, config=hed_config, use_proposed=use_proposed
    )
    own = [{**check, "source": "bidsmill"} for check in cross_checks]
    issues = sorted((_ordered(i) for i in [*found, *hed_found, *own]), key=_order)
    kept = [issue for issue in issues if issue["code"] not in ignore]
    result = {
        "validator": _numbered(validator, kept, "bids-validator"),
        "hed": _numbered(hed, kept, "hed"),
        "bidsmill": _numbered({}, kept, "bidsmill"),
        "counts": {
            severity: _by_code(i for i in kept if i["severity"] == severity)
            for severity in ("error", "warning")
        },
        "ignored": _by_code(i for i in issues if i["code"] in ignore),
        "issues": kept,
    }
    write_json(output, result)
    return result


def fatal_issues(result: Mapping[str, Any], codes: Collection[str]) -> list[Issue]:
    """Return the issues whose code is among `codes` (``validate.fatal`` of the configuration).

    Parameters
    ----------
    result : mapping
        What `validate_dataset` returned.
    codes : collection of str
        Codes of any source, for example ``HED_ERROR`` or ``empty_file``.
    """
    return [dict(issue) for issue in result["issues"] if issue["code"] in codes]


def _ordered(issue: Mapping[str, Any]) -> Issue:
    return {key: issue[key] for key in KEYS if issue.get(key) is not None}


def _order(issue: Issue) -> tuple:
    return (
        issue["source"],
        issue["severity"],
        issue["code"],
        issue["file"],
        issue.get("row", -1),
        issue.get("column", ""),
        issue["message"],
    )


def _numbered(state: Mapping[str, Any], issues: Iterable[Issue], source: str) -> dict[str, Any]:
    """Return the state of one validator with its numbers of errors and warnings."""
    count = Counter(issue["severity"] for issue in issues if issue["source"] == source)
    ran = state.get("ran", True)
    numbers = {f"{kind}s": count[kind] if ran else None for kind in ("error", "warning")}
    return {**{key: value for key, value in state.items() if key != "ran"}, **numbers}


def _by_code(issues: Iterable[Issue]) -> dict[str, int]:
    return dict(sorted(Counter(issue["code"] for issue in issues).items()))
