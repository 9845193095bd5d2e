"""Write nodes: streams chunk by chunk, epocs and tables when they are whole."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from bidsmill.formats import files
from bidsmill.streams.building import fits_inline
from bidsmill.streams.graph import Node
from bidsmill.streams.passes import Sink, Wholes, run_pass
from bidsmill.streams.plan import Plan
from bidsmill.streams.provenance import core_of, history_of
from bidsmill.streams.tasks import Join


def write_nodes(
    plan: Plan,
    wholes: Wholes,
    nodes: Mapping[str, Node],
    paths: Mapping[str, Path],
    threads: int,
) -> dict[str, dict[str, Any]]:
    """Write nodes in one pass; see :meth:`bidsmill.streams.nodes.Nodes.write_all`."""
    from bidsmill.formats.stream import StreamWriter

    inline = fits_inline(plan)
    known = wholes.known if inline else wholes.of(nodes.values(), threads)
    sinks: list[Sink] = []
    ends: dict[str, Callable[[], dict[str, Any]]] = {}
    with ExitStack() as open_files:
        for name, node in nodes.items():
            placed = plan[node]
            if node.kind == "stream":
                core = core_of(plan, node, name)
                writer = open_files.enter_context(StreamWriter(paths[name], core))
                sinks.append(Sink(placed, writer.write))
                ends[name] = writer.close
                continue
            parts: list[Any] = []
            if node.operation is not None:
                sinks.append(Sink(placed, parts.append))
            ends[name] = _table_end(plan, node, name, paths[name], parts)
        run_pass(plan, sinks, known, threads, bounded=not inline)
        return {name: end() for name, end in ends.items()}


def _table_end(
    plan: Plan, node: Node, name: str, path: Path, parts: list[Any]
) -> Callable[[], dict[str, Any]]:
    """Return what puts a table together and writes it, when its parts are there."""

    def end() -> dict[str, Any]:
        placed = plan[node]
        if node.operation is None:
            table = plan.epocs
        else:
            table = Join(placed.operation, placed.parent_core, placed.core)(parts)
        if node.kind == "epocs":
            return _write_epocs(plan, node, name, path, table)
        return _write_table(plan, node, name, path, table)

    return end


def _write_epocs(plan: Plan, node: Node, name: str, path: Path, table: Any) -> dict[str, Any]:
    from bidsmill.formats.epocs import make_epocs, write_epocs

    source = plan.stream.core
    sha256 = source.source.get("sha256")
    epocs = make_epocs(
        table,
        plan[node].core,
        name=core_of(plan, node, name).name,
        source=source.source,
        history=(*source.history, *history_of(node, sha256)),
    )
    return write_epocs(path, epocs)


def _write_table(plan: Plan, node: Node, name: str, path: Path, table: Any) -> dict[str, Any]:
    """Write any other table as Parquet, with the core of its stream as a sidecar."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from bidsmill.formats.stream_writing import compact

    document = {"core": core_of(plan, node, name).document() | {"kind": "table"}, "other": {}}
    arrow = pa.Table.from_pandas(table, preserve_index=False).replace_schema_metadata(
        {"core": compact(document["core"])}
    )
    sink = io.BytesIO()
    pq.write_table(arrow, sink, compression="zstd", compression_level=1, store_schema=False)
    content, beside = sink.getvalue(), files.json_bytes(document)
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write_bytes(path, content)
    files.write_bytes(path.with_suffix(".json"), beside)
    return _told(content) | {"sidecar": _told(beside)}


def _told(content: bytes) -> dict[str, Any]:
    return {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
