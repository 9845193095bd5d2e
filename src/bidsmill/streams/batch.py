"""The streams of one batch: only the files that are not up to date."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bidsmill import batches
from bidsmill.bids.described import signal_sidecars_of
from bidsmill.bids.rules import check_names
from bidsmill.errors import BidsmillError, RecordingProblem
from bidsmill.formats import files, receipts
from bidsmill.formats.stream_names import FOLDER, RAW, stream_file
from bidsmill.sources.place import dataset_root
from bidsmill.sources.presence import State, read_state, require_files
from bidsmill.streams.node_files import NodeFacts, check_file, facts_of, write_nodes_of
from bidsmill.streams.recording import events_sha256, write_recording, write_recording_epocs
from bidsmill.streams.registry import nearest

# Settings that shape the stream of a recording.
SETTINGS = ("channels", "repairs")
# Libraries that shape its bytes, and those of nodes.
LIBRARIES = ("mne", "numpy", "scipy", "pyarrow")
# The events of a recording among its nodes: no node can be called so.
EPOCS = "epocs"
# The fingerprint of a receipt that speaks of unfinished work.
UNFINISHED = ""


def stream_batch(
    plan_path: Path,
    fetch_path: Path,
    annotate_path: Path,
    manifest_path: Path,
    *,
    settings: dict[str, Any],
    code: Mapping[str, str],
    processes: int = 1,
) -> None:
    """Make the streams, epocs and nodes of a batch that are not up to date, and its manifest.

    Parameters
    ----------
    plan_path, fetch_path, annotate_path : pathlib.Path
        ``plan/{batch}.json``, ``fetch/{batch}.json``, ``annotate/{batch}.json``.
    manifest_path : pathlib.Path
        ``streams/{batch}.json``.
    settings : dict
        ``source``, ``path``, ``channels``, ``repairs``, ``streams`` and ``on_bad_recording``.
    code : mapping
        ``recording`` and ``nodes``: hashes of the code that makes them.
    processes : int
        Worker processes.

    Raises
    ------
    BidsmillError
        If a definition cannot be understood, or recordings failed and may not.
    """
    plan = files.read_json(plan_path)
    work = _work(plan, fetch_path, annotate_path, manifest_path.parent, settings, code)
    manifest = batches.update(
        plan,
        manifest_path.parent,
        work,
        work.fingerprint,
        verb="made streams of",
        on_bad_recording=settings["on_bad_recording"],
        processes=processes,
    )
    files.write_json(manifest_path, {"software": work.software, **manifest})


def stream_one(
    plan_path: Path,
    fetch_path: Path,
    annotate_path: Path,
    output: Path,
    *,
    settings: dict[str, Any],
    code: Mapping[str, str],
    recording: str,
    node: str = RAW,
) -> None:
    """Make one file of one recording again, and what it needs.

    Parameters
    ----------
    plan_path, fetch_path, annotate_path, settings, code
        As for `stream_batch`.
    output : pathlib.Path
        The sidecar that is wanted, in ``results/{dataset}/streams``.
    recording : str
        The recording.
    node : str
        Any node of the config, also one that ``streams.write`` does not name; ``raw`` for the
        recording itself and its epocs.

    Raises
    ------
    BidsmillError
        If it cannot be made.
    """
    plan = files.read_json(plan_path)
    work = _work(plan, fetch_path, annotate_path, output.parent, settings, code)
    (member,) = [one for one in plan["members"] if one["stem"] == recording]
    if node not in work.facts:
        raise BidsmillError(
            "the config defines no such node",
            file=output.name,
            found=node,
            expected=f"one of {', '.join(work.facts)}",
            todo=nearest(node, work.facts) or "define it in streams.nodes",
        )
    name = EPOCS if node == RAW and output.stem.endswith("_epocs") else node
    work.make_one(member, name)
    if not output.is_file():
        kind = work.facts[node].kind
        raise BidsmillError(
            f"the node {node} gives another kind of file",
            found=output.name,
            expected=Path(stream_file(recording, node, kind)).with_suffix(".json"),
        )


def _work(plan, fetch_path, annotate_path, folder, settings, code) -> StreamWork:
    check_names([*settings["repairs"]["allow"], *settings["repairs"]["refuse"]])
    results = folder.parent
    assert folder.name == FOLDER
    return StreamWork(
        root=dataset_root(settings, results),
        results=results,
        settings={key: settings[key] for key in SETTINGS},
        definitions=dict(settings["streams"]["nodes"]),
        written=tuple(dict.fromkeys(settings["streams"]["write"])),
        facts=facts_of(settings["streams"]["nodes"]),
        fetched=files.read_json(fetch_path)["members"],
        annotated=files.read_json(annotate_path)["members"],
        state=read_state(results, plan["batch"]),
        code=dict(code),
        software={name: version(name) for name in LIBRARIES},
    )


@dataclass
class StreamWork:
    """What is done for one recording of a batch.

    The receipt of a recording names its parts (``raw``, ``epocs`` and nodes) with a fingerprint
    each, so that another definition of a node makes that node again and nothing else.
    """

    root: Path
    results: Path
    settings: dict[str, Any]
    definitions: dict[str, str]
    written: tuple[str, ...]
    facts: dict[str, NodeFacts]
    fetched: dict[str, dict[str, Any]]
    annotated: dict[str, dict[str, Any]]
    state: State
    code: dict[str, str]
    software: dict[str, str]

    @property
    def folder(self) -> Path:
        """Return where the files lie."""
        return self.results / FOLDER

    def fingerprint(self, member: batches.Member) -> str:
        """Return the sha256 of all that the files of a recording depend on."""
        return files.canonical_sha256(self.parts(member, [*self.written]))

    def parts(self, member: batches.Member, nodes: list[str]) -> dict[str, str]:
        """Return the fingerprint of every part: of the recording, its events, and nodes."""
        stem = member["stem"]
        raw = files.canonical_sha256(
            [
                member["files"],
                member["alternatives"],
                signal_sidecars_of(member),
                self.settings,
                self.fetched[stem],
                self.code["recording"],
                self.software,
            ]
        )
        annotated = self.annotated[stem]
        events = annotated.get("message", "")
        if annotated["status"] == "annotated":
            events = events_sha256(self.results / "events" / f"{stem}.tsv")
        found = {RAW: raw, EPOCS: files.canonical_sha256([raw, events])}
        for name in nodes:
            if name == RAW:
                continue
            fact = self.facts[name]
            source = found[EPOCS] if fact.of_events else raw
            found[name] = files.canonical_sha256([source, fact.identity, self.code["nodes"]])
        return found

    def __call__(self, member: batches.Member) -> dict[str, Any]:
        """Make what is not up to date and return the content of the receipt."""
        self._require(member)
        wanted = self.parts(member, [*self.written])
        done = self._current(member["stem"], wanted)
        return self._content(self._made(member, wanted, done))

    def make_one(self, member: batches.Member, name: str) -> None:
        """Make one part again, up to date or not, and parts that it needs and that are not."""
        self._require(member)
        stem = member["stem"]
        everything = self.parts(member, [*self.written])
        done = self._current(stem, everything)
        needed = {RAW, EPOCS, name} if name in (RAW, EPOCS) else {RAW, name}
        if name in self.facts and self.facts[name].of_events:
            needed.add(EPOCS)
        parts = self.parts(member, [name] if name in self.facts else [])
        wanted = {key: parts[key] for key in parts if key in needed}
        done.pop(name, None)
        made = self._made(member, {**wanted, **{k: everything[k] for k in done}}, done)
        problem = made.pop("problem", None)
        if problem:
            raise BidsmillError(problem["message"])
        known = {part: made[part] for part in made if part in everything}
        whole = set(known) == set(everything)
        self._remember(member, known, self.fingerprint(member) if whole else UNFINISHED)

    def _require(self, member: batches.Member) -> None:
        stem = member["stem"]
        fetched, annotated = self.fetched[stem], self.annotated[stem]
        if fetched["status"] != "present":
            raise RecordingProblem(fetched["reason"], fetched["message"])
        if annotated["status"] != "annotated":
            moved = annotated["reason"] in batches.SOURCE_MOVED
            reason = annotated["reason"] if moved else "not_annotated"
            raise RecordingProblem(reason, annotated["message"])
        require_files(self.root, {**member["files"], **signal_sidecars_of(member)}, self.state)

    def _current(self, stem: str, wanted: dict[str, str]) -> dict[str, dict[str, Any]]:
        """Return the parts of the receipt that are up to date, with files that are whole."""
        receipt = receipts.read_receipt(self.folder / f"{stem}.json") or {}
        parts = receipt.get("detail", {}).get("parts", {})
        return {
            name: parts[name]
            for name in wanted
            if name in parts
            and parts[name]["fingerprint"] == wanted[name]
            and all(self._is_whole(file, fact) for file, fact in parts[name]["files"].items())
        }

    def _is_whole(self, name: str, stated: dict[str, Any]) -> bool:
        path = self.folder / name
        if not path.is_file() or path.stat().st_size != stated["size"]:
            return False
        try:
            check_file(path)
        except BidsmillError:
            return False
        return True

    def _made(
        self,
        member: batches.Member,
        wanted: dict[str, str],
        done: dict[str, dict[str, Any]],
    ) -> dict[str, Any]:
        """Return all parts, those made that were not; and under ``problem`` why nodes are not."""
        stem = member["stem"]
        stale = [name for name in wanted if name not in done]
        made: dict[str, Any] = dict(done)
        if stale:
            # Before a file is replaced: no receipt speaks of it while it is.
            self._remember(member, made)
        self.folder.mkdir(parents=True, exist_ok=True)
        fetched = {**member, "files": self.fetched[stem]["files"]}
        raw = self.folder / stream_file(stem)
        if RAW in stale:
            facts = write_recording(fetched, self.root, raw, self.settings)
            made[RAW] = {"fingerprint": wanted[RAW], **self._checked(facts)}
            self._remember(member, made)
        if EPOCS in stale:
            events = self.results / "events" / f"{stem}.tsv"
            place = self.folder / stream_file(stem, kind=EPOCS)
            facts = write_recording_epocs(stem, events, raw, place)
            made[EPOCS] = {"fingerprint": wanted[EPOCS], **self._checked(facts)}
            self._remember(member, made)
        nodes = [name for name in stale if name not in (RAW, EPOCS)]
        if nodes:
            written, problems = self._nodes(stem, nodes)
            for name in written:
                made[name] = {"fingerprint": wanted[name], **self._checked(written[name])}
            if problems:
                made["problem"] = {"reason": "node_impossible", "message": " | ".join(problems)}
        return made

    def _nodes(self, stem: str, names: list[str]) -> tuple[dict[str, dict[str, Any]], list[str]]:
        """Write nodes in one pass; if one cannot be computed, the others one by one."""
        try:
            return write_nodes_of(stem, self.folder, self.definitions, names), []
        except BidsmillError as problem:
            if len(names) == 1:
                return {}, [problem.message()]
        written, problems = {}, []
        for name in names:
            own, told = self._nodes(stem, [name])
            written.update(own)
            problems.extend(told)
        return written, problems

    def _checked(self, facts: dict[str, Any]) -> dict[str, Any]:
        """Return the facts of files that were written, if these are what they say."""
        for name in facts["files"]:
            check_file(self.folder / name)
        return facts

    def _remember(
        self, member: batches.Member, made: dict[str, Any], fingerprint: str = UNFINISHED
    ) -> None:
        """Write the receipt in between: what is done stays done if this process is killed."""
        path = self.folder / f"{member['stem']}.json"
        content = self._content(made)
        before = (receipts.read_receipt(path) or {}).get("files", {})
        if fingerprint == UNFINISHED:
            # It goes on naming files whose parts it no longer has: somebody must remove them.
            content["files"] = {**before, **content["files"]}
        receipts.write_receipt(path, fingerprint, content)
        for name in before.keys() - content["files"].keys():
            files.inside(self.folder, name).unlink(missing_ok=True)

    def _content(self, made: dict[str, Any]) -> dict[str, Any]:
        """Return the content of a receipt."""
        parts = {name: made[name] for name in sorted(made) if name != "problem"}
        problem = made.get("problem")
        raw = parts.get(RAW, {})
        repairs = raw.get("repairs", [])
        status = "quarantined" if problem else ("repaired" if repairs else "streamed")
        return {
            "status": status,
            "reason": problem["reason"] if problem else "",
            "message": problem["message"] if problem else "",
            "repairs": repairs,
            "conflicts": [text for part in parts.values() for text in part.get("conflicts", [])],
            "nodes": {
                name: {
                    "identity": self.facts[name].identity,
                    "kind": self.facts[name].kind,
                    "reach_seconds": parts[name].get("reach_seconds", 0.0),
                }
                for name in parts
                if name in self.facts
            },
            "files": {
                name: fact for part in parts.values() for name, fact in part["files"].items()
            },
            "detail": {"parts": parts},
        }
