"""Cortex, lead field and connectome of a simulated dataset."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from bidsmill.formats import files
from bidsmill.simulate.anatomy.building import build_anatomy

log = logging.getLogger(__name__)


def make_anatomy(
    anatomy_path: Path, leadfield_path: Path, facts_path: Path, settings: dict[str, Any]
) -> None:
    """Build cortex and lead field; see `bidsmill.simulate.anatomy.building.build_anatomy`.

    Parameters
    ----------
    anatomy_path, leadfield_path, facts_path : pathlib.Path
        Outputs.
    settings : dict
        Section ``anatomy`` of a simulated dataset.
    """
    facts = build_anatomy(settings, anatomy_path, leadfield_path)
    files.write_json(facts_path, facts)
    log.info("lead field: %s", facts["leadfield"])
