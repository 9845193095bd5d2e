"""What the columns of our tables mean, in words and units."""

from __future__ import annotations

from typing import Any

Column = dict[str, Any]

RECORDING: Column = {
    "LongName": "Recording",
    "Description": "Name of the recording: the file name without its extension.",
}
HED_CONTEXT: Column = {
    "LongName": "HED context",
    "Description": "HED of the temporal scopes (Onset to Offset, Duration) that the row lies in.",
}
HED_SOURCE: Column = {
    "LongName": "Source of the HED",
    "Description": "Which files gave the tags: dataset (the BIDS dataset itself), config (a"
    " sidecar beside the configuration), proposed (a proposal in it that nobody confirmed);"
    " several are joined by commas.",
}
ENTITIES: dict[str, Column] = {
    "subject": {"Description": "BIDS entity sub, without its prefix."},
    "session": {"Description": "BIDS entity ses, without its prefix."},
    "task": {"Description": "BIDS entity task, without its prefix."},
    "acquisition": {"Description": "BIDS entity acq, without its prefix."},
    "run": {"Description": "BIDS entity run, without its prefix."},
    "processing": {"Description": "BIDS entity proc, without its prefix."},
    "datatype": {"Description": "Datatype of BIDS: eeg, meg, ieeg, emg or nirs."},
}
TRIAL: dict[str, Column] = {
    "trial_type": {
        "LongName": "Trial type",
        "Description": "The column trial_type of the source, or the text of the marker.",
    },
    "value": {
        "LongName": "Value",
        "Description": "The column value of the source, or the code of the marker.",
    },
}
EVENTS: dict[str, Column] = {
    "onset": {
        "LongName": "Onset",
        "Description": "Time of the event after the first sample of the recording.",
        "Units": "s",
    },
    "duration": {"LongName": "Duration", "Description": "Duration of the event.", "Units": "s"},
    "recording": RECORDING,
    "sample": {
        "LongName": "Sample",
        "Description": "Sample nearest to the onset, at the rate of the rows, counted from 0.",
    },
    **TRIAL,
    "HED_context": HED_CONTEXT,
    "HED_source": HED_SOURCE,
    "source": {
        "LongName": "Source of the event",
        "Description": "Where the event stands.",
        "Levels": {
            "events.tsv": "the events.tsv of the recording",
            "file": "a marker inside the data file",
        },
    },
    "outcome": {
        "LongName": "Outcome",
        "Description": "What became of the event.",
        "Levels": {"used": "it gave a row of the matrix", "dropped": "it gave none"},
    },
    "reason": {"LongName": "Reason", "Description": "Why a dropped event gave no row."},
    "row": {
        "LongName": "Row of the matrix",
        "Description": "Row of the recording's matrix that the event gave, counted from 0.",
    },
}
SAMPLES: dict[str, Column] = {
    "recording": RECORDING,
    "row": {"LongName": "Row", "Description": "Row of the recording's matrix, counted from 0."},
    "onset": {
        "LongName": "Onset",
        "Description": "Time of the event, or of the first sample of a fixed window, after the"
        " first sample of the recording.",
        "Units": "s",
    },
    "start": {
        "LongName": "First sample",
        "Description": "First sample of the row, at the rate of the rows, counted from 0.",
    },
    "stop": {
        "LongName": "End",
        "Description": "Sample after the last one of the row, at the rate of the rows.",
    },
    "event": {
        "LongName": "Event",
        "Description": "Row of events.tsv, counted from 0; n/a for fixed windows.",
    },
    **TRIAL,
    "HED_context": HED_CONTEXT,
    "HED_source": HED_SOURCE,
    "quality_flat": {
        "LongName": "Flat channels",
        "Description": "Share of the good channels that are constant for 1 s, or for the whole"
        " row.",
    },
    "quality_clipped": {
        "LongName": "Clipped channels",
        "Description": "Share of the good channels that stay for 3 samples or more at the lowest"
        " or highest value that the channel has in the recording.",
    },
    "excluded": {
        "LongName": "Excluded",
        "Description": "Why the row is excluded for its quality; n/a if it is not.",
    },
}
# What publishing adds to samples.
PUBLISHED: dict[str, Column] = {
    "split": {
        "LongName": "Split",
        "Description": "Which side of the split the row is on.",
        "Levels": {
            "train": "for training",
            "validation": "for validation",
            "test": "for testing",
            "none": "on no side",
        },
    },
    "split_level": {
        "LongName": "Level of the split",
        "Description": "What is on one side as a whole; n/a for rows that are on no side.",
        "Levels": {
            "subject": "people",
            "session": "sessions",
            "run": "recordings",
            "time": "stretches of a recording",
        },
    },
    "fold": {"LongName": "Fold", "Description": "Which fold the row is in; 1 is test."},
    "file": {"LongName": "File", "Description": "Path of the matrix in the store."},
    "layout": {
        "LongName": "Layout",
        "Description": "Layout of the matrix: files of one layout can be stacked.",
    },
}
RECORDINGS: dict[str, Column] = {
    "recording": RECORDING,
    "status": {
        "LongName": "Status",
        "Description": "What became of the recording.",
        "Levels": {
            "converted": "it gave a matrix",
            "repaired": "it gave a matrix after repairs",
            "quarantined": "it gave none",
        },
    },
    "reason": {"LongName": "Reason", "Description": "Code of the reason for a quarantine."},
    "message": {"LongName": "Message", "Description": "The reason for a quarantine in words."},
    "repairs": {"LongName": "Repairs", "Description": "Rules that mended something."},
    "conflicts": {
        "LongName": "Conflicts",
        "Description": "What the files of the recording say against each other.",
    },
    "file": {"LongName": "File", "Description": "The data file in the BIDS dataset."},
    "source_sfreq": {
        "LongName": "Rate of the recording",
        "Description": "Sampling rate of the data file.",
        "Units": "Hz",
    },
    "sfreq": {
        "LongName": "Rate of the rows",
        "Description": "Sampling rate of the matrix.",
        "Units": "Hz",
    },
    "duration": {
        "LongName": "Duration",
        "Description": "Duration of the recording.",
        "Units": "s",
    },
    "n_channels": {
        "LongName": "Number of channels",
        "Description": "Number of channels of the matrix.",
    },
    "bad_channels": {
        "LongName": "Bad channels",
        "Description": "Names of the channels of the matrix that are bad.",
    },
    "n_times": {"LongName": "Samples per row", "Description": "Samples of each row."},
    "rows": {"LongName": "Rows", "Description": "Number of rows of the matrix."},
    "excluded": {
        "LongName": "Excluded rows",
        "Description": "Number of rows that are excluded for their quality.",
    },
    "quality_flat": {
        "LongName": "Flat stretches",
        "Description": "Share of the samples of the good channels in constant stretches of 1 s"
        " or more.",
    },
    "quality_clipped": {
        "LongName": "Clipped samples",
        "Description": "Share of the samples of the good channels at the extremes.",
    },
    "quality_not_finite": {
        "LongName": "Samples that are not finite",
        "Description": "Share of the samples of the good channels that are NaN or infinite.",
    },
    "quality_eeg_std": {
        "LongName": "Standard deviation of the EEG",
        "Description": "Median over EEG channels of the standard deviation within rows.",
        "Units": "V",
    },
    "quality_line_noise": {
        "LongName": "Line noise",
        "Description": "Mean power at the line frequency over median power beside it, median over"
        " channels.",
    },
    "quality_line_frequency": {
        "LongName": "Line frequency",
        "Description": "Frequency of the power line: of the sidecar, or of 50 and 60 Hz the"
        " stronger.",
        "Units": "Hz",
    },
    "quality_remarks": {"LongName": "Remarks", "Description": "What is odd about the signal."},
    "duplicate_of": {
        "LongName": "Duplicates",
        "Description": "Recordings that hold the same signal.",
    },
    "events": {"LongName": "Events", "Description": "Number of events."},
    "events_used": {
        "LongName": "Events used",
        "Description": "Number of events that gave a row.",
    },
    "events_dropped": {
        "LongName": "Events dropped",
        "Description": "Number of events that gave none, by reason (reason:count).",
    },
    "layout": {
        "LongName": "Layout",
        "Description": "Layout of the matrix: files of one layout can be stacked.",
    },
    "sha256": {"LongName": "Checksum", "Description": "SHA-256 of the matrix file."},
}
CHANNELS: dict[str, Column] = {
    "recording": RECORDING,
    "name": {"LongName": "Name", "Description": "Name of the channel in the matrix."},
    "source_name": {
        "LongName": "Source name",
        "Description": "Name of the channel in the data file; n/a for one that was interpolated"
        " without having been recorded.",
    },
    "type": {"LongName": "Type", "Description": "Type of the channel in MNE's words."},
    "unit": {"LongName": "Unit", "Description": "Unit of the values in the matrix."},
    "status": {
        "LongName": "Status",
        "Description": "Status of the channel.",
        "Levels": {
            "good": "usable",
            "bad": "marked as bad",
            "interpolated": "made from other channels by a spherical spline",
        },
    },
    "kept": {
        "LongName": "Kept",
        "Description": "Whether the matrix has the channel.",
        "Levels": {"true": "the matrix has it", "false": "the matrix has it not"},
    },
    "x": {"LongName": "x", "Description": "Position in head coordinates.", "Units": "m"},
    "y": {"LongName": "y", "Description": "Position in head coordinates.", "Units": "m"},
    "z": {"LongName": "z", "Description": "Position in head coordinates.", "Units": "m"},
    "flat": {
        "LongName": "Flat",
        "Description": "Share of the samples in constant stretches of 1 s or more.",
    },
    "clipped": {"LongName": "Clipped", "Description": "Share of the samples at the extremes."},
    "not_finite": {
        "LongName": "Not finite",
        "Description": "Share of the samples that are NaN or infinite.",
    },
    "peak_to_peak_min": {
        "LongName": "Smallest peak-to-peak amplitude",
        "Description": "Smallest peak-to-peak amplitude of a row, in the channel's unit.",
    },
    "peak_to_peak_max": {
        "LongName": "Largest peak-to-peak amplitude",
        "Description": "Largest peak-to-peak amplitude of a row, in the channel's unit.",
    },
    "std": {
        "LongName": "Standard deviation",
        "Description": "Standard deviation within rows, in the channel's unit.",
    },
    "line_noise": {
        "LongName": "Line noise",
        "Description": "Power at the line frequency over power beside it.",
    },
}
