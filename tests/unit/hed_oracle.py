"""What hedtools itself makes of an events table: strings, scopes and contexts."""

from __future__ import annotations

import functools
import io
import json
from math import inf


def schema_of(version):
    """Load a schema by hedtools, from the files it ships."""
    return _schema(version if isinstance(version, str) else tuple(version))


@functools.cache
def _schema(version):
    from hed import load_schema_version
    from hed.schema import hed_cache

    version = version if isinstance(version, str) else list(version)
    return load_schema_version(version, xml_folder=hed_cache.INSTALLED_CACHE_LOCATION)


def tabular(events, sidecar):
    """Return hedtools' reading of an events table (all strings) and its sidecar."""
    from hed import Sidecar, TabularInput

    text = events.replace("", "n/a").to_csv(sep="\t", index=False)
    return TabularInput(io.StringIO(text), sidecar=Sidecar(io.StringIO(json.dumps(sidecar))))


def assembled(events, sidecar, version):
    """Return the strings of the rows with definitions expanded, and the errors."""
    from hed.errors import ErrorSeverity
    from hed.models import df_util

    schema, table = schema_of(version), tabular(events, sidecar)
    errors = [
        issue
        for issue in table.validate(schema, name="")
        if issue["severity"] == ErrorSeverity.ERROR
    ]
    strings = table.series_a
    df_util.expand_defs(strings, schema, table.get_def_dict(schema))
    return strings.tolist(), errors


def canonical(text, schema):
    """Return a HED string as the set of its parts, in small letters, with definitions shrunk.

    Needless brackets go, and delays, which EventManager leaves in the strings of scopes.
    """
    from hed import HedString

    string = HedString(text, schema).shrink_defs()
    string.remove(string.find_tags({"Delay"}, recursive=True, include_groups=0))
    children = string.children
    while len(children) == 1 and hasattr(children[0], "children"):
        children = children[0].children
    return frozenset(str(child).casefold() for child in children)


def parts(text, schema):
    """Return the canonical form of every part of a HED string."""
    from hed import HedString

    return {canonical(str(child), schema) for child in HedString(text, schema).children}


class Timeline:
    """EventManager's scopes, and for each time what begins and what goes on."""

    def __init__(self, events, sidecar, version):
        from hed.tools.analysis.event_manager import EventManager

        self.schema = schema_of(version)
        manager = EventManager(tabular(events, sidecar), self.schema)
        self.scopes = sorted(
            (
                event.start_time,
                inf if event.end_time is None else float(event.end_time),
                sorted(canonical(str(event.contents), self.schema)),
            )
            for listed in manager.event_list
            for event in listed
        )
        self.times = manager.onsets.tolist()
        _, self.base, self.context = manager.unfold_context()

    def at(self, onset):
        """Return the parts that begin at a time, and those that began before and go on."""
        row = self.times.index(onset)  # rows of one time are joined in the first of them
        return parts(self.base[row], self.schema), parts(self.context[row], self.schema)
