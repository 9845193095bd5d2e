"""What the columns of a simulated dataset's tables mean, and what its README says."""

from __future__ import annotations

from typing import Any

from bidsmill.formats.column_words import CHANNELS, EVENTS, RECORDINGS, SAMPLES
from bidsmill.formats.numbers import counted

Column = dict[str, Any]
LISTED = "Parts are separated by a space, in the order of the sources."

LABELS: dict[str, Column] = {
    "sample": {"Description": "Number of the sample in the table of sources, from 0."},
    "centre": {"Description": "Region at the centre of the first source (id from 0)."},
    "n_sources": {"Description": "Number of sources."},
    "centres": {"Description": f"Region at the centre of each source. {LISTED}"},
    "clips": {"Description": f"Clip of the centre region that each source shows. {LISTED}"},
    "regions": {
        "Description": "All regions that belong to a source, separated by a space: the patch of"
        " the first source, its centre first, then those that the others add."
    },
    "extents": {"Description": f"Number of regions of each patch. {LISTED}"},
    "extent": {"Description": "Number of regions that belong to a source."},
    "overlap": {"Description": "Number of regions that belong to several patches."},
    "snr": {
        "Description": "Wanted power of the signal over that of the sensor noise, both centred"
        " over time and, for EEG, referenced to the average.",
        "Units": "dB",
    },
    "snr_realised": {
        "Description": "The same of the noise that was drawn (mean over types of sensors).",
        "Units": "dB",
    },
    "alphas": {
        "Description": "What the waveform of each source, divided by its maximum, was multiplied"
        f" with. {LISTED}",
        "Units": "mV",
    },
    "spike_time": {
        "Description": "Maximum of the first source's waveform, after the first sample of the row.",
        "Units": "s",
    },
    "spike_times": {
        "Description": f"The same of each source. {LISTED}",
        "Units": "s",
    },
    "scale_source": {
        "Description": "Largest magnitude of the sources: what their values were divided by.",
        "Units": "mV",
    },
}
BY_TYPE: dict[str, Column] = {
    "snr_realised_": {
        "Description": "Realised power of the signal over that of the noise in {} sensors.",
        "Units": "dB",
    },
    "scale_": {
        "Description": "Largest magnitude in {} sensors: what their values were divided by."
        " Times mV, in units of the lead field."
    },
}
SUBJECT: Column = {
    "Description": "In the place of a person, what the split does not tear apart: the centre region"
    " of the first source, or its clip. Empty: the sample mixes clips of several sides."
}


def samples_words(columns: list[str]) -> dict[str, Column]:
    """Return the description of columns of `samples`."""
    known = {**SAMPLES, **LABELS, "subject": SUBJECT}
    return {name: known.get(name) or _of_type(name) for name in columns if name != "HED"}


def _of_type(name: str) -> Column:
    for prefix, words in BY_TYPE.items():
        if name.startswith(prefix):
            kind = name.removeprefix(prefix)
            return {**words, "Description": words["Description"].format(kind)}
    return {"Description": name}


def described(table: str, columns: list[str]) -> dict[str, Column]:
    """Return the description of the columns of another table."""
    known = {"events": EVENTS, "recordings": RECORDINGS, "channels": CHANNELS}[table]
    extra = {"source_number": {"Description": "Which source of the sample, from 0."}}
    return {
        name: {**extra, **known}.get(name, {"Description": name})
        for name in columns
        if name != "HED"
    }


def readme(content: dict[str, Any]) -> str:
    """Return the README of a simulated dataset."""
    counts = content["counts"]
    parts = counted(counts["converted"], "matrix file")
    return (
        f"# {content['name']}\n\n"
        f"{counts['rows']} simulated interictal spikes in {parts},"
        f" at {content['sampling_rates'][0]:g} Hz.\n\n"
        "Rows are divided by their largest magnitude; multiply by `scale_*` of `samples` to get"
        " what the lead field gives. The sources stand in the files of the kind `sources`, zero"
        " outside of the regions that `samples` names, divided by `scale_source` (mV).\n\n"
        f"Split: {_split_text(content)}.\n\n"
        f"Failed samples: {content['failed_samples']}.\n"
    )


def _split_text(content: dict[str, Any]) -> str:
    if content["split"] == "refused":
        return f"refused, {content['split_reason']}"
    return "the column `subject` names the centre region or clip that stays on one side"
