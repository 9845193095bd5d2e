"""Checks of the files of a dataset as a whole."""

from __future__ import annotations

import hashlib

import pytest

from bidsmill.bids.crosschecks import cross_check, pointer_kind


def file(path, size=5000, checksum=None):
    return {"path": path, "size": size, "checksum": checksum}


def found(*arguments, **keywords):
    return {(i["code"], i["file"]) for i in cross_check(*arguments, **keywords)}


def files_below(root):
    listed = []
    for path in sorted(p for p in root.rglob("*") if p.is_symlink() or p.is_file()):
        broken = path.is_symlink() and not path.exists()
        content = b"" if broken else path.read_bytes()
        listed.append(
            {
                "path": path.relative_to(root).as_posix(),
                "size": None if broken else len(content),
                "checksum": None if broken else f"sha256:{hashlib.sha256(content).hexdigest()}",
            }
        )
    return listed


def test_subjects_and_participants_are_compared_both_ways():
    files = [
        file("participants.tsv"),
        file("sub-01/eeg/sub-01_task-x_eeg.edf"),
        file("sub-02/ses-1/eeg/sub-02_ses-1_task-x_eeg.vhdr"),
        file("sub-03/eeg/sub-03_task-x_photo.jpg.json"),
        file("sub-emptyroom/meg/sub-emptyroom_task-noise_meg.fif"),
        file("derivatives/sub-09/eeg/sub-09_task-x_eeg.edf"),
    ]
    assert found(files, ["sub-01", "03"]) == {
        ("subject_not_in_participants", "sub-02"),
        ("participant_without_data", "participants.tsv"),
    }
    messages = [issue["message"] for issue in cross_check(files, ["sub-01", "sub-02", "sub-03"])]
    assert messages == ["sub-03 has a row in participants.tsv but no data"]
    assert found(files, None) == set()


def test_nirs_is_data_whatever_its_folder_is_called():
    files = [
        file("sub-01/nirs/sub-01_task-x_nirs.snirf", checksum="md5:a"),
        file("sub-02/fnirs/sub-02_task-x_fnirs.snirf", checksum="md5:a"),
        file("sub-03/nirs/sub-03_task-x_nirs.json"),
    ]
    assert found(files, ["sub-01", "sub-03"]) == {
        ("identical_data", "sub-02/fnirs/sub-02_task-x_fnirs.snirf"),
        ("participant_without_data", "participants.tsv"),
        ("sidecar_without_recording", "sub-03/nirs/sub-03_task-x_nirs.json"),
        ("subject_not_in_participants", "sub-02"),
    }


def test_identical_data_are_found_once_per_copy_and_only_for_samples():
    files = [
        file("sub-01/eeg/sub-01_run-2_eeg.edf", checksum="md5:a"),
        file("sub-01/eeg/sub-01_run-1_eeg.edf", checksum="md5:a"),
        file("sub-02/eeg/sub-02_eeg.EDF", checksum="md5:a"),
        file("sub-01/eeg/sub-01_channels.tsv", checksum="md5:b"),
        file("sub-02/eeg/sub-02_channels.tsv", checksum="md5:b"),
        file("sub-01/meg/sub-01_acq-crosstalk_meg.fif", checksum="md5:c"),
        file("sub-02/meg/sub-02_acq-crosstalk_meg.fif", checksum="md5:c"),
        file("sub-01/meg/sub-01_meg.ds/x.meg4", checksum="md5:d"),
        file("sub-02/meg/sub-02_meg.ds/y.meg4", checksum="md5:d"),
        file("sub-01/meg/sub-01_meg.ds/x.hc", checksum="md5:e"),
        file("sub-02/meg/sub-02_meg.ds/y.hc", checksum="md5:e"),
        file("derivatives/clean/sub-01/eeg/sub-01_eeg.edf", checksum="md5:a"),
        file("sub-03/eeg/sub-03_eeg.edf", checksum=None),
        file("sub-04/eeg/sub-04_eeg.edf", checksum=None),
    ]
    issues = cross_check(files, None)
    assert {(i["code"], i["severity"]) for i in issues} == {("identical_data", "warning")}
    assert [(i["file"], i["message"]) for i in issues] == [
        ("sub-01/eeg/sub-01_run-2_eeg.edf", "the same bytes as sub-01/eeg/sub-01_run-1_eeg.edf"),
        ("sub-02/eeg/sub-02_eeg.EDF", "the same bytes as sub-01/eeg/sub-01_run-1_eeg.edf"),
        ("sub-02/meg/sub-02_meg.ds/y.meg4", "the same bytes as sub-01/meg/sub-01_meg.ds/x.meg4"),
    ]


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"/annex/objects/MD5E-s495872--fd267ef9d4154f8e6013a4ddda78acc0.edf\n", "annex_pointer"),
        (b"../../.git/annex/objects/ZF/0G/K/SHA256E-s4--ee.set", "annex_pointer"),
        (b"SHA256E-s47949208--eeec4c96545a658821f0de4bce3780.set", "annex_pointer"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:e0\nsize 3\n", "lfs_pointer"),
        (b"see /annex/objects/ in the manual of git-annex\n", None),
        (b"Brain Vision Data Exchange Header File Version 1.0\n", None),
        (b"version https://git-lfs.github.com/spec/v1\n" + b"x" * 1024, None),
        (b"", None),
    ],
)
def test_pointers_are_told_from_content(content, kind):
    assert pointer_kind(content) == kind


def test_only_small_files_are_read_for_pointers(tmp_path):
    folder = tmp_path / "sub-01" / "eeg"
    folder.mkdir(parents=True)
    pointer = b"/annex/objects/MD5E-s495872--fd267ef9d4154f8e6013a4ddda78acc0.edf\n"
    (folder / "a.edf").write_bytes(pointer)
    listed = [file("sub-01/eeg/a.edf", len(pointer)), file("sub-01/eeg/gone.edf", 20)]
    assert found(listed, None, root=tmp_path) == {("annex_pointer", "sub-01/eeg/a.edf")}
    assert found(listed, None) == set()
    assert found([file("sub-01/eeg/a.edf", 5000)], None, root=tmp_path) == set()


@pytest.mark.corpus
def test_the_broken_dataset(corpus_copy):
    root = corpus_copy("broken")
    participants = (root / "participants.tsv").read_text().splitlines()[1:]
    participants = [line.split("\t")[0] for line in participants]
    samples = [p for p in sorted(root.rglob("*")) if p.suffix in (".set", ".edf", ".eeg")]
    samples = [p for p in samples if p.is_file() and p.stat().st_size > 1024]
    copies = {
        ("identical_data", later.relative_to(root).as_posix())
        for i, later in enumerate(samples)
        if any(first.read_bytes() == later.read_bytes() for first in samples[:i])
    }
    issues = found(files_below(root), participants, root=root)
    assert {issue for issue in issues if issue[0] == "identical_data"} == copies
    assert ("identical_data", "sub-15/eeg/sub-15_task-attention_run-01_eeg.edf") in copies
    assert issues - copies == {
        ("empty_file", "sub-04/eeg/sub-04_task-attention_eeg.set"),
        ("annex_pointer", "sub-05/eeg/sub-05_task-attention_eeg.edf"),
        ("broken_link", "sub-06/eeg/sub-06_task-attention_eeg.set"),
        ("subject_not_in_participants", "sub-12"),
        ("participant_without_data", "participants.tsv"),
        ("lfs_pointer", "sub-14/eeg/sub-14_task-attention_eeg.set"),
    }


def test_empty_attachments_of_a_folder_are_no_errors():
    files = [
        file("sub-01/meg/sub-01_meg.ds/sub-01_meg.hist", 0),
        file("sub-02/meg/sub-02_meg.ds/sub-02_meg.meg4", 0),
        file("sub-03/eeg/sub-03_eeg.vhdr", 0),
    ]
    assert found(files, None) == {
        ("empty_file", "sub-02/meg/sub-02_meg.ds/sub-02_meg.meg4"),
        ("empty_file", "sub-03/eeg/sub-03_eeg.vhdr"),
    }


@pytest.mark.corpus
def test_healthy_datasets_are_clean(corpus):
    for name in ("uci_alcoholism", "emg_gestures", "meg_mix", "amplifier_mix"):
        root = corpus / name
        lines = (root / "participants.tsv").read_text().splitlines()[1:]
        participants = [line.split("\t")[0] for line in lines]
        assert cross_check(files_below(root), participants, root=root) == []
