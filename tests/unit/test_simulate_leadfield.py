"""Lead fields from every kind of file, turned the right way round or refused."""

from __future__ import annotations

import contextlib
import gzip
import shutil
import subprocess
import zipfile

import h5py
import mne
import numpy as np
import pytest
import scipy.io
import scipy.sparse
from absence import absent
from hypothesis import given, settings
from hypothesis import strategies as st

from bidsmill.errors import BidsmillError
from bidsmill.formats.leadfield import LeadField, save_leadfield
from bidsmill.simulate.anatomy.forward_files import forward_surface
from bidsmill.simulate.anatomy.leadfield import average_reference, check_leadfield
from bidsmill.simulate.anatomy.loading import load_leadfield
from bidsmill.simulate.anatomy.sensors import Sensors, load_sensors
from bidsmill.simulate.anatomy.source_columns import Sources
from bidsmill.simulate.anatomy.surface import icosphere
from bidsmill.simulate.variables.matrix_files import read_variables, variables_text

RNG = np.random.default_rng(8)
MATRIX = RNG.normal(size=(5, 12))


def write_matlab73(path, variables):
    """Write variables as MATLAB 7.3 does: reversed axes, classes, cells as references."""

    def put(group, name, value):
        if isinstance(value, str):
            numbers = np.array([[ord(c)] for c in value], "u2")
            group.create_dataset(name, data=numbers).attrs["MATLAB_class"] = np.bytes_("char")
        elif isinstance(value, list):
            places = []
            for item in value:
                label = f"r{len(group.file['#refs#'])}"
                put(group.file["#refs#"], label, item)
                places.append([group.file["#refs#"][label].ref])
            cell = group.create_dataset(name, data=np.array(places, dtype=h5py.ref_dtype))
            cell.attrs["MATLAB_class"] = np.bytes_("cell")
        elif isinstance(value, dict):
            struct = group.create_group(name)
            struct.attrs["MATLAB_class"] = np.bytes_("struct")
            for field, item in value.items():
                put(struct, field, item)
        else:
            stored = group.create_dataset(name, data=np.asarray(value).T)
            stored.attrs["MATLAB_class"] = np.bytes_("double")

    with h5py.File(path, "w", userblock_size=512) as file:
        file.create_group("#refs#")
        for name, value in variables.items():
            put(file, name, value)
    head = b"MATLAB 7.3 MAT-file".ljust(116) + bytes(8) + b"\x00\x02IM"
    with open(path, "r+b") as file:
        file.write(head.ljust(512, b"\0"))


def octave_text(name, matrix):
    rows = "\n".join(" " + " ".join(repr(float(v)) for v in row) for row in matrix)
    return (
        f"# Created by Octave 7.3.0\n# name: {name}\n# type: matrix\n"
        f"# rows: {len(matrix)}\n# columns: {len(matrix[0])}\n{rows}\n\n\n"
    )


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Return one lead field in every format that Python can write."""
    folder = tmp_path_factory.mktemp("formats")
    for version in ("4", "5"):
        path = folder / f"v{version}.mat"
        scipy.io.savemat(path, {"fwd": MATRIX}, format=version)
    scipy.io.savemat(folder / "v7.mat", {"fwd": MATRIX}, do_compression=True)
    scipy.io.savemat(folder / "sparse.mat", {"fwd": scipy.sparse.csc_matrix(MATRIX)})
    write_matlab73(folder / "v73.mat", {"fwd": MATRIX})
    (folder / "octave.mat").write_text(octave_text("fwd", MATRIX))
    (folder / "windows.mat").write_text(octave_text("fwd", MATRIX).replace("\n", "\r\n"))
    (folder / "packed.mat").write_bytes(gzip.compress(octave_text("fwd", MATRIX).encode()))
    np.save(folder / "plain.npy", MATRIX)
    np.savez(folder / "named.npz", other=np.zeros(3), fwd=MATRIX)
    return folder


NAMES = ("v4.mat", "v5.mat", "v7.mat", "sparse.mat", "v73.mat", "octave.mat", "windows.mat")


@pytest.mark.parametrize("name", [*NAMES, "packed.mat", "plain.npy", "named.npz"])
def test_every_format_gives_the_same_matrix(files, name):
    found = load_leadfield(files / name, n_regions=12)
    np.testing.assert_array_equal(found.matrix, MATRIX)
    assert found.provenance["transposed"] is False
    assert found.provenance["rank"] == np.linalg.matrix_rank(MATRIX) == 5
    assert found.channels == ("EEG001", "EEG002", "EEG003", "EEG004", "EEG005")


@pytest.fixture(scope="module")
def octave_folder(tmp_path_factory):
    """Return the files that Octave itself writes of many kinds of variables."""
    octave = shutil.which("octave-cli")
    if octave is None:
        absent("octave-cli is not installed")
    folder = tmp_path_factory.mktemp("octave")
    code = (
        "fwd = [1.5 2 -3; 4 5e-300 1e9]; nd = reshape(1:24, 2, 3, 4); c = {1, [2 3], 'xy'; [], {}, "
        "{'in', 4}}; s.x = 1; s.y = \"a\\nb\"; t(1).l = 'a'; t(2).l = 'bb'; i = int32([1 -2; 3 4]);"
        "f = single([1.5 2.5]); z = 3; tm = ['ab'; 'cd']; b = true; bm = [true false]; r = 0:0.1:1;"
        "sp = sparse([1 0; 0 2.5]); co = [1+2i 3]; e = []; u = uint8(7); n = [Inf -Inf NaN NA];"
        "d = diag([1 2 3]); ii = int16(reshape(1:8, 2, 2, 2)); big = int64(9007199254740993);"
        "es = ''; nums = [1 2 300];"
        "save -text text.mat; save -binary binary.mat; save -v7 v7.mat; save -v4 v4.mat fwd z;"
        "save -text -z packed.mat fwd; save -hdf5 hdf5.mat fwd nd;"
    )
    subprocess.run([octave, "--no-init-file", "--eval", code], cwd=folder, check=True, timeout=60)
    return folder


def same(one, other) -> bool:
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        equal_nan = one.dtype.kind in "fc"
        return one.shape == other.shape and np.array_equal(one, other, equal_nan=equal_nan)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    return type(one) is type(other) and one == other


def test_octaves_own_files_hold_the_same_in_every_format(octave_folder):
    text, binary, v7 = (
        read_variables(octave_folder / f"{name}.mat") for name in ("text", "binary", "v7")
    )
    assert text.keys() == binary.keys() == v7.keys() and len(text) == 22
    for name in text:
        assert same(text[name], binary[name]), name
        assert same(text[name], v7[name]), name
    np.testing.assert_array_equal(text["fwd"], [[1.5, 2, -3], [4, 5e-300, 1e9]])
    np.testing.assert_array_equal(text["nd"], np.arange(1, 25).reshape(2, 3, 4, order="F"))
    np.testing.assert_array_equal(text["co"], [[1 + 2j, 3]])
    assert text["c"][0].item() == 1 and text["c"][5][0] == "in" and text["c"][4] == "xy"
    assert text["s"]["y"] == "a\nb" and text["t"] == [{"l": "a"}, {"l": "bb"}]
    assert text["big"].item() == 9007199254740993 and text["tm"] == ["ab", "cd"]
    assert variables_text({k: text[k] for k in ("fwd", "t", "c")}) == (
        "fwd (2, 3), t 2 structs, c cell of 6"
    )
    for name in ("v4", "packed", "hdf5"):
        np.testing.assert_array_equal(
            read_variables(octave_folder / f"{name}.mat")["fwd"], text["fwd"]
        )


@settings(max_examples=15, deadline=None)
@given(
    st.lists(
        st.lists(st.floats(allow_nan=False, width=64), min_size=3, max_size=3),
        min_size=1,
        max_size=5,
    )
)
def test_text_keeps_every_number(tmp_path_factory, rows):
    path = tmp_path_factory.getbasetemp() / "numbers.mat"
    path.write_text(octave_text("x", rows).replace(" inf", " Inf").replace("-inf", "-Inf"))
    np.testing.assert_array_equal(read_variables(path)["x"], np.array(rows))


def test_cells_and_structs_of_version_73(tmp_path):
    content = {"c": [np.eye(2), "text"], "s": {"a": np.ones((1, 3)), "b": "x"}}
    write_matlab73(tmp_path / "x.mat", content)
    assert same(read_variables(tmp_path / "x.mat"), content)


@pytest.mark.parametrize("compressed", [False, True])
def test_all_kinds_of_variables_of_version_5(tmp_path, compressed):
    cell = np.empty((2, 2), object)
    cell[:] = [[np.eye(2), "first"], [np.array([[7.0]]), "second"]]
    content = {
        "fwd": MATRIX,
        "small": np.arange(6, dtype=np.float64).reshape(2, 3),
        "int": np.array([[1, -300]], np.int16),
        "complex": np.array([[1 + 2j, 3]]),
        "text": "déjà",
        "cell": cell,
        "struct": {"a": 1.0, "b": "x", "inner": {"c": np.ones((1, 2))}},
        "sparse": scipy.sparse.csc_matrix([[0, 1.5], [0, 0], [-2, 0]]),
        "nothing": np.empty((0, 3)),
        "cube": np.arange(24.0).reshape(2, 3, 4),
    }
    scipy.io.savemat(tmp_path / "x.mat", content, do_compression=compressed)
    found = read_variables(tmp_path / "x.mat")
    assert list(found) == list(content)
    for name in ("fwd", "small", "int", "complex", "nothing", "cube"):
        np.testing.assert_array_equal(found[name], content[name])
        assert found[name].dtype == content[name].dtype
    assert found["text"] == "déjà" and found["struct"]["inner"]["c"].tolist() == [[1, 1]]
    assert found["cell"][2:] == ["first", "second"] and found["cell"][1].item() == 7
    assert found["sparse"].tolist() == [[0, 1.5], [0, 0], [-2, 0]]
    assert list(read_variables(tmp_path / "x.mat", ["cube", "text"])) == ["text", "cube"]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_damaged_bytes_never_end_the_process(tmp_path_factory, data):
    folder = tmp_path_factory.getbasetemp()
    if not (folder / "damage.mat").is_file():
        cell = np.array([[np.eye(2), "x"]], object)
        scipy.io.savemat(folder / "damage.mat", {"fwd": MATRIX[:, :3], "s": {"a": 1.0}, "c": cell})
    content = bytearray((folder / "damage.mat").read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place] = data.draw(st.integers(0, 255))
    (folder / "damaged.mat").write_bytes(content)
    with contextlib.suppress(BidsmillError):
        read_variables(folder / "damaged.mat")


@pytest.mark.parametrize("name", [*NAMES, "plain.npy", "named.npz"])
def test_a_cut_file_is_an_error_for_people(files, tmp_path, name):
    content = (files / name).read_bytes()
    (tmp_path / name).write_bytes(content[: int(len(content) * 0.6)])
    with pytest.raises(BidsmillError) as error:
        read_variables(tmp_path / name)
    assert name in str(error.value) and error.value.todo


def test_files_that_are_none(tmp_path):
    (tmp_path / "empty.mat").write_bytes(b"")
    (tmp_path / "text.mat").write_text("sample,value\n1,2\n")
    with zipfile.ZipFile(tmp_path / "zip.npz", "w") as archive:
        archive.writestr("a.txt", "x")
    np.save(tmp_path / "objects.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    for name in ("empty.mat", "text.mat", "objects.npy", "absent.mat"):
        with pytest.raises(BidsmillError):
            read_variables(tmp_path / name)
    with pytest.raises(BidsmillError, match="forward matrix"):
        load_leadfield(tmp_path / "zip.npz", n_regions=3)


def test_without_a_forward_matrix_the_error_lists_what_is_there(tmp_path):
    path = tmp_path / "x.mat"
    scipy.io.savemat(path, {"pos": np.zeros((20, 3)), "A": MATRIX, "note": "text"})
    with pytest.raises(BidsmillError) as error:
        load_leadfield(path, n_regions=12)
    message = str(error.value)
    for part in ("pos (20, 3)", "A (5, 12)", "note text", "leadfield_key", "fwd, forward"):
        assert part in message
    assert load_leadfield(path, key="A", n_regions=12).provenance["variable"] == "A"
    with pytest.raises(BidsmillError, match="the variable B"):
        load_leadfield(path, key="B", n_regions=12)


@pytest.mark.parametrize("key", ["fwd", "forward", "leadfield", "L", "Gain"])
def test_known_names(tmp_path, key):
    scipy.io.savemat(tmp_path / "x.mat", {"aaa": np.ones((5, 12)), key: MATRIX.T})
    found = load_leadfield(tmp_path / "x.mat", n_regions=12)
    np.testing.assert_array_equal(found.matrix, MATRIX)
    assert found.provenance["transposed"] and found.provenance["variable"] == key


def sensors(count, kinds=None):
    names = tuple(f"S{row}" for row in range(count))
    return Sensors(names, kinds or ("eeg",) * count, np.full((count, 3), np.nan), "test")


def test_which_side_holds_the_sensors_is_decided_by_sizes_or_refused(tmp_path):
    square = RNG.normal(size=(6, 6))
    np.save(tmp_path / "square.npy", square)
    np.save(tmp_path / "m.npy", MATRIX)
    np.save(tmp_path / "t.npy", MATRIX.T)
    for name in ("m.npy", "t.npy"):
        for known in ({"sensors": sensors(5)}, {"n_regions": 12}):
            np.testing.assert_array_equal(load_leadfield(tmp_path / name, **known).matrix, MATRIX)
    with pytest.raises(BidsmillError, match="cannot be decided") as error:
        load_leadfield(tmp_path / "square.npy", sensors=sensors(6), n_regions=6)
    assert "leadfield_layout" in str(error.value)
    for layout, expected in (("sensors_in_rows", square), ("sensors_in_columns", square.T)):
        found = load_leadfield(tmp_path / "square.npy", n_regions=6, layout=layout)
        np.testing.assert_array_equal(found.matrix, expected)
    for wrong in ({"sensors": sensors(7)}, {"n_regions": 13}, {"sensors": sensors(12)}, {}):
        wrong = {"n_regions": 12, **wrong} if wrong.get("sensors") else wrong
        with pytest.raises(BidsmillError, match=r"does not fit.*\(5, 12\)"):
            load_leadfield(tmp_path / "m.npy", **wrong)
    with pytest.raises(BidsmillError, match="does not fit"):
        load_leadfield(tmp_path / "m.npy", n_regions=12, layout="sensors_in_columns")
    with pytest.raises(BidsmillError, match="layout"):
        load_leadfield(tmp_path / "m.npy", n_regions=12, layout="rows")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_no_numbers(tmp_path, value):
    bad = MATRIX.copy()
    bad[2, [3, 7]] = value
    np.save(tmp_path / "x.npy", bad)
    with pytest.raises(BidsmillError, match="sensors S2, regions 3, 7"):
        load_leadfield(tmp_path / "x.npy", sensors=sensors(5), n_regions=12)


def test_a_region_that_no_sensor_sees(tmp_path):
    bad = MATRIX.copy()
    bad[:, [4, 11]] = 0, 1e-14
    np.save(tmp_path / "x.npy", bad)
    with pytest.raises(BidsmillError, match="2 of 12: regions 4, 11"):
        load_leadfield(tmp_path / "x.npy", n_regions=12)
    scipy.io.savemat(tmp_path / "x.mat", {"fwd": MATRIX + 1j, "L": np.ones((2, 3, 4))})
    with pytest.raises(BidsmillError, match="real numbers"):
        load_leadfield(tmp_path / "x.mat", n_regions=12)
    with pytest.raises(BidsmillError, match="not a matrix"):
        load_leadfield(tmp_path / "x.mat", key="L", n_regions=12)


def test_reference_and_rank_are_found():
    def checked(matrix, kinds=("eeg",) * 5):
        return check_leadfield(LeadField(matrix, tuple("abcde"), kinds, np.full((5, 3), np.nan)))

    assert checked(MATRIX).reference == "none"
    averaged = average_reference(checked(MATRIX))
    np.testing.assert_allclose(averaged.matrix, MATRIX - MATRIX.mean(axis=0))
    again = check_leadfield(averaged)
    assert again.reference == "average" and again.provenance["rank"] == 4
    single = checked(MATRIX - MATRIX[2])
    assert single.reference == "channel c" and single.provenance["zero_rows"] == ["c"]
    np.testing.assert_allclose(average_reference(single).matrix, averaged.matrix)
    # Magnetometers have no reference; what EEG rows have is taken from them alone.
    mixed = checked(MATRIX * [[1], [1], [1], [1e-9], [1e-9]], ("eeg",) * 3 + ("mag",) * 2)
    found = average_reference(mixed)
    np.testing.assert_array_equal(found.matrix[3:], MATRIX[3:] * 1e-9)
    np.testing.assert_allclose(found.matrix[:3].mean(axis=0), 0, atol=1e-12)
    assert check_leadfield(found).provenance["rank"] == 4
    magnetic = checked(MATRIX, ("mag",) * 5)
    assert average_reference(magnetic) is magnetic and magnetic.reference == "none"


def test_vertices_and_free_directions_become_regions(tmp_path):
    mapping = np.array([0, 1, 1, 2, 2, 2, 0, 3])
    normals = RNG.normal(size=(8, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    areas = RNG.uniform(1, 2, 8)
    free = RNG.normal(size=(5, 24))
    fixed = np.stack([free[:, 3 * v : 3 * v + 3] @ normals[v] for v in range(8)], axis=1)
    summed = np.stack([fixed[:, mapping == r].sum(axis=1) for r in range(4)], axis=1)
    mean = np.stack(
        [np.average(fixed[:, mapping == r], axis=1, weights=areas[mapping == r]) for r in range(4)],
        axis=1,
    )
    np.save(tmp_path / "fixed.npy", fixed)
    np.save(tmp_path / "free.npy", free.T)
    named = sensors(5)
    for how, expected in (("sum", summed), ("area_mean", mean)):
        known = Sources(4, mapping, normals, areas, how)
        for name in ("fixed.npy", "free.npy"):
            found = load_leadfield(tmp_path / name, sources=known, sensors=named)
            np.testing.assert_allclose(found.matrix, expected, rtol=1e-12)
            assert found.provenance["aggregate"] == how
    with pytest.raises(BidsmillError, match="aggregate"):
        load_leadfield(tmp_path / "fixed.npy", sources=Sources(4, mapping, normals, areas, "max"))
    # A head model of Brainstorm brings its directions, and NaN for channels without a model.
    gain = np.vstack([np.full((2, 24), np.nan), free])
    scipy.io.savemat(tmp_path / "bs.mat", {"Gain": gain, "GridOrient": normals})
    found = load_leadfield(tmp_path / "bs.mat", sources=Sources(4, mapping), sensors=sensors(7))
    np.testing.assert_allclose(found.matrix, summed, rtol=1e-12)
    assert found.channels == ("S2", "S3", "S4", "S5", "S6")
    assert found.provenance["sensors_without_model"] == ["S0", "S1"]
    scipy.io.savemat(tmp_path / "bs.mat", {"Gain": gain, "GridOrient": np.empty((0, 0))})
    with pytest.raises(BidsmillError, match="directions are not known"):
        load_leadfield(
            tmp_path / "bs.mat", sources=Sources(4, mapping, normals), sensors=sensors(7)
        )
    with pytest.raises(BidsmillError, match="directions are not known"):
        load_leadfield(tmp_path / "bs.mat", sources=Sources(4, mapping), sensors=sensors(7))


def test_a_lead_field_is_saved_and_read_back(tmp_path):
    np.save(tmp_path / "m.npy", MATRIX)
    found = load_leadfield(tmp_path / "m.npy", sensors=sensors(5), n_regions=12, unit="V/(A·m)")
    for name in ("a.npz", "b.npz"):
        save_leadfield(found, tmp_path / name)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    again = load_leadfield(tmp_path / "a.npz")
    np.testing.assert_array_equal(again.matrix, found.matrix)
    assert (again.channels, again.types, again.unit) == (found.channels, found.types, "V/(A·m)")
    assert again.provenance == found.provenance and again.reference == "none"


@pytest.fixture(scope="module")
def forward(tmp_path_factory):
    """Return a forward solution of MNE for the surfaces of two small hemispheres."""
    folder = tmp_path_factory.mktemp("forward")
    directions, triangles = icosphere(2)
    # The first vertices are those of the coarser sphere: they are the sources.
    chosen = icosphere(1)[1]
    spaces = mne.SourceSpaces([])
    for side, place in ((101, -0.035), (102, 0.035)):
        spaces.append(
            {
                **{"type": "surf", "id": side, "coord_frame": 5, "np": 162, "ntri": 320},
                **{"rr": directions * 0.025 + [place, -0.02, 0.025], "nn": directions},
                **{"tris": triangles, "nuse": 42, "vertno": np.arange(42), "nuse_tri": 80},
                **{"inuse": (np.arange(162) < 42).astype(int), "use_tris": chosen},
                **{"nearest": None, "nearest_dist": None, "pinfo": None, "patch_inds": None},
                **{"dist": None, "dist_limit": None, "subject_his_id": "small"},
            }
        )
    info = mne.create_info(["Fz", "Cz", "Pz", "C3", "C4", "Oz"], 100.0, "eeg")
    info.set_montage(
        "colin27_1005" if "colin27_1005" in mne.channels.get_builtin_montages() else "standard_1005"
    )
    model = mne.make_sphere_model((0, 0, 0.04), 0.095, verbose="error")
    identity = mne.transforms.Transform("head", "mri")
    found = mne.make_forward_solution(
        info, identity, spaces, model, meg=False, mindist=0.0, verbose="error"
    )
    mne.write_forward_solution(folder / "x-fwd.fif", found, verbose="error")
    return found, folder / "x-fwd.fif"


def test_forward_solutions_of_mne(forward):
    solution, path = forward
    assert solution["nsource"] == 84
    fixed = mne.convert_forward_solution(
        solution, surf_ori=True, force_fixed=True, use_cps=True, verbose="error"
    )["sol"]["data"]
    mapping = np.arange(84) % 10
    expected = np.stack([fixed[:, mapping == r].sum(axis=1) for r in range(10)], axis=1)
    found = load_leadfield(path, sources=Sources(10, mapping))
    np.testing.assert_allclose(found.matrix, expected, rtol=1e-4)
    assert found.channels == ("Fz", "Cz", "Pz", "C3", "C4", "Oz") and found.unit == "V/(A·m)"
    # The mapping of the whole surfaces, of which the solution has some vertices.
    whole = np.zeros(324, int)
    used = [s["vertno"] + 162 * side for side, s in enumerate(solution["src"])]
    whole[np.concatenate(used)] = mapping
    some = load_sensors("standard_1005", ["Oz", "Cz"])
    chosen = load_leadfield(path, sources=Sources(10, whole), sensors=some)
    np.testing.assert_allclose(chosen.matrix, expected[[5, 1]], rtol=1e-4)
    np.testing.assert_allclose(chosen.positions, some.positions, atol=2e-3)
    np.testing.assert_allclose(load_leadfield(path).matrix, fixed, rtol=1e-4)
    with pytest.raises(BidsmillError, match="84 sources"):
        load_leadfield(path, n_regions=10)
    with pytest.raises(BidsmillError, match=r"not in the forward solution.*TP9"):
        load_leadfield(path, sensors=load_sensors("standard_1005", ["Cz", "TP9"]))


def test_the_cortex_of_a_forward_solution(forward):
    solution, path = forward
    surface = forward_surface(path)
    assert surface.vertices.shape == (84, 3) and surface.triangles.shape == (160, 3)
    assert surface.hemisphere.tolist() == [0] * 42 + [1] * 42
    distance = np.linalg.norm(surface.vertices[1] - surface.vertices[0])
    points = solution["source_rr"]
    assert distance == pytest.approx(np.linalg.norm(points[1] - points[0]), rel=1e-4)


def test_forward_solutions_in_hdf5(forward, tmp_path):
    solution, path = forward
    target = tmp_path / "x-fwd.h5"
    mne.write_forward_solution(target, solution, verbose="error")
    np.testing.assert_allclose(
        load_leadfield(target).matrix, load_leadfield(path).matrix, rtol=1e-4
    )


def test_damaged_forward_solutions(forward, tmp_path):
    content = forward[1].read_bytes()
    (tmp_path / "x-fwd.fif").write_bytes(content[: len(content) // 2])
    (tmp_path / "y.h5").write_bytes(b"nothing")
    for name in ("x-fwd.fif", "y.h5", "absent-fwd.fif"):
        with pytest.raises(BidsmillError):
            load_leadfield(tmp_path / name)
