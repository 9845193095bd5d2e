"""Band-pass, low-pass, high-pass and notch filters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from bidsmill.errors import BidsmillError
from bidsmill.streams.operation import Operation, Span, parameter, register
from bidsmill.streams.operations.bands import narrowed
from bidsmill.streams.operations.butterworth import Butterworth, butterworth
from bidsmill.streams.operations.fir import convolved, fir_design

if TYPE_CHECKING:
    from bidsmill.formats.stream_core import StreamCore

Method = Literal["fir", "butterworth"]
Phase = Literal["zero", "causal"]
DEFAULT_ORDER = 4
# A notch of Butterworth is this much wider than the default of the FIR filter is narrow: the
# quality factor (frequency over width) that EMG and EEG toolboxes take for line noise.
NOTCH_QUALITY = 30.0
# Low and high edge in Hz, either of which may be absent.
Edges = tuple[float | None, float | None]


class Filter(Operation):
    """What all filters have in common; each declares these parameters behind its own.

    Parameters
    ----------
    method : {"fir", "butterworth"}
        ``fir``: the zero-phase filter of :mod:`bidsmill.signal`, which is MNE-Python's default
        and that of the matrices. ``butterworth``: second-order sections.
    order : int, optional
        Of the Butterworth filter, as ``scipy.signal.butter`` counts it; by default 4.
    phase : {"zero", "causal"}
        ``zero``: Butterworth forwards and backwards, as ``scipy.signal.sosfiltfilt`` of the whole
        signal (its padding, on a signal shorter than that: all of it). ``causal``: once forwards,
        as ``scipy.signal.sosfilt`` of the whole signal, which starts at rest.

    Notes
    -----
    A sample is NaN if a sample that it depends on is NaN or infinite; all others are as if those
    had been zero.
    """

    method: Method
    order: int | None
    phase: Phase

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.method == "fir" and (self.order is not None or self.phase != "zero"):
            raise BidsmillError(
                f"{self.name} by FIR has no order and is of zero phase",
                found=f"order {self.order}, phase {self.phase}",
                todo="leave these out, or set method=butterworth",
            )

    def edges(self) -> Edges:
        """Return the edges of the pass band in Hz."""
        raise NotImplementedError

    def sections(self, sfreq: float) -> Butterworth:
        """Return the Butterworth filter for a sampling rate."""
        low, high = self.edges()
        return butterworth(sfreq, low, high, self.order or DEFAULT_ORDER, False)

    def design(self, sfreq: float) -> Any:
        """Return the FIR filter for a sampling rate."""
        low, high = self.edges()
        return fir_design(sfreq, low, high, self._transition("low"), self._transition("high"))

    def core(self, parent: StreamCore) -> StreamCore:
        """Return the metadata: the same, with the band of each channel."""
        # Both check the frequencies against the sampling rate.
        _ = self.design(parent.sfreq) if self.method == "fir" else self.sections(parent.sfreq)
        return narrowed(parent, *self.edges())

    def needs(self, start: int, stop: int, core: StreamCore) -> tuple[int, int]:
        """Return the span with the reach of the filter on both sides (causal: before)."""
        if self.method == "fir":
            half = len(self.design(core.sfreq).kernel) // 2
            return start - half, stop + half
        return self.sections(core.sfreq).needs(start, stop, self.phase == "causal")

    def compute(self, block: np.ndarray, span: Span, core: Any, fitted: Any) -> np.ndarray:
        """Return the filtered samples."""
        if self.method == "fir":
            return convolved(block, span, core.sfreq, self.design(core.sfreq))
        return self.sections(core.sfreq).filtered(block, span, self.phase == "causal")

    def _transition(self, side: str) -> float | None:
        return getattr(self, f"{side}_transition", None)


@register
@dataclass(frozen=True)
class BandPass(Filter):
    """Pass what lies between two frequencies.

    Parameters
    ----------
    low, high : float
        Edges in Hz. FIR: the pass band lies between them, the -6 dB points half a transition
        band outside. Butterworth: the -3 dB points (zero phase: -6 dB).
    low_transition, high_transition : float, optional
        Widths of the transition bands of the FIR filter in Hz; see
        :func:`bidsmill.signal.design.design_band`.
    """

    name: ClassVar[str] = "bandpass"
    low: float = parameter(unit="Hz", above=0)
    high: float = parameter(unit="Hz", above=0)
    method: Method = "fir"
    order: int | None = parameter(None, at_least=1, at_most=20)
    phase: Phase = "zero"
    low_transition: float | None = parameter(None, unit="Hz", above=0)
    high_transition: float | None = parameter(None, unit="Hz", above=0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.low >= self.high:
            raise BidsmillError(
                "The edges of the band are not in order",
                found=f"low {self.low:g} Hz, high {self.high:g} Hz",
                expected="low below high",
            )
        _check_transition(self, self.low_transition, self.high_transition)

    def edges(self) -> Edges:
        """Return both."""
        return self.low, self.high


@register
@dataclass(frozen=True)
class LowPass(Filter):
    """Pass what lies below a frequency; see :class:`BandPass`."""

    name: ClassVar[str] = "lowpass"
    high: float = parameter(unit="Hz", above=0)
    method: Method = "fir"
    order: int | None = parameter(None, at_least=1, at_most=20)
    phase: Phase = "zero"
    high_transition: float | None = parameter(None, unit="Hz", above=0)

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_transition(self, self.high_transition)

    def edges(self) -> Edges:
        """Return the upper one."""
        return None, self.high


@register
@dataclass(frozen=True)
class HighPass(Filter):
    """Pass what lies above a frequency; see :class:`BandPass`."""

    name: ClassVar[str] = "highpass"
    low: float = parameter(unit="Hz", above=0)
    method: Method = "fir"
    order: int | None = parameter(None, at_least=1, at_most=20)
    phase: Phase = "zero"
    low_transition: float | None = parameter(None, unit="Hz", above=0)

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_transition(self, self.low_transition)

    def edges(self) -> Edges:
        """Return the lower one."""
        return self.low, None


@register
@dataclass(frozen=True)
class Notch(Filter):
    """Take out narrow bands: line noise and its harmonics.

    Parameters
    ----------
    frequencies : float or several
        Centres in Hz. Harmonics are not implied: name them.
    widths : float or several, optional
        Widths of the stop bands in Hz. By default 1/200 of each frequency (FIR; see
        :func:`bidsmill.signal.design.design_notch`) or 1/30 (Butterworth, at -3 dB).
    """

    name: ClassVar[str] = "notch"
    frequencies: tuple[float, ...] = parameter(unit="Hz", above=0)
    widths: tuple[float, ...] | None = parameter(None, unit="Hz", above=0)
    method: Method = "fir"
    order: int | None = parameter(None, at_least=1, at_most=20)
    phase: Phase = "zero"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.frequencies or len(self.widths or (0,)) not in (1, len(self.frequencies)):
            raise BidsmillError(
                "The widths do not fit the frequencies",
                found=f"{len(self.frequencies)} frequencies, {len(self.widths or ())} widths",
                expected="at least one frequency, and one width or as many",
            )

    def edges(self) -> Edges:
        """Return none: the band of a channel stays what it is."""
        return None, None

    def design(self, sfreq: float) -> Any:
        """Return the FIR filter for a sampling rate."""
        return fir_design(sfreq, notch=self.frequencies, widths=self.widths)

    def sections(self, sfreq: float) -> Butterworth:
        """Return the Butterworth filters of all frequencies, one after the other."""
        widths = self.widths or tuple(f / NOTCH_QUALITY for f in self.frequencies)
        widths = widths if len(widths) == len(self.frequencies) else widths * len(self.frequencies)
        bands = [
            butterworth(sfreq, f - width / 2, f + width / 2, self.order or DEFAULT_ORDER, True)
            for f, width in zip(self.frequencies, widths, strict=True)
        ]
        return Butterworth.joined(tuple(bands))


def _check_transition(operation: Filter, *widths: float | None) -> None:
    if operation.method != "fir" and any(width is not None for width in widths):
        raise BidsmillError(
            "A Butterworth filter has no transition band",
            todo="set order in its place, or method=fir",
        )
