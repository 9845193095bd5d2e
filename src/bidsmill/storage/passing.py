"""What another attempt may not meet: a server that is busy, and how long it asks to wait."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

# 408 Request Timeout, 425 Too Early, 429 Too Many Requests and the 5xx of overload or restart
# (RFC 9110 section 15, RFC 8470, RFC 6585); 520 to 524 are what a proxy in front says of the
# server behind it.
PASSING_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524})
# The codes of S3 that say so, and those that say that the bytes changed on their way (Amazon S3
# API Reference, "Error responses").
PASSING_CODES = frozenset(
    {
        "BadDigest",
        "IncompleteBody",
        "InternalError",
        "RequestTimeout",
        "ServiceUnavailable",
        "SlowDown",
        "XAmzContentSHA256Mismatch",
    }
)
# Seconds: a server may ask for a longer pause than ours (RFC 9110, "Retry-After"), within reason.
LONGEST_ASKED_FOR = 120.0


def asked_wait(header: str | None) -> float | None:
    """Return the seconds of a ``Retry-After`` header (a number or a date), None without one."""
    if not header:
        return None
    if header.strip().isdecimal():
        return float(header)
    try:
        when = parsedate_to_datetime(header)
    except (TypeError, ValueError):
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return max(0.0, (when - datetime.now(UTC)).total_seconds())
