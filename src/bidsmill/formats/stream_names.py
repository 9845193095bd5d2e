"""The names of the files of a recording's streams."""

from __future__ import annotations

FOLDER = "streams"
# The node that is the recording itself: its files have no ``desc-``.
RAW = "raw"


def stream_file(recording: str, node: str = RAW, kind: str = "stream") -> str:
    """Return the name of a data file; that of its sidecar ends in ``.json`` instead.

    Parameters
    ----------
    recording : str
        Such as ``sub-01_task-grip_emg``.
    node : str
        The name of a node; ``raw`` for the recording itself.
    kind : {"stream", "epocs", "table"}
        What the node gives.
    """
    middle = "" if node == RAW else f"_desc-{node}"
    return f"{recording}{middle}_{kind}.parquet"
