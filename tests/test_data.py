import io
import pickle
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tools import data

TRAIN_BATCHES = [f"data_batch_{number}" for number in range(1, 6)]
CLASSES = ["n02124075", "n01443537"]


class Python2Pickler(pickle._Pickler):
    """Write as Python 2 did: byte strings, protocol 2, NumPy 1 addresses."""

    dispatch = pickle._Pickler.dispatch.copy()

    def __init__(self, file):
        super().__init__(file, protocol=2)

    def save_string(self, text):
        content = text if isinstance(text, bytes) else text.encode("ascii")
        self.write(pickle.BINSTRING + len(content).to_bytes(4, "little") + content)
        self.memoize(text)

    def save_flag(self, flag):
        self.save_long(int(flag))

    def save_global(self, thing, name=None):
        if thing.__name__ == "_reconstruct":
            self.write(pickle.GLOBAL + b"numpy.core.multiarray\n_reconstruct\n")
            self.memoize(thing)
        else:
            super().save_global(thing, name)

    dispatch[bytes] = save_string
    dispatch[str] = save_string
    dispatch[bool] = save_flag
    dispatch[type] = save_global


def python2_pickle(content):
    file = io.BytesIO()
    Python2Pickler(file).dump(content)
    return file.getvalue()


def cifar_records(seed, count=3):
    generator = np.random.default_rng(seed)
    pixels = generator.integers(0, 256, (count, 3, 32, 32), dtype=np.uint8)
    return pixels, generator.integers(0, 10, count)


def write_cifar(folder, version):
    """Write six small batches and return their pixels and labels by name."""
    folder.mkdir(parents=True)
    batches = {}
    for seed, name in enumerate([*TRAIN_BATCHES, "test_batch"]):
        pixels, labels = batches[name] = cifar_records(seed)
        flat = pixels.reshape(len(pixels), -1)
        if version == "binary":
            records = np.hstack([labels[:, None].astype(np.uint8), flat])
            (folder / f"{name}.bin").write_bytes(records.tobytes())
        else:
            batch = {"batch_label": name, "labels": labels.tolist(), "data": flat}
            (folder / name).write_bytes(python2_pickle(batch))
    (folder / "batches.meta").write_bytes(b"not read")
    return batches


def pack_tar(folder, archive):
    with tarfile.open(archive, "w:gz") as packed:
        packed.add(folder, arcname=folder.name)
    return archive


def pack_zip(folder, archive):
    with zipfile.ZipFile(archive, "w") as packed:
        for file in sorted(folder.rglob("*")):
            packed.write(file, Path(folder.name) / file.relative_to(folder))
    return archive


def save_jpeg(file, colour, side=64):
    file.parent.mkdir(parents=True, exist_ok=True)
    mode = "L" if isinstance(colour, int) else "RGB"
    Image.new(mode, (side, side), colour).save(file, "JPEG", quality=95)


@pytest.fixture
def tiny_folder(tmp_path):
    folder = tmp_path / "data" / "tiny-imagenet-200"
    for number, colour in {0: (200, 20, 40), 2: (10, 220, 30), 10: 77}.items():
        save_jpeg(folder / f"test/images/test_{number}.JPEG", colour)
    for number, colour in {3: (250, 50, 0), 11: 128}.items():
        save_jpeg(folder / f"val/images/val_{number}.JPEG", colour)
    for wnid, level in zip(CLASSES, (30, 130), strict=True):
        for number in (0, 2, 10):
            save_jpeg(folder / f"train/{wnid}/images/{wnid}_{number}.JPEG", level + number)
        (folder / f"train/{wnid}/{wnid}_boxes.txt").write_text("not read")
    save_jpeg(folder / "backup/test/images/test_1.JPEG", 99)
    (folder / "wnids.txt").write_text("\n".join(CLASSES) + "\n")
    (folder / "val/val_annotations.txt").write_text(
        f"val_3.JPEG\t{CLASSES[1]}\t0\t0\t9\t9\nval_11.JPEG\t{CLASSES[0]}\t0\t0\t9\t9\n"
    )
    return folder


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
    with pytest.raises(ValueError, match=r"image of shape .* must be|must hold"):
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
    pytest.importorskip("skimage")
    pytest.importorskip("sklearn")
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
    skimage_data = pytest.importorskip("skimage.data")
    pytest.importorskip("sklearn")
    camera = data.packaged_photographs("held-out")["camera"]
    np.testing.assert_array_equal(np.rint(camera * 255), skimage_data.camera())


def test_packaged_photographs_refuse_other_splits():
    with pytest.raises(ValueError, match=r"split='test': must be one of 'learning', 'held-out'"):
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
    ("arguments", "message"),
    [
        ((0, (4, 4), 0), "count=0: must be a whole number, at least 1"),
        ((1.5, (4, 4), 0), "count=1.5"),
        ((True, (4, 4), 0), "count=True"),
        ((1, (4, 0), 0), "shape=0"),
        ((1, (4, 4, 4), 0), r"shape=\(4, 4, 4\)"),
        ((1, (4, 4), -1), "seed=-1"),
    ],
)
def test_random_images_refuse_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
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
    assert reasons["cut.png"].startswith("OSError")
    assert reasons["notes.txt"] == "ValueError: not a picture in a format Pillow reads"
    assert "int32" in reasons["wide.tiff"]


def test_folder_reads_palettes_by_their_colours(tmp_path):
    Image.new("RGB", (3, 2), (0, 0, 255)).convert("P").save(tmp_path / "palette.png")
    photographs, _ = data.photographs_in_folder(tmp_path)
    np.testing.assert_allclose(photographs["palette.png"], np.full((2, 3), 0.114), atol=1e-6)


def test_folder_without_pictures_is_refused(tmp_path):
    with pytest.raises(ValueError, match="at least one readable picture, found no files"):
        data.photographs_in_folder(tmp_path)
    (tmp_path / "notes.txt").write_text("no picture")
    with pytest.raises(ValueError, match=r"found notes\.txt \(ValueError"):
        data.photographs_in_folder(tmp_path)
    with pytest.raises(ValueError, match="must be a folder"):
        data.photographs_in_folder(tmp_path / "notes.txt")
    with pytest.raises(FileNotFoundError, match=r"path='.*absent': must exist"):
        data.photographs_in_folder(tmp_path / "absent")


# CIFAR-10


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("place", ["folder", "parent", "renamed", "archive"])
@pytest.mark.parametrize(
    ("version", "name"), [("binary", "cifar-10-batches-bin"), ("python", "cifar-10-batches-py")]
)
def test_cifar10_reads_both_versions_everywhere(tmp_path, version, name, place):
    folder = tmp_path / "data" / name
    batches = write_cifar(folder, version)
    path = {
        "folder": lambda: str(folder),
        "parent": lambda: folder.parent,
        "renamed": lambda: folder.rename(tmp_path / "cifar"),
        "archive": lambda: pack_tar(folder, tmp_path / f"cifar-10-{version}.tar.gz"),
    }[place]()

    pixels, expected = batches["test_batch"]
    images, labels = data.cifar10(path)
    assert images.shape == (3, 32, 32)
    assert (images.dtype, labels.dtype) == (np.float32, np.int64)
    np.testing.assert_array_equal(images, pixels[:, 1].astype(np.float32) / np.float32(255))
    np.testing.assert_array_equal(labels, expected)

    images, labels = data.cifar10(path, split="train", channel="blue")
    pixels = np.concatenate([batches[name][0] for name in TRAIN_BATCHES])
    np.testing.assert_array_equal(images, pixels[:, 2].astype(np.float32) / np.float32(255))
    np.testing.assert_array_equal(labels, np.concatenate([batches[n][1] for n in TRAIN_BATCHES]))


def test_cifar10_channels(tmp_path):
    pixels, _ = write_cifar(tmp_path / "cifar", "binary")["test_batch"]
    red, green, blue = (pixels[:, plane] / 255 for plane in range(3))
    grey = 0.299 * red + 0.587 * green + 0.114 * blue
    expected = {"red": red, "green": green, "blue": blue, "grey": grey}
    for channel, levels in expected.items():
        images, _ = data.cifar10(tmp_path / "cifar", channel=channel)
        np.testing.assert_allclose(images, levels, atol=1e-6)


def test_cifar10_refuses_unknown_choices(tmp_path):
    with pytest.raises(ValueError, match="split='val': must be one of 'train', 'test'"):
        data.cifar10(tmp_path, split="val")
    with pytest.raises(ValueError, match="channel='gray': must be one of 'red', 'green'"):
        data.cifar10(tmp_path, channel="gray")


def test_cifar10_names_what_is_missing(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"path='.*absent': must exist; pass the extr"):
        data.cifar10(tmp_path / "absent")
    with pytest.raises(FileNotFoundError, match=r"must hold test_batch; .*cifar\.html"):
        data.cifar10(tmp_path)
    write_cifar(tmp_path / "cifar", "binary")
    (tmp_path / "cifar" / "data_batch_3.bin").unlink()
    with pytest.raises(FileNotFoundError, match=r"must hold data_batch_3\.bin;"):
        data.cifar10(tmp_path / "cifar", split="train")


@pytest.mark.parametrize("damage", [lambda c: c[:-1], lambda c: c + b"0", lambda c: b""])
def test_cifar10_refuses_binary_batches_of_wrong_size(tmp_path, damage):
    write_cifar(tmp_path / "cifar", "binary")
    batch = tmp_path / "cifar" / "test_batch.bin"
    batch.write_bytes(damage(batch.read_bytes()))
    with pytest.raises(ValueError, match=r"'test_batch\.bin' .* 3073-byte records; get it again"):
        data.cifar10(tmp_path / "cifar")


def test_cifar10_refuses_labels_out_of_range(tmp_path):
    write_cifar(tmp_path / "cifar", "binary")
    batch = tmp_path / "cifar" / "test_batch.bin"
    batch.write_bytes(b"\x0a" + batch.read_bytes()[1:])
    with pytest.raises(ValueError, match=r"'test_batch\.bin' .* labels must be 0 to 9"):
        data.cifar10(tmp_path / "cifar")


class BareArray:
    """Pickle as an array made without a type, which NumPy reads as float64."""

    def __reduce__(self):
        return np.ndarray, ((2, 3072),)


@pytest.mark.parametrize(
    "batch",
    [
        {"labels": [1, 2]},
        {"labels": [1, 2], "data": np.zeros((2, 3071), np.uint8)},
        {"labels": [1], "data": np.zeros((2, 3072), np.uint8)},
        {"labels": [1, "2"], "data": np.zeros((2, 3072), np.uint8)},
        {"labels": [1, -2], "data": np.zeros((2, 3072), np.uint8)},
        {"labels": [1, 2], "data": BareArray()},
        {"labels": [], "data": np.zeros((0, 3072), np.uint8)},
        [1, 2],
    ],
)
def test_cifar10_refuses_other_pickles(tmp_path, batch):
    (tmp_path / "test_batch").write_bytes(python2_pickle(batch))
    with pytest.raises(ValueError, match=r"file 'test_batch' .* get it again from https"):
        data.cifar10(tmp_path)


@pytest.mark.parametrize(
    ("batch", "asked"),
    [
        ({"labels": [1], "data": np.zeros((1, 3072))}, "the type float64"),
        ({"labels": [np.int64(1)]}, r"numpy\._?core\.multiarray\.scalar"),
    ],
)
def test_cifar10_pickles_hold_only_arrays_of_bytes(tmp_path, batch, asked):
    (tmp_path / "test_batch").write_bytes(python2_pickle(batch))
    with pytest.raises(ValueError, match=f"asks for {asked}, which is not allowed"):
        data.cifar10(tmp_path)


def test_cifar10_refuses_a_truncated_pickle(tmp_path):
    write_cifar(tmp_path / "cifar", "python")
    batch = tmp_path / "cifar" / "test_batch"
    batch.write_bytes(batch.read_bytes()[:-100])
    with pytest.raises(ValueError, match=r"file 'test_batch' .* must be a pickled CIFAR-10"):
        data.cifar10(tmp_path / "cifar")


class RunsCode:
    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return Path.touch, (self.marker,)


class ImportsCode:
    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return exec, (f"open({str(self.marker)!r}, 'w').close()",)


@pytest.mark.parametrize("attack", [RunsCode, ImportsCode])
def test_cifar10_never_runs_code_from_a_pickle(tmp_path, attack):
    marker = tmp_path / "ran"
    evil = pickle.dumps({b"data": attack(marker), b"labels": [0]}, protocol=2)
    pickle.loads(evil)
    assert marker.exists(), "the attack must work on an open unpickler"
    marker.unlink()
    (tmp_path / "test_batch").write_bytes(evil)
    with pytest.raises(ValueError, match=r"'test_batch' .* it asks for .*, which is not allowed"):
        data.cifar10(tmp_path)
    assert not marker.exists()


def test_damaged_archives_are_refused(tmp_path):
    write_cifar(tmp_path / "cifar-10-batches-bin", "binary")
    archive = pack_tar(tmp_path / "cifar-10-batches-bin", tmp_path / "cifar-10-binary.tar.gz")
    content = archive.read_bytes()
    wrong_checksum = content[:-8] + bytes([content[-8] ^ 1]) + content[-7:]
    halved = content[: len(content) // 2]
    for damaged in (halved, content[:-4], wrong_checksum, content[:20], b"", b"no archive"):
        archive.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"gz': must be a folder or a whole .* download"):
            data.cifar10(archive)


# Tiny ImageNet


@pytest.fixture(params=["folder", "parent", "archive"])
def tiny_path(request, tiny_folder, tmp_path):
    if request.param == "archive":
        return pack_zip(tiny_folder, tmp_path / "tiny-imagenet-200.zip")
    return tiny_folder if request.param == "folder" else tiny_folder.parent


def assert_flat(images, levels):
    """Check images of one level each, to the two levels JPEG may be off."""
    assert images.dtype == np.float32
    expected = np.reshape(levels, (-1, 1, 1)) / 255 * np.ones((64, 64))
    np.testing.assert_allclose(images, expected, atol=2.5 / 255)


def test_tiny_imagenet_test_split(tiny_path):
    images, labels = data.tiny_imagenet(tiny_path)
    assert_flat(images, [20, 220, 77])
    assert labels.dtype == np.int64
    np.testing.assert_array_equal(labels, [-1, -1, -1])


@pytest.mark.parametrize(
    ("channel", "levels"),
    [("red", [200, 10, 77]), ("blue", [40, 30, 77]), ("grey", [76.1, 135.55, 77])],
)
def test_tiny_imagenet_channels(tiny_folder, channel, levels):
    images, _ = data.tiny_imagenet(tiny_folder, channel=channel)
    assert_flat(images, levels)


def test_tiny_imagenet_val_split(tiny_path):
    images, labels = data.tiny_imagenet(tiny_path, split="val")
    assert_flat(images, [50, 128])
    np.testing.assert_array_equal(labels, [1, 0])


def test_tiny_imagenet_train_split_takes_classes_in_turn(tiny_path):
    images, labels = data.tiny_imagenet(tiny_path, split="train")
    assert_flat(images, [30, 130, 32, 132, 40, 140])
    np.testing.assert_array_equal(labels, [0, 1, 0, 1, 0, 1])
    images, labels = data.tiny_imagenet(tiny_path, split="train", limit=3)
    assert_flat(images, [30, 130, 32])
    np.testing.assert_array_equal(labels, [0, 1, 0])


def test_tiny_imagenet_refuses_unknown_choices(tmp_path):
    with pytest.raises(ValueError, match="split='valid': must be one of 'train', 'val', 'test'"):
        data.tiny_imagenet(tmp_path, split="valid")
    with pytest.raises(ValueError, match="channel=1: must be one of"):
        data.tiny_imagenet(tmp_path, channel=1)
    with pytest.raises(ValueError, match="limit=0: must be a whole number, at least 1"):
        data.tiny_imagenet(tmp_path, limit=0)


def test_tiny_imagenet_names_what_is_missing(tmp_path, tiny_folder):
    with pytest.raises(FileNotFoundError, match=r"path='.*absent': must exist"):
        data.tiny_imagenet(tmp_path / "absent")
    with pytest.raises(FileNotFoundError, match=r"must hold test/images/test_\*\.JPEG"):
        data.tiny_imagenet(tmp_path)
    (tiny_folder / "val/val_annotations.txt").unlink()
    with pytest.raises(FileNotFoundError, match=r"must hold val/val_annotations\.txt"):
        data.tiny_imagenet(tiny_folder, split="val")


def test_tiny_imagenet_refuses_damaged_pictures(tiny_folder):
    picture = tiny_folder / "test/images/test_2.JPEG"
    whole = picture.read_bytes()
    for damaged in (whole[: len(whole) // 2], whole[:-40], b"", b"no picture"):
        picture.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"'test/images/test_2\.JPEG' .* whole JPEG"):
            data.tiny_imagenet(tiny_folder)
    save_jpeg(picture, 9, side=32)
    with pytest.raises(ValueError, match=r"test_2\.JPEG' .* must be 64 x 64 pixels, not \(32, 32"):
        data.tiny_imagenet(tiny_folder)
    picture.unlink()
    save_jpeg(tiny_folder / "test/images/test_x.JPEG", 9)
    with pytest.raises(ValueError, match=r"test_x\.JPEG' .* must end in _<number>"):
        data.tiny_imagenet(tiny_folder)


def test_tiny_imagenet_refuses_pictures_of_no_listed_class(tiny_folder):
    annotations = tiny_folder / "val/val_annotations.txt"
    annotations.write_text(annotations.read_text().replace(CLASSES[0], "n00000000"))
    with pytest.raises(ValueError, match=r"val_11\.JPEG' .* 'n00000000' must be a line of wnids"):
        data.tiny_imagenet(tiny_folder, split="val")
    annotations.write_text(f"val_3.JPEG\t{CLASSES[0]}\n")
    with pytest.raises(ValueError, match=r"val_11\.JPEG' .* class None must be a line of wnids"):
        data.tiny_imagenet(tiny_folder, split="val")


def test_tiny_imagenet_refuses_damaged_archives(tmp_path, tiny_folder):
    archive = pack_zip(tiny_folder, tmp_path / "tiny-imagenet-200.zip")
    content = archive.read_bytes()
    archive.write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match=r"zip': must be a folder or a whole"):
        data.tiny_imagenet(archive)
    picture = (tiny_folder / "test/images/test_2.JPEG").read_bytes()
    assert picture in content
    archive.write_bytes(content.replace(picture, bytes(len(picture))))
    with pytest.raises(ValueError, match=r"whole .* archive \(Bad CRC-32"):
        data.tiny_imagenet(archive)


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
    ("change", "message"),
    [
        ({"size": 9}, r"size=9: .* that large, but their shapes are \{'a': \(8, 10\)\}"),
        ({"photographs": {}}, r"size=8: .* their shapes are \{\}"),
        ({"size": (8, 0)}, "size=0: must be a whole number"),
        ({"size": (8, 8, 3)}, r"size=\(8, 8, 3\): must be \(height, width\)"),
        ({"count": 0}, "count=0"),
        ({"seed": None}, "seed=None"),
        ({"photographs": {"c": np.zeros((9, 9, 3))}}, r"photographs\['c'\] of shape \(9, 9, 3\)"),
    ],
)
def test_crops_refuse_bad_arguments(change, message):
    arguments = {"photographs": {"a": coordinates(8, 10, 0)}, "size": 8, "count": 1, "seed": 0}
    with pytest.raises(ValueError, match=message):
        data.crops(**{**arguments, **change})
