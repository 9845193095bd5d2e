"""The report page: what stands on it, for ordinary and for awkward datasets."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from report_results import Recording, Results

from bidsmill.errors import BidsmillError
from bidsmill.formats import files
from bidsmill.report.drawing import plain
from bidsmill.report.page import doi_of, number, write_report

VOID = {"meta", "br", "link", "img", "hr", "input"}


class Page(HTMLParser):
    """What a browser would see: texts, figures, addresses, tables; and whether tags close."""

    def __init__(self, text: str):
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.ids: list[str] = []
        self.used: list[str] = []
        self.addresses: list[tuple[str, str, str]] = []
        self.images: list[dict] = []
        self.figures = self.captions = 0
        self.texts: list[str] = []
        self.cells: list[list[str]] = []
        self.tags: set[str] = set()
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        facts = dict(attrs)
        self.tags.add(tag)
        if tag not in VOID:
            self.open.append(tag)
        self._note(tag, facts)

    def handle_startendtag(self, tag, attrs):
        self.tags.add(tag)
        self._note(tag, dict(attrs))

    def _note(self, tag, facts):
        if "id" in facts:
            self.ids.append(facts["id"])
        for key, value in facts.items():
            if key in ("src", "href", "xlink:href", "data", "action", "srcset", "poster"):
                self.addresses.append((tag, key, value))
            self.used += re.findall(r"url\(#([^)]*)\)", value or "")
            if key == "xlink:href" and value.startswith("#"):
                self.used.append(value.removeprefix("#"))
        if tag in ("svg", "img") or facts.get("role") == "img":
            self.images.append(facts)
        self.figures += tag == "figure"
        self.captions += tag == "figcaption"
        if tag == "tr":
            self.cells.append([])
        if tag in ("td", "th"):
            self.cells[-1].append("")

    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag, f"</{tag}> closes nothing"

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("style", "script"):
            self.texts.append(data)
        if self.open and {"td", "th"} & set(self.open):
            self.cells[-1][-1] += data

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())

    def row(self, *start: str) -> list[str]:
        cleaned = [[" ".join(cell.split()) for cell in row] for row in self.cells]
        return next(row for row in cleaned if row[: len(start)] == list(start))


def make(results: Results, tmp_path, dataset="ds000001") -> tuple[Page, str]:
    page = tmp_path / "report.html"
    write_report(results.write(), page, dataset=dataset)
    text = page.read_text(encoding="utf-8")
    return check(text), text


def check(text: str) -> Page:
    """Check what holds for every page; return it parsed."""
    page = Page(text)
    assert page.open == [], "a tag is left open"
    assert len(page.ids) == len(set(page.ids)), "two elements share an id"
    assert set(page.used) <= set(page.ids), "a reference leads nowhere"
    assert not page.tags & {"script", "img", "iframe", "link", "object", "embed"}
    for tag, key, value in page.addresses:
        outside = tag == "a" and value.startswith("https://doi.org/10.")
        embedded = tag == "image" and value.startswith("data:image/png;base64,")
        assert value.startswith("#") or outside or embedded, f"{tag} {key} leads outside: {value}"
    assert "@import" not in text and not re.search(r"url\(\s*['\"]?(?!#)", text)
    for facts in page.images:
        assert len(facts.get("aria-label", "")) > 10, "a figure has no text beside it"
    assert page.figures == page.captions
    assert not re.search(r"\bnan\b", page.text, re.IGNORECASE)
    assert not re.search(r'\b(d|x|y|points)="[^"]*(nan|inf)', text), "a drawing holds no number"
    return page


@pytest.fixture
def ordinary(tmp_path):
    recordings = [Recording(f"0{k}", bads=("Pz",) * (k == 2)) for k in range(1, 6)]
    recordings.append(Recording("06", quarantined="cut after 3 s", conflicts="250 or 256 Hz"))
    return Results(
        tmp_path / "results",
        recordings,
        unlabelled=(5,),
        excluded={("sub-03_task-t_eeg", 1): "not_finite"},
        issues=[
            {"source": "bids-validator", "severity": s, "code": c, "file": f, "message": "why"}
            for s, c, f in (("warning", "W", "a"), ("error", "E", "b"), ("warning", "W", "c"))
        ],
    )


def test_ordinary_page(ordinary, tmp_path):
    page, text = make(ordinary, tmp_path)
    for tile in ("6 recordings", "5 converted", "1 quarantined", "30 rows"):
        assert tile in page.text
    assert page.row("sub-06_task-t_eeg")[1] == "quarantined"
    assert "unreadable : cut after 3 s" in page.text and "Notes: 250 or 256 Hz" in page.text
    bodies = [row[0] for row in page.cells if row and row[0].startswith("sub-")]
    assert bodies[0] == "sub-06_task-t_eeg" and len(bodies) == 6
    assert page.row("sub-01_task-t_eeg") == [
        "sub-01_task-t_eeg", "converted", "A", "100", "60.0", "4", "6", "6 of 6", ""
    ]  # fmt: skip
    assert "36 events in = 30 used + 6 dropped (recording quarantined: 6)" in page.text
    assert page.row("objective")[1] == "1.2300 percentage points"
    assert page.row("gap")[1] == "0.1200 percentage points"
    assert page.row("groups") == ["groups", "4", "1", "0"]
    assert page.row("rows") == ["rows", "24", "6", "0"]
    assert page.row("error", "bids-validator")[2:5] == ["E", "1", "1"]
    assert page.row("warning", "bids-validator")[2:5] == ["W", "2", "2"]
    assert "36 of 36 events (100.0 %) have a HED string" in page.text
    assert "Excluded rows: not finite: 1" in page.text
    assert "24 of 30 rows" not in page.text and "29 of 30 rows from 5 of 5" in page.text
    # Groups, classes, events, response, faults, spectrum, amplitudes, rows.
    assert page.figures == 1 + 1 + 1 + 1 + 1 + 1 + 1 + 12
    assert str(tmp_path) not in text and len(text) < 3_000_000


def test_balance_table_is_the_crosstab_of_the_kept_rows(ordinary, tmp_path):
    page, _ = make(ordinary, tmp_path)
    kept = ordinary.samples[ordinary.samples["excluded"] == ""]
    side = np.where(kept["subject"] == "01", "test", "train")
    table = pd.crosstab(kept["side"], side)
    for value, name in (("left", "left"), ("right", "right"), ("", "(unlabelled)")):
        row = page.row(name)
        train, test = table.loc[value, "train"], table.loc[value, "test"]
        assert row[1:6] == [str(train), "0", str(test), "0", str(train + test)]
        assert float(row[6]) == pytest.approx(100 * test / (train + test), abs=0.006)


def test_equal_inputs_give_equal_bytes(ordinary, tmp_path):
    _, first = make(ordinary, tmp_path)
    code = (
        "import sys, matplotlib; matplotlib.rcParams['axes.grid'] = False;"
        "matplotlib.rcParams['svg.hashsalt'] = 'other';"
        "from pathlib import Path; from bidsmill.report.page import write_report;"
        "write_report(Path(sys.argv[1]), Path(sys.argv[2]), dataset='ds000001')"
    )
    again = tmp_path / "elsewhere" / "again.html"
    moved = tmp_path / "moved"
    ordinary.root.rename(moved)
    environment = {**os.environ, "PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo"}
    environment["PYTHONPATH"] = os.pathsep.join(sys.path)
    command = [sys.executable, "-c", code, str(moved), str(again)]
    subprocess.run(command, check=True, env=environment)
    assert again.read_text(encoding="utf-8") == first


def test_what_comes_from_outside_is_text(tmp_path):
    nasty = '<script>alert("1")</script> & $x^2$ \'"'
    recordings = [
        Recording("01", names=[nasty, "$_{", "a--><b>", "x" * 200]),
        Recording("02", quarantined=nasty, conflicts=nasty),
        Recording("03", names=[nasty, "$_{", "a--><b>", "x" * 200]),
        Recording("04", names=[nasty, "$_{", "a--><b>", "x" * 200]),
    ]
    issue = {"source": "hed", "severity": "error", "code": nasty, "file": nasty, "message": nasty}
    results = Results(
        tmp_path / "r", recordings, classes=(nasty, "</svg>"), name=nasty, issues=[issue]
    )
    page, text = make(results, tmp_path, dataset=nasty)
    assert "<script" not in text and "</script>" not in text
    assert page.text.count('<script>alert("1")</script>') >= 8
    assert page.row("error", "hed")[2] == nasty
    assert "x" * 60 not in page.text, "a long channel name is shortened where it is drawn"
    assert "</svg>" in page.text and "\ufffd" not in page.text


def test_refused_split(ordinary, tmp_path):
    ordinary.test_subjects = None
    page, _ = make(ordinary, tmp_path)
    assert "The split was refused. level subject: 2 groups have rows; 3 are needed" in page.text
    assert page.row("left")[1:6] == ["0", "0", "0", "15", "15"] and page.row("left")[6] == ""
    assert "objective" not in page.text


def test_findings_of_the_audit_and_merged_groups_are_told(ordinary, tmp_path):
    folder = ordinary.write()
    certificate = files.read_json(folder / "split.json")
    finding = {"code": "c", "dataset": "", "count": 1, "places": [], "facts": {}}
    certificate["audit"] = {
        "findings": [
            {**finding, "severity": "leak", "message": "Rows <overlap>."},
            {**finding, "severity": "confound", "message": "Sex by recording."},
        ]
    }
    certificate["merged"] = [
        {
            "group": "sub-01",
            "members": ["sub-01", "sub-02"],
            "reasons": [{"reason": "identical_signal", "names": []}],
        }
    ]
    files.write_json(folder / "split.json", certificate)
    write_report(folder, tmp_path / "report.html", dataset="ds")
    page = check((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert "Leak: Rows <overlap>. Confound: Sex by recording." in page.text
    assert "1 group holds what is one under several names: sub-01 = sub-02 (identical" in page.text


def test_nothing_converted(tmp_path):
    recordings = [Recording(f"0{k}", quarantined="empty file") for k in range(1, 4)]
    page, _ = make(Results(tmp_path / "r", recordings, test_subjects=None), tmp_path)
    assert page.figures == 1, "the events are known"
    assert "No recording was converted: there is no channel to show." in page.text
    assert "No row was converted: there is nothing to load." in page.text
    assert "No recording was converted: there is no signal to show." in page.text
    assert page.text.count("quarantined") >= 4 and "There is no row to show." in page.text


def test_no_recordings_events_and_labels(tmp_path):
    results = Results(tmp_path / "r", [Recording("01", rows=1)], classes=(), test_subjects=None)
    results.fixed = True
    page, _ = make(results, tmp_path)
    assert "No label is defined" in page.text
    assert "so there is no evoked response to average" in page.text
    assert "The dataset has no" not in page.text
    assert page.figures == 4


def test_events_without_labels_are_averaged_together(tmp_path):
    recordings = [Recording(f"0{k}", rows=4) for k in range(1, 4)]
    page, _ = make(Results(tmp_path / "r", recordings, classes=()), tmp_path)
    assert "all rows (12 rows, 3 rec.)" in page.text


def test_one_row_recordings_with_one_sample(tmp_path):
    recordings = [Recording(f"0{k}", rows=1, n_times=1, tmin=0.0) for k in range(1, 4)]
    page, _ = make(Results(tmp_path / "r", recordings), tmp_path)
    assert "Not drawn" in page.text and page.figures >= 2


def test_rows_that_are_not_finite_and_channels_that_do_not_move(tmp_path):
    rng = np.random.default_rng(0)
    signals = rng.standard_normal((6, 4, 50)) * 1e-5
    signals[:, 1] = 3e-6
    broken = signals.copy()
    broken[2, 0, 5] = np.nan
    lost = np.full((3, 4, 50), np.nan)
    still = np.zeros((2, 4, 50))
    recordings = [
        Recording(f"0{k}", signals=s) for k, s in enumerate((signals, broken, lost, still), 1)
    ]
    # As converting does it, and a row that nobody has flagged.
    excluded = {("sub-03_task-t_eeg", row): "not_finite" for row in range(3)}
    page, _ = make(Results(tmp_path / "r", recordings, excluded=excluded), tmp_path)
    assert "Recordings without a usable row: sub-03_task-t_eeg." in page.text
    # 12 + 12 - 1 still channels, 8 of the last recording; 1 channel with a NaN.
    assert "Of 56 rows of single channels, 20 are flat and 1 hold" in page.text


@pytest.mark.parametrize("where", ["excluded", "not excluded"])
def test_nothing_but_broken_rows(tmp_path, where):
    lost = [Recording(f"0{k}", signals=np.full((2, 4, 50), np.nan)) for k in range(1, 4)]
    flagged = {(r.name, row): "not_finite" for r in lost for row in range(2)}
    results = Results(tmp_path / "r", lost, excluded=flagged if where == "excluded" else {})
    page, _ = make(results, tmp_path)
    assert "Every row is excluded or holds values that are not finite." in page.text
    assert "There is no signal to show." in page.text


def test_magnetometers_and_gradiometers_have_their_units(tmp_path):
    rng = np.random.default_rng(1)
    names = [f"MEG{k:04d}" for k in range(392)]
    types = ["mag" if k % 3 == 0 else "grad" for k in range(392)]
    units = ["T" if kind == "mag" else "T/m" for kind in types]
    scale = np.where(np.array(types) == "mag", 1e-13, 4e-12)[:, None]
    recordings = [
        Recording(f"0{k}", names, types, units, signals=rng.standard_normal((4, 392, 50)) * scale)
        for k in range(1, 4)
    ]
    page, text = make(Results(tmp_path / "r", recordings), tmp_path)
    for said in ("MEG magnetometers", "MEG gradiometers", "fT²/Hz", "(fT/cm)²/Hz"):
        assert said in page.text
    assert "31 of 392 channels" in page.text
    assert "peak-to-peak amplitude (fT)" in page.text and len(text) < 3_000_000


def test_windows_of_a_minute_stay_small(tmp_path):
    rng = np.random.default_rng(2)
    recordings = [
        Recording(
            f"0{k}", sfreq=500.0, n_times=30_000, tmin=0.0,
            signals=rng.standard_normal((2, 4, 30_000)) * 1e-5,
        )
        for k in range(1, 4)
    ]  # fmt: skip
    page, text = make(Results(tmp_path / "r", recordings, fixed=True), tmp_path)
    assert "segments of 2 s" in page.text and len(text) < 700_000


def test_a_recording_with_another_gain_stands_out_among_many(tmp_path):
    recordings = [
        Recording(f"{k:03d}", rows=3, gain=1e-2 if k == 77 else 1e-5, n_times=32)
        for k in range(150)
    ]
    results = Results(tmp_path / "r", recordings, test_subjects=("001", "002", "003"))
    page, text = make(results, tmp_path)
    assert "Ten times or more off: sub-077_task-t_eeg: EEG median" in page.text
    factor = re.search(r"µV, ([\d,]+) times the median of all", page.text).group(1)
    assert 800 < float(factor.replace(",", "")) < 1250
    assert "180 of 450 rows from 60 of 150 recordings" in page.text
    assert len(text) < 2_000_000


def test_a_line_frequency_that_no_sidecar_states(tmp_path):
    times = np.arange(200) / 200
    rng = np.random.default_rng(3)
    noise = rng.standard_normal((5, 4, 200)) * 1e-6 + 2e-5 * np.sin(2 * np.pi * 50 * times)
    recordings = [
        Recording(f"0{k}", sfreq=200.0, n_times=200, line=60.0, signals=noise) for k in range(1, 4)
    ]
    page, _ = make(Results(tmp_path / "r", recordings), tmp_path)
    assert re.search(r"rises \d+ dB above its neighbourhood at 50 Hz; the sidecars state 60 Hz",
                     page.text)  # fmt: skip


def test_positions_give_a_map(tmp_path):
    turn, angle = np.arange(12) * 2.4, np.linspace(0.1, 1.5, 12)
    points = np.c_[np.sin(angle) * np.cos(turn), np.sin(angle) * np.sin(turn), np.cos(angle)]
    recordings = [
        Recording(f"0{k}", names=[f"E{c}" for c in range(12)], positions=(points * 0.09).tolist())
        for k in range(1, 4)
    ]
    page, _ = make(Results(tmp_path / "r", recordings), tmp_path)
    # The two classes and their difference, the scale, and the moment under them.
    maps = "left right left \u2212 right \u2212?[-\\d.]+ 0 [\\d.]+ \u00b5V"
    assert re.search(maps + " .*\\bat 0\\.\\d{3} s", page.text)
    assert "and maps at the moment where the first of them shows most" in page.text
    assert "No map" not in page.text


def test_without_positions_the_page_says_why_there_is_no_map(tmp_path):
    recordings = [Recording(f"0{k}", names=[f"E{c}" for c in range(12)]) for k in range(1, 4)]
    page, _ = make(Results(tmp_path / "r", recordings), tmp_path)
    assert "No map: the places of 0 of 12 channels are known, of 8 that are needed" in page.text
    assert "and maps at the moment" not in page.text


def test_a_missing_file_is_named(ordinary, tmp_path):
    root = ordinary.write()
    (root / "validation.json").unlink()
    with pytest.raises(BidsmillError, match=r"validation\.json"):
        write_report(root, tmp_path / "report.html", dataset="ds")
    assert not (tmp_path / "report.html").exists()


def test_a_lost_matrix_is_named(ordinary, tmp_path):
    root = ordinary.write()
    (root / "matrix" / "sub-04_task-t_eeg.parquet").unlink()
    with pytest.raises(BidsmillError, match="sub-04_task-t_eeg"):
        write_report(root, tmp_path / "report.html", dataset="ds")


def test_names_that_are_drawn():
    assert plain("a\tb\x00c\u202e") == "a b\ufffdc\ufffd"
    assert plain("x" * 50 + "end", 11) == "xxxxx…xxend"
    assert plain("short") == "short"


def test_numbers_and_dois_as_text():
    assert [number(v) for v in ("", None, "250", "300.3074951171875", 12000)] == [
        "", "", "250", "300.307", "12,000"
    ]  # fmt: skip
    assert doi_of("https://doi.org/10.18112/x.v1") == "10.18112/x.v1"
    assert doi_of("javascript:alert(1)") == "" and doi_of(None) == ""
