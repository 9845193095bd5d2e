"""Units that a stream may have: what they measure, and their factor to the SI unit."""

from __future__ import annotations

import functools
from dataclasses import dataclass

# Prefixes of the International System of Units (BIPM, The International System of Units, 9th
# edition, table 7); both signs of micro that Unicode has, and the letter u that stands for it.
PREFIXES = {
    "f": 1e-15,
    "p": 1e-12,
    "n": 1e-9,
    "u": 1e-6,
    "µ": 1e-6,
    "μ": 1e-6,
    "m": 1e-3,
    "": 1.0,
    "k": 1e3,
}
UNDECLARED = "a.u."
NO_UNIT = "n/a"
# Names of a quantity -> what it measures and the factor to SI, where no prefixes are usual.
FIXED = {
    "fT/cm": ("T/m", 1e-13),
    "pT/cm": ("T/m", 1e-10),
    "fT/m": ("T/m", 1e-15),
    "T/m": ("T/m", 1.0),
    "1": ("1", 1.0),
    "%": ("1", 1e-2),
    UNDECLARED: (UNDECLARED, 1.0),
    "ARU": (UNDECLARED, 1.0),
    NO_UNIT: (NO_UNIT, 1.0),
    "C": ("°C", 1.0),
    "°C": ("°C", 1.0),
    "oC": ("°C", 1.0),
    "deg": ("rad", 0.017453292519943295),
    "px": ("px", 1.0),
    "m/s^2": ("m/s^2", 1.0),
    "g": ("m/s^2", 9.80665),
}
PREFIXED = ("V", "T", "A", "S", "M", "N", "Hz", "s", "m", "rad", "Pa")
SEPARATOR = "/Hz"
# What channels of a type measure before anything was done to them (types as MNE names them).
VOLTAGE = ("V",)
QUANTITY_OF_TYPE: dict[str, tuple[str, ...] | None] = {
    **dict.fromkeys(("eeg", "emg", "eog", "ecg", "seeg", "ecog", "dbs", "bio"), VOLTAGE),
    "mag": ("T",),
    "grad": ("T/m",),
    "ref_meg": ("T", "T/m"),
    # What these measure depends on the recording.
    **dict.fromkeys(
        (
            "stim",
            "misc",
            "resp",
            "gsr",
            "temperature",
            "pupil",
            "eyegaze",
            "syst",
            "hbo",
            "hbr",
            "fnirs_cw_amplitude",
            "fnirs_fd_ac_amplitude",
            "fnirs_fd_phase",
            "fnirs_od",
            "chpi",
            "exci",
            "ias",
            "dipole",
            "gof",
            "csd",
            "whitened",
        )
    ),
}
FIELDS = {"V", "T", "T/m"}
# Types of the contract that name a group, and the name of this group in MNE.
TYPE_SYNONYMS = {"meg-mag": "mag", "meg-grad": "grad", "ieeg": "seeg"}


@dataclass(frozen=True)
class Unit:
    """What a unit means.

    Attributes
    ----------
    quantity : str
        The SI unit of what it measures: ``V`` for ``µV``.
    scale : float
        A value in this unit times `scale` is the value in the SI unit.
    power : int
        2 for a square, such as ``V^2``.
    per_hertz : bool
        A density over frequency, such as ``V^2/Hz``.
    """

    quantity: str
    scale: float
    power: int = 1
    per_hertz: bool = False

    @property
    def plain(self) -> bool:
        """Tell whether it is neither a square nor a density."""
        return self.power == 1 and not self.per_hertz


@functools.cache
def parse_unit(text: str) -> Unit | None:
    """Return what a unit means, or None for one that is not in the list.

    Parameters
    ----------
    text : str
        Such as ``V``, ``µV``, ``fT/cm``, ``V^2/Hz``, ``1`` (a ratio), ``a.u.`` (arbitrary).
    """
    if text in FIXED:
        return Unit(*FIXED[text])
    base, per_hertz = text, False
    if base.endswith(SEPARATOR):
        base, per_hertz = base.removesuffix(SEPARATOR), True
    power = 1
    for ending in ("^2", "²"):
        if base.endswith(ending):
            base, power = base.removesuffix(ending), 2
    base = base.removeprefix("(").removesuffix(")") if base.startswith("(") else base
    if base in FIXED:
        quantity, scale = FIXED[base]
        return Unit(quantity, scale**power, power, per_hertz)
    for quantity in PREFIXED:
        prefix = base.removesuffix(quantity)
        if base.endswith(quantity) and prefix in PREFIXES:
            return Unit(quantity, PREFIXES[prefix] ** power, power, per_hertz)
    return None


def squared(unit: str) -> str:
    """Return the unit of the square of values in `unit`: ``V^2`` of ``V``."""
    if unit in ("1", UNDECLARED, NO_UNIT):
        return unit
    return f"({unit})^2" if "/" in unit else f"{unit}^2"


def problem_of(kind: str, text: str, processed: bool) -> str | None:
    """Return why a channel of a type cannot have a unit, or None if it can.

    Parameters
    ----------
    kind : str
        Type of the channel.
    text : str
        A unit that `parse_unit` knows.
    processed : bool
        Whether operations were applied: their results may be squares, ratios, frequencies.
    """
    unit, native = parse_unit(text), QUANTITY_OF_TYPE.get(kind)
    assert unit is not None
    if native is None or (unit.quantity in (*native, UNDECLARED) and (unit.plain or processed)):
        return None
    if processed and unit.quantity not in FIELDS | {NO_UNIT}:
        return None
    return f"channels of type {kind} are measured in {' or '.join(native)}"
