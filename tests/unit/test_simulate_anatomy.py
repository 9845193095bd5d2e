"""Anatomy: generated and real cortex, regions, distances, and the head of spheres."""

from __future__ import annotations

import json
import struct

import mne
import numpy as np
import pytest
import scipy.io
from scipy.special import eval_legendre

from bidsmill.errors import BidsmillError
from bidsmill.formats.anatomy import load_anatomy, save_anatomy, vertex_normals
from bidsmill.simulate.anatomy.building import build_anatomy, resolved
from bidsmill.simulate.anatomy.cortex_files import read_cortex, read_regions
from bidsmill.simulate.anatomy.distances import edge_graph, geodesic_distances, medoids
from bidsmill.simulate.anatomy.leadfield import average_reference
from bidsmill.simulate.anatomy.loading import load_leadfield
from bidsmill.simulate.anatomy.parcellation import cut_regions, touching_regions
from bidsmill.simulate.anatomy.sensors import (
    Sensors,
    fitted_sphere,
    load_sensors,
    template_sphere,
)
from bidsmill.simulate.anatomy.sphere import sphere_leadfield
from bidsmill.simulate.anatomy.surface import (
    enclosed_volume,
    generated_cortex,
    icosphere,
    outward_triangles,
    vertex_areas,
)

RNG = np.random.default_rng(88)


def test_sphere_of_triangles():
    vertices, triangles = icosphere(3)
    assert vertices.shape == (642, 3) and triangles.shape == (1280, 3)
    np.testing.assert_allclose(np.linalg.norm(vertices, axis=1), 1)
    np.testing.assert_allclose(vertex_normals(vertices, triangles), vertices, atol=0.02)
    assert vertex_areas(vertices, triangles).sum() == pytest.approx(4 * np.pi, rel=0.01)
    assert enclosed_volume(vertices, triangles) == pytest.approx(4 / 3 * np.pi, rel=0.02)
    turned = outward_triangles(vertices, triangles[:, ::-1])
    assert enclosed_volume(vertices, turned) > 0


@pytest.mark.parametrize("folded", [False, True])
def test_generated_cortex_is_two_mirrored_closed_hemispheres(folded):
    surface = generated_cortex(4, folded)
    left, right = (surface.vertices[surface.hemisphere == side] for side in (0, 1))
    np.testing.assert_array_equal(left * [-1, 1, 1], right)
    assert left[:, 0].max() < 0 < right[:, 0].min()
    for side in (0, 1):
        members = (surface.hemisphere[surface.triangles] == side).all(axis=1)
        # Half a litre each, about what a hemisphere has; positive: the triangles face outward.
        volume = enclosed_volume(surface.vertices, surface.triangles[members])
        assert 3e-4 < volume < 8e-4
    edges = np.sort(
        np.concatenate([surface.triangles[:, [i, (i + 1) % 3]] for i in range(3)]), axis=1
    )
    assert (np.unique(edges, axis=0, return_counts=True)[1] == 2).all()
    # Folds turn normals away from the radius.
    normals = vertex_normals(left, surface.triangles[:5120])
    radial = left - left.mean(axis=0)
    cosine = (normals * radial).sum(axis=1) / np.linalg.norm(radial, axis=1)
    assert (np.quantile(cosine, 0.1) < 0.5) == folded


@pytest.fixture(scope="module")
def cut():
    surface = generated_cortex(3)
    return surface, cut_regions(surface.vertices, surface.triangles, surface.hemisphere, 41)


def neighbours_by_hand(triangles, region, count):
    found = [set() for _ in range(count)]
    for corners in triangles:
        ids = {int(region[corner]) for corner in corners}
        for one in ids:
            found[one] |= ids - {one}
    return found


def test_regions_are_even_connected_and_of_one_hemisphere(cut):
    from scipy.sparse.csgraph import connected_components

    surface, region = cut
    count = np.bincount(region)
    assert len(count) == 41 and count.min() > 10 and count.max() < 4 * np.median(count)
    graph = edge_graph(surface.vertices, surface.triangles)
    for each in range(41):
        members = np.flatnonzero(region == each)
        assert connected_components(graph[members][:, members], directed=False)[0] == 1
        assert set(surface.hemisphere[members]) == {0 if each < 20 else 1}
    again = cut_regions(surface.vertices, surface.triangles, surface.hemisphere, 41)
    np.testing.assert_array_equal(again, region)
    near = touching_regions(surface.triangles, region, 41)
    by_hand = neighbours_by_hand(surface.triangles, region, 41)
    assert [set(each.tolist()) for each in near] == by_hand
    assert all((np.diff(each) > 0).all() for each in near)


def test_geodesic_distances_are_shortest_paths(cut):
    surface, region = cut
    found = geodesic_distances(surface.vertices, surface.triangles, region, 41)
    middle = medoids(surface.vertices, region, 41)
    # Bellman-Ford over the edges, from three of the regions.
    edges = np.concatenate([surface.triangles[:, [i, (i + 1) % 3]] for i in range(3)])
    length = np.linalg.norm(surface.vertices[edges[:, 0]] - surface.vertices[edges[:, 1]], axis=1)
    for start in (0, 17, 40):
        away = np.full(len(region), np.inf)
        away[middle[start]] = 0
        for _ in range(200):
            before = away.copy()
            np.minimum.at(away, edges[:, 1], before[edges[:, 0]] + length)
            np.minimum.at(away, edges[:, 0], before[edges[:, 1]] + length)
            if (away == before).all():
                break
        np.testing.assert_allclose(found[start], away[middle], rtol=1e-6)
    np.testing.assert_array_equal(found, found.T)
    assert np.isinf(found[:20, 20:]).all() and np.isfinite(found[:20, :20]).all()
    straight = np.linalg.norm(
        surface.vertices[middle][:, None] - surface.vertices[middle][None], axis=2
    )
    assert (found >= straight * (1 - 1e-6)).all()


def test_too_many_regions_are_refused():
    surface = generated_cortex(1)
    for count in (1, 200):
        with pytest.raises(BidsmillError, match="cannot be cut"):
            cut_regions(surface.vertices, surface.triangles, surface.hemisphere, count)


def shell_potential(dipole, direction, points, terms=120):
    """Return the potential on four shells by its series of Legendre polynomials (unit sphere).

    In each shell A r^n + B r^-(n+1), joined at the borders; the source's own term is the
    derivative of that of a current source along the dipole. Written for this test.
    """
    radii, sigma = (0.90, 0.92, 0.97, 1.0), (0.33, 1.0, 0.004, 0.33)

    def monopole(place):
        reach = np.linalg.norm(place)
        cosine = points @ place / reach
        total = np.zeros(len(points))
        for n in range(1, terms):
            # Unknowns, scaled to the outer radius of each shell: A1, A2, B2, A3, B3, A4, B4.
            table, right = np.zeros((7, 7)), np.zeros(7)
            b1 = (reach / radii[0]) ** n / (4 * np.pi * sigma[0] * radii[0])
            for k in range(3):
                q = radii[k] / radii[k + 1]
                inner = [0] if k == 0 else [2 * k - 1, 2 * k]
                grow = [1.0] if k == 0 else [1.0, 1.0]
                slope = [n] if k == 0 else [n, -(n + 1)]
                table[2 * k, inner] = grow
                table[2 * k + 1, inner] = sigma[k] * np.array(slope)
                outer = [2 * k + 1, 2 * k + 2]
                table[2 * k, outer] = [-(q**n), -(q ** -(n + 1))]
                table[2 * k + 1, outer] = [
                    -sigma[k + 1] * n * q**n,
                    sigma[k + 1] * (n + 1) * q ** -(n + 1),
                ]
            right[0], right[1] = -b1, sigma[0] * (n + 1) * b1
            table[6, [5, 6]] = [n, -(n + 1)]
            size = np.abs(table).max(axis=0)
            solved = np.linalg.solve(table / size, right) / size
            total += (solved[5] + solved[6]) * eval_legendre(n, cosine)
        return total

    step = 1e-4 * direction
    return (monopole(dipole + step) - monopole(dipole - step)) / 2e-4


def test_the_head_of_spheres_has_the_potential_of_four_shells():
    points = load_sensors("standard_1005", 40).positions
    centre, radius = template_sphere()
    places = np.array([[0.0, 0.1, 0.55], [0.3, -0.4, 0.2], [0.1, 0.2, -0.3]])
    ways = np.array([[0.0, 0.0, 1.0], [0.6, 0.0, 0.8], [0.0, 1.0, 0.0]])
    names = tuple(f"E{number}" for number in range(40))
    skin = load_sensors("standard_1005", None).positions
    sensors = Sensors(names, ("eeg",) * 40, points, "test", None, skin)
    matrix, facts = sphere_leadfield(sensors, centre + radius * places, ways)
    assert facts["brain_scaled_by"] == 1
    assert facts["head_radius_m"] == pytest.approx(radius, abs=1e-6)
    away = points - centre
    on_skin = away / np.linalg.norm(away, axis=1, keepdims=True)
    for column in range(3):
        expected = shell_potential(places[column], ways[column], on_skin) / radius**2
        # MNE approximates the series by three dipoles in a single sphere.
        scale = np.abs(expected).max()
        np.testing.assert_allclose(
            matrix[:, column] / scale, expected / scale, atol=0.03, err_msg=str(column)
        )


def test_sensors_of_montages(tmp_path):
    chosen = load_sensors("standard_1005", 19)
    assert sorted(chosen.names) == [
        *("C3", "C4", "Cz", "F3", "F4", "F7", "F8", "Fp1", "Fp2", "Fz", "O1", "O2"),
        *("P3", "P4", "P7", "P8", "Pz", "T7", "T8"),
    ]
    cap = mne.channels.make_standard_montage("biosemi64").ch_names
    assert sorted(load_sensors("standard_1005", 64).names) == sorted(cap)
    for count in (7, 23, 200):
        chosen = load_sensors("standard_1005", count)
        assert len(set(chosen.names)) == count and "Cz" in chosen.names
        assert chosen.names == load_sensors("standard_1005", count).names
        apart = np.linalg.norm(chosen.positions[:, None] - chosen.positions[None], axis=2)
        assert (apart + np.eye(count)).min() > {7: 0.09, 23: 0.04, 200: 0.01}[count]
    by_name = load_sensors("standard_1005", ["Oz", "Fz"])
    np.testing.assert_array_equal(by_name.positions[0], [0.0001076, -0.114892, 0.014657])
    # Another template, brought into the same frame by its fiducial points.
    other = load_sensors("biosemi64", None)
    same = load_sensors("standard_1005", list(other.names))
    # Its head is a sphere of its own: what counts are directions from the centre.
    seen = []
    for sensors in (other, same):
        centre, _ = fitted_sphere(sensors.positions)
        away = sensors.positions - centre
        seen.append(away / np.linalg.norm(away, axis=1, keepdims=True))
    angles = np.degrees(np.arccos((seen[0] * seen[1]).sum(axis=1)))
    assert np.median(angles) < 10 and angles.max() < 20
    (tmp_path / "sub-1_electrodes.tsv").write_text(
        "name\tx\ty\tz\nA\t0\t90\t0\nB\t90\t0\t0\nC\t-90\t0\t0\nD\t0\t0\t90\nE\tn/a\tn/a\tn/a\n"
    )
    found = load_sensors(tmp_path / "sub-1_electrodes.tsv", None)
    assert found.names == ("A", "B", "C", "D")
    np.testing.assert_allclose(found.positions[0], [0, 0.09, 0])
    for montage, electrodes in (
        ("standard_9999", None),
        ("standard_1005", ["Cz", "QQ"]),
        ("standard_1005", ["Cz", "Cz"]),
        ("standard_1005", 10**6),
        (tmp_path / "absent_electrodes.tsv", None),
        (tmp_path / "absent.sfp", None),
    ):
        with pytest.raises(BidsmillError):
            load_sensors(montage, electrodes)


def test_fitted_sphere():
    points = RNG.normal(size=(20, 3))
    points = [1, 2, 3] + 4 * points / np.linalg.norm(points, axis=1, keepdims=True)
    centre, radius = fitted_sphere(points)
    np.testing.assert_allclose([*centre, radius], [1, 2, 3, 4])


SMALL = {"regions": 30, "electrodes": ["C3", "C4", "Cz", "Fz", "Oz", "T7", "T8", "Pz", "P3", "P4"]}


@pytest.fixture(scope="module")
def default(tmp_path_factory):
    folder = tmp_path_factory.mktemp("default")
    facts = build_anatomy(SMALL, folder / "anatomy.npz", folder / "leadfield.npz")
    return folder, facts


def test_the_default_needs_no_file(default, tmp_path):
    folder, facts = default
    anatomy = load_anatomy(folder / "anatomy.npz")
    leadfield = load_leadfield(folder / "leadfield.npz")
    assert leadfield.matrix.shape == (10, 30) and anatomy.n_regions == 30
    assert leadfield.channels == tuple(SMALL["electrodes"]) and leadfield.unit == "V/(A·m)"
    assert leadfield.reference == "average" and leadfield.provenance["rank"] == 9
    np.testing.assert_allclose(leadfield.matrix.mean(axis=0), 0, atol=1e-9)
    json.dumps(facts, allow_nan=False)
    assert facts["anatomy"]["regions"] == 30 and facts["leadfield"]["reference_before"] == "none"
    assert set(anatomy.distances) == {"geodesic", "euclidean"}
    np.testing.assert_allclose(
        anatomy.distances["euclidean"][3, 7],
        np.linalg.norm(anatomy.positions[3] - anatomy.positions[7]),
        rtol=1e-6,
    )
    # A region under C3 is seen by C3 more than by C4, and its mirror image the other way round.
    towards = leadfield.positions[0]
    near = np.argmin(np.linalg.norm(anatomy.positions - towards, axis=1))
    column = np.abs(leadfield.matrix[:, near])
    assert anatomy.hemisphere[near] == 0 and column[0] == column.max()
    again = build_anatomy(SMALL, tmp_path / "a.npz", tmp_path / "l.npz")
    assert again == facts
    for name, other in (("anatomy", "a"), ("leadfield", "l")):
        assert (folder / f"{name}.npz").read_bytes() == (tmp_path / f"{other}.npz").read_bytes()


def test_an_anatomy_is_saved_and_read_back(default, tmp_path):
    anatomy = load_anatomy(default[0] / "anatomy.npz")
    save_anatomy(anatomy, tmp_path / "x.npz")
    assert (tmp_path / "x.npz").read_bytes() == (default[0] / "anatomy.npz").read_bytes()
    by_hand = neighbours_by_hand(anatomy.triangles, anatomy.region_of_vertex, 30)
    assert [set(near.tolist()) for near in anatomy.neighbours] == by_hand
    assert anatomy.neighbours[0].dtype == np.int32 and anatomy.hemisphere.dtype == np.int8
    with pytest.raises(BidsmillError, match="not an anatomy"):
        load_anatomy(default[0] / "leadfield.npz")


def write_cortex(folder, **changes):
    """Write the generated cortex in the form of DeepSIF, small."""
    surface = generated_cortex(2)
    region = cut_regions(surface.vertices, surface.triangles, surface.hemisphere, 12)
    near = touching_regions(surface.triangles, region, 12)
    lists = np.empty((1, 12), object)
    lists[0, :] = [each + 1.0 for each in near]
    cortex = {"pos": surface.vertices * 1000, "tri": (surface.triangles + 1).astype(np.uint16)}
    mapping = {"rm": region.astype(np.uint16)[None], "nbs": lists, **changes}
    scipy.io.savemat(folder / "fs_cortex_20k.mat", cortex)
    scipy.io.savemat(folder / "fs_cortex_20k_region_mapping.mat", mapping)
    scipy.io.savemat(folder / "fs_cortex_20k_inflated.mat", {"pos": surface.vertices * 1500})
    scipy.io.savemat(folder / "leadfield_75_20k.mat", {"fwd": RNG.normal(size=(4, 12))})
    electrodes = np.zeros(4, dtype=[(key, object) for key in ("labels", "X", "Y", "Z")])
    for row, (name, x, y) in enumerate(
        [("Fz", 80, 0), ("Oz", -90, 0), ("T7", 0, 80), ("T8", 0, -80)]
    ):
        electrodes[row] = (name, float(x), float(y), 10.0)
    scipy.io.savemat(folder / "electrode_75.mat", {"eloc75": electrodes[None]})
    return surface, region, near


def test_a_folder_like_that_of_deepsif(tmp_path):
    surface, region, near = write_cortex(tmp_path)
    settings = {"kind": "files", "folder": str(tmp_path)}
    build_anatomy(settings, tmp_path / "a.npz", tmp_path / "l.npz")
    anatomy, leadfield = load_anatomy(tmp_path / "a.npz"), load_leadfield(tmp_path / "l.npz")
    np.testing.assert_array_equal(anatomy.region_of_vertex, region)
    np.testing.assert_allclose(anatomy.vertices, surface.vertices)
    np.testing.assert_allclose(anatomy.inflated, surface.vertices * 1.5)
    assert [a.tolist() for a in anatomy.neighbours] == [a.tolist() for a in near]
    assert leadfield.channels == ("Fz", "Oz", "T7", "T8")
    # EEGLAB's x is the nose, its y the left ear, in mm.
    np.testing.assert_allclose(leadfield.positions[[0, 2]], [[0, 0.08, 0.01], [-0.08, 0, 0.01]])
    fwd = scipy.io.loadmat(tmp_path / "leadfield_75_20k.mat")["fwd"]
    np.testing.assert_allclose(leadfield.matrix, fwd - fwd.mean(axis=0))
    # The same cortex, cut anew, with spheres for a montage in place of the lead field.
    own = {
        **{"kind": "files", "cortex": str(tmp_path / "fs_cortex_20k.mat"), "regions": 8},
        **{"montage": "standard_1005", "electrodes": ["Cz", "Oz", "T7"], "aggregate": "area_mean"},
    }
    facts = build_anatomy(own, tmp_path / "a.npz", tmp_path / "l.npz")
    assert facts["leadfield"]["shape"] == [3, 8] and facts["anatomy"]["regions"] == 8


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rm": np.zeros((1, 7))}, "differ in their vertices"),
        ({"rm": np.arange(324)[None] % 5 + 7}, "not counted from 0 or 1"),
        ({"rm": np.arange(324)[None] % 12 / 2}, "whole numbers"),
        ({"rm": np.arange(324)[None] % 12}, "both hemispheres"),
        ({"nbs": np.array([[np.array([1.0]), np.array([2.0])]], object)}, "lists of neighbours"),
        ({"nbs": np.array([[np.array([99.0])] * 12, [0] * 12], object)[:1]}, "do not exist"),
    ],
)
def test_mappings_that_do_not_fit(tmp_path, change, message):
    write_cortex(tmp_path, **change)
    settings = {"kind": "files", "folder": str(tmp_path)}
    with pytest.raises(BidsmillError, match=message):
        build_anatomy(settings, tmp_path / "a.npz", tmp_path / "l.npz")
    assert not (tmp_path / "a.npz").exists()


def test_one_way_links_are_taken_both_ways(tmp_path):
    _, _, near = write_cortex(tmp_path)
    lists = np.empty((1, 12), object)
    lists[0, :] = [each + 1.0 for each in near]
    dropped = int(lists[0, 0][0]) - 1
    lists[0, 0] = lists[0, 0][1:]
    surface, _, _ = write_cortex(tmp_path, nbs=lists)
    surface = read_cortex(tmp_path / "fs_cortex_20k.mat")
    _, found, facts = read_regions(tmp_path / "fs_cortex_20k_region_mapping.mat", surface)
    assert dropped in found[0] and facts["one_way_links"] == 1
    assert facts["links"] == sum(map(len, near)) - 1


def test_surfaces_of_freesurfer_and_damage(tmp_path):
    surface = generated_cortex(2)
    head = b"\xff\xff\xfecreated by a test\n\n" + struct.pack(">ii", 162, 320)
    for side, name in enumerate(("lh.pial", "rh.pial")):
        points = surface.vertices[surface.hemisphere == side] * 1000
        corners = surface.triangles[320 * side : 320 * side + 320] - 162 * side
        content = head + points.astype(">f4").tobytes() + corners.astype(">i4").tobytes()
        (tmp_path / name).write_bytes(content)
    found = read_cortex([tmp_path / "lh.pial", tmp_path / "rh.pial"])
    np.testing.assert_allclose(found.vertices, surface.vertices, atol=1e-7)
    np.testing.assert_array_equal(found.triangles, surface.triangles)
    np.testing.assert_array_equal(found.hemisphere, surface.hemisphere)
    # Brainstorm: the same surface, with x to the nose and y to the left.
    turned = np.column_stack(
        [surface.vertices[:, 1], -surface.vertices[:, 0], surface.vertices[:, 2]]
    )
    scipy.io.savemat(tmp_path / "bs.mat", {"Vertices": turned, "Faces": surface.triangles + 1.0})
    brainstorm = read_cortex(tmp_path / "bs.mat")
    np.testing.assert_allclose(brainstorm.vertices, surface.vertices)
    np.testing.assert_array_equal(brainstorm.hemisphere, surface.hemisphere)
    (tmp_path / "lh.pial").write_bytes(head)
    with pytest.raises(BidsmillError, match="FreeSurfer"):
        read_cortex([tmp_path / "lh.pial", tmp_path / "rh.pial"])
    cortex = {"pos": surface.vertices, "tri": surface.triangles + 1}
    for change in ({"tri": surface.triangles + 5}, {"pos": surface.vertices * 7}, {"pos": "x"}):
        scipy.io.savemat(tmp_path / "x.mat", {**cortex, **change})
        with pytest.raises(BidsmillError):
            read_cortex(tmp_path / "x.mat")


def test_settings_that_cannot_be():
    for wrong in (
        {"kind": "best"},
        {"region": 3},
        {"kind": "files"},
        {"kind": "files", "folder": "x"},
    ):
        with pytest.raises(BidsmillError):
            resolved(wrong)


def test_electrodes_and_magnetometers_of_a_recording(default, tmp_path):
    info = mne.create_info(["Cz", "M1", "M2", "C4"], 100.0, ["eeg", "mag", "mag", "eeg"])
    places = dict(zip(("Cz", "C4"), ([0, 0, 0.13], [0.07, 0, 0.1]), strict=True))
    info.set_montage(mne.channels.make_dig_montage(places, coord_frame="head"))
    for channel, x in ((info["chs"][1], -0.05), (info["chs"][2], 0.05)):
        # A coil above the head, flat (its normal is z).
        channel["loc"][:] = [x, 0, 0.16, 1, 0, 0, 0, 1, 0, 0, 0, 1]
        channel["coil_type"] = 3024
    with info._unlock():
        info["dev_head_t"] = mne.transforms.Transform("meg", "head")
    mne.io.write_info(tmp_path / "x-info.fif", info)
    build_anatomy(
        {"montage": str(tmp_path / "x-info.fif"), "regions": 30},
        tmp_path / "a.npz",
        tmp_path / "l.npz",
    )
    found = load_leadfield(tmp_path / "l.npz")
    assert found.types == ("eeg", "mag", "mag", "eeg")
    assert found.unit == "V/(A·m), T/(A·m)" and found.provenance["rank"] == 3
    mag = found.matrix[found.rows("mag")]
    assert np.abs(mag.mean(axis=0)).max() > 1e-3 * np.abs(mag).max()
    np.testing.assert_allclose(found.matrix[found.rows("eeg")].sum(axis=0), 0, atol=1e-6)
    # Left and right hemisphere mirror each other, and so do coils to the left and right of it.
    anatomy = load_anatomy(tmp_path / "a.npz")
    mirrored = anatomy.positions[15:] * [-1, 1, 1]
    order = np.argmin(np.linalg.norm(anatomy.positions[:15, None] - mirrored[None], axis=2), axis=1)
    assert np.corrcoef(-mag[0, :15], mag[1, 15:][order])[0, 1] > 0.9


@pytest.fixture(scope="module")
def real(corpus, tmp_path_factory):
    folder = tmp_path_factory.mktemp("real")
    settings = {"kind": "files", "folder": str(corpus / "deepsif-anatomy")}
    facts = build_anatomy(settings, folder / "a.npz", folder / "l.npz")
    return load_anatomy(folder / "a.npz"), load_leadfield(folder / "l.npz"), facts, corpus


@pytest.mark.corpus
def test_facts_of_the_real_anatomy(corpus):
    folder = corpus / "deepsif-anatomy"
    sensors = load_sensors(folder / "electrode_75.mat", None)
    leadfield = load_leadfield(folder / "leadfield_75_20k.mat", sensors=sensors, n_regions=994)
    assert leadfield.provenance["rank"] == 75 and leadfield.reference == "none"
    np.testing.assert_allclose(
        leadfield.provenance["column_norms"]["eeg"], [171, 845, 5891], atol=0.5
    )
    assert (leadfield.matrix.min().round(), leadfield.matrix.max().round()) == (-1556, 1252)
    assert np.abs(leadfield.matrix.mean(axis=0)).max().round() == 142
    averaged = average_reference(leadfield)
    assert np.linalg.matrix_rank(averaged.matrix) == 74
    assert leadfield.channels[0] == "Fp1" and leadfield.channels[-1] == "TP10"
    # The nose is in front, the left ear left.
    places = dict(zip(leadfield.channels, leadfield.positions, strict=True))
    assert places["Nz"][1] > 0.08 and places["T7"][0] < -0.07 and places["Oz"][1] < -0.08
    surface = read_cortex(folder / "fs_cortex_20k.mat")
    region, near, facts = read_regions(folder / "fs_cortex_20k_region_mapping.mat", surface)
    assert (facts["links"], facts["one_way_links"]) == (6304, 6304 - 6092)
    assert facts["regions_counted_from"] == 0 and len(near) == 994
    count = np.bincount(region)
    assert (count.min(), np.median(count), count.max()) == (4, 18, 156)
    # The size of a region decides the size of its column: columns are sums over vertices.
    norms = np.linalg.norm(leadfield.matrix, axis=0)
    assert np.corrcoef(count, norms)[0, 1] == pytest.approx(0.90, abs=0.01)
    side = np.array([surface.hemisphere[region == each][0] for each in range(994)])
    assert (side == 0).sum() == 494
    assert all((side[others] == side[each]).all() for each, others in enumerate(near))
    assert enclosed_volume(surface.vertices, surface.triangles) > 0


@pytest.mark.corpus
@pytest.mark.long
def test_distances_of_the_real_anatomy(real):
    anatomy, leadfield, facts, _ = real
    assert facts["anatomy"]["regions"] == 994 and leadfield.provenance["rank"] == 74
    assert facts["leadfield"]["rank_before"] == 75
    layers = [[], [], []]
    for region in range(994):
        seen, ring = {region}, {region}
        for layer in layers:
            ring = {int(n) for r in ring for n in anatomy.neighbours[r]} - seen
            seen |= ring
            layer.extend((region, other) for other in ring)
    for metric, expected in (("euclidean", (11.1, 19.4, 27.1)), ("geodesic", (14.5, 27.2, 40.8))):
        table = anatomy.distances[metric]
        medians = [1000 * np.median([table[pair] for pair in layer]) for layer in layers]
        np.testing.assert_allclose(medians, expected, rtol=0.03)
    across = anatomy.hemisphere[:, None] != anatomy.hemisphere[None]
    assert 1000 * anatomy.distances["euclidean"][across].min() == pytest.approx(3.9, abs=0.05)
    geodesic = anatomy.distances["geodesic"]
    assert np.isinf(geodesic[across]).all()
    assert 1000 * geodesic[~across].max() == pytest.approx(257, abs=1)


@pytest.mark.corpus
@pytest.mark.long
def test_the_head_of_spheres_agrees_with_the_real_lead_field(real, tmp_path):
    _, leadfield, _, corpus = real
    known = load_sensors("standard_1005", None).names
    common = [name for name in leadfield.channels if name in known]
    assert len(common) == 72
    settings = {
        **{"kind": "files", "folder": str(corpus / "deepsif-anatomy"), "electrodes": common},
        **{"montage": "standard_1005"},
    }
    # Without its own lead field: the folder's is set aside.
    chosen = {key: value for key, value in resolved(settings).items() if key != "leadfield"}
    chosen["folder"] = None
    build_anatomy(chosen, tmp_path / "a.npz", tmp_path / "l.npz")
    spheres = load_leadfield(tmp_path / "l.npz").matrix
    given = leadfield.matrix[[leadfield.channels.index(name) for name in common]]
    given = given - given.mean(axis=0)
    r = (spheres * given).sum(axis=0) / np.linalg.norm(spheres, axis=0)
    r = r / np.linalg.norm(given, axis=0)
    assert np.median(r) == pytest.approx(0.91, abs=0.02)
    assert (r > 0.8).mean() > 0.9
