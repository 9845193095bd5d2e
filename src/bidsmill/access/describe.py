"""What is in a dataset or a selection, in words."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from bidsmill.access.columns import counts_of, distinct
from bidsmill.access.names import listed
from bidsmill.formats.certificate import SIDES
from bidsmill.formats.numbers import counted as numbered

if TYPE_CHECKING:
    from bidsmill.access.dataset import Dataset
    from bidsmill.access.selection import Selection


def dataset_text(dataset: Dataset) -> str:
    """Return counts, labels, splits and layouts of a dataset, and how to read it."""
    manifest, samples = dataset.manifest, dataset.table
    excluded = int((samples["excluded"] != "").sum())
    lines = [
        f"{dataset.id}: {dataset.name} (version {dataset.version})",
        f"  licence     {manifest.get('license') or 'not stated'}"
        + (f", doi {manifest['doi']}" if manifest.get("doi") else ""),
        f"  recordings  {manifest['recordings']}: {manifest['converted']} converted, "
        f"{manifest['quarantined']} quarantined; {manifest['subjects']} subjects",
        f"  tasks       {listed(manifest.get('tasks') or []) or '-'}",
        f"  rows        {len(samples)}, of which {excluded} are excluded for their quality",
        *_label_lines(dataset),
        f"  splits      {counted(samples['split'], SIDES)} (level: {manifest.get('split')})",
        *(_layout_line(name, layout) for name, layout in dataset.layouts.items()),
        *_stream_lines(dataset),
    ]
    return "\n".join([*lines, *_example(dataset)])


def _example(dataset: Dataset) -> list[str]:
    """Return a line of code that works on this dataset; none where there is nothing to read."""
    chosen = dataset.select()
    if len(chosen) == 0:
        return []
    choice = []
    if (chosen.table["split"] == "train").any():
        chosen = chosen.select(split="train")
        choice.append('split="train"')
    layouts = counts_of(chosen.table["layout"])
    if len(layouts) > 1:
        layout = min(layouts, key=lambda name: (-layouts[name], name))
        chosen = chosen.select(where=f"layout == '{layout}'")
        choice.append(f"where=\"layout == '{layout}'\"")
    label = next((name for name in dataset.labels if len(chosen.labelled(name))), None)
    target = f'target="{label}"' if label else ""
    return [f"  read it     ds.select({', '.join(choice)}).arrays({target})"]


def selection_text(selection: Selection) -> str:
    """Return what a selection holds, and how to read it."""
    samples = selection.table
    recordings, subjects, layouts = (
        len(distinct(samples[name])) for name in ("recording", "subject", "layout")
    )
    lines = [
        f"{len(samples)} rows of {selection.dataset.id}@{selection.dataset.version}: "
        f"{recordings} recordings, {subjects} subjects, "
        f"{layouts} layout{'' if layouts == 1 else 's'}",
        f"  splits      {counted(samples['split'], SIDES)}",
        "  read them   .arrays(target=...), .loader(target=...), .stream(target=...), .mne(),",
        "              .sklearn(target=...), .frames(); .samples is the table",
    ]
    return "\n".join(lines)


def counted(column, order) -> str:
    """Return how often each value stands in a column, as text, known values in their order."""
    counts = counts_of(column)
    names = [name for name in order if name in counts]
    names += sorted(str(name) for name in counts if name not in order and name != "")
    return listed(f"{name} {counts[name]}" for name in names) or "-"


def _label_lines(dataset: Dataset) -> list[str]:
    lines = []
    for name, classes in dataset.labels.items():
        column = dataset.table[name]
        if isinstance(classes, str):
            text = f"a number ({int(column.isna().sum())} rows without)"
        else:
            text = f"{counted(column, classes)} ({int((column == '').sum())} rows without)"
        lines.append(f"  label       {name}: {text}")
    return lines


def _stream_lines(dataset: Dataset) -> list[str]:
    from bidsmill.access.streams import EPOCS, STREAM, streams_of

    lines = []
    for what, word in (("streams", STREAM), ("epocs", EPOCS)):
        if found := streams_of(dataset, word):
            nodes = sorted({node for every in found.values() for node in every if node})
            named = f"; nodes {listed(nodes)}" if nodes else ""
            node = f', "{nodes[0]}"' if nodes else ""
            lines += [
                f"  {what:<12}{numbered(len(found), 'recording')}{named}",
                f'              ds.{word}("{next(iter(found))}"{node})',
            ]
    return lines


def _layout_line(name: str, layout: dict) -> str:
    types = ", ".join(f"{count} {kind}" for kind, count in Counter(layout["types"]).items())
    return (
        f"  layout      {name}: {types}; {layout['sfreq']:g} Hz, {layout['n_times']} samples "
        f"from {layout['tmin']:g} s; {layout['rows']} rows"
    )
