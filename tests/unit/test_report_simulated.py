"""The page of a simulated dataset: its numbers, its pictures, and what may be missing."""

from __future__ import annotations

import base64
import html
import io
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from spike_cases import Bank, Sheet, forward_of
from test_report_page import Page

import bidsmill
from bidsmill.errors import BidsmillError
from bidsmill.formats import files, receipts, tables
from bidsmill.formats.anatomy import Anatomy, load_anatomy, save_anatomy
from bidsmill.report.simulated_cortex import FINER, VIEWS, draw_cortex, marker
from bidsmill.report.simulated_figures import size_counts, snr_rows
from bidsmill.report.simulated_inputs import levels, read_simulated
from bidsmill.report.simulated_maps import ACTIVITY, graded, overlay
from bidsmill.report.simulated_page import write_simulated_page
from bidsmill.report.simulated_regions import coverage_of, side_counts, sides_of_regions
from bidsmill.report.simulated_samples import choose_samples, read_example, traced
from bidsmill.simulate.anatomy.building import build_anatomy
from bidsmill.simulate.dataset.background import write_background_dataset
from bidsmill.simulate.dataset.files import Channels, recording_name, write_file
from bidsmill.simulate.dataset.tables import write_tables
from bidsmill.simulate.sources.drawing import SourceDrawing, SourceSettings
from bidsmill.simulate.spikes.background import BackgroundSettings
from bidsmill.simulate.spikes.making import SpikeMaker
from bidsmill.simulate.spikes.projection import Forward
from bidsmill.store.publish import publish_dataset

SFREQ, TIMES, REGIONS = 200.0, 160, 30
NAMES = ["C3", "C4", "Cz", "Fz", "Oz", "T7", "T8", "Pz", "P3", "P4"]
# What must not become part of the page, and names that are formulas to matplotlib.
HOSTILE = ["<script>alert(1)</script>", "a & b", '"><img src=x>', "$x^2$", "Fz", *NAMES[5:]]


def simulate(folder: Path, anatomy, forward, channels, sizes=(40, 10), **changed) -> Path:
    """Make a dataset; the second file has samples that cannot be made, if there is one."""
    bank = Bank(forward, n_times=TIMES, per_region=2, regions=changed.pop("regions", None))
    settings = SourceSettings(seed=4, n_sources=changed.pop("n_sources", (1, 2)))
    drawn = list(SourceDrawing(settings, anatomy, bank.table, TIMES).samples(0, sum(sizes)))
    kind = "meg" if "mag" in forward.types else "eeg"
    names = [recording_name(number, kind) for number in range(len(sizes))]
    for number, name in enumerate(names):
        own = drawn[sum(sizes[:number]) :][: sizes[number]]
        if number:
            broken = replace(own[0].sources[0], snr=float("nan"))
            own = [replace(own[0], sources=(broken,)), *own[1:]]
        maker = SpikeMaker(forward, bank, SFREQ, 4)
        write_file(folder, name, own, maker, channels, anatomy.n_regions)
    asked = {
        "split": {"group": "region", "test": 0.3, "validation": 0.0, "seed": 4},
        "description": {"license": "CC0", "name": "Spikes", "settings": {"noise": {"kind": "x"}}},
        "keep_going": True,
        **changed,
    }
    write_tables(folder, names, dataset="sim", n_regions=anatomy.n_regions, **asked)
    members = {
        name: receipts.manifest_entry(files.read_json(folder / "matrix" / f"{name}.json"))
        for name in names
    }
    files.write_json(folder / "convert" / "s0.json", {"members": members})
    return folder


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("page") / "results" / "sim"
    (folder / "anatomy").mkdir(parents=True)
    paths = [folder / "anatomy" / f"{name}.npz" for name in ("anatomy", "leadfield")]
    facts = build_anatomy({"regions": REGIONS, "electrodes": NAMES}, *paths)
    files.write_json(folder / "anatomy" / "anatomy.json", facts)
    stored = dict(np.load(paths[1]))
    matrix = next(a for a in stored.values() if a.shape == (len(NAMES), REGIONS))
    positions = next(a for a in stored.values() if a.shape == (len(NAMES), 3))
    forward = Forward(matrix, ("eeg",) * len(NAMES))
    channels = Channels(tuple(NAMES), forward.types, positions)
    regions = tuple(range(0, REGIONS, 2))
    simulate(folder, load_anatomy(paths[0]), forward, channels, regions=regions)
    for block, own in enumerate((range(0, 10), range(10, 28))):
        frame = pd.DataFrame(
            {"region": own, "n_runs": 1, "n_spikes": 2, "n_clips": [2 * (r % 2 == 0) for r in own]}
        )
        frame["reason"] = ["" if n else "2 spikes, all contaminated" for n in frame["n_clips"]]
        tables.write_tsv(folder / "clips" / f"b{block}" / "regions.tsv", frame)
    return folder


@pytest.fixture(scope="module")
def page(results) -> Page:
    return written(results)


@pytest.fixture(scope="module")
def opened(results, page):
    manifests, store = [results / "convert" / "s0.json"], results.parents[1] / "store"
    publish_dataset(results, manifests, results / "published.json", dataset="sim", store=str(store))
    return bidsmill.open(str(store))["sim"]


@pytest.fixture(scope="module")
def anatomy(results) -> Anatomy:
    return load_anatomy(results / "anatomy" / "anatomy.npz")


@pytest.fixture(scope="module")
def drawn(anatomy):
    return draw_cortex(anatomy)


@pytest.fixture(scope="module")
def samples(results) -> pd.DataFrame:
    return pd.read_parquet(results / "samples.parquet")


def written(results: Path) -> Page:
    """Write a page, check what holds for each, and return it parsed."""
    path = results / "report.html"
    write_simulated_page(results, path)
    text = path.read_text(encoding="utf-8")
    page = Page(text)
    assert page.open == [] and len(page.ids) == len(set(page.ids))
    assert set(page.used) <= set(page.ids), "a reference leads nowhere"
    assert not page.tags & {"script", "img", "iframe", "link", "object", "embed"}
    for tag, key, value in page.addresses:
        inside = value.startswith("#") or value.startswith("data:image/png;base64,")
        assert inside, f"{tag} {key} leads outside: {value}"
    assert "@import" not in text and not re.search(r"url\(\s*['\"]?(?!#)", text)
    hidden = {"aria-hidden": "true"}.items()
    for facts in page.images:
        assert hidden <= facts.items() or len(facts.get("aria-label", "")) > 10
    assert page.figures == page.captions
    before, _, _ = page.text.partition("What failed")
    assert not re.search(r"\bnan\b", before, re.IGNORECASE)
    drawn = re.sub(r"base64,[^\"]*", "", text)
    assert not re.search(r'\b(d|x|y|cx|points)="[^"]*(nan|inf)', drawn)
    assert not re.search(r"20\d\d-\d\d-\d\d", page.text), "a date"
    return page


def split_of(results: Path, samples: pd.DataFrame) -> pd.Series:
    groups = pd.read_csv(results / "split.tsv", sep="\t").set_index("group")["split"]
    return ("sub-" + samples["subject"].astype(str)).map(groups).fillna("none")


def test_the_head_of_the_page(page, samples):
    for tile in (f"{len(samples)} samples", "10 sensors", "160 points in time", "200 Hz",
                 "30 regions", "1 failed"):  # fmt: skip
        assert tile in page.text
    low, high = samples["extent"].min(), samples["extent"].max()
    assert (
        f"1 to 2 sources: patches of cortex around a centre, {low} to {high} regions" in page.text
    )
    assert "160 points (0.8 s at 200 Hz) of 10 EEG channels" in page.text
    assert page.row("noise.kind") == ["noise.kind", "x"]
    assert "Unit of the lead field V/(A·m)" in page.text and "Regions 30 (15 left" in page.text


def test_snr_rows_are_those_of_pandas(page, samples):
    away = samples["snr_realised"] - samples["snr"]
    for asked, own in samples.groupby("snr"):
        row = page.row(f"{asked:g}", "all")
        near = 100 * (away[own.index].abs() <= 0.5).mean()
        low, high = away[own.index].quantile([0.05, 0.95])
        assert row[2:] == [
            str(len(own)), f"{own['snr_realised'].median():.2f}", f"{low:+.2f} to {high:+.2f}",
            f"{away[own.index].abs().max():.2f}", f"{near:.1f} %",
        ]  # fmt: skip
    found = snr_rows(samples.assign(snr_realised=samples["snr"] + np.arange(len(samples)) % 2))
    for entry in found:
        odd = samples.index[samples["snr"] == float(entry["asked"])] % 2
        assert entry["near"] == pytest.approx(np.mean(odd == 0))


def test_coverage_is_that_of_pandas(page, samples):
    centres = samples["centres"].str.split().explode().reset_index().drop_duplicates()["centres"]
    regions = samples["regions"].str.split().explode()
    expected = [np.bincount(c.astype(int), minlength=REGIONS) for c in (centres, regions)]
    found = coverage_of(samples, REGIONS)
    np.testing.assert_array_equal(found.centred, expected[0])
    np.testing.assert_array_equal(found.covered, expected[1])
    own = expected[0][expected[0] > 0]
    text = f"{len(own)}; {own.min()} to {own.max()} samples each, median {np.median(own):g}"
    assert f"Centres of sources {text}" in page.text
    never = np.flatnonzero(expected[1] == 0)
    assert f"Never in a source {len(never)}" in page.text
    # Regions 0 to 27 were looked at; every second one has two clips.
    assert "14 of 28 in which clips were looked for; 28 clips in all" in page.text
    assert page.row("27") == ["27", "2", "2 spikes, all contaminated"]


def test_a_region_named_twice_is_one_sample():
    frame = pd.DataFrame({"centres": ["2 2", "", "1"], "regions": ["2 0 2", "", "1"]})
    found = coverage_of(frame, 4)
    assert found.centred.tolist() == [0, 1, 1, 0] and found.covered.tolist() == [1, 1, 1, 0]


def test_sides_are_those_of_the_split(page, results, samples):
    sides = split_of(results, samples)
    keys = {}
    for side in ("train", "test"):
        own = samples[sides == side]
        keys[side] = {
            key
            for centres, clips in zip(own["centres"], own["clips"], strict=True)
            for key in zip(centres.split(), clips.split(), strict=True)
        }
        centres = {centre for centre, _ in keys[side]}
        row = page.row(side, str(len(own)))
        assert row[2] == str(len(own)) and row[4:] == [str(len(centres)), str(len(keys[side]))]
    assert f"0 of {len(keys['train'] | keys['test'])} clips stand on two sides" in page.text
    of_region = sides_of_regions(samples.assign(split=sides), REGIONS)
    for region in range(REGIONS):
        named = {side for side, own in keys.items() if str(region) in {c for c, _ in own}}
        assert of_region[region] == (named.pop() if named else "")


def test_a_region_of_two_sides_is_told():
    frame = pd.DataFrame(
        {
            "centres": ["0", "0 1", "2"],
            "clips": ["1", "1 5", "1"],
            "split": ["train", "test", "none"],
        }
    )
    assert sides_of_regions(frame, 3) == ["several", "test", ""]
    counts = {
        row["side"]: (row["rows"], row["centres"], row["clips"]) for row in side_counts(frame)
    }
    assert counts == {"train": (1, 1, 1), "validation": (0, 0, 0), "test": (1, 2, 2),
                      "none": (1, 1, 1)}  # fmt: skip


def test_sizes_are_counted(page, samples):
    counts = size_counts(samples)
    patches = samples["extents"].str.split().explode().astype(int)
    for name, values in (("extents", patches), ("extent", samples["extent"]),
                         ("overlap", samples["overlap"])):  # fmt: skip
        expected = values.value_counts().sort_index()
        assert dict(zip(*counts[name], strict=True)) == expected.to_dict()
    low, high = patches.min(), patches.max()
    assert f"From {low} to {high}, median {int(patches.quantile(0.5, 'lower'))}." in page.text


def test_failed_samples_have_their_reasons(page, results):
    failed = pd.read_csv(results / "failed.tsv", sep="\t")
    assert failed["sample"].tolist() == [40]
    assert page.row("40")[:2] == ["40", failed["reason"][0].replace("_", " ")]
    assert "1 sample could not be made" in page.text


def test_examples_are_rows_and_sources_of_the_files(results, samples, opened):
    inputs = read_simulated(results)
    places = choose_samples(inputs.samples)
    assert samples["snr"].iloc[places].tolist() == [5, 10, 15, 20]
    for place in places:
        example = read_example(inputs, place)
        facts = samples.iloc[place]
        chosen = opened.select(where=f"sample == {facts['sample']}")
        np.testing.assert_array_equal(example.values, chosen.arrays()[0])
        largest = np.abs(chosen.sources()[0]).max(axis=0)
        np.testing.assert_allclose(example.largest, largest / largest.max(), atol=1e-7)
        assert np.flatnonzero(example.largest).tolist() == sorted(map(int, facts.regions.split()))
        assert example.centres == [int(text) for text in facts["centres"].split()]
        times = [float(text) for text in facts["spike_times"].split()]
        np.testing.assert_allclose(example.times[example.peaks], times)
        strongest, others = traced(example, np.arange(10))
        assert strongest == np.abs(example.values[:, example.peaks[0]]).argmax()
        assert sorted([strongest, *others]) == list(range(10))


def test_the_code_on_the_page_runs(results, opened):
    text = (results / "report.html").read_text(encoding="utf-8")
    code = html.unescape(re.search(r'class="python">(.*?)</code>', text, re.S)[1])
    found: dict = {}
    exec(code.replace("STORE", str(results.parents[1] / "store")), found)
    assert found["x"].shape[1:] == (10, TIMES) and len(found["x"]) == len(found["labels"])
    assert found["q"].shape == (2, TIMES, REGIONS) and np.abs(found["q"]).max() > 1


def by_hand(anatomy: Anatomy, view, scale: float, column: int, row: int, offset) -> int:
    """The region at a pixel: of all triangles around it, that which is nearest."""
    right, up = np.array(view.right, float), np.array(view.up, float)
    towards = np.cross(right, up)
    side = anatomy.hemisphere[anatomy.region_of_vertex]
    best, found = -np.inf, -1
    place = np.column_stack([anatomy.vertices @ right, -(anatomy.vertices @ up)]) * scale - offset
    for triangle in anatomy.triangles:
        flat, corners = place[triangle], anatomy.vertices[triangle] * scale
        if view.hemisphere is not None and (side[triangle] != view.hemisphere).any():
            continue
        if (flat.min(axis=0) > [column, row]).any() or (flat.max(axis=0) < [column, row]).any():
            continue
        weights = np.linalg.lstsq(np.vstack([flat.T, np.ones(3)]), [column, row, 1], rcond=None)[0]
        fits = np.allclose(flat.T @ weights, [column, row], atol=1e-6)
        depth = (corners @ towards).mean()
        if fits and (weights > -1e-9).all() and depth > best:
            best, found = depth, int(anatomy.region_of_vertex[triangle[weights.argmax()]])
    return found


def test_pixels_show_the_nearest_triangle(anatomy, drawn):
    assert [one.view for one in drawn] == list(VIEWS)
    scale = FINER * 330 / np.ptp(anatomy.vertices, axis=0).max()
    side = anatomy.hemisphere[anatomy.region_of_vertex]
    random = np.random.default_rng(0)
    for one in (drawn[0], drawn[4]):
        own = one.view.hemisphere is None or side == one.view.hemisphere
        shown = anatomy.vertices[np.broadcast_to(own, len(side))] * scale
        right, up = np.array(one.view.right, float), np.array(one.view.up, float)
        flat = np.column_stack([shown @ right, -(shown @ up)])
        offset = flat.min(axis=0) - 4 * FINER
        inside = np.argwhere(one.region >= 0)
        for row, column in inside[random.choice(len(inside), 6, replace=False)]:
            expected = by_hand(anatomy, one.view, scale, column, row, offset)
            assert one.region[row, column] == expected
        assert one.region[0].max() == -1 and (one.light[one.region >= 0] > 0.3).all()
    # Every region is to be seen from somewhere, on the side where it is.
    seen = set().union(*(set(np.unique(one.region).tolist()) for one in drawn)) - {-1}
    assert len(seen) >= REGIONS - 1
    for one in drawn:
        if one.view.hemisphere is not None:
            there = np.unique(one.region[one.region >= 0])
            assert (anatomy.hemisphere[there] == one.view.hemisphere).all()


def test_colours_are_where_the_source_is(drawn):
    values = np.zeros(REGIONS)
    values[[3, 7]] = 0.5, 1.0
    colours = graded(values, values > 0, ACTIVITY)
    assert (colours[:, 3] > 0).tolist() == (values > 0).tolist()
    assert colours[7, :3].sum() < colours[3, :3].sum()
    for one in drawn:
        pixels = overlay(one, colours)
        whole = one.region.reshape(pixels.shape[0], FINER, pixels.shape[1], FINER)
        active = np.isin(whole, [3, 7]).mean(axis=(1, 3))
        np.testing.assert_allclose(pixels[..., 3], 255 * active, atol=1)
        pure = (whole == 7).all(axis=(1, 3))
        assert (pixels[pure] == np.round(255 * colours[7])).all()
    for place, x, y in marker(drawn, 7):
        assert drawn[place].region[round(y * FINER), round(x * FINER)] == 7


def test_images_of_the_page_are_the_cortex(page, drawn):
    images = [value for tag, _, value in page.addresses if value.startswith("data:")]
    grey = [np.asarray(Image.open(io.BytesIO(base64.b64decode(i.partition(",")[2]))))
            for i in images[: len(drawn)]]  # fmt: skip
    for one, image in zip(drawn, grey, strict=True):
        assert image.shape == (one.region.shape[0] // FINER, one.region.shape[1] // FINER, 2)
        covered = (one.region[::FINER, ::FINER] >= 0) == (image[..., 1] > 127)
        assert covered.mean() > 0.98
    assert page.text.count("On the cortex") == 4 and "Samples per centre" in page.text


def test_inflated_hemispheres_do_not_overlap(anatomy):
    middle = np.zeros(3)
    both = anatomy.vertices.copy()
    side = anatomy.hemisphere[anatomy.region_of_vertex]
    for each in (0, 1):
        both[side == each] -= both[side == each].mean(axis=0) - middle
    top = draw_cortex(replace(anatomy, inflated=both))[1]
    columns = [np.flatnonzero((np.isin(top.region, np.flatnonzero(anatomy.hemisphere == h))).any(0))
               for h in (0, 1)]  # fmt: skip
    assert columns[0].max() < columns[1].min()


@pytest.mark.long
def test_equal_inputs_give_equal_bytes(results, page, tmp_path):
    """In another process, where sets have another order."""
    code = (
        "import sys; from pathlib import Path\n"
        "from bidsmill.report.simulated_page import write_simulated_page as write\n"
        "write(Path(sys.argv[1]), Path(sys.argv[2]))"
    )
    again = tmp_path / "again.html"
    own = {**os.environ, "PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo"}
    subprocess.run([sys.executable, "-c", code, str(results), str(again)], env=own, check=True)
    content = again.read_bytes()
    assert content == (results / "report.html").read_bytes() and len(content) < 3_000_000


def test_what_comes_from_outside_is_text(anatomy, tmp_path):
    forward = forward_of(REGIONS, len(HOSTILE))
    channels = Channels(tuple(HOSTILE), forward.types)
    description = {"name": "<b>name</b>", "license": "<i>", "citation": "a & b"}
    folder = simulate(tmp_path, anatomy, forward, channels, (2, 2), description=description)
    message = "</td><script>x</script>"
    failed = [{"recording": "r", "sample": 9, "reason": "<u>", "message": message}]
    tables.write_tsv(folder / "failed.tsv", pd.DataFrame(failed))
    page = written(folder)
    assert not page.tags & {"script", "img", "b>name", "u"}
    for text in ("<b>name</b>", message, "a & b"):
        assert text in page.text
    assert any(name in page.text for name in ("thick: $x^2$", "thick: <script>", "thick: a & b",
               'thick: "><img', "thick: Fz", *(f"thick: {n}" for n in NAMES[5:])))  # fmt: skip
    # Without an anatomy and without positions the page says so.
    assert "No cortex is drawn" in page.text and "states the places of 0 of 10 sensors" in page.text


def test_two_types_of_meg_sensors_and_regions_without_a_surface(tmp_path):
    sheet = Sheet()
    types = ("mag",) * 9 + ("grad",) * 9
    forward = forward_of(sheet.n_regions, 18, types)
    turn, angle = np.arange(18) * 2.4, np.linspace(0.1, 1.5, 18)
    points = np.c_[np.sin(angle) * np.cos(turn), np.sin(angle) * np.sin(turn), np.cos(angle)]
    channels = Channels(tuple(f"MEG{i}" for i in range(18)), types, points * 0.12)
    folder = simulate(tmp_path, sheet, forward, channels, (2,), n_sources=(3, 3))
    anatomy = Anatomy(sheet.positions, sheet.neighbours, sheet.hemisphere, sheet.distances)
    (folder / "anatomy").mkdir()
    save_anatomy(anatomy, folder / "anatomy" / "anatomy.npz")
    page = written(folder)
    assert "9 MEG magnetometers and 9 MEG gradiometers" in page.text
    samples = pd.read_parquet(folder / "samples.parquet")
    for kind in ("mag", "grad"):
        own = samples[samples["snr"] == 5][f"snr_realised_{kind}"]
        assert page.row("5", kind)[3] == f"{own.median():.2f}"
    assert "MEG gradiometers at" in page.text and "Rings: centres (1: region" in page.text
    seen = set()
    for one in draw_cortex(anatomy):
        seen |= set(np.unique(one.region).tolist())
    assert seen == {-1, *range(sheet.n_regions)}


def test_one_sample(tmp_path):
    sheet = Sheet()
    forward = forward_of(sheet.n_regions, 2)
    page = written(simulate(tmp_path, sheet, forward, Channels(("A", "B"), forward.types), (1,)))
    assert "1 sample 2 sensors" in page.text and "1 sample each" in page.text
    assert "Always 0." in page.text
    assert "2 channels are too few" in page.text and "Nothing: every sample" in page.text


def test_spikes_in_real_recordings(tmp_path):
    from access_store import Recording
    from store_results import Results

    sheet, names = Sheet(), ["Fz", "Cz", "Pz", "Oz", "C3", "C4", "T7", "T8"]
    forward = forward_of(sheet.n_regions, len(names))
    bank = Bank(forward, n_times=100)
    shape = {"rows": 20, "n_times": 120, "tmin": 0.0, "group_rows": 7}
    recordings = [
        Recording(subject, names, ["eeg"] * 8, sfreq=rate, bads=bads, **shape)
        for subject, rate, bads in (("01", 100.0, ()), ("03", 100.0, ()), ("04", 100.0, ("Oz",)),
                                    ("02", 128.0, ()))
    ]  # fmt: skip
    origin = Results(tmp_path / "origin", recordings)
    drawing = SourceDrawing(SourceSettings(seed=2, n_sources=(1, 2)), sheet, bank.table, 100)
    results = tmp_path / "results" / "spiky"
    write_background_dataset(
        origin.results, results, drawing, bank, 100.0, forward, names,
        BackgroundSettings(seed=2, share=0.5), dataset="spiky",
    )  # fmt: skip
    page = written(results)
    samples = pd.read_parquet(results / "samples.parquet")
    kept = samples[samples["excluded"].fillna("") == ""]
    spikes = kept[kept["spike"] == "spike"]
    assert f"To {len(spikes)} of {len(kept)} rows a simulated interictal spike" in page.text
    assert "The recordings have 2 layouts" in page.text and "8 EEG channels" in page.text
    for asked, own in spikes.groupby("snr"):
        assert page.row(f"{asked:g}", "all")[2] == str(len(own))
    assert "1 recording could not be made" in page.text and "02" in page.row(OTHER)[0]
    inputs = read_simulated(results)
    places = choose_samples(inputs.samples)
    shown = inputs.samples.iloc[places]
    assert shown["spike"].tolist() == ["spike"] * 3 + ["none"]
    example = read_example(inputs, places[-1])
    assert not example.peaks and not example.largest.any() and "no spike" in page.text
    assert inputs.excluded == len(samples) - len(kept)


OTHER = "sub-02_task-faces_eeg"


def test_many_wanted_ratios_become_ranges():
    values = np.append(np.linspace(0, 20, 500), np.nan)
    found = levels(values)
    assert len(found) == 10 and sum(rows.sum() for _, rows in found) == 500
    assert not any(rows[-1] for _, rows in found) and found[0][0] == "0 to 2"
    assert [text for text, _ in levels(np.array([5.0, np.nan, 2.5, 5.0]))] == ["2.5", "5"]


def test_what_is_missing_or_does_not_fit_is_named(results, tmp_path):
    copy = tmp_path / "sim"
    shutil.copytree(results, copy)
    small = Sheet(rows=2, columns=3)
    anatomy = Anatomy(small.positions, small.neighbours, small.hemisphere, small.distances)
    save_anatomy(anatomy, copy / "anatomy" / "anatomy.npz")
    with pytest.raises(BidsmillError, match="samples and anatomy do not belong together"):
        write_simulated_page(copy, tmp_path / "x.html")
    (copy / "anatomy" / "anatomy.npz").write_bytes(b"PK\x03\x04 cut")
    with pytest.raises(BidsmillError, match="an anatomy cannot be read"):
        write_simulated_page(copy, tmp_path / "x.html")
    tables.write_parquet(copy / "samples.parquet", pd.DataFrame({"recording": ["a"], "row": [0]}))
    with pytest.raises(BidsmillError, match="no column onset, subject, centres"):
        write_simulated_page(copy, tmp_path / "x.html")
    (copy / "samples.parquet").unlink()
    with pytest.raises(BidsmillError, match=r"a table is missing.*samples.parquet"):
        write_simulated_page(copy, tmp_path / "x.html")
    assert not (tmp_path / "x.html").exists()
    with pytest.raises(BidsmillError, match="an anatomy cannot be read"):
        load_anatomy(tmp_path / "none.npz")
