"""What runs and their jobs are told through the environment, which they inherit."""

from __future__ import annotations

import os

TAKE_NEWS = "BIDSMILL_TAKE_NEWS"
# The datasets that a run is for, with blanks between them: `bidsmill run` says so.
ASKED = "BIDSMILL_DATASETS"


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


def asked_of(datasets: list[str]) -> list[str]:
    """Return those of the datasets that this run is for: all, if nothing else was said."""
    asked = os.environ.get(ASKED, "").split()
    return [name for name in datasets if name in asked] if asked else datasets
