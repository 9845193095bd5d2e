"""Montages that MNE-Python brings, under the names that people know them by."""

from __future__ import annotations

from typing import Any

# Names under which MNE has known its montages for long begin otherwise now.
RENAMED = {"standard_": "colin27_"}


def built_in_montage(name: str) -> Any:
    """Return a montage of MNE-Python by its name.

    Parameters
    ----------
    name : str
        Its old name or its new one: ``standard_1005`` is ``colin27_1005``.

    Returns
    -------
    mne.channels.DigMontage or None
        None if MNE-Python has none of this name.
    """
    from mne.channels import get_builtin_montages, make_standard_montage

    known = get_builtin_montages()
    for old, new in RENAMED.items():
        if name.startswith(old) and new + name.removeprefix(old) in known:
            name = new + name.removeprefix(old)
    return make_standard_montage(name) if name in known else None
