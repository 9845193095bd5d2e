"""The events of one recording: with HED, and with the choice of those that become rows."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bidsmill.annotate.choice import absent_columns, chosen_events
from bidsmill.annotate.events_table import OWN_COLUMNS
from bidsmill.annotate.scopes import Scopes, contexts
from bidsmill.annotate.tags import Tags, assemble_tags
from bidsmill.bids.events import (
    events_of_annotations,
    onset_order,
    read_events,
    sort_and_screen,
)
from bidsmill.bids.hed_sidecars import ConfigTags
from bidsmill.bids.reading import open_recording
from bidsmill.bids.repairs import Repairs
from bidsmill.bids.sidecars import merged_json, sidecars_in_use
from bidsmill.errors import RecordingProblem
from bidsmill.formats import files, tables
from bidsmill.sources.presence import State, require_files

if TYPE_CHECKING:
    import pandas as pd

# Of `OWN_COLUMNS`, the ones that mean the same in the source.
SHARED_COLUMNS = OWN_COLUMNS[:4]
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
    tags: ConfigTags | None = None
    use_proposed: bool = False

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
        has_events = self._from_file(member) or bool(sidecars.get("events.tsv"))
        if has_events and self.tags is not None and self.tags.columns:
            proposed = self.use_proposed and self.tags.has_proposals
            inputs["tags"] = [*self.tags.facts(), proposed]
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
        tags = assemble_tags(
            events, sidecar, self.tags, self.hed_version, use_proposed=self.use_proposed
        )
        rows, scopes = self._rows(events, tags, source)
        notes.extend(absent_columns(with_first_columns(events).assign(HED=""), self.choice))
        lost = sum(issue["severity"] == "error" for issue in scopes.issues)
        if lost:
            notes.append(f"{lost} error(s) of temporal scopes; HED_context lacks those scopes")
        return {
            "status": "annotated",
            "events": len(rows),
            "chosen": int((rows["chosen"] == "yes").sum()),
            "source": source,
            "hed_issues": tags.issues,
            "scope_issues": scopes.issues,
            "notes": notes,
            "repairs": repairs.applied,
            "files": self._write(member["stem"], rows, scopes),
        }

    def _rows(self, events: pd.DataFrame, tags: Tags, source: str) -> tuple[pd.DataFrame, Scopes]:
        """Return the table of the recording, sorted by onset, and its temporal scopes."""
        onsets, order = onset_order(events)
        # Tags do not take part: retagging makes no event a duplicate of another.
        table, reasons = sort_and_screen(with_first_columns(events))
        visible = [tags.visible()[row] for row in order]
        table["HED"] = visible
        chosen = chosen_events(table, self.choice, self.hed_version)
        unchosen = "fixed_windows" if self.choice is None else "not_chosen"
        table["HED"] = [tags.strings[row] for row in order]
        table["HED_source"] = [tags.sources[row] for row in order]
        table["source"] = source
        table["chosen"] = [
            "yes" if c and not r else "no" for c, r in zip(chosen, reasons, strict=True)
        ]
        table["reason"] = [
            reason or ("" if c else unchosen) for c, reason in zip(chosen, reasons, strict=True)
        ]
        # A repeated event begins no scope of its own.
        single = [place for place, reason in enumerate(reasons) if reason != "duplicate"]
        scopes = contexts(onsets[order[single]], [visible[p] for p in single], self.hed_version)
        context = [""] * len(table)
        for place, text in zip(single, scopes.context, strict=True):
            context[place] = text
        table["HED_context"] = context
        own = [{**issue, "row": int(order[single[issue["row"]]])} for issue in scopes.issues]
        others = [column for column in table.columns if column not in OWN_COLUMNS]
        return table[[*OWN_COLUMNS, *others]], replace(scopes, issues=own)

    def _write(self, stem: str, table: pd.DataFrame, scopes: Scopes) -> dict[str, Any]:
        """Write what differs from what is there; return size and checksum of each file."""
        contents = {f"{stem}.tsv": table}
        if scopes.scopes:
            contents[f"{stem}_scopes.tsv"] = _scopes_table(scopes)
        else:
            (self.folder / f"{stem}_scopes.tsv").unlink(missing_ok=True)
        stated = {}
        for name, frame in contents.items():
            path = self.folder / name
            files.remove_parts(path)
            files.replace_if_different(
                path, tables.tsv_text(frame).encode("utf-8", "backslashreplace")
            )
            stated[name] = {"size": path.stat().st_size, "sha256": files.sha256_file(path)}
        return stated

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


def with_first_columns(events: pd.DataFrame) -> pd.DataFrame:
    """Return the events with the columns every table has, and no name used twice."""
    taken = {*OWN_COLUMNS, *RESERVED} - {*SHARED_COLUMNS}
    names = {}
    for name in (n for n in events.columns if n in taken):
        names[name] = f"source_{name}"
        while names[name] in events.columns:
            names[name] += "_"
    renamed = events.rename(columns=names)
    for name in ("trial_type", "value"):
        if name not in renamed.columns:
            renamed[name] = ""
    return renamed


def _scopes_table(scopes: Scopes) -> pd.DataFrame:
    import pandas as pd

    rows = [(begin, None if math.isinf(stop) else stop, hed) for begin, stop, hed in scopes.scopes]
    return pd.DataFrame(rows, columns=["onset", "stop", "HED"], dtype=object)
