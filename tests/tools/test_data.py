import numpy as np
import pytest
import skimage.data
from PIL import Image

from npscatter.errors import ArgumentError, ArgumentTypeError
from tools import data

# Grey levels


def test_grey_weighs_colours_by_bt601():
    image = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]]], np.uint8)
    levels = data.grey(image)
    assert levels.dtype == np.float32
    np.testing.assert_allclose(levels, [[0.299, 0.587, 0.114, 1]], atol=1e-6)
    assert levels.max() <= 1


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (np.array([[0, 51, 255]], np.uint8), [[0, 0.2, 1]]),
        (np.array([[0, 13107, 65535]], np.uint16), [[0, 0.2, 1]]),
        (np.array([[0, 13107, 65535]], ">u2"), [[0, 0.2, 1]]),
        (np.array([[False, True]]), [[0, 1]]),
        (np.array([[0.25, 1.0]]), [[0.25, 1]]),
        (np.array([[[51, 0]]], np.uint8), [[0.2]]),
        (np.array([[[51]]], np.uint8), [[0.2]]),
        (np.array([[[51, 51, 51, 0]]], np.uint8), [[0.2]]),
    ],
)
def test_grey_takes_every_type_and_alpha(image, expected):
    levels = data.grey(image)
    assert levels.dtype == np.float32
    np.testing.assert_allclose(levels, expected, atol=1e-6)


@pytest.mark.parametrize(
    "image",
    [
        np.full((2, 2), 1.5),
        np.full((2, 2), -0.1),
        np.full((2, 2), np.nan),
        np.zeros((2, 2), np.int32),
        np.zeros((2, 2), np.uint32),
        np.zeros((2, 2, 5), np.uint8),
        np.zeros((2, 2, 2, 3), np.uint8),
        np.zeros(4, np.uint8),
        np.zeros((0, 2), np.uint8),
    ],
)
def test_grey_refuses_other_images(image):
    with pytest.raises(ValueError, match=r"image(\.shape)?=.*: .*must (be|hold)"):
        data.grey(image)


# Packaged photographs, random images


def test_splits_are_disjoint_and_whole():
    learning, held_out = set(data.LEARNING_PHOTOGRAPHS), set(data.HELD_OUT_PHOTOGRAPHS)
    assert not learning & held_out
    assert len(learning) == len(data.LEARNING_PHOTOGRAPHS) == 10
    assert len(held_out) == len(data.HELD_OUT_PHOTOGRAPHS) == 6


@pytest.mark.parametrize(
    ("split", "names"),
    [("learning", data.LEARNING_PHOTOGRAPHS), ("held-out", data.HELD_OUT_PHOTOGRAPHS)],
)
def test_packaged_photographs_are_grey_levels(split, names):
    photographs = data.packaged_photographs(split)
    assert tuple(photographs) == names
    for photograph in photographs.values():
        assert photograph.dtype == np.float32
        assert photograph.ndim == 2
        assert min(photograph.shape) >= 256
        assert 0 <= photograph.min() < 0.3
        assert 0.5 < photograph.max() <= 1
    contents = [photograph.tobytes() for photograph in photographs.values()]
    assert len(set(contents)) == len(names)


def test_packaged_photograph_holds_the_published_pixels():
    camera = data.packaged_photographs("held-out")["camera"]
    np.testing.assert_array_equal(np.rint(camera * 255), skimage.data.camera())


def test_packaged_photographs_refuse_other_splits():
    with pytest.raises(ValueError, match=r"split='test': must be 'learning' or 'held-out'"):
        data.packaged_photographs("test")


def test_random_images_are_standard_normal_and_seeded():
    images = data.random_images(20, (30, 40), seed=3)
    assert images.shape == (20, 30, 40)
    assert images.dtype == np.float32
    assert abs(images.mean()) < 0.03
    assert abs(images.std() - 1) < 0.03
    np.testing.assert_array_equal(images, data.random_images(20, (30, 40), seed=3))
    assert not np.array_equal(images, data.random_images(20, (30, 40), seed=4))
    assert data.random_images(1, 8, seed=0).shape == (1, 8, 8)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((0, (4, 4), 0), ArgumentError, "count=0: must be at least 1"),
        ((1.5, (4, 4), 0), ArgumentTypeError, "count=1.5: must be an integer"),
        ((True, (4, 4), 0), ArgumentTypeError, "count=True"),
        ((1, (4, 0), 0), ArgumentError, "shape=0"),
        ((1, (4, 4, 4), 0), ArgumentTypeError, r"shape=\(4, 4, 4\)"),
        ((1, (4, 4), -1), ArgumentError, "seed=-1"),
    ],
)
def test_random_images_refuse_bad_arguments(arguments, error, message):
    with pytest.raises(error, match=message):
        data.random_images(*arguments)


# Folders of photographs


def test_folder_keeps_readable_pictures_and_reports_the_others(tmp_path):
    colour = np.zeros((5, 7, 3), np.uint8)
    colour[..., 1] = 255
    Image.fromarray(colour).save(tmp_path / "b_colour.png")
    Image.fromarray(np.full((4, 6), 13107, np.uint16)).save(tmp_path / "a_sixteen.png")
    noise = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "cut.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "cut.png").read_bytes()[:2000])
    Image.fromarray(np.full((4, 4), 70000, np.int32)).save(tmp_path / "wide.tiff")
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / ".hidden").write_text("passed over")
    (tmp_path / "inner.png").mkdir()

    photographs, unreadable = data.photographs_in_folder(tmp_path)

    assert list(photographs) == ["a_sixteen.png", "b_colour.png"]
    assert all(photograph.dtype == np.float32 for photograph in photographs.values())
    np.testing.assert_allclose(photographs["a_sixteen.png"], np.full((4, 6), 0.2), atol=1e-6)
    np.testing.assert_allclose(photographs["b_colour.png"], np.full((5, 7), 0.587), atol=1e-6)
    reasons = dict(unreadable)
    assert list(reasons) == ["cut.png", "notes.txt", "wide.tiff"]
    assert reasons["cut.png"].startswith("cannot be read (")
    assert reasons["notes.txt"].startswith("not a picture in a format that is read: PNG, JPEG")
    assert reasons["wide.tiff"].startswith("samples of 32 bits, signed or floating-point have no")


def test_folder_reads_palettes_by_their_colours(tmp_path):
    Image.new("RGB", (3, 2), (0, 0, 255)).convert("P").save(tmp_path / "palette.png")
    photographs, _ = data.photographs_in_folder(tmp_path)
    np.testing.assert_allclose(photographs["palette.png"], np.full((2, 3), 0.114), atol=1e-6)


def test_folder_turns_pictures_as_their_orientation_says(tmp_path):
    levels = np.arange(6, dtype=np.uint8).reshape(2, 3) * 51
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn clockwise
    Image.fromarray(levels).save(tmp_path / "turned.png", exif=exif)
    photographs, _ = data.photographs_in_folder(tmp_path)
    expected = np.rot90(levels, -1).astype(np.float32) / np.float32(255)
    np.testing.assert_array_equal(photographs["turned.png"], expected)


def test_folder_without_pictures_is_refused(tmp_path):
    with pytest.raises(ValueError, match="at least one readable picture, but holds no files"):
        data.photographs_in_folder(tmp_path)
    (tmp_path / "notes.txt").write_text("no picture")
    with pytest.raises(ValueError, match=r"but holds notes\.txt \(not a picture"):
        data.photographs_in_folder(tmp_path)
    with pytest.raises(ValueError, match="must be a folder"):
        data.photographs_in_folder(tmp_path / "notes.txt")
    with pytest.raises(FileNotFoundError, match=r"path='.*absent': must exist"):
        data.photographs_in_folder(tmp_path / "absent")


# Crops


def coordinates(height, width, offset):
    """Give a picture whose pixels tell their own place."""
    return (offset + np.arange(height * width, dtype=np.float32)).reshape(height, width)


def test_crops_are_pieces_taken_evenly():
    photographs = {
        "a": coordinates(9, 12, 0),
        "b": coordinates(8, 10, 1000),
        "small": coordinates(20, 4, 2000),
    }
    pieces = data.crops(photographs, (8, 5), count=41, seed=0)
    assert pieces.shape == (41, 8, 5)
    assert pieces.dtype == np.float32
    from_b = pieces[:, 0, 0] >= 1000
    assert sorted([from_b.sum(), (~from_b).sum()]) == [20, 21]
    assert pieces.max() < 2000
    corners = set()
    for piece, b in zip(pieces, from_b, strict=True):
        source = photographs["b" if b else "a"]
        top, left = np.argwhere(source == piece[0, 0])[0]
        np.testing.assert_array_equal(piece, source[top : top + 8, left : left + 5])
        corners.add((bool(b), int(top), int(left)))
    assert {top for b, top, _ in corners if not b} == {0, 1}
    assert {left for b, _, left in corners if b} == set(range(6))


def test_crops_follow_the_seed_and_not_the_order():
    photographs = {"a": coordinates(30, 30, 0), "b": coordinates(30, 30, 1000)}
    pieces = data.crops(photographs, 8, count=6, seed=5)
    assert pieces.shape == (6, 8, 8)
    turned = dict(reversed(photographs.items()))
    np.testing.assert_array_equal(pieces, data.crops(turned, 8, count=6, seed=5))
    assert not np.array_equal(pieces, data.crops(photographs, 8, count=6, seed=6))


def test_crops_as_large_as_the_photograph():
    photograph = coordinates(6, 7, 0)
    pieces = data.crops({"a": photograph}, (6, 7), count=2, seed=0)
    np.testing.assert_array_equal(pieces, [photograph, photograph])


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (
            {"size": 9},
            ArgumentError,
            r"size=9: .* that large, but their shapes are \{'a': \(8, 10\)\}",
        ),
        ({"photographs": {}}, ArgumentError, r"size=8: .* their shapes are \{\}"),
        ({"size": (8, 0)}, ArgumentError, "size=0: must be at least 1"),
        ({"size": (8, 8, 3)}, ArgumentTypeError, r"size=\(8, 8, 3\): must be a pair \(height"),
        ({"count": 0}, ArgumentError, "count=0"),
        ({"seed": None}, ArgumentTypeError, "seed=None"),
        (
            {"photographs": {"c": np.zeros((9, 9, 3))}},
            ArgumentError,
            r"photographs\['c'\]\.shape=\(9, 9, 3\)",
        ),
    ],
)
def test_crops_refuse_bad_arguments(change, error, message):
    arguments = {"photographs": {"a": coordinates(8, 10, 0)}, "size": 8, "count": 1, "seed": 0}
    with pytest.raises(error, match=message):
        data.crops(**{**arguments, **change})
