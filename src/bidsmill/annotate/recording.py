"""The events of one recording: with HED, and with the choice of those that become rows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bidsmill.annotate.choice import absent_columns, chosen_events
from bidsmill.annotate.hed import assemble
from bidsmill.bids.events import events_of_annotations, read_events, sort_and_screen
from bidsmill.bids.reading import open_recording
from bidsmill.bids.repairs import Repairs
from bidsmill.bids.sidecars import merged_json, sidecars_in_use
from bidsmill.errors import RecordingProblem
from bidsmill.formats import files, tables
from bidsmill.sources.presence import State, require_files

if TYPE_CHECKING:
    import pandas as pd

# The columns that bidsmill writes first; columns of the source with these names are renamed.
OWN_COLUMNS = ["onset", "duration", "trial_type", "value", "HED", "source", "chosen", "reason"]
# Columns that the collated table adds.
RESERVED = ["recording", "sample", "outcome", "row", "start", "stop"]


@dataclass
class AnnotateWork:
    """What is done for one recording of a batch."""

    root: Path
    folder: Path
    hed_version: Any
    choice: Any
    use_annotations: bool
    repairs: dict[str, list[str]]
    present: set[str]
    state: State

    def inputs(self, member: dict[str, Any]) -> dict[str, Any]:
        """Return all that the events of a recording depend on."""
        sidecars = member["sidecars"]
        names = sidecars.get("events.tsv", [])[-1:] + sidecars.get("events.json", [])
        inputs: dict[str, Any] = {
            "sidecars": {name: member["sidecar_files"][name] for name in names},
            "hed_version": self.hed_version,
            "choice": self.choice,
        }
        if inputs["sidecars"] or self._from_file(member):
            inputs["repairs"] = self.repairs
        if self._from_file(member):
            inputs["files"] = member["files"]
        return inputs

    def _from_file(self, member: dict[str, Any]) -> bool:
        has_events = bool(member["sidecars"].get("events.tsv"))
        return self.use_annotations and not has_events and member["stem"] in self.present

    def __call__(self, member: dict[str, Any]) -> dict[str, Any]:
        """Write the events of one recording and return the content of its receipt."""
        inputs = self.inputs(member)
        require_files(self.root, {**inputs["sidecars"], **inputs.get("files", {})}, self.state)
        repairs = Repairs(**self.repairs)
        named = {k: v for k, v in member["sidecars"].items() if k.startswith("events.")}
        sidecars, notes = sidecars_in_use(member["data"], named, repairs)
        events, source, problems = self._events(member, sidecars, repairs)
        notes.extend(problems)
        sidecar, problems = merged_json(self.root, sidecars.get("events.json", []), repairs)
        notes.extend(problems)
        hed, issues = assemble(events, sidecar, self.hed_version)
        events = _with_first_columns(events, hed)
        events, reasons = sort_and_screen(events)
        chosen = chosen_events(events, self.choice, self.hed_version)
        notes.extend(absent_columns(events, self.choice))
        unchosen = "fixed_windows" if self.choice is None else "not_chosen"
        events["source"] = source
        events["chosen"] = [
            "yes" if c and not r else "no" for c, r in zip(chosen, reasons, strict=True)
        ]
        events["reason"] = [
            reason or ("" if c else unchosen) for c, reason in zip(chosen, reasons, strict=True)
        ]
        path = self.folder / f"{member['stem']}.tsv"
        events = events[[*OWN_COLUMNS, *(c for c in events.columns if c not in OWN_COLUMNS)]]
        files.remove_parts(path)
        tables.write_tsv(path, events)
        stated = {"size": path.stat().st_size, "sha256": files.sha256_file(path)}
        return {
            "status": "annotated",
            "events": len(events),
            "chosen": int((events["chosen"] == "yes").sum()),
            "source": source,
            "hed_issues": issues,
            "notes": notes,
            "repairs": repairs.applied,
            "files": {path.name: stated},
        }

    def _events(
        self, member: dict[str, Any], sidecars: dict[str, list[str]], repairs: Repairs
    ) -> tuple[pd.DataFrame, str, list[str]]:
        paths = sidecars.get("events.tsv")
        if paths:
            events, notes = read_events(self.root / paths[-1], repairs)
            return events, "events.tsv", notes
        if not self._from_file(member):
            return events_of_annotations([]), "none", []
        try:
            opened = open_recording(self.root, member["data"], repairs)
        except RecordingProblem as problem:
            if problem.code == "read_error":
                raise
            # The conversion meets the same problem and quarantines the recording for it.
            return events_of_annotations([]), "none", [problem.message()]
        events = events_of_annotations(opened.annotations)
        return events, "file" if len(events) else "none", []


def _with_first_columns(events: pd.DataFrame, hed: list[str]) -> pd.DataFrame:
    """Return the events with the columns every table has, and no name used twice."""
    taken = {"source", "chosen", "reason", *RESERVED}
    names = {}
    for name in (n for n in events.columns if n in taken):
        names[name] = f"source_{name}"
        while names[name] in events.columns:
            names[name] += "_"
    renamed = events.rename(columns=names)
    for name in ("trial_type", "value"):
        if name not in renamed.columns:
            renamed[name] = ""
    renamed["HED"] = hed
    return renamed
