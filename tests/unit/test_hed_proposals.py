"""HED strings proposed for well-known names: right, valid everywhere, and never by accident."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bidsmill.annotate.proposals import (
    OLDER,
    PARTS,
    SIDES,
    TABLE,
    Proposal,
    normalised,
    propose,
    string_under,
)
from bidsmill.formats.hed_strings import load_schema, search, shipped_versions

STANDARD = [v for v in shipped_versions()["standard"] if not v.startswith(("7.", "6."))]
# Name as it is found in public data, and a query that its proposal must match.
KNOWN = {
    "rest": "Rest",
    "Resting_State": "Rest",
    "resting-state": "Rest",
    "eyes_closed": "Eyes-closed",
    "EyesClosed": "Eyes-closed",
    "eyes closed": "Eyes-closed",
    "Comment/eyes closed": "Eyes-closed",
    "eyesclosed": "Eyes-closed",
    "EC": "Eyes-closed",
    "rest_eyes_closed": "Rest and Eyes-closed",
    "RestingEyesOpen": "Rest and Eyes-open",
    "EYES-OPEN": "Eyes-open",
    "instructed_toCloseEyes": "Instructional and Close-eyes",
    "instructed_toOpenEyes": "Instructional and Open-eyes",
    "target": "Target",
    "Target_stimulus": "Target",
    "non-target": "Non-target and not Target",
    "NonTarget": "Non-target and not Target",
    "standard": "Expected",
    "oddball": "Oddball",
    "deviant": "Oddball",
    "distractor": "Distractor",
    "left_hand": "{Left, Hand}",
    "right hand": "{Right, Hand}",
    "LeftFoot": "{Left, Foot}",
    "both_feet": "Foot and not Left",
    "left_fist": "Make-fist and Left",
    "imagine_right_fist": "Imagine and Make-fist and Right",
    "left_hand_imagery": "Imagine and Left and Hand",
    "MI right hand": "Imagine and Right and Hand",
    "left hand movement": "Agent-action and Left and Hand and not Imagine",
    "tongue": "Tongue",
    "imagined tongue": "Imagine and Tongue",
    "feet": "Foot",
    "button_press": "Participant-response and Push-button",
    "ButtonPress": "Participant-response and Push-button",
    "left button press": "Press and Left and Push-button",
    "keypress": "Participant-response and Push-button",
    "response": "Agent-action and Participant-response",
    "stimulus": "Sensory-event",
    "visual_stimulus": "Sensory-event and Visual-presentation",
    "fixation_cross": "Sensory-event and Fixate and Cross",
    "fixation": "Fixate and not Sensory-event",
    "feedback": "Sensory-event and Feedback",
    "cue": "Cue",
    "New Segment/": "Data-break-marker",
    "boundary": "Data-break-marker",
    "BAD boundary": "Data-break-marker",
    "trial_start": "Experimental-trial and Label/Trial-start",
    "end of trial": "Experimental-trial and Label/Trial-end",
}
UNKNOWN = [
    "resting_state_left_handed_survey",
    "left",
    "right",
    "left_handed",
    "restaurant",
    "restless",
    "targeted",
    "target_practice_left_hand_survey",
    "standard_deviation",
    "hand",
    "1",
    "T0",
    "S  1",
    "Stimulus/S  1",
    "Response/R  1",
    "n/a",
    "",
    " ",
    "responsible",
    "cuecard",
    "eyes",
    "closed",
    "ecg",
    "boundary_condition_task",
    "my New Segment/",
    "no response given to the target",
]


@pytest.mark.parametrize("name", KNOWN)
def test_well_known_names_get_what_they_mean(name):
    string = string_under(propose(name), load_schema(STANDARD[0]))
    assert search([string], KNOWN[name], STANDARD[0]).all(), string


@pytest.mark.parametrize("name", UNKNOWN)
def test_other_names_get_nothing(name):
    assert propose(name) is None


def test_every_proposal_is_valid_under_every_standard_schema():
    from hed import HedString
    from hed.validator import HedValidator

    assert {"8.0.0", "8.3.0"} <= set(STANDARD)
    proposals = {propose(name) for name in [*KNOWN, *EXAMPLES]}
    for version in STANDARD:
        schema = load_schema(version)
        for proposal in proposals:
            string = string_under(proposal, schema)
            assert string, (version, proposal)
            assert HedValidator(schema).validate(HedString(string, schema), False) == []


# One name for each row of the table that `KNOWN` leaves out, so that none goes untested.
EXAMPLES = [
    "open_eyes", "EO", "right arm movement", "left leg", "index finger imagery", "thumb movement",
    "toes movement", "left hand button press", "mouse click", "correct", "incorrect response",
    "novel", "instructions", "blink", "saccade", "block start", "recording end", "pause",
    "both fists movement", "fixation point", "auditory stim onset",
]  # fmt: skip


def test_every_row_of_the_table_is_tried():
    tried = {propose(name).why for name in [*KNOWN, *EXAMPLES]}
    assert {why for _, _, why in TABLE} <= tried


def test_what_a_schema_lacks_is_said_in_another_way():
    proposal = propose("left hand")
    assert string_under(proposal, load_schema("8.3.0")) == "(Left, Hand)"
    assert string_under(proposal, load_schema("8.0.0")) == "(Label/Left, Hand)"
    assert string_under(Proposal("Label/Left, Red", ""), load_schema("8.0.0")) == "Label/Left, Red"
    # Under a schema whose tags all have a prefix, there is no way.
    assert string_under(proposal, load_schema(["ts:8.3.0"])) == ""
    for tag in OLDER:
        assert string_under(Proposal(tag, ""), load_schema(STANDARD[0])) == tag


# All words that names of the table are made of.
WORDS = set(re.findall(r"[a-z]+", " ".join([*(row[0] for row in TABLE), *SIDES, *PARTS])))


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=30), st.sampled_from(sorted(set(KNOWN) - {"New Segment/"})))
def test_a_name_with_more_words_is_another_name(text, known):
    """A longer name is known only if it is made of the words of the table, and of no others."""
    if re.fullmatch(r"[\W_]*", text):
        assert propose(f"{known}{'_' * len(text)}") in (propose(known), None)
    elif propose(f"{known} {text}") is not None:
        parts = normalised(text).split()
        assert all(any(part in word or word in part for word in WORDS) for part in parts), text
