"""The pictures of the report hold the numbers of the tables and of the matrices."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree

import mne
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from report_results import Recording, Results
from test_report_page import make

from bidsmill.report import drawing, figures_windows, scalp
from bidsmill.report.figures_balance import balance_picture, groups_picture
from bidsmill.report.figures_channels import faults_of, montage_picture, quality_picture, shares
from bidsmill.report.figures_events import UNLABELLED, UNUSED, raster_of, raster_picture
from bidsmill.report.inputs import read_inputs
from bidsmill.report.sketch import Sketch, polyline, round_ticks

SIDES = {"train": "var(--c0)", "test": "var(--c1)"}


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Six recordings, one of them lost; a bad channel; rows without a label."""
    recordings = [
        Recording(f"0{k}", bads=("Pz",) * (k == 2), rows=4 + k, group_rows=3) for k in range(1, 6)
    ]
    recordings.append(Recording("06", quarantined="cut after 3 s"))
    root = tmp_path_factory.mktemp("pictures") / "ds"
    found = Results(root, recordings, unlabelled=(2,), test_subjects=("01", "04"))
    found.write()
    return found


@pytest.fixture(scope="module")
def inputs(results):
    return read_inputs(results.root)


def shapes(picture, tag: str) -> list[dict]:
    root = ElementTree.fromstring(picture.svg)
    found = []
    for element in root.iter():
        if element.tag.rpartition("}")[2] == tag:
            titles = [child.text for child in element if child.tag.endswith("title")]
            found.append({**element.attrib, "title": "".join(titles), "text": element.text})
    return found


def points(d: str) -> np.ndarray:
    """Return the points of a path of one move and relative lines."""
    numbers = [tuple(map(float, pair.split())) for pair in re.findall(r"[Ml]([^Ml]+)", d)]
    return np.cumsum(numbers, axis=0)


def test_traces_are_the_values_of_the_matrix(results, inputs):
    places = figures_windows.choose_windows(inputs.kept)
    assert len(places) == len(set(places)) == 12
    windows = figures_windows.read_windows(inputs.results, inputs.samples, places)
    assert [place for place, _, _ in windows] == places
    for place, block, meta in windows:
        facts = inputs.samples.iloc[place]
        table = pq.read_table(results.root / "matrix" / f"{facts['recording']}.parquet")
        stored = np.stack(
            [np.array(table[n][int(facts["row"])].as_py()) for n in table.schema.names]
        )
        np.testing.assert_array_equal(block, stored)
        picture = figures_windows.window_picture(inputs.samples, place, block, meta, ["side"])
        assert f"side: {facts['side'] or 'none'}" in picture.caption
        traces = [points(p["d"]) for p in shapes(picture, "path") if "l" in p["d"]]
        step = figures_windows.line_distance(stored * 1e6)
        bar = max(shapes(picture, "rect"), key=lambda r: float(r["x"]))
        assert f"{step:g} µV" in [t["text"] for t in shapes(picture, "text")]
        for trace, values in zip(traces, stored * 1e6, strict=True):
            wanted = np.clip((values - np.median(values)) / step, -1.6, 1.6)
            drawn = -(trace[:, 1] - trace[:, 1].mean()) / float(bar["height"])
            np.testing.assert_allclose(drawn, wanted - wanted.mean(), atol=0.01)


def test_strokes_are_the_events(results, inputs):
    raster = raster_of(inputs)
    rows = results.samples.dropna(subset=["event"]).set_index("event")["side"]
    events = results.events.assign(
        own=[UNUSED if i not in rows.index else rows[i] or UNLABELLED for i in results.events.index]
    )
    assert raster.classes == ["left", "right", UNLABELLED, UNUSED]
    assert raster.n_recordings == 6 and raster.timeless == 0
    for (recording, own), part in events.groupby(["recording", "own"]):
        np.testing.assert_array_equal(raster.onsets[recording][own], part["onset"])
    assert sum(len(t) for of in raster.onsets.values() for t in of.values()) == len(events)
    picture = raster_picture(raster)
    strokes = [p["d"] for p in shapes(picture, "path") if "v" in p["d"]]
    assert sum(d.count("v") for d in strokes) == len(events)
    x = sorted({float(v) for d in strokes for v in re.findall(r"M([\d.]+) ", d)})
    times = sorted(set(events["onset"]))
    np.testing.assert_allclose(np.polyval(np.polyfit(times, x, 1), times), x, atol=0.5)


def test_events_of_fixed_windows_are_sorted_by_trial_type(tmp_path):
    found = Results(tmp_path / "r", [Recording("01"), Recording("02")], test_subjects=None)
    found.fixed = True
    raster = raster_of(read_inputs(found.write()))
    assert (raster.named, raster.classes) == ("trial_type", ["go"])
    events = pd.DataFrame({"onset": ["n/a", "x"], "recording": "a", "trial_type": ["", "b"]})
    lost = read_inputs(found.root)
    object.__setattr__(lost, "events", events)
    assert raster_picture(raster_of(lost)) is None and raster_of(lost).timeless == 2
    object.__setattr__(lost, "events", events.iloc[:0])
    assert raster_of(lost) is None


def test_a_long_recording_has_no_more_strokes_than_pixels(inputs):
    many = pd.DataFrame({"onset": np.arange(50_000) / 10, "recording": "a", "trial_type": "t"})
    crowded = read_inputs(inputs.results)
    object.__setattr__(crowded, "events", many.astype(str))
    object.__setattr__(crowded, "samples", inputs.samples.assign(event=pd.NA))
    assert len(raster_picture(raster_of(crowded)).svg) < 40_000


def test_blocks_are_the_groups(results, inputs):
    picture = groups_picture(inputs.groups, inputs.split)
    blocks = [r for r in shapes(picture, "rect") if r["title"]]
    table = inputs.groups.set_index("group")
    rows, sides = table["rows"].astype(int), table["split"]
    named = {r["title"].split(":")[0]: r for r in blocks}
    assert set(named) == set(table.index)
    for group, block in named.items():
        assert block["fill"] == SIDES[sides[group]]
        assert block["title"] == f"{group}: {rows[group]} rows ({sides[group]})"
    widths = np.array([float(named[group]["width"]) + 1 for group in table.index])
    np.testing.assert_allclose(widths / widths.sum(), rows / rows.sum(), atol=2e-3)
    said = [t["text"] for t in shapes(picture, "text")]
    assert "reached 1.23" in said and "gap 0.12" in said
    refused = {**inputs.split, "status": "refused"}
    assert groups_picture(inputs.groups, refused) is None


def test_many_groups_are_few_blocks(tmp_path, inputs):
    names = [f"g{k}" for k in range(5000)]
    table = pd.DataFrame({"group": names, "split": "train", "rows": 3})
    picture = groups_picture(table, inputs.split)
    assert "4,700 smaller groups: 14,100 rows" in picture.svg and len(picture.svg) < 60_000
    assert "5,000 groups, 100.0 %" in picture.svg


def test_bars_are_the_classes(inputs):
    records = [
        {"value": "a", "train": 30, "validation": 0, "test": 10, "none": 0, "total": 40,
         "share": 0.25},
        {"value": "", "train": 0, "validation": 0, "test": 0, "none": 8, "total": 8,
         "share": None},
    ]  # fmt: skip
    picture = balance_picture("x", records, inputs.split)
    bars = {r["title"]: float(r["width"]) for r in shapes(picture, "rect") if r["title"]}
    assert bars["a: train 30 rows"] / bars["a: test 10 rows"] == pytest.approx(3, abs=0.01)
    assert bars["(unlabelled): none 8 rows"] / bars["a: test 10 rows"] == pytest.approx(0.8, 0.01)
    assert "25.0 %" in picture.svg and "wish: 20 %" in picture.svg


def test_faults_and_their_shares(results, inputs):
    faults = faults_of(inputs.channels)
    assert {r: f for r, f in faults.items() if f} == {"sub-02_task-t_eeg": {"Pz": "bad"}}
    assert shares(faults, tuple(faults)) == {"Pz": 0.2}
    picture = quality_picture(inputs.channels, faults)
    assert "sub-02_task-t_eeg, Pz: stated as bad" in picture.svg
    assert "1 of 5 recordings" in picture.caption
    counted = inputs.channels.assign(flat="0", not_finite="0")
    counted.loc[[0, 1], "flat"] = "3"
    counted.loc[1, "not_finite"] = "1"
    own = faults_of(counted)["sub-01_task-t_eeg"]
    assert own == {"Fz": "flat", "Cz": "not_finite"}
    assert quality_picture(inputs.channels, {"sub-01_task-t_eeg": {}}) is None


def test_dots_of_the_montage_are_where_mne_has_the_electrodes():
    known_names = mne.channels.get_builtin_montages()
    montage = mne.channels.make_standard_montage(
        "colin27_1005" if "colin27_1005" in known_names else "standard_1005"
    )
    names = ["Fp1", "Fp2", "F7", "F8", "Fz", "C3", "Cz", "C4", "P3", "Pz", "P4", "O1", "O2"]
    known = montage.get_positions()["ch_pos"]
    channels = [
        {"name": n, "type": "eeg", "unit": "V", "status": "good", "position": list(known[n])}
        for n in names
    ]
    picture = montage_picture(channels, ("eeg", "V"), "A", {"Cz": 0.5})
    dots = {c["title"].split(":")[0]: c for c in shapes(picture, "circle")}
    assert set(dots) == set(names)
    assert dots["Cz"]["fill"] == "var(--c1)" and dots["Pz"]["fill"] == "var(--c0)"
    assert "faulty in 50 %" in dots["Cz"]["title"]
    x = {n: float(dots[n]["cx"]) for n in names}
    y = {n: float(dots[n]["cy"]) for n in names}
    assert (
        x["F7"] < x["C3"] < x["Cz"] < x["C4"] < x["F8"] and y["Fp1"] < y["Fz"] < y["Cz"] < y["O1"]
    )
    assert montage_picture(channels[:7], ("eeg", "V"), "A", {}) is None


def test_a_map_shows_the_values_at_its_channels():
    rng = np.random.default_rng(3)
    angle, turn = np.linspace(0.1, 1.4, 30), np.arange(30) * 2.4
    places = np.c_[angle * np.cos(turn), angle * np.sin(turn)] / (np.pi / 2)
    values = places[:, 0] * 3 + rng.normal(0, 0.01, 30)
    with drawing.style():
        figure = drawing.bare_figure(2, 2)
        axes = drawing.axes_at(figure, 0, 0, 2, 2)
        image = scalp.draw_map(axes, places, values, "a", [4])
        low, high, bottom, top = image.get_extent()
        grid = np.ma.filled(image.get_array(), np.nan)
        column = np.rint((places[:, 0] * scalp.RADIUS - low) / (high - low) * (grid.shape[1] - 1))
        row = np.rint((places[:, 1] * scalp.RADIUS - bottom) / (top - bottom) * (grid.shape[0] - 1))
        drawn = grid[row.astype(int), column.astype(int)]
        np.testing.assert_allclose(drawn, values, atol=0.15)
        assert image.get_clim() == pytest.approx((-scalp.largest(values), scalp.largest(values)))
        svg = drawing.inline_svg(figure, "m", "a map")
    assert "data:image/png;base64," in svg and not re.search(r'base64,[^"]*\s', svg)


def test_lines_to_load_are_code_that_python_reads(tmp_path):
    recordings = [Recording("01"), Recording("02", n_times=40), Recording("03"), Recording("04")]
    page, _ = make(Results(tmp_path / "r", recordings), tmp_path, dataset="ds-1")
    layout = recordings[0].layout
    python = (
        'import bidsmill train = bidsmill.open("STORE")["ds-1"].select(split="train",'
        f' where="layout == \'{layout}\'") X, y = train.arrays(target="side")'
    )
    assert python in page.text
    matlab = f"'Split', 'train', ... 'Where', {{'layout', '{layout}'}}, ... 'Target', 'side');"
    assert matlab in page.text
    assert f"bidsmill sql STORE ds-1 --split train --layout {layout} > train.sql" in page.text


def test_one_channel_without_events_or_places(tmp_path):
    recordings = [Recording(f"0{k}", names=["Fpz"]) for k in range(1, 4)]
    found = Results(tmp_path / "r", recordings, fixed=True)
    root = found.write()
    (root / "events.tsv").write_text("\t".join(found.events.columns) + "\n")
    page = make_again(root, tmp_path)
    assert "The dataset has no events." in page.text
    assert "EEG, layout A. No map: 1 channel is too few for one." in page.text
    assert "is stated as bad, flat, clipped or not finite" in page.text


def make_again(root, tmp_path):
    from test_report_page import check

    from bidsmill.report.page import write_report

    write_report(root, tmp_path / "page.html", dataset="ds")
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    return check(text)


def test_contacts_in_the_brain_have_no_map(tmp_path):
    names = [f"A{k}" for k in range(9)]
    recordings = [Recording(f"0{k}", names=names, types=["seeg"] * 9) for k in range(1, 4)]
    page, _ = make(Results(tmp_path / "r", recordings), tmp_path)
    assert "sEEG, layout A. No map: these channels do not lie on the head." in page.text


def test_pages_turn_without_a_script(results, tmp_path):
    _, text = make(results, tmp_path)
    dots = re.findall(r'<input type="radio" name="window" id="window(\d+)"[^>]*?( checked)?>', text)
    assert [int(number) for number, _ in dots] == list(range(1, 13))
    assert [number for number, checked in dots if checked] == ["1"]
    assert set(re.findall(r'<label for="window(\d+)"', text)) == {number for number, _ in dots}


def test_numbers_of_an_axis_and_of_a_path():
    assert round_ticks(0, 100) == [0, 20, 40, 60, 80, 100]
    assert round_ticks(-0.2, 0.8) == [-0.2, 0, 0.2, 0.4, 0.6, 0.8]
    assert round_ticks(3, 3) == [3]
    rng = np.random.default_rng(1)
    x, y = np.cumsum(rng.random(500)), rng.normal(0, 50, 500)
    np.testing.assert_allclose(points(polyline(x, y)), np.c_[x, y], atol=0.051)


def test_texts_of_a_sketch_are_texts():
    sketch = Sketch(10, 10)
    sketch.rect(0, 0, 1, 1, "red", "<b>&")
    sketch.text(0, 0, "</svg>")
    ElementTree.fromstring(sketch.picture("t", '"<', "c").svg)
