"""What a licence allows: whether what was made from a dataset may be published.

A licence text of an archive is what somebody typed: a name, an abbreviation, an address, a whole
sentence. Only what is recognised as a licence that lets changed copies be passed on counts as
open; all else is left to the person who names the dataset in the config.
"""

from __future__ import annotations

import re
import unicodedata
from textwrap import shorten
from typing import Any

# Letters of a licence in a message; some state the whole text.
MOST_SHOWN = 120
OPEN, NO_DERIVATIVES, UNKNOWN = "open", "no_derivatives", "unknown"

# The parts of Creative Commons licences: attribution, then what is asked beside it
# (https://creativecommons.org/licenses/); "nd" forbids passing on what was made from the work.
_CREATIVE_COMMONS = (
    r"(?:cc|creative commons)(?:\.org)?(?: licen[cs]es?)?(?: attribution| by)"
    r"(?: (?:non ?commercial|nc|share ?alike|sa))*"
)
_NO_DERIVATIVES = (
    r"\b(?:no|non|without) ?deriv\w*|\bnoderiv\w*"
    r"|\b(?:cc|commons|by)(?: (?:by|nc|sa|attribution|non ?commercial))* nd\b"
    r"|\bno (?:modifications?|adaptations?)\b"
)
# Licences by their names and identifiers (https://spdx.org/licenses/), after `_plain`.
_OPEN = (
    # No rights kept.
    r"cc ?0|(?:cc|creative commons|creativecommons) (?:zero|publicdomain zero)|publicdomain zero",
    r"public domain|publicdomain|unlicense",
    r"pddl|(?:odc|open data commons) public domain dedication(?: and)? licen[cs]e",
    # Attribution, and share alike.
    _CREATIVE_COMMONS + r"|creativecommons org licenses by(?: (?:nc|sa))*",
    r"odbl|(?:odc )?open database licen[cs]e|open data commons open database licen[cs]e",
    r"odc by|(?:odc|open data commons) attribution(?: licen[cs]e)?",
    r"etalab|licence ouverte|open government licen[cs]e|ogl",
    # Of software.
    r"^(?:the )?mit$|mit licen[cs]e|expat|bsd|apache|isc|zlib|mpl|mozilla public licen[cs]e",
    r"[al]?gpl|[al]?gplv[23]|gnu (?:(?:affero|lesser) )?(?:general public licen[cs]e)"
    r"|artistic|eupl|cecill|boost software licen[cs]e",
)
_OPEN_LICENCE = re.compile(r"\b(?:" + "|".join(_OPEN) + r")(?: ?v?\d[\d ]*)?\b")
# Words after which a name of a licence is no permission.
_RESERVED = re.compile(
    r"\ball rights reserved\b|\bproprietary\b|\bconfidential\b|\brestricted\b|\bprohibited\b"
    r"|\b(?:data )?(?:use|usage|transfer|access) agreement\b|\bdua\b"
    r"|\b(?:up)?on (?:reasonable )?request\b|\bpermissions?\b|\bcontact the authors\b"
    r"|\bno licen[cs]e\b|\bnot (?:yet )?(?:licen[cs]ed|specified|decided|stated|known|open)\b"
    r"|\bnot (?:applicable|granted|allowed|permitted|valid)\b|\bverbatim\b|\bask\b"
    r"|\bno redistribution\b|\b(?:not|never|instead of|other than|except)(?: \w+){0,3} "
    r"(?:cc\w*|creative commons|pddl|odbl|mit|bsd|apache|public domain)\b"
)
# The first words of whole texts (MIT; BSD), which also hold words of `_RESERVED`.
_WHOLE_TEXT = re.compile(
    r"\bpermission is hereby granted free of charge\b"
    r"|\bredistribution and use in source and binary forms\b"
)


def license_class(text: Any) -> str:
    """Return what the text of a licence allows.

    Parameters
    ----------
    text : str
        As the archive or ``dataset_description.json`` states it; '' for none.

    Returns
    -------
    str
        ``open``: changed copies may be passed on, on whatever terms (attribution, share alike,
        not for money); ``no_derivatives``: they may not; ``unknown``: the text does not say.

    Examples
    --------
    >>> license_class("https://creativecommons.org/licenses/by-nc-sa/4.0/")
    'open'
    >>> license_class("CC BY-NC-ND 4.0")
    'no_derivatives'
    >>> license_class("see README")
    'unknown'
    """
    plain = _plain(text) if isinstance(text, str) else ""
    if re.search(_NO_DERIVATIVES, plain):
        return NO_DERIVATIVES
    if _WHOLE_TEXT.search(plain):
        return OPEN
    if _RESERVED.search(plain) or not _OPEN_LICENCE.search(plain):
        return UNKNOWN
    return OPEN


def _plain(text: str) -> str:
    """Return a text in lower case, its words parted by one space and nothing else."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    without_address = re.sub(r"https?://(?:www\.)?", " ", folded)
    words = re.sub(r"[^a-z0-9]+", " ", without_address)
    apart = re.sub(r"\bcc ?by(?=nc|nd|sa|\d)|\bccby\b", "cc by ", words)
    apart = re.sub(r"\b(nc|by)(nc|nd|sa)\b", r"\1 \2", apart)
    return " ".join(apart.split())


def refusal(dataset: str, text: str) -> dict[str, Any] | None:
    """Return why a dataset of this licence is not published; None if it may be.

    Parameters
    ----------
    dataset : str
        Dataset id.
    text : str
        Its licence.

    Returns
    -------
    dict or None
        What ``published.json`` says: ``dataset``, ``status``, ``reason``, ``license`` and
        ``license_class``.
    """
    kind = license_class(text)
    if kind == OPEN:
        return None
    shown = shorten(text, MOST_SHOWN, placeholder=" …")
    if kind == NO_DERIVATIVES:
        reason = f"its licence allows no derivatives ({shown})"
    elif shown:
        reason = f"its licence is not known to allow derivatives ({shown})"
    else:
        reason = "it states no licence"
    return {
        "dataset": dataset,
        "status": "refused",
        "reason": reason,
        "license": text,
        "license_class": kind,
    }
