"""Image sets read from files in the layout their authors publish.

CIFAR-10, Tiny ImageNet and Fashion-MNIST.

Every picture comes back as a float32 array of shape (H, W) in [0, 1]. Nothing here uses
the network.
"""

import gzip
import io
import math
import pickle
import re
import tarfile
import zipfile
import zlib
from contextlib import contextmanager
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image

from npscatter.arguments import at_least, one_of
from npscatter.errors import ArgumentError, explain
from tools.data import CHANNELS, check_exists, choose_channel

COLOUR = "colour"
CIFAR10_SOURCE = "https://www.cs.toronto.edu/~kriz/cifar.html"
TINY_IMAGENET_SOURCE = "http://cs231n.stanford.edu/tiny-imagenet-200.zip"
FASHION_MNIST_SOURCE = "https://github.com/zalandoresearch/fashion-mnist"
# Where Debian's package dataset-fashion-mnist puts it.
FASHION_MNIST = "/usr/share/datasets/fashion-mnist"

_CIFAR10_FOLDERS = ("cifar-10-batches-bin", "cifar-10-batches-py")
_CIFAR10_BATCHES = {
    "train": tuple(f"data_batch_{number}" for number in range(1, 6)),
    "test": ("test_batch",),
}
_CIFAR10_PIXELS = 3 * 32 * 32
_CIFAR10_CLASSES = 10

_TINY_IMAGENET_FOLDERS = ("tiny-imagenet-200",)
_TINY_IMAGENET_PICTURES = {
    "train": "train/n*/images/n*_*.JPEG",
    "val": "val/images/val_*.JPEG",
    "test": "test/images/test_*.JPEG",
}
_TINY_IMAGENET_SIDE = 64

_FASHION_MNIST_FILES = {
    split: (f"{start}-images-idx3-ubyte", f"{start}-labels-idx1-ubyte")
    for split, start in {"train": "train", "test": "t10k"}.items()
}
_FASHION_MNIST_SIDE, _FASHION_MNIST_CLASSES = 28, 10

_ARCHIVE_FAULTS = (tarfile.TarError, zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, EOFError)


def cifar10(path, split="test", channel="green", limit=None):
    """Read CIFAR-10 in its binary or its Python version.

    Both are published at https://www.cs.toronto.edu/~kriz/cifar.html. In the binary
    version a record is one label byte, then 1024 red, 1024 green and 1024 blue bytes, row
    by row; in the Python version a batch is a pickled dictionary with ``data`` (N, 3072)
    uint8 and ``labels``. A folder with both versions is read from the binary one. Batches
    shorter than the published 10 000 images are accepted if they hold whole records.

    Parameters
    ----------
    path : str or Path
        Extracted folder, its parent, or ``cifar-10-binary.tar.gz`` or
        ``cifar-10-python.tar.gz``, which is read without extracting it.
    split : {"test", "train"}
        The test batch, or the five training batches in order.
    channel : {"green", "red", "blue", "grey", "colour"}
        Colour plane to keep, `tools.data.grey` of the three, or all three.
    limit : int, at least 1, optional
        Read at most this many pictures, the first ones. Batches beyond them may be missing.

    Returns
    -------
    images : array, float32, shape (N, 32, 32), range [0, 1]
        In the published order; in colour of shape (N, 3, 32, 32).
    labels : array, int64, shape (N,), 0 to 9

    Raises
    ------
    FileNotFoundError
        If `path` or a batch of the split is missing.
    ArgumentError
        If an argument is not one of its choices, or a file is damaged, of the wrong size,
        or a pickle that asks for more than NumPy arrays of bytes.
    """
    one_of("split", split, tuple(_CIFAR10_BATCHES))
    one_of("channel", channel, (*CHANNELS, COLOUR))
    _check_limit(limit)
    batches = _CIFAR10_BATCHES[split]
    images, labels, left = [], [], limit
    with _published_files(
        path, _CIFAR10_FOLDERS, [name + end for name in batches for end in (".bin", "")]
    ) as files:
        binary = any(f"{name}.bin" in files for name in batches)
        names = [f"{name}.bin" if binary else name for name in batches]
        decode = _decode_binary_batch if binary else _decode_python_batch
        for name in names:
            if left == 0:
                break
            _check_present(path, files, [name], CIFAR10_SOURCE)
            pixels, batch_labels = decode(name, files[name]())
            if max(batch_labels) >= _CIFAR10_CLASSES or min(batch_labels) < 0:
                raise _damaged(name, f"labels must be 0 to {_CIFAR10_CLASSES - 1}", CIFAR10_SOURCE)
            planes = pixels[:left].reshape(-1, 3, 32, 32)
            images.append(_chosen(planes, channel))
            labels.append(np.asarray(batch_labels, dtype=np.int64)[:left])
            left = None if limit is None else left - len(planes)
    return np.concatenate(images), np.concatenate(labels)


def tiny_imagenet(path, split="test", channel="green", limit=None):
    """Read Tiny ImageNet as published for the Stanford course CS231n.

    The published file is http://cs231n.stanford.edu/tiny-imagenet-200.zip, with the
    pictures in ``train/<class>/images``, ``val/images`` and ``test/images``, the classes
    of the validation pictures in ``val/val_annotations.txt`` and the 200 classes in
    ``wnids.txt``. The few greyscale pictures have the same levels in every channel.

    Parameters
    ----------
    path : str or Path
        Extracted folder, its parent, or the zip archive, which is read without
        extracting it.
    split : {"test", "val", "train"}
        Published part to read.
    channel : {"green", "red", "blue", "grey"}
        Colour plane to keep, or `tools.data.grey` of the three.
    limit : int, at least 1, optional
        Read at most this many pictures, the first ones.

    Returns
    -------
    images : array, float32, shape (N, 64, 64), range [0, 1]
        By number; training pictures by number and then by class, so that with a
        limit every class has as many.
    labels : array, int64, shape (N,)
        Line of the class in ``wnids.txt``, from 0; -1 in the test split, whose labels are
        not published.

    Raises
    ------
    FileNotFoundError
        If `path`, the pictures of the split or a list of classes is missing.
    ArgumentError
        If an argument is not one of its choices, or a file is damaged, of the wrong size
        or of no listed class.
    """
    one_of("split", split, tuple(_TINY_IMAGENET_PICTURES))
    one_of("channel", channel, CHANNELS)
    _check_limit(limit)
    pictures = _TINY_IMAGENET_PICTURES[split]
    lists = {"train": ["wnids.txt"], "val": ["wnids.txt", "val/val_annotations.txt"], "test": []}
    with _published_files(path, _TINY_IMAGENET_FOLDERS, [pictures, *lists[split]]) as files:
        _check_present(path, files, lists[split], TINY_IMAGENET_SOURCE)
        lines = {name: files.pop(name)().decode().splitlines() for name in lists[split]}
        _check_present(path, files, [] if files else [pictures], TINY_IMAGENET_SOURCE)
        label_of = _tiny_imagenet_labels(split, files, lines)
        ordered = sorted(files, key=lambda name: (_picture_number(name), label_of[name]))[:limit]
        images = np.empty((len(ordered), _TINY_IMAGENET_SIDE, _TINY_IMAGENET_SIDE), np.float32)
        for image, name in zip(images, ordered, strict=True):
            picture = _decode_published_picture(name, files[name]())
            image[:] = choose_channel(picture, channel)
    return images, np.array([label_of[name] for name in ordered], dtype=np.int64)


def fashion_mnist(path=FASHION_MNIST, split="test", limit=None):
    """Read Fashion-MNIST as published, or as Debian packages it.

    Pictures and labels are two files in the IDX format of MNIST: two zero bytes, 8 for
    bytes, the number of axes, every length as 4 bytes, big end first, and the bytes.

    Parameters
    ----------
    path : str or Path
        The folder of the four files, packed with gzip or not, its parent or an archive of
        it. By default that of Debian's package dataset-fashion-mnist.
    split : {"test", "train"}
        The 10 000 test pictures, or the 60 000 training pictures.
    limit : int, at least 1, optional
        Read at most this many pictures, the first ones.

    Returns
    -------
    images : array, float32, shape (N, 28, 28), range [0, 1]
        In the published order.
    labels : array, int64, shape (N,), 0 to 9

    Raises
    ------
    FileNotFoundError
        If `path` or a file of the split is missing.
    ArgumentError
        If an argument is not one of its choices, or a file is damaged or of the wrong size.
    """
    one_of("split", split, tuple(_FASHION_MNIST_FILES))
    _check_limit(limit)
    names, side = _FASHION_MNIST_FILES[split], _FASHION_MNIST_SIDE
    remedy = "install Debian's package dataset-fashion-mnist, or pass the folder that has the"
    remedy = f"{remedy} files of {FASHION_MNIST_SOURCE}"
    check_exists(Path(path), remedy)
    patterns = [name + end for name in names for end in ("", ".gz")]
    with _published_files(path, ("fashion-mnist",), patterns) as files:
        found = [name if name in files else f"{name}.gz" for name in names]
        _check_present(path, files, found, FASHION_MNIST_SOURCE)
        images, labels = (_decode_idx(name, files[name]()) for name in found)
    if images.shape[1:] != (side, side) or not len(images):
        rule = f"must hold {side} x {side} pictures, not an array of shape {images.shape}"
        raise _damaged(found[0], rule, FASHION_MNIST_SOURCE)
    if labels.shape != images.shape[:1]:
        rule = f"must hold {len(images)} labels, not an array of shape {labels.shape}"
        raise _damaged(found[1], rule, FASHION_MNIST_SOURCE)
    if labels.max() >= _FASHION_MNIST_CLASSES:
        rule = f"labels must be 0 to {_FASHION_MNIST_CLASSES - 1}"
        raise _damaged(found[1], rule, FASHION_MNIST_SOURCE)
    return images[:limit].astype(np.float32) / np.float32(255), labels[:limit].astype(np.int64)


def _check_limit(limit):
    if limit is not None:
        at_least("limit", limit, 1, "pass 1 or more, or None for all")


def _chosen(planes, channel):
    """Take the channel, or all, of pictures (N, 3, H, W) of bytes, as float32 in [0, 1]."""
    if channel == COLOUR:
        return planes.astype(np.float32) / np.float32(255)
    return choose_channel(planes.transpose(0, 2, 3, 1), channel)


@contextmanager
def _published_files(path, folders, patterns):
    """Give {name: function that reads its bytes} for a folder or an archive alike.

    Names are relative to the published folder, one of `folders`, which may be `path`
    itself under any name, lie inside it, or lie inside the archive. Only the names that
    fit one of `patterns` are given.
    """
    place = Path(path)
    check_exists(place, "pass the extracted folder, its parent or the published archive")
    if place.is_dir():
        root = next((place / name for name in folders if (place / name).is_dir()), place)
        matches = [file for pattern in patterns for file in sorted(root.glob(pattern))]
        yield {f.relative_to(root).as_posix(): f.read_bytes for f in matches if f.is_file()}
        return
    try:
        is_tar = tarfile.is_tarfile(place)
        with tarfile.open(place) if is_tar else zipfile.ZipFile(place) as archive:
            if is_tar:
                readers = {m.name: archive.extractfile(m).read for m in archive if m.isfile()}
                # tarfile stops short of the checksum that ends a gzip file.
                while archive.fileobj.read(1 << 20):
                    pass
            else:
                readers = {name: partial(archive.read, name) for name in archive.namelist()}
            yield _inside_published_folder(readers, folders, patterns)
    except _ARCHIVE_FAULTS as fault:
        rule = f"must be a folder or a whole .tar.gz or .zip archive ({fault})"
        remedy = "download the archive again"
        raise ArgumentError(explain("path", str(path), rule, remedy)) from fault


def _inside_published_folder(readers, folders, patterns):
    inside = {}
    for name, reader in readers.items():
        place = PurePosixPath(name)
        if place.parts and place.parts[0] in folders:
            place = place.relative_to(place.parts[0])
        depth = len(place.parts)
        if any(place.match(rule) and rule.count("/") + 1 == depth for rule in patterns):
            inside[place.as_posix()] = reader
    return inside


class _ByteArrayUnpickler(pickle.Unpickler):
    """Read pickled NumPy arrays of bytes and built-in types, and refuse the rest.

    A pickle can name any function and have it called, so only the three names that the
    published CIFAR-10 batches use, under their NumPy 1 and 2 addresses, are resolved.
    """

    def find_class(self, module, name):
        if (module, name) == ("numpy", "ndarray"):
            return np.ndarray
        if (module, name) == ("numpy", "dtype"):
            return self._byte_type
        if name == "_reconstruct" and module in ("numpy.core.multiarray", "numpy._core.multiarray"):
            # Its address differs between NumPy versions; every array refers to it.
            return np.empty(0).__reduce__()[0]
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, which is not allowed")

    @staticmethod
    def _byte_type(code, align, copy):
        # The published pickles hold 0 or 1 as flags, which NumPy 2.4 deprecates. A copy,
        # so that no pickle can alter the type that the whole process shares.
        dtype = np.dtype(code, align=bool(align), copy=True)
        if dtype != np.uint8:
            raise pickle.UnpicklingError(f"it asks for the type {dtype}, which is not allowed")
        return dtype


def _decode_binary_batch(name, content):
    record = 1 + _CIFAR10_PIXELS
    if not content or len(content) % record:
        rule = f"its {len(content)} bytes must be whole {record}-byte records"
        raise _damaged(name, rule, CIFAR10_SOURCE)
    records = np.frombuffer(content, dtype=np.uint8).reshape(-1, record)
    return records[:, 1:], records[:, 0]


def _decode_python_batch(name, content):
    try:
        batch = _ByteArrayUnpickler(io.BytesIO(content), encoding="bytes").load()
        pixels, labels = batch[b"data"], batch[b"labels"]
        whole = isinstance(pixels, np.ndarray) and pixels.dtype == np.uint8 and len(labels) > 0
        whole = whole and all(isinstance(label, int) for label in labels)
        whole = whole and pixels.shape == (len(labels), _CIFAR10_PIXELS)
    # A damaged pickle can break off in any operation.
    except Exception as fault:
        reason = f"must be a pickled CIFAR-10 batch ({type(fault).__name__}: {fault})"
        raise _damaged(name, reason, CIFAR10_SOURCE) from fault
    if not whole:
        reason = f"data must be (N, {_CIFAR10_PIXELS}) uint8 with N whole numbers in labels"
        raise _damaged(name, reason, CIFAR10_SOURCE)
    return pixels, labels


def _decode_idx(name, content):
    """Return the array of bytes in an IDX file, with gzip's wrapping or without."""
    if name.endswith(".gz"):
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error) as fault:
            rule = f"must be a whole gzip file ({fault})"
            raise _damaged(name, rule, FASHION_MNIST_SOURCE) from fault
    axes = content[3] if content[:3] == b"\0\0\x08" and len(content) > 3 else 0
    if not 1 <= axes <= 3 or len(content) < 4 + 4 * axes:
        rule = f"must begin as an IDX file of bytes does, not with {content[:4].hex(' ')}"
        raise _damaged(name, rule, FASHION_MNIST_SOURCE)
    shape = np.frombuffer(content, ">u4", axes, 4).tolist()
    values = np.frombuffer(content, np.uint8, offset=4 + 4 * axes)
    if values.size != math.prod(shape):
        rule = f"must hold the {' x '.join(map(str, shape))} bytes it announces, not {values.size}"
        raise _damaged(name, rule, FASHION_MNIST_SOURCE)
    return values.reshape(shape)


def _decode_published_picture(name, encoded):
    try:
        with Image.open(io.BytesIO(encoded)) as picture:
            pixels = np.asarray(picture if picture.mode == "L" else picture.convert("RGB"))
    # Pillow's decoders raise many unrelated types on damaged files.
    except Exception as fault:
        reason = f"must be a whole JPEG ({type(fault).__name__})"
        raise _damaged(name, reason, TINY_IMAGENET_SOURCE) from fault
    side = _TINY_IMAGENET_SIDE
    if pixels.shape[:2] != (side, side):
        rule = f"must be {side} x {side} pixels, not {pixels.shape[:2]}"
        raise _damaged(name, rule, TINY_IMAGENET_SOURCE)
    return pixels


def _tiny_imagenet_labels(split, names, lines):
    if split == "test":
        return dict.fromkeys(names, -1)
    label_of_class = {line.strip(): number for number, line in enumerate(lines["wnids.txt"])}
    if split == "train":
        class_of = {name: name.split("/")[1] for name in names}
    else:
        rows = [line.split("\t") for line in lines["val/val_annotations.txt"] if line]
        class_of = {f"val/images/{row[0]}": row[1] for row in rows if len(row) > 1}
    for name in names:
        if class_of.get(name) not in label_of_class:
            rule = f"its class {class_of.get(name)!r} must be a line of wnids.txt"
            raise _damaged(name, rule, TINY_IMAGENET_SOURCE)
    return {name: label_of_class[class_of[name]] for name in names}


def _picture_number(name):
    number = re.search(r"_(\d+)\.JPEG$", name)
    if number is None:
        raise _damaged(name, "its name must end in _<number>.JPEG", TINY_IMAGENET_SOURCE)
    return int(number[1])


def _damaged(name, rule, source):
    return ArgumentError(explain("file in path", name, rule, f"download it again from {source}"))


def _check_present(path, files, names, source):
    missing = [name for name in names if name not in files]
    if missing:
        rule = f"must hold {', '.join(missing)}"
        remedy = f"pass the published folder, its parent or its archive, from {source}"
        raise FileNotFoundError(explain("path", str(path), rule, remedy))
