"""The export for source-imaging networks, and the command that writes it."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partialmethod
from pathlib import Path

import numpy as np
import pytest
from matrix_cases import save
from scipy.io import loadmat, savemat
from spike_cases import SFREQ, Bank, Sheet, centred, dense_formula, forward_of
from tqdm import tqdm

from bidsmill import cli
from bidsmill.simulate.clips.files import ClipFiles
from bidsmill.simulate.clips.importing import import_clips
from bidsmill.simulate.dataset.files import Channels, recording_name, write_file
from bidsmill.simulate.random_numbers import generator
from bidsmill.simulate.sources.described import read_described
from bidsmill.simulate.sources.drawing import SourceDrawing, SourceSettings
from bidsmill.simulate.sources.patches import grow_patch
from bidsmill.simulate.sources.table import Sample, Source, write_sources
from bidsmill.simulate.spikes.making import SpikeMaker

SHEET = Sheet()
FORWARD = forward_of(SHEET.n_regions)
BANK = Bank(FORWARD)
PAD, COUNT, NPER = 15213, 8, 4
KEYS = {"eeg_data", "source_data", "labels", "snr", "index"}


def description(n_regions: int, grow: Callable[[int, int], np.ndarray], count=COUNT) -> dict:
    """A described dataset as DeepSIF's generator makes it: two sources, region ids from 0."""
    random = np.random.default_rng(8)
    centres = random.permutation(n_regions)[: 2 * count].reshape(count, 2)
    regions, weights = (np.full((count, 2, 70), float(PAD)) for _ in range(2))
    for n, k in np.ndindex(count, 2):
        patch = grow(int(centres[n, k]), n)
        regions[n, k, : len(patch)] = patch
        weights[n, k, : len(patch)] = [1, *random.uniform(0.3, 1, len(patch) - 1)]
    return {
        "selected_region": regions,
        "nmm_idx": ((centres + 1) * NPER + random.integers(1, NPER + 1, (count, 2)) + 1.0),
        "scale_ratio": random.uniform(5, 20, (count, 2, 6)),
        "mag_change": weights,
        "current_snr": np.tile([5.0, 10, 15, 20], count)[:count][:, None],
    }


def on_the_sheet(centre: int, key: int) -> np.ndarray:
    return grow_patch(SHEET.positions, SHEET.neighbours, centre, 2, generator(key, "patch"))


def clips_of(variables: dict) -> list[tuple[int, int]]:
    """Region and number of each clip, by hand from the shipped formula of nmm_idx."""
    centres = variables["selected_region"][:, :, 0].astype(int).ravel()
    rows = variables["nmm_idx"].astype(int).ravel() - 1
    return [(c, r - (c + 1) * NPER) for c, r in zip(centres.tolist(), rows.tolist(), strict=True)]


def write_clips(root: Path, bank: Bank, keys: list[tuple[int, int]]) -> None:
    for region, clip in keys:
        folder = root / f"a{region}"
        folder.mkdir(parents=True, exist_ok=True)
        savemat(folder / f"nmm_{clip}.mat", {"data": bank.clip(region, clip).T})


DESCRIPTION = description(SHEET.n_regions, on_the_sheet)


@pytest.fixture
def place(tmp_path, monkeypatch) -> Path:
    """The folders of DeepSIF, in which the command needs no option."""
    save(tmp_path / "source" / "train_sample_source1.mat", DESCRIPTION)
    save(tmp_path / "anatomy" / "leadfield_75_20k.mat", {"fwd": FORWARD.matrix})
    write_clips(tmp_path / "source" / "nmm_spikes", BANK, clips_of(DESCRIPTION))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def extract(*arguments: object) -> int:
    try:
        return cli.main(["extract-labeled-data", *map(str, arguments)])
    except SystemExit as left:
        return int(left.code or 0)


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def consumed(folder: Path, n_regions: int, padding: int = PAD) -> list[dict]:
    """What a loader such as LabeledDatasetLoader of DeepSIF_Transformer makes of the files."""
    items = []
    for path in sorted(folder.glob("sample_*.mat")):
        found = loadmat(path)
        assert {name for name in found if name[:2] != "__"} == KEYS
        eeg, source, labels = found["eeg_data"], found["source_data"], found["labels"]
        assert eeg.dtype == source.dtype == np.float32 and labels.dtype == np.int64
        assert found["snr"].shape == found["index"].shape == (1, 1)
        assert path.name == f"sample_{found['index'].item():05d}.mat"
        assert source.shape == (len(eeg), n_regions) and labels.shape == (2, 70)
        flat = labels[labels != padding]
        assert ((flat >= 0) & (flat < n_regions)).all()
        again = np.full(70 * 2, padding, np.int64)
        again[: len(flat)] = flat
        active = source[:, again[again != padding]]
        # Labels are the columns that are not zero, and no other is.
        assert np.flatnonzero(source.any(axis=0)).tolist() == sorted(set(flat.tolist()))
        assert np.abs(active).max() == np.abs(eeg).max() == 1
        assert np.abs(eeg.mean(axis=0)).max() < 1e-6 > np.abs(eeg.mean(axis=1)).max()
        patches = [row[row != padding] for row in labels]
        items.append({"eeg": eeg, "source": source, "patches": patches, **found})
    return items


def test_the_command_needs_no_option_and_writes_what_the_formula_says(place, capsys):
    assert extract() == 0
    assert "8 samples extracted, 0 failed" in capsys.readouterr().out
    folder = place / "output" / "labeled_spikes_data"
    facts = loadmat(folder / "extraction_metadata.mat")
    assert facts["total_extracted"].item() == COUNT and facts["failed"].item() == 0
    assert facts["forward_matrix_shape"].tolist() == [[12, 96]]
    assert facts["dataset_path"].item() == "source/train_sample_source1.mat"
    assert facts["forward_model_path"].item() == "anatomy/leadfield_75_20k.mat"
    assert facts["use_spikes"].item() == 1 and facts["start_index"].item() == 0
    items = consumed(folder, 96)
    assert len(items) == COUNT
    keys = clips_of(DESCRIPTION)
    drawn = read_described(place / "source" / "train_sample_source1.mat", 96).samples
    for n, item in enumerate(items):
        assert item["snr"].item() == DESCRIPTION["current_snr"][n, 0]
        z = item["source"].astype(float) * facts["source_scale"][n, 0]
        sources, alphas = [], []
        for k, patch in enumerate(item["patches"]):
            stored = DESCRIPTION["selected_region"][n, k]
            own = stored != PAD
            assert patch.tolist() == stored[own].tolist()
            centre, clip = keys[2 * n + k]
            weights = DESCRIPTION["mag_change"][n, k][own].astype(np.float32)
            sources.append(Source(centre, clip, patch, weights))
            alphas.append(drawn[n].sources[k].alpha)
            assert alphas[-1] in DESCRIPTION["scale_ratio"][n, k]
        v, whole = dense_formula(Sample(n, tuple(sources), 0.0), alphas, FORWARD, BANK)
        active = np.flatnonzero(z.any(axis=0))
        np.testing.assert_allclose(z[:, active], whole[:, active], rtol=1e-4, atol=2e-5)
        signal = centred(v)
        noise = item["eeg"].T * facts["sensor_scales"][n, 0] - signal
        ratio = 10 * np.log10((signal**2).mean() / (noise**2).mean())
        assert ratio == pytest.approx(facts["snr_realised"][n, 0], abs=0.02)
        assert abs(ratio - item["snr"].item()) < 1


def test_batches_add_up_to_the_full_run_byte_for_byte(place, capsys):
    region, _ = clips_of(DESCRIPTION)[2 * 2]
    (place / "source" / "nmm_spikes" / f"a{region}").rename(place / "elsewhere")
    full, parts = place / "full", place / "parts"
    assert extract("--output_dir", full, "--keep-going") == 0
    for start, length in ((5, 100), (0, 2), (2, 3)):
        batch = ("--start_idx", start, "--dataset_len", length, "--keep-going")
        assert extract("--output_dir", parts, *batch) == 0
    assert content(full) == content(parts)
    assert len(content(full)) == COUNT - 1 + 2 and "failed.tsv" in content(full)
    # Nor does anything hang on the time: the header of SciPy has it.
    head = (full / "sample_00000.mat").read_bytes()[:116]
    assert head.rstrip() == b"MATLAB 5.0 MAT-file, written by bidsmill"
    assert extract("--output_dir", parts, "--start_idx", 6, "--dataset_len", 1) == 0
    assert content(full) == content(parts)
    for wrong in (("--start_idx", COUNT), ("--start_idx", -1)):
        assert extract("--output_dir", place / "none", *wrong) == 1
        told = capsys.readouterr().err
        assert "no sample is selected" in told and "the dataset has 8 samples" in told
    assert not (place / "none").exists()
    assert extract("--dataset_len", 0) == 2


def test_a_folder_does_not_mix_what_was_made_otherwise(place, capsys):
    assert extract("--dataset_len", 1, "--output_dir", "out") == 0
    before = content(place / "out")
    for changed in (["--seed", 1], ["--padding", -1], ["--noise", "per_channel"]):
        assert extract("--dataset_len", 1, "--output_dir", "out", *changed) == 1
        assert "does not belong to this extraction" in capsys.readouterr().err
    assert content(place / "out") == before
    (place / "out" / "extraction_metadata.mat").unlink()
    assert extract("--output_dir", "out") == 1


def test_failed_samples_are_listed_with_reasons_and_tell_by_the_exit_code(place, capsys):
    region, clip = clips_of(DESCRIPTION)[2 * 3]
    path = place / "source" / "nmm_spikes" / f"a{region}" / f"nmm_{clip}.mat"
    kept = path.rename(place / "kept.mat")
    changed = {name: value.copy() for name, value in DESCRIPTION.items()}
    changed["scale_ratio"][5] = -1
    changed["nmm_idx"][6, 0] += NPER
    dataset = save(place / "source" / "other.mat", changed)
    run = ("--dataset_path", dataset, "--output_dir", "out")
    assert extract(*run) == 1
    told = capsys.readouterr()
    lines = [line.split() for line in told.out.splitlines()]
    assert ["3", "missing_clip"] in [line[:2] for line in lines]
    assert f"source/nmm_spikes/a{region}/nmm_{clip}.mat" in told.out
    assert f"There is no clip {clip} of region {region}" in told.out
    assert ["5", "bad_scale"] in [line[:2] for line in lines]
    assert ["6", "bad_clip_number"] in [line[:2] for line in lines]
    assert "5 samples extracted, 3 failed" in told.out
    assert "3 of 8 samples could not be extracted" in told.err and "--keep-going" in told.err
    names = [f"sample_{n:05d}.mat" for n in (0, 1, 2, 4, 7)]
    assert sorted(p.name for p in (place / "out").glob("sample*")) == names
    table = (place / "out" / "failed.tsv").read_text().splitlines()
    assert [line.split("\t")[0] for line in table] == ["sample", "3", "5", "6"]
    assert extract(*run, "--keep-going") == 0
    kept.rename(path)
    assert extract(*run, "--start_idx", 3, "--dataset_len", 2) == 0
    facts = loadmat(place / "out" / "extraction_metadata.mat")
    assert facts["failed_indices"].ravel().tolist() == [5, 6]
    assert facts["indices"].ravel().tolist() == [0, 1, 2, 3, 4, 7]
    # Where nothing at all comes out, going on is no success.
    assert extract(*run, "--start_idx", 5, "--dataset_len", 2, "--keep-going") == 1


def test_errors_say_what_to_do(place, capsys):
    def told(*arguments) -> str:
        assert extract("--output_dir", "none", *arguments) == 1
        assert not (place / "none").exists()
        return capsys.readouterr().err

    other = {"head_model": FORWARD.matrix, "electrodes": np.ones((12, 3))}
    save(place / "anatomy" / "other.mat", other)
    model = ("--forward_model", "anatomy/other.mat")
    error = told(*model)
    assert "could not find the forward matrix" in error and "--forward_key" in error
    assert "head_model (12, 96)" in error and "electrodes (12, 3)" in error
    assert extract(*model, "--forward_key", "head_model", "--dataset_len", 1) == 0
    capsys.readouterr()
    error = told("--clips", "nowhere")
    assert "the folder of clips is missing" in error and "nowhere" in error and "--clips" in error
    assert "cannot be opened" in told("--dataset_path", "source/none.mat")
    assert "is the id of a region" in told("--padding", 95)
    assert "no simulated samples in this folder" in told("--dataset_path", "anatomy")
    # Too large for any memory, and not a byte of it on the disk.
    import h5py

    with h5py.File(place / "source" / "large.mat", "w", userblock_size=512) as file:
        large = file.create_dataset("selected_region", (70, 2, 10**13), "f8", chunks=(70, 2, 1000))
        large.attrs["MATLAB_class"] = np.bytes_("double")
    error = told("--dataset_path", "source/large.mat")
    assert "too little memory" in error and "--dataset_len 1000 --start_idx 0" in error


def test_a_transposed_lead_field_and_other_padding(place, capsys):
    save(place / "anatomy" / "turned.mat", {"L": FORWARD.matrix.T})
    few = ("--dataset_len", 2)
    assert extract(*few, "--output_dir", "a") == 0
    turned = ("--forward_model", "anatomy/turned.mat", "--padding", -1, "--compress")
    assert extract(*few, *turned, "--output_dir", "b") == 0
    for one, other in zip(consumed(place / "a", 96), consumed(place / "b", 96, -1), strict=True):
        np.testing.assert_array_equal(one["eeg"], other["eeg"])
        np.testing.assert_array_equal(one["source"], other["source"])
    sizes = [(place / name / "sample_00000.mat").stat().st_size for name in "ab"]
    assert sizes[1] < sizes[0] / 2
    assert extract("--max_size", 5, "--output_dir", "c", *few) == 1
    assert "patch_too_large" in capsys.readouterr().out


@pytest.mark.parametrize("kind", ["hdf5", "octave"])
def test_forms_of_the_file_give_the_same_samples(place, kind):
    few = ("--dataset_len", 3)
    assert extract(*few, "--output_dir", "mat") == 0
    other = save(place / "source" / "other.mat", DESCRIPTION, kind)
    assert extract(*few, "--dataset_path", other, "--output_dir", kind) == 0
    names = [f"sample_{n:05d}.mat" for n in range(3)]
    found = [[(place / folder / name).read_bytes() for name in names] for folder in ("mat", kind)]
    assert found[0] == found[1]


def test_magnetometers_have_no_reference(place):
    few = ("--dataset_len", 2)
    assert extract(*few, "--output_dir", "eeg") == 0
    assert extract(*few, "--sensors", "mag", "--output_dir", "meg") == 0
    names = ["sample_00000.mat", "sample_00001.mat"]
    for name in names:
        eeg, meg = (loadmat(place / folder / name) for folder in ("eeg", "meg"))
        values = meg["eeg_data"]
        assert np.abs(values).max() == 1 and np.abs(values.mean(axis=0)).max() < 1e-6
        # A field is not brought to the mean of its sensors: that is no small thing here.
        assert np.abs(values.mean(axis=1)).max() > 0.01
        np.testing.assert_array_equal(meg["source_data"], eeg["source_data"])
    facts = loadmat(place / "meg" / "extraction_metadata.mat")
    assert facts["sensor_types"].item() == "mag"


def test_a_bar_in_a_terminal_and_what_an_interrupted_run_leaves(place, monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    class Impatient(Terminal):
        """Someone who presses Ctrl-C at the third sample."""

        def write(self, text: str) -> int:
            if "3/8" in text:
                raise KeyboardInterrupt
            return super().write(text)

    # Every sample is shown, however fast it is made.
    monkeypatch.setattr(tqdm, "__init__", partialmethod(tqdm.__init__, mininterval=0))
    monkeypatch.setattr(sys, "stderr", Impatient())
    assert extract("--output_dir", "stopped") == 130
    facts = loadmat(place / "stopped" / "extraction_metadata.mat")
    written = sorted(path.name for path in (place / "stopped").glob("sample_*"))
    assert facts["total_extracted"].item() == len(written) == 3
    monkeypatch.setattr(sys, "stderr", Terminal())
    assert extract("--output_dir", "stopped", "--start_idx", 3) == 0
    assert "5/5" in sys.stderr.getvalue()
    assert extract("--output_dir", "whole") == 0
    assert content(place / "stopped") == content(place / "whole")


def test_files_of_clips_and_a_bank_of_them_give_the_same(place):
    root = place / "source" / "nmm_spikes"
    matrix = FORWARD.matrix - FORWARD.matrix.mean(axis=0)
    bank = import_clips(root, place / "bank", matrix, SFREQ)
    clips = ClipFiles(place / "source", matrix, most_kept=2)
    for region, clip in clips_of(DESCRIPTION)[:5] * 2:
        np.testing.assert_array_equal(clips.projected(region, clip), bank.projected(region, clip))
        np.testing.assert_array_equal(
            clips.rows(region, clip, [5, region]), bank.rows(region, clip, [5, region])
        )
    assert extract("--output_dir", "files") == 0
    assert extract("--clips", "bank", "--output_dir", "bank-out") == 0
    for name, found in content(place / "files").items():
        if name.startswith("sample"):
            assert found == (place / "bank-out" / name).read_bytes()


def test_a_simulated_dataset_of_bidsmill(place, capsys):
    results = place / "results" / "sim"
    settings = SourceSettings(seed=3, n_sources=(1, 2))
    samples = list(SourceDrawing(settings, SHEET, BANK.table, 100).samples(0, 12))
    # Patches that overlap, and a clip that is not there.
    patch = np.array([3, 4, 5], np.int32)
    ones = np.ones(3, np.float32)
    pair = (Source(3, 1, patch, ones, 9.0), Source(5, 2, patch[::-1].copy(), ones, 8.0))
    samples[7] = Sample(7, pair, 10.0)
    one = samples[9].sources[0]
    samples[9] = replace(samples[9], sources=(replace(one, alpha=float("nan"), snr=float("nan")),))
    maker = SpikeMaker(FORWARD, BANK, SFREQ, 3)
    channels = Channels(tuple(f"E{i}" for i in range(12)), FORWARD.types)
    for number, own in enumerate((samples[:8], samples[8:])):
        write_file(results, recording_name(number), own, maker, channels, 96)
    run = ("--dataset_path", results, "--seed", 5, "--output_dir")
    assert extract(*run, "alone") == 1
    told = capsys.readouterr()
    assert "--seed: not used" in told.out
    assert "7  unknown_patches" in told.out and "9  no_alpha" in told.out
    write_sources(results / "sources.parquet", samples, 3)
    assert extract(*run, "out", "--keep-going") == 0
    for start in (0, 4, 8):
        assert extract(*run, "parts", "--start_idx", start, "--dataset_len", 4, "--keep-going") == 0
    assert content(place / "out") == content(place / "parts")
    items = consumed(place / "out", 96)
    assert [item["index"].item() for item in items] == [*range(9), 10, 11]
    for item in items:
        sample = samples[item["index"].item()]
        spike = maker.make(sample)
        np.testing.assert_array_equal(item["eeg"].T, spike.values)
        np.testing.assert_array_equal(item["source"][:, sample.regions].T, spike.source)
        for k, found in enumerate(item["patches"]):
            own = sample.sources[k].regions if k < len(sample.sources) else []
            assert found.tolist() == list(own)


def test_the_real_anatomy(corpus, tmp_path):
    folder = corpus / "deepsif-anatomy"
    mapping = loadmat(folder / "fs_cortex_20k_region_mapping.mat")
    near = [np.ravel(own).astype(int) - 1 for own in mapping["nbs"][0]]
    matrix = loadmat(folder / "leadfield_75_20k.mat")["fwd"]

    def grow(centre: int, key: int) -> np.ndarray:
        return np.array([centre, *(region for region in near[centre] if region != centre)])

    described = description(994, grow, 2)
    described["selected_region"][1, 0, 0], described["nmm_idx"][1, 0] = 993, 994 * NPER + 2
    described["selected_region"][1, 0, 1:] = PAD
    described["mag_change"][1, 0, 1:] = PAD
    dataset = save(tmp_path / "source" / "train_sample_source1.mat", described)
    bank = Bank(replace(FORWARD, matrix=matrix, types=("eeg",) * 75), 1, 500)
    bank.table = Bank(bank.forward, NPER, 500).table
    write_clips(tmp_path / "source" / "nmm_spikes", bank, clips_of(described))
    arguments = ("--forward_model", folder / "leadfield_75_20k.mat", "--dataset_path", dataset)
    noise = ("--noise", "recorded", "--noise_file", folder / "realistic_noise.mat")
    assert extract(*arguments, "--output_dir", tmp_path / "out", *noise) == 0
    items = consumed(tmp_path / "out", 994)
    assert [item["eeg"].shape for item in items] == [(500, 75)] * 2
    assert items[1]["patches"][0].tolist() == [993]
    alphas = [s.alpha for s in read_described(dataset, 994).samples[0].sources]
    sources = tuple(
        Source(*key, patch, described["mag_change"][0, k, : len(patch)])
        for k, (key, patch) in enumerate(
            zip(clips_of(described)[:2], items[0]["patches"], strict=True)
        )
    )
    v, z = dense_formula(Sample(0, sources, 0.0), alphas, bank.forward, bank)
    active = np.flatnonzero(items[0]["source"].any(axis=0))
    whole = z[:, active] / np.abs(z[:, active]).max()
    np.testing.assert_allclose(items[0]["source"][:, active], whole, atol=2e-6)
    # At 5 dB the signal still is most of what is there.
    assert np.corrcoef(centred(v).ravel(), items[0]["eeg"].T.ravel())[0, 1] > 0.8
