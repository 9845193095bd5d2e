"""What is wrong with the nodes of a dataset's streams, and with rows that are cut from one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bidsmill.errors import BidsmillError

RAW = "raw"
# What a node takes over from these settings, and how it says the same.
MEANINGLESS = {"reference": "car", "filter": "bandpass(20, 450)", "resample": "resample(500)"}


def stream_problems(settings: dict[str, Any]) -> Iterator[str]:
    """Say what is wrong with `streams` and `windows.source` of one dataset.

    Parameters
    ----------
    settings : dict
        Of one dataset, with every default filled in.

    Yields
    ------
    str
        Begins with the key.
    """
    streams = settings["streams"]
    rows_from = (settings["windows"] or {}).get("source")
    kinds: dict[str, str] | None = {}
    if streams is not None:
        kinds, problems = _kinds(streams["nodes"])
        yield from problems
        written = [name for name in streams["write"] if name != rows_from]
        yield from _unknown_nodes(written, streams["nodes"])
    if rows_from is not None:
        yield from _source_problems(rows_from, settings, kinds)


def _kinds(definitions: dict[str, str]) -> tuple[dict[str, str] | None, list[str]]:
    """Return what each node gives, and what cannot be understood.

    None where what reads definitions is not installed beside the workflow: the jobs, which have
    environments of their own, then find what is wrong.
    """
    if not definitions:
        return {}, []
    try:
        from bidsmill.streams.graph import Graph

        nodes = Graph(definitions).nodes
    except ImportError:
        return None, []
    except BidsmillError as problem:
        return None, [f"streams.nodes: {problem.message()}"]
    return {name: node.kind for name, node in nodes.items()}, []


def _unknown_nodes(written: list[str], nodes: dict[str, str]) -> Iterator[str]:
    known = [*nodes, RAW]
    for name in written:
        if name not in known:
            listed = ", ".join(known)
            yield f"streams.write: found {name!r}, expected a node of `streams.nodes`: {listed}"


def _source_problems(
    source: str, settings: dict[str, Any], kinds: dict[str, str] | None
) -> Iterator[str]:
    if settings["streams"] is None:
        yield f"windows.source: found {source!r}, but the dataset has no `streams`"
    elif source != RAW and source not in settings["streams"]["nodes"]:
        known = ", ".join([*settings["streams"]["nodes"], RAW])
        yield f"windows.source: found {source!r}, expected a node of `streams.nodes`: {known}"
    elif kinds and kinds.get(source, "stream") != "stream":
        yield f"windows.source: the node {source!r} gives {kinds[source]}, expected a stream"
    for key, example in MEANINGLESS.items():
        if settings[key]:
            yield (
                f"{key}: has no meaning with `windows.source: {source}`; put it into the definition"
                f" of a node, such as `raw > {example}`"
            )
    channels = settings["channels"]
    if channels["policy"] == "montage":
        yield f"channels.policy: `montage` has no meaning with `windows.source: {source}`"
    if channels["bad"] == "interpolate":
        yield f"channels.bad: `interpolate` has no meaning with `windows.source: {source}`"
