"""What a test does when a tool that it needs is not there."""

from __future__ import annotations

import os

import pytest

CI = os.environ.get("CI", "").lower() in ("1", "true", "yes")


def absent(reason: str):
    """Skip with a reason on a user's machine; fail in CI, where nothing may be missing."""
    if CI:
        pytest.fail(reason)
    pytest.skip(reason)
