"""HED strings that are proposed for well-known names of events; a person keeps or rejects them."""

from __future__ import annotations

import functools
import re
import unicodedata
from dataclasses import dataclass
from typing import Any

from bidsmill.bids.reading import is_boundary


@dataclass(frozen=True)
class Proposal:
    """What is proposed for a name: a HED string, and why."""

    hed: str
    why: str


# The words of a row of `TABLE` that stand for several, and the tag of each.
SIDES = {"left": "Left", "right": "Right", "both": "Label/Both-sides"}
PARTS = {
    "hands?": "Hand",
    "foot": "Foot",
    "feet": "Foot",
    "arms?": "Upper-extremity",
    "legs?": "Lower-extremity",
    "fingers?": "Finger",
    "index( finger)?": "Index-finger",
    "thumb": "Thumb",
    "toes?": "Toes",
    "tongue": "Tongue",
}
# Tags that HED 8.0.0 to 8.2.0 lack in part, and what says the same there.
OLDER = {
    "Left": "Label/Left",
    "Right": "Label/Right",
    "Tongue": "Mouth, Label/Tongue",
    "Data-break-marker": "Data-marker, Label/Data-break",
}
IMAGERY = "(motor )?(imagery|imagination|imagined|imagine)( movement| movements)?( of)?|mi"
MOVING = "(motor )?(movement|movements|move|moving|motion|execution)( of)?"
STAGE = "(?P<stage>start|begin|onset|end|stop|offset)"

BOUNDARY = Proposal(
    "Data-feature, (Data-break-marker)",
    "marker of EEGLAB, BrainVision or MNE: the signal is not continuous here",
)

# Pattern over the whole normalised name (see `normalised`), HED string, why. SIDE and PART stand
# for the words of `SIDES` and `PARTS`; {side} and {part} for their tags. The first that fits
# counts. With `OLDER` every string is valid under every HED standard schema from 8.0.0 on.
TABLE = (
    # Rest.
    (
        "(rest|resting|baseline) ?(state)? ?(with )?eyes? ?closed?|(rest|resting) ec",
        "Experiment-structure, Rest, Eyes-closed",
        "rest with closed eyes",
    ),
    (
        "(rest|resting|baseline) ?(state)? ?(with )?eyes? ?open(ed)?|(rest|resting) eo",
        "Experiment-structure, Rest, Eyes-open",
        "rest with open eyes",
    ),
    ("(with )?eyes? ?closed?|closed ?eyes?", "Experiment-structure, Eyes-closed", "closed eyes"),
    ("(with )?eyes? ?open(ed)?|open ?eyes?", "Experiment-structure, Eyes-open", "open eyes"),
    ("ec", "Experiment-structure, Eyes-closed", "common short form of eyes closed"),
    ("eo", "Experiment-structure, Eyes-open", "common short form of eyes open"),
    (
        "(instructed to|instruction|instruct)? ?close (your )?eyes",
        "Instructional, Close-eyes",
        "instruction to close the eyes",
    ),
    (
        "(instructed to|instruction|instruct)? ?open (your )?eyes",
        "Instructional, Open-eyes",
        "instruction to open the eyes",
    ),
    ("rest|resting|rest(ing)? ?state", "Experiment-structure, Rest", "rest"),
    # Movements, done or imagined.
    (
        f"(SIDE )?fists? ({IMAGERY})|({IMAGERY}) (SIDE )?fists?",
        "Agent-action, Imagined-action, (Imagine, (Make-fist, ({side}, Hand)))",
        "imagery of a fist",
    ),
    (
        f"(SIDE )?fists? ({MOVING})|({MOVING}) (SIDE )?fists?",
        "Agent-action, (Make-fist, ({side}, Hand))",
        "movement of a fist",
    ),
    ("SIDE fists?", "(Make-fist, ({side}, Hand))", "a fist; the name says not whether imagined"),
    (
        f"(SIDE )?PART ({IMAGERY})|({IMAGERY}) (SIDE )?PART",
        "Agent-action, Imagined-action, (Imagine, (Move-body-part, ({side}, {part})))",
        "imagery of a movement",
    ),
    (
        f"(SIDE )?PART ({MOVING})|({MOVING}) (SIDE )?PART",
        "Agent-action, (Move-body-part, ({side}, {part}))",
        "movement of a body part",
    ),
    (
        "SIDE hand (button )?(press|response)",
        "Agent-action, Participant-response, (Press, Push-button, ({side}, Hand))",
        "response with one hand",
    ),
    (
        "SIDE PART|feet|tongue",
        "({side}, {part})",
        "a body part; the name says not whether it is moved, imagined or touched",
    ),
    # Responses.
    (
        "SIDE (button ?press|button response|key ?press)|press SIDE (button|key)",
        "Agent-action, Participant-response, (Press, ({side}, Push-button))",
        "press of one of two buttons",
    ),
    (
        "(button|key|button box|keyboard) ?(press(es|ed)?|response)|press(ed)? (button|key)",
        "Agent-action, Participant-response, (Press, Push-button)",
        "press of a button",
    ),
    (
        "mouse ?(click|press|button press)",
        "Agent-action, Participant-response, (Press, Mouse-button)",
        "press of a mouse button",
    ),
    ("response|responses|resp|rt", "Agent-action, Participant-response", "response"),
    ("correct( response)?", "Correct-action", "correct response"),
    (
        "incorrect( response)?|wrong response",
        "Incorrect-action",
        "incorrect response",
    ),
    # Stimuli, by what they are to the task.
    (
        "targets?( stimulus| tone| stim)?|tgt",
        "Sensory-event, Experimental-stimulus, Target",
        "target stimulus",
    ),
    (
        "non ?targets?( stimulus| tone| stim)?",
        "Sensory-event, Experimental-stimulus, Non-target",
        "stimulus that is no target",
    ),
    (
        "standards?( stimulus| tone| stim)?",
        "Sensory-event, Experimental-stimulus, Expected",
        "frequent stimulus of an oddball task",
    ),
    (
        "(oddball|deviant)s?( stimulus| tone| stim)?",
        "Sensory-event, Experimental-stimulus, Oddball",
        "rare stimulus of an oddball task",
    ),
    (
        "(distractor|distracter)s?( stimulus| tone| stim)?",
        "Sensory-event, Experimental-stimulus, Distractor",
        "stimulus that distracts",
    ),
    (
        "novels?( stimulus| tone| sound| stim)?",
        "Sensory-event, Experimental-stimulus, Novel",
        "novel stimulus",
    ),
    (
        "(visual|auditory|tactile) (stimulus|stim)( onset)?",
        "Sensory-event, Experimental-stimulus, {first}-presentation",
        "stimulus of one sense",
    ),
    ("(stimulus|stimuli|stim)( onset)?", "Sensory-event, Experimental-stimulus", "stimulus"),
    ("cue( onset)?", "Sensory-event, Cue", "cue"),
    ("feedback( onset)?", "Sensory-event, Feedback", "feedback"),
    ("instructions?", "Sensory-event, Instructional", "instruction"),
    (
        "(fixation|fix) ?(cross|point|dot)( onset)?|(fixation|fix) onset",
        "Sensory-event, Visual-presentation, (Fixate, {figure})",
        "what the eyes are to rest on is shown",
    ),
    ("fixation|fixate", "Fixate", "eyes rest on something; a cross that is shown is more"),
    ("(eye ?)?blinks?", "Agent-action, Blink", "blink"),
    ("saccades?", "Agent-action, Saccade", "saccade"),
    # The order of an experiment.
    (
        f"(trial|trials) {STAGE}|{STAGE} (of )?trial",
        "Experiment-structure, (Experimental-trial, Label/Trial-{stage})",
        "begin or end of a trial",
    ),
    (
        f"(block|run) {STAGE}|{STAGE} (of )?(block|run)",
        "Experiment-structure, (Time-block, Label/Block-{stage})",
        "begin or end of a block",
    ),
    (
        f"(recording|experiment) {STAGE}|{STAGE} (of )?(recording|experiment)",
        "Experiment-structure, (Recording, Label/Recording-{stage})",
        "begin or end of a recording",
    ),
    ("pause|break", "Experiment-structure, Label/Pause", "pause of the experiment"),
)
BEGINS = {"start", "begin", "onset"}


def normalised(name: str) -> str:
    """Return a name as words: lower case, parted by single spaces.

    ``eyesClosed``, ``Eyes_closed``, ``EYES-CLOSED`` and ``Comment/eyes closed`` are all
    ``eyes closed``. The prefix is the one that BrainVision gives to free texts.

    Parameters
    ----------
    name : str
        Value of a column of events.
    """
    text = unicodedata.normalize("NFKC", name).strip()
    text = re.sub(r"^comment/", "", text, flags=re.IGNORECASE)
    text = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text)
    return " ".join(re.sub(r"[\W_]+", " ", text).casefold().split())


def propose(name: str) -> Proposal | None:
    """Return what is proposed for the value of a column, None for a name that is not known.

    The whole name has to fit a row of `TABLE`: no part of a longer one does.

    Parameters
    ----------
    name : str
        Value of a column of events.
    """
    if is_boundary(name):
        return BOUNDARY
    words = normalised(name)
    for pattern, hed, why in _compiled():
        found = pattern.fullmatch(words)
        if found:
            return Proposal(_filled(hed, found), why)
    return None


def string_under(proposal: Proposal, schema: Any) -> str:
    """Return the string of a proposal as it is valid under a schema, `''` if it is not.

    Parameters
    ----------
    proposal : Proposal
        The proposal.
    schema : hed.HedSchema or hed.HedSchemaGroup
        As `formats.hed_strings.load_schema` returns it. Under one whose standard tags have a
        prefix nothing is valid.
    """
    older = re.sub(r"[\w-]+(?![\w/-])", lambda m: OLDER.get(m.group(), m.group()), proposal.hed)
    return next((hed for hed in (proposal.hed, older) if _is_valid(hed, schema)), "")


def _is_valid(hed: str, schema: Any) -> bool:
    from hed import HedString
    from hed.errors.error_types import ErrorSeverity
    from hed.validator import HedValidator

    found = HedValidator(schema).validate(HedString(hed, schema), False)
    return not any(issue["severity"] == ErrorSeverity.ERROR for issue in found)


@functools.cache
def _compiled() -> tuple[tuple[re.Pattern[str], str, str], ...]:
    rows = []
    for pattern, hed, why in TABLE:
        count = 0

        def numbered(match: re.Match[str]) -> str:
            """Return the group of a word, under a name of its own each time that it stands."""
            nonlocal count
            count += 1
            word = match.group()
            inner = {"SIDE": "|".join(SIDES), "PART": "|".join(PARTS)}.get(word)
            return f"(?P<stage{count}>" if inner is None else f"(?P<{word}{count}>{inner})"

        rows.append((re.compile(re.sub(r"SIDE|PART|\(\?P<stage>", numbered, pattern)), hed, why))
    return tuple(rows)


def _filled(hed: str, found: re.Match[str]) -> str:
    """Return a string of `TABLE` with the tags of the words that were found."""
    named = {key.rstrip("0123456789"): text for key, text in found.groupdict().items() if text}
    words = found.group()
    side = SIDES.get(named.get("SIDE", ""))
    part = _part(named.get("PART", words))
    figure = "Cross" if "cross" in words else "Label/Fixation-point"
    stage = "start" if named.get("stage") in BEGINS else "end"
    if side is None:
        # Without a side, a body part stands alone.
        hed = hed.replace("({side}, {part})", "({part})").replace("({side}, Hand)", "(Hand)")
    first = words.split()[0].capitalize()
    return hed.format(side=side, part=part, figure=figure, stage=stage, first=first)


def _part(word: str) -> str:
    """Return the tag of a word for a body part."""
    return next((tag for name, tag in PARTS.items() if re.fullmatch(name, word)), "")
