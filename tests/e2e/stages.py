"""Every stage of the datasets of a config, one after the other in this process.

The rules call the same functions, in processes of their own whose start takes longer than their
work: here is what a test needs that looks at the results, and not at Snakemake.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection
from pathlib import Path
from typing import Any

from bidsmill.annotate.batch import annotate_batch
from bidsmill.annotate.collate import collate_dataset
from bidsmill.convert.batch import convert_batch
from bidsmill.formats import files
from bidsmill.formats.files import canonical_sha256
from bidsmill.report.describe import describe_dataset
from bidsmill.report.page import write_report
from bidsmill.sources.fetch import fetch_batch, fetch_dataset
from bidsmill.split.dataset import split_dataset
from bidsmill.store.publish import publish_dataset
from bidsmill.streams.batch import stream_batch
from bidsmill.workflow.code_hash import code_hash
from bidsmill.workflow.config import load_schema, resolve
from bidsmill.workflow.people import people_of
from bidsmill.workflow.plan import lock_dataset
from bidsmill.workflow.validation import validate_locked

ROOT = Path(__file__).resolve().parents[2]
# The settings that the rules hand to a stage; receipts remember them.
ORIGIN = ("source", "path", "id", "url", "manifest")
OF_LOCK = (*ORIGIN, "version", "include", "folders", "endpoint", "profile", "fetch", "limits")
OF_FETCH = (*ORIGIN, "endpoint", "profile", "fetch", "limits")
OF_ANNOTATE = ("windows", "annotations", "repairs", "hed")
OF_COLLATE = ("labels", "quality", "repairs", "hed")
OF_CONVERT = (
    *("source", "path", "windows", "channels", "reference", "resample", "filter"),
    *("repairs", "limits", "on_bad_recording"),
)
OF_STREAM = ("source", "path", "channels", "repairs", "streams", "on_bad_recording")
NOT_DESCRIBED = ("endpoint", "profile", "fetch")
TABLES = {
    "recordings": "recordings.tsv",
    "events": "events.tsv",
    "samples": "samples.parquet",
    "samples_text": "samples.tsv",
    "channels": "channels.tsv",
    "recordings_sidecar": "recordings.json",
    "events_sidecar": "events.json",
    "samples_sidecar": "samples.json",
    "channels_sidecar": "channels.json",
    "duplicates": "duplicates.tsv",
    "vocabulary": "labels.json",
}


def run_stages(
    folder: Path, config: dict[str, Any], finished: Collection[str] | None = None
) -> None:
    """Make the results and the store of every dataset of a config, in a working directory.

    Parameters
    ----------
    folder : pathlib.Path
        The working directory.
    config : dict
        As in a config file.
    finished : collection of str, optional
        The datasets that are also split, validated, described, shown on a page and published;
        all of them if absent. Of the others tables and matrices are made.
    """
    known = resolve(config, load_schema(ROOT / "workflow/schemas/config.schema.yaml"))
    with contextlib.chdir(folder):
        for name in sorted(known["datasets"]):
            stages = Stages(name, known)
            stages.lock_and_fetch()
            stages.convert()
            stages.collate()
            if finished is None or name in finished:
                stages.split()
                stages.finish()


class Stages:
    """One dataset of a config, below the current directory."""

    def __init__(self, name: str, config: dict[str, Any]):
        self.name, self.config, self.settings = name, config, config["datasets"][name]
        self.results = Path("results") / name
        self.tables = {key: self.results / file for key, file in TABLES.items()}

    def own(self, keys: tuple[str, ...]) -> dict[str, Any]:
        return {key: self.settings[key] for key in keys if key in self.settings}

    def described(self) -> dict[str, Any]:
        return {k: v for k, v in self.settings.items() if k not in NOT_DESCRIBED}

    def of_batches(self, stage: str) -> list[Path]:
        return [self.results / stage / f"{batch}.json" for batch in self.batches]

    def lock_and_fetch(self) -> None:
        lock_dataset(
            self.results / "lock.json",
            dataset=self.name,
            settings=self.own(OF_LOCK),
            batches=self.config["batches"],
            store=self.config["store"],
            question=canonical_sha256(self.described()),
        )
        self.overview = self.results / "plan" / "dataset.json"
        self.batches = files.read_json(self.overview)["batches"]
        options = {"settings": self.own(OF_FETCH), "results": self.results}
        fetch_dataset(self.overview, self.results / "fetch" / "dataset.json", **options)
        for plan, fetched in zip(self.of_batches("plan"), self.of_batches("fetch"), strict=True):
            fetch_batch(plan, fetched, **options)

    def convert(self) -> None:
        """Annotate, stream (where the config asks for it) and convert every batch."""
        source = ROOT / "src"
        stages = ("plan", "fetch", "annotate", "streams", "convert")
        for paths in zip(*map(self.of_batches, stages), strict=True):
            plan, fetched, annotated, streamed, converted = paths
            annotate_batch(
                plan,
                fetched,
                annotated,
                settings=self.own(OF_ANNOTATE),
                code=code_hash(source / "bidsmill/annotate/recording.py", source),
            )
            if self.settings["streams"] is not None:
                self.stream(plan, fetched, annotated, streamed)
            convert_batch(
                plan,
                fetched,
                annotated,
                converted,
                settings=self.own(OF_CONVERT),
                code=code_hash(source / "bidsmill/convert/recording.py", source),
                processes=1,
                streams_path=streamed if self.settings["windows"]["source"] else None,
            )

    def stream(self, *paths: Path) -> None:
        """Make the streams of a batch."""
        code = {
            "recording": code_hash(ROOT / "src/bidsmill/streams/recording.py", ROOT / "src"),
            "nodes": code_hash(ROOT / "src/bidsmill/streams/node_files.py", ROOT / "src"),
        }
        stream_batch(*paths, settings=self.own(OF_STREAM), code=code)

    def collate(self) -> None:
        collate_dataset(
            self.overview,
            self.of_batches("plan"),
            self.of_batches("annotate"),
            self.of_batches("convert"),
            self.results / "fetch" / "dataset.json",
            self.tables,
            dataset=self.name,
            settings=self.own(OF_COLLATE),
        )

    def split(self) -> None:
        split_dataset(
            self.tables["samples"],
            self.results / "split.tsv",
            self.results / "split.json",
            dataset=self.name,
            labels=list(self.settings["labels"]),
            settings=self.settings["split"],
            people=people_of(self.config, self.name),
            duplicates_path=self.tables["duplicates"],
            previous_path=self.results / "split-previous.json",
        )

    def finish(self) -> None:
        """Validate, describe, report, publish."""
        validation = self.results / "validation.json"
        validate_locked(self.overview, validation, fatal=self.settings["validate"]["fatal"])
        inputs = {
            "dataset": self.overview,
            "annotated": self.of_batches("annotate"),
            "converted": self.of_batches("convert"),
            "recordings": self.tables["recordings"],
            "samples": self.tables["samples"],
            "vocabulary": self.tables["vocabulary"],
            "split": self.results / "split.json",
            "validation": validation,
        }
        describe_dataset(
            inputs,
            self.results / "dataset.json",
            self.results / "README.md",
            dataset=self.name,
            settings=self.described(),
        )
        write_report(self.results, self.results / "report.html", dataset=self.name)
        publish_dataset(
            self.results,
            self.of_batches("convert"),
            self.results / "published.json",
            dataset=self.name,
            store=self.config["store"],
            connection=self.config["publish"],
            license_allowed=self.name in self.config["allow_license"],
            streams=bool((self.settings["streams"] or {}).get("publish")),
        )
