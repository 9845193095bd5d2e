"""One step of a graph: what it needs, what it makes, and where it is known by name."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from bidsmill.errors import BidsmillError
from bidsmill.streams.parameters import checked, parameter
from bidsmill.streams.registry import register

if TYPE_CHECKING:
    from bidsmill.formats.stream_core import StreamCore

__all__ = ["Operation", "Span", "parameter", "register"]

KINDS = ("stream", "epocs", "table")


@dataclass(frozen=True)
class Span:
    """Where a block stands.

    Attributes
    ----------
    start, stop : int
        The samples of the output that are wanted. For epocs and tables: the samples of the
        parent that this call answers for; every sample belongs to exactly one call.
    first : int
        The sample of the parent in ``block[:, 0]``.
    total : int
        Samples of the whole parent. The block is cut at 0 and at ``total``; everywhere else it
        reaches as far as :meth:`Operation.needs` asked.
    """

    start: int
    stop: int
    first: int
    total: int


class Operation:
    """One step of a graph.

    A subclass is a frozen dataclass whose fields are its parameters (give each an annotation and,
    with :func:`parameter`, its unit and its bounds), decorated with :func:`register`::

        @register
        @dataclass(frozen=True)
        class Rectify(Operation):
            name: ClassVar[str] = "rectify"

            def compute(self, block, span, core, fitted):
                return np.abs(block)

    Parameters may be of the types float, int, bool, str, ``Literal[...]``, ``X | None`` and
    tuples of these (``tuple[float, ...]``; lists become tuples, one value a tuple of one). Values
    are checked and brought into the annotated type when an instance is made, so equal steps have
    equal parameters. ``__post_init__`` may check more; call ``super().__post_init__()`` first.

    Attributes
    ----------
    name : str
        The word of the language.
    version : int
        Raised when its results change.
    inputs : tuple of str
        The kinds of its inputs: ``"stream"``, ``"epocs"``, ``"table"``. With more than one input,
        ``block`` and ``core`` of the methods below are tuples, one for each. Streams among them
        have one rate and one length; their blocks have one span. Epocs and tables arrive whole in
        every call (as pandas data frames), with the core of the stream they came from.
    output : str
        ``"stream"``, ``"epocs"`` or ``"table"``.
    passes : int
        How often the whole signal is read for global statistics.

    Notes
    -----
    Blocks are arrays of shape (n_channels, n_samples), float32. They are shared: never change
    one in place.
    """

    name: ClassVar[str]
    version: ClassVar[int] = 1
    inputs: ClassVar[tuple[str, ...]] = ("stream",)
    output: ClassVar[str] = "stream"
    passes: ClassVar[int] = 1

    def __post_init__(self) -> None:
        for name, value in checked(self).items():
            object.__setattr__(self, name, value)

    def parameters(self) -> dict[str, Any]:
        """Return all parameters by name, those left at their defaults too."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}  # type: ignore[arg-type]

    def core(self, parent: Any) -> StreamCore:
        """Return the metadata of what comes out: channels, units, rate, number of samples.

        Epocs and tables return the core of the stream whose clock they are on. Called when a
        graph meets a stream, before anything is computed: refuse here what cannot be done.

        Raises
        ------
        BidsmillError
            If the parent cannot be used, e.g. a frequency above half its sampling rate.
        """
        return parent[0] if isinstance(parent, tuple) else parent

    def needs(self, start: int, stop: int, core: Any) -> tuple[int, int]:
        """Return the samples of the parent for the output ``[start, stop)``: this is the halo.

        They may lie before 0 or behind the end; they are cut there.
        """
        return start, stop

    def compute(self, block: Any, span: Span, core: Any, fitted: Any) -> Any:
        """Return the wanted samples (float32), or the rows of epocs or a table, of one block.

        Results must not depend on where blocks are cut (to 1e-6 of the standard deviation).

        Parameters
        ----------
        block : numpy.ndarray, shape (n_channels, n_samples), float32
            Samples of the parent from ``span.first`` on, or a tuple (see ``inputs``).
        span : Span
            Where it stands, and what is wanted.
        core : StreamCore
            That of the parent.
        fitted : Any
            What :meth:`combine` returned in the last pass; None without global statistics.
        """
        raise NotImplementedError

    def fits(self) -> bool:
        """Return whether this step, with its parameters, needs global statistics."""
        return type(self).partial is not Operation.partial

    def partial(self, block: Any, core: Any, known: Any = None) -> Any:
        """Return what one block (without halo) adds to the global statistics.

        Parameters
        ----------
        block, core
            As in :meth:`compute`.
        known : Any
            What :meth:`combine` returned in the pass before; None in the first.
        """
        raise NotImplementedError

    def combine(self, parts: Sequence[Any], core: Any, known: Any = None) -> Any:
        """Return the global statistics of all parts, which come in the order of time."""
        raise NotImplementedError

    def join(self, parts: Sequence[Any], core: Any) -> Any:
        """Return the whole table from what :meth:`compute` returned, in the order of time.

        Here things that cross a border between blocks are put together again.
        """
        import pandas as pd

        tables = [part for part in parts if len(part)]
        return pd.concat(tables or list(parts)[:1], ignore_index=True)


def output_of(operation: Operation, result: Any, span: Span, n_channels: int) -> np.ndarray:
    """Return the samples that a step computed, after a check of their shape and type.

    Raises
    ------
    BidsmillError
        If the step did not return the samples that its metadata promise.
    """
    array = np.asarray(result)
    wanted = (n_channels, span.stop - span.start)
    if array.shape != wanted:
        raise BidsmillError(
            f"The operation {operation.name} did not return the samples that were asked for",
            found=f"an array of shape {array.shape}",
            expected=f"{wanted} (channels, samples)",
            todo="correct `compute`, or `core`, of the operation",
        )
    if not (np.issubdtype(array.dtype, np.floating) or array.dtype.kind in "iub"):
        raise BidsmillError(
            f"The operation {operation.name} did not return numbers",
            found=f"an array of {array.dtype}",
            expected="float32",
        )
    return np.ascontiguousarray(array, dtype=np.float32)
