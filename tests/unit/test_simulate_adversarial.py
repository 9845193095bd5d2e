"""What a stranger could feed the simulation: hostile files, ambiguous sizes, odd settings."""

from __future__ import annotations

import ast
import gzip
import struct
import subprocess
import zipfile
from pathlib import Path

import h5py
import mne
import numpy as np
import pytest
from absence import absent
from matrix_cases import save
from scipy.io import savemat
from scipy.sparse import csc_matrix
from simulate_runs import planted_run, write_run
from spike_cases import (
    SFREQ,
    Bank,
    Sheet,
    centred,
    dense_formula,
    forward_of,
    is_connected,
    one_source,
)

from bidsmill.errors import BidsmillError
from bidsmill.formats.leadfield import LeadField, save_leadfield
from bidsmill.simulate.activity.connectome import (
    Connectome,
    Tracts,
    generate_connectome,
    load_connectome,
)
from bidsmill.simulate.activity.jansen_rit import Network, Parameters, Run
from bidsmill.simulate.activity.runs import ActivitySettings, load_activity, simulate_activity
from bidsmill.simulate.anatomy.cortex_files import read_cortex, read_inflated, read_regions
from bidsmill.simulate.anatomy.leadfield import average_reference
from bidsmill.simulate.anatomy.loading import load_leadfield
from bidsmill.simulate.anatomy.regions import anatomy_of_surface
from bidsmill.simulate.anatomy.sensors import load_sensors
from bidsmill.simulate.anatomy.source_columns import Sources
from bidsmill.simulate.anatomy.surface import generated_cortex, icosphere
from bidsmill.simulate.clips.detection import DetectionSettings, detect_spikes
from bidsmill.simulate.clips.extraction import extract_clips
from bidsmill.simulate.clips.importing import import_clips
from bidsmill.simulate.export.mat_files import select
from bidsmill.simulate.sources.clip_numbers import clip_numbers
from bidsmill.simulate.sources.described import read_described
from bidsmill.simulate.sources.drawing import SourceDrawing, SourceSettings
from bidsmill.simulate.sources.table import Sample
from bidsmill.simulate.spikes.making import SpikeMaker
from bidsmill.simulate.spikes.projection import Forward
from bidsmill.simulate.variables.matrix_files import numeric, read_variables

SIMULATE = Path(__file__).resolve().parents[2] / "src" / "bidsmill" / "simulate"
FOLDERS = (
    *("variables", "anatomy", "activity", "clips", "sources", "spikes", "dataset", "export"),
    "jobs",
)


# Arrows between folders and modules


def arrows() -> dict[tuple[str, ...], set[tuple[str, ...]]]:
    """Return which modules of the simulation each of them imports, also within functions."""
    found: dict[tuple[str, ...], set[tuple[str, ...]]] = {}
    for path in sorted(SIMULATE.rglob("*.py")):
        own = path.relative_to(SIMULATE).with_suffix("").parts
        found[own] = set()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(
                "bidsmill.simulate."
            ):
                found[own].add(tuple(node.module.split(".")[2:]))
    return found


def test_arrows_of_the_simulation_go_one_way():
    graph = arrows()
    for module, others in graph.items():
        for other in others:
            if len(module) == len(other) == 2:
                assert FOLDERS.index(other[0]) <= FOLDERS.index(module[0]), (module, other)
    left = dict(graph)
    while left:
        free = [m for m, others in left.items() if not others & left.keys()]
        assert free, f"modules that import each other: {sorted(left)}"
        left = {m: others for m, others in left.items() if m not in free}


# Files of variables


def octave_text(folder: Path, text: str) -> Path:
    path = folder / "x.txt"
    path.write_text(f"# Created by Octave 7.3.0\n{text}")
    return path


def octave_binary(folder: Path, kind: bytes, rest: bytes) -> Path:
    """Write a variable `s` by hand."""
    path = folder / "x.bin"
    name = struct.pack("<i", 1) + b"s" + struct.pack("<i", 0) + b"\0\xff"
    path.write_bytes(b"Octave-1-L\0" + name + struct.pack("<i", len(kind)) + kind + rest)
    return path


MOST = 2**31 - 1


@pytest.mark.parametrize(
    "text",
    [
        "# name: s\n# type: struct\n# ndims: 2\n 1000000 1000000\n# length: 0\n",
        "# name: s\n# type: sparse matrix\n# nnz: 1\n# rows: 900000\n# columns: 900000\n1 1 3\n",
        "# name: s\n# type: string\n# elements: 1000000000\n# length: -15\n",
        "# name: s\n# type: string\n# elements: 1\n# length: 1000000000\nabc\n",
        "# name: s\n# type: range\n# base, limit, increment\n0 1e9 1\n",
        "# name: s\n# type: matrix\n# rows: 1000000\n# columns: 1000000\n 1 2\n",
        "# name: s\n# type: cell\n# rows: 1000000\n# columns: 1000000\n",
    ],
)
def test_sizes_claimed_in_text_are_not_believed(tmp_path, text):
    path = octave_text(tmp_path, text)
    try:
        found = read_variables(path)["s"]
    except BidsmillError as error:
        assert str(path) in error.message()
    else:
        assert found is None or found == []
        with pytest.raises(BidsmillError, match=r"too large|cell of 0"):
            numeric(found, "s", path)


@pytest.mark.parametrize(
    ("kind", "rest"),
    [
        (b"string", struct.pack("<iii", -2, MOST, 0)),
        (b"struct", struct.pack("<iiii", -2, MOST, MOST, 0)),
        (b"matrix", struct.pack("<iii", -2, MOST, MOST) + b"\x07"),
        (b"cell", struct.pack("<iii", -2, MOST, MOST)),
        (b"sparse matrix", struct.pack("<iiii", -2, 3, MOST, 0)),
        # One column, which claims to hold all entries that there can be.
        (b"sparse matrix", struct.pack("<iiiiiii", -2, 3, 1, 1, 0, MOST, 0) + b"\x00\x05"),
        (b"matrix", struct.pack("<i", -MOST)),
    ],
)
def test_sizes_claimed_in_binary_are_not_believed(tmp_path, kind, rest):
    path = octave_binary(tmp_path, kind, rest)
    try:
        assert read_variables(path)["s"] in ("", [])
    except BidsmillError as error:
        assert str(path) in error.message()


def test_sizes_claimed_in_hdf5_and_zip_are_not_believed(tmp_path):
    with h5py.File(tmp_path / "x.mat", "w", userblock_size=512) as file:
        # 3.2 GB, and not a byte of it in the file.
        file.create_dataset("fwd", (20_000, 20_000), "f8", chunks=(1000, 1000))
    with pytest.raises(BidsmillError, match="larger than its bytes can be"):
        read_variables(tmp_path / "x.mat")
    with h5py.File(tmp_path / "x.mat", "w") as file:
        # An empty array with elements would show whatever stood in memory.
        file["e"] = np.array([3, 5], "u8")
        file["e"].attrs.update(MATLAB_empty=np.uint8(1), MATLAB_class=np.bytes_("double"))
    with pytest.raises(BidsmillError, match="an empty array has elements"):
        read_variables(tmp_path / "x.mat")
    with h5py.File(tmp_path / "x.mat", "w") as file:
        group = file.create_group("g")
        for name in "abcd":
            group[name] = group
        cell = file.create_dataset("c", (4,), h5py.ref_dtype)
        cell[:] = [cell.ref] * 4
    for name in "gc":
        with pytest.raises(BidsmillError, match="cells within cells"):
            read_variables(tmp_path / "x.mat", [name])
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (900000, 900000), }".ljust(117)
    (tmp_path / "x.npy").write_bytes(b"\x93NUMPY\1\0" + struct.pack("<H", 118) + header + b"\n")
    with pytest.raises(BidsmillError, match=r"x\.npy"):
        read_variables(tmp_path / "x.npy")


def test_sparse_matrices_of_level_5_are_full_ones_up_to_a_size(tmp_path):
    values = np.array([[0, 1 + 2j, 0], [3, 0, 0]])
    one = csc_matrix(([1.0], ([7], [9])), shape=(30_000, 30_000))
    savemat(tmp_path / "x.mat", {"c": csc_matrix(values), "links": one, "fwd": np.eye(2)})
    found = read_variables(tmp_path / "x.mat")
    np.testing.assert_array_equal(found["c"], values)
    # 7.2 GB, as the links between all pairs of vertices would be: what was asked for is read.
    assert found["links"] is None and found["fwd"].shape == (2, 2)


def test_what_octave_writes_but_rarely(tmp_path):
    """Values are those of the expressions, which Octave itself evaluates."""
    program = (
        "cs = sparse ([1+2i 0; 0 3]); bs = sparse ([true false; false true]);"
        "cd = diag ([1+2i 3]); fd = single (2.5 * eye (2, 3)); es = sparse (2, 3);"
        "na = [1 NA -Inf]; u = intmax ('uint64'); r = 5:-2:-1; em = zeros (0, 3);"
        "x3 = reshape (1:24, 2, 3, 4);"
    )
    names = "cs bs cd fd es na u r em x3"
    saved = "".join(f"save -{form} {tmp_path}/{form} {names};" for form in ("text", "binary"))
    functions = (
        "k = 3; s.f = @(x) x + k; s.g = @sin; s.fwd = [1 2]; c = {@cos, 5}; fwd = [7 8];"
        f"save -text {tmp_path}/functions s c fwd;"
    )
    try:
        subprocess.run(
            ["octave-cli", "--no-gui", "-q", "--eval", program + saved + functions],
            capture_output=True,
            check=False,
        )
    except FileNotFoundError:
        absent("Octave is not installed")
    for form in ("text", "binary"):
        found = read_variables(tmp_path / form)
        np.testing.assert_array_equal(found["cs"], [[1 + 2j, 0], [0, 3]])
        np.testing.assert_array_equal(found["bs"], np.eye(2))
        np.testing.assert_array_equal(found["cd"], [[1 + 2j, 0], [0, 3]])
        np.testing.assert_array_equal(found["fd"], 2.5 * np.eye(2, 3))
        assert found["fd"].dtype == np.float32
        np.testing.assert_array_equal(found["es"], np.zeros((2, 3)))
        np.testing.assert_array_equal(found["na"], [[1, np.nan, -np.inf]])
        assert found["u"].item() == 2**64 - 1
        np.testing.assert_array_equal(found["r"], [[5, 3, 1, -1]])
        assert found["em"].shape == (0, 3)
        np.testing.assert_array_equal(found["x3"], np.arange(1, 25).reshape((2, 3, 4), order="F"))
    # Variables within functions and structs are not those of the file.
    found = read_variables(tmp_path / "functions")
    assert set(found) == {"s", "c", "fwd"} and found["fwd"].tolist() == [[7, 8]]
    assert found["s"]["fwd"].tolist() == [[1, 2]] and found["s"]["f"] is None
    assert found["c"][0] is None and found["c"][1].item() == 5


def test_text_with_other_comment_signs_and_without_a_last_line_end(tmp_path):
    text = "% Created by Octave\n% name: a\n% type: matrix\n% rows: 1\n% columns: 2\n 1 2\n"
    path = tmp_path / "x.mat"
    path.write_text(text + "% name: b\n% type: matrix\n% rows: 1\n% columns: 2\n 3 NA")
    found = read_variables(path)
    assert found["a"].tolist() == [[1, 2]]
    np.testing.assert_array_equal(found["b"], [[3, np.nan]])
    packed = tmp_path / "x.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert read_variables(packed)["a"].tolist() == [[1, 2]]


@pytest.mark.parametrize("kind", ["mat4", "mat5", "packed", "hdf5", "octave", "npy", "npz"])
def test_any_damage_is_an_error_for_people(tmp_path, kind):
    """Some bytes of a good file are changed, and some of them are cut off."""
    path = tmp_path / "x.mat"
    values = {"fwd": np.arange(12.0).reshape(3, 4), "s": csc_matrix(np.eye(3)), "t": "text"}
    if kind in ("mat4", "mat5", "packed"):
        savemat(
            path, values, format=kind[-1] if kind == "mat4" else "5", do_compression=kind[0] == "p"
        )
    elif kind in ("hdf5", "octave"):
        save(path, {"fwd": values["fwd"], "L": np.zeros((2, 2, 2))}, kind)
    else:
        path = tmp_path / f"x.{kind}"
        np.save(path, values["fwd"]) if kind == "npy" else np.savez(path, fwd=values["fwd"])
    good, random, failed = path.read_bytes(), np.random.default_rng(0), 0
    for _ in range(150):
        content = np.frombuffer(good, np.uint8).copy()
        places = random.integers(len(content), size=int(random.integers(1, 4)))
        content[places] = random.choice([0, 127, 128, 255, *random.integers(256, size=4)])
        cut = int(random.integers(len(content))) if random.random() < 0.2 else len(content)
        path.write_bytes(content[:cut].tobytes())
        try:
            read_variables(path)
        except BidsmillError as error:
            assert error.message().startswith("a matrix file cannot be read")
            failed += 1
    assert failed > 10


def test_odd_names_links_and_types_do_not_hide_the_lead_field(tmp_path):
    matrix = np.arange(6.0).reshape(2, 3)
    with h5py.File(tmp_path / "x.mat", "w", userblock_size=512) as file:
        file["fwd"] = matrix.T
        file["fwd"].attrs["MATLAB_class"] = np.bytes_("double")
        file["name with blanks; ö"] = np.eye(2)
        file["nowhere"] = h5py.SoftLink("/not there")
        file["elsewhere"] = h5py.ExternalLink("/etc/passwd", "/x")
        both = np.dtype([("real", "f8"), ("imag", "f8")])
        file["z"] = np.array([[(1, 2)], [(3, 4)]], both)
        file["z"].attrs["MATLAB_class"] = np.bytes_("double")
    found = read_variables(tmp_path / "x.mat")
    np.testing.assert_array_equal(found["fwd"], matrix)
    np.testing.assert_array_equal(found["z"], [[1 + 2j, 3 + 4j]])
    assert set(found) == {"fwd", "name with blanks; ö", "z"}
    assert load_leadfield(tmp_path / "x.mat", n_regions=3).matrix.shape == (2, 3)
    with pytest.raises(BidsmillError, match=r"not an array of real numbers.*complex128"):
        load_leadfield(tmp_path / "x.mat", key="z", n_regions=2)
    np.savez(tmp_path / "x.npz", notes=np.array({"a": 1}, object), fwd=matrix)
    found = read_variables(tmp_path / "x.npz")
    assert found["notes"] is None
    np.testing.assert_array_equal(found["fwd"], matrix)
    # Integers of MATLAB are unsigned: 0 - 1 must not be 65535.
    savemat(tmp_path / "y.mat", {"fwd": np.array([[0, 2, 1], [1, 0, 2]], np.uint16)})
    field = load_leadfield(tmp_path / "y.mat", n_regions=3)
    assert average_reference(field).matrix.min() == -1


# Anatomy


def sources_of_two_spheres() -> mne.SourceSpaces:
    directions, triangles = icosphere(1)
    spaces = mne.SourceSpaces([])
    for side, place in ((101, -0.035), (102, 0.035)):
        spaces.append(
            {
                **{"type": "surf", "id": side, "coord_frame": 5, "np": 42, "ntri": 80},
                **{"rr": directions * 0.025 + [place, 0, 0.04], "nn": directions},
                **{"tris": triangles, "nuse": 42, "vertno": np.arange(42), "nuse_tri": 80},
                **{"inuse": np.ones(42, int), "use_tris": triangles, "nearest": None},
                **{"nearest_dist": None, "pinfo": None, "patch_inds": None, "dist": None},
                **{"dist_limit": None, "subject_his_id": "small"},
            }
        )
    return spaces


def test_forward_solutions_of_free_and_fixed_directions_are_the_same(tmp_path):
    info = mne.create_info(["Fz", "Cz", "Pz", "C3", "C4", "Oz"], 100.0, "eeg")
    names = mne.channels.get_builtin_montages()
    info.set_montage("colin27_1005" if "colin27_1005" in names else "standard_1005")
    model = mne.make_sphere_model((0, 0, 0.04), 0.095, verbose="error")
    identity = mne.transforms.Transform("head", "mri")
    free = mne.make_forward_solution(
        info, identity, sources_of_two_spheres(), model, meg=False, mindist=0.0, verbose="error"
    )
    forms = {"free": free}
    for name, fixed in (("turned", False), ("fixed", True)):
        forms[name] = mne.convert_forward_solution(
            free, surf_ori=True, force_fixed=fixed, use_cps=True, verbose="error"
        )
    normals = np.concatenate([space["nn"] for space in free["src"]])
    gain = free["sol"]["data"].reshape(6, 84, 3)
    expected = np.einsum("msk,sk->ms", gain, normals)
    for name, solution in forms.items():
        for ending in ("-fwd.fif", "-fwd.h5"):
            path = tmp_path / f"{name}{ending}"
            mne.write_forward_solution(path, solution, verbose="error")
            found = load_leadfield(path, n_regions=84).matrix
            np.testing.assert_allclose(found, expected, rtol=1e-4, err_msg=path.name)
    # A recording is a whole file, and no forward solution.
    mne.io.RawArray(np.zeros((6, 10)), info, verbose="error").save(
        tmp_path / "x_raw.fif", verbose="error"
    )
    with pytest.raises(BidsmillError, match="forward solution cannot be read"):
        load_leadfield(tmp_path / "x_raw.fif", n_regions=84)


def test_three_columns_per_source_are_turned_by_the_directions_of_the_file(tmp_path):
    random = np.random.default_rng(2)
    gain, directions = random.standard_normal((4, 3 * 7)), random.standard_normal((7, 3))
    mapping = np.array([0, 1, 2, 0, 1, 2, 2])
    expected = np.zeros((4, 3))
    for sensor, vertex, axis in np.ndindex(4, 7, 3):
        expected[sensor, mapping[vertex]] += (
            gain[sensor, 3 * vertex + axis] * directions[vertex, axis]
        )
    # In the order of FORTRAN, and with directions as rows or columns.
    for grid in (directions, directions.T):
        savemat(tmp_path / "x.mat", {"Gain": np.asfortranarray(gain), "GridOrient": grid})
        found = load_leadfield(tmp_path / "x.mat", sources=Sources(3, mapping))
        np.testing.assert_allclose(found.matrix, expected)
    savemat(tmp_path / "x.mat", {"Gain": gain})
    with pytest.raises(BidsmillError, match="directions are not known"):
        load_leadfield(tmp_path / "x.mat", sources=Sources(3, mapping, np.ones((7, 3))))


def test_a_saved_lead_field_that_is_not_whole(tmp_path):
    field = LeadField(np.eye(3), ("a", "b", "c"), ("eeg",) * 3, np.zeros((3, 3)))
    save_leadfield(field, tmp_path / "l.npz")
    with np.load(tmp_path / "l.npz") as arrays:
        np.savez(tmp_path / "m.npz", **{n: arrays[n] for n in arrays if n != "types"})
    with pytest.raises(BidsmillError, match=r"not whole.*types"):
        load_leadfield(tmp_path / "m.npz")


def test_eeg_alone_is_referenced_where_there_are_magnetometers():
    """A sample of both: EEG without its mean, MEG with it, each type at its own scale."""
    sheet = Sheet()
    eeg = forward_of(sheet.n_regions, 12).matrix + 3.0
    mixed = Forward(np.vstack([eeg, eeg * 1e-13]), ("eeg",) * 12 + ("mag",) * 12)
    bank = Bank(mixed)
    sample = Sample(0, (one_source(5, 1, [6, 7], alpha=40.0),), 120.0)
    made = SpikeMaker(mixed, bank, SFREQ, 4).make(sample)
    seen, _ = dense_formula(sample, made.alphas, mixed, bank)
    for kind, rows in (("eeg", slice(0, 12)), ("mag", slice(12, 24))):
        expected = centred(seen[rows], average=kind == "eeg")
        highest = np.abs(expected).max()
        assert made.scales[kind] == pytest.approx(highest, rel=1e-4)
        np.testing.assert_allclose(made.values[rows], expected / highest, atol=1e-5)
    assert np.abs(made.values[:12].mean(axis=0)).max() < 1e-6
    assert np.abs(made.values[12:].mean(axis=0)).max() > 1e-2


def test_caps_with_dots_in_their_names_are_no_files():
    assert len(load_sensors("GSN-HydroCel-64_1.0", None).names) == 64
    with pytest.raises(BidsmillError, match="cannot be read"):
        load_sensors("GSN-HydroCel-63_1.0", None)


@pytest.mark.parametrize("scale", [0.085, 8.5, 85, 1])
def test_electrodes_of_eeglab_in_any_unit(tmp_path, scale):
    # Those on a unit sphere say nothing of the size of the head.
    radius = 0.09 if scale == 1 else 0.085
    points = icosphere(0)[0][:, [2, 0, 1]] * scale
    rows = np.zeros((1, 12), [(name, object) for name in ("labels", "X", "Y", "Z")])
    for row, point in enumerate(points):
        rows[0, row] = (f"E{row}", *point)
    savemat(tmp_path / "c.mat", {"chanlocs": rows})
    found = load_sensors(str(tmp_path / "c.mat"), None)
    np.testing.assert_allclose(np.linalg.norm(found.positions, axis=1), radius)
    # Nose and left ear to right and front.
    np.testing.assert_allclose(found.positions[:, 1] * scale, points[:, 0] * radius, atol=1e-12)
    np.testing.assert_allclose(found.positions[:, 0] * scale, -points[:, 1] * radius, atol=1e-12)


def test_electrodes_that_lie_as_on_no_head(tmp_path):
    table = "name\tx\ty\tz\n" + "".join(f"E{k}\t{900 * k}\t0\t0\n" for k in range(9))
    (tmp_path / "electrodes.tsv").write_text(table)
    with pytest.raises(BidsmillError, match="do not lie as on a head"):
        load_sensors(str(tmp_path / "electrodes.tsv"), None)


CORTEX = generated_cortex(3)


def cortex(folder: Path, **changed) -> Path:
    savemat(
        folder / "cortex.mat",
        {"pos": CORTEX.vertices * 1000, "tri": CORTEX.triangles + 1, **changed},
    )
    return folder / "cortex.mat"


def test_surfaces_that_cannot_be_understood(tmp_path):
    count = len(CORTEX.vertices)
    assert (read_cortex(cortex(tmp_path)).hemisphere == CORTEX.hemisphere).all()
    zero = cortex(tmp_path, tri=CORTEX.triangles.astype(np.uint16))
    np.testing.assert_array_equal(
        np.sort(read_cortex(zero).triangles), np.sort(CORTEX.triangles.astype(int))
    )
    loose = np.vstack([CORTEX.vertices * 1000, [[0, 0, 0]]])
    bad = {
        # From 1, and the last one is loose: or from 0, and the first one is.
        "cannot be told from where": {"pos": loose},
        "left_ind names": {"left_ind": np.array([1, count + 1])},
        r"left_ind names.*found: 0": {"left_ind": np.arange(count // 2)},
        "not that of a brain": {"pos": CORTEX.vertices * np.nan},
        "no triangles": {"tri": np.zeros((0, 3))},
        "not whole numbers": {"tri": CORTEX.triangles + 0.5},
    }
    for message, changed in bad.items():
        with pytest.raises(BidsmillError, match=message):
            read_cortex(cortex(tmp_path, **changed))
    head = b"\xff\xff\xfemade by hand\n\n"
    corners = np.array([[0, 0, 0], [100, 0, 0], [0, 100, 0]], ">f4").tobytes()
    for sizes in ((3, 1), (-1, -1), (3, 10**9), (0, 0)):
        path = tmp_path / "lh.pial"
        path.write_bytes(head + struct.pack(">ii", *sizes) + corners + struct.pack(">iii", 0, 1, 3))
        with pytest.raises(BidsmillError, match="FreeSurfer surface cannot be read"):
            read_cortex([path, path])


def test_a_brainstorm_cortex_and_its_inflated_one_are_turned_alike(tmp_path):
    turned = CORTEX.vertices[:, [1, 0, 2]] * [1, -1, 1]
    content = {"Vertices": turned, "Faces": CORTEX.triangles + 1}
    # Too large as a full matrix, and never looked at.
    content["VertConn"] = csc_matrix(([1.0], ([0], [1])), shape=(30_000, 30_000))
    savemat(tmp_path / "tess.mat", content)
    surface = read_cortex(tmp_path / "tess.mat")
    np.testing.assert_allclose(surface.vertices, CORTEX.vertices)
    np.testing.assert_allclose(read_inflated(tmp_path / "tess.mat", surface), CORTEX.vertices)


def test_regions_without_vertices_or_with_neighbours_that_are_not_there(tmp_path):
    count = len(CORTEX.vertices)
    mapping = np.repeat([0, 1, 3, 4], count // 4)
    with pytest.raises(BidsmillError, match=r"without a vertex: \[2\]"):
        anatomy_of_surface(
            CORTEX.vertices,
            CORTEX.triangles,
            mapping,
            CORTEX.hemisphere,
            tuple(np.empty(0, int) for _ in range(5)),
        )
    lists = np.empty((1, 4), object)
    for region in range(4):
        # From 0, where DeepSIF counts from 1.
        lists[0, region] = np.array([[(region + 1) % 4]])
    regions = np.repeat(np.arange(4), count // 4)
    savemat(tmp_path / "rm.mat", {"rm": regions, "nbs": lists})
    with pytest.raises(BidsmillError, match="name regions that do not exist"):
        read_regions(tmp_path / "rm.mat", CORTEX)


# Activity


def connectome_zip(path: Path, **tables: str) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in tables.items():
            archive.writestr(f"{name}.txt", text)
    return path


PAIR = {"weights": "0 1\n1 0\n", "tract_lengths": "0 10\n10 0\n"}


def test_connectomes_of_another_size_unit_or_that_are_locked(tmp_path):
    rows = "\n".join(" ".join(["0"] * 76) for _ in range(76))
    path = connectome_zip(tmp_path / "76.zip", weights=rows, tract_lengths=rows)
    with pytest.raises(BidsmillError, match=r"76 nodes for 994 regions.*as many nodes as regions"):
        load_connectome(path, 994)
    path = connectome_zip(tmp_path / "x.zip", **{**PAIR, "tract_lengths": "0 1e6\n1e6 0\n"})
    with pytest.raises(BidsmillError, match=r"longer than a brain.*in mm"):
        load_connectome(path, 2)
    content = bytearray(connectome_zip(tmp_path / "x.zip", **PAIR).read_bytes())
    content[6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "x.zip").write_bytes(bytes(content))
    with pytest.raises(BidsmillError, match="encrypted"):
        load_connectome(tmp_path / "x.zip", 2)
    connectome_zip(tmp_path / "x.zip", **PAIR)
    for speed in (0.0, -1.0, np.nan, np.inf):
        with pytest.raises(BidsmillError, match="speed"):
            load_connectome(tmp_path / "x.zip", 2, speed=speed)


def pair() -> Connectome:
    weights = np.array([[0, 1.0, 0], [1, 0, 0], [0, 0, 0]])
    return Connectome(weights, weights * 10, np.arange(3, dtype=np.int32))


@pytest.mark.parametrize("engine", ["numpy", "auto"])
def test_a_node_without_tracts_is_a_node_alone(engine):
    """The third node has no tracts: it does what a network of one node does."""
    alone = Connectome(np.zeros((1, 1)), np.zeros((1, 1)), np.arange(1, dtype=np.int32))
    assert len(Tracts.of(alone, 0.5, np.float32).source) == 0
    noise = np.random.default_rng(0).standard_normal((300, 3, 1)).astype(np.float32)
    run = Run(None, 0.087, 1.0)
    whole = Network(pair(), [run], engine=engine).advance(noise)
    single = Network(alone, [run], engine=engine).advance(noise[:, 2:])
    np.testing.assert_array_equal(whole[:, 2], single[:, 0])
    assert np.abs(whole[:, 0] - whole[:, 2]).max() > 1e-3


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"sfreq": np.nan}, "cannot be done with these settings"),
        ({"sfreq": 0.0}, "cannot be done with these settings"),
        ({"dt": np.nan}, "cannot be done with these settings"),
        ({"seconds": np.inf}, "cannot be done with these settings"),
        ({"discard": -1.0}, "cannot be done with these settings"),
        # Heun's method is not stable with so long steps.
        ({"dt": 20.0, "sfreq": 50.0, "seconds": 2.0}, "grows without bounds"),
    ],
)
def test_settings_with_which_nothing_can_be_simulated(tmp_path, changed, message):
    settings = ActivitySettings(**{"seconds": 0.2, "discard": 0.2, **changed})
    with pytest.raises(BidsmillError, match=message):
        simulate_activity(pair(), [(0, 0)], tmp_path, settings, engine="numpy")
    assert not list(tmp_path.glob("*.npy"))


def test_a_neural_mass_without_a_rest():
    with pytest.raises(BidsmillError, match="has no rest"):
        Parameters(excitation=500.0).rest(5.0)


def test_seeds_batches_and_engines(tmp_path):
    """Any batch and engine gives the same bytes; another seed, region or condition others."""
    places = np.random.default_rng(1).uniform(-0.05, 0.05, (5, 3))
    connectome = generate_connectome(places, seed=1)
    settings = ActivitySettings(seconds=0.3, discard=0.1)
    runs = [(0, 0), (3, 1), (3, 2)]
    found = {}
    for name, seed, batch, engine in (
        ("a", 7, 64, "auto"),
        ("b", 7, 1, "numpy"),
        ("c", 7, 2, "auto"),
        ("d", 8, 64, "auto"),
    ):
        paths = simulate_activity(
            connectome, runs, tmp_path / name, settings, seed=seed, batch=batch, engine=engine
        )
        found[name] = [path.read_bytes() for path in paths]
    assert found["a"] == found["b"] == found["c"]
    assert len({*found["a"], *found["d"]}) == 6


def test_activity_whose_facts_are_not_whole(tmp_path):
    path = write_run(tmp_path, 0, 0, np.zeros((10, 2)))
    path.with_suffix(".json").write_text('{"n_times": 10}')
    with pytest.raises(BidsmillError, match=r"cannot be read.*n_regions"):
        load_activity(path)


# Clips


def test_spikes_at_the_very_ends_of_a_run(tmp_path):
    """A clip of 500 samples has its peak at 250: samples 250 to 5750 can be peaks of 6000."""
    exact = DetectionSettings(jitter_seconds=0.0)
    for peak, kept in ((249, 0), (250, 1), (5750, 1), (5751, 0), (3, 0), (5996, 0)):
        path = write_run(tmp_path, 1, 0, planted_run(1, {1: [peak]}))
        found = detect_spikes(load_activity(path), exact)
        assert [spike.start for spike in found.spikes] == [peak - 250] * kept
        assert found.n_peaks == 1 and found.dropped == ({} if kept else {"edge": 1})
    # Other regions count in the clip, and not one sample farther.
    for other, dropped in ((2750, {"contaminated": 1}), (2749, {"contaminated": 1}), (3260, {})):
        data = planted_run(1, {1: [3000]})
        data[other, 4] = 9.0
        found = detect_spikes(load_activity(write_run(tmp_path, 1, 0, data)), exact)
        assert found.dropped == (dropped if 2750 <= other < 3250 else {})


def test_a_bank_does_not_hang_on_the_order_of_its_runs(tmp_path):
    leadfield = np.random.default_rng(0).standard_normal((4, 9))
    paths = [
        write_run(tmp_path / "runs", region, condition, planted_run(region, {region: [900, 3000]}))
        for region in (1, 4)
        for condition in (0, 1)
    ]
    for name, order in (("a", paths), ("b", paths[::-1])):
        extract_clips(tmp_path / name, order, leadfield, seed=5)
    for path in sorted((tmp_path / "a").iterdir()):
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes(), path.name


@pytest.mark.parametrize(
    ("name", "factor", "message"),
    [
        ("nmm_0.mat", 1.0, "numbered from 1"),
        ("nmm_1.mat", 1e300, "not finite"),
        ("nmm_1.mat", 1j, "not an array of real numbers"),
        # Arabic three: other programs would not find it.
        ("nmm_٣.mat", 1.0, "no clips in this folder"),
    ],
)
def test_clips_of_others_that_cannot_be_used(tmp_path, name, factor, message):
    folder = tmp_path / "nmm_spikes" / "a0"
    folder.mkdir(parents=True)
    savemat(folder / name, {"data": np.random.default_rng(0).standard_normal((50, 3)) * factor})
    with pytest.raises(BidsmillError, match=message):
        import_clips(tmp_path, tmp_path / "bank", np.eye(3))


# Sources


def test_indices_of_region_0_must_fit_a_formula_too():
    centres, indices = np.array([[0], [0], [1]]), np.array([[0.0], [0.0], [12.0]])
    with pytest.raises(BidsmillError, match="by no known formula"):
        clip_numbers(indices, centres, None, "row", "x.mat")
    found, _ = clip_numbers(np.array([[1.0], [10], [11]]), centres, 10, "row", "x.mat")
    assert found.ravel().tolist() == [1, 10, 1]
    odd = np.array([[np.inf], [1e300], [np.nan]])
    assert clip_numbers(odd, centres, None, "clip", "x.mat")[0].tolist() == [[0], [0], [0]]


def test_a_described_dataset_with_one_scale(tmp_path):
    regions = np.full((4, 2, 70), 15213.0)
    regions[:, 0, :2], regions[:, 1, :2] = [3, 4], [7, 8]
    variables = {
        "selected_region": regions,
        "nmm_idx": (regions[:, :, 0] + 1) * 10 + 5,
        "scale_ratio": np.full((4, 2), 30.0),
        "mag_change": np.where(regions == 15213, 15213, 1.0),
        "sensor_snr": np.array([[5.0, 10, 15, 20]]),
    }
    path = save(tmp_path / "train.mat", variables)
    with pytest.raises(BidsmillError, match=r"1 columns.*--source_snr"):
        read_described(path, 20, clips_per_region=10)
    found = read_described(path, 20, clips_per_region=10, source_snr=(15.0,))
    assert [source.snr for sample in found.samples for source in sample.sources] == [15.0] * 8
    assert [sample.snr for sample in found.samples] == [5, 10, 15, 20]


def test_regions_that_no_path_reaches_are_no_sources():
    """Neighbours across the midline have no distance along the surface, so no magnitude."""
    sheet = Sheet()
    half = sheet.n_regions // 2
    right = np.arange(sheet.n_regions) >= half
    sheet.neighbours = tuple(
        np.sort(np.append(near, (region + half) % sheet.n_regions))
        for region, near in enumerate(sheet.neighbours)
    )
    bank = Bank(forward_of(sheet.n_regions))
    for metric, crosses in (("geodesic", False), ("euclidean", True)):
        asked = SourceSettings(seed=2, metric=metric, half_distance=(0.2, 0.3))
        drawing = SourceDrawing(asked, sheet, bank.table, bank.n_times)
        found = [source for sample in drawing.samples(0, 40) for source in sample.sources]
        for source in found:
            assert (source.weights > 0).all() and source.weights[0] == 1
            assert is_connected(sheet.neighbours, source.regions)
        assert crosses == any(len(set(right[source.regions])) == 2 for source in found)
    # So steep a decay that nothing is left of the neighbours.
    asked = SourceSettings(seed=2, half_distance=(1e-4, 1e-4))
    drawing = SourceDrawing(asked, sheet, bank.table, bank.n_times)
    assert all(len(source.regions) == 1 for source in drawing.sample(0).sources)


@pytest.mark.parametrize(
    ("total", "start", "length", "expected"),
    [
        (10, 0, None, range(10)),
        (10, 4, 3, range(4, 7)),
        (10, 8, 100, range(8, 10)),
        (10, 10, 1, None),
        (10, -1, 5, None),
        (10, 3, 0, None),
    ],
)
def test_batches_are_counts_from_a_start_or_an_error(total, start, length, expected):
    if expected is None:
        with pytest.raises(BidsmillError, match="no sample is selected"):
            select(total, start, length)
    else:
        assert select(total, start, length) == expected
