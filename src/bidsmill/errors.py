"""Errors written for the people who read them."""

from __future__ import annotations


class BidsmillError(Exception):
    """A problem stated for a person: what, in which file, found, expected, and what to do.

    Parameters
    ----------
    what : str
        One sentence that says what is wrong.
    file : str or path-like, optional
        The file concerned.
    found, expected : str, optional
        What was found, and what was expected in its place.
    todo : str, optional
        What the reader can do about it.
    """

    def __init__(self, what, *, file=None, found=None, expected=None, todo=None):
        self.what = str(what)
        self.file = None if file is None else str(file)
        self.found = None if found is None else str(found)
        self.expected = None if expected is None else str(expected)
        self.todo = None if todo is None else str(todo)
        super().__init__(self.message())

    def message(self) -> str:
        """Return the whole message as one line."""
        parts = [self.what.rstrip(".")]
        if self.file is not None:
            parts.append(f"file: {self.file}")
        if self.found is not None:
            parts.append(f"found: {self.found}")
        if self.expected is not None:
            parts.append(f"expected: {self.expected}")
        if self.todo is not None:
            parts.append(f"to do: {self.todo}")
        return "; ".join(parts)

    def __reduce__(self):
        return _rebuild, (type(self), self.__dict__.copy())


class DiskFull(BidsmillError):
    """No room on the disk: the job ends, and no recording is to blame."""


class RecordingProblem(BidsmillError):
    """A reason why one recording cannot be converted; it is quarantined, its neighbours go on.

    Parameters
    ----------
    code : str
        The reason code, as listed in ``recordings.tsv`` (snake_case).
    """

    def __init__(self, code, what, **details):
        self.code = code
        super().__init__(what, **details)


def _rebuild(kind, state):
    error = kind.__new__(kind)
    error.__dict__.update(state)
    Exception.__init__(error, error.message())
    return error
