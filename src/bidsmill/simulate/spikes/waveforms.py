"""From a lead field and a clip bank to a maker of samples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from bidsmill.errors import BidsmillError
from bidsmill.simulate.spikes.making import SpikeMaker
from bidsmill.simulate.spikes.projection import Forward
from bidsmill.simulate.spikes.sensor_noise import NoiseSettings

if TYPE_CHECKING:
    from bidsmill.formats.leadfield import LeadField
    from bidsmill.simulate.clips.bank import ClipBank


class LiftedClips:
    """A clip bank as the projection wants it: with the spikes of its waveforms lifted.

    A bank keeps clips as they were simulated, and beside them the waveforms of the centres with
    the spikes lifted (`bidsmill.simulate.clips.scaling`). A source shows the lifted waveform, so
    that what stands between its spikes does not grow with them. Clips of others have no factor:
    they are shown as they are.

    Parameters
    ----------
    bank : ClipBank
        The bank. Nothing of it is kept in memory.
    """

    def __init__(self, bank: ClipBank):
        self._bank = bank

    def rows(self, region: int, clip: int, regions: Any) -> np.ndarray:
        """Return the activity of some regions in a clip, not lifted: (regions, times), mV."""
        return self._bank.rows(region, clip, regions)

    def projected(self, region: int, clip: int) -> np.ndarray:
        """Return what the sensors see of a clip: (sensors, times)."""
        return self._bank.projected(region, clip)

    def waveform(self, region: int, clip: int) -> np.ndarray:
        """Return the waveform of the centre, lifted: (times,), mV."""
        return self._bank.waveform(region, clip)


def forward_of(leadfield: LeadField) -> Forward:
    """Return a lead field as the projection wants it: its EEG referenced to the average."""
    from bidsmill.simulate.anatomy.leadfield import average_reference

    if "eeg" in leadfield.types and leadfield.reference != "average":
        leadfield = average_reference(leadfield)
    return Forward(leadfield.matrix, leadfield.types)


def spike_maker(
    leadfield: LeadField,
    bank: ClipBank,
    seed: int,
    noise: NoiseSettings | None = None,
    segments: Sequence[np.ndarray] | None = None,
    *,
    test: float = 0.2,
    validation: float = 0.0,
) -> SpikeMaker:
    """Return the maker of samples of a lead field and a bank; see `SpikeMaker`.

    Raises
    ------
    BidsmillError
        If the bank was projected with another lead field.
    """
    from bidsmill.simulate.clips.bank import leadfield_sha256

    forward = forward_of(leadfield)
    found, expected = bank.facts["leadfield_sha256"], leadfield_sha256(forward.matrix)
    if found != expected:
        raise BidsmillError(
            "the clips were projected with another lead field",
            file=bank.folders[0],
            found=f"a lead field of sha256 {found[:16]}",
            expected=expected[:16],
            todo="make the clips again",
        )
    return SpikeMaker(
        forward,
        LiftedClips(bank),
        bank.sfreq,
        seed,
        noise,
        segments,
        test=test,
        validation=validation,
    )
