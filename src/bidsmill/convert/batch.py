"""The conversion of one batch: only what is not done yet."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bidsmill import batches
from bidsmill.bids.described import signal_sidecars_of
from bidsmill.bids.events import boundary_markers, seconds
from bidsmill.bids.limits import TOO_LARGE, signal_too_large
from bidsmill.bids.rules import check_names
from bidsmill.convert.recording import convert_recording
from bidsmill.convert.stream_source import stream_of
from bidsmill.errors import RecordingProblem
from bidsmill.formats import files, tables
from bidsmill.formats.stream_names import FOLDER, stream_file
from bidsmill.sources.place import dataset_root
from bidsmill.sources.presence import State, read_state, require_files

# Settings that shape a matrix.
SETTINGS = ("windows", "channels", "reference", "resample", "filter", "repairs")
# Libraries that shape the bytes of a matrix.
LIBRARIES = ("mne", "numpy", "scipy", "pyarrow")


def convert_batch(
    plan_path: Path,
    fetch_path: Path,
    annotate_path: Path,
    manifest_path: Path,
    *,
    settings: dict[str, Any],
    code: str,
    processes: int = 1,
    only: str | None = None,
    streams_path: Path | str | None = None,
) -> None:
    """Convert the recordings of a batch that are not up to date, and write its manifest.

    Parameters
    ----------
    plan_path, fetch_path, annotate_path : pathlib.Path
        ``plan/{batch}.json``, ``fetch/{batch}.json``, ``annotate/{batch}.json``.
    manifest_path : pathlib.Path
        ``convert/{batch}.json``. With `only` it is replaced if its bytes differ, and only if
        every other member has its receipt.
    settings : dict
        ``source``, ``path``, those of `SETTINGS`, ``limits`` and ``on_bad_recording``.
    code : str
        Hash of the code of this stage.
    processes : int
        Worker processes.
    only : str, optional
        Convert this recording, up to date or not, and no other.
    streams_path : path, optional
        ``streams/{batch}.json``, where ``windows.source`` names a node.

    Raises
    ------
    BidsmillError
        If the settings name a repair that there is not.
    """
    check_names([*settings["repairs"]["allow"], *settings["repairs"]["refuse"]])
    plan = files.read_json(plan_path)
    results = manifest_path.parents[1]
    work = ConvertWork(
        root=dataset_root(settings, results),
        results=results,
        settings={key: settings[key] for key in SETTINGS},
        fetched=files.read_json(fetch_path)["members"],
        annotated=files.read_json(annotate_path)["members"],
        state=read_state(results, plan["batch"]),
        streamed=None if streams_path is None else files.read_json(streams_path)["members"],
        limits=settings.get("limits"),
    )
    software = {name: version(name) for name in LIBRARIES}

    def fingerprint(member: batches.Member) -> str:
        return files.canonical_sha256([work.inputs(member), code, software])

    manifest = batches.update(
        plan,
        results / "matrix",
        work,
        fingerprint,
        verb="converted",
        on_bad_recording=settings["on_bad_recording"],
        processes=processes,
        only=only,
        holds=work.is_within_limits,
    )
    content = files.json_bytes({"software": software, **manifest})
    if only is None:
        files.write_bytes(manifest_path, content)
    elif len(manifest["members"]) == len(plan["members"]):
        files.replace_if_different(manifest_path, content)


@dataclass
class ConvertWork:
    """What is done for one recording of a batch."""

    root: Path
    results: Path
    settings: dict[str, Any]
    fetched: dict[str, dict[str, Any]]
    annotated: dict[str, dict[str, Any]]
    state: State
    streamed: dict[str, dict[str, Any]] | None = None
    # They decide whether a matrix is made, and nothing of what is in it: no part of `inputs`.
    limits: dict[str, Any] | None = None

    def inputs(self, member: batches.Member) -> dict[str, Any]:
        """Return all that the matrix of a recording depends on.

        Of the events only those that shape it: place and onset of the chosen ones, and the
        boundaries. So other labels or tags convert nothing again. Of a stream the bytes: its
        file says which node it is, and of what.
        """
        windows = dict(self.settings["windows"])
        windows.pop("events", None)
        return {
            "files": member["files"],
            "alternatives": member["alternatives"],
            "sidecars": signal_sidecars_of(member),
            "settings": {**self.settings, "windows": windows},
            "fetched": self.fetched[member["stem"]],
            "events": self._event_inputs(member["stem"]),
            **({} if self.streamed is None else {"stream": self._stream_inputs(member["stem"])}),
        }

    def _stream_inputs(self, stem: str) -> list:
        entry = (self.streamed or {})[stem]
        node = self.settings["windows"]["source"]
        written = entry["files"].get(stream_file(stem, node))
        # Of other nodes nothing: they may change, or fail, and the rows stay what they are.
        message = entry["message"] if written is None else ""
        return [message, written, (entry.get("nodes") or {}).get(node)]

    def _event_inputs(self, stem: str) -> list:
        if self.annotated[stem]["status"] != "annotated":
            return [self.annotated[stem]["message"]]
        events = tables.read_tsv(self.results / "events" / f"{stem}.tsv")
        return [
            [row, onset, chosen]
            for row, (onset, chosen, marked) in enumerate(
                zip(events["onset"], events["chosen"], boundary_markers(events), strict=True)
            )
            if chosen == "yes" or (marked and seconds(onset) == seconds(onset))
        ]

    def __call__(self, member: batches.Member) -> dict[str, Any]:
        """Convert one recording and return the content of its receipt."""
        stem = member["stem"]
        fetched, annotated = self.fetched[stem], self.annotated[stem]
        if fetched["status"] != "present":
            raise RecordingProblem(fetched["reason"], fetched["message"])
        if annotated["status"] != "annotated":
            moved = annotated["reason"] in batches.SOURCE_MOVED
            reason = annotated["reason"] if moved else "not_annotated"
            raise RecordingProblem(reason, annotated["message"])
        stream = self._stream(member)
        require_files(self.root, {**member["files"], **signal_sidecars_of(member)}, self.state)
        return convert_recording(
            {**member, "files": fetched["files"]},
            self.root,
            self.results / "events" / f"{stem}.tsv",
            self.results / "matrix" / f"{stem}.parquet",
            {**self.settings, "limits": self.limits},
            stream,
        )

    def _stream(self, member: batches.Member) -> tuple[Path, dict[str, Any]] | None:
        if self.streamed is None:
            return None
        entry = self.streamed[member["stem"]]
        node = self.settings["windows"]["source"]
        # Another node than that of the rows may be the one that could not be made.
        if (
            entry["status"] == "quarantined"
            and stream_file(member["stem"], node) not in (entry["files"])
        ):
            raise RecordingProblem(entry["reason"], entry["message"])
        return stream_of(self.results / FOLDER, member, node, entry)

    def is_within_limits(self, receipt: dict[str, Any]) -> bool:
        """Return whether the limits of today let stand what was decided before."""
        if receipt["status"] == "quarantined":
            return receipt["reason"] != TOO_LARGE
        hours = receipt["source_n_times"] / receipt["source_sfreq"] / 3600
        return not signal_too_large(len(receipt["detail"]["channels"]), hours, self.limits)
