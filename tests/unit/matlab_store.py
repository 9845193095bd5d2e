"""A store for the MATLAB library: with tables of text, odd names, two versions, two layouts."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from access_store import A_SOURCES, A_TYPES, Recording, StoreBuilder, mixed_recordings, samples_of

# A label whose name is no name of a MATLAB variable, and classes beyond ASCII: their order by
# code points is that of UTF-8, and not that of UTF-16 (𝄞 is a surrogate pair).
LABEL = "face / é"
CLASSES = ["Famous", "Unfamiliar", "Scrambled"]
NOTES = [
    "z",
    "é",
    "µ",
    "𝄞",
    "\uff5a",
    "Z",
    "",
    "10",
    "9",
    "1e1",
    " 7 ",
    "-inf",
    "1_0",
    "0x10",
    "1,5",
]


class TextStoreBuilder(StoreBuilder):
    """Publish datasets with ``samples.tsv`` beside ``samples.parquet``."""

    def publish(self, dataset, recordings, samples, snapshot="1.0.0") -> str:
        self._paths: dict[str, str] = {}
        self._samples = samples
        return super().publish(dataset, recordings, samples, snapshot)

    def _matrix(self, dataset, recording) -> dict:
        entry = super()._matrix(dataset, recording)
        self._paths[recording.name] = entry["path"]
        return entry

    def _text_tables(self, recordings) -> dict[str, pd.DataFrame]:
        paths = self._samples["recording"].map(self._paths)
        return {**super()._text_tables(recordings), "samples": self._samples.assign(file=paths)}

    def _summary(self, recordings, samples, paths) -> dict:
        summary = super()._summary(recordings, samples, paths)
        summary["name"] = 'Faces, "with quotes": \\ and é'
        summary["labels"][LABEL] = summary["labels"]["face"]
        summary["labels"]["stimulus"] = summary["labels"]["face"]
        return summary


def text_samples(recordings: list[Recording], seed: int = 0) -> pd.DataFrame:
    """Return samples with more columns, whose text form says the same as the Parquet form."""
    samples = samples_of(recordings, seed)
    samples["participant_age"] = samples["participant_age"].replace("n/a", "")
    samples[LABEL] = samples["face"]
    samples["stimulus"] = samples["face"]
    samples["note"] = [NOTES[i % len(NOTES)] for i in range(len(samples))]
    samples["quality_flat"] = pd.Series(range(len(samples)), dtype="float32") / 7
    samples.loc[::5, "quality_flat"] = float("nan")
    samples["split_level"] = "subject"
    return samples


def build(root: Path) -> dict[str, str]:
    """Publish ``faces`` (two layouts) and ``sample`` (one layout, two versions).

    Returns
    -------
    dict
        Name -> version: ``faces``, ``sample``, ``sample before``.
    """
    builder = TextStoreBuilder(root)
    mixed = mixed_recordings()
    before = [Recording("01", A_SOURCES, A_TYPES, seed=7)]
    after = [Recording("01", A_SOURCES, A_TYPES, seed=8), Recording("03", A_SOURCES, A_TYPES)]
    return {
        "faces": builder.publish("faces", mixed, text_samples(mixed)),
        "sample before": builder.publish("sample", before, text_samples(before), "1.0.0"),
        "sample": builder.publish("sample", after, text_samples(after), "1.1.0"),
    }
