"""Where epocs stand in a stream."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from bidsmill.errors import BidsmillError

if TYPE_CHECKING:
    import pandas as pd

    from bidsmill.formats.stream_core import StreamCore


def sample_at(seconds: np.ndarray, core: StreamCore) -> np.ndarray:
    """Return the sample of a stream nearest to times on its clock, int64.

    By time and not by ``onset_sample``: that counts the samples of the stream in which the epocs
    were found, which may have another rate.
    """
    # Times come from sums of decimals: within 1e-6 of a sample, half a sample is half a sample.
    places = (np.asarray(seconds, dtype=np.float64) - core.t0) * core.sfreq
    return np.rint(np.round(places, 6)).astype(np.int64)


def chosen(epocs: pd.DataFrame, labels: Sequence[str], channels: Sequence[str]) -> pd.DataFrame:
    """Return the epocs of some labels, in their order and with their index.

    Parameters
    ----------
    epocs : pandas.DataFrame
        With the columns of epocs; ``channel`` may be absent.
    labels : sequence of str
        All epocs if there is none.
    channels : sequence of str
        Channels of the stream.

    Raises
    ------
    BidsmillError
        If a label does not occur, or an epoc belongs to a channel that the stream has not.
    """
    if "channel" not in epocs.columns:
        epocs = epocs.assign(channel=None)
    if labels:
        known = set(epocs["label"].dropna())
        unknown = [label for label in labels if label not in known]
        if unknown:
            raise BidsmillError(
                "There are no epocs of a label",
                found=", ".join(unknown),
                expected=f"one of {', '.join(sorted(known)) or 'none: no epoc has a label'}",
            )
        epocs = epocs[epocs["label"].isin(list(labels)).to_numpy(bool)]
    strange = sorted(set(epocs["channel"].dropna()) - set(channels))
    if strange:
        raise BidsmillError(
            "Epocs belong to channels that the stream has not",
            found=", ".join(strange),
            expected=f"some of {', '.join(channels)}",
        )
    return epocs
