"""Lazy results: arrays of dask, and tables that are computed together with them."""

from __future__ import annotations

from typing import Any

import numpy as np

from bidsmill.streams.plan import Placed


class LazyTable:
    """A table that is computed when it is asked for: ``table.compute()``.

    dask computes collections of one kind of optimisation together, and of several kinds apart and
    in another order (seen in 2026.8). A delayed object beside arrays would thus compute again
    what it shares with them; this one is optimised as arrays are.

    Parameters
    ----------
    key : str
        Of the task that returns the table.
    tasks : dict
        The graph.
    """

    def __init__(self, key: str, tasks: Any):
        from dask.highlevelgraph import HighLevelGraph

        self.key = key
        if not isinstance(tasks, HighLevelGraph):
            tasks = HighLevelGraph.from_collections(key, tasks, dependencies=())
        self.dask = tasks

    def compute(self, **options: Any) -> Any:
        """Return the table; the options are those of ``dask.compute``."""
        import dask

        return dask.compute(self, **options)[0]

    def persist(self, **options: Any) -> LazyTable:
        """Return this collection with the table in memory."""
        import dask

        return dask.persist(self, **options)[0]

    @property
    def __dask_optimize__(self) -> Any:
        import dask.array as da

        return da.Array.__dask_optimize__

    @property
    def __dask_scheduler__(self) -> Any:
        from dask.threaded import get

        return get

    def __dask_graph__(self) -> Any:
        return self.dask

    def __dask_keys__(self) -> list[Any]:
        return [self.key]

    def __dask_layers__(self) -> tuple[str, ...]:
        return (self.key,)

    def __dask_tokenize__(self) -> str:
        return self.key

    def __dask_postcompute__(self) -> tuple[Any, tuple[()]]:
        return _only, ()

    def __dask_postpersist__(self) -> tuple[Any, tuple[str]]:
        return _persisted, (self.key,)

    def __repr__(self) -> str:
        return f"LazyTable({self.key})"


def lazy_array(key: str, tasks: dict[Any, Any], placed: Placed) -> Any:
    """Return a stream as a dask array of float32, shape (samples, channels)."""
    import dask.array as da

    lengths = tuple(np.diff(placed.borders).tolist())
    chunks = (lengths, (placed.core.n_channels,))
    return da.Array(tasks, key, chunks, meta=np.empty((0, 0), np.float32))


def _only(results: Any) -> Any:
    return results[0]


def _persisted(graph: Any, key: str, rename: Any = None) -> LazyTable:
    return LazyTable(key if rename is None else rename.get(key, key), graph)
