import json

import numpy as np
import pytest
from PIL import Image

from benchmarks.paper import stability
from benchmarks.paper.experiment import Settings
from benchmarks.tables import number
from tools import distances, disturbances


@pytest.fixture(scope="module")
def pictures():
    return np.random.default_rng(3).standard_normal((2, 3, 20, 24)).astype(np.float32)


# Disturbances


def test_noise_has_its_sigma_and_grows_in_proportion(pictures):
    zeros = np.zeros((50, 64, 64), np.float32)
    drawn = disturbances.noise(zeros, 0.7, 5)
    assert drawn.dtype == np.float32
    assert abs(drawn.std() - 0.7) < 0.005 and abs(drawn.mean()) < 0.005
    np.testing.assert_allclose(disturbances.noise(zeros, 1.4, 5), 2 * drawn, rtol=1e-6)
    assert not np.allclose(disturbances.noise(zeros, 0.7, 6), drawn)


def test_shift_moves_down_and_right_out_of_the_margin(pictures):
    moved = disturbances.shift(pictures, 2, 1, margin=4)
    np.testing.assert_allclose(moved, pictures[..., 2:14, 3:19], atol=1e-5)
    assert moved.dtype == np.float32


def test_shift_without_margin_mirrors(pictures):
    mirrored = np.pad(pictures, ((0, 0), (0, 0), (3, 0), (0, 0)), "reflect")[..., :20, :]
    np.testing.assert_allclose(disturbances.shift(pictures, 3, 0), mirrored, atol=1e-5)


def test_deformation_reads_at_u_minus_tau():
    # A spline gives polynomials back, away from where they are mirrored.
    down, right = np.indices((80, 80))[:, None]
    ramp = (2.0 * down - 3.0 * right)[0]
    tau = disturbances.displacement_field((32, 32), 2, 15.5, 1)
    rows, columns = np.indices((32, 32)) + 24 - tau
    moved = disturbances.deform(ramp, tau, margin=24)
    np.testing.assert_allclose(moved, 2 * rows - 3 * columns, atol=1e-6)


def test_field_without_its_shape_is_refused(pictures):
    with pytest.raises(ValueError, match=r"must be \(2, 12, 16\)"):
        disturbances.deform(pictures, np.zeros((2, 20, 24)), margin=4)


def test_displacements_have_their_std_at_the_nodes():
    fields = np.stack([disturbances.displacement_field((33, 65), 3, 16, i) for i in range(400)])
    nodes = fields[:, :, ::16, ::16]
    assert nodes.shape == (400, 2, 3, 5)
    assert abs(nodes.std() - 3) < 0.1 and abs(nodes.mean()) < 0.1
    assert abs(np.corrcoef(nodes[:, 0, 1, 1], nodes[:, 0, 1, 2])[0, 1]) < 0.15
    assert 0.7 < np.sqrt(np.square(fields).mean()) / 3 < 0.9
    twice = disturbances.displacement_field((33, 65), 6, 16, 0)
    np.testing.assert_allclose(twice, 2 * fields[0], atol=1e-9)


# Measures


@pytest.fixture(scope="module")
def coefficients():
    order = np.array([0, 1, 1, 2])
    S = np.random.default_rng(4).uniform(0.5, 1.5, (5, 3, 4, 2, 2)).astype(np.float32)
    moved = S + 0.1 * np.random.default_rng(5).standard_normal(S.shape).astype(np.float32)
    return S, moved, order


def test_measures_from_their_definitions(coefficients):
    S, V, order = coefficients
    moments = distances.Moments(S, order)
    found = moments.measures(distances.energy(S - V), 0.25, moments)
    s, v = S[:, :, 1:3].astype(float), V[:, :, 1:3].astype(float)
    apart = [((s[i] - s[j]) ** 2).sum() for i in range(5) for j in range(5) if i != j]
    within = np.mean([((a - b) ** 2).sum() for a, b in zip(s, v, strict=True)])
    assert found["raw"]["whole"] == pytest.approx(np.mean((S - V) ** 2), rel=1e-5)
    ratio = np.linalg.norm(s - v) / np.linalg.norm(s) / 0.25
    assert found["normalised"]["S1"] == pytest.approx(ratio, rel=1e-5)
    assert found["within/between"]["S1"] == pytest.approx(np.sqrt(within / np.mean(apart)), 1e-5)
    shares = sum(found["raw"][f"S{k}"] for k in (0, 1, 2))
    assert shares == pytest.approx(found["raw"]["whole"])


def test_shrinking_helps_the_raw_distance_only(coefficients):
    S, V, order = coefficients
    teacher = distances.Moments(S, order)
    small = (np.array([0.5, 0.1, 0.1, 0.01])[:, None, None]).astype(np.float32)
    kept = teacher.measures(distances.energy(S - V), 0.25, teacher)
    moments = distances.Moments(small * S, order)
    shrunk = moments.measures(distances.energy(small * (S - V)), 0.25, teacher)
    assert shrunk["raw"]["S1"] == pytest.approx(0.01 * kept["raw"]["S1"], rel=1e-5)
    assert shrunk["gain-matched"] == pytest.approx(kept["gain-matched"], rel=1e-4)
    for measure in ("normalised", "within/between"):
        for group in ("S0", "S1", "S2"):
            assert shrunk[measure][group] == pytest.approx(kept[measure][group], rel=1e-4)


def test_only_the_distance_between_images_finds_out_a_constant(coefficients):
    S, V, order = coefficients
    teacher = distances.Moments(S, order)
    views = distances.controls(S, order)
    found = {}
    for name, view in views.items():
        moments = distances.Moments(view(S), order)
        found[name] = moments.measures(distances.energy(view(S) - view(V)), 0.25, teacher)
    constant, kymatio = found[distances.CONSTANT], found[distances.KYMATIO]
    for measure in ("raw", "gain-matched", "normalised"):
        assert constant[measure]["whole"] < 0.05 * kymatio[measure]["whole"]
    assert constant["within/between"]["whole"] == pytest.approx(1, abs=0.25)
    assert kymatio["within/between"]["whole"] < 0.5
    assert set(found[distances.AVERAGING]["normalised"]) == {"whole", "S0"}


def test_error_at_the_best_gain_ignores_the_gain(coefficients):
    S, V, order = coefficients
    found = distances.against_teacher(np.float32(0.1) * V, S, order)["error at the best gain"]
    s, v = (a[:, :, 3].astype(float).ravel() for a in (S, V))
    best = np.linalg.lstsq(v[:, None], s, rcond=None)[0][0]
    expected = np.linalg.norm(best * v - s) / np.linalg.norm(s)
    assert found["S2"] == pytest.approx(expected, rel=1e-4)
    none = distances.against_teacher(np.zeros_like(S), S, order)["error at the best gain"]
    assert none["whole"] == 1


# Images and the whole experiment


@pytest.fixture
def cifar10(tmp_path):
    """Ten smooth colour images as CIFAR-10 is published, and their levels (10, 3, 32, 32)."""
    coarse = np.random.default_rng(8).integers(0, 256, (10, 3, 8, 8), np.uint8)
    levels = coarse.repeat(4, axis=2).repeat(4, axis=3)
    records = np.concatenate([np.full((10, 1), 3, np.uint8), levels.reshape(10, -1)], axis=1)
    (tmp_path / "test_batch.bin").write_bytes(records.tobytes())
    return tmp_path, levels


def test_published_images_are_taken_as_they_are(tmp_path):
    folder = tmp_path / "val" / "images"
    folder.mkdir(parents=True)
    levels = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), dtype=np.uint8)
    for index, picture in enumerate(levels):
        Image.fromarray(picture).save(folder / f"val_{index}.JPEG", quality=100, subsampling=0)
    (tmp_path / "wnids.txt").write_text("n1\n")
    lines = (f"val_{index}.JPEG\tn1\t0\t0\t1\t1\n" for index in range(3))
    (tmp_path / "val" / "val_annotations.txt").write_text("".join(lines))
    (given,) = stability.image_sets(Settings(tiny_imagenet=tmp_path), 2)
    assert given.images.shape == (2, 3, 64, 64) and given.margin == 0
    assert "stand-in" not in given.words + given.name
    assert abs(given.images.mean()) < 1e-5 and abs(given.images.std() - 1) < 1e-5
    for plane in range(3):
        same = np.corrcoef(given.images[1, plane].ravel(), levels[1, :, :, plane].ravel())[0, 1]
        assert same > 0.95


def test_stand_in_has_colours_from_one_place_and_says_so():
    (given,) = stability.image_sets(Settings(), 12)
    assert given.words.startswith("stand-in for Tiny ImageNet, which was not at hand")
    frames = disturbances.frame(given.images, given.margin)
    assert frames.shape == (12, 3, 64, 64)
    assert abs(frames.mean()) < 1e-5 and abs(frames.std() - 1) < 1e-5
    correlations = [np.corrcoef(image[0].ravel(), image[1].ravel())[0, 1] for image in frames]
    assert np.median(correlations) > 0.8
    assert sum(np.array_equal(image[0], image[1]) for image in frames) == 4


def test_cifar10_is_another_set_in_its_own_colours(cifar10):
    path, levels = cifar10
    given, other = stability.image_sets(Settings(cifar10=path), 7)
    assert given.margin == 0 and "first 7 test images" in given.words
    assert "stand-in for Tiny ImageNet" in other.words
    chosen = levels[:7].astype(float)
    np.testing.assert_allclose(given.images, (chosen - chosen.mean()) / chosen.std(), atol=1e-5)


def test_experiment_in_small(monkeypatch, cifar10):
    class Small(Settings):
        def choose(self, reduced, full):
            return 8

    sweeps = {"noise": (0.7, 1.4), "shift": (2.0, 4.0), "deformation": (1.0, 3.0)}
    monkeypatch.setattr(stability, "SWEEPS", sweeps)
    result = stability.measure(Small(cifar10=cifar10[0]))
    told = {"environment": {"command": "this", "cpu": "a CPU", "threads": 2}}
    result = json.loads(json.dumps({"setting": "reduced", **told, **result}, allow_nan=False))
    assert [one["side"] for one in result["sets"].values()] == [32, 64]
    for one in result["sets"].values():
        check_set(one)
    steep, gentle = (one["deformations"] for one in result["sets"].values())
    ratio = steep["max |grad tau|, median"] / gentle["max |grad tau|, median"]
    assert ratio == pytest.approx(63 / 31, rel=0.1)
    assert len(stability.draw(result).axes) == 24
    page = stability.section(result)
    assert "| noise | *printed* | 0.49 | 0.00162 |  |  | 0.000192 |  |  |" in page
    for name, one in result["sets"].items():
        shown = f"| noise | {name} | {number(one['table'][0]['pixels']['raw']['whole'])} |"
        assert shown in page and page.count(f"| {name} |") == 3 * 4 + 3
    assert "CIFAR-10's first 8 test images" in page and "not at hand: 8 colour crops" in page


def check_set(found):
    for row in found["table"]:
        assert row["accurate"]["raw"]["S1"] == pytest.approx(row["Kymatio"]["raw"]["S1"], rel=0.02)
        swept = [s for s in found["sweeps"] if s["kind"] == row["kind"]]
        at_same = next(s for s in swept if s["strength"] == row["strength"])
        assert at_same["Kymatio"] == row["Kymatio"]
    assert found["table"][0]["pixels"]["raw"]["whole"] == pytest.approx(0.49, rel=0.05)
    errors = found["undisturbed, against Kymatio"]
    assert errors["accurate"]["error at the best gain"]["S2"] < 0.02
    assert errors["paper"]["error at the best gain"]["S2"] > 0.2
