"""HED of real datasets, and what survives of it, against hedtools' own reading of the files."""

from __future__ import annotations

import json
import warnings

import pandas as pd
import pytest
from bids_cases import DESCRIPTION, Dataset, brain_like, listed, write_brainvision, write_tsv
from test_hed import HED_DATASETS

from bidsmill.annotate.recording import AnnotateWork
from bidsmill.bids.hed_validation import run_hed_validation
from bidsmill.bids.recordings import find_recordings
from bidsmill.formats import files, tables
from bidsmill.formats.hed_strings import load_schema


def annotated(root, folder):
    """Annotate all recordings of a dataset; return tables and receipts by path of events.tsv."""
    version = json.loads((root / "dataset_description.json").read_text()).get("HEDVersion")
    work = AnnotateWork(
        root=root,
        folder=folder,
        hed_version=version,
        choice="all",
        use_annotations=False,
        repairs={"allow": [], "refuse": []},
        present=set(),
        state={},
    )
    made = {}
    for recording in find_recordings(listed(root)):
        member = recording.as_dict()
        used = {path for paths in member["sidecars"].values() for path in paths}
        member["sidecar_files"] = {p: f"sha256:{files.sha256_file(root / p)}" for p in used}
        path = member["sidecars"].get("events.tsv", [None])[-1]
        if path is not None:
            receipt = work(member)
            made[path] = tables.read_tsv(folder / f"{member['stem']}.tsv"), receipt
    return made


@pytest.mark.corpus
@pytest.mark.parametrize("name", HED_DATASETS)
def test_tables_hold_the_strings_that_hedtools_gives(corpus, tmp_path, name):
    """hedtools finds, merges and assembles; nothing of bidsmill takes part in the expectation."""
    from hed.models import df_util
    from hed.tools.bids import BidsDataset

    root = corpus / name
    version = json.loads((root / "dataset_description.json").read_text())["HEDVersion"]
    schema = load_schema(version)
    group = BidsDataset(str(root), schema=schema).get_file_group("events")
    made = annotated(root, tmp_path)
    compared = 0
    for path, table in group.datafile_dict.items():
        events, receipt = made[str(path).removeprefix(f"{root.resolve()}/")]
        if table.sidecar is None:
            assert set(events["HED"]) <= {""}
            continue
        table.set_contents()
        expected = table.contents.series_a.astype(str)
        df_util.expand_defs(expected, schema, table.sidecar.get_def_dict(schema))
        onsets = pd.to_numeric(table.contents.dataframe["onset"], errors="coerce")
        order = onsets.sort_values(kind="stable").index
        assert list(events["HED"]) == expected.loc[order].tolist(), path
        assert receipt["hed_issues"] == receipt["scope_issues"] == []
        assert [bool(text) for text in events["HED"]] == [
            s == "dataset" for s in events["HED_source"]
        ]
        compared += int((events["HED"] != "").sum())
    assert compared > 0 and len(group.datafile_dict) == len(made)


@pytest.mark.corpus
def test_bad_strings_of_a_recording_are_reported_everywhere_and_exported_nowhere(corpus, tmp_path):
    root = corpus / "broken"
    version = json.loads((root / "dataset_description.json").read_text())["HEDVersion"]
    made = annotated(root, tmp_path)
    path = next(path for path in made if path.startswith("sub-11/"))
    events, receipt = made[path]
    assert len(events) > 0 and set(events["HED"]) == set(events["HED_source"]) == {""}
    lost = {i["row"] for i in receipt["hed_issues"] if i["severity"] == "error"}
    assert lost == set(range(len(events)))
    _, issues = run_hed_validation(root, version)
    own = [i for i in issues if i["file"].startswith("sub-11/")]
    assert {i["code"] for i in receipt["hed_issues"]} <= {i["code"] for i in own}
    bad = {"DEF_INVALID", "PARENTHESES_MISMATCH", "TAG_EXPRESSION_REPEATED"}
    assert bad <= {i["code"] for i in own}
    # Every issue tells its place: a column, or a row of the table.
    assert all("column" in issue or "row" in issue for issue in own)


SIDECAR = {
    "definitions": {"HED": {"d": "(Definition/Shown, (Image, Visual-presentation))"}},
    "kind": {"HED": {"left": "Def/Shown, ({place}, Red)", "right": "Def/Shown, ({place}, Blue)"}},
    "place": {"HED": "Label/#"},
}


def test_definitions_and_column_references_survive_that_mne_bids_drops(tmp_path):
    import mne
    from hed import HedString, Sidecar
    from hed.validator import HedValidator
    from mne_bids import BIDSPath, read_raw_bids

    made = Dataset(tmp_path)
    made.root.mkdir(parents=True)
    files.write_json(made.root / "dataset_description.json", DESCRIPTION)
    files.write_json(made.root / "task-x_events.json", SIDECAR)
    folder = made.root / "sub-01" / "eeg"
    write_brainvision(folder, "sub-01_task-x_eeg", brain_like(2, 2000), 200.0, ["Fz", "Cz"])
    rows = [(1.0, 0, "left", "A"), (2.0, 0, "right", "B")]
    write_tsv(folder / "sub-01_task-x_events.tsv", ["onset", "duration", "kind", "place"], *rows)
    made.convert(windows={"kind": "events", "tmin": 0, "tmax": 0.5, "events": {"hed": "Image"}})
    events = made.table("events/sub-01_task-x_eeg.tsv")
    content = "(Def-expand/Shown,(Image,Visual-presentation))"
    assert list(events["HED"]) == [f"{content},(Label/A,Red)", f"{content},(Label/B,Blue)"]
    schema = load_schema("8.3.0")
    definitions = Sidecar(str(made.root / "task-x_events.json")).get_def_dict(schema)
    for text in events["HED"]:
        assert HedValidator(schema, definitions).validate(HedString(text, schema), False) == []
    assert list(events["chosen"]) == ["yes", "yes"]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = BIDSPath(subject="01", task="x", datatype="eeg", root=made.root)
        annotations = read_raw_bids(path, verbose="ERROR").annotations
    assert not isinstance(annotations, mne.HEDAnnotations)
