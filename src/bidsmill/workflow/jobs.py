"""What jobs are told through the environment, which they inherit."""

from __future__ import annotations

import os

TAKE_NEWS = "BIDSMILL_TAKE_NEWS"


def use_library(path: str) -> None:
    """Let jobs import the library from `path`, before any installed version of it."""
    others = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([path, others] if others else [path])


def ask_for_news() -> None:
    """Let the rule `lock` ask its source, although there is a lock already."""
    os.environ[TAKE_NEWS] = "yes"


def news_are_asked_for() -> bool:
    """Return whether `ask_for_news` was called where this job was started."""
    return bool(os.environ.get(TAKE_NEWS))
