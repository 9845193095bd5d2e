"""Damaged datasets of every shape of the corpus: each recording ends with a row and a reason.

A mutant is one to three recordings of a dataset of the corpus with one to four faults: bytes
flipped, zeroed, cut, doubled or swapped (headers above all), fields of headers and sidecars
rewritten, files swapped, renamed, deleted or replaced by pointers and broken links. It is
converted with settings that its seed chooses as well. Where only sidecars of a recording were
damaged, its samples must be those of the healthy recording. `make test` treats the 100 mutants of
the seeds 0 to 99, and those that once failed; `make test-long` the 2,000 of the seeds 1000 to
2999 as well.

``tests/e2e/fuzzing.py`` says how to look at one seed.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections import Counter

import pytest
from fuzz_checks import check_values
from fuzzing import treat_all
from mutants import copy_pristine

# 1346: an EDF record of 99999999 s, resampled to years of samples. 1661: a boundary at 1e308 s.
# 1737: a PowerLineFrequency of 401 digits. 2119: a link to a folder in place of a .fdt file.
ONCE_FAILED = [1346, 1661, 1737, 2119]


@pytest.fixture
def pristine(corpus, tmp_path):
    """Return a copy of the corpus, whose bytes must be the same after the test."""
    folder = copy_pristine(corpus, tmp_path / "pristine")
    before = _bytes_of(folder)
    yield folder
    assert _bytes_of(folder) == before


def _bytes_of(folder) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.is_symlink()
    }


def _treated(pristine, tmp_path, seeds) -> Counter:
    """Treat mutants; fail with all that went wrong; return how recordings ended."""
    answers = treat_all(pristine, tmp_path / "work", seeds)
    assert [answer["seed"] for answer in answers] == seeds
    failed = [
        "\n".join([f"seed {a['seed']}: {a['done']}", *a["problems"]])
        for a in answers
        if a["problems"]
    ]
    assert not failed, f"{len(failed)} of {len(seeds)} mutants\n\n" + "\n\n".join(failed)
    assert sum(answer["compared"] > 0 for answer in answers) >= len(seeds) // 20
    ends = Counter(end for answer in answers for end in answer["statuses"].values())
    print(ends.most_common(), max(answer["memory"] for answer in answers) // 2**20, "MB")
    return ends


def _all_ends(ends: Counter) -> set[str]:
    return {end.split()[0] for end in ends}


def test_every_mutant_ends_with_a_row(pristine, tmp_path):
    ends = _treated(pristine, tmp_path, [*range(100), *ONCE_FAILED])
    # The faults are neither so mild nor so heavy that one of the ends is not seen.
    assert {"converted", "repaired", "quarantined"} <= _all_ends(ends)


@pytest.mark.long
def test_two_thousand_mutants_end_with_a_row(pristine, tmp_path):
    ends = _treated(pristine, tmp_path, list(range(1000, 3000)))
    assert {"converted", "repaired", "quarantined"} <= _all_ends(ends)


def test_other_samples_and_only_those_are_told(pristine, tmp_path, root, monkeypatch):
    monkeypatch.syspath_prepend(root / "tests" / "unit")
    from bids_cases import Dataset

    name = "uci_alcoholism"
    run = Dataset(tmp_path)
    shutil.copytree(pristine / name, run.root, copy_function=os.link)
    one, two, *_ = sorted(run.root.rglob("*_channels.tsv"))
    for path in (one, two):
        text = path.read_text()
        path.unlink()
        path.write_text(text.replace("\tgood", "\tbad", 3))
    own = {"windows": {"kind": "fixed", "length": 0.5}}
    run.convert(**own)
    compared, problems = check_values(run, pristine / name, tmp_path / "twin", own)
    assert compared > 100
    assert not problems
    matrices = run.results / "matrix"
    stems = [path.name.replace("_channels.tsv", "_eeg") for path in (one, two)]
    first, second = (matrices / f"{stem}.parquet" for stem in stems)
    first.rename(tmp_path / "first")
    second.rename(first)
    (tmp_path / "first").rename(second)
    _, problems = check_values(run, pristine / name, tmp_path / "again", own)
    assert {text.split(": other samples of")[0] for text in problems} == set(stems)


def test_what_hangs_or_dies_is_told(pristine, tmp_path):
    (hanging,) = treat_all(pristine, tmp_path / "hanging", [0], processes=1, hangs=0.0)
    assert hanging["seed"] == 0
    assert "hangs" in hanging["problems"][0]
    # A worker that is given no number ends with an error of its own.
    alive, dying = treat_all(pristine, tmp_path / "dying", ["none", "5"], processes=1)
    assert "died" in dying["problems"][0]
    assert alive["seed"] == 5
    assert not alive["problems"]
