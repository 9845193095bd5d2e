"""The clips of a block of regions."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from bidsmill.errors import BidsmillError
from bidsmill.formats import files
from bidsmill.simulate.activity.blocks import load_block
from bidsmill.simulate.anatomy.loading import load_leadfield
from bidsmill.simulate.clips.bank import ClipBank
from bidsmill.simulate.clips.extraction import extract_clips
from bidsmill.simulate.clips.importing import clip_files, clip_root, import_clips
from bidsmill.simulate.jobs.settings import detection_settings

# Large files of a bank, of which killed jobs may have left parts.
ARRAYS = ("clips.npy", "projected.npy", "waveforms.npy")
log = logging.getLogger(__name__)


def make_clips(
    leadfield_path: Path,
    activity_paths: list[Path],
    folder: Path,
    plan: Path,
    clips: dict[str, Any],
    seed: int,
) -> None:
    """Cut the spikes of a block out of its activity, or import clips of others, as a clip bank.

    Parameters
    ----------
    leadfield_path : pathlib.Path
        The lead field.
    activity_paths : list of pathlib.Path
        Activity of the block, and its facts; empty for clips of others.
    folder : pathlib.Path
        Of the bank.
    plan : pathlib.Path
        ``plan/{block}.json``: the regions of the block.
    clips : dict
        Section ``clips``.
    seed : int
        Of the simulation.
    """
    matrix = load_leadfield(leadfield_path).matrix
    settings = detection_settings(clips)
    for name in ARRAYS:
        files.remove_parts(folder / name)
    if not activity_paths:
        regions = set(files.read_json(plan)["regions"])
        needed = [key for key in clip_files(clip_root(clips["folder"])) if key[0] in regions]
        bank = import_clips(clips["folder"], folder, matrix, clips["sfreq"], needed, settings)
    else:
        bank = extract_clips(
            folder,
            load_block(*activity_paths),
            matrix,
            settings,
            seed=seed,
            source_snr=clips["source_snr"],
        )
    log.info("%d clips of %d regions", len(bank), len(bank.regions))


def bank_folders(paths: list[str]) -> list[Path]:
    """Return the folders of files of banks, in the order of the blocks."""
    return sorted({Path(path).parent for path in paths})


def open_bank(paths: list[str]) -> ClipBank:
    """Return the clips of all blocks.

    Parameters
    ----------
    paths : list of str
        Files of their banks.

    Raises
    ------
    BidsmillError
        If there is no clip in any of them.
    """
    folders = bank_folders(paths)
    bank = ClipBank(folders)
    if not len(bank):
        raise BidsmillError(
            "no region made a spike",
            file=folders[0] / "regions.tsv",
            expected="regions.tsv of each block says why",
            todo="simulate more seconds or more regions, or a lower clips.threshold",
        )
    return bank
