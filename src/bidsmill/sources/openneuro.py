"""OpenNeuro: a snapshot's files, as its GraphQL service lists them."""

from __future__ import annotations

import hashlib
import logging
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote, unquote_plus

from bidsmill.errors import BidsmillError
from bidsmill.sources.listing import Entry, Listing, annex_checksum, annex_size, is_signed
from bidsmill.sources.retries import Passing, try_again
from bidsmill.sources.web import Unreachable, ask_bytes, ask_json, open_client

if TYPE_CHECKING:
    import httpx

log = logging.getLogger(__name__)

ENDPOINT = "https://openneuro.org/crn/graphql"
DATASET_ID = re.compile(r"ds\d{6}", re.ASCII)
DESCRIPTION = "dataset_description.json"
# Folders asked for at a time, where a listing has to be read folder by folder.
PARALLEL = 8
# Codes of GraphQL errors (Apollo Server, "Error handling") that no further attempt changes.
LASTING = {
    "BAD_USER_INPUT",
    "FORBIDDEN",
    "GRAPHQL_PARSE_FAILED",
    "GRAPHQL_VALIDATION_FAILED",
    "NOT_FOUND",
    "UNAUTHENTICATED",
}
# The id of an empty blob in git.
EMPTY_BLOB = "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"
# Files read to learn what the ids of files outside the annex are, and their size in bytes.
PROBES = 3
LARGEST_PROBE = 1 << 20

LATEST = "query latest($id: ID!) { dataset(id: $id) { id latestSnapshot { tag } } }"
SNAPSHOTS = "query snapshots($id: ID!) { dataset(id: $id) { id snapshots { tag } } }"
# Without Name and BIDSVersion: the service fails where a dataset lacks these.
FACTS = """query facts($id: ID!, $tag: String!) { snapshot(datasetId: $id, tag: $tag) {
 tag description { License Authors DatasetDOI } summary { subjects } } }"""
FILE = "{ id filename size urls annexed directory }"
ALL_FILES = f"""query files($id: ID!, $tag: String!) {{ snapshot(datasetId: $id, tag: $tag) {{
 files(recursive: true) {FILE} }} }}"""
ONE_FOLDER = f"""query folder($id: ID!, $tag: String!, $tree: String) {{
 snapshot(datasetId: $id, tag: $tag) {{ files(tree: $tree) {FILE} }} }}"""


def list_dataset(dataset: str, settings: dict[str, Any]) -> Listing:
    """List the files of a snapshot.

    Annexed files carry size and checksum in their git-annex key. The id of any other file is the
    SHA-1 of its git blob on today's servers, and was another hash on older ones; it is taken for
    a checksum only if it proves to be one for a small file of this very listing (nearly always
    dataset_description.json). Otherwise these files have no checksum, and the version of their
    object in S3 tells old from new. Symbolic links inside the tree have neither content nor
    address.

    Parameters
    ----------
    dataset : str
        Dataset id.
    settings : dict
        ``id`` (OpenNeuro's id, default: `dataset`), ``version`` (None: the latest), ``endpoint``
        (address of the GraphQL service; None: OpenNeuro's own) and ``fetch`` (``retries``,
        ``timeout`` in seconds).

    Returns
    -------
    Listing

    Raises
    ------
    BidsmillError
        If there is no such dataset or snapshot, the service does not answer, or it answers with
        less than the whole snapshot.
    """
    with _Service(dataset, settings) as service:
        tag, facts, subjects = service.find_snapshot()
        files = service.all_files(tag)
        _require_whole(files, subjects, service.place(tag))
        are_blobs = service.ids_are_blobs(files)
    signed = sum(is_signed(file.url or "") for file in files)
    if signed:
        log.info("%s: %d addresses are signed and are not kept", dataset, signed)
    entries = [file.entry(are_blobs) for file in files]
    unknown = sum("checksum" not in entry or entry["checksum"] is None for entry in entries)
    log.info("%s %s: %d files, %d without checksum", dataset, tag, len(entries), unknown)
    return Listing(tag, entries, {"kind": "openneuro", "id": service.id}, facts)


def addresses(dataset: str, settings: dict[str, Any]) -> dict[str, str]:
    """Return fresh addresses of a snapshot's files, signed ones too; they must not be stored.

    Parameters
    ----------
    dataset, settings
        As for `list_dataset`, with ``version`` as it was locked.

    Returns
    -------
    dict of str to str
        Path -> address; files that have none are left out.
    """
    with _Service(dataset, settings) as service:
        tag = settings.get("version") or service.latest()
        return {file.path: file.url for file in service.all_files(tag) if file.url}


@dataclass(frozen=True)
class _File:
    """A file as the service describes it."""

    path: str
    id: str
    size: int
    url: str | None

    def entry(self, ids_are_blobs: bool) -> Entry:
        entry: Entry = {"path": self.path, "size": self.size, "checksum": self.checksum()}
        if ids_are_blobs and self.is_blob():
            entry["checksum"] = f"git:{self.id.lower()}"
        if not self.url:
            return entry
        version = re.search(r"[?&]versionId=([^&]+)", self.url)
        if version and entry["checksum"] is None:
            entry["version"] = unquote(version[1])
        if is_signed(self.url):
            return {**entry, "signed": True}
        return {**entry, "url": self.url}

    def checksum(self) -> str | None:
        return annex_checksum(self.id)

    def is_blob(self) -> bool:
        """Return whether the id looks like that of a git blob with this content.

        A link has the size 0 here, but the blob of its target's name.
        """
        if not re.fullmatch(r"[0-9a-fA-F]{40}", self.id):
            return False
        return self.size > 0 or self.id.lower() == EMPTY_BLOB


class _Service:
    """The GraphQL service, asked about one dataset."""

    def __init__(self, dataset: str, settings: dict[str, Any]):
        self.id = str(settings.get("id") or dataset)
        self.wanted: str | None = settings.get("version")
        self.endpoint: str = settings.get("endpoint") or ENDPOINT
        self.retries: int = settings["fetch"]["retries"]
        if not DATASET_ID.fullmatch(self.id):
            raise BidsmillError(
                "no id of an OpenNeuro dataset",
                found=self.id,
                expected="ds and six digits, e.g. ds002718",
                todo="name the dataset's id at OpenNeuro with the key `id`",
            )
        # Bytes come encrypted, unless the user names a service on the own machine.
        self.schemes: tuple[str, ...] = ("https://",)
        if self.endpoint.startswith("http://"):
            self.schemes = ("https://", "http://")
        self.client: httpx.Client = open_client(settings["fetch"]["timeout"], PARALLEL)

    def __enter__(self) -> _Service:
        return self

    def __exit__(self, *error: object) -> None:
        self.client.close()

    def place(self, tag: str) -> str:
        return f"{self.endpoint} ({self.id}, snapshot {tag})"

    def latest(self) -> str:
        answer = self._ask(LATEST, {}, "the latest snapshot", partial=False)
        if not answer.get("dataset"):
            raise self._unknown_dataset()
        tag = (answer["dataset"].get("latestSnapshot") or {}).get("tag")
        if not tag:
            raise BidsmillError("the dataset has no snapshot", file=self.endpoint, found=self.id)
        return str(tag)

    def find_snapshot(self) -> tuple[str, dict[str, Any], list[str]]:
        """Return the tag of the snapshot, the facts that it states, and its subjects."""
        tag = self.wanted or self.latest()
        if self.wanted:
            self._require_snapshot(tag)
        answer = self._ask(FACTS, {"tag": tag}, f"snapshot {tag}")
        snapshot = answer.get("snapshot")
        if not isinstance(snapshot, dict):
            raise _partial("no answer about the snapshot", self.place(tag))
        description = snapshot.get("description") or {}
        facts = {
            "license": description.get("License"),
            "doi": description.get("DatasetDOI"),
            "authors": description.get("Authors"),
        }
        subjects = (snapshot.get("summary") or {}).get("subjects")
        if subjects is None:
            log.warning("%s: no summary to hold the listing against", self.place(tag))
        return tag, {key: value for key, value in facts.items() if value}, subjects or []

    def _require_snapshot(self, tag: str) -> None:
        answer = self._ask(SNAPSHOTS, {}, "the snapshots", partial=False)
        if not answer.get("dataset"):
            raise self._unknown_dataset()
        tags = [item["tag"] for item in answer["dataset"].get("snapshots") or [] if item]
        if tag not in tags:
            raise BidsmillError(
                f"{self.id} has no snapshot {tag}",
                file=self.endpoint,
                expected="one of " + (", ".join(tags) or "(there is none)"),
                todo="correct `version`",
            )

    def _unknown_dataset(self) -> BidsmillError:
        return BidsmillError(
            f"OpenNeuro has no public dataset {self.id}",
            file=self.endpoint,
            todo="correct `id`, or look whether the dataset is still private",
        )

    def all_files(self, tag: str) -> list[_File]:
        """Return all files of a snapshot, in one answer or folder by folder."""
        try:
            answer = self._ask(ALL_FILES, {"tag": tag}, f"the files of {tag}")
            rows = self._rows(answer, tag)
        except BidsmillError as problem:
            # Large snapshots can be too much for one answer, and older servers have none.
            log.info("%s; asking folder by folder", problem)
            rows = self._folder(tag, None)
        found: list[_File] = []
        waiting = self._sort(rows, "", found, tag)
        with ThreadPoolExecutor(PARALLEL) as pool:
            while waiting:
                trees = list(waiting.items())
                listed = pool.map(lambda item: self._folder(tag, item[1]), trees)
                waiting = {}
                for (path, _), folder in zip(trees, listed, strict=True):
                    waiting |= self._sort(folder, f"{path}/", found, tag)
        return found

    def _folder(self, tag: str, tree: str | None) -> list[dict[str, Any]]:
        answer = self._ask(ONE_FOLDER, {"tag": tag, "tree": tree}, f"a folder of {tag}")
        return self._rows(answer, tag)

    def _rows(self, answer: dict[str, Any], tag: str) -> list[dict[str, Any]]:
        rows = (answer.get("snapshot") or {}).get("files")
        # Git knows no empty folders: an empty list is one that could not be read.
        if not rows or not all(isinstance(row, dict) and row.get("filename") for row in rows):
            raise _partial("a folder without files", self.place(tag))
        return rows

    def _sort(
        self, rows: list[dict[str, Any]], prefix: str, found: list[_File], tag: str
    ) -> dict[str, str]:
        """Append the files among rows to `found`; return path and tree of the folders."""
        folders: dict[str, str] = {}
        for row in rows:
            path, key = prefix + str(row["filename"]), str(row.get("id") or "")
            if row.get("directory"):
                if path.count("/") > 100 or not key:
                    raise _partial(f"the folder {path[:100]!r} cannot be read", self.place(tag))
                folders[path] = key
                continue
            size = annex_size(key)
            if size is None:
                size = _integer(row.get("size"))
            if size is None:
                raise _partial(f"{path!r} has no size", self.place(tag))
            file = _File(path, key, size, self._address(row.get("urls"), path))
            is_link = size == 0 and not file.is_blob() and file.checksum() is None
            found.append(_File(path, key, size, None) if is_link else file)
        return folders

    def _address(self, urls: Any, path: str) -> str | None:
        for url in urls or []:
            if isinstance(url, str) and url.startswith(self.schemes):
                return _quoted(url, path)
        return None

    def ids_are_blobs(self, files: list[_File]) -> bool:
        """Return whether ids of files outside the annex are SHA-1 of git blobs, by trying some."""
        candidates = [
            file for file in files if file.url and file.is_blob() and 0 < file.size <= LARGEST_PROBE
        ]
        candidates.sort(key=lambda file: (file.path != DESCRIPTION, file.size, file.path))
        for file in candidates[:PROBES]:
            assert file.url
            what = f"{file.path} of {self.id} cannot be read"
            try:
                content = ask_bytes(self.client, file.url, what=what, retries=self.retries)
            except Unreachable:
                # Not an answer: the next look would give another one, and another lock.
                raise
            except BidsmillError as problem:
                log.info("%s", problem)
                continue
            blob = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False)
            if blob.hexdigest() == file.id.lower():
                return True
        if candidates:
            log.info("%s: ids of files outside the annex are no checksums", self.id)
        return False

    def _ask(
        self, query: str, variables: dict[str, Any], what: str, partial: bool = True
    ) -> dict[str, Any]:
        """Return the data of an answer; errors beside data make it a partial listing."""
        payload = {"query": query, "variables": {"id": self.id, **variables}}
        problem = f"OpenNeuro cannot be asked for {what} of {self.id}"

        def ask() -> dict[str, Any]:
            answer = ask_json(
                self.client, self.endpoint, what=problem, retries=self.retries, payload=payload
            )
            errors = answer.get("errors") if isinstance(answer, dict) else ["no GraphQL answer"]
            if errors:
                self._raise(errors)
            data = answer.get("data")
            if not isinstance(data, dict):
                raise Passing("an answer without data")
            return data

        try:
            return try_again(ask, self.retries)
        except Passing as error:
            if partial:
                raise _partial(str(error), f"{self.endpoint} ({self.id})") from None
            raise BidsmillError(problem, file=self.endpoint, found=error) from None

    def _raise(self, errors: Any) -> None:
        first = errors[0] if isinstance(errors, list) else errors
        details = first if isinstance(first, dict) else {}
        text = str(details.get("message") or first)[:300]
        code = (details.get("extensions") or {}).get("code")
        if code in LASTING:
            raise BidsmillError(
                f"OpenNeuro refuses an answer about {self.id}",
                file=self.endpoint,
                found=f"{text} ({code})",
                todo="correct `id` and `version`, or look whether the dataset is still private",
            )
        # Mostly a time limit inside the service, whose caches are fuller at the next attempt.
        raise Passing(f"the service reports an error: {text}")


def _quoted(url: str, path: str) -> str:
    """Return an address of S3 with the path quoted once.

    The service hands out keys with too little quoting, or too much.
    """
    head, separator, query = url.partition("?versionId=")
    if not separator or is_signed(url):
        return url
    tail = "/".join(head.split("/")[-(path.count("/") + 1) :])
    if path in (tail, unquote(tail), unquote_plus(tail), unquote_plus(unquote_plus(tail))):
        head = head[: len(head) - len(tail)] + quote(path)
    return head + separator + query


def _integer(value: Any) -> int | None:
    if isinstance(value, str) and re.fullmatch(r"[0-9]+", value):
        return int(value)
    return value if type(value) is int and value >= 0 else None


def _require_whole(files: list[_File], subjects: list[str], place: str) -> None:
    tops = {file.path.partition("/")[0] for file in files if "/" in file.path}
    if not any(file.path == DESCRIPTION for file in files):
        raise _partial(f"no {DESCRIPTION}", place)
    absent = [str(label) for label in subjects if f"sub-{label}" not in tops]
    if absent:
        raise _partial(
            f"no file of {len(absent)} of {len(subjects)} subjects, e.g. sub-{absent[0]}", place
        )


def _partial(found: str, place: str) -> BidsmillError:
    return BidsmillError(
        "partial listing: OpenNeuro does not name all files",
        file=place,
        found=found,
        todo="run again later: the service may be busy with this snapshot",
    )
