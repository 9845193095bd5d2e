"""Which licences are published, and what becomes of the others."""

from __future__ import annotations

import argparse
import json
import re

import pytest
from access_store import mixed_recordings
from store_results import Results, facts, verify

from bidsmill.errors import BidsmillError
from bidsmill.formats import tables
from bidsmill.store.licence import license_class
from bidsmill.store.publish_command import add_publish_command

OPEN = """
CC0
CC-0
cc0-1.0
CC0 1.0 Universal
CC0 1.0 Universal (CC0 1.0) Public Domain Dedication
Creative Commons Zero
Creative Commons CC0 1.0
https://creativecommons.org/publicdomain/zero/1.0/
http://www.opendatacommons.org/licenses/pddl/1.0/
PDDL
PDDL-1.0
Public Domain
This dataset is made available under the Public Domain Dedication and License v1.0
ODbL
ODC-ODbL-1.0
Open Database License (ODbL) v1.0
ODC-By-1.0
ODC-By-1.0 (PhysioNet eegmmidb; licence known, not verified offline)
Open Data Commons Attribution License
CC BY 4.0
CC-BY-4.0
CC_BY
CCBY
ccby4.0
CC BY 4.0 International
Creative Commons Attribution 4.0 International Public License
https://creativecommons.org/licenses/by/4.0/
creativecommons.org/licenses/by-sa/4.0
CC BY-SA 4.0
CC-BY-SA-3.0
CC BY-NC 4.0
CC-BYNC
CC BY-NC-SA 4.0
CC-BY-NC-SA-4.0
Creative Commons Attribution-NonCommercial-ShareAlike 4.0
https://creativecommons.org/licenses/by-nc-sa/4.0/legalcode
MIT
MIT License
The MIT License (MIT)
BSD-3-Clause
BSD 3-Clause "New" or "Revised" License
Apache-2.0
Apache License, Version 2.0
GPL-3.0
GPL-3.0-or-later
GPLv3
GNU General Public License v3.0
LGPL-2.1
"""
NO_DERIVATIVES = """
CC BY-ND
CC BY-ND 4.0
CC-BY-NC-ND-4.0
CC BY-NC-ND 4.0
CC-BYNCND
CC BY NC ND
https://creativecommons.org/licenses/by-nc-nd/4.0/
http://creativecommons.org/licenses/by-nd/2.0/fr/
Creative Commons Attribution-NoDerivatives 4.0
Attribution-NonCommercial-NoDerivs
Attribution-NonCommercial-NoDerivatives 4.0 International
no derivatives
No derivative works
non-derivative use
CC0 for the code, CC BY-ND for the recordings
"""
UNKNOWN = """
CC BY; verbatim copies only
MIT Sloan data, ask us
MIT Sloan data
public domain dedication not applicable
Unknown
unknown licence
n/a
TBD
None
see README
see corpus README
other
Creative Commons
CC
Copyright 2019 The Authors
All rights reserved
all rights reserved, MIT
proprietary
Data use agreement (CC BY after signing)
available upon request
with permission of the authors
not CC0
not released under CC BY 4.0
no license
no licence yet (CC0 planned)
mne-testing-data states no licence (public test data of MNE-Python)
Recorded at MIT
Submitted
a custom academic license
"""
MIT_TEXT = """Permission is hereby granted, free of charge, to any person obtaining a copy of this
software, to deal in it without restriction, including the rights to use, copy and modify it."""
BSD_TEXT = """Copyright (c) 2020. All rights reserved. Redistribution and use in source and binary
forms, with or without modification, are permitted provided that prior written permission ..."""
TABLE = [
    *((text, "open") for text in [*OPEN.strip().splitlines(), MIT_TEXT, BSD_TEXT]),
    *((text, "no_derivatives") for text in NO_DERIVATIVES.strip().splitlines()),
    *((text, "unknown") for text in [*UNKNOWN.strip().splitlines(), "", "   ", None, 3, []]),
]


@pytest.mark.parametrize(("text", "expected"), TABLE)
def test_the_class_of_a_licence(text, expected):
    assert license_class(text) == expected
    if isinstance(text, str):
        for variant in (text.upper(), text.lower(), f"  {text}.\n", text.replace("-", "\u2010")):
            assert license_class(variant) == expected


def results_of(folder, text: str) -> Results:
    results = Results(folder, mixed_recordings()[:1])
    results.license = text
    results.write()
    return results


@pytest.mark.parametrize(
    ("text", "kind", "reason"),
    [
        ("CC BY-NC-ND 4.0", "no_derivatives", "allows no derivatives (CC BY-NC-ND 4.0)"),
        ("see README", "unknown", "is not known to allow derivatives (see README)"),
        ("", "unknown", "it states no licence"),
        ("word " * 500, "unknown", "word …)"),
    ],
)
def test_a_refused_dataset(text, kind, reason, tmp_path):
    results = results_of(tmp_path, text)
    stated = results.publish()
    assert not results.store.exists()
    assert reason in stated.pop("reason")
    assert stated == {
        "dataset": "ds",
        "status": "refused",
        "license": text,
        "license_class": kind,
    }
    stated = results.publish(license_allowed=True)
    assert stated["status"] == "published"
    verify(results.store, results.manifest())
    (row,) = tables.read_parquet(results.store / "catalog.parquet").to_dict("records")
    assert (row["license"], row["license_class"]) == (text, kind)
    assert row["citation"] == results.manifest()["citation"] == "A. One, B. Two. Faces."


def test_a_version_that_was_published_before_stays(tmp_path):
    results = results_of(tmp_path, "CC0")
    results.publish()
    before = facts(results.store)
    results.license = "CC BY-ND"
    results.write()
    assert results.publish()["status"] == "refused"
    assert facts(results.store) == before


# bidsmill publish


def run(results: Results, monkeypatch, *arguments: str, **config) -> list[str]:
    known = {
        "store": str(results.store),
        "datasets": {"ds": {}},
        "publish": {"endpoint": None, "connections": 2},
        "allow_license": [],
        **config,
    }
    monkeypatch.chdir(results.results.parents[1])
    overview = results.results / "plan" / "dataset.json"
    content = json.loads(overview.read_bytes())
    overview.write_text(json.dumps({**content, "batches": ["b0000", "b0001"]}))
    parser = argparse.ArgumentParser()
    add_publish_command(parser.add_subparsers(), lambda path: known)
    options = parser.parse_args(["publish", *arguments])
    return list(options.action(options))


def test_the_command_shows_and_then_sends(tmp_path, monkeypatch):
    results = results_of(tmp_path, "CC0")
    lines = run(results, monkeypatch, "ds", "--dry-run")
    assert not results.store.exists()
    assert not (results.results / "published.json").exists()
    sent = [re.fullmatch(r"send +\d[\d.]* k?B  (\S+)", line)[1] for line in lines[:-1]]
    assert re.search(r": 17 files \([\d.]+ kB\) to send, 0 \(0 B\) are there$", lines[-1])
    (line,) = run(results, monkeypatch, "ds")
    version = results.pointer()["version"]
    entries = results.manifest()["files"]
    begin = f"ds: {version} is the latest in {results.store}: {len(entries)} files ("
    assert line.startswith(begin) and line.endswith(") sent, 0 kept")
    assert version in lines[-1]
    assert sorted(sent) == sorted(entry["path"] for entry in results.manifest()["files"])
    (line,) = run(results, monkeypatch, "ds", "--dry-run")
    assert line.endswith(" are there; it is the latest version already")
    assert ": 0 files (0 B) to send, 17 " in line


def test_the_command_and_a_licence(tmp_path, monkeypatch, caplog):
    results = results_of(tmp_path, "")
    told = "ds: not published: it states no licence; to do: add ds to `allow_license` if you may"
    assert run(results, monkeypatch, "ds", "--dry-run") == [told]
    with pytest.raises(SystemExit) as left:
        run(results, monkeypatch, "ds")
    assert left.value.code == 1 and caplog.messages == [told]
    assert not results.store.exists()
    assert "is the latest" in run(results, monkeypatch, "ds", allow_license=["ds"])[0]


def test_the_command_and_an_unknown_dataset(tmp_path, monkeypatch):
    results = results_of(tmp_path, "CC0")
    with pytest.raises(BidsmillError, match="no dataset other"):
        run(results, monkeypatch, "other")
    config = {"datasets": {"ds": {}, "none": {}}}
    with pytest.raises(BidsmillError, match="no results to publish"):
        run(results, monkeypatch, "none", **config)
