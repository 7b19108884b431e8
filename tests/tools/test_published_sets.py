import gzip
import io
import pickle
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tools import published_sets

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
    images, labels = published_sets.cifar10(path)
    assert images.shape == (3, 32, 32)
    assert (images.dtype, labels.dtype) == (np.float32, np.int64)
    np.testing.assert_array_equal(images, pixels[:, 1].astype(np.float32) / np.float32(255))
    np.testing.assert_array_equal(labels, expected)

    images, labels = published_sets.cifar10(path, split="train", channel="blue")
    pixels = np.concatenate([batches[name][0] for name in TRAIN_BATCHES])
    np.testing.assert_array_equal(images, pixels[:, 2].astype(np.float32) / np.float32(255))
    np.testing.assert_array_equal(labels, np.concatenate([batches[n][1] for n in TRAIN_BATCHES]))


def test_cifar10_channels(tmp_path):
    pixels, _ = write_cifar(tmp_path / "cifar", "binary")["test_batch"]
    red, green, blue = (pixels[:, plane] / 255 for plane in range(3))
    grey = 0.299 * red + 0.587 * green + 0.114 * blue
    expected = {"red": red, "green": green, "blue": blue, "grey": grey}
    for channel, levels in expected.items():
        images, _ = published_sets.cifar10(tmp_path / "cifar", channel=channel)
        np.testing.assert_allclose(images, levels, atol=1e-6)
    colour, _ = published_sets.cifar10(tmp_path / "cifar", channel="colour")
    assert (colour.shape, colour.dtype) == ((3, 3, 32, 32), np.float32)
    np.testing.assert_array_equal(colour, pixels.astype(np.float32) / np.float32(255))


@pytest.mark.parametrize("version", ["binary", "python"])
def test_cifar10_reads_no_further_than_its_limit(tmp_path, version):
    batches = write_cifar(tmp_path / "cifar", version)
    end = ".bin" if version == "binary" else ""
    (tmp_path / "cifar" / f"data_batch_3{end}").unlink()
    pixels = np.concatenate([batches[name][0] for name in TRAIN_BATCHES[:2]])
    expected = np.concatenate([batches[name][1] for name in TRAIN_BATCHES[:2]])
    for limit in (1, 3, 4, 6):
        images, labels = published_sets.cifar10(tmp_path / "cifar", "train", "red", limit)
        np.testing.assert_allclose(images, pixels[:limit, 0] / 255, atol=1e-6)
        np.testing.assert_array_equal(labels, expected[:limit])
    with pytest.raises(FileNotFoundError, match=r"must hold data_batch_3"):
        published_sets.cifar10(tmp_path / "cifar", "train", limit=7)
    images, labels = published_sets.cifar10(tmp_path / "cifar", limit=100)
    assert len(images) == len(labels) == 3
    with pytest.raises(ValueError, match="limit=0: must be at least 1"):
        published_sets.cifar10(tmp_path / "cifar", limit=0)


def test_cifar10_refuses_unknown_choices(tmp_path):
    with pytest.raises(ValueError, match="split='val': must be 'train' or 'test'"):
        published_sets.cifar10(tmp_path, split="val")
    with pytest.raises(ValueError, match="channel='gray': must be one of \\('red', 'green'"):
        published_sets.cifar10(tmp_path, channel="gray")


def test_cifar10_names_what_is_missing(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"path='.*absent': must exist; pass the extr"):
        published_sets.cifar10(tmp_path / "absent")
    with pytest.raises(FileNotFoundError, match=r"must hold test_batch; .*cifar\.html"):
        published_sets.cifar10(tmp_path)
    write_cifar(tmp_path / "cifar", "binary")
    (tmp_path / "cifar" / "data_batch_3.bin").unlink()
    with pytest.raises(FileNotFoundError, match=r"must hold data_batch_3\.bin;"):
        published_sets.cifar10(tmp_path / "cifar", split="train")


@pytest.mark.parametrize("damage", [lambda c: c[:-1], lambda c: c + b"0", lambda c: b""])
def test_cifar10_refuses_binary_batches_of_wrong_size(tmp_path, damage):
    write_cifar(tmp_path / "cifar", "binary")
    batch = tmp_path / "cifar" / "test_batch.bin"
    batch.write_bytes(damage(batch.read_bytes()))
    with pytest.raises(ValueError, match=r"'test_batch\.bin': .* 3073-byte records; download it"):
        published_sets.cifar10(tmp_path / "cifar")


def test_cifar10_refuses_labels_out_of_range(tmp_path):
    write_cifar(tmp_path / "cifar", "binary")
    batch = tmp_path / "cifar" / "test_batch.bin"
    batch.write_bytes(b"\x0a" + batch.read_bytes()[1:])
    with pytest.raises(ValueError, match=r"'test_batch\.bin': labels must be 0 to 9"):
        published_sets.cifar10(tmp_path / "cifar")


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
    with pytest.raises(ValueError, match=r"file in path='test_batch': .* download it again"):
        published_sets.cifar10(tmp_path)


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
        published_sets.cifar10(tmp_path)


def test_cifar10_refuses_a_truncated_pickle(tmp_path):
    write_cifar(tmp_path / "cifar", "python")
    batch = tmp_path / "cifar" / "test_batch"
    batch.write_bytes(batch.read_bytes()[:-100])
    with pytest.raises(ValueError, match=r"file in path='test_batch': must be a pickled CIFAR-10"):
        published_sets.cifar10(tmp_path / "cifar")


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
    with pytest.raises(ValueError, match=r"'test_batch': .* it asks for .*, which is not allowed"):
        published_sets.cifar10(tmp_path)
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
            published_sets.cifar10(archive)


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
    images, labels = published_sets.tiny_imagenet(tiny_path)
    assert_flat(images, [20, 220, 77])
    assert labels.dtype == np.int64
    np.testing.assert_array_equal(labels, [-1, -1, -1])


@pytest.mark.parametrize(
    ("channel", "levels"),
    [("red", [200, 10, 77]), ("blue", [40, 30, 77]), ("grey", [76.1, 135.55, 77])],
)
def test_tiny_imagenet_channels(tiny_folder, channel, levels):
    images, _ = published_sets.tiny_imagenet(tiny_folder, channel=channel)
    assert_flat(images, levels)


def test_tiny_imagenet_val_split(tiny_path):
    images, labels = published_sets.tiny_imagenet(tiny_path, split="val")
    assert_flat(images, [50, 128])
    np.testing.assert_array_equal(labels, [1, 0])


def test_tiny_imagenet_train_split_takes_classes_in_turn(tiny_path):
    images, labels = published_sets.tiny_imagenet(tiny_path, split="train")
    assert_flat(images, [30, 130, 32, 132, 40, 140])
    np.testing.assert_array_equal(labels, [0, 1, 0, 1, 0, 1])
    images, labels = published_sets.tiny_imagenet(tiny_path, split="train", limit=3)
    assert_flat(images, [30, 130, 32])
    np.testing.assert_array_equal(labels, [0, 1, 0])


def test_tiny_imagenet_refuses_unknown_choices(tmp_path):
    with pytest.raises(ValueError, match="split='valid': must be one of \\('train', 'val'"):
        published_sets.tiny_imagenet(tmp_path, split="valid")
    with pytest.raises(ValueError, match="channel=1: must be one of"):
        published_sets.tiny_imagenet(tmp_path, channel=1)
    with pytest.raises(ValueError, match="limit=0: must be at least 1"):
        published_sets.tiny_imagenet(tmp_path, limit=0)


def test_tiny_imagenet_names_what_is_missing(tmp_path, tiny_folder):
    with pytest.raises(FileNotFoundError, match=r"path='.*absent': must exist"):
        published_sets.tiny_imagenet(tmp_path / "absent")
    with pytest.raises(FileNotFoundError, match=r"must hold test/images/test_\*\.JPEG"):
        published_sets.tiny_imagenet(tmp_path)
    (tiny_folder / "val/val_annotations.txt").unlink()
    with pytest.raises(FileNotFoundError, match=r"must hold val/val_annotations\.txt"):
        published_sets.tiny_imagenet(tiny_folder, split="val")


def test_tiny_imagenet_refuses_damaged_pictures(tiny_folder):
    picture = tiny_folder / "test/images/test_2.JPEG"
    whole = picture.read_bytes()
    for damaged in (whole[: len(whole) // 2], whole[:-40], b"", b"no picture"):
        picture.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"'test/images/test_2\.JPEG': .* whole JPEG"):
            published_sets.tiny_imagenet(tiny_folder)
    save_jpeg(picture, 9, side=32)
    with pytest.raises(ValueError, match=r"test_2\.JPEG': must be 64 x 64 pixels, not \(32, 32"):
        published_sets.tiny_imagenet(tiny_folder)
    picture.unlink()
    save_jpeg(tiny_folder / "test/images/test_x.JPEG", 9)
    with pytest.raises(ValueError, match=r"test_x\.JPEG': .* must end in _<number>"):
        published_sets.tiny_imagenet(tiny_folder)


def test_tiny_imagenet_refuses_pictures_of_no_listed_class(tiny_folder):
    annotations = tiny_folder / "val/val_annotations.txt"
    annotations.write_text(annotations.read_text().replace(CLASSES[0], "n00000000"))
    with pytest.raises(ValueError, match=r"val_11\.JPEG': .* 'n00000000' must be a line of wnids"):
        published_sets.tiny_imagenet(tiny_folder, split="val")
    annotations.write_text(f"val_3.JPEG\t{CLASSES[0]}\n")
    with pytest.raises(ValueError, match=r"val_11\.JPEG': .* class None must be a line of wnids"):
        published_sets.tiny_imagenet(tiny_folder, split="val")


def test_tiny_imagenet_refuses_damaged_archives(tmp_path, tiny_folder):
    archive = pack_zip(tiny_folder, tmp_path / "tiny-imagenet-200.zip")
    content = archive.read_bytes()
    archive.write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match=r"zip': must be a folder or a whole"):
        published_sets.tiny_imagenet(archive)
    picture = (tiny_folder / "test/images/test_2.JPEG").read_bytes()
    assert picture in content
    archive.write_bytes(content.replace(picture, bytes(len(picture))))
    with pytest.raises(ValueError, match=r"whole .* archive \(Bad CRC-32"):
        published_sets.tiny_imagenet(archive)


# Fashion-MNIST


def idx(values):
    """Return an array of bytes as an IDX file."""
    lengths = b"".join(length.to_bytes(4, "big") for length in values.shape)
    return bytes([0, 0, 8, values.ndim]) + lengths + values.tobytes()


def write_fashion(folder, pack=lambda content: content, end=""):
    """Write a few pictures of both splits, and return their pixels and labels by split."""
    folder.mkdir(parents=True)
    written = {}
    for split, start, count in (("train", "train", 5), ("test", "t10k", 3)):
        generator = np.random.default_rng(count)
        pixels = generator.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        labels = generator.integers(0, 10, count, dtype=np.uint8)
        (folder / f"{start}-images-idx3-ubyte{end}").write_bytes(pack(idx(pixels)))
        (folder / f"{start}-labels-idx1-ubyte{end}").write_bytes(pack(idx(labels)))
        written[split] = pixels, labels
    return written


@pytest.mark.parametrize("place", ["folder", "parent", "archive"])
@pytest.mark.parametrize("packed", [False, True])
def test_fashion_mnist_reads_both_splits_everywhere(tmp_path, place, packed):
    folder = tmp_path / "data" / "fashion-mnist"
    written = write_fashion(folder, *((gzip.compress, ".gz") if packed else ()))
    path = {
        "folder": lambda: str(folder),
        "parent": lambda: folder.parent,
        "archive": lambda: pack_tar(folder, tmp_path / "fashion-mnist.tar.gz"),
    }[place]()
    for split, (pixels, expected) in written.items():
        images, labels = published_sets.fashion_mnist(path, split)
        assert (images.dtype, labels.dtype) == (np.float32, np.int64)
        np.testing.assert_array_equal(images, pixels.astype(np.float32) / np.float32(255))
        np.testing.assert_array_equal(labels, expected)
        images, labels = published_sets.fashion_mnist(path, split, limit=2)
        np.testing.assert_array_equal(images, pixels[:2].astype(np.float32) / np.float32(255))
        np.testing.assert_array_equal(labels, expected[:2])


def test_fashion_mnist_as_debian_packages_it():
    if not Path(published_sets.FASHION_MNIST).exists():
        pytest.fail("apt-get install dataset-fashion-mnist: tests/packages.txt names it")
    for split, count in (("train", 60_000), ("test", 10_000)):
        images, labels = published_sets.fashion_mnist(split=split)
        assert images.shape == (count, 28, 28) and (images.min(), images.max()) == (0, 1)
        assert np.bincount(labels).tolist() == [count // 10] * 10
    # The first test pictures are an ankle boot, a pullover and two pairs of trousers.
    assert labels[:4].tolist() == [9, 2, 1, 1]


def test_fashion_mnist_refuses_wrong_arguments(tmp_path):
    with pytest.raises(ValueError, match="split='val': must be 'train' or 'test'"):
        published_sets.fashion_mnist(tmp_path, split="val")
    with pytest.raises(ValueError, match="limit=0: must be at least 1"):
        published_sets.fashion_mnist(tmp_path, limit=0)
    with pytest.raises(FileNotFoundError, match=r"absent': must exist; install Debian's package"):
        published_sets.fashion_mnist(tmp_path / "absent")
    with pytest.raises(FileNotFoundError, match=r"must hold t10k-images-idx3-ubyte\.gz, t10k-la"):
        published_sets.fashion_mnist(tmp_path)
    write_fashion(tmp_path / "fashion")
    (tmp_path / "fashion" / "train-labels-idx1-ubyte").unlink()
    with pytest.raises(FileNotFoundError, match=r"must hold train-labels-idx1-ubyte\.gz; pass"):
        published_sets.fashion_mnist(tmp_path / "fashion", "train")


@pytest.mark.parametrize(
    ("damage", "rule"),
    [
        (lambda c: b"", "must begin as an IDX file"),
        (lambda c: c[:9], "must begin as an IDX file"),
        (lambda c: b"\0\0\x08\xff" + bytes(1020), "must begin as an IDX file .* 00 00 08 ff"),
        (lambda c: b"\0\0\x0d" + c[3:], "must begin as an IDX file .* 00 00 0d 03"),
        (lambda c: c[:-1], r"must hold the 3 x 28 x 28 bytes it announces, not 2351"),
        (lambda c: c + b"0", r"must hold the 3 x 28 x 28 bytes it announces, not 2353"),
        (lambda c: idx(np.zeros((3, 28, 27), np.uint8)), r"must hold 28 x 28 pictures"),
        (lambda c: idx(np.zeros((3, 784), np.uint8)), r"must hold 28 x 28 pictures"),
        (lambda c: idx(np.zeros((0, 28, 28), np.uint8)), r"must hold 28 x 28 pictures"),
    ],
)
def test_fashion_mnist_refuses_damaged_pictures(tmp_path, damage, rule):
    write_fashion(tmp_path / "fashion")
    file = tmp_path / "fashion" / "t10k-images-idx3-ubyte"
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(ValueError, match=f"'t10k-images-idx3-ubyte': {rule}.*download it again"):
        published_sets.fashion_mnist(tmp_path / "fashion")


@pytest.mark.parametrize(
    ("labels", "rule"), [([1, 2], "must hold 3 labels"), ([1, 2, 10], "labels must be 0 to 9")]
)
def test_fashion_mnist_refuses_other_labels(tmp_path, labels, rule):
    write_fashion(tmp_path / "fashion")
    file = tmp_path / "fashion" / "t10k-labels-idx1-ubyte"
    file.write_bytes(idx(np.array(labels, np.uint8)))
    with pytest.raises(ValueError, match=f"'t10k-labels-idx1-ubyte': {rule}"):
        published_sets.fashion_mnist(tmp_path / "fashion")


def test_fashion_mnist_refuses_files_packed_wrongly(tmp_path):
    write_fashion(tmp_path / "fashion", gzip.compress, ".gz")
    file = tmp_path / "fashion" / "t10k-images-idx3-ubyte.gz"
    whole = file.read_bytes()
    wrong_checksum = whole[:-8] + bytes([whole[-8] ^ 1]) + whole[-7:]
    for damaged in (whole[: len(whole) // 2], whole[:-4], wrong_checksum, b"", b"no gzip"):
        file.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"idx3-ubyte\.gz': must (be a whole gzip|begin as)"):
            published_sets.fashion_mnist(tmp_path / "fashion")
