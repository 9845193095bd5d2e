"""Configs that cannot be, for tests of what is said of them."""

from __future__ import annotations

from typing import Any

import pytest

from bidsmill.errors import BidsmillError
from bidsmill.workflow.config import resolve


def problems(content: Any, schema: dict[str, Any]) -> list[str]:
    """Return what is said of a config, one text for each problem."""
    with pytest.raises(BidsmillError) as caught:
        resolve(content, schema)
    first, *listed = str(caught.value).split("\n  - ")
    assert first == f"the configuration has {len(listed)} problem(s):"
    return listed
