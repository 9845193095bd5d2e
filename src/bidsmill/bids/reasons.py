"""What every reason code means, and what a person can do: the source of docs/failures.md."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Reason:
    """A reason why something was not converted.

    Attributes
    ----------
    code : str
        As in ``recordings.tsv``, ``events.tsv`` or ``samples`` (snake_case).
    meaning : str
        What is the case.
    todo : str
        What a person can do, ``''`` if nothing.
    seen : tuple of str
        Public datasets in which it was seen.
    """

    code: str
    meaning: str
    todo: str = ""
    seen: tuple[str, ...] = ()


def _by_code(*reasons: Reason) -> dict[str, Reason]:
    return {reason.code: reason for reason in reasons}


# Why a recording is quarantined.
QUARANTINE = _by_code(
    Reason(
        "content_not_fetched",
        "a git-annex or Git LFS pointer, or a broken link, stands in place of the data",
        "fetch the content (`datalad get`, `git lfs pull`), then `--forcerun lock`",
        ("ds003061",),
    ),
    Reason(
        "file_missing",
        "the lock names a file that is gone, or that its archive does not give out",
        "restore it, then `--forcerun lock`",
        ("ds005170",),
    ),
    Reason(
        "source_changed",
        "a file is not the one that was locked",
        "`--forcerun lock` takes the change in",
    ),
    Reason(
        "fetch_failed",
        "the source was reached, but never gave this file out to its end",
        "`--forcerun lock` tries again",
    ),
    Reason(
        "wrong_size",
        "another number of bytes came than the lock says, however often it was asked for",
        "`--forcerun lock` takes a change in; otherwise tell the archive",
    ),
    Reason(
        "wrong_checksum",
        "other bytes came than the lock says, however often they were asked for",
        "`--forcerun lock` takes a change in; otherwise tell the archive",
    ),
    Reason(
        "not_data",
        "a web page, or a pointer, came in place of the file",
        "`--forcerun lock` tries again; tell the archive",
    ),
    Reason("empty_file", "a data file has 0 bytes", "fetch it again"),
    Reason(
        "companion_missing",
        "the header names a file that is not there (`.fdt`, `.eeg`, `.vmrk`)",
        "restore the file, or correct the header",
        ("ds003944", "ds003947"),
    ),
    Reason(
        "header_missing",
        "the data are there, but not the header that says what is in them (`.vhdr`, `.set`)",
        "restore the header; it is never guessed",
    ),
    Reason(
        "truncated_file",
        "a file ends before the last sample that its header promises",
        "fetch it again",
        ("ds004395",),
    ),
    Reason(
        "read_error",
        "the disk failed while the file was read",
        "`--forcerun lock`, when the disk is well",
    ),
    Reason(
        "unreadable",
        "the reader of the format refuses the file; the message repeats why",
        "repair the file at its source",
        ("ds003498", "ds005089", "ds005929"),
    ),
    Reason(
        "epoched",
        "the file holds epochs cut from a recording, not the recording",
        "share the continuous recording; the message names a repair, if one helps",
    ),
    Reason(
        "unsupported_format",
        "no reader for the format, or for what the file holds; the message says which",
        "convert the file",
        ("ds006545", "ds007463"),
    ),
    Reason("no_samples", "the recording holds no samples"),
    Reason(
        "no_channels",
        "no channel has a type that `channels.types` names",
        "name other types, or correct `channels.tsv`",
    ),
    Reason(
        "missing_channels",
        "a channel of `channels.names` or of `reference` is not in the recording, or too few"
        " electrodes of `channels.montage` are",
        "take the channel out of the list, name another reference or montage, or lower"
        " `channels.min_share`",
    ),
    Reason(
        "no_events",
        "no event is chosen by `windows.events`",
        "choose other events, or windows of kind `fixed`",
    ),
    Reason(
        "no_windows",
        "every window leaves the recording or crosses a boundary",
        "shorter windows; if all onsets lie after the end, they may be samples: write seconds",
    ),
    Reason(
        "filter_impossible",
        "the filter, or the rate to resample to, does not fit the sampling rate of the recording",
        "other frequencies, or another `resample`; if the header states a wrong rate, correct it",
    ),
    Reason(
        "reference_impossible",
        "the channels that `reference` needs are not there, are bad, or are of other types",
        "name other channels, set `reference: null`, or correct `channels.tsv`",
    ),
    Reason(
        "events_unreadable",
        "the events.tsv of the recording is there and is no table of events",
        "correct it, or remove it if the recording has no events",
    ),
    Reason(
        "too_large",
        "the recording exceeds `limits` of the config: its files are not fetched"
        " (`recording_gigabytes`), its samples are not read (`channels`, `hours`)",
        "raise the limit if the machine has the disk and the time",
    ),
    Reason("not_annotated", "the events could not be read", "see the message"),
    Reason(
        "stream_metadata",
        "the metadata of the recording make no valid stream (of a channel without a unit, say)",
        "correct the recording, or choose other `channels`",
    ),
    Reason(
        "node_impossible",
        "a node of `streams` cannot be computed on the recording; the message shows the place",
        "another definition, or leave the recording out",
    ),
    Reason(
        "no_stream",
        "the stream that `windows.source` names could not be made",
        "see the message",
    ),
    Reason("unusable", "another problem with the recording or the settings", "see the message"),
    Reason("internal_error", "a fault in bidsmill; the log holds the traceback", "report it"),
)

# Why an event gives no row.
EVENTS = _by_code(
    Reason(
        "onset_missing", "the onset is `n/a` or empty", "", ("ds004841", "ds004842", "ds004843")
    ),
    Reason("onset_not_a_number", "the onset is no number", "write seconds, with a point"),
    Reason("before_start", "the onset is negative"),
    Reason("after_end", "the onset lies after the last sample"),
    Reason("duplicate", "all cells are those of an event before"),
    Reason("boundary_marker", "the event says that the signal is cut there"),
    Reason("not_chosen", "`windows.events` does not name it"),
    Reason("fixed_windows", "windows are `fixed`: events make no rows"),
    Reason("window_before_start", "the window begins before the recording"),
    Reason("window_after_end", "the window ends after the recording"),
    Reason("boundary", "the window would cross a boundary"),
    Reason("recording_quarantined", "the recording was not converted"),
)

# What validation.json says beside the BIDS validator and HED (`source`: `bidsmill`).
DATASET = _by_code(
    Reason(
        "sidecar_without_recording",
        "events, channels, electrodes, coordinates or JSON that match no recording; nothing"
        " reads them",
        "the message names the part of the name that no recording has: correct it, or remove the"
        " file",
    ),
    Reason(
        "subject_not_in_participants",
        "a subject has data, and no row in participants.tsv",
        "add the row; labels are compared exactly",
    ),
    Reason(
        "participant_without_data",
        "a row of participants.tsv is about a subject without data",
        "share the data, or take the row out",
    ),
    Reason(
        "identical_data",
        "two files of samples have the same bytes",
        "find out whose recording it is",
    ),
    Reason("empty_file", "a file of a subject has 0 bytes", "restore it"),
    Reason(
        "broken_link",
        "a link leads nowhere: the content was not fetched",
        "fetch it (`datalad get`), then `--forcerun lock`",
    ),
    Reason(
        "annex_pointer",
        "a git-annex pointer stands in place of a file",
        "fetch it (`datalad get`), then `--forcerun lock`",
    ),
    Reason(
        "lfs_pointer",
        "a Git LFS pointer stands in place of a file",
        "fetch it (`git lfs pull`), then `--forcerun lock`",
    ),
)

# Why a row is published and hidden by `select` unless asked for.
ROWS = _by_code(
    Reason("not_finite", "a NaN or an infinity in the row"),
    Reason("bad_segment", "the file marks the span as bad"),
)
