"""What docs/scale.md says an archive costs follows from the numbers that it lists."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.fixture(scope="module")
def model():
    place = importlib.util.spec_from_file_location("make_scale", DOCS / "make_scale.py")
    module = importlib.util.module_from_spec(place)
    sys.modules[place.name] = module  # dataclasses look for their module there
    place.loader.exec_module(module)
    return module


def test_the_page_holds_the_tables_of_the_model(model):
    text = (DOCS / "scale.md").read_text(encoding="utf-8")
    assert model.page(text) == text, "run `make docs`"


def test_the_costs_of_ten_recordings_by_hand(model):
    """Ten recordings of 40 MB in two datasets: three blocks in, 63.2 MB and four parts out."""
    costs = model.costs(model.Archive("small", 400e6, 10, 2))
    assert costs["hours_download"] * 3600 == pytest.approx(400 / 271)
    assert costs["hours_convert"] * 3600 == pytest.approx(800 / 304)
    assert costs["hours_publish"] * 3600 == pytest.approx(632 * 1.9 / 466)
    numbers = {key: number.value for key, number in model.NUMBERS.items()}
    fixed = 10 * numbers["recording"] + 2 * numbers["dataset"]
    assert costs["hours_fixed"] * 3600 == pytest.approx(fixed)
    assert costs["disk_matrices"] == costs["bytes_out"] == pytest.approx(632e6)
    assert costs["requests_get"] == 10 * (3 + 4)
    assert costs["requests_put"] == 10 * (4 + 3) + 2 * 40


def test_a_small_matrix_is_one_request(model):
    costs = model.costs(model.Archive("tiny", 10e6, 10, 1))
    assert costs["requests_put"] == 10 + 40


def test_costs_grow_with_the_archive_and_every_number_has_a_source(model):
    part, whole = model.costs(model.PART), model.costs(model.WHOLE)
    assert part.keys() == whole.keys()
    for key, value in part.items():
        assert whole[key] == pytest.approx(45 * value, rel=0.02), key
    root = DOCS.parent
    for number in model.NUMBERS.values():
        assert number.value > 0, number.what
        measured = number.source.startswith("benchmarks/")
        assert (
            (root / number.source).is_file()
            if measured
            else number.source.split()[0]
            in (
                "assumed:",
                "measured",
            )
        )
