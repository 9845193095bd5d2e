"""One's own operation from one decorated function."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable
from dataclasses import make_dataclass
from typing import Any, ClassVar

import numpy as np

from bidsmill.errors import BidsmillError
from bidsmill.streams.operation import Operation, Span
from bidsmill.streams.registry import operation_named, register

# A number of samples to either side, a pair (before, after), or a function of the sampling rate
# and the parameters that returns one of these.
Halo = int | tuple[int, int] | Callable[..., int | tuple[int, int]]


class FunctionOperation(Operation):
    """An operation made of a function by :func:`operation`."""

    function: ClassVar[Callable[..., Any]]
    halo: ClassVar[Halo]
    takes_sfreq: ClassVar[bool]

    def needs(self, start: int, stop: int, core: Any) -> tuple[int, int]:
        """Return the samples of the parent, as far as ``halo`` says."""
        before, after = self._halo(core)
        return start - before, stop + after

    def compute(self, block: np.ndarray, span: Span, core: Any, fitted: Any) -> np.ndarray:
        """Return what the function makes of the block, cut to the wanted samples."""
        given = {"sfreq": core.sfreq} if self.takes_sfreq else {}
        view = block.view()
        view.flags.writeable = False
        result = np.asarray(type(self).function(view, **given, **self.parameters()))
        if result.shape != block.shape:
            raise BidsmillError(
                f"The function of the operation {self.name} changed the shape of its block",
                found=f"{result.shape}",
                expected=f"{block.shape} (channels, samples)",
                todo="return as many samples as are given; the halo is cut off afterwards",
            )
        return result[:, span.start - span.first : span.stop - span.first]

    def _halo(self, core: Any) -> tuple[int, int]:
        halo = type(self).halo
        if callable(halo):
            halo = halo(core.sfreq, **self.parameters())
        before, after = halo if isinstance(halo, tuple) else (halo, halo)
        if before < 0 or after < 0:
            raise BidsmillError(
                f"The halo of the operation {self.name} is negative",
                found=f"{before}, {after}",
                expected="numbers of samples",
            )
        return int(before), int(after)

    def __reduce__(self) -> Any:
        return _rebuilt, (type(self).function, self.name, self.parameters())


def operation(
    function: Callable[..., Any] | None = None,
    *,
    name: str | None = None,
    version: int = 1,
    halo: Halo = 0,
) -> Any:
    """Make a function an operation that the graph knows by its name; a decorator.

    ::

        @operation(halo=1)
        def energy(block, power: float = 1.0):
            padded = np.pad(block, ((0, 0), (1, 1)), mode="edge")
            return (block**2 - padded[:, :-2] * padded[:, 2:]) ** power

    and then ``raw > energy(power=2)``.

    Parameters
    ----------
    function : callable
        Its first argument is a block: float32, shape (n_channels, n_samples), not to be changed.
        It returns an array of the same shape. An argument called ``sfreq`` gets the sampling rate
        in Hz. All others are the parameters; each needs an annotation (see
        :class:`~bidsmill.streams.operation.Operation`) and may have a default; a default made by
        :func:`~bidsmill.streams.parameters.parameter` brings unit and bounds.
    name : str, optional
        Its word in the language; by default the name of the function.
    version : int
        Raise it when the results change: what was computed with another version is made again.
    halo : int, (int, int) or callable
        How many samples before and after a sample its result depends on; a callable gets the
        sampling rate and the parameters: ``halo=lambda sfreq, width: int(width * sfreq)``. Only
        at the two ends of a recording does a block reach less far.

    Returns
    -------
    callable
        The function itself, unchanged.
    """

    def made(function: Callable[..., Any]) -> Callable[..., Any]:
        arguments = list(inspect.signature(function, eval_str=True).parameters.values())[1:]
        own = [argument for argument in arguments if argument.name != "sfreq"]
        word = name or function.__name__
        kind = make_dataclass(
            f"Operation_{word}",
            [_field(argument, word) for argument in own],
            bases=(FunctionOperation,),
            frozen=True,
            kw_only=False,
            namespace={
                "name": word,
                "version": version,
                "function": staticmethod(function),
                "halo": staticmethod(halo) if callable(halo) else halo,
                "takes_sfreq": len(own) < len(arguments),
                "__doc__": function.__doc__,
                "__module__": function.__module__,
                "__qualname__": function.__qualname__,
            },
        )
        register(kind)
        return function

    return made if function is None else made(function)


def _field(argument: inspect.Parameter, word: str) -> tuple[str, Any, Any]:
    if argument.annotation is inspect.Parameter.empty or argument.kind in (
        inspect.Parameter.VAR_POSITIONAL,
        inspect.Parameter.VAR_KEYWORD,
    ):
        raise BidsmillError(
            f"The operation {word} has a parameter whose type is not stated",
            found=str(argument),
            expected="an annotation, e.g. `width: float = 0.1`",
        )
    default = argument.default
    if not isinstance(default, dataclasses.Field):
        missing = default is inspect.Parameter.empty
        default = dataclasses.field() if missing else dataclasses.field(default=default)
    return argument.name, argument.annotation, default


def _rebuilt(function: Callable[..., Any], name: str, parameters: dict[str, Any]) -> Operation:
    """Return an operation in another process: finding the function has imported its module."""
    return operation_named(name)(**parameters)
