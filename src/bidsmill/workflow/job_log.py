"""The log of one job: what it did, and on failure the traceback, in the rule's log file."""

from __future__ import annotations

import logging
import sys
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bidsmill.errors import BidsmillError


@contextmanager
def job_log(path: str | Path) -> Iterator[None]:
    """Write the log messages of a job to its log file, warnings and errors to stderr too.

    A `BidsmillError` ends the job with its message, which says all that a person needs; after any
    other error the log file holds the traceback, too.

    Parameters
    ----------
    path : path-like
        The rule's log file.
    """
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    to_file = logging.FileHandler(path, mode="w", encoding="utf-8", errors="backslashreplace")
    to_file.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    to_terminal = logging.StreamHandler(sys.stderr)
    to_terminal.setLevel(logging.WARNING)
    to_terminal.setFormatter(logging.Formatter("bidsmill: %(message)s"))
    logger, captured = logging.getLogger("bidsmill"), logging.getLogger("py.warnings")
    before = [(log, log.handlers, log.propagate, log.level) for log in (logger, captured)]
    logger.setLevel(logging.DEBUG)
    logger.handlers, logger.propagate = [to_file, to_terminal], False
    logging.captureWarnings(True)
    captured.handlers, captured.propagate = [to_file], False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("default")
            yield
    except BidsmillError as error:
        logger.error("%s", error)
        sys.exit(1)
    except KeyboardInterrupt:
        logger.info("interrupted")
        sys.exit(130)
    except Exception as error:
        _append_traceback(to_file)
        logger.error("%s: %s (traceback in %s)", type(error).__name__, error, path)
        sys.exit(1)
    finally:
        logging.captureWarnings(False)
        for log, handlers, propagate, level in before:
            log.handlers, log.propagate = handlers, propagate
            log.setLevel(level)
        to_file.close()


def _append_traceback(handler: logging.FileHandler) -> None:
    if handler.stream is not None:
        handler.stream.write(traceback.format_exc())
