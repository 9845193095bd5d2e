"""The ways in which published HED datasets annotate: each gives the strings hedtools gives."""

from __future__ import annotations

import io
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import pytest
from hed_oracle import Timeline, assembled, canonical, parts

from bidsmill.annotate.hed import assemble
from bidsmill.annotate.scopes import contexts
from bidsmill.errors import BidsmillError
from bidsmill.formats.hed_strings import search


@dataclass(frozen=True)
class Idiom:
    """A small dataset: its events, its sidecar, its HEDVersion, and what some rows must say."""

    version: str | list[str]
    events: str
    sidecar: dict = field(default_factory=dict)
    expected: dict[int, str] = field(default_factory=dict)
    found: dict[str, list[int]] = field(default_factory=dict)

    def table(self):
        """Return the events as a reader of events.tsv gives them, all text."""
        lines = "\n".join("\t".join(line.split("|")) for line in self.events.split())
        lines = lines.replace("~", " ")  # blanks inside cells
        return pd.read_csv(io.StringIO(lines), sep="\t", dtype=str, keep_default_na=False)


def hed(**columns):
    return {
        column: {"Description": f"column {column}", "HED": text} for column, text in columns.items()
    }


SEEN = "(Definition/Seen, (Visual-presentation, (Face, Image)))"
FIXATE = "(Definition/Fixate, (Task, (Fixate, Cross)))"
KIND = "(Definition/Kind/#, (Condition-variable/Kind, Label/#))"
SPEED = "(Definition/Speed/#, (Acceleration/# m-per-s^2, Red))"

IDIOMS = {
    "definitions in columns of their own": Idiom(
        "8.3.0",
        "onset|kind|note 0|face|a 1|cross|b 2|other|a",
        hed(
            my_definitions={"one": SEEN, "two": FIXATE, "three": KIND},
            kind={"face": "Sensory-event, Def/Seen", "cross": "(Red, Def/Fixate)"},
            note={"a": "Def/Kind/familiar"},
        ),
        {
            0: "Sensory-event,(Def-expand/Seen,(Visual-presentation,(Face,Image)))"
            ",(Def-expand/Kind/familiar,(Condition-variable/Kind,Label/familiar))",
            1: "(Red,(Def-expand/Fixate,(Task,(Cross,Fixate))))",
            2: "(Def-expand/Kind/familiar,(Condition-variable/Kind,Label/familiar))",
        },
        {"Def/Seen": [0], "Face": [0], "Cross": [1], "Def/Kind/familiar": [0, 2]},
    ),
    "onset and offset, with columns inside the scope": Idiom(
        "8.3.0",
        "onset|duration|event_type|face_type|lag|file 0|0|setup|n/a|n/a|n/a 1|0|cross|n/a|n/a|n/a"
        " 2|0|face|famous|n/a|f1.bmp 2.5|0|press|n/a|n/a|n/a 3|0|circle|n/a|n/a|n/a"
        " 4|0|press|n/a|n/a|n/a 5|0|face|scrambled|12|s1.bmp 6|0|face|n/a|n/a|n/a"
        " 7|0|stop|n/a|n/a|n/a",
        hed(
            event_type={
                "setup": "Experiment-structure, (Def/Setup, Onset)",
                "face": "Sensory-event, (Def/Seen, Onset, ({face_type}, {lag}, {file}))"
                ",(Def/Still,Onset)",
                "cross": "Sensory-event, (Intended-effect, Cue), (Onset, Def/Fixate)",
                "circle": "Sensory-event, (Def/Seen, Offset), (Def/Fixate, Offset)",
                "press": "Agent-action, Participant-response, (Def/Still, Inset, (Press))",
                "stop": "(Def/Setup, Offset)",
            },
            face_type={"famous": "Def/Famous", "scrambled": "Def/Scrambled"},
            lag="Item-interval/#",
            file="Image, Pathname/#",
            defs={
                "a": SEEN,
                "b": FIXATE,
                "c": "(Definition/Setup, (Recording))",
                "d": "(Definition/Still, (Task, Inhibit-blinks))",
                "e": "(Definition/Famous, (Condition-variable/Face-type, Famous))",
                "f": "(Definition/Scrambled, (Condition-variable/Face-type, Disordered))",
            },
        ),
    ),
    "library schema under a prefix": Idiom(
        ["8.3.0", "sc:score_2.0.0"],
        "onset|kind|state|depth 0|seizure|asleep|2 1|blink|n/a|n/a 2|seizure|n/a|3",
        hed(
            kind={
                "seizure": "Event, (sc:Focal-onset-epileptic-seizure, {state}), Def/Episode",
                "blink": "Data-feature, sc:Eye-modulator",
            },
            state={"asleep": "sc:Sleep-modulator"},
            depth="(Parameter-label/Depth, Parameter-value/#)",
            defs={"e": "(Definition/Episode, (sc:Episode, Red))"},
        ),
        {1: "Data-feature, sc:Eye-modulator"},
        {"sc:Sleep-modulator": [0], "sc:Epileptic-seizure": [0, 2], "sc:Episode": [0, 2]},
    ),
    "library without a standard beside a standard": Idiom(
        ["8.2.0", "sc:score_1.0.0"],
        "onset|kind 0|a 1|b",
        hed(kind={"a": "Sensory-event, sc:Drowsiness", "b": "Sensory-event, (Red, sc:Awakening)"}),
        {0: "Sensory-event, sc:Drowsiness"},
        {"sc:Sleep-modulator": [0, 1], "Sensory-event": [0, 1]},
    ),
    "standard under a prefix": Idiom(
        ["ts:8.3.0", "score_1.0.0"],
        "onset|kind|lag 0|a|n/a 1|b|0.5",
        hed(
            kind={"a": "ts:Red, Drowsiness, (ts:Def/Doze, ts:Onset)", "b": "ts:Blue"},
            lag="(ts:Delay/# s, (Awakening))",
            defs={"d": "(ts:Definition/Doze, (ts:Green, Awakening))"},
        ),
        {1: "ts:Blue, (ts:Delay/0.5 s, (Awakening))"},
        {"Sleep-modulator": [0, 1], "ts:Green": [0]},
    ),
    "schema partnered with a standard": Idiom(
        "score_2.0.0",
        "onset|kind|state 0|seizure|asleep 1|press|n/a 2|seizure|awake",
        hed(
            kind={
                "seizure": "Event, (Focal-onset-epileptic-seizure, {state}), (Def/Fit, Onset)",
                "press": "Agent-action, (Press, Mouse-button), (Def/Fit, Offset)",
            },
            state={"asleep": "Sleep-modulator", "awake": "(Awakening, Red)"},
            defs={"e": "(Definition/Fit, (Episode, Label/Fit))"},
        ),
        {},
        {"Epileptic-seizure": [0, 2], "Press": [1], "Red": [2], "Sleep-modulator": [0, 2]},
    ),
    "another partnered schema, by value": Idiom(
        "lang_1.1.0",
        "onset|language|word 0|de|Hund 1|en|dog 2|n/a|chien",
        hed(language={"de": "German", "en": "(English, {word})"}, word="(Word, Label/#)"),
        {0: "German", 1: "(English, (Word, Label/dog))", 2: ""},
        {"Germanic-language": [0, 1], "Label/dog": [1]},
    ),
    "two partnered schemas of one standard": Idiom(
        ["score_2.1.0", "lang_1.1.0"],
        "onset|kind 0|a 1|b",
        hed(kind={"a": "Sensory-event, (Sleep-modulator, Red)", "b": "(German, Blue)"}),
        {0: "Sensory-event, (Sleep-modulator, Red)", 1: "(German, Blue)"},
        {"Sleep-modulator": [0], "Germanic-language": [1]},
    ),
    "partnered schemas, one under a prefix": Idiom(
        ["score_2.0.0", "la:lang_1.0.0"],
        "onset|kind 0|a 1|b",
        hed(
            kind={"a": "Sensory-event, la:German", "b": "(Sleep-modulator, la:Red, Def/Talk)"},
            defs={"t": "(Definition/Talk, (la:English, Episode))"},
        ),
        {0: "Sensory-event, la:German"},
        {"la:Germanic-language": [0, 1], "Sleep-modulator": [1]},
    ),
    "a column HED in events.tsv and no sidecar": Idiom(
        "8.3.0",
        "onset|trial_type|HED 0|a|Sensory-event,~(Red,~Blue) 1|b|n/a 2|c|Agent-action"
        " 3|d| 4|e|(Duration/2~s,~(Red))",
        {"trial_type": {"Description": "has no HED"}},
        {0: "Sensory-event, (Red, Blue)", 1: "", 2: "Agent-action", 3: ""},
        {"Red": [0, 4]},
    ),
    "a column HED beside a sidecar with definitions": Idiom(
        "8.3.0",
        "onset|kind|HED 0|a|(Def/Seen,~Onset) 1|b|n/a 2|n/a|(Def/Seen,~Offset),~Def/Kind/x 3|b|Red",
        hed(kind={"a": "Sensory-event", "b": "(Image)"}, defs={"s": SEEN, "k": KIND}),
        {1: "(Image)", 3: "Red, (Image)"},
        {"Def/Seen": [0, 2], "Image": [0, 1, 2, 3], "Red": [3]},
    ),
    "a column HED that the sidecar refers to": Idiom(
        "8.3.0",
        "onset|kind|HED 0|a|Blue 1|b|n/a 2|n/a|Green 3|b|(Def/Seen,~Red)",
        hed(kind={"a": "Sensory-event", "b": "(Image, {HED})"}, defs={"s": SEEN}),
        {0: "Sensory-event", 1: "(Image)", 2: ""},
        {"Def/Seen": [3], "Image": [1, 3], "Blue or Green": []},
    ),
    "value columns": Idiom(
        "8.3.0",
        "onset|delay|speed|file|count|length 0|0.5|4.5|pics/a_b.png|3|1.5 1|n/a|n/a|n/a|n/a|n/a"
        " 2|1e-1|-2|x.wav||30 3|2|n/a|n/a|12|n/a",
        hed(
            delay="(Delay/# s, (Agent-action, Press))",
            speed="Def/Speed/#",
            file="(Image, Pathname/#)",
            count="(Face, Item-count/#)",
            length="(Duration/# ms, (Green, {count}))",
            defs={"s": SPEED},
        ),
        {1: "", 3: "(Delay/2 s, (Agent-action, Press))"},
        {"Acceleration": [0, 2], "Image": [0, 2], "Press": [0, 2, 3], "Face": [0]},
    ),
    "column references": Idiom(
        "8.3.0",
        "onset|kind|where|what|HED 0|x|1|face|Green 1|x|n/a|n/a|n/a 2|y|2|face|n/a"
        " 3|y|n/a|house|Red 4|z|1|n/a|Blue 5|n/a|1|face|Red",
        hed(
            kind={
                "x": "Sensory-event, ({where}, ({what}), Circle), {HED}",
                "y": "{what}, (Square, ({where}))",
                "z": "({where}, {what}), Def/Seen",
            },
            where={"1": "(Left-side-of, (Computer-screen))", "2": "Label/2"},
            what={"face": "Face, Image", "house": "Building"},
            defs={"s": SEEN},
        ),
        {
            0: "Sensory-event, ((Left-side-of, (Computer-screen)), (Face, Image), Circle), Green",
            1: "Sensory-event, (Circle)",
            2: "Face, Image, (Square, (Label/2))",
            3: "Building, (Square)",
            5: "",
        },
        {"Circle": [0, 1], "Building": [3], "Def/Seen": [4]},
    ),
    "long forms": Idiom(
        "8.3.0",
        "onset|kind 0|a 1|b 2|c",
        hed(
            kind={
                "a": "Event/Sensory-event, (Property/Organizational-property/Def/Seen, "
                "Property/Data-property/Data-marker/Temporal-marker/Onset)",
                "b": "Event/Agent-action",
                "c": "(Organizational-property/Def/Seen, Temporal-marker/Offset)",
            },
            defs={
                "s": "(Property/Organizational-property/Definition/Seen, (Item/Object/"
                "Geometric-object/2D-shape/Cross))"
            },
        ),
        {1: "Event/Agent-action"},
        {"Sensory-event": [0], "Cross": [0, 2], "Event": [0, 1]},
    ),
    "durations and delays": Idiom(
        "8.3.0",
        "onset|kind|rt 0|stim|0.5 1|stim|n/a 2|probe|0.25 4|probe|n/a 9|stim|2",
        hed(
            kind={
                "stim": "Sensory-event, (Duration/1500 ms, (Movie)), {rt}",
                "probe": "(Duration/0.1 minute, Delay/1 s, (Tone)), {rt}",
            },
            rt="(Delay/# s, (Agent-action, (Press, Mouse-button)))",
        ),
        {1: "Sensory-event, (Duration/1500 ms, (Movie))"},
        {"Movie": [0, 1, 4], "Press": [0, 2, 4]},
    ),
}
TEMPORAL = [
    "onset and offset, with columns inside the scope",
    "schema partnered with a standard",
    "a column HED in events.tsv and no sidecar",
    "a column HED beside a sidecar with definitions",
    "value columns",
    "long forms",
    "durations and delays",
]


@pytest.mark.parametrize("name", IDIOMS)
def test_strings_are_those_of_hedtools(name):
    idiom = IDIOMS[name]
    strings, issues = assemble(idiom.table(), idiom.sidecar, idiom.version)
    theirs, errors = assembled(idiom.table(), idiom.sidecar, idiom.version)
    assert [issue for issue in issues if issue["severity"] == "error"] == []
    assert errors == []
    assert strings == theirs
    assert {row: strings[row] for row in idiom.expected} == idiom.expected
    for query, rows in idiom.found.items():
        assert np.flatnonzero(search(strings, query, idiom.version)).tolist() == rows, query


@pytest.mark.parametrize("name", TEMPORAL)
def test_scopes_are_those_of_hedtools(name):
    idiom = IDIOMS[name]
    table = idiom.table()
    strings, _ = assemble(table, idiom.sidecar, idiom.version)
    found = contexts(table["onset"].astype(float).to_numpy(), strings, idiom.version)
    theirs = Timeline(table, idiom.sidecar, idiom.version)
    ours = [(a, b, sorted(canonical(text, theirs.schema))) for a, b, text in found.scopes]
    assert found.issues == []
    assert ours and sorted(ours) == theirs.scopes
    for onset, context in zip(table["onset"].astype(float), found.context, strict=True):
        assert parts(context, theirs.schema) == theirs.at(onset)[1]


def test_content_of_a_scope_comes_from_the_columns_of_its_row():
    idiom = IDIOMS["onset and offset, with columns inside the scope"]
    table = idiom.table()
    strings, _ = assemble(table, idiom.sidecar, idiom.version)
    found = contexts(table["onset"].astype(float).to_numpy(), strings, idiom.version)
    for query, rows in {
        "Def/Setup": [1, 2, 3, 4, 5, 6, 7],
        "Famous and Pathname": [3],
        "Inhibit-blinks": [3, 4, 5, 8],
        "Cross": [2, 3],
        "Face": [3, 8],
    }.items():
        assert np.flatnonzero(search(found.context, query, "8.3.0")).tolist() == rows, query


def test_a_spreadsheet_of_tags_becomes_a_sidecar():
    """A table with a row for each column and value, as hedtools writes and reads it."""
    from hed.tools.analysis.annotation_util import df_to_hed, hed_to_df

    sheet = pd.DataFrame(
        [
            ["kind", "face", "A face", "Sensory-event, (Def/Seen, {side}), {lag}"],
            ["kind", "press", "A press", "Agent-action, (Press, Mouse-button)"],
            ["side", "1", "n/a", "Left-side-of"],
            ["lag", "n/a", "Time since", "(Delay/# s, (Red))"],
            ["defs", "seen", "n/a", SEEN],
        ],
        columns=["column_name", "column_value", "description", "HED"],
    )
    sidecar = df_to_hed(sheet, description_tag=False)
    idiom = Idiom("8.3.0", "onset|kind|side|lag 0|face|1|0.5 1|press|1|n/a 2|face|2|3", sidecar)
    strings, issues = assemble(idiom.table(), sidecar, "8.3.0")
    theirs, errors = assembled(idiom.table(), sidecar, "8.3.0")
    assert (issues, errors) == ([], [])
    assert strings == theirs
    seen = "(Def-expand/Seen,(Visual-presentation,(Face,Image)))"
    assert strings[2] == f"Sensory-event,({seen}),(Delay/3 s,(Red))"
    again = df_to_hed(hed_to_df(sidecar), description_tag=False)
    assert assemble(idiom.table(), again, "8.3.0")[0] == strings


def test_a_library_that_hedtools_does_not_ship_is_refused_by_name():
    idiom = IDIOMS["schema partnered with a standard"]
    with pytest.raises(BidsmillError, match=r"testlib_1\.0\.2.*score_2\.0\.0"):
        assemble(idiom.table(), idiom.sidecar, ["score_2.0.0", "test:testlib_1.0.2"])
