"""Trying again what may pass by itself: how often it is tried, and how long is waited."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from bidsmill.storage.passing import LONGEST_ASKED_FOR

if TYPE_CHECKING:
    import tenacity

log = logging.getLogger(__name__)

# Seconds: the first wait lies between 0 and FIRST_WAIT, each later one may be twice as long.
FIRST_WAIT = 1.0
LONGEST_WAIT = 30.0

Result = TypeVar("Result")


class Passing(Exception):
    """A problem that may be gone at the next attempt: a cut connection, a busy server.

    Parameters
    ----------
    message : str
        What happened.
    wait : float, optional
        Seconds that the server asks to wait (``Retry-After``).
    """

    def __init__(self, message: str, wait: float | None = None):
        self.wait = wait
        super().__init__(message)


def try_again(
    action: Callable[[], Result], retries: int, halt: threading.Event | None = None
) -> Result:
    """Call `action` until it does not raise `Passing`.

    Waits grow exponentially with full jitter, so that many clients do not come back at once
    (M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015).

    Parameters
    ----------
    action : callable
        Without arguments.
    retries : int
        Attempts after the first.
    halt : threading.Event, optional
        Once it is set, nothing is tried or waited for any more.

    Raises
    ------
    Passing
        The last one, when no attempt is left.
    """
    import tenacity

    halt = halt or threading.Event()
    attempts = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(Passing),
        stop=tenacity.stop_after_attempt(retries + 1) | tenacity.stop_when_event_set(halt),
        sleep=tenacity.sleep_using_event(halt),
        wait=_wait,
        before_sleep=_say,
        reraise=True,
    )
    return attempts(action)


def _wait(state: tenacity.RetryCallState) -> float:
    import tenacity

    asked = getattr(state.outcome.exception() if state.outcome else None, "wait", None)
    jittered = tenacity.wait_random_exponential(multiplier=FIRST_WAIT, max=LONGEST_WAIT)(state)
    return max(jittered, min(asked or 0.0, LONGEST_ASKED_FOR))


def _say(state: tenacity.RetryCallState) -> None:
    problem = state.outcome.exception() if state.outcome else None
    log.info("attempt %d: %s; trying again", state.attempt_number, problem)
