"""Libraries that are installed only when asked for."""

from __future__ import annotations

import importlib
from typing import Any

from bidsmill.errors import BidsmillError

# What pip calls the library, where it is not the name of the module.
PACKAGES = {"hed": "hedtools"}


def require(module: str, extra: str, purpose: str) -> Any:
    """Import a library that is not part of the light install.

    Parameters
    ----------
    module : str
        Name of the module.
    extra : str
        The extra of bidsmill's install that brings it.
    purpose : str
        What needs it, as the reader wrote it, such as ``.mne()``.

    Raises
    ------
    BidsmillError
        If the library is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module.split(".")[0]:
            raise
        raise BidsmillError(
            f"{purpose} needs the library {error.name}, which is not installed",
            todo=f"pip install {PACKAGES.get(error.name, error.name)}, "
            f"or bidsmill with its extra [{extra}]",
        ) from None
