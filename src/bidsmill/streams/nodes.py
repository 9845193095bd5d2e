"""Named nodes of a stream: asked for together, computed once, written in bounded memory."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bidsmill.errors import BidsmillError
from bidsmill.formats.stream_core import StreamCore
from bidsmill.streams.building import Builder, fits_inline
from bidsmill.streams.graph import Graph, Node
from bidsmill.streams.passes import Later, Wholes
from bidsmill.streams.plan import Plan
from bidsmill.streams.provenance import core_of
from bidsmill.streams.tasks import transposed


class Nodes:
    """The nodes of a graph on one stream.

    ::

        nodes = Nodes(stream, {
            "clean": "raw > notch(50) > bandpass(20, 450)",
            "env": "clean > rectify > lowpass(10)",
            "onsets": "env > onsets(threshold=3)",
        })
        clean, env, onsets = nodes.get("clean", "env", "onsets")
        nodes.write("env", "sub-01_task-grip_emg_desc-env_stream.parquet")

    Nothing is computed until a result is computed or written; what cannot be computed on this
    stream is refused here.

    Parameters
    ----------
    stream : StreamFile, ArrayStream or path
        The source ``raw``.
    definitions : mapping, str or Graph
        See :class:`~bidsmill.streams.graph.Graph`.
    epocs : Epocs or pandas.DataFrame, optional
        The source ``epocs``, on the clock of the stream.
    chunk : int, optional
        Samples of a chunk; by default whole row groups of the file.

    Attributes
    ----------
    graph : Graph
        The definitions.
    stream
        The stream.

    Raises
    ------
    BidsmillError
        That names the node and points at the place in its definition.
    """

    def __init__(
        self,
        stream: Any,
        definitions: Mapping[str, str] | str | Graph,
        epocs: Any = None,
        *,
        chunk: int | None = None,
    ):
        if isinstance(stream, str | os.PathLike):
            from bidsmill.formats.stream import StreamFile

            stream = StreamFile(stream)
        self.stream = stream
        self.graph = definitions if isinstance(definitions, Graph) else Graph(definitions)
        self._plan = Plan(self.graph, stream, _table_of(epocs, stream.core), chunk)
        self._wholes = Wholes(self._plan)

    @property
    def names(self) -> list[str]:
        """Return the names of the nodes."""
        return list(self.graph.nodes)

    def kind(self, name: str) -> str:
        """Return ``stream``, ``epocs`` or ``table``."""
        return self.graph.find(name).kind

    def core(self, name: str) -> StreamCore:
        """Return the metadata of a node, its history too.

        Of epocs and tables: of the stream whose clock they are on.
        """
        return core_of(self._plan, self.graph.find(name), name)

    def get(self, *names: str) -> Any:
        """Return lazy results.

        Parameters
        ----------
        *names : str
            Names of nodes, or steps on the way to them (see
            :meth:`~bidsmill.streams.graph.Graph.find`); all nodes if none is given.

        Returns
        -------
        one result, a tuple of them, or a dict of all by name
            Streams are dask arrays of float32, shape (samples, channels); epocs and tables are
            lazy tables, whose ``compute()`` gives a pandas data frame. What they share has equal
            keys: ``dask.compute(*results)`` computes it once.
        """
        if not names:
            return dict(zip(self.names, self._lazy(*self.names), strict=True))
        results = self._lazy(*names)
        return results if len(names) > 1 else results[0]

    def compute(self, *names: str, threads: int = 1) -> Any:
        """Return results in memory: arrays of shape (channels, samples), and data frames.

        Parameters
        ----------
        *names : str
            As for :meth:`get`.
        threads : int
            How many tasks may run at once; results do not depend on it.
        """
        import dask

        lazy = self.get(*names)
        many = list(lazy.values()) if isinstance(lazy, dict) else lazy
        many = many if isinstance(many, list | tuple) else (many,)
        scheduler = {"scheduler": "threads", "num_workers": threads}
        found = dask.compute(*many, **({"scheduler": "sync"} if threads == 1 else scheduler))
        turned = tuple(f.T if isinstance(f, np.ndarray) else f for f in found)
        if isinstance(lazy, dict):
            return dict(zip(lazy, turned, strict=True))
        return turned if len(names) > 1 else turned[0]

    def write(self, name: str, path: str | os.PathLike, *, threads: int = 1) -> dict[str, Any]:
        """Write one node; see :meth:`write_all`."""
        return self.write_all({name: path}, threads=threads)[name]

    def write_all(
        self, paths: Mapping[str, str | os.PathLike], *, threads: int = 1
    ) -> dict[str, dict[str, Any]]:
        """Write nodes in one pass over the stream, in memory that does not grow with its length.

        Every file states its history: the operations with parameters and versions, and the sha256
        of what the stream was read from.

        Parameters
        ----------
        paths : mapping of str to path
            Names of nodes and the files to write: streams, epocs or tables, each with its
            sidecar.
        threads : int
            How many tasks may run at once; the bytes do not depend on it.

        Returns
        -------
        dict of str to dict
            ``sha256`` and ``size`` of each file, and of its ``sidecar``.
        """
        from bidsmill.streams.writing import write_nodes

        nodes = {name: self.graph.find(name) for name in paths}
        places = _places(paths, getattr(self.stream, "path", None))
        return write_nodes(self._plan, self._wholes, nodes, places, threads)

    def document(self) -> dict[str, Any]:
        """Return the graph, ready for JSON."""
        return self.graph.document()

    def _lazy(self, *names: str) -> tuple[Any, ...]:
        nodes = [self.graph.find(name) for name in names]
        builder = Builder(self._plan, self._wholes.known)
        if not fits_inline(self._plan):
            builder.later = Later(self._wholes, tuple(dict.fromkeys(nodes)))
        keys = [self._add(builder, node) for node in nodes]
        return tuple(
            self._result(builder, node, key) for node, key in zip(nodes, keys, strict=True)
        )

    def _add(self, builder: Builder, node: Node) -> str:
        placed = self._plan[node]
        if node.kind != "stream":
            return builder.table(placed)
        name = f"{node.word}-turned-{placed.token}"
        for number in range(placed.n_chunks):
            builder.tasks[name, number, 0] = (transposed, builder.chunk(placed, number))
        return name

    def _result(self, builder: Builder, node: Node, key: str) -> Any:
        from bidsmill.streams.lazy import LazyTable, lazy_array

        if node.kind != "stream":
            return LazyTable(key, builder.tasks)
        return lazy_array(key, builder.tasks, self._plan[node])

    def __repr__(self) -> str:
        return f"nodes {', '.join(self.names)} of {self.stream!r}"


def _places(
    paths: Mapping[str, str | os.PathLike], source: str | os.PathLike | None
) -> dict[str, Path]:
    """Return where nodes are written: each to a file of its own, and none to that of the stream."""
    places = {name: Path(path) for name, path in paths.items()}
    for path in places.values():
        # The sidecar has the same name with .json: it would replace such a file.
        if path.suffix != ".parquet":
            raise BidsmillError(
                "A node cannot be written to a file of this name",
                found=str(path),
                expected="a name that ends in .parquet",
            )
    found = [path.resolve() for path in places.values()]
    if len(set(found)) < len(found):
        raise BidsmillError(
            "Two nodes would be written to one file", found=", ".join(map(str, paths.values()))
        )
    if source is not None and Path(source).resolve() in found:
        raise BidsmillError("A node would replace the stream it is made of", found=str(source))
    return places


def _table_of(epocs: Any, core: StreamCore) -> Any:
    if epocs is None:
        return None
    if hasattr(epocs, "check_clock"):
        epocs.check_clock(core)
        return epocs.table
    from bidsmill.formats.epocs import make_epocs

    return make_epocs(epocs, core).table
